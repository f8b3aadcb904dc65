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
    pub out_of_range: OutOfRange,
}

/// What becomes of a value beyond the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OutOfRange {
    /// It is held to the end of the range and uncertain, so that it still trips H or L.
    #[default]
    Clamp,
    /// It is none: of a device that says by such a number that it has failed, as 32767 or -9999.
    Bad,
}

impl Scaling {
    pub const IDENTITY: Self = Self { scale: 1.0, offset: 0.0, range: None, out_of_range: OutOfRange::Clamp };

    /// What is no finite number is bad, within a range too: an infinity is no reading beyond its end.
    pub fn apply(&self, raw: f64) -> (Option<Value>, Quality) {
        let number = self.linear(raw);
        match Value::float(number) {
            Some(value) if raw.is_finite() => {
                self.beyond_range(number).unwrap_or((Some(value), Quality::Good))
            }
            Some(_) | None => (None, Quality::Bad(BadReason::NotANumber)),
        }
    }

    /// As [`Scaling::apply`]; an integer to which nothing is done stays one, to its last digit.
    pub fn apply_int(&self, raw: i64) -> (Option<Value>, Quality) {
        if !self.keeps_numbers() {
            return self.apply(approximate(raw));
        }
        self.beyond_range(approximate(raw)).unwrap_or((Some(Value::Int(raw)), Quality::Good))
    }

    /// The value before it is held against the range.
    pub fn linear(&self, raw: f64) -> f64 {
        times(raw, self.scale) + self.offset
    }

    /// Neither scaled nor moved: the value is the raw number.
    pub fn keeps_numbers(&self) -> bool {
        self.scale == 1.0 && self.offset == 0.0
    }

    /// What is told of a value beyond that end of the range. `None`: there is no range, or the doubt is
    /// another.
    pub fn beyond(&self, reason: UncertainReason) -> Option<(Option<Value>, Quality)> {
        let (low, high) = self.range?;
        let end = match reason {
            UncertainReason::UnderRange => low,
            UncertainReason::OverRange => high,
            UncertainReason::Frozen | UncertainReason::Overflow | UncertainReason::Source => return None,
        };
        Some(match self.out_of_range {
            OutOfRange::Clamp => (Value::float(end), Quality::Uncertain(reason)),
            OutOfRange::Bad => (None, Quality::Bad(BadReason::DeviceFailure)),
        })
    }

    /// `None`: the number lies within, or there is no range.
    fn beyond_range(&self, number: f64) -> Option<(Option<Value>, Quality)> {
        match self.range? {
            (low, _) if number < low => self.beyond(UncertainReason::UnderRange),
            (_, high) if number > high => self.beyond(UncertainReason::OverRange),
            _ => None,
        }
    }
}

/// Beyond 2^53 the nearest number that a float holds.
#[expect(clippy::cast_precision_loss, reason = "said in the line above")]
pub fn approximate(raw: i64) -> f64 {
    raw as f64
}

/// As [`approximate`].
#[expect(clippy::cast_precision_loss, reason = "said of the other")]
pub fn approximate_unsigned(raw: u64) -> f64 {
    raw as f64
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

    const PERCENT: Scaling =
        Scaling { scale: 0.1, offset: -10.0, range: Some((0.0, 100.0)), ..Scaling::IDENTITY };

    #[test]
    fn scales_then_offsets() {
        assert_eq!(PERCENT.apply(600.0), (Value::float(50.0), Quality::Good));
    }

    #[test]
    fn a_decimal_scale_gives_decimal_values() {
        let tenth = Scaling { scale: 0.1, ..Scaling::IDENTITY };
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
    fn beyond_the_range_is_bad_where_that_is_said() {
        let strict = Scaling { out_of_range: OutOfRange::Bad, ..PERCENT };
        let failed = (None, Quality::Bad(BadReason::DeviceFailure));
        assert_eq!(strict.apply(9000.0), failed);
        assert_eq!(strict.apply(-1.0), failed);
        assert_eq!(strict.apply(1100.0), (Value::float(100.0), Quality::Good));
        assert_eq!(Scaling { scale: 1.0, offset: 0.0, ..strict }.apply_int(32_767), failed);
    }

    #[test]
    fn an_integer_to_which_nothing_is_done_keeps_its_last_digit() {
        const ODD: i64 = (1 << 53) + 1;
        let wide = Scaling { range: Some((0.0, 1e18)), ..Scaling::IDENTITY };
        for scaling in [Scaling::IDENTITY, wide] {
            assert_eq!(scaling.apply_int(ODD), (Some(Value::Int(ODD)), Quality::Good));
        }
        let over = Quality::Uncertain(UncertainReason::OverRange);
        assert_eq!(wide.apply_int(i64::MAX), (Value::float(1e18), over));
        assert_eq!(PERCENT.apply_int(600), (Value::float(50.0), Quality::Good));
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
