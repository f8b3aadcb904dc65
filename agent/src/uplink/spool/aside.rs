//! What a damaged spool still says of itself, so that upstream hears of which time readings may be missing.
//!
//! It reads only. What it cannot read it takes for unknown, and then the time has no beginning: readings of an
//! outage may have waited there for days.

use std::path::Path;

use riskgate_point::Wall;
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::Dropped;
use super::open::lost_around;

/// As the beginning of a time: nobody knows it.
pub(in crate::uplink) const UNKNOWN: Wall = Wall(i64::MIN);

/// Places of a file that does not say how far it was. None of them comes near.
const PLACES: i64 = 1 << 40;

/// What was in the file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Damaged {
    /// Readings of this time may be missing.
    pub(super) lost: (Wall, Wall),
    /// Counted as dropped and not told yet: whether a gap is being made of it, under which moment, and the count.
    pub(super) dropped: Vec<(bool, i64, String)>,
    /// Of which time a gap was being made, and whether of a damaged file.
    pub(super) telling: Option<(i64, i64, bool)>,
    /// The last place that it gave out.
    pub(super) last: i64,
}

impl Damaged {
    pub(super) fn nothing(now: Wall) -> Self {
        Self { lost: (UNKNOWN, now), dropped: Vec::new(), telling: None, last: PLACES }
    }
}

pub(super) fn read(path: &Path, now: Wall) -> Damaged {
    let nothing = Damaged::nothing(now);
    let Ok(connection) = Connection::open(path) else { return nothing };
    Damaged {
        lost: lost(&connection, now).unwrap_or(nothing.lost),
        dropped: dropped(&connection).unwrap_or_default(),
        telling: telling(&connection).unwrap_or_default(),
        last: last(&connection).unwrap_or(PLACES),
    }
}

fn lost(connection: &Connection, now: Wall) -> rusqlite::Result<(Wall, Wall)> {
    let mark = connection.query_row("SELECT at FROM mark", [], |row| row.get(0))?;
    let step = connection
        .query_row("SELECT low, high FROM step", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (mut from, mut to) = lost_around(mark, step, now);
    // An index or a page that is damaged may hide rows: the check says which tables are whole.
    for table in ["chunk", "untold"] {
        let whole: String =
            connection.query_row("SELECT * FROM pragma_integrity_check(?1)", [table], |row| row.get(0))?;
        if whole != "ok" {
            return Ok((UNKNOWN, to));
        }
    }
    let times = "SELECT min(low), max(high) FROM (
                     SELECT began AS low, ended AS high FROM chunk UNION ALL SELECT low, high FROM untold)";
    let (low, high): (Option<i64>, Option<i64>) =
        connection.query_row(times, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    from = low.map_or(from, |low| from.min(Wall(low)));
    to = high.map_or(to, |high| to.max(Wall(high)));
    Ok((from, to))
}

/// Those that are what they should be.
fn dropped(connection: &Connection) -> rusqlite::Result<Vec<(bool, i64, String)>> {
    let mut query = connection.prepare("SELECT telling, at, body FROM dropped")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)))?;
    let is_whole = |(_, _, body): &(bool, i64, String)| serde_json::from_str::<Dropped>(body).is_ok();
    Ok(rows.flatten().filter(is_whole).collect())
}

fn telling(connection: &Connection) -> rusqlite::Result<Option<(i64, i64, bool)>> {
    connection
        .query_row("SELECT low, high, damaged FROM telling", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()
}

fn last(connection: &Connection) -> rusqlite::Result<i64> {
    let query = "SELECT max(coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'chunk'), 0),
                            coalesce((SELECT max(id) FROM chunk), 0))";
    connection.query_row(query, [], |row| row.get(0))
}
