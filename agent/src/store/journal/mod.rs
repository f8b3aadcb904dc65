//! The journal: what the engine decided and what persons did, each entry holding the hash of the one before.
//!
//! An entry is one line of JSON. These bytes, as they are stored, are what is hashed (SHA-256, without the end of
//! the line), so that nobody has to agree on a way to write JSON: the next line's `previous` is this line's hash.
//!
//! ```text
//! {"n":1,"at":1764547200000,"by":"riskgate","what":"chain","body":{…},"previous":"000…0"}
//! {"n":2,"at":1764547200000,"by":"riskgate","what":"start","body":{…},"previous":"5f1c…"}
//! ```
//!
//! `n` counts from 1 without holes and `at` is in ms since 1970, by the gateway's wall clock. The first entry tells
//! why the chain begins. The lines of a month go to a file of their own ([`seal`]) and stay; the chain goes on. What
//! a chain cannot show by itself is that its tail was cut off: so its head is told upstream.
//!
//! It holds against a change behind the agent's back, not against someone who writes a whole new chain and whom
//! nobody upstream compares with.

mod prove;
mod read;
mod seal;
#[cfg(test)]
mod tests;

use ring::digest::{Context, SHA256};
use riskgate_engine::{Effect, Epoch};
use riskgate_point::Wall;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{JournalEntry, StoreError, int, sql, uint};

pub use prove::{Broken, Proof, prove};
pub(in crate::store) use read::open as open_to_read;
pub use read::{Entry, Filter, read};
pub(super) use seal::Sealer;

/// What the first entry of a chain says of the one before it.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The newest entry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Head {
    pub n: u64,
    pub hash: String,
}

/// One line. Its fields stand in this order.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    n: u64,
    at: i64,
    by: String,
    what: String,
    body: Value,
    previous: String,
}

/// Adds an entry behind `head`, which moves on.
pub(super) fn append(
    connection: &Connection,
    head: &mut Head,
    entry: &JournalEntry,
) -> Result<(), StoreError> {
    let JournalEntry { at, by, what, body } = entry;
    let n = head.n + 1;
    let line = Line {
        n,
        at: at.0,
        by: by.clone(),
        what: what.clone(),
        body: body.clone(),
        previous: head.hash.clone(),
    };
    let line = serde_json::to_string(&line).map_err(|source| StoreError::Encode {
        table: "journal entry",
        key: n.to_string(),
        source,
    })?;
    let hash = hash(line.as_bytes());
    connection
        .prepare_cached("INSERT INTO journal (n, line, hash) VALUES (?1, ?2, ?3)")
        .and_then(|mut statement| statement.execute(params![int(n), line, hash]))
        .map_err(sql("append to the journal"))?;
    // Which configuration holds from here on: the next start tells whether it was changed meanwhile.
    if matches!(what.as_str(), "start" | "reload" | "model")
        && let Some(config) = body.get("new").and_then(Value::as_str)
    {
        connection.execute("UPDATE meta SET config = ?1", [config]).map_err(sql("note the configuration"))?;
    }
    if what == "start" {
        super::whose::note(connection, body)?;
    }
    *head = Head { n, hash };
    Ok(())
}

/// What the engine decided, as the journal tells it: which object, at which revision, and what it is now. The whole
/// of it is in the object's own record and was sent upstream.
pub(super) fn decision(effect: &Effect, at: Wall) -> JournalEntry {
    let (what, body) = match effect {
        Effect::Alarm(alarm) => (
            "alarm",
            json!({
                "id": alarm.id, "revision": alarm.revision, "unit": alarm.unit, "measure": alarm.measure,
                "state": alarm.state, "turn": alarm.turn, "priority": alarm.priority, "words": alarm.words.zh,
            }),
        ),
        Effect::Hazard(hazard) => (
            "hazard",
            json!({
                "id": hazard.id, "revision": hazard.revision, "unit": hazard.unit, "measure": hazard.measure,
                "cause": hazard.cause, "stage": hazard.stage, "level": hazard.level, "words": hazard.words.zh,
            }),
        ),
        Effect::Task(task) => (
            "task",
            json!({
                "id": task.task, "revision": task.revision, "unit": task.unit, "measure": task.measure,
                "cycle_s": task.cycle.as_secs(), "boosts": task.boosts.len(), "suspended": task.suspended,
                "overdue": task.overdue,
            }),
        ),
        Effect::Unit(unit) => (
            "unit",
            json!({
                "id": unit.unit, "revision": unit.revision, "unit": unit.unit, "class": unit.current,
                "base": unit.base,
            }),
        ),
        Effect::Record(record) => (
            "record",
            json!({
                "id": record.id, "revision": record.revision, "unit": record.unit, "measure": record.measure,
                "task": record.task, "status": record.status, "by": record.by, "automatic": record.automatic,
            }),
        ),
        Effect::Indicator(of) => (
            "indicator",
            json!({
                "id": "site", "revision": of.revision, "tasks": of.week.tasks.rate(),
                "hazards": of.week.hazards.rate(), "analysis": of.analysis.rate(),
            }),
        ),
        Effect::Stop(stop) => (
            "stop",
            json!({
                "id": stop.unit, "revision": stop.revision, "unit": stop.unit, "stop": stop.stop,
                "by": stop.by, "why": stop.why, "ended": stop.ended, "ended_by": stop.ended_by,
            }),
        ),
        Effect::Shadow(of) => {
            ("shadow", json!({ "id": of.rule, "revision": of.revision, "episodes": of.episodes }))
        }
    };
    JournalEntry { at, by: "riskgate".to_owned(), what: what.to_owned(), body }
}

/// What a shadow rule counts is no decision: it stands in its record, and not in the journal.
pub(super) fn is_decision(effect: &Effect) -> bool {
    match effect {
        Effect::Alarm(_)
        | Effect::Hazard(_)
        | Effect::Task(_)
        | Effect::Unit(_)
        | Effect::Record(_)
        | Effect::Stop(_)
        | Effect::Indicator(_) => true,
        Effect::Shadow(_) => false,
    }
}

/// The newest entry; the beginning of a chain where there is none.
pub(super) fn head(connection: &Connection) -> Result<Head, StoreError> {
    let head = connection
        .prepare_cached("SELECT n, hash FROM journal ORDER BY n DESC LIMIT 1")
        .and_then(|mut statement| {
            statement.query_row([], |row| Ok(Head { n: uint(row.get(0)?), hash: row.get(1)? })).optional()
        })
        .map_err(sql("read the head of the journal"))?;
    Ok(head.unwrap_or_else(|| Head { n: 0, hash: NOTHING.to_owned() }))
}

/// Begins the chain where none has begun: in a new store, and in one whose entries were not chained yet. These
/// keep their table, and the first entry holds their number and their hash.
pub(super) fn begin(
    connection: &Connection,
    epoch: Epoch,
    reason: &str,
    now: Wall,
) -> Result<(), StoreError> {
    let mut head = head(connection)?;
    if head.n > 0 {
        return Ok(());
    }
    let unchained = unchained(connection)?;
    let reason = if unchained.entries > 0 { "unchained_entries" } else { reason };
    let body = json!({ "epoch": epoch.0, "reason": reason, "unchained": unchained });
    let entry = JournalEntry { at: now, by: "riskgate".to_owned(), what: "chain".to_owned(), body };
    append(connection, &mut head, &entry)
}

/// The entries of before the chain, and the hash over all of them: of each `[entry,at,by,what,body]` as JSON, the
/// body as text, and an end of line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Unchained {
    entries: u64,
    sha256: String,
}

fn unchained(connection: &Connection) -> Result<Unchained, StoreError> {
    let failed = || sql("read the entries of before the chain");
    let mut statement = connection
        .prepare("SELECT entry, at, by, what, body FROM journal_unchained ORDER BY entry")
        .map_err(failed())?;
    let mut rows = statement.query([]).map_err(failed())?;
    let (mut entries, mut context) = (0, Context::new(&SHA256));
    while let Some(row) = rows.next().map_err(failed())? {
        let read = || -> rusqlite::Result<(i64, i64, String, String, String)> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        };
        let line = json!(read().map_err(failed())?).to_string();
        context.update(line.as_bytes());
        context.update(b"\n");
        entries += 1;
    }
    Ok(Unchained { entries, sha256: hex(context.finish().as_ref()) })
}

fn hash(line: &[u8]) -> String {
    hex(ring::digest::digest(&SHA256, line).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
