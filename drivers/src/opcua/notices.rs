//! What the server publishes, turned into reports on the spot.
//!
//! It is called from within the library's event loop, so it waits for nothing: a report goes to the intake,
//! which never makes anyone wait. It decides nothing about the session; it only keeps what the watch over
//! the session needs: the last sequence number, and whether the server has ended the subscription.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use opcua::client::{MonitoredItemMap, OnSubscriptionNotificationCore};
use opcua::sync::RwLock;
use opcua::types::{
    ContextOwned, DataChangeNotification, DataValue, NotificationMessage, StatusChangeNotification,
    StatusCode,
};
use riskgate_point::{BadReason, Mono, Quality, Report, Sample};
use tokio::sync::Notify;

use super::{Server, decode, plan};
use crate::Clock;
use crate::intake::Sender;

/// Messages to be asked for again. Two publish requests wait at the server when a connection dies; that it
/// answers them on the dead one loses two messages, or a few more if it dies slowly.
const MISSING_MAX: usize = 32;

pub(super) struct Notices {
    server: Arc<Server>,
    out: Sender,
    clock: Clock,
    /// Set with each sample: the points are not all known to be lost any more.
    may_be_good: Arc<AtomicBool>,
    /// Holds how far the server's clock is off; set when there is a session.
    context: OnceLock<Arc<RwLock<ContextOwned>>>,
    /// Of the last message that the server sent with data; 0 before the first.
    sequence: AtomicU32,
    /// Messages that were sent and did not arrive, at most [`MISSING_MAX`].
    missing: Mutex<VecDeque<u32>>,
    /// When the points were last called fresh, as [`Mono`]; 0 is never.
    refreshed: AtomicU64,
    ended: AtomicU32,
    /// Points whose item the server keeps, and whose node it does not know: such an item stays dead when
    /// the node comes back.
    nodeless: Mutex<BTreeSet<usize>>,
    /// A message came after which the server has nothing more waiting.
    pub(super) drained: Notify,
}

impl Notices {
    pub(super) fn new(server: Arc<Server>, out: Sender, clock: Clock, may_be_good: Arc<AtomicBool>) -> Self {
        Self {
            server,
            out,
            clock,
            may_be_good,
            context: OnceLock::new(),
            sequence: AtomicU32::new(0),
            missing: Mutex::default(),
            refreshed: AtomicU64::new(0),
            ended: AtomicU32::new(StatusCode::Good.bits()),
            nodeless: Mutex::default(),
            drained: Notify::new(),
        }
    }

    pub(super) fn watch_clock_offset(&self, context: Arc<RwLock<ContextOwned>>) {
        // Set once for a session; each session has its own notices.
        let _already = self.context.set(context);
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
    fn count(&self, number: u32, is_keep_alive: bool) {
        let n_missing = number.wrapping_sub(self.next_sequence());
        // An older one, published again: it fills a gap and opens none.
        if n_missing > u32::MAX / 2 {
            return;
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
    }

    /// The server has ended the subscription by itself, with this status.
    pub(super) fn ended(&self) -> Option<StatusCode> {
        let status = StatusCode::from(self.ended.load(Ordering::Relaxed));
        status.is_bad().then_some(status)
    }

    /// Points to be monitored anew, by their place in the list of points.
    pub(super) fn nodeless(&self) -> BTreeSet<usize> {
        self.nodeless.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One message, published or published again.
    pub(super) fn take(&self, message: NotificationMessage) {
        let parts = message.notification_data.unwrap_or_default();
        let is_keep_alive = parts.is_empty();
        self.count(message.sequence_number, is_keep_alive);
        let mut reports = Vec::new();
        for part in parts {
            if let Some(change) = part.inner_as::<DataChangeNotification>() {
                let items = change.monitored_items.iter().flatten();
                reports.extend(items.filter_map(|item| self.sample(item.client_handle, &item.value)));
            } else if let Some(change) = part.inner_as::<StatusChangeNotification>() {
                self.ended.store(change.status.bits(), Ordering::Relaxed);
            }
        }
        if u32::try_from(reports.len()).is_ok_and(|n_reports| n_reports < plan::NOTIFICATIONS_MAX) {
            self.drained.notify_waiters();
        }
        reports.extend(self.refreshed(is_keep_alive));
        if !reports.is_empty() {
            self.out.send(reports);
        }
    }

    /// A busy subscription sends no keep-alives, and its unmoved points are as alive as its moving ones: so
    /// data say it too, at most twice in a keep-alive time.
    fn refreshed(&self, is_keep_alive: bool) -> Option<Report> {
        let at = (self.clock)();
        let last = Mono(self.refreshed.load(Ordering::Relaxed));
        let is_due = is_keep_alive || last == Mono(0) || at.mono.since(last) * 2 >= self.server.keep_alive;
        is_due.then(|| {
            self.refreshed.store(at.mono.0, Ordering::Relaxed);
            Report::Refreshed { source: self.server.source, at }
        })
    }

    /// What the server says of the item with this handle. A handle that was never given is a fault of the
    /// server: told in the log, and no point's value.
    pub(super) fn sample(&self, handle: u32, value: &DataValue) -> Option<Report> {
        let known = plan::at_of(handle).and_then(|at| Some((at, self.server.points.get(at)?)));
        let Some((at, point)) = known else {
            tracing::warn!(
                url = self.server.url,
                handle,
                "the server reports an item that we never asked for"
            );
            return None;
        };
        let offset_ms =
            self.context.get().map_or(0, |context| context.read().options().client_offset.num_milliseconds());
        let reading = decode::reading(value, &point.scaling, point.words.as_ref(), offset_ms);
        let mut nodeless = self.nodeless.lock().unwrap_or_else(PoisonError::into_inner);
        if reading.quality == Quality::Bad(BadReason::RefusedAddress) {
            nodeless.insert(at);
        } else if !nodeless.is_empty() {
            nodeless.remove(&at);
        }
        drop(nodeless);
        self.may_be_good.store(true, Ordering::Relaxed);
        Some(Report::Sample(Sample {
            point: point.point,
            value: reading.value,
            quality: reading.quality,
            source_time: reading.source_time,
            received: (self.clock)(),
            backfill: false,
        }))
    }
}

/// The library's way of telling.
pub(super) struct Callback(pub(super) Arc<Notices>);

impl OnSubscriptionNotificationCore for Callback {
    fn on_subscription_notification(&mut self, message: NotificationMessage, _: MonitoredItemMap<'_>) {
        self.0.take(message);
    }
}

#[cfg(test)]
mod tests {
    use riskgate_point::{Now, SourceId};

    use super::*;
    use crate::intake::{self, Lane};
    use crate::opcua::{Security, User};

    fn notices() -> Notices {
        let server = Server {
            source: SourceId(0),
            url: String::new(),
            publishing: std::time::Duration::from_millis(250),
            sampling: std::time::Duration::ZERO,
            queue: 1,
            keep_alive: std::time::Duration::from_secs(5),
            security: Security::open(),
            user: User::Anonymous,
            points: Vec::new(),
        };
        let (sender, _receiver) = intake::channel(16, |_| Lane::Process);
        Notices::new(Arc::new(server), sender, Now::default, Arc::default())
    }

    fn with_data(sequence_number: u32) -> NotificationMessage {
        let change = opcua::types::ExtensionObject::from_message(DataChangeNotification::default());
        NotificationMessage { sequence_number, notification_data: Some(vec![change]), ..Default::default() }
    }

    fn keep_alive(sequence_number: u32) -> NotificationMessage {
        NotificationMessage { sequence_number, ..NotificationMessage::default() }
    }

    fn missing_after(messages: &[NotificationMessage]) -> Vec<u32> {
        let notices = notices();
        for message in messages {
            notices.take(message.clone());
        }
        notices.missing().into()
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
    }

    #[test]
    fn a_server_that_begins_elsewhere_has_lost_nothing() {
        assert_eq!(missing_after(&[with_data(700), with_data(701)]), Vec::<u32>::new());
    }

    #[test]
    fn the_numbers_go_round() {
        let notices = notices();
        notices.take(with_data(u32::MAX - 1));
        notices.take(with_data(u32::MAX));
        assert_eq!(notices.next_sequence(), 1);
        notices.take(with_data(1));
        assert!(!notices.is_any_missing());
    }

    #[test]
    fn what_is_asked_for_again_is_bounded() {
        assert_eq!(missing_after(&[with_data(1), with_data(100_000)]).len(), MISSING_MAX);
    }
}
