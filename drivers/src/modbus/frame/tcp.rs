//! The frames of Modbus TCP. Pure: what has come on a connection against the one request that is open on it.

use super::{Answer, Misfit, Request};

/// The header up to what its length counts: transaction, protocol, length.
const COUNTED_FROM: usize = 6;
/// One byte for the device, 253 for the function and its data.
const COUNTED_MAX: u16 = 254;
/// The device, the function, and an exception's code.
const COUNTED_MIN: u16 = 3;
const REQUEST_BYTES: usize = 12;
/// No frame is longer.
pub(crate) const FRAME_BYTES_MAX: usize = 260;

/// A request as it was sent, for which a reply is awaited.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) transaction: u16,
    pub(crate) device_id: u8,
    pub(crate) request: Request,
}

/// The frame that came first, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'b> {
    pub(crate) transaction: u16,
    device_id: u8,
    /// The function and its data.
    body: &'b [u8],
    /// How many bytes it takes.
    pub(crate) bytes: usize,
}

/// `Ok(None)`: not all of it is there yet.
pub(crate) fn frame(came: &[u8]) -> Result<Option<Frame<'_>>, Misfit> {
    let [t0, t1, p0, p1, l0, l1, rest @ ..] = came else { return Ok(None) };
    let protocol = u16::from_be_bytes([*p0, *p1]);
    if protocol != 0 {
        return Err(Misfit::Protocol { came: protocol });
    }
    let counted = u16::from_be_bytes([*l0, *l1]);
    if !(COUNTED_MIN..=COUNTED_MAX).contains(&counted) {
        return Err(Misfit::FrameLength { came: counted });
    }
    let Some(([device_id, body @ ..], _)) = rest.split_at_checked(usize::from(counted)) else {
        return Ok(None);
    };
    let transaction = u16::from_be_bytes([*t0, *t1]);
    let bytes = COUNTED_FROM + usize::from(counted);
    Ok(Some(Frame { transaction, device_id: *device_id, body, bytes }))
}

impl Asked {
    pub(crate) fn frame(self) -> [u8; REQUEST_BYTES] {
        let [transaction_high, transaction_low] = self.transaction.to_be_bytes();
        let [function, a, b, c, d] = self.request.body();
        [transaction_high, transaction_low, 0, 0, 0, 6, self.device_id, function, a, b, c, d]
    }

    /// Whether the frame answers this and nothing else.
    pub(crate) fn judge(self, frame: Frame<'_>) -> Result<Answer, Misfit> {
        if frame.transaction != self.transaction {
            return Err(Misfit::Transaction { asked: self.transaction, came: frame.transaction });
        }
        if frame.device_id != self.device_id {
            return Err(Misfit::Device { asked: self.device_id, came: frame.device_id });
        }
        // Three bytes of bits look like a request for them.
        if frame.body == self.request.body() {
            return Err(Misfit::Echo);
        }
        self.request.answer_in(frame.body)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Reply, any_request};
    use super::*;
    use crate::modbus::Table;
    use proptest::prelude::*;

    const REQUEST: Request = Request { table: Table::Holding, address: 10, count: 2 };
    const ASKED: Asked = Asked { transaction: 7, device_id: 1, request: REQUEST };

    fn judge(came: &[u8]) -> Result<Option<Answer>, Misfit> {
        frame(came)?.map(|frame| ASKED.judge(frame)).transpose()
    }

    #[test]
    fn a_request_is_the_bytes_of_the_specification() {
        assert_eq!(ASKED.frame(), [0, 7, 0, 0, 0, 6, 1, 3, 0, 10, 0, 2]);
        let coils = Request { table: Table::Coil, address: 0x1234, count: 2000 };
        let asked = Asked { transaction: 0xABCD, device_id: 255, request: coils };
        assert_eq!(asked.frame(), [0xAB, 0xCD, 0, 0, 0, 6, 255, 1, 0x12, 0x34, 0x07, 0xD0]);
    }

    #[test]
    fn a_reply_that_fits_gives_its_values() {
        let reply = [0, 7, 0, 0, 0, 7, 1, 3, 4, 0x12, 0x34, 0x56, 0x78];
        assert_eq!(judge(&reply), Ok(Some(Answer::Values(Reply::Registers(vec![0x1234, 0x5678])))));
        for end in 0..reply.len() {
            assert_eq!(judge(&reply[..end]), Ok(None), "{end} bytes of it");
        }
        let coils = Request { table: Table::Coil, address: 0, count: 9 };
        let came = [0, 7, 0, 0, 0, 5, 1, 1, 2, 0b0000_0101, 1];
        let answer = Asked { request: coils, ..ASKED }.judge(frame(&came).unwrap().unwrap());
        let Ok(Answer::Values(Reply::Bits(bits))) = answer else { panic!("{answer:?}") };
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
        assert_eq!(with(5, 6), Err(Misfit::ValueBytes { asked: 4, came: 3 }));
        let short = judge(&[0, 7, 0, 0, 0, 5, 1, 3, 2, 0x12, 0x34]);
        assert_eq!(short, Err(Misfit::ValueBytes { asked: 4, came: 2 }));
        let said_longer = judge(&[0, 7, 0, 0, 0, 5, 1, 3, 4, 0x12, 0x34]);
        assert_eq!(said_longer, Err(Misfit::ValueBytes { asked: 4, came: 2 }));
    }

    #[test]
    fn our_own_request_is_no_reply_even_where_its_bytes_would_do() {
        // Three bytes of bits: address 0x03xx and the count look like them.
        let bits = Request { table: Table::Discrete, address: 0x0305, count: 20 };
        let asked = Asked { request: bits, ..ASKED };
        assert_eq!(asked.judge(frame(&asked.frame()).unwrap().unwrap()), Err(Misfit::Echo));
        assert_eq!(judge(&ASKED.frame()), Err(Misfit::Echo));
    }

    proptest! {
        #[test]
        fn no_request_whatever_it_asks_for_has_another_function_than_the_four_reads(
            request in any_request(), transaction: u16, device_id: u8,
        ) {
            let frame = Asked { transaction, device_id, request }.frame();
            prop_assert!((1..=4).contains(&frame[7]));
            prop_assert_eq!(&frame[2..6], &[0, 0, 0, 6]);
        }
    }
}
