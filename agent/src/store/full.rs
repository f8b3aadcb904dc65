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
use super::open::{
    ASIDES_MAX, FILE, Run, Start, Unusable, Usable, database, open_locked, place, try_open, why_no_file,
};
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
    /// The file that is there was judged unusable, and could not be renamed.
    is_unusable: bool,
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
    let Read { usable, is_unusable } = read(dir, now, &mut start)?;
    let (mut database, opened) = database(dir, usable, start.kept_aside, lock)?;
    keep_tables(&database.connection)?;
    let start = Start { epoch: Some(opened.epoch), new: opened.new, kept_aside: None, is_running: true };
    let is_in_memory = is_in_memory(&database.connection);
    database.unbegun = Some(Unbegun { dir: dir.to_owned(), now, start, is_in_memory, is_unusable, why });
    Ok((database, opened))
}

/// Begins the store now, if there is room.
///
/// # Errors
/// There is none: it is read on as before. Or it is not the store that was read, which is [`StoreError::Lost`].
pub(super) fn begin(database: &mut Database, unbegun: &mut Unbegun) -> Result<(), StoreError> {
    let Unbegun { dir, now, start, is_in_memory, is_unusable, .. } = unbegun;
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
    if !*is_in_memory {
        // It holds the file alone.
        database.connection = Connection::open_in_memory().map_err(sql("let go of the store"))?;
    }
    if *is_unusable {
        put_aside(dir, *now)?;
        // What is there from now on is of this run.
        *is_unusable = false;
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
            if !*is_in_memory {
                let Read { usable, .. } = read(dir, *now, &mut start)?;
                keep_tables(&usable.connection)?;
                database.connection = usable.connection;
            }
            Err(why)
        }
    }
}

/// The file that no use could be made of is kept aside now, and the run goes on under the epoch that it has. It is
/// judged anew, by what it is and not by whose run this is: another may have been put there, and stays.
fn put_aside(dir: &Path, now: Wall) -> Result<(), StoreError> {
    let path = dir.join(FILE);
    if !std::fs::metadata(&path).is_ok_and(|file| file.len() > 0) {
        return Ok(());
    }
    let marked = Marked::read(dir);
    let run = Run { marked: marked.as_ref(), full: true, ..Run::default() };
    match try_open(&path, now, &run) {
        Ok(_) => Ok(()),
        Err(Unusable::Error(error)) => Err(error),
        Err(Unusable::Aside(reason)) => {
            let kept = keep_aside(&path, now, ASIDES_MAX).map_err(not_aside)?;
            let kept = kept.map(|path| path.display().to_string());
            tracing::error!(reason, kept, "the store that could not be used is kept aside");
            Ok(())
        }
    }
}

fn not_aside(NotAside { operation, path, source }: NotAside) -> StoreError {
    StoreError::File { operation, path, source }
}

/// What was read.
struct Read {
    usable: Usable,
    /// It is an empty one, since the file that is there is unusable, and stays where it is.
    is_unusable: bool,
}

/// What there is of a store, in a transaction that is still open; an empty one in memory where there is nothing.
fn read(dir: &Path, now: Wall, start: &mut Start) -> Result<Read, StoreError> {
    let mut is_unusable = false;
    let path = dir.join(FILE);
    let marked = Marked::read(dir);
    let read_only = why_no_file(dir) == Some(io::ErrorKind::ReadOnlyFilesystem);
    let is_there = std::fs::metadata(&path).is_ok_and(|file| file.len() > 0);
    if start.new.is_some() && !start.is_running {
        // There is no more than the beginning of what a try before this one began.
    } else if is_there {
        let run = Run { start: start.clone(), marked: marked.as_ref(), full: !read_only, read_only };
        match try_open(&path, now, &run) {
            Ok(usable) => return Ok(Read { usable, is_unusable }),
            Err(Unusable::Error(error)) => return Err(error),
            Err(Unusable::Aside(reason)) if start.is_running => {
                return Err(StoreError::Lost { path, reason });
            }
            // It cannot be renamed either: it is judged once more when it can be written.
            Err(Unusable::Aside(reason)) if read_only => {
                start.begin_new(reason);
                is_unusable = true;
            }
            Err(Unusable::Aside(reason)) => {
                start.begin_new(reason);
                start.kept_aside = keep_aside(&path, now, usize::MAX).map_err(not_aside)?;
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
    let usable = try_open(memory, now, &run).map_err(|unusable| unusable.of_new(memory))?;
    Ok(Read { usable, is_unusable })
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
