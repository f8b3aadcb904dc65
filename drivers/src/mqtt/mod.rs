//! MQTT in: points, fixes and sightings out of JSON messages of one plant-side broker. Never publishes.

mod client;
pub mod decode;
pub mod time;
pub mod topic;

use riskgate_point::{PointId, SourceId};

pub use client::{Error, run};

use crate::scaling::{EnumWords, Scaling};

/// One plant-side broker, and what to read of it.
#[derive(Clone)]
pub struct Feed {
    pub source: SourceId,
    pub host: String,
    pub port: u16,
    pub client_id: String,
    /// Name and password.
    pub user: Option<(String, String)>,
    pub subscriptions: Vec<Subscription>,
}

/// No password, ever.
impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed")
            .field("source", &self.source)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("client_id", &self.client_id)
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .field("subscriptions", &self.subscriptions)
            .finish()
    }
}

#[derive(Debug, Clone)]
pub struct Subscription {
    /// A topic filter; `+` and `#` as MQTT has them.
    pub filter: String,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    Points(Vec<Point>),
    Fixes(FixFields),
    Sightings(SightingFields),
    /// Any message says that the feed is alive.
    Heartbeat,
}

#[derive(Debug, Clone)]
pub struct Point {
    pub point: PointId,
    pub kind: Kind,
    pub value: Path,
    pub quality: Option<Path>,
    pub time: Option<Path>,
    pub scaling: Scaling,
    pub words: Option<EnumWords>,
}

/// What a point reads. The message itself cannot say: a text may be a number, a word or an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// A number, or a text that spells one. Any other text is bad.
    #[default]
    Number,
    Bool,
    /// Any text. Where the point has words, they hold instead.
    Text,
}

#[derive(Debug, Clone)]
pub struct FixFields {
    /// An array of fixes in one message; `None`: the message is one fix. The other paths start at each element.
    pub many: Option<Path>,
    pub tag: Path,
    pub person: Option<Path>,
    pub role: Option<Path>,
    pub zone: Option<Path>,
    pub sos: Option<Path>,
    pub time: Option<Path>,
}

#[derive(Debug, Clone)]
pub struct SightingFields {
    pub many: Option<Path>,
    pub camera: Path,
    pub kind: Path,
    pub confidence: Option<Path>,
    pub time: Option<Path>,
}

/// A place in a JSON message (RFC 9535), of which the first match counts.
#[derive(Debug, Clone)]
pub struct Path {
    path: serde_json_path::JsonPath,
    /// The list whose elements the path names, where it ends in `[*]`.
    list: Option<serde_json_path::JsonPath>,
}

/// What is wrong with the text of a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no JSON path: {why}; write $.value or $.data[0].value")]
pub struct PathError {
    pub text: String,
    pub why: String,
}

impl Path {
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let parse = |part: &str| {
            serde_json_path::JsonPath::parse(part)
                .map_err(|error| PathError { text: text.to_owned(), why: error.to_string() })
        };
        let list = text.trim_end().strip_suffix("[*]").map(parse).transpose()?;
        Ok(Self { path: parse(text)?, list })
    }

    pub fn first<'m>(&self, message: &'m serde_json::Value) -> Option<&'m serde_json::Value> {
        self.path.query(message).first()
    }

    pub fn all<'m>(&self, message: &'m serde_json::Value) -> Vec<&'m serde_json::Value> {
        self.path.query(message).all()
    }

    /// The list is there and has no element, which is not the same as no list.
    pub fn is_empty_list(&self, message: &serde_json::Value) -> bool {
        let list = self.list.as_ref().unwrap_or(&self.path).query(message).first();
        list.and_then(serde_json::Value::as_array).is_some_and(Vec::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_that_is_printed_names_its_user_and_not_the_password() {
        let feed = Feed {
            source: SourceId(0),
            host: "127.0.0.1".to_owned(),
            port: 1883,
            client_id: "riskgate".to_owned(),
            user: Some(("reader".to_owned(), "secret".to_owned())),
            subscriptions: Vec::new(),
        };
        let printed = format!("{feed:?}");
        assert!(printed.contains("reader") && !printed.contains("secret"), "{printed}");
    }
}
