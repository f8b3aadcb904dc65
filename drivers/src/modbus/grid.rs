//! The fixed grid of times on which a device's cycles begin.
//!
//! Pure. A cycle that takes longer than the period does not push the grid: the next one begins at once,
//! what was missed in between is left out, and both are counted late. So cycles never pile up, and after an
//! overrun the device is in step again.

use std::time::Duration;

use tokio::time::Instant;

pub(super) struct Grid {
    next: Instant,
    period: Duration,
}

impl Grid {
    pub(super) fn new(first: Instant, period: Duration) -> Self {
        Self { next: first, period: period.max(Duration::from_nanos(1)) }
    }

    /// When the next cycle is to begin, and how many begin late or are left out for it.
    pub(super) fn following(&mut self, now: Instant) -> (Instant, u32) {
        let begins = self.next.max(now);
        let late = self.passed(now);
        self.next += self.period;
        (begins, late)
    }

    /// Nothing was to begin until now: the device did not answer, and was tried off the grid.
    pub(super) fn resume(&mut self, now: Instant) {
        if self.passed(now) > 0 {
            self.next += self.period;
        }
    }

    /// How many places on the grid lie before `now`. Moves to the last one that is not after it.
    fn passed(&mut self, now: Instant) -> u32 {
        let over = now.saturating_duration_since(self.next).as_nanos();
        let period = self.period.as_nanos();
        let whole = u32::try_from(over / period).unwrap_or(u32::MAX);
        self.next += self.period.saturating_mul(whole);
        u32::try_from(over.div_ceil(period)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cycles of these lengths in thousandths of the period: when each begins, and the late ones.
    fn check(lengths: &[u64], begins: &[u64], late: u32) {
        let (start, period) = (Instant::now(), Duration::from_secs(1));
        let mut grid = Grid::new(start, period);
        let mut now = start;
        let mut seen = Vec::new();
        let mut n_late = 0;
        for length in lengths {
            let (begin, missed) = grid.following(now);
            n_late += missed;
            seen.push(u64::try_from((begin - start).as_millis()).unwrap());
            now = begin + Duration::from_millis(*length);
        }
        assert_eq!((seen.as_slice(), n_late), (begins, late));
    }

    #[test]
    fn cycles_that_keep_their_period_begin_on_the_grid() {
        check(&[10, 900, 999, 1000, 5], &[0, 1000, 2000, 3000, 4000], 0);
    }

    #[test]
    fn an_overrun_is_followed_at_once_and_then_the_grid_holds_again() {
        check(&[10, 1200, 10, 10], &[0, 1000, 2200, 3000], 1);
    }

    #[test]
    fn what_a_long_cycle_covers_is_left_out_and_counted() {
        check(&[3500, 10, 10], &[0, 3500, 4000], 3);
        check(&[2000, 10], &[0, 2000], 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_comes_back_is_in_step_at_its_next_turn() {
        let start = Instant::now();
        let mut grid = Grid::new(start, Duration::from_secs(1));
        grid.following(start);
        let back = start + Duration::from_millis(7300);
        grid.resume(back);
        let (begins, late) = grid.following(back);
        assert_eq!((begins, late), (start + Duration::from_secs(8), 0));
    }
}
