//! Records of inspections (排查记录), and what the agent needs to know to write those of automatic measures: for
//! how long each could not be seen, and what stood in the cycle, though it may be over or gone by its end.
//!
//! A measure counts as not seen while any of what it hangs on is not: of three detectors, the one that is
//! dark watches a place that the other two do not. So it does while no rule judges it, or one of its rules is
//! out of service: what is read and not judged is not watched. While its unit is stopped nothing of it is
//! lost. Time that the agent was not there for is time that nobody saw.

use std::collections::BTreeMap;
use std::time::Duration;

use riskgate_point::{Mono, PointId, SourceId, Wall};
use serde::{Deserialize, Serialize};

use crate::plant::{Plant, Sight, version};
use crate::running::WatchedCycle;
use crate::{MeasureDraft, Period, SiteTime, TaskDraft};

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
    of_measure: BTreeMap<String, Vec<u32>>,
    /// How often a cycle had something new to tell.
    noted: u64,
}

/// How well the measure of a task was seen in its present cycle, and what stood in it.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) sight: Sight,
    pub(crate) measure: String,
    pub(crate) unit: String,
    /// What the cycles of the task hang on.
    pub(crate) version: String,
    /// What judges the measure.
    pub(crate) rules: Vec<String>,
    unseen_since: Option<Mono>,
    /// How long nobody could see it at first, once that is over.
    at_first: Option<Duration>,
    /// What the stretch that goes on had behind it when this engine, or its watching of the cycle, began.
    carried: Duration,
    unseen: Duration,
    longest: Duration,
    /// Some of that was because a rule was out of service.
    out_of_service: bool,
    stood: Stood,
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

/// Tasks of one version have the same cycles, of the same measure.
pub(crate) fn cycle_version(plant: &Plant, task: &TaskDraft) -> String {
    let TaskDraft { measure, cycle, months, start, hours, days, .. } = task;
    let SiteTime { zone, days: calendar } = plant.time();
    let calendar = calendar.iter().map(|(day, works)| format!("{day} {works}"));
    version(&[
        measure,
        &format!("{} {months:?} {start:?} {hours:?} {days:?}", cycle.as_nanos()),
        &format!("{zone:?}"),
        &calendar.collect::<Vec<_>>().join(" "),
    ])
}

/// What stood in a cycle at any time, of each kind the first: a record names one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stood {
    /// A rule of the measure whose episode was on.
    pub passed: Option<String>,
    /// A hazard of the measure, no candidate: what it said.
    #[serde(default)]
    pub hazard: Option<String>,
}

/// What is to be said of a cycle that is over.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) lost: Lost,
    pub(crate) stood: Stood,
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
            watches.of_measure.entry(measure.id.clone()).or_default().push(at);
            let of_measure = plant.rules().iter().filter(|rule| rule.measure() == Some(&*measure.id));
            let rules = of_measure.map(|rule| rule.id().to_owned()).collect();
            watches.all.insert(at, Watch::new(sight, measure, cycle_version(plant, task), rules));
        }
        watches
    }

    pub(crate) fn of_point(&self, point: PointId) -> Vec<u32> {
        self.of_point.get(&point).cloned().unwrap_or_default()
    }

    pub(crate) fn of_source(&self, source: SourceId) -> Vec<u32> {
        self.of_source.get(&source).cloned().unwrap_or_default()
    }

    pub(crate) fn of_measure(&self, measure: &str) -> Vec<u32> {
        self.of_measure.get(measure).cloned().unwrap_or_default()
    }

    /// Moves with each that is noted of what stood in a cycle.
    pub(crate) fn noted(&self) -> u64 {
        self.noted
    }

    /// An episode of a rule is on in the present cycle of a task.
    pub(crate) fn note_passed(&mut self, task: u32, rule: &str) {
        if let Some(watch) = self.all.get_mut(&task).filter(|watch| watch.stood.passed.is_none()) {
            watch.stood.passed = Some(rule.to_owned());
            self.noted += 1;
        }
    }

    /// A hazard is open in the present cycle of a task.
    pub(crate) fn note_open(&mut self, task: u32, words: &str) {
        if let Some(watch) = self.all.get_mut(&task).filter(|watch| watch.stood.hazard.is_none()) {
            watch.stood.hazard = Some(words.to_owned());
            self.noted += 1;
        }
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
    fn new(sight: Sight, measure: &MeasureDraft, version: String, rules: Vec<String>) -> Self {
        Self {
            sight,
            measure: measure.id.clone(),
            unit: measure.unit.clone(),
            version,
            rules,
            unseen_since: None,
            at_first: None,
            carried: Duration::ZERO,
            unseen: Duration::ZERO,
            longest: Duration::ZERO,
            out_of_service: false,
            stood: Stood::default(),
        }
    }

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

    /// Between two cycles: what was lost there, and what stood, is of neither.
    pub(crate) fn rest(&mut self) {
        self.stood = Stood::default();
        (self.unseen, self.longest, self.carried) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        self.out_of_service = false;
    }

    /// A cycle is watched from here on. What stood while nobody knew the time may be of it.
    pub(crate) fn begin(&mut self, at: Mono) {
        let stood = std::mem::take(&mut self.stood);
        self.rest();
        self.stood = stood;
        self.unseen_since = self.unseen_since.map(|_| at);
    }

    /// So much of the cycle was over before it was watched. What nobody can see now either is one stretch with that.
    pub(crate) fn missed(&mut self, before: Duration) {
        if self.unseen_since.is_some() {
            self.carried = before;
        } else {
            self.add(before);
        }
    }

    /// A rule of it is out of service: it is not watched.
    pub(crate) fn take_out(&mut self, at: Mono) {
        self.out_of_service = true;
        self.see(false, at);
    }

    /// One stretch of the cycle that nobody saw.
    fn add(&mut self, unseen: Duration) {
        self.unseen = self.unseen.saturating_add(unseen);
        self.longest = self.longest.max(unseen);
    }

    /// The cycle is over; the next one begins.
    pub(crate) fn end(&mut self, period: Period, at: Mono) -> Over {
        if let Some(since) = self.unseen_since.as_mut() {
            let from = std::mem::replace(since, at);
            let carried = std::mem::take(&mut self.carried);
            self.add(carried.saturating_add(at.since(from)));
        }
        let lost = self.unseen > period.length() / UNSEEN_PART || self.longest > UNSEEN_AT_ONCE;
        (self.unseen, self.longest) = (Duration::ZERO, Duration::ZERO);
        let lost = match (lost, std::mem::take(&mut self.out_of_service)) {
            (false, _) => Lost::Little,
            (true, false) => Lost::Sight,
            (true, true) => Lost::Rules,
        };
        Over { lost, stood: std::mem::take(&mut self.stood) }
    }

    /// What is counted of the present cycle, for the engine after this one.
    pub(crate) fn counted(&self, period: Period, at: Mono) -> WatchedCycle {
        let stretch = self.unseen_since.map(|since| self.carried.saturating_add(at.since(since)));
        WatchedCycle {
            period,
            version: self.version.clone(),
            unseen: self.unseen,
            longest: self.longest,
            stretch,
            out_of_service: self.out_of_service,
            stood: self.stood.clone(),
        }
    }

    /// Goes on with what an engine before this one had counted. For the time of `away`, up to when this engine
    /// `began`, nobody saw anything; that, what was not seen right before, and what could not be seen at first are
    /// one stretch. This engine may have counted for a while already: until its clock was set.
    pub(crate) fn go_on(&mut self, with: &WatchedCycle, away: Duration, began: Wall, now: Mono) {
        let before = with.stretch.unwrap_or_default().saturating_add(away);
        self.out_of_service |= with.out_of_service;
        // Of a cycle that was over before this engine began, nothing more is to be seen.
        if began >= with.period.end {
            (self.unseen, self.longest, self.carried) = (with.unseen, with.longest, Duration::ZERO);
            self.add(before);
            self.unseen_since = self.unseen_since.map(|_| now);
            self.stood = with.stood.clone();
            return;
        }
        let stood = std::mem::replace(&mut self.stood, with.stood.clone());
        self.stood.passed = self.stood.passed.take().or(stood.passed);
        self.stood.hazard = self.stood.hazard.take().or(stood.hazard);
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
        let Self { sight, measure: _, unit, version: _, rules, .. } = self;
        let (sight, unit) = (std::mem::take(sight), std::mem::take(unit));
        *self = Self { sight, unit, rules: std::mem::take(rules), ..from };
    }
}
