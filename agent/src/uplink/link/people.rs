//! How many people are where, on this connection: each zone once at its beginning, then what has changed.
//!
//! Only the newest count of a zone is worth sending: nothing waits here but the names of zones, a few messages are
//! under way at a time and more go when these have arrived, at most once a second.

use riskgate_point::Wall;

use super::Link;
use crate::uplink::session::LooseKind;
use crate::uplink::wire::people::{ZoneCount, people_bytes, people_topic};

/// Messages at once: what an urgent one may find in front of it, 10 KiB.
const PEOPLE_AT_ONCE: usize = 20;

impl Link<'_> {
    /// Each second. Zones take turns: those that change all the time leave the others theirs.
    pub(super) fn tell_people(&mut self, connected: Wall) {
        if !self.session.has_arrived(&LooseKind::People) {
            return;
        }
        let zones = self.uplink.people.borrow().clone();
        let now = self.uplink.now();
        let is_gone = |told: &ZoneCount| !zones.iter().any(|zone| zone.zone == told.zone);
        // Nobody counts there any more: upstream must not take its last count for the present one.
        let gone: Vec<ZoneCount> =
            self.people_told.values().filter(|told| is_gone(told)).take(PEOPLE_AT_ONCE).cloned().collect();
        for zone in &gone {
            self.people_told.remove(&zone.zone);
        }
        let gone: Vec<ZoneCount> = gone
            .into_iter()
            .filter(|zone| zone.count.is_some())
            .map(|zone| ZoneCount { count: None, since: now, ..zone })
            .collect();
        let is_told =
            |zone: &&ZoneCount| self.people_told.get(&zone.zone).is_some_and(|told| told.is_as(zone));
        let news: Vec<&ZoneCount> = zones.iter().filter(|zone| !is_told(zone)).collect();
        let first = news.iter().position(|zone| zone.zone > self.people_last).unwrap_or(0);
        let turn: Vec<ZoneCount> = news
            .iter()
            .cycle()
            .skip(first)
            .take(news.len().min(PEOPLE_AT_ONCE.saturating_sub(gone.len())))
            .copied()
            .cloned()
            .collect();
        for zone in gone {
            self.tell_zone(&zone, connected, now);
        }
        for zone in turn {
            self.tell_zone(&zone, connected, now);
            self.people_last.clone_from(&zone.zone);
            self.people_told.insert(zone.zone.clone(), zone);
        }
    }

    fn tell_zone(&mut self, zone: &ZoneCount, connected: Wall, now: Wall) {
        self.people_number += 1;
        let payload = people_bytes(zone, (connected, self.people_number), now, &self.uplink.origin);
        self.push(people_topic(&zone.zone), payload, false, LooseKind::People);
    }
}
