//! The subscriber: notes when each hazard came, from the agent and from the bare loop, and how many readings and
//! messages. It connects again by itself where the broker was away.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rumqttc::{Client, Connection, Event, MqttOptions, Packet, QoS};
use serde::Deserialize;

use crate::now;
use crate::plant::{BEYOND, Firsts, Place, held};

const FILTERS: [&str; 2] = ["riskgate/#", "bare/#"];

/// Readings of one message.
#[derive(Clone, Copy)]
pub(crate) struct Readings {
    pub(crate) at: Instant,
    pub(crate) count: u64,
    /// Of before the connection.
    pub(crate) past: bool,
}

#[derive(Default)]
pub(crate) struct Arrivals {
    /// The first message of each place's hazard.
    pub(crate) hazards: Firsts,
    /// The bare loop's first message with each place beyond the limit.
    pub(crate) bare: Firsts,
    pub(crate) readings: Vec<Readings>,
    /// Messages of alarms and hazards.
    pub(crate) critical: u64,
    /// Hazards that came before their commit.
    pub(crate) undurable: u64,
}

/// Ends with the benchmark.
#[derive(Clone)]
pub(crate) struct Watcher(Arc<Mutex<Arrivals>>);

#[derive(Deserialize)]
struct Hazard {
    data: HazardData,
}

#[derive(Deserialize)]
struct HazardData {
    cause: String,
    durable: bool,
}

#[derive(Deserialize)]
struct Telemetry {
    replayed: bool,
    data: TelemetryData,
}

#[derive(Deserialize)]
struct TelemetryData {
    count: u64,
}

impl Watcher {
    pub(crate) fn start(port: u16) -> Self {
        let mut options = MqttOptions::new("watcher", ("127.0.0.1", port));
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, connection) = Client::builder(options).capacity(100).build();
        let arrivals = Arc::new(Mutex::new(Arrivals::default()));
        let noted = Arc::clone(&arrivals);
        std::thread::spawn(move || watch(&client, connection, &noted));
        Self(arrivals)
    }

    pub(crate) fn look<T>(&self, at: impl FnOnce(&Arrivals) -> T) -> T {
        at(&held(&self.0))
    }

    /// Nothing has come yet.
    pub(crate) fn forget(&self) {
        *held(&self.0) = Arrivals::default();
    }
}

fn watch(client: &Client, mut connection: Connection, arrivals: &Mutex<Arrivals>) {
    for event in connection.iter() {
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                for filter in FILTERS {
                    client.try_subscribe(filter, QoS::AtMostOnce).expect("the queue has room");
                }
            }
            Ok(Event::Incoming(Packet::Publish(message))) => {
                note(&mut held(arrivals), &String::from_utf8_lossy(&message.topic), &message.payload);
            }
            Ok(_) => {}
            // The broker is away: it is waited for.
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn note(arrivals: &mut Arrivals, topic: &str, payload: &[u8]) {
    let at = now();
    if let Some(device) = topic.strip_prefix("bare/") {
        let registers: Vec<u16> = serde_json::from_slice(payload).unwrap_or_default();
        let Ok(device) = device.parse() else { return };
        for (register, _) in (0..).zip(&registers).filter(|(_, word)| **word == BEYOND) {
            arrivals.bare.entry((device, register)).or_insert(at);
        }
    } else if topic.ends_with("/telemetry") {
        if let Ok(telemetry) = serde_json::from_slice::<Telemetry>(payload) {
            let readings = Readings { at, count: telemetry.data.count, past: telemetry.replayed };
            arrivals.readings.push(readings);
        }
    } else if topic.contains("/hazard/") {
        arrivals.critical += 1;
        if let Ok(hazard) = serde_json::from_slice::<Hazard>(payload)
            && let Some(place) = place_of(&hazard.data.cause)
        {
            arrivals.undurable += u64::from(!hazard.data.durable);
            arrivals.hazards.entry(place).or_insert(at);
        }
    } else if topic.contains("/alarm/") {
        arrivals.critical += 1;
    }
}

/// Of a cause as the agent writes it for a limit of the point table: `limit:D3-17`.
fn place_of(cause: &str) -> Option<Place> {
    let (device, register) = cause.strip_prefix("limit:D")?.split_once('-')?;
    Some((device.parse().ok()?, register.parse().ok()?))
}
