//! Times of the calendar, as tasks and the list of days say them: cycles, starts, working hours, days off.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use riskgate_point::Wall;

use super::lists::{self, Asked};
use super::place::Faults;
use super::table::Sheet;
use super::values::{duration, duration_text, half_width, number};

const HOUR_S: f64 = 3600.0;
const DAY_S: f64 = 86_400.0;
/// A month of 30 days and a year of 365, where a cycle is compared with another.
const MONTH_DAYS: u64 = 30;
const YEAR_DAYS: u64 = 365;
const DAY: Duration = Duration::from_hours(24);

const CYCLE_HINT: &str = "write 8h, 1d or 30d, or as the standard does: 8小时, 1天, 3月, 1年";

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Hour,
    Day,
    Month,
    Year,
}

const UNITS: [(&str, Unit); 8] = [
    ("小时", Unit::Hour),
    ("天", Unit::Day),
    ("月", Unit::Month),
    ("年", Unit::Year),
    ("时", Unit::Hour),
    ("日", Unit::Day),
    ("个月", Unit::Month),
    ("hour", Unit::Hour),
];

/// `cycle`, with the word of `cycle_unit` behind it where it is a number alone. Whole months are the
/// calendar's. `None`: it was told what is wrong with it.
pub(super) fn cycle(of: &mut impl Asked, range: RangeInclusive<Duration>) -> Option<(Duration, Option<u32>)> {
    let said = of.required_text("cycle");
    let unit = of.text("cycle_unit");
    let said = said?;
    let whole = format!("{}{}", half_width(&said.value), unit.map(|unit| unit.value).unwrap_or_default());
    let Some(read) = duration(&whole).map(|cycle| (cycle, None)).or_else(|| of_standard(&whole)) else {
        let message = format!("cycle 排查周期: '{whole}' is no cycle");
        of.error("cycle", message, Some(CYCLE_HINT.to_owned()));
        return None;
    };
    if !range.contains(&read.0) {
        let allowed =
            format!("allowed: {} to {}", duration_text(*range.start()), duration_text(*range.end()));
        of.error("cycle", format!("cycle 排查周期: '{whole}' is out of range"), Some(allowed));
        return None;
    }
    Some(read)
}

fn of_standard(text: &str) -> Option<(Duration, Option<u32>)> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (count, unit) = text.split_at_checked(digits)?;
    let (count, unit) = (number(count).ok()?, unit.trim());
    let (_, unit) = UNITS.iter().find(|(word, _)| *word == unit)?;
    let whole: Option<u32> = format!("{count}").parse().ok();
    let seconds = |seconds: f64| Duration::try_from_secs_f64(count * seconds).ok();
    let of_days = |days: u64, months: u32| {
        let whole = whole?;
        Some((DAY.checked_mul(whole)?.checked_mul(u32::try_from(days).ok()?)?, whole.checked_mul(months)))
    };
    match unit {
        Unit::Hour => Some((seconds(HOUR_S)?, None)),
        Unit::Day => Some((seconds(DAY_S)?, None)),
        Unit::Month => of_days(MONTH_DAYS, 1),
        Unit::Year => of_days(YEAR_DAYS, 12),
    }
}

/// `start`: a day or a time in the site's zone.
pub(super) fn start(of: &mut impl Asked, zone: &TimeZone) -> Option<Wall> {
    let said = of.text("start")?;
    let time = moment(&said.value);
    let instant = time.and_then(|time| zone.to_ambiguous_timestamp(time).compatible().ok());
    if instant.is_none() {
        let hint = "write 2026-11-01, 2026-11-01 08:00:00 or 20261101080000".to_owned();
        of.error("start", format!("'{}' is no day or time", said.value), Some(hint));
    }
    instant.map(|instant| Wall(instant.as_millisecond()))
}

/// A day or a time as people, platforms and workbooks write it.
fn moment(text: &str) -> Option<DateTime> {
    let text = half_width(text).replace('/', "-");
    let day = |day: Date| day.to_datetime(Time::midnight());
    let written = text.parse::<DateTime>().ok().or_else(|| text.parse::<Date>().ok().map(day));
    let packed = || DateTime::strptime("%Y%m%d%H%M%S", &text).ok();
    let packed_day = || Date::strptime("%Y%m%d", &text).ok().map(day);
    let spaced = || DateTime::strptime("%Y-%m-%d %H:%M:%S", &text).ok();
    let spaced_day = || Date::strptime("%Y-%m-%d", &text).ok().map(day);
    written.or_else(packed).or_else(packed_day).or_else(spaced).or_else(spaced_day).or_else(|| serial(&text))
}

/// Days since 1899-12-30, as a workbook counts them and shows them where the cell has no format of a date: of this
/// century, so that nothing else is taken for one.
fn serial(text: &str) -> Option<DateTime> {
    let days = number(text).ok().filter(|days| (SERIAL_2000..SERIAL_2100).contains(days))?;
    let since = Duration::try_from_secs_f64(days * DAY_S + 0.5).ok()?;
    let since = Duration::from_secs(since.as_secs());
    Date::constant(1899, 12, 30).to_datetime(Time::midnight()).checked_add(since).ok()
}

const SERIAL_2000: f64 = 36_526.0;
const SERIAL_2100: f64 = 73_051.0;

/// `work_start` and `work_end`, in seconds of the day; both or neither.
pub(super) fn hours(of: &mut impl Asked) -> Option<(u32, u32)> {
    let (from, to) = (hour(of, "work_start"), hour(of, "work_end"));
    match (of.has("work_start"), of.has("work_end")) {
        (true, false) => of.error("work_start", "the working hours have no end".to_owned(), None),
        (false, true) => of.error("work_end", "the working hours have no beginning".to_owned(), None),
        (true, true) | (false, false) => {}
    }
    from.zip(to)
}

fn hour(of: &mut impl Asked, key: &'static str) -> Option<u32> {
    let said = of.text(key)?;
    // Part of a day, as a workbook counts it.
    if let Some(part) = number(&said.value).ok().filter(|part| said.value.contains('.') && *part <= 1.0) {
        let seconds = Duration::try_from_secs_f64(part * DAY_S + 0.5).ok();
        return seconds.and_then(|seconds| u32::try_from(seconds.as_secs()).ok());
    }
    let parts: Option<Vec<u32>> =
        half_width(&said.value).split([':', '：']).map(|part| part.trim().parse().ok()).collect();
    let seconds = match parts.as_deref() {
        Some([hour, minute]) => Some((*hour, *minute, 0)),
        Some([hour, minute, second]) => Some((*hour, *minute, *second)),
        Some(_) | None => None,
    };
    let seconds = seconds.filter(|(hour, minute, second)| {
        *minute < 60 && *second < 60 && (*hour < 24 || (*hour, *minute, *second) == (24, 0, 0))
    });
    if seconds.is_none() {
        let hint = "write 8:00 or 8:00:00; the end of the day is 24:00".to_owned();
        of.error(key, format!("'{}' is no time of the day", said.value), Some(hint));
    }
    seconds.map(|(hour, minute, second)| hour * 3600 + minute * 60 + second)
}

/// The days that the lists of days name. A day that stands twice is told with both places.
pub(super) fn days(lists: &[Sheet], faults: &Faults) -> BTreeMap<Date, bool> {
    let read = lists::items(lists, "day", &["workday"], faults, |of| {
        let said = of.required_text("date");
        let worked = of.flag("workday");
        if !of.has("workday") {
            of.missing("workday");
        }
        let said = said?;
        let date = moment(&said.value).map(|moment| moment.date());
        if date.is_none() {
            let hint = "write 2026-10-01, 2026/10/1 or 20261001".to_owned();
            of.error("date", format!("'{}' is no day", said.value), Some(hint));
        }
        Some((date?, worked?))
    });
    let mut days = BTreeMap::new();
    for ((date, worked), origin) in read {
        if let Some((_, first)) = days.get(&date) {
            let message = format!("day {date} stands twice");
            faults.error_with(origin.at(), message, *first, "the first one", None);
        } else {
            days.insert(date, (worked, origin.at()));
        }
    }
    days.into_iter().map(|(date, (worked, _))| (date, worked)).collect()
}
