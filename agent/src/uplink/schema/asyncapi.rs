//! The AsyncAPI document: every topic that the gateway writes, and those that it hears. The tests hold each topic that is
//! really written against it.

use serde_json::{Map, Value, json};

use super::commands::commands;
use super::{KINDS, Kind};

impl Kind {
    /// Name and topic of each of its channels.
    fn channels(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        std::iter::once((self.name, self.topic)).chain(self.repeated)
    }

    fn channel(&self, topic: &str) -> Value {
        let within = topic.split(['{', '}']).skip(1).step_by(2);
        let within =
            within.map(|name| (name.to_owned(), json!({ "description": "escaped as a level of a topic" })));
        let gateway = [("company", "企业编码"), ("gateway", "the gateway's id")]
            .map(|(name, what)| (name.to_owned(), json!({ "description": what })));
        let parameters: Map<String, Value> = gateway.into_iter().chain(within).collect();
        let payload = json!({ "$ref": format!("./{}.json", self.name) });
        let message = json!({ "contentType": "application/json", "payload": payload });
        json!({
            "address": format!("riskgate/v1/{{company}}/{{gateway}}/{topic}"),
            "description": self.what,
            "messages": { self.name: message },
            "bindings": { "mqtt": {} },
            "parameters": parameters,
        })
    }
}

pub(super) fn asyncapi() -> Value {
    let (mut channels, mut operations) = (Map::new(), Map::new());
    for kind in &KINDS {
        for (name, topic) in kind.channels() {
            channels.insert(name.to_owned(), kind.channel(topic));
            let operation = json!({
                "action": "send",
                "channel": { "$ref": format!("#/channels/{name}") },
                "bindings": { "mqtt": { "qos": 1, "retain": kind.retained } },
            });
            operations.insert(name.to_owned(), operation);
        }
    }
    for command in commands() {
        channels.insert(command.key(), command.channel());
        operations.insert(command.key(), command.operation());
    }
    json!({
        "asyncapi": "3.0.0",
        "info": { "title": "riskgate", "version": "1", "description": "What a gateway sends upstream over MQTT 3.1.1, at least once, and what it may be told" },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
    })
}
