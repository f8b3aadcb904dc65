//! Records of inspections (排查记录), and what the agent needs to know to write those of automatic measures: for
//! how long each could not be seen.
//!
//! A measure counts as not seen while any of what it hangs on is not: of three detectors, the one that is
//! dark watches a place that the other two do not. Time that the agent was not there for is time that nobody
//! saw.

use std::collections::BTreeMap;
use std::time::Duration;

use riskgate_point::{Mono, PointId, SourceId};

use crate::Period;
use crate::plant::{Plant, Sight};

/// Of a cycle, the part that may go unseen, as one in so many.
const UNSEEN_PART: u32 = 20;
/// At once.
const UNSEEN_AT_ONCE: Duration = Duration::from_mins(10);

/// By the task's place in the plant; only tasks whose records the agent writes.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    all: BTreeMap<u32, Watch>,
    of_point: BTreeMap<PointId, Vec<u32>>,
    of_source: BTreeMap<SourceId, Vec<u32>>,
}

/// How well the measure of a task was seen in its present cycle.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) sight: Sight,
    unseen_since: Option<Mono>,
    unseen: Duration,
    longest: Duration,
}

impl Watches {
    pub(crate) fn of(plant: &Plant) -> Self {
        let mut watches = Self::default();
        for (at, task) in (0u32..).zip(plant.tasks()).filter(|(_, task)| plant.writes_records(task)) {
            let Some(measure) = plant.measure(&task.measure) else { continue };
            let sight = plant.sight(measure);
            for point in &sight.points {
                watches.of_point.entry(*point).or_default().push(at);
            }
            for source in &sight.sources {
                watches.of_source.entry(*source).or_default().push(at);
            }
            let (unseen, longest) = (Duration::ZERO, Duration::ZERO);
            watches.all.insert(at, Watch { sight, unseen_since: None, unseen, longest });
        }
        watches
    }

    pub(crate) fn of_point(&self, point: PointId) -> Vec<u32> {
        self.of_point.get(&point).cloned().unwrap_or_default()
    }

    pub(crate) fn of_source(&self, source: SourceId) -> Vec<u32> {
        self.of_source.get(&source).cloned().unwrap_or_default()
    }

    pub(crate) fn tasks(&self) -> Vec<u32> {
        self.all.keys().copied().collect()
    }

    pub(crate) fn get(&self, task: u32) -> Option<&Watch> {
        self.all.get(&task)
    }

    pub(crate) fn get_mut(&mut self, task: u32) -> Option<&mut Watch> {
        self.all.get_mut(&task)
    }
}

impl Watch {
    pub(crate) fn see(&mut self, seen: bool, at: Mono) {
        match (seen, self.unseen_since) {
            (true, Some(since)) => {
                self.add(at.since(since));
                self.unseen_since = None;
            }
            (false, None) => self.unseen_since = Some(at),
            (true, None) | (false, Some(_)) => {}
        }
    }

    /// One stretch of the cycle that nobody saw.
    pub(crate) fn add(&mut self, unseen: Duration) {
        self.unseen = self.unseen.saturating_add(unseen);
        self.longest = self.longest.max(unseen);
    }

    /// Whether too much of the cycle that is over was not seen; the next one begins.
    pub(crate) fn was_lost(&mut self, period: Period, at: Mono) -> bool {
        if let Some(since) = self.unseen_since.as_mut() {
            let (from, length) = (std::mem::replace(since, at), at);
            self.add(length.since(from));
        }
        let lost = self.unseen > period.length() / UNSEEN_PART || self.longest > UNSEEN_AT_ONCE;
        (self.unseen, self.longest) = (Duration::ZERO, Duration::ZERO);
        lost
    }
}
