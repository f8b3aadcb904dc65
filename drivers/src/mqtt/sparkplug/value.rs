//! What a metric says: its value by its type, its quality and its time.

use riskgate_point::{BadReason, Quality, Wall};
use serde_json::Value as Json;

use super::wire::{Metric, Value, datatype};
use crate::mqtt::decode::values::quality_of;

/// Why a value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// An integer, whose type only a birth tells.
    TypeUnknown,
    /// It is not of its type, or of one that is not read.
    NotOfItsType,
}

/// `datatype` is what the birth said, where the message does not.
pub(super) fn value(metric: &Metric, born: Option<u32>) -> Result<Json, Unreadable> {
    if metric.is_null == Some(true) {
        return Ok(Json::Null);
    }
    match &metric.value {
        Some(Value::Boolean(on)) => Ok(Json::from(*on)),
        Some(Value::String(text)) => Ok(Json::from(text.as_str())),
        Some(Value::Float(number)) => Ok(float(f64::from(*number))),
        Some(Value::Double(number)) => Ok(float(*number)),
        Some(Value::Int(raw)) => integer(u64::from(*raw), u32::BITS, metric.datatype.or(born)),
        Some(Value::Long(raw)) => integer(*raw, u64::BITS, metric.datatype.or(born)),
        None => Err(Unreadable::NotOfItsType),
    }
}

/// JSON has no NaN and no infinity: as a text they are read as what they are, which is no value.
fn float(number: f64) -> Json {
    serde_json::Number::from_f64(number).map_or_else(|| Json::from(number.to_string()), Json::Number)
}

/// `width` is that of the field on the wire. Encoders fill a negative number up to it or do not.
fn integer(raw: u64, width: u32, datatype: Option<u32>) -> Result<Json, Unreadable> {
    let (bits, signed) = match datatype.ok_or(Unreadable::TypeUnknown)? {
        datatype::INT8 => (8, true),
        datatype::INT16 => (16, true),
        datatype::INT32 => (32, true),
        datatype::INT64 => (64, true),
        datatype::UINT8 => (8, false),
        datatype::UINT16 => (16, false),
        datatype::UINT32 => (32, false),
        datatype::UINT64 | datatype::DATE_TIME => (64, false),
        _ => return Err(Unreadable::NotOfItsType),
    };
    let fits = |bits: u32| bits == u64::BITS || raw >> bits == 0;
    let read = match signed {
        false if fits(bits) => Some(Json::from(raw)),
        false => None,
        true if fits(bits) => Some(Json::from(sign_extended(raw, bits))),
        true => {
            let number = sign_extended(raw, width);
            let least = -(1_i64 << (bits - 1));
            (least..0).contains(&number).then(|| Json::from(number))
        }
    };
    read.ok_or(Unreadable::NotOfItsType)
}

/// The lowest `bits` as two's complement.
fn sign_extended(raw: u64, bits: u32) -> i64 {
    let unused = u64::BITS - bits;
    (raw << unused).cast_signed() >> unused
}

/// The property `Quality`, where it is not good; without it a value is good.
pub(super) fn quality(metric: &Metric) -> Quality {
    /// 192 and 0 are those of OPC.
    const STALE: u64 = 500;
    let Some(properties) = &metric.properties else { return Quality::Good };
    let named = properties.keys.iter().zip(&properties.values).find(|(key, _)| *key == "Quality");
    let Some((_, value)) = named else { return Quality::Good };
    match value.int_value.map(u64::from).or(value.long_value) {
        Some(STALE) => Quality::Bad(BadReason::Stale),
        Some(code) => quality_of(&Json::from(code)),
        None => Quality::Bad(BadReason::ConfigError),
    }
}

pub(super) fn time(millis: Option<u64>) -> Option<Wall> {
    let millis = i64::try_from(millis?).ok()?;
    (millis > 0).then_some(Wall(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(value: Value) -> Metric {
        Metric { value: Some(value), ..Metric::default() }
    }

    #[test]
    fn integers_are_read_by_the_type_of_the_birth_however_they_are_filled_up() {
        let int = |raw: u32, of| value(&metric(Value::Int(raw)), Some(of)).map(|json| json.to_string());
        let long = |raw: u64, of| value(&metric(Value::Long(raw)), Some(of)).map(|json| json.to_string());
        for (read, expect) in [
            (int(0xFF, datatype::INT8), Ok("-1")),
            (int(0xFFFF_FFFF, datatype::INT8), Ok("-1")),
            (int(0x80, datatype::INT8), Ok("-128")),
            (int(0x7F, datatype::INT8), Ok("127")),
            (int(0x100, datatype::INT8), Err(Unreadable::NotOfItsType)),
            (int(0xFFFF_FF00, datatype::INT8), Err(Unreadable::NotOfItsType)),
            (int(0xFFFE, datatype::INT16), Ok("-2")),
            (int(0xFFFF_FFFE, datatype::INT32), Ok("-2")),
            (long(0xFFFF_FFFE, datatype::INT32), Ok("-2")),
            (long(0xFFFF_FFFF_FFFF_FFFE, datatype::INT32), Ok("-2")),
            (long(0x1_0000_0000, datatype::INT32), Err(Unreadable::NotOfItsType)),
            (long(u64::MAX, datatype::INT64), Ok("-1")),
            (long(u64::MAX, datatype::UINT64), Ok("18446744073709551615")),
            (long(0xFFFF_FFFE, datatype::UINT32), Ok("4294967294")),
            (int(0xFFFF_FFFE, datatype::UINT32), Ok("4294967294")),
            (int(256, datatype::UINT8), Err(Unreadable::NotOfItsType)),
            (int(255, datatype::UINT8), Ok("255")),
            (long(1_793_507_445_250, datatype::DATE_TIME), Ok("1793507445250")),
            (int(1, 9), Err(Unreadable::NotOfItsType)),
        ] {
            assert_eq!(read, expect.map(str::to_owned));
        }
        assert_eq!(value(&metric(Value::Int(5)), None), Err(Unreadable::TypeUnknown));
    }

    #[test]
    fn what_is_no_number_is_no_value() {
        assert_eq!(value(&metric(Value::Double(f64::NAN)), None), Ok(Json::from("NaN")));
        assert_eq!(value(&metric(Value::Float(0.5)), None), Ok(Json::from(0.5)));
        let null = Metric { is_null: Some(true), ..metric(Value::Int(7)) };
        assert_eq!(value(&null, None), Ok(Json::Null));
        assert_eq!(value(&Metric::default(), Some(3)), Err(Unreadable::NotOfItsType));
    }
}
