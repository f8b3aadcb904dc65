//! Records into views: names from the plant, stamps in the site's zone. Alarms have a file of their own.

use riskgate_engine::{ActRecord, Boost, Evidence, HazardRecord, HazardStage, Operand, Plant, TaskRecord};
use riskgate_point::Wall;

use super::{
    ActView, AsideView, BoostView, CoverageView, EvidenceView, HazardView, ModelView, OperandView,
    OutboxView, RaiseView, RefusedModelView, SourceView, TaskView, UnitView, UplinkView, stamp,
};
use crate::config::ModelInForce;
use crate::console::board::{AsideLine, Board, Line};
use crate::console::source::{CountsLine, SourceLine};

pub(super) struct Render<'a> {
    pub(super) board: &'a Board,
    pub(super) now: Wall,
}

impl Render<'_> {
    pub(super) fn coverage(&self) -> CoverageView {
        let of = self.plant().coverage();
        CoverageView { automatic: of.automatic, watched: of.watched, unwatched: of.unwatched.clone() }
    }

    pub(super) fn model(&self) -> ModelView {
        let ModelInForce { source, taken, refused, orphans } = self.board.model();
        ModelView {
            source: *source,
            version: taken.as_ref().map(|taken| taken.version),
            since: taken.as_ref().map(|taken| self.stamp(taken.at)),
            by: taken.as_ref().map(|taken| taken.by.clone()),
            orphans: orphans.clone(),
            refused: refused.as_ref().map(|of| RefusedModelView { version: of.version, why: of.why.clone() }),
        }
    }

    pub(super) fn plant(&self) -> &Plant {
        self.board.plant()
    }

    pub(super) fn stamp(&self, wall: Wall) -> String {
        stamp(wall, &self.board.site().timezone)
    }

    pub(super) fn unit_name(&self, unit: &str) -> Option<String> {
        self.plant().unit(unit).map(|unit| unit.name.clone())
    }

    pub(super) fn measure_name(&self, measure: &str) -> Option<String> {
        self.plant().measure(measure).map(|measure| measure.name.clone())
    }

    pub(super) fn hazards(&self) -> impl Iterator<Item = HazardView> {
        self.board.hazards().into_iter().map(|line| self.hazard(line))
    }

    pub(super) fn hazard(&self, line: &Line<HazardRecord>) -> HazardView {
        let record = &line.record;
        let unrectified = matches!(record.stage, HazardStage::Candidate | HazardStage::Rectifying);
        HazardView {
            id: record.id,
            stage: record.stage,
            level: record.level,
            unit: record.unit.clone(),
            unit_name: self.unit_name(&record.unit),
            measure: record.measure.clone(),
            measure_name: self.measure_name(&record.measure),
            cause: record.cause.clone(),
            rule: record.rule.clone(),
            words: record.words.clone(),
            raised: self.stamp(record.raised),
            changed: self.stamp(record.changed),
            deadline: self.stamp(record.deadline),
            overdue: unrectified && record.deadline < self.now,
            liable_person: record.liable_person.clone(),
            repeats: record.repeats,
            returned: record.returned.map(|returned| self.stamp(returned)),
            previous: record.previous,
            acts: record.acts.iter().map(|act| self.act(act)).collect(),
            durable: line.durable,
            revision: record.revision,
            evidence: self.evidence(&record.evidence),
        }
    }

    pub(super) fn act(&self, act: &ActRecord) -> ActView {
        ActView { by: act.by.clone(), deed: act.deed.clone(), why: act.why.clone(), at: self.stamp(act.at) }
    }

    pub(super) fn evidence(&self, evidence: &Evidence) -> EvidenceView {
        EvidenceView {
            rule: evidence.rule.clone(),
            version: evidence.version.clone(),
            condition: evidence.condition.clone(),
            verdict: evidence.verdict,
            at: self.stamp(evidence.at),
            operands: evidence.operands.iter().map(|operand| self.operand(operand)).collect(),
        }
    }

    pub(super) fn operand(&self, operand: &Operand) -> OperandView {
        OperandView {
            text: operand.text.clone(),
            value: operand.value.clone(),
            quality: operand.quality.to_string(),
            at: operand.at.map(|at| self.stamp(at)),
            source_time: operand.source_time.map(|at| self.stamp(at)),
            detail: operand.detail.clone(),
            until: operand.until.map(|at| self.stamp(at)),
        }
    }

    pub(super) fn tasks(&self) -> Vec<TaskView> {
        self.board.tasks().map(|record| self.task(record)).collect()
    }

    pub(super) fn task(&self, record: &TaskRecord) -> TaskView {
        TaskView {
            task: record.task.clone(),
            content: record.content.clone(),
            unit: record.unit.clone(),
            unit_name: self.unit_name(&record.unit),
            measure: record.measure.clone(),
            assignee: record.assignee.clone(),
            work_type: record.work_type,
            base_cycle_s: record.base_cycle.as_secs(),
            cycle_s: record.cycle.as_secs(),
            boosts: record.boosts.iter().map(|boost| self.boost(boost)).collect(),
            suspended: record.suspended.map(|since| self.stamp(since)),
            overdue: record.overdue.map(|since| self.stamp(since)),
            changed: self.stamp(record.changed),
        }
    }

    pub(super) fn boost(&self, boost: &Boost) -> BoostView {
        BoostView {
            rule: boost.rule.clone(),
            words: boost.words.clone(),
            cycle_s: boost.cycle.map(|cycle| cycle.as_secs()),
            due: boost.due.map(|due| self.stamp(due)),
            since: self.stamp(boost.since),
            until: boost.until.map(|until| self.stamp(until)),
        }
    }

    /// Every unit of the plant, whether or not the engine has spoken of it.
    pub(super) fn units(&self) -> Vec<UnitView> {
        let plant = self.plant();
        let unit = |unit: &riskgate_engine::UnitDraft| match self.board.unit(&unit.id) {
            None => UnitView {
                unit: unit.id.clone(),
                name: unit.name.clone(),
                base: unit.base,
                current: unit.base,
                causes: Vec::new(),
                changed: None,
            },
            Some(record) => UnitView {
                unit: unit.id.clone(),
                name: unit.name.clone(),
                base: record.base,
                current: record.current,
                causes: record
                    .causes
                    .iter()
                    .map(|cause| RaiseView {
                        rule: cause.rule.clone(),
                        words: cause.words.clone(),
                        raise_to: cause.raise_to,
                        since: self.stamp(cause.since),
                        until: cause.until.map(|until| self.stamp(until)),
                    })
                    .collect(),
                changed: Some(self.stamp(record.changed)),
            },
        };
        plant.units().iter().map(unit).collect()
    }

    pub(super) fn sources(&self) -> Vec<SourceView> {
        self.board.sources().map(|(line, counts)| self.source(line, counts)).collect()
    }

    pub(super) fn source(&self, line: &SourceLine, counts: &CountsLine) -> SourceView {
        SourceView {
            id: line.id.clone(),
            name: line.name.clone(),
            link: line.link,
            why: line.why.clone(),
            since: self.stamp(line.since),
            good: line.good,
            uncertain: line.uncertain,
            bad: line.bad,
            source_offset_ms: line.source_offset_ms,
            counts: counts.clone(),
        }
    }

    pub(super) fn outbox(&self) -> OutboxView {
        let aside = |aside: &AsideLine| AsideView {
            what: aside.what.clone(),
            count: aside.count,
            oldest: aside.oldest.map(|oldest| self.stamp(oldest)),
            why: aside.why.clone(),
        };
        OutboxView {
            lanes: self.board.outbox().to_vec(),
            journal: self.board.journal().cloned(),
            set_aside: self.board.aside().iter().map(aside).collect(),
        }
    }

    pub(super) fn uplink(&self) -> UplinkView {
        let uplink = self.board.uplink();
        UplinkView {
            connected: uplink.connected,
            broker: uplink.broker.clone(),
            why: uplink.why.clone(),
            since: self.stamp(uplink.since),
        }
    }
}
