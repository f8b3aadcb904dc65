//! What the engine decided: each effect carries the whole object as it now is, with a revision that
//! counts its changes. A store keeps the newest of each; a receiver keeps the highest revision.

use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Quality, Value, Wall};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AlarmTurn, Bound, Class, IndicatorRecord, Period, Priority, Reason, RiskClass, ShadowRecord, StopRecord,
    Truth, Withheld,
};

/// One thing that the engine decided (结果).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "effect")]
pub enum Effect {
    Alarm(Arc<AlarmRecord>),
    Hazard(Arc<HazardRecord>),
    Task(Arc<TaskRecord>),
    Unit(Arc<UnitRecord>),
    Record(Arc<CheckRecord>),
    Indicator(Arc<IndicatorRecord>),
    Stop(Arc<StopRecord>),
    /// For the store and for who looks: it goes nowhere else.
    Shadow(Arc<ShadowRecord>),
}

/// One carrying-out of a task (排查记录).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRecord {
    /// UUIDv5 of company, gateway, epoch, task, who and when.
    pub id: Uuid,
    pub task: String,
    pub measure: String,
    pub unit: String,
    pub work_type: u8,
    pub status: CheckStatus,
    /// What it found. Empty: nothing.
    pub why: String,
    /// The cycle that it is of; `None`: none was due.
    pub period: Option<Period>,
    pub at: Wall,
    /// A person, or the gateway.
    pub by: String,
    /// 自动监测: the agent wrote it, of what it saw.
    pub automatic: bool,
    /// It never changes.
    pub revision: u64,
}

/// `checkStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// 0 正常.
    Normal,
    /// 1 存在隐患.
    Hazard,
    /// 2 未排查.
    Unchecked,
    /// 3 其他.
    Other,
}

impl CheckStatus {
    pub fn number(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::Hazard => 1,
            Self::Unchecked => 2,
            Self::Other => 3,
        }
    }
}

/// A text in both languages of the house.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Words {
    pub zh: String,
    pub en: String,
}

/// The state of a rule as an operator sees it (报警).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlarmRecord {
    /// The rule's id; of a limit `{tag}/HH`; of lost monitoring `fault:{tag}` or `fault:source:{source}`.
    pub id: String,
    pub kind: AlarmKind,
    pub state: AlarmState,
    pub class: Class,
    pub priority: Priority,
    pub unit: Option<String>,
    pub measure: Option<String>,
    /// What is wrong, with the value that made it so.
    pub words: Words,
    pub guidance: Words,
    /// The tags that it is about.
    pub tags: Vec<String>,
    /// Measures that nobody watches while this lasts (faults).
    pub blinds: Vec<String>,
    /// Counts occurrences of this rule, from 1 (事件过程).
    pub episode: u64,
    /// Onset of the episode.
    pub since: Wall,
    pub changed: Wall,
    pub acknowledged_by: Option<String>,
    /// Its on-delay ran out while the condition was unknown.
    pub on_unknown: bool,
    pub evidence: Evidence,
    /// What brought it into its state, by whom and why.
    #[serde(default)]
    pub turn: AlarmTurn,
    /// What keeps it from being annunciated, whatever its state.
    #[serde(default)]
    pub withheld: Withheld,
    pub revision: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    Limit,
    Rule,
    /// Nobody can see the measure: bad points, a lost source.
    Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmState {
    Normal,
    /// Active, unacknowledged.
    Unacknowledged,
    /// Active, acknowledged.
    Acknowledged,
    /// Returned to normal, unacknowledged.
    Returned,
    /// Its condition holds no more; the latch waits for a person, who has not seen it.
    LatchedUnacknowledged,
    /// The same, seen: it waits to be reset.
    Latched,
}

/// Why: the rule, and each operand as it was when the verdict fell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub rule: String,
    /// The first 12 hex digits of a UUIDv5 of the rule's text: it changes when the rule does.
    pub version: String,
    pub condition: String,
    pub verdict: Truth,
    pub at: Wall,
    pub operands: Vec<Operand>,
    /// How the verdict came about; `None`: an older agent recorded none, or it came from no condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operand {
    /// As written: `{GD-101}`, `max({GD-101}, 1m)`, `people('tank-a')`, `permit('tank-a', 'hot_work')`.
    pub text: String,
    pub value: Option<Value>,
    pub quality: Quality,
    /// When the value was received.
    pub at: Option<Wall>,
    pub source_time: Option<Wall>,
    /// What stands behind it: the alarm of a source with its severity and message, the number of a permit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The end of the permit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Wall>,
    /// Set where the value is not what there was but a bound of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// Of a point that was ever read: how old the value was, on the time that nobody can set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ns: Option<u64>,
}

/// The record that a measure has failed (隐患).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HazardRecord {
    /// UUIDv5 of company, gateway, epoch, measure, cause and opening number.
    pub id: Uuid,
    /// Counts the openings for this (measure, cause), from 1.
    pub opening: u64,
    pub measure: String,
    pub unit: String,
    pub cause: String,
    /// The rule that raised it; replaced by the graver one when it escalates.
    pub rule: String,
    pub level: Level,
    pub stage: HazardStage,
    pub words: Words,
    pub raised: Wall,
    pub changed: Wall,
    pub deadline: Wall,
    pub liable_person: String,
    /// When it was confirmed, by a person or by its rule.
    #[serde(default)]
    pub confirmed: Option<Wall>,
    /// From its confirmation to the deadline.
    #[serde(default)]
    pub rectify_within: Duration,
    /// Since when its deadline is past without its having been rectified.
    #[serde(default)]
    pub overdue: Option<Wall>,
    /// Found in history that came late: it had no alarm.
    #[serde(default)]
    pub late: bool,
    /// Hazards of one matter, which one act settles: those of a lost source.
    #[serde(default)]
    pub group: Option<Uuid>,
    /// How many hazards of the same (measure, cause) before it came back so soon after having been accepted.
    #[serde(default)]
    pub recurrences: u32,
    /// Further episodes while it was open.
    pub repeats: u32,
    /// Since when the condition is back to normal; evidence, never a closing.
    pub returned: Option<Wall>,
    /// The hazard of the same (measure, cause) before this one.
    pub previous: Option<Uuid>,
    pub acts: Vec<ActRecord>,
    pub evidence: Evidence,
    pub revision: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// 一般, `dangerLevel` 0.
    General,
    /// 重大, `dangerLevel` 1: only ever proposed to a person, never set by the engine.
    Major,
}

/// 待确认, then the exchange standard's `dangerState` 0, 1, 9; or 误报.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HazardStage {
    Candidate,
    /// 0 整改中.
    Rectifying,
    /// 1 待验收.
    AwaitingAcceptance,
    /// 9 已验收.
    Accepted,
    /// 误报: only a candidate gets here.
    Rejected,
}

impl HazardStage {
    pub fn is_open(self) -> bool {
        matches!(self, Self::Candidate | Self::Rectifying | Self::AwaitingAcceptance)
    }
}

/// Who did what to a hazard, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActRecord {
    pub by: String,
    /// `confirm`, `reject`, `rectify`, `accept`.
    pub deed: String,
    pub why: Option<String>,
    pub at: Wall,
}

/// A task whose cycle is not, or no longer, its base (隐患排查任务调整).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    pub task: String,
    pub measure: String,
    pub unit: String,
    pub content: String,
    pub assignee: String,
    pub work_type: u8,
    pub base_cycle: Duration,
    /// In force: the shortest of the base and the boosts.
    pub cycle: Duration,
    pub boosts: Vec<Boost>,
    /// When it was last carried out.
    #[serde(default)]
    pub done: Option<Wall>,
    /// The end of the first cycle that went by without its having been carried out since.
    #[serde(default)]
    pub overdue: Option<Wall>,
    /// Since when its unit is stopped: meanwhile nobody owes it.
    #[serde(default)]
    pub suspended: Option<Wall>,
    pub changed: Wall,
    pub revision: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Boost {
    pub rule: String,
    pub words: Words,
    /// A shorter cycle; `None` for one extra inspection.
    pub cycle: Option<Duration>,
    /// One extra inspection, due by then.
    pub due: Option<Wall>,
    pub since: Wall,
    /// `None`: for as long as the rule is active.
    pub until: Option<Wall>,
}

/// The current class of a unit's risk, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitRecord {
    pub unit: String,
    pub name: String,
    pub base: RiskClass,
    pub current: RiskClass,
    pub causes: Vec<RaiseCause>,
    pub changed: Wall,
    pub revision: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RaiseCause {
    pub rule: String,
    pub words: Words,
    pub raise_to: RiskClass,
    pub since: Wall,
    /// `None`: for as long as the rule is active.
    pub until: Option<Wall>,
}
