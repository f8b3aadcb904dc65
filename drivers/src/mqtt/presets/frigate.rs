//! Frigate's `{prefix}/events`: one message for each change of a tracked object, under one id from `new`
//! over `update` to `end`. Of its snapshots, reviews and counts nothing is read.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value as Json;

use crate::mqtt::decode::sightings::{Phase, Seen};
use crate::mqtt::decode::{Field, Skip};

/// Frigate speaks of an object that it tracks each 5 s where something changed, else each minute.
const TOLD_EACH: Duration = Duration::from_secs(90);

/// With `zones`, an object counts while it is in one of them.
pub(in crate::mqtt) fn read<'j>(whole: &'j Json, zones: &[String]) -> Result<Vec<Seen<'j>>, Skip> {
    let Some(after) = whole.get("after").filter(|after| after.is_object()) else {
        return Err(Skip::Missing(Field::Event));
    };
    let phase = match whole.get("type").and_then(Json::as_str) {
        Some("new" | "update") => Phase::Seen,
        Some("end") => Phase::Over,
        Some(_) => return Err(Skip::Unusable(Field::Event)),
        None => return Err(Skip::Missing(Field::Event)),
    };
    let is_false = after.get("false_positive").and_then(Json::as_bool) == Some(true);
    let is_elsewhere = || {
        let current = after.get("current_zones").and_then(Json::as_array);
        let mut current = current.into_iter().flatten().filter_map(Json::as_str);
        !zones.is_empty() && !current.any(|zone| zones.iter().any(|wanted| wanted == zone))
    };
    if is_false {
        return Ok(Vec::new());
    }
    // Out of the zones it is over: when it comes back it is news.
    let phase = if is_elsewhere() { Phase::Over } else { phase };
    let text = |key: &str| after.get(key).and_then(Json::as_str).map(Cow::Borrowed);
    let score = |key: &str| after.get(key).filter(|score| score.is_number());
    Ok(vec![Seen {
        camera: text("camera"),
        kind: text("label"),
        id: text("id"),
        confidence: score("top_score").or_else(|| score("score")),
        time: after.get("frame_time").filter(|time| !time.is_null()),
        phase,
        lasts: TOLD_EACH,
        ..Seen::of(whole)
    }])
}

pub(in crate::mqtt) fn kind(label: &str) -> Option<&'static str> {
    match label {
        "fire" => Some("flame"),
        _ => None,
    }
}
