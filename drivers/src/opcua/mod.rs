//! OPC UA: subscribes to the items of one server. No Write, no Call.
//!
//! `decode` and `plan` are pure: a value and its status become a sample's value and quality, an address
//! becomes a node id, a wish becomes the parameters of a subscription. `connect` opens a session without
//! security; `subscribe` fills it with subscriptions and their items and `recover` brings them back after
//! a cut; `notices` turns what the server publishes into reports, and `pulse` counts it; `history` asks
//! for what was missed. `client` watches over all of it (`fault` says why a session ended): the library's
//! own reconnect brings a session back in which nothing is published any more, and says so nowhere.
//!
//! `browse` lists what a server has, for a person; the driver itself browses nothing.
//!
//! It has no certificates yet, and reads no alarms and conditions.

pub mod browse;
mod client;
mod connect;
mod course;
mod decode;
mod fault;
mod history;
mod node;
mod notices;
mod plan;
mod pulse;
mod recover;
mod subscribe;

use std::sync::Arc;
use std::time::Duration;

pub use client::{Error, run};
pub use node::{Element, NODE_HINT, Namespace, Node, NodeError, NodeName};

use riskgate_point::{PointId, SourceId};

use crate::scaling::{EnumWords, Scaling};

/// One server, and what to subscribe to.
#[derive(Clone)]
pub struct Server {
    pub source: SourceId,
    /// `opc.tcp://host:port/path`
    pub url: String,
    /// Of the connection: nothing heard for two of them, and it is given up.
    pub keep_alive: Duration,
    /// Name and password; `None`: anonymous.
    pub user: Option<(String, String)>,
    /// After a gap the server is asked for what was missed, so far back. `None`: it is not asked.
    pub history: Option<Duration>,
    /// The first is for the points that choose none.
    pub groups: Vec<Group>,
    pub points: Vec<Point>,
}

/// The password is not shown.
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("source", &self.source)
            .field("url", &self.url)
            .field("keep_alive", &self.keep_alive)
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .field("history", &self.history)
            .field("groups", &self.groups)
            .field("points", &self.points)
            .finish()
    }
}

/// Points that are sampled and published alike (订阅组): one subscription at the server, or several where
/// the server limits the items of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Empty: the source's own.
    pub name: String,
    pub publishing: Duration,
    pub sampling: Duration,
    /// Values that the server keeps for an item between two publishings.
    pub queue: u32,
    pub discard: Discard,
    /// What the server does not tell of a number; never of a status.
    pub deadband: Deadband,
    pub keep_alive: Duration,
}

/// Which value goes when an item's queue is full. Either way the newest is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    Oldest,
    /// The one before the newest.
    Newest,
}

/// How far a number may move before the server tells it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Deadband {
    None,
    /// In the server's own unit, before any scaling of ours.
    Absolute(f64),
    /// Of the item's EURange.
    Percent(f64),
}

#[derive(Debug, Clone)]
pub struct Point {
    pub point: PointId,
    /// For people; the server does not know it.
    pub tag: Arc<str>,
    /// The place of its group in [`Server::groups`].
    pub group: usize,
    pub node: Node,
    /// Of an array, the element to read.
    pub element: Option<Element>,
    pub kind: Kind,
    pub scaling: Scaling,
    pub words: Option<EnumWords>,
}

/// What the configuration says a point reads. What the server has must be that, or can be read as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Number,
    Bool,
    Text,
}

impl Server {
    /// Of its connection and of all its groups: a driver that is well speaks as often.
    pub fn longest_keep_alive(&self) -> Duration {
        self.groups.iter().map(|group| group.keep_alive).fold(self.keep_alive, Duration::max)
    }

    /// A place that is none is the first's: each point has a group.
    fn place_of_group(&self, point: &Point) -> usize {
        if point.group < self.groups.len() { point.group } else { 0 }
    }

    fn group_of(&self, point: &Point) -> Option<&Group> {
        self.groups.get(self.place_of_group(point))
    }
}

#[cfg(test)]
impl Server {
    /// With one group and no points.
    fn bare() -> Self {
        Self {
            source: SourceId(0),
            url: "opc.tcp://a".to_owned(),
            keep_alive: Duration::from_secs(5),
            user: None,
            history: None,
            groups: vec![Group::bare()],
            points: Vec::new(),
        }
    }
}

#[cfg(test)]
impl Group {
    fn bare() -> Self {
        Self {
            name: String::new(),
            publishing: Duration::from_millis(250),
            sampling: Duration::from_millis(100),
            queue: 10,
            discard: Discard::Oldest,
            deadband: Deadband::None,
            keep_alive: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
impl Point {
    fn bare(kind: Kind) -> Self {
        Self {
            point: PointId(0),
            tag: Arc::from("TT-201"),
            group: 0,
            node: Node { namespace: Namespace::Index(2), id: NodeName::Text("TT-201".to_owned()) },
            element: None,
            kind,
            scaling: Scaling::IDENTITY,
            words: None,
        }
    }
}
