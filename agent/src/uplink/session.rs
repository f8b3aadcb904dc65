//! What goes next, what is under way, what was acknowledged. Pure: it owns no connection, no store and no
//! clock; the caller reads rows for it, says what time it is, and carries out what it says.
//!
//! A row is acknowledged by its own PUBACK and by nothing else. No session of the broker's is ever resumed:
//! with the end of a connection all that was under way is pending again, and the next one begins with the
//! oldest of each lane. What was learnt of the link stays: how much it carries at once ([`Window`]), and
//! which message the broker hangs up on ([`Suspicion`]).

mod readings;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::ceiling::Ceiling;
use super::commands::{Ration, Replay};
use super::drain::Drain;
use super::suspect::{Key, Suspicion};
use super::telemetry::{CHUNK_BYTES_MAX, Chunk};
use super::window::Window;
use crate::store::{Lane, LastSequences, Row};

/// Rows read ahead for each lane. Small: a message may have 240 KiB.
pub(super) const LEASE_ROWS: usize = 100;

/// Telemetry messages under way at once: a slow broker must not fill the window with them.
const TELEMETRY_MAX: usize = 8;

/// Bytes of telemetry under way: what an urgent message may find in front of it. Four messages of the
/// largest at most; on a slow link down to 4 KiB, which 32 kbit/s carry in a second.
const BULK_BYTES: [usize; 3] = [4 * 1024, CHUNK_BYTES_MAX, 4 * CHUNK_BYTES_MAX];
const BULK_STEP: usize = 8 * 1024;

/// Rows under way: at least so many.
const ROWS_MIN: usize = 4;

/// What is kept free of outbox rows, for state, answers and telemetry.
const RESERVED: usize = 12;

/// Ends of a connection on several readings together, before they are sent in smaller messages.
const READINGS_TOGETHER: u32 = 2;

/// A broker that takes messages and acknowledges none for so long does its work no more; and for as much longer as
/// a link of 32 kbit/s needs for what is under way.
const DEAF_AFTER: Duration = Duration::from_secs(30);
const SLOWEST_BYTES_PER_S: usize = 4 * 1024;

/// Rows set aside that are remembered, so that a resend does not run into them again.
const REFUSED_MAX: usize = 1_000;

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
    /// The present state of an object that is retained, at this revision.
    Present {
        revision: u64,
    },
    /// Of a topic that is cleared.
    Cleared,
    /// How many people are in a zone.
    People,
    /// What work is permitted in a unit.
    Permit,
    Reply,
    /// An alarm or a hazard before its commit.
    Undurable,
}

/// What an acknowledgement is about.
#[derive(Debug)]
pub(super) enum Sent {
    Loose { what: LooseKind, topic: String },
    Row { seq: i64, lane: Lane, sequence: u64 },
    Again,
    Telemetry(Chunk),
}

impl Sent {
    fn key(&self) -> Option<Key> {
        match self {
            Self::Loose { topic, .. } => Some(Key::Loose(topic.clone())),
            Self::Row { seq, .. } => Some(Key::Row(*seq)),
            Self::Telemetry(_) => Some(Key::Telemetry),
            // It is not sent on the next connection.
            Self::Again => None,
        }
    }
}

/// Names a message under way; rising in the order of sending.
pub(super) type Ticket = u64;

struct Flying {
    sent: Sent,
    bytes: usize,
    handed: Duration,
}

/// What the broker would not take.
#[derive(Debug, PartialEq)]
pub(super) enum SetAside {
    /// It comes with [`Session::take_refused`] once it is read again.
    Row(i64),
    Loose(String),
    /// The readings go in smaller messages from now on.
    Smaller(usize),
    /// A single reading.
    Reading(Chunk),
}

/// What a connection leaves behind.
#[derive(Debug)]
pub(super) struct Left {
    /// Readings that nobody acknowledged and that are in no spool, oldest first.
    pub(super) readings: Vec<Chunk>,
    /// The broker hung up on the same message as before: soon tried again, it is soon known.
    pub(super) again: bool,
    /// The broker acknowledged something.
    pub(super) worked: bool,
    pub(super) aside: Option<SetAside>,
}

pub(super) struct Session {
    window: usize,
    rows: Window,
    bulk: Window,
    ceiling: Ceiling,
    drain: Drain,
    suspicion: Suspicion,
    /// Rows that were set aside.
    refused: BTreeSet<i64>,
    /// Those of them that were read and are to be told as gaps.
    refused_read: Vec<Row>,
    /// Topics of messages outside the lanes that were set aside.
    left_out: BTreeSet<String>,
    loose: VecDeque<Loose>,
    lanes: [LaneWindow; 3],
    /// The lanes are not read before the retained topics are told anew.
    announced: bool,
    replays: VecDeque<Replay>,
    /// Of entries in the journal on commands, over all connections.
    pub(super) ration: Ration,
    /// Pages of the list of points: large, so that they wait behind the lanes and go one at a time.
    points: VecDeque<Loose>,
    /// Readings of now, and of the past.
    live: VecDeque<Chunk>,
    backlog: VecDeque<Chunk>,
    /// The place in the spool that was read last.
    past_read: i64,
    /// Of places that went in pieces, how many of these the broker does not have yet.
    pieces: BTreeMap<i64, usize>,
    /// The last sequences in the store, as they were heard of.
    committed: LastSequences,
    in_flight: BTreeMap<Ticket, Flying>,
    next_ticket: Ticket,
    /// The last acknowledgement, or the first message after everything was acknowledged.
    progress: Duration,
    worked: bool,
    acknowledged: Vec<i64>,
    /// What is on trial is under way, alone.
    testing: bool,
    answered: bool,
    /// How often the broker hung up on several readings together, since it took some.
    hung_up_on_readings: u32,
}

struct LaneWindow {
    lane: Lane,
    ready: VecDeque<Row>,
    /// The last row that was leased.
    after: i64,
    /// Every sequence up to here was leased, or acknowledged before this connection.
    known: u64,
}

impl LaneWindow {
    fn new(lane: Lane) -> Self {
        Self { lane, ready: VecDeque::new(), after: 0, known: 0 }
    }
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
    /// `drain`: readings of the past each second, where it is configured.
    pub(super) fn new(window: usize, drain: Option<u32>) -> Self {
        let most = window.saturating_sub(RESERVED).max(ROWS_MIN);
        let [least, first, bulk] = BULK_BYTES;
        Self {
            window,
            rows: Window::new(ROWS_MIN, most, most, 1),
            bulk: Window::new(least, first, bulk, BULK_STEP),
            ceiling: Ceiling::new(CHUNK_BYTES_MAX),
            drain: Drain::new(drain),
            suspicion: Suspicion::default(),
            refused: BTreeSet::new(),
            refused_read: Vec::new(),
            left_out: BTreeSet::new(),
            loose: VecDeque::new(),
            lanes: Lane::ALL.map(LaneWindow::new),
            announced: false,
            replays: VecDeque::new(),
            ration: Ration::default(),
            points: VecDeque::new(),
            live: VecDeque::new(),
            backlog: VecDeque::new(),
            past_read: 0,
            pieces: BTreeMap::new(),
            committed: LastSequences::default(),
            in_flight: BTreeMap::new(),
            next_ticket: 0,
            progress: Duration::ZERO,
            worked: false,
            acknowledged: Vec::new(),
            testing: false,
            answered: false,
            hung_up_on_readings: 0,
        }
    }

    /// The connection is over; `theirs`: the broker has ended it.
    pub(super) fn lost(&mut self, theirs: bool) -> Left {
        let in_flight = std::mem::take(&mut self.in_flight);
        let first = in_flight.values().next().and_then(|flying| flying.sent.key());
        let flying = in_flight.into_values().filter_map(|flying| match flying.sent {
            Sent::Telemetry(chunk) => Some(chunk),
            Sent::Loose { .. } | Sent::Row { .. } | Sent::Again => None,
        });
        // What is spooled is read from there again.
        let live = std::mem::take(&mut self.live);
        let mut readings: Vec<Chunk> = flying.chain(live).collect();
        let alone = std::mem::take(&mut self.testing);
        self.backlog.clear();
        self.past_read = 0;
        self.pieces.clear();
        self.progress = Duration::ZERO;
        let worked = std::mem::take(&mut self.worked);
        self.answered = false;
        self.announced = false;
        self.loose.clear();
        self.replays.clear();
        self.points.clear();
        self.refused_read.clear();
        self.lanes = Lane::ALL.map(LaneWindow::new);
        let again = theirs && first.as_ref().is_some_and(|key| self.suspicion.is_of(key));
        let aside = if theirs { self.hung_up(first, alone, &mut readings) } else { None };
        readings.retain(|chunk| chunk.spooled.is_none());
        Left { readings, again, worked, aside }
    }

    fn hung_up(&mut self, first: Option<Key>, alone: bool, readings: &mut Vec<Chunk>) -> Option<SetAside> {
        // To try smaller messages of readings costs nothing: no trial is needed for that.
        if let (Some(Key::Telemetry), Some(chunk)) = (&first, readings.first())
            && chunk.readings.len() > 1
        {
            self.hung_up_on_readings += 1;
            if self.hung_up_on_readings < READINGS_TOGETHER {
                return None;
            }
            self.hung_up_on_readings = 0;
            self.ceiling.hung_up(chunk.bytes());
            return Some(SetAside::Smaller(self.ceiling.bytes()));
        }
        match self.suspicion.hung_up(first, alone)? {
            Key::Row(seq) => {
                self.refused.insert(seq);
                if self.refused.len() > REFUSED_MAX {
                    self.refused.pop_first();
                }
                Some(SetAside::Row(seq))
            }
            Key::Loose(topic) => {
                self.left_out.insert(topic.clone());
                Some(SetAside::Loose(topic))
            }
            Key::Telemetry if readings.is_empty() => None,
            Key::Telemetry => {
                self.ceiling.explained();
                Some(SetAside::Reading(readings.remove(0)))
            }
        }
    }

    /// The connection is up and useless: it is made anew.
    pub(super) fn is_deaf(&self, now: Duration) -> bool {
        let bytes: usize = self.in_flight.values().map(|flying| flying.bytes).sum();
        let sending = u64::try_from(bytes / SLOWEST_BYTES_PER_S).unwrap_or(u64::MAX);
        let patience = DEAF_AFTER.saturating_add(Duration::from_secs(sending));
        !self.in_flight.is_empty() && now.saturating_sub(self.progress) >= patience
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// What was set aside is not told any more.
    pub(super) fn push(&mut self, loose: Loose) {
        if !self.left_out.contains(&loose.topic) {
            self.loose.push_back(loose);
        }
    }

    /// Answers that wait to be sent.
    pub(super) fn replies(&self) -> usize {
        self.loose.iter().filter(|loose| loose.what == LooseKind::Reply).count()
    }

    /// No message of the kind waits to be sent or to be acknowledged.
    pub(super) fn has_arrived(&self, kind: &LooseKind) -> bool {
        !self.loose.iter().any(|loose| loose.what == *kind)
            && self.count(|sent| matches!(sent, Sent::Loose { what, .. } if what == kind)) == 0
    }

    /// The list of points as it is now, in pages from 1; an empty page clears its topic. What waits of the
    /// list before is not told any more.
    pub(super) fn set_points(&mut self, pages: impl Iterator<Item = Vec<u8>>) {
        let page = |(n, payload)| {
            let topic = format!("birth/points/{n}");
            Loose { topic, payload, retain: true, what: LooseKind::Points }
        };
        let pages = (1_u32..).zip(pages).map(page);
        self.points = pages.filter(|page| !self.left_out.contains(&page.topic)).collect();
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
            let flying = self.in_flight.values().filter_map(|flying| match &flying.sent {
                Sent::Row { lane: of, sequence, .. } if *of == lane.lane => Some(*sequence),
                Sent::Row { .. } | Sent::Loose { .. } | Sent::Again | Sent::Telemetry(_) => None,
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
    pub(super) fn wants_lease(&mut self, last: LastSequences) -> Option<Lease> {
        self.committed = last;
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
        let (refused, ready) = rows.into_iter().partition(|row| self.refused.contains(&row.seq));
        self.refused_read.extend::<Vec<Row>>(refused);
        lane.ready.extend::<Vec<Row>>(ready);
    }

    /// A row that was set aside: to be told as a gap and taken out of the outbox.
    pub(super) fn take_refused(&mut self) -> Option<Row> {
        self.refused_read.pop()
    }

    /// It could not be told yet.
    pub(super) fn put_back_refused(&mut self, row: Row) {
        self.refused_read.push(row);
    }

    /// What to publish now: messages outside the lanes, then the lanes by urgency, then what was asked for
    /// again, then the list of points, then readings of now, then those of the past at their rate and while no row
    /// waits, here or in the store: on a slow link they would take half of it. The caller hands it over and calls
    /// [`Session::handed_over`].
    pub(super) fn next(&mut self, now: Duration) -> Option<Outgoing> {
        if self.in_flight.len() >= self.window || self.testing {
            return None;
        }
        if let Some(place) = self.loose.iter().position(|loose| !self.is_on_trial(loose)) {
            return self.loose.remove(place).map(Outgoing::Loose);
        }
        match self.next_row() {
            Turn::Go(row) => return Some(Outgoing::Row(row)),
            Turn::Wait => return None,
            Turn::Pass => {}
        }
        if !self.loose.is_empty() {
            return if self.may_test() { self.loose.pop_front().map(Outgoing::Loose) } else { None };
        }
        let rows_fly = self.count(|sent| matches!(sent, Sent::Row { .. } | Sent::Again));
        if rows_fly < self.rows.limit()
            && let Some(row) = self.next_replayed()
        {
            return Some(Outgoing::Again(row));
        }
        if let Some(page) = self.points.front() {
            let flies = |sent: &Sent| matches!(sent, Sent::Loose { what: LooseKind::Points, .. });
            if self.count(flies) == 0 && (!self.is_on_trial(page) || self.may_test()) {
                return self.points.pop_front().map(Outgoing::Loose);
            }
        }
        self.next_telemetry(now).map(Outgoing::Telemetry)
    }

    fn next_row(&mut self) -> Turn {
        if self.count(|sent| matches!(sent, Sent::Row { .. } | Sent::Again)) >= self.rows.limit() {
            return Turn::Pass;
        }
        let Some(front) = self.lanes.iter().find_map(|lane| lane.ready.front()) else { return Turn::Pass };
        if self.suspicion.is_on_trial(&Key::Row(front.seq)) && !self.may_test() {
            return Turn::Wait;
        }
        match self.lanes.iter_mut().find_map(|lane| lane.ready.pop_front()) {
            Some(row) => Turn::Go(row),
            None => Turn::Pass,
        }
    }

    /// What was set aside is skipped: it would end this connection as well.
    fn next_replayed(&mut self) -> Option<Row> {
        let replay = self.replays.front_mut()?;
        loop {
            let row = replay.pop()?;
            if !row.refused && !self.refused.contains(&row.seq) {
                return Some(row);
            }
            replay.skipped(row.sequence);
        }
    }

    /// Rows wait to be sent.
    fn has_rows(&self) -> bool {
        let waits = |lane: &LaneWindow| !lane.ready.is_empty() || lane.known < self.committed.of(lane.lane);
        self.lanes.iter().any(waits)
    }

    fn is_on_trial(&self, loose: &Loose) -> bool {
        self.suspicion.is_on_trial(&Key::Loose(loose.topic.clone()))
    }

    /// What is on trial may go now, and is under way from here on. Nothing else is, all that went before it
    /// was acknowledged, and the broker has answered on this connection: one whose broker hangs up on
    /// whatever comes first, as where two clients share an id, condemns no message.
    fn may_test(&mut self) -> bool {
        self.testing = self.in_flight.is_empty() && self.answered;
        self.testing
    }

    /// The broker has answered something on this connection.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }

    fn count(&self, of: impl Fn(&Sent) -> bool) -> usize {
        self.in_flight.values().filter(|flying| of(&flying.sent)).count()
    }

    #[cfg(test)]
    pub(super) fn ready_rows(&self) -> usize {
        self.lanes.iter().map(|lane| lane.ready.len()).sum()
    }

    #[cfg(test)]
    pub(super) fn row_room(&self) -> usize {
        self.rows.limit().saturating_sub(self.count(|sent| matches!(sent, Sent::Row { .. } | Sent::Again)))
    }

    /// It is on its way.
    pub(super) fn handed_over(&mut self, sent: Sent, bytes: usize, now: Duration) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        if self.in_flight.is_empty() {
            self.progress = now;
        }
        self.in_flight.insert(ticket, Flying { sent, bytes, handed: now });
        ticket
    }

    /// The broker has it.
    pub(super) fn acknowledge(&mut self, ticket: Ticket, now: Duration) -> Option<Sent> {
        let Flying { mut sent, handed, .. } = self.in_flight.remove(&ticket)?;
        self.progress = now;
        self.worked = true;
        if let Some(key) = sent.key() {
            self.suspicion.acknowledged(&key);
        }
        self.testing = false;
        match &mut sent {
            Sent::Row { seq, .. } => {
                self.acknowledged.push(*seq);
                self.rows.acknowledged(handed, now);
            }
            Sent::Telemetry(chunk) => {
                if let Some(place) = chunk.spooled
                    && let Some(rest) = self.pieces.get_mut(&place)
                {
                    *rest = rest.saturating_sub(1);
                    if *rest > 0 {
                        // It stays there for the sake of the others.
                        chunk.spooled = None;
                    } else {
                        self.pieces.remove(&place);
                    }
                }
                self.hung_up_on_readings = 0;
                self.ceiling.acknowledged();
                self.bulk.acknowledged(handed, now);
            }
            Sent::Loose { .. } | Sent::Again => {}
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

    pub(super) fn replays(&mut self) -> &mut VecDeque<Replay> {
        &mut self.replays
    }

    /// No state message waits or is under way: another may follow.
    pub(super) fn state_is_told(&self) -> bool {
        self.has_arrived(&LooseKind::State)
    }
}

/// Whether a row goes.
enum Turn {
    Go(Row),
    /// One on trial stands in front: what is less urgent waits with it.
    Wait,
    Pass,
}
