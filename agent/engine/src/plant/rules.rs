//! Rules: those that are written, and those that the limits of the point table make by themselves.
//! Both are one [`Rule`] and are judged by one machinery; only the question they ask differs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{PointId, SourceId};
use uuid::Uuid;

use crate::expr::{self, ExprFault, Program, Reads};
use crate::plant::check::limits_of;
use crate::plant::names::DraftNames;
use crate::plant::{Plant, loss, order};
use crate::{
    AlarmKind, Class, Confirm, Draft, Fault, Item, Level, LimitKind, PointDraft, Priority, Raising,
    RuleDraft, Severity, TaskEffectDraft, UnitEffectDraft, Words,
};

/// From raising to the deadline of rectification, for hazards of limits and of lost monitoring.
pub(crate) const DEADLINE: Duration = Duration::from_hours(24);

/// The namespace of rule versions. Drawn once; changing it changes every version.
const VERSIONS: Uuid = Uuid::from_u128(0x6f1d_52a7_0c3b_4d0e_9a51_8e7c_21b4_f9d3);

/// A condition bound to a measure, and what follows from it (规则).
#[derive(Debug)]
pub struct Rule {
    pub(crate) id: String,
    pub(crate) kind: AlarmKind,
    pub(crate) measure: Option<String>,
    /// The unit of the measure.
    pub(crate) unit: Option<String>,
    pub(crate) class: Class,
    pub(crate) priority: Priority,
    pub(crate) name: Words,
    pub(crate) guidance: Words,
    pub(crate) on_delay: Duration,
    pub(crate) off_delay: Duration,
    /// It is judged and tells nobody: nothing follows from it, it watches no measure, and no alarm has its id.
    pub(crate) shadow: bool,
    pub(crate) latch: bool,
    pub(crate) realarm: Option<Duration>,
    pub(crate) condition: Condition,
    /// As it is shown with the evidence.
    pub(crate) text: String,
    pub(crate) version: String,
    pub(crate) hazard: Option<HazardPlan>,
    pub(crate) task: Option<TaskEffectDraft>,
    pub(crate) raise: Option<UnitEffectDraft>,
    pub(crate) points: Vec<PointId>,
    /// Of these, those of which it reads the age and nothing else: that they are silent is what it judges.
    pub(crate) aged: Vec<PointId>,
    pub(crate) zones: Vec<u32>,
    pub(crate) cameras: Vec<u32>,
    /// Whose conditions it reads.
    pub(crate) conditions: Vec<SourceId>,
    /// The units whose permits it reads.
    pub(crate) permits: Vec<u32>,
    /// The rules whose activity it reads.
    pub(crate) rules: Vec<u32>,
    /// It is judged after all rules of a lower rank: 0 where it reads no rule.
    pub(crate) rank: u32,
    /// A sample that repeats the value matters to it.
    pub(crate) ages: bool,
}

/// What a rule asks.
#[derive(Debug)]
pub(crate) enum Condition {
    Limit(LimitTest),
    Text { when: Arc<Program>, clear: Arc<Program> },
}

/// One limit of one point. A value at the limit is beyond it: instruments are set to alarm at 25, and a
/// reading clamped to the end of its range still trips a limit that stands there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LimitTest {
    pub(crate) point: PointId,
    pub(crate) kind: LimitKind,
    pub(crate) limit: f64,
    /// The value must come back beyond this before the return begins: the limit less the deadband.
    pub(crate) back: f64,
}

impl LimitTest {
    pub(crate) fn crossed(&self, value: f64) -> bool {
        if self.kind.is_high() { value >= self.limit } else { value <= self.limit }
    }

    pub(crate) fn cleared(&self, value: f64) -> bool {
        if self.kind.is_high() { value < self.back } else { value > self.back }
    }
}

/// How a rule raises its hazard.
#[derive(Debug, Clone)]
pub(crate) struct HazardPlan {
    pub(crate) cause: String,
    pub(crate) level: Level,
    pub(crate) confirm: Confirm,
    pub(crate) deadline: Duration,
    pub(crate) raising: Raising,
    pub(crate) reopen_within: Duration,
    /// Of rules that share a cause, one with a greater gravity takes the open hazard over.
    pub(crate) gravity: u8,
}

impl Rule {
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A limit of the point table or a written rule.
    pub fn kind(&self) -> AlarmKind {
        self.kind
    }

    /// It judges and tells nobody.
    pub fn is_shadow(&self) -> bool {
        self.shadow
    }

    /// `None`: a limit in a row that names no measure; it alarms and raises no hazard. Or a shadow rule.
    pub fn measure(&self) -> Option<&str> {
        self.measure.as_deref()
    }

    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    pub fn class(&self) -> Class {
        self.class
    }

    pub fn priority(&self) -> Priority {
        self.priority
    }

    pub fn name(&self) -> &Words {
        &self.name
    }

    /// The condition, as it is shown with evidence.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn calls_for_help(&self) -> bool {
        matches!(&self.condition, Condition::Text { when, .. } if when.calls_for_help())
    }

    /// When the condition is over, as it is judged; of a limit, past its deadband.
    pub fn clear_text(&self) -> String {
        match &self.condition {
            Condition::Limit(test) => {
                format!("back {} {}", if test.kind.is_high() { "below" } else { "above" }, test.back)
            }
            Condition::Text { clear, .. } => clear.text().to_owned(),
        }
    }

    /// On-delay and off-delay.
    pub fn delays(&self) -> (Duration, Duration) {
        (self.on_delay, self.off_delay)
    }

    /// It changes when the rule does.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The points that it reads, in order.
    pub fn points(&self) -> &[PointId] {
        &self.points
    }
}

impl Rule {
    /// Whether what a rule of the same text remembers under another plant holds for this one: it reads the same,
    /// by name. What the name of a unit stands for can differ.
    pub(crate) fn reads_like(&self, plant: &Plant, other: &Self, of: &Plant) -> bool {
        self.names_read(plant) == other.names_read(of)
    }

    /// What stands behind the zones of a plant has no name.
    fn names_read<'a>(&self, plant: &'a Plant) -> BTreeSet<(u8, Option<&'a str>)> {
        let at = |at: &u32| usize::try_from(*at).unwrap_or(usize::MAX);
        let points = self.points.iter().map(|id| plant.point(*id).map(|of| &of.tag));
        let zones = self.zones.iter().map(|zone| plant.zones().get(at(zone)).map(|of| &of.id));
        let cameras = self.cameras.iter().map(|camera| plant.cameras().get(at(camera)).map(|of| &of.id));
        let sources = self.conditions.iter().map(|source| plant.source(*source).map(|of| &of.id));
        let units = self.permits.iter().map(|unit| plant.unit_at(*unit).map(|of| &of.id));
        let rules = self.rules.iter().map(|rule| plant.rule(*rule).map(|of| &of.id));
        let name = |kind: u8| move |name: Option<&'a String>| (kind, name.map(String::as_str));
        let places = zones.map(name(1)).chain(cameras.map(name(2))).chain(units.map(name(4)));
        points.map(name(0)).chain(places).chain(sources.map(name(3))).chain(rules.map(name(5))).collect()
    }

    /// People, cameras, permits: what it reads of them is what was told since the engine was made, one by
    /// one, so that silence at first says nothing.
    pub(crate) fn reads_places(&self) -> bool {
        !(self.zones.is_empty() && self.cameras.is_empty() && self.permits.is_empty())
    }
}

impl LimitKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::LowLow => "LL",
            Self::Low => "L",
            Self::High => "H",
            Self::HighHigh => "HH",
        }
    }

    pub fn is_high(self) -> bool {
        match self {
            Self::High | Self::HighHigh => true,
            Self::Low | Self::LowLow => false,
        }
    }

    /// LL and HH: judged without delay, and their hazard may go upstream at once.
    pub fn is_outer(self) -> bool {
        match self {
            Self::LowLow | Self::HighHigh => true,
            Self::Low | Self::High => false,
        }
    }
}

/// The first 12 hex digits of a UUIDv5 of everything that makes the rule what it is.
pub(crate) fn version(parts: &[&str]) -> String {
    let whole = parts.join("\u{1f}");
    Uuid::new_v5(&VERSIONS, whole.as_bytes()).simple().to_string().chars().take(12).collect()
}

/// All rules whose texts are sound; faults of the others are added.
pub(super) fn build(draft: &Draft, faults: &mut Vec<Fault>) -> Vec<Rule> {
    let units: HashMap<&str, &String> = draft.measures.iter().map(|of| (of.id.as_str(), &of.unit)).collect();
    let unit_of = |measure: &str| units.get(measure).map(|unit| (*unit).clone());
    let limits = (0u32..).zip(&draft.points).flat_map(|(at, point)| {
        let unit = point.measure.as_deref().and_then(unit_of);
        limits_of(point).map(move |(kind, _, limit)| {
            limit_rule(PointId(at), point, unit.clone(), (kind, limit), draft.patience.reopen_within)
        })
    });
    let mut rules: Vec<Rule> = limits.collect();
    let names = DraftNames::of(draft);
    let limits = rules.len();
    let mut sound = true;
    for (at, rule) in draft.rules.iter().enumerate() {
        let built = written_rule(Item::Rule(at), rule, unit_of(&rule.measure), draft, &names, faults);
        sound &= built.is_some();
        rules.extend(built);
    }
    // With a rule missing their numbers mean nothing; its fault is told.
    if sound {
        order::rank(&mut rules, limits, draft, faults);
        read_shadows(&rules, limits, faults);
    }
    rules
}

/// What follows from a shadow rule would not stay in the shadow.
fn read_shadows(rules: &[Rule], limits: usize, faults: &mut Vec<Fault>) {
    let shadow = |at: &u32| usize::try_from(*at).ok().and_then(|at| rules.get(at)).filter(|of| of.shadow);
    for (at, rule) in rules.iter().skip(limits).enumerate().filter(|(_, rule)| !rule.shadow) {
        for of in rule.rules.iter().filter_map(shadow) {
            faults.push(Fault {
                severity: Severity::Error,
                item: Item::Rule(at),
                field: "when",
                span: None,
                message: format!("it reads '{}', which is a shadow rule and tells nobody", of.id),
                hint: Some(format!("make '{}' a shadow rule too, or '{}' none", rule.id, of.id)),
            });
        }
    }
}

fn limit_rule(
    id: PointId,
    point: &PointDraft,
    unit: Option<String>,
    (kind, limit): (LimitKind, f64),
    reopen_within: Duration,
) -> Rule {
    let back = if kind.is_high() { limit - point.deadband } else { limit + point.deadband };
    let sign = if kind.is_high() { ">=" } else { "<=" };
    let text = format!("{} {sign} {limit}", point.written());
    let on_delay = if kind.is_outer() { Duration::ZERO } else { point.delay };
    let hazard = point.measure.as_ref().map(|_| HazardPlan {
        cause: format!("limit:{}", point.tag),
        level: Level::General,
        confirm: if kind.is_outer() { point.confirm } else { Confirm::Person },
        deadline: DEADLINE,
        raising: Raising::AtOnce,
        reopen_within,
        gravity: u8::from(kind.is_outer()),
    });
    Rule {
        id: format!("{}/{}", point.tag, kind.word()),
        kind: AlarmKind::Limit,
        measure: point.measure.clone(),
        unit,
        class: point.class,
        priority: limit_priority(point.class, kind),
        name: limit_name(point, kind),
        guidance: Words { zh: point.guidance.clone(), en: String::new() },
        on_delay,
        off_delay: Duration::ZERO,
        shadow: false,
        latch: false,
        realarm: None,
        condition: Condition::Limit(LimitTest { point: id, kind, limit, back }),
        version: version(&[&text, &back.to_string(), &on_delay.as_nanos().to_string()]),
        text,
        hazard,
        task: None,
        raise: None,
        points: vec![id],
        aged: Vec::new(),
        zones: Vec::new(),
        cameras: Vec::new(),
        conditions: Vec::new(),
        permits: Vec::new(),
        rules: Vec::new(),
        rank: 0,
        ages: false,
    }
}

/// A table row says no priority: what kills people fast comes first, and outer limits before inner.
fn limit_priority(class: Class, kind: LimitKind) -> Priority {
    match (class, kind.is_outer()) {
        (Class::Gas | Class::Fire | Class::Sis, true) => Priority::Critical,
        (Class::Gas | Class::Fire | Class::Sis, false) => Priority::High,
        (
            Class::Process | Class::Equipment | Class::System | Class::Video | Class::Permit | Class::People,
            true,
        ) => Priority::High,
        (
            Class::Process | Class::Equipment | Class::System | Class::Video | Class::Permit | Class::People,
            false,
        ) => Priority::Medium,
    }
}

fn limit_name(point: &PointDraft, kind: LimitKind) -> Words {
    let (zh, en) = match (point.class, kind) {
        (Class::Gas, LimitKind::High) => ("一级报警", "level 1 alarm"),
        (Class::Gas, LimitKind::HighHigh) => ("二级报警", "level 2 alarm"),
        (_, LimitKind::High) => ("高报", "high"),
        (_, LimitKind::HighHigh) => ("高高报", "high high"),
        (_, LimitKind::Low) => ("低报", "low"),
        (_, LimitKind::LowLow) => ("低低报", "low low"),
    };
    Words { zh: zh.to_owned(), en: en.to_owned() }
}

fn written_rule(
    item: Item,
    rule: &RuleDraft,
    unit: Option<String>,
    draft: &Draft,
    names: &DraftNames<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Rule> {
    let when = when_of(item, rule, names, faults);
    // `Some(None)`: a text that is at fault; `None`: no text.
    let clear = rule.clear.as_ref().map(|text| compile(item, "clear", text, names, faults));
    let when = when?;
    hidden_unknowns(item, &when, clear.as_ref().and_then(Option::as_ref), faults);
    let clear = match clear {
        Some(clear) => clear?,
        None => when.default_clear(),
    };
    let reads = both(when.reads(), clear.reads());
    if let Some((message, hint)) = unreadable(draft, &reads) {
        let (message, hint) = (message.to_owned(), Some(hint.to_owned()));
        faults.push(Fault { severity: Severity::Error, item, field: "when", span: None, message, hint });
        return None;
    }
    if reads.count() > 1 && rule.for_.is_zero() && when.reads_states() {
        fires_at_start(item, faults);
    }
    loss::warn(item, rule, &when, &reads, draft, faults);
    let ages = when.reads_ages() || clear.reads_ages();
    let strictest = strictest(draft, &reads);
    // Also where it is made: a deadband that changes makes another.
    let clear_text = clear.text().to_owned();
    let delays = format!("{} {}", rule.for_.as_nanos(), rule.clear_for.as_nanos());
    let hazard = rule.hazard.as_ref().map(|hazard| HazardPlan {
        cause: hazard.cause.clone().unwrap_or_else(|| rule.id.clone()),
        level: hazard.level,
        confirm: hazard.confirm,
        deadline: hazard.deadline,
        raising: hazard.raising,
        reopen_within: hazard.reopen_within.unwrap_or(draft.patience.reopen_within),
        gravity: match rule.priority {
            Priority::Low | Priority::Medium => 0,
            Priority::High => 1,
            Priority::Critical => 2,
        },
    });
    let english = if rule.name_en.is_empty() { &rule.name } else { &rule.name_en };
    Some(Rule {
        id: rule.id.clone(),
        kind: AlarmKind::Rule,
        measure: (!rule.shadow).then(|| rule.measure.clone()),
        unit: unit.filter(|_| !rule.shadow),
        class: rule.class.unwrap_or(strictest),
        priority: rule.priority,
        name: Words { zh: rule.name.clone(), en: english.clone() },
        guidance: Words { zh: rule.guidance.clone(), en: rule.guidance_en.clone() },
        on_delay: rule.for_,
        off_delay: rule.clear_for,
        shadow: rule.shadow,
        latch: rule.latch && !rule.shadow,
        realarm: rule.realarm.filter(|_| !rule.shadow),
        condition: Condition::Text { when: Arc::new(when), clear: Arc::new(clear) },
        text: rule.when.clone(),
        version: version(&[&rule.when, &clear_text, &delays]),
        hazard: hazard.filter(|_| !rule.shadow),
        task: rule.task.clone().filter(|_| !rule.shadow),
        raise: rule.unit.clone().filter(|_| !rule.shadow),
        points: reads.points,
        aged: reads.aged,
        zones: reads.zones,
        cameras: reads.cameras,
        conditions: reads.conditions,
        permits: reads.permits,
        rules: reads.rules,
        rank: 0,
        ages,
    })
}

/// The condition, written out or by a kind. The text of a kind stands in no file: what is wrong with it is wrong
/// with the rule as a whole.
fn when_of(item: Item, rule: &RuleDraft, names: &DraftNames<'_>, faults: &mut Vec<Fault>) -> Option<Program> {
    if rule.kind.is_none() {
        return compile(item, "when", &rule.when, names, faults);
    }
    // What the kind cannot make sense of is told.
    if rule.when.is_empty() {
        return None;
    }
    let mut told = Vec::new();
    let when = compile(item, "kind", &rule.when, names, &mut told);
    for fault in &mut told {
        fault.message = format!("{} (in `{}`)", fault.message, rule.when);
        fault.span = None;
    }
    // A name that the kind wrote twice is told once.
    told.dedup();
    faults.append(&mut told);
    when
}

/// `maybe` where it takes what nobody can see for safe.
fn hidden_unknowns(item: Item, when: &Program, clear: Option<&Program>, faults: &mut Vec<Fault>) {
    let hidden = [
        (
            "when",
            Some(when),
            false,
            "`not maybe(…)` takes what nobody can see for safe",
            "write maybe(not …)",
        ),
        (
            "clear",
            clear,
            true,
            "`maybe` in a clear takes what nobody can see for safe",
            "leave it out: what is unknown keeps the alarm",
        ),
    ];
    for (field, program, to, message, hint) in hidden {
        if let Some(span) = program.and_then(|program| program.maybe_to(to)) {
            let (message, hint) = (message.to_owned(), Some(hint.to_owned()));
            faults.push(Fault { severity: Severity::Error, item, field, span: Some(span), message, hint });
        }
    }
}

fn fires_at_start(item: Item, faults: &mut Vec<Fault>) {
    faults.push(Fault {
        severity: Severity::Warning,
        item,
        field: "when",
        span: None,
        message: "at each start, before its first reading, a point is bad and of endless age: this may fire"
            .to_owned(),
        hint: Some("for = \"10s\", or longer than the first reading takes".to_owned()),
    });
}

fn both(one: &Reads, other: &Reads) -> Reads {
    fn merged<T: Ord + Copy>(one: &[T], other: &[T]) -> Vec<T> {
        let all: BTreeSet<T> = one.iter().chain(other).copied().collect();
        all.into_iter().collect()
    }
    let points = merged(&one.points, &other.points);
    let valued =
        |of: &Reads, id: &PointId| of.points.binary_search(id).is_ok() && of.aged.binary_search(id).is_err();
    Reads {
        aged: points.iter().filter(|id| !valued(one, id) && !valued(other, id)).copied().collect(),
        points,
        zones: merged(&one.zones, &other.zones),
        cameras: merged(&one.cameras, &other.cameras),
        conditions: merged(&one.conditions, &other.conditions),
        permits: merged(&one.permits, &other.permits),
        rules: merged(&one.rules, &other.rules),
    }
}

/// Why nothing can ever come of what a rule reads, and what to do about it.
fn unreadable(draft: &Draft, reads: &Reads) -> Option<(&'static str, &'static str)> {
    if *reads == Reads::default() {
        return Some((
            "the condition reads nothing of the plant: it never changes",
            "name a point, as {LI-101}, a zone, a camera, a condition, a permit or a rule",
        ));
    }
    if !reads.zones.is_empty() && !draft.sources.iter().any(|source| source.fixes) {
        return Some((
            "no source carries fixes: how many people are there is unknown for ever",
            "give a source `fixes = [...]`",
        ));
    }
    let blind = !reads.permits.is_empty() && !draft.sources.iter().any(|source| source.permits);
    blind.then_some((
        "no source carries permits: what work is permitted is unknown for ever",
        "give a source `permits = [...]`",
    ))
}

fn strictest(draft: &Draft, reads: &Reads) -> Class {
    let class = |id: &PointId| Some(draft.points.get(usize::try_from(id.0).ok()?)?.class);
    let people = (!reads.zones.is_empty()).then_some(Class::People);
    let video = (!reads.cameras.is_empty()).then_some(Class::Video);
    let permit = (!reads.permits.is_empty()).then_some(Class::Permit);
    let kept = |id: &SourceId| draft.sources.get(usize::from(id.0))?.events;
    let points = reads.points.iter().filter_map(class);
    let told = people.into_iter().chain(video).chain(permit).chain(reads.conditions.iter().filter_map(kept));
    points.chain(told).max().unwrap_or(Class::Process)
}

fn compile(
    item: Item,
    field: &'static str,
    text: &str,
    names: &DraftNames<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Program> {
    let place = |fault: ExprFault| Fault {
        severity: fault.severity,
        item,
        field,
        span: Some(fault.span),
        message: fault.message,
        hint: fault.hint,
    };
    match expr::compile(text, names) {
        Ok((program, warnings)) => {
            faults.extend(warnings.into_iter().map(place));
            Some(program)
        }
        Err(errors) => {
            faults.extend(errors.into_iter().map(place));
            None
        }
    }
}
