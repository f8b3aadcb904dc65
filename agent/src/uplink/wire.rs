//! What upstream reads: topics and JSON. Pure: records and rows in, messages and bytes out.
//!
//! `data` uses the camelCase names of the exchange standard where it has them, and its code numbers. Times
//! are RFC 3339 with the site's offset; turning them into the form of one province is an adaptor's work.
//! Every message but retained `state` is a CloudEvents 1.0 envelope in JSON.

mod alarm;
mod danger;
mod evidence;
mod indicator;
pub mod people;
pub mod permit;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use riskgate_drivers::tally::Counts;
use riskgate_engine::{
    Boost, Effect, Epoch, IndicatorRecord, Plant, RaiseCause, TaskRecord, UnitDraft, UnitRecord, WorkDays,
};
use riskgate_point::{Link, Wall};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::evidence::evidence;
use super::telemetry::{Chunk, Values};
use crate::config::ModelInForce;
use crate::store::journal::Head;
use crate::store::{Lane, LastSequences, Message, Row};

/// Whom messages come from.
#[derive(Debug, Clone)]
pub struct Origin {
    pub company: String,
    pub gateway: String,
    /// The gateway's name: the `registrant` of its hazards.
    pub name: String,
    pub timezone: TimeZone,
    pub epoch: Epoch,
    /// When and why the epoch began, as the store tells at opening.
    pub epoch_began: Wall,
    pub epoch_reason: String,
}

/// How one source is, as `state` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceState {
    pub id: String,
    pub name: String,
    pub link: Link,
    pub since: Wall,
    /// Points by the class of their quality.
    pub good: u32,
    pub uncertain: u32,
    pub bad: u32,
    /// What the driver counted, at the time of the last news.
    pub counts: Counts,
}

impl SourceState {
    /// All but the counts: they move with each poll, and `state` is told when there is news.
    pub fn news(&self) -> (&str, &str, &Link, Wall, [u32; 3]) {
        let Self { id, name, link, since, good, uncertain, bad, counts: _ } = self;
        (id, name, link, *since, [*good, *uncertain, *bad])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Online,
    Offline,
    Stopped,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Stopped => "stopped",
        }
    }
}

/// What upstream is to hear of an effect.
pub fn messages(effect: &Effect, plant: &Plant, origin: &Origin) -> Vec<Message> {
    match effect {
        Effect::Alarm(alarm) => vec![alarm::alarm_message(alarm, plant, origin)],
        Effect::Hazard(hazard) => vec![danger::hazard_message(hazard, plant, origin)],
        Effect::Task(task) => task_messages(task, plant, origin),
        Effect::Unit(unit) => vec![risk_message(unit, plant, origin)],
        Effect::Record(record) => vec![danger::record_message(record, origin)],
        Effect::Indicator(of) => vec![indicator::indicator_message(of, origin)],
        Effect::Stop(stop) => vec![alarm::stop_message(stop, plant, origin)],
        // It tells nobody.
        Effect::Shadow(_) => Vec::new(),
    }
}

/// Two messages with the same object and revision: by unit, and by whom it is for.
fn at_most(characters: usize, text: &str) -> String {
    text.chars().take(characters).collect()
}

fn task_messages(task: &TaskRecord, plant: &Plant, origin: &Origin) -> Vec<Message> {
    let drafted = plant.task_of(&task.task);
    let (cycle, unit) = cycle_words(task.cycle);
    let (base, base_unit) = cycle_words(task.base_cycle);
    let data = json!({
        "id": task.task,
        "revision": task.revision,
        "companyCode": origin.company,
        "riskMeasureId": task.measure,
        "riskUnitId": task.unit,
        "troubleshootContent": task.content,
        "workType": task.work_type,
        "workDayType": match drafted.map(|task| task.days).unwrap_or_default() {
            WorkDays::Every => 0,
            WorkDays::Working => 1,
            WorkDays::Resting => 2,
        },
        "workStartTime": drafted.and_then(|task| task.hours).map(|(from, _)| time_of_day(from)),
        "workEndTime": drafted.and_then(|task| task.hours).map(|(_, to)| time_of_day(to)),
        "taskStartTime": drafted.and_then(|task| task.start).map(|at| origin.time(at)),
        "taskNum": drafted.and_then(|task| task.task_num),
        "assignee": task.assignee,
        "checkCycle": cycle,
        "checkCycleUnit": unit,
        "baseCheckCycle": base,
        "baseCheckCycleUnit": base_unit,
        "suspendedSince": task.suspended.map(|at| origin.time(at)),
        "boosts": task.boosts.iter().map(|boost| boost_data(boost, origin)).collect::<Vec<_>>(),
        "doneTime": task.done.map(|at| origin.time(at)),
        "overdue": task.overdue.is_some(),
        "overdueSince": task.overdue.map(|at| origin.time(at)),
        "changed": origin.time(task.changed),
    });
    let message = |topic: String| Message {
        lane: Lane::Work,
        topic,
        retain: false,
        kind: "riskgate.task.v1".to_owned(),
        object: task.task.clone(),
        revision: task.revision,
        time: task.changed,
        data: data.clone(),
    };
    let mut messages = vec![message(format!("task/{}", level(&task.unit)))];
    if !task.assignee.is_empty() {
        messages.push(message(format!("task/by/{}", level(&task.assignee))));
    }
    messages
}

/// `8:00:00`, as the standard writes it.
fn time_of_day(seconds: u32) -> String {
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn boost_data(boost: &Boost, origin: &Origin) -> Value {
    let cycle = boost.cycle.map(cycle_words);
    json!({
        "rule": boost.rule,
        "words": boost.words,
        "checkCycle": cycle.as_ref().map(|(cycle, _)| cycle),
        "checkCycleUnit": cycle.as_ref().map(|(_, unit)| unit),
        "due": boost.due.map(|at| origin.time(at)),
        "since": origin.time(boost.since),
        "until": boost.until.map(|at| origin.time(at)),
    })
}

/// `checkCycle`, a decimal(4,2) above zero, and `checkCycleUnit`. Whole days, months of 30 days and years of
/// 365 as such; anything else in the smallest unit that holds it, rounded down: an inspection may come early,
/// not late. The least that can be said is 0.01 小时.
fn cycle_words(cycle: Duration) -> (f64, &'static str) {
    const HUNDREDTHS_MAX: u64 = 9_999;
    const DAY_S: u64 = 24 * 60 * 60;
    const HOURS: (u64, &str) = (60 * 60, "小时");
    const WHOLE: [(u64, &str); 3] = [(DAY_S, "天"), (30 * DAY_S, "月"), (365 * DAY_S, "年")];
    let seconds = cycle.as_secs();
    let hundredths = |unit: u64| seconds.saturating_mul(100) / unit;
    let fits = |(unit, _): &(u64, &str)| hundredths(*unit) <= HUNDREDTHS_MAX;
    let whole = WHOLE.into_iter().filter(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit)).find(fits);
    let (unit, word) =
        whole.or_else(|| [HOURS].into_iter().chain(WHOLE).find(fits)).unwrap_or((365 * DAY_S, "年"));
    let hundredths = u32::try_from(hundredths(unit).clamp(1, HUNDREDTHS_MAX)).unwrap_or(1);
    (f64::from(hundredths) / 100.0, word)
}

/// The code of a unit's object, under the standard's name for it: `hazardCode` of a 重大危险源, `hazardCode1` of any other.
/// Neither where the plant has the unit no more.
pub(super) struct Codes<'a> {
    pub(super) major: Option<&'a str>,
    pub(super) other: Option<&'a str>,
}

impl<'a> Codes<'a> {
    pub(super) fn of(unit: Option<&'a UnitDraft>, plant: &Plant) -> Self {
        let code = unit.map(|unit| unit.hazard_code.as_str());
        if unit.is_none_or(|unit| plant.is_major(unit)) {
            Self { major: code, other: None }
        } else {
            Self { major: None, other: code }
        }
    }
}

/// The present class of a unit's risk; retained.
pub fn risk_message(unit: &UnitRecord, plant: &Plant, origin: &Origin) -> Message {
    let causes = unit.causes.iter().map(|cause| cause_data(cause, origin));
    let codes = Codes::of(plant.unit(&unit.unit), plant);
    let data = json!({
        "id": unit.unit,
        "revision": unit.revision,
        "companyCode": origin.company,
        "riskUnitId": unit.unit,
        "hazardCode": codes.major,
        "hazardCode1": codes.other,
        "riskUnitName": unit.name,
        "riskClass": unit.current.number(),
        "baseRiskClass": unit.base.number(),
        "colour": unit.current,
        "causes": causes.collect::<Vec<_>>(),
        "changed": origin.time(unit.changed),
    });
    Message {
        lane: Lane::Critical,
        topic: risk_topic(&unit.unit),
        retain: true,
        kind: "riskgate.risk.v1".to_owned(),
        object: unit.unit.clone(),
        revision: unit.revision,
        time: unit.changed,
        data,
    }
}

pub(super) fn risk_topic(unit: &str) -> String {
    format!("risk/{}", level(unit))
}

fn cause_data(cause: &RaiseCause, origin: &Origin) -> Value {
    json!({
        "rule": cause.rule,
        "words": cause.words,
        "raiseTo": cause.raise_to.number(),
        "since": origin.time(cause.since),
        "until": cause.until.map(|at| origin.time(at)),
    })
}

impl Origin {
    /// RFC 3339 with the site's offset, to the millisecond. A wall time that no calendar holds is told
    /// as its number.
    pub fn time(&self, at: Wall) -> String {
        Timestamp::from_millisecond(at.0).map_or_else(
            |_| at.0.to_string(),
            |at| at.to_zoned_datetime(self.timezone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
        )
    }

    /// The topic under the configured root.
    pub(super) fn topic(&self, root: &str, below: &str) -> String {
        format!("{root}/{}/{}/{below}", level(&self.company), level(&self.gateway))
    }
}

/// The CloudEvents envelope. Its fields stand in the order of their names, as those of `data` do.
#[derive(Serialize)]
struct Envelope<'a, D> {
    data: &'a D,
    datacontenttype: &'static str,
    epoch: Uuid,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lane: Option<Lane>,
    replayed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    source: String,
    specversion: &'static str,
    time: String,
    #[serde(rename = "type")]
    kind: &'a str,
}

impl<'a, D: Serialize> Envelope<'a, D> {
    fn new(name: &str, kind: &'a str, at: Wall, replayed: bool, data: &'a D, origin: &Origin) -> Self {
        Self {
            data,
            datacontenttype: "application/json",
            epoch: origin.epoch.0,
            id: format!("{}/{name}", origin.epoch.0),
            lane: None,
            replayed,
            sequence: None,
            source: format!("riskgate/{}/{}", origin.company, origin.gateway),
            specversion: "1.0",
            time: origin.time(at),
            kind,
        }
    }

    #[expect(clippy::expect_used, reason = "texts, numbers and trees of JSON: none of them can fail")]
    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("JSON of JSON")
    }
}

/// A row of the outbox. `replayed`: sent once more, on demand.
pub fn row_bytes(row: &Row, origin: &Origin, replayed: bool) -> Vec<u8> {
    let message = &row.message;
    let name = format!("{}/{}", message.lane.word(), row.sequence);
    Envelope {
        lane: Some(message.lane),
        sequence: Some(row.sequence),
        ..Envelope::new(&name, &message.kind, message.time, replayed, &message.data, origin)
    }
    .bytes()
}

/// A message outside the lanes: it has no sequence, and nobody misses it. `name` is unique in the epoch.
pub(super) fn loose_bytes(
    name: &str,
    kind: &str,
    at: Wall,
    replayed: bool,
    data: &impl Serialize,
    origin: &Origin,
) -> Vec<u8> {
    Envelope::new(name, kind, at, replayed, data, origin).bytes()
}

/// Some readings.
pub(super) fn telemetry_bytes(
    name: &str,
    chunk: &Chunk,
    at: Wall,
    replayed: bool,
    origin: &Origin,
) -> Vec<u8> {
    #[derive(Serialize)]
    struct Telemetry<'a> {
        count: u64,
        from: String,
        id: &'a str,
        revision: u64,
        to: String,
        values: Values<'a>,
    }
    let data = Telemetry {
        count: chunk.count(),
        from: origin.time(chunk.from),
        id: name,
        revision: 1,
        to: origin.time(chunk.to),
        values: chunk.values(origin),
    };
    loose_bytes(name, "riskgate.telemetry.v1", at, replayed, &data, origin)
}

/// What a present unit record says, outside its lane: published anew on each connect.
pub(super) fn risk_again_bytes(unit: &UnitRecord, plant: &Plant, origin: &Origin) -> Vec<u8> {
    let message = risk_message(unit, plant, origin);
    let name = format!("risk/{}/{}", unit.unit, unit.revision);
    loose_bytes(&name, &message.kind, message.time, true, &message.data, origin)
}

/// The same of the indicators.
pub(super) fn indicator_again_bytes(of: &IndicatorRecord, origin: &Origin) -> Vec<u8> {
    let message = indicator::indicator_message(of, origin);
    let name = format!("indicator/{}", of.revision);
    loose_bytes(&name, &message.kind, message.time, true, &message.data, origin)
}

/// What `state` tells of a gateway that is there.
pub(super) struct Present<'a> {
    pub(super) last: LastSequences,
    pub(super) journal: &'a Head,
    pub(super) sources: &'a [SourceState],
    pub(super) model: &'a ModelInForce,
}

/// `present` is left out of the will: the broker tells it when nobody knows.
pub(super) fn state_bytes(
    status: Status,
    present: Option<Present<'_>>,
    at: Wall,
    origin: &Origin,
) -> Vec<u8> {
    let mut state = Map::new();
    state.insert("status".to_owned(), json!(status.word()));
    state.insert("epoch".to_owned(), json!(origin.epoch.0));
    if let Some(Present { last, journal, sources, model }) = present {
        state.insert("last".to_owned(), json!(last));
        state.insert("journal".to_owned(), json!(journal));
        state.insert("time".to_owned(), json!(origin.time(at)));
        let sources = sources.iter().map(|source| source_data(source, origin));
        state.insert("sources".to_owned(), Value::Array(sources.collect()));
        state.insert("model".to_owned(), model_data(model, origin));
    }
    Value::Object(state).to_string().into_bytes()
}

/// Without a version the files hold, also where upstream owns the model: none was taken yet, or none could be read.
fn model_data(model: &ModelInForce, origin: &Origin) -> Value {
    let mut data = json!({ "source": model.source, "orphans": model.orphans.len() });
    if let (Some(taken), Some(fields)) = (&model.taken, data.as_object_mut()) {
        fields.insert("version".to_owned(), json!(taken.version));
        fields.insert("since".to_owned(), json!(origin.time(taken.at)));
        fields.insert("by".to_owned(), json!(taken.by));
    }
    if let (Some(refused), Some(fields)) = (&model.refused, data.as_object_mut()) {
        fields.insert("refused".to_owned(), json!({ "version": refused.version, "error": refused.why }));
    }
    data
}

fn source_data(source: &SourceState, origin: &Origin) -> Value {
    let (link, why) = match &source.link {
        Link::Connecting => ("connecting", None),
        Link::Up => ("up", None),
        Link::Down { why } => ("down", Some(why)),
    };
    json!({
        "id": source.id,
        "name": source.name,
        "link": link,
        "why": why,
        "since": origin.time(source.since),
        "good": source.good,
        "uncertain": source.uncertain,
        "bad": source.bad,
        "polls": source.counts.polls,
        "pollsFailed": source.counts.polls_failed,
        "pollsLate": source.counts.polls_late,
        "connects": source.counts.connects,
        "roundTripMs": millis(source.counts.round_trip),
        "skipped": source.counts.skips.values().map(|skipped| skipped.count).sum::<u64>(),
    })
}

/// With a fraction; `None` where nothing was measured.
fn millis(span: Duration) -> Option<f64> {
    (!span.is_zero()).then(|| (span.as_secs_f64() * 1e6).round() / 1e3)
}

/// One level of a topic: what MQTT gives a meaning is written as a percent code, and so is the percent
/// sign, so that the id can be had back.
pub fn level(id: &str) -> String {
    let mut level = String::with_capacity(id.len());
    for character in id.chars() {
        match character {
            '+' | '#' | '/' | '%' => level.push_str(&format!("%{:02X}", u32::from(character))),
            control if control.is_control() => level.push_str(&format!("%{:02X}", u32::from(control))),
            plain => level.push(plain),
        }
    }
    level
}
