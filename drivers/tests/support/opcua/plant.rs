//! The plant side of the tests: an OPC UA server that can be killed and started again, a proxy that can
//! cut or silence a link and keeps what was asked, and the reports of the driver, to be waited for.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use opcua::client::{ClientBuilder, IdentityToken};
use opcua::crypto::{CertificateStore, SecurityPolicy, X509};
use opcua::nodes::AccessLevel;
use opcua::server::address_space::VariableBuilder;
use opcua::server::diagnostics::{DiagnosticsNodeManagerBuilder, NamespaceMetadata};
use opcua::server::node_manager::ServerContext;
use opcua::server::node_manager::memory::{
    CoreNodeManagerBuilder, InMemoryNodeManagerBuilder, simple_node_manager,
};
use opcua::server::{ServerBuilder, ServerHandle, ServerUserToken};
use opcua::types::{
    DataTypeId, DataValue, DateTime, MessageSecurityMode, NodeId, ObjectId, StatusCode, UserTokenPolicy,
    VariableId, Variant,
};
use riskgate_drivers::Clock;
use riskgate_drivers::intake::{self, Lane, Receiver};
use riskgate_drivers::opcua::{Deadband, Discard, Error, Group, Kind, Node, Point, Security, Server, User};
use riskgate_drivers::scaling::Scaling;
use riskgate_drivers::tally::Tally;
use riskgate_point::{BadReason, Link, Mono, Now, PointId, Quality, Report, Sample, SourceId, Wall};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::ports::free_port;
use super::super::proxy;
use super::alarms::{Alarms, Methods};
use super::archive::{Archive, Nodes, archived};
use super::certs::{Certified, PLANT_URI};
use super::wire::Recorder;

/// Far beyond what anything here takes; only a failing test waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const NAMESPACE: &str = "urn:riskgate:test";
pub(crate) const USER: &str = "op";
pub(crate) const PASSWORD: &str = "right";
/// The user who logs in by a certificate.
pub(crate) const BEARER: &str = "bearer";

/// 2026-03-01T08:00:00Z
pub(crate) const START: Now = Now { mono: Mono(1), wall: Wall(1_772_352_000_000) };

pub(crate) fn clock() -> Now {
    static BEGUN: std::sync::OnceLock<tokio::time::Instant> = std::sync::OnceLock::new();
    START.after(BEGUN.get_or_init(tokio::time::Instant::now).elapsed())
}

/// What a server offers.
#[derive(Clone)]
pub(crate) struct Offer {
    /// Namespaces that come before ours, so that ours gets another index.
    pub(crate) before: Vec<&'static str>,
    pub(crate) endpoints: Vec<(SecurityPolicy, MessageSecurityMode)>,
    pub(crate) users: Vec<&'static str>,
    /// It keeps these.
    pub(crate) alarms: Option<Alarms>,
    pub(crate) archive: Arc<Archive>,
    /// A session that nobody asks for is gone after so long.
    pub(crate) session_ms: u64,
    pub(crate) items_in_a_subscription: usize,
    pub(crate) items_in_a_call: usize,
    pub(crate) nodes_in_a_read: usize,
    /// It keeps so many notifications for an item.
    pub(crate) queue: usize,
    /// What it shows on secured endpoints.
    pub(crate) certified: Option<Certified>,
    /// Of the user that logs in by it.
    pub(crate) user_certificate: Vec<u8>,
    /// Any client is let in; else those alone that [`TestServer::trust_only`] lets in.
    pub(crate) trusting: bool,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            before: Vec::new(),
            endpoints: vec![(SecurityPolicy::None, MessageSecurityMode::None)],
            users: vec!["ANONYMOUS"],
            certified: None,
            user_certificate: Vec::new(),
            trusting: true,
            alarms: None,
            archive: Arc::default(),
            session_ms: 60_000,
            items_in_a_subscription: 5000,
            items_in_a_call: 1000,
            nodes_in_a_read: 1000,
            queue: 10,
        }
    }
}

impl Offer {
    pub(crate) fn secured(certified: &Certified) -> Self {
        Self {
            endpoints: vec![(SecurityPolicy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt)],
            certified: Some(certified.clone()),
            ..Self::default()
        }
    }
}

/// A real server in a runtime of its own: dropped, it is dead, and so are its sockets.
pub(crate) struct TestServer {
    runtime: Option<tokio::runtime::Runtime>,
    handle: ServerHandle,
    pub(crate) port: u16,
    namespace: u16,
    pki: PathBuf,
    pub(crate) archive: Arc<Archive>,
}

impl TestServer {
    pub(crate) async fn start(port: u16, offer: Offer) -> Self {
        // Its own, also while it is dead.
        let port = if port == 0 { free_port() } else { port };
        // Bound again after a kill: the old socket may take a moment to go.
        let listener = within("a free port", || async {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.ok()?.into_std().ok()
        })
        .await;
        let pki = std::env::temp_dir().join(format!("riskgate-opcua-{}-{port}", std::process::id()));
        let user_file = pki.join("user.der");
        std::fs::create_dir_all(pki.join("own")).expect("a folder");
        std::fs::write(&user_file, &offer.user_certificate).expect("a file");
        if let Some(certified) = &offer.certified {
            std::fs::write(pki.join("own/cert.der"), &certified.certificate).expect("a file");
            std::fs::write(pki.join("own/key.pem"), &certified.key).expect("a file");
        }
        let users: &[&str] = &offer.users;
        let mut builder = ServerBuilder::new()
            .application_name("plant")
            .application_uri(PLANT_URI)
            .product_uri(PLANT_URI)
            .host("127.0.0.1")
            .port(port)
            .pki_dir(&pki)
            .diagnostics_enabled(true)
            .certificate_path("own/cert.der")
            .private_key_path("own/key.pem")
            .trust_client_certs(offer.trusting)
            .check_cert_time(false)
            .discovery_urls(vec![format!("opc.tcp://127.0.0.1:{port}/")])
            .add_user_token(USER, ServerUserToken::user_pass(USER, PASSWORD))
            .add_user_token(BEARER, ServerUserToken::x509(BEARER, &user_file));
        for (policy, mode) in &offer.endpoints {
            builder = builder.add_endpoint(format!("{policy} {mode:?}"), ("/", *policy, *mode, users));
        }
        builder = builder.max_session_timeout_ms(offer.session_ms);
        let limits = builder.limits_mut();
        limits.subscriptions.max_monitored_items_per_sub = offer.items_in_a_subscription;
        limits.subscriptions.max_monitored_item_queue_size = offer.queue;
        limits.operational.max_monitored_items_per_call = offer.items_in_a_call;
        limits.operational.max_nodes_per_read = offer.nodes_in_a_read;
        // A value is told as it is set, with the time that it was set with.
        builder.limits_mut().subscriptions.min_sampling_interval_ms = 0.0;
        if let Some(alarms) = offer.alarms {
            // Before the library's own, or that answers for all that the standard has.
            builder = builder
                .without_node_managers()
                .with_node_manager(move |context: ServerContext| Methods::of(&alarms, &context))
                .with_node_manager(InMemoryNodeManagerBuilder::new(CoreNodeManagerBuilder))
                .with_node_manager(DiagnosticsNodeManagerBuilder);
        }
        for uri in &offer.before {
            builder = builder.with_node_manager(simple_node_manager(metadata(uri), uri));
        }
        let (server, handle) = builder
            .with_node_manager(InMemoryNodeManagerBuilder::new(archived(
                metadata(NAMESPACE),
                Arc::clone(&offer.archive),
            )))
            .build()
            .expect("a server");
        let namespace = handle.get_namespace_index(NAMESPACE).expect("our namespace");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let _detached_into_its_own_runtime = runtime.handle().spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            server.run_with(listener).await
        });
        Self { runtime: Some(runtime), handle, port, namespace, pki, archive: offer.archive }
    }

    pub(crate) fn url(&self) -> String {
        format!("opc.tcp://127.0.0.1:{}", self.port)
    }

    fn nodes(&self) -> Arc<Nodes> {
        self.handle.node_managers().get_by_name("ours").expect("our node manager")
    }

    fn id(&self, name: &str) -> NodeId {
        NodeId::new(self.namespace, name)
    }

    pub(crate) fn add(&self, name: &str, value: impl Into<Variant>) {
        let nodes = self.nodes();
        let mut space = nodes.address_space().write();
        let added = VariableBuilder::new(&self.id(name), name, name)
            .data_type(DataTypeId::BaseDataType)
            .value_rank(-2)
            .access_level(AccessLevel::CURRENT_READ | AccessLevel::HISTORY_READ)
            .user_access_level(AccessLevel::CURRENT_READ | AccessLevel::HISTORY_READ)
            .value(value)
            .organized_by(ObjectId::ObjectsFolder)
            .insert(&mut *space);
        assert!(added, "{name} is there already");
    }

    pub(crate) fn set(
        &self,
        name: &str,
        value: impl Into<Variant>,
        source_time: DateTime,
        status: StatusCode,
    ) {
        let value = DataValue {
            value: Some(value.into()),
            status: Some(status),
            source_timestamp: Some(source_time),
            server_timestamp: Some(DateTime::now()),
            ..DataValue::default()
        };
        self.archive.keep(&self.id(name), value.clone());
        let nodes = self.nodes();
        nodes.set_value(self.handle.subscriptions(), &self.id(name), None, value).expect("a known node");
    }

    pub(crate) fn put(&self, name: &str, value: impl Into<Variant>) {
        self.set(name, value, DateTime::now(), StatusCode::Good);
    }

    /// The node is there no more, and nobody is told.
    pub(crate) fn remove(&self, name: &str) {
        let nodes = self.nodes();
        let mut space = nodes.address_space().write();
        assert!(space.delete(&self.id(name), true).is_some(), "{name} is not there");
    }

    /// The subscription that was made last, in whatever session.
    pub(crate) fn newest_subscription(&self) -> u32 {
        let sessions = (0..100).filter_map(|id| self.handle.subscriptions().get_session_subscriptions(id));
        sessions.flat_map(|session| session.lock().subscription_ids()).max().expect("a subscription")
    }

    /// Another client of the same user takes a subscription over, and lets it end with its session.
    pub(crate) async fn take_away(&self, subscription: u32) {
        let mut client = ClientBuilder::new()
            .application_name("thief")
            .application_uri("urn:thief")
            .product_uri("urn:thief")
            .pki_dir(self.pki.join("thief"))
            .session_retry_limit(0)
            .client()
            .expect("a client");
        let (url, policy) = (self.url(), SecurityPolicy::None.to_str());
        let user_token = UserTokenPolicy::anonymous();
        let endpoint = (url.as_str(), policy, MessageSecurityMode::None, user_token);
        let user = IdentityToken::new_user_name(USER, PASSWORD);
        let connected = tokio::time::timeout(DEADLINE, client.connect_to_matching_endpoint(endpoint, user));
        let (session, events) = connected.await.expect("an answer").expect("an endpoint");
        let mut running = JoinSet::new();
        running.spawn(events.run());
        let is_let_in = tokio::time::timeout(DEADLINE, session.wait_for_connection());
        assert!(is_let_in.await.expect("an answer"), "the other client is let in");
        let given = session.transfer_subscriptions(&[subscription], false).await.expect("an answer");
        assert!(given.iter().all(|result| result.status_code.is_good()), "{given:?}");
        session.disconnect().await.expect("a goodbye");
    }

    /// Sessions that the server keeps.
    pub(crate) fn n_sessions(&self) -> u32 {
        self.count(VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSessionCount)
    }

    pub(crate) fn n_subscriptions(&self) -> u32 {
        self.count(VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSubscriptionCount)
    }

    /// Sessions that it has made since it started.
    pub(crate) fn n_sessions_ever(&self) -> u32 {
        self.count(VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_CumulatedSessionCount)
    }

    fn count(&self, count: VariableId) -> u32 {
        let count = self.handle.info().diagnostics.get(count).and_then(|count| count.value);
        count.and_then(|count| count.try_cast_to().ok()).expect("a count")
    }

    /// Lets in the client with this certificate, and no other any more.
    pub(crate) fn trust_only(&self, certificate: &[u8]) {
        for folder in ["rejected", "trusted"].map(|folder| self.pki.join(folder)) {
            std::fs::remove_dir_all(&folder).expect("its own folder");
            std::fs::create_dir(&folder).expect("its own folder");
        }
        let x509 = X509::from_der(certificate).expect("a certificate");
        let file = self.pki.join("trusted").join(CertificateStore::cert_file_name(&x509));
        std::fs::write(file, certificate).expect("a file");
    }

    /// The certificates of clients that it has refused.
    pub(crate) fn refused(&self) -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(self.pki.join("rejected")).expect("its own folder");
        entries.map(|entry| std::fs::read(entry.expect("an entry").path()).expect("a file")).collect()
    }

    /// As `kill -9` does: no goodbye.
    pub(crate) fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let _may_not_exist = std::fs::remove_dir_all(&self.pki);
    }
}

fn metadata(uri: &str) -> NamespaceMetadata {
    NamespaceMetadata { namespace_uri: uri.to_owned(), ..NamespaceMetadata::default() }
}

/// A proxy that keeps what was asked through it.
pub(crate) struct Proxy {
    proxy: proxy::Proxy,
    pub(crate) requests: Recorder,
}

/// Whatever a test does, nothing but reading goes through.
impl Drop for Proxy {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.requests.assert_nothing_but_reading();
        }
    }
}

impl std::ops::Deref for Proxy {
    type Target = proxy::Proxy;

    fn deref(&self) -> &proxy::Proxy {
        &self.proxy
    }
}

impl Proxy {
    pub(crate) fn to(target: u16) -> Self {
        let requests = Recorder::default();
        let recorder = requests.clone();
        let tap = move || -> proxy::Tap {
            let mut connection = recorder.connection();
            Box::new(move |sent| connection.sent(sent))
        };
        Self { proxy: proxy::Proxy::to(target, tap), requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("opc.tcp://127.0.0.1:{}", self.port)
    }

    /// Closes what is open when the next request of this type is sent.
    pub(crate) fn cut_at_next(&self, id: ObjectId) {
        self.requests.at_next(id, self.take_cut());
    }
}

/// Numbers, all in the one group.
pub(crate) fn config(url: String, nodes: &[&str]) -> Server {
    let point = |(at, node): (usize, &&str)| Point {
        point: PointId(u32::try_from(at).expect("few points")),
        tag: Arc::from(format!("P-{at}")),
        group: 0,
        node: Node::parse(node).expect("a node id"),
        element: None,
        kind: Kind::Number,
        scaling: Scaling::IDENTITY,
        words: None,
    };
    Server {
        source: SourceId(3),
        url,
        keep_alive: Duration::from_millis(500),
        security: Security::open(),
        user: User::Anonymous,
        history: None,
        groups: vec![group("")],
        notifiers: Vec::new(),
        points: nodes.iter().enumerate().map(point).collect(),
    }
}

pub(crate) fn group(name: &str) -> Group {
    Group {
        name: name.to_owned(),
        publishing: Duration::from_millis(100),
        sampling: Duration::ZERO,
        queue: 10,
        discard: Discard::Oldest,
        deadband: Deadband::None,
        keep_alive: Duration::from_millis(500),
    }
}

pub(crate) fn ours(name: &str) -> String {
    format!("nsu={NAMESPACE};s={name}")
}

/// A driver at work, and all that it has reported.
pub(crate) struct Driver {
    receiver: Receiver,
    pub(crate) seen: Vec<Report>,
    pub(crate) tally: Arc<Tally>,
    stop: CancellationToken,
    task: JoinSet<Result<(), Error>>,
}

impl Driver {
    pub(crate) fn start(server: Server) -> Self {
        let (sender, receiver) = intake::channel(100_000, |_| Lane::Process);
        let tally = Arc::new(Tally::default());
        let sender = sender.counting(Arc::clone(&tally));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let mut task = JoinSet::new();
        task.spawn(
            async move { riskgate_drivers::opcua::run(&server, &sender, clock as Clock, &stopped).await },
        );
        Self { receiver, seen: Vec::new(), tally, stop, task }
    }

    /// Waits for a report such as this among all that came since the last [`Self::forget`].
    pub(crate) async fn until(&mut self, what: &str, wanted: impl Fn(&Report) -> bool) {
        self.until_all(what, |seen| seen.iter().any(&wanted)).await;
    }

    pub(crate) async fn until_all(&mut self, what: &str, wanted: impl Fn(&[Report]) -> bool) {
        let found = tokio::time::timeout(DEADLINE, async {
            while !wanted(&self.seen) {
                self.seen.extend(self.receiver.recv(10_000).await.expect("the driver runs"));
            }
        });
        let found = found.await;
        let last = self
            .seen
            .iter()
            .filter(|r| !matches!(r, Report::Refreshed { .. }))
            .rev()
            .take(8)
            .collect::<Vec<_>>();
        assert!(found.is_ok(), "never saw {what}; last: {last:#?}");
    }

    pub(crate) async fn until_up(&mut self) {
        self.until("link up", |report| matches!(report, Report::Link { link: Link::Up, .. })).await;
    }

    pub(crate) async fn until_down(&mut self) -> String {
        self.until("link down", |report| matches!(report, Report::Link { link: Link::Down { .. }, .. }))
            .await;
        let why = |report: &Report| {
            if let Report::Link { link: Link::Down { why }, .. } = report { Some(why.clone()) } else { None }
        };
        self.seen.iter().rev().find_map(why).expect("it was seen")
    }

    pub(crate) async fn until_number(&mut self, point: u32, number: f64) {
        let wanted = |report: &Report| {
            sample(report).is_some_and(|sample| {
                sample.point == PointId(point)
                    && sample.value.as_ref().and_then(riskgate_point::Value::number) == Some(number)
            })
        };
        self.until(&format!("point {point} at {number}"), wanted).await;
    }

    pub(crate) async fn until_bad(&mut self, point: u32, reason: BadReason) {
        let wanted = |report: &Report| {
            sample(report).is_some_and(|sample| {
                sample.point == PointId(point) && sample.quality == Quality::Bad(reason)
            })
        };
        self.until(&format!("point {point} bad {reason:?}"), wanted).await;
    }

    /// The newest sample of the point, among what was seen.
    pub(crate) fn last(&self, point: u32) -> &Sample {
        let mut samples = self.seen.iter().rev().filter_map(sample);
        samples.find(|sample| sample.point == PointId(point)).expect("a sample of the point")
    }

    pub(crate) fn samples(&self, point: u32) -> Vec<&Sample> {
        self.seen.iter().filter_map(sample).filter(|sample| sample.point == PointId(point)).collect()
    }

    /// How often something of this place and reason could not be used.
    pub(crate) fn skipped(&self, place: &str, reason: &str) -> u64 {
        let skips = self.tally.counts().skips;
        skips.iter().filter(|((of, why), _)| of == place && *why == reason).map(|(_, skip)| skip.count).sum()
    }

    pub(crate) fn forget(&mut self) {
        self.seen.clear();
    }

    /// Stops it; says how long that took.
    pub(crate) async fn stop(mut self) -> Duration {
        let begun = tokio::time::Instant::now();
        self.stop.cancel();
        let ended = tokio::time::timeout(DEADLINE, self.task.join_next()).await.expect("it ends");
        ended.expect("it ran").expect("no panic").expect("Ok after a stop");
        begun.elapsed()
    }
}

pub(crate) fn sample(report: &Report) -> Option<&Sample> {
    if let Report::Sample(sample) = report { Some(sample) } else { None }
}

/// Asks again until there is an answer.
pub(crate) async fn within<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let asked = tokio::time::timeout(DEADLINE, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    });
    asked.await.unwrap_or_else(|_| panic!("never had {what}"))
}
