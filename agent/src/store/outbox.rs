//! The outbox's SQL: append with the next sequence of the lane, lease, acknowledge, range, purge.

use std::time::Duration;

use riskgate_point::Wall;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use serde_json::json;

use super::upkeep::Rows;
use super::{Lane, LaneView, LastSequences, Message, OutboxView, Row, SetAside, StoreError, int, sql, uint};

/// The largest `data` of one message, in bytes of JSON. A packet may have 256 KiB; the envelope and the
/// topic take at most 2 KiB of it, and names of the plant are longer when escaped.
pub const DATA_BYTES_MAX: usize = 240 * 1024;

/// How long an acknowledged row can be asked for again.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Rows removed in one go: under 10 ms of the writer's time.
const PURGE_ROWS: i64 = 500;

/// Pages given back to the file system in one go; a purge of 500 rows frees about as many.
const VACUUM_PAGES: i64 = 200;

/// Whether a message is in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Appended {
    Row,
    /// Its data is over [`DATA_BYTES_MAX`]: a gap that says so went in instead.
    Refused,
}

/// Gives the message the next sequence of its lane. A message that no receiver would take would block its
/// lane for ever: it becomes a gap that names it.
///
/// A gap is told once. Who tells it notes so elsewhere, behind this: a stop between the two brings it here again.
pub(super) fn append(connection: &Connection, message: &Message) -> Result<Appended, StoreError> {
    if message.lane == Lane::Gap && is_there(connection, message)? {
        return Ok(Appended::Row);
    }
    let body = message.data.to_string();
    if body.len() <= DATA_BYTES_MAX {
        insert(connection, message, &body)?;
        return Ok(Appended::Row);
    }
    let gap = Message {
        lane: Lane::Gap,
        topic: "gap".to_owned(),
        retain: false,
        kind: "riskgate.gap.v1".to_owned(),
        object: format!("too-large:{}:{}", message.object, message.revision),
        revision: 1,
        time: message.time,
        data: json!({
            "id": format!("too-large:{}:{}", message.object, message.revision),
            "revision": 1,
            "lane": message.lane.word(),
            "count": 1,
            "reason": "too_large",
            "kind": message.kind,
            "topic": message.topic,
            "object": message.object,
            "objectRevision": message.revision,
            "bytes": body.len(),
        }),
    };
    insert(connection, &gap, &gap.data.to_string())?;
    Ok(Appended::Refused)
}

/// Gaps are few: the lane is looked through.
fn is_there(connection: &Connection, gap: &Message) -> Result<bool, StoreError> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM outbox WHERE lane = ?1 AND object = ?2 AND revision = ?3)",
        )
        .and_then(|mut statement| {
            let gap = params![gap.lane.word(), gap.object, int(gap.revision)];
            statement.query_row(gap, |row| row.get(0))
        })
        .map_err(sql("look for a gap in the outbox"))
}

fn insert(connection: &Connection, message: &Message, body: &str) -> Result<(), StoreError> {
    let lane = message.lane.word();
    let sequence: i64 = connection
        .prepare_cached("UPDATE lane SET last = last + 1 WHERE lane = ?1 RETURNING last")
        .and_then(|mut statement| statement.query_row([lane], |row| row.get(0)))
        .map_err(sql("give out a sequence"))?;
    connection
        .prepare_cached(
            "INSERT INTO outbox (lane, sequence, topic, retain, kind, object, revision, time, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                lane,
                sequence,
                message.topic,
                message.retain,
                message.kind,
                message.object,
                int(message.revision),
                message.time.0,
                body
            ])
        })
        .map_err(sql("append to the outbox"))?;
    Ok(())
}

pub(super) fn lease(
    connection: &Connection,
    lane: Lane,
    after: i64,
    n: usize,
) -> Result<Vec<Row>, StoreError> {
    let query =
        "SELECT row, lane, sequence, topic, retain, kind, object, revision, time, body, refused IS NOT NULL
         FROM outbox
         WHERE lane = ?1 AND row > ?2 AND sent_at IS NULL ORDER BY row LIMIT ?3";
    read(connection, query, params![lane.word(), after, limit(n)])
}

pub(super) fn range(
    connection: &Connection,
    lane: Lane,
    from: u64,
    to: u64,
    n: usize,
) -> Result<Vec<Row>, StoreError> {
    let query =
        "SELECT row, lane, sequence, topic, retain, kind, object, revision, time, body, refused IS NOT NULL
         FROM outbox
         WHERE lane = ?1 AND sequence BETWEEN ?2 AND ?3 ORDER BY sequence LIMIT ?4";
    read(connection, query, params![lane.word(), int(from), int(to), limit(n)])
}

fn limit(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn read(
    connection: &Connection,
    query: &str,
    parameters: &[&dyn rusqlite::ToSql],
) -> Result<Vec<Row>, StoreError> {
    let mut statement = connection.prepare_cached(query).map_err(sql("read outbox rows"))?;
    let mut rows = statement.query(parameters).map_err(sql("read outbox rows"))?;
    let mut read = Vec::new();
    while let Some(row) = rows.next().map_err(sql("read outbox rows"))? {
        let plain = plain(row).map_err(sql("read outbox rows"))?;
        read.push(decoded(plain)?);
    }
    Ok(read)
}

/// A row as SQLite has it: the lane is a word, the body a text.
struct Plain {
    row: i64,
    lane: String,
    sequence: i64,
    topic: String,
    retain: bool,
    kind: String,
    object: String,
    revision: i64,
    time: i64,
    body: String,
    refused: bool,
}

fn plain(row: &SqlRow<'_>) -> rusqlite::Result<Plain> {
    Ok(Plain {
        row: row.get(0)?,
        lane: row.get(1)?,
        sequence: row.get(2)?,
        topic: row.get(3)?,
        retain: row.get(4)?,
        kind: row.get(5)?,
        object: row.get(6)?,
        revision: row.get(7)?,
        time: row.get(8)?,
        body: row.get(9)?,
        refused: row.get(10)?,
    })
}

fn decoded(plain: Plain) -> Result<Row, StoreError> {
    let Some(lane) = Lane::of_word(&plain.lane) else {
        return Err(StoreError::Lane { row: plain.row, word: plain.lane });
    };
    let data = serde_json::from_str(&plain.body).map_err(|source| StoreError::Record {
        table: "outbox row",
        key: plain.row.to_string(),
        source,
    })?;
    let message = Message {
        lane,
        topic: plain.topic,
        retain: plain.retain,
        kind: plain.kind,
        object: plain.object,
        revision: uint(plain.revision),
        time: Wall(plain.time),
        data,
    };
    Ok(Row { seq: plain.row, sequence: uint(plain.sequence), refused: plain.refused, message })
}

/// Returns how many of each lane were pending until now.
pub(super) fn acknowledge(
    connection: &Connection,
    rows: &[i64],
    at: Wall,
) -> Result<LastSequences, StoreError> {
    let mut statement = connection
        .prepare_cached("UPDATE outbox SET sent_at = ?2 WHERE row = ?1 AND sent_at IS NULL RETURNING lane")
        .map_err(sql("acknowledge outbox rows"))?;
    let mut counts = LastSequences::default();
    for row in rows {
        let word: Option<String> = statement
            .query_row(params![row, at.0], |row| row.get(0))
            .optional()
            .map_err(sql("acknowledge outbox rows"))?;
        if let Some(lane) = word.as_deref().and_then(Lane::of_word) {
            counts.set(lane, counts.of(lane) + 1);
        }
    }
    Ok(counts)
}

/// The receiver will not take it. `None`: it is not pending, and was told before.
pub(super) fn refuse(
    connection: &Connection,
    row: i64,
    why: &str,
    at: Wall,
) -> Result<Option<Lane>, StoreError> {
    let word: Option<String> = connection
        .prepare_cached(
            "UPDATE outbox SET sent_at = ?2, refused = ?3 WHERE row = ?1 AND sent_at IS NULL RETURNING lane",
        )
        .and_then(|mut statement| statement.query_row(params![row, at.0, why], |row| row.get(0)).optional())
        .map_err(sql("set an outbox row aside"))?;
    Ok(word.as_deref().and_then(Lane::of_word))
}

/// What was set aside for good: by the receiver, and by the database.
fn set_aside(connection: &Connection) -> Result<Vec<SetAside>, StoreError> {
    let queries = [
        (
            "refused",
            "SELECT count(*), min(time), (SELECT refused FROM outbox WHERE refused IS NOT NULL
             ORDER BY row DESC LIMIT 1) FROM outbox WHERE refused IS NOT NULL",
        ),
        (
            "unwritable",
            "SELECT count(*), min(at), (SELECT why FROM unwritable ORDER BY n DESC LIMIT 1) FROM unwritable",
        ),
    ];
    let read = |(what, query): (&'static str, &str)| {
        connection.prepare_cached(query)?.query_row([], |row| {
            let (count, oldest) = (uint(row.get(0)?), row.get::<_, Option<i64>>(1)?.map(Wall));
            Ok(SetAside { what: what.to_owned(), count, oldest, why: row.get(2)? })
        })
    };
    queries.into_iter().map(read).collect::<Result<_, _>>().map_err(sql("read what was set aside"))
}

/// Removes the oldest acknowledged rows, however young. Returns how many.
pub(super) fn forget_sent(connection: &Connection, n: i64) -> Result<usize, StoreError> {
    connection
        .prepare_cached(
            "DELETE FROM outbox WHERE row IN
             (SELECT row FROM outbox WHERE sent_at IS NOT NULL ORDER BY sent_at LIMIT ?1)",
        )
        .and_then(|mut statement| statement.execute([n]))
        .map_err(sql("forget acknowledged rows"))
}

/// Removes at most 500 rows that were acknowledged over 30 days before `at`. Returns how many.
pub(super) fn purge(connection: &Connection, at: Wall) -> Result<usize, StoreError> {
    let kept_ms = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "DELETE FROM outbox WHERE row IN
             (SELECT row FROM outbox WHERE sent_at IS NOT NULL AND sent_at < ?1 ORDER BY sent_at LIMIT ?2)",
        )
        .and_then(|mut statement| statement.execute(params![at.0.saturating_sub(kept_ms), PURGE_ROWS]))
        .map_err(sql("purge the outbox"))
}

/// Gives free pages back to the file system, a few at a time. Outside any transaction.
pub(super) fn vacuum(connection: &Connection) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare_cached(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))
        .map_err(sql("vacuum"))?;
    let mut rows = statement.query([]).map_err(sql("vacuum"))?;
    while rows.next().map_err(sql("vacuum"))?.is_some() {}
    Ok(())
}

pub(super) fn last_sequences(connection: &Connection) -> Result<LastSequences, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT lane, last FROM lane").map_err(sql("read the lanes"))?;
    let mut rows = statement.query([]).map_err(sql("read the lanes"))?;
    let mut last = LastSequences::default();
    while let Some(row) = rows.next().map_err(sql("read the lanes"))? {
        let word: String = row.get(0).map_err(sql("read the lanes"))?;
        let sequence: i64 = row.get(1).map_err(sql("read the lanes"))?;
        if let Some(lane) = Lane::of_word(&word) {
            last.set(lane, uint(sequence));
        }
    }
    Ok(last)
}

pub(super) fn view(connection: &Connection, rows: &Rows) -> Result<OutboxView, StoreError> {
    let last = last_sequences(connection)?;
    let mut statement = connection
        .prepare_cached(
            // Within a lane the order of rows is the order of sequences.
            "SELECT sequence, time FROM outbox WHERE lane = ?1 AND sent_at IS NULL ORDER BY row LIMIT 1",
        )
        .map_err(sql("read the outbox"))?;
    let mut lanes = Vec::new();
    for lane in Lane::ALL {
        let first: Option<(i64, i64)> = statement
            .query_row([lane.word()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(sql("read the outbox"))?;
        let last = last.of(lane);
        let sent = first.map_or(last, |(first, _)| uint(first).saturating_sub(1));
        let (pending, oldest) = (rows.pending(lane), first.map(|(_, time)| Wall(time)));
        lanes.push(LaneView { lane, pending, last, sent, oldest });
    }
    Ok(OutboxView { lanes, set_aside: set_aside(connection)? })
}
