//! What one JSON value says, as a value of a point, a quality, a truth, a number or a name.

use std::sync::Arc;

use riskgate_point::{BadReason, Quality, UncertainReason, Value};
use serde_json::Value as Json;

use crate::mqtt::{Kind, Reading};
use crate::scaling;

/// Longer texts are no name, word or reading: they would be kept with every alarm.
pub(super) const TEXT_BYTES_MAX: usize = 1024;

/// The reading of a point, as its kind and its words say.
pub(in crate::mqtt) fn value_of(point: &Reading, found: &Json) -> (Option<Value>, Quality) {
    const NOT_A_NUMBER: (Option<Value>, Quality) = (None, Quality::Bad(BadReason::NotANumber));
    const CONFIG_ERROR: (Option<Value>, Quality) = (None, Quality::Bad(BadReason::ConfigError));
    if found.is_null() {
        return NOT_A_NUMBER;
    }
    if let Some(words) = &point.words {
        let spelt = found.as_str().map(str::trim);
        if let Some((_, word)) = words.iter().find(|(_, word)| Some(&**word) == spelt) {
            return (Some(Value::Text(Arc::clone(word))), Quality::Good);
        }
        let code = found.as_bool().map(|on| f64::from(u8::from(on))).or_else(|| number_of(found));
        let known = words.iter().find(|(known, _)| Value::Int(*known).number() == code);
        return known.map_or(CONFIG_ERROR, |(code, _)| scaling::word(words, *code));
    }
    match (point.kind, found) {
        (Kind::Number, Json::Number(_) | Json::String(_)) => {
            number_of(found).map_or(NOT_A_NUMBER, |number| point.scaling.apply(number))
        }
        (Kind::Number, _) => CONFIG_ERROR,
        (Kind::Bool, _) => truth_of(found).map_or(CONFIG_ERROR, |on| (Some(Value::Bool(on)), Quality::Good)),
        (Kind::Text, Json::String(text)) if text.len() <= TEXT_BYTES_MAX => {
            (Some(Value::text(text)), Quality::Good)
        }
        (Kind::Text, Json::Number(_) | Json::Bool(_)) => {
            (Some(Value::text(&found.to_string())), Quality::Good)
        }
        (Kind::Text, _) => CONFIG_ERROR,
    }
}

/// Booleans, the words of OPC, and the numbers of OPC DA (192 good, 64 uncertain, 0 bad) and of OPC UA's
/// severity bits. Zero alone says good in OPC UA and bad in OPC DA: unknown is never taken for good, so
/// it is bad, which shows at once on a feed that means the other.
pub(in crate::mqtt) fn quality_of(found: &Json) -> Quality {
    const FAILED: Quality = Quality::Bad(BadReason::DeviceFailure);
    const UNCERTAIN: Quality = Quality::Uncertain(UncertainReason::Source);
    if let Some(good) = found.as_bool() {
        return if good { Quality::Good } else { FAILED };
    }
    let text = found.as_str().map(|text| text.trim().to_ascii_lowercase());
    match text.as_deref() {
        Some("good" | "ok" | "true" | "正常") => return Quality::Good,
        Some("uncertain") => return UNCERTAIN,
        Some(_) | None => {}
    }
    match number_of(found) {
        Some(code) if (192.0..=255.0).contains(&code) => Quality::Good,
        Some(code) if (64.0..=127.0).contains(&code) => UNCERTAIN,
        // 0x40000000 to 0x7FFFFFFF.
        Some(code) if (1_073_741_824.0..2_147_483_648.0).contains(&code) => UNCERTAIN,
        Some(_) | None => FAILED,
    }
}

/// A number, or a text that spells one. May be infinite or NaN where the text says so.
pub(in crate::mqtt) fn number_of(found: &Json) -> Option<f64> {
    match found {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => text.trim().parse().ok(),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// A boolean, a number (zero is false), or a text that spells one of them.
pub(in crate::mqtt) fn truth_of(found: &Json) -> Option<bool> {
    if let Json::Bool(on) = found {
        return Some(*on);
    }
    match found.as_str().map(|text| text.trim().to_ascii_lowercase()).as_deref() {
        Some("true" | "on" | "yes" | "active") => Some(true),
        Some("false" | "off" | "no" | "inactive") => Some(false),
        Some(_) | None => number_of(found).filter(|number| number.is_finite()).map(|number| number != 0.0),
    }
}

pub(in crate::mqtt) enum Name {
    Is(Arc<str>),
    /// Null, or a text without a letter in it.
    Nothing,
    Unusable,
}

/// The name of a thing: a text, or a number as it is written.
pub(in crate::mqtt) fn name(found: &Json) -> Name {
    match found {
        Json::String(text) if text.trim().is_empty() => Name::Nothing,
        Json::String(text) if text.len() <= TEXT_BYTES_MAX => Name::Is(Arc::from(text.trim())),
        Json::Number(number) => Name::Is(Arc::from(number.to_string())),
        Json::Null => Name::Nothing,
        Json::String(_) | Json::Bool(_) | Json::Array(_) | Json::Object(_) => Name::Unusable,
    }
}
