//! Alarms: the state of each rule and of each loss of sight as an operator sees it (报警).
//!
//! It counts episodes and revisions and keeps the newest record of each alarm, also of those that are back
//! to normal: the next episode counts on from there. It judges nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use riskgate_point::Wall;

use crate::plant::nearest;
use crate::{AlarmKind, AlarmRecord, AlarmState, Class, Effect, Evidence, Priority, Refusal, Words};

#[derive(Debug, Default)]
pub(crate) struct Alarms(BTreeMap<String, Arc<AlarmRecord>>);

/// What begins an episode.
#[derive(Debug)]
pub(crate) struct Onset {
    pub(crate) id: String,
    pub(crate) kind: AlarmKind,
    pub(crate) class: Class,
    pub(crate) priority: Priority,
    pub(crate) unit: Option<String>,
    pub(crate) measure: Option<String>,
    pub(crate) words: Words,
    pub(crate) guidance: Words,
    pub(crate) tags: Vec<String>,
    pub(crate) blinds: Vec<String>,
    pub(crate) on_unknown: bool,
    pub(crate) evidence: Evidence,
}

impl Alarms {
    pub(crate) fn restored(records: Vec<AlarmRecord>) -> Self {
        Self(records.into_iter().map(|record| (record.id.clone(), Arc::new(record))).collect())
    }

    /// Those that are not normal, by id.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Arc<AlarmRecord>> {
        self.0.values().filter(|record| record.state != AlarmState::Normal)
    }

    /// Whether the episode is on: active, acknowledged or not.
    pub(crate) fn is_active(&self, id: &str) -> bool {
        self.0.get(id).is_some_and(|record| record.state.is_active())
    }

    /// When the newest episode began.
    pub(crate) fn since(&self, id: &str) -> Option<Wall> {
        self.0.get(id).map(|record| record.since)
    }

    /// An episode begins.
    pub(crate) fn begin(&mut self, onset: Onset, at: Wall, effects: &mut Vec<Effect>) {
        let before = self.0.get(&onset.id);
        let record = Arc::new(AlarmRecord {
            id: onset.id,
            kind: onset.kind,
            state: AlarmState::Unacknowledged,
            class: onset.class,
            priority: onset.priority,
            unit: onset.unit,
            measure: onset.measure,
            words: onset.words,
            guidance: onset.guidance,
            tags: onset.tags,
            blinds: onset.blinds,
            episode: before.map_or(1, |before| before.episode + 1),
            since: at,
            changed: at,
            acknowledged_by: None,
            on_unknown: onset.on_unknown,
            evidence: onset.evidence,
            revision: before.map_or(1, |before| before.revision + 1),
        });
        self.0.insert(record.id.clone(), Arc::clone(&record));
        effects.push(Effect::Alarm(record));
    }

    /// An episode ends: what nobody acknowledged waits for that.
    pub(crate) fn end(&mut self, id: &str, at: Wall, effects: &mut Vec<Effect>) {
        let state = match self.0.get(id).map(|record| record.state) {
            Some(AlarmState::Unacknowledged) => AlarmState::Returned,
            Some(AlarmState::Acknowledged) => AlarmState::Normal,
            Some(AlarmState::Returned | AlarmState::Normal) | None => return,
        };
        self.change(id, at, effects, |record| record.state = state);
    }

    /// What raised it is no longer in the plant: it is over, acknowledged or not.
    pub(crate) fn remove(&mut self, id: &str, at: Wall, effects: &mut Vec<Effect>) {
        if self.0.get(id).is_some_and(|record| record.state != AlarmState::Normal) {
            self.change(id, at, effects, |record| record.state = AlarmState::Normal);
        }
    }

    /// A person has seen an alarm. `known`: whether an id that never alarmed is one of the plant's.
    pub(crate) fn acknowledge(
        &mut self,
        id: &str,
        by: &str,
        known: impl Fn(&str) -> bool,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let never = || known(id).then_some(AlarmState::Normal);
        let state = match self.0.get(id).map(|record| record.state).or_else(never) {
            Some(AlarmState::Unacknowledged) => AlarmState::Acknowledged,
            Some(AlarmState::Returned) => AlarmState::Normal,
            Some(state @ (AlarmState::Acknowledged | AlarmState::Normal)) => {
                let needs = "unacknowledged, or returned and unacknowledged".to_owned();
                return Err(Refusal::WrongState { is: state.word().to_owned(), needs });
            }
            None => {
                let nearest = nearest(id, self.open().map(|record| record.id.as_str())).map(str::to_owned);
                return Err(Refusal::UnknownAlarm { alarm: id.to_owned(), nearest });
            }
        };
        self.change(id, at, effects, |record| {
            record.state = state;
            record.acknowledged_by = Some(by.to_owned());
        });
        Ok(())
    }

    fn change(
        &mut self,
        id: &str,
        at: Wall,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut AlarmRecord),
    ) {
        if let Some(record) = self.0.get_mut(id) {
            let of = Arc::make_mut(record);
            change(of);
            of.changed = at;
            of.revision += 1;
            effects.push(Effect::Alarm(Arc::clone(record)));
        }
    }
}

impl AlarmState {
    /// The condition is still there, seen by a person or not.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Unacknowledged | Self::Acknowledged)
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Unacknowledged => "unacknowledged",
            Self::Acknowledged => "acknowledged",
            Self::Returned => "returned",
        }
    }
}
