//! What others keep and tell whole: alarms of control systems, and tickets of special work.

use std::collections::BTreeSet;
use std::sync::Arc;

use riskgate_point::{Condition, Link, Mono, Now, Permit, PermitStage, SourceId};

use super::Engine;
use crate::calendar::{Look, SETTLED_AFTER};
use crate::permit::{PermitView, Place, Taken};
use crate::present::{SourceState, place_of};
use crate::timer::Timer;
use crate::{Effect, Truth};

impl Engine {
    pub(super) fn condition(&mut self, condition: &Condition, at: Now, effects: &mut Vec<Effect>) {
        let id = condition.source;
        if self.plant.source(id).is_none_or(|source| source.events.is_none()) {
            self.unjudged.stray += 1;
            return;
        }
        if !self.present.conditions.take(condition) {
            self.unjudged.crowded += 1;
        }
        self.heard_from(id, at, effects);
        self.look_for_room(id, at, effects);
        self.judge_conditions(id, at, effects);
    }

    /// The source has told all the conditions that it keeps.
    pub(super) fn conditions_told(&mut self, id: SourceId, at: Now, effects: &mut Vec<Effect>) {
        if self.plant.source(id).is_none_or(|source| source.events.is_none()) {
            self.unjudged.stray += 1;
            return;
        }
        // It is taken in before the source is there again: no rule sees the source without it.
        self.present.conditions.all_told(id);
        let Some(source) = self.present.source_mut(id) else { return };
        let was_untold = std::mem::take(&mut source.untold);
        self.heard_from(id, at, effects);
        self.look_for_room(id, at, effects);
        if was_untold && self.present.source(id).is_some_and(|source| source.link == Link::Up) {
            self.found(id, at, effects);
        }
        self.judge_conditions(id, at, effects);
    }

    /// What the source told of its conditions may not hold any more, though its link is there. That says
    /// nothing of whether the source is alive.
    pub(super) fn conditions_lost(&mut self, id: SourceId, at: Now, effects: &mut Vec<Effect>) {
        if self.plant.source(id).is_none_or(|source| source.events.is_none()) {
            self.unjudged.stray += 1;
            return;
        }
        let Some((was_untold, was_blind)) =
            self.present.source(id).map(|source| (source.untold, source.is_blind()))
        else {
            return;
        };
        self.forget_what_was_told(id);
        // One that had not told all is waited for already.
        if !was_untold {
            self.watch_source(id, at.mono, was_blind);
            self.judge_conditions(id, at, effects);
        }
    }

    /// The link of a source is down, or begins anew: what it told of conditions says nothing any more.
    pub(super) fn forget_what_was_told(&mut self, id: SourceId) {
        self.present.conditions.lost(id);
        let tells = self.plant.source(id).is_some_and(|source| source.events.is_some());
        if let Some(source) = self.present.source_mut(id) {
            source.untold = tells;
        }
    }

    /// What a source keeps has no room here, or has it again. That lasts until what was refused is known, and is
    /// a fault of the source like its silence.
    pub(super) fn look_for_room(&mut self, id: SourceId, at: Now, effects: &mut Vec<Effect>) {
        let crowded = self.present.conditions.is_full(id) || self.present.permits.is_crowded(id);
        let Some(source) = self.present.source_mut(id).filter(|source| source.crowded != crowded) else {
            return;
        };
        let was_blind = source.is_blind();
        source.crowded = crowded;
        let is_seen = !source.is_blind();
        if crowded {
            self.watch_source(id, at.mono, was_blind);
        } else if is_seen {
            self.found(id, at, effects);
        }
    }

    fn judge_conditions(&mut self, id: SourceId, at: Now, effects: &mut Vec<Effect>) {
        let plant = Arc::clone(&self.plant);
        self.judge_all(plant.rules_of_conditions(id).iter().copied(), at, effects);
    }

    /// What a broker has retained of a ticket is how it stands, so history is taken like news.
    pub(super) fn permit(&mut self, permit: &Permit, at: Now, effects: &mut Vec<Effect>) {
        let id = permit.source;
        if self.plant.source(id).is_none_or(|source| !source.permits) {
            self.unjudged.stray += 1;
            return;
        }
        let plant = Arc::clone(&self.plant);
        let place = place_of(&plant, permit.place.as_deref());
        self.unjudged.elsewhere += u64::from(place == Place::Elsewhere);
        let was_full = self.present.permits.is_full();
        // It is taken in before its feed is there again: no rule sees the feed without it.
        let taken = self.present.permits.take(permit, place, at.mono, at.wall);
        self.heard_from(id, at, effects);
        let touched = match taken {
            Taken::At(from, to) => from.into_iter().chain([to]).collect(),
            Taken::Late => {
                self.unjudged.late += 1;
                if let Some(source) = self.present.source_mut(id) {
                    source.late = source.late.saturating_add(1);
                }
                BTreeSet::new()
            }
            Taken::Full => {
                self.unjudged.crowded += 1;
                BTreeSet::from([Place::Unsaid])
            }
        };
        let rules = touched.into_iter().flat_map(|place| match place {
            Place::Unit(unit) => plant.rules_of_permits(unit).iter().copied().collect(),
            Place::Elsewhere => BTreeSet::new(),
            Place::Unsaid => self.rules_of_all_permits(),
        });
        let mut rules: BTreeSet<u32> = rules.collect();
        if self.present.permits.is_full() != was_full {
            rules.extend(self.rules_of_all_permits());
        }
        // What one feed tells may end what another's ticket waited for: the time that it has gone on.
        let feeds: Vec<SourceId> = (0u16..)
            .map(SourceId)
            .zip(plant.sources())
            .filter(|(_, of)| of.permits)
            .map(|(id, _)| id)
            .collect();
        for feed in feeds {
            self.look_for_room(feed, at, effects);
        }
        self.judge_all(rules, at, effects);
    }

    /// Every ticket that is known, by feed and number.
    pub fn permits(&self, now: Mono) -> impl Iterator<Item = PermitView<'_>> {
        self.present.permits.all().map(move |(permit, place)| {
            let calendar = &self.present.calendar;
            let unit = match place {
                Place::Unit(unit) => self.plant.unit_at(unit).map(|unit| unit.id.as_str()),
                Place::Elsewhere | Place::Unsaid => None,
            };
            let (before_its_end, _) = calendar.within(None, permit.end, now);
            let (timely, _) = calendar.within(permit.start, permit.end, now);
            let timely = timely.and(Truth::from(permit.stage == PermitStage::Working));
            let is_live = self.present.source(permit.source).is_some_and(SourceState::is_live);
            let in_force = if is_live { timely } else { timely.and(Truth::Unknown) };
            PermitView { permit, unit, over: !before_its_end, in_force }
        })
    }

    /// Whether these are all: a permit that is not among them is none.
    pub fn permits_known(&self, now: Mono) -> bool {
        self.present.permits_known(&self.plant, now).0 && !self.present.permits.is_full()
    }

    pub(super) fn rules_of_all_permits(&self) -> BTreeSet<u32> {
        let units = (0u32..).zip(self.plant.units());
        units.flat_map(|(unit, _)| self.plant.rules_of_permits(unit)).copied().collect()
    }

    /// Sees a step of the wall clock: which of its times is right shows in a while.
    pub(super) fn look_at_calendar(&mut self, read: Now, at: Now, effects: &mut Vec<Effect>) {
        match self.present.calendar.look(read) {
            Look::Same => return,
            Look::Doubtful => self.timers.set(Timer::Calendar, at.mono.after(SETTLED_AFTER)),
            Look::Sure => {
                self.timers.clear(Timer::Calendar);
                self.offer_duties(at.mono);
            }
        }
        self.offer_withheld_end();
        self.judge_all(self.rules_of_all_permits(), at, effects);
    }

    pub(super) fn calendar_settled(&mut self, at: Now, effects: &mut Vec<Effect>) {
        let was_set = self.present.calendar.is_sane(at.mono);
        self.present.calendar.settle();
        self.offer_withheld_end();
        if !was_set && let Some(wall) = self.present.calendar.sure(at.mono) {
            self.clock_set(wall, at.mono);
        }
        self.offer_overdue(at.mono);
        self.offer_duties(at.mono);
        self.judge_all(self.rules_of_all_permits(), at, effects);
    }
}
