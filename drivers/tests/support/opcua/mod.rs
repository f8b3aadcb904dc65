//! An OPC UA server, what it keeps, and what was asked of it.

pub(crate) mod alarms;
pub(crate) mod archive;
pub(crate) mod certs;
pub(crate) mod plant;
pub(crate) mod wire;
