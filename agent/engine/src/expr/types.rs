//! Tree to program: every name is looked up, every part gets its type, and all that is wrong is told.
//!
//! A part whose fault is told has the type [`Typed::Wrong`], which fits anywhere: one slip is one fault.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{PointId, SourceId};

use super::ast::{Ast, Compare, Factor, Node, Sign};
use super::nearest::nearest;
use super::program::{
    ActiveTerm, Age, ConditionTerm, FirstOutTerm, Limit, Measured, Number, PastTerm, PeopleTerm, PermitTerm,
    PlaceTerm, Program, SeenTerm, Term, TermOf, Test, WindowTerm, Word,
};
use super::{ExprFault, FAULTS_MAX, Names, PointKind, PointName, Reads};
use crate::Severity;

/// A part of the text and what it is.
#[derive(Debug)]
pub(super) enum Typed {
    Bool(Test),
    Number(Numeric),
    /// With the words of the enumeration, where it is one.
    Text(Word, Option<Arc<[String]>>),
    Duration(Age),
    /// Its fault is told.
    Wrong,
}

#[derive(Debug)]
pub(super) struct Numeric {
    pub(super) number: Number,
    /// Known for points and their windows, and sums of them.
    pub(super) eu: Option<String>,
    /// A count, never a measured number: equality makes sense.
    pub(super) whole: bool,
    pub(super) deadband: f64,
}

pub(super) struct Checker<'a> {
    text: &'a str,
    pub(super) names: &'a dyn Names,
    faults: Vec<ExprFault>,
    pub(super) windows: Vec<WindowTerm>,
    pub(super) pasts: Vec<PastTerm>,
    pub(super) peoples: Vec<PeopleTerm>,
    pub(super) seens: Vec<SeenTerm>,
    pub(super) conditions: Vec<ConditionTerm>,
    pub(super) permits: Vec<PermitTerm>,
    pub(super) places: Vec<PlaceTerm>,
    pub(super) actives: Vec<ActiveTerm>,
    pub(super) first_outs: Vec<FirstOutTerm>,
    marks: Vec<(PointId, Duration)>,
    terms: Vec<(usize, Term)>,
    points: BTreeSet<PointId>,
    /// Points of which more than the age is read.
    valued: BTreeSet<PointId>,
    pub(super) zones: BTreeSet<u32>,
    pub(super) cameras: BTreeSet<u32>,
    pub(super) condition_sources: BTreeSet<SourceId>,
    pub(super) permit_units: BTreeSet<u32>,
    pub(super) rules: BTreeSet<u32>,
}

/// The program, if nothing is wrong with the tree; and what is wrong or doubtful.
pub(super) fn check(text: &str, tree: &Ast, names: &dyn Names) -> (Option<Program>, Vec<ExprFault>) {
    let mut checker = Checker {
        text,
        names,
        faults: Vec::new(),
        windows: Vec::new(),
        pasts: Vec::new(),
        peoples: Vec::new(),
        seens: Vec::new(),
        conditions: Vec::new(),
        permits: Vec::new(),
        places: Vec::new(),
        actives: Vec::new(),
        first_outs: Vec::new(),
        marks: Vec::new(),
        terms: Vec::new(),
        points: BTreeSet::new(),
        valued: BTreeSet::new(),
        zones: BTreeSet::new(),
        cameras: BTreeSet::new(),
        condition_sources: BTreeSet::new(),
        permit_units: BTreeSet::new(),
        rules: BTreeSet::new(),
    };
    let root = checker.condition(tree);
    let Checker { faults, mut marks, mut terms, .. } = checker;
    terms.sort_by_key(|(at, _)| *at);
    marks.sort_unstable();
    marks.dedup();
    let plain = checker.windows.is_empty()
        && checker.pasts.is_empty()
        && checker.peoples.is_empty()
        && checker.seens.is_empty()
        && checker.permits.is_empty()
        && checker.places.is_empty()
        && checker.first_outs.is_empty()
        && marks.is_empty();
    let program = root.map(|root| Program {
        plain,
        text: text.to_owned(),
        root,
        windows: checker.windows,
        pasts: checker.pasts,
        peoples: checker.peoples,
        seens: checker.seens,
        conditions: checker.conditions,
        permits: checker.permits,
        places: checker.places,
        actives: checker.actives,
        first_outs: checker.first_outs,
        marks,
        terms: terms.into_iter().map(|(_, term)| term).collect(),
        maybes: {
            let mut found = Vec::new();
            maybes(tree, Some(true), &mut found);
            found.into()
        },
        reads: Arc::new(Reads {
            aged: checker.points.difference(&checker.valued).copied().collect(),
            points: checker.points.into_iter().collect(),
            zones: checker.zones.into_iter().collect(),
            cameras: checker.cameras.into_iter().collect(),
            conditions: checker.condition_sources.into_iter().collect(),
            permits: checker.permit_units.into_iter().collect(),
            rules: checker.rules.into_iter().collect(),
        }),
    });
    (program, faults)
}

impl Checker<'_> {
    pub(super) fn fault(&mut self, span: &Range<usize>, message: impl Into<String>, hint: Option<String>) {
        self.faults.push(ExprFault::error(span.clone(), message, hint));
    }

    pub(super) fn error(&mut self, span: &Range<usize>, message: impl Into<String>, hint: &str) {
        self.fault(span, message, Some(hint.to_owned()));
    }

    pub(super) fn warning(&mut self, span: &Range<usize>, message: impl Into<String>, hint: &str) {
        let (message, hint) = (message.into(), Some(hint.to_owned()));
        self.faults.push(ExprFault { span: span.clone(), message, hint, severity: Severity::Warning });
    }

    pub(super) fn written(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    pub(super) fn reads_point(&mut self, id: PointId) {
        self.points.insert(id);
        self.valued.insert(id);
    }

    pub(super) fn reads_age(&mut self, id: PointId) {
        self.points.insert(id);
    }

    /// Tells the part as evidence, once however often it is written.
    pub(super) fn term(&mut self, span: &Range<usize>, of: TermOf) {
        if self.terms.iter().all(|(_, term)| term.of != of) {
            let text = self.written(span).to_owned();
            self.terms.push((span.start, Term { text, of }));
        }
    }

    pub(super) fn condition(&mut self, ast: &Ast) -> Option<Test> {
        let (what, hint) = match self.typed(ast) {
            Typed::Bool(test) => return Some(test),
            Typed::Wrong => return None,
            Typed::Number(_) => ("a number", format!("compare it: {} > …", self.written(&ast.span))),
            Typed::Text(..) => ("a text", format!("compare it: {} == '…'", self.written(&ast.span))),
            Typed::Duration(_) => ("a duration", "compare it: age({TAG}) > 30s".to_owned()),
        };
        self.error(&ast.span, format!("a condition is expected, and this is {what}"), &hint);
        None
    }

    pub(super) fn conditions(&mut self, parts: &[Ast]) -> Option<Vec<Test>> {
        let tests: Vec<Option<Test>> = parts.iter().map(|part| self.condition(part)).collect();
        tests.into_iter().collect()
    }

    fn numeric(&mut self, ast: &Ast) -> Option<Numeric> {
        let (what, hint) = match self.typed(ast) {
            Typed::Number(numeric) => return Some(numeric),
            Typed::Wrong => return None,
            Typed::Bool(_) => ("a bool", "conditions are joined with and, or, not"),
            Typed::Text(..) => ("a text", "texts are compared with == and != only"),
            Typed::Duration(_) => ("a duration", "durations stand in windows, and beside age({TAG})"),
        };
        self.error(&ast.span, format!("a number is expected, and this is {what}"), hint);
        None
    }

    pub(super) fn typed(&mut self, ast: &Ast) -> Typed {
        match &ast.node {
            Node::Or(parts) => {
                self.conditions(parts).map_or(Typed::Wrong, |parts| Typed::Bool(Test::Any(parts)))
            }
            Node::And(parts) => {
                self.conditions(parts).map_or(Typed::Wrong, |parts| Typed::Bool(Test::All(parts)))
            }
            Node::Not(inner) => match self.condition(inner) {
                Some(test) => Typed::Bool(Test::Not(Box::new(test))),
                None => Typed::Wrong,
            },
            Node::Compare(first, rest) => self.comparison(first, rest, &ast.span),
            Node::Sum(parts) => self.sum(parts, &ast.span).map_or(Typed::Wrong, Typed::Number),
            Node::Product(parts) => self.product(parts, &ast.span).map_or(Typed::Wrong, Typed::Number),
            Node::Negative(inner) => self.numeric(inner).map_or(Typed::Wrong, |inner| {
                let number = match inner.number {
                    Number::Constant(value) => Number::Constant(-value),
                    number @ (Number::Measured(_)
                    | Number::People(_)
                    | Number::Negative(_)
                    | Number::Sum(_)
                    | Number::Product(_)) => Number::Negative(Box::new(number)),
                };
                Typed::Number(Numeric { number, ..inner })
            }),
            Node::Tag(tag) => self.tag(tag, &ast.span),
            Node::Number(value) => {
                let number = Number::Constant(*value);
                Typed::Number(Numeric { number, eu: None, whole: value.fract() == 0.0, deadband: 0.0 })
            }
            Node::Text(text) => Typed::Text(Word::Constant(text.clone()), None),
            Node::Duration(length) => Typed::Duration(Age::Constant(*length)),
            Node::Call(call) => self.call(call, &ast.span),
            Node::Wrong => Typed::Wrong,
        }
    }

    /// Searched for as long as the fault will be told: a plant has many tags, and each search is over all.
    pub(super) fn nearest<'n>(&self, wrong: &str, all: fn(&'n dyn Names) -> Vec<&'n str>) -> Option<&'n str>
    where
        Self: 'n,
    {
        if self.faults.len() < FAULTS_MAX { nearest(wrong, all(self.names)) } else { None }
    }

    pub(super) fn named_point(&mut self, tag: &str, span: &Range<usize>) -> Option<PointName> {
        let found = self.names.point(tag);
        if found.is_none() {
            let near = self.nearest(tag, Names::tags);
            let hint = near.map(|near| format!("did you mean {{{}}}?", near.replace('}', "\\}")));
            self.fault(span, format!("there is no point {{{tag}}}"), hint);
        }
        found
    }

    fn tag(&mut self, tag: &str, span: &Range<usize>) -> Typed {
        let Some(point) = self.named_point(tag, span) else { return Typed::Wrong };
        self.reads_point(point.id);
        self.term(span, TermOf::Point(point.id));
        match point.kind {
            PointKind::Bool => Typed::Bool(Test::Point(point.id)),
            PointKind::Words(words) => Typed::Text(Word::Of(point.id), Some(words)),
            PointKind::Text => Typed::Text(Word::Of(point.id), None),
            PointKind::Number => Typed::Number(Numeric {
                number: Number::Measured(Measured::Point(point.id)),
                eu: Some(point.eu.to_string()).filter(|eu| !eu.is_empty()),
                whole: false,
                deadband: point.deadband,
            }),
        }
    }

    fn sum(&mut self, parts: &[(Sign, Ast)], span: &Range<usize>) -> Option<Numeric> {
        let checked: Vec<_> = parts.iter().map(|(sign, part)| (*sign, self.numeric(part))).collect();
        let mut eu: Option<String> = None;
        let mut whole = true;
        let mut terms = Vec::new();
        for (sign, part) in checked {
            let part = part?;
            self.same_eu(eu.as_deref(), part.eu.as_deref(), span);
            eu = eu.or(part.eu);
            whole = whole && part.whole;
            terms.push((sign, part.number));
        }
        let constant = terms.iter().try_fold(0.0, |sum, (sign, part)| match (sign, part) {
            (Sign::Plus, Number::Constant(part)) => Some(sum + part),
            (Sign::Minus, Number::Constant(part)) => Some(sum - part),
            _ => None,
        });
        let number = self.folded(constant, span)?.unwrap_or(Number::Sum(terms));
        Some(Numeric { number, eu, whole, deadband: 0.0 })
    }

    fn product(&mut self, parts: &[(Factor, Ast)], span: &Range<usize>) -> Option<Numeric> {
        let checked: Vec<_> = parts.iter().map(|(factor, part)| (*factor, self.numeric(part))).collect();
        let mut whole = true;
        let mut terms = Vec::new();
        for (place, (factor, part)) in checked.into_iter().enumerate() {
            let part = part?;
            whole = whole && part.whole && factor == Factor::Times;
            if factor == Factor::Per && part.number == Number::Constant(0.0) {
                let span = parts.get(place).map_or(span, |(_, part)| &part.span);
                self.error(span, "division by zero is always unknown", "divide by another number");
                return None;
            }
            terms.push((factor, part.number));
        }
        let constant = terms.iter().try_fold(1.0, |product, (factor, part)| match (factor, part) {
            (Factor::Times, Number::Constant(part)) => Some(product * part),
            (Factor::Per, Number::Constant(part)) => Some(product / part),
            _ => None,
        });
        let number = self.folded(constant, span)?.unwrap_or(Number::Product(terms));
        // Factors convert between eu, so the result has none that could be wrong.
        Some(Numeric { number, eu: None, whole, deadband: 0.0 })
    }

    /// `None`: told as a fault. `Some(None)`: not all constants.
    fn folded(&mut self, constant: Option<f64>, span: &Range<usize>) -> Option<Option<Number>> {
        if constant.is_some_and(|value| !value.is_finite()) {
            self.error(span, "this is too large for a number", "numbers reach up to about 1.8e308");
            return None;
        }
        Some(constant.map(Number::Constant))
    }

    fn same_eu(&mut self, left: Option<&str>, right: Option<&str>, span: &Range<usize>) {
        if let (Some(left), Some(right)) = (left, right)
            && left != right
        {
            let message = format!("different eu: {left} and {right}");
            self.warning(span, message, "convert one of them: multiply it by a factor");
        }
    }

    fn comparison(
        &mut self,
        first: &Ast,
        rest: &[(Compare, Range<usize>, Ast)],
        span: &Range<usize>,
    ) -> Typed {
        let [(compare, sign, second)] = rest else {
            self.chained(first, rest);
            return Typed::Wrong;
        };
        let sides = Sides { compare: *compare, sign, span, first, second };
        let test = match (self.typed(first), self.typed(second)) {
            (Typed::Wrong, _) | (_, Typed::Wrong) => None,
            (Typed::Number(left), Typed::Number(right)) => self.numbers(&sides, left, right),
            (Typed::Bool(left), Typed::Bool(right)) => self.bools(&sides, left, right),
            (Typed::Text(left, left_words), Typed::Text(right, right_words)) => {
                self.texts(&sides, (left, left_words), (right, right_words))
            }
            (Typed::Duration(left), Typed::Duration(right)) => self.ages(&sides, left, right),
            (left, right) => {
                self.mismatch(&sides, &left, &right);
                None
            }
        };
        test.map_or(Typed::Wrong, Typed::Bool)
    }

    fn chained(&mut self, first: &Ast, rest: &[(Compare, Range<usize>, Ast)]) {
        self.typed(first);
        rest.iter().for_each(|(.., part)| drop(self.typed(part)));
        let mut left = first;
        let mut pairs = Vec::new();
        for (compare, _, right) in rest {
            pairs.push(format!(
                "{} {} {}",
                self.written(&left.span),
                compare.sign(),
                self.written(&right.span)
            ));
            left = right;
        }
        if let Some((_, sign, _)) = rest.get(1) {
            let hint = format!("write {}", pairs.join(" and "));
            self.error(sign, "comparisons do not chain", &hint);
        }
    }

    fn numbers(&mut self, sides: &Sides<'_>, left: Numeric, right: Numeric) -> Option<Test> {
        self.same_eu(left.eu.as_deref(), right.eu.as_deref(), sides.span);
        let compare = sides.compare;
        if compare.is_equality() && !(left.whole && right.whole) {
            let written = self.written(&sides.first.span);
            let hint = format!("write a range: {written} >= … and {written} <= …");
            let message = format!("`{}` between measured numbers holds by accident only", compare.sign());
            self.error(sides.sign, message, &hint);
            return None;
        }
        Some(match (left.number, right.number) {
            (Number::Constant(left), Number::Constant(right)) => {
                self.constant(sides);
                Test::Numbers(compare, Number::Constant(left), Number::Constant(right))
            }
            (Number::Measured(of), Number::Constant(threshold)) if !compare.is_equality() => {
                let span = sides.second.span.clone();
                if matches!(of, Measured::Count(_)) {
                    self.countable(threshold, &span);
                }
                Test::Limit(Limit { of, compare, threshold, span, deadband: left.deadband })
            }
            (Number::Constant(threshold), Number::Measured(of)) if !compare.is_equality() => {
                let (span, compare) = (sides.first.span.clone(), compare.turned());
                if matches!(of, Measured::Count(_)) {
                    self.countable(threshold, &span);
                }
                Test::Limit(Limit { of, compare, threshold, span, deadband: right.deadband })
            }
            (left, right) => Test::Numbers(compare, left, right),
        })
    }

    fn constant(&mut self, sides: &Sides<'_>) {
        self.warning(sides.span, "this never changes: both sides are constants", "put a point on one side");
    }

    fn ordered(&mut self, sides: &Sides<'_>, what: &str) -> bool {
        let ordered = !sides.compare.is_equality();
        if ordered {
            let message = format!("{what} have no order, so `{}` says nothing", sides.compare.sign());
            self.error(sides.sign, message, "compare with == or !=");
        }
        ordered
    }

    fn bools(&mut self, sides: &Sides<'_>, left: Test, right: Test) -> Option<Test> {
        if self.ordered(sides, "bools") {
            return None;
        }
        let same = Test::Same(Box::new(left), Box::new(right));
        Some(if sides.compare == Compare::Equal { same } else { Test::Not(Box::new(same)) })
    }

    fn texts(&mut self, sides: &Sides<'_>, left: Worded, right: Worded) -> Option<Test> {
        if self.ordered(sides, "texts") {
            return None;
        }
        let fits_left = self.fits(&left.0, right.1.as_deref(), &sides.first.span);
        let fits_right = self.fits(&right.0, left.1.as_deref(), &sides.second.span);
        if !fits_left || !fits_right {
            return None;
        }
        if matches!((&left.0, &right.0), (Word::Constant(_), Word::Constant(_))) {
            self.constant(sides);
        }
        Some(Test::Texts(sides.compare, left.0, right.0))
    }

    /// A written word is one of those that the other side reads.
    fn fits(&mut self, word: &Word, words: Option<&[String]>, span: &Range<usize>) -> bool {
        let (Word::Constant(word), Some(words)) = (word, words) else { return true };
        if words.contains(word) {
            return true;
        }
        let hint = match nearest(word, words.iter().map(String::as_str)) {
            Some(near) => format!("did you mean '{near}'? {}", listed(words)),
            None => listed(words),
        };
        self.error(span, format!("the point never reads '{word}'"), &hint);
        false
    }

    fn ages(&mut self, sides: &Sides<'_>, left: Age, right: Age) -> Option<Test> {
        if sides.compare.is_equality() {
            let message = format!("`{}` between durations holds for an instant only", sides.compare.sign());
            self.error(sides.sign, message, "compare with < <= > >=");
            return None;
        }
        match (&left, &right) {
            (Age::Of(point), Age::Constant(mark)) | (Age::Constant(mark), Age::Of(point)) => {
                self.marks.push((*point, *mark));
            }
            // Both grow at the same pace.
            (Age::Of(_), Age::Of(_)) => {}
            (Age::Constant(_), Age::Constant(_)) => self.constant(sides),
        }
        Some(Test::Ages(sides.compare, left, right))
    }

    fn mismatch(&mut self, sides: &Sides<'_>, left: &Typed, right: &Typed) {
        let message = format!("{} is compared with {}", kind(left), kind(right));
        let hint = match (left, right) {
            (Typed::Bool(_), _) => {
                let written = self.written(&sides.first.span);
                format!("a bool stands for itself: {written}, or not {written}")
            }
            (_, Typed::Bool(_)) => {
                let written = self.written(&sides.second.span);
                format!("a bool stands for itself: {written}, or not {written}")
            }
            (Typed::Text(_, Some(words)), _) | (_, Typed::Text(_, Some(words))) => listed(words),
            (Typed::Duration(_), Typed::Number(Numeric { number: Number::Constant(_), .. })) => {
                format!("write {}s", self.written(&sides.second.span))
            }
            (Typed::Number(Numeric { number: Number::Constant(_), .. }), Typed::Duration(_)) => {
                format!("write {}s", self.written(&sides.first.span))
            }
            (Typed::Duration(_), _) | (_, Typed::Duration(_)) => {
                "a duration is compared with age({TAG})".into()
            }
            (Typed::Text(Word::Of(_), _), _) => {
                format!("{} reads texts: compare it with '…'", self.written(&sides.first.span))
            }
            (_, Typed::Text(Word::Of(_), _)) => {
                format!("{} reads texts: compare it with '…'", self.written(&sides.second.span))
            }
            _ => "a number is compared with a number, a text with a text".to_owned(),
        };
        self.error(sides.span, message, &hint);
    }
}

/// Each `maybe` of a part, and whether the whole leans to true as it does; `None`: to either side, as in an
/// equality of bools.
fn maybes(ast: &Ast, holds: Option<bool>, found: &mut Vec<(Range<usize>, Option<bool>)>) {
    match &ast.node {
        Node::Or(parts) | Node::And(parts) => parts.iter().for_each(|part| maybes(part, holds, found)),
        Node::Not(inner) => maybes(inner, holds.map(|holds| !holds), found),
        Node::Compare(first, rest) => {
            maybes(first, None, found);
            rest.iter().for_each(|(.., part)| maybes(part, None, found));
        }
        Node::Call(call) => {
            if call.name == "maybe" {
                found.push((ast.span.clone(), holds));
            }
            call.arguments.iter().for_each(|part| maybes(part, holds, found));
        }
        // Numbers, texts and durations hold no condition.
        Node::Sum(_)
        | Node::Product(_)
        | Node::Negative(_)
        | Node::Tag(_)
        | Node::Number(_)
        | Node::Text(_)
        | Node::Duration(_)
        | Node::Wrong => {}
    }
}

/// One comparison as it is written.
struct Sides<'a> {
    compare: Compare,
    sign: &'a Range<usize>,
    span: &'a Range<usize>,
    first: &'a Ast,
    second: &'a Ast,
}

type Worded = (Word, Option<Arc<[String]>>);

fn kind(typed: &Typed) -> &'static str {
    match typed {
        Typed::Bool(_) => "a bool",
        Typed::Number(_) => "a number",
        Typed::Text(_, None) => "a text",
        Typed::Text(_, Some(_)) => "an enumeration",
        Typed::Duration(_) => "a duration",
        Typed::Wrong => "a fault",
    }
}

fn listed(words: &[String]) -> String {
    let words = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
    format!("it reads one of {words}")
}
