//! The schemas of commands, out of the table by which they are read.

use riskgate_engine::CheckStatus;
use serde_json::{Map, Value, json};

use super::{DIALECT, count, object, one_of, text};
use crate::config::{COMPANY, DELETED, LISTS, List, MODEL_COMMAND, PASSED_OVER};
use crate::uplink::acts::{FORMS, Form, Need, Object, STATUSES};

/// One command as a document: `cmd/{name}`.
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    schema: Value,
}

/// In the order of the README.
pub(super) fn commands() -> Vec<Command> {
    let resend = [("lane", one_of(&["critical", "gap", "work"])), ("from", count()), ("to", count())];
    let open = [
        ("ping", "Is it there, and what time is it there", object(common(), [("epoch", text())])),
        (
            "resend",
            "A range of a lane once more",
            object(common().into_iter().chain(resend), [("epoch", text())]),
        ),
    ];
    let open = open.into_iter().map(|(name, what, schema)| Command { name, what, schema });
    let acts = FORMS.iter().map(|form| Command { name: form.name, what: form.what, schema: of(form) });
    let name = MODEL_COMMAND;
    let what = "管控模型下发: objects, units, events, measures and tasks, whole, with a version";
    open.chain(acts).chain([Command { name, what, schema: of_model() }]).collect()
}

/// Out of the lists by which the document is read.
fn of_model() -> Value {
    let beside = || PASSED_OVER.into_iter().chain(DELETED).chain([COMPANY]);
    let lists = LISTS.iter().map(|list| {
        let mut row = object(
            [],
            list.fields
                .iter()
                .flat_map(|of| of.names.iter().copied())
                .chain(beside())
                .map(|name| (name, field())),
        );
        // Where a field has two names, either will do.
        let must = list.fields.iter().filter(|of| of.must && of.names.len() == 1);
        let must: Vec<&str> = must.flat_map(|of| of.names.iter().copied()).collect();
        if let Some(fields) = row.as_object_mut() {
            fields.insert("required".to_owned(), json!(must));
            fields.insert("additionalProperties".to_owned(), json!(false));
        }
        (list, json!({ "type": "array", "items": row }))
    });
    let (may, must): (Vec<_>, Vec<_>) = lists.partition(|(list, _)| list.optional);
    let named = |lists: Vec<(&'static List, Value)>| lists.into_iter().map(|(list, of)| (list.name, of));
    let version = json!({ "type": "integer", "minimum": 1 });
    let mut model = object(named(must), named(may));
    let own = |model: Value| [("version", version), ("model", model)];
    if let Some(fields) = model.as_object_mut() {
        fields.insert("additionalProperties".to_owned(), json!(false));
    }
    let mut schema = object(common().into_iter().chain(own(model)), [("epoch", text())]);
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("additionalProperties".to_owned(), json!(false));
    }
    schema
}

/// Numbers may stand as texts and texts as numbers; which fits a field, the gateway's answer says.
fn field() -> Value {
    json!({ "type": ["string", "number", "boolean", "null"] })
}

fn common() -> [(&'static str, Value); 3] {
    let id = json!({ "type": "string", "maxLength": 128 });
    [("id", id), ("by", text()), ("expires", text())]
}

fn of(form: &Form) -> Value {
    let object_of = match form.object {
        Object::Hazard => json!({ "type": "string", "description": "data.id of candidate/ or hazard/" }),
        Object::Alarm => json!({ "type": "string", "description": "data.id of alarm/" }),
        Object::What => json!({ "type": "string", "description": "data.id of alarm/, or a tag" }),
        Object::Unit => json!({ "type": "string", "description": "riskUnitId" }),
        Object::Task => json!({ "type": "string", "description": "data.id of task/" }),
    };
    let status = json!({ "enum": STATUSES.map(CheckStatus::number), "description": "0 正常, 1 存在隐患, 2 未排查, 3 其他" });
    let own = [
        ("why", form.why, text()),
        ("forSeconds", form.length, count()),
        ("checkStatus", form.status, status),
    ];
    let with =
        |need| own.clone().into_iter().filter(move |(_, of, _)| *of == need).map(|(name, _, it)| (name, it));
    let must = [(form.object.field(), object_of), ("revision", count())];
    let required = common().into_iter().chain(must).chain(with(Need::Must));
    let mut schema = object(required, [("epoch", text())].into_iter().chain(with(Need::May)));
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("additionalProperties".to_owned(), json!(false));
    }
    schema
}

impl Command {
    /// Of its file and its channel.
    pub(super) fn key(&self) -> String {
        format!("cmd-{}", self.name)
    }

    pub(super) fn document(&self) -> Value {
        let mut schema = self.schema.clone();
        if let Some(fields) = schema.as_object_mut() {
            fields.insert("$schema".to_owned(), json!(DIALECT));
            fields.insert("title".to_owned(), json!(format!("riskgate.cmd.{}.v1", self.name)));
            fields.insert("description".to_owned(), json!(self.what));
        }
        schema
    }

    pub(super) fn channel(&self) -> Value {
        let payload = json!({ "$ref": format!("./{}.json", self.key()) });
        let gateway = [("company", "企业编码"), ("gateway", "the gateway's id")]
            .map(|(name, what)| (name.to_owned(), json!({ "description": what })));
        json!({
            "address": format!("riskgate/v1/{{company}}/{{gateway}}/cmd/{}", self.name),
            "description": self.what,
            "messages": { self.key(): { "contentType": "application/json", "payload": payload } },
            "parameters": gateway.into_iter().collect::<Map<String, Value>>(),
            "bindings": { "mqtt": {} },
        })
    }

    pub(super) fn operation(&self) -> Value {
        json!({
            "action": "receive",
            "channel": { "$ref": format!("#/channels/{}", self.key()) },
            "reply": { "channel": { "$ref": "#/channels/reply" } },
            "bindings": { "mqtt": { "qos": 1, "retain": false } },
        })
    }
}
