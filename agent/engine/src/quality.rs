//! How good the alarms are, by EEMUA 191: how many a person hears, how they cluster, which are the worst.
//!
//! Measured on received time from what was annunciated, over the last day and the last week; it starts anew
//! with the process and says how much it covers. It changes nothing that is raised: a flood regroups the
//! board and no more.
//!
//! Bounded: a week of ten-minute slots (1,009, 48 bytes each), the last ten minutes by the second (601), and
//! for each of at most 4,096 alarms that were heard its last three onsets and a week in four-hour parts (43),
//! some 600 bytes. Annunciations of further alarms are counted, only not by name.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use riskgate_point::{Mono, Now};
use serde::{Deserialize, Serialize};

use crate::task::left;
use crate::{AlarmEvent, AlarmRecord, Priority};

const SLOT: Duration = Duration::from_mins(10);
const DAY_SLOTS: u64 = 144;
const WEEK_SLOTS: u64 = 7 * DAY_SLOTS;
/// Alarms by name are counted in parts of so many slots.
const PART_SLOTS: u64 = 24;
const ALARMS_MAX: usize = 4_096;
/// A flood begins with more than these in a slot's length, and ends below the others.
const FLOOD_BEGINS: u32 = 10;
const FLOOD_ENDS: u32 = 5;
const CHATTER_ONSETS: usize = 3;
const CHATTER_WITHIN: Duration = Duration::from_secs(60);
const STALE_AFTER: Duration = Duration::from_hours(24);
const WORST: usize = 10;

/// The figures at one moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Quality {
    /// More than 10 were annunciated in 10 min, and not yet fewer than 5.
    pub flood: bool,
    /// On the operator's list.
    pub standing: usize,
    /// Three onsets or more in 60 s, by id.
    pub chattering: Vec<String>,
    /// Active for over 24 h, by id.
    pub stale: Vec<String>,
    pub shelved: usize,
    /// By a stop of their unit (停用检维修), be it for maintenance or else.
    pub suppressed: usize,
    /// By a person, one by one: what an instrument needs while it is mended in a unit that runs.
    pub out_of_service: usize,
    pub day: QualityWindow,
    pub week: QualityWindow,
}

/// The same over a time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct QualityWindow {
    /// What of it was measured: the agent may have started since.
    pub covered_s: u64,
    pub annunciated: u64,
    pub per_10_min: f64,
    pub peak_10_min: u32,
    /// From 0 to 1.
    pub flood_share: f64,
    /// The alarms that were heard most, with how often.
    pub worst: Vec<(String, u32)>,
    /// Of the annunciated, from 0 to 1: EEMUA 191 wants about 5 % critical and high, 15 % medium, 80 % low.
    pub by_priority: BTreeMap<Priority, f64>,
}

#[derive(Debug)]
pub(crate) struct Tally {
    began: Mono,
    /// By the slot's number since boot.
    slots: BTreeMap<u64, Slot>,
    heard: BTreeMap<String, Heard>,
    /// Since when each active alarm is.
    active: BTreeMap<String, Mono>,
    /// How many were annunciated in which second of the last slot's length.
    recent: VecDeque<(u64, u32)>,
    flood_since: Option<Mono>,
}

#[derive(Debug, Default)]
struct Slot {
    by_priority: BTreeMap<Priority, u32>,
    flood: Duration,
}

#[derive(Debug, Default)]
struct Heard {
    /// Oldest first, at most [`CHATTER_ONSETS`].
    onsets: VecDeque<Mono>,
    parts: BTreeMap<u64, u32>,
}

impl Tally {
    pub(crate) fn new(began: Mono) -> Self {
        Self {
            began,
            slots: BTreeMap::new(),
            heard: BTreeMap::new(),
            active: BTreeMap::new(),
            recent: VecDeque::new(),
            flood_since: None,
        }
    }

    /// After a restart: since when alarms are active, as far as the wall clock tells.
    pub(crate) fn resume<'a>(&mut self, open: impl Iterator<Item = &'a AlarmRecord>, now: Now) {
        for record in open.filter(|record| record.state.is_active()) {
            self.active.insert(record.id.clone(), now.mono.before(left(now.wall, record.since)));
        }
    }

    /// An alarm changed. Gives when a flood that it is part of may be over.
    pub(crate) fn note(&mut self, record: &AlarmRecord, at: Mono) -> Option<Mono> {
        if !record.state.is_active() {
            self.active.remove(&record.id);
        } else if record.turn.event == AlarmEvent::Onset || !self.active.contains_key(&record.id) {
            self.active.insert(record.id.clone(), at);
        }
        if !is_annunciation(record) {
            return None;
        }
        self.hear(record, at);
        self.recent.retain(|(second, _)| second + SLOT.as_secs() > seconds(at));
        let heard: u32 = self.recent.iter().map(|(_, count)| count).sum();
        if heard > FLOOD_BEGINS && self.flood_since.is_none() {
            self.flood_since = Some(at);
        }
        self.flood_since.map(|_| self.flood_end())
    }

    fn hear(&mut self, record: &AlarmRecord, at: Mono) {
        let slot = slot(at);
        self.slots = self.slots.split_off(&slot.saturating_sub(WEEK_SLOTS));
        let of_slot = self.slots.entry(slot).or_default();
        let of_priority = of_slot.by_priority.entry(record.priority).or_default();
        *of_priority = of_priority.saturating_add(1);
        match self.recent.back_mut() {
            Some((second, count)) if *second == seconds(at) => *count = count.saturating_add(1),
            Some(_) | None => self.recent.push_back((seconds(at), 1)),
        }
        let part = slot / PART_SLOTS;
        let oldest = part.saturating_sub(WEEK_SLOTS / PART_SLOTS);
        if !self.heard.contains_key(&record.id) && self.heard.len() >= ALARMS_MAX {
            self.heard.retain(|_, heard| heard.parts.keys().any(|part| *part >= oldest));
        }
        if self.heard.contains_key(&record.id) || self.heard.len() < ALARMS_MAX {
            let heard = self.heard.entry(record.id.clone()).or_default();
            heard.parts = heard.parts.split_off(&oldest);
            *heard.parts.entry(part).or_default() += 1;
            if record.turn.event == AlarmEvent::Onset {
                heard.onsets.push_back(at);
                while heard.onsets.len() > CHATTER_ONSETS {
                    heard.onsets.pop_front();
                }
            }
        }
    }

    /// When fewer than [`FLOOD_ENDS`] are left, should no other come.
    fn flood_end(&self) -> Mono {
        let mut left: u32 = self.recent.iter().map(|(_, count)| count).sum();
        let last = self.recent.iter().find(|(_, count)| {
            left = left.saturating_sub(*count);
            left < FLOOD_ENDS
        });
        let second = last.map_or(0, |(second, _)| *second);
        Mono(0).after(Duration::from_secs(second) + SLOT)
    }

    /// Gives when to look again, if it is not over.
    pub(crate) fn flood_may_end(&mut self, at: Mono) -> Option<Mono> {
        let since = self.flood_since?;
        self.recent.retain(|(second, _)| second + SLOT.as_secs() > seconds(at));
        if self.recent.iter().map(|(_, count)| count).sum::<u32>() >= FLOOD_ENDS {
            return Some(self.flood_end());
        }
        self.flood_since = None;
        for (slot, length) in slots_between(since, at) {
            self.slots.entry(slot).or_default().flood += length;
        }
        None
    }

    /// `open`: as [`crate::Engine::alarms`] has them.
    pub(crate) fn view<'a>(&self, now: Mono, open: impl Iterator<Item = &'a AlarmRecord>) -> Quality {
        let mut view = Quality {
            flood: self.flood_since.is_some(),
            day: self.window(DAY_SLOTS, now),
            week: self.window(WEEK_SLOTS, now),
            ..Quality::default()
        };
        for record in open {
            let (withheld, id) = (&record.withheld, &record.id);
            view.shelved += usize::from(withheld.shelved.is_some());
            view.suppressed += usize::from(withheld.suppressed.is_some());
            view.out_of_service += usize::from(withheld.out_of_service.is_some());
            if !record.is_annunciated() {
                continue;
            }
            view.standing += 1;
            if self.active.get(id).is_some_and(|since| now.since(*since) > STALE_AFTER) {
                view.stale.push(id.clone());
            }
        }
        let chatters = |heard: &Heard| {
            heard.onsets.len() >= CHATTER_ONSETS
                && heard.onsets.front().is_some_and(|first| now.since(*first) <= CHATTER_WITHIN)
        };
        let chattering = self.heard.iter().filter(|(_, heard)| chatters(heard));
        view.chattering = chattering.map(|(id, _)| id.clone()).collect();
        view
    }

    fn window(&self, slots: u64, now: Mono) -> QualityWindow {
        // The slot that is running counts as one; together they are the window or a little less.
        let first = (slot(now) + 1).saturating_sub(slots);
        let begin = self.began.max(Mono(0).after(SLOT * u32::try_from(first).unwrap_or(u32::MAX)));
        let covered = now.since(begin);
        let mut by_priority: BTreeMap<Priority, u32> = BTreeMap::new();
        let mut peak = 0;
        let mut flood: Duration =
            self.flood_since.map_or(Duration::ZERO, |since| now.since(since.max(begin)));
        for slot in self.slots.range(first..).map(|(_, slot)| slot) {
            peak = peak.max(slot.by_priority.values().sum());
            flood += slot.flood;
            for (priority, count) in &slot.by_priority {
                *by_priority.entry(*priority).or_default() += count;
            }
        }
        let all: u64 = by_priority.values().copied().map(u64::from).sum();
        let parts = first.div_ceil(PART_SLOTS)..;
        let heard = self
            .heard
            .iter()
            .map(|(id, of)| (id.clone(), of.parts.range(parts.clone()).map(|(_, n)| n).sum()));
        let mut worst: Vec<(String, u32)> = heard.filter(|(_, count)| *count > 0).collect();
        worst.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        worst.truncate(WORST);
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        QualityWindow {
            covered_s: covered.as_secs(),
            annunciated: all,
            per_10_min: float(all) / (covered.as_secs_f64() / SLOT.as_secs_f64()).max(1.0),
            peak_10_min: peak,
            flood_share: share(flood.as_secs_f64(), covered.as_secs_f64()).min(1.0),
            worst,
            by_priority: by_priority
                .into_iter()
                .map(|(priority, count)| (priority, share(f64::from(count), float(all))))
                .collect(),
        }
    }
}

/// A person hears of it now: it began, it came back, or what withheld it ended.
fn is_annunciation(record: &AlarmRecord) -> bool {
    let heard = record.is_annunciated() && record.state.is_unseen();
    match record.turn.event {
        AlarmEvent::ReAlarmed => heard,
        AlarmEvent::Onset
        | AlarmEvent::Unshelved
        | AlarmEvent::ShelfEnded
        | AlarmEvent::UnitStarted
        | AlarmEvent::PutBack
        | AlarmEvent::OutOfServiceEnded => heard && record.state.is_active(),
        AlarmEvent::Cleared
        | AlarmEvent::Acknowledged
        | AlarmEvent::Reset
        | AlarmEvent::Shelved
        | AlarmEvent::UnitStopped
        | AlarmEvent::TakenOut
        | AlarmEvent::Removed
        | AlarmEvent::Unsaid => false,
    }
}

fn seconds(at: Mono) -> u64 {
    at.since(Mono(0)).as_secs()
}

fn slot(at: Mono) -> u64 {
    seconds(at) / SLOT.as_secs()
}

/// A count is far below what a float holds exactly.
#[expect(clippy::cast_precision_loss, reason = "a count of alarms is far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

/// A stretch of time by slot; of one that is longer than a week its last week.
fn slots_between(from: Mono, to: Mono) -> impl Iterator<Item = (u64, Duration)> {
    let first = slot(from).max(slot(to).saturating_sub(WEEK_SLOTS));
    (first..=slot(to)).map(move |slot| {
        let begin = Mono(0).after(Duration::from_secs(slot * SLOT.as_secs()));
        let end = begin.after(SLOT).min(to);
        (slot, end.since(begin.max(from)))
    })
}
