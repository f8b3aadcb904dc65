//! Where people are: fixes in, persons in zones out (人员定位).
//!
//! A person counts once in a place, whatever number of tags they carry. A tag that falls silent is not
//! gone: it counts in its last zones until it is seen elsewhere or checked out. A tag where zones overlap
//! counts in each of them: the limit of a dike holds for those in it, and so does that of the farm around
//! it. Whether the feed is alive is the source's affair (`source.rs`); here a count is what the fixes said.
//!
//! Only a tag with a fresh fix says that its carrier is there, alone or motionless: of a lost one these are
//! unknown, so that silence ends no alarm about a person.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Fix, Mono, Spot, Wall};

use crate::Truth;

/// A tag without a fix for this long is lost: it still counts, and screens say so.
const LOST_AFTER: Duration = Duration::from_secs(30);

/// Tags inside zones at once. A site of 5,000 people with 4 tags each; beyond that a feed is lying, and
/// counts are unknown rather than too small. About 200 B a tag: 4 MB.
const TAGS: usize = 20_000;

/// Metres. A tag that stays within this of a spot has not moved: it is what location systems promise of a tag
/// at rest (AQ 3064.3: 3 m in blue and yellow zones).
const APART: f64 = 3.0;

/// Nobody is called motionless sooner.
pub(crate) const STILL_MIN: Duration = Duration::from_secs(10);

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
    carrier: Carrier,
    /// In order, and at least one.
    zones: Vec<u32>,
    seen: Mono,
    source_time: Option<Wall>,
    sos: bool,
    /// Where it rests, and since when.
    spot: Option<Spot>,
    moved: Mono,
}

/// Who carries a tag, as far as the fix or the plant's list of persons says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Carrier {
    pub(crate) person: Option<Arc<str>>,
    pub(crate) role: Option<Arc<str>>,
}

/// Who a person is: by person, or by tag where nobody is known to carry it.
type Who<'a> = (bool, &'a str);

/// Persons in a zone.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Count {
    /// With a fix in the last 30 s.
    pub present: u32,
    /// Without one: they count all the same.
    pub lost: u32,
    /// Present and lost by role; `None`: nobody has said theirs.
    pub roles: Vec<(Option<Arc<str>>, u32)>,
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
    /// does not know.
    pub(crate) fn fix(&mut self, fix: &Fix, zones: Vec<u32>, carrier: Carrier, at: Mono) -> Moved {
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
                let same = before.carrier == carrier && before.sos == fix.sos;
                let was_lost = before.is_lost(at);
                let rested = before.rests_at(fix.spot.as_ref(), at);
                before.seen = at;
                before.source_time = fix.source_time;
                if same && !was_lost && !rested {
                    return Moved::No;
                }
                before.sos = fix.sos;
                before.carrier = carrier;
                Moved::Zones(zones)
            }
            before => {
                let (mut touched, mut rest) = (Vec::new(), (fix.spot.clone(), at));
                if let Some(before) = before {
                    // Across a border without a step: it rests where it did.
                    before.rests_at(fix.spot.as_ref(), at);
                    rest = (before.spot.clone(), before.moved);
                    touched = std::mem::take(&mut before.zones);
                }
                self.leave(&fix.tag, &touched);
                touched.extend(&zones);
                if !zones.is_empty() {
                    self.enter(fix, zones, carrier, rest, at);
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

    fn enter(
        &mut self,
        fix: &Fix,
        zones: Vec<u32>,
        carrier: Carrier,
        (spot, moved): (Option<Spot>, Mono),
        at: Mono,
    ) {
        self.full = self.tags.len() >= TAGS;
        if self.full {
            return;
        }
        for zone in &zones {
            self.zones.entry(*zone).or_default().insert(Arc::clone(&fix.tag));
        }
        let (sos, source_time) = (fix.sos, fix.source_time);
        let tag = Tag { carrier, zones, seen: at, source_time, sos, spot, moved };
        self.tags.insert(Arc::clone(&fix.tag), tag);
    }

    /// Persons in these zones, present and lost, each once. `None` where there were more tags than there
    /// is room for.
    pub(crate) fn people(&self, zones: &[u32], role: Option<&str>) -> Option<u32> {
        if self.full {
            return None;
        }
        let who: BTreeSet<Who<'_>> = self.within(zones, role).map(|(who, _)| who).collect();
        u32::try_from(who.len()).ok()
    }

    /// The tags in these zones, each with who carries it.
    fn within(&self, zones: &[u32], role: Option<&str>) -> impl Iterator<Item = (Who<'_>, &Tag)> {
        let tags = zones.iter().filter_map(|zone| self.zones.get(zone)).flatten();
        let of_role = move |tag: &Tag| role.is_none_or(|role| tag.carrier.role.as_deref() == Some(role));
        tags.filter_map(|id| Some((id, self.tags.get(id)?)))
            .filter(move |(_, tag)| of_role(tag))
            .map(|(id, tag)| (tag.carrier.who(id), tag))
    }

    /// When each person in these zones was last seen.
    fn last_seen(&self, zones: &[u32], role: Option<&str>) -> BTreeMap<Who<'_>, Mono> {
        let mut last: BTreeMap<Who<'_>, Mono> = BTreeMap::new();
        for (who, tag) in self.within(zones, role) {
            let seen = last.entry(who).or_default();
            *seen = tag.seen.max(*seen);
        }
        last
    }

    /// Persons in these zones with a fresh fix, each once, and when the first of them will be lost.
    pub(crate) fn present(
        &self,
        zones: &[u32],
        role: Option<&str>,
        now: Mono,
    ) -> (Option<u32>, Option<Mono>) {
        if self.full {
            return (None, None);
        }
        let fresh = || self.last_seen(zones, role).into_values().map(lost_at).filter(|lost| *lost > now);
        (u32::try_from(fresh().count()).ok(), fresh().min())
    }

    /// Whether exactly one person is present; where none is and some are lost, one of them may be.
    pub(crate) fn lone(&self, zones: &[u32], now: Mono) -> (Truth, Option<Mono>) {
        let (present, until) = self.present(zones, None, now);
        let truth = match present {
            None => Truth::Unknown,
            Some(0) if self.within(zones, None).next().is_some() => Truth::Unknown,
            Some(present) => Truth::from(present == 1),
        };
        (truth, until)
    }

    /// Whether a tag here, present or lost, last said that its button is pressed.
    pub(crate) fn sos(&self, zones: &[u32]) -> Truth {
        let pressed = Truth::from(self.within(zones, None).any(|(_, tag)| tag.sos));
        if self.full { pressed.or(Truth::Unknown) } else { pressed }
    }

    /// Whether a person here has not moved for so long: with none of their tags. Unknown of a tag that tells
    /// no spot, and of a lost one that did not move before it was lost.
    pub(crate) fn still(&self, zones: &[u32], length: Duration, now: Mono) -> (Truth, Option<Mono>) {
        let mut persons: BTreeMap<Who<'_>, Truth> = BTreeMap::new();
        let mut until: Option<Mono> = None;
        for (who, tag) in self.within(zones, None) {
            let rested = tag.moved.after(length);
            let (truth, turns) = match &tag.spot {
                None => (Truth::Unknown, None),
                Some(_) if rested > now => (Truth::False, Some(rested)),
                Some(_) if tag.is_lost(now) => (Truth::Unknown, None),
                Some(_) => (Truth::True, Some(lost_at(tag.seen))),
            };
            until = until.into_iter().chain(turns).min();
            let person = persons.entry(who).or_insert(Truth::True);
            *person = person.and(truth);
        }
        let any = persons.into_values().fold(Truth::False, Truth::or);
        (if self.full { any.or(Truth::Unknown) } else { any }, until)
    }

    /// Whether the person or tag of this name is here with a fresh fix, and until when.
    pub(crate) fn has(&self, zones: &[u32], name: &str, now: Mono) -> (Truth, Option<Mono>) {
        let named = zones.iter().filter_map(|zone| self.zones.get(zone)).flatten().filter_map(|id| {
            let tag = self.tags.get(id)?;
            (&**id == name || tag.carrier.person.as_deref() == Some(name)).then_some(lost_at(tag.seen))
        });
        match named.max().filter(|lost| *lost > now) {
            Some(lost) => (Truth::True, Some(lost)),
            None if self.full => (Truth::Unknown, None),
            None => (Truth::False, None),
        }
    }

    /// Of the persons in a zone, those with a fresh fix and those without one. `None` where there were more tags than
    /// there is room for.
    pub(crate) fn count(&self, zone: u32, now: Mono) -> Option<Count> {
        if self.full {
            return None;
        }
        let mut count = Count { roles: self.roles(zone), ..Count::default() };
        for seen in self.last_seen(&[zone], None).into_values() {
            if lost_at(seen) <= now { count.lost += 1 } else { count.present += 1 }
        }
        Some(count)
    }

    /// Each person once, in the first role that one of their tags says.
    fn roles(&self, zone: u32) -> Vec<(Option<Arc<str>>, u32)> {
        let mut persons: BTreeMap<Who<'_>, Option<Arc<str>>> = BTreeMap::new();
        for (who, tag) in self.within(&[zone], None) {
            let role = persons.entry(who).or_default();
            if role.is_none() {
                role.clone_from(&tag.carrier.role);
            }
        }
        let mut roles: BTreeMap<Option<Arc<str>>, u32> = BTreeMap::new();
        for role in persons.into_values() {
            *roles.entry(role).or_default() += 1;
        }
        roles.into_iter().collect()
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

/// When a tag that was last seen then counts as lost.
fn lost_at(seen: Mono) -> Mono {
    seen.after(LOST_AFTER)
}

impl Tag {
    fn is_lost(&self, now: Mono) -> bool {
        lost_at(self.seen) <= now
    }

    /// A fix at a spot, or at none. Whether it ends, or begins, a rest that a rule may ask for.
    fn rests_at(&mut self, spot: Option<&Spot>, at: Mono) -> bool {
        let Some(spot) = spot else { return false };
        match &self.spot {
            Some(from) if is_near(from, spot) => false,
            before => {
                let ends = at.since(self.moved) >= STILL_MIN || before.is_none();
                self.spot = Some(spot.clone());
                self.moved = at;
                ends
            }
        }
    }
}

impl Carrier {
    fn who<'a>(&'a self, tag: &'a str) -> Who<'a> {
        self.person.as_deref().map_or((false, tag), |person| (true, person))
    }
}

/// On one floor as far as both tell, and not farther than a tag at rest is told to wander.
fn is_near(from: &Spot, to: &Spot) -> bool {
    let same_floor = from.floor.is_none() || to.floor.is_none() || from.floor == to.floor;
    same_floor && (to.x - from.x).hypot(to.y - from.y) <= APART
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
            spot: None,
            source_time: None,
            received: Now::default(),
            backfill: false,
        }
    }

    fn tell(presence: &mut Presence, fix: &Fix, zones: &[u32], at: Mono) -> Moved {
        let carrier = Carrier { person: fix.person.clone(), role: fix.role.clone() };
        presence.fix(fix, zones.to_vec(), carrier, at)
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
    fn a_person_with_two_tags_has_one_role_and_nobody_is_counted_where_tags_found_no_room() {
        let mut presence = Presence::default();
        tell(&mut presence, &fix("t1", Some("li"), None), &[0], Mono(0));
        tell(&mut presence, &fix("t2", Some("li"), Some("班长")), &[0], Mono(0));
        tell(&mut presence, &fix("t3", None, None), &[0], Mono(0));
        let count = presence.count(0, Mono(0)).expect("known");
        assert_eq!(count.roles, [(None, 1), (Some(Arc::from("班长")), 1)]);
        assert_eq!((count.present, count.lost), (2, 0));
        presence.full = true;
        assert_eq!(presence.count(0, Mono(0)), None);
    }

    #[test]
    fn a_silent_tag_is_lost_and_counts_until_it_checks_out() {
        let mut presence = Presence::default();
        tell(&mut presence, &fix("t1", None, None), &[0], Mono(0));
        let later = Mono(0).after(Duration::from_secs(30));
        let counted = |presence: &Presence, at| presence.count(0, at).map(|of| (of.present, of.lost));
        assert_eq!(counted(&presence, Mono(0)), Some((1, 0)));
        assert_eq!(counted(&presence, later), Some((0, 1)));
        assert_eq!(presence.people(&[0], None), Some(1));
        assert_eq!(tell(&mut presence, &fix("t1", None, None), &[], later), Moved::Zones(vec![0]));
        assert_eq!(presence.people(&[0], None), Some(0));
    }

    fn rests(tag: &str, person: Option<&str>, x: f64) -> Fix {
        Fix { spot: Some(Spot { x, y: 0.0, floor: None }), ..fix(tag, person, None) }
    }

    fn secs(secs: u64) -> Mono {
        Mono(0).after(Duration::from_secs(secs))
    }

    const TWO_MINUTES: Duration = Duration::from_secs(120);

    #[test]
    fn one_person_present_is_alone_and_the_silence_of_their_tag_is_no_company() {
        let mut presence = Presence::default();
        assert_eq!(presence.lone(&[0], Mono(0)), (Truth::False, None));
        tell(&mut presence, &fix("t1", Some("li"), None), &[0], secs(0));
        tell(&mut presence, &fix("t2", Some("li"), None), &[0], secs(10));
        assert_eq!(presence.lone(&[0], secs(10)), (Truth::True, Some(secs(40))));
        tell(&mut presence, &fix("t3", None, None), &[0], secs(20));
        assert_eq!(presence.lone(&[0], secs(20)), (Truth::False, Some(secs(40))));
        // Who is lost is no company to who is present; where all are lost, nobody knows.
        assert_eq!(presence.lone(&[0], secs(40)), (Truth::True, Some(secs(50))));
        assert_eq!(presence.lone(&[0], secs(50)), (Truth::Unknown, None));
        assert_eq!(presence.present(&[0], None, secs(40)), (Some(1), Some(secs(50))));
        assert_eq!(presence.people(&[0], None), Some(2));
        // A lost tag that is heard again is news.
        let again = tell(&mut presence, &fix("t3", None, None), &[0], secs(60));
        assert_eq!(again, Moved::Zones(vec![0]));
    }

    #[test]
    fn a_person_is_still_whose_tags_have_all_rested_within_three_metres() {
        let mut presence = Presence::default();
        let mut told = |tag, x, at| tell(&mut presence, &rests(tag, Some("li"), x), &[0], secs(at));
        told("t1", 10.0, 0);
        assert_eq!(told("t1", 12.9, 29), Moved::No);
        told("t1", 7.1, 119);
        assert_eq!(presence.still(&[0], TWO_MINUTES, secs(119)), (Truth::False, Some(secs(120))));
        assert_eq!(presence.still(&[0], TWO_MINUTES, secs(120)), (Truth::True, Some(secs(149))));
        // Lost while still: nobody knows. A second tag of theirs that moves says that they do.
        assert_eq!(presence.still(&[0], TWO_MINUTES, secs(149)), (Truth::Unknown, None));
        tell(&mut presence, &rests("t2", Some("li"), 50.0), &[0], secs(150));
        assert_eq!(presence.still(&[0], TWO_MINUTES, secs(150)), (Truth::False, Some(secs(270))));
    }

    #[test]
    fn a_step_after_a_rest_is_news_and_each_step_of_a_walk_is_not() {
        let mut presence = Presence::default();
        let mut told = |x, at| tell(&mut presence, &rests("t1", None, x), &[0], secs(at));
        told(0.0, 0);
        assert_eq!(told(5.0, 5), Moved::No);
        assert_eq!(told(5.0, 20), Moved::No);
        assert_eq!(told(9.0, 20), Moved::Zones(vec![0]));
        // Over a border without a step: the rest goes on.
        tell(&mut presence, &rests("t1", None, 9.5), &[1], secs(130));
        assert_eq!(presence.still(&[1], TWO_MINUTES, secs(140)).0, Truth::True);
    }

    #[test]
    fn without_a_spot_nobody_knows_who_moves() {
        let mut presence = Presence::default();
        assert_eq!(presence.still(&[0], TWO_MINUTES, secs(0)), (Truth::False, None));
        tell(&mut presence, &fix("t1", None, None), &[0], secs(0));
        assert_eq!(presence.still(&[0], TWO_MINUTES, secs(200)), (Truth::Unknown, None));
    }

    #[test]
    fn a_pressed_button_counts_until_its_tag_says_otherwise_or_is_out() {
        let mut presence = Presence::default();
        let pressed = Fix { sos: true, ..fix("t1", None, None) };
        tell(&mut presence, &pressed, &[0], secs(0));
        assert_eq!((presence.sos(&[0]), presence.sos(&[1])), (Truth::True, Truth::False));
        assert_eq!(tell(&mut presence, &pressed, &[1], secs(1)), Moved::Zones(vec![0, 1]));
        assert_eq!(presence.sos(&[0, 1]), Truth::True);
        let released = tell(&mut presence, &fix("t1", None, None), &[1], secs(2));
        assert_eq!(released, Moved::Zones(vec![1]));
        assert_eq!(presence.sos(&[0, 1]), Truth::False);
    }

    #[test]
    fn a_guardian_is_there_by_tag_or_by_name_with_a_fresh_fix() {
        let mut presence = Presence::default();
        tell(&mut presence, &fix("t1", Some("li"), None), &[0], secs(0));
        for name in ["t1", "li"] {
            assert_eq!(presence.has(&[0], name, secs(29)), (Truth::True, Some(secs(30))));
            assert_eq!(presence.has(&[0], name, secs(30)).0, Truth::False);
            assert_eq!(presence.has(&[1], name, secs(0)).0, Truth::False);
        }
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
