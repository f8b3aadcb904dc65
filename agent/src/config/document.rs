//! All TOML files together as one document: any table may stand in any file, the single ones once.
//!
//! Syntax errors are recovered from as far as the parser can; what could be read of such a file is still
//! checked key by key.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fields::Fields;
use super::place::{Faults, Place};
use super::values::suggest;

/// The tables that stand once over all files.
const SINGLE: [&str; 7] = ["gateway", "uplink", "console", "store", "history", "patience", "model"];
/// The tables of which there are many.
const MANY: [&str; 10] =
    ["source", "object", "unit", "event", "measure", "task", "person", "zone", "camera", "rule"];

/// A table of a file, and what stands for it in messages.
pub(super) struct Entry<'a> {
    file: usize,
    name: &'static str,
    table: &'a DeTable<'a>,
    span: std::ops::Range<usize>,
}

impl<'a> Entry<'a> {
    pub(super) fn fields(&self, faults: &'a Faults) -> Fields<'a> {
        let name = if SINGLE.contains(&self.name) {
            format!("[{}]", self.name)
        } else {
            format!("[[{}]]", self.name)
        };
        Fields::new(self.file, &name, self.table, self.span.clone(), faults)
    }
}

/// Every table by its name, in the order of the files.
#[derive(Default)]
pub(super) struct Document<'a>(BTreeMap<&'static str, Vec<Entry<'a>>>);

impl<'a> Document<'a> {
    /// The one table of this name. A second one was reported when it was added.
    pub(super) fn single(&self, name: &str) -> Option<&Entry<'a>> {
        self.0.get(name)?.first()
    }

    pub(super) fn many(&self, name: &str) -> &[Entry<'a>] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn add(&mut self, file: usize, root: &'a DeTable<'a>, faults: &Faults) {
        // In the order of the file, not of the alphabet: ids are given out in this order.
        let mut tops: Vec<_> = root.iter().collect();
        tops.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in tops {
            let place = Place::span(file, key.span());
            let name = key.get_ref().as_ref();
            if let Some(name) = SINGLE.iter().find(|single| **single == name) {
                self.add_single(file, name, value, place, faults);
            } else if let Some(name) = MANY.iter().find(|many| **many == name) {
                self.add_many(file, name, value, place, faults);
            } else {
                let hint = suggest(name, SINGLE.into_iter().chain(MANY));
                faults.error(place, format!("there is no table or key '{name}'"), hint);
            }
        }
    }

    fn add_single(
        &mut self,
        file: usize,
        name: &'static str,
        value: &'a Spanned<DeValue<'a>>,
        place: Place,
        faults: &Faults,
    ) {
        let DeValue::Table(table) = value.get_ref() else {
            return faults.error(place, format!("'{name}' is one table"), Some(format!("write [{name}]")));
        };
        let entries = self.0.entry(name).or_default();
        if let Some(first) = entries.first() {
            let first = Place::span(first.file, first.span.clone());
            let message = format!("[{name}] stands twice");
            faults.error_with(Place::span(file, value.span()), message, first, "the first one", None);
        }
        entries.push(Entry { file, name, table, span: value.span() });
    }

    fn add_many(
        &mut self,
        file: usize,
        name: &'static str,
        value: &'a Spanned<DeValue<'a>>,
        place: Place,
        faults: &Faults,
    ) {
        let wrong = |place| {
            let hint = format!("write [[{name}]] before each");
            faults.error(place, format!("'{name}' is a list of tables"), Some(hint));
        };
        let entries = self.0.entry(name).or_default();
        let array = match value.get_ref() {
            DeValue::Array(array) => array,
            DeValue::Table(table) => {
                // What is meant is plain: it is read, so that its own faults show too.
                entries.push(Entry { file, name, table, span: value.span() });
                return wrong(place);
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => return wrong(place),
        };
        for element in array.iter() {
            let span = element.span();
            if let DeValue::Table(table) = element.get_ref() {
                entries.push(Entry { file, name, table, span });
            } else {
                wrong(Place::span(file, span));
            }
        }
    }
}

/// Parses one file; its syntax errors are reported, what could be read is returned.
pub(super) fn parse<'a>(file: usize, text: &'a str, faults: &Faults) -> Spanned<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        faults.unreadable_part();
    }
    for error in errors {
        let place = error.span().map_or(Place::whole(file), |span| Place::span(file, span));
        let found = error.span().and_then(|span| text.get(span)).unwrap_or_default();
        faults.error(place, format!("TOML: {}", error.message()), hint(error.message(), found));
    }
    table
}

fn hint(message: &str, found: &str) -> Option<String> {
    let said = if found.contains(['“', '”', '＂', '‘', '’']) {
        "these are the quotes of a Chinese keyboard: write \" before and after"
    } else if message.contains("key") && !found.is_ascii() {
        "keys are in English; a text in Chinese stands in quotes after its ="
    } else if message.contains("duplicate key") {
        "each key and each [table] stands once; of a list write [[…]] before each"
    } else if message.contains("quote") || message.contains("string") {
        "texts and durations stand in quotes: name = \"罐区A\""
    } else {
        return None;
    };
    Some(said.to_owned())
}
