//! Reading the history beside the one who writes it: a connection of its own that changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use riskgate_point::Wall;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

use super::codec::{self, Broken};
use super::file::{self, Gap, block_id};
use super::timeline::{LOOK_BACK, Line};
use super::{HistoryError, Reading, Unwritten, sql};

/// The writer holds the file only while it cuts the WAL.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

pub struct Reader {
    connection: Connection,
}

/// One write of everything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) round: i64,
    pub(super) samples: u64,
}

impl Reader {
    /// # Errors
    /// There is no file, or none of ours.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        if !path.try_exists().unwrap_or(true) {
            return Err(HistoryError::Missing { path: path.to_owned() });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(sql("open the file"))?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(sql("open the file"))?;
        let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        let foreign = || HistoryError::Foreign { path: path.to_owned() };
        let application = number("application_id").map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => foreign(),
            Some(_) | None => HistoryError::Sql { operation: "read its version", source: error },
        })?;
        let version = number("user_version").map_err(sql("read its version"))?;
        let newest = i64::try_from(file::MIGRATIONS.len()).unwrap_or(i64::MAX);
        if application != i64::from(file::APPLICATION_ID) || version != newest {
            return Err(foreign());
        }
        Ok(Self { connection })
    }

    /// Every point that was ever kept, by its tag.
    ///
    /// # Errors
    /// They could not be read.
    pub fn points(&self) -> Result<BTreeMap<String, i64>, HistoryError> {
        let mut select =
            self.connection.prepare_cached("SELECT tag, id FROM point").map_err(sql("read the points"))?;
        let rows =
            select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(sql("read the points"))?;
        rows.collect::<Result<_, _>>().map_err(sql("read the points"))
    }

    /// Up to when everything that was received is in the file.
    ///
    /// # Errors
    /// It could not be read.
    pub fn known_to(&self) -> Result<Option<Wall>, HistoryError> {
        let query = "SELECT known_to FROM meta";
        let known = self.connection.query_row(query, [], |row| row.get::<_, Option<i64>>(0)).optional();
        Ok(known.map_err(sql("read up to when it is whole"))?.flatten().map(Wall))
    }

    /// When the oldest sample that is left was received, or a little before.
    ///
    /// # Errors
    /// It could not be read.
    pub fn oldest(&self) -> Result<Option<Wall>, HistoryError> {
        let query = "SELECT first FROM step ORDER BY id LIMIT 1";
        let oldest = self.connection.query_row(query, [], |row| row.get(0)).optional();
        Ok(oldest.map_err(sql("read the oldest step"))?.map(Wall))
    }

    /// A point from `since` to `until`: first what was in force at `since`, with its own time before it; then
    /// each sample; a bad one of reason `stale` from where on nothing is known. `unwritten` is what the agent
    /// has in memory, where the caller has it, and makes everything known up to `until`. In the order of time:
    /// where the clock was set back, what was received on both sides of that is told side by side.
    ///
    /// # Errors
    /// There is no such point, or it could not be read.
    pub fn trend(
        &self,
        tag: &str,
        since: Wall,
        until: Wall,
        unwritten: Option<Unwritten>,
    ) -> Result<Vec<Reading>, HistoryError> {
        let mut told = self.as_received(tag, since, until, unwritten)?;
        told.sort_by_key(|reading| reading.at);
        let before = told.iter().rposition(|reading| reading.at <= since && !reading.backfill).unwrap_or(0);
        Ok(told.split_off(before.min(told.len())))
    }

    /// The same in the order in which it was received, with everything that was looked at before `since`.
    pub(super) fn as_received(
        &self,
        tag: &str,
        since: Wall,
        until: Wall,
        unwritten: Option<Unwritten>,
    ) -> Result<Vec<Reading>, HistoryError> {
        let query = "SELECT id FROM point WHERE tag = ?1";
        let point: Option<i64> = self
            .connection
            .prepare_cached(query)
            .and_then(|mut select| select.query_row([tag], |row| row.get(0)).optional())
            .map_err(sql("look for a point"))?;
        if point.is_none() && unwritten.as_ref().is_none_or(|unwritten| unwritten.readings.is_empty()) {
            let points = self.points()?;
            let likeness = |known: &&String| strsim::normalized_damerau_levenshtein(known, tag);
            let nearest = points.keys().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            return Err(HistoryError::UnknownPoint { tag: tag.to_owned(), nearest: nearest.cloned() });
        }
        let from = Wall(since.0.saturating_sub(millis(LOOK_BACK)));
        let mut gaps = self.gaps()?;
        let (mut line, mut told) = (Line::default(), Vec::new());
        let written = point.map_or(Ok(Vec::new()), |point| self.readings(point, from, until))?;
        let known_to = match &unwritten {
            Some(_) => until,
            None => self.known_to()?.unwrap_or(since).min(until),
        };
        // A write between the two reads puts the same samples into both.
        let last = written.last().map(|last| last.at);
        let Unwritten { readings: open, gaps: open_gaps } = unwritten.unwrap_or_default();
        gaps.extend(open_gaps);
        let open = open.into_iter().filter(|reading| last.is_none_or(|last| reading.at > last));
        for reading in
            written.into_iter().chain(open).filter(|reading| from <= reading.at && reading.at <= until)
        {
            line.push(reading, &gaps, &mut told);
        }
        line.pass(known_to, &gaps, &mut told);
        if known_to < until {
            line.end(known_to, &mut told);
        }
        Ok(told)
    }

    /// As they are in the file, of the steps that touch this time.
    fn readings(&self, point: i64, from: Wall, until: Wall) -> Result<Vec<Reading>, HistoryError> {
        let mut steps = self
            .connection
            .prepare_cached(
                "SELECT id, first FROM step
                 WHERE last >= ?1 AND first <= ?2 AND low <= ?3 AND high >= ?3 ORDER BY id",
            )
            .map_err(sql("look for steps"))?;
        let mut block = self
            .connection
            .prepare_cached("SELECT id, body FROM block WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1")
            .map_err(sql("read a block"))?;
        let mut rows = steps.query(params![from.0, until.0, point]).map_err(sql("look for steps"))?;
        let mut readings = Vec::new();
        while let Some(row) = rows.next().map_err(sql("look for steps"))? {
            let step: i64 = row.get(0).map_err(sql("look for steps"))?;
            let base = Wall(row.get(1).map_err(sql("look for steps"))?);
            let ends = params![block_id(step, 0), block_id(step, point)];
            let found = block
                .query_row(ends, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
                .optional()
                .map_err(sql("read a block"))?;
            let Some((id, body)) = found else { continue };
            for (at, bytes) in entries(id, &body).map_err(broken(id))? {
                if at == block_id(step, point) {
                    readings.extend(codec::decode(bytes, base).map_err(broken(id))?);
                }
            }
        }
        Ok(readings)
    }

    pub(super) fn gaps(&self) -> Result<Vec<Gap>, HistoryError> {
        let mut select = self
            .connection
            .prepare_cached("SELECT first, last, why, lost FROM gap ORDER BY id")
            .map_err(sql("read the gaps"))?;
        let gap = |row: &rusqlite::Row<'_>| {
            let lost = u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0);
            Ok(Gap { from: Wall(row.get(0)?), to: Wall(row.get(1)?), why: row.get(2)?, lost })
        };
        let gaps = select.query_map([], gap).map_err(sql("read the gaps"))?;
        gaps.collect::<Result<_, _>>().map_err(sql("read the gaps"))
    }

    /// The rounds that touch this time, in their order.
    pub(super) fn rounds(&self, from: Wall, until: Wall) -> Result<Vec<Round>, HistoryError> {
        let mut select = self
            .connection
            .prepare_cached(
                "SELECT round, sum(samples) FROM step
                 WHERE last >= ?1 AND first <= ?2 GROUP BY round ORDER BY round",
            )
            .map_err(sql("look for steps"))?;
        let round = |row: &rusqlite::Row<'_>| {
            Ok(Round { round: row.get(0)?, samples: u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0) })
        };
        let rounds = select.query_map(params![from.0, until.0], round).map_err(sql("look for steps"))?;
        rounds.collect::<Result<_, _>>().map_err(sql("look for steps"))
    }

    /// Every sample of a round, point by point.
    pub(super) fn round(&self, round: Round) -> Result<Vec<(i64, Vec<Reading>)>, HistoryError> {
        let mut select = self
            .connection
            .prepare_cached(
                "SELECT block.id, block.body, step.first, step.id FROM step
                 JOIN block ON block.id >= step.id << 24 AND block.id < (step.id + 1) << 24
                 WHERE step.round = ?1 ORDER BY block.id",
            )
            .map_err(sql("read a round"))?;
        let mut rows = select.query([round.round]).map_err(sql("read a round"))?;
        let mut points = Vec::new();
        while let Some(row) = rows.next().map_err(sql("read a round"))? {
            let id: i64 = row.get(0).map_err(sql("read a round"))?;
            let body: Vec<u8> = row.get(1).map_err(sql("read a round"))?;
            let base = Wall(row.get(2).map_err(sql("read a round"))?);
            let step: i64 = row.get(3).map_err(sql("read a round"))?;
            for (at, bytes) in entries(id, &body).map_err(broken(id))? {
                let point = at - block_id(step, 0);
                points.push((point, codec::decode(bytes, base).map_err(broken(id))?));
            }
        }
        Ok(points)
    }
}

fn broken(block: i64) -> impl FnOnce(Broken) -> HistoryError {
    move |Broken(why)| HistoryError::Block { block, why }
}

/// The blocks of a row: their numbers and bytes.
fn entries(id: i64, mut body: &[u8]) -> Result<Vec<(i64, &[u8])>, Broken> {
    let mut entries = Vec::new();
    while !body.is_empty() {
        let distance = take_varint(&mut body)?;
        let length = usize::try_from(take_varint(&mut body)?).unwrap_or(usize::MAX);
        let (block, rest) = body.split_at_checked(length).ok_or(Broken("a row that ends too early"))?;
        let at = i64::try_from(distance).ok().and_then(|distance| id.checked_add(distance));
        entries.push((at.ok_or(Broken("a point that is none"))?, block));
        body = rest;
    }
    Ok(entries)
}

fn take_varint(body: &mut &[u8]) -> Result<u64, Broken> {
    let mut number = 0_u64;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = body.split_first().ok_or(Broken("a row that ends too early"))?;
        *body = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Broken("a number that is too long"))
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_row_is_blocks_or_an_error(id in any::<i64>(), body in prop::collection::vec(any::<u8>(), 0..100)) {
            drop(super::entries(id, &body));
        }
    }
}
