//! What can go wrong with a read, what it means for the points, and how it is told to an engineer.
//!
//! Pure. Two sorts: the device answered with an exception, then the connection is as good as before; or
//! nobody can say what will come next on this connection, then it is dropped and never read again.

use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::BadReason;

use super::Table;
use super::decode::WrongLength;
use super::frame::{Misfit, Request};
use super::line::Endpoint;

/// Of refused points one sentence names so many; the rest is counted.
const SPANS_SHOWN: usize = 20;

/// Why a read brought no values.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Fault {
    #[error("connecting failed: {source}")]
    Refused {
        #[source]
        source: Arc<std::io::Error>,
    },
    #[error("the port cannot be opened: {source}")]
    Port {
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Neither of the two addresses of a redundant device.
    #[error("{first}; {other}")]
    Neither { first: Arc<str>, other: Arc<str> },
    #[error("it has not dialled in within {limit:?}{besides}")]
    Absent { limit: Duration, besides: Arc<str> },
    #[error("no connection within {0:?}")]
    Unreachable(Duration),
    #[error("no reply within {0:?}")]
    NoReply(Duration),
    #[error("the connection broke: {source}")]
    Broken {
        #[source]
        source: Arc<std::io::Error>,
    },
    #[error("a reply that does not belong to the request: {0}")]
    Mismatch(#[source] Misfit),
    #[error("a reply of the wrong length: {0}")]
    Length(#[source] WrongLength),
    #[error("{0}")]
    Exception(Exception),
    /// More than a reply holds, or beyond the end of its table.
    #[error("a read that Modbus has no request for")]
    NotAsked,
}

/// A device's refusal, by its code on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exception(pub(super) u8);

impl Exception {
    /// A gateway speaks for a device that it cannot reach.
    pub(super) fn is_of_gateway(self) -> bool {
        matches!(self.0, 10 | 11)
    }

    /// The device does not know the function; said of one address it is said of all.
    pub(super) fn is_of_function(self) -> bool {
        self.0 == 1
    }

    /// The device says that what was asked for does not exist.
    pub(super) fn is_of_address(self) -> bool {
        matches!(self.0, 1..=3)
    }

    fn word(self) -> &'static str {
        match self.0 {
            1 => "illegal function",
            2 => "illegal data address",
            3 => "illegal data value",
            4 => "device failure",
            5 => "acknowledge, busy",
            6 => "device busy",
            8 => "memory parity error",
            10 => "gateway path unavailable",
            11 => "the device behind the gateway does not answer",
            _ => "unknown",
        }
    }

    fn hint(self) -> &'static str {
        match self.0 {
            1 => "the device has no such table: check holding, input, coil or discrete",
            2 | 3 => "check the address, address_base and the points that this read spans, or lower gap_max",
            4 | 8 => "look at the device's own fault indication",
            5 | 6 => "lengthen the period, or see whether another master polls the device",
            10 | 11 => "check device_id, the serial line behind the gateway, and the device's power",
            _ => "see the device's manual for the code",
        }
    }

    /// What the points of the read are told.
    pub(super) fn reason(self) -> BadReason {
        match self.0 {
            1..=3 => BadReason::RefusedAddress,
            4 | 8 => BadReason::DeviceFailure,
            _ => BadReason::CommFailure,
        }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exception {}, {}", self.0, self.word())
    }
}

impl Fault {
    pub(super) fn reason(&self) -> BadReason {
        match self {
            Self::Length(_) | Self::NotAsked => BadReason::ConfigError,
            Self::Exception(exception) => exception.reason(),
            Self::Refused { .. }
            | Self::Port { .. }
            | Self::Neither { .. }
            | Self::Absent { .. }
            | Self::Unreachable(_)
            | Self::NoReply(_)
            | Self::Broken { .. }
            | Self::Mismatch(_) => BadReason::CommFailure,
        }
    }

    /// Came of asking for these registers; false: there was not even a connection to ask on.
    pub(super) fn is_of_the_read(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::Port { .. }
            | Self::Neither { .. }
            | Self::Absent { .. }
            | Self::Unreachable(_) => false,
            Self::NoReply(_)
            | Self::Broken { .. }
            | Self::Mismatch(_)
            | Self::Length(_)
            | Self::Exception(_)
            | Self::NotAsked => true,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "check host, port, and that the device accepts one more connection",
            Self::Port { source } if source.kind() == ErrorKind::NotFound => {
                "see whether the adapter is plugged in: ls -l /dev/serial/by-id"
            }
            Self::Port { source } if source.kind() == ErrorKind::PermissionDenied => {
                "let the service reach serial ports: systemd/serial.conf, group dialout"
            }
            Self::Port { .. } => "check the path and baud, and what else uses the port",
            Self::Neither { .. } => {
                "check both hosts, cables, and that the devices accept one more connection"
            }
            Self::Absent { .. } => {
                "check the DTU's power, SIM, centre address and port, and its registration packet (注册包)"
            }
            Self::Unreachable(_) => "check host, cable, switch and firewall",
            Self::NoReply(_) => "check device_id, then the timeout against the device's own pace",
            Self::Broken { .. } => {
                "the device or a firewall ends connections: check its limit of connections"
            }
            Self::Mismatch(Misfit::Noise { .. }) => {
                "check baud, parity and stop bits, then A and B of the wire, its ends and its shield"
            }
            Self::Mismatch(_) => "check device_id, and whether two masters share one gateway connection",
            Self::Length(_) => "the device gives other lengths than asked: lower registers_max or gap_max",
            Self::Exception(exception) => exception.hint(),
            Self::NotAsked => "please report this line",
        }
    }

    /// One sentence: where, what was tried, what came back, what to check.
    pub(super) fn sentence(&self, endpoint: &Endpoint, device_id: u8, request: Request) -> String {
        let hint = self.hint();
        match self {
            Self::Refused { .. }
            | Self::Port { .. }
            | Self::Neither { .. }
            | Self::Absent { .. }
            | Self::Unreachable(_) => format!("modbus {endpoint}: {self}; {hint}"),
            Self::NoReply(_)
            | Self::Broken { .. }
            | Self::Mismatch(_)
            | Self::Length(_)
            | Self::Exception(_)
            | Self::NotAsked => {
                format!("modbus {endpoint} device {device_id}, reading {}: {self}; {hint}", span(request))
            }
        }
    }
}

/// Points that a device refuses, each by itself, while it answers others of the same table.
pub(super) fn refused_points(
    endpoint: &Endpoint,
    device_id: u8,
    exception: Exception,
    refused: &[Request],
) -> String {
    let spans: Vec<String> = refused.iter().take(SPANS_SHOWN).map(|request| span(*request)).collect();
    let more = match refused.len().saturating_sub(SPANS_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "modbus {endpoint} device {device_id} refuses {}{more} ({exception}), asked for as written here, \
         counted from 0 on the wire; the device's list may count from 1 (address_base), or name another \
         table or a wider type; the other points are read on, and these are asked for again after minutes",
        spans.join(", ")
    )
}

/// Not one point of the table is answered.
pub(super) fn refused_table(
    endpoint: &Endpoint,
    device_id: u8,
    exception: Exception,
    table: Table,
    n_points: usize,
) -> String {
    format!(
        "modbus {endpoint} device {device_id} refuses everything of table {}, {n_points} points ({exception}); \
         {}; one of them is asked for in each cycle",
        table.word(),
        if exception.is_of_function() {
            exception.hint()
        } else {
            "check the table, device_id, and whether the device's list counts from 1 (address_base)"
        }
    )
}

/// The addresses of a read as the wire counts them, from 0.
fn span(request: Request) -> String {
    let Request { table, address, count } = request;
    match address.saturating_add(count.saturating_sub(1)) {
        last if last == address => format!("{} {address}", table.word()),
        last => format!("{} {address} to {last}", table.word()),
    }
}
