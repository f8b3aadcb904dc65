//! Shadow rules (`shadow = true`, 试运行): they are judged as any other and tell nobody.
//!
//! What would have been an alarm is counted here, one record a rule: how many episodes, the last onset, what it
//! would have said and why, how long they lasted together. That is all that is kept, so its size does not grow with time;
//! single episodes are what a backtest lists. A store keeps the record, so that the counts, and an episode that is
//! going on, survive a restart. They belong to the text of the rule: another version begins at nothing. Episodes
//! are measured on the time that nobody can set, and on wall time over a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use riskgate_point::{Mono, Now, Wall};
use serde::{Deserialize, Serialize};

use crate::alarm::Onset;
use crate::plant::{Plant, Rule};
use crate::task::left;
use crate::{Effect, Evidence, Words};

/// What a shadow rule would have told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowRecord {
    pub rule: String,
    /// Of the rule whose episodes these are.
    pub version: String,
    /// That began, the one that is going on among them.
    pub episodes: u64,
    /// Onset of the one that is going on.
    pub since: Option<Wall>,
    pub last_onset: Option<Wall>,
    /// How long those that ended lasted together.
    pub lasted_ms: u64,
    /// What the last onset would have said.
    pub words: Words,
    /// Why. `None`: there was none yet, or an older agent wrote this.
    #[serde(default)]
    pub evidence: Option<Evidence>,
    pub changed: Wall,
    pub revision: u64,
}

/// By rule id.
#[derive(Debug, Default)]
pub(crate) struct Shadows(BTreeMap<String, Shadow>);

#[derive(Debug)]
struct Shadow {
    record: Arc<ShadowRecord>,
    /// When the episode that is going on began.
    begun: Mono,
}

impl Shadows {
    pub(crate) fn restored(records: Vec<ShadowRecord>, now: Now) -> Self {
        let shadow = |record: ShadowRecord| {
            let ago = record.since.map_or_else(Default::default, |since| left(now.wall, since));
            (record.rule.clone(), Shadow { record: Arc::new(record), begun: now.mono.before(ago) })
        };
        Self(records.into_iter().map(shadow).collect())
    }

    /// Of every shadow rule that had an episode, by rule id.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<ShadowRecord>> {
        self.0.values().map(|shadow| &shadow.record).filter(|record| record.episodes > 0)
    }

    /// Whether an episode of this very text is going on.
    pub(crate) fn is_active(&self, rule: &Rule) -> bool {
        let record = self.0.get(&rule.id).map(|shadow| &shadow.record);
        record.is_some_and(|record| record.since.is_some() && record.version == rule.version)
    }

    pub(crate) fn begin(&mut self, rule: &Rule, onset: Onset, at: Now, effects: &mut Vec<Effect>) {
        let shadow = self.0.entry(rule.id.clone()).or_insert_with(|| Shadow {
            record: Arc::new(ShadowRecord {
                rule: rule.id.clone(),
                version: rule.version.clone(),
                episodes: 0,
                since: None,
                last_onset: None,
                lasted_ms: 0,
                words: Words::default(),
                evidence: None,
                changed: at.wall,
                revision: 0,
            }),
            begun: at.mono,
        });
        shadow.begun = at.mono;
        let of = Arc::make_mut(&mut shadow.record);
        of.episodes += 1;
        of.since = Some(at.wall);
        of.last_onset = Some(at.wall);
        of.words = onset.words;
        of.evidence = Some(onset.evidence);
        shadow.tell(at, effects);
    }

    pub(crate) fn end(&mut self, rule: &str, at: Now, effects: &mut Vec<Effect>) {
        if let Some(shadow) = self.0.get_mut(rule)
            && shadow.end(at)
        {
            shadow.tell(at, effects);
        }
    }

    /// Fits what is kept to the plant: the counts of another text begin anew, and what is no shadow rule any more
    /// counts nothing. Its record stays: of one that comes back what is told then is newer than all before.
    pub(crate) fn fit(&mut self, plant: &Plant, at: Now, effects: &mut Vec<Effect>) {
        let rules: BTreeMap<&str, &Rule> =
            plant.rules().iter().filter(|rule| rule.shadow).map(|rule| (rule.id(), rule)).collect();
        for (id, shadow) in &mut self.0 {
            match rules.get(id.as_str()) {
                Some(rule) if rule.version == shadow.record.version => continue,
                Some(rule) => Arc::make_mut(&mut shadow.record).version.clone_from(&rule.version),
                None => {
                    if shadow.end(at) {
                        shadow.tell(at, effects);
                    }
                    if shadow.record.episodes == 0 {
                        continue;
                    }
                }
            }
            shadow.forget();
            shadow.tell(at, effects);
        }
    }
}

impl Shadow {
    /// Whether an episode was going on.
    fn end(&mut self, at: Now) -> bool {
        if self.record.since.is_none() {
            return false;
        }
        let lasted = u64::try_from(at.mono.since(self.begun).as_millis()).unwrap_or(u64::MAX);
        let of = Arc::make_mut(&mut self.record);
        of.since = None;
        of.lasted_ms = of.lasted_ms.saturating_add(lasted);
        true
    }

    fn forget(&mut self) {
        let of = Arc::make_mut(&mut self.record);
        (of.episodes, of.lasted_ms, of.since, of.last_onset) = (0, 0, None, None);
        (of.words, of.evidence) = (Words::default(), None);
    }

    fn tell(&mut self, at: Now, effects: &mut Vec<Effect>) {
        let of = Arc::make_mut(&mut self.record);
        of.changed = at.wall;
        of.revision += 1;
        effects.push(Effect::Shadow(Arc::clone(&self.record)));
    }
}
