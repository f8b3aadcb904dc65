//! What cameras saw, for as long as a rule may ask for it (视频告警).
//!
//! A camera repeats itself and never says "no more": a sighting is true for a window after it. Whether the
//! camera's feed is alive is the source's affair (`source.rs`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::Mono;

use crate::Truth;

/// Sightings kept for a camera and kind. Only those count that no later one equals or exceeds in
/// confidence; with two decimals of confidence there are seldom more than a few. When full the oldest goes.
const KEPT: usize = 32;

/// Kinds kept for a camera: twice what any camera tells of. Beyond it the feed is lying and the sighting
/// is not kept; the caller counts it.
const KINDS: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Vision {
    /// By the camera's place in the plant, then by kind.
    seen: BTreeMap<u32, BTreeMap<Arc<str>, Kept>>,
}

/// The last sightings of a kind, whatever their confidence: so many that a camera which repeats itself each
/// second fills a minute. Where it tells more, how often a surer one was among them is unknown.
const RECENT: usize = 64;

/// The most sightings that a rule may ask for.
pub(crate) const TIMES_MAX: u32 = 20;

#[derive(Debug, Default)]
struct Kept {
    /// Time up, confidence down.
    best: Vec<(Mono, f64)>,
    /// In the order of time.
    recent: VecDeque<(Mono, f64)>,
    /// When the newest that found no room in `recent` was seen.
    dropped: Option<Mono>,
}

impl Vision {
    /// `false` where there is no room for another kind of this camera.
    pub(crate) fn sighting(&mut self, camera: u32, kind: &Arc<str>, confidence: f64, at: Mono) -> bool {
        let kinds = self.seen.entry(camera).or_default();
        if kinds.len() >= KINDS && !kinds.contains_key(kind) {
            return false;
        }
        let kept = kinds.entry(Arc::clone(kind)).or_default();
        // What is not a number gives no confidence at all.
        let confidence = if confidence.is_nan() { 0.0 } else { confidence };
        while kept.best.pop_if(|(_, before)| *before <= confidence).is_some() {}
        if kept.best.len() >= KEPT {
            kept.best.remove(0);
        }
        kept.best.push((at, confidence));
        if kept.recent.len() >= RECENT {
            kept.dropped = kept.recent.pop_front().map(|(at, _)| at);
        }
        kept.recent.push_back((at, confidence));
        true
    }

    /// The last time that the camera saw `kind` with at least `confidence`.
    pub(crate) fn last(&self, camera: u32, kind: &str, confidence: f64) -> Option<Mono> {
        let kept = self.seen.get(&camera)?.get(kind)?;
        kept.best.iter().rev().find(|(_, of)| *of >= confidence).map(|(at, _)| *at)
    }

    /// Until when `last` counts, for a window; `None` where that is over at `now`.
    pub(crate) fn until(
        &self,
        camera: u32,
        kind: &str,
        confidence: f64,
        window: Duration,
        now: Mono,
    ) -> Option<Mono> {
        let until = self.last(camera, kind, confidence)?.after(window);
        (now < until).then_some(until)
    }

    /// Whether these cameras together saw it so many times within the window, and until when.
    pub(crate) fn often(
        &self,
        cameras: &[u32],
        kind: &str,
        (times, confidence): (u32, f64),
        window: Duration,
        now: Mono,
    ) -> (Truth, Option<Mono>) {
        let kinds = cameras.iter().filter_map(|camera| self.seen.get(camera)?.get(kind));
        let counts = |at: &Mono| now < at.after(window);
        let (mut times_seen, mut dropped) = (Vec::new(), false);
        for kept in kinds {
            let sure = kept.recent.iter().filter(|(at, of)| *of >= confidence && counts(at));
            times_seen.extend(sure.map(|(at, _)| *at));
            dropped |= kept.dropped.as_ref().is_some_and(counts);
        }
        times_seen.sort_unstable();
        let nth = usize::try_from(times).ok().and_then(|times| times_seen.len().checked_sub(times));
        match nth.and_then(|nth| times_seen.get(nth)) {
            Some(first) => (Truth::True, Some(first.after(window))),
            None if dropped => (Truth::Unknown, None),
            None => (Truth::False, None),
        }
    }

    /// The same sightings under the camera numbers of another plant.
    pub(crate) fn renumbered(self, camera: impl Fn(u32) -> Option<u32>) -> Self {
        let seen = self.seen.into_iter().filter_map(|(at, kinds)| Some((camera(at)?, kinds))).collect();
        Self { seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weaker_sighting_does_not_hide_a_stronger_one_before_it() {
        let mut vision = Vision::default();
        let smoke: Arc<str> = Arc::from("smoke");
        vision.sighting(0, &smoke, 0.9, Mono(1));
        vision.sighting(0, &smoke, 0.3, Mono(2));
        assert_eq!(vision.last(0, "smoke", 0.6), Some(Mono(1)));
        assert_eq!(vision.last(0, "smoke", 0.2), Some(Mono(2)));
        vision.sighting(0, &smoke, 0.9, Mono(3));
        assert_eq!(vision.last(0, "smoke", 0.2), Some(Mono(3)));
        assert_eq!(vision.last(0, "flame", 0.0), None);
        assert_eq!(vision.last(1, "smoke", 0.0), None);
    }

    #[test]
    fn a_sighting_counts_for_its_window_and_not_at_its_end() {
        let mut vision = Vision::default();
        vision.sighting(0, &Arc::from("smoke"), f64::NAN, Mono(10));
        let window = Duration::from_nanos(5);
        assert_eq!(vision.until(0, "smoke", 0.0, window, Mono(14)), Some(Mono(15)));
        assert_eq!(vision.until(0, "smoke", 0.0, window, Mono(15)), None);
        assert_eq!(vision.until(0, "smoke", 0.1, window, Mono(11)), None);
    }

    #[test]
    fn repeats_count_over_all_cameras_and_the_last_of_them_ends_it() {
        let mut vision = Vision::default();
        let helmet: Arc<str> = Arc::from("no_helmet");
        for (camera, confidence, at) in [(0, 0.9, 1), (1, 0.7, 4), (0, 0.2, 5), (0, 0.8, 6)] {
            vision.sighting(camera, &helmet, confidence, Mono(at));
        }
        let often = |times, now| {
            vision.often(&[0, 1], "no_helmet", (times, 0.6), Duration::from_nanos(10), Mono(now))
        };
        assert_eq!(often(3, 10), (Truth::True, Some(Mono(11))));
        assert_eq!(often(3, 11), (Truth::False, None));
        assert_eq!(often(2, 11), (Truth::True, Some(Mono(14))));
        assert_eq!(often(4, 10), (Truth::False, None));
    }

    #[test]
    fn among_more_sightings_than_there_is_room_for_how_often_is_unknown() {
        let mut vision = Vision::default();
        let smoke: Arc<str> = Arc::from("smoke");
        assert!((0..=64).all(|at| vision.sighting(0, &smoke, 0.1, Mono(at))));
        let often = |window| vision.often(&[0], "smoke", (2, 0.6), Duration::from_nanos(window), Mono(64)).0;
        assert_eq!(often(100), Truth::Unknown);
        assert_eq!(often(64), Truth::False);
    }

    #[test]
    fn a_feed_that_invents_kinds_does_not_grow_without_end() {
        let mut vision = Vision::default();
        let kept = (0..1000).filter(|kind| {
            let kind: Arc<str> = Arc::from(kind.to_string());
            vision.sighting(0, &kind, 1.0, Mono(0))
        });
        assert_eq!(kept.count(), KINDS);
    }
}
