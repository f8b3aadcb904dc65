//! MQTT in: points, fixes, sightings and permits out of the messages of one plant-side broker. Never publishes.

mod client;
mod connection;
mod copies;
pub mod decode;
mod fault;
mod fields;
pub mod memory;
mod presets;
mod reason;
pub mod sparkplug;
mod status;
pub mod time;
pub mod topic;
pub mod wire;

use std::sync::Arc;

use jiff::tz::TimeZone;
use riskgate_point::{PointId, SourceId};

pub use client::run;
pub use decode::permits::{kind as permit_kind, stage as permit_stage};
pub use fields::{
    FixFields, Kind, List, ListFields, Path, PathError, PermitFields, Point, Qualities, Reading, Renames,
    Shape, SightingFields, Where,
};
pub use reason::{Version, Versions};
pub use sparkplug::EdgeNode;
pub use status::Status;

use crate::tls;

/// One plant-side broker, and what to read of it.
#[derive(Clone, PartialEq)]
pub struct Feed {
    pub source: SourceId,
    pub host: String,
    pub port: u16,
    pub client_id: String,
    pub versions: Versions,
    pub tls: Option<tls::Settings>,
    /// Name and password.
    pub user: Option<(String, String)>,
    /// The site's, which times in messages are in where they do not say.
    pub zone: TimeZone,
    /// Where the feed itself says whether it is there.
    pub status: Option<Status>,
    pub subscriptions: Vec<Subscription>,
}

impl Feed {
    /// The plant's cameras are known by their own names too. What is none of them is counted.
    pub fn know_cameras(&mut self, cameras: &[&str]) {
        for subscription in &mut self.subscriptions {
            if let What::Sightings(fields) = &mut subscription.what {
                let known = Arc::make_mut(&mut fields.cameras);
                for camera in cameras {
                    known.entry((*camera).to_owned()).or_insert_with(|| Arc::from(*camera));
                }
            }
        }
    }

    /// All that is read are nodes whose death the broker tells.
    pub fn tells_its_deaths(&self) -> bool {
        let tells = |one: &Subscription| matches!(one.what, What::Sparkplug(_) | What::Births(_));
        !self.subscriptions.is_empty() && self.subscriptions.iter().all(tells)
    }

    pub fn points(&self) -> impl Iterator<Item = PointId> + '_ {
        self.subscriptions.iter().flat_map(|one| one.what.points())
    }
}

/// No password, ever.
impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed")
            .field("source", &self.source)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("client_id", &self.client_id)
            .field("versions", &self.versions)
            .field("tls", &self.tls)
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .field("zone", &self.zone)
            .field("status", &self.status)
            .field("subscriptions", &self.subscriptions)
            .finish()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// A topic filter; `+` and `#` as MQTT has them.
    pub filter: String,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub enum What {
    Points(Vec<Point>),
    List(List),
    /// All that an edge node says.
    Sparkplug(Arc<EdgeNode>),
    /// What a broker keeps of the births of an edge node.
    Births(Arc<EdgeNode>),
    Fixes(FixFields),
    Sightings(SightingFields),
    Permits(PermitFields),
    /// Any message says that the feed is alive.
    Heartbeat,
}

/// What the messages of a subscription bring, as far as it matters to who hands them on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brings {
    /// Readings: where there is no room they are merged, and each refreshes its own point only.
    Samples,
    /// What happens: it waits for room, and so does the broker. It shows that the feed is alive.
    Events,
    /// Nothing but life.
    Life,
}

impl What {
    pub fn brings(&self) -> Brings {
        match self {
            Self::Points(_) | Self::List(_) | Self::Sparkplug(_) | Self::Births(_) => Brings::Samples,
            Self::Fixes(_) | Self::Sightings(_) | Self::Permits(_) => Brings::Events,
            Self::Heartbeat => Brings::Life,
        }
    }

    pub fn points(&self) -> Vec<PointId> {
        match self {
            Self::Points(points) => points.iter().map(|point| point.reading.point).collect(),
            Self::List(list) => list.rows.values().flatten().map(|reading| reading.point).collect(),
            Self::Sparkplug(node) => node.readings().map(|reading| reading.point).collect(),
            Self::Births(_) | Self::Fixes(_) | Self::Sightings(_) | Self::Permits(_) | Self::Heartbeat => {
                Vec::new()
            }
        }
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
            versions: Versions::default(),
            tls: None,
            user: Some(("reader".to_owned(), "secret".to_owned())),
            zone: TimeZone::UTC,
            status: None,
            subscriptions: Vec::new(),
        };
        let printed = format!("{feed:?}");
        assert!(printed.contains("reader") && !printed.contains("secret"), "{printed}");
    }
}
