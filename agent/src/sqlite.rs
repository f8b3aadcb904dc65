//! What each SQLite file of ours has to do alike: be brought to the newest version, be told from one that is damaged,
//! be kept aside then, and have what it writes counted. Which tables, which settings, and what is told of a damaged
//! file is each store's own affair.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use riskgate_point::Wall;
use rusqlite::{Connection, ErrorCode};

/// Brings a file of any older version to the newest, each step in a transaction of its own. `user_version` is the
/// number of the last one applied.
pub(crate) fn migrate(
    connection: &mut Connection,
    application_id: i32,
    migrations: &[&str],
) -> rusqlite::Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (number, migration) in (1_i64..).zip(migrations).filter(|(number, _)| *number > version) {
        // A transaction of its own; within another, which may be rolled back, a part of that.
        let savepoint = connection.savepoint()?;
        savepoint.execute_batch(migration)?;
        savepoint.pragma_update(None, "application_id", application_id)?;
        savepoint.pragma_update(None, "user_version", number)?;
        savepoint.commit()?;
    }
    Ok(())
}

/// Everything but a refusal of the disk or the system: a page that is torn, a table that is missing, a value of
/// another type.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    let refusals = [
        ErrorCode::CannotOpen,
        ErrorCode::PermissionDenied,
        ErrorCode::ReadOnly,
        ErrorCode::SystemIoFailure,
        ErrorCode::DiskFull,
        ErrorCode::DatabaseBusy,
        ErrorCode::DatabaseLocked,
        ErrorCode::OutOfMemory,
        ErrorCode::NoLargeFileSupport,
        ErrorCode::FileLockingProtocolFailed,
        ErrorCode::OperationInterrupted,
    ];
    error.sqlite_error_code().is_none_or(|code| !refusals.contains(&code))
}

/// The file beside `path` whose name goes on with `ending`: `-wal`, `-shm`.
pub(crate) fn suffixed(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// A database is three files while it is open.
const ENDINGS: [&str; 3] = ["", "-wal", "-shm"];

/// Why a file was not kept aside.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub(crate) struct NotAside {
    pub(crate) operation: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

/// Renames the file at `path` and its WAL so that both can still be opened together, makes the renaming durable, and
/// removes all but it and the newest that were renamed before, `kept` in all: each may be as large as the file.
/// `None`: there was nothing to rename.
pub(crate) fn keep_aside(path: &Path, now: Wall, kept: usize) -> Result<Option<PathBuf>, NotAside> {
    let stamp = Timestamp::from_millisecond(now.0)
        .map_or_else(|_| now.0.to_string(), |at| at.strftime("%Y%m%dT%H%M%SZ").to_string());
    let name = |number: u32| {
        let more = if number == 0 { String::new() } else { format!("-{number}") };
        suffixed(path, &format!("{ASIDE}{stamp}{more}"))
    };
    // Two damaged files within one second, or a clock that stands still: neither is written over.
    let free = (0..1000).map(name).find(|aside| {
        [aside.clone(), suffixed(aside, "-wal")].iter().all(|path| !path.try_exists().unwrap_or(true))
    });
    let aside = free.unwrap_or_else(|| name(1000));
    let mut found = false;
    for ending in ENDINGS {
        let from = suffixed(path, ending);
        match fs::rename(&from, suffixed(&aside, ending)) {
            Ok(()) => found = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(NotAside { operation: "keep aside", path: from, source }),
        }
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|source| NotAside {
        operation: "make the renaming durable in",
        path: dir.to_owned(),
        source,
    })?;
    forget_oldest(dir, path, &aside, kept);
    Ok(found.then_some(aside))
}

/// How the name of a file goes on that was kept aside.
const ASIDE: &str = ".damaged-";

/// A file that breaks each day must not fill the disk with what is left of it. `newest` stays: a clock that was in 1970
/// until it was set gives it the oldest name, so the names tell no order; when they were written to last does.
fn forget_oldest(dir: &Path, path: &Path, newest: &Path, kept_max: usize) {
    let (Ok(names), Some(file)) = (fs::read_dir(dir), path.file_name()) else { return };
    let prefix = format!("{}{ASIDE}", file.to_string_lossy());
    let newest = newest.file_name().map(|name| name.to_string_lossy().into_owned());
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut bases: BTreeSet<String> = BTreeSet::new();
    for name in names.filter(|name| name.starts_with(&prefix)) {
        let base = ENDINGS.iter().rev().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
        if newest.as_deref() != Some(base) {
            bases.insert(base.to_owned());
        }
    }
    let over = (bases.len() + 1).saturating_sub(kept_max);
    let mut kept: Vec<(Option<SystemTime>, String)> =
        bases.into_iter().map(|base| (written(dir, &base), base)).collect();
    // Stable: of two at one time the lower name goes first.
    kept.sort_by_key(|(written, _)| *written);
    for (_, base) in kept.iter().take(over) {
        tracing::warn!(name = base, "the oldest of what was kept aside is removed");
        for ending in ENDINGS {
            match fs::remove_file(dir.join(format!("{base}{ending}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, name = base, "it cannot be removed");
                }
                Ok(()) | Err(_) => {}
            }
        }
    }
}

/// When any of its files was written to last.
fn written(dir: &Path, base: &str) -> Option<SystemTime> {
    let of = |ending: &&str| fs::metadata(dir.join(format!("{base}{ending}"))).ok()?.modified().ok();
    ENDINGS.iter().filter_map(of).max()
}

/// A page has a header of so many bytes in the WAL.
const FRAME_HEAD: u64 = 24;

/// Counts what goes to the flash, and writes the WAL back: SQLite's own way of that is off where this is used.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) page_bytes: u64,
    /// Pages in the WAL at the last look, and those of them that were in the file already.
    frames: u64,
    back: u64,
    pub(crate) wal_bytes: u64,
    /// At most: a page that stands in the WAL several times is written back once, and counted each time.
    pub(crate) file_bytes: u64,
}

impl Meter {
    pub(crate) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let page_bytes = u64::try_from(page_bytes).unwrap_or(4096);
        Ok(Self { page_bytes, frames: 0, back: 0, wal_bytes: 0, file_bytes: 0 })
    }

    /// Counts what was written since the last look. Gives the pages in the WAL.
    pub(crate) fn look(&mut self, connection: &Connection) -> rusqlite::Result<u64> {
        self.count(connection, "PRAGMA wal_checkpoint(NOOP)")?;
        Ok(self.frames)
    }

    /// Writes the WAL back as far as no reader holds it; waits for none.
    pub(crate) fn write_back(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        // Before that: a WAL that began anew since then shows by what is not written back of it.
        self.look(connection)?;
        self.count(connection, "PRAGMA wal_checkpoint(PASSIVE)")
    }

    fn count(&mut self, connection: &Connection, pragma: &str) -> rusqlite::Result<()> {
        let pages = |number: i64| u64::try_from(number).unwrap_or(0);
        let (frames, back) = connection
            .prepare_cached(pragma)?
            .query_row([], |row| Ok((pages(row.get(1)?), pages(row.get(2)?))))?;
        if frames < self.frames || back < self.back {
            (self.frames, self.back) = (0, 0);
        }
        self.wal_bytes += (frames - self.frames) * (self.page_bytes + FRAME_HEAD);
        self.file_bytes += (back - self.back) * self.page_bytes;
        (self.frames, self.back) = (frames, back);
        Ok(())
    }
}
