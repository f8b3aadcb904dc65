//! The codec of history's blocks: readings of one point to bytes and back, every bit of them.
//!
//! A block is columns, one behind the other: how many; runs of marks (quality, kind of value, whether there
//! is a source's time, whether it is told late); received times; offsets of the source's times; then the
//! values of each kind. Whole numbers are written as `ints` says, floats as `floats` says, booleans as bits,
//! words as places in a list of those that occur.
//!
//! It is pure. What is damaged gives [`Broken`], never a panic and never more memory than eight readings a
//! byte. It does not know where blocks lie nor what a point is called.

mod bits;
mod floats;
mod ints;
#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;

use riskgate_point::{BadReason, Quality, UncertainReason, Value, Wall};

pub(super) use super::Reading as Row;
pub(super) use bits::Broken;
use bits::{BitReader, BitWriter};

const MARK_BITS: u32 = 9;
const HAS_SOURCE_TIME: u64 = 1 << 7;
const IS_BACKFILL: u64 = 1 << 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Bool,
    Int,
    Float,
    Text,
}

/// A code is a place in this list, which only ever grows at its end.
const QUALITIES: [Quality; 14] = [
    Quality::Good,
    Quality::Uncertain(UncertainReason::OverRange),
    Quality::Uncertain(UncertainReason::UnderRange),
    Quality::Uncertain(UncertainReason::Frozen),
    Quality::Uncertain(UncertainReason::Overflow),
    Quality::Uncertain(UncertainReason::Source),
    Quality::Bad(BadReason::NeverRead),
    Quality::Bad(BadReason::CommFailure),
    Quality::Bad(BadReason::DeviceFailure),
    Quality::Bad(BadReason::NotANumber),
    Quality::Bad(BadReason::Stale),
    Quality::Bad(BadReason::Masked),
    Quality::Bad(BadReason::RefusedAddress),
    Quality::Bad(BadReason::ConfigError),
];
const KINDS: [Kind; 5] = [Kind::None, Kind::Bool, Kind::Int, Kind::Float, Kind::Text];

/// `base`: times are written from there, so that they are short.
pub(super) fn encode(rows: &[Row], base: Wall) -> Vec<u8> {
    let mut out = BitWriter::default();
    out.put_number(wide(rows.len()));
    put_marks(rows, &mut out);
    let times: Vec<i64> = rows.iter().map(|row| row.at.0.wrapping_sub(base.0)).collect();
    ints::encode(&times, &mut out);
    let offset = |row: &Row| Some(row.source_time?.0.wrapping_sub(row.at.0));
    put_column(&rows.iter().filter_map(offset).collect::<Vec<_>>(), &mut out, ints::encode);
    let mut bools = Vec::new();
    let mut wholes = Vec::new();
    let mut floats = Vec::new();
    let mut texts: Vec<&Arc<str>> = Vec::new();
    for value in rows.iter().filter_map(|row| row.value.as_ref()) {
        match value {
            Value::Bool(on) => bools.push(*on),
            Value::Int(number) => wholes.push(*number),
            Value::Float(number) => floats.push(number.get()),
            Value::Text(text) => texts.push(text),
        }
    }
    bools.into_iter().for_each(|on| out.put(u64::from(on), 1));
    put_column(&wholes, &mut out, ints::encode);
    put_column(&floats, &mut out, floats::encode);
    put_column(&texts, &mut out, put_texts);
    out.into_bytes()
}

pub(super) fn decode(bytes: &[u8], base: Wall) -> Result<Vec<Row>, Broken> {
    let mut bits = BitReader::new(bytes);
    let count = bits.take_count()?;
    let marks = take_marks(count, &mut bits)?;
    let of = |kind: Kind| marks.iter().filter(|mark| mark.kind == kind).count();
    let times = ints::decode(count, &mut bits)?;
    let n_offsets = marks.iter().filter(|mark| mark.has_source_time).count();
    let mut offsets = take_column(n_offsets, &mut bits, ints::decode)?.into_iter();
    let mut bools = Vec::with_capacity(of(Kind::Bool));
    for _ in 0..of(Kind::Bool) {
        bools.push(bits.take(1)? == 1);
    }
    let mut bools = bools.into_iter();
    let mut wholes = take_column(of(Kind::Int), &mut bits, ints::decode)?.into_iter();
    let mut floats = take_column(of(Kind::Float), &mut bits, floats::decode)?.into_iter();
    let mut texts = take_column(of(Kind::Text), &mut bits, take_texts)?.into_iter();
    let row = |(mark, time): (Mark, i64)| {
        let at = time.wrapping_add(base.0);
        let offset = if mark.has_source_time { offsets.next() } else { None };
        let value = match mark.kind {
            Kind::None => None,
            Kind::Bool => bools.next().map(Value::Bool),
            Kind::Int => wholes.next().map(Value::Int),
            Kind::Float => floats.next().map(Value::Float),
            Kind::Text => texts.next().map(Value::Text),
        };
        Row {
            at: Wall(at),
            source_time: offset.map(|offset| Wall(offset.wrapping_add(at))),
            value,
            quality: mark.quality,
            backfill: mark.backfill,
        }
    };
    Ok(marks.into_iter().zip(times).map(row).collect())
}

/// A column that is empty takes no room.
fn put_column<T>(column: &[T], out: &mut BitWriter, put: impl Fn(&[T], &mut BitWriter)) {
    if !column.is_empty() {
        put(column, out);
    }
}

fn take_column<T>(
    count: usize,
    bits: &mut BitReader<'_>,
    take: impl Fn(usize, &mut BitReader<'_>) -> Result<Vec<T>, Broken>,
) -> Result<Vec<T>, Broken> {
    if count == 0 { Ok(Vec::new()) } else { take(count, bits) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    quality: Quality,
    kind: Kind,
    has_source_time: bool,
    backfill: bool,
}

/// Below 15.
pub(super) fn quality_code(quality: Quality) -> u8 {
    (0..).zip(QUALITIES).find_map(|(code, of)| (of == quality).then_some(code)).unwrap_or(0)
}

pub(super) fn quality_of(code: u8) -> Result<Quality, Broken> {
    QUALITIES.get(usize::from(code)).copied().ok_or(Broken("a quality that is none"))
}

fn mark_of(row: &Row) -> u64 {
    let kind: u64 = match &row.value {
        None => 0,
        Some(Value::Bool(_)) => 1,
        Some(Value::Int(_)) => 2,
        Some(Value::Float(_)) => 3,
        Some(Value::Text(_)) => 4,
    };
    let source_time = if row.source_time.is_some() { HAS_SOURCE_TIME } else { 0 };
    let backfill = if row.backfill { IS_BACKFILL } else { 0 };
    u64::from(quality_code(row.quality)) | (kind << 4) | source_time | backfill
}

fn put_marks(rows: &[Row], out: &mut BitWriter) {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for mark in rows.iter().map(mark_of) {
        match runs.last_mut() {
            Some((last, length)) if *last == mark => *length += 1,
            Some(_) | None => runs.push((mark, 1)),
        }
    }
    for (place, (mark, length)) in runs.iter().enumerate() {
        out.put(*mark, MARK_BITS);
        // The last run goes to the end of the block.
        let is_last = place + 1 == runs.len();
        out.put(u64::from(is_last), 1);
        if !is_last {
            out.put_number(length - 1);
        }
    }
}

fn take_marks(count: usize, bits: &mut BitReader<'_>) -> Result<Vec<Mark>, Broken> {
    let mut marks = Vec::with_capacity(count);
    while marks.len() < count {
        let coded = bits.take(MARK_BITS)?;
        let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
        let mark = Mark {
            quality: quality_of(u8::try_from(coded & 0xf).unwrap_or(u8::MAX))?,
            kind: *KINDS.get(at((coded >> 4) & 7)).ok_or(Broken("a kind of value that is none"))?,
            has_source_time: coded & HAS_SOURCE_TIME != 0,
            backfill: coded & IS_BACKFILL != 0,
        };
        let left = count - marks.len();
        let length = if bits.take(1)? == 1 {
            left
        } else {
            let length = bits.take_number()?;
            usize::try_from(length).ok().and_then(|length| length.checked_add(1)).unwrap_or(usize::MAX)
        };
        if length > left {
            return Err(Broken("a run that is longer than its block"));
        }
        marks.resize(marks.len() + length, mark);
    }
    Ok(marks)
}

fn put_texts(texts: &[&Arc<str>], out: &mut BitWriter) {
    let mut listed: Vec<&Arc<str>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    let mut column = Vec::with_capacity(texts.len());
    for text in texts {
        let place = *places.entry(text.as_ref()).or_insert_with(|| {
            listed.push(text);
            listed.len() - 1
        });
        column.push(i64::try_from(place).unwrap_or(i64::MAX));
    }
    out.put_number(wide(listed.len()));
    for text in listed {
        out.put_number(wide(text.len()));
        text.bytes().for_each(|byte| out.put(u64::from(byte), 8));
    }
    ints::encode(&column, out);
}

fn take_texts(count: usize, bits: &mut BitReader<'_>) -> Result<Vec<Arc<str>>, Broken> {
    let n_listed = bits.take_count()?;
    let mut listed: Vec<Arc<str>> = Vec::with_capacity(n_listed);
    for _ in 0..n_listed {
        let length = bits.take_count()?;
        let mut bytes = Vec::with_capacity(length);
        for _ in 0..length {
            bytes.push(u8::try_from(bits.take(8)?).unwrap_or(0));
        }
        let text = String::from_utf8(bytes).map_err(|_| Broken("a text that is none"))?;
        listed.push(Arc::from(text));
    }
    let text = |place: i64| {
        let text = usize::try_from(place).ok().and_then(|place| listed.get(place));
        text.cloned().ok_or(Broken("a text that is not in its list"))
    };
    ints::decode(count, bits)?.into_iter().map(text).collect()
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
