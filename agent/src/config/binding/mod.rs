//! How a source reads a point: its type, its words, and its address in the source's own terms, a file for each protocol.

mod modbus;
mod mqtt;
pub(super) mod opcua;
mod status;

use std::num::NonZeroU8;
use std::sync::Arc;

use riskgate_drivers::modbus::status::StatusMap;
use riskgate_drivers::modbus::{Encoding, Kind as Wire};
use riskgate_drivers::scaling::{EnumWords, Scaling};
use riskgate_point::PointId;

use super::address;
use super::headers::Column;
use super::row::Line;
use super::sources::{Kind, Source};
use super::values::half_width;

/// What one reply can hold.
const FIELD_MAX: u8 = 125;

/// What a value is in its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Number(Wire),
    /// Of any length, as messages and nodes hold it.
    Text,
    /// In a field of registers.
    Field(Wire),
    /// A status register, read as the word of its state.
    Status,
}

impl Type {
    pub(super) fn is_text(self) -> bool {
        match self {
            Self::Text | Self::Field(_) => true,
            Self::Bool | Self::Number(_) | Self::Status => false,
        }
    }

    pub(super) fn is_number(self) -> bool {
        match self {
            Self::Number(_) => true,
            Self::Bool | Self::Text | Self::Field(_) | Self::Status => false,
        }
    }
}

const TYPES: [(&str, Type); 16] = [
    ("bool", Type::Bool),
    ("u16", Type::Number(Wire::U16)),
    ("i16", Type::Number(Wire::I16)),
    ("u32", Type::Number(Wire::U32)),
    ("i32", Type::Number(Wire::I32)),
    ("u64", Type::Number(Wire::U64)),
    ("i64", Type::Number(Wire::I64)),
    ("f32", Type::Number(Wire::F32)),
    ("f64", Type::Number(Wire::F64)),
    ("u8h", Type::Number(Wire::HighByte)),
    ("u8l", Type::Number(Wire::LowByte)),
    ("bcd16", Type::Number(Wire::Bcd16)),
    ("bcd32", Type::Number(Wire::Bcd32)),
    ("string:8", FIELD),
    ("status", Type::Status),
    ("text", Type::Text),
];
const TYPES_ZH: [(&str, Type); 5] = [
    ("布尔", Type::Bool),
    ("高字节", Type::Number(Wire::HighByte)),
    ("低字节", Type::Number(Wire::LowByte)),
    ("状态", Type::Status),
    ("文本", Type::Text),
];

/// What a field of registers is called, and how its bytes are read.
const FIELDS: [(&str, Encoding); 3] =
    [("string", Encoding::Utf8), ("gbk", Encoding::Gb18030), ("gb18030", Encoding::Gb18030)];
/// As an example in the list of types.
const FIELD: Type = Type::Field(Wire::Text { registers: EIGHT, encoding: Encoding::Utf8 });
const EIGHT: NonZeroU8 = NonZeroU8::MIN.saturating_add(7);

/// The word of a number of registers. Fields and bits are said otherwise.
pub(super) fn word_of(kind: Wire) -> &'static str {
    TYPES.iter().find(|(_, known)| *known == Type::Number(kind)).map_or("u16", |(word, _)| *word)
}

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
    OfStates(Arc<StatusMap>),
}

impl Read {
    pub(super) fn word_list(&self) -> Vec<String> {
        match &self.words {
            Some(Words::Of(words)) => words.iter().map(|(_, word)| word.to_string()).collect(),
            Some(Words::Sent(words)) => words.clone(),
            Some(Words::OfStates(map)) => map.words(),
            None => Vec::new(),
        }
    }

    fn enum_words(&self) -> Option<EnumWords> {
        match &self.words {
            Some(Words::Of(words)) => Some(Arc::clone(words)),
            Some(Words::Sent(_) | Words::OfStates(_)) | None => None,
        }
    }
}

pub(super) fn value_type(line: &Line<'_>) -> Option<Type> {
    let cell = line.said(Column::Type)?;
    let narrow = half_width(&cell.value).to_ascii_lowercase();
    let (name, count) = narrow.split_once(':').unwrap_or((&narrow, ""));
    let Some((_, encoding)) = FIELDS.iter().find(|(known, _)| *known == name.trim()) else {
        return line.word(Column::Type, &TYPES, &TYPES_ZH);
    };
    let registers = count.trim().parse().ok().filter(|count: &NonZeroU8| count.get() <= FIELD_MAX);
    if registers.is_none() {
        let hint = format!("write {name}:8; a field takes 1 to {FIELD_MAX} registers of two bytes each");
        line.wrong(Column::Type, &cell.value, "does not say how many registers it takes", hint);
    }
    Some(Type::Field(Wire::Text { registers: registers?, encoding: *encoding }))
}

/// Of a point whose row says no type: what its address alone says.
pub(super) fn implied_type(line: &Line<'_>, source: Option<&Source>) -> Option<Type> {
    let Some(Kind::Modbus { habits, .. }) = source.map(|source| &source.kind) else { return None };
    let is_bit = |at: &address::Register| at.bit.is_some() || at.table.is_bits();
    let address = line.said(Column::Address)?;
    address::register(&address.value, habits.base, 1).ok().filter(is_bit).map(|_| Type::Bool)
}

/// `0=停止;1=运行`, or of a text the words alone; a text without words is free.
pub(super) fn words(line: &Line<'_>, kind: Option<Type>, source: Option<&Source>) -> Option<Words> {
    if kind == Some(Type::Status) {
        return status::of_source(line, source).map(Words::OfStates);
    }
    let cell = line.said(Column::Words)?;
    let hint = || Some("write 0=停止;1=运行".to_owned());
    let parts: Vec<&str> =
        cell.value.split([';', '；', '\n']).map(str::trim).filter(|part| !part.is_empty()).collect();
    match kind {
        Some(Type::Text | Type::Field(_)) => {
            return Some(Words::Sent(parts.into_iter().map(str::to_owned).collect()));
        }
        Some(Type::Bool | Type::Number(_) | Type::Status) | None => {}
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

const OF_MQTT: &str = "is for points of MQTT sources";

/// Gives the point to its source's driver.
pub(super) fn bind(line: &Line<'_>, source: &mut Source, read: Read) {
    let Some(address) = line.required(Column::Address) else { return };
    match &mut source.kind {
        Kind::Modbus { device, habits } => {
            refuse_paths(line, OF_MQTT);
            refuse_items(line);
            let point = modbus::register(line, &address.value, habits, device, read);
            device.points.extend(point);
        }
        Kind::Opcua(server) => {
            refuse_paths(line, OF_MQTT);
            refuse_registers(line, read.kind);
            server.points.extend(opcua::item(line, &address.value, read, &server.groups));
        }
        Kind::Mqtt(gathered) => {
            refuse_registers(line, read.kind);
            refuse_items(line);
            mqtt::add(line, &address.value, gathered, read);
        }
        Kind::Unknown => {}
    }
}

fn refuse_paths(line: &Line<'_>, why: &str) {
    for column in [Column::Value, Column::Quality, Column::Time] {
        if let Some(cell) = line.said(column) {
            line.wrong(column, &cell.value, why, "leave it empty".to_owned());
        }
    }
}

fn refuse_items(line: &Line<'_>) {
    for column in [Column::Subscription, Column::Element] {
        refuse(line, column, "is for points of OPC UA sources");
    }
}

/// What only says something of registers.
fn refuse_registers(line: &Line<'_>, kind: Option<Type>) {
    for column in [
        Column::Order,
        Column::ScaleRegister,
        Column::Signal,
        Column::Status,
        Column::StatusMap,
        Column::Period,
    ] {
        refuse(line, column, "is for registers");
    }
    match kind {
        Some(Type::Field(_)) => refuse_type(line, "is for registers", "write text"),
        Some(Type::Status) => refuse_type(line, "is for registers", "write u16 or text, and words"),
        Some(Type::Bool | Type::Number(_) | Type::Text) | None => {}
    }
}

fn refuse_type(line: &Line<'_>, why: &str, hint: &str) {
    if let Some(cell) = line.said(Column::Type) {
        line.wrong(Column::Type, &cell.value, why, hint.to_owned());
    }
}

fn refuse(line: &Line<'_>, column: Column, why: &str) {
    if let Some(cell) = line.said(column) {
        line.wrong(column, &cell.value, why, "leave it empty".to_owned());
    }
}
