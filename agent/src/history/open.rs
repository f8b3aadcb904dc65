//! What was received of one point and is not on disk yet, a few bytes a reading.
//!
//! Readings are written one behind the other as they come, so that nothing is joined or packed again before a
//! block is made of them: a mark (quality, kind of value, whether there is a source's time), the received time
//! from that of the first, the source's time from the received one, the value. Whole numbers are short, and so
//! is a float that is one, or that a 32-bit float holds; every bit comes back.
//!
//! It lives in memory alone: what is on disk is written by `codec`, which needs a column to be short.

use std::sync::Arc;

use riskgate_point::{Finite, Value, Wall};

use super::Reading;
use super::codec::{self, Broken};

/// What the allocator takes for itself.
const HEAD_BYTES: usize = 16;
/// Where a quality would stand: the reading that follows is told late.
const LATE: u8 = 0xf0;
const HAS_SOURCE_TIME: u8 = 1 << 3;

const NONE: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
/// A float that is a whole number.
const WHOLE: u8 = 4;
const NARROW: u8 = 5;
const FLOAT: u8 = 6;
const TEXT: u8 = 7;

#[derive(Default)]
pub(super) struct Open {
    /// The received time of the first, then the readings.
    bytes: Vec<u8>,
}

impl Open {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// In memory.
    pub(super) fn weight(&self) -> usize {
        if self.is_empty() { 0 } else { self.bytes.capacity() + HEAD_BYTES }
    }

    /// `entry` is room that the caller keeps.
    pub(super) fn push(&mut self, reading: &Reading, entry: &mut Vec<u8>) {
        entry.clear();
        let base = if self.is_empty() {
            put_signed(entry, reading.at.0);
            reading.at
        } else {
            // It was written by the line above.
            Wall(take_signed(&mut self.bytes.as_slice()).unwrap_or_default())
        };
        put(entry, reading, base);
        let length = self.bytes.len() + entry.len();
        if length > self.bytes.capacity() {
            // A quarter of slack, to the next size that the allocator gives out.
            let room = (length + length / 4 + 8).next_multiple_of(16) - 8;
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(entry);
    }

    pub(super) fn readings(&self) -> Vec<Reading> {
        let mut readings = Vec::new();
        let mut left = self.bytes.as_slice();
        if let Err(broken) = take_all(&mut left, &mut readings) {
            // A property test says that this does not happen.
            tracing::error!(%broken, "samples in memory cannot be read back");
        }
        readings
    }
}

fn put(entry: &mut Vec<u8>, reading: &Reading, base: Wall) {
    if reading.backfill {
        entry.push(LATE);
    }
    let from = entry.len();
    entry.push(codec::quality_code(reading.quality) << 4);
    put_signed(entry, reading.at.0.wrapping_sub(base.0));
    let mut mark = match reading.source_time {
        Some(source) => {
            put_signed(entry, source.0.wrapping_sub(reading.at.0));
            HAS_SOURCE_TIME
        }
        None => 0,
    };
    mark |= match &reading.value {
        None => NONE,
        Some(Value::Bool(false)) => FALSE,
        Some(Value::Bool(true)) => TRUE,
        Some(Value::Int(number)) => {
            put_signed(entry, *number);
            INT
        }
        Some(Value::Float(number)) => put_float(entry, number.get()),
        Some(Value::Text(text)) => {
            put_number(entry, u64::try_from(text.len()).unwrap_or(u64::MAX));
            entry.extend_from_slice(text.as_bytes());
            TEXT
        }
    };
    if let Some(byte) = entry.get_mut(from) {
        *byte |= mark;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "what is cut off is found by going back")]
fn put_float(entry: &mut Vec<u8>, number: f64) -> u8 {
    let (whole, narrow) = (number as i32, number as f32);
    if f64::from(whole).to_bits() == number.to_bits() {
        put_signed(entry, i64::from(whole));
        WHOLE
    } else if f64::from(narrow).to_bits() == number.to_bits() {
        entry.extend_from_slice(&narrow.to_le_bytes());
        NARROW
    } else {
        entry.extend_from_slice(&number.to_le_bytes());
        FLOAT
    }
}

fn take_all(left: &mut &[u8], readings: &mut Vec<Reading>) -> Result<(), Broken> {
    if left.is_empty() {
        return Ok(());
    }
    let base = take_signed(left)?;
    while !left.is_empty() {
        readings.push(take(left, base)?);
    }
    Ok(())
}

fn take(left: &mut &[u8], base: i64) -> Result<Reading, Broken> {
    let [mut mark] = take_bytes(left)?;
    let backfill = mark == LATE;
    if backfill {
        [mark] = take_bytes(left)?;
    }
    let quality = codec::quality_of(mark >> 4)?;
    let at = take_signed(left)?.wrapping_add(base);
    let source_time =
        if mark & HAS_SOURCE_TIME == 0 { None } else { Some(Wall(take_signed(left)?.wrapping_add(at))) };
    let finite = |number| Finite::new(number).map(Value::Float).ok_or(Broken("a value is no number"));
    let value = match mark & 7 {
        NONE => None,
        FALSE => Some(Value::Bool(false)),
        TRUE => Some(Value::Bool(true)),
        INT => Some(Value::Int(take_signed(left)?)),
        WHOLE => {
            let whole = i32::try_from(take_signed(left)?).map_err(|_| Broken("a number is too large"))?;
            Some(finite(f64::from(whole))?)
        }
        NARROW => Some(finite(f64::from(f32::from_le_bytes(take_bytes(left)?)))?),
        FLOAT => Some(finite(f64::from_le_bytes(take_bytes(left)?))?),
        _ => Some(Value::Text(take_text(left)?)),
    };
    Ok(Reading { at: Wall(at), source_time, value, quality, backfill })
}

fn take_text(left: &mut &[u8]) -> Result<Arc<str>, Broken> {
    let length = usize::try_from(take_number(left)?).unwrap_or(usize::MAX);
    let (text, rest) = left.split_at_checked(length).ok_or(Broken("it ends too early"))?;
    *left = rest;
    std::str::from_utf8(text).map(Arc::from).map_err(|_| Broken("a text that is none"))
}

fn take_bytes<const N: usize>(left: &mut &[u8]) -> Result<[u8; N], Broken> {
    let (bytes, rest) = left.split_first_chunk().ok_or(Broken("it ends too early"))?;
    *left = rest;
    Ok(*bytes)
}

/// Small ones are short, whatever their sign.
fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_number(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

fn take_signed(left: &mut &[u8]) -> Result<i64, Broken> {
    let number = take_number(left)?;
    Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or(0));
}

fn take_number(left: &mut &[u8]) -> Result<u64, Broken> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let [byte] = take_bytes(left)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Broken("a number that is too long"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::codec::tests::rows;
    use super::*;

    proptest! {
        #[test]
        fn what_is_received_comes_back_bit_for_bit(rows in rows()) {
            let (mut open, mut entry) = (Open::default(), Vec::new());
            rows.iter().for_each(|row| open.push(row, &mut entry));
            prop_assert_eq!(open.readings(), rows);
        }
    }

    #[test]
    fn a_register_that_moves_takes_few_bytes() {
        let (mut open, mut entry) = (Open::default(), Vec::new());
        let n = 30;
        for turn in 0..n {
            let (value, quality) = (Value::float(f64::from(turn * 97 % 1000)), riskgate_point::Quality::Good);
            let at = Wall(1_700_000_000_000 + i64::from(turn) * 10_000);
            open.push(&Reading { at, source_time: None, value, quality, backfill: false }, &mut entry);
        }
        let each = open.weight() / usize::try_from(n).unwrap();
        assert!(each <= 9, "{each} bytes a reading");
    }
}
