//! The tickets of special work that feeds have told of (作业票), and which of them are in work where.
//!
//! A ticket is what was last told of it. Whether its feed is alive is the source's affair (`present.rs`), and
//! what time it is the calendar's (`calendar.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Mono, Permit, PermitKind, PermitStage, SourceId, Wall};

/// Tickets kept at once. A large site has 500 in a day; beyond this a feed is lying, and a permit that is not
/// here is unknown. About 400 B each: 4 MB.
const TICKETS: usize = 10_000;

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

type Key = (SourceId, Arc<str>);

#[derive(Debug, Default)]
pub(crate) struct Permits {
    tickets: BTreeMap<Key, Ticket>,
    /// Those in work.
    working: BTreeMap<(Place, PermitKind), BTreeSet<Key>>,
    /// One found no room.
    full: bool,
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
    /// `wall` is the time now: what is over makes room.
    pub(crate) fn take(&mut self, permit: &Permit, place: Place, at: Mono, wall: Wall) -> Taken {
        let key = (permit.source, Arc::clone(&permit.id));
        if let Some(before) = self.tickets.get(&key)
            && let (Some(last), Some(this)) = (before.permit.source_time, permit.source_time)
            && this < last
            && at.since(before.taken) < DISORDER
        {
            return Taken::Late;
        }
        let before = self.remove(&key);
        if before.is_none() && self.tickets.len() >= TICKETS {
            self.sweep(wall);
            if self.tickets.len() >= TICKETS {
                self.full = true;
                return Taken::Full;
            }
        }
        if permit.stage == PermitStage::Working {
            self.working.entry((place, permit.kind)).or_default().insert(key.clone());
        }
        self.tickets.insert(key, Ticket { permit: permit.clone(), place, taken: at });
        Taken::At(before, place)
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

    /// The tickets in work at the place, by their numbers.
    pub(crate) fn working(&self, place: Place, kind: PermitKind) -> impl Iterator<Item = &Permit> {
        let keys = self.working.get(&(place, kind)).into_iter().flatten();
        keys.filter_map(|key| self.tickets.get(key)).map(|ticket| &ticket.permit)
    }

    /// Some tickets found no room.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// The same tickets under the numbers of another plant.
    pub(crate) fn renumbered(
        self,
        source: impl Fn(SourceId) -> Option<SourceId>,
        place: impl Fn(Option<&str>) -> Place,
    ) -> Self {
        let mut moved = Self { full: self.full, ..Self::default() };
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
