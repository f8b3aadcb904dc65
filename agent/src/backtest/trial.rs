//! One configuration over the stream: its engine, and who watches what it decides.

use std::sync::Arc;

use riskgate_engine::{Effect, Engine, Epoch, Plant, Restored};
use riskgate_point::{Link, Mono, Now, PointId, Report, Sample, SourceId, Wall};
use uuid::Uuid;

use super::tags::{Tags, Told};
use super::watch::{Run, Watch};

/// Where the clock of judging stands when the first reading comes: windows look back from there.
const BEGINS: Mono = Mono(40 * 24 * 3600 * 1_000_000_000);
/// Ids of hazards are of no one's store.
const EPOCH: Epoch = Epoch(Uuid::nil());

pub(super) struct Trial {
    engine: Engine,
    begun: Now,
    /// The point of each tag, as far as tags are known.
    places: Vec<Option<PointId>>,
    watch: Watch,
    effects: Vec<Effect>,
}

impl Trial {
    pub(super) fn begin(plant: Plant, first: Wall) -> Self {
        let begun = Now { mono: BEGINS, wall: first };
        let plant = Arc::new(plant);
        let mut effects = Vec::new();
        let mut engine = Engine::new(Arc::clone(&plant), EPOCH, Restored::default(), begun, &mut effects);
        let sources = (0..plant.sources().len()).filter_map(|at| u16::try_from(at).ok()).map(SourceId);
        for source in sources.filter(|source| plant.points_of(*source).next().is_some()) {
            engine.handle(Report::Link { source, link: Link::Up, at: begun }, begun, &mut effects);
        }
        engine.count_unknown();
        let watch = Watch::over(&plant);
        let mut trial = Self { engine, begun, places: Vec::new(), watch, effects };
        trial.look();
        trial
    }

    pub(super) fn plant(&self) -> &Plant {
        self.engine.plant()
    }

    pub(super) fn feed(&mut self, tags: &Tags, told: Told) {
        let now = self.at(told.at);
        self.pass(now);
        let Some(point) = self.point(tags, told.tag) else { return };
        let sample = Sample {
            point,
            value: told.value,
            quality: told.quality,
            source_time: None,
            received: now,
            backfill: false,
        };
        self.engine.handle(Report::Sample(sample), now, &mut self.effects);
        self.look();
    }

    /// Every deadline up to `now`, each at its own time.
    fn pass(&mut self, now: Now) {
        while let Some((due, _)) = self.engine.poll_timeout().filter(|(due, _)| *due <= now.mono) {
            let passed = i64::try_from(due.since(self.begun.mono).as_millis()).unwrap_or(i64::MAX);
            let at = Now { mono: due, wall: Wall(self.begun.wall.0.saturating_add(passed)) };
            self.engine.handle_timeout(at, &mut self.effects);
            self.look();
        }
    }

    fn look(&mut self) {
        if !self.effects.is_empty() {
            self.effects.iter().for_each(|effect| self.watch.see(effect));
            self.effects.clear();
        }
    }

    fn at(&self, wall: Wall) -> Now {
        let passed = u64::try_from(wall.0.saturating_sub(self.begun.wall.0)).unwrap_or(0);
        Now { mono: Mono(self.begun.mono.0.saturating_add(passed.saturating_mul(1_000_000))), wall }
    }

    fn point(&mut self, tags: &Tags, tag: u32) -> Option<PointId> {
        let at = usize::try_from(tag).ok()?;
        while self.places.len() <= at && self.places.len() < tags.len() {
            let next = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
            self.places.push(self.engine.plant().point_id(tags.name(next)));
        }
        self.places.get(at).copied().flatten()
    }

    /// What was seen, up to the last reading.
    pub(super) fn end(mut self, last: Wall, tags: &Tags) -> Run {
        let now = self.at(last);
        self.pass(now);
        let unknown = self.engine.unknown_times(now.mono);
        let whole = now.mono.since(self.begun.mono);
        self.watch.run(self.engine.plant(), &unknown, whole, tags)
    }
}
