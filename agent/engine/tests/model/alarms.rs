//! What follows from an episode: alarms, hazards, boosts, raises, stops, each as one plain list.

use std::collections::{BTreeMap, BTreeSet};

use riskgate_engine::{Class, Priority, RiskClass};

use crate::site::{Boost, SECOND, TASKS, When, measure_of, unit_of};

/// Stamps tell no smaller parts of a second.
fn second(at: u64) -> u64 {
    at / SECOND
}

/// What is told, as (of what, what it is now).
pub(crate) type Told = Vec<(String, String)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Normal,
    Unacknowledged,
    Acknowledged,
    Returned,
    LatchedUnacknowledged,
    Latched,
}

impl State {
    pub(crate) fn is_active(self) -> bool {
        matches!(self, Self::Unacknowledged | Self::Acknowledged)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Alarm {
    pub(crate) state: State,
    pub(crate) episode: u64,
    pub(crate) class: Class,
    pub(crate) unit: Option<&'static str>,
    /// When it last changed.
    pub(crate) changed: u64,
    /// When its newest episode began.
    pub(crate) since: u64,
    on_unknown: bool,
    /// Until when.
    pub(crate) shelf: Option<u64>,
    pub(crate) suppressed: bool,
    /// Since it is out: until when, if it ends.
    pub(crate) out: Option<Option<u64>>,
    out_since: u64,
    pub(crate) owing: bool,
    event: &'static str,
}

impl Alarm {
    pub(crate) fn is_withheld(&self) -> bool {
        self.shelf.is_some() || self.withholds_hazards()
    }

    pub(crate) fn withholds_hazards(&self) -> bool {
        self.suppressed || self.out.is_some()
    }

    pub(crate) fn stands(&self) -> bool {
        self.state != State::Normal || self.shelf.is_some() || self.out.is_some()
    }

    fn line(&self) -> String {
        let Self { state, episode, event, on_unknown, suppressed, owing, .. } = self;
        let (shelf, out) = (self.shelf.is_some(), self.out.is_some());
        let withheld = [shelf, *suppressed, out, *owing];
        crate::compare::alarm_line(&format!("{state:?}"), *episode, event, *on_unknown, withheld)
    }
}

/// How a rule raises hazards.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) measure: String,
    pub(crate) cause: String,
    pub(crate) auto: bool,
    pub(crate) major: bool,
    pub(crate) raising: When,
    pub(crate) gravity: u8,
    /// One act settles all that it raises at once.
    pub(crate) grouped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Candidate,
    Rectifying,
    AwaitingAcceptance,
    Accepted,
    Rejected,
}

/// The newest hazard of a (measure, cause).
#[derive(Debug, Clone)]
pub(crate) struct Hazard {
    pub(crate) stage: Stage,
    pub(crate) rule: String,
    pub(crate) opening: u64,
    repeats: u32,
    pub(crate) returned: bool,
    major: bool,
    gravity: u8,
    pub(crate) since: u64,
    pub(crate) changed: u64,
    /// Of what one loss raised: its cause and when.
    group: Option<(String, u64)>,
    /// The rules of the cause that are on, and whether the hazard's own was among them since the first began.
    active: BTreeSet<String>,
    joined: bool,
}

impl Hazard {
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Accepted | Stage::Rejected)
    }

    pub(crate) fn is_confirmed(&self) -> bool {
        matches!(self.stage, Stage::Rectifying | Stage::AwaitingAcceptance)
    }

    fn line(&self) -> String {
        let Self { stage, rule, opening, repeats, returned, major, .. } = self;
        format!("{stage:?} by {rule} opening {opening} repeats {repeats} returned {returned} major {major}")
    }
}

#[derive(Debug, Clone)]
pub(crate) struct TaskBoost {
    rule: String,
    cycle: Option<u64>,
    until: Option<u64>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Task {
    boosts: Vec<TaskBoost>,
    suspended: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Unit {
    causes: Vec<(String, RiskClass, Option<u64>)>,
}

/// How often a unit was stopped, whether it is, and since when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    n: u64,
    pub(crate) on: bool,
    since: u64,
    ended: u64,
}

/// Everything that outlives a restart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desk {
    pub(crate) now: u64,
    pub(crate) alarms: BTreeMap<String, Alarm>,
    pub(crate) hazards: BTreeMap<(String, String), Hazard>,
    pub(crate) tasks: BTreeMap<String, Task>,
    pub(crate) units: BTreeMap<String, Unit>,
    pub(crate) stops: BTreeMap<&'static str, Stop>,
    /// When the episodes began of rules that raise after repeats.
    pub(crate) onsets: BTreeMap<String, Vec<u64>>,
    pub(crate) told: Told,
}

/// What an alarm is of.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) id: String,
    pub(crate) class: Class,
    pub(crate) unit: Option<&'static str>,
    /// Nobody may shelve it.
    pub(crate) protected: bool,
}

pub(crate) fn is_protected(is_fault: bool, class: Class, priority: Priority, sos: bool) -> bool {
    sos || class == Class::Sis || (class == Class::Gas && !is_fault && priority == Priority::Critical)
}

fn is_suppressible(class: Class) -> bool {
    matches!(class, Class::Process | Class::Equipment)
}

impl Desk {
    pub(crate) fn is_stopped(&self, unit: Option<&str>, class: Class) -> bool {
        let stopped = unit.is_some_and(|unit| self.stops.get(unit).is_some_and(|stop| stop.on));
        stopped && is_suppressible(class)
    }

    pub(crate) fn is_active(&self, alarm: &str) -> bool {
        self.alarms.get(alarm).is_some_and(|of| of.state.is_active())
    }

    pub(crate) fn was_on_unknown(&self, id: &str) -> bool {
        self.alarms.get(id).is_some_and(|of| of.on_unknown)
    }

    fn tell_alarm(&mut self, id: &str, event: &'static str) {
        let now = self.now;
        let alarm = self.alarms.get_mut(id).unwrap();
        alarm.event = event;
        alarm.changed = now;
        let line = alarm.line();
        self.told.push((format!("alarm {id}"), line));
    }

    pub(crate) fn fresh(about: &About, now: u64) -> Alarm {
        Alarm {
            state: State::Normal,
            episode: 0,
            class: about.class,
            unit: about.unit,
            changed: now,
            since: now,
            on_unknown: false,
            shelf: None,
            suppressed: false,
            out: None,
            out_since: now,
            owing: false,
            event: "",
        }
    }

    pub(crate) fn begin(&mut self, about: &About, on_unknown: bool) {
        let suppressed = self.is_stopped(about.unit, about.class);
        let now = self.now;
        let alarm = self.alarms.entry(about.id.clone()).or_insert_with(|| Self::fresh(about, now));
        alarm.state = State::Unacknowledged;
        alarm.episode += 1;
        alarm.since = now;
        alarm.class = about.class;
        alarm.unit = about.unit;
        alarm.on_unknown = on_unknown;
        alarm.suppressed = suppressed;
        alarm.owing = alarm.withholds_hazards();
        if about.protected {
            alarm.shelf = None;
        }
        self.tell_alarm(&about.id, "onset");
    }

    pub(crate) fn end(&mut self, id: &str, latch: bool) {
        let Some(alarm) = self.alarms.get_mut(id) else { return };
        let seen = match alarm.state {
            State::Acknowledged => true,
            State::Unacknowledged => false,
            _ => return,
        };
        // What clears unheard needs no answer; a shelf alone leaves a latch its hold.
        alarm.state = match (alarm.withholds_hazards(), latch, alarm.shelf.is_some()) {
            (false, true, _) if seen => State::Latched,
            (false, true, _) => State::LatchedUnacknowledged,
            (true, ..) | (false, false, true) => State::Normal,
            (false, false, false) if seen => State::Normal,
            (false, false, false) => State::Returned,
        };
        alarm.suppressed = false;
        alarm.owing = false;
        self.tell_alarm(id, "cleared");
    }

    pub(crate) fn acknowledge(&mut self, id: &str) -> bool {
        let Some(alarm) = self.alarms.get_mut(id) else { return false };
        alarm.state = match alarm.state {
            State::Unacknowledged => State::Acknowledged,
            State::Returned => State::Normal,
            State::LatchedUnacknowledged => State::Latched,
            State::Normal | State::Acknowledged | State::Latched => return false,
        };
        self.tell_alarm(id, "acknowledged");
        true
    }

    pub(crate) fn reset(&mut self, id: &str) -> bool {
        let Some(alarm) = self.alarms.get_mut(id).filter(|of| of.state == State::Latched) else {
            return false;
        };
        alarm.state = State::Normal;
        self.tell_alarm(id, "reset");
        true
    }

    /// An episode of a rule that raises after repeats counts: whether it is enough of them, or counts on a hazard
    /// that is open.
    pub(crate) fn is_repeated(&mut self, rule: &str, plan: &Plan, times: usize, within: u64) -> bool {
        let now = self.now;
        let onsets = self.onsets.entry(rule.to_owned()).or_default();
        onsets.push(now);
        // What is too long ago for the rule as it is now is forgotten.
        onsets.retain(|at| at + within >= now);
        let enough = onsets.len() >= times;
        let surplus = onsets.len().saturating_sub(times);
        onsets.drain(..surplus);
        enough || self.is_open(plan)
    }

    pub(crate) fn has_candidate(&self, measure: &str) -> bool {
        self.hazards.iter().any(|((of, _), hazard)| of == measure && hazard.stage == Stage::Candidate)
    }

    fn is_open(&self, plan: &Plan) -> bool {
        self.hazards.get(&(plan.measure.clone(), plan.cause.clone())).is_some_and(Hazard::is_open)
    }

    /// A hazard was raised of the episode that goes on, under this plan or under one before: it has not returned, and
    /// nobody closed it before the episode began.
    pub(crate) fn has_raised(&self, rule: &str, plan: &Plan) -> bool {
        let of = self.hazards.get(&(plan.measure.clone(), plan.cause.clone()));
        let (Some(of), Some(alarm)) = (of, self.alarms.get(rule)) else { return false };
        !of.returned && (of.is_open() || second(of.changed) >= second(alarm.since))
    }

    /// The time of a hazard has come while it is withheld.
    pub(crate) fn owe(&mut self, id: &str) {
        let alarm = self.alarms.get_mut(id).unwrap();
        let event = alarm.event;
        if !std::mem::replace(&mut alarm.owing, true) {
            self.tell_alarm(id, event);
        }
    }

    /// It still holds after its time.
    pub(crate) fn re_alarm(&mut self, id: &str, due: u64) {
        let now = self.now;
        let waits = |of: &&mut Alarm| of.state.is_active() && !of.is_withheld() && due <= now;
        if let Some(alarm) = self.alarms.get_mut(id).filter(waits) {
            alarm.state = State::Unacknowledged;
            self.tell_alarm(id, "re_alarmed");
        }
    }

    /// The alarms of candidates that nobody has judged for another half hour.
    pub(crate) fn remind(&mut self) {
        let now = self.now;
        let waits = |of: &&Hazard| {
            of.stage == Stage::Candidate && now > of.since && (now - of.since).is_multiple_of(1800 * SECOND)
        };
        let rules: BTreeSet<String> = self.hazards.values().filter(waits).map(|of| of.rule.clone()).collect();
        for rule in rules {
            let Some(alarm) = self.alarms.get(&rule).cloned() else { continue };
            if alarm.is_withheld() || self.is_stopped(alarm.unit, alarm.class) {
                continue;
            }
            self.alarms.get_mut(&rule).unwrap().state = match alarm.state {
                State::Unacknowledged | State::Acknowledged => State::Unacknowledged,
                State::Normal | State::Returned => State::Returned,
                State::LatchedUnacknowledged | State::Latched => State::LatchedUnacknowledged,
            };
            self.tell_alarm(&rule, "re_alarmed");
        }
    }

    /// What raised it is gone from the configuration.
    pub(crate) fn remove(&mut self, id: &str) {
        let Some(alarm) = self.alarms.get_mut(id) else { return };
        let stood = alarm.stands();
        alarm.state = State::Normal;
        (alarm.shelf, alarm.suppressed, alarm.out, alarm.owing) = (None, false, None, false);
        if stood {
            self.tell_alarm(id, "removed");
        }
    }

    pub(crate) fn shelve(&mut self, about: &About, until: u64) {
        let now = self.now;
        self.alarms.entry(about.id.clone()).or_insert_with(|| Self::fresh(about, now)).shelf = Some(until);
        self.tell_alarm(&about.id, "shelved");
    }

    pub(crate) fn take_out(&mut self, about: &About, until: Option<u64>) {
        let now = self.now;
        let alarm = self.alarms.entry(about.id.clone()).or_insert_with(|| Self::fresh(about, now));
        (alarm.out, alarm.out_since) = (Some(until), now);
        self.tell_alarm(&about.id, "taken_out");
    }

    /// Something was taken off an alarm. Gives whether the hazard of its episode is owed now.
    pub(crate) fn lifted(&mut self, id: &str, event: &'static str) -> bool {
        let alarm = self.alarms.get_mut(id).unwrap();
        let mut owed = false;
        if !alarm.withholds_hazards() {
            owed = std::mem::take(&mut alarm.owing) && alarm.state.is_active();
        }
        if !alarm.is_withheld() && alarm.state.is_active() {
            alarm.state = State::Unacknowledged;
        }
        self.tell_alarm(id, event);
        owed
    }

    /// Fits what is suppressed to the units that are stopped. Gives the alarms whose hazards are owed now.
    pub(crate) fn fit_to_stops(&mut self) -> Vec<String> {
        let mut owed = Vec::new();
        for id in self.alarms.keys().cloned().collect::<Vec<_>>() {
            let alarm = &self.alarms[&id];
            if !alarm.stands() {
                continue;
            }
            let wanted = self.is_stopped(alarm.unit, alarm.class) && alarm.state != State::Normal;
            if wanted == alarm.suppressed {
                continue;
            }
            self.alarms.get_mut(&id).unwrap().suppressed = wanted;
            if wanted {
                self.tell_alarm(&id, "unit_stopped");
            } else if self.lifted(&id, "unit_started") {
                owed.push(id);
            }
        }
        owed
    }

    pub(crate) fn stop(&mut self, unit: &'static str) {
        let since = self.now;
        let stop = self.stops.entry(unit).or_default();
        *stop = Stop { n: stop.n + 1, on: true, since, ended: 0 };
        let line = format!("#{} on", stop.n);
        self.told.push((format!("stop {unit}"), line));
    }

    pub(crate) fn start(&mut self, unit: &'static str) {
        let now = self.now;
        let stop = self.stops.get_mut(unit).unwrap();
        stop.on = false;
        stop.ended = now;
        let line = format!("#{} over", stop.n);
        self.told.push((format!("stop {unit}"), line));
    }

    /// Its newest stop was on at some time between the two.
    pub(crate) fn was_stopped(&self, unit: &str, from: u64, to: u64) -> bool {
        self.stops.get(unit).is_some_and(|stop| stop.since < to && (stop.on || stop.ended > from))
    }

    pub(crate) fn suspend_tasks(&mut self, tasks: impl Iterator<Item = (&'static str, u64, u8)>) {
        for (id, ..) in tasks {
            let stopped = self.stops.get(unit_of(measure_of(id))).is_some_and(|stop| stop.on);
            if !stopped && !self.tasks.contains_key(id) {
                continue;
            }
            let task = self.tasks.entry(id.to_owned()).or_default();
            if task.suspended != stopped {
                task.suspended = stopped;
                self.tell_task(id);
            }
        }
    }

    fn tell_hazard(&mut self, key: &(String, String)) {
        let now = self.now;
        let hazard = self.hazards.get_mut(key).unwrap();
        hazard.changed = now;
        let line = hazard.line();
        self.told.push((format!("hazard {} {}", key.0, key.1), line));
    }

    pub(crate) fn raise(&mut self, rule: &str, plan: &Plan, on_unknown: bool) {
        let key = (plan.measure.clone(), plan.cause.clone());
        let now = self.now;
        // Upstream without a person: a known verdict that is trusted with it, and never 重大.
        let auto = plan.auto && !on_unknown && !plan.major;
        let open = |opening: u64, active: BTreeSet<String>| Hazard {
            stage: if auto { Stage::Rectifying } else { Stage::Candidate },
            rule: rule.to_owned(),
            opening,
            repeats: 0,
            returned: false,
            major: plan.major,
            gravity: plan.gravity,
            since: now,
            changed: now,
            group: plan.grouped.then(|| (plan.cause.clone(), now)),
            active,
            joined: true,
        };
        let Some(of) = self.hazards.get_mut(&key) else {
            self.hazards.insert(key.clone(), open(1, BTreeSet::from([rule.to_owned()])));
            self.tell_hazard(&key);
            return;
        };
        if of.active.contains(rule) {
            return;
        }
        // One more rule of the cause joins what goes on; where it is the hazard's own, and was in it before, it
        // is a repeat.
        let own = of.rule == rule;
        let goes_on = !(of.active.is_empty() || own && of.joined);
        of.joined |= own;
        of.active.insert(rule.to_owned());
        let graver = plan.gravity > of.gravity;
        if !of.is_open() {
            // What a person closed stays so until its episode is over, unless something graver begins.
            if !goes_on || graver {
                let fresh = open(of.opening + 1, of.active.clone());
                *of = fresh;
                self.tell_hazard(&key);
            }
            return;
        }
        let confirms = of.stage == Stage::Candidate && auto && !of.major;
        let proposes = of.stage == Stage::Candidate && plan.major && !of.major;
        if goes_on && !graver && !confirms && !proposes {
            return;
        }
        if graver {
            of.gravity = plan.gravity;
        }
        if !goes_on {
            of.repeats += 1;
            of.returned = false;
        }
        if graver || proposes {
            of.joined = true;
            of.rule = rule.to_owned();
        }
        of.major |= proposes;
        if confirms {
            of.stage = Stage::Rectifying;
        }
        self.tell_hazard(&key);
    }

    /// Whether it raised no hazard at that time, as far back as its stop or its absence from service goes;
    /// `None`: now.
    pub(crate) fn withheld_at(&self, about: &About, told: Option<u64>) -> bool {
        let at = told.unwrap_or(self.now);
        let stopped = about.unit.and_then(|unit| self.stops.get(unit)).filter(|stop| stop.on);
        let stopped = stopped.filter(|_| is_suppressible(about.class)).map(|stop| stop.since);
        let out = self.alarms.get(&about.id).filter(|of| of.out.is_some()).map(|of| of.out_since);
        stopped.into_iter().chain(out).any(|since| second(since) <= second(at))
    }

    /// What history tells of: no episode, and nothing that is not known already.
    pub(crate) fn raise_late(&mut self, rule: &str, plan: &Plan, told: Option<u64>) {
        let key = (plan.measure.clone(), plan.cause.clone());
        let now = self.now;
        let (opening, active) = match self.hazards.get(&key) {
            None => (1, BTreeSet::new()),
            Some(of) if of.is_open() => return,
            // What is older than its closing was judged with it.
            Some(of) if told.is_none_or(|told| second(told) <= second(of.changed)) => return,
            Some(of) => (of.opening + 1, of.active.clone()),
        };
        let hazard = Hazard {
            stage: Stage::Candidate,
            rule: rule.to_owned(),
            opening,
            repeats: 0,
            returned: active.is_empty(),
            major: plan.major,
            gravity: plan.gravity,
            since: now,
            changed: now,
            group: None,
            joined: active.contains(rule),
            active,
        };
        self.hazards.insert(key.clone(), hazard);
        self.tell_hazard(&key);
    }

    pub(crate) fn return_of(&mut self, rule: &str) {
        for key in self.hazards.keys().cloned().collect::<Vec<_>>() {
            let of = self.hazards.get_mut(&key).unwrap();
            if of.active.remove(rule) && of.active.is_empty() {
                of.joined = false;
                if of.is_open() {
                    of.returned = true;
                    self.tell_hazard(&key);
                }
            }
        }
    }

    /// After a restart or a reload: how grave each rule is now.
    pub(crate) fn regrade(&mut self, gravity: impl Fn(&str) -> u8) {
        for of in self.hazards.values_mut() {
            of.gravity = gravity(&of.rule);
            of.joined = of.active.contains(&of.rule);
        }
    }

    /// The nth of the open hazards is moved on by a person.
    pub(crate) fn move_hazard(&mut self, nth: usize, from: Stage, to: Stage) -> bool {
        let open = self.hazards.iter().filter(|(_, of)| of.is_open()).map(|(key, _)| key.clone());
        let Some(key) = open.collect::<Vec<_>>().get(nth).cloned() else { return false };
        if self.hazards[&key].stage != from {
            return false;
        }
        let group = self.hazards[&key].group.clone();
        let same = |of: &Hazard| group.is_some() && of.group == group && of.stage == from;
        let all = self.hazards.iter().filter(|(of, hazard)| **of == key || same(hazard));
        for key in all.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.hazards.get_mut(&key).unwrap().stage = to;
            self.tell_hazard(&key);
        }
        true
    }

    fn tell_task(&mut self, id: &str) {
        let task = &self.tasks[id];
        let (_, base, work_type) = TASKS.into_iter().find(|(of, ..)| *of == id).unwrap();
        let shorter = task.boosts.iter().filter_map(|boost| boost.cycle).filter(|_| work_type == 0);
        let cycle = shorter.fold(base, u64::min);
        let boosts: Vec<_> = task.boosts.iter().map(|of| (of.rule.clone(), of.cycle, of.until)).collect();
        let line = crate::compare::task_line(cycle, task.suspended, &boosts);
        self.told.push((format!("task {id}"), line));
    }

    pub(crate) fn boost(&mut self, rule: &str, boost: &Boost) {
        let now = self.now;
        let task = self.tasks.entry(boost.task.to_owned()).or_default();
        let fresh = TaskBoost {
            rule: rule.to_owned(),
            cycle: boost.cycle.ok().map(|(cycle, _)| cycle),
            until: boost.cycle.err().map(|within| now + within),
        };
        match task.boosts.iter_mut().find(|of| of.rule == rule) {
            // One more inspection that is still to be made is enough.
            Some(of) if of.cycle.is_none() && fresh.cycle.is_none() => return,
            Some(of) => *of = fresh,
            None => task.boosts.push(fresh),
        }
        self.tell_task(boost.task);
    }

    pub(crate) fn unboost(&mut self, rule: &str, boost: &Boost) {
        // One shorter cycle may be left from a text that asks for one more inspection now.
        let (now, hold) = (self.now, boost.cycle.map_or(0, |(_, hold)| hold));
        let Some(task) = self.tasks.get_mut(boost.task) else { return };
        let on = task.boosts.iter_mut().find(|of| of.rule == rule && of.until.is_none());
        if let Some(of) = on {
            of.until = Some(now + hold);
            self.tell_task(boost.task);
        }
    }

    pub(crate) fn tell_unit(&mut self, id: &str) {
        let unit = self.units.entry(id.to_owned()).or_default();
        let line = crate::compare::unit_line(
            unit.causes.iter().map(|(_, class, _)| *class).fold(RiskClass::Yellow, RiskClass::max),
            &unit.causes,
        );
        self.told.push((format!("unit {id}"), line));
    }

    pub(crate) fn lift_up(&mut self, unit: &str, rule: &str, to: RiskClass) {
        let causes = &mut self.units.entry(unit.to_owned()).or_default().causes;
        match causes.iter_mut().find(|(of, ..)| of == rule) {
            Some(of) => *of = (rule.to_owned(), to, None),
            None => causes.push((rule.to_owned(), to, None)),
        }
        self.tell_unit(unit);
    }

    pub(crate) fn let_down(&mut self, unit: &str, rule: &str, hold: u64) {
        let now = self.now;
        let causes = &mut self.units.entry(unit.to_owned()).or_default().causes;
        if let Some(of) = causes.iter_mut().find(|(of, _, until)| of == rule && until.is_none()) {
            of.2 = Some(now + hold);
            self.tell_unit(unit);
        }
    }

    /// After a reload: what holds which hazard on now. Of a lost source that is what it was.
    pub(crate) fn hold_on(&mut self, active: &BTreeSet<(String, String, String)>) {
        for ((measure, cause), of) in &mut self.hazards {
            of.active.retain(|rule| rule.starts_with("fault:source:"));
            let on = active.iter().filter(|(m, c, _)| m == measure && c == cause);
            of.active.extend(on.map(|(.., rule)| rule.clone()));
        }
    }

    /// After a reload: what no rule boosts or raises any more ends, after the hold that it has now.
    pub(crate) fn settle(&mut self, holds: impl Fn(&str, &str) -> Result<(), u64>) {
        let now = self.now;
        for id in self.tasks.keys().cloned().collect::<Vec<_>>() {
            let mut changed = false;
            for of in self.tasks.get_mut(&id).unwrap().boosts.iter_mut().filter(|of| of.until.is_none()) {
                if let Err(hold) = holds(&of.rule, &id) {
                    of.until = Some(now + hold);
                    changed = true;
                }
            }
            if changed {
                self.tell_task(&id);
            }
        }
        for id in self.units.keys().cloned().collect::<Vec<_>>() {
            let mut changed = false;
            for of in self.units.get_mut(&id).unwrap().causes.iter_mut().filter(|of| of.2.is_none()) {
                if let Err(hold) = holds(&of.0, &id) {
                    of.2 = Some(now + hold);
                    changed = true;
                }
            }
            if changed {
                self.tell_unit(&id);
            }
        }
    }

    /// A restart: what is kept is stamped with no smaller parts of a second.
    pub(crate) fn round(&mut self) {
        let round = |at: &mut u64| *at = *at / SECOND * SECOND;
        for of in self.alarms.values_mut() {
            round(&mut of.changed);
            round(&mut of.since);
        }
        for of in self.hazards.values_mut() {
            round(&mut of.since);
        }
        for of in self.tasks.values_mut().flat_map(|of| &mut of.boosts) {
            of.until.iter_mut().for_each(round);
        }
        for (_, _, until) in self.units.values_mut().flat_map(|of| &mut of.causes) {
            until.iter_mut().for_each(round);
        }
    }

    /// Boosts and raises whose end has come.
    pub(crate) fn expire(&mut self) {
        let now = self.now;
        let over = |until: Option<u64>| until.is_some_and(|until| until <= now);
        let tasks = self.tasks.iter().filter(|(_, of)| of.boosts.iter().any(|of| over(of.until)));
        for id in tasks.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.tasks.get_mut(&id).unwrap().boosts.retain(|of| !over(of.until));
            self.tell_task(&id);
        }
        let units = self.units.iter().filter(|(_, of)| of.causes.iter().any(|(.., until)| over(*until)));
        for id in units.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.units.get_mut(&id).unwrap().causes.retain(|(.., until)| !over(*until));
            self.tell_unit(&id);
        }
    }
}
