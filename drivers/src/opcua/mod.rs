//! OPC UA: subscribes to the items of one server. No Write, no Call.
//!
//! `decode` and `plan` are pure: a value and its status become a sample's value and quality, an address
//! becomes a node id, a wish becomes the parameters of a subscription. `connect` begins a session: `endpoint`
//! picks what the configuration asks for (`security`), `guard` judges the server's certificate (`trust`) and
//! brings ours (`own`), `transport` carries it. `subscribe` fills the session with items, `notices` turns what
//! the server publishes into reports, and `client` watches over all of it (`fault` says why a session ended):
//! the library's own reconnect brings a session back in which nothing is published any more, and says so
//! nowhere.
//!
//! It reads no alarms and conditions, and browses nothing.

mod certificate;
mod client;
mod connect;
mod decode;
mod endpoint;
mod fault;
mod files;
mod guard;
mod notices;
mod own;
mod plan;
mod security;
mod subscribe;
mod transport;
mod trust;

use std::time::Duration;

pub use certificate::{Certificate, CertificateError, Thumbprint, date};
pub use client::{Error, run};
pub use files::FileError;
pub use own::{Applicant, Identities, Own, OwnError};
pub use security::{Channel, Mode, Password, Policy, Security, User, UserCertificate, UserError};
pub use trust::{Known, Listed, Notes, Pki, Standing, TrustError, USUAL_FOLDER};

use riskgate_point::{PointId, SourceId};

use crate::scaling::{EnumWords, Scaling};

/// One server, and what to subscribe to.
#[derive(Debug, Clone)]
pub struct Server {
    pub source: SourceId,
    /// `opc.tcp://host:port/path`
    pub url: String,
    pub publishing: Duration,
    pub sampling: Duration,
    /// Values that the server keeps for an item between two publishings.
    pub queue: u32,
    pub keep_alive: Duration,
    pub security: Security,
    pub user: User,
    pub points: Vec<Point>,
}

#[derive(Debug, Clone)]
pub struct Point {
    pub point: PointId,
    pub node: Node,
    pub scaling: Scaling,
    pub words: Option<EnumWords>,
}

/// A node id as an engineer writes it: `ns=2;s=Tank.Level`, `nsu=http://vendor/;s=Tank.Level`, `i=2258`.
/// The URI form holds across a restart that renumbers the namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    pub namespace: Namespace,
    pub id: NodeName,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Namespace {
    Index(u16),
    Uri(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NodeName {
    Numeric(u32),
    Text(String),
}

/// What is wrong with the text of a node id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no node id: {why}; write ns=2;s=Name, nsu=URI;s=Name or i=Number")]
pub struct NodeError {
    pub text: String,
    pub why: &'static str,
}

impl Node {
    pub fn parse(text: &str) -> Result<Self, NodeError> {
        let fault = |why| NodeError { text: text.to_owned(), why };
        let (namespace, rest) = if let Some(rest) = text.strip_prefix("ns=") {
            let (index, rest) = rest.split_once(';').ok_or(fault("no ';' after the namespace"))?;
            (Namespace::Index(index.parse().map_err(|_| fault("the namespace index is 0 to 65535"))?), rest)
        } else if let Some(rest) = text.strip_prefix("nsu=") {
            let (uri, rest) = rest.rsplit_once(';').ok_or(fault("no ';' after the namespace"))?;
            (Namespace::Uri(uri.to_owned()), rest)
        } else {
            (Namespace::Index(0), text)
        };
        let id = match rest.split_once('=') {
            Some(("i", number)) => NodeName::Numeric(
                number.parse().map_err(|_| fault("i= takes a number from 0 to 4294967295"))?,
            ),
            Some(("s", name)) if !name.is_empty() => NodeName::Text(name.to_owned()),
            Some(_) | None => return Err(fault("it has neither i= nor s=")),
        };
        Ok(Self { namespace, id })
    }
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Namespace::Index(0) => {}
            Namespace::Index(index) => write!(f, "ns={index};")?,
            Namespace::Uri(uri) => write!(f, "nsu={uri};")?,
        }
        match &self.id {
            NodeName::Numeric(number) => write!(f, "i={number}"),
            NodeName::Text(name) => write!(f, "s={name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_is_written_as_it_was_read() {
        for text in ["ns=2;s=Tank.Level", "nsu=http://vendor/a;b/;s=Tank.Level", "i=2258", "ns=3;i=7"] {
            assert_eq!(Node::parse(text).map(|node| node.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_text_that_is_no_node_id_says_what_is_wrong() {
        for (text, why) in [
            ("ns=2", "no ';' after the namespace"),
            ("ns=70000;i=1", "the namespace index is 0 to 65535"),
            ("ns=2;s=", "it has neither i= nor s="),
            ("Tank.Level", "it has neither i= nor s="),
            ("i=-1", "i= takes a number from 0 to 4294967295"),
        ] {
            assert_eq!(Node::parse(text).map_err(|error| error.why), Err(why), "{text}");
        }
    }
}
