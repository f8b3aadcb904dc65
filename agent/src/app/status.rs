//! What the outbox and the uplink are like goes on the board, and the watchdog is fed if the pump and the
//! uplink loop have turned.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::console::BoardHandle;
use crate::console::board::{AsideLine, HistoryLine, LaneLine, Uplink};
use crate::events::Event;
use crate::history;
use crate::metrics::{self, gauged};
use crate::store::{SetAside, Store, Written};
use crate::uplink::UplinkStatus;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// In a flood the outbox changes with each commit; people need no more than this.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Status {
    pub(super) store: Store,
    pub(super) history: watch::Receiver<history::Status>,
    pub(super) board: BoardHandle,
    pub(super) uplink: watch::Receiver<UplinkStatus>,
    /// `host:port`.
    pub(super) broker: String,
}

impl Status {
    /// Changes are shown at once, within reason; and each second whatever happens.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut committed = self.store.committed();
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
                Ok(()) = committed.changed() => {}
                Ok(()) = self.uplink.changed() => {}
            }
            let journal = {
                let committed = committed.borrow_and_update();
                metrics::COMMITTED.set(gauged(committed.seq));
                metrics::EVICTED.set(gauged(committed.evicted));
                let Written { wal_bytes, file_bytes } = committed.written;
                metrics::STORE_WRITTEN.with_label_values(&["wal"]).set(gauged(wal_bytes));
                metrics::STORE_WRITTEN.with_label_values(&["file"]).set(gauged(file_bytes));
                committed.journal.clone()
            };
            let uplink = self.uplink.borrow_and_update().clone();
            let history = self.history.borrow().clone();
            gauge_history(&history);
            metrics::UPLINK_UP.set(i64::from(uplink.connected));
            metrics::ACKNOWLEDGED.set(gauged(uplink.acknowledged));
            metrics::READINGS_DROPPED.set(gauged(uplink.readings_dropped));
            // A disk that hangs does not answer: then what is known of the uplink is shown without it.
            let outbox = tokio::select! {
                () = stop.cancelled() => return,
                outbox = tokio::time::timeout(LOOK_EVERY, self.store.outbox()) => outbox.ok(),
            };
            let outbox = outbox.and_then(Result::ok);
            self.board.update(|board| {
                board.set_uplink(Uplink {
                    connected: uplink.connected,
                    broker: self.broker.clone(),
                    why: uplink.why.clone(),
                    since: uplink.since,
                });
                board.set_journal(&journal);
                board.set_history(HistoryLine::from(&history));
                if let Some(outbox) = &outbox {
                    board.set_outbox(outbox.lanes.iter().map(lane_line).collect());
                    board.set_aside(
                        outbox.set_aside.iter().filter(|aside| aside.count > 0).map(aside_line).collect(),
                    );
                }
            });
            if let Some(outbox) = &outbox {
                for lane in &outbox.lanes {
                    metrics::OUTBOX.with_label_values(&[lane.lane.word()]).set(gauged(lane.pending));
                }
                for aside in &outbox.set_aside {
                    metrics::SET_ASIDE.with_label_values(&[&aside.what]).set(gauged(aside.count));
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_AT_MOST_EVERY) => {}
            }
        }
    }
}

fn gauge_history(history: &history::Status) {
    for (what, count) in [
        ("samples", history.kept),
        ("samples_open", history.open),
        ("samples_dropped", history.dropped),
        ("block_bytes", history.block_bytes),
        ("written_bytes", history.written_bytes),
        ("file_bytes", history.file_bytes),
    ] {
        metrics::HISTORY.with_label_values(&[what]).set(gauged(count));
    }
}

fn lane_line(lane: &crate::store::LaneView) -> LaneLine {
    LaneLine { lane: lane.lane.word().to_owned(), pending: lane.pending, last: lane.last }
}

fn aside_line(aside: &SetAside) -> AsideLine {
    let SetAside { what, count, oldest, why } = aside.clone();
    AsideLine { what, count, oldest, why: why.unwrap_or_default() }
}

/// Feeds systemd's watchdog while both loops turn. Without a watchdog it only looks.
pub(super) struct Watchdog {
    every: Interval,
    turns: watch::Receiver<u64>,
    uplink: watch::Receiver<UplinkStatus>,
    seen: (u64, u64),
}

impl Watchdog {
    pub(super) fn new(turns: watch::Receiver<u64>, uplink: watch::Receiver<UplinkStatus>) -> Self {
        // systemd asks for at least twice in its interval; both loops turn each second.
        let period = sd_notify::watchdog_enabled().map_or(Duration::from_secs(10), |limit| limit / 3);
        let mut every = tokio::time::interval_at(Instant::now() + period, period.max(LOOK_EVERY * 2));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { every, turns, uplink, seen: (0, 0) }
    }

    /// Cancel-safe: what a cancelled wait has not done, the next one does.
    pub(super) async fn tick(&mut self) {
        self.every.tick().await;
        let now = (*self.turns.borrow(), self.uplink.borrow().turns);
        let why = match (now.0 > self.seen.0, now.1 > self.seen.1) {
            (true, true) => None,
            (false, _) => Some("the pump does not turn"),
            (true, false) => Some("the uplink loop does not turn"),
        };
        self.seen = now;
        match why {
            None => super::tell_systemd(&[sd_notify::NotifyState::Watchdog]),
            Some(why) => Event::WatchdogHeld { why }.emit(),
        }
    }
}
