//! The plant as the engine knows it: the chain unit -> measure -> task, the points and what watches what.
//!
//! Built once from a [`Draft`], checked whole, then immutable and shared. A later configuration is
//! another plant; nothing in this one moves.

use std::collections::HashMap;

use riskgate_point::{PointId, SourceId};

use crate::{
    CameraDraft, Draft, Fault, MeasureDraft, PointDraft, SourceDraft, TaskDraft, UnitDraft, ZoneDraft,
};

#[derive(Debug)]
pub struct Plant {
    draft: Draft,
    tags: HashMap<String, PointId>,
}

impl Plant {
    /// Every fault at once; `Err` where one of them is an error. Warnings come back with the plant.
    pub fn build(draft: Draft) -> Result<(Self, Vec<Fault>), Vec<Fault>> {
        let tags = (0..).map(PointId).zip(&draft.points).map(|(id, point)| (point.tag.clone(), id)).collect();
        Ok((Self { draft, tags }, Vec::new()))
    }

    pub fn company(&self) -> &str {
        &self.draft.company
    }

    pub fn gateway(&self) -> &str {
        &self.draft.gateway
    }

    pub fn points(&self) -> &[PointDraft] {
        &self.draft.points
    }

    pub fn point(&self, id: PointId) -> Option<&PointDraft> {
        self.draft.points.get(usize::try_from(id.0).ok()?)
    }

    pub fn point_id(&self, tag: &str) -> Option<PointId> {
        self.tags.get(tag).copied()
    }

    pub fn sources(&self) -> &[SourceDraft] {
        &self.draft.sources
    }

    pub fn source(&self, id: SourceId) -> Option<&SourceDraft> {
        self.draft.sources.get(usize::from(id.0))
    }

    pub fn units(&self) -> &[UnitDraft] {
        &self.draft.units
    }

    pub fn unit(&self, id: &str) -> Option<&UnitDraft> {
        self.draft.units.iter().find(|unit| unit.id == id)
    }

    pub fn measures(&self) -> &[MeasureDraft] {
        &self.draft.measures
    }

    pub fn measure(&self, id: &str) -> Option<&MeasureDraft> {
        self.draft.measures.iter().find(|measure| measure.id == id)
    }

    pub fn tasks(&self) -> &[TaskDraft] {
        &self.draft.tasks
    }

    pub fn zones(&self) -> &[ZoneDraft] {
        &self.draft.zones
    }

    pub fn cameras(&self) -> &[CameraDraft] {
        &self.draft.cameras
    }
}
