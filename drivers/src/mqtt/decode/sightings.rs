//! Sightings out of a message.
//!
//! A repeated alarm is not a new one. Where the message names its event (`id`), an event that is told again
//! within [`AGAIN_WITHIN`] is still going on and is handed on, so that
//! what is seen stays seen; told again later it is no news, unless its confidence has risen. Where it does
//! not, a camera that repeats itself is handed on at a bounded rate. What the source ends is forgotten.
//! The engine takes handed-on repeats as one episode for as long as they come within the rule's window.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Report, Sighting};
use serde_json::Value as Json;

use super::values::{Name, name, number_of, truth_of};
use super::{At, Field, Reader, Skip};
use crate::mqtt::fields::{Shape, SightingFields};
use crate::mqtt::memory::{AGAIN_WITHIN, EventKey};
use crate::mqtt::presets::{frigate, hikvision, onvif};

/// One event as the shape of its message shows it. What is `None` the configuration may say.
#[derive(Debug, Clone)]
pub(in crate::mqtt) struct Seen<'j> {
    /// What configured paths start at.
    pub(in crate::mqtt) element: &'j Json,
    pub(in crate::mqtt) camera: Option<Cow<'j, str>>,
    pub(in crate::mqtt) kind: Option<Cow<'j, str>>,
    /// What the operator of the camera called it; the configuration may go by this too.
    pub(in crate::mqtt) rule: Option<Cow<'j, str>>,
    pub(in crate::mqtt) id: Option<Cow<'j, str>>,
    pub(in crate::mqtt) confidence: Option<&'j Json>,
    pub(in crate::mqtt) time: Option<&'j Json>,
    pub(in crate::mqtt) phase: Phase,
    /// An event of which nothing is told for longer is over, or stands still.
    pub(in crate::mqtt) lasts: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mqtt) enum Phase {
    /// It is so, now.
    Seen,
    /// It was so before the message; that is no news.
    Stands,
    /// It is no more.
    Over,
}

impl<'j> Seen<'j> {
    pub(in crate::mqtt) fn of(element: &'j Json) -> Self {
        let (camera, kind, rule, id) = (None, None, None, None);
        Seen {
            element,
            camera,
            kind,
            rule,
            id,
            confidence: None,
            time: None,
            phase: Phase::Seen,
            lasts: AGAIN_WITHIN,
        }
    }
}

impl Reader<'_> {
    pub(super) fn sightings(&mut self, fields: &SightingFields, whole: &Json) {
        let seen = match &fields.shape {
            Shape::Paths => Ok(self.each(fields.many.as_ref(), whole).into_iter().map(Seen::of).collect()),
            Shape::Frigate { zones } => frigate::read(whole, zones),
            Shape::Onvif => onvif::read(whole, self.message.topic),
            Shape::Hikvision => hikvision::read(whole),
        };
        match seen {
            Ok(seen) => seen.into_iter().for_each(|one| self.sighting(fields, &one, whole)),
            Err(skip) => self.skip(skip),
        }
    }

    fn sighting(&mut self, fields: &SightingFields, seen: &Seen<'_>, whole: &Json) {
        let at = At { element: seen.element, whole, topic: self.message.topic };
        let camera = match &fields.camera {
            Some(camera) => self.needed(camera, Field::Camera, at),
            None => self.shaped(seen.camera.as_deref(), Field::Camera),
        };
        let Some(camera) = camera else { return };
        let told = match &fields.kind {
            Some(kind) => self.needed(kind, Field::Kind, at),
            None => self.shaped(seen.kind.as_deref(), Field::Kind),
        };
        let Some(told) = told else { return };
        let Some(kind) = self.kind(fields, &told, seen.rule.as_deref()) else { return };
        let key = EventKey {
            place: self.message.place,
            camera: Arc::clone(&camera),
            kind: told,
            rule: seen.rule.as_deref().map(Arc::from),
            id: match &fields.id {
                Some(id) => self.wanted(Some(id), Field::Id, at),
                None => seen.id.as_deref().map(Arc::from),
            },
        };
        match self.phase(fields, seen, at) {
            Phase::Seen => {}
            Phase::Stands => return,
            Phase::Over => return self.memory.events.over(&key),
        }
        let Some(confidence) = self.confidence(fields, seen, at) else { return };
        // What the broker kept is not news, and must not keep what is from being told.
        let retained = self.message.retained;
        if !retained && !self.memory.events.is_told(key, confidence, self.message.received.mono, seen.lasts) {
            return;
        }
        let sighting = Sighting {
            source: self.message.source,
            camera: self.camera(fields, camera),
            kind,
            confidence,
            source_time: match (&fields.time, seen.time) {
                (Some(time), _) => self.time_at(Some(time), at),
                (None, Some(time)) => self.time(Some(time)),
                (None, None) => None,
            },
            received: self.message.received,
            backfill: retained,
        };
        self.decoded.reports.push(Report::Sighting(Box::new(sighting)));
    }

    fn shaped(&mut self, found: Option<&str>, field: Field) -> Option<Arc<str>> {
        match found.map(|text| name(&Json::from(text))) {
            Some(Name::Is(name)) => return Some(name),
            Some(Name::Nothing) | None => self.skip(Skip::Missing(field)),
            Some(Name::Unusable) => self.skip(Skip::Unusable(field)),
        }
        None
    }

    fn camera(&mut self, fields: &SightingFields, told: Arc<str>) -> Arc<str> {
        match fields.cameras.get(&*told) {
            Some(camera) => Arc::clone(camera),
            None => {
                if !fields.cameras.is_empty() {
                    self.skip_with(Skip::UnknownCamera, || {
                        format!("'{told}' is no camera of the plant and not in cameras: nothing asks for it")
                    });
                }
                told
            }
        }
    }

    /// What the plant calls it: as the configuration says, else as the preset knows it, else as it came.
    /// `None`: it is not wanted.
    fn kind(&mut self, fields: &SightingFields, told: &Arc<str>, rule: Option<&str>) -> Option<Arc<str>> {
        let by_rule = rule.and_then(|rule| fields.kinds.get(rule));
        if let Some(kind) = by_rule.or_else(|| fields.kinds.get(&**told)) {
            return (!kind.is_empty()).then(|| Arc::clone(kind));
        }
        let known = match fields.shape {
            Shape::Paths => None,
            Shape::Frigate { .. } => frigate::kind(told),
            Shape::Onvif => onvif::kind(told),
            Shape::Hikvision => hikvision::kind(told),
        };
        if let Some(kind) = known {
            return Some(Arc::from(kind));
        }
        if !fields.kinds.is_empty() {
            self.skip_with(Skip::UnknownKind, || format!("'{told}' is not in kinds; it is told as it came"));
        }
        Some(Arc::clone(told))
    }

    fn phase(&mut self, fields: &SightingFields, seen: &Seen<'_>, at: At<'_>) -> Phase {
        let Some(state) = &fields.state else { return seen.phase };
        let found = at.find(state);
        match found.as_deref().map(truth_of) {
            Some(Some(true)) => return seen.phase,
            Some(Some(false)) => return Phase::Over,
            Some(None) => self.skip(Skip::Unusable(Field::State)),
            None => self.skip(Skip::Missing(Field::State)),
        }
        // Neither yes nor no: it is not told, and what was told before stands.
        Phase::Stands
    }

    /// 0 to 1. A camera that does not say how sure it is must not lose its sighting: it counts as certain.
    /// `None`: it says what cannot be, so that the scale is another than configured.
    fn confidence(&mut self, fields: &SightingFields, seen: &Seen<'_>, at: At<'_>) -> Option<f64> {
        let found = match &fields.confidence {
            Some(confidence) => match at.find(confidence) {
                Some(found) => found,
                None => {
                    self.skip(Skip::Missing(Field::Confidence));
                    return Some(1.0);
                }
            },
            None => match seen.confidence {
                Some(found) => Cow::Borrowed(found),
                None => return Some(1.0),
            },
        };
        match number_of(&found).filter(|score| !score.is_nan()) {
            Some(score) if (0.0..=fields.confidence_max).contains(&score) => {
                Some(score / fields.confidence_max)
            }
            Some(score) => {
                let max = fields.confidence_max;
                self.skip_with(Skip::ConfidenceOutOfRange, || format!("{score}, where {max} is certain"));
                None
            }
            None => {
                self.skip(Skip::Unusable(Field::Confidence));
                Some(1.0)
            }
        }
    }
}
