//! One subscriber at one plant-side broker. It never publishes.
//!
//! It connects, subscribes, hands on what messages hold, and begins anew after each fault, forever. A
//! [`Connection`] carries nothing over to the next one. What is known across them is here: which version the
//! broker speaks, what the feed said of itself, and what was last told of the link.
//!
//! The link is up where the broker answers and the feed, if it says so at all, says that it is there.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use riskgate_point::{BadReason, Link, PointId, Quality, Report, Sample, UncertainReason};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{ANSWER_TIMEOUT, Connection, Event};
use super::copies::Copies;
use super::decode::{self, Decoded, Message};
use super::fault::{self, Fault};
use super::memory::Memory;
use super::reason::{Version, Versions};
use super::status::Known;
use super::topic::{Routes, covers, to_subscribe};
use super::wire::{Incoming, Malformed, Said};
use super::{Brings, Feed, Subscription};
use crate::Clock;
use crate::backoff::Backoff;
use crate::intake::Sender;

const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// A connection that lived so long was no failure of its own: the next try is a quick one. Below it, as
/// when two clients of one name throw each other out, the waits grow.
const SETTLED_AFTER: Duration = Duration::from_secs(20);
/// Some brokers take only so many filters in one SUBSCRIBE.
const FILTERS_PER_SUBSCRIBE: usize = 50;
/// The rights of a user change without a word to us, so a filter that was refused is asked for again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// A broker sends what it keeps right behind the SUBACK. So long a feed that says of itself whether it is
/// there is waited for, before a broker that answers is taken for a feed that lives.
const STATUS_WAIT: Duration = Duration::from_secs(1);
/// Readings that a broker sends before it has acknowledged the subscription wait for that, some hundred bytes
/// each. What is beyond, of a broker that keeps very much, is told before the link is up rather than lost.
const EARLY_MAX: usize = 10_000;

/// Reads until told to stop. What a broker or a network does is never an error here: every failure is
/// reported, then retried.
pub async fn run(
    feed: &Feed,
    out: &Sender,
    clock: Clock,
    stop: &CancellationToken,
) -> Result<(), Infallible> {
    let mut connection = None;
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        never = Reader::new(feed, out, clock).read_forever(&mut connection) => match never {},
    }
    if let Some(connection) = connection {
        connection.goodbye().await;
    }
    Ok(())
}

struct Reader<'f> {
    feed: &'f Feed,
    out: &'f Sender,
    clock: Clock,
    /// What the broker is asked for.
    filters: Vec<String>,
    /// From a topic to the places of `filters`: how many copies of a message may come.
    copies: Routes,
    /// From a topic to the places of the feed's subscriptions; one beyond the last is its status.
    routes: Routes,
    points: Vec<PointId>,
    memory: Memory,
    known: Known,
    sent_twice: Copies,
    /// Came before the link was up.
    early: Vec<Report>,
    /// The next try speaks this.
    version: Version,
    /// In which the broker has welcomed us.
    spoken: Option<Version>,
    /// Both versions were tried since the broker last welcomed us.
    tried_both: bool,
    state: State,
    told: Told,
    /// The points were told of the lost link, and nothing of them was heard since.
    told_bad: bool,
    backoff: Backoff,
}

/// How far the connection is.
#[derive(Default)]
struct State {
    subscribed: bool,
    /// Until then the feed's word is waited for.
    status_due: Option<Instant>,
    /// Places of filters that were asked for, by the number of the SUBSCRIBE that waits for its SUBACK.
    asked: BTreeMap<u16, Vec<usize>>,
    /// Filters that the broker does not take, by their places and with why, and when to ask again.
    refused: BTreeMap<usize, String>,
    ask_again: Option<Instant>,
}

/// What was last reported of the link.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Connecting,
    Up,
    Down(String),
}

impl<'f> Reader<'f> {
    fn new(feed: &'f Feed, out: &'f Sender, clock: Clock) -> Self {
        let of_status = feed.status.iter().map(|status| status.topic.as_str());
        let wanted: Vec<&str> =
            feed.subscriptions.iter().map(|one| one.filter.as_str()).chain(of_status).collect();
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
            known: Known::default(),
            sent_twice: Copies::default(),
            early: Vec::new(),
            version: match feed.versions {
                Versions::Both => Version::V5,
                Versions::Only(version) => version,
            },
            spoken: None,
            tried_both: false,
            state: State::default(),
            told: Told::Connecting,
            told_bad: false,
            backoff: Backoff::new(RETRY_MIN, RETRY_MAX, u64::from(feed.source.0)),
        }
    }

    /// `connection` is left to the caller, who may stop this at any time and says goodbye then.
    async fn read_forever(mut self, connection: &mut Option<Connection>) -> Infallible {
        let source = self.feed.source;
        self.out.send(vec![Report::Link { source, link: Link::Connecting, at: (self.clock)() }]);
        loop {
            let began = Instant::now();
            let fault = match Connection::open(self.feed, self.version, self.clock).await {
                Ok(opened) => {
                    self.out.tally().connected();
                    self.spoken = Some(self.version);
                    self.tried_both = false;
                    let Err(fault) = self.read(connection.insert(opened)).await;
                    fault
                }
                Err(fault) => fault,
            };
            *connection = None;
            if self.state.subscribed && began.elapsed() >= SETTLED_AFTER {
                self.backoff.reset();
            }
            self.state = State::default();
            self.sent_twice.forget();
            self.early_lost();
            self.memory.link_lost();
            self.known.connection_lost();
            if self.other_version(&fault) {
                continue;
            }
            self.tell_down(self.why(&fault.to_string(), &fault.hint()));
            sleep(self.backoff.next()).await;
        }
    }

    /// Chooses the version of the next try; true where that is to be made at once.
    fn other_version(&mut self, fault: &Fault) -> bool {
        if self.feed.versions != Versions::Both {
            return false;
        }
        if fault.may_be_the_version() {
            self.version = self.version.other();
            return !std::mem::replace(&mut self.tried_both, true);
        }
        if let (Fault::Connect(_), Some(spoken)) = (fault, self.spoken) {
            // It hung up because it was about to end, not for the version.
            self.version = spoken;
        }
        false
    }

    /// Subscribes, and reads until something ends it.
    async fn read(&mut self, connection: &mut Connection) -> Result<Infallible, Fault> {
        self.ask(connection, (0..self.filters.len()).collect());
        timeout(ANSWER_TIMEOUT, self.until_acknowledged(connection)).await.map_err(|_| Fault::NoSubAck)??;
        self.weigh_refusals()?;
        self.state.subscribed = true;
        let waits = self.feed.status.as_ref().filter(|_| !self.known.is_fresh());
        self.state.status_due = waits.map(|_| Instant::now() + STATUS_WAIT);
        self.look_at_link();
        self.tell_early().await;
        loop {
            self.look_at_link();
            let wake = [self.state.status_due, self.state.ask_again].into_iter().flatten().min();
            let event = connection.next(wake).await?;
            self.take(event, connection).await?;
        }
    }

    /// Asks for the filters at these places.
    fn ask(&mut self, connection: &mut Connection, places: Vec<usize>) {
        for (id, chunk) in (1_u16..).zip(places.chunks(FILTERS_PER_SUBSCRIBE)) {
            let filters = chunk.iter().filter_map(|place| self.filters.get(*place));
            connection.subscribe(id, filters.map(String::as_str));
            self.state.asked.insert(id, chunk.to_vec());
        }
    }

    /// Cancelled only together with the whole connection.
    async fn until_acknowledged(&mut self, connection: &mut Connection) -> Result<(), Fault> {
        while !self.state.asked.is_empty() {
            let event = connection.next(None).await?;
            self.take(event, connection).await?;
        }
        Ok(())
    }

    fn time_up(&mut self, connection: &mut Connection) {
        let is_due = |due: Option<Instant>| due.is_some_and(|due| Instant::now() >= due);
        if is_due(self.state.status_due) {
            self.state.status_due = None;
        }
        if is_due(self.state.ask_again) {
            self.state.ask_again = None;
            let again = std::mem::take(&mut self.state.refused).into_keys().collect();
            self.ask(connection, again);
        }
    }

    /// The codes stand in the order of the filters that were asked for; a filter without one was not taken.
    fn acknowledged(&mut self, id: u16, codes: &[u8], said: &Said) -> Result<(), Fault> {
        const REFUSED_FROM: u8 = 0x80;
        let Some(asked) = self.state.asked.remove(&id) else {
            return Err(Malformed("it acknowledges a subscription that was not asked for").into());
        };
        let mut codes = codes.iter().copied();
        for place in asked {
            let code = codes.next().unwrap_or(REFUSED_FROM);
            let Some(filter) = self.filters.get(place).filter(|_| code >= REFUSED_FROM) else { continue };
            let why = fault::text(self.version, code, said);
            self.skip(filter, "filter_refused", || why.clone());
            self.state.refused.insert(place, why);
            self.state.ask_again = Some(Instant::now() + ASK_AGAIN_AFTER);
        }
        Ok(())
    }

    /// A filter that only points hang on costs those points. What else hangs on one, whoever hears nothing
    /// of it must not take for a feed that lives: people, alarms, and the feed's own state.
    fn weigh_refusals(&mut self) -> Result<(), Fault> {
        let refused = self.state.refused.iter();
        let refused: Vec<(&String, &String)> =
            refused.filter_map(|(place, why)| Some((self.filters.get(*place)?, why))).collect();
        if refused.is_empty() {
            return Ok(());
        }
        let taken: Vec<&String> = (0..)
            .zip(&self.filters)
            .filter(|(place, _)| !self.state.refused.contains_key(place))
            .map(|(_, filter)| filter)
            .collect();
        let is_lost = |wanted: &str| {
            refused.iter().any(|(refused, _)| covers(refused, wanted))
                && !taken.iter().any(|taken| covers(taken, wanted))
        };
        let unheard = || self.feed.subscriptions.iter().filter(|one| is_lost(&one.filter));
        let is_needed = |one: &Subscription| one.what.brings() != Brings::Samples;
        let of_status = self.feed.status.iter().map(|status| status.topic.as_str());
        let needed = unheard().filter(|one| is_needed(one)).map(|one| one.filter.as_str());
        let needed = needed.chain(of_status.filter(|topic| is_lost(topic))).next();
        let culprit = refused.iter().find(|(refused, _)| needed.is_none_or(|needed| covers(refused, needed)));
        if let Some((filter, why)) = culprit.filter(|_| needed.is_some() || taken.is_empty()) {
            return Err(Fault::FilterRefused { filter: (*filter).clone(), why: (*why).clone() });
        }
        let at = (self.clock)();
        let bad = |point: PointId| Report::Sample(Sample::bad(point, BadReason::RefusedAddress, at));
        let lost: Vec<Report> = unheard().flat_map(|one| one.what.points()).map(bad).collect();
        if !lost.is_empty() {
            self.out.send(lost);
        }
        Ok(())
    }

    async fn take(&mut self, event: Event, connection: &mut Connection) -> Result<(), Fault> {
        match event {
            Event::Message(message) => {
                self.out.tally().polled(connection.take_round_trip());
                self.message(message).await;
            }
            Event::SubAck { id, codes, said } => self.acknowledged(id, &codes, &said)?,
            Event::TooLarge(message, bytes) => {
                let topic = String::from_utf8_lossy(&message.topic).into_owned();
                self.skip(self.filter_of(&topic), "too_large", || format!("{topic}: {bytes} bytes"));
            }
            Event::Repeat(message) => {
                let topic = String::from_utf8_lossy(&message.topic).into_owned();
                self.skip(self.filter_of(&topic), "repeated", || topic.clone());
            }
            Event::Alive => self.answered(),
            Event::TimeUp => self.time_up(connection),
        }
        Ok(())
    }

    /// Where all that is read tells its own death through the broker, the broker's answer says that it lives:
    /// what does not change is not told again.
    fn answered(&self) {
        if self.feed.tells_its_deaths() && self.told == Told::Up {
            self.out.send(vec![Report::Refreshed { source: self.feed.source, at: (self.clock)() }]);
        }
    }

    async fn message(&mut self, incoming: Incoming) {
        let Ok(topic) = std::str::from_utf8(&incoming.topic) else {
            let shown = || String::from_utf8_lossy(&incoming.topic).into_owned();
            return self.skip("", "topic_is_no_text", shown);
        };
        let copies = self.copies.places(topic).len();
        let places = self.routes.places(topic);
        if places.is_empty() {
            return self.skip("", "not_asked_for", || topic.to_owned());
        }
        if self.sent_twice.is_copy(copies, &incoming, Instant::now()) {
            // No fault, so the log has nothing of it.
            self.out.tally().skipped(self.filter_of(topic), "copy", || topic.to_owned());
            return;
        }
        let received = (self.clock)();
        let mut alive = false;
        for place in places {
            let Some(subscription) = self.feed.subscriptions.get(place) else {
                self.status(&incoming.payload);
                continue;
            };
            let message = Message {
                source: self.feed.source,
                place,
                topic,
                payload: &incoming.payload,
                received,
                retained: incoming.retained,
                zone: &self.feed.zone,
            };
            let decoded = decode::message(&subscription.what, &message, &mut self.memory);
            alive |= self.hand_on(subscription, &message, decoded).await;
        }
        self.sent_twice.handed_on(Instant::now());
        // What the broker kept says nothing of who sent it; what comes before the link is up may end there.
        if alive && !incoming.retained && self.told == Told::Up {
            self.out.send(vec![Report::Refreshed { source: self.feed.source, at: received }]);
        }
    }

    /// True where the message shows that the whole source is alive.
    async fn hand_on(&mut self, from: &Subscription, message: &Message<'_>, decoded: Decoded) -> bool {
        for skipped in &decoded.skipped {
            let shown = || String::from_utf8_lossy(message.payload).into_owned();
            self.skip(&from.filter, skipped.skip.word(), || skipped.example.clone().unwrap_or_else(shown));
        }
        if !message.retained {
            self.known.message();
        }
        let brings = from.what.brings();
        let alive = self.shows_life(brings, &decoded);
        if decoded.reports.is_empty() {
            return alive;
        }
        match brings {
            Brings::Samples => {
                let reports = self.doubted(decoded.reports);
                if !self.state.subscribed && self.early.len() < EARLY_MAX {
                    self.early.extend(reports);
                    return alive;
                }
                self.tell_early().await;
                self.told_bad = false;
                if message.retained {
                    // Never merged, so it waits like all that is not merged.
                    self.out.send_when_room(reports).await;
                } else {
                    self.out.send(reports);
                }
            }
            Brings::Life => {}
            // People's lives: they wait for room, and so does the broker.
            Brings::Events => self.out.send_when_room(decoded.reports).await,
        }
        alive
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

    /// A reading that comes from a feed that says of itself that it is not there is compared, and marked.
    fn doubted(&self, mut reports: Vec<Report>) -> Vec<Report> {
        if self.known.is_offline() {
            for report in &mut reports {
                if let Report::Sample(sample) = report
                    && sample.quality.is_good()
                {
                    sample.quality = Quality::Uncertain(UncertainReason::Source);
                }
            }
        }
        reports
    }

    fn status(&mut self, payload: &[u8]) {
        let Some(status) = &self.feed.status else { return };
        match status.is_online(payload) {
            Ok(online) => {
                self.known.say(online);
                self.state.status_due = None;
                self.look_at_link();
            }
            Err(unclear) => {
                let shown = || String::from_utf8_lossy(payload).into_owned();
                self.skip(&status.topic, unclear.word(), shown);
            }
        }
    }

    /// What came before the link was up.
    async fn tell_early(&mut self) {
        if !self.early.is_empty() {
            self.told_bad = false;
            // Mostly what the broker kept, which is never merged.
            self.out.send_when_room(std::mem::take(&mut self.early)).await;
        }
    }

    /// The link never came up: the points are lost all the same.
    fn early_lost(&mut self) {
        for _ in std::mem::take(&mut self.early) {
            self.out.tally().skipped("", "before_the_link_was_up", String::new);
        }
    }

    fn filter_of(&self, topic: &str) -> &'f str {
        let place = self.routes.places(topic).into_iter().next();
        place.and_then(|place| self.feed.subscriptions.get(place)).map_or("", |one| one.filter.as_str())
    }

    /// Counted each time, told in the log at each power of ten: a feed that sends nothing else must not fill
    /// it. The example is kept with the count.
    fn skip(&self, filter: &str, reason: &'static str, example: impl FnOnce() -> String) {
        let count = self.out.tally().skipped(filter, reason, example);
        if is_power_of_ten(count) {
            let source = self.feed.source.0;
            tracing::warn!(source, filter, reason, count, "part of a message could not be used");
        }
    }

    /// What the link is now that the broker answers.
    fn look_at_link(&mut self) {
        // What the feed said before the connection was lost holds until it had the time to say something else.
        let waits = self.state.status_due.is_some() && !self.known.is_fresh();
        if !self.state.subscribed || waits {
            return;
        }
        if let Some(status) = self.feed.status.as_ref().filter(|_| self.known.is_offline()) {
            let when = if self.known.is_fresh() { "" } else { " before the connection was lost" };
            let what =
                format!("the feed said{when} that it is gone ('{}' on {})", status.offline, status.topic);
            let why = self.why(&what, "the broker answers: see whether the program behind the feed runs");
            // Once: what comes after it was not taken for more than it is.
            if self.told != Told::Down(why.clone()) {
                self.tell_down(why);
            }
            return;
        }
        if self.told != Told::Up {
            self.told = Told::Up;
            let source = self.feed.source;
            // The pump tells it in the log, with the source's name.
            tracing::debug!(source = source.0, host = %self.feed.host, port = self.feed.port, "mqtt link is up");
            self.out.send(vec![Report::Link { source, link: Link::Up, at: (self.clock)() }]);
        }
    }

    fn why(&self, what: &str, hint: &str) -> String {
        format!("mqtt {}:{}: {what}; {hint}", self.feed.host, self.feed.port)
    }

    /// Once for each reason: the tries that follow and fail alike are not told.
    fn tell_down(&mut self, why: String) {
        let source = self.feed.source;
        let at = (self.clock)();
        let mut reports = Vec::new();
        let told = Told::Down(why.clone());
        if self.told != told {
            self.told = told;
            tracing::debug!(source = source.0, "mqtt link is down: {why}");
            reports.push(Report::Link { source, link: Link::Down { why }, at });
        }
        if !self.told_bad {
            self.told_bad = true;
            let bad = |point: &PointId| Report::Sample(Sample::bad(*point, BadReason::CommFailure, at));
            reports.extend(self.points.iter().map(bad));
        }
        if !reports.is_empty() {
            self.out.send(reports);
        }
    }
}

fn is_power_of_ten(count: u64) -> bool {
    10_u64.checked_pow(count.checked_ilog10().unwrap_or(0)) == Some(count)
}

#[cfg(test)]
mod tests;
