//! Hazards: the records that measures have failed (隐患), at most one open for each (measure, cause).
//!
//! Rules that share a cause are one matter: their episode lasts from the first that begins to the last that
//! ends. Only persons close a hazard. A return to normal adds evidence, a repeat is counted, and after a
//! closing the next episode opens a new hazard that names the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::Wall;
use uuid::Uuid;

use crate::plant::{HazardPlan, Plant};
use crate::{ActRecord, Confirm, Effect, Epoch, Evidence, HazardRecord, HazardStage, Level, Refusal, Words};

/// The namespace of hazard ids. Drawn once; another would make new ids for the same hazards.
const HAZARDS: Uuid = Uuid::from_u128(0x2c7f_90de_4b1a_4c55_8f3e_d604_91ab_7e26);

#[derive(Debug)]
pub(crate) struct Hazards {
    epoch: Epoch,
    /// By (measure, cause): that there is at most one open is what this map is.
    causes: BTreeMap<(String, String), Cause>,
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
#[derive(Debug)]
pub(crate) struct Raise<'a> {
    pub(crate) rule: &'a str,
    pub(crate) measure: &'a str,
    pub(crate) plan: &'a HazardPlan,
    pub(crate) on_unknown: bool,
    pub(crate) words: &'a Words,
    pub(crate) evidence: &'a Evidence,
}

impl Raise<'_> {
    /// Goes upstream without a person: only a known verdict of a rule that is trusted with it, and never
    /// with level 重大.
    fn is_auto(&self) -> bool {
        self.plan.confirm == Confirm::Auto && !self.on_unknown && self.plan.level == Level::General
    }
}

impl Hazards {
    /// `records`: for each (measure, cause) the newest, open or not; older ones do no harm.
    pub(crate) fn restored(epoch: Epoch, records: Vec<HazardRecord>) -> Self {
        let mut causes: BTreeMap<(String, String), Cause> = BTreeMap::new();
        for record in records {
            let key = (record.measure.clone(), record.cause.clone());
            if causes.get(&key).is_none_or(|before| before.newest.opening < record.opening) {
                let active = BTreeSet::new();
                causes.insert(key, Cause { newest: Arc::new(record), gravity: 0, active, joined: false });
            }
        }
        Self { epoch, causes }
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

    pub(crate) fn open(&self) -> impl Iterator<Item = &Arc<HazardRecord>> {
        self.newest().filter(|record| record.stage.is_open())
    }

    /// The newest of each (measure, cause), open or not.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Arc<HazardRecord>> {
        self.causes.values().map(|cause| &cause.newest)
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
        active.insert(raise.rule.to_owned());
        let opening = previous.as_ref().map_or(1, |previous| previous.opening + 1);
        let unit = plant.unit_of_measure(raise.measure);
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
            stage: if raise.is_auto() { HazardStage::Rectifying } else { HazardStage::Candidate },
            words: raise.words.clone(),
            raised: at,
            changed: at,
            deadline: at.after(raise.plan.deadline),
            liable_person: unit.map(|unit| unit.liable_person.clone()).unwrap_or_default(),
            repeats: 0,
            returned: None,
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

    /// A person moves a hazard on.
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
        let act = ActRecord { by: by.to_owned(), deed: deed.to_owned(), why: why.map(str::to_owned), at };
        cause.change(at, effects, |record| {
            record.stage = to;
            record.acts.push(act);
        });
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
            }
            if proposed {
                record.level = Level::Major;
            }
            if confirmed {
                record.stage = HazardStage::Rectifying;
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
pub(crate) fn plan_of_fault(name: &str, deadline: Duration) -> HazardPlan {
    let cause = format!("fault:{name}");
    HazardPlan { cause, level: Level::General, confirm: Confirm::Person, deadline, gravity: 0 }
}
