//! `[[source]]`: the connections into the plant, a file for each protocol. Their points come from the point
//! tables and are added in `binding`.

mod events;
pub(super) mod modbus;
mod mqtt;
mod opcua;
mod subscriptions;

use std::collections::BTreeMap;
use std::time::Duration;

use riskgate_drivers::modbus::Order;
use riskgate_engine::{Class, SourceDraft};
use riskgate_point::SourceId;

use super::document::Document;
use super::fields::{Fields, Origin};
use super::place::{Faults, Place};
use super::secret::SecretFile;
use super::site::level;

/// One source, ready to be run by its driver.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    pub id: SourceId,
    /// The id that the files give it.
    pub name: String,
    pub driver: Driver,
}

#[derive(Debug, Clone)]
pub enum Driver {
    Modbus(riskgate_drivers::modbus::Device),
    Opcua(riskgate_drivers::opcua::Server),
    Mqtt(riskgate_drivers::mqtt::Feed),
}

/// A source while its points are being gathered.
pub(super) struct Source {
    pub(super) id: String,
    pub(super) id_place: Place,
    pub(super) name: String,
    pub(super) origin: Origin,
    pub(super) kind: Kind,
    pub(super) fixes: bool,
    pub(super) sightings: bool,
    pub(super) permits: bool,
    /// It tells of the alarms that it keeps itself, which are of this class.
    pub(super) events: Option<Class>,
    /// A row of a point table names it.
    pub(super) named: bool,
    /// Of its points where their rows do not say, and of its fixes, sightings and permits.
    pub(super) stale_after: Option<Duration>,
}

pub(super) enum Kind {
    Modbus {
        device: riskgate_drivers::modbus::Device,
        base: u16,
        order: Order,
    },
    Opcua(riskgate_drivers::opcua::Server),
    Mqtt {
        feed: riskgate_drivers::mqtt::Feed,
        topics: BTreeMap<String, Vec<riskgate_drivers::mqtt::Point>>,
    },
    /// `kind` is missing or wrong: its points cannot be checked further.
    Unknown,
}

/// Faster polls are more load than a PLC's communication task is made for.
const PERIOD_MIN: Duration = Duration::from_millis(50);
const PERIOD_MAX: Duration = Duration::from_secs(3600);
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
pub(super) const STALE_MIN: Duration = Duration::from_millis(100);
pub(super) const STALE_MAX: Duration = Duration::from_secs(7 * 86400);

const KINDS: [(&str, &str); 3] = [("modbus-tcp", "modbus-tcp"), ("opcua", "opcua"), ("mqtt", "mqtt")];

/// Every source that has an id. `gateway` names this agent to the brokers.
pub(super) fn read(
    document: &Document<'_>,
    gateway: &str,
    faults: &Faults,
    secrets: &mut Vec<SecretFile>,
) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for entry in document.many("source") {
        let fields = entry.fields(faults);
        let Ok(place) = u16::try_from(sources.len()).map(SourceId) else {
            fields.error("id", "there are more than 65535 sources", None);
            break;
        };
        sources.extend(source(fields, place, gateway, secrets));
    }
    if document.many("source").is_empty() {
        let hint = "write a [[source]] with id, name and kind".to_owned();
        faults.error(Place::NOWHERE, "no file has a [[source]]: there is nothing to read", hint);
    }
    sources
}

fn source(
    mut fields: Fields<'_>,
    place: SourceId,
    gateway: &str,
    secrets: &mut Vec<SecretFile>,
) -> Option<Source> {
    let id = fields.required_text("id");
    if let Some(id) = &id {
        level(fields.faults(), id);
    }
    let name = fields.required_text("name").map(|name| name.value).unwrap_or_default();
    let mut source = Source {
        id: id.as_ref().map(|id| id.value.clone()).unwrap_or_default(),
        id_place: fields.place("id"),
        name,
        origin: fields.origin(),
        kind: Kind::Unknown,
        fixes: false,
        sightings: false,
        permits: false,
        events: None,
        named: false,
        stale_after: None,
    };
    match fields.required_word("kind", &KINDS) {
        Some("modbus-tcp") => source.kind = modbus::device(&mut fields, place),
        Some("opcua") => {
            source.kind = opcua::server(&mut fields, place, secrets);
            source.events = events::read(&mut fields, &mut source.kind);
        }
        Some(_) => mqtt::feed(&mut fields, place, gateway, secrets, &mut source),
        // Which keys it may have hangs on the kind: of the rest nothing can be said.
        None => return id.map(|_| source),
    }
    fields.finish();
    id.map(|_| source)
}

impl Source {
    pub(super) fn draft(&self) -> SourceDraft {
        SourceDraft {
            id: self.id.clone(),
            name: self.name.clone(),
            fixes: self.fixes,
            sightings: self.sightings,
            permits: self.permits,
            events: self.events,
            stale_after: self.stale_after,
        }
    }

    /// `None` where the kind is not known; that was reported.
    pub(super) fn into_config(self, id: SourceId) -> Option<SourceConfig> {
        let driver = match self.kind {
            Kind::Modbus { device, .. } => Driver::Modbus(device),
            Kind::Opcua(server) => Driver::Opcua(server),
            Kind::Mqtt { mut feed, topics } => {
                let points = |(filter, points)| riskgate_drivers::mqtt::Subscription {
                    filter,
                    what: riskgate_drivers::mqtt::What::Points(points),
                };
                feed.subscriptions.extend(topics.into_iter().map(points));
                Driver::Mqtt(feed)
            }
            Kind::Unknown => return None,
        };
        Some(SourceConfig { id, name: self.id, driver })
    }
}

/// What can only be said once every point has found its source.
pub(super) fn check_whole(sources: &[Source], uplink: (&str, u16, &str), faults: &Faults) {
    let mut clients: Vec<(&str, u16, &str, Option<Place>)> = vec![(uplink.0, uplink.1, uplink.2, None)];
    for source in sources {
        let is_feed = source.fixes || source.sightings || source.permits || source.events.is_some();
        let is_read = source.named || is_feed;
        if !is_read && !faults.has_unreadable_part() {
            let message = format!("nothing is read of source '{}': no point names it", source.id);
            faults.warning(source.id_place, message, None);
        }
        let Kind::Mqtt { feed, topics: _ } = &source.kind else { continue };
        let client = (feed.host.as_str(), feed.port, feed.client_id.as_str());
        let taken = clients.iter().find(|(host, port, id, _)| (*host, *port, *id) == client);
        if let Some((_, _, id, other)) = taken {
            let place = source.origin.of("client_id");
            let message =
                format!("client_id '{id}' is used twice at this broker: each would throw the other out");
            match other {
                Some(other) => faults.error_with(place, message, *other, "the other one", None),
                None => faults.error(place, message, "[uplink] uses it".to_owned()),
            }
        }
        clients.push((client.0, client.1, client.2, Some(source.origin.of("client_id"))));
    }
}
