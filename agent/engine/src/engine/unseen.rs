//! For how long nobody knew whether a rule should be active: of what was judged, the part that was not seen.
//!
//! It is kept only where it is asked for ([`Engine::count_unknown`]): a backtest tells by it how much of the
//! recorded time a rule could say nothing about.

use std::time::Duration;

use riskgate_point::Mono;

use super::Engine;
use crate::Truth;

#[derive(Debug)]
pub(super) struct Unseen(Vec<Unknown>);

#[derive(Debug, Clone)]
struct Unknown {
    since: Option<Mono>,
    before: Duration,
}

impl Unseen {
    pub(super) fn note(&mut self, rule: usize, active: Truth, at: Mono) {
        let Some(of) = self.0.get_mut(rule) else { return };
        match (active, of.since) {
            (Truth::Unknown, None) => of.since = Some(at),
            (Truth::True | Truth::False, Some(since)) => {
                of.before += at.since(since);
                of.since = None;
            }
            (Truth::Unknown, Some(_)) | (Truth::True | Truth::False, None) => {}
        }
    }
}

impl Engine {
    /// Counts from now on, anew, how long each rule is not active and nobody knows whether it should be. Under
    /// another plant the counting ends.
    pub fn count_unknown(&mut self) {
        let since = |active: &Truth| (*active == Truth::Unknown).then_some(self.latest);
        let of =
            self.present.active.iter().map(|active| Unknown { since: since(active), before: Duration::ZERO });
        self.unseen = Some(Box::new(Unseen(of.collect())));
    }

    /// What was counted up to `now`, in the order of the plant's rules; empty where nothing is.
    pub fn unknown_times(&self, now: Mono) -> Vec<Duration> {
        let of = |of: &Unknown| of.before + of.since.map_or(Duration::ZERO, |since| now.since(since));
        self.unseen.as_ref().map(|unseen| unseen.0.iter().map(of).collect()).unwrap_or_default()
    }
}
