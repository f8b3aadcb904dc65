//! Which messages are copies: where filters overlap and none covers the other, a broker may send a message
//! once for each of them, one right after the other.
//!
//! Nothing on the wire tells a copy from a sensor that says the same again, so only what comes at once is
//! taken for one.

use std::time::Duration;

use tokio::time::Instant;

use super::wire::Incoming;

/// A broker writes copies one behind the other into the connection, mostly into one segment; one that is lost
/// on the way is sent again after 200 ms and, on a bad mobile link, a second. A sensor that says the same
/// within that time says nothing that would be missed; what it says later is news.
const WITHIN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Copies(Option<Twin>);

/// A message of which more copies may come.
#[derive(Debug)]
struct Twin {
    message: Incoming,
    left: usize,
    since: Instant,
}

impl Copies {
    /// `copies`: how many of a message of its topic the broker may send, the first included.
    pub(super) fn is_copy(&mut self, copies: usize, message: &Incoming, now: Instant) -> bool {
        if let Some(twin) = &mut self.0
            && twin.left > 0
            && now.duration_since(twin.since) <= WITHIN
            && twin.message.topic == message.topic
            && twin.message.payload == message.payload
            && twin.message.retained == message.retained
        {
            twin.left -= 1;
            return true;
        }
        self.0 = (copies > 1).then(|| Twin { message: message.clone(), left: copies - 1, since: now });
        false
    }

    /// The last message was handed on, which may have waited for room, and its copies behind it.
    pub(super) fn handed_on(&mut self, now: Instant) {
        if let Some(twin) = &mut self.0 {
            twin.since = now;
        }
    }

    /// The connection ended: what comes on the next one is no copy.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Delivery;
    use super::*;

    fn message(payload: &str) -> Incoming {
        Incoming {
            topic: b"a/b".to_vec(),
            payload: payload.as_bytes().to_vec(),
            retained: false,
            again: false,
            delivery: Delivery::AtMostOnce,
        }
    }

    /// Of messages with the milliseconds at which they come, those that are taken for copies.
    fn copies(filters: usize, came: &[(u64, &str)]) -> Vec<u64> {
        let (mut copies, begun) = (Copies::default(), Instant::now());
        let is_copy = |(ms, payload): &&(u64, &str)| {
            copies.is_copy(filters, &message(payload), begun + Duration::from_millis(*ms))
        };
        came.iter().filter(is_copy).map(|(ms, _)| *ms).collect()
    }

    #[test]
    fn what_comes_right_behind_is_a_copy_and_what_comes_later_is_said_again() {
        assert_eq!(copies(2, &[(0, "on"), (1, "on"), (2, "on"), (3, "off")]), [1]);
        assert_eq!(copies(2, &[(0, "on"), (1_000, "on")]), [1_000]);
        assert_eq!(copies(2, &[(0, "on"), (1_001, "on"), (2_002, "on")]), [0_u64; 0]);
        assert_eq!(copies(1, &[(0, "on"), (1, "on")]), [0_u64; 0]);
    }

    #[test]
    fn a_copy_that_waited_behind_its_message_is_still_one() {
        let (mut copies, begun) = (Copies::default(), Instant::now());
        let late = begun + Duration::from_secs(30);
        assert!(!copies.is_copy(2, &message("on"), begun));
        copies.handed_on(late);
        assert!(copies.is_copy(2, &message("on"), late));
    }
}
