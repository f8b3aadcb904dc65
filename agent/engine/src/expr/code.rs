//! A condition on points as they are now, written out as a list of steps.
//!
//! The tree of a program is spread over the heap; with thousands of rules most of the time of a look goes into
//! fetching it. What a program does that reads points and nothing else fits into a few steps of 16 bytes, and
//! those of all rules stand in one row. They say what [`Program::look`] says; whatever else a program reads, it
//! has no code and is looked at as a tree.

use riskgate_point::{BadReason, PointId, Quality};

use super::ast::{Compare, Factor, Sign};
use super::eval::{decided, known, number, on};
use super::program::{Limit, Measured, Number, Program, Test};
use super::{Beyond, World};
use crate::Truth;

/// Takes truths and numbers from two stacks and puts what it finds there. A number that is not known is NaN: no
/// value is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    True,
    False,
    And,
    Or,
    Not,
    Maybe,
    Same,
    On(PointId),
    Bad(PointId),
    Stale(PointId),
    Limit {
        compare: Compare,
        point: PointId,
        threshold: f64,
    },
    /// Counts a truth into the two numbers on top: how many are true, how many unknown.
    Tally,
    AtLeast(u32),
    Number(f64),
    Point(PointId),
    Negative,
    Plus,
    Minus,
    Times,
    Per,
    Compare(Compare),
}

/// Truths or numbers that wait for others. Parts are taken as they come, so that only nesting counts: a text
/// that needs more is looked at as a tree.
const DEPTH: usize = 16;

const STALE: Quality = Quality::Bad(BadReason::Stale);

#[derive(Debug)]
struct Stack<T> {
    items: [T; DEPTH],
    n: usize,
    /// What an empty one gives: never taken, for the depth is known before.
    none: T,
}

impl<T: Copy> Stack<T> {
    fn new(none: T) -> Self {
        Self { items: [none; DEPTH], n: 0, none }
    }

    fn push(&mut self, item: T) {
        if let Some(place) = self.items.get_mut(self.n) {
            *place = item;
            self.n += 1;
        }
    }

    fn pop(&mut self) -> T {
        self.n = self.n.saturating_sub(1);
        self.items.get(self.n).copied().unwrap_or(self.none)
    }
}

/// What the steps of a program say by the present.
pub(crate) fn run(steps: &[Step], world: &impl World) -> Truth {
    let mut truths = Stack::new(Truth::Unknown);
    let mut numbers = Stack::new(f64::NAN);
    for step in steps {
        match *step {
            Step::True => truths.push(Truth::True),
            Step::False => truths.push(Truth::False),
            Step::And => both(&mut truths, Truth::and),
            Step::Or => both(&mut truths, Truth::or),
            Step::Same => both(&mut truths, |left, right| match (left, right) {
                (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
                (left, right) => Truth::from(left == right),
            }),
            Step::Not => {
                let truth = truths.pop();
                truths.push(!truth);
            }
            Step::Maybe => {
                let truth = truths.pop();
                truths.push(Truth::from(truth != Truth::False));
            }
            Step::On(id) => truths.push(on(&world.point(id))),
            Step::Bad(id) => truths.push(world.point(id).quality.is_bad().into()),
            Step::Stale(id) => truths.push((world.point(id).quality == STALE).into()),
            Step::Limit { compare, point, threshold } => {
                let point = world.point(point);
                let holds = number(&point).map(|value| compare.holds(value, threshold));
                truths.push(limit(point.beyond, compare, holds));
            }
            Step::Tally => {
                let (n_unknown, n_true) = (numbers.pop(), numbers.pop());
                let truth = truths.pop();
                numbers.push(n_true + f64::from(u8::from(truth == Truth::True)));
                numbers.push(n_unknown + f64::from(u8::from(truth == Truth::Unknown)));
            }
            Step::AtLeast(k) => {
                let (n_unknown, n_true) = (numbers.pop(), numbers.pop());
                truths.push(if n_true >= f64::from(k) {
                    Truth::True
                } else if n_true + n_unknown < f64::from(k) {
                    Truth::False
                } else {
                    Truth::Unknown
                });
            }
            Step::Number(constant) => numbers.push(constant),
            Step::Point(id) => {
                let point = world.point(id);
                // A bound is no number to reckon with.
                let value = if point.beyond.is_none() { number(&point) } else { None };
                numbers.push(value.unwrap_or(f64::NAN));
            }
            Step::Negative => {
                let number = numbers.pop();
                numbers.push(-number);
            }
            Step::Plus => reckon(&mut numbers, |left, right| left + right),
            Step::Minus => reckon(&mut numbers, |left, right| left - right),
            Step::Times => reckon(&mut numbers, |left, right| left * right),
            Step::Per => reckon(&mut numbers, |left, right| left / right),
            Step::Compare(compare) => {
                let (right, left) = (numbers.pop(), numbers.pop());
                let is_known = !left.is_nan() && !right.is_nan();
                truths.push(known(is_known.then(|| compare.holds(left, right))));
            }
        }
    }
    truths.pop()
}

pub(super) fn limit(beyond: Option<Beyond>, compare: Compare, holds: Option<bool>) -> Truth {
    match beyond {
        None => known(holds),
        Some(beyond) => decided(beyond, compare, holds),
    }
}

fn both(truths: &mut Stack<Truth>, of: impl Fn(Truth, Truth) -> Truth) {
    let (right, left) = (truths.pop(), truths.pop());
    truths.push(of(left, right));
}

/// Division by zero and overflow are unknown.
fn reckon(numbers: &mut Stack<f64>, of: impl Fn(f64, f64) -> f64) {
    let (right, left) = (numbers.pop(), numbers.pop());
    let number = of(left, right);
    numbers.push(if number.is_finite() { number } else { f64::NAN });
}

impl Program {
    /// Its steps; `None` where it reads more than points as they are, or is nested too deeply.
    pub(crate) fn code(&self) -> Option<Vec<Step>> {
        if !self.is_plain() {
            return None;
        }
        let mut steps = Vec::new();
        let depth = test(&self.root, &mut steps)?;
        (depth <= DEPTH).then_some(steps)
    }
}

/// Writes the steps of a part that is a truth. How many places of either stack it takes at most.
fn test(of: &Test, steps: &mut Vec<Step>) -> Option<usize> {
    match of {
        Test::Point(id) => one(Step::On(*id), steps),
        Test::Bad(id) => one(Step::Bad(*id), steps),
        Test::Stale(id) => one(Step::Stale(*id), steps),
        Test::Limit(Limit { of: Measured::Point(point), compare, threshold, .. }) => {
            let (point, compare, threshold) = (*point, *compare, *threshold);
            one(Step::Limit { compare, point, threshold }, steps)
        }
        Test::Not(inner) => then(test(inner, steps)?, Step::Not, steps),
        Test::Maybe(inner) => then(test(inner, steps)?, Step::Maybe, steps),
        Test::All(parts) => each(parts, Step::True, Step::And, steps),
        Test::Any(parts) => each(parts, Step::False, Step::Or, steps),
        Test::AtLeast(k, parts) => {
            steps.extend([Step::Number(0.0), Step::Number(0.0)]);
            let mut depth = 2;
            for part in parts {
                depth = depth.max(2 + test(part, steps)?);
                steps.push(Step::Tally);
            }
            then(depth, Step::AtLeast(*k), steps)
        }
        Test::Same(left, right) => {
            let depth = test(left, steps)?.max(1 + test(right, steps)?);
            then(depth, Step::Same, steps)
        }
        Test::Numbers(compare, left, right) => {
            let depth = reckoned(left, steps)?.max(1 + reckoned(right, steps)?);
            then(depth, Step::Compare(*compare), steps)
        }
        Test::Limit(Limit { of: Measured::Window(_) | Measured::Count(_), .. })
        | Test::Past(_)
        | Test::Seen(_)
        | Test::Condition(_)
        | Test::Permit(_)
        | Test::Place(_)
        | Test::Active(_)
        | Test::FirstOut(_)
        | Test::Ages(..)
        | Test::Texts(..) => None,
    }
}

/// The same of a part that is a number.
fn reckoned(of: &Number, steps: &mut Vec<Step>) -> Option<usize> {
    match of {
        Number::Constant(value) => one(Step::Number(*value), steps),
        Number::Measured(Measured::Point(id)) => one(Step::Point(*id), steps),
        Number::Negative(inner) => then(reckoned(inner, steps)?, Step::Negative, steps),
        Number::Sum(parts) => {
            let mut depth = one(Step::Number(0.0), steps)?;
            for (sign, part) in parts {
                depth = depth.max(1 + reckoned(part, steps)?);
                steps.push(match sign {
                    Sign::Plus => Step::Plus,
                    Sign::Minus => Step::Minus,
                });
            }
            Some(depth)
        }
        Number::Product(parts) => {
            let mut depth = one(Step::Number(1.0), steps)?;
            for (factor, part) in parts {
                depth = depth.max(1 + reckoned(part, steps)?);
                steps.push(match factor {
                    Factor::Times => Step::Times,
                    Factor::Per => Step::Per,
                });
            }
            Some(depth)
        }
        Number::People(_) | Number::Measured(Measured::Window(_) | Measured::Count(_)) => None,
    }
}

fn each(parts: &[Test], first: Step, join: Step, steps: &mut Vec<Step>) -> Option<usize> {
    let mut depth = one(first, steps)?;
    for part in parts {
        depth = depth.max(1 + test(part, steps)?);
        steps.push(join);
    }
    Some(depth)
}

fn one(step: Step, steps: &mut Vec<Step>) -> Option<usize> {
    steps.push(step);
    Some(1)
}

fn then(depth: usize, step: Step, steps: &mut Vec<Step>) -> Option<usize> {
    steps.push(step);
    Some(depth)
}
