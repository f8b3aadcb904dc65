//! Readings on their way upstream: only changes, in memory, batched.
//!
//! The pump offers readings and never waits. While the link is down they are kept up to a bound; beyond it
//! the oldest are dropped, counted, and told upstream as a gap. A chunk that was sent and not acknowledged
//! is sent again on the next connection. Nothing here survives the end of the process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use riskgate_point::{Quality, Sample, Value, Wall};
use serde::ser::{Serialize, SerializeSeq, Serializer};

use super::wire::Origin;

/// Readings that wait. At about 100 bytes each 10 MB, and 10 s of the largest change rate that the smallest
/// gateway carries, or 100 points that change each second for a quarter of an hour.
pub(super) const READINGS_MAX: usize = 100_000;

/// The readings of one message. A packet may have 256 KiB; half of it leaves room for any envelope, and a
/// lost packet costs little.
pub(super) const CHUNK_BYTES_MAX: usize = 120 * 1024;

/// Room that is kept for readings when none waits: a second of a living plant.
const READINGS_KEPT: usize = 2_048;

/// The longest text that goes upstream as a reading. With every character escaped it fits a chunk.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// One reading, as it goes upstream.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) tag: Arc<str>,
    pub(super) value: Option<Value>,
    pub(super) quality: Quality,
    /// When it was received; of the past, when it was.
    pub(super) time: Wall,
}

/// The pump's end.
#[derive(Clone)]
pub struct TelemetrySender(Arc<Mutex<Buffer>>);

/// The uplink's end.
pub struct TelemetryReceiver(Arc<Mutex<Buffer>>);

#[derive(Default)]
struct Buffer {
    /// In the order of the plant's points: a look-up by tag would cost more than judging the sample.
    last: Vec<Option<Last>>,
    waiting: VecDeque<Reading>,
    dropped: Option<Dropped>,
    off: bool,
}

/// What a point read last. Another plant may have given its place to another tag.
struct Last {
    tag: Arc<str>,
    value: Option<Value>,
    quality: Quality,
}

/// Readings that upstream will never have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) from: Wall,
    pub(super) to: Wall,
    pub(super) count: u64,
    /// Of these, how many were too large to be sent at all.
    pub(super) too_large: u64,
    /// Of these, how many the broker would not take.
    pub(super) refused: u64,
}

/// The readings of one message. They become JSON when it is sent: until then they are a tenth as large.
#[derive(Debug, PartialEq)]
pub(super) struct Chunk {
    pub(super) readings: Vec<Reading>,
    pub(super) from: Wall,
    pub(super) to: Wall,
    /// Its place in the spool, if it is there.
    pub(super) spooled: Option<i64>,
}

pub fn channel() -> (TelemetrySender, TelemetryReceiver) {
    let buffer = Arc::new(Mutex::new(Buffer::default()));
    (TelemetrySender(Arc::clone(&buffer)), TelemetryReceiver(buffer))
}

impl TelemetrySender {
    /// Keeps the samples whose value or quality is another than that point's last, each under its tag. What
    /// is read of the past is kept with the time that it was, where it has one: it is no point's present
    /// value. Never waits.
    pub fn offer<'a>(&self, samples: impl IntoIterator<Item = (&'a Arc<str>, &'a Sample)>) {
        let mut buffer = lock(&self.0);
        if buffer.off {
            return;
        }
        for (tag, sample) in samples {
            let time = if sample.backfill {
                sample.source_time
            } else {
                buffer.is_news(tag, sample).then_some(sample.received.wall)
            };
            if let Some(time) = time {
                let (tag, value) = (Arc::clone(tag), sample.value.clone());
                buffer.keep(Reading { tag, value, quality: sample.quality, time });
            }
        }
    }
}

impl Buffer {
    fn keep(&mut self, reading: Reading) {
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

    fn is_news(&mut self, tag: &Arc<str>, sample: &Sample) -> bool {
        let Ok(place) = usize::try_from(sample.point.0) else { return true };
        if self.last.len() <= place {
            self.last.resize_with(place + 1, || None);
        }
        let Some(last) = self.last.get_mut(place) else { return true };
        match last {
            Some(last) if Arc::ptr_eq(&last.tag, tag) || last.tag == *tag => {
                if last.value == sample.value && last.quality == sample.quality {
                    return false;
                }
                last.value.clone_from(&sample.value);
                last.quality = sample.quality;
            }
            Some(_) | None => {
                let (tag, value) = (Arc::clone(tag), sample.value.clone());
                *last = Some(Last { tag, value, quality: sample.quality });
            }
        }
        true
    }

    fn drop_one(&mut self, time: Wall, too_large: u64) {
        let dropped = Dropped { from: time, to: time, count: 1, too_large, refused: 0 };
        self.dropped = Some(merged(self.dropped, dropped));
    }
}

impl TelemetryReceiver {
    /// Telemetry is configured off: nothing is kept, and nothing counts as lost.
    pub(super) fn turn_off(&self) {
        let mut buffer = lock(&self.0);
        *buffer = Buffer { off: true, ..Buffer::default() };
    }

    /// The oldest readings, as many as fit into `bytes_max`, and at least one.
    pub(super) fn take(&self, bytes_max: usize) -> Option<Chunk> {
        let mut buffer = lock(&self.0);
        let first = buffer.waiting.front()?.time;
        let (mut n, mut bytes, mut from, mut to) = (0, 0, first, first);
        for reading in &buffer.waiting {
            let size = size(reading);
            if bytes + size > bytes_max && n > 0 {
                break;
            }
            (n, bytes) = (n + 1, bytes + size);
            (from, to) = (from.min(reading.time), to.max(reading.time));
        }
        let readings = buffer.waiting.drain(..n).collect();
        if buffer.waiting.is_empty() {
            // What the first readings of all points or an outage needed is given back.
            buffer.waiting.shrink_to(READINGS_KEPT);
        }
        Some(Chunk { readings, from, to, spooled: None })
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
        refused: all.refused.saturating_add(more.refused),
    })
}

impl Chunk {
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.readings.len()).unwrap_or(u64::MAX)
    }

    /// At most what its readings take as JSON.
    pub(super) fn bytes(&self) -> usize {
        self.readings.iter().map(size).sum()
    }

    /// Two of half as many readings; one that has a single reading is given back. Where it was spooled, its
    /// second half stands for it there: it goes when that is acknowledged.
    pub(super) fn halves(mut self) -> Result<(Self, Self), Self> {
        if self.readings.len() < 2 {
            return Err(self);
        }
        let second = self.readings.split_off(self.readings.len() / 2);
        let Self { readings, from, to, spooled } = self;
        // Bounds that are a little wide tell nothing wrong.
        Ok((Self { readings, from, to, spooled: None }, Self { readings: second, from, to, spooled }))
    }

    pub(super) fn of(readings: Vec<Reading>, spooled: Option<i64>) -> Option<Self> {
        let from = readings.iter().map(|reading| reading.time).min()?;
        let to = readings.iter().map(|reading| reading.time).max()?;
        Some(Self { readings, from, to, spooled })
    }

    /// As the message has them.
    pub(super) fn values<'a>(&'a self, origin: &'a Origin) -> Values<'a> {
        Values { readings: &self.readings, origin }
    }
}

/// Readings as a JSON array.
pub(super) struct Values<'a> {
    readings: &'a [Reading],
    origin: &'a Origin,
}

#[derive(serde::Serialize)]
struct Encoded<'a> {
    quality: Told,
    tag: &'a str,
    time: &'a str,
    value: &'a Option<Value>,
}

struct Told(Quality);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut values = serializer.serialize_seq(Some(self.readings.len()))?;
        // One poll's readings share a stamp: the last one written is kept.
        let (mut at, mut time) = (None, String::new());
        for reading in self.readings {
            if at != Some(reading.time) {
                time = self.origin.time(reading.time);
                at = Some(reading.time);
            }
            let Reading { tag, value, quality, .. } = reading;
            values.serialize_element(&Encoded { quality: Told(*quality), tag, time: &time, value })?;
        }
        values.end()
    }
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
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
