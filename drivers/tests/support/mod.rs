//! The plant side of more than one test binary.

pub(crate) mod opcua;
pub(crate) mod proxy;
