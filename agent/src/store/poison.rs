//! What can never be written must not hold up what can. Where the database refuses a value itself, and not for want
//! of room or of an answer, the batches are written once more piece by piece: each piece that is refused is set aside
//! in the table `unwritable`, journalled and told upstream as a gap, and everything else is committed with it.
//!
//! An object whose record was set aside is still told upstream, marked `durable: false`: people may have to act.

use std::collections::BTreeSet;

use riskgate_engine::Effect;
use riskgate_point::Wall;
use rusqlite::{Connection, ErrorCode, Transaction, params};
use serde_json::{Value, json};

use super::journal::{self, Head};
use super::outbox::{self, Appended};
use super::{Batch, Carried, JournalEntry, Lane, Message, StoreError, commands, int, records, sql};
use crate::causes::chain;

/// Enough to see what it was; a body may have megabytes.
const BODY_CHARS_MAX: usize = 16 * 1024;

/// Whether trying again as it is can never help.
pub(super) fn is_poison(error: &StoreError) -> bool {
    match error {
        StoreError::Encode { .. } => true,
        StoreError::Sql { source: rusqlite::Error::ToSqlConversionFailure(_), .. } => true,
        StoreError::Sql { source, .. } => matches!(
            source.sqlite_error_code(),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
        ),
        StoreError::File { .. }
        | StoreError::Full { .. }
        | StoreError::NoPlace { .. }
        | StoreError::InUse { .. }
        | StoreError::Lost { .. }
        | StoreError::Open { .. }
        | StoreError::Record { .. }
        | StoreError::Lane { .. }
        | StoreError::Busy { .. }
        | StoreError::Closed { .. }
        | StoreError::Unwritten { .. } => false,
    }
}

/// What came of writing piece by piece.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    pub(super) refused: u64,
    pub(super) unwritable: u64,
}

/// A piece that was refused.
struct Aside {
    at: Wall,
    kind: String,
    object: String,
    revision: u64,
    why: String,
    body: String,
}

/// Writes what can be written. The caller commits.
///
/// # Errors
/// What is no fault of a piece: nothing of it counts.
pub(super) fn sift(
    transaction: &mut Transaction<'_>,
    head: &mut Head,
    batches: &[Batch],
) -> Result<Sifted, StoreError> {
    let (mut asides, mut sifted) = (Vec::new(), Sifted::default());
    for batch in batches {
        for act in &batch.acts {
            let done = piece(transaction, |it| journal::append(it, head, act))?;
            asides.extend(done.err().map(|why| Aside::of_act(act, why)));
        }
        let mut without_record = BTreeSet::new();
        for effect in &batch.effects {
            let decision = journal::decision(effect, batch.at);
            let done = piece(transaction, |it| {
                records::write(it, effect)?;
                if journal::is_decision(effect) { journal::append(it, head, &decision) } else { Ok(()) }
            })?;
            if let Err(why) = done {
                let aside = Aside::of_effect(effect, &decision, why);
                without_record.insert((aside.object.clone(), aside.revision));
                asides.push(aside);
            }
        }
        for carried in &batch.commands {
            let done = piece(transaction, |it| commands::write(it, carried))?;
            asides.extend(done.err().map(|why| Aside::of_command(carried, why)));
        }
        for message in &batch.messages {
            let lacks_record = without_record.contains(&(message.object.clone(), message.revision));
            let undurable = lacks_record.then(|| undurable(message));
            let message = undurable.as_ref().unwrap_or(message);
            match piece(transaction, |it| outbox::append(it, message))? {
                Ok(Appended::Row) => {}
                Ok(Appended::Refused) => sifted.refused += 1,
                Err(why) => asides.push(Aside::of_message(message, why)),
            }
        }
    }
    for aside in &asides {
        aside.write(transaction, head)?;
        sifted.unwritable += 1;
    }
    Ok(sifted)
}

/// One piece, whole or not at all. `Ok(Err(why))`: it can never be written.
fn piece<T>(
    transaction: &mut Transaction<'_>,
    write: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<Result<T, String>, StoreError> {
    let savepoint = transaction.savepoint().map_err(sql("begin a piece"))?;
    match write(&savepoint) {
        Ok(done) => {
            savepoint.commit().map_err(sql("end a piece"))?;
            Ok(Ok(done))
        }
        // Dropped, it is rolled back.
        Err(error) if is_poison(&error) => Ok(Err(chain(&error))),
        Err(error) => Err(error),
    }
}

fn undurable(message: &Message) -> Message {
    let mut message = message.clone();
    if let Some(data) = message.data.as_object_mut() {
        data.insert("durable".to_owned(), Value::Bool(false));
    }
    message
}

impl Aside {
    fn of_act(act: &JournalEntry, why: String) -> Self {
        let body = format!("{act:?}");
        Self { at: act.at, kind: "act".to_owned(), object: act.by.clone(), revision: 0, why, body }
    }

    fn of_command(carried: &Carried, why: String) -> Self {
        let (object, body) = (carried.id.clone(), format!("{carried:?}"));
        Self { at: carried.at, kind: "command".to_owned(), object, revision: 0, why, body }
    }

    fn of_effect(effect: &Effect, decision: &JournalEntry, why: String) -> Self {
        let field = |name: &str| decision.body.get(name);
        Self {
            at: decision.at,
            kind: decision.what.clone(),
            object: field("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
            revision: field("revision").and_then(Value::as_u64).unwrap_or_default(),
            why,
            // What cannot be written as JSON still can be shown.
            body: format!("{effect:?}"),
        }
    }

    fn of_message(message: &Message, why: String) -> Self {
        Self {
            at: message.time,
            kind: message.kind.clone(),
            object: message.object.clone(),
            revision: message.revision,
            why,
            body: message.data.to_string(),
        }
    }

    fn write(&self, connection: &Connection, head: &mut Head) -> Result<(), StoreError> {
        let Self { at, kind, object, revision, why, body } = self;
        let body: String = body.chars().take(BODY_CHARS_MAX).collect();
        connection
            .execute(
                "INSERT INTO unwritable (at, kind, object, revision, why, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![at.0, kind, object, int(*revision), why, body],
            )
            .map_err(sql("set aside what cannot be written"))?;
        tracing::error!(kind, object, revision, why, "it can never be written and is set aside");
        let told = json!({ "kind": kind, "object": object, "revision": revision, "why": why });
        let (by, what) = ("riskgate".to_owned(), "unwritable".to_owned());
        journal::append(connection, head, &JournalEntry { at: *at, by, what, body: told })?;
        let id = format!("unwritable:{kind}:{object}:{revision}:{}", head.n);
        let gap = Message {
            lane: Lane::Gap,
            topic: "gap".to_owned(),
            retain: false,
            kind: "riskgate.gap.v1".to_owned(),
            object: id.clone(),
            revision: 1,
            time: *at,
            data: json!({
                "id": id,
                "revision": 1,
                "lane": Lane::Critical.word(),
                "count": 1,
                "reason": "unwritable",
                "kind": kind,
                "object": object,
                "objectRevision": revision,
                "why": why,
            }),
        };
        outbox::append(connection, &gap).map(|_| ())
    }
}
