//! The only place that reads clocks. Everything else is handed a [`Now`], or this function.

use riskgate_point::{Mono, Now, Wall};
use rustix::time::{ClockId, clock_gettime};

/// Time since boot begins here: what was read before the boot, and is in the history, has a place before it.
const BEFORE_BOOT_SECONDS: u64 = crate::history::refill::LOOK_BACK_MAX.as_secs() + 24 * 3600;

/// Both clocks, now. `mono` runs on through a suspend (CLOCK_BOOTTIME); `wall` is what the calendar says.
pub fn now() -> Now {
    let boot = clock_gettime(ClockId::Boottime);
    let real = clock_gettime(ClockId::Realtime);
    let seconds = u64::try_from(boot.tv_sec).unwrap_or(0).saturating_add(BEFORE_BOOT_SECONDS);
    let nanos = u64::try_from(boot.tv_nsec).unwrap_or(0);
    Now {
        mono: Mono(seconds.saturating_mul(1_000_000_000).saturating_add(nanos)),
        wall: Wall(real.tv_sec.saturating_mul(1_000).saturating_add(real.tv_nsec / 1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::now;

    #[test]
    fn time_since_boot_never_goes_back() {
        let first = now();
        assert!(now().mono >= first.mono);
    }
}
