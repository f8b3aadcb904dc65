//! The history as CSV: what `riskgate history … --csv` and `riskgate history export` write, and a backtest
//! reads.
//!
//! UTF-8, a comma between fields, `\n` at the end of a row, quotes only where a field needs them (RFC 4180).
//! The first row is the header. Then one row a sample:
//!
//! ```text
//! time,tag,value,quality,reason
//! 2026-11-23T08:00:00.004+08:00,LT-1,47.5,good,
//! 2026-11-23T08:00:05.004+08:00,LT-1,100,uncertain,over_range
//! 2026-11-23T08:00:09.004+08:00,LT-1,,bad,comm_failure
//! ```
//!
//! - `time`: when the gateway received it, RFC 3339 with milliseconds and the site's offset.
//! - `value`: a number as short as gives it back exactly (of a whole number without a point), `true` or
//!   `false`, or a word. Empty where there is none.
//! - `quality`: `good`, `uncertain` or `bad`; `reason`: empty, or the word of [`riskgate_point::Quality`].
//!
//! A value holds until the point's next row. `bad,stale` says from when on nothing is known: the point was
//! silent, the agent was not running, or samples were lost. Rows stand in the order of their times over all
//! points, except where the gateway's own clock was set back. The first row of a point may be what was in
//! force when the time asked for began, and carries its beginning as its time then. What a source told late
//! (history, retained messages) was never judged and is not written; how many were left out is told.

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::tz::TimeZone;
use riskgate_point::{Quality, Value, Wall};

use super::play::Play;
use super::read::Reader;
use super::{HistoryError, Reading};

pub const HEADER: &str = "time,tag,value,quality,reason";

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error("cannot write")]
    Write(#[from] io::Error),
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    pub rows: u64,
    pub points: usize,
    /// Told late, and so not written.
    pub late: u64,
}

/// Writes the points `tags` (all, if empty) from `since` to `until`. `progress` is told samples read and all.
///
/// # Errors
/// One of the points is not there, or it cannot be read or written.
pub fn export(
    reader: &Reader,
    tags: &[String],
    (since, until): (Wall, Wall),
    timezone: &TimeZone,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Exported, ExportError> {
    let mut play = Play::begin(reader, tags, (since, until))?;
    let mut file = Csv { out, timezone, exported: Exported::default() };
    file.out.write_all(HEADER.as_bytes())?;
    file.out.write_all(b"\n")?;
    let mut begins = Begins { since, before: BTreeMap::new(), begun: false };
    let mut told = 0;
    while let Some((id, reading)) = play.next()? {
        if play.read != told {
            told = play.read;
            progress(play.read, play.all);
        }
        begins.write(id, reading, &play, &mut file)?;
    }
    begins.begin(&play, &mut file)?;
    let exported = Exported { points: play.tags().count(), late: play.late, ..file.exported };
    out.flush()?;
    Ok(exported)
}

/// What was in force at the beginning stands before everything else.
struct Begins {
    since: Wall,
    before: BTreeMap<i64, Reading>,
    begun: bool,
}

impl Begins {
    fn write(
        &mut self,
        id: i64,
        reading: Reading,
        play: &Play<&Reader>,
        file: &mut Csv<'_>,
    ) -> io::Result<()> {
        if reading.at <= self.since && !self.begun {
            self.before.insert(id, reading);
            return Ok(());
        }
        self.begin(play, file)?;
        file.row(play.tag(id), &reading)
    }

    fn begin(&mut self, play: &Play<&Reader>, file: &mut Csv<'_>) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        for (id, reading) in std::mem::take(&mut self.before) {
            file.row(play.tag(id), &Reading { at: self.since, ..reading })?;
        }
        Ok(())
    }
}

/// One point's trend.
///
/// # Errors
/// It cannot be written.
pub fn one(
    tag: &str,
    trend: &[Reading],
    since: Wall,
    timezone: &TimeZone,
    out: &mut dyn Write,
) -> io::Result<()> {
    out.write_all(HEADER.as_bytes())?;
    out.write_all(b"\n")?;
    let mut file = Csv { out, timezone, exported: Exported::default() };
    for reading in trend.iter().filter(|reading| !reading.backfill) {
        file.row(tag, &Reading { at: reading.at.max(since), ..reading.clone() })?;
    }
    Ok(())
}

struct Csv<'a> {
    out: &'a mut dyn Write,
    timezone: &'a TimeZone,
    exported: Exported,
}

impl Csv<'_> {
    fn row(&mut self, tag: &str, reading: &Reading) -> io::Result<()> {
        self.exported.rows += 1;
        let value = reading.value.as_ref().map(Value::to_string).unwrap_or_default();
        let (quality, reason) = words(reading.quality);
        let time = time(reading.at, self.timezone);
        writeln!(self.out, "{time},{},{},{quality},{reason}", field(tag), field(&value))
    }
}

/// Class and reason.
pub fn words(quality: Quality) -> (&'static str, &'static str) {
    match quality {
        Quality::Good => ("good", ""),
        Quality::Uncertain(reason) => ("uncertain", reason.word()),
        Quality::Bad(reason) => ("bad", reason.word()),
    }
}

/// RFC 3339 with milliseconds.
pub fn time(at: Wall, timezone: &TimeZone) -> String {
    let shown = jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_zoned_datetime(timezone.clone()));
    shown.map_or_else(|_| at.0.to_string(), |at| at.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string())
}

fn field(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}
