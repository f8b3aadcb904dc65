//! What every point read, in the order of the times over all points, a round of the file at a time.
//!
//! A round holds each point's samples of five minutes. What a round says is sure once the next can tell nothing
//! from before it; so in memory is one round and what it may yet be sorted behind.

use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use std::vec;

use riskgate_point::Wall;

use super::file::Gap;
use super::read::{Reader, Round, millis};
use super::timeline::{LOOK_BACK, Line};
use super::{HistoryError, Reading};

/// A row that says that a point fell silent comes up to this much behind those of other points.
const BEHIND_MAX_MS: i64 = 2 * 60 * 1000;

/// Readings of the points `tags` (all, if empty) from a little before `since` to `until`.
pub(crate) struct Play<R> {
    reader: R,
    since: Wall,
    /// So much before `since` that what is in force then is among it.
    from: Wall,
    until: Wall,
    known_to: Wall,
    gaps: Vec<Gap>,
    lines: BTreeMap<i64, (String, Line)>,
    rounds: vec::IntoIter<Round>,
    waiting: Vec<(Wall, i64, Reading)>,
    sure: VecDeque<(i64, Reading)>,
    ended: bool,
    /// Samples read, and all that there are.
    pub(crate) read: u64,
    pub(crate) all: u64,
    /// Told late, and so left out.
    pub(crate) late: u64,
}

impl<R: Borrow<Reader>> Play<R> {
    /// # Errors
    /// One of the points is not there, or it cannot be read.
    pub(crate) fn begin(
        reader: R,
        tags: &[String],
        (since, until): (Wall, Wall),
    ) -> Result<Self, HistoryError> {
        let of = reader.borrow();
        let known = of.points()?;
        if let Some(tag) = tags.iter().find(|tag| !known.contains_key(*tag)) {
            // Says which is near.
            of.trend(tag, since, until, None)?;
        }
        let chosen = known.into_iter().filter(|(tag, _)| tags.is_empty() || tags.contains(tag));
        let lines = chosen.map(|(tag, id)| (id, (tag, Line::default()))).collect();
        let from = Wall(since.0.saturating_sub(millis(LOOK_BACK)));
        let known_to = of.known_to()?.unwrap_or(since).min(until);
        let gaps = of.gaps()?;
        let rounds = of.rounds(from, until)?;
        Ok(Self {
            since,
            from,
            until,
            known_to,
            gaps,
            lines,
            all: rounds.iter().map(|round| round.samples).sum(),
            rounds: rounds.into_iter(),
            waiting: Vec::new(),
            sure: VecDeque::new(),
            ended: false,
            read: 0,
            late: 0,
            reader,
        })
    }

    /// The points, by their number in the file.
    pub(crate) fn tags(&self) -> impl Iterator<Item = (i64, &str)> {
        self.lines.iter().map(|(id, (tag, _))| (*id, tag.as_str()))
    }

    pub(crate) fn tag(&self, id: i64) -> &str {
        self.lines.get(&id).map_or("", |(tag, _)| tag.as_str())
    }

    /// The next reading with the number of its point.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<(i64, Reading)>, HistoryError> {
        loop {
            if let Some(next) = self.sure.pop_front() {
                return Ok(Some(next));
            }
            match self.rounds.next() {
                Some(round) => self.round(round)?,
                None if self.ended => return Ok(None),
                None => self.end(),
            }
        }
    }

    fn round(&mut self, round: Round) -> Result<(), HistoryError> {
        let mut newest = Wall(i64::MIN);
        for (id, readings) in self.reader.borrow().round(round)? {
            let Some((_, line)) = self.lines.get_mut(&id) else { continue };
            let mut told = Vec::new();
            let inside = |reading: &Reading| reading.at >= self.from && reading.at <= self.until;
            for reading in readings.into_iter().filter(inside) {
                if reading.backfill {
                    self.late += u64::from(reading.at >= self.since);
                    continue;
                }
                newest = newest.max(reading.at);
                line.push(reading, &self.gaps, &mut told);
            }
            self.waiting.extend(told.into_iter().map(|reading| (reading.at, id, reading)));
        }
        self.read += round.samples;
        // By time, and of one time in the order in which they came.
        self.waiting.sort_by_key(|(at, id, _)| (*at, *id));
        let sure = Wall(newest.0.saturating_sub(BEHIND_MAX_MS));
        let n_sure = self.waiting.partition_point(|(at, ..)| *at < sure);
        self.sure.extend(self.waiting.drain(..n_sure).map(|(_, id, reading)| (id, reading)));
        Ok(())
    }

    fn end(&mut self) {
        self.ended = true;
        for (id, (_, line)) in &mut self.lines {
            let mut told = Vec::new();
            line.pass(self.known_to, &self.gaps, &mut told);
            if self.known_to < self.until {
                line.end(self.known_to, &mut told);
            }
            self.waiting.extend(told.into_iter().map(|reading| (reading.at, *id, reading)));
        }
        self.waiting.sort_by_key(|(at, id, _)| (*at, *id));
        self.sure.extend(self.waiting.drain(..).map(|(_, id, reading)| (id, reading)));
    }
}
