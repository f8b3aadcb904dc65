//! A checked text: the typed tree and everything in it that has a memory.
//!
//! Windows, conditions over time, sightings and ages stand in lists, so that a [`super::Memory`] is a few
//! lists of the same lengths, and one turn over them brings all of it to the present before the tree is
//! looked at. The same window written twice is one.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{PermitKind, PointId};

use super::ast::{Compare, Factor, Sign};
use super::past::PastKind;
use super::window::WindowKind;
use super::{AskedCondition, AskedPlace, ConditionState, Reads};

/// A text of type bool that is known to name only what the plant has. Immutable.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Program {
    pub(super) text: String,
    pub(super) root: Test,
    pub(super) windows: Vec<WindowTerm>,
    /// An inner one stands before the one around it.
    pub(super) pasts: Vec<PastTerm>,
    pub(super) peoples: Vec<PeopleTerm>,
    pub(super) seens: Vec<SeenTerm>,
    pub(super) conditions: Vec<ConditionTerm>,
    pub(super) permits: Vec<PermitTerm>,
    pub(super) places: Vec<PlaceTerm>,
    pub(super) actives: Vec<ActiveTerm>,
    pub(super) first_outs: Vec<FirstOutTerm>,
    /// Ages at which a comparison turns.
    pub(super) marks: Vec<(PointId, Duration)>,
    pub(super) terms: Arc<[Term]>,
    /// Each `maybe`, and whether the whole leans to true as it does; `None`: to either side.
    pub(super) maybes: Arc<[(Range<usize>, Option<bool>)]>,
    pub(super) reads: Arc<Reads>,
    /// Nothing in it has a memory.
    pub(super) plain: bool,
}

/// A part that is true, false or unknown.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Point(PointId),
    Not(Box<Test>),
    All(Vec<Test>),
    Any(Vec<Test>),
    AtLeast(u32, Vec<Test>),
    Maybe(Box<Test>),
    /// The place in [`Program::pasts`], of one that is no count.
    Past(usize),
    /// The place in [`Program::seens`].
    Seen(usize),
    /// The place in [`Program::conditions`].
    Condition(usize),
    /// The place in [`Program::permits`].
    Permit(usize),
    /// The place in [`Program::places`].
    Place(usize),
    /// The place in [`Program::actives`].
    Active(usize),
    /// The place in [`Program::first_outs`].
    FirstOut(usize),
    Bad(PointId),
    Stale(PointId),
    Limit(Limit),
    Numbers(Compare, Number, Number),
    Ages(Compare, Age, Age),
    /// Equality of bools.
    Same(Box<Test>, Box<Test>),
    Texts(Compare, Word, Word),
}

/// A point, or a window of one, against a constant: what has a decided verdict from a part of its window,
/// and a deadband.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limit {
    pub(super) of: Measured,
    /// Never an equality.
    pub(super) compare: Compare,
    pub(super) threshold: f64,
    /// Bytes of the threshold in the text.
    pub(super) span: Range<usize>,
    /// 0 where the threshold is not of the point's own kind (`delta`, `rate`, `stddev`).
    pub(super) deadband: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measured {
    Point(PointId),
    /// The place in [`Program::windows`].
    Window(usize),
    /// The place in [`Program::pasts`], of a count.
    Count(usize),
}

/// A part that is a number or unknown.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Number {
    Constant(f64),
    Measured(Measured),
    /// The place in [`Program::peoples`].
    People(usize),
    Negative(Box<Number>),
    Sum(Vec<(Sign, Number)>),
    Product(Vec<(Factor, Number)>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Age {
    Constant(Duration),
    /// Of the point's value; without end where it was never received.
    Of(PointId),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    Constant(String),
    Of(PointId),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct WindowTerm {
    pub(super) kind: WindowKind,
    pub(super) point: PointId,
    pub(super) length: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct PastTerm {
    pub(super) kind: PastKind,
    pub(super) condition: Test,
    /// Of `then`: what comes second.
    pub(super) second: Option<Test>,
    pub(super) length: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct PeopleTerm {
    /// The id of the zone or unit, as it is written.
    pub(super) place: String,
    pub(super) zones: Arc<[u32]>,
    pub(super) role: Option<String>,
    /// Only those with a fresh fix.
    pub(super) present: bool,
}

/// What is asked of the people in a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PlaceTerm {
    /// The id of the zone or unit, as it is written.
    pub(super) place: String,
    pub(super) zones: Arc<[u32]>,
    pub(super) asked: AskedPlace,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ActiveTerm {
    /// The id of the rule, as it is written, and its place.
    pub(super) rule: String,
    pub(super) place: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct FirstOutTerm {
    pub(super) points: Vec<PointId>,
    /// Their tags, as they are written.
    pub(super) tags: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct SeenTerm {
    /// The id of the unit, as it is written.
    pub(super) unit: String,
    pub(super) cameras: Arc<[u32]>,
    pub(super) kind: String,
    pub(super) confidence: f64,
    pub(super) window: Duration,
    pub(super) times: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConditionTerm {
    /// The id of the source, as it is written.
    pub(super) source: String,
    pub(super) asked: AskedCondition,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct PermitTerm {
    /// The id of the unit, as it is written, and its place.
    pub(super) unit: String,
    pub(super) place: u32,
    pub(super) kind: PermitKind,
}

/// What is told as evidence, as it stands in the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Term {
    pub(super) text: String,
    pub(super) of: TermOf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TermOf {
    Point(PointId),
    Window(usize),
    People(usize),
    Seen(usize),
    Condition(usize),
    Permit(usize),
    Past(usize),
    Place(usize),
    Active(usize),
    FirstOut(usize),
}

/// What an operand is about, for sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About<'a> {
    Point(PointId),
    Window { kind: WindowKind, point: PointId, length: Duration },
    People { place: &'a str, role: Option<&'a str>, present: bool },
    Seen { unit: &'a str, kind: &'a str },
    Condition { source: &'a str, name: &'a str, state: ConditionState },
    Permit { unit: &'a str, kind: PermitKind },
    Past { kind: PastKind, length: Duration },
    Place { place: &'a str, asked: AskedPlace },
    Active { rule: &'a str },
    FirstOut,
}

impl Program {
    /// What each of the operands is about, in their order.
    pub(crate) fn about(&self) -> impl Iterator<Item = About<'_>> {
        self.terms.iter().filter_map(|term| {
            Some(match term.of {
                TermOf::Point(point) => About::Point(point),
                TermOf::Window(place) => {
                    let WindowTerm { kind, point, length } = *self.windows.get(place)?;
                    About::Window { kind, point, length }
                }
                TermOf::People(place) => {
                    let of = self.peoples.get(place)?;
                    About::People { place: &of.place, role: of.role.as_deref(), present: of.present }
                }
                TermOf::Seen(place) => {
                    let of = self.seens.get(place)?;
                    About::Seen { unit: &of.unit, kind: &of.kind }
                }
                TermOf::Condition(place) => {
                    let of = self.conditions.get(place)?;
                    About::Condition { source: &of.source, name: &of.asked.name, state: of.asked.state }
                }
                TermOf::Permit(place) => {
                    let of = self.permits.get(place)?;
                    About::Permit { unit: &of.unit, kind: of.kind }
                }
                TermOf::Past(place) => {
                    let PastTerm { kind, length, .. } = *self.pasts.get(place)?;
                    About::Past { kind, length }
                }
                TermOf::Place(place) => {
                    let of = self.places.get(place)?;
                    About::Place { place: &of.place, asked: of.asked }
                }
                TermOf::Active(place) => About::Active { rule: &self.actives.get(place)?.rule },
                TermOf::FirstOut(_) => About::FirstOut,
            })
        })
    }

    /// The first `maybe` of which unknown makes the whole lean to this side.
    pub(crate) fn maybe_to(&self, holds: bool) -> Option<Range<usize>> {
        self.maybes.iter().find(|(_, to)| *to != Some(!holds)).map(|(span, _)| span.clone())
    }

    /// It remembers nothing and turns by itself at no time: a look is all that it takes.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    /// What the other remembers is all that this one would.
    pub(crate) fn remembers_like(&self, other: &Self) -> bool {
        let Self { windows, pasts, peoples, seens, permits, places, first_outs, marks, .. } = self;
        *windows == other.windows
            && *pasts == other.pasts
            && *peoples == other.peoples
            && *seens == other.seens
            && *permits == other.permits
            && *places == other.places
            && *first_outs == other.first_outs
            && *marks == other.marks
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// How far back it looks: its longest window, within conditions over time that may stand in each other.
    pub(crate) fn remembers(&self) -> Duration {
        let window = self.windows.iter().map(|window| window.length).max().unwrap_or_default();
        self.pasts.iter().fold(window, |sum, past| sum.saturating_add(past.length))
    }

    pub(crate) fn reads(&self) -> &Reads {
        &self.reads
    }

    /// What it says of a point that was never read is known: that it is bad, or old.
    pub(crate) fn reads_states(&self) -> bool {
        fn state(test: &Test) -> bool {
            match test {
                Test::Bad(_) | Test::Ages(..) => true,
                Test::Not(inner) | Test::Maybe(inner) => state(inner),
                Test::All(parts) | Test::Any(parts) | Test::AtLeast(_, parts) => parts.iter().any(state),
                Test::Same(left, right) => state(left) || state(right),
                Test::Past(_)
                | Test::Point(_)
                | Test::Seen(_)
                | Test::Condition(_)
                | Test::Permit(_)
                | Test::Place(_)
                | Test::Active(_)
                | Test::FirstOut(_)
                | Test::Stale(_)
                | Test::Limit(_)
                | Test::Numbers(..)
                | Test::Texts(..) => false,
            }
        }
        state(&self.root)
    }

    /// It asks whether a person has pressed the emergency button.
    pub(crate) fn calls_for_help(&self) -> bool {
        self.places.iter().any(|place| place.asked == AskedPlace::Sos)
    }

    /// It turns with the age of a reading: a sample that repeats the value matters to it as well.
    pub(crate) fn reads_ages(&self) -> bool {
        !self.marks.is_empty()
    }

    /// The longest age of this point that it compares with.
    pub(crate) fn oldest(&self, id: PointId) -> Duration {
        self.marks.iter().filter(|(point, _)| *point == id).map(|(_, age)| *age).max().unwrap_or_default()
    }

    /// When a condition is back on the safe side: `not` it, with each threshold of a point, or of its
    /// `avg`, `min` or `max`, against a constant moved by the point's deadband away from where the
    /// condition holds; also within `held` and `recently`. Within `count` and `then` they stay where they are:
    /// fewer edges would end an alarm sooner. What is unknown here stays unknown.
    pub(crate) fn default_clear(&self) -> Self {
        let mut clear = self.clone();
        let mut edits = Vec::new();
        let mut mover = Mover { pasts: &mut clear.pasts, edits: &mut edits };
        mover.moved(&mut clear.root, true);
        let root = std::mem::replace(&mut clear.root, Test::All(Vec::new()));
        clear.root = Test::Not(Box::new(root));
        clear.text = format!("not ({})", edited(&self.text, edits));
        clear
    }
}

struct Mover<'a> {
    pasts: &'a mut Vec<PastTerm>,
    /// What the text says instead, for each threshold that moved.
    edits: &'a mut Vec<(Range<usize>, f64)>,
}

impl Mover<'_> {
    /// `alarming`: the condition as a whole leans to true as this part does.
    fn moved(&mut self, test: &mut Test, alarming: bool) {
        match test {
            Test::Not(inner) => self.moved(inner, !alarming),
            Test::Maybe(inner) => self.moved(inner, alarming),
            Test::All(parts) | Test::Any(parts) | Test::AtLeast(_, parts) => {
                parts.iter_mut().for_each(|part| self.moved(part, alarming));
            }
            Test::Past(place) => self.past(*place, alarming),
            Test::Limit(limit) => self.limit(limit, alarming),
            // An equality of bools leans to neither side; the others have no threshold of a point.
            Test::Same(..)
            | Test::Point(_)
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
            | Test::Texts(..) => {}
        }
    }

    fn past(&mut self, place: usize, alarming: bool) {
        let Some(past) = self.pasts.get_mut(place) else { return };
        match past.kind {
            PastKind::Count | PastKind::Then => return,
            PastKind::Held | PastKind::Recently => {}
        }
        let mut condition = std::mem::replace(&mut past.condition, Test::All(Vec::new()));
        self.moved(&mut condition, alarming);
        if let Some(past) = self.pasts.get_mut(place) {
            past.condition = condition;
        }
    }

    fn limit(&mut self, limit: &mut Limit, alarming: bool) {
        let above = matches!(limit.compare, Compare::Greater | Compare::GreaterEqual);
        let moved = if above == alarming {
            limit.threshold - limit.deadband
        } else {
            limit.threshold + limit.deadband
        };
        if moved != limit.threshold && moved.is_finite() {
            limit.threshold = moved;
            self.edits.push((limit.span.clone(), moved));
        }
    }
}

fn edited(text: &str, mut edits: Vec<(Range<usize>, f64)>) -> String {
    edits.sort_by_key(|(span, _)| span.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (span, number) in edits {
        out.push_str(text.get(at..span.start).unwrap_or_default());
        out.push_str(&number.to_string());
        at = span.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}
