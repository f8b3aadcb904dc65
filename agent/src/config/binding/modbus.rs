//! A point of a Modbus device: its table, register, type and order, and the registers beside it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use riskgate_drivers::modbus::status::StatusMap;
use riskgate_drivers::modbus::{self, Beside, Device, Kind as Wire, Order, Table};

use super::{Read, TYPES, Type, Words, refuse, status};
use crate::config::address::{self, Register, Wrong};
use crate::config::fields::one_of;
use crate::config::headers::Column;
use crate::config::row::Line;
use crate::config::sources::modbus::{Habits, ORDERS, ORDERS_ZH, cycles, good_for};
use crate::config::values::duration_text;

/// A slower point is better read by hand.
const PERIOD_MAX: Duration = Duration::from_secs(86_400);
const SIGNALS: [(&str, ()); 1] = [("4-20mA", ())];
const SIGNALS_ZH: [(&str, ()); 3] = [("4~20mA", ()), ("4-20 mA", ()), ("4..20mA", ())];

pub(super) fn register(
    line: &Line<'_>,
    address: &str,
    habits: &Habits,
    device: &Device,
    read: Read,
) -> Option<modbus::Point> {
    let registers = match read.kind {
        Some(Type::Number(kind) | Type::Field(kind)) => kind.registers(),
        Some(Type::Bool | Type::Text | Type::Status) | None => 1,
    };
    let Register { table, address, bit } = match address::register(address, habits.base, registers) {
        Ok(read) => read,
        Err(wrong) => return refused(line, Column::Address, wrong),
    };
    let state = match &read.words {
        Some(Words::OfStates(map)) => Some(Arc::clone(map)),
        Some(Words::Of(_) | Words::Sent(_)) | None => None,
    };
    let kind = kind(line, table, bit, read.kind)?;
    if let Some(map) = &state {
        refuse_bits_of_one(line, map, table, bit.is_some());
        refuse(line, Column::Words, "is for numbers: the states of a status are named by its map");
    }
    if registers > device.registers_max {
        let hint = format!("raise registers_max of the source to {registers} or more");
        let most = device.registers_max;
        line.error(
            Column::Type,
            format!("this value takes {registers} registers, its source reads {most} at a time"),
            hint,
        );
    }
    let every = every(line, device.period);
    let whole = Whole { line, habits, device, every };
    let status = if state.is_none() { whole.status() } else { refuse_status(line) };
    let beside = Beside { decimals: whole.decimals(), status };
    let beside = (beside.decimals.is_some() || beside.status.is_some()).then(|| Box::new(beside));
    let words = match &read.words {
        Some(Words::Sent(words)) => {
            Some((0..).zip(words.iter().map(|word| Arc::from(word.as_str()))).collect())
        }
        Some(Words::Of(_) | Words::OfStates(_)) | None => read.enum_words(),
    };
    Some(modbus::Point {
        order: order(line, kind, habits.order),
        current_loop: current_loop(line, &read),
        scaling: read.scaling,
        words,
        state,
        every,
        beside,
        ..modbus::Point::new(read.point, table, address, kind)
    })
}

fn refused<T>(line: &Line<'_>, column: Column, wrong: Wrong) -> Option<T> {
    line.error(column, format!("{}: {}", column.label(), wrong.message), wrong.hint);
    None
}

/// What the registers hold, as far as the type and the address agree.
fn kind(line: &Line<'_>, table: Table, bit: Option<modbus::Bit>, said: Option<Type>) -> Option<Wire> {
    let wrong = |what, hint: &str| {
        super::refuse_type(line, what, hint);
        None
    };
    match (said, bit) {
        (Some(Type::Text), _) => wrong(
            "does not say how many registers it takes",
            "write string:8, or u16 with words 0=停止;1=运行",
        ),
        (Some(Type::Number(_) | Type::Field(_)), _) if table.is_bits() => {
            wrong("does not fit in one bit", "write bool")
        }
        (Some(Type::Number(_) | Type::Field(_)), Some(_)) => {
            wrong("does not fit in one bit", "write bool, or the address without its bit")
        }
        (Some(Type::Number(kind) | Type::Field(kind)), None) => Some(kind),
        (Some(Type::Bool | Type::Status) | None, Some(bit)) => Some(Wire::Bit(bit)),
        (Some(Type::Bool), None) => Some(Wire::Bool),
        (Some(Type::Status), None) if table.is_bits() => Some(Wire::Bool),
        (Some(Type::Status), None) => Some(Wire::U16),
        (None, None) if table.is_bits() => Some(Wire::Bool),
        (None, None) => {
            if line.said(Column::Type).is_none() {
                let message =
                    format!("{} is empty: a register does not say what it holds", Column::Type.label());
                let registers = TYPES.iter().filter(|(_, kind)| *kind != Type::Text);
                line.error(Column::Type, message, one_of(registers.map(|(word, _)| *word)));
            }
            None
        }
    }
}

fn order(line: &Line<'_>, kind: Wire, of_source: Order) -> Order {
    if kind == Wire::Bool {
        refuse(line, Column::Order, "is for numbers");
    }
    let Some(order) = line.word(Column::Order, &ORDERS, &ORDERS_ZH) else { return of_source };
    if order.is_of_64_bits()
        && kind.registers() != 4
        && let Some(cell) = line.said(Column::Order)
    {
        let hint = "write ABCD, CDAB, BADC or DCBA".to_owned();
        line.wrong(Column::Order, &cell.value, "is for values of 64 bits", hint);
    }
    order
}

/// In one of how many cycles the point is read.
fn every(line: &Line<'_>, of_source: Duration) -> NonZeroU32 {
    let Some(period) = line.duration(Column::Period, of_source..=PERIOD_MAX) else { return NonZeroU32::MIN };
    cycles(period, of_source).unwrap_or_else(|hint| {
        let of_source = duration_text(of_source);
        let what = format!("is no multiple of its source's period, {of_source}");
        line.wrong(Column::Period, &duration_text(period), &what, hint);
        NonZeroU32::MIN
    })
}

fn current_loop(line: &Line<'_>, read: &Read) -> bool {
    if line.word(Column::Signal, &SIGNALS, &SIGNALS_ZH).is_none() {
        return false;
    }
    if read.kind.is_some_and(Type::is_number) && read.scaling.range.is_none() {
        let hint =
            "write range_low 量程下限 and range_high 量程上限; scale brings the register to mA".to_owned();
        line.error(Column::Signal, "nothing says what 4 mA and 20 mA stand for", hint);
    }
    refuse(line, Column::OutOfRange, "is not for a current: NE 43 says what is beyond its range");
    true
}

fn refuse_status<T>(line: &Line<'_>) -> Option<T> {
    refuse(line, Column::Status, "is for values: this point is a status itself");
    None
}

/// One bit is 0 or 1: which of a register's bits it would be is not asked.
fn refuse_bits_of_one(line: &Line<'_>, map: &StatusMap, table: Table, is_bit: bool) {
    let of_bits = match map {
        StatusMap::Bits { .. } => true,
        StatusMap::Codes(_) => false,
    };
    if of_bits && (is_bit || table.is_bits()) {
        let hint = "write 0=normal;1=fault in the column status_map 状态映射".to_owned();
        line.error(
            Column::StatusMap,
            "this status is one bit, and its map is of the bits of a register",
            hint,
        );
    }
}

/// The row, and what it is read by.
struct Whole<'a> {
    line: &'a Line<'a>,
    habits: &'a Habits,
    device: &'a Device,
    every: NonZeroU32,
}

impl Whole<'_> {
    fn decimals(&self) -> Option<modbus::Register> {
        let at = self.beside(Column::ScaleRegister, self.habits.scale_every.unwrap_or(self.every))?;
        if at.table.is_bits() || at.bit.is_some() {
            let hint = "write holding:17".to_owned();
            self.line.error(Column::ScaleRegister, "a number of decimals does not fit in one bit", hint);
            return None;
        }
        Some(at)
    }

    fn status(&self) -> Option<(modbus::Register, Arc<StatusMap>)> {
        if self.line.said(Column::Status).is_none() {
            refuse(self.line, Column::StatusMap, "is for a status: the column status 状态寄存器 is empty");
            return None;
        }
        let map = status::map(self.line, self.habits.status_map.as_ref());
        if map.is_none() && self.line.said(Column::StatusMap).is_none() {
            status::missing(self.line, Column::Status);
        }
        let at = self.beside(Column::Status, self.every)?;
        let map = map?;
        refuse_bits_of_one(self.line, &map, at.table, at.bit.is_some());
        Some((at, map))
    }

    fn beside(&self, column: Column, every: NonZeroU32) -> Option<modbus::Register> {
        let cell = self.line.said(column)?;
        match address::register(&cell.value, self.habits.base, 1) {
            Ok(Register { table, address, bit }) => {
                let good_for = good_for(self.device.period * every.get());
                Some(modbus::Register { table, address, bit, order: self.habits.order, every, good_for })
            }
            Err(wrong) => refused(self.line, column, wrong),
        }
    }
}
