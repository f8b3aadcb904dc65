//! The frames of Modbus TCP as riskgate speaks them: four questions, and the replies that fit them.
//!
//! Pure, and for a client only. The four function codes that read are all that this crate can put into a
//! frame: [`Function`] has no other variant, and a frame is made of nothing else. A reply is judged
//! against the one request that it may answer, down to its last byte; whatever does not fit says why, and
//! never becomes a [`Reply`]. What follows from a misfit (drop the connection) is the line's to decide.

use super::{Table, plan};

/// The only function codes that exist here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
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
pub(super) enum Answer {
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
    #[error("more bytes follow the reply")]
    Surplus,
}

/// One byte for the device, 253 for the function and its data.
const COUNTED_MAX: u16 = 254;
/// The device, the function, and an exception's code.
const COUNTED_MIN: u16 = 3;
const EXCEPTION: u8 = 0x80;
pub(super) const TCP_REQUEST_BYTES: usize = 12;
/// No reply is longer: 6 bytes of header, and what it counts.
pub(super) const TCP_REPLY_BYTES_MAX: usize = 260;
const BITS_PER_BYTE: u16 = 8;
const BYTES_PER_REGISTER: u16 = 2;

impl Function {
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

    /// A reply can hold it, and the table does not end before it.
    pub fn is_legal(self) -> bool {
        let max = if self.table.is_bits() { plan::BITS_MAX } else { plan::REGISTERS_MAX };
        (1..=max).contains(&self.count) && self.address.checked_add(self.count - 1).is_some()
    }

    /// The bytes of values that its reply holds.
    fn value_bytes(self) -> u16 {
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

    /// Its frame in Modbus TCP.
    pub(super) fn to_tcp(self, transaction: u16, device_id: u8) -> [u8; TCP_REQUEST_BYTES] {
        let [transaction_high, transaction_low] = transaction.to_be_bytes();
        let [function, a, b, c, d] = self.body();
        [transaction_high, transaction_low, 0, 0, 0, 6, device_id, function, a, b, c, d]
    }

    /// Judges all that has come on a connection since the request was sent. `Ok(None)`: not all is there
    /// yet.
    pub(super) fn answer_in_tcp(
        self,
        transaction: u16,
        device_id: u8,
        came: &[u8],
    ) -> Result<Option<Answer>, Misfit> {
        let [t0, t1, p0, p1, l0, l1, rest @ ..] = came else { return Ok(None) };
        let protocol = u16::from_be_bytes([*p0, *p1]);
        if protocol != 0 {
            return Err(Misfit::Protocol { came: protocol });
        }
        let counted = u16::from_be_bytes([*l0, *l1]);
        if !(COUNTED_MIN..=COUNTED_MAX).contains(&counted) {
            return Err(Misfit::FrameLength { came: counted });
        }
        let Some((frame, surplus)) = rest.split_at_checked(usize::from(counted)) else { return Ok(None) };
        let own = u16::from_be_bytes([*t0, *t1]);
        if own != transaction {
            return Err(Misfit::Transaction { asked: transaction, came: own });
        }
        if !surplus.is_empty() {
            return Err(Misfit::Surplus);
        }
        if came == self.to_tcp(transaction, device_id) {
            return Err(Misfit::Echo);
        }
        match frame {
            [device, body @ ..] if *device == device_id => self.answer_in(body).map(Some),
            [device, ..] => Err(Misfit::Device { asked: device_id, came: *device }),
            [] => Err(Misfit::FrameLength { came: counted }),
        }
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ASKED: Request = Request { table: Table::Holding, address: 10, count: 2 };

    fn judge(came: &[u8]) -> Result<Option<Answer>, Misfit> {
        ASKED.answer_in_tcp(7, 1, came)
    }

    #[test]
    fn a_request_is_the_bytes_of_the_specification() {
        assert_eq!(ASKED.to_tcp(7, 1), [0, 7, 0, 0, 0, 6, 1, 3, 0, 10, 0, 2]);
        let coils = Request { table: Table::Coil, address: 0x1234, count: 2000 };
        assert_eq!(coils.to_tcp(0xABCD, 255), [0xAB, 0xCD, 0, 0, 0, 6, 255, 1, 0x12, 0x34, 0x07, 0xD0]);
    }

    #[test]
    fn a_reply_that_fits_gives_its_values() {
        let reply = [0, 7, 0, 0, 0, 7, 1, 3, 4, 0x12, 0x34, 0x56, 0x78];
        assert_eq!(judge(&reply), Ok(Some(Answer::Values(Reply::Registers(vec![0x1234, 0x5678])))));
        for end in 0..reply.len() {
            assert_eq!(judge(&reply[..end]), Ok(None), "{end} bytes of it");
        }
        let coils = Request { table: Table::Coil, address: 0, count: 9 };
        let reply = coils.answer_in_tcp(7, 1, &[0, 7, 0, 0, 0, 5, 1, 1, 2, 0b0000_0101, 1]);
        let Ok(Some(Answer::Values(Reply::Bits(bits)))) = reply else { panic!("{reply:?}") };
        assert_eq!(bits.len(), 16);
        assert!(bits[0] && !bits[1] && bits[2] && bits[8] && !bits[9]);
    }

    #[test]
    fn an_exception_of_the_function_that_was_asked_is_an_answer() {
        assert_eq!(judge(&[0, 7, 0, 0, 0, 3, 1, 0x83, 2]), Ok(Some(Answer::Exception(2))));
        let other = Misfit::Function { asked: 3, came: 0x84 };
        assert_eq!(judge(&[0, 7, 0, 0, 0, 3, 1, 0x84, 2]), Err(other));
    }

    #[test]
    fn a_reply_that_does_not_fit_says_why() {
        let fits = [0, 7, 0, 0, 0, 7, 1, 3, 4, 0x12, 0x34, 0x56, 0x78];
        let with = |at: usize, byte: u8| {
            let mut reply = fits;
            reply[at] = byte;
            judge(&reply)
        };
        assert_eq!(with(1, 8), Err(Misfit::Transaction { asked: 7, came: 8 }));
        assert_eq!(with(3, 9), Err(Misfit::Protocol { came: 9 }));
        assert_eq!(with(4, 9), Err(Misfit::FrameLength { came: 0x907 }));
        assert_eq!(with(5, 2), Err(Misfit::FrameLength { came: 2 }));
        assert_eq!(with(6, 2), Err(Misfit::Device { asked: 1, came: 2 }));
        assert_eq!(with(7, 4), Err(Misfit::Function { asked: 3, came: 4 }));
        assert_eq!(with(8, 2), Err(Misfit::ValueBytes { asked: 4, came: 2 }));
        assert_eq!(with(5, 6), Err(Misfit::Surplus));
        let short = judge(&[0, 7, 0, 0, 0, 5, 1, 3, 2, 0x12, 0x34]);
        assert_eq!(short, Err(Misfit::ValueBytes { asked: 4, came: 2 }));
        let said_longer = judge(&[0, 7, 0, 0, 0, 5, 1, 3, 4, 0x12, 0x34]);
        assert_eq!(said_longer, Err(Misfit::ValueBytes { asked: 4, came: 2 }));
    }

    #[test]
    fn our_own_request_is_no_reply_even_where_its_bytes_would_do() {
        // Three bytes of bits: address 0x03xx and the count look like them.
        let bits = Request { table: Table::Discrete, address: 0x0305, count: 20 };
        assert_eq!(bits.answer_in_tcp(7, 1, &bits.to_tcp(7, 1)), Err(Misfit::Echo));
        assert_eq!(judge(&ASKED.to_tcp(7, 1)), Err(Misfit::Echo));
    }

    fn any_request() -> impl Strategy<Value = Request> {
        let table =
            prop_oneof![Just(Table::Coil), Just(Table::Discrete), Just(Table::Holding), Just(Table::Input)];
        (table, any::<u16>(), any::<u16>()).prop_map(|(table, address, count)| Request {
            table,
            address,
            count,
        })
    }

    proptest! {
        #[test]
        fn no_request_whatever_it_asks_for_has_another_function_than_the_four_reads(
            request in any_request(), transaction: u16, device_id: u8,
        ) {
            let frame = request.to_tcp(transaction, device_id);
            prop_assert!((1..=4).contains(&frame[7]));
            prop_assert_eq!(&frame[2..6], &[0, 0, 0, 6]);
        }

        #[test]
        fn bytes_at_random_are_judged_without_a_panic(
            request in any_request(), came in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let judged = request.answer_in_tcp(0, 1, &came);
            prop_assert!(!matches!(judged, Ok(Some(Answer::Values(_)))) || came.len() <= TCP_REPLY_BYTES_MAX);
        }
    }
}
