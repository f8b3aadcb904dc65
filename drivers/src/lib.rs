//! Plant-side protocols, read only. Each splits into a pure half (plan, decode) and a thin client.
//!
//! A driver is given checked points and an [`intake::Sender`], and reports until it is told to stop:
//! samples, fixes, sightings, permits, conditions, and how its link is. It decides about reconnecting, never about meaning:
//! it knows nothing of risk. It holds no call that writes to a plant device (Modbus function codes 1 to 4
//! only; OPC UA without Write, and without Call but ConditionRefresh; no PUBLISH to a plant-side broker).

pub mod backoff;
pub mod current_loop;
pub mod intake;
#[cfg(feature = "modbus")]
pub mod modbus;
#[cfg(feature = "mqtt")]
pub mod mqtt;
#[cfg(feature = "opcua")]
pub mod opcua;
#[cfg(test)]
#[path = "../../tests/support/ports.rs"]
mod ports;
pub mod scaling;
pub mod tally;
#[cfg(feature = "tls")]
pub mod tls;

/// Reads both clocks. Handed in, so that no driver reads a clock by itself.
pub type Clock = fn() -> riskgate_point::Now;
