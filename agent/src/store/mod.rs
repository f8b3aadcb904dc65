//! The store: what the engine decided, on disk before anyone else learns of it.
//!
//! One std thread owns the SQLite connection; everything else holds a [`Store`] handle and talks to that
//! thread through a bounded queue. A commit takes what waits in the queue and writes the state of each
//! object and its outbox rows in one transaction; there is no commit timer. A batch that cannot be written
//! stays at the head of the queue and is tried again as it is, with a back-off, and [`Committed::failed`]
//! says why: nothing is judged again.
//!
//! A row leaves the outbox's pending part only on the receiver's acknowledgement; it is kept for a resend
//! for 30 days of running time after that, see [`age`]. A damaged file is never taken for an empty one: it is renamed aside, and the new
//! store begins a new epoch.
//!
//! What the engine decided and what persons did is journalled in the same transaction, see [`journal`].
//!
//! It knows nothing of topics, brokers or rules, keeps no history of samples, and reads no clock: times
//! come with what is written.

mod age;
#[cfg(test)]
pub(crate) mod by_hand;
mod commands;
mod connect;
#[cfg(test)]
mod damage;
mod full;
pub mod journal;
pub mod lookup;
mod mark;
mod models;
mod open;
mod outbox;
mod poison;
mod queue;
mod records;
mod schema;
#[cfg(test)]
mod tests;
mod upkeep;
mod whose;
mod writer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use riskgate_engine::{Effect, Epoch, IndicatorRecord, Restored, Running, UnitRecord};
use riskgate_point::Wall;
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

use journal::Head;
use queue::{Queue, Request};

pub use commands::{CARRIED_KEPT, CARRIED_MAX, Carried};
pub use models::{StoredModel, stored as stored_models};
pub use outbox::DATA_BYTES_MAX;
pub use upkeep::Written;
pub use whose::{Whose, of_another};

/// A handle on the store. Clones share one writer thread, which ends when [`Store::close`] is called or
/// the last handle is dropped.
#[derive(Clone)]
pub struct Store(Arc<Handle>);

struct Handle {
    queue: Arc<Queue>,
    committed: watch::Receiver<Committed>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// One turn of the pump: what the engine decided and what upstream is to hear of it. Written whole or not
/// at all.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The pump's own number for it, rising; comes back in [`Committed::seq`].
    pub seq: u64,
    pub effects: Vec<Effect>,
    pub messages: Vec<Message>,
    pub acts: Vec<JournalEntry>,
    /// What upstream commanded and this batch carries out.
    pub commands: Vec<Carried>,
    pub at: Wall,
}

/// One entry of the journal, which is append-only. `start`, `reload` and `model` have the hash of the configuration that
/// holds from then on in `body.new`.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    pub at: Wall,
    /// Who: a person's name, or `riskgate`.
    pub by: String,
    /// What was done: `confirm`, `command`, `reload`, ...
    pub what: String,
    pub body: serde_json::Value,
}

/// What upstream is to be told, without its sequence: that is given at commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub lane: Lane,
    /// Below the root: `hazard/U-1`. Its levels are escaped already.
    pub topic: String,
    pub retain: bool,
    /// The CloudEvents type: `riskgate.hazard.v1`.
    pub kind: String,
    /// The object that `data` describes; equals `data.id`.
    pub object: String,
    pub revision: u64,
    pub time: Wall,
    pub data: serde_json::Value,
}

/// Declared in the order of urgency. Order holds within a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Alarms, candidates, hazards, unit risk.
    Critical,
    /// What was lost, and told so.
    Gap,
    /// Tasks and records.
    Work,
}

impl Lane {
    pub const ALL: [Self; 3] = [Self::Critical, Self::Gap, Self::Work];

    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Gap => "gap",
            Self::Work => "work",
        }
    }

    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.word() == word)
    }
}

/// One message of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its place in the whole outbox; rising with each commit, over all lanes.
    pub seq: i64,
    /// Its number in its lane and epoch, from 1, without holes.
    pub sequence: u64,
    /// The receiver would not take it: it is not sent again.
    pub refused: bool,
    pub message: Message,
}

/// The last sequence of each lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LastSequences {
    pub critical: u64,
    pub work: u64,
    pub gap: u64,
}

impl LastSequences {
    pub fn of(self, lane: Lane) -> u64 {
        match lane {
            Lane::Critical => self.critical,
            Lane::Gap => self.gap,
            Lane::Work => self.work,
        }
    }

    pub(crate) fn set(&mut self, lane: Lane, last: u64) {
        match lane {
            Lane::Critical => self.critical = last,
            Lane::Gap => self.gap = last,
            Lane::Work => self.work = last,
        }
    }
}

/// How far the store is. Changes with each commit, and with each commit that failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// The highest batch that is on disk; 0 before the first.
    pub seq: u64,
    pub last: LastSequences,
    /// Messages refused since the start because their data is over [`DATA_BYTES_MAX`]; each was told as a
    /// gap in its place.
    pub refused: u64,
    /// Pieces set aside since the start because they can never be written; each was told as a gap.
    pub unwritable: u64,
    /// Rows that left the outbox since the start because it was full; of the pending ones a gap was told.
    pub evicted: u64,
    /// Bytes since the start.
    pub written: Written,
    /// The newest entry of the journal.
    pub journal: Head,
    /// Why the newest try to commit failed. The batch is kept and tried again as it is.
    pub failed: Option<String>,
}

/// What the outbox holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OutboxView {
    pub lanes: Vec<LaneView>,
    pub set_aside: Vec<SetAside>,
}

/// What holds up nothing, and is told upstream as a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// `refused`: the receiver will not take it. `unwritable`: the database will not.
    pub what: String,
    pub count: u64,
    pub oldest: Option<Wall>,
    /// Of the newest.
    pub why: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneView {
    pub lane: Lane,
    /// Committed and not yet acknowledged.
    pub pending: u64,
    pub last: u64,
    /// Every sequence up to here was acknowledged.
    pub sent: u64,
    /// When the oldest pending message was made.
    pub oldest: Option<Wall>,
}

/// What [`Store::open`] found.
#[derive(Debug)]
pub struct Opened {
    pub epoch: Epoch,
    /// When and why this epoch began; both are told in `birth`.
    pub epoch_began: Wall,
    pub epoch_reason: String,
    /// The epoch began with this opening, for this reason.
    pub new: Option<&'static str>,
    pub restored: Restored,
    /// Commands from upstream that were carried out, oldest first.
    pub commands: Vec<Carried>,
    /// Models from upstream, newest first. That they cannot be read keeps no agent from starting.
    pub models: Result<Vec<StoredModel>, StoreError>,
    /// The hash of the configuration that held last; empty where none did.
    pub config_before: String,
    /// The damaged or foreign file, under its new name. To be told loudly.
    pub kept_aside: Option<PathBuf>,
    /// The last run did not close the store; the file was checked and is whole.
    pub unclean: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {operation} {}", path.display())]
    File { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is held by another riskgate; one store has one agent", path.display())]
    InUse { path: PathBuf },
    #[error("cannot open the store {}: {operation}", path.display())]
    Open { operation: &'static str, path: PathBuf, source: rusqlite::Error },
    #[error("the disk is full: no room for {}; free some, and it starts by itself", path.display())]
    Full { path: PathBuf, source: Box<StoreError> },
    #[error(
        "nothing can be written in {}: what is decided is told all the same, and is not durable; check that the disk is \
         mounted there and may be written; the store is begun by itself then",
        path.display()
    )]
    NoPlace { path: PathBuf, source: Box<StoreError> },
    #[error(
        "{} is not the store any more that was read at the start ({reason}): it was removed, replaced or damaged \
         while the disk was full; the next start begins a new epoch and tells it",
        path.display()
    )]
    Lost { path: PathBuf, reason: &'static str },
    #[error("store: cannot {operation}")]
    Sql { operation: &'static str, source: rusqlite::Error },
    #[error("store: the {table} '{key}' cannot be read back")]
    Record { table: &'static str, key: String, source: serde_json::Error },
    #[error("store: the {table} '{key}' cannot be written as JSON")]
    Encode { table: &'static str, key: String, source: serde_json::Error },
    #[error("store: the lane '{word}' of outbox row {row} is none of ours")]
    Lane { row: i64, word: String },
    #[error("store: cannot {operation}: {waiting} requests wait already")]
    Busy { operation: &'static str, waiting: usize },
    #[error("store: cannot {operation}: it is closed")]
    Closed { operation: &'static str },
    #[error("store: {batches} batches were not written when it closed: {why}")]
    Unwritten { batches: usize, why: String },
}

impl Store {
    /// Opens `state.db` in `dir`, or makes it. Blocks: a store that was not closed is checked whole. Where there is no
    /// room, where the disk may only be read, and where there is no store and none can be made, it goes on in memory,
    /// and [`Committed::failed`] says why until the store is begun.
    ///
    /// # Errors
    /// Another process holds it, the folder is another user's, or there is a store that cannot be read. A damaged, a foreign or a newer file is no error:
    /// it is kept aside, see [`Opened::kept_aside`].
    pub fn open(dir: &Path, now: Wall) -> Result<(Self, Opened), StoreError> {
        let (database, opened) = open::open(dir, now)?;
        let queue = Arc::new(Queue::default());
        let (committed_sender, committed) = watch::channel(database.committed());
        let writer = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn({
                let queue = Arc::clone(&queue);
                move || writer::run(database, &queue, &committed_sender)
            })
            .map_err(|source| StoreError::File {
                operation: "start the writer thread of",
                path: dir.to_owned(),
                source,
            })?;
        let handle = Handle { queue, committed, writer: Mutex::new(Some(writer)) };
        Ok((Self(Arc::new(handle)), opened))
    }

    /// Never waits.
    ///
    /// # Errors
    /// Gives the batch back where [`queue::EFFECTS_MAX`] effects wait already, or the store is closed.
    pub fn try_commit(&self, batch: Batch) -> Result<(), Batch> {
        self.0.queue.offer(batch)
    }

    /// Marks as changed on each commit and each failed try.
    pub fn committed(&self) -> watch::Receiver<Committed> {
        self.0.committed.clone()
    }

    /// Writes messages that the engine did not decide (gaps), and journal entries. Waits until they are on
    /// disk.
    ///
    /// # Errors
    /// They were not written.
    pub async fn append(&self, messages: Vec<Message>, entries: Vec<JournalEntry>) -> Result<(), StoreError> {
        self.ask("append", |reply| Request::Append { messages, entries, reply }).await
    }

    /// The pending rows of a lane behind row `after`, in order, at most `n`. Reads only: a row stays
    /// pending until it is acknowledged.
    ///
    /// # Errors
    /// They could not be read.
    pub async fn lease(&self, lane: Lane, after: i64, n: usize) -> Result<Vec<Row>, StoreError> {
        self.ask("lease outbox rows", |reply| Request::Lease { lane, after, n, reply }).await
    }

    /// The receiver has them: no longer pending, kept 30 days for a resend. What is older than that is
    /// removed on the way, a few hundred rows at a time.
    ///
    /// # Errors
    /// It was not written: the rows are pending still and will be sent again.
    pub async fn acknowledge(&self, rows: Vec<i64>, at: Wall) -> Result<(), StoreError> {
        self.ask("acknowledge outbox rows", |reply| Request::Acknowledge { rows, at, reply }).await
    }

    /// The receiver will not take this row: it is pending no longer and never sent again, and the gap and the entry
    /// that tell so are written with that. Once: a row that was told before is left as it is.
    ///
    /// # Errors
    /// None of it was written.
    pub async fn refuse(
        &self,
        row: i64,
        why: &'static str,
        told: (Message, JournalEntry),
        at: Wall,
    ) -> Result<(), StoreError> {
        self.ask("set an outbox row aside", |reply| Request::Refuse {
            row,
            why,
            told: Box::new(told),
            at,
            reply,
        })
        .await
    }

    /// The rows of a lane whose sequence is in `from..=to`, sent or not, in order, at most `n`. What is no
    /// longer there is missing from the answer.
    ///
    /// # Errors
    /// They could not be read.
    pub async fn range(&self, lane: Lane, from: u64, to: u64, n: usize) -> Result<Vec<Row>, StoreError> {
        self.ask("read outbox rows", |reply| Request::Range { lane, from, to, n, reply }).await
    }

    /// # Errors
    /// It could not be read.
    pub async fn outbox(&self) -> Result<OutboxView, StoreError> {
        self.ask("read the outbox", |reply| Request::Outbox { reply }).await
    }

    /// The newest committed record of each unit, in the order of their ids, units that the plant no longer
    /// has included.
    ///
    /// # Errors
    /// They could not be read.
    pub async fn units(&self) -> Result<Vec<UnitRecord>, StoreError> {
        self.ask("read the units", |reply| Request::Units { reply }).await
    }

    /// The indicators as they were told last; `None`: they never were.
    ///
    /// # Errors
    /// They could not be read.
    pub async fn indicator(&self) -> Result<Option<IndicatorRecord>, StoreError> {
        self.ask("read the indicators", |reply| Request::Indicator { reply }).await
    }

    /// Keeps what the engine counts between two decisions. Never waits: where it is not written, that time counts
    /// as time in which nobody saw anything.
    ///
    /// # Errors
    /// It is not even in the queue.
    pub fn keep(&self, running: Running) -> Result<(), StoreError> {
        let (reply, _) = oneshot::channel();
        self.0.queue.ask("keep what is counted", Request::Keep { running: Box::new(running), reply })
    }

    /// Commits what waits, closes the file and joins the writer thread. Blocks for the time of a few
    /// commits. Later calls through other handles fail with [`StoreError::Closed`].
    ///
    /// # Errors
    /// What waited could not be written.
    pub fn close(self) -> Result<(), StoreError> {
        self.0.queue.close();
        let writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let panicked = writer.is_some_and(|writer| writer.join().is_err());
        let unwritten = self.0.queue.batches();
        if unwritten == 0 && !panicked {
            return Ok(());
        }
        let why = if panicked { Some("the writer thread panicked".to_owned()) } else { None };
        let why = why.or_else(|| self.0.committed.borrow().failed.clone());
        Err(StoreError::Unwritten { batches: unwritten, why: why.unwrap_or_default() })
    }

    async fn ask<T>(
        &self,
        operation: &'static str,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.0.queue.ask(operation, request(reply))?;
        answer.await.unwrap_or(Err(StoreError::Closed { operation }))
    }
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("committed", &*self.0.committed.borrow()).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Gives an SQLite error the operation that it broke.
fn sql(operation: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |source| StoreError::Sql { operation, source }
}

/// SQLite's integers are signed. No counter of ours comes near the end in a million years.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
