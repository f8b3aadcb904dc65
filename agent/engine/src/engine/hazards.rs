//! When rules raise their hazards: with their episode, once it has lasted, after repeats, out of history; and
//! when the time for rectification is over.
//!
//! Deadlines stand in the calendar. While the clock was just set, or was never set, they wait.

use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Mono, Now, Sample, SourceId, Value, Wall};

use super::Engine;
use super::fault::{fault_after, of_source};
use crate::calendar::SETTLED_AFTER;
use crate::hazard::Raise;
use crate::plant::{Condition, HazardPlan, Rule};
use crate::task::restored_end;
use crate::timer::Timer;
use crate::{Class, Effect, Evidence, HazardStage, Operand, Raising, Truth, Words, reason, words};

impl Engine {
    /// The episode of a rule begins.
    pub(super) fn begin_hazard(
        &mut self,
        id: u32,
        rule: &Rule,
        on_unknown: bool,
        (words, evidence): (&Words, &Evidence),
        at: Now,
        effects: &mut Vec<Effect>,
    ) {
        let (Some(plan), Some(measure)) = (&rule.hazard, &rule.measure) else { return };
        if let Raising::After(after) = plan.raising {
            self.timers.set(Timer::Hazard(id), at.mono.after(after));
        }
        // What is withheld is owed, and raised when that ends.
        if self.alarms.withholds_hazards(&rule.id) || !self.is_due(id, rule, plan, measure, at) {
            return;
        }
        let (late, group) = (false, None);
        let raise = Raise { rule: &rule.id, measure, plan, on_unknown, words, evidence, late, group };
        let plant = Arc::clone(&self.plant);
        self.hazards.raise(&plant, &raise, at.wall, effects);
    }

    /// Whether an episode that begins to count now raises its hazard now. One that began while it was withheld
    /// counts as a repeat once it is not.
    pub(super) fn is_due(&mut self, id: u32, rule: &Rule, plan: &HazardPlan, measure: &str, at: Now) -> bool {
        match plan.raising {
            Raising::AtOnce => true,
            Raising::After(_) => self.timers.due(Timer::Hazard(id)).is_none(),
            Raising::Repeats { times, within } => {
                self.hazards.is_repeated((&rule.id, measure, &plan.cause), (times, within), at.mono)
            }
        }
    }

    /// An episode has lasted: its alarm says how it began.
    pub(super) fn hazard_after(&mut self, id: u32, at: Now, effects: &mut Vec<Effect>) {
        let plant = Arc::clone(&self.plant);
        let Some(rule) = plant.rule(id) else { return };
        let active = usize::try_from(id).ok().and_then(|id| self.rules.get(id));
        let alarm = self.alarms.open().find(|alarm| alarm.id == rule.id).cloned();
        if let (Some(plan), Some(measure), Some(alarm)) = (&rule.hazard, &rule.measure, alarm)
            && active.is_some_and(|state| state.phase.is_active())
        {
            if alarm.withheld.withholds_hazards() {
                self.alarms.owe_hazard(&rule.id, at.wall, effects);
                return;
            }
            let raise = Raise {
                rule: &rule.id,
                measure,
                plan,
                on_unknown: alarm.on_unknown,
                words: &alarm.words,
                evidence: &alarm.evidence,
                late: false,
                group: None,
            };
            self.hazards.raise(&plant, &raise, at.wall, effects);
        }
    }

    /// Active rules that have not raised yet wait on, unless they do already; deadlines are offered.
    pub(super) fn offer_hazards(&mut self, now: Now) {
        let plant = Arc::clone(&self.plant);
        for (at, (rule, state)) in (0u32..).zip(plant.rules().iter().zip(&self.rules)) {
            let (Some(plan), Some(measure)) = (&rule.hazard, &rule.measure) else { continue };
            let Raising::After(after) = plan.raising else { continue };
            let since = self.alarms.since(&rule.id).filter(|_| state.phase.is_active());
            if since.is_some_and(|since| !self.hazards.goes_on(measure, &plan.cause, since)) {
                let due = self.waits_on(&rule.id, rule.class, after, now);
                self.timers.set_no_later(Timer::Hazard(at), due);
            }
        }
        self.offer_overdue(now.mono);
    }

    /// When an episode that began before this engine, or before its present plant, will have lasted for `after`. What
    /// was over for long may have ended while nobody looked: readings get as long to say so as their loss takes to be
    /// told.
    fn waits_on(&self, alarm: &str, class: Class, after: Duration, now: Now) -> Mono {
        let look = now.mono.after(fault_after(self.plant.patience(), class));
        let due = self.alarms.get(alarm).map(|of| restored_end(of.since.after(after), of.changed, now));
        due.map_or(Mono(u64::MAX), |due| due.max(look)).min(now.mono.after(after))
    }

    /// The same of a source that was lost already.
    pub(super) fn wait_on_for_source(&mut self, id: SourceId, now: Now) {
        let plant = Arc::clone(&self.plant);
        let Some(draft) = self.present.source(id).filter(|of| of.fault).and_then(|_| plant.source(id)) else {
            return;
        };
        let class = self.class_of(id);
        let after = plant.patience().source_hazard.saturating_sub(fault_after(plant.patience(), class));
        let due = self.waits_on(&of_source(&draft.id), class, after, now);
        self.timers.set_no_later(Timer::SourceHazard(id), due);
    }

    /// Of what has just changed, the deadlines: all others were offered.
    pub(super) fn offer_deadlines(&mut self, before: usize, effects: &[Effect]) {
        for effect in effects.iter().skip(before) {
            if let Effect::Hazard(hazard) = effect
                && hazard.stage == HazardStage::Rectifying
                && hazard.overdue.is_none()
                && let Some(due) = self.present.calendar.when(hazard.deadline, self.latest)
            {
                self.timers.set_no_later(Timer::Overdue, due);
            }
        }
    }

    pub(super) fn offer_overdue(&mut self, now: Mono) {
        let deadline = self.hazards.next_deadline();
        match deadline.and_then(|deadline| self.present.calendar.when(deadline, now)) {
            Some(due) => self.timers.set(Timer::Overdue, due),
            None => self.timers.clear(Timer::Overdue),
        }
    }

    pub(super) fn overdue(&mut self, at: Now, effects: &mut Vec<Effect>) {
        let Some(wall) = self.present.calendar.sure(at.mono) else {
            self.timers.set(Timer::Overdue, at.mono.after(SETTLED_AFTER));
            return;
        };
        self.hazards.grow_overdue(wall, effects);
        self.offer_overdue(at.mono);
    }

    /// A limit crossed in history: of each cause one candidate, by the gravest of its limits, and no alarm.
    pub(super) fn late_candidates(&mut self, sample: &Sample, at: Now, effects: &mut Vec<Effect>) {
        let plant = Arc::clone(&self.plant);
        let Some(value) = sample.value.as_ref().and_then(Value::number) else { return };
        if sample.quality.is_bad() {
            return;
        }
        let crossed = plant.rules_of_point(sample.point).iter().filter_map(|rule| plant.rule(*rule));
        let crossed = crossed.filter(|rule| match &rule.condition {
            Condition::Limit(test) => test.crossed(value),
            Condition::Text { .. } => false,
        });
        let gravest = crossed.max_by_key(|rule| rule.hazard.as_ref().map_or(0, |plan| plan.gravity));
        let Some(rule) = gravest else { return };
        let (Some(plan), Some(measure), Some(point)) =
            (&rule.hazard, &rule.measure, plant.point(sample.point))
        else {
            return;
        };
        if self.was_withheld(rule, sample.source_time.unwrap_or(sample.received.wall)) {
            return;
        }
        let operand = Operand {
            text: point.written(),
            value: sample.value.clone(),
            quality: sample.quality,
            at: Some(sample.received.wall),
            source_time: sample.source_time,
            detail: None,
            until: None,
            bound: None,
            age_ns: None,
        };
        let words = &words::of_rule(&plant, rule, std::slice::from_ref(&operand), false);
        let evidence = Evidence {
            rule: rule.id.clone(),
            version: rule.version.clone(),
            condition: rule.text.clone(),
            verdict: Truth::True,
            at: sample.source_time.unwrap_or(sample.received.wall),
            operands: vec![operand],
            reason: None,
        };
        let evidence = &reason::explain(evidence, None, &plant);
        let (on_unknown, late, group) = (false, true, None);
        let raise = Raise { rule: &rule.id, measure, plan, on_unknown, words, evidence, late, group };
        self.hazards.raise_late(&plant, &raise, sample.source_time, at.wall, effects);
    }

    /// Whether the rule raised no hazard at that time, as far back as its present stop or absence from service
    /// goes.
    fn was_withheld(&self, rule: &Rule, at: Wall) -> bool {
        let stopped = self.stops.suppression(rule.unit(), rule.class).map(|of| of.since);
        let alarm = self.alarms.get(&rule.id);
        let out = alarm.and_then(|of| of.withheld.out_of_service.as_ref()).map(|of| of.since);
        stopped.into_iter().chain(out).any(|since| since <= at)
    }
}
