//! The uplink: takes committed rows to the broker upstream, and brings commands back.
//!
//! At least once: a row is pending in the outbox until the broker's PUBACK for it. On any error the
//! connection is dropped whole and a new one begins with every unacknowledged row. On each connect the
//! retained topics (`birth`, `state`, the risk of every unit) are told anew, then the lanes are drained by
//! urgency. Telemetry goes beside them from memory.
//!
//! It decides nothing about the plant and holds no state that a crash could lose, but for telemetry. Only
//! `client` knows the MQTT library; `wire`, `birth`, `session` and `commands` are pure.

mod acts;
mod birth;
mod ceiling;
mod client;
mod commands;
mod drain;
mod fault;
mod gap;
mod keeper;
mod link;
mod login;
#[cfg(test)]
mod model;
pub mod schema;
#[cfg(test)]
pub(crate) mod scripted;
mod session;
mod spool;
mod stream;
mod suspect;
mod telemetry;
#[cfg(test)]
mod tests;
mod undurable;
mod window;
pub mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use riskgate_drivers::backoff::Backoff;
use riskgate_drivers::tls::Settings;
use riskgate_engine::Plant;
use riskgate_point::{Now, Wall};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::causes::chain;
use crate::config::{Commands, Credentials, Login, ModelInForce};
use crate::events::Event;
use crate::pump::{Offered, Order, Verdict};
use crate::store::Store;
use client::{INFLIGHT_MAX, Will};
use link::{End, Link};
use login::Logins;
use session::{Session, SetAside};
#[cfg(test)]
pub(crate) use spool::SpoolBounds;
pub use telemetry::{TelemetryReceiver, TelemetrySender, Told as ToldPoint, channel};
pub use undurable::Undurable;
use wire::people::ZoneCount;
use wire::permit::UnitPermits;
use wire::{Origin, SourceState};

/// How long the stop may take to tell `state: stopped`, and then to say goodbye: the uplink's share of the
/// 5 s that the whole agent has.
pub(crate) const STOP_WITHIN: Duration = Duration::from_millis(850);
pub(crate) const GOODBYE_WITHIN: Duration = Duration::from_millis(300);

/// The pause before the next connection. The longest is short, for people's sake: it is what a hazard may
/// wait once the broker is back.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A connection that held this long was a good one: the next failure begins with the shortest pause.
const HELD_AFTER: Duration = Duration::from_secs(5);

/// Reasons of one outage that are told: there are not many more.
const REASONS_MAX: usize = 8;

/// Events between the connection and the session. Commands come seldom, and the largest has over 1 MiB: at most 10 MiB.
const EVENTS_MAX: usize = 8;

/// Where upstream is, and what may come from there.
#[derive(Debug, Clone)]
pub struct Config {
    pub host: String,
    pub port: u16,
    /// Topics are `{root}/{company}/{gateway}/…`.
    pub root: String,
    pub login: Login,
    pub tls: Option<Settings>,
    pub client_id: String,
    /// Batch interval; `None`: no telemetry.
    pub telemetry: Option<Duration>,
    /// A point that does not move is told again after this time.
    pub heartbeat: Duration,
    /// Where readings are spooled that are not acknowledged in time; `None`: they stay in memory.
    pub spool: Option<PathBuf>,
    /// Readings of the past each second; `None`: ten times the live ones.
    pub drain: Option<u32>,
    /// The commands that are carried out, and whose.
    pub commands: Commands,
}

impl Config {
    /// For people: `host:port`.
    fn broker(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// How the uplink is; changes at least each second while its loop turns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UplinkStatus {
    pub connected: bool,
    /// Since when it is or is not connected.
    pub since: Wall,
    /// Why the last connection ended or could not be made.
    pub why: Option<String>,
    /// Connections that failed or were lost since it was up last.
    pub tries: u64,
    /// Rises each second: the loop is alive.
    pub turns: u64,
    pub connects: u64,
    pub in_flight: usize,
    /// Outbox rows that the broker has acknowledged since the start.
    pub acknowledged: u64,
    /// Readings sent and acknowledged since the start.
    pub readings: u64,
    /// Readings dropped since the start because the link was down for too long; each is told as a gap.
    pub readings_dropped: u64,
    /// Messages since the start that the broker would not take, and that were set aside.
    pub refused: u64,
    /// Commands received since the start, and those of them that were refused.
    pub commands: u64,
    pub commands_refused: u64,
}

/// A model from upstream, and the way for what becomes of it.
pub type ModelOrder = (Box<Offered>, oneshot::Sender<Verdict>);

/// What the uplink is made of; wired by the app.
pub struct Uplink {
    pub config: Config,
    pub origin: Origin,
    pub plant: watch::Receiver<Arc<Plant>>,
    pub sources: watch::Receiver<Vec<SourceState>>,
    pub store: Store,
    pub telemetry: TelemetryReceiver,
    /// What is told before its commit.
    pub undurable: Undurable,
    /// To the pump, for acts of persons upstream.
    pub orders: mpsc::Sender<Order>,
    /// To the app, for models from upstream.
    pub models: mpsc::Sender<ModelOrder>,
    /// How many people are where, in the order of the zones' ids.
    pub people: watch::Receiver<Vec<ZoneCount>>,
    /// What work is permitted where, in the order of the units' ids; `None` before anybody has looked.
    pub permits: watch::Receiver<Option<Vec<UnitPermits>>>,
    /// The model in force.
    pub model: watch::Receiver<ModelInForce>,
    pub status: watch::Sender<UplinkStatus>,
    pub clock: fn() -> Now,
}

/// Keeps a connection until `stop`, then tells `state: stopped` in about a second if it is connected. The backlog
/// is not waited for.
pub async fn run(mut uplink: Uplink, stop: CancellationToken) {
    if uplink.config.telemetry.is_none() {
        uplink.telemetry.turn_off();
    }
    uplink.telemetry.set_heartbeat(uplink.config.heartbeat);
    let dir = uplink.config.spool.clone().filter(|_| uplink.config.telemetry.is_some());
    // No connection waits for it to be opened: alarms go out at once.
    let spool = dir.map(|dir| spool::Handle::new(dir, uplink.clock));
    let (telemetry, clock) = (uplink.telemetry.clone(), uplink.clock);
    let (store, origin) = (uplink.store.clone(), uplink.origin.clone());
    let connections = connections(&mut uplink, spool.clone(), &stop);
    match &spool {
        Some(spool) => {
            let keeping = keeper::run(spool, &telemetry, || clock().wall, &stop);
            let telling = keeper::tell_lost(spool, &store, &origin, || clock().wall, &stop);
            tokio::join!(connections, keeping, telling);
            keeper::end(spool, &telemetry, clock().wall).await;
        }
        None => connections.await,
    }
    uplink.lost("stopped".to_owned());
}

async fn connections(uplink: &mut Uplink, spool: Option<spool::Handle>, stop: &CancellationToken) {
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX, fastrand::u64(..));
    let mut session = Session::new(usize::from(INFLIGHT_MAX), uplink.config.drain);
    let mut told = Told::default();
    let mut logins = Logins::new(uplink.config.login.clone());
    while !stop.is_cancelled() {
        let began = Instant::now();
        let ended = match logins.now().await {
            Ok(login) => connection(uplink, &login, &mut session, spool.as_ref(), stop).await,
            Err(why) => Ended::Lost { why, theirs: false },
        };
        let left = session.lost(matches!(ended, Ended::Lost { theirs: true, .. }));
        uplink.telemetry.put_back(left.readings);
        let Ended::Lost { why, .. } = ended else { break };
        if let Some(aside) = left.aside {
            uplink.set_aside(aside);
        }
        if left.again {
            // For at most as many connections as it takes to set the message aside.
            backoff.reset();
        }
        // One that never acknowledged anything was none.
        if began.elapsed() >= HELD_AFTER && left.worked {
            backoff.reset();
            told = Told::default();
        }
        let pause = backoff.next();
        told.tell(&uplink.config.broker(), &why);
        uplink.lost(why);
        pause_alive(uplink, pause, stop).await;
    }
}

/// The reasons of one outage that are in the log already: an outage of hours is tried thousands of times.
#[derive(Default)]
struct Told(Vec<String>);

impl Told {
    fn tell(&mut self, broker: &str, why: &str) {
        if self.0.iter().any(|told| told == why) || self.0.len() >= REASONS_MAX {
            tracing::debug!(broker, why, "uplink still lost");
            return;
        }
        Event::UplinkLost { broker, why }.emit();
        self.0.push(why.to_owned());
    }
}

enum Ended {
    Stopped,
    /// `theirs`: the broker has hung up.
    Lost {
        why: String,
        theirs: bool,
    },
}

/// One connection, from its first packet to its end.
async fn connection(
    uplink: &mut Uplink,
    login: &Credentials,
    session: &mut Session,
    spool: Option<&spool::Handle>,
    stop: &CancellationToken,
) -> Ended {
    let will = Will {
        topic: uplink.topic("state"),
        payload: wire::state_bytes(wire::Status::Offline, None, Wall(0), &uplink.origin),
    };
    let (client, connection) = match client::connect(&uplink.config, login, will, uplink.clock) {
        Ok(both) => both,
        Err(error) => return Ended::Lost { why: chain(&error), theirs: false },
    };
    let (events, received) = mpsc::channel(EVENTS_MAX);
    // Polled beside the session, never cancelled by one of its ticks.
    let poll = connection.poll(events);
    tokio::pin!(poll);
    let mut link = Link::new(uplink, session, spool.cloned(), client, received);
    let ended = tokio::select! {
        biased;
        lost = &mut poll => Ended::Lost { why: chain(&lost), theirs: lost.is_theirs() },
        end = link.run(stop) => match end {
            End::Stopped => Ended::Stopped,
            End::Lost(why) => Ended::Lost { why: why.to_owned(), theirs: false },
        },
    };
    if let Ended::Stopped = ended {
        // The goodbye is on its way: the connection ends by itself.
        drop(tokio::time::timeout(GOODBYE_WITHIN, poll).await);
    } else {
        link.write_acknowledged().await;
    }
    ended
}

/// Waits, and shows that the loop is alive.
async fn pause_alive(uplink: &Uplink, pause: Duration, stop: &CancellationToken) {
    let until = sleep_until(Instant::now() + pause);
    tokio::pin!(until);
    let mut tick = second();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = &mut until => return,
            _ = tick.tick() => uplink.status.send_modify(|status| status.turns += 1),
        }
    }
}

fn second() -> tokio::time::Interval {
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

impl Uplink {
    fn now(&self) -> Wall {
        (self.clock)().wall
    }

    fn topic(&self, below: &str) -> String {
        self.origin.topic(&self.config.root, below)
    }

    /// What the broker would not take: told, and left out from here on. A disk that has a part in it is not waited for.
    fn set_aside(&self, aside: SetAside) {
        let message = match aside {
            // Told when it is read again, with its gap.
            SetAside::Row(_) => return,
            SetAside::Loose(topic) => topic,
            SetAside::Smaller(bytes) => {
                tracing::warn!(bytes, "the broker takes no larger messages of readings");
                return;
            }
            SetAside::Reading(chunk) => {
                self.telemetry.refused(&chunk);
                "telemetry".to_owned()
            }
        };
        Event::MessageRefused { message: &message }.emit();
        self.status.send_modify(|status| status.refused += 1);
    }

    fn lost(&self, why: String) {
        let now = self.now();
        self.status.send_modify(|status| {
            if status.connected || status.since == Wall::default() {
                status.since = now;
            }
            status.connected = false;
            status.tries += 1;
            status.in_flight = 0;
            status.why = Some(why);
        });
    }
}
