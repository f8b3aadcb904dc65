//! Hands all that was read to the engine and brings its faults home: the engine names an item, a field and
//! a place within an expression; here that becomes a file, a line and a column.

use std::ops::Range;

use riskgate_engine::{Draft, Fault, Item, Plant, RuleDraft, Severity, SiteTime};

use super::fields::Origin;
use super::model::{Items, Model, unique};
use super::place::{Faults, File, Place};
use super::points::Points;
use super::site::Site;
use super::sources::Source;

/// Where the items of a draft came from.
struct Origins {
    gateway: Origin,
    sources: Vec<Origin>,
    points: Vec<Origin>,
    objects: Vec<Origin>,
    units: Vec<Origin>,
    events: Vec<Origin>,
    measures: Vec<Origin>,
    tasks: Vec<Origin>,
    persons: Vec<Origin>,
    zones: Vec<Origin>,
    cameras: Vec<Origin>,
    rules: Vec<Origin>,
}

/// `None` where it does not hold together, or was not tried because a part could not be read at all:
/// then half of what is named elsewhere would seem not to exist.
pub(super) fn build(
    site: &Site,
    gateway: &Origin,
    sources: &[Source],
    model: Model,
    points: Points,
    files: &[File],
    faults: &Faults,
) -> Option<Plant> {
    unique_ids(sources, &model, &points, faults);
    if faults.has_unreadable_part() {
        let message = "names, limits and expressions were not checked, since a part could not be read";
        faults.warning(Place::NOWHERE, message, None);
        return None;
    }
    super::gas_tests::check(&model.rules, &points.drafts, sources, faults);
    let rules: Vec<RuleDraft> = model.rules.iter().map(|(rule, _)| rule.clone()).collect();
    let (objects, object_origins) = model.objects.into_iter().unzip();
    let (events, event_origins) = model.events.into_iter().unzip();
    let (persons, person_origins) = model.persons.into_iter().unzip();
    let (units, unit_origins) = model.units.into_iter().unzip();
    let (measures, measure_origins) = model.measures.into_iter().unzip();
    let (tasks, task_origins) = model.tasks.into_iter().unzip();
    let (zones, zone_origins) = model.zones.into_iter().unzip();
    let (cameras, camera_origins) = model.cameras.into_iter().unzip();
    let origins = Origins {
        gateway: gateway.clone(),
        sources: sources.iter().map(|source| source.origin.clone()).collect(),
        points: points.origins,
        objects: object_origins,
        units: unit_origins,
        events: event_origins,
        measures: measure_origins,
        tasks: task_origins,
        persons: person_origins,
        zones: zone_origins,
        cameras: camera_origins,
        rules: model.rules.into_iter().map(|(_, origin)| origin).collect(),
    };
    let draft = Draft {
        company: site.company.clone(),
        gateway: site.gateway.clone(),
        patience: model.patience,
        time: SiteTime { zone: site.timezone.clone(), days: model.days },
        sources: sources.iter().map(Source::draft).collect(),
        points: points.drafts,
        objects,
        units,
        events,
        measures,
        tasks,
        persons,
        zones,
        cameras,
        rules: rules.clone(),
    };
    let (plant, found) = match Plant::build(draft) {
        Ok((plant, warnings)) => (Some(plant), warnings),
        Err(found) => (None, found),
    };
    // What the reader said of a place is the reason why the engine stumbles there: a key that is missing
    // is empty to it, an id that stands twice is told with both places.
    let said = faults.error_places();
    for fault in found {
        let place = place_of(&fault, &origins, &rules, files);
        let whole = origins.place(fault.item, fault.field);
        if fault.severity == Severity::Warning || !(said.contains(&place) || said.contains(&whole)) {
            faults.add(fault.severity, place, fault.message, fault.hint);
        }
    }
    plant
}

fn unique_ids(sources: &[Source], model: &Model, points: &Points, faults: &Faults) {
    fn placed<'a, T>(
        items: &'a Items<T>,
        key: &'static str,
        id: impl Fn(&T) -> &str + 'a,
    ) -> impl Iterator<Item = (&'a str, Place)>
    where
        T: 'a,
    {
        items.iter().map(move |(item, origin)| (id(item), origin.of(key)))
    }
    unique("source", sources.iter().map(|source| (source.id.as_str(), source.id_place)), faults);
    unique("object", placed(&model.objects, "id", |object| &object.id), faults);
    unique("event", placed(&model.events, "id", |event| &event.id), faults);
    unique("person", placed(&model.persons, "id", |person| &person.id), faults);
    unique("unit", placed(&model.units, "id", |unit| &unit.id), faults);
    unique("measure", placed(&model.measures, "id", |measure| &measure.id), faults);
    unique("task", placed(&model.tasks, "id", |task| &task.id), faults);
    unique("zone", placed(&model.zones, "id", |zone| &zone.id), faults);
    unique("camera", placed(&model.cameras, "id", |camera| &camera.id), faults);
    unique("rule", placed(&model.rules, "id", |rule| &rule.id), faults);
    let points = points.drafts.iter().zip(&points.origins);
    unique("point", points.map(|(point, origin)| (point.tag.as_str(), origin.of("tag"))), faults);
}

fn place_of(fault: &Fault, origins: &Origins, rules: &[RuleDraft], files: &[File]) -> Place {
    let place = origins.place(fault.item, fault.field);
    let (Some(span), Item::Rule(at)) = (&fault.span, fault.item) else { return place };
    let Some(rule) = rules.get(at) else { return place };
    let text = if fault.field == "clear" { rule.clear.as_deref().unwrap_or_default() } else { &rule.when };
    within(place, text, span, files)
}

/// The place of a part of an expression. Where the text in the file is not the text that was read (escapes,
/// a value that goes over several lines), the whole value is the place.
fn within(place: Place, text: &str, span: &Range<usize>, files: &[File]) -> Place {
    let Some((file, whole)) = place.text() else { return place };
    let raw = files.get(file).and_then(|file| file.text.get(whole.clone()));
    match raw.and_then(|raw| raw.find(text)) {
        Some(quote) => {
            let start = whole.start + quote;
            Place::span(file, start + span.start..start + span.end)
        }
        None => place,
    }
}

impl Origins {
    fn place(&self, item: Item, field: &str) -> Place {
        let (list, at) = match item {
            Item::Gateway => return self.gateway.of(field),
            Item::Source(at) => (&self.sources, at),
            Item::Point(at) => (&self.points, at),
            Item::Object(at) => (&self.objects, at),
            Item::Event(at) => (&self.events, at),
            Item::Person(at) => (&self.persons, at),
            Item::Unit(at) => (&self.units, at),
            Item::Measure(at) => (&self.measures, at),
            Item::Task(at) => (&self.tasks, at),
            Item::Zone(at) => (&self.zones, at),
            Item::Camera(at) => (&self.cameras, at),
            Item::Rule(at) => (&self.rules, at),
        };
        list.get(at).map_or(self.gateway.at(), |origin| origin.of(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_within_an_expression_counts_from_its_first_character() {
        let file = |text: &str| [File { text: text.to_owned(), ..File::default() }];
        let text = "when = \"{位号} > 5\"";
        let value = Place::span(0, 7..text.len());
        assert_eq!(within(value, "{位号} > 5", &(9..10), &file(text)), Place::span(0, 17..18));
        let escaped = "when = \"{A} == \\u0041\"";
        let value = Place::span(0, 7..escaped.len());
        assert_eq!(within(value, "{A} == A", &(7..8), &file(escaped)), value);
    }
}
