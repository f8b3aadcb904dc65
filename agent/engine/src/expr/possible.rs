//! Whether any readings at all can make a program true.
//!
//! Only what is sure is refused: thresholds of a point, or of its mean, least or greatest value, beyond the
//! point's range, and thresholds of the same that exclude each other. Anything else may hold.

use std::collections::BTreeMap;

use riskgate_point::PointId;

use super::ast::Compare;
use super::program::{Limit, Measured, Program, Test};
use super::window::WindowKind;

/// What is left of a quantity, and whether its ends belong to it.
#[derive(Debug, Clone, Copy)]
struct Left {
    low: (f64, bool),
    high: (f64, bool),
}

impl Left {
    fn is_some(self) -> bool {
        self.low.0 < self.high.0 || (self.low.0 == self.high.0 && self.low.1 && self.high.1)
    }

    fn narrow(&mut self, compare: Compare, threshold: f64) {
        match compare {
            Compare::Less | Compare::LessEqual => {
                let belongs = compare == Compare::LessEqual;
                if threshold < self.high.0 {
                    self.high = (threshold, belongs);
                } else if threshold == self.high.0 {
                    self.high.1 &= belongs;
                }
            }
            Compare::Greater | Compare::GreaterEqual => {
                let belongs = compare == Compare::GreaterEqual;
                if threshold > self.low.0 {
                    self.low = (threshold, belongs);
                } else if threshold == self.low.0 {
                    self.low.1 &= belongs;
                }
            }
            Compare::Equal | Compare::NotEqual => {}
        }
    }
}

/// A point (0), a window (1) or a count (2) by its place.
type Key = (u8, usize);

impl Program {
    /// `range`: of a point, if it has one.
    pub(crate) fn can_hold(&self, range: impl Fn(PointId) -> Option<(f64, f64)>) -> bool {
        self.possible(&self.root, &mut BTreeMap::new(), &range)
    }

    fn possible(
        &self,
        test: &Test,
        left: &mut BTreeMap<Key, Left>,
        range: &impl Fn(PointId) -> Option<(f64, f64)>,
    ) -> bool {
        match test {
            Test::All(parts) => {
                // What narrows comes before what chooses.
                let chooses = |part: &&Test| matches!(part, Test::Any(_));
                parts.iter().filter(|part| !chooses(part)).all(|part| self.possible(part, left, range))
                    && parts.iter().filter(chooses).all(|part| self.possible(part, left, range))
            }
            Test::Any(parts) => parts.iter().any(|part| self.possible(part, &mut left.clone(), range)),
            Test::Limit(limit) => self.is_left(limit, limit.compare, left, range),
            Test::Not(inner) => match &**inner {
                Test::Limit(limit) => self.is_left(limit, opposite(limit.compare), left, range),
                Test::Not(inner) => self.possible(inner, left, range),
                // `not (a or b)` is `not a and not b`.
                Test::Any(parts) => {
                    parts.iter().all(|part| self.possible(&Test::Not(Box::new(part.clone())), left, range))
                }
                Test::All(parts) => parts
                    .iter()
                    .any(|part| self.possible(&Test::Not(Box::new(part.clone())), &mut left.clone(), range)),
                Test::Point(_)
                | Test::AtLeast(..)
                | Test::Maybe(_)
                | Test::Past(_)
                | Test::Seen(_)
                | Test::Condition(_)
                | Test::Permit(_)
                | Test::Place(_)
                | Test::Active(_)
                | Test::FirstOut(_)
                | Test::Bad(_)
                | Test::Stale(_)
                | Test::Numbers(..)
                | Test::Ages(..)
                | Test::Same(..)
                | Test::Texts(..) => true,
            },
            Test::Point(_)
            | Test::AtLeast(..)
            | Test::Maybe(_)
            | Test::Past(_)
            | Test::Seen(_)
            | Test::Condition(_)
            | Test::Permit(_)
            | Test::Place(_)
            | Test::Active(_)
            | Test::FirstOut(_)
            | Test::Bad(_)
            | Test::Stale(_)
            | Test::Numbers(..)
            | Test::Ages(..)
            | Test::Same(..)
            | Test::Texts(..) => true,
        }
    }

    fn is_left(
        &self,
        limit: &Limit,
        compare: Compare,
        left: &mut BTreeMap<Key, Left>,
        range: &impl Fn(PointId) -> Option<(f64, f64)>,
    ) -> bool {
        let (key, point) = match limit.of {
            Measured::Point(point) => ((0, usize::try_from(point.0).unwrap_or(usize::MAX)), Some(point)),
            Measured::Window(at) => {
                let window = self.windows.get(at);
                let point = window.filter(|window| match window.kind {
                    WindowKind::Average | WindowKind::Min | WindowKind::Max => true,
                    WindowKind::Delta | WindowKind::Rate | WindowKind::Deviation => false,
                });
                ((1, at), point.map(|window| window.point))
            }
            Measured::Count(at) => ((2, at), None),
        };
        let (low, high) = point.and_then(range).unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        let left = left.entry(key).or_insert(Left { low: (low, true), high: (high, true) });
        left.narrow(compare, limit.threshold);
        left.is_some()
    }
}

fn opposite(compare: Compare) -> Compare {
    match compare {
        Compare::Less => Compare::GreaterEqual,
        Compare::LessEqual => Compare::Greater,
        Compare::Greater => Compare::LessEqual,
        Compare::GreaterEqual => Compare::Less,
        Compare::Equal => Compare::NotEqual,
        Compare::NotEqual => Compare::Equal,
    }
}
