//! Why a connection to a broker ended or did not come about, in words, and what to look at next.

use std::borrow::Cow;
use std::io;

use super::connection::{ANSWER_TIMEOUT, CONNECT_TIMEOUT};
use super::reason::{self, Version};
use super::wire::{Malformed, Said};
use crate::tls;

/// What was waited for when the time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Tcp,
    Tls,
    Connect,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("connecting failed: {0}")]
    Connect(#[source] io::Error),
    #[error("{} within {CONNECT_TIMEOUT:?}", match .0 {
        Stage::Tcp => "no connection",
        Stage::Tls => "no end of the TLS handshake",
        Stage::Connect => "no answer to CONNECT",
    })]
    TooSlow(Stage),
    #[error("{0}")]
    Tls(#[from] tls::Fault),
    /// Brokers that do not know version 5 often say it by hanging up.
    #[error("the broker closed the connection instead of answering CONNECT")]
    Unanswered,
    #[error("the broker does not speak MQTT {}", .0.word())]
    Version(Version),
    #[error("the broker refuses the connection: {0}")]
    Refused(String),
    #[error("the broker refuses the topic filter '{filter}': {why}")]
    FilterRefused { filter: String, why: String },
    #[error("the broker did not acknowledge the subscription within {ANSWER_TIMEOUT:?}")]
    NoSubAck,
    #[error("the broker is silent")]
    Silent,
    #[error("the broker takes nothing more")]
    Stuck,
    #[error("the connection was closed")]
    Closed,
    #[error("the broker ended the connection: {0}")]
    Ended(String),
    #[error("what answers there speaks TLS")]
    WantsTls,
    #[error("what answers there does not speak MQTT")]
    NoMqtt,
    #[error("the broker broke the protocol: {0}")]
    Protocol(#[from] Malformed),
}

impl Fault {
    /// What a CONNACK says, if it is no welcome.
    pub(super) fn of_connack(version: Version, code: u8, said: &Said) -> Option<Self> {
        match code {
            0 => None,
            code if Version::is_refused_by(code) => Some(Self::Version(version)),
            code => Some(Self::Refused(text(version, code, said))),
        }
    }

    pub(super) fn of_disconnect(version: Version, code: u8, said: &Said) -> Self {
        Self::Ended(text(version, code, said))
    }

    /// A broker that speaks only the other version may say so in this way.
    pub(super) fn may_be_the_version(&self) -> bool {
        matches!(self, Self::Version(_) | Self::Unanswered)
    }

    pub(super) fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Connect(_) => "check host, port, and that the broker runs",
            Self::TooSlow(Stage::Tcp) => "check host, cable, switch and firewall",
            Self::TooSlow(Stage::Tls) => "check port (8883 is usual for TLS) and the broker's load",
            Self::TooSlow(Stage::Connect) => "check port, and whether the broker wants TLS there",
            Self::Tls(fault) => return fault.hint(),
            Self::Unanswered => "see the broker's log; it may want TLS on this port, or not take this client",
            Self::Version(_) => "leave out 'version', or write the one that it speaks",
            Self::Refused(_) => "check user, password_file and client_id against the broker's list",
            Self::FilterRefused { .. } => "check the access rights of the user at the broker",
            Self::NoSubAck | Self::Silent | Self::Stuck => {
                "look at the broker's load and at the network between"
            }
            Self::Closed | Self::Ended(_) => {
                "see the broker's log; another client may use the same client_id"
            }
            Self::WantsTls => "write tls = { ca_file = \"…\" }, or the port without TLS (1883 is usual)",
            Self::NoMqtt => "check port: 1883 is usual, and 8883 for TLS",
            Self::Protocol(_) => "see the broker's log, and tell whose broker it is",
        }
        .into()
    }
}

pub(super) fn text(version: Version, code: u8, said: &Said) -> String {
    reason::text(version, code, said.why.as_deref(), said.elsewhere.as_deref())
}
