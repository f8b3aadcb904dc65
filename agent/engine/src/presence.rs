//! Where people are: fixes in, persons in zones out (人员定位).
//!
//! A person counts once in a place, whatever number of tags they carry. A tag that falls silent is not
//! gone: it counts in its last zone until it is seen elsewhere or checked out. Whether the feed is alive
//! is the source's affair (`source.rs`); here a count is what the fixes said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Fix, Mono, Wall};

/// A tag without a fix for this long is lost: it still counts, and screens say so.
const LOST_AFTER: Duration = Duration::from_secs(30);

/// Tags inside zones at once. A site of 5,000 people with 4 tags each; beyond that a feed is lying, and
/// counts are unknown rather than too small. About 200 B a tag: 4 MB.
const TAGS: usize = 20_000;

#[derive(Debug, Default)]
pub(crate) struct Presence {
    tags: BTreeMap<Arc<str>, Tag>,
    /// The tags in each zone, by the zone's place in the plant.
    zones: BTreeMap<u32, BTreeSet<Arc<str>>>,
    /// A tag found no room.
    full: bool,
}

#[derive(Debug, Clone)]
struct Tag {
    person: Option<Arc<str>>,
    role: Option<Arc<str>>,
    zone: u32,
    seen: Mono,
    source_time: Option<Wall>,
}

/// Persons in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Count {
    /// With a fix in the last 30 s.
    pub present: u32,
    /// Without one: they count all the same.
    pub lost: u32,
}

/// What a fix changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// Nobody came or went.
    No,
    /// These zones count differently now; both may be the same.
    Zones(Option<u32>, Option<u32>),
    /// Older than what is known of the tag.
    Late,
}

impl Presence {
    /// `zone`: the place of the fix's zone in the plant; `None`: out, or somewhere that the plant does
    /// not know.
    pub(crate) fn fix(&mut self, fix: &Fix, zone: Option<u32>, at: Mono) -> Moved {
        let before = self.tags.get_mut(&fix.tag);
        if let Some(before) = &before
            && let (Some(last), Some(this)) = (before.source_time, fix.source_time)
            && this < last
            // A lost tag keeps no order: a location system whose clock was set back is believed again.
            && at.since(before.seen) < LOST_AFTER
        {
            return Moved::Late;
        }
        match (before, zone) {
            (None, None) => Moved::No,
            (Some(before), Some(zone)) if before.zone == zone => {
                let same = before.person == fix.person && before.role == fix.role;
                before.seen = at;
                before.source_time = fix.source_time;
                if same {
                    return Moved::No;
                }
                before.person.clone_from(&fix.person);
                before.role.clone_from(&fix.role);
                Moved::Zones(Some(zone), None)
            }
            (before, zone) => {
                let from = before.map(|before| before.zone);
                if let Some(from) = from {
                    self.leave(&fix.tag, from);
                }
                if let Some(zone) = zone {
                    self.enter(fix, zone, at);
                }
                Moved::Zones(from, zone)
            }
        }
    }

    fn leave(&mut self, tag: &Arc<str>, zone: u32) {
        self.tags.remove(tag);
        if let Some(tags) = self.zones.get_mut(&zone) {
            tags.remove(tag);
        }
    }

    fn enter(&mut self, fix: &Fix, zone: u32, at: Mono) {
        self.full = self.tags.len() >= TAGS;
        if self.full {
            return;
        }
        let (person, role) = (fix.person.clone(), fix.role.clone());
        let tag = Tag { person, role, zone, seen: at, source_time: fix.source_time };
        self.tags.insert(Arc::clone(&fix.tag), tag);
        self.zones.entry(zone).or_default().insert(Arc::clone(&fix.tag));
    }

    /// Persons in these zones, present and lost, each once. `None` where there were more tags than there
    /// is room for.
    pub(crate) fn people(&self, zones: &[u32], role: Option<&str>) -> Option<u32> {
        if self.full {
            return None;
        }
        let tags = || zones.iter().filter_map(|zone| self.zones.get(zone)).flatten();
        let of_role = |tag: &&Tag| role.is_none_or(|role| tag.role.as_deref() == Some(role));
        let who: BTreeSet<(bool, &str)> = tags()
            .filter_map(|id| Some((id, self.tags.get(id)?)))
            .filter(|(_, tag)| of_role(tag))
            .map(|(id, tag)| match &tag.person {
                Some(person) => (true, &**person),
                None => (false, &**id),
            })
            .collect();
        u32::try_from(who.len()).ok()
    }

    /// Of the persons in a zone, those with a fresh fix and those without one.
    pub(crate) fn count(&self, zone: u32, now: Mono) -> Count {
        let mut freshest: BTreeMap<(bool, &str), Mono> = BTreeMap::new();
        for id in self.zones.get(&zone).into_iter().flatten() {
            let Some(tag) = self.tags.get(id) else { continue };
            let who = tag.person.as_deref().map_or((false, &**id), |person| (true, person));
            let seen = freshest.entry(who).or_default();
            *seen = tag.seen.max(*seen);
        }
        let mut count = Count::default();
        for seen in freshest.into_values() {
            if now.since(seen) >= LOST_AFTER { count.lost += 1 } else { count.present += 1 }
        }
        count
    }

    /// The same people under the zone numbers of another plant; who is in a zone that is gone is out.
    pub(crate) fn renumbered(self, zone: impl Fn(u32) -> Option<u32>) -> Self {
        let mut zones: BTreeMap<u32, BTreeSet<Arc<str>>> = BTreeMap::new();
        let mut tags = BTreeMap::new();
        for (id, tag) in self.tags {
            if let Some(zone) = zone(tag.zone) {
                zones.entry(zone).or_default().insert(Arc::clone(&id));
                tags.insert(id, Tag { zone, ..tag });
            }
        }
        Self { tags, zones, full: self.full }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use riskgate_point::{Now, SourceId};

    fn fix(tag: &str, person: Option<&str>, role: Option<&str>) -> Fix {
        Fix {
            source: SourceId(0),
            tag: Arc::from(tag),
            person: person.map(Arc::from),
            role: role.map(Arc::from),
            zone: None,
            sos: false,
            source_time: None,
            received: Now::default(),
            backfill: false,
        }
    }

    #[test]
    fn two_tags_of_one_person_count_once_even_in_two_zones_of_a_unit() {
        let mut presence = Presence::default();
        presence.fix(&fix("t1", Some("li"), None), Some(0), Mono(0));
        presence.fix(&fix("t2", Some("li"), None), Some(1), Mono(0));
        // A tag that nobody is known to carry is not the person of that name.
        presence.fix(&fix("li", None, None), Some(1), Mono(0));
        assert_eq!(presence.people(&[0, 1], None), Some(2));
        assert_eq!(presence.people(&[0], None), Some(1));
        assert_eq!(presence.people(&[1], None), Some(2));
    }

    #[test]
    fn a_silent_tag_is_lost_and_counts_until_it_checks_out() {
        let mut presence = Presence::default();
        presence.fix(&fix("t1", None, None), Some(0), Mono(0));
        let later = Mono(0).after(Duration::from_secs(30));
        assert_eq!(presence.count(0, Mono(0)), Count { present: 1, lost: 0 });
        assert_eq!(presence.count(0, later), Count { present: 0, lost: 1 });
        assert_eq!(presence.people(&[0], None), Some(1));
        assert_eq!(presence.fix(&fix("t1", None, None), None, later), Moved::Zones(Some(0), None));
        assert_eq!(presence.people(&[0], None), Some(0));
    }

    #[test]
    fn a_role_counts_only_those_who_have_it() {
        let mut presence = Presence::default();
        presence.fix(&fix("t1", None, Some("contractor")), Some(0), Mono(0));
        presence.fix(&fix("t2", None, None), Some(0), Mono(0));
        assert_eq!(presence.people(&[0], Some("contractor")), Some(1));
    }

    #[test]
    fn a_fix_older_than_the_last_does_not_move_the_tag() {
        let mut presence = Presence::default();
        let at = |ms| Fix { source_time: Some(Wall(ms)), ..fix("t1", None, None) };
        presence.fix(&at(2000), Some(0), Mono(0));
        assert_eq!(presence.fix(&at(1000), Some(1), Mono(0)), Moved::Late);
        assert_eq!(presence.people(&[0], None), Some(1));
        let lost = Mono(0).after(LOST_AFTER);
        assert_eq!(presence.fix(&at(1000), Some(1), lost), Moved::Zones(Some(0), Some(1)));
    }

    #[test]
    fn with_more_tags_than_room_a_count_is_unknown_rather_than_too_small() {
        let mut presence = Presence::default();
        for tag in 0..=TAGS {
            presence.fix(&fix(&tag.to_string(), None, None), Some(0), Mono(0));
        }
        assert_eq!(presence.people(&[0], None), None);
    }

    #[test]
    fn people_stay_where_they_are_when_zones_are_renumbered() {
        let mut presence = Presence::default();
        presence.fix(&fix("t1", None, None), Some(0), Mono(0));
        presence.fix(&fix("t2", None, None), Some(1), Mono(0));
        let presence = presence.renumbered(|zone| (zone == 0).then_some(5));
        assert_eq!(presence.people(&[5], None), Some(1));
        assert_eq!(presence.people(&[1], None), Some(0));
    }
}
