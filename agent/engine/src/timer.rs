//! All deadlines in one ordered structure. What is offered by [`Timers::next`] is what is acted on.
//!
//! A heap, and beside it the deadline in force of each timer by its number: moving one is a push, and what it
//! leaves in the heap is dropped when it comes up.
//!
//! It does not know what a deadline means; it keeps at most one for each [`Timer`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;

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

    /// Its kind, and its number among those of the kind.
    fn place(self) -> (usize, usize) {
        let (kind, number) = match self {
            Self::Stale(point) => (0, point.0),
            Self::Silent(source) => (1, u32::from(source.0)),
            Self::Calendar => (2, 0),
            Self::Change(rule) => (3, rule),
            Self::Delay(rule) => (4, rule),
            Self::SourceFault(source) => (5, u32::from(source.0)),
            Self::PointFault(point) => (6, point.0),
            Self::SourceHazard(source) => (7, u32::from(source.0)),
            Self::Hazard(rule) => (8, rule),
            Self::Overdue => (9, 0),
            Self::Duty(task) => (10, task),
            Self::Boost(task) => (11, task),
            Self::Raise(unit) => (12, unit),
            Self::WithheldEnd => (13, 0),
            Self::ReAlarm(rule) => (14, rule),
            Self::Candidate => (15, 0),
            Self::FloodEnd => (16, 0),
            Self::Indicators => (17, 0),
        };
        (kind, usize::try_from(number).unwrap_or(usize::MAX))
    }
}

/// Kinds of [`Timer`].
const KINDS: usize = 18;
/// Before so many entries none of the heap is worth looking for what is left over.
const HEAP_MIN: usize = 64;
/// A deadline beyond the end of time is none.
const NEVER: Mono = Mono(u64::MAX);

#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// The earliest on top. An entry that is not what `due` says is left over from a deadline that was moved or
    /// cleared; there is none on top, and at most as many as there are others, or [`HEAP_MIN`].
    order: BinaryHeap<Reverse<(Mono, Timer)>>,
    /// Of each kind, by its number.
    due: [Vec<Mono>; KINDS],
    n_due: usize,
}

impl Timers {
    /// Replaces the timer's deadline.
    pub(crate) fn set(&mut self, timer: Timer, due: Mono) {
        let Some(before) = self.replace(timer, due) else { return };
        if before != due && due != NEVER {
            self.order.push(Reverse((due, timer)));
        }
        self.forget_left_over();
    }

    /// Sees to it that the timer falls due at `due` or before. For deadlines that mostly move on: letting
    /// an early one pass and setting it anew is cheaper than moving it at every sample.
    pub(crate) fn set_no_later(&mut self, timer: Timer, due: Mono) {
        if self.due(timer).is_none_or(|before| before > due) {
            self.set(timer, due);
        }
    }

    pub(crate) fn due(&self, timer: Timer) -> Option<Mono> {
        let (kind, number) = timer.place();
        self.due.get(kind)?.get(number).copied().filter(|due| *due != NEVER)
    }

    pub(crate) fn clear(&mut self, timer: Timer) {
        if self.due(timer).is_some() {
            self.set(timer, NEVER);
        }
    }

    pub(crate) fn next(&self) -> Option<(Mono, &'static str)> {
        self.order.peek().map(|Reverse((due, timer))| (*due, timer.name()))
    }

    pub(crate) fn is_due(&self, now: Mono) -> bool {
        self.order.peek().is_some_and(|Reverse((due, _))| *due <= now)
    }

    /// Takes out the next of what judges a rule, if it falls due at this instant and nothing else does before.
    pub(crate) fn pop_rule(&mut self, due: Mono) -> Option<u32> {
        let Reverse((at, Timer::Change(rule) | Timer::Delay(rule))) = *self.order.peek()? else {
            return None;
        };
        if at != due {
            return None;
        }
        self.pop_due(due)?;
        Some(rule)
    }

    /// Takes out the next point or feed that may be silent for too long at this instant.
    pub(crate) fn pop_silence(&mut self, due: Mono) -> Option<Timer> {
        let Reverse((at, timer @ (Timer::Stale(_) | Timer::Silent(_)))) = *self.order.peek()? else {
            return None;
        };
        if at != due {
            return None;
        }
        self.pop_due(due)?;
        Some(timer)
    }

    /// Takes out the earliest that is due.
    pub(crate) fn pop_due(&mut self, now: Mono) -> Option<(Mono, Timer)> {
        if !self.is_due(now) {
            return None;
        }
        let Reverse((due, timer)) = self.order.pop()?;
        self.replace(timer, NEVER);
        self.forget_left_over();
        Some((due, timer))
    }

    /// What the deadline was before.
    fn replace(&mut self, timer: Timer, due: Mono) -> Option<Mono> {
        let (kind, number) = timer.place();
        let of_kind = self.due.get_mut(kind)?;
        if of_kind.len() <= number {
            of_kind.resize(number + 1, NEVER);
        }
        let before = std::mem::replace(of_kind.get_mut(number)?, due);
        self.n_due += usize::from(due != NEVER);
        self.n_due -= usize::from(before != NEVER);
        Some(before)
    }

    fn forget_left_over(&mut self) {
        while let Some(Reverse((due, timer))) = self.order.peek()
            && self.due(*timer) != Some(*due)
        {
            self.order.pop();
        }
        if self.order.len() > HEAP_MIN && self.order.len() > 2 * self.n_due {
            let mut all = std::mem::take(&mut self.order).into_vec();
            all.retain(|Reverse((due, timer))| self.due(*timer) == Some(*due));
            all.sort_unstable();
            // A deadline that was moved away and back stands there twice.
            all.dedup();
            self.order = BinaryHeap::from(all);
        }
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

    #[test]
    fn deadlines_that_are_moved_leave_a_bounded_rest_and_come_once() {
        let mut timers = Timers::default();
        for nth in 0..10_000u64 {
            timers.set(Timer::Stale(PointId(0)), Mono(5));
            for rule in 0..50u32 {
                let due = if nth % 2 == 0 { 1_000 + u64::from(rule) } else { 2_000 + nth };
                timers.set(Timer::Change(rule), Mono(due));
            }
            assert!(timers.order.len() <= 2 * 51 + 1, "{}", timers.order.len());
        }
        (0..50).for_each(|rule| timers.set(Timer::Change(rule), Mono(7)));
        timers.clear(Timer::Change(3));
        assert_eq!(timers.pop_due(Mono(9_999)), Some((Mono(5), Timer::Stale(PointId(0)))));
        let rules: Vec<u32> = std::iter::from_fn(|| timers.pop_rule(Mono(7))).collect();
        assert_eq!(rules, (0..50).filter(|rule| *rule != 3).collect::<Vec<u32>>());
        assert_eq!((timers.next(), timers.order.len(), timers.n_due), (None, 0, 0));
    }
}
