//! The frames of Modbus as riskgate speaks them: four questions, and the replies that fit them.
//!
//! Pure, and for a client only. The four function codes that read are all that this crate can put into a
//! frame: [`Function`] has no other variant, and a frame is made of nothing else. A reply is judged
//! against the one request that it may answer, down to its last byte; whatever does not fit says why, and
//! never becomes a [`Reply`]. What follows from a misfit is the line's to decide.

pub(super) mod ear;
pub(super) mod fuzz;
pub(super) mod owed;
pub(super) mod rtu;
pub(super) mod tcp;

use super::{Table, plan};

/// The only function codes that exist here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Coils,
    DiscreteInputs,
    HoldingRegisters,
    InputRegisters,
}

/// What one device is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request {
    pub table: Table,
    /// As on the wire, from 0.
    pub address: u16,
    /// Registers, or bits of a coil or discrete-input table.
    pub count: u16,
}

/// Exactly what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Registers(Vec<u16>),
    /// Whole bytes as they came, the last one filled up by the device.
    Bits(Vec<bool>),
}

/// What a device that is well can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Values(Reply),
    /// By its code on the wire.
    Exception(u8),
}

/// Why what came is no answer to what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    #[error("protocol id {came} where Modbus has 0")]
    Protocol { came: u16 },
    #[error("a frame that says it is {came} bytes long")]
    FrameLength { came: u16 },
    #[error("transaction {came} where {asked} was asked")]
    Transaction { asked: u16, came: u16 },
    #[error("device {came} answers where {asked} was asked")]
    Device { asked: u8, came: u8 },
    #[error("function {came} answers function {asked}")]
    Function { asked: u8, came: u8 },
    #[error("{came} bytes of values where {asked} were asked for")]
    ValueBytes { asked: u16, came: u16 },
    #[error("our own request comes back")]
    Echo,
    #[error("{bytes} bytes of a reply that does not end")]
    Unfinished { bytes: usize },
    #[error("more bytes follow the reply")]
    Surplus,
    #[error("{bytes} bytes that are no frame with a right checksum")]
    Noise { bytes: usize },
    #[error("bytes that come without a question, and do not end")]
    Babble,
}

const EXCEPTION: u8 = 0x80;
const BITS_PER_BYTE: u16 = 8;
const BYTES_PER_REGISTER: u16 = 2;

impl Function {
    fn of(code: u8) -> Option<Self> {
        [Self::Coils, Self::DiscreteInputs, Self::HoldingRegisters, Self::InputRegisters]
            .into_iter()
            .find(|function| function.code() == code)
    }

    fn code(self) -> u8 {
        match self {
            Self::Coils => 1,
            Self::DiscreteInputs => 2,
            Self::HoldingRegisters => 3,
            Self::InputRegisters => 4,
        }
    }
}

impl Request {
    fn function(self) -> Function {
        match self.table {
            Table::Coil => Function::Coils,
            Table::Discrete => Function::DiscreteInputs,
            Table::Holding => Function::HoldingRegisters,
            Table::Input => Function::InputRegisters,
        }
    }

    /// What one reply can hold at most.
    fn most(self) -> u16 {
        if self.table.is_bits() { plan::BITS_MAX } else { plan::REGISTERS_MAX }
    }

    /// A reply can hold it, and the table does not end before it.
    pub fn is_legal(self) -> bool {
        (1..=self.most()).contains(&self.count) && self.address.checked_add(self.count - 1).is_some()
    }

    /// The bytes of values that its reply holds.
    pub(super) fn value_bytes(self) -> u16 {
        if self.table.is_bits() {
            self.count.div_ceil(BITS_PER_BYTE)
        } else {
            self.count.saturating_mul(BYTES_PER_REGISTER)
        }
    }

    /// The function and its data.
    fn body(self) -> [u8; 5] {
        let [address_high, address_low] = self.address.to_be_bytes();
        let [count_high, count_low] = self.count.to_be_bytes();
        [self.function().code(), address_high, address_low, count_high, count_low]
    }

    /// Judges a reply's function and its data.
    fn answer_in(self, body: &[u8]) -> Result<Answer, Misfit> {
        let asked = self.function().code();
        match body {
            [function, code] if *function == asked | EXCEPTION => Ok(Answer::Exception(*code)),
            [function, said, values @ ..] if *function == asked => {
                let wanted = self.value_bytes();
                let held = u16::try_from(values.len()).unwrap_or(u16::MAX);
                if u16::from(*said) != wanted || held != wanted {
                    let came = if held == wanted { u16::from(*said) } else { held };
                    return Err(Misfit::ValueBytes { asked: wanted, came });
                }
                Ok(Answer::Values(self.reply(values)))
            }
            [function, ..] => Err(Misfit::Function { asked, came: *function }),
            [] => Err(Misfit::FrameLength { came: 1 }),
        }
    }

    /// `values` has the length that was asked for.
    fn reply(self, values: &[u8]) -> Reply {
        if self.table.is_bits() {
            let bits = values.iter().flat_map(|byte| (0..BITS_PER_BYTE).map(move |at| byte >> at & 1 == 1));
            Reply::Bits(bits.collect())
        } else {
            let (words, _) = values.as_chunks::<2>();
            Reply::Registers(words.iter().map(|word| u16::from_be_bytes(*word)).collect())
        }
    }
}

#[cfg(test)]
fn any_request() -> impl proptest::strategy::Strategy<Value = Request> {
    use proptest::prelude::*;
    let table =
        prop_oneof![Just(Table::Coil), Just(Table::Discrete), Just(Table::Holding), Just(Table::Input)];
    (table, any::<u16>(), any::<u16>()).prop_map(|(table, address, count)| Request { table, address, count })
}
