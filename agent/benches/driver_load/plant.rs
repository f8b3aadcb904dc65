//! What is read: servers as small as they can be, so that the machine is left to the readers.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opcua::server::ServerBuilder;
use opcua::server::address_space::VariableBuilder;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::types::{DataTypeId, DataValue, DateTime, NodeId, ObjectId, StatusCode, Variant};
use rumqttc::{AsyncClient, MqttOptions, PublishOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::child::ASKED;
use crate::{MESSAGES_PER_SECOND, PERIOD, TOPICS};

type Intervals = Arc<Mutex<Vec<Duration>>>;

/// `DEVICES DEAD`: prints the ports; asked, prints how far apart the requests of the living ones came.
pub(crate) async fn modbus(words: &[String]) -> anyhow::Result<()> {
    let [devices, dead] = words else { anyhow::bail!("devices and dead ones") };
    let (devices, dead) = (devices.parse::<usize>()?, dead.parse::<usize>()?);
    let intervals = Intervals::default();
    let mut tasks = JoinSet::<anyhow::Result<()>>::new();
    let mut ports = Vec::new();
    for device in 0..devices {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        ports.push(listener.local_addr()?.port().to_string());
        let intervals = (device >= dead).then(|| Arc::clone(&intervals));
        tasks.spawn(serve(listener, intervals));
    }
    println!("{}", ports.join(" "));
    tasks.spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            if ASKED.swap(false, Ordering::AcqRel) {
                println!("{}", spread(&intervals));
            }
        }
    });
    match tasks.join_next().await {
        Some(ended) => ended?,
        None => anyhow::bail!("no devices"),
    }
}

/// One device that answers each read with its registers, or never where it has no `intervals`.
async fn serve(listener: TcpListener, intervals: Option<Intervals>) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let intervals = intervals.clone();
        connections.spawn(async move {
            let (mut request, mut last) = ([0_u8; 12], None);
            // Ends with the connection.
            while stream.read_exact(&mut request).await.is_ok() {
                let Some(intervals) = &intervals else { continue };
                note(intervals, &mut last);
                if stream.write_all(&reply(request)).await.is_err() {
                    break;
                }
            }
        });
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is what reads clocks")]
fn note(intervals: &Intervals, last: &mut Option<Instant>) {
    let now = Instant::now();
    if let Some(last) = last.replace(now) {
        intervals.lock().unwrap_or_else(PoisonError::into_inner).push(now - last);
    }
}

/// Registers that differ from request to request: the transaction number in each.
fn reply(request: [u8; 12]) -> Vec<u8> {
    let [t0, t1, _, _, _, _, device, function, _, _, n0, n1] = request;
    let bytes = u16::from_be_bytes([n0, n1]) * 2;
    let [l0, l1] = (bytes + 3).to_be_bytes();
    let [_, count] = bytes.to_be_bytes();
    let mut reply = vec![t0, t1, 0, 0, l0, l1, device, function, count];
    reply.extend([t0, t1].repeat(usize::from(bytes / 2)));
    reply
}

fn spread(intervals: &Intervals) -> String {
    let mut intervals = std::mem::take(&mut *intervals.lock().unwrap_or_else(PoisonError::into_inner));
    intervals.sort_unstable();
    let at = |percent: usize| intervals.get(intervals.len() * percent / 100).copied().unwrap_or_default();
    let ms = |span: Duration| span.as_secs_f64() * 1e3;
    format!("p1 {:.2}, p50 {:.2}, p99 {:.2} of {}", ms(at(1)), ms(at(50)), ms(at(99)), intervals.len())
}

/// `ITEMS`: prints URL and items, then changes all of them each second.
pub(crate) async fn opcua(words: &[String]) -> anyhow::Result<()> {
    let [items] = words else { anyhow::bail!("items") };
    let n_items = items.parse::<u32>()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let metadata =
        NamespaceMetadata { namespace_uri: "urn:bench".to_owned(), ..NamespaceMetadata::default() };
    let mut builder = ServerBuilder::new_anonymous("bench")
        .host("127.0.0.1")
        .port(port)
        .pki_dir(std::env::temp_dir().join(format!("riskgate-bench-{port}")))
        .create_sample_keypair(false)
        .discovery_urls(vec![format!("opc.tcp://127.0.0.1:{port}/")])
        .with_node_manager(simple_node_manager(metadata, "bench"));
    builder.limits_mut().subscriptions.max_monitored_items_per_sub = 100_000;
    let (server, handle) = builder.build().map_err(anyhow::Error::msg)?;
    let namespace = handle.get_namespace_index("urn:bench").unwrap_or_default();
    let nodes = handle.node_managers().get_of_type::<SimpleNodeManager>();
    let nodes = nodes.ok_or_else(|| anyhow::anyhow!("no node manager"))?;
    for item in 1..=n_items {
        let id = NodeId::new(namespace, item);
        let mut space = nodes.address_space().write();
        VariableBuilder::new(&id, item.to_string(), item.to_string())
            .data_type(DataTypeId::Double)
            .value(0.0)
            .organized_by(ObjectId::ObjectsFolder)
            .insert(&mut *space);
    }
    let mut tasks = JoinSet::<anyhow::Result<()>>::new();
    tasks.spawn(async move { server.run_with(listener).await.map_err(anyhow::Error::msg) });
    println!("opc.tcp://127.0.0.1:{port} {n_items}");
    let mut tick = tokio::time::interval(PERIOD);
    let mut turn = 0.0;
    loop {
        tokio::select! {
            Some(ended) = tasks.join_next() => return ended?,
            _ = tick.tick() => {}
        }
        turn += 1.0;
        let ids: Vec<NodeId> = (1..=n_items).map(|item| NodeId::new(namespace, item)).collect();
        let value = DataValue {
            value: Some(Variant::Double(turn)),
            status: Some(StatusCode::Good),
            source_timestamp: Some(DateTime::now()),
            ..DataValue::default()
        };
        let values = ids.iter().map(|id| (id, None, value.clone()));
        nodes.set_values(handle.subscriptions(), values).map_err(|status| anyhow::anyhow!("{status}"))?;
    }
}

/// Starts mosquitto, prints its port and publishes for ever.
pub(crate) async fn mqtt(_words: &[String]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let conf = folder.path().join("mosquitto.conf");
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\nuser root\n\
         set_tcp_nodelay true\nmax_queued_messages 0\n"
    );
    // It would change its user, and with that forget to end with this process.
    std::fs::write(&conf, text)?;
    // Debian keeps it where a person's PATH does not lead.
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let _broker = tokio::process::Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "mosquitto", "-c"])
        .arg(&conf)
        .env("PATH", path)
        .kill_on_drop(true)
        .spawn()?;
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (client, mut events) =
        AsyncClient::builder(MqttOptions::new("plant", ("127.0.0.1", port))).capacity(1_000).build();
    let mut tasks = JoinSet::<anyhow::Result<()>>::new();
    tasks.spawn(async move {
        loop {
            events.poll().await?;
        }
    });
    println!("{port}");
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut number = 0_usize;
    loop {
        tokio::select! {
            Some(ended) = tasks.join_next() => return ended?,
            _ = tick.tick() => {}
        }
        for _ in 0..MESSAGES_PER_SECOND / 50 {
            number += 1;
            let payload = format!("{{\"value\":{number}.5}}");
            client
                .publish(format!("bench/{}", number % TOPICS), payload, PublishOptions::at_most_once())
                .await?;
        }
    }
}
