//! What judging needs of each rule most of the time, side by side: a [`super::Rule`] is large, and of a rule
//! that stays as it was its texts, names and consequences are not asked for.

use super::{Condition, Rule};
use crate::expr::Step;

/// Built once.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    rows: Vec<Row>,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    rank: u32,
    /// Of the steps of its `when`, behind which those of its `clear` stand; all the same where it has none.
    start: u32,
    middle: u32,
    end: u32,
}

/// What a rule does at a look that finds it normal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Code<'a> {
    pub(crate) when: &'a [Step],
    /// Empty where what `when` remembers is all that `clear` would: only an active rule asks for it.
    pub(crate) clear: &'a [Step],
}

impl Rows {
    pub(super) fn build(rules: &[Rule]) -> Self {
        let mut steps = Vec::new();
        let mut put = |more: Vec<Step>| {
            steps.extend(more);
            u32::try_from(steps.len()).unwrap_or(u32::MAX)
        };
        let row = |rule: &Rule| {
            let start = put(Vec::new());
            match codes_of(rule) {
                Some((when, clear)) => Row { rank: rule.rank, start, middle: put(when), end: put(clear) },
                None => Row { rank: rule.rank, start, middle: start, end: start },
            }
        };
        let rows = rules.iter().map(row).collect();
        Self { rows, steps }
    }

    pub(crate) fn rank(&self, rule: usize) -> Option<u32> {
        self.rows.get(rule).map(|row| row.rank)
    }

    /// `None` where it is judged by its trees.
    pub(crate) fn code(&self, rule: usize) -> Option<Code<'_>> {
        let Row { start, middle, end, .. } = self.rows.get(rule)?;
        let steps =
            |from: &u32, to: &u32| self.steps.get(usize::try_from(*from).ok()?..usize::try_from(*to).ok()?);
        let code = Code { when: steps(start, middle)?, clear: steps(middle, end)? };
        (!code.when.is_empty()).then_some(code)
    }
}

fn codes_of(rule: &Rule) -> Option<(Vec<Step>, Vec<Step>)> {
    let Condition::Text { when, clear } = &rule.condition else { return None };
    let own = !clear.remembers_like(when);
    Some((when.code()?, if own { clear.code()? } else { Vec::new() }))
}
