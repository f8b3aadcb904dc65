//! The subscriber: notes when each crossing arrives, from the agent and from the bare loop.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use serde_json::Value;

use crate::BEYOND;

#[derive(Default)]
pub(crate) struct Arrivals {
    /// Device and time of arrival, in order.
    pub(crate) agent: Vec<(usize, Instant)>,
    pub(crate) bare: Vec<(usize, Instant)>,
    pub(crate) agent_bytes: usize,
    pub(crate) bare_bytes: usize,
}

pub(crate) struct Watcher {
    client: Client,
    thread: Option<JoinHandle<Arrivals>>,
}

impl Watcher {
    pub(crate) fn start(port: u16) -> Self {
        let mut options = MqttOptions::new("watcher", ("127.0.0.1", port));
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut connection) = Client::builder(options).capacity(100).build();
        for filter in ["riskgate/#", "bare/#"] {
            client.subscribe(filter, QoS::AtMostOnce).expect("the queue has room");
        }
        let thread = std::thread::spawn(move || {
            let mut arrivals = Arrivals::default();
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::Publish(message))) => {
                        note(&mut arrivals, &String::from_utf8_lossy(&message.topic), &message.payload);
                    }
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
            arrivals
        });
        Self { client, thread: Some(thread) }
    }

    pub(crate) fn finish(&mut self) -> Arrivals {
        // Its thread ends on the error of the closed connection.
        drop(self.client.disconnect());
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is what reads clocks")]
fn note(arrivals: &mut Arrivals, topic: &str, payload: &[u8]) {
    let at = Instant::now();
    if let Some(device) = topic.strip_prefix("bare/") {
        arrivals.bare_bytes += payload.len();
        let registers: Vec<u16> = serde_json::from_slice(payload).unwrap_or_default();
        if let (Ok(device), Some(&BEYOND)) = (device.parse(), registers.first()) {
            arrivals.bare.push((device, at));
        }
        return;
    }
    arrivals.agent_bytes += payload.len();
    if !topic.contains("/alarm/") {
        return;
    }
    let message: Value = serde_json::from_slice(payload).unwrap_or_default();
    let text = |field: &str| message["data"][field].as_str().unwrap_or_default().to_owned();
    if let Some(device) = text("id").strip_prefix("rule-").and_then(|id| id.parse().ok())
        && text("state") == "unacknowledged"
    {
        arrivals.agent.push((device, at));
    }
}

/// How long the watcher may lag behind: the delay of reading a message is part of every figure.
pub(crate) const ARRIVES_WITHIN: Duration = Duration::from_secs(2);
