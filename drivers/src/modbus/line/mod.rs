//! A line (线路): one connection that carries one or several devices, each asked in turn.
//!
//! A connection is taken out of its place for each exchange and put back only when the exchange ended
//! cleanly. So one that timed out, broke, brought something that does not fit, or was left in the middle by
//! a cancelled call is dropped and never read again: nothing that comes late can be taken for the answer to
//! a later question. Who waits for the line is served in the order of asking.
//!
//! Two kinds of line live on after a failure, because dropping them helps nobody: a serial port, where the
//! wire stays the same wire, and a device that has dialled in, which we cannot call back. And where frames
//! are those of RTU, even a new connection may bring a late answer, out of the converter's buffer. There the
//! line waits for silence, and asks nothing that a late answer could be mistaken for (see
//! [`owed`](super::frame::owed)).
//!
//! It knows one request and its reply; which requests make a cycle, and what a failure means for points, is
//! said by those who ask.

mod dial_in;
mod endpoint;
mod held;
mod hosts;
mod serial;
mod turns;
mod wire;

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep_until};

use super::fault::Fault;
use super::frame::{Reply, Request};
use crate::tally::Tally;
pub use dial_in::Listener;
pub use endpoint::{Address, DialIn, Endpoint, Parity, Port};
use held::Held;
use turns::Turns;

/// How one device is to be asked. Devices of one line may differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// For one request and its reply; on a serial wire, beside the time that they take there.
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
    /// Of a device that dials in: where its connections arrive.
    arrivals: dial_in::Arrivals,
    turns: Turns,
}

impl Line {
    /// Opens nothing: the first who asks connects.
    pub fn new(endpoint: Endpoint) -> Self {
        let arrivals = dial_in::Arrivals::default();
        let held = Held::new(&endpoint, &arrivals);
        Self { endpoint, held: Mutex::new(held), arrivals, turns: Turns::default() }
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// One request and its reply, when the line is free. The timeouts run from then on.
    ///
    /// A connection that has ended while it was idle is made anew before anything is said of it: some
    /// devices end theirs after each answer. Cancelled, it drops the connection.
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
        if !request.is_legal() {
            return (Err(Fault::NotAsked), Duration::ZERO);
        }
        let asked_at = Instant::now();
        let mut held = self.turn(device_id).await;
        let began = Instant::now();
        let asked = held.ask(device_id, request, pace, asked_at, tally).await;
        self.turns.note(device_id, is_answer(&asked));
        match &asked {
            Ok(_) => tally.polled(Some(held.round_trip())),
            Err(_) => tally.poll_failed(),
        }
        (asked, began.elapsed())
    }

    /// A device that has not answered on an RTU line is left to finish, while others are asked.
    async fn turn(&self, device_id: u8) -> MutexGuard<'_, Held> {
        loop {
            let held = self.held.lock().await;
            let Some(until) = held.rests(device_id) else { return held };
            drop(held);
            sleep_until(until).await;
        }
    }
}

#[cfg(any(test, feature = "sim"))]
impl Line {
    /// Connects by `connect` from now on: the simulated line of tests. No agent is built with it.
    pub async fn over_memory(
        &self,
        connect: impl FnMut() -> Option<tokio::io::DuplexStream> + Send + 'static,
    ) {
        self.held.lock().await.over_memory(connect);
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

#[cfg(test)]
mod tests;
