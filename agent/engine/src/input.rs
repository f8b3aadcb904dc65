//! What persons tell the engine. What the plant tells it is [`riskgate_point::Report`].

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{CheckStatus, Protected};

/// One act of a named person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Who: never empty.
    pub by: String,
    #[serde(flatten)]
    pub deed: Deed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "deed")]
pub enum Deed {
    /// 确认报警: I have seen this alarm.
    Acknowledge {
        alarm: String,
    },
    /// 确认隐患: a candidate is a hazard.
    Confirm {
        hazard: Uuid,
        why: Option<String>,
    },
    /// 误报: a candidate is none. Only a candidate can be rejected.
    Reject {
        hazard: Uuid,
        why: String,
    },
    /// 0 -> 1: rectified, awaiting acceptance.
    Rectify {
        hazard: Uuid,
        why: Option<String>,
    },
    /// 1 -> 9: accepted.
    Accept {
        hazard: Uuid,
        why: Option<String>,
    },
    /// 复位: lets go of a latched alarm.
    Reset {
        alarm: String,
    },
    /// 搁置: not annunciated for so many seconds, at most eight hours.
    Shelve {
        alarm: String,
        for_s: u64,
        why: String,
    },
    Unshelve {
        alarm: String,
    },
    /// 停用: an alarm, or a point by its tag; `for_s`: `None` until it is put back.
    OutOfService {
        what: String,
        why: String,
        for_s: Option<u64>,
    },
    InService {
        what: String,
    },
    /// 停用检维修: suspends the unit's tasks and suppresses its process and equipment alarms.
    StopUnit {
        unit: String,
        why: String,
    },
    StartUnit {
        unit: String,
    },
    /// 排查记录: a task was carried out, or was not.
    Record {
        task: String,
        status: CheckStatus,
        why: Option<String>,
    },
}

/// Why an act was not carried out. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "refusal")]
pub enum Refusal {
    Nameless,
    /// A reason is needed and none was given.
    NoReason,
    UnknownAlarm {
        alarm: String,
        nearest: Option<String>,
    },
    UnknownHazard {
        hazard: Uuid,
    },
    UnknownTask {
        task: String,
        nearest: Option<String>,
    },
    UnknownUnit {
        unit: String,
        nearest: Option<String>,
    },
    /// No person may silence it.
    Protected {
        alarm: String,
        as_a: Protected,
    },
    /// A shelf without a length, or a longer one than a shift.
    ShelfLength,
    /// The object is already as the act would make it, or is not what the act ends.
    AlreadySo {
        is: So,
    },
    /// The object is not in a state that allows the act.
    WrongState {
        is: String,
        needs: String,
    },
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nameless => {
                f.write_str("须写明姓名 --by 姓名 / an act needs the name of the person: --by NAME")
            }
            Self::NoReason => f.write_str("须写明原因 --why 原因 / a reason is needed: --why TEXT"),
            Self::UnknownAlarm { alarm, nearest: None } => {
                write!(f, "没有报警'{alarm}' / no alarm '{alarm}'")
            }
            Self::UnknownAlarm { alarm, nearest: Some(nearest) } => {
                write!(
                    f,
                    "没有报警'{alarm}'，是不是'{nearest}'？ / no alarm '{alarm}'; did you mean '{nearest}'?"
                )
            }
            Self::UnknownHazard { hazard } => {
                write!(f, "没有未关闭的隐患或待确认隐患 / no open hazard or candidate {hazard}")
            }
            Self::UnknownTask { task, nearest: None } => write!(f, "没有任务'{task}' / no task '{task}'"),
            Self::UnknownTask { task, nearest: Some(nearest) } => {
                write!(
                    f,
                    "没有任务'{task}'，是不是'{nearest}'？ / no task '{task}'; did you mean '{nearest}'?"
                )
            }
            Self::UnknownUnit { unit, nearest: None } => {
                write!(f, "没有单元'{unit}' / no unit '{unit}'")
            }
            Self::UnknownUnit { unit, nearest: Some(nearest) } => {
                write!(f, "没有单元'{unit}'，是不是'{nearest}'？ / no unit '{unit}'; did you mean '{nearest}'?")
            }
            Self::Protected { alarm, as_a } => {
                let (zh, en) = as_a.words();
                write!(f, "'{alarm}'是{zh}，不允许搁置或停用 / '{alarm}' is {en}: it cannot be silenced")
            }
            Self::ShelfLength => f.write_str(
                "搁置须大于0、不超过8小时 --for 2h / a shelf is longer than nothing and at most 8 h: --for 2h",
            ),
            Self::AlreadySo { is } => {
                let (zh, en) = is.words();
                write!(f, "{zh} / {en}")
            }
            Self::WrongState { is, needs } => {
                write!(f, "当前状态不允许这样做 / it is {is}; this act needs it to be {needs}")
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// How an object is, where that stands against an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum So {
    Shelved,
    NotShelved,
    OutOfService,
    InService,
    Stopped,
    Running,
}

impl So {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Shelved => ("已在搁置中：先解除搁置", "it is shelved already: unshelve it first"),
            Self::NotShelved => ("未被搁置", "it is not shelved"),
            Self::OutOfService => ("已停用", "it is out of service already"),
            Self::InService => ("未停用", "it is in service"),
            Self::Stopped => ("单元已停用", "the unit is stopped already"),
            Self::Running => ("单元未停用", "the unit is not stopped"),
        }
    }
}
