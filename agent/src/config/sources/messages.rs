//! What is read of the messages of an MQTT feed: `points`, `fixes`, `sightings` and `permits` of a `[[source]]`.
//!
//! A preset says where a known system writes its fields; what a table says beside it holds instead.
//! The names that it maps to are kept, with their places, for [`Source::names`].

use std::collections::BTreeMap;
use std::sync::Arc;

use riskgate_drivers::mqtt::{
    self, FixFields, ListFields, PermitFields, Qualities, Renames, Shape, SightingFields, Subscription, What,
    Where,
};
use riskgate_point::{BadReason, PermitKind, PermitStage, Quality, UncertainReason};

use super::Source;
use super::mqtt::List;
use crate::config::address;
use crate::config::fields::{Fields, one_of};
use crate::config::place::Placed;

/// A name of the plant that a feed's own name stands for.
pub(super) struct Named {
    pub(super) what: NameOf,
    pub(super) name: Placed<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameOf {
    Camera,
    Zone,
    /// A zone or a unit.
    Place,
}

/// The presets of sightings, with the topic that each is found under by default.
const PRESETS: [(&str, (Preset, Option<&str>)); 3] = [
    ("frigate", (Preset::Frigate, Some("frigate/events"))),
    ("onvif", (Preset::Onvif, Some("+/onvif-ej/#"))),
    ("hikvision", (Preset::Hikvision, None)),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preset {
    Frigate,
    Onvif,
    Hikvision,
}

/// The presets of permits.
type Ticket = fn() -> PermitFields;
const TICKETS: [(&str, Ticket); 2] = [("jt", PermitFields::jt), ("national", PermitFields::national)];

const PERMIT_KINDS: [(&str, PermitKind); 8] = [
    ("hot_work", PermitKind::HotWork),
    ("confined_space", PermitKind::ConfinedSpace),
    ("blind_plate", PermitKind::BlindPlate),
    ("height", PermitKind::Height),
    ("lifting", PermitKind::Lifting),
    ("temporary_power", PermitKind::TemporaryPower),
    ("earthwork", PermitKind::Earthwork),
    ("road_closing", PermitKind::RoadClosing),
];

const STAGES: [(&str, PermitStage); 3] =
    [("before", PermitStage::Before), ("working", PermitStage::Working), ("after", PermitStage::After)];

const LEVELS: [(&str, u8); 4] = [("1", 1), ("2", 2), ("3", 3), ("4", 4)];

/// No system writes full confidence as more.
const CONFIDENCE_MAX: u32 = 1_000_000;

/// What a feed's own word for a quality may be told to mean.
const QUALITIES: [(&str, Quality); 3] = [
    ("good", Quality::Good),
    ("uncertain", Quality::Uncertain(UncertainReason::Source)),
    ("bad", Quality::Bad(BadReason::DeviceFailure)),
];

/// What is read of the messages.
pub(super) struct Said {
    pub(super) subscriptions: Vec<Subscription>,
    /// `None`: one is at fault.
    pub(super) lists: Option<Vec<List>>,
    /// They are of Sparkplug nodes; true: the broker keeps births.
    pub(super) sparkplug: Option<bool>,
}

pub(super) fn read(fields: &mut Fields<'_>, source: &mut Source) -> Said {
    source.fixes = fields.has("fixes");
    source.sightings = fields.has("sightings");
    source.permits = fields.has("permits");
    let mut subscriptions = Vec::new();
    for table in fields.tables("fixes") {
        subscriptions.extend(fixes(table, &mut source.names));
    }
    for table in fields.tables("sightings") {
        subscriptions.extend(sightings(table, &mut source.names));
    }
    for table in fields.tables("permits") {
        subscriptions.extend(permits(table, &mut source.names));
    }
    let mut lists = Some(Vec::new());
    let mut sparkplug = None;
    for mut table in fields.tables("points") {
        let preset = table.word("preset", &[("sparkplug-b", ())]);
        match (preset, table.has("preset")) {
            (Some(()), _) => {
                sparkplug = Some(table.flag("aware").unwrap_or_default());
                table.finish();
            }
            (None, true) => lists = None,
            (None, false) => {
                let list = list(table);
                lists = lists.zip(list).map(|(mut lists, list)| {
                    lists.push(list);
                    lists
                });
            }
        }
    }
    if sparkplug.is_some() && lists.as_ref().is_some_and(|lists| !lists.is_empty()) {
        let message = "a source of Sparkplug nodes reads nothing else: their death is told by the broker";
        fields.error("points", message, "write another [[source]] for the lists".to_owned());
    }
    Said { subscriptions, lists, sparkplug }
}

pub(super) fn topic_filter(fields: &mut Fields<'_>, key: &'static str) -> Option<String> {
    let filter = fields.text(key)?;
    if let Err(wrong) = address::topic_filter(&filter.value) {
        fields.error(key, wrong.message, wrong.hint);
        return None;
    }
    Some(filter.value)
}

fn topic(fields: &mut Fields<'_>, usual: Option<&str>) -> Option<String> {
    if !fields.has("topic") && usual.is_none() {
        fields.missing("topic");
    }
    let usual = usual.filter(|_| !fields.has("topic")).map(str::to_owned);
    topic_filter(fields, "topic").or(usual)
}

pub(super) fn path(fields: &mut Fields<'_>, key: &'static str) -> Option<mqtt::Path> {
    let text = fields.text(key)?;
    match mqtt::Path::parse(&text.value) {
        Ok(path) => Some(path),
        Err(wrong) => {
            let message = format!("'{}' is no JSON path: {}", wrong.text, wrong.why);
            fields.error(key, message, "write $.value or $.data[0].value".to_owned());
            None
        }
    }
}

/// Where one field stands.
fn stands(fields: &mut Fields<'_>, key: &'static str) -> Option<Where> {
    let text = fields.text(key)?;
    match Where::parse(&text.value) {
        Ok(stands) => Some(stands),
        Err(wrong) => {
            let message = format!("'{}' is no place in a message: {}", wrong.text, wrong.why);
            let hint = "write $.camera, message:$.time (not from the element of `many` but from the whole), \
                        topic:2 (a level of the topic) or =CAM-07 (always this)";
            fields.error(key, message, hint.to_owned());
            None
        }
    }
}

fn required(fields: &mut Fields<'_>, key: &'static str) -> Option<Where> {
    if !fields.has(key) {
        fields.missing(key);
    }
    stands(fields, key)
}

/// `{ "their name" = "ours" }`; ours are names of the plant where `of` says of what.
fn renames(
    fields: &mut Fields<'_>,
    key: &'static str,
    of: Option<NameOf>,
    names: &mut Vec<Named>,
) -> Renames {
    let mut map = BTreeMap::new();
    for (theirs, ours) in fields.map(key).unwrap_or_default() {
        if ours.value.is_empty() && key != "kinds" {
            let message = format!("'{theirs}' is given no name");
            fields.faults().error(
                ours.place,
                message,
                "write the id of the plant, or leave it out".to_owned(),
            );
        }
        map.insert(theirs, Arc::from(ours.value.as_str()));
        names.extend(of.map(|what| Named { what, name: ours }));
    }
    Renames::new(map)
}

fn list(mut fields: Fields<'_>) -> Option<List> {
    let place = fields.at();
    let filter = topic(&mut fields, None);
    let many = path(&mut fields, "many");
    let [tag, value] = ["tag", "value"].map(|key| required(&mut fields, key));
    let [quality, time, connected] = ["quality", "time", "connected"].map(|key| stands(&mut fields, key));
    let replay = path(&mut fields, "replay");
    let qualities: Qualities = meanings(&mut fields, "qualities", "quality", &QUALITIES);
    fields.finish();
    let fields = ListFields { many, tag: tag?, value: value?, quality, time, qualities, connected, replay };
    Some(List { filter: filter?, fields: Arc::new(fields), topics: BTreeMap::new(), place })
}

/// `{ "their word" = "ours" }`, where ours is one of a list.
fn meanings<T: Copy>(
    fields: &mut Fields<'_>,
    key: &'static str,
    of: &str,
    words: &[(&str, T)],
) -> BTreeMap<String, T> {
    let mut meanings = BTreeMap::new();
    for (theirs, ours) in fields.map(key).unwrap_or_default() {
        match words.iter().find(|(word, _)| *word == ours.value) {
            Some((_, meant)) => {
                meanings.insert(theirs, *meant);
            }
            None => {
                let message = format!("'{}' is no {of}", ours.value);
                fields.faults().error(ours.place, message, one_of(words.iter().map(|(word, _)| *word)));
            }
        }
    }
    meanings
}

fn permits(mut fields: Fields<'_>, names: &mut Vec<Named>) -> Option<Subscription> {
    let preset = fields.word("preset", &TICKETS).map(|preset| preset());
    if preset.is_none() && fields.has("preset") {
        return None;
    }
    let filter = topic(&mut fields, None);
    let many = path(&mut fields, "many");
    let needed = ["id", "kind", "stage"];
    if preset.is_none() {
        needed.iter().filter(|key| !fields.has(key)).for_each(|key| fields.missing(key));
    }
    let [id, kind, stage] = needed.map(|key| stands(&mut fields, key));
    known_word(&fields, "kind", kind.as_ref(), &PERMIT_KINDS, |word| mqtt::permit_kind(word).is_some());
    known_word(&fields, "stage", stage.as_ref(), &STAGES, |word| mqtt::permit_stage(word).is_some());
    let keys = ["level", "cancelled", "place", "start", "end", "guardian", "time"];
    let [level, cancelled, place, start, end, guardian, time] = keys.map(|key| stands(&mut fields, key));
    let kinds = meanings(&mut fields, "kinds", "kind of special work", &PERMIT_KINDS);
    let stages = meanings(&mut fields, "stages", "stage of a ticket", &STAGES);
    let levels = meanings(&mut fields, "levels", "level", &LEVELS);
    let places = renames(&mut fields, "places", Some(NameOf::Place), names);
    fields.finish();
    let usual = match preset {
        Some(usual) => usual,
        None => PermitFields::of(id.clone()?, kind.clone()?, stage.clone()?),
    };
    let what = What::Permits(PermitFields {
        many,
        id: id.unwrap_or(usual.id),
        kind: kind.unwrap_or(usual.kind),
        level: level.or(usual.level),
        stage: stage.unwrap_or(usual.stage),
        cancelled: cancelled.or(usual.cancelled),
        place: place.or(usual.place),
        start: start.or(usual.start),
        end: end.or(usual.end),
        guardian: guardian.or(usual.guardian),
        time,
        standard_numbers: usual.standard_numbers,
        kinds,
        levels,
        stages,
        places,
    });
    Some(Subscription { filter: filter?, what })
}

/// What is always the same is a word that is understood.
fn known_word<T>(
    fields: &Fields<'_>,
    key: &'static str,
    stands: Option<&Where>,
    words: &[(&str, T)],
    is_known: impl Fn(&str) -> bool,
) {
    if let Some(Where::Fixed(fixed)) = stands
        && !fixed.as_str().is_some_and(is_known)
    {
        let hint = one_of(words.iter().map(|(word, _)| *word));
        fields.error(key, format!("{fixed} is no {key} of special work"), hint);
    }
}

fn fixes(mut fields: Fields<'_>, names: &mut Vec<Named>) -> Option<Subscription> {
    let filter = topic(&mut fields, None);
    let tag = required(&mut fields, "tag");
    let many = path(&mut fields, "many");
    let [person, role, zone, sos, x, y, floor, time] =
        ["person", "role", "zone", "sos", "x", "y", "floor", "time"].map(|key| stands(&mut fields, key));
    if x.is_some() != y.is_some() {
        let missing = if x.is_some() { "y" } else { "x" };
        let hint = format!("write both, in metres, as {missing} = \"$.{missing}\"");
        fields.error(missing, "one coordinate alone says nothing", hint);
    } else if floor.is_some() && x.is_none() {
        fields.error("floor", "a floor alone is no place", "say x and y too".to_owned());
    }
    let roles = renames(&mut fields, "roles", None, names);
    let zones = renames(&mut fields, "zones", Some(NameOf::Zone), names);
    fields.finish();
    let what =
        What::Fixes(FixFields { many, tag: tag?, person, role, zone, x, y, floor, sos, time, roles, zones });
    Some(Subscription { filter: filter?, what })
}

fn sightings(mut fields: Fields<'_>, names: &mut Vec<Named>) -> Option<Subscription> {
    let preset = fields.word("preset", &PRESETS);
    if preset.is_none() && fields.has("preset") {
        return None;
    }
    let filter = topic(&mut fields, preset.and_then(|(_, usual)| usual));
    let (shape, many) = match preset {
        Some((Preset::Frigate, _)) => {
            let zones = fields.texts("zones").unwrap_or_default().into_iter().map(|zone| zone.value);
            (Shape::Frigate { zones: zones.collect() }, None)
        }
        Some((Preset::Onvif, _)) => (Shape::Onvif, None),
        Some((Preset::Hikvision, _)) => (Shape::Hikvision, None),
        None => {
            for key in ["camera", "kind"] {
                if !fields.has(key) {
                    fields.missing(key);
                }
            }
            (Shape::Paths, path(&mut fields, "many"))
        }
    };
    let camera = camera(&mut fields, names);
    let [kind, id, state, confidence, time] =
        ["kind", "id", "state", "confidence", "time"].map(|key| stands(&mut fields, key));
    let confidence_max = fields.integer("confidence_max", 1..=CONFIDENCE_MAX).map_or(1.0, f64::from);
    let cameras = renames(&mut fields, "cameras", Some(NameOf::Camera), names);
    let kinds = renames(&mut fields, "kinds", None, names);
    let is_whole = preset.is_some() || (camera.is_some() && kind.is_some());
    fields.finish();
    let what = What::Sightings(SightingFields {
        shape,
        many,
        camera,
        kind,
        id,
        state,
        confidence,
        confidence_max,
        time,
        cameras,
        kinds,
    });
    is_whole.then_some(Subscription { filter: filter?, what })
}

/// One that is always the same is a name of the plant.
fn camera(fields: &mut Fields<'_>, names: &mut Vec<Named>) -> Option<Where> {
    let camera = stands(fields, "camera");
    if let Some(Where::Fixed(fixed)) = &camera {
        let value = fixed.as_str().unwrap_or_default().to_owned();
        names.push(Named { what: NameOf::Camera, name: Placed { value, place: fields.place("camera") } });
    }
    camera
}
