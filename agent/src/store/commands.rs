//! Commands from upstream that were carried out, with their results: what is delivered twice is answered twice and
//! done once, also across a restart. Each is written in the transaction of what followed from it.

use std::sync::Arc;
use std::time::Duration;

use riskgate_point::Wall;
use rusqlite::{Connection, Row, params};

use super::{StoreError, StoredModel, models, sql};

/// A command from upstream that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    pub id: String,
    pub name: String,
    /// The SHA-256 of what was asked: the same id with something else is another command.
    pub digest: String,
    pub at: Wall,
    pub expires: Wall,
    /// The result as it was answered, as JSON.
    pub result: String,
    /// The model that it gave, written with it; not read back with it.
    pub model: Option<Arc<StoredModel>>,
}

/// How many are kept. One that has not expired is never among those that go: beyond so many of these the next is
/// refused. At most 1 MB.
pub const CARRIED_MAX: usize = 1_000;

/// For how long behind its expiry one is kept. Nothing is carried out after its expiry, so this is for those who ask
/// what became of it, and for clocks that go wrong.
pub const CARRIED_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Carried {
    pub fn has_expired(&self, now: Wall) -> bool {
        self.expires < now
    }

    /// Nobody may ask for it any more.
    pub fn is_over(&self, now: Wall) -> bool {
        self.expires.after(CARRIED_KEPT) < now
    }
}

/// Writes one and removes what is kept no longer.
pub(super) fn write(connection: &Connection, carried: &Carried) -> Result<(), StoreError> {
    let Carried { id, name, digest, at, expires, result, model } = carried;
    if let Some(model) = model {
        models::write(connection, model)?;
    }
    connection
        .prepare_cached(
            // A commit that failed after it was on disk is tried again as it is.
            "INSERT INTO command (id, name, digest, at, expires, result) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO NOTHING",
        )
        .and_then(|mut statement| statement.execute(params![id, name, digest, at.0, expires.0, result]))
        .map_err(sql("write a command"))?;
    let kept_ms = i64::try_from(CARRIED_KEPT.as_millis()).unwrap_or(i64::MAX);
    let most = i64::try_from(CARRIED_MAX).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "DELETE FROM command WHERE expires < ?1 OR expires < ?2
             AND n <= (SELECT n FROM command ORDER BY n DESC LIMIT 1 OFFSET ?3)",
        )
        .and_then(|mut statement| statement.execute(params![at.0.saturating_sub(kept_ms), at.0, most]))
        .map_err(sql("forget commands"))?;
    Ok(())
}

/// Oldest first.
pub(super) fn read(connection: &Connection) -> Result<Vec<Carried>, StoreError> {
    let carried = |row: &Row<'_>| {
        Ok(Carried {
            id: row.get(0)?,
            name: row.get(1)?,
            digest: row.get(2)?,
            at: Wall(row.get(3)?),
            expires: Wall(row.get(4)?),
            result: row.get(5)?,
            model: None,
        })
    };
    connection
        .prepare("SELECT id, name, digest, at, expires, result FROM command ORDER BY n")
        .and_then(|mut statement| statement.query_map([], carried)?.collect())
        .map_err(sql("read the commands"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(number: i64, expires: i64) -> Carried {
        Carried {
            id: format!("c{number}"),
            name: "confirm".to_owned(),
            digest: "d".to_owned(),
            at: Wall(number),
            expires: Wall(expires),
            result: "{}".to_owned(),
            model: None,
        }
    }

    #[test]
    fn the_newest_are_kept_and_none_goes_before_it_has_expired() {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut connection).unwrap();
        let many = i64::try_from(CARRIED_MAX).unwrap() + 5;
        for number in 1..=many {
            // Of the first five two are still to expire.
            let expires = if number == 1 || number == 3 { i64::MAX } else { number };
            write(&connection, &carried(number, expires)).unwrap();
        }
        let kept = read(&connection).unwrap();
        let first: Vec<&str> = kept.iter().take(3).map(|one| one.id.as_str()).collect();
        assert_eq!(first, ["c1", "c3", "c6"]);
        assert_eq!(kept.len(), CARRIED_MAX + 2);
        let late = i64::try_from(CARRIED_KEPT.as_millis()).unwrap() + many + 1;
        write(&connection, &Carried { at: Wall(late), ..carried(0, late) }).unwrap();
        let kept: Vec<String> = read(&connection).unwrap().into_iter().map(|one| one.id).collect();
        assert_eq!(kept, ["c1", "c3", "c0"], "those of long ago are gone");
        write(&connection, &carried(1, 1)).unwrap();
        assert_eq!(read(&connection).unwrap()[0].expires, Wall(i64::MAX), "an id is used once");
    }
}
