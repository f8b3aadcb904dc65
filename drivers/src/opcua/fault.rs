//! Why a session could not be had or has ended: the sentence for an engineer, and how soon to try again.

use std::time::Duration;

use opcua::types::{Error, StatusCode};

use super::Server;
use super::decode::code;

/// Each names what was tried, what came back and what to look at. None holds a number that changes from
/// try to try, so that the same fault is told once.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("no connection to {url}; check that the OPC UA server runs, and its address and port")]
    Unreachable {
        url: String,
        #[source]
        source: Error,
    },
    #[error(
        "{url} takes the connection but does not answer {what} within {} s; check that an OPC UA server \
         listens there and is not overloaded", .within.as_secs_f64()
    )]
    Silent { url: String, what: &'static str, within: Duration },
    #[error(
        "{url} offers no endpoint without security for {user} (it offers: {offered}); allow security \
         policy None and this kind of user for the gateway on the server"
    )]
    NoOpenEndpoint { url: String, user: &'static str, offered: String },
    #[error(
        "the server at {url} refuses {user} ({status}); check user and password_file of this source, and \
         what the server allows that user"
    )]
    RefusedUser { url: String, user: String, status: StatusCode },
    #[error(
        "the server at {url} refuses the secure channel ({status}); allow security policy None for the \
         gateway on the server"
    )]
    RefusedChannel { url: String, status: StatusCode },
    #[error("{what} failed at {url}")]
    Service {
        url: String,
        what: &'static str,
        #[source]
        source: Error,
    },
    #[error("the connection to {url} was lost ({status}); check the network and the server")]
    Lost { url: String, status: StatusCode },
    #[error("{url} publishes nothing any more, not even that it is alive; subscribing anew")]
    Quiet { url: String },
    /// The server knows the session or the subscription no more, mostly because it was restarted.
    #[error("the server at {url} has dropped the subscription; subscribing anew")]
    Gone { url: String },
}

/// How soon to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// At once: the server answers, there is only something to build anew.
    None,
    /// The network's: fractions of a second, then seconds.
    Network,
    /// A person's: someone has to change something, and each try may lock an account or cost a session.
    Person,
}

impl Fault {
    /// A try to connect, to open the channel or to begin the session that came back with `status`.
    pub(super) fn connecting(server: &Server, status: StatusCode) -> Self {
        Self::refusal(server, status).unwrap_or_else(|| Self::Unreachable {
            url: server.url.clone(),
            source: Error::new(status, "the session could not be opened"),
        })
    }

    /// A service that came back with an error.
    pub(super) fn service(server: &Server, what: &'static str, source: Error) -> Self {
        let url = server.url.clone();
        if is_gone(source.status()) {
            return Self::Gone { url };
        }
        Self::refusal(server, source.status()).unwrap_or(Self::Service { url, what, source })
    }

    /// Whether the status says that the server will not have us.
    pub(super) fn refusal(server: &Server, status: StatusCode) -> Option<Self> {
        let url = server.url.clone();
        if is_refusal_of_user(status) {
            let user = match &server.user {
                Some((name, _)) => format!("user '{name}'"),
                None => "anonymous sessions".to_owned(),
            };
            Some(Self::RefusedUser { url, user, status })
        } else if is_refusal_of_channel(status) {
            Some(Self::RefusedChannel { url, status })
        } else {
            None
        }
    }

    pub(super) fn patience(&self) -> Patience {
        match self {
            Self::NoOpenEndpoint { .. } | Self::RefusedUser { .. } | Self::RefusedChannel { .. } => {
                Patience::Person
            }
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Service { .. } | Self::Lost { .. } => {
                Patience::Network
            }
            Self::Quiet { .. } | Self::Gone { .. } => Patience::None,
        }
    }

    /// The sentence with its cause.
    pub(super) fn why(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self} ({cause})"),
            None => self.to_string(),
        }
    }
}

fn is_refusal_of_user(status: StatusCode) -> bool {
    matches!(
        code(status),
        StatusCode::BadUserAccessDenied
            | StatusCode::BadIdentityTokenInvalid
            | StatusCode::BadIdentityTokenRejected
            | StatusCode::BadUserSignatureInvalid
    )
}

fn is_refusal_of_channel(status: StatusCode) -> bool {
    matches!(
        code(status),
        StatusCode::BadSecurityChecksFailed
            | StatusCode::BadSecurityPolicyRejected
            | StatusCode::BadSecurityModeRejected
            | StatusCode::BadSecurityModeInsufficient
            | StatusCode::BadCertificateInvalid
            | StatusCode::BadCertificateUntrusted
            | StatusCode::BadCertificateTimeInvalid
            | StatusCode::BadCertificateHostNameInvalid
            | StatusCode::BadCertificateUriInvalid
            | StatusCode::BadCertificateUseNotAllowed
            | StatusCode::BadCertificateRevoked
            | StatusCode::BadCertificateChainIncomplete
            | StatusCode::BadCertificateIssuerUseNotAllowed
            | StatusCode::BadCertificatePolicyCheckFailed
            | StatusCode::BadApplicationSignatureInvalid
    )
}

/// The subscription or the session exists no more at the server.
pub(super) fn is_gone(status: StatusCode) -> bool {
    matches!(
        code(status),
        StatusCode::BadNoSubscription
            | StatusCode::BadSubscriptionIdInvalid
            | StatusCode::BadSessionIdInvalid
            | StatusCode::BadSessionClosed
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(user: Option<&str>) -> Server {
        Server { user: user.map(|name| (name.to_owned(), "secret".to_owned())), ..Server::bare() }
    }

    #[test]
    fn what_a_person_must_change_is_not_tried_again_each_second() {
        for status in [
            StatusCode::BadUserAccessDenied,
            StatusCode::BadIdentityTokenRejected,
            StatusCode::BadIdentityTokenInvalid,
            StatusCode::BadCertificateUntrusted,
            StatusCode::BadSecurityPolicyRejected,
        ] {
            assert_eq!(Fault::connecting(&server(None), status).patience(), Patience::Person, "{status}");
        }
        let down = Fault::connecting(&server(None), StatusCode::BadCommunicationError);
        assert_eq!(down.patience(), Patience::Network);
    }

    #[test]
    fn a_refused_user_is_named_with_the_side_that_refused_and_the_next_step() {
        let fault = Fault::connecting(&server(Some("op")), StatusCode::BadUserAccessDenied);
        assert_eq!(
            fault.why(),
            "the server at opc.tcp://a refuses user 'op' (BadUserAccessDenied); check user and \
             password_file of this source, and what the server allows that user"
        );
    }

    #[test]
    fn a_lost_subscription_is_built_anew_at_once() {
        let error = Error::new(StatusCode::BadSubscriptionIdInvalid, "gone");
        assert_eq!(Fault::service(&server(None), "reading", error).patience(), Patience::None);
    }
}
