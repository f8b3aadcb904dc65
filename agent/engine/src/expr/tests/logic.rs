//! What a program says of one moment.

use super::*;
use crate::Truth::{False, True, Unknown};

/// GD-101 as a truth against 25: above, below, bad.
fn world(first: Truth, second: Truth, third: Truth) -> Present {
    let mut world = Present::default();
    for (tag, truth) in [("GD-101", first), ("GD-102", second), ("GD-103", third)] {
        match truth {
            True => world.number(tag, 30.0, sec(0)),
            False => world.number(tag, 20.0, sec(0)),
            Unknown => world.bad(tag, BadReason::CommFailure, sec(0)),
        }
    }
    world
}

const A: &str = "{GD-101} >= 25";
const B: &str = "{GD-102} >= 25";
const C: &str = "{GD-103} >= 25";
const ALL: [Truth; 3] = [False, Unknown, True];

#[test]
fn kleene_tables_hold_through_programs() {
    let table = |text: &str| -> Vec<Truth> {
        ALL.iter().flat_map(|a| ALL.map(|b| verdict(text, &world(*a, b, False)))).collect()
    };
    let and = table(&format!("{A} and {B}"));
    assert_eq!(and, [False, False, False, False, Unknown, Unknown, False, Unknown, True]);
    let or = table(&format!("{A} or {B}"));
    assert_eq!(or, [False, Unknown, True, Unknown, Unknown, True, True, True, True]);
    let not = ALL.map(|a| verdict(&format!("not {A}"), &world(a, False, False)));
    assert_eq!(not, [True, Unknown, False]);
    let maybe = ALL.map(|a| verdict(&format!("maybe({A})"), &world(a, False, False)));
    assert_eq!(maybe, [False, True, True]);
}

#[test]
fn at_least_counts_what_is_true_and_what_may_be() {
    let two = format!("at_least(2, {A}, {B}, {C})");
    for (a, b, c, expected) in [
        (True, True, Unknown, True),
        (True, Unknown, Unknown, Unknown),
        (True, Unknown, False, Unknown),
        (Unknown, Unknown, False, Unknown),
        (Unknown, False, False, False),
        (True, False, False, False),
        (True, True, True, True),
    ] {
        assert_eq!(verdict(&two, &world(a, b, c)), expected, "{a:?} {b:?} {c:?}");
    }
    assert_eq!(verdict(&format!("at_least(3, {A}, {B}, {C})"), &world(True, True, Unknown)), Unknown);
    assert_eq!(verdict(&format!("at_least(1, {A})"), &world(Unknown, False, False)), Unknown);
}

#[test]
fn or_binds_looser_than_and_and_not_looser_than_comparison() {
    let text = format!("{A} or {B} and {C}");
    assert_eq!(verdict(&text, &world(True, False, False)), True);
    assert_eq!(verdict(&format!("({A} or {B}) and {C}"), &world(True, False, False)), False);
    assert_eq!(verdict("not {GD-101} >= 25 and {GD-102} < 25", &world(False, False, False)), True);
}

#[test]
fn arithmetic_binds_as_on_paper() {
    let mut world = Present::default();
    world.number("PI-101", 7.0, sec(0));
    for text in [
        "{PI-101} + 2 * 3 > 12.9",
        "{PI-101} + 2 * 3 < 13.1",
        "({PI-101} + 2) * 3 > 26.9",
        "{PI-101} - 2 - 3 < 2.1",
        "{PI-101} / 2 / 2 < 1.76",
        "-{PI-101} * -1 > 6.9",
        "--{PI-101} > 6.9",
        "- {PI-101} + 7 > -0.1",
        "1e1 > {PI-101}",
        "7.0000001 >{PI-101}",
        "7 >= {PI-101} and 7 <= {PI-101}",
        "{PI-101} > 6.999 and not {PI-101} > 7 and not {PI-101} < 7",
    ] {
        assert_eq!(verdict(text, &world), True, "{text}");
    }
}

#[test]
fn division_by_zero_and_overflow_are_unknown() {
    let mut world = Present::default();
    world.number("PI-101", 0.0, sec(0));
    world.number("TI-101", 1e300, sec(0));
    for text in [
        "5 / {PI-101} > 1",
        "{PI-101} / {PI-101} > 1",
        "5 / {PI-101} * {PI-101} > -1",
        "not 5 / {PI-101} > 1",
        "{TI-101} * {TI-101} > 1",
        "{TI-101} * {TI-101} - {TI-101} * {TI-101} < 1",
        "1 / (1 / {PI-101}) < 1",
    ] {
        assert_eq!(verdict(text, &world), Unknown, "{text}");
    }
}

#[test]
fn uncertain_is_compared_and_bad_is_not() {
    let mut world = Present::default();
    let over = Quality::Uncertain(UncertainReason::OverRange);
    world.put("GD-101", Value::float(100.0), over, sec(0));
    assert_eq!(verdict(A, &world), True);
    let failed = Quality::Bad(BadReason::DeviceFailure);
    world.put("GD-101", None, failed, sec(0));
    assert_eq!(verdict(A, &world), Unknown);
    // A value that the world gives beside a bad quality is one that counts until a sample says otherwise.
    world.put("GD-101", Value::float(100.0), failed, sec(0));
    assert_eq!(verdict(A, &world), True);
    assert_eq!(verdict(A, &Present::default()), Unknown);
}

#[test]
fn bools_texts_and_enumerations() {
    let mut world = Present::default();
    world.set("ESD-1", Value::Bool(true), sec(0));
    world.set("ESD-2", Value::Int(0), sec(0));
    world.set("P-101", Value::text("running"), sec(0));
    world.set("BATCH", Value::text("it's 7"), sec(0));
    for (text, expected) in [
        ("{ESD-1}", True),
        ("not {ESD-1}", False),
        ("{ESD-2}", False),
        ("{ESD-1} == {ESD-2}", False),
        ("{ESD-1} != {ESD-2}", True),
        ("{P-101} == 'running'", True),
        ("'running' != {P-101}", False),
        ("{P-101} == 'stopped'", False),
        ("{BATCH} == 'it''s 7'", True),
        ("{BATCH} != {P-101}", True),
        ("({GD-101} > 1) == {ESD-1}", Unknown),
    ] {
        assert_eq!(verdict(text, &world), expected, "{text}");
    }
    world.bad("P-101", BadReason::CommFailure, sec(0));
    assert_eq!(verdict("{P-101} == 'running'", &world), Unknown);
    assert_eq!(verdict("{P-101} != 'running'", &world), Unknown);
    world.set("ESD-1", Value::text("on"), sec(0));
    assert_eq!(verdict("{ESD-1}", &world), Unknown);
}

#[test]
fn tags_hold_dashes_dots_slashes_and_escaped_braces() {
    let mut world = Present::default();
    world.number("a}b.c/d", 3.0, sec(0));
    assert_eq!(verdict("{a\\}b.c/d} > 2", &world), True);
}

#[test]
fn the_state_of_a_point_is_never_unknown() {
    let mut world = Present::default();
    let states = |world: &Present| {
        ["bad({GD-101})", "stale({GD-101})", "age({GD-101}) > 30s", "age({GD-101}) <= 30s"]
            .map(|text| Judge::new(text).at(sec(40), world))
    };
    // Never received is older than any age.
    assert_eq!(states(&world), [True, False, True, False]);
    world.bad("GD-101", BadReason::Stale, sec(10));
    assert_eq!(states(&world), [True, True, False, True]);
    world.bad("GD-101", BadReason::CommFailure, sec(9));
    assert_eq!(states(&world), [True, False, True, False]);
    world.number("GD-101", 1.0, sec(40));
    assert_eq!(states(&world), [False, False, False, True]);
    world.put("GD-101", Value::float(1.0), Quality::Uncertain(UncertainReason::Frozen), sec(40));
    assert_eq!(states(&world), [False, False, False, True]);
}

#[test]
fn ages_are_compared_with_each_other() {
    let mut world = Present::default();
    world.number("GD-101", 1.0, sec(1));
    world.number("GD-102", 1.0, sec(2));
    assert_eq!(Judge::new("age({GD-101}) > age({GD-102})").at(sec(9), &world), True);
    assert_eq!(Judge::new("8s <= age({GD-101})").at(sec(9), &world), True);
    assert_eq!(Judge::new("8s < age({GD-101})").at(sec(9), &world), False);
}

#[test]
fn people_are_asked_by_zones_and_role_and_may_be_equal() {
    let mut world = Present { people: Some(2), ..Present::default() };
    assert_eq!(verdict("people('tank-area') == 2", &world), True);
    assert_eq!(verdict("people('tank-a', 'visitor') * 2 + 1 != 5", &world), False);
    assert_eq!(world.asked.take(), ["people [0, 1] None", "people [1] Some(\"visitor\")"]);
    world.people = None;
    assert_eq!(verdict("people('tank-a') > 0", &world), Unknown);
    assert_eq!(verdict("maybe(people('tank-a') > 0)", &world), True);
}

#[test]
fn seen_asks_for_the_cameras_of_the_unit_and_has_defaults() {
    let mut world = Present { sighted: Some(sec(0)), ..Present::default() };
    assert_eq!(verdict("seen('tank-area', 'smoke')", &world), True);
    assert_eq!(verdict("seen('tank-area', 'flame', window = 1m, confidence = 0.9)", &world), True);
    assert_eq!(world.asked.take(), ["seen [2, 3] smoke 1x0.6 30s", "seen [2, 3] flame 1x0.9 60s"]);
    world.sighted = None;
    assert_eq!(verdict("seen('tank-area', 'smoke')", &world), False);
    world.camera_down = true;
    assert_eq!(verdict("seen('tank-area', 'smoke')", &world), Unknown);
}

#[test]
fn a_condition_is_asked_for_by_source_name_state_and_severity_and_has_defaults() {
    let mut world = Present { condition: Some(condition()), ..Present::default() };
    assert_eq!(verdict("condition('dcs', 'HighHigh')", &world), True);
    let full = "condition('dcs', 'LIA-101/HighHigh', severity = 700, state = 'unacknowledged')";
    assert_eq!(verdict(full, &world), True);
    assert_eq!(
        world.asked.take(),
        ["condition 4 HighHigh Active 1", "condition 4 LIA-101/HighHigh Unacknowledged 700"]
    );
    world.condition = None;
    assert_eq!(verdict("condition('dcs', 'HighHigh')", &world), False);
    world.untold = true;
    assert_eq!(verdict("condition('dcs', 'HighHigh')", &world), Unknown);
    assert_eq!(verdict("maybe(condition('dcs', 'HighHigh', state = 'suppressed'))", &world), True);
}

#[test]
fn a_permit_is_asked_for_by_unit_and_kind_and_ends_by_itself() {
    let mut world = Present { ticket: Some((ticket(), sec(30))), ..Present::default() };
    let mut judge = Judge::new("permit('tank-area', 'hot_work')");
    assert_eq!(judge.at(sec(0), &world), True);
    assert_eq!(world.asked.take(), ["permit 0 HotWork"]);
    assert_eq!(judge.next(sec(0)), Some(sec(30)));
    assert_eq!(judge.at(sec(30), &world), False);
    assert_eq!(judge.next(sec(30)), None);
    world.permits_down = true;
    assert_eq!(judge.at(sec(31), &world), Unknown);
}

#[test]
fn what_stands_behind_a_condition_and_a_permit_is_told_with_them() {
    let world =
        Present { condition: Some(condition()), ticket: Some((ticket(), sec(30))), ..Present::default() };
    let mut judge = Judge::new("condition('dcs', 'HighHigh') and permit('tank-area', 'hot_work')");
    judge.at(sec(0), &world);
    let [kept, permit] = judge.program.operands(&judge.memory, &world, sec(0)).try_into().expect("two");
    assert_eq!(kept.text, "condition('dcs', 'HighHigh')");
    assert_eq!((kept.value, kept.quality), (Some(Value::Bool(true)), Quality::Good));
    assert_eq!(kept.detail.as_deref(), Some("LIA-101/HighHigh 液位高高 (severity 900)"));
    assert_eq!((kept.source_time, kept.at), (Some(Wall(7)), Some(now(sec(0)).wall)));
    assert_eq!(permit.text, "permit('tank-area', 'hot_work')");
    assert_eq!((permit.detail.as_deref(), permit.until), (Some("DH-7"), Some(Wall(99))));

    let down = Present { untold: true, permits_down: true, ..Present::default() };
    judge.at(sec(1), &down);
    for operand in judge.program.operands(&judge.memory, &down, sec(1)) {
        assert_eq!((operand.value, operand.detail, operand.until), (None, None, None));
        assert_eq!(operand.quality, Quality::Bad(BadReason::CommFailure));
    }
}

#[test]
fn a_program_reads_what_it_names_sorted_and_once() {
    let text = "{TI-101} > 1 or {GD-102} > max({GD-101}, 1m) or {GD-102} > 2 or stale({BATCH}) \
                or people('tank-area') > 0 or people('tank-a') > 3 or seen('tank-area', 'smoke') \
                or condition('dcs', 'b') or condition('dcs', 'a') or permit('office', 'lifting') \
                or permit('tank-area', 'lifting') or permit('office', 'height')";
    let reads = program(text).reads().clone();
    assert_eq!(reads.points, [0, 1, 3, 8].map(PointId));
    assert_eq!(reads.zones, [0, 1]);
    assert_eq!(reads.cameras, [2, 3]);
    assert_eq!(reads.conditions, [SourceId(4)]);
    assert_eq!(reads.permits, [0, 1]);
    assert_eq!(reads.count(), 11);
}

#[test]
fn operands_are_told_as_written_in_order_and_once() {
    let text = "held(max( {GD-101}, 1m ) >= 25, 10s) or {GD-102}>1 and {GD-102} < 9 and people('tank-a') > 0 \
                or seen('tank-area', 'smoke') or bad({GD-103})";
    let mut world = Present { people: Some(4), ..Present::default() };
    world.number("GD-101", 12.0, sec(0));
    world.put("GD-102", Value::float(7.0), Quality::Uncertain(UncertainReason::Frozen), ms(500));
    world.bad("GD-103", BadReason::DeviceFailure, ms(700));
    let mut judge = Judge::new(text);
    judge.at(sec(1), &world);
    let told = judge.program.operands(&judge.memory, &world, sec(1));
    let lines: Vec<String> = told
        .iter()
        .map(|operand| {
            let value = operand.value.as_ref().map_or("-".to_owned(), Value::to_string);
            format!("{} = {value} {}", operand.text, operand.quality)
        })
        .collect();
    assert_eq!(
        lines,
        [
            "held(max( {GD-101}, 1m ) >= 25, 10s) = - bad never_read",
            "max( {GD-101}, 1m ) = 12 uncertain source",
            "{GD-102} = 7 uncertain frozen",
            "people('tank-a') = 4 good",
            "seen('tank-area', 'smoke') = false good",
            "{GD-103} = - bad device_failure",
        ]
    );
    assert_eq!(told[2].at, Some(now(ms(500)).wall));
    assert_eq!(told[3].at, None);
}

#[test]
fn the_last_value_of_a_point_that_is_still_beyond_its_limit_is_a_bound() {
    let mut world = Present::default();
    let value = Value::float(30.0);
    world.put("GD-101", value, Quality::Bad(BadReason::CommFailure), sec(0));
    world.number("GD-102", 30.0, sec(0));
    for (text, high, low) in [
        ("{GD-101} >= 25", True, Unknown),
        ("{GD-101} >= 50", Unknown, False),
        ("{GD-101} < 50", Unknown, True),
        ("{GD-101} < 20", False, Unknown),
        ("50 > {GD-101}", Unknown, True),
        ("max({GD-101}, 1m) >= 25", True, Unknown),
        ("max({GD-101}, 1m) < 50", Unknown, Unknown),
        ("{GD-101} + 1 > 20", Unknown, Unknown),
        ("{GD-101} <= {GD-102}", Unknown, Unknown),
    ] {
        for (side, expected) in [(Beyond::High, high), (Beyond::Low, low)] {
            world.beyond = Some(side);
            assert_eq!(verdict(text, &world), expected, "{text} {side:?}");
        }
    }
    world.beyond = Some(Beyond::High);
    let covered = [
        ("avg({GD-101}, 1m) >= 25", True),
        ("avg({GD-101}, 1m) < 50", Unknown),
        ("min({GD-101}, 1m) >= 25", True),
        ("max({GD-101}, 1m) < 50", Unknown),
        ("delta({GD-101}, 1m) < 50", Unknown),
    ];
    for (text, expected) in covered {
        let mut judge = Judge::new(text);
        judge.at(sec(0), &world);
        assert_eq!(judge.at(sec(60), &world), expected, "{text}");
    }
}
