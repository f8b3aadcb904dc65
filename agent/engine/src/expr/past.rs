//! Conditions over time: what one or two truths were over the last while.
//!
//! Each is told the truth from an instant on, and again whenever it likes: between two changes a look makes
//! no difference. A last while of length `d` at time `t` is what was so after `t - d`.
//!
//! - `held` forgets what lasted no time: it is the order in which the readings of one instant came in.
//! - `recently`, `count` and `then` keep it: a pulse that came in one piece was a pulse all the same.
//!
//! Each costs O(1) amortised a change. Memory: `held`, `recently` and `then` a few words each; `count` at most
//! [`EDGES_MAX`] edges of 8 bytes and the gaps of a window: under 13 KiB.

use std::collections::VecDeque;

use super::Beyond;
use super::ast::Compare;
use super::eval::{decided, known};
use super::window::Gaps;
use crate::Truth;

/// The most edges that are counted: of more in one window this many are.
pub(super) const EDGES_MAX: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PastKind {
    Held,
    Recently,
    Count,
    Then,
}

#[derive(Debug, Clone)]
pub(super) enum Past {
    Held(Held),
    Recently(Recently),
    Count(Count),
    Then(Then),
    /// As evidence recorded it: it stays so.
    Recorded(Truth, Option<Counted>),
}

impl Past {
    pub(super) fn new(kind: PastKind, length: u64) -> Self {
        match kind {
            PastKind::Held => Self::Held(Held::new(length)),
            PastKind::Recently => Self::Recently(Recently::new(length)),
            PastKind::Count => Self::Count(Count::new(length)),
            PastKind::Then => Self::Then(Then::new(length)),
        }
    }

    /// `second` is that of `then` alone.
    pub(super) fn observe(&mut self, first: Truth, second: Truth, now: u64) {
        match self {
            Self::Held(held) => held.observe(first, now),
            Self::Recently(recently) => recently.observe(first, now),
            Self::Count(count) => count.observe(first, now),
            Self::Then(then) => then.observe(first, second, now),
            Self::Recorded(..) => {}
        }
    }

    /// What it says, where it is a condition; of a count, [`Self::count`] does.
    pub(super) fn truth(&self, now: u64) -> Truth {
        match self {
            Self::Held(held) => held.truth(now),
            Self::Recently(recently) => recently.truth(now),
            Self::Count(_) => Truth::Unknown,
            Self::Then(then) => then.truth(now),
            Self::Recorded(truth, _) => *truth,
        }
    }

    pub(super) fn count(&self, now: u64) -> Option<Counted> {
        match self {
            Self::Count(count) => Some(count.counted(now)),
            Self::Recorded(_, counted) => *counted,
            Self::Held(_) | Self::Recently(_) | Self::Then(_) => None,
        }
    }

    /// It is unknown because it was not watched for the whole while.
    pub(super) fn is_uncovered(&self, now: u64) -> bool {
        let (start, length) = match self {
            Self::Held(Held { start, length, .. })
            | Self::Recently(Recently { start, length, .. })
            | Self::Count(Count { start, length, .. }) => (*start, *length),
            Self::Then(_) | Self::Recorded(..) => return false,
        };
        !covered(start, length, now)
    }

    /// Times at which it may say something else by itself, in the past ones too.
    pub(super) fn turns(&self, now: u64) -> [Option<u64>; 3] {
        match self {
            Self::Held(held) => held.turns(),
            Self::Recently(recently) => recently.turns(),
            Self::Count(count) => count.turns(now),
            Self::Then(then) => then.turns(),
            Self::Recorded(..) => [None; 3],
        }
    }
}

fn covered(start: Option<u64>, length: u64, now: u64) -> bool {
    start.is_some_and(|start| start.saturating_add(length) <= now)
}

/// `held(c, d)`.
#[derive(Debug, Clone)]
pub(super) struct Held {
    length: u64,
    start: Option<u64>,
    present: Truth,
    since: u64,
    /// When c was last false, or unknown, for longer than an instant.
    false_until: Option<u64>,
    unknown_until: Option<u64>,
}

impl Held {
    fn new(length: u64) -> Self {
        let (false_until, unknown_until) = (None, None);
        Self { length, start: None, present: Truth::Unknown, since: 0, false_until, unknown_until }
    }

    fn observe(&mut self, truth: Truth, now: u64) {
        if self.start.is_none() {
            self.start = Some(now);
            self.since = now;
            self.present = truth;
        }
        if truth == self.present {
            return;
        }
        if self.since < now {
            match self.present {
                Truth::False => self.false_until = Some(now),
                Truth::Unknown => self.unknown_until = Some(now),
                Truth::True => {}
            }
        }
        self.present = truth;
        self.since = now;
    }

    /// When each of what keeps it from being true leaves the last while.
    fn turns(&self) -> [Option<u64>; 3] {
        [self.false_until, self.unknown_until, self.start]
            .map(|at| at.map(|at| at.saturating_add(self.length)))
    }

    fn truth(&self, now: u64) -> Truth {
        let [was_false, was_unknown, _] = self.turns().map(|until| until.is_some_and(|until| until > now));
        if self.present == Truth::False || was_false {
            Truth::False
        } else if self.present == Truth::Unknown || was_unknown || !covered(self.start, self.length, now) {
            Truth::Unknown
        } else {
            Truth::True
        }
    }
}

/// `recently(c, d)`.
#[derive(Debug, Clone)]
pub(super) struct Recently {
    length: u64,
    start: Option<u64>,
    present: Truth,
    /// When c was last true, or unknown, before it became what it is.
    true_until: Option<u64>,
    unknown_until: Option<u64>,
}

impl Recently {
    fn new(length: u64) -> Self {
        let (true_until, unknown_until) = (None, None);
        Self { length, start: None, present: Truth::Unknown, true_until, unknown_until }
    }

    fn observe(&mut self, truth: Truth, now: u64) {
        if self.start.is_none() {
            self.start = Some(now);
            self.present = truth;
        }
        if truth == self.present {
            return;
        }
        match self.present {
            Truth::True => self.true_until = Some(now),
            Truth::Unknown => self.unknown_until = Some(now),
            Truth::False => {}
        }
        self.present = truth;
    }

    fn turns(&self) -> [Option<u64>; 3] {
        [self.true_until, self.unknown_until, self.start]
            .map(|at| at.map(|at| at.saturating_add(self.length)))
    }

    fn truth(&self, now: u64) -> Truth {
        let [was_true, was_unknown, _] = self.turns().map(|until| until.is_some_and(|until| until > now));
        if self.present == Truth::True || was_true {
            Truth::True
        } else if self.present == Truth::Unknown || was_unknown || !covered(self.start, self.length, now) {
            Truth::Unknown
        } else {
            Truth::False
        }
    }
}

/// `count(c, d)`.
#[derive(Debug, Clone)]
pub(super) struct Count {
    length: u64,
    start: Option<u64>,
    present: Truth,
    /// The last truth that was known.
    known: Option<bool>,
    edges: VecDeque<u64>,
    gaps: Gaps,
}

/// Edges that were seen. There may have been more where it is not `complete`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Counted {
    pub(super) complete: bool,
    pub(super) n: u32,
}

impl Counted {
    /// Whether it holds against a constant: what was seen is the least that there was.
    pub(super) fn limit(self, compare: Compare, threshold: f64) -> Truth {
        let holds = Some(compare.holds(f64::from(self.n), threshold));
        if self.complete { known(holds) } else { decided(Beyond::High, compare, holds) }
    }

    pub(super) fn number(self) -> Option<f64> {
        self.complete.then(|| f64::from(self.n))
    }
}

impl Count {
    fn new(length: u64) -> Self {
        let (edges, gaps) = (VecDeque::new(), Gaps::default());
        Self { length, start: None, present: Truth::Unknown, known: None, edges, gaps }
    }

    fn observe(&mut self, truth: Truth, now: u64) {
        let first = self.start.is_none();
        self.start.get_or_insert(now);
        let unknown = truth == Truth::Unknown;
        if first || unknown != (self.present == Truth::Unknown) {
            self.gaps.change(unknown, now, self.length);
        }
        self.gaps.expire(now, self.length);
        if truth.is_true() && self.known == Some(false) {
            // Of more than are kept the oldest goes: the newest alone decide whether there are as many.
            if self.edges.len() >= EDGES_MAX {
                self.edges.pop_front();
            }
            self.edges.push_back(now);
        }
        if !unknown {
            self.known = Some(truth.is_true());
        }
        self.present = truth;
        while self.edges.front().is_some_and(|edge| edge.saturating_add(self.length) <= now) {
            self.edges.pop_front();
        }
    }

    fn counted(&self, now: u64) -> Counted {
        let complete = covered(self.start, self.length, now) && !self.gaps.too_much(now, self.length);
        Counted { complete, n: u32::try_from(self.edges.len()).unwrap_or(u32::MAX) }
    }

    fn turns(&self, now: u64) -> [Option<u64>; 3] {
        let after = |at: u64| at.saturating_add(self.length);
        [
            self.edges.front().copied().map(after),
            self.start.map(after),
            self.gaps.next_change(now, self.length),
        ]
    }
}

/// `then(a, b, d)`: true for d from the rise of b on.
#[derive(Debug, Clone)]
pub(super) struct Then {
    length: u64,
    first: Rise,
    second: Rise,
    sure_until: Option<u64>,
    /// A pair may have been, which nobody saw.
    maybe_until: Option<u64>,
}

/// When a truth last rose.
#[derive(Debug, Clone)]
struct Rise {
    present: Truth,
    known: Option<bool>,
    rose: Option<u64>,
    /// Until when it was last unknown: then it may have risen. What was before the first look is unknown.
    unseen: Option<u64>,
}

impl Rise {
    const NEW: Self = Self { present: Truth::Unknown, known: None, rose: None, unseen: None };

    /// Whether it rises now.
    fn observe(&mut self, truth: Truth, now: u64) -> bool {
        if self.present == Truth::Unknown || truth == Truth::Unknown {
            self.unseen = Some(now);
        }
        let rises = truth.is_true() && self.known == Some(false);
        if rises {
            self.rose = Some(now);
        }
        if truth != Truth::Unknown {
            self.known = Some(truth.is_true());
        }
        self.present = truth;
        rises
    }

    /// It may be rising at this instant.
    fn may_rise(&self, now: u64) -> bool {
        self.present == Truth::Unknown || self.unseen == Some(now) || self.rose == Some(now)
    }

    /// It may have risen within so long before now.
    fn may_have_risen(&self, length: u64, now: u64) -> bool {
        let within = |at: Option<u64>| at.is_some_and(|at| at.saturating_add(length) >= now);
        self.present == Truth::Unknown || within(self.unseen) || within(self.rose)
    }
}

impl Then {
    fn new(length: u64) -> Self {
        Self { length, first: Rise::NEW, second: Rise::NEW, sure_until: None, maybe_until: None }
    }

    fn observe(&mut self, first: Truth, second: Truth, now: u64) {
        let rises = self.first.observe(first, now) | self.second.observe(second, now);
        let until = now.saturating_add(self.length);
        let paired = |at: u64| at.saturating_add(self.length) >= now;
        // Whichever of two readings of one instant came in first.
        if rises && self.second.rose == Some(now) && self.first.rose.is_some_and(paired) {
            self.sure_until = Some(until);
        }
        if self.second.may_rise(now) && self.first.may_have_risen(self.length, now) {
            self.maybe_until = Some(until);
        }
    }

    fn turns(&self) -> [Option<u64>; 3] {
        // While b is unknown a pair is possible up to the last instant at which a still counts.
        let a = self.first.rose.max(self.first.unseen).filter(|_| self.second.present == Truth::Unknown);
        [self.sure_until, self.maybe_until, a.map(|at| at.saturating_add(self.length))]
    }

    fn truth(&self, now: u64) -> Truth {
        let lasts = |until: Option<u64>| until.is_some_and(|until| until > now);
        if lasts(self.sure_until) {
            Truth::True
        } else if lasts(self.maybe_until) {
            Truth::Unknown
        } else {
            Truth::False
        }
    }
}
