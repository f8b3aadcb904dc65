//! Judging only the rules that a reading touches gives what judging all of its point gives: any order of
//! readings, qualities, silences, reloads and times.

use std::fmt::Debug;
use std::sync::Arc;

use proptest::prelude::*;
use riskgate_point::{
    BadReason, Link, Mono, Now, PointId, Quality, Report, Sample, SourceId, UncertainReason, Value, Wall,
};

use crate::engine::{Engine, Restored};
use crate::plant::Plant;
use crate::site::{EPOCH, draft, hazard, plant, point, rule, secs};
use crate::*;

/// Of every way in which a rule can ask for a point; `{A}` to `{D}`, and `{ON}`.
const TEXTS: [&str; 34] = [
    "{A} >= 5",
    "{A} > 3 and {B} < 6",
    "{A} < 4 or {D} >= 9",
    "not {B} < 5 or {A} <= 0",
    "not ({C} < 5) or {A} > 8",
    "at_least(2, {A} >= 5, {B} >= 5, {C} >= 5, {D} >= 5)",
    "maybe({A} > 4) and {B} > 2",
    "({A} > 4) == ({B} > 4)",
    "{A} - {B} > 2",
    "-{C} < {D} / 2",
    "{ON}",
    "{ON} and {A} > 2",
    "first_out({ON}, {ON2})",
    "held({A} >= 5, 3s)",
    "held({A} >= 5 and {B} >= 5, 2s) or {C} > 7",
    "recently({B} >= 7, 4s)",
    "not recently({B} < 7, 4s)",
    "count({A} >= 5, 10s) >= 2",
    "count({ON}, 8s) >= 2",
    "then({A} >= 5, {B} >= 5, 3s)",
    "avg({A}, 4s) > 5",
    "max({B}, 4s) - min({B}, 4s) <= 0",
    "rate({C}, 4s) > 20 or {A} > 7",
    "age({D}) > 3s or {D} > 6",
    "bad({A}) or {B} > 6",
    "stale({C}) and {D} > 2",
    "stddev({A}, 3s) > 1 or {B} > 8",
    "held(avg({B}, 4s) > 5, 2s)",
    "delta({A}, 5s) >= 3 and not {ON}",
    "min({C}, 3s) >= 4",
    "count(max({A}, 2s) > 6, 10s) >= 1",
    "recently(bad({B}), 4s) or max({D}, 3s) > 6",
    "active('r0') and {C} > 4",
    "held({A} > people('Z-1'), 2s) or {A} > 8",
];

fn drafted(picks: &[(usize, u64, u64)], class: Class, deadband: f64) -> Draft {
    let numbered = ["A", "B", "C", "D"].map(|tag| PointDraft {
        watch: Watched::from(Watch {
            limits: Limits { ll: Some(0.0), l: Some(2.0), h: Some(6.0), hh: Some(8.0) },
            measure: Some("M-1".to_owned()),
            ..Watch::default()
        }),
        deadband,
        stale_after: secs(6),
        ..point(tag, class)
    });
    let on = ["ON", "ON2"].map(|tag| PointDraft { boolean: true, range: None, ..point(tag, Class::Process) });
    let written = |(nth, (text, on, off)): (usize, &(usize, u64, u64))| RuleDraft {
        for_: secs(*on),
        clear_for: secs(*off),
        // One with a memory of its own.
        clear: (*on == 3).then(|| "max({A}, 3s) < 5 and not {ON}".to_owned()),
        hazard: Some(hazard(Confirm::Auto)),
        // The first is read by others, and reads none.
        ..rule(&format!("r{nth}"), TEXTS[if nth == 0 { text % 32 } else { *text }])
    };
    let rules = picks.iter().enumerate().map(written).collect();
    Draft { points: numbered.into_iter().chain(on).collect(), rules, ..draft() }
}

#[derive(Debug, Clone)]
enum What {
    Number { point: u32, value: u8, as_int: bool, uncertain: bool },
    Switch { point: u32, on: bool },
    Text { point: u32 },
    Bad { point: u32 },
    Late { point: u32, value: u8 },
    Refreshed,
    Link { up: bool },
    Reload { to: usize },
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        20 => (0..4u32, 0..10u8, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
            |(point, value, as_int, uncertain)| What::Number { point, value, as_int, uncertain }
        ),
        5 => (4..6u32, any::<bool>()).prop_map(|(point, on)| What::Switch { point, on }),
        1 => (0..6u32).prop_map(|point| What::Text { point }),
        3 => (0..6u32).prop_map(|point| What::Bad { point }),
        1 => (0..4u32, 0..10u8).prop_map(|(point, value)| What::Late { point, value }),
        1 => Just(What::Refreshed),
        1 => prop::bool::weighted(0.7).prop_map(|up| What::Link { up }),
        1 => (0..2usize).prop_map(|to| What::Reload { to }),
    ]
}

struct Run {
    plants: [Arc<Plant>; 2],
    engine: Engine,
    now: Now,
    effects: Vec<Effect>,
}

impl Run {
    fn new(plants: &[Arc<Plant>; 2], judges_all: bool) -> Self {
        let now = Now { mono: Mono(1_000), wall: Wall(1_700_000_000_000) };
        let mut effects = Vec::new();
        let mut engine = Engine::new(Arc::clone(&plants[0]), EPOCH, Restored::default(), now, &mut effects);
        engine.judges_all = judges_all;
        engine.handle(Report::Link { source: SourceId(0), link: Link::Up, at: now }, now, &mut effects);
        Self { plants: plants.clone(), engine, now, effects }
    }

    fn step(&mut self, ms: u64, what: &What) {
        let until = self.now.after(std::time::Duration::from_millis(ms));
        while let Some((due, _)) = self.engine.poll_timeout().filter(|(due, _)| *due <= until.mono) {
            self.now = self.now.after(due.since(self.now.mono));
            self.engine.handle_timeout(self.now, &mut self.effects);
        }
        self.now = until;
        let at = self.now;
        let source = SourceId(0);
        let number = |value: u8, as_int: bool| match as_int {
            true => Value::Int(i64::from(value)),
            false => Value::float(f64::from(value)).expect("it is finite"),
        };
        let report = match what {
            What::Number { point, value, as_int, uncertain } => {
                let good = Sample::good(PointId(*point), number(*value, *as_int), at);
                let quality = match uncertain {
                    true => Quality::Uncertain(UncertainReason::Source),
                    false => Quality::Good,
                };
                Report::Sample(Sample { quality, ..good })
            }
            What::Switch { point, on } => Report::Sample(Sample::good(PointId(*point), Value::Bool(*on), at)),
            What::Text { point } => Report::Sample(Sample::good(PointId(*point), Value::text("x"), at)),
            What::Bad { point } => Report::Sample(Sample::bad(PointId(*point), BadReason::DeviceFailure, at)),
            What::Late { point, value } => {
                let good = Sample::good(PointId(*point), number(*value, false), at);
                Report::Sample(Sample { backfill: true, ..good })
            }
            What::Refreshed => Report::Refreshed { source, at },
            What::Link { up: true } => Report::Link { source, link: Link::Up, at },
            What::Link { up: false } => {
                Report::Link { source, link: Link::Down { why: "gone".to_owned() }, at }
            }
            What::Reload { to } => {
                let plant = Arc::clone(&self.plants[*to]);
                return self.engine.reload(plant, at, &mut self.effects);
            }
        };
        self.engine.handle(report, at, &mut self.effects);
    }
}

fn picks() -> impl Strategy<Value = Vec<(usize, u64, u64)>> {
    prop::collection::vec((0..TEXTS.len(), 0..4u64, 0..3u64), 1..8)
}

fn steps() -> impl Strategy<Value = Vec<(u64, What)>> {
    let ms = prop_oneof![3 => Just(0u64), 10 => 1..2_000u64, 1 => 2_000..9_000u64];
    prop::collection::vec((ms, what()), 1..120)
}

fn same<T: PartialEq + Debug>(one: T, other: T) -> Result<(), TestCaseError> {
    prop_assert_eq!(one, other);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn judging_what_is_touched_gives_what_judging_all_gives(
        picks in [picks(), picks()],
        class in prop_oneof![Just(Class::Process), Just(Class::Gas)],
        deadband in prop_oneof![Just(0.0), Just(1.0), Just(0.5)],
        steps in steps(),
    ) {
        let plants = picks.map(|picks| plant(drafted(&picks, class, deadband)));
        let (mut touched, mut all) = (Run::new(&plants, false), Run::new(&plants, true));
        for (ms, what) in &steps {
            touched.step(*ms, what);
            all.step(*ms, what);
            same(&touched.effects, &all.effects)?;
            same(&touched.engine.present.active, &all.engine.present.active)?;
        }
        same(touched.engine.alarms(), all.engine.alarms())?;
        same(touched.engine.hazards(), all.engine.hazards())?;
    }
}
