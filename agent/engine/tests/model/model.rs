//! The model: at each instant everything anew.

use std::collections::{BTreeMap, BTreeSet};

use riskgate_engine::{Class, Priority};

use crate::alarms::{About, Desk, Plan, Stage, Told, is_protected};
use crate::language::{Cond, Num};
use crate::site::{
    Boost, DCS, FAULTS_OF_POINTS, FAULTS_OF_SOURCES, LIMITS, NVR, PTW, RECORDED, RTLS, SECOND, SOURCES, Site,
    TAGS, When, ZONES, cycle_of, source_of, unit_of,
};
use crate::truth::{Part, Tri};
use crate::world::{
    Act, Input, Read, Reading, Source, Value, World, is_elsewhere, is_strict, reading_of, source_of_all,
};

/// A feed that came up has told by then of all who are there.
const SETTLED: u64 = 30 * SECOND;

/// What a condition reads.
#[derive(Debug, Clone, Default)]
struct Reads {
    points: BTreeSet<usize>,
    /// Of these, those of which it reads more than the age.
    valued: BTreeSet<usize>,
    zones: BTreeSet<&'static str>,
    cameras: bool,
    conditions: bool,
    permits: bool,
    rules: BTreeSet<String>,
}

impl Reads {
    fn of(&mut self, cond: &Cond) {
        match cond {
            Cond::Any(parts) | Cond::All(parts) | Cond::AtLeast(_, parts) => {
                parts.iter().for_each(|part| self.of(part));
            }
            Cond::Not(inner)
            | Cond::Maybe(inner)
            | Cond::Held(inner, _)
            | Cond::Recently(inner, _)
            | Cond::Count(inner, ..) => self.of(inner),
            Cond::Same(left, _, right) | Cond::Then(left, right, _) => {
                self.of(left);
                self.of(right);
            }
            Cond::On(point) | Cond::Word(point, ..) | Cond::Bad(point) | Cond::Stale(point) => {
                self.points.insert(*point);
                self.valued.insert(*point);
            }
            Cond::Age(point, ..) => {
                self.points.insert(*point);
            }
            Cond::FirstOut(points) => {
                self.points.extend(points);
                self.valued.extend(points);
            }
            Cond::Limit(num, ..) => self.num(num),
            Cond::Numbers(left, _, right) => {
                self.num(left);
                self.num(right);
            }
            Cond::Active(rule) => {
                self.rules.insert(rule.clone());
            }
            Cond::People { place, .. } | Cond::Lone(place) | Cond::Still(place, _) | Cond::Sos(place) => {
                self.place(place)
            }
            Cond::Guarded(_) => {
                self.place("U-1");
                self.permits = true;
            }
            Cond::Seen { .. } => self.cameras = true,
            Cond::Told { .. } => self.conditions = true,
            Cond::Permit(_) => self.permits = true,
        }
    }

    fn num(&mut self, num: &Num) {
        match num {
            Num::Point(point) | Num::Window(_, point, _) => {
                self.points.insert(*point);
                self.valued.insert(*point);
            }
            Num::Constant(_) => {}
            Num::Negative(inner) => self.num(inner),
            Num::Sum(left, right)
            | Num::Difference(left, right)
            | Num::Product(left, right)
            | Num::Quotient(left, right) => {
                self.num(left);
                self.num(right);
            }
        }
    }

    fn place(&mut self, place: &str) {
        self.zones.extend(ZONES.into_iter().filter(|zone| place == "U-1" || *zone == place));
    }

    fn places(&self) -> bool {
        !self.zones.is_empty() || self.cameras || self.permits
    }

    fn class(&self, site: &Site) -> Class {
        let told = [
            (!self.zones.is_empty(), Class::People),
            (self.cameras, Class::Video),
            (self.permits, Class::Permit),
            (self.conditions, Class::Process),
        ];
        let told = told.into_iter().filter(|(reads, _)| *reads).map(|(_, class)| class);
        let points = self.points.iter().map(|point| site.points[*point].class);
        points.chain(told).max().unwrap_or(Class::Process)
    }

    /// The sources whose loss blinds it, besides those of its points.
    fn reads_source(&self, source: usize) -> bool {
        match source {
            RTLS => !self.zones.is_empty(),
            NVR => self.cameras,
            DCS => self.conditions,
            PTW => self.permits,
            _ => false,
        }
    }
}

/// A rule, and what it said whenever it was looked at.
#[derive(Debug, Clone)]
struct Watched {
    about: About,
    /// All that makes it another rule when it changes.
    text: String,
    question: Question,
    reads: Reads,
    measure: Option<&'static str>,
    plan: Option<Plan>,
    on_delay: u64,
    off_delay: u64,
    latch: bool,
    realarm: Option<u64>,
    /// From before a reload: of an alarm that last changed then, when it is heard again at the latest.
    realarm_by: Option<(u64, u64)>,
    boost: Option<Boost>,
    raise: Option<(riskgate_engine::RiskClass, u64)>,
    said: Vec<(u64, Tri, Tri)>,
    /// What was said before its last turn is over.
    turned: usize,
    /// Its episode began before the engine did, and silence about places ends nothing yet.
    from_before: bool,
    /// When its episode will have lasted for long enough to raise its hazard.
    wait: Option<u64>,
}

/// What was so before an input.
struct Before {
    sources: Vec<Source>,
    /// Of a fix: where its tag was.
    zone: Option<&'static str>,
    /// Of a permit: it was here.
    ticket: bool,
}

#[derive(Debug, Clone)]
enum Question {
    /// (point, looks up, limit, where it is back)
    Limit(usize, bool, f64, f64),
    Text(Part, Part),
}

pub(crate) struct Model {
    sites: [Site; 2],
    at_site: usize,
    start: u64,
    inputs: Vec<(u64, Input)>,
    read: Vec<Vec<(u64, Reading)>>,
    sources: Vec<Source>,
    actives: BTreeMap<String, Tri>,
    rules: Vec<Watched>,
    desk: Desk,
    /// Since when each point is one that somebody watches.
    watched: BTreeMap<usize, u64>,
    /// How M-3 was, and since when each.
    kept: Vec<(u64, Kept)>,
    /// Up to when its records are written.
    recorded: u64,
}

/// What the record of a cycle tells of.
#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    /// Nobody could see the measure, or nobody judged it.
    unseen: bool,
    /// A rule of it was on.
    passed: bool,
    /// A hazard of it was confirmed and not accepted.
    open: bool,
}

fn rules_of(site: &Site) -> Vec<Watched> {
    let limits = site.points.iter().enumerate().flat_map(|(at, point)| {
        point.limits.iter().enumerate().filter_map(move |(kind, limit)| Some((at, point, kind, (*limit)?)))
    });
    let limits = limits.map(|(at, point, kind, limit)| {
        let (high, outer) = (kind >= 2, kind == 0 || kind == 3);
        let back = if high { limit - point.deadband } else { limit + point.deadband };
        let on_delay = if outer { 0 } else { point.delay };
        let urgent = is_strict(point.class) && point.class != Class::People;
        let priority = match (urgent, outer) {
            (true, true) => Priority::Critical,
            (true, false) | (false, true) => Priority::High,
            (false, false) => Priority::Medium,
        };
        let plan = point.measure.map(|measure| Plan {
            measure: measure.to_owned(),
            cause: format!("limit:{}", TAGS[at]),
            auto: outer && point.auto,
            major: false,
            raising: When::AtOnce,
            gravity: u8::from(outer),
            grouped: false,
        });
        Watched {
            about: About {
                id: format!("{}/{}", TAGS[at], LIMITS[kind]),
                class: point.class,
                unit: point.measure.map(unit_of),
                protected: is_protected(false, point.class, priority, false),
            },
            text: format!("{limit} {back} {on_delay}"),
            question: Question::Limit(at, high, limit, back),
            reads: Reads { points: BTreeSet::from([at]), valued: BTreeSet::from([at]), ..Reads::default() },
            measure: point.measure,
            plan,
            on_delay,
            off_delay: 0,
            latch: false,
            realarm: None,
            realarm_by: None,
            boost: None,
            raise: None,
            said: Vec::new(),
            turned: 0,
            from_before: false,
            wait: None,
        }
    });
    let written = site.rules.iter().map(|rule| {
        let deadbands: Vec<f64> = site.points.iter().map(|point| point.deadband).collect();
        let clear = match &rule.clear {
            Some(clear) => clear.clone(),
            None => Cond::Not(Box::new(rule.when.eased(&deadbands, true))),
        };
        let mut reads = Reads::default();
        reads.of(&rule.when);
        reads.of(&clear);
        let class = rule.class.unwrap_or_else(|| reads.class(site));
        let plan = rule.hazard.as_ref().map(|hazard| Plan {
            measure: rule.measure.to_owned(),
            cause: hazard.cause.map_or_else(|| rule.id.clone(), str::to_owned),
            auto: hazard.auto,
            major: hazard.major,
            raising: hazard.raising,
            gravity: match rule.priority {
                Priority::Low | Priority::Medium => 0,
                Priority::High => 1,
                Priority::Critical => 2,
            },
            grouped: false,
        });
        Watched {
            about: About {
                id: rule.id.clone(),
                class,
                unit: Some(unit_of(rule.measure)),
                protected: is_protected(false, class, rule.priority, rule.when.calls_for_help()),
            },
            text: format!("{} | {} | {} {}", rule.when, clear, rule.for_, rule.clear_for),
            question: Question::Text(Part::new(&rule.when), Part::new(&clear)),
            reads,
            measure: Some(rule.measure),
            plan,
            on_delay: rule.for_,
            off_delay: rule.clear_for,
            latch: rule.latch,
            realarm: rule.realarm,
            realarm_by: None,
            boost: rule.task.clone(),
            raise: rule.raise,
            said: Vec::new(),
            turned: 0,
            from_before: false,
            wait: None,
        }
    });
    // Each after all that it reads: the more stands between it and the readings, the later.
    let mut rules: Vec<Watched> = limits.collect();
    let n_limits = rules.len();
    rules.extend(written);
    let mut ranks: BTreeMap<String, usize> = BTreeMap::new();
    for rule in &rules {
        let rank = rule.reads.rules.iter().map(|of| ranks[of] + 1).max().unwrap_or(0);
        ranks.insert(rule.about.id.clone(), rank);
    }
    // The limits of a point stand in the order of its row.
    if site.reversed {
        rules[n_limits..].reverse();
    }
    rules.sort_by_key(|rule| ranks[&rule.about.id]);
    // One that names no class takes the strictest of the rules that it reads as well.
    for at in 0..rules.len() {
        let read = rules[..at].iter().filter(|of| rules[at].reads.rules.contains(&of.about.id));
        let strictest = read.map(|of| of.about.class).max();
        let Some(rule) = site.rules.iter().find(|of| of.id == rules[at].about.id) else { continue };
        if let Some(class) = strictest.filter(|class| rule.class.is_none() && *class > rules[at].about.class)
        {
            let sos = rule.when.calls_for_help();
            rules[at].about.class = class;
            rules[at].about.protected = is_protected(false, class, rule.priority, sos);
        }
    }
    rules
}

impl Watched {
    /// What it asks, and what its return asks.
    fn look(&mut self, world: &World<'_>) -> (Tri, Tri) {
        match &mut self.question {
            Question::Limit(point, high, limit, back) => {
                let reading = world.reading(*point);
                let Some(number) = reading.number() else { return (None, None) };
                let crossed = if *high { number >= *limit } else { number <= *limit };
                let cleared = if *high { number < *back } else { number > *back };
                match reading.side() {
                    None => (Some(crossed), Some(cleared)),
                    Some(_) if crossed => (Some(true), Some(false)),
                    Some(_) => (None, None),
                }
            }
            Question::Text(when, clear) => (when.look(world), clear.look(world)),
        }
    }

    /// It was so long enough: every look since some instant that is at least so long ago.
    fn lasted(&self, delay: u64, begins: fn(Tri, Tri) -> bool, goes_on: fn(Tri, Tri) -> bool) -> bool {
        let now = self.said.last().map_or(0, |(now, ..)| *now);
        let since =
            self.said[self.turned..].iter().rev().take_while(|(_, when, clear)| goes_on(*when, *clear));
        since.filter(|(_, when, clear)| begins(*when, *clear)).any(|(at, ..)| at + delay <= now)
    }
}

impl Model {
    pub(crate) fn new(sites: [Site; 2], now: u64) -> Self {
        let rules = rules_of(&sites[0]);
        let desk = Desk { now, ..Desk::default() };
        let mut model = Self {
            sites,
            at_site: 0,
            start: now,
            inputs: Vec::new(),
            read: Vec::new(),
            sources: Vec::new(),
            actives: BTreeMap::new(),
            rules,
            desk,
            watched: BTreeMap::new(),
            kept: Vec::new(),
            recorded: cycle_of(now),
        };
        model.begin();
        model.desk.tell_unit("U-1");
        model.desk.tell_unit("U-2");
        model
    }

    /// Nothing is known yet but what was kept.
    fn begin(&mut self) {
        let now = self.desk.now;
        self.start = now;
        self.desk.round();
        self.inputs.clear();
        self.read = vec![Vec::new(); TAGS.len()];
        self.rules = rules_of(&self.sites[self.at_site]);
        for rule in &mut self.rules {
            let active = self.desk.is_active(&rule.about.id);
            rule.from_before = active && rule.reads.places();
            self.actives.insert(rule.about.id.clone(), active.then_some(true));
        }
        self.remove_orphans();
        self.watched.clear();
        self.watch_points();
        self.regrade();
        self.wait_on();
        self.observe();
    }

    /// What has not raised its hazard waits on, unless it does already. What was over for long may have ended while
    /// nobody looked: readings get as long to say so as their loss takes to be told.
    fn wait_on(&mut self) {
        let now = self.desk.now;
        let patience = self.site().patience;
        for rule in &mut self.rules {
            let id = &rule.about.id;
            let Some(plan) = rule.plan.as_ref().filter(|_| self.desk.is_active(id)) else { continue };
            let When::After(after) = plan.raising else { continue };
            if !self.desk.has_raised(id, plan) {
                let look = if is_strict(rule.about.class) { 10 * SECOND } else { patience };
                let since = self.desk.alarms[id].since / SECOND * SECOND;
                let due = (since + after).max(now + look).min(now + after);
                rule.wait = Some(rule.wait.map_or(due, |wait| wait.min(due)));
            }
        }
    }

    fn regrade(&mut self) {
        let gravity: BTreeMap<String, u8> = self
            .rules
            .iter()
            .map(|rule| (rule.about.id.clone(), rule.plan.as_ref().map_or(0, |plan| plan.gravity)))
            .collect();
        self.desk.regrade(|rule| gravity.get(rule).copied().unwrap_or(0));
    }

    /// What a person laid over the alarm of a rule that is gone is over with it.
    fn remove_orphans(&mut self) {
        for id in self.desk.alarms.keys().cloned().collect::<Vec<_>>() {
            if !id.starts_with("fault:") && self.rules.iter().all(|rule| rule.about.id != id) {
                self.desk.remove(&id);
            }
        }
    }

    fn watch_points(&mut self) {
        let now = self.desk.now;
        for point in 0..TAGS.len() {
            let named = self.site().points[point].measure.is_some();
            if named || self.rules.iter().any(|rule| rule.reads.valued.contains(&point)) {
                self.watched.entry(point).or_insert(now);
            } else {
                self.watched.remove(&point);
            }
        }
    }

    fn site(&self) -> &Site {
        &self.sites[self.at_site]
    }

    pub(crate) fn told(&mut self) -> Told {
        std::mem::take(&mut self.desk.told)
    }

    /// Everything at `now` by all inputs until then.
    fn observe(&mut self) {
        let now = self.desk.now;
        let site = &self.sites[self.at_site];
        for (point, read) in self.read.iter_mut().enumerate() {
            read.push((now, reading_of(site, self.start, &self.inputs, point, now)));
        }
        self.sources = self.sources_now();
    }

    fn sources_now(&self) -> Vec<Source> {
        let (site, now) = (&self.sites[self.at_site], self.desk.now);
        let sources = 0..SOURCES.len();
        sources.map(|id| source_of_all(site, self.start, &self.inputs, id, now)).collect()
    }

    /// A second begins: whatever happens by itself.
    pub(crate) fn tick(&mut self, now: u64) {
        self.desk.now = now;
        let before = self.before(None);
        self.observe();
        self.judge(None, &before);
        self.follow();
        self.desk.remind();
        self.write_records();
        self.keep();
    }

    /// How M-3 is now.
    fn keep(&mut self) {
        if !self.site().records {
            return;
        }
        let of: Vec<&Watched> = self.rules.iter().filter(|rule| rule.measure == Some("M-3")).collect();
        let is_blind = |id: usize| self.sources[id].is_blind();
        let cannot_see = |rule: &&Watched| {
            let reads = &rule.reads;
            let feeds = [RTLS, NVR, DCS, PTW].into_iter().any(|id| reads.reads_source(id) && is_blind(id));
            let points = reads.points.iter().any(|point| {
                // A rule that asks for the age alone judges that nothing came.
                if reads.valued.contains(point) || self.site().points[*point].measure.is_some() {
                    self.read[*point].last().unwrap().1.is_bad()
                } else {
                    is_blind(source_of(*point))
                }
            });
            feeds || points
        };
        let is_out =
            |rule: &&Watched| self.desk.alarms.get(&rule.about.id).is_some_and(|of| of.out.is_some());
        let stopped = self.desk.stops.get("U-2").is_some_and(|stop| stop.on);
        let unwatched = of.is_empty() || of.iter().any(cannot_see) || of.iter().any(is_out);
        let kept = Kept {
            unseen: unwatched && !stopped,
            passed: of.iter().any(|rule| self.desk.is_active(&rule.about.id)),
            open: self.desk.hazards.iter().any(|((measure, _), of)| measure == "M-3" && of.is_confirmed()),
        };
        self.kept.push((self.desk.now, kept));
    }

    /// A cycle of M-3 is over: its record.
    fn write_records(&mut self) {
        let (start, end) = (self.recorded, self.recorded + RECORDED);
        if !self.site().records || self.desk.now < end {
            return;
        }
        self.recorded = end;
        let ends = self.kept.iter().skip(1).map(|(at, _)| *at).chain([end]);
        let spans = self.kept.iter().zip(ends).map(|((from, kept), to)| (*from, to, *kept));
        // Each that was so in the cycle at all, be it for no time.
        let within: Vec<_> =
            spans.filter(|(from, to, _)| *from < end && (*to > start || *from >= start)).collect();
        // Before the first look nobody saw anything.
        let before = within.first().map_or(end, |(from, ..)| *from).saturating_sub(start);
        let dark = within.iter().filter(|(.., kept)| kept.unseen);
        let dark: u64 = dark.map(|(from, to, _)| (*to).min(end).saturating_sub((*from).max(start))).sum();
        let lost = (before + dark) * 20 > RECORDED;
        let candidate = self.desk.has_candidate("M-3");
        let stopped = self.desk.was_stopped("U-2", start, end);
        let status = if within.iter().any(|(.., kept)| kept.open) {
            1
        } else if lost {
            2
        } else if candidate || stopped || within.iter().any(|(.., kept)| kept.passed) {
            3
        } else {
            0
        };
        // While its unit is stopped nobody owes one.
        if !self.desk.stops.get("U-2").is_some_and(|stop| stop.on) {
            self.desk.told.push(("record T-3".to_owned(), crate::compare::record_line(status, start)));
        }
    }

    /// Something is told; whether it was accepted.
    pub(crate) fn input(&mut self, input: &Input) -> bool {
        let accepted = self.take(input);
        self.keep();
        accepted
    }

    fn take(&mut self, input: &Input) -> bool {
        match input {
            Input::Restart => {
                self.begin();
                self.follow();
                return true;
            }
            Input::Act(act) => return self.act(act),
            // Nothing that it judges by goes by the wall clock.
            Input::Step(_) | Input::Sleep(_) => return true,
            Input::Reload(to) => {
                self.reload(*to);
                return true;
            }
            _ => {}
        }
        let before = self.before(Some(input));
        self.inputs.push((self.desk.now, input.clone()));
        self.observe();
        if let Input::Read(read) = input
            && read.backfill
        {
            self.find_in_history(read);
        }
        self.judge(Some(input), &before);
        self.follow();
        true
    }

    /// A limit crossed in history is a candidate by the gravest of them, and no alarm.
    fn find_in_history(&mut self, read: &Read) {
        let Value::Number(number) = read.value else { return };
        let crossed = self.rules.iter().filter(|rule| match rule.question {
            Question::Limit(point, high, limit, _) if point == read.point => {
                if high {
                    number >= limit
                } else {
                    number <= limit
                }
            }
            _ => false,
        });
        let Some(rule) = crossed.max_by_key(|rule| rule.plan.as_ref().map(|plan| plan.gravity)) else {
            return;
        };
        let (about, plan) = (rule.about.clone(), rule.plan.clone());
        if let Some(plan) = plan.filter(|_| !self.desk.withheld_at(&about, read.told)) {
            self.desk.raise_late(&about.id, &plan, read.told);
        }
    }

    fn reload(&mut self, to: usize) {
        let now = self.desk.now;
        self.at_site = to;
        self.inputs.push((now, Input::Reload(to)));
        let mut before: BTreeMap<String, Watched> =
            std::mem::take(&mut self.rules).into_iter().map(|rule| (rule.about.id.clone(), rule)).collect();
        let mut rules = rules_of(&self.sites[to]);
        for rule in &mut rules {
            let Some(old) = before.remove(&rule.about.id) else { continue };
            let waits = |plan: &Plan| matches!(plan.raising, When::After(_));
            rule.wait = old.wait.filter(|_| rule.plan.as_ref().is_some_and(waits));
            if let (Some(alarm), Some(was), Some(is)) =
                (self.desk.alarms.get(&rule.about.id), old.realarm, rule.realarm)
            {
                let by = old.realarm_by.filter(|(changed, _)| *changed == alarm.changed);
                let by = by.map_or(alarm.changed + was, |(_, by)| by);
                rule.realarm_by = Some((alarm.changed, by.min(now + is)));
            }
            if old.text == rule.text && old.reads.points.len() == rule.reads.points.len() {
                (rule.question, rule.said, rule.turned) = (old.question, old.said, old.turned);
                rule.from_before = old.from_before;
            } else if self.desk.is_active(&rule.about.id) {
                rule.from_before = old.from_before;
            }
        }
        for old in before.into_values() {
            if self.desk.is_active(&old.about.id) {
                self.desk.remove(&old.about.id);
                self.let_go(&old);
            } else {
                // It may stand without being active.
                self.desk.remove(&old.about.id);
            }
        }
        self.rules = rules;
        self.remove_orphans();
        // What is lost is waited for anew before a shelf that ends here asks for its hazards.
        let told = std::mem::take(&mut self.sources);
        self.sources = self.sources_now();
        self.settle();
        self.sources = told;
        self.wait_on();
        self.actives.clear();
        for rule in &self.rules {
            let active = self.desk.is_active(&rule.about.id);
            self.actives.insert(rule.about.id.clone(), active.then_some(true));
        }
        self.watch_points();
        self.regrade();
        let before = self.before(None);
        self.observe();
        self.judge(Some(&Input::Reload(to)), &before);
        self.follow();
    }

    /// Fits what goes on to the rules as they are now.
    fn settle(&mut self) {
        let is_on = |id: &str| self.desk.alarms.get(id).is_some_and(|of| of.state.is_active() && !of.owing);
        let plans = self.rules.iter().filter_map(|rule| Some((rule.about.id.clone(), rule.plan.as_ref()?)));
        let plans = plans.filter(|(id, plan)| plan.raising == When::AtOnce || self.desk.has_raised(id, plan));
        let rules = plans.map(|(id, plan)| (plan.measure.clone(), plan.cause.clone(), id));
        let points = self.site().points.iter().zip(TAGS).filter_map(|(point, tag)| {
            let fault = format!("fault:{tag}");
            Some((point.measure?.to_owned(), fault.clone(), fault))
        });
        let active = rules.chain(points).filter(|(.., id)| is_on(id)).collect();
        self.desk.hold_on(&active);
        let repeats: BTreeSet<String> = self
            .rules
            .iter()
            .filter(|rule| rule.plan.as_ref().is_some_and(|plan| matches!(plan.raising, When::Repeats(..))))
            .map(|rule| rule.about.id.clone())
            .collect();
        self.desk.onsets.retain(|rule, _| repeats.contains(rule));
        let rules: Vec<Watched> = self.rules.clone();
        let on: BTreeSet<String> =
            rules.iter().map(|rule| rule.about.id.clone()).filter(|id| self.desk.is_active(id)).collect();
        self.desk.settle(|id, of| {
            let rule = rules.iter().find(|rule| rule.about.id == id);
            let boost = rule.and_then(|rule| rule.boost.as_ref());
            let raise = rule.and_then(|rule| rule.raise);
            let here = if of.starts_with('T') {
                boost.is_some_and(|boost| boost.task == of)
            } else {
                raise.is_some() && rule.is_some_and(|rule| rule.about.unit == Some(of))
            };
            let hold = if of.starts_with('T') {
                boost.and_then(|boost| boost.cycle.ok()).map_or(0, |(_, hold)| hold)
            } else {
                raise.map_or(0, |(_, hold)| hold)
            };
            if here && on.contains(id) { Ok(()) } else { Err(hold) }
        });
        for id in self.desk.fit_to_stops() {
            self.raise_owed(&id);
        }
        // What may not be shelved any more is heard.
        for id in self.desk.alarms.keys().cloned().collect::<Vec<_>>() {
            let shelved = self.desk.alarms[&id].shelf.is_some();
            if shelved && self.about(&id).is_some_and(|about| about.protected) {
                self.uncover(&id, Cover::Shelf, "shelf_ended");
            }
        }
    }

    /// Whether an input is about something that the rule reads.
    fn touches(&self, rule: &Watched, input: Option<&Input>, before: &Before) -> bool {
        let (after, before_it) = (&self.sources, &before.sources);
        let turned = (0..SOURCES.len()).any(|id| {
            let (was, is) = (&before_it[id], &after[id]);
            // The first word of a feed of permits says that it tells of them at all, also while its link is down.
            let speaks = id == PTW && was.was_heard != is.was_heard;
            let links = (was.up == Some(true)) != (is.up == Some(true));
            rule.reads.reads_source(id) && (links || was.is_live() != is.is_live() || speaks)
        });
        let told = match input {
            None => false,
            Some(Input::Restart | Input::Act(_) | Input::Link { .. } | Input::Step(_) | Input::Sleep(_)) => {
                false
            }
            Some(Input::Refreshed(source)) => *source == PTW && rule.reads.permits,
            Some(Input::Read(of)) => !of.backfill && rule.reads.points.contains(&of.point),
            // A tag that is in none of its zones and was in none of them tells it nothing.
            Some(Input::Fix(fix)) => {
                let is = self.whereabouts(fix.tag);
                is.into_iter().chain(before.zone).any(|zone| rule.reads.zones.contains(zone))
            }
            Some(Input::Sighting { backfill, .. }) => !backfill && rule.reads.cameras,
            Some(Input::Condition { .. } | Input::Told) => rule.reads.conditions,
            Some(Input::Lost) => rule.reads.conditions && !before_it[DCS].untold,
            // Nor does a ticket of another plant.
            Some(Input::Permit(permit)) => rule.reads.permits && (before.ticket || !is_elsewhere(permit)),
            Some(Input::Reload(_)) => {
                let was_read =
                    |point: &usize| self.read[*point].last().is_some_and(|(_, of)| of.received.is_some());
                let told = rule.reads.places() || rule.reads.conditions || !rule.reads.rules.is_empty();
                told || rule.reads.points.iter().any(was_read)
            }
        };
        turned || told
    }

    /// What is so before an input.
    fn before(&self, input: Option<&Input>) -> Before {
        let zone = match input {
            Some(Input::Fix(fix)) => self.whereabouts(fix.tag),
            _ => None,
        };
        let ticket = |(_, of): &(u64, Input)| match (of, input) {
            (Input::Permit(of), Some(Input::Permit(this))) if of.id == this.id => Some(!is_elsewhere(of)),
            _ => None,
        };
        let ticket = self.inputs.iter().rev().find_map(ticket).unwrap_or(false);
        Before { sources: self.sources.clone(), zone, ticket }
    }

    fn whereabouts(&self, tag: &str) -> Option<&'static str> {
        self.world().whereabouts(tag)
    }

    fn world(&self) -> World<'_> {
        World {
            now: self.desk.now,
            inputs: &self.inputs,
            read: &self.read,
            sources: &self.sources,
            actives: &self.actives,
        }
    }

    fn judge(&mut self, input: Option<&Input>, before: &Before) {
        let mut turned: BTreeSet<String> = BTreeSet::new();
        let mut rules = std::mem::take(&mut self.rules);
        for rule in &mut rules {
            // What nobody has told anything of is not judged.
            let born = !rule.said.is_empty()
                || self.touches(rule, input, before)
                || rule.reads.rules.iter().any(|of| turned.contains(of));
            if !born {
                continue;
            }
            let (when, mut clear) = rule.look(&self.world());
            if rule.from_before && clear == Some(true) {
                if self.is_settled(&rule.reads) {
                    rule.from_before = false;
                } else {
                    clear = None;
                }
            }
            rule.said.push((self.desk.now, when, clear));
            if !self.desk.is_active(&rule.about.id) {
                if rule.lasted(rule.on_delay, |when, _| when == Some(true), |when, _| when != Some(false)) {
                    rule.turned = rule.said.len() - 1;
                    self.begins(rule, when.is_none());
                }
            } else {
                let safe = |when: Tri, clear: Tri| when == Some(false) && clear == Some(true);
                if rule.lasted(rule.off_delay, safe, safe) {
                    rule.turned = rule.said.len() - 1;
                    self.ends(rule);
                }
            }
            let id = &rule.about.id;
            let active = if self.desk.is_active(id) { Some(true) } else { when.and(Some(false)) };
            if self.actives[id] != active {
                self.actives.insert(id.clone(), active);
                turned.insert(id.clone());
            }
        }
        self.rules = rules;
    }

    /// Every feed that tells the rule of places has been there for long enough.
    fn is_settled(&self, reads: &Reads) -> bool {
        let feeds = [(RTLS, !reads.zones.is_empty()), (NVR, reads.cameras), (PTW, reads.permits)];
        feeds.into_iter().filter(|(_, reads)| *reads).all(|(id, _)| {
            let feed = &self.sources[id];
            feed.is_live() && feed.since + SETTLED <= self.desk.now
        })
    }

    fn begins(&mut self, rule: &mut Watched, on_unknown: bool) {
        self.desk.begin(&rule.about, on_unknown);
        let id = &rule.about.id;
        if let Some(When::After(length)) = rule.plan.as_ref().map(|plan| plan.raising) {
            rule.wait = Some(self.desk.now + length);
        }
        if let Some(plan) = rule.plan.as_ref().filter(|_| !self.desk.alarms[id].withholds_hazards())
            && is_due(&mut self.desk, id, plan, rule.wait)
        {
            self.desk.raise(id, plan, on_unknown);
        }
        if let Some(boost) = &rule.boost {
            self.desk.boost(id, boost);
        }
        if let (Some((to, _)), Some(unit)) = (rule.raise, rule.about.unit) {
            self.desk.lift_up(unit, id, to);
        }
    }

    fn ends(&mut self, rule: &mut Watched) {
        rule.wait = None;
        self.desk.end(&rule.about.id, rule.latch);
        self.desk.return_of(&rule.about.id);
        self.let_go(rule);
    }

    fn let_go(&mut self, rule: &Watched) {
        if let Some(boost) = &rule.boost {
            self.desk.unboost(&rule.about.id, boost);
        }
        if let (Some((_, hold)), Some(unit)) = (rule.raise, rule.about.unit) {
            self.desk.let_down(unit, &rule.about.id, hold);
        }
    }

    /// Faults, and what ends or comes again by itself.
    fn follow(&mut self) {
        self.faults();
        self.raise_what_lasted();
        self.desk.expire();
        self.uncover_ended();
        for rule in &self.rules {
            let (Some(after), Some(alarm)) = (rule.realarm, self.desk.alarms.get(&rule.about.id)) else {
                continue;
            };
            let by = rule.realarm_by.filter(|(changed, _)| *changed == alarm.changed);
            let due = by.map_or(alarm.changed + after, |(_, by)| by);
            self.desk.re_alarm(&rule.about.id, due);
        }
    }

    /// Episodes that have lasted for long enough.
    fn raise_what_lasted(&mut self) {
        let now = self.desk.now;
        for rule in &mut self.rules {
            if rule.wait.is_none_or(|due| due > now) {
                continue;
            }
            rule.wait = None;
            let id = &rule.about.id;
            let Some(plan) = rule.plan.as_ref().filter(|_| self.desk.is_active(id)) else { continue };
            if self.desk.alarms[id].withholds_hazards() {
                self.desk.owe(id);
            } else {
                let on_unknown = self.desk.was_on_unknown(id);
                self.desk.raise(id, plan, on_unknown);
            }
        }
    }

    fn faults(&mut self) {
        let now = self.desk.now;
        for id in 0..SOURCES.len() {
            let source = self.sources[id].clone();
            let fault = FAULTS_OF_SOURCES[id];
            let active = self.desk.is_active(fault);
            if active && !source.is_blind() {
                self.desk.end(fault, false);
                self.desk.return_of(fault);
            } else if !active && source.is_blind() && source.fault_due <= now {
                let about = self.about_source(id);
                self.desk.begin(&about, false);
            }
            if source.is_blind() && source.hazard_due == now {
                self.raise_of_source(id);
            }
        }
        for point in 0..TAGS.len() {
            let reading = self.read[point].last().unwrap().1.clone();
            let fault = FAULTS_OF_POINTS[point];
            let active = self.desk.is_active(fault);
            let source = &self.sources[source_of(point)];
            let class = self.site().points[point].class;
            let patience = if is_strict(class) { 10 * SECOND } else { self.site().patience };
            if active && !reading.is_bad() {
                self.desk.end(fault, false);
                self.desk.return_of(fault);
            } else if let Some(watched) = self.watched.get(&point)
                && !active
                && reading.is_bad()
                && !source.lost
                && reading.turned.max(source.found).max(*watched) + patience <= now
            {
                let about = self.about_point(point);
                self.desk.begin(&about, false);
                if !self.desk.alarms[fault].withholds_hazards() {
                    self.raise_of_point(point);
                }
            }
        }
    }

    fn raise_of_point(&mut self, point: usize) {
        let fault = format!("fault:{}", TAGS[point]);
        if let Some(measure) = self.site().points[point].measure {
            let measure = measure.to_owned();
            let cause = fault.clone();
            let plan = Plan {
                measure,
                cause,
                auto: false,
                major: false,
                raising: When::AtOnce,
                gravity: 0,
                grouped: false,
            };
            self.desk.raise(&fault, &plan, false);
        }
    }

    /// The rules that cannot see while a source is as it is.
    fn blinded(&self, id: usize) -> impl Iterator<Item = &Watched> {
        let lost = self.sources[id].lost;
        self.rules.iter().filter(move |rule| {
            let by_points = rule.reads.points.iter().any(|point| source_of(*point) == id);
            (lost && by_points) || rule.reads.reads_source(id)
        })
    }

    fn raise_of_source(&mut self, id: usize) {
        let measures: BTreeSet<&'static str> = self.blinded(id).filter_map(|rule| rule.measure).collect();
        let fault = format!("fault:source:{}", SOURCES[id]);
        let class = self.class_of(id);
        for measure in measures {
            let withheld = self.desk.alarms.get(&fault).is_some_and(|of| of.withholds_hazards());
            if withheld || self.desk.is_stopped(Some(unit_of(measure)), class) {
                continue;
            }
            let cause = format!("fault:{}", SOURCES[id]);
            let measure = measure.to_owned();
            let plan = Plan {
                measure,
                cause,
                auto: false,
                major: false,
                raising: When::AtOnce,
                gravity: 0,
                grouped: true,
            };
            self.desk.raise(&fault, &plan, false);
        }
    }

    /// What was withheld of sources that are lost for long already.
    fn raise_of_lost_sources(&mut self) {
        for id in 0..SOURCES.len() {
            if self.sources[id].is_blind() && self.sources[id].hazard_due <= self.desk.now {
                self.raise_of_source(id);
            }
        }
    }

    /// The strictest class of what cannot be seen.
    fn class_of(&self, id: usize) -> Class {
        let lost = self.sources[id].lost;
        let points = (0..TAGS.len()).filter(|point| lost && source_of(*point) == id);
        let told = match id {
            RTLS => Some(Class::People),
            NVR => Some(Class::Video),
            PTW => Some(Class::Permit),
            DCS => Some(Class::Process),
            _ => None,
        };
        points.map(|point| self.site().points[point].class).chain(told).max().unwrap_or(Class::System)
    }

    fn about_source(&self, id: usize) -> About {
        let class = self.class_of(id);
        let units: BTreeSet<&'static str> =
            self.blinded(id).filter_map(|rule| rule.measure).map(unit_of).collect();
        About {
            id: format!("fault:source:{}", SOURCES[id]),
            class,
            unit: units.first().copied().filter(|_| units.len() == 1),
            protected: is_protected(true, class, Priority::Low, false),
        }
    }

    fn about_point(&self, point: usize) -> About {
        let class = self.site().points[point].class;
        let rules = self.rules.iter().filter(|rule| rule.reads.points.contains(&point));
        let measures = rules.filter_map(|rule| rule.measure).chain(self.site().points[point].measure);
        let units: BTreeSet<&'static str> = measures.map(unit_of).collect();
        About {
            id: format!("fault:{}", TAGS[point]),
            class,
            unit: units.first().copied().filter(|_| units.len() == 1),
            protected: is_protected(true, class, Priority::Low, false),
        }
    }

    /// Of an alarm that there can be.
    fn about(&self, id: &str) -> Option<About> {
        if let Some(rule) = self.rules.iter().find(|rule| rule.about.id == id) {
            return Some(rule.about.clone());
        }
        if let Some(alarm) = self.desk.alarms.get(id).filter(|_| id.starts_with("fault:")) {
            let protected = is_protected(true, alarm.class, Priority::Low, false);
            return Some(About { id: id.to_owned(), class: alarm.class, unit: alarm.unit, protected });
        }
        let point = TAGS.iter().position(|tag| id.strip_prefix("fault:") == Some(tag))?;
        let of = &self.site().points[point];
        Some(About {
            id: id.to_owned(),
            class: of.class,
            unit: of.measure.map(unit_of),
            protected: is_protected(true, of.class, Priority::Low, false),
        })
    }

    /// An alarm, or of a point those that are about it alone.
    fn abouts(&self, what: &str) -> Vec<About> {
        if let Some(about) = self.about(what) {
            return vec![about];
        }
        let Some(point) = TAGS.iter().position(|tag| *tag == what) else { return Vec::new() };
        let alone = self.rules.iter().filter(|rule| {
            rule.reads.points == BTreeSet::from([point]) && !rule.reads.places() && !rule.reads.conditions
        });
        let fault = self.about(&format!("fault:{what}"));
        alone.map(|rule| rule.about.clone()).chain(fault).collect()
    }

    fn calls_for_help(&self, id: &str) -> bool {
        self.site().rules.iter().any(|rule| rule.id == id && rule.when.calls_for_help())
    }

    fn act(&mut self, act: &Act) -> bool {
        let now = self.desk.now;
        match act {
            Act::Acknowledge(id) => self.desk.acknowledge(id),
            Act::Reset(id) => self.desk.reset(id),
            Act::Confirm(nth) => self.desk.move_hazard(*nth, Stage::Candidate, Stage::Rectifying),
            Act::Reject(nth) => self.desk.move_hazard(*nth, Stage::Candidate, Stage::Rejected),
            Act::Rectify(nth) => self.desk.move_hazard(*nth, Stage::Rectifying, Stage::AwaitingAcceptance),
            Act::Accept(nth) => self.desk.move_hazard(*nth, Stage::AwaitingAcceptance, Stage::Accepted),
            Act::Shelve(id, length) => {
                let Some(about) = self.about(id).filter(|of| !of.protected) else { return false };
                let shelved = self.desk.alarms.get(id).is_some_and(|of| of.shelf.is_some());
                if shelved || *length == 0 || *length > 8 * 3600 * SECOND {
                    return false;
                }
                self.desk.shelve(&about, now + length);
                true
            }
            Act::Unshelve(id) => self.uncover(id, Cover::Shelf, "unshelved"),
            Act::TakeOut(what, length) => {
                let abouts = self.abouts(what);
                if abouts.iter().any(|about| self.calls_for_help(&about.id)) {
                    return false;
                }
                let is_out =
                    |about: &About| self.desk.alarms.get(&about.id).is_some_and(|of| of.out.is_some());
                let still_in: Vec<About> = abouts.into_iter().filter(|about| !is_out(about)).collect();
                for about in &still_in {
                    self.desk.take_out(about, length.map(|length| now + length));
                }
                !still_in.is_empty()
            }
            Act::PutBack(what) => {
                let abouts = self.abouts(what);
                let back =
                    abouts.iter().filter(|about| self.uncover(&about.id, Cover::Out, "put_back")).count();
                back > 0
            }
            Act::Stop(unit) => {
                if self.desk.stops.get(unit).is_some_and(|stop| stop.on) {
                    return false;
                }
                self.desk.stop(unit);
                self.fit_to_stops();
                true
            }
            Act::Start(unit) => {
                if !self.desk.stops.get(unit).is_some_and(|stop| stop.on) {
                    return false;
                }
                self.desk.start(unit);
                self.fit_to_stops();
                true
            }
        }
    }

    fn fit_to_stops(&mut self) {
        for id in self.desk.fit_to_stops() {
            self.raise_owed(&id);
        }
        self.raise_of_lost_sources();
        self.desk.suspend_tasks(self.sites[self.at_site].tasks());
    }

    fn raise_owed(&mut self, id: &str) {
        let on_unknown = self.desk.was_on_unknown(id);
        if let Some(rule) = self.rules.iter().find(|rule| rule.about.id == id) {
            if let Some(plan) = rule.plan.clone()
                && is_due(&mut self.desk, id, &plan, rule.wait)
            {
                self.desk.raise(id, &plan, on_unknown);
            }
        } else if let Some(point) = TAGS.iter().position(|tag| id.strip_prefix("fault:") == Some(tag)) {
            self.raise_of_point(point);
        }
    }

    fn uncover(&mut self, id: &str, cover: Cover, event: &'static str) -> bool {
        let Some(alarm) = self.desk.alarms.get_mut(id) else { return false };
        let was_on = match cover {
            Cover::Shelf => alarm.shelf.take().is_some(),
            Cover::Out => alarm.out.take().is_some(),
        };
        if was_on {
            if self.desk.lifted(id, event) {
                self.raise_owed(id);
            }
            self.raise_of_lost_sources();
        }
        was_on
    }

    fn uncover_ended(&mut self) {
        let now = self.desk.now;
        let over = |until: Option<u64>| until.is_some_and(|until| until <= now);
        let shelves = self.desk.alarms.iter().filter(|(_, of)| over(of.shelf)).map(|(id, _)| id.clone());
        let shelves: Vec<String> = shelves.collect();
        for id in shelves {
            self.uncover(&id, Cover::Shelf, "shelf_ended");
        }
        let outs = self.desk.alarms.iter().filter(|(_, of)| over(of.out.flatten())).map(|(id, _)| id.clone());
        let outs: Vec<String> = outs.collect();
        for id in outs {
            self.uncover(&id, Cover::Out, "out_of_service_ended");
        }
    }
}

/// Whether an episode that begins to count raises its hazard now.
fn is_due(desk: &mut Desk, rule: &str, plan: &Plan, wait: Option<u64>) -> bool {
    match plan.raising {
        When::AtOnce => true,
        When::After(_) => wait.is_none(),
        When::Repeats(times, within) => desk.is_repeated(rule, plan, times, within),
    }
}

#[derive(Debug, Clone, Copy)]
enum Cover {
    Shelf,
    Out,
}
