//! The rule language: text to typed program, and its three-valued evaluation.
//!
//! [`compile`] reads a text against the [`Names`] of a plant and gives a [`Program`] or every fault at
//! once, each at its bytes and with a hint. A [`Program`] is immutable; what it has to remember (windows,
//! conditions over time) is its [`Memory`], and the present comes from a [`World`]. Nothing here reads a
//! clock: the time is the argument of [`Program::eval`].
//!
//! It does not know rules, alarms or delays, and it never turns unknown into false: that a point cannot
//! be read is told as [`crate::Truth::Unknown`].
//!
//! # Grammar
//!
//! Loosest first; space and line breaks separate. `riskgate language` prints it.
//!
//! ```text
#![doc = include_str!("grammar.ebnf")]
//! ```
//!
//! # Types
//!
//! - bool: a bool point, a comparison, what `and or not` join. `==` and `!=` compare two of them.
//! - number: a 64-bit float. `==` and `!=` are refused between measured numbers; counts (`people`) have
//!   them. Division by zero and overflow are unknown. Different eu in a sum or a comparison: a warning.
//! - text: a point that reads words; `==` and `!=` only, and an enumeration only with its own words.
//! - duration: a literal, or `age({TAG})`; compared with each other, `==` and `!=` refused.
//!
//! The value of a bad point is unknown, and so is every comparison with it; an uncertain one is compared.
//! Of one that counts as still beyond its limit the last value is a bound: it decides a comparison of the
//! point, or of its `avg min max`, with a constant where a value further out decides it as well.
//!
//! # Functions
//!
//! | usage | meaning |
//! |---|---|
//! | `at_least(k, condition, …)` | true if k of the conditions are |
//! | `maybe(condition)` | unknown counts as true |
//! | `held(condition, duration)` | true for the whole of the duration |
//! | `recently(condition, duration)` | true if it was ever true within the duration |
//! | `count(condition, duration)` | how often it became true within the duration; the first value is no edge |
//! | `then(first, second, duration)` | the second became true within the duration after the first did; true for as long again |
//! | `first_out({TAG}, {TAG}, …)` | one of them is on; the evidence says which came first |
//! | `active('rule')` | the rule of this id, or the limit `TAG/HH`, is active |
//! | `avg({TAG}, duration)` | mean over the window, weighted by time |
//! | `min({TAG}, duration)` | least value in the window |
//! | `max({TAG}, duration)` | greatest value in the window |
//! | `delta({TAG}, duration)` | last value less the one in force at the window's start |
//! | `rate({TAG}, duration)` | delta per minute |
//! | `stddev({TAG}, duration)` | standard deviation over the window, weighted by time |
//! | `bad({TAG})` | the point's quality is bad; never unknown |
//! | `stale({TAG})` | the point is bad because it was not refreshed; never unknown |
//! | `age({TAG})` | time since the value was received, compared with a duration; never unknown |
//! | `people('zone or unit' [, 'role'])` | persons in a zone or a unit, lost tags among them |
//! | `present('zone or unit' [, 'role'])` | persons there with a fix in the last 30 s |
//! | `lone('zone or unit')` | exactly one person is present; unknown where all are lost |
//! | `still('zone or unit', duration)` | a person there has not moved by 3 m for so long; unknown without coordinates |
//! | `sos(['zone or unit'])` | a person there, or anywhere where none is named, has pressed the emergency button |
//! | `guarded('unit', 'kind')` | the guardian of each ticket in work of the kind is present where its work is |
//! | `seen('unit', 'kind' [, confidence = 0.6] [, window = 30s] [, times = 1])` | cameras of the unit saw it within the window, so many times |
//! | `condition('source', 'name' [, state = 'active'] [, severity = 1])` | an alarm that the source itself keeps is in the state, with at least the severity |
//! | `permit('unit', 'kind')` | work of the kind is permitted and going on in the unit |
//!
//! A window begins with the value in force at its start; it is unknown until it is covered, and with more
//! than 10 % unknown time, except that a `min` or `max` that already decides its comparison with a
//! constant decides it. `avg` and `stddev` move in hundredths of the window. `held` is unknown if never
//! false but sometimes unknown, or not yet covered; `recently` if never true but ever unknown, or not yet
//! covered. `count` looks through unknown: what was false before and is true after rose. Where it was not yet
//! watched for the whole duration, or unknown for more than a tenth of it, what it counted is the least that
//! there was: that decides `>=` and `>`, and the rest is unknown. `then` holds from the rise of the second on,
//! for the duration; two rises of one instant count; where a pair may have been unseen it is unknown.
//! See the modules `window` and `past` for errors and memory.
//!
//! After a start windows are filled back from the history of their points (`engine/refill.rs`), the outage being
//! unknown, and are judged from the first new reading on. What is no point is in no history: of it they begin anew.
//!
//! People are unknown while a feed of fixes is down. A lost tag, silent for 30 s, counts in `people` and `sos`
//! and not in `present`; it makes nobody alone and nobody motionless, and it ends neither: then they are
//! unknown. `active` is unknown of a rule that is not active while its own condition is unknown; rules that
//! read rules are judged after them, in the same step.
//!
//! The name of a condition is its ConditionName, or `SourceName/ConditionName` where that alone does not say
//! which; its states are `active`, `unacknowledged` and `suppressed`. That the source suppresses a condition
//! hides it from its operators and changes nothing here. A permit counts from its start to its end, while it
//! is in work.

mod ast;
mod code;
mod eval;
mod functions;
mod grammar;
mod lexer;
mod lost;
mod marks;
mod means;
mod memory;
mod nearest;
mod parse;
mod past;
mod people;
mod possible;
mod program;
mod reason;
#[cfg(test)]
mod tests;
mod told;
mod types;
mod window;

pub(crate) use code::{Step, run};
pub(crate) use functions::sighting_zh;
pub use functions::{FUNCTIONS, Function};
pub use grammar::GRAMMAR;
pub(crate) use lost::Lost;
pub(crate) use marks::Marks;
pub(crate) use memory::Memory;
pub(crate) use nearest::nearest;
pub(crate) use past::PastKind;
pub(crate) use program::{About, Program};
pub(crate) use reason::{as_recorded, tags_of};
pub(crate) use told::{ConditionState, permit_words};
pub(crate) use window::WindowKind;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Condition, Mono, Now, Permit, PermitKind, PointId, Quality, SourceId, Value, Wall};

use crate::{Severity, Truth};

/// What a text may name. Implemented over a draft, so that names are looked up before there is a plant.
pub(crate) trait Names {
    fn point(&self, tag: &str) -> Option<PointName>;
    /// A zone or a unit by its id; a unit stands for all its zones.
    fn place(&self, id: &str) -> Option<Place>;
    /// All zones, and what is in none of them.
    fn everywhere(&self) -> Place;
    /// The cameras of a unit, as places in the plant's camera list; `None`: there is no such unit.
    fn unit_cameras(&self, unit: &str) -> Option<Arc<[u32]>>;
    /// A unit's place in the plant's unit list.
    fn unit(&self, id: &str) -> Option<u32>;
    /// The unit of a zone: a hint for who names the zone where a unit belongs.
    fn unit_of_zone(&self, zone: &str) -> Option<&str>;
    /// A source, and whether it tells of conditions.
    fn source(&self, id: &str) -> Option<(SourceId, bool)>;
    /// A rule's place in the plant's rule list, also of a limit of the point table: `LI-101/HH`.
    fn rule(&self, id: &str) -> Option<u32>;
    /// The sources that tell of conditions.
    fn condition_sources(&self) -> Vec<&str>;
    /// All tags, zones and units, from which the nearest to a wrong name is found.
    fn tags(&self) -> Vec<&str>;
    fn places(&self) -> Vec<&str>;
    fn units(&self) -> Vec<&str>;
    fn rules(&self) -> Vec<&str>;
}

/// A point as an expression sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PointName {
    pub(crate) id: PointId,
    /// 工程单位. Empty: none.
    pub(crate) eu: Arc<str>,
    pub(crate) kind: PointKind,
    /// In eu, not negative: how far [`Program::default_clear`] moves a threshold of this point.
    pub(crate) deadband: f64,
}

/// What a point reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PointKind {
    Number,
    Bool,
    /// An enumeration: one of these words.
    Words(Arc<[String]>),
    Text,
}

/// Zones, as places in the plant's zone list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) zones: Arc<[u32]>,
}

/// The present. Implemented by the engine.
pub(crate) trait World {
    fn point(&self, id: PointId) -> PointNow<'_>;
    /// How many persons are in these zones, each counted once; `None`: unknown, the feed is down.
    fn people(&self, zones: &[u32], role: Option<&str>) -> Option<u32>;
    /// The same of those with a fresh fix, and when that may change by silence.
    fn present(&self, zones: &[u32], role: Option<&str>, now: Mono) -> (Option<u32>, Option<Mono>);
    /// What is asked of the people in these zones, and when it may be different without another fix.
    fn place(&self, zones: &[u32], asked: AskedPlace, now: Mono) -> (Truth, Option<Mono>);
    /// Whether the rule is active. Unknown where it is not and nobody knows whether it should be.
    fn active(&self, rule: u32) -> Truth;
    /// Whether these cameras saw `kind` so many times with at least the confidence within `window` before
    /// `now`, and, where they did, until when that stays true without another sighting.
    fn seen(
        &self,
        cameras: &[u32],
        kind: &str,
        times_and_confidence: (u32, f64),
        window: Duration,
        now: Mono,
    ) -> (Truth, Option<Mono>);
    /// Whether a condition as asked for is there, and the gravest that is.
    fn condition(&self, asked: &AskedCondition) -> (Truth, Option<&Condition>);
    /// Whether work of the kind is permitted and going on in the unit.
    fn permit(&self, unit: u32, kind: PermitKind, now: Mono) -> Permitted<'_>;
}

/// What a text asks of the conditions that a source keeps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AskedCondition {
    pub(crate) source: SourceId,
    /// ConditionName, or SourceName/ConditionName.
    pub(crate) name: String,
    pub(crate) state: ConditionState,
    /// At least.
    pub(crate) severity: u16,
}

/// What a text asks of the people in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskedPlace {
    /// Exactly one is present.
    Lone,
    /// One has not moved for so long.
    Still(Duration),
    /// One has pressed the emergency button.
    Sos,
    /// The guardian of each ticket in work of the kind in the unit is present where the ticket says.
    Guarded { unit: u32, kind: PermitKind },
}

/// What is known of permitted work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Permitted<'a> {
    pub(crate) truth: Truth,
    /// When it may be different without another word from anyone: a ticket begins or ends.
    pub(crate) until: Option<Mono>,
    /// Of those in work, the ticket that lasts longest.
    pub(crate) ticket: Option<&'a Permit>,
}

/// A point at this moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PointNow<'a> {
    /// `None` where the quality is bad, unless the last value counts all the same.
    pub(crate) value: Option<&'a Value>,
    /// Where the quality is bad and the last value counts: on which side of it the true one may be.
    pub(crate) beyond: Option<Beyond>,
    pub(crate) quality: Quality,
    /// When the value was received; `None`: never.
    pub(crate) received: Option<Now>,
    pub(crate) source_time: Option<Wall>,
}

/// A bad point whose last value was beyond a limit is judged as still beyond it. How far is not known: the
/// value is a bound, and decides only those comparisons that a value further out decides as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// As high as the value, or higher.
    High,
    /// As low as the value, or lower.
    Low,
}

/// What a program reads: a change of anything else cannot change its verdict. Sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reads {
    pub(crate) points: Vec<PointId>,
    /// Of these, those of which it reads the age and nothing else.
    pub(crate) aged: Vec<PointId>,
    /// Places in the plant's zone list.
    pub(crate) zones: Vec<u32>,
    /// Places in the plant's camera list.
    pub(crate) cameras: Vec<u32>,
    /// Whose conditions it reads.
    pub(crate) conditions: Vec<SourceId>,
    /// Places in the plant's unit list, of the units whose permits it reads.
    pub(crate) permits: Vec<u32>,
    /// Places in the plant's rule list.
    pub(crate) rules: Vec<u32>,
}

impl Reads {
    pub(crate) fn count(&self) -> usize {
        let Self { points, aged: _, zones, cameras, conditions, permits, rules } = self;
        points.len() + zones.len() + cameras.len() + conditions.len() + permits.len() + rules.len()
    }
}

/// One thing wrong with a text, at its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExprFault {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) hint: Option<String>,
    pub(crate) severity: Severity,
}

impl ExprFault {
    fn error(span: Range<usize>, message: impl Into<String>, hint: Option<String>) -> Self {
        Self { span, message: message.into(), hint, severity: Severity::Error }
    }
}

/// Bytes of a text: two pages of print. It bounds the work of one compilation.
const TEXT_MAX: usize = 16_384;
/// Faults told at once; more than a screen holds helps nobody.
const FAULTS_MAX: usize = 50;

/// The program of a condition, with its warnings; or every fault, warnings among them, in the order of
/// the text. The text must be of type bool.
pub(crate) fn compile(text: &str, names: &dyn Names) -> Result<(Program, Vec<ExprFault>), Vec<ExprFault>> {
    if text.len() > TEXT_MAX {
        let message = format!("the condition is {} bytes long; at most {TEXT_MAX} are read", text.len());
        return Err(vec![ExprFault::error(
            0..text.len(),
            message,
            Some("split it into more than one rule".into()),
        )]);
    }
    if text.trim().is_empty() {
        let hint = Some("write a condition: {TAG} >= 25".into());
        return Err(vec![ExprFault::error(0..text.len(), "the condition is empty", hint)]);
    }
    let (tokens, faults) = lexer::lex(text);
    let (tree, mut faults) = parse::parse(text, tokens, faults);
    let (program, found) = types::check(text, &tree, names);
    faults.extend(found);
    let sound = faults.iter().all(|fault| fault.severity == Severity::Warning);
    if faults.len() > FAULTS_MAX {
        faults.sort_by_key(|fault| (fault.severity == Severity::Warning, fault.span.start));
        faults.truncate(FAULTS_MAX);
    }
    faults.sort_by_key(|fault| (fault.span.start, fault.span.end));
    match program {
        Some(program) if sound => Ok((program, faults)),
        Some(_) | None => Err(faults),
    }
}
