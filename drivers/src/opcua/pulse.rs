//! One subscription as it is heard: which messages came and which are missing, when it last spoke, and
//! whether the server has ended it. What is in the messages is another's.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opcua::types::{NotificationMessage, StatusChangeNotification, StatusCode};
use riskgate_point::Mono;
use tokio::sync::Notify;

use super::plan;

/// Messages to be asked for again. Two publish requests of a subscription wait at the server when a
/// connection dies; that it answers them on the dead one loses two messages, or a few more if it dies slowly.
const MISSING_MAX: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Of the subscription: its place among the groups, or [`plan::EVENTS`].
    group: usize,
    /// Of the last message that the server sent with data; 0 before the first.
    sequence: AtomicU32,
    /// Messages that were sent and did not arrive, at most [`MISSING_MAX`].
    missing: Mutex<VecDeque<u32>>,
    /// When it last spoke, or was given new time to, as [`Mono`].
    heard: AtomicU64,
    /// Whether it ever spoke.
    beats: AtomicU32,
    /// Keep-alives that did not come, since it last spoke.
    late: AtomicU32,
    ended: AtomicU32,
    /// A message came after which the server has nothing more waiting.
    pub(super) drained: Notify,
}

impl Pulse {
    pub(super) fn of(group: usize) -> Self {
        Self { group, ..Self::default() }
    }

    pub(super) fn is_of_events(&self) -> bool {
        self.group == plan::EVENTS
    }

    /// Counts one message, published or published again. Whether others that were sent after it came already.
    pub(super) fn beat(&self, message: &NotificationMessage, now: Mono) -> bool {
        self.give_time(now);
        self.beats.fetch_add(1, Ordering::Relaxed);
        let parts = message.notification_data.as_deref().unwrap_or_default();
        let is_late = self.count(message.sequence_number, parts.is_empty());
        for part in parts {
            if let Some(change) = part.inner_as::<StatusChangeNotification>() {
                // Timed out, or another session has it: either way it speaks here no more.
                let status =
                    if change.status.is_bad() { change.status } else { StatusCode::BadNoSubscription };
                self.ended.store(status.bits(), Ordering::Relaxed);
            }
        }
        is_late
    }

    /// `n_told` were in one message: fewer than fit, so that nothing waits any more.
    pub(super) fn told(&self, n_told: usize) {
        if u32::try_from(n_told).is_ok_and(|n_told| n_told < plan::notifications_max(self.group)) {
            self.drained.notify_waiters();
        }
    }

    /// From now on it may be silent again for as long as it may.
    pub(super) fn give_time(&self, now: Mono) {
        self.heard.store(now.0, Ordering::Relaxed);
        self.late.store(0, Ordering::Relaxed);
    }

    pub(super) fn silent_for(&self, now: Mono) -> Duration {
        now.since(Mono(self.heard.load(Ordering::Relaxed)))
    }

    pub(super) fn has_spoken(&self) -> bool {
        self.beats.load(Ordering::Relaxed) > 0
    }

    /// Keep-alives that are overdue by half of their time, and were not given out before.
    pub(super) fn newly_late(&self, now: Mono, keep_alive: Duration) -> u32 {
        let nanos = keep_alive.as_nanos().max(1);
        let overdue = (self.silent_for(now).as_nanos() + nanos / 2) / nanos;
        let late = u32::try_from(overdue).unwrap_or(u32::MAX).saturating_sub(1);
        late.saturating_sub(self.late.fetch_max(late, Ordering::Relaxed))
    }

    /// The server has ended the subscription by itself, with this status.
    pub(super) fn ended(&self) -> Option<StatusCode> {
        let status = StatusCode::from(self.ended.load(Ordering::Relaxed));
        status.is_bad().then_some(status)
    }

    /// The sequence number of the message that must follow; they begin at 1 and go round past 0.
    pub(super) fn next_sequence(&self) -> u32 {
        self.sequence.load(Ordering::Relaxed).checked_add(1).unwrap_or(1)
    }

    /// Messages that were sent and did not arrive; they are told of once.
    pub(super) fn missing(&self) -> VecDeque<u32> {
        std::mem::take(&mut self.missing.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_any_missing(&self) -> bool {
        !self.missing.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Keeps count. A keep-alive carries the number that the next message with data will have.
    fn count(&self, number: u32, is_keep_alive: bool) -> bool {
        let n_missing = number.wrapping_sub(self.next_sequence());
        // An older one, published again: it fills a gap and opens none.
        if n_missing > u32::MAX / 2 {
            return true;
        }
        let last = number.wrapping_sub(u32::from(is_keep_alive));
        let is_first = self.sequence.swap(last, Ordering::Relaxed) == 0;
        if n_missing > 0 && !is_first {
            let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
            let newest = u32::try_from(MISSING_MAX).map_or(n_missing, |max| n_missing.min(max));
            missing.extend((1..=newest).rev().map(|back| number.wrapping_sub(back)));
            let n_over = missing.len().saturating_sub(MISSING_MAX);
            missing.drain(..n_over);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::{DataChangeNotification, ExtensionObject};

    use super::*;

    fn with_data(sequence_number: u32) -> NotificationMessage {
        let change = ExtensionObject::from_message(DataChangeNotification::default());
        NotificationMessage { sequence_number, notification_data: Some(vec![change]), ..Default::default() }
    }

    fn keep_alive(sequence_number: u32) -> NotificationMessage {
        NotificationMessage { sequence_number, ..NotificationMessage::default() }
    }

    fn missing_after(messages: &[NotificationMessage]) -> Vec<u32> {
        let pulse = Pulse::default();
        for message in messages {
            pulse.beat(message, Mono(1));
        }
        pulse.missing().into()
    }

    #[test]
    fn a_hole_in_the_numbers_is_what_is_missing() {
        assert_eq!(missing_after(&[with_data(1), with_data(2), with_data(5)]), [3, 4]);
        assert_eq!(missing_after(&[with_data(1), keep_alive(2), with_data(2)]), Vec::<u32>::new());
    }

    #[test]
    fn a_keep_alive_shows_a_lost_message_before_the_next_comes() {
        assert_eq!(missing_after(&[with_data(1), keep_alive(3), keep_alive(3), with_data(3)]), [2]);
    }

    #[test]
    fn a_message_published_again_opens_no_hole() {
        assert_eq!(
            missing_after(&[with_data(1), with_data(4), with_data(2), with_data(3), with_data(5)]),
            [2, 3]
        );
        let pulse = Pulse::default();
        let late = [1, 4, 2, 3, 5].map(|number| pulse.beat(&with_data(number), Mono(1)));
        assert_eq!(late, [false, false, true, true, false]);
    }

    #[test]
    fn a_server_that_begins_elsewhere_has_lost_nothing() {
        assert_eq!(missing_after(&[with_data(700), with_data(701)]), Vec::<u32>::new());
    }

    #[test]
    fn the_numbers_go_round() {
        let pulse = Pulse::default();
        pulse.beat(&with_data(u32::MAX - 1), Mono(1));
        pulse.beat(&with_data(u32::MAX), Mono(1));
        assert_eq!(pulse.next_sequence(), 1);
        pulse.beat(&with_data(1), Mono(1));
        assert!(!pulse.is_any_missing());
    }

    #[test]
    fn what_is_asked_for_again_is_bounded() {
        assert_eq!(missing_after(&[with_data(1), with_data(100_000)]).len(), MISSING_MAX);
    }

    #[test]
    fn each_keep_alive_that_does_not_come_is_late_once() {
        let pulse = Pulse::default();
        let keep_alive = Duration::from_secs(5);
        let begin = Mono(0).after(Duration::from_secs(100));
        pulse.give_time(begin);
        let late = |seconds| pulse.newly_late(begin.after(Duration::from_secs(seconds)), keep_alive);
        assert_eq!((late(5), late(7), late(8), late(9), late(13)), (0, 0, 1, 0, 1));
        pulse.beat(&super::tests::keep_alive(1), begin.after(Duration::from_secs(14)));
        assert_eq!((late(19), late(22)), (0, 1));
    }

    #[test]
    fn a_subscription_that_the_server_ends_or_gives_to_another_has_ended() {
        for status in [StatusCode::BadTimeout, StatusCode::GoodSubscriptionTransferred] {
            let pulse = Pulse::default();
            let change = StatusChangeNotification { status, ..StatusChangeNotification::default() };
            let part = ExtensionObject::from_message(change);
            let message =
                NotificationMessage { notification_data: Some(vec![part]), ..NotificationMessage::default() };
            assert_eq!(pulse.ended(), None);
            pulse.beat(&message, Mono(1));
            assert!(pulse.ended().is_some(), "{status}");
        }
    }
}
