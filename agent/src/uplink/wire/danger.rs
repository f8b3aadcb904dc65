//! Hazards and records of inspections as upstream reads them: in the names and codes of the exchange standard,
//! with its defaults by the measure's `classify2`. Pure.

use riskgate_engine::{CheckRecord, HazardRecord, HazardStage, Level, Plant, value_words};
use riskgate_point::Quality;
use serde_json::{Map, Value, json};

use super::{Codes, Origin, at_most, evidence, level};
use crate::store::{Lane, Message};

/// `dangerName` holds 300 characters.
const DANGER_NAME_CHARS: usize = 300;

/// The standard sets no length: a condition of the greatest and what it read, in four bytes a character at most.
const DANGER_DESC_CHARS: usize = 16_384;

/// `checkAcceptPerson` and `checkAcceptComment` likewise.
const ACCEPT_PERSON_CHARS: usize = 50;
const ACCEPT_COMMENT_CHARS: usize = 1_000;

pub(super) fn hazard_message(hazard: &HazardRecord, plant: &Plant, origin: &Origin) -> Message {
    let (topic, kind) = match hazard.stage {
        HazardStage::Candidate | HazardStage::Rejected => ("candidate", "riskgate.candidate.v1"),
        HazardStage::Rectifying | HazardStage::AwaitingAcceptance | HazardStage::Accepted => {
            ("hazard", "riskgate.hazard.v1")
        }
    };
    Message {
        lane: Lane::Critical,
        topic: format!("{topic}/{}", level(&hazard.unit)),
        retain: false,
        kind: kind.to_owned(),
        object: hazard.id.to_string(),
        revision: hazard.revision,
        time: hazard.changed,
        data: hazard_data(hazard, plant, origin),
    }
}

fn hazard_data(hazard: &HazardRecord, plant: &Plant, origin: &Origin) -> Value {
    let measure = plant.measure(&hazard.measure);
    let unit = plant.unit(&hazard.unit);
    let classify2 = measure.map_or("", |measure| &measure.classify2);
    let codes = Codes::of(unit, plant);
    let name = match measure {
        Some(measure) => format!("{}：{}", measure.name, hazard.words.zh),
        None => hazard.words.zh.clone(),
    };
    let mut data = json!({
        "id": hazard.id,
        "revision": hazard.revision,
        "durable": true,
        "companyCode": origin.company,
        "riskMeasureId": hazard.measure,
        "orphan": plant.is_orphan(&hazard.measure),
        "riskUnitId": hazard.unit,
        "hazardCode": codes.major,
        "hazardCode1": codes.other,
        "hazardDep": unit.map(|unit| &unit.department).filter(|department| !department.is_empty()),
        "dangerName": at_most(DANGER_NAME_CHARS, &name),
        "dangerLevel": match hazard.level { Level::General => 0, Level::Major => 1 },
        "dangerSrc": 9,
        "dangerManageType": 1,
        "hazardDangerType": danger_type(&hazard.cause, classify2),
        "managementClassification": management(&hazard.cause, classify2),
        "occurrenceLink": occurrence(classify2),
        // 其他: no liable person of the 包保 registered it.
        "hazardCategory": 0,
        "dangerDesc": description(hazard),
        "stage": hazard.stage,
        "registTime": origin.time(hazard.raised),
        "registrant": origin.name,
        "liablePerson": hazard.liable_person,
        "dangerManageDeadline": origin.time(hazard.deadline),
        "previousId": hazard.previous,
        "cause": hazard.cause,
        "rule": hazard.rule,
        "opening": hazard.opening,
        "repeats": hazard.repeats,
        "changed": origin.time(hazard.changed),
        "returnedTime": hazard.returned.map(|at| origin.time(at)),
        "acts": hazard.acts.iter().map(|act| json!({
            "by": act.by,
            "deed": act.deed,
            "why": act.why,
            "time": origin.time(act.at),
        })).collect::<Vec<_>>(),
        "words": hazard.words,
        "evidence": evidence(&hazard.evidence, origin),
    });
    // The standard has no state for what is not a hazard yet, or was found to be none.
    let state = match hazard.stage {
        HazardStage::Candidate | HazardStage::Rejected => None,
        HazardStage::Rectifying => Some(0),
        HazardStage::AwaitingAcceptance => Some(1),
        HazardStage::Accepted => Some(9),
    };
    if let Some(fields) = data.as_object_mut() {
        fields.extend(life(hazard, origin));
    }
    if let (Some(state), Some(fields)) = (state, data.as_object_mut()) {
        fields.insert("dangerState".to_owned(), json!(state));
        fields.extend(acceptance(hazard, origin));
    }
    data
}

/// How it goes with the hazard, and the fields of the standard that nobody has said anything for yet.
fn life(hazard: &HazardRecord, origin: &Origin) -> Map<String, Value> {
    let told = [
        ("confirmedTime", json!(hazard.confirmed.map(|at| origin.time(at)))),
        ("overdue", json!(hazard.overdue.is_some())),
        ("overdueSince", json!(hazard.overdue.map(|at| origin.time(at)))),
        ("late", json!(hazard.late)),
        ("groupId", json!(hazard.group)),
        ("recurrences", json!(hazard.recurrences)),
    ];
    // A rule found it and no task did: there is no record that it follows from. The rest people find out.
    let unsaid = ["checkRecordId", "dangerReason", "controlMeasures", "cost", "enforcementId"];
    let unsaid = unsaid.map(|field| (field, Value::Null));
    told.into_iter().chain(unsaid).map(|(field, value)| (field.to_owned(), value)).collect()
}

/// Who accepted the rectification, when and with which words: nothing before it was.
fn acceptance(hazard: &HazardRecord, origin: &Origin) -> Map<String, Value> {
    let mut fields = Map::new();
    let accept = hazard.acts.iter().rfind(|act| act.deed == "accept");
    if let (HazardStage::Accepted, Some(accept)) = (hazard.stage, accept) {
        let comment = accept.why.as_deref().map(|why| at_most(ACCEPT_COMMENT_CHARS, why));
        fields.insert("checkAcceptPerson".to_owned(), json!(at_most(ACCEPT_PERSON_CHARS, &accept.by)));
        fields.insert("checkAcceptTime".to_owned(), json!(origin.time(accept.at)));
        fields.insert("checkAcceptComment".to_owned(), json!(comment));
    }
    fields
}

/// What is wrong is that nobody can see.
fn is_of_sight(cause: &str) -> bool {
    cause.starts_with("fault:")
}

/// `managementClassification`: 1 人的不安全行为 of what people do, 3 管理上的缺陷 of plans, else 2 物的不安全状态.
fn management(cause: &str, classify2: &str) -> u8 {
    match classify2 {
        _ if is_of_sight(cause) => 2,
        "3-1" | "3-2" | "3-3" | "3-4" => 1,
        "4-4" => 3,
        _ => 2,
    }
}

/// `occurrenceLink`: 7 维护保养 of what is kept in order, else 6 使用操作.
fn occurrence(classify2: &str) -> u8 {
    if classify2.starts_with("2-") { 7 } else { 6 }
}

/// `hazardDangerType` by the measure's `classify2`: 1 安全, 2 工艺, 4 仪表, 5 消防, 7 设备, 8 其他. An instrument that
/// has failed is one whatever it watched.
fn danger_type(cause: &str, classify2: &str) -> u8 {
    match classify2 {
        _ if is_of_sight(cause) => 4,
        "3-1" | "3-2" | "3-3" | "3-4" => 1,
        "1-1" => 2,
        "1-3" | "1-4" => 4,
        "4-3" => 5,
        "1-2" => 7,
        other if other.starts_with("2-") => 7,
        _ => 8,
    }
}

/// What a person reads who has nothing but this text.
fn description(hazard: &HazardRecord) -> String {
    let operands = hazard.evidence.operands.iter().map(|operand| {
        let value = operand.value.as_ref().map_or_else(|| "未知".to_owned(), |value| value_words(value, ""));
        let detail = operand.detail.as_ref().map_or_else(String::new, |detail| format!("，{detail}"));
        format!("{}={value}（{}{detail}）", operand.text, quality_zh(operand.quality))
    });
    let operands = operands.collect::<Vec<_>>().join("，");
    let whole = format!("{}。判据：{}。当时：{operands}", hazard.words.zh, hazard.evidence.condition);
    at_most(DANGER_DESC_CHARS, &whole)
}

/// Not 正常: the reading may be of good quality and far beyond its limit.
fn quality_zh(quality: Quality) -> &'static str {
    match quality {
        Quality::Good => "质量好",
        Quality::Uncertain(_) => "质量可疑",
        Quality::Bad(_) => "质量坏",
    }
}

/// A record of the agent's has the gateway where the standard asks for a person's telephone: never a person's.
pub(super) fn record_message(record: &CheckRecord, origin: &Origin) -> Message {
    let data = json!({
        "id": record.id,
        "revision": record.revision,
        "companyCode": origin.company,
        "checkTaskId": record.task,
        "riskMeasureId": record.measure,
        "riskUnitId": record.unit,
        "checkTime": origin.time(record.at),
        "checkStatus": record.status.number(),
        "createBy": record.by,
        "createByMobile": record.automatic.then_some(&record.by),
        "updateByMobile": record.automatic.then_some(&record.by),
        "mobileMe": null,
        "isDefend": u8::from(record.work_type > 0),
        "automatic": record.automatic,
        "source": if record.automatic { "自动监测" } else { "人工排查" },
        "why": record.why,
        "periodStart": record.period.map(|period| origin.time(period.start)),
        "periodEnd": record.period.map(|period| origin.time(period.end)),
    });
    Message {
        lane: Lane::Work,
        topic: format!("record/{}", level(&record.unit)),
        retain: false,
        kind: "riskgate.record.v1".to_owned(),
        object: record.id.to_string(),
        revision: record.revision,
        time: record.at,
        data,
    }
}
