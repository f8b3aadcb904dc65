//! What is recorded of a verdict gives the verdict again, part by part, after a way through JSON.

use proptest::prelude::*;

use super::*;
use crate::reason::sealed;
use crate::{Difference, Evidence, Irreplayable, PointReads, ReasonKind, replay};

fn reads(text: &str) -> BTreeMap<String, PointReads> {
    let kind = |tag: String| {
        let kind = match Plant.point(&tag)?.kind {
            PointKind::Number => PointReads::Number,
            PointKind::Bool => PointReads::Bool,
            PointKind::Words(_) | PointKind::Text => PointReads::Text,
        };
        Some((tag, kind))
    };
    tags_of(text).into_iter().filter_map(kind).collect()
}

/// The evidence of what a judge has just said.
fn evidence(judge: &Judge, world: &Present, at: Mono) -> Evidence {
    let Judge { program, memory } = judge;
    let evidence = Evidence {
        rule: "r".to_owned(),
        version: "v".to_owned(),
        condition: program.text().to_owned(),
        verdict: Truth::Unknown,
        at: now(at).wall,
        operands: program.operands(memory, world, at),
        reason: None,
    };
    sealed(evidence, reads(program.text()), program.reason(memory, world, at), "plant")
}

fn through_json(evidence: &Evidence) -> Evidence {
    serde_json::from_str(&serde_json::to_string(evidence).unwrap()).unwrap()
}

/// The parts of a condition, one a line, with `?` where something unknown decided.
fn tree(evidence: &Evidence) -> String {
    let line = |node: &crate::ReasonNode| {
        let mark = if node.unknown { " ?" } else { "" };
        let (indent, text) = ("  ".repeat(node.depth.into()), node.text(&evidence.condition));
        format!("{indent}{:?} {:?}{mark}  {text}", node.is, node.kind)
    };
    evidence.reason.as_ref().unwrap().tree.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn check_tree(text: &str, world: &Present, expected: &str) {
    let mut judge = Judge::new(text);
    judge.at(sec(0), world);
    let evidence = evidence(&judge, world, sec(0));
    assert_eq!(tree(&evidence), expected, "{}", tree(&evidence));
    assert_eq!(replay(&through_json(&evidence)), Ok(None));
}

#[test]
fn a_tree_has_each_part_with_its_truth_and_what_unknown_did() {
    let mut world = Present::default();
    world.number("GD-101", 30.0, sec(0));
    world.number("GD-102", 3.0, sec(0));
    check_tree(
        "(at_least(2, {GD-101} >= 25, {GD-102} >= 25, {GD-103} >= 25) or {GD-101} > 40) or \
         ({GD-101} >= 25 and maybe(people('tank-a') > 0)) and not {GD-102} > 5",
        &world,
        "\
True Any ?  (at_least(2, {GD-101} >= 25, {GD-102} >= 25, {GD-103} >= 25) or {GD-101} > 40) or \
({GD-101} >= 25 and maybe(people('tank-a') > 0)) and not {GD-102} > 5
  Unknown Any ?  at_least(2, {GD-101} >= 25, {GD-102} >= 25, {GD-103} >= 25) or {GD-101} > 40
    Unknown AtLeast ?  at_least(2, {GD-101} >= 25, {GD-102} >= 25, {GD-103} >= 25)
      True Compare  {GD-101} >= 25
      False Compare  {GD-102} >= 25
      Unknown Compare ?  {GD-103} >= 25
    False Compare  {GD-101} > 40
  True All ?  ({GD-101} >= 25 and maybe(people('tank-a') > 0)) and not {GD-102} > 5
    True All ?  {GD-101} >= 25 and maybe(people('tank-a') > 0)
      True Compare  {GD-101} >= 25
      True Maybe ?  maybe(people('tank-a') > 0)
        Unknown Compare ?  people('tank-a') > 0
    True Not  not {GD-102} > 5
      False Compare  {GD-102} > 5",
    );
}

#[test]
fn a_condition_over_time_has_what_stands_in_it_as_it_is_now() {
    let mut world = Present::default();
    world.number("GD-101", 30.0, sec(0));
    world.set("ESD-1", Value::Bool(true), sec(0));
    check_tree(
        "2 > count({ESD-1}, 1h) + count({GD-101} > 5, 1m) or ({ESD-1} != held({GD-101} > 5, 1m))",
        &world,
        "\
Unknown Any ?  2 > count({ESD-1}, 1h) + count({GD-101} > 5, 1m) or ({ESD-1} != held({GD-101} > 5, 1m))
  Unknown Compare ?  2 > count({ESD-1}, 1h) + count({GD-101} > 5, 1m)
    True Told  {ESD-1}
    True Compare  {GD-101} > 5
  Unknown Compare ?  {ESD-1} != held({GD-101} > 5, 1m)
    True Told  {ESD-1}
    Unknown OverTime ?  held({GD-101} > 5, 1m)
      True Compare  {GD-101} > 5",
    );
}

#[test]
fn the_plays_of_the_index_replay_at_each_step() {
    for function in FUNCTIONS {
        let (mut judge, mut world) = (Judge::new(function.example), Present::default());
        for part in function.play.split(';') {
            let mut words = part.split("=>").next().unwrap().split_whitespace();
            let time = words.next().unwrap();
            let (number, unit) = time.split_at(time.len() - 1);
            let at = sec(number.parse::<u64>().unwrap() * if unit == "m" { 60 } else { 1 });
            words.for_each(|word| {
                let (what, value) = word.split_once('=').unwrap();
                set(&mut world, what, value, at);
            });
            let verdict = judge.at(at, &world);
            let evidence = through_json(&evidence(&judge, &world, at));
            assert_eq!(evidence.verdict, verdict, "{}: {part}", function.example);
            assert_eq!(replay(&evidence), Ok(None), "{}: {part}\n{evidence:#?}", function.example);
        }
    }
}

#[test]
fn an_operand_that_was_changed_shows_where() {
    let mut world = Present::default();
    world.number("GD-101", 30.0, sec(0));
    world.number("GD-102", 3.0, sec(0));
    let mut judge = Judge::new("{GD-101} >= 25 and not ({GD-102} >= 25 or bad({GD-103}) and {ESD-1})");
    judge.at(sec(0), &world);
    let honest = evidence(&judge, &world, sec(0));
    let changed = |change: fn(&mut Evidence)| {
        let mut evidence = honest.clone();
        change(&mut evidence);
        replay(&through_json(&evidence))
    };
    let value = |number| Value::float(number);
    assert_eq!(changed(|_| ()), Ok(None));
    assert_eq!(
        changed(|of| of.operands[1].value = Value::float(40.0)),
        Ok(Some(Difference::Part {
            text: "{GD-102} >= 25".to_owned(),
            recorded: Truth::False,
            replayed: Truth::True
        }))
    );
    assert_ne!(honest.operands[0].value, value(29.0));
    // One that makes no part different is no longer what was written all the same.
    assert_eq!(changed(|of| of.operands[0].value = Value::float(29.0)), Ok(Some(Difference::Altered)));
    assert_eq!(changed(|of| of.at = Wall(1)), Ok(Some(Difference::Altered)));
    let verdict = Difference::Verdict { recorded: Truth::False, replayed: Truth::Unknown };
    assert_eq!(honest.verdict, Truth::Unknown);
    assert_eq!(changed(|of| of.verdict = Truth::False), Ok(Some(verdict)));
    let broken = |found: Result<Option<Difference>, Irreplayable>| match found {
        Err(Irreplayable::Broken(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(broken(changed(|of| drop(of.operands.pop()))).contains("{ESD-1}"));
    assert!(broken(changed(|of| of.condition.push_str(" or {X} > 1"))).contains("{X}"));
    assert!(
        broken(changed(|of| of.condition = "{GD-101} > 5 and {GD-102} > 5".to_owned())).contains("operands")
    );
    assert!(broken(changed(|of| of.reason.as_mut().unwrap().tree.truncate(2))).contains("tree"));
}

#[test]
fn what_an_older_agent_wrote_is_read_and_has_no_tree() {
    let old = r#"{"rule":"GD-1/H","version":"0123456789ab","condition":"{GD-1} >= 25","verdict":"true",
        "at":1700000000000,"operands":[{"text":"{GD-1}","value":26.5,"quality":{"class":"good"},
        "at":1700000000000,"source_time":null}]}"#;
    let old: Evidence = serde_json::from_str(old).unwrap();
    assert_eq!(replay(&old), Err(Irreplayable::NoTree));
    let source = Evidence { rule: "fault:source:dcs".to_owned(), ..old };
    assert_eq!(replay(&source), Err(Irreplayable::NoCondition));
}

#[test]
fn a_condition_of_many_parts_is_told_in_part_and_replays_in_part() {
    let text = (0..700).map(|at| format!("{{GD-101}} > {at}")).collect::<Vec<_>>().join(" or ");
    let mut world = Present::default();
    world.number("GD-101", 500.5, sec(0));
    let mut judge = Judge::new(&text);
    judge.at(sec(0), &world);
    let evidence = through_json(&evidence(&judge, &world, sec(0)));
    let reason = evidence.reason.as_ref().unwrap();
    assert_eq!((reason.tree.len(), reason.left_out), (256, 701 - 256));
    assert_eq!(replay(&evidence), Ok(None));
    assert!(serde_json::to_string(&reason.tree).unwrap().len() < 256 * 80);
}

#[test]
fn a_tree_as_deep_as_the_language_allows_goes_through_json() {
    let text = format!("{}{{ESD-1}}", "not ".repeat(48));
    let mut judge = Judge::new(&text);
    judge.at(sec(0), &Present::default());
    let evidence = through_json(&evidence(&judge, &Present::default(), sec(0)));
    assert_eq!(evidence.reason.as_ref().unwrap().tree.last().unwrap().kind, ReasonKind::Told);
    assert_eq!(replay(&evidence), Ok(None));
}

/// Conditions of each function and each comparison, to be put together.
const ATOMS: &[&str] = &[
    "{GD-101} > 15",
    "14.7 >= {GD-102}",
    "{GD-101} / ({GD-102} - 14) > 1",
    "-{GD-101} + 2 * {GD-102} < 10.1",
    "{ESD-1}",
    "{ESD-1} == {ESD-2}",
    "{P-101} != 'running'",
    "{BATCH} == 'it''s'",
    "{a\\}b.c/d} > 7",
    "bad({GD-101})",
    "stale({GD-102})",
    "age({GD-101}) >= 400ms",
    "age({GD-101}) > age({GD-102})",
    "avg({GD-101}, 1s) > 14.3",
    "stddev({GD-102}, 500ms) > 4",
    "max({GD-101}, 1s) > 20",
    "min({GD-101}, 700ms) <= 14",
    "max({GD-102}, 1s) - min({GD-102}, 1s) > 7",
    "delta({GD-101}, 1s) > 5",
    "rate({GD-102}, 500ms) < 100",
    "people('tank-a') > 2 or people('tank-a', 'visitor') > 0",
    "people('tank-area') == present('tank-a')",
    "present('tank-a') < 1",
    "lone('tank-a')",
    "still('tank-a', 5m)",
    "sos('tank-area')",
    "guarded('tank-area', 'hot_work')",
    "seen('tank-area', 'smoke', window = 1s)",
    "condition('dcs', 'HighHigh', severity = 700)",
    "permit('tank-area', 'hot_work')",
    "active('tank-a-leak') or active('GD-101/H')",
    "first_out({ESD-1}, {ESD-2})",
    "count({ESD-1}, 700ms) >= 2",
    "1 + count({GD-101} > 15, 1s) == count({GD-102} > 15, 1s)",
];

/// Conditions of all forms, of these.
pub(super) fn condition(atoms: &'static [&'static str]) -> impl Strategy<Value = String> {
    let atom = prop::sample::select(atoms).prop_map(|atom| format!("({atom})"));
    atom.prop_recursive(3, 12, 3, |inner| {
        let some = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            some.clone().prop_map(|parts| format!("({})", parts.join(" and "))),
            some.clone().prop_map(|parts| format!("({})", parts.join(" or "))),
            some.prop_map(|parts| format!("at_least(2, {})", parts.join(", "))),
            inner.clone().prop_map(|part| format!("(not {part})")),
            inner.clone().prop_map(|part| format!("maybe({part})")),
            inner.clone().prop_map(|part| format!("held({part}, 300ms)")),
            inner.clone().prop_map(|part| format!("recently({part}, 400ms)")),
            inner.clone().prop_map(|part| format!("(count({part}, 1s) > 1)")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("then({a}, {b}, 300ms)")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a} != {b})")),
        ]
    })
}

pub(super) type Change = (u64, u8, u8, i32);

pub(super) fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(
        (prop_oneof![Just(0), Just(100), 0..900_u64], 0..18_u8, any::<u8>(), 0..60_i32),
        1..25,
    )
}

/// One change of the present.
pub(super) fn take(world: &mut Present, (_, what, which, number): Change, at: Mono) {
    let tag = ["GD-101", "GD-102", "a}b.c/d"][usize::from(which % 3)];
    let switch = ["ESD-1", "ESD-2"][usize::from(which % 2)];
    let value = f64::from(number) * 0.7;
    let truth = [Truth::False, Truth::Unknown, Truth::True][usize::from(which % 3)];
    match what {
        0..=4 => world.number(tag, value, at),
        5 => world.put(tag, Value::float(value), Quality::Uncertain(UncertainReason::OverRange), at),
        6 => world.bad(tag, [BadReason::Stale, BadReason::CommFailure][usize::from(which % 2)], at),
        // The last value counts as a bound.
        7 => world.put(tag, Value::float(value), Quality::Bad(BadReason::Masked), at),
        8 => world.beyond = [None, Some(Beyond::High), Some(Beyond::Low)][usize::from(which % 3)],
        9 | 10 => world.set(switch, Value::Bool(number % 2 == 0), at),
        11 => world.set("P-101", Value::text(["running", "stopped"][usize::from(which % 2)]), at),
        12 => world.set("BATCH", Value::text(["it's", ""][usize::from(which % 2)]), at),
        13 => world.people = u32::try_from(number).ok().filter(|_| which % 4 > 0).map(|number| number % 4),
        14 => (world.place, world.rule) = (Some(truth), Some(!truth)),
        15 => (world.sighted, world.camera_down) = (Some(at), which % 4 == 0),
        16 => {
            (world.condition, world.untold) = ((which % 2 == 0).then(super::condition), which % 5 == 0);
        }
        _ => {
            world.permits_down = which % 5 == 0;
            world.ticket = (which % 2 == 0).then(|| (ticket(), at.after(Duration::from_millis(500))));
        }
    }
    // A bad point withholds its value unless that counts as a bound.
    if world.beyond.is_none() {
        world
            .points
            .values_mut()
            .filter(|(_, quality, _)| quality.is_bad())
            .for_each(|(value, ..)| *value = None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn evidence_gives_the_verdict_of_the_engine_part_by_part(text in condition(ATOMS), changes in changes()) {
        let (mut judge, mut world, mut at) = (Judge::new(&text), Present::default(), ms(0));
        for change in changes {
            // What turns by itself on the way is looked at when it was offered.
            let until = at.after(Duration::from_millis(change.0));
            while let Some(next) = judge.next(at).filter(|next| *next < until) {
                at = next;
                judge.at(at, &world);
            }
            at = until;
            take(&mut world, change, at);
            let verdict = judge.at(at, &world);
            let evidence = through_json(&evidence(&judge, &world, at));
            prop_assert_eq!(evidence.verdict, verdict, "{} at {:?}", &text, at);
            prop_assert_eq!(replay(&evidence), Ok(None), "{} at {:?}\n{:#?}", &text, at, evidence);
        }
    }
}
