//! Tags as numbers, so that a reading carries four bytes of its name; and how a tag's values are to be read.

use std::collections::HashMap;

use riskgate_engine::Plant;
use riskgate_point::{BadReason, Quality, Value, Wall};

/// One recorded reading, of a tag by its number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) at: Wall,
    pub(super) tag: u32,
    pub(super) value: Option<Value>,
    pub(super) quality: Quality,
    /// It only says that its file tells no more of the tag.
    pub(super) closing: bool,
}

/// What a tag reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    Number,
    Boolean,
    Text,
    /// No plant has it: nothing will judge it.
    Nothing,
}

/// Every tag that the files name, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Tags {
    names: Vec<(String, Reads)>,
    numbers: HashMap<String, u32>,
    known: HashMap<String, Reads>,
}

impl Tags {
    /// How values are read is said by the first of the plants that has the point.
    pub(super) fn of<'a>(plants: impl IntoIterator<Item = &'a Plant>) -> Self {
        let mut known = HashMap::new();
        for point in plants.into_iter().flat_map(Plant::points) {
            let reads = if point.boolean {
                Reads::Boolean
            } else if point.text || !point.words.is_empty() {
                Reads::Text
            } else {
                Reads::Number
            };
            known.entry(point.tag.clone()).or_insert(reads);
        }
        Self { known, ..Self::default() }
    }

    pub(super) fn number(&mut self, tag: &str) -> u32 {
        if let Some(number) = self.numbers.get(tag) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let reads = self.known.get(tag).copied().unwrap_or(Reads::Nothing);
        self.names.push((tag.to_owned(), reads));
        self.numbers.insert(tag.to_owned(), number);
        number
    }

    pub(super) fn name(&self, number: u32) -> &str {
        self.at(number).map_or("", |(name, _)| name.as_str())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn has(&self, tag: &str) -> bool {
        self.numbers.contains_key(tag)
    }

    /// The text as a value of this tag. `Err`: what it would have to be.
    pub(super) fn value(&self, number: u32, text: &str) -> Result<Value, &'static str> {
        match self.at(number).map_or(Reads::Nothing, |(_, reads)| *reads) {
            Reads::Number => match text {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => text.parse().ok().and_then(Value::float).ok_or("a finite number"),
            },
            Reads::Boolean => match text {
                "true" | "1" => Ok(Value::Bool(true)),
                "false" | "0" => Ok(Value::Bool(false)),
                _ => Err("true or false"),
            },
            Reads::Text => Ok(Value::text(text)),
            Reads::Nothing => Ok(Value::Bool(false)),
        }
    }

    fn at(&self, number: u32) -> Option<&(String, Reads)> {
        self.names.get(usize::try_from(number).ok()?)
    }
}

impl Told {
    /// From here on nothing is known of the tag.
    pub(super) fn silent(at: Wall, tag: u32, closing: bool) -> Self {
        Self { at, tag, value: None, quality: Quality::Bad(BadReason::Stale), closing }
    }
}
