//! Headcounts of zones as upstream reads them: how many people, and in which roles. Never who. Pure.

use riskgate_engine::Count;
use riskgate_point::Wall;
use serde_json::{Value, json};

use super::{Origin, level, loose_bytes};

/// How many people are in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneCount {
    pub zone: String,
    pub name: String,
    pub unit: String,
    /// 限员.
    pub limit: Option<u32>,
    /// `None`: nobody knows, since a feed of fixes is down.
    pub count: Option<Count>,
    /// Since when it is so.
    pub since: Wall,
}

impl ZoneCount {
    /// All but the time.
    pub fn is_as(&self, other: &Self) -> bool {
        let Self { zone, name, unit, limit, count, since: _ } = self;
        (zone, name, unit, limit, count)
            == (&other.zone, &other.name, &other.unit, &other.limit, &other.count)
    }
}

pub(in crate::uplink) fn people_topic(zone: &str) -> String {
    format!("people/{}", level(zone))
}

/// `number`: rises with each message of a connection, which began at `connected`.
pub(in crate::uplink) fn people_bytes(
    of: &ZoneCount,
    (connected, number): (Wall, u64),
    at: Wall,
    origin: &Origin,
) -> Vec<u8> {
    let roles = |count: &Count| -> Vec<Value> {
        count.roles.iter().map(|(role, count)| json!({ "role": role, "count": count })).collect()
    };
    let data = json!({
        "id": of.zone,
        "companyCode": origin.company,
        "zoneName": of.name,
        "riskUnitId": of.unit,
        "limit": of.limit,
        "known": of.count.is_some(),
        "count": of.count.as_ref().map(|count| count.present + count.lost),
        "present": of.count.as_ref().map(|count| count.present),
        "lost": of.count.as_ref().map(|count| count.lost),
        "roles": of.count.as_ref().map(roles),
        "since": origin.time(of.since),
    });
    let name = format!("people/{}/{}/{number}", of.zone, connected.0);
    loose_bytes(&name, "riskgate.people.v1", at, false, &data, origin)
}
