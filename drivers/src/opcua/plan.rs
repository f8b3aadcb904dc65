//! From the configuration to what is asked of the server: node ids, parameters, portions. Pure.

use std::time::Duration;

use opcua::types::NodeId;

use super::{Namespace, Node, NodeName, Server};

/// Items in one CreateMonitoredItems, and nodes in one Read, where the server sets no lower limit. A slow
/// controller answers 500 within the request timeout, and 10,000 items still take 20 requests only.
pub(super) const PORTION_MAX: usize = 500;

/// Notifications in one publish response: at 100 bytes each, 100 kB, so that a burst of all items comes in
/// several messages, each well below what the client decodes ([`super::connect::MESSAGE_BYTES_MAX`]).
pub(super) const NOTIFICATIONS_MAX: u32 = 1000;

/// How long the server keeps a subscription, and a session, that nobody asks for: what it samples
/// meanwhile is delivered when the link is back.
pub(super) const KEPT: Duration = Duration::from_secs(60);

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
    pub(super) fn of(server: &Server) -> Self {
        let publishing = server.publishing.max(Duration::from_millis(1));
        let keep_alive_count = intervals(server.keep_alive, publishing).max(1);
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
    })
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
    use riskgate_point::SourceId;

    use super::*;
    use crate::opcua::{Security, User};

    fn server(publishing_ms: u64, keep_alive_ms: u64) -> Server {
        Server {
            source: SourceId(0),
            url: String::new(),
            publishing: Duration::from_millis(publishing_ms),
            sampling: Duration::from_millis(100),
            queue: 10,
            keep_alive: Duration::from_millis(keep_alive_ms),
            security: Security::open(),
            user: User::Anonymous,
            points: Vec::new(),
        }
    }

    #[test]
    fn the_server_speaks_within_the_keep_alive_time_and_keeps_the_subscription_for_a_minute() {
        let rates = Rates::of(&server(250, 5000));
        assert_eq!((rates.keep_alive_count, rates.lifetime_count), (20, 240));
        assert_eq!(Rates::of(&server(1000, 300)).keep_alive_count, 1);
    }

    proptest! {
        #[test]
        fn the_lifetime_is_never_under_three_keep_alives(publishing_ms in 0_u64..100_000, keep_alive_ms in 0_u64..1_000_000) {
            let rates = Rates::of(&server(publishing_ms, keep_alive_ms));
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
