//! How long an acknowledged row has been kept: by the time that passed while the agent ran, not by the calendar.
//!
//! A clock that jumps a year ahead must not take away what a receiver may ask for again, and one that was in 1970
//! until it was set must not make rows of a minute ago look like old ones. So rows are stamped by a clock of the
//! store's own, which goes on from its newest stamp: by what the calendar moved between two looks, never back, and
//! at most [`STRIDE_MAX`] at a time. What it misses, as the time that the agent is not running, only keeps rows
//! longer; the bounds on rows and bytes hold all the same.

use std::time::Duration;

use riskgate_point::Wall;
use rusqlite::Connection;

use super::{StoreError, sql};

/// Looks come with commits and acknowledgements, minutes apart in a living plant. A step of the clock costs at most
/// so much of the 30 days.
const STRIDE_MAX: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(super) struct Age {
    /// `None`: nothing was ever stamped.
    at: Option<Wall>,
    seen: Option<Wall>,
}

impl Age {
    pub(super) fn read(connection: &Connection) -> Result<Self, StoreError> {
        let query = "SELECT max(sent_at) FROM outbox WHERE sent_at IS NOT NULL";
        let at: Option<i64> =
            connection.query_row(query, [], |row| row.get(0)).map_err(sql("read the newest stamp"))?;
        Ok(Self { at: at.map(Wall), seen: None })
    }

    /// The store's own time, when the calendar says `wall`.
    pub(super) fn on(&mut self, wall: Wall) -> Wall {
        let most = i64::try_from(STRIDE_MAX.as_millis()).unwrap_or(i64::MAX);
        let passed = self.seen.map_or(0, |seen| wall.0.saturating_sub(seen.0)).clamp(0, most);
        self.seen = Some(wall);
        let at = Wall(self.at.unwrap_or(wall).0.saturating_add(passed));
        self.at = Some(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const YEAR: i64 = 365 * 24 * HOUR;

    #[test]
    fn it_goes_with_the_calendar_and_takes_no_part_in_its_steps() {
        // 2028-02-28T12:00Z: a leap day lies ahead.
        let start = 1_835_352_000_000;
        let mut age = Age::default();
        assert_eq!(age.on(Wall(start)), Wall(start));
        for hour in 1..=72 {
            assert_eq!(age.on(Wall(start + hour * HOUR)), Wall(start + hour * HOUR));
        }
        let before = age.on(Wall(start + 72 * HOUR)).0;
        // A year ahead and back again; then before 2020, and set right.
        assert_eq!(age.on(Wall(start + YEAR)), Wall(before + HOUR));
        assert_eq!(age.on(Wall(start + 72 * HOUR)), Wall(before + HOUR));
        assert_eq!(age.on(Wall(0)), Wall(before + HOUR));
        assert_eq!(age.on(Wall(60_000)), Wall(before + HOUR + 60_000));
        assert_eq!(age.on(Wall(start + 73 * HOUR)), Wall(before + 2 * HOUR + 60_000));
    }
}
