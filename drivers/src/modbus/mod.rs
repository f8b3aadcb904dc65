//! Modbus: polls the registers of devices, function codes 1 to 4 only.

mod agenda;
mod client;
mod cycle;
pub mod decode;
mod fault;
mod frame;
#[doc(hidden)]
pub mod fuzz;
mod grid;
pub mod guess;
mod line;
pub mod memory;
pub mod plan;
mod quarantine;
pub mod query;
mod raw;
mod rest;
pub mod status;
mod tell;

use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{PointId, SourceId};

pub use client::{Error, run};
pub use frame::{Misfit, Reply, Request};
pub use line::{Address, DialIn, Endpoint, Line, Listener, Parity, Port};

use crate::scaling::{EnumWords, Scaling};
use status::StatusMap;

/// One device, alone or one of several behind one connection, and what to read of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    pub source: SourceId,
    /// Sources with an equal one share a [`Line`].
    pub endpoint: Endpoint,
    /// The Modbus unit identifier, 0 to 255.
    pub device_id: u8,
    pub period: Duration,
    /// For one request and its reply.
    pub timeout: Duration,
    pub connect_timeout: Duration,
    /// How many unused registers a merged read may hold between two points.
    pub gap_max: u16,
    /// Registers in one request, 1 to 125.
    pub registers_max: u16,
    /// Coils or discrete inputs in one request, 1 to 2000.
    pub bits_max: u16,
    /// The device answers for one of its fields at a time: no read is merged with another.
    pub one_request_per_point: bool,
    /// How long the line rests between a reply and the next request; zero: not at all.
    pub pause: Duration,
    /// How long a new connection rests before its first request; zero: not at all.
    pub connect_pause: Duration,
    pub points: Vec<Point>,
}

/// How requests are wrapped. The plan weighs what a request costs by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Framing {
    /// With the header of Modbus TCP.
    #[default]
    Tcp,
    /// With an address before and a checksum behind, on a serial line or within TCP.
    Rtu,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub point: PointId,
    pub table: Table,
    /// As on the wire, from 0.
    pub address: u16,
    pub kind: Kind,
    pub order: Order,
    pub scaling: Scaling,
    /// Of a number, what each means; of a text, those that it may be.
    pub words: Option<EnumWords>,
    /// The point is a status register itself: its value is the word of its state.
    pub state: Option<Arc<StatusMap>>,
    /// What scaling gives is a current in mA, by NAMUR NE 43; its range is what 4 and 20 mA stand for.
    pub current_loop: bool,
    /// It is read in one of so many cycles.
    pub every: NonZeroU32,
    pub beside: Option<Box<Beside>>,
}

/// Registers that say how the value of a point is to be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beside {
    /// The value is divided by ten to the power of what it reads, before it is scaled.
    pub decimals: Option<Register>,
    pub status: Option<(Register, Arc<StatusMap>)>,
}

/// One register that is no point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    pub table: Table,
    /// As on the wire, from 0.
    pub address: u16,
    /// The register is read for this one bit.
    pub bit: Option<Bit>,
    pub order: Order,
    pub every: NonZeroU32,
    /// How long what it read holds where it is not read again.
    pub good_for: Duration,
}

impl Point {
    /// A point of nothing but its register: unscaled, high word first, read in each cycle.
    pub fn new(point: PointId, table: Table, address: u16, kind: Kind) -> Self {
        Self {
            point,
            table,
            address,
            kind,
            order: Order::default(),
            scaling: Scaling::IDENTITY,
            words: None,
            state: None,
            current_loop: false,
            every: NonZeroU32::MIN,
            beside: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    Coil,
    Discrete,
    Holding,
    Input,
}

/// What a point's registers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Of a coil or discrete input: its bit. Of a register: not zero.
    Bool,
    /// One bit of a register.
    Bit(Bit),
    /// The more significant byte of a register.
    HighByte,
    LowByte,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    /// Four decimal digits, four bits each.
    Bcd16,
    /// Eight decimal digits.
    Bcd32,
    /// Two bytes a register, the high one first unless the order swaps them.
    Text {
        registers: NonZeroU8,
        encoding: Encoding,
    },
}

/// The place of a bit in a register, 0 to 15; 0 is the least significant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bit(u8);

impl Bit {
    pub fn new(place: u8) -> Option<Self> {
        (u32::from(place) < u16::BITS).then_some(Self(place))
    }

    fn is_set(self, register: u16) -> bool {
        (register >> self.0) & 1 == 1
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// ASCII is a part of it.
    Utf8,
    /// What GBK and GB2312 are parts of.
    Gb18030,
}

/// The order of the bytes of a 32-bit value on the wire; A is the most significant.
///
/// Of 16-bit values, bytes and bits, `Badc` and `Dcba` swap the two bytes of the register. Of 64-bit values
/// the first four go on as they begin: `Abcd` is ABCDEFGH, `Cdab` GHEFCDAB, `Badc` BADCFEHG and `Dcba`
/// HGFEDCBA. The others are of 64-bit values; to a shorter one they say what they say of its own bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    #[default]
    Abcd,
    Cdab,
    Badc,
    Dcba,
    /// Low half first; each as `Abcd`.
    Efghabcd,
    /// High half first; each as `Cdab`.
    Cdabghef,
    /// Low half first; each as `Badc`.
    Fehgbadc,
    /// High half first; each as `Dcba`.
    Dcbahgfe,
}
