//! Process data in its own layout: a column for each variable, a row for each sample.
//!
//! Columns are split by commas, semicolons, tabs or blanks, whichever the first line has. A first line that is not
//! all numbers is a header. What the file does not say, a layout says, in TOML:
//!
//! ```toml
//! columns  = ["TI-101", "", "LT-7"]           # tags by column, "" leaves one out; or the header has them
//! tags     = { "Reactor temp" = "TI-101" }    # or the header has other names
//! time     = "Time"                           # the column of the time; usually time, timestamp, date or 时间
//! interval = "3m"                             # or there is no such column: from row to row
//! start    = "2026-01-01T00:00:00+08:00"      # of the first row [default: 2000-01-01T00:00:00 of the site]
//! ```
//!
//! A row holds until the next. Behind a hole of more than three intervals nothing is known; the interval of rows
//! with times is that of the first two, where the layout says none. An empty cell, or NaN, is no value: the point
//! is bad from there on. Files without times follow one another, as they are named.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use riskgate_point::{BadReason, Quality, Wall};
use serde::Deserialize;

use super::findings::Findings;
use super::input::Lines;
use super::tags::{Tags, Told};
use super::{BacktestError, shown};

const TIMES: [&str; 5] = ["time", "timestamp", "date", "datetime", "时间"];
/// The beginning of rows that say none.
const START: &str = "2000-01-01T00:00:00";
/// A hole of more intervals than this is silence.
const HOLE: i64 = 3;

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Layout {
    pub columns: Vec<String>,
    pub tags: BTreeMap<String, String>,
    pub time: Option<String>,
    pub interval: Option<String>,
    pub start: Option<String>,
}

impl Layout {
    /// # Errors
    /// It is not there, or says something else.
    pub fn read(path: &Path) -> Result<Self, BacktestError> {
        let failed = |source| BacktestError::File { operation: "read", path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let layout: Self = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            BacktestError::Form {
                place: format!("{}:{line}", shown(path)),
                what: error.message().to_owned(),
                hint: "a layout has columns, tags, time, interval and start".to_owned(),
            }
        })?;
        let wrong = |what: String, hint: &str| BacktestError::Form {
            place: shown(path),
            what,
            hint: hint.to_owned(),
        };
        if let Some(text) = layout.interval.as_deref().filter(|text| millis(text).is_none()) {
            return Err(wrong(format!("interval = \"{text}\" is no duration"), "write 500ms, 30s, 3m or 1h"));
        }
        if let Some(text) = layout.start.as_deref().filter(|text| moment(text, &TimeZone::UTC).is_none()) {
            return Err(wrong(format!("start = \"{text}\" is no time"), "write 2026-01-01T00:00:00+08:00"));
        }
        Ok(layout)
    }

    /// Whether each row says its time.
    pub(super) fn tells_time(&self) -> bool {
        self.time.is_some() || self.interval.is_none()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Split {
    At(char),
    Blanks,
}

impl Split {
    fn of(line: &str) -> Self {
        [',', ';', '\t'].into_iter().find(|at| line.contains(*at)).map_or(Self::Blanks, Self::At)
    }

    fn cells<'l>(self, line: &'l str, into: &mut Vec<&'l str>) {
        match self {
            Self::At(letter) => into.extend(line.split(letter).map(|cell| cell.trim().trim_matches('"'))),
            Self::Blanks => into.extend(line.split_ascii_whitespace()),
        }
    }
}

/// One file after another.
pub(super) struct Tables {
    waiting: VecDeque<PathBuf>,
    layout: Layout,
    timezone: TimeZone,
    lines: Lines,
    split: Split,
    /// The present line was read for its form, and not yet for its readings.
    held: bool,
    /// The tag of each column.
    columns: Vec<Option<u32>>,
    /// Which column is the time.
    time: Option<usize>,
    interval: Option<i64>,
    /// Of the next row, where rows tell no time.
    next_at: Wall,
    last: Option<Wall>,
    told: VecDeque<Told>,
    ended: bool,
    /// Bytes of the files that are read, and of those that wait.
    bytes: (u64, u64),
}

impl Tables {
    pub(super) fn open(
        paths: Vec<PathBuf>,
        layout: &Layout,
        timezone: &TimeZone,
        tags: &mut Tags,
    ) -> Result<Self, BacktestError> {
        let mut waiting: VecDeque<PathBuf> = paths.into();
        let first = waiting.pop_front().unwrap_or_default();
        let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |of| of.len());
        let start = layout.start.as_deref().unwrap_or(START);
        let mut tables = Self {
            bytes: (0, waiting.iter().map(size).sum()),
            waiting,
            lines: Lines::open(&first)?,
            split: Split::Blanks,
            held: false,
            columns: Vec::new(),
            time: None,
            interval: layout.interval.as_deref().and_then(millis),
            next_at: moment(start, timezone).unwrap_or_default(),
            last: None,
            told: VecDeque::new(),
            ended: false,
            layout: layout.clone(),
            timezone: timezone.clone(),
        };
        tables.head(tags)?;
        Ok(tables)
    }

    pub(super) fn next(
        &mut self,
        tags: &mut Tags,
        findings: &mut Findings,
    ) -> Result<Option<Told>, BacktestError> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Ok(Some(told));
            }
            if self.ended {
                return Ok(None);
            }
            if std::mem::take(&mut self.held) || self.lines.next()? {
                if !self.lines.line().trim().is_empty() {
                    self.row(tags, findings);
                }
                continue;
            }
            let (_, size) = self.lines.done();
            self.bytes.0 += size;
            match self.waiting.pop_front() {
                Some(path) => {
                    self.lines = Lines::open(&path)?;
                    let (_, size) = self.lines.done();
                    self.bytes.1 = self.bytes.1.saturating_sub(size);
                    self.head(tags)?;
                }
                None => {
                    self.ended = true;
                    self.fall_silent(true);
                }
            }
        }
    }

    /// What the first line says of the others.
    fn head(&mut self, tags: &mut Tags) -> Result<(), BacktestError> {
        if !self.lines.next()? {
            return Err(self.lines.form("the file is empty", "name a file with readings"));
        }
        let line = self.lines.line();
        self.split = Split::of(line);
        let mut cells = Vec::new();
        self.split.cells(line, &mut cells);
        let is_header = cells.iter().any(|cell| !cell.is_empty() && cell.parse::<f64>().is_err());
        self.held = !is_header;
        let named = &self.layout.columns;
        let fault = |what: &str, hint: &str| Err(self.lines.form(what, hint));
        let tag_of = |cell: &str| self.layout.tags.get(cell).cloned().unwrap_or_else(|| cell.to_owned());
        let names: Vec<String> = match (named.is_empty(), is_header) {
            (false, _) if named.len() != cells.len() => {
                let what = format!("{} columns, and the layout names {}", cells.len(), named.len());
                return fault(&what, "a row is one sample of all variables: is the table turned round?");
            }
            (false, _) => named.clone(),
            (true, true) => cells.iter().map(|cell| tag_of(cell)).collect(),
            (true, false) => {
                return fault("no header names the columns", "write columns = [...] in a file for --layout");
            }
        };
        let is_time = |name: &str| match &self.layout.time {
            Some(time) => name == time,
            None => TIMES.contains(&name.to_lowercase().as_str()),
        };
        self.time = if self.layout.tells_time() {
            let heads =
                if is_header { cells.iter().map(|cell| (*cell).to_owned()).collect() } else { names.clone() };
            let heads: Vec<String> = heads;
            let found = heads.iter().zip(&names).position(|(head, name)| is_time(head) || is_time(name));
            if found.is_none() {
                let hint = "name it as time = \"...\", or say interval = \"3m\", in a file for --layout";
                return fault("no column is the time of the rows", hint);
            }
            found
        } else {
            None
        };
        let columns = names.iter().enumerate();
        let number = |(at, name): (usize, &String)| {
            (self.time != Some(at) && !name.is_empty()).then(|| tags.number(name))
        };
        self.columns = columns.map(number).collect();
        Ok(())
    }

    fn row(&mut self, tags: &Tags, findings: &mut Findings) {
        let line = self.lines.line();
        let mut cells = Vec::with_capacity(self.columns.len());
        self.split.cells(line, &mut cells);
        let at = match self.time {
            None => {
                let at = self.next_at;
                self.next_at = Wall(at.0.saturating_add(self.interval.unwrap_or(0)));
                Ok(at)
            }
            Some(column) => {
                let text = cells.get(column).copied().unwrap_or_default();
                moment(text, &self.timezone).ok_or_else(|| format!("'{text}' is no time"))
            }
        };
        let at = match at {
            Ok(at) => at,
            Err(what) => {
                let hint = "write 2026-11-23T08:00:00+08:00 or 2026-11-23 08:00:00";
                return findings.unreadable(&self.lines.place(), &what, hint);
            }
        };
        if cells.len() != self.columns.len() {
            let what = format!("{} cells, not {}", cells.len(), self.columns.len());
            return findings.unreadable(&self.lines.place(), &what, "the row is left out");
        }
        let mut told = Vec::with_capacity(cells.len());
        for (cell, tag) in cells.iter().zip(&self.columns) {
            let Some(tag) = *tag else { continue };
            let value = if cell.is_empty() || cell.eq_ignore_ascii_case("nan") {
                None
            } else {
                let value = tags.value(tag, cell);
                if let Err(needs) = value {
                    let what = format!("'{cell}' is no value of '{}', which reads {needs}", tags.name(tag));
                    findings.unreadable(&self.lines.place(), &what, "the point is bad from here on");
                }
                value.ok()
            };
            let quality = match value {
                Some(_) => Quality::Good,
                None => Quality::Bad(BadReason::NotANumber),
            };
            told.push(Told { at, tag, value, quality, closing: false });
        }
        if let (None, Some(last)) = (self.interval, self.last) {
            self.interval = Some(at.0.saturating_sub(last.0)).filter(|step| *step > 0);
        }
        let hole = self.interval.map(|interval| interval.saturating_mul(HOLE));
        if let (Some(last), Some(hole)) = (self.last, hole)
            && at.0.saturating_sub(last.0) > hole
        {
            self.fall_silent(false);
        }
        self.last = Some(at);
        self.told.extend(told);
    }

    /// Nothing is known of any column from some time behind the last row on.
    fn fall_silent(&mut self, closing: bool) {
        let Some(last) = self.last else { return };
        let at = Wall(last.0.saturating_add(self.interval.unwrap_or(0).saturating_mul(HOLE)));
        let columns = self.columns.iter().flatten();
        self.told.extend(columns.map(|tag| Told::silent(at, *tag, closing)));
    }

    pub(super) fn place(&self) -> (String, String) {
        (self.lines.file(), self.lines.place())
    }

    pub(super) fn done(&self) -> (u64, u64) {
        let (read, size) = self.lines.done();
        let (before, behind) = self.bytes;
        if self.ended { (before, before) } else { (before + read, before + size + behind) }
    }
}

/// As the configuration writes durations.
fn millis(text: &str) -> Option<i64> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, millis) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<i64>().ok()?.checked_mul(*millis).filter(|millis| *millis > 0)
}

/// A stamp with its offset, or the site's own time.
pub(super) fn moment(text: &str, timezone: &TimeZone) -> Option<Wall> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Wall(at.as_millisecond()));
    }
    let local: DateTime = text.parse().ok()?;
    Some(Wall(timezone.to_timestamp(local).ok()?.as_millisecond()))
}
