//! `[[source]]` of the Modbus kinds.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use riskgate_drivers::modbus::status::StatusMap;
use riskgate_drivers::modbus::{self, Order};
use riskgate_point::SourceId;

use super::modbus_line::{self, Way};
use super::{Kind, PERIOD_MAX, PERIOD_MIN, TIMEOUT_MAX, TIMEOUT_MIN};
use crate::config::fields::Fields;
use crate::config::status_map;
use crate::config::values::duration_text;

/// The Modbus specification: one reply holds at most 125 registers.
const REGISTERS_MAX: u16 = 125;
/// And of bits, in as many bytes.
const BITS_MAX: u16 = 2000;
const BITS_PER_REGISTER: u16 = 16;
/// Longer rests are no rests but another period.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Decimals that are older than this are no more than a memory.
const SCALE_PERIOD_MAX: Duration = Duration::from_secs(3600);
const DEFAULT_PERIOD: Duration = Duration::from_secs(1);
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(500);
/// A mobile network takes its time.
const DEFAULT_TIMEOUT_DIAL_IN: Duration = Duration::from_secs(3);
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const DEFAULT_GAP: u16 = 8;

/// Four letters go on as they begin where a value has eight bytes.
pub(in crate::config) const ORDERS: [(&str, Order); 12] = [
    ("ABCD", Order::Abcd),
    ("CDAB", Order::Cdab),
    ("BADC", Order::Badc),
    ("DCBA", Order::Dcba),
    ("ABCDEFGH", Order::Abcd),
    ("GHEFCDAB", Order::Cdab),
    ("BADCFEHG", Order::Badc),
    ("HGFEDCBA", Order::Dcba),
    ("EFGHABCD", Order::Efghabcd),
    ("CDABGHEF", Order::Cdabghef),
    ("FEHGBADC", Order::Fehgbadc),
    ("DCBAHGFE", Order::Dcbahgfe),
];

/// As vendors' lists say it, each with the bytes of a word in Modbus's own order.
pub(in crate::config) const ORDERS_ZH: [(&str, Order); 2] =
    [("高字在前", Order::Abcd), ("低字在前", Order::Cdab)];

/// How the device numbers and fills its registers, where a row does not say otherwise.
pub(in crate::config) struct Habits {
    pub(in crate::config) base: u16,
    pub(in crate::config) order: Order,
    pub(in crate::config) status_map: Option<Arc<StatusMap>>,
    /// Registers that hold decimals are read in one of so many cycles; else with their points.
    pub(in crate::config) scale_every: Option<NonZeroU32>,
}

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
        points: Vec::new(),
    };
    let habits = Habits {
        base: fields.integer("address_base", 0..=u16::MAX).unwrap_or(0),
        order: fields.word("order", &ORDERS).unwrap_or_default(),
        status_map: status_map(fields),
        scale_every: fields.duration("scale_period", device.period..=SCALE_PERIOD_MAX).and_then(|period| {
            match cycles(period, device.period) {
                Ok(every) => Some(every),
                Err(hint) => {
                    let message = "'scale_period' is no multiple of the source's period";
                    fields.error("scale_period", message, hint);
                    None
                }
            }
        }),
    };
    Kind::Modbus { device, habits }
}

fn status_map(fields: &mut Fields<'_>) -> Option<Arc<StatusMap>> {
    let text = fields.text("status_map")?;
    let (map, faults) = status_map::parse(&text.value);
    for wrong in faults {
        fields.error("status_map", wrong.message, wrong.hint);
    }
    map.map(Arc::new)
}

/// How often a slow point is read, in cycles of its source. `Err`: what to write instead.
pub(in crate::config) fn cycles(period: Duration, of_source: Duration) -> Result<NonZeroU32, String> {
    let (period, cycle) = (period.as_millis(), of_source.as_millis().max(1));
    match u32::try_from(period / cycle).ok().and_then(NonZeroU32::new) {
        Some(every) if period.is_multiple_of(cycle) => Ok(every),
        every => {
            let below = of_source * every.map_or(1, NonZeroU32::get);
            let above = below + of_source;
            Err(format!("write {} or {}", duration_text(below), duration_text(above)))
        }
    }
}

/// Three polls missed are no accident; below this, one slow reply would be.
const STALE_POLLS: u32 = 3;
pub(in crate::config) const STALE_POLL_MIN: Duration = Duration::from_secs(5);

/// How long what is read every `period` holds where it is not read again.
pub(in crate::config) fn good_for(period: Duration) -> Duration {
    (period * STALE_POLLS).max(STALE_POLL_MIN)
}
