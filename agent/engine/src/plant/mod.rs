//! The plant as the engine knows it: the chain unit -> measure -> task, the points and what watches what.
//!
//! Built once from a [`Draft`], checked whole, then immutable and shared. A later configuration is
//! another plant; nothing in this one moves. It holds no readings and no states: those are the engine's.

mod chain;
mod check;
mod index;
mod loss;
mod names;
mod order;
mod polygon;
mod row;
mod rules;
mod tags;
#[cfg(test)]
mod tests;
mod touch;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use riskgate_point::{PointId, SourceId};

pub(crate) use check::nearest;
pub use rules::Rule;
pub(crate) use rules::{Condition, DEADLINE, HazardPlan, LimitTest, version};
pub(crate) use touch::Quiet;

use crate::{
    CameraDraft, Draft, EventDraft, Fault, MeasureDraft, ObjectDraft, Patience, PersonDraft, PointDraft,
    Severity, SiteTime, SourceDraft, TaskDraft, UnitDraft, ZoneDraft,
};
pub use chain::{Coverage, Sight};
use index::Index;
use row::Rows;
use tags::Tags;
use touch::Touch;

/// Everything that does not change between two configurations.
#[derive(Debug)]
pub struct Plant {
    draft: Draft,
    tags: Tags,
    units: HashMap<String, u32>,
    measures: HashMap<String, usize>,
    task_ids: HashMap<String, u32>,
    zone_ids: HashMap<String, u32>,
    camera_ids: HashMap<String, u32>,
    /// The persons' places, by id and by the tags that they carry.
    person_ids: HashMap<String, usize>,
    carriers: HashMap<String, usize>,
    /// By tag, the measures that it is bound to.
    bound: HashMap<String, Vec<String>>,
    coverage: Coverage,
    rules: Vec<Rule>,
    rule_ids: HashMap<String, u32>,
    rules_of_point: Index,
    rules_of_age: Index,
    touch: Touch,
    rows: Rows,
    rules_of_zone: Index,
    rules_of_camera: Index,
    rules_of_conditions: Index,
    rules_of_permits: Index,
    /// See [`Self::with_version`].
    version: String,
    /// See [`Self::with_orphans`].
    orphans: BTreeSet<String>,
    rules_of_rule: Index,
    points_of_source: Index,
}

fn outside(zones: &[ZoneDraft]) -> u32 {
    u32::try_from(zones.len()).unwrap_or(u32::MAX)
}

impl Plant {
    /// Every fault at once; `Err` where one of them is an error. Warnings come back with the plant.
    pub fn build(mut draft: Draft) -> Result<(Self, Vec<Fault>), Vec<Fault>> {
        let mut faults = check::check(&draft);
        crate::kinds::expand(&mut draft, &mut faults);
        let rules = rules::build(&draft, &mut faults);
        chain::check(&draft, &rules, &mut faults);
        loss::warn_of_help(&draft, &rules, &mut faults);
        if faults.iter().any(|fault| fault.severity == Severity::Error) {
            return Err(faults);
        }
        // What they say stands in the rules.
        draft.rules = Vec::new();
        Ok((Self::index(draft, rules), faults))
    }

    /// Says which configuration it was built from, by its hash: evidence names it.
    #[must_use]
    pub fn with_version(self, version: &str) -> Self {
        Self { version: version.to_owned(), ..self }
    }

    /// Says which measures upstream does not have any more: what hangs on them is told with that mark.
    #[must_use]
    pub fn with_orphans(self, orphans: &[String]) -> Self {
        Self { orphans: orphans.iter().cloned().collect(), ..self }
    }

    pub fn is_orphan(&self, measure: &str) -> bool {
        self.orphans.contains(measure)
    }

    pub fn version(&self) -> &str {
        &self.version
    }

    fn index(draft: Draft, rules: Vec<Rule>) -> Self {
        let numbered = || (0u32..).zip(&rules);
        let points = numbered().flat_map(|(at, rule)| rule.points.iter().map(move |point| (point.0, at)));
        let rules_of_point = Index::build(draft.points.len(), points);
        let ages = numbered().filter(|(_, rule)| rule.ages);
        let ages = ages.flat_map(|(at, rule)| rule.points.iter().map(move |point| (point.0, at)));
        let rules_of_age = Index::build(draft.points.len(), ages);
        let zones = numbered().flat_map(|(at, rule)| rule.zones.iter().map(move |zone| (*zone, at)));
        let rules_of_zone = Index::build(draft.zones.len().saturating_add(1), zones);
        let cameras = numbered().flat_map(|(at, rule)| rule.cameras.iter().map(move |camera| (*camera, at)));
        let rules_of_camera = Index::build(draft.cameras.len(), cameras);
        let conditions = numbered()
            .flat_map(|(at, rule)| rule.conditions.iter().map(move |source| (u32::from(source.0), at)));
        let rules_of_conditions = Index::build(draft.sources.len(), conditions);
        let permits = numbered().flat_map(|(at, rule)| rule.permits.iter().map(move |unit| (*unit, at)));
        let rules_of_permits = Index::build(draft.units.len(), permits);
        let of_rules = numbered().flat_map(|(at, rule)| rule.rules.iter().map(move |of| (*of, at)));
        let rules_of_rule = Index::build(rules.len(), of_rules);
        let of_source = (0u32..).zip(&draft.points).map(|(at, point)| (u32::from(point.source.0), at));
        let points_of_source = Index::build(draft.sources.len(), of_source);
        Self {
            tags: Tags::of(&draft.points),
            units: (0..).zip(&draft.units).map(|(at, unit)| (unit.id.clone(), at)).collect(),
            measures: draft
                .measures
                .iter()
                .enumerate()
                .map(|(at, measure)| (measure.id.clone(), at))
                .collect(),
            task_ids: (0..).zip(&draft.tasks).map(|(at, task)| (task.id.clone(), at)).collect(),
            zone_ids: (0..).zip(&draft.zones).map(|(at, zone)| (zone.id.clone(), at)).collect(),
            camera_ids: (0..).zip(&draft.cameras).map(|(at, camera)| (camera.id.clone(), at)).collect(),
            person_ids: (0..).zip(&draft.persons).map(|(at, person)| (person.id.clone(), at)).collect(),
            carriers: (0..)
                .zip(&draft.persons)
                .flat_map(|(at, person)| person.tags.iter().map(move |tag| (tag.clone(), at)))
                .collect(),
            bound: chain::bound(&draft),
            coverage: chain::coverage(&draft, &rules),
            rule_ids: numbered().map(|(at, rule)| (rule.id.clone(), at)).collect(),
            rules_of_point,
            rules_of_age,
            touch: Touch::build(draft.points.len(), &rules),
            rows: Rows::build(&rules),
            rules_of_zone,
            rules_of_camera,
            rules_of_conditions,
            rules_of_permits,
            rules_of_rule,
            points_of_source,
            version: String::new(),
            orphans: BTreeSet::new(),
            draft,
            rules,
        }
    }

    /// The same plant where no point falls silent by itself: for what is recorded and says when it did.
    #[must_use]
    pub fn told_of_silence(mut self) -> Self {
        self.draft.points.iter_mut().for_each(|point| point.stale_after = Duration::MAX);
        self
    }

    pub fn company(&self) -> &str {
        &self.draft.company
    }

    pub fn patience(&self) -> Patience {
        self.draft.patience
    }

    pub fn gateway(&self) -> &str {
        &self.draft.gateway
    }

    /// In the order of the configuration: the place is the [`PointId`].
    pub fn points(&self) -> &[PointDraft] {
        &self.draft.points
    }

    pub fn point(&self, id: PointId) -> Option<&PointDraft> {
        self.draft.points.get(usize::try_from(id.0).ok()?)
    }

    pub fn point_id(&self, tag: &str) -> Option<PointId> {
        self.tags.point(&self.draft.points, tag)
    }

    /// In the order of the configuration: the place is the [`SourceId`].
    pub fn sources(&self) -> &[SourceDraft] {
        &self.draft.sources
    }

    pub fn source(&self, id: SourceId) -> Option<&SourceDraft> {
        self.draft.sources.get(usize::from(id.0))
    }

    pub(crate) fn source_id(&self, id: &str) -> Option<SourceId> {
        let at = self.draft.sources.iter().position(|source| source.id == id)?;
        u16::try_from(at).ok().map(SourceId)
    }

    pub fn units(&self) -> &[UnitDraft] {
        &self.draft.units
    }

    pub fn unit(&self, id: &str) -> Option<&UnitDraft> {
        self.unit_at(*self.units.get(id)?)
    }

    pub fn objects(&self) -> &[ObjectDraft] {
        &self.draft.objects
    }

    pub fn events(&self) -> &[EventDraft] {
        &self.draft.events
    }

    pub fn persons(&self) -> &[PersonDraft] {
        &self.draft.persons
    }

    /// The time of the site, and which of its days are worked.
    pub fn time(&self) -> &SiteTime {
        &self.draft.time
    }

    pub fn measures(&self) -> &[MeasureDraft] {
        &self.draft.measures
    }

    pub fn measure(&self, id: &str) -> Option<&MeasureDraft> {
        self.measures.get(id).and_then(|at| self.draft.measures.get(*at))
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

    /// The rules made from the limits of the point table, in point order, then the written rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The points of a source, in order.
    pub fn points_of(&self, source: SourceId) -> impl Iterator<Item = PointId> + '_ {
        self.points_of_source.of(u32::from(source.0)).iter().map(|point| PointId(*point))
    }

    pub(crate) fn rule(&self, at: u32) -> Option<&Rule> {
        self.rules.get(usize::try_from(at).ok()?)
    }

    /// The rule that alarms under this id: of a shadow rule no alarm is known.
    pub(crate) fn rule_at(&self, id: &str) -> Option<u32> {
        self.rule_ids.get(id).copied().filter(|at| self.rule(*at).is_some_and(|rule| !rule.shadow))
    }

    /// A rule by its id, be it a shadow rule or not.
    pub fn rule_named(&self, id: &str) -> Option<&Rule> {
        self.rule(*self.rule_ids.get(id)?)
    }

    pub(crate) fn task_at(&self, at: u32) -> Option<&TaskDraft> {
        self.draft.tasks.get(usize::try_from(at).ok()?)
    }

    pub fn task_of(&self, id: &str) -> Option<&TaskDraft> {
        self.task(id).map(|(_, task)| task)
    }

    /// A task and its place.
    pub(crate) fn task(&self, id: &str) -> Option<(u32, &TaskDraft)> {
        let at = *self.task_ids.get(id)?;
        Some((at, self.task_at(at)?))
    }

    pub(crate) fn unit_at(&self, at: u32) -> Option<&UnitDraft> {
        self.draft.units.get(usize::try_from(at).ok()?)
    }

    pub(crate) fn unit_place(&self, id: &str) -> Option<u32> {
        self.units.get(id).copied()
    }

    /// What counts as the zone of those who are in none: it stands behind the others.
    pub(crate) fn outside(&self) -> u32 {
        outside(&self.draft.zones)
    }

    pub(crate) fn zone_at(&self, id: &str) -> Option<u32> {
        self.zone_ids.get(id).copied()
    }

    pub(crate) fn camera_at(&self, id: &str) -> Option<u32> {
        self.camera_ids.get(id).copied()
    }

    pub(crate) fn rules_of_point(&self, point: PointId) -> &[u32] {
        self.rules_of_point.of(point.0)
    }

    /// Of the rules that read a point, those to which its age matters.
    pub(crate) fn rules_of_age(&self, point: PointId) -> &[u32] {
        self.rules_of_age.of(point.0)
    }

    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    pub(crate) fn touch(&self) -> &Touch {
        &self.touch
    }

    pub(crate) fn rules_of_zone(&self, zone: u32) -> &[u32] {
        self.rules_of_zone.of(zone)
    }

    pub(crate) fn rules_of_camera(&self, camera: u32) -> &[u32] {
        self.rules_of_camera.of(camera)
    }

    pub(crate) fn rules_of_conditions(&self, source: SourceId) -> &[u32] {
        self.rules_of_conditions.of(u32::from(source.0))
    }

    pub(crate) fn rules_of_permits(&self, unit: u32) -> &[u32] {
        self.rules_of_permits.of(unit)
    }

    /// The rules that read whether this one is active.
    pub(crate) fn rules_of_rule(&self, rule: u32) -> &[u32] {
        self.rules_of_rule.of(rule)
    }

    /// The unit that a measure belongs to.
    pub(crate) fn unit_of_measure(&self, measure: &str) -> Option<&UnitDraft> {
        self.unit(&self.measure(measure)?.unit)
    }
}
