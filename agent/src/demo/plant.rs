//! The simulated plant: one model of its values, driven by the scenario, read by three servers.
//!
//! [`Plant::turn`] writes every value at once, as a controller's cycle does, and notes when a value that
//! the scenario waits for was written: that is the time from which the report counts. The servers only
//! read what was written last. It knows no protocol, and nothing of limits but the scenario's own.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use riskgate_drivers::Clock;
use riskgate_point::{Mono, Now};

use super::scenario::{Change, Scenario, Sight};

/// The plant's cycle. Short against the fastest poll (50 ms), so that a read sees what a controller would.
const CYCLE: Duration = Duration::from_millis(10);

/// Gas detectors: beside each value a word of state at `{tag}.S`.
const DETECTORS: &[&str] = &["GD-101", "GD-102", "GD-103"];

pub(super) struct Plant {
    scenario: &'static Scenario,
    speed: u32,
    clock: Clock,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    start: Option<Mono>,
    /// By tag. A detector that failed has none.
    values: HashMap<String, f64>,
    at: Now,
    /// The scenario's changes that were written, and when.
    changes: Vec<(Change, Now)>,
    /// Sources that somebody has read.
    read: BTreeSet<&'static str>,
}

impl Plant {
    /// At rest at the scenario's first second until [`Plant::begin`].
    pub(super) fn new(scenario: &'static Scenario, speed: u32, clock: Clock) -> Arc<Self> {
        let plant = Self { scenario, speed, clock, written: Mutex::default() };
        plant.turn();
        Arc::new(plant)
    }

    // A poisoned lock means that a reader panicked: what is written is whole.
    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn scenario(&self) -> &'static Scenario {
        self.scenario
    }

    /// By the plant's clock.
    pub(super) fn now(&self) -> Now {
        (self.clock)()
    }

    /// The scenario starts. Its first second is now.
    pub(super) fn begin(&self) -> Now {
        let now = (self.clock)();
        self.lock().start = Some(now.mono);
        now
    }

    /// The second of the scenario; 0 before it began.
    pub(super) fn second(&self) -> f64 {
        let now = (self.clock)();
        self.second_at(self.lock().start, now)
    }

    fn second_at(&self, start: Option<Mono>, now: Now) -> f64 {
        start.map_or(0.0, |start| now.mono.since(start).as_secs_f64() * f64::from(self.speed))
    }

    /// One cycle: every value is written.
    pub(super) fn turn(&self) {
        let now = (self.clock)();
        let mut written = self.lock();
        let second = self.second_at(written.start, now);
        for curve in self.scenario.curves {
            let value = if self.scenario.failed(curve.tag, second) {
                None
            } else {
                self.scenario.value(curve.tag, second)
            };
            written.set(curve.tag.to_owned(), value);
        }
        for tag in DETECTORS {
            let state = state_of(written.values.get(*tag).copied());
            written.set(format!("{tag}.S"), Some(state));
        }
        written.at = now;
        for expected in self.scenario.expected() {
            let happened = match expected.change {
                Change::Above(tag, limit) => written.values.get(tag).is_some_and(|value| *value >= limit),
                Change::Failed(tag) => self.scenario.failed(tag, second),
                // Told by the cameras' sender, with `note_sight`.
                Change::Seen(..) => false,
            };
            if happened {
                written.note(expected.change, now);
            }
        }
    }

    /// The value written last, and when; `None` for a detector that failed and for a tag that is not here.
    pub(super) fn value(&self, tag: &str) -> Option<(f64, Now)> {
        let written = self.lock();
        written.values.get(tag).map(|value| (*value, written.at))
    }

    /// A camera reports, now: the cycle does not see that.
    pub(super) fn note_sight(&self, sight: &Sight) {
        let now = (self.clock)();
        for expected in self.scenario.expected() {
            if expected.change.is_sight(sight) {
                self.lock().note(expected.change, now);
            }
        }
    }

    pub(super) fn changed(&self, change: Change) -> Option<Now> {
        self.lock().changes.iter().find(|(known, _)| *known == change).map(|(_, at)| *at)
    }

    /// Somebody reads or is subscribed to this source.
    pub(super) fn note_read(&self, source: &'static str) {
        self.lock().read.insert(source);
    }

    /// Which of these sources nobody has read so far.
    pub(super) fn unread(&self, sources: &[&'static str]) -> Vec<&'static str> {
        let written = self.lock();
        sources.iter().copied().filter(|source| !written.read.contains(source)).collect()
    }

    /// Turns until it is dropped.
    pub(super) async fn run(self: Arc<Self>) {
        let mut cycle = tokio::time::interval(CYCLE);
        cycle.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            cycle.tick().await;
            self.turn();
        }
    }
}

impl Written {
    fn set(&mut self, tag: String, value: Option<f64>) {
        match value {
            Some(value) => self.values.insert(tag, value),
            None => self.values.remove(&tag),
        };
    }

    fn note(&mut self, change: Change, now: Now) {
        if !self.changes.iter().any(|(known, _)| *known == change) {
            self.changes.push((change, now));
        }
    }
}

/// 0 normal, 1 first alarm, 2 second alarm, 3 fault: as a gas controller's status register says it.
fn state_of(value: Option<f64>) -> f64 {
    match value {
        None => 3.0,
        Some(value) if value >= 50.0 => 2.0,
        Some(value) if value >= 25.0 => 1.0,
        Some(_) => 0.0,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use riskgate_point::Wall;

    use super::*;
    use crate::demo::scenario::DEMO;

    thread_local! {
        static MILLIS: Cell<u64> = const { Cell::new(0) };
    }

    fn clock() -> Now {
        let millis = MILLIS.get();
        Now {
            mono: Mono(millis * 1_000_000),
            wall: Wall(1_700_000_000_000 + i64::try_from(millis).expect("small")),
        }
    }

    fn at(second: f64) {
        MILLIS.set(u64::try_from(Duration::from_secs_f64(second).as_millis()).expect("small"));
    }

    #[test]
    fn a_change_is_noted_once_at_the_cycle_that_wrote_it() {
        at(0.0);
        let plant = Plant::new(&DEMO, 1, clock);
        at(100.0);
        plant.begin();
        at(114.0);
        plant.turn();
        let level = Change::Above("LT-101", 85.0);
        assert_eq!(plant.changed(level), None);
        at(115.0);
        plant.turn();
        let noted = plant.changed(level);
        assert_eq!(noted, Some(clock()));
        at(120.0);
        plant.turn();
        assert_eq!(plant.changed(level), noted);
    }

    #[test]
    fn before_it_begins_the_plant_rests_and_speed_counts_from_the_beginning() {
        at(0.0);
        let plant = Plant::new(&DEMO, 4, clock);
        at(500.0);
        plant.turn();
        assert!(plant.value("SIS-201").is_some_and(|(trip, _)| trip == 0.0));
        plant.begin();
        at(512.9);
        plant.turn();
        assert!(plant.value("SIS-201").is_some_and(|(trip, _)| trip == 0.0));
        at(513.0);
        plant.turn();
        assert!(plant.value("SIS-201").is_some_and(|(trip, _)| trip == 1.0));
    }

    #[test]
    fn a_failed_detector_has_no_value_and_says_fault() {
        at(0.0);
        let plant = Plant::new(&DEMO, 1, clock);
        plant.begin();
        assert!(plant.value("GD-103").is_some());
        at(38.0);
        plant.turn();
        assert!(plant.value("GD-103").is_none());
        assert!(plant.value("GD-103.S").is_some_and(|(state, _)| state == 3.0));
        assert!(plant.changed(Change::Failed("GD-103")).is_some());
    }
}
