//! Readings that upstream has not acknowledged in time: on disk, in a file of their own, `spool.db`.
//!
//! Apart from the store: a flood of readings neither waits for the syncs of hazards nor takes their place.
//! Its commits are not synced one by one; after a power cut the last few may be missing, and what is missing
//! is within the range that is told then.
//!
//! What a crash costs: readings stay in memory for [`OLDEST_IN_MEMORY`] at most before they are here or
//! acknowledged, also where a broker answers and acknowledges nothing. `mark` says each minute that this held. A run that did not end by itself is followed by a
//! gap from [`OLDEST_IN_MEMORY`] before its last mark to the next start.
//!
//! Bounded by readings and bytes: the oldest go first, counted, and the count stays here until a gap on disk tells
//! it: an outage may last longer than a run. A damaged file is kept aside, and told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use riskgate_point::Wall;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::time::Instant;

use super::aside::{self, Damaged};
use super::telemetry::{Chunk, Dropped, Reading};
use crate::causes::chain;
use crate::events::Event;
use crate::sqlite::{NotAside, is_damage, keep_aside};

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

/// What is kept aside is for an engineer to look at, and not for ever.
const ASIDES_MAX: usize = 2;

/// Twice the time after which waiting readings are spooled, and the time after which a dead connection is
/// noticed.
pub(super) const OLDEST_IN_MEMORY: Duration = Duration::from_secs(90);

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS mark (
    one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    at    INTEGER NOT NULL,
    clean INTEGER NOT NULL CHECK (clean IN (0, 1))
) STRICT;
CREATE TABLE IF NOT EXISTS step (
    one  INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    low  INTEGER NOT NULL,
    high INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS untold (
    one  INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    low  INTEGER NOT NULL,
    high INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS damaged (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1)
) STRICT;
CREATE TABLE IF NOT EXISTS dropped (
    telling INTEGER NOT NULL PRIMARY KEY CHECK (telling IN (0, 1)),
    at      INTEGER NOT NULL,
    body    TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS chunk (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    readings INTEGER NOT NULL,
    began    INTEGER NOT NULL,
    ended    INTEGER NOT NULL,
    body     TEXT NOT NULL
) STRICT;";

#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    #[error("spool {}: cannot {operation}", path.display())]
    Sql { operation: &'static str, path: PathBuf, source: rusqlite::Error },
    #[error("spool: the damaged file stays in the way")]
    Aside(#[from] NotAside),
    #[error("spool: the readings cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    #[error("spool: its thread ended")]
    Ended,
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

/// What opening it found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// A run did not end by itself, or the file was damaged, and no gap tells it yet: readings of this time may be
    /// missing.
    pub(super) lost: Option<(Wall, Wall)>,
    /// The damaged file, under its new name. What was in it is within `lost`.
    pub(super) kept_aside: Option<PathBuf>,
}

/// What comes next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    Chunk(Chunk),
    /// It cannot be read, and is gone, counted.
    Damaged,
    Nothing,
}

impl Spool {
    pub(super) fn open(dir: &Path, now: Wall) -> Result<(Self, Found), SpoolError> {
        let path = dir.join("spool.db");
        match Self::open_at(&path, now) {
            Err(SpoolError::Sql { operation, source, .. }) if is_damage(&source) => {
                tracing::error!(operation, error = %source, "the spool is damaged");
                let damaged = aside::read(&path, now);
                let kept_aside = keep_aside(&path, now, ASIDES_MAX)?;
                let (spool, _) = Self::open_at(&path, now)?;
                spool.stands_for(&damaged)?;
                let lost = spool.untold()?;
                Ok((spool, Found { lost, kept_aside }))
            }
            opened => opened.map(|(spool, lost)| (spool, Found { lost, kept_aside: None })),
        }
    }

    fn open_at(path: &Path, now: Wall) -> Result<(Self, Option<(Wall, Wall)>), SpoolError> {
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
        spool.begin(lost, now)?;
        let lost = spool.untold()?;
        Ok((spool, lost))
    }

    /// The first mark of a run, and with it what the last one cost: a kill before that is told forgets none of it.
    fn begin(&mut self, lost: Option<(Wall, Wall)>, now: Wall) -> Result<(), SpoolError> {
        let failed = || sql("mark it", &self.path);
        let transaction = self.connection.unchecked_transaction().map_err(failed())?;
        if let Some(lost) = lost {
            add_untold(&transaction, lost).map_err(failed())?;
        }
        transaction
            .execute("INSERT OR REPLACE INTO mark (one, at, clean) VALUES (1, ?1, 0)", [now.0])
            .map_err(failed())?;
        transaction.commit().map_err(failed())
    }

    /// It takes the place of a damaged one: what that knew is to be told is told by this one.
    fn stands_for(&self, damaged: &Damaged) -> Result<(), SpoolError> {
        let failed = || sql("note what was damaged in", &self.path);
        let transaction = self.connection.unchecked_transaction().map_err(failed())?;
        add_untold(&transaction, damaged.lost).map_err(failed())?;
        transaction.execute("INSERT OR REPLACE INTO damaged (one) VALUES (1)", []).map_err(failed())?;
        for (telling, at, body) in &damaged.dropped {
            transaction
                .execute(
                    "INSERT OR REPLACE INTO dropped (telling, at, body) VALUES (?1, ?2, ?3)",
                    params![telling, at, body],
                )
                .map_err(failed())?;
        }
        transaction.commit().map_err(failed())
    }

    /// What is untold is so since a file was damaged, and not by a crash alone.
    pub(super) fn was_damaged(&self) -> Result<bool, SpoolError> {
        self.connection
            .query_row("SELECT EXISTS (SELECT 1 FROM damaged)", [], |row| row.get(0))
            .map_err(sql("read what is untold in", &self.path))
    }

    /// Of which time readings may be missing, as long as no gap on disk tells it.
    pub(super) fn untold(&self) -> Result<Option<(Wall, Wall)>, SpoolError> {
        self.connection
            .query_row("SELECT low, high FROM untold", [], |row| Ok((Wall(row.get(0)?), Wall(row.get(1)?))))
            .optional()
            .map_err(sql("read what is untold in", &self.path))
    }

    pub(super) fn told(&self) -> Result<(), SpoolError> {
        self.connection
            .execute_batch("BEGIN; DELETE FROM untold; DELETE FROM damaged; COMMIT;")
            .map_err(sql("note what was told in", &self.path))
    }

    /// All readings from before [`OLDEST_IN_MEMORY`] are here or acknowledged. `clean`: all of them.
    pub(super) fn mark(&self, now: Wall, clean: bool) -> Result<(), SpoolError> {
        self.connection
            .execute("INSERT OR REPLACE INTO mark (one, at, clean) VALUES (1, ?1, ?2)", params![now.0, clean])
            .map_err(sql("mark it", &self.path))?;
        Ok(())
    }

    /// The calendar has moved from one to the other, and readings of both may be in memory. `None`: they no
    /// longer are.
    pub(super) fn mark_step(&self, step: Option<(Wall, Wall)>) -> Result<(), SpoolError> {
        let marked = match step {
            Some((from, to)) => self.connection.execute(
                "INSERT OR REPLACE INTO step (one, low, high) VALUES (1, ?1, ?2)",
                params![from.0.min(to.0), from.0.max(to.0)],
            ),
            None => self.connection.execute("DELETE FROM step", []),
        };
        marked.map(|_| ()).map_err(sql("mark a step of the clock in", &self.path))
    }

    /// Keeps them, in order. What has to go for them is counted.
    pub(super) fn put(&mut self, chunks: &[Chunk]) -> Result<(), SpoolError> {
        self.write(chunks).map(|_last| ())
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
                .prepare_cached("INSERT INTO chunk (readings, began, ended, body) VALUES (?1, ?2, ?3, ?4)")
                .and_then(|mut insert| insert.execute(params![n, chunk.from.0, chunk.to.0, body]))
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
        drop_more(&transaction, dropped).map_err(sql("count what goes from", &path))?;
        transaction.commit().map_err(sql("commit", &path))?;
        (self.readings, self.bytes) = (readings, bytes);
        Ok(last)
    }

    /// These were dropped elsewhere: they are told with what is dropped here.
    pub(super) fn note_dropped(&mut self, dropped: Dropped) -> Result<(), SpoolError> {
        drop_more(&self.connection, Some(dropped)).map_err(sql("count what was dropped in", &self.path))
    }

    /// What a gap is to tell now, and the moment that it is told under. Until [`Spool::told_dropped`] it is the same
    /// each time, so that a gap which is told twice is told under one id.
    pub(super) fn begin_telling(&mut self, now: Wall) -> Result<Option<(Dropped, Wall)>, SpoolError> {
        let failed = || sql("read what was dropped in", &self.path);
        let begun = telling(&self.connection).map_err(failed())?;
        if begun.is_some() {
            return Ok(begun);
        }
        self.connection
            .execute("UPDATE dropped SET telling = 1, at = ?1 WHERE telling = 0", [now.0])
            .map_err(failed())?;
        telling(&self.connection).map_err(failed())
    }

    pub(super) fn told_dropped(&self) -> Result<(), SpoolError> {
        self.connection
            .execute("DELETE FROM dropped WHERE telling = 1", [])
            .map(|_| ())
            .map_err(sql("note what was told in", &self.path))
    }

    /// Keeps one, and gives its place.
    pub(super) fn put_one(&mut self, chunk: &Chunk) -> Result<i64, SpoolError> {
        self.write(std::slice::from_ref(chunk))
    }

    /// The oldest behind `after`.
    pub(super) fn next(&mut self, after: i64) -> Result<Next, SpoolError> {
        let found = oldest(&self.connection, after).map_err(sql("read from it", &self.path))?;
        match found {
            None => Ok(Next::Nothing),
            Some((_, Ok(chunk), _)) => Ok(Next::Chunk(chunk)),
            Some((id, Err((lost, _)), _)) => {
                // A crash between the two tells too much, not too little.
                self.note_dropped(lost)?;
                self.remove(id)?;
                Ok(Next::Damaged)
            }
        }
    }

    /// Upstream has it.
    pub(super) fn remove(&mut self, id: i64) -> Result<(), SpoolError> {
        let gone: Option<(i64, i64)> = self
            .connection
            .prepare_cached("DELETE FROM chunk WHERE id = ?1 RETURNING readings, octet_length(body)")
            .and_then(|mut delete| delete.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional())
            .map_err(sql("remove from it", &self.path))?;
        if let Some((readings, bytes)) = gone {
            self.readings -= readings;
            self.bytes -= bytes;
        }
        Ok(())
    }
}

fn add_untold(connection: &Connection, (from, to): (Wall, Wall)) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT INTO untold (one, low, high) VALUES (1, ?1, ?2)
             ON CONFLICT (one) DO UPDATE SET low = min(low, ?1), high = max(high, ?2)",
            params![from.0, to.0],
        )
        .map(|_| ())
}

fn drop_more(connection: &Connection, dropped: Option<Dropped>) -> rusqlite::Result<()> {
    if dropped.is_none() {
        return Ok(());
    }
    let before = of_telling(connection, false)?.map(|(before, _)| before);
    let Some(all) = Dropped::merged(before, dropped) else { return Ok(()) };
    connection
        .execute("INSERT OR REPLACE INTO dropped (telling, at, body) VALUES (0, 0, ?1)", [in_json(&all)?])
        .map(|_| ())
}

fn telling(connection: &Connection) -> rusqlite::Result<Option<(Dropped, Wall)>> {
    of_telling(connection, true)
}

fn of_telling(connection: &Connection, telling: bool) -> rusqlite::Result<Option<(Dropped, Wall)>> {
    connection
        .query_row("SELECT body, at FROM dropped WHERE telling = ?1", [telling], |row| {
            let body: String = row.get(0)?;
            let dropped = serde_json::from_str(&body).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
            })?;
            Ok((dropped, Wall(row.get(1)?)))
        })
        .optional()
}

fn in_json(dropped: &Dropped) -> rusqlite::Result<String> {
    serde_json::to_string(dropped).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
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

type Oldest = (i64, Result<Chunk, (Dropped, i64)>, i64);

fn oldest(connection: &Connection, after: i64) -> rusqlite::Result<Option<Oldest>> {
    let query = "SELECT id, readings, began, ended, body FROM chunk WHERE id > ?1 ORDER BY id LIMIT 1";
    let row = connection.prepare_cached(query)?.query_row([after], |row| {
        Ok((row.get(0)?, row.get(1)?, Wall(row.get(2)?), Wall(row.get(3)?), row.get::<_, String>(4)?))
    });
    let Some((id, n, from, to, body)) = row.optional()? else { return Ok(None) };
    let size = i64::try_from(body.len()).unwrap_or(i64::MAX);
    let chunk = match serde_json::from_str::<Vec<Reading>>(&body) {
        Ok(readings) => Ok(Chunk { readings: Arc::new(readings), from, to, ticket: None, spooled: Some(id) }),
        Err(_) => Err((Dropped::unknown(from, to, u64::try_from(n).unwrap_or(0)), n)),
    };
    Ok(Some((id, chunk, size)))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // Readings, not hazards: what a power cut takes of the last commits is told as a gap.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch(TABLES)?;
    let whole: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if whole == "ok" {
        return Ok(connection);
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(whole)))
}

fn sql(operation: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> SpoolError {
    let path = path.to_path_buf();
    move |source| SpoolError::Sql { operation, path, source }
}

/// A cause that was not met for so long is news again.
const QUIET_AFTER: Duration = Duration::from_secs(600);

/// Causes that are remembered: there are not many more.
const CAUSES_MAX: usize = 8;

/// The spool, for the runtime's threads: each work on it is done beside them.
#[derive(Clone)]
pub(super) struct Handle {
    spool: Arc<Mutex<Spool>>,
    /// Why it failed, and when it last did so: a full disk fails each second, for hours.
    causes: Arc<Mutex<BTreeMap<String, Instant>>>,
}

impl Handle {
    pub(super) fn new(spool: Spool) -> Self {
        Self { spool: Arc::new(Mutex::new(spool)), causes: Arc::default() }
    }

    pub(super) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Spool) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let spool = Arc::clone(&self.spool);
        // A panic between two statements leaves the file whole.
        let work = move || work(&mut spool.lock().unwrap_or_else(PoisonError::into_inner));
        beside(work).await.unwrap_or(Err(SpoolError::Ended))
    }

    /// Told once for each cause: what is lost by it is counted and told where it is dropped.
    pub(super) fn failed(&self, what: &'static str, error: &SpoolError) {
        let why = chain(error);
        if self.is_news(&why) {
            Event::SpoolFailed { why: &why }.emit();
        } else {
            tracing::debug!(what, error = why, "the spool failed; readings stay in memory");
        }
    }

    fn is_news(&self, why: &str) -> bool {
        let mut causes = self.causes.lock().unwrap_or_else(PoisonError::into_inner);
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
}

/// Does what may wait for the disk off the runtime's threads.
pub(super) async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    #[cfg(test)]
    if crate::sim::is_running() {
        // One thread and one order of things, so that a seed replays.
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::tests::{MORNING, readings};
    use super::*;

    fn chunk(n: usize) -> Chunk {
        Chunk { readings: Arc::new(readings(n)), from: MORNING, to: MORNING, ticket: None, spooled: None }
    }

    fn next(spool: &mut Spool, after: i64) -> Chunk {
        match spool.next(after).expect("read") {
            Next::Chunk(chunk) => chunk,
            other @ (Next::Damaged | Next::Nothing) => panic!("{other:?}"),
        }
    }

    #[test]
    fn readings_come_back_in_order_after_a_restart_until_they_are_removed() {
        let dir = TempDir::new().expect("a directory");
        let (mut spool, _) = Spool::open(dir.path(), MORNING).expect("opens");
        spool.put(&[chunk(2), chunk(3)]).expect("kept");
        drop(spool);
        let (mut spool, _) = Spool::open(dir.path(), MORNING).expect("opens");
        assert_eq!((spool.readings, next(&mut spool, 0).readings), (5, Arc::new(readings(2))));
        let second = next(&mut spool, 1);
        assert_eq!((second.readings.len(), second.spooled), (3, Some(2)));
        spool.remove(1).expect("removed");
        assert_eq!(next(&mut spool, 0), second);
        spool.remove(2).expect("removed");
        assert_eq!((spool.next(0).expect("read"), spool.readings, spool.bytes), (Next::Nothing, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cause_of_failure_is_news_once_until_it_was_quiet() {
        let dir = TempDir::new().expect("a directory");
        let spool = Handle::new(Spool::open(dir.path(), MORNING).expect("opens").0);
        assert_eq!(["full", "full", "broken"].map(|why| spool.is_news(why)), [true, false, true]);
        tokio::time::advance(QUIET_AFTER / 2).await;
        assert!(!spool.is_news("full"), "it goes on");
        tokio::time::advance(QUIET_AFTER / 2).await;
        assert_eq!(["full", "broken"].map(|why| spool.is_news(why)), [false, true]);
    }

    #[test]
    fn what_is_put_and_removed_leaves_no_byte_counted_whatever_its_script() {
        let dir = TempDir::new().expect("a directory");
        let (mut spool, _) = Spool::open(dir.path(), MORNING).expect("opens");
        let mut kept = readings(3);
        kept.iter_mut().for_each(|reading| reading.tag = "一号罐区可燃气体".into());
        let kept = Chunk { readings: Arc::new(kept), ..chunk(0) };
        spool.put(&[kept]).expect("kept");
        let counted = spool.bytes;
        drop(spool);
        let (mut spool, _) = Spool::open(dir.path(), MORNING).expect("opens");
        assert_eq!((spool.readings, spool.bytes), (3, counted), "counted as it was written");
        spool.remove(1).expect("removed");
        assert_eq!((spool.readings, spool.bytes), (0, 0));
    }

    #[test]
    fn a_run_that_did_not_end_by_itself_is_known_and_a_clean_one_too() {
        let dir = TempDir::new().expect("a directory");
        let later = MORNING.after(Duration::from_secs(3_600));
        let (spool, found) = Spool::open(dir.path(), MORNING).expect("opens");
        assert_eq!(found.lost, None, "the first run");
        spool.mark(later, false).expect("marked");
        drop(spool);
        let (spool, found) = Spool::open(dir.path(), later).expect("opens");
        let (from, to) = found.lost.expect("told");
        assert_eq!((from.after(OLDEST_IN_MEMORY), to), (later, later));
        spool.mark(later, true).expect("marked");
        drop(spool);
        let (spool, found) = Spool::open(dir.path(), later).expect("opens");
        assert_eq!(found.lost, Some((from, to)), "it was killed before it could tell");
        spool.told().expect("noted");
        spool.mark(later, true).expect("marked");
        drop(spool);
        assert_eq!(Spool::open(dir.path(), later).expect("opens").1.lost, None);
    }

    #[test]
    fn what_a_crash_cost_is_told_by_its_stamps_wherever_the_clock_was_set_to() {
        let (day, hour, soon) = (86_400_000, 3_600_000, 90_000);
        let at = MORNING.0;
        assert_eq!(lost_around(at, None, Wall(at + hour)), (Wall(at - soon), Wall(at + hour)));
        // Set back a day while it was down, or to before 2020: the range is none that ends before it begins.
        assert_eq!(lost_around(at, None, Wall(at - day)), (Wall(at - soon), Wall(at + soon)));
        assert_eq!(lost_around(at, None, Wall(0)), (Wall(at - soon), Wall(at + soon)));
        // Set in the run: readings of both days were in memory.
        let step = Some((at - day, at));
        assert_eq!(lost_around(at, step, Wall(at + hour)), (Wall(at - day - soon), Wall(at + hour)));
        assert_eq!(lost_around(at - day, step, Wall(at - day)), (Wall(at - day - soon), Wall(at + soon)));

        let dir = TempDir::new().expect("a directory");
        let (spool, _) = Spool::open(dir.path(), MORNING).expect("opens");
        spool.mark_step(Some((MORNING, Wall(at - day)))).expect("marked");
        drop(spool);
        let (spool, found) = Spool::open(dir.path(), Wall(at - day)).expect("opens");
        assert_eq!(found.lost, Some((Wall(at - day - soon), Wall(at + soon))));
        spool.mark_step(None).expect("marked");
        spool.told().expect("noted");
        drop(spool);
        let (_, found) = Spool::open(dir.path(), Wall(at - day)).expect("opens");
        assert_eq!(found.lost, Some((Wall(at - day - soon), Wall(at - day))));
    }

    #[test]
    fn the_oldest_go_first_when_it_is_full_and_are_counted() {
        let dir = TempDir::new().expect("a directory");
        let (mut spool, _) = Spool::open(dir.path(), MORNING).expect("opens");
        spool.put(&[chunk(7), chunk(2)]).expect("kept");
        spool.readings += READINGS_MAX - 9;
        spool.put(&[chunk(1)]).expect("kept");
        assert_eq!(next(&mut spool, 0).readings.len(), 2);
        drop(spool);
        // Told when there is somebody to be told, however many runs later.
        let (mut spool, _) = Spool::open(dir.path(), MORNING).expect("opens");
        let (dropped, at) = spool.begin_telling(MORNING).expect("read").expect("full");
        assert_eq!((dropped.count, dropped.classes.iter().sum::<u64>(), at), (7, 7, MORNING));
        spool.note_dropped(Dropped::unknown(MORNING, MORNING, 5)).expect("noted");
        drop(spool);
        let (mut spool, _) = Spool::open(dir.path(), MORNING).expect("opens");
        let later = MORNING.after(Duration::from_secs(1));
        assert_eq!(spool.begin_telling(later).expect("read"), Some((dropped, at)), "under the same id");
        spool.told_dropped().expect("noted");
        let (rest, at) = spool.begin_telling(later).expect("read").expect("what came since");
        assert_eq!((rest.count, at), (5, later));
        spool.told_dropped().expect("noted");
        assert_eq!(spool.begin_telling(later).expect("read"), None);
    }

    #[test]
    fn a_damaged_file_is_kept_aside_and_a_damaged_chunk_is_counted() {
        let dir = TempDir::new().expect("a directory");
        let (mut spool, _) = Spool::open(dir.path(), MORNING).expect("opens");
        let hour = Duration::from_secs(3_600);
        spool.put(&[chunk(4)]).expect("kept");
        spool.connection.execute("UPDATE chunk SET body = '[{'", []).expect("damaged");
        assert_eq!(spool.next(0).expect("read"), Next::Damaged);
        let told = spool.begin_telling(MORNING).expect("read");
        assert_eq!(told.map(|(dropped, _)| dropped.count), Some(4));
        assert_eq!(spool.next(0).expect("read"), Next::Nothing);
        drop(spool);
        std::fs::write(dir.path().join("spool.db"), b"not a database, and long enough to be looked at")
            .expect("written");
        let (mut spool, found) = Spool::open(dir.path(), MORNING).expect("opens");
        assert!(found.kept_aside.is_some_and(|aside| aside.exists()));
        assert_eq!(spool.next(0).expect("read"), Next::Nothing);
        // Nothing in it can be read: readings of any time before may have been there.
        assert_eq!((found.lost, spool.was_damaged().expect("read")), (Some((aside::UNKNOWN, MORNING)), true));
        drop(spool);
        let (spool, found) = Spool::open(dir.path(), MORNING.after(hour)).expect("opens");
        assert_eq!(found.lost, Some((aside::UNKNOWN, MORNING.after(hour))), "until it is told");
        spool.told().expect("noted");
        assert_eq!((spool.untold().expect("read"), spool.was_damaged().expect("read")), (None, false));
    }

    #[test]
    fn a_damaged_file_tells_what_can_still_be_read_of_it() {
        let dir = TempDir::new().expect("a directory");
        let (mut spool, _) = Spool::open(dir.path(), MORNING).expect("opens");
        let hour = Duration::from_secs(3_600);
        spool.put(&[chunk(4)]).expect("kept");
        let seven = Dropped::unknown(MORNING, MORNING, 7);
        spool.note_dropped(seven).expect("noted");
        let told = spool.begin_telling(MORNING).expect("read");
        spool.mark(MORNING.after(hour), true).expect("marked");
        // Another shape, where nothing needs to be read of it.
        spool.connection.execute_batch("ALTER TABLE chunk RENAME COLUMN readings TO n").expect("changed");
        drop(spool);
        let (mut spool, found) = Spool::open(dir.path(), MORNING.after(2 * hour)).expect("opens");
        assert!(found.kept_aside.is_some());
        assert_eq!(found.lost, Some((MORNING, MORNING.after(2 * hour))), "from the oldest that waited in it");
        assert_eq!(spool.begin_telling(MORNING.after(hour)).expect("read"), told, "under the same id");
    }

    #[test]
    fn a_file_whose_tables_are_of_another_shape_is_damaged_too() {
        let dir = TempDir::new().expect("a directory");
        drop(Spool::open(dir.path(), MORNING).expect("opens"));
        let other = Connection::open(dir.path().join("spool.db")).expect("opens");
        other.execute_batch("ALTER TABLE mark RENAME COLUMN at TO moment").expect("changed");
        drop(other);
        let (spool, found) = Spool::open(dir.path(), MORNING).expect("opens");
        assert!(found.kept_aside.is_some_and(|aside| aside.exists()));
        spool.mark(MORNING, true).expect("marked");
    }
}
