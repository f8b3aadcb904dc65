//! What a rule's text may name, looked up in a draft.

use std::collections::HashMap;
use std::sync::Arc;

use riskgate_point::SourceId;

use crate::Draft;
use crate::expr::{Names, Place, PointKind, PointName};
use crate::plant::check::limits_of;
use crate::plant::tags::Tags;

/// The names of one draft. Where a name is there twice the first holds; that is a fault of its own.
pub(super) struct DraftNames<'a> {
    draft: &'a Draft,
    points: Tags,
    /// Limits of the point table, then written rules: as the plant numbers them.
    rules: HashMap<String, u32>,
}

impl<'a> DraftNames<'a> {
    pub(super) fn of(draft: &'a Draft) -> Self {
        let limits = draft.points.iter().flat_map(|point| {
            limits_of(point).map(move |(kind, ..)| format!("{}/{}", point.tag, kind.word()))
        });
        let written = draft.rules.iter().map(|rule| rule.id.clone());
        let mut rules = HashMap::new();
        for (at, id) in (0u32..).zip(limits.chain(written)) {
            rules.entry(id).or_insert(at);
        }
        Self { draft, points: Tags::of(&draft.points), rules }
    }

    fn zones(&self, of: impl Fn(&crate::ZoneDraft) -> bool) -> Arc<[u32]> {
        (0u32..).zip(&self.draft.zones).filter(|(_, zone)| of(zone)).map(|(at, _)| at).collect()
    }

    fn has_unit(&self, id: &str) -> bool {
        self.draft.units.iter().any(|unit| unit.id == id)
    }
}

impl Names for DraftNames<'_> {
    fn point(&self, tag: &str) -> Option<PointName> {
        let id = self.points.point(&self.draft.points, tag)?;
        let point = self.draft.points.get(usize::try_from(id.0).ok()?)?;
        let kind = if point.boolean {
            PointKind::Bool
        } else if !point.words.is_empty() {
            PointKind::Words(point.words.clone().into())
        } else if point.text {
            PointKind::Text
        } else {
            PointKind::Number
        };
        Some(PointName { id, eu: Arc::from(point.eu.as_str()), kind, deadband: point.deadband.max(0.0) })
    }

    /// A zone goes before a unit of the same id.
    fn place(&self, id: &str) -> Option<Place> {
        let zone = self.zones(|zone| zone.id == id);
        if !zone.is_empty() {
            return Some(Place { zones: zone });
        }
        self.has_unit(id).then(|| Place { zones: self.zones(|zone| zone.unit == id) })
    }

    fn everywhere(&self) -> Place {
        let zones = (0u32..).zip(&self.draft.zones).map(|(at, _)| at);
        Place { zones: zones.chain([super::outside(&self.draft.zones)]).collect() }
    }

    fn unit_cameras(&self, unit: &str) -> Option<Arc<[u32]>> {
        let cameras = (0u32..).zip(&self.draft.cameras).filter(|(_, camera)| camera.unit == unit);
        self.has_unit(unit).then(|| cameras.map(|(at, _)| at).collect())
    }

    fn unit(&self, id: &str) -> Option<u32> {
        (0u32..).zip(&self.draft.units).find(|(_, unit)| unit.id == id).map(|(at, _)| at)
    }

    fn unit_of_zone(&self, zone: &str) -> Option<&str> {
        let zone = self.draft.zones.iter().find(|of| of.id == zone)?;
        Some(zone.unit.as_str())
    }

    fn source(&self, id: &str) -> Option<(SourceId, bool)> {
        let at = self.draft.sources.iter().position(|source| source.id == id)?;
        let tells = self.draft.sources.get(at)?.events.is_some();
        Some((SourceId(u16::try_from(at).ok()?), tells))
    }

    fn condition_sources(&self) -> Vec<&str> {
        let tells = self.draft.sources.iter().filter(|source| source.events.is_some());
        tells.map(|source| source.id.as_str()).collect()
    }

    fn rule(&self, id: &str) -> Option<u32> {
        self.rules.get(id).copied()
    }

    fn rules(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.rules.keys().map(String::as_str).collect();
        all.sort_unstable();
        all
    }

    fn tags(&self) -> Vec<&str> {
        self.draft.points.iter().map(|point| point.tag.as_str()).collect()
    }

    fn places(&self) -> Vec<&str> {
        let zones = self.draft.zones.iter().map(|zone| zone.id.as_str());
        zones.chain(self.units()).collect()
    }

    fn units(&self) -> Vec<&str> {
        self.draft.units.iter().map(|unit| unit.id.as_str()).collect()
    }
}
