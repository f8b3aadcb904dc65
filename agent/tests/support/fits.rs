//! Whether a message is as a JSON Schema says. It knows the words that our schemas use, and no other; the tests end to
//! end use a library. And which channel of the AsyncAPI document a topic is of.

use serde_json::{Value, json};

/// The name of the message that the one channel of a topic below the root carries.
pub(crate) fn message_of(asyncapi: &Value, topic: &str) -> Result<String, String> {
    let is_of = |channel: &&Value| {
        let address = channel["address"].as_str().expect("an address");
        let address = address.strip_prefix("riskgate/v1/{company}/{gateway}/").expect("below the root");
        let (mut said, mut is) = (address.split('/'), topic.split('/'));
        let levels = || (said.next(), is.next());
        std::iter::repeat_with(levels).take_while(|both| *both != (None, None)).all(|both| match both {
            (Some(said), Some(is)) if said.starts_with('{') => !is.is_empty(),
            (said, is) => said == is,
        })
    };
    let channels = asyncapi["channels"].as_object().expect("channels");
    let of: Vec<&Value> = channels.values().filter(is_of).collect();
    let [channel] = of.as_slice() else { return Err(format!("{topic}: {} channels speak of it", of.len())) };
    let messages = channel["messages"].as_object().expect("messages");
    Ok(messages.keys().next().expect("a message").clone())
}

pub(crate) fn check(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (word, said) in schema.as_object().expect("a schema") {
        let holds = match word.as_str() {
            "$schema" | "title" | "description" => true,
            "type" => said
                .as_array()
                .map_or_else(|| is_of(said, value), |types| types.iter().any(|said| is_of(said, value))),
            "const" => said == value,
            "enum" => said.as_array().expect("a list").contains(value),
            "minimum" => value.as_f64() >= said.as_f64(),
            "maximum" => value.as_f64() <= said.as_f64(),
            "maxLength" => {
                value.as_str().map(|text| text.chars().count())
                    <= said.as_u64().map(|n| usize::try_from(n).expect("small"))
            }
            "anyOf" => said.as_array().expect("a list").iter().any(|one| check(one, value, at).is_ok()),
            "required" => said
                .as_array()
                .expect("a list")
                .iter()
                .all(|name| value.get(name.as_str().expect("a name")).is_some()),
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(said, item, &format!("{at}[{n}]"))?;
                }
                true
            }
            "properties" => {
                for (name, schema) in said.as_object().expect("fields") {
                    if let Some(field) = value.get(name) {
                        check(schema, field, &format!("{at}.{name}"))?;
                    }
                }
                true
            }
            "additionalProperties" if said == &json!(false) => value
                .as_object()
                .into_iter()
                .flatten()
                .all(|(name, _)| schema["properties"].get(name).is_some()),
            "additionalProperties" => {
                for (name, field) in value.as_object().into_iter().flatten() {
                    check(said, field, &format!("{at}.{name}"))?;
                }
                true
            }
            other => panic!("'{other}' is not known here"),
        };
        if !holds {
            return Err(format!("{at} does not hold '{word}': {said}"));
        }
    }
    Ok(())
}

fn is_of(said: &Value, value: &Value) -> bool {
    match said.as_str().expect("a type") {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("no type '{other}'"),
    }
}
