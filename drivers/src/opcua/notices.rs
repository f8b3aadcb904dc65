//! What the server publishes, turned into reports on the spot.
//!
//! It is called from within the library's event loop, so it waits for nothing: a report goes to the intake,
//! which never makes anyone wait. It decides nothing about the session; it only keeps what the watch over
//! the session needs: the last sequence number, and whether the server has ended the subscription.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use opcua::client::{MonitoredItemMap, OnSubscriptionNotificationCore};
use opcua::sync::RwLock;
use opcua::types::{
    ContextOwned, DataChangeNotification, DataValue, NotificationMessage, StatusChangeNotification,
    StatusCode,
};
use riskgate_point::{Mono, Report, Sample};
use tokio::sync::Notify;

use super::{Server, decode, plan};
use crate::Clock;
use crate::intake::Sender;

pub(super) struct Notices {
    server: Arc<Server>,
    out: Sender,
    clock: Clock,
    /// Holds how far the server's clock is off; set when there is a session.
    context: OnceLock<Arc<RwLock<ContextOwned>>>,
    /// Of the last message that held data; 0 before the first.
    sequence: AtomicU32,
    /// When the points were last called fresh, as [`Mono`]; 0 is never.
    refreshed: AtomicU64,
    ended: AtomicU32,
    /// A message came after which the server has nothing more waiting.
    pub(super) drained: Notify,
}

impl Notices {
    pub(super) fn new(server: Arc<Server>, out: Sender, clock: Clock) -> Self {
        Self {
            server,
            out,
            clock,
            context: OnceLock::new(),
            sequence: AtomicU32::new(0),
            refreshed: AtomicU64::new(0),
            ended: AtomicU32::new(StatusCode::Good.bits()),
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

    /// The server has ended the subscription by itself, with this status.
    pub(super) fn ended(&self) -> Option<StatusCode> {
        let status = StatusCode::from(self.ended.load(Ordering::Relaxed));
        status.is_bad().then_some(status)
    }

    /// One message, published or published again.
    pub(super) fn take(&self, message: NotificationMessage) {
        let parts = message.notification_data.unwrap_or_default();
        let is_keep_alive = parts.is_empty();
        if !is_keep_alive {
            self.sequence.store(message.sequence_number, Ordering::Relaxed);
        }
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
        let Some(point) = plan::at_of(handle).and_then(|at| self.server.points.get(at)) else {
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
