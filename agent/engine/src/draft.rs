//! What a configuration says, before it is believed: names are still text, and any of them may be wrong.
//!
//! The configuration room reads files into a [`Draft`]; `Plant::build` checks it whole and answers with
//! the plant or with every [`Fault`] at once. A fault names the item and the field, and for an expression
//! the place inside it; which file and line that is, only the configuration room knows.

use std::ops::Range;
use std::time::Duration;

use riskgate_point::{SourceId, Wall};
use serde::{Deserialize, Serialize};

use crate::{Class, KindDraft, Level, Priority, RiskClass, SiteTime};

#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// 企业编码, 9 characters.
    pub company: String,
    /// The gateway's id, unique within the company.
    pub gateway: String,
    pub patience: Patience,
    /// The time of the site, and which of its days are worked.
    pub time: SiteTime,
    /// The place in this list is the source's [`SourceId`].
    pub sources: Vec<SourceDraft>,
    /// The place in this list is the point's [`riskgate_point::PointId`].
    pub points: Vec<PointDraft>,
    pub objects: Vec<ObjectDraft>,
    pub units: Vec<UnitDraft>,
    pub events: Vec<EventDraft>,
    pub measures: Vec<MeasureDraft>,
    pub tasks: Vec<TaskDraft>,
    pub persons: Vec<PersonDraft>,
    pub zones: Vec<ZoneDraft>,
    pub cameras: Vec<CameraDraft>,
    pub rules: Vec<RuleDraft>,
}

/// How long nobody may be able to see a point or a source before that is an alarm or a hazard of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until the fault alarm of a point or source of class gas, fire, sis or people, where people die within
    /// minutes.
    pub strict: Duration,
    /// The same for every other class.
    pub usual: Duration,
    /// Until a lost source is a candidate hazard of each measure that it blinds: a broken switch is mended
    /// in less.
    pub source_hazard: Duration,
    /// For how long after its acceptance the return of a hazard says that it was not rectified.
    pub reopen_within: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            strict: Duration::from_secs(10),
            usual: Duration::from_secs(60),
            source_hazard: Duration::from_hours(1),
            reopen_within: Duration::from_hours(24),
        }
    }
}

#[derive(Debug, Clone)]
pub struct SourceDraft {
    pub id: String,
    pub name: String,
    /// It carries fixes: `people(...)` is unknown while it is down.
    pub fixes: bool,
    /// It carries sightings.
    pub sightings: bool,
    /// It carries permits: `permit(...)` is unknown while it is down.
    pub permits: bool,
    /// It keeps alarms of its own, of this class, and tells them: `condition(...)` is unknown while it is down.
    pub events: Option<Class>,
    /// How long a feed of fixes, sightings or permits may be silent before it counts as down;
    /// `None`: only a lost link tells.
    pub stale_after: Option<Duration>,
}

/// One row of a point table (点表).
#[derive(Debug, Clone)]
pub struct PointDraft {
    pub tag: String,
    pub name: String,
    pub source: SourceId,
    pub class: Class,
    /// 工程单位. Empty: none.
    pub eu: String,
    /// Words that the point can read, where it is an enumeration; a comparison with another is refused.
    pub words: Vec<String>,
    /// It reads a boolean.
    pub boolean: bool,
    /// It reads free text; with `words`, those alone.
    pub text: bool,
    pub range: Option<(f64, f64)>,
    /// In eu. Applied to the point's own limits, and to thresholds of rules with no `clear` of their own.
    pub deadband: f64,
    pub stale_after: Duration,
    pub watch: Watched,
}

/// What the limits of a row are, and what they watch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watch {
    pub limits: Limits,
    /// On-delay of H and L. HH and LL have none.
    pub delay: Duration,
    /// The measure that this row's limits watch.
    pub measure: Option<String>,
    /// How a hazard of HH or LL begins; of H or L it always begins as a candidate.
    pub confirm: Confirm,
    pub guidance: String,
}

/// The [`Watch`] of a row. Most rows of a large table say nothing of the kind, and take no room for it.
#[derive(Debug, Clone, Default)]
pub struct Watched(Option<Box<Watch>>);

impl From<Watch> for Watched {
    fn from(watch: Watch) -> Self {
        Self((watch != Watch::NONE).then(|| Box::new(watch)))
    }
}

impl std::ops::Deref for Watched {
    type Target = Watch;

    fn deref(&self) -> &Watch {
        static NONE: Watch = Watch::NONE;
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl std::ops::DerefMut for Watched {
    fn deref_mut(&mut self) -> &mut Watch {
        self.0.get_or_insert_default()
    }
}

impl Watch {
    const NONE: Self = Self {
        limits: Limits { ll: None, l: None, h: None, hh: None },
        delay: Duration::ZERO,
        measure: None,
        confirm: Confirm::Person,
        guidance: String::new(),
    };
}

impl PointDraft {
    /// As conditions name it: `{TAG}`, escaped.
    pub(crate) fn written(&self) -> String {
        format!("{{{}}}", self.tag.replace('}', "\\}"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    pub ll: Option<f64>,
    pub l: Option<f64>,
    pub h: Option<f64>,
    pub hh: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum LimitKind {
    #[serde(rename = "LL")]
    LowLow,
    #[serde(rename = "L")]
    Low,
    #[serde(rename = "H")]
    High,
    #[serde(rename = "HH")]
    HighHigh,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Confirm {
    /// The hazard goes upstream at once.
    Auto,
    /// It begins as a candidate (待确认) that a person judges.
    #[default]
    Person,
}

/// 风险分析对象.
#[derive(Debug, Clone, Default)]
pub struct ObjectDraft {
    /// 风险分析对象编码, as the units of the object name it.
    pub id: String,
    pub name: String,
    /// It is a 重大危险源: upstream knows it by `hazardCode`, another by `hazardCode1`.
    pub major: bool,
}

/// 风险事件.
#[derive(Debug, Clone, Default)]
pub struct EventDraft {
    pub id: String,
    pub unit: String,
    pub name: String,
}

/// 安全风险分析单元.
#[derive(Debug, Clone)]
pub struct UnitDraft {
    pub id: String,
    pub name: String,
    /// 风险分析对象编码.
    pub hazard_code: String,
    pub base: RiskClass,
    /// 责任部门. Empty: not said.
    pub department: String,
    pub liable_person: String,
}

/// 管控措施.
#[derive(Debug, Clone, Default)]
pub struct MeasureDraft {
    pub id: String,
    pub unit: String,
    /// 风险事件, by id or name.
    pub event: String,
    pub name: String,
    /// `riskMeasureDesc`. Empty: the name.
    pub description: String,
    /// `classify1`, 1 to 4, and `classify2`, as `1-1`; `classify3` is free.
    pub classify1: String,
    pub classify2: String,
    pub classify3: String,
    /// `troubleshootContent`: what an inspection looks at. Empty: not said.
    pub check: String,
    /// 管控方式 1 自动化监控: `true`; 2 隐患排查: `false`.
    pub automatic: bool,
    /// The agent writes the record of each cycle of its everyday tasks.
    pub auto_record: bool,
    /// What watches it beside what its rules read: while one of these cannot be seen, it is blind.
    pub bound: Binding,
}

/// What watches a measure.
#[derive(Debug, Clone, Default)]
pub struct Binding {
    /// By tag.
    pub points: Vec<String>,
    /// By id.
    pub zones: Vec<String>,
    pub cameras: Vec<String>,
    /// Units whose permits it hangs on.
    pub permits: Vec<String>,
}

/// 隐患排查任务.
#[derive(Debug, Clone, Default)]
pub struct TaskDraft {
    pub id: String,
    pub measure: String,
    pub content: String,
    /// How long one is; of months, 30 days each.
    pub cycle: Duration,
    /// A cycle of whole months: it is one of the calendar.
    pub months: Option<u32>,
    /// `taskStartTime`: nothing is due before.
    pub start: Option<Wall>,
    /// `workStartTime` and `workEndTime`, in seconds of the day: cycles shorter than a day lie within.
    pub hours: Option<(u32, u32)>,
    /// `workDayType`: cycles of a day and shorter are due on these days.
    pub days: WorkDays,
    /// `workType` 0 日常, 1 to 3 包保.
    pub work_type: u8,
    /// `taskNum`, the number of the 包保 item.
    pub task_num: Option<u8>,
    pub assignee: String,
}

/// `workDayType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkDays {
    /// 0 每天.
    #[default]
    Every,
    /// 1 法定工作日.
    Working,
    /// 2 非法定工作日.
    Resting,
}

/// A person whom tags of the location system are on: what the tag itself does not tell.
#[derive(Debug, Clone, Default)]
pub struct PersonDraft {
    pub id: String,
    pub name: String,
    pub role: String,
    /// The tags that the person carries, where the feed tells tags alone.
    pub tags: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub struct ZoneDraft {
    pub id: String,
    pub name: String,
    pub unit: String,
    /// ZDRS, the most persons allowed at once. Kept for rules and screens; not a rule by itself.
    pub limit: Option<u32>,
    /// Its corners, in the order in which a fence goes round. Empty: the location system names the zone.
    pub polygon: Vec<(f64, f64)>,
    /// The floor that a fix must be on to be in the polygon. Empty: any.
    pub floor: String,
    /// Roles allowed in it. Empty: all. Kept for rules and screens; not a rule by itself.
    pub roles: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct CameraDraft {
    pub id: String,
    pub name: String,
    pub unit: String,
    pub source: SourceId,
}

/// A written rule. Limits in the point table make rules by themselves.
#[derive(Debug, Clone)]
pub struct RuleDraft {
    pub id: String,
    pub measure: String,
    pub name: String,
    pub name_en: String,
    pub priority: Priority,
    /// `None`: the strictest class that the rule reads.
    pub class: Option<Class>,
    /// A built-in kind, which writes `when`.
    pub kind: Option<KindDraft>,
    pub when: String,
    /// On-delay.
    pub for_: Duration,
    pub clear: Option<String>,
    /// Off-delay.
    pub clear_for: Duration,
    /// It judges and tells nobody.
    pub shadow: bool,
    /// Its alarm stays until a person resets it.
    pub latch: bool,
    /// Its alarm annunciates anew when it still holds this long after it was annunciated or acknowledged.
    pub realarm: Option<Duration>,
    pub guidance: String,
    pub guidance_en: String,
    pub hazard: Option<HazardDraft>,
    pub task: Option<TaskEffectDraft>,
    pub unit: Option<UnitEffectDraft>,
}

#[derive(Debug, Clone)]
pub struct HazardDraft {
    pub level: Level,
    pub confirm: Confirm,
    /// From raising to the deadline of rectification.
    pub deadline: Duration,
    /// Rules that share a cause share a hazard. `None`: the rule id.
    pub cause: Option<String>,
    pub raising: Raising,
    /// A hazard that opens within this time of the one before having been accepted counts as a recurrence.
    /// `None`: [`Patience::reopen_within`].
    pub reopen_within: Option<Duration>,
}

/// What an episode must do to raise a hazard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Raising {
    #[default]
    AtOnce,
    /// It has lasted for as long.
    After(Duration),
    /// It is the nth within the time.
    Repeats { times: u32, within: Duration },
}

#[derive(Debug, Clone)]
pub struct TaskEffectDraft {
    pub task: String,
    pub change: TaskChange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskChange {
    /// A shorter cycle while the rule is active and for `hold` after its return to normal.
    Cycle { cycle: Duration, hold: Duration },
    /// One extra inspection within the time.
    OnceWithin(Duration),
}

#[derive(Debug, Clone)]
pub struct UnitEffectDraft {
    pub raise_to: RiskClass,
    /// How long after the return to normal the class stays up.
    pub hold: Duration,
}

/// One thing wrong with a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub severity: Severity,
    pub item: Item,
    /// The field, by its name in the configuration: `when`, `measure`, `h`, ...
    pub field: &'static str,
    /// For an expression: the byte range within its text.
    pub span: Option<Range<usize>>,
    pub message: String,
    /// What to write instead: the nearest name, the allowed range.
    pub hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// Which item of the draft, by its place in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    Gateway,
    Source(usize),
    Point(usize),
    Unit(usize),
    Object(usize),
    Event(usize),
    Measure(usize),
    Task(usize),
    Person(usize),
    Zone(usize),
    Camera(usize),
    Rule(usize),
}
