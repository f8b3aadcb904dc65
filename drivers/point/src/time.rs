//! Two kinds of time. Judging runs on [`Mono`], which no one can set; stamps are [`Wall`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Time since boot, suspend included (CLOCK_BOOTTIME), in nanoseconds. Never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Mono(pub u64);

/// Milliseconds since 1970-01-01T00:00:00Z by the machine's calendar clock. May step either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Wall(pub i64);

/// The two clocks, read once for each turn of a loop and handed on as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Now {
    pub mono: Mono,
    pub wall: Wall,
}

impl Mono {
    /// Zero where `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Saturates: a deadline beyond 584 years is no deadline.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// Saturates at the boot of the machine.
    #[must_use]
    pub fn before(self, delay: Duration) -> Self {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }
}

impl Wall {
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        let millis = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

impl Now {
    /// Both clocks moved on by the same time, as tests and simulations do.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { mono: self.mono.after(delay), wall: self.wall.after(delay) }
    }
}
