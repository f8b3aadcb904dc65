//! The present: what each point reads, how each source is, where people are, what cameras saw, which alarms
//! sources keep, what work is permitted.
//!
//! It is what rules are judged by. It decides nothing: what follows from a change is the engine's.

use std::collections::BTreeSet;
use std::time::Duration;

use riskgate_point::{BadReason, Link, Mono, Now, PointId, Quality, Sample, SourceId, Value, Wall};
use serde::Serialize;

use crate::calendar::Calendar;
use crate::condition::Conditions;
use crate::expr::{Beyond, PointNow};
use crate::permit::{Permits, Place};
use crate::plant::{LimitTest, Plant, Quiet, Rule};
use crate::presence::Presence;
use crate::vision::Vision;
use crate::world::Here;
use crate::{Class, SourceDraft, Truth};

/// A feed that came up has told by then of every ticket that it keeps: a broker sends what it has retained
/// with its answer to the subscription.
const PERMITS_TOLD_AFTER: Duration = Duration::from_secs(5);

/// How a point is, for screens and telemetry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PointView {
    /// `None` while the quality is bad.
    pub value: Option<Value>,
    pub quality: Quality,
    /// When the last value that was not bad was received.
    pub received: Option<Now>,
    pub source_time: Option<Wall>,
    /// Samples that were not judged: history, or older than what was known.
    pub late: u64,
}

/// How a source is, for screens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceView {
    pub id: SourceId,
    #[serde(flatten)]
    pub link: Link,
    /// Since when it is up, or is not.
    pub since: Wall,
    /// Points by the quality in force.
    pub good: u32,
    pub uncertain: u32,
    pub bad: u32,
    /// The source's clock less ours, at the newest sample that told a time.
    pub source_offset_ms: Option<i64>,
    /// Fixes, sightings and permits that were not judged: history, or older than what was known.
    pub late: u64,
}

#[derive(Debug)]
pub(crate) struct Present {
    pub(crate) points: Vec<PointState>,
    pub(crate) sources: Vec<SourceState>,
    pub(crate) presence: Presence,
    pub(crate) vision: Vision,
    pub(crate) conditions: Conditions,
    pub(crate) permits: Permits,
    pub(crate) calendar: Calendar,
    /// Whether each rule is active; unknown where it is not and nobody knows whether it should be.
    pub(crate) active: Vec<Truth>,
    /// The source of each camera.
    pub(crate) cameras: Vec<SourceId>,
}

#[derive(Debug, Clone)]
pub(crate) struct PointState {
    pub(crate) source: SourceId,
    /// The last value that was not bad.
    pub(crate) value: Option<Value>,
    /// In force now: what was told, or stale.
    pub(crate) quality: Quality,
    /// Of the last sample that was judged.
    told: Quality,
    pub(crate) received: Option<Now>,
    pub(crate) source_time: Option<Wall>,
    refreshed: Mono,
    /// Samples come, and they are older than what is known: a keep-alive does not make it fresh.
    disordered: bool,
    /// Gas, fire or sis, and the last value was beyond a limit when it turned bad: it counts until a
    /// sample says otherwise.
    pub(crate) still_beyond: Option<Beyond>,
    pub(crate) late: u64,
    /// Its fault alarm is active.
    pub(crate) fault: bool,
    /// Around a number that it read, what touches no rule of this plant by a mark.
    pub(crate) quiet: Quiet,
}

#[derive(Debug, Clone)]
pub(crate) struct SourceState {
    pub(crate) link: Link,
    pub(crate) since: Wall,
    /// The same on the time that nobody can set.
    pub(crate) since_mono: Mono,
    /// The last keep-alive or heartbeat.
    refreshed: Mono,
    /// The last fix, sighting, permit, condition, keep-alive or heartbeat.
    heard: Mono,
    /// There was one of these since it is a source of ours.
    pub(crate) was_heard: bool,
    /// Its feed of fixes, sightings or permits was silent for too long.
    pub(crate) silent: bool,
    /// It keeps conditions, and has not told all of them since its link, or some of what it told, was lost.
    pub(crate) untold: bool,
    /// It keeps more conditions or permits than there is room for: what is not here may be among these.
    pub(crate) crowded: bool,
    /// From the loss of the link until something good is heard. A silent feed alone is no lost link: the
    /// points beside it go on.
    pub(crate) lost: bool,
    /// Points that only silence made bad.
    stale: BTreeSet<PointId>,
    pub(crate) offset_ms: Option<i64>,
    pub(crate) late: u64,
    /// Its fault alarm is active.
    pub(crate) fault: bool,
}

/// What a sample did to its point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Heard {
    /// The same value and quality again.
    Same,
    Changed {
        was_bad: bool,
        is_bad: bool,
        /// From one number to another, where both are known and neither is bad.
        step: Option<(f64, f64)>,
    },
    /// History, or older than what is known.
    Late,
}

impl Present {
    /// Nothing was read yet, no link is up.
    pub(crate) fn new(plant: &Plant, now: Now) -> Self {
        let points = plant.points().iter().map(|point| PointState {
            source: point.source,
            value: None,
            quality: Quality::Bad(BadReason::NeverRead),
            told: Quality::Bad(BadReason::NeverRead),
            received: None,
            source_time: None,
            refreshed: now.mono,
            disordered: false,
            still_beyond: None,
            late: 0,
            fault: false,
            quiet: Quiet::NONE,
        });
        let sources = plant.sources().iter().map(|source| SourceState {
            link: Link::Connecting,
            since: now.wall,
            since_mono: now.mono,
            refreshed: Mono(0),
            heard: now.mono,
            was_heard: false,
            silent: false,
            untold: source.events.is_some(),
            crowded: false,
            lost: true,
            stale: BTreeSet::new(),
            offset_ms: None,
            late: 0,
            fault: false,
        });
        Self {
            points: points.collect(),
            sources: sources.collect(),
            presence: Presence::default(),
            vision: Vision::default(),
            conditions: Conditions::default(),
            permits: Permits::default(),
            calendar: Calendar::of(now),
            active: vec![Truth::Unknown; plant.rules().len()],
            cameras: plant.cameras().iter().map(|camera| camera.source).collect(),
        }
    }

    /// The same present under the numbers of another plant: points by tag, sources, zones and cameras by
    /// id. What is new there was never read.
    pub(crate) fn moved(self, old: &Plant, new: &Plant, now: Now) -> Self {
        let mut moved = Self::new(new, now);
        for (draft, state) in new.points().iter().zip(&mut moved.points) {
            let before = old.point_id(&draft.tag).and_then(|id| {
                let same = |of: &Plant, at: SourceId| of.source(at).map(|source| source.id.clone());
                let before = old.point(id)?;
                (same(old, before.source) == same(new, draft.source)).then(|| self.point(id))?
            });
            if let Some(before) = before {
                *state = PointState { source: draft.source, quiet: Quiet::NONE, ..before.clone() };
            }
        }
        for (draft, state) in new.sources().iter().zip(&mut moved.sources) {
            let before = old.sources().iter().zip(&self.sources).find(|(of, _)| of.id == draft.id);
            if let Some((before_draft, before)) = before {
                // A source that only now tells of conditions has not told them yet.
                let untold = draft.events.is_some() && (before.untold || before_draft.events.is_none());
                // Nor has one that only now tells of permits told any.
                let was_heard = before.was_heard && (before_draft.permits || !draft.permits);
                *state = SourceState { stale: BTreeSet::new(), untold, was_heard, ..before.clone() };
            }
        }
        for (id, state) in (0u32..).map(PointId).zip(&moved.points) {
            if state.quality == Quality::Bad(BadReason::Stale)
                && let Some(source) = moved.sources.get_mut(usize::from(state.source.0))
            {
                source.stale.insert(id);
            }
        }
        let zone = |at: u32| match old.zones().get(usize::try_from(at).ok()?) {
            Some(zone) => new.zone_at(&zone.id),
            None => (at == old.outside()).then(|| new.outside()),
        };
        moved.presence = self.presence.renumbered(zone);
        let camera = |at: u32| new.camera_at(&old.cameras().get(usize::try_from(at).ok()?)?.id);
        moved.vision = self.vision.renumbered(camera);
        let source = |id: SourceId| new.source_id(&old.source(id)?.id);
        moved.conditions = self.conditions.renumbered(source);
        moved.permits = self.permits.renumbered(source, |name| place_of(new, name));
        for ((id, draft), state) in (0u16..).map(SourceId).zip(new.sources()).zip(&mut moved.sources) {
            // What one that tells of no permits any more had no room for, nobody will ever tell.
            if !draft.permits {
                moved.permits.begin_anew(id);
            }
            let crowded = draft.events.is_some() && moved.conditions.is_full(id);
            state.crowded = crowded || moved.permits.is_crowded(id);
        }
        moved.calendar = self.calendar;
        moved
    }

    pub(crate) fn point(&self, id: PointId) -> Option<&PointState> {
        self.points.get(usize::try_from(id.0).ok()?)
    }

    pub(crate) fn point_mut(&mut self, id: PointId) -> Option<&mut PointState> {
        self.points.get_mut(usize::try_from(id.0).ok()?)
    }

    pub(crate) fn source(&self, id: SourceId) -> Option<&SourceState> {
        self.sources.get(usize::from(id.0))
    }

    pub(crate) fn source_mut(&mut self, id: SourceId) -> Option<&mut SourceState> {
        self.sources.get_mut(usize::from(id.0))
    }

    /// Takes a sample in. `None`: there is no such point.
    pub(crate) fn sample(&mut self, plant: &Plant, sample: Sample, at: Mono) -> Option<Heard> {
        let point = self.points.get_mut(usize::try_from(sample.point.0).ok()?)?;
        let stale_after = || plant.point(sample.point).map_or(Duration::ZERO, |point| point.stale_after);
        if point.is_late(&sample, at, stale_after) {
            point.late = point.late.saturating_add(1);
            point.disordered |= !sample.backfill;
            return Some(Heard::Late);
        }
        point.refreshed = at;
        point.disordered = false;
        // A value of bad quality is no value; a sample without value is bad whatever it says.
        let (value, quality) = match (sample.value, sample.quality) {
            (_, Quality::Bad(reason)) => (None, Quality::Bad(reason)),
            (None, Quality::Good | Quality::Uncertain(_)) => (None, Quality::Bad(BadReason::NotANumber)),
            (Some(value), quality @ (Quality::Good | Quality::Uncertain(_))) => (Some(value), quality),
        };
        point.told = quality;
        let was = point.quality;
        if was == Quality::Bad(BadReason::Stale) {
            let id = sample.point;
            let source = self.sources.get_mut(usize::from(point.source.0))?;
            source.stale.remove(&id);
        }
        let Some(value) = value else {
            let changed = point.turn_bad(plant, sample.point, quality);
            return Some(if changed {
                Heard::Changed { was_bad: was.is_bad(), is_bad: true, step: None }
            } else {
                Heard::Same
            });
        };
        if let (Some(source_time), Some(source)) =
            (sample.source_time, self.sources.get_mut(usize::from(point.source.0)))
        {
            point.source_time = Some(source_time);
            source.offset_ms = Some(source_time.0.saturating_sub(sample.received.wall.0));
        }
        point.received = Some(sample.received);
        if was == quality && point.value.as_ref() == Some(&value) {
            return Some(Heard::Same);
        }
        let was_bad = was.is_bad();
        let from = point.value.as_ref().filter(|_| !was_bad).and_then(Value::number);
        let step = from.zip(value.number());
        point.value = Some(value);
        point.quality = quality;
        point.still_beyond = None;
        Some(Heard::Changed { was_bad, is_bad: false, step })
    }

    /// Turns a point stale if it is: `Ok` the reason changed, `Err` when to look again.
    pub(crate) fn grow_stale(&mut self, plant: &Plant, id: PointId, at: Mono) -> Result<bool, Mono> {
        let Some(due) = self.stale_at(plant, id) else { return Ok(false) };
        if due > at {
            return Err(due);
        }
        let Some(point) = self.points.get_mut(usize::try_from(id.0).unwrap_or(usize::MAX)) else {
            return Ok(false);
        };
        if let Some(source) = self.sources.get_mut(usize::from(point.source.0)) {
            source.stale.insert(id);
        }
        Ok(point.turn_bad(plant, id, Quality::Bad(BadReason::Stale)))
    }

    /// When a point goes stale if nothing refreshes it; `None` for one that is bad already.
    pub(crate) fn stale_at(&self, plant: &Plant, id: PointId) -> Option<Mono> {
        let point = self.point(id).filter(|point| !point.quality.is_bad())?;
        let by_source = match self.source(point.source) {
            Some(source) if !point.disordered => source.refreshed,
            Some(_) | None => Mono(0),
        };
        Some(point.refreshed.max(by_source).after(plant.point(id)?.stale_after))
    }

    /// The source is alive. Gives the points that only silence had made bad: they read again what they
    /// read before.
    pub(crate) fn refreshed(&mut self, id: SourceId, at: Mono) -> Vec<PointId> {
        let Some(source) = self.sources.get_mut(usize::from(id.0)) else { return Vec::new() };
        source.refreshed = at;
        let mut again = Vec::new();
        let points = &mut self.points;
        source.stale.retain(|id| {
            let point = usize::try_from(id.0).ok().and_then(|at| points.get_mut(at));
            let Some(point) = point.filter(|point| !point.disordered && !point.told.is_bad()) else {
                return true;
            };
            point.quality = point.told;
            point.still_beyond = None;
            again.push(*id);
            false
        });
        again
    }

    /// A limit's question and that of its return.
    pub(crate) fn ask(&self, test: &LimitTest) -> (Truth, Truth) {
        let Some(point) = self.point(test.point) else { return (Truth::Unknown, Truth::Unknown) };
        let number = point.value.as_ref().and_then(Value::number);
        match number {
            None => (Truth::Unknown, Truth::Unknown),
            Some(number) if !point.quality.is_bad() => {
                (test.crossed(number).into(), test.cleared(number).into())
            }
            Some(number) if point.still_beyond.is_some() && test.crossed(number) => {
                (Truth::True, Truth::False)
            }
            Some(_) => (Truth::Unknown, Truth::Unknown),
        }
    }

    /// Whether every feed of fixes is there: one that is not may know of people whom the others do not.
    pub(crate) fn people_known(&self, plant: &Plant) -> bool {
        let feeds = || plant.sources().iter().zip(&self.sources).filter(|(source, _)| source.fixes);
        feeds().next().is_some() && feeds().all(|(_, state)| state.is_live())
    }

    /// Whether a permit that nobody has told of is none, and when that will be known if it is not yet: every
    /// feed of permits is there and has told what it has to tell at first.
    pub(crate) fn permits_known(&self, plant: &Plant, now: Mono) -> (bool, Option<Mono>) {
        let feeds = plant.sources().iter().zip(&self.sources).filter(|(source, _)| source.permits);
        let from: Option<Vec<Mono>> = feeds.map(|(_, state)| state.permits_known_from()).collect();
        match from.map(|from| from.into_iter().max()) {
            Some(Some(from)) => (from <= now, Some(from).filter(|from| *from > now)),
            Some(None) | None => (false, None),
        }
    }

    /// Since when every feed that tells a rule of people, of permits or of what cameras see is there.
    pub(crate) fn feeds_up_since(&self, plant: &Plant, rule: &Rule) -> Option<Mono> {
        let (people, permits) = (!rule.zones.is_empty(), !rule.permits.is_empty());
        let tells = |draft: &SourceDraft| (draft.fixes && people) || (draft.permits && permits);
        let fixes = plant.sources().iter().zip(&self.sources);
        let fixes = fixes.filter(|(draft, _)| tells(draft)).map(|(_, state)| state);
        let camera = |at: &u32| self.source(*self.cameras.get(usize::try_from(*at).ok()?)?);
        let feeds: Vec<_> = fixes.chain(rule.cameras.iter().filter_map(camera)).collect();
        let live = feeds.iter().all(|feed| feed.is_live());
        feeds.iter().map(|feed| feed.since_mono).max().filter(|_| live)
    }

    pub(crate) fn world<'a>(&'a self, plant: &'a Plant) -> Here<'a> {
        Here::of(self, plant)
    }
}

impl PointState {
    /// What has told nothing for so long keeps no order: a source whose clock was set back is believed
    /// again.
    fn is_late(&self, sample: &Sample, at: Mono, stale_after: impl Fn() -> Duration) -> bool {
        let older = matches!((sample.source_time, self.source_time), (Some(this), Some(last)) if this < last);
        let told = || self.received.is_some_and(|last| at.since(last.mono) < stale_after());
        let ordered = || match self.quality {
            Quality::Good | Quality::Uncertain(_) => true,
            Quality::Bad(BadReason::Stale) => false,
            Quality::Bad(_) => told(),
        };
        sample.backfill || (older && ordered())
    }

    /// Whether anything is different now.
    fn turn_bad(&mut self, plant: &Plant, id: PointId, quality: Quality) -> bool {
        let was = self.quality;
        if !was.is_bad() {
            let class = plant.point(id).map(|point| point.class);
            let kept = matches!(class, Some(Class::Gas | Class::Fire | Class::Sis));
            self.still_beyond = if kept { self.beyond(plant, id) } else { None };
        }
        self.quality = quality;
        was != quality
    }

    fn beyond(&self, plant: &Plant, id: PointId) -> Option<Beyond> {
        let number = self.value.as_ref().and_then(Value::number)?;
        let limits = plant.point(id)?.watch.limits;
        let high = |limit: Option<f64>| limit.is_some_and(|limit| number >= limit);
        let low = |limit: Option<f64>| limit.is_some_and(|limit| number <= limit);
        if high(limits.h) || high(limits.hh) {
            Some(Beyond::High)
        } else if low(limits.l) || low(limits.ll) {
            Some(Beyond::Low)
        } else {
            None
        }
    }

    pub(crate) fn view(&self) -> PointView {
        PointView {
            value: if self.quality.is_bad() { None } else { self.value.clone() },
            quality: self.quality,
            received: self.received,
            source_time: self.source_time,
            late: self.late,
        }
    }

    pub(crate) fn now(&self) -> PointNow<'_> {
        let beyond = self.still_beyond.filter(|_| self.quality.is_bad());
        let value = self.value.as_ref().filter(|_| !self.quality.is_bad() || beyond.is_some());
        let Self { quality, received, source_time, .. } = *self;
        PointNow { value, beyond, quality, received, source_time }
    }
}

impl SourceState {
    /// Its feed of fixes, sightings or permits can be believed.
    pub(crate) fn is_live(&self) -> bool {
        self.link == Link::Up && !self.silent
    }

    /// What it has told of its conditions is all that there is to tell.
    pub(crate) fn has_told_all(&self) -> bool {
        self.link == Link::Up && !self.untold
    }

    /// When the absence of a permit can be believed: `None` where its feed is down or was never heard.
    fn permits_known_from(&self) -> Option<Mono> {
        (self.is_live() && self.was_heard).then(|| self.since_mono.after(PERMITS_TOLD_AFTER))
    }

    /// Something that it carries cannot be seen.
    pub(crate) fn is_blind(&self) -> bool {
        self.lost || self.silent || self.untold || self.crowded
    }

    pub(crate) fn hear(&mut self, at: Mono) {
        self.heard = at;
        self.was_heard = true;
    }

    /// Its link is up: its silence counts from here.
    pub(crate) fn listen(&mut self, at: Mono) {
        self.heard = at;
        self.silent = false;
    }

    /// When its feed counts as down if it stays silent.
    pub(crate) fn silent_at(&self, stale_after: Duration) -> Mono {
        self.heard.after(stale_after)
    }
}

/// A zone goes before a unit of the same id, and stands for its unit.
pub(crate) fn place_of(plant: &Plant, name: Option<&str>) -> Place {
    let Some(name) = name else { return Place::Unsaid };
    let zone = plant.zones().iter().find(|zone| zone.id == name);
    let unit = plant.unit_place(zone.map_or(name, |zone| &zone.unit));
    unit.map_or(Place::Elsewhere, Place::Unit)
}

impl Present {
    pub(crate) fn source_view(&self, plant: &Plant, id: SourceId) -> Option<SourceView> {
        let state = self.source(id)?;
        let (mut good, mut uncertain, mut bad) = (0, 0, 0);
        for point in plant.points_of(id).filter_map(|point| self.point(point)) {
            match point.quality {
                Quality::Good => good += 1,
                Quality::Uncertain(_) => uncertain += 1,
                Quality::Bad(_) => bad += 1,
            }
        }
        Some(SourceView {
            id,
            link: state.link.clone(),
            since: state.since,
            good,
            uncertain,
            bad,
            source_offset_ms: state.offset_ms,
            late: state.late,
        })
    }
}
