//! Why the connection upstream ended or did not come about, in words: who refused, and what to look at next.

use std::borrow::Cow;
use std::io;

use riskgate_drivers::tls::{self, Settings};
use rumqttc::{ConnectReturnCode, ConnectionError, StateError, mqttbytes};

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("connecting failed: {0}")]
    Connect(io::Error),
    #[error("{0}")]
    Tls(tls::Fault),
    #[error("it refuses us: {}", refusal(*.0))]
    Refused(ConnectReturnCode),
    #[error("no answer in time")]
    Silent,
    #[error("it closed the connection")]
    Closed,
    #[error("it broke the protocol: {0}")]
    Protocol(Box<ConnectionError>),
}

impl Fault {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's errors move with its features")]
    pub(super) fn of(error: ConnectionError, tls: Option<&Settings>) -> Self {
        match error {
            ConnectionError::Io(error)
            | ConnectionError::MqttState(
                StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)),
            ) => Self::of_io(error, tls),
            ConnectionError::MqttState(StateError::ConnectionAborted) => Self::Closed,
            ConnectionError::ConnectionRefused(code) => Self::Refused(code),
            ConnectionError::NetworkTimeout
            | ConnectionError::FlushTimeout
            | ConnectionError::MqttState(StateError::AwaitPingResp) => Self::Silent,
            other => Self::Protocol(Box::new(other)),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all but two are told in their own words")]
    fn of_io(error: io::Error, tls: Option<&Settings>) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(fault) => return fault,
            Err(error) => error,
        };
        let fault = match tls {
            Some(settings) => settings.fault_of(error),
            None => tls::Fault::Io(error),
        };
        match fault {
            tls::Fault::Closed | tls::Fault::Io(_) => Self::Closed,
            fault => Self::Tls(fault),
        }
    }

    /// The broker ended it, and not the time or the network between.
    pub(super) fn is_theirs(&self) -> bool {
        matches!(self, Self::Closed | Self::Protocol(_))
    }

    /// What to look at next.
    pub(super) fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Connect(_) => "check uplink.host, port, and that the broker runs".into(),
            Self::Tls(fault) => fault.hint(),
            Self::Refused(ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized) => {
                "check uplink.user and password_file, or the client certificate, against the broker's list".into()
            }
            Self::Refused(ConnectReturnCode::BadClientId) => {
                "check uplink.client_id against the broker's list".into()
            }
            Self::Refused(
                ConnectReturnCode::Success
                | ConnectReturnCode::RefusedProtocolVersion
                | ConnectReturnCode::ServiceUnavailable,
            )
            | Self::Protocol(_) => "see the broker's log".into(),
            Self::Silent => "check host and port (8883 is usual for TLS), the broker's load, and the network between".into(),
            Self::Closed => {
                "see the broker's log; it may want TLS on this port, or another client uses the same client_id".into()
            }
        }
    }
}

fn refusal(code: ConnectReturnCode) -> &'static str {
    match code {
        ConnectReturnCode::Success => "without a reason",
        ConnectReturnCode::RefusedProtocolVersion => "it does not speak MQTT 3.1.1",
        ConnectReturnCode::BadClientId => "it does not take our client id",
        ConnectReturnCode::ServiceUnavailable => "it is not available",
        ConnectReturnCode::BadUserNamePassword => "wrong user or password",
        ConnectReturnCode::NotAuthorized => "not authorised",
    }
}
