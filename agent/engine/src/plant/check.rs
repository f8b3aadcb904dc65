//! What is wrong with a draft, all of it at once. Pure: it reads names and numbers, never a file.
//!
//! Expressions are checked where the rules are made (`rules.rs`); here is everything around them.

use std::collections::HashMap;
use std::collections::HashSet;
use std::time::Duration;

use crate::{Draft, Fault, Item, LimitKind, PointDraft, RuleDraft, Severity, TaskChange, TaskDraft};

/// 企业编码, given out by the chemicals registry.
const COMPANY_CHARACTERS: usize = 9;

/// The receivers' column for 责任人 is the narrowest of them, and `hazardCode` is at most this long.
const HAZARD_CODE_CHARACTERS: usize = 36;

/// `classify2` of the exchange standard, each under the `classify1` before its dash.
const CLASSIFY2: [&str; 17] = [
    "1-1", "1-2", "1-3", "1-4", "1-5", "2-1", "2-2", "2-3", "3-1", "3-2", "3-3", "3-4", "4-1", "4-2", "4-3",
    "4-4", "4-5",
];

/// How alike two names must be for the one to be offered for the other (0 to 1).
const ALIKE: f64 = 0.5;

/// Names longer than this are not searched for.
const NAME_BYTES: usize = 256;

/// Different wrong names for which the nearest is looked for: each costs a walk over all names, and who
/// has more than these has another trouble (the wrong file, a renamed column).
const HINTED: usize = 100;

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    found: Vec<Fault>,
    /// Hints for wrong names, by what the name should name, and the name.
    hinted: HashMap<(&'static str, String), Option<String>>,
}

impl Faults {
    pub(super) fn found(self) -> Vec<Fault> {
        self.found
    }

    pub(crate) fn error(&mut self, item: Item, field: &'static str, message: String, hint: Option<String>) {
        self.found.push(Fault { severity: Severity::Error, item, field, span: None, message, hint });
    }

    pub(crate) fn warning(&mut self, item: Item, field: &'static str, message: String, hint: Option<String>) {
        self.found.push(Fault { severity: Severity::Warning, item, field, span: None, message, hint });
    }

    /// There is no such thing; the nearest that is there stands in the hint.
    pub(super) fn missing<'a>(
        &mut self,
        item: Item,
        what: &'static str,
        name: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) {
        self.lacks(item, what, what, name, candidates);
    }

    /// The same where the field is not called as what it names.
    pub(super) fn lacks<'a>(
        &mut self,
        item: Item,
        field: &'static str,
        what: &'static str,
        name: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) {
        let full = self.hinted.len() >= HINTED;
        let hint = match self.hinted.get(&(what, name.to_owned())) {
            Some(hint) => hint.clone(),
            None if full => None,
            None => {
                let hint = nearest(name, candidates).map(|nearest| format!("did you mean '{nearest}'?"));
                self.hinted.insert((what, name.to_owned()), hint.clone());
                hint
            }
        };
        self.error(item, field, format!("there is no {what} '{name}'"), hint);
    }
}

/// The candidate most like `name`, if any is alike enough. A name longer than any is like none: the cost
/// grows with its length, and who sends it may be anybody.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NAME_BYTES {
        return None;
    }
    let folded = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (strsim::normalized_damerau_levenshtein(&folded, &candidate.to_lowercase()), candidate)
        })
        .filter(|(alike, _)| *alike >= ALIKE)
        // The first of equals, so that the hint does not depend on anything but the draft.
        .fold(None, |best: Option<(f64, &str)>, next| match best {
            Some(best) if best.0 >= next.0 => Some(best),
            Some(_) | None => Some(next),
        })
        .map(|(_, candidate)| candidate)
}

/// All but the expressions.
pub(super) fn check(draft: &Draft) -> Vec<Fault> {
    let mut faults = Faults::default();
    let known = Known::of(draft);
    check_gateway(draft, &mut faults);
    check_ids(draft, &mut faults);
    for (at, point) in draft.points.iter().enumerate() {
        check_point(Item::Point(at), point, draft, &known, &mut faults);
    }
    check_chain(draft, &known, &mut faults);
    check_places(draft, &known, &mut faults);
    for (at, rule) in draft.rules.iter().enumerate() {
        check_rule(Item::Rule(at), rule, draft, &known, &mut faults);
    }
    faults.found
}

/// The ids that others refer to.
struct Known<'a> {
    units: HashSet<&'a str>,
    /// With their units.
    measures: HashMap<&'a str, &'a str>,
    points: HashMap<&'a str, &'a PointDraft>,
    tasks: HashMap<&'a str, &'a TaskDraft>,
}

impl<'a> Known<'a> {
    fn of(draft: &'a Draft) -> Self {
        Self {
            units: draft.units.iter().map(|unit| unit.id.as_str()).collect(),
            measures: draft.measures.iter().map(|of| (of.id.as_str(), of.unit.as_str())).collect(),
            points: draft.points.iter().map(|of| (of.tag.as_str(), of)).collect(),
            tasks: draft.tasks.iter().map(|of| (of.id.as_str(), of)).collect(),
        }
    }
}

fn check_gateway(draft: &Draft, faults: &mut Faults) {
    let company = draft.company.chars().count();
    if company != COMPANY_CHARACTERS || !draft.company.chars().all(|c| c.is_ascii_alphanumeric()) {
        faults.error(
            Item::Gateway,
            "company",
            format!("the company code '{}' has {company} characters", draft.company),
            Some("企业编码 is 9 letters or digits, as the chemicals registry gave it".to_owned()),
        );
    }
    check_id(Item::Gateway, "id", &draft.gateway, faults);
    check_addressable(Item::Gateway, "id", &draft.gateway, faults);
}

/// An id that is there, and that no invisible character makes look like another.
fn check_id(item: Item, field: &'static str, id: &str, faults: &mut Faults) {
    if id.trim().is_empty() {
        faults.error(item, field, format!("the {field} is empty"), None);
    } else if id.trim() != id || id.chars().any(char::is_control) {
        let hint = format!("write '{}'", id.trim().replace(char::is_control, ""));
        faults.error(
            item,
            field,
            format!("{id:?} has blanks around it or control characters in it"),
            Some(hint),
        );
    }
}

/// Ids of gateway and units become levels of an address upstream.
fn check_addressable(item: Item, field: &'static str, id: &str, faults: &mut Faults) {
    if let Some(wrong) = id.chars().find(|c| matches!(c, '/' | '+' | '#')) {
        let hint = format!("write '{}'", id.replace(['/', '+', '#'], "-"));
        faults.error(
            item,
            field,
            format!("'{id}' holds '{wrong}', which an address upstream cannot"),
            Some(hint),
        );
    }
}

fn check_ids(draft: &Draft, faults: &mut Faults) {
    unique("id", draft.sources.iter().map(|of| of.id.as_str()), Item::Source, faults);
    unique("tag", draft.points.iter().map(|of| of.tag.as_str()), Item::Point, faults);
    unique("id", draft.objects.iter().map(|of| of.id.as_str()), Item::Object, faults);
    unique("id", draft.events.iter().map(|of| of.id.as_str()), Item::Event, faults);
    unique("id", draft.persons.iter().map(|of| of.id.as_str()), Item::Person, faults);
    unique("id", draft.units.iter().map(|of| of.id.as_str()), Item::Unit, faults);
    unique("id", draft.measures.iter().map(|of| of.id.as_str()), Item::Measure, faults);
    unique("id", draft.tasks.iter().map(|of| of.id.as_str()), Item::Task, faults);
    unique("id", draft.zones.iter().map(|of| of.id.as_str()), Item::Zone, faults);
    unique("id", draft.cameras.iter().map(|of| of.id.as_str()), Item::Camera, faults);
    unique("id", draft.rules.iter().map(|of| of.id.as_str()), Item::Rule, faults);
}

fn unique<'a>(
    field: &'static str,
    ids: impl Iterator<Item = &'a str>,
    item: fn(usize) -> Item,
    faults: &mut Faults,
) {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (at, id) in ids.enumerate() {
        check_id(item(at), field, id, faults);
        match first.get(id) {
            Some(before) if !id.is_empty() => faults.error(
                item(at),
                field,
                format!("'{id}' is there twice: it is also number {} of this list", before + 1),
                Some("each needs a name of its own".to_owned()),
            ),
            Some(_) => {}
            None => {
                first.insert(id, at);
            }
        }
    }
}

fn check_point(item: Item, point: &PointDraft, draft: &Draft, known: &Known<'_>, faults: &mut Faults) {
    if draft.sources.get(usize::from(point.source.0)).is_none() {
        faults.error(item, "source", format!("point '{}' names a source that is not there", point.tag), None);
    }
    if point.tag.starts_with("source:") {
        let hint = "the alarm of a lost source has such a name".to_owned();
        faults.error(item, "tag", "a tag cannot begin with 'source:'".to_owned(), Some(hint));
    }
    if let Some(measure) = &point.watch.measure {
        check_measure(item, measure, draft, known, faults);
    }
    if point.stale_after.is_zero() {
        let hint = Some("say after how long without a reading it counts as lost, as 30s".to_owned());
        faults.error(item, "stale_after", "stale_after is zero".to_owned(), hint);
    }
    if !point.deadband.is_finite() || point.deadband < 0.0 {
        let hint = Some("0 or more, in the point's eu".to_owned());
        faults.error(item, "deadband", format!("the deadband {} is no width", point.deadband), hint);
    }
    if let Some((low, high)) = point.range
        && !(low.is_finite() && high.is_finite() && low < high)
    {
        let hint = Some("range_low < range_high".to_owned());
        faults.error(item, "range_high", format!("the range {low} to {high} is empty"), hint);
    }
    check_limits(item, point, faults);
}

/// The limits that a point has, from the lowest, with the fields that set them.
pub(super) fn limits_of(point: &PointDraft) -> impl Iterator<Item = (LimitKind, &'static str, f64)> {
    let limits = point.watch.limits;
    [
        (LimitKind::LowLow, "ll", limits.ll),
        (LimitKind::Low, "l", limits.l),
        (LimitKind::High, "h", limits.h),
        (LimitKind::HighHigh, "hh", limits.hh),
    ]
    .into_iter()
    .filter_map(|(kind, field, limit)| limit.map(|limit| (kind, field, limit)))
}

fn check_limits(item: Item, point: &PointDraft, faults: &mut Faults) {
    let limits: Vec<_> = limits_of(point).collect();
    if let Some((_, field, _)) = limits.first()
        && (point.boolean || point.text || !point.words.is_empty())
    {
        let hint = Some("write a rule with `when` for it".to_owned());
        faults.error(item, field, format!("'{}' reads no number and cannot have limits", point.tag), hint);
    }
    for (_, field, limit) in &limits {
        match point.range {
            _ if !limit.is_finite() => {
                faults.error(item, field, format!("the limit {limit} is no number"), None);
            }
            Some((low, high)) if *limit < low || *limit > high => {
                let hint =
                    Some(format!("allowed: {low} to {high}; beyond it no reading would ever cross it"));
                faults.error(item, field, format!("the limit {limit} is outside the range"), hint);
            }
            Some(_) | None => {}
        }
    }
    for pair in limits.windows(2) {
        if let [(_, lower_field, lower), (upper_kind, field, upper)] = pair {
            if lower >= upper {
                let message = format!(
                    "the limits are out of order: {} = {lower} is not below {} = {upper}",
                    lower_field.to_uppercase(),
                    field.to_uppercase()
                );
                faults.error(item, field, message, Some("LL < L < H < HH".to_owned()));
            } else if *upper_kind >= LimitKind::High
                && matches!(*lower_field, "ll" | "l")
                && upper - point.deadband <= lower + point.deadband
            {
                let message = format!(
                    "with a deadband of {} no reading between {lower} and {upper} is normal",
                    point.deadband
                );
                let hint = Some(format!("a deadband below {}", (upper - lower) / 2.0));
                faults.error(item, "deadband", message, hint);
            }
        }
    }
}

fn check_measure(item: Item, measure: &str, draft: &Draft, known: &Known<'_>, faults: &mut Faults) {
    if !known.measures.contains_key(measure) {
        faults.missing(item, "measure", measure, draft.measures.iter().map(|of| of.id.as_str()));
    }
}

fn check_unit(item: Item, unit: &str, draft: &Draft, known: &Known<'_>, faults: &mut Faults) {
    if !known.units.contains(unit) {
        faults.missing(item, "unit", unit, draft.units.iter().map(|of| of.id.as_str()));
    }
}

/// Units, measures, tasks.
fn check_chain(draft: &Draft, known: &Known<'_>, faults: &mut Faults) {
    for (at, unit) in draft.units.iter().enumerate() {
        let item = Item::Unit(at);
        check_addressable(item, "id", &unit.id, faults);
        if unit.liable_person.trim().is_empty() {
            let hint = Some("责任人: a hazard of this unit cannot be sent without one".to_owned());
            faults.error(item, "liable_person", format!("unit '{}' has no liable person", unit.id), hint);
        }
        if unit.hazard_code.chars().count() > HAZARD_CODE_CHARACTERS {
            let message = format!("the hazard code '{}' is too long", unit.hazard_code);
            faults.error(
                item,
                "hazard_code",
                message,
                Some("at most 36 characters, usually 12 digits".to_owned()),
            );
        }
    }
    for (at, measure) in draft.measures.iter().enumerate() {
        let item = Item::Measure(at);
        check_unit(item, &measure.unit, draft, known, faults);
        let (first, second) = (measure.classify1.as_str(), measure.classify2.as_str());
        if !matches!(first, "1" | "2" | "3" | "4") {
            let hint = Some("1 工程技术, 2 维护保养, 3 人员操作, 4 应急措施".to_owned());
            faults.error(item, "classify1", format!("'{first}' is no classify1"), hint);
        }
        if !CLASSIFY2.contains(&second) {
            let of = |code: &&&str| code.starts_with(first);
            let codes: Vec<&str> = CLASSIFY2.iter().filter(of).copied().collect();
            let codes = if codes.is_empty() { CLASSIFY2.to_vec() } else { codes };
            let hint = Some(format!("one of {}", codes.join(", ")));
            faults.error(item, "classify2", format!("'{second}' is no classify2"), hint);
        } else if !second.starts_with(first) {
            let message = format!("classify2 '{second}' does not belong to classify1 '{first}'");
            let hint = second.split('-').next().map(|of| format!("classify1 = \"{of}\""));
            faults.error(item, "classify2", message, hint);
        }
    }
    for (at, task) in draft.tasks.iter().enumerate() {
        let item = Item::Task(at);
        check_measure(item, &task.measure, draft, known, faults);
        if task.cycle.is_zero() {
            faults.error(item, "cycle", format!("task '{}' has a cycle of zero", task.id), None);
        }
        if task.work_type > 3 {
            let hint = Some("0 日常, 1 主要负责人, 2 技术负责人, 3 操作负责人".to_owned());
            faults.error(item, "work_type", format!("{} is no work_type", task.work_type), hint);
        }
    }
}

/// Zones and cameras.
fn check_places(draft: &Draft, known: &Known<'_>, faults: &mut Faults) {
    for (at, zone) in draft.zones.iter().enumerate() {
        check_unit(Item::Zone(at), &zone.unit, draft, known, faults);
        if zone.limit == Some(0) {
            let hint = Some("leave it out, or 1 and more persons".to_owned());
            faults.error(Item::Zone(at), "limit", format!("zone '{}' allows nobody", zone.id), hint);
        }
    }
    for (at, camera) in draft.cameras.iter().enumerate() {
        let item = Item::Camera(at);
        check_unit(item, &camera.unit, draft, known, faults);
        match draft.sources.get(usize::from(camera.source.0)) {
            None => {
                let message = format!("camera '{}' names a source that is not there", camera.id);
                faults.error(item, "source", message, None);
            }
            Some(source) if !source.sightings => {
                let message =
                    format!("source '{}' of camera '{}' carries no sightings", source.id, camera.id);
                let hint =
                    Some("give the source `sightings = [...]`, or name the one that has them".to_owned());
                faults.error(item, "source", message, hint);
            }
            Some(_) => {}
        }
    }
}

fn check_rule(item: Item, rule: &RuleDraft, draft: &Draft, known: &Known<'_>, faults: &mut Faults) {
    if rule.id.starts_with("fault:") {
        let hint = Some("the alarms of lost points and sources have such names".to_owned());
        faults.error(item, "id", "the id of a rule cannot begin with 'fault:'".to_owned(), hint);
    }
    let of_a_limit = rule.id.rsplit_once('/').and_then(|(tag, kind)| {
        let point = *known.points.get(tag)?;
        limits_of(point).find(|(of, _, _)| of.word() == kind)
    });
    if of_a_limit.is_some() {
        let message = format!("the limit of the point table already makes a rule '{}'", rule.id);
        faults.error(item, "id", message, Some("choose another id".to_owned()));
    }
    if rule.name.trim().is_empty() {
        let hint = Some("what the operator reads, as \"罐区A泄漏\"".to_owned());
        faults.error(item, "name", format!("rule '{}' has no name", rule.id), hint);
    }
    check_measure(item, &rule.measure, draft, known, faults);
    if let Some(hazard) = &rule.hazard {
        if hazard.deadline.is_zero() {
            faults.error(item, "hazard", "the deadline is zero".to_owned(), Some("as 24h".to_owned()));
        }
        if let Some(cause) = &hazard.cause {
            check_id(item, "hazard", cause, faults);
        }
    }
    check_boost(item, rule, draft, known, faults);
    if let Some(raise) = &rule.unit
        && let Some(unit) = known.measures.get(rule.measure.as_str())
        && let Some(unit) = draft.units.iter().find(|of| of.id == *unit)
        && raise.raise_to <= unit.base
    {
        let message = format!("it never raises: the base class of unit '{}' is as high already", unit.id);
        faults.warning(item, "unit", message, None);
    }
}

fn check_boost(item: Item, rule: &RuleDraft, draft: &Draft, known: &Known<'_>, faults: &mut Faults) {
    let Some(boost) = &rule.task else { return };
    let Some(task) = known.tasks.get(boost.task.as_str()) else {
        faults.missing(item, "task", &boost.task, draft.tasks.iter().map(|task| task.id.as_str()));
        return;
    };
    let unit = |measure: &str| known.measures.get(measure).copied();
    if let (Some(of_task), Some(of_rule)) = (unit(&task.measure), unit(&rule.measure))
        && of_task != of_rule
    {
        let message = format!("task '{}' belongs to unit '{of_task}', the rule to '{of_rule}'", task.id);
        faults.warning(item, "task", message, None);
    }
    match boost.change {
        TaskChange::Cycle { .. } if task.work_type != 0 => {
            let message =
                format!("task '{}' is 包保 (work_type {}): its cycle is left alone", task.id, task.work_type);
            let hint =
                Some("it can only be added to: task = { id = \"...\", once_within = \"30m\" }".to_owned());
            faults.error(item, "task", message, hint);
        }
        TaskChange::Cycle { cycle: Duration::ZERO, .. } => {
            faults.error(item, "task", "the cycle of the boost is zero".to_owned(), None);
        }
        TaskChange::Cycle { cycle, .. } if cycle > task.cycle => {
            let message = format!("the boost ({cycle:?}) is longer than the base cycle ({:?})", task.cycle);
            let hint = Some("a boost only ever shortens".to_owned());
            faults.error(item, "task", message, hint);
        }
        TaskChange::Cycle { cycle, .. } if cycle == task.cycle => {
            faults.warning(
                item,
                "task",
                "the boost is as long as the base cycle: it changes nothing".to_owned(),
                None,
            );
        }
        TaskChange::OnceWithin(Duration::ZERO) => {
            faults.error(item, "task", "once_within is zero".to_owned(), Some("as 30m".to_owned()));
        }
        TaskChange::Cycle { .. } | TaskChange::OnceWithin(_) => {}
    }
}
