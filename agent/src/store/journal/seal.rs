//! Segments: the entries of a month become a file, and leave `state.db`. The file is on disk, whole and under its
//! name, before the rows go; a crash between leaves both, and the next try writes the same bytes again.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use riskgate_point::Wall;
use rusqlite::{Connection, TransactionBehavior, params};

use super::super::{StoreError, int, sql, uint};
use super::{Head, Line, head};

/// Where the files are, under the store's directory.
pub(super) const FOLDER: &str = "journal";

/// A month with more entries than this is several files: each is written while no commit goes on, and 20,000 of
/// about 300 bytes are done in a second on a slow card.
const ENTRIES_MAX: u64 = 20_000;

/// After a try that failed, so many further entries go by before the next.
const REST_ENTRIES: u64 = 1_000;

/// What the writer remembers of the entries in `state.db`.
#[derive(Debug)]
pub(in super::super) struct Sealer {
    dir: PathBuf,
    /// Names the files: each epoch has a chain of its own.
    epoch: String,
    /// The oldest entry that is not sealed, and its month.
    first: u64,
    month: String,
    /// No try before this entry.
    rests_until: u64,
}

/// A file that was written, as the table `segment` knows it.
struct Segment {
    first: u64,
    last: Head,
    /// The latest time of its entries.
    until: i64,
    file: String,
}

impl Sealer {
    pub(in super::super) fn new(
        connection: &Connection,
        dir: &Path,
        epoch: &str,
    ) -> Result<Self, StoreError> {
        let epoch = epoch.chars().take(8).collect();
        let (first, month) = oldest(connection)?;
        Ok(Self { dir: dir.to_owned(), epoch, first, month, rests_until: 0 })
    }

    pub(in super::super) fn is_due(&self, head: &Head, at: Wall) -> bool {
        let full = head.n.saturating_sub(self.first) >= ENTRIES_MAX;
        (full || month_of(at.0) != self.month) && head.n > self.first && head.n >= self.rests_until
    }

    /// Makes a file of the oldest month, or of the first 20,000 of its entries. The newest entry stays where it is:
    /// the next one needs its hash.
    ///
    /// # Errors
    /// Nothing has gone: the entries are in `state.db` still.
    pub(in super::super) fn seal(&mut self, connection: &mut Connection, at: Wall) -> Result<(), StoreError> {
        let head = head(connection)?;
        self.rests_until = head.n + REST_ENTRIES;
        let Some(segment) = self.write(connection, &head)? else { return Ok(()) };
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sql("begin to seal the journal"))?;
        transaction
            .execute(
                "INSERT INTO segment (first, last, hash, until, file, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    int(segment.first),
                    int(segment.last.n),
                    segment.last.hash,
                    segment.until,
                    segment.file,
                    at.0
                ],
            )
            .map_err(sql("seal a segment of the journal"))?;
        transaction
            .execute("DELETE FROM journal WHERE n <= ?1", [int(segment.last.n)])
            .map_err(sql("take the sealed entries out"))?;
        transaction.commit().map_err(sql("commit the sealing of the journal"))?;
        (self.first, self.month) = oldest(connection)?;
        self.rests_until = 0;
        let entries = segment.last.n + 1 - segment.first;
        tracing::info!(file = segment.file, entries, "a segment of the journal is sealed");
        Ok(())
    }

    fn write(&self, connection: &Connection, head: &Head) -> Result<Option<Segment>, StoreError> {
        let folder = self.dir.join(FOLDER);
        let failed = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::File { operation, path, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(&folder)
            .map_err(failed("make the folder", &folder))?;
        // The rows go once the file is there for good, and so must be the folder that it is in.
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(failed("make the folder durable in", &self.dir))?;
        let name = format!("journal-{}-{}-{:010}.jsonl", self.month, self.epoch, self.first);
        let (path, part) = (folder.join(&name), folder.join(format!("{name}.part")));
        match fs::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove the half of an archive", &part)(error));
            }
            Ok(()) | Err(_) => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o440)
            .open(&part)
            .map_err(failed("write", &part))?;
        let mut out = BufWriter::new(file);
        let reading = || sql("read the entries to seal");
        let mut statement = connection
            .prepare("SELECT n, line, hash FROM journal WHERE n < ?1 ORDER BY n LIMIT ?2")
            .map_err(reading())?;
        let mut rows = statement.query(params![int(head.n), int(ENTRIES_MAX)]).map_err(reading())?;
        let mut segment: Option<Segment> = None;
        while let Some(row) = rows.next().map_err(reading())? {
            let read =
                || -> rusqlite::Result<(i64, String, String)> { Ok((row.get(0)?, row.get(1)?, row.get(2)?)) };
            let (n, line, hash) = read().map_err(reading())?;
            let at = time_of(&line);
            if at.is_some_and(|at| month_of(at) != self.month) {
                break;
            }
            writeln!(out, "{line}").map_err(failed("write", &part))?;
            let until = at.into_iter().chain(segment.as_ref().map(|segment| segment.until)).max();
            let first = segment.as_ref().map_or(uint(n), |segment| segment.first);
            let last = Head { n: uint(n), hash };
            segment = Some(Segment { first, last, until: until.unwrap_or_default(), file: name.clone() });
        }
        let file = out.into_inner().map_err(|error| failed("write", &part)(error.into_error()))?;
        file.sync_all().map_err(failed("make durable", &part))?;
        if segment.is_none() {
            fs::remove_file(&part).map_err(failed("remove the empty", &part))?;
            return Ok(None);
        }
        fs::rename(&part, &path).map_err(failed("name the archive", &path))?;
        File::open(&folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed("make the name durable in", &folder))?;
        Ok(segment)
    }
}

/// The number and the month of the oldest entry that is not sealed.
fn oldest(connection: &Connection) -> Result<(u64, String), StoreError> {
    let (n, line): (i64, String) = connection
        .query_row("SELECT n, line FROM journal ORDER BY n LIMIT 1", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(sql("read the oldest entry of the journal"))?;
    // A line that cannot be read stays with its neighbours: `verify` names it.
    Ok((uint(n), month_of(time_of(&line).unwrap_or_default())))
}

fn time_of(line: &str) -> Option<i64> {
    serde_json::from_str::<Line>(line).ok().map(|line| line.at)
}

/// In UTC, so that it does not hang on the site's zone, which may be changed: `2026-11`.
fn month_of(at: i64) -> String {
    Timestamp::from_millisecond(at)
        .map_or_else(|_| "0000-00".to_owned(), |at| at.strftime("%Y-%m").to_string())
}
