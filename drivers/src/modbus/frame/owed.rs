//! Which questions are open on a line whose replies do not say what they answer.
//!
//! A reply in RTU names its device, its function and its length, not the addresses that it holds. So after
//! a question that was not answered in time, a late reply could be taken for the answer to the next
//! question of the same device, function and length: wrong values, and nobody the wiser. Two facts help:
//! a device answers in the order in which it was asked, and a question of another length cannot be
//! answered by mistake. A device that still owes a reply is therefore asked nothing of a length that it
//! owes; a [marker](Owed::marker) goes first, a part of what is wanted, of a length of its own. When the
//! marker is answered, all before it is void.
//!
//! A device that was seen to answer twice owes another answer after each. That it does so is seen when the
//! second comes before the next question, or has another length than the next answer; a first repeat that
//! comes later and fits looks like an answer to anybody.
//!
//! Pure. How long a reply can be owed at all is the line's to say, in [`Owed::forget`].

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::Request;
use super::rtu::{self, Frame, Said};

/// What a reply must look like to be of this question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    device_id: u8,
    request: Request,
    /// Since the line began.
    asked_at: Duration,
}

/// More are not kept: a line with so many open questions has no device that answers.
const OPEN_MAX: usize = 256;

/// The open questions of all devices of one line, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    open: VecDeque<Open>,
    /// Devices that answer twice.
    repeat: BTreeSet<u8>,
}

/// Which question a frame answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The last that its device was asked, and no other.
    Last,
    /// Perhaps the last, perhaps one before; that one is open no longer.
    Earlier,
    /// None that is open.
    Nobodys,
}

impl Owed {
    /// Before the request is sent: a call that is cancelled leaves it open.
    pub(crate) fn ask(&mut self, device_id: u8, request: Request, asked_at: Duration) {
        if self.open.len() >= OPEN_MAX {
            self.open.pop_front();
        }
        self.open.push_back(Open { device_id, request, asked_at });
    }

    /// The device may yet answer an earlier question in a way that would fit this one.
    pub(crate) fn could_be_mistaken(&self, device_id: u8, request: Request) -> bool {
        let shape = |request: Request| (request.function(), request.value_bytes());
        self.open.iter().any(|open| open.device_id == device_id && shape(open.request) == shape(request))
    }

    /// A read that cannot be mistaken: a part of what is wanted, or else a little more of the same table.
    pub(crate) fn marker(&self, device_id: u8, request: Request) -> Option<Request> {
        let fewer = (1..request.count).rev();
        let more = request.count + 1..=request.most();
        let of_count = |count: u16| {
            // At the end of the table it begins earlier.
            let address = request.address.min(u16::MAX - (count - 1));
            Request { address, count, ..request }
        };
        let mut counts = fewer.chain(more).map(of_count);
        counts.find(|marker| !self.could_be_mistaken(device_id, *marker))
    }

    /// A frame has come. What its device was asked before the question that it answers is open no longer.
    pub(super) fn answered_by(&mut self, frame: &Frame<'_>) -> Whose {
        let fits = |open: &Open| {
            open.request.function() == frame.function
                && match frame.said {
                    Said::Values(values) => usize::from(open.request.value_bytes()) == values.len(),
                    Said::Exception(_) => true,
                }
        };
        let of_device = |open: &Open| open.device_id == frame.device_id;
        let Some(at) = self.open.iter().position(|open| of_device(open) && fits(open)) else {
            return Whose::Nobodys;
        };
        let answered = self.open.get(at).copied();
        let mut place = 0;
        self.open.retain(|open| {
            place += 1;
            !of_device(open) || place - 1 > at
        });
        if self.open.iter().any(of_device) {
            return Whose::Earlier;
        }
        if self.repeat.contains(&frame.device_id) {
            self.open.extend(answered);
        }
        Whose::Last
    }

    /// The device has said something that no open question explains: true where that is news.
    pub(super) fn repeats(&mut self, device_id: u8) -> bool {
        self.repeat.insert(device_id)
    }

    /// An adapter sends our own requests back, and some of them look like replies.
    pub(super) fn was_sent(&self, frame: &[u8]) -> bool {
        self.open.iter().any(|open| rtu::request(open.device_id, open.request) == frame)
    }

    /// Whether a frame of this device would tell anything.
    pub(super) fn is_owed_by(&self, device_id: u8) -> bool {
        self.open.iter().any(|open| open.device_id == device_id)
    }

    /// Later than this no reply comes any more.
    pub(crate) fn forget(&mut self, asked_before: Duration) {
        self.open.retain(|open| open.asked_at >= asked_before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modbus::Table;
    use crate::modbus::frame::Function;

    const NOW: Duration = Duration::ZERO;

    fn holding(address: u16, count: u16) -> Request {
        Request { table: Table::Holding, address, count }
    }

    fn values(device_id: u8, function: Function, bytes: &[u8]) -> Frame<'_> {
        Frame { device_id, function, said: Said::Values(bytes), bytes: bytes.len() + rtu::AROUND_VALUES }
    }

    #[test]
    fn a_device_that_owes_nothing_answers_the_last_question() {
        let mut owed = Owed::default();
        owed.ask(1, holding(0, 2), NOW);
        let reply = values(1, Function::HoldingRegisters, &[0; 4]);
        assert_eq!(owed.answered_by(&reply), Whose::Last);
        assert_eq!(owed.answered_by(&reply), Whose::Nobodys, "it comes twice");
    }

    #[test]
    fn a_reply_that_is_owed_is_not_taken_for_the_next_of_its_length() {
        let mut owed = Owed::default();
        owed.ask(1, holding(0, 2), NOW);
        assert!(owed.could_be_mistaken(1, holding(100, 2)));
        assert!(!owed.could_be_mistaken(1, holding(100, 3)));
        assert!(!owed.could_be_mistaken(2, holding(100, 2)), "another device");
        assert!(!owed.could_be_mistaken(1, Request { table: Table::Input, ..holding(100, 2) }));
        // It is asked nevertheless: the late reply answers the first question.
        owed.ask(1, holding(100, 2), NOW);
        let late = values(1, Function::HoldingRegisters, &[0; 4]);
        assert_eq!(owed.answered_by(&late), Whose::Earlier);
        assert_eq!(owed.answered_by(&late), Whose::Last);
    }

    #[test]
    fn the_answer_to_a_marker_voids_all_before_it() {
        let mut owed = Owed::default();
        for _ in 0..3 {
            owed.ask(1, holding(0, 2), NOW);
        }
        owed.ask(2, holding(0, 2), NOW);
        let marker = owed.marker(1, holding(0, 2)).unwrap();
        assert_eq!(marker, holding(0, 1));
        owed.ask(1, marker, NOW);
        assert_eq!(owed.answered_by(&values(1, Function::HoldingRegisters, &[0; 2])), Whose::Last);
        assert!(!owed.is_owed_by(1) && owed.is_owed_by(2));
    }

    #[test]
    fn an_exception_may_be_the_answer_to_any_question_of_its_function() {
        let mut owed = Owed::default();
        owed.ask(1, holding(0, 2), NOW);
        owed.ask(1, holding(0, 1), NOW);
        let exception =
            Frame { device_id: 1, function: Function::HoldingRegisters, said: Said::Exception(2), bytes: 5 };
        assert_eq!(owed.answered_by(&exception), Whose::Earlier);
        // Whichever it answered, the first question is answered or void.
        assert!(!owed.could_be_mistaken(1, holding(50, 2)));
        assert_eq!(owed.answered_by(&exception), Whose::Last);
    }

    #[test]
    fn a_device_that_answers_twice_owes_a_second_answer_after_each() {
        let mut owed = Owed::default();
        assert!(owed.repeats(1) && !owed.repeats(1));
        owed.ask(1, holding(0, 2), NOW);
        let reply = values(1, Function::HoldingRegisters, &[0; 4]);
        assert_eq!(owed.answered_by(&reply), Whose::Last);
        assert!(owed.could_be_mistaken(1, holding(9, 2)), "the repeat may yet come");
        owed.ask(1, holding(0, 1), NOW);
        assert_eq!(owed.answered_by(&reply), Whose::Earlier);
        let marker = values(1, Function::HoldingRegisters, &[0; 2]);
        assert_eq!(owed.answered_by(&marker), Whose::Last);
        assert!(!owed.could_be_mistaken(1, holding(9, 2)));
    }

    #[test]
    fn a_marker_is_found_for_the_smallest_and_at_the_ends() {
        let mut owed = Owed::default();
        for request in [
            holding(u16::MAX, 1),
            Request { table: Table::Coil, address: 65_530, count: 6 },
            Request { table: Table::Discrete, address: 0, count: 2000 },
            holding(65_411, 125),
        ] {
            owed.ask(1, request, NOW);
            let marker = owed.marker(1, request).unwrap();
            assert!(marker.is_legal() && !owed.could_be_mistaken(1, marker), "{marker:?}");
        }
        assert_eq!(owed.marker(1, holding(7, 1)), Some(holding(7, 2)));
        // Of bits, a byte less.
        let discrete = Request { table: Table::Discrete, address: 0, count: 2000 };
        assert_eq!(owed.marker(1, discrete).map(|marker| marker.count), Some(1992));
    }

    #[test]
    fn what_is_owed_is_forgotten_in_time_and_bounded() {
        let mut owed = Owed::default();
        owed.ask(1, holding(0, 2), Duration::from_secs(1));
        owed.ask(1, holding(0, 3), Duration::from_secs(2));
        owed.forget(Duration::from_secs(2));
        assert!(!owed.could_be_mistaken(1, holding(0, 2)) && owed.could_be_mistaken(1, holding(0, 3)));
        for _ in 0..10 * OPEN_MAX {
            owed.ask(1, holding(0, 3), NOW);
        }
        assert_eq!(owed.open.len(), OPEN_MAX);
    }
}
