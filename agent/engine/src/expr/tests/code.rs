//! The steps of a program say what its tree says.

use proptest::prelude::*;

use super::replay::{changes, condition, take};
use super::*;
use crate::expr::run;

/// A text of type number on two points.
fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        2 => prop::sample::select(vec!["{GD-101}", "{GD-102}"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["0", "7", "14.5", "1e308"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let sign = prop::sample::select(vec!["+", "-", "*", "/"]);
        prop_oneof![
            (inner.clone(), sign, inner.clone()).prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
            inner.prop_map(|a| format!("(-{a})")),
        ]
    })
}

/// A text of type bool on points alone.
fn truth() -> impl Strategy<Value = String> {
    let sign = prop::sample::select(vec!["<", "<=", ">", ">="]);
    let plain = ["{ESD-1}", "bad({GD-101})", "stale({GD-102})", "{GD-101} >= 14", "{GD-102} < 21"];
    let leaf = prop_oneof![
        2 => prop::sample::select(plain.to_vec()).prop_map(str::to_owned),
        1 => (number(), sign, number()).prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let few = prop::collection::vec(inner.clone(), 2..4);
        let join = prop::sample::select(vec![" and ", " or "]);
        prop_oneof![
            inner.clone().prop_map(|a| format!("not ({a})")),
            inner.clone().prop_map(|a| format!("maybe({a})")),
            (few.clone(), join).prop_map(|(parts, join)| format!("(({}))", parts.join(&format!("){join}(")))),
            (1..3u32, few).prop_map(|(k, parts)| format!("at_least({k}, {})", parts.join(", "))),
            (inner.clone(), inner).prop_map(|(a, b)| format!("(({a}) == ({b}))")),
        ]
    })
}

fn reading() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![5 => (0..4u8).prop_map(|n| Some(f64::from(n) * 7.0)), 1 => Just(Some(1e308)), 2 => Just(None)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn steps_say_what_the_tree_says(
        text in truth(),
        readings in [reading(), reading()],
        on in prop::option::of(any::<bool>()),
        stale in any::<bool>(),
        beyond in prop_oneof![Just(None), Just(Some(Beyond::High)), Just(Some(Beyond::Low))],
    ) {
        // Some of what is made is refused, as a comparison of two constants.
        let Ok((program, _)) = compile(&text, &Plant) else { return Ok(()) };
        let mut present = Present { beyond, ..Present::default() };
        let at = Mono(5);
        let bad = Quality::Bad(if stale { BadReason::Stale } else { BadReason::CommFailure });
        for (tag, reading) in ["GD-101", "GD-102"].into_iter().zip(readings) {
            match reading {
                Some(value) => present.number(tag, value, at),
                // One that is beyond a limit keeps its value.
                None => present.put(tag, beyond.and(Value::float(14.0)), bad, at),
            }
        }
        match on {
            Some(on) => present.set("ESD-1", Value::Bool(on), at),
            None => present.bad("ESD-1", BadReason::CommFailure, at),
        }
        for program in [program.default_clear(), program] {
            // A text that is nested too deeply has no steps.
            let Some(code) = program.code() else { continue };
            let said = run(&code, &mut Memory::default(), &present, at);
            prop_assert_eq!(said, program.look(Memory::NONE, &present, at), "{}", program.text());
        }
    }
}

/// What has a memory and is read from points alone.
const ATOMS: &[&str] = &[
    "{GD-101} > 15",
    "{GD-101} - {GD-102} > 4",
    "{ESD-1}",
    "avg({GD-101}, 1s) > 15",
    "stddev({GD-101}, 1s) * 2 > {GD-102}",
    "max({GD-101}, 1s) < 20",
    "min({GD-102}, 300ms) >= 10",
    "max({GD-101}, 1s) - min({GD-101}, 1s) <= 7",
    "delta({GD-102}, 1s) >= 7",
    "rate({GD-102}, 500ms) < 100",
    "held({GD-101} > 15, 400ms)",
    "recently(bad({GD-101}), 1s)",
    "count({ESD-1}, 700ms) >= 2",
    "1 + count({GD-101} > 15, 1s) == count({GD-102} > 15, 1s)",
    "then({ESD-1}, {GD-101} > 15, 300ms)",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn steps_say_what_the_tree_says_over_time_and_leave_the_same_memory(
        text in condition(ATOMS),
        changes in changes(),
    ) {
        let program = program(&text);
        for program in [program.default_clear(), program] {
            let Some(code) = program.code() else { continue };
            let (mut judge, mut own) = (Judge::of(program.clone()), program.memory());
            let (mut world, mut at) = (Present::default(), ms(0));
            for change in &changes {
                let until = at.after(Duration::from_millis(change.0));
                while let Some(next) = judge.next(at).filter(|next| *next < until) {
                    at = next;
                    prop_assert_eq!(run(&code, &mut own, &world, at), judge.at(at, &world), "{}", &text);
                }
                at = until;
                take(&mut world, *change, at);
                prop_assert_eq!(run(&code, &mut own, &world, at), judge.at(at, &world), "{}", &text);
                prop_assert_eq!(own.next_change(at), judge.next(at));
                prop_assert_eq!(format!("{own:?}"), format!("{:?}", &judge.memory), "{}", &text);
            }
        }
    }
}

#[test]
fn only_what_reads_points_alone_and_is_not_nested_deeply_has_steps() {
    let has_code = |text: &str| compile(text, &Plant).expect(text).0.code().is_some();
    assert!(has_code("at_least(2, {GD-101} > 1, {GD-102} > 2, {ESD-1}) or {GD-101} - {GD-102} / 2 > 3"));
    assert!(has_code("held(avg({GD-101}, 1m) > 1, 1m) or count({ESD-1}, 1m) > max({GD-101}, 2m)"));
    let none = ["age({GD-101}) > 1m", "people('tank-a') > 1", "first_out({ESD-1}, {ESD-2})"];
    assert!(none.into_iter().all(|text| !has_code(text)));
    let nested = |n: usize| format!("{}{{GD-101}}{} > 1", "({GD-102} + ".repeat(n), ")".repeat(n));
    assert!(has_code(&nested(5)));
    assert!(!has_code(&nested(20)));
}
