//! Where a thing was read: a file, and a place in it. Faults are collected here while the files are read.
//!
//! A [`Place`] is small, since each cell of 100,000 rows has one, and ordered; what it looks like to a person
//! is made at the end ([`Faults::diagnostics`]), when all is read.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::PathBuf;

use riskgate_engine::Severity;

use super::diagnostic::{Diagnostic, Location, Spot, line_starts};
use super::synced::words;

/// Faults of a document from upstream that are kept; of the others their number. Nobody mends more of them at once,
/// and a document of 1 MiB can have a hundred thousand.
const OF_DOCUMENT_MAX: usize = 1_000;

/// One file as it was read.
#[derive(Debug, Default)]
pub(super) struct File {
    /// Relative to the configuration folder.
    pub(super) name: PathBuf,
    /// Decoded; empty for a workbook.
    pub(super) text: String,
    /// The sheets of a workbook.
    pub(super) sheets: Vec<String>,
}

/// A place in one of the files. Sorts by file, then down the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// The file's place in the list of files.
    file: u32,
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum At {
    Whole,
    /// Bytes of the decoded text; no file is as long as what does not fit.
    Span {
        start: u32,
        end: u32,
    },
    /// Sheet, row and column from 0.
    Cell {
        sheet: u16,
        row: u32,
        column: u32,
    },
    /// A list of a document of JSON, a row of it from 0, a field of that; each may be open.
    /// The names by their places among `synced::words`; `u32::MAX`: no row.
    Json {
        list: u8,
        key: u8,
        row: u32,
    },
}

impl Place {
    /// What stands in no file, because it should and does not. Sorts last.
    pub(super) const NOWHERE: Self = Self { file: u32::MAX, at: At::Whole };

    pub(super) fn whole(file: usize) -> Self {
        Self { file: small(file), at: At::Whole }
    }

    pub(super) fn span(file: usize, span: std::ops::Range<usize>) -> Self {
        Self { file: small(file), at: At::Span { start: small(span.start), end: small(span.end) } }
    }

    pub(super) fn cell(file: usize, sheet: usize, row: u32, column: u32) -> Self {
        let sheet = u16::try_from(sheet).unwrap_or(u16::MAX);
        Self { file: small(file), at: At::Cell { sheet, row, column } }
    }

    /// Empty names are open.
    pub(super) fn json(file: usize, list: &str, row: Option<u32>, key: &str) -> Self {
        let word = |name: &str| words().position(|word| word == name).and_then(|at| u8::try_from(at).ok());
        let (list, key) = (word(list).unwrap_or(0), word(key).unwrap_or(0));
        Self { file: small(file), at: At::Json { list, key, row: row.unwrap_or(u32::MAX) } }
    }

    /// The same row of the same sheet.
    pub(super) fn beside(self, column: u32) -> Self {
        match self.at {
            At::Cell { sheet, row, column: _ } => Self { at: At::Cell { sheet, row, column }, ..self },
            At::Whole | At::Span { .. } | At::Json { .. } => self,
        }
    }

    /// The file's place in the list of files, and the bytes of its decoded text. `None`: it is no part of a text.
    pub(super) fn text(self) -> Option<(usize, std::ops::Range<usize>)> {
        match self.at {
            At::Span { start, end } => Some((large(self.file), large(start)..large(end))),
            At::Whole | At::Cell { .. } | At::Json { .. } => None,
        }
    }

    fn location(self, files: &[File], lines: &[Vec<usize>]) -> Location {
        let Some(file) = files.get(large(self.file)) else {
            return Location { file: PathBuf::new(), spot: Spot::File };
        };
        match self.at {
            At::Whole => Location { file: file.name.clone(), spot: Spot::File },
            At::Span { start, end } => {
                let starts = lines.get(large(self.file)).map_or(&[][..], Vec::as_slice);
                Location::in_text(file.name.clone(), &file.text, starts, large(start), large(end))
            }
            At::Cell { sheet, row, column } => {
                let sheet = file.sheets.get(usize::from(sheet)).cloned().unwrap_or_default();
                let cell = format!("{}{}", letters(column), u64::from(row) + 1);
                Location { file: file.name.clone(), spot: Spot::Cell { sheet, cell } }
            }
            At::Json { list, key, row } => {
                let word = |at: u8| words().nth(usize::from(at)).unwrap_or_default();
                let (list, key) = (word(list), word(key));
                let at = Some(row).filter(|row| *row != u32::MAX).map(|row| row.to_string());
                let levels = ["model", list, at.as_deref().unwrap_or_default(), key];
                let levels = levels.into_iter().filter(|level| !level.is_empty());
                let pointer = levels.map(|level| format!("/{level}")).collect();
                Location { file: file.name.clone(), spot: Spot::Pointer(pointer) }
            }
        }
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn large(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A column as a spreadsheet names it: 0 is A, 26 is AA.
fn letters(column: u32) -> String {
    let mut left = column;
    let mut name = Vec::new();
    loop {
        name.push(char::from(b'A' + u8::try_from(left % 26).unwrap_or(0)));
        if left < 26 {
            break;
        }
        left = left / 26 - 1;
    }
    name.iter().rev().collect()
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

#[derive(Debug)]
struct Found {
    severity: Severity,
    place: Place,
    message: String,
    hint: Option<String>,
    also: Vec<(Place, String)>,
}

/// Everything wrong that was found so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    found: RefCell<Vec<Found>>,
    /// Of a document from upstream: how many of them are kept, and how many errors are not.
    of_document: Cell<usize>,
    left_out: Cell<usize>,
    incomplete: Cell<bool>,
}

impl Faults {
    pub(super) fn error(&self, place: Place, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.add(Severity::Error, place, message.into(), hint.into());
    }

    pub(super) fn warning(&self, place: Place, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.add(Severity::Warning, place, message.into(), hint.into());
    }

    pub(super) fn add(&self, severity: Severity, place: Place, message: String, hint: Option<String>) {
        self.keep(Found { severity, place, message, hint, also: Vec::new() });
    }

    fn keep(&self, found: Found) {
        if matches!(found.place.at, At::Json { .. }) {
            if self.of_document.get() >= OF_DOCUMENT_MAX {
                let is_error = found.severity == Severity::Error;
                return self.left_out.set(self.left_out.get() + usize::from(is_error));
            }
            self.of_document.set(self.of_document.get() + 1);
        }
        self.found.borrow_mut().push(found);
    }

    /// Errors that were found and are not kept.
    pub(super) fn left_out(&self) -> usize {
        self.left_out.get()
    }

    /// An error at `place` that has to do with `other`.
    pub(super) fn error_with(
        &self,
        place: Place,
        message: String,
        other: Place,
        how: &str,
        hint: Option<String>,
    ) {
        let also = vec![(other, how.to_owned())];
        self.keep(Found { severity: Severity::Error, place, message, hint, also });
    }

    pub(super) fn warning_with(&self, place: Place, message: String, other: Place, how: &str) {
        let also = vec![(other, how.to_owned())];
        self.keep(Found { severity: Severity::Warning, place, message, hint: None, also });
    }

    /// A whole part could not be read: names that are said elsewhere may well stand in it.
    pub(super) fn unreadable_part(&self) {
        self.incomplete.set(true);
    }

    pub(super) fn has_unreadable_part(&self) -> bool {
        self.incomplete.get()
    }

    pub(super) fn any_error(&self) -> bool {
        self.left_out() > 0 || self.found.borrow().iter().any(|found| found.severity == Severity::Error)
    }

    /// The places of all errors so far.
    pub(super) fn error_places(&self) -> HashSet<Place> {
        let found = self.found.borrow();
        let errors = found.iter().filter(|found| found.severity == Severity::Error);
        errors.map(|found| found.place).collect()
    }

    /// All, sorted by file and place.
    pub(super) fn diagnostics(self, files: &[File]) -> Vec<Diagnostic> {
        let mut found = self.found.into_inner();
        found.sort_by(|a, b| (a.place, &a.message).cmp(&(b.place, &b.message)));
        // Once for each file: of ten thousand faults none is to read the file again.
        let lines: Vec<Vec<usize>> = files.iter().map(|file| line_starts(&file.text)).collect();
        let diagnostic = |found: Found| Diagnostic {
            severity: found.severity,
            location: found.place.location(files, &lines),
            message: found.message,
            hint: found.hint,
            also: found.also.into_iter().map(|(place, how)| (place.location(files, &lines), how)).collect(),
        };
        found.into_iter().map(diagnostic).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::letters;

    #[test]
    fn columns_are_named_as_a_spreadsheet_names_them() {
        let named: Vec<String> = [0, 3, 25, 26, 701, 702].map(letters).into();
        assert_eq!(named, ["A", "D", "Z", "AA", "ZZ", "AAA"]);
    }
}
