//! Built-in kinds of rules: what a plant expects out of the box, each with a few keys of its own.
//!
//! A kind is sugar. [`expand`] turns a rule that names one into the same rule with its `when` written out in
//! the language, before the plant is built; nothing after it knows of kinds. Delays, priorities and names that
//! the rule leaves out are those of its [`Kind`]: the sources of the numbers are told there, and what no
//! standard says is a key.

mod table;
#[cfg(test)]
mod tests;
mod write;

use std::time::Duration;

pub use table::KINDS;

use crate::expr::nearest;
use crate::{Draft, Fault, Item, PointDraft, Priority, Severity};

/// One kind as a writer of rules needs to know it.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    pub zh: &'static str,
    pub en: &'static str,
    pub keys: &'static [Key],
    pub priority: Priority,
    /// The delays where a rule says none.
    pub on_delay: Duration,
    pub off_delay: Duration,
    /// Its own keys, as they stand in a rule.
    pub example: &'static str,
    write: fn(&mut write::Writer<'_>) -> Option<String>,
}

/// A key of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    pub form: Form,
    /// What holds where it is left out; empty: it is needed, or it changes nothing.
    pub default: &'static str,
    pub en: &'static str,
}

/// What is written behind a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Texts,
    Number,
    Duration,
}

/// A kind and its keys, as a rule gives them.
#[derive(Debug, Clone)]
pub struct KindDraft {
    pub kind: &'static Kind,
    pub given: Vec<(&'static str, Given)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    Text(String),
    Texts(Vec<String>),
    Number(f64),
    Duration(Duration),
}

/// Writes the conditions of all rules that name a kind. What a kind cannot make sense of is told at its key,
/// and the condition stays empty.
pub(crate) fn expand(draft: &mut Draft, faults: &mut Vec<Fault>) {
    for at in 0..draft.rules.len() {
        let Some(rule) = draft.rules.get(at) else { continue };
        let Some(of) = &rule.kind else { continue };
        let unit = draft.measures.iter().find(|measure| measure.id == rule.measure);
        let unit = unit.map(|measure| measure.unit.as_str());
        let (item, for_) = (Item::Rule(at), rule.for_);
        let mut writer = write::Writer { draft, unit, of, item, for_, faults: Vec::new(), clear: None };
        let written = (of.kind.write)(&mut writer);
        let (found, clear) = (writer.faults, writer.clear);
        if let Some(rule) = draft.rules.get_mut(at) {
            rule.when = written.unwrap_or_default();
            rule.clear = rule.clear.take().or(clear);
        }
        faults.extend(found);
    }
}

/// The kind of this name, or the name that was probably meant.
pub fn kind(name: &str) -> Result<&'static Kind, Option<&'static str>> {
    let found = KINDS.iter().find(|kind| kind.name == name);
    found.ok_or_else(|| nearest(name, KINDS.iter().map(|kind| kind.name)))
}
