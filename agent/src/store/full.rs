//! A start while nothing can be written: the disk is full and the room that was kept for it is used up; it may only be
//! read, as a card that has failed; or there is no store and none can be made, as where the disk is not mounted.
//!
//! People are warned all the same: the store is read, what it holds is restored, and what would be written at a start
//! stays in memory. Each commit fails until it can be written, so that alarms and hazards go out undurable; then the
//! store is begun as at any start, and what waited is written. What is there and cannot be read is no such case: nobody
//! knows what is open then, and to go on would tell hazards of before under other ids. That start is refused.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use riskgate_point::Wall;
use rusqlite::Connection;

use super::mark::Marked;
use super::open::{FILE, Run, Start, Unusable, Usable, database, open_locked, place, try_open, why_no_file};
use super::writer::Database;
use super::{Opened, StoreError, sql};
use crate::causes::chain;
use crate::sqlite::{NotAside, keep_aside};

/// The start that is still to be made.
#[derive(Debug, Clone)]
pub(super) struct Unbegun {
    dir: PathBuf,
    now: Wall,
    /// Whose the run is: it goes on under that, and under no other.
    start: Start,
    /// There is nothing to be read in a file.
    is_in_memory: bool,
    pub(super) why: String,
}

/// Reads what is there and writes nothing.
pub(super) fn open(
    dir: &Path,
    now: Wall,
    why: StoreError,
    mut start: Start,
    lock: Option<Arc<File>>,
) -> Result<(Database, Opened), StoreError> {
    let why = chain(&why);
    tracing::error!(why, "the store cannot be begun: until it can, nothing is durable");
    let usable = read(dir, now, &mut start)?;
    let (mut database, opened) = database(dir, usable, start.kept_aside, lock)?;
    keep_tables(&database.connection)?;
    let start = Start { epoch: Some(opened.epoch), new: opened.new, kept_aside: None, is_running: true };
    let is_in_memory = is_in_memory(&database.connection);
    database.unbegun = Some(Unbegun { dir: dir.to_owned(), now, start, is_in_memory, why });
    Ok((database, opened))
}

/// Begins the store now, if there is room.
///
/// # Errors
/// There is none: it is read on as before. Or it is not the store that was read, which is [`StoreError::Lost`].
pub(super) fn begin(database: &mut Database, unbegun: &Unbegun) -> Result<(), StoreError> {
    let Unbegun { dir, now, start, is_in_memory, .. } = unbegun;
    let path = dir.join(FILE);
    // Elsewhere a disk may have been mounted over it, and another agent may run there.
    let lock = match &database.lock {
        Some(lock) => Arc::clone(lock),
        None => place(dir)?,
    };
    if let Err(source) = database.ballast.try_take() {
        let is_full = source.kind() == io::ErrorKind::StorageFull;
        let source = Box::new(StoreError::File { operation: "write", path: path.clone(), source });
        return Err(if is_full {
            StoreError::Full { path, source }
        } else {
            StoreError::NoPlace { path: dir.clone(), source }
        });
    }
    if !is_in_memory {
        // It holds the file alone.
        database.connection = Connection::open_in_memory().map_err(sql("let go of the store"))?;
    }
    let mut start = start.clone();
    match open_locked(dir, *now, &mut start, &lock) {
        Ok((begun, _)) => {
            *database = begun;
            database.ballast.take();
            tracing::warn!("there is room again: the store is begun");
            Ok(())
        }
        Err(why @ StoreError::Lost { .. }) => Err(why),
        Err(why) => {
            if !is_in_memory {
                let usable = read(dir, *now, &mut start)?;
                keep_tables(&usable.connection)?;
                database.connection = usable.connection;
            }
            Err(why)
        }
    }
}

/// What there is of a store, in a transaction that is still open; an empty one in memory where there is nothing.
fn read(dir: &Path, now: Wall, start: &mut Start) -> Result<Usable, StoreError> {
    let path = dir.join(FILE);
    let marked = Marked::read(dir);
    let read_only = why_no_file(dir) == Some(io::ErrorKind::ReadOnlyFilesystem);
    let is_there = std::fs::metadata(&path).is_ok_and(|file| file.len() > 0);
    if start.new.is_some() && !start.is_running {
        // There is no more than the beginning of what a try before this one began.
    } else if is_there {
        let run = Run { start: start.clone(), marked: marked.as_ref(), full: !read_only, read_only };
        match try_open(&path, now, &run) {
            Ok(usable) => return Ok(usable),
            Err(Unusable::Error(error)) => return Err(error),
            Err(Unusable::Aside(reason)) if start.is_running => {
                return Err(StoreError::Lost { path, reason });
            }
            // It cannot be renamed either: it is judged once more when it can be written.
            Err(Unusable::Aside(reason)) if read_only => start.begin_new(reason),
            Err(Unusable::Aside(reason)) => {
                start.begin_new(reason);
                start.kept_aside =
                    keep_aside(&path, now, usize::MAX).map_err(|NotAside { operation, path, source }| {
                        StoreError::File { operation, path, source }
                    })?;
            }
        }
    } else if start.is_running {
        return Err(StoreError::Lost { path, reason: "lost_file" });
    } else {
        let is_empty = std::fs::metadata(&path).is_ok();
        start.begin_new(match (marked, is_empty) {
            (Some(_), _) => "lost_file",
            (None, true) => "empty_file",
            (None, false) => "created",
        });
    }
    let run = Run { start: start.clone(), marked: None, full: true, read_only: false };
    let memory = Path::new(":memory:");
    try_open(memory, now, &run).map_err(|unusable| unusable.of_new(memory))
}

/// SQLite shares no memory by a file, which would need room, and keeps what is not committed out of the files.
pub(super) fn keep_in_memory(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_spill", false)
}

fn is_in_memory(connection: &Connection) -> bool {
    connection.path().is_none_or(str::is_empty)
}

/// A file is read on in the transaction that is still open: there it is of the newest version, which is what each query
/// is written for. It is rolled back when the connection is dropped. In memory there is nobody else to see it.
fn keep_tables(connection: &Connection) -> Result<(), StoreError> {
    if !is_in_memory(connection) {
        return Ok(());
    }
    connection.execute_batch("COMMIT").map_err(sql("end the reading of the store"))
}
