//! A problem as a person reads it: file, line, column, what is wrong, the line itself with the place
//! underlined, and what to write instead.
//!
//! A [`Diagnostic`] holds all that it shows, so it outlives the files. Lines hold Chinese, each character
//! of which is two columns wide on a terminal: the underline is counted in columns, the column of the
//! heading in characters, as editors count. Nothing here prints.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use riskgate_engine::Severity;
use unicode_width::UnicodeWidthChar as _;

/// One problem of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub location: Location,
    pub message: String,
    /// What to write instead: the nearest name, the allowed range.
    pub hint: Option<String>,
    /// Another place that has to do with it, and how.
    pub also: Vec<(Location, String)>,
}

/// Where a problem stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub file: PathBuf,
    pub spot: Spot,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// The file as a whole.
    File,
    /// Line and column count from 1, the column in characters.
    Line { line: usize, column: usize, shown: Shown },
    /// A cell of a workbook, as `D7`.
    Cell { sheet: String, cell: String },
    /// Of a document of JSON: `/model/units/0/riskClass`.
    Pointer(String),
}

/// A line, or the part of it around the place, ready to be underlined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub text: String,
    /// Terminal columns before the underline, and of the underline itself.
    pub indent: usize,
    pub width: usize,
}

/// Terminal columns of a line that are shown. Rows of point tables are longer.
const SHOWN_COLUMNS_MAX: usize = 100;
/// Of a longer line, the columns that are shown before the place.
const SHOWN_COLUMNS_BEFORE: usize = 40;

impl Location {
    /// The place of `start..end` (bytes) in the text of a file, of which `line_starts` are the first bytes
    /// of its lines.
    pub(super) fn in_text(
        file: PathBuf,
        text: &str,
        line_starts: &[usize],
        start: usize,
        end: usize,
    ) -> Self {
        let start = floor_boundary(text, start);
        let end = floor_boundary(text, end).max(start);
        let line = line_starts.partition_point(|first| *first <= start).max(1);
        let line_start = line_starts.get(line - 1).copied().unwrap_or(0);
        let line_end = text.get(start..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| start + at);
        let column = text.get(line_start..start).unwrap_or_default().chars().count() + 1;
        let shown = Shown::of(
            text.get(line_start..start).unwrap_or_default(),
            text.get(start..end.min(line_end)).unwrap_or_default(),
            text.get(end.min(line_end)..line_end).unwrap_or_default(),
        );
        Self { file, spot: Spot::Line { line, column, shown } }
    }

    /// `file:line:column`, `file [sheet] D7`, a JSON pointer, or the file alone.
    pub(crate) fn heading(&self) -> String {
        let file = self.file.display();
        match &self.spot {
            Spot::File => file.to_string(),
            Spot::Line { line, column, shown: _ } => format!("{file}:{line}:{column}"),
            Spot::Cell { sheet, cell } => format!("{file} [{sheet}] {cell}"),
            Spot::Pointer(pointer) => pointer.clone(),
        }
    }
}

/// The first byte of each line.
pub(super) fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// The last character boundary at or before `at`: a fault's place may come from another crate.
fn floor_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Control characters would move the cursor; a tab is shown as four blanks, others as a dot.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => shown.push_str("    "),
            '\r' => {}
            control if control.is_control() => shown.push('·'),
            other => shown.push(other),
        }
    }
    shown
}

fn columns(text: &str) -> usize {
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

impl Shown {
    fn of(before: &str, place: &str, after: &str) -> Self {
        let (mut before, mut place, mut after) = (printable(before), printable(place), printable(after));
        if columns(&before) + columns(&place) + columns(&after) > SHOWN_COLUMNS_MAX {
            before = keep_end(&before, SHOWN_COLUMNS_BEFORE);
            place = keep_start(&place, SHOWN_COLUMNS_MAX - SHOWN_COLUMNS_BEFORE);
            let left = SHOWN_COLUMNS_MAX.saturating_sub(columns(&before) + columns(&place));
            after = keep_start(&after, left);
        }
        let (indent, width) = (columns(&before), columns(&place).max(1));
        Self { text: format!("{before}{place}{after}").trim_end().to_owned(), indent, width }
    }
}

fn keep_start(text: &str, columns_max: usize) -> String {
    if columns(text) <= columns_max {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > columns_max {
            break;
        }
        kept.push(character);
    }
    kept.push('…');
    kept
}

fn keep_end(text: &str, columns_max: usize) -> String {
    if columns(text) <= columns_max {
        return text.to_owned();
    }
    let mut kept = Vec::new();
    let mut used = 1;
    for character in text.chars().rev() {
        used += character.width().unwrap_or(0);
        if used > columns_max {
            break;
        }
        kept.push(character);
    }
    kept.push('…');
    kept.iter().rev().collect()
}

/// ANSI colours, or nothing.
struct Paint {
    colour: bool,
}

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn severity(&self, severity: Severity) -> String {
        match severity {
            Severity::Error => self.with("1;31", "error"),
            Severity::Warning => self.with("1;33", "warning"),
        }
    }

    fn line(&self, location: &Location, underline: &str, out: &mut String) {
        if let Spot::Line { line, column: _, shown } = &location.spot {
            let number = line.to_string();
            let blank = " ".repeat(number.len());
            let carets = self.with(underline, &"^".repeat(shown.width));
            // Writing to a String cannot fail.
            _ = writeln!(out, "  {number} | {}", shown.text);
            _ = writeln!(out, "  {blank} | {}{carets}", " ".repeat(shown.indent));
        }
    }
}

impl Diagnostic {
    /// A problem of a file as a whole.
    pub(super) fn of_file(file: PathBuf, message: String, hint: Option<String>) -> Self {
        let location = Location { file, spot: Spot::File };
        Self { severity: Severity::Error, location, message, hint, also: Vec::new() }
    }

    /// Its files lie in `folder`.
    pub(super) fn start_at(&mut self, folder: &Path) {
        for location in
            std::iter::once(&mut self.location).chain(self.also.iter_mut().map(|(other, _)| other))
        {
            location.file = match location.file.as_os_str().is_empty() {
                true => folder.to_owned(),
                false => folder.join(&location.file),
            };
        }
    }

    /// The lines that show it, each ended.
    pub fn render(&self, colour: bool) -> String {
        let paint = Paint { colour };
        let mut out = String::new();
        let underline = match self.severity {
            Severity::Error => "1;31",
            Severity::Warning => "1;33",
        };
        let heading = match self.location.heading() {
            nowhere if nowhere.is_empty() => String::new(),
            heading => paint.with("1", &heading) + ": ",
        };
        _ = writeln!(out, "{heading}{}: {}", paint.severity(self.severity), self.message);
        paint.line(&self.location, underline, &mut out);
        for (location, how) in &self.also {
            let heading = paint.with("1", &location.heading());
            _ = writeln!(out, "{heading}: {}: {how}", paint.with("1;36", "note"));
            paint.line(location, "1;36", &mut out);
        }
        if let Some(hint) = &self.hint {
            _ = writeln!(out, "  {}: {hint}", paint.with("1;36", "hint"));
        }
        out
    }
}

/// Shows all, with a closing count.
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&diagnostic.render(colour));
        out.push('\n');
    }
    let count = |severity| diagnostics.iter().filter(|one| one.severity == severity).count();
    let counts = [(count(Severity::Error), "error"), (count(Severity::Warning), "warning")];
    let said: Vec<String> = counts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}{}", if *n == 1 { "" } else { "s" }))
        .collect();
    if !said.is_empty() {
        _ = writeln!(out, "{}", said.join(", "));
    }
    out
}

/// Why a configuration is refused: every error and every warning, sorted by file and place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    pub diagnostics: Vec<Diagnostic>,
    /// Errors of a model from upstream beyond those that are told one by one.
    pub left_out: usize,
    /// As [`super::Checked::files`]; `None`: they could not be read.
    pub files: Option<String>,
}

impl Problems {
    pub fn render(&self, colour: bool) -> String {
        let mut out = render(&self.diagnostics, colour);
        if self.left_out > 0 {
            _ = writeln!(out, "and {} more errors of the model", self.left_out);
        }
        out
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, place: &str) -> String {
        let start = text.find(place).expect("the place is in the text");
        let location =
            Location::in_text(PathBuf::from("a.toml"), text, &line_starts(text), start, start + place.len());
        let severity = Severity::Error;
        Diagnostic { severity, location, message: "wrong".to_owned(), hint: None, also: Vec::new() }
            .render(false)
    }

    #[test]
    fn the_underline_of_a_wide_character_is_two_columns() {
        let expected = "a.toml:2:9: error: wrong\n  2 | name = \"罐区网关\"\n    |         ^^^^\n";
        assert_eq!(shown("x = 1\nname = \"罐区网关\"\n", "罐区"), expected);
        let after = "a.toml:1:5: error: wrong\n  1 | 位号,LIC-1\n    |       ^^^\n";
        assert_eq!(shown("位号,LIC-1", "IC-"), after);
    }

    #[test]
    fn a_long_row_is_cut_around_the_place() {
        let text = format!("{},wrong,{}", "位号".repeat(200), "x".repeat(300));
        let said = shown(&text, "wrong");
        let line = said.lines().nth(1).expect("the line is shown");
        assert!(line.contains("…") && line.contains(",wrong,"), "{line}");
        assert!(columns(line) <= SHOWN_COLUMNS_MAX + "  1 | ".len(), "{line}");
        let caret = said.lines().nth(2).expect("it is underlined");
        let before = line.split("wrong").next().expect("a part before");
        assert_eq!(columns(before), caret.find('^').expect("a caret"));
    }

    #[test]
    fn colour_only_where_asked() {
        let one = Diagnostic::of_file(PathBuf::from("a"), "b".to_owned(), None);
        assert!(!one.render(false).contains('\x1b'));
        assert!(one.render(true).contains("\x1b[1;31merror"));
    }
}
