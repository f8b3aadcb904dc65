//! How much may be under way to the broker and not acknowledged. Pure: times come in.
//!
//! It adapts to the link as TCP does to a path: each acknowledgement that comes in time lets a little more
//! go, and one that comes late halves it, once for all that was under way by then. So on a fast link the
//! bound never binds, and on a slow one a message that is urgent finds little in front of it.

use std::time::Duration;

/// An acknowledgement that took longer says that the link, or the broker, has more than it can carry.
const LATE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Window {
    limit: usize,
    least: usize,
    most: usize,
    /// Added for an acknowledgement in time.
    step: usize,
    /// What was handed over before then has been answered for by the last cut.
    cut: Option<Duration>,
}

impl Window {
    pub(super) fn new(least: usize, first: usize, most: usize, step: usize) -> Self {
        Self { limit: first.clamp(least, most), least, most, step, cut: None }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// What was handed over at `handed` is acknowledged now.
    pub(super) fn acknowledged(&mut self, handed: Duration, now: Duration) {
        if now.saturating_sub(handed) <= LATE {
            self.limit = (self.limit + self.step).min(self.most);
        } else if self.cut.is_none_or(|cut| handed >= cut) {
            self.limit = (self.limit / 2).max(self.least);
            self.cut = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn it_grows_while_acknowledgements_come_in_time_and_halves_once_for_those_that_are_late() {
        let mut window = Window::new(4, 16, 88, 1);
        window.acknowledged(millis(0), millis(1_000));
        assert_eq!(window.limit(), 17);
        // Four that were under way together are one sign, not four.
        for handed in 0..4 {
            window.acknowledged(millis(handed), millis(2_000 + handed));
        }
        assert_eq!(window.limit(), 8);
        window.acknowledged(millis(2_100), millis(3_200));
        assert_eq!(window.limit(), 4);
        window.acknowledged(millis(3_300), millis(4_500));
        assert_eq!(window.limit(), 4, "never nothing");
    }

    proptest! {
        #[test]
        fn it_stays_between_its_bounds(acknowledged in prop::collection::vec((0_u64..5_000, 0_u64..5_000), 0..300)) {
            let mut window = Window::new(4, 16, 88, 3);
            let mut now = millis(0);
            for (pause, took) in acknowledged {
                now += millis(pause);
                window.acknowledged(now.saturating_sub(millis(took)), now);
                prop_assert!((4..=88).contains(&window.limit()));
            }
        }
    }
}
