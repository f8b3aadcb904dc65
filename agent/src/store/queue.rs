//! The edge between the handles and the writer thread: batches in order, and requests that wait for an
//! answer. Both are bounded; neither caller nor writer ever waits for room.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use riskgate_engine::{Running, UnitRecord};
use riskgate_point::Wall;

use super::{Batch, JournalEntry, Lane, Message, OutboxView, Reply, Row, StoreError};

/// Effects that wait. At most 2 KiB each: 20 MB at the very worst, and minutes of an alarm flood on a
/// disk that does not answer. Beyond it the pump keeps the batch, and health is red.
pub(super) const EFFECTS_MAX: usize = 10_000;

/// Requests that wait. The uplink has one under way, the console and the socket one for each client:
/// a hundred is a disk that hangs.
const REQUESTS_MAX: usize = 100;

/// What a handle asks of the writer thread.
pub(super) enum Request {
    Append { messages: Vec<Message>, entries: Vec<JournalEntry>, reply: Reply<()> },
    Lease { lane: Lane, after: i64, n: usize, reply: Reply<Vec<Row>> },
    Acknowledge { rows: Vec<i64>, at: Wall, reply: Reply<()> },
    Refuse { row: i64, why: &'static str, told: Box<(Message, JournalEntry)>, at: Wall, reply: Reply<()> },
    Range { lane: Lane, from: u64, to: u64, n: usize, reply: Reply<Vec<Row>> },
    Outbox { reply: Reply<OutboxView> },
    Units { reply: Reply<Vec<UnitRecord>> },
    Keep { running: Box<Running>, reply: Reply<()> },
}

#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    filled: Condvar,
    #[cfg(test)]
    pub(super) rung: tokio::sync::Notify,
}

#[derive(Default)]
struct Inner {
    batches: VecDeque<Batch>,
    /// Weight of `batches` and of what the writer has in hand.
    effects: usize,
    /// Batches that the writer has in hand: neither waiting nor written.
    in_hand: usize,
    requests: VecDeque<Request>,
    closed: bool,
}

/// What the writer has to do.
#[derive(Default)]
pub(super) struct Work {
    pub(super) batches: Vec<Batch>,
    pub(super) requests: Vec<Request>,
    pub(super) closed: bool,
}

impl Inner {
    fn take(&mut self, group: usize) -> Work {
        let n = self.batches.len().min(group);
        let batches: Vec<Batch> = self.batches.drain(..n).collect();
        self.in_hand = batches.len();
        Work { batches, requests: self.requests.drain(..).collect(), closed: self.closed }
    }
}

impl Queue {
    pub(super) fn offer(&self, batch: Batch) -> Result<(), Batch> {
        let mut inner = self.lock();
        let weight = weight(&batch);
        // A batch heavier than the bound goes in when nothing else waits: else it never would.
        if inner.closed || (inner.effects > 0 && inner.effects + weight > EFFECTS_MAX) {
            return Err(batch);
        }
        inner.effects += weight;
        inner.batches.push_back(batch);
        drop(inner);
        self.ring();
        Ok(())
    }

    pub(super) fn ask(&self, operation: &'static str, request: Request) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(StoreError::Closed { operation });
        }
        if inner.requests.len() >= REQUESTS_MAX {
            return Err(StoreError::Busy { operation, waiting: inner.requests.len() });
        }
        inner.requests.push_back(request);
        drop(inner);
        self.ring();
        Ok(())
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.ring();
    }

    /// The writer thread is gone: callers that wait learn it.
    pub(super) fn abandon(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        let requests = std::mem::take(&mut inner.requests);
        drop(inner);
        drop(requests);
    }

    /// There is something to do.
    fn ring(&self) {
        self.filled.notify_all();
        #[cfg(test)]
        self.rung.notify_one();
    }

    /// Batches that are not on disk.
    pub(super) fn batches(&self) -> usize {
        let inner = self.lock();
        inner.batches.len() + inner.in_hand
    }

    /// Waits for something to do; takes at most `group` batches and all requests.
    pub(super) fn take(&self, group: usize) -> Work {
        let mut inner = self.lock();
        while inner.batches.is_empty() && inner.requests.is_empty() && !inner.closed {
            inner = self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.take(group)
    }

    /// What there is to do now, if there is anything.
    #[cfg(test)]
    pub(super) fn try_take(&self, group: usize) -> Option<Work> {
        let mut inner = self.lock();
        let idle = inner.batches.is_empty() && inner.requests.is_empty() && !inner.closed;
        (!idle).then(|| inner.take(group))
    }

    /// Weight of what waits, and requests that wait.
    #[cfg(test)]
    pub(super) fn load(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.effects, inner.requests.len())
    }

    /// The batches of the last `take` are on disk.
    pub(super) fn written(&self, batches: &[Batch]) {
        let mut inner = self.lock();
        inner.effects = inner.effects.saturating_sub(batches.iter().map(weight).sum());
        inner.in_hand = 0;
    }

    /// The batches of the last `take` are not: they go back to the head, as they were.
    pub(super) fn put_back(&self, batches: Vec<Batch>) {
        let mut inner = self.lock();
        for batch in batches.into_iter().rev() {
            inner.batches.push_front(batch);
        }
        inner.in_hand = 0;
    }

    /// Waits for the whole of `pause`, or until the store closes.
    pub(super) fn pause(&self, pause: Duration) {
        let inner = self.lock();
        drop(self.filled.wait_timeout_while(inner, pause, |inner| !inner.closed));
    }

    // A poisoned lock means that a caller panicked between two complete changes: the queue is whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight(batch: &Batch) -> usize {
    batch.effects.len().max(batch.messages.len()).max(batch.acts.len()).max(1)
}
