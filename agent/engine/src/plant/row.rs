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
    /// Of its steps; both the same where it has none.
    start: u32,
    end: u32,
}

impl Rows {
    pub(super) fn build(rules: &[Rule]) -> Self {
        let mut steps = Vec::new();
        let row = |rule: &Rule| {
            let start = u32::try_from(steps.len()).unwrap_or(u32::MAX);
            if let Condition::Text { when, .. } = &rule.condition {
                steps.extend(when.code().into_iter().flatten());
            }
            let end = u32::try_from(steps.len()).unwrap_or(u32::MAX);
            Row { rank: rule.rank, start, end }
        };
        let rows = rules.iter().map(row).collect();
        Self { rows, steps }
    }

    pub(crate) fn rank(&self, rule: usize) -> Option<u32> {
        self.rows.get(rule).map(|row| row.rank)
    }

    /// What its `when` does; `None` where that is looked at as a tree.
    pub(crate) fn code(&self, rule: usize) -> Option<&[Step]> {
        let Row { start, end, .. } = self.rows.get(rule)?;
        let steps = self.steps.get(usize::try_from(*start).ok()?..usize::try_from(*end).ok()?)?;
        (!steps.is_empty()).then_some(steps)
    }
}
