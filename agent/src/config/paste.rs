//! Rows of a point table to paste, in the words that the table is read with.

use riskgate_drivers::modbus::{Encoding, Kind, Order, Table};

use super::binding::word_of;
use super::headers::Column;
use super::sources::modbus::ORDERS;

/// One row, as far as a look at the device can fill it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) tag: String,
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) address: String,
    pub(crate) kind: String,
    pub(crate) order: String,
    pub(crate) scale: String,
}

/// The header, and a line for each row. Columns in which no row says anything are left out.
pub(crate) fn csv(rows: &[Row]) -> String {
    type Cell = fn(&Row) -> &str;
    let columns: [(Column, Cell); 7] = [
        (Column::Tag, |row| &row.tag),
        (Column::Name, |row| &row.name),
        (Column::Source, |row| &row.source),
        (Column::Address, |row| &row.address),
        (Column::Type, |row| &row.kind),
        (Column::Order, |row| &row.order),
        (Column::Scale, |row| &row.scale),
    ];
    let said: Vec<_> =
        columns.iter().filter(|(_, cell)| rows.iter().any(|row| !cell(row).is_empty())).collect();
    let header: Vec<String> = said.iter().map(|(column, _)| column.key()).collect();
    let mut lines = vec![header.join(",")];
    for row in rows {
        let cells: Vec<String> = said.iter().map(|(_, cell)| quoted(cell(row))).collect();
        lines.push(cells.join(","));
    }
    lines.join("\n")
}

/// A comma, a quote or a line's end would end the cell.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r', ';', '\t']) || cell.trim() != cell {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// The type of a register as a row says it.
pub(crate) fn type_word(kind: Kind) -> String {
    match kind {
        Kind::Text { registers, encoding } => {
            let field = match encoding {
                Encoding::Utf8 => "string",
                Encoding::Gb18030 => "gbk",
            };
            format!("{field}:{registers}")
        }
        Kind::Bool | Kind::Bit(_) => "bool".to_owned(),
        Kind::HighByte
        | Kind::LowByte
        | Kind::U16
        | Kind::I16
        | Kind::U32
        | Kind::I32
        | Kind::U64
        | Kind::I64
        | Kind::F32
        | Kind::F64
        | Kind::Bcd16
        | Kind::Bcd32 => word_of(kind).to_owned(),
    }
}

/// An order as a row says it.
pub(crate) fn order_word(order: Order) -> &'static str {
    ORDERS.iter().find(|(_, known)| *known == order).map_or("ABCD", |(word, _)| *word)
}

/// As of a source whose `address_base` is 0.
pub(crate) fn register(table: Table, address: u16) -> String {
    format!("{}:{address}", table.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_would_end_its_row_is_quoted() {
        let row = Row { tag: "A;\"1\"".to_owned(), source: "plc".to_owned(), ..Row::default() };
        assert_eq!(csv(&[row]), "tag,source\n\"A;\"\"1\"\"\",plc");
    }
}
