//! The objects of the engine as rows: one table for each kind, the newest revision of each object, its
//! body the engine's own record as JSON. Columns beside the body are what a query or an index needs.

use riskgate_engine::{
    AlarmRecord, CheckRecord, Effect, HazardRecord, HazardStage, IndicatorRecord, Restored, Running,
    ShadowRecord, StopRecord, TaskRecord, UnitRecord,
};
use riskgate_point::Wall;
use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{StoreError, int, sql};

pub(super) fn write(connection: &Connection, effect: &Effect) -> Result<(), StoreError> {
    match effect {
        Effect::Alarm(alarm) => {
            write_plain(connection, ("alarm", "write an alarm"), &alarm.id, alarm.revision, alarm.as_ref())
        }
        Effect::Hazard(hazard) => write_hazard(connection, hazard),
        Effect::Task(task) => {
            write_plain(connection, ("task", "write a task"), &task.task, task.revision, task.as_ref())
        }
        Effect::Unit(unit) => {
            write_plain(connection, ("unit", "write a unit"), &unit.unit, unit.revision, unit.as_ref())
        }
        Effect::Record(record) => write_record(connection, record),
        Effect::Indicator(of) => {
            let what = ("indicator", "write the indicators");
            write_plain(connection, what, SITE, of.revision, of.as_ref())
        }
        Effect::Stop(stop) => {
            write_plain(connection, ("stop", "write a stop"), &stop.unit, stop.revision, stop.as_ref())
        }
        Effect::Shadow(of) => {
            write_plain(connection, ("shadow", "write a shadow"), &of.rule, of.revision, of.as_ref())
        }
    }
}

/// The one row of what the site has once.
const SITE: &str = "site";

/// Records are kept for a year of evaluation, and a bit.
const RECORDS_KEPT_MS: i64 = 400 * 24 * 60 * 60 * 1000;

/// A record never changes; the same one twice is one.
fn write_record(connection: &Connection, record: &CheckRecord) -> Result<(), StoreError> {
    let id = record.id.to_string();
    let body = encode("record", &id, record)?;
    let operation = sql("write a record");
    connection
        .prepare_cached(
            "INSERT INTO record (id, task, at, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING",
        )
        .and_then(|mut statement| statement.execute(params![id, record.task, record.at.0, body]))
        .and_then(|_| connection.prepare_cached("DELETE FROM record WHERE at < ?1"))
        .and_then(|mut statement| statement.execute(params![record.at.0.saturating_sub(RECORDS_KEPT_MS)]))
        .map_err(operation)?;
    Ok(())
}

fn write_hazard(connection: &Connection, hazard: &HazardRecord) -> Result<(), StoreError> {
    let id = hazard.id.to_string();
    let body = encode("hazard", &id, hazard)?;
    let changed = connection
        .prepare_cached(
            "INSERT INTO hazard (id, measure, cause, opening, stage, revision, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (id) DO UPDATE
             SET stage = excluded.stage, revision = excluded.revision, body = excluded.body
             WHERE excluded.revision >= revision",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                id,
                hazard.measure,
                hazard.cause,
                int(hazard.opening),
                stage_word(hazard.stage),
                int(hazard.revision),
                body
            ])
        })
        .map_err(sql("write a hazard"))?;
    tell_if_older(changed, "hazard", &id, hazard.revision);
    Ok(())
}

/// An object of which no query needs more than its id, in the table of its kind: a name of ours, never of
/// an input.
fn write_plain(
    connection: &Connection,
    (table, operation): (&'static str, &'static str),
    id: &str,
    revision: u64,
    record: &impl Serialize,
) -> Result<(), StoreError> {
    let body = encode(table, id, record)?;
    let upsert = format!(
        "INSERT INTO {table} (id, revision, body) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, body = excluded.body
         WHERE excluded.revision >= revision"
    );
    let changed = connection
        .prepare_cached(&upsert)
        .and_then(|mut statement| statement.execute(params![id, int(revision), body]))
        .map_err(sql(operation))?;
    tell_if_older(changed, table, id, revision);
    Ok(())
}

/// The engine's revisions only rise; one that does not is a fault of ours, and the newer record stays.
fn tell_if_older(changed: usize, table: &'static str, key: &str, revision: u64) {
    if changed == 0 {
        tracing::error!(table, key, revision, "an older revision than the stored one was not written");
    }
}

/// Alarms, tasks and units as they are; of hazards every open one, and the newest of each (measure, cause)
/// for its opening number; of records the agent's own since what it counted was kept and told.
pub(super) fn restore(connection: &Connection) -> Result<Restored, StoreError> {
    let hazards = "SELECT id, body FROM hazard AS it
        WHERE stage IN ('candidate', 'rectifying', 'awaiting_acceptance')
           OR opening = (SELECT max(opening) FROM hazard WHERE measure = it.measure AND cause = it.cause)
        ORDER BY measure, cause, opening";
    let running: Option<Running> =
        read_all(connection, "running", "SELECT 'running', body FROM running")?.pop();
    let indicators = indicator(connection)?;
    let since = [running.as_ref().map(|of| of.at), indicators.as_ref().map(|of| of.changed)];
    let since = since.into_iter().flatten().min();
    Ok(Restored {
        alarms: read_all::<AlarmRecord>(connection, "alarm", "SELECT id, body FROM alarm ORDER BY id")?,
        hazards: read_all::<HazardRecord>(connection, "hazard", hazards)?,
        tasks: read_all::<TaskRecord>(connection, "task", "SELECT id, body FROM task ORDER BY id")?,
        units: units(connection)?,
        stops: read_all::<StopRecord>(connection, "stop", "SELECT id, body FROM stop ORDER BY id")?,
        indicators,
        shadows: read_all::<ShadowRecord>(connection, "shadow", "SELECT id, body FROM shadow ORDER BY id")?,
        running,
        records: since.map_or(Ok(Vec::new()), |since| own_records(connection, since))?,
    })
}

/// Those that the agent wrote, from that time on.
fn own_records(connection: &Connection, since: Wall) -> Result<Vec<CheckRecord>, StoreError> {
    let query = format!("SELECT id, body FROM record WHERE at >= {} ORDER BY at, id", since.0);
    let mut records = read_all::<CheckRecord>(connection, "record", &query)?;
    records.retain(|record| record.automatic);
    Ok(records)
}

pub(super) fn keep(connection: &Connection, running: &Running) -> Result<(), StoreError> {
    let body = encode("running", "running", running)?;
    connection
        .prepare_cached(
            "INSERT INTO running (one, body) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET body = excluded.body",
        )
        .and_then(|mut statement| statement.execute(params![body]))
        .map_err(sql("keep what is counted"))?;
    Ok(())
}

pub(super) fn units(connection: &Connection) -> Result<Vec<UnitRecord>, StoreError> {
    read_all(connection, "unit", "SELECT id, body FROM unit ORDER BY id")
}

/// As they were told last.
pub(super) fn indicator(connection: &Connection) -> Result<Option<IndicatorRecord>, StoreError> {
    Ok(read_all(connection, "indicator", "SELECT id, body FROM indicator")?.pop())
}

fn read_all<T: DeserializeOwned>(
    connection: &Connection,
    table: &'static str,
    query: &str,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare(query).map_err(sql("read records"))?;
    let mut rows = statement.query([]).map_err(sql("read records"))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next().map_err(sql("read records"))? {
        let key: String = row.get(0).map_err(sql("read records"))?;
        let body: String = row.get(1).map_err(sql("read records"))?;
        let record =
            serde_json::from_str(&body).map_err(|source| StoreError::Record { table, key, source })?;
        records.push(record);
    }
    Ok(records)
}

fn encode(table: &'static str, key: &str, record: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(record).map_err(|source| StoreError::Encode { table, key: key.to_owned(), source })
}

fn stage_word(stage: HazardStage) -> &'static str {
    match stage {
        HazardStage::Candidate => "candidate",
        HazardStage::Rectifying => "rectifying",
        HazardStage::AwaitingAcceptance => "awaiting_acceptance",
        HazardStage::Accepted => "accepted",
        HazardStage::Rejected => "rejected",
    }
}
