//! The frames of Modbus RTU: a device, a function, its data, and a checksum. They have no beginning that
//! could be looked for, so each place in what has come is tried.
//!
//! Pure. Whose answer a frame is, is not said by the frame: see [`super::ear`].

use super::{EXCEPTION, Function, Request};

pub(crate) const REQUEST_BYTES: usize = 8;
/// Device, function and length before the values, the checksum behind.
pub(crate) const AROUND_VALUES: usize = 5;
/// The length is one byte, and no device gives more than 250 bytes of values.
const VALUE_BYTES_MAX: u8 = 250;
pub(crate) const FRAME_BYTES_MAX: usize = AROUND_VALUES + VALUE_BYTES_MAX as usize;

/// A whole frame of one of the four functions, its checksum right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'b> {
    pub(super) device_id: u8,
    pub(super) function: Function,
    pub(super) said: Said<'b>,
    /// How many bytes it takes.
    pub(super) bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said<'b> {
    Values(&'b [u8]),
    Exception(u8),
}

/// What begins at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'b> {
    Whole(Frame<'b>),
    /// What may become a frame of this device when more comes.
    Part,
    Nothing,
}

pub(crate) fn request(device_id: u8, request: Request) -> [u8; REQUEST_BYTES] {
    let [function, a, b, c, d] = request.body();
    let [low, high] = checksum(&[device_id, function, a, b, c, d]).to_le_bytes();
    [device_id, function, a, b, c, d, low, high]
}

/// Of the four functions only: of other masters' writes it sees nothing.
pub(super) fn frame_at(bytes: &[u8]) -> Found<'_> {
    let [device_id, code, rest @ ..] = bytes else { return Found::Part };
    let Some(function) = Function::of(code & !EXCEPTION) else { return Found::Nothing };
    let Some(said) = rest.first() else { return Found::Part };
    let is_exception = code & EXCEPTION != 0;
    if !is_exception && !(1..=VALUE_BYTES_MAX).contains(said) {
        return Found::Nothing;
    }
    let length = AROUND_VALUES + if is_exception { 0 } else { usize::from(*said) };
    let Some(frame) = bytes.get(..length) else { return Found::Part };
    let Some((body, sum)) = frame.split_last_chunk::<2>() else { return Found::Nothing };
    if checksum(body) != u16::from_le_bytes(*sum) {
        return Found::Nothing;
    }
    let said = match body {
        [_, _, code] if is_exception => Said::Exception(*code),
        [_, _, _, values @ ..] if !is_exception => Said::Values(values),
        _ => return Found::Nothing,
    };
    Found::Whole(Frame { device_id: *device_id, function, said, bytes: length })
}

/// CRC-16/MODBUS.
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    const POLYNOMIAL: u16 = 0xA001;
    bytes.iter().fold(0xFFFF, |sum, byte| {
        (0..8).fold(
            sum ^ u16::from(*byte),
            |sum, _| if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 },
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::any_request;
    use super::*;
    use crate::modbus::Table;

    #[test]
    fn a_request_is_the_bytes_of_the_specification() {
        let holding = Request { table: Table::Holding, address: 0, count: 10 };
        assert_eq!(request(1, holding), [1, 3, 0, 0, 0, 10, 0xC5, 0xCD]);
        let input = Request { table: Table::Input, address: 8, count: 1 };
        assert_eq!(request(0x11, input), [0x11, 4, 0, 8, 0, 1, 0xB2, 0x98]);
    }

    #[test]
    fn a_frame_is_whole_only_with_its_checksum() {
        let reply = [1, 3, 2, 0, 5, 0x78, 0x47];
        let values: &[u8] = &[0, 5];
        let frame = Frame {
            device_id: 1,
            function: Function::HoldingRegisters,
            said: Said::Values(values),
            bytes: 7,
        };
        assert_eq!(frame_at(&reply), Found::Whole(frame));
        for end in 0..reply.len() {
            assert_eq!(frame_at(&reply[..end]), Found::Part, "{end} bytes of it");
        }
        for at in 0..reply.len() {
            let mut other = reply;
            other[at] ^= 0x10;
            assert!(!matches!(frame_at(&other), Found::Whole(_)), "byte {at} changed");
        }
    }

    #[test]
    fn an_exception_is_a_frame() {
        let found = frame_at(&[1, 0x83, 2, 0xC0, 0xF1]);
        let Found::Whole(frame) = found else { panic!("{found:?}") };
        assert_eq!((frame.function, frame.said), (Function::HoldingRegisters, Said::Exception(2)));
    }

    #[test]
    fn the_replies_to_writes_are_nothing_to_us() {
        for function in [0, 5, 6, 15, 16, 22, 23, 0x85, 0x90, 0xFF] {
            assert_eq!(frame_at(&[1, function]), Found::Nothing, "function {function}");
        }
    }

    proptest! {
        #[test]
        fn no_request_whatever_it_asks_for_has_another_function_than_the_four_reads(
            asked in any_request(), device_id: u8,
        ) {
            let frame = request(device_id, asked);
            prop_assert!((1..=4).contains(&frame[1]));
            prop_assert_eq!(checksum(&frame), 0, "a frame and its checksum sum up to nothing");
        }
    }
}
