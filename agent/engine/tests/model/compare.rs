//! The engine and the model over the same script, and what each told at each instant.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use riskgate_engine::{
    Act as EngineAct, AlarmRecord, Deed, Effect, Engine, Epoch, HazardRecord, IndicatorRecord, Level, Plant,
    Restored, RiskClass, StopRecord, TaskRecord, UnitRecord,
};
use riskgate_point::{
    BadReason, Condition, Fix, Link, Mono, Now, Permit, PermitKind, PermitStage, PointId, Quality, Report,
    Sample, Sighting, SourceId, Spot, UncertainReason, Value, Wall,
};
use uuid::Uuid;

use crate::alarms::Told;
use crate::generate::{About, Case, case};
use crate::model::Model;
use crate::site::{DCS, NVR, PTW, RTLS, SECOND};
use crate::world::{self, Act, Input};

const EPOCH: Epoch = Epoch(Uuid::from_u128(7));
/// What the wall clock says at zero.
const WALL: i64 = 1_700_000_000_000;
pub(crate) const START: u64 = 1_000 * SECOND;

pub(crate) fn alarm_line(
    state: &str,
    episode: u64,
    event: &str,
    on_unknown: bool,
    withheld: [bool; 4],
) -> String {
    let [shelf, suppressed, out, owing] = withheld;
    format!(
        "{state} #{episode} {event} unknown {on_unknown} shelved {shelf} suppressed {suppressed} out {out} \
         owing {owing}"
    )
}

pub(crate) fn task_line(
    cycle: u64,
    suspended: bool,
    boosts: &[(String, Option<u64>, Option<u64>)],
) -> String {
    let boosts: Vec<_> = boosts.iter().map(|(rule, cycle, until)| (rule, cycle, until.map(second))).collect();
    format!("every {cycle} suspended {suspended} {boosts:?}")
}

pub(crate) fn unit_line(class: RiskClass, causes: &[(String, RiskClass, Option<u64>)]) -> String {
    let causes: Vec<_> = causes.iter().map(|(rule, to, until)| (rule, to, until.map(second))).collect();
    format!("{class:?} {causes:?}")
}

/// Stamps are in milliseconds.
fn second(at: u64) -> u64 {
    at / SECOND
}

/// `None`: what the model does not cover.
fn line(effect: &Effect) -> Option<(String, String)> {
    let until =
        |until: Option<Wall>| until.map(|until| u64::try_from((until.0 - WALL) / 1000).unwrap() * SECOND);
    let told = match effect {
        Effect::Alarm(of) => {
            let over = &of.withheld;
            let withheld = [
                over.shelved.is_some(),
                over.suppressed.is_some(),
                over.out_of_service.is_some(),
                over.hazard,
            ];
            let state = format!("{:?}", of.state);
            let line = alarm_line(&state, of.episode, of.turn.event.word(), of.on_unknown, withheld);
            (format!("alarm {}", of.id), line)
        }
        Effect::Hazard(of) => {
            let HazardRecord { stage, rule, opening, repeats, returned, level, .. } = &**of;
            let (returned, major) = (returned.is_some(), *level == Level::Major);
            assert_eq!(
                of.previous.is_some(),
                *opening > 1,
                "every hazard but the first names the one before"
            );
            let line = format!(
                "{stage:?} by {rule} opening {opening} repeats {repeats} returned {returned} major {major}"
            );
            (format!("hazard {} {}", of.measure, of.cause), line)
        }
        Effect::Task(of) => {
            let boosts: Vec<_> = of
                .boosts
                .iter()
                .map(|of| (of.rule.clone(), of.cycle.map(|cycle| cycle.as_secs() * SECOND), until(of.until)))
                .collect();
            (
                format!("task {}", of.task),
                task_line(of.cycle.as_secs() * SECOND, of.suspended.is_some(), &boosts),
            )
        }
        Effect::Unit(of) => {
            let causes: Vec<_> =
                of.causes.iter().map(|of| (of.rule.clone(), of.raise_to, until(of.until))).collect();
            (format!("unit {}", of.unit), unit_line(of.current, &causes))
        }
        Effect::Stop(of) => {
            let on = if of.ended.is_none() { "on" } else { "over" };
            (format!("stop {}", of.unit), format!("#{} {on}", of.stop))
        }
        Effect::Record(_) | Effect::Indicator(_) => return None,
    };
    Some(told)
}

/// What a store would give back.
#[derive(Default)]
struct Kept {
    alarms: BTreeMap<String, AlarmRecord>,
    hazards: BTreeMap<Uuid, HazardRecord>,
    tasks: BTreeMap<String, TaskRecord>,
    units: BTreeMap<String, UnitRecord>,
    stops: BTreeMap<String, StopRecord>,
    indicators: Option<IndicatorRecord>,
}

impl Kept {
    fn keep(&mut self, effect: &Effect) {
        match effect {
            Effect::Alarm(of) => drop(self.alarms.insert(of.id.clone(), AlarmRecord::clone(of))),
            Effect::Hazard(of) => drop(self.hazards.insert(of.id, HazardRecord::clone(of))),
            Effect::Task(of) => drop(self.tasks.insert(of.task.clone(), TaskRecord::clone(of))),
            Effect::Unit(of) => drop(self.units.insert(of.unit.clone(), UnitRecord::clone(of))),
            Effect::Stop(of) => drop(self.stops.insert(of.unit.clone(), StopRecord::clone(of))),
            Effect::Indicator(of) => self.indicators = Some(IndicatorRecord::clone(of)),
            Effect::Record(_) => {}
        }
    }

    fn restored(&self) -> Restored {
        Restored {
            alarms: self.alarms.values().cloned().collect(),
            hazards: self.hazards.values().cloned().collect(),
            tasks: self.tasks.values().cloned().collect(),
            units: self.units.values().cloned().collect(),
            stops: self.stops.values().cloned().collect(),
            indicators: self.indicators.clone(),
        }
    }
}

struct Run {
    plants: [Arc<Plant>; 2],
    plant: usize,
    engine: Engine,
    kept: Kept,
    effects: Vec<Effect>,
}

fn now(at: u64) -> Now {
    Now { mono: Mono(at / SECOND * 1_000_000_000 + at % SECOND), wall: wall(at) }
}

fn wall(at: u64) -> Wall {
    Wall(WALL).after(Duration::from_secs(at / SECOND))
}

impl Run {
    fn new(case: &Case) -> Self {
        let plants = [case.sites[0].plant(), case.sites[1].plant()];
        let mut effects = Vec::new();
        let engine =
            Engine::new(Arc::clone(&plants[0]), EPOCH, Restored::default(), now(START), &mut effects);
        Self { plants, plant: 0, engine, kept: Kept::default(), effects }
    }

    fn told(&mut self) -> Told {
        let effects = std::mem::take(&mut self.effects);
        effects.iter().for_each(|effect| self.kept.keep(effect));
        effects.iter().filter_map(line).collect()
    }

    /// When its next deadline is, in moments. `Err`: at none.
    fn next(&self) -> Result<Option<u64>, String> {
        let Some((due, what)) = self.engine.poll_timeout() else { return Ok(None) };
        let (secs, more) = (due.0 / 1_000_000_000, due.0 % 1_000_000_000);
        if more >= SECOND {
            return Err(format!("a deadline for {what} {more} ns after {secs} s"));
        }
        Ok(Some(secs * SECOND + more))
    }

    /// Every deadline of this moment.
    fn pass(&mut self, at: u64) {
        if self.engine.poll_timeout().is_some_and(|(due, _)| due <= now(at).mono) {
            self.engine.handle_timeout(now(at), &mut self.effects);
            let next = self.engine.poll_timeout();
            assert!(next.is_none_or(|(next, _)| next > now(at).mono), "it spins: {next:?}");
        }
    }

    fn input(&mut self, input: &Input, at: u64) -> bool {
        let now = now(at);
        let source = |at: usize| SourceId(u16::try_from(at).unwrap());
        let report = match input {
            Input::Read(of) => {
                let point = PointId(u32::try_from(of.point).unwrap());
                let good = |value| Sample::good(point, value, now);
                let mut sample = match of.value {
                    world::Value::Bad => Sample::bad(point, BadReason::CommFailure, now),
                    world::Value::Number(number) => good(Value::float(number).unwrap()),
                    world::Value::Switch(on) => good(Value::Bool(on)),
                    world::Value::Word(word) => good(Value::text(word)),
                };
                if of.uncertain && !sample.quality.is_bad() {
                    sample.quality = Quality::Uncertain(UncertainReason::OverRange);
                }
                sample.source_time = of.told.map(wall);
                sample.backfill = of.backfill;
                Report::Sample(sample)
            }
            Input::Link { source: of, up } => {
                let link = if *up { Link::Up } else { Link::Down { why: "gone".to_owned() } };
                Report::Link { source: source(*of), link, at: now }
            }
            Input::Refreshed(of) => Report::Refreshed { source: source(*of), at: now },
            Input::Fix(of) => Report::Fix(Fix {
                source: source(RTLS),
                tag: Arc::from(of.tag),
                person: of.person.map(Arc::from),
                role: of.role.map(Arc::from),
                zone: of.zone.map(Arc::from),
                sos: of.sos,
                spot: of.spot.map(|x| Spot { x, y: 0.0, floor: None }),
                source_time: of.told.map(wall),
                received: now,
                backfill: of.backfill,
            }),
            Input::Sighting { kind, confidence, backfill } => Report::Sighting(Sighting {
                source: source(NVR),
                camera: Arc::from("C-1"),
                kind: Arc::from(*kind),
                confidence: f64::from(*confidence) / 100.0,
                source_time: None,
                received: now,
                backfill: *backfill,
            }),
            Input::Condition { origin, active, acknowledged, suppressed, severity } => {
                Report::Condition(Condition {
                    source: source(DCS),
                    origin: Arc::from(format!("T{origin}")),
                    name: Arc::from("HH"),
                    active: *active,
                    acknowledged: *acknowledged,
                    suppressed: *suppressed,
                    severity: *severity,
                    message: Arc::from(""),
                    source_time: None,
                    received: now,
                })
            }
            Input::Told => Report::ConditionsTold { source: source(DCS), at: now },
            Input::Lost => Report::ConditionsLost { source: source(DCS), at: now },
            Input::Permit(of) => Report::Permit(Permit {
                source: source(PTW),
                id: Arc::from(of.id.to_string()),
                kind: if of.lifting { PermitKind::Lifting } else { PermitKind::HotWork },
                level: None,
                stage: [PermitStage::Before, PermitStage::Working, PermitStage::After][usize::from(of.stage)],
                place: of.place.map(Arc::from),
                start: of.start.map(wall),
                end: of.end.map(wall),
                guardian: of.guardian.map(Arc::from),
                source_time: None,
                received: now,
                backfill: false,
            }),
            Input::Act(act) => return self.act(act, now),
            Input::Restart => {
                let plant = Arc::clone(&self.plants[self.plant]);
                self.engine = Engine::new(plant, EPOCH, self.kept.restored(), now, &mut self.effects);
                self.pass(at);
                return true;
            }
            Input::Reload(to) => {
                self.plant = *to;
                self.engine.reload(Arc::clone(&self.plants[*to]), now, &mut self.effects);
                return true;
            }
        };
        self.engine.handle(report, now, &mut self.effects);
        true
    }

    fn act(&mut self, act: &Act, now: Now) -> bool {
        let hazard = |nth: &usize| self.engine.hazards().get(*nth).map_or(Uuid::nil(), |hazard| hazard.id);
        let why = "检修".to_owned();
        let deed = match act {
            Act::Acknowledge(alarm) => Deed::Acknowledge { alarm: alarm.clone() },
            Act::Reset(alarm) => Deed::Reset { alarm: alarm.clone() },
            Act::Confirm(nth) => Deed::Confirm { hazard: hazard(nth), why: None },
            Act::Reject(nth) => Deed::Reject { hazard: hazard(nth), why },
            Act::Rectify(nth) => Deed::Rectify { hazard: hazard(nth), why: None },
            Act::Accept(nth) => Deed::Accept { hazard: hazard(nth), why: None },
            Act::Shelve(alarm, length) => Deed::Shelve { alarm: alarm.clone(), for_s: length / SECOND, why },
            Act::Unshelve(alarm) => Deed::Unshelve { alarm: alarm.clone() },
            Act::TakeOut(what, length) => {
                let for_s = length.map(|length| length / SECOND);
                Deed::OutOfService { what: what.clone(), why, for_s }
            }
            Act::PutBack(what) => Deed::InService { what: what.clone() },
            Act::Stop(unit) => Deed::StopUnit { unit: (*unit).to_owned(), why },
            Act::Start(unit) => Deed::StartUnit { unit: (*unit).to_owned() },
        };
        self.engine.act(&EngineAct { by: "王".to_owned(), deed }, now, &mut self.effects).is_ok()
    }
}

/// The same told, whatever the order among different objects.
fn differ(engine: &Told, model: &Told) -> bool {
    let sorted = |told: &Told| {
        let mut told = told.clone();
        told.sort_by(|one, other| one.0.cmp(&other.0));
        told
    };
    sorted(engine) != sorted(model)
}

/// Runs a case in both; `Err`: the first difference, with all that led to it.
pub(crate) fn run(case: &Case) -> Result<usize, String> {
    let (mut run, mut model) = (Run::new(case), Model::new(case.sites.clone(), START));
    let mut log = String::new();
    let mut n_told = 0;
    case.sites.iter().for_each(|site| writeln!(log, "{site}").unwrap());
    let mut look = |run: &mut Run, model: &mut Model, log: &mut String, at: u64, what: &str| {
        let (engine, model) = (run.told(), model.told());
        if !engine.is_empty() || !what.is_empty() {
            writeln!(log, "{at} {what}").unwrap();
        }
        for (of, line) in &engine {
            writeln!(log, "    {of}: {line}").unwrap();
        }
        n_told += engine.len();
        if differ(&engine, &model) {
            writeln!(log, "  the model at {at} {what}").unwrap();
            for (of, line) in &model {
                writeln!(log, "    {of}: {line}").unwrap();
            }
            return Err(std::mem::take(log));
        }
        Ok(())
    };
    look(&mut run, &mut model, &mut log, START, "")?;
    let mut at = START;
    for (pause, input) in &case.script {
        let until = at + pause;
        while at < until {
            // The model looks at each second, and between two when the engine does.
            let second = (at / SECOND + 1) * SECOND;
            let due = run.next().map_err(|why| format!("{log}{why}"))?;
            at = due.filter(|due| *due > at).map_or(second, |due| due.min(second));
            run.pass(at);
            model.tick(at);
            look(&mut run, &mut model, &mut log, at, "")?;
        }
        let accepted = (run.input(input, at), model.input(input));
        look(&mut run, &mut model, &mut log, at, &format!("{input:?}"))?;
        if accepted.0 != accepted.1 {
            return Err(format!("{log}accepted by (the engine, the model): {accepted:?}"));
        }
    }
    Ok(n_told)
}

/// In each of the five properties.
const CASES: u32 = 400;

fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { usual.cases.div_ceil(5) } else { CASES };
    ProptestConfig { cases, max_shrink_iters: 400, ..usual }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn readings_and_links(case in case(About::Readings)) {
        run(&case).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn acts_of_persons(case in case(About::Acts)) {
        run(&case).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn people_cameras_conditions_and_permits(case in case(About::Places)) {
        run(&case).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn restarts(case in case(About::Restarts)) {
        run(&case).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn reloads(case in case(About::Reloads)) {
        run(&case).map_err(TestCaseError::fail)?;
    }
}
