//! Alarms with what keeps them from being annunciated, and stops of units.

use riskgate_engine::{AlarmRecord, AlarmTurn, OutOfService, Plant, Shelf, StopRecord, Suppression};
use serde_json::{Value, json};

use super::{Codes, Origin, evidence, level};
use crate::store::{Lane, Message};

/// `stopReason` holds 500 characters.
const REASON_CHARS: usize = 500;

pub(super) fn alarm_message(alarm: &AlarmRecord, plant: &Plant, origin: &Origin) -> Message {
    let unit = alarm.unit.as_deref().unwrap_or("_site");
    let data = json!({
        "id": alarm.id,
        "revision": alarm.revision,
        // What comes out of the outbox was committed before: an alert that was not is told on the spot only.
        "durable": true,
        "kind": alarm.kind,
        "state": alarm.state,
        "class": alarm.class,
        "priority": alarm.priority,
        "companyCode": origin.company,
        "riskUnitId": alarm.unit,
        "riskMeasureId": alarm.measure,
        "orphan": alarm.measure.as_deref().is_some_and(|measure| plant.is_orphan(measure)),
        "words": alarm.words,
        "guidance": alarm.guidance,
        "tags": alarm.tags,
        "blinds": alarm.blinds,
        "episode": alarm.episode,
        "since": origin.time(alarm.since),
        "changed": origin.time(alarm.changed),
        "acknowledgedBy": alarm.acknowledged_by,
        "onUnknown": alarm.on_unknown,
        "annunciated": alarm.is_annunciated(),
        "turn": turn(&alarm.turn),
        "shelved": alarm.withheld.shelved.as_ref().map(|of| shelf(of, origin)),
        "suppressed": alarm.withheld.suppressed.as_ref().map(|of| suppression(of, origin)),
        "outOfService": alarm.withheld.out_of_service.as_ref().map(|of| out_of_service(of, origin)),
        "evidence": evidence(&alarm.evidence, origin),
    });
    Message {
        lane: Lane::Critical,
        topic: format!("alarm/{}", level(unit)),
        retain: false,
        kind: "riskgate.alarm.v1".to_owned(),
        object: alarm.id.clone(),
        revision: alarm.revision,
        time: alarm.changed,
        data,
    }
}

/// 停用检维修: the exchange standard's record of a stop, once when it begins and once when it ends.
pub(super) fn stop_message(stop: &StopRecord, plant: &Plant, origin: &Origin) -> Message {
    let id = format!("{}:{}", stop.unit, stop.stop);
    let unit = plant.unit(&stop.unit);
    let codes = Codes::of(unit, plant);
    let data = json!({
        "id": id,
        "revision": stop.revision,
        "companyCode": origin.company,
        "hazardCode": codes.major,
        "hazardCode1": codes.other,
        "riskUnitId": stop.unit,
        "riskUnitName": unit.map(|unit| &unit.name),
        "stopStartTime": origin.time(stop.since),
        "stopEndTime": stop.ended.map(|at| origin.time(at)),
        "stopReason": super::at_most(REASON_CHARS, &stop.why),
        "by": stop.by,
        "endedBy": stop.ended_by,
    });
    Message {
        lane: Lane::Work,
        topic: format!("stop/{}", level(&stop.unit)),
        retain: false,
        kind: "riskgate.stop.v1".to_owned(),
        object: id,
        revision: stop.revision,
        time: stop.ended.unwrap_or(stop.since),
        data,
    }
}

fn turn(turn: &AlarmTurn) -> Value {
    json!({ "event": turn.event, "by": turn.by, "why": turn.why })
}

fn shelf(of: &Shelf, origin: &Origin) -> Value {
    json!({
        "by": of.by,
        "why": of.why,
        "since": origin.time(of.since),
        "until": origin.time(of.until),
    })
}

fn suppression(of: &Suppression, origin: &Origin) -> Value {
    json!({ "riskUnitId": of.unit, "since": origin.time(of.since) })
}

fn out_of_service(of: &OutOfService, origin: &Origin) -> Value {
    json!({
        "by": of.by,
        "why": of.why,
        "since": origin.time(of.since),
        "until": of.until.map(|at| origin.time(at)),
    })
}
