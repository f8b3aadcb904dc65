//! Two configurations over the same files: which episodes appear, disappear or move in time.
//!
//! Episodes of a rule are held against those of the rule of the same id. Two that overlap are one matter: it moved
//! if its beginning or its end did. What overlaps nothing of the other side appears or disappears; behind the
//! last episode that was kept of the other side nobody can say.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use riskgate_point::Wall;
use serde::Serialize;

use super::report::EpisodeReport;
use super::watch::{Episode, Line, Run};
use crate::history::export::time;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Appears,
    Disappears,
    Moves,
}

/// One episode that is not the same under both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    pub rule: String,
    pub change: Change,
    /// Under the new configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<EpisodeReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<EpisodeReport>,
}

/// A rule with more episodes than are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Partly {
    pub rule: String,
    /// It is compared up to here: the onset of the last one kept, of the side that has it earlier.
    pub until: String,
}

/// One rule of one side.
#[derive(Clone, Copy, Default)]
struct Side<'a> {
    episodes: &'a [Episode],
    /// Where there are more than are kept: up to where all are here.
    until: Option<Wall>,
}

impl<'a> Side<'a> {
    fn of(line: &'a Line) -> Self {
        Self { episodes: &line.episodes, until: line.kept_until() }
    }

    /// What this side does not have of another one's, it did not tell.
    fn knows(&self, of: &Episode) -> bool {
        self.until.is_none_or(|until| of.onset <= until)
    }
}

fn lines(run: &Run) -> impl Iterator<Item = &Line> {
    run.rules.iter().chain(&run.faults)
}

/// The rules that could not be compared over the whole time, by id.
pub(super) fn partly(new: &Run, old: &Run, timezone: &TimeZone) -> Vec<Partly> {
    let mut ends: BTreeMap<&str, Wall> = BTreeMap::new();
    for line in lines(new).chain(lines(old)) {
        if let Some(until) = line.kept_until() {
            let earliest = ends.entry(&line.id).or_insert(until);
            *earliest = until.min(*earliest);
        }
    }
    let partly = |(rule, until): (&str, Wall)| Partly { rule: rule.to_owned(), until: time(until, timezone) };
    ends.into_iter().map(partly).collect()
}

/// In the order of the new configuration, then what only the old one has.
pub(super) fn differences(new: &Run, old: &Run, timezone: &TimeZone) -> Vec<Difference> {
    let (new, old): (Vec<&Line>, Vec<&Line>) = (lines(new).collect(), lines(old).collect());
    let of_old: BTreeMap<&str, &Line> = old.iter().map(|line| (line.id.as_str(), *line)).collect();
    let of_new: BTreeMap<&str, &Line> = new.iter().map(|line| (line.id.as_str(), *line)).collect();
    let mut all = Vec::new();
    for line in &new {
        let before = of_old.get(line.id.as_str()).map(|old| Side::of(old)).unwrap_or_default();
        all.extend(of_rule(&line.id, Side::of(line), before, timezone));
    }
    for line in old.iter().filter(|line| !of_new.contains_key(line.id.as_str())) {
        all.extend(of_rule(&line.id, Side::default(), Side::of(line), timezone));
    }
    all
}

fn of_rule(rule: &str, of_new: Side<'_>, of_old: Side<'_>, timezone: &TimeZone) -> Vec<Difference> {
    let tell = |change, new: Option<&Episode>, old: Option<&Episode>| Difference {
        rule: rule.to_owned(),
        change,
        new: new.map(|of| EpisodeReport::of(of, timezone)),
        old: old.map(|of| EpisodeReport::of(of, timezone)),
    };
    let (mut new, mut old) = (of_new.episodes.iter().peekable(), of_old.episodes.iter().peekable());
    let mut told = Vec::new();
    loop {
        match (new.peek().copied(), old.peek().copied()) {
            (Some(a), Some(b)) if overlap(a, b) => {
                if a != b {
                    told.push(tell(Change::Moves, Some(a), Some(b)));
                }
                new.next();
                old.next();
            }
            (Some(a), Some(b)) if a.onset > b.onset => {
                told.extend(of_new.knows(b).then(|| tell(Change::Disappears, None, Some(b))));
                old.next();
            }
            (Some(a), _) => {
                told.extend(of_old.knows(a).then(|| tell(Change::Appears, Some(a), None)));
                new.next();
            }
            (None, Some(b)) => {
                told.extend(of_new.knows(b).then(|| tell(Change::Disappears, None, Some(b))));
                old.next();
            }
            (None, None) => return told,
        }
    }
}

fn overlap(a: &Episode, b: &Episode) -> bool {
    let until = |of: &Episode| of.end.map_or(i64::MAX, |end| end.0);
    a.onset.0 <= until(b) && b.onset.0 <= until(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episodes(of: &[(i64, i64)]) -> Vec<Episode> {
        let episode = |(onset, end): &(i64, i64)| Episode {
            onset: Wall(*onset * 1000),
            end: (*end > 0).then_some(Wall(*end * 1000)),
        };
        of.iter().map(episode).collect()
    }

    fn changes(new: &[(i64, i64)], old: &[(i64, i64)]) -> Vec<Change> {
        let (new, old) = (episodes(new), episodes(old));
        let side = |episodes| Side { episodes, until: None };
        let told = of_rule("r", side(&new), side(&old), &TimeZone::UTC);
        told.into_iter().map(|of| of.change).collect()
    }

    #[test]
    fn what_is_the_same_is_not_told() {
        assert_eq!(changes(&[(1, 2), (5, 0)], &[(1, 2), (5, 0)]), []);
    }

    #[test]
    fn what_overlaps_moved_and_what_overlaps_nothing_appears_or_disappears() {
        use Change::{Appears, Disappears, Moves};
        assert_eq!(changes(&[(2, 5)], &[(1, 4)]), [Moves]);
        assert_eq!(changes(&[(1, 2)], &[]), [Appears]);
        assert_eq!(changes(&[], &[(1, 2)]), [Disappears]);
        assert_eq!(changes(&[(1, 2), (7, 8)], &[(4, 5), (7, 0)]), [Appears, Disappears, Moves]);
        assert_eq!(changes(&[(1, 2), (3, 4)], &[(1, 4)]), [Moves, Appears]);
    }

    fn run(id: &str, of: &[(i64, i64)], left_out: u64) -> Run {
        let mut line = Line::default();
        line.id = id.to_owned();
        line.episodes = episodes(of);
        line.alarms = u64::try_from(of.len()).unwrap() + left_out;
        Run { rules: vec![line], faults: Vec::new() }
    }

    /// One that chatters has more episodes than are kept: what the other has behind these may be in both.
    #[test]
    fn behind_the_last_episode_that_was_kept_nothing_is_told_to_be_missing() {
        let (full, other) = (run("r", &[(1, 2), (5, 6)], 90), run("r", &[(1, 2), (3, 4), (9, 10)], 0));
        let changes = |new: &Run, old: &Run| -> Vec<Change> {
            differences(new, old, &TimeZone::UTC).into_iter().map(|of| of.change).collect()
        };
        assert_eq!(changes(&full, &other), [Change::Disappears, Change::Appears]);
        assert_eq!(changes(&other, &full), [Change::Appears, Change::Disappears]);
        let until = "1970-01-01T00:00:05.000+00:00".to_owned();
        assert_eq!(partly(&other, &full, &TimeZone::UTC), [Partly { rule: "r".to_owned(), until }]);
        assert_eq!(partly(&other, &other, &TimeZone::UTC), []);
    }
}
