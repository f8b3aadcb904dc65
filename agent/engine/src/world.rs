//! The present as expressions see it: what each of their functions says of it.

use std::time::Duration;

use riskgate_point::{BadReason, Condition, Mono, Permit, PermitKind, PointId, Quality, Wall};

use crate::Truth;
use crate::expr::{AskedCondition, AskedPlace, Permitted, PointNow, World};
use crate::permit::Place;
use crate::plant::Plant;
use crate::present::{PointState, Present, SourceState};

/// The present of one plant, as expressions see it.
pub(crate) struct Here<'a> {
    present: &'a Present,
    plant: &'a Plant,
}

impl<'a> Here<'a> {
    pub(crate) fn of(present: &'a Present, plant: &'a Plant) -> Self {
        Self { present, plant }
    }
}

impl World for Here<'_> {
    fn point(&self, id: PointId) -> PointNow<'_> {
        self.present.point(id).map_or(
            PointNow {
                value: None,
                beyond: None,
                quality: Quality::Bad(BadReason::NeverRead),
                received: None,
                source_time: None,
            },
            PointState::now,
        )
    }

    fn people(&self, zones: &[u32], role: Option<&str>) -> Option<u32> {
        self.present.people_known(self.plant).then(|| self.present.presence.people(zones, role))?
    }

    fn present(&self, zones: &[u32], role: Option<&str>, now: Mono) -> (Option<u32>, Option<Mono>) {
        if !self.present.people_known(self.plant) {
            return (None, None);
        }
        self.present.presence.present(zones, role, now)
    }

    fn place(&self, zones: &[u32], asked: AskedPlace, now: Mono) -> (Truth, Option<Mono>) {
        let presence = &self.present.presence;
        if !self.present.people_known(self.plant) {
            return (Truth::Unknown, None);
        }
        match asked {
            AskedPlace::Lone => presence.lone(zones, now),
            AskedPlace::Still(length) => presence.still(zones, length, now),
            AskedPlace::Sos => (presence.sos(zones), None),
            AskedPlace::Guarded { unit, kind } => self.guarded(zones, unit, kind, now),
        }
    }

    fn active(&self, rule: u32) -> Truth {
        let known = usize::try_from(rule).ok().and_then(|rule| self.present.active.get(rule));
        known.copied().unwrap_or(Truth::Unknown)
    }

    fn seen(
        &self,
        cameras: &[u32],
        kind: &str,
        (times, confidence): (u32, f64),
        window: Duration,
        now: Mono,
    ) -> (Truth, Option<Mono>) {
        let vision = &self.present.vision;
        let (seen, until) = if times == 1 {
            let until =
                cameras.iter().filter_map(|at| vision.until(*at, kind, confidence, window, now)).max();
            (Truth::from(until.is_some()), until)
        } else {
            vision.often(cameras, kind, (times, confidence), window, now)
        };
        match seen {
            Truth::True => return (Truth::True, until),
            Truth::Unknown => return (Truth::Unknown, None),
            Truth::False => {}
        }
        let live = |at: &u32| {
            let source = usize::try_from(*at).ok().and_then(|at| self.present.cameras.get(at));
            source.and_then(|id| self.present.source(*id)).is_some_and(SourceState::is_live)
        };
        (if cameras.iter().all(live) { Truth::False } else { Truth::Unknown }, None)
    }

    fn condition(&self, asked: &AskedCondition) -> (Truth, Option<&Condition>) {
        let conditions = &self.present.conditions;
        if !self.present.source(asked.source).is_some_and(SourceState::has_told_all) {
            return (Truth::Unknown, None);
        }
        match conditions.find(asked) {
            Some(condition) => (Truth::True, Some(condition)),
            None if conditions.is_full(asked.source) => (Truth::Unknown, None),
            None => (Truth::False, None),
        }
    }

    fn permit(&self, unit: u32, kind: PermitKind, now: Mono) -> Permitted<'_> {
        let Present { permits, calendar, .. } = self.present;
        let mut found = Permitted { truth: Truth::False, until: None, ticket: None };
        for permit in permits.working(Place::Unit(unit), kind) {
            let (truth, until) = calendar.within(permit.start, permit.end, now);
            // A ticket whose feed is down may have been closed since.
            let is_live = self.present.source(permit.source).is_some_and(SourceState::is_live);
            let truth = if is_live { truth } else { truth.and(Truth::Unknown) };
            if truth.is_true() && found.ticket.is_none_or(|longest| end_of(longest) < end_of(permit)) {
                found.ticket = Some(permit);
            }
            found.truth = found.truth.or(truth);
            found.until = sooner(found.until, until);
        }
        for permit in permits.working(Place::Unsaid, kind) {
            let (truth, until) = calendar.within(permit.start, permit.end, now);
            found.truth = found.truth.or(truth.and(Truth::Unknown));
            found.until = sooner(found.until, until);
        }
        let (known, from) = self.present.permits_known(self.plant, now);
        if !known || permits.is_full() {
            found.truth = found.truth.or(Truth::Unknown);
        }
        Permitted { until: sooner(found.until, from), ..found }
    }
}

impl Here<'_> {
    /// A guardian whose tag is silent is away: they must not leave while the work goes on.
    fn guarded(&self, zones: &[u32], unit: u32, kind: PermitKind, now: Mono) -> (Truth, Option<Mono>) {
        let Present { permits, calendar, presence, .. } = self.present;
        let (mut all, mut until) = (Truth::True, None);
        for permit in permits.working(Place::Unit(unit), kind) {
            let (valid, turns) = calendar.within(permit.start, permit.end, now);
            let zone = permit.place.as_deref().and_then(|place| self.plant.zone_at(place));
            let (there, lost) = match &permit.guardian {
                None => (Truth::Unknown, None),
                Some(name) => match zone {
                    Some(zone) => presence.has(&[zone], name, now),
                    None => presence.has(zones, name, now),
                },
            };
            // A ticket that is not valid needs no guardian.
            all = all.and((!valid).or(there));
            until = sooner(until, sooner(turns, lost));
        }
        if permits.working(Place::Unsaid, kind).next().is_some() {
            all = all.and(Truth::Unknown);
        }
        let (known, from) = self.present.permits_known(self.plant, now);
        if !known || permits.is_full() {
            all = all.and(Truth::Unknown);
        }
        (all, sooner(until, from))
    }
}

/// One without an end lasts longest.
fn end_of(permit: &Permit) -> Wall {
    permit.end.unwrap_or(Wall(i64::MAX))
}

fn sooner(one: Option<Mono>, other: Option<Mono>) -> Option<Mono> {
    one.into_iter().chain(other).min()
}
