//! What goes upstream before its commit: the one exception to commit-before-send. Where a commit fails or takes too
//! long, people upstream learn of alarms and hazards with `durable: false`.
//!
//! It holds the newest state of each object until that is committed, and tells it on every connection anew: a loss
//! of the connection loses none of it. The durable message follows from the outbox with its own id, under the same
//! object and revision, so that a receiver who drops repeats by id and keeps the highest revision has each once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::wire::{Origin, loose_bytes};
use crate::store::Message;

/// At most one for each alarm and hazard of the plant; 2 KiB each make 20 MB at the very worst.
const OBJECTS_MAX: usize = 10_000;

/// A handle; clones share what is held.
#[derive(Debug, Clone)]
pub struct Undurable(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    held: Mutex<BTreeMap<Object, Message>>,
    changed: watch::Sender<u64>,
}

/// What an alarm, or a hazard from candidate to end, is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Object {
    is_alarm: bool,
    id: String,
}

impl Object {
    /// `None`: people need not hear of it before it is on disk.
    fn of(message: &Message) -> Option<Self> {
        let is_alarm = match message.kind.as_str() {
            "riskgate.alarm.v1" => true,
            "riskgate.hazard.v1" | "riskgate.candidate.v1" => false,
            _ => return None,
        };
        Some(Self { is_alarm, id: message.object.clone() })
    }

    pub(super) fn word(&self) -> &'static str {
        if self.is_alarm { "alarm" } else { "hazard" }
    }
}

impl Default for Undurable {
    fn default() -> Self {
        Self(Arc::new(Inner { held: Mutex::default(), changed: watch::Sender::new(0) }))
    }
}

impl Undurable {
    /// Holds the alarms and hazards of `messages`, marked. Returns how many there was no room for.
    pub fn offer(&self, messages: impl IntoIterator<Item = Message>) -> u64 {
        let (mut over, mut news) = (0, false);
        let mut held = self.lock();
        for mut message in messages {
            let Some(object) = Object::of(&message) else { continue };
            if held.get(&object).is_some_and(|old| old.revision >= message.revision) {
                continue;
            }
            if held.len() >= OBJECTS_MAX && !held.contains_key(&object) {
                over += 1;
                continue;
            }
            if let Some(data) = message.data.as_object_mut() {
                data.insert("durable".to_owned(), false.into());
            }
            held.insert(object, message);
            news = true;
        }
        drop(held);
        if news {
            self.0.changed.send_modify(|changes| *changes += 1);
        }
        over
    }

    /// These are on disk: the outbox tells them from now on.
    pub fn committed<'a>(&self, messages: impl IntoIterator<Item = &'a Message>) {
        let mut held = self.lock();
        for message in messages {
            let Some(object) = Object::of(message) else { continue };
            if held.get(&object).is_some_and(|held| held.revision <= message.revision) {
                held.remove(&object);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Changes with each state that is newly held.
    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// What is held and not yet `told`, which then says so; what is no longer held is forgotten in it.
    pub(super) fn news(&self, told: &mut HashMap<Object, u64>) -> Vec<(Object, Message)> {
        let held = self.lock();
        told.retain(|object, _| held.contains_key(object));
        let is_news = |(object, message): &(&Object, &Message)| told.get(*object) != Some(&message.revision);
        let news: Vec<_> =
            held.iter().filter(is_news).map(|(object, message)| (object.clone(), message.clone())).collect();
        told.extend(news.iter().map(|(object, message)| (object.clone(), message.revision)));
        news
    }

    // A poisoned lock means that a caller panicked between two complete changes: what is held is whole.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Object, Message>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An alarm or a hazard that is not on disk yet. It has no sequence: that is given at commit. Its id is made of what
/// it tells, so that the same is told under the same id on the next connection.
pub(super) fn bytes(object: &Object, message: &Message, origin: &Origin) -> Vec<u8> {
    let name = format!("undurable/{}/{}/{}", object.word(), message.object, message.revision);
    loose_bytes(&name, &message.kind, message.time, false, &message.data, origin)
}

#[cfg(test)]
mod tests {
    use riskgate_point::Wall;
    use serde_json::json;

    use super::*;
    use crate::store::Lane;

    fn message(kind: &str, object: &str, revision: u64) -> Message {
        Message {
            lane: Lane::Critical,
            topic: "hazard/U-1".to_owned(),
            retain: false,
            kind: format!("riskgate.{kind}.v1"),
            object: object.to_owned(),
            revision,
            time: Wall(1),
            data: json!({ "id": object, "revision": revision, "durable": true }),
        }
    }

    fn told(undurable: &Undurable, memory: &mut HashMap<Object, u64>) -> Vec<(String, u64)> {
        undurable.news(memory).into_iter().map(|(object, message)| (object.id, message.revision)).collect()
    }

    #[test]
    fn the_newest_state_of_an_object_is_told_once_on_each_connection_until_it_is_committed() {
        let undurable = Undurable::default();
        let mut memory = HashMap::new();
        undurable.offer([message("candidate", "h", 1), message("alarm", "h", 1), message("risk", "U-1", 1)]);
        let first = undurable.news(&mut memory);
        assert!(first.iter().all(|(_, message)| message.data["durable"] == json!(false)), "{first:?}");
        assert_eq!(first.len(), 2, "the unit's risk is retained: it waits for its commit");
        assert_eq!(told(&undurable, &mut memory), []);
        undurable.offer([message("hazard", "h", 2), message("hazard", "h", 1)]);
        assert_eq!(told(&undurable, &mut memory), [("h".to_owned(), 2)]);
        assert_eq!(told(&undurable, &mut HashMap::new()).len(), 2, "another connection");
        undurable.committed(&[message("candidate", "h", 1), message("alarm", "h", 1)]);
        assert_eq!(
            told(&undurable, &mut HashMap::new()),
            [("h".to_owned(), 2)],
            "the newer one is not on disk yet"
        );
        undurable.committed(&[message("hazard", "h", 2)]);
        assert!(undurable.is_empty());
        assert_eq!(told(&undurable, &mut memory), []);
        assert!(memory.is_empty());
    }

    #[test]
    fn it_holds_so_many_objects_and_says_what_it_had_no_room_for() {
        let undurable = Undurable::default();
        let many = (0..OBJECTS_MAX).map(|n| message("alarm", &n.to_string(), 1));
        assert_eq!(undurable.offer(many), 0);
        assert_eq!(undurable.offer([message("alarm", "one more", 1), message("alarm", "7", 2)]), 1);
        assert_eq!(undurable.news(&mut HashMap::new()).len(), OBJECTS_MAX);
    }
}
