//! Whether a condition can still become true while a feed is lost: a question to its text, asked once when the
//! configuration is read.
//!
//! What reads the lost feed is unknown; everything else may be anything. The answer leans to yes where two
//! parts depend on each other, so that a warning is only given where it is right.

use riskgate_point::PointId;

use super::program::{Age, Measured, Number, Program, Test, Word};

/// What nobody can see. Implemented over a draft.
pub(crate) trait Lost {
    fn point(&self, id: PointId) -> bool;
    fn people(&self) -> bool;
    fn permits(&self) -> bool;
    fn camera(&self, at: u32) -> bool;
    fn conditions(&self, of: riskgate_point::SourceId) -> bool;
}

/// Whether a part can be true, and whether it can be false.
#[derive(Clone, Copy)]
struct Can {
    hold: bool,
    fail: bool,
}

impl Can {
    fn unless(lost: bool) -> Self {
        Self { hold: !lost, fail: !lost }
    }
}

impl Program {
    pub(crate) fn can_hold_without(&self, lost: &dyn Lost) -> bool {
        Asked { program: self, lost }.test(&self.root).hold
    }
}

struct Asked<'a> {
    program: &'a Program,
    lost: &'a dyn Lost,
}

impl Asked<'_> {
    fn test(&self, test: &Test) -> Can {
        let any = Can::unless(false);
        match test {
            Test::Not(inner) => {
                let Can { hold, fail } = self.test(inner);
                Can { hold: fail, fail: hold }
            }
            Test::All(parts) => self.at_least(parts.len(), parts),
            Test::Any(parts) => self.at_least(1, parts),
            Test::AtLeast(k, parts) => self.at_least(usize::try_from(*k).unwrap_or(usize::MAX), parts),
            // Unknown counts as true.
            Test::Maybe(inner) => Can { hold: true, ..self.test(inner) },
            Test::Same(left, right) => {
                let both = [left, right].map(|side| self.test(side));
                Can::unless(both.iter().any(|side| !(side.hold || side.fail)))
            }
            Test::Past(place) => self.past(*place),
            // What is bad is known to be, and the rule itself is always there.
            Test::Bad(_)
            | Test::Stale(_)
            | Test::Ages(_, Age::Of(_) | Age::Constant(_), _)
            | Test::Active(_) => any,
            Test::Point(id) => Can::unless(self.lost.point(*id)),
            Test::Limit(limit) => self.measured(limit.of),
            Test::Numbers(_, left, right) => Can::unless(self.number(left) || self.number(right)),
            Test::Texts(_, left, right) => Can::unless(self.word(left) || self.word(right)),
            Test::Seen(place) => {
                let cameras = self.program.seens.get(*place).map(|term| &term.cameras);
                let mut cameras = cameras.into_iter().flat_map(|cameras| cameras.iter());
                Can { hold: cameras.any(|at| !self.lost.camera(*at)), fail: true }
            }
            Test::Condition(place) => {
                let source = self.program.conditions.get(*place).map(|term| term.asked.source);
                Can::unless(source.is_some_and(|source| self.lost.conditions(source)))
            }
            Test::Permit(_) => Can::unless(self.lost.permits()),
            Test::Place(_) => Can::unless(self.lost.people()),
            Test::FirstOut(place) => {
                let points = self.program.first_outs.get(*place).map(|term| &term.points);
                let mut points = points.into_iter().flatten();
                Can { hold: points.any(|id| !self.lost.point(*id)), fail: true }
            }
        }
    }

    fn at_least(&self, k: usize, parts: &[Test]) -> Can {
        let parts: Vec<Can> = parts.iter().map(|part| self.test(part)).collect();
        let holding = parts.iter().filter(|part| part.hold).count();
        let failing = parts.iter().filter(|part| part.fail).count();
        Can { hold: holding >= k, fail: failing + k > parts.len() }
    }

    fn past(&self, place: usize) -> Can {
        let Some(term) = self.program.pasts.get(place) else { return Can::unless(true) };
        let first = self.test(&term.condition);
        match &term.second {
            None => first,
            Some(second) => {
                let second = self.test(second);
                let rises = |part: Can| part.hold && part.fail;
                Can { hold: rises(first) && rises(second), fail: first.fail || second.fail }
            }
        }
    }

    fn measured(&self, of: Measured) -> Can {
        match of {
            Measured::Point(id) => Can::unless(self.lost.point(id)),
            Measured::Window(place) => {
                Can::unless(self.program.windows.get(place).is_none_or(|term| self.lost.point(term.point)))
            }
            Measured::Count(place) => {
                let Can { hold, fail } = self.past(place);
                Can::unless(!(hold && fail))
            }
        }
    }

    /// Whether it is unknown.
    fn number(&self, number: &Number) -> bool {
        match number {
            Number::Constant(_) => false,
            Number::Measured(of) => !self.measured(*of).hold,
            Number::People(_) => self.lost.people(),
            Number::Negative(inner) => self.number(inner),
            Number::Sum(parts) => parts.iter().any(|(_, part)| self.number(part)),
            Number::Product(parts) => parts.iter().any(|(_, part)| self.number(part)),
        }
    }

    fn word(&self, word: &Word) -> bool {
        match word {
            Word::Constant(_) => false,
            Word::Of(id) => self.lost.point(*id),
        }
    }
}
