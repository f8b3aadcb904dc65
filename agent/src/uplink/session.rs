//! The send window of one connection: what goes next, what is under way, what was acknowledged. Pure: it
//! owns no connection, no store and no clock; the caller reads rows for it and carries out what it says.
//!
//! A row is acknowledged by its own PUBACK and by nothing else. The window ends with its connection: what
//! was under way then is pending in the outbox still, and the next window begins there.

use std::collections::{HashMap, VecDeque};

use super::commands::Replay;
use super::telemetry::Chunk;
use crate::store::{Lane, LastSequences, Row};

/// Rows read ahead for each lane. Small: a message may have 240 KiB.
pub(super) const LEASE_ROWS: usize = 100;

/// Telemetry under way at once: a slow broker must not fill the window with it.
const TELEMETRY_MAX: usize = 8;

/// What is kept free of outbox rows, for state, answers and telemetry.
const RESERVED: usize = 12;

/// Something to publish.
#[derive(Debug)]
pub(super) enum Outgoing {
    Loose(Loose),
    Row(Row),
    /// A row once more, on demand.
    Again(Row),
    Telemetry(Chunk),
}

/// A message outside the lanes.
#[derive(Debug)]
pub(super) struct Loose {
    /// Below the root.
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) retain: bool,
    pub(super) what: LooseKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LooseKind {
    Birth,
    /// A page of the list of points.
    Points,
    State,
    Risk,
    Reply,
    /// An alarm or a hazard before its commit.
    Undurable,
}

/// What an acknowledgement is about.
#[derive(Debug)]
pub(super) enum Sent {
    Loose(LooseKind),
    Row { seq: i64, lane: Lane, sequence: u64 },
    Again,
    Telemetry(Chunk),
}

/// Names a message under way.
pub(super) type Ticket = u64;

pub(super) struct Session {
    window: usize,
    loose: VecDeque<Loose>,
    lanes: [LaneWindow; 3],
    /// The lanes are not read before the retained topics are told anew.
    announced: bool,
    replays: VecDeque<Replay>,
    /// Pages of the list of points: large, so that they wait behind the lanes and go one at a time.
    points: VecDeque<Loose>,
    telemetry: VecDeque<Chunk>,
    telemetry_in_flight: usize,
    in_flight: HashMap<Ticket, Sent>,
    next_ticket: Ticket,
    acknowledged: Vec<i64>,
}

struct LaneWindow {
    lane: Lane,
    ready: VecDeque<Row>,
    /// The last row that was leased.
    after: i64,
    /// Every sequence up to here was leased, or acknowledged before this connection.
    known: u64,
}

/// Which rows to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) lane: Lane,
    pub(super) after: i64,
    /// The lane's last sequence when the lease was asked for.
    pub(super) last: u64,
}

impl Session {
    /// `unacknowledged`: telemetry of the connection before, oldest first.
    pub(super) fn new(window: usize, unacknowledged: VecDeque<Chunk>) -> Self {
        let lane = |lane| LaneWindow { lane, ready: VecDeque::new(), after: 0, known: 0 };
        Self {
            window,
            loose: VecDeque::new(),
            lanes: Lane::ALL.map(lane),
            announced: false,
            replays: VecDeque::new(),
            points: VecDeque::new(),
            telemetry: unacknowledged,
            telemetry_in_flight: 0,
            in_flight: HashMap::new(),
            next_ticket: 0,
            acknowledged: Vec::new(),
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn push(&mut self, loose: Loose) {
        self.loose.push_back(loose);
    }

    /// The list of points as it is now, in pages from 1; an empty page clears its topic. What waits of the
    /// list before is not told any more.
    pub(super) fn set_points(&mut self, pages: impl Iterator<Item = Vec<u8>>) {
        let page = |(n, payload)| {
            let topic = format!("birth/points/{n}");
            Loose { topic, payload, retain: true, what: LooseKind::Points }
        };
        self.points = (1_u32..).zip(pages).map(page).collect();
    }

    /// The retained topics are in the queue: the lanes may follow, each behind what was acknowledged before.
    pub(super) fn announce(&mut self, sent: LastSequences) {
        if self.announced {
            return;
        }
        self.announced = true;
        for lane in &mut self.lanes {
            lane.known = sent.of(lane.lane);
        }
    }

    /// For each lane the sequence up to which the broker has acknowledged everything: what a receiver that
    /// was there must have by now.
    pub(super) fn sent(&self) -> LastSequences {
        let mut sent = LastSequences::default();
        for lane in &self.lanes {
            let flying = self.in_flight.values().filter_map(|sent| match sent {
                Sent::Row { lane: of, sequence, .. } if *of == lane.lane => Some(*sequence),
                Sent::Row { .. } | Sent::Loose(_) | Sent::Again | Sent::Telemetry(_) => None,
            });
            let ready = lane.ready.front().map(|row| row.sequence);
            let first = flying.chain(ready).min();
            sent.set(lane.lane, first.map_or(lane.known, |first| first.saturating_sub(1)));
        }
        sent
    }

    pub(super) fn is_announced(&self) -> bool {
        self.announced
    }

    /// The first lane, by urgency, that has rows in the store and few in hand.
    pub(super) fn wants_lease(&self, last: LastSequences) -> Option<Lease> {
        let hungry =
            |lane: &&LaneWindow| lane.ready.len() < LEASE_ROWS / 2 && lane.known < last.of(lane.lane);
        self.lanes.iter().find(hungry).filter(|_| self.announced).map(|lane| Lease {
            lane: lane.lane,
            after: lane.after,
            last: last.of(lane.lane),
        })
    }

    /// The answer to a lease of at most [`LEASE_ROWS`] rows.
    pub(super) fn leased(&mut self, lease: Lease, rows: Vec<Row>) {
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.lane == lease.lane) else { return };
        if rows.len() < LEASE_ROWS {
            lane.known = lane.known.max(lease.last);
        }
        if let Some(row) = rows.last() {
            lane.after = row.seq;
            lane.known = lane.known.max(row.sequence);
        }
        lane.ready.extend(rows);
    }

    /// What to publish now: loose messages, then the lanes by urgency, then what was asked for again, then
    /// the list of points, then telemetry. The caller hands it over and calls [`Session::handed_over`].
    pub(super) fn next(&mut self) -> Option<Outgoing> {
        let in_flight = self.in_flight.len();
        if in_flight >= self.window {
            return None;
        }
        if let Some(loose) = self.loose.pop_front() {
            return Some(Outgoing::Loose(loose));
        }
        if in_flight + RESERVED < self.window {
            if let Some(row) = self.lanes.iter_mut().find_map(|lane| lane.ready.pop_front()) {
                return Some(Outgoing::Row(row));
            }
            if let Some(row) = self.replays.front_mut().and_then(Replay::pop) {
                return Some(Outgoing::Again(row));
            }
            let flies = |sent: &Sent| matches!(sent, Sent::Loose(LooseKind::Points));
            if !self.points.is_empty() && !self.in_flight.values().any(flies) {
                return self.points.pop_front().map(Outgoing::Loose);
            }
        }
        if self.telemetry_in_flight < TELEMETRY_MAX {
            return self.telemetry.pop_front().map(Outgoing::Telemetry);
        }
        None
    }

    /// It is on its way.
    pub(super) fn handed_over(&mut self, sent: Sent) -> Ticket {
        if let Sent::Telemetry(_) = sent {
            self.telemetry_in_flight += 1;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.in_flight.insert(ticket, sent);
        ticket
    }

    /// The broker has it.
    pub(super) fn acknowledge(&mut self, ticket: Ticket) -> Option<Sent> {
        let sent = self.in_flight.remove(&ticket)?;
        match &sent {
            Sent::Row { seq, .. } => self.acknowledged.push(*seq),
            Sent::Telemetry(_) => self.telemetry_in_flight -= 1,
            Sent::Loose(_) | Sent::Again => {}
        }
        Some(sent)
    }

    /// Acknowledged rows that the store does not know of yet.
    pub(super) fn take_acknowledged(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.acknowledged)
    }

    pub(super) fn has_acknowledged(&self) -> bool {
        !self.acknowledged.is_empty()
    }

    /// The store could not write them: they are told to it again.
    pub(super) fn put_back_acknowledged(&mut self, rows: Vec<i64>) {
        self.acknowledged.extend(rows);
    }

    /// Room for telemetry that the link can take now.
    pub(super) fn wants_telemetry(&self) -> bool {
        self.telemetry.len() + self.telemetry_in_flight < TELEMETRY_MAX
    }

    pub(super) fn push_telemetry(&mut self, chunk: Chunk) {
        self.telemetry.push_back(chunk);
    }

    pub(super) fn replays(&mut self) -> &mut VecDeque<Replay> {
        &mut self.replays
    }

    /// No state message waits or is under way: another may follow.
    pub(super) fn state_is_told(&self) -> bool {
        let waits = self.loose.iter().any(|loose| loose.what == LooseKind::State);
        let flies = |sent: &Sent| matches!(sent, Sent::Loose(LooseKind::State));
        !waits && !self.in_flight.values().any(flies)
    }

    /// The connection is over. Telemetry that nobody acknowledged, oldest first, for the next one.
    pub(super) fn end(self) -> VecDeque<Chunk> {
        let mut flying: Vec<(Ticket, Chunk)> = Vec::new();
        for (ticket, sent) in self.in_flight {
            if let Sent::Telemetry(chunk) = sent {
                flying.push((ticket, chunk));
            }
        }
        flying.sort_by_key(|(ticket, _)| *ticket);
        flying.into_iter().map(|(_, chunk)| chunk).chain(self.telemetry).collect()
    }
}
