//! A row for each reading: what `riskgate history export` writes, whose layout is told at
//! [`crate::history::export`], or its first three columns alone, as many a historian has them: `time,tag,value`,
//! also under the heads of a point table. There a reading is good, or has no value.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use riskgate_point::{BadReason, Quality, UncertainReason, Wall};

use super::BacktestError;
use super::findings::Findings;
use super::input::Lines;
use super::table::moment;
use super::tags::{Tags, Told};
use crate::history::export::HEADER;

const UNCERTAIN: [UncertainReason; 5] = [
    UncertainReason::OverRange,
    UncertainReason::UnderRange,
    UncertainReason::Frozen,
    UncertainReason::Overflow,
    UncertainReason::Source,
];
const BAD: [BadReason; 8] = [
    BadReason::NeverRead,
    BadReason::CommFailure,
    BadReason::DeviceFailure,
    BadReason::NotANumber,
    BadReason::Stale,
    BadReason::Masked,
    BadReason::RefusedAddress,
    BadReason::ConfigError,
];
/// A quoted field with more lines than this was never closed.
const FIELD_LINES_MAX: usize = 10;

/// Heads of the three columns without a quality.
const HEADS: [&[&str]; 3] =
    [&["time", "timestamp", "时间"], &["tag", "位号", "测点"], &["value", "值", "数值"]];

/// Behind its header.
pub(super) struct Exported {
    lines: Lines,
    clock: Clock,
}

/// Whether a header is of readings in rows.
pub(super) fn is_head(line: &str) -> bool {
    let cells: Vec<String> = line.split(',').map(|cell| cell.trim().to_lowercase()).collect();
    let named = |(cell, heads): (&String, &&[&str])| heads.contains(&cell.as_str());
    line == HEADER || (cells.len() == HEADS.len() && cells.iter().zip(&HEADS).all(named))
}

/// The stamp that was read last: rows of one time stand together.
struct Clock {
    text: String,
    at: Wall,
    /// Of stamps without an offset.
    timezone: TimeZone,
}

/// What is wrong with a row, and what to do about it.
type Wrong = (String, &'static str);

impl Exported {
    pub(super) fn new(lines: Lines, timezone: &TimeZone) -> Self {
        let clock = Clock { text: String::new(), at: Wall::default(), timezone: timezone.clone() };
        Self { lines, clock }
    }

    pub(super) fn next(
        &mut self,
        tags: &mut Tags,
        findings: &mut Findings,
    ) -> Result<Option<Told>, BacktestError> {
        while self.lines.next()? {
            let mut joined = 0;
            while self.lines.line().matches('"').count() % 2 == 1 && joined < FIELD_LINES_MAX {
                joined += 1;
                if !self.lines.join()? {
                    break;
                }
            }
            let line = self.lines.line();
            // Files that were put one behind the other.
            if line.is_empty() || is_head(line) {
                continue;
            }
            match row(line, &mut self.clock, tags) {
                Ok(told) => return Ok(Some(told)),
                Err((what, hint)) => findings.unreadable(&self.lines.place(), &what, hint),
            }
        }
        Ok(None)
    }

    pub(super) fn place(&self) -> (String, String) {
        (self.lines.file(), self.lines.place())
    }

    pub(super) fn done(&self) -> (u64, u64) {
        self.lines.done()
    }
}

fn row(line: &str, clock: &mut Clock, tags: &mut Tags) -> Result<Told, Wrong> {
    let fields = fields(line);
    let (time, tag, value, class, reason) = match fields.as_slice() {
        [time, tag, value, class, reason] => (time, tag, value, &**class, &**reason),
        [time, tag, value] if value.is_empty() => (time, tag, value, "bad", "not_a_number"),
        [time, tag, value] => (time, tag, value, "good", ""),
        _ => {
            let hint = "a row is time,tag,value,quality,reason or time,tag,value";
            return Err((format!("{} fields, not 5 or 3", fields.len()), hint));
        }
    };
    let at = clock.read(time)?;
    let quality = quality(class, reason)?;
    let number = tags.number(tag);
    let value = match (quality.is_bad(), value.is_empty()) {
        (true, _) => None,
        (false, true) => {
            return Err((format!("'{tag}' is {class} and has no value"), "a row without a value is bad"));
        }
        (false, false) => Some(tags.value(number, value).map_err(|needs| {
            (format!("'{value}' is no value of '{tag}', which reads {needs}"), "is it the tag that is meant?")
        })?),
    };
    Ok(Told { at, tag: number, value, quality, closing: false })
}

impl Clock {
    fn read(&mut self, text: &str) -> Result<Wall, Wrong> {
        if text != self.text {
            let hint = "write 2026-11-23T08:00:00.004+08:00 or 2026-11-23 08:00:00";
            self.at = moment(text, &self.timezone).ok_or_else(|| (format!("'{text}' is no time"), hint))?;
            text.clone_into(&mut self.text);
        }
        Ok(self.at)
    }
}

fn quality(class: &str, reason: &str) -> Result<Quality, Wrong> {
    let found = match class {
        "good" if reason.is_empty() => Some(Quality::Good),
        "uncertain" => UNCERTAIN.into_iter().find(|of| of.word() == reason).map(Quality::Uncertain),
        "bad" => BAD.into_iter().find(|of| of.word() == reason).map(Quality::Bad),
        _ => None,
    };
    found.ok_or_else(|| {
        let hint = "good, uncertain or bad, and behind it the reason as the export writes it";
        (format!("'{class},{reason}' is no quality"), hint)
    })
}

/// RFC 4180.
fn fields(line: &str) -> Vec<Cow<'_, str>> {
    if !line.contains('"') {
        return line.split(',').map(Cow::Borrowed).collect();
    }
    let mut fields = vec![String::new()];
    let (mut quoted, mut letters) = (false, line.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                fields.last_mut().into_iter().for_each(|field| field.push('"'));
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => fields.last_mut().into_iter().for_each(|field| field.push(letter)),
        }
    }
    fields.into_iter().map(Cow::Owned).collect()
}
