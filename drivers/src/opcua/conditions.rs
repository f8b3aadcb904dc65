//! The conditions that a server keeps, as its events tell of them, and what of that goes to the engine. Pure.
//!
//! A server names a condition by its ConditionId, a rule by SourceName and ConditionName; of several with the
//! same two names the engine is told one: active if any of them is, with the words of the gravest.
//!
//! After each refresh all of it is told anew, and then that this is all: whoever listens may have forgotten,
//! or may never have heard.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use riskgate_point::{Condition, Now, Report, SourceId, Wall};

/// Conditions that stand at one server at once, and are of interest. Beyond it each is passed on as it
/// comes and nothing is remembered of it, so that the server has never told all. About 500 B each: 5 MB.
const CONDITIONS_MAX: usize = 10_000;

/// Events of which it is known that they came already. A server repeats an event at once, or in the refresh
/// that follows.
const SEEN_MAX: usize = 1_000;

/// One event of a condition: how it stands from here on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Told {
    /// ConditionId, or what stands for it.
    pub(super) id: Arc<str>,
    pub(super) event_id: Arc<[u8]>,
    /// SourceName and ConditionName.
    pub(super) origin: Arc<str>,
    pub(super) name: Arc<str>,
    /// It is enabled, and worth an operator's attention.
    pub(super) retain: bool,
    pub(super) active: bool,
    pub(super) acknowledged: bool,
    pub(super) suppressed: bool,
    /// The server itself does not trust what it says: what the condition is about is of bad quality.
    pub(super) doubtful: bool,
    pub(super) severity: u16,
    pub(super) message: Arc<str>,
    pub(super) source_time: Option<Wall>,
}

#[derive(Debug)]
pub(super) struct Conditions {
    source: SourceId,
    kept: BTreeMap<Arc<str>, Kept>,
    /// By SourceName and ConditionName, the ids of the conditions that are called so.
    named: BTreeMap<Name, BTreeSet<Arc<str>>>,
    seen: HashSet<Told>,
    /// The same, the oldest first.
    seen_order: VecDeque<Told>,
    /// Conditions that no event ended: a refresh left them out, or there was no room for them.
    left_out: BTreeSet<Arc<str>>,
    /// Counts refreshes.
    turn: u64,
    /// Whose end of the refresh is still to come, by the handles of the event items, and whether its begin has.
    awaited: BTreeMap<u32, bool>,
    /// Something was lost of the refresh, or there was no room for it.
    spoilt: bool,
    /// The engine was told that it knows all, and nothing was lost since.
    has_told: bool,
}

type Name = (Arc<str>, Arc<str>);

#[derive(Debug)]
struct Kept {
    told: Told,
    /// The refresh in which it was last told of.
    turn: u64,
}

/// The end of a refresh, and all that is known to stand.
#[derive(Debug, PartialEq)]
pub(super) enum Ended {
    /// And that this is all.
    Whole(Vec<Report>),
    /// Some of it did not come.
    InPart(Vec<Report>),
}

/// What a condition's event was good for.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    /// The engine is to know.
    News(Report),
    /// It came already, or changes nothing.
    Known,
    /// There is no room to remember it; the engine is to know all the same.
    Crowded(Report),
}

impl Conditions {
    pub(super) fn new(source: SourceId) -> Self {
        Self {
            source,
            kept: BTreeMap::new(),
            named: BTreeMap::new(),
            seen: HashSet::new(),
            seen_order: VecDeque::new(),
            left_out: BTreeSet::new(),
            turn: 0,
            awaited: BTreeMap::new(),
            spoilt: false,
            has_told: false,
        }
    }

    pub(super) fn take(&mut self, mut told: Told, received: Now) -> Taken {
        if let Some(kept) = self.kept.get_mut(&told.id) {
            // That it is told again says that it is still there, though not how it stands: between its
            // event and the refresh that repeats this one a newer may have come.
            kept.turn = self.turn;
        }
        // Should the next refresh tell what one left out, with an event that came before, it is news.
        let is_back = !self.awaited.is_empty() && self.left_out.contains(&told.id);
        if self.seen.contains(&told) && !is_back {
            return Taken::Known;
        }
        self.left_out.remove(&told.id);
        self.remember(&told);
        if told.doubtful && self.kept.get(&told.id).is_some_and(|kept| kept.told.active) {
            told.active = true;
        }
        let name = (Arc::clone(&told.origin), Arc::clone(&told.name));
        let before = self.summed_up(&name, received);
        let is_quiet = !told.retain && !told.active;
        if is_quiet {
            self.forget(&told.id);
        } else if self.kept.len() >= CONDITIONS_MAX && !self.kept.contains_key(&told.id) {
            self.spoilt = true;
            if self.left_out.len() < CONDITIONS_MAX {
                self.left_out.insert(Arc::clone(&told.id));
            }
            return Taken::Crowded(self.report(&told, received));
        } else {
            self.keep(told, &name);
        }
        let now = self.summed_up(&name, received);
        if before == now { Taken::Known } else { Taken::News(Report::Condition(Box::new(now))) }
    }

    fn remember(&mut self, told: &Told) {
        // Without an id one event cannot be told from another.
        if told.event_id.is_empty() || !self.seen.insert(told.clone()) {
            return;
        }
        self.seen_order.push_back(told.clone());
        if self.seen_order.len() > SEEN_MAX
            && let Some(oldest) = self.seen_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }

    fn keep(&mut self, told: Told, name: &Name) {
        // It may be called otherwise now.
        self.forget(&told.id);
        self.named.entry(name.clone()).or_default().insert(Arc::clone(&told.id));
        self.kept.insert(Arc::clone(&told.id), Kept { told, turn: self.turn });
    }

    fn forget(&mut self, id: &str) -> Option<Name> {
        let Told { origin, name, .. } = self.kept.remove(id)?.told;
        let name = (origin, name);
        if let Some(ids) = self.named.get_mut(&name) {
            ids.remove(id);
            if ids.is_empty() {
                self.named.remove(&name);
            }
        }
        Some(name)
    }

    /// All that is called so, as one.
    fn summed_up(&self, name: &Name, received: Now) -> Condition {
        let ids = self.named.get(name).into_iter().flatten();
        let all: Vec<&Told> = ids.filter_map(|id| self.kept.get(id)).map(|kept| &kept.told).collect();
        let gravest = all.iter().max_by_key(|told| (told.active, !told.suppressed, told.severity));
        let Some(gravest) = gravest else {
            return Condition {
                source: self.source,
                origin: Arc::clone(&name.0),
                name: Arc::clone(&name.1),
                active: false,
                acknowledged: true,
                suppressed: false,
                severity: 1,
                message: Arc::from(""),
                source_time: None,
                received,
            };
        };
        Condition {
            acknowledged: all.iter().all(|told| told.acknowledged),
            ..self.condition(gravest, received)
        }
    }

    fn condition(&self, told: &Told, received: Now) -> Condition {
        Condition {
            source: self.source,
            origin: Arc::clone(&told.origin),
            name: Arc::clone(&told.name),
            active: told.active,
            acknowledged: told.acknowledged,
            suppressed: told.suppressed,
            severity: told.severity,
            message: Arc::clone(&told.message),
            source_time: told.source_time,
            received,
        }
    }

    fn report(&self, told: &Told, received: Now) -> Report {
        Report::Condition(Box::new(self.condition(told, received)))
    }

    /// The server is about to be asked to tell all: each of these event items will say when it begins, and
    /// when it has.
    pub(super) fn begin_refresh(&mut self, items: impl IntoIterator<Item = u32>) {
        self.turn += 1;
        self.spoilt = false;
        self.awaited = items.into_iter().map(|item| (item, false)).collect();
    }

    pub(super) fn refresh_has_begun(&mut self, item: u32) {
        if let Some(has_begun) = self.awaited.get_mut(&item) {
            *has_begun = true;
        }
    }

    /// Something was, or may have been, missed: what comes of this refresh is not all, and what was told is
    /// not what is. The engine is told once, until it is told all again.
    pub(super) fn lose(&mut self, at: Now) -> Option<Report> {
        self.spoilt = true;
        std::mem::take(&mut self.has_told).then_some(Report::ConditionsLost { source: self.source, at })
    }

    /// Nobody waits any more for the end of a refresh that was begun: another will be.
    pub(super) fn break_refresh_off(&mut self) {
        self.awaited.clear();
    }

    /// An event item has told all. `None`: others have not, or nobody asked.
    pub(super) fn end_refresh(&mut self, item: u32, received: Now) -> Option<Ended> {
        // A server whose queue is too short for all of it drops what came first, or never comes to the end.
        self.spoilt |= !self.awaited.remove(&item)?;
        if !self.awaited.is_empty() {
            return None;
        }
        let mut over: Vec<Arc<str>> = Vec::new();
        if !self.spoilt {
            // What the server does not trust itself ends nothing, and neither does its silence about it.
            let is_over = |kept: &Kept| kept.turn != self.turn && !kept.told.doubtful;
            let left_out = self.kept.iter().filter(|(_, kept)| is_over(kept));
            over.extend(left_out.map(|(id, _)| Arc::clone(id)));
        }
        // Said outright: the link may never have been lost, and then only this ends them.
        let mut names: BTreeSet<Name> = over.iter().filter_map(|id| self.forget(id)).collect();
        self.left_out.extend(over);
        let seen: HashSet<&Arc<str>> = self.seen.iter().map(|seen| &seen.id).collect();
        self.left_out.retain(|id| seen.contains(id));
        names.extend(self.named.keys().cloned());
        let told = names.iter().map(|name| Report::Condition(Box::new(self.summed_up(name, received))));
        let mut reports: Vec<Report> = told.collect();
        if self.spoilt {
            return Some(Ended::InPart(reports));
        }
        self.has_told = true;
        reports.push(Report::ConditionsTold { source: self.source, at: received });
        Some(Ended::Whole(reports))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Now = Now { mono: riskgate_point::Mono(5), wall: Wall(6) };
    const ITEM: u32 = 9;

    fn told(id: &str, event: u8) -> Told {
        Told {
            id: Arc::from(id),
            event_id: Arc::from([event]),
            origin: Arc::from("LIA-1"),
            name: Arc::from("HH"),
            retain: true,
            active: true,
            acknowledged: false,
            suppressed: false,
            doubtful: false,
            severity: 500,
            message: Arc::from("high"),
            source_time: None,
        }
    }

    fn quiet(id: &str, event: u8) -> Told {
        Told { retain: false, active: false, acknowledged: true, ..told(id, event) }
    }

    /// What a report says, short.
    fn line(report: &Report) -> String {
        match report {
            Report::Condition(of) => {
                let word = |is: bool, word: &'static str| if is { word } else { "" };
                format!(
                    "{}/{} {}{}{}{}",
                    of.origin,
                    of.name,
                    of.severity,
                    word(of.active, " active"),
                    word(!of.acknowledged, " unacknowledged"),
                    word(of.suppressed, " suppressed")
                )
            }
            Report::ConditionsTold { .. } => "all told".to_owned(),
            Report::ConditionsLost { .. } => "lost".to_owned(),
            Report::Sample(_)
            | Report::Fix(_)
            | Report::Sighting(_)
            | Report::Permit(_)
            | Report::Link { .. }
            | Report::Refreshed { .. } => panic!("{report:?}"),
        }
    }

    fn take(conditions: &mut Conditions, told: Told) -> String {
        match conditions.take(told, NOW) {
            Taken::News(report) => line(&report),
            Taken::Known => "known".to_owned(),
            Taken::Crowded(report) => format!("crowded: {}", line(&report)),
        }
    }

    fn refreshed(conditions: &mut Conditions, retold: impl IntoIterator<Item = Told>) -> Vec<String> {
        conditions.begin_refresh([ITEM]);
        conditions.refresh_has_begun(ITEM);
        for told in retold {
            take(conditions, told);
        }
        whole(conditions.end_refresh(ITEM, NOW)).iter().map(line).collect()
    }

    fn whole(ended: Option<Ended>) -> Vec<Report> {
        if let Some(Ended::Whole(reports)) = ended { reports } else { panic!("{ended:?}") }
    }

    #[test]
    fn each_change_of_a_condition_is_news_and_its_end_the_last() {
        let mut conditions = Conditions::new(SourceId(1));
        assert_eq!(take(&mut conditions, told("a", 1)), "LIA-1/HH 500 active unacknowledged");
        let acknowledged = Told { acknowledged: true, ..told("a", 2) };
        assert_eq!(take(&mut conditions, acknowledged), "LIA-1/HH 500 active");
        let shelved = Told { acknowledged: true, suppressed: true, ..told("a", 3) };
        assert_eq!(take(&mut conditions, shelved), "LIA-1/HH 500 active suppressed");
        assert_eq!(take(&mut conditions, quiet("a", 4)), "LIA-1/HH 1");
        assert_eq!((conditions.kept.len(), conditions.named.len()), (0, 0));
        assert_eq!(take(&mut conditions, quiet("a", 5)), "known");
    }

    #[test]
    fn a_repeated_event_does_not_bring_back_what_it_told() {
        let mut conditions = Conditions::new(SourceId(1));
        take(&mut conditions, told("a", 1));
        assert_eq!(take(&mut conditions, told("a", 1)), "known");
        take(&mut conditions, quiet("a", 2));
        assert_eq!(take(&mut conditions, told("a", 1)), "known");
        assert_eq!(conditions.kept.len(), 0);
        // A server that gives all its events one id, or none, is still heard.
        assert_eq!(take(&mut conditions, told("a", 2)), "LIA-1/HH 500 active unacknowledged");
        let none = |told: Told| Told { event_id: Arc::from([]), ..told };
        assert_eq!(take(&mut conditions, none(quiet("a", 0))), "LIA-1/HH 1");
        assert_eq!(take(&mut conditions, none(told("a", 0))), "LIA-1/HH 500 active unacknowledged");
    }

    #[test]
    fn two_conditions_of_one_name_are_active_while_either_is() {
        let mut conditions = Conditions::new(SourceId(1));
        take(&mut conditions, told("a", 1));
        let graver = Told { severity: 900, acknowledged: true, ..told("b", 2) };
        assert_eq!(take(&mut conditions, graver), "LIA-1/HH 900 active unacknowledged");
        let returned = Told { active: false, acknowledged: true, severity: 900, ..told("b", 3) };
        assert_eq!(take(&mut conditions, returned), "LIA-1/HH 500 active unacknowledged");
        assert_eq!(take(&mut conditions, quiet("a", 4)), "LIA-1/HH 900");
    }

    #[test]
    fn an_active_condition_that_is_not_retained_is_active_all_the_same() {
        let mut conditions = Conditions::new(SourceId(1));
        let careless = Told { retain: false, ..told("a", 1) };
        assert_eq!(take(&mut conditions, careless), "LIA-1/HH 500 active unacknowledged");
        assert_eq!(conditions.kept.len(), 1);
    }

    #[test]
    fn what_the_server_does_not_trust_itself_ends_nothing() {
        let mut conditions = Conditions::new(SourceId(1));
        take(&mut conditions, told("a", 1));
        let doubtful = Told { doubtful: true, severity: 400, ..quiet("a", 2) };
        assert_eq!(take(&mut conditions, doubtful), "LIA-1/HH 400 active");
        assert_eq!(take(&mut conditions, quiet("a", 3)), "LIA-1/HH 1");
        // And begins nothing.
        assert_eq!(take(&mut conditions, Told { doubtful: true, ..quiet("a", 4) }), "known");
    }

    #[test]
    fn a_refresh_that_leaves_out_what_the_server_does_not_trust_ends_it_not() {
        let mut conditions = Conditions::new(SourceId(1));
        take(&mut conditions, told("a", 1));
        take(&mut conditions, Told { doubtful: true, ..quiet("a", 2) });
        assert_eq!(refreshed(&mut conditions, []), ["LIA-1/HH 500 active", "all told"]);
        assert_eq!(take(&mut conditions, quiet("a", 3)), "LIA-1/HH 1");
    }

    #[test]
    fn after_a_refresh_all_is_told_and_what_was_not_told_again_is_over() {
        let mut conditions = Conditions::new(SourceId(1));
        let other = || Told { name: Arc::from("L"), ..told("b", 2) };
        assert_eq!(refreshed(&mut conditions, []), ["all told"]);
        take(&mut conditions, told("a", 1));
        take(&mut conditions, other());
        let all = refreshed(&mut conditions, [other()]);
        assert_eq!(all, ["LIA-1/HH 1", "LIA-1/L 500 active unacknowledged", "all told"]);
        // Nothing has changed, and it is told all the same.
        let all = refreshed(&mut conditions, [other()]);
        assert_eq!(all, ["LIA-1/L 500 active unacknowledged", "all told"]);
    }

    #[test]
    fn what_a_refresh_left_out_is_news_when_the_next_tells_it_with_the_same_event() {
        let mut conditions = Conditions::new(SourceId(1));
        take(&mut conditions, told("a", 1));
        assert_eq!(refreshed(&mut conditions, []), ["LIA-1/HH 1", "all told"]);
        let all = refreshed(&mut conditions, [told("a", 1)]);
        assert_eq!(all, ["LIA-1/HH 500 active unacknowledged", "all told"]);
    }

    #[test]
    fn what_changes_during_a_refresh_is_not_undone_by_what_the_refresh_repeats() {
        let mut conditions = Conditions::new(SourceId(1));
        take(&mut conditions, told("a", 1));
        let acknowledged = Told { acknowledged: true, ..told("a", 2) };
        let all = refreshed(&mut conditions, [acknowledged, told("a", 1)]);
        assert_eq!(all, ["LIA-1/HH 500 active", "all told"]);
    }

    #[test]
    fn a_refresh_is_over_when_each_event_item_has_said_so_and_somebody_asked() {
        let mut conditions = Conditions::new(SourceId(1));
        assert_eq!(conditions.end_refresh(ITEM, NOW), None);
        conditions.begin_refresh([ITEM, ITEM + 1]);
        conditions.refresh_has_begun(ITEM);
        conditions.refresh_has_begun(ITEM + 1);
        assert_eq!(conditions.end_refresh(ITEM, NOW), None);
        assert_eq!(conditions.end_refresh(ITEM, NOW), None);
        assert_eq!(whole(conditions.end_refresh(ITEM + 1, NOW)).len(), 1);
        assert_eq!(conditions.end_refresh(ITEM + 1, NOW), None);
    }

    #[test]
    fn a_refresh_of_which_something_was_lost_ends_nothing_and_is_not_all() {
        let mut conditions = Conditions::new(SourceId(1));
        take(&mut conditions, told("a", 1));
        let stands = Some(Ended::InPart(vec![Report::Condition(Box::new(
            conditions.summed_up(&(Arc::from("LIA-1"), Arc::from("HH")), NOW),
        ))]));
        // Its begin was dropped at the server, with what came next.
        conditions.begin_refresh([ITEM]);
        assert_eq!(conditions.end_refresh(ITEM, NOW), stands);
        conditions.begin_refresh([ITEM]);
        conditions.refresh_has_begun(ITEM);
        assert_eq!(conditions.lose(NOW), None, "nothing was told yet");
        assert_eq!(conditions.end_refresh(ITEM, NOW), stands);
        assert_eq!(refreshed(&mut conditions, []), ["LIA-1/HH 1", "all told"]);
    }

    #[test]
    fn what_was_told_is_lost_once_until_all_is_told_again() {
        let mut conditions = Conditions::new(SourceId(1));
        assert_eq!(refreshed(&mut conditions, [told("a", 1)]).last().map(String::as_str), Some("all told"));
        assert_eq!(conditions.lose(NOW).as_ref().map(line).as_deref(), Some("lost"));
        assert_eq!(conditions.lose(NOW), None);
        conditions.begin_refresh([ITEM]);
        conditions.refresh_has_begun(ITEM);
        conditions.break_refresh_off();
        assert_eq!(conditions.end_refresh(ITEM, NOW), None, "another is awaited, not this");
        refreshed(&mut conditions, [told("a", 1)]);
        assert_eq!(conditions.lose(NOW).as_ref().map(line).as_deref(), Some("lost"));
    }

    #[test]
    fn a_flood_is_passed_on_and_remembered_within_bounds_and_is_never_called_all() {
        let mut conditions = Conditions::new(SourceId(1));
        let flood = || {
            (0..=CONDITIONS_MAX).map(|n| Told { name: Arc::from(n.to_string()), ..told(&n.to_string(), 0) })
        };
        conditions.begin_refresh([ITEM]);
        conditions.refresh_has_begun(ITEM);
        let crowded = flood().filter(|told| matches!(conditions.take(told.clone(), NOW), Taken::Crowded(_)));
        assert_eq!(crowded.count(), 1);
        assert_eq!(conditions.kept.len(), CONDITIONS_MAX);
        assert!(conditions.seen.len() <= SEEN_MAX);
        let ended = conditions.end_refresh(ITEM, NOW);
        assert!(matches!(ended, Some(Ended::InPart(all)) if all.len() == CONDITIONS_MAX));
    }

    /// Something that happens at a server of three conditions, of which two have one name.
    #[derive(Debug, Clone)]
    enum Step {
        /// A condition changes; its event may be lost.
        Changes { at: usize, active: bool, acknowledged: bool, is_lost: bool },
        /// An event that came is sent again.
        Repeats(usize),
        /// All is told anew, and something happens on the way.
        Refreshes(Vec<Step>),
    }

    fn step() -> impl Strategy<Value = Step> {
        let changes = (0..3_usize, any::<bool>(), any::<bool>(), prop::bool::weighted(0.2));
        let changes = changes.prop_map(|(at, active, acknowledged, is_lost)| Step::Changes {
            at,
            active,
            acknowledged,
            is_lost,
        });
        // What is repeated while all is told anew cannot be told from what stands.
        let way = prop::collection::vec(changes.clone(), 0..6).prop_map(Step::Refreshes);
        prop_oneof![4 => changes, 1 => (0..50_usize).prop_map(Step::Repeats), 1 => way]
    }

    impl Step {
        /// While all is told anew nothing is lost, or the server would say so.
        fn arriving(&self) -> Self {
            let mut step = self.clone();
            if let Step::Changes { is_lost, .. } = &mut step {
                *is_lost = false;
            }
            step
        }
    }

    #[derive(Default)]
    struct Model {
        stands: [Option<Told>; 3],
        n_events: u8,
        came: Vec<Told>,
        /// What one who listens to the reports knows: names that are active or unacknowledged.
        known: BTreeMap<String, (bool, bool)>,
        retold: BTreeSet<String>,
    }

    impl Model {
        fn hear(&mut self, reports: impl IntoIterator<Item = Report>) {
            for report in reports {
                if let Report::Condition(of) = report {
                    self.known.insert(of.name.to_string(), (of.active, of.acknowledged));
                    self.retold.insert(of.name.to_string());
                } else {
                    assert!(matches!(report, Report::ConditionsTold { .. }), "{report:?}");
                    self.known.retain(|name, _| self.retold.contains(name));
                }
            }
            self.known.retain(|_, (active, acknowledged)| *active || !*acknowledged);
        }

        fn comes(&mut self, conditions: &mut Conditions, told: Told) {
            self.came.push(told.clone());
            match conditions.take(told, NOW) {
                Taken::News(report) | Taken::Crowded(report) => self.hear([report]),
                Taken::Known => {}
            }
        }

        fn step(&mut self, conditions: &mut Conditions, step: &Step) {
            match step {
                Step::Changes { at, active, acknowledged, is_lost } => {
                    self.n_events += 1;
                    let name = if *at == 2 { "L" } else { "HH" };
                    let now = Told {
                        name: Arc::from(name),
                        active: *active,
                        acknowledged: *acknowledged,
                        retain: *active || !acknowledged,
                        ..told(&at.to_string(), self.n_events)
                    };
                    self.stands[*at] = Some(now.clone());
                    if !is_lost {
                        self.comes(conditions, now);
                    }
                }
                Step::Repeats(at) => {
                    if let Some(again) = self.came.get(at % self.came.len().max(1)).cloned() {
                        self.comes(conditions, again);
                    }
                }
                Step::Refreshes(on_the_way) => {
                    conditions.begin_refresh([ITEM]);
                    conditions.refresh_has_begun(ITEM);
                    self.retold.clear();
                    let mut on_the_way = on_the_way.iter();
                    for at in 0..self.stands.len() {
                        // Each as it stands when its turn comes.
                        let stands = self.stands[at].clone().filter(|told| told.retain);
                        stands.into_iter().for_each(|told| self.comes(conditions, told));
                        for step in on_the_way.by_ref().take(2) {
                            self.step(conditions, &step.arriving());
                        }
                    }
                    self.hear(whole(conditions.end_refresh(ITEM, NOW)));
                }
            }
        }

        /// How it is at the server.
        fn truth(&self) -> BTreeMap<String, (bool, bool)> {
            let mut truth: BTreeMap<String, (bool, bool)> = BTreeMap::new();
            for told in self.stands.iter().flatten().filter(|told| told.retain) {
                let (active, acknowledged) = truth.entry(told.name.to_string()).or_insert((false, true));
                *active |= told.active;
                *acknowledged &= told.acknowledged;
            }
            truth
        }
    }

    proptest! {
        #[test]
        fn after_a_refresh_what_was_told_is_how_it_is(steps in prop::collection::vec(step(), 0..40)) {
            let mut conditions = Conditions::new(SourceId(1));
            let mut model = Model::default();
            for step in steps.iter().chain([&Step::Refreshes(Vec::new())]) {
                model.step(&mut conditions, step);
                if matches!(step, Step::Refreshes(_)) {
                    prop_assert_eq!(&model.known, &model.truth());
                }
            }
        }
    }
}
