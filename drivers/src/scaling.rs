//! From the raw number of a device to a value in the point's engineering unit. Shared by all protocols.

use std::sync::Arc;

use riskgate_point::{BadReason, Quality, UncertainReason, Value};

/// The words of an enumeration: each raw integer and what it means.
pub type EnumWords = Arc<[(i64, Arc<str>)]>;

/// `value = raw * scale + offset`, then held against the range (量程).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaling {
    pub scale: f64,
    pub offset: f64,
    /// Low and high end, in eu, low < high.
    pub range: Option<(f64, f64)>,
}

impl Scaling {
    pub const IDENTITY: Self = Self { scale: 1.0, offset: 0.0, range: None };

    /// Beyond the range the value is clamped to its end and uncertain, so that it still trips H or L.
    /// What is no finite number is bad.
    pub fn apply(&self, raw: f64) -> (Option<Value>, Quality) {
        let number = times(raw, self.scale) + self.offset;
        let (number, quality) = match self.range {
            Some((low, _)) if number < low => (low, Quality::Uncertain(UncertainReason::UnderRange)),
            Some((_, high)) if number > high => (high, Quality::Uncertain(UncertainReason::OverRange)),
            Some(_) | None => (number, Quality::Good),
        };
        match Value::float(number) {
            // An infinity would clamp to the end of the range; it is no reading all the same.
            Some(value) if raw.is_finite() => (Some(value), quality),
            Some(_) | None => (None, Quality::Bad(BadReason::NotANumber)),
        }
    }
}

/// `raw * scale`. A tenth, a hundredth, ... is a division by a whole number, which is exact to the last digit:
/// 19 tenths are 1.9, where a product would be 1.9000000000000001.
fn times(raw: f64, scale: f64) -> f64 {
    let inverse = 1.0 / scale;
    let whole = inverse.round();
    if whole.abs() >= 2.0 && whole.abs() < 1e9 && 1.0 / whole == scale { raw / whole } else { raw * scale }
}

/// The word of an integer. An integer without a word cannot be what the configuration says.
pub fn word(words: &EnumWords, raw: i64) -> (Option<Value>, Quality) {
    match words.iter().find(|(code, _)| *code == raw) {
        Some((_, word)) => (Some(Value::Text(Arc::clone(word))), Quality::Good),
        None => (None, Quality::Bad(BadReason::ConfigError)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERCENT: Scaling = Scaling { scale: 0.1, offset: -10.0, range: Some((0.0, 100.0)) };

    #[test]
    fn scales_then_offsets() {
        assert_eq!(PERCENT.apply(600.0), (Value::float(50.0), Quality::Good));
    }

    #[test]
    fn a_decimal_scale_gives_decimal_values() {
        let tenth = Scaling { scale: 0.1, offset: 0.0, range: None };
        let hundredth = Scaling { scale: 0.01, ..tenth };
        for (scaling, raw, value) in [(tenth, 19.0, 1.9), (tenth, 122.0, 12.2), (hundredth, 2099.0, 20.99)] {
            assert_eq!(scaling.apply(raw), (Value::float(value), Quality::Good));
        }
        let odd = Scaling { scale: 0.3, ..tenth };
        assert_eq!(odd.apply(10.0), (Value::float(10.0 * 0.3), Quality::Good));
    }

    #[test]
    fn beyond_the_range_is_clamped_and_uncertain() {
        let over = Quality::Uncertain(UncertainReason::OverRange);
        let under = Quality::Uncertain(UncertainReason::UnderRange);
        assert_eq!(PERCENT.apply(9000.0), (Value::float(100.0), over));
        assert_eq!(PERCENT.apply(0.0), (Value::float(0.0), under));
    }

    #[test]
    fn what_is_no_number_is_bad_even_within_a_range() {
        for raw in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(PERCENT.apply(raw), (None, Quality::Bad(BadReason::NotANumber)));
        }
    }

    #[test]
    fn a_code_without_a_word_is_a_fault_of_the_configuration() {
        let words: EnumWords = Arc::from([(0, Arc::from("停止"))]);
        assert_eq!(word(&words, 0), (Some(Value::text("停止")), Quality::Good));
        assert_eq!(word(&words, 7), (None, Quality::Bad(BadReason::ConfigError)));
    }
}
