//! A point over the last while: what a window remembers, and what it says.
//!
//! The signal is the value in force: each observed value holds until the next. A window of length `w` at
//! time `t` covers `t - w ..= t` and begins with the value in force at `t - w`.
//!
//! - `min` and `max` keep a monotonic deque, also of values that were replaced within the same instant
//!   (several samples received at once): a peak is never lost. `delta` and `rate` keep the changes.
//! - `avg` and `stddev` are weighted by time and move in 100 steps of `w / 100` from the first
//!   observation on: each step is a bucket of (known time, mean, squared deviation), and the result is
//!   merged from the buckets of the window, none of which is ever taken away from a sum, so rounding does not
//!   pile up: the relative error is below 1e-12 of the largest magnitude, and the window's place lags by less
//!   than 1 % of its length.
//! - Unknown time is counted to the nanosecond. More than a tenth of it makes the window incomplete, as
//!   does a length not yet covered.
//!
//! An observation costs O(1) amortised (an average: three merges each step). Memory is bounded:
//! [`CHANGES_MAX`] entries of 16 or 24 bytes for `min max delta rate`, 100 buckets of 24 bytes for `avg
//! stddev`, [`GAPS_MAX`] gaps of 16 bytes for each: under 30 KiB a window. Over the bound, what falls in
//! the same 1/512 of the window is merged: an extreme is then held, and a change placed, up to 1/512 of
//! the window too long, never lost. Gaps are joined within 1/128 of the window, keeping their amount.

use std::collections::VecDeque;

use riskgate_point::{BadReason, Quality, UncertainReason};

use super::means::Means;

/// Entries of a deque of extremes or of changes. Twice [`SLOTS`], so that a merge, which goes over all of
/// them, comes at most once in about 512 changes.
pub(super) const CHANGES_MAX: usize = 1_024;
/// Parts of a window within which entries are merged when there are too many.
const SLOTS: u64 = 512;
/// Separate unknown times that a window remembers. A tenth of unknown time blinds it, so more than these
/// are flutter; they are joined, keeping their amount.
pub(super) const GAPS_MAX: usize = 256;
/// A value or a gap that has not ended.
const OPEN: u64 = u64::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum WindowKind {
    Average,
    Min,
    Max,
    Delta,
    Rate,
    Deviation,
}

/// What a window says at the time of the last observation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    /// Covered, and at most a tenth of it unknown.
    pub(super) complete: bool,
    /// Of the known part; `None` where nothing is known. Unknown unless `complete`, except as a bound of a
    /// `min` or `max`.
    pub(super) value: Option<f64>,
    pub(super) quality: Quality,
}

#[derive(Debug, Clone)]
pub(super) struct Window {
    kind: WindowKind,
    length: u64,
    /// Of the first observation.
    start: Option<u64>,
    present: Option<f64>,
    gaps: Gaps,
    body: Body,
    /// The newest uncertain time: why, and until when.
    uncertain: Option<(UncertainReason, u64)>,
    /// Why the newest unknown time was unknown.
    bad: BadReason,
}

#[derive(Debug, Clone)]
enum Body {
    Extremes(Extremes),
    Changes(Changes),
    /// Boxed: it is by far the largest.
    Means(Box<Means>),
}

impl Window {
    /// `length` in nanoseconds, more than 1,000.
    pub(super) fn new(kind: WindowKind, length: u64) -> Self {
        let body = match kind {
            WindowKind::Min => Body::Extremes(Extremes { sign: -1.0, entries: VecDeque::new() }),
            WindowKind::Max => Body::Extremes(Extremes { sign: 1.0, entries: VecDeque::new() }),
            WindowKind::Delta | WindowKind::Rate => Body::Changes(Changes::default()),
            WindowKind::Average | WindowKind::Deviation => Body::Means(Box::new(Means::new(length))),
        };
        Self {
            kind,
            length,
            start: None,
            present: None,
            gaps: Gaps::default(),
            body,
            uncertain: None,
            bad: BadReason::NeverRead,
        }
    }

    /// The point reads `reading` from `now` on. Called also where nothing has changed: then only time
    /// passes, and how often it is called makes no difference.
    pub(super) fn observe(&mut self, reading: Option<f64>, quality: Quality, now: u64) {
        let first = self.start.is_none();
        let start = *self.start.get_or_insert(now);
        self.observe_quality(reading, quality, now);
        let changed = first || reading != self.present;
        if changed {
            self.gaps.change(reading.is_none(), now, self.length);
        }
        self.gaps.expire(now, self.length);
        match &mut self.body {
            Body::Extremes(extremes) => {
                if changed {
                    extremes.change(reading, now, self.length);
                }
                extremes.expire(now, self.length);
            }
            Body::Changes(changes) => {
                if changed {
                    changes.change(reading, now, self.length);
                }
                changes.expire(now, self.length);
            }
            Body::Means(means) => {
                means.advance(start, now);
                if changed {
                    means.change(reading, now);
                }
            }
        }
        self.present = reading;
    }

    fn observe_quality(&mut self, reading: Option<f64>, quality: Quality, now: u64) {
        if let Some((_, until @ OPEN)) = &mut self.uncertain {
            *until = now;
        }
        match quality {
            Quality::Good => {
                // A value that is no number (a text) is as good as none.
                if reading.is_none() {
                    self.bad = BadReason::ConfigError;
                }
            }
            Quality::Uncertain(reason) => self.uncertain = Some((reason, OPEN)),
            Quality::Bad(reason) => self.bad = reason,
        }
    }

    pub(super) fn kind(&self) -> WindowKind {
        self.kind
    }

    #[cfg(test)]
    pub(super) fn n_entries(&self) -> usize {
        match &self.body {
            Body::Extremes(extremes) => extremes.entries.len(),
            Body::Changes(changes) => changes.entries.len(),
            Body::Means(_) => 0,
        }
    }

    pub(super) fn outcome(&self, now: u64) -> Outcome {
        let covered = self.start.is_some_and(|start| start.saturating_add(self.length) <= now);
        let complete = covered && !self.gaps.too_much(now, self.length);
        let value = self.value(now).filter(|value| value.is_finite());
        let bounded = matches!(self.kind, WindowKind::Min | WindowKind::Max) && value.is_some();
        let quality = if complete {
            match self.uncertain {
                Some((reason, until)) if until.saturating_add(self.length) > now => {
                    Quality::Uncertain(reason)
                }
                Some(_) | None => Quality::Good,
            }
        } else if bounded {
            // A bound from what is known: it may decide a comparison, and is marked.
            Quality::Uncertain(UncertainReason::Source)
        } else if covered {
            Quality::Bad(self.bad)
        } else {
            Quality::Bad(BadReason::NeverRead)
        };
        Outcome { complete, value, quality }
    }

    fn value(&self, now: u64) -> Option<f64> {
        match &self.body {
            Body::Extremes(extremes) => extremes.value(),
            Body::Changes(changes) => {
                let delta = changes.delta(now, self.length)?;
                if self.kind == WindowKind::Rate { Some(delta / minutes(self.length)) } else { Some(delta) }
            }
            Body::Means(means) => {
                if self.kind == WindowKind::Deviation {
                    means.deviation()
                } else {
                    means.mean()
                }
            }
        }
    }

    /// The next time at which the outcome may change with no input; after `now`, the last observation.
    pub(super) fn next_change(&self, now: u64) -> Option<u64> {
        let covered = self.start.map(|start| start.saturating_add(self.length));
        let body = match &self.body {
            Body::Extremes(extremes) => extremes.next_change(self.length),
            Body::Changes(changes) => changes.next_change(self.length),
            Body::Means(means) => means.next_change(),
        };
        [covered, body, self.gaps.next_change(now, self.length)]
            .into_iter()
            .flatten()
            .filter(|at| *at > now && *at != OPEN)
            .min()
    }
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds beyond 104 days lose less than 1e-15 of them")]
fn minutes(length: u64) -> f64 {
    length as f64 / 60e9
}

/// Which 1/512 of a window a time falls in.
fn slot(at: u64, length: u64) -> u64 {
    at / (length / SLOTS).max(1)
}

/// The greatest known value of the window at the front; `sign` -1 makes it the least.
#[derive(Debug, Clone)]
struct Extremes {
    sign: f64,
    /// (value times sign, end). Values fall from front to back, ends rise; the last may be open.
    entries: VecDeque<(f64, u64)>,
}

impl Extremes {
    fn change(&mut self, reading: Option<f64>, now: u64, length: u64) {
        if let Some((_, end @ OPEN)) = self.entries.back_mut() {
            *end = now;
        }
        let Some(value) = reading.map(|value| value * self.sign) else { return };
        while self.entries.back().is_some_and(|(older, _)| *older <= value) {
            self.entries.pop_back();
        }
        self.entries.push_back((value, OPEN));
        if self.entries.len() >= CHANGES_MAX {
            self.thin(length);
        }
    }

    /// Of entries that end in the same slot, the first has the extreme and the last the end.
    fn thin(&mut self, length: u64) {
        let mut kept: VecDeque<(f64, u64)> = VecDeque::with_capacity(CHANGES_MAX);
        for (value, end) in self.entries.drain(..) {
            match kept.back_mut() {
                Some((_, last)) if end != OPEN && slot(*last, length) == slot(end, length) => *last = end,
                Some(_) | None => kept.push_back((value, end)),
            }
        }
        self.entries = kept;
    }

    fn expire(&mut self, now: u64, length: u64) {
        while self.entries.front().is_some_and(|(_, end)| end.saturating_add(length) <= now) {
            self.entries.pop_front();
        }
    }

    fn value(&self) -> Option<f64> {
        self.entries.front().map(|(value, _)| value * self.sign)
    }

    fn next_change(&self, length: u64) -> Option<u64> {
        self.entries.front().map(|(_, end)| end.saturating_add(length))
    }
}

/// The changes within the window, and before them the one that was in force at its start.
#[derive(Debug, Clone, Default)]
struct Changes {
    entries: VecDeque<(u64, Option<f64>)>,
}

impl Changes {
    fn change(&mut self, reading: Option<f64>, now: u64, length: u64) {
        // What was replaced within the instant was never in force.
        if self.entries.back().is_some_and(|(from, _)| *from == now) {
            self.entries.pop_back();
        }
        if self.entries.back().is_none_or(|(_, last)| *last != reading) {
            self.entries.push_back((now, reading));
        }
        if self.entries.len() >= CHANGES_MAX {
            self.thin(length);
        }
    }

    /// Of changes in the same slot, the last known one is kept: unknown time is counted elsewhere.
    fn thin(&mut self, length: u64) {
        let mut kept: VecDeque<(u64, Option<f64>)> = VecDeque::with_capacity(CHANGES_MAX);
        for (from, value) in self.entries.drain(..) {
            match kept.back_mut() {
                Some(last) if slot(last.0, length) == slot(from, length) => {
                    if value.is_some() || last.1.is_none() {
                        *last = (from, value);
                    }
                }
                Some(_) | None => kept.push_back((from, value)),
            }
        }
        self.entries = kept;
    }

    fn expire(&mut self, now: u64, length: u64) {
        while self.entries.get(1).is_some_and(|(from, _)| from.saturating_add(length) <= now) {
            self.entries.pop_front();
        }
    }

    /// Last known less first known.
    fn delta(&self, now: u64, length: u64) -> Option<f64> {
        debug_assert!(self.entries.get(1).is_none_or(|(from, _)| from.saturating_add(length) > now));
        let first = self.entries.iter().find_map(|(_, value)| *value)?;
        let last = self.entries.iter().rev().find_map(|(_, value)| *value)?;
        Some(last - first)
    }

    fn next_change(&self, length: u64) -> Option<u64> {
        self.entries.get(1).map(|(from, _)| from.saturating_add(length))
    }
}

/// The unknown times of the window.
#[derive(Debug, Clone, Default)]
pub(super) struct Gaps {
    closed: VecDeque<(u64, u64)>,
    open: Option<u64>,
    /// Length of all closed ones, also of what the window has already left of the first.
    closed_ns: u64,
}

impl Gaps {
    pub(super) fn change(&mut self, unknown: bool, now: u64, length: u64) {
        if unknown {
            self.open.get_or_insert(now);
            return;
        }
        let Some(from) = self.open.take().filter(|from| *from < now) else { return };
        self.closed.push_back((from, now));
        self.closed_ns = self.closed_ns.saturating_add(now - from);
        if self.closed.len() >= GAPS_MAX {
            self.expire(now, length);
            self.trim(now, length);
            self.thin(length);
        }
    }

    /// Forgets what the window has left of the first, so that joining it brings nothing back.
    fn trim(&mut self, now: u64, length: u64) {
        let start = now.saturating_sub(length);
        if let Some((from, _)) = self.closed.front_mut() {
            let left = start.saturating_sub(*from);
            *from += left;
            self.closed_ns = self.closed_ns.saturating_sub(left);
        }
    }

    /// Neighbours that end in the same 1/128 of the window become one of their added length, which ends
    /// where the last of them did.
    fn thin(&mut self, length: u64) {
        let part = |at| slot(at, length.saturating_mul(4));
        let mut kept: VecDeque<(u64, u64)> = VecDeque::with_capacity(GAPS_MAX);
        for (from, to) in self.closed.drain(..) {
            match kept.back_mut() {
                Some(last) if part(last.1) == part(to) => {
                    let amount = (last.1 - last.0) + (to - from);
                    *last = (to - amount, to);
                }
                Some(_) | None => kept.push_back((from, to)),
            }
        }
        self.closed = kept;
    }

    pub(super) fn expire(&mut self, now: u64, length: u64) {
        while let Some((from, to)) = self.closed.front().copied() {
            if to.saturating_add(length) > now {
                break;
            }
            self.closed.pop_front();
            self.closed_ns = self.closed_ns.saturating_sub(to - from);
        }
    }

    fn unknown_ns(&self, now: u64, length: u64) -> u64 {
        let start = now.saturating_sub(length);
        let left = self.closed.front().map_or(0, |(from, _)| start.saturating_sub(*from));
        let open = self.open.map_or(0, |from| now - from.max(start).min(now));
        self.closed_ns.saturating_sub(left).saturating_add(open)
    }

    pub(super) fn too_much(&self, now: u64, length: u64) -> bool {
        self.unknown_ns(now, length) > length / 10
    }

    /// When [`Self::too_much`] may turn: exactly, or the next time at which unknown time begins to grow
    /// or shrink at another pace.
    pub(super) fn next_change(&self, now: u64, length: u64) -> Option<u64> {
        let start = now.saturating_sub(length);
        let first = self.closed.front();
        let turn = first.map(|(from, to)| {
            let begins = from.saturating_add(length);
            if begins > now { begins } else { to.saturating_add(length) }
        });
        let leaving = first.is_some_and(|(from, _)| from.saturating_add(length) <= now);
        let growing = self.open.is_some_and(|from| from > start || now < length);
        let (unknown, limit) = (self.unknown_ns(now, length), length / 10);
        let crossing = if unknown > limit && leaving && !growing {
            Some(now.saturating_add(unknown - limit))
        } else if unknown <= limit && growing && !leaving {
            Some(now.saturating_add(limit - unknown + 1))
        } else {
            None
        };
        turn.into_iter().chain(crossing).min()
    }
}
