//! What a point can read. A number is finite by construction: a NaN or an infinity is not a value
//! but a bad quality, so no comparison further on has to think of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A finite floating-point number. Equality is exact.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Finite(f64);

impl Finite {
    /// `None` for NaN and the infinities. Negative zero becomes zero, so equal values are equal bytes.
    pub fn new(number: f64) -> Option<Self> {
        number.is_finite().then_some(Self(number + 0.0))
    }

    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Finite {
    type Error = &'static str;

    fn try_from(number: f64) -> Result<Self, Self::Error> {
        Self::new(number).ok_or("not a finite number")
    }
}

impl From<Finite> for f64 {
    fn from(number: Finite) -> Self {
        number.0
    }
}

/// One value, in the engineering unit (eu) of its point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Float(Finite),
    /// A word of an enumeration, or a text that the source sent.
    Text(Arc<str>),
}

impl Value {
    /// `None` where the number is not finite: the caller reports [`crate::BadReason::NotANumber`].
    pub fn float(number: f64) -> Option<Self> {
        Finite::new(number).map(Self::Float)
    }

    pub fn text(text: &str) -> Self {
        Self::Text(Arc::from(text))
    }

    /// The value as a number; a boolean counts as 0 or 1, a text is none.
    /// An integer beyond 2^53 is rounded to the nearest number that a float holds.
    #[expect(clippy::cast_precision_loss, reason = "said in the line above")]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Bool(on) => Some(f64::from(u8::from(*on))),
            Self::Int(int) => Some(*int as f64),
            Self::Float(float) => Some(float.get()),
            Self::Text(_) => None,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(on) => write!(f, "{on}"),
            Self::Int(int) => write!(f, "{int}"),
            Self::Float(float) => write!(f, "{}", float.get()),
            Self::Text(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_and_infinities_are_not_values() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Value::float(number), None);
        }
    }

    #[test]
    fn negative_zero_is_zero() {
        let zero = Finite::new(-0.0).map(|float| float.get().to_bits());
        assert_eq!(zero, Some(0.0_f64.to_bits()));
    }
}
