//! Mean and deviation of a signal over the last while, weighted by time, in steps.
//!
//! A sliding mean changes at every instant, and with it the verdict could turn at any. Here it moves in
//! [`STEPS`] steps for each length of the window: between two steps it is constant, whatever is read and
//! however often it is looked at, so the next instant of change is known.
//!
//! The whole of the last [`STEPS`] steps is merged from two parts: the steps are counted in blocks of as many,
//! and the window is the rest of the last block with what there is of this one. The rests are merged once for
//! each block, so that a step costs three merges; nothing is ever taken away again, and rounding does not pile
//! up. Which parts are merged depends on the steps alone, not on when somebody looked.

/// For each length of a window. Lengths are whole milliseconds, so a step is a whole number of
/// nanoseconds.
pub(super) const STEPS: usize = 100;
const STEPS_NS: u64 = 100;

#[derive(Debug, Clone)]
pub(super) struct Means {
    step: u64,
    /// Up to `place` the steps of this block, behind it those of the last one, each merged with all behind it.
    block: Vec<Moments>,
    /// Where the next step goes.
    place: usize,
    /// Of the steps of this block.
    begun: Moments,
    /// The step that is not over, and when it will be.
    filling: Moments,
    edge: Option<u64>,
    /// The value in force and since when it is not yet in `filling`.
    present: Option<f64>,
    since: u64,
    /// Of the last [`STEPS`] whole steps.
    total: Moments,
}

/// A part of the signal: its known time, its mean, and its squared deviation times time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Moments {
    known: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Chan's merge: no difference of large numbers, and exact where both means are equal.
    fn merge(self, other: Self) -> Self {
        if self.known == 0.0 {
            return other;
        }
        if other.known == 0.0 {
            return self;
        }
        let known = self.known + other.known;
        let apart = other.mean - self.mean;
        let share = other.known / known;
        Self {
            known,
            mean: self.mean + apart * share,
            squares: self.squares + other.squares + apart * apart * self.known * share,
        }
    }

    fn is_steadily(self, value: f64) -> bool {
        self.known == 0.0 || (self.squares == 0.0 && self.mean == value)
    }
}

impl Means {
    pub(super) fn new(length: u64) -> Self {
        Self {
            step: (length / STEPS_NS).max(1),
            block: Vec::new(),
            place: 0,
            begun: Moments::default(),
            filling: Moments::default(),
            edge: None,
            present: None,
            since: 0,
            total: Moments::default(),
        }
    }

    /// Time passes to `now`. The steps are counted from `start`.
    pub(super) fn advance(&mut self, start: u64, now: u64) {
        let mut edge = self.edge.unwrap_or_else(|| {
            self.since = start;
            start.saturating_add(self.step)
        });
        if edge <= now {
            // After a long silence only the last steps matter; those before them are not walked.
            let behind = (now - edge) / self.step;
            let skipped = behind.saturating_sub(STEPS_NS + 1);
            if skipped > 0 {
                edge += skipped * self.step;
                self.since = edge - self.step;
                self.filling = Moments::default();
                self.skip(skipped);
            }
            while edge <= now && edge != u64::MAX {
                self.fill(edge);
                let step = std::mem::take(&mut self.filling);
                self.push(step);
                edge = edge.saturating_add(self.step);
            }
        }
        self.edge = Some(edge);
    }

    /// So many steps go by unseen; all that were seen leave the window with those that follow.
    fn skip(&mut self, steps: u64) {
        let steps = usize::try_from(steps % STEPS_NS).unwrap_or(0);
        self.place = (self.place + steps) % STEPS;
        self.block.clear();
        self.block.resize(STEPS, Moments::default());
        self.begun = Moments::default();
    }

    fn push(&mut self, step: Moments) {
        match self.block.get_mut(self.place) {
            Some(oldest) => *oldest = step,
            None => {
                self.block.reserve_exact(STEPS - self.block.len());
                self.block.push(step);
            }
        }
        self.begun = if self.place == 0 { step } else { self.begun.merge(step) };
        self.place += 1;
        let rest = self.block.get(self.place).copied().unwrap_or_default();
        self.total = rest.merge(self.begun);
        if self.place == STEPS {
            let mut rest = Moments::default();
            for step in self.block.iter_mut().rev() {
                rest = step.merge(rest);
                *step = rest;
            }
            self.place = 0;
        }
    }

    pub(super) fn change(&mut self, reading: Option<f64>, now: u64) {
        self.fill(now);
        self.present = reading;
    }

    /// What is in force was so until `until`. Called at changes and at the ends of steps only, so that
    /// the same signal is always added up in the same parts.
    #[expect(clippy::cast_precision_loss, reason = "a step is far below the 104 days that a float holds")]
    fn fill(&mut self, until: u64) {
        let known = until.saturating_sub(self.since) as f64;
        self.since = until;
        if let Some(mean) = self.present {
            self.filling = self.filling.merge(Moments { known, mean, squares: 0.0 });
        }
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.total.known > 0.0).then_some(self.total.mean)
    }

    /// Of the whole known time, not of a sample of it: no n - 1.
    pub(super) fn deviation(&self) -> Option<f64> {
        (self.total.known > 0.0).then(|| (self.total.squares / self.total.known).sqrt())
    }

    /// The end of this step; `None` where the signal has been one value all along, or unknown.
    pub(super) fn next_change(&self) -> Option<u64> {
        let steady = match self.mean() {
            Some(mean) => {
                self.total.is_steadily(mean)
                    && self.filling.is_steadily(mean)
                    && self.present.is_none_or(|present| present == mean)
            }
            None => self.filling.known == 0.0 && self.present.is_none(),
        };
        if steady { None } else { self.edge }
    }
}
