//! How long to wait before the next try: doubling from a shortest to a longest wait, with jitter.
//!
//! A value, not a sleep: the driver that owns it decides when it tries again and when a try has
//! succeeded. It reads no clock and draws its jitter from the seed it was given, so a test can replay it.

use std::time::Duration;

/// The waits between tries. The nth wait lies between half of `min * 2^n` and all of it, and that
/// ceiling is never over `max`: a hundred sources cut off at once do not come back at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    ceiling: Duration,
    jitter: fastrand::Rng,
}

impl Backoff {
    /// The first wait is at most `min`. Where `max` is below `min`, `min` is the longest wait too.
    pub fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Self { min, max: max.max(min), ceiling: min, jitter: fastrand::Rng::with_seed(seed) }
    }

    /// How long to wait now; the wait after it is up to twice as long.
    #[expect(clippy::should_implement_trait, reason = "it never ends, and a loop over it would be a bug")]
    pub fn next(&mut self) -> Duration {
        let half = self.ceiling / 2;
        let wait = half + half.mul_f64(self.jitter.f64());
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        wait
    }

    /// A try has succeeded: the next wait is short again.
    pub fn reset(&mut self) {
        self.ceiling = self.min;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_short_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), 7);
        for ceiling_ms in [100, 200, 400, 800, 1000, 1000, 1000] {
            let wait = backoff.next();
            let ceiling = Duration::from_millis(ceiling_ms);
            assert!(wait >= ceiling / 2 && wait <= ceiling, "{wait:?} of at most {ceiling:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(100));
    }

    #[test]
    fn two_seeds_do_not_wait_alike() {
        let waits = |seed| {
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30), seed);
            [backoff.next(), backoff.next(), backoff.next()]
        };
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(1), waits(1));
    }

    proptest! {
        #[test]
        fn no_wait_is_over_the_longest_however_often_it_fails(min_ms in 1_u64..100_000, max_ms in 1_u64..100_000, seed: u64, tries in 1_usize..200) {
            let (min, max) = (Duration::from_millis(min_ms), Duration::from_millis(max_ms));
            let mut backoff = Backoff::new(min, max, seed);
            for _ in 0..tries {
                let wait = backoff.next();
                prop_assert!(wait <= max.max(min));
                prop_assert!(wait >= min / 2);
            }
        }
    }
}
