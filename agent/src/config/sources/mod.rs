//! `[[source]]`: the connections into the plant, a file for each protocol. Their points come from the point
//! tables and are added in `binding`.

mod events;
mod messages;
pub(super) mod modbus;
mod modbus_line;
pub(super) mod mqtt;
mod opcua;
mod subscriptions;

use std::time::Duration;

use riskgate_engine::{Class, SourceDraft};
use riskgate_point::SourceId;

use messages::NameOf;

use super::document::Document;
use super::fields::{Fields, Origin};
use super::model::Model;
use super::place::{Faults, Place};
use super::secret::SecretFile;
use super::site::{Site, level};
use super::values::suggest;
use modbus_line::Way;

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
    /// The names of the plant that its messages are told to mean.
    names: Vec<messages::Named>,
    /// Of its points where their rows do not say, and of its fixes, sightings and permits.
    pub(super) stale_after: Option<Duration>,
}

pub(super) enum Kind {
    Modbus {
        device: riskgate_drivers::modbus::Device,
        habits: modbus::Habits,
    },
    Opcua(riskgate_drivers::opcua::Server),
    Mqtt(Box<mqtt::Gathered>),
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

/// What a source speaks.
#[derive(Clone, Copy)]
enum Speaks {
    Modbus(Way),
    Opcua,
    Mqtt,
}

const KINDS: [(&str, Speaks); 6] = [
    ("modbus-tcp", Speaks::Modbus(Way::Tcp)),
    ("modbus-rtu", Speaks::Modbus(Way::Serial)),
    ("modbus-rtu-tcp", Speaks::Modbus(Way::RtuOverTcp)),
    ("modbus-dial-in", Speaks::Modbus(Way::DialIn)),
    ("opcua", Speaks::Opcua),
    ("mqtt", Speaks::Mqtt),
];

/// Every source that has an id. `site` names this agent to the brokers, and says in which zone its times are.
pub(super) fn read(
    document: &Document<'_>,
    site: &Site,
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
        sources.extend(source(fields, place, site, secrets));
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
    site: &Site,
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
        names: Vec::new(),
        stale_after: None,
    };
    match fields.required_word("kind", &KINDS) {
        Some(Speaks::Modbus(way)) => source.kind = modbus::device(&mut fields, place, way),
        Some(Speaks::Opcua) => {
            source.kind = opcua::server(&mut fields, place, secrets);
            source.events = events::read(&mut fields, &mut source.kind);
        }
        Some(Speaks::Mqtt) => mqtt::feed(&mut fields, place, site, secrets, &mut source),
        // Which keys it may have hangs on the kind: of the rest nothing can be said.
        None => return id.map(|_| source),
    }
    fields.finish();
    id.map(|_| source)
}

impl Source {
    /// Zones, units and cameras that its messages are told to mean.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|named| named.name.value.as_str())
    }

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
    /// No more points come: gives back the room for them.
    pub(super) fn close(&mut self) {
        match &mut self.kind {
            Kind::Modbus { device, .. } => device.points.shrink_to_fit(),
            Kind::Opcua(server) => server.points.shrink_to_fit(),
            Kind::Mqtt(_) | Kind::Unknown => {}
        }
    }

    pub(super) fn into_config(self, id: SourceId) -> Option<SourceConfig> {
        let driver = match self.kind {
            Kind::Modbus { device, .. } => Driver::Modbus(device),
            Kind::Opcua(server) => Driver::Opcua(server),
            Kind::Mqtt(gathered) => Driver::Mqtt(gathered.into_feed()),
            Kind::Unknown => return None,
        };
        Some(SourceConfig { id, name: self.id, driver })
    }
}

/// Cameras and zones that messages are told to mean must be there. A camera's own name needs no map.
pub(super) fn check_names(sources: &mut [Source], model: &Model, faults: &Faults) {
    if faults.has_unreadable_part() {
        return;
    }
    let cameras: Vec<&str> = model.cameras.iter().map(|(camera, _)| camera.id.as_str()).collect();
    let zones: Vec<&str> = model.zones.iter().map(|(zone, _)| zone.id.as_str()).collect();
    let units = model.units.iter().map(|(unit, _)| unit.id.as_str());
    let places: Vec<&str> = zones.iter().copied().chain(units).collect();
    for source in sources {
        for messages::Named { what, name } in &source.names {
            let (known, of) = match what {
                NameOf::Camera => (&cameras, "camera"),
                NameOf::Zone => (&zones, "zone"),
                NameOf::Place => (&places, "zone or unit"),
            };
            if !name.value.is_empty() && !known.contains(&name.value.as_str()) {
                let hint = suggest(&name.value, known.iter().copied());
                faults.error(name.place, format!("there is no {of} '{}'", name.value), hint);
            }
        }
        if let Kind::Mqtt(gathered) = &mut source.kind {
            gathered.feed.know_cameras(&cameras);
        }
    }
}

/// What can only be said once every point has found its source.
pub(super) fn check_whole(sources: &[Source], uplink: (&str, u16, &str), faults: &Faults) {
    modbus_line::check_shared(sources, faults);
    let mut clients: Vec<(&str, u16, &str, Option<Place>)> = vec![(uplink.0, uplink.1, uplink.2, None)];
    for source in sources {
        let is_feed = source.fixes || source.sightings || source.permits || source.events.is_some();
        let is_read = source.named || is_feed;
        if !is_read && !faults.has_unreadable_part() {
            let message = format!("nothing is read of source '{}': no point names it", source.id);
            faults.warning(source.id_place, message, None);
        }
        let Kind::Mqtt(gathered) = &source.kind else { continue };
        let feed = &gathered.feed;
        let unread = gathered.lists.iter().filter(|list| list.topics.is_empty() && !faults.any_error());
        for list in unread {
            let message = format!("no row of a point table reads of the list '{}'", list.filter);
            let hint = "write the tag of an element as the address 地址 of a row".to_owned();
            faults.warning(list.place, message, hint);
        }
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
