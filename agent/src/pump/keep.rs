//! When what the engine counts between two decisions is kept: after each change that a restart would be missing,
//! every few minutes, and when the agent stops.

use std::time::Duration;

use riskgate_engine::Engine;
use riskgate_point::{Mono, Now};

use crate::causes::chain;
use crate::store::Store;

/// A crash costs at most so much of a cycle, as time that nobody saw: half of what may be missing at once. Each
/// time a few pages are written. That there is nothing to count is written once: what was counted before is of
/// tasks and rules that are gone, and must not be gone on with should they come back.
const KEEP_EVERY: Duration = Duration::from_mins(5);

#[derive(Default)]
pub(super) struct Keeping {
    mark: u64,
    kept: Option<Mono>,
    /// What was kept last had nothing in it.
    empty: bool,
}

impl Keeping {
    /// Called at a pace for people, so that a rule that chatters costs no more than a write a second.
    pub(super) fn turn(&mut self, engine: &Engine, store: &Store, now: Now) {
        let mark = engine.running_mark();
        let due = self.kept.is_none_or(|kept| now.mono.since(kept) >= KEEP_EVERY);
        if due || mark != self.mark {
            self.keep(engine, store, now);
        }
    }

    /// What cannot be kept now, as the clock is in doubt or the queue full, is due again with the next turn.
    pub(super) fn keep(&mut self, engine: &Engine, store: &Store, now: Now) {
        let mark = engine.running_mark();
        let Some(running) = engine.running(now) else { return };
        let empty = running.is_empty();
        if !(empty && self.empty)
            && let Err(error) = store.keep(running)
        {
            tracing::debug!(error = chain(&error), "what is counted was not kept; a later time it may be");
            return;
        }
        (self.mark, self.kept, self.empty) = (mark, Some(now.mono), empty);
    }
}
