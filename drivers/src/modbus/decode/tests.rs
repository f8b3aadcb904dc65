use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use riskgate_point::{PointId, UncertainReason};

use super::super::status::{Meaning, State, StatusMap};
use super::super::{Beside, Bit, Encoding, Kind, Order, Table};
use super::*;
use crate::scaling::{EnumWords, OutOfRange};

const NOT_A_NUMBER: Reading = (None, Quality::Bad(BadReason::NotANumber));
const CONFIG_ERROR: Reading = (None, Quality::Bad(BadReason::ConfigError));
const OVER: Quality = Quality::Uncertain(UncertainReason::OverRange);
const UNDER: Quality = Quality::Uncertain(UncertainReason::UnderRange);
const ALL_ORDERS: [Order; 8] = [
    Order::Abcd,
    Order::Cdab,
    Order::Badc,
    Order::Dcba,
    Order::Efghabcd,
    Order::Cdabghef,
    Order::Fehgbadc,
    Order::Dcbahgfe,
];

fn point(kind: Kind, order: Order) -> Point {
    Point { order, ..Point::new(PointId(3), Table::Holding, 100, kind) }
}

fn bit(place: u8) -> Bit {
    Bit::new(place).unwrap()
}

fn text(registers: u8, encoding: Encoding) -> Kind {
    Kind::Text { registers: NonZeroU8::new(registers).unwrap(), encoding }
}

fn read(table: Table, address: u16, count: u16, points: &[usize], beside: &[(usize, Part)]) -> Read {
    let every = NonZeroU32::MIN;
    Read { table, address, count, points: points.to_vec(), beside: beside.to_vec(), every }
}

fn own(point: &Point) -> Read {
    read(point.table, point.address, point.width(), &[0], &[])
}

fn at(millis: u64) -> Now {
    Now::default().after(Duration::from_millis(millis))
}

/// What one read of registers says of its points.
fn readings(
    read: &Read,
    points: &[Point],
    words: &[u16],
    received: Now,
    memory: &mut Memory,
) -> Vec<Reading> {
    let reports = samples(read, points, Reply::Registers(words), received, memory).unwrap();
    let reading = |report| {
        let Report::Sample(sample) = report else { panic!("{report:?}") };
        (sample.value, sample.quality)
    };
    reports.into_iter().map(reading).collect()
}

fn value_of(point: &Point, words: &[u16]) -> Reading {
    let mut memory = Memory::default();
    readings(&own(point), std::slice::from_ref(point), words, at(0), &mut memory).remove(0)
}

fn good(number: f64) -> Reading {
    (Value::float(number), Quality::Good)
}

fn int(number: i64) -> Reading {
    (Some(Value::Int(number)), Quality::Good)
}

fn word(text: &str) -> Reading {
    (Some(Value::text(text)), Quality::Good)
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
        assert_eq!(value_of(&point(Kind::U32, order), &words), int(2_271_560_481), "{order:?}");
        assert_eq!(value_of(&point(Kind::I32, order), &words), int(-2_023_406_815), "{order:?}");
    }
}

#[test]
fn the_eight_orders_of_64_bits_give_the_same_number() {
    // Bytes 01 to 08; each order is its own name with A = 01.
    for (order, words) in [
        (Order::Abcd, [0x0102, 0x0304, 0x0506, 0x0708]),
        (Order::Cdab, [0x0708, 0x0506, 0x0304, 0x0102]),
        (Order::Badc, [0x0201, 0x0403, 0x0605, 0x0807]),
        (Order::Dcba, [0x0807, 0x0605, 0x0403, 0x0201]),
        (Order::Efghabcd, [0x0506, 0x0708, 0x0102, 0x0304]),
        (Order::Cdabghef, [0x0304, 0x0102, 0x0708, 0x0506]),
        (Order::Fehgbadc, [0x0605, 0x0807, 0x0201, 0x0403]),
        (Order::Dcbahgfe, [0x0403, 0x0201, 0x0807, 0x0605]),
    ] {
        for kind in [Kind::I64, Kind::U64] {
            assert_eq!(value_of(&point(kind, order), &words), int(0x0102_0304_0506_0708), "{order:?}");
        }
        let bits = f64::from_bits(0x0102_0304_0506_0708);
        assert_eq!(value_of(&point(Kind::F64, order), &words), good(bits), "{order:?}");
    }
}

#[test]
fn an_order_of_64_bits_says_the_same_of_the_32_that_it_begins_with() {
    for (long, short) in [
        (Order::Efghabcd, Order::Abcd),
        (Order::Cdabghef, Order::Cdab),
        (Order::Fehgbadc, Order::Badc),
        (Order::Dcbahgfe, Order::Dcba),
    ] {
        for kind in [Kind::U16, Kind::U32, Kind::Bcd16, Kind::Bit(bit(3))] {
            let words: &[u16] = if kind.registers() == 1 { &[0x1234] } else { &[0x1234, 0x5678] };
            assert_eq!(value_of(&point(kind, long), words), value_of(&point(kind, short), words));
        }
        assert!(long.is_of_64_bits() && !short.is_of_64_bits());
    }
}

#[test]
fn a_16_bit_value_is_signed_or_not_and_its_bytes_may_be_swapped() {
    assert_eq!(value_of(&point(Kind::U16, Order::Abcd), &[0xFF9C]), int(65436));
    assert_eq!(value_of(&point(Kind::I16, Order::Abcd), &[0xFF9C]), int(-100));
    assert_eq!(value_of(&point(Kind::I16, Order::Cdab), &[0xFF9C]), int(-100));
    assert_eq!(value_of(&point(Kind::I16, Order::Dcba), &[0x9CFF]), int(-100));
    assert_eq!(value_of(&point(Kind::U16, Order::Badc), &[0x3412]), int(4660));
}

#[test]
fn a_byte_of_a_register_is_its_high_or_its_low_one() {
    for order in [Order::Abcd, Order::Cdab] {
        assert_eq!(value_of(&point(Kind::HighByte, order), &[0xAB12]), int(0xAB));
        assert_eq!(value_of(&point(Kind::LowByte, order), &[0xAB12]), int(0x12));
    }
    // As a u16 there reads 0xAB12.
    assert_eq!(value_of(&point(Kind::HighByte, Order::Badc), &[0x12AB]), int(0xAB));
}

#[test]
fn bit_0_of_a_register_is_the_least_significant() {
    for place in 0..16 {
        let of = |register| value_of(&point(Kind::Bit(bit(place)), Order::Abcd), &[register]);
        assert_eq!(of(1 << place), (Some(Value::Bool(true)), Quality::Good));
        assert_eq!(of(!(1 << place)), (Some(Value::Bool(false)), Quality::Good));
    }
    let swapped = value_of(&point(Kind::Bit(bit(0)), Order::Badc), &[0x0100]);
    assert_eq!(swapped, (Some(Value::Bool(true)), Quality::Good));
}

#[test]
fn decimal_digits_are_read_and_a_nibble_that_is_none_is_bad() {
    assert_eq!(value_of(&point(Kind::Bcd16, Order::Abcd), &[0x1234]), int(1234));
    assert_eq!(value_of(&point(Kind::Bcd16, Order::Badc), &[0x3412]), int(1234));
    assert_eq!(value_of(&point(Kind::Bcd32, Order::Abcd), &[0x1234, 0x5678]), int(12_345_678));
    assert_eq!(value_of(&point(Kind::Bcd32, Order::Cdab), &[0x5678, 0x1234]), int(12_345_678));
    assert_eq!(value_of(&point(Kind::Bcd32, Order::Abcd), &[0x9999, 0x9999]), int(99_999_999));
    for register in [0xA000, 0x0B00, 0x00C0, 0x000F, 0xFFFF] {
        assert_eq!(value_of(&point(Kind::Bcd16, Order::Abcd), &[register]), NOT_A_NUMBER);
        assert_eq!(value_of(&point(Kind::Bcd32, Order::Abcd), &[0, register]), NOT_A_NUMBER);
    }
}

#[test]
fn an_integer_of_64_bits_keeps_its_last_digit() {
    for number in [(1_i64 << 53) + 1, i64::MAX, i64::MIN, -1] {
        let words: Vec<u16> =
            number.to_be_bytes().chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        assert_eq!(value_of(&point(Kind::I64, Order::Abcd), &words), int(number));
    }
}

#[test]
fn an_integer_that_no_value_holds_is_bad_unless_it_is_scaled() {
    let words = [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF];
    let plain = point(Kind::U64, Order::Abcd);
    assert_eq!(value_of(&plain, &words), CONFIG_ERROR);
    let scaling = Scaling { scale: 0.001, ..Scaling::IDENTITY };
    assert_eq!(value_of(&Point { scaling, ..plain }, &words), good(1.844_674_407_370_955e16));
}

#[test]
fn a_text_ends_at_its_first_nul_and_without_the_blanks_of_its_field() {
    let abcd = text(4, Encoding::Utf8);
    assert_eq!(value_of(&point(abcd, Order::Abcd), &[0x4142, 0x4320, 0x2020, 0x2020]), word("ABC"));
    assert_eq!(value_of(&point(abcd, Order::Badc), &[0x4241, 0x2043, 0x2020, 0x2020]), word("ABC"));
    // What stands behind the NUL is left from a longer text.
    assert_eq!(value_of(&point(abcd, Order::Abcd), &[0x4142, 0x0058, 0x5858, 0xFF01]), word("AB"));
    assert_eq!(value_of(&point(abcd, Order::Cdab), &[0x4142, 0x4344, 0x4546, 0x4748]), word("ABCDEFGH"));
    assert_eq!(value_of(&point(abcd, Order::Abcd), &[0, 0, 0, 0]), word(""));
}

#[test]
fn a_text_is_read_in_the_encoding_that_is_said() {
    // 罐 is E7 BD 90 in UTF-8 and B9 DE in GB18030.
    assert_eq!(value_of(&point(text(2, Encoding::Utf8), Order::Abcd), &[0xE7BD, 0x9000]), word("罐"));
    assert_eq!(value_of(&point(text(1, Encoding::Gb18030), Order::Abcd), &[0xB9DE]), word("罐"));
    assert_eq!(value_of(&point(text(1, Encoding::Gb18030), Order::Dcba), &[0xDEB9]), word("罐"));
    assert_eq!(value_of(&point(text(1, Encoding::Utf8), Order::Abcd), &[0xB9DE]), CONFIG_ERROR);
}

#[test]
fn what_is_no_text_is_bad() {
    for words in [[0x0141, 0x4200], [0xFFFF, 0xFFFF], [0x41E7, 0xBD41], [0x4107, 0x4242]] {
        assert_eq!(
            value_of(&point(text(2, Encoding::Utf8), Order::Abcd), &words),
            CONFIG_ERROR,
            "{words:x?}"
        );
    }
    assert_eq!(value_of(&point(text(1, Encoding::Gb18030), Order::Abcd), &[0x41B9]), CONFIG_ERROR);
}

#[test]
fn a_text_that_is_not_among_those_it_may_be_is_bad() {
    let words: EnumWords = Arc::from([(0, Arc::from("AUTO")), (1, Arc::from("MAN"))]);
    let mode = Point { words: Some(words), ..point(text(2, Encoding::Utf8), Order::Abcd) };
    assert_eq!(value_of(&mode, &[0x4D41, 0x4E00]), word("MAN"));
    assert_eq!(value_of(&mode, &[0x4D41, 0x4E41]), CONFIG_ERROR);
}

#[test]
fn a_float_that_is_no_number_is_bad() {
    for words in [[0x7FC0, 0], [0x7F80, 0], [0xFF80, 0], [0xFFFF, 0xFFFF]] {
        assert_eq!(value_of(&point(Kind::F32, Order::Abcd), &words), NOT_A_NUMBER);
    }
    assert_eq!(value_of(&point(Kind::F64, Order::Abcd), &[0x7FF0, 0, 0, 0]), NOT_A_NUMBER);
}

#[test]
fn a_value_is_scaled_and_clamped_to_its_range() {
    let scaling = Scaling { scale: 0.1, range: Some((0.0, 100.0)), ..Scaling::IDENTITY };
    let clamped = Point { scaling, ..point(Kind::U16, Order::Abcd) };
    assert_eq!(value_of(&clamped, &[255]), good(25.5));
    assert_eq!(value_of(&clamped, &[1200]), (Value::float(100.0), OVER));
    let scaling = Scaling { out_of_range: OutOfRange::Bad, ..scaling };
    let strict = Point { scaling, ..clamped };
    assert_eq!(value_of(&strict, &[1200]), (None, Quality::Bad(BadReason::DeviceFailure)));
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
    for kind in [Kind::U16, Kind::I16, Kind::LowByte, Kind::Bcd16] {
        let point = Point { words: Some(Arc::clone(&words)), ..point(kind, Order::Abcd) };
        assert_eq!(value_of(&point, &[2]), word("故障"));
        assert_eq!(value_of(&point, &[1]), CONFIG_ERROR);
    }
    let float = Point { words: Some(Arc::clone(&words)), ..point(Kind::F32, Order::Abcd) };
    assert_eq!(value_of(&float, &[0x4000, 0]), word("故障"));
    assert_eq!(value_of(&float, &[0x4020, 0]), CONFIG_ERROR);
    let long = Point { words: Some(words), ..point(Kind::U64, Order::Abcd) };
    assert_eq!(value_of(&long, &[0xFFFF; 4]), CONFIG_ERROR);
}

#[test]
fn bits_are_read_at_their_own_place() {
    let coil = |address, id| Point {
        point: PointId(id),
        table: Table::Coil,
        address,
        ..point(Kind::Bool, Order::Abcd)
    };
    let points = [coil(10, 0), coil(12, 1), coil(19, 2)];
    let read = read(Table::Coil, 10, 10, &[0, 1, 2], &[]);
    let mut bits = [false; 16];
    bits[2] = true;
    bits[9] = true;
    let reports = samples(&read, &points, Reply::Bits(&bits), at(0), &mut Memory::default()).unwrap();
    let expect = [(0, false), (1, true), (2, true)]
        .map(|(id, on)| Report::Sample(Sample::good(PointId(id), Value::Bool(on), at(0))));
    assert_eq!(reports, expect);
}

#[test]
fn a_missing_bit_does_not_become_false() {
    let coil = Point { table: Table::Coil, ..point(Kind::Bool, Order::Abcd) };
    let read = read(Table::Coil, 100, 9, &[0], &[]);
    let refused = samples(&read, &[coil], Reply::Bits(&[true; 8]), at(0), &mut Memory::default());
    assert_eq!(refused, Err(WrongLength { asked: 9, came: 8 }));
}

#[test]
fn a_reply_of_the_other_sort_is_refused() {
    let register = point(Kind::U16, Order::Abcd);
    let coil = Point { table: Table::Coil, ..register.clone() };
    let memory = &mut Memory::default();
    let bits = Reply::Bits(&[true; 8]);
    assert!(samples(&own(&register), std::slice::from_ref(&register), bits, at(0), memory).is_err());
    let words = Reply::Registers(&[1]);
    assert!(samples(&own(&coil), std::slice::from_ref(&coil), words, at(0), memory).is_err());
}

fn register(address: u16) -> Register {
    Register {
        table: Table::Holding,
        address,
        bit: None,
        order: Order::Abcd,
        every: NonZeroU32::MIN,
        good_for: Duration::from_secs(5),
    }
}

/// A concentration in register 100 with its decimals in 117.
fn toxic_detector() -> Point {
    let beside = Beside { decimals: Some(register(117)), ..Beside::default() };
    Point { beside: Some(Box::new(beside)), ..point(Kind::U16, Order::Abcd) }
}

#[test]
fn decimals_of_the_same_reply_scale_its_value() {
    let points = [toxic_detector()];
    let read = read(Table::Holding, 100, 18, &[0], &[(0, Part::Decimals)]);
    let mut words = [0; 18];
    words[0] = 1234;
    for (decimals, expect) in [(0, int(1234)), (1, good(123.4)), (2, good(12.34)), (3, good(1.234))] {
        words[17] = decimals;
        assert_eq!(readings(&read, &points, &words, at(0), &mut Memory::default()), [expect]);
    }
    for nonsense in [10, 255, u16::MAX] {
        words[17] = nonsense;
        assert_eq!(readings(&read, &points, &words, at(0), &mut Memory::default()), [CONFIG_ERROR]);
    }
}

#[test]
fn decimals_of_another_reply_hold_until_they_are_old_or_refused() {
    let points = [toxic_detector()];
    let value = read(Table::Holding, 100, 1, &[0], &[]);
    let decimals = read(Table::Holding, 117, 1, &[], &[(0, Part::Decimals)]);
    let memory = &mut Memory::default();
    let bad = |reason| [(None, Quality::Bad(reason))];
    assert_eq!(readings(&value, &points, &[50], at(0), memory), bad(BadReason::NeverRead));
    assert_eq!(readings(&decimals, &points, &[1], at(100), memory), []);
    assert_eq!(readings(&value, &points, &[50], at(100), memory), [good(5.0)]);
    assert_eq!(readings(&value, &points, &[51], at(5_100), memory), [good(5.1)]);
    assert_eq!(readings(&value, &points, &[51], at(5_101), memory), bad(BadReason::Stale));
    readings(&decimals, &points, &[2], at(5_200), memory);
    assert_eq!(readings(&value, &points, &[51], at(5_200), memory), [good(0.51)]);
    memory.failed(&decimals, BadReason::RefusedAddress);
    assert_eq!(readings(&value, &points, &[51], at(5_300), memory), bad(BadReason::RefusedAddress));
}

#[test]
fn decimals_come_before_scale_and_offset() {
    let scaling = Scaling { scale: 2.0, offset: 1.0, ..Scaling::IDENTITY };
    let points = [Point { scaling, ..toxic_detector() }];
    let read = read(Table::Holding, 100, 18, &[0], &[(0, Part::Decimals)]);
    let mut words = [0; 18];
    words[0] = 25;
    words[17] = 1;
    assert_eq!(readings(&read, &points, &words, at(0), &mut Memory::default()), [good(6.0)]);
}

fn state(meaning: Meaning, word: &str) -> State {
    State { meaning, word: Arc::from(word) }
}

/// Detector `i` of a JB-TB-AX100: status in 0x0101 + 2i, concentration in tenths of %LEL in 0x0102 + 2i.
/// The manual counts bits from the most significant: [3] comm fault is bit 12 here.
fn ax100(detector: u16) -> Point {
    let bits = [
        (12, Meaning::CommFault, "通讯故障"),
        (11, Meaning::Fault, "故障"),
        (9, Meaning::Alarm2, "二级报警"),
        (8, Meaning::Alarm1, "一级报警"),
        (7, Meaning::Masked, "屏蔽"),
    ];
    let bits = bits.map(|(place, meaning, word)| (Bit::new(place).unwrap(), state(meaning, word)));
    let map = Arc::new(StatusMap::Bits { bits: bits.to_vec(), none: Arc::from("正常") });
    let beside = Beside { status: Some((register(0x0101 + 2 * detector), map)), ..Beside::default() };
    let scaling = Scaling { scale: 0.1, range: Some((0.0, 100.0)), ..Scaling::IDENTITY };
    let table = Table::Holding;
    let at = Point::new(PointId(u32::from(detector)), table, 0x0102 + 2 * detector, Kind::U16);
    Point { scaling, beside: Some(Box::new(beside)), ..at }
}

#[test]
fn the_detectors_of_an_ax100_are_read_with_their_status() {
    let points: Vec<Point> = (0..7).map(ax100).collect();
    let parts: Vec<(usize, Part)> = (0..7).map(|place| (place, Part::Status)).collect();
    let read = read(Table::Holding, 0x0101, 14, &[0, 1, 2, 3, 4, 5, 6], &parts);
    let words = [
        0,
        123, // normal
        1 << 12,
        0, // comm fault
        1 << 11,
        999, // fault
        1 << 9,
        512, // second level
        1 << 8,
        251, // first level
        1 << 7,
        10, // masked
        1 << 15,
        5, // a bit that the manual does not name
    ];
    let bad = |reason| (None, Quality::Bad(reason));
    let expect = [
        good(12.3),
        bad(BadReason::CommFailure),
        bad(BadReason::DeviceFailure),
        good(51.2),
        good(25.1),
        bad(BadReason::Masked),
        good(0.5),
    ];
    assert_eq!(readings(&read, &points, &words, at(0), &mut Memory::default()), expect);
}

/// YA-K300-S: 0 concentration in tenths of %LEL, 1 device 0/1/2 normal/alarm/fault.
fn ya_k300() -> Point {
    let codes = vec![
        (0, state(Meaning::Normal, "normal")),
        (1, state(Meaning::Alarm1, "alarm")),
        (2, state(Meaning::Fault, "fault")),
    ];
    let beside =
        Beside { status: Some((register(1), Arc::new(StatusMap::Codes(codes)))), ..Beside::default() };
    let scaling = Scaling { scale: 0.1, ..Scaling::IDENTITY };
    let value = Point::new(PointId(0), Table::Holding, 0, Kind::U16);
    Point { scaling, beside: Some(Box::new(beside)), ..value }
}

#[test]
fn the_value_of_a_ya_k300_stands_as_its_state_says() {
    let points = [ya_k300()];
    let read = read(Table::Holding, 0, 2, &[0], &[(0, Part::Status)]);
    let said = |status| readings(&read, &points, &[257, status], at(0), &mut Memory::default()).remove(0);
    assert_eq!(said(0), good(25.7));
    assert_eq!(said(1), good(25.7));
    assert_eq!(said(2), (None, Quality::Bad(BadReason::DeviceFailure)));
    assert_eq!(said(3), CONFIG_ERROR);
}

#[test]
fn a_value_without_its_status_is_bad() {
    let points = [ya_k300()];
    let value = read(Table::Holding, 0, 1, &[0], &[]);
    let status = read(Table::Holding, 1, 1, &[], &[(0, Part::Status)]);
    let memory = &mut Memory::default();
    let bad = |reason| [(None, Quality::Bad(reason))];
    assert_eq!(readings(&value, &points, &[257], at(0), memory), bad(BadReason::NeverRead));
    readings(&status, &points, &[0], at(0), memory);
    assert_eq!(readings(&value, &points, &[257], at(1_000), memory), [good(25.7)]);
    memory.failed(&status, BadReason::CommFailure);
    assert_eq!(readings(&value, &points, &[257], at(2_000), memory), bad(BadReason::CommFailure));
    readings(&status, &points, &[0], at(3_000), memory);
    assert_eq!(readings(&value, &points, &[257], at(9_000), memory), bad(BadReason::Stale));
}

#[test]
fn a_status_beyond_the_range_holds_the_value_to_its_end() {
    let codes = vec![
        (0, state(Meaning::Normal, "normal")),
        (1, state(Meaning::UnderRange, "under")),
        (2, state(Meaning::OverRange, "over")),
    ];
    let map = Arc::new(StatusMap::Codes(codes));
    let beside = Some(Box::new(Beside { status: Some((register(101), map)), ..Beside::default() }));
    let plain = Point { beside, ..point(Kind::U16, Order::Abcd) };
    let scaling = Scaling { range: Some((0.0, 100.0)), ..Scaling::IDENTITY };
    let ranged = Point { scaling, ..plain.clone() };
    let strict = Point { scaling: Scaling { out_of_range: OutOfRange::Bad, ..scaling }, ..plain.clone() };
    let read = read(Table::Holding, 100, 2, &[0], &[(0, Part::Status)]);
    let said = |point: &Point, status| {
        readings(&read, std::slice::from_ref(point), &[55, status], at(0), &mut Memory::default()).remove(0)
    };
    assert_eq!(said(&ranged, 0), int(55));
    assert_eq!(said(&ranged, 1), (Value::float(0.0), UNDER));
    assert_eq!(said(&ranged, 2), (Value::float(100.0), OVER));
    assert_eq!(said(&plain, 2), (Some(Value::Int(55)), OVER));
    assert_eq!(said(&strict, 2), (None, Quality::Bad(BadReason::DeviceFailure)));
}

#[test]
fn a_status_may_be_one_bit_of_a_register_or_of_a_table_of_bits() {
    let map = |()| {
        Arc::new(StatusMap::Codes(vec![
            (0, state(Meaning::Normal, "ok")),
            (1, state(Meaning::Fault, "fault")),
        ]))
    };
    let with = |status: Register| {
        let beside = Beside { status: Some((status, map(()))), ..Beside::default() };
        Point { beside: Some(Box::new(beside)), ..point(Kind::U16, Order::Abcd) }
    };
    let failed = [(None, Quality::Bad(BadReason::DeviceFailure))];
    let points = [with(Register { bit: Some(bit(3)), ..register(101) })];
    let both = read(Table::Holding, 100, 2, &[0], &[(0, Part::Status)]);
    assert_eq!(readings(&both, &points, &[7, 0xFFF7], at(0), &mut Memory::default()), [int(7)]);
    assert_eq!(readings(&both, &points, &[7, 0x0008], at(0), &mut Memory::default()), failed);

    let points = [with(Register { table: Table::Discrete, ..register(4) })];
    let (bits, value) =
        (read(Table::Discrete, 4, 1, &[], &[(0, Part::Status)]), read(Table::Holding, 100, 1, &[0], &[]));
    for (on, expect) in [(false, [int(7)]), (true, failed)] {
        let memory = &mut Memory::default();
        let mut reply = [false; 8];
        reply[0] = on;
        assert_eq!(samples(&bits, &points, Reply::Bits(&reply), at(0), memory), Ok(vec![]));
        assert_eq!(readings(&value, &points, &[7], at(0), memory), expect);
    }
}

#[test]
fn a_status_that_is_a_point_itself_reads_as_its_word() {
    let Some((_, map)) = ax100(0).beside.unwrap().status else { panic!("it has a status") };
    let status = Point { state: Some(map), ..point(Kind::U16, Order::Abcd) };
    assert_eq!(value_of(&status, &[0]), word("正常"));
    assert_eq!(value_of(&status, &[1 << 8]), word("一级报警"));
    assert_eq!(value_of(&status, &[1 << 9 | 1 << 8 | 1 << 11]), word("二级报警"));
    let Some((_, map)) = ya_k300().beside.unwrap().status else { panic!("it has a status") };
    let status = Point { state: Some(map), ..status };
    assert_eq!(value_of(&status, &[2]), word("fault"));
    assert_eq!(value_of(&status, &[3]), CONFIG_ERROR);
}

#[test]
fn a_current_loop_fails_once_it_has_lasted() {
    let scaling = Scaling { scale: 0.001, range: Some((0.0, 200.0)), ..Scaling::IDENTITY };
    let points = [Point { scaling, current_loop: true, ..point(Kind::U16, Order::Abcd) }];
    let read = own(&points[0]);
    let memory = &mut Memory::default();
    let mut said = |millis, microamps| readings(&read, &points, &[microamps], at(millis), memory).remove(0);
    assert_eq!(said(0, 12_000), good(100.0));
    assert_eq!(said(1_000, 20_700), (Value::float(200.0), OVER));
    assert_eq!(said(2_000, 3_700), (Value::float(0.0), UNDER));
    assert_eq!(said(3_000, 0), (Value::float(0.0), UNDER));
    assert_eq!(said(6_999, 0), (Value::float(0.0), UNDER));
    assert_eq!(said(7_000, 0), (None, Quality::Bad(BadReason::DeviceFailure)));
    assert_eq!(said(8_000, 4_000), good(0.0));
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Bool),
        (0_u8..16).prop_map(|place| Kind::Bit(bit(place))),
        Just(Kind::HighByte),
        Just(Kind::LowByte),
        Just(Kind::U16),
        Just(Kind::I16),
        Just(Kind::U32),
        Just(Kind::I32),
        Just(Kind::U64),
        Just(Kind::I64),
        Just(Kind::F32),
        Just(Kind::F64),
        Just(Kind::Bcd16),
        Just(Kind::Bcd32),
        (1_u8..=125).prop_map(|registers| text(registers, Encoding::Utf8)),
        (1_u8..=125).prop_map(|registers| text(registers, Encoding::Gb18030)),
    ]
}

proptest! {
    #[test]
    fn a_reply_of_another_length_never_becomes_a_value(
        count in 1_u16..=125,
        kind in any_kind(),
        words in prop::collection::vec(any::<u16>(), 0..260),
    ) {
        let first = point(kind, Order::Abcd);
        let read = read(Table::Holding, 100, count.max(first.width()), &[0], &[(0, Part::Status)]);
        let result =
            samples(&read, &[first], Reply::Registers(&words), Now::default(), &mut Memory::default());
        prop_assert_eq!(result.is_ok(), words.len() == usize::from(read.count));
    }

    #[test]
    fn a_value_is_there_exactly_where_the_quality_is_not_bad(
        kind in any_kind(),
        order in prop::sample::select(ALL_ORDERS.to_vec()),
        words in prop::collection::vec(any::<u16>(), 125),
    ) {
        let point = point(kind, order);
        let (value, quality) = value_of(&point, &words[..usize::from(point.width())]);
        prop_assert_eq!(value.is_none(), quality.is_bad());
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

    /// The order's name is the slow model: its letters say which byte of the value stands where.
    #[test]
    fn the_name_of_an_order_says_where_each_byte_stands(
        number: u64,
        order in prop::sample::select(ALL_ORDERS.to_vec()),
    ) {
        let name = match order {
            Order::Abcd => "ABCDEFGH",
            Order::Cdab => "GHEFCDAB",
            Order::Badc => "BADCFEHG",
            Order::Dcba => "HGFEDCBA",
            Order::Efghabcd => "EFGHABCD",
            Order::Cdabghef => "CDABGHEF",
            Order::Fehgbadc => "FEHGBADC",
            Order::Dcbahgfe => "DCBAHGFE",
        };
        let bytes = number.to_be_bytes();
        let wire: Vec<u8> = name.bytes().map(|letter| bytes[usize::from(letter - b'A')]).collect();
        let words: Vec<u16> = wire.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        let (value, _) = value_of(&point(Kind::I64, order), &words);
        prop_assert_eq!(value, Some(Value::Int(i64::from_be_bytes(bytes))));
    }
}
