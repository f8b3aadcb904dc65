//! What the points of a verdict read around its onset, from the history.
//!
//! Read when somebody asks: the engine keeps none, so this costs a sample nothing, and no memory. Bounded: of at
//! most [`POINTS_MAX`] points the last [`BEFORE_MAX`] samples up to the onset, of at most [`BEFORE`], and the
//! [`AFTER_MAX`] behind it, of at most [`AFTER`]. Sixteen show how it came about at any usual period, eight
//! whether it went on; together they are a line of a terminal. What the history no longer holds is not here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use riskgate_engine::Evidence;
use riskgate_point::{Value, Wall};
use serde::{Deserialize, Serialize};

use crate::causes::chain;
use crate::console::view::stamp;
use crate::history::read::Reader;
use crate::history::{FILE, Reading, Unwritten};

const POINTS_MAX: usize = 8;
const BEFORE_MAX: usize = 16;
const AFTER_MAX: usize = 8;
const BEFORE: Duration = Duration::from_secs(30 * 60);
const AFTER: Duration = Duration::from_secs(5 * 60);

/// What a running agent has in memory, by tag.
pub(super) type Unwrittens = BTreeMap<String, Unwritten>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointSamples {
    pub tag: String,
    /// Oldest first.
    pub samples: Vec<SampleAt>,
    /// Further samples of the same half hour, and of the five minutes behind.
    pub more_before: usize,
    pub more_after: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleAt {
    pub time: String,
    /// Milliseconds after the onset; before it, negative.
    pub after_ms: i64,
    /// `None`: nothing was known.
    pub value: Option<Value>,
    pub quality: String,
}

/// The points that a verdict rests on, the first of them. An older record names them in its operands alone.
pub(super) fn tags(evidence: &Evidence) -> Vec<String> {
    let tags: BTreeSet<String> = match &evidence.reason {
        Some(reason) => reason.reads.keys().cloned().collect(),
        None => {
            let tag = |text: &str| text.strip_prefix('{')?.strip_suffix('}').map(str::to_owned);
            evidence.operands.iter().filter_map(|operand| tag(&operand.text)).collect()
        }
    };
    tags.into_iter().take(POINTS_MAX).collect()
}

pub(super) fn around(
    evidence: &Evidence,
    dir: &Path,
    mut unwritten: Unwrittens,
    now: Wall,
    timezone: &TimeZone,
    missing: &mut Vec<String>,
) -> Vec<PointSamples> {
    let tags = tags(evidence);
    if tags.is_empty() {
        return Vec::new();
    }
    let reader = match Reader::open(&dir.join(FILE)) {
        Ok(reader) => reader,
        Err(error) => {
            missing.push(format!("历史未能读取 no samples: {}", chain(&error)));
            return Vec::new();
        }
    };
    let onset = evidence.at;
    let (since, until) = (Wall(onset.0.saturating_sub(millis(BEFORE))), onset.after(AFTER).min(now));
    let mut found = Vec::new();
    for tag in tags {
        match reader.trend(&tag, since, until, unwritten.remove(&tag)) {
            Ok(trend) => found.push(cut(tag, &trend, onset, timezone)),
            Err(error) => missing.push(format!("{tag}: 历史未能读取 no samples: {}", chain(&error))),
        }
    }
    found
}

fn cut(tag: String, trend: &[Reading], onset: Wall, timezone: &TimeZone) -> PointSamples {
    let (before, after): (Vec<&Reading>, Vec<&Reading>) =
        trend.iter().filter(|reading| !reading.backfill).partition(|reading| reading.at <= onset);
    let more_before = before.len().saturating_sub(BEFORE_MAX);
    let more_after = after.len().saturating_sub(AFTER_MAX);
    let sample = |reading: &Reading| SampleAt {
        time: stamp(reading.at, timezone),
        after_ms: reading.at.0.saturating_sub(onset.0),
        value: reading.value.clone(),
        quality: reading.quality.to_string(),
    };
    let kept = before.into_iter().skip(more_before).chain(after.into_iter().take(AFTER_MAX));
    PointSamples { tag, samples: kept.map(sample).collect(), more_before, more_after }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
