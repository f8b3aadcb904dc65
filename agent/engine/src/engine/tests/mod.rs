//! Timelines: what goes in and, under it, what comes out.

mod alarm;
mod beginnings;
mod boost_clock;
mod cycles;
mod duties;
mod hazard;
mod hazard_life;
mod indicators;
mod language;
mod quality;
mod records;
mod refill;
mod running;
mod shadow;
mod sight;
mod told;
mod touched;
mod watched;
mod withheld;
mod work;

use crate::site::{draft, hazard, rule, ruled, secs};
use crate::*;

/// Points go stale after this long.
fn stale(after: u64) -> Draft {
    let mut draft = draft();
    draft
        .points
        .iter_mut()
        .filter(|point| point.class == Class::Process)
        .for_each(|point| point.stale_after = secs(after));
    draft
}

/// The gas limits, and a rule that wants both detectors.
fn ruled_gas() -> Draft {
    Draft { rules: vec![rule("leak", "at_least(2, {GD-1} >= 25, {GD-2} >= 25)")], ..draft() }
}

/// Fixes count as down after 30 s of silence.
fn silent() -> Draft {
    let mut draft = ruled(vec![rule("crowd", "people('Z-1') > 0")]);
    draft
        .sources
        .iter_mut()
        .filter(|source| source.fixes)
        .for_each(|source| source.stale_after = Some(secs(30)));
    draft
}

fn cycle(secs_: u64, hold: u64) -> Option<TaskEffectDraft> {
    let change = TaskChange::Cycle { cycle: secs(secs_), hold: secs(hold) };
    Some(TaskEffectDraft { task: "T-1".to_owned(), change })
}

fn boosts() -> Draft {
    ruled(vec![
        RuleDraft { task: cycle(3600, 60), ..rule("warm", "{TI} > 60") },
        RuleDraft { task: cycle(600, 30), ..rule("hot", "{TI} > 80") },
    ])
}

/// The same with a base cycle shorter than one of the boosts.
fn based() -> Draft {
    let mut draft = ruled(vec![RuleDraft { task: cycle(1800, 60), ..rule("warm", "{TI} > 60") }]);
    draft.tasks[0].cycle = secs(1800);
    draft
}

fn once() -> Draft {
    let change = TaskChange::OnceWithin(secs(1800));
    let task = Some(TaskEffectDraft { task: "T-2".to_owned(), change });
    ruled(vec![RuleDraft { task, ..rule("hot", "{TI} > 80") }])
}

fn raise(raise_to: RiskClass, hold: u64) -> Option<UnitEffectDraft> {
    Some(UnitEffectDraft { raise_to, hold: secs(hold) })
}

fn raises() -> Draft {
    ruled(vec![
        RuleDraft { unit: raise(RiskClass::Orange, 10), ..rule("hot", "{TI} > 80") },
        RuleDraft { unit: raise(RiskClass::Red, 5), ..rule("gas", "{GD-1} > 25") },
    ])
}

/// One rule that does everything.
fn both() -> Draft {
    ruled(vec![RuleDraft {
        hazard: Some(hazard(Confirm::Auto)),
        task: cycle(3600, 60),
        unit: raise(RiskClass::Red, 10),
        ..rule("hot", "{TI} > 80")
    }])
}

fn hot(when: &str, delay: u64) -> Draft {
    ruled(vec![RuleDraft { for_: secs(delay), ..rule("hot", when) }])
}

/// The same points and zones in the other order.
fn turned() -> Draft {
    let mut draft = draft();
    draft.points.reverse();
    draft.zones.reverse();
    draft
}

fn gone() -> Draft {
    let mut draft = draft();
    draft.points.truncate(1);
    draft.points[0].limits.hh = None;
    draft.sources.truncate(2);
    draft.cameras.clear();
    draft
}
