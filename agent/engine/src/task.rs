//! Inspection tasks and what rules add to them: a shorter cycle for a while, or one extra inspection.
//!
//! The shortest cycle wins; nothing lengthens the base. A boost has an end and a reason. An extra inspection
//! is over when the task is carried out. When a cycle is over is said from outside (`engine/duties.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Mono, Now, Wall};

use crate::calendar::SANE;
use crate::indicator::Cycle;
use crate::plant::Plant;
use crate::timer::{any_ended, take_ended};
use crate::{Boost, Effect, Period, TaskChange, TaskDraft, TaskRecord, Words};

/// By task id.
#[derive(Debug, Default)]
pub(crate) struct Tasks(BTreeMap<String, Task>);

#[derive(Debug)]
struct Task {
    record: Arc<TaskRecord>,
    /// When each boost ends by itself, in the order of the record's boosts. Ends run on the time that
    /// nobody can set; the record's `until` is their stamp.
    ends: Vec<Option<Mono>>,
}

impl Tasks {
    /// What a store kept; see [`restored_end`].
    pub(crate) fn restored(records: Vec<TaskRecord>, now: Now) -> Self {
        let task = |record: TaskRecord| {
            let end = |boost: &Boost| boost.until.map(|until| restored_end(until, record.changed, now));
            let ends = record.boosts.iter().map(end).collect();
            (record.task.clone(), Task { record: Arc::new(record), ends })
        };
        Self(records.into_iter().map(task).collect())
    }

    /// The wall clock is right at last: what was restored under a wrong one ends as its stamp says, where that
    /// is sooner.
    pub(crate) fn clock_set(&mut self, wall: Wall, now: Mono) {
        for task in self.0.values_mut() {
            let untils = task.record.boosts.iter().map(|boost| boost.until);
            sooner(untils, &mut task.ends, wall, now);
        }
    }

    /// Of the newest record of this task.
    pub(crate) fn revision(&self, task: &str) -> Option<u64> {
        self.0.get(task).map(|task| task.record.revision)
    }

    pub(crate) fn boosted(&self) -> impl Iterator<Item = &Arc<TaskRecord>> {
        self.0.values().map(|task| &task.record).filter(|record| record.stands())
    }

    /// Suspends the tasks of stopped units and takes up those of the others. `stopped`: since when a unit is.
    pub(crate) fn fit_suspension(
        &mut self,
        plant: &Plant,
        stopped: impl Fn(&str) -> Option<Wall>,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) {
        for draft in plant.tasks() {
            let wanted = plant.unit_of_measure(&draft.measure).and_then(|unit| stopped(&unit.id));
            if wanted.is_none() && !self.0.contains_key(&draft.id) {
                continue;
            }
            let task = self.0.entry(draft.id.clone()).or_insert_with(|| Task::new(plant, draft, at));
            if task.record.suspended != wanted {
                let record = Arc::make_mut(&mut task.record);
                record.suspended = wanted;
                // What nobody owes is not late; after the start its next cycle says whether it is.
                record.overdue = record.overdue.filter(|_| wanted.is_none());
                task.changed(at, effects);
            }
        }
    }

    /// The next end of a boost of this task.
    pub(crate) fn next_end(&self, task: &str) -> Option<Mono> {
        self.0.get(task)?.ends.iter().flatten().min().copied()
    }

    /// A record says so: what it was late with is made good, and so are extra inspections.
    pub(crate) fn carried_out(
        &mut self,
        plant: &Plant,
        draft: &TaskDraft,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) {
        let task = self.0.entry(draft.id.clone()).or_insert_with(|| Task::new(plant, draft, at));
        let record = Arc::make_mut(&mut task.record);
        let boosts = std::mem::take(&mut record.boosts).into_iter().zip(std::mem::take(&mut task.ends));
        let kept: Vec<_> = boosts.filter(|(boost, _)| boost.due.is_none()).collect();
        (record.boosts, task.ends) = kept.into_iter().unzip();
        record.done = Some(at);
        record.overdue = None;
        task.changed(at, effects);
    }

    /// A cycle is over: whether it was carried out in it. Of a task of which no record was ever told nobody
    /// knows: its records go elsewhere.
    pub(crate) fn close(
        &mut self,
        draft: &TaskDraft,
        period: Period,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) -> Cycle {
        let Some(task) = self.0.get_mut(&draft.id) else { return Cycle::Unknown };
        let Some(done) = task.record.done else { return Cycle::Unknown };
        if done >= period.start {
            return Cycle::Done;
        }
        if task.record.overdue.is_none() {
            Arc::make_mut(&mut task.record).overdue = Some(period.end);
            task.changed(at, effects);
        }
        Cycle::Missed
    }

    /// The episode of `rule` begins.
    pub(crate) fn boost(
        &mut self,
        plant: &Plant,
        draft: &TaskDraft,
        (rule, words): (&str, &Words),
        change: TaskChange,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let task = self.0.entry(draft.id.clone()).or_insert_with(|| Task::new(plant, draft, now.wall));
        let (cycle, due, end) = match change {
            TaskChange::Cycle { cycle, .. } => (Some(cycle), None, None),
            TaskChange::OnceWithin(within) => {
                (None, Some(now.wall.after(within)), Some(now.mono.after(within)))
            }
        };
        let record = Arc::make_mut(&mut task.record);
        let boost =
            Boost { rule: rule.to_owned(), words: words.clone(), cycle, due, since: now.wall, until: due };
        let mut boosts = record.boosts.iter_mut().zip(&mut task.ends);
        match boosts.find(|(before, _)| before.rule == rule) {
            // One extra inspection still to be made is enough, and its time stands.
            Some((before, _)) if before.due.is_some() && due.is_some() => return,
            Some((before, before_end)) => {
                *before = Boost { since: before.since, ..boost };
                *before_end = end;
            }
            None => {
                record.boosts.push(boost);
                task.ends.push(end);
            }
        }
        task.changed(now.wall, effects);
    }

    /// The episode of `rule` ends: its shorter cycle holds on for `hold`; an extra inspection stays due.
    pub(crate) fn release(
        &mut self,
        task: &str,
        rule: &str,
        hold: Duration,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some(task) = self.0.get_mut(task) else { return };
        if task.release(|boost| boost.rule == rule, hold, now) {
            task.changed(now.wall, effects);
        }
    }

    /// Takes out the boosts whose end has come.
    pub(crate) fn expire(&mut self, task: &str, now: Now, effects: &mut Vec<Effect>) {
        let Some(task) = self.0.get_mut(task) else { return };
        if any_ended(&task.ends, now.mono) {
            let record = Arc::make_mut(&mut task.record);
            take_ended(&mut record.boosts, &mut task.ends, now.mono);
            task.changed(now.wall, effects);
        }
    }

    /// Fits what is kept to a plant, after a restart or a reload. `stays`: whether this rule still boosts
    /// this task and is active. A boost without an end of which that is not so ends after `hold`.
    pub(crate) fn settle(
        &mut self,
        plant: &Plant,
        stays: impl Fn(&str, &str) -> bool,
        hold: impl Fn(&str) -> Duration,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        for (id, task) in &mut self.0 {
            let before = Arc::clone(&task.record);
            let Some((_, draft)) = plant.task(id) else {
                // The task is gone, and its boosts with it.
                let record = Arc::make_mut(&mut task.record);
                record.boosts.clear();
                record.suspended = None;
                record.overdue = None;
                task.ends.clear();
                if before.stands() {
                    task.changed(now.wall, effects);
                }
                continue;
            };
            let fresh = Task::new(plant, draft, before.changed);
            let record = Arc::make_mut(&mut task.record);
            *record = TaskRecord {
                boosts: std::mem::take(&mut record.boosts),
                done: record.done,
                overdue: record.overdue,
                suspended: record.suspended,
                revision: record.revision,
                ..Arc::unwrap_or_clone(fresh.record)
            };
            let rules: Vec<String> = record.boosts.iter().map(|boost| boost.rule.clone()).collect();
            for rule in rules.iter().filter(|rule| !stays(rule, id)) {
                task.release(|boost| boost.rule == *rule, hold(rule), now);
            }
            task.fit();
            if *task.record != *before {
                task.changed(now.wall, effects);
            }
        }
    }
}

impl Task {
    fn new(plant: &Plant, draft: &TaskDraft, at: Wall) -> Self {
        let unit = plant.measure(&draft.measure).map(|measure| measure.unit.clone());
        let record = TaskRecord {
            task: draft.id.clone(),
            measure: draft.measure.clone(),
            unit: unit.unwrap_or_default(),
            content: draft.content.clone(),
            assignee: draft.assignee.clone(),
            work_type: draft.work_type,
            base_cycle: draft.cycle,
            cycle: draft.cycle,
            boosts: Vec::new(),
            done: None,
            overdue: None,
            suspended: None,
            changed: at,
            revision: 0,
        };
        Self { record: Arc::new(record), ends: Vec::new() }
    }

    /// Whether a boost without an end got one.
    fn release(&mut self, of: impl Fn(&Boost) -> bool, hold: Duration, now: Now) -> bool {
        let record = Arc::make_mut(&mut self.record);
        let mut found = false;
        for (boost, end) in record.boosts.iter_mut().zip(&mut self.ends) {
            if boost.until.is_none() && of(boost) {
                boost.until = Some(now.wall.after(hold));
                *end = Some(now.mono.after(hold));
                found = true;
            }
        }
        found
    }

    /// The cycle in force. That of a 包保 task (work_type 1 to 3) is its own.
    fn fit(&mut self) {
        let record = Arc::make_mut(&mut self.record);
        let boosts = record.boosts.iter().filter_map(|boost| boost.cycle).filter(|_| record.work_type == 0);
        record.cycle = boosts.fold(record.base_cycle, Duration::min);
    }

    fn changed(&mut self, at: Wall, effects: &mut Vec<Effect>) {
        self.fit();
        let record = Arc::make_mut(&mut self.record);
        record.changed = at;
        record.revision += 1;
        effects.push(Effect::Task(Arc::clone(&self.record)));
    }
}

/// When what was to end at `until` ends after a restart. The wall clock says how far off that is, if it was ever
/// set, and so was the one that stamped the end; in any case it is no further off than it was when the record
/// was last written. So an end neither comes at once with a clock of 1970 nor never.
pub(crate) fn restored_end(until: Wall, changed: Wall, now: Now) -> Mono {
    let most = left(until, changed);
    let sure = now.wall >= SANE && until >= SANE;
    now.mono.after(if sure { left(until, now.wall).min(most) } else { most })
}

/// Brings each end forward to what its stamp says, where that was made by a clock that was set.
pub(crate) fn sooner(
    untils: impl Iterator<Item = Option<Wall>>,
    ends: &mut [Option<Mono>],
    wall: Wall,
    now: Mono,
) {
    for (until, end) in untils.zip(ends) {
        if let (Some(until), Some(end)) = (until.filter(|until| *until >= SANE), end) {
            *end = now.after(left(until, wall)).min(*end);
        }
    }
}

impl TaskRecord {
    /// Whether it differs from its base: boosted, suspended or overdue.
    pub fn stands(&self) -> bool {
        !self.boosts.is_empty() || self.suspended.is_some() || self.overdue.is_some()
    }
}

/// From `now` to `until`; zero where that is past.
pub(crate) fn left(until: Wall, now: Wall) -> Duration {
    Duration::from_millis(u64::try_from(until.0.saturating_sub(now.0)).unwrap_or(0))
}
