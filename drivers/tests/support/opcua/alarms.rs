//! A server's own alarms (Alarms & Conditions), for tests: what stands, what is told of it, and what a client
//! has called. It is the part of the address space that the library's server leaves out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use opcua::nodes::{DefaultTypeTree, Event};
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::{MethodCall, NodeManager, RequestContext, ServerContext};
use opcua::server::{EventField, SubscriptionCache};
use opcua::types::{
    AttributeId, ByteString, DateTime, LocalizedText, MethodId, NodeId, NumericRange, ObjectId, ObjectTypeId,
    QualifiedName, StatusCode, Variant,
};

/// One alarm as it stands.
#[derive(Debug, Clone)]
pub(crate) struct Alarm {
    pub(crate) origin: &'static str,
    pub(crate) name: &'static str,
    pub(crate) active: bool,
    pub(crate) acknowledged: bool,
    pub(crate) shelved: bool,
    pub(crate) severity: u16,
    /// Of an earlier state that waits to be acknowledged.
    pub(crate) branch: bool,
    /// Of its last event; given when it is put.
    pub(crate) event_id: u64,
    pub(crate) time: DateTime,
}

impl Alarm {
    pub(crate) fn new(origin: &'static str, name: &'static str) -> Self {
        Self {
            origin,
            name,
            active: true,
            acknowledged: false,
            shelved: false,
            severity: 500,
            branch: false,
            event_id: 0,
            time: DateTime::null(),
        }
    }

    fn retain(&self) -> bool {
        self.active || !self.acknowledged
    }
}

#[derive(Default)]
struct State {
    alarms: BTreeMap<(&'static str, &'static str), Alarm>,
    n_events: u64,
    /// What was called, and with how many arguments.
    calls: Vec<(NodeId, NodeId, usize)>,
    /// Instead of a refresh.
    refusal: Option<StatusCode>,
    /// A refresh is answered, and its end never comes.
    endless: bool,
    subscriptions: Option<Arc<SubscriptionCache>>,
}

/// The alarms of a server. They outlive it, as those of a plant do.
#[derive(Clone, Default)]
pub(crate) struct Alarms(Arc<Mutex<State>>);

impl Alarms {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }

    /// How an alarm stands from now on, told to whoever listens.
    pub(crate) fn put(&self, alarm: Alarm) {
        let event = self.put_silently(alarm);
        self.tell(&[event]);
    }

    /// Several, told before the server publishes any.
    pub(crate) fn put_at_once(&self, alarms: impl Iterator<Item = Alarm>) {
        let events: Vec<Told> = alarms.map(|alarm| self.put_silently(alarm)).collect();
        self.tell(&events);
    }

    /// The same, and nobody is told.
    pub(crate) fn put_silently(&self, mut alarm: Alarm) -> Told {
        let mut state = self.state();
        state.n_events += 1;
        alarm.event_id = state.n_events;
        alarm.time = DateTime::now();
        if !alarm.branch {
            state.alarms.insert((alarm.origin, alarm.name), alarm.clone());
        }
        Told::of(&alarm)
    }

    /// Tells again what was told last of it.
    pub(crate) fn repeat(&self, alarm: &Alarm) {
        let known = self.state().alarms.get(&(alarm.origin, alarm.name)).cloned();
        self.tell(&[Told::of(&known.expect("a known alarm"))]);
    }

    pub(crate) fn require_refresh(&self) {
        self.tell(&[Told::around(ObjectTypeId::RefreshRequiredEventType)]);
    }

    /// An event that is no condition.
    pub(crate) fn tell_of_something_else(&self) {
        self.tell(&[Told::around(ObjectTypeId::AuditEventType)]);
    }

    pub(crate) fn refuse(&self, refusal: Option<StatusCode>) {
        self.state().refusal = refusal;
    }

    pub(crate) fn never_end(&self, endless: bool) {
        self.state().endless = endless;
    }

    pub(crate) fn calls(&self) -> Vec<(NodeId, NodeId, usize)> {
        self.state().calls.clone()
    }

    fn tell(&self, events: &[Told]) {
        let server = NodeId::from(ObjectId::Server);
        let subscriptions = self.state().subscriptions.clone();
        if let Some(subscriptions) = subscriptions {
            subscriptions.notify_events(events.iter().map(|event| (event as &dyn Event, &server)));
        }
    }

    fn refresh(&self) -> StatusCode {
        let (mut events, refusal, endless) = {
            let state = self.state();
            let standing = state.alarms.values().filter(|alarm| alarm.retain());
            let begin = Told::around(ObjectTypeId::RefreshStartEventType);
            let events: Vec<Told> = std::iter::once(begin).chain(standing.map(Told::of)).collect();
            (events, state.refusal, state.endless)
        };
        if let Some(refusal) = refusal {
            return refusal;
        }
        if !endless {
            events.push(Told::around(ObjectTypeId::RefreshEndEventType));
        }
        self.tell(&events);
        StatusCode::Good
    }
}

/// One event.
#[derive(Debug)]
pub(crate) struct Told {
    kind: NodeId,
    time: DateTime,
    fields: BTreeMap<&'static str, Variant>,
}

impl Told {
    fn of(alarm: &Alarm) -> Self {
        let branch = if alarm.branch { NodeId::new(1, 99) } else { NodeId::null() };
        let fields = [
            ("EventId", Variant::from(ByteString::from(alarm.event_id.to_be_bytes().to_vec()))),
            ("SourceName", Variant::from(alarm.origin)),
            ("ConditionName", Variant::from(alarm.name)),
            ("Message", Variant::from(LocalizedText::new("zh", "液位高高"))),
            ("Severity", Variant::from(alarm.severity)),
            ("", Variant::from(NodeId::new(1, format!("{}.{}", alarm.origin, alarm.name)))),
            ("BranchId", Variant::from(branch)),
            ("Retain", Variant::from(alarm.retain())),
            ("EnabledState/Id", Variant::from(true)),
            ("AckedState/Id", Variant::from(alarm.acknowledged)),
            ("ActiveState/Id", Variant::from(alarm.active)),
            ("SuppressedOrShelved", Variant::from(alarm.shelved)),
        ];
        Self {
            fields: fields.into(),
            time: alarm.time,
            ..Self::around(ObjectTypeId::ExclusiveLevelAlarmType)
        }
    }

    fn around(kind: ObjectTypeId) -> Self {
        Self { kind: kind.into(), time: DateTime::now(), fields: BTreeMap::new() }
    }
}

impl Event for Told {
    fn get_field(
        &self,
        _: &NodeId,
        attribute_id: AttributeId,
        index_range: &NumericRange,
        browse_path: &[QualifiedName],
    ) -> Variant {
        self.get_value(attribute_id, index_range, browse_path)
    }

    fn time(&self) -> &DateTime {
        &self.time
    }

    fn event_type_id(&self) -> &NodeId {
        &self.kind
    }
}

impl EventField for Told {
    fn get_value(&self, _: AttributeId, _: &NumericRange, path: &[QualifiedName]) -> Variant {
        let path: Vec<&str> = path.iter().map(|name| name.name.as_ref()).collect();
        match path.join("/").as_str() {
            "EventType" => Variant::from(self.kind.clone()),
            "Time" => Variant::from(self.time),
            other => self.fields.get(other).cloned().unwrap_or(Variant::Empty),
        }
    }
}

/// The part of the server that answers for the methods of conditions.
pub(crate) struct Methods {
    alarms: Alarms,
}

impl Methods {
    pub(crate) fn of(alarms: &Alarms, context: &ServerContext) -> Self {
        alarms.state().subscriptions = Some(Arc::clone(&context.subscriptions));
        Self { alarms: alarms.clone() }
    }
}

#[async_trait]
impl NodeManager for Methods {
    fn owns_node(&self, id: &NodeId) -> bool {
        *id == NodeId::from(MethodId::ConditionType_ConditionRefresh)
            || *id == NodeId::from(MethodId::ConditionType_ConditionRefresh2)
    }

    fn name(&self) -> &'static str {
        "alarms"
    }

    fn namespaces_for_user(&self, _: &RequestContext) -> Vec<NamespaceMetadata> {
        Vec::new()
    }

    async fn init(&self, _: &mut DefaultTypeTree, _: ServerContext) {}

    async fn call(&self, _: &RequestContext, calls: &mut [&mut MethodCall]) -> Result<(), StatusCode> {
        for call in calls {
            let called = (call.object_id().clone(), call.method_id().clone(), call.arguments().len());
            self.alarms.state().calls.push(called);
            call.set_status(self.alarms.refresh());
        }
        Ok(())
    }
}
