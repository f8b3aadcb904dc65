//! Alarms as JSON, what keeps them from being annunciated, stopped units, and how good the alarms are.

use std::collections::BTreeMap;

use riskgate_engine::{
    AlarmEvent, AlarmKind, AlarmQuality, AlarmRecord, AlarmState, Class, OutOfService, Priority,
    QualityWindow, Shelf, Words,
};
use serde::{Deserialize, Serialize};

use super::EvidenceView;
use super::render::Render;
use crate::console::board::Line;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlarmView {
    pub id: String,
    pub kind: AlarmKind,
    pub state: AlarmState,
    pub class: Class,
    pub priority: Priority,
    pub unit: Option<String>,
    pub unit_name: Option<String>,
    pub measure: Option<String>,
    pub measure_name: Option<String>,
    pub words: Words,
    pub guidance: Words,
    pub tags: Vec<String>,
    /// Measures that nobody watches while this lasts.
    pub blinds: Vec<String>,
    /// The same by name; by id where nobody named it.
    #[serde(default)]
    pub blinds_names: Vec<String>,
    pub episode: u64,
    pub since: String,
    pub changed: String,
    pub acknowledged_by: Option<String>,
    pub on_unknown: bool,
    /// `false`: shown, and not yet on disk.
    pub durable: bool,
    pub revision: u64,
    pub evidence: EvidenceView,
    /// What brought it into its state; absent from an older agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shelved: Option<CoverView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<SuppressionView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_service: Option<CoverView>,
    /// The hazard that it would have raised is withheld as well.
    #[serde(default)]
    pub hazard_withheld: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnView {
    pub event: AlarmEvent,
    pub by: Option<String>,
    pub why: Option<String>,
}

/// A shelf, or an out-of-service: who laid it over the alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverView {
    pub by: String,
    pub why: String,
    pub since: String,
    /// `None`: until a person ends it.
    pub until: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuppressionView {
    pub unit: String,
    pub since: String,
}

/// 停用检维修: a unit that is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopView {
    pub unit: String,
    pub unit_name: Option<String>,
    pub by: String,
    pub why: String,
    pub since: String,
}

/// A measure that nobody watches now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnwatchedView {
    pub measure: String,
    pub measure_name: Option<String>,
}

/// EEMUA 191.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct QualityView {
    /// More than 10 were annunciated in 10 min, and not yet fewer than 5.
    pub flood: bool,
    pub standing: usize,
    /// Three onsets or more in 60 s.
    pub chattering: Vec<String>,
    /// Active for over 24 h.
    pub stale: Vec<String>,
    pub shelved: usize,
    pub suppressed: usize,
    pub out_of_service: usize,
    /// Measures of which every rule is out of service.
    pub unwatched: Vec<UnwatchedView>,
    pub day: QualityWindowView,
    pub week: QualityWindowView,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct QualityWindowView {
    /// What of it was measured: since the agent started at most.
    pub covered_s: u64,
    pub annunciated: u64,
    pub per_10_min: f64,
    pub peak_10_min: u32,
    /// From 0 to 1, as are the shares of the priorities.
    pub flood_share: f64,
    pub by_priority: BTreeMap<Priority, f64>,
    /// Most heard first, at most ten.
    pub worst: Vec<WorstView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorstView {
    pub alarm: String,
    pub annunciated: u32,
}

/// The alarms of the board in their lists. One that is withheld for two reasons stands in both lists.
#[derive(Debug, Default)]
pub(super) struct AlarmLists {
    pub(super) annunciated: Vec<AlarmView>,
    pub(super) shelved: Vec<AlarmView>,
    pub(super) suppressed: Vec<AlarmView>,
    pub(super) out_of_service: Vec<AlarmView>,
}

impl Render<'_> {
    pub(super) fn alarm_lists(&self) -> AlarmLists {
        let mut lists = AlarmLists::default();
        for line in self.board.alarms() {
            let (view, withheld) = (self.alarm(line), &line.record.withheld);
            let covers = [
                (withheld.shelved.is_some(), &mut lists.shelved),
                (withheld.suppressed.is_some(), &mut lists.suppressed),
                (withheld.out_of_service.is_some(), &mut lists.out_of_service),
                (!withheld.is_some(), &mut lists.annunciated),
            ];
            for (_, list) in covers.into_iter().filter(|(on, _)| *on) {
                list.push(view.clone());
            }
        }
        lists
    }

    pub(super) fn alarm(&self, line: &Line<AlarmRecord>) -> AlarmView {
        let (record, withheld) = (&line.record, &line.record.withheld);
        AlarmView {
            id: record.id.clone(),
            kind: record.kind,
            state: record.state,
            class: record.class,
            priority: record.priority,
            unit: record.unit.clone(),
            unit_name: record.unit.as_deref().and_then(|unit| self.unit_name(unit)),
            measure: record.measure.clone(),
            measure_name: record.measure.as_deref().and_then(|measure| self.measure_name(measure)),
            words: record.words.clone(),
            guidance: record.guidance.clone(),
            tags: record.tags.clone(),
            blinds: record.blinds.clone(),
            blinds_names: record
                .blinds
                .iter()
                .map(|measure| self.measure_name(measure).unwrap_or_else(|| measure.clone()))
                .collect(),
            episode: record.episode,
            since: self.stamp(record.since),
            changed: self.stamp(record.changed),
            acknowledged_by: record.acknowledged_by.clone(),
            on_unknown: record.on_unknown,
            durable: line.durable,
            revision: record.revision,
            evidence: self.evidence(&record.evidence),
            turn: Some(TurnView {
                event: record.turn.event,
                by: record.turn.by.clone(),
                why: record.turn.why.clone(),
            }),
            shelved: withheld.shelved.as_ref().map(|of| self.shelf(of)),
            suppressed: withheld
                .suppressed
                .as_ref()
                .map(|of| SuppressionView { unit: of.unit.clone(), since: self.stamp(of.since) }),
            out_of_service: withheld.out_of_service.as_ref().map(|of| self.out_of_service(of)),
            hazard_withheld: withheld.hazard,
        }
    }

    fn shelf(&self, of: &Shelf) -> CoverView {
        CoverView {
            by: of.by.clone(),
            why: of.why.clone(),
            since: self.stamp(of.since),
            until: Some(self.stamp(of.until)),
        }
    }

    fn out_of_service(&self, of: &OutOfService) -> CoverView {
        CoverView {
            by: of.by.clone(),
            why: of.why.clone(),
            since: self.stamp(of.since),
            until: of.until.map(|until| self.stamp(until)),
        }
    }

    pub(super) fn stops(&self) -> Vec<StopView> {
        let stop = |stop: &riskgate_engine::StopRecord| StopView {
            unit: stop.unit.clone(),
            unit_name: self.unit_name(&stop.unit),
            by: stop.by.clone(),
            why: stop.why.clone(),
            since: self.stamp(stop.since),
        };
        self.board.stops().map(stop).collect()
    }

    pub(super) fn quality(&self) -> QualityView {
        let AlarmQuality {
            flood,
            standing,
            chattering,
            stale,
            shelved,
            suppressed,
            out_of_service,
            day,
            week,
        } = self.board.quality().clone();
        let unwatched = self.board.unwatched().iter().map(|measure| UnwatchedView {
            measure: measure.clone(),
            measure_name: self.measure_name(measure),
        });
        QualityView {
            flood,
            standing,
            chattering,
            stale,
            shelved,
            suppressed,
            out_of_service,
            unwatched: unwatched.collect(),
            day: window(day),
            week: window(week),
        }
    }
}

fn window(of: QualityWindow) -> QualityWindowView {
    let QualityWindow { covered_s, annunciated, per_10_min, peak_10_min, flood_share, worst, by_priority } =
        of;
    let worst = worst.into_iter().map(|(alarm, annunciated)| WorstView { alarm, annunciated }).collect();
    QualityWindowView { covered_s, annunciated, per_10_min, peak_10_min, flood_share, by_priority, worst }
}
