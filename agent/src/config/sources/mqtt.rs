//! `[[source]]` of kind `mqtt`: the connection. What is read of its messages is in `messages`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use riskgate_drivers::mqtt::{self, Subscription, What};
use riskgate_point::SourceId;

use super::messages::{self, path, topic_filter};
use super::{Kind, STALE_MAX, STALE_MIN, Source};
use crate::config::address;
use crate::config::fields::Fields;
use crate::config::place::Place;
use crate::config::secret::SecretFile;
use crate::config::site::{MQTT_PORT, MQTTS_PORT, Site, host_and_port, user};
use crate::config::tls;
use crate::config::values::duration_text;

/// The port of a broker under TLS.
const VERSIONS: [(&str, mqtt::Versions); 3] = [
    ("auto", mqtt::Versions::Both),
    ("3.1.1", mqtt::Versions::Only(mqtt::Version::V3)),
    ("5", mqtt::Versions::Only(mqtt::Version::V5)),
];
/// Of a feed that has a heartbeat and does not say how long it may be silent.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(60);

/// Of Sparkplug nodes: three signs of life, and some air.
pub(in crate::config) const SPARKPLUG_STALE_MIN: Duration = Duration::from_secs(45);
const SPARKPLUG_STALE: Duration = Duration::from_secs(60);

/// A feed while its points are being gathered.
pub(in crate::config) struct Gathered {
    pub(in crate::config) feed: mqtt::Feed,
    /// Points with a topic of their own.
    pub(in crate::config) topics: BTreeMap<String, Vec<mqtt::Point>>,
    pub(in crate::config) lists: Vec<List>,
    pub(in crate::config) sparkplug: Option<Sparkplug>,
    /// A list is at fault, which was told: whether an address is of one cannot be said.
    pub(in crate::config) lists_unread: bool,
}

/// The edge nodes whose metrics rows read, by group and edge node.
pub(in crate::config) struct Sparkplug {
    pub(in crate::config) nodes: BTreeMap<(String, String), mqtt::EdgeNode>,
    /// The broker keeps births.
    pub(super) aware: bool,
}

/// Messages that list many points, each under a tag.
pub(in crate::config) struct List {
    pub(in crate::config) filter: String,
    pub(in crate::config) fields: Arc<mqtt::ListFields>,
    /// By topic and tag.
    pub(in crate::config) topics: BTreeMap<String, HashMap<Arc<str>, Vec<mqtt::Reading>>>,
    pub(super) place: Place,
}

impl Gathered {
    pub(super) fn into_feed(self) -> mqtt::Feed {
        let Self { mut feed, topics, lists, sparkplug, lists_unread: _ } = self;
        // It would speak for what else is read here, of which Frigate knows nothing.
        if feed.status.is_none() && topics.is_empty() && lists.is_empty() {
            feed.status = frigate_status(&feed.subscriptions);
        }
        let points = topics.into_iter().map(|(filter, points)| (filter, What::Points(points)));
        let listed = lists.into_iter().flat_map(|List { fields, topics, .. }| {
            let list =
                move |(topic, rows)| (topic, What::List(mqtt::List { fields: Arc::clone(&fields), rows }));
            topics.into_iter().map(list)
        });
        let all = points.chain(listed).map(|(filter, what)| Subscription { filter, what });
        feed.subscriptions.extend(all);
        for (aware, node) in sparkplug.into_iter().flat_map(Sparkplug::into_nodes) {
            if aware {
                let what = What::Births(Arc::clone(&node));
                feed.subscriptions.push(Subscription { filter: node.births_filter(), what });
            }
            feed.subscriptions.push(Subscription { filter: node.filter(), what: What::Sparkplug(node) });
        }
        feed
    }
}

impl Sparkplug {
    fn into_nodes(self) -> impl Iterator<Item = (bool, Arc<mqtt::EdgeNode>)> {
        let aware = self.aware;
        self.nodes.into_values().map(move |node| (aware, Arc::new(node)))
    }
}

/// The broker's word keeps the points of nodes alive, and is asked for so often. A source of nodes reads
/// nothing else, whose death no broker tells.
fn check_sparkplug(fields: &Fields<'_>, source: &mut Source) {
    source.stale_after = source.stale_after.or(Some(SPARKPLUG_STALE));
    if source.stale_after.is_some_and(|after| after < SPARKPLUG_STALE_MIN) {
        let message = "nodes tell only what changes, and the broker is asked for a sign of life each 15 s";
        let hint = format!("write {} or more", duration_text(SPARKPLUG_STALE_MIN));
        fields.error("stale_after", message, hint);
    }
    for key in ["heartbeat", "fixes", "sightings", "permits"] {
        if fields.has(key) {
            let message = "a source of Sparkplug nodes reads nothing else: their death is told by the broker";
            fields.error(key, message, "write another [[source]] for it".to_owned());
        }
    }
}

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
    let user = user(fields, place, secrets).map(|user| (user, String::new()));
    let mut subscriptions = Vec::new();
    source.stale_after = fields.duration("stale_after", STALE_MIN..=STALE_MAX);
    if let Some(filter) = topic_filter(fields, "heartbeat") {
        subscriptions.push(mqtt::Subscription { filter, what: mqtt::What::Heartbeat });
        source.stale_after = source.stale_after.or(Some(DEFAULT_HEARTBEAT));
    }
    let status = fields.table("status").and_then(status);
    let messages::Said { subscriptions: said, lists, sparkplug } = messages::read(fields, source);
    subscriptions.extend(said);
    if sparkplug.is_some() {
        check_sparkplug(fields, source);
    }
    // Its own last will tells that it is dead as well.
    let has_will = fields.has("status") || frigate_status(&subscriptions).is_some();
    let is_missed = source.stale_after.is_some() || fields.has("stale_after") || has_will;
    if (source.fixes || source.sightings || source.permits) && !is_missed {
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
    source.kind = Kind::Mqtt(Box::new(Gathered {
        feed,
        topics: BTreeMap::new(),
        sparkplug: sparkplug.map(|aware| Sparkplug { nodes: BTreeMap::new(), aware }),
        lists_unread: lists.is_none(),
        lists: lists.unwrap_or_default(),
    }));
}

/// Frigate's own last will lies beside its events.
fn frigate_status(subscriptions: &[Subscription]) -> Option<mqtt::Status> {
    let [Subscription { filter, what: What::Sightings(fields) }] = subscriptions else { return None };
    let prefix = filter.strip_suffix("/events").filter(|prefix| !prefix.contains(['+', '#']))?;
    matches!(fields.shape, mqtt::Shape::Frigate { .. }).then(|| mqtt::Status {
        topic: format!("{prefix}/available"),
        value: None,
        online: "online".to_owned(),
        offline: "offline".to_owned(),
    })
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
