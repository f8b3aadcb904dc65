//! One connection to one broker, from the first byte to the fault that ends it.
//!
//! Each is new in everything: TCP, TLS with the files as they are on disk now, a clean session. It keeps
//! itself alive, acknowledges what was handed on, and tells repeats of the transport from messages. What a
//! message means is of no interest here. It can send nothing that [`wire`] cannot build.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::Feed;
use super::fault::{Fault, Stage};
use super::reason::Version;
use super::wire::{self, Delivery, Inbox, Incoming, Packet, Said};
use crate::{Clock, tls};

/// For name, TCP, TLS and CONNACK together.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For the SUBACK of one SUBSCRIBE, whatever else comes before it; and for a broker to take what we say.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A broker that is silent for twice this time is taken for dead.
const KEEP_ALIVE_SECONDS: u16 = 15;
/// So much is read at once: after it other tasks have their turn, so that a flood of messages is a
/// thousand of the smallest at a time.
const PIECE_BYTES: usize = 16 * 1024;
/// A goodbye that a broker does not take at once is not waited for.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(50);
/// The last messages that a repeat is looked for among. A broker has seldom more than 20 under way.
const REMEMBERED: usize = 64;

/// What the broker says on a connection that is up.
#[derive(Debug)]
pub(super) enum Event {
    Message(Incoming),
    /// A message of so many bytes, too many to be read.
    TooLarge(Incoming, usize),
    /// The broker has sent this one again though it has come before.
    Repeat(Incoming),
    SubAck {
        id: u16,
        codes: Vec<u8>,
        said: Said,
    },
    /// The broker answered when asked whether it is there.
    Alive,
    /// The time that the caller gave is up.
    TimeUp,
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(super) struct Connection {
    stream: Box<dyn Stream>,
    version: Version,
    tls: Option<tls::Settings>,
    inbox: Inbox,
    /// What is to be sent before the next read.
    out: Vec<u8>,
    repeats: Repeats,
    keep_alive: Duration,
    ping_at: Instant,
    /// When we asked for a sign of life; cleared by the answer.
    pinged: Option<Instant>,
    heard: Instant,
    round_trip: Option<Duration>,
}

impl Connection {
    /// Connects, and waits for the broker's welcome.
    pub(super) async fn open(feed: &Feed, version: Version, clock: Clock) -> Result<Self, Fault> {
        let due = Instant::now() + CONNECT_TIMEOUT;
        let tcp = timeout_at(due, TcpStream::connect((feed.host.as_str(), feed.port)));
        let tcp = tcp.await.map_err(|_| Fault::TooSlow(Stage::Tcp))?.map_err(Fault::Connect)?;
        tcp.set_nodelay(true).map_err(Fault::Connect)?;
        let stream: Box<dyn Stream> = match &feed.tls {
            None => Box::new(tcp),
            Some(settings) => {
                let shaken = timeout_at(due, settings.connect(&feed.host, tcp, clock));
                Box::new(shaken.await.map_err(|_| Fault::TooSlow(Stage::Tls))??)
            }
        };
        let mut connection = Self::over(stream, version, feed.tls.clone());
        let greeted = timeout_at(due, connection.greet(feed));
        greeted.await.map_err(|_| Fault::TooSlow(Stage::Connect))??;
        Ok(connection)
    }

    pub(super) fn over(stream: Box<dyn Stream>, version: Version, tls: Option<tls::Settings>) -> Self {
        let now = Instant::now();
        let keep_alive = Duration::from_secs(u64::from(KEEP_ALIVE_SECONDS));
        Self {
            stream,
            version,
            tls,
            inbox: Inbox::new(version),
            out: Vec::new(),
            repeats: Repeats::default(),
            keep_alive,
            ping_at: now + keep_alive,
            pinged: None,
            heard: now,
            round_trip: None,
        }
    }

    async fn greet(&mut self, feed: &Feed) -> Result<(), Fault> {
        let user = feed.user.as_ref().map(|(name, password)| (name.as_str(), password.as_str()));
        self.out = wire::connect(self.version, &feed.client_id, user, KEEP_ALIVE_SECONDS);
        // A broker that hangs up at once may have said why: so its words are looked for all the same.
        let sent = self.flush().await;
        let packet = loop {
            match self.inbox.packet() {
                Ok(Some(packet)) => break packet,
                Ok(None) => {}
                Err(malformed) => return Err(foreign(self.inbox.rest()).unwrap_or(malformed.into())),
            }
            if let Some(fault) = foreign(self.inbox.rest()) {
                return Err(fault);
            }
            match self.read().await {
                Ok(()) => {}
                Err(Fault::Closed) => return Err(sent.err().unwrap_or(Fault::Closed).unanswered()),
                Err(fault) => return Err(fault),
            }
        };
        let Packet::ConnAck { code, said } = packet else {
            return Err(wire::Malformed("its first packet is no CONNACK").into());
        };
        if let Some(fault) = Fault::of_connack(self.version, code, &said) {
            return Err(fault);
        }
        // Zero says that the broker does not watch us; we watch it all the same.
        if let Some(seconds) = said.keep_alive.filter(|seconds| (1..KEEP_ALIVE_SECONDS).contains(seconds)) {
            self.keep_alive = Duration::from_secs(u64::from(seconds));
        }
        self.ping_at = Instant::now() + self.keep_alive;
        Ok(())
    }

    /// Sent with the next call of [`Connection::next`].
    pub(super) fn subscribe<'f>(&mut self, id: u16, filters: impl IntoIterator<Item = &'f str>) {
        self.out.extend(wire::subscribe(self.version, id, filters));
    }

    /// From the newest sign of life that was asked for to its answer, once.
    pub(super) fn take_round_trip(&mut self) -> Option<Duration> {
        self.round_trip.take()
    }

    /// What the broker says next, at the latest at `due`. Each message is acknowledged after the next call,
    /// so the caller is done with it. Not to be called again after a fault.
    pub(super) async fn next(&mut self, due: Option<Instant>) -> Result<Event, Fault> {
        loop {
            while let Some(packet) = self.inbox.packet()? {
                if let Some(event) = self.take(packet)? {
                    return Ok(event);
                }
            }
            self.keep_alive()?;
            self.flush().await?;
            let wake = due.map_or(self.ping_at, |due| due.min(self.ping_at));
            tokio::select! {
                biased;
                // Where the broker floods us this is always ready, and the time is looked at above.
                read = read(&mut self.stream, &mut self.inbox) => self.note(read)?,
                () = sleep_until(wake) => {}
            }
            if due.is_some_and(|due| Instant::now() >= due) {
                return Ok(Event::TimeUp);
            }
            tokio::task::yield_now().await;
        }
    }

    fn take(&mut self, packet: Packet) -> Result<Option<Event>, Fault> {
        match packet {
            Packet::Message(message) => Ok(Some(self.message(message, Event::Message))),
            Packet::TooLarge { message, bytes } => {
                Ok(Some(self.message(message, |message| Event::TooLarge(message, bytes))))
            }
            Packet::Release { id } => {
                self.repeats.released(id);
                self.out.extend(wire::complete(id));
                Ok(None)
            }
            Packet::SubAck { id, codes, said } => Ok(Some(Event::SubAck { id, codes, said })),
            Packet::Pong => {
                self.round_trip = self.pinged.take().map(|pinged| pinged.elapsed());
                Ok(Some(Event::Alive))
            }
            Packet::Disconnect { code, said } => Err(Fault::of_disconnect(self.version, code, &said)),
            Packet::ConnAck { .. } => Err(wire::Malformed("a second CONNACK").into()),
        }
    }

    fn message(&mut self, message: Incoming, event: impl FnOnce(Incoming) -> Event) -> Event {
        self.out.extend(wire::acknowledge(message.delivery));
        if self.repeats.is_repeat(&message) { Event::Repeat(message) } else { event(message) }
    }

    fn keep_alive(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        if now < self.ping_at {
            return Ok(());
        }
        // What else it said since shows as much life as the answer.
        if self.pinged.is_some_and(|pinged| self.heard <= pinged) {
            return Err(Fault::Silent);
        }
        self.out.extend(wire::ping());
        self.pinged = Some(now);
        self.ping_at = now + self.keep_alive;
        Ok(())
    }

    async fn read(&mut self) -> Result<(), Fault> {
        let read = read(&mut self.stream, &mut self.inbox).await;
        self.note(read)
    }

    fn note(&mut self, read: io::Result<usize>) -> Result<(), Fault> {
        match read {
            Ok(0) => Err(Fault::Closed),
            Ok(_) => {
                self.heard = Instant::now();
                Ok(())
            }
            Err(error) => Err(self.fault_of(error)),
        }
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        if self.out.is_empty() {
            return Ok(());
        }
        let sending = async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        };
        let sent = timeout(ANSWER_TIMEOUT, sending).await.map_err(|_| Fault::Stuck)?;
        self.out.clear();
        sent.map_err(|error| self.fault_of(error))
    }

    /// Under TLS a broker says after the handshake that it does not take our certificate.
    fn fault_of(&self, error: io::Error) -> Fault {
        match &self.tls {
            Some(settings) => {
                let fault = settings.fault_of(error);
                let closed = matches!(fault, tls::Fault::Closed | tls::Fault::Io(_));
                if closed { Fault::Closed } else { Fault::Tls(fault) }
            }
            None => Fault::Closed,
        }
    }

    /// Tells the broker that this is the end, if it listens. Half of a packet that was under way makes it
    /// the end all the same.
    pub(super) async fn goodbye(mut self) {
        self.out.extend(wire::goodbye());
        let last = async {
            self.flush().await.ok()?;
            self.stream.shutdown().await.ok()
        };
        // One who does not take it finds the connection closed.
        let _ended = timeout(GOODBYE_TIMEOUT, last).await;
    }
}

/// Cancel-safe: what was read is in the inbox.
async fn read(stream: &mut Box<dyn Stream>, inbox: &mut Inbox) -> io::Result<usize> {
    let room = inbox.room(PIECE_BYTES);
    stream.take(PIECE_BYTES as u64).read_buf(room).await
}

impl Fault {
    /// A connection that was closed before the broker's first word.
    fn unanswered(self) -> Self {
        if matches!(self, Self::Closed) { Self::Unanswered } else { self }
    }
}

/// What the first bytes say of a peer that is no broker. `None`: nothing yet, or it may be one.
fn foreign(bytes: &[u8]) -> Option<Fault> {
    match bytes {
        // A record of TLS, alert or handshake, of a version 3.x.
        [0x15 | 0x16, 0x03, ..] => Some(Fault::WantsTls),
        [0x20, ..] | [] => None,
        _ => Some(Fault::NoMqtt),
    }
}

/// Which messages the broker has sent before on this connection.
///
/// The mark of a repeat alone does not tell: some brokers hand on the mark that the sender set. So it counts
/// only beside the same number, topic and payload of a message that has come.
#[derive(Debug, Default)]
struct Repeats {
    last: VecDeque<(u16, u64)>,
    /// Half delivered: exactly once ends with a release.
    unreleased: HashSet<u16>,
}

impl Repeats {
    fn is_repeat(&mut self, message: &Incoming) -> bool {
        match message.delivery {
            Delivery::AtMostOnce => false,
            Delivery::ExactlyOnce(id) => !self.unreleased.insert(id),
            Delivery::AtLeastOnce(id) => {
                let mut hasher = DefaultHasher::new();
                (&message.topic, &message.payload, message.retained).hash(&mut hasher);
                let one = (id, hasher.finish());
                if message.again && self.last.contains(&one) {
                    return true;
                }
                if self.last.len() >= REMEMBERED {
                    self.last.pop_front();
                }
                self.last.push_back(one);
                false
            }
        }
    }

    fn released(&mut self, id: u16) {
        self.unreleased.remove(&id);
    }
}

#[cfg(test)]
mod tests;
