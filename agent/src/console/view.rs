//! The board as JSON: one shape for the page's live stream, `/api/board`, the socket and
//! `riskgate show --json`.
//!
//! It is a promise to scripts: fields are added, never renamed or removed. So it is written out here and not
//! derived from the engine's records, which may change. Times are RFC 3339 in the site's zone, durations
//! whole seconds, names of enumerations the snake_case words of the configuration.

use std::time::Duration;

use jiff::tz::TimeZone;
use riskgate_engine::{
    ActRecord, AlarmKind, AlarmRecord, AlarmState, Boost, Class, Evidence, HazardRecord, HazardStage, Level,
    Operand, Plant, Priority, RiskClass, TaskRecord, Truth, Words,
};
use riskgate_point::{Value, Wall};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::board::{Board, BoardHandle, Change, LaneLine, Line, PUMP_TURN_AGE_MAX};
use super::source::{CountsLine, SourceLine, SourceState};

/// Everything that is shown, at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoardView {
    /// Counts the changes of this process; a smaller one than before says that the agent was restarted.
    pub version: u64,
    /// The gateway's clock when this was made.
    pub at: String,
    pub gateway: GatewayView,
    /// Most urgent first; of a priority the unseen ones, then the newest.
    pub alarms: Vec<AlarmView>,
    /// 隐患: being rectified or awaiting acceptance; newest first.
    pub hazards: Vec<HazardView>,
    /// 待确认: a person has to judge; newest first.
    pub candidates: Vec<HazardView>,
    /// Tasks whose cycle differs from their base.
    pub tasks: Vec<TaskView>,
    pub units: Vec<UnitView>,
    pub sources: Vec<SourceView>,
    pub outbox: OutboxView,
    pub uplink: UplinkView,
    pub health: HealthView,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayView {
    pub company: String,
    pub id: String,
    pub name: String,
    /// The version of the agent.
    pub agent: String,
    /// Of the measures that are said to be watched automatically, how many are.
    #[serde(default)]
    pub coverage: CoverageView,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageView {
    pub automatic: usize,
    pub watched: usize,
    /// The others.
    pub unwatched: Vec<String>,
}

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
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceView {
    pub rule: String,
    pub version: String,
    pub condition: String,
    pub verdict: Truth,
    pub at: String,
    pub operands: Vec<OperandView>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperandView {
    pub text: String,
    pub value: Option<Value>,
    /// `good`, `uncertain over_range`, `bad comm_failure`, ...
    pub quality: String,
    pub at: Option<String>,
    pub source_time: Option<String>,
    /// What stands behind it: the alarm of a source with its message, the number of a permit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The end of the permit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HazardView {
    pub id: Uuid,
    pub stage: HazardStage,
    pub level: Level,
    pub unit: String,
    pub unit_name: Option<String>,
    pub measure: String,
    pub measure_name: Option<String>,
    pub cause: String,
    pub rule: String,
    pub words: Words,
    pub raised: String,
    pub changed: String,
    pub deadline: String,
    /// The deadline is past and the rectification is not reported.
    pub overdue: bool,
    pub liable_person: String,
    pub repeats: u32,
    /// Since when the condition is back to normal.
    pub returned: Option<String>,
    pub previous: Option<Uuid>,
    pub acts: Vec<ActView>,
    pub durable: bool,
    pub revision: u64,
    pub evidence: EvidenceView,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActView {
    pub by: String,
    pub deed: String,
    pub why: Option<String>,
    pub at: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskView {
    pub task: String,
    pub content: String,
    pub unit: String,
    pub unit_name: Option<String>,
    pub measure: String,
    pub assignee: String,
    pub work_type: u8,
    pub base_cycle_s: u64,
    pub cycle_s: u64,
    pub boosts: Vec<BoostView>,
    pub changed: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoostView {
    pub rule: String,
    pub words: Words,
    /// `None`: one extra inspection, due by `due`.
    pub cycle_s: Option<u64>,
    pub due: Option<String>,
    pub since: String,
    /// `None`: for as long as the rule is active.
    pub until: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitView {
    pub unit: String,
    pub name: String,
    pub base: RiskClass,
    pub current: RiskClass,
    pub causes: Vec<RaiseView>,
    /// `None`: it has not changed since the agent started.
    pub changed: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaiseView {
    pub rule: String,
    pub words: Words,
    pub raise_to: RiskClass,
    pub since: String,
    pub until: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceView {
    pub id: String,
    pub name: String,
    pub link: SourceState,
    pub why: Option<String>,
    pub since: String,
    pub good: u32,
    pub uncertain: u32,
    pub bad: u32,
    pub source_offset_ms: Option<i64>,
    #[serde(flatten)]
    pub counts: CountsLine,
}

/// What is committed and not yet acknowledged upstream (待发队列).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxView {
    pub lanes: Vec<LaneLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UplinkView {
    pub connected: bool,
    pub broker: String,
    pub why: Option<String>,
    pub since: String,
}

/// What `/healthz` and `/readyz` answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthView {
    /// The pump turns and the store commits. The uplink does not count: the agent does its work without a
    /// broker, and a restart would not bring it back.
    pub healthy: bool,
    /// Healthy, and the configuration is in force.
    pub ready: bool,
    /// Why not, one sentence each; and what is impaired though healthy.
    pub reasons: Vec<String>,
    pub store: PartView,
    pub uplink: PartView,
    /// `None`: it has not turned yet.
    pub pump_turn_age_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartView {
    pub ok: bool,
    pub why: Option<String>,
}

/// What changed since the version before. A list that is absent has not changed; lines of `alarms` and
/// `hazards` (candidates among them) replace those of the same id.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangeView {
    pub version: u64,
    pub at: String,
    pub alarms: Vec<AlarmView>,
    pub alarms_gone: Vec<String>,
    pub hazards: Vec<HazardView>,
    pub hazards_gone: Vec<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Vec<TaskView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<Vec<UnitView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<SourceView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbox: Option<OutboxView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uplink: Option<UplinkView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthView>,
}

/// The beat of the live stream: a page that misses it knows that it is not live.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TickView {
    pub at: String,
    pub health: HealthView,
}

impl BoardView {
    pub fn of(handle: &BoardHandle) -> Self {
        let now = handle.now().wall;
        let pump_turn_age = handle.pump_turn_age();
        let board = handle.read();
        let render = Render { board: &board, now };
        let (candidates, hazards) =
            render.hazards().partition(|hazard| hazard.stage == HazardStage::Candidate);
        let site = board.site();
        Self {
            version: board.version(),
            at: render.stamp(now),
            gateway: GatewayView {
                company: site.company.clone(),
                id: site.gateway.clone(),
                name: site.name.clone(),
                agent: env!("CARGO_PKG_VERSION").to_owned(),
                coverage: render.coverage(),
            },
            alarms: board.alarms().into_iter().map(|line| render.alarm(line)).collect(),
            hazards,
            candidates,
            tasks: render.tasks(),
            units: render.units(),
            sources: render.sources(),
            outbox: render.outbox(),
            uplink: render.uplink(),
            health: HealthView::of(&board, pump_turn_age),
        }
    }
}

impl ChangeView {
    /// The lines that `change` names, as they are now.
    pub fn of(handle: &BoardHandle, change: &Change) -> Self {
        let now = handle.now().wall;
        let pump_turn_age = handle.pump_turn_age();
        let board = handle.read();
        let render = Render { board: &board, now };
        let (mut alarms, mut alarms_gone) = (Vec::new(), Vec::new());
        for id in &change.alarms {
            match board.alarm(id) {
                Some(line) => alarms.push(render.alarm(line)),
                None => alarms_gone.push(id.clone()),
            }
        }
        let (mut hazards, mut hazards_gone) = (Vec::new(), Vec::new());
        for id in &change.hazards {
            match board.hazard(*id) {
                Some(line) => hazards.push(render.hazard(line)),
                None => hazards_gone.push(*id),
            }
        }
        Self {
            version: change.version,
            at: render.stamp(now),
            alarms,
            alarms_gone,
            hazards,
            hazards_gone,
            tasks: change.tasks.then(|| render.tasks()),
            units: change.units.then(|| render.units()),
            sources: change.sources.then(|| render.sources()),
            outbox: change.outbox.then(|| render.outbox()),
            uplink: change.uplink.then(|| render.uplink()),
            health: change.health.then(|| HealthView::of(&board, pump_turn_age)),
        }
    }
}

impl TickView {
    pub fn of(handle: &BoardHandle) -> Self {
        let at = stamp(handle.now().wall, &handle.read().site().timezone);
        Self { at, health: HealthView::now(handle) }
    }
}

impl HealthView {
    pub fn now(handle: &BoardHandle) -> Self {
        let pump_turn_age = handle.pump_turn_age();
        Self::of(&handle.read(), pump_turn_age)
    }

    fn of(board: &Board, pump_turn_age: Option<Duration>) -> Self {
        let store = board.store_failure();
        let uplink = board.uplink();
        let pump_reason = match pump_turn_age {
            None => Some("the pump has not turned yet".to_owned()),
            Some(age) if age > PUMP_TURN_AGE_MAX => {
                Some(format!("the pump has not turned for {} s: nothing shown is live", age.as_secs()))
            }
            Some(_) => None,
        };
        let healthy = store.is_none() && pump_reason.is_none();
        let mut reasons: Vec<String> = pump_reason.into_iter().collect();
        reasons.extend(store.map(|why| format!("the store does not commit: {why}")));
        if !board.ready() {
            reasons.push("the agent is not ready: it is starting or stopping".to_owned());
        }
        if !uplink.connected {
            let why = uplink.why.as_deref().unwrap_or("no connection yet");
            reasons.push(format!("uplink {} is not connected: {why}; work goes on locally", uplink.broker));
        }
        Self {
            healthy,
            ready: healthy && board.ready(),
            reasons,
            store: PartView { ok: store.is_none(), why: store.map(str::to_owned) },
            uplink: PartView { ok: uplink.connected, why: uplink.why.clone() },
            pump_turn_age_ms: pump_turn_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// Records into views: names from the plant, stamps in the site's zone.
struct Render<'a> {
    board: &'a Board,
    now: Wall,
}

impl Render<'_> {
    fn coverage(&self) -> CoverageView {
        let of = self.plant().coverage();
        CoverageView { automatic: of.automatic, watched: of.watched, unwatched: of.unwatched.clone() }
    }

    fn plant(&self) -> &Plant {
        self.board.plant()
    }

    fn stamp(&self, wall: Wall) -> String {
        stamp(wall, &self.board.site().timezone)
    }

    fn unit_name(&self, unit: &str) -> Option<String> {
        self.plant().unit(unit).map(|unit| unit.name.clone())
    }

    fn measure_name(&self, measure: &str) -> Option<String> {
        self.plant().measure(measure).map(|measure| measure.name.clone())
    }

    fn alarm(&self, line: &Line<AlarmRecord>) -> AlarmView {
        let record = &line.record;
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
        }
    }

    fn hazards(&self) -> impl Iterator<Item = HazardView> {
        self.board.hazards().into_iter().map(|line| self.hazard(line))
    }

    fn hazard(&self, line: &Line<HazardRecord>) -> HazardView {
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

    fn act(&self, act: &ActRecord) -> ActView {
        ActView { by: act.by.clone(), deed: act.deed.clone(), why: act.why.clone(), at: self.stamp(act.at) }
    }

    fn evidence(&self, evidence: &Evidence) -> EvidenceView {
        EvidenceView {
            rule: evidence.rule.clone(),
            version: evidence.version.clone(),
            condition: evidence.condition.clone(),
            verdict: evidence.verdict,
            at: self.stamp(evidence.at),
            operands: evidence.operands.iter().map(|operand| self.operand(operand)).collect(),
        }
    }

    fn operand(&self, operand: &Operand) -> OperandView {
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

    fn tasks(&self) -> Vec<TaskView> {
        self.board.tasks().map(|record| self.task(record)).collect()
    }

    fn task(&self, record: &TaskRecord) -> TaskView {
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
            changed: self.stamp(record.changed),
        }
    }

    fn boost(&self, boost: &Boost) -> BoostView {
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
    fn units(&self) -> Vec<UnitView> {
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

    fn sources(&self) -> Vec<SourceView> {
        self.board.sources().map(|(line, counts)| self.source(line, counts)).collect()
    }

    fn source(&self, line: &SourceLine, counts: &CountsLine) -> SourceView {
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

    fn outbox(&self) -> OutboxView {
        OutboxView { lanes: self.board.outbox().to_vec() }
    }

    fn uplink(&self) -> UplinkView {
        let uplink = self.board.uplink();
        UplinkView {
            connected: uplink.connected,
            broker: uplink.broker.clone(),
            why: uplink.why.clone(),
            since: self.stamp(uplink.since),
        }
    }
}

/// RFC 3339 with milliseconds and the zone's offset. A time beyond the calendar is its nearest end.
pub fn stamp(wall: Wall, timezone: &TimeZone) -> String {
    let end = if wall.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let timestamp = jiff::Timestamp::from_millisecond(wall.0).unwrap_or(end);
    timestamp.to_zoned_datetime(timezone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::sample;

    #[test]
    fn stamps_are_in_the_sites_zone() {
        let zone = TimeZone::get("Asia/Shanghai").expect("embedded");
        assert_eq!(stamp(Wall(0), &zone), "1970-01-01T08:00:00.000+08:00");
        assert_eq!(stamp(Wall(1_795_441_234_567), &zone), "2026-11-23T21:40:34.567+08:00");
        assert!(stamp(Wall(i64::MAX), &zone).starts_with("9999-12-3"));
    }

    #[test]
    fn the_view_survives_json() {
        let view = BoardView::of(&sample::handle());
        let json = serde_json::to_string(&view).expect("json");
        assert_eq!(serde_json::from_str::<BoardView>(&json).expect("view"), view);
        assert!(!view.alarms.is_empty() && !view.hazards.is_empty() && !view.candidates.is_empty());
    }

    #[test]
    fn a_change_names_what_left_and_shows_what_stands() {
        let handle = sample::handle();
        let change = Change {
            version: 7,
            alarms: ["GD-101/HH".to_owned(), "nowhere/H".to_owned()].into(),
            ..Change::default()
        };
        let view = ChangeView::of(&handle, &change);
        assert_eq!(view.alarms.iter().map(|alarm| alarm.id.as_str()).collect::<Vec<_>>(), ["GD-101/HH"]);
        assert_eq!(view.alarms_gone, ["nowhere/H"]);
        assert_eq!((view.units, view.health), (None, None));
    }

    #[test]
    fn a_dead_uplink_is_a_reason_and_no_illness_a_dead_store_is() {
        let handle = sample::empty_handle();
        handle.pump_turned(handle.now().mono);
        handle.update(|board| board.set_ready(true));
        let health = HealthView::now(&handle);
        assert!(health.healthy && health.ready);
        assert!(health.reasons.iter().any(|reason| reason.contains("uplink")), "{:?}", health.reasons);
        handle.update(|board| board.set_store_failure(Some("disk full".to_owned())));
        let health = HealthView::now(&handle);
        assert!(!health.healthy && !health.ready);
        assert!(health.reasons.iter().any(|reason| reason.contains("disk full")), "{:?}", health.reasons);
    }

    #[test]
    fn a_pump_that_stopped_turning_is_an_illness() {
        let handle = sample::empty_handle();
        handle.update(|board| board.set_ready(true));
        assert!(!HealthView::now(&handle).healthy, "it has not turned yet");
        handle.pump_turned(handle.now().mono.before(PUMP_TURN_AGE_MAX + Duration::from_secs(1)));
        assert!(!HealthView::now(&handle).healthy);
        handle.pump_turned(handle.now().mono.before(PUMP_TURN_AGE_MAX));
        assert!(HealthView::now(&handle).healthy);
    }
}
