//! The counts that run between two decisions, for whoever keeps them over a restart, and how an engine goes on with
//! them.

use riskgate_point::{Mono, Now, Wall};

use super::Engine;
use crate::plant::Plant;
use crate::record::{Watches, cycle_version};
use crate::{Period, Running};

impl Engine {
    /// What this engine counts now. `None` while the clock is in doubt: which of its times are right shows in a
    /// while, and until then what was kept before is worth more.
    pub fn running(&self, now: Now) -> Option<Running> {
        let mono = now.mono.max(self.latest);
        let at = self.present.calendar.sure(mono)?;
        let watched = self.periods.iter().filter_map(|(task, period)| {
            let watch = self.watches.get(*task)?;
            Some((self.plant.task_at(*task)?.id.clone(), watch.counted(*period, mono)))
        });
        Some(Running { at, watched: watched.collect(), onsets: self.hazards.onsets(mono) })
    }

    /// Moves with each change of what is counted that a restart in the next minutes would be missing.
    pub fn running_mark(&self) -> u64 {
        let noted = self.cycles_over.wrapping_add(self.watches.noted());
        self.hazards.counted().wrapping_add(noted)
    }

    /// The cycle of a task that the engine before was in, if that is the present one or is over without its record,
    /// and the task has the same cycles still.
    /// A time that the clock had not reached yet was of a clock that was wrong: then nothing is known.
    pub(super) fn go_on_watching(&mut self, task: u32, now: Mono, wall: Wall) -> Option<Period> {
        let plant = &self.plant;
        let with = plant.task_at(task).and_then(|draft| self.before.watched.remove(&draft.id))?;
        let since = i64::try_from(now.since(self.began).as_millis()).unwrap_or(i64::MAX);
        let (at, began) = (self.before.at, Wall(wall.0.saturating_sub(since)));
        let known = with.period.start <= at && at < with.period.end && at <= began;
        let stopped = self.watches.get(task).and_then(|watch| self.stops.since(&watch.unit));
        // Nobody has to see a unit that is stopped, and while the agent was away nobody started it.
        let back = began.min(with.period.end).min(stopped.unwrap_or(began));
        let away = Period { start: at, end: back }.length();
        let watch = self.watches.get_mut(task).filter(|watch| known && watch.version == with.version)?;
        watch.go_on(&with, away, began, now);
        self.periods.insert(task, with.period);
        self.note_standing(task, with.period);
        Some(with.period)
    }

    /// Under another plant: cycles of tasks that are due as before go on, with what was seen of them; also of one that
    /// waits for the clock to be set.
    pub(super) fn move_cycles(&mut self, old: &Plant, now: Mono) {
        let mut watches = std::mem::replace(&mut self.watches, Watches::of(&self.plant));
        let mut periods = std::mem::take(&mut self.periods);
        for (before, draft) in (0u32..).zip(old.tasks()) {
            let Some((task, new)) = self.plant.task(&draft.id) else { continue };
            if cycle_version(old, draft) != cycle_version(&self.plant, new) {
                continue;
            }
            match (watches.take(before), self.watches.get_mut(task)) {
                (Some(from), Some(watch)) => watch.take_over(from),
                (None, None) => {}
                // Whose records these are has changed with the cycle half over.
                (Some(_), None) | (None, Some(_)) => continue,
            }
            if let Some(period) = periods.remove(&before) {
                self.periods.insert(task, period);
                self.note_standing(task, period);
            }
        }
        // What no task has gone on with is of none that was there at the start.
        if self.present.calendar.sure(now).is_some() {
            self.before.watched.clear();
        }
        self.look_at_all(now);
    }
}
