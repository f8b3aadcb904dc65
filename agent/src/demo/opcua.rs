//! The OPC UA server of the simulated plant: the reaction area's safety system and its control values.
//!
//! Security None, anonymous, namespace `urn:riskgate:demo`. Values are pushed when they change, with the
//! time at which the plant wrote them. Its key folder lies where the caller says and is gone with it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opcua::nodes::Variable;
use opcua::server::address_space::AddressSpace;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::server::{ANONYMOUS_USER_TOKEN_ID, ServerBuilder, ServerEndpoint, ServerHandle};
use opcua::types::{AttributeId, DataValue, DateTime, NodeId, Variant};
use riskgate_point::Now;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::plant::Plant;

/// As in the configuration.
pub(super) const SOURCE: &str = "sis";

pub(super) const NAMESPACE: &str = "urn:riskgate:demo";

/// The server's own namespace: not the plant's, else its nodes would be looked for among the server's own.
const APPLICATION: &str = "urn:riskgate:demo:server";

/// How often the plant's values are looked at. The server publishes every 100 ms at the fastest.
const PUSH_EVERY: Duration = Duration::from_millis(20);

/// How fast the server samples and publishes at the most, milliseconds.
const PUBLISH_MIN_MS: f64 = 50.0;

#[derive(Debug, thiserror::Error)]
pub(super) enum OpcuaError {
    #[error("the demo's OPC UA server cannot be set up: {why}")]
    Build { why: String },
    #[error("the demo's OPC UA server ended: {why}")]
    Serve { why: String },
}

/// One variable.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) tag: &'static str,
    /// Its node id in the namespace.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Float,
}

pub(super) const NODES: &[Node] = &[
    Node { tag: "TT-201", name: "R201.Temperature", kind: Kind::Float },
    Node { tag: "PT-201", name: "R201.Pressure", kind: Kind::Float },
    Node { tag: "P-201", name: "P201.Running", kind: Kind::Bool },
    Node { tag: "SIS-201", name: "SIS201.Trip", kind: Kind::Bool },
];

impl Node {
    /// What the plant wrote last, and when; the quality is bad for a value that failed.
    fn reading(&self, plant: &Plant) -> DataValue {
        let Some((value, at)) = plant.value(self.tag) else {
            return DataValue {
                status: Some(opcua::types::StatusCode::BadDeviceFailure),
                ..DataValue::null()
            };
        };
        DataValue::new_at(self.variant(value), date_time(at))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a Float has the precision of an f32")]
    fn variant(&self, value: f64) -> Variant {
        match self.kind {
            Kind::Bool => Variant::from(value >= 0.5),
            Kind::Float => Variant::from(value as f32),
        }
    }
}

/// OPC UA counts 100 ns from 1601-01-01.
fn date_time(now: Now) -> DateTime {
    const TICKS_TO_1970: i64 = 116_444_736_000_000_000;
    DateTime::from(now.wall.0.saturating_mul(10_000).saturating_add(TICKS_TO_1970))
}

/// A server that is built and not yet running.
pub(super) struct Server {
    server: opcua::server::Server,
    handle: ServerHandle,
    manager: Arc<SimpleNodeManager>,
    nodes: Vec<(&'static Node, NodeId)>,
    plant: Arc<Plant>,
}

impl Server {
    /// `port` is where the listener given to [`Server::run`] listens; `keys` is a folder of its own.
    pub(super) fn build(
        plant: Arc<Plant>,
        port: u16,
        keys: &Path,
        stop: CancellationToken,
    ) -> Result<Self, OpcuaError> {
        let mut builder = ServerBuilder::new()
            .application_name("riskgate demo plant")
            .application_uri(APPLICATION)
            .product_uri(APPLICATION)
            .host("127.0.0.1")
            .port(port)
            .pki_dir(keys)
            .discovery_urls(vec![format!("opc.tcp://127.0.0.1:{port}/")])
            .add_endpoint("none", ServerEndpoint::new_none("/", &[ANONYMOUS_USER_TOKEN_ID.to_owned()]))
            .with_node_manager(simple_node_manager(
                NamespaceMetadata { namespace_uri: NAMESPACE.to_owned(), ..Default::default() },
                "plant",
            ))
            .subscription_poll_interval_ms(20)
            .token(stop);
        let limits = builder.limits_mut();
        limits.subscriptions.min_publishing_interval_ms = PUBLISH_MIN_MS;
        limits.subscriptions.min_sampling_interval_ms = PUBLISH_MIN_MS;
        let (server, handle) = builder.build().map_err(|why| OpcuaError::Build { why })?;
        let missing = |what: &str| OpcuaError::Build { why: format!("{what} is missing after the build") };
        let manager = handle
            .node_managers()
            .get_of_type::<SimpleNodeManager>()
            .ok_or_else(|| missing("the node manager"))?;
        let namespace = handle.get_namespace_index(NAMESPACE).ok_or_else(|| missing("the namespace"))?;
        let nodes: Vec<(&Node, NodeId)> =
            NODES.iter().map(|node| (node, NodeId::new(namespace, node.name))).collect();
        fill(&mut manager.address_space().write(), namespace, &nodes, &plant);
        Ok(Self { server, handle, manager, nodes, plant })
    }

    /// Serves until the token given to [`Server::build`] is cancelled.
    pub(super) async fn run(self, listener: TcpListener) -> Result<(), OpcuaError> {
        let Self { server, handle, manager, nodes, plant } = self;
        let push = async {
            let mut every = tokio::time::interval(PUSH_EVERY);
            let mut told: Vec<Option<Variant>> = vec![None; nodes.len()];
            loop {
                every.tick().await;
                let mut news = Vec::new();
                for ((node, id), told) in nodes.iter().zip(&mut told) {
                    let reading = node.reading(&plant);
                    if *told != reading.value {
                        told.clone_from(&reading.value);
                        news.push((id, None, reading));
                    }
                }
                handle.subscriptions().maybe_notify(
                    nodes.iter().map(|(_, id)| (id, AttributeId::Value)),
                    // Called only where somebody monitors the node; nothing is sent from here.
                    |_, _, _, _| {
                        plant.note_read(SOURCE);
                        None
                    },
                );
                // Every node of the list is in the address space since the build.
                let _known = manager.set_values(handle.subscriptions(), news.into_iter());
            }
        };
        tokio::select! {
            ended = server.run_with(listener) => ended.map_err(|why| OpcuaError::Serve { why }),
            () = push => Ok(()),
        }
    }
}

fn fill(space: &mut AddressSpace, namespace: u16, nodes: &[(&'static Node, NodeId)], plant: &Plant) {
    let folder = NodeId::new(namespace, "Plant");
    space.add_folder(&folder, "Plant", "Plant", &NodeId::objects_folder_id());
    let variables = nodes
        .iter()
        .map(|(node, id)| {
            let value = plant.value(node.tag).map_or(0.0, |(value, _)| value);
            let mut variable = Variable::new(id, node.name, node.tag, node.variant(value));
            variable.set_data_value(node.reading(plant));
            variable
        })
        .collect();
    space.add_variables(variables, &folder);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use riskgate_drivers::scaling::Scaling;
    use riskgate_drivers::{intake, opcua as client};
    use riskgate_point::{PointId, Report, Sample, SourceId, Value};
    use tokio::task::JoinSet;

    use super::*;
    use crate::demo::scenario::{Curve, DEMO, Scenario};
    use crate::demo::tests::rows;

    #[test]
    fn the_nodes_are_those_of_the_point_table() {
        let kind = |kind| match kind {
            Kind::Bool => "bool",
            Kind::Float => "f32",
        };
        let told: Vec<String> = NODES
            .iter()
            .map(|node| format!("{} nsu={NAMESPACE};s={} {}", node.tag, node.name, kind(node.kind)))
            .collect();
        let table: Vec<String> = rows()
            .iter()
            .filter(|row| row["数据源"] == SOURCE)
            .map(|row| format!("{} {} {}", row["位号"], row["地址"], row["数据类型"]))
            .collect();
        assert_eq!(told, table);
    }

    /// The agent's own driver is a real client.
    #[tokio::test]
    async fn an_opc_ua_client_is_told_the_values_and_the_trip() {
        static TRIPS: Scenario = Scenario {
            curves: &[
                Curve { tag: "TT-201", corners: &[(0.0, 118.0)], noise: 0.0 },
                Curve { tag: "PT-201", corners: &[(0.0, 0.55)], noise: 0.0 },
                Curve { tag: "P-201", corners: &[(0.0, 1.0)], noise: 0.0 },
                Curve { tag: "SIS-201", corners: &[(0.3, 0.0), (0.3, 1.0)], noise: 0.0 },
            ],
            ..DEMO
        };
        let plant = Plant::new(&TRIPS, 1, crate::clock::now);
        let keys = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let stop = CancellationToken::new();
        let server = Server::build(Arc::clone(&plant), port, keys.path(), stop.clone()).expect("a server");
        let points = (0..).zip(NODES).map(|(place, node)| client::Point {
            point: PointId(place),
            tag: Arc::from(node.tag),
            group: 0,
            node: client::Node::parse(&format!("nsu={NAMESPACE};s={}", node.name)).expect("a node id"),
            element: None,
            kind: match node.kind {
                Kind::Bool => client::Kind::Bool,
                Kind::Float => client::Kind::Number,
            },
            scaling: Scaling::IDENTITY,
            words: None,
        });
        let config = client::Server {
            source: SourceId(0),
            url: format!("opc.tcp://127.0.0.1:{port}"),
            keep_alive: Duration::from_secs(1),
            security: client::Security::open(),
            user: client::User::Anonymous,
            history: None,
            groups: vec![client::Group {
                name: String::new(),
                publishing: Duration::from_millis(100),
                sampling: Duration::from_millis(50),
                queue: 10,
                discard: client::Discard::Oldest,
                deadband: client::Deadband::None,
                keep_alive: Duration::from_secs(1),
            }],
            notifiers: Vec::new(),
            points: points.collect(),
        };
        let (sender, mut reports) = intake::channel(100, |_| intake::Lane::Process);
        let told = stop.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { server.run(listener).await.expect("it serves") });
        tasks.spawn(async move {
            client::run(&config, &sender, crate::clock::now, &told).await.expect("it reads");
        });
        tasks.spawn(Arc::clone(&plant).run());
        let mut values: HashMap<u32, Sample> = HashMap::new();
        let tripped = Some(Value::Bool(true));
        while values.get(&3).is_none_or(|trip| trip.value != tripped) {
            let news = tokio::time::timeout(Duration::from_secs(10), reports.recv(100)).await;
            for report in news.expect("it speaks").expect("the client lives") {
                if let Report::Sample(sample) = report {
                    values.insert(sample.point.0, sample);
                }
            }
            if values.len() == NODES.len() && plant.second() == 0.0 {
                plant.begin();
            }
        }
        let temperature = values.get(&0).and_then(|sample| sample.value.as_ref()?.number());
        assert_eq!(temperature, Some(118.0));
        assert_eq!(values.get(&2).and_then(|sample| sample.value.clone()), Some(Value::Bool(true)));
        let written = plant.value("SIS-201").expect("a value").1;
        let told_at = values.get(&3).and_then(|sample| sample.source_time).expect("a source time");
        assert!(told_at <= written.wall && written.wall.0 - told_at.0 < 10_000, "{told_at:?}");
        assert_eq!(plant.unread(&[SOURCE]), [""; 0]);
        stop.cancel();
    }

    #[test]
    fn the_time_of_a_value_is_the_plants_time() {
        let now = Now { wall: riskgate_point::Wall(1_700_000_000_123), ..Now::default() };
        assert_eq!(date_time(now).as_chrono().timestamp_millis(), 1_700_000_000_123);
    }
}
