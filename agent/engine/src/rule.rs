//! The state of one rule: normal, waiting for its on-delay, active, waiting for its off-delay.
//!
//! A pure machine over two three-valued answers, the rule's `when` and its `clear`. It asks nothing and
//! raises nothing: it says when an episode begins and ends, and when it wants to be looked at again.

use std::time::Duration;

use riskgate_point::Mono;

use crate::Truth;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Normal,
    /// `when` held, and was not seen to fail since.
    Pending {
        due: Mono,
    },
    Active,
    /// `clear` holds and `when` is known to fail, both without a break.
    Returning {
        due: Mono,
    },
}

/// What a look at the rule brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    None,
    /// An episode begins. `on_unknown`: the on-delay ran out while nobody knew.
    Begins {
        on_unknown: bool,
    },
    /// The episode ends.
    Ends,
}

impl Phase {
    pub(crate) fn is_active(self) -> bool {
        matches!(self, Self::Active | Self::Returning { .. })
    }

    /// When a delay runs out.
    pub(crate) fn due(self) -> Option<Mono> {
        match self {
            Self::Pending { due } | Self::Returning { due } => Some(due),
            Self::Normal | Self::Active => None,
        }
    }

    /// Whether a look at `at` leaves it as it is, whatever `clear` says.
    pub(crate) fn stays(self, when: Truth, at: Mono) -> bool {
        match self {
            Self::Normal => !when.is_true(),
            Self::Pending { due } => when != Truth::False && at < due,
            Self::Active => when != Truth::False,
            Self::Returning { .. } => false,
        }
    }

    /// Whether the rule counts as active: one that waits for its on-delay is known not to be.
    pub(crate) fn activity(self, when: Truth) -> Truth {
        match when {
            _ if self.is_active() => Truth::True,
            Truth::Unknown => Truth::Unknown,
            Truth::True | Truth::False => Truth::False,
        }
    }

    /// One look at `at`. A delay of zero begins and runs out in the same look.
    pub(crate) fn turn(
        &mut self,
        when: Truth,
        clear: Truth,
        at: Mono,
        on_delay: Duration,
        off_delay: Duration,
    ) -> Turn {
        if *self == Self::Normal && when.is_true() {
            *self = Self::Pending { due: at.after(on_delay) };
        }
        if let Self::Pending { due } = *self {
            return match when {
                Truth::False => self.becomes(Self::Normal, Turn::None),
                Truth::True | Truth::Unknown if due <= at => {
                    self.becomes(Self::Active, Turn::Begins { on_unknown: when == Truth::Unknown })
                }
                Truth::True | Truth::Unknown => Turn::None,
            };
        }
        // Where both hold `when` wins; unknown in either is not safe, and the off-delay begins anew.
        let safe = when == Truth::False && clear.is_true();
        if *self == Self::Active && safe {
            *self = Self::Returning { due: at.after(off_delay) };
        }
        if let Self::Returning { due } = *self {
            if !safe {
                return self.becomes(Self::Active, Turn::None);
            }
            if due <= at {
                return self.becomes(Self::Normal, Turn::Ends);
            }
        }
        Turn::None
    }

    fn becomes(&mut self, phase: Self, turn: Turn) -> Turn {
        *self = phase;
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Truth::{False, True, Unknown};

    const ON: Duration = Duration::from_nanos(10);
    const OFF: Duration = Duration::from_nanos(20);

    /// Feeds looks of (time, when, clear) and gives the turns that were not none, with their times.
    fn turns(looks: &[(u64, Truth, Truth)]) -> Vec<(u64, Turn)> {
        let mut phase = Phase::Normal;
        let look = |(at, when, clear): &(u64, Truth, Truth)| {
            let turn = phase.turn(*when, *clear, Mono(*at), ON, OFF);
            (turn != Turn::None).then_some((*at, turn))
        };
        looks.iter().filter_map(look).collect()
    }

    const KNOWN: Turn = Turn::Begins { on_unknown: false };

    #[test]
    fn it_fires_when_the_condition_held_for_the_whole_on_delay() {
        assert_eq!(turns(&[(0, True, False), (9, True, False), (10, True, False)]), [(10, KNOWN)]);
    }

    #[test]
    fn a_break_in_the_on_delay_begins_it_anew() {
        let looks =
            [(0, True, False), (5, False, True), (6, True, False), (10, True, False), (16, True, False)];
        assert_eq!(turns(&looks), [(16, KNOWN)]);
    }

    #[test]
    fn unknown_does_not_begin_an_on_delay() {
        assert_eq!(turns(&[(0, Unknown, Unknown), (50, Unknown, Unknown)]), []);
    }

    #[test]
    fn unknown_keeps_a_begun_on_delay_running_and_marks_what_fires() {
        let looks = [(0, True, False), (3, Unknown, Unknown), (10, Unknown, Unknown)];
        assert_eq!(turns(&looks), [(10, Turn::Begins { on_unknown: true })]);
    }

    #[test]
    fn unknown_that_clears_up_before_the_delay_ends_leaves_no_mark() {
        let looks = [(0, True, False), (3, Unknown, Unknown), (5, True, False), (10, True, False)];
        assert_eq!(turns(&looks), [(10, KNOWN)]);
    }

    #[test]
    fn it_returns_when_clear_held_for_the_whole_off_delay() {
        let looks =
            [(0, True, False), (10, True, False), (11, False, True), (30, False, True), (31, False, True)];
        assert_eq!(turns(&looks), [(10, KNOWN), (31, Turn::Ends)]);
    }

    #[test]
    fn unknown_stops_an_off_delay_and_it_begins_again_from_zero() {
        let looks = [
            (0, True, False),
            (10, True, False),
            (11, False, True),
            (20, Unknown, True),
            (31, False, True),
            (40, False, Unknown),
            (50, False, True),
            (69, False, True),
            (70, False, True),
        ];
        assert_eq!(turns(&looks), [(10, KNOWN), (70, Turn::Ends)]);
    }

    #[test]
    fn unknown_never_ends_an_episode() {
        let looks = [(0, True, False), (10, True, False), (11, Unknown, True), (99, Unknown, Unknown)];
        assert_eq!(turns(&looks), [(10, KNOWN)]);
    }

    #[test]
    fn where_when_and_clear_both_hold_when_wins() {
        let looks =
            [(0, True, True), (10, True, True), (60, True, True), (61, False, True), (81, False, True)];
        assert_eq!(turns(&looks), [(10, KNOWN), (81, Turn::Ends)]);
    }

    #[test]
    fn between_the_two_thresholds_an_active_rule_stays_active() {
        assert_eq!(turns(&[(0, True, False), (10, True, False), (99, False, False)]), [(10, KNOWN)]);
    }

    #[test]
    fn what_stays_is_left_as_it_is_by_a_look_whatever_clear_says() {
        let due = Mono(10);
        let all = [False, Unknown, True];
        for phase in [Phase::Normal, Phase::Pending { due }, Phase::Active, Phase::Returning { due }] {
            for (when, clear, at) in all.iter().flat_map(|when| {
                all.iter().flat_map(move |clear| [9, 10, 11].map(|at| (*when, *clear, Mono(at))))
            }) {
                if phase.stays(when, at) {
                    let mut after = phase;
                    let turn = after.turn(when, clear, at, ON, OFF);
                    assert_eq!((after, turn), (phase, Turn::None), "{when:?} {clear:?} {at:?}");
                }
            }
        }
        assert!(Phase::Active.stays(Unknown, due) && Phase::Pending { due }.stays(True, Mono(9)));
    }

    #[test]
    fn without_delays_one_look_is_enough() {
        let mut phase = Phase::Normal;
        let none = Duration::ZERO;
        assert_eq!(phase.turn(True, False, Mono(5), none, none), KNOWN);
        assert_eq!(phase.turn(False, True, Mono(6), none, none), Turn::Ends);
        assert_eq!(phase.due(), None);
    }
}
