//! From what the server says of an item to a value, its quality and the source's time. Pure.
//!
//! The status decides first: what is bad has no value, whatever stands beside it. Arrays and structures
//! are refused as a fault of the configuration: a point is one quantity.

use opcua::types::{DataValue, DateTime, StatusCode, Variant};
use riskgate_point::{BadReason, Quality, UncertainReason, Value, Wall};

use crate::scaling::{EnumWords, Scaling, word};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) value: Option<Value>,
    pub(super) quality: Quality,
    pub(super) source_time: Option<Wall>,
}

/// `offset_ms` is what the library took off each time that it decoded, to make up for a server's clock
/// that is off: source time is evidence, so it is put back.
pub(super) fn reading(
    from: &DataValue,
    scaling: &Scaling,
    words: Option<&EnumWords>,
    offset_ms: i64,
) -> Reading {
    let source_time = from.source_timestamp.as_ref().and_then(|time| wall(time, offset_ms));
    let said = quality(from.status.unwrap_or(StatusCode::Good));
    let (value, quality) = if said.is_bad() {
        (None, said)
    } else {
        let (value, read) = value(from.value.as_ref(), scaling, words);
        // That the value was clamped says more than that the source doubts it.
        (value, if read.is_good() { said } else { read })
    };
    Reading { value, quality, source_time }
}

fn wall(time: &DateTime, offset_ms: i64) -> Option<Wall> {
    (!time.is_null()).then(|| Wall(time.as_chrono().timestamp_millis().saturating_add(offset_ms)))
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

/// The information bits of a data value with Overflow among them (0x480): the item's queue lost values.
fn has_overflowed(status: StatusCode) -> bool {
    const DATA_VALUE_OVERFLOW: u32 = 0x480;
    status.bits() & DATA_VALUE_OVERFLOW == DATA_VALUE_OVERFLOW
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

fn value(
    variant: Option<&Variant>,
    scaling: &Scaling,
    words: Option<&EnumWords>,
) -> (Option<Value>, Quality) {
    match variant {
        // A good status beside no value: the server has the node and has not read it yet.
        None | Some(Variant::Empty) => (None, Quality::Bad(BadReason::NeverRead)),
        Some(Variant::Boolean(on)) => match words {
            Some(words) => word(words, i64::from(*on)),
            None => (Some(Value::Bool(*on)), Quality::Good),
        },
        Some(Variant::SByte(int)) => integer(i64::from(*int), scaling, words),
        Some(Variant::Byte(int)) => integer(i64::from(*int), scaling, words),
        Some(Variant::Int16(int)) => integer(i64::from(*int), scaling, words),
        Some(Variant::UInt16(int)) => integer(i64::from(*int), scaling, words),
        Some(Variant::Int32(int)) => integer(i64::from(*int), scaling, words),
        Some(Variant::UInt32(int)) => integer(i64::from(*int), scaling, words),
        Some(Variant::Int64(int)) => integer(*int, scaling, words),
        Some(Variant::UInt64(int)) => match i64::try_from(*int) {
            Ok(int) => integer(int, scaling, words),
            Err(_) => beyond_i64(*int, scaling, words),
        },
        Some(Variant::Float(float)) => number(f64::from(*float), scaling, words),
        Some(Variant::Double(float)) => number(*float, scaling, words),
        Some(Variant::String(string)) => text(string.as_ref(), scaling, words),
        Some(Variant::LocalizedText(localized)) => text(localized.text.as_ref(), scaling, words),
        Some(
            Variant::DateTime(_)
            | Variant::Guid(_)
            | Variant::StatusCode(_)
            | Variant::ByteString(_)
            | Variant::XmlElement(_)
            | Variant::QualifiedName(_)
            | Variant::NodeId(_)
            | Variant::ExpandedNodeId(_)
            | Variant::ExtensionObject(_)
            | Variant::Variant(_)
            | Variant::DataValue(_)
            | Variant::DiagnosticInfo(_)
            | Variant::Array(_),
        ) => NOT_THE_CONFIGURATION,
    }
}

/// What the server answers cannot be what the configuration says of the point.
const NOT_THE_CONFIGURATION: (Option<Value>, Quality) = (None, Quality::Bad(BadReason::ConfigError));

/// An integer that nothing is done to stays one, to its last digit.
fn integer(raw: i64, scaling: &Scaling, words: Option<&EnumWords>) -> (Option<Value>, Quality) {
    match words {
        Some(words) => word(words, raw),
        None if *scaling == Scaling::IDENTITY => (Some(Value::Int(raw)), Quality::Good),
        None => scaling.apply(approximate(raw)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "scaling works on floats; 2^53 is beyond any transmitter")]
fn approximate(raw: i64) -> f64 {
    raw as f64
}

#[expect(clippy::cast_precision_loss, reason = "no integer value holds it; a float does, rounded")]
fn beyond_i64(raw: u64, scaling: &Scaling, words: Option<&EnumWords>) -> (Option<Value>, Quality) {
    match words {
        Some(_) => NOT_THE_CONFIGURATION,
        None => scaling.apply(raw as f64),
    }
}

fn number(raw: f64, scaling: &Scaling, words: Option<&EnumWords>) -> (Option<Value>, Quality) {
    match words {
        // The words of an enumeration belong to whole numbers; 1.0 is one, 1.5 is not.
        Some(words) => match words.iter().find(|(code, _)| approximate(*code).to_bits() == raw.to_bits()) {
            Some((code, _)) => word(words, *code),
            None => NOT_THE_CONFIGURATION,
        },
        None => scaling.apply(raw),
    }
}

fn text(text: &str, scaling: &Scaling, words: Option<&EnumWords>) -> (Option<Value>, Quality) {
    let is_one_of_the_words = |words: &EnumWords| words.iter().any(|(_, word)| &**word == text);
    if *scaling == Scaling::IDENTITY && words.is_none_or(is_one_of_the_words) {
        (Some(Value::text(text)), Quality::Good)
    } else {
        NOT_THE_CONFIGURATION
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opcua::types::{Array, LocalizedText, VariantScalarTypeId};

    use super::*;

    const IDENTITY: &Scaling = &Scaling::IDENTITY;

    fn read(variant: impl Into<Variant>) -> (Option<Value>, Quality) {
        value(Some(&variant.into()), IDENTITY, None)
    }

    fn with_status(status: StatusCode) -> Quality {
        let from =
            DataValue { value: Some(Variant::from(21.5_f64)), status: Some(status), ..DataValue::default() };
        let reading = reading(&from, IDENTITY, None, 0);
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
        // 0x080 without 0x400 is not the information of a data value.
        assert_eq!(with_status(StatusCode::from(0x080)), Quality::Good);
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
        ] {
            assert_eq!(read(variant), (Some(Value::Int(int)), Quality::Good));
        }
    }

    #[test]
    fn an_unsigned_beyond_the_largest_integer_is_the_nearest_float() {
        assert_eq!(read(u64::MAX), (Value::float(18_446_744_073_709_551_615.0), Quality::Good));
    }

    #[test]
    fn floats_are_numbers_and_what_is_no_number_is_bad() {
        assert_eq!(read(0.5_f32), (Value::float(0.5), Quality::Good));
        assert_eq!(read(21.25_f64), (Value::float(21.25), Quality::Good));
        let bad = (None, Quality::Bad(BadReason::NotANumber));
        assert_eq!(read(f64::NAN), bad);
        assert_eq!(read(f32::INFINITY), bad);
    }

    #[test]
    fn a_scaled_integer_is_a_float_held_to_the_range() {
        let scaling = Scaling { scale: 0.1, offset: -10.0, range: Some((0.0, 100.0)), ..Scaling::IDENTITY };
        let scaled = |raw: u16| value(Some(&Variant::from(raw)), &scaling, None);
        assert_eq!(scaled(600), (Value::float(50.0), Quality::Good));
        let over = Quality::Uncertain(UncertainReason::OverRange);
        assert_eq!(scaled(9000), (Value::float(100.0), over));
    }

    #[test]
    fn a_clamped_value_says_so_though_the_source_doubts_it_too() {
        let scaling = Scaling { range: Some((0.0, 100.0)), ..Scaling::IDENTITY };
        let from = DataValue {
            value: Some(Variant::from(120.0_f64)),
            status: Some(StatusCode::Uncertain),
            ..DataValue::default()
        };
        let reading = reading(&from, &scaling, None, 0);
        assert_eq!(reading.value, Value::float(100.0));
        assert_eq!(reading.quality, Quality::Uncertain(UncertainReason::OverRange));
    }

    #[test]
    fn words_are_read_from_whole_numbers_booleans_and_from_themselves() {
        let words: EnumWords = Arc::from([(0, Arc::from("停止")), (1, Arc::from("运行"))]);
        let read = |variant: Variant| value(Some(&variant), IDENTITY, Some(&words));
        let running = (Some(Value::text("运行")), Quality::Good);
        for variant in [
            Variant::from(1_i32),
            Variant::from(1_u64),
            Variant::from(1.0_f64),
            Variant::from(true),
            Variant::from("运行"),
        ] {
            assert_eq!(read(variant.clone()), running, "{variant:?}");
        }
        for variant in
            [Variant::from(7_u8), Variant::from(u64::MAX), Variant::from(0.5_f64), Variant::from("x")]
        {
            assert_eq!(read(variant.clone()), NOT_THE_CONFIGURATION, "{variant:?}");
        }
    }

    #[test]
    fn texts_are_texts_unless_the_point_is_a_scaled_number() {
        assert_eq!(read("阀门开"), (Some(Value::text("阀门开")), Quality::Good));
        let localized = LocalizedText::new("zh", "开");
        assert_eq!(read(localized), (Some(Value::text("开")), Quality::Good));
        let scaled = Scaling { scale: 0.1, ..Scaling::IDENTITY };
        assert_eq!(value(Some(&Variant::from("12")), &scaled, None), NOT_THE_CONFIGURATION);
        assert_eq!(read(true), (Some(Value::Bool(true)), Quality::Good));
    }

    #[test]
    fn an_array_or_a_structure_is_not_what_a_point_can_be() {
        let array = Array::new(VariantScalarTypeId::Double, vec![Variant::from(1.0_f64)]).expect("an array");
        assert_eq!(read(array), NOT_THE_CONFIGURATION);
        assert_eq!(read(DateTime::now()), NOT_THE_CONFIGURATION);
        assert_eq!(read(StatusCode::Good), NOT_THE_CONFIGURATION);
    }

    #[test]
    fn no_value_beside_a_good_status_is_never_read() {
        let nothing = (None, Quality::Bad(BadReason::NeverRead));
        assert_eq!(value(None, IDENTITY, None), nothing);
        assert_eq!(read(Variant::Empty), nothing);
    }

    #[test]
    fn source_time_is_the_sources_own_even_where_its_clock_is_off() {
        let source = DateTime::parse_from_rfc3339("2026-03-01T08:00:00.250Z").expect("a time");
        let from = DataValue {
            value: Some(Variant::from(1.0_f64)),
            source_timestamp: Some(source),
            ..DataValue::default()
        };
        assert_eq!(reading(&from, IDENTITY, None, 0).source_time, Some(Wall(1_772_352_000_250)));
        assert_eq!(reading(&from, IDENTITY, None, 3000).source_time, Some(Wall(1_772_352_003_250)));
        let none = DataValue { source_timestamp: Some(DateTime::null()), ..from };
        assert_eq!(reading(&none, IDENTITY, None, 0).source_time, None);
    }

    #[test]
    fn what_the_server_does_not_monitor_is_a_refused_address_unless_it_says_better() {
        assert_eq!(refusal(StatusCode::BadNodeIdUnknown), BadReason::RefusedAddress);
        assert_eq!(refusal(StatusCode::BadTooManyMonitoredItems), BadReason::RefusedAddress);
        assert_eq!(refusal(StatusCode::BadOutOfService), BadReason::Masked);
    }
}
