//! Commands from upstream: `cmd/{name}` in, `reply/{id}` out. Pure: a message in, a decision out.
//!
//! Only what the configuration allows is carried out, acts only for the persons it names, and nothing here can reach
//! a plant device. Each command carries its `id`, who gives it (`by`) and until when it holds (`expires`). What an act
//! finds when its turn comes, and whether it came before, is the pump's to judge.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use riskgate_engine::{Act, Epoch};
use riskgate_point::{Mono, Wall};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::acts::Form;
use crate::config::{Commands, MODEL_COMMAND, Synced, sha256};
use crate::pump::{Commanded, Offered, Refused};
use crate::store::{Lane, Row};

/// Rows that one `resend` gives again; the answer says where to go on.
pub(super) const RESEND_ROWS_MAX: u64 = 10_000;

/// Rows read from the store at once for a resend.
pub(super) const RESEND_PAGE: usize = 100;

/// A command's id becomes a level of a topic.
const ID_CHARS_MAX: usize = 128;

/// The name of a person; it goes into the journal, whatever else is refused.
const BY_CHARS_MAX: usize = 100;

/// The longest name that may be meant for one of ours.
const NAME_CHARS_MAX: usize = 64;

/// An act is a few names and a reason; the reason goes into the journal and upstream again.
const COMMAND_BYTES_MAX: usize = 16 * 1024;

/// A model is the whole chain of a plant: 2,000 measures and as many tasks have about half of this.
pub(super) const MODEL_BYTES_MAX: usize = 1024 * 1024;

/// Objects and lists in one message: with the shortest words a row of a model has fifty bytes, so that no model has
/// more. A row of seven bytes, such as `{"":0}`, takes hundreds when it is read, and a message of them the memory.
const CONTAINERS_MAX: usize = MODEL_BYTES_MAX / 50;

/// The largest whole number that every reader of JSON holds exactly.
const VERSION_MAX: u64 = (1 << 53) - 1;

/// Ranges that are named as missing in one answer; a purge leaves one.
const MISSING_MAX: usize = 100;

/// Commands that are journalled one by one in a minute; of the others their number. A platform's day has fewer, and
/// one gone wild must not fill the card.
const JOURNALLED_MAX: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// A message on `cmd/…`; `name` is the last level of its topic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received<'a> {
    pub(super) name: &'a str,
    pub(super) payload: &'a [u8],
    /// The broker had kept it: it would come again with each connection.
    pub(super) retained: bool,
}

/// What to do with it.
#[derive(Debug, PartialEq)]
pub(super) struct Decision {
    pub(super) name: String,
    /// `None`: there is nowhere to answer to.
    pub(super) id: Option<String>,
    pub(super) by: String,
    pub(super) deed: Result<Deed, Refused>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Deed {
    Ping,
    Resend { lane: Lane, from: u64, to: u64 },
    Act(Box<Commanded>),
    Model(Box<Offered>),
}

/// `epoch` is the one whose sequences and revisions we hold.
pub(super) fn decide(received: Received<'_>, allowed: &Commands, epoch: Epoch, now: Wall) -> Decision {
    let name = received.name.chars().take(NAME_CHARS_MAX).collect();
    let decision = |id: &str, by: &str, deed| {
        let (id, by) = (text(id, ID_CHARS_MAX), text(by, BY_CHARS_MAX));
        Decision { name, id, by: by.unwrap_or_else(|| "unknown".to_owned()), deed }
    };
    if let Err(refused) = may_be_read(received) {
        let Head { id, by } = Head::of(received.payload);
        return decision(&id, &by, Err(refused));
    }
    let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(received.payload) else {
        return decision("", "", Err(malformed("it is no JSON object")));
    };
    let (id, by) = (text_of(&fields, "id").to_owned(), text_of(&fields, "by").to_owned());
    let deed = match (text(&id, ID_CHARS_MAX), text(&by, BY_CHARS_MAX)) {
        (None, _) => Err(malformed(format!("'id' is missing: a text of at most {ID_CHARS_MAX} characters"))),
        (_, None) => Err(malformed(format!(
            "'by' is missing: the name of who gives the command, at most {BY_CHARS_MAX} characters"
        ))),
        (Some(id), Some(by)) => deed(received.name, fields, (&id, &by), allowed, epoch, now),
    };
    decision(&id, &by, deed)
}

/// Without the blanks around it; `None`: there is none, or it is too long.
fn text(said: &str, chars_max: usize) -> Option<String> {
    let said = said.trim();
    let fits = !said.is_empty() && said.chars().count() <= chars_max;
    fits.then(|| said.to_owned())
}

/// Whom to answer, of a message that is not read for anything else.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Head {
    id: String,
    by: String,
}

impl Head {
    fn of(payload: &[u8]) -> Self {
        // A list would be taken for the fields in their order.
        let is_object = payload.trim_ascii_start().starts_with(b"{");
        let head = if is_object { serde_json::from_slice(payload).ok() } else { None };
        head.unwrap_or_default()
    }
}

/// Before it is read: what anybody may send to any command must cost next to nothing.
fn may_be_read(Received { name, payload, retained }: Received<'_>) -> Result<(), Refused> {
    let bytes_max = if name == MODEL_COMMAND { MODEL_BYTES_MAX } else { COMMAND_BYTES_MAX };
    if payload.len() > bytes_max {
        let words = format!("it has {} bytes; {bytes_max} are taken", payload.len());
        return Err(Refused::new("too_large", words));
    }
    if retained {
        let words =
            "it is retained and would be repeated at each reconnect: publish it without, and clear the topic";
        return Err(Refused::new("retained", words));
    }
    let containers = containers(payload);
    if containers > CONTAINERS_MAX {
        let words = format!("it has {containers} objects and lists; {CONTAINERS_MAX} are taken");
        return Err(Refused::new("too_large", words));
    }
    Ok(())
}

/// How many objects and lists begin in a text of JSON.
fn containers(payload: &[u8]) -> usize {
    let (mut count, mut in_text, mut escaped) = (0, false, false);
    for byte in payload {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

fn malformed(words: impl AsRef<str>) -> Refused {
    Refused::new("malformed", words)
}

fn deed(
    name: &str,
    mut fields: Map<String, Value>,
    (id, by): (&str, &str),
    allowed: &Commands,
    epoch: Epoch,
    now: Wall,
) -> Result<Deed, Refused> {
    let expires = expiry(&fields)?;
    let ours = epoch.0.to_string();
    if let Some(asked) = fields.get("epoch").and_then(Value::as_str)
        && asked != ours
    {
        let words = format!("the epoch {asked} is over, and its store with it; this one is {ours}");
        return Err(Refused::new("stale", words));
    }
    let is_open = allowed.open.iter().any(|allowed| allowed == name);
    match name {
        "ping" | "resend" if is_open && expires < now => {
            Err(Refused::new("expired", format!("expired at {}", text_of(&fields, "expires"))))
        }
        "ping" if is_open => Ok(Deed::Ping),
        "resend" if is_open => resend(&fields).map_err(malformed),
        _ => {
            let (form, persons) = (Form::of(name), allowed.acts.get(name));
            let is_known = form.is_some() || name == MODEL_COMMAND;
            let Some(persons) = persons.filter(|_| is_known) else {
                return Err(not_here(name, is_known, allowed));
            };
            if !persons.iter().any(|person| person == by) {
                let words = format!("'{by}' may not give '{name}' here; [[uplink.command]] says who may");
                return Err(Refused::new("not_allowed", words));
            }
            fields.remove("expires");
            let digest = digest_of(name, &fields);
            let Some(form) = form else {
                let synced = model(fields).map_err(malformed)?;
                let (id, by) = (id.to_owned(), by.to_owned());
                return Ok(Deed::Model(Box::new(Offered { id, by, expires, digest, synced })));
            };
            let (deed, revision) = form.read(&fields).map_err(malformed)?;
            let act = Act { by: by.to_owned(), deed };
            let (id, name) = (id.to_owned(), name.to_owned());
            Ok(Deed::Act(Box::new(Commanded { id, name, act, revision, expires, digest })))
        }
    }
}

/// What the document says is for the check of the whole configuration.
fn model(mut fields: Map<String, Value>) -> Result<Synced, String> {
    const OWN: [&str; 5] = ["id", "by", "epoch", "version", "model"];
    if let Some(strange) = fields.keys().find(|name| !OWN.contains(&name.as_str())) {
        return Err(format!("'{MODEL_COMMAND}' has no field '{strange}'"));
    }
    let version = fields.get("version").and_then(Value::as_u64);
    let version = version.filter(|version| (1..=VERSION_MAX).contains(version));
    let version =
        version.ok_or_else(|| format!("'version' is missing: a whole number, 1 to {VERSION_MAX}"))?;
    let model = fields.remove("model").filter(Value::is_object);
    let model = model.ok_or("'model' is missing: an object of lists")?;
    Ok(Synced::new(version, model))
}

fn not_here(name: &str, is_known: bool, allowed: &Commands) -> Refused {
    let open = allowed.open.iter().chain(allowed.acts.keys()).map(String::as_str);
    let allowed = open.collect::<Vec<_>>().join(", ");
    if is_known || matches!(name, "ping" | "resend") {
        return Refused::new("not_allowed", format!("'{name}' is not allowed here; allowed: {allowed}"));
    }
    Refused::new("unknown_command", format!("'{name}' is no command of this version; allowed: {allowed}"))
}

fn text_of<'a>(fields: &'a Map<String, Value>, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn expiry(fields: &Map<String, Value>) -> Result<Wall, Refused> {
    let said = text_of(fields, "expires");
    if said.trim().is_empty() {
        return Err(malformed("'expires' is missing: an RFC 3339 time"));
    }
    let until: Result<Timestamp, _> = said.trim().parse();
    let until =
        until.map_err(|_| malformed(format!("'expires' is no RFC 3339 time with an offset: '{said}'")))?;
    Ok(Wall(until.as_millisecond()))
}

/// Of all fields but the expiry, which is not among them any more: who asks again for the same may give it more time.
fn digest_of(name: &str, fields: &Map<String, Value>) -> String {
    sha256(&(name, fields))
}

/// How many commands were journalled in this minute.
#[derive(Debug, Default)]
pub(super) struct Ration {
    began: Option<Mono>,
    taken: u32,
    withheld: u64,
}

impl Ration {
    /// Whether there is room for one more entry.
    pub(super) fn take(&mut self, now: Mono) -> bool {
        if self.is_over(now) {
            self.began = Some(now);
            self.taken = 0;
        }
        let has_room = self.taken < JOURNALLED_MAX;
        self.taken += u32::from(has_room);
        self.withheld += u64::from(!has_room);
        has_room
    }

    /// The number of those there was no room for, when their minute is over.
    pub(super) fn withheld(&mut self, now: Mono) -> Option<u64> {
        (self.withheld > 0 && self.is_over(now)).then(|| std::mem::take(&mut self.withheld))
    }

    fn is_over(&self, now: Mono) -> bool {
        self.began.is_none_or(|began| now.since(began) >= MINUTE)
    }
}

fn resend(fields: &Map<String, Value>) -> Result<Deed, String> {
    let number = |field: &str| {
        let number = fields.get(field).and_then(Value::as_u64);
        number.ok_or_else(|| format!("'{field}' is missing: a sequence, from 1"))
    };
    let word = fields.get("lane").and_then(Value::as_str).unwrap_or_default();
    let lane =
        Lane::of_word(word).ok_or_else(|| format!("'lane' must be critical, gap or work, not '{word}'"))?;
    let (from, to) = (number("from")?.max(1), number("to")?);
    if from > to {
        return Err(format!("'from' {from} is behind 'to' {to}"));
    }
    Ok(Deed::Resend { lane, from, to })
}

/// A resend under way: rows are read page by page and go out as the window allows.
#[derive(Debug, PartialEq)]
pub(super) struct Replay {
    pub(super) id: String,
    pub(super) lane: Lane,
    from: u64,
    /// The end of what this command gives, by its bound and the lane's last sequence.
    to: u64,
    last: u64,
    /// Where the next command goes on, if this one gives less than was asked for and is there.
    more: Option<u64>,
    /// The next sequence to read.
    next: u64,
    ready: VecDeque<Row>,
    sent: u64,
    missing: Vec<(u64, u64)>,
}

impl Replay {
    /// `last` is the lane's last sequence: what is beyond it was never given out.
    pub(super) fn new(id: String, lane: Lane, from: u64, asked_to: u64, last: u64) -> Self {
        let bound = from.saturating_add(RESEND_ROWS_MAX - 1);
        let there = asked_to.min(last);
        let to = there.min(bound);
        let more = (to < there).then_some(to + 1);
        let (ready, missing) = (VecDeque::new(), Vec::new());
        Self { id, lane, from, to, last, more, next: from, ready, sent: 0, missing }
    }

    /// Which sequences to read next, if its rows are used up.
    pub(super) fn wants(&self) -> Option<(Lane, u64, u64)> {
        (self.ready.is_empty() && self.next <= self.to).then_some((self.lane, self.next, self.to))
    }

    /// The answer to [`Replay::wants`], at most [`RESEND_PAGE`] rows.
    pub(super) fn read(&mut self, rows: Vec<Row>) {
        let full = rows.len() >= RESEND_PAGE;
        for row in &rows {
            self.miss(self.next, row.sequence);
            self.next = row.sequence + 1;
        }
        if !full {
            self.miss(self.next, self.to + 1);
            self.next = self.to + 1;
        }
        self.ready.extend(rows);
    }

    /// What is in `from..below` is no longer there.
    fn miss(&mut self, from: u64, below: u64) {
        if from < below && self.missing.len() < MISSING_MAX {
            self.missing.push((from, below - 1));
        }
    }

    pub(super) fn pop(&mut self) -> Option<Row> {
        let row = self.ready.pop_front()?;
        self.sent += 1;
        Some(row)
    }

    /// A row that was popped and is not sent after all.
    pub(super) fn skipped(&mut self, sequence: u64) {
        self.sent -= 1;
        self.miss(sequence, sequence + 1);
    }

    /// Every row is handed over: the answer may follow, behind them.
    pub(super) fn is_done(&self) -> bool {
        self.ready.is_empty() && self.next > self.to
    }

    /// The result for the answer.
    pub(super) fn result(&self) -> Value {
        json!({
            "lane": self.lane,
            "from": self.from,
            "to": self.to,
            "sent": self.sent,
            "missing": self.missing,
            "last": self.last,
            "next": self.more,
        })
    }
}

/// The `data` of an answer.
pub(super) fn reply(id: &str, name: &str, outcome: &Result<Value, Refused>) -> Value {
    match outcome {
        Ok(result) => json!({ "id": id, "command": name, "ok": true, "result": result }),
        Err(Refused { code, words, revision, reasons, reasons_left_out }) => {
            let mut data = json!({ "id": id, "command": name, "ok": false, "code": code, "error": words });
            if let (Some(fields), Some(revision)) = (data.as_object_mut(), revision) {
                fields.insert("revision".to_owned(), json!(revision));
            }
            if let (Some(fields), false) = (data.as_object_mut(), reasons.is_empty()) {
                fields.insert("reasons".to_owned(), json!(reasons));
                fields.insert("reasonsLeftOut".to_owned(), json!(reasons_left_out));
            }
            data
        }
    }
}
