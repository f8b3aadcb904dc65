//! From the configuration to what is asked of the server: node ids, parameters, portions. Pure.

use std::ops::Range;
use std::time::Duration;

use opcua::types::{
    AttributeId, DataChangeFilter, DataChangeTrigger, DeadbandType, ExtensionObject,
    MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId, NumericRange, ReadValueId,
};

use super::{Deadband, Discard, Element, Group, Kind, Namespace, Node, NodeName, Point};

/// Items in one CreateMonitoredItems, and nodes in one Read, where the server sets no lower limit. A slow
/// controller answers 500 within the request timeout, and 10,000 items still take 20 requests only.
pub(super) const PORTION_MAX: usize = 500;

/// Notifications in one publish response: at 100 bytes each, 100 kB, so that a burst of all items comes in
/// several messages, each well below what the client decodes ([`super::connect::MESSAGE_BYTES_MAX`]).
pub(super) const NOTIFICATIONS_MAX: u32 = 1000;

/// The same in a response of the subscription to events, and as many wait at the server for us: what a server
/// tells in one burst at a refresh comes whole, with what changes meanwhile. No condition beyond 1,000 was
/// told of otherwise. At the usual 300 bytes each it is 1.5 MB on the way and about 5 MB decoded, for the
/// moment that it is read; of up to 3 kB each they fit into what the client takes
/// ([`super::connect::MESSAGE_BYTES_MAX`]). A server with more standing alarms has none that anybody reads,
/// and its conditions stay unknown, which is a fault of the source.
pub(super) const EVENTS_MAX: u32 = 5000;

/// Notifications in one publish response of a subscription of this group.
pub(super) fn notifications_max(group: usize) -> u32 {
    if group == EVENTS { EVENTS_MAX } else { NOTIFICATIONS_MAX }
}

/// How long the server keeps a session that nobody asks for.
pub(super) const SESSION_KEPT: Duration = Duration::from_secs(60);

/// How long it keeps a subscription that nobody asks for: what it samples meanwhile is delivered when the
/// link is back, by another session if the first is gone. What a crash of ours leaves behind is gone then.
pub(super) const KEPT: Duration = Duration::from_secs(180);

/// What is asked of CreateSubscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) publishing: Duration,
    /// Publishing intervals without news after which the server says that it is alive.
    pub(super) keep_alive_count: u32,
    /// Publishing intervals without a publish request after which it drops the subscription.
    pub(super) lifetime_count: u32,
}

impl Rates {
    pub(super) fn of(group: &Group) -> Self {
        let publishing = group.publishing.max(Duration::from_millis(1));
        let keep_alive_count = intervals(group.keep_alive, publishing).max(1);
        // The standard wants at least three keep-alives.
        let lifetime_count = intervals(KEPT, publishing).max(keep_alive_count.saturating_mul(3));
        Self { publishing, keep_alive_count, lifetime_count }
    }
}

/// How many intervals make up at least `whole`.
fn intervals(whole: Duration, interval: Duration) -> u32 {
    let nanos = interval.as_nanos().max(1);
    u32::try_from(whole.as_nanos().div_ceil(nanos)).unwrap_or(u32::MAX)
}

/// The portion to ask for at once: the server's limit, where it says one (0 is none).
pub(super) fn portion(limit: Option<u32>) -> usize {
    match limit.and_then(|limit| usize::try_from(limit).ok()) {
        Some(limit) if limit > 0 => limit.min(PORTION_MAX),
        Some(_) | None => PORTION_MAX,
    }
}

/// The node id on this server, of this start. `None`: the server has no such namespace.
pub(super) fn node_id(node: &Node, namespaces: &[String]) -> Option<NodeId> {
    let index = match &node.namespace {
        Namespace::Index(index) => *index,
        Namespace::Uri(uri) => {
            u16::try_from(namespaces.iter().position(|namespace| namespace == uri)?).ok()?
        }
    };
    Some(match &node.id {
        NodeName::Numeric(number) => NodeId::new(index, *number),
        NodeName::Text(name) => NodeId::new(index, name.as_str()),
        NodeName::Guid(guid) => NodeId::new(index, guid.clone()),
        NodeName::Opaque(bytes) => NodeId::new(index, bytes.clone()),
    })
}

pub(super) fn index_range(element: Option<&Element>) -> NumericRange {
    match element.map(Element::indices) {
        None | Some([]) => NumericRange::None,
        Some([index]) => NumericRange::Index(*index),
        Some(indices) => {
            NumericRange::MultipleRanges(indices.iter().map(|index| NumericRange::Index(*index)).collect())
        }
    }
}

/// The value of a point's node, or of its element.
pub(super) fn value_of(point: &Point, namespaces: &[String]) -> Option<ReadValueId> {
    Some(ReadValueId {
        node_id: node_id(&point.node, namespaces)?,
        attribute_id: AttributeId::Value as u32,
        index_range: index_range(point.element.as_ref()),
        ..ReadValueId::default()
    })
}

/// A number; what is none has no distance to be held back by.
pub(super) fn has_deadband(group: &Group, point: &Point) -> bool {
    group.deadband != Deadband::None && point.kind == Kind::Number && point.words.is_none()
}

/// What is asked of CreateMonitoredItems. `None`: the server has no such namespace.
pub(super) fn item(
    point: &Point,
    handle: u32,
    group: &Group,
    deadband: bool,
    namespaces: &[String],
) -> Option<MonitoredItemCreateRequest> {
    let (deadband_type, deadband_value) = match group.deadband {
        Deadband::Absolute(distance) if deadband => (DeadbandType::Absolute, distance),
        Deadband::Percent(percent) if deadband => (DeadbandType::Percent, percent),
        Deadband::None | Deadband::Absolute(_) | Deadband::Percent(_) => (DeadbandType::None, 0.0),
    };
    Some(MonitoredItemCreateRequest {
        item_to_monitor: value_of(point, namespaces)?,
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            client_handle: handle,
            sampling_interval: group.sampling.as_secs_f64() * 1000.0,
            queue_size: group.queue,
            discard_oldest: group.discard == Discard::Oldest,
            // The standard's default, said outright: some servers take its absence for "values only", and
            // then a detector that fails at an unchanged value is never told.
            filter: ExtensionObject::from_message(DataChangeFilter {
                trigger: DataChangeTrigger::StatusValue,
                deadband_type: deadband_type as u32,
                deadband_value,
            }),
        },
    })
}

/// The group of the subscription to events; no group of points has this place.
pub(super) const EVENTS: usize = usize::MAX;

/// The handles of the items for events, one for each notifier: the last that there are, where none of a point
/// is. The highest is left out, some take it for none.
pub(super) fn event_handles(n_notifiers: usize) -> Range<u32> {
    u32::MAX - u32::try_from(n_notifiers).unwrap_or(0)..u32::MAX
}

/// The handle by which the server names the point at `at` of the list; 0 is no handle.
pub(super) fn handle_of(at: usize) -> Option<u32> {
    u32::try_from(at).ok()?.checked_add(1)
}

pub(super) fn at_of(handle: u32) -> Option<usize> {
    usize::try_from(handle.checked_sub(1)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group(publishing_ms: u64, keep_alive_ms: u64) -> Group {
        Group {
            publishing: Duration::from_millis(publishing_ms),
            keep_alive: Duration::from_millis(keep_alive_ms),
            ..Group::bare()
        }
    }

    #[test]
    fn the_server_speaks_within_the_keep_alive_time_and_keeps_the_subscription_for_three_minutes() {
        let rates = Rates::of(&group(250, 5000));
        assert_eq!((rates.keep_alive_count, rates.lifetime_count), (20, 720));
        assert_eq!(Rates::of(&group(1000, 300)).keep_alive_count, 1);
    }

    fn asked(point: &Point, group: &Group) -> (DataChangeFilter, MonitoringParameters) {
        let item = item(point, 1, group, has_deadband(group, point), &[]).expect("a namespace");
        let filter = item.requested_parameters.filter.inner_as::<DataChangeFilter>().expect("a filter");
        (filter.clone(), item.requested_parameters)
    }

    #[test]
    fn a_group_says_queue_discard_and_deadband_of_its_numbers() {
        let group = Group {
            queue: 3,
            discard: Discard::Newest,
            deadband: Deadband::Percent(2.0),
            ..group(1000, 5000)
        };
        let (filter, parameters) = asked(&Point::bare(Kind::Number), &group);
        assert_eq!((filter.deadband_type, filter.deadband_value), (DeadbandType::Percent as u32, 2.0));
        assert_eq!(filter.trigger, DataChangeTrigger::StatusValue);
        assert_eq!((parameters.queue_size, parameters.discard_oldest), (3, false));
        assert_eq!(parameters.sampling_interval, 100.0);
        let absolute = Group { deadband: Deadband::Absolute(0.5), ..group.clone() };
        let (filter, _) = asked(&Point::bare(Kind::Number), &absolute);
        assert_eq!((filter.deadband_type, filter.deadband_value), (DeadbandType::Absolute as u32, 0.5));
        let words = Some(std::sync::Arc::from([(1, std::sync::Arc::from("on"))]));
        let enumerated = Point { words, ..Point::bare(Kind::Number) };
        for point in [Point::bare(Kind::Bool), Point::bare(Kind::Text), enumerated] {
            let (filter, _) = asked(&point, &group);
            assert_eq!(filter.deadband_type, DeadbandType::None as u32, "a state is told at each change");
        }
    }

    #[test]
    fn an_element_is_asked_for_by_its_index_range() {
        let range = |text| index_range(Element::parse(text).as_ref()).to_string();
        assert_eq!(range("3"), "3");
        assert_eq!(range("1,2"), "1,2");
        assert_eq!(index_range(None), NumericRange::None);
    }

    proptest! {
        #[test]
        fn the_lifetime_is_never_under_three_keep_alives(publishing_ms in 0_u64..100_000, keep_alive_ms in 0_u64..1_000_000) {
            let rates = Rates::of(&group(publishing_ms, keep_alive_ms));
            prop_assert!(rates.keep_alive_count >= 1);
            prop_assert!(rates.lifetime_count / 3 >= rates.keep_alive_count);
            prop_assert!(rates.publishing > Duration::ZERO);
        }

        #[test]
        fn each_point_has_a_handle_of_its_own(at in 0_usize..1_000_000) {
            prop_assert_ne!(handle_of(at), Some(0));
            prop_assert_eq!(handle_of(at).and_then(at_of), Some(at));
        }
    }

    #[test]
    fn a_namespace_by_its_uri_is_found_wherever_this_start_put_it() {
        let node = Node::parse("nsu=urn:plant;s=Tank.Level").expect("a node");
        let namespaces = |uris: &[&str]| uris.iter().map(|uri| (*uri).to_owned()).collect::<Vec<_>>();
        let first = namespaces(&["http://opcfoundation.org/UA/", "urn:plant", "urn:other"]);
        let then = namespaces(&["http://opcfoundation.org/UA/", "urn:other", "urn:plant"]);
        assert_eq!(node_id(&node, &first), Some(NodeId::new(1, "Tank.Level")));
        assert_eq!(node_id(&node, &then), Some(NodeId::new(2, "Tank.Level")));
        assert_eq!(node_id(&node, &[]), None);
        let by_index = Node::parse("ns=7;i=12").expect("a node");
        assert_eq!(node_id(&by_index, &[]), Some(NodeId::new(7, 12_u32)));
    }

    #[test]
    fn a_portion_is_the_servers_limit_where_it_has_a_lower_one() {
        assert_eq!(portion(None), PORTION_MAX);
        assert_eq!(portion(Some(0)), PORTION_MAX);
        assert_eq!(portion(Some(100)), 100);
        assert_eq!(portion(Some(100_000)), PORTION_MAX);
    }
}
