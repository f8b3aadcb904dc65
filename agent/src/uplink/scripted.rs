//! A broker without a network, for simulation: it takes the place of the MQTT client, so that everything above
//! `client` runs as it is, under the runtime's paused time.
//!
//! What was handed over arrives in its order, as over TCP, after a latency and at a rate; acknowledgements come back
//! after one of their own. When the connection ends, what had not arrived is lost, and so are the acknowledgements
//! of what had.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::client::Event;
use super::fault::Fault;

/// As the client gives up on a broker that is silent: two keep-alives.
const SILENT_AFTER: Duration = Duration::from_secs(20);

thread_local! {
    static BROKER: RefCell<Option<Broker>> = const { RefCell::new(None) };
}

/// Connections of this thread go to it.
pub(crate) fn connect_to(broker: Option<Broker>) {
    BROKER.set(broker);
}

pub(super) fn line() -> Option<Line> {
    BROKER.with_borrow(|broker| broker.clone()).map(|broker| Line { broker, wire: Arc::default() })
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) reachable: bool,
    /// Nothing gets through, and nobody says so.
    pub(crate) silent: bool,
    pub(crate) latency: Duration,
    pub(crate) bytes_per_s: u64,
    /// Acknowledgements overtake each other.
    pub(crate) disorder: bool,
}

pub(crate) const FAIR: Weather = Weather {
    reachable: true,
    silent: false,
    latency: Duration::from_millis(20),
    bytes_per_s: 1_000_000,
    disorder: false,
};

#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) connection: u64,
    pub(crate) at: Instant,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) retain: bool,
}

#[derive(Clone)]
pub(crate) struct Broker(Arc<Shared>);

struct Shared {
    inner: Mutex<Inner>,
    rung: Notify,
}

struct Inner {
    weather: Weather,
    rng: fastrand::Rng,
    connections: u64,
    /// How the present connection is to end, if it is.
    cut: Option<bool>,
    /// It hangs up on these: parts of a payload.
    poison: BTreeSet<String>,
    arrived: VecDeque<Arrived>,
    commands: VecDeque<(String, Vec<u8>)>,
    connected: bool,
}

/// One connection.
#[derive(Clone)]
pub(super) struct Line {
    broker: Broker,
    wire: Arc<Mutex<Wire>>,
}

#[derive(Default)]
struct Wire {
    handed: VecDeque<Packet>,
    goodbye: bool,
}

struct Packet {
    topic: String,
    payload: Vec<u8>,
    retain: bool,
    acknowledge: oneshot::Sender<()>,
}

impl Broker {
    pub(crate) fn new(seed: u64) -> Self {
        let inner = Inner {
            weather: FAIR,
            rng: fastrand::Rng::with_seed(seed),
            connections: 0,
            cut: None,
            poison: BTreeSet::new(),
            arrived: VecDeque::new(),
            commands: VecDeque::new(),
            connected: false,
        };
        Self(Arc::new(Shared { inner: Mutex::new(inner), rung: Notify::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().expect("one thread")
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let changed = change(&mut self.lock());
        self.0.rung.notify_one();
        changed
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.change(|inner| inner.weather = weather);
    }

    /// Ends the present connection; `theirs`: the broker hangs up.
    pub(crate) fn cut(&self, theirs: bool) {
        self.change(|inner| {
            if inner.connected {
                inner.cut = Some(theirs);
            }
        });
    }

    /// It hangs up on whatever contains this.
    pub(crate) fn poison(&self, part: String) {
        self.change(|inner| inner.poison.insert(part));
    }

    pub(crate) fn command(&self, topic: String, payload: Vec<u8>) {
        self.change(|inner| inner.commands.push_back((topic, payload)));
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.lock().connected
    }

    pub(crate) fn take_arrived(&self) -> VecDeque<Arrived> {
        std::mem::take(&mut self.lock().arrived)
    }
}

/// However a connection ends, it is over.
struct Connected<'a>(&'a Broker);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.connected = false;
        inner.cut = None;
    }
}

impl Line {
    pub(super) fn publish(
        &self,
        topic: &str,
        payload: Vec<u8>,
        retain: bool,
    ) -> Option<oneshot::Receiver<()>> {
        let (acknowledge, acknowledged) = oneshot::channel();
        let packet = Packet { topic: topic.to_owned(), payload, retain, acknowledge };
        self.wire.lock().expect("one thread").handed.push_back(packet);
        self.broker.0.rung.notify_one();
        Some(acknowledged)
    }

    pub(super) fn disconnect(&self) {
        self.wire.lock().expect("one thread").goodbye = true;
        self.broker.0.rung.notify_one();
    }

    /// Until the connection ends.
    pub(super) async fn work(self, events: mpsc::Sender<Event>) -> Fault {
        let weather = self.broker.lock().weather;
        sleep(weather.latency).await;
        if weather.silent {
            sleep(Duration::from_secs(5)).await;
            return Fault::Silent;
        }
        if !weather.reachable {
            return Fault::Connect(io::Error::from(io::ErrorKind::ConnectionRefused));
        }
        let number = self.broker.change(|inner| {
            inner.connections += 1;
            inner.connected = true;
            inner.connections
        });
        let _connected = Connected(&self.broker);
        for event in [Event::Connected, Event::Subscribed] {
            if events.send(event).await.is_err() {
                return Fault::Closed;
            }
        }
        let mut way = Way::new(number);
        loop {
            if let Some(fault) = way.turn(&self) {
                return fault;
            }
            let commands = std::mem::take(&mut self.broker.lock().commands);
            for (topic, payload) in commands {
                if events.send(Event::Incoming { topic, payload, retained: false }).await.is_err() {
                    return Fault::Closed;
                }
            }
            let next = way.next();
            tokio::select! {
                biased;
                () = self.broker.0.rung.notified() => {}
                () = async { match next { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {}
            }
        }
    }
}

/// What is between the two ends.
struct Way {
    connection: u64,
    /// In the order of their arrival.
    there: VecDeque<(Instant, Packet)>,
    back: BTreeMap<(Instant, u64), oneshot::Sender<()>>,
    /// When the line has carried all that was handed over.
    free: Instant,
    last_back: Instant,
    arrivals: u64,
    silent_since: Option<Instant>,
}

impl Way {
    fn new(connection: u64) -> Self {
        let now = Instant::now();
        Self {
            connection,
            there: VecDeque::new(),
            back: BTreeMap::new(),
            free: now,
            last_back: now,
            arrivals: 0,
            silent_since: None,
        }
    }

    fn turn(&mut self, line: &Line) -> Option<Fault> {
        let now = Instant::now();
        let mut inner = line.broker.lock();
        let mut wire = line.wire.lock().expect("one thread");
        let weather = inner.weather;
        while let Some(packet) = wire.handed.pop_front() {
            let bytes = u64::try_from(packet.payload.len() + packet.topic.len()).expect("small");
            let takes = Duration::from_micros(bytes * 1_000_000 / weather.bytes_per_s);
            self.free = self.free.max(now) + takes;
            let arrives = (self.free + weather.latency).max(self.there.back().map_or(now, |(at, _)| *at));
            self.there.push_back((arrives, packet));
        }
        if let Some(theirs) = inner.cut.take() {
            return Some(if theirs { Fault::Closed } else { Fault::Silent });
        }
        if !weather.reachable || weather.silent {
            let since = *self.silent_since.get_or_insert(now);
            return (now.duration_since(since) >= SILENT_AFTER).then_some(Fault::Silent);
        }
        self.silent_since = None;
        while self.there.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, packet)) = self.there.pop_front()
        {
            let text = String::from_utf8_lossy(&packet.payload);
            if inner.poison.iter().any(|part| text.contains(part)) {
                return Some(Fault::Closed);
            }
            let Packet { topic, payload, retain, acknowledge } = packet;
            inner.arrived.push_back(Arrived { connection: self.connection, at: now, topic, payload, retain });
            let jitter = if weather.disorder { inner.rng.u64(0..400) } else { inner.rng.u64(0..3) };
            let mut at = now + weather.latency + Duration::from_millis(jitter);
            if !weather.disorder {
                at = at.max(self.last_back);
                self.last_back = at;
            }
            self.arrivals += 1;
            self.back.insert((at, self.arrivals), acknowledge);
        }
        while let Some(first) = self.back.first_entry().filter(|first| first.key().0 <= now) {
            // Who no longer waits has lost the connection.
            let _lost_meanwhile = first.remove().send(());
        }
        (wire.goodbye && self.there.is_empty()).then_some(Fault::Closed)
    }

    fn next(&self) -> Option<Instant> {
        let there = self.there.front().map(|(at, _)| *at);
        let back = self.back.keys().next().map(|(at, _)| *at);
        // What is due while nothing gets through waits for the end of it.
        match self.silent_since {
            Some(since) => Some(since + SILENT_AFTER),
            None => there.into_iter().chain(back).min(),
        }
    }
}
