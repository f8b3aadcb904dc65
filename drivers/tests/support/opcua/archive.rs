//! The nodes of the test server: as the library keeps them, and with a history that outlives the server, in
//! pages as small as a test wants them. It can refuse items as other servers do, and be slow.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use opcua::server::ContinuationPoint;
use opcua::server::CreateMonitoredItem;
use opcua::server::address_space::AddressSpace;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{
    InMemoryNodeManager, InMemoryNodeManagerImpl, InMemoryNodeManagerImplBuilder, SimpleNodeManagerBuilder,
    SimpleNodeManagerImpl,
};
use opcua::server::node_manager::{
    HistoryNode, MonitoredItemRef, MonitoredItemUpdateRef, ParsedReadValueId, RequestContext, ServerContext,
};
use opcua::sync::RwLock;
use opcua::types::{
    DataValue, HistoryData, MonitoringMode, NodeId, ReadRawModifiedDetails, StatusCode, TimestampsToReturn,
};

pub(crate) type Nodes = InMemoryNodeManager<Archived>;

/// What a test says of its server, and what it kept; one for all lives of the server.
#[derive(Default)]
pub(crate) struct Archive {
    /// By the text of the node's identifier: namespaces change their numbers.
    kept: Mutex<HashMap<String, Vec<DataValue>>>,
    /// Values of one node in one answer; 0 is all.
    pub(crate) page: AtomicUsize,
    /// A read of history is never answered.
    pub(crate) hangs: AtomicBool,
    pub(crate) n_reads: AtomicUsize,
    /// An item of a node that is not there is refused, not made and told of.
    pub(crate) refuses: AtomicBool,
    /// What making one item takes, in milliseconds.
    pub(crate) slow_ms: AtomicUsize,
    /// Items in one request, as they came.
    pub(crate) portions: Mutex<BTreeSet<usize>>,
}

impl Archive {
    pub(crate) fn keep(&self, node: &NodeId, value: DataValue) {
        let mut kept = self.kept.lock().expect("no panic");
        kept.entry(node.identifier.to_string()).or_default().push(value);
    }

    /// From `start` on, up to `end`, and whether there is more after `skip` and a page.
    fn page_of(
        &self,
        node: &NodeId,
        details: &ReadRawModifiedDetails,
        skip: usize,
    ) -> (Vec<DataValue>, bool) {
        let kept = self.kept.lock().expect("no panic");
        let within = |value: &&DataValue| {
            value.source_timestamp.is_some_and(|at| at >= details.start_time && at < details.end_time)
        };
        let values = kept.get(&node.identifier.to_string()).into_iter().flatten().filter(within).cloned();
        let mut rest: Vec<DataValue> = values.skip(skip).collect();
        let page = self.page.load(Ordering::Relaxed);
        let is_more = page > 0 && rest.len() > page;
        if is_more {
            rest.truncate(page);
        }
        (rest, is_more)
    }
}

pub(crate) struct Archived {
    inner: SimpleNodeManagerImpl,
    archive: Arc<Archive>,
}

pub(crate) fn archived(
    namespace: NamespaceMetadata,
    archive: Arc<Archive>,
) -> impl FnOnce(ServerContext, &mut AddressSpace) -> Archived {
    move |context, space| Archived {
        inner: SimpleNodeManagerBuilder::new(namespace, "ours").build(context, space),
        archive,
    }
}

#[async_trait]
impl InMemoryNodeManagerImpl for Archived {
    async fn init(&self, space: &mut AddressSpace, context: ServerContext) {
        self.inner.init(space, context).await;
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn namespaces(&self) -> Vec<NamespaceMetadata> {
        self.inner.namespaces()
    }

    async fn read_values(
        &self,
        context: &RequestContext,
        space: &RwLock<AddressSpace>,
        nodes: &[&ParsedReadValueId],
        max_age: f64,
        stamps: TimestampsToReturn,
    ) -> Vec<DataValue> {
        self.inner.read_values(context, space, nodes, max_age, stamps).await
    }

    async fn create_value_monitored_items(
        &self,
        context: &RequestContext,
        space: &RwLock<AddressSpace>,
        items: &mut [&mut &mut CreateMonitoredItem],
    ) {
        self.archive.portions.lock().expect("no panic").insert(items.len());
        let each = Duration::from_millis(self.archive.slow_ms.load(Ordering::Relaxed) as u64);
        tokio::time::sleep(each * u32::try_from(items.len()).expect("few")).await;
        // The library forgets that it has refused a filter.
        let filters: Vec<StatusCode> = items.iter().map(|item| item.status_code()).collect();
        let nodes: Vec<bool> = {
            let space = space.read();
            items.iter().map(|item| space.find(&item.item_to_monitor().node_id).is_some()).collect()
        };
        self.inner.create_value_monitored_items(context, space, items).await;
        let refuses = self.archive.refuses.load(Ordering::Relaxed);
        for ((item, filter), is_there) in items.iter_mut().zip(filters).zip(nodes) {
            if filter != StatusCode::BadNodeIdUnknown {
                item.set_status(filter);
            } else if refuses && !is_there {
                item.set_status(StatusCode::BadNodeIdUnknown);
            }
        }
    }

    async fn modify_monitored_items(&self, context: &RequestContext, items: &[&MonitoredItemUpdateRef]) {
        self.inner.modify_monitored_items(context, items).await;
    }

    async fn set_monitoring_mode(
        &self,
        context: &RequestContext,
        mode: MonitoringMode,
        items: &[&MonitoredItemRef],
    ) {
        self.inner.set_monitoring_mode(context, mode, items).await;
    }

    async fn delete_monitored_items(&self, context: &RequestContext, items: &[&MonitoredItemRef]) {
        self.inner.delete_monitored_items(context, items).await;
    }

    async fn history_read_raw_modified(
        &self,
        _context: &RequestContext,
        details: &ReadRawModifiedDetails,
        nodes: &mut [&mut &mut HistoryNode],
        _stamps: TimestampsToReturn,
    ) -> Result<(), StatusCode> {
        self.archive.n_reads.fetch_add(1, Ordering::Relaxed);
        if self.archive.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        for node in nodes {
            let skip = node.continuation_point().and_then(|point| point.get::<usize>().copied()).unwrap_or(0);
            let (values, is_more) = self.archive.page_of(node.node_id(), details, skip);
            let next = is_more.then(|| ContinuationPoint::new(Box::new(skip + values.len())));
            node.set_next_continuation_point(next);
            node.set_result(HistoryData { data_values: Some(values) });
            node.set_status(StatusCode::Good);
        }
        Ok(())
    }
}
