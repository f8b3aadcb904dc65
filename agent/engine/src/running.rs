//! What an engine counts between two decisions, and what the one after a restart goes on with: for how long the
//! measures of the present cycles could not be seen, what stood in them, and when the latest episodes began of rules that raise after
//! repeats.
//!
//! None of it is a decision, so it comes as no effect: whoever keeps it asks for it ([`crate::Engine::running`]),
//! every few minutes, soon after its mark has moved, and last of all when the agent stops. What lies between the
//! last of these and the next start counts as time in which nobody saw anything.

use std::collections::BTreeMap;
use std::time::Duration;

use riskgate_point::Wall;
use serde::{Deserialize, Serialize};

pub use crate::record::Stood;
use crate::{CheckRecord, Period};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Running {
    pub at: Wall,
    /// By task id.
    pub watched: BTreeMap<String, WatchedCycle>,
    /// By rule id, the oldest first: how long before `at` its latest episodes began.
    pub onsets: BTreeMap<String, Vec<Duration>>,
}

/// The present cycle of a task whose records the agent writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedCycle {
    pub period: Period,
    /// Of the task and the calendar: what its cycles hang on, and whose they are. Where that has changed, this is the
    /// cycle of another.
    #[serde(default)]
    pub version: String,
    /// How much of it nobody saw, without the stretch that goes on.
    pub unseen: Duration,
    /// The longest stretch of that.
    pub longest: Duration,
    /// It cannot be seen: for how long already.
    pub stretch: Option<Duration>,
    /// Some of that was because a rule of its measure was out of service.
    #[serde(default)]
    pub out_of_service: bool,
    #[serde(default)]
    pub stood: Stood,
}

impl Running {
    pub fn is_empty(&self) -> bool {
        self.watched.is_empty() && self.onsets.is_empty()
    }

    /// What was counted of a cycle whose record is written since is of no more use: it would be written again.
    pub(crate) fn recorded(&mut self, records: &[CheckRecord]) {
        for record in records.iter().filter(|record| record.automatic) {
            if let Some(period) = record.period
                && self.watched.get(&record.task).is_some_and(|with| with.period.start <= period.start)
            {
                self.watched.remove(&record.task);
            }
        }
    }
}
