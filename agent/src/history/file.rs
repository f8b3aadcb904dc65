//! `history.db`: how it is opened, its tables, and what is written to it.
//!
//! Rows of `block` are only ever added at the end and taken away at the beginning, so that a write touches
//! few pages, each once. A row holds the blocks of neighbouring points, up to about [`ROW_BYTES`].

use std::path::Path;
use std::time::Duration;

use riskgate_point::Wall;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{HistoryError, sql};
use crate::sqlite::{Meter, is_damage, migrate};

/// `RGHI`
pub(super) const APPLICATION_ID: i32 = 0x5247_4849;
/// A migration that has been released is never edited; a change is a new one at the end.
pub(super) const MIGRATIONS: &[&str] = &[V1];
/// Small blocks share a row up to here: four rows a page.
pub(super) const ROW_BYTES: usize = 900;
/// After a checkpoint the WAL is cut to this: four steps.
const WAL_BYTES_MAX: i64 = 1024 * 1024;
/// Another writer can only be a person with `sqlite3`.
const BUSY_TIMEOUT: Duration = Duration::from_millis(250);
/// What is kept aside is for an engineer to look at, and not for ever.
pub(super) const ASIDES_MAX: usize = 2;
/// Points that one file can hold: the low bits of a block's number.
pub(super) const POINT_BITS: u32 = 24;

const V1: &str = "
-- One row: up to when everything that was received is in this file.
CREATE TABLE meta (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    created  INTEGER NOT NULL,
    known_to INTEGER
) STRICT;

CREATE TABLE point (
    id  INTEGER NOT NULL PRIMARY KEY,
    tag TEXT NOT NULL UNIQUE
) STRICT;

-- One step of a write: the blocks of the points low..=high. Steps of one round were written together.
CREATE TABLE step (
    id      INTEGER NOT NULL PRIMARY KEY,
    round   INTEGER NOT NULL,
    first   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    low     INTEGER NOT NULL,
    high    INTEGER NOT NULL,
    samples INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
) STRICT;

CREATE INDEX step_last ON step (last);

-- id is the step, then the first point of the row in the lowest 24 bits.
CREATE TABLE block (
    id   INTEGER NOT NULL PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

-- Within it nothing is known.
CREATE TABLE gap (
    id    INTEGER NOT NULL PRIMARY KEY,
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL,
    why   TEXT NOT NULL,
    lost  INTEGER NOT NULL
) STRICT;
";

/// From when to when nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) from: Wall,
    pub(super) to: Wall,
    pub(super) why: String,
    /// Samples that are known to have been lost.
    pub(super) lost: u64,
}

/// What one step writes.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) low: i64,
    pub(super) high: i64,
    pub(super) samples: u64,
    /// Of the blocks alone.
    pub(super) bytes: u64,
    /// By the first point of each.
    pub(super) rows: Vec<(i64, Vec<u8>)>,
}

/// The connection of the one who writes.
pub(super) struct Database {
    connection: Connection,
    meter: Meter,
}

/// Why there is none.
pub(super) enum Unusable {
    /// It is to be kept aside.
    Damaged(&'static str),
    Refused(HistoryError),
}

impl Database {
    /// Opens the file or makes it.
    pub(super) fn open(path: &Path, now: Wall) -> Result<Self, Unusable> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let judge = |operation| move |error: rusqlite::Error| judge(operation, error);
        let mut connection = Connection::open_with_flags(path, flags).map_err(judge("open the file"))?;
        // Closing a file that will be kept aside must not write to it.
        let keep_wal = |connection: &Connection, keep| {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(drop)
        };
        keep_wal(&connection, true).map_err(judge("set it up"))?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(judge("set it up"))?;
        let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        let version = number("user_version").map_err(judge("read its version"))?;
        let application = number("application_id").map_err(judge("read its version"))?;
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(judge("read its schema"))?;
        if tables > 0 && application != i64::from(APPLICATION_ID) {
            return Err(Unusable::Damaged("foreign_file"));
        }
        if version > newest() {
            return Err(Unusable::Damaged("newer_version"));
        }
        configure(&connection).map_err(judge("set it up"))?;
        migrate(&mut connection, APPLICATION_ID, MIGRATIONS).map_err(judge("migrate it"))?;
        let insert = "INSERT INTO meta (one, created, known_to) VALUES (1, ?1, NULL) ON CONFLICT DO NOTHING";
        connection.execute(insert, params![now.0]).map_err(judge("begin it"))?;
        keep_wal(&connection, false).map_err(judge("set it up"))?;
        let meter = Meter::of(&connection).map_err(judge("read its page size"))?;
        Ok(Self { connection, meter })
    }

    /// To WAL and file, since it was opened.
    pub(super) fn written(&self) -> u64 {
        self.meter.wal_bytes + self.meter.file_bytes
    }

    pub(super) fn known_to(&self) -> Result<Option<Wall>, HistoryError> {
        let known: Option<Option<i64>> = self
            .connection
            .query_row("SELECT known_to FROM meta", [], |row| row.get(0))
            .optional()
            .map_err(sql("read up to when it is whole"))?;
        Ok(known.flatten().map(Wall))
    }

    /// The numbers of these points, new ones for those that are new.
    pub(super) fn points<'t>(
        &mut self,
        tags: impl Iterator<Item = &'t str>,
    ) -> Result<Vec<i64>, HistoryError> {
        self.in_transaction(|transaction| {
            let mut find = transaction
                .prepare_cached("SELECT id FROM point WHERE tag = ?1")
                .map_err(sql("look for a point"))?;
            let mut add = transaction
                .prepare_cached("INSERT INTO point (tag) VALUES (?1) RETURNING id")
                .map_err(sql("add a point"))?;
            tags.map(|tag| {
                let known =
                    find.query_row([tag], |row| row.get(0)).optional().map_err(sql("look for a point"))?;
                match known {
                    Some(id) => Ok(id),
                    None => add.query_row([tag], |row| row.get(0)).map_err(sql("add a point")),
                }
            })
            .collect()
        })
    }

    /// All of it or nothing.
    pub(super) fn write(&mut self, round: i64, step: &Step) -> Result<(), HistoryError> {
        self.in_transaction(|transaction| {
            let id: i64 = transaction
                .prepare_cached(
                    "INSERT INTO step (round, first, last, low, high, samples, bytes)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id",
                )
                .and_then(|mut insert| {
                    let bytes = i64::try_from(step.bytes).unwrap_or(i64::MAX);
                    let samples = i64::try_from(step.samples).unwrap_or(i64::MAX);
                    let row = params![round, step.first, step.last, step.low, step.high, samples, bytes];
                    insert.query_row(row, |row| row.get(0))
                })
                .map_err(sql("write a step"))?;
            let mut insert = transaction
                .prepare_cached("INSERT INTO block (id, body) VALUES (?1, ?2)")
                .map_err(sql("write a block"))?;
            for (point, body) in &step.rows {
                insert.execute(params![block_id(id, *point), body]).map_err(sql("write a block"))?;
            }
            Ok(())
        })?;
        // It is committed whatever becomes of the WAL: written twice, it would stand in the file twice.
        if let Err(error) = self.checkpoint() {
            tracing::debug!(
                error = crate::causes::chain(&error),
                "the WAL of the history is not written back"
            );
        }
        Ok(())
    }

    /// Ends a round: everything received up to `known_to` is here, but for what the gaps say.
    pub(super) fn end_round(&mut self, known_to: Wall, gaps: &[Gap]) -> Result<(), HistoryError> {
        self.in_transaction(|transaction| {
            for gap in gaps {
                let lost = i64::try_from(gap.lost).unwrap_or(i64::MAX);
                transaction
                    .execute(
                        "INSERT INTO gap (first, last, why, lost) VALUES (?1, ?2, ?3, ?4)",
                        params![gap.from.0, gap.to.0, gap.why, lost],
                    )
                    .map_err(sql("write a gap"))?;
            }
            transaction
                .execute("UPDATE meta SET known_to = ?1", params![known_to.0])
                .map_err(sql("write up to when it is whole"))?;
            Ok(())
        })?;
        self.checkpoint()
    }

    pub(super) fn last_round(&self) -> Result<i64, HistoryError> {
        let query = "SELECT coalesce(max(round), 0) FROM step";
        self.connection.query_row(query, [], |row| row.get(0)).map_err(sql("read the last round"))
    }

    /// When the oldest step that is left begins.
    pub(super) fn oldest(&self) -> Result<Option<(i64, Wall)>, HistoryError> {
        let query = "SELECT id, first FROM step ORDER BY id LIMIT 1";
        let row = self.connection.query_row(query, [], |row| Ok((row.get(0)?, Wall(row.get(1)?))));
        row.optional().map_err(sql("read the oldest step"))
    }

    /// The oldest step that is too old. Of two, the one that was written first is the older: before one that is not
    /// too old by its stamps, and not stamped ahead, nothing younger goes, as what a clock in 1970 stamped; and what
    /// was stamped ahead is too old where one that was written after it is.
    pub(super) fn too_old(&self, too_old: Wall, now: Wall) -> Result<Option<i64>, HistoryError> {
        // All that were written before the first that is to stay, as far as one of them is too old by its stamps.
        let query = "SELECT min(id) FROM step WHERE id <= (
                         SELECT max(id) FROM step WHERE last < ?1 AND id < coalesce(
                             (SELECT min(id) FROM step WHERE last BETWEEN ?1 AND ?2), 9223372036854775807))";
        let row = self.connection.query_row(query, params![too_old.0, now.0], |row| row.get(0));
        row.map_err(sql("look for what is too old"))
    }

    /// Takes a step away, and the gaps that nothing is left of.
    pub(super) fn evict(&mut self, step: i64) -> Result<(), HistoryError> {
        self.in_transaction(|transaction| {
            let blocks = "DELETE FROM block WHERE id >= ?1 AND id < ?2";
            transaction
                .execute(blocks, params![block_id(step, 0), block_id(step.saturating_add(1), 0)])
                .map_err(sql("take a block away"))?;
            let steps = "DELETE FROM step WHERE id = ?1";
            transaction.execute(steps, params![step]).map_err(sql("take a step away"))?;
            let gaps = "DELETE FROM gap WHERE last < (SELECT min(first) FROM step)";
            transaction.execute(gaps, []).map_err(sql("take a gap away"))?;
            Ok(())
        })?;
        self.checkpoint()
    }

    /// Bytes in use, and of free pages.
    pub(super) fn size(&self) -> Result<(u64, u64), HistoryError> {
        let number = |pragma| {
            let pages = self.connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
            pages
                .map(|pages| u64::try_from(pages).unwrap_or(0) * self.meter.page_bytes)
                .map_err(sql("read its size"))
        };
        let free = number("freelist_count")?;
        Ok((number("page_count")?.saturating_sub(free), free))
    }

    /// Gives some free pages back to the disk.
    pub(super) fn vacuum(&mut self, pages: u32) -> Result<(), HistoryError> {
        let mut statement = self
            .connection
            .prepare(&format!("PRAGMA incremental_vacuum({pages})"))
            .map_err(sql("give free pages back"))?;
        // A page goes with each row that is stepped over.
        let mut rows = statement.query([]).map_err(sql("give free pages back"))?;
        while rows.next().map_err(sql("give free pages back"))?.is_some() {}
        drop(rows);
        drop(statement);
        self.checkpoint()
    }

    /// Writes the WAL back, and counts what that wrote.
    fn checkpoint(&mut self) -> Result<(), HistoryError> {
        self.meter.write_back(&self.connection).map_err(sql("write the WAL back"))
    }

    fn in_transaction<T>(
        &mut self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, HistoryError>,
    ) -> Result<T, HistoryError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sql("begin a transaction"))?;
        let done = body(&transaction)?;
        transaction.commit().map_err(sql("commit"))?;
        Ok(done)
    }
}

fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

pub(super) fn block_id(step: i64, point: i64) -> i64 {
    (step << POINT_BITS) | (point & ((1 << POINT_BITS) - 1))
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // Only takes effect before the first page is written.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // What a loss of power takes back is told as a gap: `known_to` goes back with it.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_MAX, |_| Ok(()))?;
    // Each step writes the WAL back itself, and counts it.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(())
}

fn judge(operation: &'static str, source: rusqlite::Error) -> Unusable {
    if is_damage(&source) {
        tracing::error!(operation, error = %source, "the history is damaged");
        return Unusable::Damaged("damaged");
    }
    Unusable::Refused(HistoryError::Sql { operation, source })
}
