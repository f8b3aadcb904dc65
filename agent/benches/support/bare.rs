//! The bare loop: read a device, publish one message, nothing else. What the two libraries cost by themselves.

use std::convert::Infallible;
use std::io::Read;
use std::time::Duration;

use rumqttc::{AsyncClient, MqttOptions, PublishOptions};
use tokio_modbus::prelude::*;

use crate::{PERIOD, REGISTERS};

/// `bare BROKER_PORT DEVICE_PORT...`, until it is killed.
pub(crate) fn run(words: &[String]) -> anyhow::Result<()> {
    end_with_the_benchmark();
    let ports: Vec<u16> = words.iter().skip(1).filter_map(|word| word.parse().ok()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        let (broker, devices) = ports.split_first().ok_or_else(|| anyhow::anyhow!("no broker port"))?;
        let mut options = MqttOptions::new("bare", ("127.0.0.1", *broker));
        options.set_keep_alive(Duration::from_secs(30).as_secs().try_into().unwrap_or(30));
        let (client, mut events) = AsyncClient::builder(options).capacity(1000).build();
        let mut tasks = tokio::task::JoinSet::<anyhow::Result<Infallible>>::new();
        tasks.spawn(async move {
            loop {
                events.poll().await?;
            }
        });
        let bunched = std::env::var_os("PLANT_LOAD_BUNCHED").is_some();
        let count = u32::try_from(devices.len())?;
        for (index, port) in devices.iter().copied().enumerate() {
            let client = client.clone();
            tasks.spawn(async move {
                let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
                let stream = tokio::net::TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let mut device = tcp::attach_slave(stream, Slave(1));
                // Spread over the period, as the agent's are, or all at once.
                let place = if bunched { 0 } else { u32::try_from(index)? };
                let phase = PERIOD * place / count;
                let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + phase, PERIOD);
                loop {
                    tick.tick().await;
                    let registers = device.read_holding_registers(0, REGISTERS).await??;
                    let body = serde_json::to_vec(&registers)?;
                    client.publish(format!("bare/{index}"), body, PublishOptions::at_least_once()).await?;
                }
            });
        }
        // None of them ends by itself.
        match tasks.join_next().await {
            Some(ended) => ended?.map(|never| match never {}),
            None => anyhow::bail!("no tasks"),
        }
    })
}

/// The benchmark holds the other end of the standard input for as long as it lives, however it ends.
fn end_with_the_benchmark() {
    std::thread::spawn(|| {
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        std::process::exit(0);
    });
}
