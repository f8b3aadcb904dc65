//! Opening `spool.db`: quickly, since readings wait in memory meanwhile and a crash must find the mark of this run.
//! The check of the whole file comes after, beside the work ([`is_whole`]).
//!
//! A damaged file is kept aside. What it still says of itself is noted in `spool.lost` before it is renamed, and that
//! note goes when the new file has it: however a kill falls, the next start knows it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use riskgate_point::Wall;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::aside::{self, Damaged};
use super::{OLDEST_IN_MEMORY, Spool, SpoolBounds, SpoolError, owed, sql};
use crate::sqlite::{is_damage, keep_aside};

pub(super) const FILE: &str = "spool.db";

/// What a file that was renamed said of itself, as long as no other file has it.
const NOTE: &str = "spool.lost";

/// The same before that file was renamed.
const PART: &str = "spool.lost.part";

/// What is kept aside is for an engineer to look at, and not for ever.
const ASIDES_MAX: usize = 2;

const CHUNKS: &str = "
CREATE TABLE IF NOT EXISTS chunk (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    readings INTEGER NOT NULL,
    began    INTEGER NOT NULL,
    ended    INTEGER NOT NULL,
    body     TEXT NOT NULL,
    name     TEXT NOT NULL DEFAULT ''
) STRICT;";

/// What opening it found.
#[derive(Debug, Default)]
pub(in crate::uplink) struct Found {
    /// The damaged file, under its new name. What was in it is told by a gap.
    pub(in crate::uplink) kept_aside: Option<PathBuf>,
}

impl Spool {
    /// `damaged`: the file that is there was found damaged. `since`: readings of since then wait in memory.
    pub(in crate::uplink) fn open(
        dir: &Path,
        damaged: bool,
        since: Wall,
        now: Wall,
    ) -> Result<(Self, Found), SpoolError> {
        let path = dir.join(FILE);
        let mut found = Found::default();
        if damaged || is_moving(&path)? {
            found.kept_aside = move_away(&path, now)?;
        }
        let spool = match Self::open_at(&path, since, now) {
            Err(SpoolError::Sql { operation, source, .. }) if is_damage(&source) => {
                tracing::error!(operation, error = %source, "the spool is damaged");
                found.kept_aside = move_away(&path, now)?;
                Self::open_at(&path, since, now)?
            }
            opened => opened?,
        };
        spool.take_note(&path, now)?;
        Ok((spool, found))
    }

    fn open_at(path: &Path, since: Wall, now: Wall) -> Result<Self, SpoolError> {
        let path = path.to_owned();
        let connection = connect(&path).map_err(sql("open it", &path))?;
        let (readings, bytes) = connection
            .query_row("SELECT total(readings), total(octet_length(body)) FROM chunk", [], |row| {
                Ok((row.get::<_, f64>(0)?, row.get::<_, f64>(1)?))
            })
            .map_err(sql("count it", &path))?;
        let last: Option<(i64, bool)> = connection
            .query_row("SELECT at, clean FROM mark", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(sql("read its mark", &path))?;
        let step: Option<(i64, i64)> = connection
            .query_row("SELECT low, high FROM step", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(sql("read of a step of the clock", &path))?;
        let lost = last.filter(|(_, clean)| !clean).map(|(at, _)| lost_around(at, step, now));
        #[expect(clippy::cast_possible_truncation, reason = "counts of a bounded table")]
        let mut spool = Self {
            connection,
            path,
            readings: readings as i64,
            bytes: bytes as i64,
            bounds: bounds(),
            #[cfg(test)]
            breaks: false,
        };
        // Where the clock was set back meanwhile, what comes from now on is the oldest.
        spool.begin(lost, since.min(now))?;
        Ok(spool)
    }

    /// What a damaged file said of itself is known here from now on.
    fn take_note(&self, path: &Path, now: Wall) -> Result<(), SpoolError> {
        let note = path.with_file_name(NOTE);
        let text = match fs::read(&note) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(SpoolError::File { operation: "read", path: note, source }),
        };
        // It was synced before anything else was done. One that cannot be read all the same says that all is lost.
        let damaged = serde_json::from_slice(&text).unwrap_or_else(|_| Damaged::nothing(now));
        self.stands_for(&damaged)?;
        // It is in the WAL, which is not synced by a commit.
        self.connection
            .pragma_query(None, "wal_checkpoint", |_| Ok(()))
            .map_err(sql("make durable what was damaged in", &self.path))?;
        fs::remove_file(&note).map_err(|source| SpoolError::File {
            operation: "remove",
            path: note.clone(),
            source,
        })
    }
}

/// The beginning of a note is there and the file is not: a kill came between its renaming and that of the note. Where
/// the file is there, nothing was renamed yet, and whether it is damaged is seen anew.
fn is_moving(path: &Path) -> Result<bool, SpoolError> {
    let part = path.with_file_name(PART);
    if !part.exists() {
        return Ok(false);
    }
    if !path.exists() {
        return Ok(true);
    }
    fs::remove_file(&part).map_err(|source| SpoolError::File { operation: "remove", path: part, source })?;
    Ok(false)
}

/// Keeps the file aside, having noted what it says of itself.
pub(super) fn move_away(path: &Path, now: Wall) -> Result<Option<PathBuf>, SpoolError> {
    let (part, note) = (path.with_file_name(PART), path.with_file_name(NOTE));
    let failed = |operation| {
        let path = part.clone();
        move |source| SpoolError::File { operation, path, source }
    };
    // With a note that no file has taken yet there is nothing in this one.
    if !note.exists() && path.exists() {
        let text = serde_json::to_vec(&aside::read(path, now)).map_err(SpoolError::Encode)?;
        let mut file = File::create(&part).map_err(failed("write"))?;
        file.write_all(&text).map_err(failed("write"))?;
        file.sync_all().map_err(failed("make durable"))?;
    }
    // It makes both names durable.
    let kept_aside = keep_aside(path, now, ASIDES_MAX)?;
    if part.exists() {
        fs::rename(&part, &note).map_err(failed("name"))?;
    }
    Ok(kept_aside)
}

fn bounds() -> SpoolBounds {
    #[cfg(test)]
    if let Some(bounds) = crate::sim::spool_bounds() {
        return bounds;
    }
    SpoolBounds::default()
}

/// The stamps that readings may have which were in memory when a run ended without a word: from
/// [`OLDEST_IN_MEMORY`] before its last mark until now. The clock may have been set meanwhile, or in the run.
pub(super) fn lost_around(mark: i64, step: Option<(i64, i64)>, now: Wall) -> (Wall, Wall) {
    let margin = i64::try_from(OLDEST_IN_MEMORY.as_millis()).unwrap_or(i64::MAX);
    let (low, high) = step.map_or((mark, mark), |(low, high)| (low.min(mark), high.max(mark)));
    // After the newest stamp that is known of, the run went on for a moment.
    let to = if now.0 >= high { now } else { Wall(high.saturating_add(margin)) };
    (Wall(low.saturating_sub(margin)), to)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // Readings, not hazards: what a power cut takes of the last commits is told as a gap.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.execute_batch(owed::TABLES)?;
    connection.execute_batch(CHUNKS)?;
    // Of an older version.
    let is_named: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM pragma_table_info('chunk') WHERE name = 'name')",
        [],
        |row| row.get(0),
    )?;
    if !is_named {
        connection.execute_batch("ALTER TABLE chunk ADD COLUMN name TEXT NOT NULL DEFAULT ''")?;
    }
    Ok(connection)
}

/// Reads all of the file, beside the one who writes to it: a minute on a slow card.
pub(super) fn is_whole(dir: &Path) -> Result<bool, SpoolError> {
    let path = dir.join(FILE);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let check = || -> rusqlite::Result<String> {
        let connection = Connection::open_with_flags(&path, flags)?;
        connection.pragma_query_value(None, "quick_check", |row| row.get(0))
    };
    match check() {
        Ok(verdict) => {
            if verdict != "ok" {
                tracing::error!(verdict, "the spool is damaged");
            }
            Ok(verdict == "ok")
        }
        Err(error) if is_broken(&error) => Ok(false),
        Err(error) => Err(sql("check it", &path)(error)),
    }
}

/// While it runs: the file is not what it was. A statement that fails for another reason is tried again.
pub(super) fn is_broken(error: &rusqlite::Error) -> bool {
    let codes =
        [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase, ErrorCode::Unknown, ErrorCode::TypeMismatch];
    error.sqlite_error_code().is_none_or(|code| codes.contains(&code))
}
