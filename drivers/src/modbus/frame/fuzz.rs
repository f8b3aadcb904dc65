//! What a fuzzer calls, and the tests that replay what it found: anything at all as the answer to a question.
//!
//! The bytes are a script of questions and of what comes meanwhile. Pure; it panics where something became
//! an answer that cannot be one, or where what has come is kept without end.

use std::time::Duration;

use super::ear::{Ear, overhear};
use super::owed::Owed;
use super::tcp::Asked;
use super::{Answer, Reply, Request, rtu, tcp};
use crate::modbus::Table;

/// Bytes as long as there are any, then zeros.
struct Script<'d>(&'d [u8]);

impl<'d> Script<'d> {
    fn byte(&mut self) -> u8 {
        self.some(1).first().copied().unwrap_or_default()
    }

    fn some(&mut self, count: usize) -> &'d [u8] {
        let (some, rest) = self.0.split_at_checked(count).unwrap_or((self.0, &[]));
        self.0 = rest;
        some
    }

    fn request(&mut self) -> Request {
        let table = match self.byte() % 4 {
            0 => Table::Coil,
            1 => Table::Discrete,
            2 => Table::Input,
            _ => Table::Holding,
        };
        let address = u16::from_be_bytes([self.byte(), self.byte()]);
        let most = if table.is_bits() { 2000 } else { 125 };
        let count = u16::from_be_bytes([self.byte(), self.byte()]) % most + 1;
        Request { table, address, count }
    }
}

/// Panics where an answer came of anything but a whole frame of the right device, function and length, or
/// where more is kept than one frame.
pub fn frames(data: &[u8]) {
    in_tcp(&mut Script(data));
    in_rtu(&mut Script(data));
}

fn in_tcp(script: &mut Script<'_>) {
    let (transaction, device_id, request) = (u16::from(script.byte()), script.byte(), script.request());
    let asked = Asked { transaction, device_id, request };
    let mut came: &[u8] = script.0;
    while let Ok(Some(frame)) = tcp::frame(came) {
        assert!(frame.bytes <= tcp::FRAME_BYTES_MAX, "{frame:?}");
        let (own, rest) = came.split_at(frame.bytes);
        if let Ok(answer) = asked.judge(frame) {
            let body = body_of(&answer, request);
            let [length_high, length_low] = u16::try_from(body.len() + 1).unwrap_or_default().to_be_bytes();
            let [high, low] = transaction.to_be_bytes();
            let header = [high, low, 0, 0, length_high, length_low, device_id];
            assert_eq!(own, [header.as_slice(), &body].concat());
            assert_ne!(own, asked.frame(), "our own request");
        }
        came = rest;
    }
}

fn in_rtu(script: &mut Script<'_>) {
    let mut owed = Owed::default();
    while !script.0.is_empty() {
        let (device_id, request) = (script.byte() % 3 + 1, script.request());
        let heartbeats = if script.byte().is_multiple_of(4) { vec![b"ping".to_vec()] } else { Vec::new() };
        if let Some(marker) = owed.marker(device_id, request) {
            assert!(!owed.could_be_mistaken(device_id, marker), "{marker:?}");
            assert!(!request.is_legal() || marker.is_legal(), "{marker:?} for {request:?}");
        }
        owed.ask(device_id, request, Duration::ZERO);
        let mut ear = Ear::new(device_id, request, &heartbeats);
        let (mut came, mut all) = (Vec::new(), Vec::new());
        for _ in 0..script.byte() % 4 {
            let length = usize::from(script.byte());
            let piece = script.some(length);
            came.extend_from_slice(piece);
            all.extend_from_slice(piece);
            let answer = ear.hear(&mut came, &mut owed);
            if let Some(answer) = answer {
                let mut frame = [vec![device_id], body_of(&answer, request)].concat();
                frame.extend(rtu::checksum(&frame).to_le_bytes());
                assert!(all.windows(frame.len()).any(|part| part == frame), "{frame:?} in {all:?}");
                break;
            }
            assert!(came.len() <= rtu::FRAME_BYTES_MAX, "{} bytes are kept", came.len());
        }
        overhear(&mut came, &mut owed);
        assert!(came.len() <= rtu::FRAME_BYTES_MAX, "{} bytes are kept", came.len());
    }
}

/// The function and the data of the frame that gives this answer.
fn body_of(answer: &Answer, request: Request) -> Vec<u8> {
    let function = request.function().code();
    let values: Vec<u8> = match answer {
        Answer::Exception(code) => return vec![function | super::EXCEPTION, *code],
        Answer::Values(Reply::Registers(words)) => {
            assert_eq!(words.len(), usize::from(request.count));
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        }
        Answer::Values(Reply::Bits(bits)) => {
            assert_eq!(bits.len(), usize::from(request.count).next_multiple_of(8));
            let (bytes, _) = bits.as_chunks::<8>();
            let byte =
                |bits: &[bool; 8]| (0..).zip(bits).fold(0, |byte, (at, bit)| byte | u8::from(*bit) << at);
            bytes.iter().map(byte).collect()
        }
    };
    [vec![function, u8::try_from(values.len()).unwrap_or_default()], values].concat()
}
