//! What a probe tells: the registers, what they most likely mean, every reading, and the row to paste.

use comfy_table::{ContentArrangement, Table, presets};
use riskgate_drivers::modbus::guess::{Expected, Fit, Guess, Likely, ORDERS, Piece, Reading};
use riskgate_drivers::modbus::{Kind, Order};
use riskgate_point::Value;

use super::super::run::value_text;
use super::args::ProbeModbus;
use super::probe::{Asked, wanted_text, words_of};
use crate::config::paste::{self, Row, order_word, type_word};

/// A longer text is cut: it is not read as what it is.
const TEXT_SHOWN: usize = 16;

pub(super) struct Told<'a> {
    pub(super) asked: &'a Asked,
    pub(super) pieces: &'a [Piece],
    pub(super) refused: &'a [String],
    pub(super) guess: &'a Guess,
    pub(super) wanted: Option<&'a Expected>,
    pub(super) args: &'a ProbeModbus,
}

impl Told<'_> {
    pub(super) fn render(&self, width: Option<u16>) -> String {
        let mut parts = vec![format!("寄存器 registers\n{}", self.registers(width))];
        parts.extend(self.refused.iter().map(|why| format!("没有读到 not read: {why}")));
        parts.push(format!("全部读法 every reading (* 可能 plausible)\n{}", self.readings(width)));
        if self.guess.likely.is_empty() {
            parts.push(self.nothing());
        } else {
            let what = match self.wanted {
                Some(wanted) => format!("最可能 most plausible, {}", wanted_text(wanted)),
                None => "提示：大小像样的 hints: of a sane size (--expect, --range)".to_owned(),
            };
            parts.push(format!("{what}\n{}", self.likely(width)));
            parts.extend(self.twins());
            parts.extend(self.rows());
        }
        parts.join("\n\n")
    }

    fn registers(&self, width: Option<u16>) -> String {
        let is_bits = self.asked.table.is_bits();
        let mut table =
            new_table(width, &["地址 address", "十六进制 hex", "十进制 decimal", "为1的位 bits that are 1"]);
        for (address, word) in words_of(self.pieces) {
            let bits: Vec<String> =
                (0..16).filter(|bit| (word >> bit) & 1 == 1).map(|bit: u16| bit.to_string()).collect();
            let name = paste::register(self.asked.table, address);
            let named = if address == self.asked.address { format!("{name} <") } else { name };
            let hex = if is_bits { String::new() } else { format!("{word:04X}") };
            let bits = if is_bits { String::new() } else { bits.join(" ") };
            table.add_row([named, hex, word.to_string(), bits]);
        }
        table.to_string()
    }

    /// A line for each place and type, a column for each order.
    fn readings(&self, width: Option<u16>) -> String {
        let mut header = vec!["偏移 offset".to_owned(), "地址 address".to_owned(), "类型 type".to_owned()];
        header.extend(ORDERS.iter().map(|order| order_word(*order).to_owned()));
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let mut table = new_table(width, &header);
        let readings = &self.guess.readings;
        let mut lines: Vec<(i32, u16, Kind)> =
            readings.iter().map(|reading| (reading.offset, reading.address, reading.kind)).collect();
        lines.dedup();
        for (offset, address, kind) in lines {
            let here = |order: Order| {
                readings
                    .iter()
                    .find(|reading| (reading.offset, reading.kind, reading.order) == (offset, kind, order))
            };
            if ORDERS.iter().all(|order| here(*order).is_none_or(|reading| reading.value.is_none())) {
                continue;
            }
            let mut cells =
                vec![format!("{offset:+}"), paste::register(self.asked.table, address), type_word(kind)];
            cells.extend(
                ORDERS.iter().map(|order| here(*order).map(|reading| self.cell(reading)).unwrap_or_default()),
            );
            table.add_row(cells);
        }
        table.to_string()
    }

    fn cell(&self, reading: &Reading) -> String {
        match (&reading.value, reading.same_as) {
            (_, Some(order)) => format!("= {}", order_word(order)),
            (None, None) => "—".to_owned(),
            (Some(value), None) => {
                let is_likely = self.guess.likely.iter().any(|likely| {
                    (likely.address, likely.order) == (reading.address, reading.order)
                        && (likely.kind == reading.kind || likely.also.contains(&reading.kind))
                });
                format!("{}{}", if is_likely { "* " } else { "" }, shown(value))
            }
        }
    }

    fn likely(&self, width: Option<u16>) -> String {
        let header = [
            "地址 address",
            "偏移 offset",
            "类型 type",
            "字节序 order",
            "系数 scale",
            "值 value",
            "符合 fit",
        ];
        let mut table = new_table(width, &header);
        for likely in &self.guess.likely {
            let kinds: Vec<String> =
                std::iter::once(&likely.kind).chain(&likely.also).map(|kind| type_word(*kind)).collect();
            table.add_row([
                paste::register(self.asked.table, likely.address),
                format!("{:+}", likely.offset),
                kinds.join(" / "),
                order_word(likely.order).to_owned(),
                if likely.scale == 1.0 { String::new() } else { likely.scale.to_string() },
                shown(&likely.value),
                fit(likely.fit).to_owned(),
            ]);
        }
        table.to_string()
    }

    /// Two readings whose difference is in the last digits only.
    fn twins(&self) -> Option<String> {
        let (best, others) = self.guess.likely.split_first()?;
        let twin = others.iter().find(|other| other.is_twin_of(best))?;
        let said = |likely: &Likely| {
            let place = paste::register(self.asked.table, likely.address);
            format!("{place} {} = {}", order_word(likely.order), likely.value)
        };
        Some(format!(
            "注意 mind: {} 和 and {} 共用高字，只差末几位；用更多小数再试 share their high word and differ in the last digits \
             only: try again with more of them, --expect 47.53",
            said(best),
            said(twin),
        ))
    }

    fn row(&self, likely: &Likely) -> Row {
        // Said even where it is the usual one: an empty cell means the order of the source. A bit has none.
        let order = if likely.kind == Kind::Bool { "" } else { order_word(likely.order) };
        Row {
            tag: self.args.tag.clone(),
            source: self.args.source.clone(),
            address: paste::register(self.asked.table, likely.address),
            kind: type_word(likely.kind),
            order: order.to_owned(),
            scale: if likely.scale == 1.0 { String::new() } else { likely.scale.to_string() },
            ..Row::default()
        }
    }

    /// What was wrong with what the person believed, and the row that is right; two where nothing tells.
    fn rows(&self) -> Option<String> {
        let (best, others) = self.guess.likely.split_first()?;
        let rivals: Vec<&Likely> = others.iter().filter(|other| other.is_as_good_as(best)).collect();
        let rows: Vec<Row> =
            std::iter::once(best).chain(rivals.iter().copied()).map(|likely| self.row(likely)).collect();
        if !rivals.is_empty() {
            let csv = paste::csv(&rows);
            return Some(format!(
                "这几行只有一行对，粘一行：末几位与就地显示相符的 only one of these rows is right; paste the one whose last digits \
                 agree with the display (address_base = 0):\n{csv}"
            ));
        }
        let mut lines = Vec::new();
        match best.offset {
            0 => {}
            -1 => lines.push(
                "值在前一个寄存器：手册从1起编号。数据源写 address_base = 1 并照手册填，或照下行填 the value lies one \
                 register before: the list counts from 1. Write address_base = 1 in the source and the list's \
                 numbers, or the row below"
                    .to_owned(),
            ),
            _ => lines.push(
                "值在后一个寄存器：手册从0起编号，而减了1 the value lies one register behind: take nothing away from \
                 the numbers of the list"
                    .to_owned(),
            ),
        }
        lines.push(
            "点表的行（address_base = 0；位号和数据源改成你的） row to paste (tag and source are yours to name):"
                .to_owned(),
        );
        lines.push(paste::csv(&rows));
        Some(lines.join("\n"))
    }

    fn nothing(&self) -> String {
        match self.wanted {
            Some(wanted) => format!(
                "没有一种读法像 no reading looks like {}：再看一次就地显示；换表 try --table {}；换站号 --device-id；查手册地址 \
                 check the address in the device's list",
                wanted_text(wanted),
                if self.asked.table == riskgate_drivers::modbus::Table::Holding { "input" } else { "holding" },
            ),
            None => "没有大小像样的浮点数；写出应有的值 no float of a sane size: say what you expect, --expect 47.5 or \
                     --range 0..100"
                .to_owned(),
        }
    }
}

fn new_table(width: Option<u16>, header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header.iter().copied());
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table
}

fn shown(value: &Value) -> String {
    let text = value_text(value);
    if text.chars().count() <= TEXT_SHOWN {
        return text;
    }
    let cut: String = text.chars().take(TEXT_SHOWN).collect();
    format!("{cut}…")
}

fn fit(fit: Fit) -> &'static str {
    match fit {
        Fit::Exact => "相符 agrees",
        Fit::Near => "相差不到2% within 2 %",
        Fit::InRange => "在范围内 in range",
        Fit::Sane => "大小像样 sane size",
    }
}
