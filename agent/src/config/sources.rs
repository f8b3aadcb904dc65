//! `[[source]]`: the connections into the plant. Their points come from the point tables and are added here.

use std::collections::BTreeMap;
use std::time::Duration;

use riskgate_drivers::modbus::{self, Order};
use riskgate_drivers::{mqtt, opcua};
use riskgate_engine::SourceDraft;
use riskgate_point::SourceId;

use super::address;
use super::document::Document;
use super::fields::{Fields, Origin};
use super::place::{Faults, Place};
use super::secret::{SecretFile, Whose};
use super::site::{MQTT_PORT, host_and_port, level, user};

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
    Modbus(modbus::Device),
    Opcua(opcua::Server),
    Mqtt(mqtt::Feed),
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
    /// A row of a point table names it.
    pub(super) named: bool,
    /// Of its points where their rows do not say, and of its fixes and sightings.
    pub(super) stale_after: Option<Duration>,
}

pub(super) enum Kind {
    Modbus {
        device: modbus::Device,
        base: u16,
        order: Order,
    },
    Opcua(opcua::Server),
    Mqtt {
        feed: mqtt::Feed,
        topics: BTreeMap<String, Vec<mqtt::Point>>,
    },
    /// `kind` is missing or wrong: its points cannot be checked further.
    Unknown,
}

const MODBUS_PORT: u16 = 502;
/// Faster polls are more load than a PLC's communication task is made for.
const PERIOD_MIN: Duration = Duration::from_millis(50);
const PERIOD_MAX: Duration = Duration::from_secs(3600);
const DEFAULT_PERIOD: Duration = Duration::from_secs(1);
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(500);
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The Modbus specification: one reply holds at most 125 registers.
const REGISTERS_MAX: u16 = 125;
const DEFAULT_GAP: u16 = 8;
const DEFAULT_PUBLISHING: Duration = Duration::from_millis(250);
const DEFAULT_SAMPLING: Duration = Duration::from_millis(100);
const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(5);
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(600);
const DEFAULT_QUEUE: u32 = 10;
/// Values of one item between two publishings; more is history, not monitoring.
const QUEUE_MAX: u32 = 1000;
/// Of a feed that has a heartbeat and does not say how long it may be silent.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(60);
pub(super) const STALE_MIN: Duration = Duration::from_millis(100);
pub(super) const STALE_MAX: Duration = Duration::from_secs(7 * 86400);

const KINDS: [(&str, &str); 3] = [("modbus-tcp", "modbus-tcp"), ("opcua", "opcua"), ("mqtt", "mqtt")];

pub(super) const ORDERS: [(&str, Order); 4] =
    [("ABCD", Order::Abcd), ("CDAB", Order::Cdab), ("BADC", Order::Badc), ("DCBA", Order::Dcba)];

/// As vendors' lists say it, each with the bytes of a word in Modbus's own order.
pub(super) const ORDERS_ZH: [(&str, Order); 2] = [("高字在前", Order::Abcd), ("低字在前", Order::Cdab)];

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
        named: false,
        stale_after: None,
    };
    match fields.required_word("kind", &KINDS) {
        Some("modbus-tcp") => source.kind = device(&mut fields, place),
        Some("opcua") => source.kind = server(&mut fields, place, secrets),
        Some(_) => feed(&mut fields, place, gateway, secrets, &mut source),
        // Which keys it may have hangs on the kind: of the rest nothing can be said.
        None => return id.map(|_| source),
    }
    fields.finish();
    id.map(|_| source)
}

fn device(fields: &mut Fields<'_>, source: SourceId) -> Kind {
    let (host, port) = host_and_port(fields, MODBUS_PORT);
    let timeouts = TIMEOUT_MIN..=TIMEOUT_MAX;
    let device = modbus::Device {
        source,
        host,
        port,
        device_id: fields.integer("device_id", 0..=u8::MAX).unwrap_or(1),
        period: fields.duration("period", PERIOD_MIN..=PERIOD_MAX).unwrap_or(DEFAULT_PERIOD),
        timeout: fields.duration("timeout", timeouts.clone()).unwrap_or(DEFAULT_TIMEOUT),
        connect_timeout: fields.duration("connect_timeout", timeouts).unwrap_or(DEFAULT_CONNECT_TIMEOUT),
        gap_max: fields.integer("gap_max", 0..=REGISTERS_MAX - 1).unwrap_or(DEFAULT_GAP),
        registers_max: fields.integer("registers_max", 1..=REGISTERS_MAX).unwrap_or(REGISTERS_MAX),
        points: Vec::new(),
    };
    let base = fields.integer("address_base", 0..=u16::MAX).unwrap_or(0);
    let order = fields.word("order", &ORDERS).unwrap_or_default();
    Kind::Modbus { device, base, order }
}

fn server(fields: &mut Fields<'_>, source: SourceId, secrets: &mut Vec<SecretFile>) -> Kind {
    let url = fields.required_text("url").map(|url| url.value).unwrap_or_default();
    if let Err(wrong) = address::opcua_url(&url)
        && !url.is_empty()
    {
        fields.error("url", wrong.message, wrong.hint);
    }
    let publishing = fields.duration("publishing", TIMEOUT_MIN..=TIMEOUT_MAX).unwrap_or(DEFAULT_PUBLISHING);
    let keep_alive = fields.duration("keep_alive", PERIOD_MIN..=KEEP_ALIVE_MAX).unwrap_or(DEFAULT_KEEP_ALIVE);
    if keep_alive < publishing {
        let hint = "a keep-alive is sent at most once a publishing interval".to_owned();
        fields.error("keep_alive", "'keep_alive' is shorter than 'publishing'", hint);
    }
    Kind::Opcua(opcua::Server {
        source,
        url,
        publishing,
        sampling: fields.duration("sampling", TIMEOUT_MIN..=PERIOD_MAX).unwrap_or(DEFAULT_SAMPLING),
        queue: fields.integer("queue", 1..=QUEUE_MAX).unwrap_or(DEFAULT_QUEUE),
        keep_alive,
        user: user(fields, Whose::Source(source), secrets).map(|user| (user, String::new())),
        points: Vec::new(),
    })
}

fn feed(
    fields: &mut Fields<'_>,
    place: SourceId,
    gateway: &str,
    secrets: &mut Vec<SecretFile>,
    source: &mut Source,
) {
    let (host, port) = host_and_port(fields, MQTT_PORT);
    let default_client = format!("riskgate-{gateway}-{}", source.id);
    let client_id = fields.text("client_id").map_or(default_client, |id| id.value);
    let user = user(fields, Whose::Source(place), secrets).map(|user| (user, String::new()));
    let mut subscriptions = Vec::new();
    source.stale_after = fields.duration("stale_after", STALE_MIN..=STALE_MAX);
    if let Some(filter) = topic_filter(fields, "heartbeat", false) {
        subscriptions.push(mqtt::Subscription { filter, what: mqtt::What::Heartbeat });
        source.stale_after = source.stale_after.or(Some(DEFAULT_HEARTBEAT));
    }
    let said = fields.tables("fixes").into_iter().map(fixes);
    let said: Vec<_> = said.chain(fields.tables("sightings").into_iter().map(sightings)).collect();
    subscriptions.extend(said.into_iter().flatten());
    source.fixes = fields.has("fixes");
    source.sightings = fields.has("sightings");
    if (source.fixes || source.sightings) && source.stale_after.is_none() && !fields.has("stale_after") {
        let hint = "write heartbeat = \"topic\" or stale_after = \"60s\"".to_owned();
        let message =
            "this feed has neither 'heartbeat' nor 'stale_after': only a lost link tells that it is dead";
        fields.faults().warning(fields.at(), message, hint);
    }
    let feed = mqtt::Feed { source: place, host, port, client_id, user, subscriptions };
    source.kind = Kind::Mqtt { feed, topics: BTreeMap::new() };
}

fn topic_filter(fields: &mut Fields<'_>, key: &'static str, required: bool) -> Option<String> {
    let filter = if required { fields.required_text(key) } else { fields.text(key) }?;
    if let Err(wrong) = address::topic_filter(&filter.value) {
        fields.error(key, wrong.message, wrong.hint);
        return None;
    }
    Some(filter.value)
}

fn path(fields: &mut Fields<'_>, key: &'static str) -> Option<mqtt::Path> {
    let text = fields.text(key)?;
    match mqtt::Path::parse(&text.value) {
        Ok(path) => Some(path),
        Err(wrong) => {
            let message = format!("'{}' is no JSON path: {}", wrong.text, wrong.why);
            fields.error(key, message, "write $.value or $.data[0].value".to_owned());
            None
        }
    }
}

fn required_path(fields: &mut Fields<'_>, key: &'static str) -> Option<mqtt::Path> {
    if !fields.has(key) {
        fields.missing(key);
    }
    path(fields, key)
}

fn fixes(mut fields: Fields<'_>) -> Option<mqtt::Subscription> {
    let filter = topic_filter(&mut fields, "topic", true);
    let tag = required_path(&mut fields, "tag");
    let many = path(&mut fields, "many");
    let [person, role, zone, sos, time] =
        ["person", "role", "zone", "sos", "time"].map(|key| path(&mut fields, key));
    fields.finish();
    let what = mqtt::What::Fixes(mqtt::FixFields { many, tag: tag?, person, role, zone, sos, time });
    Some(mqtt::Subscription { filter: filter?, what })
}

fn sightings(mut fields: Fields<'_>) -> Option<mqtt::Subscription> {
    let filter = topic_filter(&mut fields, "topic", true);
    let camera = required_path(&mut fields, "camera");
    let kind = required_path(&mut fields, "kind");
    let [many, confidence, time] = ["many", "confidence", "time"].map(|key| path(&mut fields, key));
    fields.finish();
    let fields = mqtt::SightingFields { many, camera: camera?, kind: kind?, confidence, time };
    Some(mqtt::Subscription { filter: filter?, what: mqtt::What::Sightings(fields) })
}

impl Source {
    pub(super) fn draft(&self) -> SourceDraft {
        SourceDraft {
            id: self.id.clone(),
            name: self.name.clone(),
            fixes: self.fixes,
            sightings: self.sightings,
            stale_after: self.stale_after,
        }
    }

    /// `None` where the kind is not known; that was reported.
    pub(super) fn into_config(self, id: SourceId) -> Option<SourceConfig> {
        let driver = match self.kind {
            Kind::Modbus { device, .. } => Driver::Modbus(device),
            Kind::Opcua(server) => Driver::Opcua(server),
            Kind::Mqtt { mut feed, topics } => {
                let points =
                    |(filter, points)| mqtt::Subscription { filter, what: mqtt::What::Points(points) };
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
        let is_read = source.named || source.fixes || source.sightings;
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
