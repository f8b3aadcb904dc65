//! NAMUR NE 43: what a current of a 4 to 20 mA loop says. Shared by all protocols.
//!
//! From 3.8 to 20.5 mA it measures. A little beyond, it is at its end. Below 3.6 or above 21 mA the
//! instrument says that it has failed, or the wire is cut; that is believed once it has lasted, because a
//! contact that bounces says the same for a moment. Pure: the time is that at which the reading came.

use std::time::Duration;

use riskgate_point::{BadReason, Mono, Quality, UncertainReason, Value};

const ZERO: f64 = 4.0;
const FULL: f64 = 20.0;
/// The range of a loop that is read for its current.
pub const MILLIAMPS: (f64, f64) = (ZERO, FULL);
const MEASURED_MIN: f64 = 3.8;
const MEASURED_MAX: f64 = 20.5;
const ALIVE_MIN: f64 = 3.6;
const ALIVE_MAX: f64 = 21.0;
/// How long a failure lasts until it is believed.
pub const HOLD: Duration = Duration::from_secs(4);

/// What is remembered of one loop between its readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loop {
    /// The first of the readings that say one after the other that it has failed.
    failed_since: Option<Mono>,
}

impl Loop {
    /// One reading. `range` is what 4 and 20 mA stand for, in eu.
    ///
    /// The value of a failure that has not lasted is that end of the range to which it points, so that it
    /// trips L or H as a reading at the end does.
    pub fn reading(&mut self, milliamps: f64, range: (f64, f64), received: Mono) -> (Option<Value>, Quality) {
        if !milliamps.is_finite() {
            return (None, Quality::Bad(BadReason::NotANumber));
        }
        let (low, high) = range;
        if (ALIVE_MIN..=ALIVE_MAX).contains(&milliamps) {
            self.failed_since = None;
        } else {
            let since = *self.failed_since.get_or_insert(received);
            if received.since(since) >= HOLD {
                return (None, Quality::Bad(BadReason::DeviceFailure));
            }
        }
        if milliamps < MEASURED_MIN {
            (Value::float(low), Quality::Uncertain(UncertainReason::UnderRange))
        } else if milliamps > MEASURED_MAX {
            (Value::float(high), Quality::Uncertain(UncertainReason::OverRange))
        } else {
            let value = low + (milliamps - ZERO) / (FULL - ZERO) * (high - low);
            (Value::float(value), Quality::Good)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RANGE: (f64, f64) = (0.0, 100.0);
    const OVER: Quality = Quality::Uncertain(UncertainReason::OverRange);
    const UNDER: Quality = Quality::Uncertain(UncertainReason::UnderRange);
    const FAILED: (Option<Value>, Quality) = (None, Quality::Bad(BadReason::DeviceFailure));

    fn at(millis: u64) -> Mono {
        Mono(millis * 1_000_000)
    }

    #[test]
    fn each_current_is_what_the_recommendation_says() {
        for (milliamps, value, quality) in [
            (4.0, 0.0, Quality::Good),
            (12.0, 50.0, Quality::Good),
            (20.0, 100.0, Quality::Good),
            (3.8, -1.25, Quality::Good),
            (20.5, 103.125, Quality::Good),
            (3.79, 0.0, UNDER),
            (3.6, 0.0, UNDER),
            (20.51, 100.0, OVER),
            (21.0, 100.0, OVER),
            // Not yet believed.
            (3.59, 0.0, UNDER),
            (0.0, 0.0, UNDER),
            (21.01, 100.0, OVER),
        ] {
            let read = Loop::default().reading(milliamps, RANGE, at(0));
            // From 3.8 mA on the last digits of a fraction are those of the arithmetic.
            let near = |read: f64| (read - value).abs() < 1e-9;
            assert!(read.0.and_then(|read| read.number()).is_some_and(near), "{milliamps} mA");
            assert_eq!(read.1, quality, "{milliamps} mA");
        }
    }

    #[test]
    fn a_failure_is_believed_once_it_has_lasted_four_seconds() {
        let mut state = Loop::default();
        assert_eq!(state.reading(3.5, RANGE, at(1_000)), (Value::float(0.0), UNDER));
        // From the lower to the upper end it is the same failure.
        assert_eq!(state.reading(22.0, RANGE, at(4_999)), (Value::float(100.0), OVER));
        assert_eq!(state.reading(3.5, RANGE, at(5_000)), FAILED);
        assert_eq!(state.reading(0.0, RANGE, at(60_000)), FAILED);
    }

    #[test]
    fn a_moment_of_life_begins_the_four_seconds_anew() {
        let mut state = Loop::default();
        state.reading(3.5, RANGE, at(0));
        assert_eq!(state.reading(3.6, RANGE, at(3_000)), (Value::float(0.0), UNDER));
        assert_eq!(state.reading(3.5, RANGE, at(4_500)), (Value::float(0.0), UNDER));
        assert_eq!(state.reading(12.0, RANGE, at(5_000)), (Value::float(50.0), Quality::Good));
        assert_eq!(state.reading(3.5, RANGE, at(9_000)), (Value::float(0.0), UNDER));
        assert_eq!(state.reading(3.5, RANGE, at(13_000)), FAILED);
    }

    #[test]
    fn no_current_at_all_is_no_reading_and_no_failure_of_the_instrument() {
        let mut state = Loop::default();
        for milliamps in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let not_a_number = (None, Quality::Bad(BadReason::NotANumber));
            assert_eq!(state.reading(milliamps, RANGE, at(0)), not_a_number);
        }
        assert_eq!(state, Loop::default());
    }

    proptest! {
        #[test]
        fn it_is_bad_exactly_where_every_reading_of_the_last_four_seconds_says_failed(
            readings in prop::collection::vec((0_u64..3_000, 3.0_f64..22.0), 1..40),
        ) {
            let mut state = Loop::default();
            let mut now = 0;
            let mut since: Option<u64> = None;
            for (later, milliamps) in readings {
                now += later;
                let failed = !(3.6..=21.0).contains(&milliamps);
                since = if failed { since.or(Some(now)) } else { None };
                let lasted = since.is_some_and(|since| now - since >= 4_000);
                let (value, quality) = state.reading(milliamps, RANGE, at(now));
                prop_assert_eq!(quality.is_bad(), lasted);
                prop_assert_eq!(value.is_none(), lasted);
            }
        }
    }
}
