//! Sparkplug B, version 3: edge nodes and their devices tell their metrics' names, types and values in
//! births, and then only what changes, mostly by a number (alias) that the birth gave to each name.
//!
//! We only listen. A host that may write would ask a node for another birth where it has missed one; here
//! what cannot be told without it stays bad until the node is born again by itself, and the source's counts
//! say so. Where the broker keeps births (a "Sparkplug aware" one), the names are known from the start.
//! Host states, commands, data sets and templates are not read.

mod node;
mod value;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message as _;

use super::fields::Reading;
pub(super) use node::{Node, Out};
pub(super) use wire::Payload;

const NAMESPACE: &str = "spBv1.0";
/// Where an aware broker keeps births.
const KEPT: &str = "$sparkplug/certificates/";

/// One edge node, and what is read of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EdgeNode {
    pub group: String,
    pub edge: String,
    /// By device, and by the name of the metric. The node's own metrics are under "".
    pub metrics: HashMap<Arc<str>, HashMap<Arc<str>, Vec<Reading>>>,
}

impl EdgeNode {
    /// All that the node and its devices say: their messages are counted together.
    pub fn filter(&self) -> String {
        format!("{NAMESPACE}/{}/+/{}/#", self.group, self.edge)
    }

    /// The births that an aware broker keeps.
    pub fn births_filter(&self) -> String {
        format!("{KEPT}{}", self.filter())
    }

    pub(super) fn readings(&self) -> impl Iterator<Item = &Reading> {
        self.metrics.values().flat_map(HashMap::values).flatten()
    }
}

/// Where a metric is, as an address says it: `group/edge#metric` or `group/edge/device#metric`. A whole topic
/// before the `#`, as tools show it, is as good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub group: String,
    pub edge: String,
    /// Empty where the metric is the node's own.
    pub device: String,
    pub metric: String,
}

impl Address {
    /// `Err`: what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (topic, metric) = text.split_once('#').ok_or("it has no '#' before the metric's name")?;
        let topic = topic.trim().trim_start_matches(KEPT);
        let levels: Vec<&str> = topic.split('/').collect();
        let levels = match levels.as_slice() {
            [NAMESPACE, group, kind, rest @ ..] if Kind::of(kind).is_some() => [&[*group], rest].concat(),
            [NAMESPACE, ..] => return Err("after spBv1.0 come the group and the kind of message"),
            levels => levels.to_vec(),
        };
        let (group, edge, device) = match levels.as_slice() {
            [group, edge] => (*group, *edge, ""),
            [_, _, ""] => return Err("the device has no name"),
            [group, edge, device] => (*group, *edge, *device),
            _ => return Err("before the '#' stand group, edge node, and the device if it has one"),
        };
        if group.is_empty() || edge.is_empty() || metric.trim().is_empty() {
            return Err("group, edge node and metric have names");
        }
        if topic.contains('+') {
            return Err("a name has no wildcard");
        }
        let owned = str::to_owned;
        let metric = metric.trim().to_owned();
        Ok(Self { group: owned(group), edge: owned(edge), device: owned(device), metric })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Birth,
    Data,
    Death,
}

impl Kind {
    fn of(level: &str) -> Option<Self> {
        match level {
            "NBIRTH" | "DBIRTH" => Some(Self::Birth),
            "NDATA" | "DDATA" => Some(Self::Data),
            "NDEATH" | "DDEATH" => Some(Self::Death),
            _ => None,
        }
    }
}

/// What a topic says of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told<'t> {
    pub(super) kind: Kind,
    /// Empty: the node itself.
    pub(super) device: &'t str,
    /// A birth from the past, that the broker keeps.
    pub(super) kept: bool,
}

impl<'t> Told<'t> {
    /// `None`: nothing that is read.
    pub(super) fn of_topic(topic: &'t str) -> Option<Self> {
        let kept = topic.strip_prefix(KEPT);
        let levels: Vec<&str> = kept.unwrap_or(topic).split('/').collect();
        let (level, device) = match levels.as_slice() {
            [NAMESPACE, _, level, _] if level.starts_with('N') => (level, ""),
            [NAMESPACE, _, level, _, device] if level.starts_with('D') => (level, *device),
            _ => return None,
        };
        Some(Self { kind: Kind::of(level)?, device, kept: kept.is_some() })
    }
}

impl Payload {
    /// `Err`: why it cannot be read.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        const COMPRESSED: &str = "SPBV1.0_COMPRESSED";
        let payload = Self::decode(bytes).map_err(|error| error.to_string())?;
        if payload.uuid.as_deref() == Some(COMPRESSED) {
            return Err(
                "its payload is compressed, which is not read: switch that off at the node".to_owned()
            );
        }
        Ok(payload)
    }
}

#[cfg(test)]
mod tests;
