//! What is asked of the store and of the spool on one connection, and what becomes of the answers: nothing waits for
//! them.

use std::future::Future;
use std::pin::Pin;

use tokio::time::Instant;

use super::commands::Given;
use super::present::Retained;
use super::{ACKNOWLEDGE_EVERY, Link};
use crate::causes::chain;
use crate::events::Event as Happening;
use crate::pump::Verdict;
use crate::store::{Row, StoreError};
use crate::uplink::commands::{RESEND_PAGE, Replay};
use crate::uplink::session::{LEASE_ROWS, Lease};
use crate::uplink::spool::{Next, SpoolError};

/// What the store answered.
pub(super) enum Answer {
    Leased(Lease, Result<Vec<Row>, StoreError>),
    Acknowledged(Vec<i64>, Result<(), StoreError>),
    Replayed(Result<Vec<Row>, StoreError>),
    Retained(Result<Box<Retained>, StoreError>),
    /// How many dropped readings were told, and why the rest was not.
    GapTold(u64, Result<(), StoreError>),
    Written(&'static str, Result<(), StoreError>),
    Refused(Row, Result<(), StoreError>),
    Spooled(Result<Next, SpoolError>),
    Unspooled(Result<(), SpoolError>),
    Commanded(Given, Option<Verdict>),
}

pub(super) type Asked = Pin<Box<dyn Future<Output = Answer> + Send>>;
impl Link<'_> {
    /// Puts questions to the store: one of each kind is under way at a time.
    pub(super) fn ask_store(&mut self) {
        self.ask_spool();
        if self.store_rests {
            return;
        }
        let last = self.committed.borrow().last;
        if !self.leasing
            && let Some(lease) = self.session.wants_lease(last)
        {
            self.leasing = true;
            let store = self.uplink.store.clone();
            self.asked.push(Box::pin(async move {
                Answer::Leased(lease, store.lease(lease.lane, lease.after, LEASE_ROWS).await)
            }));
        }
        if !self.acknowledging && self.acknowledge_at <= Instant::now() {
            let rows = self.session.take_acknowledged();
            if !rows.is_empty() {
                self.acknowledging = true;
                self.acknowledge_at = Instant::now() + ACKNOWLEDGE_EVERY;
                let (store, now) = (self.uplink.store.clone(), self.uplink.now());
                self.asked.push(Box::pin(async move {
                    let written = store.acknowledge(rows.clone(), now).await;
                    Answer::Acknowledged(rows, written)
                }));
            }
        }
        self.tell_refused();
        self.ask_replay();
    }

    /// The next page of the oldest resend; a resend that is done is answered.
    pub(super) fn ask_replay(&mut self) {
        while self.session.replays().front().is_some_and(Replay::is_done) {
            if let Some(replay) = self.session.replays().pop_front() {
                self.reply(&replay.id, "resend", &Ok(replay.result()), false);
            }
        }
        if self.replaying {
            return;
        }
        let Some((lane, from, to)) = self.session.replays().front().and_then(Replay::wants) else { return };
        self.replaying = true;
        let store = self.uplink.store.clone();
        self.asked
            .push(Box::pin(async move { Answer::Replayed(store.range(lane, from, to, RESEND_PAGE).await) }));
    }

    pub(super) fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Leased(lease, rows) => {
                self.leasing = false;
                if let Some(rows) = self.heard("lease", rows) {
                    self.session.leased(lease, rows);
                }
            }
            Answer::Acknowledged(rows, written) => {
                self.acknowledging = false;
                if self.heard("acknowledge", written).is_none() {
                    self.session.put_back_acknowledged(rows);
                }
            }
            Answer::Replayed(rows) => {
                self.replaying = false;
                if let Some(rows) = self.heard("resend", rows)
                    && let Some(replay) = self.session.replays().front_mut()
                {
                    replay.read(rows);
                }
            }
            Answer::Retained(present) => {
                self.asking_present = false;
                if let Some(present) = self.heard("units", present) {
                    self.present_due = false;
                    self.announce_present(&present);
                }
            }
            Answer::GapTold(count, rest) => self.told_dropped(count, rest),
            Answer::Spooled(next) => self.spooled(next),
            // It is sent once more, under the same name.
            Answer::Unspooled(removed) => self.spool_did("remove what was acknowledged from", removed),
            Answer::Refused(row, told) => {
                self.telling -= 1;
                let message = format!("{} {}", row.message.topic, row.message.object);
                if self.heard("refused", told).is_none() {
                    self.session.put_back_refused(row);
                } else {
                    Happening::MessageRefused { message: &message }.emit();
                    self.uplink.status.send_modify(|status| status.refused += 1);
                }
            }
            Answer::Commanded(given, verdict) => self.commanded(&given, verdict),
            Answer::Written(what, written) => {
                // Told in the log; there is nothing to take back.
                let _told = self.heard(what, written);
            }
        }
    }

    /// What the store failed to do is asked again in a second, not at once.
    pub(super) fn heard<T>(&mut self, what: &'static str, answer: Result<T, StoreError>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.store_fails.remove(what);
                Some(answer)
            }
            Err(error) => {
                self.store_rests = true;
                let error = chain(&error);
                if self.store_fails.get(what) != Some(&error) {
                    tracing::warn!(what, error, "the store did not do what the uplink asked");
                    self.store_fails.insert(what, error);
                }
                None
            }
        }
    }
}
