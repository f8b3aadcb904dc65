//! Indicators of the dual-prevention mechanism: 排查任务完成率, 隐患整改率 and 风险分析完成率, of the present week so far and
//! of the week before, each with what it was computed from.
//!
//! Weeks go from Monday to Monday in the site's zone. A cycle of a task counts once it is over: in time if a record
//! says so, and not at all where its unit was stopped or where no record of the task was ever told here. A hazard
//! counts once its deadline is reached, and as rectified once it is accepted, be it later. A rate of nothing is
//! none. What happened while the agent was not there is missing, and `covered_s` says how much was seen.

use std::collections::{BTreeMap, BTreeSet};

use riskgate_point::Wall;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::plant::Plant;
use crate::{AlarmQuality, CheckStatus, HazardRecord, HazardStage, Period};

/// Tasks and hazards that are told by name; all are counted.
const NAMED_MAX: usize = 200;

/// All of them at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndicatorRecord {
    /// The present week so far.
    pub week: WeekIndicators,
    /// The one before, as far as it was seen.
    pub last: Option<WeekIndicators>,
    pub analysis: Analysis,
    /// How good the alarms are (EEMUA 191).
    pub quality: AlarmQuality,
    /// Hazards that were accepted before their deadlines, which are still to come.
    #[serde(default)]
    pub early: BTreeMap<Uuid, Wall>,
    /// Deadlines up to here are counted.
    pub until: Wall,
    pub changed: Wall,
    pub revision: u64,
}

/// Of one week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeekIndicators {
    pub period: Period,
    /// How much of it the agent was there for.
    pub covered_s: u64,
    /// 排查任务完成率.
    pub tasks: TasksDone,
    /// 隐患整改率.
    pub hazards: HazardsMended,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TasksDone {
    /// Cycles that are over.
    pub due: u64,
    pub done: u64,
    /// Cycles in which the unit was stopped: nobody owed them.
    pub suspended: u64,
    /// Cycles of tasks of which no record was ever told here.
    pub unknown: u64,
    /// Cycles that nobody carried out in time, by task; at most 200 tasks.
    pub missed: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HazardsMended {
    /// Their deadline was in this week.
    pub due: u64,
    pub accepted: u64,
    /// Those of them that are not accepted; at most 200, of more only `due` tells.
    pub open: BTreeSet<Uuid>,
}

/// 风险分析完成率: objects whose chain reaches down to measures and tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Analysis {
    pub objects: u64,
    pub complete: u64,
    /// What the others lack first: a unit, an event, a measure or a task.
    pub lacking: BTreeMap<String, Lacks>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lacks {
    Unit,
    Measure,
    Event,
    Task,
}

/// How a cycle that is over went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cycle {
    Done,
    Missed,
    Suspended,
    Unknown,
}

impl Cycle {
    /// One that the agent recorded of its own: what was not seen was not carried out.
    pub(crate) fn of(status: CheckStatus) -> Self {
        match status {
            CheckStatus::Unchecked => Self::Missed,
            CheckStatus::Normal | CheckStatus::Hazard | CheckStatus::Other => Self::Done,
        }
    }
}

impl TasksDone {
    /// From 0 to 1; `None`: nothing was due.
    pub fn rate(&self) -> Option<f64> {
        rate(self.done, self.due)
    }
}

impl HazardsMended {
    /// From 0 to 1; `None`: no deadline was reached.
    pub fn rate(&self) -> Option<f64> {
        rate(self.accepted, self.due)
    }
}

impl Analysis {
    /// From 0 to 1; `None`: the plant has no objects.
    pub fn rate(&self) -> Option<f64> {
        rate(self.complete, self.objects)
    }

    /// Objects that no list names are those that units name.
    pub(crate) fn of(plant: &Plant) -> Self {
        let listed = plant.objects().iter().map(|object| object.id.as_str());
        let named =
            plant.units().iter().map(|unit| unit.hazard_code.as_str()).filter(|code| !code.is_empty());
        let objects: BTreeSet<&str> = listed.chain(named).collect();
        let tasks: BTreeSet<&str> = plant.tasks().iter().map(|task| task.measure.as_str()).collect();
        let mut of_unit: BTreeMap<&str, Option<Lacks>> =
            plant.units().iter().map(|unit| (unit.id.as_str(), Some(Lacks::Measure))).collect();
        for measure in plant.measures() {
            let lacks = match (measure.event.is_empty(), tasks.contains(&*measure.id)) {
                (true, _) => Some(Lacks::Event),
                (false, false) => Some(Lacks::Task),
                (false, true) => None,
            };
            // One measure of the unit that goes all the way down is enough.
            if let Some(of) = of_unit.get_mut(measure.unit.as_str()).filter(|of| of.is_some()) {
                *of = lacks.and_then(|lacks| of.map(|before| before.max(lacks)));
            }
        }
        let mut of_object: BTreeMap<&str, Option<Lacks>> =
            objects.iter().map(|object| (*object, Some(Lacks::Unit))).collect();
        let mut seen = BTreeSet::new();
        for unit in plant.units() {
            let lacks = of_unit.get(unit.id.as_str()).copied().flatten();
            if let Some(of) = of_object.get_mut(unit.hazard_code.as_str()) {
                // Each of its units has to.
                let before = of.filter(|_| !seen.insert(unit.hazard_code.as_str()));
                *of = before.into_iter().chain(lacks).min();
            }
        }
        let lacking = of_object.iter().filter_map(|(object, lacks)| Some(((*object).to_owned(), (*lacks)?)));
        let lacking: BTreeMap<String, Lacks> = lacking.collect();
        let (objects, incomplete) = (long(objects.len()), long(lacking.len()));
        Self { objects, complete: objects.saturating_sub(incomplete), lacking }
    }
}

impl WeekIndicators {
    pub(crate) fn of(period: Period) -> Self {
        let (tasks, hazards) = (TasksDone::default(), HazardsMended::default());
        Self { period, covered_s: 0, tasks, hazards }
    }

    fn due(&mut self, hazard: Uuid, accepted: bool) {
        self.hazards.due += 1;
        if accepted {
            self.hazards.accepted += 1;
        } else if self.hazards.open.len() < NAMED_MAX {
            self.hazards.open.insert(hazard);
        }
    }
}

impl IndicatorRecord {
    pub(crate) fn of(plant: &Plant, week: Period, at: Wall) -> Self {
        Self {
            week: WeekIndicators::of(week),
            last: None,
            analysis: Analysis::of(plant),
            quality: AlarmQuality::default(),
            early: BTreeMap::new(),
            until: at,
            changed: at,
            revision: 0,
        }
    }

    /// The present week is `week`: what is over becomes the last one, if it is the one before.
    pub(crate) fn turn(&mut self, week: Period) {
        // Something of the week before may be told after its end.
        if self.week.period == week || self.last.as_ref().is_some_and(|last| last.period == week) {
            return;
        }
        let over = std::mem::replace(&mut self.week, WeekIndicators::of(week));
        self.last = (over.period.end == week.start).then_some(over);
    }

    /// A cycle that ended at `end`.
    pub(crate) fn cycle(&mut self, task: &str, cycle: Cycle, end: Wall) {
        // At the very end of a week it is of that week.
        let inside = Wall(end.0.saturating_sub(1));
        let weeks = [Some(&mut self.week), self.last.as_mut()].into_iter().flatten();
        let Some(week) = weeks.into_iter().find(|week| week.period.holds(inside)) else { return };
        let of = &mut week.tasks;
        match cycle {
            Cycle::Done => (of.due, of.done) = (of.due + 1, of.done + 1),
            Cycle::Missed => {
                of.due += 1;
                if of.missed.len() < NAMED_MAX || of.missed.contains_key(task) {
                    *of.missed.entry(task.to_owned()).or_default() += 1;
                }
            }
            Cycle::Suspended => of.suspended += 1,
            Cycle::Unknown => of.unknown += 1,
        }
    }

    /// A person accepted a rectification.
    pub(crate) fn accepted(&mut self, hazard: &HazardRecord) {
        if hazard.deadline > self.until {
            self.early.insert(hazard.id, hazard.deadline);
        }
        for week in [Some(&mut self.week), self.last.as_mut()].into_iter().flatten() {
            if week.hazards.open.remove(&hazard.id) {
                week.hazards.accepted += 1;
            }
        }
    }

    /// Counts the hazards whose deadlines were reached since the last time. `newest`: of each cause.
    pub(crate) fn reach<'a>(&mut self, newest: impl Iterator<Item = &'a HazardRecord>, at: Wall) {
        let reached = |deadline: Wall| self.until < deadline && deadline <= at;
        let open = newest.filter(|of| match of.stage {
            HazardStage::Rectifying | HazardStage::AwaitingAcceptance => reached(of.deadline),
            HazardStage::Candidate | HazardStage::Rejected | HazardStage::Accepted => false,
        });
        let open: Vec<(Uuid, Wall, bool)> = open.map(|of| (of.id, of.deadline, false)).collect();
        let early = self.early.iter().filter(|(_, deadline)| **deadline <= at);
        let early: Vec<(Uuid, Wall, bool)> = early.map(|(id, deadline)| (*id, *deadline, true)).collect();
        self.early.retain(|_, deadline| *deadline > at);
        for (id, deadline, accepted) in open.into_iter().chain(early) {
            let weeks = [Some(&mut self.week), self.last.as_mut()].into_iter().flatten();
            if let Some(week) = weeks.into_iter().find(|week| week.period.holds(deadline)) {
                week.due(id, accepted);
            }
        }
        self.until = self.until.max(at);
    }
}

fn rate(part: u64, all: u64) -> Option<f64> {
    let small = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    (all > 0).then(|| small(part) / small(all))
}

fn long(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
