//! What the tests against a real broker share: a mosquitto of their own, a gateway, and a subscriber that hears everything
//! below the root and holds each message against the channel of its topic and the schema of its kind.

#![allow(dead_code, reason = "each test file uses a part of it")]

mod fits;
pub(crate) mod gateway;
#[path = "../../../tests/support/ports.rs"]
mod ports;

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use riskgate::uplink::schema::KINDS;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, PublishOptions, QoS};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

pub(crate) use ports::free_port;

pub(crate) const ROOT: &str = "riskgate/v1/540170007/54017000701";

/// A machine under load is slow, not hung.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A process holds all files of its parent, and their locks, from its fork until its own program runs. So nobody starts
/// one while a store is opened, which would find the lock of its last opening still held.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A mosquitto of our own: loopback, a free port, no persistence.
pub(crate) struct Broker {
    dir: TempDir,
    pub(crate) port: u16,
    child: Option<Child>,
    settings: &'static str,
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    pub(crate) fn with(settings: &'static str) -> Self {
        let dir = TempDir::new().expect("a directory");
        let mut broker = Self { dir, port: free_port(), child: None, settings };
        broker.up();
        broker
    }

    pub(crate) fn up(&mut self) {
        let config = self.dir.path().join("mosquitto.conf");
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence false\n{}",
            self.port, self.settings
        );
        std::fs::write(&config, text).expect("written");
        let places = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];
        let program = places.into_iter().find(|place| Path::new(place).exists()).unwrap_or("mosquitto");
        let mut command = Command::new(program);
        command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let started = {
            let _alone = alone();
            command.spawn()
        };
        let started = started.expect("mosquitto is missing; run: apt-get install --yes mosquitto");
        let child = self.child.insert(started);
        let patient = Instant::now() + LONG;
        loop {
            let listens = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
            // Looked at after the answer: who answers for one that has ended is another.
            assert!(child.try_wait().expect("asked").is_none(), "mosquitto ended at once");
            if listens {
                return;
            }
            assert!(Instant::now() < patient, "mosquitto does not listen");
            std::thread::yield_now();
        }
    }

    /// As a power cut does: what it had not delivered is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A system of the plant, as it tells at its broker.
pub(crate) struct Feed {
    client: AsyncClient,
    _task: JoinSet<()>,
}

impl Feed {
    pub(crate) fn connect(port: u16) -> Self {
        let (client, mut events) =
            AsyncClient::builder(MqttOptions::new("", ("127.0.0.1".to_owned(), port))).capacity(10).build();
        let mut task = JoinSet::new();
        task.spawn(async move { while events.poll().await.is_ok() {} });
        Self { client, _task: task }
    }

    pub(crate) async fn tell(&self, topic: &str, body: &Value, retain: bool) {
        let options = PublishOptions::at_least_once().retain(retain);
        self.client.publish(topic, body.to_string(), options).await.expect("queued");
    }
}

/// A subscriber of everything below the root. Its connection ends when it is dropped.
pub(crate) struct Subscriber {
    pub(crate) client: AsyncClient,
    messages: mpsc::UnboundedReceiver<(String, Vec<u8>)>,
    _task: JoinSet<()>,
}

impl Subscriber {
    /// Returns once the broker has taken the subscription.
    pub(crate) async fn connect(port: u16) -> Self {
        let mut options = MqttOptions::new("", ("127.0.0.1".to_owned(), port));
        options.set_max_packet_size(2 * 1024 * 1024, 2 * 1024 * 1024);
        let (client, mut events) = AsyncClient::builder(options).capacity(100).build();
        client.subscribe(format!("{ROOT}/#"), QoS::AtLeastOnce).await.expect("queued");
        let (sender, messages) = mpsc::unbounded_channel();
        let (subscribed, mut acknowledged) = mpsc::unbounded_channel();
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok(event) = events.poll().await {
                match event {
                    Event::Incoming(Packet::Publish(publish)) => {
                        let topic = String::from_utf8(publish.topic.to_vec()).expect("a topic");
                        let below = topic.strip_prefix(&format!("{ROOT}/")).expect("our root").to_owned();
                        if sender.send((below, publish.payload.to_vec())).is_err() {
                            return;
                        }
                    }
                    Event::Incoming(Packet::SubAck(_)) => subscribed.send(()).expect("waited for"),
                    Event::Incoming(_) | Event::Outgoing(_) => {}
                }
            }
        });
        timeout(LONG, acknowledged.recv()).await.expect("in time").expect("subscribed");
        Self { client, messages, _task: task }
    }

    /// The next message, which is as its schema says; `null` where a retained one is cleared.
    pub(crate) async fn next(&mut self) -> (String, Value) {
        let (topic, payload) =
            timeout(LONG, self.messages.recv()).await.expect("in time").expect("connected");
        // What the tests command themselves may be wrong on purpose.
        if topic.starts_with("cmd/") {
            return (topic, serde_json::from_slice(&payload).unwrap_or(Value::Null));
        }
        if payload.is_empty() {
            return (topic, Value::Null);
        }
        let body = serde_json::from_slice(&payload).unwrap_or_else(|error| panic!("{topic}: {error}"));
        fits_its_schema(&topic, &body);
        (topic, body)
    }

    pub(crate) async fn find(&mut self, mut wanted: impl FnMut(&str, &Value) -> bool) -> Value {
        loop {
            let (topic, body) = self.next().await;
            if wanted(&topic, &body) {
                return body;
            }
        }
    }

    pub(crate) async fn command(&self, name: &str, fields: &Value, retain: bool) {
        let topic = format!("{ROOT}/cmd/{name}");
        let options = PublishOptions::at_least_once().retain(retain);
        self.client.publish(topic, fields.to_string(), options).await.expect("queued");
    }
}

/// What the gateway says of its topics.
static ASYNCAPI: LazyLock<Value> = LazyLock::new(|| {
    let files = riskgate::uplink::schema::files();
    let (_, text) = files.iter().find(|(name, _)| name == "asyncapi.json").expect("it is among them");
    serde_json::from_str(text).expect("JSON")
});

/// Panics where it does not, or where no channel speaks of the topic.
fn fits_its_schema(topic: &str, body: &Value) {
    let name = fits::message_of(&ASYNCAPI, topic).unwrap_or_else(|wrong| panic!("{wrong}"));
    let kind = KINDS.iter().find(|kind| kind.name == name);
    let kind = kind.unwrap_or_else(|| panic!("{topic}: no schema speaks of '{name}'"));
    if let Err(wrong) = fits::check(&kind.schema(), body, topic) {
        panic!("{wrong}\n{body:#}");
    }
}
