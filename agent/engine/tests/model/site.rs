//! The plant that cases vary: few of everything, so that what happens meets.

use std::sync::Arc;
use std::time::Duration;

use riskgate_engine::{
    CameraDraft, Class, Confirm, Draft, Given, HazardDraft, Item, KindDraft, Level, Limits, MeasureDraft,
    Patience, Plant, PointDraft, Priority, Raising, RiskClass, RuleDraft, Severity, SourceDraft, TaskChange,
    TaskDraft, TaskEffectDraft, UnitDraft, UnitEffectDraft, Watch, Watched, ZoneDraft, kind,
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
    /// All that is configured stands in the other order.
    pub(crate) reversed: bool,
    /// The agent writes the records of M-3, of which T-3 is then the task.
    pub(crate) records: bool,
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
    /// As which `when` is written, and with what keys.
    pub(crate) kind: Option<(&'static str, Vec<(&'static str, Given)>)>,
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
    pub(crate) raising: When,
}

/// When an episode raises its hazard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum When {
    AtOnce,
    /// It has lasted for as long.
    After(u64),
    /// It is one of so many within the time.
    Repeats(usize, u64),
}

#[derive(Debug, Clone)]
pub(crate) struct Boost {
    pub(crate) task: &'static str,
    /// A cycle and how long it is held after, or else one more within the time.
    pub(crate) cycle: Result<(u64, u64), u64>,
}

pub(crate) const LIMITS: [&str; 4] = ["LL", "L", "H", "HH"];

/// (id, its base cycle, workType)
pub(crate) const TASKS: [(&str, u64, u8); 3] =
    [("T-1", 600 * SECOND, 0), ("T-2", 900 * SECOND, 1), ("T-3", RECORDED, 0)];
/// The cycle of T-3.
pub(crate) const RECORDED: u64 = 30 * SECOND;

/// What the wall clock says at zero, in milliseconds; what is before that, after it was set back, is read as zero.
/// Cycles of tasks, which go by it, end at the half of a second: never in one instant with anything else.
pub(crate) const WALL: i64 = 1_700_000_000_500;

pub(crate) fn unit_of(measure: &str) -> &'static str {
    if measure == "M-3" { "U-2" } else { "U-1" }
}

pub(crate) fn measure_of(task: &str) -> &'static str {
    if task == "T-3" { "M-3" } else { "M-1" }
}

/// When the cycle of T-3 began that a moment lies in.
pub(crate) fn cycle_of(at: u64) -> u64 {
    let half = SECOND / 2;
    let before = u64::try_from(WALL).unwrap() / 500;
    let cycle = RECORDED / half;
    ((before + at / half) / cycle * cycle).saturating_sub(before) * half
}

pub(crate) fn source_of(point: usize) -> usize {
    usize::from(point > 2)
}

fn secs(of: u64) -> Duration {
    Duration::from_secs(of / SECOND)
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { points, silence, reversed, records, patience, source_hazard, rules } = self;
        writeln!(f, "site: silence {silence:?} patience {patience} source_hazard {source_hazard}")?;
        writeln!(f, "  reversed {reversed} records {records}")?;
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
            let Rule { latch, realarm, hazard, task, raise, kind, .. } = rule;
            let clear = clear.as_ref().map(ToString::to_string);
            writeln!(f, "  {id} of {measure} {priority:?} {class:?}: {when} for {for_}")?;
            writeln!(f, "    clear {clear:?} for {clear_for} latch {latch} realarm {realarm:?}")?;
            writeln!(f, "    {hazard:?} {task:?} raise {raise:?} {kind:?}")?;
        }
        Ok(())
    }
}

impl Site {
    /// Without the rules that no configuration may have, as those that could never return to normal.
    pub(crate) fn sieved(mut self) -> Self {
        while let Err(faults) = Plant::build(self.in_order()) {
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

    /// The tasks that there are.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = (&'static str, u64, u8)> {
        let records = self.records;
        TASKS.into_iter().filter(move |(id, ..)| records || *id != "T-3")
    }

    fn draft(&self) -> Draft {
        let mut draft = self.in_order();
        if self.reversed {
            let last = u16::try_from(SOURCES.len() - 1).unwrap();
            draft.points.iter_mut().for_each(|point| point.source = SourceId(last - point.source.0));
            draft.cameras.iter_mut().for_each(|camera| camera.source = SourceId(last - camera.source.0));
            let Draft { sources, points, units, measures, tasks, zones, rules, .. } = &mut draft;
            sources.reverse();
            points.reverse();
            units.reverse();
            measures.reverse();
            tasks.reverse();
            zones.reverse();
            rules.reverse();
        }
        draft
    }

    fn in_order(&self) -> Draft {
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
            auto_record: self.records && id == "M-3",
            ..MeasureDraft::default()
        };
        let task = |(id, cycle, work_type): (&str, u64, u8)| TaskDraft {
            id: id.to_owned(),
            measure: measure_of(id).to_owned(),
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
            tasks: self.tasks().map(task).collect(),
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
            deadband: self.deadband,
            stale_after: secs(self.stale_after),
            watch: Watched::from(Watch {
                limits: Limits { ll, l, h, hh },
                delay: secs(self.delay),
                measure: self.measure.map(str::to_owned),
                confirm: if self.auto { Confirm::Auto } else { Confirm::Person },
                guidance: String::new(),
            }),
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
            kind: self.kind.as_ref().map(|(name, given)| KindDraft {
                kind: kind(name).unwrap_or_else(|near| panic!("no kind {name}: {near:?}")),
                given: given.clone(),
            }),
            when: if self.kind.is_some() { String::new() } else { self.when.to_string() },
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
                raising: match hazard.raising {
                    When::AtOnce => Raising::AtOnce,
                    When::After(length) => Raising::After(secs(length)),
                    When::Repeats(times, within) => {
                        Raising::Repeats { times: u32::try_from(times).unwrap(), within: secs(within) }
                    }
                },
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
