//! Readings on their way upstream: only changes, in memory, batched.
//!
//! The pump offers readings and never waits. While the link is down they are kept up to a bound; beyond it
//! the oldest are dropped, counted, and told upstream as a gap. A chunk that was sent and not acknowledged
//! is sent again on the next connection. Nothing here survives the end of the process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use riskgate_point::{Quality, Value, Wall};
use serde::Serialize;

use super::wire::Origin;

/// Readings that wait. At about 100 bytes each 10 MB, and 10 s of the largest change rate that the smallest
/// gateway carries, or 100 points that change each second for a quarter of an hour.
pub(super) const READINGS_MAX: usize = 100_000;

/// The readings of one message. A packet may have 256 KiB; half of it leaves room for any envelope, and a
/// lost packet costs little.
const CHUNK_BYTES_MAX: usize = 120 * 1024;

/// The longest text that goes upstream as a reading. With every character escaped it fits a chunk.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// One reading, as it goes upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub tag: Arc<str>,
    pub value: Option<Value>,
    pub quality: Quality,
    /// When it was received.
    pub time: Wall,
}

/// The pump's end.
#[derive(Clone)]
pub struct TelemetrySender(Arc<Mutex<Buffer>>);

/// The uplink's end.
pub struct TelemetryReceiver(Arc<Mutex<Buffer>>);

#[derive(Default)]
struct Buffer {
    last: HashMap<Arc<str>, (Option<Value>, Quality)>,
    waiting: VecDeque<Reading>,
    dropped: Option<Dropped>,
    off: bool,
}

/// Readings that upstream will never have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) from: Wall,
    pub(super) to: Wall,
    pub(super) count: u64,
    /// Of these, how many were too large to be sent at all.
    pub(super) too_large: u64,
}

/// Some readings as JSON, in one message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chunk {
    pub(super) values: serde_json::Value,
    pub(super) count: u64,
    pub(super) from: Wall,
    pub(super) to: Wall,
}

pub fn channel() -> (TelemetrySender, TelemetryReceiver) {
    let buffer = Arc::new(Mutex::new(Buffer::default()));
    (TelemetrySender(Arc::clone(&buffer)), TelemetryReceiver(buffer))
}

impl TelemetrySender {
    /// Keeps the readings whose value or quality is another than that point's last. Never waits.
    pub fn offer(&self, readings: Vec<Reading>) {
        let mut buffer = lock(&self.0);
        if buffer.off {
            return;
        }
        for reading in readings {
            buffer.offer(reading);
        }
    }
}

impl Buffer {
    fn offer(&mut self, reading: Reading) {
        match self.last.get_mut(&reading.tag) {
            Some((value, quality)) if *value == reading.value && *quality == reading.quality => return,
            Some(last) => *last = (reading.value.clone(), reading.quality),
            None => {
                let last = (reading.value.clone(), reading.quality);
                self.last.insert(Arc::clone(&reading.tag), last);
            }
        }
        if let Some(Value::Text(text)) = &reading.value
            && text.len() > TEXT_BYTES_MAX
        {
            self.drop_one(reading.time, 1);
            return;
        }
        self.waiting.push_back(reading);
        if self.waiting.len() > READINGS_MAX
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.drop_one(oldest.time, 0);
        }
    }

    fn drop_one(&mut self, time: Wall, too_large: u64) {
        let dropped = Dropped { from: time, to: time, count: 1, too_large };
        self.dropped = Some(merged(self.dropped, dropped));
    }
}

impl TelemetryReceiver {
    /// Telemetry is configured off: nothing is kept, and nothing counts as lost.
    pub(super) fn turn_off(&self) {
        let mut buffer = lock(&self.0);
        *buffer = Buffer { off: true, ..Buffer::default() };
    }

    /// The oldest readings, as many as one message holds.
    pub(super) fn take(&self, origin: &Origin) -> Option<Chunk> {
        let mut buffer = lock(&self.0);
        let from = buffer.waiting.front()?.time;
        let mut values = Vec::new();
        let mut to = from;
        let mut bytes = 0;
        let mut times = Times { origin, cached: None };
        while let Some(reading) = buffer.waiting.front() {
            let value = encoded(reading, &mut times);
            let size = size(reading);
            if bytes + size > CHUNK_BYTES_MAX && !values.is_empty() {
                break;
            }
            bytes += size;
            to = reading.time;
            values.push(value);
            buffer.waiting.pop_front();
        }
        let count = u64::try_from(values.len()).unwrap_or(u64::MAX);
        Some(Chunk { values: serde_json::Value::Array(values), count, from, to })
    }

    /// What was dropped since the last call.
    pub(super) fn take_dropped(&self) -> Option<Dropped> {
        lock(&self.0).dropped.take()
    }

    /// It could not be told: it is told later, with what is dropped until then.
    pub(super) fn put_back_dropped(&self, dropped: Dropped) {
        let mut buffer = lock(&self.0);
        buffer.dropped = Some(merged(buffer.dropped, dropped));
    }
}

fn merged(all: Option<Dropped>, more: Dropped) -> Dropped {
    all.map_or(more, |all| Dropped {
        from: all.from.min(more.from),
        to: all.to.max(more.to),
        count: all.count.saturating_add(more.count),
        too_large: all.too_large.saturating_add(more.too_large),
    })
}

/// One poll's readings share a stamp: the last one formatted is kept.
struct Times<'a> {
    origin: &'a Origin,
    cached: Option<(Wall, String)>,
}

impl Times<'_> {
    fn text(&mut self, at: Wall) -> String {
        match &self.cached {
            Some((cached, text)) if *cached == at => text.clone(),
            Some(_) | None => {
                let text = self.origin.time(at);
                self.cached = Some((at, text.clone()));
                text
            }
        }
    }
}

#[derive(Serialize)]
struct Encoded<'a> {
    tag: &'a str,
    value: &'a Option<Value>,
    quality: String,
    time: String,
}

fn encoded(reading: &Reading, times: &mut Times<'_>) -> serde_json::Value {
    serde_json::json!(Encoded {
        tag: &reading.tag,
        value: &reading.value,
        quality: reading.quality.to_string(),
        time: times.text(reading.time),
    })
}

/// At most what the reading takes as JSON: keys, stamp and quality 128 bytes, the tag and a text with every
/// character escaped.
fn size(reading: &Reading) -> usize {
    let text = match &reading.value {
        Some(Value::Text(text)) => text.len() * 6,
        Some(Value::Bool(_) | Value::Int(_) | Value::Float(_)) | None => 24,
    };
    128 + reading.tag.len() * 2 + text
}

// A poisoned lock means that an offer panicked between two complete pushes: the buffer is whole.
fn lock(buffer: &Mutex<Buffer>) -> MutexGuard<'_, Buffer> {
    buffer.lock().unwrap_or_else(PoisonError::into_inner)
}
