//! Why a verdict fell: the tree of its condition, each part with its own truth, and the proof of it by replay.
//!
//! A [`Reason`] stands in the evidence beside the operands. Together they are enough to judge once more:
//! [`replay`] compiles the recorded condition, feeds it the recorded operands, and compares part by part. A
//! window, `held` or `count` is an operand with what it said then, so that what it had seen is not needed to
//! judge again; the samples behind it are in the history, for readers.
//!
//! Bounded: at most [`NODES_MAX`] parts of a condition, 24 bytes each in memory and about 70 as JSON. It is made
//! when an episode begins and costs a sample nothing.

use std::collections::BTreeMap;

use riskgate_point::{Value, Wall};
use serde::{Deserialize, Serialize};

use crate::expr::{Beyond, as_recorded, tags_of};
use crate::plant::{Plant, version};
use crate::{Evidence, Operand, PointDraft, Truth};

/// Parts of a condition that are told. What a person reads has a dozen; more than this fills a screen many times.
pub(crate) const NODES_MAX: usize = 256;

/// How a verdict came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The hash of the configuration that the plant was built from. Empty: it was built from none.
    pub plant: String,
    /// What each point of the condition reads: a text means something else of a number than of a word.
    pub reads: BTreeMap<String, PointReads>,
    /// The parts of the condition, each before its own parts.
    pub tree: Vec<ReasonNode>,
    /// Parts beyond the most that are told.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u32,
    /// Of everything above and of the evidence around it: a record that was changed by hand shows. A checksum,
    /// no signature.
    pub digest: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointReads {
    Number,
    Bool,
    Text,
}

/// One part of a condition that is true, false or unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonNode {
    pub depth: u8,
    pub kind: ReasonKind,
    /// Bytes of the condition.
    pub from: u32,
    pub to: u32,
    pub is: Truth,
    /// Something unknown below decided: it is unknown, or only `maybe` made it what it is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unknown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    Any,
    All,
    Not,
    AtLeast,
    Maybe,
    /// `held`, `recently`, `then`: its parts are as they were at this moment, itself is over time.
    OverTime,
    Compare,
    /// A point that is on or off, a person, a sighting, a permit: told as it is.
    Told,
}

/// What is known where a value is not all that there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// It is the value or more: the last of a point that turned bad beyond its limit, the greatest that was seen.
    AtLeast,
    AtMost,
    /// It may be on either side, and decides nothing.
    Neither,
}

/// What a replay found to be different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// This part comes out otherwise: the innermost of the first that does.
    Part { text: String, recorded: Truth, replayed: Truth },
    /// The verdict is not that of the whole condition.
    Verdict { recorded: Truth, replayed: Truth },
    /// Each part comes out as recorded, and the record is not as it was written.
    Altered,
}

/// Why evidence cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Irreplayable {
    /// An older agent wrote it: it holds no tree.
    NoTree,
    /// It rests on no condition: a source was lost.
    NoCondition,
    /// The condition does not compile, or the operands are not its own: what is wrong.
    Broken(String),
}

impl ReasonNode {
    /// As it is written in the condition.
    pub fn text<'a>(&self, condition: &'a str) -> &'a str {
        let place = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
        condition.get(place(self.from)..place(self.to)).unwrap_or_default()
    }
}

impl Bound {
    pub(crate) fn of(beyond: Beyond) -> Self {
        match beyond {
            Beyond::High => Self::AtLeast,
            Beyond::Low => Self::AtMost,
        }
    }

    pub(crate) fn side(self) -> Option<Beyond> {
        match self {
            Self::AtLeast => Some(Beyond::High),
            Self::AtMost => Some(Beyond::Low),
            Self::Neither => None,
        }
    }
}

impl PointReads {
    fn of(point: &PointDraft) -> Self {
        if point.boolean {
            Self::Bool
        } else if !point.words.is_empty() || point.text {
            Self::Text
        } else {
            Self::Number
        }
    }
}

/// Puts the tree of a program as it was judged into the evidence. `None`: of a limit or a bad point, whose condition
/// is judged from its operands, by the same evaluation.
pub(crate) fn explain(evidence: Evidence, tree: Option<(Vec<ReasonNode>, u32)>, plant: &Plant) -> Evidence {
    let kind = |tag: String| {
        let point = plant.point_id(&tag).and_then(|id| plant.point(id))?;
        // A limit is one of a number, whatever else the point reads.
        let reads = if tree.is_some() { PointReads::of(point) } else { PointReads::Number };
        Some((tag, reads))
    };
    let reads = tags_of(&evidence.condition).into_iter().filter_map(kind).collect();
    match tree.or_else(|| as_recorded(&evidence.condition, &reads, &evidence.operands).ok()) {
        Some(tree) => sealed(evidence, reads, tree, plant.version()),
        None => evidence,
    }
}

/// The verdict is that of the tree's root.
pub(crate) fn sealed(
    evidence: Evidence,
    reads: BTreeMap<String, PointReads>,
    (tree, left_out): (Vec<ReasonNode>, u32),
    plant: &str,
) -> Evidence {
    let verdict = tree.first().map_or(evidence.verdict, |root| root.is);
    let evidence = Evidence { verdict, ..evidence };
    let mut reason = Reason { plant: plant.to_owned(), reads, tree, left_out, digest: String::new() };
    reason.digest = digest(&evidence, &reason);
    Evidence { reason: Some(reason), ..evidence }
}

/// Judges once more from the evidence alone. `Ok(None)`: the same verdict, part by part.
///
/// # Errors
/// There is nothing to judge, or it is not evidence of its own condition.
pub fn replay(evidence: &Evidence) -> Result<Option<Difference>, Irreplayable> {
    let Some(reason) = &evidence.reason else {
        return Err(if tells_of_a_source(evidence) {
            Irreplayable::NoCondition
        } else {
            Irreplayable::NoTree
        });
    };
    let judged = as_recorded(&evidence.condition, &reason.reads, &evidence.operands);
    let (tree, left_out) = judged.map_err(Irreplayable::Broken)?;
    let same_shape = |(a, b): (&ReasonNode, &ReasonNode)| {
        (a.depth, a.kind, a.from, a.to) == (b.depth, b.kind, b.from, b.to)
    };
    let shaped = tree.len() == reason.tree.len() && left_out == reason.left_out;
    if !shaped || !reason.tree.iter().zip(&tree).all(same_shape) {
        return Err(Irreplayable::Broken("the tree is not that of the condition".to_owned()));
    }
    if let Some((recorded, replayed)) = innermost(&reason.tree, &tree) {
        let text = recorded.text(&evidence.condition).to_owned();
        return Ok(Some(Difference::Part { text, recorded: recorded.is, replayed: replayed.is }));
    }
    let verdict = tree.first().map_or(Truth::Unknown, |root| root.is);
    Ok(if verdict != evidence.verdict {
        Some(Difference::Verdict { recorded: evidence.verdict, replayed: verdict })
    } else if digest(evidence, reason) != reason.digest {
        Some(Difference::Altered)
    } else {
        None
    })
}

/// A lost source is told by its link, and its condition says so in words.
fn tells_of_a_source(evidence: &Evidence) -> bool {
    evidence.rule.starts_with("fault:source:")
}

/// Of the first part that differs, the last of those within it that differ too: it is why.
fn innermost<'a>(
    recorded: &'a [ReasonNode],
    replayed: &'a [ReasonNode],
) -> Option<(&'a ReasonNode, &'a ReasonNode)> {
    let mut differing = recorded.iter().zip(replayed).enumerate().filter(|(_, (a, b))| a != b);
    let (mut place, mut found) = differing.next()?;
    for (next, pair) in differing {
        let between = recorded.get(place + 1..=next).unwrap_or_default();
        // It stands below the one before as long as nothing between is as shallow.
        if between.iter().all(|node| node.depth > found.0.depth) {
            (place, found) = (next, pair);
        }
    }
    Some(found)
}

fn digest(evidence: &Evidence, reason: &Reason) -> String {
    let Evidence { rule, version: of_rule, condition, verdict, at, operands, reason: _ } = evidence;
    let Reason { plant, reads, tree, left_out, digest: _ } = reason;
    let mut parts =
        vec![rule.clone(), of_rule.clone(), condition.clone(), word(*verdict).to_owned(), at.0.to_string()];
    parts.extend([plant.clone(), left_out.to_string()]);
    parts.extend(operands.iter().map(line_of));
    let read = |reads: PointReads| match reads {
        PointReads::Number => "n",
        PointReads::Bool => "b",
        PointReads::Text => "t",
    };
    parts.extend(reads.iter().map(|(tag, reads)| format!("{} {tag}", read(*reads))));
    parts.extend(
        tree.iter().map(|node| {
            format!("{} {} {} {} {}", node.depth, node.from, node.to, word(node.is), node.unknown)
        }),
    );
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    version(&parts)
}

/// What is not there is not in it: a field that a later version adds changes no older digest.
fn line_of(operand: &Operand) -> String {
    let Operand { text, value, quality, at, source_time, detail, until, bound, age_ns } = operand;
    let letter = value.as_ref().map(|value| match value {
        Value::Bool(on) => format!("b{on}"),
        Value::Int(int) => format!("i{int}"),
        Value::Float(float) => format!("f{}", float.get()),
        Value::Text(text) => format!("t{text}"),
    });
    let wall = |at: &Option<Wall>| at.map(|at| at.0.to_string());
    let bound = bound.map(|bound| match bound {
        Bound::AtLeast => "at_least".to_owned(),
        Bound::AtMost => "at_most".to_owned(),
        Bound::Neither => "neither".to_owned(),
    });
    let rest = [
        ("value", letter),
        ("at", wall(at)),
        ("source", wall(source_time)),
        ("detail", detail.clone()),
        ("until", wall(until)),
        ("bound", bound),
        ("age", age_ns.map(|age| age.to_string())),
    ];
    let rest = rest.into_iter().filter_map(|(name, part)| Some(format!("\u{1e}{name}={}", part?)));
    format!("{text}\u{1e}{quality}{}", rest.collect::<String>())
}

fn word(truth: Truth) -> &'static str {
    match truth {
        Truth::False => "false",
        Truth::Unknown => "unknown",
        Truth::True => "true",
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
