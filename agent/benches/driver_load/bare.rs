//! The bare loops: what each library needs by itself to bring the same values, and nothing done with them.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opcua::client::{ClientBuilder, DataChangeCallback, IdentityToken};
use opcua::crypto::SecurityPolicy;
use opcua::types::{
    MessageSecurityMode, MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId,
    ReadValueId, TimestampsToReturn, UserTokenPolicy,
};
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
use tokio::task::JoinSet;
use tokio_modbus::prelude::*;

use crate::{PERIOD, REGISTERS};

pub(crate) async fn modbus(ports: &[String]) -> anyhow::Result<()> {
    let values = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::<anyhow::Result<Infallible>>::new();
    let n_ports = u32::try_from(ports.len())?;
    for (place, port) in (0_u32..).zip(ports) {
        let (port, values) = (port.parse::<u16>()?, Arc::clone(&values));
        tasks.spawn(async move {
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            let mut device = tcp::attach_slave(stream, Slave(1));
            // Spread over the period, as the driver's are.
            let phase = PERIOD * place / n_ports;
            let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + phase, PERIOD);
            loop {
                tick.tick().await;
                let registers = device.read_holding_registers(0, REGISTERS).await??;
                values.fetch_add(u64::try_from(registers.len())?, Ordering::Relaxed);
            }
        });
    }
    until_measured(&values, tasks).await
}

pub(crate) async fn mqtt(at: &[String]) -> anyhow::Result<()> {
    let [port] = at else { anyhow::bail!("a port") };
    let options = MqttOptions::new("bare", ("127.0.0.1", port.parse::<u16>()?));
    let (client, mut events) = AsyncClient::builder(options).capacity(10).build();
    client.try_subscribe("bench/#", QoS::AtLeastOnce)?;
    let values = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&values);
    let mut tasks = JoinSet::<anyhow::Result<Infallible>>::new();
    tasks.spawn(async move {
        loop {
            if let Event::Incoming(Incoming::Publish(_)) = events.poll().await? {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let measured = until_measured(&values, tasks).await;
    drop(client);
    measured
}

pub(crate) async fn opcua(at: &[String]) -> anyhow::Result<()> {
    let [url, items] = at else { anyhow::bail!("URL and items") };
    let mut client = ClientBuilder::new()
        .application_name("bare")
        .application_uri("urn:bare")
        .product_uri("urn:bare")
        .pki_dir(std::env::temp_dir().join(format!("riskgate-bench-{}", std::process::id())))
        .create_sample_keypair(false)
        .trust_server_certs(true)
        .client()
        .map_err(|errors| anyhow::anyhow!("{}", errors.join(", ")))?;
    let endpoint = (
        url.as_str(),
        SecurityPolicy::None.to_str(),
        MessageSecurityMode::None,
        UserTokenPolicy::anonymous(),
    );
    let (session, events) = client.connect_to_matching_endpoint(endpoint, IdentityToken::Anonymous).await?;
    let mut tasks = JoinSet::<anyhow::Result<Infallible>>::new();
    tasks.spawn(async move { anyhow::bail!("the session ended: {}", events.run().await) });
    session.wait_for_connection().await;
    let values = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&values);
    let callback = DataChangeCallback::new(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let id =
        session.create_subscription(Duration::from_millis(500), 600, 20, 1000, 0, true, callback).await?;
    let namespace = session.get_namespace_index("urn:bench").await?;
    let wanted: Vec<u32> = (1..=items.parse::<u32>()?).collect();
    for portion in wanted.chunks(500) {
        let item = |item: &u32| MonitoredItemCreateRequest {
            item_to_monitor: ReadValueId::new_value(NodeId::new(namespace, *item)),
            monitoring_mode: MonitoringMode::Reporting,
            requested_parameters: MonitoringParameters {
                client_handle: *item,
                sampling_interval: 500.0,
                queue_size: 10,
                discard_oldest: true,
                ..MonitoringParameters::default()
            },
        };
        let items = portion.iter().map(item).collect();
        session.create_monitored_items(id, TimestampsToReturn::Both, items).await?;
    }
    until_measured(&values, tasks).await
}

/// None of the tasks ends by itself.
async fn until_measured(
    values: &AtomicU64,
    mut tasks: JoinSet<anyhow::Result<Infallible>>,
) -> anyhow::Result<()> {
    tokio::select! {
        measured = crate::child::measure(|| values.load(Ordering::Relaxed)) => measured,
        Some(ended) = tasks.join_next() => ended?.map(|never| match never {}),
    }
}
