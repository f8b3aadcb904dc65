//! Judging a rule, and what follows when its episode begins or ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Mono, Now, PointId, Wall};

use super::{Engine, Memories};
use crate::alarm::Onset;
use crate::expr::{self, Memory};
use crate::plant::{Condition, Rule};
use crate::rule::Turn;
use crate::timer::{Timer, Timers};
use crate::{Bound, Effect, Evidence, Operand, TaskChange, Truth, reason, words};

/// A program that asks to be looked at in the past is looked at again this much later instead: an engine
/// that spins is worse than a verdict a millisecond late.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A feed of fixes or sightings that came up after a restart has told by then of everyone who is there and
/// of what its cameras still see: a tag without a fix for as long counts as lost.
const SETTLED_AFTER: Duration = Duration::from_secs(30);

impl Engine {
    pub(super) fn judge_point(&mut self, point: PointId, at: Now, effects: &mut Vec<Effect>) {
        let plant = Arc::clone(&self.plant);
        self.judge_all(plant.rules_of_point(point).iter().copied(), at, effects);
    }

    /// The same for a point that was not bad and is not, and moved from one number to another: of its rules
    /// those that may see it differently, in the same order. Judging the others would change nothing.
    pub(super) fn judge_touched(
        &mut self,
        id: PointId,
        from: f64,
        to: f64,
        at: Now,
        effects: &mut Vec<Effect>,
    ) {
        #[cfg(test)]
        if self.judges_all {
            return self.judge_point(id, at, effects);
        }
        let Self { plant, present, touched, .. } = self;
        let Some(point) = present.point_mut(id) else { return };
        let any = plant.touch().any(id);
        touched.clear();
        touched.extend_from_slice(any);
        // What it read before may be of a time when it was bad.
        if !(point.quiet.holds(from) && point.quiet.holds(to)) {
            let (passed, quiet) = plant.touch().passed(id, from, to);
            touched.extend(passed);
            touched.sort_unstable();
            touched.dedup();
            point.quiet = quiet;
        }
        if !touched.is_empty() {
            let touched = std::mem::take(&mut self.touched);
            self.judge_all(touched.iter().copied(), at, effects);
            self.touched = touched;
        }
    }

    /// Judges the rules, and those that read whether they are active: each after all that it reads, so that no
    /// rule sees another as it was before this step.
    pub(super) fn judge_all(
        &mut self,
        rules: impl IntoIterator<Item = u32>,
        at: Now,
        effects: &mut Vec<Effect>,
    ) {
        let mut later: BTreeSet<(u32, u32)> = BTreeSet::new();
        for rule in rules {
            match usize::try_from(rule).ok().and_then(|rule| self.plant.rows().rank(rule)) {
                None => {}
                Some(0) => self.judge_then_readers(rule, at, &mut later, effects),
                Some(rank) => {
                    later.insert((rank, rule));
                }
            }
        }
        while let Some((_, rule)) = later.pop_first() {
            self.judge_then_readers(rule, at, &mut later, effects);
        }
    }

    fn judge_then_readers(
        &mut self,
        rule: u32,
        at: Now,
        later: &mut BTreeSet<(u32, u32)>,
        effects: &mut Vec<Effect>,
    ) {
        if !self.stays(rule, at.mono) && self.judge(rule, at, effects) {
            later.extend(self.readers_of(rule));
        }
    }

    fn readers_of(&self, rule: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let readers = self.plant.rules_of_rule(rule).iter();
        readers.filter_map(|reader| Some((self.plant.rule(*reader)?.rank, *reader)))
    }

    /// Looks at one rule; whether those that read it see it differently now. Looking twice at the same present
    /// changes nothing.
    fn judge(&mut self, id: u32, at: Now, effects: &mut Vec<Effect>) -> bool {
        let Self { plant, present, rules, timers, .. } = self;
        let Some(rule) = plant.rule(id) else { return false };
        let Some(place) = usize::try_from(id).ok() else { return false };
        let Some(state) = rules.get_mut(place) else { return false };
        let (when, clear) = match (&rule.condition, &mut state.memory) {
            (Condition::Limit(test), _) => present.ask(test),
            // Only an active rule asks whether it is over.
            (Condition::Text { when, clear }, None) => {
                let world = present.world(plant);
                let holds = when.look(Memory::NONE, &world, at.mono);
                let over = match state.phase.is_active() {
                    true => clear.look(Memory::NONE, &world, at.mono),
                    false => Truth::Unknown,
                };
                (holds, over)
            }
            (Condition::Text { when, clear }, Some(memory)) => {
                let world = present.world(plant);
                let holds = when.eval(&mut memory.when, &world, at.mono);
                let over = match &mut memory.clear {
                    Some(own) => clear.eval(own, &world, at.mono),
                    None if state.phase.is_active() => clear.look(&memory.when, &world, at.mono),
                    None => Truth::Unknown,
                };
                memory.offer(id, at.mono, timers);
                (holds, over)
            }
        };
        // After a restart nobody is anywhere and no camera has seen anything, until they are told of.
        let clear = if state.from_before && clear.is_true() {
            match present.feeds_up_since(plant, rule).map(|since| since.after(SETTLED_AFTER)) {
                Some(settled) if settled <= at.mono => {
                    state.from_before = false;
                    clear
                }
                Some(settled) => {
                    timers.set_no_later(Timer::Change(id), settled);
                    Truth::Unknown
                }
                None => Truth::Unknown,
            }
        } else {
            clear
        };
        let before = state.phase.due();
        let turn = state.phase.turn(when, clear, at.mono, rule.on_delay, rule.off_delay);
        let due = state.phase.due();
        if due != before {
            match due {
                Some(due) => timers.set(Timer::Delay(id), due),
                None => timers.clear(Timer::Delay(id)),
            }
        }
        let active = state.phase.activity(when);
        let known = present.active.get_mut(place);
        let turned = known.is_some_and(|known| std::mem::replace(known, active) != active);
        if turned && let Some(unseen) = &mut self.unseen {
            unseen.note(place, active, at.mono);
        }
        match turn {
            Turn::None => {}
            Turn::Begins { on_unknown } => self.begin(id, on_unknown, at, effects),
            Turn::Ends => self.end(id, at, effects),
        }
        turned
    }

    /// Brings a rule on points to the present; whether judging it would change nothing more. Of most that is known
    /// from their `when` alone.
    fn stays(&mut self, id: u32, now: Mono) -> bool {
        #[cfg(test)]
        if self.judges_all {
            return false;
        }
        let Ok(place) = usize::try_from(id) else { return false };
        let Self { plant, present, rules, timers, .. } = self;
        let (Some(state), Some(known)) = (rules.get_mut(place), present.active.get(place)) else {
            return false;
        };
        // One of before this engine waits for its feeds, which a judgement asks for.
        if state.from_before {
            return false;
        }
        let Some(code) = plant.rows().code(place) else { return false };
        let world = present.world(plant);
        let holds = match &mut state.memory {
            None => expr::run(code.when, &mut Memory::default(), &world, now),
            Some(memory) => {
                let holds = expr::run(code.when, &mut memory.when, &world, now);
                if let Some(own) = &mut memory.clear {
                    expr::run(code.clear, own, &world, now);
                }
                memory.offer(id, now, timers);
                holds
            }
        };
        state.phase.stays(holds, now) && state.phase.activity(holds) == *known
    }

    /// An episode begins: alarm, hazard, task, unit.
    fn begin(&mut self, id: u32, on_unknown: bool, at: Now, effects: &mut Vec<Effect>) {
        let plant = Arc::clone(&self.plant);
        let Some(rule) = plant.rule(id) else { return };
        let onset = self.onset(id, rule, on_unknown, at);
        if rule.shadow {
            return self.shadows.begin(rule, onset, at, effects);
        }
        let (words, evidence) = (onset.words.clone(), onset.evidence.clone());
        let suppressed = self.stops.suppression(rule.unit(), rule.class);
        self.alarms.begin(onset, suppressed, at.wall, effects);
        self.begin_hazard(id, rule, on_unknown, (&words, &evidence), at, effects);
        let reason = (rule.id.as_str(), &words);
        if let Some(boost) = &rule.task
            && let Some((place, draft)) = plant.task(&boost.task)
        {
            self.tasks.boost(&plant, draft, reason, boost.change, at, effects);
            self.offer_boost(place);
        }
        if let (Some(raise), Some(unit)) = (&rule.raise, &rule.unit) {
            self.units.raise(unit, reason, raise.raise_to, at, effects);
            self.offer_raise_of(unit);
        }
    }

    /// What the alarm of a rule says now.
    pub(super) fn onset(&self, id: u32, rule: &Rule, on_unknown: bool, at: Now) -> Onset {
        let evidence = self.evidence(id, rule, at);
        let tag = |point: &PointId| self.plant.point(*point).map(|point| point.tag.clone());
        Onset {
            id: rule.id.clone(),
            kind: rule.kind,
            class: rule.class,
            priority: rule.priority,
            unit: rule.unit.clone(),
            measure: rule.measure.clone(),
            words: words::of_rule(&self.plant, rule, &evidence.operands, on_unknown),
            guidance: rule.guidance.clone(),
            tags: rule.points.iter().filter_map(tag).collect(),
            blinds: Vec::new(),
            on_unknown,
            evidence,
        }
    }

    /// An episode ends: the hazard stays, boosts and raises hold on for their while.
    fn end(&mut self, id: u32, at: Now, effects: &mut Vec<Effect>) {
        let plant = Arc::clone(&self.plant);
        let Some(rule) = plant.rule(id) else { return };
        if rule.shadow {
            return self.shadows.end(&rule.id, at, effects);
        }
        self.alarms.end(&rule.id, rule.latch, at.wall, effects);
        if let (Some(plan), Some(measure)) = (&rule.hazard, &rule.measure) {
            self.hazards.end(measure, &plan.cause, &rule.id, at.wall, effects);
        }
        // Also one of a text before this, which raised a hazard.
        self.timers.clear(Timer::Hazard(id));
        self.release(rule, at, effects);
    }

    /// Lets go of what a rule boosts and raises.
    pub(super) fn release(&mut self, rule: &Rule, at: Now, effects: &mut Vec<Effect>) {
        if let Some(boost) = &rule.task {
            let hold = hold_of(boost.change);
            self.tasks.release(&boost.task, &rule.id, hold, at, effects);
            if let Some((place, _)) = self.plant.task(&boost.task) {
                self.offer_boost(place);
            }
        }
        if let (Some(raise), Some(unit)) = (&rule.raise, &rule.unit) {
            self.units.release(unit, &rule.id, raise.hold, at, effects);
            self.offer_raise_of(unit);
        }
    }

    fn evidence(&self, id: u32, rule: &Rule, at: Now) -> Evidence {
        let memory = usize::try_from(id).ok().and_then(|id| self.rules.get(id)?.memory.as_ref());
        let (operands, tree) = match (&rule.condition, memory) {
            (Condition::Text { when, .. }, memory) => {
                let memory = memory.map_or(Memory::NONE, |memory| &memory.when);
                let world = self.present.world(&self.plant);
                (when.operands(memory, &world, at.mono), Some(when.reason(memory, &world, at.mono)))
            }
            (Condition::Limit(test), _) => (self.operand(test.point, at).into_iter().collect(), None),
        };
        let evidence = Evidence {
            rule: rule.id.clone(),
            version: rule.version.clone(),
            condition: rule.text.clone(),
            // The tree says which.
            verdict: Truth::Unknown,
            at: at.wall,
            operands,
            reason: None,
        };
        reason::explain(evidence, tree, &self.plant)
    }

    /// A point as it is now. Of one that is bad and still counts as beyond its limit, the value that does.
    pub(super) fn operand(&self, id: PointId, at: Now) -> Option<Operand> {
        let (draft, point) = (self.plant.point(id)?, self.present.point(id)?);
        let counts = !point.quality.is_bad() || point.still_beyond.is_some();
        Some(Operand {
            text: draft.written(),
            value: point.value.clone().filter(|_| counts),
            quality: point.quality,
            at: point.received.map(|received| received.wall),
            source_time: point.source_time,
            detail: None,
            until: None,
            bound: point.still_beyond.filter(|_| point.quality.is_bad()).map(Bound::of),
            age_ns: point.received.map(|received| at.mono.0.saturating_sub(received.mono.0)),
        })
    }

    /// The clock is right at last: ends that waited for it are known.
    pub(super) fn clock_set(&mut self, wall: Wall, now: Mono) {
        self.tasks.clock_set(wall, now);
        self.units.clock_set(wall, now);
        let plant = Arc::clone(&self.plant);
        for (at, _) in (0u32..).zip(plant.tasks()) {
            self.offer_boost(at);
        }
        for (at, _) in (0u32..).zip(plant.units()) {
            self.offer_raise(at);
        }
    }

    pub(super) fn offer_boost(&mut self, task: u32) {
        let end = self.plant.task_at(task).and_then(|task| self.tasks.next_end(&task.id));
        match end {
            Some(end) => self.timers.set(Timer::Boost(task), end),
            None => self.timers.clear(Timer::Boost(task)),
        }
    }

    pub(super) fn offer_raise(&mut self, unit: u32) {
        let end = self.plant.unit_at(unit).and_then(|unit| self.units.next_end(&unit.id));
        match end {
            Some(end) => self.timers.set(Timer::Raise(unit), end),
            None => self.timers.clear(Timer::Raise(unit)),
        }
    }

    fn offer_raise_of(&mut self, unit: &str) {
        if let Some(place) = self.plant.unit_place(unit) {
            self.offer_raise(place);
        }
    }
}

impl Memories {
    /// When one of both may say something else by itself.
    pub(super) fn next_change(&self, now: Mono) -> Option<Mono> {
        let clear = self.clear.as_ref().and_then(|own| own.next_change(now));
        self.when.next_change(now).into_iter().chain(clear).min()
    }

    /// Sees to it that the rule is looked at again by then.
    fn offer(&self, rule: u32, now: Mono, timers: &mut Timers) {
        if let Some(next) = self.next_change(now) {
            let next = if next > now { next } else { now.after(LOOK_AGAIN) };
            timers.set_no_later(Timer::Change(rule), next);
        }
    }
}

/// How long a boost outlives its episode.
pub(super) fn hold_of(change: TaskChange) -> Duration {
    match change {
        TaskChange::Cycle { hold, .. } => hold,
        TaskChange::OnceWithin(_) => Duration::ZERO,
    }
}
