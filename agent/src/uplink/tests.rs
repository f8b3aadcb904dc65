use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use riskgate_engine::{
    ActRecord, AlarmEvent, AlarmKind, AlarmRecord, AlarmState, AlarmTurn, Boost, Class, Draft, Effect, Epoch,
    Evidence, HazardRecord, HazardStage, Level, MeasureDraft, ObjectDraft, Operand, Plant, Priority,
    RaiseCause, RiskClass, Shelf, StopRecord, TaskDraft, TaskRecord, Truth, UnitDraft, UnitRecord, Withheld,
    Words,
};
use riskgate_point::{BadReason, Link, Mono, Now, PointId, Quality, Sample, Value as PointValue, Wall};
use serde_json::{Value, json};
use uuid::Uuid;

use super::commands::{Decision, Deed, RESEND_PAGE, RESEND_ROWS_MAX, Ration, Received, Replay, decide};
use super::gap;
use super::schema::tests::{data_fits, fits, topic_fits};
use super::session::{LEASE_ROWS, Loose, LooseKind, Outgoing, Sent, Session, SetAside, Ticket};
use super::spool::Lost;
use super::telemetry::{
    CHUNK_BYTES_MAX, Chunk, Dropped, Name, READINGS_MAX, Reading, TelemetrySender, Told, channel,
};
use riskgate_drivers::tally::Counts;

use super::wire::{self, Origin, SourceState, Status};
use crate::config::{Commands, ModelInForce, ModelSource, RefusedModel, TakenModel};
use crate::pump::Refused;
use crate::store::journal::Head;
use crate::store::{Lane, LastSequences, Message, Row};

/// 2025-06-01T08:00:00+08:00.
pub(super) const MORNING: Wall = Wall(1_748_736_000_000);

pub(super) fn origin() -> Origin {
    Origin {
        company: "540170007".to_owned(),
        gateway: "54017000701".to_owned(),
        name: "罐区网关".to_owned(),
        timezone: TimeZone::get("Asia/Shanghai").expect("a zone"),
        epoch: Epoch(Uuid::from_u128(7)),
        epoch_began: MORNING,
        epoch_reason: "created".to_owned(),
    }
}

fn plant() -> Plant {
    Plant::build(draft()).expect("a sound plant").0
}

fn draft() -> Draft {
    Draft {
        company: "540170007".to_owned(),
        gateway: "54017000701".to_owned(),
        units: vec![UnitDraft {
            id: "U-1".to_owned(),
            name: "一号罐区".to_owned(),
            hazard_code: "540170007001".to_owned(),
            base: RiskClass::Yellow,
            department: String::new(),
            liable_person: "张三".to_owned(),
        }],
        measures: vec![MeasureDraft {
            id: "M-1".to_owned(),
            unit: "U-1".to_owned(),
            event: "泄漏".to_owned(),
            name: "可燃气体检测".to_owned(),
            classify1: "1".to_owned(),
            classify2: "1-4".to_owned(),
            automatic: true,
            ..MeasureDraft::default()
        }],
        tasks: vec![TaskDraft {
            id: "T-1".to_owned(),
            measure: "M-1".to_owned(),
            content: "检查阀门".to_owned(),
            cycle: Duration::from_secs(8 * 3600),
            work_type: 0,
            assignee: "李四/班长".to_owned(),
            ..TaskDraft::default()
        }],
        ..Draft::default()
    }
}

fn words(zh: &str, en: &str) -> Words {
    Words { zh: zh.to_owned(), en: en.to_owned() }
}

fn evidence() -> Evidence {
    let operand = |text: &str, value, quality| Operand {
        text: text.to_owned(),
        value,
        quality,
        at: Some(MORNING),
        source_time: None,
        detail: None,
        until: None,
        bound: None,
        age_ns: None,
    };
    Evidence {
        rule: "leak".to_owned(),
        version: "0123456789ab".to_owned(),
        condition: "at_least(1, {GD-101} >= 25, {GD-102} >= 25)".to_owned(),
        verdict: Truth::True,
        at: MORNING,
        operands: vec![
            operand("{GD-101}", PointValue::float(27.500_000_000_000_004), Quality::Good),
            operand("{GD-102}", None, Quality::Bad(BadReason::CommFailure)),
        ],
        reason: None,
    }
}

fn hazard(stage: HazardStage) -> HazardRecord {
    HazardRecord {
        id: Uuid::from_u128(9),
        opening: 1,
        measure: "M-1".to_owned(),
        unit: "U-1".to_owned(),
        cause: "leak".to_owned(),
        rule: "leak".to_owned(),
        level: Level::General,
        stage,
        words: words("一号罐区可燃气体高", "gas high in tank farm 1"),
        raised: MORNING,
        changed: MORNING,
        deadline: MORNING.after(Duration::from_secs(24 * 3600)),
        liable_person: "张三".to_owned(),
        confirmed: None,
        rectify_within: std::time::Duration::from_hours(24),
        overdue: None,
        late: false,
        group: None,
        recurrences: 0,
        repeats: 2,
        returned: None,
        previous: Some(Uuid::from_u128(8)),
        acts: vec![ActRecord { by: "李四".to_owned(), deed: "confirm".to_owned(), why: None, at: MORNING }],
        evidence: evidence(),
        revision: 3,
    }
}

fn alarm(unit: Option<&str>) -> AlarmRecord {
    AlarmRecord {
        id: "GD-101/HH".to_owned(),
        kind: AlarmKind::Limit,
        state: AlarmState::Unacknowledged,
        class: Class::Gas,
        priority: Priority::Critical,
        unit: unit.map(ToOwned::to_owned),
        measure: Some("M-1".to_owned()),
        words: words("可燃气体高高", "gas high high"),
        guidance: words("疏散", "evacuate"),
        tags: vec!["GD-101".to_owned()],
        blinds: Vec::new(),
        episode: 4,
        since: MORNING,
        changed: MORNING,
        acknowledged_by: None,
        on_unknown: false,
        evidence: evidence(),
        turn: AlarmTurn::default(),
        withheld: Withheld::default(),
        revision: 11,
    }
}

fn task() -> TaskRecord {
    TaskRecord {
        task: "T-1".to_owned(),
        measure: "M-1".to_owned(),
        unit: "U-1".to_owned(),
        content: "检查阀门".to_owned(),
        assignee: "李四/班长".to_owned(),
        work_type: 0,
        base_cycle: Duration::from_secs(2 * 24 * 3600),
        cycle: Duration::from_secs(5400),
        boosts: vec![Boost {
            rule: "leak".to_owned(),
            words: words("气体高", "gas high"),
            cycle: Some(Duration::from_secs(5400)),
            due: None,
            since: MORNING,
            until: None,
        }],
        done: None,
        overdue: None,
        suspended: None,
        changed: MORNING,
        revision: 2,
    }
}

fn unit(id: &str) -> UnitRecord {
    UnitRecord {
        unit: id.to_owned(),
        name: "一号罐区".to_owned(),
        base: RiskClass::Yellow,
        current: RiskClass::Red,
        causes: vec![RaiseCause {
            rule: "leak".to_owned(),
            words: words("气体高", "gas high"),
            raise_to: RiskClass::Red,
            since: MORNING,
            until: None,
        }],
        changed: MORNING,
        revision: 5,
    }
}

fn row(lane: Lane, seq: i64, sequence: u64) -> Row {
    let message = Message {
        lane,
        topic: "hazard/U-1".to_owned(),
        retain: false,
        kind: "riskgate.hazard.v1".to_owned(),
        object: "h".to_owned(),
        revision: sequence,
        time: MORNING,
        data: json!({ "id": "h", "revision": sequence }),
    };
    Row { seq, sequence, refused: false, message }
}

fn told(effect: &Effect) -> String {
    let messages = wire::messages(effect, &plant(), &origin());
    let lines = messages.iter().map(|message| {
        data_fits(&message.kind, &message.data);
        topic_fits(&message.kind, &message.topic);
        let lane = message.lane.word();
        let retained = if message.retain { " retained" } else { "" };
        let data = serde_json::to_string_pretty(&message.data).expect("JSON");
        format!("{lane} {}{retained} {} r{}\n{data}", message.topic, message.kind, message.revision)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

#[test]
fn a_hazard_is_told_in_the_standards_names_and_codes() {
    insta::assert_snapshot!(told(&Effect::Hazard(Arc::new(hazard(HazardStage::Rectifying)))));
}

#[test]
fn an_alarm_is_told_with_its_evidence() {
    insta::assert_snapshot!(told(&Effect::Alarm(Arc::new(alarm(Some("U-1"))))));
}

#[test]
fn a_permit_is_told_with_its_number_and_its_end() {
    let mut alarm = alarm(Some("U-1"));
    alarm.evidence.operands = vec![Operand {
        text: "permit('U-1', 'hot_work')".to_owned(),
        value: Some(PointValue::Bool(true)),
        quality: Quality::Good,
        at: Some(MORNING),
        source_time: None,
        detail: Some("DH-7".to_owned()),
        until: Some(MORNING.after(Duration::from_secs(3600))),
        bound: None,
        age_ns: None,
    }];
    let data = wire::messages(&Effect::Alarm(Arc::new(alarm)), &plant(), &origin())[0].data.clone();
    let operand = &data["evidence"]["operands"][0];
    assert_eq!(operand["detail"], "DH-7");
    let (from, until) = (operand["time"].as_str(), operand["until"].as_str());
    assert!(until.is_some() && until > from, "{operand}");
}

#[test]
fn a_silenced_alarm_says_so_with_who_why_and_until_when() {
    let shelf = Shelf {
        by: "王敏".to_owned(),
        why: "校验".to_owned(),
        since: MORNING,
        until: MORNING.after(Duration::from_secs(7200)),
    };
    let mut alarm = alarm(Some("U-1"));
    alarm.withheld.shelved = Some(shelf);
    let event = AlarmEvent::Shelved;
    alarm.turn = AlarmTurn { event, by: Some("王敏".to_owned()), why: Some("校验".to_owned()) };
    let data = wire::messages(&Effect::Alarm(Arc::new(alarm)), &plant(), &origin())[0].data.clone();
    assert_eq!(data["annunciated"], false);
    assert_eq!(data["turn"], json!({ "event": "shelved", "by": "王敏", "why": "校验" }));
    assert_eq!((&data["shelved"]["by"], &data["suppressed"]), (&json!("王敏"), &Value::Null));
    assert!(data["shelved"]["until"].as_str() > data["shelved"]["since"].as_str(), "{data}");
}

#[test]
fn a_stop_of_a_unit_is_told_in_the_standards_names() {
    let stop = StopRecord {
        unit: "U-1".to_owned(),
        stop: 2,
        by: "王敏".to_owned(),
        why: "年度检修".to_owned(),
        since: MORNING,
        ended: Some(MORNING.after(Duration::from_secs(86_400))),
        ended_by: Some("李雷".to_owned()),
        revision: 4,
    };
    insta::assert_snapshot!(told(&Effect::Stop(Arc::new(stop))));
}

#[test]
fn a_boosted_task_is_told_by_unit_and_by_assignee() {
    insta::assert_snapshot!(told(&Effect::Task(Arc::new(task()))));
}

#[test]
fn a_cycle_is_told_in_the_standards_units_above_zero_and_below_a_hundred() {
    let told = |seconds| {
        let task = TaskRecord { cycle: Duration::from_secs(seconds), ..task() };
        let data = wire::messages(&Effect::Task(Arc::new(task)), &plant(), &origin())[0].data.clone();
        format!("{}{}", data["checkCycle"], data["checkCycleUnit"].as_str().expect("a word"))
    };
    let (hour, day) = (3_600, 86_400);
    let cycles = [1, hour / 2, 100 * 60, 36 * hour, 99 * hour + hour / 2, 100 * hour, 7 * day, 90 * day];
    let expected = ["0.01小时", "0.5小时", "1.66小时", "36.0小时", "99.5小时", "4.16天", "7.0天", "90.0天"];
    assert_eq!(cycles.map(told), expected);
    let long = [100 * day, 180 * day, 365 * day, 366 * day];
    assert_eq!(long.map(told), ["3.33月", "6.0月", "1.0年", "12.2月"]);
}

#[test]
fn a_units_risk_is_told_retained() {
    insta::assert_snapshot!(told(&Effect::Unit(Arc::new(unit("U-1")))));
}

#[test]
fn the_object_of_a_unit_that_is_no_major_hazard_source_has_its_code_under_the_other_name() {
    let object = ObjectDraft { id: "540170007001".to_owned(), name: "罐区".to_owned(), major: false };
    let plant = Plant::build(Draft { objects: vec![object], ..draft() }).expect("a sound plant").0;
    let stop = StopRecord {
        unit: "U-1".to_owned(),
        stop: 1,
        by: "王敏".to_owned(),
        why: "年度检修".to_owned(),
        since: MORNING,
        ended: None,
        ended_by: None,
        revision: 1,
    };
    let effects = [Effect::Stop(Arc::new(stop)), Effect::Unit(Arc::new(unit("U-1")))];
    let mut told: Vec<Value> =
        effects.iter().map(|effect| wire::messages(effect, &plant, &origin())[0].data.clone()).collect();
    told.push(parsed(&super::birth::birth(&plant, MORNING, &origin()).payload)["data"]["units"][0].clone());
    for data in told {
        assert_eq!(
            (&data["hazardCode"], &data["hazardCode1"]),
            (&Value::Null, &json!("540170007001")),
            "{data}"
        );
    }
}

#[test]
fn an_envelope_carries_lane_sequence_and_epoch() {
    let bytes = wire::row_bytes(&row(Lane::Critical, 1, 42), &origin(), true);
    insta::assert_snapshot!(serde_json::to_string_pretty(&parsed(&bytes)).expect("JSON"));
}

#[test]
fn state_tells_the_last_sequences_and_the_sources_and_the_will_neither() {
    let down = SourceState {
        id: "dcs-1".to_owned(),
        name: "DCS".to_owned(),
        link: Link::Down { why: "connection refused".to_owned() },
        since: MORNING,
        good: 1,
        uncertain: 2,
        bad: 3,
        counts: Counts::default(),
    };
    let last = LastSequences { critical: 3, work: 2, gap: 1 };
    let head = Head { n: 7, hash: "5f1c".to_owned() };
    let taken = TakenModel { version: 7, at: MORNING, by: "王敏".to_owned() };
    let model = ModelInForce {
        source: ModelSource::Upstream,
        taken: Some(taken),
        refused: Some(RefusedModel { version: 8, why: "a unit is missing".to_owned() }),
        orphans: vec!["M-9".to_owned()],
    };
    let sources = [down];
    let present = wire::Present { last, journal: &head, sources: &sources, model: &model };
    let online = wire::state_bytes(Status::Online, Some(present), MORNING, &origin());
    insta::assert_snapshot!(serde_json::to_string_pretty(&parsed(&online)).expect("JSON"));
    fits("state", &parsed(&online));
    let will = parsed(&wire::state_bytes(Status::Offline, None, MORNING, &origin()));
    fits("state", &will);
    assert_eq!(will, json!({ "status": "offline", "epoch": origin().epoch.0 }));
}

#[test]
fn a_candidate_has_a_topic_of_its_own_and_no_danger_state() {
    for (stage, topic, state) in [
        (HazardStage::Candidate, "candidate/U-1", Value::Null),
        (HazardStage::Rejected, "candidate/U-1", Value::Null),
        (HazardStage::Rectifying, "hazard/U-1", json!(0)),
        (HazardStage::AwaitingAcceptance, "hazard/U-1", json!(1)),
        (HazardStage::Accepted, "hazard/U-1", json!(9)),
    ] {
        let effect = Effect::Hazard(Arc::new(hazard(stage)));
        let messages = wire::messages(&effect, &plant(), &origin());
        assert_eq!(messages.len(), 1);
        assert_eq!((messages[0].topic.as_str(), &messages[0].data["dangerState"]), (topic, &state));
    }
}

#[test]
fn an_accepted_hazard_tells_who_accepted_it_when_and_why() {
    let data = |stage| {
        let mut hazard = hazard(stage);
        hazard.acts.push(ActRecord {
            by: "王敏".to_owned(),
            deed: "accept".to_owned(),
            why: Some("已更换法兰垫片".to_owned()),
            at: MORNING,
        });
        wire::messages(&Effect::Hazard(Arc::new(hazard)), &plant(), &origin())[0].data.clone()
    };
    let accepted = data(HazardStage::Accepted);
    let told = ["checkAcceptPerson", "checkAcceptTime", "checkAcceptComment"].map(|field| &accepted[field]);
    assert_eq!(told, ["王敏", "2025-06-01T08:00:00.000+08:00", "已更换法兰垫片"]);
    assert_eq!(data(HazardStage::AwaitingAcceptance).get("checkAcceptPerson"), None);
}

#[test]
fn an_alarm_of_no_unit_goes_to_the_site() {
    let messages = wire::messages(&Effect::Alarm(Arc::new(alarm(None))), &plant(), &origin());
    assert_eq!(messages[0].topic, "alarm/_site");
}

#[test]
fn ids_cannot_change_the_shape_of_a_topic() {
    assert_eq!(wire::level("A/B+C#D%E\u{0}"), "A%2FB%2BC%23D%25E%00");
    assert_eq!(wire::level("一号罐区"), "一号罐区");
}

#[test]
fn a_danger_name_fits_the_standards_300_characters() {
    let mut long = hazard(HazardStage::Rectifying);
    long.words.zh = "漏".repeat(400);
    let messages = wire::messages(&Effect::Hazard(Arc::new(long)), &plant(), &origin());
    let name = messages[0].data["dangerName"].as_str().expect("a text");
    assert_eq!(name.chars().count(), 300);
}

fn loose(what: LooseKind) -> Loose {
    Loose { topic: "state".to_owned(), payload: Vec::new(), retain: true, what }
}

/// Since the connection began.
const NOW: Duration = Duration::from_secs(1);

/// Hands over everything that the window has room for.
fn hand_over(session: &mut Session) -> Vec<(Ticket, String)> {
    let mut handed = Vec::new();
    while let Some(outgoing) = session.next(NOW) {
        let (name, sent) = match outgoing {
            Outgoing::Loose(Loose { what, topic, .. }) => (format!("{what:?}"), Sent::Loose { what, topic }),
            Outgoing::Row(row) => {
                let (lane, sequence) = (row.message.lane, row.sequence);
                (format!("{}{sequence}", lane.word()), Sent::Row { seq: row.seq, lane, sequence })
            }
            Outgoing::Again(row) => (format!("again{}", row.sequence), Sent::Again),
            Outgoing::Telemetry(chunk) => (format!("telemetry{}", chunk.from.0), Sent::Telemetry(chunk)),
        };
        handed.push((session.handed_over(sent, 0, NOW), name));
    }
    handed
}

fn names(handed: &[(Ticket, String)]) -> Vec<&str> {
    handed.iter().map(|(_, name)| name.as_str()).collect()
}

fn chunk(from: i64) -> Chunk {
    let (readings, name) = (Arc::default(), Name::new(from.to_string()));
    Chunk { readings, from: Wall(from), to: Wall(from), name, ticket: None, spooled: None }
}

#[test]
fn the_lanes_are_read_by_urgency_and_only_once_retained_topics_are_told() {
    let mut session = Session::new(100, None);
    let last = LastSequences { critical: 1, work: 1, gap: 1 };
    assert_eq!(session.wants_lease(last), None);
    session.push(loose(LooseKind::State));
    session.announce(LastSequences::default());
    for (lane, seq) in [(Lane::Critical, 3), (Lane::Gap, 2), (Lane::Work, 1)] {
        let lease = session.wants_lease(last).expect("more");
        assert_eq!((lease.lane, lease.after), (lane, 0));
        session.leased(lease, vec![row(lane, seq, 1)]);
    }
    assert_eq!(session.wants_lease(last), None);
    assert_eq!(names(&hand_over(&mut session)), ["State", "critical1", "gap1", "work1"]);
}

#[test]
fn the_list_of_points_goes_behind_the_lanes_one_page_at_a_time() {
    let mut session = Session::new(100, None);
    session.announce(LastSequences::default());
    session.set_points((0..3).map(|_| b"page".to_vec()));
    session.push_live(chunk(1), NOW);
    let lease = session.wants_lease(LastSequences { critical: 1, work: 0, gap: 0 }).expect("more");
    session.leased(lease, vec![row(Lane::Critical, 1, 1)]);
    let handed = hand_over(&mut session);
    assert_eq!(names(&handed), ["critical1", "Points", "telemetry1"]);
    session.acknowledge(handed[0].0, NOW);
    assert_eq!(names(&hand_over(&mut session)), [""; 0]);
    session.acknowledge(handed[1].0, NOW);
    // A new list while the old one is on its way.
    session.set_points([b"page".to_vec()].into_iter());
    let handed = hand_over(&mut session);
    assert_eq!(names(&handed), ["Points"]);
    session.acknowledge(handed[0].0, NOW);
    assert_eq!(names(&hand_over(&mut session)), [""; 0]);
}

#[test]
fn a_row_is_acknowledged_by_its_own_puback_and_by_nothing_else() {
    let mut session = Session::new(100, None);
    session.announce(LastSequences::default());
    let last = LastSequences { critical: 2, ..LastSequences::default() };
    let lease = session.wants_lease(last).expect("more");
    session.leased(lease, vec![row(Lane::Critical, 10, 1), row(Lane::Critical, 11, 2)]);
    let handed = hand_over(&mut session);
    assert!(session.take_acknowledged().is_empty());
    assert!(session.acknowledge(handed[1].0, NOW).is_some());
    assert_eq!(session.take_acknowledged(), [11]);
    assert!(session.acknowledge(handed[1].0, NOW).is_none(), "once");
    session.put_back_acknowledged(vec![11]);
    assert_eq!(session.take_acknowledged(), [11]);
}

#[test]
fn state_tells_no_sequence_that_the_broker_may_not_have() {
    let mut session = Session::new(100, None);
    session.announce(LastSequences { critical: 7, work: 4, gap: 0 });
    let last = LastSequences { critical: 10, work: 4, gap: 0 };
    assert_eq!(session.sent(), LastSequences { critical: 7, work: 4, gap: 0 });
    let lease = session.wants_lease(last).expect("more");
    session.leased(lease, (8..=10).map(|n| row(Lane::Critical, 1, n)).collect());
    let handed = hand_over(&mut session);
    assert_eq!(session.sent().critical, 7);
    session.acknowledge(handed[1].0, NOW);
    assert_eq!(session.sent().critical, 7, "8 is under way still");
    session.acknowledge(handed[0].0, NOW);
    assert_eq!(session.sent().critical, 9);
    session.acknowledge(handed[2].0, NOW);
    assert_eq!(session.sent(), last);
    assert_eq!(session.wants_lease(last), None);
}

#[test]
fn the_window_is_bounded_and_keeps_room_for_state_and_answers() {
    let mut session = Session::new(100, None);
    session.announce(LastSequences::default());
    let last = LastSequences { critical: 1_000, ..LastSequences::default() };
    let mut sequence = 0_u64;
    while let Some(lease) = session.wants_lease(last) {
        let rows = (0..LEASE_ROWS).map(|_| {
            sequence += 1;
            row(Lane::Critical, i64::try_from(sequence).expect("small"), sequence)
        });
        session.leased(lease, rows.collect());
    }
    assert_eq!(hand_over(&mut session).len(), 88);
    session.push(loose(LooseKind::State));
    session.push(loose(LooseKind::Reply));
    assert_eq!(names(&hand_over(&mut session)), ["State", "Reply"]);
    assert_eq!(session.in_flight(), 90);
    for _ in 0..20 {
        session.push(loose(LooseKind::Cleared));
    }
    assert_eq!(hand_over(&mut session).len(), 10);
}

#[test]
fn telemetry_without_an_acknowledgement_is_kept_in_order_for_the_next_connection() {
    let mut session = Session::new(100, None);
    session.push_live(chunk(1), NOW);
    session.push_live(chunk(2), NOW);
    session.push_live(chunk(3), NOW);
    let handed = hand_over(&mut session);
    assert_eq!(names(&handed), ["telemetry1", "telemetry2", "telemetry3"]);
    assert!(session.acknowledge(handed[1].0, NOW).is_some());
    session.push_live(chunk(4), NOW);
    session.push_past(Chunk { spooled: Some(1), ..chunk(5) });
    let left: Vec<i64> = session.lost(false).readings.iter().map(|chunk| chunk.from.0).collect();
    assert_eq!(left, [1, 3, 4], "what is spooled stays there");
}

#[test]
fn pieces_of_what_is_spooled_are_read_from_there_again_and_leave_it_when_all_of_them_have_arrived() {
    let past = || Chunk { readings: Arc::new(readings(2_000)), spooled: Some(7), ..chunk(1) };
    let mut session = Session::new(100, Some(1_000_000));
    session.announce(LastSequences::default());
    session.push_past(past());
    let handed = hand_over(&mut session);
    assert!(handed.len() > 2, "it is larger than one message");
    // The last arrives first.
    let leaves = |session: &mut Session, ticket| match session.acknowledge(ticket, NOW) {
        Some(Sent::Telemetry(chunk)) => chunk.spooled,
        other => panic!("{other:?}"),
    };
    let (first, last) = (handed[0].0, handed[handed.len() - 1].0);
    assert_eq!(leaves(&mut session, last), None, "the others are under way");
    assert_eq!(session.lost(false).readings.len(), 0, "they are in the spool still, and nowhere else");

    session.announce(LastSequences::default());
    session.push_past(past());
    let left: Vec<Option<i64>> =
        hand_over(&mut session).iter().rev().map(|(ticket, _)| leaves(&mut session, *ticket)).collect();
    assert_eq!(left.iter().flatten().collect::<Vec<_>>(), [&7], "with the last of them to arrive");
    assert_eq!(left[left.len() - 1], Some(7));
    assert!(first < last);
}

/// A broker that hangs up on the reading of this value, whatever stands beside it, and acknowledges the rest.
#[test]
fn one_reading_that_ends_each_connection_is_found_in_a_small_batch_and_the_others_go() {
    const POISON: f64 = 5.0;
    let mut session = Session::new(100, None);
    let (sender, telemetry) = channel();
    let all: Vec<(Told, Sample)> = (1..=9).map(|n| reading("A", f64::from(n), i64::from(n))).collect();
    offer(&sender, &all);
    let value = |reading: &Reading| match reading.value {
        Some(PointValue::Float(value)) => value.get(),
        _ => panic!("{reading:?}"),
    };
    let (mut arrived, mut aside) = (Vec::new(), None);
    for _ in 0..40 {
        session.answered();
        session.announce(LastSequences::default());
        let mut hung_up = false;
        while !hung_up {
            while let Some(bytes) = session.wants_live() {
                let Some(chunk) = telemetry.take(bytes) else { break };
                session.push_live(chunk, NOW);
            }
            let Some(Outgoing::Telemetry(chunk)) = session.next(NOW) else { break };
            let values: Vec<f64> = chunk.readings.iter().map(value).collect();
            let ticket = session.handed_over(Sent::Telemetry(chunk), 100, NOW);
            hung_up = values.contains(&POISON);
            if !hung_up {
                arrived.extend(values);
                session.acknowledge(ticket, NOW);
            }
        }
        if !hung_up {
            break;
        }
        let left = session.lost(true);
        telemetry.put_back(left.readings);
        if let Some(SetAside::Reading(chunk)) = left.aside {
            assert!(aside.is_none(), "once");
            aside = Some(chunk.readings.iter().map(value).collect::<Vec<_>>());
        }
    }
    assert_eq!(aside, Some(vec![POISON]));
    assert_eq!(arrived, [1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 8.0, 9.0]);
    // What stood beside it goes together again.
    offer(
        &sender,
        &all.iter()
            .map(|(told, sample)| {
                (
                    told.clone(),
                    Sample {
                        value: PointValue::float(20.0 + sample.received.wall.0 as f64),
                        ..sample.clone()
                    },
                )
            })
            .collect::<Vec<_>>(),
    );
    let bytes = session.wants_live().expect("room");
    assert_eq!(telemetry.take(bytes).expect("they wait").readings.len(), 9);
}

#[test]
fn one_state_message_is_under_way_at_a_time() {
    let mut session = Session::new(100, None);
    assert!(session.state_is_told());
    session.push(loose(LooseKind::State));
    assert!(!session.state_is_told());
    let handed = hand_over(&mut session);
    assert!(!session.state_is_told());
    session.acknowledge(handed[0].0, NOW);
    assert!(session.state_is_told());
}

fn command(name: &str, fields: &Value) -> Decision {
    let acts = BTreeMap::from([("confirm".to_owned(), vec!["王敏".to_owned()])]);
    let allowed = Commands { acts, ..Commands::default() };
    let payload = fields.to_string();
    let received = Received { name, payload: payload.as_bytes(), retained: false };
    decide(received, &allowed, origin().epoch, MORNING)
}

#[test]
fn a_command_needs_an_id_a_name_an_expiry_and_leave() {
    let good = json!({ "id": "c1", "by": "平台", "expires": "2025-06-01T08:00:01+08:00" });
    assert_eq!(command("ping", &good).deed, Ok(Deed::Ping));
    let refused = |name: &str, field: &str, value: Value, code: &str, why: &str| {
        let mut fields = good.clone();
        fields[field] = value;
        let error = command(name, &fields).deed.expect_err("refused");
        assert!(error.code == code && error.words.contains(why), "{error:?}");
    };
    refused("ping", "id", json!(""), "malformed", "'id' is missing");
    refused("ping", "id", json!("x".repeat(129)), "malformed", "'id' is missing");
    refused("ping", "by", json!(" "), "malformed", "'by' is missing");
    refused("ping", "expires", Value::Null, "malformed", "'expires' is missing");
    refused("ping", "expires", json!("tomorrow"), "malformed", "no RFC 3339");
    refused("ping", "expires", json!("2025-06-01T07:59:59+08:00"), "expired", "expired");
    refused("ping", "more", json!("x".repeat(16 * 1024)), "too_large", "16384 are taken");
    refused("accept", "by", json!("平台"), "not_allowed", "not allowed here; allowed: ping, resend, confirm");
    refused("confirm", "by", json!("李雷"), "not_allowed", "'李雷' may not give 'confirm'");
    refused("confirm", "by", json!("王敏"), "malformed", "'hazard' is missing");
    refused("launch", "by", json!("王敏"), "unknown_command", "no command of this version");
    refused("resend", "epoch", json!(Uuid::from_u128(6)), "stale", "is over");
    refused("resend", "lane", json!("telemetry"), "malformed", "'lane' must be");
    let decide = |payload: &[u8], retained| {
        decide(Received { name: "ping", payload, retained }, &Commands::default(), origin().epoch, MORNING)
    };
    let garbage = decide(b"\xff not JSON", false);
    assert_eq!((garbage.id, garbage.deed.is_err()), (None, true));
    let retained = decide(good.to_string().as_bytes(), true).deed.expect_err("refused");
    assert_eq!(retained.code, "retained");
}

#[test]
fn what_is_too_large_or_retained_is_refused_before_it_is_read_and_answered_where_it_says_to_whom() {
    let code = |name: &str, payload: &[u8], retained: bool| {
        let received = Received { name, payload, retained };
        let Decision { id, deed, .. } = decide(received, &Commands::default(), origin().epoch, MORNING);
        (deed.expect_err("refused").code.into_owned(), id)
    };
    let is = |code: &str, id: Option<&str>| (code.to_owned(), id.map(str::to_owned));
    let torn = |length: usize| vec![b'['; length];
    assert_eq!(code("ping", &torn(16 * 1024 + 1), false), is("too_large", None));
    assert_eq!(code("ping", &torn(16), true), is("retained", None));
    // Of seven bytes each: a hundred and fifty thousand in a model of 1 MiB.
    let rows =
        format!("{{\"id\":\"m\",\"by\":\"[{{\\\"\",\"model\":[{}]}}", vec!["{\"\":0}"; 100_000].join(","));
    assert_eq!(code("model", rows.as_bytes(), false), is("too_large", Some("m")));
    let few = json!({ "id": "m", "by": "王敏", "text": "{[".repeat(200_000) }).to_string();
    assert_eq!(code("model", few.as_bytes(), false), is("malformed", Some("m")), "'expires' is missing");
    let large = json!({ "id": "c1", "by": "平台", "more": "x".repeat(16 * 1024) }).to_string();
    assert_eq!(code("ping", large.as_bytes(), false), is("too_large", Some("c1")));
}

#[test]
fn the_same_command_with_more_time_is_the_same_and_with_another_object_it_is_not() {
    let fields = |hazard: u128, expires: &str| {
        json!({
            "id": "c1", "by": "王敏", "expires": expires, "hazard": Uuid::from_u128(hazard), "revision": 1,
        })
    };
    let digest = |fields: Value| match command("confirm", &fields).deed {
        Ok(Deed::Act(command)) => command.digest,
        other => panic!("{other:?}"),
    };
    let first = digest(fields(1, "2025-06-01T08:00:01+08:00"));
    assert_eq!(first, digest(fields(1, "2025-06-01T09:00:01+08:00")));
    assert_ne!(first, digest(fields(2, "2025-06-01T08:00:01+08:00")));
}

#[test]
fn a_flood_of_commands_is_journalled_by_its_number() {
    let mut ration = Ration::default();
    let minute = |n: u64| Mono(n * 60_000_000_000);
    assert_eq!((0..100).filter(|_| ration.take(minute(1))).count(), 60);
    assert_eq!(ration.withheld(minute(1)), None, "it may not be over");
    assert_eq!(ration.withheld(minute(2)), Some(40));
    assert_eq!(ration.withheld(minute(2)), None);
    assert!(ration.take(minute(2)));
}

#[test]
fn a_resend_gives_what_is_there_and_names_what_is_not() {
    let mut replay = Replay::new("c1".to_owned(), Lane::Critical, 1, 500, 12);
    assert_eq!(replay.wants(), Some((Lane::Critical, 1, 12)));
    replay.read([3, 4, 7].map(|sequence| row(Lane::Critical, 1, sequence)).to_vec());
    assert_eq!(replay.wants(), None);
    let again: Vec<u64> = std::iter::from_fn(|| replay.pop()).map(|row| row.sequence).collect();
    assert_eq!(again, [3, 4, 7]);
    assert!(replay.is_done());
    let result = replay.result();
    assert_eq!(result["sent"], 3);
    assert_eq!(result["missing"], json!([[1, 2], [5, 6], [8, 12]]));
    assert_eq!((&result["last"], &result["next"]), (&json!(12), &Value::Null));
}

#[test]
fn a_resend_is_bounded_and_says_where_to_go_on() {
    let mut replay = Replay::new("c1".to_owned(), Lane::Work, 1, u64::MAX, 30_000);
    let mut sent = 0;
    while let Some((_, from, to)) = replay.wants() {
        let page = u64::try_from(RESEND_PAGE).expect("small");
        let rows = (from..=to.min(from + page - 1)).map(|sequence| row(Lane::Work, 1, sequence));
        replay.read(rows.collect());
        sent += std::iter::from_fn(|| replay.pop()).count();
    }
    assert!(replay.is_done());
    assert_eq!(u64::try_from(sent), Ok(RESEND_ROWS_MAX));
    assert_eq!(replay.result()["next"], RESEND_ROWS_MAX + 1);
}

fn point(tag: &str) -> Told {
    Told { tag: Arc::from(tag), class: Class::Gas, deadband: 0.0 }
}

fn reading(tag: &str, number: f64, time: i64) -> (Told, Sample) {
    let point = PointId(u32::from(tag.as_bytes()[0]));
    let received = Now { wall: Wall(time), ..Now::default() };
    let value = PointValue::float(number).expect("finite");
    (self::point(tag), Sample::good(point, value, received))
}

/// So many readings of one point.
pub(super) fn readings(n: usize) -> Vec<Reading> {
    let reading = |_| {
        let value = PointValue::float(1.0);
        Reading { tag: Arc::from("A"), class: Class::Gas, value, quality: Quality::Good, time: MORNING }
    };
    (0..n).map(reading).collect()
}

fn offer(sender: &TelemetrySender, readings: &[(Told, Sample)]) {
    sender.offer(readings.iter().map(|(tag, sample)| (tag, sample)));
}

#[test]
fn telemetry_tells_changes_only() {
    let (sender, receiver) = channel();
    let first = [reading("A", 1.0, 1), reading("A", 1.0, 2), reading("B", 1.0, 2), reading("A", 2.0, 3)];
    offer(&sender, &first);
    let mut bad = reading("A", 2.0, 4);
    (bad.1.value, bad.1.quality) = (None, Quality::Bad(BadReason::Stale));
    offer(&sender, &[bad]);
    let chunk = receiver.take(CHUNK_BYTES_MAX).expect("readings");
    assert_eq!((chunk.count(), chunk.from, chunk.to), (4, Wall(1), Wall(4)));
    let values = serde_json::to_value(chunk.values(&origin())).expect("JSON");
    assert_eq!(values[0]["time"], "1970-01-01T08:00:00.001+08:00");
    assert_eq!(values[3]["quality"], "bad stale");
    assert_eq!(receiver.take(CHUNK_BYTES_MAX), None);
}

#[test]
fn a_place_that_another_tag_has_taken_tells_that_tags_first_reading() {
    let (sender, receiver) = channel();
    let moved = |time| (point("B"), reading("A", 1.0, time).1);
    offer(&sender, &[reading("A", 1.0, 1), moved(2), moved(3)]);
    let chunk = receiver.take(CHUNK_BYTES_MAX).expect("readings");
    let told: Vec<(&str, i64)> = chunk.readings.iter().map(|of| (&*of.tag, of.time.0)).collect();
    assert_eq!(told, [("A", 1), ("B", 2)]);
}

#[test]
fn readings_go_again_under_the_name_that_they_went_under_and_a_part_under_one_of_its_own() {
    let (sender, telemetry) = channel();
    let some = |from: i64, n: i64| (from..from + n).map(|n| reading("A", n as f64, n)).collect::<Vec<_>>();
    offer(&sender, &some(0, 5));
    let first = telemetry.take(10_000).expect("they wait");
    let name = first.name();
    offer(&sender, &some(5, 2));
    telemetry.put_back(vec![first]);
    let again = telemetry.take(10_000).expect("they wait");
    assert_eq!((again.name(), again.readings.len()), (name.clone(), 5), "not with what came since");
    let rest = telemetry.take(10_000).expect("they wait");
    assert!(rest.name() != name && rest.readings.len() == 2);
    // Cut anew: what a receiver has of it may come once more, under other names.
    telemetry.put_back(vec![again, rest]);
    let names: Vec<String> = (0..3).map(|_| telemetry.take(400).expect("they wait").name()).collect();
    assert_eq!(names, [format!("{name}.0+2"), format!("{name}.2+2"), format!("{name}.4+1")]);
    assert_ne!(channel().1.take(1).map(|chunk| chunk.name()), Some(name));
}

#[test]
fn a_long_outage_drops_the_oldest_readings_and_counts_them() {
    let (sender, receiver) = channel();
    let more = READINGS_MAX + 5;
    let readings = (0..more).map(|n| {
        let n = i32::try_from(n).expect("small");
        reading("A", f64::from(n), i64::from(n))
    });
    offer(&sender, &readings.collect::<Vec<_>>());
    let dropped = receiver.take_dropped().expect("dropped");
    assert_eq!((dropped.count, dropped.from, dropped.to), (5, Wall(0), Wall(4)));
    receiver.put_back_dropped(dropped);
    assert_eq!(receiver.take_dropped(), Some(dropped));
    assert_eq!(receiver.take_dropped(), None);
    let mut kept = 0;
    while let Some(chunk) = receiver.take(CHUNK_BYTES_MAX) {
        assert!(serde_json::to_vec(&chunk.values(&origin())).expect("JSON").len() < 128 * 1024);
        kept += chunk.count();
    }
    assert_eq!(usize::try_from(kept), Ok(READINGS_MAX));
}

#[test]
fn a_text_too_large_for_a_packet_is_counted_and_holds_up_nothing() {
    let (sender, receiver) = channel();
    let mut huge = reading("A", 1.0, 1);
    huge.1.value = Some(PointValue::text(&"\u{1}".repeat(100_000)));
    let mut large = reading("B", 1.0, 2);
    large.1.value = Some(PointValue::text(&"\u{1}".repeat(16 * 1024)));
    offer(&sender, &[huge, large]);
    let chunk = receiver.take(CHUNK_BYTES_MAX).expect("a reading");
    assert_eq!((chunk.count(), chunk.from), (1, Wall(2)));
    assert!(serde_json::to_vec(&chunk.values(&origin())).expect("JSON").len() < 128 * 1024);
    let dropped = receiver.take_dropped().expect("counted");
    assert_eq!((dropped.count, dropped.too_large), (1, 1));
}

#[test]
fn telemetry_of_the_past_has_its_own_time_and_is_no_present_value() {
    let (sender, receiver) = channel();
    let past = |source_time: Option<i64>| {
        let (tag, sample) = reading("A", 7.0, 11);
        (tag, Sample { backfill: true, source_time: source_time.map(Wall), ..sample })
    };
    offer(&sender, &[reading("A", 1.0, 10), past(Some(5)), past(None), reading("A", 1.0, 12)]);
    let chunk = receiver.take(CHUNK_BYTES_MAX).expect("readings");
    let told: Vec<_> = chunk.readings.iter().map(|of| (of.value.clone(), of.time.0)).collect();
    assert_eq!(told, [(PointValue::float(1.0), 10), (PointValue::float(7.0), 5)]);
    assert_eq!((chunk.from, chunk.to), (Wall(5), Wall(10)));
}

#[test]
fn telemetry_that_is_off_keeps_nothing() {
    let (sender, receiver) = channel();
    receiver.turn_off();
    offer(&sender, &[reading("A", 1.0, 1)]);
    assert_eq!((receiver.take(CHUNK_BYTES_MAX), receiver.take_dropped()), (None, None));
}

#[test]
fn an_outage_is_told_once_for_each_reason_and_for_a_bounded_number_of_them() {
    let mut told = super::Told::default();
    for _ in 0..1_000 {
        told.tell("127.0.0.1:1883", "connection refused");
        told.tell("127.0.0.1:1883", "no answer in 5 s");
    }
    assert_eq!(told.0, ["connection refused", "no answer in 5 s"]);
    for reason in 0..100 {
        told.tell("127.0.0.1:1883", &format!("reason {reason}"));
    }
    assert_eq!(told.0.len(), super::REASONS_MAX);
}

fn indicators() -> riskgate_engine::IndicatorRecord {
    let week = riskgate_engine::WeekIndicators {
        period: riskgate_engine::Period { start: MORNING, end: MORNING.after(Duration::from_hours(168)) },
        covered_s: 3_600,
        tasks: riskgate_engine::TasksDone {
            due: 4,
            done: 3,
            missed: [("T-1".to_owned(), 1)].into(),
            ..riskgate_engine::TasksDone::default()
        },
        hazards: riskgate_engine::HazardsMended::default(),
    };
    riskgate_engine::IndicatorRecord {
        last: Some(week.clone()),
        week,
        analysis: riskgate_engine::Analysis::default(),
        quality: riskgate_engine::AlarmQuality::default(),
        early: std::collections::BTreeMap::new(),
        until: MORNING,
        changed: MORNING,
        revision: 3,
    }
}

#[test]
fn a_rate_is_told_with_what_it_was_computed_from_and_of_nothing_there_is_none() {
    let messages = wire::messages(&Effect::Indicator(Arc::new(indicators())), &plant(), &origin());
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert!(message.retain);
    assert_eq!(message.data["week"]["rateCheck"], json!(0.75));
    assert_eq!(message.data["week"]["tasks"]["missed"], json!({ "T-1": 1 }));
    assert_eq!(message.data["week"]["rateDanger"], json!(null));
}

fn record() -> riskgate_engine::CheckRecord {
    riskgate_engine::CheckRecord {
        id: Uuid::from_u128(9),
        task: "T-1".to_owned(),
        measure: "M-1".to_owned(),
        unit: "U-1".to_owned(),
        work_type: 0,
        status: riskgate_engine::CheckStatus::Other,
        why: "报警：GD-101/H".to_owned(),
        period: Some(riskgate_engine::Period { start: MORNING, end: MORNING.after(Duration::from_hours(8)) }),
        at: MORNING.after(Duration::from_hours(8)),
        by: "54017000701".to_owned(),
        automatic: true,
        revision: 1,
    }
}

#[test]
fn a_record_of_the_agent_names_the_gateway_and_no_person() {
    insta::assert_snapshot!(told(&Effect::Record(Arc::new(record()))));
}

fn permits_told() -> Vec<u8> {
    use super::wire::permit::{Ticket, TicketStatus, UnitPermits, permit_bytes};
    let ticket = Ticket {
        status: TicketStatus::Expired,
        number: Arc::from("DH-7"),
        source: "ptw".to_owned(),
        kind: riskgate_point::PermitKind::HotWork,
        level: Some(1),
        stage: riskgate_point::PermitStage::Working,
        in_force: None,
        place: Some(Arc::from("dike")),
        start: None,
        end: Some(MORNING),
        guardian: true,
        changed: MORNING,
    };
    let unit = UnitPermits {
        unit: "U-1".to_owned(),
        name: "一号罐区".to_owned(),
        known: true,
        tickets: vec![ticket],
        left_out: 2,
        unplaced: 1,
        changed: MORNING,
    };
    permit_bytes(&unit, (MORNING, 1), MORNING, &origin())
}

#[test]
fn the_permits_of_a_unit_are_told_without_names() {
    let told = parsed(&permits_told());
    insta::assert_snapshot!(serde_json::to_string_pretty(&told).expect("JSON"));
}

#[test]
fn every_kind_of_message_fits_its_schema() {
    let (plant, origin) = (plant(), origin());
    let effects = [
        Effect::Alarm(Arc::new(alarm(None))),
        Effect::Hazard(Arc::new(hazard(HazardStage::Candidate))),
        Effect::Hazard(Arc::new(hazard(HazardStage::Accepted))),
        Effect::Task(Arc::new(task())),
        Effect::Unit(Arc::new(unit("U-1"))),
        Effect::Record(Arc::new(record())),
        Effect::Indicator(Arc::new(indicators())),
    ];
    let mut messages: Vec<Message> =
        effects.iter().flat_map(|effect| wire::messages(effect, &plant, &origin)).collect();
    let dropped = Dropped::of(&readings(3)).expect("some");
    messages.push(gap::of_telemetry(&dropped, MORNING, &origin));
    messages.push(gap::of_lost(Lost { from: MORNING, to: MORNING, damaged: false }, MORNING, &origin));
    messages.push(gap::of_refused(&row(Lane::Work, 1, 1), 300_000, MORNING).0);
    for message in messages {
        let kind = message.kind.clone();
        let name = kind.trim_start_matches("riskgate.").trim_end_matches(".v1");
        let row = Row { seq: 1, sequence: 1, refused: false, message };
        fits(name, &parsed(&wire::row_bytes(&row, &origin, false)));
    }
    fits("risk", &parsed(&wire::risk_again_bytes(&unit("U-1"), &plant, &origin)));
    fits("indicator", &parsed(&wire::indicator_again_bytes(&indicators(), &origin)));
    fits("permit", &parsed(&permits_told()));
    topic_fits("riskgate.permit.v1", &super::wire::permit::permit_topic("a/b"));
    topic_fits("riskgate.people.v1", &super::wire::people::people_topic("a/b"));
    fits("birth", &parsed(&super::birth::birth(&plant, MORNING, &origin).payload));
    let chunk = Chunk { readings: Arc::new(readings(2)), to: MORNING, ..chunk(MORNING.0) };
    fits("telemetry", &parsed(&wire::telemetry_bytes("telemetry/1", &chunk, MORNING, false, &origin)));
    let stale = Refused { revision: Some(3), ..Refused::new("stale", "no") };
    for outcome in [Ok(json!({ "sent": 1 })), Err(Refused::new("busy", "no")), Err(stale)] {
        let data = super::commands::reply("c1", "ping", &outcome);
        let name = "reply/c1/1";
        fits("reply", &parsed(&wire::loose_bytes(name, "riskgate.reply.v1", MORNING, false, &data, &origin)));
    }
}

/// Evidence of a condition of very many parts: larger than a message may be.
fn large() -> riskgate_engine::Evidence {
    use riskgate_engine::{Bound, Reason, ReasonKind, ReasonNode};
    let condition = (0..700).map(|at| format!("{{罐区可燃气体-{at}}} > 5")).collect::<Vec<_>>().join(" or ");
    let node =
        ReasonNode { depth: 1, kind: ReasonKind::Compare, from: 0, to: 9, is: Truth::Unknown, unknown: true };
    let operand = Operand {
        text: "{罐区可燃气体}".to_owned(),
        value: PointValue::float(27.5),
        quality: Quality::Bad(BadReason::CommFailure),
        at: Some(MORNING),
        source_time: Some(MORNING),
        detail: Some("x".repeat(300)),
        until: None,
        bound: Some(Bound::AtLeast),
        age_ns: Some(7),
    };
    riskgate_engine::Evidence {
        condition,
        operands: vec![operand; 700],
        reason: Some(Reason {
            plant: "9f8e7d6c".to_owned(),
            reads: std::collections::BTreeMap::new(),
            tree: vec![node; 256],
            left_out: 445,
            digest: "0123456789ab".to_owned(),
        }),
        ..evidence()
    }
}

#[test]
fn evidence_that_is_too_large_for_a_message_is_cut_and_counted() {
    let (plant, origin) = (plant(), origin());
    let hazard = HazardRecord { evidence: large(), ..hazard(HazardStage::Rectifying) };
    let message = &wire::messages(&Effect::Hazard(Arc::new(hazard)), &plant, &origin)[0];
    assert!(message.data.to_string().len() < crate::store::DATA_BYTES_MAX * 3 / 4);
    let told = &message.data["evidence"];
    let (kept, left_out) = (told["operands"].as_array().unwrap().len(), told["operandsLeftOut"].as_u64());
    assert_eq!(Some(700), left_out.map(|left_out| left_out + u64::try_from(kept).unwrap()));
    assert_eq!(told["operands"][0]["bound"], "at_least");
    let reason = &told["reason"];
    let nodes = u64::try_from(reason["tree"].as_array().unwrap().len()).unwrap();
    assert_eq!(reason["leftOut"].as_u64().unwrap() + nodes, 256 + 445);
    assert_eq!(reason["configuration"], "9f8e7d6c");
    data_fits(&message.kind, &message.data);
    topic_fits(&message.kind, &message.topic);
}

#[test]
fn a_broker_that_takes_everything_and_acknowledges_nothing_is_left_and_a_slow_link_is_not() {
    let mut session = Session::new(100, None);
    let at = Duration::from_secs;
    let loose = || Sent::Loose { what: LooseKind::State, topic: "state".to_owned() };
    assert!(!session.is_deaf(at(1_000)), "nothing is under way");
    let ticket = session.handed_over(loose(), 100, at(1_000));
    assert!(!session.is_deaf(at(1_029)));
    assert!(session.is_deaf(at(1_030)));
    session.acknowledge(ticket, at(1_029)).expect("it was under way");
    // 240 KiB on 32 kbit/s: a minute more.
    session.handed_over(loose(), 240 * 1024, at(1_029));
    assert!(!session.is_deaf(at(1_029 + 30 + 59)));
    assert!(session.is_deaf(at(1_029 + 30 + 60)));
    assert!(session.lost(false).worked);
    session.handed_over(loose(), 100, at(0));
    assert!(session.is_deaf(at(30)));
    assert!(!session.lost(false).worked, "the pause before the next try grows");
}

#[test]
fn a_resend_leaves_out_what_was_refused_before_the_restart_too() {
    let mut session = Session::new(100, None);
    let rows = (1_u32..=3).map(|n| Row { refused: n == 2, ..row(Lane::Critical, n.into(), n.into()) });
    let mut replay = Replay::new("r".to_owned(), Lane::Critical, 1, 3, 3);
    replay.read(rows.collect());
    session.replays().push_back(replay);
    let mut sent = Vec::new();
    while let Some(Outgoing::Again(row)) = session.next(Duration::ZERO) {
        sent.push(row.sequence);
    }
    assert_eq!(sent, [1, 3]);
    let result = session.replays().front().expect("there").result();
    assert_eq!((&result["sent"], &result["missing"]), (&json!(2), &json!([[2, 2]])));
}
