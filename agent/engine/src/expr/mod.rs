//! The rule language: text to typed program, and its three-valued evaluation.
//!
//! A text is read against the [`Names`] of a plant; what it reads is a [`World`]. The compiler comes next.
//!
//! It does not know rules, alarms or delays, and it never turns unknown into false: that a point cannot
//! be read is told as [`crate::Truth::Unknown`].
#![cfg_attr(not(test), allow(dead_code, reason = "the rules that call it stand in another module"))]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Mono, Now, PointId, Quality, Value, Wall};

use crate::{Severity, Truth};

/// What a text may name. Implemented over a draft, so that names are looked up before there is a plant.
pub(crate) trait Names {
    fn point(&self, tag: &str) -> Option<PointName>;
    /// A zone or a unit by its id; a unit stands for all its zones.
    fn place(&self, id: &str) -> Option<Place>;
    /// The cameras of a unit, as places in the plant's camera list; `None`: there is no such unit.
    fn unit_cameras(&self, unit: &str) -> Option<Arc<[u32]>>;
    /// All tags, zones and units, from which the nearest to a wrong name is found.
    fn tags(&self) -> Vec<&str>;
    fn places(&self) -> Vec<&str>;
    fn units(&self) -> Vec<&str>;
}

/// A point as an expression sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PointName {
    pub(crate) id: PointId,
    /// 工程单位. Empty: none.
    pub(crate) eu: Arc<str>,
    pub(crate) kind: PointKind,
    /// In eu, not negative: how far a default `clear` moves a threshold of this point.
    pub(crate) deadband: f64,
}

/// What a point reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PointKind {
    Number,
    Bool,
    /// An enumeration: one of these words.
    Words(Arc<[String]>),
    Text,
}

/// Zones, as places in the plant's zone list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) zones: Arc<[u32]>,
}

/// The present. Implemented by the engine.
pub(crate) trait World {
    fn point(&self, id: PointId) -> PointNow<'_>;
    /// How many persons are in these zones, each counted once; `None`: unknown, the feed is down.
    fn people(&self, zones: &[u32], role: Option<&str>) -> Option<u32>;
    /// Whether one of these cameras saw `kind` with at least `confidence` within `window` before `now`,
    /// and, where it did, until when that stays true without another sighting.
    fn seen(
        &self,
        cameras: &[u32],
        kind: &str,
        confidence: f64,
        window: Duration,
        now: Mono,
    ) -> (Truth, Option<Mono>);
}

/// A point at this moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PointNow<'a> {
    /// `None` where the quality is bad.
    pub(crate) value: Option<&'a Value>,
    pub(crate) quality: Quality,
    /// When the value was received; `None`: never.
    pub(crate) received: Option<Now>,
    pub(crate) source_time: Option<Wall>,
}

/// What a program reads: a change of anything else cannot change its verdict. Sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reads {
    pub(crate) points: Vec<PointId>,
    /// Places in the plant's zone list.
    pub(crate) zones: Vec<u32>,
    /// Places in the plant's camera list.
    pub(crate) cameras: Vec<u32>,
}

/// One thing wrong with a text, at its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExprFault {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) hint: Option<String>,
    pub(crate) severity: Severity,
}
