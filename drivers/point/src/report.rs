//! What a driver tells: readings, places of people, camera alarms, and how its link is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{BadReason, Now, Quality, Value, Wall};

/// A point's place in the plant's point list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PointId(pub u32);

/// A source's place in the plant's source list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceId(pub u16);

/// One reading of a point (采样). `value` is `None` only where the quality is bad.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub point: PointId,
    pub value: Option<Value>,
    pub quality: Quality,
    /// The time that the source gave, if it gave one: evidence, never used for judging.
    pub source_time: Option<Wall>,
    pub received: Now,
    /// A retained message or a history read: kept, not judged.
    pub backfill: bool,
}

/// A place by its coordinates: metres, in the location system's own frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spot {
    pub x: f64,
    pub y: f64,
    /// `None`: the location system tells none.
    pub floor: Option<Arc<str>>,
}

/// Where a personnel tag is (定位). The zone is named by the location system, or follows from the spot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fix {
    pub source: SourceId,
    pub tag: Arc<str>,
    /// The person who carries it. Two tags of one person count once; without a person the tag counts.
    pub person: Option<Arc<str>>,
    pub role: Option<Arc<str>>,
    /// The id of a zone of the plant; `None`: in no zone, or checked out at a gate.
    pub zone: Option<Arc<str>>,
    /// The person pressed the emergency button.
    pub sos: bool,
    /// Whether a person moves shows in it; where no zone is named, they are in the zones whose polygons hold it.
    /// `None`: the location system told none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot: Option<Spot>,
    pub source_time: Option<Wall>,
    pub received: Now,
    pub backfill: bool,
}

/// One video-analytics alarm (视频告警).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    pub source: SourceId,
    /// The id of a camera of the plant.
    pub camera: Arc<str>,
    /// What was seen: `smoke`, `flame`, `no_helmet`, ... (domain list, open).
    pub kind: Arc<str>,
    /// 0 to 1.
    pub confidence: f64,
    pub source_time: Option<Wall>,
    pub received: Now,
    pub backfill: bool,
}

/// The state of an alarm that the source itself keeps (OPC UA Alarms & Conditions). The newest holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    pub source: SourceId,
    /// What the source says the condition is of (SourceName): `TankA.Level`.
    pub origin: Arc<str>,
    /// What the source calls it (ConditionName): `HighHigh`.
    pub name: Arc<str>,
    pub active: bool,
    pub acknowledged: bool,
    /// Suppressed or shelved at the source: its operators do not see it.
    pub suppressed: bool,
    /// 1 to 1000, as the source says it.
    pub severity: u16,
    pub message: Arc<str>,
    pub source_time: Option<Wall>,
    pub received: Now,
}

/// The eight kinds of special work of GB 30871, in the order of the exchange standard's ZYLX 1 to 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PermitKind {
    /// 动火
    HotWork,
    /// 受限空间
    ConfinedSpace,
    /// 盲板抽堵
    BlindPlate,
    /// 高处
    Height,
    /// 吊装
    Lifting,
    /// 临时用电
    TemporaryPower,
    /// 动土
    Earthwork,
    /// 断路
    RoadClosing,
}

/// Where a permit is in its life (dqzt).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PermitStage {
    /// 作业前: applied for or approved, work has not begun.
    Before,
    /// 作业中
    Working,
    /// 作业后: closed, cancelled or taken back.
    After,
}

/// An electronic special-work permit (作业票), as it now stands. The newest of an id holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Permit {
    pub source: SourceId,
    /// The number of the ticket (zyzbh).
    pub id: Arc<str>,
    pub kind: PermitKind,
    /// The level within its kind by the exchange standard's number: of hot work 1 特级, 2 一级, 3 二级.
    pub level: Option<u8>,
    pub stage: PermitStage,
    /// The id of a zone or unit of the plant where the work is; `None`: the ticket names none.
    pub place: Option<Arc<str>>,
    /// From when and until when the ticket allows work.
    pub start: Option<Wall>,
    pub end: Option<Wall>,
    /// The guardian (监护人), by tag or person.
    pub guardian: Option<Arc<str>>,
    pub source_time: Option<Wall>,
    pub received: Now,
    pub backfill: bool,
}

/// How a source's connection is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "link")]
pub enum Link {
    Connecting,
    Up,
    /// `why` is one sentence for an engineer: what was tried, what came back, what to look at.
    Down {
        why: String,
    },
}

/// Everything a driver can say. The receiver matches on all of it.
///
/// Nearly all of them are samples, 100,000 a second: what is larger and seldom lies elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "report")]
pub enum Report {
    Sample(Sample),
    Fix(Box<Fix>),
    Sighting(Box<Sighting>),
    Permit(Box<Permit>),
    Condition(Box<Condition>),
    /// The source has told all conditions that it keeps: one that was not among them is not active.
    /// Before the first of these on a connection, nothing is known of its conditions.
    ConditionsTold {
        source: SourceId,
        at: Now,
    },
    /// Changes of the source's conditions may have been missed, or are not told for now, whatever its link
    /// says: nothing is known of them until it has told all again.
    ConditionsLost {
        source: SourceId,
        at: Now,
    },
    Link {
        source: SourceId,
        #[serde(flatten)]
        link: Link,
        at: Now,
    },
    /// The source is alive though no value changed (OPC UA keep-alive, a feed's heartbeat): all its
    /// points whose last status was not bad, and its feeds of fixes and sightings, are fresh.
    Refreshed {
        source: SourceId,
        at: Now,
    },
}

impl Report {
    /// The reading, if it is one.
    pub fn sample(&self) -> Option<&Sample> {
        match self {
            Self::Sample(sample) => Some(sample),
            Self::Fix(_)
            | Self::Sighting(_)
            | Self::Permit(_)
            | Self::Condition(_)
            | Self::ConditionsTold { .. }
            | Self::ConditionsLost { .. }
            | Self::Link { .. }
            | Self::Refreshed { .. } => None,
        }
    }
}

impl Sample {
    pub fn good(point: PointId, value: Value, received: Now) -> Self {
        Self {
            point,
            value: Some(value),
            quality: Quality::Good,
            source_time: None,
            received,
            backfill: false,
        }
    }

    pub fn bad(point: PointId, reason: BadReason, received: Now) -> Self {
        Self {
            point,
            value: None,
            quality: Quality::Bad(reason),
            source_time: None,
            received,
            backfill: false,
        }
    }
}
