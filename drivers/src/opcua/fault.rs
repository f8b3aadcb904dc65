//! Why a session could not be had or has ended: the sentence for an engineer, and how soon to try again.

use std::path::PathBuf;
use std::time::Duration;

use opcua::types::{Error, StatusCode};

use super::Server;
use super::certificate::CertificateError;
use super::decode::code;
use super::trust::Refusal;

/// Each names what was tried, what came back and what to look at. None holds a number that changes from
/// try to try, so that the same fault is told once.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(
        "连不上服务器 no connection to {url}; check that the OPC UA server runs, and its address and port"
    )]
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
        "the server at {url} does not say which endpoints it has ({status}); allow GetEndpoints without security on the server"
    )]
    RefusedDiscovery { url: String, status: StatusCode },
    #[error("{url} offers no endpoint with {wanted} for {user} (it offers: {offered}); {remedy}")]
    NoEndpoint { url: String, wanted: String, user: String, offered: String, remedy: String },
    #[error(transparent)]
    ServerCertificate(#[from] Refusal),
    #[error(
        "the certificate of the server at {url} cannot be used: {cause}; let the server show one RSA certificate \
         of its own"
    )]
    UnreadableCertificate { url: String, cause: CertificateError },
    #[error(
        "riskgate refuses the certificate of the server at {url}: a key of {bits} bits is not allowed with \
         {policy}; let the server have a certificate with 2048 bits or more"
    )]
    WeakKey { url: String, bits: usize, policy: String },
    #[error("riskgate's own OPC UA certificate cannot be had: {why}; look into {folder}", folder = .folder.display())]
    Own { folder: PathBuf, why: String },
    #[error("the server at {url} does not accept riskgate's certificate ({status}); {remedy}")]
    RefusedCertificate { url: String, status: StatusCode, remedy: String },
    #[error(
        "the server at {url} opens no secured channel for riskgate's certificate ({status}), mostly because it \
         does not trust it; {remedy}"
    )]
    ShutOut { url: String, status: StatusCode, remedy: String },
    #[error(
        "the server at {url} refuses {user} ({status}); check user and password_file, or user_certificate, of \
         this source, and what the server allows that user"
    )]
    RefusedUser { url: String, user: String, status: StatusCode },
    #[error(
        "the server at {url} refuses the connection ({status}); look into the server's log for the reason"
    )]
    RefusedChannel { url: String, status: StatusCode },
    #[error("the server at {url} does not take up the secured connection again ({status}); connecting anew")]
    NotResumed { url: String, status: StatusCode },
    #[error("riskgate's own OPC UA certificate was replaced; connecting anew to {url}")]
    Renewed { url: String },
    #[error("work on certificates broke off ({why}); please report this line")]
    Broken { why: String },
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
    /// Someone has to change a setting. A try costs the server nothing but a line in its log.
    Setting,
    /// Someone has to change a setting, and each try may lock an account.
    Account,
}

impl Fault {
    /// A try to connect, to open the channel or to begin the session that came back with `status`.
    pub(super) fn connecting(server: &Server, status: StatusCode) -> Self {
        Self::refusal(server, status).unwrap_or_else(|| Self::Unreachable {
            url: server.url.clone(),
            source: Error::new(status, "the session could not be opened"),
        })
    }

    /// The session could not be activated: the user was shown, and whatever the server says to that may count
    /// against the account. `None`: it said nothing of the user. `was_open`: the session has served before; a
    /// new one tells whether it is the user that is refused.
    pub(super) fn showing_user(server: &Server, status: StatusCode, was_open: bool) -> Option<Self> {
        let is_known = Self::is_refusal(status);
        if !is_known && is_no_answer(status) {
            return None;
        }
        let url = server.url.clone();
        Some(if was_open && !is_known {
            Self::NotResumed { url, status }
        } else {
            Self::RefusedUser { url, user: server.user.in_words(), status }
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
    fn refusal(server: &Server, status: StatusCode) -> Option<Self> {
        let url = server.url.clone();
        if is_refusal_of_user(status) {
            Some(Self::RefusedUser { url, user: server.user.in_words(), status })
        } else if is_refusal_of_channel(status) {
            Some(Self::RefusedChannel { url, status })
        } else {
            None
        }
    }

    pub(super) fn is_refusal(status: StatusCode) -> bool {
        is_refusal_of_user(status) || is_refusal_of_channel(status)
    }

    pub(super) fn patience(&self) -> Patience {
        match self {
            Self::RefusedUser { .. } => Patience::Account,
            Self::RefusedDiscovery { .. }
            | Self::NoEndpoint { .. }
            | Self::ServerCertificate(_)
            | Self::UnreadableCertificate { .. }
            | Self::WeakKey { .. }
            | Self::Own { .. }
            | Self::RefusedCertificate { .. }
            | Self::ShutOut { .. }
            | Self::RefusedChannel { .. } => Patience::Setting,
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Service { .. }
            | Self::Lost { .. }
            | Self::Broken { .. } => Patience::Network,
            Self::Quiet { .. } | Self::Gone { .. } | Self::NotResumed { .. } | Self::Renewed { .. } => {
                Patience::None
            }
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

/// The link broke, the session is not there to be activated, or the server looks at nobody now.
fn is_no_answer(status: StatusCode) -> bool {
    let is_of_link = matches!(
        code(status),
        StatusCode::BadTimeout
            | StatusCode::BadRequestTimeout
            | StatusCode::BadConnectionClosed
            | StatusCode::BadConnectionRejected
            | StatusCode::BadNotConnected
            | StatusCode::BadServerNotConnected
            | StatusCode::BadDisconnect
            | StatusCode::BadCommunicationError
            | StatusCode::BadSecureChannelClosed
            | StatusCode::BadSecureChannelIdInvalid
            | StatusCode::BadServerHalted
            | StatusCode::BadShutdown
            | StatusCode::BadTcpServerTooBusy
    );
    is_of_link || is_gone(status)
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
    use crate::opcua::{Password, User};

    fn server(user: Option<&str>) -> Server {
        let name = |name: &str| User::Password { name: name.to_owned(), password: Password::new("secret") };
        Server { user: user.map_or(User::Anonymous, name), ..Server::bare() }
    }

    #[test]
    fn what_a_person_must_change_is_not_tried_again_each_second() {
        for (status, patience) in [
            (StatusCode::BadUserAccessDenied, Patience::Account),
            (StatusCode::BadIdentityTokenRejected, Patience::Account),
            (StatusCode::BadIdentityTokenInvalid, Patience::Account),
            (StatusCode::BadCertificateUntrusted, Patience::Setting),
            (StatusCode::BadSecurityPolicyRejected, Patience::Setting),
            (StatusCode::BadCommunicationError, Patience::Network),
        ] {
            assert_eq!(Fault::connecting(&server(None), status).patience(), patience, "{status}");
        }
    }

    #[test]
    fn whatever_a_server_says_to_a_user_is_not_tried_again_soon() {
        let server = server(Some("op"));
        let patience =
            |status, was_open| Fault::showing_user(&server, status, was_open).map(|fault| fault.patience());
        for status in [
            StatusCode::BadUserAccessDenied,
            StatusCode::BadSecurityChecksFailed,
            StatusCode::BadLicenseExpired,
            StatusCode::BadRequestNotAllowed,
            StatusCode::BadInternalError,
            StatusCode::BadUnexpectedError,
        ] {
            assert_eq!(patience(status, false), Some(Patience::Account), "{status}");
        }
        for status in
            [StatusCode::BadTimeout, StatusCode::BadConnectionClosed, StatusCode::BadSessionIdInvalid]
        {
            assert_eq!(patience(status, false), None, "{status}");
        }
        assert_eq!(patience(StatusCode::BadUserAccessDenied, true), Some(Patience::Account));
        assert_eq!(patience(StatusCode::BadNonceInvalid, true), Some(Patience::None), "a new session tells");
    }

    #[test]
    fn a_refused_user_is_named_with_the_side_that_refused_and_the_next_step() {
        let fault = Fault::connecting(&server(Some("op")), StatusCode::BadUserAccessDenied);
        assert_eq!(
            fault.why(),
            "the server at opc.tcp://a refuses user 'op' (BadUserAccessDenied); check user and \
             password_file, or user_certificate, of this source, and what the server allows that user"
        );
    }

    #[test]
    fn a_lost_subscription_is_built_anew_at_once() {
        let error = Error::new(StatusCode::BadSubscriptionIdInvalid, "gone");
        assert_eq!(Fault::service(&server(None), "reading", error).patience(), Patience::None);
    }
}
