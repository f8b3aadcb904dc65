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

/// Where a personnel tag is (定位). The zone is named by the location system.
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "report")]
pub enum Report {
    Sample(Sample),
    Fix(Fix),
    Sighting(Sighting),
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
