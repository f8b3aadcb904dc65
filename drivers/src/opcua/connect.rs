//! How a session is begun: which endpoint, whose certificates, which user.
//!
//! The library's `Client` is not used: it makes a certificate folder of its own and logs errors where no
//! certificate is needed. Its session builder does neither. It also connects to the address that the server
//! advertises, which behind NAT or in a container is not the one that works; here the configured address
//! holds.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opcua::client::services::CreateSession;
use opcua::client::transport::TransportPollResult;
use opcua::client::{
    AsyncSecureChannel, ClientBuilder, ClientConfig, Session, SessionBuilder, SessionEventLoop, UARequest,
};
use opcua::core::{RequestMessage, ResponseMessage};
use opcua::crypto::{CertificateStore, X509};
use opcua::types::{
    ApplicationDescription, ApplicationType, DateTime, EndpointDescription, Error, GetEndpointsRequest,
    LocalizedText, NodeId, RequestHeader, StatusCode, UAString,
};

use super::certificate::date;
use super::endpoint::{self, Picked};
use super::fault::Fault;
use super::guard::{Guard, Papers};
use super::own::{Identities, Own};
use super::transport::{CONNECT, Direct, Progress, Step, Tcp};
use super::{Server, decode, plan};

/// For one request and its answer. Creating [`plan::PORTION_MAX`] items is the slowest of ours.
pub(super) const REQUEST: Duration = Duration::from_secs(5);

/// The library cannot skip what it cannot decode, it closes the connection: one item with an array of over
/// 1,000 elements, its default, would end the subscription of all others, again and again. So a message may
/// hold what fits: 16 MiB are 160 times [`plan::NOTIFICATIONS_MAX`] numbers,
/// or [`plan::EVENTS_MAX`] events of 3 kB.
pub(super) const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Elements of one array: room is made for as many as a message says, before the first is read.
const ELEMENTS_MAX: usize = 1 << 18;

pub(super) type Events = SessionEventLoop<Tcp>;

/// What one session goes by.
#[derive(Clone)]
pub(super) struct Way {
    server: Arc<Server>,
    endpoint: EndpointDescription,
    /// On a secured channel.
    papers: Option<Arc<Papers>>,
    progress: Arc<Progress>,
}

impl Way {
    /// Why a try to connect came back with `status`: who refused whom.
    pub(super) fn fault(&self, status: StatusCode) -> Fault {
        let url = self.server.url.clone();
        let fault = Fault::connecting(&self.server, status);
        let is_refusal = matches!(fault, Fault::RefusedChannel { .. });
        let step = self.progress.step();
        if step == Step::User
            && let Some(refused) = Fault::showing_user(&self.server, status, self.progress.was_open())
        {
            return refused;
        }
        if matches!(step, Step::Session | Step::User) && matches!(fault, Fault::Unreachable { .. }) {
            let source = Error::new(status, "the server's answer");
            return Fault::Service { url, what: "opening a session", source };
        }
        let Some(papers) = &self.papers else { return fault };
        // The server was greeted a moment ago: what it does not take is what it is shown now.
        let is_shut_out = step == Step::Channel;
        if self.progress.was_open() {
            // What has changed since it served, a new look at the server tells. A link may break at this
            // moment too, but hardly twice.
            let is_silent = decode::code(status) == StatusCode::BadTimeout;
            let is_lasting = is_refusal || (is_shut_out && (is_silent || self.progress.shut_out() > 1));
            return if is_lasting { Fault::NotResumed { url, status } } else { fault };
        }
        let remedy = || remedy(&papers.own, status);
        match (is_refusal, is_shut_out) {
            (true, _) => Fault::RefusedCertificate { url, status, remedy: remedy() },
            (false, true) => Fault::ShutOut { url, status, remedy: remedy() },
            (false, false) => fault,
        }
    }

    /// Waits until the session must not go on. For ever, without security.
    pub(super) async fn fail(&self, guard: &Guard) -> Fault {
        let Some(papers) = &self.papers else { return std::future::pending().await };
        tokio::select! {
            fault = papers.fail() => fault,
            () = self.renewed(guard, papers) => Fault::Renewed { url: self.server.url.clone() },
        }
    }

    /// Waits until the server trusts the certificate that is to follow the one of this session.
    async fn renewed(&self, guard: &Guard, papers: &Papers) {
        loop {
            tokio::time::sleep(super::guard::OFFER_EVERY).await;
            if let Ok(Identities { next: Some(next), .. }) = guard.identities().await
                && next != papers.own
                && takes(guard, &self.endpoint, next).await
            {
                return;
            }
        }
    }
}

/// What to do at the server about our certificate, or about the certificate.
fn remedy(own: &Own, status: StatusCode) -> String {
    let certificate = &own.certificate;
    let what = match decode::code(status) {
        StatusCode::BadCertificateTimeInvalid => {
            let (begin, end) = certificate.validity();
            let (begin, end) = (date(begin), date(end));
            format!("see that the clocks of both ends are right; it is valid from {begin} to {end}")
        }
        StatusCode::BadCertificateInvalid
        | StatusCode::BadCertificateUriInvalid
        | StatusCode::BadCertificateHostNameInvalid
        | StatusCode::BadCertificateUseNotAllowed
        | StatusCode::BadCertificateRevoked
        | StatusCode::BadCertificatePolicyCheckFailed
        | StatusCode::BadCertificateChainIncomplete
        | StatusCode::BadCertificateIssuerUseNotAllowed => {
            let folder = own.certificate_file.with_file_name("");
            format!(
                "the server's log says why; one that it takes can be put into {} as cert.der and key.pem; this one is",
                folder.display()
            )
        }
        _ => "at the server, move it from rejected to trusted".to_owned(),
    };
    let file = own.certificate_file.display();
    format!("{what}: {} ({}), a copy is {file}", certificate.thumbprint(), certificate.subject())
}

/// Asks the server for its endpoints, picks the one that the configuration asks for, and on a secured one
/// judges the server's certificate.
pub(super) async fn discover(guard: &Guard) -> Result<Way, Fault> {
    let server = guard.server();
    // Before the server is asked: a person can take our certificate to a server that cannot be reached yet.
    let identities = match server.security.is_secured() {
        true => Some(guard.identities().await?),
        false => None,
    };
    let within = CONNECT * 2;
    let endpoints = tokio::time::timeout(within, endpoints(server))
        .await
        .map_err(|_| Fault::Silent { url: server.url.clone(), what: "which endpoints it has", within })?
        .map_err(|source| {
            if Fault::is_refusal(source.status()) {
                Fault::RefusedDiscovery { url: server.url.clone(), status: source.status() }
            } else {
                Fault::Unreachable { url: server.url.clone(), source }
            }
        })?;
    let picked = endpoint::pick(endpoints, server.security.channel, &server.user, &server.url);
    let Picked { endpoint, is_password_in_the_clear } = picked.map_err(|unfit| Fault::NoEndpoint {
        url: server.url.clone(),
        wanted: server.security.channel.to_string(),
        user: server.user.in_words(),
        offered: unfit.offered,
        remedy: unfit.remedy,
    })?;
    if is_password_in_the_clear {
        tracing::warn!(url = server.url, "the server takes the password of this source in the clear only");
    }
    let papers = match identities {
        None => None,
        Some(Identities { current, next }) => {
            let papers = guard.papers(&endpoint, current).await?;
            Some(Arc::new(match next {
                Some(next) if guard.may_offer() && takes(guard, &endpoint, next.clone()).await => {
                    papers.by(next)
                }
                Some(_) | None => papers,
            }))
        }
    };
    if papers.is_some() {
        guard.tell(&endpoint);
    }
    Ok(Way { server: Arc::clone(server), endpoint, papers, progress: Arc::default() })
}

/// Whether the server begins a session for the certificate that is to follow ours; some look at it only then.
/// It is told in the log where it does not.
async fn takes(guard: &Guard, endpoint: &EndpointDescription, next: Own) -> bool {
    let server = guard.server();
    let Ok(papers) = guard.papers(endpoint, next).await else { return false };
    let progress = Arc::new(Progress::default());
    let begun = begin(server, endpoint, &papers, &progress);
    match tokio::time::timeout(CONNECT * 2 + REQUEST, begun).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) if matches!(progress.step(), Step::Channel | Step::Session) => {
            guard.next_was_refused();
            tracing::warn!(
                url = server.url,
                status = %error.status(),
                thumbprint = %papers.own.certificate.thumbprint(),
                file = %papers.own.certificate_file.display(),
                "the server does not trust the OPC UA certificate that is to follow riskgate's present one: at the \
                 server, move it from rejected to trusted before the present one ends"
            );
            false
        }
        // The network's fault: offered again with the next session.
        Ok(Err(_)) | Err(_) => false,
    }
}

/// Begins a session for nobody, and ends it.
async fn begin(
    server: &Server,
    endpoint: &EndpointDescription,
    papers: &Papers,
    progress: &Arc<Progress>,
) -> Result<(), Error> {
    let store = papers.store();
    let channel = SessionBuilder::new(&config(server, Some(papers)))
        .connect_to_endpoint_directly(endpoint.clone())?
        .build_channel(Arc::clone(&store))?;
    let own = &papers.own.certificate;
    let us = ApplicationDescription {
        application_uri: UAString::from(own.application_uri().unwrap_or_default()),
        application_name: LocalizedText::from("riskgate"),
        application_type: ApplicationType::Client,
        ..ApplicationDescription::default()
    };
    let x509 =
        X509::from_der(own.der()).map_err(|error| Error::new(StatusCode::BadCertificateInvalid, error))?;
    let tcp = Tcp {
        url: server.url.clone(),
        progress: Arc::clone(progress),
        papers: Some(Arc::new(papers.clone())),
    };
    let request =
        CreateSession::new_manual(&store, endpoint, 0, REQUEST, NodeId::null(), channel.request_handle())
            .client_description(us)
            .endpoint_url(server.url.as_str())
            .session_name("riskgate's next certificate")
            .client_certificate(x509)
            .session_timeout(REQUEST.as_secs_f64() * 1000.0);
    asked(&channel, &tcp, request.send(&channel)).await.map(|_session| ())
}

async fn endpoints(server: &Server) -> Result<Vec<EndpointDescription>, Error> {
    let channel = SessionBuilder::new(&config(server, None))
        .connect_to_endpoint_directly(EndpointDescription::from(server.url.as_str()))?
        .build_channel(no_certificates())?;
    let tcp = Tcp { url: server.url.clone(), progress: Arc::default(), papers: None };
    asked(&channel, &tcp, ask_for_endpoints(&channel, server)).await
}

/// One question on a channel of its own, which is closed then: else the server would log a broken connection
/// each time.
async fn asked<T>(
    channel: &AsyncSecureChannel,
    tcp: &Tcp,
    question: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut link = channel.connect_no_retry(tcp).await?;
    let answer = {
        tokio::pin!(question);
        loop {
            tokio::select! {
                answer = &mut question => break answer,
                polled = link.poll() => {
                    if let TransportPollResult::Closed(status) = polled {
                        return Err(Error::new(status, "the server closed the connection"));
                    }
                }
            }
        }
    };
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

/// Opens nothing yet: the events do, once they are polled.
pub(super) fn session(way: &Way) -> Result<(Arc<Session>, Events), Fault> {
    let Way { server, endpoint, papers, progress } = way;
    let store = papers.as_ref().map_or_else(no_certificates, |papers| papers.store());
    let tcp = Tcp {
        url: server.url.clone(),
        progress: Arc::clone(progress),
        papers: papers.as_ref().map(Arc::clone),
    };
    SessionBuilder::new(&config(server, papers.as_deref()))
        .connect_to_endpoint_directly(endpoint.clone())
        .and_then(|builder| {
            builder.user_identity_token(server.user.token()).with_connector(Direct(tcp)).build(store)
        })
        .map_err(|source| Fault::Service { url: server.url.clone(), what: "preparing a session", source })
}

fn config(server: &Server, papers: Option<&Papers>) -> ClientConfig {
    let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    // The server compares it with the one in the certificate.
    let uri = papers
        .and_then(|papers| papers.own.certificate.application_uri())
        .unwrap_or_else(|| server.security.applicant.uri());
    ClientBuilder::new()
        .application_name("riskgate")
        .application_uri(uri)
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
