//! OPC UA: subscribes to the items and the alarms of one server. No Write, and no Call but ConditionRefresh.
//!
//! `decode` and `plan` are pure: a value and its status become a sample's value and quality, an address
//! becomes a node id, a wish becomes the parameters of a subscription. `connect` begins a session: `endpoint`
//! picks what the configuration asks for (`security`), `guard` judges the server's certificate (`trust`) and
//! brings ours (`own`), `transport` carries it. `subscribe` fills it with subscriptions and their items and
//! `recover` brings them back after a cut (`tell` says once what the server refuses); `notices` turns what the
//! server publishes into reports, `link` tells how the link is, and `pulse` counts what comes; `history` asks for what was missed. `alarms` listens
//! to the conditions that the server keeps: `events` reads what it tells of them, `conditions` holds how they
//! stand, `refresh` asks for all of them. `client` watches over all of it (`fault` says why a session ended):
//! the library's own reconnect brings a session back in which nothing is published any more, and says so
//! nowhere. `browse` lists what a server has, for a person; the driver itself browses nothing.

mod acts;
mod alarms;
pub mod browse;
mod certificate;
mod client;
mod conditions;
mod connect;
mod course;
mod decode;
mod endpoint;
mod events;
mod fault;
mod files;
pub mod fuzz;
mod guard;
mod history;
mod link;
mod node;
mod notices;
mod own;
mod plan;
mod pulse;
mod recover;
mod refresh;
mod security;
mod subscribe;
mod tell;
mod transport;
mod trust;

use std::sync::Arc;
use std::time::Duration;

pub use acts::LeftAct;
pub use certificate::{Certificate, CertificateError, Thumbprint, date};
pub use client::{Error, run};
pub use files::FileError;
pub use node::{Element, NODE_HINT, Namespace, Node, NodeError, NodeName};
pub use own::{Applicant, Identities, Own, OwnError};
pub use security::{Channel, Mode, Password, Policy, Security, User, UserCertificate, UserError};
pub use trust::{Known, Listed, Notes, Pki, Standing, TrustError, USUAL_FOLDER};

use riskgate_point::{PointId, SourceId};

use crate::scaling::{EnumWords, Scaling};

/// One server, and what to subscribe to.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    pub source: SourceId,
    /// `opc.tcp://host:port/path`
    pub url: String,
    /// Of the connection: nothing heard for two of them, and it is given up.
    pub keep_alive: Duration,
    pub security: Security,
    pub user: User,
    /// After a gap the server is asked for what was missed, so far back. `None`: it is not asked.
    pub history: Option<Duration>,
    /// The first is for the points that choose none.
    pub groups: Vec<Group>,
    /// The nodes whose events tell of conditions; none: it is not listened to for events.
    pub notifiers: Vec<Node>,
    pub points: Vec<Point>,
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

#[derive(Debug, Clone, PartialEq)]
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
            security: Security::open(),
            user: User::Anonymous,
            history: None,
            groups: vec![Group::bare()],
            notifiers: Vec::new(),
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
