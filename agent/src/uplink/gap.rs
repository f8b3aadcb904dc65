//! What upstream will not have, told so: `gap`. Pure.

use riskgate_point::Wall;
use serde_json::{Map, Value, json};

use super::spool::{self, Lost};
use super::telemetry::{CLASSES, Dropped};
use super::wire::Origin;
use crate::store::{JournalEntry, Lane, Message, Row};

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
        "classes": classes(dropped),
        "reason": reason,
    });
    // Two that are told in one moment are two.
    let id = format!("telemetry:{}:{}:{}:{}", dropped.from.0, dropped.to.0, dropped.count, at.0);
    message(id, at, data)
}

/// How many of each class; classes of which nothing was lost are left out.
fn classes(dropped: &Dropped) -> Value {
    let counted = CLASSES.into_iter().zip(dropped.classes).filter(|(_, count)| *count > 0);
    let mut classes = Map::new();
    for (class, count) in counted {
        if let Value::String(word) = json!(class) {
            classes.insert(word, json!(count));
        }
    }
    Value::Object(classes)
}

/// Readings of this time may be missing, nobody knows how many: the last run ended without a word, or the file that
/// they waited in was damaged. Of a file that says nothing any more it is not known from when on.
pub(super) fn of_lost(lost: Lost, at: Wall, origin: &Origin) -> Message {
    let Lost { from, to, damaged } = lost;
    let mut data = json!({
        "lane": "telemetry",
        "to": origin.time(to),
        "count": null,
        "reason": if damaged { "damaged" } else { "crash" },
    });
    if let (Some(fields), true) = (data.as_object_mut(), from != spool::UNKNOWN) {
        fields.insert("from".to_owned(), json!(origin.time(from)));
    }
    message(format!("crash:{}:{}", from.0, to.0), at, data)
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
