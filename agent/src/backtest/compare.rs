//! Two configurations over the same files: which episodes appear, disappear or move in time.
//!
//! Episodes of a rule are held against those of the rule of the same id. Two that overlap are one matter: it moved
//! if its beginning or its end did. What overlaps nothing of the other side appears or disappears.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::report::EpisodeReport;
use super::watch::{Episode, Line, Run};

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

/// In the order of the new configuration, then what only the old one has.
pub(super) fn differences(new: &Run, old: &Run, timezone: &TimeZone) -> Vec<Difference> {
    let lines = |run: &Run| -> Vec<Line> { run.rules.iter().chain(&run.faults).cloned().collect() };
    let (new, old) = (lines(new), lines(old));
    let of_old: BTreeMap<&str, &Line> = old.iter().map(|line| (line.id.as_str(), line)).collect();
    let of_new: BTreeMap<&str, &Line> = new.iter().map(|line| (line.id.as_str(), line)).collect();
    let mut all = Vec::new();
    for line in &new {
        let before = of_old.get(line.id.as_str()).map_or(&[][..], |old| old.episodes.as_slice());
        all.extend(of_rule(&line.id, &line.episodes, before, timezone));
    }
    for line in old.iter().filter(|line| !of_new.contains_key(line.id.as_str())) {
        all.extend(of_rule(&line.id, &[], &line.episodes, timezone));
    }
    all
}

fn of_rule(rule: &str, new: &[Episode], old: &[Episode], timezone: &TimeZone) -> Vec<Difference> {
    let tell = |change, new: Option<&Episode>, old: Option<&Episode>| Difference {
        rule: rule.to_owned(),
        change,
        new: new.map(|of| EpisodeReport::of(of, timezone)),
        old: old.map(|of| EpisodeReport::of(of, timezone)),
    };
    let (mut new, mut old) = (new.iter().peekable(), old.iter().peekable());
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
                told.push(tell(Change::Disappears, None, Some(b)));
                old.next();
            }
            (Some(a), _) => {
                told.push(tell(Change::Appears, Some(a), None));
                new.next();
            }
            (None, Some(b)) => {
                told.push(tell(Change::Disappears, None, Some(b)));
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
    use riskgate_point::Wall;

    use super::*;

    fn episodes(of: &[(i64, i64)]) -> Vec<Episode> {
        let episode = |(onset, end): &(i64, i64)| Episode {
            onset: Wall(*onset * 1000),
            end: (*end > 0).then_some(Wall(*end * 1000)),
        };
        of.iter().map(episode).collect()
    }

    fn changes(new: &[(i64, i64)], old: &[(i64, i64)]) -> Vec<Change> {
        let told = of_rule("r", &episodes(new), &episodes(old), &TimeZone::UTC);
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
}
