//! The one or two addresses of a device behind TCP, and which of them is asked.
//!
//! The second is tried when the first cannot be connected to, or accepts connections and answers nothing on
//! them. While the second is in use the first is knocked at from time to time, beside the polling and not
//! in its way, and taken again when it lets us in. One that lets us in and then says nothing is left alone
//! for longer each time.

use std::io;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::super::Framing;
use super::super::fault::Fault;
use super::endpoint::Address;

/// Connections in a row on which nothing was answered, before the other address is tried. One is no proof:
/// behind an address there may be several devices, and one of them dead.
const SILENT_MAX: u32 = 2;
/// How long the second address is used before the first is knocked at.
const RETURN_MIN: Duration = Duration::from_secs(60);
const RETURN_MAX: Duration = Duration::from_secs(15 * 60);

pub(super) struct Hosts {
    main: Address,
    second: Option<Address>,
    framing: Framing,
    in_use: Which,
    silent: u32,
    /// The first address is knocked at then.
    return_at: Instant,
    return_after: Duration,
    knocking: Option<BoxFuture<'static, io::Result<TcpStream>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Main,
    Second,
}

impl Which {
    fn other(self) -> Self {
        match self {
            Self::Main => Self::Second,
            Self::Second => Self::Main,
        }
    }
}

impl Hosts {
    pub(super) fn new(main: Address, second: Option<Address>, framing: Framing) -> Self {
        Self {
            main,
            second,
            framing,
            in_use: Which::Main,
            silent: 0,
            return_at: Instant::now(),
            return_after: RETURN_MIN,
            knocking: None,
        }
    }

    /// To the address in use, or else to the other; each within `limit`.
    pub(super) async fn connect(&mut self, limit: Duration) -> Result<TcpStream, Fault> {
        let Some(second) = self.second.clone() else { return dial(&self.main, self.framing, limit).await };
        if self.silent >= SILENT_MAX {
            self.turn_to(self.in_use.other(), "it lets us in and answers nothing");
        }
        let (first, other) = match self.in_use {
            Which::Main => (self.main.clone(), second),
            Which::Second => (second, self.main.clone()),
        };
        let failed = match dial(&first, self.framing, limit).await {
            Ok(stream) => return Ok(stream),
            Err(failed) => failed,
        };
        match dial(&other, self.framing, limit).await {
            Ok(stream) => {
                self.turn_to(self.in_use.other(), &failed.to_string());
                Ok(stream)
            }
            Err(also) => Err(Fault::Neither {
                first: format!("{first}: {failed}").into(),
                other: format!("{other}: {also}").into(),
            }),
        }
    }

    /// The first address, where it is out of use and lets us in again. Never waits.
    pub(super) fn returned(&mut self, limit: Duration) -> Option<TcpStream> {
        if self.in_use == Which::Main {
            return None;
        }
        if self.knocking.is_none() && Instant::now() >= self.return_at {
            let (main, framing) = (self.main.clone(), self.framing);
            let knock = async move { dial(&main, framing, limit).await.map_err(io::Error::other) };
            self.knocking = Some(knock.boxed());
        }
        let knocked = self.knocking.as_mut()?.now_or_never()?;
        self.knocking = None;
        self.return_at = Instant::now() + self.return_after;
        let stream = knocked.ok()?;
        self.turn_to(Which::Main, "the first address lets us in again");
        Some(stream)
    }

    /// A device has answered at the address in use.
    pub(super) fn answered(&mut self) {
        self.silent = 0;
        if self.in_use == Which::Main {
            self.return_after = RETURN_MIN;
        }
    }

    /// A connection was given up on which nothing had been answered.
    pub(super) fn was_silent(&mut self) {
        self.silent += 1;
    }

    fn turn_to(&mut self, which: Which, why: &str) {
        let (left, taken) = match which {
            Which::Main => (self.second.as_ref(), Some(&self.main)),
            Which::Second => (Some(&self.main), self.second.as_ref()),
        };
        if let (Some(left), Some(taken)) = (left, taken) {
            tracing::warn!("modbus {left}: {why}; {taken} is in use now");
        }
        self.in_use = which;
        self.silent = 0;
        if which == Which::Second {
            self.knocking = None;
            self.return_at = Instant::now() + self.return_after;
            self.return_after = (self.return_after * 2).min(RETURN_MAX);
        }
    }
}

async fn dial(address: &Address, framing: Framing, limit: Duration) -> Result<TcpStream, Fault> {
    let opened = timeout(limit, async {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        // A request is one small segment: held back for the acknowledgement of the last it comes 40 ms late.
        stream.set_nodelay(true)?;
        if framing == Framing::Rtu {
            // A request that is still on its way when we give up must not reach the serial line later: its
            // answer would come to the next connection.
            stream.set_zero_linger()?;
        }
        Ok(stream)
    });
    opened
        .await
        .map_err(|_| Fault::Unreachable(limit))?
        .map_err(|source: io::Error| Fault::Refused { source: source.into() })
}
