//! `[[source.subscription]]` (订阅组): points of an OPC UA source that are sampled and published otherwise
//! than the rest. What a group does not say is as the source says it.

use std::time::Duration;

use riskgate_drivers::opcua::{Deadband, Discard, Group};

use super::{PERIOD_MAX, PERIOD_MIN, TIMEOUT_MAX, TIMEOUT_MIN};
use crate::config::fields::{Amount, Fields};

const DEFAULT_PUBLISHING: Duration = Duration::from_millis(250);
const DEFAULT_SAMPLING: Duration = Duration::from_millis(100);
const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(5);
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(600);
const DEFAULT_QUEUE: u32 = 10;
/// Values of one item between two publishings; more is history, not monitoring.
const QUEUE_MAX: u32 = 1000;

const DISCARDS: [(&str, Discard); 2] = [("oldest", Discard::Oldest), ("newest", Discard::Newest)];

/// The source's own group first, then the others.
pub(super) fn groups(fields: &mut Fields<'_>) -> Vec<Group> {
    let default = Group {
        name: String::new(),
        publishing: DEFAULT_PUBLISHING,
        sampling: DEFAULT_SAMPLING,
        queue: DEFAULT_QUEUE,
        discard: Discard::Oldest,
        deadband: Deadband::None,
        keep_alive: DEFAULT_KEEP_ALIVE,
    };
    let own = group(fields, String::new(), &default);
    let mut groups = vec![own.clone()];
    for mut fields in fields.tables("subscription") {
        let name = fields.required_text("id").map(|id| id.value);
        if let Some(name) = &name
            && groups.iter().any(|group| group.name == *name)
        {
            fields.error("id", format!("there are two subscriptions '{name}' in this source"), None);
        }
        groups.push(group(&mut fields, name.unwrap_or_default(), &own));
        fields.finish();
    }
    groups
}

fn group(fields: &mut Fields<'_>, name: String, default: &Group) -> Group {
    let publishing = fields.duration("publishing", TIMEOUT_MIN..=TIMEOUT_MAX).unwrap_or(default.publishing);
    let sampling = fields.duration("sampling", TIMEOUT_MIN..=PERIOD_MAX).unwrap_or(default.sampling);
    let queue = fields.integer("queue", 1..=QUEUE_MAX).unwrap_or(default.queue);
    let keep_alive = fields.duration("keep_alive", PERIOD_MIN..=KEEP_ALIVE_MAX);
    // Of a slow group the source's is too short, and it says nothing else.
    let keep_alive = keep_alive.unwrap_or_else(|| {
        if fields.has("publishing") && !fields.has("keep_alive") {
            default.keep_alive.max(publishing)
        } else {
            default.keep_alive
        }
    });
    if keep_alive < publishing {
        let hint = "a keep-alive is sent at most once a publishing interval".to_owned();
        fields.error("keep_alive", "'keep_alive' is shorter than 'publishing'", hint);
    }
    if queue == 1 && sampling < publishing {
        let message = "of the values sampled between two publishings the server keeps the newest only, and says nothing of the others";
        fields.warning("queue", message, "write a queue of 2 or more: then a loss is marked".to_owned());
    }
    let discard = fields.word("discard", &DISCARDS).unwrap_or(default.discard);
    let deadband = deadband(fields).unwrap_or(default.deadband);
    Group { name, publishing, sampling, queue, discard, deadband, keep_alive }
}

fn deadband(fields: &mut Fields<'_>) -> Option<Deadband> {
    let hint = || "write 0.5, in the server's own unit, or \"2%\" of the item's EURange".to_owned();
    match fields.amount("deadband", hint())? {
        Amount::Number(0.0) | Amount::Percent(0.0) => Some(Deadband::None),
        Amount::Number(distance) if distance > 0.0 => Some(Deadband::Absolute(distance)),
        Amount::Percent(percent) if percent > 0.0 && percent <= 100.0 => Some(Deadband::Percent(percent)),
        Amount::Number(_) | Amount::Percent(_) => {
            fields.error("deadband", "'deadband' is out of range", hint());
            None
        }
    }
}
