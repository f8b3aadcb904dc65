//! ONVIF's event JSON (Core specification, events over MQTT): `{camera}/onvif-ej/{event}[/&{source}…]`, where
//! the payload bears UtcTime, PropertyOperation, Source and Data.
//!
//! A property that is `Initialized` is told as it stands, which is no news; one that is `Changed` to true is an
//! event, to false its end. An event that is no property has no end. Metadata streams are not read.

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::mqtt::decode::sightings::{Phase, Seen};
use crate::mqtt::decode::values::truth_of;
use crate::mqtt::decode::{Field, Skip};

const MARK: &str = "/onvif-ej/";

pub(in crate::mqtt) fn read<'j>(whole: &'j Json, topic: &'j str) -> Result<Vec<Seen<'j>>, Skip> {
    let (camera, event) = topic.split_once(MARK).ok_or(Skip::Missing(Field::Event))?;
    let source = items(whole.get("Source"));
    let said = items(whole.get("Data"));
    if whole.get("UtcTime").is_none() && said.is_empty() && source.is_empty() {
        return Err(Skip::Missing(Field::Event));
    }
    let truth = truth(&said);
    let operation = whole.get("PropertyOperation").and_then(Json::as_str);
    let phase = match (operation, truth) {
        (Some("Deleted"), _) | (_, Some(false)) => Phase::Over,
        (Some("Initialized"), _) => Phase::Stands,
        (_, Some(true) | None) => Phase::Seen,
    };
    let rule = source.iter().find(|(name, _)| *name == "Rule").and_then(|(_, rule)| rule.as_str());
    Ok(vec![Seen {
        camera: Some(Cow::Borrowed(camera)),
        kind: Some(name_of(event)),
        rule: rule.map(Cow::Borrowed),
        time: whole.get("UtcTime"),
        phase,
        ..Seen::of(whole)
    }])
}

/// `RuleEngine/LineDetector/Crossed`: without the namespaces that some cameras leave in, and without the
/// source that may follow.
fn name_of(event: &str) -> Cow<'_, str> {
    let levels = event.split('/').take_while(|level| !level.starts_with('&'));
    let plain = levels.map(|level| level.rsplit_once(':').map_or(level, |(_, name)| name));
    Cow::Owned(plain.collect::<Vec<_>>().join("/"))
}

/// Names and values, of `{ "State": true }` and of `{ "SimpleItem": [{ "Name": "State", "Value": "true" }] }`.
fn items(of: Option<&Json>) -> Vec<(&str, &Json)> {
    let Some(Json::Object(items)) = of else { return Vec::new() };
    let Some(simple) = items.get("SimpleItem") else {
        return items.iter().map(|(name, value)| (name.as_str(), value)).collect();
    };
    let each = simple.as_array().map_or(std::slice::from_ref(simple), Vec::as_slice);
    each.iter().filter_map(|item| Some((item.get("Name")?.as_str()?, item.get("Value")?))).collect()
}

/// What the event says of being so, if it says: its state, else what it is, else any yes or no.
fn truth(said: &[(&str, &Json)]) -> Option<bool> {
    let is_truth =
        |value: &Json| !value.is_number() && value.as_str().is_none_or(|text| text.parse::<f64>().is_err());
    let truths = || said.iter().filter(|(_, value)| is_truth(value));
    let of = |wanted: fn(&str) -> bool| {
        truths().filter(|(name, _)| wanted(name)).find_map(|(_, value)| truth_of(value))
    };
    of(|name| name == "State" || name == "LogicalState")
        .or_else(|| of(|name| name.starts_with("Is")))
        .or_else(|| of(|_| true))
}

pub(in crate::mqtt) fn kind(event: &str) -> Option<&'static str> {
    const KINDS: [(&str, &str); 8] = [
        ("RuleEngine/LineDetector/Crossed", "intrusion"),
        ("RuleEngine/FieldDetector/ObjectsInside", "intrusion"),
        ("RuleEngine/LoiteringDetector/ObjectIsLoitering", "loitering"),
        ("RuleEngine/CellMotionDetector/Motion", "motion"),
        ("RuleEngine/MotionRegionDetector/Motion", "motion"),
        ("VideoSource/MotionAlarm", "motion"),
        ("RuleEngine/TamperDetector/Tamper", "video_loss"),
        ("VideoSource/GlobalSceneChange/ImagingService", "video_loss"),
    ];
    KINDS.iter().find(|(name, _)| *name == event).map(|(_, kind)| *kind)
}
