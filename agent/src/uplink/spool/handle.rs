//! The spool, for the runtime's threads: each work on it is done beside them, and none of them waits for it to be
//! opened. While it is not open, readings stay in memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use riskgate_point::{Now, Wall};
use tokio::time::Instant;

use super::open::{Found, is_broken, is_whole};
use super::{Spool, SpoolError};
use crate::causes::chain;
use crate::events::Event;

/// A cause that was not met for so long is news again.
pub(super) const QUIET_AFTER: Duration = Duration::from_secs(600);

/// Causes that are remembered: there are not many more.
const CAUSES_MAX: usize = 8;

#[derive(Clone)]
pub(in crate::uplink) struct Handle(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    clock: fn() -> Now,
    /// Held for as long as the disk takes: beside the runtime's threads alone.
    spool: Mutex<Option<Spool>>,
    state: Mutex<State>,
    /// Held by the one who opens it: whoever comes second finds it open.
    opening: Mutex<()>,
    /// Why it failed, and when it last did so: a full disk fails each second, for hours.
    causes: Mutex<BTreeMap<String, Instant>>,
}

#[derive(Clone, Copy)]
struct State {
    open: bool,
    /// The file that is there is to be kept aside.
    damaged: bool,
    /// How often it was opened.
    openings: u64,
    /// Readings of since then may be in memory alone: the beginning of the run, or when it was closed last.
    closed_since: Wall,
}

impl Handle {
    /// It is not open yet.
    pub(in crate::uplink) fn new(dir: PathBuf, clock: fn() -> Now) -> Self {
        let state = State { open: false, damaged: false, openings: 0, closed_since: clock().wall };
        let (spool, state, opening) = (Mutex::default(), Mutex::new(state), Mutex::default());
        Self(Arc::new(Shared { dir, clock, spool, state, opening, causes: Mutex::default() }))
    }

    /// Opens it, if it is not open. Nobody else waits for that.
    pub(in crate::uplink) async fn open(&self) -> Result<(), SpoolError> {
        let handle = self.clone();
        let opening = move || -> Result<(), SpoolError> {
            let Shared { dir, clock, opening, .. } = &*handle.0;
            let _opening = opening.lock().unwrap_or_else(PoisonError::into_inner);
            let before = *handle.state();
            let State { open, damaged, closed_since, .. } = before;
            if open {
                return Ok(());
            }
            let (spool, Found { kept_aside }) = Spool::open(dir, damaged, closed_since, clock().wall)?;
            if let Some(path) = kept_aside {
                Event::StoreKeptAside { path: &path.display().to_string() }.emit();
            }
            let mut held = handle.spool();
            *held = Some(spool);
            *handle.state() =
                State { open: true, damaged: false, openings: before.openings + 1, closed_since };
            Ok(())
        };
        beside(opening).await.unwrap_or(Err(SpoolError::Ended))
    }

    /// Checks the whole file, beside the work on it. One that is damaged is closed, and kept aside when it is opened
    /// anew.
    pub(in crate::uplink) async fn check(&self) -> Result<(), SpoolError> {
        let handle = self.clone();
        let checking = move || -> Result<(), SpoolError> {
            let openings = handle.openings();
            if !is_whole(&handle.0.dir)? {
                let mut spool = handle.spool();
                if handle.openings() == openings {
                    handle.close_damaged(&mut spool);
                }
            }
            Ok(())
        };
        beside(checking).await.unwrap_or(Err(SpoolError::Ended))
    }

    pub(in crate::uplink) fn is_open(&self) -> bool {
        self.state().open
    }

    /// It was found damaged, and is not kept aside yet.
    pub(in crate::uplink) fn is_damaged(&self) -> bool {
        self.state().damaged
    }

    /// Rises with each opening: then there may be something to be told.
    pub(in crate::uplink) fn openings(&self) -> u64 {
        self.state().openings
    }

    pub(in crate::uplink) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Spool) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let handle = self.clone();
        let working = move || {
            let mut held = handle.spool();
            let Some(spool) = &mut *held else { return Err(SpoolError::Closed) };
            let done = work(spool);
            if let Err(SpoolError::Sql { source, operation, .. }) = &done
                && is_broken(source)
            {
                tracing::error!(operation, error = %source, "the spool is damaged");
                handle.close_damaged(&mut held);
            }
            done
        };
        beside(working).await.unwrap_or(Err(SpoolError::Ended))
    }

    /// Told once for each cause: what is lost by it is counted and told where it is dropped.
    pub(in crate::uplink) fn failed(&self, what: &'static str, error: &SpoolError) {
        let why = chain(error);
        // One that is not open said why when it was not opened.
        if !matches!(error, SpoolError::Closed) && self.is_news(&why) {
            Event::SpoolFailed { why: &why }.emit();
        } else {
            tracing::debug!(what, error = why, "the spool failed; readings stay in memory");
        }
    }

    pub(super) fn is_news(&self, why: &str) -> bool {
        let mut causes = self.0.causes.lock().unwrap_or_else(PoisonError::into_inner);
        causes.retain(|_, last| last.elapsed() < QUIET_AFTER);
        if let Some(last) = causes.get_mut(why) {
            *last = Instant::now();
            return false;
        }
        let has_room = causes.len() < CAUSES_MAX;
        if has_room {
            causes.insert(why.to_owned(), Instant::now());
        }
        has_room
    }

    fn close_damaged(&self, spool: &mut Option<Spool>) {
        *spool = None;
        let now = (self.0.clock)().wall;
        let mut state = self.state();
        (state.open, state.damaged, state.closed_since) = (false, true, now);
    }

    // A panic between two statements leaves the file whole.
    fn spool(&self) -> MutexGuard<'_, Option<Spool>> {
        self.0.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Never held while the disk is waited for.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does what may wait for the disk off the runtime's threads.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    #[cfg(test)]
    if crate::sim::is_running() {
        // One thread and one order of things, so that a seed replays.
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await
}
