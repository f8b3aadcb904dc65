//! A condition on points, written out as a list of steps.
//!
//! The tree of a program is spread over the heap; with thousands of rules most of the time of a look goes into
//! fetching it. What a program does that reads points, their windows and conditions over time of these, fits into
//! a few steps of 16 bytes, and those of all rules stand in one row. They say what [`Program::eval`] says, and
//! leave the memory as it does; whatever else a program reads, it has no code and is evaluated as a tree.

use riskgate_point::{BadReason, Mono, PointId, Quality};

use super::World;
use super::ast::{Compare, Factor, Sign};
use super::eval::{Soonest, known, on, point_limit, point_number};
use super::memory::Memory;
use super::program::{Limit, Measured, Number, PastTerm, Program, Test};
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
    /// What the window at this place of the memory says against a constant.
    WindowLimit {
        compare: Compare,
        place: u32,
        threshold: f64,
    },
    CountLimit {
        compare: Compare,
        place: u32,
        threshold: f64,
    },
    /// What the condition over time at this place of the memory says.
    Past(u32),
    /// Tells it the truth of its condition; of a `then`, of both.
    Observe {
        place: u32,
        both: bool,
    },
    /// Counts a truth into the two numbers on top: how many are true, how many unknown.
    Tally,
    AtLeast(u32),
    Number(f64),
    Point(PointId),
    Window(u32),
    Count(u32),
    Negative,
    Plus,
    Minus,
    Times,
    Per,
    Compare(Compare),
    CompareTo(Compare, f64),
}

/// Four of them to a line of the cache.
const _: () = assert!(size_of::<Step>() == 16);

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

/// What the steps of a program say by the present, to which its memory is brought.
pub(crate) fn run(steps: &[Step], memory: &mut Memory, world: &impl World, now: Mono) -> Truth {
    let mut next = Soonest::after(now);
    memory.observe_windows(world, &mut next);
    let truth = walk(steps, memory, world, &mut next);
    memory.next = next.at();
    truth
}

fn walk(steps: &[Step], memory: &mut Memory, world: &impl World, next: &mut Soonest) -> Truth {
    let now = next.now.0;
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
                truths.push(point_limit(&world.point(point), compare, threshold));
            }
            Step::WindowLimit { compare, place, threshold } => {
                let said = memory.said(at(place));
                truths.push(said.map_or(Truth::Unknown, |said| said.limit(compare, threshold)));
            }
            Step::CountLimit { compare, place, threshold } => {
                let counted = memory.pasts.get(at(place)).and_then(|past| past.count(now));
                truths.push(counted.map_or(Truth::Unknown, |counted| counted.limit(compare, threshold)));
            }
            Step::Past(place) => {
                let past = memory.pasts.get(at(place));
                truths.push(past.map_or(Truth::Unknown, |past| past.truth(now)));
            }
            Step::Observe { place, both } => {
                let second = if both { truths.pop() } else { Truth::Unknown };
                let first = truths.pop();
                if let Some(past) = memory.pasts.get_mut(at(place)) {
                    past.observe(first, second, now);
                    past.turns(now).into_iter().flatten().for_each(|at| next.offer(at));
                }
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
            Step::Point(id) => numbers.push(point_number(&world.point(id)).unwrap_or(f64::NAN)),
            Step::Window(place) => {
                let number = memory.said(at(place)).and_then(|said| said.number());
                numbers.push(number.unwrap_or(f64::NAN));
            }
            Step::Count(place) => {
                let counted = memory.pasts.get(at(place)).and_then(|past| past.count(now));
                numbers.push(counted.and_then(|counted| counted.number()).unwrap_or(f64::NAN));
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
                truths.push(compared(compare, left, right));
            }
            Step::CompareTo(compare, constant) => truths.push(compared(compare, numbers.pop(), constant)),
        }
    }
    truths.pop()
}

fn at(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

fn compared(compare: Compare, left: f64, right: f64) -> Truth {
    let is_known = !left.is_nan() && !right.is_nan();
    known(is_known.then(|| compare.holds(left, right)))
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
    /// Its steps; `None` where it reads more than points and what they were, or is nested too deeply.
    pub(crate) fn code(&self) -> Option<Vec<Step>> {
        let mut steps = Vec::new();
        let mut depth = 0;
        // An inner one stands before the one around it.
        for (place, PastTerm { condition, second, .. }) in (0u32..).zip(&self.pasts) {
            depth = depth.max(test(condition, &mut steps)?);
            if let Some(second) = second {
                depth = depth.max(1 + test(second, &mut steps)?);
            }
            steps.push(Step::Observe { place, both: second.is_some() });
        }
        depth = depth.max(test(&self.root, &mut steps)?);
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
        Test::Limit(Limit { of: Measured::Window(place), compare, threshold, .. }) => {
            let (place, compare, threshold) = (u32::try_from(*place).ok()?, *compare, *threshold);
            one(Step::WindowLimit { compare, place, threshold }, steps)
        }
        Test::Limit(Limit { of: Measured::Count(place), compare, threshold, .. }) => {
            let (place, compare, threshold) = (u32::try_from(*place).ok()?, *compare, *threshold);
            one(Step::CountLimit { compare, place, threshold }, steps)
        }
        Test::Past(place) => one(Step::Past(u32::try_from(*place).ok()?), steps),
        Test::Not(inner) => then(test(inner, steps)?, Step::Not, steps),
        Test::Maybe(inner) => then(test(inner, steps)?, Step::Maybe, steps),
        Test::All(parts) => {
            each(parts.iter().map(|part| (Step::And, part)), (Step::True, Step::And), test, steps)
        }
        Test::Any(parts) => {
            each(parts.iter().map(|part| (Step::Or, part)), (Step::False, Step::Or), test, steps)
        }
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
        Test::Numbers(compare, left, Number::Constant(right)) => {
            then(reckoned(left, steps)?, Step::CompareTo(*compare, *right), steps)
        }
        Test::Numbers(compare, left, right) => {
            let depth = reckoned(left, steps)?.max(1 + reckoned(right, steps)?);
            then(depth, Step::Compare(*compare), steps)
        }
        Test::Seen(_)
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
            let step = |sign: &Sign| match sign {
                Sign::Plus => Step::Plus,
                Sign::Minus => Step::Minus,
            };
            let parts = parts.iter().map(|(sign, part)| (step(sign), part));
            each(parts, (Step::Number(0.0), Step::Plus), reckoned, steps)
        }
        Number::Product(parts) => {
            let step = |factor: &Factor| match factor {
                Factor::Times => Step::Times,
                Factor::Per => Step::Per,
            };
            let parts = parts.iter().map(|(factor, part)| (step(factor), part));
            each(parts, (Step::Number(1.0), Step::Times), reckoned, steps)
        }
        Number::Measured(Measured::Window(place)) => one(Step::Window(u32::try_from(*place).ok()?), steps),
        Number::Measured(Measured::Count(place)) => one(Step::Count(u32::try_from(*place).ok()?), steps),
        Number::People(_) => None,
    }
}

/// Parts, each joined to those before it. `start` is what the first is joined to, and the join that makes nothing
/// of it: there it is left out.
fn each<'a, T: 'a>(
    parts: impl Iterator<Item = (Step, &'a T)>,
    start: (Step, Step),
    write: impl Fn(&'a T, &mut Vec<Step>) -> Option<usize>,
    steps: &mut Vec<Step>,
) -> Option<usize> {
    let mut parts = parts.peekable();
    let mut depth = match parts.next_if(|(join, _)| *join == start.1) {
        Some((_, first)) => write(first, steps)?,
        None => one(start.0, steps)?,
    };
    for (join, part) in parts {
        depth = depth.max(1 + write(part, steps)?);
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
