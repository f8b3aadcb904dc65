//! A point of an OPC UA server: its node, the element of an array, and the subscription that it chooses.

use std::sync::Arc;

use riskgate_drivers::opcua::{self, Deadband, Kind, NODE_HINT};
use riskgate_engine::Class;

use super::{Read, Type};
use crate::config::headers::Column;
use crate::config::place::Faults;
use crate::config::row::Line;
use crate::config::values::suggest;

pub(super) fn item(
    line: &Line<'_>,
    address: &str,
    read: Read,
    groups: &[opcua::Group],
) -> Option<opcua::Point> {
    let element = element(line);
    let group = group(line, groups);
    match opcua::Node::parse(address) {
        Ok(node) => Some(opcua::Point {
            point: read.point,
            tag: Arc::from(line.text(Column::Tag).map_or("", |tag| tag.value.as_str())),
            group: group?,
            node,
            element,
            kind: match read.kind {
                Some(Type::Bool) => Kind::Bool,
                Some(Type::Text | Type::Field(_)) => Kind::Text,
                Some(Type::Number(_) | Type::Status) | None => Kind::Number,
            },
            scaling: read.scaling,
            words: read.enum_words(),
        }),
        Err(wrong) => {
            let what = format!("is no node id: {}", wrong.why);
            line.wrong(Column::Address, address, &what, NODE_HINT.to_owned());
            None
        }
    }
}

fn element(line: &Line<'_>) -> Option<opcua::Element> {
    let cell = line.said(Column::Element)?;
    let element = opcua::Element::parse(&cell.value);
    if element.is_none() {
        let hint = "write the index, 3, or one for each dimension: 1,2; the first element is 0".to_owned();
        line.wrong(Column::Element, &cell.value, "is no element of an array", hint);
    }
    element
}

/// The place of the group that the row names; of one that names none, the first.
fn group(line: &Line<'_>, groups: &[opcua::Group]) -> Option<usize> {
    let Some(cell) = line.said(Column::Subscription) else { return Some(0) };
    let at = place(&cell.value, groups);
    if at.is_none() {
        let hint = suggest(&cell.value, groups.iter().skip(1).map(|group| group.name.as_str()));
        let hint =
            hint.or(Some("write it as [[source.subscription]] in the source, with this id".to_owned()));
        line.error(Column::Subscription, format!("its source has no subscription '{}'", cell.value), hint);
    }
    at
}

fn place(name: &str, groups: &[opcua::Group]) -> Option<usize> {
    groups.iter().position(|group| !group.name.is_empty() && group.name == name)
}

/// The group that the row chooses; of one that names what does not exist, the first: that was reported.
pub(in crate::config) fn group_of<'g>(
    line: &Line<'_>,
    groups: &'g [opcua::Group],
) -> Option<&'g opcua::Group> {
    let named = line.said(Column::Subscription).and_then(|cell| place(&cell.value, groups));
    groups.get(named.unwrap_or(0))
}

/// What the server does not tell cannot trip: with a deadband of 0.5 a detector may stand that far beyond
/// its limit, unseen.
pub(in crate::config) fn warn_of_deadband(
    line: &Line<'_>,
    class: Class,
    is_number: bool,
    groups: &[opcua::Group],
    faults: &Faults,
) {
    let word = match class {
        Class::Gas => "gas",
        Class::Fire => "fire",
        Class::Sis => "sis",
        Class::Process | Class::Equipment | Class::People | Class::Permit | Class::Video | Class::System => {
            return;
        }
    };
    let Some(group) = group_of(line, groups).filter(|_| is_number) else { return };
    let hidden = match group.deadband {
        Deadband::None => return,
        Deadband::Absolute(distance) => distance.to_string(),
        Deadband::Percent(percent) => format!("{percent}% of its EURange"),
    };
    let whose = if group.name.is_empty() {
        "its source".to_owned()
    } else {
        format!("its subscription '{}'", group.name)
    };
    let message = format!(
        "a point of class {word}, of which {whose} is not told moves of up to {hidden}: so far it may be beyond a limit, unseen"
    );
    let hint = "choose a subscription with deadband = 0 for it; the column deadband 死区 is another thing, it holds back the return of an alarm";
    let column = if line.said(Column::Subscription).is_some() { Column::Subscription } else { Column::Tag };
    faults.warning(line.place(column), message, hint.to_owned());
}
