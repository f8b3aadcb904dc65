//! MQTT in: points, fixes and sightings out of JSON messages of one plant-side broker. Never publishes.

use riskgate_point::{PointId, SourceId};

use crate::scaling::{EnumWords, Scaling};

/// One plant-side broker, and what to read of it.
#[derive(Debug, Clone)]
pub struct Feed {
    pub source: SourceId,
    pub host: String,
    pub port: u16,
    pub client_id: String,
    /// Name and password.
    pub user: Option<(String, String)>,
    pub subscriptions: Vec<Subscription>,
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
    pub value: Path,
    pub quality: Option<Path>,
    pub time: Option<Path>,
    pub scaling: Scaling,
    pub words: Option<EnumWords>,
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
pub struct Path(serde_json_path::JsonPath);

/// What is wrong with the text of a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no JSON path: {why}; write $.value or $.data[0].value")]
pub struct PathError {
    pub text: String,
    pub why: String,
}

impl Path {
    pub fn parse(text: &str) -> Result<Self, PathError> {
        serde_json_path::JsonPath::parse(text)
            .map(Self)
            .map_err(|error| PathError { text: text.to_owned(), why: error.to_string() })
    }

    pub fn first<'m>(&self, message: &'m serde_json::Value) -> Option<&'m serde_json::Value> {
        self.0.query(message).first()
    }

    pub fn all<'m>(&self, message: &'m serde_json::Value) -> Vec<&'m serde_json::Value> {
        self.0.query(message).all()
    }
}
