//! How fast readings of the past go. Pure: times come in.
//!
//! As configured, else ten times what the plant tells now, and never under a floor: a backlog of a day is
//! gone in two hours and a half, and the live readings find the link free.

use std::time::Duration;

/// The rate of the backlog, as a multiple of the live one.
const TIMES_LIVE: u64 = 10;

/// Readings each second that go in any case: a plant that stands still drains as well.
const FLOOR: u64 = 1_000;

/// Weight of the newest second in the mean of the live rate: an eighth.
const MEAN_OF: u64 = 8;

#[derive(Debug)]
pub(super) struct Drain {
    configured: Option<u64>,
    /// Live readings each second, times [`MEAN_OF`].
    live: u64,
    this_second: u64,
    second_began: Duration,
    /// Readings that may go, in thousandths. Below zero after a message that was larger than that.
    tokens: i64,
    filled: Duration,
}

impl Drain {
    pub(super) fn new(configured: Option<u32>) -> Self {
        Self {
            configured: configured.map(u64::from),
            live: 0,
            this_second: 0,
            second_began: Duration::ZERO,
            tokens: 0,
            filled: Duration::ZERO,
        }
    }

    /// Readings each second.
    pub(super) fn rate(&self) -> u64 {
        self.configured.unwrap_or_else(|| (self.live / MEAN_OF * TIMES_LIVE).max(FLOOR))
    }

    /// So many live readings came.
    pub(super) fn live(&mut self, readings: u64, now: Duration) {
        let elapsed = now.saturating_sub(self.second_began).as_secs();
        for second in 0..elapsed.min(MEAN_OF * 4) {
            let came = if second == 0 { std::mem::take(&mut self.this_second) } else { 0 };
            self.live = self.live - self.live / MEAN_OF + came;
        }
        if elapsed > 0 {
            self.second_began = now;
        }
        self.this_second = self.this_second.saturating_add(readings);
    }

    /// Whether some may go now.
    pub(super) fn is_open(&mut self, now: Duration) -> bool {
        let passed = i64::try_from(now.saturating_sub(self.filled).as_millis()).unwrap_or(i64::MAX);
        let rate = i64::try_from(self.rate()).unwrap_or(i64::MAX);
        // One second's worth at most is saved up.
        let full = rate.saturating_mul(1_000);
        self.tokens = self.tokens.saturating_add(passed.saturating_mul(rate)).min(full);
        self.filled = now;
        self.tokens > 0
    }

    /// So many went.
    pub(super) fn went(&mut self, readings: u64) {
        let readings = i64::try_from(readings).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_sub(readings.saturating_mul(1_000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Readings that went in so many seconds, in messages of `size`, by steps of 10 ms.
    fn drained(drain: &mut Drain, from: u64, seconds: u64, size: u64) -> u64 {
        let mut went = 0;
        for step in 0..seconds * 100 {
            while drain.is_open(millis(from + step * 10)) {
                drain.went(size);
                went += size;
            }
        }
        went
    }

    #[test]
    fn a_configured_rate_is_kept_over_time_whatever_the_size_of_a_message() {
        for size in [1, 100, 1_500] {
            let went = drained(&mut Drain::new(Some(1_000)), 0, 20, size);
            assert!((19_000..=22_000).contains(&went), "{went} in messages of {size}");
        }
    }

    #[test]
    fn without_one_it_is_ten_times_the_live_rate_and_at_least_a_thousand() {
        let mut drain = Drain::new(None);
        assert_eq!(drain.rate(), FLOOR);
        for second in 0..60 {
            drain.live(5_000, millis(second * 1_000));
        }
        assert!((45_000..=50_000).contains(&drain.rate()), "{}", drain.rate());
        drain.live(0, millis(200_000));
        assert_eq!(drain.rate(), FLOOR, "the plant stands still");
    }
}
