//! What a driver counts of its own work, for `show sources`, the metrics and upstream `state`.
//!
//! One for each source, kept across the lives of its driver. A driver only counts; what the counts mean is
//! said by whoever shows them. Nothing here is read by a driver.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use riskgate_point::SourceId;

/// Distinct (place, reason) pairs that are kept apart: subscriptions of a feed times ways to be unusable.
/// What comes beyond is counted under one name, so that a hostile feed cannot fill the memory.
const SKIPS_MAX: usize = 256;

/// An example shows the shape of a payload; longer ones would fill the page. Control characters are left
/// out: it is shown on terminals.
const EXAMPLE_CHARS_MAX: usize = 400;

#[derive(Debug, Default)]
pub struct Tally {
    polls: AtomicU64,
    polls_failed: AtomicU64,
    polls_late: AtomicU64,
    connects: AtomicU64,
    round_trip_ns: AtomicU64,
    round_trip_max_ns: AtomicU64,
    skips: Mutex<BTreeMap<(String, &'static str), Skipped>>,
}

/// Those of all sources, each at its [`SourceId`]. A clone is the same ones.
#[derive(Debug, Clone, Default)]
pub struct Tallies(Arc<[Arc<Tally>]>);

impl Tallies {
    pub fn new(sources: usize) -> Self {
        Self((0..sources).map(|_| Arc::default()).collect())
    }

    /// Those of the sources, in the order of their ids.
    pub fn of(tallies: Vec<Arc<Tally>>) -> Self {
        Self(tallies.into())
    }

    pub fn get(&self, source: SourceId) -> Option<&Arc<Tally>> {
        self.0.get(usize::from(source.0))
    }
}

/// Something that came and could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Skipped {
    pub count: u64,
    /// The first one that was seen.
    pub example: String,
}

/// The counts at one moment, all since the source was last started: a reload that changes it starts it anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests for values that were answered (Modbus reads, OPC UA publishings, MQTT messages).
    pub polls: u64,
    pub polls_failed: u64,
    /// Cycles that began later than their period allows, or that were left out.
    pub polls_late: u64,
    /// Connections that came about.
    pub connects: u64,
    /// From a request to its answer: the newest, and the longest. Zero where nothing was measured.
    pub round_trip: Duration,
    pub round_trip_max: Duration,
    /// By place (a topic filter, a node) and reason.
    pub skips: BTreeMap<(String, &'static str), Skipped>,
}

impl Tally {
    pub fn polled(&self, round_trip: Option<Duration>) {
        self.polls.fetch_add(1, Ordering::Relaxed);
        if let Some(round_trip) = round_trip {
            let nanos = u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX);
            self.round_trip_ns.store(nanos, Ordering::Relaxed);
            self.round_trip_max_ns.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    pub fn poll_failed(&self) {
        self.polls_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub fn poll_late(&self) {
        self.polls_late.fetch_add(1, Ordering::Relaxed);
    }

    pub fn connected(&self) {
        self.connects.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what could not be used and returns how many there were of it, this one included. The example
    /// is made for the first only.
    pub fn skipped(&self, place: &str, reason: &'static str, example: impl FnOnce() -> String) -> u64 {
        let mut skips = self.skips.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (place.to_owned(), reason);
        if !skips.contains_key(&key) && skips.len() >= SKIPS_MAX {
            key = ("other".to_owned(), "other");
        }
        let skipped = skips.entry(key).or_insert_with(|| Skipped {
            count: 0,
            example: example().chars().filter(|c| !c.is_control()).take(EXAMPLE_CHARS_MAX).collect(),
        });
        skipped.count += 1;
        skipped.count
    }

    pub fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            polls: read(&self.polls),
            polls_failed: read(&self.polls_failed),
            polls_late: read(&self.polls_late),
            connects: read(&self.connects),
            round_trip: Duration::from_nanos(read(&self.round_trip_ns)),
            round_trip_max: Duration::from_nanos(read(&self.round_trip_max_ns)),
            skips: self.skips.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_keeps_its_first_example_and_counts_the_rest() {
        let tally = Tally::default();
        for (at, payload) in ["{", "}", "["].into_iter().enumerate() {
            let count = tally.skipped("plant/#", "not_json", || payload.to_owned());
            assert_eq!(count, at as u64 + 1);
        }
        let counts = tally.counts();
        let kept = counts.skips.get(&("plant/#".to_owned(), "not_json"));
        assert_eq!(kept, Some(&Skipped { count: 3, example: "{".to_owned() }));
    }

    #[test]
    fn no_feed_can_make_it_grow_without_end() {
        let tally = Tally::default();
        for place in 0..10_000 {
            tally.skipped(&format!("t/{place}"), "not_json", String::new);
        }
        let skips = tally.counts().skips;
        assert_eq!(skips.len(), SKIPS_MAX + 1);
        assert_eq!(skips.values().map(|skipped| skipped.count).sum::<u64>(), 10_000);
    }

    #[test]
    fn the_longest_round_trip_is_kept_beside_the_newest() {
        let tally = Tally::default();
        for ms in [5, 90, 7] {
            tally.polled(Some(Duration::from_millis(ms)));
        }
        let counts = tally.counts();
        assert_eq!(
            (counts.polls, counts.round_trip.as_millis(), counts.round_trip_max.as_millis()),
            (3, 7, 90)
        );
    }
}
