//! The Modbus driver against raw devices over real sockets, a file for each question.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "all of it is test code: what cannot go on shall panic"
)]

mod fuzzed;
mod others;
mod plant;
mod refused;
mod shared;
