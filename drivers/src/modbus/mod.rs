//! Modbus: polls the registers of devices, function codes 1 to 4 only.

mod agenda;
mod client;
mod cycle;
pub mod decode;
mod fault;
mod frame;
mod grid;
mod line;
pub mod plan;
mod quarantine;
mod rest;
mod tell;

use std::time::Duration;

use riskgate_point::{PointId, SourceId};

pub use client::{Error, run};
pub use frame::{Misfit, Reply, Request};
pub use line::{Address, DialIn, Endpoint, Line, Listener, Parity, Port};

use crate::scaling::{EnumWords, Scaling};

/// One device, alone or one of several behind one connection, and what to read of it.
#[derive(Debug, Clone)]
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
    pub framing: Framing,
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

#[derive(Debug, Clone)]
pub struct Point {
    pub point: PointId,
    pub table: Table,
    /// As on the wire, from 0.
    pub address: u16,
    pub kind: Kind,
    pub order: Order,
    pub scaling: Scaling,
    pub words: Option<EnumWords>,
}

impl Point {
    /// A point of nothing but its register: unscaled, high word first.
    pub fn new(point: PointId, table: Table, address: u16, kind: Kind) -> Self {
        Self { point, table, address, kind, order: Order::default(), scaling: Scaling::IDENTITY, words: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    Coil,
    Discrete,
    Holding,
    Input,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Of a coil or discrete input: its bit. Of a register: not zero.
    Bool,
    U16,
    I16,
    U32,
    I32,
    F32,
}

/// The order of the bytes of a 32-bit value on the wire; A is the most significant.
/// Of 16-bit values, `Badc` and `Dcba` swap the two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    #[default]
    Abcd,
    Cdab,
    Badc,
    Dcba,
}
