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
use crate::record::{Lost, Watches};
use crate::timer::Timer;
use crate::{CheckRecord, CheckStatus, Duty, Effect, HazardStage, Period, Refusal, TaskDraft};

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
            None => match plant.time().duty(draft, wall) {
                Duty::Within(period) => {
                    self.begin_period(task, period, now, wall);
                    Some(period.end)
                }
                Duty::From(next) => Some(next),
                Duty::Never => None,
            },
        };
        match turn.and_then(|turn| calendar.when(turn, now)) {
            Some(due) => self.timers.set(Timer::Duty(task), due),
            None => self.timers.clear(Timer::Duty(task)),
        }
    }

    /// What of the cycle is over already was not seen.
    fn begin_period(&mut self, task: u32, period: Period, now: Mono, wall: Wall) {
        self.periods.insert(task, period);
        if let Some(watch) = self.watches.get_mut(task) {
            watch.add(Period { start: period.start, end: wall }.length());
        }
        self.look(&[task], now);
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
            let watch = self.watches.get_mut(task);
            let lost = watch.map_or(Lost::Sight, |watch| watch.was_lost(period, at.mono));
            // A stretch that goes on is one of the next cycle too.
            self.look(&[task], at.mono);
            let unit = plant.unit_of_measure(&draft.measure).map_or("", |unit| &unit.id);
            let touched = self.stops.touches(unit, period);
            let cycle = if self.stops.since(unit).is_some() {
                // Its tasks are suspended: nobody owes this cycle.
                Cycle::Suspended
            } else if plant.writes_records(draft) {
                let (status, why) = self.status(draft, period, lost, touched);
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
    /// cycle in which the unit was stopped for a time was neither watched whole nor lost.
    fn status(&self, draft: &TaskDraft, period: Period, lost: Lost, stopped: bool) -> (CheckStatus, String) {
        let of_measure = || self.hazards.newest().filter(|of| of.measure == draft.measure);
        let open = of_measure().find(|of| {
            let confirmed = match of.stage {
                HazardStage::Rectifying | HazardStage::AwaitingAcceptance => true,
                HazardStage::Accepted => of.changed >= period.start,
                HazardStage::Candidate | HazardStage::Rejected => false,
            };
            confirmed && of.raised < period.end
        });
        if let Some(open) = open {
            return (CheckStatus::Hazard, open.words.zh.clone());
        }
        // What no rule judges was never in sight, however well its points read.
        if self.plant.coverage().unwatched.contains(&draft.measure) {
            return (CheckStatus::Unchecked, "没有规则监测".to_owned());
        }
        match lost {
            Lost::Sight if !stopped => return (CheckStatus::Unchecked, "监测中断".to_owned()),
            Lost::Rules if !stopped => return (CheckStatus::Unchecked, "规则停用".to_owned()),
            Lost::Little | Lost::Sight | Lost::Rules => {}
        }
        if let Some(candidate) = of_measure().find(|of| of.stage == HazardStage::Candidate) {
            return (CheckStatus::Other, format!("待确认：{}", candidate.words.zh));
        }
        let rules = self.plant.rules().iter().filter(|rule| rule.measure() == Some(&*draft.measure));
        let passed = rules.into_iter().find(|rule| {
            // What a person has laid over an alarm that never began is no episode.
            let episode = self.alarms.get(rule.id()).filter(|of| of.episode > 0);
            let began = episode.is_some_and(|of| period.holds(of.since));
            began || self.alarms.is_active(rule.id())
        });
        match passed {
            Some(rule) => (CheckStatus::Other, format!("报警：{}", rule.id())),
            None if stopped => (CheckStatus::Other, "期间单元停用".to_owned()),
            None => (CheckStatus::Normal, String::new()),
        }
    }

    /// Whether a person has taken out all of these.
    fn are_out_of_service(&self, rules: &[u32]) -> bool {
        let is_out = |rule: &u32| {
            let alarm = self.plant.rule(*rule).and_then(|rule| self.alarms.get(rule.id()));
            alarm.is_some_and(|of| of.withheld.out_of_service.is_some())
        };
        !rules.is_empty() && rules.iter().all(is_out)
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
        // A cycle has one record of the agent's, and a person one at a time.
        let of = if kept.automatic { period.map_or(at, |period| period.start) } else { at };
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
        self.look(&self.watches.tasks(), now);
    }

    pub(super) fn look_at_point(&mut self, point: PointId, now: Mono) {
        self.look(&self.watches.of_point(point), now);
    }

    pub(super) fn look_at_source(&mut self, source: SourceId, now: Mono) {
        self.look(&self.watches.of_source(source), now);
    }

    /// Sees whether the measures of these tasks can be seen.
    pub(super) fn look(&mut self, tasks: &[u32], now: Mono) {
        for task in tasks {
            let Some(watch) = self.watches.get(*task) else { continue };
            let is_bad = |id: &PointId| self.present.point(*id).is_none_or(|point| point.quality.is_bad());
            let is_blind = |id: &SourceId| self.present.source(*id).is_none_or(|source| source.is_blind());
            let seen = !watch.sight.points.iter().any(is_bad) && !watch.sight.sources.iter().any(is_blind);
            let out = self.are_out_of_service(&watch.rules);
            match self.watches.get_mut(*task) {
                Some(watch) if out => watch.take_out(now),
                Some(watch) => watch.see(seen, now),
                None => {}
            }
        }
    }

    /// A rule was taken out of service, or put back.
    pub(super) fn look_at_service(&mut self, now: Mono) {
        self.look(&self.watches.tasks(), now);
    }
}

/// What a record says.
struct Kept<'a> {
    by: &'a str,
    status: CheckStatus,
    why: String,
    automatic: bool,
}
