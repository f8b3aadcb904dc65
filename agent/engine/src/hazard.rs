//! Hazards: the records that measures have failed (隐患), at most one open for each (measure, cause).
//!
//! Rules that share a cause are one matter: their episode lasts from the first that begins to the last that
//! ends. Only persons close a hazard. A return to normal adds evidence, a repeat is counted, and after a
//! closing the next episode opens a new hazard that names the one before, and counts as a recurrence where
//! it comes soon after an acceptance. The time for rectification runs from the confirmation: what nobody has
//! judged yet is nobody's to mend.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Mono, Now, Wall};
use uuid::Uuid;

use crate::calendar::SANE;
use crate::plant::{HazardPlan, Plant};
use crate::task::left;
use crate::{
    ActRecord, Confirm, Effect, Epoch, Evidence, HazardRecord, HazardStage, Level, Patience, Raising,
    Refusal, Running, Words,
};

/// The namespace of hazard ids. Drawn once; another would make new ids for the same hazards.
const HAZARDS: Uuid = Uuid::from_u128(0x2c7f_90de_4b1a_4c55_8f3e_d604_91ab_7e26);

#[derive(Debug)]
pub(crate) struct Hazards {
    epoch: Epoch,
    /// By (measure, cause): that there is at most one open is what this map is.
    causes: BTreeMap<(String, String), Cause>,
    /// When the latest episodes of rules that raise after repeats began; at most as many as they wait for.
    onsets: BTreeMap<String, VecDeque<Onset>>,
    /// How many were ever counted.
    counted: u64,
}

/// When an episode began; before the boot of the machine there is no time but its age.
#[derive(Debug, Clone, Copy)]
struct Onset {
    at: Mono,
    age_then: Duration,
}

impl Onset {
    fn age(&self, now: Mono) -> Duration {
        self.age_then.saturating_add(now.since(self.at))
    }
}

/// One (measure, cause): its newest hazard and what is going on.
#[derive(Debug)]
struct Cause {
    newest: Arc<HazardRecord>,
    /// Of the rule that the newest stands for.
    gravity: u8,
    /// The rules of this cause whose episodes are on.
    active: BTreeSet<String>,
    /// The rule that the newest stands for took part since the first of `active` began.
    joined: bool,
}

/// A rule that raises.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raise<'a> {
    pub(crate) rule: &'a str,
    pub(crate) measure: &'a str,
    pub(crate) plan: &'a HazardPlan,
    pub(crate) on_unknown: bool,
    pub(crate) words: &'a Words,
    pub(crate) evidence: &'a Evidence,
    /// Found in history.
    pub(crate) late: bool,
    pub(crate) group: Option<Uuid>,
}

impl Raise<'_> {
    /// Goes upstream without a person: only a known verdict of a rule that is trusted with it, and never
    /// with level 重大.
    fn is_auto(&self) -> bool {
        let trusted = self.plan.confirm == Confirm::Auto && !self.on_unknown && !self.late;
        trusted && self.plan.level == Level::General
    }
}

impl Hazards {
    /// `records`: for each (measure, cause) the newest, open or not; older ones do no harm.
    /// Repeats age by the time that the agent was not there, as far as the clock tells.
    pub(crate) fn restored(epoch: Epoch, records: Vec<HazardRecord>, running: &Running, now: Now) -> Self {
        let mut causes: BTreeMap<(String, String), Cause> = BTreeMap::new();
        for record in records {
            let key = (record.measure.clone(), record.cause.clone());
            if causes.get(&key).is_none_or(|before| before.newest.opening < record.opening) {
                let active = BTreeSet::new();
                causes.insert(key, Cause { newest: Arc::new(record), gravity: 0, active, joined: false });
            }
        }
        let known = running.at >= SANE && now.wall >= SANE;
        let away = if known { left(now.wall, running.at) } else { Duration::ZERO };
        let onset = |age: &Duration| Onset { at: now.mono, age_then: age.saturating_add(away) };
        let onsets =
            running.onsets.iter().map(|(rule, ages)| (rule.clone(), ages.iter().map(onset).collect()));
        Self { epoch, causes, onsets: onsets.collect(), counted: 0 }
    }

    /// Says anew how grave the rules are, and which of them are active: after a restart or a reload.
    pub(crate) fn settle(
        &mut self,
        gravity: impl Fn(&str) -> u8,
        active: &BTreeMap<(String, String), BTreeSet<String>>,
    ) {
        for (key, of) in &mut self.causes {
            of.gravity = gravity(&of.newest.rule);
            of.active = active.get(key).cloned().unwrap_or_default();
            of.joined = of.active.contains(&of.newest.rule);
        }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = &Arc<HazardRecord>> {
        self.newest().filter(|record| record.stage.is_open())
    }

    /// The newest of each (measure, cause), open or not.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Arc<HazardRecord>> {
        self.causes.values().map(|cause| &cause.newest)
    }

    /// Counts an episode of a rule that raises after repeats: whether it is enough of them. While a hazard of
    /// the cause is open, each counts on it.
    pub(crate) fn is_repeated(
        &mut self,
        (rule, measure, cause): (&str, &str, &str),
        (times, within): (u32, Duration),
        at: Mono,
    ) -> bool {
        let onsets = self.onsets.entry(rule.to_owned()).or_default();
        onsets.push_back(Onset { at, age_then: Duration::ZERO });
        self.counted += 1;
        let times = usize::try_from(times).unwrap_or(usize::MAX);
        while onsets.len() > times || onsets.front().is_some_and(|first| first.age(at) > within) {
            onsets.pop_front();
        }
        let enough = onsets.len() >= times;
        let open = self.causes.get(&(measure.to_owned(), cause.to_owned()));
        enough || open.is_some_and(|cause| cause.newest.stage.is_open())
    }

    /// Forgets the episodes of rules that raise after repeats no more.
    pub(crate) fn count_only(&mut self, repeats: impl Fn(&str) -> bool) {
        self.onsets.retain(|rule, _| repeats(rule));
    }

    /// By rule, how long ago its latest episodes began.
    pub(crate) fn onsets(&self, now: Mono) -> BTreeMap<String, Vec<Duration>> {
        let ages = |of: &VecDeque<Onset>| of.iter().map(|onset| onset.age(now)).collect();
        self.onsets.iter().map(|(rule, of)| (rule.clone(), ages(of))).collect()
    }

    pub(crate) fn counted(&self) -> u64 {
        self.counted
    }

    /// Whether the newest of (measure, cause) is of the episode that began at `since`: after a restart or a
    /// reload, for what raises later than its alarm. One whose own episode had returned is of an earlier one,
    /// also where a person closed it during this.
    pub(crate) fn goes_on(&self, measure: &str, cause: &str, since: Wall) -> bool {
        self.causes.get(&(measure.to_owned(), cause.to_owned())).is_some_and(|cause| {
            let newest = &cause.newest;
            newest.returned.is_none() && (newest.stage.is_open() || newest.changed >= since)
        })
    }

    /// What history tells: a candidate for a person, unless it is known already. It takes part in no episode.
    pub(crate) fn raise_late(
        &mut self,
        plant: &Plant,
        raise: &Raise<'_>,
        happened: Option<Wall>,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) {
        let key = (raise.measure.to_owned(), raise.plan.cause.clone());
        let previous = match self.causes.get_mut(&key) {
            None => None,
            Some(cause) if cause.newest.stage.is_open() => return,
            // What is older than its closing was judged with it.
            Some(cause) if happened.is_none_or(|happened| happened <= cause.newest.changed) => return,
            Some(cause) => Some((Arc::clone(&cause.newest), std::mem::take(&mut cause.active))),
        };
        let active = previous.as_ref().map(|(_, active)| active.clone()).unwrap_or_default();
        self.open_new(plant, raise, key.clone(), previous, at, effects);
        if let Some(cause) = self.causes.get_mut(&key) {
            cause.joined = active.contains(raise.rule);
            cause.active = active;
        }
    }

    /// The earliest deadline of what is still to be rectified.
    pub(crate) fn next_deadline(&self) -> Option<Wall> {
        self.newest().filter(|record| can_be_overdue(record)).map(|record| record.deadline).min()
    }

    /// Tells of every hazard whose deadline is past.
    pub(crate) fn grow_overdue(&mut self, at: Wall, effects: &mut Vec<Effect>) {
        for cause in self.causes.values_mut() {
            if can_be_overdue(&cause.newest) && cause.newest.deadline <= at {
                cause.change(at, effects, |record| record.overdue = Some(record.deadline));
            }
        }
    }

    /// The id of what one loss raises.
    pub(crate) fn group(&self, plant: &Plant, cause: &str, at: Wall) -> Uuid {
        let epoch = self.epoch.0.to_string();
        let name = [plant.company(), plant.gateway(), &epoch, cause, &at.0.to_string()].join("\u{1f}");
        Uuid::new_v5(&HAZARDS, name.as_bytes())
    }

    /// A rule's episode begins.
    pub(crate) fn raise(&mut self, plant: &Plant, raise: &Raise<'_>, at: Wall, effects: &mut Vec<Effect>) {
        let key = (raise.measure.to_owned(), raise.plan.cause.clone());
        let Some(cause) = self.causes.get_mut(&key) else {
            self.open_new(plant, raise, key, None, at, effects);
            return;
        };
        // Its wait began anew with a restart or a reload, its episode did not.
        if cause.active.contains(raise.rule) {
            return;
        }
        // A rule that joins is the same episode; the rule that the hazard stands for, where it was in it
        // before, begins a new one.
        let stands = cause.newest.rule == raise.rule;
        let going_on = !(cause.active.is_empty() || stands && cause.joined);
        cause.joined |= stands;
        cause.active.insert(raise.rule.to_owned());
        let graver = raise.plan.gravity > cause.gravity;
        if cause.newest.stage.is_open() {
            cause.again(raise, going_on, graver, at, effects);
        } else if !going_on || graver {
            // What a person rejected or accepted stays so until its episode is over; only something
            // graver speaks up before.
            let active = std::mem::take(&mut cause.active);
            let previous = Arc::clone(&cause.newest);
            self.open_new(plant, raise, key, Some((previous, active)), at, effects);
        }
    }

    fn open_new(
        &mut self,
        plant: &Plant,
        raise: &Raise<'_>,
        key: (String, String),
        previous: Option<(Arc<HazardRecord>, BTreeSet<String>)>,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) {
        let (previous, mut active) =
            previous.map_or((None, BTreeSet::new()), |(of, active)| (Some(of), active));
        // What history tells of is over, as far as anybody can see.
        let returned = (raise.late && active.is_empty()).then_some(at);
        active.insert(raise.rule.to_owned());
        let opening = previous.as_ref().map_or(1, |previous| previous.opening + 1);
        let unit = plant.unit_of_measure(raise.measure);
        let recurrences = previous.as_ref().map_or(0, |previous| recurrences(previous, raise.plan, at));
        let auto = raise.is_auto();
        let name = [
            plant.company(),
            plant.gateway(),
            &self.epoch.0.to_string(),
            raise.measure,
            &raise.plan.cause,
            &opening.to_string(),
        ]
        // No id holds a control character, so no two names are the same.
        .join("\u{1f}");
        let record = Arc::new(HazardRecord {
            id: Uuid::new_v5(&HAZARDS, name.as_bytes()),
            opening,
            measure: raise.measure.to_owned(),
            unit: unit.map(|unit| unit.id.clone()).unwrap_or_default(),
            cause: raise.plan.cause.clone(),
            rule: raise.rule.to_owned(),
            level: raise.plan.level,
            stage: if auto { HazardStage::Rectifying } else { HazardStage::Candidate },
            words: raise.words.clone(),
            raised: at,
            changed: at,
            deadline: at.after(raise.plan.deadline),
            liable_person: unit.map(|unit| unit.liable_person.clone()).unwrap_or_default(),
            confirmed: auto.then_some(at),
            rectify_within: raise.plan.deadline,
            overdue: None,
            late: raise.late,
            group: raise.group,
            recurrences,
            repeats: 0,
            returned,
            previous: previous.map(|previous| previous.id),
            acts: Vec::new(),
            evidence: raise.evidence.clone(),
            revision: 1,
        });
        effects.push(Effect::Hazard(Arc::clone(&record)));
        let gravity = raise.plan.gravity;
        self.causes.insert(key, Cause { newest: record, gravity, active, joined: true });
    }

    /// A rule's episode ends.
    pub(crate) fn end(
        &mut self,
        measure: &str,
        cause: &str,
        rule: &str,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(cause) = self.causes.get_mut(&(measure.to_owned(), cause.to_owned())) {
            cause.end(rule, at, effects);
        }
    }

    /// The episode of a rule ends, whatever measures it raised hazards of.
    pub(crate) fn end_everywhere(&mut self, rule: &str, at: Wall, effects: &mut Vec<Effect>) {
        for cause in self.causes.values_mut() {
            cause.end(rule, at, effects);
        }
    }

    /// A person moves a hazard on, and with it what is of one matter with it and as far as it.
    pub(crate) fn act(
        &mut self,
        id: Uuid,
        step: Step,
        by: &str,
        why: Option<&str>,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let cause = self.causes.values_mut().find(|cause| cause.newest.id == id);
        let cause = cause.ok_or(Refusal::UnknownHazard { hazard: id })?;
        let (deed, from, to) = step.moves();
        let stage = cause.newest.stage;
        if stage != from {
            return Err(Refusal::WrongState { is: stage.word().to_owned(), needs: from.word().to_owned() });
        }
        let group = cause.newest.group;
        let act = ActRecord { by: by.to_owned(), deed: deed.to_owned(), why: why.map(str::to_owned), at };
        let is_meant = |record: &HazardRecord| {
            record.id == id || (group.is_some() && record.group == group && record.stage == from)
        };
        for cause in self.causes.values_mut().filter(|cause| is_meant(&cause.newest)) {
            cause.change(at, effects, |record| {
                record.stage = to;
                record.acts.push(act.clone());
                if to == HazardStage::Rectifying {
                    confirm(record, at);
                }
            });
        }
        Ok(())
    }
}

/// The moves that only persons make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Confirm,
    Reject,
    Rectify,
    Accept,
}

impl Step {
    /// Its word in the record, the stage that it needs and the one that it leads to.
    fn moves(self) -> (&'static str, HazardStage, HazardStage) {
        match self {
            Self::Confirm => ("confirm", HazardStage::Candidate, HazardStage::Rectifying),
            Self::Reject => ("reject", HazardStage::Candidate, HazardStage::Rejected),
            Self::Rectify => ("rectify", HazardStage::Rectifying, HazardStage::AwaitingAcceptance),
            Self::Accept => ("accept", HazardStage::AwaitingAcceptance, HazardStage::Accepted),
        }
    }
}

impl Cause {
    /// A rule of the cause begins while the hazard is open: a repeat, or a graver turn of the same episode.
    fn again(
        &mut self,
        raise: &Raise<'_>,
        going_on: bool,
        graver: bool,
        at: Wall,
        effects: &mut Vec<Effect>,
    ) {
        let candidate = self.newest.stage == HazardStage::Candidate;
        // A proposed 重大 waits for a person whatever else turns up.
        let confirmed = candidate && raise.is_auto() && self.newest.level == Level::General;
        let proposed = candidate && raise.plan.level == Level::Major && self.newest.level == Level::General;
        if going_on && !graver && !confirmed && !proposed {
            return;
        }
        if graver {
            self.gravity = raise.plan.gravity;
        }
        self.joined |= graver || proposed;
        let deadline = at.after(raise.plan.deadline);
        self.change(at, effects, |record| {
            if !going_on {
                record.repeats = record.repeats.saturating_add(1);
                record.returned = None;
            }
            if graver || proposed {
                record.rule = raise.rule.to_owned();
                record.words = raise.words.clone();
                record.evidence = raise.evidence.clone();
                record.deadline = record.deadline.min(deadline);
                record.rectify_within = record.rectify_within.min(raise.plan.deadline);
            }
            if proposed {
                record.level = Level::Major;
            }
            if confirmed {
                record.stage = HazardStage::Rectifying;
                confirm(record, at);
            }
        });
    }

    /// The last of the cause's rules to end tells the return.
    fn end(&mut self, rule: &str, at: Wall, effects: &mut Vec<Effect>) {
        if !self.active.remove(rule) || !self.active.is_empty() {
            return;
        }
        self.joined = false;
        if self.newest.stage.is_open() {
            self.change(at, effects, |record| record.returned = Some(at));
        }
    }

    fn change(&mut self, at: Wall, effects: &mut Vec<Effect>, change: impl FnOnce(&mut HazardRecord)) {
        let record = Arc::make_mut(&mut self.newest);
        change(record);
        record.changed = at;
        record.revision += 1;
        effects.push(Effect::Hazard(Arc::clone(&self.newest)));
    }
}

/// The time for rectification begins.
fn confirm(record: &mut HazardRecord, at: Wall) {
    record.confirmed = Some(at);
    // A record of an older store does not say how long it is.
    if !record.rectify_within.is_zero() {
        record.deadline = at.after(record.rectify_within);
    }
}

fn can_be_overdue(record: &HazardRecord) -> bool {
    record.stage == HazardStage::Rectifying && record.overdue.is_none()
}

/// Of a hazard that opens after `previous`.
fn recurrences(previous: &HazardRecord, plan: &HazardPlan, at: Wall) -> u32 {
    let soon = previous.stage == HazardStage::Accepted && at <= previous.changed.after(plan.reopen_within);
    if soon { previous.recurrences.saturating_add(1) } else { 0 }
}

impl HazardStage {
    pub fn word(self) -> &'static str {
        match self {
            Self::Candidate => "a candidate",
            Self::Rectifying => "rectifying",
            Self::AwaitingAcceptance => "awaiting acceptance",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

/// How lost monitoring raises: always for a person to judge.
pub(crate) fn plan_of_fault(name: &str, deadline: Duration, patience: Patience) -> HazardPlan {
    let cause = format!("fault:{name}");
    HazardPlan {
        cause,
        level: Level::General,
        confirm: Confirm::Person,
        deadline,
        raising: Raising::AtOnce,
        reopen_within: patience.reopen_within,
        gravity: 0,
    }
}
