//! A line (线路): one connection that carries one or several devices, each asked in turn.
//!
//! A connection is taken out of its place for each exchange and put back only when the exchange ended
//! cleanly. So one that timed out, broke, brought something that does not fit, or was left in the middle by
//! a cancelled call is dropped and never read again: nothing that comes late can be taken for the answer to
//! a later question. Who waits for the line is served in the order of asking.
//!
//! It knows one request and its reply; which requests make a cycle, and what a failure means for points, is
//! said by those who ask.

mod turns;
mod wire;

use std::fmt;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::fault::{Exception, Fault};
use super::frame::{Answer, Reply, Request};
use crate::tally::Tally;
use turns::Turns;
use wire::Wire;

/// Where devices are reached. Sources with an equal endpoint share one [`Line`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Modbus TCP.
    Tcp(Address),
}

/// A machine and its port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

/// How one device is to be asked. Devices of one line may differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// For one request and its reply.
    pub(super) timeout: Duration,
    /// For a connection to come about.
    pub(super) connect_timeout: Duration,
    /// Between the end of an exchange and the next request; zero: none.
    pub(super) pause: Duration,
    /// Between a new connection and its first request; zero: none.
    pub(super) connect_pause: Duration,
}

/// One connection, or the place where one will be.
pub struct Line {
    endpoint: Endpoint,
    held: Mutex<Held>,
    turns: Turns,
}

/// What only the one who holds the line may touch.
struct Held {
    wire: Option<Wire>,
    /// Counted on over all connections, so that a reply to an old one's request does not fit a new one's.
    transaction: u16,
    /// When the last exchange ended, cleanly or not.
    ended: Option<Instant>,
    /// Of the last exchange.
    round_trip: Duration,
}

impl Line {
    /// Opens nothing: the first who asks connects.
    pub fn new(endpoint: Endpoint) -> Self {
        let held =
            Held { wire: None, transaction: fastrand::u16(..), ended: None, round_trip: Duration::ZERO };
        Self { endpoint, held: Mutex::new(held), turns: Turns::default() }
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// One request and its reply, when the line is free. The timeouts run from then on.
    pub(super) async fn ask(
        &self,
        device_id: u8,
        request: Request,
        pace: Pace,
        tally: &Tally,
    ) -> Result<Reply, Fault> {
        self.ask_timed(device_id, request, pace, tally).await.0
    }

    /// The same for a device that did not answer lately: when the others of the line have had their turns.
    pub(super) async fn probe(
        &self,
        device_id: u8,
        request: Request,
        pace: Pace,
        tally: &Tally,
    ) -> Result<Reply, Fault> {
        let attempt = async {
            let (asked, took) = self.ask_timed(device_id, request, pace, tally).await;
            let answered = is_answer(&asked);
            (asked, answered, took)
        };
        self.turns.take(device_id, attempt).await
    }

    /// And how long the line was held for it.
    async fn ask_timed(
        &self,
        device_id: u8,
        request: Request,
        pace: Pace,
        tally: &Tally,
    ) -> (Result<Reply, Fault>, Duration) {
        let mut held = self.held.lock().await;
        let began = Instant::now();
        let asked = self.ask_on(&mut held, device_id, request, pace, tally).await;
        self.turns.note(device_id, is_answer(&asked));
        match &asked {
            Ok(_) => tally.polled(Some(held.round_trip)),
            Err(_) => tally.poll_failed(),
        }
        (asked, began.elapsed())
    }

    /// A connection that has ended while it was idle is made anew before anything is said of it: some
    /// devices end theirs after each answer.
    async fn ask_on(
        &self,
        held: &mut Held,
        device_id: u8,
        request: Request,
        pace: Pace,
        tally: &Tally,
    ) -> Result<Reply, Fault> {
        if !request.is_legal() {
            return Err(Fault::NotAsked);
        }
        if let Some(wire) = held.wire.take().and_then(Wire::if_idle) {
            let asked = held.exchange(wire, device_id, request, pace).await;
            if !matches!(asked, Err(Fault::Broken { .. })) {
                return asked;
            }
        }
        let wire = self.connect(pace).await?;
        tally.connected();
        if !pace.connect_pause.is_zero() {
            sleep(pace.connect_pause).await;
        }
        held.exchange(wire, device_id, request, pace).await
    }

    async fn connect(&self, pace: Pace) -> Result<Wire, Fault> {
        let Endpoint::Tcp(address) = &self.endpoint;
        timeout(pace.connect_timeout, Wire::connect(address))
            .await
            .map_err(|_| Fault::Unreachable(pace.connect_timeout))?
            .map_err(|source| Fault::Refused { source })
    }
}

impl Held {
    /// Gives the connection back only where the next reply on it can be none but the next request's.
    async fn exchange(
        &mut self,
        mut wire: Wire,
        device_id: u8,
        request: Request,
        pace: Pace,
    ) -> Result<Reply, Fault> {
        if let Some(ended) = self.ended.filter(|_| !pace.pause.is_zero()) {
            sleep_until(ended + pace.pause).await;
        }
        self.transaction = self.transaction.wrapping_add(1);
        let began = Instant::now();
        let exchanged = timeout(pace.timeout, wire.exchange(self.transaction, device_id, request)).await;
        self.ended = Some(Instant::now());
        self.round_trip = began.elapsed();
        let answer = exchanged.map_err(|_| Fault::NoReply(pace.timeout))??;
        self.wire = Some(wire);
        match answer {
            Answer::Values(reply) => Ok(reply),
            Answer::Exception(code) => Err(Fault::Exception(Exception(code))),
        }
    }
}

/// The device itself has spoken, if only to refuse. A gateway that speaks for it has not reached it.
fn is_answer(asked: &Result<Reply, Fault>) -> bool {
    match asked {
        Ok(_) => true,
        Err(Fault::Exception(exception)) => !exception.is_of_gateway(),
        Err(_) => false,
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
