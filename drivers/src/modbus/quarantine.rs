//! What is held against an address that the device refuses, and when it is asked for again.
//!
//! Pure. Exceptions 2 and 3 say that an address does not exist, and a controller that is just starting
//! says the same of addresses that do. So a refusal of a point alone is a suspicion only. It is proven by
//! a second one after another point of the same table was answered meanwhile; from then on the point is
//! asked for on a back-off of minutes. While a whole table is refused nothing of it is proven: one of its
//! points is asked for in each cycle, and the first answer sets free all that are only suspected.

use std::time::Duration;

use super::fault::Exception;
use crate::backoff::Backoff;

/// A request each minute is no load, and a point that was added to the device is soon there. In the end
/// one each hour: a dozen wrong rows cost as much in a day as one of the device's cycles.
const RETRY_MIN: Duration = Duration::from_secs(2 * 60);
const RETRY_MAX: Duration = Duration::from_secs(60 * 60);
/// After so many refusals without one answer the table itself is said to be refused, though not all of
/// its points have been asked for alone yet.
const REFUSALS_TOLD: u32 = 16;

/// A point, or points of the same registers, refused alone.
#[derive(Debug)]
pub(super) struct Held {
    /// The cycle of the first refusal, or of the last one that proved nothing.
    since: u64,
    proven: bool,
    refused_at: Duration,
    retry_at: Duration,
    backoff: Backoff,
}

/// What is known of one table of the device. Cycles count from 1.
#[derive(Debug, Default)]
pub(super) struct TableState {
    /// The last cycle in which something of it was answered; 0: none.
    answered: u64,
    /// The first cycle since then in which what had been well was refused, or the device was away. One in
    /// which nothing of it was due is none: points may be read in one of many cycles only.
    lost: Option<u64>,
    /// Refusals since then, and the last of them.
    refusals: u32,
    last: Option<Exception>,
    told: bool,
}

impl Held {
    pub(super) fn new(cycle: u64, now: Duration, seed: u64) -> Self {
        let backoff = Backoff::new(RETRY_MIN, RETRY_MAX, seed);
        Self { since: cycle, proven: false, refused_at: now, retry_at: now, backoff }
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    /// It did not answer by itself: that proves nothing of its address. It is not asked for more often for it.
    pub(super) fn miss(&mut self, now: Duration) {
        self.refused_at = now;
        self.retry_at = now.saturating_add(self.backoff.next());
    }

    /// Was refused again. True: that is the proof.
    pub(super) fn refuse(&mut self, table: &TableState, now: Duration) -> bool {
        let proves = !self.proven && table.answered > self.since;
        self.proven |= proves;
        self.refused_at = now;
        if self.proven {
            self.retry_at = now.saturating_add(self.backoff.next());
        }
        proves
    }

    /// Is to be asked for in this cycle. What is only suspected is, as soon as the table answers; asked
    /// for in the cycle of the suspicion it would prove no more than that the device was starting then.
    pub(super) fn is_due(&self, table: &TableState, now: Duration) -> bool {
        if self.proven { now >= self.retry_at } else { table.answered > self.since }
    }

    /// Is only suspected, since a cycle before this one.
    pub(super) fn is_released_in(&self, cycle: u64) -> bool {
        !self.proven && self.since < cycle
    }

    /// The device was away: it may be another one, or differently set up. Not sooner than after the
    /// shortest wait, so that a link that comes and goes does not turn the back-off into a poll.
    pub(super) fn hasten(&mut self) {
        self.retry_at = self.retry_at.min(self.refused_at.saturating_add(RETRY_MIN));
    }
}

impl TableState {
    /// Something of it was answered. True: after at least one whole cycle in which it had the chance and none
    /// was.
    pub(super) fn answer(&mut self, cycle: u64) -> bool {
        let again = self.lost.take().is_some_and(|lost| lost < cycle);
        self.answered = cycle;
        self.refusals = 0;
        self.told = false;
        again
    }

    pub(super) fn refuse(&mut self, exception: Exception) {
        self.refusals = self.refusals.saturating_add(1);
        self.last = Some(exception);
    }

    /// What was well of it is refused, or the whole device is away. What was refused before and is so again
    /// says nothing of the others.
    pub(super) fn miss(&mut self, cycle: u64) {
        if self.answered < cycle {
            self.lost.get_or_insert(cycle);
        }
    }

    pub(super) fn has_answered(&self) -> bool {
        self.answered > 0
    }

    /// Once for each time that the whole table is refused. `dark`: each of its points is held.
    pub(super) fn tell_refused(&mut self, dark: bool) -> Option<Exception> {
        let refused = self.refusals > 0 && (dark || self.refusals >= REFUSALS_TOLD);
        let tell = !self.told && refused;
        self.told |= tell;
        self.last.filter(|_| tell)
    }
}
