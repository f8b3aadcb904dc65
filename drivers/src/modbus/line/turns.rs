//! Whose turn it is to try a device that does not answer, on a line that others share.
//!
//! Each such try costs the others up to a timeout, and a reconnect after it. So the silent ones of a line
//! take turns, in the order of asking, and after one that was in vain the line is the others' for a while.
//! Where no other device lives on the line nobody is waited for. A try that succeeds costs nothing.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as FairMutex;
use tokio::time::{Instant, sleep_until};

/// Requests of the others that are answered between two tries in vain, at least...
const ANSWERS_BETWEEN: u64 = 10;
/// ...and so many times the try itself: the silent ones take no more than a tenth of the line's time.
const REST_FACTOR: u32 = 9;
/// After so long a try harms nobody, however seldom the others ask.
const REST_MAX: Duration = Duration::from_secs(60);
/// How often to look whether the others have had their answers.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(super) struct Turns {
    /// Held for a whole try, so that there is one at a time.
    rest: FairMutex<Option<Rest>>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Devices whose last request was answered.
    living: BTreeSet<u8>,
    answers: u64,
}

struct Rest {
    from: Instant,
    until: Instant,
    answers: u64,
}

impl Turns {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of one request of a device.
    pub(super) fn note(&self, device_id: u8, answered: bool) {
        let mut seen = self.seen();
        if answered {
            seen.living.insert(device_id);
            seen.answers += 1;
        } else {
            seen.living.remove(&device_id);
        }
    }

    /// Waits for the turn, then tries. `attempt` says whether it succeeded, and how long it held the line.
    /// Cancel-safe: a cancelled try leaves the turn to the next.
    pub(super) async fn take<T>(
        &self,
        device_id: u8,
        attempt: impl Future<Output = (T, bool, Duration)>,
    ) -> T {
        let mut rest = self.rest.lock().await;
        while let Some(resting) = rest.as_ref() {
            if !self.harms_others(device_id) || resting.is_over(self.seen().answers) {
                break;
            }
            let look = Instant::now() + LOOK_EVERY;
            sleep_until(look.max(resting.until)).await;
        }
        let (outcome, succeeded, took) = attempt.await;
        let now = Instant::now();
        *rest = (!succeeded).then(|| Rest {
            from: now,
            until: now + took.saturating_mul(REST_FACTOR).min(REST_MAX),
            answers: self.seen().answers,
        });
        outcome
    }

    fn harms_others(&self, device_id: u8) -> bool {
        self.seen().living.iter().any(|living| *living != device_id)
    }
}

impl Rest {
    fn is_over(&self, answers: u64) -> bool {
        let now = Instant::now();
        let served = answers.saturating_sub(self.answers) >= ANSWERS_BETWEEN;
        now >= self.until && (served || now.duration_since(self.from) >= REST_MAX)
    }
}
