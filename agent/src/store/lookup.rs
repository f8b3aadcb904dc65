//! One record out of `state.db`, beside the agent that writes it or without one. Reads only.

use std::path::Path;

use riskgate_engine::{AlarmRecord, HazardRecord, ShadowRecord};
use rusqlite::{Connection, OptionalExtension, params};

use super::journal::open_to_read;
use super::{StoreError, sql};

/// Hazards that are told where a beginning fits more than one: a screen.
const FITTING_MAX: i64 = 20;
/// Alarms, and hazards, that an id which is none is compared with.
const NAMED_MAX: i64 = 10_000;

/// # Errors
/// The store cannot be read.
pub fn alarm(dir: &Path, id: &str) -> Result<Option<AlarmRecord>, StoreError> {
    one(&open_to_read(dir)?, "alarm", "SELECT body FROM alarm WHERE id = ?1", id)
}

/// The ids of all that can be explained, the newest first: what a slip of the pen is compared with.
///
/// # Errors
/// The store cannot be read.
pub fn ids(dir: &Path) -> Result<Vec<String>, StoreError> {
    let connection = open_to_read(dir)?;
    let failed = || sql("look for ids");
    let mut statement = connection
        .prepare(
            "SELECT id FROM (SELECT id, rowid FROM alarm ORDER BY rowid DESC LIMIT ?1) UNION ALL
             SELECT id FROM (SELECT id, rowid FROM hazard ORDER BY rowid DESC LIMIT ?1)",
        )
        .map_err(failed())?;
    let ids = statement.query_map([NAMED_MAX], |row| row.get(0)).map_err(failed())?;
    ids.collect::<rusqlite::Result<_>>().map_err(failed())
}

/// Of a shadow rule. A store that an older agent wrote last has none.
///
/// # Errors
/// The store cannot be read.
pub fn shadow(dir: &Path, rule: &str) -> Result<Option<ShadowRecord>, StoreError> {
    let connection = open_to_read(dir)?;
    let has = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'shadow'";
    let has = connection.query_row(has, [], |_| Ok(())).optional().map_err(sql("look for shadow rules"))?;
    match has {
        Some(()) => one(&connection, "shadow", "SELECT body FROM shadow WHERE id = ?1", rule),
        None => Ok(None),
    }
}

/// Those whose id begins so, open or not, the newest first.
///
/// # Errors
/// The store cannot be read.
pub fn hazards(dir: &Path, beginning: &str) -> Result<Vec<HazardRecord>, StoreError> {
    let end = format!("{beginning}~");
    // An id is of hex digits and dashes: what begins so stands between it and the tilde.
    rows(
        &open_to_read(dir)?,
        "SELECT id, body FROM hazard WHERE id >= ?1 AND id < ?2 ORDER BY opening DESC, id LIMIT ?3",
        params![beginning, end, FITTING_MAX],
    )
}

/// By measure and cause, candidates among them.
///
/// # Errors
/// The store cannot be read.
pub fn open_hazards(dir: &Path) -> Result<Vec<HazardRecord>, StoreError> {
    rows(
        &open_to_read(dir)?,
        "SELECT id, body FROM hazard WHERE stage IN ('candidate', 'rectifying', 'awaiting_acceptance')
         ORDER BY measure, cause",
        &[],
    )
}

fn one<T: serde::de::DeserializeOwned>(
    connection: &Connection,
    table: &'static str,
    query: &str,
    id: &str,
) -> Result<Option<T>, StoreError> {
    let body = connection
        .query_row(query, [id], |row| row.get::<_, String>(0))
        .optional()
        .map_err(sql("look for one record"))?;
    body.map(|body| decoded(table, id, &body)).transpose()
}

fn rows(
    connection: &Connection,
    query: &str,
    with: &[&dyn rusqlite::ToSql],
) -> Result<Vec<HazardRecord>, StoreError> {
    let failed = || sql("look for hazards");
    let mut statement = connection.prepare(query).map_err(failed())?;
    let found = statement
        .query_map(with, |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .map_err(failed())?;
    found
        .map(|row| {
            let (id, body) = row.map_err(failed())?;
            decoded("hazard", &id, &body)
        })
        .collect()
}

fn decoded<T: serde::de::DeserializeOwned>(
    table: &'static str,
    key: &str,
    body: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|source| StoreError::Record { table, key: key.to_owned(), source })
}
