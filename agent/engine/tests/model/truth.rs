//! What a condition says, from all that was ever so.
//!
//! Each part of a condition keeps what it said at every instant since its rule was first looked at. What it said
//! is so until the next instant. Nothing is ever forgotten and nothing is added up on the way.

use crate::language::{Cond, Num, Op, Window};
use crate::site::SECOND;
use crate::world::{Reading, Side, World};

/// `None`: nobody knows.
pub(crate) type Tri = Option<bool>;

pub(crate) fn and(left: Tri, right: Tri) -> Tri {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

pub(crate) fn or(left: Tri, right: Tri) -> Tri {
    and(left.map(|of| !of), right.map(|of| !of)).map(|of| !of)
}

/// A part of a condition, with what it said and when.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    cond: Cond,
    parts: Vec<Part>,
    said: Vec<(u64, Tri)>,
}

impl Part {
    pub(crate) fn new(cond: &Cond) -> Self {
        let inner: Vec<&Cond> = match cond {
            Cond::Any(parts) | Cond::All(parts) | Cond::AtLeast(_, parts) => parts.iter().collect(),
            Cond::Not(inner)
            | Cond::Maybe(inner)
            | Cond::Held(inner, _)
            | Cond::Recently(inner, _)
            | Cond::Count(inner, ..) => vec![inner],
            Cond::Same(left, _, right) => vec![left, right],
            Cond::Then(first, second, _) => vec![first, second],
            _ => Vec::new(),
        };
        Self { cond: cond.clone(), parts: inner.into_iter().map(Self::new).collect(), said: Vec::new() }
    }

    /// What it says at the newest instant of the world.
    pub(crate) fn look(&mut self, world: &World<'_>) -> Tri {
        let inner: Vec<Tri> = self.parts.iter_mut().map(|part| part.look(world)).collect();
        let said = self.says(&inner, world);
        self.said.push((world.now, said));
        said
    }

    fn says(&self, inner: &[Tri], world: &World<'_>) -> Tri {
        // Since when the rule is looked at: of all parts alike.
        let born = self.said.first().map_or(world.now, |(at, _)| *at);
        let now = world.now;
        let reading = |point: usize| world.reading(point);
        match &self.cond {
            Cond::Any(_) => inner.iter().copied().fold(Some(false), or),
            Cond::All(_) => inner.iter().copied().fold(Some(true), and),
            Cond::Not(_) => inner[0].map(|of| !of),
            Cond::AtLeast(k, _) => {
                let n_true = inner.iter().filter(|of| **of == Some(true)).count();
                let n_unknown = inner.iter().filter(|of| of.is_none()).count();
                if n_true >= *k {
                    Some(true)
                } else if n_true + n_unknown < *k {
                    Some(false)
                } else {
                    None
                }
            }
            Cond::Maybe(_) => Some(inner[0] != Some(false)),
            Cond::Same(_, equal, _) => Some((inner[0]? == inner[1]?) == *equal),
            Cond::On(point) => reading(*point).on(),
            Cond::FirstOut(points) => points.iter().map(|point| reading(*point).on()).fold(Some(false), or),
            Cond::Word(point, equal, word) => Some((reading(*point).word()? == *word) == *equal),
            Cond::Limit(num, op, at) => limit(num, *op, *at, born, world),
            Cond::Numbers(left, op, right) => {
                Some(op.holds(number(left, born, world)?, number(right, born, world)?))
            }
            Cond::Bad(point) => Some(reading(*point).is_bad()),
            Cond::Stale(point) => Some(reading(*point).is_stale()),
            Cond::Age(point, op, length) => {
                let age = reading(*point).received.map_or(u64::MAX, |received| now - received);
                Some(op.holds(age, *length))
            }
            Cond::Held(_, d) => held(&self.parts[0].said, *d, now),
            Cond::Recently(_, d) => recently(&self.parts[0].said, *d, now),
            Cond::Count(_, d, op, n) => count(&self.parts[0].said, *d, now, *op, *n),
            Cond::Then(_, _, d) => then(&self.parts[0].said, &self.parts[1].said, *d, now),
            Cond::Active(rule) => world.active(rule),
            Cond::People { place, role, present, op, n } => {
                world.people(place, *role, *present).map(|people| op.holds(people, *n))
            }
            Cond::Lone(place) => world.lone(place),
            Cond::Still(place, d) => world.still(place, *d),
            Cond::Sos(place) => world.sos(place),
            Cond::Guarded(kind) => world.guarded(kind),
            Cond::Seen { kind, confidence, window, times } => world.seen(kind, *confidence, *window, *times),
            Cond::Told { name, state, severity } => world.told(name, *state, *severity),
            Cond::Permit(kind) => world.permit(kind),
        }
    }
}

/// What was so, each with the time from which on it was no more: never, of the last.
fn spans<T: Copy>(said: &[(u64, T)]) -> impl DoubleEndedIterator<Item = (u64, u64, T)> + '_ {
    let ends = said.iter().skip(1).map(|(at, _)| *at).collect::<Vec<_>>().into_iter().chain([u64::MAX]);
    said.iter().zip(ends.collect::<Vec<_>>()).map(|((from, of), to)| (*from, to, *of))
}

/// The last while of `d`: what was so after `now - d`.
fn last_while<T: Copy>(said: &[(u64, T)], d: u64, now: u64) -> Vec<(u64, u64, T)> {
    // From the back, so that a long past costs nothing.
    let mut within = Vec::new();
    let mut to = u64::MAX;
    for (from, of) in said.iter().rev() {
        if to.saturating_add(d) <= now {
            break;
        }
        within.push((*from, to, *of));
        to = *from;
    }
    within.reverse();
    within
}

fn is_covered<T>(said: &[(u64, T)], d: u64, now: u64) -> bool {
    said.first().is_some_and(|(at, _)| at + d <= now)
}

/// How long it was unknown within the last while.
fn unknown<T: Copy>(said: &[(u64, T)], is_unknown: fn(T) -> bool, d: u64, now: u64) -> u64 {
    let spans = last_while(said, d, now).into_iter();
    let lengths = spans
        .filter(|(.., of)| is_unknown(*of))
        .map(|(from, to, _)| to.min(now).saturating_sub(from.max(now.saturating_sub(d))));
    lengths.sum()
}

fn held(said: &[(u64, Tri)], d: u64, now: u64) -> Tri {
    let within = last_while(said, d, now);
    // What lasted no time was the order of the readings of one instant.
    let lasted: Vec<Tri> = within.into_iter().filter(|(from, to, _)| from < to).map(|(.., of)| of).collect();
    if lasted.contains(&Some(false)) {
        Some(false)
    } else if lasted.contains(&None) || !is_covered(said, d, now) {
        None
    } else {
        Some(true)
    }
}

fn recently(said: &[(u64, Tri)], d: u64, now: u64) -> Tri {
    let within: Vec<Tri> = last_while(said, d, now).into_iter().map(|(.., of)| of).collect();
    if within.contains(&Some(true)) {
        Some(true)
    } else if within.contains(&None) || !is_covered(said, d, now) {
        None
    } else {
        Some(false)
    }
}

/// The times of false-to-true, looking through unknown; the first value is none.
fn rises(said: &[(u64, Tri)]) -> Vec<u64> {
    let known: Vec<(u64, bool)> = said.iter().filter_map(|(at, of)| Some((*at, (*of)?))).collect();
    known.windows(2).filter(|pair| !pair[0].1 && pair[1].1).map(|pair| pair[1].0).collect()
}

/// From the last thing that was known before the last while of `d` on: what is older cannot matter.
fn recent(said: &[(u64, Tri)], d: u64, now: u64) -> &[(u64, Tri)] {
    let before = said.iter().rposition(|(at, of)| at + d < now && of.is_some());
    &said[before.unwrap_or(0)..]
}

fn count(said: &[(u64, Tri)], d: u64, now: u64, op: Op, n: u32) -> Tri {
    let counted = rises(recent(said, d, now)).into_iter().filter(|at| at + d > now).count();
    let holds = op.holds(u32::try_from(counted).unwrap(), n);
    let complete = is_covered(said, d, now) && unknown(said, |of: Tri| of.is_none(), d, now) * 10 <= d;
    // What was seen is the least that there was.
    if complete { Some(holds) } else { bounded(Side::High, op, Some(holds)) }
}

fn then(first: &[(u64, Tri)], second: &[(u64, Tri)], d: u64, now: u64) -> Tri {
    // The second rose within the last while, the first within one before that.
    let (first, second) = (recent(first, 2 * d, now), recent(second, d, now));
    let pairs = |a: &[u64], b: &[u64]| {
        let mut b = b.iter().rev().take_while(|b| **b + d > now);
        b.any(|b| a.iter().rev().any(|a| a <= b && *b <= a + d))
    };
    if pairs(&rises(first), &rises(second)) {
        return Some(true);
    }
    // When it may have risen: when it rose, and at every instant that touches one at which nobody knew.
    let may = |said: &[(u64, Tri)]| -> Vec<u64> {
        let rises = rises(said);
        let near = |at: usize| said[at].1.is_none() || at == 0 || said[at - 1].1.is_none();
        let unseen = (0..said.len()).filter(|at| near(*at)).map(|at| said[at].0);
        let mut all: Vec<u64> = unseen.chain(rises).collect();
        all.sort_unstable();
        all
    };
    if pairs(&may(first), &may(second)) { None } else { Some(false) }
}

/// What a bound says of what lies on that side of it.
fn bounded(side: Side, op: Op, holds: Tri) -> Tri {
    let decides = match side {
        Side::High => holds? == op.looks_up(),
        Side::Low => holds? != op.looks_up(),
    };
    if decides { holds } else { None }
}

fn limit(num: &Num, op: Op, at: f64, born: u64, world: &World<'_>) -> Tri {
    match num {
        Num::Point(point) => {
            let reading = world.reading(*point);
            let holds = reading.number().map(|number| op.holds(number, at));
            match reading.side() {
                None => holds,
                Some(side) => bounded(side, op, holds),
            }
        }
        Num::Window(window, point, d) => {
            let (complete, value) = windowed(*window, *point, *d, born, world);
            let holds = value.map(|value| op.holds(value, at));
            let mut sides: Vec<Option<Side>> = Vec::new();
            if !complete {
                sides.push(match window {
                    Window::Max => Some(Side::High),
                    Window::Min => Some(Side::Low),
                    _ => None,
                });
            }
            if let Some(side) = world.reading(*point).side() {
                sides.push(matches!(window, Window::Avg | Window::Min | Window::Max).then_some(side));
            }
            match sides.as_slice() {
                [] => holds,
                [Some(side)] => bounded(*side, op, holds),
                [Some(one), Some(other)] if one == other => bounded(*one, op, holds),
                _ => None,
            }
        }
        other => Some(op.holds(number(other, born, world)?, at)),
    }
}

fn number(num: &Num, born: u64, world: &World<'_>) -> Option<f64> {
    let of = |num: &Num| number(num, born, world);
    let number = match num {
        Num::Constant(number) => *number,
        // A bound is no number to reckon with.
        Num::Point(point) => {
            let reading = world.reading(*point);
            reading.number().filter(|_| reading.side().is_none())?
        }
        Num::Window(window, point, d) => {
            let (complete, value) = windowed(*window, *point, *d, born, world);
            value.filter(|_| complete && world.reading(*point).side().is_none())?
        }
        Num::Negative(inner) => -of(inner)?,
        Num::Sum(left, right) => of(left)? + of(right)?,
        Num::Difference(left, right) => of(left)? - of(right)?,
        Num::Product(left, right) => of(left)? * of(right)?,
        Num::Quotient(left, right) => of(left)? / of(right)?,
    };
    Some(number).filter(|number| number.is_finite())
}

/// Whether it is covered and known for nine tenths, and what its known part says.
fn windowed(window: Window, point: usize, d: u64, born: u64, world: &World<'_>) -> (bool, Option<f64>) {
    let now = world.now;
    let of = |(at, reading): (u64, &Reading)| (at, reading.number());
    let mut read: Vec<(u64, Option<f64>)> = Vec::new();
    for (at, number) in world.readings(point).filter(|(at, _)| *at >= born).map(of).rev() {
        read.push((at, number));
        // What is older cannot matter.
        if at + 2 * d < now {
            break;
        }
    }
    read.reverse();
    let complete =
        is_covered(&read, d, now) && unknown(&read, |of: Option<f64>| of.is_none(), d, now) * 10 <= d;
    let within = last_while(&read, d, now);
    let known = || within.iter().filter_map(|(.., of)| *of);
    // What was replaced within an instant was never in force.
    let in_force = || within.iter().filter(|(from, to, _)| from < to).filter_map(|(.., of)| *of);
    let delta = || Some(in_force().next_back()? - in_force().next()?);
    let value = match window {
        Window::Min => known().reduce(f64::min),
        Window::Max => known().reduce(f64::max),
        Window::Delta => delta(),
        Window::Rate => delta().map(|delta| delta * 60.0 * seconds(SECOND) / seconds(d)),
        Window::Avg => moments(&read, d, born, now).map(|(mean, _)| mean),
        Window::Stddev => moments(&read, d, born, now).map(|(_, deviation)| deviation),
    };
    (complete, value.filter(|value| value.is_finite()))
}

/// Weighted by time, of the window as it was at the last hundredth of it since the rule was first looked at.
fn moments(read: &[(u64, Option<f64>)], d: u64, born: u64, now: u64) -> Option<(f64, f64)> {
    let step = d / 100;
    let end = born + (now - born) / step * step;
    let start = end.saturating_sub(d);
    let parts = spans(read).map(|(from, to, of)| (from.max(start), to.min(end), of));
    let known: Vec<(f64, f64)> = parts
        .filter(|(from, to, _)| from < to)
        .filter_map(|(from, to, of)| Some((seconds(to - from), of?)))
        .collect();
    let time: f64 = known.iter().map(|(time, _)| time).sum();
    let mean = known.iter().map(|(time, of)| time * of).sum::<f64>() / time;
    let square = known.iter().map(|(time, of)| time * (of - mean).powi(2)).sum::<f64>() / time;
    Some((mean, square.sqrt()))
}

/// To the second: a few nanoseconds weigh nothing.
fn seconds(time: u64) -> f64 {
    f64::from(u32::try_from((time + SECOND / 2) / SECOND).unwrap())
}
