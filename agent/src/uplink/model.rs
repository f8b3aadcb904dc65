//! The session against a slow, obvious model: a list of rows, a broker that takes what comes in its order,
//! acknowledges in any order, hangs up, vanishes, and hangs up for good on some rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use riskgate_point::Wall;
use serde_json::json;

use super::session::{LEASE_ROWS, Loose, LooseKind, Outgoing, Sent, Session, SetAside, Ticket};
use super::telemetry::{Chunk, Name};
use super::tests::MORNING;
use crate::store::{Lane, LastSequences, Message, Row};

const WINDOW: usize = 100;

/// Readings of the past begin then.
const LONG_AGO: Wall = Wall(1);

#[derive(Debug, Clone)]
enum Step {
    /// So many rows are committed; the broker hangs up on the first of them where it is poison.
    Offer {
        lane: Lane,
        n: u64,
        poison: bool,
    },
    /// Readings come: live ones, or those of the past.
    Readings {
        live: bool,
    },
    Lease,
    Send {
        n: usize,
    },
    /// One of those that the broker has is acknowledged, after so long.
    Acknowledge {
        which: usize,
        millis: u64,
    },
    /// The connection ends.
    Lose {
        theirs: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lane = prop_oneof![Just(Lane::Critical), Just(Lane::Gap), Just(Lane::Work)];
    let step = prop_oneof![
        3 => (lane, 1_u64..150, prop::bool::weighted(0.1))
            .prop_map(|(lane, n, poison)| Step::Offer { lane, n, poison }),
        2 => any::<bool>().prop_map(|live| Step::Readings { live }),
        4 => Just(Step::Lease),
        6 => (1_usize..120).prop_map(|n| Step::Send { n }),
        9 => (0_usize..100, 0_u64..4_000)
            .prop_map(|(which, millis)| Step::Acknowledge { which, millis }),
        1 => any::<bool>().prop_map(|theirs| Step::Lose { theirs }),
    ];
    prop::collection::vec(step, 1..200)
}

/// What a message is, as the broker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Row(i64),
    Other,
}

#[derive(Default)]
struct World {
    /// All rows that were ever committed, and those that still wait.
    rows: BTreeMap<i64, Row>,
    pending: BTreeSet<i64>,
    poison: BTreeSet<i64>,
    last: LastSequences,
    /// On this connection, what the broker has taken and not acknowledged.
    taken: Vec<(Ticket, Seen)>,
    acknowledged: BTreeSet<i64>,
    /// The broker has run into poison: it takes nothing more.
    dead: bool,
    /// The last row that was sent of each lane, on this connection.
    sent: BTreeMap<Lane, i64>,
    /// How often the broker hung up while a row was the only one under way.
    alone: BTreeMap<i64, u32>,
    now: Duration,
}

impl World {
    fn offer(&mut self, lane: Lane, n: u64, poison: bool) {
        for k in 0..n {
            let seq = i64::try_from(self.rows.len()).expect("few") + 1;
            self.last.set(lane, self.last.of(lane) + 1);
            let message = Message {
                lane,
                topic: "hazard/U-1".to_owned(),
                retain: false,
                kind: "riskgate.hazard.v1".to_owned(),
                object: format!("h{seq}"),
                revision: 1,
                time: MORNING,
                data: json!({}),
            };
            self.rows.insert(seq, Row { seq, sequence: self.last.of(lane), refused: false, message });
            self.pending.insert(seq);
            if poison && k == 0 {
                self.poison.insert(seq);
            }
        }
    }

    fn lane(&self, seq: i64) -> Lane {
        self.rows[&seq].message.lane
    }

    /// As the store answers.
    fn lease(&mut self, session: &mut Session) -> bool {
        let Some(lease) = session.wants_lease(self.last) else { return false };
        let rows = self.pending.range(lease.after + 1..).map(|seq| &self.rows[seq]);
        let rows = rows.filter(|row| row.message.lane == lease.lane).take(LEASE_ROWS).cloned().collect();
        session.leased(lease, rows);
        while let Some(row) = session.take_refused() {
            assert!(self.alone.get(&row.seq) >= Some(&2), "set aside without a trial");
            // Told as a gap and acknowledged, in this order.
            assert!(self.pending.remove(&row.seq), "told once");
        }
        true
    }

    fn connect(&mut self, session: &mut Session) {
        let first = |lane| self.pending.iter().find(|seq| self.lane(**seq) == lane);
        let mut told = LastSequences::default();
        for lane in Lane::ALL {
            let before = first(lane).map(|seq| self.rows[seq].sequence - 1);
            told.set(lane, before.unwrap_or(self.last.of(lane)));
        }
        session.answered();
        session.announce(told);
        let topic = "state".to_owned();
        session.push(Loose { topic, payload: Vec::new(), retain: true, what: LooseKind::State });
    }

    fn send(&mut self, session: &mut Session) -> bool {
        let in_flight_before = session.in_flight();
        let Some(outgoing) = session.next(self.now) else { return false };
        assert!(in_flight_before < WINDOW, "the window is bounded");
        let (sent, seen, bytes) = match outgoing {
            Outgoing::Loose(Loose { what, topic, .. }) => (Sent::Loose { what, topic }, Seen::Other, 10),
            Outgoing::Row(row) => {
                self.check_order(&row);
                let (lane, sequence) = (row.message.lane, row.sequence);
                (Sent::Row { seq: row.seq, lane, sequence }, Seen::Row(row.seq), 1_000)
            }
            Outgoing::Again(_) => unreachable!("nothing was asked for again"),
            Outgoing::Telemetry(chunk) => {
                let ready = session.ready_rows();
                let is_past = chunk.from == LONG_AGO;
                assert!(ready == 0 || !is_past && session.row_room() == 0, "readings go behind every row");
                (Sent::Telemetry(chunk), Seen::Other, 60_000)
            }
        };
        let ticket = session.handed_over(sent, bytes, self.now);
        if !self.dead {
            match seen {
                Seen::Row(seq) if self.poison.contains(&seq) => {
                    self.dead = true;
                    if in_flight_before == 0 {
                        *self.alone.entry(seq).or_default() += 1;
                    }
                }
                Seen::Row(_) | Seen::Other => self.taken.push((ticket, seen)),
            }
        }
        true
    }

    /// In its lane each row goes behind the one before it, and no pending one is left out.
    fn check_order(&mut self, row: &Row) {
        let lane = row.message.lane;
        let after = self.sent.insert(lane, row.seq).unwrap_or(0);
        let between = self.pending.range(after + 1..row.seq).filter(|seq| self.lane(**seq) == lane);
        let skipped: Vec<&i64> = between.collect();
        assert!(row.seq > after && skipped.is_empty(), "{row:?} overtook {skipped:?}");
    }

    fn acknowledge(&mut self, session: &mut Session, which: usize) {
        if self.taken.is_empty() {
            return;
        }
        let (ticket, seen) = self.taken.remove(which % self.taken.len());
        assert!(session.acknowledge(ticket, self.now).is_some(), "known");
        if let Seen::Row(seq) = seen {
            self.acknowledged.insert(seq);
        }
        self.write(session);
    }

    /// The store writes what was acknowledged: nothing but what the broker did acknowledge.
    fn write(&mut self, session: &mut Session) {
        for seq in session.take_acknowledged() {
            assert!(self.acknowledged.contains(&seq), "{seq} left without its PUBACK");
            assert!(self.pending.remove(&seq), "once");
        }
    }

    fn lose(&mut self, session: &mut Session, theirs: bool) {
        if let Some(SetAside::Row(seq)) = session.lost(theirs).aside {
            assert!(self.alone.get(&seq) >= Some(&2), "{seq} was set aside without two trials alone");
        }
        assert_eq!(session.in_flight(), 0);
        self.taken.clear();
        self.sent.clear();
        self.dead = false;
        self.connect(session);
    }

    /// A broker that works from here on, but for poison: everything else arrives.
    fn settle(&mut self, session: &mut Session) {
        for _ in 0..100 + 20 * self.poison.len() {
            self.now += Duration::from_secs(1);
            for _ in 0..self.rows.len() + 20 {
                let leased = self.lease(session);
                let sent = self.send(session);
                self.now += Duration::from_millis(1);
                if !leased && !sent {
                    if self.taken.is_empty() {
                        break;
                    }
                    self.acknowledge(session, 0);
                }
            }
            if self.dead {
                self.lose(session, true);
            }
            if self.pending.is_empty() && session.in_flight() == 0 {
                return;
            }
        }
        panic!("{} rows never arrived, the first {:?}", self.pending.len(), self.pending.first());
    }
}

fn chunk(bytes: usize) -> Chunk {
    let readings = Arc::new(super::tests::readings(bytes / 160));
    let name = Name::new("chunk".to_owned());
    Chunk { readings, from: MORNING, to: MORNING, name, ticket: None, spooled: None }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn no_row_leaves_but_by_its_puback_or_as_a_told_refusal_in_the_order_of_its_lane(steps in steps()) {
        let mut session = Session::new(WINDOW, None);
        let mut world = World::default();
        world.connect(&mut session);
        for step in steps {
            match step {
                Step::Offer { lane, n, poison } => world.offer(lane, n, poison),
                Step::Readings { live: true } => {
                    if let Some(bytes) = session.wants_live() {
                        session.push_live(chunk(bytes), world.now);
                    }
                }
                Step::Readings { live: false } => {
                    if let Some(read) = session.wants_past() {
                        session.push_past(Chunk { spooled: Some(read + 1), from: LONG_AGO, ..chunk(60_000) });
                    }
                }
                Step::Lease => drop(world.lease(&mut session)),
                Step::Send { n } => {
                    for _ in 0..n {
                        if !world.send(&mut session) {
                            break;
                        }
                    }
                }
                Step::Acknowledge { which, millis } => {
                    world.now += Duration::from_millis(millis);
                    world.acknowledge(&mut session, which);
                }
                // A broker that has run into poison hangs up; any other may vanish.
                Step::Lose { theirs } => { let theirs = theirs || world.dead; world.lose(&mut session, theirs); }
            }
        }
        world.settle(&mut session);
        // What is gone was acknowledged by the broker, or is poison.
        for seq in world.rows.keys() {
            prop_assert!(world.acknowledged.contains(seq) || world.poison.contains(seq));
            prop_assert!(!(world.acknowledged.contains(seq) && world.poison.contains(seq)));
        }
    }
}
