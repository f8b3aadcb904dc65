//! What the calendar says at a time of the clock that nobody can set.
//!
//! Calendar things (permits) run on wall time, and judging runs on [`Mono`]: between the two lies an offset,
//! taken from the inputs. While the wall clock has just been set, nobody knows which of its two times is right,
//! and what differs between them is unknown.

use std::time::Duration;

use riskgate_point::{Mono, Now, Wall};

use crate::Truth;

/// A clock that is only slewed moves away from the other by less than this between two settings; a permit
/// that ends a second early or late hurts nobody.
const TOLERANCE_MS: u64 = 1000;

/// After this long without another step the newest time is the right one.
pub(crate) const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// The first of 2020: a clock that says less was never set.
pub(crate) const SANE: Wall = Wall(1_577_836_800_000);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Calendar {
    /// Wall time less [`Mono`], in milliseconds.
    offset: i64,
    /// The same after a step that may be taken back.
    stepped: Option<i64>,
}

/// What a look at both clocks brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Same,
    /// The wall clock was set: two times are possible.
    Doubtful,
    /// It was set back to what it said before.
    Sure,
}

impl Calendar {
    pub(crate) fn of(now: Now) -> Self {
        Self { offset: offset(now), stepped: None }
    }

    pub(crate) fn look(&mut self, now: Now) -> Look {
        let seen = offset(now);
        let near = |known: i64| known.abs_diff(seen) <= TOLERANCE_MS;
        match self.stepped {
            None if near(self.offset) => Look::Same,
            Some(stepped) if near(stepped) => Look::Same,
            Some(_) if near(self.offset) => {
                self.stepped = None;
                Look::Sure
            }
            None | Some(_) => {
                self.stepped = Some(seen);
                Look::Doubtful
            }
        }
    }

    /// Whether the clock that it goes by was ever set.
    pub(crate) fn is_sane(&self, now: Mono) -> bool {
        Wall(millis(now).saturating_add(self.offset)) >= SANE
    }

    /// What it says, where nobody doubts it: neither just set nor of a machine whose clock has lost its battery.
    pub(crate) fn sure(&self, now: Mono) -> Option<Wall> {
        let wall = Wall(millis(now).saturating_add(self.offset));
        (self.stepped.is_none() && self.is_sane(now)).then_some(wall)
    }

    /// When it will say this, as far as it is known now; not before `now`.
    pub(crate) fn when(&self, wall: Wall, now: Mono) -> Option<Mono> {
        instant_or_past(wall, self.offset).map(|at| at.max(now))
    }

    /// The newest time is the right one.
    pub(crate) fn settle(&mut self) {
        self.offset = self.stepped.take().unwrap_or(self.offset);
    }

    /// When the calendar will say this, or said it; `None` while its time is in doubt.
    pub(crate) fn instant_of(&self, wall: Wall) -> Option<Mono> {
        if self.stepped.is_some() {
            return None;
        }
        let since_boot = u64::try_from(wall.0.saturating_sub(self.offset)).unwrap_or(0);
        Some(Mono(since_boot.saturating_mul(1_000_000)))
    }

    /// Whether it is `start` or later and before `end`, and when that may next be different.
    pub(crate) fn within(&self, start: Option<Wall>, end: Option<Wall>, now: Mono) -> (Truth, Option<Mono>) {
        let offsets = || std::iter::once(self.offset).chain(self.stepped);
        let is_within = |offset: i64| {
            let wall = Wall(millis(now).saturating_add(offset));
            start.is_none_or(|start| start <= wall) && end.is_none_or(|end| wall < end)
        };
        let mut possible = offsets().map(is_within);
        let first = possible.next().unwrap_or(false);
        let truth = if possible.all(|other| other == first) { Truth::from(first) } else { Truth::Unknown };
        let turns = offsets().flat_map(|offset| {
            [start, end].into_iter().flatten().filter_map(move |turn| instant(turn, offset))
        });
        (truth, turns.filter(|turn| *turn > now).min())
    }
}

fn millis(at: Mono) -> i64 {
    i64::try_from(at.0 / 1_000_000).unwrap_or(i64::MAX)
}

fn offset(now: Now) -> i64 {
    now.wall.0.saturating_sub(millis(now.mono))
}

/// The same, where what is before the boot is at the boot.
fn instant_or_past(wall: Wall, offset: i64) -> Option<Mono> {
    let millis = u64::try_from(wall.0.saturating_sub(offset).max(0)).ok()?;
    millis.checked_mul(1_000_000).map(Mono)
}

/// When the calendar will say this; `None`: not in the life of this machine.
fn instant(wall: Wall, offset: i64) -> Option<Mono> {
    let millis = u64::try_from(wall.0.checked_sub(offset)?).ok()?;
    millis.checked_mul(1_000_000).map(Mono)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_s: u64, wall_s: i64) -> Now {
        Now { mono: Mono(mono_s * 1_000_000_000), wall: Wall(wall_s * 1000) }
    }

    fn within(calendar: &Calendar, start_s: i64, end_s: i64, mono_s: u64) -> (Truth, Option<u64>) {
        let walls = (Some(Wall(start_s * 1000)), Some(Wall(end_s * 1000)));
        let (truth, until) = calendar.within(walls.0, walls.1, at(mono_s, 0).mono);
        (truth, until.map(|until| until.0 / 1_000_000_000))
    }

    #[test]
    fn a_span_begins_with_its_start_and_is_over_at_its_end() {
        let calendar = Calendar::of(at(10, 1000));
        assert_eq!(within(&calendar, 1005, 1020, 14), (Truth::False, Some(15)));
        assert_eq!(within(&calendar, 1005, 1020, 15), (Truth::True, Some(30)));
        assert_eq!(within(&calendar, 1005, 1020, 30), (Truth::False, None));
        assert_eq!(calendar.within(None, None, Mono(7)), (Truth::True, None));
    }

    #[test]
    fn a_slewed_clock_is_the_same_clock() {
        let mut calendar = Calendar::of(at(10, 1000));
        let slewed = Now { wall: Wall(1_010_900), ..at(20, 0) };
        assert_eq!(calendar.look(slewed), Look::Same);
        assert_eq!(within(&calendar, 1005, 1020, 30), (Truth::False, None));
    }

    #[test]
    fn after_a_step_what_the_two_times_say_differently_is_unknown_until_it_settles() {
        let mut calendar = Calendar::of(at(10, 1000));
        assert_eq!(calendar.look(at(20, 1110)), Look::Doubtful);
        assert_eq!(calendar.look(at(21, 1111)), Look::Same);
        assert_eq!(within(&calendar, 1005, 1020, 21), (Truth::Unknown, Some(30)));
        assert_eq!(within(&calendar, 1005, 2000, 21), (Truth::True, Some(910)));
        calendar.settle();
        assert_eq!(within(&calendar, 1005, 1020, 21), (Truth::False, None));
    }

    #[test]
    fn a_step_that_is_taken_back_leaves_no_doubt() {
        let mut calendar = Calendar::of(at(10, 1000));
        calendar.look(at(20, 5000));
        assert_eq!(calendar.look(at(21, 1011)), Look::Sure);
        assert_eq!(within(&calendar, 1005, 1020, 21), (Truth::True, Some(30)));
        calendar.settle();
        assert_eq!(within(&calendar, 1005, 1020, 21), (Truth::True, Some(30)));
    }

    #[test]
    fn times_beyond_all_reckoning_are_no_deadlines() {
        let calendar = Calendar::of(at(10, 1000));
        let (ever, never) = (Some(Wall(i64::MIN)), Some(Wall(i64::MAX)));
        assert_eq!(calendar.within(ever, never, Mono(0)), (Truth::True, None));
        assert_eq!(Calendar::of(Now { mono: Mono(u64::MAX), wall: Wall(i64::MIN) }).stepped, None);
    }
}
