//! What holds whatever comes in.

mod shadow;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use proptest::prelude::*;
use riskgate_point::{
    BadReason, Condition, Fix, Link, Mono, Now, Permit, PermitKind, PermitStage, PointId, Report, Sample,
    Sighting, SourceId, Value, Wall,
};
use uuid::Uuid;

use super::{Engine, Restored};
use crate::plant::Plant;
use crate::site::{EPOCH, draft, hazard, plant, restored, rule, secs, told};
use crate::*;

/// One thing that happens, after `ms` more milliseconds.
#[derive(Debug, Clone)]
struct Step {
    ms: u64,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Nothing,
    Sample {
        point: u32,
        value: Option<u8>,
        told: Option<i64>,
        backfill: bool,
    },
    Link {
        source: u16,
        up: bool,
    },
    Refreshed {
        source: u16,
    },
    Fix {
        tag: u8,
        zone: u8,
    },
    Sighting {
        confidence: u8,
    },
    Condition {
        origin: u8,
        active: bool,
        acknowledged: bool,
        suppressed: bool,
        severity: u16,
    },
    Lost {
        source: u16,
    },
    Told {
        source: u16,
    },
    /// It begins and ends so many seconds from now.
    Permit {
        id: u8,
        stage: u8,
        place: u8,
        start: Option<i64>,
        end: Option<i64>,
    },
    /// The nth of what is open is acted on in this way.
    Act {
        nth: usize,
        deed: u8,
    },
    WallSteps(i64),
    Reload {
        to: usize,
    },
}

fn what() -> impl Strategy<Value = What> {
    let value = prop_oneof![4 => (0..=100u8).prop_map(Some), 1 => Just(None)];
    let told = prop_oneof![3 => Just(None), 1 => (0..100i64).prop_map(Some)];
    let backfill = prop::bool::weighted(0.05);
    prop_oneof![
        2 => Just(What::Nothing),
        // One more than there are.
        12 => (0..5u32, value, told, backfill)
            .prop_map(|(point, value, told, backfill)| What::Sample { point, value, told, backfill }),
        2 => (0..6u16, any::<bool>()).prop_map(|(source, up)| What::Link { source, up }),
        1 => (0..6u16).prop_map(|source| What::Refreshed { source }),
        2 => (0..4u8, 0..4u8).prop_map(|(tag, zone)| What::Fix { tag, zone }),
        1 => (0..=100u8).prop_map(|confidence| What::Sighting { confidence }),
        2 => (0..3u8, any::<bool>(), any::<bool>(), any::<bool>(), 1..=1000u16).prop_map(
            |(origin, active, acknowledged, suppressed, severity)| {
                What::Condition { origin, active, acknowledged, suppressed, severity }
            }
        ),
        1 => (2..5u16).prop_map(|source| What::Told { source }),
        1 => (2..5u16).prop_map(|source| What::Lost { source }),
        2 => (0..3u8, 0..3u8, 0..4u8, prop::option::of(-30..60i64), prop::option::of(-30..120i64)).prop_map(
            |(id, stage, place, start, end)| What::Permit { id, stage, place, start, end }
        ),
        6 => (0..5usize, 0..15u8).prop_map(|(nth, deed)| What::Act { nth, deed }),
        1 => (-100_000..100_000i64).prop_map(What::WallSteps),
        1 => prop_oneof![Just(86_400_000i64), Just(-86_400_000i64)].prop_map(What::WallSteps),
        1 => (0..2usize).prop_map(|to| What::Reload { to }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ms = prop_oneof![60 => 0..3_000u64, 30 => 3_000..70_000u64, 1 => 3_600_000..4_000_000u64];
    prop::collection::vec((ms, what()).prop_map(|(ms, what)| Step { ms, what }), 1..60)
}

/// Two plants: the second has other points first, a rule less and a rule with another text.
fn drafts() -> [Draft; 2] {
    let cycle = TaskChange::Cycle { cycle: secs(600), hold: secs(30) };
    let rules = vec![
        RuleDraft {
            for_: secs(3),
            clear_for: secs(5),
            hazard: Some(hazard(Confirm::Auto)),
            task: Some(TaskEffectDraft { task: "T-1".to_owned(), change: cycle }),
            ..rule(
                "leak",
                "at_least(2, {GD-1} >= 25, {GD-2} >= 25) or ({GD-1} >= 25 and maybe(people('U-1') > 0))",
            )
        },
        RuleDraft {
            hazard: Some(HazardDraft { cause: Some("hot".to_owned()), ..hazard(Confirm::Person) }),
            unit: Some(UnitEffectDraft { raise_to: RiskClass::Red, hold: secs(10) }),
            latch: true,
            realarm: Some(secs(90)),
            ..rule("hot", "avg({TI}, 30s) > 80")
        },
        RuleDraft {
            hazard: Some(HazardDraft {
                cause: Some("hot".to_owned()),
                level: Level::Major,
                ..hazard(Confirm::Auto)
            }),
            task: Some(TaskEffectDraft { task: "T-2".to_owned(), change: TaskChange::OnceWithin(secs(60)) }),
            priority: Priority::Critical,
            ..rule("smoke", "seen('U-1', 'smoke', confidence = 0.5, window = 20s) and {TI} > 30")
        },
        rule("crowd", "held(people('Z-1') > 1, 5s) or bad({TI})"),
        RuleDraft {
            for_: secs(1),
            clear_for: secs(2),
            hazard: Some(hazard(Confirm::Auto)),
            realarm: Some(secs(30)),
            ..rule("trip", "condition('dcs', 'HH', severity = 300) and {TI} > 20")
        },
        RuleDraft {
            hazard: Some(hazard(Confirm::Person)),
            ..rule("fire-work", "permit('U-1', 'hot_work') and maybe(seen('U-1', 'smoke'))")
        },
        rule(
            "mute",
            "held(condition('dcs', 'T0/HH', state = 'suppressed'), 3s) or not permit('U-1', 'hot_work')",
        ),
    ];
    let mut first = Draft { rules, ..draft() };
    first.sources.extend(told(Vec::new()).sources.split_off(3));
    first.points.iter_mut().for_each(|point| point.stale_after = secs(20));
    first.sources[1].stale_after = Some(secs(30));
    // One source with both points and fixes.
    first.points[3].source = SourceId(1);
    let mut second = first.clone();
    second.points.reverse();
    second.zones.reverse();
    second.sources.swap(3, 4);
    second.rules.remove(0);
    second.rules[0].when = "avg({TI}, 20s) > 70".to_owned();
    [first, second]
}

static PLANTS: LazyLock<[Arc<Plant>; 2]> = LazyLock::new(|| drafts().map(plant));

struct Run {
    plants: [Arc<Plant>; 2],
    engine: Engine,
    now: Now,
    effects: Vec<Effect>,
}

impl Run {
    fn new() -> Self {
        Self::over(&PLANTS)
    }

    fn over(plants: &[Arc<Plant>; 2]) -> Self {
        let plants = plants.clone();
        let now = Now { mono: Mono(1_000), wall: Wall(1_700_000_000_000) };
        let mut effects = Vec::new();
        let engine = Engine::new(Arc::clone(&plants[0]), EPOCH, Restored::default(), now, &mut effects);
        Self { plants, engine, now, effects }
    }

    /// Time passes, and every deadline is acted on when it falls due, as the loop around the engine does.
    fn pass(&mut self, ms: u64) {
        let until = self.now.after(Duration::from_millis(ms));
        while let Some((due, _)) = self.engine.poll_timeout().filter(|(due, _)| *due <= until.mono) {
            self.now = self.now.after(due.since(self.now.mono));
            self.engine.handle_timeout(self.now, &mut self.effects);
            assert!(self.engine.poll_timeout().is_none_or(|(next, _)| next > due), "it spins");
        }
        self.now = until;
    }

    fn step(&mut self, step: &Step) {
        self.pass(step.ms);
        self.act(&step.what);
    }

    fn act(&mut self, what: &What) {
        let at = self.now;
        let report = match what {
            What::Nothing => return,
            What::Sample { point, value, told, backfill } => {
                let point = PointId(*point);
                let sample = match value {
                    Some(value) => Sample::good(point, Value::float(f64::from(*value)).unwrap(), at),
                    None => Sample::bad(point, BadReason::DeviceFailure, at),
                };
                Report::Sample(Sample { source_time: told.map(Wall), backfill: *backfill, ..sample })
            }
            What::Link { source, up } => {
                let link = if *up { Link::Up } else { Link::Down { why: "gone".to_owned() } };
                Report::Link { source: SourceId(*source), link, at }
            }
            What::Refreshed { source } => Report::Refreshed { source: SourceId(*source), at },
            What::Fix { tag, zone } => Report::Fix(Box::new(Fix {
                source: SourceId(1),
                tag: Arc::from(tag.to_string()),
                person: (*tag > 1).then(|| Arc::from("li")),
                role: None,
                zone: (*zone > 0).then(|| Arc::from(format!("Z-{zone}"))),
                sos: false,
                spot: None,
                source_time: None,
                received: at,
                backfill: false,
            })),
            What::Sighting { confidence } => Report::Sighting(Box::new(Sighting {
                source: SourceId(2),
                camera: Arc::from("C-1"),
                kind: Arc::from("smoke"),
                confidence: f64::from(*confidence) / 100.0,
                source_time: None,
                received: at,
                backfill: false,
            })),
            What::Condition { origin, active, acknowledged, suppressed, severity } => {
                Report::Condition(Box::new(Condition {
                    source: self.source("dcs"),
                    origin: Arc::from(format!("T{origin}")),
                    name: Arc::from("HH"),
                    active: *active,
                    acknowledged: *acknowledged,
                    suppressed: *suppressed,
                    severity: *severity,
                    message: Arc::from(""),
                    source_time: None,
                    received: at,
                }))
            }
            What::Lost { source } => Report::ConditionsLost { source: SourceId(*source), at },
            What::Told { source } => Report::ConditionsTold { source: SourceId(*source), at },
            What::Permit { .. } => self.permit(what),
            What::Act { nth, deed } => return self.deed(*nth, *deed),
            What::WallSteps(ms) => {
                self.now.wall = Wall(self.now.wall.0 + ms);
                return;
            }
            What::Reload { to } => {
                return self.engine.reload(Arc::clone(&self.plants[*to]), at, &mut self.effects);
            }
        };
        self.engine.handle(report, at, &mut self.effects);
    }

    fn permit(&self, what: &What) -> Report {
        let What::Permit { id, stage, place, start, end } = what else { panic!("{what:?}") };
        let at = self.now;
        let wall = |seconds: Option<i64>| seconds.map(|seconds| Wall(at.wall.0 + seconds * 1000));
        Report::Permit(Box::new(Permit {
            source: self.source("ptw"),
            id: Arc::from(id.to_string()),
            kind: PermitKind::HotWork,
            level: None,
            stage: [PermitStage::Before, PermitStage::Working, PermitStage::After][usize::from(*stage)],
            place: [None, Some("U-1"), Some("Z-1"), Some("U-9")][usize::from(*place)].map(Arc::from),
            start: wall(*start),
            end: wall(*end),
            guardian: None,
            source_time: None,
            received: at,
            backfill: false,
        }))
    }

    fn source(&self, id: &str) -> SourceId {
        let at = self.engine.plant().sources().iter().position(|source| source.id == id);
        SourceId(u16::try_from(at.expect("it is there")).expect("few"))
    }

    fn deed(&mut self, nth: usize, deed: u8) {
        let hazard = self.engine.hazards().get(nth).map_or(Uuid::nil(), |hazard| hazard.id);
        let alarm = self.engine.alarms().get(nth).map_or(String::new(), |alarm| alarm.id.clone());
        let rules = self.engine.plant().rules();
        let rule = rules.get(nth).map_or(String::new(), |rule| rule.id().to_owned());
        let (why, unit) = ("检修".to_owned(), "U-1".to_owned());
        let for_s = [60, 1800, 7200, 28_800, 28_801][nth];
        let deed = match deed {
            0 => Deed::Acknowledge { alarm },
            5 => Deed::Reset { alarm },
            6 => Deed::Shelve { alarm, for_s, why },
            7 => Deed::Shelve { alarm: rule, for_s, why },
            8 => Deed::Unshelve { alarm },
            9 => Deed::OutOfService { what: rule, why, for_s: (nth > 1).then_some(for_s) },
            10 => Deed::OutOfService { what: "GD-1".to_owned(), why, for_s: None },
            11 => Deed::InService { what: alarm },
            12 => Deed::InService { what: "GD-1".to_owned() },
            13 => Deed::StopUnit { unit, why },
            14 => Deed::StartUnit { unit },
            1 => Deed::Confirm { hazard, why: None },
            2 => Deed::Reject { hazard, why: "steam".to_owned() },
            3 => Deed::Rectify { hazard, why: None },
            _ => Deed::Accept { hazard, why: None },
        };
        let before = self.effects.len();
        let done = self.engine.act(&Act { by: "王".to_owned(), deed }, self.now, &mut self.effects);
        assert_eq!(done.is_ok(), self.effects.len() > before, "a refusal changes nothing, an act something");
    }

    /// All that can be seen of an engine from outside.
    fn seen(&self) -> String {
        serde_json::to_string(&(self.shown(), self.engine.poll_timeout())).unwrap()
    }

    /// What it knows and tells, without when it wants to be asked again.
    fn shown(&self) -> String {
        let points: Vec<_> = self.engine.points().collect();
        let everything = (
            (points, self.engine.sources(), self.engine.people(self.now.mono), self.engine.unjudged()),
            (self.engine.alarms(), self.engine.hazards(), self.engine.tasks(), self.engine.units()),
            (self.engine.stops(), self.engine.quality(self.now.mono), self.engine.unwatched()),
        );
        serde_json::to_string(&everything).unwrap()
    }
}

/// The revision of an effect's object and what names it.
fn revision(effect: &Effect) -> (String, u64) {
    match effect {
        Effect::Alarm(of) => (format!("alarm {}", of.id), of.revision),
        Effect::Hazard(of) => (format!("hazard {}", of.id), of.revision),
        Effect::Task(of) => (format!("task {}", of.task), of.revision),
        Effect::Unit(of) => (format!("unit {}", of.unit), of.revision),
        Effect::Record(of) => (format!("record {}", of.id), of.revision),
        Effect::Stop(of) => (format!("stop {}", of.unit), of.revision),
        Effect::Indicator(of) => ("indicators".to_owned(), of.revision),
        Effect::Shadow(of) => (format!("shadow {}", of.rule), of.revision),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_same_inputs_give_byte_equal_effects(steps in steps()) {
        let run = || {
            let mut run = Run::new();
            steps.iter().for_each(|step| run.step(step));
            serde_json::to_vec(&run.effects).unwrap()
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn all_evidence_gives_its_verdict_again(steps in steps()) {
        let mut run = Run::over(&shadow::SHADED);
        steps.iter().for_each(|step| run.step(step));
        for effect in &run.effects {
            let evidence = match effect {
                Effect::Alarm(alarm) => &alarm.evidence,
                Effect::Hazard(hazard) => &hazard.evidence,
                Effect::Shadow(shadow) => match &shadow.evidence {
                    Some(evidence) => evidence,
                    None => continue,
                },
                Effect::Task(_) | Effect::Unit(_) | Effect::Stop(_) | Effect::Record(_) | Effect::Indicator(_) => continue,
            };
            let again: Evidence = serde_json::from_str(&serde_json::to_string(evidence).unwrap()).unwrap();
            let expected = match &evidence.reason {
                None if evidence.rule.starts_with("fault:source:") => Err(Irreplayable::NoCondition),
                _ => Ok(None),
            };
            prop_assert_eq!(replay(&again), expected, "{:#?}", evidence);
        }
    }

    #[test]
    fn a_deadline_that_was_not_offered_is_not_acted_on(steps in steps()) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
            let before = (run.seen(), run.effects.len());
            // Up to just before the next deadline nothing is due.
            let last = run.engine.poll_timeout().map_or(Mono(u64::MAX), |(due, _)| Mono(due.0 - 1));
            if last >= run.now.mono {
                let now = run.now;
                run.engine.handle_timeout(now, &mut run.effects);
                prop_assert_eq!(&before, &(run.seen(), run.effects.len()));
            }
        }
    }

    #[test]
    fn a_late_turn_of_the_loop_changes_no_verdict(steps in steps()) {
        // Time passes, but deadlines are acted on only when the next report comes in.
        let (mut prompt, mut late) = (Run::new(), Run::new());
        let verdicts = |run: &Run| -> Vec<(String, u64)> { run.effects.iter().map(revision).collect() };
        // Acts are not judged by time: whoever acts, acts on what is shown.
        let timed = |step: &&Step| !matches!(step.what, What::Act { .. } | What::WallSteps(_) | What::Nothing);
        for step in steps.iter().filter(timed) {
            prompt.step(step);
            late.now = late.now.after(Duration::from_millis(step.ms));
            late.act(&step.what);
            prop_assert_eq!(verdicts(&prompt), verdicts(&late));
        }
    }

    #[test]
    fn there_is_at_most_one_open_hazard_for_each_measure_and_cause(steps in steps()) {
        let mut run = Run::new();
        let mut newest: BTreeMap<Uuid, Arc<HazardRecord>> = BTreeMap::new();
        let mut told = 0;
        for step in &steps {
            run.step(step);
            for effect in run.effects.iter().skip(told) {
                if let Effect::Hazard(hazard) = effect {
                    newest.insert(hazard.id, Arc::clone(hazard));
                    let same = |of: &&Arc<HazardRecord>| {
                        of.stage.is_open() && of.measure == hazard.measure && of.cause == hazard.cause
                    };
                    prop_assert!(newest.values().filter(same).count() <= 1);
                }
            }
            told = run.effects.len();
        }
    }

    #[test]
    fn revisions_of_an_object_count_up_by_one(steps in steps()) {
        let mut run = Run::new();
        steps.iter().for_each(|step| run.step(step));
        let mut newest: BTreeMap<String, u64> = BTreeMap::new();
        for effect in &run.effects {
            let (object, revision) = revision(effect);
            let before = newest.insert(object, revision).unwrap_or(0);
            prop_assert_eq!(revision, before + 1);
        }
    }

    #[test]
    fn a_limit_alarm_ends_only_when_something_is_read_or_the_plant_changes(steps in steps()) {
        let mut run = Run::new();
        for step in &steps {
            let before = run.effects.len();
            run.step(step);
            let may_end = matches!(
                step.what,
                What::Sample { value: Some(_), .. } | What::Refreshed { .. } | What::Reload { .. } | What::Act { .. }
            );
            for effect in run.effects.iter().skip(before) {
                if let Effect::Alarm(alarm) = effect {
                    let ends = alarm.turn.event == AlarmEvent::Cleared;
                    prop_assert!(may_end || alarm.kind != AlarmKind::Limit || !ends);
                }
            }
        }
    }

    #[test]
    fn an_open_hazard_has_returned_when_and_only_when_nothing_of_its_cause_is_active(steps in steps()) {
        let mut run = Run::new();
        for step in steps.iter().filter(|step| !matches!(step.what, What::Reload { .. })) {
            run.step(step);
            let alarms = run.engine.alarms();
            // An episode whose hazard is withheld is none to its hazard.
            let tells = |alarm: &AlarmRecord| alarm.state.is_active() && !alarm.withheld.hazard;
            let active = |id: &str| alarms.iter().any(|alarm| alarm.id == id && tells(alarm));
            for hazard in run.engine.hazards() {
                let raises = |rule: &&Rule| {
                    rule.measure() == Some(hazard.measure.as_str())
                        && rule.hazard.as_ref().is_some_and(|plan| plan.cause == hazard.cause)
                };
                let by_rule = run.engine.plant().rules().iter().filter(raises).any(|rule| active(rule.id()));
                let source = hazard.cause.strip_prefix("fault:").map(|id| format!("fault:source:{id}"));
                // A source that is lost again joins its hazards an hour later.
                let by_source = source.is_some_and(|fault| active(&fault));
                let is_active = by_rule || by_source || active(&hazard.cause);
                prop_assert!(is_active || hazard.returned.is_some(), "{hazard:?}");
                prop_assert!(by_source || !is_active || hazard.returned.is_none(), "{hazard:?}");
            }
        }
    }

    #[test]
    fn a_restart_changes_nothing_and_loses_nothing(steps in steps()) {
        let mut run = Run::new();
        for step in steps.iter().filter(|step| !matches!(step.what, What::Reload { .. })) {
            run.step(step);
        }
        let mut effects = Vec::new();
        let kept = restored(&run.effects);
        let engine = Engine::new(Arc::clone(&run.plants[0]), EPOCH, kept, run.now, &mut effects);
        prop_assert_eq!(effects, vec![]);
        prop_assert_eq!(engine.alarms(), run.engine.alarms());
        prop_assert_eq!(engine.hazards(), run.engine.hazards());
        prop_assert_eq!(engine.tasks(), run.engine.tasks());
        prop_assert_eq!(engine.units(), run.engine.units());
        prop_assert_eq!(engine.stops(), run.engine.stops());
    }

    #[test]
    fn no_shelf_outlives_its_length_nor_silences_what_nobody_may(steps in steps()) {
        let mut run = Run::new();
        let mut began: BTreeMap<String, Mono> = BTreeMap::new();
        for step in &steps {
            let before = run.effects.len();
            run.step(step);
            for effect in run.effects.iter().skip(before) {
                if let Effect::Alarm(alarm) = effect
                    && alarm.turn.event == AlarmEvent::Shelved
                {
                    began.insert(alarm.id.clone(), run.now.mono);
                }
            }
            for alarm in run.engine.alarms() {
                if alarm.withheld.suppressed.is_some() {
                    prop_assert!(matches!(alarm.class, Class::Process | Class::Equipment), "{alarm:?}");
                }
                let Some(shelf) = &alarm.withheld.shelved else { continue };
                // Whatever the wall clock was set to meanwhile.
                let asked = Duration::from_millis(u64::try_from(shelf.until.0 - shelf.since.0).unwrap());
                prop_assert!(asked <= SHELF_MAX && run.now.mono.since(began[&alarm.id]) < asked, "{alarm:?}");
                let outer_gas = alarm.class == Class::Gas && alarm.priority == Priority::Critical;
                prop_assert!(alarm.class != Class::Sis && (!outer_gas || alarm.kind == AlarmKind::Fault));
            }
        }
    }
}
