//! Which readings go next, and in messages of which size: those of now, then those of the past at their rate.

use std::time::Duration;

use super::{Sent, Session, TELEMETRY_MAX};
use crate::uplink::suspect::Key;
use crate::uplink::telemetry::Chunk;

impl Session {
    pub(super) fn next_telemetry(&mut self, now: Duration) -> Option<Chunk> {
        let fly = |sent: &Sent| matches!(sent, Sent::Telemetry(_));
        if self.count(fly) >= TELEMETRY_MAX || self.bulk_bytes() >= self.bulk.limit() {
            return None;
        }
        if self.suspicion.is_on_trial(&Key::Telemetry) {
            let waits = !(self.live.is_empty() && self.backlog.is_empty());
            return if waits && self.may_test() {
                self.backlog.pop_front().or_else(|| self.live.pop_front())
            } else {
                None
            };
        }
        if let Some(chunk) = self.live.pop_front() {
            return Some(chunk);
        }
        if self.backlog.is_empty() || self.has_rows() || !self.drain.is_open(now) {
            return None;
        }
        let chunk = self.backlog.pop_front()?;
        self.drain.went(chunk.count());
        Some(chunk)
    }

    fn bulk_bytes(&self) -> usize {
        let bulk = self.in_flight.values().filter(|flying| matches!(flying.sent, Sent::Telemetry(_)));
        bulk.map(|flying| flying.bytes).sum()
    }

    /// The largest message of readings that the link can take now; `None`: it has enough.
    pub(in crate::uplink) fn wants_live(&self) -> Option<usize> {
        let n = self.live.len() + self.count(|sent| matches!(sent, Sent::Telemetry(_)));
        let bytes = self.live.iter().map(Chunk::bytes).sum::<usize>() + self.bulk_bytes();
        (n < TELEMETRY_MAX && bytes < self.bulk.limit()).then(|| self.message_bytes())
    }

    /// Of one message of readings.
    fn message_bytes(&self) -> usize {
        self.bulk.limit().min(self.ceiling.bytes())
    }

    pub(in crate::uplink) fn push_live(&mut self, chunk: Chunk, now: Duration) {
        self.drain.live(chunk.count(), now);
        self.live.push_back(chunk);
    }

    /// Readings of the past are used up: which place in the spool to read on behind.
    pub(in crate::uplink) fn wants_past(&self) -> Option<i64> {
        (self.announced && self.backlog.is_empty()).then_some(self.past_read)
    }

    /// In messages as large as the broker takes.
    pub(in crate::uplink) fn push_past(&mut self, chunk: Chunk) {
        let place = chunk.spooled.unwrap_or(self.past_read);
        self.past_read = place;
        let pieces = chunk.pieces(self.message_bytes());
        self.pieces.insert(place, pieces.len());
        self.backlog.extend(pieces);
    }
}
