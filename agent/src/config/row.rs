//! One row of a point table, asked column by column. As with the tables of TOML, a fault is reported where
//! it stands and the caller goes on.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::fields::{Origin, one_of};
use super::headers::Column;
use super::place::{Faults, Place, Placed};
use super::table::Row;
use super::values::{DURATION_HINT, duration, duration_text, half_width, number};

/// What people write into a cell to say that there is nothing.
const NOTHING: [&str; 6] = ["-", "--", "—", "——", "/", "无"];

pub(super) struct Line<'a> {
    row: &'a Row,
    columns: &'a HashMap<Column, u32>,
    faults: &'a Faults,
}

impl<'a> Line<'a> {
    pub(super) fn new(row: &'a Row, columns: &'a HashMap<Column, u32>, faults: &'a Faults) -> Self {
        Self { row, columns, faults }
    }

    pub(super) fn place(&self, column: Column) -> Place {
        self.columns.get(&column).map_or(self.row.start, |at| self.row.place(*at))
    }

    /// Where the row and each of its columns stand.
    pub(super) fn origin(&self) -> Origin {
        let keys = self.columns.iter().map(|(column, at)| (Box::from(column.key()), self.row.place(*at)));
        Origin { at: self.place(Column::Tag), keys: keys.collect() }
    }

    pub(super) fn error(&self, column: Column, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.faults.error(self.place(column), message, hint);
    }

    pub(super) fn wrong(&self, column: Column, value: &str, what: &str, hint: impl Into<Option<String>>) {
        self.error(column, format!("{}: '{value}' {what}", column.label()), hint);
    }

    pub(super) fn text(&self, column: Column) -> Option<&'a Placed<String>> {
        self.row.cells.get(self.columns.get(&column)?)
    }

    /// A text, where a dash says that there is none.
    pub(super) fn said(&self, column: Column) -> Option<&'a Placed<String>> {
        self.text(column).filter(|cell| !NOTHING.contains(&cell.value.as_str()))
    }

    pub(super) fn required(&self, column: Column) -> Option<&'a Placed<String>> {
        let text = self.text(column);
        if text.is_none() && self.columns.contains_key(&column) {
            self.error(column, format!("{} is empty", column.label()), None);
        }
        text
    }

    pub(super) fn number(&self, column: Column) -> Option<f64> {
        let cell = self.said(column)?;
        match number(&cell.value) {
            Ok(number) => Some(number),
            Err(hint) => {
                self.wrong(column, &cell.value, "is no number", hint);
                None
            }
        }
    }

    pub(super) fn duration(&self, column: Column, range: RangeInclusive<Duration>) -> Option<Duration> {
        let cell = self.said(column)?;
        match duration(&cell.value) {
            Some(read) if range.contains(&read) => Some(read),
            Some(_) => {
                let (from, to) = (duration_text(*range.start()), duration_text(*range.end()));
                self.wrong(column, &cell.value, "is out of range", format!("allowed: {from} to {to}"));
                None
            }
            None => {
                self.wrong(column, &cell.value, "is no duration", DURATION_HINT.to_owned());
                None
            }
        }
    }

    /// One word of a list, in any letter case; `more` are other ways to say the same.
    pub(super) fn word<T: Copy>(&self, column: Column, words: &[(&str, T)], more: &[(&str, T)]) -> Option<T> {
        let cell = self.said(column)?;
        let given = half_width(&cell.value);
        let same = |(word, _): &&(&str, T)| word.eq_ignore_ascii_case(&given);
        let found = words.iter().chain(more).find(same).map(|(_, meant)| *meant);
        if found.is_none() {
            self.wrong(column, &cell.value, "is not known", one_of(words.iter().map(|(word, _)| *word)));
        }
        found
    }
}
