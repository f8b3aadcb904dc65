//! What is decided and not yet committed: in what order it waits, who is to be told, and what happens
//! when the store is slow or full.
//!
//! Effects carry the whole object, so when the store's queue is full a newer state of an object takes the
//! place of an older one that still waits here: at most one for each object of the plant, and the count of
//! those replaced is told. Acts are never replaced; the pump takes no further one where [`ACTS_MAX`] wait.
//! Nothing here is ever judged again.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use riskgate_engine::Effect;
use riskgate_point::Mono;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Answer;
use crate::console::board::BoardHandle;
use crate::events::Event;
use crate::metrics;
use crate::store::{Batch, Committed, Message, Store};

/// Longer than any commit on a healthy card; short enough that an operator is not kept waiting.
pub(super) const LATE_AFTER: Duration = Duration::from_secs(2);

/// Acts that wait while the store has no room: a whole shift's, and no memory to speak of.
pub(super) const ACTS_MAX: usize = 256;

/// While the store stays full, that newer states replaced older ones is told this often.
const SUPERSEDED_EVERY: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Waiting {
    seq: u64,
    /// Handed to the store, not yet committed.
    sent: VecDeque<Sent>,
    /// What the store had no room for.
    over: Option<Over>,
    /// The oldest has waited too long, and so many batches were shown before their commit.
    late: Option<u64>,
    superseded: u64,
    superseded_told: Option<Mono>,
}

struct Sent {
    seq: u64,
    at: Mono,
    effects: Vec<Effect>,
    answers: Vec<oneshot::Sender<Answer>>,
    shown: bool,
}

struct Over {
    batch: Batch,
    answers: Vec<oneshot::Sender<Answer>>,
    since: Mono,
    /// Not yet on the board: at most what comes in [`LATE_AFTER`], then shown each turn.
    unshown: Vec<Effect>,
    /// Where each object's effect is in the batch, and each message: made when the first is folded in.
    index: Option<Index>,
}

#[derive(Default)]
struct Index {
    effects: HashMap<Object, usize>,
    messages: HashMap<(String, String, String), usize>,
}

#[derive(PartialEq, Eq, Hash)]
enum Object {
    Alarm(String),
    Hazard(Uuid),
    Task(String),
    Unit(String),
    Record(Uuid),
    Stop(String),
    Indicators,
    Shadow(String),
}

impl Waiting {
    pub(super) fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.over.is_none()
    }

    /// Decided, and not even in the store's queue.
    pub(super) fn effects_over(&self) -> usize {
        self.over.as_ref().map_or(0, |over| over.batch.effects.len() + over.batch.acts.len())
    }

    /// Whether a further act of a person may wait.
    pub(super) fn has_room_for_an_act(&self) -> bool {
        self.over.as_ref().is_none_or(|over| over.batch.acts.len() < ACTS_MAX)
    }

    /// The store has taken longer than [`LATE_AFTER`].
    pub(super) fn is_late(&self) -> bool {
        self.late.is_some()
    }

    /// Hands a batch to the store, behind everything that waits already.
    pub(super) fn push(
        &mut self,
        batch: Batch,
        answer: Option<oneshot::Sender<Answer>>,
        now: Mono,
        store: &Store,
    ) {
        match &mut self.over {
            Some(over) => {
                self.superseded += over.fold(batch);
                over.answers.extend(answer);
            }
            None => {
                let unshown = batch.effects.clone();
                let answers = answer.into_iter().collect();
                self.over = Some(Over { batch, answers, since: now, unshown, index: None });
            }
        }
        self.offer(store);
    }

    /// Tries again to hand over what the store had no room for.
    pub(super) fn offer(&mut self, store: &Store) {
        let Some(over) = self.over.take() else { return };
        let (seq, effects) = (over.batch.seq, over.batch.effects.clone());
        match store.try_commit(over.batch) {
            Ok(()) => self.sent.push_back(Sent {
                seq,
                at: over.since,
                effects,
                answers: over.answers,
                shown: over.unshown.is_empty(),
            }),
            Err(batch) => self.over = Some(Over { batch, ..over }),
        }
    }

    /// What is committed is shown as durable, and those who asked are told. Returns what of it was shown before.
    pub(super) fn release(&mut self, committed: &Committed, now: Mono, board: &BoardHandle) -> Vec<Effect> {
        let mut shown = Vec::new();
        while self.sent.front().is_some_and(|sent| sent.seq <= committed.seq) {
            if let Some(sent) = self.sent.pop_front() {
                metrics::COMMIT.observe(now.since(sent.at).as_secs_f64());
                board.show_effects(&sent.effects, true);
                tell(sent.answers, true);
                if sent.shown {
                    shown.extend(sent.effects);
                }
            }
        }
        shown
    }

    /// The one exception to commit-before-show: people see alarms and hazards, marked, when the store
    /// takes longer than [`LATE_AFTER`], or its last try failed. Told once when it begins and once when it ends.
    /// Returns what is shown for the first time.
    pub(super) fn show_late(&mut self, now: Mono, failed: bool, board: &BoardHandle) -> Vec<Effect> {
        let is_late = |at: Mono| failed || now.since(at) > LATE_AFTER;
        let mut late = Vec::new();
        let oldest = self.sent.front().map(|sent| (sent.seq, sent.at));
        let oldest = oldest.or(self.over.as_ref().map(|over| (over.batch.seq, over.since)));
        match (oldest.filter(|(_, at)| is_late(*at)), self.late) {
            (Some((seq, _)), None) => {
                Event::CommitLate { batch: seq }.emit();
                self.late = Some(0);
            }
            (None, Some(batches)) => {
                Event::CommitInTime { batches }.emit();
                self.late = None;
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        let mut shown = 0;
        // In the order of their waiting: behind one that is in time all are.
        for sent in self.sent.iter_mut().take_while(|sent| is_late(sent.at)) {
            tell(std::mem::take(&mut sent.answers), false);
            if !sent.shown {
                sent.shown = true;
                shown += 1;
                board.show_effects(&sent.effects, false);
                late.extend(sent.effects.iter().cloned());
            }
        }
        if let Some(over) = &mut self.over
            && is_late(over.since)
        {
            tell(std::mem::take(&mut over.answers), false);
            let unshown = std::mem::take(&mut over.unshown);
            board.show_effects(&unshown, false);
            late.extend(unshown);
        }
        if let Some(batches) = &mut self.late {
            *batches += shown;
        }
        let due = self.superseded_told.is_none_or(|told| now.since(told) >= SUPERSEDED_EVERY);
        if self.superseded > 0 && (due || self.over.is_none()) {
            self.superseded_told = Some(now);
            self.tell_superseded();
        }
        late
    }

    /// What was replaced since it was told last.
    pub(super) fn tell_superseded(&mut self) {
        if self.superseded > 0 {
            Event::EffectsSuperseded { count: std::mem::take(&mut self.superseded) }.emit();
        }
    }
}

fn tell(answers: Vec<oneshot::Sender<Answer>>, durable: bool) {
    for answer in answers {
        // One who has gone away does not wait for the answer.
        drop(answer.send(Answer::Done { durable }));
    }
}

impl Over {
    /// Adds `newer` to what waits; a newer state takes the place of an older one of the same object.
    /// Returns how many were replaced.
    fn fold(&mut self, newer: Batch) -> u64 {
        let Self { batch, index, unshown, .. } = self;
        let index = index.get_or_insert_with(|| Index::of(batch));
        let mut replaced = 0;
        unshown.extend(newer.effects.iter().cloned());
        for effect in newer.effects {
            let next = batch.effects.len();
            let at = *index.effects.entry(object_of(&effect)).or_insert(next);
            match batch.effects.get_mut(at) {
                Some(waiting) => {
                    *waiting = effect;
                    replaced += 1;
                }
                None => batch.effects.push(effect),
            }
        }
        for message in newer.messages {
            let next = batch.messages.len();
            let at = *index.messages.entry(place_of(&message)).or_insert(next);
            match batch.messages.get_mut(at) {
                Some(waiting) => *waiting = message,
                None => batch.messages.push(message),
            }
        }
        batch.acts.extend(newer.acts);
        batch.commands.extend(newer.commands);
        batch.seq = newer.seq;
        batch.at = newer.at;
        replaced
    }
}

impl Index {
    fn of(batch: &Batch) -> Self {
        let effects = batch.effects.iter().enumerate().map(|(at, effect)| (object_of(effect), at));
        let messages = batch.messages.iter().enumerate().map(|(at, message)| (place_of(message), at));
        Self { effects: effects.collect(), messages: messages.collect() }
    }
}

fn object_of(effect: &Effect) -> Object {
    match effect {
        Effect::Alarm(alarm) => Object::Alarm(alarm.id.clone()),
        Effect::Hazard(hazard) => Object::Hazard(hazard.id),
        Effect::Task(task) => Object::Task(task.task.clone()),
        Effect::Unit(unit) => Object::Unit(unit.unit.clone()),
        Effect::Record(record) => Object::Record(record.id),
        Effect::Stop(stop) => Object::Stop(stop.unit.clone()),
        Effect::Indicator(_) => Object::Indicators,
        Effect::Shadow(of) => Object::Shadow(of.rule.clone()),
    }
}

/// What a newer message must share with an older one to take its place.
fn place_of(message: &Message) -> (String, String, String) {
    (message.topic.clone(), message.kind.clone(), message.object.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use riskgate_engine::{AlarmState, Priority, RiskClass};
    use riskgate_point::Wall;
    use rusqlite::Connection;
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::console::sample;
    use crate::store::{JournalEntry, Lane};

    /// A store, and another program that holds its file, so that nothing commits.
    struct Held {
        dir: TempDir,
        store: Store,
        other: Connection,
    }

    impl Held {
        fn new() -> Self {
            let dir = TempDir::new().expect("a directory");
            let (store, _) = Store::open(dir.path(), Wall(1)).expect("opened");
            let other = Connection::open(dir.path().join("state.db")).expect("opened");
            other.busy_timeout(Duration::from_secs(60)).expect("set");
            other.execute_batch("BEGIN IMMEDIATE").expect("held");
            Self { dir, store, other }
        }

        /// The store's queue takes nothing more.
        fn full() -> (Self, Waiting) {
            let held = Self::new();
            let mut waiting = Waiting::default();
            let acts = (0..10_000).map(|_| act()).collect();
            let seq = waiting.next_seq();
            let batch = Batch {
                seq,
                effects: Vec::new(),
                messages: Vec::new(),
                acts,
                commands: Vec::new(),
                at: Wall(1),
            };
            waiting.push(batch, None, Mono(0), &held.store);
            assert_eq!(waiting.effects_over(), 0);
            (held, waiting)
        }

        fn release_file(&self) {
            self.other.execute_batch("ROLLBACK").expect("let go");
        }

        fn count(&self, query: &str) -> i64 {
            let reader = Connection::open(self.dir.path().join("state.db")).expect("opened");
            reader.query_row(query, [], |row| row.get(0)).expect("read")
        }
    }

    fn act() -> JournalEntry {
        JournalEntry { at: Wall(1), by: "王敏".to_owned(), what: "act".to_owned(), body: json!({}) }
    }

    fn alarm(id: &str, state: AlarmState, revision: u64) -> Effect {
        let mut record = sample::alarm(id, Priority::High, 0);
        record.state = state;
        record.revision = revision;
        Effect::Alarm(Arc::new(record))
    }

    fn batch(waiting: &mut Waiting, effects: Vec<Effect>) -> Batch {
        let messages = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Alarm(alarm) => Some(Message {
                    lane: Lane::Critical,
                    topic: "alarm/U-TA".to_owned(),
                    retain: false,
                    kind: "riskgate.alarm.v1".to_owned(),
                    object: alarm.id.clone(),
                    revision: alarm.revision,
                    time: Wall(1),
                    data: json!({}),
                }),
                Effect::Hazard(_)
                | Effect::Task(_)
                | Effect::Unit(_)
                | Effect::Record(_)
                | Effect::Stop(_)
                | Effect::Indicator(_)
                | Effect::Shadow(_) => None,
            })
            .collect();
        Batch {
            seq: waiting.next_seq(),
            effects,
            messages,
            acts: vec![act()],
            commands: Vec::new(),
            at: Wall(1),
        }
    }

    fn push(waiting: &mut Waiting, held: &Held, effects: Vec<Effect>, at: Mono) -> oneshot::Receiver<Answer> {
        let (answer, told) = oneshot::channel();
        let batch = batch(waiting, effects);
        waiting.push(batch, Some(answer), at, &held.store);
        told
    }

    async fn until_empty(waiting: &mut Waiting, held: &Held, board: &BoardHandle) {
        let mut committed = held.store.committed();
        loop {
            waiting.offer(&held.store);
            drop(waiting.release(&committed.borrow_and_update().clone(), Mono::default(), board));
            if waiting.is_empty() {
                return;
            }
            committed.changed().await.expect("the store runs");
        }
    }

    #[tokio::test]
    async fn in_a_full_queue_the_newest_state_takes_the_place_of_an_older_one_and_every_act_stays() {
        use AlarmState::{Acknowledged, Unacknowledged};
        let (held, mut waiting) = Held::full();
        let board = sample::empty_handle();
        let first = push(&mut waiting, &held, vec![alarm("A/H", Unacknowledged, 1)], Mono(0));
        let other = push(&mut waiting, &held, vec![alarm("B/H", Unacknowledged, 1)], Mono(0));
        let newer = push(&mut waiting, &held, vec![alarm("A/H", Acknowledged, 2)], Mono(0));
        assert_eq!(waiting.effects_over(), 2 + 3, "two alarms and three acts");
        assert_eq!(waiting.superseded, 1);
        held.release_file();
        until_empty(&mut waiting, &held, &board).await;
        for told in [first, other, newer] {
            assert_eq!(told.await, Ok(Answer::Done { durable: true }));
        }
        assert_eq!(held.count("SELECT sum(revision) FROM alarm"), 3, "A/H 2, B/H 1");
        assert_eq!(held.count("SELECT count(*) FROM outbox"), 2);
        let acts = "SELECT count(*) FROM journal WHERE json_extract(line, '$.what') = 'act'";
        assert_eq!(held.count(acts), 10_000 + 3);
        let line = board.read().alarm("A/H").map(|line| (line.record.revision, line.durable));
        assert_eq!(line, Some((2, true)));
    }

    #[tokio::test]
    async fn while_the_store_is_full_acts_wait_up_to_a_bound() {
        let (held, mut waiting) = Held::full();
        for _ in 0..ACTS_MAX {
            assert!(waiting.has_room_for_an_act());
            drop(push(&mut waiting, &held, Vec::new(), Mono(0)));
        }
        assert!(!waiting.has_room_for_an_act());
    }

    #[tokio::test]
    async fn what_is_late_is_shown_once_as_not_durable_and_then_as_durable() {
        let held = Held::new();
        let (mut waiting, board) = (Waiting::default(), sample::empty_handle());
        let mut told = push(&mut waiting, &held, vec![alarm("A/H", AlarmState::Unacknowledged, 1)], Mono(0));
        assert_eq!(waiting.show_late(Mono(0).after(LATE_AFTER), false, &board), []);
        assert!(!waiting.is_late() && board.read().alarm("A/H").is_none(), "not before its time");
        assert!(told.try_recv().is_err());
        let late = Mono(1).after(LATE_AFTER);
        assert_eq!(waiting.show_late(late, false, &board).len(), 1);
        assert_eq!(waiting.show_late(late, false, &board), [], "once");
        assert!(waiting.is_late());
        assert_eq!(told.try_recv(), Ok(Answer::Done { durable: false }));
        let durable = |board: &BoardHandle| board.read().alarm("A/H").map(|line| line.durable);
        assert_eq!(durable(&board), Some(false));
        held.release_file();
        until_empty(&mut waiting, &held, &board).await;
        drop(waiting.show_late(late, false, &board));
        assert!(!waiting.is_late());
        assert_eq!(durable(&board), Some(true));
    }

    #[tokio::test]
    async fn what_waits_in_a_full_queue_bumps_the_board_once_and_not_with_each_turn() {
        let (held, mut waiting) = Held::full();
        let board = sample::empty_handle();
        let unit = sample::unit("U-TA", "罐区A", RiskClass::Yellow, RiskClass::Red);
        drop(push(&mut waiting, &held, vec![Effect::Unit(Arc::new(unit))], Mono(0)));
        let late = Mono(1).after(LATE_AFTER);
        assert_eq!(waiting.show_late(late, false, &board).len(), 1);
        let version = board.read().version();
        assert_eq!(version, 1);
        drop(waiting.show_late(late, false, &board));
        assert_eq!(board.read().version(), version);
    }
}
