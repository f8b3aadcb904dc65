//! From what the server says of an item to a value, its quality and the source's time. Pure.
//!
//! The status decides first: what is bad has no value, whatever stands beside it. What the server has must
//! be what the configuration says of the point, or be readable as that without a guess; all else is bad,
//! with words for the person who wrote the row.

use std::sync::Arc;

use opcua::types::{DataValue, DateTime, StatusCode, Variant};
use riskgate_point::{BadReason, Quality, UncertainReason, Value, Wall};

use super::{Kind, Point};
use crate::scaling::{EnumWords, Scaling, word};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) value: Option<Value>,
    pub(super) quality: Quality,
    pub(super) source_time: Option<Wall>,
    /// Why a value that came is none of this point's.
    pub(super) unfit: Option<&'static str>,
}

/// A value with its quality, or why it is none.
type Fit = Result<(Option<Value>, Quality), &'static str>;

/// `offset_ns` is what the library took off each time that it decoded, to make up for a server's clock
/// that is off. It leaves the source's time of a value alone, which is evidence; from a value that is a time
/// it is put back.
pub(super) fn reading(from: &DataValue, point: &Point, offset_ns: i64) -> Reading {
    let source_time = from.source_timestamp.as_ref().and_then(|time| wall(time, 0));
    let said = quality(from.status.unwrap_or(StatusCode::Good));
    if said.is_bad() {
        return Reading { value: None, quality: said, source_time, unfit: None };
    }
    match value(from.value.as_ref(), point, offset_ns) {
        // That the value was clamped says more than that the source doubts it.
        Ok((value, read)) => {
            let quality = if read.is_good() { said } else { read };
            Reading { value, quality, source_time, unfit: None }
        }
        Err(why) => {
            let quality = Quality::Bad(BadReason::ConfigError);
            Reading { value: None, quality, source_time, unfit: Some(why) }
        }
    }
}

/// What came, for the log: its type, and how much of it.
pub(super) fn shape(value: Option<&Variant>) -> String {
    match value {
        None => "no value".to_owned(),
        Some(Variant::Array(array)) => {
            let dimensions = array.dimensions.as_ref().map(|sizes| format!(", dimensions {sizes:?}"));
            format!("{} of {:?}{}", array.values.len(), array.value_type, dimensions.unwrap_or_default())
        }
        Some(Variant::ExtensionObject(object)) => format!("a structure, {}", object.binary_type_id()),
        Some(other) => format!("'{other}'"),
    }
}

/// The time that a field of an event holds.
pub(super) fn time(field: &Variant, offset_ns: i64) -> Option<Wall> {
    if let Variant::DateTime(time) = field { wall(time, offset_ns) } else { None }
}

/// `None`: no time was ever set. What was taken off is put back to the nanosecond: rounded apart from the
/// rest, the same time would come out as another millisecond on another connection.
pub(super) fn wall(time: &DateTime, offset_ns: i64) -> Option<Wall> {
    if time.is_null() {
        return None;
    }
    let time = time.as_chrono();
    let nanos = i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos());
    i64::try_from((nanos + i128::from(offset_ns)).div_euclid(1_000_000)).ok().map(Wall)
}

fn quality(status: StatusCode) -> Quality {
    if status.is_bad() {
        Quality::Bad(reason(status).unwrap_or(BadReason::DeviceFailure))
    } else if status.is_uncertain() {
        Quality::Uncertain(UncertainReason::Source)
    } else if has_overflowed(status) {
        Quality::Uncertain(UncertainReason::Overflow)
    } else {
        Quality::Good
    }
}

/// The Overflow bit (0x80): the item's queue lost values. It is to stand beside the mark of a data value
/// (0x400); some servers leave that out, and nothing else could be meant.
fn has_overflowed(status: StatusCode) -> bool {
    const OVERFLOW: u32 = 0x80;
    const RESERVED: u32 = 0x800;
    status.bits() & (OVERFLOW | RESERVED) == OVERFLOW
}

/// The code alone, without the bits that inform about structure, limits and queues.
pub(super) fn code(status: StatusCode) -> StatusCode {
    StatusCode::from(status.bits() & 0xFFFF_0000)
}

/// Why there is no value, where the status code says it.
fn reason(status: StatusCode) -> Option<BadReason> {
    Some(match code(status) {
        StatusCode::BadNodeIdUnknown
        | StatusCode::BadNodeIdInvalid
        | StatusCode::BadAttributeIdInvalid
        | StatusCode::BadIndexRangeInvalid
        | StatusCode::BadIndexRangeNoData
        | StatusCode::BadIndexRangeDataMismatch
        | StatusCode::BadNotReadable
        | StatusCode::BadUserAccessDenied => BadReason::RefusedAddress,
        StatusCode::BadNotConnected
        | StatusCode::BadCommunicationError
        | StatusCode::BadNoCommunication
        | StatusCode::BadServerNotConnected
        | StatusCode::BadConnectionClosed
        | StatusCode::BadTimeout => BadReason::CommFailure,
        StatusCode::BadOutOfService => BadReason::Masked,
        StatusCode::BadConfigurationError => BadReason::ConfigError,
        StatusCode::BadWaitingForInitialData => BadReason::NeverRead,
        StatusCode::BadSensorFailure | StatusCode::BadDeviceFailure => BadReason::DeviceFailure,
        _ => return None,
    })
}

/// Why the server monitors no such item: mostly it does not know or does not give out the address.
pub(super) fn refusal(status: StatusCode) -> BadReason {
    reason(status).unwrap_or(BadReason::RefusedAddress)
}

fn value(variant: Option<&Variant>, point: &Point, offset_ns: i64) -> Fit {
    let Some(variant) = variant else { return Ok(NEVER_READ) };
    match (variant, &point.element) {
        (Variant::Empty, _) => Ok(NEVER_READ),
        (Variant::Array(array), Some(_)) => match array.values.as_slice() {
            [one] => scalar(one, point, offset_ns),
            [] => Err("no element where one was asked for"),
            _ => Err("several elements where one was asked for: the server does not give out single ones"),
        },
        (Variant::Array(_), None) => {
            Err("an array; write the element to read in the column element 数组下标")
        }
        (_, Some(_)) => Err("no array; leave the column element 数组下标 empty"),
        (scalar_of, None) => scalar(scalar_of, point, offset_ns),
    }
}

fn scalar(variant: &Variant, point: &Point, offset_ns: i64) -> Fit {
    // An array of variants holds each as one.
    if let Variant::Variant(inner) = variant {
        if matches!(**inner, Variant::Variant(_)) {
            return Err("a variant within a variant");
        }
        return scalar(inner, point, offset_ns);
    }
    match (&point.words, point.kind) {
        (Some(words), _) => enumerated(variant, words),
        (None, Kind::Number) => number(variant, &point.scaling, offset_ns),
        (None, Kind::Bool) => boolean(variant),
        (None, Kind::Text) => text(variant, offset_ns),
    }
}

/// A good status beside no value: the server has the node and has not read it yet.
const NEVER_READ: (Option<Value>, Quality) = (None, Quality::Bad(BadReason::NeverRead));
const NOT_A_NUMBER: (Option<Value>, Quality) = (None, Quality::Bad(BadReason::NotANumber));
const STRUCTURE: &str = "a structure; a point is one quantity: name the node of one of its fields";
const BYTES: &str = "bytes; a point is one quantity";

/// What is a whole number, to its last digit. `Err`: one beyond the largest that we hold.
fn whole(variant: &Variant) -> Option<Result<i64, u64>> {
    Some(Ok(match variant {
        Variant::Boolean(on) => i64::from(*on),
        Variant::SByte(int) => i64::from(*int),
        Variant::Byte(int) => i64::from(*int),
        Variant::Int16(int) => i64::from(*int),
        Variant::UInt16(int) => i64::from(*int),
        Variant::Int32(int) => i64::from(*int),
        Variant::UInt32(int) => i64::from(*int),
        Variant::Int64(int) => *int,
        Variant::UInt64(int) => return Some(i64::try_from(*int).map_err(|_| *int)),
        Variant::StatusCode(status) => i64::from(status.bits()),
        Variant::Empty
        | Variant::Float(_)
        | Variant::Double(_)
        | Variant::String(_)
        | Variant::LocalizedText(_)
        | Variant::DateTime(_)
        | Variant::Guid(_)
        | Variant::ByteString(_)
        | Variant::XmlElement(_)
        | Variant::QualifiedName(_)
        | Variant::NodeId(_)
        | Variant::ExpandedNodeId(_)
        | Variant::ExtensionObject(_)
        | Variant::Variant(_)
        | Variant::DataValue(_)
        | Variant::DiagnosticInfo(_)
        | Variant::Array(_) => return None,
    }))
}

fn number(variant: &Variant, scaling: &Scaling, offset_ns: i64) -> Fit {
    match whole(variant) {
        Some(Ok(int)) => return Ok(integer(int, scaling)),
        // The next float would be another number. Mostly it is all ones: "invalid" in many controllers.
        Some(Err(_)) if *scaling == Scaling::IDENTITY => return Ok(NOT_A_NUMBER),
        Some(Err(int)) => return Ok(scaling.apply(approximate_beyond(int))),
        None => {}
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's types, of which two are floats")]
    match variant {
        Variant::Float(float) => Ok(scaling.apply(f64::from(*float))),
        Variant::Double(float) => Ok(scaling.apply(*float)),
        Variant::DateTime(time) => Ok(match wall(time, offset_ns) {
            Some(time) => scaling.apply(approximate(time.0) / 1000.0),
            None => NEVER_READ,
        }),
        Variant::String(_) | Variant::LocalizedText(_) => {
            Err("a text where a number is configured; write text in the column type 数据类型")
        }
        Variant::ExtensionObject(_) => Err(STRUCTURE),
        Variant::ByteString(_) => Err(BYTES),
        _ => Err("no number where a number is configured"),
    }
}

fn boolean(variant: &Variant) -> Fit {
    match (variant, whole(variant)) {
        (Variant::StatusCode(_), _) => Err("a status where a bool is configured"),
        (_, Some(Ok(0))) => Ok((Some(Value::Bool(false)), Quality::Good)),
        (_, Some(Ok(1))) => Ok((Some(Value::Bool(true)), Quality::Good)),
        (_, Some(_)) => Err("a number other than 0 and 1 where a bool is configured"),
        (_, None) => Err("no bool where a bool is configured"),
    }
}

fn text(variant: &Variant, offset_ns: i64) -> Fit {
    let good = |text: &str| Ok((Some(Value::text(text)), Quality::Good));
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's types, of which few are texts")]
    match variant {
        Variant::String(text) if text.is_null() => Ok(NEVER_READ),
        Variant::String(text) => good(text.as_ref()),
        Variant::LocalizedText(localized) => good(localized.text.as_ref()),
        Variant::QualifiedName(name) => good(name.name.as_ref()),
        Variant::DateTime(time) => match wall(time, offset_ns).map(|time| time.0) {
            Some(ms) => match jiff::Timestamp::from_millisecond(ms) {
                Ok(time) => good(&time.to_string()),
                Err(_) => Ok(NOT_A_NUMBER),
            },
            None => Ok(NEVER_READ),
        },
        Variant::StatusCode(status) => good(&status.to_string()),
        Variant::Guid(guid) => good(&guid.to_string()),
        Variant::NodeId(node) => good(&node.to_string()),
        Variant::ExpandedNodeId(node) => good(&node.to_string()),
        Variant::ExtensionObject(_) => Err(STRUCTURE),
        Variant::ByteString(_) => Err(BYTES),
        _ => Err("no text where a text is configured"),
    }
}

const NO_WORD: &str = "a value for which the column words 枚举 has no word";

/// The words of an enumeration belong to whole numbers, which may come as floats; 1.5 is none.
fn enumerated(variant: &Variant, words: &EnumWords) -> Fit {
    let of_code = |code: i64| match word(words, code) {
        (Some(word), quality) => Ok((Some(word), quality)),
        (None, _) => Err(NO_WORD),
    };
    let of_float = |float: f64| {
        let code = words.iter().find(|(code, _)| approximate(*code).to_bits() == float.to_bits());
        code.map_or(Err(NO_WORD), |(code, _)| of_code(*code))
    };
    let of_text = |text: &str| match words.iter().find(|(_, word)| &**word == text) {
        Some((_, word)) => Ok((Some(Value::Text(Arc::clone(word))), Quality::Good)),
        None => Err(NO_WORD),
    };
    match whole(variant) {
        Some(Ok(code)) => return of_code(code),
        Some(Err(_)) => return Err(NO_WORD),
        None => {}
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's types, of which few have a word")]
    match variant {
        Variant::Float(float) => of_float(f64::from(*float)),
        Variant::Double(float) => of_float(*float),
        Variant::String(text) => of_text(text.as_ref()),
        Variant::LocalizedText(localized) => of_text(localized.text.as_ref()),
        Variant::ExtensionObject(_) => Err(STRUCTURE),
        _ => Err("nothing that has a word where an enumeration is configured"),
    }
}

/// An integer that nothing is done to stays one, to its last digit.
fn integer(raw: i64, scaling: &Scaling) -> (Option<Value>, Quality) {
    if *scaling == Scaling::IDENTITY {
        (Some(Value::Int(raw)), Quality::Good)
    } else {
        scaling.apply(approximate(raw))
    }
}

#[expect(clippy::cast_precision_loss, reason = "scaling works on floats; 2^53 is beyond any transmitter")]
fn approximate(raw: i64) -> f64 {
    raw as f64
}

#[expect(clippy::cast_precision_loss, reason = "scaling works on floats")]
fn approximate_beyond(raw: u64) -> f64 {
    raw as f64
}

#[cfg(test)]
mod tests {
    use opcua::types::{
        Array, BinaryDecodable, BinaryEncodable, ByteString, ContextOwned, ExtensionObject, Guid,
        LocalizedText, NodeId, Range, UAString, VariantScalarTypeId,
    };
    use proptest::prelude::*;

    use super::super::Element;
    use super::*;

    const UNFIT: Quality = Quality::Bad(BadReason::ConfigError);

    fn data(variant: impl Into<Variant>) -> DataValue {
        DataValue { value: Some(variant.into()), ..DataValue::default() }
    }

    fn as_kind(kind: Kind, variant: impl Into<Variant>) -> (Option<Value>, Quality) {
        let read = reading(&data(variant), &Point::bare(kind), 0);
        (read.value, read.quality)
    }

    fn read(variant: impl Into<Variant>) -> (Option<Value>, Quality) {
        as_kind(Kind::Number, variant)
    }

    fn good(value: Value) -> (Option<Value>, Quality) {
        (Some(value), Quality::Good)
    }

    fn with_status(status: StatusCode) -> Quality {
        let from = DataValue { status: Some(status), ..data(21.5_f64) };
        let reading = reading(&from, &Point::bare(Kind::Number), 0);
        assert_eq!(reading.value.is_none(), reading.quality.is_bad(), "{status}");
        reading.quality
    }

    #[test]
    fn each_class_of_status_is_a_class_of_quality() {
        assert_eq!(with_status(StatusCode::Good), Quality::Good);
        assert_eq!(with_status(StatusCode::GoodLocalOverride), Quality::Good);
        let uncertain = Quality::Uncertain(UncertainReason::Source);
        assert_eq!(with_status(StatusCode::Uncertain), uncertain);
        assert_eq!(with_status(StatusCode::UncertainLastUsableValue), uncertain);
        assert_eq!(with_status(StatusCode::Bad), Quality::Bad(BadReason::DeviceFailure));
    }

    #[test]
    fn a_bad_status_says_why_and_leaves_no_value() {
        for (status, reason) in [
            (StatusCode::BadNodeIdUnknown, BadReason::RefusedAddress),
            (StatusCode::BadNodeIdInvalid, BadReason::RefusedAddress),
            (StatusCode::BadAttributeIdInvalid, BadReason::RefusedAddress),
            (StatusCode::BadIndexRangeNoData, BadReason::RefusedAddress),
            (StatusCode::BadNotConnected, BadReason::CommFailure),
            (StatusCode::BadCommunicationError, BadReason::CommFailure),
            (StatusCode::BadNoCommunication, BadReason::CommFailure),
            (StatusCode::BadTimeout, BadReason::CommFailure),
            (StatusCode::BadSensorFailure, BadReason::DeviceFailure),
            (StatusCode::BadDeviceFailure, BadReason::DeviceFailure),
            (StatusCode::BadOutOfService, BadReason::Masked),
            (StatusCode::BadConfigurationError, BadReason::ConfigError),
            (StatusCode::BadWaitingForInitialData, BadReason::NeverRead),
            (StatusCode::BadInternalError, BadReason::DeviceFailure),
        ] {
            assert_eq!(with_status(status), Quality::Bad(reason), "{status}");
        }
    }

    #[test]
    fn a_code_of_a_later_standard_is_read_by_its_class() {
        assert_eq!(with_status(StatusCode::from(0x8FFF_0000)), Quality::Bad(BadReason::DeviceFailure));
        assert_eq!(with_status(StatusCode::from(0xC000_0000)), Quality::Bad(BadReason::DeviceFailure));
        assert_eq!(with_status(StatusCode::from(0x4FFF_0000)), Quality::Uncertain(UncertainReason::Source));
    }

    #[test]
    fn bits_beside_the_code_do_not_hide_it() {
        let with_bits = StatusCode::from(StatusCode::BadOutOfService.bits() | 0x4480);
        assert_eq!(with_status(with_bits), Quality::Bad(BadReason::Masked));
    }

    #[test]
    fn good_with_the_overflow_bit_is_uncertain() {
        assert_eq!(with_status(StatusCode::from(0x480)), Quality::Uncertain(UncertainReason::Overflow));
        assert_eq!(with_status(StatusCode::from(0x080)), Quality::Uncertain(UncertainReason::Overflow));
        // The information of another kind, which no standard has yet.
        assert_eq!(with_status(StatusCode::from(0x880)), Quality::Good);
        // A limit bit alone says nothing of lost values.
        assert_eq!(with_status(StatusCode::from(0x600)), Quality::Good);
    }

    #[test]
    fn every_integer_type_is_an_integer_to_its_last_digit() {
        for (variant, int) in [
            (Variant::from(-7_i8), -7),
            (Variant::from(7_u8), 7),
            (Variant::from(i16::MIN), i64::from(i16::MIN)),
            (Variant::from(u16::MAX), i64::from(u16::MAX)),
            (Variant::from(i32::MIN), i64::from(i32::MIN)),
            (Variant::from(u32::MAX), i64::from(u32::MAX)),
            (Variant::from(i64::MAX), i64::MAX),
            (Variant::from(9_007_199_254_740_993_u64), 9_007_199_254_740_993),
            (Variant::from(true), 1),
            (Variant::from(StatusCode::BadTimeout), 0x800A_0000),
        ] {
            assert_eq!(read(variant), good(Value::Int(int)));
        }
    }

    #[test]
    fn an_unsigned_beyond_the_largest_integer_is_no_value_near_it() {
        assert_eq!(read(u64::MAX), NOT_A_NUMBER);
        assert_eq!(read(1_u64 << 63), NOT_A_NUMBER);
        let mut scaled = Point::bare(Kind::Number);
        scaled.scaling.scale = 1e-9;
        let read = reading(&data(u64::MAX), &scaled, 0);
        assert_eq!(read.value, Value::float(18_446_744_073.709_553), "what is scaled is a float anyway");
    }

    #[test]
    fn floats_are_numbers_and_what_is_no_number_is_bad() {
        assert_eq!(read(0.5_f32), (Value::float(0.5), Quality::Good));
        assert_eq!(read(21.25_f64), (Value::float(21.25), Quality::Good));
        assert_eq!(read(f64::NAN), NOT_A_NUMBER);
        assert_eq!(read(f32::INFINITY), NOT_A_NUMBER);
    }

    #[test]
    fn a_time_is_seconds_for_a_number_and_iso_8601_for_a_text() {
        let time = DateTime::parse_from_rfc3339("2026-03-01T08:00:00.250Z").expect("a time");
        assert_eq!(read(time), (Value::float(1_772_352_000.25), Quality::Good));
        assert_eq!(as_kind(Kind::Text, time), good(Value::text("2026-03-01T08:00:00.25Z")));
        assert_eq!(read(DateTime::null()), NEVER_READ);
        assert_eq!(as_kind(Kind::Text, DateTime::null()), NEVER_READ);
        let behind = reading(&data(time), &Point::bare(Kind::Number), 3_000_000_000);
        assert_eq!(behind.value, Value::float(1_772_352_003.25), "as the server said it");
    }

    #[test]
    fn a_bool_is_a_boolean_or_a_plain_0_or_1() {
        let bool = |variant: Variant| as_kind(Kind::Bool, variant);
        for variant in [Variant::from(true), Variant::from(1_u8), Variant::from(1_i64)] {
            assert_eq!(bool(variant), good(Value::Bool(true)));
        }
        assert_eq!(bool(Variant::from(0_u16)), good(Value::Bool(false)));
        for variant in [
            Variant::from(2_u8),
            Variant::from(-1_i16),
            Variant::from(u64::MAX),
            Variant::from(1.0_f64),
            Variant::from("1"),
            Variant::from(StatusCode::Good),
        ] {
            assert_eq!(bool(variant), (None, UNFIT));
        }
    }

    #[test]
    fn a_scaled_integer_is_a_float_held_to_the_range() {
        let mut point = Point::bare(Kind::Number);
        point.scaling = Scaling { scale: 0.1, offset: -10.0, range: Some((0.0, 100.0)), ..Scaling::IDENTITY };
        let scaled = |raw: u16| reading(&data(raw), &point, 0);
        assert_eq!(scaled(600).value, Value::float(50.0));
        assert_eq!(scaled(9000).value, Value::float(100.0));
        assert_eq!(scaled(9000).quality, Quality::Uncertain(UncertainReason::OverRange));
    }

    #[test]
    fn a_clamped_value_says_so_though_the_source_doubts_it_too() {
        let mut point = Point::bare(Kind::Number);
        point.scaling.range = Some((0.0, 100.0));
        let reading =
            reading(&DataValue { status: Some(StatusCode::Uncertain), ..data(120.0_f64) }, &point, 0);
        assert_eq!(reading.value, Value::float(100.0));
        assert_eq!(reading.quality, Quality::Uncertain(UncertainReason::OverRange));
    }

    #[test]
    fn words_are_read_from_whole_numbers_booleans_and_from_themselves() {
        let mut point = Point::bare(Kind::Number);
        point.words = Some(Arc::from([(0, Arc::from("停止")), (1, Arc::from("运行"))]));
        for variant in [
            Variant::from(1_i32),
            Variant::from(1_u64),
            Variant::from(1.0_f64),
            Variant::from(true),
            Variant::from("运行"),
        ] {
            let read = reading(&data(variant.clone()), &point, 0);
            assert_eq!((read.value, read.quality), good(Value::text("运行")), "{variant:?}");
        }
        for variant in
            [Variant::from(7_u8), Variant::from(u64::MAX), Variant::from(0.5_f64), Variant::from("x")]
        {
            let read = reading(&data(variant.clone()), &point, 0);
            assert_eq!((read.quality, read.unfit), (UNFIT, Some(NO_WORD)), "{variant:?}");
        }
    }

    #[test]
    fn texts_are_texts_and_never_numbers() {
        let text = |variant: Variant| as_kind(Kind::Text, variant);
        assert_eq!(text(Variant::from("阀门开")), good(Value::text("阀门开")));
        assert_eq!(text(Variant::from(LocalizedText::new("zh", "开"))), good(Value::text("开")));
        assert_eq!(text(Variant::from(StatusCode::BadTimeout)), good(Value::text("BadTimeout")));
        assert_eq!(text(Variant::from(NodeId::new(2, "T"))), good(Value::text("ns=2;s=T")));
        let guid = Guid::null();
        assert_eq!(text(Variant::from(guid.clone())), good(Value::text(&guid.to_string())));
        assert_eq!(text(Variant::from(UAString::null())), NEVER_READ);
        assert_eq!(text(Variant::from(12_i32)), (None, UNFIT));
        assert_eq!(read("12"), (None, UNFIT), "no number is taken out of a text");
    }

    #[test]
    fn an_array_is_read_by_the_element_and_by_nothing_less() {
        let array = |numbers: &[f64]| {
            let values: Vec<Variant> = numbers.iter().map(|number| Variant::from(*number)).collect();
            data(Array::new(VariantScalarTypeId::Double, values).expect("an array"))
        };
        let whole = Point::bare(Kind::Number);
        let mut third = Point::bare(Kind::Number);
        third.element = Element::parse("3");
        assert_eq!(reading(&array(&[7.5]), &third, 0).value, Value::float(7.5));
        for (from, point) in [
            (array(&[7.5]), &whole),
            (array(&[1.0, 2.0, 3.0, 4.0]), &whole),
            // Servers that do not know index ranges give the whole array: which element came is a guess.
            (array(&[1.0, 2.0, 3.0, 4.0]), &third),
            (array(&[]), &third),
            (data(7.5_f64), &third),
        ] {
            let read = reading(&from, point, 0);
            assert!(read.value.is_none() && read.quality == UNFIT && read.unfit.is_some(), "{read:?}");
        }
    }

    #[test]
    fn a_structure_is_bad_with_words() {
        let structure = ExtensionObject::from_message(Range { low: 0.0, high: 1.0 });
        for kind in [Kind::Number, Kind::Text] {
            let read = reading(&data(structure.clone()), &Point::bare(kind), 0);
            assert_eq!((read.quality, read.unfit), (UNFIT, Some(STRUCTURE)));
        }
        assert_eq!(reading(&data(ByteString::null()), &Point::bare(Kind::Text), 0).unfit, Some(BYTES));
    }

    #[test]
    fn no_value_beside_a_good_status_is_never_read() {
        assert_eq!(read(Variant::Empty), NEVER_READ);
        let nothing = reading(&DataValue::default(), &Point::bare(Kind::Number), 0);
        assert_eq!(nothing.quality, Quality::Bad(BadReason::NeverRead));
    }

    #[test]
    fn times_are_the_sources_own_even_where_the_clock_of_the_server_is_off() {
        let time = |text| DateTime::parse_from_rfc3339(text).expect("a time");
        let source = time("2026-03-01T08:00:00.250Z");
        let from = DataValue { source_timestamp: Some(source), ..data(source) };
        let mut bytes = Vec::new();
        from.encode(&mut bytes, &ContextOwned::default().context()).expect("it encodes");
        for theirs in ["2026-03-01T08:00:00Z", "2026-03-01T09:00:00.0004Z", "2026-03-01T07:59:58.9996Z"] {
            let offset = time(theirs).as_chrono() - time("2026-03-01T08:00:00Z").as_chrono();
            let mut context = ContextOwned::default();
            context.options_mut().client_offset = offset;
            let mut stream = std::io::Cursor::new(&bytes);
            let came = DataValue::decode(&mut stream, &context.context()).expect("it decodes");
            let offset_ns = offset.num_nanoseconds().expect("short");
            let read = reading(&came, &Point::bare(Kind::Number), offset_ns);
            assert_eq!(read.source_time, Some(Wall(1_772_352_000_250)), "{theirs}");
            assert_eq!(read.value, Value::float(1_772_352_000.25), "{theirs}");
        }
        let none = DataValue { source_timestamp: Some(DateTime::null()), ..from };
        assert_eq!(reading(&none, &Point::bare(Kind::Number), 0).source_time, None);
    }

    #[test]
    fn what_the_server_does_not_monitor_is_a_refused_address_unless_it_says_better() {
        assert_eq!(refusal(StatusCode::BadNodeIdUnknown), BadReason::RefusedAddress);
        assert_eq!(refusal(StatusCode::BadTooManyMonitoredItems), BadReason::RefusedAddress);
        assert_eq!(refusal(StatusCode::BadOutOfService), BadReason::Masked);
    }

    fn any_scalar() -> impl Strategy<Value = Variant> {
        prop_oneof![
            Just(Variant::Empty),
            any::<bool>().prop_map(Variant::from),
            any::<i8>().prop_map(Variant::from),
            any::<u8>().prop_map(Variant::from),
            any::<i16>().prop_map(Variant::from),
            any::<u32>().prop_map(Variant::from),
            any::<i64>().prop_map(Variant::from),
            any::<u64>().prop_map(Variant::from),
            any::<f32>().prop_map(Variant::from),
            any::<f64>().prop_map(Variant::from),
            ".{0,8}".prop_map(|text: String| Variant::from(text.as_str())),
            any::<i64>().prop_map(|ticks| Variant::from(DateTime::from(ticks))),
            any::<u32>().prop_map(|bits| Variant::from(StatusCode::from(bits))),
            any::<[u8; 16]>().prop_map(|bytes| Variant::from(Guid::from_bytes(bytes))),
            Just(Variant::from(ExtensionObject::null())),
        ]
    }

    fn any_variant() -> impl Strategy<Value = Variant> {
        let of_variants = |values: Vec<Variant>| {
            let values: Vec<Variant> =
                values.into_iter().map(|value| Variant::Variant(Box::new(value))).collect();
            Variant::from(Array::new(VariantScalarTypeId::Variant, values).expect("all are variants"))
        };
        prop_oneof![
            4 => any_scalar(),
            1 => any_scalar().prop_map(|inner| Variant::Variant(Box::new(inner))),
            1 => proptest::collection::vec(any_scalar(), 0..4).prop_map(of_variants),
        ]
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_finite_value_or_bad_and_never_both(
            variant in any_variant(),
            bits: u32,
            kind in prop_oneof![Just(Kind::Number), Just(Kind::Bool), Just(Kind::Text)],
            element: bool,
            ranged: bool,
            worded: bool,
            offset_ns: i64,
        ) {
            let mut point = Point::bare(kind);
            point.element = element.then(|| Element::parse("0")).flatten();
            point.scaling.range = ranged.then_some((0.0, 100.0));
            point.words = worded.then(|| Arc::from([(1, Arc::from("on"))]));
            let from = DataValue { status: Some(StatusCode::from(bits)), ..data(variant.clone()) };
            let read = reading(&from, &point, offset_ns);
            prop_assert_eq!(read.value.is_none(), read.quality.is_bad());
            prop_assert!(StatusCode::from(bits).is_bad() <= read.quality.is_bad());
            if let Some(value) = &read.value {
                prop_assert_eq!(matches!(value, Value::Text(_)), worded || kind == Kind::Text);
                prop_assert!(worded || kind != Kind::Bool || matches!(value, Value::Bool(_)));
                let number = value.number();
                prop_assert!(!(ranged && kind == Kind::Number && !worded) || number.is_some_and(|n| (0.0..=100.0).contains(&n)));
            }
            prop_assert!(!shape(from.value.as_ref()).is_empty());
        }
    }
}
