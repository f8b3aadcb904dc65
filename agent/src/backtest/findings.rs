//! What was wrong with the files: counted whole, and told by the first of each kind.

use std::collections::BTreeMap;

use riskgate_engine::Plant;
use serde::Serialize;

use super::tags::Tags;
use super::trial::Trial;

/// Rows that are listed; more are only counted.
const LISTED_MAX: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Findings {
    /// Rows, or cells of rows, that say nothing that could be judged.
    pub unreadable: u64,
    /// The first of them: `file:line: what; hint`.
    pub listed: Vec<String>,
    /// Readings whose time was before that of an earlier one of the same file: left out.
    pub backwards: u64,
    /// Where the first of them stands, of each file.
    pub first_backwards: BTreeMap<String, String>,
    /// Told late to the agent, never judged then, and not now.
    pub late: u64,
    /// Tags of the files that no point of the configuration has, with the nearest that there is.
    pub unknown_tags: BTreeMap<String, Option<String>>,
    /// Points of the configuration that rules read and the files do not hold.
    pub missing: Vec<String>,
}

impl Findings {
    pub(super) fn unreadable(&mut self, place: &str, what: &str, hint: &str) {
        self.unreadable += 1;
        if self.listed.len() < LISTED_MAX {
            self.listed.push(format!("{place}: {what}; {hint}"));
        }
    }

    pub(super) fn backwards(&mut self, file: &str, place: impl FnOnce() -> String) {
        self.backwards += 1;
        if !self.first_backwards.contains_key(file) {
            self.first_backwards.insert(file.to_owned(), place());
        }
    }

    /// Each tag that one side alone has, once.
    pub(super) fn look_for_strangers(&mut self, tags: &Tags, trial: &Trial, other: Option<&Trial>) {
        let plants = || [Some(trial), other].into_iter().flatten().map(Trial::plant);
        for name in tags.names().filter(|name| plants().all(|plant| plant.point_id(name).is_none())) {
            let likeness = |known: &&str| strsim::normalized_damerau_levenshtein(known, name);
            let points = trial.plant().points().iter().map(|point| point.tag.as_str());
            // Of several as near, the first.
            let nearest = points.rev().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            let nearest = nearest.filter(|near| likeness(near) >= 0.5).map(str::to_owned);
            self.unknown_tags.insert(name.to_owned(), nearest);
        }
        self.missing = missing(trial.plant(), tags);
    }
}

fn missing(plant: &Plant, tags: &Tags) -> Vec<String> {
    let read: std::collections::BTreeSet<_> =
        plant.rules().iter().flat_map(|rule| rule.points().iter().copied()).collect();
    let points = read.into_iter().filter_map(|id| plant.point(id));
    points.filter(|point| !tags.has(&point.tag)).map(|point| point.tag.clone()).collect()
}
