//! Models from upstream: the newest and the one before it, each with its hash. Should the newest not be as it was
//! written, the one before it is there.

use std::path::Path;

use riskgate_point::Wall;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::journal::open_to_read;
use super::{StoreError, int, sql, uint};

/// A model as it was taken. What it says is the configuration's to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredModel {
    pub version: u64,
    pub at: Wall,
    /// Who gave it.
    pub by: String,
    /// The SHA-256 of the body.
    pub digest: String,
    pub body: String,
}

/// The one in force, and one to fall back on. Each has at most 1 MiB.
const KEPT: i64 = 2;

pub(super) fn write(connection: &Connection, model: &StoredModel) -> Result<(), StoreError> {
    let StoredModel { version, at, by, digest, body } = model;
    connection
        // A commit that failed after it was on disk is tried again as it is; and one that a start passed over may be taken
        // again. Twice here, it would stand in the place of the one to fall back on.
        .prepare_cached("DELETE FROM model WHERE version = ?1 AND digest = ?2")
        .and_then(|mut statement| statement.execute(params![int(*version), digest]))
        .and_then(|_| {
            connection.prepare_cached(
                "INSERT INTO model (version, at, by, digest, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            )
        })
        .and_then(|mut statement| statement.execute(params![int(*version), at.0, by, digest, body]))
        .and_then(|_| {
            connection.prepare_cached(
                "DELETE FROM model WHERE n <= (SELECT n FROM model ORDER BY n DESC LIMIT 1 OFFSET ?1)",
            )
        })
        .and_then(|mut statement| statement.execute([KEPT]))
        .map_err(sql("write the model"))?;
    Ok(())
}

/// Beside the agent or without one, newest first; none in a store of before there were any.
///
/// # Errors
/// There is no store, or it cannot be read.
pub fn stored(dir: &Path) -> Result<Vec<StoredModel>, StoreError> {
    let connection = open_to_read(dir)?;
    let has = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'model'";
    match connection.query_row(has, [], |_| Ok(())).optional().map_err(sql("look for models"))? {
        Some(()) => read(&connection),
        None => Ok(Vec::new()),
    }
}

/// Newest first.
pub(super) fn read(connection: &Connection) -> Result<Vec<StoredModel>, StoreError> {
    let model = |row: &Row<'_>| {
        Ok(StoredModel {
            version: uint(row.get(0)?),
            at: Wall(row.get(1)?),
            by: row.get(2)?,
            digest: row.get(3)?,
            body: row.get(4)?,
        })
    };
    connection
        .prepare("SELECT version, at, by, digest, body FROM model ORDER BY n DESC")
        .and_then(|mut statement| statement.query_map([], model)?.collect())
        .map_err(sql("read the models"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_two_are_kept_newest_first_and_a_commit_tried_twice_writes_one() {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut connection).unwrap();
        let model = |version, at| StoredModel {
            version,
            at: Wall(at),
            by: "王敏".to_owned(),
            digest: format!("d{version}"),
            body: "{}".to_owned(),
        };
        let kept = || -> Vec<(u64, i64)> {
            read(&connection).unwrap().into_iter().map(|model| (model.version, model.at.0)).collect()
        };
        for version in 1..=4 {
            write(&connection, &model(version, 5)).unwrap();
            write(&connection, &model(version, 5)).unwrap();
        }
        assert_eq!(kept(), [(4, 5), (3, 5)]);
        // One that a start passed over may be taken again later, and stands in no other's place.
        write(&connection, &model(4, 9)).unwrap();
        assert_eq!(kept(), [(4, 9), (3, 5)]);
    }
}
