//! What the records say: words, evidence, ids, deadlines.

use std::sync::Arc;

use riskgate_point::{Mono, Now, Report, Sample, Value, Wall};

use super::both;
use crate::site::{EPOCH, draft, plant, rule, ruled, secs, told};
use crate::*;

const NOW: Now = Now { mono: Mono(1_000_000_000), wall: Wall(1_700_000_000_000) };

/// What comes of one value of one point.
fn effects(draft: Draft, epoch: Epoch, tag: &str, value: f64) -> Vec<Effect> {
    let plant = plant(draft);
    let point = plant.point_id(tag).unwrap();
    let mut effects = Vec::new();
    let mut engine = Engine::new(Arc::clone(&plant), epoch, Restored::default(), NOW, &mut Vec::new());
    let sample = Sample::good(point, Value::float(value).unwrap(), NOW);
    engine.handle(Report::Sample(sample), NOW, &mut effects);
    effects
}

fn alarm(effects: &[Effect]) -> &AlarmRecord {
    let of = effects.iter().find_map(|effect| match effect {
        Effect::Alarm(alarm) => Some(alarm),
        Effect::Hazard(_)
        | Effect::Task(_)
        | Effect::Unit(_)
        | Effect::Record(_)
        | Effect::Stop(_)
        | Effect::Indicator(_)
        | Effect::Shadow(_) => None,
    });
    of.unwrap()
}

fn hazard(effects: &[Effect]) -> &HazardRecord {
    let of = effects.iter().find_map(|effect| match effect {
        Effect::Hazard(hazard) => Some(hazard),
        Effect::Alarm(_)
        | Effect::Task(_)
        | Effect::Unit(_)
        | Effect::Record(_)
        | Effect::Stop(_)
        | Effect::Indicator(_)
        | Effect::Shadow(_) => None,
    });
    of.unwrap()
}

#[test]
fn the_alarm_of_a_limit_says_tag_name_value_eu_and_limit_in_both_languages() {
    let effects = effects(draft(), EPOCH, "LI", 96.25);
    let alarm = alarm(&effects);
    assert_eq!(alarm.words.zh, "LI 液位 高高报：96.25 %，限值 ≥ 95 %");
    assert_eq!(alarm.words.en, "LI 液位 high high: 96.25 %, at or above 95 %");
    assert_eq!((alarm.unit.as_deref(), alarm.measure.as_deref()), (Some("U-1"), Some("M-1")));
    assert_eq!(alarm.tags, ["LI"]);
    assert_eq!(alarm.evidence.condition, "{LI} >= 95");
    assert_eq!(alarm.evidence.operands[0].value, Value::float(96.25));
    assert_eq!(alarm.evidence.operands[0].at, Some(NOW.wall));
}

#[test]
fn gas_limits_are_called_by_their_levels() {
    let effects = effects(draft(), EPOCH, "GD-1", 26.0);
    assert_eq!(alarm(&effects).words.zh, "GD-1 一级报警：26，限值 ≥ 25");
}

#[test]
fn the_alarm_of_a_written_rule_says_its_name_and_what_it_read() {
    let named =
        RuleDraft { name_en: "Hot level".to_owned(), ..rule("hot", "{LI} > 80 and max({LI}, 1m) > 80") };
    let effects = effects(ruled(vec![named]), EPOCH, "LI", 90.5);
    let words = &alarm(&effects).words;
    assert_eq!(words.zh, "规则 hot：LI = 90.5 %，LI近1分钟最大值 = 90.5 %");
    assert_eq!(words.en, "Hot level: LI = 90.5 %, LI highest in 1 min = 90.5 %");
    let texts: Vec<&str> =
        alarm(&effects).evidence.operands.iter().map(|operand| operand.text.as_str()).collect();
    assert_eq!(texts, ["{LI}", "max({LI}, 1m)"]);
}

/// The words of the alarm that a value of TI raises by the rule.
fn said(when: &str) -> Words {
    let mut draft = told(vec![RuleDraft { name_en: "Rule".to_owned(), ..rule("规则", when) }]);
    draft.sources[3].name = "罐区DCS".to_owned();
    draft.points.push(PointDraft { boolean: true, ..crate::site::point("SIS-201", Class::Sis) });
    draft.units[0].name = "罐区A".to_owned();
    draft.zones[0].name = "装卸台".to_owned();
    let plant = plant(draft);
    let mut engine = Engine::new(Arc::clone(&plant), EPOCH, Restored::default(), NOW, &mut Vec::new());
    let sample = |tag: &str, value| Report::Sample(Sample::good(plant.point_id(tag).unwrap(), value, NOW));
    let up = |source| Report::Link {
        source: riskgate_point::SourceId(source),
        link: riskgate_point::Link::Up,
        at: NOW,
    };
    let fix = |tag: &str, zone: &str| {
        Report::Fix(Box::new(riskgate_point::Fix {
            source: riskgate_point::SourceId(1),
            tag: tag.into(),
            person: None,
            role: Some("visitor".into()),
            zone: Some(zone.into()),
            sos: false,
            spot: None,
            source_time: None,
            received: NOW,
            backfill: false,
        }))
    };
    let sighting = Report::Sighting(Box::new(riskgate_point::Sighting {
        source: riskgate_point::SourceId(2),
        camera: "C-1".into(),
        kind: "smoke".into(),
        confidence: 0.9,
        source_time: None,
        received: NOW,
        backfill: false,
    }));
    let condition = Report::Condition(Box::new(riskgate_point::Condition {
        source: riskgate_point::SourceId(3),
        origin: "LIA-101".into(),
        name: "HighHigh".into(),
        active: true,
        acknowledged: false,
        suppressed: false,
        severity: 900,
        message: "液位高高".into(),
        source_time: None,
        received: NOW,
    }));
    let permit = Report::Permit(Box::new(riskgate_point::Permit {
        source: riskgate_point::SourceId(4),
        id: "DH-7".into(),
        kind: riskgate_point::PermitKind::HotWork,
        level: None,
        stage: riskgate_point::PermitStage::Working,
        place: Some("Z-1".into()),
        start: None,
        end: None,
        guardian: None,
        source_time: None,
        received: NOW,
        backfill: false,
    }));
    let all_told = Report::ConditionsTold { source: riskgate_point::SourceId(3), at: NOW };
    let told = [up(4), permit, condition].into_iter();
    let told = told.chain([up(3), all_told].into_iter().filter(|_| !when.contains("maybe")));
    let reports = [up(0), up(2), sample("SIS-201", Value::Bool(true)), sighting].into_iter().chain(told);
    let people = if when.contains("people") && !when.contains("maybe") {
        vec![up(1), fix("t1", "Z-1"), fix("t2", "Z-2")]
    } else {
        Vec::new()
    };
    let mut effects = Vec::new();
    for report in reports.chain(people).chain([sample("TI", Value::float(88.0661).unwrap())]) {
        engine.handle(report, NOW, &mut effects);
    }
    alarm(&effects).words.clone()
}

#[test]
fn the_words_of_a_written_rule_are_those_of_the_plant() {
    for (when, zh, en) in [
        ("{TI} > 80", "TI = 88.07", "TI = 88.07"),
        ("people('U-1') == 2 and {TI} > 80", "罐区A内2人，TI = 88.07", "2 people in 罐区A, TI = 88.07"),
        (
            "people('Z-1', 'visitor') == 1 and {TI} > 80",
            "装卸台内1人（visitor），TI = 88.07",
            "1 person (visitor) in 装卸台, TI = 88.07",
        ),
        (
            "maybe(people('U-1') > 1) and {TI} > 80",
            "罐区A内人数未知，TI = 88.07",
            "number of people in 罐区A unknown, TI = 88.07",
        ),
        (
            "condition('dcs', 'HighHigh') and permit('U-1', 'hot_work')",
            "罐区DCS报警激活：LIA-101/HighHigh 液位高高 (severity 900)，罐区A动火作业中（作业票DH-7）",
            "alarm of 罐区DCS active: LIA-101/HighHigh 液位高高 (severity 900), hot work in 罐区A (permit DH-7)",
        ),
        (
            "not condition('dcs', 'Low', state = 'suppressed') and {TI} > 80",
            "罐区DCS报警 Low 未被抑制，TI = 88.07",
            "alarm Low of 罐区DCS not suppressed, TI = 88.07",
        ),
        (
            "maybe(condition('dcs', 'Low')) and maybe(permit('U-1', 'lifting')) and {TI} > 80",
            "罐区DCS报警 Low 未知，罐区A有无吊装作业票未知，TI = 88.07",
            "alarm Low of 罐区DCS unknown, lifting permit in 罐区A unknown, TI = 88.07",
        ),
        ("seen('U-1', 'smoke', confidence = 0.6, window = 5s)", "罐区A视频：烟雾", "camera of 罐区A: smoke"),
        (
            "not seen('U-1', 'no_helmet') and {TI} > 80",
            "罐区A视频：未见未戴安全帽，TI = 88.07",
            "camera of 罐区A: no helmet not seen, TI = 88.07",
        ),
        ("{SIS-201}", "SIS-201 动作", "SIS-201 is on"),
        (
            "{TI} > 80 and bad({GD-1}) and max({TI}, 90s) > 1 and not held({TI} < 5, 2h)",
            "TI = 88.07，GD-1 未知，TI近90秒最大值 = 88.07，条件未持续2小时",
            "TI = 88.07, GD-1 unknown, TI highest in 90 s = 88.07, condition not held for 2 h",
        ),
    ] {
        let words = said(when);
        assert_eq!(words.zh, format!("规则 规则：{zh}"), "{when}");
        assert_eq!(words.en, format!("Rule: {en}"), "{when}");
    }
}

#[test]
fn a_value_is_said_with_the_digits_that_show_that_it_crossed_its_limit() {
    let mut draft = draft();
    draft.points[0].range = None;
    draft.points[0].watch.limits = Limits { hh: Some(1013.25), ..Limits::default() };
    let effects = effects(draft, EPOCH, "LI", 1013.27);
    assert_eq!(alarm(&effects).words.zh, "LI 液位 高高报：1013.27 %，限值 ≥ 1013.25 %");
}

#[test]
fn a_lost_source_says_the_drivers_reason_in_english_only_and_not_at_length() {
    let mut site = draft();
    site.sources[0].name = "罐区DCS".to_owned();
    let plant = plant(site);
    let mut engine = Engine::new(plant, EPOCH, Restored::default(), NOW, &mut Vec::new());
    let link = riskgate_point::Link::Down { why: "é".repeat(300) };
    let source = riskgate_point::SourceId(0);
    let mut effects = Vec::new();
    engine.handle(Report::Link { source, link, at: NOW }, NOW, &mut effects);
    engine.handle_timeout(NOW.after(secs(10)), &mut effects);
    let words = &alarm(&effects).words;
    assert_eq!(words.zh, "数据源罐区DCS失去联系");
    assert_eq!(words.en, format!("source 罐区DCS is lost: {}…", "é".repeat(199)));
}

#[test]
fn a_hazard_says_who_is_liable_and_until_when() {
    let effects = effects(both(), EPOCH, "TI", 90.0);
    let hazard = hazard(&effects);
    assert_eq!((hazard.unit.as_str(), hazard.liable_person.as_str()), ("U-1", "李"));
    assert_eq!(hazard.deadline, Wall(NOW.wall.0 + 24 * 3600 * 1000));
    assert_eq!((hazard.opening, hazard.previous), (1, None));
    assert_eq!(hazard.evidence, alarm(&effects).evidence);
}

#[test]
fn the_id_of_a_hazard_is_the_same_each_time_and_another_in_another_epoch() {
    let id = |epoch| hazard(&effects(both(), epoch, "TI", 90.0)).id;
    // Known for ever: what is upstream under this id stays so.
    assert_eq!(id(EPOCH).to_string(), "d0171762-933d-56ef-a59a-e5b9d5ffdd36");
    assert_ne!(id(EPOCH), id(Epoch(uuid::Uuid::from_u128(8))));
}

#[test]
fn a_next_hazard_names_the_one_before() {
    let plant = plant(both());
    let point = plant.point_id("TI").unwrap();
    let mut effects = Vec::new();
    let mut engine = Engine::new(plant, EPOCH, Restored::default(), NOW, &mut effects);
    let mut read = |engine: &mut Engine, value: f64| {
        let sample = Sample::good(point, Value::float(value).unwrap(), NOW);
        engine.handle(Report::Sample(sample), NOW, &mut effects);
    };
    read(&mut engine, 90.0);
    let first = engine.hazards()[0].id;
    for deed in [Deed::Rectify { hazard: first, why: None }, Deed::Accept { hazard: first, why: None }] {
        engine.act(&Act { by: "王".to_owned(), deed }, NOW, &mut Vec::new()).unwrap();
    }
    read(&mut engine, 50.0);
    read(&mut engine, 90.0);
    let second = Arc::clone(&engine.hazards()[0]);
    assert_eq!((second.opening, second.previous), (2, Some(first)));
    assert_ne!(second.id, first);
}

#[test]
fn an_act_needs_a_name() {
    let mut engine = Engine::new(plant(draft()), EPOCH, Restored::default(), NOW, &mut Vec::new());
    let deed = Deed::Acknowledge { alarm: "LI/H".to_owned() };
    let refusal = engine.act(&Act { by: " ".to_owned(), deed }, NOW, &mut Vec::new());
    assert_eq!(refusal, Err(Refusal::Nameless));
}

#[test]
fn each_unit_is_told_once_at_the_first_start() {
    let mut effects = Vec::new();
    let engine = Engine::new(plant(draft()), EPOCH, Restored::default(), NOW, &mut effects);
    assert_eq!(effects, engine.units().into_iter().map(Effect::Unit).collect::<Vec<_>>());
    assert_eq!(effects.len(), 1);
}

#[test]
fn a_level_that_is_proposed_waits_for_a_person_and_a_second_rule_of_the_cause_does_not_confirm_it() {
    let proposes = |id: &str, level: Level, when: &str| RuleDraft {
        hazard: Some(HazardDraft {
            level,
            cause: Some("hot".to_owned()),
            ..crate::site::hazard(Confirm::Auto)
        }),
        ..rule(id, when)
    };
    let rules = vec![proposes("a", Level::Major, "{TI} > 80"), proposes("b", Level::General, "{TI} > 85")];
    let effects = effects(ruled(rules), EPOCH, "TI", 90.0);
    let hazards = effects.iter().filter(|effect| matches!(effect, Effect::Hazard(_))).count();
    assert_eq!(hazards, 1);
    let hazard = hazard(&effects);
    assert_eq!((hazard.level, hazard.stage), (Level::Major, HazardStage::Candidate));
}

#[test]
fn a_report_that_was_overtaken_is_judged_at_the_time_of_what_overtook_it() {
    let plant = plant(draft());
    let mut engine = Engine::new(Arc::clone(&plant), EPOCH, Restored::default(), NOW, &mut Vec::new());
    for (tag, value, after) in [("TI", 50.0, 9), ("LI", 86.0, 2)] {
        let received = NOW.after(secs(after));
        let point = plant.point_id(tag).unwrap();
        let sample = Sample::good(point, Value::float(value).unwrap(), received);
        engine.handle(Report::Sample(sample), NOW.after(secs(9)), &mut Vec::new());
    }
    // On-delay of 5 s from the ninth second, not from the second.
    let mut effects = Vec::new();
    engine.handle_timeout(NOW.after(secs(13)), &mut effects);
    assert!(effects.iter().all(|effect| !matches!(effect, Effect::Alarm(alarm) if alarm.id == "LI/H")));
    engine.handle_timeout(NOW.after(secs(14)), &mut effects);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Alarm(alarm) if alarm.id == "LI/H")));
}
