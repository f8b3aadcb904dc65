//! What is so at an instant, by all that was told until then.
//!
//! Each question goes over the whole list of inputs since the engine was made. The one thing that is kept is what
//! each point read at each instant, for the windows.

use std::collections::{BTreeMap, BTreeSet};

use riskgate_engine::Class;

use crate::language::State;
use crate::site::{DCS, NVR, PTW, RTLS, SECOND, Site, ZONES, source_of};
use crate::truth::{Tri, and, or};

/// One thing that is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    Read(Read),
    Link {
        source: usize,
        up: bool,
    },
    Refreshed(usize),
    Fix(Fix),
    Sighting {
        kind: &'static str,
        confidence: u8,
        backfill: bool,
    },
    Condition {
        origin: u8,
        active: bool,
        acknowledged: bool,
        suppressed: bool,
        severity: u16,
    },
    Told,
    Lost,
    Permit(Permit),
    Act(Act),
    /// The wall clock is set by so many seconds.
    Step(i64),
    /// The machine is suspended for as long, and nobody asks the engine for anything.
    Sleep(u64),
    Restart,
    /// The configuration of this number.
    Reload(usize),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Read {
    pub(crate) point: usize,
    pub(crate) value: Value,
    pub(crate) uncertain: bool,
    pub(crate) told: Option<u64>,
    pub(crate) backfill: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    Bad,
    Number(f64),
    Switch(bool),
    Word(&'static str),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fix {
    pub(crate) tag: &'static str,
    pub(crate) person: Option<&'static str>,
    pub(crate) role: Option<&'static str>,
    pub(crate) zone: Option<&'static str>,
    pub(crate) sos: bool,
    pub(crate) spot: Option<f64>,
    pub(crate) told: Option<u64>,
    pub(crate) backfill: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Permit {
    pub(crate) id: u8,
    /// 0 before, 1 in work, 2 after.
    pub(crate) stage: u8,
    pub(crate) lifting: bool,
    pub(crate) place: Option<&'static str>,
    pub(crate) start: Option<u64>,
    pub(crate) end: Option<u64>,
    pub(crate) guardian: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    Acknowledge(String),
    Reset(String),
    /// The open hazards, by their place among them in the order of (measure, cause).
    Confirm(usize),
    Reject(usize),
    Rectify(usize),
    Accept(usize),
    Shelve(String, u64),
    Unshelve(String),
    TakeOut(String, Option<u64>),
    PutBack(String),
    Stop(&'static str),
    Start(&'static str),
}

/// On which side of a bound the truth may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    High,
    Low,
}

/// What a point reads.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    /// The last that was not bad.
    value: Option<Value>,
    quality: Quality,
    side: Option<Side>,
    pub(crate) received: Option<u64>,
    /// Since when it is bad, or is not.
    pub(crate) turned: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quality {
    Good,
    Bad,
    Stale,
}

impl Reading {
    pub(crate) fn is_bad(&self) -> bool {
        self.quality != Quality::Good
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.quality == Quality::Stale
    }

    /// Where it is bad and counts as still beyond its limit.
    pub(crate) fn side(&self) -> Option<Side> {
        self.side.filter(|_| self.is_bad())
    }

    fn counted(&self) -> Option<Value> {
        self.value.filter(|_| !self.is_bad() || self.side.is_some())
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match self.counted()? {
            Value::Number(number) => Some(number),
            Value::Switch(on) => Some(f64::from(u8::from(on))),
            Value::Bad | Value::Word(_) => None,
        }
    }

    pub(crate) fn on(&self) -> Tri {
        match self.counted()? {
            Value::Switch(on) => Some(on),
            Value::Number(number) => Some(number != 0.0),
            Value::Bad | Value::Word(_) => None,
        }
    }

    pub(crate) fn word(&self) -> Option<&'static str> {
        match self.counted()? {
            Value::Word(word) => Some(word),
            Value::Bad | Value::Number(_) | Value::Switch(_) => None,
        }
    }
}

/// How a source is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Source {
    /// `None`: it has not said.
    pub(crate) up: Option<bool>,
    pub(crate) since: u64,
    heard: u64,
    /// It has told something, ever.
    pub(crate) was_heard: bool,
    pub(crate) silent: bool,
    pub(crate) untold: bool,
    /// From the loss of its link until it is seen to be there.
    pub(crate) lost: bool,
    /// When that last ended.
    pub(crate) found: u64,
    /// When its fault is told, and when its measures have failed.
    pub(crate) fault_due: u64,
    pub(crate) hazard_due: u64,
}

impl Source {
    pub(crate) fn is_live(&self) -> bool {
        self.up == Some(true) && !self.silent
    }

    pub(crate) fn is_blind(&self) -> bool {
        self.lost || self.silent || self.untold
    }
}

/// All that the model knows at an instant.
pub(crate) struct World<'a> {
    pub(crate) now: u64,
    /// Since the start.
    pub(crate) inputs: &'a [(u64, Input)],
    /// What each point read at each instant, this one among them.
    pub(crate) read: &'a [Vec<(u64, Reading)>],
    pub(crate) sources: &'a [Source],
    pub(crate) actives: &'a BTreeMap<String, Tri>,
}

pub(crate) fn is_strict(class: Class) -> bool {
    matches!(class, Class::Gas | Class::Fire | Class::Sis | Class::People)
}

/// What a point reads at `now`, from all inputs until then.
pub(crate) fn reading_of(
    site: &Site,
    start: u64,
    inputs: &[(u64, Input)],
    point: usize,
    now: u64,
) -> Reading {
    let of = &site.points[point];
    let mut it = Reading { value: None, quality: Quality::Bad, side: None, received: None, turned: start };
    let (mut told_bad, mut told_time, mut disordered) = (true, None, false);
    // When it was last refreshed: itself, and by its source.
    let (mut itself, mut by_source) = (start, 0);
    let turn_bad = |it: &mut Reading, quality: Quality, at: u64| {
        if !it.is_bad() {
            it.side = match it.value {
                Some(Value::Number(number)) if matches!(of.class, Class::Gas | Class::Fire | Class::Sis) => {
                    let [ll, l, h, hh] = of.limits;
                    if [h, hh].into_iter().flatten().any(|limit| number >= limit) {
                        Some(Side::High)
                    } else if [l, ll].into_iter().flatten().any(|limit| number <= limit) {
                        Some(Side::Low)
                    } else {
                        None
                    }
                }
                _ => None,
            };
            it.turned = at;
        }
        it.quality = quality;
    };
    let age = |it: &mut Reading, itself: u64, by_source: u64, disordered: bool, at: u64| {
        let due = itself.max(if disordered { 0 } else { by_source }) + of.stale_after;
        if !it.is_bad() && due <= at {
            turn_bad(it, Quality::Stale, due);
        }
    };
    for (at, input) in inputs {
        age(&mut it, itself, by_source, disordered, *at);
        match input {
            Input::Read(read) if read.point == point => {
                let ordered = match it.quality {
                    Quality::Good => true,
                    Quality::Stale => false,
                    Quality::Bad => it.received.is_some_and(|last| at - last < of.stale_after),
                };
                let older = matches!((read.told, told_time), (Some(this), Some(last)) if this < last);
                if read.backfill || (ordered && older) {
                    disordered |= !read.backfill;
                    // Keep-alives do not count any more.
                    let fresh_until = itself.max(if disordered { 0 } else { by_source }) + of.stale_after;
                    if !it.is_bad() && fresh_until <= *at {
                        turn_bad(&mut it, Quality::Stale, *at);
                    }
                    continue;
                }
                itself = *at;
                disordered = false;
                told_bad = read.value == Value::Bad;
                if told_bad {
                    turn_bad(&mut it, Quality::Bad, *at);
                } else {
                    if it.is_bad() {
                        it.turned = *at;
                    }
                    it.value = Some(read.value);
                    it.quality = Quality::Good;
                    it.side = None;
                    it.received = Some(*at);
                    told_time = read.told.or(told_time);
                }
            }
            Input::Refreshed(source) if *source == source_of(point) => {
                by_source = *at;
                if it.is_stale() && !disordered && !told_bad {
                    it.quality = Quality::Good;
                    it.side = None;
                    it.turned = *at;
                }
            }
            _ => {}
        }
    }
    age(&mut it, itself, by_source, disordered, now);
    it
}

/// How a source is at `now`, from all inputs until then.
pub(crate) fn source_of_all(site: &Site, start: u64, inputs: &[(u64, Input)], id: usize, now: u64) -> Source {
    let points = (0..site.points.len()).filter(|point| source_of(*point) == id);
    let points: Vec<Class> = points.map(|point| site.points[point].class).collect();
    // The strictest class of what cannot be seen.
    let class = |lost: bool| {
        let told = match id {
            RTLS => Some(Class::People),
            NVR => Some(Class::Video),
            PTW => Some(Class::Permit),
            DCS => Some(Class::Process),
            _ => None,
        };
        points.iter().copied().filter(|_| lost).chain(told).max().unwrap_or(Class::System)
    };
    let wait = |it: &mut Source, at: u64, going_on: bool| {
        let fault = at + if is_strict(class(it.lost)) { 10 * SECOND } else { site.patience };
        let hazard = fault.max(at + site.source_hazard);
        it.fault_due = if going_on { it.fault_due.min(fault) } else { fault };
        // What it blinds now beside what was raised before fails after an hour of its own.
        it.hazard_due = if going_on && it.hazard_due > at { it.hazard_due.min(hazard) } else { hazard };
    };
    let silence = match id {
        RTLS => site.silence[0],
        NVR => site.silence[1],
        PTW => site.silence[2],
        _ => None,
    };
    let age = |it: &mut Source, at: u64| {
        if let Some(silence) = silence
            && it.is_live()
            && it.heard + silence <= at
        {
            let due = it.heard + silence;
            let was_blind = it.is_blind();
            it.silent = true;
            wait(it, due, was_blind);
        }
    };
    let mut it = Source {
        up: None,
        since: start,
        heard: start,
        was_heard: false,
        silent: false,
        untold: id == DCS,
        lost: true,
        found: start,
        fault_due: 0,
        hazard_due: 0,
    };
    wait(&mut it, start, false);
    let find = |it: &mut Source, at: u64| {
        if it.lost {
            it.lost = false;
            it.found = at;
        }
    };
    // It is there, by a word of its own or by a reading.
    let answers = |it: &mut Source, was_silent: bool, at: u64| {
        if it.up.is_none() {
            it.up = Some(true);
            it.since = at;
        }
        if it.up == Some(true) && (it.lost || was_silent) {
            find(it, at);
        }
    };
    let hear = |it: &mut Source, at: u64| {
        it.heard = at;
        it.was_heard = true;
        let was_silent = std::mem::take(&mut it.silent);
        answers(it, was_silent, at);
    };
    for (nth, (at, input)) in inputs.iter().enumerate() {
        age(&mut it, *at);
        match input {
            Input::Link { source, up } if *source == id => {
                let (was_up, was_blind) = (it.up == Some(true), it.is_blind());
                it.up = Some(*up);
                if !up {
                    it.untold = id == DCS;
                }
                if was_up == *up {
                    continue;
                }
                it.since = *at;
                if *up {
                    it.heard = *at;
                    it.silent = false;
                    if points.is_empty() {
                        find(&mut it, *at);
                    }
                } else if !it.lost {
                    it.lost = true;
                    wait(&mut it, *at, was_blind);
                }
            }
            // What is waited for goes on; what was told already is waited for anew.
            Input::Reload(_) if it.is_blind() => {
                let (fault, hazard) = (it.fault_due, it.hazard_due);
                wait(&mut it, *at, false);
                it.fault_due = if fault > *at { it.fault_due.min(fault) } else { it.fault_due };
                it.hazard_due = if hazard > *at { it.hazard_due.min(hazard) } else { it.hazard_due };
            }
            Input::Read(read) if source_of(read.point) == id && it.lost && read.value != Value::Bad => {
                // A reading that is too late is none.
                let reading = reading_of(site, start, &inputs[..=nth], read.point, *at);
                if reading.received == Some(*at) && !read.backfill && !reading.is_bad() {
                    answers(&mut it, false, *at);
                }
            }
            Input::Refreshed(source) if *source == id => hear(&mut it, *at),
            Input::Fix(fix) if id == RTLS && !fix.backfill => hear(&mut it, *at),
            Input::Sighting { backfill: false, .. } if id == NVR => hear(&mut it, *at),
            Input::Permit(_) if id == PTW => hear(&mut it, *at),
            Input::Condition { .. } if id == DCS => hear(&mut it, *at),
            Input::Told if id == DCS => {
                hear(&mut it, *at);
                it.untold = false;
            }
            Input::Lost if id == DCS && !it.untold => {
                let was_blind = it.is_blind();
                it.untold = true;
                wait(&mut it, *at, was_blind);
            }
            _ => {}
        }
    }
    age(&mut it, now);
    it
}

/// A tag that is in a zone.
struct Tag {
    name: &'static str,
    person: Option<&'static str>,
    role: Option<&'static str>,
    zone: &'static str,
    seen: u64,
    told: Option<u64>,
    sos: bool,
    spot: Option<f64>,
    moved: u64,
}

impl Tag {
    fn who(&self) -> (bool, &'static str) {
        self.person.map_or((false, self.name), |person| (true, person))
    }

    fn is_lost(&self, now: u64) -> bool {
        self.seen + 30 * SECOND <= now
    }
}

/// Its place is none of the plant.
pub(crate) fn is_elsewhere(permit: &Permit) -> bool {
    permit.place == Some("U-9")
}

fn zones_of(place: &str) -> Vec<&'static str> {
    ZONES.into_iter().filter(|zone| place == "U-1" || *zone == place).collect()
}

impl World<'_> {
    pub(crate) fn reading(&self, point: usize) -> &Reading {
        &self.read[point].last().unwrap().1
    }

    pub(crate) fn readings(&self, point: usize) -> impl DoubleEndedIterator<Item = (u64, &Reading)> {
        self.read[point].iter().map(|(at, reading)| (*at, reading))
    }

    pub(crate) fn active(&self, rule: &str) -> Tri {
        self.actives[rule]
    }

    /// Where every tag is that is somewhere.
    fn tags(&self) -> Vec<Tag> {
        let mut tags: BTreeMap<&str, Tag> = BTreeMap::new();
        for (at, input) in self.inputs {
            let Input::Fix(fix) = input else { continue };
            let before = tags.remove(fix.tag);
            let older = |of: &Tag| matches!((fix.told, of.told), (Some(this), Some(last)) if this < last);
            // A call for help is kept wherever it comes from.
            match (before, fix.zone.or(fix.sos.then_some("outside"))) {
                (Some(before), _) if fix.backfill || (older(&before) && !before.is_lost(*at)) => {
                    tags.insert(fix.tag, before);
                }
                (_, None) => {}
                (None, _) if fix.backfill => {}
                (before, Some(zone)) => {
                    let (spot, moved) = match (&before, fix.spot) {
                        (None, spot) => (spot, *at),
                        (Some(before), None) => (before.spot, before.moved),
                        (Some(before), Some(spot)) => match before.spot {
                            Some(from) if (spot - from).abs() <= 3.0 => (before.spot, before.moved),
                            _ => (Some(spot), *at),
                        },
                    };
                    let Fix { tag: name, person, role, sos, told, .. } = *fix;
                    tags.insert(name, Tag { name, person, role, zone, seen: *at, told, sos, spot, moved });
                }
            }
        }
        tags.into_values().collect()
    }

    pub(crate) fn whereabouts(&self, tag: &str) -> Option<&'static str> {
        self.tags().into_iter().find(|of| of.name == tag).map(|of| of.zone)
    }

    fn tags_in(&self, place: &str) -> Option<Vec<Tag>> {
        let zones = zones_of(place);
        let here = self.tags().into_iter().filter(|tag| zones.contains(&tag.zone)).collect();
        self.sources[RTLS].is_live().then_some(here)
    }

    pub(crate) fn people(&self, place: &str, role: Option<&str>, present: bool) -> Option<u32> {
        let tags = self.tags_in(place)?;
        let counts = |tag: &&Tag| role.is_none_or(|role| tag.role == Some(role));
        let fresh = |tag: &&Tag| !present || !tag.is_lost(self.now);
        let who: BTreeSet<_> = tags.iter().filter(counts).filter(fresh).map(Tag::who).collect();
        u32::try_from(who.len()).ok()
    }

    pub(crate) fn lone(&self, place: &str) -> Tri {
        let (all, present) = (self.people(place, None, false)?, self.people(place, None, true)?);
        if present == 0 && all > 0 { None } else { Some(present == 1) }
    }

    pub(crate) fn sos(&self, place: &str) -> Tri {
        Some(self.tags_in(place)?.iter().any(|tag| tag.sos))
    }

    pub(crate) fn still(&self, place: &str, d: u64) -> Tri {
        let mut persons: BTreeMap<_, Tri> = BTreeMap::new();
        for tag in self.tags_in(place)? {
            let rests = match tag.spot {
                None => None,
                Some(_) if tag.moved + d > self.now => Some(false),
                Some(_) if tag.is_lost(self.now) => None,
                Some(_) => Some(true),
            };
            let person = persons.entry(tag.who()).or_insert(Some(true));
            *person = and(*person, rests);
        }
        persons.into_values().fold(Some(false), or)
    }

    pub(crate) fn seen(&self, kind: &str, confidence: u8, window: u64, times: usize) -> Tri {
        let seen = self.inputs.iter().filter(|(at, input)| {
            let Input::Sighting { kind: of, confidence: sure, backfill: false } = input else { return false };
            *of == kind && *sure >= confidence && at + window > self.now
        });
        match seen.count() >= times {
            true => Some(true),
            false => self.sources[NVR].is_live().then_some(false),
        }
    }

    pub(crate) fn told(&self, name: &str, state: State, severity: u16) -> Tri {
        let source = &self.sources[DCS];
        if source.up != Some(true) || source.untold {
            return None;
        }
        // Each condition as it was last told, and whether that was since the source last lost what it told.
        let mut conditions: BTreeMap<u8, (&Input, bool)> = BTreeMap::new();
        for (_, input) in self.inputs {
            match input {
                Input::Condition { origin, .. } => {
                    conditions.insert(*origin, (input, true));
                }
                Input::Told => conditions.retain(|_, (_, told)| *told),
                Input::Lost | Input::Link { source: DCS, up: false } => {
                    conditions.values_mut().for_each(|(_, told)| *told = false);
                }
                _ => {}
            }
        }
        let fits = |(origin, (input, _)): (&u8, &(&Input, bool))| {
            let Input::Condition { active, acknowledged, suppressed, severity: of, .. } = input else {
                return false;
            };
            let named = name == "HH" || name == format!("T{origin}/HH");
            let so = match state {
                State::Active => *active,
                State::Unacknowledged => !acknowledged,
                State::Suppressed => *suppressed,
            };
            named && so && *of >= severity
        };
        Some(conditions.iter().any(fits))
    }

    /// The tickets of a kind that are in work: whether each counts now, and where and under whom it is.
    fn tickets(&self, kind: &str) -> Vec<(Tri, Option<&'static str>, Option<&'static str>)> {
        let mut tickets: BTreeMap<u8, &Permit> = BTreeMap::new();
        for (_, input) in self.inputs {
            if let Input::Permit(permit) = input {
                tickets.insert(permit.id, permit);
            }
        }
        let works = |permit: &&&Permit| permit.stage == 1 && permit.lifting == (kind == "lifting");
        let here = tickets.values().filter(works).filter(|permit| !is_elsewhere(permit));
        let now = self.now;
        let each = here.map(|permit| {
            let valid =
                permit.start.is_none_or(|start| start <= now) && permit.end.is_none_or(|end| now < end);
            (Some(valid), permit.place, permit.guardian)
        });
        each.collect()
    }

    /// That nobody told of a permit means that there is none.
    fn permits_known(&self) -> bool {
        let feed = &self.sources[PTW];
        feed.is_live() && feed.was_heard && feed.since + 5 * SECOND <= self.now
    }

    pub(crate) fn permit(&self, kind: &str) -> Tri {
        let mut any = if self.permits_known() { Some(false) } else { None };
        for (valid, place, _) in self.tickets(kind) {
            let sure = place.is_some() && self.sources[PTW].is_live();
            any = or(any, if sure { valid } else { and(valid, None) });
        }
        any
    }

    pub(crate) fn guarded(&self, kind: &str) -> Tri {
        let mut all = if self.permits_known() { Some(true) } else { None };
        let everywhere = self.tags_in("U-1")?;
        for (valid, place, guardian) in self.tickets(kind) {
            let Some(place) = place else {
                all = and(all, None);
                continue;
            };
            let there = guardian.map(|name| {
                everywhere.iter().any(|tag| {
                    let named = tag.name == name || tag.person == Some(name);
                    named && zones_of(place).contains(&tag.zone) && !tag.is_lost(self.now)
                })
            });
            all = and(all, or(valid.map(|of| !of), there));
        }
        all
    }
}
