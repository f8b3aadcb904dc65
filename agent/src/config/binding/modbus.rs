//! A point of a Modbus device: its table, register, type and order.

use riskgate_drivers::modbus::{self, Kind as Wire, Table};

use super::{Read, TYPES, Type, refuse_order};
use crate::config::address;
use crate::config::fields::one_of;
use crate::config::headers::Column;
use crate::config::row::Line;
use crate::config::sources::modbus::{ORDERS, ORDERS_ZH};

pub(super) fn register(
    line: &Line<'_>,
    address: &str,
    base: u16,
    order: modbus::Order,
    registers_max: u16,
    read: Read,
) -> Option<modbus::Point> {
    let registers = match read.kind {
        Some(Type::Number(kind)) => kind.registers(),
        Some(Type::Bool | Type::Text) | None => 1,
    };
    let (table, address) = match address::register(address, base, registers) {
        Ok(read) => read,
        Err(wrong) => {
            line.error(
                Column::Address,
                format!("{}: {}", Column::Address.label(), wrong.message),
                wrong.hint,
            );
            return None;
        }
    };
    let is_bit = matches!(table, Table::Coil | Table::Discrete);
    let kind = match read.kind {
        Some(Type::Number(kind)) if is_bit => {
            line.wrong(
                Column::Type,
                &format!("{kind:?}").to_lowercase(),
                "does not fit in one bit",
                "write bool".to_owned(),
            );
            return None;
        }
        Some(Type::Number(kind)) => kind,
        Some(Type::Bool) => Wire::Bool,
        Some(Type::Text) => {
            line.wrong(
                Column::Type,
                "text",
                "cannot be read over Modbus",
                "write u16 with words 0=停止;1=运行".to_owned(),
            );
            return None;
        }
        None if is_bit => Wire::Bool,
        None => {
            if line.said(Column::Type).is_none() {
                let message =
                    format!("{} is empty: a register does not say what it holds", Column::Type.label());
                line.error(Column::Type, message, one_of(TYPES.iter().take(6).map(|(word, _)| *word)));
            }
            return None;
        }
    };
    if kind == Wire::Bool {
        refuse_order(line, "is for numbers");
    }
    if registers > registers_max {
        let hint = "raise registers_max of the source to 2 or more".to_owned();
        line.error(Column::Type, "this value takes 2 registers, its source reads 1 at a time", hint);
    }
    let order = line.word(Column::Order, &ORDERS, &ORDERS_ZH).unwrap_or(order);
    let words = read.enum_words();
    let plain = modbus::Point::new(read.point, table, address, kind);
    Some(modbus::Point { order, scaling: read.scaling, words, ..plain })
}
