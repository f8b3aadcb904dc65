//! Shadow rules: judged, counted, and told to nobody.

use crate::site::{EPOCH, boost, check, check_all, hazard, plant, point, raise, restored, rule, ruled, secs};
use crate::*;
use riskgate_point::{Mono, Now, Report, Sample, Value, Wall};
use std::sync::Arc;

/// Everything that could follow from a rule.
fn loud() -> RuleDraft {
    RuleDraft {
        latch: true,
        realarm: Some(secs(100)),
        hazard: Some(hazard(Confirm::Auto)),
        task: Some(boost("T-1", 600, 60)),
        unit: Some(raise(60)),
        ..rule("hot", "{TI} > 80")
    }
}

fn shadow() -> RuleDraft {
    RuleDraft { shadow: true, ..loud() }
}

#[test]
fn what_a_shadow_rule_would_do_is_counted_and_nothing_else_follows() {
    check(
        ruled(vec![shadow()]),
        "
1s TI 90
  1s shadow hot #1 0ms going on
200s TI 50
  200s shadow hot #1 199000ms
201s TI 90
  201s shadow hot #2 199000ms going on
202s TI 50
  202s shadow hot #2 200000ms
",
    );
}

#[test]
fn nobody_can_act_on_what_it_would_have_told() {
    check(
        ruled(vec![shadow()]),
        "
1s TI 90
  1s shadow hot #1 0ms going on
2s ack hot
  refused: no alarm 'hot'
3s shelve hot 60s
  refused: no alarm 'hot'
",
    );
}

#[test]
fn a_rule_that_steps_out_of_the_shadow_begins_its_episode_anew_and_back_again() {
    check_all(
        vec![ruled(vec![shadow()]), ruled(vec![RuleDraft { for_: secs(0), ..rule("hot", "{TI} > 80") }])],
        "
1s TI 90
  1s shadow hot #1 0ms going on
11s reload 1
  11s shadow hot #1 10000ms
  11s shadow hot #0 0ms
  11s alarm hot unacknowledged #1
21s reload 0
  21s alarm hot normal #1
  21s shadow hot #1 0ms going on
",
    );
}

#[test]
fn counts_belong_to_the_text_of_the_rule() {
    let other = RuleDraft { when: "{TI} > 85".to_owned(), ..shadow() };
    check_all(
        vec![ruled(vec![shadow()]), ruled(vec![other])],
        "
1s TI 90
  1s shadow hot #1 0ms going on
2s TI 50
  2s shadow hot #1 1000ms
3s reload 1
  3s shadow hot #0 0ms
4s TI 90
  4s shadow hot #1 0ms going on
",
    );
}

#[test]
fn it_blinds_no_measure_and_a_point_that_it_alone_reads_raises_no_fault() {
    let draft = Draft { points: vec![point("TI", Class::Process)], ..ruled(vec![shadow()]) };
    check(
        draft,
        "
1s TI 50
2s TI bad
500s TI 50
",
    );
}

#[test]
fn what_tells_may_not_read_what_does_not() {
    let (told, quiet) = (rule("told", "active('hot')"), rule("quiet", "active('hot')"));
    let faults = Plant::build(ruled(vec![shadow(), told])).expect_err("refused");
    let errors: Vec<_> = faults.iter().filter(|fault| fault.severity == Severity::Error).collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].message, "it reads 'hot', which is a shadow rule and tells nobody");
    let (plant, _) = Plant::build(ruled(vec![shadow(), RuleDraft { shadow: true, ..quiet }])).expect("built");
    assert!(plant.rules().iter().all(|rule| rule.measure().is_none() && rule.unit().is_none()));
}

#[test]
fn a_measure_that_only_a_shadow_rule_names_is_not_watched() {
    let (_, warnings) = Plant::build(ruled(vec![shadow()])).expect("built");
    let hints = |faults: &[Fault]| -> Vec<Option<String>> {
        let unwatched = faults.iter().filter(|fault| fault.field == "automatic");
        unwatched.map(|fault| fault.hint.clone()).collect()
    };
    let said = Some("its rule 'hot' has `shadow = true` and tells nobody".to_owned());
    assert!(hints(&warnings).contains(&said), "{warnings:?}");
    let (_, watched) = Plant::build(ruled(vec![loud()])).expect("built");
    assert!(!hints(&watched).contains(&said) && hints(&watched).len() + 1 == hints(&warnings).len());
}

#[test]
fn a_measure_that_only_a_shadow_rule_watches_is_recorded_as_not_checked() {
    let mut draft = ruled(vec![RuleDraft { shadow: true, ..rule("hot", "{TI} > 80") }]);
    draft.points[3].stale_after = secs(1_000_000);
    draft.tasks.truncate(1);
    draft.tasks[0].cycle = secs(3600);
    draft.measures[0].auto_record = true;
    check(
        draft,
        "
1s TI 50
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 没有规则监测
2801s TI 90
  2801s shadow hot #1 0ms going on
2802s TI 50
  2802s shadow hot #1 1000ms
  6400s record T-1 Unchecked by 54017000701 of 2800s to 6400s: 没有规则监测
6401s TI 50
",
    );
}

fn at(secs: u64) -> Now {
    Now {
        mono: Mono(1_000_000_000 * secs),
        wall: Wall(1_700_000_000_000 + 1000 * i64::try_from(secs).unwrap()),
    }
}

fn read(engine: &mut Engine, value: f64, now: Now, effects: &mut Vec<Effect>) {
    let point = engine.plant().point_id("TI").unwrap();
    engine.handle(Report::Sample(Sample::good(point, Value::float(value).unwrap(), now)), now, effects);
}

#[test]
fn counts_and_the_episode_that_goes_on_survive_a_restart() {
    let plant = plant(ruled(vec![shadow()]));
    let mut effects = Vec::new();
    let mut engine = Engine::new(Arc::clone(&plant), EPOCH, Restored::default(), at(1), &mut effects);
    for (time, value) in [(2, 90.0), (5, 50.0), (6, 90.0)] {
        read(&mut engine, value, at(time), &mut effects);
    }
    let before = engine.shadows();
    let mut engine = Engine::new(plant, EPOCH, restored(&effects), at(20), &mut effects);
    assert_eq!(engine.shadows(), before);
    effects.clear();
    read(&mut engine, 90.0, at(21), &mut effects);
    assert!(effects.is_empty(), "the same episode goes on");
    read(&mut engine, 50.0, at(26), &mut effects);
    let shadow = &engine.shadows()[0];
    assert_eq!((shadow.episodes, shadow.lasted_ms, shadow.since), (2, 3_000 + 20_000, None));
}

#[test]
fn how_long_nobody_knew_is_counted_where_it_is_asked_for() {
    let plant = plant(ruled(vec![loud()]));
    let mut effects = Vec::new();
    let mut engine = Engine::new(plant, EPOCH, Restored::default(), at(1), &mut effects);
    assert!(engine.unknown_times(at(1).mono).is_empty());
    engine.count_unknown();
    read(&mut engine, 50.0, at(11), &mut effects);
    let point = engine.plant().point_id("TI").unwrap();
    let bad = Sample::bad(point, riskgate_point::BadReason::CommFailure, at(15));
    engine.handle(Report::Sample(bad), at(15), &mut effects);
    assert_eq!(engine.unknown_times(at(18).mono), [secs(10 + 3)]);
    read(&mut engine, 90.0, at(20), &mut effects);
    assert_eq!(engine.unknown_times(at(100).mono), [secs(10 + 5)]);
}

#[test]
fn counts_of_a_rule_that_comes_back_into_the_shadow_are_newer_than_those_before() {
    let plants = [ruled(vec![shadow()]), ruled(vec![loud()])].map(plant);
    let mut effects = Vec::new();
    let mut engine = Engine::new(Arc::clone(&plants[0]), EPOCH, Restored::default(), at(1), &mut effects);
    for (time, value) in [(2, 90.0), (5, 50.0), (6, 90.0), (7, 50.0)] {
        read(&mut engine, value, at(time), &mut effects);
    }
    engine.reload(Arc::clone(&plants[1]), at(8), &mut effects);
    assert!(engine.shadows().is_empty(), "it tells now");
    engine.reload(Arc::clone(&plants[0]), at(9), &mut effects);
    read(&mut engine, 90.0, at(10), &mut effects);
    let told = |effects: &[Effect]| -> Vec<u64> {
        let revision =
            |effect: &Effect| if let Effect::Shadow(of) = effect { Some(of.revision) } else { None };
        effects.iter().filter_map(revision).collect()
    };
    assert_eq!(told(&effects), (1..=6).collect::<Vec<_>>());
    assert_eq!(engine.shadows()[0].episodes, 1, "they begin anew");
    // The same where a start lies between.
    engine.reload(Arc::clone(&plants[1]), at(11), &mut effects);
    let mut engine = Engine::new(Arc::clone(&plants[1]), EPOCH, restored(&effects), at(12), &mut effects);
    engine.reload(Arc::clone(&plants[0]), at(13), &mut effects);
    read(&mut engine, 50.0, at(14), &mut effects);
    read(&mut engine, 90.0, at(15), &mut effects);
    assert_eq!(told(&effects), (1..=9).collect::<Vec<_>>());
    assert_eq!(engine.shadows()[0].episodes, 1);
}
