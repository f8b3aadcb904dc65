//! What a backtest found. It holds no clock of its own: the same run writes the same bytes.

use jiff::tz::TimeZone;
use riskgate_point::Wall;
use serde::Serialize;

use super::compare::{Difference, Partly, differences, partly};
use super::findings::Findings;
use super::watch::{Episode, Line, Run};
use crate::history::export::time;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Of the first and the last reading.
    pub from: String,
    pub to: String,
    /// Readings, in order, of points known or not.
    pub samples: u64,
    pub new: RunReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<RunReport>,
    /// Episode by episode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differences: Option<Vec<Difference>>,
    /// Rules that are compared up to a time only: they have more episodes than are kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compared_until: Vec<Partly>,
    pub findings: Findings,
}

/// One configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// Every rule, in the order of the configuration.
    pub rules: Vec<RuleReport>,
    /// Lost monitoring of points and sources that the files hold.
    pub faults: Vec<RuleReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleReport {
    pub rule: String,
    /// It would have told nobody: its episodes are counted as alarms here.
    pub shadow: bool,
    pub alarms: u64,
    /// Opened. Nobody closes one here, so what comes again is a repeat.
    pub hazards: u64,
    pub repeats: u64,
    pub first: Option<String>,
    /// Of the episodes that ended, in seconds.
    pub median_s: Option<f64>,
    /// The last one is going on at the end.
    pub going_on: bool,
    /// Onsets that were the third or a further one within a minute.
    pub chatter: u64,
    /// Of the whole time, that in which nobody could say; 0 to 1.
    pub unknown_share: f64,
    /// The first 10,000.
    pub episodes: Vec<EpisodeReport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EpisodeReport {
    pub onset: String,
    /// `None`: it is going on at the end.
    pub end: Option<String>,
    #[serde(skip)]
    pub onset_at: Wall,
    #[serde(skip)]
    pub end_at: Option<Wall>,
}

impl Report {
    pub(super) fn of(
        (new, against): (Run, Option<Run>),
        (from, to): (Wall, Wall),
        samples: u64,
        findings: Findings,
        timezone: &TimeZone,
    ) -> Self {
        Self {
            from: time(from, timezone),
            to: time(to, timezone),
            samples,
            differences: against.as_ref().map(|old| differences(&new, old, timezone)),
            compared_until: against.as_ref().map(|old| partly(&new, old, timezone)).unwrap_or_default(),
            new: RunReport::of(&new, timezone),
            against: against.map(|old| RunReport::of(&old, timezone)),
            findings,
        }
    }
}

impl RunReport {
    fn of(run: &Run, timezone: &TimeZone) -> Self {
        let lines = |lines: &[Line]| lines.iter().map(|line| RuleReport::of(line, timezone)).collect();
        Self { rules: lines(&run.rules), faults: lines(&run.faults) }
    }
}

impl RuleReport {
    fn of(line: &Line, timezone: &TimeZone) -> Self {
        let first = line.episodes.first().map(|of| time(of.onset, timezone));
        Self {
            rule: line.id.clone(),
            shadow: line.shadow,
            alarms: line.alarms,
            hazards: line.hazards,
            repeats: line.repeats,
            first,
            median_s: line.median().map(|of| of.as_secs_f64()),
            going_on: line.is_open,
            chatter: line.chatter,
            unknown_share: line.unknown,
            episodes: line.episodes.iter().map(|of| EpisodeReport::of(of, timezone)).collect(),
        }
    }
}

impl EpisodeReport {
    pub(super) fn of(of: &Episode, timezone: &TimeZone) -> Self {
        Self {
            onset: time(of.onset, timezone),
            end: of.end.map(|end| time(end, timezone)),
            onset_at: of.onset,
            end_at: of.end,
        }
    }
}
