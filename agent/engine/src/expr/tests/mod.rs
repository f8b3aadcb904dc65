//! The language as its users see it: through [`compile`] and programs, on a small plant.

mod code;
mod faults;
mod logic;
mod over_time;
mod past;
mod properties;
mod replay;
mod slow_model;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{BadReason, Mono, Now, PointId, Quality, UncertainReason, Value, Wall};

use super::functions::FUNCTIONS;
use super::*;

/// Tags, their eu, what they read, and their deadband. The place is the id.
const POINTS: &[(&str, &str, Reading, f64)] = &[
    ("GD-101", "%LEL", Reading::Number, 1.0),
    ("GD-102", "%LEL", Reading::Number, 1.0),
    ("GD-103", "%LEL", Reading::Number, 1.0),
    ("TI-101", "℃", Reading::Number, 0.5),
    ("PI-101", "kPa", Reading::Number, 0.0),
    ("ESD-1", "", Reading::Bool, 0.0),
    ("ESD-2", "", Reading::Bool, 0.0),
    ("P-101", "", Reading::Words, 0.0),
    ("BATCH", "", Reading::Text, 0.0),
    ("a}b.c/d", "", Reading::Number, 0.0),
];

#[derive(Clone, Copy)]
enum Reading {
    Number,
    Bool,
    Words,
    Text,
}

struct Plant;

impl Names for Plant {
    fn point(&self, tag: &str) -> Option<PointName> {
        let place = POINTS.iter().position(|(name, ..)| *name == tag)?;
        let (_, eu, reading, deadband) = POINTS[place];
        let kind = match reading {
            Reading::Number => PointKind::Number,
            Reading::Bool => PointKind::Bool,
            Reading::Words => PointKind::Words(Arc::from(["stopped".to_owned(), "running".to_owned()])),
            Reading::Text => PointKind::Text,
        };
        Some(PointName { id: PointId(u32::try_from(place).unwrap()), eu: Arc::from(eu), kind, deadband })
    }

    fn place(&self, id: &str) -> Option<Place> {
        let zones: &[u32] = match id {
            "tank-a" => &[1],
            "tank-area" => &[0, 1],
            "office" => &[],
            _ => return None,
        };
        Some(Place { zones: Arc::from(zones) })
    }

    fn everywhere(&self) -> Place {
        Place { zones: Arc::from([0, 1, 2]) }
    }

    fn unit_cameras(&self, unit: &str) -> Option<Arc<[u32]>> {
        match unit {
            "tank-area" => Some(Arc::from([2, 3])),
            "office" => Some(Arc::from([])),
            _ => None,
        }
    }

    fn unit(&self, id: &str) -> Option<u32> {
        ["tank-area", "office"].iter().position(|unit| *unit == id).map(|at| u32::try_from(at).unwrap())
    }

    fn unit_of_zone(&self, zone: &str) -> Option<&str> {
        (zone == "tank-a").then_some("tank-area")
    }

    fn source(&self, id: &str) -> Option<(SourceId, bool)> {
        match id {
            "dcs" => Some((SourceId(4), true)),
            "rtls" => Some((SourceId(5), false)),
            _ => None,
        }
    }

    fn condition_sources(&self) -> Vec<&str> {
        vec!["dcs"]
    }

    fn rule(&self, id: &str) -> Option<u32> {
        ["GD-101/H", "tank-a-leak"].iter().position(|rule| *rule == id).map(|at| u32::try_from(at).unwrap())
    }

    fn rules(&self) -> Vec<&str> {
        vec!["GD-101/H", "tank-a-leak"]
    }

    fn tags(&self) -> Vec<&str> {
        POINTS.iter().map(|(tag, ..)| *tag).collect()
    }

    fn places(&self) -> Vec<&str> {
        vec!["tank-a", "tank-area", "office"]
    }

    fn units(&self) -> Vec<&str> {
        vec!["tank-area", "office"]
    }
}

/// A present that a test sets by hand.
#[derive(Default)]
struct Present {
    points: BTreeMap<PointId, (Option<Value>, Quality, Option<Now>)>,
    /// On which side of its last value a bad point may be.
    beyond: Option<Beyond>,
    people: Option<u32>,
    /// The newest sighting; `None`: none since the start.
    sighted: Option<Mono>,
    camera_down: bool,
    condition: Option<Condition>,
    untold: bool,
    /// A ticket in work, and its end.
    ticket: Option<(Permit, Mono)>,
    permits_down: bool,
    /// What is so of people in a place, and of a rule.
    place: Option<Truth>,
    rule: Option<Truth>,
    asked: RefCell<Vec<String>>,
}

impl Present {
    fn set(&mut self, tag: &str, value: Value, at: Mono) {
        self.put(tag, Some(value), Quality::Good, at);
    }

    fn number(&mut self, tag: &str, value: f64, at: Mono) {
        self.set(tag, Value::float(value).unwrap(), at);
    }

    fn bad(&mut self, tag: &str, reason: BadReason, at: Mono) {
        self.put(tag, None, Quality::Bad(reason), at);
    }

    fn put(&mut self, tag: &str, value: Option<Value>, quality: Quality, at: Mono) {
        let id = Plant.point(tag).unwrap().id;
        self.points.insert(id, (value, quality, Some(now(at))));
    }
}

impl World for Present {
    fn point(&self, id: PointId) -> PointNow<'_> {
        let Some((value, quality, received)) = self.points.get(&id) else {
            let quality = Quality::Bad(BadReason::NeverRead);
            return PointNow { value: None, beyond: None, quality, received: None, source_time: None };
        };
        let beyond = self.beyond.filter(|_| quality.is_bad());
        PointNow { value: value.as_ref(), beyond, quality: *quality, received: *received, source_time: None }
    }

    fn people(&self, zones: &[u32], role: Option<&str>) -> Option<u32> {
        self.asked.borrow_mut().push(format!("people {zones:?} {role:?}"));
        self.people
    }

    fn present(&self, zones: &[u32], role: Option<&str>, _: Mono) -> (Option<u32>, Option<Mono>) {
        self.asked.borrow_mut().push(format!("present {zones:?} {role:?}"));
        (self.people, None)
    }

    fn place(&self, zones: &[u32], asked: AskedPlace, _: Mono) -> (Truth, Option<Mono>) {
        self.asked.borrow_mut().push(format!("place {zones:?} {asked:?}"));
        (self.place.unwrap_or(Truth::Unknown), None)
    }

    fn active(&self, rule: u32) -> Truth {
        self.asked.borrow_mut().push(format!("active {rule}"));
        self.rule.unwrap_or(Truth::Unknown)
    }

    fn seen(
        &self,
        cameras: &[u32],
        kind: &str,
        (times, confidence): (u32, f64),
        window: Duration,
        now: Mono,
    ) -> (Truth, Option<Mono>) {
        self.asked.borrow_mut().push(format!("seen {cameras:?} {kind} {times}x{confidence} {window:?}"));
        match self.sighted.map(|at| at.after(window)) {
            _ if self.camera_down => (Truth::Unknown, None),
            Some(until) if until > now => (Truth::True, Some(until)),
            Some(_) | None => (Truth::False, None),
        }
    }

    fn condition(&self, asked: &AskedCondition) -> (Truth, Option<&Condition>) {
        let AskedCondition { source, name, state, severity } = asked;
        self.asked.borrow_mut().push(format!("condition {} {name} {state:?} {severity}", source.0));
        if self.untold {
            return (Truth::Unknown, None);
        }
        (Truth::from(self.condition.is_some()), self.condition.as_ref())
    }

    fn permit(&self, unit: u32, kind: PermitKind, now: Mono) -> Permitted<'_> {
        self.asked.borrow_mut().push(format!("permit {unit} {kind:?}"));
        if self.permits_down {
            return Permitted { truth: Truth::Unknown, until: None, ticket: None };
        }
        match &self.ticket {
            Some((permit, end)) if now < *end => {
                Permitted { truth: Truth::True, until: Some(*end), ticket: Some(permit) }
            }
            Some(_) | None => Permitted { truth: Truth::False, until: None, ticket: None },
        }
    }
}

fn condition() -> Condition {
    Condition {
        source: SourceId(4),
        origin: Arc::from("LIA-101"),
        name: Arc::from("HighHigh"),
        active: true,
        acknowledged: false,
        suppressed: false,
        severity: 900,
        message: Arc::from("液位高高"),
        source_time: Some(Wall(7)),
        received: now(sec(0)),
    }
}

fn ticket() -> Permit {
    Permit {
        source: SourceId(5),
        id: Arc::from("DH-7"),
        kind: PermitKind::HotWork,
        level: Some(1),
        stage: riskgate_point::PermitStage::Working,
        place: Some(Arc::from("tank-a")),
        start: None,
        end: Some(Wall(99)),
        guardian: None,
        source_time: Some(Wall(8)),
        received: now(sec(0)),
        backfill: false,
    }
}

fn now(at: Mono) -> Now {
    Now { mono: at, wall: Wall(i64::try_from(at.0 / 1_000_000).unwrap()) }
}

/// Milliseconds since the start of the test, which is not the boot of the machine.
fn ms(millis: u64) -> Mono {
    Mono(1_000_000_000_000 + millis * 1_000_000)
}

fn sec(seconds: u64) -> Mono {
    ms(seconds * 1_000)
}

#[track_caller]
fn program(text: &str) -> Program {
    match compile(text, &Plant) {
        Ok((program, _)) => program,
        Err(faults) => panic!("{text}\n{}", shown(text, &faults)),
    }
}

/// A program with its memory, judged as the engine would.
struct Judge {
    program: Program,
    memory: Memory,
}

impl Judge {
    #[track_caller]
    fn new(text: &str) -> Self {
        Self::of(program(text))
    }

    fn of(program: Program) -> Self {
        Self { memory: program.memory(), program }
    }

    fn at(&mut self, at: Mono, world: &Present) -> Truth {
        self.program.eval(&mut self.memory, world, at)
    }

    fn next(&self, at: Mono) -> Option<Mono> {
        self.memory.next_change(at)
    }
}

/// The verdict on a text with no past.
#[track_caller]
fn verdict(text: &str, world: &Present) -> Truth {
    Judge::new(text).at(sec(0), world)
}

/// Faults as a person would read them: the bytes in brackets, then what is wrong.
fn shown(text: &str, faults: &[ExprFault]) -> String {
    let line = |fault: &ExprFault| {
        let place = text.get(fault.span.clone()).expect("a span on character bounds");
        let mark = if fault.severity == Severity::Warning { "warning: " } else { "" };
        let hint = fault.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
        format!("{}[{place}] {mark}{}{hint}", fault.span.start, fault.message)
    };
    faults.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_index_holds_every_function_and_its_examples_compile() {
    for function in FUNCTIONS {
        let found = compile(function.example, &Plant);
        assert!(found.is_ok_and(|(_, warnings)| warnings.is_empty()), "{}", function.example);
        assert!(function.usage.starts_with(&format!("{}(", function.name)), "{}", function.usage);
        assert!(function.example.contains(function.name), "{}", function.example);
    }
}

/// One part of a play: what becomes so.
fn set(world: &mut Present, what: &str, value: &str, at: Mono) {
    let truth = match value {
        "on" => Some(Truth::True),
        "off" => Some(Truth::False),
        _ => None,
    };
    match (what, value) {
        ("people", number) => world.people = Some(number.parse().unwrap()),
        ("place", _) => world.place = truth,
        ("rule", _) => world.rule = truth,
        ("camera", "down") => world.camera_down = true,
        ("camera", _) => world.sighted = Some(at),
        ("condition", "down") => world.untold = true,
        ("condition", _) => world.condition = (value == "on").then(condition),
        ("permit", "down") => world.permits_down = true,
        ("permit", _) => {
            world.ticket = (value == "on").then(|| (ticket(), at.after(Duration::from_hours(1))))
        }
        (tag, "bad") => world.bad(tag, BadReason::CommFailure, at),
        (tag, "stale") => world.bad(tag, BadReason::Stale, at),
        (tag, "on" | "off") => world.set(tag, Value::Bool(value == "on"), at),
        (tag, number) => world.number(tag, number.parse().unwrap(), at),
    }
}

#[test]
fn the_plays_of_the_index_come_true() {
    for function in FUNCTIONS {
        let (mut judge, mut world) = (Judge::new(function.example), Present::default());
        let mut told = 0;
        for part in function.play.split(';') {
            let (before, verdict) = part
                .split_once("=>")
                .map_or((part, None), |(before, verdict)| (before, Some(verdict.trim())));
            let mut words = before.split_whitespace();
            let time = words.next().unwrap();
            let (number, unit) = time.split_at(time.len() - 1);
            let seconds = number.parse::<u64>().unwrap() * if unit == "m" { 60 } else { 1 };
            for word in words {
                let (what, value) = word.split_once('=').unwrap();
                set(&mut world, what, value, sec(seconds));
            }
            let came = match judge.at(sec(seconds), &world) {
                Truth::True => "true",
                Truth::False => "false",
                Truth::Unknown => "unknown",
            };
            if let Some(verdict) = verdict {
                told += 1;
                assert_eq!(came, verdict, "{}: {part}", function.example);
            }
        }
        assert!(told >= 2, "{} shows too little", function.name);
    }
}

#[test]
fn the_module_says_what_each_function_means() {
    let module = include_str!("../mod.rs");
    for function in FUNCTIONS {
        let row = format!("//! | `{}` | {} |\n", function.usage, function.en);
        assert!(module.contains(&row), "missing: {row}");
        assert!(!function.zh.is_empty());
    }
    assert_eq!(module.matches("//! | `").count(), FUNCTIONS.len());
}

#[test]
fn the_rule_of_the_design_compiles() {
    let gas = ["GD-101", "GD-102", "GD-103"];
    let limits = gas.map(|tag| format!("{{{tag}}} >= 25")).join(", ");
    let when = format!("at_least(2, {limits}) or (at_least(1, {limits}) and maybe(people('tank-a') > 0))");
    let clear = gas.map(|tag| format!("max({{{tag}}}, 1m) < 20")).join(" and ");
    for text in [when, clear] {
        let (program, warnings) = compile(&text, &Plant).unwrap();
        assert_eq!(warnings, []);
        assert_eq!(program.reads().points, [0, 1, 2].map(PointId));
    }
}
