//! The only place that makes channels and spawns: what is wired to what, in which order it starts, and in
//! which order it ends.
//!
//! Start: configuration, store, engine, listeners, then the tasks, then the drivers.
//! End: drivers first, then what they reported is judged and committed, then the last word goes upstream.
//! It decides nothing: a room's rules are in that room.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use riskgate_drivers::Clock;
use riskgate_drivers::intake::{self, Lane};
use riskgate_engine::{Class, Effect, Engine, Plant};
use riskgate_point::PointId;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::{self, Checked, Driver, Problems, SourceConfig};
use crate::console::board::BoardHandle;
use crate::console::socket::{Reply, Request};
use crate::console::{http, socket};
use crate::events::Event;
use crate::metrics;
use crate::pump::{Answer, Order, Pump};
use crate::store::{JournalEntry, Store};
use crate::supervise::{self, Charge};
use crate::uplink;

/// One second of the largest plant that we promise to read (100,000 points each second).
const INTAKE_REPORTS_MAX: usize = 100_000;
/// Acts of persons that wait for the pump: more at once are no persons.
const ORDERS_MAX: usize = 64;
/// All of it: a stopping agent is gone after this, and says so if it was not done.
pub const STOP_WITHIN: Duration = Duration::from_secs(5);

