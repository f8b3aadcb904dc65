//! Alarms: the state of each rule and of each loss of sight as an operator sees it (报警), ISA-18.2.
//!
//! It counts episodes and revisions and keeps the newest record of each alarm, also of those that are back
//! to normal: the next episode counts on from there. It judges nothing.
//!
//! What moves the state, and where to. `-`: nothing changes; where a person asked for it, it is refused.
//!
//! | state                  | onset          | cleared  | cleared, latching      | cleared, unheard | acknowledged | reset  | re-alarmed     | candidate waits        | released       | removed |
//! |------------------------|----------------|----------|------------------------|------------------|--------------|--------|----------------|------------------------|----------------|---------|
//! | normal                 | unacknowledged | -        | -                      | -                | -            | -      | -              | returned               | -              | -       |
//! | unacknowledged         | unacknowledged | returned | latched_unacknowledged | normal           | acknowledged | -      | unacknowledged | unacknowledged         | unacknowledged | normal  |
//! | acknowledged           | unacknowledged | normal   | latched                | normal           | -            | -      | unacknowledged | unacknowledged         | unacknowledged | normal  |
//! | returned               | unacknowledged | -        | -                      | -                | normal       | -      | -              | returned               | -              | normal  |
//! | latched_unacknowledged | unacknowledged | -        | -                      | -                | latched      | -      | -              | latched_unacknowledged | -              | normal  |
//! | latched                | unacknowledged | -        | -                      | -                | -            | normal | -              | latched_unacknowledged | -              | normal  |
//!
//! Shelved, suppressed by design and out of service ([`Withheld`]) lie over these states: the state goes on
//! beneath, and nothing is annunciated. Released is when the last of them ends: what is still active then
//! annunciates at once. What clears meanwhile was unheard and needs no acknowledging; only a shelf leaves a
//! latch its hold. Re-alarms wait while anything lies over the alarm.

use std::collections::BTreeMap;
use std::sync::Arc;

use riskgate_point::{Mono, Now, Wall};

use crate::calendar::Calendar;
use crate::plant::nearest;
use crate::task::left;
use crate::{
    AlarmEvent, AlarmKind, AlarmRecord, AlarmState, AlarmTurn, Class, Effect, Evidence, OutOfService,
    Priority, Protected, Refusal, Shelf, Suppression, Withheld, Words,
};

#[derive(Debug, Default)]
pub(crate) struct Alarms {
    records: BTreeMap<String, Arc<AlarmRecord>>,
    /// When each shelf and each out-of-service ends by elapsed time, whatever the calendar says.
    ends: BTreeMap<(Cover, String), Mono>,
}

/// What a person lays over an alarm, with an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cover {
    Shelf,
    OutOfService,
}

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

/// What moves a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Onset,
    Cleared(Ending),
    Acknowledged,
    Reset,
    ReAlarmed,
    /// The hazard that it raised is a candidate, and nobody has judged it.
    CandidateWaits,
    Released,
    Removed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Plain,
    Latching,
    Unheard,
}

/// What a person says to an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Acknowledge,
    Reset,
}

impl Answer {
    /// What it moves, what it is called, and the states that it needs.
    fn means(self) -> (Move, AlarmEvent, &'static str) {
        match self {
            Self::Acknowledge => (
                Move::Acknowledged,
                AlarmEvent::Acknowledged,
                "unacknowledged, or returned and unacknowledged",
            ),
            Self::Reset => (Move::Reset, AlarmEvent::Reset, "latched and acknowledged"),
        }
    }
}

impl AlarmState {
    /// The table at the head of this file. `None`: nothing changes.
    pub(crate) fn after(self, by: Move) -> Option<Self> {
        match (by, self) {
            (Move::Onset, _) => Some(Self::Unacknowledged),
            (Move::Cleared(Ending::Plain), Self::Unacknowledged) => Some(Self::Returned),
            (Move::Cleared(Ending::Plain), Self::Acknowledged) => Some(Self::Normal),
            (Move::Cleared(Ending::Latching), Self::Unacknowledged) => Some(Self::LatchedUnacknowledged),
            (Move::Cleared(Ending::Latching), Self::Acknowledged) => Some(Self::Latched),
            (Move::Cleared(Ending::Unheard), Self::Unacknowledged | Self::Acknowledged) => Some(Self::Normal),
            (Move::Acknowledged, Self::Unacknowledged) => Some(Self::Acknowledged),
            (Move::Acknowledged, Self::Returned) => Some(Self::Normal),
            (Move::Acknowledged, Self::LatchedUnacknowledged) => Some(Self::Latched),
            (Move::Reset, Self::Latched) => Some(Self::Normal),
            (
                Move::ReAlarmed | Move::CandidateWaits | Move::Released,
                Self::Unacknowledged | Self::Acknowledged,
            ) => Some(Self::Unacknowledged),
            (Move::CandidateWaits, Self::Normal | Self::Returned) => Some(Self::Returned),
            (Move::CandidateWaits, Self::LatchedUnacknowledged | Self::Latched) => {
                Some(Self::LatchedUnacknowledged)
            }
            (
                Move::Removed,
                Self::Unacknowledged
                | Self::Acknowledged
                | Self::Returned
                | Self::LatchedUnacknowledged
                | Self::Latched,
            ) => Some(Self::Normal),
            (Move::Removed, Self::Normal)
            | (Move::Reset, _)
            | (
                Move::Cleared(_) | Move::ReAlarmed | Move::Released,
                Self::Normal | Self::Returned | Self::LatchedUnacknowledged | Self::Latched,
            )
            | (Move::Acknowledged, Self::Normal | Self::Acknowledged | Self::Latched) => None,
        }
    }

    /// The condition is still there, seen by a person or not.
    pub fn is_active(self) -> bool {
        match self {
            Self::Unacknowledged | Self::Acknowledged => true,
            Self::Normal | Self::Returned | Self::LatchedUnacknowledged | Self::Latched => false,
        }
    }

    /// A person has still to see it.
    pub fn is_unseen(self) -> bool {
        match self {
            Self::Unacknowledged | Self::Returned | Self::LatchedUnacknowledged => true,
            Self::Normal | Self::Acknowledged | Self::Latched => false,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Unacknowledged => "unacknowledged",
            Self::Acknowledged => "acknowledged",
            Self::Returned => "returned",
            Self::LatchedUnacknowledged => "latched_unacknowledged",
            Self::Latched => "latched",
        }
    }
}

impl AlarmRecord {
    /// Whether it is on the operator's list, or on that of what is withheld.
    pub fn stands(&self) -> bool {
        self.state != AlarmState::Normal
            || self.withheld.shelved.is_some()
            || self.withheld.out_of_service.is_some()
    }

    /// An operator hears of it.
    pub fn is_annunciated(&self) -> bool {
        self.state != AlarmState::Normal && !self.withheld.is_some()
    }
}

impl Alarms {
    /// An end is as far off as the wall clock says, and never farther than it was when it began: a clock
    /// that lost its time makes no shelf longer.
    pub(crate) fn restored(records: Vec<AlarmRecord>, now: Now) -> Self {
        let mut ends = BTreeMap::new();
        for record in &records {
            let Withheld { shelved, out_of_service, .. } = &record.withheld;
            let shelf = shelved.as_ref().map(|of| (Cover::Shelf, of.since, of.until));
            let out = out_of_service.as_ref();
            let out = out.and_then(|of| Some((Cover::OutOfService, of.since, of.until?)));
            for (cover, since, until) in shelf.into_iter().chain(out) {
                let end = now.mono.after(left(until, now.wall).min(left(until, since)));
                ends.insert((cover, record.id.clone()), end);
            }
        }
        let records = records.into_iter().map(|record| (record.id.clone(), Arc::new(record))).collect();
        Self { records, ends }
    }

    /// Those that are not normal, and those that a person has laid something over, by id.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Arc<AlarmRecord>> {
        self.records.values().filter(|record| record.stands())
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Arc<AlarmRecord>> {
        self.records.get(id)
    }

    /// Whether the episode is on: active, acknowledged or not.
    pub(crate) fn is_active(&self, id: &str) -> bool {
        self.records.get(id).is_some_and(|record| record.state.is_active())
    }

    /// When the newest episode began.
    pub(crate) fn since(&self, id: &str) -> Option<Wall> {
        self.records.get(id).map(|record| record.since)
    }

    /// Whether what it is about raises no hazard now.
    pub(crate) fn withholds_hazards(&self, id: &str) -> bool {
        self.records.get(id).is_some_and(|record| record.withheld.withholds_hazards())
    }

    /// Whether the hazard of its episode was withheld.
    pub(crate) fn owes_hazard(&self, id: &str) -> bool {
        self.records.get(id).is_some_and(|record| record.withheld.hazard)
    }

    /// The hazard of its episode falls due while it is withheld.
    pub(crate) fn owe_hazard(&mut self, id: &str, at: Wall, effects: &mut Vec<Effect>) {
        if !self.owes_hazard(id) {
            self.change(id, at, effects, |record| record.withheld.hazard = true);
        }
    }

    /// An episode begins. What lies over the alarm stays; `suppressed`: its unit is stopped.
    pub(crate) fn begin(
        &mut self,
        onset: Onset,
        suppressed: Option<Suppression>,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) {
        let id = onset.id.clone();
        let before = self.records.get(&id);
        let mut withheld =
            Withheld { suppressed, ..before.map_or_else(Default::default, |of| of.withheld.clone()) };
        withheld.hazard = withheld.withholds_hazards();
        // The loss of a source takes the class of what is lost this time.
        if Protected::of(onset.kind, onset.class, onset.priority, None).is_some() {
            withheld.shelved = None;
            self.ends.remove(&(Cover::Shelf, id.clone()));
        }
        let fresh = record_of(onset, before.map(AsRef::as_ref), at);
        let record = AlarmRecord {
            state: fresh.state.after(Move::Onset).unwrap_or(fresh.state),
            episode: fresh.episode + 1,
            turn: AlarmTurn { event: AlarmEvent::Onset, by: None, why: None },
            withheld,
            revision: fresh.revision + 1,
            ..fresh
        };
        let record = Arc::new(record);
        self.records.insert(id, Arc::clone(&record));
        effects.push(Effect::Alarm(record));
    }

    /// An episode ends: what nobody acknowledged waits for that, and a latch for its reset.
    pub(crate) fn end(&mut self, id: &str, latch: bool, at: Wall, effects: &mut Vec<Effect>) {
        let Some(record) = self.records.get(id) else { return };
        let ending = match (record.withheld.withholds_hazards(), latch, record.withheld.shelved.is_some()) {
            (false, true, _) => Ending::Latching,
            (true, _, _) | (false, false, true) => Ending::Unheard,
            (false, false, false) => Ending::Plain,
        };
        self.moves(id, Move::Cleared(ending), AlarmEvent::Cleared, None, at, effects);
    }

    /// What raised it is no longer in the plant: it is over, acknowledged or not, and so is what lies over it.
    pub(crate) fn remove(&mut self, id: &str, at: Wall, effects: &mut Vec<Effect>) {
        self.ends.retain(|(_, alarm), _| alarm != id);
        if self.records.get(id).is_some_and(|record| record.stands()) {
            self.change(id, at, effects, |record| {
                record.state = record.state.after(Move::Removed).unwrap_or(record.state);
                record.withheld = Withheld::default();
                record.turn = AlarmTurn { event: AlarmEvent::Removed, by: None, why: None };
            });
        }
    }

    /// A person has seen an alarm, or resets its latch. `known`: whether an id that never alarmed is one of
    /// the plant's.
    pub(crate) fn answer(
        &mut self,
        id: &str,
        answer: Answer,
        by: &str,
        known: impl Fn(&str) -> bool,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let never = || known(id).then_some(AlarmState::Normal);
        let Some(state) = self.records.get(id).map(|record| record.state).or_else(never) else {
            return Err(self.unknown(id));
        };
        let (by_answer, event, needs) = answer.means();
        if self.moves(id, by_answer, event, Some(by), at, effects) {
            return Ok(());
        }
        Err(Refusal::WrongState { is: state.word().to_owned(), needs: needs.to_owned() })
    }

    pub(crate) fn unknown(&self, id: &str) -> Refusal {
        let nearest = nearest(id, self.open().map(|record| record.id.as_str())).map(str::to_owned);
        Refusal::UnknownAlarm { alarm: id.to_owned(), nearest }
    }

    /// Annunciates anew what nothing lies over.
    pub(crate) fn again(&mut self, id: &str, by: Move, at: Wall, effects: &mut Vec<Effect>) {
        if self.records.get(id).is_some_and(|record| !record.withheld.is_some()) {
            self.moves(id, by, AlarmEvent::ReAlarmed, None, at, effects);
        }
    }

    /// Lays a shelf or an out-of-service over an alarm, until `end` by elapsed time. `idle`: what the alarm
    /// is, should it never have been one.
    pub(crate) fn cover(
        &mut self,
        id: &str,
        what: Laid,
        end: Option<Mono>,
        idle: Option<Onset>,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(idle) = idle.filter(|_| !self.records.contains_key(id)) {
            self.records.insert(id.to_owned(), Arc::new(record_of(idle, None, at)));
        }
        let cover = match &what {
            Laid::Shelf(_) => Cover::Shelf,
            Laid::OutOfService(_) => Cover::OutOfService,
        };
        if let Some(end) = end {
            self.ends.insert((cover, id.to_owned()), end);
        }
        self.change(id, at, effects, |record| {
            let (event, by, why) = match &what {
                Laid::Shelf(of) => (AlarmEvent::Shelved, &of.by, &of.why),
                Laid::OutOfService(of) => (AlarmEvent::TakenOut, &of.by, &of.why),
            };
            record.turn = AlarmTurn { event, by: Some(by.clone()), why: Some(why.clone()) };
            match what {
                Laid::Shelf(of) => record.withheld.shelved = Some(of),
                Laid::OutOfService(of) => record.withheld.out_of_service = Some(of),
            }
        });
    }

    /// Takes a cover off; what nothing lies over any more is released. `None`: it was not on; else whether
    /// the hazard of the episode is owed now.
    pub(crate) fn uncover(
        &mut self,
        id: &str,
        cover: Cover,
        turn: AlarmTurn,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) -> Option<bool> {
        self.ends.remove(&(cover, id.to_owned()));
        let withheld = &self.records.get(id)?.withheld;
        let on = match cover {
            Cover::Shelf => withheld.shelved.is_some(),
            Cover::OutOfService => withheld.out_of_service.is_some(),
        };
        let lift = |withheld: &mut Withheld| match cover {
            Cover::Shelf => withheld.shelved = None,
            Cover::OutOfService => withheld.out_of_service = None,
        };
        on.then(|| self.lift(id, turn, lift, at, effects))
    }

    /// Lays suppression over an alarm.
    pub(crate) fn suppress(
        &mut self,
        id: &str,
        suppressed: Suppression,
        turn: AlarmTurn,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) {
        self.change(id, at, effects, |record| {
            record.withheld.suppressed = Some(suppressed);
            record.turn = turn;
        });
    }

    /// Its unit runs again. Gives whether the hazard of the episode is owed now.
    pub(crate) fn unsuppress(
        &mut self,
        id: &str,
        turn: AlarmTurn,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) -> bool {
        self.lift(id, turn, |withheld| withheld.suppressed = None, at, effects)
    }

    /// Takes something off an alarm. What nothing lies over any more annunciates, if it is still active:
    /// what somebody acknowledged before is to be seen anew.
    fn lift(
        &mut self,
        id: &str,
        turn: AlarmTurn,
        lift: impl FnOnce(&mut Withheld),
        at: Wall,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let mut owed = false;
        self.change(id, at, effects, |record| {
            lift(&mut record.withheld);
            record.turn = turn;
            if !record.withheld.withholds_hazards() {
                owed = std::mem::take(&mut record.withheld.hazard) && record.state.is_active();
            }
            let released = record.state.after(Move::Released).filter(|_| !record.withheld.is_some());
            if let Some(state) = released {
                record.state = state;
                record.acknowledged_by = None;
            }
        });
        owed
    }

    /// When the next cover ends: by the calendar, and at the latest by elapsed time.
    pub(crate) fn next_end(&self, calendar: &Calendar) -> Option<Mono> {
        self.ends.iter().map(|((cover, id), end)| self.end_of(*cover, id, *end, calendar)).min()
    }

    /// The covers whose end has come.
    pub(crate) fn ended(&self, calendar: &Calendar, now: Mono) -> Vec<(Cover, String)> {
        let ended =
            self.ends.iter().filter(|((cover, id), end)| self.end_of(*cover, id, **end, calendar) <= now);
        ended.map(|(key, _)| key.clone()).collect()
    }

    fn end_of(&self, cover: Cover, id: &str, elapsed: Mono, calendar: &Calendar) -> Mono {
        let withheld = self.records.get(id).map(|record| &record.withheld);
        let until = withheld.and_then(|withheld| match cover {
            Cover::Shelf => withheld.shelved.as_ref().map(|of| of.until),
            Cover::OutOfService => withheld.out_of_service.as_ref().and_then(|of| of.until),
        });
        until.and_then(|until| calendar.instant_of(until)).map_or(elapsed, |instant| instant.min(elapsed))
    }

    /// Whether the state moved.
    fn moves(
        &mut self,
        id: &str,
        by: Move,
        event: AlarmEvent,
        who: Option<&str>,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(next) = self.records.get(id).and_then(|record| record.state.after(by)) else { return false };
        self.change(id, at, effects, |record| {
            record.state = next;
            record.turn = AlarmTurn { event, by: who.map(str::to_owned), why: None };
            match by {
                Move::Acknowledged => record.acknowledged_by = who.map(str::to_owned),
                Move::ReAlarmed | Move::CandidateWaits => record.acknowledged_by = None,
                Move::Cleared(_) => {
                    record.withheld.suppressed = None;
                    record.withheld.hazard = false;
                }
                Move::Onset | Move::Reset | Move::Released | Move::Removed => {}
            }
        });
        true
    }

    fn change(
        &mut self,
        id: &str,
        at: Wall,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut AlarmRecord),
    ) {
        if let Some(record) = self.records.get_mut(id) {
            let of = Arc::make_mut(record);
            change(of);
            of.changed = at;
            of.revision += 1;
            effects.push(Effect::Alarm(Arc::clone(record)));
        }
    }
}

/// What a person lays over an alarm.
#[derive(Debug)]
pub(crate) enum Laid {
    Shelf(Shelf),
    OutOfService(OutOfService),
}

/// An alarm as it is before the next thing happens to it: its newest record under what is now known of it.
fn record_of(of: Onset, before: Option<&AlarmRecord>, at: Wall) -> AlarmRecord {
    AlarmRecord {
        id: of.id,
        kind: of.kind,
        state: before.map_or(AlarmState::Normal, |before| before.state),
        class: of.class,
        priority: of.priority,
        unit: of.unit,
        measure: of.measure,
        words: of.words,
        guidance: of.guidance,
        tags: of.tags,
        blinds: of.blinds,
        episode: before.map_or(0, |before| before.episode),
        since: at,
        changed: at,
        acknowledged_by: None,
        on_unknown: of.on_unknown,
        evidence: of.evidence,
        turn: AlarmTurn::default(),
        withheld: Withheld::default(),
        revision: before.map_or(0, |before| before.revision),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [AlarmState; 6] = [
        AlarmState::Normal,
        AlarmState::Unacknowledged,
        AlarmState::Acknowledged,
        AlarmState::Returned,
        AlarmState::LatchedUnacknowledged,
        AlarmState::Latched,
    ];

    const MOVES: [(&str, Move); 10] = [
        ("onset", Move::Onset),
        ("cleared", Move::Cleared(Ending::Plain)),
        ("cleared, latching", Move::Cleared(Ending::Latching)),
        ("cleared, unheard", Move::Cleared(Ending::Unheard)),
        ("acknowledged", Move::Acknowledged),
        ("reset", Move::Reset),
        ("re-alarmed", Move::ReAlarmed),
        ("candidate waits", Move::CandidateWaits),
        ("released", Move::Released),
        ("removed", Move::Removed),
    ];

    /// The cells of the table's lines, the rule beneath its head left out.
    fn table() -> Vec<Vec<&'static str>> {
        let lines = include_str!("alarm.rs").lines().filter_map(|line| line.strip_prefix("//! |"));
        let cells = lines.map(|line| line.trim_end_matches('|').split('|').map(str::trim).collect());
        cells.filter(|cells: &Vec<&str>| !cells[0].starts_with('-')).collect()
    }

    #[test]
    fn the_table_of_the_docs_is_the_code() {
        let table = table();
        let head: Vec<&str> = std::iter::once("state").chain(MOVES.map(|(name, _)| name)).collect();
        assert_eq!(table[0], head);
        assert_eq!(table.len(), 1 + STATES.len());
        for (state, line) in STATES.into_iter().zip(&table[1..]) {
            let code = MOVES.map(|(_, by)| state.after(by).map_or("-", AlarmState::word));
            let code: Vec<&str> = std::iter::once(state.word()).chain(code).collect();
            assert_eq!(*line, code);
        }
    }
}
