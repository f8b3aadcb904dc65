//! What is annunciated and what is not: shelves, out of service, stopped units, re-alarms, and candidates
//! that nobody judges.
//!
//! It judges nothing. What it withholds goes on beneath, and what is still true when a cover ends annunciates
//! at once, with the hazard that it owes. A shelf ends by the calendar, by elapsed time while the calendar is
//! in doubt, and never later than it was asked for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Mono, Now, SourceId};

use super::Engine;
use super::fault::of_point;
use crate::alarm::{Answer, Cover, Laid, Move, Onset};
use crate::hazard::{Raise, plan_of_fault};
use crate::plant::{DEADLINE, Plant, nearest, version};
use crate::task::left;
use crate::timer::{Timer, Timers};
use crate::{
    AlarmEvent, AlarmKind, AlarmTurn, Class, Effect, Evidence, HazardStage, OutOfService, Priority,
    Protected, Refusal, SHELF_MAX, Shelf, So, Truth, reason, words,
};

/// A candidate that nobody has judged for so long is heard of again, and again after as long.
const CANDIDATE_WAITS: Duration = Duration::from_mins(30);

impl Engine {
    pub(super) fn answer(
        &mut self,
        alarm: &str,
        answer: Answer,
        by: &str,
        at: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let plant = &self.plant;
        self.alarms.answer(alarm, answer, by, |id| plant.rule_at(id).is_some(), at.wall, effects)
    }

    pub(super) fn shelve(
        &mut self,
        alarm: &str,
        for_s: u64,
        by: &str,
        why: &str,
        at: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let why = said(why)?;
        let length = Duration::from_secs(for_s);
        if length.is_zero() || length > SHELF_MAX {
            return Err(Refusal::ShelfLength);
        }
        if let Some(as_a) = self.protected(alarm)? {
            return Err(Refusal::Protected { alarm: alarm.to_owned(), as_a });
        }
        if self.alarms.get(alarm).is_some_and(|record| record.withheld.shelved.is_some()) {
            return Err(Refusal::AlreadySo { is: So::Shelved });
        }
        let shelf =
            Shelf { by: by.to_owned(), why: why.to_owned(), since: at.wall, until: at.wall.after(length) };
        let idle = self.idle(alarm, at);
        self.alarms.cover(alarm, Laid::Shelf(shelf), Some(at.mono.after(length)), idle, at.wall, effects);
        self.offer_withheld_end();
        Ok(())
    }

    pub(super) fn unshelve(
        &mut self,
        alarm: &str,
        by: &str,
        at: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.protected(alarm)?;
        if self.uncover(alarm, Cover::Shelf, turn(AlarmEvent::Unshelved, Some(by)), at, effects) {
            self.offer_withheld_end();
            return Ok(());
        }
        Err(Refusal::AlreadySo { is: So::NotShelved })
    }

    pub(super) fn take_out(
        &mut self,
        what: &str,
        for_s: Option<u64>,
        by: &str,
        why: &str,
        at: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let why = said(why)?;
        let alarms = self.alarms_of(what)?;
        for alarm in &alarms {
            if let Some(as_a @ Protected::Sos) = self.protected(alarm)? {
                return Err(Refusal::Protected { alarm: alarm.clone(), as_a });
            }
        }
        let is_out = |alarm: &String| {
            self.alarms.get(alarm).is_some_and(|record| record.withheld.out_of_service.is_some())
        };
        let still_in: Vec<String> = alarms.into_iter().filter(|alarm| !is_out(alarm)).collect();
        if still_in.is_empty() {
            return Err(Refusal::AlreadySo { is: So::OutOfService });
        }
        let length = for_s.map(Duration::from_secs);
        let out = OutOfService {
            by: by.to_owned(),
            why: why.to_owned(),
            since: at.wall,
            until: length.map(|length| at.wall.after(length)),
        };
        let end = length.map(|length| at.mono.after(length));
        for alarm in still_in {
            let idle = self.idle(&alarm, at);
            self.alarms.cover(&alarm, Laid::OutOfService(out.clone()), end, idle, at.wall, effects);
        }
        self.offer_withheld_end();
        self.look_at_all(at.mono);
        Ok(())
    }

    pub(super) fn put_back(
        &mut self,
        what: &str,
        by: &str,
        at: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let mut was_out = false;
        for alarm in self.alarms_of(what)? {
            let back = turn(AlarmEvent::PutBack, Some(by));
            was_out |= self.uncover(&alarm, Cover::OutOfService, back, at, effects);
        }
        if !was_out {
            return Err(Refusal::AlreadySo { is: So::InService });
        }
        self.offer_withheld_end();
        self.look_at_all(at.mono);
        Ok(())
    }

    pub(super) fn stop_unit(
        &mut self,
        unit: &str,
        by: &str,
        why: &str,
        at: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let why = said(why)?;
        self.known_unit(unit)?;
        if self.stops.since(unit).is_some() {
            return Err(Refusal::AlreadySo { is: So::Stopped });
        }
        self.stops.begin(unit, by, why, at.wall, effects);
        let stopped = AlarmTurn { why: Some(why.to_owned()), ..turn(AlarmEvent::UnitStopped, Some(by)) };
        self.fit_to_stops(&stopped, &turn(AlarmEvent::UnitStarted, Some(by)), at, effects);
        self.look_at_all(at.mono);
        Ok(())
    }

    pub(super) fn start_unit(
        &mut self,
        unit: &str,
        by: &str,
        at: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.known_unit(unit)?;
        if self.stops.since(unit).is_none() {
            return Err(Refusal::AlreadySo { is: So::Running });
        }
        self.stops.end(unit, Some(by), at.wall, effects);
        let started = turn(AlarmEvent::UnitStarted, Some(by));
        self.fit_to_stops(&turn(AlarmEvent::UnitStopped, Some(by)), &started, at, effects);
        self.look_at_all(at.mono);
        Ok(())
    }

    /// Suppresses the alarms of stopped units and releases those of the others; tasks likewise.
    fn fit_to_stops(&mut self, stopped: &AlarmTurn, started: &AlarmTurn, at: Now, effects: &mut Vec<Effect>) {
        let Self { alarms, stops, .. } = self;
        let of_record = |record: &Arc<crate::AlarmRecord>| {
            let standing = record.state != crate::AlarmState::Normal;
            let wanted = stops.suppression(record.unit.as_deref(), record.class).filter(|_| standing);
            (wanted.is_some() != record.withheld.suppressed.is_some()).then(|| (record.id.clone(), wanted))
        };
        let changes: Vec<_> = alarms.open().filter_map(of_record).collect();
        for (id, wanted) in changes {
            match wanted {
                Some(suppressed) => {
                    self.alarms.suppress(&id, suppressed, stopped.clone(), at.wall, effects);
                }
                None => {
                    if self.alarms.unsuppress(&id, started.clone(), at.wall, effects) {
                        self.raise_owed(&id, at, effects);
                    }
                }
            }
        }
        self.raise_of_lost_sources(at, effects);
        let Self { plant, tasks, stops, .. } = self;
        tasks.fit_suspension(plant, |unit| stops.since(unit), at.wall, effects);
    }

    /// Whether the cover was on.
    fn uncover(
        &mut self,
        alarm: &str,
        cover: Cover,
        turn: AlarmTurn,
        at: Now,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(owed) = self.alarms.uncover(alarm, cover, turn, at.wall, effects) else { return false };
        if owed {
            self.raise_owed(alarm, at, effects);
        }
        // A source that was lost before may have been so for long enough while it was covered.
        self.raise_of_lost_sources(at, effects);
        true
    }

    /// The hazard of an episode that began while it was withheld, with the evidence of its onset.
    fn raise_owed(&mut self, alarm: &str, at: Now, effects: &mut Vec<Effect>) {
        let plant = Arc::clone(&self.plant);
        let Some(record) = self.alarms.get(alarm).cloned() else { return };
        let raise = Raise {
            rule: alarm,
            measure: "",
            plan: &plan_of_fault(alarm.trim_start_matches("fault:"), DEADLINE, plant.patience()),
            on_unknown: record.on_unknown,
            words: &record.words,
            evidence: &record.evidence,
            late: false,
            group: None,
        };
        if let Some(id) = plant.rule_at(alarm) {
            let Some(rule) = plant.rule(id) else { return };
            if let (Some(plan), Some(measure)) = (&rule.hazard, &rule.measure)
                && self.is_due(id, rule, plan, measure, at)
            {
                self.hazards.raise(&plant, &Raise { measure, plan, ..raise }, at.wall, effects);
            }
            return;
        }
        let point = alarm.strip_prefix("fault:").and_then(|tag| plant.point(plant.point_id(tag)?));
        for measure in point.into_iter().flat_map(|point| plant.measures_of(point)) {
            self.hazards.raise(&plant, &Raise { measure, ..raise }, at.wall, effects);
        }
    }

    /// Of sources that are lost for long already: those measures of which it was withheld. What was raised
    /// before is not raised again.
    fn raise_of_lost_sources(&mut self, at: Now, effects: &mut Vec<Effect>) {
        let sources = (0..self.plant.sources().len()).filter_map(|at| u16::try_from(at).ok()).map(SourceId);
        for source in sources {
            if self.timers.due(Timer::SourceHazard(source)).is_none() {
                self.source_hazard(source, at, effects);
            }
        }
    }

    pub(super) fn uncover_ended(&mut self, at: Now, effects: &mut Vec<Effect>) {
        for (cover, alarm) in self.alarms.ended(&self.present.calendar, at.mono) {
            let event = match cover {
                Cover::Shelf => AlarmEvent::ShelfEnded,
                Cover::OutOfService => AlarmEvent::OutOfServiceEnded,
            };
            self.uncover(&alarm, cover, turn(event, None), at, effects);
        }
        self.offer_withheld_end();
        self.look_at_all(at.mono);
    }

    pub(super) fn offer_withheld_end(&mut self) {
        match self.alarms.next_end(&self.present.calendar) {
            // By a calendar that was set forward it may be long past.
            Some(end) => self.timers.set(Timer::WithheldEnd, end.max(self.latest)),
            None => self.timers.clear(Timer::WithheldEnd),
        }
    }

    pub(super) fn re_alarm(&mut self, rule: u32, at: Now, effects: &mut Vec<Effect>) {
        if let Some(rule) = self.plant.rule(rule) {
            self.alarms.again(&rule.id, Move::ReAlarmed, at.wall, effects);
        }
    }

    /// The alarms of candidates that wait too long annunciate anew, one for each rule.
    pub(super) fn remind(&mut self, at: Now, effects: &mut Vec<Effect>) {
        let mut rules = BTreeSet::new();
        for hazard in self.hazards.open().filter(|hazard| hazard.stage == HazardStage::Candidate) {
            if let Some(due) = self.reminders.get_mut(&hazard.id).filter(|due| **due <= at.mono) {
                *due = at.mono.after(CANDIDATE_WAITS);
                rules.insert(hazard.rule.clone());
            }
        }
        for rule in rules {
            // What returned while its unit is stopped is suppressed as well.
            let of = self.alarms.get(&rule);
            let stopped = of.and_then(|of| self.stops.suppression(of.unit.as_deref(), of.class));
            if stopped.is_none() {
                self.alarms.again(&rule, Move::CandidateWaits, at.wall, effects);
            }
        }
        self.offer_reminder();
    }

    fn offer_reminder(&mut self) {
        match self.reminders.values().min() {
            Some(due) => self.timers.set(Timer::Candidate, *due),
            None => self.timers.clear(Timer::Candidate),
        }
    }

    pub(super) fn flood_may_end(&mut self, at: Mono) {
        if let Some(due) = self.quality.flood_may_end(at) {
            self.timers.set(Timer::FloodEnd, due);
        }
    }

    /// What follows from effects since `from` for re-alarms, reminders, deadlines and the figures.
    pub(super) fn note(&mut self, from: usize, at: Mono, effects: &[Effect]) {
        for effect in effects.iter().skip(from) {
            match effect {
                Effect::Alarm(record) => {
                    self.note_passed(record);
                    if let Some(due) = self.quality.note(record, at) {
                        self.timers.set(Timer::FloodEnd, due);
                    }
                    let Some(rule) = self.plant.rule_at(&record.id) else { continue };
                    let Some(after) = self.plant.rule(rule).and_then(|rule| rule.realarm) else { continue };
                    if record.state.is_active() && !record.withheld.is_some() {
                        self.timers.set(Timer::ReAlarm(rule), at.after(after));
                    } else {
                        self.timers.clear(Timer::ReAlarm(rule));
                    }
                }
                Effect::Hazard(hazard) if hazard.stage == HazardStage::Candidate => {
                    let due = at.after(CANDIDATE_WAITS);
                    self.reminders.entry(hazard.id).or_insert(due);
                    self.timers.set_no_later(Timer::Candidate, due);
                }
                Effect::Hazard(hazard) => {
                    self.reminders.remove(&hazard.id);
                    self.count_hazard(hazard, at);
                    self.note_open(hazard);
                }
                Effect::Task(_)
                | Effect::Unit(_)
                | Effect::Stop(_)
                | Effect::Record(_)
                | Effect::Indicator(_)
                | Effect::Shadow(_) => {}
            }
        }
        self.offer_deadlines(from, effects);
    }

    /// After a restart or a reload: what stops, covers and protections say under this plant.
    pub(super) fn settle_annunciation(&mut self, at: Now, effects: &mut Vec<Effect>) {
        let plant = Arc::clone(&self.plant);
        let gone: Vec<String> = self
            .stops
            .open()
            .map(|stop| stop.unit.clone())
            .filter(|unit| plant.unit(unit).is_none())
            .collect();
        for unit in gone {
            self.stops.end(&unit, None, at.wall, effects);
        }
        let (stopped, started) = (turn(AlarmEvent::UnitStopped, None), turn(AlarmEvent::UnitStarted, None));
        self.fit_to_stops(&stopped, &started, at, effects);
        // What may not be shelved any more is heard.
        let shelved = self.alarms.open().filter(|record| record.withheld.shelved.is_some());
        let shelved: Vec<String> = shelved.map(|record| record.id.clone()).collect();
        for alarm in shelved {
            if matches!(self.protected(&alarm), Ok(Some(_))) {
                let ended = turn(AlarmEvent::ShelfEnded, None);
                self.uncover(&alarm, Cover::Shelf, ended, at, effects);
            }
        }
        self.offer_withheld_end();
    }

    /// After a restart: what waited waits on, as far as the wall clock tells.
    pub(super) fn resume_annunciation(&mut self, now: Now) {
        self.quality.resume(self.alarms.open().map(AsRef::as_ref), now);
        for hazard in self.hazards.open().filter(|hazard| hazard.stage == HazardStage::Candidate) {
            // At the same times as if nothing had happened: a restart reminds nobody by itself.
            let waited = left(now.wall, hazard.raised).as_millis() % CANDIDATE_WAITS.as_millis();
            let waited = Duration::from_millis(u64::try_from(waited).unwrap_or(0));
            self.reminders.insert(hazard.id, now.mono.after(CANDIDATE_WAITS.saturating_sub(waited)));
        }
        self.offer_reminder();
        let plant = Arc::clone(&self.plant);
        for (at, rule) in (0u32..).zip(plant.rules()) {
            self.offer_re_alarm(at, &rule.id, now);
        }
    }

    /// After a reload: what waited waits on, but no longer than the new text says.
    pub(super) fn offer_re_alarms_again(&mut self, old: &Plant, timers: &Timers, now: Now) {
        let plant = Arc::clone(&self.plant);
        for (at, rule) in (0u32..).zip(plant.rules()) {
            let due = old.rule_at(&rule.id).and_then(|before| timers.due(Timer::ReAlarm(before)));
            match (due, rule.realarm) {
                (Some(due), Some(after)) => {
                    self.timers.set(Timer::ReAlarm(at), due.min(now.mono.after(after)));
                }
                (None, Some(_)) => self.offer_re_alarm(at, &rule.id, now),
                (_, None) => {}
            }
        }
    }

    /// As far off as the record's last change says, and no farther than the rule does.
    fn offer_re_alarm(&mut self, at: u32, id: &str, now: Now) {
        let Some(after) = self.plant.rule(at).and_then(|rule| rule.realarm) else { return };
        let waits = self.alarms.get(id).filter(|of| of.state.is_active() && !of.withheld.is_some());
        if let Some(record) = waits {
            let due = left(record.changed.after(after), now.wall).min(after);
            self.timers.set(Timer::ReAlarm(at), now.mono.after(due));
        }
    }

    /// Measures that rules watch and of which every rule is out of service, by id.
    pub fn unwatched(&self) -> Vec<String> {
        let is_out =
            |id: &str| self.alarms.get(id).is_some_and(|record| record.withheld.out_of_service.is_some());
        if !self.alarms.open().any(|record| record.withheld.out_of_service.is_some()) {
            return Vec::new();
        }
        let of = |out: bool| -> BTreeSet<&str> {
            let rules = self.plant.rules().iter().filter(|rule| is_out(rule.id()) == out);
            rules.filter_map(|rule| rule.measure()).collect()
        };
        let watched = of(false);
        of(true).into_iter().filter(|measure| !watched.contains(measure)).map(str::to_owned).collect()
    }

    /// What an alarm of the plant is protected as.
    fn protected(&self, alarm: &str) -> Result<Option<Protected>, Refusal> {
        let rule = self.plant.rule_at(alarm).and_then(|rule| self.plant.rule(rule));
        match (rule, self.alarms.get(alarm)) {
            (Some(rule), _) => Ok(Protected::of(rule.kind, rule.class, rule.priority, Some(rule))),
            (None, Some(of)) if of.kind == AlarmKind::Fault => {
                Ok(Protected::of(of.kind, of.class, of.priority, None))
            }
            // Of a rule that is gone there is nothing to silence.
            (None, Some(_)) => Err(self.alarms.unknown(alarm)),
            (None, None) => match self.fault_of(alarm) {
                Some((class, priority)) => Ok(Protected::of(AlarmKind::Fault, class, priority, None)),
                None => Err(self.alarms.unknown(alarm)),
            },
        }
    }

    /// Of a point's loss that never was.
    fn fault_of(&self, alarm: &str) -> Option<(Class, Priority)> {
        let point = self.plant.point(self.plant.point_id(alarm.strip_prefix("fault:")?)?)?;
        Some((point.class, Priority::Low))
    }

    /// An alarm by its id; of a point by its tag the alarms that are about it alone.
    pub(super) fn alarms_of(&self, what: &str) -> Result<Vec<String>, Refusal> {
        if self.protected(what).is_ok() {
            return Ok(vec![what.to_owned()]);
        }
        let Some(point) = self.plant.point_id(what) else {
            let ids = self.plant.rules().iter().filter(|rule| !rule.shadow).map(|rule| rule.id.as_str());
            let tags = self.plant.points().iter().map(|point| point.tag.as_str());
            let nearest = nearest(what, ids.chain(tags)).map(str::to_owned);
            return Err(Refusal::UnknownAlarm { alarm: what.to_owned(), nearest });
        };
        let rules = self.plant.rules_of_point(point).iter().filter_map(|rule| self.plant.rule(*rule));
        let rules = rules.filter(|rule| !rule.shadow);
        let alone =
            rules.filter(|rule| rule.points == [point] && !rule.reads_places() && rule.conditions.is_empty());
        Ok(alone.map(|rule| rule.id.clone()).chain([of_point(what)]).collect())
    }

    /// What an alarm is that never was one.
    fn idle(&self, alarm: &str, at: Now) -> Option<Onset> {
        if self.alarms.get(alarm).is_some() {
            return None;
        }
        if let Some(id) = self.plant.rule_at(alarm) {
            let rule = self.plant.rule(id)?;
            let onset = self.onset(id, rule, false, at);
            return Some(Onset { words: rule.name.clone(), ..onset });
        }
        let point = self.plant.point_id(alarm.strip_prefix("fault:")?)?;
        let draft = self.plant.point(point)?;
        let condition = format!("bad({})", draft.written());
        let evidence = Evidence {
            rule: alarm.to_owned(),
            version: version(&[&condition]),
            condition,
            verdict: Truth::Unknown,
            at: at.wall,
            operands: self.operand(point, at).into_iter().collect(),
            reason: None,
        };
        Some(Onset {
            id: alarm.to_owned(),
            kind: AlarmKind::Fault,
            class: draft.class,
            priority: Priority::Low,
            unit: self
                .plant
                .measures_of(draft)
                .next()
                .and_then(|of| Some(self.plant.unit_of_measure(of)?.id.clone())),
            measure: None,
            words: words::of_lost_point(draft, self.present.point(point)?.quality),
            guidance: words::guidance_of_fault(),
            tags: vec![draft.tag.clone()],
            blinds: Vec::new(),
            on_unknown: false,
            evidence: reason::explain(evidence, None, &self.plant),
        })
    }

    fn known_unit(&self, unit: &str) -> Result<(), Refusal> {
        if self.plant.unit(unit).is_some() {
            return Ok(());
        }
        let units = self.plant.units().iter().map(|unit| unit.id.as_str());
        let nearest = nearest(unit, units).map(str::to_owned);
        Err(Refusal::UnknownUnit { unit: unit.to_owned(), nearest })
    }
}

fn turn(event: AlarmEvent, by: Option<&str>) -> AlarmTurn {
    AlarmTurn { event, by: by.map(str::to_owned), why: None }
}

fn said(why: &str) -> Result<&str, Refusal> {
    let why = why.trim();
    if why.is_empty() { Err(Refusal::NoReason) } else { Ok(why) }
}
