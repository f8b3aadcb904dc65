//! All deadlines in one ordered structure. What is offered by [`Timers::next`] is what is acted on.
//!
//! It does not know what a deadline means; it keeps at most one for each [`Timer`].

use std::collections::{BTreeMap, BTreeSet};

use riskgate_point::{Mono, PointId, SourceId};

/// What may fall due. Where several fall due in the same nanosecond they are acted on in this order:
/// first what turns known into unknown, then what judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A point was not refreshed.
    Stale(PointId),
    /// A feed of fixes, sightings or permits was silent.
    Silent(SourceId),
    /// The wall clock was set, and its new time has held.
    Calendar,
    /// A window slides, a `held` completes, a sighting grows old, a permit begins or ends.
    Change(u32),
    /// An on-delay or an off-delay of a rule.
    Delay(u32),
    /// A source was lost for long enough to say so.
    SourceFault(SourceId),
    /// A point was bad for long enough to say so.
    PointFault(PointId),
    /// A source was lost for so long that its measures have failed.
    SourceHazard(SourceId),
    /// An episode has lasted for long enough to raise its hazard.
    Hazard(u32),
    /// The deadline of a hazard is past.
    Overdue,
    /// A cycle of a task ends or begins, by the task's place in the plant.
    Duty(u32),
    /// A boost of a task ends, by the task's place in the plant.
    Boost(u32),
    /// A raise of a unit ends, by the unit's place in the plant.
    Raise(u32),
    /// A shelf or an out-of-service ends.
    WithheldEnd,
    /// An alarm that still holds annunciates anew, by its rule.
    ReAlarm(u32),
    /// A candidate hazard is still unjudged.
    Candidate,
    /// A flood of alarms may be over.
    FloodEnd,
    /// Indicators are to be told.
    Indicators,
}

impl Timer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stale(_) => "stale",
            Self::Silent(_) => "silent",
            Self::Calendar => "calendar",
            Self::Change(_) => "change",
            Self::Delay(_) => "delay",
            Self::SourceFault(_) => "source_fault",
            Self::PointFault(_) => "point_fault",
            Self::SourceHazard(_) => "source_hazard",
            Self::Hazard(_) => "hazard",
            Self::Overdue => "overdue",
            Self::Duty(_) => "duty",
            Self::Boost(_) => "boost",
            Self::Raise(_) => "raise",
            Self::WithheldEnd => "withheld_end",
            Self::ReAlarm(_) => "re_alarm",
            Self::Candidate => "candidate",
            Self::FloodEnd => "flood_end",
            Self::Indicators => "indicators",
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    order: BTreeSet<(Mono, Timer)>,
    due: BTreeMap<Timer, Mono>,
    /// The earliest of `order`, kept beside it because every sample asks for it.
    first: Option<Mono>,
}

impl Timers {
    /// Replaces the timer's deadline.
    pub(crate) fn set(&mut self, timer: Timer, due: Mono) {
        match self.due.insert(timer, due) {
            Some(before) if before == due => return,
            Some(before) => {
                self.order.remove(&(before, timer));
            }
            None => {}
        }
        self.order.insert((due, timer));
        self.find_first();
    }

    /// Sees to it that the timer falls due at `due` or before. For deadlines that mostly move on: letting
    /// an early one pass and setting it anew is cheaper than moving it at every sample.
    pub(crate) fn set_no_later(&mut self, timer: Timer, due: Mono) {
        if self.due.get(&timer).is_none_or(|before| *before > due) {
            self.set(timer, due);
        }
    }

    pub(crate) fn due(&self, timer: Timer) -> Option<Mono> {
        self.due.get(&timer).copied()
    }

    pub(crate) fn clear(&mut self, timer: Timer) {
        if let Some(before) = self.due.remove(&timer) {
            self.order.remove(&(before, timer));
            self.find_first();
        }
    }

    pub(crate) fn next(&self) -> Option<(Mono, &'static str)> {
        self.order.first().map(|(due, timer)| (*due, timer.name()))
    }

    pub(crate) fn is_due(&self, now: Mono) -> bool {
        self.first.is_some_and(|first| first <= now)
    }

    /// Takes out the next of what judges a rule, if it falls due at this instant and nothing else does before.
    pub(crate) fn pop_rule(&mut self, due: Mono) -> Option<u32> {
        let (at, Timer::Change(rule) | Timer::Delay(rule)) = *self.order.first()? else { return None };
        if at != due {
            return None;
        }
        self.pop_due(due)?;
        Some(rule)
    }

    /// Takes out the next point that may grow stale at this instant.
    pub(crate) fn pop_stale(&mut self, due: Mono) -> Option<PointId> {
        let (at, Timer::Stale(point)) = *self.order.first()? else { return None };
        if at != due {
            return None;
        }
        self.pop_due(due)?;
        Some(point)
    }

    /// Takes out the earliest that is due.
    pub(crate) fn pop_due(&mut self, now: Mono) -> Option<(Mono, Timer)> {
        if !self.is_due(now) {
            return None;
        }
        let (due, timer) = self.order.pop_first()?;
        self.due.remove(&timer);
        self.find_first();
        Some((due, timer))
    }

    fn find_first(&mut self) {
        self.first = self.order.first().map(|(due, _)| *due);
    }
}

/// `None`: no end.
fn ended(end: &Option<Mono>, now: Mono) -> bool {
    end.is_some_and(|end| end <= now)
}

pub(crate) fn any_ended(ends: &[Option<Mono>], now: Mono) -> bool {
    ends.iter().any(|end| ended(end, now))
}

/// Takes out the items whose end has come, and their ends. Item and end stand at the same place.
pub(crate) fn take_ended<T>(items: &mut Vec<T>, ends: &mut Vec<Option<Mono>>, now: Mono) {
    let mut each = ends.iter();
    items.retain(|_| !each.next().is_some_and(|end| ended(end, now)));
    ends.retain(|end| !ended(end, now));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_has_one_deadline_and_the_earliest_comes_first() {
        let mut timers = Timers::default();
        timers.set(Timer::Delay(1), Mono(30));
        timers.set(Timer::Delay(1), Mono(20));
        timers.set(Timer::Stale(PointId(0)), Mono(20));
        timers.set_no_later(Timer::Delay(1), Mono(25));
        assert_eq!(timers.next(), Some((Mono(20), "stale")));
        assert_eq!(timers.pop_due(Mono(19)), None);
        assert_eq!(timers.pop_due(Mono(20)), Some((Mono(20), Timer::Stale(PointId(0)))));
        assert_eq!(timers.pop_due(Mono(20)), Some((Mono(20), Timer::Delay(1))));
        assert_eq!(timers.pop_due(Mono(99)), None);
    }

    #[test]
    fn a_cleared_timer_is_not_offered() {
        let mut timers = Timers::default();
        timers.set(Timer::Delay(1), Mono(30));
        timers.clear(Timer::Delay(1));
        assert_eq!(timers.next(), None);
        assert!(!timers.is_due(Mono(99)));
    }
}
