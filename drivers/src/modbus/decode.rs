//! From the registers or bits of one reply to samples.
//!
//! Pure, and the last place where a reply can be refused: one of another length than was asked for
//! yields no value at all, because nobody can say which registers it holds. Scaling, words and ranges
//! are those of [`crate::scaling`].

use riskgate_point::{BadReason, Now, Quality, Report, Sample, Value};

use super::plan::Read;
use super::{Kind, Order, Point};
use crate::scaling;

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

const BITS_PER_BYTE: usize = 8;

/// One sample for each point of the read, all with the time at which the reply came.
pub fn samples(
    read: &Read,
    points: &[Point],
    reply: Reply<'_>,
    received: Now,
) -> Result<Vec<Report>, WrongLength> {
    let asked = usize::from(read.count);
    let (came, fits) = match reply {
        Reply::Registers(words) => (words.len(), words.len() == asked && !read.table.is_bits()),
        Reply::Bits(bits) => {
            let bytes = asked.div_ceil(BITS_PER_BYTE);
            (bits.len(), bits.len() == bytes * BITS_PER_BYTE && read.table.is_bits())
        }
    };
    if !fits {
        return Err(WrongLength { asked, came });
    }
    // Not collected: into a `Result` that would begin with room for four.
    let mut samples = Vec::with_capacity(read.points.len());
    for point in read.points.iter().filter_map(|place| points.get(*place)) {
        let at = usize::from(point.address.wrapping_sub(read.address));
        let (value, quality) = reading(point, reply, at).ok_or(WrongLength { asked, came })?;
        let sample =
            Sample { point: point.point, value, quality, source_time: None, received, backfill: false };
        samples.push(Report::Sample(sample));
    }
    Ok(samples)
}

/// One point's value out of a reply, `at` registers or bits from its start. `None`: not in the reply.
fn reading(point: &Point, reply: Reply<'_>, at: usize) -> Option<(Option<Value>, Quality)> {
    let raw = match reply {
        Reply::Bits(bits) => Raw::Int(i64::from(*bits.get(at)?)),
        Reply::Registers(words) => match point.kind {
            Kind::Bool => Raw::Int(i64::from(*words.get(at)? != 0)),
            Kind::U16 => Raw::Int(i64::from(u16::from_be_bytes(two_bytes(words, at, point.order)?))),
            Kind::I16 => Raw::Int(i64::from(i16::from_be_bytes(two_bytes(words, at, point.order)?))),
            Kind::U32 => Raw::Int(i64::from(u32::from_be_bytes(four_bytes(words, at, point.order)?))),
            Kind::I32 => Raw::Int(i64::from(i32::from_be_bytes(four_bytes(words, at, point.order)?))),
            Kind::F32 => Raw::Float(f64::from(f32::from_be_bytes(four_bytes(words, at, point.order)?))),
        },
    };
    Some(match (&point.words, raw) {
        (Some(words), Raw::Int(code)) => scaling::word(words, code),
        // An enumeration sent as a float: only a whole number has a word.
        (Some(words), Raw::Float(number)) => words
            .iter()
            .find(|(code, _)| Value::Int(*code).number() == Some(number))
            .map_or((None, Quality::Bad(BadReason::ConfigError)), |(code, _)| scaling::word(words, *code)),
        (None, Raw::Int(on)) if point.kind == Kind::Bool => (Some(Value::Bool(on != 0)), Quality::Good),
        (None, Raw::Int(int)) => match Value::Int(int).number() {
            Some(number) => point.scaling.apply(number),
            None => (None, Quality::Bad(BadReason::NotANumber)),
        },
        (None, Raw::Float(number)) => point.scaling.apply(number),
    })
}

#[derive(Clone, Copy)]
enum Raw {
    Int(i64),
    Float(f64),
}

/// Most significant byte first, whatever the order on the wire.
fn two_bytes(words: &[u16], at: usize, order: Order) -> Option<[u8; 2]> {
    let [a, b] = words.get(at)?.to_be_bytes();
    Some(match order {
        Order::Abcd | Order::Cdab => [a, b],
        Order::Badc | Order::Dcba => [b, a],
    })
}

/// Most significant byte first, whatever the order on the wire.
fn four_bytes(words: &[u16], at: usize, order: Order) -> Option<[u8; 4]> {
    let [w, x] = words.get(at)?.to_be_bytes();
    let [y, z] = words.get(at.checked_add(1)?)?.to_be_bytes();
    Some(match order {
        Order::Abcd => [w, x, y, z],
        Order::Cdab => [y, z, w, x],
        Order::Badc => [x, w, z, y],
        Order::Dcba => [z, y, x, w],
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use riskgate_point::{PointId, UncertainReason};

    use super::super::Table;
    use super::*;
    use crate::scaling::{EnumWords, Scaling};

    fn point(kind: Kind, order: Order) -> Point {
        Point { order, ..Point::new(PointId(3), Table::Holding, 100, kind) }
    }

    fn read(point: &Point) -> Read {
        Read { table: point.table, address: 100, count: point.width(), points: vec![0] }
    }

    fn value_of(point: &Point, words: &[u16]) -> (Option<Value>, Quality) {
        let reports =
            samples(&read(point), std::slice::from_ref(point), Reply::Registers(words), Now::default())
                .unwrap();
        match reports.as_slice() {
            [Report::Sample(sample)] => (sample.value.clone(), sample.quality),
            other => panic!("{other:?}"),
        }
    }

    fn good(number: f64) -> (Option<Value>, Quality) {
        (Value::float(number), Quality::Good)
    }

    #[test]
    fn the_four_orders_of_a_float_give_the_same_number() {
        // 123.456 is 42 F6 E9 79.
        let expect = good(f64::from(123.456_f32));
        for (order, words) in [
            (Order::Abcd, [0x42F6, 0xE979]),
            (Order::Cdab, [0xE979, 0x42F6]),
            (Order::Badc, [0xF642, 0x79E9]),
            (Order::Dcba, [0x79E9, 0xF642]),
        ] {
            assert_eq!(value_of(&point(Kind::F32, order), &words), expect, "{order:?}");
        }
    }

    #[test]
    fn the_four_orders_of_a_32_bit_integer_give_the_same_number() {
        for (order, words) in [
            (Order::Abcd, [0x8765, 0x4321]),
            (Order::Cdab, [0x4321, 0x8765]),
            (Order::Badc, [0x6587, 0x2143]),
            (Order::Dcba, [0x2143, 0x6587]),
        ] {
            assert_eq!(value_of(&point(Kind::U32, order), &words), good(2_271_560_481.0), "{order:?}");
            assert_eq!(value_of(&point(Kind::I32, order), &words), good(-2_023_406_815.0), "{order:?}");
        }
    }

    #[test]
    fn a_16_bit_value_is_signed_or_not_and_its_bytes_may_be_swapped() {
        assert_eq!(value_of(&point(Kind::U16, Order::Abcd), &[0xFF9C]), good(65436.0));
        assert_eq!(value_of(&point(Kind::I16, Order::Abcd), &[0xFF9C]), good(-100.0));
        assert_eq!(value_of(&point(Kind::I16, Order::Cdab), &[0xFF9C]), good(-100.0));
        assert_eq!(value_of(&point(Kind::I16, Order::Dcba), &[0x9CFF]), good(-100.0));
        assert_eq!(value_of(&point(Kind::U16, Order::Badc), &[0x3412]), good(4660.0));
    }

    #[test]
    fn a_float_that_is_no_number_is_bad() {
        for words in [[0x7FC0, 0], [0x7F80, 0], [0xFF80, 0], [0xFFFF, 0xFFFF]] {
            let expect = (None, Quality::Bad(BadReason::NotANumber));
            assert_eq!(value_of(&point(Kind::F32, Order::Abcd), &words), expect);
        }
    }

    #[test]
    fn a_value_is_scaled_and_clamped_to_its_range() {
        let scaling = Scaling { scale: 0.1, offset: 0.0, range: Some((0.0, 100.0)) };
        let point = Point { scaling, ..point(Kind::U16, Order::Abcd) };
        assert_eq!(value_of(&point, &[255]), good(25.5));
        let over = Quality::Uncertain(UncertainReason::OverRange);
        assert_eq!(value_of(&point, &[1200]), (Value::float(100.0), over));
    }

    #[test]
    fn a_register_that_is_not_zero_is_true() {
        for (register, on) in [(0, false), (1, true), (0xFF00, true), (0x0100, true)] {
            let expect = (Some(Value::Bool(on)), Quality::Good);
            assert_eq!(value_of(&point(Kind::Bool, Order::Abcd), &[register]), expect);
        }
    }

    #[test]
    fn a_code_becomes_its_word_and_an_unknown_code_is_bad() {
        let words: EnumWords = Arc::from([(0, Arc::from("正常")), (2, Arc::from("故障"))]);
        for kind in [Kind::U16, Kind::I16] {
            let point = Point { words: Some(Arc::clone(&words)), ..point(kind, Order::Abcd) };
            assert_eq!(value_of(&point, &[2]), (Some(Value::text("故障")), Quality::Good));
            assert_eq!(value_of(&point, &[1]), (None, Quality::Bad(BadReason::ConfigError)));
        }
        let float = Point { words: Some(words), ..point(Kind::F32, Order::Abcd) };
        assert_eq!(value_of(&float, &[0x4000, 0]), (Some(Value::text("故障")), Quality::Good));
        assert_eq!(value_of(&float, &[0x4020, 0]), (None, Quality::Bad(BadReason::ConfigError)));
    }

    #[test]
    fn bits_are_read_at_their_own_place() {
        let bit = |address, id| Point {
            point: PointId(id),
            table: Table::Coil,
            address,
            ..point(Kind::Bool, Order::Abcd)
        };
        let points = [bit(10, 0), bit(12, 1), bit(19, 2)];
        let read = Read { table: Table::Coil, address: 10, count: 10, points: vec![0, 1, 2] };
        let mut bits = [false; 16];
        bits[2] = true;
        bits[9] = true;
        let reports = samples(&read, &points, Reply::Bits(&bits), Now::default()).unwrap();
        let expect = [(0, false), (1, true), (2, true)]
            .map(|(id, on)| Report::Sample(Sample::good(PointId(id), Value::Bool(on), Now::default())));
        assert_eq!(reports, expect);
    }

    #[test]
    fn a_missing_bit_does_not_become_false() {
        let coil = Point { table: Table::Coil, ..point(Kind::Bool, Order::Abcd) };
        let read = Read { table: Table::Coil, address: 100, count: 9, points: vec![0] };
        let refused = samples(&read, &[coil], Reply::Bits(&[true; 8]), Now::default());
        assert_eq!(refused, Err(WrongLength { asked: 9, came: 8 }));
    }

    #[test]
    fn a_reply_of_the_other_sort_is_refused() {
        let point = point(Kind::U16, Order::Abcd);
        assert!(
            samples(&read(&point), std::slice::from_ref(&point), Reply::Bits(&[true; 8]), Now::default())
                .is_err()
        );
        let coil = Point { table: Table::Coil, ..point };
        assert!(
            samples(&read(&coil), std::slice::from_ref(&coil), Reply::Registers(&[1]), Now::default())
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn a_reply_of_another_length_never_becomes_a_value(count in 1_u16..=125, words in prop::collection::vec(any::<u16>(), 0..260)) {
            let first = point(Kind::U16, Order::Abcd);
            let read = Read { table: Table::Holding, address: 100, count, points: vec![0] };
            let result = samples(&read, &[first], Reply::Registers(&words), Now::default());
            prop_assert_eq!(result.is_ok(), words.len() == usize::from(count));
        }

        #[test]
        fn any_four_bytes_give_the_number_they_spell_or_none(bytes: [u8; 4]) {
            let words = [u16::from_be_bytes([bytes[0], bytes[1]]), u16::from_be_bytes([bytes[2], bytes[3]])];
            let number = f64::from(f32::from_be_bytes(bytes));
            let (value, quality) = value_of(&point(Kind::F32, Order::Abcd), &words);
            prop_assert_eq!(value.is_some(), number.is_finite());
            prop_assert_eq!(quality.is_good(), number.is_finite());
            if number.is_finite() {
                prop_assert_eq!(value.and_then(|value| value.number()), Some(number));
            }
        }
    }
}
