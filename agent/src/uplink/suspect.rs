//! Which message the broker will not take. Pure.
//!
//! MQTT 3.1.1 has no word for it: a broker that will not take a message hangs up. The first message that was
//! not acknowledged then is suspected, until it is. Hung up on it [`TOGETHER`] times, it is sent alone, after
//! the broker has acknowledged what else was sent on that connection, so that the link is known to work; hung
//! up on it [`ALONE`] times there too, it is set aside. An end that was not the broker's own (a time that was
//! up) says nothing and changes nothing.

use std::collections::BTreeMap;

/// Ends of a connection on the same message among others, before it is sent alone.
pub(super) const TOGETHER: u32 = 3;

/// Ends on it alone, before it is set aside.
pub(super) const ALONE: u32 = 2;

/// Names a message over connections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// By its place in the outbox.
    Row(i64),
    /// By its topic.
    Loose(String),
    /// The oldest readings: they are packed anew on each connection.
    Telemetry,
}

/// Suspected at a time. A key more than that takes the place of the least suspected one.
const SUSPECTS_MAX: usize = 16;

/// How often the broker hung up on each message, until it takes it.
#[derive(Debug, Default)]
pub(super) struct Suspicion(BTreeMap<Key, Ends>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Ends {
    together: u32,
    alone: u32,
}

impl Suspicion {
    /// It is to be sent alone.
    pub(super) fn is_on_trial(&self, key: &Key) -> bool {
        self.0.get(key).is_some_and(|ends| ends.together >= TOGETHER)
    }

    pub(super) fn is_of(&self, key: &Key) -> bool {
        self.0.contains_key(key)
    }

    /// The broker has taken it.
    pub(super) fn acknowledged(&mut self, key: &Key) {
        self.0.remove(key);
    }

    /// The broker has hung up. `first` is the first message that it had not acknowledged, `alone` whether
    /// that was sent alone. Gives what is set aside.
    pub(super) fn hung_up(&mut self, first: Option<Key>, alone: bool) -> Option<Key> {
        let first = first?;
        if self.0.len() >= SUSPECTS_MAX && !self.0.contains_key(&first) {
            let least = self.0.iter().min_by_key(|(_, ends)| **ends).map(|(key, _)| key.clone());
            self.0.remove(&least?);
        }
        let ends = self.0.entry(first.clone()).or_default();
        if alone {
            ends.alone += 1;
        } else {
            ends.together = ends.together.saturating_add(1);
        }
        if ends.alone < ALONE {
            return None;
        }
        self.0.remove(&first);
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_set_aside_after_three_ends_among_others_and_two_alone() {
        let mut suspicion = Suspicion::default();
        for _ in 0..TOGETHER {
            assert!(!suspicion.is_on_trial(&Key::Row(7)));
            assert_eq!(suspicion.hung_up(Some(Key::Row(7)), false), None);
        }
        assert!(suspicion.is_on_trial(&Key::Row(7)));
        assert_eq!(suspicion.hung_up(Some(Key::Row(7)), true), None);
        assert_eq!(suspicion.hung_up(Some(Key::Row(7)), true), Some(Key::Row(7)));
        assert!(!suspicion.is_on_trial(&Key::Row(7)));
    }

    #[test]
    fn an_acknowledgement_clears_the_suspicion() {
        let mut suspicion = Suspicion::default();
        for _ in 0..TOGETHER {
            assert_eq!(suspicion.hung_up(Some(Key::Row(7)), false), None);
            assert_eq!(suspicion.hung_up(Some(Key::Row(8)), false), None);
        }
        suspicion.acknowledged(&Key::Row(7));
        assert!(!suspicion.is_on_trial(&Key::Row(7)) && suspicion.is_on_trial(&Key::Row(8)));
    }

    #[test]
    fn a_connection_that_ends_with_nothing_under_way_says_nothing_and_suspects_are_few() {
        let mut suspicion = Suspicion::default();
        assert_eq!(suspicion.hung_up(None, false), None);
        for row in 0..1_000 {
            assert_eq!(suspicion.hung_up(Some(Key::Row(row)), false), None);
        }
        assert_eq!(suspicion.0.len(), SUSPECTS_MAX);
    }
}
