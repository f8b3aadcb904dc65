//! The engine and the model over the same script, and what each told at each instant.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use proptest::test_runner::TestCaseError;
use riskgate_engine::{
    Act as EngineAct, AlarmRecord, Deed, Effect, Engine, Epoch, HazardRecord, IndicatorRecord, Level, Plant,
    Restored, RiskClass, Running, StopRecord, TaskRecord, UnitRecord,
};
use riskgate_point::{
    BadReason, Condition, Fix, Link, Mono, Now, Permit, PermitKind, PermitStage, PointId, Quality, Report,
    Sample, Sighting, SourceId, Spot, UncertainReason, Value, Wall,
};
use uuid::Uuid;

use crate::alarms::Told;
use crate::generate::Case;
use crate::model::Model;
use crate::site::{DCS, NEAR, NVR, PTW, RTLS, SECOND};
use crate::world::{self, Act, Input};

const EPOCH: Epoch = Epoch(Uuid::from_u128(7));
/// What the wall clock says at zero. What is before that, after it was set back, is read as zero.
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
        |until: Option<Wall>| until.map(|until| u64::try_from((until.0 - WALL) / 1000).unwrap_or(0) * SECOND);
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
        Effect::Record(_) | Effect::Indicator(_) | Effect::Shadow(_) => return None,
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
            Effect::Record(_) | Effect::Shadow(_) => {}
        }
    }

    fn restored(&self, running: Option<Running>) -> Restored {
        Restored {
            alarms: self.alarms.values().cloned().collect(),
            hazards: self.hazards.values().cloned().collect(),
            tasks: self.tasks.values().cloned().collect(),
            units: self.units.values().cloned().collect(),
            stops: self.stops.values().cloned().collect(),
            indicators: self.indicators.clone(),
            shadows: Vec::new(),
            running,
            records: Vec::new(),
        }
    }
}

struct Run {
    plants: [Arc<Plant>; 2],
    plant: usize,
    engine: Engine,
    kept: Kept,
    effects: Vec<Effect>,
    /// What the wall clock was set by, in seconds.
    stepped: i64,
}

fn now(at: u64) -> Now {
    let more = at % SECOND;
    let ns = if more < NEAR { more } else { 1_000_000_000 - (SECOND - more) };
    Now { mono: Mono(at / SECOND * 1_000_000_000 + ns), wall: wall(at) }
}

/// The moment of a time; `None`: it is none.
fn moment(at: Mono) -> Option<u64> {
    let (secs, ns) = (at.0 / 1_000_000_000, at.0 % 1_000_000_000);
    let more = if ns < NEAR { ns } else { SECOND.checked_sub(1_000_000_000 - ns).filter(|of| *of > NEAR)? };
    Some(secs * SECOND + more)
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
        Self { plants, plant: 0, engine, kept: Kept::default(), effects, stepped: 0 }
    }

    fn told(&mut self) -> Told {
        let mut told = Vec::new();
        for effect in std::mem::take(&mut self.effects) {
            if !self.grows_overdue(&effect) {
                told.extend(line(&effect));
            }
            self.kept.keep(&effect);
        }
        told
    }

    /// The model knows no deadlines of rectification.
    fn grows_overdue(&self, effect: &Effect) -> bool {
        let Effect::Hazard(of) = effect else { return false };
        let before = self.kept.hazards.get(&of.id);
        of.overdue.is_some() && before.is_some_and(|before| before.overdue.is_none())
    }

    fn now(&self, at: u64) -> Now {
        let now = now(at);
        Now { wall: Wall(now.wall.0 + self.stepped * 1000), ..now }
    }

    /// When its next deadline is, in moments. `Err`: at none.
    fn next(&self) -> Result<Option<u64>, String> {
        let Some((due, what)) = self.engine.poll_timeout() else { return Ok(None) };
        moment(due).map(Some).ok_or_else(|| format!("a deadline for {what} at {} ns", due.0))
    }

    /// Every deadline of this moment.
    fn pass(&mut self, at: u64) {
        if self.engine.poll_timeout().is_some_and(|(due, _)| due <= now(at).mono) {
            self.engine.handle_timeout(self.now(at), &mut self.effects);
            let next = self.engine.poll_timeout();
            assert!(next.is_none_or(|(next, _)| next > now(at).mono), "it spins: {next:?}");
        }
    }

    fn input(&mut self, input: &Input, at: u64) -> bool {
        let now = self.now(at);
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
            Input::Fix(of) => Report::Fix(Box::new(Fix {
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
            })),
            Input::Sighting { kind, confidence, backfill } => Report::Sighting(Box::new(Sighting {
                source: source(NVR),
                camera: Arc::from("C-1"),
                kind: Arc::from(*kind),
                confidence: f64::from(*confidence) / 100.0,
                source_time: None,
                received: now,
                backfill: *backfill,
            })),
            Input::Condition { origin, active, acknowledged, suppressed, severity } => {
                Report::Condition(Box::new(Condition {
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
                }))
            }
            Input::Told => Report::ConditionsTold { source: source(DCS), at: now },
            Input::Lost => Report::ConditionsLost { source: source(DCS), at: now },
            Input::Permit(of) => Report::Permit(Box::new(Permit {
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
            })),
            Input::Act(act) => return self.act(act, now),
            Input::Step(seconds) => {
                self.stepped += seconds;
                return true;
            }
            Input::Sleep(_) => {
                self.pass(at);
                return true;
            }
            Input::Restart => {
                let plant = Arc::clone(&self.plants[self.plant]);
                let kept = self.kept.restored(self.engine.running(now));
                self.engine = Engine::new(plant, EPOCH, kept, now, &mut self.effects);
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

/// The same told, whatever the order among different objects. `stamped`: and the same times in it.
fn differ(engine: &Told, model: &Told, stamped: bool) -> bool {
    if engine.is_empty() && model.is_empty() {
        return false;
    }
    let unstamped =
        |line: &str| line.split("Some(").map(|of| of.trim_start_matches(char::is_numeric)).collect();
    let sorted = |told: &Told| {
        let mut told = told.clone();
        if !stamped {
            told.iter_mut().for_each(|(_, line)| *line = unstamped(line));
        }
        told.sort_by(|one, other| one.0.cmp(&other.0));
        told
    };
    sorted(engine) != sorted(model)
}

/// Runs a case in both: all that both told. `Err`: the first difference, with all that led to it.
pub(crate) fn run(case: &Case) -> Result<String, String> {
    let (mut run, mut model) = (Run::new(case), Model::new(case.sites.clone(), START));
    let mut log = String::new();
    // A stamp says what the wall clock said, right or wrong, when it was told.
    let stamped = !case.script.iter().any(|(_, input)| matches!(input, Input::Step(_) | Input::Sleep(_)));
    case.sites.iter().for_each(|site| writeln!(log, "{site}").unwrap());
    let look = |run: &mut Run, model: &mut Model, log: &mut String, at: u64, what: &str| {
        let (engine, model) = (run.told(), model.told());
        if !engine.is_empty() || !what.is_empty() {
            writeln!(log, "{at} {what}").unwrap();
        }
        for (of, line) in &engine {
            writeln!(log, "    {of}: {line}").unwrap();
        }
        if differ(&engine, &model, stamped) {
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
        if let Input::Sleep(length) = input {
            let sleeps = at + 1..=at + length;
            // Where windows over windows turn, a few moments around a second.
            let near = |moment: &u64| moment % SECOND < 4 || moment % SECOND >= SECOND - 3;
            sleeps.filter(near).for_each(|moment| model.tick(moment));
            at += length;
        }
        let accepted = (run.input(input, at), model.input(input));
        look(&mut run, &mut model, &mut log, at, &format!("{input:?}"))?;
        if accepted.0 != accepted.1 {
            return Err(format!("{log}accepted by (the engine, the model): {accepted:?}"));
        }
    }
    Ok(log)
}

fn agree(case: &Case) -> Result<(), TestCaseError> {
    run(case).map(|_| ()).map_err(TestCaseError::fail)
}

/// By this name `tests/run --long` leaves them out where nothing is optimised.
mod model_agrees {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    use std::io::Write as _;
    use std::sync::OnceLock;

    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::agree;
    use crate::generate::{About, case, short, stepped};
    use crate::world::Input;

    /// Of each property, without `PROPTEST_CASES`; with it, that many of all together.
    const CASES: u32 = 320;
    /// The scenarios that are restarted at every point count for as many.
    const EACH: u32 = 20;

    /// The short form tries the same cases on every machine, so that a change is what makes it fail; new ones are
    /// what the long form is for, and it says which.
    fn seed(is_long: bool, asked: RngSeed) -> u64 {
        static SEED: OnceLock<u64> = OnceLock::new();
        *SEED.get_or_init(|| match (asked, is_long) {
            (RngSeed::Fixed(seed), _) => seed,
            (RngSeed::Random, false) => 2_026,
            (RngSeed::Random, true) => {
                let seed = RandomState::new().build_hasher().finish();
                // Not by a macro: what a passing test prints is kept back.
                let mut told = std::io::stderr();
                writeln!(told, "the model: PROPTEST_RNG_SEED={seed} tries these cases again").unwrap();
                seed
            }
        })
    }

    /// Of the nth property, whose cases are others than those of the one before.
    fn config(nth: u64, part: u32) -> ProptestConfig {
        let usual = ProptestConfig::default();
        let is_long = std::env::var_os("PROPTEST_CASES").is_some();
        let cases = if is_long { usual.cases.div_ceil(6) } else { CASES };
        let rng_seed = RngSeed::Fixed(seed(is_long, usual.rng_seed).wrapping_add(nth));
        let asked = std::env::var_os("PROPTEST_MAX_SHRINK_ITERS").is_some();
        let max_shrink_iters = if asked { usual.max_shrink_iters } else { 400 };
        ProptestConfig { cases: cases.div_ceil(part), max_shrink_iters, rng_seed, ..usual }
    }

    proptest! {
        #![proptest_config(config(1, 1))]

        #[test]
        fn readings_and_links(case in case(About::Readings)) {
            agree(&case)?;
        }
    }

    proptest! {
        #![proptest_config(config(2, 1))]

        #[test]
        fn acts_of_persons(case in case(About::Acts)) {
            agree(&case)?;
        }
    }

    proptest! {
        #![proptest_config(config(3, 1))]

        #[test]
        fn people_cameras_conditions_and_permits(case in case(About::Places)) {
            agree(&case)?;
        }
    }

    proptest! {
        #![proptest_config(config(4, 1))]

        #[test]
        fn restarts(case in case(About::Restarts)) {
            agree(&case)?;
        }
    }

    proptest! {
        #![proptest_config(config(5, 1))]

        #[test]
        fn reloads(case in case(About::Reloads)) {
            agree(&case)?;
        }
    }

    proptest! {
        #![proptest_config(config(6, 1))]

        #[test]
        fn steps_of_the_wall_clock_and_suspended_machines(case in stepped()) {
            agree(&case)?;
        }
    }

    proptest! {
        #![proptest_config(config(7, EACH))]

        /// What was so before goes on, what waited waits anew, and what was known is unknown until it is told
        /// again.
        #[test]
        fn a_restart_at_every_point_of_a_scenario(case in short()) {
            for at in 0..=case.script.len() {
                let mut restarted = case.clone();
                restarted.script.insert(at, (0, Input::Restart));
                agree(&restarted)?;
            }
        }
    }
}
