//! What upstream will not have, told so: `gap`. Pure.

use serde_json::{Value, json};

use super::telemetry::Dropped;
use super::wire::Origin;
use crate::store::{JournalEntry, Lane, Message, Row};
use riskgate_point::Wall;

fn message(id: String, at: Wall, mut data: Value) -> Message {
    if let Some(fields) = data.as_object_mut() {
        fields.insert("id".to_owned(), json!(id));
        fields.insert("revision".to_owned(), json!(1));
    }
    Message {
        lane: Lane::Gap,
        topic: "gap".to_owned(),
        retain: false,
        kind: "riskgate.gap.v1".to_owned(),
        object: id,
        revision: 1,
        time: at,
        data,
    }
}

/// Readings that were dropped before upstream had them.
pub(super) fn of_telemetry(dropped: &Dropped, at: Wall, origin: &Origin) -> Message {
    let reason = match dropped.count {
        count if count == dropped.too_large => "too_large",
        count if count == dropped.refused => "refused",
        _ => "queue_full",
    };
    let data = json!({
        "lane": "telemetry",
        "from": origin.time(dropped.from),
        "to": origin.time(dropped.to),
        "count": dropped.count,
        "tooLarge": dropped.too_large,
        "refused": dropped.refused,
        "reason": reason,
    });
    message(format!("telemetry:{}:{}", dropped.from.0, at.0), at, data)
}

/// A row that the broker would not take: the gap that names it, and the line of the journal.
pub(super) fn of_refused(row: &Row, bytes: usize, at: Wall) -> (Message, JournalEntry) {
    let Row { sequence, message: told, .. } = row;
    let data = json!({
        "lane": told.lane.word(),
        "fromSequence": sequence,
        "toSequence": sequence,
        "count": 1,
        "reason": "refused",
        "kind": told.kind,
        "topic": told.topic,
        "object": told.object,
        "objectRevision": told.revision,
        "bytes": bytes,
    });
    let entry = JournalEntry {
        at,
        by: "riskgate".to_owned(),
        what: "message refused".to_owned(),
        body: data.clone(),
    };
    (message(format!("refused:{}:{sequence}", told.lane.word()), at, data), entry)
}
