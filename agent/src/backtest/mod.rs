//! Backtest (回放试算): the past judged by other rules, before they are let into the plant.
//!
//! ```text
//! files ──streams──> merge (by time) ──each reading──> trial: the engine of NEW ──effects──> watch ──> report
//!                                               └────> trial: the engine of OLD ──effects──> watch ──┘
//! ```
//!
//! It is the engine that runs on the gateway, and not a second one. It is given each reading at the time at which
//! the reading was received then, and each of its deadlines at the deadline's own time, so that delays, windows and
//! off-delays fall as they would have fallen. Nothing waits: a month takes as long as reading it does. The same
//! files under the same configuration give the same report, byte for byte; how long it took is told apart from it.
//!
//! # What it reads
//!
//! - [`csv`]: a row for each reading, as `riskgate history export` writes it;
//! - [`table`]: a column for each variable and a row for each sample, as process data usually lies about;
//! - [`played`]: the agent's own history, read only, also while the agent runs.
//!
//! Any of the first two may be compressed with gzip. Files are read side by side and merged by time; in memory are
//! one row of each, or one round of a history, and the episodes found.
//!
//! # What is assumed
//!
//! A value holds until the point's next one, and what is recorded says itself when a point fell silent: no point
//! goes stale by itself here. Links are up. What a history does not hold is unknown: people, cameras, permits,
//! conditions of a source, and points of which there is no reading. Nobody acknowledges, confirms or rectifies; so
//! an open hazard stays open and counts repeats. A fault alarm is told only of points that the files hold.
//!
//! # What it does not do
//!
//! It writes nothing, opens no socket and sends nothing. It does not say which rule is right.

mod compare;
mod csv;
mod findings;
mod input;
mod merge;
mod played;
mod report;
mod table;
mod tags;
mod trial;
mod watch;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use riskgate_engine::Plant;

use crate::history::HistoryError;

pub use compare::{Change, Difference, Partly};
pub use findings::Findings;
pub use report::{EpisodeReport, Report, RuleReport, RunReport};
pub use table::Layout;

use merge::Merged;
use trial::Trial;

/// How often it is told how far it is: several times a second even where each reading asks for much.
const TELL_EVERY: u64 = 1 << 12;

#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    #[error("cannot {operation} {}", path.display())]
    File { operation: &'static str, path: PathBuf, source: std::io::Error },
    /// Nothing of it can be read.
    #[error("{place}: {what}; {hint}")]
    Form { place: String, what: String, hint: String },
    #[error("cannot read {}", path.display())]
    History { path: PathBuf, source: HistoryError },
    #[error("there is no reading in these files: nothing to judge")]
    Empty(Box<Findings>),
}

/// What is to be run over what.
pub struct Asked<'a> {
    pub new: Plant,
    pub against: Option<Plant>,
    pub files: &'a [PathBuf],
    pub layout: Option<Layout>,
    /// In which stamps without an offset are read, and all are written.
    pub timezone: TimeZone,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub samples: u64,
    /// Bytes of files and blocks: a share of `all`.
    pub done: u64,
    pub all: u64,
}

/// Runs it. `progress` is told every 4,096 readings, and at the end.
///
/// # Errors
/// A file cannot be read at all, or there is nothing in them. What is wrong with single rows is in the report.
pub fn run(asked: Asked<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Report, BacktestError> {
    let Asked { new, against, files, layout, timezone } = asked;
    let mut findings = Findings::default();
    let (new, against) = (new.told_of_silence(), against.map(Plant::told_of_silence));
    let mut merged = Merged::open(files, layout, &timezone, &new, against.as_ref())?;
    let Some(first) = merged.next(&mut findings)? else {
        return Err(BacktestError::Empty(Box::new(findings)));
    };
    let mut trial = Trial::begin(new, first.at);
    let mut other = against.map(|plant| Trial::begin(plant, first.at));
    let (begun, mut last, mut samples) = (first.at, first.at, 0);
    let mut next = Some(first);
    while let Some(told) = next {
        last = told.at;
        samples += 1;
        if let Some(other) = &mut other {
            other.feed(merged.tags(), told.clone());
        }
        trial.feed(merged.tags(), told);
        if samples % TELL_EVERY == 0 {
            let (done, all) = merged.done();
            progress(Progress { samples, done, all });
        }
        next = merged.next(&mut findings)?;
    }
    let (_, all) = merged.done();
    progress(Progress { samples, done: all, all });
    findings.look_for_strangers(merged.tags(), &trial, other.as_ref());
    let runs = (trial.end(last, merged.tags()), other.map(|other| other.end(last, merged.tags())));
    Ok(Report::of(runs, (begun, last), samples, findings, &timezone))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
