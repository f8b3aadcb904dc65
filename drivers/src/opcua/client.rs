//! The watch over one server: discover, connect, follow the session's course, begin again.
//!
//! The library reconnects by itself and then publishes nothing, for ever and without an error. So:
//!
//! - its event loop is polled here, and its own recreation of subscriptions is off;
//! - a session that came back is told to publish, lost messages are asked for again and all values read;
//! - a session that had to be made anew is dropped; the next takes over its subscriptions where the server
//!   hands them over, and else builds them from the configuration;
//! - nothing heard for two keep-alives cuts the connection, so that the session can come back on another;
//! - a subscription that is silent for three of its keep-alives is made anew, and where all are, everything.
//!
//! Everything runs in the caller's task: what is dropped here is gone, with its connection.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use opcua::client::{Session, SessionPollResult};
use opcua::core::comms::url::is_opc_ua_binary_url;
use opcua::types::StatusCode;
use tokio_util::sync::CancellationToken;

use super::Server;
use super::connect::{self, Way};
use super::course::{Course, Next, ended, filled};
use super::fault::{Fault, Patience};
use super::guard::Guard;
use super::notices::Notices;
use super::subscribe::{Filling, Subscribed};
use super::tell::Run;
use crate::Clock;
use crate::backoff::Backoff;
use crate::intake::Sender;

/// Waits between tries of a network that does not answer: short enough for a switch that restarts, long
/// enough not to burden a controller that is starting.
const NETWORK_WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Waits between tries that need a change of a setting at the server: soon enough for a person who has just
/// made it and looks whether it helps.
const SETTING_WAIT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// Waits between tries that may lock an account: of many servers, the third or fifth within minutes does.
const ACCOUNT_WAIT: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(900));

/// For a polite end: closing the session at the server. A stop has to be done within a second.
const GOODBYE: Duration = Duration::from_millis(500);

/// Below it the watch would cut a connection for the time that an answer takes.
const KEEP_ALIVE_MIN: Duration = Duration::from_millis(100);

/// Why a driver ended without having been told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("'{url}' is no address of an OPC UA server; write opc.tcp://host:port/path")]
    Url { url: String },
}

/// Reports the values of the server's items, and how its link is, until `stop`; then `Ok`, within a second.
/// It reconnects by itself, for as long as it takes.
pub async fn run(server: &Server, out: &Sender, clock: Clock, stop: &CancellationToken) -> Result<(), Error> {
    if !is_opc_ua_binary_url(&server.url) {
        return Err(Error::Url { url: server.url.clone() });
    }
    let seed = u64::from(server.source.0) ^ clock().mono.0;
    let mut server = server.clone();
    server.keep_alive = server.keep_alive.max(KEEP_ALIVE_MIN);
    let server = Arc::new(server);
    let guard = Guard::new(Arc::clone(&server), clock);
    let mut watch = Watch {
        notices: Arc::new(Notices::new(Arc::clone(&server), out.clone(), clock)),
        server,
        out: out.clone(),
        clock,
        stop,
        was_up: false,
        network: Backoff::new(NETWORK_WAIT.0, NETWORK_WAIT.1, seed),
        setting: Backoff::new(SETTING_WAIT.0, SETTING_WAIT.1, seed),
        account: Backoff::new(ACCOUNT_WAIT.0, ACCOUNT_WAIT.1, seed),
        run: Arc::default(),
        left: None,
    };
    watch.notices.link().connecting();
    while let Some(found) = stop.run_until_cancelled(connect::discover(&guard)).await {
        let fault = match found {
            Ok(way) => match watch.session(&way, &guard).await {
                End::Stopped => break,
                End::Fault(fault) => fault,
            },
            Err(fault) => fault,
        };
        watch.down(&fault);
        let wait = watch.wait(&fault);
        let until = async {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // A person has trusted the server, or put a certificate of ours there: no need to wait on.
                () = guard.changed(), if fault.patience() == Patience::Setting => {}
            }
        };
        if stop.run_until_cancelled(until).await.is_none() {
            break;
        }
    }
    Ok(())
}

enum End {
    Stopped,
    Fault(Fault),
}

struct Watch<'a> {
    server: Arc<Server>,
    out: Sender,
    clock: Clock,
    stop: &'a CancellationToken,
    /// A session came up since the last wait.
    was_up: bool,
    network: Backoff,
    setting: Backoff,
    account: Backoff,
    notices: Arc<Notices>,
    run: Arc<Run>,
    /// What the server may still keep of a session that is gone.
    left: Option<Subscribed>,
}

impl Watch<'_> {
    fn up(&mut self, subscribed: &Subscribed) {
        self.network.reset();
        self.setting.reset();
        self.account.reset();
        if !std::mem::replace(&mut self.was_up, true) {
            tracing::info!(
                url = self.server.url,
                n_points = self.server.points.len(),
                n_refused = subscribed.refused.len(),
                "the OPC UA server is subscribed"
            );
        }
        self.notices.link().up();
    }

    /// Tells of the fault, once for as long as it stays the same, and of each point's loss, once for each
    /// outage.
    fn down(&mut self, fault: &Fault) {
        self.notices.all_lost();
        let why = fault.why();
        if self.notices.link().down(why.clone()) {
            // The pump tells it in the log, with the source's name.
            tracing::debug!(url = self.server.url, why, "the OPC UA server is down");
        }
    }

    /// How long to wait before the next session.
    fn wait(&mut self, fault: &Fault) -> Duration {
        let was_up = std::mem::take(&mut self.was_up);
        match fault.patience() {
            // Unless the last session did not come up either: then it is no restart, but something that
            // repeats.
            Patience::None if was_up => Duration::ZERO,
            Patience::None | Patience::Network => self.network.next(),
            Patience::Setting => self.setting.next(),
            Patience::Account => self.account.next(),
        }
    }

    /// One session, from its first connection to its end.
    async fn session(&mut self, way: &Way, guard: &Guard) -> End {
        let (session, events) = match connect::session(way) {
            Ok(session) => session,
            Err(fault) => return End::Fault(fault),
        };
        let filling = Filling {
            server: Arc::clone(&self.server),
            session: Arc::clone(&session),
            notices: Arc::clone(&self.notices),
            out: self.out.clone(),
            clock: self.clock,
            run: Arc::clone(&self.run),
        };
        let mut events = std::pin::pin!(events.enter());
        let mut course = Course::new(filling, way.clone(), self.left.take(), (self.clock)().mono);
        let end = tokio::select! {
            end = self.follow(&mut course, events.as_mut()) => end,
            fault = way.fail(guard) => End::Fault(fault),
        };
        if course.is_connected() {
            goodbye(&session, events.as_mut()).await;
        }
        self.left = course.into_left();
        end
    }

    async fn follow(&mut self, course: &mut Course, mut events: Pin<&mut impl Events>) -> End {
        let mut tick = tokio::time::interval(tick_of(&self.server));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let next = tokio::select! {
                () = self.stop.cancelled() => return End::Stopped,
                event = events.next() => match event {
                    Some(Ok(event)) => course.on_event(event, (self.clock)().mono),
                    Some(Err(status)) => Err(course.lost(status)),
                    None => Err(course.lost(StatusCode::BadConnectionClosed)),
                },
                filled = filled(&mut course.work) => course.on_filled(filled, (self.clock)().mono),
                () = ended(&mut course.past) => {
                    course.past = None;
                    Ok(Next::Nothing)
                }
                _ = tick.tick() => course.on_tick((self.clock)().mono),
            };
            match next {
                Ok(Next::Nothing) => {}
                Ok(Next::Up) => {
                    if let Some(subscribed) = &course.subscribed {
                        self.up(subscribed);
                    }
                }
                Ok(Next::Down(fault)) => self.down(&fault),
                Ok(Next::Cut) => course.filling.session.channel().close_channel().await,
                Err(fault) => return End::Fault(fault),
            }
        }
    }
}

pub(super) trait Events: Stream<Item = Result<SessionPollResult, StatusCode>> + Send {}
impl<S: Stream<Item = Result<SessionPollResult, StatusCode>> + Send> Events for S {}

fn tick_of(server: &Server) -> Duration {
    (server.keep_alive / 4).clamp(Duration::from_millis(20), Duration::from_secs(1))
}

/// Closes the session at the server, so that it does not count against its limit until it times out.
pub(super) async fn goodbye(session: &Session, mut events: Pin<&mut impl Events>) {
    let polite = async {
        tokio::select! {
            _closed = session.disconnect() => {}
            () = async { while let Some(Ok(_)) = events.next().await {} } => {}
        }
    };
    // If the server does not answer, the session times out there.
    let _either_way = tokio::time::timeout(GOODBYE, polite).await;
}
