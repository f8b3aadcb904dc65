//! Cycles of tasks: when each is due, what is overdue, and the records that the agent writes of its own.
//!
//! Cycles stand in the calendar of the site. While the clock was just set, or was never set, none begins and
//! none ends.

use std::sync::Arc;

use riskgate_point::{Mono, Now, PointId, SourceId, Wall};
use uuid::Uuid;

use super::Engine;
use crate::calendar::SETTLED_AFTER;
use crate::indicator::Cycle;
use crate::plant::Plant;
use crate::record::{Lost, Over, Stood, Watches};
use crate::timer::Timer;
use crate::{
    AlarmKind, AlarmRecord, CheckRecord, CheckStatus, Duty, Effect, HazardRecord, HazardStage, Period,
    Refusal, TaskDraft,
};

/// The namespace of record ids. Drawn once.
const RECORDS: Uuid = Uuid::from_u128(0x9b1c_6a0d_57f2_4e83_b0c4_2f6d_18ea_7745);

impl Engine {
    /// Every task's cycle anew: after a start, a reload, or a clock that was set.
    pub(super) fn offer_duties(&mut self, now: Mono) {
        for (at, _) in (0u32..).zip(Arc::clone(&self.plant).tasks()) {
            self.offer_duty(at, now);
        }
    }

    fn offer_duty(&mut self, task: u32, now: Mono) {
        let plant = Arc::clone(&self.plant);
        let (Some(draft), calendar) = (plant.task_at(task), self.present.calendar) else { return };
        let Some(wall) = calendar.sure(now) else {
            self.timers.set(Timer::Duty(task), now.after(SETTLED_AFTER));
            return;
        };
        let present = self.periods.get(&task).copied();
        let turn = match present.or_else(|| self.go_on_watching(task, now, wall)) {
            Some(period) => Some(period.end),
            None => {
                let duty = plant.time().duty(draft, wall);
                self.take_up(task, duty, now, wall)
            }
        };
        match turn.and_then(|turn| calendar.when(turn, now)) {
            Some(due) => self.timers.set(Timer::Duty(task), due),
            None => self.timers.clear(Timer::Duty(task)),
        }
    }

    /// No cycle goes on. Gives when to look again.
    fn take_up(&mut self, task: u32, duty: Duty, now: Mono, wall: Wall) -> Option<Wall> {
        if let Duty::Within(period) = duty {
            self.begin_period(task, period, now, wall);
            return Some(period.end);
        }
        if let Some(watch) = self.watches.get_mut(task) {
            watch.rest();
        }
        match duty {
            Duty::From(next) => Some(next),
            Duty::Within(_) | Duty::Never => None,
        }
    }

    /// What of the cycle is over already was not seen.
    fn begin_period(&mut self, task: u32, period: Period, now: Mono, wall: Wall) {
        self.periods.insert(task, period);
        if let Some(watch) = self.watches.get_mut(task) {
            watch.begin(now);
        }
        self.note_standing(task, period);
        self.look(&[task], now);
        // Whether that goes on shows with the look.
        if let Some(watch) = self.watches.get_mut(task) {
            watch.missed(Period { start: period.start, end: wall }.length());
        }
    }

    /// What stands when the watching of a cycle begins stood in it.
    pub(super) fn note_standing(&mut self, task: u32, period: Period) {
        let Some(measure) = self.watches.get(task).map(|watch| watch.measure.as_str()) else { return };
        let (passed, open) = (self.passed(measure, period), self.was_open(measure, period));
        if let Some(rule) = passed {
            self.watches.note_passed(task, &rule);
        }
        if let Some(words) = open {
            self.watches.note_open(task, &words);
        }
    }

    /// A hazard of the measure that was open in a period, by the newest of each cause.
    fn was_open(&self, measure: &str, period: Period) -> Option<String> {
        let mut of_measure = self.hazards.newest().filter(|of| of.measure == measure);
        let open = of_measure.find(|of| {
            let confirmed = match of.stage {
                HazardStage::Rectifying | HazardStage::AwaitingAcceptance => true,
                HazardStage::Accepted => of.changed >= period.start,
                HazardStage::Candidate | HazardStage::Rejected => false,
            };
            confirmed && of.raised < period.end
        });
        open.map(|of| of.words.zh.clone())
    }

    /// Between two cycles nothing is told; which of both it is shows when the clock is set.
    fn may_be_in_cycle(&self, task: u32) -> bool {
        self.periods.contains_key(&task) || self.present.calendar.sure(self.latest).is_none()
    }

    /// A hazard that is open is told by the records of the present cycles.
    pub(super) fn note_open(&mut self, hazard: &HazardRecord) {
        let open = match hazard.stage {
            HazardStage::Rectifying | HazardStage::AwaitingAcceptance => true,
            HazardStage::Candidate | HazardStage::Rejected | HazardStage::Accepted => false,
        };
        for task in if open { self.watches.of_measure(&hazard.measure) } else { Vec::new() } {
            if self.may_be_in_cycle(task) {
                self.watches.note_open(task, &hazard.words.zh);
            }
        }
    }

    /// A rule of the measure whose newest episode was on in a period, as far as its alarm tells. One that was
    /// never on has an alarm as well once a person has laid something over it.
    fn passed(&self, measure: &str, period: Period) -> Option<String> {
        let mut rules = self.plant.rules().iter().filter(|rule| rule.measure() == Some(measure));
        let passed = rules.find(|rule| {
            let began = |of: &AlarmRecord| of.episode > 0 && period.holds(of.since);
            self.alarms.get(rule.id()).is_some_and(|of| of.state.is_active() || began(of))
        });
        passed.map(|rule| rule.id().to_owned())
    }

    /// An alarm that is on is told by the records of the present cycles. A fault is no limit that was passed.
    pub(super) fn note_passed(&mut self, alarm: &AlarmRecord) {
        let passed = match alarm.kind {
            AlarmKind::Limit | AlarmKind::Rule => alarm.state.is_active(),
            AlarmKind::Fault => false,
        };
        let measure = alarm.measure.as_deref().filter(|_| passed);
        for task in measure.map_or_else(Vec::new, |measure| self.watches.of_measure(measure)) {
            if self.may_be_in_cycle(task) {
                self.watches.note_passed(task, &alarm.id);
            }
        }
    }

    /// A cycle is over, or one may begin.
    pub(super) fn duty(&mut self, task: u32, at: Now, effects: &mut Vec<Effect>) {
        let Some(wall) = self.present.calendar.sure(at.mono) else {
            self.timers.set(Timer::Duty(task), at.mono.after(SETTLED_AFTER));
            return;
        };
        let plant = Arc::clone(&self.plant);
        if let (Some(draft), Some(period)) = (plant.task_at(task), self.periods.get(&task).copied())
            && period.end <= wall
        {
            self.periods.remove(&task);
            self.cycles_over = self.cycles_over.wrapping_add(1);
            let over = self.watches.get_mut(task).map(|watch| watch.end(period, at.mono));
            let over = over.unwrap_or(Over { lost: Lost::Sight, stood: Stood::default() });
            // A stretch that goes on is one of the next cycle too.
            self.look(&[task], at.mono);
            let unit = plant.unit_of_measure(&draft.measure).map_or("", |unit| &unit.id);
            let touched = self.stops.touches(unit, period);
            let cycle = if self.stops.since(unit).is_some() {
                // Its tasks are suspended: nobody owes this cycle.
                Cycle::Suspended
            } else if plant.writes_records(draft) {
                let (status, why) = self.status(draft, period, over, touched);
                let record = Kept { by: plant.gateway(), status, why, automatic: true };
                self.keep(&plant, draft, Some(period), record, wall, effects);
                Cycle::of(status)
            } else if touched {
                Cycle::Suspended
            } else {
                self.tasks.close(draft, period, wall, effects)
            };
            self.count_cycle(&draft.id, cycle, period.end, at.mono);
        }
        self.offer_duty(task, at.mono);
    }

    /// As the design has it: an open hazard, else lost sight, else what a person has to judge, else nothing. A
    /// cycle in which the unit was stopped for a time was not watched whole; what was lost of the rest is lost.
    fn status(&self, draft: &TaskDraft, period: Period, over: Over, stopped: bool) -> (CheckStatus, String) {
        if let Some(open) = over.stood.hazard.or_else(|| self.was_open(&draft.measure, period)) {
            return (CheckStatus::Hazard, open);
        }
        // What no rule judges was never in sight, however well its points read.
        if self.plant.coverage().unwatched.contains(&draft.measure) {
            return (CheckStatus::Unchecked, "没有规则监测".to_owned());
        }
        match over.lost {
            Lost::Sight => return (CheckStatus::Unchecked, "监测中断".to_owned()),
            Lost::Rules => return (CheckStatus::Unchecked, "规则停用".to_owned()),
            Lost::Little => {}
        }
        let mut of_measure = self.hazards.newest().filter(|of| of.measure == draft.measure);
        if let Some(candidate) = of_measure.find(|of| of.stage == HazardStage::Candidate) {
            return (CheckStatus::Other, format!("待确认：{}", candidate.words.zh));
        }
        match over.stood.passed.or_else(|| self.passed(&draft.measure, period)) {
            Some(rule) => (CheckStatus::Other, format!("报警：{rule}")),
            None if stopped => (CheckStatus::Other, "期间单元停用".to_owned()),
            None => (CheckStatus::Normal, String::new()),
        }
    }

    fn is_out_of_service(&self, rule: &str) -> bool {
        self.alarms.get(rule).is_some_and(|of| of.withheld.out_of_service.is_some())
    }

    /// A person's record.
    pub(super) fn record(
        &mut self,
        id: &str,
        status: CheckStatus,
        (by, why): (&str, Option<&str>),
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let plant = Arc::clone(&self.plant);
        let Some((place, draft)) = plant.task(id) else {
            let ids = plant.tasks().iter().map(|task| task.id.as_str());
            let nearest = crate::plant::nearest(id, ids).map(str::to_owned);
            return Err(Refusal::UnknownTask { task: id.to_owned(), nearest });
        };
        let why = why.unwrap_or_default().trim().to_owned();
        let kept = Kept { by, status, why, automatic: false };
        self.keep(&plant, draft, self.periods.get(&place).copied(), kept, now.wall, effects);
        self.offer_boost(place);
        Ok(())
    }

    fn keep(
        &mut self,
        plant: &Plant,
        draft: &TaskDraft,
        period: Option<Period>,
        kept: Kept<'_>,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) {
        // A cycle has one record of the agent's. Of a person there may be several in one millisecond, and again in one
        // that a clock which was set back has shown before.
        let of = if kept.automatic {
            period.map_or(at, |period| period.start)
        } else {
            self.recorded = at.max(Wall(self.recorded.0.saturating_add(1)));
            self.recorded
        };
        let epoch = self.hazards.epoch().0.to_string();
        let name =
            [plant.company(), plant.gateway(), &epoch, &draft.id, kept.by, &of.0.to_string()].join("\u{1f}");
        let unit = plant.measure(&draft.measure).map(|measure| measure.unit.clone());
        effects.push(Effect::Record(Arc::new(CheckRecord {
            id: Uuid::new_v5(&RECORDS, name.as_bytes()),
            task: draft.id.clone(),
            measure: draft.measure.clone(),
            unit: unit.unwrap_or_default(),
            work_type: draft.work_type,
            status: kept.status,
            why: kept.why,
            period,
            at,
            by: kept.by.to_owned(),
            automatic: kept.automatic,
            revision: 1,
        })));
        // What was not carried out is no inspection; and what a person is asked for, the agent cannot do.
        if !kept.automatic && kept.status != CheckStatus::Unchecked {
            self.tasks.carried_out(plant, draft, at, effects);
        }
    }

    pub(super) fn watch_records(&mut self, now: Mono) {
        self.watches = Watches::of(&self.plant);
        self.look_at_all(now);
    }

    pub(super) fn look_at_point(&mut self, point: PointId, now: Mono) {
        self.look(&self.watches.of_point(point), now);
    }

    pub(super) fn look_at_source(&mut self, source: SourceId, now: Mono) {
        self.look(&self.watches.of_source(source), now);
    }

    /// After a person took something out of service or put it back, stopped a unit or started it.
    pub(super) fn look_at_all(&mut self, now: Mono) {
        self.look(&self.watches.tasks(), now);
    }

    /// Sees whether the measures of these tasks can be seen, and are judged.
    pub(super) fn look(&mut self, tasks: &[u32], now: Mono) {
        for task in tasks {
            let Some(watch) = self.watches.get(*task) else { continue };
            let is_bad = |id: &PointId| self.present.point(*id).is_none_or(|point| point.quality.is_bad());
            let is_blind = |id: &SourceId| self.present.source(*id).is_none_or(|source| source.is_blind());
            let seen = !watch.rules.is_empty()
                && !watch.sight.points.iter().any(is_bad)
                && !watch.sight.sources.iter().any(is_blind);
            // What a unit that is stopped does not show is not lost.
            let stopped = self.stops.since(&watch.unit).is_some();
            let out = watch.rules.iter().any(|rule| self.is_out_of_service(rule));
            match self.watches.get_mut(*task) {
                Some(watch) if out && !stopped => watch.take_out(now),
                Some(watch) => watch.see(seen || stopped, now),
                None => {}
            }
        }
    }
}

/// What a record says.
struct Kept<'a> {
    by: &'a str,
    status: CheckStatus,
    why: String,
    automatic: bool,
}
