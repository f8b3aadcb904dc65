//! From the registers or bits of one reply to samples.
//!
//! Pure, and the last place where a reply can be refused: one of another length than was asked for
//! yields no value at all, because nobody can say which registers it holds. What the registers spell is
//! read in `raw`; scaling, words and ranges are those of [`crate::scaling`].

use riskgate_point::{BadReason, Now, Quality, Report, Sample, Value};

use super::memory::Memory;
use super::plan::{Part, Read};
use super::raw::{Raw, raw};
use super::{Point, Register};
use crate::current_loop;
use crate::scaling::{self, Scaling};

/// What a reply carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'r> {
    Registers(&'r [u16]),
    /// Of a table of bits: whole bytes, the last one filled up.
    Bits(&'r [bool]),
}

/// The reply does not hold what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{asked} asked for, {came} came")]
pub struct WrongLength {
    pub asked: usize,
    pub came: usize,
}

type Reading = (Option<Value>, Quality);

const BITS_PER_BYTE: usize = 8;
/// More decimals than this leave nothing of a 32-bit number: the register holds something else.
const DECIMALS_MAX: u16 = 9;

/// One sample for each point of the read, all with the time at which the reply came. What the reply holds
/// beside them, for these points or for those of other reads, goes into `memory` first.
pub fn samples(
    read: &Read,
    points: &[Point],
    reply: Reply<'_>,
    received: Now,
    memory: &mut Memory,
) -> Result<Vec<Report>, WrongLength> {
    let asked = usize::from(read.count);
    let (came, fits) = match reply {
        Reply::Registers(words) => (words.len(), words.len() == asked && !read.table.is_bits()),
        Reply::Bits(bits) => {
            let bytes = asked.div_ceil(BITS_PER_BYTE);
            (bits.len(), bits.len() == bytes * BITS_PER_BYTE && read.table.is_bits())
        }
    };
    let wrong = WrongLength { asked, came };
    if !fits {
        return Err(wrong);
    }
    for (place, part) in &read.beside {
        let Some(register) = points.get(*place).and_then(|point| part.of(point)) else { continue };
        let said = beside(register, reply, read.address).ok_or(wrong)?;
        memory.read(*place, *part, said, received.mono);
    }
    // Not collected: into a `Result` that would begin with room for four.
    let mut samples = Vec::with_capacity(read.points.len());
    for place in &read.points {
        let Some(point) = points.get(*place) else { continue };
        let spelt = spelt(point, reply, read.address).ok_or(wrong)?;
        let (value, quality) = reading(point, *place, spelt, received, memory);
        let sample =
            Sample { point: point.point, value, quality, source_time: None, received, backfill: false };
        samples.push(Report::Sample(sample));
    }
    Ok(samples)
}

/// What the point's own registers or bit spell. `None`: they are not in the reply.
fn spelt(point: &Point, reply: Reply<'_>, start: u16) -> Option<Result<Raw, BadReason>> {
    let at = usize::from(point.address.checked_sub(start)?);
    match reply {
        Reply::Bits(bits) => Some(Ok(Raw::Bool(*bits.get(at)?))),
        Reply::Registers(words) => {
            let end = at.checked_add(usize::from(point.width()))?;
            raw(point.kind, point.order, words.get(at..end)?)
        }
    }
}

/// What a register beside a point says; of one bit, 0 or 1.
fn beside(register: &Register, reply: Reply<'_>, start: u16) -> Option<u16> {
    let at = usize::from(register.address.checked_sub(start)?);
    match reply {
        Reply::Bits(bits) => Some(u16::from(*bits.get(at)?)),
        Reply::Registers(words) => {
            let word = register.order.word(*words.get(at)?);
            Some(register.bit.map_or(word, |bit| u16::from(bit.is_set(word))))
        }
    }
}

fn reading(
    point: &Point,
    place: usize,
    spelt: Result<Raw, BadReason>,
    received: Now,
    memory: &mut Memory,
) -> Reading {
    let raw = match spelt {
        Ok(raw) => raw,
        Err(reason) => return (None, Quality::Bad(reason)),
    };
    let Some(registers) = &point.beside else { return value(point, place, raw, 0, received, memory) };
    let decimals = registers.decimals.as_ref().map_or(Ok(0), |register| {
        memory.beside(place, Part::Decimals, register, received.mono).and_then(decimals)
    });
    let own = match decimals {
        Ok(decimals) => value(point, place, raw, decimals, received, memory),
        Err(reason) => (None, Quality::Bad(reason)),
    };
    match &registers.status {
        Some((register, map)) => match memory.beside(place, Part::Status, register, received.mono) {
            Ok(status) => vouched(own, map.quality(status), &point.scaling),
            Err(reason) => (None, Quality::Bad(reason)),
        },
        None => own,
    }
}

fn decimals(register: u16) -> Result<u16, BadReason> {
    if register <= DECIMALS_MAX { Ok(register) } else { Err(BadReason::ConfigError) }
}

/// The value, as far as the status beside it lets it stand. Where the status says that the value is beyond
/// the range it is the end of the range, as everywhere.
fn vouched(own: Reading, status: Quality, scaling: &Scaling) -> Reading {
    match (status, own) {
        (Quality::Bad(_), _) => (None, status),
        (_, (None, quality)) => (None, quality),
        (Quality::Good, own) => own,
        (Quality::Uncertain(reason), (Some(value), _)) => match scaling.beyond(reason) {
            Some((end, quality)) => (end, quality),
            None => (Some(value), status),
        },
    }
}

/// What the raw number, text or bit means as a value of this point.
fn value(
    point: &Point,
    place: usize,
    raw: Raw,
    decimals: u16,
    received: Now,
    memory: &mut Memory,
) -> Reading {
    const NOT_THE_CONFIGURATION: Reading = (None, Quality::Bad(BadReason::ConfigError));
    if let Some(map) = &point.state {
        let register = match raw {
            Raw::Bool(on) => Some(u16::from(on)),
            Raw::Int(int) => u16::try_from(int).ok(),
            Raw::Beyond(_) | Raw::Float(_) | Raw::Text(_) => None,
        };
        let word = register.and_then(|register| map.word(register));
        return word.map_or(NOT_THE_CONFIGURATION, |word| (Some(Value::Text(word.clone())), Quality::Good));
    }
    match (raw, &point.words) {
        (Raw::Bool(on), Some(words)) => scaling::word(words, i64::from(on)),
        (Raw::Bool(on), None) => (Some(Value::Bool(on)), Quality::Good),
        (Raw::Int(code), Some(words)) => scaling::word(words, code),
        // An enumeration sent as a float: only a whole number has a word.
        (Raw::Float(number), Some(words)) => words
            .iter()
            .find(|(code, _)| Value::Int(*code).number() == Some(number))
            .map_or(NOT_THE_CONFIGURATION, |(code, _)| scaling::word(words, *code)),
        (Raw::Beyond(_), Some(_)) => NOT_THE_CONFIGURATION,
        (Raw::Text(text), Some(words)) if !words.iter().any(|(_, word)| *word == text) => {
            NOT_THE_CONFIGURATION
        }
        (Raw::Text(text), Some(_) | None) => (Some(Value::Text(text)), Quality::Good),
        (Raw::Int(int), None) if decimals == 0 && !point.current_loop => point.scaling.apply_int(int),
        // No value holds it to its last digit, and nobody asked for less: mostly its words are swapped.
        (Raw::Beyond(_), None) if decimals == 0 && point.scaling.keeps_numbers() => NOT_THE_CONFIGURATION,
        (Raw::Int(int), None) => number(point, place, scaling::approximate(int), decimals, received, memory),
        (Raw::Beyond(int), None) => {
            number(point, place, scaling::approximate_unsigned(int), decimals, received, memory)
        }
        (Raw::Float(float), None) => number(point, place, float, decimals, received, memory),
    }
}

fn number(
    point: &Point,
    place: usize,
    raw: f64,
    decimals: u16,
    received: Now,
    memory: &mut Memory,
) -> Reading {
    // A division by a power of ten is exact to the last digit, as a product is not.
    let raw = if decimals == 0 { raw } else { raw / 10_f64.powi(i32::from(decimals)) };
    if !point.current_loop {
        return point.scaling.apply(raw);
    }
    let range = point.scaling.range.unwrap_or(current_loop::MILLIAMPS);
    memory.current_loop(place).reading(point.scaling.linear(raw), range, received.mono)
}

#[cfg(test)]
mod tests;
