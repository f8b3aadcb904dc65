//! Where people are: fixes in, persons in zones out (人员定位).
//!
//! A person counts once in a place, whatever number of tags they carry. A tag that falls silent is not
//! gone: it counts in its last zones until it is seen elsewhere or checked out. A tag where zones overlap
//! counts in each of them: the limit of a dike holds for those in it, and so does that of the farm around
//! it. Whether the feed is alive is the source's affair (`source.rs`); here a count is what the fixes said.

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
    who: Who,
    /// In order, and at least one.
    zones: Vec<u32>,
    seen: Mono,
    source_time: Option<Wall>,
}

/// Who carries a tag, as far as the fix or the plant's list of persons says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Who {
    pub(crate) person: Option<Arc<str>>,
    pub(crate) role: Option<Arc<str>>,
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
    /// These zones count differently now, or others are in them.
    Zones(Vec<u32>),
    /// Older than what is known of the tag.
    Late,
}

impl Presence {
    /// `zones`: the places of the fix's zones in the plant, in order; none: out, or somewhere that the plant
    /// does not know. `role`: of the person, where the fix does not tell it.
    pub(crate) fn fix(&mut self, fix: &Fix, zones: Vec<u32>, who: Who, at: Mono) -> Moved {
        let before = self.tags.get_mut(&fix.tag);
        if let Some(before) = &before
            && let (Some(last), Some(this)) = (before.source_time, fix.source_time)
            && this < last
            // A lost tag keeps no order: a location system whose clock was set back is believed again.
            && at.since(before.seen) < LOST_AFTER
        {
            return Moved::Late;
        }
        match before {
            None if zones.is_empty() => Moved::No,
            Some(before) if before.zones == zones => {
                before.seen = at;
                before.source_time = fix.source_time;
                if before.who == who {
                    return Moved::No;
                }
                before.who = who;
                Moved::Zones(zones)
            }
            before => {
                let mut touched = before.map_or_else(Vec::new, |before| std::mem::take(&mut before.zones));
                self.leave(&fix.tag, &touched);
                touched.extend(&zones);
                if !zones.is_empty() {
                    self.enter(fix, zones, who, at);
                }
                Moved::Zones(touched)
            }
        }
    }

    fn leave(&mut self, tag: &Arc<str>, zones: &[u32]) {
        self.tags.remove(tag);
        for zone in zones {
            if let Some(tags) = self.zones.get_mut(zone) {
                tags.remove(tag);
            }
        }
    }

    fn enter(&mut self, fix: &Fix, zones: Vec<u32>, who: Who, at: Mono) {
        self.full = self.tags.len() >= TAGS;
        if self.full {
            return;
        }
        for zone in &zones {
            self.zones.entry(*zone).or_default().insert(Arc::clone(&fix.tag));
        }
        let tag = Tag { who, zones, seen: at, source_time: fix.source_time };
        self.tags.insert(Arc::clone(&fix.tag), tag);
    }

    /// Persons in these zones, present and lost, each once. `None` where there were more tags than there
    /// is room for.
    pub(crate) fn people(&self, zones: &[u32], role: Option<&str>) -> Option<u32> {
        if self.full {
            return None;
        }
        let tags = || zones.iter().filter_map(|zone| self.zones.get(zone)).flatten();
        let of_role = |tag: &&Tag| role.is_none_or(|role| tag.who.role.as_deref() == Some(role));
        let who: BTreeSet<(bool, &str)> = tags()
            .filter_map(|id| Some((id, self.tags.get(id)?)))
            .filter(|(_, tag)| of_role(tag))
            .map(|(id, tag)| match &tag.who.person {
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
            let who = tag.who.person.as_deref().map_or((false, &**id), |person| (true, person));
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
            let mut of_tag: Vec<u32> = tag.zones.iter().filter_map(|at| zone(*at)).collect();
            of_tag.sort_unstable();
            for zone in &of_tag {
                zones.entry(*zone).or_default().insert(Arc::clone(&id));
            }
            if !of_tag.is_empty() {
                tags.insert(id, Tag { zones: of_tag, ..tag });
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
            spot: None,
            sos: false,
            source_time: None,
            received: Now::default(),
            backfill: false,
        }
    }

    fn tell(presence: &mut Presence, fix: &Fix, zones: &[u32], at: Mono) -> Moved {
        let who = Who { person: fix.person.clone(), role: fix.role.clone() };
        presence.fix(fix, zones.to_vec(), who, at)
    }

    #[test]
    fn a_tag_where_zones_overlap_counts_in_each_and_leaves_them_one_by_one() {
        let mut presence = Presence::default();
        tell(&mut presence, &fix("t1", Some("li"), None), &[0, 2], Mono(0));
        assert_eq!([0, 1, 2].map(|zone| presence.people(&[zone], None)), [Some(1), Some(0), Some(1)]);
        assert_eq!(presence.people(&[0, 1, 2], None), Some(1));
        let moved = tell(&mut presence, &fix("t1", Some("li"), None), &[0], Mono(0));
        assert_eq!(moved, Moved::Zones(vec![0, 2, 0]));
        assert_eq!([0, 2].map(|zone| presence.people(&[zone], None)), [Some(1), Some(0)]);
    }

    #[test]
    fn two_tags_of_one_person_count_once_even_in_two_zones_of_a_unit() {
        let mut presence = Presence::default();
        tell(&mut presence, &fix("t1", Some("li"), None), &[0], Mono(0));
        tell(&mut presence, &fix("t2", Some("li"), None), &[1], Mono(0));
        // A tag that nobody is known to carry is not the person of that name.
        tell(&mut presence, &fix("li", None, None), &[1], Mono(0));
        assert_eq!(presence.people(&[0, 1], None), Some(2));
        assert_eq!(presence.people(&[0], None), Some(1));
        assert_eq!(presence.people(&[1], None), Some(2));
    }

    #[test]
    fn a_silent_tag_is_lost_and_counts_until_it_checks_out() {
        let mut presence = Presence::default();
        tell(&mut presence, &fix("t1", None, None), &[0], Mono(0));
        let later = Mono(0).after(Duration::from_secs(30));
        assert_eq!(presence.count(0, Mono(0)), Count { present: 1, lost: 0 });
        assert_eq!(presence.count(0, later), Count { present: 0, lost: 1 });
        assert_eq!(presence.people(&[0], None), Some(1));
        assert_eq!(tell(&mut presence, &fix("t1", None, None), &[], later), Moved::Zones(vec![0]));
        assert_eq!(presence.people(&[0], None), Some(0));
    }

    #[test]
    fn a_role_counts_only_those_who_have_it() {
        let mut presence = Presence::default();
        tell(&mut presence, &fix("t1", None, Some("contractor")), &[0], Mono(0));
        tell(&mut presence, &fix("t2", None, None), &[0], Mono(0));
        assert_eq!(presence.people(&[0], Some("contractor")), Some(1));
    }

    #[test]
    fn a_fix_older_than_the_last_does_not_move_the_tag() {
        let mut presence = Presence::default();
        let at = |ms| Fix { source_time: Some(Wall(ms)), ..fix("t1", None, None) };
        tell(&mut presence, &at(2000), &[0], Mono(0));
        assert_eq!(tell(&mut presence, &at(1000), &[1], Mono(0)), Moved::Late);
        assert_eq!(presence.people(&[0], None), Some(1));
        let lost = Mono(0).after(LOST_AFTER);
        assert_eq!(tell(&mut presence, &at(1000), &[1], lost), Moved::Zones(vec![0, 1]));
    }

    #[test]
    fn with_more_tags_than_room_a_count_is_unknown_rather_than_too_small() {
        let mut presence = Presence::default();
        for tag in 0..=TAGS {
            tell(&mut presence, &fix(&tag.to_string(), None, None), &[0], Mono(0));
        }
        assert_eq!(presence.people(&[0], None), None);
    }

    #[test]
    fn people_stay_where_they_are_when_zones_are_renumbered() {
        let mut presence = Presence::default();
        tell(&mut presence, &fix("t1", None, None), &[0], Mono(0));
        tell(&mut presence, &fix("t2", None, None), &[1], Mono(0));
        let presence = presence.renumbered(|zone| (zone == 0).then_some(5));
        assert_eq!(presence.people(&[5], None), Some(1));
        assert_eq!(presence.people(&[1], None), Some(0));
    }
}
