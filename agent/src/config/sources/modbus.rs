//! `[[source]]` of the Modbus kinds.

use std::time::Duration;

use riskgate_drivers::modbus::{self, Order};
use riskgate_point::SourceId;

use super::modbus_line::{self, Way};
use super::{Kind, PERIOD_MAX, PERIOD_MIN, TIMEOUT_MAX, TIMEOUT_MIN};
use crate::config::fields::Fields;

/// The Modbus specification: one reply holds at most 125 registers.
const REGISTERS_MAX: u16 = 125;
/// And of bits, in as many bytes.
const BITS_MAX: u16 = 2000;
const BITS_PER_REGISTER: u16 = 16;
/// Longer rests are no rests but another period.
const PAUSE_MAX: Duration = Duration::from_secs(10);
const DEFAULT_PERIOD: Duration = Duration::from_secs(1);
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(500);
/// A mobile network takes its time.
const DEFAULT_TIMEOUT_DIAL_IN: Duration = Duration::from_secs(3);
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const DEFAULT_GAP: u16 = 8;

pub(in crate::config) const ORDERS: [(&str, Order); 4] =
    [("ABCD", Order::Abcd), ("CDAB", Order::Cdab), ("BADC", Order::Badc), ("DCBA", Order::Dcba)];

/// As vendors' lists say it, each with the bytes of a word in Modbus's own order.
pub(in crate::config) const ORDERS_ZH: [(&str, Order); 2] =
    [("高字在前", Order::Abcd), ("低字在前", Order::Cdab)];

pub(super) fn device(fields: &mut Fields<'_>, source: SourceId, way: Way) -> Kind {
    let endpoint = modbus_line::endpoint(fields, way);
    let framing = endpoint.framing();
    // On a serial line 0 is for all devices, and none answers.
    let device_id_min = if framing == modbus::Framing::Rtu { 1 } else { 0 };
    let default_timeout = if way == Way::DialIn { DEFAULT_TIMEOUT_DIAL_IN } else { DEFAULT_TIMEOUT };
    let timeouts = TIMEOUT_MIN..=TIMEOUT_MAX;
    let pauses = Duration::ZERO..=PAUSE_MAX;
    let registers_max = fields.integer("registers_max", 1..=REGISTERS_MAX).unwrap_or(REGISTERS_MAX);
    // A device that can give few registers mostly has room for as few bytes of bits.
    let bits_default = (registers_max * BITS_PER_REGISTER).min(BITS_MAX);
    let device = modbus::Device {
        source,
        endpoint,
        device_id: fields.integer("device_id", device_id_min..=u8::MAX).unwrap_or(1),
        period: fields.duration("period", PERIOD_MIN..=PERIOD_MAX).unwrap_or(DEFAULT_PERIOD),
        timeout: fields.duration("timeout", timeouts.clone()).unwrap_or(default_timeout),
        connect_timeout: fields.duration("connect_timeout", timeouts).unwrap_or(DEFAULT_CONNECT_TIMEOUT),
        gap_max: fields.integer("gap_max", 0..=REGISTERS_MAX - 1).unwrap_or(DEFAULT_GAP),
        registers_max,
        bits_max: fields.integer("bits_max", 1..=BITS_MAX).unwrap_or(bits_default),
        one_request_per_point: fields.flag("one_request_per_point").unwrap_or_default(),
        pause: fields.duration("pause", pauses.clone()).unwrap_or_default(),
        connect_pause: fields.duration("connect_pause", pauses).unwrap_or_default(),
        framing,
        points: Vec::new(),
    };
    let base = fields.integer("address_base", 0..=u16::MAX).unwrap_or(0);
    let order = fields.word("order", &ORDERS).unwrap_or_default();
    Kind::Modbus { device, base, order }
}
