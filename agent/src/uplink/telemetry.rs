//! Readings on their way upstream: by exception, in memory, batched.
//!
//! A reading goes when it has moved by its point's deadband since the last that went, when its quality is
//! another, or when the heartbeat is due. The pump offers readings and never waits. What is not acknowledged
//! in time goes to the spool; beyond the bound of the memory the oldest are dropped, counted by class, and
//! told upstream as a gap.

mod chunk;
mod dropped;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use riskgate_engine::Class;
use riskgate_point::{Mono, Quality, Sample, Value, Wall};
use serde::Deserialize;
use tokio::time::Instant;

pub(super) use chunk::{CHUNK_BYTES_MAX, Chunk, Name, Values};
pub(super) use dropped::{CLASSES, Dropped};

use super::spool::Standing;
use chunk::size;

/// Readings that wait. At about 100 bytes each 10 MB, and 10 s of the largest change rate that the smallest
/// gateway carries, or 100 points that change each second for a quarter of an hour.
pub(super) const READINGS_MAX: usize = 100_000;

/// Room that is kept for readings when none waits: a second of a living plant.
const READINGS_KEPT: usize = 2_048;

/// The longest text that goes upstream as a reading. With every character escaped it fits a chunk.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// What is known of a point whose readings go upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub tag: Arc<str>,
    pub class: Class,
    /// A number that moved by less than this is no news.
    pub deadband: f64,
}

/// One reading, as it goes upstream and to the spool.
#[derive(Debug, Clone, PartialEq, serde::Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) tag: Arc<str>,
    pub(super) class: Class,
    pub(super) value: Option<Value>,
    pub(super) quality: Quality,
    /// When it was received; of the past, when it was.
    pub(super) time: Wall,
}

/// The pump's end.
#[derive(Clone)]
pub struct TelemetrySender(Arc<Mutex<Buffer>>);

/// The uplink's end.
#[derive(Clone)]
pub struct TelemetryReceiver(Arc<Mutex<Buffer>>);

#[derive(Default)]
struct Buffer {
    /// Of this run, so that no other gives its messages the same names.
    run: u64,
    /// In the order of the plant's points: a look-up by tag would cost more than judging the sample.
    last: Vec<Option<Last>>,
    waiting: VecDeque<Reading>,
    /// The first of them went under these names already.
    named: VecDeque<Named>,
    /// Readings that ever came to wait: the last of them has this number.
    came: u64,
    dropped: Option<Dropped>,
    /// What a gap is being written of, where no spool counts it, and the moment that it is told under.
    telling: Option<(Dropped, Wall)>,
    heartbeat: Option<Duration>,
    off: bool,
    out: Out,
}

/// What a connection has in hand: taken, and neither acknowledged nor put back. The same readings are here, so that
/// they can be spooled while it waits.
#[derive(Default)]
struct Out {
    chunks: BTreeMap<u64, Held>,
    last: u64,
    /// Readings up to this number were in hand before, since then.
    bounced: Option<(u64, Instant)>,
    /// Of chunks in the spool, by their place, a reading that upstream will not take.
    refused: BTreeMap<i64, usize>,
}

/// So many readings that wait went under a name before: unless they have to be cut anew they go under it again, and a
/// receiver who has them knows them by it.
struct Named {
    name: Name,
    n: usize,
}

struct Held {
    chunk: Chunk,
    /// Of the newest of them.
    number: u64,
    since: Instant,
    kept: Kept,
}

enum Kept {
    InMemory,
    BeingSpooled,
    /// Its place there.
    Spooled(i64),
}

/// What a point read last. Another plant may have given its place to another tag.
struct Last {
    tag: Arc<str>,
    value: Option<Value>,
    quality: Quality,
    at: Mono,
}

pub fn channel() -> (TelemetrySender, TelemetryReceiver) {
    let buffer = Arc::new(Mutex::new(Buffer { run: fastrand::u64(..), ..Buffer::default() }));
    (TelemetrySender(Arc::clone(&buffer)), TelemetryReceiver(buffer))
}

impl TelemetrySender {
    /// Keeps the samples that are news of their point, each under its tag. What
    /// is read of the past is kept with the time that it was, where it has one: it is no point's present
    /// value. Never waits.
    pub fn offer<'a>(&self, samples: impl IntoIterator<Item = (&'a Told, &'a Sample)>) {
        let mut buffer = lock(&self.0);
        if buffer.off {
            return;
        }
        for (told, sample) in samples {
            let time = if sample.backfill {
                sample.source_time
            } else {
                buffer.is_news(told, sample).then_some(sample.received.wall)
            };
            if let Some(time) = time {
                let (tag, value) = (Arc::clone(&told.tag), sample.value.clone());
                buffer.keep(Reading { tag, class: told.class, value, quality: sample.quality, time });
            }
        }
    }
}

impl Buffer {
    fn keep(&mut self, reading: Reading) {
        if let Some(Value::Text(text)) = &reading.value
            && text.len() > TEXT_BYTES_MAX
        {
            self.drop_one(&reading, 1);
            return;
        }
        self.waiting.push_back(reading);
        self.came += 1;
        self.fit();
    }

    /// Of the oldest that waits, or of the next that comes.
    fn number_of_first(&self) -> u64 {
        self.came.saturating_sub(u64::try_from(self.waiting.len()).unwrap_or(u64::MAX)) + 1
    }

    fn fit(&mut self) {
        while self.waiting.len() > READINGS_MAX
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.drop_one(&oldest, 0);
            self.rename(1);
        }
    }

    /// So many of the first readings go: the name that they went under before, if they did.
    fn rename(&mut self, n: usize) -> Option<Name> {
        let named = self.named.front_mut()?;
        if n >= named.n {
            return self.named.pop_front().map(|named| named.name);
        }
        let (name, rest) = (named.name.part(named.n, 0), named.name.part(named.n, n));
        (named.name, named.n) = (rest, named.n - n);
        Some(name)
    }

    fn is_news(&mut self, told: &Told, sample: &Sample) -> bool {
        let Ok(place) = usize::try_from(sample.point.0) else { return true };
        if self.last.len() <= place {
            if self.last.capacity() <= place {
                // A large plant's points come in their order: doubled, half of it could stay empty for good.
                self.last.reserve_exact(place + 1 + place / 16 - self.last.len());
            }
            self.last.resize_with(place + 1, || None);
        }
        let heartbeat = self.heartbeat;
        let Some(last) = self.last.get_mut(place) else { return true };
        match last {
            Some(last) if Arc::ptr_eq(&last.tag, &told.tag) || last.tag == told.tag => {
                let due = heartbeat.is_some_and(|every| sample.received.mono.since(last.at) >= every);
                if !due
                    && last.quality == sample.quality
                    && last.is_near(sample.value.as_ref(), told.deadband)
                {
                    return false;
                }
                last.value.clone_from(&sample.value);
                (last.quality, last.at) = (sample.quality, sample.received.mono);
            }
            Some(_) | None => {
                let (tag, value) = (Arc::clone(&told.tag), sample.value.clone());
                *last = Some(Last { tag, value, quality: sample.quality, at: sample.received.mono });
            }
        }
        true
    }

    fn drop_one(&mut self, reading: &Reading, too_large: u64) {
        let dropped = Dropped::of(std::slice::from_ref(reading)).map(|one| Dropped { too_large, ..one });
        self.dropped = Dropped::merged(self.dropped, dropped);
    }
}

impl Last {
    /// Numbers that differ by less than the deadband; anything else must be the same.
    fn is_near(&self, value: Option<&Value>, deadband: f64) -> bool {
        match (&self.value, value) {
            (Some(Value::Float(last)), Some(Value::Float(value))) => {
                last == value || (last.get() - value.get()).abs() < deadband
            }
            (last, value) => last.as_ref() == value,
        }
    }
}

impl TelemetryReceiver {
    /// Telemetry is configured off: nothing is kept, and nothing counts as lost.
    pub(super) fn turn_off(&self) {
        let mut buffer = lock(&self.0);
        *buffer = Buffer { off: true, ..Buffer::default() };
    }

    /// A point that does not move is told again after this time, with the next reading of it.
    pub(super) fn set_heartbeat(&self, every: Duration) {
        lock(&self.0).heartbeat = Some(every);
    }

    /// How many wait, and the number of the last that came.
    pub(crate) fn waiting(&self) -> (usize, u64) {
        let buffer = lock(&self.0);
        (buffer.waiting.len(), buffer.came)
    }

    /// Those that wait and came not after the reading of this number.
    pub(super) fn take_until(&self, number: u64) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        // Whole messages: a few younger ones may go along.
        while lock(&self.0).number_of_first() <= number
            && let Some(chunk) = self.take(CHUNK_BYTES_MAX)
        {
            chunks.push(chunk);
        }
        chunks
    }

    /// Nobody acknowledged them: they wait again, before all others. What was spooled meanwhile waits there.
    pub(super) fn put_back(&self, chunks: Vec<Chunk>) {
        let mut buffer = lock(&self.0);
        for chunk in chunks.into_iter().rev() {
            let held = chunk.ticket.and_then(|ticket| buffer.out.chunks.remove(&ticket));
            if let Some(Held { kept, number, since, .. }) = held {
                if matches!(kept, Kept::Spooled(_)) {
                    continue;
                }
                let (newest, oldest) = buffer.out.bounced.unwrap_or((number, since));
                buffer.out.bounced = Some((newest.max(number), oldest.min(since)));
            }
            let readings = Arc::try_unwrap(chunk.readings).unwrap_or_else(|shared| shared.to_vec());
            if !readings.is_empty() {
                buffer.named.push_front(Named { name: chunk.name, n: readings.len() });
            }
            for reading in readings.into_iter().rev() {
                buffer.waiting.push_front(reading);
            }
        }
        buffer.fit();
    }

    /// The oldest readings, as many as fit into `bytes_max`, and at least one.
    pub(super) fn take(&self, bytes_max: usize) -> Option<Chunk> {
        let mut buffer = lock(&self.0);
        let first = buffer.waiting.front()?.time;
        let (mut n, mut bytes, mut from, mut to) = (0, 0, first, first);
        let together = buffer.named.front().map_or(usize::MAX, |named| named.n);
        for reading in buffer.waiting.iter().take(together) {
            let size = size(reading);
            if bytes + size > bytes_max && n > 0 {
                break;
            }
            (n, bytes) = (n + 1, bytes + size);
            (from, to) = (from.min(reading.time), to.max(reading.time));
        }
        let oldest = buffer.number_of_first();
        let readings: Arc<Vec<Reading>> = Arc::new(buffer.waiting.drain(..n).collect());
        let number = buffer.number_of_first().saturating_sub(1);
        if buffer.waiting.is_empty() {
            // What the first readings of all points or an outage needed is given back.
            buffer.waiting.shrink_to(READINGS_KEPT);
        }
        let name = buffer.rename(n);
        let run = buffer.run;
        let out = &mut buffer.out;
        out.bounced.take_if(|(newest, _)| *newest < oldest);
        let since = out.bounced.map_or_else(Instant::now, |(_, since)| since);
        out.last += 1;
        let ticket = out.last;
        let name = name.unwrap_or_else(|| Name::new(format!("{run:016x}-{ticket}")));
        let chunk = Chunk { readings, from, to, name, ticket: None, spooled: None };
        let taken = Chunk { ticket: Some(ticket), ..chunk.clone() };
        out.chunks.insert(ticket, Held { chunk, number, since, kept: Kept::InMemory });
        Some(taken)
    }

    /// Upstream has them, or they are on disk, or are counted as lost. Gives their place in the spool, if they are
    /// there by now.
    pub(super) fn settled(&self, ticket: Option<u64>) -> Option<i64> {
        match lock(&self.0).out.chunks.remove(&ticket?)?.kept {
            Kept::Spooled(place) => Some(place),
            Kept::InMemory | Kept::BeingSpooled => None,
        }
    }

    /// What a connection has had in hand for so long, to be spooled. The caller says what came of it.
    pub(super) fn take_held(&self, after: Duration) -> Vec<(u64, Chunk)> {
        let mut buffer = lock(&self.0);
        let mut late = Vec::new();
        for (ticket, held) in &mut buffer.out.chunks {
            if matches!(held.kept, Kept::InMemory) && held.since.elapsed() >= after {
                held.kept = Kept::BeingSpooled;
                late.push((*ticket, held.chunk.clone()));
            }
        }
        late
    }

    /// It is in the spool at this place. False where nobody holds it any more: it is to be taken out again.
    pub(super) fn held_is_spooled(&self, ticket: u64, place: i64) -> bool {
        match lock(&self.0).out.chunks.get_mut(&ticket) {
            Some(held) => {
                held.kept = Kept::Spooled(place);
                true
            }
            None => false,
        }
    }

    /// It could not be: it is tried again. Where it is there all the same, and could only not be taken out, it goes
    /// once more under its name.
    pub(super) fn held_is_not_spooled(&self, ticket: u64) {
        if let Some(held) = lock(&self.0).out.chunks.get_mut(&ticket)
            && matches!(held.kept, Kept::BeingSpooled)
        {
            held.kept = Kept::InMemory;
        }
    }

    /// What is known here of a chunk in the spool.
    pub(super) fn standing(&self, place: i64) -> Standing {
        let out = &lock(&self.0).out;
        let is_it = |held: &Held| matches!(held.kept, Kept::Spooled(there) if there == place);
        if out.refused.contains_key(&place) {
            Standing::Refused
        } else if out.chunks.values().any(is_it) {
            Standing::Held
        } else {
            Standing::Free
        }
    }

    /// Upstream will not take this reading: it is counted, and leaves the spool where it is there.
    pub(super) fn refused(&self, chunk: &Chunk) {
        let place = chunk.spooled.or_else(|| self.settled(chunk.ticket));
        match (place, Dropped::of(&chunk.readings)) {
            (Some(place), _) => {
                // From there its parts are counted; what was held is there as a whole of its own.
                let which = if chunk.spooled.is_some() { chunk.behind() } else { 0 };
                lock(&self.0).out.refused.insert(place, which);
            }
            (None, Some(dropped)) => self.put_back_dropped(Dropped { refused: dropped.count, ..dropped }),
            (None, None) => {}
        }
    }

    /// A chunk in the spool of which a reading is to be taken out, and which one.
    pub(super) fn to_refuse(&self) -> Option<(i64, usize)> {
        lock(&self.0).out.refused.first_key_value().map(|(place, which)| (*place, *which))
    }

    pub(super) fn has_refused(&self, place: i64) {
        lock(&self.0).out.refused.remove(&place);
    }

    /// The spool is another one: what a connection has in hand is in memory alone.
    pub(super) fn spool_is_new(&self) {
        let out = &mut lock(&self.0).out;
        out.refused.clear();
        out.chunks.values_mut().for_each(|held| held.kept = Kept::InMemory);
    }

    /// Something was in hand for so long and is in memory alone, or was dropped and is not told yet.
    pub(super) fn owes(&self, after: Duration) -> bool {
        let buffer = lock(&self.0);
        let in_memory = |held: &Held| !matches!(held.kept, Kept::Spooled(_));
        let late = |held: &Held| in_memory(held) && held.since.elapsed() >= after;
        buffer.dropped.is_some() || buffer.telling.is_some() || buffer.out.chunks.values().any(late)
    }

    /// What was dropped since the last call.
    pub(super) fn take_dropped(&self) -> Option<Dropped> {
        lock(&self.0).dropped.take()
    }

    /// What a gap is to tell now. Until [`TelemetryReceiver::told_dropped`] it is the same each time, so that a gap
    /// whose writing nobody waited for is told again under one id.
    pub(super) fn begin_telling(&self, now: Wall) -> Option<(Dropped, Wall)> {
        let mut buffer = lock(&self.0);
        if buffer.telling.is_none() {
            buffer.telling = buffer.dropped.take().map(|dropped| (dropped, now));
        }
        buffer.telling
    }

    pub(super) fn told_dropped(&self) {
        lock(&self.0).telling = None;
    }

    /// Nobody writes that gap any more: what it was of counts with the rest.
    pub(super) fn end_telling(&self) {
        let mut buffer = lock(&self.0);
        let told = buffer.telling.take().map(|(dropped, _)| dropped);
        buffer.dropped = Dropped::merged(told, buffer.dropped);
    }

    /// It could not be told: it is told later, with what is dropped until then.
    pub(super) fn put_back_dropped(&self, dropped: Dropped) {
        let mut buffer = lock(&self.0);
        buffer.dropped = Dropped::merged(buffer.dropped, Some(dropped));
    }
}

// A poisoned lock means that an offer panicked between two complete pushes: the buffer is whole.
fn lock(buffer: &Mutex<Buffer>) -> MutexGuard<'_, Buffer> {
    buffer.lock().unwrap_or_else(PoisonError::into_inner)
}
