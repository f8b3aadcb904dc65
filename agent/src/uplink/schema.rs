//! What upstream may rely on: a JSON Schema for each kind of message, and an AsyncAPI document of the topics.
//!
//! A table beside what `wire`, `birth`, `gap` and `commands` write, and one of what may be commanded; the tests hold each message against it.
//! The schemas are open: a receiver passes over what it does not know, so a field may be added.

mod asyncapi;
mod commands;

use serde_json::{Map, Value, json};

use asyncapi::asyncapi;
use commands::commands;

/// The dialect of all of them.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// One kind of message.
pub struct Kind {
    /// Of its file, and in its CloudEvents type: `riskgate.{name}.v1`.
    pub name: &'static str,
    /// Below the root.
    topic: &'static str,
    /// Another topic that repeats what stands on the first, and the name of its channel.
    repeated: Option<(&'static str, &'static str)>,
    retained: bool,
    what: &'static str,
    data: fn() -> Value,
    /// `state` alone has no envelope.
    is_bare: bool,
    /// It goes through a lane, and has its sequence.
    is_row: bool,
    /// It is told ahead of its lane, without a sequence, where the disk does not take it.
    may_be_undurable: bool,
}

const fn kind(name: &'static str, topic: &'static str, what: &'static str, data: fn() -> Value) -> Kind {
    Kind {
        name,
        topic,
        repeated: None,
        retained: false,
        what,
        data,
        is_bare: false,
        is_row: false,
        may_be_undurable: false,
    }
}

const fn row(name: &'static str, topic: &'static str, what: &'static str, data: fn() -> Value) -> Kind {
    Kind { is_row: true, ..kind(name, topic, what, data) }
}

const fn undurable(name: &'static str, topic: &'static str, what: &'static str, data: fn() -> Value) -> Kind {
    Kind { may_be_undurable: true, ..row(name, topic, what, data) }
}

/// In the order of their names.
pub const KINDS: [Kind; 16] = [
    undurable("alarm", "alarm/{unit}", "The state of a rule, as an operator sees it", alarm),
    Kind { retained: true, ..kind("birth", "birth", "Who is there, and which points it reads", birth) },
    undurable("candidate", "candidate/{unit}", "What may be a hazard, until a person has judged it", hazard),
    row("gap", "gap", "What the receiver will not have", gap),
    undurable("hazard", "hazard/{unit}", "A measure has failed: a record of the exchange standard", hazard),
    Kind {
        retained: true,
        is_row: true,
        ..kind(
            "indicator",
            "indicator",
            "排查任务完成率, 隐患整改率, 风险分析完成率, alarm quality",
            indicator,
        )
    },
    kind("people", "people/{zone}", "How many people are in a zone, and in which roles", people),
    Kind {
        retained: true,
        ..kind("permit", "permit/{unit}", "作业票: the special work that is permitted in a unit", permit)
    },
    Kind {
        retained: true,
        ..kind("points", "birth/points/{page}", "A page of a long list of points", points)
    },
    row("record", "record/{unit}", "排查记录: a task was carried out, or was not", record),
    kind("reply", "reply/{id}", "The answer to a command", reply),
    Kind { retained: true, is_row: true, ..kind("risk", "risk/{unit}", "The present class of a unit", risk) },
    Kind {
        retained: true,
        is_bare: true,
        ..kind("state", "state", "How the gateway is; its last will", state)
    },
    row("stop", "stop/{unit}", "停用检维修: a unit was stopped, or started again", stop),
    Kind {
        repeated: Some(("task-by", "task/by/{assignee}")),
        ..row("task", "task/{unit}", "An inspection; by its unit, and by whom it is for", task)
    },
    kind("telemetry", "telemetry", "Readings that changed", telemetry),
];

/// Each file's name and text.
pub fn files() -> Vec<(String, String)> {
    let schemas = KINDS.iter().map(|kind| (format!("{}.json", kind.name), kind.schema()));
    let commands = commands();
    let commands = commands.iter().map(|command| (format!("{}.json", command.key()), command.document()));
    let all = schemas.chain(commands).chain([("asyncapi.json".to_owned(), asyncapi())]);
    all.map(|(name, document)| (name, format!("{document:#}\n"))).collect()
}

impl Kind {
    pub fn schema(&self) -> Value {
        let data = (self.data)();
        let mut schema = if self.is_bare { data } else { self.envelope(data) };
        if let Some(fields) = schema.as_object_mut() {
            fields.insert("$schema".to_owned(), json!(DIALECT));
            fields.insert("title".to_owned(), json!(format!("riskgate.{}.v1", self.name)));
            fields.insert("description".to_owned(), json!(self.what));
        }
        schema
    }

    fn envelope(&self, data: Value) -> Value {
        let lane = one_of(&["critical", "gap", "work"]);
        let sequence = json!({ "type": "integer", "minimum": 1 });
        let both = [
            ("specversion", json!({ "const": "1.0" })),
            ("type", json!({ "const": format!("riskgate.{}.v1", self.name) })),
            ("source", text()),
            ("id", text()),
            ("time", text()),
            ("datacontenttype", json!({ "const": "application/json" })),
            ("epoch", text()),
            ("replayed", flag()),
            ("data", data),
        ];
        // A risk is told anew on each connect, outside its lane.
        if self.is_row && !self.retained && !self.may_be_undurable {
            object(both.into_iter().chain([("lane", lane), ("sequence", sequence)]), [])
        } else {
            object(both, [("lane", lane), ("sequence", sequence)])
        }
    }
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn number() -> Value {
    json!({ "type": "number" })
}

fn one_of(words: &[&str]) -> Value {
    json!({ "enum": words })
}

fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

/// It may be null.
fn or_null(of: Value) -> Value {
    json!({ "anyOf": [of, { "type": "null" }] })
}

/// Its fields: those that are always there, and those that may be.
fn object(
    required: impl IntoIterator<Item = (&'static str, Value)>,
    optional: impl IntoIterator<Item = (&'static str, Value)>,
) -> Value {
    let mut properties = Map::new();
    let mut names = Vec::new();
    for (name, schema) in required {
        names.push(name);
        properties.insert(name.to_owned(), schema);
    }
    properties.extend(optional.into_iter().map(|(name, schema)| (name.to_owned(), schema)));
    json!({ "type": "object", "required": names, "properties": properties })
}

fn words() -> Value {
    object([("zh", text()), ("en", text())], [])
}

/// Of one reading or operand: a number, a truth or a text; null where there is none.
fn value() -> Value {
    json!({ "type": ["number", "boolean", "string", "null"] })
}

fn evidence() -> Value {
    let operand = object(
        [
            ("text", text()),
            ("value", value()),
            ("quality", text()),
            ("time", or_null(text())),
            ("sourceTime", or_null(text())),
        ],
        [("detail", text()), ("until", text()), ("bound", one_of(&["at_least", "at_most", "neither"]))],
    );
    let node = object(
        [
            ("depth", count()),
            ("kind", one_of(&["any", "all", "not", "at_least", "maybe", "over_time", "compare", "told"])),
            ("text", text()),
            ("is", one_of(&["true", "false", "unknown"])),
        ],
        [("unknown", flag())],
    );
    let reason = object(
        [("configuration", text()), ("tree", list(node)), ("leftOut", count()), ("digest", text())],
        [],
    );
    object(
        [
            ("rule", text()),
            ("version", text()),
            ("condition", text()),
            ("verdict", text()),
            ("time", text()),
            ("operands", list(operand)),
        ],
        [("operandsLeftOut", count()), ("reason", reason)],
    )
}

fn alarm() -> Value {
    let turn = object([("event", text()), ("by", or_null(text())), ("why", or_null(text()))], []);
    let shelf = object([("by", text()), ("why", text()), ("since", text()), ("until", text())], []);
    let suppression = object([("riskUnitId", text()), ("since", text())], []);
    let out = object([("by", text()), ("why", text()), ("since", text()), ("until", or_null(text()))], []);
    object(
        [
            ("id", text()),
            ("revision", count()),
            ("durable", flag()),
            ("kind", text()),
            ("state", text()),
            ("class", text()),
            ("priority", one_of(&["low", "medium", "high", "critical"])),
            ("companyCode", text()),
            ("riskUnitId", or_null(text())),
            ("riskMeasureId", or_null(text())),
            ("words", words()),
            ("guidance", words()),
            ("tags", list(text())),
            ("episode", count()),
            ("since", text()),
            ("changed", text()),
            ("acknowledgedBy", or_null(text())),
            ("onUnknown", flag()),
            ("evidence", evidence()),
            ("blinds", list(text())),
            ("annunciated", flag()),
            ("turn", turn),
            ("shelved", or_null(shelf)),
            ("suppressed", or_null(suppression)),
            ("outOfService", or_null(out)),
        ],
        [("orphan", flag())],
    )
}

/// Of a candidate too: it alone has no `dangerState`.
fn hazard() -> Value {
    object(
        [
            ("id", text()),
            ("revision", count()),
            ("durable", flag()),
            ("companyCode", text()),
            ("riskMeasureId", text()),
            ("riskUnitId", text()),
            ("dangerName", json!({ "type": "string", "maxLength": 300 })),
            ("dangerLevel", json!({ "enum": [0, 1] })),
            ("dangerSrc", count()),
            ("dangerDesc", text()),
            ("stage", text()),
            ("registTime", text()),
            ("registrant", text()),
            ("dangerManageDeadline", text()),
            ("previousId", or_null(text())),
            ("cause", text()),
            ("changed", text()),
            ("evidence", evidence()),
        ],
        [
            ("dangerState", json!({ "enum": [0, 1, 9] })),
            ("checkAcceptPerson", json!({ "type": "string", "maxLength": 50 })),
            ("confirmedTime", or_null(text())),
            ("overdue", flag()),
            ("overdueSince", or_null(text())),
            ("late", flag()),
            ("groupId", or_null(text())),
            ("recurrences", count()),
            ("orphan", flag()),
            ("hazardCode", or_null(text())),
            ("hazardCode1", or_null(text())),
        ],
    )
}

fn stop() -> Value {
    object(
        [
            ("id", text()),
            ("revision", count()),
            ("companyCode", text()),
            ("riskUnitId", text()),
            ("riskUnitName", text()),
            ("by", text()),
            ("stopReason", text()),
            ("stopStartTime", text()),
        ],
        codes().into_iter().chain([("endedBy", or_null(text())), ("stopEndTime", or_null(text()))]),
    )
}

/// One of them says which object the unit is of; the other is null.
fn codes() -> [(&'static str, Value); 2] {
    [("hazardCode", or_null(text())), ("hazardCode1", or_null(text()))]
}

fn task() -> Value {
    let boost =
        object([("rule", text()), ("words", words()), ("since", text()), ("until", or_null(text()))], []);
    object(
        [
            ("id", text()),
            ("revision", count()),
            ("companyCode", text()),
            ("riskMeasureId", text()),
            ("riskUnitId", text()),
            ("troubleshootContent", text()),
            ("workType", count()),
            ("assignee", text()),
            ("checkCycle", number()),
            ("checkCycleUnit", one_of(&["小时", "天", "月", "年"])),
            ("boosts", list(boost)),
            ("changed", text()),
        ],
        [
            ("suspendedSince", or_null(text())),
            ("doneTime", or_null(text())),
            ("overdue", flag()),
            ("overdueSince", or_null(text())),
        ],
    )
}

fn record() -> Value {
    object(
        [
            ("id", text()),
            ("revision", count()),
            ("companyCode", text()),
            ("checkTaskId", text()),
            ("riskMeasureId", text()),
            ("riskUnitId", text()),
            ("checkTime", text()),
            ("checkStatus", json!({ "enum": [0, 1, 2, 3] })),
            ("createBy", text()),
            ("createByMobile", or_null(text())),
            ("updateByMobile", or_null(text())),
            ("isDefend", json!({ "enum": [0, 1] })),
            ("automatic", flag()),
            ("source", text()),
            ("why", text()),
            ("periodStart", or_null(text())),
            ("periodEnd", or_null(text())),
        ],
        [],
    )
}

/// Where nobody knows, the numbers are null.
fn people() -> Value {
    let role = object([("role", or_null(text())), ("count", count())], []);
    object(
        [
            ("id", text()),
            ("companyCode", text()),
            ("zoneName", text()),
            ("riskUnitId", text()),
            ("limit", or_null(count())),
            ("known", flag()),
            ("count", or_null(count())),
            ("present", or_null(count())),
            ("lost", or_null(count())),
            ("roles", or_null(list(role))),
            ("since", text()),
        ],
        [],
    )
}

/// Every ticket that is known in the unit, but `leftOut`.
fn permit() -> Value {
    let kinds = [
        "hot_work",
        "confined_space",
        "blind_plate",
        "height",
        "lifting",
        "temporary_power",
        "earthwork",
        "road_closing",
    ];
    let ticket = object(
        [
            ("ticketNum", text()),
            ("source", text()),
            ("ticketType", json!({ "type": "integer", "minimum": 1, "maximum": 8 })),
            ("kind", one_of(&kinds)),
            ("ticketLevel", or_null(count())),
            ("ticketPosition", or_null(text())),
            ("startTime", or_null(text())),
            ("endTime", or_null(text())),
            ("ticketStatus", json!({ "enum": [1, 2, 3] })),
            ("status", one_of(&["before", "working", "expired", "closed"])),
            ("inForce", or_null(flag())),
            ("guardianNamed", flag()),
            ("changed", text()),
        ],
        [],
    );
    object(
        [
            ("id", text()),
            ("companyCode", text()),
            ("riskUnitId", text()),
            ("riskUnitName", text()),
            ("known", flag()),
            ("count", count()),
            ("leftOut", count()),
            ("unplaced", count()),
            ("permits", list(ticket)),
            ("changed", text()),
        ],
        [],
    )
}

fn indicator() -> Value {
    let rate = || or_null(json!({ "type": "number", "minimum": 0, "maximum": 1 }));
    let week = || {
        let missed = json!({ "type": "object", "additionalProperties": { "type": "integer", "minimum": 1 } });
        let counted = ["due", "done", "suspended", "unknown"].map(|name| (name, count()));
        let tasks = object(counted.into_iter().chain([("missed", missed)]), []);
        let hazards = object([("due", count()), ("accepted", count()), ("open", list(text()))], []);
        object(
            [
                ("start", text()),
                ("end", text()),
                ("coveredSeconds", count()),
                ("rateCheck", rate()),
                ("tasks", tasks),
                ("rateDanger", rate()),
                ("hazards", hazards),
            ],
            [],
        )
    };
    let lacking = json!({ "type": "object" });
    let analysis = object([("objects", count()), ("complete", count()), ("lacking", lacking)], []);
    object(
        [
            ("id", text()),
            ("revision", count()),
            ("companyCode", text()),
            ("week", week()),
            ("lastWeek", or_null(week())),
            ("rateAnalysis", rate()),
            ("analysis", analysis),
            ("alarmQuality", json!({ "type": "object" })),
            ("changed", text()),
        ],
        [],
    )
}

fn risk() -> Value {
    let class = || json!({ "enum": [1, 2, 3, 4] });
    let cause = object([("rule", text()), ("words", words()), ("raiseTo", class()), ("since", text())], []);
    object(
        [
            ("id", text()),
            ("revision", count()),
            ("companyCode", text()),
            ("riskUnitId", text()),
            ("riskUnitName", text()),
            ("riskClass", class()),
            ("baseRiskClass", class()),
            ("colour", one_of(&["red", "orange", "yellow", "blue"])),
            ("causes", list(cause)),
            ("changed", text()),
        ],
        codes(),
    )
}

fn gap() -> Value {
    let classes = json!({ "type": "object", "additionalProperties": { "type": "integer", "minimum": 1 } });
    object(
        [
            ("id", text()),
            ("revision", count()),
            ("lane", one_of(&["telemetry", "critical", "gap", "work"])),
            ("count", or_null(count())),
            ("reason", text()),
        ],
        [
            ("from", text()),
            ("to", text()),
            ("fromSequence", count()),
            ("toSequence", count()),
            ("classes", classes),
            ("object", text()),
            ("objectRevision", count()),
            ("kind", text()),
            ("topic", text()),
            ("bytes", count()),
        ],
    )
}

fn reply() -> Value {
    let reason = object([("at", text()), ("error", text())], [("hint", text())]);
    let result = json!({ "type": "object" });
    object(
        [("id", text()), ("command", text()), ("ok", flag())],
        [
            ("result", result),
            ("code", text()),
            ("error", text()),
            ("revision", count()),
            ("reasons", list(reason)),
            ("reasonsLeftOut", count()),
        ],
    )
}

fn point() -> Value {
    let optional = [("eu", text()), ("riskMeasureId", text()), ("riskUnitId", text())];
    object([("tag", text()), ("name", text()), ("class", text())], optional)
}

fn birth() -> Value {
    let list_of = or_null(list(point()));
    let points = object([("count", count()), ("hash", text()), ("pages", count()), ("list", list_of)], []);
    let unit = object([("riskUnitId", text()), ("riskUnitName", text()), ("topic", text())], codes());
    object(
        [
            ("id", text()),
            ("company", text()),
            ("gateway", text()),
            ("name", text()),
            ("software", text()),
            ("epoch", text()),
            ("epochBegan", text()),
            ("epochReason", text()),
            ("points", points),
            ("measures", count()),
            ("sources", count()),
            ("units", list(unit)),
        ],
        [],
    )
}

fn points() -> Value {
    object(
        [("id", text()), ("hash", text()), ("page", count()), ("pages", count()), ("list", list(point()))],
        [],
    )
}

fn telemetry() -> Value {
    let reading = object([("tag", text()), ("value", value()), ("quality", text()), ("time", text())], []);
    object(
        [
            ("id", text()),
            ("revision", count()),
            ("count", count()),
            ("from", text()),
            ("to", text()),
            ("values", list(reading)),
        ],
        [],
    )
}

fn state() -> Value {
    let last = object([("critical", count()), ("work", count()), ("gap", count())], []);
    let journal = object([("n", count()), ("hash", text())], []);
    let refused = object([("version", count()), ("error", text())], []);
    let model = object(
        [("source", one_of(&["files", "upstream"])), ("orphans", count())],
        [("version", count()), ("since", text()), ("by", text()), ("refused", refused)],
    );
    let source = object(
        [
            ("id", text()),
            ("name", text()),
            ("link", one_of(&["connecting", "up", "down"])),
            ("why", or_null(text())),
            ("since", text()),
            ("good", count()),
            ("uncertain", count()),
            ("bad", count()),
        ],
        [],
    );
    object(
        [("status", one_of(&["online", "offline", "stopped"])), ("epoch", text())],
        [("last", last), ("time", text()), ("sources", list(source)), ("journal", journal), ("model", model)],
    )
}

/// Beside the tests against a real broker, which hold each message against its schema with it too.
#[cfg(test)]
#[path = "../../tests/support/fits.rs"]
mod fits;

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::fits::{check, message_of};
    use super::*;

    /// Holds a message against the schema of its kind.
    pub(in crate::uplink) fn fits(name: &str, message: &Value) {
        let kind = KINDS.iter().find(|kind| kind.name == name).expect("a kind");
        if let Err(wrong) = check(&kind.schema(), message, name) {
            panic!("{wrong}\n{message:#}");
        }
    }

    /// The same of its `data` alone.
    pub(in crate::uplink) fn data_fits(kind: &str, data: &Value) {
        let kind = KINDS.iter().find(|one| format!("riskgate.{}.v1", one.name) == kind).expect("a kind");
        if let Err(wrong) = check(&(kind.data)(), data, kind.name) {
            panic!("{wrong}\n{data:#}");
        }
    }

    /// A topic below the root has one channel, and that is of this kind.
    pub(in crate::uplink) fn topic_fits(kind: &str, topic: &str) {
        let name = message_of(&asyncapi(), topic).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(format!("riskgate.{name}.v1"), kind, "{topic}");
    }

    #[test]
    fn a_message_that_lacks_a_field_or_has_another_type_does_not_fit() {
        let state = KINDS.iter().find(|kind| kind.name == "state").expect("a kind");
        let good = json!({ "status": "online", "epoch": "e" });
        fits("state", &good);
        for (field, value) in [("status", json!("up")), ("epoch", json!(1)), ("last", json!({ "work": 1 }))] {
            let mut bad = good.clone();
            bad[field] = value;
            let wrong = check(&state.schema(), &bad, "state").expect_err("refused");
            assert!(wrong.contains(field), "{wrong}");
        }
    }

    #[test]
    fn the_files_are_what_this_program_says() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/schemas");
        let kept = std::fs::read_dir(&folder).expect("the folder is there").count();
        assert_eq!(kept, files().len(), "a file too many or too few in {}", folder.display());
        for (name, text) in files() {
            let kept = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
            assert!(kept == text, "{name} is stale: run `riskgate schema --dir config/schemas`");
        }
    }
}
