//! Fills a session with its one subscription and its items, and brings it back after a cut.
//!
//! Each item's answer is looked at: one that the server refuses is named, reported and tried again, and
//! costs no other item anything. Requests are split by the server's limits.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opcua::client::Session;
use opcua::types::{
    AttributeId, DataChangeFilter, DataChangeTrigger, DataValue, Error, ExtensionObject,
    MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId, NotificationMessage,
    ReadValueId, StatusCode, TimestampsToReturn, VariableId, Variant,
};
use riskgate_point::{BadReason, Report, Sample};

use super::fault::{Fault, is_gone};
use super::notices::{Callback, Notices};
use super::{Server, decode, plan};
use crate::Clock;
use crate::intake::Sender;

/// Messages asked for again after a cut. The library keeps two publish requests at the server, so that two
/// can have been lost on the way; servers keep a few more.
const REPUBLISHED_MAX: u32 = 32;

/// Names of refused points in one line of the log.
const NAMED_MAX: usize = 20;

/// What is needed to fill a session.
#[derive(Clone)]
pub(super) struct Filling {
    pub(super) server: Arc<Server>,
    pub(super) session: Arc<Session>,
    pub(super) notices: Arc<Notices>,
    pub(super) out: Sender,
    pub(super) clock: Clock,
    /// The refused points that the log has named, over all sessions of a run.
    pub(super) named: Arc<Mutex<Vec<usize>>>,
}

/// A subscription that the server keeps.
#[derive(Debug, Clone)]
pub(super) struct Subscribed {
    id: u32,
    namespaces: Arc<[String]>,
    nodes_in_a_read: usize,
    items_in_a_call: usize,
    /// As the server revised it.
    publishing: Duration,
    /// How often the server says that it is alive, by its own revision.
    pub(super) keep_alive: Duration,
    /// Points that the server does not monitor, by their place in the list of points.
    pub(super) refused: Vec<usize>,
}

impl Filling {
    fn fault(&self, what: &'static str) -> impl FnOnce(Error) -> Fault + '_ {
        move |source| Fault::service(&self.server, what, source)
    }

    /// A new subscription with all points.
    pub(super) async fn build(self) -> Result<Subscribed, Fault> {
        self.notices.watch_clock_offset(self.session.context());
        let (namespaces, nodes_in_a_read, items_in_a_call) = self.read_limits().await?;
        let rates = plan::Rates::of(&self.server);
        let id = self
            .session
            .create_subscription(
                rates.publishing,
                rates.lifetime_count,
                rates.keep_alive_count,
                plan::NOTIFICATIONS_MAX,
                0,
                true,
                Callback(Arc::clone(&self.notices)),
            )
            .await
            .map_err(self.fault("creating the subscription"))?;
        let (publishing, keep_alive) = {
            let state = self.session.subscription_state().lock();
            let revised = state.get(id).map(|made| (made.publishing_interval(), made.max_keep_alive_count()));
            let (publishing, count) = revised.unwrap_or((rates.publishing, rates.keep_alive_count));
            (publishing, publishing.saturating_mul(count))
        };
        if publishing != rates.publishing {
            tracing::info!(url = self.server.url, asked = ?rates.publishing, given = ?publishing, "the server publishes at its own interval");
        }
        let mut subscribed = Subscribed {
            id,
            namespaces,
            nodes_in_a_read,
            items_in_a_call,
            publishing,
            keep_alive,
            refused: Vec::new(),
        };
        let all = (0..self.server.points.len()).collect();
        self.monitor(&mut subscribed, all).await?;
        Ok(subscribed)
    }

    /// After a cut that the session survived: what the server published into the dead connection, then what
    /// it kept since, then each point's present value, so that none stays bad which has not moved.
    pub(super) async fn resume(self, mut subscribed: Subscribed) -> Result<Subscribed, Fault> {
        self.catch_up(&subscribed).await?;
        {
            let drained = self.notices.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            self.session.trigger_publish_now();
            // A server with nothing to say says so only at the next keep-alive: no need to wait for that.
            let _either_way = tokio::time::timeout(subscribed.publishing * 2, drained).await;
        }
        self.recover(&subscribed).await?;
        self.read_all(&subscribed).await?;
        self.retry(&mut subscribed).await?;
        Ok(subscribed)
    }

    /// Asks again for messages whose numbers show that they were sent and did not arrive.
    pub(super) async fn fill_gaps(self, subscribed: Subscribed) -> Result<Subscribed, Fault> {
        self.recover(&subscribed).await?;
        Ok(subscribed)
    }

    /// Asks for the message that comes next, until there is none: it may have been sent and lost.
    async fn catch_up(&self, subscribed: &Subscribed) -> Result<(), Fault> {
        for _ in 0..REPUBLISHED_MAX {
            match self.session.republish(subscribed.id, self.notices.next_sequence()).await {
                Ok(message) if holds_data(&message) => self.notices.take(message),
                Err(error) if is_gone(error.status()) => {
                    return Err(self.fault("asking for lost messages")(error));
                }
                // Nothing more was lost, or the server keeps nothing; some say so by an empty message.
                Ok(_) | Err(_) => break,
            }
        }
        Ok(())
    }

    async fn recover(&self, subscribed: &Subscribed) -> Result<(), Fault> {
        let missing = self.notices.missing();
        let n_missing = missing.len();
        let mut n_lost = 0_usize;
        for sequence in missing {
            match self.session.republish(subscribed.id, sequence).await {
                Ok(message) if holds_data(&message) => self.notices.take(message),
                Err(error) if is_gone(error.status()) => {
                    return Err(self.fault("asking for lost messages")(error));
                }
                Ok(_) | Err(_) => n_lost += 1,
            }
        }
        if n_missing > 0 {
            tracing::info!(
                url = self.server.url,
                n_missing,
                n_lost,
                "asked again for messages that did not arrive"
            );
        }
        Ok(())
    }

    /// Tries the refused points and those without a node again, with the namespaces as they are now.
    pub(super) async fn again(self, mut subscribed: Subscribed) -> Result<Subscribed, Fault> {
        self.retry(&mut subscribed).await?;
        Ok(subscribed)
    }

    async fn retry(&self, subscribed: &mut Subscribed) -> Result<(), Fault> {
        let nodeless = self.notices.nodeless();
        if subscribed.refused.is_empty() && nodeless.is_empty() {
            return Ok(());
        }
        (subscribed.namespaces, subscribed.nodes_in_a_read, subscribed.items_in_a_call) =
            self.read_limits().await?;
        self.unmonitor(subscribed, &nodeless).await?;
        let mut dead = nodeless;
        dead.extend(subscribed.refused.drain(..));
        self.monitor(subscribed, dead.into_iter().collect()).await
    }

    async fn unmonitor(&self, subscribed: &Subscribed, ats: &BTreeSet<usize>) -> Result<(), Fault> {
        let items: Vec<u32> = {
            let state = self.session.subscription_state().lock();
            let items = state.get(subscribed.id).into_iter().flat_map(|made| made.monitored_items());
            let is_dead = |handle| plan::at_of(handle).is_some_and(|at| ats.contains(&at));
            items.filter(|item| is_dead(item.client_handle())).map(|item| item.id()).collect()
        };
        for portion in items.chunks(subscribed.items_in_a_call) {
            self.session
                .delete_monitored_items(subscribed.id, portion)
                .await
                .map_err(self.fault("deleting monitored items"))?;
        }
        Ok(())
    }

    /// The server's namespaces, and how much it takes in one Read and in one CreateMonitoredItems.
    async fn read_limits(&self) -> Result<(Arc<[String]>, usize, usize), Fault> {
        let nodes = [
            VariableId::Server_NamespaceArray,
            VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
            VariableId::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
        ]
        .map(|variable| ReadValueId::from(NodeId::from(variable)));
        let answers = self
            .session
            .read(&nodes, TimestampsToReturn::Neither, 0.0)
            .await
            .map_err(self.fault("reading the namespaces"))?;
        let namespaces = answers.first().map(strings).unwrap_or_default();
        let limit = |at: usize| {
            let answer = answers.get(at)?.value.as_ref()?;
            if let Variant::UInt32(limit) = answer { Some(*limit) } else { None }
        };
        Ok((namespaces, plan::portion(limit(1)), plan::portion(limit(2))))
    }

    /// Creates an item for each point at `ats`; those refused are reported, named and kept for later.
    async fn monitor(&self, subscribed: &mut Subscribed, ats: Vec<usize>) -> Result<(), Fault> {
        let mut refusals: Vec<(usize, StatusCode)> = Vec::new();
        let mut requests = Vec::with_capacity(ats.len());
        for at in ats {
            match self.request(at, &subscribed.namespaces) {
                Some(request) => requests.push((at, request)),
                None => refusals.push((at, StatusCode::BadNodeIdUnknown)),
            }
        }
        let mut slowest: f64 = 0.0;
        let mut rest = requests.as_slice();
        while !rest.is_empty() {
            let portion = subscribed.items_in_a_call.min(rest.len());
            let (now, later) = rest.split_at(portion);
            let items = now.iter().map(|(_, request)| request.clone()).collect();
            let answer =
                self.session.create_monitored_items(subscribed.id, TimestampsToReturn::Source, items).await;
            match answer {
                Ok(results) => {
                    for ((at, _), item) in now.iter().zip(&results) {
                        if item.result.status_code.is_bad() {
                            refusals.push((*at, item.result.status_code));
                        } else {
                            slowest = slowest.max(item.result.revised_sampling_interval);
                        }
                    }
                    rest = later;
                }
                // It did not say how much is too much.
                Err(error) if is_too_much(error.status()) && portion > 1 => {
                    subscribed.items_in_a_call = portion / 2;
                }
                Err(error) => return Err(self.fault("creating monitored items")(error)),
            }
        }
        if slowest > self.server.sampling.as_secs_f64() * 1000.0 {
            tracing::info!(url = self.server.url, asked = ?self.server.sampling, slowest_ms = slowest, "the server samples more slowly than asked");
        }
        self.refuse(subscribed, refusals);
        Ok(())
    }

    fn request(&self, at: usize, namespaces: &[String]) -> Option<MonitoredItemCreateRequest> {
        let point = self.server.points.get(at)?;
        Some(MonitoredItemCreateRequest {
            item_to_monitor: value_of(plan::node_id(&point.node, namespaces)?),
            monitoring_mode: MonitoringMode::Reporting,
            requested_parameters: MonitoringParameters {
                client_handle: plan::handle_of(at)?,
                sampling_interval: self.server.sampling.as_secs_f64() * 1000.0,
                queue_size: self.server.queue,
                discard_oldest: true,
                // The standard's default, said outright: some servers take its absence for "values only",
                // and then a detector that fails at an unchanged value is never told.
                filter: ExtensionObject::from_message(DataChangeFilter {
                    trigger: DataChangeTrigger::StatusValue,
                    ..DataChangeFilter::default()
                }),
            },
        })
    }

    /// Reports the refused points and names them once for as long as they stay the same.
    fn refuse(&self, subscribed: &mut Subscribed, refusals: Vec<(usize, StatusCode)>) {
        let received = (self.clock)();
        let mut reports = Vec::new();
        let mut names = Vec::new();
        for (at, status) in &refusals {
            let Some(point) = self.server.points.get(*at) else { continue };
            reports.push(Report::Sample(Sample::bad(point.point, decode::refusal(*status), received)));
            names.push(format!("{} ({status})", point.node));
        }
        let n_refused = names.len();
        names.truncate(NAMED_MAX);
        let mut refused: Vec<usize> = refusals.into_iter().map(|(at, _)| at).collect();
        refused.sort_unstable();
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *named != refused;
        named.clone_from(&refused);
        drop(named);
        if is_news && n_refused == 0 {
            tracing::info!(url = self.server.url, "the server now has every item");
        } else if is_news {
            tracing::warn!(
                url = self.server.url,
                n_refused,
                n_points = self.server.points.len(),
                nodes = names.join(", "),
                "the server refuses items; check their addresses in the point table"
            );
        }
        subscribed.refused = refused;
        self.out.send(reports);
    }

    /// Reads every monitored point once. A value as old as the publishing interval will do.
    async fn read_all(&self, subscribed: &Subscribed) -> Result<(), Fault> {
        let max_age_ms = subscribed.publishing.as_secs_f64() * 1000.0;
        let is_monitored = |at: &usize| subscribed.refused.binary_search(at).is_err();
        let nodes: Vec<(u32, ReadValueId)> = (0..self.server.points.len())
            .filter(is_monitored)
            .filter_map(|at| {
                let node = plan::node_id(&self.server.points.get(at)?.node, &subscribed.namespaces)?;
                Some((plan::handle_of(at)?, value_of(node)))
            })
            .collect();
        for portion in nodes.chunks(subscribed.nodes_in_a_read) {
            let asked: Vec<ReadValueId> = portion.iter().map(|(_, node)| node.clone()).collect();
            let values = self
                .session
                .read(&asked, TimestampsToReturn::Source, max_age_ms)
                .await
                .map_err(self.fault("reading the present values"))?;
            let values = portion.iter().zip(&values);
            let reports: Vec<Report> =
                values.filter_map(|((handle, _), value)| self.notices.sample(*handle, value)).collect();
            self.out.send(reports);
        }
        Ok(())
    }
}

fn holds_data(message: &NotificationMessage) -> bool {
    message.notification_data.as_ref().is_some_and(|parts| !parts.is_empty())
}

fn value_of(node: NodeId) -> ReadValueId {
    ReadValueId { node_id: node, attribute_id: AttributeId::Value as u32, ..ReadValueId::default() }
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

/// All points of a source whose link is down.
pub(super) fn all_lost(server: &Server, clock: Clock) -> Vec<Report> {
    let received = clock();
    let lost =
        |point: &super::Point| Report::Sample(Sample::bad(point.point, BadReason::CommFailure, received));
    server.points.iter().map(lost).collect()
}
