//! The decisions of riskgate: what the plant is, what its readings mean, and what follows from them.
//!
//! Readings, places of people, camera alarms, conditions, permits and acts of persons go in; [`Effect`]s come out: an alarm
//! changed, a hazard raised, a task boosted, a unit's class moved. [`Engine`] is synchronous and has one
//! owner. It never reads a clock, awaits, logs, allocates ids at random or touches storage: the same
//! inputs give byte-equal effects. Time is the argument [`riskgate_point::Now`].
//!
//! It knows nothing of protocols, files, topics or screens. Text for people is limited to the two
//! languages of [`Words`], made from the plant's own names.
//!
//! The way of a reading: `sample -> judge (rule) -> correlate (unit) -> raise (alarm, hazard, task)`.

mod alarm;
mod calendar;
mod condition;
mod draft;
mod effect;
mod engine;
mod expr;
mod hazard;
mod indicator;
mod input;
mod kinds;
mod permit;
mod plant;
mod presence;
mod present;
mod quality;
mod reason;
mod record;
mod rule;
mod running;
mod shadow;
#[cfg(test)]
mod site;
mod site_time;
mod stop;
mod task;
mod timer;
mod truth;
mod unit;
mod vision;
mod withheld;
mod words;
mod world;

pub use draft::{
    Binding, CameraDraft, Confirm, Draft, EventDraft, Fault, HazardDraft, Item, LimitKind, Limits,
    MeasureDraft, ObjectDraft, Patience, PersonDraft, PointDraft, Raising, RuleDraft, Severity, SourceDraft,
    TaskChange, TaskDraft, TaskEffectDraft, UnitDraft, UnitEffectDraft, WorkDays, ZoneDraft,
};
pub use effect::{
    ActRecord, AlarmKind, AlarmRecord, AlarmState, Boost, CheckRecord, CheckStatus, Effect, Evidence,
    HazardRecord, HazardStage, Level, Operand, RaiseCause, TaskRecord, UnitRecord, Words,
};
pub use engine::{Engine, Epoch, Restored, Unjudged};
pub use expr::{FUNCTIONS, Function, GRAMMAR};
pub use indicator::{Analysis, HazardsMended, IndicatorRecord, Lacks, TasksDone, WeekIndicators};
pub use input::{Act, Deed, Refusal, So};
pub use kinds::{Form, Given, KINDS, Key, Kind, KindDraft, kind};
pub use permit::PermitView;
pub use plant::{Coverage, Plant, Rule, Sight};
pub use presence::Count;
pub use present::{PointView, SourceView};
pub use quality::{Quality as AlarmQuality, QualityWindow};
pub use reason::{Bound, Difference, Irreplayable, PointReads, Reason, ReasonKind, ReasonNode, replay};
pub use running::{Running, Stood, WatchedCycle};
pub use shadow::ShadowRecord;
pub use site_time::{Duty, Period, SiteTime};
pub use stop::StopRecord;
pub use truth::Truth;
pub use withheld::{AlarmEvent, AlarmTurn, OutOfService, Protected, SHELF_MAX, Shelf, Suppression, Withheld};
pub use words::value_words;

use serde::{Deserialize, Serialize};

/// What a point or a rule is about. Declared from the least strict to the strictest: a rule takes the
/// strictest class that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Process,
    Equipment,
    System,
    Video,
    Permit,
    People,
    Gas,
    Fire,
    Sis,
}

/// How soon a person must act. Declared from least to most urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    Low,
    Medium,
    High,
    Critical,
}

/// The class of a unit's risk (风险等级). Declared from least to worst; the exchange standard's numbers
/// run the other way: 1 重大 red, 2 较大 orange, 3 一般 yellow, 4 低 blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskClass {
    Blue,
    Yellow,
    Orange,
    Red,
}

impl RiskClass {
    /// The exchange standard's `riskClass`.
    pub fn number(self) -> u8 {
        match self {
            Self::Red => 1,
            Self::Orange => 2,
            Self::Yellow => 3,
            Self::Blue => 4,
        }
    }
}
