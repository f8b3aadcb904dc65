//! A point of an MQTT feed: its topic, and where in the message its value is.

use std::collections::BTreeMap;

use riskgate_drivers::mqtt;

use super::{Read, Type};
use crate::config::address;
use crate::config::headers::Column;
use crate::config::row::Line;

pub(super) fn add(line: &Line<'_>, topic: &str, topics: &mut BTreeMap<String, Vec<mqtt::Point>>, read: Read) {
    let Some(point) = message(line, read) else { return };
    if let Err(wrong) = address::topic(topic) {
        let message = format!("{}: {}", Column::Address.label(), wrong.message);
        return line.error(Column::Address, message, wrong.hint);
    }
    topics.entry(topic.to_owned()).or_default().push(point);
}

fn message(line: &Line<'_>, read: Read) -> Option<mqtt::Point> {
    // Without a path the whole message is the value: `12.5`.
    let whole = mqtt::Path::parse("$").ok();
    let value = if line.said(Column::Value).is_some() { path(line, Column::Value) } else { whole };
    let quality = path(line, Column::Quality);
    let time = path(line, Column::Time);
    let words = read.enum_words();
    let kind = match read.kind {
        Some(Type::Bool) => mqtt::Kind::Bool,
        Some(Type::Text | Type::Field(_)) => mqtt::Kind::Text,
        Some(Type::Number(_) | Type::Status) | None => mqtt::Kind::Number,
    };
    let reading = mqtt::Reading { point: read.point, kind, scaling: read.scaling, words };
    Some(mqtt::Point { reading, value: value?, quality, time })
}

fn path(line: &Line<'_>, column: Column) -> Option<mqtt::Path> {
    let cell = line.said(column)?;
    match mqtt::Path::parse(&cell.value) {
        Ok(path) => Some(path),
        Err(wrong) => {
            let hint = "write $.value or $.data[0].value".to_owned();
            line.wrong(column, &cell.value, &format!("is no JSON path: {}", wrong.why), hint);
            None
        }
    }
}
