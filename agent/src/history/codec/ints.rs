//! A column of whole numbers: as they are, as steps, or as changes of steps, whichever is shortest, each in
//! Rice's code. Arithmetic wraps, so that any column comes back as it was.

use super::bits::{BitReader, BitWriter, Broken};

/// A quotient of so many ones says: what follows is no small number.
const ESCAPE: u32 = 16;
/// Of order 0 the numbers, of order 1 their steps, of order 2 the changes of those.
const ORDERS: u32 = 3;

pub(super) fn encode(values: &[i64], out: &mut BitWriter) {
    let mut best: Option<(usize, u32, u32, Vec<u64>)> = None;
    for order in 0..ORDERS {
        let residues = residues(values, order);
        let body = residues.get(heads(order).min(residues.len())..).unwrap_or_default();
        let (bits, k) = shortest(body);
        // A head costs about twice its length.
        let head_bits: usize = residues.iter().take(heads(order)).map(|head| 2 * bit_length(*head)).sum();
        if best.as_ref().is_none_or(|(least, ..)| bits + head_bits < *least) {
            best = Some((bits + head_bits, order, k, residues));
        }
    }
    let Some((_, order, k, residues)) = best else { return };
    out.put(u64::from(order), 2);
    out.put(u64::from(k), 6);
    for (place, residue) in residues.into_iter().enumerate() {
        if place < heads(order) {
            out.put_number(residue);
        } else {
            put_rice(residue, k, out);
        }
    }
}

pub(super) fn decode(count: usize, bits: &mut BitReader<'_>) -> Result<Vec<i64>, Broken> {
    let order = u32::try_from(bits.take(2)?).unwrap_or(ORDERS);
    let k = u32::try_from(bits.take(6)?).unwrap_or(0);
    if order >= ORDERS {
        return Err(Broken("an order of steps that is none"));
    }
    if count > bits.n_left() {
        return Err(Broken("a count is larger than what follows"));
    }
    let mut values = Vec::with_capacity(count);
    let (mut last, mut step) = (0_i64, 0_i64);
    for place in 0..count {
        let coded = if place < heads(order) { bits.take_number()? } else { take_rice(k, bits)? };
        let residue = unfold(coded);
        last = match (order, place) {
            (0, _) => residue,
            (1, _) | (_, 0) => last.wrapping_add(residue),
            _ => {
                step = step.wrapping_add(residue);
                last.wrapping_add(step)
            }
        };
        values.push(last);
    }
    Ok(values)
}

/// Numbers at the beginning that have no neighbour to be near to.
fn heads(order: u32) -> usize {
    usize::try_from(order).unwrap_or(0)
}

fn residues(values: &[i64], order: u32) -> Vec<u64> {
    let (mut last, mut step) = (0_i64, 0_i64);
    let residue = |(place, value): (usize, &i64)| {
        let delta = value.wrapping_sub(last);
        let residue = match (order, place) {
            (0, _) => *value,
            (1, _) | (_, 0) => delta,
            _ => {
                let change = delta.wrapping_sub(step);
                step = delta;
                change
            }
        };
        last = *value;
        fold(residue)
    };
    values.iter().enumerate().map(residue).collect()
}

/// Small numbers of either sign become small numbers.
fn fold(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unfold(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

fn bit_length(number: u64) -> usize {
    usize::try_from(64 - number.leading_zeros()).unwrap_or(64)
}

/// The parameter with which a column is shortest, and how long it is then. The best lies near the length of
/// the middle number.
fn shortest(residues: &[u64]) -> (usize, u32) {
    let mut of_length = [0_usize; 65];
    for residue in residues {
        if let Some(count) = of_length.get_mut(bit_length(*residue)) {
            *count += 1;
        }
    }
    let mut seen = 0;
    let middle = of_length.iter().take_while(|count| {
        seen += **count;
        seen * 2 < residues.len()
    });
    let middle = u32::try_from(middle.count()).unwrap_or(0);
    let tries = middle.saturating_sub(3)..=(middle + 3).min(60);
    let cost = |k: u32| (residues.iter().map(|residue| rice_bits(*residue, k)).sum::<usize>(), k);
    tries.map(cost).min().unwrap_or_default()
}

fn rice_bits(number: u64, k: u32) -> usize {
    let quotient = number >> k;
    let k = usize::try_from(k).unwrap_or(0);
    match usize::try_from(quotient) {
        Ok(ones) if quotient < u64::from(ESCAPE) => ones + 1 + k,
        Ok(_) | Err(_) => usize::try_from(ESCAPE).unwrap_or(0) + 6 + bit_length(number),
    }
}

fn put_rice(number: u64, k: u32, out: &mut BitWriter) {
    let quotient = number >> k;
    match u32::try_from(quotient) {
        Ok(ones) if ones < ESCAPE => {
            out.put_unary(ones);
            out.put(number, k);
        }
        Ok(_) | Err(_) => {
            out.put((1 << ESCAPE) - 1, ESCAPE);
            let length = 64 - number.leading_zeros();
            out.put(u64::from(length) - 1, 6);
            out.put(number, length);
        }
    }
}

fn take_rice(k: u32, bits: &mut BitReader<'_>) -> Result<u64, Broken> {
    let mut ones = 0;
    while ones < ESCAPE && bits.take(1)? == 1 {
        ones += 1;
    }
    if ones < ESCAPE {
        return Ok((u64::from(ones) << k) | bits.take(k)?);
    }
    let length = u32::try_from(bits.take(6)?).unwrap_or(0) + 1;
    bits.take(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn there_and_back(values: &[i64]) -> usize {
        let mut out = BitWriter::default();
        encode(values, &mut out);
        let n_bits = out.n_bits();
        let bytes = out.into_bytes();
        assert_eq!(decode(values.len(), &mut BitReader::new(&bytes)).as_deref(), Ok(values));
        n_bits
    }

    #[test]
    fn even_steps_take_a_bit_each() {
        let values: Vec<i64> = (0..1_000).map(|n| 1_700_000_000_000 + n * 1_000).collect();
        assert!(there_and_back(&values) < 1_000 + 200);
    }

    #[test]
    fn the_ends_of_the_range_come_back() {
        there_and_back(&[i64::MIN, i64::MAX, 0, i64::MIN, -1, 1, i64::MAX]);
        there_and_back(&[]);
        there_and_back(&[7]);
    }

    proptest! {
        #[test]
        fn any_column_comes_back(values in prop::collection::vec(prop_oneof![any::<i64>(), -5_i64..5], 0..200)) {
            there_and_back(&values);
        }
    }
}
