//! What reading a message may need of those before it. It belongs to one feed, is bounded, and takes its
//! time from the messages.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::Mono;

use super::sparkplug::{EdgeNode, Node};

/// An event that is told again within this time is still going on. Cameras repeat an alarm about each
/// second, and some never say that it is over.
pub const AGAIN_WITHIN: Duration = Duration::from_secs(5);
/// What goes on is handed on no more often than this: a rule's window is longer, and a camera may repeat
/// itself with every frame.
const HANDED_ON_EACH: Duration = Duration::from_secs(1);
/// A plant of 200 cameras with 20 events each. When full, what was not told for the longest is forgotten: told again,
/// it counts as new, which is the safe side. About 200 bytes each.
const EVENTS_MAX: usize = 4096;

/// The memory of one feed.
#[derive(Debug, Default)]
pub struct Memory {
    pub(super) events: Events,
    /// Sparkplug's edge nodes, as many as the configuration names, by group and edge node.
    nodes: HashMap<String, Node>,
}

impl Memory {
    /// The connection ended: what was told meanwhile was not heard. An event that still goes on afterwards is
    /// handed on again, or it would seem to have ended with the link.
    pub fn link_lost(&mut self) {
        self.events.0.clear();
        self.nodes.clear();
    }

    pub(super) fn node(&mut self, of: &EdgeNode) -> &mut Node {
        self.nodes.entry(format!("{}/{}", of.group, of.edge)).or_default()
    }
}

/// One event of a video system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct EventKey {
    /// Of the subscription.
    pub(super) place: usize,
    pub(super) camera: Arc<str>,
    pub(super) kind: Arc<str>,
    pub(super) rule: Option<Arc<str>>,
    pub(super) id: Option<Arc<str>>,
}

/// The events that were told of and are not over.
#[derive(Debug, Default)]
pub(super) struct Events(HashMap<EventKey, Told>);

#[derive(Debug, Clone, Copy)]
struct Told {
    /// The last message of it.
    heard: Mono,
    /// The last that was handed on.
    handed: Mono,
    /// The highest confidence that was handed on.
    confidence: f64,
    /// It bears an id and was silent for longer than an event that goes on.
    quiet: bool,
}

impl Events {
    /// Whether a message of an event is to be handed on: it is new, still going on, or surer than before.
    /// It goes on where the next message of it comes within `lasts`.
    pub(super) fn is_told(&mut self, key: EventKey, confidence: f64, at: Mono, lasts: Duration) -> bool {
        let told = Told { heard: at, handed: at, confidence, quiet: false };
        let has_id = key.id.is_some();
        let Some(known) = self.0.get_mut(&key) else {
            self.make_room();
            self.0.insert(key, told);
            return true;
        };
        let goes_on = at.since(known.heard) <= lasts;
        known.heard = at;
        known.quiet |= has_id && !goes_on;
        let is_news = match (has_id, goes_on) {
            _ if confidence > known.confidence => true,
            (true, _) => !known.quiet && at.since(known.handed) >= HANDED_ON_EACH,
            (false, true) => at.since(known.handed) >= HANDED_ON_EACH,
            (false, false) => true,
        };
        if is_news {
            let highest = if goes_on || has_id { known.confidence.max(confidence) } else { confidence };
            *known = Told { confidence: highest, ..told };
        }
        is_news
    }

    pub(super) fn over(&mut self, key: &EventKey) {
        self.0.remove(key);
    }

    fn make_room(&mut self) {
        if self.0.len() < EVENTS_MAX {
            return;
        }
        let oldest = self.0.iter().min_by_key(|(_, told)| told.heard).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.0.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(id: Option<&str>) -> EventKey {
        let (camera, kind) = (Arc::from("C"), Arc::from("smoke"));
        EventKey { place: 0, camera, kind, rule: None, id: id.map(Arc::from) }
    }

    /// The seconds at which an event is told, with its confidence in percent, and those that are handed on.
    fn handed_on(id: Option<&str>, told: &[(u64, u32)]) -> Vec<u64> {
        let mut events = Events::default();
        let key = key_of(id);
        let second = |second: u64| Mono(second * 1_000_000_000);
        let handed = told.iter().filter(|(at, percent)| {
            events.is_told(key.clone(), f64::from(*percent) / 100.0, second(*at), AGAIN_WITHIN)
        });
        handed.map(|(at, _)| *at).collect()
    }

    #[test]
    fn what_goes_on_is_handed_on_and_what_comes_back_later_under_its_id_is_not() {
        let told = [(0, 70), (1, 70), (4, 70), (9, 70), (15, 70), (16, 70), (60, 70)];
        assert_eq!(handed_on(Some("e1"), &told), [0, 1, 4, 9]);
        assert_eq!(handed_on(None, &told), [0, 1, 4, 9, 15, 16, 60], "without an id it is another one");
    }

    #[test]
    fn an_event_that_becomes_surer_is_told_whenever_that_is() {
        assert_eq!(handed_on(Some("e1"), &[(0, 50), (60, 50), (120, 80), (180, 70)]), [0, 120]);
        assert_eq!(handed_on(Some("e1"), &[(0, 50), (0, 60), (0, 60)]), [0, 0]);
    }

    #[test]
    fn a_camera_that_repeats_itself_with_every_frame_is_handed_on_once_a_second() {
        let mut events = Events::default();
        let key = key_of(None);
        let frames = (0..100).map(|frame: u64| Mono(frame * 40_000_000));
        let handed = frames.filter(|at| events.is_told(key.clone(), 1.0, *at, AGAIN_WITHIN)).count();
        assert_eq!(handed, 4);
    }

    #[test]
    fn what_is_over_may_begin_anew() {
        let mut events = Events::default();
        let key = key_of(Some("e"));
        assert!(events.is_told(key.clone(), 1.0, Mono(0), AGAIN_WITHIN));
        events.over(&key);
        assert!(events.is_told(key, 1.0, Mono(1), AGAIN_WITHIN));
    }

    #[test]
    fn what_goes_on_after_a_lost_link_is_told_again() {
        let mut memory = Memory::default();
        let key = key_of(Some("e"));
        assert!(memory.events.is_told(key.clone(), 1.0, Mono(0), AGAIN_WITHIN));
        memory.link_lost();
        assert!(memory.events.is_told(key, 1.0, Mono(1), AGAIN_WITHIN));
    }

    #[test]
    fn a_feed_that_invents_events_does_not_fill_the_memory() {
        let mut events = Events::default();
        for event in 0..10_000_u64 {
            let id = Some(Arc::from(event.to_string()));
            let key = EventKey { place: 0, camera: Arc::from("C"), kind: Arc::from("smoke"), rule: None, id };
            assert!(events.is_told(key, 1.0, Mono(event), AGAIN_WITHIN));
        }
        assert_eq!(events.0.len(), EVENTS_MAX);
    }
}
