//! What holds for every text, every script and every moment.

use proptest::prelude::*;

use super::*;

/// Programs of every function over time, alone and within each other.
const TEXTS: &[&str] = &[
    "recently({GD-101} > 15, 400ms)",
    "not recently(not {GD-101} > 15, 400ms) or recently(held({GD-102} > 15, 100ms), 1s)",
    "count({GD-101} > 15, 1s) >= 2",
    "count({ESD-1}, 700ms) == 1 or count({GD-102} > 15, 300ms) < 1",
    "count(recently({ESD-1}, 100ms), 1s) + people('tank-a') > 3",
    "then({GD-101} > 15, {GD-102} > 15, 300ms)",
    "then({ESD-1}, count({GD-101} > 15, 500ms) > 1, 200ms) or then({GD-102} > 15, not {ESD-1}, 100ms)",
    "first_out({ESD-1}, {ESD-2}) and {GD-101} > 15",
    "held(present('tank-a') > 2, 300ms)",
    "avg({GD-101}, 1s) > 22",
    "stddev({GD-101}, 1s) > 4",
    "max({GD-101}, 1s) < 25",
    "min({GD-101}, 300ms) > 15",
    "delta({GD-101}, 1s) > 5",
    "rate({GD-101}, 500ms) > 100",
    "held({GD-101} > 15, 400ms)",
    "held(not {GD-101} > 15, 400ms)",
    "held(max({GD-101}, 300ms) > 15, 400ms)",
    "held(held({GD-101} > 15, 100ms), 200ms) or bad({GD-102})",
    "age({GD-102}) > 500ms and age({GD-101}) <= 200ms",
    "age({GD-102}) > age({GD-101})",
    "held(age({GD-101}) < 200ms, 150ms)",
    "seen('tank-area', 'smoke', window = 1s) and {GD-101} > 15",
    "held(seen('tank-area', 'smoke', window = 700ms), 500ms)",
    "avg({GD-101}, 1s) + delta({GD-102}, 700ms) > max({GD-102}, 1s)",
    "at_least(2, {GD-101} > 15, avg({GD-102}, 1s) > 20, maybe(min({GD-101}, 200ms) > 10))",
    "{GD-101} / (avg({GD-102}, 1s) - 20) > 1",
    "(max({GD-101}, 1s) > 15) == (min({GD-102}, 1s) > 15)",
    "people('tank-a') > 2 or not held({ESD-1}, 300ms)",
    "condition('dcs', 'HighHigh') and not permit('tank-area', 'hot_work')",
    "held(permit('tank-area', 'hot_work') or condition('dcs', 'HighHigh', severity = 500), 300ms)",
];

#[derive(Debug, Clone)]
enum Event {
    Number(&'static str, f64),
    Bad(&'static str),
    Switch(bool),
    People(Option<u32>),
    Sighting,
    Camera(bool),
    Condition(bool),
    Told(bool),
    /// One that ends after so many milliseconds.
    Permit(Option<u64>),
    Permits(bool),
}

fn script() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let tag = prop::sample::select(vec!["GD-101", "GD-102"]);
    let event = prop_oneof![
        6 => (tag.clone(), 0..6_i32).prop_map(|(tag, value)| Event::Number(tag, f64::from(value) * 7.0)),
        1 => tag.prop_map(Event::Bad),
        1 => any::<bool>().prop_map(Event::Switch),
        1 => prop::option::of(0..5_u32).prop_map(Event::People),
        1 => Just(Event::Sighting),
        1 => any::<bool>().prop_map(Event::Camera),
        1 => any::<bool>().prop_map(Event::Condition),
        1 => any::<bool>().prop_map(Event::Told),
        1 => prop::option::of(0..2_000_u64).prop_map(Event::Permit),
        1 => any::<bool>().prop_map(Event::Permits),
    ];
    prop::collection::vec((prop_oneof![Just(0), Just(100), 0..400_u64, Just(2_000)], event), 1..40)
}

impl Present {
    fn take(&mut self, event: &Event, at: Mono) {
        match event {
            Event::Number(tag, value) => self.number(tag, *value, at),
            Event::Bad(tag) => self.bad(tag, BadReason::CommFailure, at),
            Event::Switch(on) => self.set("ESD-1", Value::Bool(*on), at),
            Event::People(people) => self.people = *people,
            Event::Sighting => self.sighted = Some(at),
            Event::Camera(down) => self.camera_down = *down,
            Event::Condition(active) => self.condition = active.then(condition),
            Event::Told(told) => self.untold = !told,
            Event::Permit(ends) => {
                self.ticket = ends.map(|after| (ticket(), at.after(Duration::from_millis(after))));
            }
            Event::Permits(down) => self.permits_down = *down,
        }
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop::sample::select(TEXTS).prop_map(str::to_owned)
}

/// Pieces that lead deep into the grammar, in any order.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{GD-101}",
        "{TI-101}",
        "{PI-101}",
        "{ESD-1}",
        "{P-101}",
        "{BATCH}",
        "{NO}",
        "{",
        "}",
        "'running'",
        "'tank-a'",
        "'",
        "25",
        "0",
        "1e308",
        "1m",
        "30s",
        "99d",
        "5x",
        "(",
        "(",
        ")",
        ")",
        ",",
        ",",
        " and ",
        " or ",
        " not ",
        "<",
        "<=",
        ">",
        ">=",
        "==",
        "!=",
        "=",
        "+",
        "-",
        "*",
        "/",
        "max(",
        "held(",
        "at_least(2,",
        "maybe(",
        "age(",
        "people('tank-a')",
        "seen('tank-area', 'smoke'",
        "condition('dcs', 'HighHigh'",
        "permit('tank-area', 'hot_work'",
        "state = 'active'",
        "severity = 700",
        "confidence = 0.5",
        "window = 1m",
        "≥",
        "（",
        "，",
        "或",
        "\"",
        "\\",
        "。",
        "é",
        "GD-101",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn compiles_or_says_why(text: &str) -> Result<(), TestCaseError> {
    let (faults, program) = match compile(text, &Plant) {
        Ok((program, warnings)) => (warnings, Some(program)),
        Err(faults) => (faults, None),
    };
    prop_assert!(program.is_some() || faults.iter().any(|fault| fault.severity == Severity::Error));
    for fault in &faults {
        prop_assert!(text.get(fault.span.clone()).is_some(), "{:?} in {:?}", fault, text);
        prop_assert!(!fault.message.is_empty());
    }
    if let Some(program) = program {
        prop_assert_eq!(&program.text, text);
        let clear = program.default_clear();
        let again = compile(&clear.text, &Plant);
        prop_assert!(again.is_ok(), "{} of {}: {:?}", &clear.text, text, again);
        let mut judge = Judge::of(clear);
        judge.at(sec(0), &Present::default());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_text_panics_the_compiler(text in any::<String>()) {
        compiles_or_says_why(&text)?;
    }

    #[test]
    fn no_soup_of_tokens_panics_the_compiler(text in soup()) {
        compiles_or_says_why(&text)?;
    }
}

proptest! {
    #[test]
    fn nothing_changes_that_was_not_offered(text in any_text(), script in script(), look in 0..100_u64) {
        let mut world = Present::default();
        // One is judged only when it must be, the other also in between.
        let (mut lean, mut eager) = (Judge::new(&text), Judge::new(&text));
        let mut at = ms(0);
        for (place, (_, event)) in script.iter().enumerate() {
            world.take(event, at);
            let mut verdict = lean.at(at, &world);
            prop_assert_eq!(verdict, eager.at(at, &world), "{} at {:?}", &text, at);
            let pause = script.get(place + 1).map_or(5_000, |(pause, _)| *pause);
            let end = at.after(Duration::from_millis(pause));
            loop {
                let next = lean.next(at);
                prop_assert!(next.is_none_or(|next| next > at), "an offer that is past");
                let until = next.filter(|next| *next < end).unwrap_or(end);
                let between = Mono(at.0 + (until.0 - at.0) / 100 * look);
                if between < until {
                    let seen = eager.at(between, &world);
                    prop_assert_eq!(seen, verdict, "{} between {:?} and {:?} at {:?}", &text, at, until, between);
                }
                at = until;
                if until == end {
                    break;
                }
                verdict = lean.at(at, &world);
                prop_assert_eq!(verdict, eager.at(at, &world), "{} at {:?}", &text, at);
            }
        }
    }

    #[test]
    fn the_same_script_gives_the_same_verdicts_and_operands(text in any_text(), script in script()) {
        let run = || {
            let (mut judge, mut world, mut at) = (Judge::new(&text), Present::default(), ms(0));
            let mut told = Vec::new();
            for (pause, event) in &script {
                at = at.after(Duration::from_millis(*pause));
                world.take(event, at);
                let verdict = judge.at(at, &world);
                let operands = judge.program.operands(&judge.memory, &world, at);
                told.push(serde_json::to_string(&(verdict, operands, judge.next(at))).unwrap());
            }
            told
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn judging_twice_at_one_time_is_judging_once(text in any_text(), script in script()) {
        let (mut once, mut twice, mut world, mut at) =
            (Judge::new(&text), Judge::new(&text), Present::default(), ms(0));
        for (pause, event) in &script {
            at = at.after(Duration::from_millis(*pause));
            world.take(event, at);
            twice.at(at, &world);
            prop_assert_eq!(once.at(at, &world), twice.at(at, &world));
            prop_assert_eq!(once.next(at), twice.next(at));
        }
    }

    #[test]
    fn what_holds_is_never_clear(text in any_text(), script in script()) {
        let when = program(&text);
        let clear = when.default_clear();
        let written = program(&clear.text);
        let (mut when, mut clear, mut written) = (Judge::of(when), Judge::of(clear), Judge::of(written));
        let (mut world, mut at) = (Present::default(), ms(0));
        for (pause, event) in &script {
            at = at.after(Duration::from_millis(*pause));
            world.take(event, at);
            let (fires, clears) = (when.at(at, &world), clear.at(at, &world));
            prop_assert!(!(fires.is_true() && clears.is_true()), "{} at {:?}", &text, at);
            prop_assert_eq!(clears, written.at(at, &world), "the text of the default clear of {}", &text);
        }
    }
}
