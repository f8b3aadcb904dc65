//! How the sources are, as people see it: the link and its words, points by quality, and what the driver
//! counted of its own work.

use std::time::Duration;

use riskgate_drivers::tally::{Counts, Skipped};
use riskgate_engine::{Plant, SourceView};
use riskgate_point::{Link, Wall};
use serde::{Deserialize, Serialize};

/// How one source is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLine {
    pub id: String,
    pub name: String,
    pub link: SourceState,
    /// Why it is down: one sentence for an engineer.
    pub why: Option<String>,
    pub since: Wall,
    /// Points by the quality of their last sample.
    pub good: u32,
    pub uncertain: u32,
    pub bad: u32,
    /// The source's clock less ours, in milliseconds; `None` where it sends no time.
    pub source_offset_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    Connecting,
    Up,
    Down,
}

impl SourceLine {
    pub fn new(view: &SourceView, plant: &Plant) -> Self {
        let (id, name) = match plant.source(view.id) {
            Some(source) => (source.id.clone(), source.name.clone()),
            None => (view.id.0.to_string(), String::new()),
        };
        let (link, why) = match &view.link {
            Link::Connecting => (SourceState::Connecting, None),
            Link::Up => (SourceState::Up, None),
            Link::Down { why } => (SourceState::Down, Some(why.clone())),
        };
        Self {
            id,
            name,
            link,
            why,
            since: view.since,
            good: view.good,
            uncertain: view.uncertain,
            bad: view.bad,
            source_offset_ms: view.source_offset_ms,
        }
    }
}

/// What a source's driver counted since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CountsLine {
    /// Requests for values that were answered, or messages that came.
    pub polls: u64,
    pub polls_failed: u64,
    /// Cycles that began too late, or were left out.
    pub polls_late: u64,
    pub connects: u64,
    /// From a request to its answer, in microseconds; `None` where nothing was measured.
    pub round_trip_us: Option<u64>,
    pub round_trip_max_us: Option<u64>,
    /// What came and could not be used.
    pub skipped: Vec<SkipLine>,
}

/// One sort of thing that came and could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkipLine {
    /// A topic filter, a node, a table.
    pub place: String,
    pub reason: String,
    pub count: u64,
    /// The first that was seen.
    pub example: String,
}

impl From<&Counts> for CountsLine {
    fn from(counts: &Counts) -> Self {
        let measured =
            |span: Duration| (!span.is_zero()).then(|| u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
        let skip = |((place, reason), skipped): (&(String, &'static str), &Skipped)| SkipLine {
            place: place.clone(),
            reason: (*reason).to_owned(),
            count: skipped.count,
            example: skipped.example.clone(),
        };
        Self {
            polls: counts.polls,
            polls_failed: counts.polls_failed,
            polls_late: counts.polls_late,
            connects: counts.connects,
            round_trip_us: measured(counts.round_trip),
            round_trip_max_us: measured(counts.round_trip_max),
            skipped: counts.skips.iter().map(skip).collect(),
        }
    }
}
