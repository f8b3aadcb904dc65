//! The connection to a server, and what passes between the library and the wire.
//!
//! What the library leaves undone is done here, because only here every request is seen:
//!
//! - It connects to the first address of a host's name only, waits for a greeting for ever, and for the opening
//!   of a channel for half a minute.
//! - A session whose user is refused is left at the server, where it counts against a limit of often five
//!   until it times out: here it is closed before its channel is.
//! - On a secured channel the opening of the channel overwrites the nonce that the session's next login has
//!   to sign, so that no session survives a cut; here the session's own nonce is put back.
//!
//! It also keeps count of how far a login came, so that a refusal can be told with who was refused. And it is
//! the gate of the invariant that nothing is written to a plant: a request that does more than read is not
//! sent, whoever asks for it, on a secured channel too, where no test can look into what is sent.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opcua::client::ConnectionSource;
use opcua::client::transport::{
    Connector, OutgoingMessage, RequestRecv, RequestSend, SecureChannelState, StreamConnection,
    StreamConnector, TcpTransport, Transport, TransportConfiguration, TransportPollResult,
};
use opcua::core::RequestMessage;
use opcua::core::comms::tcp_codec::TcpCodec;
use opcua::core::comms::url::hostname_port_from_url;
use opcua::sync::RwLock;
use opcua::types::{
    ByteString, CloseSessionRequest, DecodingOptions, EndpointDescription, Error, RequestHeader, StatusCode,
};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::codec::FramedRead;

use super::guard::Papers;
use super::refresh;

/// For the opening of a channel. Some servers say nothing to what they cannot decrypt, and the library waits
/// for half a minute.
const OPENING: Duration = Duration::from_secs(5);

/// For the TCP connection; the whole way to a list of endpoints has twice that.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// Requests on their way to the transport. It takes them one by one; more wait where they always did.
const PASSING_MAX: usize = 16;

/// The closing of a channel may bring the closing of a session with it.
const PASSING_LEFT: usize = 2;

type Stream = StreamConnection<ReadHalf<TcpStream>, WriteHalf<TcpStream>>;

/// How far a login has come: what was asked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// No connection, or none that was greeted.
    Connection,
    /// Our certificate is shown, on a secured one.
    Channel,
    Session,
    /// The user is shown.
    User,
    /// The session serves.
    Open,
}

impl Step {
    const ALL: [Self; 5] = [Self::Connection, Self::Channel, Self::Session, Self::User, Self::Open];
}

/// What is remembered of a session over all its connections.
#[derive(Debug, Default)]
pub(super) struct Progress {
    step: AtomicU8,
    /// What the session's next login signs. The server gave it at the last one.
    nonce: Mutex<Option<ByteString>>,
    was_open: AtomicU8,
    /// Channels in a row that were not opened.
    n_shut_out: AtomicU8,
}

impl Progress {
    pub(super) fn step(&self) -> Step {
        let at = usize::from(self.step.load(Ordering::Relaxed));
        Step::ALL.get(at).copied().unwrap_or(Step::Connection)
    }

    fn set_step(&self, step: Step) {
        if let Some(at) =
            Step::ALL.iter().position(|known| *known == step).and_then(|at| u8::try_from(at).ok())
        {
            self.step.store(at, Ordering::Relaxed);
        }
        if step == Step::Open {
            self.was_open.store(1, Ordering::Relaxed);
            self.n_shut_out.store(0, Ordering::Relaxed);
        }
    }

    /// The session has served before.
    pub(super) fn was_open(&self) -> bool {
        self.was_open.load(Ordering::Relaxed) != 0
    }

    /// Counts another channel that was not opened; says how many there were in a row.
    pub(super) fn shut_out(&self) -> u8 {
        self.n_shut_out.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    fn keep_nonce(&self, nonce: ByteString) {
        *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce);
    }

    fn nonce(&self) -> Option<ByteString> {
        self.nonce.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Makes connections to one server.
pub(super) struct Tcp {
    pub(super) url: String,
    pub(super) progress: Arc<Progress>,
    /// On a secured channel: looked at again before each connection.
    pub(super) papers: Option<Arc<Papers>>,
}

impl Connector for Tcp {
    type Transport = Watched;

    async fn connect(
        &self,
        channel: Arc<SecureChannelState>,
        requests: RequestRecv,
        limits: TransportConfiguration,
    ) -> Result<Watched, Error> {
        self.progress.set_step(Step::Connection);
        if let Some(papers) = &self.papers
            && !papers.hold().await
        {
            return Err(Error::new(StatusCode::BadCertificateInvalid, "the certificates have changed"));
        }
        let (inward, passed) = mpsc::channel(PASSING_MAX);
        let connector = StreamConnector::new(open, self.url.clone());
        let greeted = connector.connect(Arc::clone(&channel), passed, limits);
        let inner = tokio::time::timeout(CONNECT * 2, greeted)
            .await
            .map_err(|_| Error::new(StatusCode::BadTimeout, "no answer to the greeting"))?
            .map_err(|error| match error.status() {
                // The library's words differ from try to try.
                StatusCode::BadConnectionClosed => Error::new(
                    StatusCode::BadConnectionClosed,
                    "it closes the connection before any greeting",
                ),
                _ => error,
            })?;
        Ok(Watched {
            inner,
            requests,
            inward: Some(inward),
            channel,
            progress: Arc::clone(&self.progress),
            token: 0,
            opened_by: Some(Instant::now() + OPENING),
        })
    }

    fn default_endpoint(&self) -> EndpointDescription {
        EndpointDescription::from(self.url.as_str())
    }
}

/// It tries every address that the host's name has; the library tries the first only, which for `localhost`
/// is often the one on which no server listens.
async fn open(url: String, options: DecodingOptions) -> Result<Stream, Error> {
    let (host, port) =
        hostname_port_from_url(&url, 4840).map_err(|status| Error::new(status, "the address has no host"))?;
    let stream = tokio::time::timeout(CONNECT, TcpStream::connect(format!("{host}:{port}")))
        .await
        .map_err(|_| Error::new(StatusCode::BadTimeout, "no answer to the TCP connection"))?
        .map_err(|error| Error::new(StatusCode::BadCommunicationError, error))?;
    // Small messages, each of which someone waits for.
    stream.set_nodelay(true).map_err(|error| Error::new(StatusCode::BadCommunicationError, error))?;
    let (read, write) = tokio::io::split(stream);
    Ok(StreamConnection::new(FramedRead::new(read, TcpCodec::new(options)), write, url))
}

/// The same connector for each connection of a session.
pub(super) struct Direct(pub(super) Tcp);

impl ConnectionSource for Direct {
    type Builder = Tcp;

    fn get_connector(&self, _endpoint: &EndpointDescription) -> Result<Tcp, Error> {
        let Tcp { url, progress, papers } = &self.0;
        Ok(Tcp { url: url.clone(), progress: Arc::clone(progress), papers: papers.clone() })
    }
}

/// One connection, through which every request passes.
pub(super) struct Watched {
    inner: TcpTransport,
    requests: RequestRecv,
    /// `None`: nobody can ask any more.
    inward: Option<RequestSend>,
    channel: Arc<SecureChannelState>,
    progress: Arc<Progress>,
    /// Of the security token by which messages were protected last.
    token: u32,
    /// `None`: it is open.
    opened_by: Option<Instant>,
}

impl Transport for Watched {
    async fn poll(&mut self) -> TransportPollResult {
        loop {
            let has_room = self.inward.as_ref().is_some_and(|inward| inward.capacity() >= PASSING_LEFT);
            tokio::select! {
                // Whatever is dropped here has not begun: both sides are safe to be cancelled.
                request = self.requests.recv(), if has_room => match request {
                    Some(request) => self.pass(request),
                    None => self.inward = None,
                },
                polled = self.inner.poll() => {
                    self.put_nonce_back();
                    return polled;
                }
                () = reached(self.opened_by) => return TransportPollResult::Closed(StatusCode::BadTimeout),
            }
        }
    }

    fn connected_url(&self) -> &str {
        self.inner.connected_url()
    }
}

impl Watched {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's requests: all others are asked of an open session"
    )]
    fn pass(&mut self, message: OutgoingMessage) {
        if !only_reads(&message.request) {
            tracing::error!(
                request = message.request.type_name(),
                "a request that does more than read was not sent; please report this line"
            );
            let error = Error::new(StatusCode::BadNotSupported, "riskgate only reads");
            let _nobody_may_wait = message.callback.map(|callback| callback.send(Err(error)));
            return;
        }
        if !matches!(message.request, RequestMessage::OpenSecureChannel(_)) {
            self.opened_by = None;
        }
        match &message.request {
            RequestMessage::OpenSecureChannel(_) if self.opened_by.is_some() => {
                self.progress.set_step(Step::Channel);
            }
            RequestMessage::OpenSecureChannel(_) => {}
            RequestMessage::CreateSession(_) => self.progress.set_step(Step::Session),
            RequestMessage::ActivateSession(_) => self.progress.set_step(Step::User),
            RequestMessage::CloseSecureChannel(request) => {
                let is_left_behind = matches!(self.progress.step(), Step::Session | Step::User)
                    && !request.request_header.authentication_token.is_null();
                if is_left_behind {
                    let header = request.request_header.clone();
                    self.send(close_session(header, &message));
                }
            }
            // Asked without a session.
            RequestMessage::GetEndpoints(_) => {}
            _ => self.on_open(),
        }
        self.send(message);
    }

    fn send(&mut self, message: OutgoingMessage) {
        // There is room, and the other end lives as long as this does: it is in `inner`.
        let _room_was_looked_for = self.inward.as_ref().map(|inward| inward.try_send(message));
    }

    /// The first request after a login has succeeded.
    fn on_open(&self) {
        if self.progress.step() == Step::User {
            self.progress.set_step(Step::Open);
            self.progress.keep_nonce(self.channel.secure_channel().read().remote_nonce_as_byte_string());
        }
    }

    /// A new token says that the channel was opened, or renewed, in the poll that has just ended.
    fn put_nonce_back(&mut self) {
        let token = self.channel.secure_channel().read().token_id();
        if token != self.token {
            self.token = token;
            if let Some(nonce) = self.progress.nonce() {
                // Only an empty one is refused, and the server gave none.
                let _kept =
                    RwLock::write(self.channel.secure_channel()).set_remote_nonce_from_byte_string(&nonce);
            }
        }
    }
}

/// Whether it leaves the plant, and the server's nodes, as they are.
#[expect(clippy::wildcard_enum_match_arm, reason = "whatever is not known to be harmless is not sent")]
fn only_reads(request: &RequestMessage) -> bool {
    match request {
        RequestMessage::OpenSecureChannel(_)
        | RequestMessage::CloseSecureChannel(_)
        | RequestMessage::GetEndpoints(_)
        | RequestMessage::CreateSession(_)
        | RequestMessage::ActivateSession(_)
        | RequestMessage::CloseSession(_)
        | RequestMessage::Read(_)
        | RequestMessage::HistoryRead(_)
        | RequestMessage::Browse(_)
        | RequestMessage::BrowseNext(_)
        | RequestMessage::TranslateBrowsePathsToNodeIds(_)
        | RequestMessage::CreateSubscription(_)
        | RequestMessage::DeleteSubscriptions(_)
        | RequestMessage::TransferSubscriptions(_)
        | RequestMessage::CreateMonitoredItems(_)
        | RequestMessage::DeleteMonitoredItems(_)
        | RequestMessage::Publish(_)
        | RequestMessage::Republish(_) => true,
        RequestMessage::Call(calls) => calls.methods_to_call.iter().flatten().all(refresh::is_one),
        _ => false,
    }
}

/// Never, where there is nothing to wait for.
async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Nobody waits for the answer: the channel is closed right behind it.
fn close_session(header: RequestHeader, behind: &OutgoingMessage) -> OutgoingMessage {
    let request_header = RequestHeader { request_handle: header.request_handle.wrapping_add(1), ..header };
    OutgoingMessage {
        request: RequestMessage::from(CloseSessionRequest { request_header, delete_subscriptions: true }),
        callback: None,
        deadline: behind.deadline,
        span: behind.span.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_changes_a_plant_or_a_server_is_sent() {
        for harmful in [
            RequestMessage::Write(Box::default()),
            RequestMessage::AddNodes(Box::default()),
            RequestMessage::DeleteNodes(Box::default()),
            RequestMessage::AddReferences(Box::default()),
            RequestMessage::DeleteReferences(Box::default()),
            RequestMessage::RegisterServer(Box::default()),
        ] {
            assert!(!only_reads(&harmful), "{}", harmful.type_name());
        }
        let mut calls = RequestMessage::Call(Box::default());
        if let RequestMessage::Call(calls) = &mut calls {
            calls.methods_to_call = Some(vec![Default::default()]);
        }
        assert!(!only_reads(&calls), "any other method");
        assert!(only_reads(&RequestMessage::Read(Box::default())));
    }
}
