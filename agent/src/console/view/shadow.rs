//! 试运行规则: the shadow rules of the plant, and what each would have told.

use riskgate_engine::Words;
use serde::{Deserialize, Serialize};

use super::render::Render;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowView {
    pub rule: String,
    pub name: Words,
    /// Of the rule's text, to which the counts belong.
    pub rule_version: String,
    pub episodes: u64,
    /// Onset of the episode that is going on.
    pub since: Option<String>,
    pub last_onset: Option<String>,
    /// How long the episodes that ended lasted together.
    pub lasted_s: u64,
    /// What the last onset would have said.
    pub words: Words,
}

impl Render<'_> {
    /// Every shadow rule in the order of the configuration, also those that would have told nothing yet.
    pub(super) fn shadows(&self) -> Vec<ShadowView> {
        let rules = self.board.plant().rules().iter().filter(|rule| rule.is_shadow());
        rules
            .map(|rule| {
                let record = self.board.shadow(rule.id()).filter(|record| record.version == rule.version());
                ShadowView {
                    rule: rule.id().to_owned(),
                    name: rule.name().clone(),
                    rule_version: rule.version().to_owned(),
                    episodes: record.map_or(0, |record| record.episodes),
                    since: record.and_then(|record| record.since).map(|at| self.stamp(at)),
                    last_onset: record.and_then(|record| record.last_onset).map(|at| self.stamp(at)),
                    lasted_s: record.map_or(0, |record| record.lasted_ms / 1000),
                    words: record.map(|record| record.words.clone()).unwrap_or_default(),
                }
            })
            .collect()
    }
}
