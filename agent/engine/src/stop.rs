//! Stopped units (停用检维修): who stopped them, why and since when. The newest of each unit is kept. The exchange
//! standard has one record for a stop and for maintenance, told apart by its reason alone; so has this.
//!
//! What follows from a stop is not here: tasks are suspended by `task`, alarms suppressed by
//! `engine/annunciate.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use riskgate_point::Wall;
use serde::{Deserialize, Serialize};

use crate::withheld::is_suppressible;
use crate::{Class, Effect, Period, Suppression};

/// One stop of a unit, with its end once it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRecord {
    pub unit: String,
    /// Counts the stops of this unit, from 1.
    pub stop: u64,
    pub by: String,
    pub why: String,
    pub since: Wall,
    /// `None`: it is stopped.
    pub ended: Option<Wall>,
    /// Who started it again; `None` beside an end: the unit left the configuration.
    pub ended_by: Option<String>,
    pub revision: u64,
}

/// By unit id.
#[derive(Debug, Default)]
pub(crate) struct Stops(BTreeMap<String, Arc<StopRecord>>);

impl Stops {
    pub(crate) fn restored(records: Vec<StopRecord>) -> Self {
        Self(records.into_iter().map(|record| (record.unit.clone(), Arc::new(record))).collect())
    }

    /// The units that are stopped, in order.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Arc<StopRecord>> {
        self.0.values().filter(|record| record.ended.is_none())
    }

    /// The newest of a unit, ended or not.
    pub(crate) fn newest(&self, unit: &str) -> Option<&Arc<StopRecord>> {
        self.0.get(unit)
    }

    pub(crate) fn since(&self, unit: &str) -> Option<Wall> {
        self.0.get(unit).filter(|record| record.ended.is_none()).map(|record| record.since)
    }

    /// Whether the unit was stopped at any time of a period, as far as its newest stop tells.
    pub(crate) fn touches(&self, unit: &str, period: Period) -> bool {
        self.0.get(unit).is_some_and(|record| {
            record.since < period.end && record.ended.is_none_or(|ended| ended > period.start)
        })
    }

    /// Whether, and since when, an alarm of this unit and class is suppressed.
    pub(crate) fn suppression(&self, unit: Option<&str>, class: Class) -> Option<Suppression> {
        let unit = unit.filter(|_| is_suppressible(class))?;
        self.since(unit).map(|since| Suppression { unit: unit.to_owned(), since })
    }

    /// Begins a stop. The unit runs.
    pub(crate) fn begin(&mut self, unit: &str, by: &str, why: &str, at: Wall, effects: &mut Vec<Effect>) {
        let before = self.0.get(unit);
        let record = Arc::new(StopRecord {
            unit: unit.to_owned(),
            stop: before.map_or(1, |before| before.stop + 1),
            by: by.to_owned(),
            why: why.to_owned(),
            since: at,
            ended: None,
            ended_by: None,
            revision: before.map_or(1, |before| before.revision + 1),
        });
        self.0.insert(unit.to_owned(), Arc::clone(&record));
        effects.push(Effect::Stop(record));
    }

    /// Ends a stop; `by`: `None` where the unit is gone.
    pub(crate) fn end(&mut self, unit: &str, by: Option<&str>, at: Wall, effects: &mut Vec<Effect>) {
        if let Some(record) = self.0.get_mut(unit).filter(|record| record.ended.is_none()) {
            let of = Arc::make_mut(record);
            of.ended = Some(at);
            of.ended_by = by.map(str::to_owned);
            of.revision += 1;
            effects.push(Effect::Stop(Arc::clone(record)));
        }
    }
}
