//! The history's thread: gathers what the pump keeps, and each 5 min writes it in small steps.
//!
//! In memory a point's samples take a few bytes each (`open`), so that five minutes of a large plant fit into a few
//! MB; a block is made of them when it is written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use riskgate_engine::Plant;
use riskgate_point::{Mono, Now, Wall};
use tokio::sync::watch;

use super::codec;
use super::file::{self, Database, Gap, ROW_BYTES, Step, Unusable};
use super::open::Open;
use super::queue::{Item, Queue, Request, Work};
use super::{FILE, FLUSH_EVERY, HistoryError, Limits, Reading, STEP_BYTES_MAX, Status, Unwritten};
use crate::causes::chain;
use crate::events::Event;
use crate::sqlite;

/// What is open of all points: five minutes of 2,000,000 changes. What is beyond is written early; where the disk
/// takes nothing, all is dropped.
const OPEN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Between two tries on a disk that refuses.
const RETRY_EVERY: Duration = Duration::from_secs(60);
/// Between two steps: a commit of the store finds the disk idle at least half of the time.
const STEP_REST: Duration = Duration::from_millis(50);
/// Pages given back with one write: 1 MiB.
const VACUUM_PAGES: u32 = 256;
/// A calendar that moved by so much more or less than the time that passed was set.
const STEP_MIN: Duration = Duration::from_secs(60);
/// So long it is not believed in what is too old: a clock that is wrong is set right within a day.
const UNSURE_FOR: Duration = Duration::from_secs(24 * 3600);
/// Fewer free pages are left for the next blocks.
const FREE_BYTES_MIN: u64 = 4 * 1024 * 1024;

pub(super) struct Writer {
    dir: PathBuf,
    limits: Limits,
    /// As it is now; told at the end of each turn.
    status: Status,
    told: watch::Sender<Status>,
    database: Option<Database>,
    /// Whose points these are, in its order.
    plant: Option<Arc<Plant>>,
    /// Behind them: tags of points that are gone and not yet written.
    gone: Vec<String>,
    /// Their numbers in the file; of another length: not looked up yet.
    ids: Vec<i64>,
    open: Vec<Open>,
    n_open: usize,
    open_bytes: usize,
    /// Room for one reading as it is kept.
    entry: Vec<u8>,
    /// Of everything that is open.
    span: Option<(Wall, Wall)>,
    gaps: Vec<Gap>,
    round: i64,
    /// Of the last round.
    steps: u64,
    began: Now,
    now: Now,
    /// Until then nothing goes by its age.
    unsure_until: Option<Mono>,
    /// The last write, or the last try.
    flushed: Mono,
    /// What earlier files of this run took.
    written_before: u64,
}

impl Writer {
    pub(super) fn open(dir: &std::path::Path, limits: Limits, now: Now, told: watch::Sender<Status>) -> Self {
        let mut writer = Self {
            dir: dir.to_owned(),
            limits,
            status: Status::default(),
            told,
            database: None,
            plant: None,
            gone: Vec::new(),
            ids: Vec::new(),
            open: Vec::new(),
            n_open: 0,
            open_bytes: 0,
            entry: Vec::new(),
            span: None,
            gaps: Vec::new(),
            round: 0,
            steps: 0,
            began: now,
            now,
            unsure_until: None,
            flushed: now.mono,
            written_before: 0,
        };
        if let Err(error) = writer.open_file() {
            writer.failed(&error);
        }
        writer.tell();
        writer
    }

    pub(super) fn run(mut self, queue: &Queue) {
        let _told = ToldOnPanic;
        loop {
            let work = queue.take();
            let closed = work.closed;
            self.take(work);
            let since = self.now.mono.since(self.flushed);
            let full = self.open_bytes >= OPEN_BYTES_MAX;
            let failing = self.status.failed.is_some();
            let due = since >= if failing { RETRY_EVERY } else { FLUSH_EVERY };
            if closed || due || (full && !failing) {
                self.flush(queue);
            }
            if full && self.open_bytes >= OPEN_BYTES_MAX {
                self.drop_open();
            }
            self.tell();
            if closed {
                return;
            }
        }
    }

    fn take(&mut self, work: Work) {
        for item in work.items {
            match item {
                Item::Sample(point, reading) => {
                    let open = usize::try_from(point.0).ok().and_then(|at| self.open.get_mut(at));
                    let Some(open) = open else { continue };
                    let (first, last) = self.span.unwrap_or((reading.at, reading.at));
                    self.span = Some((first.min(reading.at), last.max(reading.at)));
                    self.open_bytes -= open.weight();
                    open.push(&reading, &mut self.entry);
                    self.open_bytes += open.weight();
                    self.n_open += 1;
                }
                Item::Plant(plant) => self.set_plant(plant),
            }
        }
        if let Some(lost) = work.lost {
            self.lose(lost.from, lost.to, lost.count, "queue_full");
        }
        if let Some(now) = work.now {
            self.pass(now);
        }
        self.limits = work.limits.unwrap_or(self.limits);
        for Request { tag, reply } in work.requests {
            let place = tags_of(self.plant.as_ref(), &self.gone).position(|known| known == tag);
            let open = place.and_then(|place| self.open.get(place));
            let readings = open.map(Open::readings).unwrap_or_default();
            // One who has gone away does not wait for the answer.
            drop(reply.send(Unwritten { readings, gaps: self.gaps.clone() }));
        }
    }

    fn pass(&mut self, now: Now) {
        let passed = i128::try_from(now.mono.since(self.now.mono).as_millis()).unwrap_or(i128::MAX);
        let moved = i128::from(now.wall.0) - i128::from(self.now.wall.0);
        if moved.abs_diff(passed) >= STEP_MIN.as_millis() {
            self.unsure_until = Some(now.mono.after(UNSURE_FOR));
        }
        self.now = now;
    }

    fn set_plant(&mut self, plant: Arc<Plant>) {
        let (before, gone) = (self.plant.replace(plant), std::mem::take(&mut self.gone));
        let mut old: BTreeMap<&str, Open> = tags_of(before.as_ref(), &gone)
            .zip(std::mem::take(&mut self.open))
            .filter(|(_, open)| !open.is_empty())
            .collect();
        self.open =
            tags_of(self.plant.as_ref(), &[]).map(|tag| old.remove(tag).unwrap_or_default()).collect();
        for (tag, open) in old {
            self.gone.push(tag.to_owned());
            self.open.push(open);
        }
        self.ids.clear();
    }

    fn lose(&mut self, from: Wall, to: Wall, count: u64, why: &'static str) {
        Event::HistoryDropped { count, why }.emit();
        self.gaps.push(Gap { from, to, why: why.to_owned(), lost: count });
        self.status.dropped += count;
    }

    /// The disk takes nothing and memory is full.
    fn drop_open(&mut self) {
        let count = std::mem::take(&mut self.n_open);
        self.open.iter_mut().for_each(|open| *open = Open::default());
        self.open_bytes = 0;
        if let Some((from, to)) = self.span.take() {
            self.lose(from, to, u64::try_from(count).unwrap_or(u64::MAX), "disk_refuses");
        }
    }

    fn flush(&mut self, queue: &Queue) {
        self.flushed = self.now.mono;
        let done = self.open_file().and_then(|()| self.write(queue)).and_then(|()| self.evict());
        match done {
            Ok(()) => {
                if self.status.failed.is_some() {
                    Event::HistoryWorks.emit();
                }
                self.status.failed = None;
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &HistoryError) {
        if let HistoryError::Sql { source, .. } = error
            && sqlite::is_damage(source)
        {
            // Opened anew, it is found damaged or whole; either way the next try begins afresh.
            self.keep_aside("damaged");
        }
        let why = chain(error);
        if self.status.failed.as_ref() != Some(&why) {
            Event::HistoryFails { why: &why }.emit();
        }
        self.status.failed = Some(why);
    }

    fn keep_aside(&mut self, reason: &'static str) {
        self.written_before += self.database.take().map_or(0, |database| database.written());
        self.ids.clear();
        match sqlite::keep_aside(&self.dir.join(FILE), self.now.wall, file::ASIDES_MAX) {
            Ok(Some(path)) => {
                Event::HistoryKeptAside { path: &path.display().to_string(), reason }.emit();
            }
            // It is gone: a new one begins.
            Ok(None) => {}
            Err(error) => {
                let why = format!("the damaged history cannot be kept aside: {}", chain(&error));
                Event::HistoryFails { why: &why }.emit();
            }
        }
    }

    /// Opens the file if it is not open. One that is damaged makes room for a new one.
    fn open_file(&mut self) -> Result<(), HistoryError> {
        if self.database.is_some() {
            return Ok(());
        }
        let path = self.dir.join(FILE);
        let database = match Database::open(&path, self.now.wall) {
            Ok(database) => database,
            Err(Unusable::Refused(error)) => return Err(error),
            Err(Unusable::Damaged(reason)) => {
                self.keep_aside(reason);
                Database::open(&path, self.now.wall).map_err(|unusable| match unusable {
                    Unusable::Refused(error) => error,
                    Unusable::Damaged(_) => HistoryError::Foreign { path: path.clone() },
                })?
            }
        };
        self.round = database.last_round()?;
        if let Some(known_to) = database.known_to()? {
            // A clock that was set back since says nothing about how long it was.
            let to = self.began.wall.max(known_to);
            self.gaps.push(Gap { from: known_to, to, why: "not_running".to_owned(), lost: 0 });
            // The clock may have been set meanwhile, and nobody saw it.
            let away = known_to.after(UNSURE_FOR);
            if self.began.wall < known_to || self.began.wall > away {
                self.unsure_until = Some(self.began.mono.after(UNSURE_FOR));
            }
        }
        self.database = Some(database);
        Ok(())
    }

    fn write(&mut self, queue: &Queue) -> Result<(), HistoryError> {
        let Some(database) = &mut self.database else { return Ok(()) };
        if self.ids.len() != self.open.len() {
            self.ids = database.points(tags_of(self.plant.as_ref(), &self.gone))?;
        }
        self.round += 1;
        self.steps = 0;
        if let Some((first, last)) = self.span {
            let mut order: Vec<(i64, usize)> = self
                .ids
                .iter()
                .copied()
                .zip(0..)
                .filter(|(_, at)| self.open.get(*at).is_some_and(|open| !open.is_empty()))
                .collect();
            order.sort_unstable();
            let mut step = Step { first: first.0, last: last.0, ..Step::default() };
            let mut in_step = Vec::new();
            for (id, at) in order {
                let Some(open) = self.open.get(at) else { continue };
                let readings = open.readings();
                add(&mut step, id, &readings, first);
                in_step.push((at, readings.len()));
                if step.rows.iter().map(|(_, body)| body.len()).sum::<usize>() >= STEP_BYTES_MAX {
                    database.write(self.round, &step)?;
                    written(&mut self.status, &step);
                    self.steps += 1;
                    clear(&mut self.open, &mut in_step, &mut self.n_open, &mut self.open_bytes);
                    step = Step { first: first.0, last: last.0, ..Step::default() };
                    queue.rest(STEP_REST);
                }
            }
            if !step.rows.is_empty() {
                database.write(self.round, &step)?;
                written(&mut self.status, &step);
                self.steps += 1;
                clear(&mut self.open, &mut in_step, &mut self.n_open, &mut self.open_bytes);
            }
            self.span = None;
        }
        database.end_round(self.now.wall, &self.gaps)?;
        self.gaps.clear();
        self.status.known_to = Some(self.now.wall);
        Ok(())
    }

    /// The oldest steps, as long as they are too many; and those that are too old, of which only a few go with each
    /// write, and none for a day after the clock was set, so that one that is wrong for a while takes nothing away. What
    /// a clock stamped that was ahead holds back nothing behind it.
    fn evict(&mut self) -> Result<(), HistoryError> {
        /// At 256 KiB each.
        const STEPS_MAX: u64 = 64;
        const OLD_STEPS: u64 = 2;
        let Some(database) = &mut self.database else { return Ok(()) };
        let keep = i64::try_from(self.limits.keep.as_millis()).unwrap_or(i64::MAX);
        let too_old = Wall(self.now.wall.0.saturating_sub(keep));
        let sure = self.unsure_until.is_none_or(|until| self.now.mono >= until);
        for n_gone in 0..STEPS_MAX {
            let old = if sure && n_gone < self.steps + OLD_STEPS {
                database.too_old(too_old, self.now.wall)?
            } else {
                None
            };
            let step = match old {
                Some(step) => Some(step),
                None if database.size()?.0 > self.limits.max_bytes => {
                    database.oldest()?.map(|(step, _)| step)
                }
                None => None,
            };
            let Some(step) = step else { break };
            database.evict(step)?;
        }
        let (used, free) = database.size()?;
        if free > FREE_BYTES_MIN && free > used / 8 {
            database.vacuum(VACUUM_PAGES)?;
        }
        Ok(())
    }

    fn tell(&mut self) {
        let database = self.database.as_ref();
        let written = self.written_before + database.map_or(0, |database| database.written());
        // Where they cannot be read, what they were is told on; the next write says why.
        let size = database.and_then(|database| database.size().ok());
        let oldest = database.and_then(|database| database.oldest().ok());
        let status = &mut self.status;
        status.written_bytes = written;
        status.file_bytes = size.map_or(status.file_bytes, |(used, _)| used);
        status.oldest = oldest.map_or(status.oldest, |oldest| oldest.map(|(_, first)| first));
        status.open = u64::try_from(self.n_open).unwrap_or(u64::MAX);
        self.told.send_if_modified(|told| {
            let news = told != status;
            told.clone_from(status);
            news
        });
    }
}

/// In the order of what is open.
fn tags_of<'a>(plant: Option<&'a Arc<Plant>>, gone: &'a [String]) -> impl Iterator<Item = &'a str> {
    let points = plant.map(|plant| plant.points()).unwrap_or_default();
    points.iter().map(|point| point.tag.as_str()).chain(gone.iter().map(String::as_str))
}

/// A block to the last row of the step, or to a new one.
fn add(step: &mut Step, id: i64, readings: &[Reading], base: Wall) {
    let body = codec::encode(readings, base);
    step.samples += u64::try_from(readings.len()).unwrap_or(u64::MAX);
    step.bytes += u64::try_from(body.len()).unwrap_or(u64::MAX);
    step.low = if step.rows.is_empty() { id } else { step.low };
    step.high = id;
    match step.rows.last_mut() {
        Some((first, row)) if row.len() + body.len() <= ROW_BYTES => put(row, id - *first, &body),
        Some(_) | None => {
            let mut row = Vec::with_capacity(body.len() + 4);
            put(&mut row, 0, &body);
            step.rows.push((id, row));
        }
    }
}

/// A point's distance from the first of its row, the length of its block, the block.
fn put(row: &mut Vec<u8>, distance: i64, body: &[u8]) {
    put_varint(row, u64::try_from(distance).unwrap_or(0));
    put_varint(row, u64::try_from(body.len()).unwrap_or(0));
    row.extend_from_slice(body);
}

fn put_varint(row: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        row.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    row.push(u8::try_from(number).unwrap_or(0));
}

fn written(status: &mut Status, step: &Step) {
    status.kept += step.samples;
    status.block_bytes += step.bytes;
}

/// By place, and how many they are.
fn clear(open: &mut [Open], places: &mut Vec<(usize, usize)>, n_open: &mut usize, open_bytes: &mut usize) {
    for (place, count) in places.drain(..) {
        let Some(open) = open.get_mut(place).map(std::mem::take) else { continue };
        *n_open = n_open.saturating_sub(count);
        *open_bytes = open_bytes.saturating_sub(open.weight());
    }
}

/// A thread that breaks is not silent.
struct ToldOnPanic;

impl Drop for ToldOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            Event::HistoryFails { why: "its thread broke; nothing more is kept until the next start" }.emit();
        }
    }
}
