//! What is decided and not yet committed: in what order it waits, who is to be told, and what happens
//! when the store is slow or full.
//!
//! Effects carry the whole object, so when the store's queue is full a newer state of an object takes the
//! place of an older one that still waits here: at most one for each object of the plant, and the count of
//! those replaced is told. Nothing here is ever judged again.

use std::collections::VecDeque;
use std::time::Duration;

use riskgate_engine::Effect;
use riskgate_point::Mono;
use tokio::sync::oneshot;

use super::Answer;
use crate::console::board::BoardHandle;
use crate::events::Event;
use crate::store::{Batch, Committed, Message, Store};

/// Longer than any commit on a healthy card; short enough that an operator is not kept waiting.
const LATE_AFTER: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Waiting {
    seq: u64,
    /// Handed to the store, not yet committed.
    sent: VecDeque<Sent>,
    /// What the store had no room for.
    over: Option<Batch>,
    answers_over: Vec<oneshot::Sender<Answer>>,
    over_since: Mono,
}

struct Sent {
    seq: u64,
    at: Mono,
    effects: Vec<Effect>,
    answers: Vec<oneshot::Sender<Answer>>,
    shown: bool,
}

impl Waiting {
    pub(super) fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.over.is_none()
    }

    /// Hands a batch to the store, behind everything that waits already.
    pub(super) fn push(
        &mut self,
        batch: Batch,
        answer: Option<oneshot::Sender<Answer>>,
        now: Mono,
        store: &Store,
    ) {
        self.answers_over.extend(answer);
        match &mut self.over {
            Some(over) => {
                let replaced = fold(over, batch);
                if replaced > 0 {
                    Event::EffectsSuperseded { count: replaced }.emit();
                }
            }
            None => {
                self.over = Some(batch);
                self.over_since = now;
            }
        }
        self.offer(store);
    }

    /// Tries again to hand over what the store had no room for.
    pub(super) fn offer(&mut self, store: &Store) {
        let Some(batch) = self.over.take() else { return };
        let (seq, effects) = (batch.seq, batch.effects.clone());
        match store.try_commit(batch) {
            Ok(()) => self.sent.push_back(Sent {
                seq,
                at: self.over_since,
                effects,
                answers: std::mem::take(&mut self.answers_over),
                shown: false,
            }),
            Err(batch) => self.over = Some(batch),
        }
    }

    /// What is committed is shown as durable, and those who asked are told.
    pub(super) fn release(&mut self, committed: &Committed, board: &BoardHandle) {
        while self.sent.front().is_some_and(|sent| sent.seq <= committed.seq) {
            if let Some(sent) = self.sent.pop_front() {
                show(board, &sent.effects, true);
                for answer in sent.answers {
                    // One who has gone away does not wait for the answer.
                    drop(answer.send(Answer::Done { durable: true }));
                }
            }
        }
    }

    /// The one exception to commit-before-show: people see alarms and hazards, marked, when the store
    /// takes longer than [`LATE_AFTER`].
    pub(super) fn show_late(&mut self, now: Mono, board: &BoardHandle) {
        for sent in &mut self.sent {
            if !sent.shown && now.since(sent.at) > LATE_AFTER {
                sent.shown = true;
                Event::CommitLate { batch: sent.seq }.emit();
                show(board, &sent.effects, false);
                for answer in sent.answers.drain(..) {
                    drop(answer.send(Answer::Done { durable: false }));
                }
            }
        }
        if let Some(over) = &self.over
            && now.since(self.over_since) > LATE_AFTER
        {
            show(board, &over.effects, false);
            for answer in self.answers_over.drain(..) {
                drop(answer.send(Answer::Done { durable: false }));
            }
        }
    }
}

fn show(board: &BoardHandle, effects: &[Effect], durable: bool) {
    board.update(|board| {
        for effect in effects {
            board.apply(effect, durable);
        }
    });
}

/// Adds `newer` to what waits; a newer state takes the place of an older one of the same object.
/// Returns how many were replaced.
fn fold(over: &mut Batch, newer: Batch) -> u64 {
    let mut replaced = 0;
    for effect in newer.effects {
        match over.effects.iter_mut().find(|waiting| same_object(waiting, &effect)) {
            Some(waiting) => {
                *waiting = effect;
                replaced += 1;
            }
            None => over.effects.push(effect),
        }
    }
    for message in newer.messages {
        match over.messages.iter_mut().find(|waiting| same_message(waiting, &message)) {
            Some(waiting) => *waiting = message,
            None => over.messages.push(message),
        }
    }
    over.acts.extend(newer.acts);
    over.seq = newer.seq;
    over.at = newer.at;
    replaced
}

fn same_object(one: &Effect, other: &Effect) -> bool {
    match (one, other) {
        (Effect::Alarm(one), Effect::Alarm(other)) => one.id == other.id,
        (Effect::Hazard(one), Effect::Hazard(other)) => one.id == other.id,
        (Effect::Task(one), Effect::Task(other)) => one.task == other.task,
        (Effect::Unit(one), Effect::Unit(other)) => one.unit == other.unit,
        (Effect::Alarm(_) | Effect::Hazard(_) | Effect::Task(_) | Effect::Unit(_), _) => false,
    }
}

fn same_message(one: &Message, other: &Message) -> bool {
    one.topic == other.topic && one.kind == other.kind && one.object == other.object
}
