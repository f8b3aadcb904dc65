//! Fills a session with subscriptions and their items: one subscription for each group of points, or as
//! many as the server's limit on the items of one takes.
//!
//! Each item's answer is looked at: one that the server refuses is named, reported and tried again, and
//! costs no other item anything. One whose deadband it refuses is subscribed without it, so that more is
//! told and nothing hidden. Requests are split by the server's limits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opcua::client::Session;
use opcua::types::{
    DataValue, Error, MonitoredItemCreateRequest, MonitoredItemCreateResult, NodeId, ReadValueId, StatusCode,
    TimestampsToReturn, VariableId, Variant,
};
use riskgate_point::{Report, Sample};

use super::fault::Fault;
use super::notices::{Callback, Notices};
use super::pulse::Pulse;
use super::{Group, Point, Server, decode, plan};
use crate::Clock;
use crate::intake::Sender;

/// Names of points in one line of the log.
const NAMED_MAX: usize = 20;

/// A server that does not answer so few in time has another trouble than their number.
const PORTION_MIN: usize = 10;

/// What is needed to fill a session.
#[derive(Clone)]
pub(super) struct Filling {
    pub(super) server: Arc<Server>,
    pub(super) session: Arc<Session>,
    pub(super) notices: Arc<Notices>,
    pub(super) out: Sender,
    pub(super) clock: Clock,
    pub(super) run: Arc<Run>,
}

/// What is known over all sessions of a run.
pub(super) struct Run {
    told: Mutex<Told>,
    /// What the server answers in time: less each time that it does not.
    portion: AtomicUsize,
    /// The connection was lost while the history was read: perhaps for it.
    skip_history: AtomicBool,
}

/// What the log has said, so that it says it once.
#[derive(Default)]
struct Told {
    refused: Vec<usize>,
    without_deadband: BTreeSet<usize>,
    given: BTreeMap<usize, Given>,
}

/// All that the server keeps for us.
#[derive(Debug, Clone)]
pub(super) struct Subscribed {
    pub(super) limits: Limits,
    pub(super) subs: Vec<Sub>,
    /// By the place of the point: its item, where the server monitors it.
    items: Arc<Vec<Option<Item>>>,
    /// Points that the server does not monitor, by their place in the list of points.
    pub(super) refused: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    sub: u32,
    id: u32,
}

/// One subscription.
#[derive(Debug, Clone)]
pub(super) struct Sub {
    pub(super) id: u32,
    /// Its place among the groups, or [`plan::EVENTS`].
    pub(super) group: usize,
    pub(super) pulse: Arc<Pulse>,
    /// As the server revised them; the sampling is that of its slowest item.
    pub(super) publishing: Duration,
    pub(super) sampling: Duration,
    /// How often it says that it is alive: asked for, or longer by the server's revision.
    pub(super) keep_alive: Duration,
}

#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) namespaces: Arc<[String]>,
    pub(super) nodes_in_a_read: usize,
    items_in_a_call: usize,
    pub(super) nodes_in_a_history: usize,
}

/// The worst that a group was given.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Given {
    publishing: Duration,
    sampling: Duration,
    queue: u32,
    keep_alive: Duration,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            told: Mutex::default(),
            portion: AtomicUsize::new(plan::PORTION_MAX),
            skip_history: AtomicBool::new(false),
        }
    }
}

impl Run {
    /// A server that breaks off whenever it is asked would otherwise be asked for ever.
    pub(super) fn skip_history_once(&self) {
        self.skip_history.store(true, Ordering::Relaxed);
    }

    pub(super) fn skips_history(&self) -> bool {
        self.skip_history.swap(false, Ordering::Relaxed)
    }
}

impl Subscribed {
    pub(super) fn new(limits: Limits, n_points: usize) -> Self {
        Self { limits, subs: Vec::new(), items: Arc::new(vec![None; n_points]), refused: Vec::new() }
    }

    pub(super) fn has_item(&self, at: usize) -> bool {
        matches!(self.items.get(at), Some(Some(_)))
    }

    /// The points that these subscriptions monitor.
    pub(super) fn points_of(&self, ids: &[u32]) -> Vec<usize> {
        let items = self.items.iter().enumerate();
        items.filter_map(|(at, item)| ids.contains(&item.as_ref()?.sub).then_some(at)).collect()
    }

    /// Forgets subscriptions that the server keeps no more, with their items.
    pub(super) fn forget(&mut self, ids: &[u32]) {
        self.subs.retain(|sub| !ids.contains(&sub.id));
        for item in Arc::make_mut(&mut self.items) {
            if item.is_some_and(|item| ids.contains(&item.sub)) {
                *item = None;
            }
        }
    }

    /// The subscription to events.
    pub(super) fn events(&self) -> Option<u32> {
        self.subs.iter().find(|sub| sub.group == plan::EVENTS).map(|sub| sub.id)
    }

    fn set(&mut self, at: usize, item: Option<Item>) {
        if let Some(place) = Arc::make_mut(&mut self.items).get_mut(at) {
            *place = item;
        }
    }
}

impl Filling {
    pub(super) fn fault(&self, what: &'static str) -> impl FnOnce(Error) -> Fault + '_ {
        move |source| Fault::service(&self.server, what, source)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.run.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What takes the server too long is asked for in smaller portions from the next session on: of a
    /// request without an answer nobody knows what was done.
    pub(super) fn note_slowness(&self, status: StatusCode, portion: usize) {
        if decode::code(status) == StatusCode::BadTimeout && portion > PORTION_MIN {
            let smaller = (portion / 2).max(PORTION_MIN);
            self.run.portion.fetch_min(smaller, Ordering::Relaxed);
            let url = &self.server.url;
            tracing::warn!(url, portion, smaller, "the server does not answer so much at once in time");
        }
    }

    /// Values, with the time that the server took counted.
    pub(super) async fn read(
        &self,
        what: &'static str,
        nodes: &[ReadValueId],
        stamps: TimestampsToReturn,
        max_age_ms: f64,
    ) -> Result<Vec<DataValue>, Fault> {
        let begun = (self.clock)().mono;
        let answer = self.session.read(nodes, stamps, max_age_ms).await;
        let answer = answer.and_then(|values| {
            let is_whole = values.len() == nodes.len();
            is_whole.then_some(values).ok_or(Error::new(StatusCode::BadUnknownResponse, "values are missing"))
        });
        match answer {
            Ok(values) => {
                self.out.tally().polled(Some((self.clock)().mono.since(begun)));
                Ok(values)
            }
            Err(error) => {
                self.out.tally().poll_failed();
                self.note_slowness(error.status(), nodes.len());
                Err(self.fault(what)(error))
            }
        }
    }

    /// The server's namespaces, and how much it takes in one request.
    pub(super) async fn read_limits(&self) -> Result<Limits, Fault> {
        let nodes = [
            VariableId::Server_NamespaceArray,
            VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
            VariableId::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
            VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData,
        ]
        .map(|variable| ReadValueId::from(NodeId::from(variable)));
        let answers = self.read("reading the namespaces", &nodes, TimestampsToReturn::Neither, 0.0).await?;
        let portion_max = self.run.portion.load(Ordering::Relaxed);
        let portion = |at: usize| {
            let said = answers.get(at).and_then(|answer| answer.value.as_ref());
            let limit = if let Some(Variant::UInt32(limit)) = said { Some(*limit) } else { None };
            plan::portion(limit).min(portion_max)
        };
        Ok(Limits {
            namespaces: answers.first().map(strings).unwrap_or_default(),
            nodes_in_a_read: portion(1),
            items_in_a_call: portion(2),
            nodes_in_a_history: portion(3),
        })
    }

    /// Creates what is not there: a subscription for each group, an item for each point, and the subscription
    /// to events.
    pub(super) async fn fill(&self, subscribed: &mut Subscribed) -> Result<(), Fault> {
        let mut refusals = Vec::new();
        for (group, asked) in self.server.groups.iter().enumerate() {
            let points = self.server.points.iter().enumerate();
            let is_wanted = |at: usize, point: &Point| {
                self.server.place_of_group(point) == group && !subscribed.has_item(at)
            };
            let mut wanted: Vec<usize> =
                points.filter(|(at, point)| is_wanted(*at, point)).map(|(at, _)| at).collect();
            self.notices.has_no_item(&wanted);
            let mut with_room = subscribed.subs.iter().rfind(|sub| sub.group == group).map(|sub| sub.id);
            // The first has to be there where no other is: its keep-alives show that the server lives.
            let idle = group == 0 && self.server.points.is_empty() && with_room.is_none();
            while idle && subscribed.subs.is_empty() || !wanted.is_empty() {
                let n_wanted = wanted.len();
                let (sub, is_new) = match with_room.take() {
                    Some(sub) => (sub, false),
                    None => match self.open(group, asked, subscribed).await? {
                        Ok(sub) => (sub, true),
                        Err(status) => {
                            refusals.extend(wanted.into_iter().map(|at| (at, status)));
                            break;
                        }
                    },
                };
                wanted = self.monitor(subscribed, sub, asked, wanted, &mut refusals).await?;
                // What an empty subscription has no room for, none has.
                if is_new && n_wanted > 0 && wanted.len() == n_wanted {
                    refusals.extend(wanted.into_iter().map(|at| (at, StatusCode::BadTooManyMonitoredItems)));
                    self.close(subscribed, &[sub]).await?;
                    break;
                }
            }
        }
        self.refuse(subscribed, refusals);
        self.listen(subscribed).await
    }

    /// A new subscription. `Err`: the server has none left for us.
    pub(super) async fn open(
        &self,
        group: usize,
        asked: &Group,
        subscribed: &mut Subscribed,
    ) -> Result<Result<u32, StatusCode>, Fault> {
        let rates = plan::Rates::of(asked);
        let pulse = Arc::new(Pulse::default());
        pulse.give_time((self.clock)().mono);
        let callback = Callback { notices: Arc::clone(&self.notices), pulse: Arc::clone(&pulse) };
        let made = self.session.create_subscription(
            rates.publishing,
            rates.lifetime_count,
            rates.keep_alive_count,
            plan::NOTIFICATIONS_MAX,
            0,
            true,
            callback,
        );
        let id = match made.await {
            Ok(id) => id,
            Err(error) if decode::code(error.status()) == StatusCode::BadTooManySubscriptions => {
                return Ok(Err(error.status()));
            }
            Err(error) => return Err(self.fault("creating a subscription")(error)),
        };
        let (publishing, count) = {
            let state = self.session.subscription_state().lock();
            let revised = state.get(id).map(|made| (made.publishing_interval(), made.max_keep_alive_count()));
            revised.unwrap_or((rates.publishing, rates.keep_alive_count))
        };
        let keep_alive = publishing.saturating_mul(count).max(asked.keep_alive);
        subscribed.subs.push(Sub { id, group, pulse, publishing, sampling: Duration::ZERO, keep_alive });
        Ok(Ok(id))
    }

    /// Deletes subscriptions at the server, which may have deleted them before.
    pub(super) async fn close(&self, subscribed: &mut Subscribed, ids: &[u32]) -> Result<(), Fault> {
        self.session.delete_subscriptions(ids).await.map_err(self.fault("deleting a subscription"))?;
        subscribed.forget(ids);
        Ok(())
    }

    /// Creates an item for each point at `ats`. Gives back those for which the subscription has no room.
    async fn monitor(
        &self,
        subscribed: &mut Subscribed,
        sub: u32,
        asked: &Group,
        ats: Vec<usize>,
        refusals: &mut Vec<(usize, StatusCode)>,
    ) -> Result<Vec<usize>, Fault> {
        let mut requests = Vec::with_capacity(ats.len());
        for at in ats {
            match self.request(at, asked, true, &subscribed.limits.namespaces) {
                Some(request) => requests.push((at, request)),
                None => refusals.push((at, StatusCode::BadNodeIdUnknown)),
            }
        }
        let (mut over, mut without_deadband) = (Vec::new(), Vec::new());
        let mut worst = (Duration::ZERO, asked.queue);
        while !requests.is_empty() {
            let results = self.create(subscribed, sub, &requests).await?;
            let mut again = Vec::new();
            for ((at, _), result) in requests.into_iter().zip(results) {
                let has_deadband = !without_deadband.iter().any(|(other, _)| *other == at)
                    && self.server.points.get(at).is_some_and(|point| plan::has_deadband(asked, point));
                match decode::code(result.status_code) {
                    status if !status.is_bad() => {
                        subscribed.set(at, Some(Item { sub, id: result.monitored_item_id }));
                        worst.0 = worst.0.max(millis(result.revised_sampling_interval));
                        worst.1 = worst.1.min(result.revised_queue_size);
                    }
                    StatusCode::BadTooManyMonitoredItems => over.push(at),
                    status if has_deadband && is_refusal_of_filter(status) => {
                        without_deadband.push((at, status));
                        again.extend(
                            self.request(at, asked, false, &subscribed.limits.namespaces)
                                .map(|request| (at, request)),
                        );
                    }
                    status => refusals.push((at, status)),
                }
            }
            requests = again;
        }
        self.tell_without_deadband(&without_deadband);
        self.tell_given(subscribed, sub, asked, worst);
        Ok(over)
    }

    fn request(
        &self,
        at: usize,
        group: &Group,
        deadband: bool,
        namespaces: &[String],
    ) -> Option<MonitoredItemCreateRequest> {
        let point = self.server.points.get(at)?;
        let deadband = deadband && plan::has_deadband(group, point);
        plan::item(point, plan::handle_of(at)?, group, deadband, namespaces)
    }

    /// One result for each request, in portions that the server takes.
    async fn create(
        &self,
        subscribed: &mut Subscribed,
        sub: u32,
        requests: &[(usize, MonitoredItemCreateRequest)],
    ) -> Result<Vec<MonitoredItemCreateResult>, Fault> {
        let mut results = Vec::with_capacity(requests.len());
        while let Some(rest) = requests.get(results.len()..).filter(|rest| !rest.is_empty()) {
            let portion = subscribed.limits.items_in_a_call.min(rest.len());
            let items = rest.iter().take(portion).map(|(_, request)| request.clone()).collect();
            let answer = self.session.create_monitored_items(sub, TimestampsToReturn::Source, items).await;
            match answer {
                Ok(made) => {
                    let answered = results.len() + portion;
                    results.extend(made.into_iter().map(|made| made.result).take(portion));
                    // An item that the server passes over is refused, not forgotten.
                    results.resize_with(answered, || MonitoredItemCreateResult {
                        status_code: StatusCode::BadUnknownResponse,
                        ..MonitoredItemCreateResult::default()
                    });
                }
                // It did not say how much is too much.
                Err(error) if is_too_much(error.status()) && portion > 1 => {
                    subscribed.limits.items_in_a_call = portion / 2;
                }
                Err(error) => {
                    self.note_slowness(error.status(), portion);
                    return Err(self.fault("creating monitored items")(error));
                }
            }
        }
        Ok(results)
    }

    /// Ends the items of these points; their subscriptions stay.
    pub(super) async fn unmonitor(
        &self,
        subscribed: &mut Subscribed,
        ats: impl Iterator<Item = usize>,
    ) -> Result<(), Fault> {
        let mut by_sub: BTreeMap<u32, Vec<(usize, u32)>> = BTreeMap::new();
        for at in ats {
            if let Some(Some(item)) = subscribed.items.get(at) {
                by_sub.entry(item.sub).or_default().push((at, item.id));
            }
        }
        for (sub, items) in by_sub {
            for portion in items.chunks(subscribed.limits.items_in_a_call) {
                let ids: Vec<u32> = portion.iter().map(|(_, id)| *id).collect();
                self.session
                    .delete_monitored_items(sub, &ids)
                    .await
                    .map_err(self.fault("deleting monitored items"))?;
            }
            for (at, _) in items {
                subscribed.set(at, None);
            }
        }
        Ok(())
    }

    /// Names, for a line of the log.
    pub(super) fn names<T>(&self, points: &[(usize, T)], more: impl Fn(&T) -> String) -> String {
        let named = points.iter().take(NAMED_MAX).filter_map(|(at, detail)| {
            let point = self.server.points.get(*at)?;
            Some(format!("{} {}{}", point.tag, point.node, more(detail)))
        });
        let names = named.collect::<Vec<_>>().join(", ");
        if points.len() > NAMED_MAX { format!("{names}, …") } else { names }
    }

    /// Reports the refused points and names them once for as long as they stay the same.
    fn refuse(&self, subscribed: &mut Subscribed, refusals: Vec<(usize, StatusCode)>) {
        let received = (self.clock)();
        let bad = |(at, status): &(usize, StatusCode)| {
            let point = self.server.points.get(*at)?;
            Some(Report::Sample(Sample::bad(point.point, decode::refusal(*status), received)))
        };
        let reports: Vec<Report> = refusals.iter().filter_map(bad).collect();
        let mut refused: Vec<usize> = refusals.iter().map(|(at, _)| *at).collect();
        refused.sort_unstable();
        let is_news = {
            let mut told = self.told();
            let is_news = told.refused != refused;
            told.refused.clone_from(&refused);
            is_news
        };
        if is_news && refused.is_empty() {
            tracing::info!(url = self.server.url, "the server now has every item");
        } else if is_news {
            tracing::warn!(
                url = self.server.url,
                n_refused = refused.len(),
                n_points = self.server.points.len(),
                points = self.names(&refusals, |status| format!(" ({status})")),
                "the server refuses items; check their addresses in the point table"
            );
        }
        subscribed.refused = refused;
        if !reports.is_empty() {
            self.out.send(reports);
        }
    }

    fn tell_without_deadband(&self, points: &[(usize, StatusCode)]) {
        let is_news = {
            let mut told = self.told();
            let before = told.without_deadband.len();
            told.without_deadband.extend(points.iter().map(|(at, _)| *at));
            told.without_deadband.len() > before
        };
        if is_news {
            tracing::warn!(
                url = self.server.url,
                n_points = points.len(),
                points = self.names(points, |status| format!(" ({status})")),
                "the server refuses the deadband of these items, so each change of theirs is told; a \
                 percentage needs an analog item with an EURange"
            );
        }
    }

    /// Tells once what a group gets less of than it asks for.
    fn tell_given(&self, subscribed: &mut Subscribed, sub: u32, asked: &Group, worst: (Duration, u32)) {
        let Some(sub) = subscribed.subs.iter_mut().find(|known| known.id == sub) else { return };
        sub.sampling = sub.sampling.max(worst.0);
        let now = Given {
            publishing: sub.publishing,
            sampling: sub.sampling,
            queue: worst.1,
            keep_alive: sub.keep_alive,
        };
        let given = {
            let mut told = self.told();
            let before = told.given.get(&sub.group).copied();
            let given = before.map_or(now, |before| before.or_worse(now));
            told.given.insert(sub.group, given);
            (before != Some(given)).then_some(given)
        };
        if let Some(given) = given.filter(|given| given.is_less_than(asked)) {
            tracing::warn!(
                url = self.server.url,
                subscription = asked.name,
                publishing_asked = ?asked.publishing,
                publishing = ?given.publishing,
                sampling_asked = ?asked.sampling,
                sampling = ?given.sampling,
                queue_asked = asked.queue,
                queue = given.queue,
                keep_alive_asked = ?asked.keep_alive,
                keep_alive = ?given.keep_alive,
                "the server gives less than was asked for: values come later, or fewer are kept"
            );
        }
    }
}

impl Given {
    fn or_worse(self, other: Self) -> Self {
        Self {
            publishing: self.publishing.max(other.publishing),
            sampling: self.sampling.max(other.sampling),
            queue: self.queue.min(other.queue),
            keep_alive: self.keep_alive.max(other.keep_alive),
        }
    }

    /// By so much that someone would plan otherwise. A sampling of zero is as fast as the server can.
    fn is_less_than(&self, asked: &Group) -> bool {
        let is_slower = |given: Duration, asked: Duration| given * 2 > asked * 3 && !asked.is_zero();
        is_slower(self.publishing, asked.publishing)
            || is_slower(self.sampling, asked.sampling)
            || is_slower(self.keep_alive, asked.keep_alive)
            || self.queue < asked.queue
    }
}

fn millis(interval: f64) -> Duration {
    Duration::try_from_secs_f64(interval / 1000.0).unwrap_or_default()
}

fn strings(answer: &DataValue) -> Arc<[String]> {
    let Some(Variant::Array(array)) = &answer.value else { return Arc::default() };
    // What is no string keeps its place, so that the others keep their index.
    let string = |element: &Variant| {
        if let Variant::String(string) = element { string.as_ref().to_owned() } else { String::new() }
    };
    array.values.iter().map(string).collect()
}

fn is_too_much(status: StatusCode) -> bool {
    matches!(
        decode::code(status),
        StatusCode::BadTooManyOperations
            | StatusCode::BadRequestTooLarge
            | StatusCode::BadResponseTooLarge
            | StatusCode::BadEncodingLimitsExceeded
    )
}

fn is_refusal_of_filter(status: StatusCode) -> bool {
    matches!(
        decode::code(status),
        StatusCode::BadFilterNotAllowed
            | StatusCode::BadDeadbandFilterInvalid
            | StatusCode::BadMonitoredItemFilterUnsupported
            | StatusCode::BadMonitoredItemFilterInvalid
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_server_is_what_someone_would_plan_with() {
        let asked = Group { sampling: Duration::from_millis(100), queue: 10, ..Group::bare() };
        let given = Given {
            publishing: asked.publishing,
            sampling: asked.sampling,
            queue: asked.queue,
            keep_alive: asked.keep_alive,
        };
        assert!(!given.is_less_than(&asked));
        assert!(!Given { sampling: Duration::from_millis(150), ..given }.is_less_than(&asked));
        assert!(Given { sampling: Duration::from_millis(250), ..given }.is_less_than(&asked));
        assert!(Given { queue: 1, ..given }.is_less_than(&asked));
        assert!(Given { keep_alive: Duration::from_secs(60), ..given }.is_less_than(&asked));
        let fastest = Group { sampling: Duration::ZERO, ..asked };
        assert!(!Given { sampling: Duration::from_millis(50), ..given }.is_less_than(&fastest));
    }
}
