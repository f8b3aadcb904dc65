//! What persons tell the engine. What the plant tells it is [`riskgate_point::Report`].

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::CheckStatus;

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
    Acknowledge { alarm: String },
    /// 确认隐患: a candidate is a hazard.
    Confirm { hazard: Uuid, why: Option<String> },
    /// 误报: a candidate is none. Only a candidate can be rejected.
    Reject { hazard: Uuid, why: String },
    /// 0 -> 1: rectified, awaiting acceptance.
    Rectify { hazard: Uuid, why: Option<String> },
    /// 1 -> 9: accepted.
    Accept { hazard: Uuid, why: Option<String> },
    /// 排查记录: a task was carried out, or was not.
    Record { task: String, status: CheckStatus, why: Option<String> },
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
            Self::WrongState { is, needs } => {
                write!(f, "当前状态不允许这样做 / it is {is}; this act needs it to be {needs}")
            }
        }
    }
}

impl std::error::Error for Refusal {}
