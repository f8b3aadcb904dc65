//! What work is permitted where, on this connection: each unit once at its beginning, then what has changed.
//!
//! Each message is the whole present of its unit and retained, so only the newest is worth sending, and one that is
//! no more so is cleared: a unit that is gone, or that no feed tells of any more. A few bytes are under way at a time
//! and more go when these have arrived, at most once a second.

use std::collections::{BTreeMap, BTreeSet};

use riskgate_point::Wall;

use super::Link;
use crate::uplink::session::LooseKind;
use crate::uplink::wire::permit::{UnitPermits, permit_bytes, permit_topic};

/// What an urgent message may find in front of it, and the one message that goes beyond it.
const BYTES_AT_ONCE: usize = 10 * 1024;

/// What the topic of a message costs beside its bytes.
const TOPIC_BYTES: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Permits {
    /// By unit, what was told on this connection.
    told: BTreeMap<String, UnitPermits>,
    /// Units of which something may be retained from an earlier time.
    before: BTreeSet<String>,
    /// The unit that was told last.
    last: String,
    number: u64,
}

impl Link<'_> {
    /// The units that the store knows, also those that the plant has no more.
    pub(super) fn units_before(&mut self, units: impl Iterator<Item = String>) {
        self.permits.before = units.collect();
    }

    /// Each second. Units take turns: those that change all the time leave the others theirs.
    pub(super) fn tell_permits(&mut self, connected: Wall) {
        if !self.session.has_arrived(&LooseKind::Permit) {
            return;
        }
        let (gone, news) = {
            let units = self.uplink.permits.borrow();
            let Some(units) = units.as_deref() else { return };
            let Permits { told, before, last, .. } = &self.permits;
            let is_there = |unit: &&String| units.iter().any(|of| of.unit == **unit);
            let known: BTreeSet<&String> = told.keys().chain(before).collect();
            let gone: Vec<String> = known.into_iter().filter(|unit| !is_there(unit)).cloned().collect();
            let is_news = |of: &&UnitPermits| told.get(&of.unit) != Some(of);
            let (next, first): (Vec<_>, Vec<_>) =
                units.iter().filter(is_news).cloned().partition(|of| of.unit > *last);
            (gone, next.into_iter().chain(first))
        };
        let mut room = BYTES_AT_ONCE;
        for unit in gone {
            if room == 0 {
                return;
            }
            self.permits.told.remove(&unit);
            self.permits.before.remove(&unit);
            self.push(permit_topic(&unit), Vec::new(), true, LooseKind::Permit);
            room = room.saturating_sub(TOPIC_BYTES);
        }
        let now = self.uplink.now();
        for of in news {
            if room == 0 {
                return;
            }
            self.permits.number += 1;
            let payload = permit_bytes(&of, (connected, self.permits.number), now, &self.uplink.origin);
            room = room.saturating_sub(payload.len() + TOPIC_BYTES);
            self.push(permit_topic(&of.unit), payload, true, LooseKind::Permit);
            self.permits.before.remove(&of.unit);
            self.permits.last.clone_from(&of.unit);
            self.permits.told.insert(of.unit.clone(), of);
        }
    }
}
