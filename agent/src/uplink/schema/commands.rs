//! The schemas of commands, out of the table by which they are read.

use riskgate_engine::CheckStatus;
use serde_json::{Map, Value, json};

use super::{DIALECT, count, object, one_of, text};
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
    open.chain(acts).collect()
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
