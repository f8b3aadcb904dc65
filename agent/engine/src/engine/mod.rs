//! The engine: one owner of everything that is going on in the plant. Reports and acts go in, effects
//! come out.
//!
//! Incremental: a sample touches the rules that read its point and nothing else. Deadlines stand in one
//! ordered structure; each that is acted on was offered by [`Engine::poll_timeout`]. What one input leads
//! to comes out in the order: alarm, hazard, task, unit, rule by rule.
//!
//! Time is what the inputs say. Judging runs on received time: before a report is taken in, every deadline
//! up to its time is acted on, at the deadline's own time, so that a late turn of the caller's loop changes
//! no verdict.

mod annunciate;
mod duties;
mod expected;
mod fault;
mod hazards;
mod indicators;
mod judge;
#[cfg(test)]
mod properties;
mod refill;
mod running;
mod settle;
#[cfg(test)]
mod tests;
mod told;
mod unseen;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use riskgate_point::{Fix, Link, Mono, Now, PointId, Report, Sample, Sighting, SourceId, Wall};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::alarm::{Alarms, Answer};
use crate::expr::Memory;
use crate::hazard::{Hazards, Step};
use crate::plant::Plant;
use crate::presence::{Count, Moved};
use crate::present::{Heard, PointView, Present, SourceView};
use crate::quality::Tally;
use crate::record::Watches;
use crate::rule::Phase;
use crate::shadow::Shadows;
use crate::stop::Stops;
use crate::task::Tasks;
use crate::timer::{Timer, Timers};
use crate::unit::Units;
use crate::{
    Act, AlarmQuality, AlarmRecord, CheckRecord, Deed, Effect, HazardRecord, IndicatorRecord, Period,
    Refusal, Running, ShadowRecord, StopRecord, TaskRecord, UnitRecord,
};

/// Drawn at random when a store is created: hazards of a lost store and of its successor never share an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch(pub Uuid);

/// What a store kept for the engine.
#[derive(Debug, Default)]
pub struct Restored {
    /// The newest record of each alarm, also of those that are normal: episodes and revisions count on.
    pub alarms: Vec<AlarmRecord>,
    /// Every open hazard, and the newest of each (measure, cause) even if accepted or rejected.
    pub hazards: Vec<HazardRecord>,
    /// The newest record of each task and of each unit.
    pub tasks: Vec<TaskRecord>,
    pub units: Vec<UnitRecord>,
    /// The newest stop of each unit, ended or not.
    pub stops: Vec<StopRecord>,
    pub indicators: Option<IndicatorRecord>,
    pub shadows: Vec<ShadowRecord>,
    /// What the engine before was counting.
    pub running: Option<Running>,
    /// The agent's own records since then, and since the indicators were told, whichever is the earlier.
    pub records: Vec<CheckRecord>,
}

/// Reports that were not judged, by reason, since the engine was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Unjudged {
    /// History, or older than what was known.
    pub late: u64,
    /// They name a point, a source or a camera that the plant does not have.
    pub stray: u64,
    /// No room for another kind of sighting of this camera, another condition of this source, or another
    /// permit.
    pub crowded: u64,
    /// Fixes in a zone, and permits of a place, that the plant does not name: they count in none of its own.
    pub elsewhere: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Engine {
    plant: Arc<Plant>,
    present: Present,
    /// In the order of the plant's rules.
    rules: Vec<RuleState>,
    timers: Timers,
    alarms: Alarms,
    hazards: Hazards,
    tasks: Tasks,
    units: Units,
    /// The present cycles of tasks, by the task's place in the plant.
    periods: BTreeMap<u32, Period>,
    watches: Watches,
    /// How many cycles are over: what was counted of them is of no more use.
    cycles_over: u64,
    /// What the engine before was counting of cycles, until each is gone on with.
    before: Running,
    /// When this engine began.
    began: Mono,
    /// `None`: the calendar has not told the week yet.
    indicators: Option<Box<IndicatorRecord>>,
    /// Up to when the week was seen.
    indicators_seen: Mono,
    stops: Stops,
    /// What the newest record of a person has its id from.
    recorded: Wall,
    shadows: Shadows,
    unseen: Option<Box<unseen::Unseen>>,
    quality: Tally,
    /// When each candidate hazard that nobody has judged is to be heard of again.
    reminders: BTreeMap<Uuid, Mono>,
    /// The newest time that was acted on; it never goes back.
    latest: Mono,
    unjudged: Unjudged,
    /// The rules that a reading or a deadline touches; kept for its room.
    touched: Vec<u32>,
    /// Every rule of a point is judged at each change of it: what judging those alone that are touched must be
    /// equal to.
    #[cfg(test)]
    judges_all: bool,
}

/// What is going on with one rule.
#[derive(Debug)]
struct RuleState {
    phase: Phase,
    /// Its episode began before this engine did, and it reads people, cameras or permits: what nobody has
    /// told yet ends nothing.
    from_before: bool,
    /// Of a written rule that has something to remember.
    memory: Option<Box<Memories>>,
}

#[derive(Debug)]
struct Memories {
    when: Memory,
    /// `None`: what `when` remembers is all that `clear` would.
    clear: Option<Box<Memory>>,
}

impl Engine {
    /// `handle` takes a report in at the time it was received: not after `now`, and not before what was
    /// taken in already.
    pub fn handle(&mut self, report: Report, now: Now, effects: &mut Vec<Effect>) {
        let received = match &report {
            Report::Sample(sample) => sample.received,
            Report::Fix(fix) => fix.received,
            Report::Sighting(sighting) => sighting.received,
            Report::Permit(permit) => permit.received,
            Report::Condition(condition) => condition.received,
            Report::Link { at, .. }
            | Report::Refreshed { at, .. }
            | Report::ConditionsTold { at, .. }
            | Report::ConditionsLost { at, .. } => *at,
        };
        let at = Now { mono: received.mono.min(now.mono).max(self.latest), wall: received.wall };
        self.run_timers(at, effects);
        let before = effects.len();
        self.look_at_calendar(Now { mono: received.mono, wall: received.wall }, at, effects);
        match report {
            Report::Sample(sample) => self.sample(sample, at, effects),
            Report::Fix(fix) => self.fix(&fix, at, effects),
            Report::Sighting(sighting) => self.sighting(&sighting, at, effects),
            Report::Permit(permit) => self.permit(&permit, at, effects),
            Report::Condition(condition) => self.condition(&condition, at, effects),
            Report::ConditionsTold { source, at: _ } => self.conditions_told(source, at, effects),
            Report::ConditionsLost { source, at: _ } => self.conditions_lost(source, at, effects),
            Report::Link { source, link, at: _ } => self.link(source, link, at, effects),
            Report::Refreshed { source, at: _ } => self.refreshed(source, at, effects),
        }
        self.note(before, at.mono, effects);
        self.run_timers(at, effects);
    }

    /// The earliest deadline, and what it is for.
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        self.timers.next()
    }

    /// Acts on every deadline up to `now`.
    pub fn handle_timeout(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.run_timers(Now { mono: now.mono.max(self.latest), wall: now.wall }, effects);
    }

    /// An act of a person. On a refusal nothing has changed.
    pub fn act(&mut self, act: &Act, now: Now, effects: &mut Vec<Effect>) -> Result<(), Refusal> {
        let by = act.by.trim();
        if by.is_empty() {
            return Err(Refusal::Nameless);
        }
        let at = Now { mono: now.mono.max(self.latest), wall: now.wall };
        let before = effects.len();
        self.obey(&act.deed, by, at, effects)?;
        self.note(before, at.mono, effects);
        Ok(())
    }

    fn obey(&mut self, deed: &Deed, by: &str, at: Now, effects: &mut Vec<Effect>) -> Result<(), Refusal> {
        let mut hazard = |id: Uuid, step: Step, why: Option<&str>| {
            let why = why.map(str::trim).filter(|why| !why.is_empty());
            if step == Step::Reject && why.is_none() {
                return Err(Refusal::NoReason);
            }
            self.hazards.act(id, step, by, why, at.wall, effects)
        };
        match deed {
            Deed::Confirm { hazard: id, why } => hazard(*id, Step::Confirm, why.as_deref()),
            Deed::Reject { hazard: id, why } => hazard(*id, Step::Reject, Some(why)),
            Deed::Rectify { hazard: id, why } => hazard(*id, Step::Rectify, why.as_deref()),
            Deed::Accept { hazard: id, why } => hazard(*id, Step::Accept, why.as_deref()),
            Deed::Record { task, status, why } => {
                self.record(task, *status, (by, why.as_deref()), at, effects)
            }
            Deed::Acknowledge { alarm } => self.answer(alarm, Answer::Acknowledge, by, at, effects),
            Deed::Reset { alarm } => self.answer(alarm, Answer::Reset, by, at, effects),
            Deed::Shelve { alarm, for_s, why } => self.shelve(alarm, *for_s, by, why, at, effects),
            Deed::Unshelve { alarm } => self.unshelve(alarm, by, at, effects),
            Deed::OutOfService { what, why, for_s } => self.take_out(what, *for_s, by, why, at, effects),
            Deed::InService { what } => self.put_back(what, by, at, effects),
            Deed::StopUnit { unit, why } => self.stop_unit(unit, by, why, at, effects),
            Deed::StartUnit { unit } => self.start_unit(unit, by, at, effects),
        }
    }

    /// Each point of the plant, in order.
    pub fn points(&self) -> impl Iterator<Item = (PointId, PointView)> + '_ {
        (0u32..).map(PointId).zip(self.present.points.iter().map(|point| point.view()))
    }

    /// Each source of the plant, in order.
    pub fn sources(&self) -> Vec<SourceView> {
        let ids = (0..self.plant.sources().len()).filter_map(|at| u16::try_from(at).ok()).map(SourceId);
        ids.filter_map(|id| self.present.source_view(&self.plant, id)).collect()
    }

    /// Alarms that are not normal, and those that are shelved or out of service, by id.
    pub fn alarms(&self) -> Vec<Arc<AlarmRecord>> {
        self.alarms.open().cloned().collect()
    }

    /// Open hazards, candidates among them, by measure and cause.
    pub fn hazards(&self) -> Vec<Arc<HazardRecord>> {
        self.hazards.open().cloned().collect()
    }

    /// Units that are stopped, by id.
    pub fn stops(&self) -> Vec<Arc<StopRecord>> {
        self.stops.open().cloned().collect()
    }

    /// What the shadow rules would have told, by rule id; those that never had an episode are not among them.
    pub fn shadows(&self) -> Vec<Arc<ShadowRecord>> {
        self.shadows.all().cloned().collect()
    }

    /// How good the alarms are (EEMUA 191), over the last day and the last week.
    pub fn quality(&self, now: Mono) -> AlarmQuality {
        self.quality.view(now, self.alarms.open().map(AsRef::as_ref))
    }

    /// As they were told last; `None`: they never were.
    pub fn indicators(&self) -> Option<&IndicatorRecord> {
        self.indicators.as_deref().filter(|record| record.revision > 0)
    }

    /// Tasks that are boosted or suspended, by id.
    pub fn tasks(&self) -> Vec<Arc<TaskRecord>> {
        self.tasks.boosted().cloned().collect()
    }

    /// Every unit of the plant, by id.
    pub fn units(&self) -> Vec<Arc<UnitRecord>> {
        self.units.of(&self.plant).cloned().collect()
    }

    /// Persons in each zone of the plant, in order; `None`: unknown, a feed is down.
    pub fn people(&self, now: Mono) -> Vec<Option<Count>> {
        let known = self.present.people_known(&self.plant);
        let zones = (0u32..).zip(self.plant.zones());
        zones.map(|(at, _)| self.present.presence.count(at, now).filter(|_| known)).collect()
    }

    pub fn unjudged(&self) -> Unjudged {
        self.unjudged
    }

    pub fn plant(&self) -> &Arc<Plant> {
        &self.plant
    }

    fn run_timers(&mut self, until: Now, effects: &mut Vec<Effect>) {
        while let Some((due, timer)) = self.timers.pop_due(until.mono) {
            let at = Now { mono: due.max(self.latest), wall: until.wall };
            self.latest = at.mono;
            let before = effects.len();
            match timer {
                Timer::Stale(_) | Timer::Silent(_) => {
                    // All that is silent from this instant on is one step, with what else falls due in it: no
                    // rule sees one of two points grow stale before the other, or before a feed falls silent.
                    let mut silences = vec![timer];
                    silences.extend(std::iter::from_fn(|| self.timers.pop_silence(due)));
                    let mut rules = self.fall_silent(&silences, at);
                    while let Some(rule) = self.timers.pop_rule(due) {
                        rules.insert(rule);
                    }
                    self.judge_all(rules, at, effects);
                }
                Timer::Calendar => self.calendar_settled(at, effects),
                Timer::Change(rule) | Timer::Delay(rule) => {
                    // All that fall due in one instant are one step.
                    let mut rules = std::mem::take(&mut self.touched);
                    rules.clear();
                    rules.push(rule);
                    rules.extend(std::iter::from_fn(|| self.timers.pop_rule(due)));
                    rules.sort_unstable();
                    rules.dedup();
                    self.judge_all(rules.iter().copied(), at, effects);
                    self.touched = rules;
                }
                Timer::SourceFault(source) => self.source_fault(source, at, effects),
                Timer::PointFault(point) => self.point_fault(point, at, effects),
                Timer::SourceHazard(source) => self.source_hazard(source, at, effects),
                Timer::Hazard(rule) => self.hazard_after(rule, at, effects),
                Timer::Overdue => self.overdue(at, effects),
                Timer::Duty(task) => self.duty(task, at, effects),
                Timer::Boost(task) => {
                    if let Some(task) = self.plant.task_at(task) {
                        self.tasks.expire(&task.id, at, effects);
                    }
                    self.offer_boost(task);
                }
                Timer::Raise(unit) => {
                    if let Some(unit) = self.plant.unit_at(unit) {
                        self.units.expire(&unit.id, at, effects);
                    }
                    self.offer_raise(unit);
                }
                Timer::WithheldEnd => self.uncover_ended(at, effects),
                Timer::ReAlarm(rule) => self.re_alarm(rule, at, effects),
                Timer::Candidate => self.remind(at, effects),
                Timer::FloodEnd => self.flood_may_end(at.mono),
                Timer::Indicators => self.tell_indicators(at, effects),
            }
            self.note(before, at.mono, effects);
        }
        self.latest = self.latest.max(until.mono);
    }

    fn sample(&mut self, sample: Sample, at: Now, effects: &mut Vec<Effect>) {
        let id = sample.point;
        let history = sample.backfill.then(|| sample.clone());
        let Some(heard) = self.present.sample(&self.plant, sample, at.mono) else {
            self.unjudged.stray += 1;
            return;
        };
        if heard == Heard::Late {
            self.unjudged.late += 1;
            if let Some(sample) = history {
                self.late_candidates(&sample, at, effects);
            }
            // Keep-alives do not count any more: it may be stale already.
            if let Some(due) = self.present.stale_at(&self.plant, id) {
                self.timers.set_no_later(Timer::Stale(id), due.max(at.mono));
            }
            return;
        }
        let Some(point) = self.present.point(id) else { return };
        let (source, is_bad) = (point.source, point.quality.is_bad());
        if !is_bad && self.present.source(source).is_some_and(|source| source.lost) {
            self.read_from(source, at, effects);
        }
        let Heard::Changed { was_bad, is_bad, step } = heard else {
            if !self.plant.rules_of_age(id).is_empty() {
                let plant = Arc::clone(&self.plant);
                self.judge_all(plant.rules_of_age(id).iter().copied(), at, effects);
            }
            return;
        };
        if is_bad && !was_bad {
            self.watch_fault(id, at.mono);
        } else if was_bad && !is_bad {
            self.seen_again(id, at, effects);
        }
        match step {
            Some((from, to)) => self.judge_touched(id, from, to, at, effects),
            None => self.judge_point(id, at, effects),
        }
    }

    fn fix(&mut self, fix: &Fix, at: Now, effects: &mut Vec<Effect>) {
        let Some(source) = self.present.source_mut(fix.source) else {
            self.unjudged.stray += 1;
            return;
        };
        if fix.backfill {
            source.late += 1;
            self.unjudged.late += 1;
            return;
        }
        let mut zones = match (&fix.zone, &fix.spot) {
            (Some(zone), _) => self.plant.zone_at(zone).into_iter().collect(),
            (None, Some(spot)) => self.plant.zones_around(spot),
            (None, None) => Vec::new(),
        };
        self.unjudged.elsewhere += u64::from(fix.zone.is_some() && zones.is_empty());
        // Who calls for help is somewhere, wherever that is.
        if fix.sos && zones.is_empty() {
            zones.push(self.plant.outside());
        }
        let carrier = self.plant.carrier(fix);
        // It is taken in before its feed is there again: no rule sees the feed without it.
        let moved = self.present.presence.fix(fix, zones, carrier, at.mono);
        self.heard_from(fix.source, at, effects);
        match moved {
            Moved::No => {}
            Moved::Late => {
                self.unjudged.late += 1;
                if let Some(source) = self.present.source_mut(fix.source) {
                    source.late += 1;
                }
            }
            Moved::Zones(touched) => {
                let plant = Arc::clone(&self.plant);
                let zones = touched.into_iter();
                let rules: BTreeSet<u32> =
                    zones.flat_map(|zone| plant.rules_of_zone(zone)).copied().collect();
                self.judge_all(rules, at, effects);
            }
        }
    }

    fn sighting(&mut self, sighting: &Sighting, at: Now, effects: &mut Vec<Effect>) {
        let Some(source) = self.present.source_mut(sighting.source) else {
            self.unjudged.stray += 1;
            return;
        };
        if sighting.backfill {
            source.late += 1;
            self.unjudged.late += 1;
            return;
        }
        let Some(camera) = self.plant.camera_at(&sighting.camera) else {
            self.unjudged.stray += 1;
            self.heard_from(sighting.source, at, effects);
            return;
        };
        let (kind, confidence) = (&sighting.kind, sighting.confidence);
        if !self.present.vision.sighting(camera, kind, confidence, at.mono) {
            self.unjudged.crowded += 1;
        }
        self.heard_from(sighting.source, at, effects);
        let plant = Arc::clone(&self.plant);
        self.judge_all(plant.rules_of_camera(camera).iter().copied(), at, effects);
    }

    fn link(&mut self, id: SourceId, link: Link, at: Now, effects: &mut Vec<Effect>) {
        let has_points = self.plant.points_of(id).next().is_some() && !self.plant.is_read_by_age(id);
        let Some(source) = self.present.source_mut(id) else {
            self.unjudged.stray += 1;
            return;
        };
        let (was_up, is_up) = (source.link == Link::Up, link == Link::Up);
        source.link = link;
        if !is_up {
            self.forget_what_was_told(id);
        }
        if was_up == is_up {
            return;
        }
        let Some(source) = self.present.source_mut(id) else { return };
        source.since = at.wall;
        source.since_mono = at.mono;
        if !is_up {
            self.lose(id, at.mono);
            self.present.permits.begin_anew(id);
            self.look_for_room(id, at, effects);
            self.judge_places(id, at, effects);
            return;
        }
        // Silence counts from here.
        source.listen(at.mono);
        self.offer_silent(id);
        // With points, a link alone is no sight: it counts once one of them reads something. But for a test by
        // hand nobody can wait.
        if !has_points {
            self.found(id, at, effects);
        }
        self.judge_places(id, at, effects);
    }

    fn refreshed(&mut self, id: SourceId, at: Now, effects: &mut Vec<Effect>) {
        if self.present.source(id).is_none() {
            self.unjudged.stray += 1;
            return;
        }
        let again = self.present.refreshed(id, at.mono);
        self.heard_from(id, at, effects);
        for point in again {
            self.seen_again(point, at, effects);
            self.judge_point(point, at, effects);
        }
    }
}
