//! Point tables into cells, each with its place: CSV in three delimiters, and workbooks.
//!
//! The CSV reader is our own because each cell must know its place in the text, which the usual readers do
//! not tell. It reads what Excel and databases write (RFC 4180): quoted cells with doubled quotes and line
//! ends within. What a cell means is not known here.
//!
//! The rows of a point table that is text stay in their text until they are read, one after the other: cells and
//! places of 100,000 rows would be the most memory that the agent ever holds.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::time::Duration;

use calamine::{DataRef, ExcelDateTime, Reader as _, Xlsx};
use jiff::civil::DateTime;

use super::few::Few;
use std::collections::HashMap;

use super::headers::{Column, Header, Named, header};
use super::lists::{self, List};
use super::place::{Faults, File, Place, Placed};

/// One table as it stands.
pub(super) struct Sheet {
    pub(super) whole: Place,
    /// All, or those of the rows among which the header stands, where a rest follows.
    pub(super) rows: Vec<Row>,
    pub(super) rest: Option<Rest>,
    /// The list of the model that it is; `None`: a point table.
    pub(super) list: Option<&'static List>,
}

/// Cells by their column, from 0. Blank ones are not there.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) cells: Few<u32, Placed<String>>,
    /// Of a CSV: the row's first character. Of a workbook: its first cell.
    pub(super) start: Place,
    /// Of a CSV: the places of all cells, the blank ones too.
    places: Vec<Place>,
    /// Where a cell would stand that is not there, in a CSV.
    end: Place,
}

impl Row {
    pub(super) fn place(&self, column: u32) -> Place {
        let known = usize::try_from(column).ok().and_then(|column| self.places.get(column));
        let cell = self.cells.get(&column).map(|cell| cell.place).or(known.copied());
        cell.unwrap_or_else(|| self.end.beside(column))
    }
}

/// The rows of a CSV that were looked through for what is wrong with them, and left in the text.
pub(super) struct Rest {
    file: usize,
    delimiter: char,
    /// Where the first begins.
    at: usize,
    pub(super) count: usize,
}

impl Rest {
    /// `silent` hears again what was told when they were looked through.
    pub(super) fn rows<'a>(&self, files: &'a [File], silent: &'a Faults) -> impl Iterator<Item = Row> + 'a {
        let text = files.get(self.file).map_or("", |file| file.text.as_str());
        Splitting { at: self.at, ..Splitting::new(self.file, text, self.delimiter, silent) }
    }
}

/// Rows above the header, where a title stands.
pub(super) const ROWS_ABOVE_HEADER_MAX: usize = 10;
/// Cells of a workbook. 10,000 points have 280,000; beyond this it is no point table, or made to exhaust us.
const CELLS_MAX: usize = 4_000_000;
const DAY_S: f64 = 86_400.0;
const DELIMITERS: [char; 3] = [',', ';', '\t'];

/// A CSV, with the delimiter under which the most headers are known.
pub(super) fn csv(file: usize, text: &str, faults: &Faults) -> Sheet {
    let head: usize = text.split_inclusive('\n').take(ROWS_ABOVE_HEADER_MAX).map(str::len).sum();
    let head = text.get(..head).unwrap_or(text);
    let known = |delimiter| {
        let silent = Faults::default();
        let rows: Vec<Row> = Splitting::new(file, head, delimiter, &silent).collect();
        let names = |row: &Row| row.cells.values().filter(|cell| is_column(&cell.value)).count();
        let of_points = rows.iter().map(names).max().unwrap_or(0);
        lists::recognise(&rows).map_or(0, |(_, _, names)| names).max(of_points)
    };
    // The first of equals: a comma.
    let delimiter = DELIMITERS.into_iter().rev().max_by_key(|delimiter| known(*delimiter)).unwrap_or(',');
    let mut left = Splitting::new(file, text, delimiter, faults);
    let mut rows: Vec<Row> = left.by_ref().take(ROWS_ABOVE_HEADER_MAX).collect();
    let list = list_of(&rows);
    let rest = if list.is_some() {
        rows.extend(left);
        None
    } else {
        Some(Rest { file, delimiter, at: left.at, count: left.count() })
    };
    Sheet { whole: Place::whole(file), rows, rest, list }
}

/// Which list of the model the rows are. A point table has a tag, or more columns of a point table than of
/// any list.
fn list_of(rows: &[Row]) -> Option<&'static List> {
    let (list, at, names) = lists::recognise(rows)?;
    let is_tag = |cell: &Placed<String>| header(&cell.value) == Header::Column(Column::Tag);
    let cells = || rows.get(at).into_iter().flat_map(|row| row.cells.values());
    let of_points = cells().filter(|cell| is_column(&cell.value)).count();
    (!cells().any(is_tag) && names > of_points).then_some(list)
}

/// The columns that a header row names, each once.
pub(super) fn columns_of<C: Named>(
    row: &Row,
    header: impl Fn(&str) -> Header<C>,
    faults: &Faults,
) -> HashMap<C, u32> {
    let mut columns: HashMap<C, u32> = HashMap::new();
    for (at, cell) in row.cells.iter() {
        match header(&cell.value) {
            Header::Column(column) => match columns.get(&column) {
                Some(first) => {
                    let message = format!("the column {} stands twice", column.label());
                    faults.error_with(cell.place, message, row.place(*first), "the first one", None);
                }
                None => {
                    columns.insert(column, *at);
                }
            },
            Header::NotRead => {}
            Header::Unknown { hint } => {
                faults.error(cell.place, format!("the column '{}' is not known", cell.value), hint);
            }
        }
    }
    columns
}

/// A cell that no header stands above is one that was torn apart.
pub(super) fn without_header(row: &Row, header: &Row, faults: &Faults) {
    for (at, cell) in row.cells.iter() {
        if !header.cells.contains_key(at) {
            let hint = "a cell that holds the delimiter stands in quotes".to_owned();
            faults.error(cell.place, "this cell has no header above it", hint);
        }
    }
}

fn is_column(text: &str) -> bool {
    matches!(header(text), Header::Column(_))
}

/// The place of the header among the rows: the first that names the column tag 位号, or else the first that
/// names enough others to be a header whose tag is misspelt.
pub(super) fn header_row(rows: &[Row]) -> Option<usize> {
    let head = rows.iter().take(ROWS_ABOVE_HEADER_MAX);
    let is_tag = |cell: &Placed<String>| header(&cell.value) == Header::Column(Column::Tag);
    let with_tag = head.clone().position(|row| row.cells.values().any(is_tag));
    let known = |row: &Row| row.cells.values().filter(|cell| is_column(&cell.value)).count();
    with_tag.or_else(|| head.clone().position(|row| known(row) >= HEADERS_WITHOUT_TAG_MIN))
}

/// Known headers in a row that make it a header although none of them is the tag.
const HEADERS_WITHOUT_TAG_MIN: usize = 3;

struct Splitting<'a> {
    file: usize,
    text: &'a str,
    delimiter: char,
    faults: &'a Faults,
    at: usize,
    unclosed: bool,
}

impl<'a> Splitting<'a> {
    fn new(file: usize, text: &'a str, delimiter: char, faults: &'a Faults) -> Self {
        Self { file, text, delimiter, faults, at: 0, unclosed: false }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn step(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn place(&self, start: usize) -> Place {
        Place::span(self.file, start..self.at)
    }

    fn row(&mut self) -> Row {
        let start = self.at;
        let mut cells = Few::default();
        let mut places = Vec::new();
        let mut column = 0;
        loop {
            let cell = self.cell();
            places.push(cell.place);
            if !cell.value.is_empty() {
                cells.add(column, cell);
            }
            column += 1;
            let end = self.place(self.at);
            match self.step() {
                Some(delimiter) if delimiter == self.delimiter => {}
                // The end of the line or of the text.
                Some(_) | None => {
                    cells.close();
                    places.shrink_to_fit();
                    return Row { cells, places, start: Place::span(self.file, start..start), end };
                }
            }
        }
    }

    /// Up to the delimiter or the end of the line, which are left.
    fn cell(&mut self) -> Placed<String> {
        let start = self.at;
        if self.peek() == Some('"') {
            return self.quoted();
        }
        while self.peek().is_some_and(|c| c != self.delimiter && c != '\n') {
            self.step();
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        let value = raw.trim();
        let inset = raw.len() - raw.trim_start().len();
        let place = Place::span(self.file, start + inset..start + inset + value.len());
        Placed { value: value.to_owned(), place }
    }

    fn quoted(&mut self) -> Placed<String> {
        let start = self.at;
        self.step();
        let mut value = String::new();
        loop {
            match self.step() {
                Some('"') if self.peek() == Some('"') => {
                    self.step();
                    value.push('"');
                }
                Some('"') => break,
                Some(other) => value.push(other),
                None => {
                    let place = Place::span(self.file, start..start + 1);
                    self.faults.error(place, "this quote is never closed", None);
                    self.faults.unreadable_part();
                    self.unclosed = true;
                    break;
                }
            }
        }
        let place = self.place(start);
        let rest = self.at;
        while self.peek().is_some_and(|c| c != self.delimiter && c != '\n') {
            self.step();
        }
        if !self.text.get(rest..self.at).unwrap_or_default().trim().is_empty() {
            let hint = "within a quoted cell a quote is written twice".to_owned();
            self.faults.error(self.place(rest), "text after the closing quote", hint);
        }
        Placed { value: value.trim().to_owned(), place }
    }
}

/// The rows that hold anything.
impl Iterator for Splitting<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        while self.at < self.text.len() {
            let row = self.row();
            // A row whose quote never closes has swallowed all that follows.
            if !row.cells.is_empty() && !self.unclosed {
                return Some(row);
            }
        }
        None
    }
}

/// The sheets of a workbook that have a header row, and the names of all its sheets. `Err` says why it
/// cannot be read.
pub(super) fn workbook(file: usize, bytes: &[u8]) -> Result<(Vec<String>, Vec<Sheet>), String> {
    let failed = |error: calamine::XlsxError| format!("this is no workbook that can be read: {error}");
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(failed)?;
    let names = book.sheet_names();
    let mut sheets = Vec::new();
    let mut left = CELLS_MAX;
    for (at, name) in names.iter().enumerate() {
        let rows = sheet_rows(&mut book, file, at, name, &mut left)?;
        // A sheet without the column tag is notes, a drawing, a list of something else.
        let list = list_of(&rows);
        if list.is_some() || header_row(&rows).is_some() {
            let whole = Place::cell(file, at, 0, 0);
            sheets.push(Sheet { whole, rows, rest: None, list });
        }
    }
    Ok((names, sheets))
}

fn sheet_rows(
    book: &mut Xlsx<Cursor<&[u8]>>,
    file: usize,
    sheet: usize,
    name: &str,
    left: &mut usize,
) -> Result<Vec<Row>, String> {
    let failed = |error: calamine::XlsxError| format!("sheet '{name}' cannot be read: {error}");
    let mut cells = match book.worksheet_cells_reader(name) {
        Ok(cells) => cells,
        // A sheet of a chart has no cells.
        Err(calamine::XlsxError::NotAWorksheet(_)) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut rows: BTreeMap<u32, Row> = BTreeMap::new();
    while let Some(cell) = cells.next_cell().map_err(failed)? {
        let (row, column) = cell.get_position();
        let value = cell_text(cell.get_value());
        if value.is_empty() {
            continue;
        }
        *left = left.checked_sub(1).ok_or(format!("it has more than {CELLS_MAX} cells"))?;
        let place = Place::cell(file, sheet, row, column);
        let start = place.beside(0);
        let row = rows.entry(row).or_insert_with(|| Row {
            cells: Few::default(),
            places: Vec::new(),
            start,
            end: start,
        });
        row.cells.add(column, Placed { value, place });
    }
    drop(cells);
    for region in book.merge_cells_by_sheet_name(name).map_err(failed)? {
        fill_down(&mut rows, (region.start, region.end), left)?;
    }
    Ok(rows.into_values().collect())
}

/// A cell that is merged over several rows says the same of each: one unit beside all its measures. Across columns it
/// is a title, which stays where it is.
fn fill_down(
    rows: &mut BTreeMap<u32, Row>,
    ((top, column), (bottom, _)): ((u32, u32), (u32, u32)),
    left: &mut usize,
) -> Result<(), String> {
    let said = rows.get(&top).and_then(|row| row.cells.get(&column)).cloned();
    let (Some(said), true) = (said, top < bottom) else { return Ok(()) };
    for row in rows.range_mut(top + 1..=bottom).map(|(_, row)| row) {
        *left = left.checked_sub(1).ok_or(format!("it has more than {CELLS_MAX} cells"))?;
        let place = row.place(column);
        row.cells.add(column, Placed { value: said.value.clone(), place });
    }
    Ok(())
}

/// As 2026-10-01, 2026-10-01 08:30:00 or, without a day, 08:30:00. `None`: it is no time of any calendar.
fn date_text(date: &ExcelDateTime) -> Option<String> {
    let serial = date.as_f64();
    if date.is_duration() || serial < 1.0 {
        let seconds = Duration::try_from_secs_f64(serial * DAY_S + 0.5).ok()?.as_secs();
        return Some(format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60));
    }
    let (year, month, day, hour, minute, second, milli) = date.to_ymd_hms_milli();
    let [month, day, hour, minute, second] =
        [month, day, hour, minute, second].map(|part| i8::try_from(part).ok());
    let time = DateTime::new(i16::try_from(year).ok()?, month?, day?, hour?, minute?, second?, 0).ok()?;
    let time = time.checked_add(Duration::from_secs(u64::from(milli >= 500))).ok()?;
    let midnight = time.time() == jiff::civil::Time::midnight();
    Some(if midnight { time.date().to_string() } else { time.strftime("%Y-%m-%d %H:%M:%S").to_string() })
}

/// As a person sees it in the cell. A number that Excel computed may differ in its last digits.
fn cell_text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(int) => int.to_string(),
        DataRef::Float(float) => float.to_string(),
        DataRef::String(text) => text.trim().to_owned(),
        DataRef::SharedString(text) => text.trim().to_owned(),
        DataRef::Bool(flag) => flag.to_string(),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        // Also where a number was typed as 1/2: it is refused in its column as what it looks like.
        DataRef::DateTime(date) => date_text(date).unwrap_or_else(|| format!("date {}", date.as_f64())),
        DataRef::Error(error) => format!("{error}"),
        DataRef::Empty => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<Vec<String>> {
        let faults = Faults::default();
        let sheet = csv(0, text, &faults);
        assert!(!faults.any_error());
        sheet.rows.iter().map(|row| row.cells.values().map(|cell| cell.value.clone()).collect()).collect()
    }

    #[test]
    fn the_three_delimiters_are_told_apart_by_the_header() {
        for text in ["位号,名称\nA,\"x;y\"\n", "位号;名称\r\nA;x;y", "位号\t名称\nA\t x;y \n"] {
            let cells = cells(text);
            assert_eq!(cells[0], ["位号", "名称"], "{text}");
            assert_eq!(cells[1][0], "A", "{text}");
        }
    }

    #[test]
    fn a_quoted_cell_holds_delimiters_quotes_and_line_ends() {
        let cells = cells("tag,name,eu\n\"A\",\"x, \"\"y\"\"\nz\",%\n\n,,\nB,,m\n");
        assert_eq!(cells, [vec!["tag", "name", "eu"], vec!["A", "x, \"y\"\nz", "%"], vec!["B", "m"]]);
    }

    #[test]
    fn a_quote_that_never_closes_is_told_where_it_opens() {
        let faults = Faults::default();
        csv(0, "tag,name\nA,\"x\nB,y\n", &faults);
        assert!(faults.error_places().contains(&Place::span(0, 11..12)));
    }

    #[test]
    fn a_title_may_stand_above_the_header() {
        let sheet = csv(0, "罐区点表,,\n\n位号;名称\nA;x\n", &Faults::default());
        assert_eq!(header_row(&sheet.rows), Some(1));
        assert_eq!(sheet.rows.last().map(|row| row.cells.iter().count()), Some(2));
    }
}
