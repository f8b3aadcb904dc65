//! The chain of the plant and its rules: `[[object]]`, `[[unit]]`, `[[event]]`, `[[measure]]`, `[[task]]`,
//! `[[person]]`, `[[zone]]`, `[[camera]]`, `[[rule]]`; all but the last two also as lists. Only shapes are checked here; whether names exist and expressions hold is the engine's to
//! say (`Plant::build`), and comes back to its place through the origins that are kept beside each item.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use riskgate_engine::{
    Binding, CameraDraft, Class, Confirm, EventDraft, HazardDraft, Level, MeasureDraft, ObjectDraft,
    Patience, PersonDraft, Priority, Raising, RiskClass, RuleDraft, TaskChange, TaskDraft, TaskEffectDraft,
    UnitDraft, UnitEffectDraft, WorkDays, ZoneDraft,
};
use riskgate_point::SourceId;

use super::calendar;
use super::document::Document;
use super::fields::{Fields, Origin, one_of};
use super::lists::{self, Asked};
use super::patience::REOPEN_WITHIN;
use super::place::{Faults, Place};
use super::site::level;
use super::table::Sheet;
use super::values::suggest;

/// The items of one kind, each with its place in the files.
pub(super) type Items<T> = Vec<(T, Origin)>;

#[derive(Default)]
pub(super) struct Model {
    pub(super) patience: Patience,
    /// Whether a day is worked, where the calendar says so.
    pub(super) days: BTreeMap<Date, bool>,
    pub(super) objects: Items<ObjectDraft>,
    pub(super) units: Items<UnitDraft>,
    pub(super) events: Items<EventDraft>,
    pub(super) measures: Items<MeasureDraft>,
    pub(super) tasks: Items<TaskDraft>,
    pub(super) persons: Items<PersonDraft>,
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

/// As platforms write them: by colour, by number, by name.
const RISK_CLASSES_ZH: [(&str, RiskClass); 12] = [
    ("红", RiskClass::Red),
    ("橙", RiskClass::Orange),
    ("黄", RiskClass::Yellow),
    ("蓝", RiskClass::Blue),
    ("1", RiskClass::Red),
    ("2", RiskClass::Orange),
    ("3", RiskClass::Yellow),
    ("4", RiskClass::Blue),
    ("重大", RiskClass::Red),
    ("较大", RiskClass::Orange),
    ("一般", RiskClass::Yellow),
    ("低", RiskClass::Blue),
];

const WORK_DAYS: [(&str, WorkDays); 3] =
    [("every", WorkDays::Every), ("working", WorkDays::Working), ("resting", WorkDays::Resting)];
const WORK_DAYS_ZH: [(&str, WorkDays); 6] = [
    ("每天", WorkDays::Every),
    ("法定工作日", WorkDays::Working),
    ("非法定工作日", WorkDays::Resting),
    ("0", WorkDays::Every),
    ("1", WorkDays::Working),
    ("2", WorkDays::Resting),
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
const WORK_TYPE_MAX: u32 = 3;
/// 包保 items; the engine knows how many of each.
const TASK_NUM_MAX: u32 = 10;
const HAZARD_CODE_CHARACTERS_MAX: usize = 36;
const DAY: Duration = Duration::from_secs(86400);
const YEAR: Duration = Duration::from_secs(366 * 86400);
const SECOND: Duration = Duration::from_secs(1);
/// On- and off-delays: a longer one is no alarm but a report.
const DELAYS: RangeInclusive<Duration> = Duration::ZERO..=DAY;
/// An alarm that comes anew more often than each minute is chattering; one beyond a day is nobody's shift.
const REALARMS: RangeInclusive<Duration> = Duration::from_secs(60)..=DAY;
const CYCLES: RangeInclusive<Duration> = SECOND..=YEAR;
const HOLD_MAX: Duration = Duration::from_secs(30 * 86400);
const HOLDS: RangeInclusive<Duration> = Duration::ZERO..=HOLD_MAX;
/// Each is remembered with its time.
const REPEATS_MAX: u32 = 100;
const DEFAULT_DEADLINE: Duration = DAY;
/// Persons in a zone.
const ZONE_LIMIT_MAX: u32 = 10_000;

/// Reads all; `sources` are the sources' ids in order, `lists` the tables that are lists of the model.
pub(super) fn read(
    document: &Document<'_>,
    lists: Vec<Sheet>,
    sources: &[&str],
    zone: &TimeZone,
    faults: &Faults,
) -> Model {
    /// From the tables of TOML, then from the lists.
    macro_rules! both {
        ($name:literal, [$($required:literal),*], $read:expr) => {{
            let mut all = items(document, $name, faults, |fields| $read(fields));
            all.extend(lists::items(&lists, $name, &[$($required),*], faults, |cells| $read(cells)));
            all
        }};
    }
    Model {
        patience: super::patience::read(document, faults),
        days: calendar::days(&lists, faults),
        objects: both!("object", ["name"], object),
        units: both!("unit", ["name", "hazard_code", "base_class", "liable_person"], unit),
        events: both!("event", ["unit", "name"], event),
        measures: both!("measure", ["unit", "event", "name", "classify1", "classify2"], measure),
        tasks: both!("task", ["measure", "content", "cycle", "assignee"], |of| task(of, zone)),
        persons: both!("person", ["name"], person),
        zones: both!("zone", ["name", "unit"], self::zone),
        cameras: items(document, "camera", faults, |fields| camera(fields, sources)),
        rules: items(document, "rule", faults, rule),
    }
}

fn items<T>(
    document: &Document<'_>,
    name: &str,
    faults: &Faults,
    mut read: impl FnMut(&mut Fields<'_>) -> Option<T>,
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
fn id(of: &mut impl Asked) -> Option<String> {
    of.required_text("id").map(|id| id.value)
}

/// A required text; empty where it is missing, which was reported.
fn required(of: &mut impl Asked, key: &'static str) -> String {
    of.required_text(key).map(|text| text.value).unwrap_or_default()
}

fn optional(of: &mut impl Asked, key: &'static str) -> Option<String> {
    of.text(key).map(|text| text.value)
}

fn said(of: &mut impl Asked, key: &'static str) -> String {
    optional(of, key).unwrap_or_default()
}

fn required_word<T: Copy + PartialEq>(
    of: &mut impl Asked,
    key: &'static str,
    words: &[(&str, T)],
    more: &[(&str, T)],
) -> Option<T> {
    if !of.has(key) {
        of.missing(key);
    }
    of.word(key, words, more)
}

pub(super) fn object(of: &mut impl Asked) -> Option<ObjectDraft> {
    let (id, name) = (id(of), required(of, "name"));
    let major = of.flag("major").unwrap_or(false);
    Some(ObjectDraft { id: id?, name, major })
}

pub(super) fn event(of: &mut impl Asked) -> Option<EventDraft> {
    let (id, unit, name) = (id(of), required(of, "unit"), required(of, "name"));
    Some(EventDraft { id: id?, unit, name })
}

pub(super) fn unit(of: &mut impl Asked) -> Option<UnitDraft> {
    let id = of.required_text("id");
    if let Some(id) = &id {
        level(of.faults(), id);
    }
    let hazard_code = required(of, "hazard_code");
    if hazard_code.chars().count() > HAZARD_CODE_CHARACTERS_MAX {
        let hint = format!("it has at most {HAZARD_CODE_CHARACTERS_MAX} characters");
        of.error("hazard_code", "'hazard_code' is too long".to_owned(), Some(hint));
    }
    let unit = UnitDraft {
        id: String::new(),
        name: required(of, "name"),
        hazard_code,
        base: required_word(of, "base_class", &RISK_CLASSES, &RISK_CLASSES_ZH).unwrap_or(RiskClass::Blue),
        department: said(of, "department"),
        liable_person: required(of, "liable_person"),
    };
    Some(UnitDraft { id: id?.value, ..unit })
}

pub(super) fn measure(of: &mut impl Asked) -> Option<MeasureDraft> {
    let id = id(of);
    let unit = required(of, "unit");
    let event = required(of, "event");
    let name = required(of, "name");
    let tops: Vec<(&str, &[&str])> = CLASSIFY.to_vec();
    let top = required_word(of, "classify1", &CLASSIFY.map(|(top, _)| (top, top)), &[]);
    let all: Vec<(&str, &str)> =
        tops.iter().flat_map(|(_, below)| below.iter()).map(|below| (*below, *below)).collect();
    let below = required_word(of, "classify2", &all, &[]);
    if let (Some(top), Some(below)) = (top, below)
        && let Some((_, allowed)) = tops.iter().find(|(name, _)| *name == top)
        && !allowed.contains(&below)
    {
        let message = format!("'classify2' = \"{below}\" is not below 'classify1' = \"{top}\"");
        of.error("classify2", message, Some(one_of(allowed.iter().copied())));
    }
    let measure = MeasureDraft {
        id: String::new(),
        unit,
        event,
        name,
        description: said(of, "description"),
        classify1: top.unwrap_or_default().to_owned(),
        classify2: below.unwrap_or_default().to_owned(),
        classify3: said(of, "classify3"),
        check: said(of, "check"),
        automatic: of.flag("automatic").unwrap_or(true),
        auto_record: of.flag("auto_record").unwrap_or(false),
        bound: Binding {
            points: of.texts("points"),
            zones: of.texts("zones"),
            cameras: of.texts("cameras"),
            permits: of.texts("permits"),
        },
    };
    Some(MeasureDraft { id: id?, ..measure })
}

pub(super) fn task(of: &mut impl Asked, zone: &TimeZone) -> Option<TaskDraft> {
    let id = id(of);
    let measure = required(of, "measure");
    let content = required(of, "content");
    let (cycle, months) = calendar::cycle(of, CYCLES).unwrap_or((DAY, None));
    let task = TaskDraft {
        id: String::new(),
        measure,
        content,
        cycle,
        months,
        start: calendar::start(of, zone),
        hours: calendar::hours(of),
        days: of.word("work_days", &WORK_DAYS, &WORK_DAYS_ZH).unwrap_or_default(),
        work_type: of.whole("work_type", 0..=WORK_TYPE_MAX).and_then(|of| u8::try_from(of).ok()).unwrap_or(0),
        task_num: of.whole("task_num", 1..=TASK_NUM_MAX).and_then(|of| u8::try_from(of).ok()),
        assignee: String::new(),
    };
    let assignee = of.required_text("assignee");
    if let Some(assignee) = &assignee {
        level(of.faults(), assignee);
    }
    let assignee = assignee.map(|text| text.value).unwrap_or_default();
    Some(TaskDraft { id: id?, assignee, ..task })
}

fn person(of: &mut impl Asked) -> Option<PersonDraft> {
    let (id, name) = (id(of), required(of, "name"));
    let (role, tags) = (said(of, "role"), of.texts("tags"));
    Some(PersonDraft { id: id?, name, role, tags })
}

fn zone(of: &mut impl Asked) -> Option<ZoneDraft> {
    let id = id(of);
    let zone = ZoneDraft {
        id: String::new(),
        name: required(of, "name"),
        unit: required(of, "unit"),
        limit: of.whole("limit", 1..=ZONE_LIMIT_MAX),
        polygon: polygon(of),
        floor: said(of, "floor"),
        roles: of.texts("roles"),
    };
    Some(ZoneDraft { id: id?, ..zone })
}

/// `0 0; 40 0; 40 25; 0 25`: x and y of each corner.
fn polygon(of: &mut impl Asked) -> Vec<(f64, f64)> {
    let Some(text) = of.text("polygon") else { return Vec::new() };
    let corner = |corner: &str| {
        let mut numbers = corner.split_whitespace().map(|number| number.parse::<f64>().ok());
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Some(x)), Some(Some(y)), None) if x.is_finite() && y.is_finite() => Some((x, y)),
            (_, _, _) => None,
        }
    };
    let mut corners = Vec::new();
    for part in text.value.split([';', ',', '；', '，']).map(str::trim).filter(|part| !part.is_empty()) {
        let Some(read) = corner(part) else {
            let hint = "write x and y of each corner: 0 0; 40 0; 40 25; 0 25".to_owned();
            of.error("polygon", format!("'{part}' is no corner of a polygon"), Some(hint));
            return Vec::new();
        };
        corners.push(read);
    }
    corners
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
    let raising = raising(&mut fields);
    let reopen_within = fields.duration("reopen_within", REOPEN_WITHIN);
    fields.finish();
    HazardDraft { level, confirm, deadline, cause, raising, reopen_within }
}

fn raising(fields: &mut Fields<'_>) -> Raising {
    let after = fields.duration("after", SECOND..=DAY);
    let times = fields.integer("repeats", 2..=REPEATS_MAX);
    let within = fields.duration("within", SECOND..=HOLD_MAX);
    if fields.has("after") && fields.has("repeats") {
        fields.error("repeats", "a hazard waits for a time or for repeats", "keep one of the two".to_owned());
    }
    if fields.has("repeats") != fields.has("within") {
        let hint = "write repeats = 3, within = \"1h\"".to_owned();
        fields.error("", "'repeats' and 'within' belong together", hint);
    }
    match (after, times, within) {
        (Some(after), _, _) => Raising::After(after),
        (None, Some(times), Some(within)) => Raising::Repeats { times, within },
        (None, _, _) => Raising::AtOnce,
    }
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
