//! The two MQTT brokers of the demo: one stands in the plant, the other is the platform's upstream.
//!
//! They are different parties, and the agent may publish to only one of them; so they are two brokers, not
//! two topics of one. rumqttd has no stop: each broker lives in a thread of its own until the process ends,
//! on loopback, without console and without metrics.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use rumqttd::{Config, ConnectionSettings, RouterConfig, ServerSettings};

/// The largest message that passes, bytes. The agent's own bound is the same.
pub(super) const PAYLOAD_MAX: usize = 256 * 1024;

/// How long a thread may take until its broker accepts, and how often that is tried.
const READY_WITHIN: Duration = Duration::from_secs(5);
const READY_POLL: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
pub(super) enum BrokerError {
    #[error("the {name} MQTT broker: no free port on 127.0.0.1")]
    Port { name: &'static str, source: std::io::Error },
    #[error("the {name} MQTT broker: its thread cannot be started")]
    Thread { name: &'static str, source: std::io::Error },
    #[error(
        "the {name} MQTT broker does not accept on 127.0.0.1:{port} within {} s: another program may \
         have taken the port",
        READY_WITHIN.as_secs()
    )]
    NotReady { name: &'static str, port: u16 },
}

/// A port of 127.0.0.1 that nobody has. It is free again at once: whoever wants it should hurry.
pub(super) fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Starts a broker and waits until it accepts. The port that it listens on.
pub(super) async fn start(name: &'static str) -> Result<u16, BrokerError> {
    let port = free_port().map_err(|source| BrokerError::Port { name, source })?;
    let settings = ServerSettings {
        name: format!("{name}-broker"),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 5_000,
            max_payload_size: PAYLOAD_MAX,
            max_inflight_count: 200,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    };
    let config = Config {
        router: RouterConfig {
            max_connections: 100,
            max_outgoing_packet_count: 200,
            // A minute of the demo is well under a megabyte; ten segments of it are the most it keeps.
            max_segment_size: 1024 * 1024,
            max_segment_count: 10,
            ..RouterConfig::default()
        },
        v4: Some(HashMap::from([(name.to_owned(), settings)])),
        ..Config::default()
    };
    std::thread::Builder::new()
        .name(format!("{name}-mqtt"))
        .spawn(move || {
            // Where it cannot listen, nobody can connect: that is found below.
            let _ended = rumqttd::Broker::new(config).start();
        })
        .map_err(|source| BrokerError::Thread { name, source })?;
    let accepts = async {
        while tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            tokio::time::sleep(READY_POLL).await;
        }
    };
    match tokio::time::timeout(READY_WITHIN, accepts).await {
        Ok(()) => Ok(port),
        Err(_) => Err(BrokerError::NotReady { name, port }),
    }
}
