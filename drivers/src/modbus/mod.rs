//! Modbus: polls the registers of devices, function codes 1 to 4 only.

mod client;
pub mod decode;
mod fault;
mod frame;
mod line;
pub mod plan;

use std::time::Duration;

use riskgate_point::{PointId, SourceId};

pub use client::{Error, run};
pub use frame::{Misfit, Reply, Request};
pub use line::{Address, Endpoint, Line};

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
    pub points: Vec<Point>,
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
