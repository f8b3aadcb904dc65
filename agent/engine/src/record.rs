//! Records of inspections (排查记录), and what the agent needs to know to write those of automatic measures: for
//! how long each could not be seen.
//!
//! A measure counts as not seen while any of what it hangs on is not: of three detectors, the one that is
//! dark watches a place that the other two do not. Time that the agent was not there for is time that nobody
//! saw; and a measure all of whose rules a person has taken out of service is watched by nobody.

use std::collections::BTreeMap;
use std::time::Duration;

use riskgate_point::{Mono, PointId, SourceId, Wall};

use crate::Period;
use crate::plant::{Plant, Rule, Sight};
use crate::running::WatchedCycle;

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
    /// Those of its measure, by their places in the plant.
    pub(crate) rules: Vec<u32>,
    unseen_since: Option<Mono>,
    /// How long nobody could see it at first, once that is over.
    at_first: Option<Duration>,
    /// What the stretch that goes on had behind it when this engine began.
    carried: Duration,
    unseen: Duration,
    longest: Duration,
    /// Some of that was because none of its rules was in service.
    out_of_service: bool,
}

/// How much of a cycle was not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// So little that it counts for nothing.
    Little,
    Sight,
    /// At least a part of it to rules that were out of service.
    Rules,
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
            let (carried, unseen, longest) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
            let (unseen_since, at_first) = (None, None);
            let out_of_service = false;
            let of_measure = |of: &Rule| of.measure() == Some(&*measure.id);
            let rules = (0u32..).zip(plant.rules()).filter(|(_, rule)| of_measure(rule));
            let rules = rules.map(|(at, _)| at).collect();
            let watch =
                Watch { sight, rules, unseen_since, at_first, carried, unseen, longest, out_of_service };
            watches.all.insert(at, watch);
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

    pub(crate) fn take(&mut self, task: u32) -> Option<Watch> {
        self.all.remove(&task)
    }
}

impl Watch {
    pub(crate) fn see(&mut self, seen: bool, at: Mono) {
        match (seen, self.unseen_since) {
            (true, Some(since)) => {
                let unseen = at.since(since);
                self.at_first.get_or_insert(unseen);
                let carried = std::mem::take(&mut self.carried);
                self.add(carried.saturating_add(unseen));
                self.unseen_since = None;
            }
            (false, None) => self.unseen_since = Some(at),
            (true, None) => {
                self.at_first.get_or_insert(Duration::ZERO);
            }
            (false, Some(_)) => {}
        }
    }

    /// None of its rules is in service: it cannot be seen.
    pub(crate) fn take_out(&mut self, at: Mono) {
        self.out_of_service = true;
        self.see(false, at);
    }

    /// One stretch of the cycle that nobody saw.
    pub(crate) fn add(&mut self, unseen: Duration) {
        self.unseen = self.unseen.saturating_add(unseen);
        self.longest = self.longest.max(unseen);
    }

    /// Whether too much of the cycle that is over was not seen; the next one begins.
    pub(crate) fn was_lost(&mut self, period: Period, at: Mono) -> Lost {
        if let Some(since) = self.unseen_since.as_mut() {
            let from = std::mem::replace(since, at);
            let carried = std::mem::take(&mut self.carried);
            self.add(carried.saturating_add(at.since(from)));
        }
        let lost = self.unseen > period.length() / UNSEEN_PART || self.longest > UNSEEN_AT_ONCE;
        (self.unseen, self.longest) = (Duration::ZERO, Duration::ZERO);
        match (lost, std::mem::take(&mut self.out_of_service)) {
            (false, _) => Lost::Little,
            (true, false) => Lost::Sight,
            (true, true) => Lost::Rules,
        }
    }

    /// What is counted of the present cycle, for the engine after this one.
    pub(crate) fn counted(&self, period: Period, at: Mono) -> WatchedCycle {
        let stretch = self.unseen_since.map(|since| self.carried.saturating_add(at.since(since)));
        let Self { unseen, longest, out_of_service, .. } = *self;
        WatchedCycle { period, unseen, longest, stretch, out_of_service }
    }

    /// Goes on with what an engine before this one had counted up to `at`. Between that and `began`, when this
    /// engine did, nobody saw anything; that, what was not seen right before, and what could not be seen at first are
    /// one stretch. This engine may have counted for a while already: until its clock was set.
    pub(crate) fn go_on(&mut self, with: &WatchedCycle, at: Wall, began: Wall, now: Mono) {
        let away = Period { start: at, end: began.min(with.period.end) }.length();
        let before = with.stretch.unwrap_or_default().saturating_add(away);
        self.out_of_service |= with.out_of_service;
        // Of a cycle that was over before this engine began, nothing more is to be seen.
        if began >= with.period.end {
            (self.unseen, self.longest, self.carried) = (with.unseen, with.longest, Duration::ZERO);
            self.add(before);
            self.unseen_since = self.unseen_since.map(|_| now);
            return;
        }
        self.unseen = self.unseen.saturating_add(with.unseen);
        self.longest = self.longest.max(with.longest);
        match self.at_first {
            // It goes on.
            None if self.unseen_since.is_some() => self.carried = before,
            at_first => {
                self.unseen = self.unseen.saturating_add(before);
                self.longest = self.longest.max(before.saturating_add(at_first.unwrap_or_default()));
            }
        }
    }

    /// The same under another plant, or another sight of the same measure.
    pub(crate) fn take_over(&mut self, from: Self) {
        let (sight, rules) = (std::mem::take(&mut self.sight), std::mem::take(&mut self.rules));
        *self = Self { sight, rules, ..from };
    }
}
