//! How a source reads a point: its type, its words, and its address in the source's own terms, a file for each protocol.

mod modbus;
mod mqtt;
pub(super) mod opcua;

use std::sync::Arc;

use riskgate_drivers::modbus::Kind as Wire;
use riskgate_drivers::scaling::{EnumWords, Scaling};
use riskgate_point::PointId;

use super::headers::Column;
use super::row::Line;
use super::sources::{Kind, Source};

/// What a value is in its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Number(Wire),
    Text,
}

const TYPES: [(&str, Type); 7] = [
    ("u16", Type::Number(Wire::U16)),
    ("i16", Type::Number(Wire::I16)),
    ("u32", Type::Number(Wire::U32)),
    ("i32", Type::Number(Wire::I32)),
    ("f32", Type::Number(Wire::F32)),
    ("bool", Type::Bool),
    ("text", Type::Text),
];

/// What a driver is told of a point beside its address.
pub(super) struct Read {
    pub(super) point: PointId,
    pub(super) kind: Option<Type>,
    pub(super) words: Option<Words>,
    pub(super) scaling: Scaling,
}

/// The words of a point: of its integers, or those that it may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Words {
    Of(EnumWords),
    Sent(Vec<String>),
}

impl Read {
    pub(super) fn word_list(&self) -> Vec<String> {
        match &self.words {
            Some(Words::Of(words)) => words.iter().map(|(_, word)| word.to_string()).collect(),
            Some(Words::Sent(words)) => words.clone(),
            None => Vec::new(),
        }
    }

    fn enum_words(&self) -> Option<EnumWords> {
        match &self.words {
            Some(Words::Of(words)) => Some(Arc::clone(words)),
            Some(Words::Sent(_)) | None => None,
        }
    }
}

pub(super) fn value_type(line: &Line<'_>) -> Option<Type> {
    line.word(Column::Type, &TYPES, &[("布尔", Type::Bool), ("文本", Type::Text)])
}

/// `0=停止;1=运行`, or of a text the words alone; a text without words is free.
pub(super) fn words(line: &Line<'_>, kind: Option<Type>) -> Option<Words> {
    let cell = line.said(Column::Words)?;
    let hint = || Some("write 0=停止;1=运行".to_owned());
    let parts: Vec<&str> =
        cell.value.split([';', '；', '\n']).map(str::trim).filter(|part| !part.is_empty()).collect();
    match kind {
        Some(Type::Text) => {
            return Some(Words::Sent(parts.into_iter().map(str::to_owned).collect()));
        }
        Some(Type::Bool | Type::Number(_)) | None => {}
    }
    let mut words: Vec<(i64, Arc<str>)> = Vec::new();
    for part in parts {
        let pair = part.split_once(['=', '＝']).map(|(code, word)| (code.trim().parse::<i64>(), word.trim()));
        match pair {
            Some((Ok(code), _)) if kind == Some(Type::Bool) && !(0..=1).contains(&code) => {
                line.wrong(Column::Words, part, "is no state of a bool: it reads 0 or 1", None);
            }
            Some((Ok(code), word)) if !word.is_empty() => {
                let twice = words.iter().any(|(known, said)| *known == code || **said == *word);
                if twice {
                    line.wrong(Column::Words, part, "says a number or a word for the second time", None);
                }
                words.push((code, Arc::from(word)));
            }
            Some(_) | None => line.wrong(Column::Words, part, "is no number and word", hint()),
        }
    }
    Some(Words::Of(Arc::from(words)))
}

/// Gives the point to its source's driver.
pub(super) fn bind(line: &Line<'_>, source: &mut Source, read: Read) {
    let Some(address) = line.required(Column::Address) else { return };
    match &mut source.kind {
        Kind::Modbus { device, base, order } => {
            refuse_paths(line);
            refuse_items(line);
            device.points.extend(modbus::register(
                line,
                &address.value,
                *base,
                *order,
                device.registers_max,
                read,
            ));
        }
        Kind::Opcua(server) => {
            refuse_paths(line);
            refuse_order(line, "is for registers");
            server.points.extend(opcua::item(line, &address.value, read, &server.groups));
        }
        Kind::Mqtt { feed: _, topics } => {
            refuse_order(line, "is for registers");
            refuse_items(line);
            mqtt::add(line, &address.value, topics, read);
        }
        Kind::Unknown => {}
    }
}

fn refuse_paths(line: &Line<'_>) {
    for column in [Column::Value, Column::Quality, Column::Time] {
        if let Some(cell) = line.said(column) {
            line.wrong(column, &cell.value, "is for points of MQTT sources", "leave it empty".to_owned());
        }
    }
}

fn refuse_items(line: &Line<'_>) {
    for column in [Column::Subscription, Column::Element] {
        if let Some(cell) = line.said(column) {
            line.wrong(column, &cell.value, "is for points of OPC UA sources", "leave it empty".to_owned());
        }
    }
}

fn refuse_order(line: &Line<'_>, why: &str) {
    if let Some(cell) = line.said(Column::Order) {
        line.wrong(Column::Order, &cell.value, why, "leave it empty".to_owned());
    }
}
