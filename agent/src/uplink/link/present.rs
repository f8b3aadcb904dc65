//! The retained topics on one connection: told anew when it is up and with each new configuration, and then by the rows
//! as they are committed.
//!
//! What is told anew is read from the store while rows go on: either may overtake the other. So of each topic nothing
//! is retained that is older than what was retained on this connection, whichever way it came.

use std::collections::HashMap;
use std::sync::Arc;

use riskgate_engine::{IndicatorRecord, Plant, UnitRecord};

use super::Link;
use super::asked::Answer;
use crate::store::journal::Head;
use crate::store::{LastSequences, Message, OutboxView};
use crate::uplink::birth::{Birth, birth};
use crate::uplink::session::{Loose, LooseKind, Outgoing, Sent};
use crate::uplink::wire::{self, Present, Status};

/// What the retained topics say.
pub(super) struct Retained {
    units: Vec<UnitRecord>,
    indicator: Option<IndicatorRecord>,
    outbox: OutboxView,
}

/// The newest revision that was retained on each topic, on this connection.
#[derive(Default)]
pub(super) struct Newest(HashMap<String, u64>);

impl Newest {
    /// A row: one of the same revision was made before, and with another plant.
    fn is_told(&mut self, topic: &str, revision: u64) -> bool {
        let is_news = self.0.get(topic).is_none_or(|newest| *newest < revision);
        if is_news {
            self.0.insert(topic.to_owned(), revision);
        }
        is_news
    }

    /// The present state, as the store had it. Of the same revision it goes again: the plant may be another.
    fn is_told_anew(&mut self, topic: &str, revision: u64) -> bool {
        self.is_told(topic, revision) || self.0.get(topic) == Some(&revision)
    }
}

impl Link<'_> {
    /// Birth at once, the pages of a long list of points when nothing more urgent waits; state and the risk of every unit as soon as the store has told them.
    pub(super) fn announce(&mut self) {
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
        self.present_due = true;
        self.ask_present();
    }

    fn plant(&self) -> Arc<Plant> {
        Arc::clone(&self.uplink.plant.borrow())
    }

    pub(super) fn push_state(&mut self) {
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
    pub(super) fn present(&self) -> (LastSequences, Head) {
        (self.session.sent(), self.committed.borrow().journal.clone())
    }

    pub(super) fn ask_present(&mut self) {
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

    /// State, the indicators, and the retained risk of each unit of the plant; the topics of units that are gone are cleared. Their
    /// records stay: should a unit come back, its revisions count on.
    pub(super) fn announce_present(&mut self, present: &Retained) {
        let mut sent = LastSequences::default();
        for lane in &present.outbox.lanes {
            sent.set(lane.lane, lane.sent);
        }
        self.session.announce(sent);
        self.push_state();
        if let Some(of) = &present.indicator {
            let payload = wire::indicator_again_bytes(of, &self.uplink.origin);
            let what = LooseKind::Present { revision: of.revision };
            self.push("indicator".to_owned(), payload, true, what);
        }
        let plant = self.plant();
        for record in &present.units {
            let topic = wire::risk_topic(&record.unit);
            let (payload, what) = match plant.unit(&record.unit) {
                Some(_) => {
                    let what = LooseKind::Present { revision: record.revision };
                    (wire::risk_again_bytes(record, &plant, &self.uplink.origin), what)
                }
                None => (Vec::new(), LooseKind::Cleared),
            };
            self.push(topic, payload, true, what);
        }
        self.units_before(present.units.iter().map(|record| record.unit.clone()));
    }

    /// As it goes. `None`: what is retained there is newer already.
    pub(super) fn packed(&mut self, outgoing: Outgoing) -> Option<(String, Vec<u8>, bool, Sent)> {
        let origin = &self.uplink.origin;
        Some(match outgoing {
            Outgoing::Loose(Loose { topic, payload, retain, what }) => {
                if let LooseKind::Present { revision } = what
                    && !self.newest.is_told_anew(&topic, revision)
                {
                    return None;
                }
                (self.uplink.topic(&topic), payload, retain, Sent::Loose { what, topic })
            }
            Outgoing::Row(row) => {
                let late = row.sequence <= self.before.of(row.message.lane);
                let payload = wire::row_bytes(&row, origin, late);
                let sent = Sent::Row { seq: row.seq, lane: row.message.lane, sequence: row.sequence };
                // The topics tell the present already, and those of units that are gone are cleared: neither an older
                // message nor one of such a unit becomes the retained one.
                let retain = row.message.retain
                    && !late
                    && !self.is_of_gone_unit(&row.message)
                    && self.newest.is_told(&row.message.topic, row.message.revision);
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
        })
    }

    fn is_of_gone_unit(&self, message: &Message) -> bool {
        message.kind == "riskgate.risk.v1" && self.uplink.plant.borrow().unit(&message.object).is_none()
    }
}
