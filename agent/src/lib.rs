//! riskgate, the daemon and its commands: the only crate that wires.

pub mod cli;
pub mod config;
pub mod console;
#[cfg(feature = "demo")]
pub mod demo;
pub mod store;
pub mod uplink;
