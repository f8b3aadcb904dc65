//! What people on the spot see, and how they answer: the control room's page and the local socket.
//!
//! [`board`] holds what stands now, after commit; [`view`] is its JSON, one shape for the page, the API and
//! `riskgate show --json`; [`http`] serves it on loopback, read-only; [`socket`] takes questions and the acts
//! of named persons over a Unix socket with peer credentials.
//!
//! This room decides nothing: an act goes to the pump and comes back carried out or refused. It binds no
//! address but loopback, and no request over HTTP changes anything.

pub mod board;
pub mod http;
pub mod socket;
pub mod source;
mod trend;
pub mod view;

#[cfg(test)]
pub(crate) mod sample;

pub use board::{BoardHandle, Site, Uplink};
pub use source::{SourceLine, SourceState};
