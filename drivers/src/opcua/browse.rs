//! What a server has: its nodes below one of them, with types and values. For a person who looks for a node
//! id; the driver never browses.
//!
//! Level by level, with Browse, BrowseNext and Read and no other service. A hierarchy may hold circles, and
//! a node may stand in several folders: each is followed once. Properties are left out, and so is the
//! server's own node, unless it is asked for. It is bounded by the wish, and says where it was cut. Neighbours
//! stand by name: a server may tell them in another order each time, and what was pasted into a point list must
//! come out the same on the next day.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use opcua::client::{Session, SessionPollResult};
use opcua::core::comms::url::is_opc_ua_binary_url;
use opcua::types::{
    AttributeId, BrowseDescription, BrowseDirection, BrowseResult, ByteString, DataValue, Identifier,
    NodeClass, NodeId, ObjectId, ReadValueId, ReferenceDescription, ReferenceTypeId, StatusCode,
    TimestampsToReturn, VariableId, Variant,
};
use riskgate_point::{PointId, Quality, SourceId, Value};

use super::fault::Fault;
use super::guard::Guard;
use super::node::{Namespace, Node, NodeName};
use super::{Kind, Point, Security, Server, User, connect, decode, plan};
use crate::Clock;
use crate::scaling::Scaling;

/// Nodes in one request. A server that takes fewer is asked for one at a time.
const NODES_IN_A_BROWSE: usize = 50;
const NODES_IN_A_READ: usize = 100;
/// References of one node in one answer; the rest comes by continuation.
const REFERENCES: u32 = 500;
const CLASSES: u32 = NodeClass::Object as u32 | NodeClass::Variable as u32;
/// All of a reference but the type that defines its node.
const RESULTS: u32 = 0x3F;
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Faults of single nodes that are told; the rest is counted.
const FAULTS_TOLD: usize = 5;

/// What to list.
#[derive(Debug, Clone)]
pub struct Wish {
    /// A node id, or browse names from Objects on, with `/` between; `None`: Objects.
    pub from: Option<String>,
    pub depth: u16,
    /// Only what holds it in its name or node id, and what stands above that.
    pub filter: Option<String>,
    pub nodes_max: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The place in [`Listed::nodes`] of the node above.
    pub parent: Option<usize>,
    pub name: String,
    /// With the URI of its namespace.
    pub node: Node,
    /// `None`: it is an object, or its value was not asked for.
    pub variable: Option<Variable>,
    /// It stands elsewhere too, and is followed there.
    pub is_again: bool,
    pub is_match: bool,
    is_variable: bool,
    id: NodeId,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// As OPC UA calls it.
    pub type_name: String,
    /// What a point would read it as. `None`: a point cannot.
    pub kind: Option<Kind>,
    pub value: Option<Value>,
    /// `None`: not even its type can be read.
    pub quality: Option<Quality>,
    /// What came where that is no value of a point.
    pub unfit: String,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listed {
    /// Those above come before those below.
    pub nodes: Vec<Found>,
    /// The bound of nodes was reached.
    pub is_cut: bool,
    /// What could not be listed.
    pub faults: Vec<String>,
}

impl Server {
    /// One that is only looked at.
    pub fn to_browse(url: &str, security: Security, user: User) -> Self {
        Self {
            source: SourceId(0),
            url: url.to_owned(),
            keep_alive: KEEP_ALIVE,
            security,
            user,
            history: None,
            groups: Vec::new(),
            notifiers: Vec::new(),
            points: Vec::new(),
        }
    }
}

impl Listed {
    /// What matches and what stands above it, each below its parent and by name, with its depth: a server may
    /// give another order each time.
    pub fn in_order(&self) -> impl Iterator<Item = (usize, &Found)> {
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        let mut is_shown = vec![false; self.nodes.len()];
        let name = |place: &usize| self.nodes.get(*place).map_or("", |found| &found.name);
        for (place, found) in self.nodes.iter().enumerate().rev() {
            let shown = found.is_match || is_shown.get(place).copied().unwrap_or_default();
            if let Some(own) = is_shown.get_mut(place) {
                *own = shown;
            }
            let Some(parent) = found.parent else { continue };
            if let Some(above) = is_shown.get_mut(parent) {
                *above |= shown;
            }
            if let Some(children) = below.get_mut(parent) {
                children.push(place);
            }
        }
        for children in &mut below {
            children.sort_by(|a, b| name(b).cmp(name(a)));
        }
        let roots = self.nodes.iter().enumerate().rev().filter(|(_, found)| found.parent.is_none());
        let mut open: Vec<(usize, usize)> = roots.map(|(place, _)| (0, place)).collect();
        std::iter::from_fn(move || {
            let (depth, place) = open.pop()?;
            open.extend(below.get(place)?.iter().map(|child| (depth + 1, *child)));
            Some((depth, place))
        })
        .filter(move |(_, place)| is_shown.get(*place).copied().unwrap_or_default())
        .filter_map(|(depth, place)| Some((depth, self.nodes.get(place)?)))
    }
}

/// The server's certificate is judged, and ours shown, as for a source. `progress` is told the number of nodes after each answer. `Err`: why there is no list at all.
pub async fn browse(
    server: Server,
    clock: Clock,
    wish: &Wish,
    progress: &mut (dyn FnMut(usize) + Send),
) -> Result<Listed, String> {
    if !is_opc_ua_binary_url(&server.url) {
        return Err(format!(
            "'{}' 不是 OPC UA 地址 is no address of an OPC UA server; write opc.tcp://host:port/path",
            server.url
        ));
    }
    let why = |fault: Fault| fault.why();
    let guard = Guard::new(Arc::new(server), clock);
    let server = guard.server();
    let way = connect::discover(&guard).await.map_err(why)?;
    let (session, events) = connect::session(&way).map_err(why)?;
    let mut events = std::pin::pin!(events.enter());
    let within = connect::REQUEST * 3;
    let opened = tokio::time::timeout(within, async {
        loop {
            match events.next().await {
                Some(Ok(SessionPollResult::Reconnected(_))) => return Ok(()),
                Some(Ok(SessionPollResult::ReconnectFailed(status))) => {
                    return Err(way.fault(status));
                }
                Some(Ok(_)) => {}
                Some(Err(status)) => return Err(way.fault(status)),
                None => return Err(way.fault(StatusCode::BadConnectionClosed)),
            }
        }
    });
    let what = "the opening of a session";
    opened.await.unwrap_or(Err(Fault::Silent { url: server.url.clone(), what, within })).map_err(why)?;
    let listed = {
        let walk = Walk::new(server, &session, wish).list(progress);
        let mut walk = std::pin::pin!(walk);
        loop {
            tokio::select! {
                listed = &mut walk => break listed,
                event = events.next() => match event {
                    Some(Ok(SessionPollResult::ConnectionLost(status)) | Err(status)) => {
                        break Err(why(Fault::Lost { url: server.url.clone(), status }));
                    }
                    Some(Ok(_)) => {}
                    None => break Err(why(Fault::Lost { url: server.url.clone(), status: StatusCode::BadConnectionClosed })),
                },
            }
        }
    };
    super::client::goodbye(&session, events.as_mut()).await;
    listed
}

struct Walk<'w> {
    server: &'w Server,
    session: &'w Arc<Session>,
    wish: &'w Wish,
    namespaces: Vec<String>,
    seen: HashSet<NodeId>,
    listed: Listed,
    n_faults: usize,
    nodes_in_a_browse: usize,
}

impl<'w> Walk<'w> {
    fn new(server: &'w Server, session: &'w Arc<Session>, wish: &'w Wish) -> Self {
        Self {
            server,
            session,
            wish,
            namespaces: Vec::new(),
            seen: HashSet::new(),
            listed: Listed::default(),
            n_faults: 0,
            nodes_in_a_browse: NODES_IN_A_BROWSE,
        }
    }

    async fn list(mut self, progress: &mut (dyn FnMut(usize) + Send)) -> Result<Listed, String> {
        self.namespaces = self.read_namespaces().await?;
        let (root, name) = self.root().await?;
        let names_server = root == ObjectId::Server;
        if !names_server {
            self.seen.insert(ObjectId::Server.into());
        }
        self.seen.insert(root.clone());
        let is_variable = false;
        self.add(None, root, name, is_variable, false);
        let mut level = 0..1;
        for _ in 0..self.wish.depth {
            if level.is_empty() || self.listed.is_cut {
                break;
            }
            let begun = self.listed.nodes.len();
            let open: Vec<(usize, NodeId)> = level
                .clone()
                .filter_map(|place| self.listed.nodes.get(place).map(|found| (place, found)))
                .filter(|(_, found)| !found.is_again)
                .map(|(place, found)| (place, found.id.clone()))
                .collect();
            let mut rest = open.as_slice();
            while !rest.is_empty() && !self.listed.is_cut {
                let (now, later) = rest.split_at(rest.len().min(self.nodes_in_a_browse));
                if self.below(now).await? {
                    rest = later;
                }
                progress(self.listed.nodes.len());
            }
            level = begun..self.listed.nodes.len();
        }
        self.read_values(progress).await?;
        if let Some(more) = self.n_faults.checked_sub(FAULTS_TOLD).filter(|more| *more > 0) {
            self.listed.faults.push(format!("{more} more could not be listed"));
        }
        Ok(self.listed)
    }

    /// What stands below these nodes. `false`: the server takes fewer at a time; nothing was listed.
    async fn below(&mut self, nodes: &[(usize, NodeId)]) -> Result<bool, String> {
        let wanted: Vec<BrowseDescription> = nodes.iter().map(|(_, id)| description(id)).collect();
        let results = match self.session.browse(&wanted, REFERENCES, None).await {
            Ok(results) => results,
            Err(error) if nodes.len() > 1 && is_too_much(error.status()) => {
                self.nodes_in_a_browse = 1;
                return Ok(false);
            }
            Err(error) => return Err(self.failed("browsing", error)),
        };
        for ((place, id), result) in nodes.iter().zip(results) {
            let continues_elsewhere = decode::code(result.status_code) == StatusCode::BadNoContinuationPoints;
            let result = if continues_elsewhere && nodes.len() > 1 {
                // Those of its neighbours were all that the server has; by now they are done with.
                let again = self.session.browse(&[description(id)], REFERENCES, None).await;
                let again = again.map_err(|error| self.failed("browsing", error))?;
                again.into_iter().next().unwrap_or_default()
            } else {
                result
            };
            self.references(*place, result).await?;
        }
        Ok(true)
    }

    /// Of one node, to the last, by name.
    async fn references(&mut self, place: usize, first: BrowseResult) -> Result<(), String> {
        let room = self.wish.nodes_max.saturating_sub(self.listed.nodes.len());
        let mut found = Vec::new();
        let mut result = first;
        loop {
            if result.status_code.is_bad() {
                self.fault(place, result.status_code);
                break;
            }
            let references = result.references.unwrap_or_default();
            found.extend(references.into_iter().filter(|reference| self.is_ours(reference)));
            let more: ByteString = result.continuation_point;
            if more.is_null_or_empty() {
                break;
            }
            // A cut still gives back what the server holds for us.
            let release = found.len() > room;
            let next = self.session.browse_next(release, &[more]).await;
            let next = next.map_err(|error| self.failed("browsing on", error))?;
            match next.into_iter().next() {
                Some(next) if !release => result = next,
                Some(_) | None => break,
            }
        }
        found.sort_by_cached_key(|reference| {
            (
                reference.browse_name.name.as_ref().to_owned(),
                self.named(&reference.node_id.node_id).to_string(),
            )
        });
        for reference in found {
            self.reference(place, &reference);
        }
        Ok(())
    }

    /// Neither a property, nor a node of another server, which is not ours to browse, nor the server's own.
    fn is_ours(&self, reference: &ReferenceDescription) -> bool {
        let is_property = reference.reference_type_id == ReferenceTypeId::HasProperty;
        let id = &reference.node_id.node_id;
        let is_servers_own = *id == ObjectId::Server && self.seen.contains(id);
        !is_property && reference.node_id.server_index == 0 && !is_servers_own
    }

    fn reference(&mut self, parent: usize, reference: &ReferenceDescription) {
        if self.listed.nodes.len() >= self.wish.nodes_max {
            self.listed.is_cut = true;
            return;
        }
        let id = reference.node_id.node_id.clone();
        let is_again = !self.seen.insert(id.clone());
        let name = reference.browse_name.name.as_ref().to_owned();
        self.add(Some(parent), id, name, reference.node_class == NodeClass::Variable, is_again);
    }

    fn add(&mut self, parent: Option<usize>, id: NodeId, name: String, is_variable: bool, is_again: bool) {
        let node = self.named(&id);
        let is_match = self.wish.filter.as_ref().is_none_or(|filter| {
            let filter = filter.to_lowercase();
            name.to_lowercase().contains(&filter) || node.to_string().to_lowercase().contains(&filter)
        });
        let variable = None;
        self.listed.nodes.push(Found { parent, name, node, variable, is_again, is_match, is_variable, id });
    }

    /// By the URI, which holds across a restart that renumbers the namespaces.
    fn named(&self, id: &NodeId) -> Node {
        let namespace = match self.namespaces.get(usize::from(id.namespace)) {
            Some(uri) if id.namespace != 0 && !uri.is_empty() => Namespace::Uri(uri.clone()),
            Some(_) | None => Namespace::Index(id.namespace),
        };
        let id = match &id.identifier {
            Identifier::Numeric(number) => NodeName::Numeric(*number),
            Identifier::String(text) => NodeName::Text(text.as_ref().to_owned()),
            Identifier::Guid(guid) => NodeName::Guid(guid.clone()),
            Identifier::ByteString(bytes) => NodeName::Opaque(bytes.clone()),
        };
        Node { namespace, id }
    }

    fn fault(&mut self, place: usize, status: StatusCode) {
        self.n_faults += 1;
        if let (Some(found), true) = (self.listed.nodes.get(place), self.n_faults <= FAULTS_TOLD) {
            self.listed.faults.push(format!("{} ({}): {status}", found.node, found.name));
        }
    }

    /// Where to begin, and what it is called.
    async fn root(&self) -> Result<(NodeId, String), String> {
        let objects = NodeId::from(ObjectId::ObjectsFolder);
        let Some(from) = self.wish.from.as_deref().map(str::trim).filter(|from| !from.is_empty()) else {
            return Ok((objects, "Objects".to_owned()));
        };
        if let Ok(node) = Node::parse(from) {
            let id = plan::node_id(&node, &self.namespaces).ok_or_else(|| {
                format!("the server has no namespace of {node}; it has: {}", self.namespaces.join(", "))
            })?;
            return Ok((id, from.to_owned()));
        }
        let mut here = (objects, "Objects".to_owned());
        let names = from.split('/').map(str::trim).filter(|name| !name.is_empty());
        for name in names.skip_while(|name| *name == "Objects") {
            let children = self.children(&here.0).await?;
            let found = children.iter().find(|(_, child)| child == name);
            let Some((id, _)) = found else {
                let mut some: Vec<&str> = children.iter().map(|(_, child)| child.as_str()).collect();
                some.sort_unstable();
                some.truncate(20);
                return Err(format!("'{}' has no '{name}'; it has: {}", here.1, some.join(", ")));
            };
            here = (id.clone(), name.to_owned());
        }
        Ok(here)
    }

    async fn children(&self, of: &NodeId) -> Result<Vec<(NodeId, String)>, String> {
        let failed = |error| self.failed("browsing", error);
        let mut results = self.session.browse(&[description(of)], 0, None).await.map_err(failed)?;
        let mut children = Vec::new();
        while let Some(result) = results.pop() {
            let named = |reference: ReferenceDescription| {
                (reference.node_id.node_id, reference.browse_name.name.as_ref().to_owned())
            };
            children.extend(result.references.unwrap_or_default().into_iter().map(named));
            if !result.continuation_point.is_null_or_empty() {
                let more = self.session.browse_next(false, &[result.continuation_point]).await;
                results = more.map_err(failed)?;
            }
        }
        Ok(children)
    }

    async fn read_namespaces(&self) -> Result<Vec<String>, String> {
        let array = ReadValueId::from(NodeId::from(VariableId::Server_NamespaceArray));
        let answers = self.session.read(&[array], TimestampsToReturn::Neither, 0.0).await;
        let answers = answers.map_err(|error| self.failed("reading the namespaces", error))?;
        let Some(Variant::Array(array)) = answers.into_iter().next().and_then(|answer| answer.value) else {
            return Ok(Vec::new());
        };
        let text = |value: &Variant| {
            if let Variant::String(text) = value { text.as_ref().to_owned() } else { String::new() }
        };
        Ok(array.values.iter().map(text).collect())
    }

    async fn read_values(&mut self, progress: &mut (dyn FnMut(usize) + Send)) -> Result<(), String> {
        let wanted: Vec<usize> = self
            .listed
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, found)| found.is_variable && found.is_match && !found.is_again)
            .map(|(place, _)| place)
            .collect();
        for places in wanted.chunks(NODES_IN_A_READ) {
            let ids = places.iter().filter_map(|place| self.listed.nodes.get(*place)).map(|found| &found.id);
            let nodes: Vec<ReadValueId> = ids
                .flat_map(|id| {
                    [AttributeId::Value, AttributeId::DataType].map(|attribute| ReadValueId {
                        node_id: id.clone(),
                        attribute_id: attribute as u32,
                        ..ReadValueId::default()
                    })
                })
                .collect();
            let answers = self.session.read(&nodes, TimestampsToReturn::Neither, 0.0).await;
            let answers = answers.map_err(|error| self.failed("reading values", error))?;
            for (place, pair) in places.iter().zip(answers.chunks(2)) {
                let [value, data_type] = pair else { continue };
                if let Some(found) = self.listed.nodes.get_mut(*place) {
                    found.variable = Some(variable(found.node.clone(), value, data_type));
                }
            }
            progress(self.listed.nodes.len());
        }
        Ok(())
    }

    fn failed(&self, what: &'static str, error: opcua::types::Error) -> String {
        Fault::service(self.server, what, error).why()
    }
}

fn description(id: &NodeId) -> BrowseDescription {
    BrowseDescription {
        node_id: id.clone(),
        browse_direction: BrowseDirection::Forward,
        reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
        include_subtypes: true,
        node_class_mask: CLASSES,
        result_mask: RESULTS,
    }
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

/// By the value where there is one, else by what the server says of the node.
fn variable(node: Node, value: &DataValue, data_type: &DataValue) -> Variable {
    let said = match &data_type.value {
        Some(Variant::NodeId(id)) => type_of_node(id),
        _ => None,
    };
    let held = value.value.as_ref().and_then(type_of_value);
    let (type_name, kind) = match (held, said) {
        (Some((name, kind)), _) => (name, kind),
        (None, Some((name, kind))) => (name.to_owned(), kind),
        (None, None) => (String::new(), None),
    };
    let point = Point {
        point: PointId(0),
        tag: Arc::from(""),
        group: 0,
        node,
        element: None,
        kind: kind.unwrap_or(Kind::Number),
        scaling: Scaling::IDENTITY,
        words: None,
    };
    let read = decode::reading(value, &point, 0);
    let unfit = if read.unfit.is_some() { decode::shape(value.value.as_ref()) } else { String::new() };
    Variable { type_name, kind, value: read.value, quality: Some(read.quality), unfit }
}

fn type_of_value(value: &Variant) -> Option<(String, Option<Kind>)> {
    let (name, kind) = match value {
        Variant::Empty => return None,
        Variant::Boolean(_) => ("Boolean", Some(Kind::Bool)),
        Variant::SByte(_) => ("SByte", Some(Kind::Number)),
        Variant::Byte(_) => ("Byte", Some(Kind::Number)),
        Variant::Int16(_) => ("Int16", Some(Kind::Number)),
        Variant::UInt16(_) => ("UInt16", Some(Kind::Number)),
        Variant::Int32(_) => ("Int32", Some(Kind::Number)),
        Variant::UInt32(_) => ("UInt32", Some(Kind::Number)),
        Variant::Int64(_) => ("Int64", Some(Kind::Number)),
        Variant::UInt64(_) => ("UInt64", Some(Kind::Number)),
        Variant::Float(_) => ("Float", Some(Kind::Number)),
        Variant::Double(_) => ("Double", Some(Kind::Number)),
        Variant::String(_) => ("String", Some(Kind::Text)),
        Variant::LocalizedText(_) => ("LocalizedText", Some(Kind::Text)),
        Variant::DateTime(_) => ("DateTime", Some(Kind::Text)),
        Variant::StatusCode(_) => ("StatusCode", Some(Kind::Text)),
        Variant::QualifiedName(_) => ("QualifiedName", Some(Kind::Text)),
        Variant::Guid(_) => ("Guid", Some(Kind::Text)),
        Variant::NodeId(_) | Variant::ExpandedNodeId(_) => ("NodeId", Some(Kind::Text)),
        Variant::ByteString(_) => ("ByteString", None),
        Variant::XmlElement(_) => ("XmlElement", None),
        Variant::ExtensionObject(_) => ("Structure", None),
        Variant::Variant(_) | Variant::DataValue(_) | Variant::DiagnosticInfo(_) => ("Variant", None),
        Variant::Array(array) => {
            return Some((format!("{:?}[{}]", array.value_type, array.values.len()), None));
        }
    };
    Some((name.to_owned(), kind))
}

/// Of the types that OPC UA itself has.
fn type_of_node(id: &NodeId) -> Option<(&'static str, Option<Kind>)> {
    let Identifier::Numeric(number) = id.identifier else { return None };
    if id.namespace != 0 {
        return None;
    }
    Some(match number {
        1 => ("Boolean", Some(Kind::Bool)),
        2 => ("SByte", Some(Kind::Number)),
        3 => ("Byte", Some(Kind::Number)),
        4 => ("Int16", Some(Kind::Number)),
        5 => ("UInt16", Some(Kind::Number)),
        6 => ("Int32", Some(Kind::Number)),
        7 => ("UInt32", Some(Kind::Number)),
        8 => ("Int64", Some(Kind::Number)),
        9 => ("UInt64", Some(Kind::Number)),
        10 => ("Float", Some(Kind::Number)),
        11 | 290 => ("Double", Some(Kind::Number)),
        12 => ("String", Some(Kind::Text)),
        13 | 294 => ("DateTime", Some(Kind::Text)),
        21 => ("LocalizedText", Some(Kind::Text)),
        _ => return None,
    })
}
