//! What is explained of a hazard that an engine raised, from a store and from a board.

use std::sync::Arc;

use riskgate_engine::{
    Act, Class, Confirm, Deed, Draft, Effect, Engine, Epoch, HazardDraft, Level, Limits, MeasureDraft, Plant,
    PointDraft, Priority, Raising, Restored, RiskClass, RuleDraft, SourceDraft, UnitDraft, replay,
};
use riskgate_point::{BadReason, Link, Mono, Now, Quality, Report, Sample, SourceId, Value};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::store::{Batch, JournalEntry, Store};

const START: Now = Now { mono: Mono(1_000_000_000), wall: Wall(1_795_441_234_000) };

fn point(tag: &str) -> PointDraft {
    PointDraft {
        tag: tag.to_owned(),
        name: String::new(),
        source: SourceId(0),
        class: Class::Gas,
        eu: "%LEL".to_owned(),
        words: Vec::new(),
        boolean: false,
        text: false,
        range: None,
        limits: Limits::default(),
        deadband: 0.0,
        delay: std::time::Duration::ZERO,
        stale_after: std::time::Duration::from_secs(3_600),
        measure: None,
        confirm: Confirm::Person,
        guidance: String::new(),
    }
}

fn plant() -> Arc<Plant> {
    built(draft())
}

fn built(draft: Draft) -> Arc<Plant> {
    Arc::new(Plant::build(draft).expect("a sound plant").0.with_version("9f8e7d6c5b4a99"))
}

fn draft() -> Draft {
    Draft {
        company: "540170007".to_owned(),
        gateway: "54017000701".to_owned(),
        sources: vec![SourceDraft {
            id: "gds".to_owned(),
            name: "气体".to_owned(),
            fixes: false,
            sightings: false,
            permits: false,
            events: None,
            stale_after: None,
        }],
        points: vec![point("GD-101"), point("GD-102"), point("GD-103")],
        units: vec![UnitDraft {
            id: "U-TA".to_owned(),
            name: "罐区A".to_owned(),
            hazard_code: "540170007001".to_owned(),
            base: RiskClass::Orange,
            liable_person: "李强".to_owned(),
            department: String::new(),
        }],
        measures: vec![MeasureDraft {
            id: "M-TA-003".to_owned(),
            unit: "U-TA".to_owned(),
            event: "泄漏".to_owned(),
            name: "可燃气体检测报警".to_owned(),
            classify1: "1".to_owned(),
            classify2: "1-3".to_owned(),
            automatic: true,
            ..MeasureDraft::default()
        }],
        rules: vec![RuleDraft {
            id: "leak".to_owned(),
            measure: "M-TA-003".to_owned(),
            name: "罐区A泄漏".to_owned(),
            name_en: "Leak in tank farm A".to_owned(),
            priority: Priority::High,
            class: None,
            kind: None,
            when: "{GD-101} >= 25 and at_least(1, {GD-102} >= 25, maybe({GD-103} >= 25))".to_owned(),
            for_: std::time::Duration::ZERO,
            clear: None,
            clear_for: std::time::Duration::ZERO,
            shadow: false,
            latch: false,
            realarm: None,
            guidance: "疏散罐区A人员".to_owned(),
            guidance_en: "Evacuate".to_owned(),
            hazard: Some(HazardDraft {
                level: Level::General,
                confirm: Confirm::Person,
                deadline: std::time::Duration::from_secs(24 * 3_600),
                cause: None,
                raising: Raising::default(),
                reopen_within: None,
            }),
            task: None,
            unit: None,
        }],
        ..Draft::default()
    }
}

/// Two detectors read, the third fails, and the first climbs; a person confirms what follows.
fn effects(plant: &Arc<Plant>) -> (Vec<Effect>, Uuid) {
    let (mut engine, mut effects, at) = climbed(plant);
    let hazard = engine.hazards().first().expect("a hazard").id;
    let confirm = Deed::Confirm { hazard, why: Some("现场核实".to_owned()) };
    engine.act(&Act { by: "王敏".to_owned(), deed: confirm }, at, &mut effects).expect("taken");
    (effects, hazard)
}

fn climbed(plant: &Arc<Plant>) -> (Engine, Vec<Effect>, Now) {
    let mut effects = Vec::new();
    let mut engine =
        Engine::new(Arc::clone(plant), Epoch(Uuid::nil()), Restored::default(), START, &mut effects);
    let mut at = START;
    let mut read = |engine: &mut Engine, effects: &mut Vec<Effect>, tag: &str, value: Option<f64>| {
        at = at.after(std::time::Duration::from_secs(1));
        let point = plant.point_id(tag).expect("a point");
        let good = Sample::good(point, Value::float(value.unwrap_or(0.0)).expect("finite"), at);
        let sample = match value {
            Some(_) => good,
            None => Sample { value: None, quality: Quality::Bad(BadReason::DeviceFailure), ..good },
        };
        engine.handle(Report::Sample(sample), at, effects);
    };
    engine.handle(Report::Link { source: SourceId(0), link: Link::Up, at: START }, START, &mut effects);
    read(&mut engine, &mut effects, "GD-102", Some(3.0));
    read(&mut engine, &mut effects, "GD-103", None);
    read(&mut engine, &mut effects, "GD-101", Some(24.9));
    read(&mut engine, &mut effects, "GD-101", Some(26.5));
    (engine, effects, at)
}

/// A store with what was decided and who did what.
async fn stored(effects: Vec<Effect>, hazard: Uuid) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = Store::open(folder.path(), START.wall).expect("opens");
    let entry = |body| JournalEntry {
        at: START.wall.after(std::time::Duration::from_secs(60)),
        by: "王敏".to_owned(),
        what: "act".to_owned(),
        body,
    };
    let acts = vec![
        entry(serde_json::json!({ "deed": { "deed": "confirm", "hazard": hazard } })),
        entry(serde_json::json!({ "deed": { "deed": "acknowledge", "alarm": "other" } })),
    ];
    let batch = Batch { seq: 1, effects, messages: Vec::new(), acts, commands: Vec::new(), at: START.wall };
    store.try_commit(batch).expect("room");
    // What is appended afterwards is written afterwards.
    store.append(Vec::new(), Vec::new()).await.expect("written");
    store.close().expect("closes");
    folder
}

fn shanghai() -> TimeZone {
    TimeZone::get("Asia/Shanghai").expect("a zone")
}

async fn offline_of(id: &str) -> Result<Explained, ExplainError> {
    let plant = plant();
    let (effects, hazard) = effects(&plant);
    let folder = stored(effects, hazard).await;
    let id = if id == "HAZARD" { hazard.to_string().chars().take(8).collect() } else { id.to_owned() };
    offline(folder.path(), Some(&plant), &id, START.wall, &shanghai())
}

#[tokio::test]
async fn a_hazard_is_explained_from_the_store_alone() {
    let mut explained = offline_of("HAZARD").await.expect("explained");
    assert!(explained.missing[0].contains("history.db"), "no history, and said so: {:?}", explained.missing);
    explained.missing.clear();
    let text =
        explained.text().replace(&explained.id, "ID").replace(explained.id.get(..8).expect("an id"), "ID");
    insta::assert_snapshot!(text);
    let json = serde_json::to_string(&explained).expect("JSON");
    let again: Explained = serde_json::from_str(&json).expect("the same");
    assert_eq!(again, explained);
    assert_eq!(replay(&again.evidence), Ok(None));
}

#[tokio::test]
async fn an_alarm_is_explained_and_what_there_is_not_is_said() {
    let explained = offline_of("leak").await.expect("explained");
    assert_eq!((explained.kind, explained.state.as_str()), (Kind::Alarm, "unacknowledged"));
    assert!(explained.text().contains("riskgate ack 'leak' --by NAME"), "{}", explained.text());
    for id in ["leek", "abc", "ffffffff"] {
        let error = offline_of(id).await.expect_err("there is none");
        assert!(matches!(&error, ExplainError::Unknown { id: of, .. } if of == id), "{error}");
    }
}

fn in_the_shadow() -> Draft {
    let mut draft = draft();
    draft.rules.iter_mut().for_each(|rule| rule.shadow = true);
    draft
}

#[tokio::test]
async fn the_last_onset_of_a_shadow_rule_is_explained_and_replays() {
    let plant = built(in_the_shadow());
    let (_, effects, _) = climbed(&plant);
    let folder = stored(effects.clone(), Uuid::nil()).await;
    let explained = offline(folder.path(), None, "leak", START.wall, &shanghai()).expect("explained");
    assert_eq!((explained.kind, explained.state.as_str()), (Kind::Shadow, "going_on"));
    assert!(explained.measure.is_none() && explained.journal.is_empty() && explained.next.command.is_none());
    let text = explained.text();
    assert!(text.contains("试运行规则 shadow rule leak  进行中 going on"), "{text}");
    assert!(text.contains("✓ {GD-101} >= 25") && text.contains("told nobody"), "{text}");
    assert_eq!(replay(&explained.evidence), Ok(None));

    let handle = crate::console::sample::empty_handle();
    handle.update(|board| {
        board.set_plant(Arc::clone(&plant));
        effects.iter().for_each(|effect| board.apply(effect, true));
    });
    let live = asked(&handle, None, "leak").await.expect("explained");
    assert_eq!((live.kind, &live.evidence), (Kind::Shadow, &explained.evidence));
}

#[tokio::test]
async fn a_shadow_rule_that_had_no_episode_says_so() {
    let plant = built(in_the_shadow());
    let handle = crate::console::sample::empty_handle();
    handle.update(|board| board.set_plant(plant));
    let error = asked(&handle, None, "leak").await.expect_err("nothing yet");
    assert!(matches!(&error, ExplainError::Quiet { id } if id == "leak"), "{error}");
}

#[tokio::test]
async fn who_acted_on_an_alarm_is_said_also_where_the_journal_is_not_at_hand() {
    let plant = plant();
    let (mut effects, hazard) = effects(&plant);
    let alarm = effects.iter_mut().find_map(|effect| match effect {
        Effect::Alarm(alarm) => Some(Arc::make_mut(alarm)),
        Effect::Hazard(_)
        | Effect::Task(_)
        | Effect::Unit(_)
        | Effect::Stop(_)
        | Effect::Record(_)
        | Effect::Indicator(_)
        | Effect::Shadow(_) => None,
    });
    let alarm = alarm.expect("an alarm");
    alarm.withheld.shelved = Some(riskgate_engine::Shelf {
        by: "李雷".to_owned(),
        why: "探头标定".to_owned(),
        since: START.wall,
        until: START.wall.after(std::time::Duration::from_secs(3600)),
    });
    alarm.turn = riskgate_engine::AlarmTurn {
        event: AlarmEvent::Acknowledged,
        by: Some("王敏".to_owned()),
        why: None,
    };
    alarm.state = riskgate_engine::AlarmState::Acknowledged;
    alarm.revision += 100;
    let folder = stored(effects, hazard).await;
    // The journal is away: its table is not the one that is read.
    let connection = rusqlite::Connection::open(folder.path().join("state.db")).expect("opened");
    connection.execute_batch("ALTER TABLE journal RENAME TO journal_away").expect("renamed");
    drop(connection);
    let explained = offline(folder.path(), Some(&plant), "leak", START.wall, &shanghai()).expect("explained");
    let acts: Vec<_> = explained.acts.iter().map(|act| (act.by.as_str(), act.deed.as_str())).collect();
    assert_eq!(acts, [("李雷", "shelved"), ("王敏", "acknowledged")]);
    assert_eq!(explained.acts[0].why.as_deref(), Some("探头标定"));
    assert!(explained.journal.is_empty());
    let missing = explained.missing.join("\n");
    assert!(missing.contains("日志未能读取 the journal cannot be read"), "{missing}");
    assert!(explained.text().contains("探头标定"), "{}", explained.text());
}

#[tokio::test]
async fn a_beginning_that_fits_two_hazards_names_them() {
    let plant = plant();
    let (effects, hazard) = effects(&plant);
    let other = effects.iter().find_map(|effect| match effect {
        Effect::Hazard(record) => Some(HazardRecord {
            id: Uuid::from_u128(hazard.as_u128() ^ 1),
            cause: "other".to_owned(),
            ..HazardRecord::clone(record)
        }),
        Effect::Alarm(_)
        | Effect::Task(_)
        | Effect::Unit(_)
        | Effect::Stop(_)
        | Effect::Record(_)
        | Effect::Indicator(_)
        | Effect::Shadow(_) => None,
    });
    let all = effects.into_iter().chain(other.map(|other| Effect::Hazard(Arc::new(other)))).collect();
    let folder = stored(all, hazard).await;
    let id = hazard.to_string();
    let beginning = id.get(..8).expect("an id");
    let error = offline(folder.path(), None, beginning, START.wall, &shanghai()).expect_err("two");
    assert!(error.to_string().contains(&hazard.to_string()), "{error}");
    let whole = offline(folder.path(), None, &hazard.to_string(), START.wall, &shanghai()).expect("one");
    assert_eq!(whole.unit.map(|unit| unit.name), Some(String::new()), "no configuration, no names");
}

#[tokio::test]
async fn an_older_record_without_a_tree_is_explained_as_far_as_it_goes() {
    let mut explained = offline_of("HAZARD").await.expect("explained");
    let mut old = serde_json::to_value(&explained.evidence).expect("JSON");
    old.as_object_mut().expect("an object").remove("reason");
    explained.evidence = serde_json::from_value(old).expect("older");
    let text = explained.text();
    assert!(text.contains("{GD-101} >= 25 and at_least(") && text.contains("{GD-101} = 26.5"), "{text}");
    assert!(text.contains("没有判断过程"), "{text}");
    assert_eq!(samples::tags(&explained.evidence), ["GD-101", "GD-102", "GD-103"]);
}

#[test]
fn bars_show_the_rise_the_onset_and_what_nobody_knew() {
    let sample = |after_ms, value: Option<f64>| SampleAt {
        time: String::new(),
        after_ms,
        value: value.and_then(Value::float),
        quality: "good".to_owned(),
    };
    let samples =
        [sample(-2_000, Some(0.0)), sample(-1_000, None), sample(0, Some(8.0)), sample(1_000, Some(4.0))];
    assert_eq!(text::bars(&samples), "▁?█│▄");
    assert_eq!(text::bars(&samples[..1]), "▁│", "one value has no height");
}
