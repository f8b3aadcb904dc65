//! What registers could mean: each type in each order, at the address that a person named and beside it.
//!
//! Pure. Every reading is made by the decoder that the driver reads with, so that what is shown here is what
//! the agent will read. Which readings are likely is judged by what the person expects to see, or, where
//! nothing is expected, by the sizes that instruments have; a hint is never more than that.

use std::num::{NonZeroU8, NonZeroU32};

use riskgate_point::{Now, PointId, Report, Value};

use super::decode::{self, samples};
use super::memory::Memory;
use super::plan::Read;
use super::{Encoding, Kind, Order, Point, Reply, Table};
use crate::scaling::Scaling;

/// The orders that values of 32 bits have.
pub const ORDERS: [Order; 4] = [Order::Abcd, Order::Cdab, Order::Badc, Order::Dcba];
/// And those that only values of 64 bits have.
const ORDERS_OF_64: [Order; 4] = [Order::Efghabcd, Order::Cdabghef, Order::Fehgbadc, Order::Dcbahgfe];
/// Lists count from 0 or from 1, and people add where they should take away.
const OFFSETS: [i32; 3] = [0, -1, 1];
/// By which a list's numbers are scaled, the likely first.
const SCALES: [f64; 7] = [1.0, 0.1, 0.01, 0.001, 10.0, 0.0001, 100.0];
/// A process moves between the look at the local display and ours.
const NEAR: f64 = 0.02;
/// Sizes that instruments show; what lies beyond is mostly a float in a wrong order.
const SANE: std::ops::RangeInclusive<f64> = 1e-3..=1e6;
/// What an expected number may be, which a person knows better.
const POSSIBLE: std::ops::RangeInclusive<f64> = 1e-9..=1e12;
/// A shorter text is printable by accident.
const TEXT_MIN: usize = 3;
/// Likely readings that are worth a look.
pub const LIKELY_MAX: usize = 8;

/// What one reply held, from this address on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub address: u16,
    pub reply: Reply,
}

/// What the person expects to see.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// And half of the last digit that was written.
    Number {
        value: f64,
        half: f64,
    },
    Range {
        low: f64,
        high: f64,
    },
    Text(String),
}

/// One type in one order at one place, unscaled.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// From the address that was named.
    pub offset: i32,
    pub address: u16,
    pub kind: Kind,
    pub order: Order,
    /// `None`: the registers hold no such value.
    pub value: Option<Value>,
    /// An order before it reads the same.
    pub same_as: Option<Order>,
}

/// A reading that may be the right one.
#[derive(Debug, Clone, PartialEq)]
pub struct Likely {
    pub offset: i32,
    pub address: u16,
    pub kind: Kind,
    /// What reads the same: a number below 32768 is the same with and without a sign.
    pub also: Vec<Kind>,
    pub order: Order,
    pub scale: f64,
    pub value: Value,
    pub fit: Fit,
}

/// How well a reading is what was expected, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// To the last digit that was written.
    Exact,
    /// Within 2 %.
    Near,
    InRange,
    /// Nothing was expected; it is of a size that instruments show.
    Sane,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Guess {
    /// By offset, type and order.
    pub readings: Vec<Reading>,
    /// The best first, at most [`LIKELY_MAX`].
    pub likely: Vec<Likely>,
}

impl Expected {
    /// `47.5`: a number to its last digit; anything else is a text.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => {
                let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
                let half = i32::try_from(decimals).map_or(0.0, |decimals| 0.5 / 10_f64.powi(decimals));
                Self::Number { value, half }
            }
            Ok(_) | Err(_) => Self::Text(text.to_owned()),
        }
    }
}

/// `asked` is the address on the wire that was named; `text_registers` how long a text may be.
pub fn guess(
    table: Table,
    asked: u16,
    pieces: &[Piece],
    text_registers: NonZeroU8,
    expected: Option<&Expected>,
) -> Guess {
    let mut guess = Guess { readings: Vec::new(), likely: Vec::new() };
    for offset in OFFSETS {
        let Some(address) = i32::from(asked).checked_add(offset).and_then(|at| u16::try_from(at).ok()) else {
            continue;
        };
        for kind in kinds(table, text_registers) {
            let Some(piece) = pieces.iter().find(|piece| piece.holds(table, address, kind)) else { continue };
            let place = Place { table, address, offset, kind, piece };
            place.read(expected, &mut guess);
        }
    }
    guess.likely.sort_by(|a, b| a.rank().partial_cmp(&b.rank()).unwrap_or(std::cmp::Ordering::Equal));
    merge(&mut guess.likely);
    guess.likely.truncate(LIKELY_MAX);
    guess
}

fn kinds(table: Table, registers: NonZeroU8) -> Vec<Kind> {
    if table.is_bits() {
        return vec![Kind::Bool];
    }
    vec![
        Kind::U16,
        Kind::I16,
        Kind::Bcd16,
        Kind::U32,
        Kind::I32,
        Kind::F32,
        Kind::Bcd32,
        Kind::U64,
        Kind::I64,
        Kind::F64,
        Kind::Text { registers, encoding: Encoding::Utf8 },
        Kind::Text { registers, encoding: Encoding::Gb18030 },
    ]
}

impl Piece {
    fn holds(&self, table: Table, address: u16, kind: Kind) -> bool {
        let width = if table.is_bits() { 1 } else { usize::from(kind.registers()) };
        let held = match &self.reply {
            Reply::Registers(words) => words.len(),
            Reply::Bits(bits) => bits.len(),
        };
        address.checked_sub(self.address).is_some_and(|at| usize::from(at) + width <= held)
    }
}

/// A type at an address, and the reply that holds it.
struct Place<'p> {
    table: Table,
    address: u16,
    offset: i32,
    kind: Kind,
    piece: &'p Piece,
}

impl Place<'_> {
    fn read(&self, expected: Option<&Expected>, guess: &mut Guess) {
        let of_64: &[Order] = if self.kind.registers() == 4 { &ORDERS_OF_64 } else { &[] };
        let orders: &[Order] = if self.table.is_bits() { &[Order::Abcd] } else { &ORDERS };
        let begun = guess.readings.len();
        for order in orders.iter().chain(of_64).copied() {
            let value = self.value(order, 1.0);
            let before = guess.readings.get(begun..).unwrap_or_default();
            let same_as = before.iter().find(|other| other.value == value).map(|other| other.order);
            if same_as.is_none() && value.is_some() {
                self.judge(order, expected, &mut guess.likely);
            }
            let Self { offset, address, kind, .. } = *self;
            guess.readings.push(Reading { offset, address, kind, order, value, same_as });
        }
    }

    /// As the agent would read it.
    fn value(&self, order: Order, scale: f64) -> Option<Value> {
        let scaling = Scaling { scale, ..Scaling::IDENTITY };
        let point = Point { order, scaling, ..Point::new(PointId(0), self.table, self.address, self.kind) };
        let (reply, held) = match &self.piece.reply {
            Reply::Registers(words) => (decode::Reply::Registers(words), words.len()),
            Reply::Bits(bits) => (decode::Reply::Bits(bits), bits.len()),
        };
        let read = Read {
            table: self.table,
            address: self.piece.address,
            count: u16::try_from(held).ok()?,
            points: vec![0],
            beside: Vec::new(),
            every: NonZeroU32::MIN,
        };
        let told = samples(&read, &[point], reply, Now::default(), &mut Memory::default()).ok()?;
        let mut values = told
            .into_iter()
            .filter_map(|report| if let Report::Sample(sample) = report { sample.value } else { None });
        values.next()
    }

    /// The first scale by which it fits best.
    fn judge(&self, order: Order, expected: Option<&Expected>, likely: &mut Vec<Likely>) {
        let scales: &[f64] = if self.is_whole() && expected.is_some() { &SCALES } else { &[1.0] };
        let fits = scales.iter().filter_map(|scale| {
            let value = self.value(order, *scale)?;
            let fit = fit(&value, expected)?;
            Some((fit, *scale, value))
        });
        // The least of equals is the first.
        let Some((fit, scale, value)) = fits.min_by_key(|(fit, ..)| *fit) else { return };
        let Self { offset, address, kind, .. } = *self;
        likely.push(Likely { offset, address, kind, also: Vec::new(), order, scale, value, fit });
    }

    fn is_whole(&self) -> bool {
        !self.table.is_bits() && is_whole(self.kind)
    }
}

fn is_whole(kind: Kind) -> bool {
    match kind {
        Kind::U16 | Kind::I16 | Kind::U32 | Kind::I32 | Kind::U64 | Kind::I64 => true,
        Kind::Bcd16 | Kind::Bcd32 | Kind::HighByte | Kind::LowByte => true,
        Kind::Bool | Kind::Bit(_) | Kind::F32 | Kind::F64 | Kind::Text { .. } => false,
    }
}

fn fit(value: &Value, expected: Option<&Expected>) -> Option<Fit> {
    match (value, expected) {
        (Value::Text(text), Some(Expected::Text(wanted))) => (**text == **wanted).then_some(Fit::Exact),
        (Value::Text(text), None) => (text.chars().count() >= TEXT_MIN).then_some(Fit::Sane),
        (Value::Bool(on), Some(Expected::Text(wanted))) => {
            (on.to_string() == wanted.to_ascii_lowercase()).then_some(Fit::Exact)
        }
        (Value::Bool(on), Some(Expected::Number { value, .. })) => {
            (f64::from(u8::from(*on)) == *value).then_some(Fit::Exact)
        }
        (Value::Float(_) | Value::Int(_), Some(expected)) => fit_of_number(value, expected),
        (Value::Float(number), None) => SANE.contains(&number.get().abs()).then_some(Fit::Sane),
        (Value::Int(_) | Value::Bool(_), None)
        | (Value::Text(_), Some(Expected::Number { .. } | Expected::Range { .. }))
        | (Value::Bool(_), Some(Expected::Range { .. })) => None,
    }
}

fn fit_of_number(value: &Value, expected: &Expected) -> Option<Fit> {
    let number = value.number()?;
    // A float in a wrong order is mostly all but zero, or beyond everything.
    if number != 0.0 && !POSSIBLE.contains(&number.abs()) {
        return None;
    }
    match expected {
        Expected::Number { value, half } => {
            let off = (number - value).abs();
            // A last digit is rounded, and a half of it is no number of two.
            if off <= half * 1.000_001 {
                Some(Fit::Exact)
            } else {
                (off <= value.abs() * NEAR).then_some(Fit::Near)
            }
        }
        Expected::Range { low, high } => {
            ((*low..=*high).contains(&number) && number != 0.0).then_some(Fit::InRange)
        }
        Expected::Text(_) => None,
    }
}

impl Likely {
    /// A float of 32 bits whose lower half is empty. The upper half alone makes nearly the value: so one in
    /// `CDAB` reads nearly the same in `ABCD` one register behind, where another register takes the place of
    /// its lower half. That one is mostly empty where nothing follows; a measured value's hardly ever is.
    fn lacks_half(&self) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "of a float of 32 bits it is that float again")]
        let bits = self.value.number().map(|number| (number as f32).to_bits());
        self.kind == Kind::F32 && bits.is_some_and(|bits| bits.trailing_zeros() >= 16)
    }

    /// Another reading with the same upper half, as said above. Where both have a lower half, nothing here
    /// tells which one is its own.
    pub fn is_as_good_as(&self, twin: &Self) -> bool {
        self.is_twin_of(twin) && self.fit == twin.fit && self.lacks_half() == twin.lacks_half()
    }

    /// Another reading with the same upper half.
    pub fn is_twin_of(&self, other: &Self) -> bool {
        let numbers = (self.value.number(), other.value.number());
        let near = matches!(numbers, (Some(a), Some(b)) if (a - b).abs() <= a.abs() / 64.0);
        near && (self.kind, other.kind) == (Kind::F32, Kind::F32)
            && self.address != other.address
            && self.order != other.order
    }

    /// The less, the likelier: what says more by accident comes last.
    fn rank(&self) -> (Fit, u8, bool, u32, u8, u16, u8) {
        // So many bits agree with a number by accident less often than the sixteen of an integer.
        let sort = match self.kind {
            Kind::F32 | Kind::F64 | Kind::Text { .. } | Kind::Bool | Kind::Bit(_) => 0,
            Kind::U16 | Kind::I16 | Kind::U32 | Kind::I32 | Kind::U64 | Kind::I64 => 1,
            Kind::Bcd16 | Kind::Bcd32 | Kind::HighByte | Kind::LowByte => 2,
        };
        // Of zeros before or behind it a number is the same with more registers.
        let order = ORDERS.iter().chain(&ORDERS_OF_64).position(|order| *order == self.order);
        let scale = SCALES.iter().position(|scale| *scale == self.scale);
        let place =
            |place: Option<usize>| place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX);
        (
            self.fit,
            sort,
            self.lacks_half(),
            self.offset.unsigned_abs(),
            place(scale),
            self.kind.registers(),
            place(order),
        )
    }
}

/// One line for what reads the same at the same place with the same scale: u16 and i16 below 32768.
fn merge(likely: &mut Vec<Likely>) {
    let mut merged: Vec<Likely> = Vec::new();
    for next in likely.drain(..) {
        let twin = merged.iter_mut().find(|other| {
            (other.address, other.order, other.scale) == (next.address, next.order, next.scale)
                && other.kind.registers() == next.kind.registers()
                && other.value == next.value
        });
        match twin {
            Some(twin) => twin.also.push(next.kind),
            None => merged.push(next),
        }
    }
    *likely = merged;
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: NonZeroU8 = NonZeroU8::MIN.saturating_add(3);

    fn piece(address: u16, words: &[u16]) -> Piece {
        Piece { address, reply: Reply::Registers(words.to_vec()) }
    }

    fn halves(value: f32) -> [u16; 2] {
        let bits = value.to_bits().to_be_bytes();
        [u16::from_be_bytes([bits[0], bits[1]]), u16::from_be_bytes([bits[2], bits[3]])]
    }

    fn best(asked: u16, pieces: &[Piece], expected: &str) -> Likely {
        let guess = guess(Table::Holding, asked, pieces, FOUR, Some(&Expected::parse(expected)));
        guess.likely.into_iter().next().expect("something is likely")
    }

    #[test]
    fn a_float_in_another_order_beside_the_named_address_is_found() {
        let [high, low] = halves(47.53);
        let pieces = [piece(100, &[low, high, 0, 9000, 1, 77])];
        let found = best(101, &pieces, "47.5");
        assert_eq!((found.address, found.kind, found.order), (100, Kind::F32, Order::Cdab));
        assert_eq!((found.offset, found.scale, found.fit), (-1, 1.0, Fit::Exact));
    }

    #[test]
    fn the_upper_half_of_a_float_alone_reads_nearly_the_same_and_comes_second() {
        let [high, low] = halves(47.53);
        let expected = Expected::parse("47.5");
        for (words, right) in [
            ([0, low, high, 0, 0, 0, 0], (100, Order::Cdab)),
            ([0, 0, high, low, 0, 0, 0], (101, Order::Abcd)),
        ] {
            let guess = guess(Table::Holding, 101, &[piece(99, &words)], FOUR, Some(&expected));
            let [first, second, ..] = guess.likely.as_slice() else { panic!("{:?}", guess.likely) };
            assert_eq!((first.address, first.order), right, "{:?}", guess.likely);
            assert!(first.is_twin_of(second) && second.is_twin_of(first), "{:?}", guess.likely);
        }
    }

    #[test]
    fn where_both_have_a_lower_half_only_more_digits_tell_which_is_right() {
        let [high, low] = halves(47.53);
        let words = [piece(100, &[low, high, 475, 0x4142, 0, 0])];
        let of = |expected: &str| {
            let guess = guess(Table::Holding, 101, &words, FOUR, Some(&Expected::parse(expected)));
            let [first, second, ..] = guess.likely.as_slice() else { panic!("{:?}", guess.likely) };
            (first.address, first.is_as_good_as(second))
        };
        assert_eq!(of("47.5"), (101, true));
        assert_eq!(of("47.53"), (100, false));
    }

    #[test]
    fn each_type_in_each_order_is_found_at_each_offset() {
        let order_of = |bytes: &[u8], order: Order| -> Vec<u16> {
            let pairs: Vec<[u8; 2]> = bytes.chunks(2).map(|pair| [pair[0], pair[1]]).collect();
            let swapped = matches!(order, Order::Badc | Order::Dcba);
            let words = pairs
                .iter()
                .map(|pair| if swapped { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) });
            let words: Vec<u16> = words.collect();
            if matches!(order, Order::Cdab | Order::Dcba) { words.into_iter().rev().collect() } else { words }
        };
        let cases: [(Kind, Vec<u8>, &str); 5] = [
            (Kind::F32, 47.53_f32.to_be_bytes().to_vec(), "47.53"),
            (Kind::I32, (-70_123_i32).to_be_bytes().to_vec(), "-70123"),
            (Kind::U32, 3_000_000_123_u32.to_be_bytes().to_vec(), "3000000123"),
            (Kind::F64, (-1234.567_f64).to_be_bytes().to_vec(), "-1234.567"),
            (Kind::I64, 9_007_199_254_i64.to_be_bytes().to_vec(), "9007199254"),
        ];
        for (kind, bytes, expected) in cases {
            for order in ORDERS {
                for offset in [-1_i32, 0, 1] {
                    let words = order_of(&bytes, order);
                    let at = usize::try_from(4 + offset).unwrap();
                    let mut all = vec![0x1234_u16, 0xFFEE, 0x4141, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];
                    all[at..at + words.len()].copy_from_slice(&words);
                    let guess =
                        guess(Table::Input, 104, &[piece(100, &all)], FOUR, Some(&Expected::parse(expected)));
                    let found = guess.likely.iter().any(|likely| {
                        likely.offset == offset
                            && (likely.kind == kind || likely.also.contains(&kind))
                            && likely.order == order
                            && likely.fit == Fit::Exact
                    });
                    assert!(found, "{kind:?} {order:?} {offset}: {:?}", guess.likely);
                }
            }
        }
    }

    #[test]
    fn an_integer_is_tried_with_the_scales_of_lists() {
        let found = best(10, &[piece(9, &[0, 475, 0, 0, 0, 0])], "47.5");
        assert_eq!((found.address, found.kind, found.scale), (10, Kind::U16, 0.1));
        assert_eq!(found.also, [Kind::I16], "the same with and without a sign");
    }

    #[test]
    fn an_order_that_reads_the_same_says_as_which() {
        let guess = guess(Table::Holding, 0, &[piece(0, &[0x0101, 0x0101])], FOUR, None);
        let of = |kind: Kind| -> Vec<Option<Order>> {
            let here = guess.readings.iter().filter(|reading| reading.offset == 0 && reading.kind == kind);
            here.map(|reading| reading.same_as).collect()
        };
        let abcd = Some(Order::Abcd);
        assert_eq!(of(Kind::U32), [None, abcd, abcd, abcd]);
        assert_eq!(of(Kind::F64), [], "four registers did not come");
    }

    #[test]
    fn where_nothing_is_expected_floats_of_a_sane_size_are_hints() {
        let [high, low] = halves(21.37);
        let guess = guess(Table::Holding, 5, &[piece(4, &[0, high, low, 0, 0, 0])], FOUR, None);
        let first = guess.likely.first().expect("a hint");
        assert_eq!((first.address, first.order, first.fit), (5, Order::Abcd, Fit::Sane));
        let kinds: Vec<Kind> = guess.likely.iter().map(|likely| likely.kind).collect();
        assert!(!kinds.contains(&Kind::U16), "of an integer nothing says that it is right: {kinds:?}");
    }

    #[test]
    fn a_float_that_is_all_but_zero_fits_no_range_and_no_expected_zero() {
        let [high, low] = halves(50.5);
        let expected = Expected::Range { low: 0.0, high: 100.0 };
        let pieces = [piece(0, &[low, high])];
        let found = guess(Table::Holding, 0, &pieces, FOUR, Some(&expected));
        let floats: Vec<Order> = found
            .likely
            .iter()
            .filter(|likely| likely.kind == Kind::F32)
            .map(|likely| likely.order)
            .collect();
        assert_eq!(floats, [Order::Cdab], "{:?}", found.likely);
        assert_eq!(fit(&Value::float(2.4e-41).unwrap(), Some(&Expected::parse("0"))), None);
    }

    #[test]
    fn a_text_is_found_in_both_encodings() {
        let latin = [0x5055, 0x4D50, 0x2D37, 0];
        assert_eq!(best(0, &[piece(0, &latin)], "PUMP-7").order, Order::Abcd);
        let swapped = latin.map(u16::swap_bytes);
        assert_eq!(best(0, &[piece(0, &swapped)], "PUMP-7").order, Order::Badc);
        let found = best(0, &[piece(0, &[0xB9DE, 0xC7F8, 0, 0])], "罐区");
        assert!(matches!(found.kind, Kind::Text { encoding: Encoding::Gb18030, .. }), "{found:?}");
    }

    #[test]
    fn a_value_is_never_put_together_from_two_replies() {
        let [high, low] = halves(47.5);
        let guess = guess(
            Table::Holding,
            0,
            &[piece(0, &[high]), piece(1, &[low])],
            FOUR,
            Some(&Expected::parse("47.5")),
        );
        assert!(guess.readings.iter().all(|reading| reading.kind.registers() == 1), "{guess:?}");
    }

    #[test]
    fn bits_are_true_or_false() {
        let bits = Piece {
            address: 4,
            reply: Reply::Bits(vec![true, false, true, false, false, false, false, false]),
        };
        let guess = guess(Table::Coil, 5, &[bits], FOUR, Some(&Expected::parse("0")));
        let values: Vec<(i32, Option<Value>)> =
            guess.readings.iter().map(|reading| (reading.offset, reading.value.clone())).collect();
        let bool_of = |on| Some(Value::Bool(on));
        assert_eq!(values, [(0, bool_of(false)), (-1, bool_of(true)), (1, bool_of(true))]);
        assert_eq!(guess.likely.len(), 1);
    }
}
