//! Readings that upstream has not acknowledged in time: on disk, in a file of their own, `spool.db`.
//!
//! Apart from the store: a flood of readings neither waits for the syncs of hazards nor takes their place.
//! Its commits are not synced one by one; after a power cut the last few may be missing, and what is missing
//! is within the range that is told then.
//!
//! What a crash costs: readings stay in memory for [`OLDEST_IN_MEMORY`] at most before they are here or
//! acknowledged, also where a broker answers and acknowledges nothing. `mark` says each minute that this held. A run
//! that did not end by itself is followed by a gap from [`OLDEST_IN_MEMORY`] before its last mark to the next start.
//!
//! Bounded by readings and bytes: the oldest go first, counted, and the count stays here until a gap on disk tells
//! it: an outage may last longer than a run. A damaged file is kept aside, and told.
//!
//! Here is the file, how it is written and read; [`open`] has how it is opened, [`owed`] what a gap is still to tell,
//! [`handle`] how the runtime's threads work with it.

mod aside;
mod handle;
mod open;
mod owed;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::Wall;
use rusqlite::{Connection, OptionalExtension, params};

use super::telemetry::{Chunk, Dropped, Name, Reading};
use crate::sqlite::NotAside;

pub(super) use aside::UNKNOWN;
pub(super) use handle::Handle;
pub(super) use owed::Lost;

/// A day of 50 readings each second.
const READINGS_MAX: i64 = 4_500_000;

/// Of the smallest card 8 GiB: a thirtieth.
const BYTES_MAX: i64 = 256 * 1024 * 1024;

#[derive(Debug, Clone, Copy)]
pub(crate) struct SpoolBounds {
    pub(crate) readings: i64,
    pub(crate) bytes: i64,
}

impl Default for SpoolBounds {
    fn default() -> Self {
        Self { readings: READINGS_MAX, bytes: BYTES_MAX }
    }
}

/// Twice the time after which waiting readings are spooled, and the time after which a dead connection is
/// noticed.
pub(super) const OLDEST_IN_MEMORY: Duration = Duration::from_secs(90);

#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    #[error("spool {}: cannot {operation}", path.display())]
    Sql { operation: &'static str, path: PathBuf, source: rusqlite::Error },
    #[error("spool: cannot {operation} {}", path.display())]
    File { operation: &'static str, path: PathBuf, source: std::io::Error },
    #[error("spool: the damaged file stays in the way")]
    Aside(#[from] NotAside),
    #[error("spool: the readings cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    #[error("spool: its thread ended")]
    Ended,
    #[error("spool: it is not open")]
    Closed,
}

pub(super) struct Spool {
    connection: Connection,
    path: PathBuf,
    readings: i64,
    bytes: i64,
    bounds: SpoolBounds,
    /// A fault of ours, as it would show.
    #[cfg(test)]
    pub(super) breaks: bool,
}

/// What comes next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    Chunk(Chunk),
    /// It cannot be read, and is gone, counted.
    Damaged,
    Nothing,
}

/// What is known in memory of a chunk in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It waits here and nowhere else.
    Free,
    /// The connection has it in hand already, from memory.
    Held,
    /// A reading of it is to be taken out first.
    Refused,
}

impl Spool {
    /// Keeps them, in order. What has to go for them is counted.
    pub(super) fn put(&mut self, chunks: &[Chunk]) -> Result<(), SpoolError> {
        self.write(chunks).map(|_last| ())
    }

    /// Keeps one, and gives its place.
    pub(super) fn put_one(&mut self, chunk: &Chunk) -> Result<i64, SpoolError> {
        self.write(std::slice::from_ref(chunk))
    }

    /// Gives the place of the last.
    fn write(&mut self, chunks: &[Chunk]) -> Result<i64, SpoolError> {
        #[cfg(test)]
        assert!(!self.breaks, "told to break");
        let path = self.path.clone();
        let transaction = self.connection.transaction().map_err(sql("begin", &path))?;
        let (mut readings, mut bytes, mut dropped) = (self.readings, self.bytes, None);
        for chunk in chunks {
            let body = serde_json::to_string(&*chunk.readings).map_err(SpoolError::Encode)?;
            let n = i64::try_from(chunk.readings.len()).unwrap_or(i64::MAX);
            transaction
                .prepare_cached(
                    "INSERT INTO chunk (readings, began, ended, body, name) VALUES (?1, ?2, ?3, ?4, ?5)",
                )
                .and_then(|mut insert| {
                    insert.execute(params![n, chunk.from.0, chunk.to.0, body, chunk.name()])
                })
                .map_err(sql("write to it", &path))?;
            (readings, bytes) = (readings + n, bytes + i64::try_from(body.len()).unwrap_or(i64::MAX));
        }
        let last = transaction.last_insert_rowid();
        while readings > self.bounds.readings || bytes > self.bounds.bytes {
            let Some((id, chunk, size)) = oldest(&transaction, 0).map_err(sql("make room", &path))? else {
                break;
            };
            let (lost, n) = match chunk {
                Ok(chunk) => (Dropped::of(&chunk.readings), i64::try_from(chunk.count()).unwrap_or(0)),
                Err((lost, n)) => (Some(lost), n),
            };
            dropped = Dropped::merged(dropped, lost);
            transaction.execute("DELETE FROM chunk WHERE id = ?1", [id]).map_err(sql("make room", &path))?;
            (readings, bytes) = (readings - n, bytes - size);
        }
        owed::drop_more(&transaction, dropped).map_err(sql("count what goes from", &path))?;
        transaction.commit().map_err(sql("commit", &path))?;
        (self.readings, self.bytes) = (readings, bytes);
        Ok(last)
    }

    /// The oldest behind `after` that is wanted: what the connection has in hand already is passed over, and behind
    /// what is to be mended first nothing is read.
    pub(super) fn next(
        &mut self,
        after: i64,
        standing: impl Fn(i64) -> Standing,
    ) -> Result<Next, SpoolError> {
        let mut after = after;
        loop {
            let found = oldest(&self.connection, after).map_err(sql("read from it", &self.path))?;
            let Some((id, chunk, _)) = found else { return Ok(Next::Nothing) };
            match (standing(id), chunk) {
                (Standing::Refused, _) => return Ok(Next::Nothing),
                (Standing::Held, _) => after = id,
                (Standing::Free, Ok(chunk)) => return Ok(Next::Chunk(chunk)),
                (Standing::Free, Err((lost, _))) => {
                    self.leave(id, Some(lost), None)?;
                    return Ok(Next::Damaged);
                }
            }
        }
    }

    /// Upstream has it.
    pub(super) fn remove(&mut self, id: i64) -> Result<(), SpoolError> {
        self.leave(id, None, None)
    }

    /// One reading of a chunk that upstream will not take: it is counted, and the rest stays.
    pub(super) fn refuse(&mut self, id: i64, which: usize) -> Result<(), SpoolError> {
        let after = id.saturating_sub(1);
        let found = oldest(&self.connection, after).map_err(sql("read from it", &self.path))?;
        let Some((found, Ok(chunk), _)) = found else { return Ok(()) };
        if found != id {
            return Ok(());
        }
        let (mut rest, name) = (chunk.readings.to_vec(), chunk.name());
        if which >= rest.len() {
            return Ok(());
        }
        let gone = Dropped::of(&[rest.remove(which)]).map(|one| Dropped { refused: one.count, ..one });
        // What it says now it said never before.
        let rest = Chunk { readings: Arc::new(rest), name: Name::new(format!("{name}-{which}")), ..chunk };
        self.leave(id, gone, Some(rest).filter(|rest| !rest.readings.is_empty()))
    }

    /// A chunk leaves with its count, or less of it stays in its place, in one transaction.
    fn leave(&mut self, id: i64, lost: Option<Dropped>, rest: Option<Chunk>) -> Result<(), SpoolError> {
        let path = self.path.clone();
        let failed = || sql("remove from it", &path);
        let transaction = self.connection.transaction().map_err(failed())?;
        let gone: Option<(i64, i64)> = transaction
            .prepare_cached("DELETE FROM chunk WHERE id = ?1 RETURNING readings, octet_length(body)")
            .and_then(|mut delete| delete.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional())
            .map_err(failed())?;
        let Some((mut readings, mut bytes)) = gone else { return Ok(()) };
        if let Some(rest) = rest {
            let body = serde_json::to_string(&*rest.readings).map_err(SpoolError::Encode)?;
            let n = i64::try_from(rest.readings.len()).unwrap_or(i64::MAX);
            transaction
                .execute(
                    "INSERT INTO chunk (id, readings, began, ended, body, name) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![id, n, rest.from.0, rest.to.0, body, rest.name()],
                )
                .map_err(failed())?;
            (readings, bytes) = (readings - n, bytes - i64::try_from(body.len()).unwrap_or(0));
        }
        owed::drop_more(&transaction, lost).map_err(failed())?;
        transaction.commit().map_err(failed())?;
        (self.readings, self.bytes) = (self.readings - readings, self.bytes - bytes);
        Ok(())
    }
}

type Oldest = (i64, Result<Chunk, (Dropped, i64)>, i64);

fn oldest(connection: &Connection, after: i64) -> rusqlite::Result<Option<Oldest>> {
    let query = "SELECT id, readings, began, ended, body, name FROM chunk WHERE id > ?1 ORDER BY id LIMIT 1";
    let row = connection.prepare_cached(query)?.query_row([after], |row| {
        let (id, n): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok((id, n, Wall(row.get(2)?), Wall(row.get(3)?), row.get::<_, String>(4)?, row.get::<_, String>(5)?))
    });
    let Some((id, n, from, to, body, name)) = row.optional()? else { return Ok(None) };
    let size = i64::try_from(body.len()).unwrap_or(i64::MAX);
    // One that an older version wrote has no name yet.
    let name = Name::new(if name.is_empty() { format!("{}-{id}", from.0) } else { name });
    let chunk = match serde_json::from_str::<Vec<Reading>>(&body) {
        Ok(readings) => {
            Ok(Chunk { readings: Arc::new(readings), from, to, name, ticket: None, spooled: Some(id) })
        }
        Err(_) => Err((Dropped::unknown(from, to, u64::try_from(n).unwrap_or(0)), n)),
    };
    Ok(Some((id, chunk, size)))
}

fn sql(operation: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> SpoolError {
    let path = path.to_path_buf();
    move |source| SpoolError::Sql { operation, path, source }
}
