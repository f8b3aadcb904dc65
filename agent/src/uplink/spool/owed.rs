//! What the spool knows and upstream does not: what was dropped, and of which time readings may be missing.
//!
//! Each loss is told by one gap. What a gap is being made of stands apart from what comes to be owed meanwhile, and
//! stays as it is until the gap is on disk: told once more after a kill, it is told under the same id, and the store
//! takes that id once.

use riskgate_point::Wall;
use rusqlite::{Connection, OptionalExtension, params};

use super::aside::Damaged;
use super::{Dropped, Spool, SpoolError, sql};

pub(super) const TABLES: &str = "
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
CREATE TABLE IF NOT EXISTS telling (
    one     INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    low     INTEGER NOT NULL,
    high    INTEGER NOT NULL,
    damaged INTEGER NOT NULL CHECK (damaged IN (0, 1))
) STRICT;
CREATE TABLE IF NOT EXISTS dropped (
    telling INTEGER NOT NULL PRIMARY KEY CHECK (telling IN (0, 1)),
    at      INTEGER NOT NULL,
    body    TEXT NOT NULL
) STRICT;";

/// Of which time readings may be missing, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::uplink) struct Lost {
    pub(in crate::uplink) from: Wall,
    pub(in crate::uplink) to: Wall,
    /// A file was damaged. Else a run did not end by itself.
    pub(in crate::uplink) damaged: bool,
}

impl Spool {
    /// The first mark of a run, and with it what the last one cost: a kill before that is told forgets none of it. A
    /// step of the clock in that run is part of it, and of no later one.
    pub(super) fn begin(&mut self, lost: Option<(Wall, Wall)>, at: Wall) -> Result<(), SpoolError> {
        let failed = || sql("mark it", &self.path);
        let transaction = self.connection.unchecked_transaction().map_err(failed())?;
        if let Some(lost) = lost {
            add_untold(&transaction, lost).map_err(failed())?;
        }
        transaction.execute("DELETE FROM step", []).map_err(failed())?;
        transaction
            .execute("INSERT OR REPLACE INTO mark (one, at, clean) VALUES (1, ?1, 0)", [at.0])
            .map_err(failed())?;
        transaction.commit().map_err(failed())
    }

    /// It takes the place of a damaged one: what that knew is to be told is told by this one, and places that it has
    /// given out are not given out again.
    pub(super) fn stands_for(&self, damaged: &Damaged) -> Result<(), SpoolError> {
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
        if let Some((low, high, damaged)) = damaged.telling {
            transaction
                .execute(
                    "INSERT OR REPLACE INTO telling (one, low, high, damaged) VALUES (1, ?1, ?2, ?3)",
                    params![low, high, damaged],
                )
                .map_err(failed())?;
        }
        transaction.execute("DELETE FROM sqlite_sequence WHERE name = 'chunk'", []).map_err(failed())?;
        transaction
            .execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('chunk', ?1)", [damaged.last])
            .map_err(failed())?;
        transaction.commit().map_err(failed())
    }

    /// Of which time readings may be missing, where no gap on disk tells it and none is being made.
    #[cfg(test)]
    pub(super) fn untold(&self) -> Result<Option<Lost>, SpoolError> {
        untold(&self.connection).map_err(sql("read what is untold in", &self.path))
    }

    /// What a gap is to tell of it now. Until [`Spool::told_lost`] it is the same each time.
    pub(in crate::uplink) fn begin_telling_lost(&mut self) -> Result<Option<Lost>, SpoolError> {
        let path = self.path.clone();
        let failed = || sql("read what is untold in", &path);
        let transaction = self.connection.transaction().map_err(failed())?;
        let telling = transaction
            .query_row("SELECT low, high, damaged FROM telling", [], |row| {
                Ok(Lost { from: Wall(row.get(0)?), to: Wall(row.get(1)?), damaged: row.get(2)? })
            })
            .optional()
            .map_err(failed())?;
        if telling.is_some() {
            return Ok(telling);
        }
        let Some(lost) = untold(&transaction).map_err(failed())? else { return Ok(None) };
        transaction
            .execute(
                "INSERT INTO telling (one, low, high, damaged) VALUES (1, ?1, ?2, ?3)",
                params![lost.from.0, lost.to.0, lost.damaged],
            )
            .map_err(failed())?;
        transaction.execute_batch("DELETE FROM untold; DELETE FROM damaged;").map_err(failed())?;
        transaction.commit().map_err(failed())?;
        Ok(Some(lost))
    }

    pub(in crate::uplink) fn told_lost(&self) -> Result<(), SpoolError> {
        self.connection
            .execute("DELETE FROM telling", [])
            .map(|_| ())
            .map_err(sql("note what was told in", &self.path))
    }

    /// All readings from before [`super::OLDEST_IN_MEMORY`] are here or acknowledged. `clean`: all of them.
    pub(in crate::uplink) fn mark(&self, now: Wall, clean: bool) -> Result<(), SpoolError> {
        self.connection
            .execute("INSERT OR REPLACE INTO mark (one, at, clean) VALUES (1, ?1, ?2)", params![now.0, clean])
            .map_err(sql("mark it", &self.path))?;
        Ok(())
    }

    /// The calendar has moved from one to the other, and readings of both may be in memory. `None`: they no
    /// longer are.
    pub(in crate::uplink) fn mark_step(&self, step: Option<(Wall, Wall)>) -> Result<(), SpoolError> {
        let marked = match step {
            Some((from, to)) => self.connection.execute(
                "INSERT OR REPLACE INTO step (one, low, high) VALUES (1, ?1, ?2)",
                params![from.0.min(to.0), from.0.max(to.0)],
            ),
            None => self.connection.execute("DELETE FROM step", []),
        };
        marked.map(|_| ()).map_err(sql("mark a step of the clock in", &self.path))
    }

    /// These were dropped elsewhere: they are told with what is dropped here.
    pub(in crate::uplink) fn note_dropped(&mut self, dropped: Dropped) -> Result<(), SpoolError> {
        drop_more(&self.connection, Some(dropped)).map_err(sql("count what was dropped in", &self.path))
    }

    /// What a gap is to tell now, and the moment that it is told under. Until [`Spool::told_dropped`] it is the same
    /// each time, so that a gap which is told twice is told under one id.
    pub(in crate::uplink) fn begin_telling(
        &mut self,
        now: Wall,
    ) -> Result<Option<(Dropped, Wall)>, SpoolError> {
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

    pub(in crate::uplink) fn told_dropped(&self) -> Result<(), SpoolError> {
        self.connection
            .execute("DELETE FROM dropped WHERE telling = 1", [])
            .map(|_| ())
            .map_err(sql("note what was told in", &self.path))
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

fn untold(connection: &Connection) -> rusqlite::Result<Option<Lost>> {
    connection
        .query_row("SELECT low, high, EXISTS (SELECT 1 FROM damaged) FROM untold", [], |row| {
            Ok(Lost { from: Wall(row.get(0)?), to: Wall(row.get(1)?), damaged: row.get(2)? })
        })
        .optional()
}

pub(super) fn drop_more(connection: &Connection, dropped: Option<Dropped>) -> rusqlite::Result<()> {
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
