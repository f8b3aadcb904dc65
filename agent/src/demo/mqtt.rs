//! What the simulated plant says over MQTT: where people are, what cameras saw, and the wind.
//!
//! Field names are those of real vendors' pushes (a list of `Location`s for people). It speaks to the
//! plant-side broker as those systems would; the agent only listens there.

use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Now, Wall};
use rumqttc::{AsyncClient, EventLoop, MqttOptions, PublishOptions};
use serde_json::{Value, json};

use super::plant::Plant;

pub(super) const FIXES: &str = "rtls/demo/fix";
pub(super) const SIGHTINGS: &str = "video/alarm";
pub(super) const HEARTBEAT: &str = "video/heartbeat";
pub(super) const WIND: &str = "met/wind";

/// How often the scenario is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Fixes, heartbeat and wind come at least each second, whatever the speed.
const SAY_EVERY: Duration = Duration::from_secs(1);
/// After the broker was lost.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Publishes until it is dropped.
pub(super) async fn run(plant: Arc<Plant>, port: u16) {
    let mut options = MqttOptions::new("demo-plant", ("127.0.0.1", port));
    options.set_keep_alive(10);
    let (client, events) = AsyncClient::builder(options).capacity(100).build();
    // Polled beside the publisher, never inside its loop: a poll is not cancel-safe while connecting.
    tokio::join!(keep_connected(events), say(&plant, &client));
}

async fn keep_connected(mut events: EventLoop) {
    loop {
        if events.poll().await.is_err() {
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

async fn say(plant: &Plant, client: &AsyncClient) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut since_said = SAY_EVERY;
    let mut zones: Vec<Option<&str>> = Vec::new();
    let mut seen = 0;
    loop {
        look.tick().await;
        since_said += LOOK_EVERY;
        let second = plant.second();
        let Some((wind, at)) = plant.value("WS-001") else { continue };
        for sight in plant.scenario().sights.iter().skip(seen).take_while(|sight| second >= sight.at) {
            seen += 1;
            plant.note_sight(sight);
            let message = json!({
                "camera": sight.camera, "type": sight.kind, "score": sight.score, "time": time(at.wall),
            });
            publish(client, SIGHTINGS, &message).await;
        }
        let zones_now: Vec<Option<&str>> =
            plant.scenario().walks.iter().map(|walk| walk.zone(second)).collect();
        if zones_now != zones || since_said >= SAY_EVERY {
            publish(client, FIXES, &fixes(plant, second, at)).await;
            zones = zones_now;
        }
        if since_said >= SAY_EVERY {
            since_said = Duration::ZERO;
            publish(client, HEARTBEAT, &json!({ "time": time(at.wall) })).await;
            let wind = (wind * 10.0).round() / 10.0;
            publish(client, WIND, &json!({ "wind": { "speed": wind }, "time": time(at.wall) })).await;
        }
    }
}

fn fixes(plant: &Plant, second: f64, at: Now) -> Value {
    let locations: Vec<Value> = plant
        .scenario()
        .walks
        .iter()
        .map(|walk| {
            json!({
                "tagId": walk.tag,
                "userId": walk.person,
                "role": walk.role,
                "areaId": walk.zone(second),
                "sos": false,
                "locationTime": time(at.wall),
            })
        })
        .collect();
    json!({ "Location": locations })
}

async fn publish(client: &AsyncClient, topic: &str, message: &Value) {
    // It fails only when the event loop is gone, and then this future is about to be dropped with it.
    let _sent = client.publish(topic, message.to_string(), PublishOptions::at_least_once()).await;
}

/// RFC 3339, UTC, to the millisecond.
fn time(wall: Wall) -> String {
    jiff::Timestamp::from_millisecond(wall.0).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use rumqttc::{Event, Incoming, QoS};
    use tokio::task::JoinSet;

    use super::*;
    use crate::demo::broker;
    use crate::demo::scenario::{Change, DEMO, Scenario};
    use crate::demo::tests::clock_at_rest;

    #[tokio::test]
    async fn an_mqtt_client_hears_people_cameras_and_wind() {
        static NOW: Scenario = Scenario {
            sights: &[crate::demo::scenario::Sight {
                at: 0.0,
                camera: "CAM-TA-1",
                kind: "smoke",
                score: 0.9,
            }],
            ..DEMO
        };
        let port = broker::start("test").await.expect("a broker");
        let (client, mut events) =
            AsyncClient::builder(MqttOptions::new("listener", ("127.0.0.1", port))).capacity(10).build();
        client.subscribe("#", QoS::AtLeastOnce).await.expect("asked");
        while !matches!(events.poll().await.expect("a link"), Event::Incoming(Incoming::SubAck(_))) {}
        let plant = Plant::new(&NOW, 1, clock_at_rest);
        let mut sims = JoinSet::new();
        sims.spawn(run(Arc::clone(&plant), port));
        let mut heard: std::collections::HashMap<String, Value> = std::collections::HashMap::new();
        while heard.len() < 4 {
            if let Event::Incoming(Incoming::Publish(message)) = events.poll().await.expect("a link") {
                let body = serde_json::from_slice(&message.payload).expect("JSON");
                heard.insert(String::from_utf8(message.topic.to_vec()).expect("text"), body);
            }
        }
        assert_eq!(heard[FIXES]["Location"][0]["areaId"], "Z-LD-1");
        assert_eq!(heard[FIXES]["Location"][1]["userId"], "U1002");
        assert_eq!(heard[SIGHTINGS]["camera"], "CAM-TA-1");
        assert!(heard[WIND]["wind"]["speed"].as_f64().is_some_and(|speed| (2.8..=4.0).contains(&speed)));
        assert!(plant.changed(Change::Seen("CAM-TA-1", "smoke", 0.6)).is_some());
    }
}
