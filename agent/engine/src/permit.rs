//! The tickets of special work that feeds have told of (作业票), and which of them are in work where.
//!
//! A ticket is what was last told of it. Whether its feed is alive is the source's affair (`present.rs`), and
//! what time it is the calendar's (`calendar.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Mono, Permit, PermitKind, PermitStage, SourceId, Wall};

use crate::Truth;

/// Tickets kept at once. A large site has 500 in a day; beyond this a feed is lying, and a permit that is not
/// here is unknown. About 400 B each: 4 MB.
const TICKETS: usize = 10_000;

/// Tickets in work that found no room, by their numbers alone: as many again. About 150 B each: 1.5 MB.
const REFUSED: usize = TICKETS;

/// Messages of one ticket overtake each other within this; later, a feed whose clock was set back is believed.
const DISORDER: Duration = Duration::from_secs(60);

/// Where a ticket's work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The unit's place in the plant.
    Unit(u32),
    /// In none of the plant's units.
    Elsewhere,
    /// The ticket names no place: it may be any.
    Unsaid,
}

/// A ticket as it stands, for those who want to see it.
#[derive(Debug, Clone, Copy)]
pub struct PermitView<'a> {
    pub permit: &'a Permit,
    /// The unit where the work is; `None` where it is in none of the plant's, or the ticket does not say.
    pub unit: Option<&'a str>,
    /// Its time is over; unknown while the calendar is in doubt.
    pub over: Truth,
    /// The work is permitted now, as rules see it: also unknown while the feed is down, since it may have been closed.
    pub in_force: Truth,
}

type Key = (SourceId, Arc<str>);

#[derive(Debug, Default)]
pub(crate) struct Permits {
    tickets: BTreeMap<Key, Ticket>,
    /// Those in work.
    working: BTreeMap<(Place, PermitKind), BTreeSet<Key>>,
    /// In work, and there was no room for them: when they are over, if they say.
    refused: BTreeMap<Key, Option<Wall>>,
    /// Feeds of which even these were too many.
    beyond: BTreeSet<SourceId>,
}

#[derive(Debug)]
struct Ticket {
    permit: Permit,
    place: Place,
    taken: Mono,
}

/// What a message did to its ticket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Work at these places, which may be one, is permitted differently now.
    At(Option<Place>, Place),
    /// Older than what is known of the ticket.
    Late,
    /// There is no room for another.
    Full,
}

impl Permits {
    /// `wall` is the time now: what is over makes room. A ticket that is told as closed once more, as brokers do with
    /// what they keep, was received when it was told first.
    pub(crate) fn take(&mut self, permit: &Permit, place: Place, at: Mono, wall: Wall) -> Taken {
        let key = (permit.source, Arc::clone(&permit.id));
        if let Some(before) = self.tickets.get(&key)
            && let (Some(last), Some(this)) = (before.permit.source_time, permit.source_time)
            && this < last
            && at.since(before.taken) < DISORDER
        {
            return Taken::Late;
        }
        self.refused.retain(|_, end| end.is_none_or(|end| end > wall));
        self.refused.remove(&key);
        let mut permit = permit.clone();
        if let Some(Ticket { permit: before, .. }) = self.tickets.get(&key)
            && (before.stage, permit.stage) == (PermitStage::After, PermitStage::After)
        {
            permit.received = before.received;
        }
        let before = self.remove(&key);
        if before.is_none() && self.tickets.len() >= TICKETS {
            self.sweep(wall);
            if self.tickets.len() >= TICKETS {
                self.refuse(key, &permit, wall);
                return Taken::Full;
            }
        }
        if permit.stage == PermitStage::Working {
            self.working.entry((place, permit.kind)).or_default().insert(key.clone());
        }
        self.tickets.insert(key, Ticket { permit, place, taken: at });
        Taken::At(before, place)
    }

    /// Only work that goes on is missed: what has not begun is told again when it does.
    fn refuse(&mut self, key: Key, permit: &Permit, wall: Wall) {
        if permit.stage != PermitStage::Working || permit.end.is_some_and(|end| end <= wall) {
            return;
        }
        if self.refused.len() < REFUSED {
            self.refused.insert(key, permit.end);
        } else {
            self.beyond.insert(permit.source);
        }
    }

    /// The feed's link is lost: when it is back it tells anew of every ticket that it keeps.
    pub(crate) fn begin_anew(&mut self, source: SourceId) {
        self.refused.retain(|(of, _), _| *of != source);
        self.beyond.remove(&source);
    }

    fn remove(&mut self, key: &Key) -> Option<Place> {
        let Ticket { permit, place, .. } = self.tickets.remove(key)?;
        if let Some(keys) = self.working.get_mut(&(place, permit.kind)) {
            keys.remove(key);
            if keys.is_empty() {
                self.working.remove(&(place, permit.kind));
            }
        }
        Some(place)
    }

    /// Lets go of tickets that are closed, or whose time is over.
    fn sweep(&mut self, wall: Wall) {
        let is_over =
            |permit: &Permit| permit.stage == PermitStage::After || permit.end.is_some_and(|end| end <= wall);
        let over = self.tickets.iter().filter(|(_, ticket)| is_over(&ticket.permit));
        let over: Vec<Key> = over.map(|(key, _)| key.clone()).collect();
        for key in over {
            self.remove(&key);
        }
    }

    /// Every ticket and where its work is, by feed and number.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Permit, Place)> {
        self.tickets.values().map(|ticket| (&ticket.permit, ticket.place))
    }

    /// The tickets in work at the place, by their numbers.
    pub(crate) fn working(&self, place: Place, kind: PermitKind) -> impl Iterator<Item = &Permit> {
        let keys = self.working.get(&(place, kind)).into_iter().flatten();
        keys.filter_map(|key| self.tickets.get(key)).map(|ticket| &ticket.permit)
    }

    /// Some tickets in work found no room, and are not over. That there is room again does not say where
    /// their work is: only a word of each does, or its end.
    pub(crate) fn is_full(&self) -> bool {
        !(self.refused.is_empty() && self.beyond.is_empty())
    }

    /// The same, of one feed.
    pub(crate) fn is_crowded(&self, source: SourceId) -> bool {
        let first = (source, Arc::from(""));
        let is_its_own = |key: &Key| key.0 == source;
        self.beyond.contains(&source)
            || self.refused.range(first..).next().is_some_and(|(key, _)| is_its_own(key))
    }

    /// The same tickets under the numbers of another plant.
    pub(crate) fn renumbered(
        self,
        source: impl Fn(SourceId) -> Option<SourceId>,
        place: impl Fn(Option<&str>) -> Place,
    ) -> Self {
        let refused = self.refused.into_iter();
        let mut moved = Self {
            refused: refused.filter_map(|((of, id), end)| Some(((source(of)?, id), end))).collect(),
            beyond: self.beyond.into_iter().filter_map(&source).collect(),
            ..Self::default()
        };
        for Ticket { mut permit, taken, .. } in self.tickets.into_values() {
            if let Some(source) = source(permit.source) {
                permit.source = source;
                let place = place(permit.place.as_deref());
                // There was room for all of them before.
                moved.take(&permit, place, taken, Wall(i64::MIN));
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use riskgate_point::Now;

    use super::*;

    const HERE: Place = Place::Unit(0);

    fn ticket(id: &str, stage: PermitStage) -> Permit {
        Permit {
            source: SourceId(1),
            id: Arc::from(id),
            kind: PermitKind::HotWork,
            level: None,
            stage,
            place: None,
            start: None,
            end: None,
            guardian: None,
            source_time: None,
            received: Now::default(),
            backfill: false,
        }
    }

    fn working(permits: &Permits, place: Place) -> Vec<&str> {
        permits.working(place, PermitKind::HotWork).map(|permit| &*permit.id).collect()
    }

    #[test]
    fn a_ticket_is_what_was_last_told_of_it() {
        let mut permits = Permits::default();
        let mut take = |stage, place| permits.take(&ticket("T-1", stage), place, Mono(0), Wall(0));
        assert_eq!(take(PermitStage::Before, HERE), Taken::At(None, HERE));
        assert_eq!(take(PermitStage::Working, HERE), Taken::At(Some(HERE), HERE));
        assert_eq!(take(PermitStage::Working, Place::Elsewhere), Taken::At(Some(HERE), Place::Elsewhere));
        assert!(working(&permits, HERE).is_empty());
        assert_eq!(working(&permits, Place::Elsewhere), ["T-1"]);
        permits.take(&ticket("T-1", PermitStage::After), HERE, Mono(0), Wall(0));
        assert!(permits.working.is_empty());
    }

    #[test]
    fn a_ticket_that_is_told_as_closed_again_was_received_when_it_was_closed() {
        let mut permits = Permits::default();
        let mut take = |seconds: u64, stage| {
            let mono = Mono(seconds * 1_000_000_000);
            let told = Permit { received: Now { mono, wall: Wall(0) }, ..ticket("T-1", stage) };
            permits.take(&told, HERE, mono, Wall(0));
            permits.all().next().map(|(permit, _)| permit.received.mono.0 / 1_000_000_000)
        };
        assert_eq!(take(1, PermitStage::Working), Some(1));
        assert_eq!(take(2, PermitStage::Working), Some(2));
        assert_eq!(take(3, PermitStage::After), Some(3));
        assert_eq!(take(4, PermitStage::After), Some(3));
        assert_eq!(take(5, PermitStage::Working), Some(5), "it was opened anew");
        assert_eq!(take(6, PermitStage::After), Some(6));
    }

    #[test]
    fn tickets_of_two_feeds_with_one_number_are_two() {
        let mut permits = Permits::default();
        let other = Permit { source: SourceId(2), ..ticket("T-1", PermitStage::Working) };
        permits.take(&ticket("T-1", PermitStage::Working), HERE, Mono(0), Wall(0));
        permits.take(&other, HERE, Mono(0), Wall(0));
        permits.take(&ticket("T-1", PermitStage::After), HERE, Mono(0), Wall(0));
        assert_eq!(working(&permits, HERE), ["T-1"]);
    }

    #[test]
    fn a_message_that_was_overtaken_changes_nothing_unless_the_feeds_clock_was_set_back() {
        let mut permits = Permits::default();
        let at = |ms, stage| Permit { source_time: Some(Wall(ms)), ..ticket("T-1", stage) };
        permits.take(&at(2000, PermitStage::After), HERE, Mono(0), Wall(0));
        let again = at(1000, PermitStage::Working);
        assert_eq!(permits.take(&again, HERE, Mono(1), Wall(0)), Taken::Late);
        assert_eq!(permits.take(&again, HERE, Mono(0).after(DISORDER), Wall(0)), Taken::At(Some(HERE), HERE));
    }

    #[test]
    fn what_is_over_makes_room_and_where_nothing_is_the_feed_is_lying() {
        let mut permits = Permits::default();
        for n in 0..TICKETS {
            let stage = if n == 0 { PermitStage::After } else { PermitStage::Working };
            let end = (n == 1).then_some(Wall(100));
            permits.take(&Permit { end, ..ticket(&n.to_string(), stage) }, HERE, Mono(0), Wall(0));
        }
        let mut one_more = |id| permits.take(&ticket(id, PermitStage::Working), HERE, Mono(0), Wall(100));
        assert_eq!(one_more("a"), Taken::At(None, HERE));
        assert_eq!(one_more("b"), Taken::At(None, HERE));
        assert_eq!(one_more("c"), Taken::Full);
        assert_eq!(one_more("b"), Taken::At(Some(HERE), HERE));
        assert!(permits.is_full());
        assert_eq!(working(&permits, HERE).len(), TICKETS);
    }

    fn crowded() -> Permits {
        let mut permits = Permits::default();
        for n in 0..TICKETS {
            permits.take(&ticket(&n.to_string(), PermitStage::Working), HERE, Mono(0), Wall(0));
        }
        permits
    }

    #[test]
    fn a_ticket_that_found_no_room_is_missed_until_it_is_told_again_or_over_or_its_feed_begins_anew() {
        let mut permits = crowded();
        let mut take = |permit: &Permit, wall| {
            permits.take(permit, HERE, Mono(0), Wall(wall));
            (permits.is_full(), permits.is_crowded(SourceId(1)), permits.is_crowded(SourceId(2)))
        };
        let known = ticket("5", PermitStage::Working);
        assert_eq!(take(&ticket("a", PermitStage::Before), 0), (false, false, false), "no work goes on");
        assert_eq!(take(&ticket("a", PermitStage::Working), 0), (true, true, false));
        assert_eq!(take(&known, 0), (true, true, false));
        assert_eq!(take(&ticket("a", PermitStage::After), 0), (false, false, false), "it is closed");
        let ends = Permit { end: Some(Wall(100)), ..ticket("b", PermitStage::Working) };
        assert_eq!(take(&ends, 0), (true, true, false));
        assert_eq!(take(&known, 100), (false, false, false), "its time is over");
        let other = Permit { source: SourceId(2), ..ticket("c", PermitStage::Working) };
        assert_eq!(take(&other, 100), (true, false, true));
        assert_eq!(
            take(&ticket("5", PermitStage::After), 100),
            (true, false, true),
            "room alone tells nothing"
        );
        assert_eq!(take(&other, 100), (false, false, false), "there is room now");
        assert_eq!(take(&ticket("d", PermitStage::Working), 100), (true, true, false));
        permits.begin_anew(SourceId(2));
        assert!(permits.is_full());
        permits.begin_anew(SourceId(1));
        assert!(!permits.is_full());
    }

    #[test]
    fn tickets_that_find_no_room_are_remembered_within_bounds() {
        let mut permits = crowded();
        for n in 0..=REFUSED {
            permits.take(&ticket(&format!("r{n}"), PermitStage::Working), HERE, Mono(0), Wall(0));
        }
        assert_eq!((permits.tickets.len(), permits.refused.len()), (TICKETS, REFUSED));
        for n in 0..=REFUSED {
            permits.take(&ticket(&format!("r{n}"), PermitStage::After), HERE, Mono(0), Wall(0));
        }
        assert!(permits.is_crowded(SourceId(1)), "one was not even counted by its number");
        let moved = permits.renumbered(|source| Some(SourceId(source.0 + 1)), |_| HERE);
        assert!(moved.is_crowded(SourceId(2)) && !moved.is_crowded(SourceId(1)));
    }

    #[test]
    fn tickets_move_to_the_numbers_of_another_plant() {
        let mut permits = Permits::default();
        let named = Permit { place: Some(Arc::from("tank-a")), ..ticket("T-1", PermitStage::Working) };
        permits.take(&named, HERE, Mono(0), Wall(0));
        let place = |name: Option<&str>| if name == Some("tank-a") { Place::Unit(7) } else { Place::Unsaid };
        let moved = permits.renumbered(|source| Some(SourceId(source.0 + 1)), place);
        assert_eq!(working(&moved, Place::Unit(7)), ["T-1"]);
        assert_eq!(moved.tickets.keys().next().map(|key| key.0), Some(SourceId(2)));
        assert!(moved.renumbered(|_| None, |_| HERE).tickets.is_empty());
    }
}
