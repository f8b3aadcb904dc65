//! The calendar of the site: which cycle of a task a time lies in, and which week.
//!
//! Cycles shorter than a day begin anew each day, at the beginning of its working hours or at midnight, and
//! the last of a day ends with them. Cycles of whole days count from the task's start, or else from a Monday;
//! those of whole months from the month of its start, or from a January. Anything else counts on from there
//! without regard to the calendar. It knows no clock: the time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp};
use riskgate_point::Wall;
use serde::{Deserialize, Serialize};

use crate::{TaskDraft, WorkDays};

const DAY: Duration = Duration::from_hours(24);
const DAY_S: u32 = 86_400;
/// Days without one that a task is due on, before it is taken for one that never is: no holiday is longer.
const DAYS_AHEAD_MAX: usize = 62;
/// 2001 began with a Monday and a January.
const ORIGIN: Date = Date::constant(2001, 1, 1);
/// The standard of the exchange, where nothing else is said.
const CHINA: Offset = Offset::constant(8);

/// Its zone, and the days that its calendar names.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteTime {
    pub zone: TimeZone,
    /// Whether it is worked on this day (法定工作日). A day that is not here is worked from Monday to Friday.
    pub days: BTreeMap<Date, bool>,
}

impl Default for SiteTime {
    fn default() -> Self {
        Self { zone: TimeZone::fixed(CHINA), days: BTreeMap::new() }
    }
}

/// From `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Period {
    pub start: Wall,
    pub end: Wall,
}

impl Period {
    pub fn holds(self, at: Wall) -> bool {
        self.start <= at && at < self.end
    }

    pub fn length(self) -> Duration {
        Duration::from_millis(u64::try_from(self.end.0.saturating_sub(self.start.0)).unwrap_or(0))
    }
}

/// What the calendar says of a task at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// It is due by the end of this.
    Within(Period),
    /// Nothing is due before.
    From(Wall),
    /// Nothing is due as far as the calendar can be read.
    Never,
}

impl SiteTime {
    /// The cycle of `task` that `at` lies in, without regard to what boosts it.
    pub fn duty(&self, task: &TaskDraft, at: Wall) -> Duty {
        if let Some(start) = task.start.filter(|start| at < *start) {
            return Duty::From(start);
        }
        let found = match (self.date(at), task.months) {
            (None, _) => None,
            (Some(date), Some(months)) if months > 0 => self.of_months(task, date, months).map(Duty::Within),
            (Some(date), _) if task.cycle < DAY => self.of_hours(task, date, at),
            (Some(date), _) if task.cycle.as_millis().is_multiple_of(DAY.as_millis()) => {
                self.of_days(task, date, at)
            }
            (Some(_), _) => self.counted_on(task, at).map(Duty::Within),
        };
        found.unwrap_or(Duty::Never)
    }

    /// The week of `at`, from Monday to Monday.
    pub fn week(&self, at: Wall) -> Option<Period> {
        let date = self.date(at)?;
        let back = i64::from(date.weekday().to_monday_zero_offset());
        let monday = date.checked_sub(Span::new().try_days(back).ok()?).ok()?;
        Some(Period { start: self.midnight(monday)?, end: self.midnight(after(monday, 7)?)? })
    }

    fn is_due_on(&self, days: WorkDays, date: Date) -> bool {
        let weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
        let worked = self.days.get(&date).copied().unwrap_or(!weekend);
        match days {
            WorkDays::Every => true,
            WorkDays::Working => worked,
            WorkDays::Resting => !worked,
        }
    }

    fn of_hours(&self, task: &TaskDraft, date: Date, at: Wall) -> Option<Duty> {
        let (from, to) = task.hours.unwrap_or((0, DAY_S));
        let cycle = i64::try_from(task.cycle.as_millis()).ok().filter(|cycle| *cycle > 0)?;
        let mut day = date;
        for _ in 0..DAYS_AHEAD_MAX {
            if self.is_due_on(task.days, day) {
                let midnight = self.midnight(day)?.0;
                let end_of_day = self.midnight(after(day, 1)?)?.0;
                let from = midnight.saturating_add(i64::from(from) * 1000);
                let to = midnight.saturating_add(i64::from(to) * 1000);
                let to = if to >= midnight + i64::from(DAY_S) * 1000 { end_of_day } else { to };
                if at.0 < from {
                    return Some(Duty::From(Wall(from)));
                }
                if at.0 < to {
                    let start = from.saturating_add((at.0 - from) / cycle * cycle);
                    let end = start.saturating_add(cycle).min(to);
                    return Some(Duty::Within(Period { start: Wall(start), end: Wall(end) }));
                }
            }
            day = after(day, 1)?;
        }
        None
    }

    fn of_days(&self, task: &TaskDraft, date: Date, at: Wall) -> Option<Duty> {
        let days = i64::try_from(task.cycle.as_millis() / DAY.as_millis()).ok().filter(|days| *days > 0)?;
        let anchor = task.start.and_then(|start| self.date(start)).unwrap_or(ORIGIN);
        let since = i64::from((date - anchor).get_days());
        let mut first = after(anchor, since.div_euclid(days).checked_mul(days)?)?;
        for _ in 0..DAYS_AHEAD_MAX {
            // A cycle of more days than one has some that are worked.
            if days > 1 || self.is_due_on(task.days, first) {
                let start = self.midnight(first)?;
                if at < start {
                    return Some(Duty::From(start));
                }
                return Some(Duty::Within(Period { start, end: self.midnight(after(first, days)?)? }));
            }
            first = after(first, days)?;
        }
        None
    }

    fn of_months(&self, task: &TaskDraft, date: Date, months: u32) -> Option<Period> {
        let anchor = task.start.and_then(|start| self.date(start)).unwrap_or(ORIGIN).first_of_month();
        let number = |date: Date| i64::from(date.year()) * 12 + i64::from(date.month());
        let months = i64::from(months);
        let nth = (number(date) - number(anchor)).div_euclid(months).checked_mul(months)?;
        let first = |nth: i64| anchor.checked_add(Span::new().try_months(nth).ok()?).ok();
        Some(Period { start: self.midnight(first(nth)?)?, end: self.midnight(first(nth + months)?)? })
    }

    fn counted_on(&self, task: &TaskDraft, at: Wall) -> Option<Period> {
        let anchor = task.start.or_else(|| self.midnight(ORIGIN))?;
        let cycle = i64::try_from(task.cycle.as_millis()).ok().filter(|cycle| *cycle > 0)?;
        let nth = at.0.checked_sub(anchor.0)?.div_euclid(cycle);
        let start = anchor.0.checked_add(nth.checked_mul(cycle)?)?;
        Some(Period { start: Wall(start), end: Wall(start.checked_add(cycle)?) })
    }

    /// The day that it is at the site.
    pub fn date(&self, at: Wall) -> Option<Date> {
        let at = Timestamp::from_millisecond(at.0).ok()?;
        Some(self.zone.to_datetime(at).date())
    }

    fn midnight(&self, date: Date) -> Option<Wall> {
        let midnight = date.to_datetime(Time::midnight());
        // A midnight that is skipped begins with what comes after it.
        let instant = self.zone.to_ambiguous_timestamp(midnight).compatible().ok()?;
        Some(Wall(instant.as_millisecond()))
    }
}

fn after(date: Date, days: i64) -> Option<Date> {
    date.checked_add(Span::new().try_days(days).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Wall {
        let time: Timestamp = format!("{text}+08:00").parse().unwrap();
        Wall(time.as_millisecond())
    }

    fn task(cycle: Duration) -> TaskDraft {
        TaskDraft { cycle, ..TaskDraft::default() }
    }

    #[track_caller]
    fn within(site: &SiteTime, task: &TaskDraft, now: &str, from: &str, to: &str) {
        let expected = Duty::Within(Period { start: at(from), end: at(to) });
        assert_eq!(site.duty(task, at(now)), expected, "{now}");
    }

    fn hours(hours: u64) -> Duration {
        Duration::from_hours(hours)
    }

    #[test]
    fn a_cycle_of_hours_begins_anew_each_day_and_ends_with_the_working_hours() {
        let site = SiteTime::default();
        let whole = task(hours(5));
        within(&site, &whole, "2026-11-23T04:59:59", "2026-11-23T00:00:00", "2026-11-23T05:00:00");
        within(&site, &whole, "2026-11-23T23:00:00", "2026-11-23T20:00:00", "2026-11-24T00:00:00");
        let worked = TaskDraft { hours: Some((8 * 3600, 17 * 3600)), ..task(hours(4)) };
        within(&site, &worked, "2026-11-23T08:00:00", "2026-11-23T08:00:00", "2026-11-23T12:00:00");
        within(&site, &worked, "2026-11-23T16:30:00", "2026-11-23T16:00:00", "2026-11-23T17:00:00");
        let next = Duty::From(at("2026-11-24T08:00:00"));
        assert_eq!(site.duty(&worked, at("2026-11-23T17:00:00")), next);
    }

    #[test]
    fn days_off_are_those_of_the_calendar_and_else_the_weekend() {
        let holiday = Date::constant(2026, 11, 23);
        let made_up = Date::constant(2026, 11, 21);
        let days = BTreeMap::from([(holiday, false), (made_up, true)]);
        let site = SiteTime { days, ..SiteTime::default() };
        let worked = TaskDraft { days: WorkDays::Working, ..task(DAY) };
        within(&site, &worked, "2026-11-21T09:00:00", "2026-11-21T00:00:00", "2026-11-22T00:00:00");
        let tuesday = Duty::From(at("2026-11-24T00:00:00"));
        assert_eq!(site.duty(&worked, at("2026-11-22T09:00:00")), tuesday);
        assert_eq!(site.duty(&worked, at("2026-11-23T09:00:00")), tuesday);
        let off = TaskDraft { days: WorkDays::Resting, ..task(hours(8)) };
        within(&site, &off, "2026-11-23T09:00:00", "2026-11-23T08:00:00", "2026-11-23T16:00:00");
    }

    #[test]
    fn days_count_from_the_start_or_a_monday_and_months_are_the_calendars() {
        let site = SiteTime::default();
        let weekly = task(DAY * 7);
        within(&site, &weekly, "2026-11-29T23:59:59", "2026-11-23T00:00:00", "2026-11-30T00:00:00");
        let from = TaskDraft { start: Some(at("2026-11-25T10:00:00")), ..weekly };
        within(&site, &from, "2026-12-01T00:00:00", "2026-11-25T00:00:00", "2026-12-02T00:00:00");
        let early = Duty::From(at("2026-11-25T10:00:00"));
        assert_eq!(site.duty(&from, at("2026-11-25T09:59:59")), early);
        let quarter = TaskDraft { months: Some(3), ..task(DAY * 90) };
        within(&site, &quarter, "2026-12-31T23:59:59", "2026-10-01T00:00:00", "2027-01-01T00:00:00");
        let uneven = task(hours(36));
        within(&site, &uneven, "2001-01-02T13:00:00", "2001-01-02T12:00:00", "2001-01-04T00:00:00");
    }

    #[test]
    fn a_day_is_as_long_as_the_zone_makes_it() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let site = SiteTime { zone, ..SiteTime::default() };
        let Duty::Within(day) = site.duty(&task(DAY), at("2026-10-25T12:00:00")) else { panic!() };
        assert_eq!(day.length(), hours(25));
        let Duty::Within(last) = site.duty(&task(hours(8)), Wall(day.end.0 - 1)) else { panic!() };
        assert_eq!(last.end, day.end);
    }

    #[test]
    fn a_week_goes_from_monday_to_monday() {
        let week = SiteTime::default().week(at("2026-11-29T23:59:59"));
        let expected = Period { start: at("2026-11-23T00:00:00"), end: at("2026-11-30T00:00:00") };
        assert_eq!(week, Some(expected));
    }

    #[test]
    fn times_that_no_calendar_holds_are_never_due() {
        let site = SiteTime::default();
        for wall in [Wall(i64::MIN), Wall(i64::MAX)] {
            assert_eq!(site.duty(&task(hours(8)), wall), Duty::Never);
            assert_eq!(site.week(wall), None);
        }
    }
}
