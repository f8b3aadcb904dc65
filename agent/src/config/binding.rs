//! How a source reads a point: its type, its words, and its address in the source's own terms.

use std::sync::Arc;

use riskgate_drivers::modbus::{self, Kind as Wire, Table};
use riskgate_drivers::scaling::{EnumWords, Scaling};
use riskgate_drivers::{mqtt, opcua};
use riskgate_point::PointId;

use super::address;
use super::fields::one_of;
use super::headers::Column;
use super::row::Line;
use super::sources::{Kind, ORDERS, ORDERS_ZH, Source};

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
            device.points.extend(register(line, &address.value, *base, *order, device.registers_max, read));
        }
        Kind::Opcua(server) => {
            refuse_paths(line);
            refuse_order(line, "is for registers");
            match opcua::Node::parse(&address.value) {
                Ok(node) => {
                    let words = read.enum_words();
                    server.points.push(opcua::Point {
                        point: read.point,
                        node,
                        scaling: read.scaling,
                        words,
                    });
                }
                Err(wrong) => {
                    let hint = "write ns=2;s=Name, nsu=URI;s=Name or i=Number".to_owned();
                    let message = format!("is no node id: {}", wrong.why);
                    line.wrong(Column::Address, &address.value, &message, hint);
                }
            }
        }
        Kind::Mqtt { feed: _, topics } => {
            refuse_order(line, "is for registers");
            let Some(point) = message(line, read) else { return };
            if let Err(wrong) = address::topic(&address.value) {
                return line.error(
                    Column::Address,
                    format!("{}: {}", Column::Address.label(), wrong.message),
                    wrong.hint,
                );
            }
            topics.entry(address.value.clone()).or_default().push(point);
        }
        Kind::Unknown => {}
    }
}

fn register(
    line: &Line<'_>,
    address: &str,
    base: u16,
    order: modbus::Order,
    registers_max: u16,
    read: Read,
) -> Option<modbus::Point> {
    let registers = match read.kind {
        Some(Type::Number(Wire::U32 | Wire::I32 | Wire::F32)) => 2,
        Some(Type::Bool | Type::Text | Type::Number(Wire::U16 | Wire::I16 | Wire::Bool)) | None => 1,
    };
    let (table, address) = match address::register(address, base, registers) {
        Ok(read) => read,
        Err(wrong) => {
            line.error(
                Column::Address,
                format!("{}: {}", Column::Address.label(), wrong.message),
                wrong.hint,
            );
            return None;
        }
    };
    let is_bit = matches!(table, Table::Coil | Table::Discrete);
    let kind = match read.kind {
        Some(Type::Number(kind)) if is_bit => {
            line.wrong(
                Column::Type,
                &format!("{kind:?}").to_lowercase(),
                "does not fit in one bit",
                "write bool".to_owned(),
            );
            return None;
        }
        Some(Type::Number(kind)) => kind,
        Some(Type::Bool) => Wire::Bool,
        Some(Type::Text) => {
            line.wrong(
                Column::Type,
                "text",
                "cannot be read over Modbus",
                "write u16 with words 0=停止;1=运行".to_owned(),
            );
            return None;
        }
        None if is_bit => Wire::Bool,
        None => {
            if line.said(Column::Type).is_none() {
                let message =
                    format!("{} is empty: a register does not say what it holds", Column::Type.label());
                line.error(Column::Type, message, one_of(TYPES.iter().take(6).map(|(word, _)| *word)));
            }
            return None;
        }
    };
    if kind == Wire::Bool {
        refuse_order(line, "is for numbers");
    }
    if registers > registers_max {
        let hint = "raise registers_max of the source to 2 or more".to_owned();
        line.error(Column::Type, "this value takes 2 registers, its source reads 1 at a time", hint);
    }
    let order = line.word(Column::Order, &ORDERS, &ORDERS_ZH).unwrap_or(order);
    let words = read.enum_words();
    Some(modbus::Point { point: read.point, table, address, kind, order, scaling: read.scaling, words })
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
        Some(Type::Text) => mqtt::Kind::Text,
        Some(Type::Number(_)) | None => mqtt::Kind::Number,
    };
    Some(mqtt::Point { point: read.point, kind, value: value?, quality, time, scaling: read.scaling, words })
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

fn refuse_paths(line: &Line<'_>) {
    for column in [Column::Value, Column::Quality, Column::Time] {
        if let Some(cell) = line.said(column) {
            line.wrong(column, &cell.value, "is for points of MQTT sources", "leave it empty".to_owned());
        }
    }
}

fn refuse_order(line: &Line<'_>, why: &str) {
    if let Some(cell) = line.said(Column::Order) {
        line.wrong(Column::Order, &cell.value, why, "leave it empty".to_owned());
    }
}
