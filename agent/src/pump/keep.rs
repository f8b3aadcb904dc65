//! When what the engine counts between two decisions is kept: after each change that a restart would be missing,
//! every few minutes, and when the agent stops.

use std::time::Duration;

use riskgate_engine::Engine;
use riskgate_point::{Mono, Now};

use crate::causes::chain;
use crate::store::Store;

/// A crash costs at most so much of a cycle, as time that nobody saw: half of what may be missing at once. Each
/// time a few pages are written, and only where there is anything to count.
const KEEP_EVERY: Duration = Duration::from_mins(5);

#[derive(Default)]
pub(super) struct Keeping {
    mark: u64,
    kept: Option<Mono>,
}

impl Keeping {
    /// Called at a pace for people, so that a rule that chatters costs no more than a write a second.
    pub(super) fn turn(&mut self, engine: &Engine, store: &Store, now: Now) {
        let mark = engine.running_mark();
        let due = self.kept.is_none_or(|kept| now.mono.since(kept) >= KEEP_EVERY);
        if due || mark != self.mark {
            self.mark = mark;
            self.keep(engine, store, now);
        }
    }

    pub(super) fn keep(&mut self, engine: &Engine, store: &Store, now: Now) {
        self.kept = Some(now.mono);
        let Some(running) = engine.running(now).filter(|running| !running.is_empty()) else { return };
        if let Err(error) = store.keep(running) {
            tracing::debug!(error = chain(&error), "what is counted was not kept; a later time it may be");
        }
    }
}
