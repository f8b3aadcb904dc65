//! Reading the journal without the agent: the archives, then what is in `state.db`. Reads only, and holds up no
//! commit: what is in `state.db` is taken out in one go.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use riskgate_point::Wall;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde_json::Value;

use super::super::{StoreError, sql, uint};
use super::seal::FOLDER;
use super::{Head, Line, Unchained, unchained};

/// The agent commits meanwhile.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// One entry, as it stands in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub n: u64,
    pub at: Wall,
    pub by: String,
    pub what: String,
    pub body: Value,
    /// The bytes that are hashed.
    pub line: String,
}

impl Entry {
    /// Which unit it is about.
    pub fn unit(&self) -> Option<&str> {
        unit_of(&self.body)
    }
}

fn unit_of(body: &Value) -> Option<&str> {
    body.get("unit").and_then(Value::as_str)
}

/// Which entries are wanted; nothing given: all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub since: Option<Wall>,
    pub unit: Option<String>,
    pub by: Option<String>,
}

/// Hands the wanted entries to `take`, oldest first. Stops where `take` says so (false).
///
/// # Errors
/// The store or an archive cannot be read, or a line is no entry: `riskgate verify` tells more.
pub fn read(dir: &Path, filter: &Filter, mut take: impl FnMut(Entry) -> bool) -> Result<(), StoreError> {
    let stored = Stored::load(dir)?;
    for segment in &stored.segments {
        if filter.since.is_some_and(|since| segment.until < since.0) {
            continue;
        }
        for line in lines(&segment.path)? {
            if !give(&line?, filter, &mut take)? {
                return Ok(());
            }
        }
    }
    for row in &stored.rows {
        if !give(&row.line, filter, &mut take)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether there should be more.
fn give(text: &str, filter: &Filter, take: &mut impl FnMut(Entry) -> bool) -> Result<bool, StoreError> {
    let line: Line = serde_json::from_str(text).map_err(|source| StoreError::Record {
        table: "journal entry",
        key: text.chars().take(40).collect(),
        source,
    })?;
    let of_unit = |unit: &String| unit_of(&line.body) == Some(unit.as_str());
    let wanted = filter.since.is_none_or(|since| line.at >= since.0)
        && filter.unit.as_ref().is_none_or(of_unit)
        && filter.by.as_ref().is_none_or(|by| line.by == *by);
    if !wanted {
        return Ok(true);
    }
    let Line { n, at, by, what, body, previous: _ } = line;
    Ok(take(Entry { n, at: Wall(at), by, what, body, line: text.to_owned() }))
}

/// What `state.db` holds of the journal, at one moment.
pub(super) struct Stored {
    pub(super) segments: Vec<Segment>,
    pub(super) rows: Vec<Row>,
    pub(super) unchained: Unchained,
}

pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) last: Head,
    pub(super) until: i64,
    pub(super) path: PathBuf,
}

pub(super) struct Row {
    pub(super) n: u64,
    pub(super) line: String,
    pub(super) hash: String,
}

impl Stored {
    pub(super) fn load(dir: &Path) -> Result<Self, StoreError> {
        let mut connection = open(dir)?;
        // One moment: the agent may seal a segment between two questions.
        let moment = connection.transaction().map_err(sql("read the journal"))?;
        Ok(Self { segments: segments(&moment, dir)?, rows: rows(&moment)?, unchained: unchained(&moment)? })
    }
}

/// `state.db`, beside the agent or without one.
pub(in crate::store) fn open(dir: &Path) -> Result<Connection, StoreError> {
    let path = dir.join("state.db");
    if let Err(source) = std::fs::metadata(&path) {
        return Err(StoreError::File { operation: "find", path, source });
    }
    let opened = usable(Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY));
    let opened = match opened {
        // Beside a WAL there is a file to be shared with the agent, which cannot be made on a disk that may only be
        // read. Without a WAL nobody writes, and none is needed.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::CannotOpen) && !has_wal(&path) => {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            usable(Connection::open_with_flags(immutable(&path), flags))
        }
        opened => opened,
    };
    opened.map_err(|source| StoreError::Open { operation: "read it", path, source })
}

/// Reads the file, which opening alone does not.
fn usable(opened: rusqlite::Result<Connection>) -> rusqlite::Result<Connection> {
    let connection = opened?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    Ok(connection)
}

fn has_wal(path: &Path) -> bool {
    std::fs::metadata(path.with_extension("db-wal")).is_ok_and(|wal| wal.len() > 0)
}

/// As SQLite's own form of an address.
fn immutable(path: &Path) -> String {
    let path = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{path}?immutable=1")
}

fn segments(connection: &Connection, dir: &Path) -> Result<Vec<Segment>, StoreError> {
    let failed = || sql("read the segments of the journal");
    let mut statement = connection
        .prepare("SELECT first, last, hash, until, file FROM segment ORDER BY first")
        .map_err(failed())?;
    let segments = statement
        .query_map([], |row| {
            Ok(Segment {
                first: uint(row.get(0)?),
                last: Head { n: uint(row.get(1)?), hash: row.get(2)? },
                until: row.get(3)?,
                path: dir.join(FOLDER).join(row.get::<_, String>(4)?),
            })
        })
        .map_err(failed())?;
    segments.collect::<rusqlite::Result<_>>().map_err(failed())
}

fn rows(connection: &Connection) -> Result<Vec<Row>, StoreError> {
    let failed = || sql("read the journal");
    // A byte that was changed may leave no text: it is shown as well as it can be.
    let mut statement = connection
        .prepare("SELECT n, CAST(line AS BLOB), CAST(hash AS BLOB) FROM journal ORDER BY n")
        .map_err(failed())?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let rows = statement
        .query_map([], |row| {
            Ok(Row { n: uint(row.get(0)?), line: text(row.get(1)?), hash: text(row.get(2)?) })
        })
        .map_err(failed())?;
    rows.collect::<rusqlite::Result<_>>().map_err(failed())
}

/// The lines of an archive, without their ends.
pub(super) fn lines(path: &Path) -> Result<impl Iterator<Item = Result<String, StoreError>>, StoreError> {
    let failed = |operation, path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::File { operation, path, source }
    };
    let file = File::open(path).map_err(failed("open the archive", path))?;
    let path = path.to_owned();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(BufReader::new(file)
        .split(b'\n')
        .map(move |line| line.map(text).map_err(failed("read the archive", &path))))
}
