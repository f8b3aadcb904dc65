//! The words that both sides of riskgate speak: what a driver reports and what the engine judges.
//!
//! A driver turns bytes into [`Report`]s; the engine never sees a protocol, a driver never sees a
//! risk unit. This crate holds nothing but values: no IO, no clock, no limits.
//!
//! It does not know what a point is called or where it sits: a [`PointId`] is the point's place in
//! the plant's point list, given out by the configuration. Names live there.

mod quality;
mod report;
mod time;
mod value;

pub use quality::{BadReason, Quality, UncertainReason};
pub use report::{
    Condition, Fix, Link, Permit, PermitKind, PermitStage, PointId, Report, Sample, Sighting, SourceId, Spot,
};
pub use time::{Mono, Now, Wall};
pub use value::{Finite, Value};
