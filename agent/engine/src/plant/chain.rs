//! The chain object -> unit -> event -> measure -> task, and what watches a measure: the binding that no other
//! system of the plant holds.
//!
//! A measure is watched where a limit or a written rule judges it. What its configuration binds to it beside
//! that (`points`, `zones`, `cameras`, `permits`) judges nothing; it says what has to be seen for the measure
//! to count as seen.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use riskgate_point::{Fix, PointId, SourceId, Spot};

use super::check::Faults;
use super::{Condition, Plant, Rule, polygon};
use crate::presence::Carrier;
use crate::{Draft, Fault, Item, MeasureDraft, PointDraft, TaskDraft, UnitDraft, WorkDays, ZoneDraft};

/// Of the measures that are said to be watched automatically, those that something watches.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Coverage {
    pub automatic: usize,
    pub watched: usize,
    /// The ids of the others, in the order of the configuration.
    pub unwatched: Vec<String>,
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} automatic measures are watched", self.watched, self.automatic)
    }
}

/// What has to be seen for a measure to be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    pub points: BTreeSet<PointId>,
    /// Sources of fixes, sightings, permits and conditions, and of points of which only the age is read.
    pub sources: BTreeSet<SourceId>,
}

impl Plant {
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Whether the unit's object is a 重大危险源; where no list of objects says otherwise, it is.
    pub fn is_major(&self, unit: &UnitDraft) -> bool {
        self.objects().iter().find(|of| of.id == unit.hazard_code).is_none_or(|of| of.major)
    }

    /// By rules and by bindings.
    pub fn sight(&self, measure: &MeasureDraft) -> Sight {
        let mut sight = Sight::default();
        let (mut zones, mut cameras, mut permits) = (false, BTreeSet::new(), false);
        for rule in self.rules.iter().filter(|rule| rule.measure() == Some(&*measure.id)) {
            let (aged, read): (Vec<PointId>, Vec<PointId>) =
                rule.points.iter().partition(|id| self.is_aged_by(rule, **id));
            sight.points.extend(read);
            sight.sources.extend(aged.into_iter().filter_map(|id| Some(self.point(id)?.source)));
            sight.sources.extend(&rule.conditions);
            zones |= !rule.zones.is_empty();
            permits |= !rule.permits.is_empty();
            cameras.extend(rule.cameras.iter().copied());
        }
        let bound = &measure.bound;
        sight.points.extend(bound.points.iter().filter_map(|tag| self.point_id(tag)));
        zones |= !bound.zones.is_empty();
        permits |= !bound.permits.is_empty();
        cameras.extend(bound.cameras.iter().filter_map(|camera| self.camera_at(camera)));
        let of_cameras = cameras.into_iter().filter_map(|at| self.cameras().get(usize::try_from(at).ok()?));
        sight.sources.extend(of_cameras.map(|camera| camera.source));
        let ids = (0u16..).map(SourceId).zip(self.sources());
        let feeds = ids.filter(|(_, source)| (zones && source.fixes) || (permits && source.permits));
        sight.sources.extend(feeds.map(|(id, _)| id));
        sight
    }

    /// The rule reads its age and nothing else, and its row names no measure. A test by hand comes when it is
    /// made: that none came is what such a rule judges, and no loss of sight.
    fn is_aged_by(&self, rule: &Rule, id: PointId) -> bool {
        let own = self.point(id).is_some_and(|point| point.watch.measure.is_some());
        !own && rule.aged.contains(&id)
    }

    /// A point that nothing judges but by its age, and whose row names no measure, is shown as bad and alarms
    /// nobody.
    pub(crate) fn is_watched(&self, id: PointId) -> bool {
        let named = self.point(id).is_some_and(|point| self.measures_of(point).next().is_some());
        let mut rules = self.rules_of_point(id).iter().filter_map(|rule| self.rule(*rule));
        named || rules.any(|rule| !rule.shadow && !self.is_aged_by(rule, id))
    }

    /// Of its points rules read the age and nothing else: a link is all that shows that it is there, since
    /// nothing says when the next reading comes.
    pub(crate) fn is_read_by_age(&self, source: SourceId) -> bool {
        self.points_of(source).any(|id| self.is_told_by_age(id))
            && !self.points_of(source).any(|id| self.is_watched(id))
    }

    /// When it was read is all that rules ask of it: a reading that repeats the value is news.
    pub fn is_told_by_age(&self, id: PointId) -> bool {
        let mut rules = self.rules_of_age(id).iter().filter_map(|rule| self.rule(*rule));
        rules.any(|rule| rule.aged.contains(&id)) && !self.is_watched(id)
    }

    /// The measures that hang on this point whatever rules read it: that of its row, and those whose
    /// configuration binds it.
    pub(crate) fn measures_of<'a>(&'a self, point: &'a PointDraft) -> impl Iterator<Item = &'a str> {
        let own = point.watch.measure.as_deref();
        let bound = self.bound.get(&point.tag).into_iter().flatten().map(String::as_str);
        own.into_iter().chain(bound.filter(move |bound| Some(*bound) != own))
    }

    /// The tasks whose records the agent writes: everyday ones of automatic measures that say so. What is
    /// 包保 is a person's own duty.
    pub fn writes_records(&self, task: &TaskDraft) -> bool {
        let of = self.measure(&task.measure);
        task.work_type == 0 && of.is_some_and(|measure| measure.automatic && measure.auto_record)
    }

    /// The places of the zones whose polygons hold the spot, in order. A zone with a floor takes only fixes
    /// that tell the same.
    pub(crate) fn zones_around(&self, spot: &Spot) -> Vec<u32> {
        let holds = |zone: &ZoneDraft| {
            let floor = zone.floor.is_empty() || spot.floor.as_deref() == Some(&*zone.floor);
            floor && !zone.polygon.is_empty() && polygon::holds(&zone.polygon, (spot.x, spot.y))
        };
        (0u32..).zip(self.zones()).filter(|(_, zone)| holds(zone)).map(|(at, _)| at).collect()
    }

    /// Carrier carries the tag of a fix: as it says, and what it does not say as the list of persons has it.
    pub(crate) fn carrier(&self, fix: &Fix) -> Carrier {
        let known = match &fix.person {
            Some(person) => self.person_ids.get(&**person),
            None => self.carriers.get(&*fix.tag),
        };
        let known = known.and_then(|at| self.persons().get(*at));
        let person = fix.person.clone().or_else(|| known.map(|known| Arc::from(&*known.id)));
        let role = known.filter(|known| !known.role.is_empty()).map(|known| Arc::from(&*known.role));
        Carrier { person, role: fix.role.clone().or(role) }
    }
}

/// By tag, the measures that it is bound to.
pub(super) fn bound(draft: &Draft) -> HashMap<String, Vec<String>> {
    let mut bound: HashMap<String, Vec<String>> = HashMap::new();
    for measure in &draft.measures {
        for tag in &measure.bound.points {
            bound.entry(tag.clone()).or_default().push(measure.id.clone());
        }
    }
    bound
}

/// Rules whose text is at fault are not among `rules`; their measures are watched all the same. A shadow rule
/// tells nobody what it sees, so it watches none.
fn watched<'a>(draft: &'a Draft, rules: &'a [Rule]) -> HashSet<&'a str> {
    let written = draft.rules.iter().filter(|rule| !rule.shadow).map(|rule| rule.measure.as_str());
    rules.iter().filter_map(Rule::measure).chain(written).collect()
}

pub(super) fn coverage(draft: &Draft, rules: &[Rule]) -> Coverage {
    let watched = watched(draft, rules);
    let automatic = draft.measures.iter().filter(|measure| measure.automatic);
    let unwatched = automatic.clone().filter(|measure| !watched.contains(measure.id.as_str()));
    let unwatched: Vec<String> = unwatched.map(|measure| measure.id.clone()).collect();
    let automatic = automatic.count();
    Coverage { automatic, watched: automatic - unwatched.len(), unwatched }
}

/// What `check.rs` does not see: how the items of the chain hang together, areas, and what nobody watches.
pub(super) fn check(draft: &Draft, rules: &[Rule], found: &mut Vec<Fault>) {
    let mut faults = Faults::default();
    objects_and_events(draft, &mut faults);
    measures(draft, &mut faults);
    tasks(draft, &mut faults);
    persons(draft, &mut faults);
    for (at, zone) in draft.zones.iter().enumerate() {
        area(Item::Zone(at), zone, &mut faults);
    }
    returns(draft, rules, &mut faults);
    unwatched(draft, rules, &mut faults);
    found.extend(faults.found());
}

fn objects_and_events(draft: &Draft, faults: &mut Faults) {
    let objects: HashSet<&str> = draft.objects.iter().map(|of| of.id.as_str()).collect();
    for (at, unit) in draft.units.iter().enumerate() {
        // Without a list of objects a unit names one by its code alone.
        if !objects.is_empty() && !objects.contains(unit.hazard_code.as_str()) {
            let all = draft.objects.iter().map(|of| of.id.as_str());
            faults.lacks(Item::Unit(at), "hazard_code", "object", &unit.hazard_code, all);
        }
    }
    let units: HashSet<&str> = draft.units.iter().map(|of| of.id.as_str()).collect();
    for (at, event) in draft.events.iter().enumerate() {
        if !units.contains(event.unit.as_str()) {
            let all = draft.units.iter().map(|of| of.id.as_str());
            faults.missing(Item::Event(at), "unit", &event.unit, all);
        }
    }
}

fn measures(draft: &Draft, faults: &mut Faults) {
    let everyday: HashSet<&str> =
        draft.tasks.iter().filter(|task| task.work_type == 0).map(|task| task.measure.as_str()).collect();
    for (at, measure) in draft.measures.iter().enumerate() {
        let item = Item::Measure(at);
        // Without a list of events a measure says its own in words.
        if !draft.events.is_empty() {
            let is = |of: &&crate::EventDraft| of.id == measure.event || of.name == measure.event;
            match draft.events.iter().find(is) {
                None => {
                    let all = draft.events.iter().flat_map(|of| [of.id.as_str(), of.name.as_str()]);
                    faults.missing(item, "event", &measure.event, all);
                }
                Some(_) if draft.events.iter().filter(is).any(|of| of.unit == measure.unit) => {}
                Some(of) => {
                    let message = format!(
                        "event '{}' is of unit '{}', the measure of '{}'",
                        measure.event, of.unit, measure.unit
                    );
                    faults.error(item, "event", message, None);
                }
            }
        }
        if measure.auto_record && !measure.automatic {
            let message = format!("measure '{}' is not watched automatically and has no record", measure.id);
            let hint = "a person's inspection is a person's record: leave auto_record out".to_owned();
            faults.error(item, "auto_record", message, Some(hint));
        } else if measure.auto_record && !everyday.contains(measure.id.as_str()) {
            let message = format!("no task of work_type 0 has measure '{}': there is no record", measure.id);
            let hint = "what is 包保 is a person's own duty; write a [[task]] for the cycle".to_owned();
            faults.warning(item, "auto_record", message, Some(hint));
        }
        bindings(item, measure, draft, faults);
    }
}

fn bindings(item: Item, measure: &MeasureDraft, draft: &Draft, faults: &mut Faults) {
    let bound = &measure.bound;
    let lists: [(&'static str, &'static str, &[String], Vec<&str>); 4] = [
        ("points", "point", &bound.points, draft.points.iter().map(|of| of.tag.as_str()).collect()),
        ("zones", "zone", &bound.zones, draft.zones.iter().map(|of| of.id.as_str()).collect()),
        ("cameras", "camera", &bound.cameras, draft.cameras.iter().map(|of| of.id.as_str()).collect()),
        ("permits", "unit", &bound.permits, draft.units.iter().map(|of| of.id.as_str()).collect()),
    ];
    for (field, what, named, known) in lists {
        let names: HashSet<&str> =
            if named.is_empty() { HashSet::new() } else { known.iter().copied().collect() };
        for name in named.iter().filter(|name| !names.contains(name.as_str())) {
            faults.lacks(item, field, what, name, known.iter().copied());
        }
    }
    let feeds = [
        ("zones", bound.zones.is_empty() || draft.sources.iter().any(|of| of.fixes), "fixes"),
        ("permits", bound.permits.is_empty() || draft.sources.iter().any(|of| of.permits), "permits"),
    ];
    for (field, _, what) in feeds.into_iter().filter(|(_, is_fed, _)| !is_fed) {
        faults.error(item, field, format!("no source carries {what}: nobody can see these"), None);
    }
}

fn tasks(draft: &Draft, faults: &mut Faults) {
    let days = &draft.time.days;
    for (at, task) in draft.tasks.iter().enumerate() {
        let item = Item::Task(at);
        if let Some((from, to)) = task.hours
            && from >= to
        {
            let hint = "hours within one day; a night is two tasks, or none".to_owned();
            faults.error(item, "work_end", "the working hours end before they begin".to_owned(), Some(hint));
        }
        if task.days != WorkDays::Every && days.is_empty() {
            let message = "without a calendar every Monday to Friday counts as 法定工作日".to_owned();
            let hint = "lay a table with the columns date 日期 and workday 工作日 beside it".to_owned();
            faults.warning(item, "work_days", message, Some(hint));
        }
        let items = match task.work_type {
            0 => None,
            3 => Some(10),
            _ => Some(9),
        };
        match (items, task.task_num) {
            (None, Some(_)) => {
                let message = "task_num is the number of a 包保 item, and this task is none".to_owned();
                faults.error(item, "task_num", message, Some("write its work_type, 1 to 3".to_owned()));
            }
            (Some(last), Some(number)) if !(1..=last).contains(&number) => {
                let message = format!("there is no 包保 item {number} of work_type {}", task.work_type);
                faults.error(item, "task_num", message, Some(format!("allowed: 1 to {last}")));
            }
            (_, _) => {}
        }
    }
}

fn persons(draft: &Draft, faults: &mut Faults) {
    let mut carriers: HashMap<&str, &str> = HashMap::new();
    for (at, person) in draft.persons.iter().enumerate() {
        for tag in &person.tags {
            if let Some(other) = carriers.insert(tag, &person.id).filter(|other| *other != person.id) {
                let message = format!("tag '{tag}' is carried by '{other}' already");
                faults.error(Item::Person(at), "tags", message, Some("a tag is one person's".to_owned()));
            }
        }
    }
}

fn area(item: Item, zone: &ZoneDraft, faults: &mut Faults) {
    if zone.polygon.is_empty() {
        if !zone.floor.is_empty() {
            let message = format!("zone '{}' has a floor and no polygon: nothing is measured by it", zone.id);
            faults.warning(item, "floor", message, None);
        }
        return;
    }
    let (message, hint) = match polygon::flaw(&zone.polygon) {
        None => return,
        Some(polygon::Flaw::TooFew) => {
            (format!("a polygon of {} corners encloses nothing", zone.polygon.len()), "3 corners or more")
        }
        Some(polygon::Flaw::Flat) => {
            ("all corners of this polygon lie on one line".to_owned(), "corners in the order of the fence")
        }
        Some(polygon::Flaw::Crosses(one, other)) => (
            format!("sides {one} and {other} of this polygon cross or touch"),
            "corners in the order of the fence; the first is not said again at the end",
        ),
    };
    faults.error(item, "polygon", message, Some(hint.to_owned()));
}

/// An alarm whose return no reading can bring stays for ever.
fn returns(draft: &Draft, rules: &[Rule], faults: &mut Faults) {
    // What is wrong with a range or a limit itself is told by it.
    let range = |point: PointId| {
        let range = draft.points.get(usize::try_from(point.0).ok()?)?.range;
        range.filter(|(low, high)| low < high)
    };
    let written: HashMap<&str, usize> =
        draft.rules.iter().enumerate().map(|(at, rule)| (rule.id.as_str(), at)).collect();
    for rule in rules {
        match &rule.condition {
            Condition::Limit(test) => {
                let Some((low, high)) = range(test.point) else { continue };
                if test.back.is_nan() || !(low <= test.limit && test.limit <= high) {
                    continue;
                }
                let returns = if test.kind.is_high() { test.back > low } else { test.back < high };
                if let (false, Ok(at)) = (returns, usize::try_from(test.point.0)) {
                    let message = format!(
                        "the alarm of {} {} ends beyond {}: no reading in the range {low} to {high} is",
                        test.kind.word(),
                        test.limit,
                        test.back
                    );
                    let hint = "a smaller deadband, or a limit further inside".to_owned();
                    faults.error(Item::Point(at), "deadband", message, Some(hint));
                }
            }
            Condition::Text { when: _, clear } => {
                let Some(at) = written.get(rule.id()).copied().filter(|_| !clear.can_hold(range)) else {
                    continue;
                };
                let own = draft.rules.get(at).is_some_and(|rule| rule.clear.is_some());
                let (field, message) = if own {
                    ("clear", "this can never hold: its alarm would stay for ever")
                } else {
                    ("when", "with the deadbands its return can never hold: its alarm would stay for ever")
                };
                let hint = "thresholds within the ranges of the points, that hold together".to_owned();
                faults.error(Item::Rule(at), field, message.to_owned(), Some(hint));
            }
        }
    }
}

fn unwatched(draft: &Draft, rules: &[Rule], faults: &mut Faults) {
    let watched = watched(draft, rules);
    for (at, measure) in draft.measures.iter().enumerate() {
        let id = measure.id.as_str();
        if measure.automatic && !watched.contains(id) {
            let message =
                format!("measure '{id}' is said to be watched automatically, and nothing watches it");
            let shadow = draft.rules.iter().find(|rule| rule.shadow && rule.measure == id);
            let hint = match shadow {
                Some(rule) => format!("its rule '{}' has `shadow = true` and tells nobody", rule.id),
                None => "name it in a point with limits or in a rule, or say `automatic = false`".to_owned(),
            };
            faults.warning(Item::Measure(at), "automatic", message, Some(hint));
        }
    }
}
