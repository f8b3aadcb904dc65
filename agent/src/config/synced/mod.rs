//! The chain as upstream gives it: `model` of `cmd/model`, one document of JSON with a version, in the exchange
//! standard's own field names. Each row is read by the reader of its TOML table, so it is held to the same checks; a
//! fault stands at its JSON pointer.
//!
//! It holds objects, units, events, measures and tasks, and nothing else: points, bindings, rules and what may be
//! recorded by itself stay in the files. How the two come together is `merge`'s.

mod merge;

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::tz::TimeZone;
use ring::digest::{Context, Digest, SHA256};
use riskgate_engine::{EventDraft, MeasureDraft, ObjectDraft, TaskDraft, UnitDraft};
use serde::Serialize;
use serde_json::{Map, Value};

use super::few::Few;
use super::fields::{Origin, one_of};
use super::lists::Asked;
use super::model::{self, Items};
use super::place::{Faults, Place, Placed};
use super::values::{half_width, suggest};

pub(super) use merge::{Kept, merge};

/// A model from upstream: what it is known by, and what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Synced {
    /// Rising; its giver's own.
    pub version: u64,
    /// The SHA-256 of [`Synced::body`].
    pub digest: String,
    model: Arc<Value>,
}

/// Why a text is no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoModel {
    #[error("its SHA-256 is {is} and was {was}")]
    Digest { is: String, was: String },
    #[error("it is no JSON: {0}")]
    Json(String),
}

impl Synced {
    pub fn new(version: u64, model: Value) -> Self {
        let digest = sha256(&model);
        Self { version, digest, model: Arc::new(model) }
    }

    /// As [`Synced::body`] wrote it.
    ///
    /// # Errors
    /// It is not what was written.
    pub fn restored(version: u64, digest: &str, body: &str) -> Result<Self, NoModel> {
        let is = hex(&ring::digest::digest(&SHA256, body.as_bytes()));
        if is != digest {
            return Err(NoModel::Digest { is, was: digest.to_owned() });
        }
        let model = serde_json::from_str(body).map_err(|error| NoModel::Json(error.to_string()))?;
        Ok(Self { version, digest: is, model: Arc::new(model) })
    }

    /// Keys in their order, no blanks: the same content is the same text.
    pub fn body(&self) -> String {
        self.model.to_string()
    }
}

/// Of the JSON of it, as it is written: a document may be large, and is not copied for this.
pub(crate) fn sha256(said: &impl Serialize) -> String {
    struct Hashing(Context);
    impl Write for Hashing {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut hashing = Hashing(Context::new(&SHA256));
    // A digest takes every byte, and a document of JSON is JSON.
    let written = serde_json::to_writer(&mut hashing, said);
    debug_assert!(written.is_ok(), "{written:?}");
    hex(&hashing.0.finish())
}

fn hex(digest: &Digest) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The chain, each item with its place.
pub(super) struct Chain {
    pub(super) objects: Items<ObjectDraft>,
    pub(super) units: Items<UnitDraft>,
    pub(super) events: Items<EventDraft>,
    pub(super) measures: Items<MeasureDraft>,
    pub(super) tasks: Items<TaskDraft>,
}

/// A list of the document.
pub(crate) struct List {
    pub(crate) name: &'static str,
    /// Whether the document may do without it.
    pub(crate) optional: bool,
    pub(crate) fields: &'static [Field],
}

/// A field, by the key of its TOML table.
pub(crate) struct Field {
    key: &'static str,
    /// As the document names it; the first that is there.
    pub(crate) names: &'static [&'static str],
    pub(crate) must: bool,
}

const fn must(key: &'static str, names: &'static [&'static str]) -> Field {
    Field { key, names, must: true }
}

const fn may(key: &'static str, names: &'static [&'static str]) -> Field {
    Field { key, names, must: false }
}

/// The code of an object that is a 重大危险源, and of one that is not.
const MAJOR: &str = "hazardCode";
const MINOR: &str = "hazardCode1";

const OBJECTS: &str = "objects";
const UNITS: &str = "units";
const EVENTS: &str = "events";
const MEASURES: &str = "measures";
const TASKS: &str = "tasks";

/// Parents first. The schema of the command is made of it.
pub(crate) static LISTS: [List; 5] = [
    List {
        name: OBJECTS,
        optional: true,
        fields: &[must("id", &[MAJOR, MINOR]), must("name", &["hazardName"]), may("major", &["major"])],
    },
    List {
        name: UNITS,
        optional: false,
        fields: &[
            must("id", &["id"]),
            must("name", &["riskUnitName"]),
            must("hazard_code", &[MAJOR, MINOR]),
            must("base_class", &["riskClass"]),
            may("department", &["hazardDep"]),
            must("liable_person", &["hazardLiablePerson"]),
        ],
    },
    List {
        name: EVENTS,
        optional: false,
        fields: &[must("id", &["id"]), must("unit", &["riskUnitId"]), must("name", &["riskEventName"])],
    },
    List {
        name: MEASURES,
        optional: false,
        fields: &[
            must("id", &["id"]),
            must("event", &["riskEventId"]),
            may("name", &["name", "riskMeasureDesc"]),
            must("description", &["riskMeasureDesc"]),
            must("automatic", &["dataSrc"]),
            must("classify1", &["classify1"]),
            must("classify2", &["classify2"]),
            may("classify3", &["classify3"]),
            may("check", &["troubleshootContent"]),
        ],
    },
    List {
        name: TASKS,
        optional: false,
        fields: &[
            must("id", &["id"]),
            must("measure", &["riskMeasureId"]),
            must("content", &["troubleshootContent"]),
            must("cycle", &["checkCycle"]),
            must("cycle_unit", &["checkCycleUnit"]),
            may("start", &["taskStartTime"]),
            may("work_start", &["workStartTime"]),
            may("work_end", &["workEndTime"]),
            may("work_days", &["workDayType"]),
            may("work_type", &["workType"]),
            may("task_num", &["taskNum"]),
            must("assignee", &["assignee"]),
        ],
    },
];

/// What rows of the exchange standard carry beside that. It is not read.
pub(crate) const PASSED_OVER: [&str; 7] =
    ["tyshxydm", "createTime", "createBy", "createDate", "updateTime", "updateBy", "updateDate"];

/// Whose row it is, and whether it was deleted: read, and refused where it is another's or was.
pub(crate) const COMPANY: &str = "companyCode";
pub(crate) const DELETED: [&str; 2] = ["deleteMark", "deleted"];

/// The names that a place in the document is made of; the first is none.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    let of = |list: &'static List| list.fields.iter().flat_map(|field| field.names.iter().copied());
    let lists = LISTS.iter().flat_map(move |list| std::iter::once(list.name).chain(of(list)));
    std::iter::once("").chain(lists).chain(DELETED).chain([COMPANY])
}

/// What stands in the files for good, whatever the document may call it.
const OURS: [&str; 9] =
    ["points", "sources", "bindings", "rules", "zones", "cameras", "persons", "days", "permits"];

/// Reads all; the document is the file of this number.
pub(super) fn read(synced: &Synced, file: usize, company: &str, zone: &TimeZone, faults: &Faults) -> Chain {
    let none = Map::new();
    let model = synced.model.as_object().unwrap_or_else(|| {
        faults.error(whole(file), "'model' takes an object of lists", None);
        &none
    });
    for name in model.keys().filter(|name| LISTS.iter().all(|list| list.name != name.as_str())) {
        let hint = if OURS.contains(&name.as_str()) {
            Some("that is the plant's own: it stands in the gateway's files".to_owned())
        } else {
            suggest(name, LISTS.iter().map(|list| list.name))
        };
        faults.error(whole(file), format!("the model has no list '{name}'"), hint);
    }
    let reading = Reading { model, events: events_of(model), file, company, faults };
    let mut objects = reading.items(OBJECTS, |row| model::object(row));
    // By their codes: whether it is a 重大危险源, and where the unit says so.
    let mut told: Items<ObjectDraft> = Vec::new();
    let units = reading.items(UNITS, |row| {
        let (major, at) = (row.is_major(), row.place_of("hazard_code"));
        let unit = model::unit(row)?;
        let of = (unit.hazard_code.clone(), major);
        told.push((ObjectDraft { id: of.0.clone(), name: of.0, major: of.1 }, Origin::bare(at)));
        Some(unit)
    });
    settle(&mut objects, told, faults);
    if model.get(UNITS).and_then(Value::as_array).is_some_and(Vec::is_empty) {
        let place = Place::json(file, UNITS, None, "");
        faults.error(place, "a model without a unit would leave the plant without one", None);
    }
    Chain {
        objects,
        units,
        events: reading.items(EVENTS, |row| model::event(row)),
        measures: reading.items(MEASURES, |row| model::measure(row)),
        tasks: reading.items(TASKS, |row| model::task(row, zone)),
    }
}

/// What units say of their objects by the name of the code. It is held against the list of objects; without one it is
/// the list, where it has anything to say.
fn settle(objects: &mut Items<ObjectDraft>, told: Items<ObjectDraft>, faults: &Faults) {
    let is_given = !objects.is_empty();
    if !is_given && told.iter().all(|(told, _)| told.major) {
        return;
    }
    let mut known: HashMap<String, bool> =
        objects.iter().map(|(object, _)| (object.id.clone(), object.major)).collect();
    for (told, origin) in told {
        match known.get(&told.id) {
            Some(major) if *major != told.major => {
                let (is, not) = if *major { (MAJOR, MINOR) } else { (MINOR, MAJOR) };
                let message = format!("the object {} is given by '{is}' and here by '{not}'", told.id);
                faults.error(origin.at(), message, None);
            }
            Some(_) => {}
            // One that a list of objects lacks is told by the check of the whole.
            None if is_given || told.id.is_empty() => {}
            None => {
                known.insert(told.id.clone(), told.major);
                objects.push((told, origin));
            }
        }
    }
}

/// Of events that have one id the first holds; that there are others is told where ids are compared.
fn events_of(model: &Map<String, Value>) -> HashMap<&Value, &Value> {
    let rows = model.get(EVENTS).and_then(Value::as_array).into_iter().flatten();
    let mut events = HashMap::new();
    for row in rows {
        if let Some(id) = row.get("id") {
            events.entry(id).or_insert(row);
        }
    }
    events
}

fn whole(file: usize) -> Place {
    Place::json(file, "", None, "")
}

struct Reading<'a> {
    model: &'a Map<String, Value>,
    /// By id: each measure asks for its own.
    events: HashMap<&'a Value, &'a Value>,
    file: usize,
    company: &'a str,
    faults: &'a Faults,
}

impl Reading<'_> {
    fn items<T>(&self, name: &'static str, mut read: impl FnMut(&mut Row<'_>) -> Option<T>) -> Items<T> {
        let Some(list) = LISTS.iter().find(|list| list.name == name) else { return Vec::new() };
        let place = Place::json(self.file, name, None, "");
        let rows = match self.model.get(name) {
            Some(Value::Array(rows)) => rows.as_slice(),
            None if list.optional => &[],
            None => {
                self.faults.error(whole(self.file), format!("the model lacks '{name}'"), None);
                &[]
            }
            Some(_) => {
                self.faults.error(place, format!("'{name}' takes a list"), None);
                &[]
            }
        };
        let mut items = Vec::new();
        for (at, row) in (0_u32..).zip(rows) {
            let Value::Object(fields) = row else {
                let place = Place::json(self.file, name, Some(at), "");
                self.faults.error(place, "a row is an object", None);
                continue;
            };
            let mut row = Row { list, at, reading: self, fields };
            row.check();
            let origin = row.origin();
            items.extend(read(&mut row).map(|item| (item, origin)));
        }
        items
    }
}

/// One row of a list.
struct Row<'a> {
    list: &'static List,
    at: u32,
    reading: &'a Reading<'a>,
    fields: &'a Map<String, Value>,
}

impl<'a> Row<'a> {
    fn place(&self, key: &'static str) -> Place {
        Place::json(self.reading.file, self.list.name, Some(self.at), key)
    }

    fn field(&self, key: &str) -> Option<&'static Field> {
        self.list.fields.iter().find(|field| field.key == key)
    }

    /// Null and a blank text are how exports write that there is none.
    fn said(&self, name: &str) -> Option<&'a Value> {
        let is_blank = |said: &Value| said.as_str().is_some_and(|text| text.trim().is_empty());
        self.fields.get(name).filter(|said| !said.is_null() && !is_blank(said))
    }

    /// Whether the row gives its object's code by the name of a 重大危险源's.
    fn is_major(&self) -> bool {
        self.said(MINOR).is_none()
    }

    /// The value that stands for the key, under the name that it has here.
    fn value(&self, key: &str) -> Option<(&'static str, &'a Value)> {
        let said = |name: &'static str| Some((name, self.said(name)?));
        self.field(key)?.names.iter().find_map(|name| said(name))
    }

    /// Where the key stands, or would.
    fn place_of(&self, key: &str) -> Place {
        // A measure's unit is that of its event.
        let key = if self.list.name == MEASURES && key == "unit" { "event" } else { key };
        self.value(key).map_or(self.place(""), |(name, _)| self.place(name))
    }

    fn origin(&self) -> Origin {
        let mut keys = Few::default();
        for field in self.list.fields.iter().filter(|field| self.value(field.key).is_some()) {
            keys.add(Box::from(field.key), self.place_of(field.key));
        }
        if self.list.name == MEASURES && self.value("event").is_some() {
            keys.add(Box::from("unit"), self.place_of("unit"));
        }
        Origin::with(self.place(""), keys)
    }

    /// What no reader asks for.
    fn check(&self) {
        let known: BTreeSet<&str> =
            self.list.fields.iter().flat_map(|field| field.names.iter().copied()).collect();
        let known = || known.iter().copied();
        let beside = || PASSED_OVER.into_iter().chain(DELETED).chain([COMPANY]);
        for name in self.fields.keys().map(String::as_str) {
            if !known().chain(beside()).any(|known| known == name) {
                let message = format!("a row of '{}' has no field '{name}'", self.list.name);
                self.reading.faults.error(self.place(""), message, suggest(name, known()));
            }
        }
        if let Some(company) = self.fields.get(COMPANY)
            && company.as_str() != Some(self.reading.company)
        {
            let message = format!("this row is of {company}, the gateway of '{}'", self.reading.company);
            self.reading.faults.error(self.place(COMPANY), message, None);
        }
        for name in DELETED {
            let marked = self.fields.get(name).is_some_and(|said| {
                !said.is_null() && said.as_i64() != Some(0) && said.as_str() != Some("0")
            });
            if marked {
                let hint = "leave the row out: the document is the whole model".to_owned();
                self.reading.faults.error(self.place(name), "a row that was deleted", hint);
            }
        }
        if self.said(MAJOR).is_some() && self.said(MINOR).is_some() {
            let message = format!("a row has '{MAJOR}' of a 重大危险源 or '{MINOR}' of another, not both");
            self.reading.faults.error(self.place(MINOR), message, None);
        }
        // What the reader itself does without, the standard does not.
        for field in self.list.fields.iter().filter(|field| field.must) {
            if matches!(field.key, "automatic" | "cycle_unit" | "description") && !self.has(field.key) {
                self.missing(field.key);
            }
        }
    }

    fn wrong(&self, key: &'static str, wanted: &str) {
        let name = self.value(key).map_or(key, |(name, _)| name);
        Asked::error(self, key, format!("'{name}' takes {wanted}"), None);
    }

    /// The unit of the event that a measure names.
    fn unit_of_event(&self) -> Option<Placed<String>> {
        let (_, event) = self.value("event")?;
        let place = self.place_of("event");
        let Some(of) = self.reading.events.get(event) else {
            let event = event.as_str().unwrap_or_default();
            let faults = self.reading.faults;
            // To compare each with all would take minutes where many are wrong.
            let all = self.reading.model.get(EVENTS)?.as_array()?.iter().filter(|_| faults.left_out() == 0);
            let all = all.filter_map(|of| of.get("id")?.as_str());
            faults.error(place, format!("there is no event '{event}'"), suggest(event, all));
            return None;
        };
        let unit = of.get("riskUnitId")?.as_str()?;
        Some(Placed { value: unit.trim().to_owned(), place })
    }
}

impl Row<'_> {
    /// 管控方式 says it in the standard's numbers, 1 自动化监控 and 2 隐患排查; every other is true or false.
    fn number_or_bool(&self, key: &'static str) -> Option<bool> {
        let (_, value) = self.value(key)?;
        let of_number = match (key, value.as_str().map_or_else(|| value.as_i64(), |text| text.parse().ok())) {
            ("automatic", Some(number @ (1 | 2))) => Some(number == 1),
            (_, Some(number @ (0 | 1))) if key != "automatic" => Some(number == 1),
            (_, _) => None,
        };
        let read = of_number.or_else(|| value.as_bool().filter(|_| key != "automatic"));
        if read.is_none() {
            self.wrong(key, if key == "automatic" { "1 自动化监控 or 2 隐患排查" } else { "true or false" });
        }
        read
    }
}

impl Asked for Row<'_> {
    fn faults(&self) -> &Faults {
        self.reading.faults
    }

    fn text(&mut self, key: &'static str) -> Option<Placed<String>> {
        if self.list.name == MEASURES && key == "unit" {
            return self.unit_of_event();
        }
        let (name, value) = self.value(key)?;
        let place = self.place(name);
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                self.wrong(key, "a text");
                return None;
            }
        };
        if text.is_empty() {
            self.reading.faults.error(place, format!("'{name}' is empty"), None);
            return None;
        }
        Some(Placed { value: text, place })
    }

    fn required_text(&mut self, key: &'static str) -> Option<Placed<String>> {
        let read = self.text(key);
        if read.is_none() && !self.has(key) {
            self.missing(key);
        }
        read
    }

    fn word<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        more: &[(&str, T)],
    ) -> Option<T> {
        let said = self.text(key)?;
        let given = half_width(&said.value);
        let all = || words.iter().chain(more);
        let found = all().find(|(word, _)| word.eq_ignore_ascii_case(&given)).map(|(_, meant)| *meant);
        if found.is_none() {
            let hint = one_of(all().map(|(word, _)| *word));
            self.reading.faults.error(said.place, format!("this cannot be '{}'", said.value), hint);
        }
        found
    }

    /// Whether an object is a 重大危险源, the name of its code says; `major` may say it once more.
    fn flag(&mut self, key: &'static str) -> Option<bool> {
        if key != "major" {
            return self.number_or_bool(key);
        }
        let by_name = self.is_major();
        if self.number_or_bool(key).is_some_and(|said| said != by_name) {
            let name = if by_name { MAJOR } else { MINOR };
            let message = format!("'major' contradicts '{name}'");
            let hint = format!("'{MAJOR}' is of a 重大危险源, '{MINOR}' of any other object");
            Asked::error(self, key, message, Some(hint));
        }
        Some(by_name)
    }

    fn whole(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let said = self.text(key)?;
        let read = said.value.parse().ok().filter(|number| range.contains(number));
        if read.is_none() {
            let hint = format!("allowed: {} to {}", range.start(), range.end());
            self.reading.faults.error(said.place, format!("this cannot be '{}'", said.value), hint);
        }
        read
    }

    /// Only bindings are lists, and they are the plant's own.
    fn texts(&mut self, _: &'static str) -> Vec<String> {
        Vec::new()
    }

    fn error(&self, key: &'static str, message: String, hint: Option<String>) {
        self.reading.faults.error(self.place_of(key), message, hint);
    }

    fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    fn missing(&self, key: &'static str) {
        // What a measure's unit is, its event says; that it lacks one is told there.
        if let Some(name) = self.field(key).and_then(|field| field.names.last()) {
            self.reading.faults.error(self.place(""), format!("this row lacks '{name}'"), None);
        }
    }
}
