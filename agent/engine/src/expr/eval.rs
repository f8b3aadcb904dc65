//! Evaluation: what a program says now, and when it may say something else by itself.
//!
//! One evaluation brings the memory to the present (windows, then sightings and permits, then conditions over
//! time, inner before outer) and then looks at the tree. Nothing is short-cut on the way, so what is remembered
//! does not depend on what the other half of an `or` said.

use riskgate_point::{BadReason, Condition, Mono, Now, Quality, Value};

use super::ast::{Compare, Factor, Sign};
use super::program::{Age, Limit, Measured, Number, Program, SeenTerm, Term, TermOf, Test, Word};
use super::window::{Outcome, Window, WindowKind};
use super::{Beyond, PointNow, World};
use crate::{Operand, Truth};

/// What a program has to remember between evaluations. It belongs to one program and knows its present
/// only from [`Program::eval`].
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    windows: Vec<Window>,
    /// What each window said at the last evaluation.
    outcomes: Vec<Outcome>,
    helds: Vec<Held>,
    seens: Vec<Truth>,
    permits: Vec<Truth>,
    next: Option<Mono>,
}

impl Program {
    /// With nothing observed yet: windows and conditions over time are unknown until they are covered,
    /// except where they are decided before.
    pub(crate) fn memory(&self) -> Memory {
        let windows = self.windows.iter().map(|term| Window::new(term.kind, nanos(term.length)));
        let nothing = Outcome { complete: false, value: None, quality: Quality::Bad(BadReason::NeverRead) };
        Memory {
            windows: windows.collect(),
            outcomes: vec![nothing; self.windows.len()],
            helds: self.helds.iter().map(|term| Held::new(nanos(term.length))).collect(),
            seens: vec![Truth::Unknown; self.seens.len()],
            permits: vec![Truth::Unknown; self.permits.len()],
            next: None,
        }
    }

    /// Called after each change of what the program reads, and at [`Self::next_change`]; `now` never goes
    /// back. A call in between is free: it changes neither this verdict nor a later one. `memory` is this
    /// program's own.
    pub(crate) fn eval(&self, memory: &mut Memory, world: &dyn World, now: Mono) -> Truth {
        debug_assert_eq!(memory.windows.len(), self.windows.len(), "the memory of another program");
        let mut next = Soonest { now, at: None };
        self.observe_windows(memory, world, &mut next);
        for (known, term) in memory.seens.iter_mut().zip(&self.seens) {
            let (truth, until) = seen(world, term, now);
            *known = truth;
            until.into_iter().for_each(|until| next.offer(until.0));
        }
        for (known, term) in memory.permits.iter_mut().zip(&self.permits) {
            let permitted = world.permit(term.place, term.kind, now);
            *known = permitted.truth;
            permitted.until.into_iter().for_each(|until| next.offer(until.0));
        }
        for (place, term) in self.helds.iter().enumerate() {
            let truth = Look { program: self, memory, world, now }.test(&term.condition);
            if let Some(held) = memory.helds.get_mut(place) {
                held.observe(truth, now.0);
                held.turns().into_iter().flatten().for_each(|at| next.offer(at));
            }
        }
        for (point, age) in &self.marks {
            if let Some(received) = world.point(*point).received {
                // `>=` turns at the mark, `>` right after it.
                let mark = received.mono.after(*age).0;
                next.offer(mark);
                next.offer(mark.saturating_add(1));
            }
        }
        memory.next = next.at.map(Mono);
        Look { program: self, memory, world, now }.test(&self.root)
    }

    fn observe_windows(&self, memory: &mut Memory, world: &dyn World, next: &mut Soonest) {
        let outcomes = memory.outcomes.iter_mut();
        for ((window, outcome), term) in memory.windows.iter_mut().zip(outcomes).zip(&self.windows) {
            let point = world.point(term.point);
            window.observe(number(&point), point.quality, next.now.0);
            *outcome = window.outcome(next.now.0);
            window.next_change(next.now.0).into_iter().for_each(|at| next.offer(at));
        }
    }

    /// The next instant at which the verdict may change although nothing comes in: a window slides, a
    /// `held` completes, a sighting ends, an age passes. As of the last evaluation; until then any
    /// evaluation without a change of what is read gives the same verdict. `None`: it stays as it is.
    pub(crate) fn next_change(&self, memory: &Memory, now: Mono) -> Option<Mono> {
        memory.next.map(|next| next.max(now))
    }

    /// Each point, window, head count, sighting, condition, permit and `held` as it is written, in the order of the text,
    /// with what it said at the last evaluation, which was at `now`.
    pub(crate) fn operands(&self, memory: &Memory, world: &dyn World, now: Mono) -> Vec<Operand> {
        self.terms.iter().map(|term| self.operand(term, memory, world, now)).collect()
    }

    fn operand(&self, term: &Term, memory: &Memory, world: &dyn World, now: Mono) -> Operand {
        let down = Quality::Bad(BadReason::CommFailure);
        match term.of {
            TermOf::Point(id) => {
                let point = world.point(id);
                operand(term, point.value.cloned(), point.quality, Some(&point))
            }
            TermOf::Window(place) => {
                let point = self.windows.get(place).map(|window| world.point(window.point));
                let outcome = memory.outcomes.get(place);
                let quality = outcome.map_or(down, |outcome| outcome.quality);
                let value = outcome.and_then(|outcome| outcome.value).filter(|_| !quality.is_bad());
                operand(term, value.and_then(Value::float), quality, point.as_ref())
            }
            TermOf::People(place) => {
                let people = self.peoples.get(place);
                let count = people.and_then(|people| world.people(&people.zones, people.role.as_deref()));
                let value = count.map(|count| Value::Int(i64::from(count)));
                let quality = if value.is_some() { Quality::Good } else { down };
                operand(term, value, quality, None)
            }
            TermOf::Seen(place) => {
                let truth = self.seens.get(place).map_or(Truth::Unknown, |term| seen(world, term, now).0);
                truth_operand(term, truth, BadReason::CommFailure)
            }
            TermOf::Condition(place) => {
                let asked = self.conditions.get(place).map(|term| world.condition(&term.asked));
                let (truth, condition) = asked.unwrap_or((Truth::Unknown, None));
                Operand {
                    at: condition.map(|condition| condition.received.wall),
                    source_time: condition.and_then(|condition| condition.source_time),
                    detail: condition.map(told),
                    ..truth_operand(term, truth, BadReason::CommFailure)
                }
            }
            TermOf::Permit(place) => {
                let permitted = self.permits.get(place).map(|term| world.permit(term.place, term.kind, now));
                let (truth, ticket) =
                    permitted.map_or((Truth::Unknown, None), |permitted| (permitted.truth, permitted.ticket));
                Operand {
                    at: ticket.map(|ticket| ticket.received.wall),
                    source_time: ticket.and_then(|ticket| ticket.source_time),
                    detail: ticket.map(|ticket| ticket.id.to_string()),
                    until: ticket.and_then(|ticket| ticket.end),
                    ..truth_operand(term, truth, BadReason::CommFailure)
                }
            }
            TermOf::Held(place) => {
                let held = memory.helds.get(place);
                let truth = held.map_or(Truth::Unknown, |held| held.truth(now.0));
                let uncovered = held.is_none_or(|held| !held.covered(now.0));
                let reason = if uncovered { BadReason::NeverRead } else { BadReason::Stale };
                truth_operand(term, truth, reason)
            }
        }
    }
}

fn truth_operand(term: &Term, truth: Truth, unknown: BadReason) -> Operand {
    match truth {
        Truth::Unknown => operand(term, None, Quality::Bad(unknown), None),
        Truth::True | Truth::False => operand(term, Some(Value::Bool(truth.is_true())), Quality::Good, None),
    }
}

/// A condition as its source tells it: `LIA-101/HighHigh 液位高高 (severity 900)`.
fn told(condition: &Condition) -> String {
    let Condition { origin, name, severity, message, .. } = condition;
    let who = if origin.is_empty() { name.to_string() } else { format!("{origin}/{name}") };
    let message = if message.is_empty() { String::new() } else { format!(" {message}") };
    format!("{who}{message} (severity {severity})")
}

fn operand(term: &Term, value: Option<Value>, quality: Quality, point: Option<&PointNow<'_>>) -> Operand {
    Operand {
        text: term.text.clone(),
        value,
        quality,
        at: point.and_then(|point| point.received).map(|received| received.wall),
        source_time: point.and_then(|point| point.source_time),
        detail: None,
        until: None,
    }
}

fn seen(world: &dyn World, term: &SeenTerm, now: Mono) -> (Truth, Option<Mono>) {
    world.seen(&term.cameras, &term.kind, term.confidence, term.window, now)
}

fn nanos(length: std::time::Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// What a point reads, where it counts: the world withholds a value of bad quality, except one of class
/// gas, fire or sis that was beyond a limit when it turned bad.
fn readable<'a>(point: &PointNow<'a>) -> Option<&'a Value> {
    point.value
}

fn number(point: &PointNow<'_>) -> Option<f64> {
    readable(point).and_then(Value::number).filter(|number| number.is_finite())
}

struct Soonest {
    now: Mono,
    at: Option<u64>,
}

impl Soonest {
    fn offer(&mut self, at: u64) {
        // What saturated is beyond the end of time.
        if at > self.now.0 && at != u64::MAX {
            self.at = Some(self.at.map_or(at, |soonest| soonest.min(at)));
        }
    }
}

/// `held(c, d)`: what c was over the last while.
#[derive(Debug, Clone)]
struct Held {
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
        Self {
            length,
            start: None,
            present: Truth::Unknown,
            since: 0,
            false_until: None,
            unknown_until: None,
        }
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
        // What lasted no time is the order in which the readings of one instant came in.
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

    fn covered(&self, now: u64) -> bool {
        self.start.is_some_and(|start| start.saturating_add(self.length) <= now)
    }

    fn truth(&self, now: u64) -> Truth {
        let [was_false, was_unknown, _] = self.turns().map(|until| until.is_some_and(|until| until > now));
        if self.present == Truth::False || was_false {
            Truth::False
        } else if self.present == Truth::Unknown || was_unknown || !self.covered(now) {
            Truth::Unknown
        } else {
            Truth::True
        }
    }
}

/// The present as the tree sees it.
struct Look<'a> {
    program: &'a Program,
    memory: &'a Memory,
    world: &'a dyn World,
    now: Mono,
}

impl Look<'_> {
    fn test(&self, test: &Test) -> Truth {
        match test {
            Test::Point(id) => self.on(*id),
            Test::Not(inner) => !self.test(inner),
            Test::All(parts) => parts.iter().fold(Truth::True, |all, part| all.and(self.test(part))),
            Test::Any(parts) => parts.iter().fold(Truth::False, |any, part| any.or(self.test(part))),
            Test::AtLeast(k, parts) => self.at_least(*k, parts),
            Test::Maybe(inner) => Truth::from(self.test(inner) != Truth::False),
            Test::Held(place) => {
                self.memory.helds.get(*place).map_or(Truth::Unknown, |held| held.truth(self.now.0))
            }
            Test::Seen(place) => self.memory.seens.get(*place).copied().unwrap_or(Truth::Unknown),
            Test::Condition(place) => {
                let term = self.program.conditions.get(*place);
                term.map_or(Truth::Unknown, |term| self.world.condition(&term.asked).0)
            }
            Test::Permit(place) => self.memory.permits.get(*place).copied().unwrap_or(Truth::Unknown),
            Test::Bad(id) => Truth::from(self.world.point(*id).quality.is_bad()),
            Test::Stale(id) => Truth::from(self.world.point(*id).quality == Quality::Bad(BadReason::Stale)),
            Test::Limit(limit) => self.limit(limit),
            Test::Numbers(compare, left, right) => known(
                self.number(left).zip(self.number(right)).map(|(left, right)| compare.holds(left, right)),
            ),
            Test::Ages(compare, left, right) => Truth::from(compare.holds(self.age(left), self.age(right))),
            Test::Same(left, right) => match (self.test(left), self.test(right)) {
                (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
                (left, right) => Truth::from(left == right),
            },
            Test::Texts(compare, left, right) => {
                known(self.word(left).zip(self.word(right)).map(|(left, right)| compare.holds(left, right)))
            }
        }
    }

    fn on(&self, id: riskgate_point::PointId) -> Truth {
        match readable(&self.world.point(id)) {
            Some(Value::Bool(on)) => Truth::from(*on),
            Some(Value::Int(number)) => Truth::from(*number != 0),
            Some(Value::Float(number)) => Truth::from(number.get() != 0.0),
            Some(Value::Text(_)) | None => Truth::Unknown,
        }
    }

    fn at_least(&self, k: u32, parts: &[Test]) -> Truth {
        let (mut n_true, mut n_unknown) = (0_u32, 0_u32);
        for part in parts {
            match self.test(part) {
                Truth::True => n_true += 1,
                Truth::Unknown => n_unknown += 1,
                Truth::False => {}
            }
        }
        if n_true >= k {
            Truth::True
        } else if n_true.saturating_add(n_unknown) < k {
            Truth::False
        } else {
            Truth::Unknown
        }
    }

    fn limit(&self, limit: &Limit) -> Truth {
        let holds = |value: f64| limit.compare.holds(value, limit.threshold);
        match limit.of {
            Measured::Point(id) => {
                let point = self.world.point(id);
                let holds = number(&point).map(holds);
                match point.beyond {
                    None => known(holds),
                    Some(beyond) => decided(beyond, limit.compare, holds),
                }
            }
            Measured::Window(place) => {
                let Some(term) = self.program.windows.get(place) else { return Truth::Unknown };
                let Some(outcome) = self.memory.outcomes.get(place) else { return Truth::Unknown };
                let holds = outcome.value.map(holds);
                // Of an incomplete window what is known is a bound of an extreme; of a value that is itself
                // a bound, what is made of it is one on the same side.
                let incomplete = (!outcome.complete).then(|| bound(term.kind));
                let beyond = self.world.point(term.point).beyond.map(|side| {
                    let follows =
                        matches!(term.kind, WindowKind::Average | WindowKind::Min | WindowKind::Max);
                    follows.then_some(side)
                });
                match (incomplete, beyond) {
                    (None, None) => known(holds),
                    (Some(side), None) | (None, Some(side)) => {
                        side.map_or(Truth::Unknown, |side| decided(side, limit.compare, holds))
                    }
                    (Some(one), Some(other)) => match one.filter(|_| one == other) {
                        Some(side) => decided(side, limit.compare, holds),
                        None => Truth::Unknown,
                    },
                }
            }
        }
    }

    fn number(&self, number: &Number) -> Option<f64> {
        let value = match number {
            Number::Constant(value) => Some(*value),
            // A bound is no number to reckon with.
            Number::Measured(Measured::Point(id)) => Some(self.world.point(*id))
                .filter(|point| point.beyond.is_none())
                .and_then(|p| self::number(&p)),
            Number::Measured(Measured::Window(place)) => {
                let (term, outcome) = (self.program.windows.get(*place)?, self.memory.outcomes.get(*place)?);
                let bound = self.world.point(term.point).beyond.is_some();
                outcome.value.filter(|_| outcome.complete && !bound)
            }
            Number::People(place) => {
                let people = self.program.peoples.get(*place)?;
                self.world.people(&people.zones, people.role.as_deref()).map(f64::from)
            }
            Number::Negative(inner) => self.number(inner).map(|value| -value),
            Number::Sum(parts) => parts.iter().try_fold(0.0, |sum, (sign, part)| {
                let part = self.number(part)?;
                Some(match sign {
                    Sign::Plus => sum + part,
                    Sign::Minus => sum - part,
                })
            }),
            Number::Product(parts) => parts.iter().try_fold(1.0, |product, (factor, part)| {
                let part = self.number(part)?;
                Some(match factor {
                    Factor::Times => product * part,
                    Factor::Per => product / part,
                })
            }),
        };
        // Division by zero and overflow are unknown.
        value.filter(|value| value.is_finite())
    }

    fn age(&self, age: &Age) -> u64 {
        match age {
            Age::Constant(length) => nanos(*length),
            Age::Of(id) => {
                let received: Option<Now> = self.world.point(*id).received;
                received.map_or(u64::MAX, |received| self.now.0.saturating_sub(received.mono.0))
            }
        }
    }

    fn word<'a>(&'a self, word: &'a Word) -> Option<&'a str> {
        match word {
            Word::Constant(text) => Some(text),
            Word::Of(id) => match readable(&self.world.point(*id))? {
                Value::Text(text) => Some(text),
                Value::Bool(_) | Value::Int(_) | Value::Float(_) => None,
            },
        }
    }
}

fn known(holds: Option<bool>) -> Truth {
    holds.map_or(Truth::Unknown, Truth::from)
}

/// What a part of a window is to the whole: the whole's maximum is at least the part's, and its minimum at
/// most.
fn bound(kind: WindowKind) -> Option<Beyond> {
    match kind {
        WindowKind::Max => Some(Beyond::High),
        WindowKind::Min => Some(Beyond::Low),
        WindowKind::Average | WindowKind::Delta | WindowKind::Rate | WindowKind::Deviation => None,
    }
}

/// What a bound says about what lies on that side of it.
fn decided(side: Beyond, compare: Compare, holds: Option<bool>) -> Truth {
    let Some(holds) = holds else { return Truth::Unknown };
    let above = matches!(compare, Compare::Greater | Compare::GreaterEqual);
    let decides = match side {
        Beyond::High => holds == above,
        Beyond::Low => holds != above,
    };
    if decides { Truth::from(holds) } else { Truth::Unknown }
}
