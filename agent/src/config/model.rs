//! The chain of the plant and its rules: `[[unit]]`, `[[measure]]`, `[[task]]`, `[[zone]]`, `[[camera]]`,
//! `[[rule]]`. Only shapes are checked here; whether names exist and expressions hold is the engine's to
//! say (`Plant::build`), and comes back to its place through the origins that are kept beside each item.

use std::ops::RangeInclusive;
use std::time::Duration;

use riskgate_engine::{
    CameraDraft, Class, Confirm, HazardDraft, Level, MeasureDraft, Patience, Priority, RiskClass, RuleDraft,
    TaskChange, TaskDraft, TaskEffectDraft, UnitDraft, UnitEffectDraft, ZoneDraft,
};
use riskgate_point::SourceId;

use super::document::Document;
use super::fields::{Fields, Origin, one_of};
use super::place::{Faults, Place};
use super::site::level;
use super::values::suggest;

/// The items of one kind, each with its place in the files.
pub(super) type Items<T> = Vec<(T, Origin)>;

#[derive(Default)]
pub(super) struct Model {
    pub(super) patience: Patience,
    pub(super) units: Items<UnitDraft>,
    pub(super) measures: Items<MeasureDraft>,
    pub(super) tasks: Items<TaskDraft>,
    pub(super) zones: Items<ZoneDraft>,
    pub(super) cameras: Items<CameraDraft>,
    pub(super) rules: Items<RuleDraft>,
}

const RISK_CLASSES: [(&str, RiskClass); 4] = [
    ("red", RiskClass::Red),
    ("orange", RiskClass::Orange),
    ("yellow", RiskClass::Yellow),
    ("blue", RiskClass::Blue),
];

const PRIORITIES: [(&str, Priority); 4] = [
    ("critical", Priority::Critical),
    ("high", Priority::High),
    ("medium", Priority::Medium),
    ("low", Priority::Low),
];

pub(super) const CLASSES: [(&str, Class); 9] = [
    ("process", Class::Process),
    ("equipment", Class::Equipment),
    ("gas", Class::Gas),
    ("fire", Class::Fire),
    ("sis", Class::Sis),
    ("people", Class::People),
    ("permit", Class::Permit),
    ("video", Class::Video),
    ("system", Class::System),
];

pub(super) const CONFIRMS: [(&str, Confirm); 2] = [("auto", Confirm::Auto), ("person", Confirm::Person)];

const LEVELS: [(&str, Level); 2] = [("general", Level::General), ("major", Level::Major)];

/// `classify2` of each `classify1`, from the exchange standard.
const CLASSIFY: [(&str, &[&str]); 4] = [
    ("1", &["1-1", "1-2", "1-3", "1-4", "1-5"]),
    ("2", &["2-1", "2-2", "2-3"]),
    ("3", &["3-1", "3-2", "3-3", "3-4"]),
    ("4", &["4-1", "4-2", "4-3", "4-4", "4-5"]),
];

/// 包保 levels: 0 日常, 1 主要负责人, 2 技术负责人, 3 操作负责人.
const WORK_TYPE_MAX: u8 = 3;
const HAZARD_CODE_CHARACTERS_MAX: usize = 36;
const DAY: Duration = Duration::from_secs(86400);
const YEAR: Duration = Duration::from_secs(366 * 86400);
const SECOND: Duration = Duration::from_secs(1);
/// On- and off-delays: a longer one is no alarm but a report.
const DELAYS: RangeInclusive<Duration> = Duration::ZERO..=DAY;
/// An alarm that comes anew more often than each minute is chattering; one beyond a day is nobody's shift.
const REALARMS: RangeInclusive<Duration> = Duration::from_secs(60)..=DAY;
const CYCLES: RangeInclusive<Duration> = SECOND..=YEAR;
const HOLDS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(30 * 86400);
const DEFAULT_DEADLINE: Duration = DAY;
/// Persons in a zone.
const ZONE_LIMIT_MAX: u32 = 10_000;

/// Reads all; `sources` are the sources' ids in order.
pub(super) fn read(document: &Document<'_>, sources: &[&str], faults: &Faults) -> Model {
    let mut model = Model {
        patience: super::patience::read(document, faults),
        units: items(document, "unit", faults, unit),
        measures: items(document, "measure", faults, measure),
        tasks: items(document, "task", faults, task),
        zones: items(document, "zone", faults, zone),
        cameras: Vec::new(),
        rules: items(document, "rule", faults, rule),
    };
    model.cameras = items(document, "camera", faults, |fields| camera(fields, sources));
    model
}

fn items<T>(
    document: &Document<'_>,
    name: &str,
    faults: &Faults,
    read: impl Fn(&mut Fields<'_>) -> Option<T>,
) -> Items<T> {
    let mut items = Vec::new();
    for entry in document.many(name) {
        let mut fields = entry.fields(faults);
        let item = read(&mut fields);
        let origin = fields.origin();
        fields.finish();
        items.extend(item.map(|item| (item, origin)));
    }
    items
}

/// Reports each id that stands twice. `kind` is the table's name.
pub(super) fn unique<'a>(kind: &str, ids: impl Iterator<Item = (&'a str, Place)>, faults: &Faults) {
    let mut first: std::collections::HashMap<&str, Place> = std::collections::HashMap::new();
    for (id, place) in ids {
        if let Some(other) = first.get(id) {
            faults.error_with(place, format!("{kind} '{id}' stands twice"), *other, "the first one", None);
        } else {
            first.insert(id, place);
        }
    }
}

/// The id that an item cannot be named without. A blank item is no use to any check.
fn id(fields: &mut Fields<'_>) -> Option<String> {
    fields.required_text("id").map(|id| id.value)
}

/// A required text; empty where it is missing, which was reported.
fn required(fields: &mut Fields<'_>, key: &'static str) -> String {
    fields.required_text(key).map(|text| text.value).unwrap_or_default()
}

fn optional(fields: &mut Fields<'_>, key: &'static str) -> Option<String> {
    fields.text(key).map(|text| text.value)
}

fn unit(fields: &mut Fields<'_>) -> Option<UnitDraft> {
    let id = fields.required_text("id");
    if let Some(id) = &id {
        level(fields.faults(), id);
    }
    let hazard_code = required(fields, "hazard_code");
    if hazard_code.chars().count() > HAZARD_CODE_CHARACTERS_MAX {
        let hint = format!("it has at most {HAZARD_CODE_CHARACTERS_MAX} characters");
        fields.error("hazard_code", "'hazard_code' is too long", hint);
    }
    let unit = UnitDraft {
        id: String::new(),
        name: required(fields, "name"),
        hazard_code,
        base: fields.required_word("base_class", &RISK_CLASSES).unwrap_or(RiskClass::Blue),
        liable_person: required(fields, "liable_person"),
    };
    Some(UnitDraft { id: id?.value, ..unit })
}

fn measure(fields: &mut Fields<'_>) -> Option<MeasureDraft> {
    let id = id(fields);
    let unit = required(fields, "unit");
    let event = required(fields, "event");
    let name = required(fields, "name");
    let tops: Vec<(&str, &[&str])> = CLASSIFY.to_vec();
    let top = fields.required_word("classify1", &CLASSIFY.map(|(top, _)| (top, top)));
    let all: Vec<(&str, &str)> =
        tops.iter().flat_map(|(_, below)| below.iter()).map(|below| (*below, *below)).collect();
    let below = fields.required_word("classify2", &all);
    if let (Some(top), Some(below)) = (top, below)
        && let Some((_, allowed)) = tops.iter().find(|(name, _)| *name == top)
        && !allowed.contains(&below)
    {
        let message = format!("'classify2' = \"{below}\" is not below 'classify1' = \"{top}\"");
        fields.error("classify2", message, one_of(allowed.iter().copied()));
    }
    let automatic = fields.flag("automatic").unwrap_or(true);
    let classify1 = top.unwrap_or_default().to_owned();
    let classify2 = below.unwrap_or_default().to_owned();
    Some(MeasureDraft { id: id?, unit, event, name, classify1, classify2, automatic })
}

fn task(fields: &mut Fields<'_>) -> Option<TaskDraft> {
    let id = id(fields);
    let task = TaskDraft {
        id: String::new(),
        measure: required(fields, "measure"),
        content: required(fields, "content"),
        cycle: fields.required_duration("cycle", CYCLES).unwrap_or(DAY),
        work_type: fields.integer("work_type", 0..=WORK_TYPE_MAX).unwrap_or(0),
        assignee: String::new(),
    };
    let assignee = fields.required_text("assignee");
    if let Some(assignee) = &assignee {
        level(fields.faults(), assignee);
    }
    let assignee = assignee.map(|text| text.value).unwrap_or_default();
    Some(TaskDraft { id: id?, assignee, ..task })
}

fn zone(fields: &mut Fields<'_>) -> Option<ZoneDraft> {
    let id = id(fields);
    let name = required(fields, "name");
    let unit = required(fields, "unit");
    let limit = fields.integer("limit", 1..=ZONE_LIMIT_MAX);
    Some(ZoneDraft { id: id?, name, unit, limit })
}

fn camera(fields: &mut Fields<'_>, sources: &[&str]) -> Option<CameraDraft> {
    let id = id(fields);
    let name = required(fields, "name");
    let unit = required(fields, "unit");
    let source = fields.required_text("source");
    let mut place = SourceId(0);
    if let Some(source) = source {
        match sources.iter().position(|known| *known == source.value).map(u16::try_from) {
            Some(Ok(at)) => place = SourceId(at),
            Some(Err(_)) | None if fields.faults().has_unreadable_part() => {}
            Some(Err(_)) | None => {
                let message = format!("there is no source '{}'", source.value);
                fields.error("source", message, suggest(&source.value, sources.iter().copied()));
            }
        }
    }
    Some(CameraDraft { id: id?, name, unit, source: place })
}

fn rule(fields: &mut Fields<'_>) -> Option<RuleDraft> {
    let id = id(fields);
    let measure = required(fields, "measure");
    let kind = super::kinds::read(fields);
    let of_kind = kind.as_ref().map(|of| of.kind);
    let named = |fields: &mut Fields<'_>| match of_kind {
        Some(kind) if !fields.has("name") => (kind.zh.to_owned(), kind.en.to_owned()),
        // What an unknown kind would have said is not asked for.
        None if fields.has("kind") && !fields.has("name") => Default::default(),
        Some(_) | None => {
            let name = required(fields, "name");
            (name.clone(), name)
        }
    };
    let (name, english) = named(fields);
    let name_en = optional(fields, "name_en").unwrap_or(english);
    let priority = match of_kind {
        Some(kind) => fields.word("priority", &PRIORITIES).unwrap_or(kind.priority),
        None if fields.has("kind") => fields.word("priority", &PRIORITIES).unwrap_or(Priority::Low),
        None => fields.required_word("priority", &PRIORITIES).unwrap_or(Priority::Low),
    };
    let class = fields.word("class", &CLASSES);
    if !fields.has("when") && !fields.has("kind") {
        fields.missing("when");
    }
    let when = fields.verbatim("when").unwrap_or_default();
    let for_ = fields.duration("for", DELAYS).or(of_kind.map(|kind| kind.on_delay)).unwrap_or_default();
    let clear = fields.verbatim("clear");
    let clear_for = fields.duration("clear_for", DELAYS);
    let clear_for = clear_for.or(of_kind.map(|kind| kind.off_delay)).unwrap_or_default();
    let shadow = fields.flag("shadow").unwrap_or(false);
    let latch = fields.flag("latch").unwrap_or(false);
    let realarm = fields.duration("realarm", REALARMS);
    let guidance = optional(fields, "guidance").unwrap_or_default();
    let guidance_en = optional(fields, "guidance_en").unwrap_or_else(|| guidance.clone());
    let hazard = fields.table("hazard").map(hazard);
    let task = fields.table("task").and_then(task_effect);
    let unit = fields.table("unit").and_then(unit_effect);
    // Its condition is not known, so nothing can be said of it.
    if fields.has("kind") && kind.is_none() {
        return None;
    }
    Some(RuleDraft {
        id: id?,
        measure,
        name,
        name_en,
        priority,
        class,
        kind,
        when,
        for_,
        clear,
        clear_for,
        shadow,
        latch,
        realarm,
        guidance,
        guidance_en,
        hazard,
        task,
        unit,
    })
}

fn hazard(mut fields: Fields<'_>) -> HazardDraft {
    let level = fields.word("level", &LEVELS).unwrap_or(Level::General);
    let confirm = fields.word("confirm", &CONFIRMS).unwrap_or_default();
    if (level, confirm) == (Level::Major, Confirm::Auto) {
        let hint = "write confirm = \"person\": 重大 is only ever proposed to a person".to_owned();
        fields.error("confirm", "a hazard of level major cannot be confirmed automatically", hint);
    }
    let deadline = fields.duration("deadline", SECOND..=YEAR).unwrap_or(DEFAULT_DEADLINE);
    let cause = optional(&mut fields, "cause");
    fields.finish();
    HazardDraft { level, confirm, deadline, cause }
}

fn task_effect(mut fields: Fields<'_>) -> Option<TaskEffectDraft> {
    let task = id(&mut fields);
    let cycle = fields.duration("cycle", CYCLES);
    let hold = fields.duration("hold", HOLDS);
    let once = fields.duration("once_within", CYCLES);
    match (fields.has("cycle"), fields.has("once_within")) {
        (true, true) => {
            fields.error(
                "once_within",
                "a rule either shortens the cycle or asks once",
                "keep one of the two".to_owned(),
            );
        }
        (false, false) => {
            let hint = "write cycle = \"1h\", hold = \"4h\" or once_within = \"30m\"".to_owned();
            fields.error("", "'task' does not say what changes", hint);
        }
        (false, true) if fields.has("hold") => {
            fields.error("hold", "'hold' belongs to 'cycle': one extra inspection has no hold", None);
        }
        (false, true) | (true, false) => {}
    }
    fields.finish();
    let change = match (cycle, once) {
        (Some(cycle), _) => TaskChange::Cycle { cycle, hold: hold.unwrap_or_default() },
        (None, Some(once)) => TaskChange::OnceWithin(once),
        (None, None) => return None,
    };
    Some(TaskEffectDraft { task: task?, change })
}

fn unit_effect(mut fields: Fields<'_>) -> Option<UnitEffectDraft> {
    let raise_to = fields.required_word("raise_to", &RISK_CLASSES);
    let hold = fields.duration("hold", HOLDS).unwrap_or_default();
    fields.finish();
    Some(UnitEffectDraft { raise_to: raise_to?, hold })
}
