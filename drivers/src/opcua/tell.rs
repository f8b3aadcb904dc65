//! What the log and the engine are told of the filling of sessions, each once: what the server refuses,
//! what it gives less of, and where it is too slow. It is kept for a run, over all its sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opcua::types::StatusCode;
use riskgate_point::{Report, Sample};

use super::subscribe::{Filling, Subscribed};
use super::{Group, decode, plan};

/// Names of points in one line of the log.
const NAMED_MAX: usize = 20;

/// A server that does not answer so few in time has another trouble than their number.
const PORTION_MIN: usize = 10;

/// What is known over all sessions of a run.
pub(super) struct Run {
    told: Mutex<Told>,
    /// What the server answers in time: less each time that it does not.
    portion: AtomicUsize,
    /// The connection was lost while the history was read: perhaps for it.
    skip_history: AtomicBool,
}

/// What the log has said, so that it says it once.
#[derive(Default)]
struct Told {
    refused: Vec<usize>,
    without_deadband: BTreeSet<usize>,
    given: BTreeMap<usize, Given>,
}

/// The worst that a group was given.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Given {
    publishing: Duration,
    sampling: Duration,
    queue: u32,
    keep_alive: Duration,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            told: Mutex::default(),
            portion: AtomicUsize::new(plan::PORTION_MAX),
            skip_history: AtomicBool::new(false),
        }
    }
}

impl Run {
    /// A server that breaks off whenever it is asked would otherwise be asked for ever.
    pub(super) fn skip_history_once(&self) {
        self.skip_history.store(true, Ordering::Relaxed);
    }

    pub(super) fn skips_history(&self) -> bool {
        self.skip_history.swap(false, Ordering::Relaxed)
    }

    /// What the server takes at once, as far as it was seen.
    pub(super) fn portion_max(&self) -> usize {
        self.portion.load(Ordering::Relaxed)
    }
}

impl Filling {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.run.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What takes the server too long is asked for in smaller portions from the next session on: of a
    /// request without an answer nobody knows what was done.
    pub(super) fn note_slowness(&self, status: StatusCode, portion: usize) {
        if decode::code(status) == StatusCode::BadTimeout && portion > PORTION_MIN {
            let smaller = (portion / 2).max(PORTION_MIN);
            self.run.portion.fetch_min(smaller, Ordering::Relaxed);
            let url = &self.server.url;
            tracing::warn!(url, portion, smaller, "the server does not answer so much at once in time");
        }
    }

    /// Names, for a line of the log.
    pub(super) fn names<T>(&self, points: &[(usize, T)], more: impl Fn(usize, &T) -> String) -> String {
        let named = points.iter().take(NAMED_MAX).filter_map(|(at, detail)| {
            let point = self.server.points.get(*at)?;
            Some(format!("{} {}{}", point.tag, point.node, more(*at, detail)))
        });
        let names = named.collect::<Vec<_>>().join(", ");
        if points.len() > NAMED_MAX { format!("{names}, …") } else { names }
    }

    /// Reports the refused points and names them once for as long as they stay the same.
    pub(super) fn refuse(&self, subscribed: &mut Subscribed, refusals: Vec<(usize, StatusCode)>) {
        let received = (self.clock)();
        let namespaces = &subscribed.limits.namespaces;
        let detail = |at: usize, status: &StatusCode| {
            let point = self.server.points.get(at);
            match point.is_some_and(|point| plan::node_id(&point.node, namespaces).is_none()) {
                true => " (the server has no such namespace)".to_owned(),
                false => format!(" ({status})"),
            }
        };
        let bad = |(at, status): &(usize, StatusCode)| {
            let point = self.server.points.get(*at)?;
            Some(Report::Sample(Sample::bad(point.point, decode::refusal(*status), received)))
        };
        let reports: Vec<Report> = refusals.iter().filter_map(bad).collect();
        let mut refused: Vec<usize> = refusals.iter().map(|(at, _)| *at).collect();
        refused.sort_unstable();
        let is_news = {
            let mut told = self.told();
            let is_news = told.refused != refused;
            told.refused.clone_from(&refused);
            is_news
        };
        if is_news && refused.is_empty() {
            tracing::info!(url = self.server.url, "the server now has every item");
        } else if is_news {
            tracing::warn!(
                url = self.server.url,
                n_refused = refused.len(),
                n_points = self.server.points.len(),
                points = self.names(&refusals, detail),
                "the server refuses items; check their addresses in the point table"
            );
        }
        subscribed.refused = refused;
        if !reports.is_empty() {
            self.out.send(reports);
        }
    }

    pub(super) fn tell_without_deadband(&self, points: &[(usize, StatusCode)]) {
        let is_news = {
            let mut told = self.told();
            let before = told.without_deadband.len();
            told.without_deadband.extend(points.iter().map(|(at, _)| *at));
            told.without_deadband.len() > before
        };
        if is_news {
            tracing::warn!(
                url = self.server.url,
                n_points = points.len(),
                points = self.names(points, |_, status| format!(" ({status})")),
                "the server refuses the deadband of these items, so each change of theirs is told; a \
                 percentage needs an analog item with an EURange"
            );
        }
    }

    /// Tells once what a group gets less of than it asks for.
    pub(super) fn tell_given(
        &self,
        subscribed: &mut Subscribed,
        sub: u32,
        asked: &Group,
        worst: (Duration, u32),
    ) {
        let Some(sub) = subscribed.subs.iter_mut().find(|known| known.id == sub) else { return };
        sub.sampling = sub.sampling.max(worst.0);
        let now = Given {
            publishing: sub.publishing,
            sampling: sub.sampling,
            queue: worst.1,
            keep_alive: sub.keep_alive,
        };
        let given = {
            let mut told = self.told();
            let before = told.given.get(&sub.group).copied();
            let given = before.map_or(now, |before| before.or_worse(now));
            told.given.insert(sub.group, given);
            (before != Some(given)).then_some(given)
        };
        if let Some(given) = given.filter(|given| given.is_less_than(asked)) {
            tracing::warn!(
                url = self.server.url,
                subscription = asked.name,
                publishing_asked = ?asked.publishing,
                publishing = ?given.publishing,
                sampling_asked = ?asked.sampling,
                sampling = ?given.sampling,
                queue_asked = asked.queue,
                queue = given.queue,
                keep_alive_asked = ?asked.keep_alive,
                keep_alive = ?given.keep_alive,
                "the server gives less than was asked for: values come later or fewer are kept, and between \
                 longer keep-alives what does not move turns stale"
            );
        }
    }
}

impl Given {
    fn or_worse(self, other: Self) -> Self {
        Self {
            publishing: self.publishing.max(other.publishing),
            sampling: self.sampling.max(other.sampling),
            queue: self.queue.min(other.queue),
            keep_alive: self.keep_alive.max(other.keep_alive),
        }
    }

    /// By so much that someone would plan otherwise. A sampling of zero is as fast as the server can.
    fn is_less_than(&self, asked: &Group) -> bool {
        let is_slower = |given: Duration, asked: Duration| given * 2 > asked * 3 && !asked.is_zero();
        is_slower(self.publishing, asked.publishing)
            || is_slower(self.sampling, asked.sampling)
            || is_slower(self.keep_alive, asked.keep_alive)
            || self.queue < asked.queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_server_is_what_someone_would_plan_with() {
        let asked = Group { sampling: Duration::from_millis(100), queue: 10, ..Group::bare() };
        let given = Given {
            publishing: asked.publishing,
            sampling: asked.sampling,
            queue: asked.queue,
            keep_alive: asked.keep_alive,
        };
        assert!(!given.is_less_than(&asked));
        assert!(!Given { sampling: Duration::from_millis(150), ..given }.is_less_than(&asked));
        assert!(Given { sampling: Duration::from_millis(250), ..given }.is_less_than(&asked));
        assert!(Given { queue: 1, ..given }.is_less_than(&asked));
        assert!(Given { keep_alive: Duration::from_secs(60), ..given }.is_less_than(&asked));
        let fastest = Group { sampling: Duration::ZERO, ..asked };
        assert!(!Given { sampling: Duration::from_millis(50), ..given }.is_less_than(&fastest));
    }
}
