//! A string of bits, most significant first, and the small codes that are made of them.

/// What is read is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a block of history does not hold together: {0}")]
pub(in crate::history) struct Broken(pub(in crate::history) &'static str);

#[derive(Debug, Clone, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are not used yet.
    free: u32,
}

impl BitWriter {
    pub(super) fn n_bits(&self) -> usize {
        self.bytes.len() * 8 - usize::try_from(self.free).unwrap_or(0)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The lowest `count` bits of `bits`, at most 64.
    pub(super) fn put(&mut self, bits: u64, count: u32) {
        let mut left = count.min(64);
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let take = left.min(self.free);
            let part = (bits >> (left - take)) & ((1 << take) - 1);
            let part = u8::try_from(part).unwrap_or(0);
            if let Some(last) = self.bytes.last_mut() {
                *last |= part << (self.free - take);
            }
            self.free -= take;
            left -= take;
        }
    }

    /// `count` ones and a zero.
    pub(super) fn put_unary(&mut self, count: u32) {
        for _ in 0..count {
            self.put(1, 1);
        }
        self.put(0, 1);
    }

    /// Any number; small ones are short (Elias gamma of the number and one).
    pub(super) fn put_number(&mut self, number: u64) {
        let number = u128::from(number) + 1;
        let length = 127 - number.leading_zeros();
        self.put_unary(length);
        // Of `length` bits: the leading one is known.
        self.put(u64::try_from(number & ((1 << length) - 1)).unwrap_or(0), length);
    }

    pub(super) fn append(&mut self, other: &Self) {
        let mut left = other.n_bits();
        for byte in &other.bytes {
            let count = left.min(8);
            self.put(u64::from(*byte) >> (8 - count), u32::try_from(count).unwrap_or(8));
            left -= count;
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn n_left(&self) -> usize {
        self.bytes.len() * 8 - self.at
    }

    pub(super) fn take(&mut self, count: u32) -> Result<u64, Broken> {
        let mut bits = 0_u64;
        let mut left = count.min(64);
        while left > 0 {
            let byte = *self.bytes.get(self.at / 8).ok_or(Broken("it ends too early"))?;
            let used = u32::try_from(self.at % 8).unwrap_or(0);
            let take = left.min(8 - used);
            let part = (u64::from(byte) >> (8 - used - take)) & ((1 << take) - 1);
            bits = (bits << take) | part;
            self.at += usize::try_from(take).unwrap_or(0);
            left -= take;
        }
        Ok(bits)
    }

    /// Ones up to a zero, at most `max`.
    pub(super) fn take_unary(&mut self, max: u32) -> Result<u32, Broken> {
        let mut count = 0;
        while self.take(1)? == 1 {
            count += 1;
            if count > max {
                return Err(Broken("a length is too large"));
            }
        }
        Ok(count)
    }

    pub(super) fn take_number(&mut self) -> Result<u64, Broken> {
        let length = self.take_unary(64)?;
        let number = (1_u128 << length) | u128::from(self.take(length)?);
        u64::try_from(number - 1).map_err(|_| Broken("a number is too large"))
    }

    /// A count of things that take at least a bit each.
    pub(super) fn take_count(&mut self) -> Result<usize, Broken> {
        let count = usize::try_from(self.take_number()?).map_err(|_| Broken("a count is too large"))?;
        if count > self.n_left() { Err(Broken("a count is larger than what follows")) } else { Ok(count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_taken() {
        let mut writer = BitWriter::default();
        writer.put(0b101, 3);
        writer.put(u64::MAX, 64);
        writer.put_unary(9);
        for number in [0, 1, 2, 1_000, u64::MAX] {
            writer.put_number(number);
        }
        let mut joined = BitWriter::default();
        joined.put(1, 1);
        joined.append(&writer);
        let bytes = joined.into_bytes();
        let mut reader = BitReader::new(&bytes);
        assert_eq!(reader.take(1), Ok(1));
        assert_eq!(reader.take(3), Ok(0b101));
        assert_eq!(reader.take(64), Ok(u64::MAX));
        assert_eq!(reader.take_unary(9), Ok(9));
        for number in [0, 1, 2, 1_000, u64::MAX] {
            assert_eq!(reader.take_number(), Ok(number));
        }
        assert!(reader.n_left() < 8);
        assert!(reader.take(8).is_err());
    }
}
