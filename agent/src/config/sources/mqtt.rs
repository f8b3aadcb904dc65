//! `[[source]]` of kind `mqtt`: the connection. What is read of its messages is in `messages`.

use std::collections::BTreeMap;
use std::time::Duration;

use riskgate_drivers::mqtt;
use riskgate_point::SourceId;

use super::messages::{self, topic_filter};
use super::{Kind, STALE_MAX, STALE_MIN, Source};
use crate::config::fields::Fields;
use crate::config::secret::{SecretFile, Whose};
use crate::config::site::{MQTT_PORT, Site, host_and_port, user};

/// Of a feed that has a heartbeat and does not say how long it may be silent.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(60);

pub(super) fn feed(
    fields: &mut Fields<'_>,
    place: SourceId,
    site: &Site,
    secrets: &mut Vec<SecretFile>,
    source: &mut Source,
) {
    let (host, port) = host_and_port(fields, MQTT_PORT);
    let default_client = format!("riskgate-{}-{}", site.gateway, source.id);
    let client_id = fields.text("client_id").map_or(default_client, |id| id.value);
    let user = user(fields, Whose::Source(place), secrets).map(|user| (user, String::new()));
    let mut subscriptions = Vec::new();
    source.stale_after = fields.duration("stale_after", STALE_MIN..=STALE_MAX);
    if let Some(filter) = topic_filter(fields, "heartbeat") {
        subscriptions.push(mqtt::Subscription { filter, what: mqtt::What::Heartbeat });
        source.stale_after = source.stale_after.or(Some(DEFAULT_HEARTBEAT));
    }
    subscriptions.extend(messages::read(fields, source));
    if (source.fixes || source.sightings) && source.stale_after.is_none() && !fields.has("stale_after") {
        let hint = "write heartbeat = \"topic\" or stale_after = \"60s\"".to_owned();
        let message =
            "this feed has neither 'heartbeat' nor 'stale_after': only a lost link tells that it is dead";
        fields.faults().warning(fields.at(), message, hint);
    }
    let zone = site.timezone.clone();
    let feed = mqtt::Feed { source: place, host, port, client_id, user, zone, subscriptions };
    source.kind = Kind::Mqtt { feed, topics: BTreeMap::new() };
}
