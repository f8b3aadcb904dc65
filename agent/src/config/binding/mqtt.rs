//! A point of an MQTT feed: its topic and where in the message its value is, its tag in a list, or its metric
//! of a Sparkplug node.
//!
//! An address is `topic`, or `topic#tag`. No topic holds a `#`, so the first one ends it; a tag may hold
//! more. Where the source has one list under one topic, the tag alone is enough.

use std::sync::Arc;

use riskgate_drivers::mqtt::topic::matches;
use riskgate_drivers::mqtt::{self, sparkplug};

use super::{Read, Type, refuse_paths};
use crate::config::address;
use crate::config::headers::Column;
use crate::config::row::Line;
use crate::config::sources::mqtt::{Gathered, List, SPARKPLUG_STALE_MIN, Sparkplug};
use crate::config::values::{duration, duration_text};

const SEPARATOR: char = '#';

pub(super) fn add(line: &Line<'_>, address: &str, gathered: &mut Gathered, read: Read) {
    if gathered.lists_unread {
        return;
    }
    if let Some(nodes) = &mut gathered.sparkplug {
        return metric(line, address, nodes, read);
    }
    let lists = &mut gathered.lists;
    match address.split_once(SEPARATOR) {
        None if lists.is_empty() => own_topic(line, address, gathered, read),
        Some((topic, "")) if !topic.is_empty() => own_topic(line, topic, gathered, read),
        None => tag_alone(line, address, lists, read),
        Some(("", tag)) => tag_alone(line, tag, lists, read),
        Some((topic, tag)) => listed(line, topic, tag, lists, read),
    }
}

fn metric(line: &Line<'_>, address: &str, of: &mut Sparkplug, read: Read) {
    refuse_paths(line, "is told by Sparkplug itself");
    if let Some(own) = line.said(Column::StaleAfter)
        && duration(&own.value).is_some_and(|after| after < SPARKPLUG_STALE_MIN)
    {
        let why = "is less than the three signs of life of the broker that keep it fresh";
        let hint = format!("write {} or more", duration_text(SPARKPLUG_STALE_MIN));
        line.wrong(Column::StaleAfter, &own.value, why, hint);
    }
    match sparkplug::Address::parse(address) {
        Ok(sparkplug::Address { group, edge, device, metric }) => {
            let node = of.nodes.entry((group.clone(), edge.clone())).or_default();
            (node.group, node.edge) = (group, edge);
            let rows = node.metrics.entry(Arc::from(device)).or_default();
            rows.entry(Arc::from(metric)).or_default().push(reading(read));
        }
        Err(why) => {
            let what = format!("is no metric of a Sparkplug node: {why}");
            let hint = "write group/edge/device#metric, group/edge#metric for one of the node itself, or paste \
                        the topic: spBv1.0/group/DDATA/edge/device#metric";
            line.wrong(Column::Address, address, &what, hint.to_owned());
        }
    }
}

fn own_topic(line: &Line<'_>, topic: &str, gathered: &mut Gathered, read: Read) {
    let Some(point) = message(line, read) else { return };
    if is_topic(line, topic) {
        gathered.topics.entry(topic.to_owned()).or_default().push(point);
    }
}

fn tag_alone(line: &Line<'_>, tag: &str, lists: &mut [List], read: Read) {
    let wrong = |message: &str, hint: String| line.wrong(Column::Address, tag, message, hint);
    match lists {
        [] => {
            let hint = "write the topic, or points = [{ topic = …, tag = …, value = … }] in the source";
            wrong("is a tag in a list, and the source has no list 'points'", hint.to_owned());
        }
        [list] if !list.filter.contains(['+', '#']) => {
            let topic = list.filter.clone();
            insert(line, topic, tag, list, read);
        }
        [list] => {
            let message = "does not say of which topic it is: its list hears many";
            wrong(message, format!("write {}#{tag}, with a whole topic for the wildcards", list.filter));
        }
        [first, ..] => {
            let message = "does not say of which list it is: the source has more than one";
            wrong(message, format!("write the topic before it: {}#{tag}", first.filter));
        }
    }
}

fn listed(line: &Line<'_>, topic: &str, tag: &str, lists: &mut [List], read: Read) {
    if !is_topic(line, topic) {
        return;
    }
    let filters: Vec<String> = lists.iter().map(|list| list.filter.clone()).collect();
    let mut heard = lists.iter_mut().filter(|list| matches(&list.filter, topic));
    match (heard.next(), heard.next()) {
        (Some(list), None) => insert(line, topic.to_owned(), tag, list, read),
        (Some(_), Some(_)) => {
            let message = "is heard by two lists of the source";
            line.wrong(Column::Address, topic, message, "make their topics differ".to_owned());
        }
        (None, _) => {
            let hint = match filters.as_slice() {
                [] => "write points = [{ topic = …, tag = …, value = … }] in the source, or the topic alone"
                    .to_owned(),
                _ => format!("the lists of the source hear: {}", filters.join(", ")),
            };
            line.wrong(Column::Address, topic, "is a topic that no list of the source hears", hint);
        }
    }
}

fn insert(line: &Line<'_>, topic: String, tag: &str, list: &mut List, read: Read) {
    refuse_paths(line, "is said once for the whole list, by 'points' in its source");
    let rows = list.topics.entry(topic).or_default();
    rows.entry(Arc::from(tag.trim())).or_default().push(reading(read));
}

fn is_topic(line: &Line<'_>, topic: &str) -> bool {
    let wrong = address::topic(topic).err();
    if let Some(wrong) = &wrong {
        let message = format!("{}: {}", Column::Address.label(), wrong.message);
        line.error(Column::Address, message, wrong.hint.clone());
    }
    wrong.is_none()
}

fn message(line: &Line<'_>, read: Read) -> Option<mqtt::Point> {
    // Without a path the whole message is the value: `12.5`.
    let whole = mqtt::Path::parse("$").ok();
    let value = if line.said(Column::Value).is_some() { path(line, Column::Value) } else { whole };
    let quality = path(line, Column::Quality);
    let time = path(line, Column::Time);
    Some(mqtt::Point { reading: reading(read), value: value?, quality, time })
}

fn reading(read: Read) -> mqtt::Reading {
    let words = read.enum_words();
    let kind = match read.kind {
        Some(Type::Bool) => mqtt::Kind::Bool,
        Some(Type::Text | Type::Field(_)) => mqtt::Kind::Text,
        Some(Type::Number(_) | Type::Status) | None => mqtt::Kind::Number,
    };
    mqtt::Reading { point: read.point, kind, scaling: read.scaling, words }
}

fn path(line: &Line<'_>, column: Column) -> Option<mqtt::Path> {
    let cell = line.said(column)?;
    match mqtt::Path::parse(&cell.value) {
        Ok(path) => Some(path),
        Err(wrong) => {
            let hint = "write $.value or $.data[0].value".to_owned();
            line.wrong(column, &cell.value, &format!("is no JSON path: {}", wrong.why), hint);
            None
        }
    }
}
