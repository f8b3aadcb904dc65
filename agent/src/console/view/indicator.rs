//! 排查任务完成率, 隐患整改率 and 风险分析完成率 as people see them.

use std::collections::BTreeMap;

use riskgate_engine::{Lacks, WeekIndicators};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::render::Render;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndicatorView {
    /// The present week so far.
    pub week: WeekView,
    pub last_week: Option<WeekView>,
    pub analysis: RateView,
    /// What of the chain each object lacks first.
    pub lacking: BTreeMap<String, Lacks>,
    pub changed: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeekView {
    pub start: String,
    pub end: String,
    /// What of it the agent was there for.
    pub covered_s: u64,
    pub tasks: RateView,
    /// Cycles that nobody owed, for their unit was stopped.
    pub suspended: u64,
    /// Cycles of tasks of which no record was ever told here.
    pub unknown: u64,
    /// Cycles that nobody carried out in time, by task.
    pub missed: BTreeMap<String, u64>,
    pub hazards: RateView,
    /// Past their deadline and not accepted.
    pub open: Vec<Uuid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RateView {
    pub part: u64,
    pub of: u64,
    /// From 0 to 1; `None`: of nothing.
    pub rate: Option<f64>,
}

impl Render<'_> {
    pub(super) fn indicators(&self) -> Option<IndicatorView> {
        let of = self.board.indicators()?;
        let analysis = &of.analysis;
        Some(IndicatorView {
            week: self.week(&of.week),
            last_week: of.last.as_ref().map(|week| self.week(week)),
            analysis: RateView { part: analysis.complete, of: analysis.objects, rate: analysis.rate() },
            lacking: analysis.lacking.clone(),
            changed: self.stamp(of.changed),
        })
    }

    fn week(&self, of: &WeekIndicators) -> WeekView {
        let (tasks, hazards) = (&of.tasks, &of.hazards);
        WeekView {
            start: self.stamp(of.period.start),
            end: self.stamp(of.period.end),
            covered_s: of.covered_s,
            tasks: RateView { part: tasks.done, of: tasks.due, rate: tasks.rate() },
            suspended: tasks.suspended,
            unknown: tasks.unknown,
            missed: tasks.missed.clone(),
            hazards: RateView { part: hazards.accepted, of: hazards.due, rate: hazards.rate() },
            open: hazards.open.iter().copied().collect(),
        }
    }
}
