//! The watch over one server's session: connect, subscribe, notice that it has gone quiet, begin again.
//!
//! The library reconnects by itself and then publishes nothing, for ever and without an error. So:
//!
//! - its event loop is polled here, and its own recreation of subscriptions is off;
//! - a session that came back is told to publish, lost messages are asked for again and all values read;
//! - a session that had to be made anew is dropped, and everything is built from the configuration;
//! - nothing heard for two keep-alives cuts the connection, so that the session can come back on another;
//! - nothing published for three keep-alives drops everything, whatever the cause.
//!
//! Everything runs in the caller's task: what is dropped here is gone, with its connection.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use opcua::client::transport::TransportPollResult;
use opcua::client::{Session, SessionActivity, SessionConnectMode, SessionPollResult, SubscriptionActivity};
use opcua::core::comms::url::is_opc_ua_binary_url;
use opcua::types::StatusCode;
use riskgate_point::{Link, Mono, Report};
use tokio_util::sync::CancellationToken;

use super::connect::{self, Way};
use super::fault::{Fault, Patience, is_gone};
use super::guard::Guard;
use super::notices::Notices;
use super::subscribe::{Filling, Subscribed, all_lost};
use super::{Server, plan};
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

/// Keep-alives between two tries of the items that the server refused: 30 s with keep-alives of 5 s.
const REFUSED_AGAIN: u32 = 6;

/// Publish requests sent after a session came back, one each tick until one is answered. Some servers still
/// hold those of the dead connection, answer them first, and so answer nobody; no more are let in than a
/// few, and each new one pushes out an old one.
const NUDGES_MAX: u8 = 4;

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
        server,
        out: out.clone(),
        clock,
        stop,
        told: Told::Nothing,
        may_be_good: Arc::new(AtomicBool::new(true)),
        was_up: false,
        network: Backoff::new(NETWORK_WAIT.0, NETWORK_WAIT.1, seed),
        setting: Backoff::new(SETTING_WAIT.0, SETTING_WAIT.1, seed),
        account: Backoff::new(ACCOUNT_WAIT.0, ACCOUNT_WAIT.1, seed),
        named: Arc::default(),
    };
    watch.link(Link::Connecting);
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

/// What the engine was last told of the link.
#[derive(Debug, PartialEq)]
enum Told {
    Nothing,
    Up,
    Down(String),
}

struct Watch<'a> {
    server: Arc<Server>,
    out: Sender,
    clock: Clock,
    stop: &'a CancellationToken,
    told: Told,
    /// A point may be good in the engine's eyes: something was reported since all were called lost.
    may_be_good: Arc<AtomicBool>,
    /// A session came up since the last wait.
    was_up: bool,
    network: Backoff,
    setting: Backoff,
    account: Backoff,
    named: Arc<Mutex<Vec<usize>>>,
}

impl Watch<'_> {
    fn link(&self, link: Link) {
        self.out.send(vec![Report::Link { source: self.server.source, link, at: (self.clock)() }]);
    }

    fn up(&mut self, subscribed: &Subscribed) {
        self.network.reset();
        self.setting.reset();
        self.account.reset();
        self.was_up = true;
        if self.told != Told::Up {
            tracing::info!(
                url = self.server.url,
                n_points = self.server.points.len(),
                n_refused = subscribed.refused.len(),
                "the OPC UA server is subscribed"
            );
            self.told = Told::Up;
            self.link(Link::Up);
        }
    }

    /// Tells of the fault, once for as long as it stays the same, and of each point's loss, once for each
    /// outage.
    fn down(&mut self, fault: &Fault) {
        if self.may_be_good.swap(false, Ordering::Relaxed) {
            self.out.send(all_lost(&self.server, self.clock));
        }
        let why = fault.why();
        if self.told != Told::Down(why.clone()) {
            // The pump tells it in the log, with the source's name.
            tracing::debug!(url = self.server.url, why, "the OPC UA server is down");
            self.link(Link::Down { why: why.clone() });
            self.told = Told::Down(why);
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
        let notices = Notices::new(
            Arc::clone(&self.server),
            self.out.clone(),
            self.clock,
            Arc::clone(&self.may_be_good),
        );
        let filling = Filling {
            server: Arc::clone(&self.server),
            session: Arc::clone(&session),
            notices: Arc::new(notices),
            out: self.out.clone(),
            clock: self.clock,
            named: Arc::clone(&self.named),
        };
        let mut events = std::pin::pin!(events.enter());
        let mut course = Course::new(filling, way.clone(), (self.clock)().mono);
        let end = tokio::select! {
            end = self.follow(&mut course, events.as_mut()) => end,
            fault = way.fail(guard) => End::Fault(fault),
        };
        if matches!(course.stage, Stage::Connected { .. }) {
            goodbye(&session, events.as_mut()).await;
        }
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

trait Events: Stream<Item = Result<SessionPollResult, StatusCode>> + Send {}
impl<S: Stream<Item = Result<SessionPollResult, StatusCode>> + Send> Events for S {}

type Work = Pin<Box<dyn Future<Output = Result<Subscribed, Fault>> + Send>>;

/// Never, while there is no work.
async fn filled(work: &mut Option<Work>) -> Result<Subscribed, Fault> {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

fn tick_of(server: &Server) -> Duration {
    (server.keep_alive / 4).clamp(Duration::from_millis(20), Duration::from_secs(1))
}

/// Closes the session at the server, so that it does not count against its limit until it times out.
async fn goodbye(session: &Session, mut events: Pin<&mut impl Events>) {
    let polite = async {
        tokio::select! {
            _closed = session.disconnect() => {}
            () = async { while let Some(Ok(_)) = events.next().await {} } => {}
        }
    };
    // If the server does not answer, the session times out there.
    let _either_way = tokio::time::timeout(GOODBYE, polite).await;
}

/// Where a session stands.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Never connected yet.
    First { since: Mono },
    Connected {
        /// Anything came from the server.
        heard: Mono,
        /// A publish response came, or it was too early for one.
        published: Mono,
        /// Refused items were last tried.
        tried: Mono,
        /// We closed the connection and wait for the library to see it.
        cut: Option<Mono>,
        /// How often to ask still for a publish response, after the session came back.
        nudges: u8,
    },
    /// The library tries to bring the session back.
    Lost { since: Mono },
}

enum Next {
    Nothing,
    Up,
    Down(Fault),
    /// Close the connection, so that the session comes back on a new one.
    Cut,
}

/// One session's course: what happens, and what follows from it.
struct Course {
    filling: Filling,
    way: Way,
    stage: Stage,
    subscribed: Option<Subscribed>,
    /// Building, resuming, or trying refused items again.
    work: Option<Work>,
}

impl Course {
    fn new(filling: Filling, way: Way, now: Mono) -> Self {
        Self { filling, way, stage: Stage::First { since: now }, subscribed: None, work: None }
    }

    fn server(&self) -> &Server {
        &self.filling.server
    }

    fn lost(&self, status: StatusCode) -> Fault {
        Fault::Lost { url: self.server().url.clone(), status }
    }

    fn gone(&self) -> Fault {
        Fault::Gone { url: self.server().url.clone() }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's events, of which we need a few")]
    fn on_event(&mut self, event: SessionPollResult, now: Mono) -> Result<Next, Fault> {
        match event {
            SessionPollResult::Reconnected(mode) => self.on_connected(mode, now),
            SessionPollResult::ConnectionLost(status) => {
                self.work = None;
                // What we cut ourselves ends "Good"; the cause is that nothing was heard.
                let is_ours = matches!(self.stage, Stage::Connected { cut: Some(_), .. });
                let status = if is_ours { StatusCode::BadTimeout } else { status };
                self.stage = Stage::Lost { since: now };
                Ok(Next::Down(self.lost(status)))
            }
            SessionPollResult::ReconnectFailed(status) => {
                let fault = self.way.fault(status);
                match self.stage {
                    Stage::Lost { .. } if fault.patience() == Patience::Network => Ok(Next::Nothing),
                    Stage::Lost { .. } | Stage::First { .. } | Stage::Connected { .. } => Err(fault),
                }
            }
            SessionPollResult::Transport(TransportPollResult::IncomingMessage) => {
                if let Stage::Connected { heard, .. } = &mut self.stage {
                    *heard = now;
                }
                Ok(Next::Nothing)
            }
            SessionPollResult::Subscription(SubscriptionActivity::Publish) => {
                if let Stage::Connected { published, nudges, .. } = &mut self.stage {
                    *published = now;
                    *nudges = 0;
                }
                match self.filling.notices.ended() {
                    Some(status) => {
                        tracing::info!(url = self.server().url, %status, "the server has ended the subscription");
                        Err(self.gone())
                    }
                    None => Ok(self.fill_gaps()),
                }
            }
            SessionPollResult::Subscription(SubscriptionActivity::PublishFailed(status))
                if is_gone(status) && self.subscribed.is_some() =>
            {
                Err(self.gone())
            }
            SessionPollResult::SessionActivity(SessionActivity::KeepAliveFailed(status)) => {
                tracing::debug!(url = self.server().url, %status, "the server's state could not be read");
                Ok(Next::Nothing)
            }
            _ => Ok(Next::Nothing),
        }
    }

    fn fill_gaps(&mut self) -> Next {
        if let (Some(subscribed), None, true) =
            (&self.subscribed, &self.work, self.filling.notices.is_any_missing())
        {
            self.work = Some(Box::pin(self.filling.clone().fill_gaps(subscribed.clone())));
        }
        Next::Nothing
    }

    fn on_connected(&mut self, mode: SessionConnectMode, now: Mono) -> Result<Next, Fault> {
        let is_first = matches!(self.stage, Stage::First { .. });
        let nudges = if is_first { 0 } else { NUDGES_MAX };
        self.stage = Stage::Connected { heard: now, published: now, tried: now, cut: None, nudges };
        let filling = self.filling.clone();
        self.work = Some(match (mode, self.subscribed.clone()) {
            (SessionConnectMode::NewSession(_), _) if is_first => Box::pin(filling.build()),
            (SessionConnectMode::ReactivatedSession(_), Some(subscribed)) => {
                Box::pin(filling.resume(subscribed))
            }
            // The server has forgotten us; or the cut came before there was a subscription.
            (SessionConnectMode::NewSession(_) | SessionConnectMode::ReactivatedSession(_), _) => {
                return Err(self.gone());
            }
        });
        Ok(Next::Nothing)
    }

    fn on_filled(&mut self, filled: Result<Subscribed, Fault>, now: Mono) -> Result<Next, Fault> {
        self.work = None;
        self.subscribed = Some(filled?);
        if let Stage::Connected { published, .. } = &mut self.stage {
            *published = now;
        }
        Ok(Next::Up)
    }

    fn on_tick(&mut self, now: Mono) -> Result<Next, Fault> {
        let server = Arc::clone(&self.filling.server);
        let keep_alive = server.keep_alive;
        match &mut self.stage {
            // A connection, a channel and a session: three answers.
            Stage::First { since } if now.since(*since) > connect::REQUEST * 3 => {
                let (url, within) = (server.url.clone(), connect::REQUEST * 3);
                Err(Fault::Silent { url, what: "the opening of a session", within })
            }
            // The server has dropped what it kept for us; there is nothing left to come back to.
            Stage::Lost { since } if now.since(*since) > plan::KEPT => Err(self.lost(StatusCode::BadTimeout)),
            Stage::First { .. } | Stage::Lost { .. } => Ok(Next::Nothing),
            Stage::Connected { cut: Some(cut), .. } => {
                if now.since(*cut) > keep_alive {
                    Err(self.lost(StatusCode::BadTimeout))
                } else {
                    Ok(Next::Nothing)
                }
            }
            Stage::Connected { heard, cut, .. } if now.since(*heard) > keep_alive * 2 => {
                *cut = Some(now);
                Ok(Next::Cut)
            }
            Stage::Connected { nudges, .. } if *nudges > 0 && self.work.is_none() => {
                *nudges -= 1;
                self.filling.session.trigger_publish_now();
                Ok(Next::Nothing)
            }
            Stage::Connected { published, tried, .. } => {
                let (Some(subscribed), None) = (&self.subscribed, &self.work) else {
                    return Ok(Next::Nothing);
                };
                if now.since(*published) > keep_alive.max(subscribed.keep_alive) * 3 {
                    return Err(Fault::Quiet { url: server.url.clone() });
                }
                let is_time = now.since(*tried) > keep_alive * REFUSED_AGAIN;
                if is_time && !(subscribed.refused.is_empty() && self.filling.notices.nodeless().is_empty()) {
                    *tried = now;
                    self.work = Some(Box::pin(self.filling.clone().again(subscribed.clone())));
                }
                Ok(Next::Nothing)
            }
        }
    }
}
