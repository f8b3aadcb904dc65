//! From the registers of one point to the number, the text or the bit that they spell. Pure.
//!
//! Bytes are first brought into the order that a person writes, whatever the order on the wire; what a
//! value means (scale, words, range) is not known here.

use std::borrow::Cow;
use std::sync::Arc;

use riskgate_point::BadReason;

use super::{Encoding, Kind, Order};

/// What the registers hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Raw {
    Bool(bool),
    Int(i64),
    /// Of 64 bits without a sign, beyond what [`Raw::Int`] holds.
    Beyond(u64),
    Float(f64),
    Text(Arc<str>),
}

impl Kind {
    /// Registers that a value of this kind takes; of a table of bits one bit, always.
    pub fn registers(self) -> u16 {
        match self {
            Self::Bool
            | Self::Bit(_)
            | Self::HighByte
            | Self::LowByte
            | Self::U16
            | Self::I16
            | Self::Bcd16 => 1,
            Self::U32 | Self::I32 | Self::F32 | Self::Bcd32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
            Self::Text { registers, .. } => u16::from(registers.get()),
        }
    }
}

/// `words` are the point's own registers. `None`: not as many as it takes.
pub(super) fn raw(kind: Kind, order: Order, words: &[u16]) -> Option<Result<Raw, BadReason>> {
    let two = || bytes::<2>(words, order);
    let four = || bytes::<4>(words, order);
    let eight = || bytes::<8>(words, order);
    Some(Ok(match kind {
        Kind::Bool => Raw::Bool(u16::from_be_bytes(two()?) != 0),
        Kind::Bit(bit) => Raw::Bool(bit.is_set(u16::from_be_bytes(two()?))),
        Kind::HighByte => Raw::Int(i64::from(two()?[0])),
        Kind::LowByte => Raw::Int(i64::from(two()?[1])),
        Kind::U16 => Raw::Int(i64::from(u16::from_be_bytes(two()?))),
        Kind::I16 => Raw::Int(i64::from(i16::from_be_bytes(two()?))),
        Kind::U32 => Raw::Int(i64::from(u32::from_be_bytes(four()?))),
        Kind::I32 => Raw::Int(i64::from(i32::from_be_bytes(four()?))),
        Kind::I64 => Raw::Int(i64::from_be_bytes(eight()?)),
        Kind::U64 => {
            let number = u64::from_be_bytes(eight()?);
            i64::try_from(number).map_or(Raw::Beyond(number), Raw::Int)
        }
        Kind::F32 => Raw::Float(f64::from(f32::from_be_bytes(four()?))),
        Kind::F64 => Raw::Float(f64::from_be_bytes(eight()?)),
        Kind::Bcd16 => return Some(decimal(&two()?)),
        Kind::Bcd32 => return Some(decimal(&four()?)),
        Kind::Text { registers, encoding } => {
            if words.len() != usize::from(registers.get()) {
                return None;
            }
            return Some(text(words, order, encoding));
        }
    }))
}

/// Most significant byte first, whatever the order on the wire.
fn bytes<const N: usize>(words: &[u16], order: Order) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if words.len() * 2 != N {
        return None;
    }
    for (place, pair) in bytes.chunks_exact_mut(2).enumerate() {
        // A place of 0 to 3: its lowest bit is which word of 32 bits, the next which 32 bits of 64.
        let mut from = place;
        if order.words_swapped() && N > 2 {
            from ^= 1;
        }
        if order.halves_swapped() && N > 4 {
            from ^= 2;
        }
        pair.copy_from_slice(&order.within(*words.get(from)?));
    }
    Some(bytes)
}

/// Each four bits are one digit. A nibble over 9 is none.
fn decimal(bytes: &[u8]) -> Result<Raw, BadReason> {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
    let add = |number: i64, digit: u8| (digit <= 9).then(|| number * 10 + i64::from(digit));
    digits.into_iter().try_fold(0, add).map(Raw::Int).ok_or(BadReason::NotANumber)
}

/// Two bytes a register. It ends at the first NUL; blanks at its end are the filling of its field.
///
/// The encoding is never guessed: half a text of the one is often a whole text of the other. What is no
/// text of it, or holds control characters, was not written by a person: mostly its bytes are swapped, or
/// it begins at another register.
fn text(words: &[u16], order: Order, encoding: Encoding) -> Result<Raw, BadReason> {
    let all: Vec<u8> = words.iter().flat_map(|word| order.within(*word)).collect();
    let until_nul = all.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = match encoding {
        Encoding::Utf8 => std::str::from_utf8(until_nul).ok().map(Cow::Borrowed),
        Encoding::Gb18030 => {
            encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(until_nul)
        }
    };
    match text.as_deref().map(str::trim_end) {
        Some(text) if !text.contains(char::is_control) => Ok(Raw::Text(Arc::from(text))),
        Some(_) | None => Err(BadReason::ConfigError),
    }
}

impl Order {
    /// A register as a number of 16 bits.
    pub(super) fn word(self, word: u16) -> u16 {
        u16::from_be_bytes(self.within(word))
    }

    /// The two bytes of a register, as a person writes them.
    fn within(self, word: u16) -> [u8; 2] {
        match self {
            Self::Abcd | Self::Cdab | Self::Efghabcd | Self::Cdabghef => word.to_be_bytes(),
            Self::Badc | Self::Dcba | Self::Fehgbadc | Self::Dcbahgfe => word.to_le_bytes(),
        }
    }

    /// Of each 32 bits the low word comes first.
    fn words_swapped(self) -> bool {
        match self {
            Self::Cdab | Self::Dcba | Self::Cdabghef | Self::Dcbahgfe => true,
            Self::Abcd | Self::Badc | Self::Efghabcd | Self::Fehgbadc => false,
        }
    }

    /// Of 64 bits the low 32 come first.
    fn halves_swapped(self) -> bool {
        match self {
            Self::Cdab | Self::Dcba | Self::Efghabcd | Self::Fehgbadc => true,
            Self::Abcd | Self::Badc | Self::Cdabghef | Self::Dcbahgfe => false,
        }
    }

    /// Says more than the order of 32 bits: only a value of 64 bits can have it.
    pub fn is_of_64_bits(self) -> bool {
        match self {
            Self::Abcd | Self::Cdab | Self::Badc | Self::Dcba => false,
            Self::Efghabcd | Self::Cdabghef | Self::Fehgbadc | Self::Dcbahgfe => true,
        }
    }
}
