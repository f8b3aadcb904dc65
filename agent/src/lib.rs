//! riskgate: an edge agent for hazardous-chemical plants. It reads what the plant already measures and
//! turns it into what the dual-prevention mechanism (双重预防机制) needs: hazards (隐患) raised against the
//! control measure that failed, inspection tasks (排查任务) adjusted to the risk of the moment, alerts in
//! the control room, all of it uploaded over MQTT.
//!
//! # The map
//!
//! ```text
//! plant ──> drivers ──> intake ──> pump ──> engine ──> effects ──> store (1 txn) ──> uplink ──> upstream
//!                                                                     └──> console (control room)
//! ```
//!
//! | room | what it does |
//! |---|---|
//! | [`config`] | files -> checked configuration -> the engine's plant; every problem at once |
//! | [`clock`] | the only place that reads clocks |
//! | [`supervise`] | keeps each driver running |
//! | [`pump`] | the one loop: reports and acts -> engine -> store -> shown and sent |
//! | [`store`] | SQLite: state, outbox, journal |
//! | [`uplink`] | session, wire format, downlink commands |
//! | [`console`] | the page, the read-only HTTP port, the local socket |
//! | [`explain`] | why an alarm or a hazard is there, for a person |
//! | [`events`], [`metrics`] | typed events that log and count at once |
//! | [`app`] | the only place that makes channels and spawns |
//! | [`backtest`] | the past judged by other rules |
//! | [`cli`] | the commands |
//! | `demo` | broker, simulated plant, scenario (feature `demo`) |
//!
//! The engine (`riskgate-engine`) knows nothing of protocols, the drivers (`riskgate-drivers`) nothing of
//! risk; both speak `riskgate-point`. Only this crate wires.
//!
//! # The invariants
//!
//! Each is an absence that a test or a tool can check.
//!
//! 1. The engine never reads a clock, awaits, logs, allocates ids at random or touches storage: the same
//!    inputs give byte-equal effects.
//! 2. riskgate never writes to a plant device.
//! 3. No hazard, alarm, task or record leaves before it is committed; state change and outbox row share one
//!    transaction. One exception, for people's sake: where a commit fails or has not returned in 2 s,
//!    alarms and hazards go out and are shown with `durable: false`, and are committed under the same ids
//!    when the store is back.
//! 4. A row leaves the outbox on the receiver's acknowledgement, or by a declared expiry that is counted and
//!    told upstream as a gap. Nothing else.
//! 5. Silence, bad quality and a lost link never clear an alarm or a hazard. Unknown is never taken for safe.
//! 6. At most one open hazard for each (measure, cause), held by a partial unique index, across any crash
//!    and restart.
//! 7. Every queue has a bound, a reason for the bound, and a rule for when it is full. No loss is silent:
//!    each is counted, with a reason.
//! 8. A slow, dead or lying source delays or harms no other source, nor the engine, nor shutdown.
//! 9. A configuration that passes `riskgate check` starts; a bad one is refused whole, with every problem
//!    shown at its file, line and column, and a hint.

pub mod app;
pub mod backtest;
mod causes;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
#[cfg(feature = "demo")]
pub mod demo;
pub mod events;
pub mod explain;
pub mod history;
pub mod metrics;
pub mod pump;
#[cfg(test)]
mod sim;
mod sqlite;
pub mod store;
pub mod supervise;
pub mod uplink;
