//! `[[source]]` of kind `mqtt`.

use std::collections::BTreeMap;
use std::time::Duration;

use riskgate_drivers::mqtt;
use riskgate_point::SourceId;

use super::{Kind, STALE_MAX, STALE_MIN, Source};
use crate::config::address;
use crate::config::fields::Fields;
use crate::config::secret::{SecretFile, Whose};
use crate::config::site::{MQTT_PORT, Site, host_and_port, user};
use crate::config::tls;

/// The port of a broker under TLS.
const MQTTS_PORT: u16 = 8883;
const VERSIONS: [(&str, mqtt::Versions); 3] = [
    ("auto", mqtt::Versions::Both),
    ("3.1.1", mqtt::Versions::Only(mqtt::Version::V3)),
    ("5", mqtt::Versions::Only(mqtt::Version::V5)),
];
/// Of a feed that has a heartbeat and does not say how long it may be silent.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(60);

pub(super) fn feed(
    fields: &mut Fields<'_>,
    place: SourceId,
    site: &Site,
    secrets: &mut Vec<SecretFile>,
    source: &mut Source,
) {
    let tls = tls::settings(fields);
    let (host, port) = host_and_port(fields, if fields.has("tls") { MQTTS_PORT } else { MQTT_PORT });
    let default_client = format!("riskgate-{}-{}", site.gateway, source.id);
    let client_id = fields.text("client_id").map_or(default_client, |id| id.value);
    let versions = fields.word("version", &VERSIONS).unwrap_or_default();
    let user = user(fields, Whose::Source(place), secrets).map(|user| (user, String::new()));
    let mut subscriptions = Vec::new();
    source.stale_after = fields.duration("stale_after", STALE_MIN..=STALE_MAX);
    if let Some(filter) = topic_filter(fields, "heartbeat", false) {
        subscriptions.push(mqtt::Subscription { filter, what: mqtt::What::Heartbeat });
        source.stale_after = source.stale_after.or(Some(DEFAULT_HEARTBEAT));
    }
    let status = fields.table("status").and_then(status);
    let said = fields.tables("fixes").into_iter().map(fixes);
    let said: Vec<_> = said.chain(fields.tables("sightings").into_iter().map(sightings)).collect();
    subscriptions.extend(said.into_iter().flatten());
    source.fixes = fields.has("fixes");
    source.sightings = fields.has("sightings");
    // Its own last will tells that it is dead as well.
    let is_missed = source.stale_after.is_some() || fields.has("stale_after") || fields.has("status");
    if (source.fixes || source.sightings) && !is_missed {
        let hint =
            "write heartbeat = \"topic\", stale_after = \"60s\", or status where the feed has a last will"
                .to_owned();
        let message =
            "this feed has neither 'heartbeat' nor 'stale_after': only a lost link tells that it is dead";
        fields.faults().warning(fields.at(), message, hint);
    }
    let zone = site.timezone.clone();
    let feed =
        mqtt::Feed { source: place, host, port, client_id, versions, tls, user, zone, status, subscriptions };
    source.kind = Kind::Mqtt { feed, topics: BTreeMap::new() };
}

/// A topic where the feed says of itself whether it is there; mostly its last will says that it is not.
fn status(mut fields: Fields<'_>) -> Option<mqtt::Status> {
    let topic = fields.required_text("topic");
    if let Some(Err(wrong)) = topic.as_ref().map(|topic| address::exact_topic(&topic.value)) {
        fields.error("topic", wrong.message, wrong.hint);
    }
    let value = path(&mut fields, "value");
    let mut word = |key, default: &str| fields.text(key).map_or(default.to_owned(), |word| word.value);
    let (online, offline) = (word("online", "online"), word("offline", "offline"));
    if online.eq_ignore_ascii_case(&offline) {
        let hint = "write what the feed sends when it comes and what its last will says".to_owned();
        fields.error(
            "offline",
            format!("'{offline}' cannot say both that the feed is there and that it is not"),
            hint,
        );
    }
    fields.finish();
    Some(mqtt::Status { topic: topic?.value, value, online, offline })
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

/// Where one field of a fix or a sighting stands.
fn stands(fields: &mut Fields<'_>, key: &'static str) -> Option<mqtt::Where> {
    let text = fields.text(key)?;
    match mqtt::Where::parse(&text.value) {
        Ok(stands) => Some(stands),
        Err(wrong) => {
            let message = format!("'{}' is no place in a message: {}", wrong.text, wrong.why);
            let hint = "write $.camera, message:$.time (not from the element of `many` but from the whole), \
                        topic:2 (a level of the topic) or =CAM-07 (always this)";
            fields.error(key, message, hint.to_owned());
            None
        }
    }
}

fn required(fields: &mut Fields<'_>, key: &'static str) -> Option<mqtt::Where> {
    if !fields.has(key) {
        fields.missing(key);
    }
    stands(fields, key)
}

fn fixes(mut fields: Fields<'_>) -> Option<mqtt::Subscription> {
    let filter = topic_filter(&mut fields, "topic", true);
    let tag = required(&mut fields, "tag");
    let many = path(&mut fields, "many");
    let [person, role, zone, sos, time] =
        ["person", "role", "zone", "sos", "time"].map(|key| stands(&mut fields, key));
    fields.finish();
    let what = mqtt::What::Fixes(mqtt::FixFields { many, tag: tag?, person, role, zone, sos, time });
    Some(mqtt::Subscription { filter: filter?, what })
}

fn sightings(mut fields: Fields<'_>) -> Option<mqtt::Subscription> {
    let filter = topic_filter(&mut fields, "topic", true);
    let camera = required(&mut fields, "camera");
    let kind = required(&mut fields, "kind");
    let many = path(&mut fields, "many");
    let [confidence, time] = ["confidence", "time"].map(|key| stands(&mut fields, key));
    fields.finish();
    let fields = mqtt::SightingFields { many, camera: camera?, kind: kind?, confidence, time };
    Some(mqtt::Subscription { filter: filter?, what: mqtt::What::Sightings(fields) })
}
