//! How many people are in each zone, for upstream.

use riskgate_engine::{Count, Plant};
use riskgate_point::Wall;

use crate::uplink::wire::people::ZoneCount;

/// In the order of the zones' ids. A plant whose sources carry no fixes counts nobody and says nothing. What has not
/// changed keeps its time.
pub(super) fn zones(
    plant: &Plant,
    counts: Vec<Option<Count>>,
    before: &[ZoneCount],
    now: Wall,
) -> Vec<ZoneCount> {
    if !plant.sources().iter().any(|source| source.fixes) {
        return Vec::new();
    }
    let mut zones: Vec<ZoneCount> = plant
        .zones()
        .iter()
        .zip(counts)
        .map(|(zone, count)| {
            let new = ZoneCount {
                zone: zone.id.clone(),
                name: zone.name.clone(),
                unit: zone.unit.clone(),
                limit: zone.limit,
                count,
                since: now,
            };
            before.iter().find(|old| old.is_as(&new)).cloned().unwrap_or(new)
        })
        .collect();
    zones.sort_by(|a, b| a.zone.cmp(&b.zone));
    zones
}
