//! The current class of each unit's risk: the worst of its base and of what rules raise it to.
//!
//! Up at once, down after a hold; every change has its causes. It does not judge.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Mono, Now, Wall};

use crate::plant::Plant;
use crate::task::{restored_end, sooner};
use crate::timer::{any_ended, take_ended};
use crate::{Effect, RaiseCause, RiskClass, UnitDraft, UnitRecord, Words};

/// By unit id.
#[derive(Debug, Default)]
pub(crate) struct Units(BTreeMap<String, Unit>);

#[derive(Debug)]
struct Unit {
    record: Arc<UnitRecord>,
    /// When each cause ends, in the order of the record's causes; on the time that nobody can set.
    ends: Vec<Option<Mono>>,
}

impl Units {
    /// What a store kept; ends as for tasks.
    pub(crate) fn restored(records: Vec<UnitRecord>, now: Now) -> Self {
        let unit = |record: UnitRecord| {
            let end = |cause: &RaiseCause| cause.until.map(|until| restored_end(until, record.changed, now));
            let ends = record.causes.iter().map(end).collect();
            (record.unit.clone(), Unit { record: Arc::new(record), ends })
        };
        Self(records.into_iter().map(unit).collect())
    }

    /// As for tasks.
    pub(crate) fn clock_set(&mut self, wall: Wall, now: Mono) {
        for unit in self.0.values_mut() {
            let untils = unit.record.causes.iter().map(|cause| cause.until);
            sooner(untils, &mut unit.ends, wall, now);
        }
    }

    /// Those of the plant, by id.
    pub(crate) fn of<'a>(&'a self, plant: &'a Plant) -> impl Iterator<Item = &'a Arc<UnitRecord>> {
        self.0.values().map(|unit| &unit.record).filter(|record| plant.unit(&record.unit).is_some())
    }

    pub(crate) fn next_end(&self, unit: &str) -> Option<Mono> {
        self.0.get(unit)?.ends.iter().flatten().min().copied()
    }

    /// The episode of `rule` begins.
    pub(crate) fn raise(
        &mut self,
        unit: &str,
        (rule, words): (&str, &Words),
        raise_to: RiskClass,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some(unit) = self.0.get_mut(unit) else { return };
        let record = Arc::make_mut(&mut unit.record);
        let (rule, words) = (rule.to_owned(), words.clone());
        let cause = RaiseCause { rule, words, raise_to, since: now.wall, until: None };
        let mut causes = record.causes.iter_mut().zip(&mut unit.ends);
        match causes.find(|(before, _)| before.rule == cause.rule) {
            Some((before, end)) => {
                *before = RaiseCause { since: before.since, ..cause };
                *end = None;
            }
            None => {
                record.causes.push(cause);
                unit.ends.push(None);
            }
        }
        unit.changed(now.wall, effects);
    }

    /// The episode of `rule` ends: what it raised stays up for `hold`.
    pub(crate) fn release(
        &mut self,
        unit: &str,
        rule: &str,
        hold: Duration,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some(unit) = self.0.get_mut(unit) else { return };
        if unit.release(rule, hold, now) {
            unit.changed(now.wall, effects);
        }
    }

    /// Takes out the causes whose end has come.
    pub(crate) fn expire(&mut self, unit: &str, now: Now, effects: &mut Vec<Effect>) {
        let Some(unit) = self.0.get_mut(unit) else { return };
        if any_ended(&unit.ends, now.mono) {
            let record = Arc::make_mut(&mut unit.record);
            take_ended(&mut record.causes, &mut unit.ends, now.mono);
            unit.changed(now.wall, effects);
        }
    }

    /// Fits what is kept to a plant, after a restart or a reload; a unit that is new, or whose base or
    /// name is, is told. `stays`: whether this rule still raises this unit and is active.
    pub(crate) fn settle(
        &mut self,
        plant: &Plant,
        stays: impl Fn(&str, &str) -> bool,
        hold: impl Fn(&str) -> Duration,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        for draft in plant.units() {
            let unit = self.0.entry(draft.id.clone()).or_insert_with(|| Unit::new(draft, now.wall));
            let before = Arc::clone(&unit.record);
            let record = Arc::make_mut(&mut unit.record);
            record.base = draft.base;
            record.name.clone_from(&draft.name);
            let rules: Vec<String> = record.causes.iter().map(|cause| cause.rule.clone()).collect();
            for rule in rules.iter().filter(|rule| !stays(rule, &draft.id)) {
                unit.release(rule, hold(rule), now);
            }
            unit.fit();
            if *unit.record != *before || unit.record.revision == 0 {
                unit.changed(now.wall, effects);
            }
        }
    }
}

impl Unit {
    fn new(draft: &UnitDraft, at: Wall) -> Self {
        let record = UnitRecord {
            unit: draft.id.clone(),
            name: draft.name.clone(),
            base: draft.base,
            current: draft.base,
            causes: Vec::new(),
            changed: at,
            revision: 0,
        };
        Self { record: Arc::new(record), ends: Vec::new() }
    }

    /// Whether a cause without an end got one.
    fn release(&mut self, rule: &str, hold: Duration, now: Now) -> bool {
        let record = Arc::make_mut(&mut self.record);
        let mut found = false;
        for (cause, end) in record.causes.iter_mut().zip(&mut self.ends) {
            if cause.until.is_none() && cause.rule == rule {
                cause.until = Some(now.wall.after(hold));
                *end = Some(now.mono.after(hold));
                found = true;
            }
        }
        found
    }

    fn fit(&mut self) {
        let record = Arc::make_mut(&mut self.record);
        record.current = record.causes.iter().map(|cause| cause.raise_to).fold(record.base, RiskClass::max);
    }

    fn changed(&mut self, at: Wall, effects: &mut Vec<Effect>) {
        self.fit();
        let record = Arc::make_mut(&mut self.record);
        record.changed = at;
        record.revision += 1;
        effects.push(Effect::Unit(Arc::clone(&self.record)));
    }
}
