//! Fills a session with subscriptions and their items: one subscription for each group of points, or as
//! many as the server's limit on the items of one takes.
//!
//! Each item's answer is looked at: one that the server refuses is named, reported and tried again, and
//! costs no other item anything. One whose deadband it refuses is subscribed without it, so that more is
//! told and nothing hidden. Requests are split by the server's limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opcua::client::Session;
use opcua::types::{
    DataValue, Error, MonitoredItemCreateRequest, MonitoredItemCreateResult, NodeId, ReadValueId,
    ServerStatusDataType, StatusCode, TimestampsToReturn, VariableId, Variant,
};

use riskgate_point::{Report, Wall};

use super::fault::Fault;
use super::notices::{Callback, Notices};
use super::pulse::Pulse;
use super::recover::is_lost_beside;
use super::tell::Run;
use super::{Group, Point, Server, decode, plan};
use crate::Clock;
use crate::intake::Sender;

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

impl Sub {
    /// A change at the server is told by then: sampled and published, with as much again for the way.
    pub(super) fn told_within(&self) -> Duration {
        (self.publishing + self.sampling).saturating_mul(2)
    }
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

/// One start of a server reads the same each time, but for the rounding of what the library takes off a time
/// to make up for the server's clock; no server is up again as soon.
const SAME_START_MS: u64 = 100;

/// An item that is to be made.
struct Wish {
    at: usize,
    has_deadband: bool,
    request: MonitoredItemCreateRequest,
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
    /// When the server started, where it tells: another time is another run of it, which counts its
    /// subscriptions from one again.
    started: Option<Wall>,
}

impl Limits {
    /// Whether these are of another run of the server than `before`. Not known where it tells no time.
    pub(super) fn is_of_another_run(&self, before: &Self) -> bool {
        let (Some(now), Some(before)) = (self.started, before.started) else { return false };
        now.0.abs_diff(before.0) > SAME_START_MS
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
    pub(super) fn tell(&self, report: Option<Report>) {
        if let Some(report) = report {
            self.out.send(vec![report]);
        }
    }

    pub(super) fn fault(&self, what: &'static str) -> impl FnOnce(Error) -> Fault + '_ {
        move |source| Fault::service(&self.server, what, source)
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

    /// The server's namespaces, how much it takes in one request, and since when it runs.
    pub(super) async fn read_limits(&self) -> Result<Limits, Fault> {
        let nodes = [
            VariableId::Server_NamespaceArray,
            VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
            VariableId::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
            VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData,
            VariableId::Server_ServerStatus,
        ]
        .map(|variable| ReadValueId::from(NodeId::from(variable)));
        let answers = self.read("reading the namespaces", &nodes, TimestampsToReturn::Neither, 0.0).await?;
        let portion_max = self.run.portion_max();
        let portion = |at: usize| {
            let said = answers.get(at).and_then(|answer| answer.value.as_ref());
            let limit = if let Some(Variant::UInt32(limit)) = said { Some(*limit) } else { None };
            plan::portion(limit).min(portion_max)
        };
        let started = match answers.get(4).and_then(|answer| answer.value.as_ref()) {
            Some(Variant::ExtensionObject(status)) => status
                .inner_as::<ServerStatusDataType>()
                .and_then(|status| decode::wall(&status.start_time, self.notices.offset_ns())),
            _ => None,
        };
        Ok(Limits {
            namespaces: answers.first().map(strings).unwrap_or_default(),
            nodes_in_a_read: portion(1),
            items_in_a_call: portion(2),
            nodes_in_a_history: portion(3),
            started,
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

    /// A new subscription. `Err`: the server has none left for us, or makes none to events.
    pub(super) async fn open(
        &self,
        group: usize,
        asked: &Group,
        subscribed: &mut Subscribed,
    ) -> Result<Result<u32, StatusCode>, Fault> {
        let rates = plan::Rates::of(asked);
        let pulse = Arc::new(Pulse::of(group));
        pulse.give_time((self.clock)().mono);
        let callback = Callback { notices: Arc::clone(&self.notices), pulse: Arc::clone(&pulse) };
        let made = self.session.create_subscription(
            rates.publishing,
            rates.lifetime_count,
            rates.keep_alive_count,
            plan::notifications_max(group),
            0,
            true,
            callback,
        );
        let id = match made.await {
            Ok(id) => id,
            Err(error) if decode::code(error.status()) == StatusCode::BadTooManySubscriptions => {
                return Ok(Err(error.status()));
            }
            // No value depends on it.
            Err(error) if group == plan::EVENTS && !is_lost_beside(&error) => {
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
        let mut wishes = Vec::with_capacity(ats.len());
        for at in ats {
            match self.wish(at, asked, true, subscribed) {
                Some(wish) => wishes.push(wish),
                // No such namespace.
                None => refusals.push((at, StatusCode::BadNodeIdUnknown)),
            }
        }
        let (mut over, mut without_deadband) = (Vec::new(), Vec::new());
        let mut worst = (Duration::ZERO, asked.queue);
        while !wishes.is_empty() {
            let results = self.create(subscribed, sub, &wishes).await?;
            let mut again = Vec::new();
            for (Wish { at, has_deadband, .. }, result) in wishes.into_iter().zip(results) {
                match decode::code(result.status_code) {
                    status if !status.is_bad() => {
                        subscribed.set(at, Some(Item { sub, id: result.monitored_item_id }));
                        worst.0 = worst.0.max(millis(result.revised_sampling_interval));
                        worst.1 = worst.1.min(result.revised_queue_size);
                    }
                    StatusCode::BadTooManyMonitoredItems => over.push(at),
                    status if has_deadband && is_refusal_of_filter(status) => {
                        without_deadband.push((at, status));
                        again.extend(self.wish(at, asked, false, subscribed));
                    }
                    status => refusals.push((at, status)),
                }
            }
            wishes = again;
        }
        self.tell_without_deadband(&without_deadband);
        self.tell_given(subscribed, sub, asked, worst);
        Ok(over)
    }

    fn wish(&self, at: usize, group: &Group, deadband: bool, subscribed: &Subscribed) -> Option<Wish> {
        let point = self.server.points.get(at)?;
        let has_deadband = deadband && plan::has_deadband(group, point);
        let namespaces = &subscribed.limits.namespaces;
        let request = plan::item(point, plan::handle_of(at)?, group, has_deadband, namespaces)?;
        Some(Wish { at, has_deadband, request })
    }

    /// One result for each request, in portions that the server takes.
    async fn create(
        &self,
        subscribed: &mut Subscribed,
        sub: u32,
        wishes: &[Wish],
    ) -> Result<Vec<MonitoredItemCreateResult>, Fault> {
        let refused = |status_code| MonitoredItemCreateResult { status_code, ..Default::default() };
        let mut results = Vec::with_capacity(wishes.len());
        let mut room = usize::MAX;
        while let Some(rest) = wishes.get(results.len()..).filter(|rest| !rest.is_empty()) {
            let portion = subscribed.limits.items_in_a_call.min(room).min(rest.len());
            let items = rest.iter().take(portion).map(|wish| wish.request.clone()).collect();
            let answer = self.session.create_monitored_items(sub, TimestampsToReturn::Source, items).await;
            match answer.map_err(|error| (decode::code(error.status()), error)) {
                Ok(made) => {
                    let answered = results.len() + portion;
                    results.extend(made.into_iter().map(|made| made.result).take(portion));
                    // An item that the server passes over is refused, not forgotten.
                    results.resize_with(answered, || refused(StatusCode::BadUnknownResponse));
                }
                // Of the portion some may fit, and it did not say how many.
                Err((StatusCode::BadTooManyMonitoredItems, _)) if portion > 1 => room = portion / 2,
                Err((status @ StatusCode::BadTooManyMonitoredItems, _)) => {
                    results.resize_with(wishes.len(), || refused(status));
                }
                Err((status, _)) if is_too_much(status) && portion > 1 => {
                    subscribed.limits.items_in_a_call = portion / 2;
                }
                Err((status, error)) => {
                    self.note_slowness(status, portion);
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
