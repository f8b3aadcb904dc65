//! History: what every point read over the last days, kept in `history.db` beside the store.
//!
//! For three readers: a person who looks at the trend of a point, a backtest that judges the past by other
//! rules ([`export`]), and the windows of the rules after a restart ([`refill`]).
//!
//! ```text
//! pump ──every report──> keep (what is new) ──bounded queue──> writer thread ──each 5 min──> history.db
//! ```
//!
//! # What is kept
//!
//! Each change of a point's value or quality as it was received (value, quality with its reason, the source's
//! time, the received time), what was told late (marked, never judged), and besides:
//!
//! - where nothing refreshed a point for its `stale_after`, a bad sample `stale` at that moment, as the engine
//!   judges it: silence is not taken for a value that goes on;
//! - of a point of which rules ask the age alone, each reading of another source time, be the value the same: when
//!   the last gas test was;
//! - each 15 min what is in force is written again, so that no reader has to look back further.
//!
//! So between two samples of a point its value was in force: nothing that rules could see is lost. The
//! exceptions are rows of `gap` (from, to, why): the time between the last write before a stop or a crash and
//! the next start, and a time in which the queue was full. Within them, and behind them up to a point's next
//! sample, nothing is known, and every reader here says so.
//!
//! # How it is kept
//!
//! In blocks of one point and 5 min (`codec`), a few small ones to a row. The design's hour is not joined
//! from them: each byte goes to the flash twice (WAL and file), and writing each block again would make that
//! four times. What is received and not yet written is in memory: a crash costs at most [`FLUSH_EVERY`], and
//! is told as a gap.
//!
//! History goes first. It has its own file, connection and thread, and writes in steps of
//! [`STEP_BYTES_MAX`] with rests between, so that the store's commits never wait behind it; `synchronous` is
//! NORMAL, so only checkpoints sync. What does not fit into the queue is dropped, counted and told. A damaged
//! file is kept aside and a new one begins; a disk that refuses is tried again each minute, and what has no
//! room in memory meanwhile is dropped in the same way. Nothing of it delays a start, a judgement or a stop.
//!
//! It is kept for `[history] keep`, and at most `max` bytes of it, whichever is less: whole blocks go, the
//! oldest first, a few with each write.

mod codec;
pub mod export;
mod file;
mod keep;
mod open;
pub(crate) mod play;
mod queue;
pub mod read;
pub mod refill;
#[cfg(test)]
mod tests;
mod timeline;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use riskgate_engine::Plant;
use riskgate_point::{Now, Quality, Report, Value, Wall};
use tokio::sync::{oneshot, watch};

use keep::Keeper;
use queue::{Item, Queue, Request};

/// What is not on disk yet is at most so old.
pub const FLUSH_EVERY: Duration = Duration::from_secs(5 * 60);
/// Bytes written in one transaction. A card that writes 10 MB/s is busy with it for 50 ms.
pub const STEP_BYTES_MAX: usize = 256 * 1024;
/// Below the folder of the store.
pub const FILE: &str = "history.db";

/// `[history]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub keep: Duration,
    pub max_bytes: u64,
}

/// A reading as it was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub at: Wall,
    pub source_time: Option<Wall>,
    pub value: Option<Value>,
    pub quality: Quality,
    /// Told late, as history or retained: never judged.
    pub backfill: bool,
}

/// What is in the agent's memory of one point.
#[derive(Debug, Default)]
pub struct Unwritten {
    readings: Vec<Reading>,
    gaps: Vec<file::Gap>,
}

/// How the history is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Samples on disk since the start.
    pub kept: u64,
    /// Samples that neither queue nor memory had room for, since the start.
    pub dropped: u64,
    /// Of the blocks of these, without what the file adds.
    pub block_bytes: u64,
    /// Everything that went to the disk since the start: WAL and file.
    pub written_bytes: u64,
    /// In the file now, without its free pages.
    pub file_bytes: u64,
    /// Received and not yet on disk.
    pub open: u64,
    pub oldest: Option<Wall>,
    /// Up to when everything is on disk.
    pub known_to: Option<Wall>,
    /// Why the newest write failed.
    pub failed: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("there is no history at {}: is the path right, and has the agent run for 5 min?", path.display())]
    Missing { path: PathBuf },
    #[error("{} is no history of this version of riskgate", path.display())]
    Foreign { path: PathBuf },
    #[error("cannot {operation} {}", path.display())]
    File { operation: &'static str, path: PathBuf, source: std::io::Error },
    #[error("history: cannot {operation}")]
    Sql { operation: &'static str, source: rusqlite::Error },
    #[error("history: block {block} cannot be read back: {why}")]
    Block { block: i64, why: &'static str },
    #[error("the history has no point '{tag}'")]
    UnknownPoint { tag: String, nearest: Option<String> },
    #[error("the history's thread has ended")]
    Closed,
}

/// A handle on the history. The thread ends with [`History::close`], or with the last handle.
#[derive(Clone)]
pub struct History(Arc<Handle>);

struct Handle {
    path: PathBuf,
    queue: Arc<Queue>,
    status: watch::Receiver<Status>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the pump holds: it decides which samples are kept, and never waits.
pub struct Recorder {
    keeper: Keeper,
    queue: Arc<Queue>,
}

impl History {
    /// Opens `history.db` in `dir`, or makes it, and begins to write. Blocks. A file that cannot be opened is
    /// no error: it is told, and tried again while the agent runs.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn open(
        dir: &Path,
        limits: Limits,
        plant: &Arc<Plant>,
        now: Now,
    ) -> Result<(Self, Recorder), HistoryError> {
        let path = dir.join(FILE);
        let queue = Arc::new(Queue::default());
        let (sender, status) = watch::channel(Status::default());
        let writer = writer::Writer::open(dir, limits, now, sender);
        let thread = std::thread::Builder::new().name("history".to_owned()).spawn({
            let queue = Arc::clone(&queue);
            move || writer.run(&queue)
        });
        let thread = thread.map_err(|source| HistoryError::File {
            operation: "start the thread of",
            path: path.clone(),
            source,
        })?;
        let mut recorder = Recorder { keeper: Keeper::new(plant), queue: Arc::clone(&queue) };
        recorder.set_plant(plant, now);
        Ok((Self(Arc::new(Handle { path, queue, status, thread: Mutex::new(Some(thread)) })), recorder))
    }

    pub fn path(&self) -> &Path {
        &self.0.path
    }

    pub fn status(&self) -> watch::Receiver<Status> {
        self.0.status.clone()
    }

    /// It is kept so long from the next write on.
    pub fn set_limits(&self, limits: Limits) {
        self.0.queue.set_limits(limits);
    }

    /// What was received of a point and is not on disk yet.
    ///
    /// # Errors
    /// The thread has ended.
    pub async fn unwritten(&self, tag: &str) -> Result<Unwritten, HistoryError> {
        let (reply, answer) = oneshot::channel();
        self.0.queue.ask(Request { tag: tag.to_owned(), reply });
        answer.await.map_err(|_| HistoryError::Closed)
    }

    /// Writes what is in memory and ends the thread. Blocks.
    pub fn close(self) {
        self.0.queue.close();
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the history's thread panicked; the next start tells the gap");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Recorder {
    /// Nobody listens: for what is tested without a history.
    #[cfg(test)]
    pub(crate) fn unheard(plant: &Arc<Plant>) -> Self {
        let queue = Arc::new(Queue::default());
        queue.close();
        Self { keeper: Keeper::new(plant), queue }
    }

    /// The points are those of another plant.
    pub fn set_plant(&mut self, plant: &Arc<Plant>, now: Now) {
        let mut kept = Vec::new();
        self.keeper.set_plant(plant, now, &mut kept);
        self.queue.push_plant(Arc::clone(plant));
        self.push(kept);
    }

    /// Everything that the drivers told, before it is judged.
    pub fn offer(&mut self, reports: &[Report]) {
        let mut kept = Vec::new();
        for report in reports {
            match report {
                Report::Sample(sample) => self.keeper.sample(sample, &mut kept),
                Report::Refreshed { source, at } => self.keeper.refreshed(*source, *at),
                Report::Fix(_)
                | Report::Sighting(_)
                | Report::Permit(_)
                | Report::Condition(_)
                | Report::ConditionsTold { .. }
                | Report::ConditionsLost { .. }
                | Report::Link { .. } => {}
            }
        }
        self.push(kept);
    }

    /// Time passes: silence and what is in force are written down. Called about each second.
    pub fn turn(&mut self, now: Now) {
        let mut kept = Vec::new();
        self.keeper.turn(now, &mut kept);
        self.push(kept);
        self.queue.turn(now);
    }

    fn push(&mut self, kept: Vec<Item>) {
        if !kept.is_empty() && !self.queue.push(kept) {
            self.keeper.forget();
        }
    }
}

/// Says which operation an SQLite error broke.
fn sql(operation: &'static str) -> impl FnOnce(rusqlite::Error) -> HistoryError {
    move |source| HistoryError::Sql { operation, source }
}
