//! The one loop: reports and acts go into the engine, its effects go to the store, and what is committed
//! is shown and sent.
//!
//! The pump owns the engine; nobody else touches it. It never waits for the store, the uplink or a
//! browser: what they cannot take at once waits in a bounded place or is merged and counted. It decides
//! nothing about risk, and it formats nothing but through `uplink::wire`.

mod waiting;

use std::sync::Arc;
use std::time::Duration;

use riskgate_drivers::Clock;
use riskgate_drivers::intake;
use riskgate_engine::{Act, Effect, Engine, Plant, Refusal};
use riskgate_point::{Link, Now, Report};
use tokio::sync::{mpsc, oneshot, watch};

use crate::console::board::BoardHandle;
use crate::events::Event;
use crate::metrics;
use crate::store::{Batch, Committed, JournalEntry, Store};
use crate::uplink::TelemetrySender;
use crate::uplink::wire;
use waiting::Waiting;

/// Reports judged in one turn: at 150 ns each a turn stays well under a millisecond, so that acts and
/// timers never wait long behind a flood.
const TURN_REPORTS_MAX: usize = 4_096;
/// A loop without anything to do turns this often: it feeds the watchdog and looks at the clock.
const IDLE_TURN: Duration = Duration::from_secs(1);
/// A timer that is due again at once would be a mistake of the engine; it must not hang the loop.
const TIMEOUTS_A_TURN_MAX: usize = 100_000;
/// How long a stopping agent waits for what it decided to reach the disk.
const LAST_COMMIT_WAIT: Duration = Duration::from_secs(2);

/// What the rest of the agent asks of the pump.
pub enum Order {
    Act { act: Act, answer: oneshot::Sender<Answer> },
    /// The drivers of the old configuration have ended; go on with the new one.
    Swap { plant: Arc<Plant>, intake: intake::Receiver, entry: JournalEntry, done: oneshot::Sender<()> },
}

/// What became of an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Done { durable: bool },
    Refused(Refusal),
}

/// Everything that the pump works with.
pub struct Pump {
    pub engine: Engine,
    pub plant: Arc<Plant>,
    pub clock: Clock,
    pub intake: intake::Receiver,
    pub orders: mpsc::Receiver<Order>,
    pub store: Store,
    pub board: BoardHandle,
    pub telemetry: TelemetrySender,
    /// Counts turns: the watchdog looks whether it moves.
    pub turns: watch::Sender<u64>,
    /// Effects of starting, not yet committed.
    pub first: Vec<Effect>,
}

impl Pump {
    /// Runs until the intake is closed and empty; then commits what is left and returns.
    pub async fn run(mut self) {
        let mut committed = self.store.committed();
        let mut waiting = Waiting::default();
        let first = std::mem::take(&mut self.first);
        let now = (self.clock)();
        self.commit(&mut waiting, first, Vec::new(), None, now);
        loop {
            tokio::select! {
                reports = self.intake.recv(TURN_REPORTS_MAX) => match reports {
                    Some(reports) => self.take(&mut waiting, reports),
                    None => break,
                },
                Some(order) = self.orders.recv() => self.obey(&mut waiting, order).await,
                Ok(()) = committed.changed() => {}
                () = tokio::time::sleep(self.idle()) => {}
            }
            self.end_turn(&mut waiting, &committed.borrow_and_update().clone());
        }
        self.drain(waiting, committed).await;
    }

    /// Until the engine's next deadline, at most [`IDLE_TURN`]: the runtime's clock stands still while
    /// the machine is suspended, ours does not.
    fn idle(&self) -> Duration {
        let now = (self.clock)();
        match self.engine.poll_timeout() {
            Some((due, _)) => due.since(now.mono).min(IDLE_TURN),
            None => IDLE_TURN,
        }
    }

    fn take(&mut self, waiting: &mut Waiting, reports: Vec<Report>) {
        let now = (self.clock)();
        let mut effects = Vec::new();
        let mut kinds = [0_u64; 5];
        for report in reports {
            note(&self.plant, &report, &mut kinds);
            if let Report::Sample(sample) = &report {
                self.telemetry.offer(&self.plant, sample);
            }
            self.engine.handle(report, now, &mut effects);
        }
        for (kind, count) in ["sample", "fix", "sighting", "link", "refreshed"].into_iter().zip(kinds) {
            if count > 0 {
                metrics::REPORTS.with_label_values(&[kind]).inc_by(count);
            }
        }
        self.commit(waiting, effects, Vec::new(), None, now);
    }

    async fn obey(&mut self, waiting: &mut Waiting, order: Order) {
        match order {
            Order::Act { act, answer } => {
                let now = (self.clock)();
                let mut effects = Vec::new();
                match self.engine.act(&act, now, &mut effects) {
                    Ok(()) => {
                        let entry = journal_of(&act, now);
                        self.commit(waiting, effects, vec![entry], Some(answer), now);
                    }
                    // One who has gone away does not wait for the answer.
                    Err(refusal) => drop(answer.send(Answer::Refused(refusal))),
                }
            }
            Order::Swap { plant, intake, entry, done } => {
                // The old points' reports mean nothing to the new plant: judge them all first.
                while let Some(reports) = self.intake.recv(TURN_REPORTS_MAX).await {
                    self.take(waiting, reports);
                }
                let now = (self.clock)();
                let mut effects = Vec::new();
                self.intake = intake;
                self.plant = Arc::clone(&plant);
                self.engine.reload(plant, now, &mut effects);
                self.commit(waiting, effects, vec![entry], None, now);
                drop(done.send(()));
            }
        }
    }

    fn end_turn(&mut self, waiting: &mut Waiting, committed: &Committed) {
        let now = (self.clock)();
        let mut effects = Vec::new();
        for _ in 0..TIMEOUTS_A_TURN_MAX {
            match self.engine.poll_timeout() {
                Some((due, _)) if due <= now.mono => self.engine.handle_timeout(now, &mut effects),
                Some(_) | None => break,
            }
        }
        self.commit(waiting, effects, Vec::new(), None, now);
        waiting.offer(&self.store);
        waiting.release(committed, &self.board);
        waiting.show_late(now.mono, &self.board);
        self.show_state(committed, now);
        self.turns.send_modify(|turns| *turns += 1);
    }

    fn commit(
        &self,
        waiting: &mut Waiting,
        effects: Vec<Effect>,
        acts: Vec<JournalEntry>,
        answer: Option<oneshot::Sender<Answer>>,
        now: Now,
    ) {
        if effects.is_empty() && acts.is_empty() {
            if let Some(answer) = answer {
                drop(answer.send(Answer::Done { durable: true }));
            }
            return;
        }
        for effect in &effects {
            metrics::EFFECTS.with_label_values(&[kind_of(effect)]).inc();
        }
        let messages = effects.iter().flat_map(|effect| wire::messages(effect, &self.plant)).collect();
        let batch = Batch { seq: waiting.next_seq(), effects, messages, acts, at: now.wall };
        waiting.push(batch, answer, now.mono, &self.store);
    }

    fn show_state(&self, committed: &Committed, now: Now) {
        metrics::MERGED.set(i64::try_from(self.intake.merged()).unwrap_or(i64::MAX));
        metrics::INTAKE_DEPTH.set(i64::try_from(self.intake.depth()).unwrap_or(i64::MAX));
        self.board.show_turn(now, &self.engine.sources(), &self.plant, committed.failed.as_deref());
    }

    async fn drain(&mut self, mut waiting: Waiting, mut committed: watch::Receiver<Committed>) {
        let last = async {
            loop {
                waiting.offer(&self.store);
                waiting.release(&committed.borrow_and_update().clone(), &self.board);
                if waiting.is_empty() || committed.changed().await.is_err() {
                    break;
                }
            }
        };
        if tokio::time::timeout(LAST_COMMIT_WAIT, last).await.is_err() {
            Event::StopTookTooLong { seconds: LAST_COMMIT_WAIT.as_secs() }.emit();
        }
    }
}

fn note(plant: &Plant, report: &Report, kinds: &mut [u64; 5]) {
    let [samples, fixes, sightings, links, refreshed] = kinds;
    match report {
        Report::Sample(_) => *samples += 1,
        Report::Fix(_) => *fixes += 1,
        Report::Sighting(_) => *sightings += 1,
        Report::Refreshed { .. } => *refreshed += 1,
        Report::Link { source, link, .. } => {
            *links += 1;
            let name = plant.source(*source).map_or("?", |source| source.id.as_str());
            metrics::SOURCE_UP.with_label_values(&[name]).set(i64::from(*link == Link::Up));
            match link {
                Link::Connecting => {}
                Link::Up => Event::SourceUp { source: name }.emit(),
                Link::Down { why } => Event::SourceDown { source: name, why }.emit(),
            }
        }
    }
}

fn journal_of(act: &Act, now: Now) -> JournalEntry {
    JournalEntry {
        at: now.wall,
        by: act.by.clone(),
        what: "act".to_owned(),
        body: serde_json::to_value(&act.deed).unwrap_or_default(),
    }
}

fn kind_of(effect: &Effect) -> &'static str {
    match effect {
        Effect::Alarm(_) => "alarm",
        Effect::Hazard(_) => "hazard",
        Effect::Task(_) => "task",
        Effect::Unit(_) => "unit",
    }
}
