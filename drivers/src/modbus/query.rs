//! One question of a person to one device: who stands at a command line and looks for an address, or for
//! who is there at all. It asks over a [`Line`] as the driver does, and tells each outcome as the driver would.
//!
//! It repeats nothing and decides nothing: which question is next is the asker's.

use std::time::Duration;

use super::fault::Fault;
use super::frame::{Reply, Request};
use super::line::{Line, Pace};
use crate::tally::Tally;

/// How long a person waits for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For one request and its reply.
    pub timeout: Duration,
    pub connect_timeout: Duration,
    /// Between two requests.
    pub pause: Duration,
}

/// What came of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Values(Reply),
    /// The device itself said no, by this code: it is there.
    Refused {
        code: u8,
        why: String,
    },
    /// A gateway, or a reply that fits nothing, stands for a device that did not answer.
    Silent {
        why: String,
    },
    /// There was no connection to ask on.
    Unreachable {
        why: String,
    },
}

/// Asks once. The round trip is there only where values came.
pub async fn ask(
    line: &Line,
    device_id: u8,
    request: Request,
    patience: Patience,
) -> (Heard, Option<Duration>) {
    let Patience { timeout, connect_timeout, pause } = patience;
    let pace = Pace { timeout, connect_timeout, pause, connect_pause: Duration::ZERO };
    let tally = Tally::default();
    let asked = line.ask(device_id, request, pace, &tally).await;
    let why = |fault: &Fault| fault.sentence(line.endpoint(), device_id, request);
    let heard = match asked {
        Ok(reply) => Heard::Values(reply),
        Err(Fault::Exception(exception)) if !exception.is_of_gateway() => {
            Heard::Refused { code: exception.0, why: why(&Fault::Exception(exception)) }
        }
        Err(fault) if fault.is_of_the_read() => Heard::Silent { why: why(&fault) },
        Err(fault) => Heard::Unreachable { why: why(&fault) },
    };
    let round_trip = matches!(heard, Heard::Values(_)).then(|| tally.counts().round_trip);
    (heard, round_trip)
}
