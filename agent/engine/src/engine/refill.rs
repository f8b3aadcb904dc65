//! Windows over a restart: what a history kept is laid into the memories of the rules, so that an average of
//! ten minutes need not wait for ten minutes, and a gas test of an hour ago is an hour old.
//!
//! The samples run past a present of their own, in the order of their times, and each rule that reads them
//! looks on as it would have then, at its own deadlines too. Only the memories of its expressions are the
//! wiser: no phase, no timer, no effect and nothing of the engine's own present but when a point was received
//! last, where a rule asks for its age. So what is restored is judged with the first new report, and not before.
//!
//! People, cameras, conditions and permits are not in the history of points: what a memory holds of them is
//! unknown for that time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Mono, Now, PointId, Sample, Value, Wall};

use super::Engine;
use crate::plant::{Condition, Plant};
use crate::present::{Heard, Present};

impl Plant {
    /// The points whose past a rule looks at, each once, and how far back.
    pub fn remembered(&self) -> Vec<(PointId, Duration)> {
        let ids = (0u32..).map(PointId).zip(self.points()).map(|(id, _)| id);
        let longest = |id: PointId| {
            let rules = self.rules_of_point(id).iter().filter_map(|rule| self.rule(*rule));
            rules
                .map(|rule| match &rule.condition {
                    Condition::Limit(_) => Duration::ZERO,
                    Condition::Text { when, clear } => {
                        let ages = when.oldest(id).max(clear.oldest(id));
                        when.remembers().max(clear.remembers()).max(ages)
                    }
                })
                .max()
                .filter(|length| !length.is_zero())
        };
        ids.filter_map(|id| Some((id, longest(id)?))).collect()
    }
}

/// The newest reading that surely was one.
struct Aged {
    value: Value,
    source_time: Option<Wall>,
    received: Now,
}

/// A history also writes again what is in force, and that is no reading. So a value that is the same counts from
/// where it began, and for older than it may be; but where a reading is kept whenever its source tells another time.
fn note_age(plant: &Plant, sample: &Sample, ages: &mut BTreeMap<PointId, Aged>) {
    let Some(value) = sample.value.as_ref().filter(|_| !sample.quality.is_bad()) else { return };
    let again = ages.get(&sample.point).is_some_and(|last| {
        let moved = sample.source_time.is_some() && sample.source_time != last.source_time;
        last.value == *value && !(moved && plant.is_told_by_age(sample.point))
    });
    if !again {
        let Sample { source_time, received, .. } = *sample;
        ages.insert(sample.point, Aged { value: value.clone(), source_time, received });
    }
}

impl Engine {
    /// Takes in what was read before this engine began, with its received times on this engine's own clock;
    /// what is later than its beginning is left out. A bad sample says from when on nothing was known: the
    /// outage between the last sample and the start is one. Called once, before the first report.
    pub fn refill(&mut self, mut samples: Vec<Sample>) {
        samples.retain(|sample| sample.received.mono <= self.latest);
        samples.sort_by_key(|sample| sample.received.mono);
        let Some(first) = samples.first() else { return };
        let plant = Arc::clone(&self.plant);
        let mut past = Present::new(&plant, first.received);
        let (mut touched, mut ages) = (BTreeSet::new(), BTreeMap::new());
        for sample in samples {
            let (point, at) = (sample.point, sample.received.mono);
            let rules = plant.rules_of_point(point);
            if !plant.rules_of_age(point).is_empty() {
                note_age(&plant, &sample, &mut ages);
            }
            // What was due before this sample came saw the present without it.
            rules.iter().for_each(|rule| self.look_back_until(*rule, &past, at));
            if let Some(Heard::Changed { .. }) = past.sample(&plant, sample, at) {
                rules.iter().for_each(|rule| self.look_back(*rule, &past, at));
                touched.extend(rules);
            }
        }
        for rule in touched {
            self.look_back_until(rule, &past, self.latest);
        }
        for (point, age) in ages {
            if let Some(point) = self.present.point_mut(point) {
                point.received = point.received.or(Some(age.received));
            }
        }
    }

    /// Every look that the rule itself asks for before `until`.
    fn look_back_until(&mut self, id: u32, past: &Present, until: Mono) {
        while let Some(at) = self.next_look(id).filter(|at| *at < until) {
            self.look_back(id, past, at);
            // Each look is behind the last one; a rule that says otherwise is left as it is.
            if self.next_look(id).is_some_and(|next| next <= at) {
                return;
            }
        }
    }

    fn next_look(&self, id: u32) -> Option<Mono> {
        self.rules.get(usize::try_from(id).ok()?)?.memory.as_ref()?.next_change(Mono(0))
    }

    fn look_back(&mut self, id: u32, past: &Present, at: Mono) {
        let Self { plant, rules, .. } = self;
        let Some(Condition::Text { when, clear }) = plant.rule(id).map(|rule| &rule.condition) else {
            return;
        };
        let state = usize::try_from(id).ok().and_then(|id| rules.get_mut(id));
        if let Some(memory) = state.and_then(|state| state.memory.as_mut()) {
            let world = past.world(plant);
            // What it said then was judged then.
            let _said = when.eval(&mut memory.when, &world, at);
            if let Some(own) = &mut memory.clear {
                let _said = clear.eval(own, &world, at);
            }
        }
    }
}
