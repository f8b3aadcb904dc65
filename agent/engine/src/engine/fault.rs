//! Loss of sight: points that go stale or stay bad, feeds that fall silent, sources that are lost.
//!
//! A measure that nobody can see has failed as a measure. A lost source is one matter, not one for each of
//! its points. Nothing here clears an alarm of a rule: what cannot be seen stays as it was.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Link, Mono, Now, PointId, SourceId};

use super::Engine;
use crate::alarm::Onset;
use crate::hazard::{Raise, plan_of_fault};
use crate::plant::{DEADLINE, Plant, version};
use crate::present::SourceState;
use crate::timer::Timer;
use crate::{
    AlarmKind, Class, Effect, Evidence, Operand, Patience, Priority, SourceDraft, Truth, Words, reason, words,
};

pub(super) fn fault_after(patience: Patience, class: Class) -> Duration {
    match class {
        Class::Gas | Class::Fire | Class::Sis | Class::People => patience.strict,
        Class::Process | Class::Equipment | Class::System | Class::Video | Class::Permit => patience.usual,
    }
}

/// The alarm of a lost point.
pub(super) fn of_point(tag: &str) -> String {
    format!("fault:{tag}")
}

/// The alarm of a lost source.
pub(super) fn of_source(id: &str) -> String {
    format!("fault:source:{id}")
}

/// What is not seen any more: rules, by place, and what is at stake.
struct Blinded {
    measures: Vec<String>,
    /// The one unit of all those measures.
    unit: Option<String>,
    priority: Priority,
}

impl Blinded {
    fn by<'a>(
        plant: &'a Plant,
        rules: impl IntoIterator<Item = u32>,
        own: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let rules: BTreeSet<u32> = rules.into_iter().collect();
        let rules = rules.into_iter().filter_map(|rule| plant.rule(rule));
        let rules: Vec<_> = rules.filter(|rule| !rule.shadow).collect();
        let measures: BTreeSet<&str> = rules.iter().filter_map(|rule| rule.measure()).chain(own).collect();
        let units: BTreeSet<&str> = measures
            .iter()
            .filter_map(|measure| plant.unit_of_measure(measure))
            .map(|unit| unit.id.as_str())
            .collect();
        let mut units = units.into_iter();
        Self {
            measures: measures.into_iter().map(str::to_owned).collect(),
            unit: units.next().filter(|_| units.next().is_none()).map(str::to_owned),
            priority: rules.iter().map(|rule| rule.priority()).max().unwrap_or(Priority::Low),
        }
    }
}

impl Engine {
    /// A point turned bad at `at`.
    pub(super) fn watch_fault(&mut self, id: PointId, at: Mono) {
        self.look_at_point(id, at);
        let raised = self.present.point(id).is_none_or(|point| point.fault);
        if let Some(point) = self.plant.point(id).filter(|_| !raised)
            && self.plant.is_watched(id)
        {
            self.timers.set(Timer::PointFault(id), at.after(fault_after(self.plant.patience(), point.class)));
        }
    }

    /// A point reads something again.
    pub(super) fn seen_again(&mut self, id: PointId, at: Now, effects: &mut Vec<Effect>) {
        self.timers.clear(Timer::PointFault(id));
        self.look_at_point(id, at.mono);
        if let Some(due) = self.present.stale_at(&self.plant, id) {
            self.timers.set_no_later(Timer::Stale(id), due);
        }
        let Some(point) = self.present.point_mut(id).filter(|point| point.fault) else { return };
        point.fault = false;
        if let Some(point) = self.plant.point(id) {
            let fault = of_point(&point.tag);
            self.alarms.end(&fault, false, at.wall, effects);
            // A few keys, not a walk over all hazards: thousands of points may be seen again at once.
            for measure in self.plant.measures_of(point) {
                self.hazards.end(measure, &fault, &fault, at.wall, effects);
            }
        }
    }

    /// Points that may have grown stale and feeds that may have fallen silent; gives the rules that read those
    /// which have.
    pub(super) fn fall_silent(&mut self, silences: &[Timer], at: Now) -> BTreeSet<u32> {
        let mut rules = BTreeSet::new();
        for silence in silences {
            // No other timer is of silence.
            if let Timer::Stale(point) = silence {
                rules.extend(self.stale(*point, at));
            } else if let Timer::Silent(source) = silence {
                rules.extend(self.silent(*source, at));
            }
        }
        rules
    }

    fn stale(&mut self, id: PointId, at: Now) -> BTreeSet<u32> {
        match self.present.grow_stale(&self.plant, id, at.mono) {
            Err(due) => self.timers.set(Timer::Stale(id), due),
            Ok(false) => {}
            Ok(true) => {
                self.watch_fault(id, at.mono);
                return self.plant.rules_of_point(id).iter().copied().collect();
            }
        }
        BTreeSet::new()
    }

    pub(super) fn point_fault(&mut self, id: PointId, at: Now, effects: &mut Vec<Effect>) {
        let plant = Arc::clone(&self.plant);
        let (Some(draft), Some(point)) = (plant.point(id), self.present.point(id)) else { return };
        // The loss of its source stands for it; `found` begins the wait anew.
        let lost = self.present.source(point.source).is_some_and(|source| source.lost);
        if !point.quality.is_bad() || point.fault || lost {
            return;
        }
        let words = words::of_lost_point(draft, point.quality);
        let rules = plant.rules_of_point(id).iter().copied();
        let blinded = Blinded::by(&plant, rules, plant.measures_of(draft));
        let fault = of_point(&draft.tag);
        let condition = format!("bad({})", draft.written());
        let operands = self.operand(id, at).into_iter().collect();
        let tags = vec![draft.tag.clone()];
        let evidence =
            self.fault(&fault, condition, draft.class, blinded, &words, tags, operands, at, effects);
        if let Some(point) = self.present.point_mut(id) {
            point.fault = true;
        }
        let withheld = self.alarms.withholds_hazards(&fault);
        for measure in plant.measures_of(draft).filter(|_| !withheld) {
            let plan = &plan_of_fault(&draft.tag, DEADLINE, plant.patience());
            let (words, evidence) = (&words, &evidence);
            let raise = Raise {
                rule: &fault,
                measure,
                plan,
                on_unknown: false,
                words,
                evidence,
                late: false,
                group: None,
            };
            self.hazards.raise(&plant, &raise, at.wall, effects);
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what an alarm says; both callers have it as single values"
    )]
    fn fault(
        &mut self,
        id: &str,
        condition: String,
        class: Class,
        blinded: Blinded,
        words: &Words,
        tags: Vec<String>,
        operands: Vec<Operand>,
        at: Now,
        effects: &mut Vec<Effect>,
    ) -> Evidence {
        let evidence = Evidence {
            rule: id.to_owned(),
            version: version(&[&condition]),
            condition,
            verdict: Truth::True,
            at: at.wall,
            operands,
            reason: None,
        };
        let evidence = reason::explain(evidence, None, &self.plant);
        let onset = Onset {
            id: id.to_owned(),
            kind: AlarmKind::Fault,
            class,
            priority: blinded.priority,
            unit: blinded.unit,
            measure: None,
            words: words.clone(),
            guidance: words::guidance_of_fault(),
            tags,
            blinds: blinded.measures,
            on_unknown: false,
            evidence: evidence.clone(),
        };
        let suppressed = self.stops.suppression(onset.unit.as_deref(), class);
        self.alarms.begin(onset, suppressed, at.wall, effects);
        evidence
    }

    /// A fix, a sighting, a permit, a condition, a keep-alive or a heartbeat came from a source: it and its
    /// feeds are there.
    pub(super) fn heard_from(&mut self, id: SourceId, at: Now, effects: &mut Vec<Effect>) {
        let Some(source) = self.present.source_mut(id) else { return };
        let (was_live, was_heard) = (source.is_live(), source.was_heard);
        source.hear(at.mono);
        let was_silent = std::mem::take(&mut source.silent);
        self.answers(id, was_silent, was_live, at, effects);
        if !was_heard && self.plant.source(id).is_some_and(|source| source.permits) {
            self.judge_places(id, at, effects);
        }
    }

    /// A point of a source reads something: the source is there. Of its feeds that says nothing.
    pub(super) fn read_from(&mut self, id: SourceId, at: Now, effects: &mut Vec<Effect>) {
        let was_live = self.present.source(id).is_some_and(SourceState::is_live);
        self.answers(id, false, was_live, at, effects);
    }

    fn answers(
        &mut self,
        id: SourceId,
        was_silent: bool,
        was_live: bool,
        at: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some(source) = self.present.source_mut(id) else { return };
        if source.link == Link::Connecting {
            source.link = Link::Up;
            source.since = at.wall;
            source.since_mono = at.mono;
        }
        // What was on its way when the link went down proves nothing.
        let is_found = source.link == Link::Up && (source.lost || was_silent);
        let is_live = source.is_live();
        if is_found {
            self.found(id, at, effects);
        }
        if is_live != was_live {
            self.offer_silent(id);
            self.judge_places(id, at, effects);
        }
    }

    /// A source is lost from `at` on, if it is not already.
    pub(super) fn lose(&mut self, id: SourceId, at: Mono) {
        if let Some(source) = self.present.source_mut(id).filter(|source| !source.lost) {
            let was_blind = source.is_blind();
            source.lost = true;
            // A wait that began with its silence goes on, unless its points want a shorter one.
            self.watch_source(id, at, was_blind);
        }
    }

    /// `going_on`: it was waited for already; what is due sooner stays due.
    pub(super) fn watch_source(&mut self, id: SourceId, at: Mono, going_on: bool) {
        self.look_at_source(id, at);
        let patience = self.plant.patience();
        let fault = at.after(fault_after(patience, self.class_of(id)));
        // Its hazards are of the episode that its alarm begins: they are never before it.
        let hazard = fault.max(at.after(patience.source_hazard));
        for (timer, due) in [(Timer::SourceFault(id), fault), (Timer::SourceHazard(id), hazard)] {
            if going_on {
                self.timers.set_no_later(timer, due);
            } else {
                self.timers.set(timer, due);
            }
        }
    }

    /// The link of a source is there again, or its feeds are. Once both are its fault is over; points that
    /// are bad all the same have their own wait from now on.
    pub(super) fn found(&mut self, id: SourceId, at: Now, effects: &mut Vec<Effect>) {
        let plant = Arc::clone(&self.plant);
        let Some(source) = self.present.source_mut(id) else { return };
        let was_lost = std::mem::take(&mut source.lost);
        let is_blind = source.is_blind();
        self.look_at_source(id, at.mono);
        let Some(source) = self.present.source_mut(id) else { return };
        if !is_blind {
            let fault = std::mem::take(&mut source.fault);
            self.timers.clear(Timer::SourceFault(id));
            self.timers.clear(Timer::SourceHazard(id));
            if let Some(draft) = plant.source(id).filter(|_| fault) {
                let fault = of_source(&draft.id);
                self.alarms.end(&fault, false, at.wall, effects);
                self.hazards.end_everywhere(&fault, at.wall, effects);
            }
        }
        for point in plant.points_of(id).filter(|_| was_lost) {
            if self.present.point(point).is_some_and(|point| point.quality.is_bad()) {
                self.watch_fault(point, at.mono);
            }
        }
    }

    fn silent(&mut self, id: SourceId, at: Now) -> BTreeSet<u32> {
        let stale_after = self.plant.source(id).and_then(|source| source.stale_after);
        let source = self.present.source_mut(id).filter(|source| source.is_live());
        let (Some(stale_after), Some(source)) = (stale_after, source) else { return BTreeSet::new() };
        let due = source.silent_at(stale_after);
        if due > at.mono {
            self.timers.set(Timer::Silent(id), due);
            return BTreeSet::new();
        }
        source.silent = true;
        let lost = source.lost;
        self.watch_source(id, at.mono, lost);
        self.rules_of_places(id)
    }

    pub(super) fn offer_silent(&mut self, id: SourceId) {
        let is_feed = |draft: &&SourceDraft| draft.fixes || draft.sightings || draft.permits;
        let Some(draft) = self.plant.source(id).filter(is_feed) else { return };
        if let (Some(stale_after), Some(source)) = (draft.stale_after, self.present.source(id))
            && source.is_live()
        {
            self.timers.set(Timer::Silent(id), source.silent_at(stale_after));
        }
    }

    /// The rules that a source tells something other than readings.
    fn rules_of_places(&self, id: SourceId) -> BTreeSet<u32> {
        let plant = &self.plant;
        let Some(source) = plant.source(id) else { return BTreeSet::new() };
        let zones = (0u32..).zip(plant.zones()).filter(|_| source.fixes);
        let cameras = (0u32..).zip(plant.cameras()).filter(|(_, camera)| camera.source == id);
        let of_zones = zones.flat_map(|(zone, _)| plant.rules_of_zone(zone));
        let of_cameras = cameras.flat_map(|(camera, _)| plant.rules_of_camera(camera));
        let told = of_zones.chain(of_cameras).chain(plant.rules_of_conditions(id)).copied();
        let permits = if source.permits { self.rules_of_all_permits() } else { BTreeSet::new() };
        told.chain(permits).collect()
    }

    pub(super) fn judge_places(&mut self, id: SourceId, at: Now, effects: &mut Vec<Effect>) {
        self.judge_all(self.rules_of_places(id), at, effects);
    }

    /// Of a source, what cannot be seen while it is lost, or while only its feeds are silent.
    fn points_lost(&self, id: SourceId) -> impl Iterator<Item = PointId> + '_ {
        let lost = self.present.source(id).is_none_or(|source| source.lost);
        self.plant.points_of(id).filter(move |_| lost)
    }

    /// The strictest class of what cannot be seen.
    fn class_of(&self, id: SourceId) -> Class {
        let source = self.plant.source(id);
        let people = source.filter(|source| source.fixes).map(|_| Class::People);
        let video = source.filter(|source| source.sightings).map(|_| Class::Video);
        let permit = source.filter(|source| source.permits).map(|_| Class::Permit);
        let told =
            people.into_iter().chain(video).chain(permit).chain(source.and_then(|source| source.events));
        let points = self.points_lost(id).filter_map(|point| self.plant.point(point));
        points.map(|point| point.class).chain(told).max().unwrap_or(Class::System)
    }

    fn blinded_by(&self, id: SourceId) -> Blinded {
        let rules = self.points_lost(id).flat_map(|point| self.plant.rules_of_point(point)).copied();
        let points = self.points_lost(id).filter_map(|point| self.plant.point(point));
        let own = points.flat_map(|point| self.plant.measures_of(point));
        Blinded::by(&self.plant, rules.chain(self.rules_of_places(id)), own)
    }

    pub(super) fn source_fault(&mut self, id: SourceId, at: Now, effects: &mut Vec<Effect>) {
        let plant = Arc::clone(&self.plant);
        let (Some(draft), Some(source)) = (plant.source(id), self.present.source_mut(id)) else { return };
        if !source.is_blind() || source.fault {
            return;
        }
        source.fault = true;
        let (words, condition) = (words_of(draft, source), condition_of(draft, source));
        let blinded = self.blinded_by(id);
        let fault = of_source(&draft.id);
        self.fault(
            &fault,
            condition,
            self.class_of(id),
            blinded,
            &words,
            Vec::new(),
            Vec::new(),
            at,
            effects,
        );
    }

    pub(super) fn source_hazard(&mut self, id: SourceId, at: Now, effects: &mut Vec<Effect>) {
        let plant = Arc::clone(&self.plant);
        let (Some(draft), Some(source)) = (plant.source(id), self.present.source(id)) else { return };
        if !source.is_blind() {
            return;
        }
        let words = &words_of(draft, source);
        let fault = of_source(&draft.id);
        let condition = condition_of(draft, source);
        let evidence = &Evidence {
            rule: fault.clone(),
            version: version(&[&condition]),
            condition,
            verdict: Truth::True,
            at: at.wall,
            operands: Vec::new(),
            reason: None,
        };
        let plan = &plan_of_fault(&draft.id, DEADLINE, plant.patience());
        let group = Some(self.hazards.group(&plant, &plan.cause, at.wall));
        let class = self.class_of(id);
        for measure in &self.blinded_by(id).measures {
            let unit = plant.unit_of_measure(measure).map(|unit| unit.id.as_str());
            if self.stops.suppression(unit, class).is_some() || self.alarms.withholds_hazards(&fault) {
                continue;
            }
            let raise =
                Raise { rule: &fault, measure, plan, on_unknown: false, words, evidence, late: false, group };
            self.hazards.raise(&plant, &raise, at.wall, effects);
        }
    }
}

fn condition_of(draft: &SourceDraft, source: &SourceState) -> String {
    let what = if source.lost || source.silent {
        "is lost"
    } else if source.untold {
        "does not tell its conditions"
    } else {
        "keeps more than there is room for"
    };
    format!("source '{}' {what}", draft.id)
}

fn words_of(draft: &SourceDraft, source: &SourceState) -> Words {
    let why = match &source.link {
        Link::Down { why } => why,
        Link::Connecting | Link::Up => "",
    };
    // Its points read, and its feeds speak: what is missing is what it keeps.
    if source.lost || source.silent {
        words::of_lost_source(draft, why)
    } else if source.untold {
        words::of_untold_conditions(draft)
    } else {
        words::of_crowded_source(draft)
    }
}
