//! A board for tests: a tank farm in a bad minute.

use std::sync::Arc;
use std::time::Duration;

use riskgate_engine::{
    AlarmKind, AlarmRecord, AlarmState, AlarmTurn, Boost, Class, Draft, Effect, Evidence, HazardRecord,
    HazardStage, Level, MeasureDraft, Operand, Plant, Priority, RaiseCause, RiskClass, TaskRecord, Truth,
    UnitDraft, UnitRecord, Withheld, Words,
};
use riskgate_point::{Mono, Now, Quality, Value, Wall};
use uuid::Uuid;

use super::board::{BoardHandle, LaneLine, Site, Uplink};
use super::source::{CountsLine, SkipLine, SourceLine, SourceState};

/// 2026-11-23T21:40:34+08:00.
pub(crate) const NOW: Now = Now { mono: Mono(3_600_000_000_000), wall: Wall(1_795_441_234_000) };

fn clock() -> Now {
    NOW
}

fn words(zh: &str, en: &str) -> Words {
    Words { zh: zh.to_owned(), en: en.to_owned() }
}

fn ago(seconds: i64) -> Wall {
    Wall(NOW.wall.0 - seconds * 1000)
}

fn plant() -> Plant {
    let unit = |id: &str, name: &str, base| UnitDraft {
        id: id.to_owned(),
        name: name.to_owned(),
        hazard_code: "540170007001".to_owned(),
        base,
        department: String::new(),
        liable_person: "李强".to_owned(),
    };
    let measure = |id: &str, unit: &str, name: &str| MeasureDraft {
        id: id.to_owned(),
        unit: unit.to_owned(),
        event: "泄漏".to_owned(),
        name: name.to_owned(),
        classify1: "1".to_owned(),
        classify2: "1-3".to_owned(),
        automatic: true,
        ..MeasureDraft::default()
    };
    let draft = Draft {
        company: "540170007".to_owned(),
        gateway: "54017000701".to_owned(),
        units: vec![
            unit("U-TA", "罐区A", RiskClass::Orange),
            unit("U-TB", "罐区B", RiskClass::Yellow),
            unit("U-LD", "装卸台", RiskClass::Yellow),
            unit("U-BR", "锅炉房", RiskClass::Blue),
        ],
        measures: vec![
            measure("M-TA-001", "U-TA", "储罐液位高高联锁"),
            measure("M-TA-003", "U-TA", "可燃气体检测报警"),
            measure("M-TB-002", "U-TB", "储罐压力监测"),
            measure("M-LD-001", "U-LD", "视频监控"),
        ],
        ..Draft::default()
    };
    Plant::build(draft).expect("a plant without faults").0
}

fn evidence(rule: &str) -> Evidence {
    Evidence {
        rule: rule.to_owned(),
        version: "0a1b2c3d4e5f".to_owned(),
        condition: "{GD-101} >= 50".to_owned(),
        verdict: Truth::True,
        at: NOW.wall,
        operands: vec![Operand {
            text: "{GD-101}".to_owned(),
            value: Value::float(52.4),
            quality: Quality::Good,
            at: Some(NOW.wall),
            source_time: None,
            detail: None,
            until: None,
            bound: None,
            age_ns: None,
        }],
        reason: None,
    }
}

/// A limit alarm of unit U-TA, unacknowledged, since `age` seconds.
pub(crate) fn alarm(id: &str, priority: Priority, age: i64) -> AlarmRecord {
    AlarmRecord {
        id: id.to_owned(),
        kind: AlarmKind::Limit,
        state: AlarmState::Unacknowledged,
        class: Class::Gas,
        priority,
        unit: Some("U-TA".to_owned()),
        measure: Some("M-TA-003".to_owned()),
        words: words(
            "1#罐区可燃气体 GD-101 二级报警：52.4 %LEL ≥ 50",
            "Gas detector GD-101 HH: 52.4 %LEL >= 50",
        ),
        guidance: words(
            "疏散罐区A人员，确认泄漏源，禁止动火",
            "Evacuate tank farm A, find the leak, no hot work",
        ),
        tags: vec!["GD-101".to_owned()],
        blinds: Vec::new(),
        episode: 1,
        since: ago(age),
        changed: ago(age),
        acknowledged_by: None,
        on_unknown: false,
        evidence: evidence(id),
        turn: AlarmTurn::default(),
        withheld: Withheld::default(),
        revision: 1,
    }
}

/// A hazard whose id ends in `number`.
pub(crate) fn hazard(number: u128, stage: HazardStage, zh: &str, en: &str) -> HazardRecord {
    HazardRecord {
        id: Uuid::from_u128((0x1111_1111_u128.wrapping_mul(number) << 96) | number),
        opening: 1,
        measure: "M-TA-003".to_owned(),
        unit: "U-TA".to_owned(),
        cause: "limit:GD-101".to_owned(),
        rule: "GD-101/HH".to_owned(),
        level: Level::General,
        stage,
        words: words(zh, en),
        raised: ago(60 * i64::try_from(number).expect("small")),
        changed: ago(10),
        deadline: ago(-86_000),
        liable_person: "李强".to_owned(),
        confirmed: None,
        rectify_within: std::time::Duration::from_hours(24),
        overdue: None,
        late: false,
        group: None,
        recurrences: 0,
        repeats: 2,
        returned: None,
        previous: None,
        acts: Vec::new(),
        evidence: evidence("GD-101/HH"),
        revision: 1,
    }
}

pub(crate) fn alarms() -> Vec<(AlarmRecord, bool)> {
    let gas = alarm("GD-101/HH", Priority::Critical, 42);
    let mut level = alarm("LT-1101/H", Priority::High, 312);
    level.class = Class::Process;
    level.words =
        words("T-101 储罐液位 LT-1101 高报：86.2 % ≥ 85", "Tank T-101 level LT-1101 H: 86.2 % >= 85");
    level.guidance = words("停止进料，核对现场液位计", "Stop the feed, compare with the local gauge");
    let mut smoke = alarm("dock-smoke", Priority::High, 18);
    smoke.kind = AlarmKind::Rule;
    smoke.class = Class::Video;
    smoke.unit = Some("U-LD".to_owned());
    smoke.words = words("装卸台摄像头 CAM-07 发现烟雾", "Camera CAM-07 at the loading dock sees smoke");
    smoke.guidance = words("现场确认，准备消防水", "Look on the spot, make fire water ready");
    let mut fault = alarm("fault:GD-102", Priority::Medium, 125);
    fault.kind = AlarmKind::Fault;
    fault.blinds = vec!["M-TA-003".to_owned()];
    fault.words = words(
        "探测器 GD-102 无信号（设备故障），该措施无人监测",
        "Detector GD-102 has failed: nobody watches",
    );
    fault.guidance = words("派人携便携式检测仪巡检", "Send a person with a portable detector");
    let mut seen = alarm("PT-2201/H", Priority::Medium, 1900);
    seen.state = AlarmState::Acknowledged;
    seen.acknowledged_by = Some("王敏".to_owned());
    seen.class = Class::Process;
    seen.unit = Some("U-TB".to_owned());
    seen.words =
        words("T-201 罐压力 PT-2201 高报：0.62 MPa ≥ 0.6", "Tank T-201 pressure PT-2201 H: 0.62 MPa >= 0.6");
    seen.guidance = words("检查安全阀与氮封", "Check the safety valve and the nitrogen blanket");
    let mut back = alarm("TT-3301/H", Priority::Low, 5400);
    back.state = AlarmState::Returned;
    back.class = Class::Equipment;
    back.unit = Some("U-BR".to_owned());
    back.words = words(
        "锅炉给水泵轴承温度 TT-3301 高报：已恢复 68 ℃",
        "Feed pump bearing TT-3301 H: returned, 68 degC",
    );
    back.guidance = words("", "");
    vec![(gas, false), (level, true), (smoke, true), (fault, true), (seen, true), (back, true)]
}

fn task() -> TaskRecord {
    TaskRecord {
        task: "T-TA-011".to_owned(),
        measure: "M-TA-003".to_owned(),
        unit: "U-TA".to_owned(),
        content: "罐区A可燃气体检测器现场检查".to_owned(),
        assignee: "赵磊".to_owned(),
        work_type: 0,
        base_cycle: Duration::from_secs(28_800),
        cycle: Duration::from_secs(3600),
        boosts: vec![Boost {
            rule: "tank-a-leak".to_owned(),
            words: words("罐区A疑似泄漏", "Leak suspected at tank farm A"),
            cycle: Some(Duration::from_secs(3600)),
            due: None,
            since: ago(42),
            until: None,
        }],
        done: None,
        overdue: None,
        suspended: None,
        changed: ago(42),
        revision: 1,
    }
}

pub(crate) fn unit(id: &str, name: &str, base: RiskClass, current: RiskClass) -> UnitRecord {
    UnitRecord {
        unit: id.to_owned(),
        name: name.to_owned(),
        base,
        current,
        causes: vec![RaiseCause {
            rule: "tank-a-leak".to_owned(),
            words: words("罐区A疑似泄漏", "Leak suspected at tank farm A"),
            raise_to: current,
            since: ago(42),
            until: None,
        }],
        changed: ago(42),
        revision: 1,
    }
}

fn sources() -> Vec<SourceLine> {
    let line = |id: &str, name: &str, link, why: Option<&str>, good, bad| SourceLine {
        id: id.to_owned(),
        name: name.to_owned(),
        link,
        why: why.map(str::to_owned),
        since: ago(7200),
        good,
        uncertain: 1,
        bad,
        source_offset_ms: (id == "sis").then_some(-120),
    };
    let refused = "connect to 10.0.0.9:1883: connection refused; is the broker running?";
    vec![
        line("dcs-1", "DCS 一号站", SourceState::Up, None, 412, 1),
        line("sis", "安全仪表系统", SourceState::Up, None, 64, 0),
        line("people", "人员定位", SourceState::Down, Some(refused), 0, 0),
    ]
}

/// What the drivers of [`sources`] counted.
fn counts() -> Vec<CountsLine> {
    let polled = CountsLine {
        polls: 7_200,
        polls_failed: 3,
        connects: 1,
        round_trip_us: Some(4_210),
        round_trip_max_us: Some(311_000),
        ..CountsLine::default()
    };
    let skip = SkipLine {
        place: "rtls/+".to_owned(),
        reason: "missing_tag".to_owned(),
        count: 12,
        example: "{\"zone\":\"A\"}".to_owned(),
    };
    let silent = CountsLine { skipped: vec![skip], ..CountsLine::default() };
    vec![polled.clone(), polled, silent]
}

/// A board of this plant with nothing on it.
pub(crate) fn empty_handle() -> BoardHandle {
    handle_with(clock)
}

/// The bad minute, on a clock that stands still.
pub(crate) fn handle() -> BoardHandle {
    let handle = empty_handle();
    fill(&handle);
    handle
}

pub(crate) fn handle_with(clock: riskgate_drivers::Clock) -> BoardHandle {
    let site = Site {
        company: "540170007".to_owned(),
        gateway: "54017000701".to_owned(),
        name: "罐区网关".to_owned(),
        timezone: jiff::tz::TimeZone::get("Asia/Shanghai").expect("embedded"),
    };
    BoardHandle::new(site, Arc::new(plant()), clock)
}

pub(crate) fn fill(handle: &BoardHandle) {
    handle.pump_turned(handle.now().mono);
    handle.update(|board| {
        board.set_ready(true);
        for (record, durable) in alarms() {
            board.apply(&Effect::Alarm(Arc::new(record)), durable);
        }
        let hazards = [
            hazard(
                1,
                HazardStage::Rectifying,
                "罐区A可燃气体检测二级报警",
                "Gas detection HH at tank farm A",
            ),
            hazard(2, HazardStage::Candidate, "T-101 液位高报，措施可能失效", "Tank T-101 level H"),
            hazard(3, HazardStage::Candidate, "装卸台视频发现烟雾", "Smoke seen at the loading dock"),
            hazard(4, HazardStage::AwaitingAcceptance, "T-201 压力变送器故障", "Transmitter PT-2201 failed"),
        ];
        for record in hazards {
            board.apply(&Effect::Hazard(Arc::new(record)), true);
        }
        board.apply(&Effect::Task(Arc::new(task())), true);
        board.apply(&Effect::Unit(Arc::new(unit("U-TA", "罐区A", RiskClass::Orange, RiskClass::Red))), true);
        board.apply(
            &Effect::Unit(Arc::new(unit("U-LD", "装卸台", RiskClass::Yellow, RiskClass::Orange))),
            true,
        );
        board.set_sources(sources(), counts());
        let lane = |lane: &str, pending, last| LaneLine { lane: lane.to_owned(), pending, last };
        board.set_outbox(vec![lane("critical", 0, 231), lane("work", 3, 88), lane("gap", 0, 0)]);
        board.set_uplink(Uplink {
            connected: true,
            broker: "10.1.0.2:1883".to_owned(),
            why: None,
            since: ago(7200),
        });
    });
}
