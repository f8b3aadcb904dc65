//! One row of a table, asked column by column. As with the tables of TOML, a fault is reported where
//! it stands and the caller goes on.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::fields::{Asked, Origin, one_of};
use super::headers::{Column, Named};
use super::place::{Faults, Place, Placed};
use super::table::Row;
use super::values::{DURATION_HINT, duration, duration_text, half_width, number};

/// What people write into a cell to say that there is nothing.
const NOTHING: [&str; 6] = ["-", "--", "—", "——", "/", "无"];

pub(super) struct Line<'a, C = Column> {
    row: &'a Row,
    columns: &'a HashMap<C, u32>,
    faults: &'a Faults,
}

/// The keys under which the rows of a table have these columns.
pub(super) fn asked<C: Named>(columns: &HashMap<C, u32>) -> Vec<(Box<str>, u32)> {
    columns.iter().map(|(column, at)| (Box::from(column.key()), *at)).collect()
}

impl<'a, C: Named> Line<'a, C> {
    pub(super) fn new(row: &'a Row, columns: &'a HashMap<C, u32>, faults: &'a Faults) -> Self {
        Self { row, columns, faults }
    }

    pub(super) fn place(&self, column: C) -> Place {
        self.columns.get(&column).map_or(self.row.start, |at| self.row.place(*at))
    }

    pub(super) fn has(&self, column: C) -> bool {
        self.columns.contains_key(&column)
    }

    /// Where the row, told of by its cell under `named`, and each of the columns that are asked for stand.
    pub(super) fn origin(&self, named: C, asked: &Asked) -> Origin {
        let places = asked.iter().map(|(_, at)| self.row.place(*at)).collect();
        Origin::row(self.place(named), asked, places)
    }

    pub(super) fn error(&self, column: C, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.faults.error(self.place(column), message, hint);
    }

    pub(super) fn wrong(&self, column: C, value: &str, what: &str, hint: impl Into<Option<String>>) {
        self.error(column, format!("{}: '{value}' {what}", column.label()), hint);
    }

    pub(super) fn text(&self, column: C) -> Option<&'a Placed<String>> {
        self.row.cells.get(self.columns.get(&column)?)
    }

    /// A text, where a dash says that there is none.
    pub(super) fn said(&self, column: C) -> Option<&'a Placed<String>> {
        self.text(column).filter(|cell| !NOTHING.contains(&cell.value.as_str()))
    }

    pub(super) fn required(&self, column: C) -> Option<&'a Placed<String>> {
        let text = self.text(column);
        if text.is_none() && self.columns.contains_key(&column) {
            self.error(column, format!("{} is empty", column.label()), None);
        }
        text
    }

    /// A whole number within `range`.
    pub(super) fn whole(&self, column: C, range: RangeInclusive<u32>) -> Option<u32> {
        let cell = self.said(column)?;
        let read = cell.value.parse().ok().filter(|read| range.contains(read));
        if read.is_none() {
            let allowed = format!("allowed: whole numbers from {} to {}", range.start(), range.end());
            self.wrong(column, &cell.value, "is out of range or no whole number", allowed);
        }
        read
    }

    pub(super) fn number(&self, column: C) -> Option<f64> {
        let cell = self.said(column)?;
        match number(&cell.value) {
            Ok(number) => Some(number),
            Err(hint) => {
                self.wrong(column, &cell.value, "is no number", hint);
                None
            }
        }
    }

    pub(super) fn duration(&self, column: C, range: RangeInclusive<Duration>) -> Option<Duration> {
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
    pub(super) fn word<T: Copy + PartialEq>(
        &self,
        column: C,
        words: &[(&str, T)],
        more: &[(&str, T)],
    ) -> Option<T> {
        let cell = self.said(column)?;
        let given = half_width(&cell.value);
        let same = |(word, _): &&(&str, T)| word.eq_ignore_ascii_case(&given);
        let found = words.iter().chain(more).find(same).map(|(_, meant)| *meant);
        if found.is_none() {
            // As the reader would write it: each word with the first of its other ways.
            let both = words.iter().map(|(word, meant)| match more.iter().find(|(_, same)| same == meant) {
                Some((other, _)) => format!("{other} {word}"),
                None => (*word).to_owned(),
            });
            let all: Vec<String> = both.collect();
            self.wrong(column, &cell.value, "is not known", one_of(all.iter().map(String::as_str)));
        }
        found
    }
}
