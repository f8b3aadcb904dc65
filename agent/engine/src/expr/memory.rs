//! What a program remembers between evaluations.
//!
//! Its windows and conditions over time, and what was last known of what is not read from points. It is brought to
//! the present by an evaluation and by nothing else.

use riskgate_point::{BadReason, Mono, PointId, Quality};

use super::ast::Compare;
use super::eval::{FirstOut, Soonest, decided, known, nanos, number};
use super::past::Past;
use super::program::Program;
use super::window::{Outcome, Window, WindowKind};
use super::{Beyond, World};
use crate::{Bound, Truth};

/// What a program has to remember between evaluations. It belongs to one program and knows its present
/// only from [`Program::eval`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    pub(super) windows: Vec<Watched>,
    pub(super) pasts: Vec<Past>,
    /// Few programs have any.
    pub(super) told: Option<Box<Told>>,
    pub(super) next: Option<Mono>,
}

#[derive(Debug, Clone)]
pub(super) struct Watched {
    point: PointId,
    window: Window,
    /// What it said at the last evaluation.
    pub(super) said: Said,
}

/// What was last known of what is not read from points, and which of several points tripped first.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) seens: Vec<Truth>,
    pub(super) permits: Vec<Truth>,
    pub(super) places: Vec<Truth>,
    pub(super) peoples: Vec<Option<u32>>,
    pub(super) first_outs: Vec<FirstOut>,
}

/// What a window said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub(super) value: Option<f64>,
    pub(super) quality: Quality,
    /// Set where the value is not that of the whole window: only a bound of it, or not even that.
    pub(super) bound: Option<Bound>,
}

impl Said {
    /// Of an incomplete window what is known is a bound of an extreme; of a value that is itself a bound,
    /// what is made of it is one on the same side.
    pub(super) fn of(outcome: Outcome, kind: WindowKind, beyond: Option<Beyond>) -> Self {
        let incomplete = (!outcome.complete).then(|| bound(kind));
        let follows = matches!(kind, WindowKind::Average | WindowKind::Min | WindowKind::Max);
        let beyond = beyond.map(|side| if follows { Bound::of(side) } else { Bound::Neither });
        let bound = match (incomplete, beyond) {
            (Some(one), Some(other)) if one != other => Some(Bound::Neither),
            (one, other) => one.or(other),
        };
        Self { value: outcome.value, quality: outcome.quality, bound }
    }

    /// Whether it holds against a constant: where only a bound is known, what that decides.
    pub(super) fn limit(&self, compare: Compare, threshold: f64) -> Truth {
        let holds = self.value.map(|value| compare.holds(value, threshold));
        match self.bound {
            None => known(holds),
            Some(bound) => bound.side().map_or(Truth::Unknown, |side| decided(side, compare, holds)),
        }
    }

    /// A bound is no number to reckon with.
    pub(super) fn number(&self) -> Option<f64> {
        self.value.filter(|_| self.bound.is_none())
    }
}

impl Told {
    const NOTHING: &'static Self = &Self {
        seens: Vec::new(),
        permits: Vec::new(),
        places: Vec::new(),
        peoples: Vec::new(),
        first_outs: Vec::new(),
    };

    fn is_nothing(&self) -> bool {
        let Self { seens, permits, places, peoples, first_outs } = self;
        seens.is_empty()
            && permits.is_empty()
            && places.is_empty()
            && peoples.is_empty()
            && first_outs.is_empty()
    }
}

impl Memory {
    /// That of a program that remembers nothing.
    pub(crate) const NONE: &'static Self =
        &Self { windows: Vec::new(), pasts: Vec::new(), told: None, next: None };

    /// The windows take in what their points read now.
    pub(super) fn observe_windows(&mut self, world: &(impl World + ?Sized), next: &mut Soonest) {
        let now = next.now.0;
        for Watched { point, window, said } in &mut self.windows {
            let point = world.point(*point);
            window.observe(number(&point), point.quality, now);
            *said = Said::of(window.outcome(now), window.kind(), point.beyond);
            window.next_change(now).into_iter().for_each(|at| next.offer(at));
        }
    }

    /// The next instant at which the verdict may change although nothing comes in: a window slides, a
    /// `held` completes, a sighting ends, an age passes. As of the last evaluation; until then any
    /// evaluation without a change of what is read gives the same verdict. `None`: it stays as it is.
    pub(crate) fn next_change(&self, now: Mono) -> Option<Mono> {
        self.next.map(|next| next.max(now))
    }

    pub(super) fn told(&self) -> &Told {
        self.told.as_deref().unwrap_or(Told::NOTHING)
    }

    pub(super) fn told_mut(&mut self) -> &mut Told {
        self.told.get_or_insert_with(|| Box::new(Told::NOTHING.clone()))
    }

    pub(super) fn said(&self, place: usize) -> Option<&Said> {
        self.windows.get(place).map(|watched| &watched.said)
    }
}

impl Program {
    /// With nothing observed yet: windows and conditions over time are unknown until they are covered,
    /// except where they are decided before.
    pub(crate) fn memory(&self) -> Memory {
        let never = Quality::Bad(BadReason::NeverRead);
        let nothing = Said { value: None, quality: never, bound: Some(Bound::Neither) };
        let windows = self.windows.iter().map(|term| Watched {
            point: term.point,
            window: Window::new(term.kind, nanos(term.length)),
            said: nothing,
        });
        let told = Told {
            seens: vec![Truth::Unknown; self.seens.len()],
            permits: vec![Truth::Unknown; self.permits.len()],
            places: vec![Truth::Unknown; self.places.len()],
            peoples: vec![None; self.peoples.len()],
            first_outs: vec![FirstOut::default(); self.first_outs.len()],
        };
        Memory {
            windows: windows.collect(),
            pasts: self.pasts.iter().map(|term| Past::new(term.kind, nanos(term.length))).collect(),
            told: (!told.is_nothing()).then(|| Box::new(told)),
            next: None,
        }
    }

    /// Takes over what the same text remembered under another plant, where its points had other numbers.
    pub(crate) fn renumber(&self, memory: &mut Memory) {
        debug_assert_eq!(memory.windows.len(), self.windows.len(), "the memory of another text");
        for (watched, term) in memory.windows.iter_mut().zip(&self.windows) {
            watched.point = term.point;
        }
    }
}

/// What a part of a window is to the whole: the whole's maximum is at least the part's, and its minimum at
/// most.
fn bound(kind: WindowKind) -> Bound {
    match kind {
        WindowKind::Max => Bound::AtLeast,
        WindowKind::Min => Bound::AtMost,
        WindowKind::Average | WindowKind::Delta | WindowKind::Rate | WindowKind::Deviation => Bound::Neither,
    }
}
