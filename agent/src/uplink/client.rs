//! The one module that names the MQTT library (rumqttc, MQTT 3.1.1).
//!
//! What we know of it and build on: `publish` only queues, so a message counts as delivered on the notice of
//! its PUBACK and on nothing else; a session that the broker does not know is answered by forgetting what
//! was not acknowledged, so each connection starts with a new client and a clean session, and everything
//! unacknowledged is sent again from the outbox; `poll` must not be cancelled while it connects, and it
//! retries without pause, so it is polled until its first error and then dropped.

#![cfg_attr(
    not(test),
    expect(clippy::infallible_destructuring_match, reason = "simulations have a second way")
)]

use riskgate_drivers::Clock;
use riskgate_drivers::tls::Settings;
use rumqttc::{
    AsyncClient, Event as Polled, EventLoop, LastWill, MqttOptions, Packet, PublishNotice, PublishOptions,
    QoS,
};
use tokio::sync::mpsc;

use super::Config;
use super::commands::MODEL_BYTES_MAX;
use super::fault::Fault;
#[cfg(test)]
use super::scripted;
use super::stream::open;
use crate::config::Credentials;

/// What may come: a model, and as much again as tells one that is too large from one that ends the connection.
const INCOMING_BYTES_MAX: usize = MODEL_BYTES_MAX + 256 * 1024;

/// What goes. The library's own default of 10 KiB turns one larger message into an endless reconnect.
const PACKET_BYTES_MAX: usize = 256 * 1024;

/// What fits into a packet beside the longest topic that we make.
pub(super) const PAYLOAD_BYTES_MAX: usize = PACKET_BYTES_MAX - 8 * 1024;

/// Messages under way to the broker and not acknowledged. At a round trip of 50 ms: 2,000 each second.
pub(super) const INFLIGHT_MAX: u16 = 100;

/// Room for the whole window and what else may wait; the session never queues more than the window.
const REQUESTS_MAX: usize = 256;

/// A broker that is gone without a word is noticed within two of these, and so are we.
const KEEP_ALIVE_S: u16 = 10;

const CONNECT_TIMEOUT_S: u64 = 5;

/// What happens on the connection.
#[derive(Debug)]
pub(super) enum Event {
    Connected,
    /// The broker has answered our subscription.
    Subscribed,
    Incoming {
        topic: String,
        payload: Vec<u8>,
        /// The broker had kept it from before our subscription.
        retained: bool,
    },
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("cannot set up the client for {host}:{port}")]
    Options { host: String, port: u16, source: rumqttc::ClientBuildError },
    #[error("the broker {broker}: {fault}; {}", .fault.hint())]
    Broker { broker: String, fault: Fault },
    #[error("the session took no more events")]
    Deaf,
}

impl Lost {
    /// The broker has hung up.
    pub(super) fn is_theirs(&self) -> bool {
        match self {
            Self::Broker { fault, .. } => fault.is_theirs(),
            Self::Options { .. } | Self::Deaf => false,
        }
    }
}

/// Where the session puts what is to be sent.
pub(super) struct Client(Way);

enum Way {
    Mqtt(AsyncClient),
    #[cfg(test)]
    Scripted(scripted::Line),
}

/// The half that does the work; to be polled until it ends.
pub(super) struct Connection {
    work: Work,
    broker: String,
    tls: Option<Settings>,
}

enum Work {
    Mqtt(Box<EventLoop>),
    #[cfg(test)]
    Scripted(scripted::Line),
}

/// A message under way.
pub(super) enum Receipt {
    Mqtt(PublishNotice),
    #[cfg(test)]
    Scripted(tokio::sync::oneshot::Receiver<()>),
}

pub(super) struct Will {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
}

pub(super) fn connect(
    config: &Config,
    login: &Credentials,
    will: Will,
    clock: Clock,
) -> Result<(Client, Connection), Lost> {
    #[cfg(test)]
    if let Some(line) = scripted::line() {
        let work = Work::Scripted(line.clone());
        return Ok((Client(Way::Scripted(line)), Connection { work, broker: config.broker(), tls: None }));
    }
    let mut options = MqttOptions::new(config.client_id.clone(), (config.host.clone(), config.port));
    options
        .set_clean_session(true)
        .set_keep_alive(KEEP_ALIVE_S)
        .set_inflight(INFLIGHT_MAX)
        .set_max_packet_size(INCOMING_BYTES_MAX, PACKET_BYTES_MAX)
        .set_last_will(LastWill::new(will.topic, will.payload, QoS::AtLeastOnce, true));
    let secured = config.tls.clone().map(|tls| (tls, config.host.clone(), clock));
    options.set_socket_connector(move |address, _| open(address, secured.clone()));
    match (&login.user, &login.password) {
        (Some(user), Some(password)) => {
            options.set_credentials(user.clone(), password.reveal().to_owned());
        }
        (Some(user), None) => {
            options.set_username(user.clone());
        }
        (None, _) => {}
    }
    let built = AsyncClient::builder(options).capacity(REQUESTS_MAX).try_build();
    let (client, mut event_loop) =
        built.map_err(|source| Lost::Options { host: config.host.clone(), port: config.port, source })?;
    event_loop.network_options.set_connection_timeout(CONNECT_TIMEOUT_S);
    let work = Work::Mqtt(Box::new(event_loop));
    Ok((Client(Way::Mqtt(client)), Connection { work, broker: config.broker(), tls: config.tls.clone() }))
}

impl Client {
    /// At least once. `None` where it cannot be queued: the connection is over, or the topic is none.
    pub(super) fn publish(&self, topic: &str, payload: Vec<u8>, retain: bool) -> Option<Receipt> {
        let client = match &self.0 {
            Way::Mqtt(client) => client,
            #[cfg(test)]
            Way::Scripted(line) => return line.publish(topic, payload, retain).map(Receipt::Scripted),
        };
        let options = PublishOptions::at_least_once().retain(retain);
        match client.try_publish_tracked(topic, payload, options) {
            Ok(notice) => Some(Receipt::Mqtt(notice)),
            Err(error) => {
                tracing::warn!(topic, error = %error, "a message could not be handed to the MQTT client");
                None
            }
        }
    }

    pub(super) fn subscribe(&self, filter: &str) -> bool {
        let client = match &self.0 {
            Way::Mqtt(client) => client,
            #[cfg(test)]
            Way::Scripted(_) => return true,
        };
        match client.try_subscribe(filter, QoS::AtLeastOnce) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(filter, error = %error, "a subscription could not be handed to the MQTT client");
                false
            }
        }
    }

    /// Says goodbye, so that the broker does not publish the will.
    pub(super) fn disconnect(&self) {
        let client = match &self.0 {
            Way::Mqtt(client) => client,
            #[cfg(test)]
            Way::Scripted(line) => return line.disconnect(),
        };
        if let Err(error) = client.try_disconnect_now() {
            tracing::debug!(error = %error, "no goodbye: the connection is over");
        }
    }
}

impl Receipt {
    /// Waits for the broker's PUBACK; false where it will not come on this connection.
    pub(super) async fn acknowledged(self) -> bool {
        match self {
            Self::Mqtt(notice) => notice.wait_async().await.is_ok(),
            #[cfg(test)]
            Self::Scripted(acknowledged) => acknowledged.await.is_ok(),
        }
    }
}

impl Connection {
    /// Connects once and works until the first error.
    pub(super) async fn poll(self, events: mpsc::Sender<Event>) -> Lost {
        let mut event_loop = match self.work {
            Work::Mqtt(event_loop) => event_loop,
            #[cfg(test)]
            Work::Scripted(line) => {
                return Lost::Broker { broker: self.broker, fault: line.work(events).await };
            }
        };
        loop {
            let event = match event_loop.poll().await {
                Ok(Polled::Incoming(Packet::ConnAck(_))) => Event::Connected,
                Ok(Polled::Incoming(Packet::SubAck(_))) => Event::Subscribed,
                Ok(Polled::Incoming(Packet::Publish(publish))) => Event::Incoming {
                    topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                    payload: publish.payload.to_vec(),
                    retained: publish.retain,
                },
                Ok(_) => continue,
                Err(error) => {
                    let fault = Fault::of(error, self.tls.as_ref());
                    return Lost::Broker { broker: self.broker, fault };
                }
            };
            if events.send(event).await.is_err() {
                return Lost::Deaf;
            }
        }
    }
}
