//! The typed reader of TOML tables: asks a table for each key it knows, and reports what is missing, of
//! another type, out of range, or not asked for by anyone. It never stops at a fault: the caller gets
//! `None` and goes on, so that all problems are shown at once.
//!
//! The keys that were asked for are the keys that exist: there is no second list to keep in step.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::few::Few;
use super::place::{Faults, Place, Placed};
use super::values::{DURATION_HINT, duration, duration_text, from_chinese, in_chinese, suggest};

/// Where an item and each of its keys stand; keys of a table within it as `hazard.level`.
/// A fault that the engine finds comes back to its file through this.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    at: Place,
    keys: Keys,
}

#[derive(Debug, Clone)]
enum Keys {
    /// Of a table of TOML.
    Own(Few<Box<str>, Place>),
    /// Of a row: what all rows of its table are asked for, and where the row has it, in the same order.
    Row(Asked, Box<[Place]>),
}

/// The keys that the rows of one table have, each with its column.
pub(super) type Asked = Rc<[(Box<str>, u32)]>;

impl Origin {
    /// Of what has no keys.
    pub(super) fn bare(at: Place) -> Self {
        Self { at, keys: Keys::Own(Few::default()) }
    }

    /// `places` are those of the columns of `asked`.
    pub(super) fn row(at: Place, asked: &Asked, places: Box<[Place]>) -> Self {
        Self { at, keys: Keys::Row(Rc::clone(asked), places) }
    }

    pub(super) fn with(at: Place, keys: Few<Box<str>, Place>) -> Self {
        Self { at, keys: Keys::Own(keys) }
    }

    /// A key that stands elsewhere.
    pub(super) fn add(&mut self, key: &str, at: Place) {
        match &mut self.keys {
            Keys::Own(keys) => keys.add(Box::from(key), at),
            Keys::Row(..) => {}
        }
    }

    pub(super) fn at(&self) -> Place {
        self.at
    }

    pub(super) fn of(&self, key: &str) -> Place {
        self.key(key).unwrap_or(self.at)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.key(key).is_some()
    }

    fn key(&self, key: &str) -> Option<Place> {
        match &self.keys {
            Keys::Own(keys) => keys.get(key).copied(),
            Keys::Row(asked, places) => {
                let at = asked.iter().position(|(of, _)| **of == *key)?;
                places.get(at).copied()
            }
        }
    }
}

/// One table, being read.
pub(super) struct Fields<'a> {
    file: usize,
    /// As it is called in messages: `[uplink]`, `[[rule]]`, `hazard`.
    name: String,
    at: Place,
    table: &'a DeTable<'a>,
    faults: &'a Faults,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// `span` is what stands for the whole table: its header, or all of an inline table.
    pub(super) fn new(
        file: usize,
        name: &str,
        table: &'a DeTable<'a>,
        span: std::ops::Range<usize>,
        faults: &'a Faults,
    ) -> Self {
        let at = Place::span(file, span);
        Self { file, name: name.to_owned(), at, table, faults, asked: Vec::new() }
    }

    pub(super) fn at(&self) -> Place {
        self.at
    }

    pub(super) fn faults(&self) -> &'a Faults {
        self.faults
    }

    pub(super) fn origin(&self) -> Origin {
        let mut keys = Few::default();
        gather(self.file, "", self.table, &mut keys);
        Origin { at: self.at, keys: Keys::Own(keys) }
    }

    /// Where the key's value stands, or else the table.
    pub(super) fn place(&self, key: &str) -> Place {
        self.table.get(key).map_or(self.at, |value| Place::span(self.file, value.span()))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn ask(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key);
        self.table.get(key)
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let hint = match name {
                "password" => Some("write password_file: no password stands in the configuration".to_owned()),
                _ => match from_chinese(name).filter(|key| self.asked.contains(key)) {
                    Some(key) => Some(format!("write {key}: keys are in English")),
                    None => suggest(name, self.asked.iter().copied()),
                },
            };
            let place = Place::span(self.file, key.span());
            self.faults.error(place, format!("{} has no key '{name}'", self.name), hint);
        }
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str, hint: Option<String>) {
        let place = Place::span(self.file, value.span());
        let message = format!("'{key}' takes {wanted}, this is {}", kind(value.get_ref()));
        self.faults.error(place, message, hint);
    }

    pub(super) fn missing(&self, key: &str) {
        let chinese = in_chinese(key).map(|chinese| format!(" {chinese}")).unwrap_or_default();
        self.faults.error(self.at, format!("{} lacks '{key}'{chinese}", self.name), None);
    }

    pub(super) fn error(&self, key: &str, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.faults.error(self.place(key), message, hint);
    }

    pub(super) fn warning(&self, key: &str, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.faults.warning(self.place(key), message, hint);
    }

    fn required<T>(&self, key: &str, read: Option<T>) -> Option<T> {
        if read.is_none() && !self.has(key) {
            self.missing(key);
        }
        read
    }

    /// A text that is not blank, without the blanks around it.
    pub(super) fn text(&mut self, key: &'static str) -> Option<Placed<String>> {
        let value = self.ask(key)?;
        let DeValue::String(text) = value.get_ref() else {
            let hint = match value.get_ref() {
                DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
                    Some(format!("put it in quotes: {key} = \"…\""))
                }
                DeValue::String(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
            };
            self.wrong_type(key, value, "a text", hint);
            return None;
        };
        let place = Place::span(self.file, value.span());
        if text.trim().is_empty() {
            self.faults.error(place, format!("'{key}' is empty"), None);
            return None;
        }
        Some(Placed { value: text.trim().to_owned(), place })
    }

    pub(super) fn required_text(&mut self, key: &'static str) -> Option<Placed<String>> {
        let read = self.text(key);
        self.required(key, read)
    }

    /// A text as it stands, blanks and all: the places of an expression's faults count from its start.
    pub(super) fn verbatim(&mut self, key: &'static str) -> Option<String> {
        self.text(key)?;
        match self.table.get(key)?.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        }
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.ask(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        self.wrong_type(key, value, "true or false", None);
        None
    }

    /// A whole number within `range`.
    pub(super) fn integer<T>(&mut self, key: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let value = self.ask(key)?;
        let allowed = format!("{} to {}", range.start(), range.end());
        let DeValue::Integer(written) = value.get_ref() else {
            self.wrong_type(key, value, "a whole number", Some(format!("allowed: {allowed}")));
            return None;
        };
        let digits: String = written.as_str().chars().filter(|c| *c != '_').collect();
        let number = i64::from_str_radix(&digits, written.radix()).ok().and_then(|n| T::try_from(n).ok());
        match number.filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => {
                let place = Place::span(self.file, value.span());
                let message = format!("'{key}' = {written} is out of range");
                self.faults.error(place, message, Some(format!("allowed: {allowed}")));
                None
            }
        }
    }

    pub(super) fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let value = self.ask(key)?;
        let place = Place::span(self.file, value.span());
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_type(key, value, "a duration", Some(format!("{DURATION_HINT}, in quotes")));
            return None;
        };
        let Some(read) = duration(text) else {
            let message = format!("'{key}' = \"{text}\" is no duration");
            self.faults.error(place, message, Some(DURATION_HINT.to_owned()));
            return None;
        };
        if !range.contains(&read) {
            let allowed = format!("{} to {}", duration_text(*range.start()), duration_text(*range.end()));
            let message = format!("'{key}' = \"{text}\" is out of range");
            self.faults.error(place, message, Some(format!("allowed: {allowed}")));
            return None;
        }
        Some(read)
    }

    /// A number, or a text of one with a percent sign. `hint` says what to write.
    pub(super) fn amount(&mut self, key: &'static str, hint: String) -> Option<Amount> {
        let value = self.ask(key)?;
        let read = match value.get_ref() {
            DeValue::Integer(written) => plain_number(written.as_str()).map(Amount::Number),
            DeValue::Float(written) => plain_number(written.as_str()).map(Amount::Number),
            DeValue::String(text) => {
                text.trim().strip_suffix(['%', '％']).and_then(plain_number).map(Amount::Percent)
            }
            DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
        };
        if read.is_none() {
            self.wrong_type(key, value, "a number or a percentage", Some(hint));
        }
        read
    }

    pub(super) fn number(&mut self, key: &'static str) -> Option<f64> {
        let value = self.ask(key)?;
        let read = match value.get_ref() {
            DeValue::Integer(written) => plain_number(written.as_str()),
            DeValue::Float(written) => plain_number(written.as_str()),
            DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        if read.is_none() {
            self.wrong_type(key, value, "a number", Some(format!("write {key} = 12.5, without quotes")));
        }
        read
    }

    /// One word of a list.
    pub(super) fn word<T: Clone>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text.value).map(|(_, meant)| meant.clone());
        if found.is_none() {
            let message = format!("'{key}' cannot be '{}'", text.value);
            self.faults.error(text.place, message, Some(one_of(words.iter().map(|(word, _)| *word))));
        }
        found
    }

    pub(super) fn required_word<T: Clone>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let read = self.word(key, words);
        self.required(key, read)
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<Placed<String>>> {
        let value = self.ask(key)?;
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(key, value, "a list of texts", None);
            return None;
        };
        let mut texts = Vec::new();
        for element in array.iter() {
            let place = Place::span(self.file, element.span());
            if let DeValue::String(text) = element.get_ref() {
                texts.push(Placed { value: text.trim().to_owned(), place });
            } else {
                self.wrong_type(key, element, "a list of texts", None);
            }
        }
        Some(texts)
    }

    /// A table whose keys are anybody's: each with its text, which may be empty, in the order of the keys.
    pub(super) fn map(&mut self, key: &'static str) -> Option<Vec<(String, Placed<String>)>> {
        let value = self.ask(key)?;
        let DeValue::Table(table) = value.get_ref() else {
            let hint = format!("write {key} = {{ \"their name\" = \"our name\" }}");
            self.wrong_type(key, value, "a table of names", Some(hint));
            return None;
        };
        let mut texts = Vec::new();
        for (name, text) in table {
            let place = Place::span(self.file, text.span());
            if let DeValue::String(text) = text.get_ref() {
                texts.push((name.get_ref().to_string(), Placed { value: text.trim().to_owned(), place }));
            } else {
                self.wrong_type(name.get_ref(), text, "a text", None);
            }
        }
        Some(texts)
    }

    /// A table within this one. What is wrong in it is its reader's to report.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Fields<'a>> {
        let value = self.ask(key)?;
        if let DeValue::Table(table) = value.get_ref() {
            return Some(Fields::new(self.file, key, table, value.span(), self.faults));
        }
        self.wrong_type(key, value, "a table", Some(format!("write {key} = {{ … }}")));
        None
    }

    /// A list of tables within this one.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Fields<'a>> {
        let Some(value) = self.ask(key) else { return Vec::new() };
        let hint = || Some(format!("write {key} = [{{ … }}]"));
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(key, value, "a list of tables", hint());
            return Vec::new();
        };
        let mut tables = Vec::new();
        for element in array.iter() {
            if let DeValue::Table(table) = element.get_ref() {
                tables.push(Fields::new(self.file, key, table, element.span(), self.faults));
            } else {
                self.wrong_type(key, element, "a list of tables", hint());
            }
        }
        tables
    }
}

/// A number as it stands, or of a hundred.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Amount {
    Number(f64),
    Percent(f64),
}

fn plain_number(written: &str) -> Option<f64> {
    let digits: String = written.trim().chars().filter(|c| *c != '_').collect();
    digits.parse().ok().filter(|number: &f64| number.is_finite())
}

/// `one of: a, b, c`
pub(super) fn one_of<'w>(words: impl Iterator<Item = &'w str>) -> String {
    format!("one of: {}", words.collect::<Vec<_>>().join(", "))
}

fn gather(file: usize, within: &str, table: &DeTable<'_>, keys: &mut Few<Box<str>, Place>) {
    for (key, value) in table {
        let path = format!("{within}{}", key.get_ref());
        if let DeValue::Table(inner) = value.get_ref() {
            gather(file, &format!("{path}."), inner, keys);
        }
        keys.add(Box::from(path), Place::span(file, value.span()));
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
