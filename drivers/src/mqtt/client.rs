//! One subscriber at one plant-side broker. It never publishes.
//!
//! Each connection is a new client of the library and a clean session: nothing of an old one, good or
//! poisoned, is carried over. The library's `poll` is not cancel-safe while it connects and does not
//! wait between tries; so it is awaited alone, never beside a ticking timer, and what it returns as an
//! error ends the connection. Only what drops the whole connection may cancel it.
//!
//! All use of the MQTT library is in this file, so that another one costs this file only.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use riskgate_point::{BadReason, Link, PointId, Report, Sample};
use rumqttc::mqttbytes::v4::{ConnectReturnCode, Publish, SubAck, SubscribeReasonCode};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions, QoS, StateError, SubscribeFilter,
    mqttbytes,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::decode::{self, Decoded, Message, Skip};
use super::memory::Memory;
use super::topic::{Routes, to_subscribe};
use super::{Brings, Feed};
use crate::Clock;
use crate::backoff::Backoff;
use crate::intake::Sender;

const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// A connection that lived so long was no failure of its own: the next try is a quick one. Below it, as
/// when two clients of one name throw each other out, the waits grow.
const SETTLED_AFTER: Duration = Duration::from_secs(20);
/// For TCP and CONNACK together.
const CONNECT_TIMEOUT_SECONDS: u64 = 5;
/// For the SUBACK of one SUBSCRIBE, whatever else comes before it.
const SUBACK_TIMEOUT: Duration = Duration::from_secs(10);
/// A broker that is silent for twice this time is taken for dead.
const KEEP_ALIVE_SECONDS: u16 = 15;
/// A list of positions of a few thousand people; the library's own limit is 10 KiB.
const PACKET_BYTES_MAX: usize = 256 * 1024;
/// Some brokers take only so many filters in one SUBSCRIBE.
const FILTERS_PER_SUBSCRIBE: usize = 50;
/// Of a payload that could not be used, so much is shown once at debug level.
const EXAMPLE_CHARS_MAX: usize = 200;

/// Why a feed cannot be read at all. What a broker or a network does is never an error here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("mqtt {host}:{port}: the settings of the connection are refused")]
    Settings {
        host: String,
        port: u16,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Reads until told to stop; every failure of the broker or the network is reported, then retried.
pub async fn run(config: &Feed, out: &Sender, clock: Clock, stop: &CancellationToken) -> Result<(), Error> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        ended = Reader::new(config, out, clock).read_forever() => match ended? {},
    }
}

/// Why a connection ended or did not come about.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("connecting failed: {source}")]
    Connect {
        #[source]
        source: std::io::Error,
    },
    #[error("no connection within {CONNECT_TIMEOUT_SECONDS} s")]
    Unreachable,
    #[error("the broker refuses the connection: {0}")]
    Refused(&'static str),
    #[error("the broker refuses the topic filter '{0}'")]
    FilterRefused(String),
    #[error("the topic filter is not well-formed: one of '{0}'")]
    FilterMalformed(String),
    #[error("the broker does not acknowledge the subscription within {SUBACK_TIMEOUT:?}")]
    NoSubAck,
    #[error("the broker is silent")]
    Silent,
    #[error("the broker sent a message of more than {PACKET_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the connection was closed")]
    Closed,
    #[error("the broker broke the protocol: {0}")]
    Protocol(String),
}

impl Fault {
    fn hint(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "check host, port, and that the broker runs",
            Self::Unreachable => "check host, cable, switch and firewall",
            Self::Refused(_) => "check user, password_file and client_id against the broker's list",
            Self::FilterRefused(_) => "check the access rights of the user at the broker",
            Self::FilterMalformed(_) => "'+' stands for a whole level, '#' only at the end",
            Self::NoSubAck | Self::Silent => "look at the broker's load and at the network between",
            Self::TooLarge => "find who publishes it; if it is retained, it comes again at each connection",
            Self::Closed => "see the broker's log; another client may use the same client_id",
            Self::Protocol(_) => "see the broker's log; it must speak MQTT 3.1.1 on this port, without TLS",
        }
    }
}

struct Reader<'f> {
    feed: &'f Feed,
    out: &'f Sender,
    clock: Clock,
    /// What the broker is asked for.
    filters: Vec<String>,
    /// From a topic to the places of `filters`: how many copies of a message may come.
    copies: Routes,
    /// From a topic to the places of the feed's subscriptions.
    routes: Routes,
    points: Vec<PointId>,
    memory: Memory,
    skips: Skips,
    last: Option<Twin>,
    /// What was last reported of the link.
    up: Option<bool>,
    /// The points were told of the lost link, and nothing of them was heard since.
    told_bad: bool,
    backoff: Backoff,
}

/// A message of which the broker may send more copies, one for each filter that it matches.
struct Twin {
    publish: Publish,
    left: usize,
}

/// What could not be used, counted by subscription and reason.
#[derive(Default)]
struct Skips(HashMap<(usize, Skip), u64>);

impl<'f> Reader<'f> {
    fn new(feed: &'f Feed, out: &'f Sender, clock: Clock) -> Self {
        let wanted: Vec<&str> = feed.subscriptions.iter().map(|one| one.filter.as_str()).collect();
        let filters = to_subscribe(&wanted);
        Self {
            feed,
            out,
            clock,
            copies: Routes::new(filters.iter().map(String::as_str)),
            routes: Routes::new(wanted),
            filters,
            points: feed.points().collect(),
            memory: Memory::default(),
            skips: Skips::default(),
            last: None,
            up: None,
            told_bad: false,
            backoff: Backoff::new(RETRY_MIN, RETRY_MAX, u64::from(feed.source.0)),
        }
    }

    async fn read_forever(mut self) -> Result<Infallible, Error> {
        let source = self.feed.source;
        self.out.send(vec![Report::Link { source, link: Link::Connecting, at: (self.clock)() }]);
        loop {
            let (client, mut events) = self.build()?;
            let began = Instant::now();
            let Err(fault) = self.read(&client, &mut events).await;
            // What the library had read before the fault is as good as ever.
            while let Some(event) = events.state.events.pop_front() {
                if self.up == Some(true) {
                    self.take(event).await;
                }
            }
            drop((client, events));
            self.last = None;
            self.memory.link_lost();
            if self.up == Some(true) && began.elapsed() >= SETTLED_AFTER {
                self.backoff.reset();
            }
            self.tell_down(&fault);
            sleep(self.backoff.next()).await;
        }
    }

    fn build(&self) -> Result<(AsyncClient, EventLoop), Error> {
        let Feed { host, port, client_id, user, .. } = self.feed;
        let mut options = MqttOptions::new(client_id, (host.as_str(), *port));
        options.set_keep_alive(KEEP_ALIVE_SECONDS);
        options.set_clean_session(true);
        options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        if let Some((name, password)) = user {
            options.set_credentials(name, password.clone());
        }
        let (client, mut events) = AsyncClient::builder(options)
            .capacity(1)
            .try_build()
            .map_err(|error| Error::Settings { host: host.clone(), port: *port, source: Box::new(error) })?;
        events.network_options.set_connection_timeout(CONNECT_TIMEOUT_SECONDS);
        events.network_options.set_tcp_nodelay(true);
        Ok((client, events))
    }

    /// Connects, subscribes, and reads until something ends it.
    async fn read(&mut self, client: &AsyncClient, events: &mut EventLoop) -> Result<Infallible, Fault> {
        // The first event is the CONNACK: it comes or the library gives up in its own time.
        events.poll().await.map_err(fault_of)?;
        let filters = self.filters.clone();
        for chunk in filters.chunks(FILTERS_PER_SUBSCRIBE) {
            // At least once: a broker that drops for want of room drops the rest first.
            let wanted = chunk.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
            client.try_subscribe_many(wanted).map_err(|_| Fault::FilterMalformed(chunk.join("', '")))?;
            let acknowledged = timeout(SUBACK_TIMEOUT, self.until_suback(events));
            let suback = acknowledged.await.map_err(|_| Fault::NoSubAck)??;
            if let Some(refused) = refused(chunk, &suback) {
                return Err(Fault::FilterRefused(refused));
            }
        }
        self.tell_up();
        loop {
            let event = events.poll().await.map_err(fault_of)?;
            self.take(event).await;
        }
    }

    /// Cancelled only together with the whole connection.
    async fn until_suback(&mut self, events: &mut EventLoop) -> Result<SubAck, Fault> {
        loop {
            match events.poll().await.map_err(fault_of)? {
                Event::Incoming(Incoming::SubAck(suback)) => return Ok(suback),
                event @ (Event::Incoming(_) | Event::Outgoing(_)) => self.take(event).await,
            }
        }
    }

    async fn take(&mut self, event: Event) {
        if let Event::Incoming(Incoming::Publish(publish)) = event {
            self.message(publish).await;
        }
    }

    async fn message(&mut self, publish: Publish) {
        let Ok(topic) = std::str::from_utf8(&publish.topic) else { return };
        let copies = self.copies.places(topic).len();
        let places = self.routes.places(topic);
        if self.is_copy(copies, &publish) {
            return;
        }
        let received = (self.clock)();
        let mut alive = false;
        for place in places {
            let Some(subscription) = self.feed.subscriptions.get(place) else { continue };
            let message = Message {
                source: self.feed.source,
                place,
                topic,
                payload: &publish.payload,
                received,
                retained: publish.retain,
                zone: &self.feed.zone,
            };
            let decoded = decode::message(&subscription.what, &message, &mut self.memory);
            for skipped in &decoded.skipped {
                self.skips.count(self.feed, place, skipped.skip, &publish.payload);
            }
            let brings = subscription.what.brings();
            alive |= self.shows_life(brings, &decoded);
            match brings {
                Brings::Samples => {
                    self.told_bad &= decoded.reports.is_empty();
                    self.out.send(decoded.reports);
                }
                Brings::Life => {}
                // People's lives: they wait for room, and so does the broker.
                Brings::Events => self.out.send_when_room(decoded.reports).await,
            }
        }
        // What the broker kept says nothing of who sent it; what comes before the link is up may end there.
        if alive && !publish.retain && self.up == Some(true) {
            self.out.send(vec![Report::Refreshed { source: self.feed.source, at: received }]);
        }
    }

    /// Whether the whole source is as fresh as this message.
    ///
    /// A point's own message refreshes that point, through its sample, and no other: else one busy sensor
    /// would keep a dead one beside it looking alive. The same goes for fixes and sightings where the
    /// source has points too.
    fn shows_life(&self, brings: Brings, decoded: &Decoded) -> bool {
        match brings {
            Brings::Life => true,
            Brings::Samples => false,
            Brings::Events => self.points.is_empty() && decoded.is_understood(),
        }
    }

    /// Where filters overlap and none covers the other, a broker may send a message once for each, one
    /// right after the other.
    fn is_copy(&mut self, copies: usize, publish: &Publish) -> bool {
        if let Some(twin) = &mut self.last
            && twin.left > 0
            && twin.publish.topic == publish.topic
            && twin.publish.payload == publish.payload
            && twin.publish.retain == publish.retain
        {
            twin.left -= 1;
            return true;
        }
        self.last = (copies > 1).then(|| Twin { publish: publish.clone(), left: copies - 1 });
        false
    }

    fn tell_up(&mut self) {
        if self.up != Some(true) {
            self.up = Some(true);
            let source = self.feed.source;
            // The pump tells it in the log, with the source's name.
            tracing::debug!(source = source.0, host = %self.feed.host, port = self.feed.port, "mqtt link is up");
            self.out.send(vec![Report::Link { source, link: Link::Up, at: (self.clock)() }]);
        }
    }

    /// Once for each change; the tries that follow are not told.
    fn tell_down(&mut self, fault: &Fault) {
        let Feed { source, host, port, .. } = self.feed;
        let why = format!("mqtt {host}:{port}: {fault}; {}", fault.hint());
        let at = (self.clock)();
        let mut reports = Vec::new();
        if self.up == Some(false) {
            tracing::debug!(source = source.0, "still down: {why}");
        } else {
            self.up = Some(false);
            tracing::debug!(source = source.0, "mqtt link is down: {why}");
            reports.push(Report::Link { source: *source, link: Link::Down { why }, at });
        }
        if !self.told_bad {
            self.told_bad = true;
            let bad = |point: &PointId| Report::Sample(Sample::bad(*point, BadReason::CommFailure, at));
            reports.extend(self.points.iter().map(bad));
        }
        self.out.send(reports);
    }
}

impl Skips {
    /// Says so at each power of ten, and shows the first example at debug level.
    fn count(&mut self, feed: &Feed, place: usize, skip: Skip, payload: &[u8]) {
        let count = self.0.entry((place, skip)).or_default();
        *count += 1;
        let filter = feed.subscriptions.get(place).map_or("", |subscription| &subscription.filter);
        if *count == 1 {
            let example: String = String::from_utf8_lossy(payload).chars().take(EXAMPLE_CHARS_MAX).collect();
            tracing::debug!(source = feed.source.0, filter, reason = skip.word(), example, "first example");
        }
        if is_power_of_ten(*count) {
            tracing::warn!(
                source = feed.source.0,
                filter,
                reason = skip.word(),
                count = *count,
                "part of a message could not be used"
            );
        }
    }
}

fn is_power_of_ten(count: u64) -> bool {
    10_u64.checked_pow(count.checked_ilog10().unwrap_or(0)) == Some(count)
}

/// The first filter that the broker did not take.
fn refused(filters: &[String], suback: &SubAck) -> Option<String> {
    let mut codes = suback.return_codes.iter();
    filters.iter().find(|_| !matches!(codes.next(), Some(SubscribeReasonCode::Success(_)))).cloned()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library's errors are non-exhaustive")]
fn fault_of(error: ConnectionError) -> Fault {
    match error {
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => Fault::Unreachable,
        ConnectionError::Io(source) => Fault::Connect { source },
        ConnectionError::ConnectionRefused(code) => Fault::Refused(match code {
            ConnectReturnCode::RefusedProtocolVersion => "it does not speak MQTT 3.1.1",
            ConnectReturnCode::BadClientId => "it does not take this client_id",
            ConnectReturnCode::ServiceUnavailable => "it is not available",
            ConnectReturnCode::BadUserNamePassword => "user or password is wrong",
            ConnectReturnCode::NotAuthorized => "this user is not authorised",
            ConnectReturnCode::Success => "no reason given",
        }),
        ConnectionError::MqttState(StateError::AwaitPingResp) => Fault::Silent,
        ConnectionError::MqttState(StateError::ConnectionAborted | StateError::Io(_)) => Fault::Closed,
        ConnectionError::MqttState(StateError::Deserialization(error)) => match error {
            mqttbytes::Error::PayloadSizeLimitExceeded(_) => Fault::TooLarge,
            mqttbytes::Error::Io(_) => Fault::Closed,
            other => Fault::Protocol(other.to_string()),
        },
        other => Fault::Protocol(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
