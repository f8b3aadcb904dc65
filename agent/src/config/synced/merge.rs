//! What the files say and what upstream says, as one model.
//!
//! The chain is upstream's. The files hold bindings and `auto_record` of its measures, and an own copy of the chain,
//! by which the gateway runs before the first model and where none can be read. From that copy come the items that
//! points, rules, bindings, zones and sources name and upstream does not have any more: such a measure is an orphan. Its rules
//! go on judging, since that a platform drops a row is no word on the plant.

use std::collections::{BTreeMap, BTreeSet};

use riskgate_engine::{
    Binding, EventDraft, Given, MeasureDraft, ObjectDraft, PointDraft, RuleDraft, UnitDraft,
};

use super::Chain;
use crate::config::fields::Origin;
use crate::config::model::{Items, Model};

/// What the files name beside what is in their model.
pub(in crate::config) struct Kept<'a> {
    pub(in crate::config) points: &'a [PointDraft],
    /// Names of zones and units that sources are told by.
    pub(in crate::config) places: Vec<&'a str>,
}

/// The model, and the ids of the orphans among its measures, in their order.
pub(in crate::config) fn merge(files: Model, chain: Chain, kept: &Kept<'_>) -> (Model, Vec<String>) {
    let Chain { mut objects, mut units, mut events, mut measures, mut tasks } = chain;
    bind(&mut measures, &files.measures);

    let boosted: BTreeSet<&str> =
        files.rules.iter().filter_map(|(rule, _)| Some(rule.task.as_ref()?.task.as_str())).collect();
    let lost_tasks = lost(&files.tasks, &tasks, |task| &task.id, |id| boosted.contains(id));
    let mut named: BTreeSet<&str> = files.rules.iter().map(|(rule, _)| rule.measure.as_str()).collect();
    named.extend(kept.points.iter().filter_map(|point| point.watch.measure.as_deref()));
    named.extend(lost_tasks.iter().map(|(task, _)| task.measure.as_str()));
    let own = files.measures.iter().filter(|(measure, _)| has_own(measure));
    named.extend(own.map(|(measure, _)| measure.id.as_str()));
    let mut orphans = lost(&files.measures, &measures, |measure| &measure.id, |id| named.contains(id));

    let mut places: BTreeSet<&str> = kept.places.iter().copied().collect();
    places.extend(files.zones.iter().map(|(zone, _)| zone.unit.as_str()));
    places.extend(files.cameras.iter().map(|(camera, _)| camera.unit.as_str()));
    places.extend(orphans.iter().map(|(measure, _)| measure.unit.as_str()));
    let bound = measures.iter().chain(&orphans).flat_map(|(measure, _)| &measure.bound.permits);
    let bound: Vec<String> = bound.cloned().collect();
    places.extend(bound.iter().map(String::as_str));
    let is_named = |id: &str| places.contains(id) || files.rules.iter().any(|(rule, _)| speaks_of(rule, id));
    let lost_units = lost(&files.units, &units, |unit| &unit.id, is_named);

    let of_orphans = events_of(&mut orphans, &files.events, &events);
    events.extend(of_orphans);
    objects.extend(objects_of(&lost_units, &files.objects, &objects));
    let ids = orphans.iter().map(|(measure, _)| measure.id.clone()).collect();
    units.extend(lost_units);
    measures.extend(orphans);
    tasks.extend(lost_tasks);
    (Model { objects, units, events, measures, tasks, ..files }, ids)
}

/// Whether the files say more of it than a copy of the chain would.
fn has_own(measure: &MeasureDraft) -> bool {
    let Binding { points, zones, cameras, permits } = &measure.bound;
    measure.auto_record || [points, zones, cameras, permits].iter().any(|bound| !bound.is_empty())
}

/// Of our items those that are asked for and that upstream does not have.
fn lost<T: Clone>(
    ours: &Items<T>,
    theirs: &Items<T>,
    id: impl Fn(&T) -> &String,
    is_named: impl Fn(&str) -> bool,
) -> Items<T> {
    let has: BTreeSet<&str> = theirs.iter().map(|(item, _)| id(item).as_str()).collect();
    let lost = |item: &T| !has.contains(id(item).as_str()) && is_named(id(item));
    ours.iter().filter(|(item, _)| lost(item)).cloned().collect()
}

/// What watches a measure, and whether it records by itself, is the plant's to say.
fn bind(theirs: &mut Items<MeasureDraft>, ours: &Items<MeasureDraft>) {
    for (measure, origin) in theirs {
        let Some((of_files, place)) = ours.iter().find(|(ours, _)| ours.id == measure.id) else { continue };
        measure.bound = of_files.bound.clone();
        measure.auto_record = of_files.auto_record;
        for key in ["points", "zones", "cameras", "permits", "auto_record"] {
            if place.has(key) {
                origin.add(key, place.of(key));
            }
        }
    }
}

/// A condition names a unit in quotes; a kind of rule among its words.
fn speaks_of(rule: &RuleDraft, unit: &str) -> bool {
    let quoted = format!("'{unit}'");
    let in_text =
        rule.when.contains(&quoted) || rule.clear.as_ref().is_some_and(|text| text.contains(&quoted));
    let given = rule.kind.iter().flat_map(|kind| &kind.given);
    in_text
        || given.into_iter().any(|(_, given)| match given {
            Given::Text(text) => text == unit,
            Given::Texts(texts) => texts.iter().any(|text| text == unit),
            Given::Number(_) | Given::Duration(_) => false,
        })
}

/// The events of orphans: as our list has them, or by their words alone. Ids are one space over all units, and these
/// were given in ignorance of upstream's: where one stands already, the event and its orphans get another.
fn events_of(
    orphans: &mut Items<MeasureDraft>,
    ours: &Items<EventDraft>,
    theirs: &Items<EventDraft>,
) -> Items<EventDraft> {
    let mut added: Items<EventDraft> = Vec::new();
    // By unit, and the id that it had.
    let mut given: BTreeMap<(String, String), String> = BTreeMap::new();
    for (measure, origin) in orphans {
        let is = |event: &EventDraft| {
            (event.id == measure.event || event.name == measure.event) && event.unit == measure.unit
        };
        if theirs.iter().any(|(event, _)| is(event)) {
            continue;
        }
        let own = ours.iter().find(|(event, _)| is(event)).cloned();
        let (mut event, origin) = own.unwrap_or_else(|| {
            let (id, unit) = (measure.event.clone(), measure.unit.clone());
            (EventDraft { name: id.clone(), id, unit }, origin.clone())
        });
        let known = (event.unit.clone(), event.id.clone());
        if let Some(id) = given.get(&known) {
            measure.event.clone_from(id);
            continue;
        }
        while theirs.iter().chain(&added).any(|(of, _)| of.id == event.id) {
            event.id = format!("{}@{}", event.id, event.unit);
        }
        measure.event.clone_from(&event.id);
        given.insert(known, event.id.clone());
        added.push((event, origin));
    }
    added
}

/// The objects of units that are kept, where upstream has a list of objects.
fn objects_of(
    units: &Items<UnitDraft>,
    ours: &Items<ObjectDraft>,
    theirs: &Items<ObjectDraft>,
) -> Items<ObjectDraft> {
    let mut added: Items<ObjectDraft> = Vec::new();
    if theirs.is_empty() {
        return added;
    }
    for (unit, origin) in units {
        let code = &unit.hazard_code;
        if theirs.iter().chain(&added).any(|(object, _)| object.id == *code) {
            continue;
        }
        let own = ours.iter().find(|(object, _)| object.id == *code).cloned();
        added.push(own.unwrap_or_else(|| {
            // Where no list of objects says otherwise, it is a 重大危险源.
            (ObjectDraft { id: code.clone(), name: code.clone(), major: true }, Origin::clone(origin))
        }));
    }
    added
}
