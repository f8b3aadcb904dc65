//! The plant side of more than one test binary.

pub(crate) mod opcua;
#[path = "../../../tests/support/ports.rs"]
pub(crate) mod ports;
pub(crate) mod proxy;
