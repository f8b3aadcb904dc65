//! The parts of a condition with what each says, and the same from recorded operands alone.
//!
//! A program keeps no places of its parts in the text; the text is parsed once more where they are wanted, which
//! is when an episode begins, and walked beside the program. Both are made of the same tree.
//!
//! From recorded operands the very evaluation of the engine is run: they become the present and the memory that
//! it looks at. Names need no plant for that; what a point reads is recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{BadReason, Condition, Mono, Now, PermitKind, PointId, Quality, SourceId, Value, Wall};

use super::ast::{Ast, Call, Node};
use super::eval::{FirstOut, Look};
use super::memory::{Memory, Said};
use super::past::{Counted, Past};
use super::program::{Limit, Measured, Number, Program, TermOf, Test};
use super::{
    AskedCondition, AskedPlace, Names, Permitted, Place, PointKind, PointName, PointNow, World, compile,
    lexer, parse,
};
use crate::reason::NODES_MAX;
use crate::{Operand, PointReads, ReasonKind, ReasonNode, Truth};

fn ast_of(text: &str) -> Ast {
    let (tokens, faults) = lexer::lex(text);
    parse::parse(text, tokens, faults).0
}

impl Program {
    /// Each part as it was at the last evaluation, which was at `now`, and how many more there are.
    pub(crate) fn reason(&self, memory: &Memory, world: &dyn World, now: Mono) -> (Vec<ReasonNode>, u32) {
        let look = Look { program: self, memory, world, now, strict: false };
        let strict = Look { strict: true, ..look };
        let mut walk = Walk { look, strict, nodes: Vec::new(), left_out: 0 };
        walk.part(&ast_of(&self.text), &self.root, 0);
        (walk.nodes, walk.left_out)
    }
}

struct Walk<'a> {
    look: Look<'a>,
    strict: Look<'a>,
    nodes: Vec<ReasonNode>,
    left_out: u32,
}

impl Walk<'_> {
    fn part(&mut self, ast: &Ast, test: &Test, depth: u8) {
        if self.nodes.len() < NODES_MAX {
            let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            self.nodes.push(ReasonNode {
                depth,
                kind: kind_of(ast, test),
                from: place(ast.span.start),
                to: place(ast.span.end),
                is: self.look.test(test),
                unknown: self.strict.test(test) == Truth::Unknown,
            });
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
        let below = depth.saturating_add(1);
        match (&ast.node, test) {
            (Node::Or(asts), Test::Any(tests)) | (Node::And(asts), Test::All(tests)) => {
                self.parts(asts, tests, below);
            }
            (Node::Not(ast), Test::Not(test)) => self.part(ast, test, below),
            (Node::Compare(first, rest), test) => {
                let sides: Vec<&Ast> =
                    std::iter::once(first.as_ref()).chain(rest.iter().map(|(.., side)| side)).collect();
                self.comparison(&sides, test, below);
            }
            (Node::Call(call), Test::AtLeast(_, tests)) => {
                self.parts(call.arguments.get(1..).unwrap_or_default(), tests, below);
            }
            (Node::Call(call), Test::Maybe(test)) => {
                call.arguments.first().into_iter().for_each(|ast| self.part(ast, test, below));
            }
            (Node::Call(call), Test::Past(place)) => self.over_time(call, *place, below),
            // A point, or what is told of people, cameras, permits and rules.
            _ => {}
        }
    }

    fn parts(&mut self, asts: &[Ast], tests: &[Test], depth: u8) {
        asts.iter().zip(tests).for_each(|(ast, test)| self.part(ast, test, depth));
    }

    fn comparison(&mut self, sides: &[&Ast], test: &Test, depth: u8) {
        let mut places = Vec::new();
        match test {
            Test::Same(left, right) => {
                sides.iter().zip([left, right]).for_each(|(ast, test)| self.part(ast, test, depth));
            }
            // `!=` of two bools.
            Test::Not(same) => self.comparison(sides, same, depth),
            Test::Limit(Limit { of, .. }) => places.extend(count_of(*of)),
            Test::Numbers(_, left, right) => {
                counts(left, &mut places);
                counts(right, &mut places);
            }
            // Ages and texts hold no conditions; the rest is no comparison.
            Test::Point(_)
            | Test::All(_)
            | Test::Any(_)
            | Test::AtLeast(..)
            | Test::Maybe(_)
            | Test::Past(_)
            | Test::Seen(_)
            | Test::Condition(_)
            | Test::Permit(_)
            | Test::Place(_)
            | Test::Active(_)
            | Test::FirstOut(_)
            | Test::Bad(_)
            | Test::Stale(_)
            | Test::Ages(..)
            | Test::Texts(..) => {}
        }
        let mut calls = Vec::new();
        if !places.is_empty() {
            sides.iter().for_each(|side| count_calls(side, &mut calls));
        }
        for (call, place) in calls.into_iter().zip(places) {
            self.over_time(call, place, depth);
        }
    }

    /// What stands in a condition over time, as it is now.
    fn over_time(&mut self, call: &Call, place: usize, depth: u8) {
        let Some(term) = self.look.program.pasts.get(place) else { return };
        let tests = std::iter::once(&term.condition).chain(&term.second);
        call.arguments.iter().zip(tests).for_each(|(ast, test)| self.part(ast, test, depth));
    }
}

fn kind_of(ast: &Ast, test: &Test) -> ReasonKind {
    match (&ast.node, test) {
        (Node::Or(_), _) => ReasonKind::Any,
        (Node::And(_), _) => ReasonKind::All,
        (Node::Not(_), _) => ReasonKind::Not,
        (Node::Compare(..), _) => ReasonKind::Compare,
        (_, Test::AtLeast(..)) => ReasonKind::AtLeast,
        (_, Test::Maybe(_)) => ReasonKind::Maybe,
        (_, Test::Past(_)) => ReasonKind::OverTime,
        _ => ReasonKind::Told,
    }
}

fn count_of(of: Measured) -> Option<usize> {
    match of {
        Measured::Count(place) => Some(place),
        Measured::Point(_) | Measured::Window(_) => None,
    }
}

/// The counts of a number, in the order of the text.
fn counts(number: &Number, found: &mut Vec<usize>) {
    match number {
        Number::Measured(of) => found.extend(count_of(*of)),
        Number::Negative(inner) => counts(inner, found),
        Number::Sum(parts) => parts.iter().for_each(|(_, part)| counts(part, found)),
        Number::Product(parts) => parts.iter().for_each(|(_, part)| counts(part, found)),
        Number::Constant(_) | Number::People(_) => {}
    }
}

fn count_calls<'a>(ast: &'a Ast, found: &mut Vec<&'a Call>) {
    match &ast.node {
        Node::Call(call) if call.name == "count" => found.push(call),
        Node::Negative(inner) => count_calls(inner, found),
        Node::Sum(parts) => parts.iter().for_each(|(_, part)| count_calls(part, found)),
        Node::Product(parts) => parts.iter().for_each(|(_, part)| count_calls(part, found)),
        Node::Or(_)
        | Node::And(_)
        | Node::Not(_)
        | Node::Compare(..)
        | Node::Tag(_)
        | Node::Number(_)
        | Node::Text(_)
        | Node::Duration(_)
        | Node::Call(_)
        | Node::Wrong => {}
    }
}

/// The tags and the texts that a condition names.
fn named(ast: &Ast, tags: &mut BTreeSet<String>, texts: &mut BTreeSet<String>) {
    let mut all = |parts: &[Ast]| parts.iter().for_each(|part| named(part, tags, texts));
    match &ast.node {
        Node::Or(parts) | Node::And(parts) => all(parts),
        Node::Not(inner) | Node::Negative(inner) => named(inner, tags, texts),
        Node::Compare(first, rest) => {
            named(first, tags, texts);
            rest.iter().for_each(|(.., part)| named(part, tags, texts));
        }
        Node::Sum(parts) => parts.iter().for_each(|(_, part)| named(part, tags, texts)),
        Node::Product(parts) => parts.iter().for_each(|(_, part)| named(part, tags, texts)),
        Node::Tag(tag) => drop(tags.insert(tag.clone())),
        Node::Text(text) => drop(texts.insert(text.clone())),
        Node::Call(call) => {
            all(&call.arguments);
            call.named.iter().for_each(|(.., part)| named(part, tags, texts));
        }
        Node::Number(_) | Node::Duration(_) | Node::Wrong => {}
    }
}

/// The points that a condition names, within windows too.
pub(crate) fn tags_of(condition: &str) -> BTreeSet<String> {
    let mut tags = BTreeSet::new();
    named(&ast_of(condition), &mut tags, &mut BTreeSet::new());
    tags
}

/// Judges a recorded condition by its recorded operands: its parts, and how many more there are. Otherwise what is
/// wrong with the record.
pub(crate) fn as_recorded(
    condition: &str,
    reads: &BTreeMap<String, PointReads>,
    operands: &[Operand],
) -> Result<(Vec<ReasonNode>, u32), String> {
    let mut texts = BTreeSet::new();
    named(&ast_of(condition), &mut BTreeSet::new(), &mut texts);
    let names = RecordedNames { reads, texts: texts.into_iter().collect() };
    let (program, _) = compile(condition, &names).map_err(|faults| {
        faults.first().map_or_else(|| "it does not compile".to_owned(), |fault| fault.message.clone())
    })?;
    let wanted: Vec<&str> = program.terms.iter().map(|term| term.text.as_str()).collect();
    let given: Vec<&str> = operands.iter().map(|operand| operand.text.as_str()).collect();
    if wanted != given {
        return Err(format!("its operands are {given:?}, and the condition reads {wanted:?}"));
    }
    let mut world = RecordedWorld::default();
    let mut memory = program.memory();
    for (term, operand) in program.terms.iter().zip(operands) {
        recall(&program, term.of, operand, &mut memory, &mut world);
    }
    Ok(program.reason(&memory, &world, NOW))
}

/// The moment of a replay. Ages are recorded and count back from it: 292 years.
const NOW: Mono = Mono(u64::MAX / 2);

/// Makes what an operand says part of the present and of the memory.
fn recall<'a>(
    program: &Program,
    of: TermOf,
    operand: &'a Operand,
    memory: &mut Memory,
    world: &mut RecordedWorld<'a>,
) {
    fn put<T>(list: &mut [T], place: usize, what: T) {
        if let Some(slot) = list.get_mut(place) {
            *slot = what;
        }
    }
    let truth = match &operand.value {
        Some(Value::Bool(on)) => Truth::from(*on),
        Some(Value::Int(_) | Value::Float(_) | Value::Text(_)) | None => Truth::Unknown,
    };
    let whole = match &operand.value {
        Some(Value::Int(n)) => u32::try_from(*n).ok(),
        Some(Value::Bool(_) | Value::Float(_) | Value::Text(_)) | None => None,
    };
    match of {
        TermOf::Point(id) => drop(world.points.insert(id, operand)),
        TermOf::Window(place) => {
            let value = operand.value.as_ref().and_then(Value::number);
            if let Some(watched) = memory.windows.get_mut(place) {
                watched.said = Said { value, quality: operand.quality, bound: operand.bound };
            }
        }
        TermOf::People(place) => put(&mut memory.told_mut().peoples, place, whole),
        TermOf::Seen(place) => put(&mut memory.told_mut().seens, place, truth),
        TermOf::Permit(place) => put(&mut memory.told_mut().permits, place, truth),
        TermOf::Place(place) => put(&mut memory.told_mut().places, place, truth),
        TermOf::Past(place) => {
            let counted = whole.map(|n| Counted { complete: operand.quality.is_good(), n });
            put(&mut memory.pasts, place, Past::Recorded(truth, counted));
        }
        TermOf::FirstOut(place) => put(&mut memory.told_mut().first_outs, place, FirstOut::recorded(truth)),
        TermOf::Condition(place) => {
            let asked = program.conditions.get(place).map(|term| term.asked.clone());
            world.conditions.extend(asked.map(|asked| (asked, truth)));
        }
        TermOf::Active(place) => {
            let rule = program.actives.get(place).map(|term| term.place);
            world.actives.extend(rule.map(|rule| (rule, truth)));
        }
    }
}

/// Whatever a recorded condition names was there.
struct RecordedNames<'a> {
    reads: &'a BTreeMap<String, PointReads>,
    /// Every text of the condition: its place is the number of what it names.
    texts: Vec<String>,
}

impl RecordedNames<'_> {
    fn number(&self, id: &str) -> Option<u32> {
        u32::try_from(self.texts.iter().position(|text| text == id)?).ok()
    }
}

impl Names for RecordedNames<'_> {
    fn point(&self, tag: &str) -> Option<PointName> {
        let (at, (_, reads)) = (0_u32..).zip(self.reads).find(|(_, (known, _))| *known == tag)?;
        let kind = match reads {
            PointReads::Number => PointKind::Number,
            PointReads::Bool => PointKind::Bool,
            PointReads::Text => PointKind::Text,
        };
        Some(PointName { id: PointId(at), eu: Arc::from(""), kind, deadband: 0.0 })
    }

    fn place(&self, id: &str) -> Option<Place> {
        Some(Place { zones: self.number(id).into_iter().collect() })
    }

    fn everywhere(&self) -> Place {
        Place { zones: Arc::from([u32::MAX]) }
    }

    fn unit_cameras(&self, unit: &str) -> Option<Arc<[u32]>> {
        Some(self.number(unit).into_iter().collect())
    }

    fn unit(&self, id: &str) -> Option<u32> {
        self.number(id)
    }

    fn unit_of_zone(&self, _: &str) -> Option<&str> {
        None
    }

    fn source(&self, id: &str) -> Option<(SourceId, bool)> {
        Some((SourceId(u16::try_from(self.number(id)?).ok()?), true))
    }

    fn rule(&self, id: &str) -> Option<u32> {
        self.number(id)
    }

    fn condition_sources(&self) -> Vec<&str> {
        Vec::new()
    }

    fn tags(&self) -> Vec<&str> {
        self.reads.keys().map(String::as_str).collect()
    }

    fn places(&self) -> Vec<&str> {
        Vec::new()
    }

    fn units(&self) -> Vec<&str> {
        Vec::new()
    }

    fn rules(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// The present as it was recorded. What a memory keeps is asked of it nowhere.
#[derive(Default)]
struct RecordedWorld<'a> {
    points: BTreeMap<PointId, &'a Operand>,
    conditions: Vec<(AskedCondition, Truth)>,
    actives: BTreeMap<u32, Truth>,
}

impl World for RecordedWorld<'_> {
    fn point(&self, id: PointId) -> PointNow<'_> {
        let Some(operand) = self.points.get(&id) else {
            let quality = Quality::Bad(BadReason::NeverRead);
            return PointNow { value: None, beyond: None, quality, received: None, source_time: None };
        };
        let received = operand.age_ns.map(|age| Now {
            mono: NOW.before(Duration::from_nanos(age)),
            wall: operand.at.unwrap_or(Wall(0)),
        });
        PointNow {
            value: operand.value.as_ref(),
            beyond: operand.bound.and_then(crate::Bound::side),
            quality: operand.quality,
            received,
            source_time: operand.source_time,
        }
    }

    fn people(&self, _: &[u32], _: Option<&str>) -> Option<u32> {
        None
    }

    fn present(&self, _: &[u32], _: Option<&str>, _: Mono) -> (Option<u32>, Option<Mono>) {
        (None, None)
    }

    fn place(&self, _: &[u32], _: AskedPlace, _: Mono) -> (Truth, Option<Mono>) {
        (Truth::Unknown, None)
    }

    fn active(&self, rule: u32) -> Truth {
        self.actives.get(&rule).copied().unwrap_or(Truth::Unknown)
    }

    fn seen(&self, _: &[u32], _: &str, _: (u32, f64), _: Duration, _: Mono) -> (Truth, Option<Mono>) {
        (Truth::Unknown, None)
    }

    fn condition(&self, asked: &AskedCondition) -> (Truth, Option<&Condition>) {
        let found = self.conditions.iter().find(|(of, _)| of == asked);
        (found.map_or(Truth::Unknown, |(_, truth)| *truth), None)
    }

    fn permit(&self, _: u32, _: PermitKind, _: Mono) -> Permitted<'_> {
        Permitted { truth: Truth::Unknown, until: None, ticket: None }
    }
}
