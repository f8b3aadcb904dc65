//! A column of floats. What an instrument sends is seldom any float: it is a decimal with few places, or one
//! of the few steps of its converter. So a column is written as
//!
//! - whole numbers of its last decimal place, where that gives back every bit;
//! - steps of the converter: whole numbers, and how far in its last bits each value is from its step;
//! - places in a sorted list of the distinct values, where there are few; the list itself as steps, if so;
//! - else the bits themselves, which are near to each other where the values are.
//!
//! Whichever is shortest. Values that were 32-bit floats are taken as such.

use riskgate_point::Finite;

use super::bits::{BitReader, BitWriter, Broken};
use super::ints;

/// More places than this are no decimals that anybody typed or scaled.
const PLACES_MAX: u32 = 9;
/// Up to here a float holds every whole number.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

const DECIMAL: u64 = 0;
const LISTED: u64 = 1;
const BITS: u64 = 2;
const STEPPED: u64 = 3;

pub(super) fn encode(values: &[f64], out: &mut BitWriter) {
    let narrow = values.iter().all(|value| narrowed(*value).is_some());
    let ordered: Vec<i64> = values.iter().map(|value| order(*value, narrow)).collect();
    let mut listed = ordered.clone();
    listed.sort_unstable();
    listed.dedup();
    let steps = Steps::of(&listed, narrow);
    let mut tries = vec![as_bits(&ordered)];
    tries.extend(as_decimals(values, narrow));
    tries.extend(as_listed(&ordered, &listed, steps.as_ref()));
    tries.extend(steps.as_ref().map(|steps| as_stepped(&ordered, steps)));
    if let Some(shortest) = tries.into_iter().min_by_key(BitWriter::n_bits) {
        out.put(u64::from(narrow), 1);
        out.append(&shortest);
    }
}

fn as_bits(ordered: &[i64]) -> BitWriter {
    let mut out = BitWriter::default();
    out.put(BITS, 2);
    ints::encode(ordered, &mut out);
    out
}

fn as_decimals(values: &[f64], narrow: bool) -> Option<BitWriter> {
    let (places, wholes) = (0..=PLACES_MAX).find_map(|places| {
        let wholes: Option<Vec<i64>> = values.iter().map(|value| whole(*value, places, narrow)).collect();
        Some((places, wholes?))
    })?;
    let mut out = BitWriter::default();
    out.put(DECIMAL, 2);
    out.put(u64::from(places), 4);
    ints::encode(&wholes, &mut out);
    Some(out)
}

fn as_stepped(ordered: &[i64], steps: &Steps) -> BitWriter {
    let mut out = BitWriter::default();
    out.put(STEPPED, 2);
    steps.put(ordered, &mut out);
    out
}

fn as_listed(ordered: &[i64], listed: &[i64], steps: Option<&Steps>) -> Option<BitWriter> {
    if listed.len() * 2 > ordered.len() {
        return None;
    }
    let place = |value: &i64| listed.binary_search(value).ok().and_then(|at| i64::try_from(at).ok());
    let places: Option<Vec<i64>> = ordered.iter().map(place).collect();
    let mut out = BitWriter::default();
    out.put(LISTED, 2);
    out.put_number(u64::try_from(listed.len()).ok()?);
    out.put(u64::from(steps.is_some()), 1);
    match steps {
        Some(steps) => steps.put(listed, &mut out),
        None => ints::encode(listed, &mut out),
    }
    ints::encode(&places?, &mut out);
    Some(out)
}

/// Values that lie on even steps but for their last bits, which the scaling rounded.
struct Steps {
    from: f64,
    step: f64,
    narrow: bool,
}

impl Steps {
    /// Of sorted distinct values: the smallest distance, made exact over the whole range.
    fn of(listed: &[i64], narrow: bool) -> Option<Self> {
        /// Fewer are listed as well.
        const VALUES_MIN: usize = 4;
        const STEPS_MAX: f64 = 1e9;
        if listed.len() < VALUES_MIN {
            return None;
        }
        let values: Option<Vec<f64>> = listed.iter().map(|value| unorder(*value, narrow).ok()).collect();
        let values = values?;
        let range = values.last()? - values.first()?;
        let least =
            values.windows(2).filter_map(|pair| Some(pair.get(1)? - pair.first()?)).min_by(f64::total_cmp)?;
        let count = (range / least).round();
        if !(1.0..=STEPS_MAX).contains(&count) {
            return None;
        }
        let steps = Self { from: *values.first()?, step: range / count, narrow };
        let even = |value: &f64| {
            let place = (value - steps.from) / steps.step;
            (place - place.round()).abs() < 0.01
        };
        (steps.step > 0.0 && values.iter().all(even)).then_some(steps)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and what is off is in the rest")]
    fn put(&self, ordered: &[i64], out: &mut BitWriter) {
        out.put(self.from.to_bits(), 64);
        out.put(self.step.to_bits(), 64);
        let place = |value: &i64| {
            let value = unorder(*value, self.narrow).unwrap_or(self.from);
            ((value - self.from) / self.step).round() as i64
        };
        let places: Vec<i64> = ordered.iter().map(place).collect();
        let rests: Vec<i64> =
            ordered.iter().zip(&places).map(|(value, place)| value.wrapping_sub(self.at(*place))).collect();
        ints::encode(&places, out);
        ints::encode(&rests, out);
    }

    fn take(count: usize, narrow: bool, bits: &mut BitReader<'_>) -> Result<Vec<i64>, Broken> {
        let steps =
            Self { from: f64::from_bits(bits.take(64)?), step: f64::from_bits(bits.take(64)?), narrow };
        let places = ints::decode(count, bits)?;
        let rests = ints::decode(count, bits)?;
        Ok(places.into_iter().zip(rests).map(|(place, rest)| steps.at(place).wrapping_add(rest)).collect())
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "any number will do as long as it is the same when it is read"
    )]
    fn at(&self, place: i64) -> i64 {
        let value = self.from + place as f64 * self.step;
        order(if self.narrow { f64::from(value as f32) } else { value }, self.narrow)
    }
}

pub(super) fn decode(count: usize, bits: &mut BitReader<'_>) -> Result<Vec<Finite>, Broken> {
    let narrow = bits.take(1)? == 1;
    let finite = |number: f64| Finite::new(number).ok_or(Broken("a value is no number"));
    match bits.take(2)? {
        DECIMAL => {
            let places = u32::try_from(bits.take(4)?).unwrap_or(u32::MAX);
            if places > PLACES_MAX {
                return Err(Broken("too many decimal places"));
            }
            let wholes = ints::decode(count, bits)?;
            wholes.into_iter().map(|whole| finite(decimal(whole, places, narrow))).collect()
        }
        LISTED => {
            let n_listed = bits.take_count()?;
            let listed = match bits.take(1)? {
                0 => ints::decode(n_listed, bits)?,
                _ => Steps::take(n_listed, narrow, bits)?,
            };
            let value = |place: i64| {
                let value = usize::try_from(place).ok().and_then(|place| listed.get(place));
                finite(unorder(*value.ok_or(Broken("a value that is not in its list"))?, narrow)?)
            };
            ints::decode(count, bits)?.into_iter().map(value).collect()
        }
        STEPPED => {
            let ordered = Steps::take(count, narrow, bits)?;
            ordered.into_iter().map(|value| finite(unorder(value, narrow)?)).collect()
        }
        BITS => {
            let ordered = ints::decode(count, bits)?;
            ordered.into_iter().map(|value| finite(unorder(value, narrow)?)).collect()
        }
        _ => Err(Broken("floats of an unknown kind")),
    }
}

/// The 32-bit float that a value is exactly.
#[expect(clippy::cast_possible_truncation, reason = "what is cut off is found by going back")]
fn narrowed(value: f64) -> Option<f32> {
    let narrow = value as f32;
    (f64::from(narrow).to_bits() == value.to_bits()).then_some(narrow)
}

/// The value as a whole number of its decimal place, if that gives back every bit.
#[expect(clippy::cast_possible_truncation, reason = "bounded in the line above")]
fn whole(value: f64, places: u32, narrow: bool) -> Option<i64> {
    let whole = (value * ten_to(places)).round();
    if whole.abs() > EXACT_MAX {
        return None;
    }
    let whole = whole as i64;
    (decimal(whole, places, narrow).to_bits() == value.to_bits()).then_some(whole)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "what was written is exact; what was not is some number or none, which the caller checks"
)]
fn decimal(whole: i64, places: u32, narrow: bool) -> f64 {
    let value = whole as f64 / ten_to(places);
    if narrow { f64::from(value as f32) } else { value }
}

fn ten_to(places: u32) -> f64 {
    f64::from(10_u32.saturating_pow(places.min(PLACES_MAX)))
}

/// Bits as a number that rises with the value.
fn order(value: f64, narrow: bool) -> i64 {
    match narrowed(value).filter(|_| narrow) {
        Some(value) => {
            let bits = value.to_bits().cast_signed();
            i64::from(bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed())
        }
        None => {
            let bits = value.to_bits().cast_signed();
            bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
        }
    }
}

fn unorder(ordered: i64, narrow: bool) -> Result<f64, Broken> {
    if narrow {
        let bits = i32::try_from(ordered).map_err(|_| Broken("a value is wider than its column"))?;
        let bits = bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed();
        return Ok(f64::from(f32::from_bits(bits.cast_unsigned())));
    }
    let bits = ordered ^ ((ordered >> 63).cast_unsigned() >> 1).cast_signed();
    Ok(f64::from_bits(bits.cast_unsigned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn there_and_back(values: &[f64]) -> usize {
        let mut out = BitWriter::default();
        encode(values, &mut out);
        let n_bits = out.n_bits();
        let bytes = out.into_bytes();
        let back = decode(values.len(), &mut BitReader::new(&bytes)).expect("what we wrote");
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back.iter().map(|value| value.get()).collect::<Vec<_>>()), bits(values));
        n_bits
    }

    #[test]
    fn decimals_and_few_steps_are_short() {
        let tenths: Vec<f64> = (0..300).map(|n| f64::from(230 + n % 5) / 10.0).collect();
        assert!(there_and_back(&tenths) < 300 * 4);
        let narrow: Vec<f64> = (0..250_u8).map(|n| f64::from(f32::from(230 + n % 5) / 10.0)).collect();
        assert!(there_and_back(&narrow) < 300 * 4);
        let steps: Vec<f64> = (0..300).map(|n| f64::from(2_000 + n * 7 % 5) * 100.0 / 4_095.0).collect();
        assert!(there_and_back(&steps) < 300 * 5);
    }

    #[test]
    fn the_smallest_and_the_largest_come_back() {
        there_and_back(&[f64::MAX, f64::MIN, 0.0, f64::MIN_POSITIVE, -1e-300, 5e-324, 1e300]);
        there_and_back(&[f64::from(f32::MAX), f64::from(f32::MIN), 0.0, -1.5]);
        there_and_back(&[]);
    }

    proptest! {
        #[test]
        fn any_column_comes_back(values in prop::collection::vec(
            prop_oneof![any::<f64>(), any::<f32>().prop_map(f64::from), (-9_999_i32..9_999).prop_map(|n| f64::from(n) / 100.0)],
            0..100,
        )) {
            let values: Vec<f64> = values.into_iter().filter_map(|value| Finite::new(value).map(Finite::get)).collect();
            there_and_back(&values);
        }
    }
}
