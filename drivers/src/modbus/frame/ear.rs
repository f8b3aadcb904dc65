//! Listens on an RTU line for the answer to one question.
//!
//! Between noise, late answers to earlier questions, heartbeats of a DTU and our own request that comes
//! back, it finds the one frame that can answer nothing else. Pure: bytes in, an answer out, or what to say
//! when none came.

use super::owed::{Owed, Whose};
use super::rtu::{self, Found, Frame, Said};
use super::{Answer, Misfit, Request};

pub(crate) struct Ear<'h> {
    device_id: u8,
    request: Request,
    sent: [u8; rtu::REQUEST_BYTES],
    /// What a DTU says of itself.
    heartbeats: &'h [Vec<u8>],
    /// Our own request came back.
    pub(crate) echoed: bool,
    /// What came and was no answer; the newest.
    misfit: Option<Misfit>,
    /// An exception that may be the answer to an earlier question.
    doubtful: Option<u8>,
    noise: usize,
    /// Frames of the device that answer no open question.
    strays: bool,
}

/// What is to be said when no answer came in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    Nothing,
    /// Something came that was no answer.
    Misfit(Misfit),
    /// An exception came, and it was this question's or one's before; so that one is open no longer.
    Doubtful(u8),
}

impl<'h> Ear<'h> {
    pub(crate) fn new(device_id: u8, request: Request, heartbeats: &'h [Vec<u8>]) -> Self {
        let sent = rtu::request(device_id, request);
        Self {
            device_id,
            request,
            sent,
            heartbeats,
            echoed: false,
            misfit: None,
            doubtful: None,
            noise: 0,
            strays: false,
        }
    }

    pub(crate) fn sent(&self) -> &[u8] {
        &self.sent
    }

    /// Takes what can be made out off the front of `came`; what is left needs more to come.
    pub(crate) fn hear(&mut self, came: &mut Vec<u8>, owed: &mut Owed) -> Option<Answer> {
        let mut at = 0;
        let answer = loop {
            let rest = came.get(at..).unwrap_or_default();
            if rest.is_empty() {
                break None;
            }
            // The question that is open is one of them.
            if rest.get(..rtu::REQUEST_BYTES).is_some_and(|frame| owed.was_sent(frame)) {
                self.echoed = true;
                at += rtu::REQUEST_BYTES;
                continue;
            }
            let found = rtu::frame_at(rest);
            // Before a frame: seven bytes of the echo of eight may look like one.
            if self.sent.starts_with(rest) {
                break None;
            }
            if let Found::Whole(frame) = found {
                at += frame.bytes;
                match self.frame(&frame, owed) {
                    Some(answer) => break Some(answer),
                    None => continue,
                }
            }
            if let Some(heartbeat) = self.heartbeats.iter().find(|heartbeat| rest.starts_with(heartbeat)) {
                at += heartbeat.len();
                continue;
            }
            // Of a device that was not asked, half a frame is noise: it must not hold up what follows.
            let may_be_awaited =
                rest.first().is_some_and(|device| *device == self.device_id || owed.is_owed_by(*device));
            if found == Found::Part && may_be_awaited {
                break None;
            }
            if self.heartbeats.iter().any(|heartbeat| heartbeat.starts_with(rest)) {
                break None;
            }
            self.noise += 1;
            at += 1;
        };
        came.drain(..at.min(came.len()));
        answer
    }

    fn frame(&mut self, frame: &Frame<'_>, owed: &mut Owed) -> Option<Answer> {
        let whose = owed.answered_by(frame);
        if frame.device_id != self.device_id {
            if whose == Whose::Nobodys {
                self.misfit = Some(Misfit::Device { asked: self.device_id, came: frame.device_id });
            }
            return None;
        }
        if whose == Whose::Last && self.strays {
            owed.repeats(self.device_id);
        }
        match (whose, frame.said) {
            (Whose::Last, Said::Values(values)) => Some(Answer::Values(self.request.reply(values))),
            (Whose::Last, Said::Exception(code)) => Some(Answer::Exception(code)),
            (Whose::Earlier, Said::Exception(code)) => {
                self.doubtful = Some(code);
                None
            }
            (Whose::Earlier, Said::Values(_)) => None,
            (Whose::Nobodys, said) => {
                self.strays = true;
                self.misfit = Some(self.misfit_of(frame, said));
                None
            }
        }
    }

    fn misfit_of(&self, frame: &Frame<'_>, said: Said<'_>) -> Misfit {
        let asked = self.request.function();
        match said {
            Said::Values(values) if frame.function == asked => Misfit::ValueBytes {
                asked: self.request.value_bytes(),
                came: u16::try_from(values.len()).unwrap_or(u16::MAX),
            },
            Said::Values(_) | Said::Exception(_) => {
                Misfit::Function { asked: asked.code(), came: frame.function.code() }
            }
        }
    }

    /// When the time is over. `left` is what came and could not be made out.
    pub(crate) fn give_up(&self, left: &[u8]) -> Silence {
        let noise = self.noise + if self.sent.starts_with(left) { 0 } else { left.len() };
        match (self.doubtful, self.misfit) {
            (Some(code), _) => Silence::Doubtful(code),
            (None, Some(misfit)) => Silence::Misfit(misfit),
            (None, None) if noise > 0 => Silence::Misfit(Misfit::Noise { bytes: noise }),
            (None, None) => Silence::Nothing,
        }
    }
}

/// What comes while nothing is asked: late answers close their questions, the rest is noise. Returns a device
/// that is now known to answer twice.
pub(crate) fn overhear(came: &mut Vec<u8>, owed: &mut Owed) -> Option<u8> {
    let mut twice = None;
    let mut at = 0;
    while let Some(rest) = came.get(at..).filter(|rest| !rest.is_empty()) {
        match rtu::frame_at(rest) {
            _ if rest.get(..rtu::REQUEST_BYTES).is_some_and(|frame| owed.was_sent(frame)) => {
                at += rtu::REQUEST_BYTES;
            }
            Found::Whole(frame) => {
                at += frame.bytes;
                if owed.answered_by(&frame) == Whose::Nobodys && owed.repeats(frame.device_id) {
                    twice = Some(frame.device_id);
                }
            }
            Found::Part if rest.first().is_some_and(|device| owed.is_owed_by(*device)) => break,
            Found::Part | Found::Nothing => at += 1,
        }
    }
    came.drain(..at.min(came.len()));
    twice
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::{Reply, any_request};
    use super::*;
    use crate::modbus::Table;

    const REQUEST: Request = Request { table: Table::Holding, address: 10, count: 2 };
    const REPLY: [u8; 9] = sealed_reply([1, 3, 4, 0x12, 0x34, 0x56, 0x78], [0x81, 0x07]);

    const fn sealed_reply(b: [u8; 7], sum: [u8; 2]) -> [u8; 9] {
        [b[0], b[1], b[2], b[3], b[4], b[5], b[6], sum[0], sum[1]]
    }

    fn sealed(body: &[u8]) -> Vec<u8> {
        let mut frame = body.to_vec();
        frame.extend(rtu::checksum(body).to_le_bytes());
        frame
    }

    fn heard(came: &[u8]) -> (Option<Answer>, Silence, bool) {
        let mut owed = Owed::default();
        owed.ask(1, REQUEST, Duration::ZERO);
        hear(came, &mut owed, &[])
    }

    fn hear(came: &[u8], owed: &mut Owed, heartbeats: &[Vec<u8>]) -> (Option<Answer>, Silence, bool) {
        let mut ear = Ear::new(1, REQUEST, heartbeats);
        let mut came = came.to_vec();
        let answer = ear.hear(&mut came, owed);
        (answer, ear.give_up(&came), ear.echoed)
    }

    fn values() -> Option<Answer> {
        Some(Answer::Values(Reply::Registers(vec![0x1234, 0x5678])))
    }

    #[test]
    fn a_reply_is_found_behind_noise_and_with_noise_behind() {
        assert_eq!(sealed(&REPLY[..7]), REPLY);
        assert_eq!(heard(&REPLY).0, values());
        let noisy = [[0, 0xFF].as_slice(), &REPLY, &[0]].concat();
        assert_eq!(heard(&noisy).0, values());
    }

    #[test]
    fn byte_by_byte_it_is_found_at_its_last_byte() {
        let mut owed = Owed::default();
        owed.ask(1, REQUEST, Duration::ZERO);
        let mut ear = Ear::new(1, REQUEST, &[]);
        let mut came = Vec::new();
        for (at, byte) in REPLY.iter().enumerate() {
            came.push(*byte);
            let answer = ear.hear(&mut came, &mut owed);
            assert_eq!(answer.is_some(), at + 1 == REPLY.len(), "byte {at}");
        }
    }

    #[test]
    fn our_own_request_that_comes_back_is_taken_off() {
        let echo = rtu::request(1, REQUEST);
        assert_eq!(heard(&[echo.as_slice(), &REPLY].concat()), (values(), Silence::Nothing, true));
        assert_eq!(heard(&echo), (None, Silence::Nothing, true));
        assert_eq!(heard(&echo[..5]), (None, Silence::Nothing, false));
    }

    #[test]
    fn the_late_echo_of_an_earlier_question_is_no_reply_either() {
        let coils = |address, count| Request { table: Table::Coil, address, count };
        let mut owed = Owed::default();
        owed.ask(1, coils(0x03C6, 16), Duration::ZERO);
        owed.ask(1, coils(500, 24), Duration::ZERO);
        let mut ear = Ear::new(1, coils(500, 24), &[]);
        let mut came = rtu::request(1, coils(0x03C6, 16)).to_vec();
        assert!(matches!(rtu::frame_at(&came), Found::Whole(_)), "it looks like a reply");
        assert_eq!(ear.hear(&mut came, &mut owed), None);
    }

    #[test]
    fn an_echo_that_would_do_as_a_reply_is_none() {
        // Three bytes of bits: address 0x03xx and the count look like them.
        let bits = Request { table: Table::Discrete, address: 0x0305, count: 20 };
        let mut owed = Owed::default();
        owed.ask(1, bits, Duration::ZERO);
        let mut ear = Ear::new(1, bits, &[]);
        let mut came = [[0xFF].as_slice(), &rtu::request(1, bits)].concat();
        assert_eq!(ear.hear(&mut came, &mut owed), None);
        assert!(ear.echoed);
    }

    #[test]
    fn what_is_no_answer_says_why() {
        let said = |body: &[u8]| heard(&sealed(body)).1;
        let device = Misfit::Device { asked: 1, came: 2 };
        assert_eq!(said(&[2, 3, 4, 0, 0, 0, 0]), Silence::Misfit(device));
        let short = Misfit::ValueBytes { asked: 4, came: 2 };
        assert_eq!(said(&[1, 3, 2, 0, 0]), Silence::Misfit(short));
        let function = Misfit::Function { asked: 3, came: 4 };
        assert_eq!(said(&[1, 4, 4, 0, 0, 0, 0]), Silence::Misfit(function));
        let mut broken = REPLY;
        broken[8] ^= 1;
        assert_eq!(heard(&broken).1, Silence::Misfit(Misfit::Noise { bytes: 9 }));
        assert_eq!(heard(&REPLY[..6]).1, Silence::Misfit(Misfit::Noise { bytes: 6 }));
        assert_eq!(heard(&[]).1, Silence::Nothing);
    }

    #[test]
    fn a_late_answer_to_an_earlier_question_is_passed_over() {
        let mut owed = Owed::default();
        owed.ask(1, Request { count: 1, ..REQUEST }, Duration::ZERO);
        owed.ask(2, REQUEST, Duration::ZERO);
        owed.ask(1, REQUEST, Duration::ZERO);
        let late = sealed(&[1, 3, 2, 9, 9]);
        let late_of_other = sealed(&[2, 3, 4, 9, 9, 9, 9]);
        let came = [late, late_of_other, REPLY.to_vec()].concat();
        assert_eq!(hear(&came, &mut owed, &[]), (values(), Silence::Nothing, false));
        assert!(!owed.is_owed_by(1) && !owed.is_owed_by(2));
    }

    #[test]
    fn of_two_open_questions_of_one_shape_the_first_frame_answers_neither_for_sure() {
        let mut owed = Owed::default();
        owed.ask(1, Request { address: 500, ..REQUEST }, Duration::ZERO);
        owed.ask(1, REQUEST, Duration::ZERO);
        assert_eq!(hear(&REPLY, &mut owed, &[]).0, None);
    }

    #[test]
    fn heartbeats_of_a_dtu_are_passed_over() {
        let heartbeats = [b"alive".to_vec(), vec![1, 2, 3]];
        let mut owed = Owed::default();
        owed.ask(1, REQUEST, Duration::ZERO);
        let came = [b"alive".as_slice(), &[1, 2, 3], &REPLY].concat();
        assert_eq!(hear(&came, &mut owed, &heartbeats), (values(), Silence::Nothing, false));
        owed.ask(1, REQUEST, Duration::ZERO);
        assert_eq!(hear(b"aliv", &mut owed, &heartbeats).0, None);
    }

    proptest! {
        #[test]
        fn bytes_at_random_never_panic_and_never_grow(
            came in prop::collection::vec(any::<u8>(), 0..600), request in any_request(), device_id: u8,
        ) {
            let mut owed = Owed::default();
            owed.ask(device_id, request, Duration::ZERO);
            let mut ear = Ear::new(device_id, request, &[]);
            let mut left = Vec::new();
            for chunk in came.chunks(7) {
                left.extend_from_slice(chunk);
                ear.hear(&mut left, &mut owed);
                prop_assert!(left.len() <= rtu::FRAME_BYTES_MAX + 7);
            }
        }

        #[test]
        fn a_frame_with_any_one_bit_changed_is_no_answer(bit in 0_usize..72) {
            let mut came = REPLY;
            came[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(heard(&came).0, None);
        }
    }
}
