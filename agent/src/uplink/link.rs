//! The work on one connection: moves rows from the store to the client and their acknowledgements back,
//! tells the retained topics, batches telemetry, answers commands.
//!
//! It never waits for one thing alone: what it asks of the store and of the broker is under way beside
//! everything else, so a slow disk holds up no state message and a slow broker no acknowledgement.

mod asked;
mod commands;
mod people;
mod permits;
mod present;
mod readings;
mod refused;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use riskgate_point::Wall;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use asked::{Answer, Asked};
use present::Newest;

use super::client::{Client, Event, PAYLOAD_BYTES_MAX};
use super::session::{Loose, LooseKind, Sent, Session, Ticket};
use super::spool;
use super::undurable::{self, Object};
use super::wire::people::ZoneCount;
use super::wire::{self, Present, Status};
use super::{STOP_WITHIN, Uplink, second};
use crate::causes::chain;
use crate::events::Event as Happening;
use crate::store::journal::Head;
use crate::store::{Committed, LastSequences};

/// While connected, drops are told at most this often: each gap is a row on the card.
const GAP_EVERY_TURNS: u64 = 60;

/// Each write of acknowledgements is a sync of the card, and what a crash loses of them is only sent twice.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_millis(200);

/// Why the work ended.
pub(super) enum End {
    Stopped,
    Lost(&'static str),
}

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
    /// The retained topics do not tell the present yet.
    present_due: bool,
    newest: Newest,
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
            present_due: false,
            newest: Newest::default(),
            store_rests: false,
            store_fails: BTreeMap::new(),
            connected: None,
            before: LastSequences::default(),
            told: None,
            state_changed: false,
            turns: 0,
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

    fn push(&mut self, topic: String, payload: Vec<u8>, retain: bool, what: LooseKind) {
        self.session.push(Loose { topic, payload, retain, what });
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
        if self.present_due {
            self.ask_present();
        }
        if self.session.is_announced()
            && self.session.state_is_told()
            && (self.state_changed || self.told != Some(self.present()))
        {
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

    /// Publishes what the window has room for. False where the client takes nothing more.
    fn hand_over(&mut self) -> bool {
        while let Some(outgoing) = self.session.next(self.age()) {
            let Some((topic, payload, retain, sent)) = self.packed(outgoing) else { continue };
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
