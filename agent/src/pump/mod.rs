//! The one loop: reports and acts go into the engine, its effects go to the store, and what is committed
//! is shown and sent.
//!
//! The pump owns the engine; nobody else touches it. It never waits for the store, the uplink or a
//! browser: what they cannot take at once waits in a bounded place or is merged and counted. It decides
//! nothing about risk, and it formats nothing but through `uplink::wire`.

mod commands;
mod keep;
mod models;
mod people;
mod permits;
mod shown;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use riskgate_drivers::Clock;
use riskgate_drivers::intake;
use riskgate_drivers::tally::{Counts, Tallies};
use riskgate_engine::{Act, Effect, Engine, Plant, PointDraft, Refusal};
use riskgate_point::{Link, Mono, Now, Report, Sample, SourceId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::console::BoardHandle;
use crate::console::source::{CountsLine, SourceLine};
use crate::events::Event;
use crate::history::Recorder;
use crate::metrics;
use crate::store::{Batch, Carried, Committed, JournalEntry, Message, Store};
use crate::uplink::wire::people::ZoneCount;
use crate::uplink::wire::permit::UnitPermits;
use crate::uplink::wire::{self, Origin, SourceState};
use crate::uplink::{TelemetrySender, ToldPoint, Undurable};
use commands::Commands;
pub use commands::{Commanded, Reason, Refused, Verdict};
use keep::Keeping;
pub use models::{Offered, Taken, Weighing};
use waiting::Waiting;

/// Reports judged in one turn: at 150 ns each a turn stays well under a millisecond, so that acts and
/// timers never wait long behind a flood.
const TURN_REPORTS_MAX: usize = 4_096;
/// A loop without anything to do turns this often: it feeds the watchdog and looks at the clock.
const IDLE_TURN: Duration = Duration::from_secs(1);
/// People read how sources are; more often than this nobody does.
const SHOW_EVERY: Duration = Duration::from_secs(1);
/// A timer that is due again at once would be a mistake of the engine; it must not hang the loop.
const TIMEOUTS_A_TURN_MAX: usize = 100_000;
/// How long a stopping agent waits for what it decided to reach the disk.
pub(crate) const LAST_COMMIT_WAIT: Duration = Duration::from_millis(1_100);
/// While a queue stays full, that samples are merged is told this often.
const MERGED_EVERY: Duration = Duration::from_secs(60);

/// What the rest of the agent asks of the pump.
pub enum Order {
    Act {
        act: Act,
        /// The kernel's word on who asks; the name in the act is that user's own word.
        uid: u32,
        answer: oneshot::Sender<Answer>,
    },
    /// From upstream; the answer comes when it is on disk, or was refused.
    Command { command: Box<Commanded>, answer: oneshot::Sender<Verdict> },
    /// Whether a model from upstream may be taken now: the way for the answer comes back through `go`.
    Weigh { asked: Weighing, go: oneshot::Sender<oneshot::Sender<Verdict>>, answer: oneshot::Sender<Verdict> },
    /// The drivers of what is no more, or is otherwise, have ended; go on with the new configuration.
    Swap {
        plant: Arc<Plant>,
        /// The new drivers wait for it: what they read is of the new plant.
        go: CancellationToken,
        tallies: Tallies,
        entry: JournalEntry,
        /// The model from upstream that this is about.
        taken: Option<Box<Taken>>,
        answer: oneshot::Sender<Answer>,
    },
}

/// What became of an order. Where none comes, the pump ended before it could say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Done {
        durable: bool,
    },
    Refused(Refusal),
    /// Nothing has changed: the store has no room, and too many acts wait already.
    Full,
}

/// What a pump that has ended leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Left {
    /// Effects and acts that the store's queue never had room for.
    pub over: usize,
}

/// What one run of the loop remembers besides the engine.
struct Tail {
    waiting: Waiting,
    commands: Commands,
    tags: Vec<ToldPoint>,
    /// When the sources were last shown.
    shown: Mono,
    /// Why the store's newest try failed, as it was told last.
    failed: Option<String>,
    /// Pieces that can never be written, as they were told last.
    unwritable: u64,
    merged: Merged,
    keeping: Keeping,
}

/// Samples that the full queue merged away.
#[derive(Default)]
struct Merged {
    told: u64,
    told_at: Option<Mono>,
}

/// Everything that the pump works with.
pub struct Pump {
    pub engine: Engine,
    pub plant: Arc<Plant>,
    pub clock: Clock,
    pub intake: intake::Receiver,
    /// What the drivers count of their own work.
    pub tallies: Tallies,
    pub orders: mpsc::Receiver<Order>,
    pub store: Store,
    pub history: Recorder,
    pub board: BoardHandle,
    pub telemetry: TelemetrySender,
    /// What goes upstream before its commit.
    pub undurable: Undurable,
    pub origin: Origin,
    /// How the sources are, for upstream.
    pub states: watch::Sender<Vec<SourceState>>,
    /// How many people are where, for upstream.
    pub people: watch::Sender<Vec<ZoneCount>>,
    /// What work is permitted where, for upstream; `None` before the first look.
    pub permits: watch::Sender<Option<Vec<UnitPermits>>>,
    /// Counts turns: the watchdog looks whether it moves.
    pub turns: watch::Sender<u64>,
    /// Effects of starting, not yet committed, and what the journal could not take of it.
    pub first: Vec<Effect>,
    pub first_acts: Vec<JournalEntry>,
    /// Commands from upstream that were carried out before.
    pub carried: Vec<Carried>,
    /// Told when the drivers have ended.
    pub stop: CancellationToken,
}

impl Pump {
    /// Runs until `stop`, or until the intake is closed and empty; then judges and commits what is left.
    pub async fn run(mut self) -> Left {
        let mut committed = self.store.committed();
        let mut tail = Tail {
            waiting: Waiting::default(),
            commands: Commands::restored(std::mem::take(&mut self.carried)),
            tags: tags_of(&self.plant),
            shown: Mono::default(),
            failed: None,
            unwritable: 0,
            merged: Merged::default(),
            keeping: Keeping::default(),
        };
        let first = std::mem::take(&mut self.first);
        let now = (self.clock)();
        let acts = std::mem::take(&mut self.first_acts);
        self.commit(&mut tail, first, acts, None, now);
        loop {
            let idle = self.idle();
            // In this order, not by chance: what is rare and bounded first, so that a flood of reports holds
            // up neither a stop nor a person, and the same inputs are judged in the same order.
            tokio::select! {
                biased;
                // A driver that hangs holds its end of the intake for ever: it is not waited for.
                () = self.stop.cancelled() => {
                    self.take_all(&mut tail).await;
                    break;
                }
                Some(order) = self.orders.recv() => self.obey(&mut tail, order).await,
                reports = self.intake.recv(TURN_REPORTS_MAX) => match reports {
                    Some(reports) => self.take(&mut tail, reports),
                    None => break,
                },
                // Each turn looks at it.
                Ok(()) = committed.changed() => {}
                () = tokio::time::sleep(idle) => {}
            }
            let so_far = committed.borrow_and_update().clone();
            self.end_turn(&mut tail, &so_far);
        }
        tail.merged.tell(self.intake.merged(), None);
        let now = (self.clock)();
        self.history.turn(now);
        tail.keeping.keep(&self.engine, &self.store, now);
        self.drain(tail, committed).await
    }

    /// What waits in the intake now.
    async fn take_all(&mut self, tail: &mut Tail) {
        while self.intake.depth() > 0
            && let Some(reports) = self.intake.recv(TURN_REPORTS_MAX).await
        {
            self.take(tail, reports);
        }
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

    fn take(&mut self, tail: &mut Tail, reports: Vec<Report>) {
        let now = (self.clock)();
        let mut effects = Vec::new();
        self.telemetry.offer(reports.iter().filter_map(|report| tagged(&tail.tags, report)));
        self.history.offer(&reports);
        let mut kinds = [0_u64; KINDS.len()];
        for report in reports {
            note(&self.plant, &report, &mut kinds);
            self.engine.handle(report, now, &mut effects);
        }
        for (kind, count) in KINDS.into_iter().zip(kinds) {
            if count > 0 {
                metrics::REPORTS.with_label_values(&[kind]).inc_by(count);
            }
        }
        self.commit(tail, effects, Vec::new(), None, now);
    }

    async fn obey(&mut self, tail: &mut Tail, order: Order) {
        match order {
            Order::Act { answer, .. } if !tail.waiting.has_room_for_an_act() => {
                drop(answer.send(Answer::Full));
            }
            Order::Act { act, uid, answer } => {
                let now = (self.clock)();
                let mut effects = Vec::new();
                match self.engine.act(&act, now, &mut effects) {
                    Ok(()) => {
                        let entry = journal_of(&act, uid, unit_of(&effects), now);
                        self.commit(tail, effects, vec![entry], Some(answer), now);
                    }
                    // One who has gone away does not wait for the answer.
                    Err(refusal) => drop(answer.send(Answer::Refused(refusal))),
                }
            }
            Order::Command { command, answer } => self.command(tail, *command, answer),
            Order::Weigh { asked, go, answer } => self.weigh(tail, &asked, go, answer),
            Order::Swap { plant, go, tallies, entry, taken, answer } => {
                // The old points' reports mean nothing to the new plant: judge them all first. What comes meanwhile of
                // sources that go on has the same numbers in both.
                self.take_all(tail).await;
                let now = (self.clock)();
                let mut effects = Vec::new();
                self.tallies = tallies;
                shown::forget();
                self.plant = Arc::clone(&plant);
                tail.tags = tags_of(&plant);
                self.history.set_plant(&plant, now);
                self.board.update(|board| board.set_plant(Arc::clone(&plant)));
                self.engine.reload(plant, now, &mut effects);
                go.cancel();
                self.swapped(tail, effects, entry, taken, answer, now);
            }
        }
    }

    fn end_turn(&mut self, tail: &mut Tail, committed: &Committed) {
        let now = (self.clock)();
        let mut effects = Vec::new();
        // What waits was received before now: a timer that looked first would take it for missing. Each
        // report runs the timers that were due by the time it was received.
        let timeouts = if self.intake.depth() == 0 { TIMEOUTS_A_TURN_MAX } else { 0 };
        for _ in 0..timeouts {
            match self.engine.poll_timeout() {
                Some((due, _)) if due <= now.mono => self.engine.handle_timeout(now, &mut effects),
                Some(_) | None => break,
            }
        }
        self.commit(tail, effects, Vec::new(), None, now);
        tail.waiting.offer(&self.store);
        let released = tail.waiting.release(committed, now.mono, &self.board);
        tail.commands.release(committed.seq);
        if !self.undurable.is_empty() {
            self.undurable.committed(&self.messages(&released));
        }
        let late = tail.waiting.show_late(now.mono, committed.failed.is_some(), &self.board);
        if !late.is_empty() {
            let over = self.undurable.offer(self.messages(&late));
            Event::ToldUndurable { over }.emit();
        }
        tell_failure(tail, committed);
        self.show_state(tail, committed, now);
        self.turns.send_modify(|turns| *turns += 1);
    }

    fn commit(
        &self,
        tail: &mut Tail,
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
        let batch = self.batch(tail, effects, acts, now);
        tail.waiting.push(batch, answer, now.mono, &self.store);
    }

    fn batch(&self, tail: &mut Tail, effects: Vec<Effect>, acts: Vec<JournalEntry>, now: Now) -> Batch {
        for effect in &effects {
            metrics::EFFECTS.with_label_values(&[kind_of(effect)]).inc();
        }
        let messages = self.messages(&effects);
        let seq = tail.waiting.next_seq();
        let batch = Batch { seq, effects, messages, acts, commands: Vec::new(), at: now.wall };
        #[cfg(test)]
        crate::sim::decided(&batch);
        batch
    }

    fn messages(&self, effects: &[Effect]) -> Vec<Message> {
        effects.iter().flat_map(|effect| wire::messages(effect, &self.plant, &self.origin)).collect()
    }

    /// Each turn tells that it turned; how the sources are changes at a pace for people.
    fn show_state(&mut self, tail: &mut Tail, committed: &Committed, now: Now) {
        self.board.pump_turned(now.mono);
        if now.mono.since(tail.shown) < SHOW_EVERY {
            return;
        }
        tail.shown = now.mono;
        self.history.turn(now);
        tail.keeping.turn(&self.engine, &self.store, now);
        tail.merged.tell(self.intake.merged(), Some(now.mono));
        metrics::INTAKE_DEPTH.set(i64::try_from(self.intake.depth()).unwrap_or(i64::MAX));
        let views = self.engine.sources();
        let counts: Vec<Counts> = views.iter().map(|view| self.counts(view.id)).collect();
        let counted = || views.iter().zip(&counts);
        counted().for_each(|(view, counts)| shown::gauge(&self.plant, view, counts));
        let states: Vec<SourceState> =
            counted().filter_map(|(view, counts)| shown::state_of(&self.plant, view, counts)).collect();
        let zones = people::zones(&self.plant, self.engine.people(now.mono), &self.people.borrow(), now.wall);
        self.people.send_if_modified(|old| std::mem::replace(old, zones) != *old);
        let units = permits::units(&self.engine, self.permits.borrow().as_deref().unwrap_or_default(), now);
        self.permits.send_if_modified(|old| old.replace(units) != *old);
        let unjudged = self.engine.unjudged();
        shown::gauge_unjudged(&unjudged);
        shown::gauge_shadows(&self.engine.shadows());
        shown::gauge_coverage(&self.plant);
        self.states.send_if_modified(|old| {
            // Counts move with each poll; they go along with what is news.
            let news = !old.iter().map(SourceState::news).eq(states.iter().map(SourceState::news));
            *old = states;
            news
        });
        let (quality, unwatched) = (self.engine.quality(now.mono), self.engine.unwatched());
        self.board.update(|board| {
            let lines = views.iter().map(|view| SourceLine::new(view, &self.plant)).collect();
            board.set_sources(lines, counts.iter().map(CountsLine::from).collect());
            board.set_quality(quality, unwatched);
            board.set_store_failure(store_failure(&tail.waiting, committed));
        });
    }

    fn counts(&self, source: SourceId) -> Counts {
        self.tallies.get(source).map(|tally| tally.counts()).unwrap_or_default()
    }

    async fn drain(&mut self, tail: Tail, mut committed: watch::Receiver<Committed>) -> Left {
        let Tail { mut waiting, mut commands, .. } = tail;
        let last = async {
            loop {
                waiting.offer(&self.store);
                let so_far = committed.borrow_and_update().clone();
                drop(waiting.release(&so_far, (self.clock)().mono, &self.board));
                commands.release(so_far.seq);
                if waiting.is_empty() || committed.changed().await.is_err() {
                    break;
                }
            }
        };
        if tokio::time::timeout(LAST_COMMIT_WAIT, last).await.is_err() {
            Event::StopTookTooLong { part: "the last commit", within: LAST_COMMIT_WAIT }.emit();
        }
        waiting.tell_superseded();
        Left { over: waiting.effects_over() }
    }
}

impl Merged {
    /// Counted each time; while it goes on, told once a minute, and at the end (`None`).
    fn tell(&mut self, merged: u64, now: Option<Mono>) {
        metrics::MERGED.set(i64::try_from(merged).unwrap_or(i64::MAX));
        let due = self.told_at.zip(now).is_none_or(|(told, now)| now.since(told) >= MERGED_EVERY);
        if merged > self.told && due {
            Event::SamplesMerged { count: merged - self.told }.emit();
            self.told = merged;
            self.told_at = now;
        }
    }
}

/// Once for each change: a store that fails is tried again every few seconds, for hours.
fn tell_failure(tail: &mut Tail, committed: &Committed) {
    if committed.unwritable > tail.unwritable {
        Event::Unwritable { count: committed.unwritable - tail.unwritable }.emit();
        tail.unwritable = committed.unwritable;
    }
    if tail.failed == committed.failed {
        return;
    }
    match &committed.failed {
        Some(why) => Event::CommitFailed { why }.emit(),
        None => Event::CommitWorks.emit(),
    }
    tail.failed.clone_from(&committed.failed);
}

/// What health says of the store: a disk that hangs gives no error, so its silence is one.
fn store_failure(waiting: &Waiting, committed: &Committed) -> Option<String> {
    let late = || {
        waiting.is_late().then(|| format!("it has not answered for over {} s", waiting::LATE_AFTER.as_secs()))
    };
    committed.failed.clone().or_else(late)
}

/// Shared texts: a reading is made for every change.
fn tags_of(plant: &Plant) -> Vec<ToldPoint> {
    let told = |point: &PointDraft| ToldPoint {
        tag: Arc::from(point.tag.as_str()),
        class: point.class,
        deadband: point.deadband,
    };
    plant.points().iter().map(told).collect()
}

/// A sample and its point's tag.
fn tagged<'a>(tags: &'a [ToldPoint], report: &'a Report) -> Option<(&'a ToldPoint, &'a Sample)> {
    let sample = report.sample()?;
    Some((tags.get(usize::try_from(sample.point.0).ok()?)?, sample))
}

/// Of reports, as the metric names them.
const KINDS: [&str; 7] = ["sample", "fix", "sighting", "permit", "condition", "link", "refreshed"];

fn note(plant: &Plant, report: &Report, kinds: &mut [u64; KINDS.len()]) {
    let [samples, fixes, sightings, permits, conditions, links, refreshed] = kinds;
    match report {
        Report::Sample(_) => *samples += 1,
        Report::Fix(_) => *fixes += 1,
        Report::Sighting(_) => *sightings += 1,
        Report::Permit(_) => *permits += 1,
        Report::Condition(_) => *conditions += 1,
        Report::Refreshed { .. } | Report::ConditionsTold { .. } => *refreshed += 1,
        // No sign of life: it is counted beside what it takes back.
        Report::ConditionsLost { .. } => *conditions += 1,
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

/// The unit that an act is about: that of what followed from it.
fn unit_of(effects: &[Effect]) -> Option<&str> {
    effects.iter().find_map(|effect| match effect {
        Effect::Alarm(alarm) => alarm.unit.as_deref(),
        Effect::Hazard(hazard) => Some(&hazard.unit),
        Effect::Task(task) => Some(&task.unit),
        Effect::Unit(unit) => Some(&unit.unit),
        Effect::Record(record) => Some(&record.unit),
        Effect::Stop(stop) => Some(&stop.unit),
        Effect::Indicator(_) | Effect::Shadow(_) => None,
    })
}

fn journal_of(act: &Act, uid: u32, unit: Option<&str>, now: Now) -> JournalEntry {
    JournalEntry {
        at: now.wall,
        by: act.by.clone(),
        what: "act".to_owned(),
        body: serde_json::json!({ "deed": act.deed, "uid": uid, "unit": unit }),
    }
}

fn kind_of(effect: &Effect) -> &'static str {
    match effect {
        Effect::Alarm(_) => "alarm",
        Effect::Hazard(_) => "hazard",
        Effect::Task(_) => "task",
        Effect::Unit(_) => "unit",
        Effect::Record(_) => "record",
        Effect::Stop(_) => "stop",
        Effect::Indicator(_) => "indicator",
        Effect::Shadow(_) => "shadow",
    }
}
