//! The plant that cases vary: few of everything, so that what happens meets.

use std::sync::Arc;
use std::time::Duration;

use riskgate_engine::{
    CameraDraft, Class, Confirm, Draft, HazardDraft, Item, Level, Limits, MeasureDraft, Patience, Plant,
    PointDraft, Priority, Raising, RiskClass, RuleDraft, Severity, SourceDraft, TaskChange, TaskDraft,
    TaskEffectDraft, UnitDraft, UnitEffectDraft, ZoneDraft,
};
use riskgate_point::SourceId;

use crate::language::Cond;

/// Time is counted in moments, so many of each second: the second itself, and the nanoseconds after and before it.
/// The first after it is when a window has been unknown for more than it may be, the next when a window over that
/// has; and what began late by one ends early by one. Inputs come at the second; all lengths are whole seconds.
pub(crate) const SECOND: u64 = 64;
/// So many moments of a second are those after it, and the others those before the next.
pub(crate) const NEAR: u64 = 32;

/// The points: three numbers, one that is on or off, two more numbers of the class gas, one of words, one more
/// that is on or off. The first three are of the source plc, the others of the source skid.
pub(crate) const TAGS: [&str; 8] = ["LI", "TI", "PI", "XV", "GD-1", "GD-2", "MODE", "XS"];
pub(crate) const FAULTS_OF_POINTS: [&str; 8] =
    ["fault:LI", "fault:TI", "fault:PI", "fault:XV", "fault:GD-1", "fault:GD-2", "fault:MODE", "fault:XS"];
pub(crate) const NUMBERS: [usize; 5] = [0, 1, 2, 4, 5];
pub(crate) const SWITCHES: [usize; 2] = [3, 7];
pub(crate) const MODE: usize = 6;
pub(crate) const WORDS: [&str; 2] = ["auto", "manual"];

pub(crate) const SOURCES: [&str; 6] = ["plc", "skid", "rtls", "nvr", "dcs", "ptw"];
pub(crate) const FAULTS_OF_SOURCES: [&str; 6] = [
    "fault:source:plc",
    "fault:source:skid",
    "fault:source:rtls",
    "fault:source:nvr",
    "fault:source:dcs",
    "fault:source:ptw",
];
pub(crate) const RTLS: usize = 2;
pub(crate) const NVR: usize = 3;
pub(crate) const DCS: usize = 4;
pub(crate) const PTW: usize = 5;
pub(crate) const ZONES: [&str; 2] = ["Z-1", "Z-2"];

/// What differs from case to case.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) points: [Point; 8],
    /// Of the feeds rtls, nvr, ptw: how long they may be silent.
    pub(crate) silence: [Option<u64>; 3],
    /// Of process and equipment, and until a source lost is a hazard.
    pub(crate) patience: u64,
    pub(crate) source_hazard: u64,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub(crate) class: Class,
    /// LL, L, H, HH.
    pub(crate) limits: [Option<f64>; 4],
    pub(crate) deadband: f64,
    pub(crate) delay: u64,
    pub(crate) stale_after: u64,
    pub(crate) measure: Option<&'static str>,
    pub(crate) auto: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) measure: &'static str,
    pub(crate) priority: Priority,
    pub(crate) class: Option<Class>,
    pub(crate) when: Cond,
    pub(crate) for_: u64,
    pub(crate) clear: Option<Cond>,
    pub(crate) clear_for: u64,
    pub(crate) latch: bool,
    pub(crate) realarm: Option<u64>,
    pub(crate) hazard: Option<Hazard>,
    pub(crate) task: Option<Boost>,
    /// To what its unit is raised, and for how long after.
    pub(crate) raise: Option<(RiskClass, u64)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Hazard {
    pub(crate) cause: Option<&'static str>,
    pub(crate) auto: bool,
    pub(crate) major: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Boost {
    pub(crate) task: &'static str,
    /// A cycle and how long it is held after, or else one more within the time.
    pub(crate) cycle: Result<(u64, u64), u64>,
}

pub(crate) const LIMITS: [&str; 4] = ["LL", "L", "H", "HH"];

/// (id, its base cycle, workType)
pub(crate) const TASKS: [(&str, u64, u8); 2] = [("T-1", 600 * SECOND, 0), ("T-2", 900 * SECOND, 1)];

pub(crate) fn unit_of(measure: &str) -> &'static str {
    if measure == "M-3" { "U-2" } else { "U-1" }
}

pub(crate) fn source_of(point: usize) -> usize {
    usize::from(point > 2)
}

fn secs(of: u64) -> Duration {
    Duration::from_secs(of / SECOND)
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { points, silence, patience, source_hazard, rules } = self;
        writeln!(f, "site: silence {silence:?} patience {patience} source_hazard {source_hazard}")?;
        for (tag, point) in TAGS.iter().zip(points) {
            let Point { class, limits, deadband, delay, stale_after, measure, auto } = point;
            writeln!(
                f,
                "  {tag} {class:?} limits {limits:?} deadband {deadband} delay {delay} stale_after \
                 {stale_after} measure {measure:?} auto {auto}"
            )?;
        }
        for rule in rules {
            let Rule { id, measure, priority, class, when, for_, clear, clear_for, .. } = rule;
            let Rule { latch, realarm, hazard, task, raise, .. } = rule;
            let clear = clear.as_ref().map(ToString::to_string);
            writeln!(f, "  {id} of {measure} {priority:?} {class:?}: {when} for {for_}")?;
            writeln!(f, "    clear {clear:?} for {clear_for} latch {latch} realarm {realarm:?}")?;
            writeln!(f, "    {hazard:?} {task:?} raise {raise:?}")?;
        }
        Ok(())
    }
}

impl Site {
    /// Without the rules that no configuration may have, as those that could never return to normal.
    pub(crate) fn sieved(mut self) -> Self {
        while let Err(faults) = Plant::build(self.draft()) {
            let refused = faults.iter().filter(|fault| fault.severity == Severity::Error);
            let at = refused.map(|fault| match fault.item {
                Item::Rule(at) => at,
                _ => panic!("{faults:#?}"),
            });
            let at = at.min().unwrap();
            self.rules.remove(at);
        }
        self
    }

    pub(crate) fn plant(&self) -> Arc<Plant> {
        match Plant::build(self.draft()) {
            Ok((plant, _)) => Arc::new(plant),
            Err(faults) => panic!("{faults:#?}"),
        }
    }

    fn draft(&self) -> Draft {
        let points = self.points.iter().enumerate().map(|(at, point)| point.draft(at));
        let source = |(at, id): (usize, &&str)| SourceDraft {
            id: (*id).to_owned(),
            name: String::new(),
            fixes: at == RTLS,
            sightings: at == NVR,
            permits: at == PTW,
            events: (at == DCS).then_some(Class::Process),
            stale_after: match at {
                RTLS => self.silence[0].map(secs),
                NVR => self.silence[1].map(secs),
                PTW => self.silence[2].map(secs),
                _ => None,
            },
        };
        let unit = |id: &str| UnitDraft {
            id: id.to_owned(),
            name: id.to_owned(),
            hazard_code: "540170007001".to_owned(),
            base: RiskClass::Yellow,
            department: String::new(),
            liable_person: "李".to_owned(),
        };
        let measure = |id: &str| MeasureDraft {
            id: id.to_owned(),
            unit: unit_of(id).to_owned(),
            event: "e".to_owned(),
            name: id.to_owned(),
            classify1: "1".to_owned(),
            classify2: "1-1".to_owned(),
            automatic: true,
            ..MeasureDraft::default()
        };
        let task = |(id, cycle, work_type): (&str, u64, u8)| TaskDraft {
            id: id.to_owned(),
            measure: "M-1".to_owned(),
            content: "查".to_owned(),
            cycle: secs(cycle),
            work_type,
            assignee: "zhang".to_owned(),
            ..TaskDraft::default()
        };
        let zone = |id: &str| ZoneDraft {
            id: id.to_owned(),
            name: id.to_owned(),
            unit: "U-1".to_owned(),
            ..ZoneDraft::default()
        };
        Draft {
            company: "540170007".to_owned(),
            gateway: "54017000701".to_owned(),
            patience: Patience {
                strict: Duration::from_secs(10),
                usual: secs(self.patience),
                source_hazard: secs(self.source_hazard),
                ..Patience::default()
            },
            sources: SOURCES.iter().enumerate().map(source).collect(),
            points: points.collect(),
            units: ["U-1", "U-2"].map(unit).to_vec(),
            measures: ["M-1", "M-2", "M-3"].map(measure).to_vec(),
            tasks: TASKS.map(task).to_vec(),
            zones: ZONES.map(zone).to_vec(),
            cameras: vec![CameraDraft {
                id: "C-1".to_owned(),
                name: "C-1".to_owned(),
                unit: "U-1".to_owned(),
                source: SourceId(u16::try_from(NVR).unwrap()),
            }],
            rules: self.rules.iter().map(Rule::draft).collect(),
            ..Draft::default()
        }
    }
}

impl Point {
    fn draft(&self, at: usize) -> PointDraft {
        let [ll, l, h, hh] = self.limits;
        PointDraft {
            tag: TAGS[at].to_owned(),
            name: String::new(),
            source: SourceId(u16::try_from(source_of(at)).unwrap()),
            class: self.class,
            eu: String::new(),
            words: if at == MODE { WORDS.map(str::to_owned).to_vec() } else { Vec::new() },
            boolean: SWITCHES.contains(&at),
            text: false,
            range: NUMBERS.contains(&at).then_some((0.0, 100.0)),
            limits: Limits { ll, l, h, hh },
            deadband: self.deadband,
            delay: secs(self.delay),
            stale_after: secs(self.stale_after),
            measure: self.measure.map(str::to_owned),
            confirm: if self.auto { Confirm::Auto } else { Confirm::Person },
            guidance: String::new(),
        }
    }
}

impl Rule {
    fn draft(&self) -> RuleDraft {
        let change = |boost: &Boost| match boost.cycle {
            Ok((cycle, hold)) => TaskChange::Cycle { cycle: secs(cycle), hold: secs(hold) },
            Err(within) => TaskChange::OnceWithin(secs(within)),
        };
        RuleDraft {
            id: self.id.clone(),
            measure: self.measure.to_owned(),
            name: self.id.clone(),
            name_en: String::new(),
            priority: self.priority,
            class: self.class,
            kind: None,
            when: self.when.to_string(),
            for_: secs(self.for_),
            clear: self.clear.as_ref().map(Cond::to_string),
            clear_for: secs(self.clear_for),
            latch: self.latch,
            realarm: self.realarm.map(secs),
            guidance: String::new(),
            guidance_en: String::new(),
            shadow: false,
            hazard: self.hazard.as_ref().map(|hazard| HazardDraft {
                level: if hazard.major { Level::Major } else { Level::General },
                confirm: if hazard.auto { Confirm::Auto } else { Confirm::Person },
                deadline: Duration::from_hours(24),
                cause: hazard.cause.map(str::to_owned),
                raising: Raising::AtOnce,
                reopen_within: None,
            }),
            task: self
                .task
                .as_ref()
                .map(|boost| TaskEffectDraft { task: boost.task.to_owned(), change: change(boost) }),
            unit: self.raise.map(|(raise_to, hold)| UnitEffectDraft { raise_to, hold: secs(hold) }),
        }
    }
}
