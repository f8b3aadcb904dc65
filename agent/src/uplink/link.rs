//! The work on one connection: moves rows from the store to the client and their acknowledgements back,
//! tells the retained topics, batches telemetry, answers commands.
//!
//! It never waits for one thing alone: what it asks of the store and of the broker is under way beside
//! everything else, so a slow disk holds up no state message and a slow broker no acknowledgement.

mod commands;
mod people;
mod permits;
mod readings;
mod refused;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use riskgate_engine::{IndicatorRecord, Plant, UnitRecord};
use riskgate_point::Wall;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use commands::Given;

use super::birth::{Birth, birth};
use super::client::{Client, Event, PAYLOAD_BYTES_MAX};
use super::commands::{RESEND_PAGE, Replay};
use super::session::{LEASE_ROWS, Lease, Loose, LooseKind, Outgoing, Sent, Session, Ticket};
use super::spool::{self, Next, SpoolError};
use super::undurable::{self, Object};
use super::wire::people::ZoneCount;
use super::wire::{self, Present, Status};
use super::{STOP_WITHIN, Uplink, second};
use crate::causes::chain;
use crate::events::Event as Happening;
use crate::pump::Verdict;
use crate::store::journal::Head;
use crate::store::{Committed, LastSequences, Message, OutboxView, Row, StoreError};

/// While connected, drops are told at most this often: each gap is a row on the card.
const GAP_EVERY_TURNS: u64 = 60;

/// Each write of acknowledgements is a sync of the card, and what a crash loses of them is only sent twice.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_millis(200);

/// Why the work ended.
pub(super) enum End {
    Stopped,
    Lost(&'static str),
}

/// What the store answered.
enum Answer {
    Leased(Lease, Result<Vec<Row>, StoreError>),
    Acknowledged(Vec<i64>, Result<(), StoreError>),
    Replayed(Result<Vec<Row>, StoreError>),
    Retained(Result<Box<Retained>, StoreError>),
    /// How many dropped readings were told, and why the rest was not.
    GapTold(u64, Result<(), StoreError>),
    Written(&'static str, Result<(), StoreError>),
    Refused(Row, Result<(), StoreError>),
    Spooled(Result<Next, SpoolError>),
    Unspooled(Result<(), SpoolError>),
    Commanded(Given, Option<Verdict>),
}

/// What the retained topics say.
struct Retained {
    units: Vec<UnitRecord>,
    indicator: Option<IndicatorRecord>,
    outbox: OutboxView,
}

type Asked = Pin<Box<dyn Future<Output = Answer> + Send>>;
type Flying = Pin<Box<dyn Future<Output = (Ticket, bool)> + Send>>;

pub(super) struct Link<'a> {
    uplink: &'a mut Uplink,
    client: Client,
    events: mpsc::Receiver<Event>,
    session: &'a mut Session,
    spool: Option<spool::Handle>,
    /// It is being asked, or had nothing more in this second.
    spool_read: bool,
    /// Rows set aside whose gap is being written.
    telling: usize,
    telling_dropped: bool,
    spool_empty: bool,
    began: Instant,
    flying: FuturesUnordered<Flying>,
    asked: FuturesUnordered<Asked>,
    committed: watch::Receiver<Committed>,
    /// Revisions that were told on this connection before their commit.
    undurable_told: HashMap<Object, u64>,
    leasing: bool,
    acknowledging: bool,
    /// Not before then are acknowledgements written again.
    acknowledge_at: Instant,
    replaying: bool,
    /// Commands that the pump has in hand.
    commanding: usize,
    asking_present: bool,
    /// The store failed to answer: it is asked again with the next second.
    store_rests: bool,
    /// What it fails to do, and why, as it was told: a full disk fails each second, for hours.
    store_fails: BTreeMap<&'static str, String>,
    connected: Option<Wall>,
    /// The last sequences when it connected: what is not beyond them is late, and may have been sent before.
    before: LastSequences,
    /// `last` and `journal` of the state message that was told last.
    told: Option<(LastSequences, Head)>,
    state_changed: bool,
    turns: u64,
    chunks: u64,
    /// The most pages of points that were told on this connection.
    pages_told: usize,
    /// What was told of the zones on this connection, and of which zone last.
    people_told: BTreeMap<String, ZoneCount>,
    people_last: String,
    people_number: u64,
    permits: permits::Permits,
    /// There was no room for all readings that wait: the rest follows with each acknowledgement.
    draining: bool,
}

impl<'a> Link<'a> {
    pub(super) fn new(
        uplink: &'a mut Uplink,
        session: &'a mut Session,
        spool: Option<spool::Handle>,
        client: Client,
        events: mpsc::Receiver<Event>,
    ) -> Self {
        let committed = uplink.store.committed();
        Self {
            uplink,
            client,
            events,
            session,
            spool,
            spool_read: false,
            telling: 0,
            telling_dropped: false,
            spool_empty: false,
            began: Instant::now(),
            flying: FuturesUnordered::new(),
            asked: FuturesUnordered::new(),
            committed,
            undurable_told: HashMap::new(),
            leasing: false,
            acknowledging: false,
            acknowledge_at: Instant::now(),
            replaying: false,
            commanding: 0,
            asking_present: false,
            store_rests: false,
            store_fails: BTreeMap::new(),
            connected: None,
            before: LastSequences::default(),
            told: None,
            state_changed: false,
            turns: 0,
            chunks: 0,
            pages_told: 0,
            people_told: BTreeMap::new(),
            people_last: String::new(),
            people_number: 0,
            permits: permits::Permits::default(),
            draining: false,
        }
    }

    /// Ends on `stop`, having told so, or when the client takes nothing any more.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> End {
        let mut tick = second();
        let batch = self.uplink.config.telemetry.unwrap_or(Duration::from_secs(3600));
        let mut batch = interval(batch.max(Duration::from_millis(10)));
        batch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut plant = self.uplink.plant.clone();
        let mut sources = self.uplink.sources.clone();
        let mut model = self.uplink.model.clone();
        let mut undurable = self.uplink.undurable.changed();
        loop {
            if self.connected.is_some() {
                self.ask_store();
                self.tell_undurable();
                if !self.hand_over() {
                    return End::Lost("the MQTT client takes nothing more");
                }
            }
            // Every arm is cancel-safe. A closed watch or an empty set is left out, not spun on.
            tokio::select! {
                biased;
                () = stop.cancelled() => return self.stop().await,
                Some((ticket, acknowledged)) = self.flying.next(), if !self.flying.is_empty() => {
                    // What is not acknowledged on this connection is sent on the next: the poll tells why.
                    if acknowledged {
                        self.acknowledged(ticket);
                    }
                }
                Some(answer) = self.asked.next(), if !self.asked.is_empty() => self.answered(answer),
                event = self.events.recv() => match event {
                    Some(Event::Connected) => self.connected(),
                    Some(Event::Subscribed) => self.session.answered(),
                    Some(Event::Incoming { topic, payload, retained }) => {
                        self.command(&topic, &payload, retained);
                    }
                    None => return End::Lost("the connection ended"),
                },
                Ok(()) = self.committed.changed() => {}
                Ok(()) = undurable.changed() => {}
                Ok(()) = plant.changed() => self.announce(),
                Ok(()) = sources.changed() => self.state_changed = true,
                Ok(()) = model.changed() => self.state_changed = true,
                () = sleep_until(self.acknowledge_at), if self.has_to_acknowledge() => {}
                _ = tick.tick() => {
                    self.turn();
                    if self.session.is_deaf(self.age()) {
                        return End::Lost("the broker answers and acknowledges nothing");
                    }
                }
                _ = batch.tick(), if self.uplink.config.telemetry.is_some() => self.batch_telemetry(),
            }
        }
    }

    /// Acknowledgements wait, and nothing but their time keeps them from being written.
    fn has_to_acknowledge(&self) -> bool {
        self.connected.is_some()
            && !self.acknowledging
            && !self.store_rests
            && self.session.has_acknowledged()
    }

    /// The connection is lost: what was acknowledged on it is not sent again on the next.
    pub(super) async fn write_acknowledged(&mut self) {
        self.end_telling().await;
        let rows = self.session.take_acknowledged();
        if rows.is_empty() {
            return;
        }
        let written = self.uplink.store.acknowledge(rows, self.uplink.now());
        match timeout(STOP_WITHIN, written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = chain(&error);
                tracing::warn!(error, "acknowledgements were not written; their rows are sent again");
            }
            Err(_) => tracing::warn!("the store took too long; acknowledged rows may be sent again"),
        }
    }

    fn connected(&mut self) {
        let now = self.uplink.now();
        self.connected = Some(now);
        self.before = self.committed.borrow().last;
        let mut tries = 0;
        self.uplink.status.send_modify(|status| {
            tries = std::mem::take(&mut status.tries);
            status.connected = true;
            status.since = now;
            status.why = None;
            status.connects += 1;
        });
        Happening::UplinkUp { broker: &self.uplink.config.broker(), tries }.emit();
        if !self.client.subscribe(&self.uplink.topic("cmd/+")) {
            tracing::error!("no commands on this connection");
        }
        self.tell_dropped();
        self.announce();
    }

    /// Birth at once, the pages of a long list of points when nothing more urgent waits; state and the risk of every unit as soon as the store has told them.
    fn announce(&mut self) {
        if self.connected.is_none() {
            return;
        }
        let plant = self.plant();
        let Birth { payload, points } = birth(&plant, self.uplink.now(), &self.uplink.origin);
        self.push("birth".to_owned(), payload, true, LooseKind::Birth);
        self.pages_told = self.pages_told.max(points.len());
        // A shorter list clears the pages behind its last.
        let pages = points.into_iter().chain(std::iter::repeat_with(Vec::new)).take(self.pages_told);
        self.session.set_points(pages);
        self.ask_present();
    }

    fn plant(&self) -> Arc<Plant> {
        Arc::clone(&self.uplink.plant.borrow())
    }

    fn push(&mut self, topic: String, payload: Vec<u8>, retain: bool, what: LooseKind) {
        self.session.push(Loose { topic, payload, retain, what });
    }

    fn push_state(&mut self) {
        let (last, journal) = self.present();
        let now = self.uplink.now();
        let state = {
            let (sources, model) = (self.uplink.sources.borrow(), self.uplink.model.borrow());
            let present = Present { last, journal: &journal, sources: &sources, model: &model };
            wire::state_bytes(Status::Online, Some(present), now, &self.uplink.origin)
        };
        self.told = Some((last, journal));
        self.state_changed = false;
        self.push("state".to_owned(), state, true, LooseKind::State);
    }

    /// What `state` tells of lanes and journal, as it is now.
    fn present(&self) -> (LastSequences, Head) {
        (self.session.sent(), self.committed.borrow().journal.clone())
    }

    /// What could not be committed in time goes out beside the lanes.
    fn tell_undurable(&mut self) {
        for (object, message) in self.uplink.undurable.news(&mut self.undurable_told) {
            let payload = undurable::bytes(&object, &message, &self.uplink.origin);
            self.push(message.topic, payload, false, LooseKind::Undurable);
        }
    }

    /// Each second: alive, and what has changed in `state`.
    fn turn(&mut self) {
        self.turns += 1;
        self.store_rests = false;
        self.journal_withheld();
        if std::mem::take(&mut self.spool_empty) {
            self.spool_read = false;
        }
        let in_flight = self.session.in_flight();
        self.uplink.status.send_modify(|status| {
            status.turns += 1;
            status.in_flight = in_flight;
        });
        let Some(connected) = self.connected else { return };
        if !self.session.is_announced() {
            self.ask_present();
        } else if self.session.state_is_told() && (self.state_changed || self.told != Some(self.present())) {
            self.push_state();
        }
        if self.session.is_announced() {
            self.tell_people(connected);
            self.tell_permits(connected);
        }
        if self.turns.is_multiple_of(GAP_EVERY_TURNS) {
            self.tell_dropped();
        }
    }

    /// Puts questions to the store: one of each kind is under way at a time.
    fn ask_store(&mut self) {
        self.ask_spool();
        if self.store_rests {
            return;
        }
        let last = self.committed.borrow().last;
        if !self.leasing
            && let Some(lease) = self.session.wants_lease(last)
        {
            self.leasing = true;
            let store = self.uplink.store.clone();
            self.asked.push(Box::pin(async move {
                Answer::Leased(lease, store.lease(lease.lane, lease.after, LEASE_ROWS).await)
            }));
        }
        if !self.acknowledging && self.acknowledge_at <= Instant::now() {
            let rows = self.session.take_acknowledged();
            if !rows.is_empty() {
                self.acknowledging = true;
                self.acknowledge_at = Instant::now() + ACKNOWLEDGE_EVERY;
                let (store, now) = (self.uplink.store.clone(), self.uplink.now());
                self.asked.push(Box::pin(async move {
                    let written = store.acknowledge(rows.clone(), now).await;
                    Answer::Acknowledged(rows, written)
                }));
            }
        }
        self.tell_refused();
        self.ask_replay();
    }

    /// The next page of the oldest resend; a resend that is done is answered.
    fn ask_replay(&mut self) {
        while self.session.replays().front().is_some_and(Replay::is_done) {
            if let Some(replay) = self.session.replays().pop_front() {
                self.reply(&replay.id, "resend", &Ok(replay.result()), false);
            }
        }
        if self.replaying {
            return;
        }
        let Some((lane, from, to)) = self.session.replays().front().and_then(Replay::wants) else { return };
        self.replaying = true;
        let store = self.uplink.store.clone();
        self.asked
            .push(Box::pin(async move { Answer::Replayed(store.range(lane, from, to, RESEND_PAGE).await) }));
    }

    fn ask_present(&mut self) {
        if self.asking_present {
            return;
        }
        self.asking_present = true;
        let store = self.uplink.store.clone();
        let present = async move {
            let (units, indicator) = (store.units().await?, store.indicator().await?);
            Ok(Box::new(Retained { units, indicator, outbox: store.outbox().await? }))
        };
        self.asked.push(Box::pin(async move { Answer::Retained(present.await) }));
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Leased(lease, rows) => {
                self.leasing = false;
                if let Some(rows) = self.heard("lease", rows) {
                    self.session.leased(lease, rows);
                }
            }
            Answer::Acknowledged(rows, written) => {
                self.acknowledging = false;
                if self.heard("acknowledge", written).is_none() {
                    self.session.put_back_acknowledged(rows);
                }
            }
            Answer::Replayed(rows) => {
                self.replaying = false;
                if let Some(rows) = self.heard("resend", rows)
                    && let Some(replay) = self.session.replays().front_mut()
                {
                    replay.read(rows);
                }
            }
            Answer::Retained(present) => {
                self.asking_present = false;
                if let Some(present) = self.heard("units", present) {
                    self.announce_present(&present);
                }
            }
            Answer::GapTold(count, rest) => self.told_dropped(count, rest),
            Answer::Spooled(next) => self.spooled(next),
            // It is sent once more: the receiver has the same readings twice.
            Answer::Unspooled(removed) => self.spool_did("remove what was acknowledged from", removed),
            Answer::Refused(row, told) => {
                self.telling -= 1;
                let message = format!("{} {}", row.message.topic, row.message.object);
                if self.heard("refused", told).is_none() {
                    self.session.put_back_refused(row);
                } else {
                    Happening::MessageRefused { message: &message }.emit();
                    self.uplink.status.send_modify(|status| status.refused += 1);
                }
            }
            Answer::Commanded(given, verdict) => self.commanded(&given, verdict),
            Answer::Written(what, written) => {
                // Told in the log; there is nothing to take back.
                let _told = self.heard(what, written);
            }
        }
    }

    /// What the store failed to do is asked again in a second, not at once.
    fn heard<T>(&mut self, what: &'static str, answer: Result<T, StoreError>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.store_fails.remove(what);
                Some(answer)
            }
            Err(error) => {
                self.store_rests = true;
                let error = chain(&error);
                if self.store_fails.get(what) != Some(&error) {
                    tracing::warn!(what, error, "the store did not do what the uplink asked");
                    self.store_fails.insert(what, error);
                }
                None
            }
        }
    }

    /// State, the indicators, and the retained risk of each unit of the plant; the topics of units that are gone are cleared. Their
    /// records stay: should a unit come back, its revisions count on.
    fn announce_present(&mut self, present: &Retained) {
        let mut sent = LastSequences::default();
        for lane in &present.outbox.lanes {
            sent.set(lane.lane, lane.sent);
        }
        self.session.announce(sent);
        self.push_state();
        if let Some(of) = &present.indicator {
            let payload = wire::indicator_again_bytes(of, &self.uplink.origin);
            self.push("indicator".to_owned(), payload, true, LooseKind::Indicator);
        }
        let plant = self.plant();
        for record in &present.units {
            let topic = wire::risk_topic(&record.unit);
            let payload = match plant.unit(&record.unit) {
                Some(_) => wire::risk_again_bytes(record, &plant, &self.uplink.origin),
                None => Vec::new(),
            };
            self.push(topic, payload, true, LooseKind::Risk);
        }
        self.units_before(present.units.iter().map(|record| record.unit.clone()));
    }

    /// Publishes what the window has room for. False where the client takes nothing more.
    fn hand_over(&mut self) -> bool {
        while let Some(outgoing) = self.session.next(self.age()) {
            let (topic, payload, retain, sent) = self.packed(outgoing);
            if payload.len() > PAYLOAD_BYTES_MAX {
                // Rows and telemetry are bounded where they are made: this is a state or a birth.
                tracing::error!(
                    topic,
                    bytes = payload.len(),
                    "a message is too large to publish; it is left out"
                );
                continue;
            }
            let bytes = payload.len();
            let receipt = self.client.publish(&topic, payload, retain);
            let ticket = self.session.handed_over(sent, bytes, self.age());
            let Some(receipt) = receipt else { return false };
            self.flying.push(Box::pin(async move { (ticket, receipt.acknowledged().await) }));
            // A resend's answer goes behind its last row, and the rows of its next page behind these.
            self.ask_replay();
        }
        true
    }

    fn packed(&mut self, outgoing: Outgoing) -> (String, Vec<u8>, bool, Sent) {
        let origin = &self.uplink.origin;
        match outgoing {
            Outgoing::Loose(Loose { topic, payload, retain, what }) => {
                (self.uplink.topic(&topic), payload, retain, Sent::Loose { what, topic })
            }
            Outgoing::Row(row) => {
                let late = row.sequence <= self.before.of(row.message.lane);
                let payload = wire::row_bytes(&row, origin, late);
                let sent = Sent::Row { seq: row.seq, lane: row.message.lane, sequence: row.sequence };
                // The topics tell the present already, and those of units that are gone are cleared: neither an older
                // message nor one of such a unit becomes the retained one.
                let retain = row.message.retain && !late && !self.is_of_gone_unit(&row.message);
                (self.uplink.topic(&row.message.topic), payload, retain, sent)
            }
            // An old message must not become the retained one.
            Outgoing::Again(row) => {
                let payload = wire::row_bytes(&row, origin, true);
                (self.uplink.topic(&row.message.topic), payload, false, Sent::Again)
            }
            Outgoing::Telemetry(chunk) => {
                let payload = self.telemetry_bytes(&chunk);
                (self.uplink.topic("telemetry"), payload, false, Sent::Telemetry(chunk))
            }
        }
    }

    fn is_of_gone_unit(&self, message: &Message) -> bool {
        message.kind == "riskgate.risk.v1" && self.uplink.plant.borrow().unit(&message.object).is_none()
    }

    /// Since this connection was begun.
    fn age(&self) -> Duration {
        self.began.elapsed()
    }

    fn acknowledged(&mut self, ticket: Ticket) {
        let is_first = !self.session.has_acknowledged();
        let Some(sent) = self.session.acknowledge(ticket, self.age()) else { return };
        if is_first && self.session.has_acknowledged() {
            // What was sent with it is acknowledged in a moment: one write for all.
            self.acknowledge_at = self.acknowledge_at.max(Instant::now() + ACKNOWLEDGE_EVERY);
        }
        match sent {
            Sent::Row { .. } => self.uplink.status.send_modify(|status| status.acknowledged += 1),
            Sent::Telemetry(chunk) => {
                self.uplink.status.send_modify(|status| status.readings += chunk.count());
                let spooled_meanwhile = self.uplink.telemetry.settled(chunk.ticket);
                self.unspool(chunk.spooled.or(spooled_meanwhile));
                if self.draining {
                    self.batch_telemetry();
                }
            }
            Sent::Loose { .. } | Sent::Again => {}
        }
    }

    /// Tells `state: stopped`, writes the acknowledgements that are in hand, says goodbye.
    async fn stop(&mut self) -> End {
        if self.connected.is_none() {
            return End::Stopped;
        }
        let now = self.uplink.now();
        let (last, journal) = self.present();
        let state = {
            let (sources, model) = (self.uplink.sources.borrow(), self.uplink.model.borrow());
            let present = Present { last, journal: &journal, sources: &sources, model: &model };
            wire::state_bytes(Status::Stopped, Some(present), now, &self.uplink.origin)
        };
        let told = self.client.publish(&self.uplink.topic("state"), state, true);
        let rows = self.session.take_acknowledged();
        let last_words = async {
            if let Some(receipt) = told
                && !receipt.acknowledged().await
            {
                tracing::warn!("the broker did not take 'state: stopped'");
            }
            if let Err(error) = self.uplink.store.acknowledge(rows, now).await {
                tracing::warn!(error = chain(&error), "the last acknowledgements were not written");
            }
        };
        if timeout(STOP_WITHIN, last_words).await.is_err() {
            tracing::warn!("stopping: the broker took too long");
        }
        self.client.disconnect();
        End::Stopped
    }
}
