//! A session without security: which endpoint, which user, and a TCP connection that does not wait for ever.
//!
//! The library's `Client` is not used: it makes a certificate folder and logs errors for the certificate
//! that a session without security does not need. Its session builder does neither. It also connects to the
//! address that the server advertises, which behind NAT or in a container is not the one that works; here
//! the configured address holds.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opcua::client::transport::{
    Connector, RequestRecv, SecureChannelState, StreamConnection, StreamConnector, TcpTransport,
    TransportConfiguration, TransportPollResult,
};
use opcua::client::{
    AsyncSecureChannel, ClientBuilder, ClientConfig, ConnectionSource, IdentityToken, Password, Session,
    SessionBuilder, SessionEventLoop,
};
use opcua::core::comms::tcp_codec::TcpCodec;
use opcua::core::comms::url::hostname_port_from_url;
use opcua::core::{RequestMessage, ResponseMessage};
use opcua::crypto::CertificateStore;
use opcua::types::{
    DateTime, DecodingOptions, EndpointDescription, Error, GetEndpointsRequest, MessageSecurityMode, NodeId,
    RequestHeader, StatusCode, UAString, UserTokenPolicy, UserTokenType,
};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_util::codec::FramedRead;

use super::fault::Fault;
use super::{Server, plan};

/// For the TCP connection; the whole way to a list of endpoints has twice that.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// For one request and its answer. Creating [`plan::PORTION_MAX`] items is the slowest of ours.
pub(super) const REQUEST: Duration = Duration::from_secs(5);

/// The library cannot skip what it cannot decode, it closes the connection: one item with an array of over
/// 1,000 elements, its default, would end the subscription of all others, again and again. So a message may
/// hold what fits: 16 MiB are 160 times [`plan::NOTIFICATIONS_MAX`] numbers.
pub(super) const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Elements of one array: room is made for as many as a message says, before the first is read.
const ELEMENTS_MAX: usize = 1 << 18;

const POLICY_NONE: &str = "http://opcfoundation.org/UA/SecurityPolicy#None";

pub(super) type Events = SessionEventLoop<Tcp>;
type Stream = StreamConnection<ReadHalf<TcpStream>, WriteHalf<TcpStream>>;

/// The TCP connection and the greeting on it, each within [`CONNECT`]: the library waits for a greeting
/// for ever. It tries every address that the host's name has; the library tries the first only, which for
/// `localhost` is often the one on which no server listens.
pub(super) struct Tcp {
    url: String,
}

impl Connector for Tcp {
    type Transport = TcpTransport;

    async fn connect(
        &self,
        channel: Arc<SecureChannelState>,
        requests: RequestRecv,
        limits: TransportConfiguration,
    ) -> Result<TcpTransport, Error> {
        let greeted = StreamConnector::new(open, self.url.clone());
        tokio::time::timeout(CONNECT * 2, greeted.connect(channel, requests, limits))
            .await
            .map_err(|_| Error::new(StatusCode::BadTimeout, "no answer to the greeting"))?
            .map_err(|error| match error.status() {
                // The library's words differ from try to try.
                StatusCode::BadConnectionClosed => Error::new(
                    StatusCode::BadConnectionClosed,
                    "it closes the connection before any greeting",
                ),
                _ => error,
            })
    }

    fn default_endpoint(&self) -> EndpointDescription {
        EndpointDescription::from(self.url.as_str())
    }
}

struct Direct;

impl ConnectionSource for Direct {
    type Builder = Tcp;

    fn get_connector(&self, endpoint: &EndpointDescription) -> Result<Tcp, Error> {
        Ok(Tcp { url: endpoint.endpoint_url.as_ref().to_owned() })
    }
}

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

/// Asks the server for its endpoints and picks the one without security that takes our user.
pub(super) async fn discover(server: &Server) -> Result<EndpointDescription, Fault> {
    let within = CONNECT * 2;
    let endpoints = tokio::time::timeout(within, endpoints(server))
        .await
        .map_err(|_| Fault::Silent { url: server.url.clone(), what: "which endpoints it has", within })?
        .map_err(|source| {
            Fault::refusal(server, source.status())
                .unwrap_or_else(|| Fault::Unreachable { url: server.url.clone(), source })
        })?;
    pick(endpoints, server)
}

async fn endpoints(server: &Server) -> Result<Vec<EndpointDescription>, Error> {
    let channel = SessionBuilder::new(&config(server))
        .connect_to_endpoint_directly(EndpointDescription::from(server.url.as_str()))?
        .build_channel(no_certificates())?;
    let mut link = channel.connect_no_retry(&Tcp { url: server.url.clone() }).await?;
    let answer = {
        let asked = ask_for_endpoints(&channel, server);
        tokio::pin!(asked);
        loop {
            tokio::select! {
                answer = &mut asked => break answer,
                polled = link.poll() => {
                    if let TransportPollResult::Closed(status) = polled {
                        return Err(Error::new(status, "the server closed the connection"));
                    }
                }
            }
        }
    };
    // So that the server does not log a broken connection each time.
    channel.close_channel().await;
    while !matches!(link.poll().await, TransportPollResult::Closed(_)) {}
    answer
}

async fn ask_for_endpoints(
    channel: &AsyncSecureChannel,
    server: &Server,
) -> Result<Vec<EndpointDescription>, Error> {
    let request = GetEndpointsRequest {
        request_header: RequestHeader::new(&NodeId::null(), &DateTime::null(), channel.request_handle()),
        endpoint_url: UAString::from(server.url.as_str()),
        locale_ids: None,
        profile_uris: None,
    };
    let answer = channel.send(RequestMessage::from(request), REQUEST).await?;
    let status = answer.response_header().service_result;
    if let (ResponseMessage::GetEndpoints(answer), true) = (answer, status.is_good()) {
        return Ok(answer.endpoints.unwrap_or_default());
    }
    let status = if status.is_bad() { status } else { StatusCode::BadUnknownResponse };
    Err(Error::new(status, "the server gives no endpoints"))
}

fn pick(endpoints: Vec<EndpointDescription>, server: &Server) -> Result<EndpointDescription, Fault> {
    let (token_type, user) = match &server.user {
        Some(_) => (UserTokenType::UserName, "a user with a password"),
        None => (UserTokenType::Anonymous, "an anonymous user"),
    };
    let mut offered: Vec<String> = Vec::new();
    for mut endpoint in endpoints {
        if is_open(&endpoint) && takes(&mut endpoint, token_type) {
            endpoint.endpoint_url = UAString::from(server.url.as_str());
            warn_of_a_password_in_the_clear(&endpoint, server);
            return Ok(endpoint);
        }
        let policy = endpoint.security_policy_uri.as_ref();
        let policy = policy.rsplit('#').next().unwrap_or(policy);
        offered.push(format!("{policy} {:?}", endpoint.security_mode));
    }
    offered.sort();
    offered.dedup();
    let offered = if offered.is_empty() { "none at all".to_owned() } else { offered.join(", ") };
    Err(Fault::NoOpenEndpoint { url: server.url.clone(), user, offered })
}

fn is_open(endpoint: &EndpointDescription) -> bool {
    endpoint.security_mode == MessageSecurityMode::None
        && endpoint.security_policy_uri.as_ref() == POLICY_NONE
        // A server may offer the same over HTTPS.
        && endpoint.endpoint_url.as_ref().starts_with("opc.tcp:")
}

/// A server that names no kind of user takes the anonymous one.
fn takes(endpoint: &mut EndpointDescription, token_type: UserTokenType) -> bool {
    let policies = endpoint.user_identity_tokens.get_or_insert_default();
    if policies.is_empty() && token_type == UserTokenType::Anonymous {
        policies.push(UserTokenPolicy { token_type, ..UserTokenPolicy::default() });
    }
    policies.iter().any(|policy| policy.token_type == token_type)
}

fn warn_of_a_password_in_the_clear(endpoint: &EndpointDescription, server: &Server) {
    let Some(policy) = endpoint.find_policy(UserTokenType::UserName) else { return };
    let is_clear =
        policy.security_policy_uri.is_empty() || policy.security_policy_uri.as_ref() == POLICY_NONE;
    if server.user.is_some() && is_clear {
        tracing::warn!(url = server.url, "the server takes the password of this source in the clear only");
    }
}

/// Opens nothing yet: the events do, once they are polled.
pub(super) fn session(
    server: &Server,
    endpoint: EndpointDescription,
) -> Result<(Arc<Session>, Events), Fault> {
    let user = match &server.user {
        Some((name, password)) => IdentityToken::UserName(name.clone(), Password::new(password.as_str())),
        None => IdentityToken::Anonymous,
    };
    SessionBuilder::new(&config(server))
        .connect_to_endpoint_directly(endpoint)
        .and_then(|builder| builder.user_identity_token(user).with_connector(Direct).build(no_certificates()))
        .map_err(|source| Fault::Service { url: server.url.clone(), what: "preparing a session", source })
}

fn config(server: &Server) -> ClientConfig {
    let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    ClientBuilder::new()
        .application_name("riskgate")
        .application_uri("urn:riskgate")
        .product_uri("urn:riskgate")
        .session_name(format!("riskgate source {}", server.source.0))
        .session_timeout(millis(plan::SESSION_KEPT.max(server.keep_alive * 3)))
        // Reactivating a session keeps its subscription and what waits in it; building it anew is ours.
        .recreate_subscriptions(false)
        .session_retry_limit(-1)
        .session_retry_initial(Duration::from_millis(500))
        .session_retry_max(Duration::from_secs(5))
        .keep_alive_interval(server.keep_alive)
        // The library would also close the session of a server that answers, but says that it is not
        // running; the watch over silence is ours.
        .max_failed_keep_alive_count(0)
        .request_timeout(REQUEST)
        // Two publish requests wait at the server, the second for two keep-alives.
        .publish_timeout(Duration::from_secs(60).max(server.keep_alive * 4))
        // Without it a server whose clock runs ahead loses the channel each minute, unrenewed.
        .ignore_clock_skew(true)
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_chunk_count(0)
        .max_array_length(ELEMENTS_MAX)
        .max_string_length(MESSAGE_BYTES_MAX)
        .max_byte_string_length(MESSAGE_BYTES_MAX)
        .into_config()
}

/// A store in a place that no file system has: nothing is read from it, and nothing is made.
fn no_certificates() -> Arc<opcua::sync::RwLock<CertificateStore>> {
    Arc::new(opcua::sync::RwLock::new(CertificateStore::new(Path::new("/dev/null"))))
}
