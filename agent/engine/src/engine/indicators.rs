//! When indicators are counted, and when they are told: a minute after something changed, each hour, and at the end
//! of a week.
//!
//! They stand in the calendar. While the clock was just set, or was never set, nothing is counted as due.

use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Mono, Now, Wall};

use super::Engine;
use crate::calendar::SETTLED_AFTER;
use crate::indicator::{Analysis, Cycle};
use crate::timer::Timer;
use crate::{CheckRecord, Effect, HazardRecord, HazardStage, IndicatorRecord};

/// What changes within it is told once.
const SOON: Duration = Duration::from_mins(1);
/// Rates move by the mere passing of deadlines, and so does the quality of alarms.
const HOURLY: Duration = Duration::from_hours(1);

impl Engine {
    /// After a start or a reload.
    pub(super) fn offer_indicators(&mut self, now: Mono) {
        self.indicators_seen = now;
        if let Some(wall) = self.present.calendar.sure(now) {
            self.turn_week(wall);
        }
        self.timers.set_no_later(Timer::Indicators, now.after(SOON));
    }

    /// A cycle of a task ended.
    pub(super) fn count_cycle(&mut self, task: &str, cycle: Cycle, end: Wall, at: Mono) {
        if self.turn_week(Wall(end.0.saturating_sub(1)))
            && let Some(record) = self.indicators.as_mut()
        {
            record.cycle(task, cycle, end);
            self.timers.set_no_later(Timer::Indicators, at.after(SOON));
        }
    }

    /// After a start: cycles whose records are kept, and whose count was not told any more.
    pub(super) fn count_recorded(&mut self, records: &[CheckRecord], at: Mono) {
        let told = self.indicators.as_ref().map(|of| of.changed);
        for record in
            records.iter().filter(|record| record.automatic && told.is_none_or(|told| told < record.at))
        {
            if let Some(period) = record.period {
                self.count_cycle(&record.task, Cycle::of(record.status), period.end, at);
            }
        }
    }

    pub(super) fn count_hazard(&mut self, hazard: &HazardRecord, at: Mono) {
        if let Some(record) = self.indicators.as_mut().filter(|_| hazard.stage == HazardStage::Accepted) {
            record.accepted(hazard);
            self.timers.set_no_later(Timer::Indicators, at.after(SOON));
        }
    }

    /// Whether the calendar tells the week.
    fn turn_week(&mut self, wall: Wall) -> bool {
        let Some(week) = self.plant.time().week(wall) else { return false };
        match self.indicators.as_mut() {
            Some(record) => record.turn(week),
            None => self.indicators = Some(Box::new(IndicatorRecord::of(&self.plant, week, wall))),
        }
        true
    }

    pub(super) fn tell_indicators(&mut self, at: Now, effects: &mut Vec<Effect>) {
        let Some(wall) = self.present.calendar.sure(at.mono) else {
            self.indicators_seen = at.mono;
            self.timers.set(Timer::Indicators, at.mono.after(SETTLED_AFTER));
            return;
        };
        let told = self.indicators.clone().filter(|record| record.revision > 0);
        if self.turn_week(wall)
            && let Some(record) = self.indicators.as_mut()
        {
            let seen = at.mono.since(self.indicators_seen);
            let of_week = wall.0.saturating_sub(record.week.period.start.0);
            let of_week = Duration::from_millis(u64::try_from(of_week).unwrap_or(0));
            let of_last = seen.saturating_sub(of_week);
            record.week.covered_s = record.week.covered_s.saturating_add(seen.min(of_week).as_secs());
            if let Some(last) = record.last.as_mut() {
                last.covered_s = last.covered_s.saturating_add(of_last.as_secs());
            }
            self.indicators_seen = at.mono;
            record.reach(self.hazards.newest().map(AsRef::as_ref), wall);
            record.analysis = Analysis::of(&self.plant);
            record.quality = self.quality.view(at.mono, self.alarms.open().map(AsRef::as_ref));
            if told.as_ref() != Some(record) {
                record.changed = wall;
                record.revision += 1;
                effects.push(Effect::Indicator(Arc::new(IndicatorRecord::clone(record))));
            }
        }
        let end = self.indicators.as_ref().map(|record| Wall(record.week.period.end.0.saturating_add(1)));
        let end = end.and_then(|end| self.present.calendar.when(end, at.mono)).filter(|end| *end > at.mono);
        let hourly = at.mono.after(HOURLY);
        self.timers.set(Timer::Indicators, end.map_or(hourly, |end| end.min(hourly)));
    }
}
