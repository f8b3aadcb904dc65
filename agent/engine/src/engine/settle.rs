//! Beginnings: an engine from what a store kept, and the same engine under another plant.
//!
//! A rule is itself by its id. Alarms, hazards, boosts and raises go on; a restart begins pending delays
//! again; a changed text resets what is pending and keeps an active alarm until the new `clear` holds on
//! new readings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Link, Now, PointId, SourceId, Wall};

use super::fault::{of_point, of_source};
use super::judge::hold_of;
use super::{Engine, Epoch, Memories, Restored, RuleState, Unjudged};
use crate::alarm::Alarms;
use crate::hazard::Hazards;
use crate::plant::{Condition, Plant, Rule};
use crate::present::{Present, SourceState};
use crate::quality::Tally;
use crate::record::Watches;
use crate::rule::Phase;
use crate::shadow::Shadows;
use crate::stop::Stops;
use crate::task::Tasks;
use crate::timer::{Timer, Timers};
use crate::unit::Units;
use crate::{Effect, Raising, Truth};

impl Engine {
    /// Nothing was read yet: restored alarms stay as they were until new readings say otherwise.
    pub fn new(
        plant: Arc<Plant>,
        epoch: Epoch,
        restored: Restored,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Self {
        let alarms = Alarms::restored(restored.alarms, now);
        let shadows = Shadows::restored(restored.shadows, now);
        let mut running = restored.running.unwrap_or_default();
        running.recorded(&restored.records);
        let rules = plant.rules().iter().map(|rule| {
            let active = if rule.shadow { shadows.is_active(rule) } else { alarms.is_active(&rule.id) };
            let state = RuleState::new(rule, if active { Phase::Active } else { Phase::Normal });
            let from_before = active && rule.reads_places();
            RuleState { from_before, ..state }
        });
        let mut engine = Self {
            present: Present::new(&plant, now),
            rules: rules.collect(),
            timers: Timers::default(),
            alarms,
            hazards: Hazards::restored(epoch, restored.hazards, &running, now),
            tasks: Tasks::restored(restored.tasks, now),
            units: Units::restored(restored.units, now),
            periods: BTreeMap::new(),
            watches: Watches::default(),
            began: now.mono,
            indicators: restored.indicators.map(Box::new),
            indicators_seen: now.mono,
            stops: Stops::restored(restored.stops),
            recorded: Wall(i64::MIN),
            shadows,
            unseen: None,
            cycles_over: 0,
            before: running,
            quality: Tally::new(now.mono),
            reminders: BTreeMap::new(),
            latest: now.mono,
            unjudged: Unjudged::default(),
            touched: Vec::new(),
            #[cfg(test)]
            judges_all: false,
            plant,
        };
        engine.adopt_activity();
        engine.adopt_faults();
        for id in engine.point_ids() {
            engine.watch_fault(id, now.mono);
        }
        for id in engine.source_ids() {
            engine.watch_source(id, now.mono, false);
        }
        let before_settling = effects.len();
        engine.settle(now, effects);
        engine.offer_deadlines(before_settling, effects);
        engine.watch_records(now.mono);
        engine.offer_duties(now.mono);
        engine.resume_annunciation(now);
        engine.offer_indicators(now.mono);
        engine.count_recorded(&restored.records, now.mono);
        engine
    }

    /// The same engine under another plant. Points keep what they read by their tags.
    pub fn reload(&mut self, plant: Arc<Plant>, now: Now, effects: &mut Vec<Effect>) {
        let at = Now { mono: now.mono.max(self.latest), wall: now.wall };
        self.run_timers(at, effects);
        let old = Arc::clone(&self.plant);
        let was = Arc::clone(&old);
        let before: BTreeMap<&str, (&Rule, RuleState)> = old
            .rules()
            .iter()
            .zip(std::mem::take(&mut self.rules))
            .map(|(rule, state)| (rule.id(), (rule, state)))
            .collect();
        let mut before = before;
        let mut out_of_the_light = Vec::new();
        let rules = plant.rules().iter().map(|rule| match before.remove(rule.id()) {
            // What it told so far it tells no more, or the other way round: its episode begins anew.
            Some((old, state))
                if old.shadow != rule.shadow || (rule.shadow && old.version != rule.version) =>
            {
                if state.phase.is_active() && !old.shadow {
                    out_of_the_light.push(old);
                }
                let same = old.version == rule.version && rule.reads_like(&plant, old, &was);
                let memory = if same { state.of(rule).memory } else { None };
                let new = RuleState::new(rule, Phase::Normal);
                RuleState { memory: memory.or(new.memory), ..new }
            }
            // The same rule over the same names goes on as it was.
            Some((old, state)) if old.version == rule.version && rule.reads_like(&plant, old, &was) => {
                state.of(rule)
            }
            Some((_, state)) if state.phase.is_active() => {
                // One that reads no places any more waits for nobody to be seen.
                let from_before = state.from_before && rule.reads_places();
                RuleState { from_before, ..RuleState::new(rule, Phase::Active) }
            }
            Some(_) | None => RuleState::new(rule, Phase::Normal),
        });
        self.rules = rules.collect();
        let before_settling = effects.len();
        for rule in out_of_the_light {
            self.alarms.remove(&rule.id, at.wall, effects);
            self.release(rule, at, effects);
        }
        // What is left is gone from the configuration: its boosts and raises begin their hold.
        for (rule, state) in before.into_values() {
            if state.phase.is_active() && !rule.shadow {
                self.alarms.remove(&rule.id, at.wall, effects);
                self.release(rule, at, effects);
            }
        }
        let timers = std::mem::take(&mut self.timers);
        let present = std::mem::replace(&mut self.present, Present::new(&plant, at));
        self.present = present.moved(&old, &plant, at);
        self.plant = plant;
        // From here on, who looks whether a measure can be seen asks by the new numbers.
        self.move_cycles(&old, at.mono);
        self.unseen = None;
        self.adopt_activity();
        self.offer_again(&old, &timers, at);
        self.adopt_faults();
        self.end_faults_without_cause(at, effects);
        self.settle(at, effects);
        self.note(before_settling, at.mono, effects);
        self.offer_duties(at.mono);
        self.timers.set_no_later(Timer::Indicators, at.mono);
        let before_judging = effects.len();
        self.judge_readable(at, effects);
        self.note(before_judging, at.mono, effects);
        self.run_timers(at, effects);
    }

    fn point_ids(&self) -> impl Iterator<Item = PointId> + use<> {
        (0u32..).map(PointId).take(self.plant.points().len())
    }

    fn source_ids(&self) -> impl Iterator<Item = SourceId> + use<> {
        (0..self.plant.sources().len()).filter_map(|at| u16::try_from(at).ok()).map(SourceId)
    }

    /// What is known of rules before they are judged: that some are active.
    fn adopt_activity(&mut self) {
        for (state, active) in self.rules.iter().zip(&mut self.present.active) {
            if state.phase.is_active() {
                *active = Truth::True;
            }
        }
    }

    /// Marks the points and sources whose fault alarms are active.
    fn adopt_faults(&mut self) {
        for (draft, point) in self.plant.points().iter().zip(&mut self.present.points) {
            point.fault = self.alarms.is_active(&of_point(&draft.tag));
        }
        for (draft, source) in self.plant.sources().iter().zip(&mut self.present.sources) {
            source.fault = self.alarms.is_active(&of_source(&draft.id));
        }
    }

    /// What a source was blind to may be nothing that it tells any more.
    fn end_faults_without_cause(&mut self, at: Now, effects: &mut Vec<Effect>) {
        for id in self.source_ids() {
            let by_link = |source: &SourceState| {
                source.link == Link::Up && source.lost && self.plant.is_read_by_age(id)
            };
            let is_there = |source: &SourceState| (source.fault && !source.is_blind()) || by_link(source);
            if self.present.source(id).is_some_and(is_there) {
                self.found(id, at, effects);
            }
        }
    }

    /// Every deadline anew under the new numbers; a wait for a fault that had begun goes on.
    fn offer_again(&mut self, old: &Plant, timers: &Timers, now: Now) {
        let plant = Arc::clone(&self.plant);
        for id in self.point_ids() {
            if let Some(due) = self.present.stale_at(&plant, id) {
                self.timers.set(Timer::Stale(id), due);
                continue;
            }
            self.watch_fault(id, now.mono);
            // Nobody waits for a point that nothing judges any more.
            let point = plant.point(id).filter(|_| plant.is_watched(id));
            let before = point.and_then(|point| old.point_id(&point.tag));
            if let Some(due) = before.and_then(|before| timers.due(Timer::PointFault(before))) {
                self.timers.set_no_later(Timer::PointFault(id), due);
            }
        }
        for id in self.source_ids() {
            self.offer_silent(id);
            if self.present.source(id).is_none_or(|source| !source.is_blind()) {
                continue;
            }
            self.watch_source(id, now.mono, false);
            let name = plant.source(id).map(|source| source.id.as_str());
            let before = old.sources().iter().position(|source| Some(source.id.as_str()) == name);
            if let Some(before) = before.and_then(|at| u16::try_from(at).ok()).map(SourceId) {
                for (new, old) in [
                    (Timer::SourceFault(id), Timer::SourceFault(before)),
                    (Timer::SourceHazard(id), Timer::SourceHazard(before)),
                ] {
                    if let Some(due) = timers.due(old) {
                        self.timers.set_no_later(new, due);
                    }
                }
            }
        }
        for (at, rule) in (0u32..).zip(plant.rules()) {
            let before = old.rule_at(&rule.id).and_then(|before| timers.due(Timer::Hazard(before)));
            if let Some(due) = before {
                self.timers.set(Timer::Hazard(at), due);
            }
        }
        if let Some(due) = timers.due(Timer::Calendar) {
            self.timers.set(Timer::Calendar, due);
        }
        for timer in [Timer::WithheldEnd, Timer::Candidate, Timer::FloodEnd] {
            if let Some(due) = timers.due(timer) {
                self.timers.set(timer, due);
            }
        }
        self.offer_re_alarms_again(old, timers, now);
        for (at, state) in (0u32..).zip(&self.rules) {
            if let Some(due) = state.phase.due() {
                self.timers.set(Timer::Delay(at), due);
            }
        }
    }

    /// Fits alarms, hazards, boosts and raises to the plant.
    fn settle(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let plant = Arc::clone(&self.plant);
        self.remove_orphans(now, effects);
        let gravity = |rule: &str| {
            let rule = plant.rule_at(rule).and_then(|at| plant.rule(at));
            rule.and_then(|rule| rule.hazard.as_ref()).map_or(0, |plan| plan.gravity)
        };
        let active = self.active_by_cause();
        self.hazards.settle(gravity, &active);
        let repeats = |rule: &str| {
            let plan =
                plant.rule_at(rule).and_then(|at| plant.rule(at)).and_then(|rule| rule.hazard.as_ref());
            plan.is_some_and(|plan| matches!(plan.raising, Raising::Repeats { .. }))
        };
        self.hazards.count_only(repeats);
        self.offer_hazards(now);
        let Self { rules, tasks, units, .. } = self;
        let rule = |id: &str| {
            let at = plant.rule_at(id)?;
            let active = rules.get(usize::try_from(at).ok()?)?.phase.is_active();
            Some((plant.rule(at)?, active))
        };
        let boosts = |id: &str, task: &str| {
            rule(id).is_some_and(|(rule, active)| {
                active && rule.task.as_ref().is_some_and(|boost| boost.task == task)
            })
        };
        let hold = |id: &str| {
            let boost = rule(id).and_then(|(rule, _)| rule.task.as_ref());
            boost.map_or(Duration::ZERO, |boost| hold_of(boost.change))
        };
        tasks.settle(&plant, boosts, hold, now, effects);
        let raises = |id: &str, unit: &str| {
            rule(id).is_some_and(|(rule, active)| {
                active && rule.raise.is_some() && rule.unit.as_deref() == Some(unit)
            })
        };
        let hold = |id: &str| {
            let raise = rule(id).and_then(|(rule, _)| rule.raise.as_ref());
            raise.map_or(Duration::ZERO, |raise| raise.hold)
        };
        units.settle(&plant, raises, hold, now, effects);
        for (at, _) in (0u32..).zip(plant.tasks()) {
            self.offer_boost(at);
        }
        for (at, _) in (0u32..).zip(plant.units()) {
            self.offer_raise(at);
        }
        self.settle_annunciation(now, effects);
        self.shadows.fit(&plant, now, effects);
    }

    /// Alarms of rules, points and sources that the plant no longer has are over.
    fn remove_orphans(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let plant = &self.plant;
        let known = |id: &str| {
            plant.rule_at(id).is_some()
                || id.strip_prefix("fault:").is_some_and(|tag| plant.point_id(tag).is_some())
                || id
                    .strip_prefix("fault:source:")
                    .is_some_and(|id| plant.sources().iter().any(|source| source.id == id))
        };
        let orphans: Vec<String> =
            self.alarms.open().filter(|record| !known(&record.id)).map(|record| record.id.clone()).collect();
        for id in orphans {
            self.alarms.remove(&id, now.wall, effects);
        }
    }

    /// Which rules and faults are active, by the (measure, cause) that they raise.
    fn active_by_cause(&self) -> BTreeMap<(String, String), BTreeSet<String>> {
        let mut active: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        let mut add = |measure: &str, cause: &str, rule: &str| {
            let rules = active.entry((measure.to_owned(), cause.to_owned())).or_default();
            rules.insert(rule.to_owned());
        };
        for (rule, state) in self.plant.rules().iter().zip(&self.rules) {
            let raised = state.phase.is_active() && !self.alarms.owes_hazard(rule.id());
            if let (true, Some(plan), Some(measure)) = (raised, &rule.hazard, rule.measure()) {
                let begun = |since| self.hazards.goes_on(measure, &plan.cause, since);
                if plan.raising == Raising::AtOnce || self.alarms.since(rule.id()).is_some_and(begun) {
                    add(measure, &plan.cause, rule.id());
                }
            }
        }
        for (draft, point) in self.plant.points().iter().zip(&self.present.points) {
            let fault = of_point(&draft.tag);
            let raised = point.fault && !self.alarms.owes_hazard(&fault);
            for measure in self.plant.measures_of(draft).filter(|_| raised) {
                add(measure, &fault, &fault);
            }
        }
        // The hazards of a lost source come long after its alarm. Those that are open and have not returned
        // are of this episode, and so is what a person closed since it began.
        for (draft, source) in self.plant.sources().iter().zip(&self.present.sources) {
            let (cause, fault) = (of_point(&draft.id), of_source(&draft.id));
            let Some(since) = self.alarms.since(&fault).filter(|_| source.fault) else { continue };
            for hazard in self.hazards.newest().filter(|hazard| hazard.cause == cause) {
                if self.hazards.goes_on(&hazard.measure, &cause, since) {
                    add(&hazard.measure, &cause, &fault);
                }
            }
        }
        active
    }

    /// Judges every rule of which something can be known.
    fn judge_readable(&mut self, at: Now, effects: &mut Vec<Effect>) {
        let plant = Arc::clone(&self.plant);
        let read = |point: &PointId| self.present.point(*point).is_some_and(|point| point.received.is_some());
        let can_be_known = |rule: &Rule| {
            let told = rule.reads_places() || !rule.conditions.is_empty() || !rule.rules.is_empty();
            told || rule.points.iter().any(read)
        };
        let rules = (0u32..).zip(plant.rules()).filter(|(_, rule)| can_be_known(rule)).map(|(id, _)| id);
        let rules: Vec<u32> = rules.collect();
        self.judge_all(rules, at, effects);
    }
}

impl RuleState {
    fn new(rule: &Rule, phase: Phase) -> Self {
        let memory = match &rule.condition {
            Condition::Limit(_) => None,
            Condition::Text { when, clear } => {
                let own = !clear.remembers_like(when);
                let memories =
                    || Memories { when: when.memory(), clear: own.then(|| Box::new(clear.memory())) };
                (own || !when.is_plain()).then(|| Box::new(memories()))
            }
        };
        Self { phase, from_before: false, memory }
    }

    /// The same for a rule of the same text, whose points may have other numbers now.
    fn of(mut self, rule: &Rule) -> Self {
        if let (Condition::Text { when, clear }, Some(memory)) = (&rule.condition, &mut self.memory) {
            when.renumber(&mut memory.when);
            if let Some(own) = &mut memory.clear {
                clear.renumber(own);
            }
        }
        self
    }
}
