//! Listens to the alarms that a server keeps: the subscription to its events, and the refresh after which all
//! of them are known.
//!
//! They have a subscription of their own, beside those of the points: a server that gives out no events loses
//! no value for it. What an event says is read in `events`, what follows in `conditions`; `refresh` asks for
//! all. It is asked for whenever something may have been missed: after each connection, after lost messages,
//! and when the server says so. From that moment until it has ended nothing is known of the server's
//! conditions. A lost connection the engine sees by itself; all else it is told.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opcua::types::{EventFieldList, MonitoredItemCreateRequest, StatusCode, TimestampsToReturn};
use riskgate_point::{Mono, Now, Report};

use super::conditions::{Conditions, Ended, Taken};
use super::events::{self, Event, Given};
use super::fault::Fault;
use super::recover::{Filled, is_lost_beside, is_slow};
use super::subscribe::{Filling, Subscribed};
use super::{Server, plan, refresh};
use crate::backoff::Backoff;
use crate::intake::Sender;

/// Keep-alives within which a server has to tell all that it keeps: 30 s with keep-alives of 5 s.
const REFRESHED_WITHIN: u32 = 6;

/// Between two refreshes, however often the server asks for one: 10,000 conditions are some megabytes.
const REFRESH_PAUSE: Duration = Duration::from_secs(5);

/// Keep-alives between two tries of what the server refuses: from 30 s to 10 min with keep-alives of 5 s.
const AGAIN: (u32, u32) = (6, 120);

/// Of the refusals that are told of in the log.
const HINT: &str = "check that the server offers Alarms & Conditions, that the nodes of 'notifiers' are event \
                    notifiers, and that the user may receive events";

pub(super) struct Alarms {
    server: Arc<Server>,
    state: Mutex<State>,
}

/// An event item as the server made it.
struct Item {
    given: Given,
    /// Events that it keeps for us between two publishings.
    queue: u32,
}

struct State {
    conditions: Conditions,
    /// By their handles.
    items: BTreeMap<u32, Item>,
    /// When the server is to be asked for all: something was, or may have been, missed.
    due: Option<Mono>,
    /// When it was last asked, and has not answered whole.
    asked: Option<Mono>,
    /// When it was last asked, whatever came of it.
    last_asked: Option<Mono>,
    /// What it refuses, as the log has told it.
    refused: Option<String>,
    again: Backoff,
}

impl Alarms {
    pub(super) fn new(server: Arc<Server>, seed: u64) -> Self {
        let (first, longest) = AGAIN;
        let state = State {
            conditions: Conditions::new(server.source),
            items: BTreeMap::new(),
            due: None,
            asked: None,
            last_asked: None,
            refused: None,
            again: Backoff::new(server.keep_alive * first, server.keep_alive * longest, seed),
        };
        Self { server, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The events of one message. `is_late`: others that were sent after it came already; how things stand is
    /// asked for anew, so that nothing old is taken for the present.
    pub(super) fn take(
        &self,
        events: &[&EventFieldList],
        is_late: bool,
        offset_ns: i64,
        at: Now,
        out: &Sender,
    ) -> Vec<Report> {
        let tally = out.tally();
        let mut state = self.state();
        if is_late {
            return state.missed(at).into_iter().collect();
        }
        let mut reports = Vec::new();
        // Before what came is taken: the end of a refresh may be in it, and then not all was told.
        if let Some(queue) = state.overflown(events) {
            tally.skipped("events", "the server's queue was full", || format!("it holds {queue}"));
            reports.extend(state.missed(at));
        }
        let mut is_in_part = false;
        for event in events {
            let Some(item) = state.items.get(&event.client_handle) else {
                tally.skipped("events", "never asked for", || event.client_handle.to_string());
                continue;
            };
            let fields = event.event_fields.as_deref().unwrap_or_default();
            match events::read(fields, &item.given, offset_ns) {
                Event::Condition(told) => match state.conditions.take(told, at) {
                    Taken::News(report) => reports.push(report),
                    Taken::Known => {}
                    Taken::Crowded(report) => {
                        tally.skipped("events", "too many conditions to remember", || format!("{report:?}"));
                        reports.push(report);
                        reports.extend(state.has_no_room(at));
                    }
                },
                Event::RefreshStart => state.conditions.refresh_has_begun(event.client_handle),
                Event::RefreshEnd => match state.conditions.end_refresh(event.client_handle, at) {
                    Some(Ended::Whole(all)) => {
                        reports.extend(all);
                        state.is_told(&self.server.url);
                    }
                    Some(Ended::InPart(some)) => {
                        reports.extend(some);
                        is_in_part = true;
                    }
                    None => {}
                },
                Event::RefreshRequired => {
                    tally.skipped("events", "the server lost events", String::new);
                    reports.extend(state.missed(at));
                }
                Event::Unusable(why) => {
                    tally.skipped("events", why, || format!("{fields:?}"));
                }
                Event::Other => {}
            }
        }
        drop(state);
        if is_in_part {
            reports.extend(self.put_off(at, "of all its conditions only a part arrives".to_owned(), out));
        }
        reports
    }

    #[cfg(test)]
    pub(super) fn is_asked_for_tests(&self, handle: u32) {
        self.has(handle, Item { given: Given::default(), queue: 100 });
        self.asks(Mono(1), handle..handle + 1);
    }

    fn has(&self, handle: u32, item: Item) {
        self.state().items.insert(handle, item);
    }

    /// The subscription is new, or its connection is: what was asked for before may never be answered.
    #[must_use]
    pub(super) fn begin_anew(&self, at: Now) -> Option<Report> {
        let mut state = self.state();
        state.asked = None;
        state.due = Some(at.mono);
        state.conditions.break_refresh_off();
        state.conditions.lose(at)
    }

    /// Something was lost on its way.
    #[must_use]
    pub(super) fn may_have_missed(&self, at: Now) -> Option<Report> {
        self.state().missed(at)
    }

    /// The subscription speaks no more. Nothing is asked for on it: another will be made, and begins anew.
    #[must_use]
    pub(super) fn are_cut_off(&self, at: Now) -> Option<Report> {
        self.state().conditions.lose(at)
    }

    /// Whether it is time to ask the server for all that it keeps.
    pub(super) fn is_time(&self, at: Now, out: &Sender) -> bool {
        let now = at.mono;
        let state = self.state();
        let within = self.server.keep_alive * REFRESHED_WITHIN;
        if state.asked.is_some_and(|asked| now.since(asked) > within) {
            drop(state);
            let lost = self.put_off(at, "a refresh of its conditions does not end".to_owned(), out);
            out.send(lost.into_iter().collect());
            return false;
        }
        state.asked.is_none() && state.due.is_some_and(|due| due <= now)
    }

    /// The server is asked: each of these event items will say when it has told all.
    fn asks(&self, now: Mono, items: Range<u32>) {
        let mut state = self.state();
        state.due = None;
        state.asked = Some(now);
        state.last_asked = Some(now);
        state.conditions.begin_refresh(items);
    }

    /// The server does not do as it is asked; it is asked again after a while.
    #[must_use]
    fn put_off(&self, at: Now, what: String, out: &Sender) -> Option<Report> {
        out.tally().skipped("events", "refused", || what.clone());
        let mut state = self.state();
        state.asked = None;
        let wait = state.again.next();
        state.due = Some(at.mono.after(wait));
        let lost = state.conditions.lose(at);
        drop(state);
        self.refuse(what);
        lost
    }

    /// Tells of a refusal, once for as long as it stays the same. What is refused is tried again.
    fn refuse(&self, what: String) {
        let mut state = self.state();
        if state.refused.as_ref() == Some(&what) {
            return;
        }
        tracing::warn!(
            url = self.server.url,
            what,
            "the server does not tell its conditions, they stay unknown; {HINT}"
        );
        state.refused = Some(what);
    }
}

impl State {
    /// Something was: a refresh that runs is not whole, and there is to be another.
    fn missed(&mut self, at: Now) -> Option<Report> {
        let earliest = self.last_asked.map_or(at.mono, |last| last.after(REFRESH_PAUSE).max(at.mono));
        self.due = Some(self.due.map_or(earliest, |due| due.min(earliest)));
        self.conditions.lose(at)
    }

    /// A condition was passed on and not remembered: how it ends would not be known. All is asked for again
    /// after a while, and known again once there is room for all.
    fn has_no_room(&mut self, at: Now) -> Option<Report> {
        if self.asked.is_none() && self.due.is_none() {
            let wait = self.again.next();
            self.due = Some(at.mono.after(wait));
        }
        self.conditions.lose(at)
    }

    fn is_told(&mut self, url: &str) {
        self.asked = None;
        self.again.reset();
        if self.refused.take().is_some() {
            tracing::info!(url, "the server tells its conditions");
        }
    }

    /// The length of a queue that came full: many servers do not say that they dropped what was over.
    fn overflown(&self, events: &[&EventFieldList]) -> Option<u32> {
        let mut came: BTreeMap<u32, u32> = BTreeMap::new();
        for event in events {
            *came.entry(event.client_handle).or_default() += 1;
        }
        let queues = came.into_iter().filter_map(|(handle, n_came)| {
            let queue = self.items.get(&handle)?.queue;
            (queue > 0 && n_came >= queue).then_some(queue)
        });
        queues.min()
    }
}

impl Filling {
    /// Subscribes to the events of each notifier, where that is wanted and not done. What the server refuses
    /// is told, and costs no value of a point anything.
    pub(super) async fn listen(&self, subscribed: &mut Subscribed) -> Result<(), Fault> {
        let Some(alarms) = self.notices.alarms() else { return Ok(()) };
        if subscribed.events().is_some() {
            return Ok(());
        }
        let Some(group) = self.server.groups.first() else { return Ok(()) };
        let now = (self.clock)();
        let sub = match self.open(plan::EVENTS, group, subscribed).await? {
            Ok(sub) => sub,
            Err(status) => {
                let what = format!("it makes no subscription to events ({status})");
                self.tell(alarms.put_off(now, what, &self.out));
                return Ok(());
            }
        };
        let handles = plan::event_handles(self.server.notifiers.len());
        for (notifier, handle) in self.server.notifiers.iter().zip(handles) {
            let made = match plan::node_id(notifier, &subscribed.limits.namespaces) {
                Some(node) => {
                    let request = |narrow| events::request(node.clone(), handle, narrow);
                    match self.ask_for_events(sub, request(true)).await? {
                        // Some cannot choose among events; then all come, and are looked at here.
                        Err(status) if !is_slow(status) => self.ask_for_events(sub, request(false)).await?,
                        made => made,
                    }
                }
                None => Err(StatusCode::BadNodeIdUnknown),
            };
            match made {
                Ok(item) => alarms.has(handle, item),
                Err(status) => {
                    self.stop_listening(subscribed, sub).await?;
                    let what = format!("it gives out no events of {notifier} ({status})");
                    self.tell(alarms.put_off(now, what, &self.out));
                    return Ok(());
                }
            }
        }
        self.tell(alarms.begin_anew(now));
        Ok(())
    }

    /// Deletes the subscription to events. One that the server cannot delete now ends with the session.
    async fn stop_listening(&self, subscribed: &mut Subscribed, sub: u32) -> Result<(), Fault> {
        match self.session.delete_subscriptions(&[sub]).await {
            Err(error) if is_lost_beside(&error) => Err(self.fault("deleting a subscription")(error)),
            Ok(_) | Err(_) => {
                subscribed.forget(&[sub]);
                Ok(())
            }
        }
    }

    async fn ask_for_events(
        &self,
        sub: u32,
        request: MonitoredItemCreateRequest,
    ) -> Result<Result<Item, StatusCode>, Fault> {
        let made = self.session.create_monitored_items(sub, TimestampsToReturn::Neither, vec![request]).await;
        Ok(match made {
            Ok(made) => match made.into_iter().next().map(|made| made.result) {
                Some(result) if !result.status_code.is_bad() => {
                    Ok(Item { given: Given::by(&result.filter_result), queue: result.revised_queue_size })
                }
                Some(result) => Err(result.status_code),
                None => Err(StatusCode::BadUnknownResponse),
            },
            Err(error) if is_lost_beside(&error) => return Err(self.fault("subscribing to events")(error)),
            Err(error) => Err(error.status()),
        })
    }

    /// Asks the server for all the conditions that it keeps, or tries again to be told of any.
    pub(super) async fn ask_for_conditions(self, mut subscribed: Subscribed) -> Result<Filled, Fault> {
        self.listen(&mut subscribed).await?;
        let (Some(alarms), Some(sub)) = (self.notices.alarms(), subscribed.events()) else {
            return Ok(Filled::whole(subscribed));
        };
        let now = (self.clock)();
        alarms.asks(now.mono, plan::event_handles(self.server.notifiers.len()));
        match refresh::ask(&self.session, sub).await {
            Ok(()) => {}
            Err(error) if is_lost_beside(&error) => {
                return Err(self.fault("asking for the conditions")(error));
            }
            Err(error) => {
                let what = format!("it does not refresh its conditions ({})", error.status());
                self.tell(alarms.put_off(now, what, &self.out));
            }
        }
        Ok(Filled::whole(subscribed))
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::{NodeId, ObjectTypeId, Variant};
    use riskgate_point::{SourceId, Wall};

    use super::*;
    use crate::intake::{self, Lane};

    const NOW: Now = Now { mono: Mono(5), wall: Wall(6) };
    const ITEM: u32 = 9;

    fn around(kind: ObjectTypeId) -> EventFieldList {
        let mut fields = vec![Variant::Empty; 17];
        fields[1] = Variant::from(NodeId::from(kind));
        EventFieldList { client_handle: ITEM, event_fields: Some(fields) }
    }

    /// What comes of a refresh of which both ends are in one message, from a queue of this length.
    fn refreshed(queue: u32, has_missed: bool) -> Vec<Report> {
        let alarms = Alarms::new(Arc::new(Server::bare()), 1);
        let (sender, _receiver) = intake::channel(16, |_| Lane::Process);
        alarms.has(ITEM, Item { given: Given::default(), queue });
        alarms.asks(NOW.mono, ITEM..ITEM + 1);
        if has_missed {
            assert_eq!(alarms.may_have_missed(NOW), None, "nothing was told yet");
        }
        let [start, end] =
            [ObjectTypeId::RefreshStartEventType, ObjectTypeId::RefreshEndEventType].map(around);
        alarms.take(&[&start, &end], false, 0, NOW, &sender)
    }

    #[test]
    fn a_refresh_is_whole_only_if_no_event_can_have_been_lost() {
        let source: SourceId = Server::bare().source;
        assert_eq!(refreshed(3, false), [Report::ConditionsTold { source, at: NOW }]);
        assert_eq!(refreshed(2, false), [], "the queue was full");
        assert_eq!(refreshed(3, true), [], "a message is missing");
    }

    /// An alarm that is active.
    fn alarm(n: u32) -> EventFieldList {
        let mut event = around(ObjectTypeId::AlarmConditionType);
        let fields = event.event_fields.as_mut().expect("they are there");
        fields[3] = Variant::from("LIA-1");
        fields[7] = Variant::from(NodeId::new(1, n));
        fields[8] = Variant::from(format!("A{n}"));
        fields[10] = Variant::from(true);
        fields[13] = Variant::from(true);
        event
    }

    #[test]
    fn with_more_conditions_than_are_remembered_nothing_is_known_and_all_is_asked_for_again_after_a_while() {
        let alarms = Alarms::new(Arc::new(Server::bare()), 1);
        let (sender, _receiver) = intake::channel(16, |_| Lane::Process);
        alarms.has(ITEM, Item { given: Given::default(), queue: u32::MAX });
        alarms.asks(NOW.mono, ITEM..ITEM + 1);
        let take = |events: &[EventFieldList]| {
            let events: Vec<&EventFieldList> = events.iter().collect();
            let reports = alarms.take(&events, false, 0, NOW, &sender);
            let lost = reports.iter().filter(|report| matches!(report, Report::ConditionsLost { .. }));
            (reports.len(), lost.count())
        };
        let ends = [ObjectTypeId::RefreshStartEventType, ObjectTypeId::RefreshEndEventType].map(around);
        assert_eq!(take(&ends), (1, 0));
        let flood: Vec<EventFieldList> = (0..10_000).map(alarm).collect();
        assert_eq!(take(&flood), (10_000, 0));
        assert_eq!(take(&[alarm(10_000), alarm(10_001)]), (3, 1), "both are told, and that all is lost once");
        assert!(!alarms.is_time(NOW, &sender), "it would come at once again");
        let later = NOW.after(Duration::from_secs(60));
        assert!(alarms.is_time(later, &sender));
    }
}
