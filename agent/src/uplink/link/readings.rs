//! The readings of one connection: those of now from memory, those of the past from the spool, and the gap
//! that tells of those that were dropped.

use super::{Answer, Link};
use crate::uplink::spool::{self, Next, SpoolError};
use crate::uplink::telemetry::Chunk;
use crate::uplink::{gap, wire};

impl Link<'_> {
    /// As many readings as the link can take now; a batch each interval, and what is left of a backlog with
    /// each acknowledgement.
    pub(super) fn batch_telemetry(&mut self) {
        if self.connected.is_none() {
            return;
        }
        while let Some(bytes_max) = self.session.wants_live() {
            let Some(chunk) = self.uplink.telemetry.take(bytes_max) else {
                self.draining = false;
                return;
            };
            self.session.push_live(chunk, self.age());
        }
        self.draining = true;
    }

    /// Readings that nobody will have: one gap for all of them.
    pub(super) fn tell_dropped(&mut self) {
        let Some(dropped) = self.uplink.telemetry.take_dropped() else { return };
        let now = self.uplink.now();
        let gap = gap::of_telemetry(&dropped, now, &self.uplink.origin);
        tracing::warn!(
            count = dropped.count,
            too_large = dropped.too_large,
            "telemetry was dropped; a gap is told"
        );
        let store = self.uplink.store.clone();
        self.asked.push(Box::pin(async move {
            Answer::GapTold(dropped, store.append(vec![gap], Vec::new()).await)
        }));
    }

    /// Readings of the past, as long as there are some.
    pub(super) fn ask_spool(&mut self) {
        let (Some(spool), false) = (&self.spool, self.spool_read) else { return };
        let Some(after) = self.session.wants_past() else { return };
        self.spool_read = true;
        let spool = spool.clone();
        self.asked
            .push(Box::pin(async move { Answer::Spooled(spool.with(move |spool| spool.next(after)).await) }));
    }

    pub(super) fn unspool(&mut self, place: Option<i64>) {
        if let (Some(place), Some(spool)) = (place, &self.spool) {
            let spool = spool.clone();
            self.asked.push(Box::pin(async move {
                Answer::Unspooled(spool.with(move |spool| spool.remove(place)).await)
            }));
        }
    }

    pub(super) fn spooled(&mut self, next: Result<Next, SpoolError>) {
        match next {
            Ok(Next::Chunk(chunk)) => {
                self.spool_read = false;
                self.session.push_past(chunk);
            }
            Ok(Next::Damaged(dropped)) => {
                self.spool_read = false;
                self.uplink.telemetry.put_back_dropped(dropped);
            }
            // It is asked again with the next second.
            Ok(Next::Nothing) => self.spool_empty = true,
            Err(error) => {
                self.spool_empty = true;
                spool::failed("read", &error);
            }
        }
    }

    pub(super) fn telemetry_bytes(&mut self, chunk: &Chunk) -> Vec<u8> {
        self.chunks += 1;
        let now = self.uplink.now();
        let connected = self.connected.unwrap_or(now);
        let name = format!("telemetry/{}-{}", connected.0, self.chunks);
        let origin = &self.uplink.origin;
        wire::telemetry_bytes(&name, chunk, now, chunk.from < connected, origin)
    }
}
