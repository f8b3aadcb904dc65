//! The edge between the pump and the history's thread. The pump never waits: what has no room is dropped,
//! and counted.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use riskgate_engine::Plant;
use riskgate_point::{Now, PointId, Value, Wall};
use tokio::sync::oneshot;

use super::{Limits, Reading, Unwritten};

/// Samples that wait: a second of 100,000 points that all change, or a disk that hangs for minutes on a
/// plant of thousands. 72 bytes each, 7 MB.
pub(super) const SAMPLES_MAX: usize = 100_000;
/// Longer words weigh as so many samples more.
const TEXT_BYTES: usize = 64;
/// The thread is woken for so many samples; else it comes with the pump's turns.
const WAKE_SAMPLES: usize = 4_096;
/// Pages that are being looked at.
const REQUESTS_MAX: usize = 64;

#[derive(Debug)]
pub(super) enum Item {
    Sample(PointId, Reading),
    /// From here on points are those of this plant.
    Plant(Arc<Plant>),
}

pub(super) struct Request {
    pub(super) tag: String,
    pub(super) reply: oneshot::Sender<Unwritten>,
}

/// Samples that had no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) from: Wall,
    pub(super) to: Wall,
    pub(super) count: u64,
}

#[derive(Default)]
pub(super) struct Work {
    pub(super) items: Vec<Item>,
    pub(super) requests: Vec<Request>,
    /// The pump's newest turn, if there was one since.
    pub(super) now: Option<Now>,
    pub(super) lost: Option<Lost>,
    /// Others than before.
    pub(super) limits: Option<Limits>,
    pub(super) closed: bool,
}

#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    filled: Condvar,
}

#[derive(Default)]
struct Inner {
    work: Work,
    weight: usize,
    #[cfg(test)]
    held: bool,
}

impl Queue {
    /// All of them or none; `false`: there was no room.
    pub(super) fn push(&self, items: Vec<Item>) -> bool {
        let weight: usize = items.iter().map(weight).sum();
        let mut inner = self.lock();
        if inner.work.closed || (inner.weight > 0 && inner.weight + weight > SAMPLES_MAX) {
            let times = items.iter().filter_map(|item| match item {
                Item::Sample(_, reading) => Some(reading.at),
                Item::Plant(_) => None,
            });
            for at in times {
                // Of one moment too it is a gap: one without length would be none to a reader.
                let first = Lost { from: at, to: at.after(Duration::from_millis(1)), count: 0 };
                let lost = inner.work.lost.get_or_insert(first);
                *lost = Lost { from: lost.from.min(at), to: lost.to.max(at), count: lost.count + 1 };
            }
            return false;
        }
        inner.weight += weight;
        inner.work.items.extend(items);
        let wake = inner.weight >= WAKE_SAMPLES;
        drop(inner);
        if wake {
            self.filled.notify_one();
        }
        true
    }

    /// Weighs nothing: it comes with a start and with reloads.
    pub(super) fn push_plant(&self, plant: Arc<Plant>) {
        self.lock().work.items.push(Item::Plant(plant));
    }

    pub(super) fn set_limits(&self, limits: Limits) {
        self.lock().work.limits = Some(limits);
    }

    pub(super) fn turn(&self, now: Now) {
        self.lock().work.now = Some(now);
        self.filled.notify_one();
    }

    /// One too many is dropped, and with it the answer.
    pub(super) fn ask(&self, request: Request) {
        let mut inner = self.lock();
        if !inner.work.closed && inner.work.requests.len() < REQUESTS_MAX {
            inner.work.requests.push(request);
        }
        drop(inner);
        self.filled.notify_one();
    }

    pub(super) fn close(&self) {
        self.lock().work.closed = true;
        self.filled.notify_all();
    }

    /// Waits for something to do.
    pub(super) fn take(&self) -> Work {
        let mut inner = self.lock();
        loop {
            let work = &inner.work;
            let due = work.closed
                || work.now.is_some()
                || !work.requests.is_empty()
                || inner.weight >= WAKE_SAMPLES;
            #[cfg(test)]
            let due = due && !inner.held;
            if due {
                inner.weight = 0;
                let closed = inner.work.closed;
                return std::mem::replace(&mut inner.work, Work { closed, ..Work::default() });
            }
            inner = self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A rest between two writes; a stop ends it.
    pub(super) fn rest(&self, pause: Duration) {
        let inner = self.lock();
        let open = |inner: &mut Inner| !inner.work.closed;
        drop(self.filled.wait_timeout_while(inner, pause, open));
    }

    /// Keeps the thread from taking anything while it lives, as a disk that hangs does.
    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Drop + '_ {
        struct Held<'a>(&'a Queue);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.0.lock().held = false;
                self.0.filled.notify_all();
            }
        }
        self.lock().held = true;
        Held(self)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight(item: &Item) -> usize {
    match item {
        Item::Sample(_, Reading { value: Some(Value::Text(text)), .. }) => 1 + text.len() / TEXT_BYTES,
        Item::Sample(..) => 1,
        Item::Plant(_) => 0,
    }
}
