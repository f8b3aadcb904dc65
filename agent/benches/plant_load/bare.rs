//! The bare loop: read a device, publish one message, nothing else. What the two libraries cost by themselves.

use std::time::Duration;

use rumqttc::{AsyncClient, MqttOptions, PublishOptions};
use tokio_modbus::prelude::*;

use crate::{PERIOD, REGISTERS};

/// `bare BROKER_PORT DEVICE_PORT...`, until it is killed.
pub(crate) fn run(words: &[String]) -> anyhow::Result<()> {
    let ports: Vec<u16> = words.iter().skip(1).filter_map(|word| word.parse().ok()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        let (broker, devices) = ports.split_first().ok_or_else(|| anyhow::anyhow!("no broker port"))?;
        let mut options = MqttOptions::new("bare", ("127.0.0.1", *broker));
        options.set_keep_alive(Duration::from_secs(30).as_secs().try_into().unwrap_or(30));
        let (client, mut events) = AsyncClient::builder(options).capacity(1000).build();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            loop {
                if let Err(error) = events.poll().await {
                    eprintln!("bare loop: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        });
        for (index, port) in devices.iter().copied().enumerate() {
            let client = client.clone();
            tasks.spawn(async move {
                let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
                let mut device = tcp::connect_slave(address, Slave(1)).await.expect("a device of ours");
                let mut tick = tokio::time::interval(PERIOD);
                loop {
                    tick.tick().await;
                    let registers = device.read_holding_registers(0, REGISTERS).await;
                    let registers = registers.expect("a device of ours").expect("a register of ours");
                    let body = serde_json::to_vec(&registers).expect("numbers are JSON");
                    let sent =
                        client.publish(format!("bare/{index}"), body, PublishOptions::at_least_once()).await;
                    sent.expect("the loop runs");
                }
            });
        }
        tasks.join_next().await;
        Ok(())
    })
}
