//! Which samples are kept: what is new, what fell silent, and once in a while what is in force. Pure.

use std::sync::Arc;
use std::time::Duration;

use riskgate_engine::Plant;
use riskgate_point::{BadReason, Mono, Now, PointId, Quality, Sample, SourceId, Value, Wall};

use super::Reading;
use super::queue::Item;

/// What is in force is written again after so long: a reader looks back no further for the value at the
/// beginning of a time, and what a quiet point costs is below 1 KiB a day.
pub(super) const REPEAT_EVERY: Duration = Duration::from_secs(15 * 60);
/// Between two looks over all points.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(60);
/// A point that is in the plant has two samples no further apart than this.
pub(super) const APART_MAX: Duration =
    Duration::from_secs(REPEAT_EVERY.as_secs() + LOOK_EVERY.as_secs() + 60);

pub(super) struct Keeper {
    plant: Arc<Plant>,
    points: Vec<Point>,
    /// The newest keep-alive of each source.
    refreshed: Vec<Option<Now>>,
    looked: Option<Mono>,
}

#[derive(Clone)]
struct Point {
    source: SourceId,
    /// What is configured is a week at most.
    stale_after_ms: u32,
    /// Rules ask how old it is and nothing else: a reading of another time is new, be the value the same.
    by_age: bool,
    /// `None`: nothing is known to be in the history, so the next sample is kept.
    last: Option<Last>,
}

#[derive(Clone)]
struct Last {
    value: Option<Value>,
    quality: Quality,
    source_time: Option<Wall>,
    kept: Mono,
    refreshed: Mono,
    /// A sample says that it fell silent.
    silent: bool,
    /// The history may not have it.
    untold: bool,
}

impl Keeper {
    pub(super) fn new(plant: &Arc<Plant>) -> Self {
        let point = |(id, point): (PointId, &riskgate_engine::PointDraft)| Point {
            source: point.source,
            stale_after_ms: u32::try_from(point.stale_after.as_millis()).unwrap_or(u32::MAX),
            by_age: plant.is_told_by_age(id),
            last: None,
        };
        let points = (0..).map(PointId).zip(plant.points()).map(point).collect();
        Self { plant: Arc::clone(plant), points, refreshed: vec![None; plant.sources().len()], looked: None }
    }

    /// The same under the numbers of another plant: points by tag, of sources by id. A source that goes on says nothing
    /// anew, so what is known of its points is what they read. One that may be silent for less time than before was
    /// judged as good up to `now`: its silence begins no earlier. What is `kept` is of the points of the new plant.
    pub(super) fn set_plant(&mut self, plant: &Arc<Plant>, now: Now, kept: &mut Vec<Item>) {
        let mut moved = Self { looked: self.looked, ..Self::new(plant) };
        let before = |id: SourceId| {
            let name = plant.source(id).map(|source| source.id.as_str());
            let at = self.plant.sources().iter().position(|source| Some(source.id.as_str()) == name)?;
            u16::try_from(at).ok().map(SourceId)
        };
        let sources: Vec<Option<SourceId>> =
            (0..moved.refreshed.len()).map(|at| before(SourceId(u16::try_from(at).ok()?))).collect();
        for (refreshed, before) in moved.refreshed.iter_mut().zip(&sources) {
            *refreshed = before.and_then(|id| self.refreshed.get(usize::from(id.0)).copied().flatten());
        }
        for ((id, draft), point) in (0..).map(PointId).zip(plant.points()).zip(&mut moved.points) {
            let old = self.plant.point_id(&draft.tag).and_then(|id| usize::try_from(id.0).ok());
            let old = old.and_then(|at| self.points.get_mut(at));
            let source = usize::from(point.source.0);
            let of = sources.get(source).copied().flatten();
            let Some(old) = old.filter(|old| Some(old.source) == of) else { continue };
            let (before, after) = (old.stale_after(), point.stale_after());
            point.last = old.last.take();
            if let Some(last) = point.last.as_mut().filter(|_| after < before) {
                let of_source = moved.refreshed.get(source).copied().flatten();
                let fresh_until = last.fresh(of_source).after(before).min(now.mono);
                kept.extend(last.fall_silent(id, after, of_source, now, fresh_until));
            }
        }
        *self = moved;
    }

    /// Something was lost on the way: of each point what comes next is kept, or else what is in force.
    pub(super) fn forget(&mut self) {
        self.points.iter_mut().filter_map(|point| point.last.as_mut()).for_each(|last| last.untold = true);
    }

    pub(super) fn sample(&mut self, sample: &Sample, kept: &mut Vec<Item>) {
        let Some(point) = usize::try_from(sample.point.0).ok().and_then(|at| self.points.get_mut(at)) else {
            // The engine counts it as stray.
            return;
        };
        if sample.backfill {
            kept.push(item(sample.point, reading(sample)));
            return;
        }
        let received = sample.received;
        let of_source = self.refreshed.get(usize::from(point.source.0)).copied().flatten();
        let stale_after = point.stale_after();
        if let Some(last) = &mut point.last {
            kept.extend(last.fall_silent(sample.point, stale_after, of_source, received, Mono(0)));
            last.refreshed = received.mono;
            let moved = point.by_age && last.source_time != sample.source_time;
            last.source_time = sample.source_time;
            if !moved
                && !last.silent
                && !last.untold
                && last.value == sample.value
                && last.quality == sample.quality
            {
                return;
            }
        }
        kept.push(item(sample.point, reading(sample)));
        point.last = Some(Last {
            value: sample.value.clone(),
            quality: sample.quality,
            source_time: sample.source_time,
            kept: received.mono,
            refreshed: received.mono,
            silent: false,
            untold: false,
        });
    }

    pub(super) fn refreshed(&mut self, source: SourceId, at: Now) {
        if let Some(refreshed) = self.refreshed.get_mut(usize::from(source.0)) {
            *refreshed = Some(at);
        }
    }

    pub(super) fn turn(&mut self, now: Now, kept: &mut Vec<Item>) {
        if self.looked.is_some_and(|looked| now.mono.since(looked) < LOOK_EVERY) {
            return;
        }
        self.looked = Some(now.mono);
        for (id, point) in (0..).map(PointId).zip(&mut self.points) {
            let stale_after = point.stale_after();
            let Some(last) = &mut point.last else { continue };
            let of_source = self.refreshed.get(usize::from(point.source.0)).copied().flatten();
            kept.extend(last.fall_silent(id, stale_after, of_source, now, Mono(0)));
            kept.extend(last.speak_again(id, stale_after, of_source, now));
            if last.untold || now.mono.since(last.kept) >= REPEAT_EVERY {
                kept.push(item(id, last.in_force(now.wall)));
                last.kept = now.mono;
                last.untold = false;
            }
        }
    }
}

impl Point {
    fn stale_after(&self) -> Duration {
        Duration::from_millis(u64::from(self.stale_after_ms))
    }
}

impl Last {
    /// When the point was last known to read what it reads.
    fn fresh(&self, of_source: Option<Now>) -> Mono {
        of_source.map_or(self.refreshed, |source| source.mono.max(self.refreshed))
    }

    /// A sample that says so, at the moment when the point turned stale, which was not before `earliest`.
    fn fall_silent(
        &mut self,
        id: PointId,
        after: Duration,
        of_source: Option<Now>,
        now: Now,
        earliest: Mono,
    ) -> Option<Item> {
        let stale = self.fresh(of_source).after(after).max(earliest);
        if self.silent || self.quality.is_bad() || stale > now.mono {
            return None;
        }
        self.silent = true;
        self.kept = stale;
        let ago = i64::try_from(now.mono.since(stale).as_millis()).unwrap_or(i64::MAX);
        Some(item(id, self.in_force(Wall(now.wall.0.saturating_sub(ago)))))
    }

    /// Its source is alive again: it reads what it read before.
    fn speak_again(
        &mut self,
        id: PointId,
        after: Duration,
        of_source: Option<Now>,
        now: Now,
    ) -> Option<Item> {
        let source = of_source.filter(|source| self.silent && source.mono.after(after) > now.mono)?;
        self.silent = false;
        self.kept = source.mono;
        Some(item(id, self.in_force(source.wall)))
    }

    fn in_force(&self, at: Wall) -> Reading {
        if self.silent {
            let quality = Quality::Bad(BadReason::Stale);
            return Reading { at, source_time: None, value: None, quality, backfill: false };
        }
        Reading {
            at,
            source_time: self.source_time,
            value: self.value.clone(),
            quality: self.quality,
            backfill: false,
        }
    }
}

fn reading(sample: &Sample) -> Reading {
    Reading {
        at: sample.received.wall,
        source_time: sample.source_time,
        value: sample.value.clone(),
        quality: sample.quality,
        backfill: sample.backfill,
    }
}

fn item(point: PointId, reading: Reading) -> Item {
    Item::Sample(point, reading)
}
