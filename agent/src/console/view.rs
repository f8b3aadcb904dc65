//! The board as JSON: one shape for the page's live stream, `/api/board`, the socket and
//! `riskgate show --json`.
//!
//! It is a promise to scripts: fields are added, never renamed or removed. So it is written out here and not
//! derived from the engine's records, which may change. Times are RFC 3339 in the site's zone, durations
//! whole seconds, names of enumerations the snake_case words of the configuration.

mod alarm;
mod indicator;
mod render;
mod shadow;

use std::time::Duration;

use jiff::tz::TimeZone;
use riskgate_engine::{HazardStage, Level, RiskClass, Truth, Words};
use riskgate_point::{Value, Wall};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::board::{Board, BoardHandle, Change, HistoryLine, LaneLine, PUMP_TURN_AGE_MAX};
use super::source::{CountsLine, SourceState};
use crate::config::ModelSource;
use crate::store::journal::Head;
use alarm::AlarmLists;
pub use alarm::{
    AlarmView, CoverView, QualityView, QualityWindowView, StopView, SuppressionView, TurnView, UnwatchedView,
    WorstView,
};
pub use indicator::{IndicatorView, RateView, WeekView};
use render::Render;
pub use shadow::ShadowView;

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
    /// 搁置, 设计抑制, 停用: not annunciated, whatever their state. One may stand in several.
    #[serde(default)]
    pub shelved: Vec<AlarmView>,
    #[serde(default)]
    pub suppressed: Vec<AlarmView>,
    #[serde(default)]
    pub out_of_service: Vec<AlarmView>,
    /// Units that are stopped.
    #[serde(default)]
    pub stops: Vec<StopView>,
    /// 试运行规则: what each shadow rule would have told.
    #[serde(default)]
    pub shadows: Vec<ShadowView>,
    #[serde(default)]
    pub quality: QualityView,
    /// `None`: the calendar has not told the week yet.
    #[serde(default)]
    pub indicators: Option<IndicatorView>,
    /// 隐患: being rectified or awaiting acceptance; newest first.
    pub hazards: Vec<HazardView>,
    /// 待确认: a person has to judge; newest first.
    pub candidates: Vec<HazardView>,
    /// Tasks whose cycle differs from their base, or which are suspended.
    pub tasks: Vec<TaskView>,
    pub units: Vec<UnitView>,
    pub sources: Vec<SourceView>,
    pub outbox: OutboxView,
    #[serde(default)]
    pub history: HistoryLine,
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
    #[serde(default)]
    pub model: ModelView,
}

/// Which model is in force. Without a version the files hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelView {
    pub source: ModelSource,
    pub version: Option<u64>,
    pub since: Option<String>,
    /// Who gave it.
    pub by: Option<String>,
    /// Measures that points and rules name and upstream does not have any more.
    pub orphans: Vec<String>,
    /// A newer one that does not go with the gateway's files.
    #[serde(default)]
    pub refused: Option<RefusedModelView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedModelView {
    pub version: u64,
    pub why: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageView {
    pub automatic: usize,
    pub watched: usize,
    /// The others.
    pub unwatched: Vec<String>,
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
    /// Since when its unit is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<String>,
    /// The end of the first cycle that nobody has carried out since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue: Option<String>,
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
    /// The newest entry of the journal: to be kept elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<Head>,
    /// What was set aside so that it holds up nothing; each is told upstream as a gap.
    #[serde(default)]
    pub set_aside: Vec<AsideView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsideView {
    /// `refused`: the receiver will not take it. `unwritable`: the database will not.
    pub what: String,
    pub count: u64,
    pub oldest: Option<String>,
    /// Of the newest.
    pub why: String,
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
    pub stops: Option<Vec<StopView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<QualityView>,
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
        let AlarmLists { annunciated, shelved, suppressed, out_of_service } = render.alarm_lists();
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
                model: render.model(),
            },
            alarms: annunciated,
            shelved,
            suppressed,
            out_of_service,
            stops: render.stops(),
            shadows: render.shadows(),
            quality: render.quality(),
            indicators: render.indicators(),
            hazards,
            candidates,
            tasks: render.tasks(),
            units: render.units(),
            sources: render.sources(),
            outbox: render.outbox(),
            history: board.history().clone(),
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
            stops: change.stops.then(|| render.stops()),
            quality: change.quality.then(|| render.quality()),
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

/// RFC 3339 with milliseconds and the zone's offset. A time beyond the calendar is its nearest end.
pub fn stamp(wall: Wall, timezone: &TimeZone) -> String {
    let end = if wall.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let timestamp = jiff::Timestamp::from_millisecond(wall.0).unwrap_or(end);
    timestamp.to_zoned_datetime(timezone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}

#[cfg(test)]
mod tests {
    use riskgate_engine::{AlarmRecord, Effect};

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
    fn what_is_withheld_stands_in_lists_of_its_own_and_not_among_the_alarms() {
        let handle = sample::handle();
        let shown = BoardView::of(&handle).alarms.len();
        let mut record = sample::alarm("GD-101/HH", riskgate_engine::Priority::Critical, 5);
        record.revision = 9;
        record.withheld = riskgate_engine::Withheld {
            suppressed: Some(riskgate_engine::Suppression { unit: "U-TA".to_owned(), since: Wall(0) }),
            out_of_service: Some(riskgate_engine::OutOfService {
                by: "李雷".to_owned(),
                why: "送检".to_owned(),
                since: Wall(0),
                until: None,
            }),
            ..Default::default()
        };
        let alarm = |record: &AlarmRecord| Effect::Alarm(std::sync::Arc::new(record.clone()));
        handle.update(|board| board.apply(&alarm(&record), true));
        let view = BoardView::of(&handle);
        assert_eq!(view.alarms.len(), shown - 1);
        assert_eq!((view.shelved.len(), view.suppressed.len(), view.out_of_service.len()), (0, 1, 1));
        let out = view.out_of_service[0].out_of_service.as_ref().expect("who and why");
        assert_eq!((out.by.as_str(), out.until.as_deref()), ("李雷", None));
        // Normal, it stays listed for as long as it is out of service.
        record.state = riskgate_engine::AlarmState::Normal;
        record.withheld.suppressed = None;
        record.revision = 10;
        handle.update(|board| board.apply(&alarm(&record), true));
        assert_eq!(BoardView::of(&handle).out_of_service.len(), 1);
        record.withheld.out_of_service = None;
        record.revision = 11;
        handle.update(|board| board.apply(&alarm(&record), true));
        let view = BoardView::of(&handle);
        assert_eq!((view.alarms.len(), view.out_of_service.len()), (shown - 1, 0));
    }

    #[test]
    fn a_shadow_rule_is_no_alarm_on_the_board_and_an_older_count_of_it_is_not_shown() {
        let handle = sample::handle();
        let shadow = |revision: u64| riskgate_engine::ShadowRecord {
            rule: "hot".to_owned(),
            version: "v".to_owned(),
            episodes: revision,
            since: Some(Wall(0)),
            last_onset: Some(Wall(0)),
            lasted_ms: 0,
            words: Words::default(),
            evidence: None,
            changed: Wall(0),
            revision,
        };
        let before = BoardView::of(&handle);
        let mut changes = handle.changes();
        for revision in [2, 1] {
            let effect = Effect::Shadow(std::sync::Arc::new(shadow(revision)));
            handle.update(|board| board.apply(&effect, true));
        }
        assert_eq!(handle.read().shadow("hot").map(|of| of.episodes), Some(2));
        assert!(changes.try_recv().is_err(), "a page that is open hears nothing of it");
        let after = BoardView::of(&handle);
        assert_eq!((after.alarms, after.hazards), (before.alarms, before.hazards));
    }

    #[test]
    fn a_stopped_unit_is_shown_until_it_is_started_and_a_flood_is_news() {
        let handle = sample::handle();
        let mut stop = riskgate_engine::StopRecord {
            unit: "U-TA".to_owned(),
            stop: 1,
            by: "王敏".to_owned(),
            why: "检修".to_owned(),
            since: Wall(0),
            ended: None,
            ended_by: None,
            revision: 1,
        };
        let effect = |stop: &riskgate_engine::StopRecord| Effect::Stop(std::sync::Arc::new(stop.clone()));
        handle.update(|board| board.apply(&effect(&stop), true));
        let view = BoardView::of(&handle);
        assert_eq!(view.stops[0].unit_name.as_deref(), Some("罐区A"));
        (stop.ended, stop.revision) = (Some(Wall(1)), 2);
        handle.update(|board| board.apply(&effect(&stop), true));
        assert_eq!(BoardView::of(&handle).stops, []);
        let mut changes = handle.changes();
        let mut quality = riskgate_engine::AlarmQuality { flood: true, ..Default::default() };
        handle.update(|board| board.set_quality(quality.clone(), Vec::new()));
        assert!(changes.try_recv().expect("a flood is news").quality);
        quality.day.per_10_min = 1.5;
        handle.update(|board| board.set_quality(quality.clone(), Vec::new()));
        assert!(changes.try_recv().is_err(), "a rate that moves with the time is none");
        assert!((BoardView::of(&handle).quality.day.per_10_min - 1.5).abs() < 1e-9);
    }

    #[test]
    fn a_task_that_nobody_carried_out_in_time_is_shown_with_since_when() {
        let handle = sample::handle();
        let before = handle.read().tasks().next().expect("a task").clone();
        assert_eq!(BoardView::of(&handle).tasks[0].overdue, None);
        let late = riskgate_engine::TaskRecord {
            boosts: Vec::new(),
            overdue: Some(Wall(1_795_438_800_000)),
            revision: before.revision + 1,
            ..before
        };
        handle.update(|board| board.apply(&Effect::Task(std::sync::Arc::new(late)), true));
        let view = BoardView::of(&handle);
        assert_eq!(view.tasks[0].overdue.as_deref(), Some("2026-11-23T21:00:00.000+08:00"));
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
