//! Evaluation: what a program says now, and when it may say something else by itself.
//!
//! One evaluation brings the memory to the present (windows, then sightings and permits, then conditions over
//! time, inner before outer) and then looks at the tree. Nothing is short-cut on the way, so what is remembered
//! does not depend on what the other half of an `or` said.

use riskgate_point::{BadReason, Condition, Mono, Now, Quality, UncertainReason, Value, Wall};

use super::ast::{Compare, Factor, Sign};
use super::memory::{Memory, Told};
use super::past::Past;
use super::program::{
    Age, FirstOutTerm, Limit, Measured, Number, PeopleTerm, Program, SeenTerm, Term, TermOf, Test, Word,
};
use super::{Beyond, PointNow, World};
use crate::{Bound, Operand, Truth};

impl Program {
    /// What it says by what was last observed: of a plain program with [`Memory::NONE`], or of one that
    /// remembers like the program whose memory it is.
    pub(crate) fn look(&self, memory: &Memory, world: &dyn World, now: Mono) -> Truth {
        Look { program: self, memory, world, now, strict: false }.test(&self.root)
    }

    /// Called after each change of what the program reads, and at [`Memory::next_change`]; `now` never goes
    /// back. A call in between is free: it changes neither this verdict nor a later one. `memory` is this
    /// program's own.
    pub(crate) fn eval(&self, memory: &mut Memory, world: &dyn World, now: Mono) -> Truth {
        debug_assert_eq!(memory.windows.len(), self.windows.len(), "the memory of another program");
        let mut next = Soonest::after(now);
        memory.observe_windows(world, &mut next);
        if let Some(told) = &mut memory.told {
            self.observe_told(told, world, &mut next);
        }
        for (place, term) in self.pasts.iter().enumerate() {
            let look = Look { program: self, memory, world, now, strict: false };
            let truth = look.test(&term.condition);
            let second = term.second.as_ref().map_or(Truth::Unknown, |second| look.test(second));
            if let Some(past) = memory.pasts.get_mut(place) {
                past.observe(truth, second, now.0);
                past.turns(now.0).into_iter().flatten().for_each(|at| next.offer(at));
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
        memory.next = next.at();
        self.look(memory, world, now)
    }

    /// People, sightings, permits, and which of several tripped first.
    fn observe_told(&self, told: &mut Told, world: &dyn World, next: &mut Soonest) {
        let now = next.now;
        let mut offer = |until: Option<Mono>| until.into_iter().for_each(|until| next.offer(until.0));
        for (known, term) in told.peoples.iter_mut().zip(&self.peoples) {
            let (count, until) = people(world, term, now);
            *known = count;
            offer(until);
        }
        for (known, term) in told.places.iter_mut().zip(&self.places) {
            let (truth, until) = world.place(&term.zones, term.asked, now);
            *known = truth;
            offer(until);
        }
        for (known, term) in told.seens.iter_mut().zip(&self.seens) {
            let (truth, until) = seen(world, term, now);
            *known = truth;
            offer(until);
        }
        for (known, term) in told.permits.iter_mut().zip(&self.permits) {
            let permitted = world.permit(term.place, term.kind, now);
            *known = permitted.truth;
            offer(permitted.until);
        }
        for (known, term) in told.first_outs.iter_mut().zip(&self.first_outs) {
            known.observe(term, world);
        }
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
                Operand {
                    bound: point.beyond.map(Bound::of),
                    age_ns: point.received.map(|received| now.0.saturating_sub(received.mono.0)),
                    ..operand(term, point.value.cloned(), point.quality, Some(&point))
                }
            }
            TermOf::Window(place) => {
                let point = self.windows.get(place).map(|window| world.point(window.point));
                let said = memory.said(place);
                let quality = said.map_or(down, |said| said.quality);
                let value = said.and_then(|said| said.value).filter(|_| !quality.is_bad());
                let bound = said.and_then(|said| said.bound);
                Operand { bound, ..operand(term, value.and_then(Value::float), quality, point.as_ref()) }
            }
            TermOf::People(place) => {
                let count = memory.told().peoples.get(place).copied().flatten();
                let value = count.map(|count| Value::Int(i64::from(count)));
                let quality = if value.is_some() { Quality::Good } else { down };
                operand(term, value, quality, None)
            }
            TermOf::Seen(place) => {
                let truth = memory.told().seens.get(place).copied().unwrap_or(Truth::Unknown);
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
                let truth = memory.told().permits.get(place).copied().unwrap_or(Truth::Unknown);
                let term_of = self.permits.get(place);
                let ticket = term_of.and_then(|term| world.permit(term.place, term.kind, now).ticket);
                Operand {
                    at: ticket.map(|ticket| ticket.received.wall),
                    source_time: ticket.and_then(|ticket| ticket.source_time),
                    detail: ticket.map(|ticket| ticket.id.to_string()),
                    until: ticket.and_then(|ticket| ticket.end),
                    ..truth_operand(term, truth, BadReason::CommFailure)
                }
            }
            TermOf::Past(place) => past_operand(term, memory.pasts.get(place), now.0),
            TermOf::Place(place) => {
                let truth = memory.told().places.get(place).copied().unwrap_or(Truth::Unknown);
                truth_operand(term, truth, BadReason::CommFailure)
            }
            TermOf::Active(place) => {
                let truth = self.actives.get(place).map_or(Truth::Unknown, |of| world.active(of.place));
                truth_operand(term, truth, BadReason::NeverRead)
            }
            TermOf::FirstOut(place) => self.first_out_operand(place, term, memory),
        }
    }
}

impl Program {
    fn first_out_operand(&self, place: usize, term: &Term, memory: &Memory) -> Operand {
        let known = memory.told().first_outs.get(place);
        let truth = known.map_or(Truth::Unknown, |known| known.truth);
        let first = known.and_then(|known| known.first).filter(|_| truth.is_true());
        let tag = first.and_then(|first| self.first_outs.get(place)?.tags.get(first.place).cloned());
        Operand {
            at: first.and_then(|first| first.at).map(|at| at.wall),
            source_time: first.and_then(|first| first.source_time),
            detail: tag,
            ..truth_operand(term, truth, BadReason::CommFailure)
        }
    }
}

fn past_operand(term: &Term, past: Option<&Past>, now: u64) -> Operand {
    let uncovered = past.is_none_or(|past| past.is_uncovered(now));
    let reason = if uncovered { BadReason::NeverRead } else { BadReason::Stale };
    match past.and_then(|past| past.count(now)) {
        // Fewer than there may have been: a bound, and marked.
        Some(counted) => {
            let uncertain = Quality::Uncertain(UncertainReason::Source);
            let quality = if counted.complete { Quality::Good } else { uncertain };
            operand(term, Some(Value::Int(i64::from(counted.n))), quality, None)
        }
        None => truth_operand(term, past.map_or(Truth::Unknown, |past| past.truth(now)), reason),
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
        bound: None,
        age_ns: None,
    }
}

fn seen(world: &dyn World, term: &SeenTerm, now: Mono) -> (Truth, Option<Mono>) {
    world.seen(&term.cameras, &term.kind, (term.times, term.confidence), term.window, now)
}

fn people(world: &dyn World, term: &PeopleTerm, now: Mono) -> (Option<u32>, Option<Mono>) {
    let role = term.role.as_deref();
    if term.present { world.present(&term.zones, role, now) } else { (world.people(&term.zones, role), None) }
}

/// `first_out(…)`: which of several came on first, for as long as any is on.
#[derive(Debug, Clone, Copy)]
pub(super) struct FirstOut {
    truth: Truth,
    first: Option<First>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct First {
    /// The place among the points.
    place: usize,
    at: Option<Now>,
    source_time: Option<Wall>,
}

impl Default for FirstOut {
    fn default() -> Self {
        Self { truth: Truth::Unknown, first: None }
    }
}

impl FirstOut {
    pub(super) fn recorded(truth: Truth) -> Self {
        Self { truth, first: None }
    }

    fn observe(&mut self, term: &FirstOutTerm, world: &dyn World) {
        let mut truth = Truth::False;
        for (place, id) in term.points.iter().enumerate() {
            let point = world.point(*id);
            let on = on(&point);
            truth = truth.or(on);
            let this = First { place, at: point.received, source_time: point.source_time };
            if on.is_true() && self.first.is_none_or(|first| this.was_before(&first)) {
                self.first = Some(this);
            }
        }
        // What nobody can see may still be on.
        if truth == Truth::False {
            self.first = None;
        }
        self.truth = truth;
    }
}

impl First {
    /// Sources stamp a sequence of events more finely than it is received; only where both did is it known.
    fn was_before(&self, other: &Self) -> bool {
        self.place != other.place
            && matches!((self.source_time, other.source_time), (Some(this), Some(other)) if this < other)
    }
}

pub(super) fn on(point: &PointNow<'_>) -> Truth {
    match readable(point) {
        Some(Value::Bool(on)) => Truth::from(*on),
        Some(Value::Int(number)) => Truth::from(*number != 0),
        Some(Value::Float(number)) => Truth::from(number.get() != 0.0),
        Some(Value::Text(_)) | None => Truth::Unknown,
    }
}

pub(super) fn nanos(length: std::time::Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// What a point reads, where it counts: the world withholds a value of bad quality, except one of class
/// gas, fire or sis that was beyond a limit when it turned bad.
fn readable<'a>(point: &PointNow<'a>) -> Option<&'a Value> {
    point.value
}

pub(super) fn number(point: &PointNow<'_>) -> Option<f64> {
    readable(point).and_then(Value::number).filter(|number| number.is_finite())
}

/// The soonest instant of change that was offered.
pub(super) struct Soonest {
    pub(super) now: Mono,
    at: Option<u64>,
}

impl Soonest {
    pub(super) fn after(now: Mono) -> Self {
        Self { now, at: None }
    }

    pub(super) fn at(&self) -> Option<Mono> {
        self.at.map(Mono)
    }

    pub(super) fn offer(&mut self, at: u64) {
        // What saturated is beyond the end of time.
        if at > self.now.0 && at != u64::MAX {
            self.at = Some(self.at.map_or(at, |soonest| soonest.min(at)));
        }
    }
}

/// The present as the tree sees it.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) program: &'a Program,
    pub(super) memory: &'a Memory,
    pub(super) world: &'a dyn World,
    pub(super) now: Mono,
    /// `maybe` makes nothing of unknown: what is known of a part without it.
    pub(super) strict: bool,
}

impl Look<'_> {
    pub(super) fn test(&self, test: &Test) -> Truth {
        match test {
            Test::Point(id) => on(&self.world.point(*id)),
            Test::Not(inner) => !self.test(inner),
            Test::All(parts) => parts.iter().fold(Truth::True, |all, part| all.and(self.test(part))),
            Test::Any(parts) => parts.iter().fold(Truth::False, |any, part| any.or(self.test(part))),
            Test::AtLeast(k, parts) => self.at_least(*k, parts),
            Test::Maybe(inner) if self.strict => self.test(inner),
            Test::Maybe(inner) => Truth::from(self.test(inner) != Truth::False),
            Test::Past(place) => {
                self.memory.pasts.get(*place).map_or(Truth::Unknown, |past| past.truth(self.now.0))
            }
            Test::Seen(place) => self.memory.told().seens.get(*place).copied().unwrap_or(Truth::Unknown),
            Test::Condition(place) => {
                let term = self.program.conditions.get(*place);
                term.map_or(Truth::Unknown, |term| self.world.condition(&term.asked).0)
            }
            Test::Permit(place) => self.memory.told().permits.get(*place).copied().unwrap_or(Truth::Unknown),
            Test::Place(place) => self.memory.told().places.get(*place).copied().unwrap_or(Truth::Unknown),
            Test::Active(place) => {
                let term = self.program.actives.get(*place);
                term.map_or(Truth::Unknown, |term| self.world.active(term.place))
            }
            Test::FirstOut(place) => {
                self.memory.told().first_outs.get(*place).map_or(Truth::Unknown, |first| first.truth)
            }
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
        match limit.of {
            Measured::Point(id) => point_limit(&self.world.point(id), limit.compare, limit.threshold),
            Measured::Count(place) => {
                let counted = self.memory.pasts.get(place).and_then(|past| past.count(self.now.0));
                counted.map_or(Truth::Unknown, |counted| counted.limit(limit.compare, limit.threshold))
            }
            Measured::Window(place) => {
                let said = self.memory.said(place);
                said.map_or(Truth::Unknown, |said| said.limit(limit.compare, limit.threshold))
            }
        }
    }

    fn number(&self, number: &Number) -> Option<f64> {
        let value = match number {
            Number::Constant(value) => Some(*value),
            Number::Measured(Measured::Point(id)) => point_number(&self.world.point(*id)),
            Number::Measured(Measured::Window(place)) => self.memory.said(*place)?.number(),
            Number::Measured(Measured::Count(place)) => {
                self.memory.pasts.get(*place)?.count(self.now.0)?.number()
            }
            Number::People(place) => (*self.memory.told().peoples.get(*place)?).map(f64::from),
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

/// A point against a constant.
pub(super) fn point_limit(point: &PointNow<'_>, compare: Compare, threshold: f64) -> Truth {
    let holds = number(point).map(|value| compare.holds(value, threshold));
    match point.beyond {
        None => known(holds),
        Some(beyond) => decided(beyond, compare, holds),
    }
}

/// A bound is no number to reckon with.
pub(super) fn point_number(point: &PointNow<'_>) -> Option<f64> {
    if point.beyond.is_none() { number(point) } else { None }
}

pub(super) fn known(holds: Option<bool>) -> Truth {
    holds.map_or(Truth::Unknown, Truth::from)
}

/// What a bound says about what lies on that side of it.
pub(super) fn decided(side: Beyond, compare: Compare, holds: Option<bool>) -> Truth {
    let Some(holds) = holds else { return Truth::Unknown };
    let above = matches!(compare, Compare::Greater | Compare::GreaterEqual);
    let decides = match side {
        Beyond::High => holds == above,
        Beyond::Low => holds != above,
    };
    if decides { Truth::from(holds) } else { Truth::Unknown }
}
