//! A model from upstream on its way through the pump: whether it may be taken now, and the batch that takes it. What it
//! says was checked before; the swap is that of any configuration.

use riskgate_engine::Effect;
use riskgate_point::{Now, Wall};
use tokio::sync::oneshot;

use super::commands::{Refused, Verdict};
use super::{Answer, Pump, Tail};
use crate::config::Synced;
use crate::store::{Carried, JournalEntry};

/// A model from upstream, as it was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Offered {
    pub id: String,
    pub by: String,
    pub expires: Wall,
    /// Of all that was asked, but for `expires`.
    pub digest: String,
    pub synced: Synced,
}

/// What is known of an offer before its content is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighing {
    pub id: String,
    pub digest: String,
    pub expires: Wall,
}

/// A model that the swap takes: what is written with it, and who waits to hear of it.
#[derive(Debug)]
pub struct Taken {
    pub carried: Carried,
    pub answer: oneshot::Sender<Verdict>,
}

impl Pump {
    /// Answers where it was taken before or nothing may be carried out now; else gives the answer back through `go`.
    pub(super) fn weigh(
        &mut self,
        tail: &mut Tail,
        asked: &Weighing,
        go: oneshot::Sender<oneshot::Sender<Verdict>>,
        answer: oneshot::Sender<Verdict>,
    ) {
        let Some(answer) = tail.commands.answer_again(&asked.id, &asked.digest, answer) else { return };
        let now = (self.clock)();
        let mut effects = Vec::new();
        let against = self.stands_against_all(tail, asked.expires, now, &mut effects);
        self.commit(tail, effects, Vec::new(), None, now);
        match against {
            Ok(()) => drop(go.send(answer)),
            Err(refused) => drop(answer.send(Verdict::Refused(refused))),
        }
    }

    /// Commits what the new configuration brought, and with it the model that it came from.
    pub(super) fn swapped(
        &self,
        tail: &mut Tail,
        effects: Vec<Effect>,
        entry: JournalEntry,
        taken: Option<Box<Taken>>,
        answer: oneshot::Sender<Answer>,
        now: Now,
    ) {
        let mut batch = self.batch(tail, effects, vec![entry], now);
        if let Some(taken) = taken {
            let Taken { carried, answer } = *taken;
            batch.commands.push(carried.clone());
            tail.commands.carried_out(batch.seq, Carried { model: None, ..carried }, answer);
        }
        tail.waiting.push(batch, Some(answer), now.mono, &self.store);
    }
}

impl Refused {
    /// It is older than the newest that was taken, or has its number and says something else.
    pub fn older_model(present: u64, given: u64) -> Self {
        let words = if given == present {
            format!(
                "version {given} was taken before and says something else: give what is new a higher version"
            )
        } else {
            format!("version {present} was taken before: {given} is older")
        };
        Self { revision: Some(present), ..Self::new("stale", words) }
    }
}
