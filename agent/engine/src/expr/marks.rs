//! At which numbers of a point a program may turn.
//!
//! A program that compares a point with constants, and asks nothing else of it, says the same for every number
//! between two of those constants. Where this holds the constants are told; of a point that is read in any other
//! way (reckoned with, remembered in a window, its age, its text) nothing is, and any change of it counts.
//!
//! Conditions over time belong to it: they ask their conditions for nothing but truth, and a look without a new
//! truth changes neither their verdict nor a later one.

use std::collections::BTreeSet;

use riskgate_point::PointId;

use super::program::{Age, Limit, Measured, Number, PastTerm, Program, Test, Word};

/// What one or more programs ask of points.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// A program may turn where the number of the point becomes this, leaves it or passes it.
    pub(crate) at: Vec<(PointId, f64)>,
    /// Points that are asked for more than that.
    pub(crate) any: BTreeSet<PointId>,
}

impl Program {
    pub(crate) fn marks(&self, marks: &mut Marks) {
        // Of people, cameras, conditions and permits each look may know more.
        let reads = self.reads();
        let told = reads.zones.len() + reads.cameras.len() + reads.conditions.len() + reads.permits.len();
        if told > 0 {
            marks.any.extend(&reads.points);
            return;
        }
        marks.any.extend(self.windows.iter().map(|term| term.point));
        marks.any.extend(self.marks.iter().map(|(point, _)| *point));
        marks.any.extend(self.first_outs.iter().flat_map(|term| &term.points));
        marks.test(&self.root);
        for PastTerm { condition, second, .. } in &self.pasts {
            marks.test(condition);
            second.iter().for_each(|second| marks.test(second));
        }
    }
}

impl Marks {
    fn test(&mut self, test: &Test) {
        match test {
            // On or off: it turns at zero.
            Test::Point(id) => self.at.push((*id, 0.0)),
            Test::Not(inner) | Test::Maybe(inner) => self.test(inner),
            Test::All(parts) | Test::Any(parts) | Test::AtLeast(_, parts) => {
                parts.iter().for_each(|part| self.test(part));
            }
            Test::Same(left, right) => {
                self.test(left);
                self.test(right);
            }
            Test::Limit(Limit { of: Measured::Point(id), threshold, .. }) => self.at.push((*id, *threshold)),
            Test::Limit(Limit { of: Measured::Window(_) | Measured::Count(_), .. }) => {}
            Test::Numbers(_, left, right) => {
                self.number(left);
                self.number(right);
            }
            Test::Ages(_, left, right) => [left, right].into_iter().for_each(|age| match age {
                Age::Constant(_) => {}
                Age::Of(id) => self.any(*id),
            }),
            Test::Texts(_, left, right) => [left, right].into_iter().for_each(|word| match word {
                Word::Constant(_) => {}
                Word::Of(id) => self.any(*id),
            }),
            // These turn where a point becomes bad or good, which is no matter of numbers.
            Test::Bad(_)
            | Test::Stale(_)
            // What these read stands in the lists of the program, or is not a point.
            | Test::Past(_)
            | Test::Seen(_)
            | Test::Condition(_)
            | Test::Permit(_)
            | Test::Place(_)
            | Test::Active(_)
            | Test::FirstOut(_) => {}
        }
    }

    fn number(&mut self, number: &Number) {
        match number {
            Number::Measured(Measured::Point(id)) => self.any(*id),
            Number::Negative(inner) => self.number(inner),
            Number::Sum(parts) => parts.iter().for_each(|(_, part)| self.number(part)),
            Number::Product(parts) => parts.iter().for_each(|(_, part)| self.number(part)),
            Number::Constant(_)
            | Number::People(_)
            | Number::Measured(Measured::Window(_) | Measured::Count(_)) => {}
        }
    }

    fn any(&mut self, id: PointId) {
        self.any.insert(id);
    }
}
