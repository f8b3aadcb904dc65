//! What is known of one edge node: whether it lives, which number its next message has, and which names its
//! aliases stand for. Pure: it is handed the payloads and says what they mean for the rows that read of it.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use riskgate_point::{BadReason, Quality, Wall};
use serde_json::Value as Json;

use super::value::{Unreadable, quality, time, value};
use super::wire::{Metric, Payload};
use super::{EdgeNode, Kind, Told};
use crate::mqtt::decode::{Skip, Skipped};
use crate::mqtt::fields::Reading;

/// Aliases of metrics that no row reads are kept as well, so that they are not taken for unknown. A node of
/// this many is a large one; those beyond are counted as unknown, which harms nothing. 32 B each.
const UNREAD_MAX: usize = 20_000;
const BD_SEQ: &str = "bdSeq";

/// What one message means.
#[derive(Debug)]
pub(in crate::mqtt) enum Out<'e> {
    Value { reading: &'e Reading, value: Json, quality: Quality, time: Option<Wall>, historical: bool },
    Bad { reading: &'e Reading, reason: BadReason },
    Skipped(Skipped),
}

#[derive(Debug, Default)]
pub(in crate::mqtt) struct Node {
    session: Session,
    /// The devices that were born before our ears, "" for the node itself.
    born: HashSet<Arc<str>>,
    /// The number and the bytes of the last message.
    last: Option<(u8, u64)>,
    /// A message was missed, and the node not born again since.
    gap: bool,
    /// The metrics that rows read.
    aliases: HashMap<u64, (Arc<str>, Arc<str>)>,
    unread: HashSet<u64>,
    /// The types of the metrics that rows read, by device and name.
    types: HashMap<(Arc<str>, Arc<str>), u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Session {
    /// Nobody has told yet.
    #[default]
    Unknown,
    /// Between a birth and the death that bears the same number.
    Born {
        bd_seq: Option<u64>,
    },
    Dead,
}

/// One message on its way through a node.
struct Taking<'e, 'p> {
    edge: &'e EdgeNode,
    device: &'p str,
    payload: &'p Payload,
    out: Vec<Out<'e>>,
}

impl Node {
    pub(in crate::mqtt) fn take<'e>(
        &mut self,
        edge: &'e EdgeNode,
        told: Told<'_>,
        payload: &Payload,
        bytes: &[u8],
    ) -> Vec<Out<'e>> {
        let mut taking = Taking { edge, device: told.device, payload, out: Vec::new() };
        if told.kept {
            self.kept(told, &mut taking);
            return taking.out;
        }
        let is_node = told.device.is_empty();
        match told.kind {
            Kind::Birth if is_node => self.node_birth(&mut taking, bytes),
            Kind::Death if is_node => self.node_death(&mut taking),
            Kind::Birth | Kind::Data | Kind::Death => {
                if !self.follows(&mut taking, bytes) {
                    return taking.out;
                }
                match told.kind {
                    Kind::Birth => self.device_birth(&mut taking),
                    Kind::Data => self.data(&mut taking),
                    Kind::Death => self.device_death(&mut taking),
                }
            }
        }
        taking.out
    }

    /// A birth of before we listened: its names hold, its values may be old. What is not one says nothing.
    fn kept(&mut self, told: Told<'_>, taking: &mut Taking<'_, '_>) {
        let is_known = self.born.contains(told.device) || self.gap || self.session == Session::Dead;
        // Nor is its number believed: any death that follows may be that of now.
        if told.kind == Kind::Birth && !is_known {
            self.learn(taking);
        }
    }

    fn node_birth(&mut self, taking: &mut Taking<'_, '_>, bytes: &[u8]) {
        let bd_seq = bd_seq(taking.payload);
        // Born again on request: the same connection, on which its devices would have told their deaths.
        let again = bd_seq.is_some() && self.session == Session::Born { bd_seq } && !self.gap;
        self.session = Session::Born { bd_seq };
        self.gap = false;
        self.last = number(taking.payload.seq.unwrap_or(0)).map(|seq| (seq, fingerprint(bytes)));
        self.aliases.clear();
        self.unread.clear();
        if !again {
            self.born.clear();
            self.types.clear();
            let devices = taking.edge.metrics.iter().filter(|(device, _)| !device.is_empty());
            let readings = devices.flat_map(|(_, rows)| rows.values().flatten());
            taking.out.extend(readings.map(|reading| Out::Bad { reading, reason: BadReason::CommFailure }));
        }
        self.birth(taking);
    }

    fn device_birth(&mut self, taking: &mut Taking<'_, '_>) {
        self.forget(taking.device);
        self.birth(taking);
    }

    /// All metrics of the node or device, with their values now.
    fn birth(&mut self, taking: &mut Taking<'_, '_>) {
        self.learn(taking);
        let Some((device, rows)) = taking.edge.metrics.get_key_value(taking.device) else { return };
        self.born.insert(Arc::clone(device));
        for metric in &taking.payload.metrics {
            if let Some(name) = &metric.name {
                self.value(taking, name, metric);
            }
        }
        let told: HashSet<&str> =
            taking.payload.metrics.iter().filter_map(|metric| metric.name.as_deref()).collect();
        for (name, readings) in rows.iter().filter(|(name, _)| !told.contains(&***name)) {
            let bad = |reading| Out::Bad { reading, reason: BadReason::ConfigError };
            taking.out.extend(readings.iter().map(bad));
            let count = taking.payload.metrics.len();
            taking.skip(Skip::NotInBirth, |of| {
                format!("'{name}' is none of the {count} metrics that {of} has")
            });
        }
    }

    fn data(&mut self, taking: &mut Taking<'_, '_>) {
        for metric in &taking.payload.metrics {
            if let Some(name) = &metric.name {
                self.value(taking, name, metric);
                continue;
            }
            let Some(alias) = metric.alias else {
                taking.skip(Skip::UnknownAlias, |of| format!("{of}: a metric with neither name nor alias"));
                continue;
            };
            match self.aliases.get(&alias) {
                Some((device, name)) if **device == *taking.device => {
                    let name = Arc::clone(name);
                    self.value(taking, &name, metric);
                }
                Some(_) => {
                    taking.skip(Skip::UnknownAlias, |of| format!("{of}: alias {alias} is of another device"));
                }
                None if self.unread.contains(&alias) => {}
                None => taking.skip(Skip::UnknownAlias, |of| {
                    format!(
                        "{of}: alias {alias}: known after its next birth, which riskgate does not ask for"
                    )
                }),
            }
        }
    }

    /// What a metric says, to the rows that read it.
    fn value(&self, taking: &mut Taking<'_, '_>, name: &str, metric: &Metric) {
        let Some((device, rows)) = taking.edge.metrics.get_key_value(taking.device) else { return };
        let Some((name, readings)) = rows.get_key_value(name) else { return };
        let born = self.types.get(&(Arc::clone(device), Arc::clone(name))).copied();
        let (said, time) = (quality(metric), time(metric.timestamp.or(taking.payload.timestamp)));
        let historical = metric.is_historical == Some(true);
        match value(metric, born) {
            Ok(value) => {
                taking.out.extend(readings.iter().map(|reading| Out::Value {
                    reading,
                    value: value.clone(),
                    quality: said,
                    time,
                    historical,
                }));
            }
            Err(why) => {
                if !historical {
                    let bad = |reading| Out::Bad { reading, reason: BadReason::NotANumber };
                    taking.out.extend(readings.iter().map(bad));
                }
                let said = match why {
                    Unreadable::TypeUnknown => "its type is told by its next birth",
                    Unreadable::NotOfItsType => "it is not of its type, or of one that is not read",
                };
                taking.skip(Skip::UnreadableMetric, |of| format!("{of}: '{name}': {said}"));
            }
        }
    }

    fn device_death(&mut self, taking: &mut Taking<'_, '_>) {
        self.forget(taking.device);
        let readings = taking.edge.metrics.get(taking.device).into_iter().flat_map(HashMap::values).flatten();
        taking.out.extend(readings.map(|reading| Out::Bad { reading, reason: BadReason::CommFailure }));
    }

    /// A death speaks of the connection whose birth bears its number: one that is told late, after the node
    /// has connected again, says nothing of now.
    fn node_death(&mut self, taking: &mut Taking<'_, '_>) {
        if let (Session::Born { bd_seq: Some(born) }, Some(died)) = (self.session, bd_seq(taking.payload))
            && born != died
        {
            return taking.skip(Skip::OldDeath, |of| format!("{of} lives as {born}, what died is {died}"));
        }
        *self = Self { session: Session::Dead, ..Self::default() };
        taking.all_bad();
    }

    /// Whether the message is the one after the last. Where one was missed, no value can be vouched for: it
    /// may have changed, and under another alias.
    ///
    /// Births count from zero again. That all births of a node were missed and its numbers go on by chance
    /// cannot be seen here; but another connection, on which aliases may mean something else, is announced by
    /// the death of the last, and deaths are sent at least once.
    fn follows(&mut self, taking: &mut Taking<'_, '_>, bytes: &[u8]) -> bool {
        let bytes = fingerprint(bytes);
        let expected = self.last.map(|(seq, _)| seq.wrapping_add(1));
        let seq = match taking.payload.seq {
            Some(seq) => number(seq),
            // Encoders of the third kind of protobuf leave out a zero.
            None => Some(0),
        };
        if let (Some(seq), Some(last)) = (seq, self.last)
            && (seq, bytes) == last
        {
            taking.skip(Skip::Repeated, |of| format!("{of}: message {seq} again"));
            return false;
        }
        if seq.is_none() || expected.is_some_and(|expected| Some(expected) != seq) {
            taking.skip(Skip::SequenceGap, |of| {
                let expected = expected.map_or("a number below 256".to_owned(), |expected| expected.to_string());
                let told = taking.payload.seq.map_or("none".to_owned(), |seq| seq.to_string());
                format!("{of}: expected {expected}, got {told}: all its points are bad until they are told by name or it is born again, which riskgate does not ask for")
            });
            if !self.gap {
                taking.all_bad();
            }
            *self = Self { session: self.session, gap: true, ..Self::default() };
        }
        self.last = seq.map(|seq| (seq, bytes));
        true
    }

    fn learn(&mut self, taking: &Taking<'_, '_>) {
        let known = taking.edge.metrics.get_key_value(taking.device);
        for metric in &taking.payload.metrics {
            let row =
                metric.name.as_deref().and_then(|name| known?.1.get_key_value(name).map(|(name, _)| name));
            if let Some(alias) = metric.alias {
                self.aliases.remove(&alias);
                match (known, row) {
                    (Some((device, _)), Some(name)) => {
                        self.aliases.insert(alias, (Arc::clone(device), Arc::clone(name)));
                    }
                    (Some(_) | None, _) if self.unread.len() < UNREAD_MAX => {
                        self.unread.insert(alias);
                    }
                    (Some(_) | None, _) => {}
                }
            }
            if let (Some((device, _)), Some(name), Some(datatype)) = (known, row, metric.datatype) {
                self.types.insert((Arc::clone(device), Arc::clone(name)), datatype);
            }
        }
    }

    fn forget(&mut self, device: &str) {
        self.born.remove(device);
        self.aliases.retain(|_, (of, _)| **of != *device);
        self.types.retain(|(of, _), _| **of != *device);
    }
}

impl Taking<'_, '_> {
    /// `example` is told who speaks.
    fn skip(&mut self, skip: Skip, example: impl FnOnce(&str) -> String) {
        let EdgeNode { group, edge, .. } = self.edge;
        let of = match self.device {
            "" => format!("{group}/{edge}"),
            device => format!("{group}/{edge}/{device}"),
        };
        self.out.push(Out::Skipped(Skipped { skip, example: Some(example(&of)) }));
    }

    fn all_bad(&mut self) {
        let readings = self.edge.readings();
        self.out.extend(readings.map(|reading| Out::Bad { reading, reason: BadReason::CommFailure }));
    }
}

/// `None`: no number of a message.
fn number(seq: u64) -> Option<u8> {
    u8::try_from(seq).ok()
}

fn bd_seq(payload: &Payload) -> Option<u64> {
    use super::wire::Value;
    let metric = payload.metrics.iter().find(|metric| metric.name.as_deref() == Some(BD_SEQ))?;
    match metric.value.as_ref()? {
        Value::Int(number) => Some(u64::from(*number)),
        Value::Long(number) => Some(*number),
        Value::Float(_) | Value::Double(_) | Value::Boolean(_) | Value::String(_) => None,
    }
}

/// To tell a message that came twice from another one of the same number, 256 later.
fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_has_too_many_metrics_does_not_fill_the_memory() {
        let (edge, mut node) = (EdgeNode::default(), Node::default());
        let told = Told { kind: Kind::Birth, device: "D", kept: false };
        for seq in 0..5_u64 {
            let metric =
                |at: u64| Metric { name: Some(format!("m{at}")), alias: Some(at), ..Metric::default() };
            let metrics = (seq * 10_000..(seq + 1) * 10_000).map(metric).collect();
            node.take(&edge, told, &Payload { seq: Some(seq), metrics, ..Payload::default() }, b"");
        }
        assert_eq!((node.unread.len(), node.aliases.len(), node.types.len()), (UNREAD_MAX, 0, 0));
    }
}
