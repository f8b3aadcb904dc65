//! A small plant for tests, and timelines as text: inputs and, under them, what came out.
//!
//! A line that is not indented is an input, `TIME WORDS`; an indented line is an effect, with the time at
//! which the engine gave it. [`check`] feeds the inputs, acts on every deadline when it falls due, writes
//! the same text anew and compares.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{
    BadReason, Condition, Fix, Link, Mono, Now, Permit, PermitKind, PermitStage, PointId, Quality, Report,
    Sample, Sighting, SourceId, Spot, UncertainReason, Value, Wall,
};
use uuid::Uuid;

use crate::*;

/// Boot of the test's machine is at zero; its calendar then says this.
const WALL: i64 = 1_700_000_000_000;

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn point(tag: &str, class: Class) -> PointDraft {
    PointDraft {
        tag: tag.to_owned(),
        name: String::new(),
        source: SourceId(0),
        class,
        eu: String::new(),
        words: Vec::new(),
        boolean: false,
        text: false,
        range: Some((0.0, 100.0)),
        deadband: 0.0,
        stale_after: secs(100_000),
        watch: Watched::default(),
    }
}

pub(crate) fn source(id: &str, fixes: bool, sightings: bool) -> SourceDraft {
    let (id, name) = (id.to_owned(), String::new());
    SourceDraft { id, name, fixes, sightings, permits: false, events: None, stale_after: None }
}

pub(crate) fn measure(id: &str, unit: &str) -> MeasureDraft {
    MeasureDraft {
        id: id.to_owned(),
        unit: unit.to_owned(),
        event: "e".to_owned(),
        name: id.to_owned(),
        classify1: "1".to_owned(),
        classify2: "1-1".to_owned(),
        automatic: true,
        ..MeasureDraft::default()
    }
}

pub(crate) fn unit(id: &str) -> UnitDraft {
    UnitDraft {
        id: id.to_owned(),
        name: id.to_owned(),
        hazard_code: "540170007001".to_owned(),
        base: RiskClass::Yellow,
        department: String::new(),
        liable_person: "李".to_owned(),
    }
}

pub(crate) fn rule(id: &str, when: &str) -> RuleDraft {
    RuleDraft {
        id: id.to_owned(),
        measure: "M-1".to_owned(),
        name: format!("规则 {id}"),
        name_en: String::new(),
        priority: Priority::High,
        class: None,
        kind: None,
        when: when.to_owned(),
        for_: Duration::ZERO,
        clear: None,
        clear_for: Duration::ZERO,
        shadow: false,
        latch: false,
        realarm: None,
        guidance: String::new(),
        guidance_en: String::new(),
        hazard: None,
        task: None,
        unit: None,
    }
}

pub(crate) fn task(id: &str, work_type: u8) -> TaskDraft {
    TaskDraft {
        id: id.to_owned(),
        measure: "M-1".to_owned(),
        content: "查".to_owned(),
        cycle: secs(8 * 3600),
        work_type,
        assignee: "zhang".to_owned(),
        ..TaskDraft::default()
    }
}

/// A shorter cycle, and its hold, in seconds.
pub(crate) fn boost(task: &str, cycle: u64, hold: u64) -> TaskEffectDraft {
    TaskEffectDraft {
        task: task.to_owned(),
        change: TaskChange::Cycle { cycle: secs(cycle), hold: secs(hold) },
    }
}

/// To red, held for so many seconds.
pub(crate) fn raise(hold: u64) -> UnitEffectDraft {
    UnitEffectDraft { raise_to: RiskClass::Red, hold: secs(hold) }
}

pub(crate) fn hazard(confirm: Confirm) -> HazardDraft {
    HazardDraft {
        level: Level::General,
        confirm,
        deadline: secs(24 * 3600),
        cause: None,
        raising: Raising::AtOnce,
        reopen_within: None,
    }
}

/// One unit U-1 with a measure each for a level, gas detectors and people; sources plc (points), rtls
/// (fixes), nvr (sightings).
pub(crate) fn draft() -> Draft {
    let level = PointDraft {
        watch: Watched::from(Watch {
            limits: Limits { ll: Some(5.0), l: Some(10.0), h: Some(85.0), hh: Some(95.0) },
            delay: secs(5),
            measure: Some("M-1".to_owned()),
            confirm: Confirm::Auto,
            ..Watch::default()
        }),
        deadband: 2.0,
        eu: "%".to_owned(),
        name: "液位".to_owned(),
        ..point("LI", Class::Process)
    };
    let gas = |tag| PointDraft {
        watch: Watched::from(Watch {
            limits: Limits { h: Some(25.0), hh: Some(50.0), ..Limits::default() },
            measure: Some("M-2".to_owned()),
            ..Watch::default()
        }),
        ..point(tag, Class::Gas)
    };
    Draft {
        company: "540170007".to_owned(),
        gateway: "54017000701".to_owned(),
        patience: Patience::default(),
        time: SiteTime::default(),
        objects: Vec::new(),
        events: Vec::new(),
        persons: Vec::new(),
        sources: vec![source("plc", false, false), source("rtls", true, false), source("nvr", false, true)],
        points: vec![level, gas("GD-1"), gas("GD-2"), point("TI", Class::Process)],
        units: vec![unit("U-1")],
        measures: vec![measure("M-1", "U-1"), measure("M-2", "U-1")],
        tasks: vec![task("T-1", 0), task("T-2", 1)],
        zones: ["Z-1", "Z-2"]
            .map(|id| ZoneDraft {
                id: id.to_owned(),
                name: id.to_owned(),
                unit: "U-1".to_owned(),
                ..ZoneDraft::default()
            })
            .to_vec(),
        cameras: vec![CameraDraft {
            id: "C-1".to_owned(),
            name: "C-1".to_owned(),
            unit: "U-1".to_owned(),
            source: SourceId(2),
        }],
        rules: Vec::new(),
    }
}

/// The plant with these rules and without limits, and beside it dcs, which tells its conditions, and ptw,
/// which carries permits.
pub(crate) fn told(rules: Vec<RuleDraft>) -> Draft {
    let mut draft = ruled(rules);
    draft.sources.push(SourceDraft { events: Some(Class::Process), ..source("dcs", false, false) });
    draft.sources.push(SourceDraft { permits: true, ..source("ptw", false, false) });
    draft
}

/// The plant above with these rules and without limits.
pub(crate) fn ruled(rules: Vec<RuleDraft>) -> Draft {
    let mut draft = draft();
    for point in &mut draft.points {
        point.watch.limits = Limits::default();
        point.watch.measure = None;
    }
    Draft { rules, ..draft }
}

pub(crate) fn plant(draft: Draft) -> Arc<Plant> {
    let (plant, _) = Plant::build(draft).unwrap_or_else(|faults| panic!("{faults:#?}"));
    Arc::new(plant)
}

pub(crate) const EPOCH: Epoch = Epoch(Uuid::from_u128(7));

/// Runs the timeline over the plant and compares.
#[track_caller]
pub(crate) fn check(draft: Draft, timeline: &str) {
    check_all(vec![draft], timeline);
}

/// The same with several plants: `reload N` and `restart N` change to the Nth, from 0.
#[track_caller]
pub(crate) fn check_all(drafts: Vec<Draft>, timeline: &str) {
    let timeline: Vec<&str> = timeline.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut site = Site::new(drafts.into_iter().map(plant).collect());
    if timeline.first() != Some(&"0s cold") {
        site.warm();
    }
    for line in timeline.iter().filter(|line| !line.starts_with(' ')) {
        site.line(line);
    }
    let expected = timeline.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n");
    assert!(site.told.trim_end() == expected, "expected:\n{expected}\n\ncame:\n{}", site.told);
}

pub(crate) struct Site {
    plants: Vec<Arc<Plant>>,
    at: usize,
    pub(crate) engine: Engine,
    kept: Vec<Effect>,
    /// What a history kept.
    samples: Vec<Sample>,
    /// What was counted when it was kept last.
    running: Option<Running>,
    /// The agent does not run.
    off: bool,
    mono: Mono,
    /// What the calendar clock is off by.
    stepped: i64,
    /// The newest value of each point.
    read: BTreeMap<String, String>,
    told: String,
}

impl Site {
    pub(crate) fn new(plants: Vec<Arc<Plant>>) -> Self {
        let now = Now { mono: Mono(0), wall: Wall(WALL) };
        let mut effects = Vec::new();
        let first = Arc::clone(plants.first().unwrap());
        let engine = Engine::new(first, EPOCH, Restored::default(), now, &mut effects);
        Self {
            plants,
            at: 0,
            engine,
            kept: effects,
            samples: Vec::new(),
            running: None,
            off: false,
            mono: Mono(0),
            stepped: 0,
            read: BTreeMap::new(),
            told: String::new(),
        }
    }

    /// Every link up and every point at rest. A timeline that begins with `0s cold` does without.
    pub(crate) fn warm(&mut self) {
        let plant = Arc::clone(self.engine.plant());
        for source in plant.sources() {
            self.input(&["up", &source.id], &mut Vec::new());
            if source.events.is_some() {
                self.input(&["told", &source.id], &mut Vec::new());
            }
        }
        for point in plant.points() {
            let rest = match point.words.first() {
                Some(word) => word,
                None if point.boolean => "false",
                None if point.class == Class::Gas && point.eu == "%VOL" => "20.9",
                None if point.class == Class::Gas => "0",
                None => "50",
            };
            self.input(&[&point.tag, rest], &mut Vec::new());
        }
    }

    /// After a restart: every link comes up, and every point reads what it read last.
    pub(crate) fn warm_again(&mut self) {
        let mut effects = Vec::new();
        let plant = Arc::clone(self.engine.plant());
        for source in plant.sources() {
            self.input(&["up", &source.id], &mut effects);
        }
        for (tag, value) in self.read.clone() {
            self.input(&[&tag, &value], &mut effects);
        }
        self.tell(effects);
    }

    /// Everything that stands, one line each.
    pub(crate) fn standing(&self) -> String {
        let engine = &self.engine;
        let alarms = engine.alarms().into_iter().map(Effect::Alarm);
        let hazards = engine.hazards().into_iter().map(Effect::Hazard);
        let tasks = engine.tasks().into_iter().map(Effect::Task);
        let stops = engine.stops().into_iter().map(Effect::Stop);
        let lines = alarms.chain(hazards).chain(tasks).chain(stops).map(|effect| line(&effect));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn now(&self) -> Now {
        let ms = i64::try_from(self.mono.0 / 1_000_000).unwrap();
        Now { mono: self.mono, wall: Wall(WALL + ms + self.stepped) }
    }

    pub(crate) fn line(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let time = duration(words.next().unwrap());
        let until = Mono(0).after(time);
        assert!(until >= self.mono, "time goes back at: {line}");
        let offered = |site: &Self| site.engine.poll_timeout().filter(|_| !site.off);
        while let Some((due, _)) = offered(self).filter(|(due, _)| *due <= until) {
            self.mono = due.max(self.mono);
            let mut effects = Vec::new();
            self.engine.handle_timeout(self.now(), &mut effects);
            self.tell(effects);
        }
        self.mono = until;
        writeln!(self.told, "{}", line.trim_end()).unwrap();
        let words: Vec<&str> = words.collect();
        let mut effects = Vec::new();
        self.input(&words, &mut effects);
        self.tell(effects);
    }

    fn input(&mut self, words: &[&str], effects: &mut Vec<Effect>) {
        let now = self.now();
        match words {
            [] | ["cold"] => {}
            ["indicators"] => {
                let told = self.engine.indicators().map_or("  none".to_owned(), figures);
                writeln!(self.told, "{told}").unwrap();
            }
            // The machine was suspended: nobody acted on a deadline meanwhile.
            ["sleep", time] => {
                self.mono = self.mono.after(duration(time));
                let now = self.now();
                self.engine.handle_timeout(now, effects);
            }
            ["wall", step] => self.stepped += step.parse::<i64>().unwrap() * 1000,
            // The last that was kept: from here on nothing is known.
            ["stop"] => {
                let points = (0u32..).map(PointId).zip(self.engine.plant().points());
                self.samples.extend(points.map(|(id, _)| Sample::bad(id, BadReason::Stale, now)));
            }
            ["refill"] => self.engine.refill(self.samples.clone()),
            ["off"] => self.off = true,
            ["keep"] => self.running = self.engine.running(now),
            ["restart", at @ ..] => {
                self.off = false;
                self.at = at.first().map_or(self.at, |at| at.parse().unwrap());
                let restored = Restored { running: self.running.clone(), ..restored(&self.kept) };
                let plant = Arc::clone(&self.plants[self.at]);
                self.engine = Engine::new(plant, EPOCH, restored, now, effects);
            }
            ["reload", at] => {
                self.at = at.parse().unwrap();
                self.engine.reload(Arc::clone(&self.plants[self.at]), now, effects);
            }
            [
                deed @ ("ack" | "reset" | "shelve" | "unshelve" | "out" | "in" | "stop" | "start" | "confirm"
                | "reject" | "rectify" | "accept"),
                of @ ..,
            ] => {
                let act = Act { by: "王".to_owned(), deed: self.deed(deed, of) };
                if let Err(refusal) = self.engine.act(&act, now, effects) {
                    let both = refusal.to_string();
                    let (_, english) = both.split_once(" / ").expect("Chinese / English");
                    writeln!(self.told, "  refused: {english}").unwrap();
                }
            }
            ["record", task, status] => {
                let status = match *status {
                    "normal" => CheckStatus::Normal,
                    "hazard" => CheckStatus::Hazard,
                    _ => CheckStatus::Unchecked,
                };
                let deed = Deed::Record { task: (*task).to_owned(), status, why: None };
                let act = Act { by: "王".to_owned(), deed };
                if let Err(refusal) = self.engine.act(&act, now, effects) {
                    let both = refusal.to_string();
                    let (_, english) = both.split_once(" / ").expect("Chinese / English");
                    writeln!(self.told, "  refused: {english}").unwrap();
                }
            }
            words => {
                let report = self.report(words);
                if let (Report::Sample(_), [tag, value, ..]) = (&report, words) {
                    self.read.insert((*tag).to_owned(), (*value).to_owned());
                }
                self.samples.extend(report.sample().cloned());
                self.engine.handle(report, now, effects);
            }
        }
    }

    fn deed(&self, deed: &str, of: &[&str]) -> Deed {
        let (what, why) = (of[0].to_owned(), "检修".to_owned());
        let for_s = || of.get(1).map(|time| duration(time).as_secs());
        match deed {
            "ack" => return Deed::Acknowledge { alarm: what },
            "reset" => return Deed::Reset { alarm: what },
            "shelve" => return Deed::Shelve { alarm: what, for_s: for_s().unwrap_or(0), why },
            "unshelve" => return Deed::Unshelve { alarm: what },
            "out" => return Deed::OutOfService { what, why, for_s: for_s() },
            "in" => return Deed::InService { what },
            "stop" => return Deed::StopUnit { unit: what, why },
            "start" => return Deed::StartUnit { unit: what },
            _ => {}
        }
        let newest = |effect: &Effect| match effect {
            Effect::Hazard(hazard) => (hazard.cause == of[0]).then_some(hazard.id),
            Effect::Alarm(_)
            | Effect::Task(_)
            | Effect::Unit(_)
            | Effect::Record(_)
            | Effect::Stop(_)
            | Effect::Indicator(_)
            | Effect::Shadow(_) => None,
        };
        let hazard = self.kept.iter().rev().find_map(newest).expect("a hazard of that cause");
        let why = of.get(1).map(|why| (*why).to_owned());
        match deed {
            "confirm" => Deed::Confirm { hazard, why },
            "reject" => Deed::Reject { hazard, why: why.unwrap_or_default() },
            "rectify" => Deed::Rectify { hazard, why },
            _ => Deed::Accept { hazard, why },
        }
    }

    fn source(&self, id: &str) -> SourceId {
        let at = self.engine.plant().sources().iter().position(|source| source.id == id);
        SourceId(u16::try_from(at.unwrap_or(99)).unwrap())
    }

    fn report(&self, words: &[&str]) -> Report {
        let at = self.now();
        match words {
            ["up", source] => Report::Link { source: self.source(source), link: Link::Up, at },
            ["down", source] => {
                let link = Link::Down { why: "no answer".to_owned() };
                Report::Link { source: self.source(source), link, at }
            }
            ["alive", source] => Report::Refreshed { source: self.source(source), at },
            ["spot", tag, x, y] => {
                let Report::Fix(fix) = self.fix(tag, "out", &[]) else { unreachable!("a fix") };
                let spot = Some(Spot { x: x.parse().unwrap(), y: y.parse().unwrap(), floor: None });
                Report::Fix(Box::new(Fix { spot, ..*fix }))
            }
            ["fix", tag, zone, more @ ..] => self.fix(tag, zone, more),
            ["saw", camera, kind, confidence] => Report::Sighting(Box::new(Sighting {
                source: self.source("nvr"),
                camera: Arc::from(*camera),
                kind: Arc::from(*kind),
                confidence: confidence.parse().unwrap(),
                source_time: None,
                received: at,
                backfill: false,
            })),
            ["lost", source] => Report::ConditionsLost { source: self.source(source), at },
            ["told", source] => Report::ConditionsTold { source: self.source(source), at },
            ["condition", what, state @ ..] => self.condition(what, state),
            ["permit", id, stage, place, more @ ..] => self.permit(id, stage, place, more),
            [tag, value, more @ ..] => {
                let point = self.engine.plant().point_id(tag).unwrap_or_else(|| panic!("no point {tag}"));
                let mut sample = match (*value, value.parse::<f64>()) {
                    ("bad", _) => Sample::bad(point, BadReason::CommFailure, at),
                    ("true" | "false", _) => Sample::good(point, Value::Bool(*value == "true"), at),
                    (_, Ok(number)) => Sample::good(point, Value::float(number).unwrap(), at),
                    (_, Err(_)) => Sample::good(point, Value::text(value), at),
                };
                for word in more {
                    match *word {
                        "uncertain" => sample.quality = Quality::Uncertain(UncertainReason::OverRange),
                        "backfill" => sample.backfill = true,
                        time => {
                            let told = duration(time.strip_prefix("told=").unwrap());
                            sample.source_time = Some(Wall(WALL).after(told));
                        }
                    }
                }
                Report::Sample(sample)
            }
            words => panic!("what is {words:?}?"),
        }
    }

    /// `fix TAG ZONE PERSON role=guard x=12 sos`: out of all zones where that is `out`.
    fn fix(&self, tag: &str, zone: &str, more: &[&str]) -> Report {
        let value = |key: &str| more.iter().find_map(|word| word.strip_prefix(key));
        let person = more.iter().find(|word| **word != "sos" && !word.contains('='));
        Report::Fix(Box::new(Fix {
            source: self.source("rtls"),
            tag: Arc::from(tag),
            person: person.map(|person| Arc::from(*person)),
            role: value("role=").map(Arc::from),
            zone: (zone != "out").then(|| Arc::from(zone)),
            sos: more.contains(&"sos"),
            spot: value("x=").map(|x| Spot { x: x.parse().unwrap(), y: 0.0, floor: None }),
            source_time: None,
            received: self.now(),
            backfill: false,
        }))
    }

    /// `condition ORIGIN/NAME active suppressed severity=900`: acknowledged unless it says `unacknowledged`.
    fn condition(&self, what: &str, state: &[&str]) -> Report {
        let (origin, name) = what.split_once('/').unwrap_or(("", what));
        let severity = state.iter().find_map(|word| word.strip_prefix("severity="));
        Report::Condition(Box::new(Condition {
            source: self.source("dcs"),
            origin: Arc::from(origin),
            name: Arc::from(name),
            active: state.contains(&"active"),
            acknowledged: !state.contains(&"unacknowledged"),
            suppressed: state.contains(&"suppressed"),
            severity: severity.map_or(500, |severity| severity.parse().unwrap()),
            message: Arc::from("满"),
            source_time: None,
            received: self.now(),
        }))
    }

    /// `permit DH-1 working U-1 from=10s to=60s guardian=li`: of hot work, of no place where that is `-`.
    fn permit(&self, id: &str, stage: &str, place: &str, more: &[&str]) -> Report {
        let wall = |key: &str| {
            let time = more.iter().find_map(|word| word.strip_prefix(key))?;
            Some(Wall(WALL).after(duration(time)))
        };
        Report::Permit(Box::new(Permit {
            source: self.source("ptw"),
            id: Arc::from(id),
            kind: match more {
                _ if more.contains(&"lifting") => PermitKind::Lifting,
                _ if more.contains(&"blind_plate") => PermitKind::BlindPlate,
                _ if more.contains(&"confined_space") => PermitKind::ConfinedSpace,
                _ => PermitKind::HotWork,
            },
            level: None,
            stage: match stage {
                "before" => PermitStage::Before,
                "working" => PermitStage::Working,
                "after" => PermitStage::After,
                _ => panic!("what stage is {stage}?"),
            },
            place: (place != "-").then(|| Arc::from(place)),
            start: wall("from="),
            end: wall("to="),
            guardian: more.iter().find_map(|word| word.strip_prefix("guardian=")).map(Arc::from),
            source_time: wall("told="),
            received: self.now(),
            backfill: more.contains(&"backfill"),
        }))
    }

    fn tell(&mut self, effects: Vec<Effect>) {
        let at = self.mono.since(Mono(0));
        for effect in &effects {
            // They are told each hour: a timeline asks for them.
            if !matches!(effect, Effect::Indicator(_)) {
                writeln!(self.told, "  {} {}", written(at), line(effect)).unwrap();
            }
        }
        self.kept.extend(effects);
    }
}

/// What a store would give back: the newest of each object.
pub(crate) fn restored(effects: &[Effect]) -> Restored {
    let mut kept = Restored::default();
    for effect in effects.iter().rev() {
        match effect {
            Effect::Alarm(of) if kept.alarms.iter().all(|kept| kept.id != of.id) => {
                kept.alarms.push(AlarmRecord::clone(of));
            }
            Effect::Hazard(of) if kept.hazards.iter().all(|kept| kept.id != of.id) => {
                kept.hazards.push(HazardRecord::clone(of));
            }
            Effect::Task(of) if kept.tasks.iter().all(|kept| kept.task != of.task) => {
                kept.tasks.push(TaskRecord::clone(of));
            }
            Effect::Unit(of) if kept.units.iter().all(|kept| kept.unit != of.unit) => {
                kept.units.push(UnitRecord::clone(of));
            }
            Effect::Stop(of) if kept.stops.iter().all(|kept| kept.unit != of.unit) => {
                kept.stops.push(StopRecord::clone(of));
            }
            Effect::Shadow(of) if kept.shadows.iter().all(|kept| kept.rule != of.rule) => {
                kept.shadows.push(ShadowRecord::clone(of));
            }
            Effect::Alarm(_)
            | Effect::Hazard(_)
            | Effect::Task(_)
            | Effect::Unit(_)
            | Effect::Stop(_)
            | Effect::Shadow(_) => {}
            Effect::Record(of) => kept.records.push(CheckRecord::clone(of)),
            Effect::Indicator(of) => {
                kept.indicators = kept.indicators.or_else(|| Some(IndicatorRecord::clone(of)))
            }
        }
    }
    kept
}

fn duration(text: &str) -> Duration {
    if let Some(ms) = text.strip_suffix("ms") {
        return Duration::from_millis(ms.parse().unwrap());
    }
    secs(text.strip_suffix('s').unwrap_or_else(|| panic!("what time is {text}?")).parse().unwrap())
}

fn written(time: Duration) -> String {
    if time.subsec_millis() == 0 { format!("{}s", time.as_secs()) } else { format!("{}ms", time.as_millis()) }
}

/// An effect as one short line.
fn figures(of: &IndicatorRecord) -> String {
    let week = |name: &str, week: &WeekIndicators| {
        let (tasks, hazards) = (&week.tasks, &week.hazards);
        let from = (week.period.start.0 - WALL) / 1000;
        let missed: String = tasks.missed.iter().map(|(task, times)| format!(" {task} x{times}")).collect();
        format!(
            "  {name} from {from}s seen {}s: tasks {}/{}, missed{missed}, suspended {}, unknown {}; hazards {}/{}",
            week.covered_s,
            tasks.done,
            tasks.due,
            tasks.suspended,
            tasks.unknown,
            hazards.accepted,
            hazards.due
        )
    };
    let weeks = of.last.iter().map(|last| week("last", last)).chain([week("week", &of.week)]);
    weeks.collect::<Vec<_>>().join("\n")
}

fn line(effect: &Effect) -> String {
    match effect {
        Effect::Alarm(alarm) => {
            let mut line = format!("alarm {} {} #{}", alarm.id, alarm.state.word(), alarm.episode);
            if alarm.on_unknown {
                line.push_str(" on unknown");
            }
            if !alarm.blinds.is_empty() {
                write!(line, " blinds {}", alarm.blinds.join(" ")).unwrap();
            }
            line.push_str(&covers(alarm));
            line
        }
        Effect::Hazard(hazard) => {
            let mut line = format!("hazard {} {}: {}", hazard.measure, hazard.cause, hazard.stage.word());
            if hazard.rule != hazard.cause {
                write!(line, " by {}", hazard.rule).unwrap();
            }
            if hazard.level == Level::Major {
                line.push_str(" major");
            }
            if hazard.opening > 1 {
                write!(line, " opening {}", hazard.opening).unwrap();
            }
            if hazard.repeats > 0 {
                write!(line, " repeats {}", hazard.repeats).unwrap();
            }
            if hazard.returned.is_some() {
                line.push_str(" returned");
            }
            if hazard.recurrences > 0 {
                write!(line, " recurrence {}", hazard.recurrences).unwrap();
            }
            if hazard.late {
                line.push_str(" late");
            }
            if let Some(overdue) = hazard.overdue {
                write!(line, " overdue since {}s", (overdue.0 - WALL) / 1000).unwrap();
            }
            line
        }
        Effect::Task(task) => {
            let boosts = task.boosts.iter().map(|boost| ending(&boost.rule, boost.until));
            let overdue =
                task.overdue.map_or(String::new(), |at| format!(" overdue since {}s", (at.0 - WALL) / 1000));
            let suspended = if task.suspended.is_some() { " suspended" } else { "" };
            let boosts = boosts.collect::<String>();
            format!("task {} every {}{suspended}{boosts}{overdue}", task.task, written(task.cycle))
        }
        Effect::Record(record) => {
            let of = record.period.map_or(String::new(), |period| {
                format!(" of {}s to {}s", (period.start.0 - WALL) / 1000, (period.end.0 - WALL) / 1000)
            });
            let why = if record.why.is_empty() { String::new() } else { format!(": {}", record.why) };
            format!("record {} {:?} by {}{of}{why}", record.task, record.status, record.by)
        }
        Effect::Unit(unit) => {
            let causes = unit.causes.iter().map(|cause| ending(&cause.rule, cause.until));
            format!("unit {} {:?}{}", unit.unit, unit.current, causes.collect::<String>())
        }
        Effect::Indicator(of) => format!("indicators #{}", of.revision),
        Effect::Stop(stop) => {
            let ended = if stop.ended.is_some() { " ended" } else { "" };
            format!("stop {} #{}{ended}", stop.unit, stop.stop)
        }
        Effect::Shadow(of) => {
            let going_on = if of.since.is_some() { " going on" } else { "" };
            format!("shadow {} #{} {}ms{going_on}", of.rule, of.episodes, of.lasted_ms)
        }
    }
}

/// What lies over an alarm, and what took something off it or annunciated it anew.
fn covers(alarm: &AlarmRecord) -> String {
    let Withheld { shelved, suppressed, out_of_service, hazard } = &alarm.withheld;
    let mut covers = String::new();
    for (on, word) in [
        (shelved.is_some(), " shelved"),
        (suppressed.is_some(), " suppressed"),
        (out_of_service.is_some(), " out of service"),
        (*hazard, " owing"),
    ] {
        covers.push_str(if on { word } else { "" });
    }
    let event = alarm.turn.event;
    let told = [
        AlarmEvent::ReAlarmed,
        AlarmEvent::Unshelved,
        AlarmEvent::ShelfEnded,
        AlarmEvent::UnitStarted,
        AlarmEvent::PutBack,
        AlarmEvent::OutOfServiceEnded,
        AlarmEvent::Reset,
    ];
    if told.contains(&event) {
        write!(covers, ", {}", event.word()).unwrap();
    }
    covers
}

fn ending(rule: &str, until: Option<Wall>) -> String {
    match until {
        None => format!(", {rule}"),
        Some(until) => format!(", {rule} until {}s", (until.0 - WALL) / 1000),
    }
}
