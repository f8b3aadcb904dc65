//! The alarms that sources keep themselves (OPC UA Alarms & Conditions), as far as there is anything to say of
//! them: active, unacknowledged or suppressed. What is not here is none of these, once its source has told all.
//!
//! Whether a source has told all is its own affair (`present.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use riskgate_point::{Condition, SourceId};

use crate::expr::{AskedCondition, ConditionState};

/// Of one source. A control system with so many alarms standing at once has none that anybody reads; beyond it
/// what is not here is unknown. About 300 B each: 3 MB.
const CONDITIONS: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Conditions {
    kept: BTreeMap<SourceId, Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By ConditionName, then by SourceName.
    named: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Entry>>,
    count: usize,
    /// One found no room: since the source last told all, and before that.
    refused: bool,
    full: bool,
}

#[derive(Debug)]
struct Entry {
    condition: Condition,
    /// Since the source's link, or what it told, was last lost.
    told: bool,
}

impl Conditions {
    /// `false` where there is no room for another.
    pub(crate) fn take(&mut self, condition: &Condition) -> bool {
        let kept = self.kept.entry(condition.source).or_default();
        if !(condition.active || condition.suppressed) && condition.acknowledged {
            kept.forget(&condition.name, &condition.origin);
            return true;
        }
        let known = kept.named.get(&condition.name).is_some_and(|of| of.contains_key(&condition.origin));
        if !known && kept.count >= CONDITIONS {
            kept.refused = true;
            kept.full = true;
            return false;
        }
        kept.count += usize::from(!known);
        let origins = kept.named.entry(Arc::clone(&condition.name)).or_default();
        let entry = Entry { condition: condition.clone(), told: true };
        origins.insert(Arc::clone(&condition.origin), entry);
        true
    }

    /// What the source told is lost: what it tells from here on is another telling.
    pub(crate) fn lost(&mut self, source: SourceId) {
        let Some(kept) = self.kept.get_mut(&source) else { return };
        kept.named.values_mut().flat_map(BTreeMap::values_mut).for_each(|entry| entry.told = false);
    }

    /// The source has told all: what was not told since it was last lost is over.
    pub(crate) fn all_told(&mut self, source: SourceId) {
        let Some(kept) = self.kept.get_mut(&source) else { return };
        kept.named.retain(|_, origins| {
            origins.retain(|_, entry| entry.told);
            !origins.is_empty()
        });
        kept.count = kept.named.values().map(BTreeMap::len).sum();
        kept.full = std::mem::take(&mut kept.refused);
    }

    /// The gravest condition that is as it is asked for.
    pub(crate) fn find(&self, asked: &AskedCondition) -> Option<&Condition> {
        let kept = self.kept.get(&asked.source)?;
        let alone = kept.named.get(asked.name.as_str()).into_iter().flat_map(BTreeMap::values);
        let beside = asked.name.match_indices('/').filter_map(|(at, slash)| {
            let (origin, name) = (asked.name.get(..at)?, asked.name.get(at + slash.len()..)?);
            kept.named.get(name)?.get(origin)
        });
        let all = alone.chain(beside).map(|entry| &entry.condition);
        all.filter(|condition| asked.fits(condition)).max_by_key(|condition| condition.severity)
    }

    /// Some of the source's conditions found no room. That there is room again does not say how they stand: only
    /// the next telling of all does.
    pub(crate) fn is_full(&self, source: SourceId) -> bool {
        self.kept.get(&source).is_some_and(|kept| kept.full)
    }

    /// The same conditions under the source numbers of another plant.
    pub(crate) fn renumbered(self, source: impl Fn(SourceId) -> Option<SourceId>) -> Self {
        let kept = self.kept.into_iter().filter_map(|(id, kept)| Some((source(id)?, kept)));
        Self { kept: kept.collect() }
    }
}

impl Kept {
    fn forget(&mut self, name: &str, origin: &str) {
        let Some(origins) = self.named.get_mut(name) else { return };
        if origins.remove(origin).is_some() {
            self.count -= 1;
        }
        if origins.is_empty() {
            self.named.remove(name);
        }
    }
}

impl AskedCondition {
    /// That the source suppresses it hides it from its operators and does not end it.
    fn fits(&self, condition: &Condition) -> bool {
        let is_so = match self.state {
            ConditionState::Active => condition.active,
            ConditionState::Unacknowledged => !condition.acknowledged,
            ConditionState::Suppressed => condition.suppressed,
        };
        is_so && condition.severity >= self.severity
    }
}

#[cfg(test)]
mod tests {
    use riskgate_point::Now;

    use super::*;

    const DCS: SourceId = SourceId(3);

    fn condition(origin: &str, name: &str, severity: u16) -> Condition {
        Condition {
            source: DCS,
            origin: Arc::from(origin),
            name: Arc::from(name),
            active: true,
            acknowledged: false,
            suppressed: false,
            severity,
            message: Arc::from(""),
            source_time: None,
            received: Now::default(),
        }
    }

    fn asked(name: &str) -> AskedCondition {
        AskedCondition { source: DCS, name: name.to_owned(), state: ConditionState::Active, severity: 1 }
    }

    fn origin_of(conditions: &Conditions, name: &str) -> Option<String> {
        conditions.find(&asked(name)).map(|condition| condition.origin.to_string())
    }

    #[test]
    fn a_name_alone_is_any_condition_of_it_and_with_its_source_name_one() {
        let mut conditions = Conditions::default();
        conditions.take(&condition("T/101", "HighHigh", 500));
        conditions.take(&condition("T/102", "HighHigh", 900));
        assert_eq!(origin_of(&conditions, "HighHigh").as_deref(), Some("T/102"));
        assert_eq!(origin_of(&conditions, "T/101/HighHigh").as_deref(), Some("T/101"));
        for none in ["101/HighHigh", "T/101", "/HighHigh", "highhigh", "T/103/HighHigh", ""] {
            assert_eq!(origin_of(&conditions, none), None, "{none}");
        }
        conditions.take(&condition("", "A/B", 1));
        assert_eq!(origin_of(&conditions, "A/B").as_deref(), Some(""));
        assert_eq!(conditions.find(&AskedCondition { source: SourceId(4), ..asked("HighHigh") }), None);
    }

    #[test]
    fn each_state_is_asked_for_by_itself_and_severity_is_at_least() {
        let mut conditions = Conditions::default();
        let told = Condition { active: false, suppressed: true, ..condition("T", "H", 400) };
        conditions.take(&told);
        let is =
            |state, severity| conditions.find(&AskedCondition { state, severity, ..asked("H") }).is_some();
        assert!(!is(ConditionState::Active, 1));
        assert!(is(ConditionState::Unacknowledged, 400));
        assert!(is(ConditionState::Suppressed, 1));
        assert!(!is(ConditionState::Suppressed, 401));
    }

    #[test]
    fn what_is_quiet_is_forgotten() {
        let mut conditions = Conditions::default();
        conditions.take(&condition("T", "H", 1));
        conditions.take(&Condition { active: false, acknowledged: true, ..condition("T", "H", 1) });
        assert_eq!(origin_of(&conditions, "H"), None);
        assert_eq!(conditions.kept.get(&DCS).map(|kept| (kept.count, kept.named.len())), Some((0, 0)));
    }

    #[test]
    fn what_is_not_told_again_after_a_loss_is_over_once_all_is_told() {
        let mut conditions = Conditions::default();
        conditions.take(&condition("T", "H", 1));
        conditions.take(&condition("T", "HH", 1));
        conditions.lost(DCS);
        conditions.take(&condition("T", "HH", 2));
        assert!(origin_of(&conditions, "H").is_some());
        conditions.all_told(DCS);
        assert_eq!(origin_of(&conditions, "H"), None);
        assert!(origin_of(&conditions, "HH").is_some());
    }

    #[test]
    fn a_source_that_invents_conditions_does_not_grow_without_end_and_says_so() {
        let mut conditions = Conditions::default();
        let kept = (0..=CONDITIONS).filter(|n| conditions.take(&condition("T", &n.to_string(), 1)));
        assert_eq!(kept.count(), CONDITIONS);
        assert!(conditions.is_full(DCS));
        conditions.all_told(DCS);
        assert!(conditions.is_full(DCS), "what was told of is not all here");
        conditions.lost(DCS);
        conditions.all_told(DCS);
        assert!(!conditions.is_full(DCS));
        assert!(conditions.take(&condition("T", "H", 1)));
    }
}
