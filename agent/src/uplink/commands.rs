//! Commands from upstream: `cmd/{name}` in, `reply/{id}` out. Pure: a message in, a decision out.
//!
//! Only what the configuration allows is carried out, and nothing here can reach a plant device. Each
//! command carries its `id`, who gives it (`by`) and until when it holds (`expires`).

use std::collections::VecDeque;

use jiff::Timestamp;
use riskgate_engine::Epoch;
use riskgate_point::Wall;
use serde_json::{Map, Value, json};

use crate::store::{Lane, Row};

/// Rows that one `resend` gives again; the answer says where to go on.
pub(super) const RESEND_ROWS_MAX: u64 = 10_000;

/// Rows read from the store at once for a resend.
pub(super) const RESEND_PAGE: usize = 100;

/// A command's id becomes a level of a topic.
const ID_CHARS_MAX: usize = 128;

/// Ranges that are named as missing in one answer; a purge leaves one.
const MISSING_MAX: usize = 100;

/// What to do with a message on `cmd/…`.
#[derive(Debug, PartialEq)]
pub(super) struct Decision {
    pub(super) name: String,
    /// `None`: there is nowhere to answer to.
    pub(super) id: Option<String>,
    pub(super) by: String,
    pub(super) deed: Result<Deed, String>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Deed {
    Ping,
    Resend { lane: Lane, from: u64, to: u64 },
}

/// `name` is the last level of the topic, `epoch` the one whose sequences we hold.
pub(super) fn decide(name: &str, payload: &[u8], allowed: &[String], epoch: Epoch, now: Wall) -> Decision {
    let fields = match serde_json::from_slice::<Value>(payload) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => Map::new(),
    };
    let text = |field: &str| {
        let text = fields.get(field).and_then(Value::as_str).map(str::trim);
        text.filter(|text| !text.is_empty()).map(ToOwned::to_owned)
    };
    let id = text("id").filter(|id| id.chars().count() <= ID_CHARS_MAX);
    let by = text("by");
    let deed = match (&id, &by, text("expires")) {
        (None, _, _) => Err(format!("'id' is missing: a text of at most {ID_CHARS_MAX} characters")),
        (_, None, _) => Err("'by' is missing: the name of who gives the command".to_owned()),
        (_, _, None) => Err("'expires' is missing: an RFC 3339 time".to_owned()),
        (Some(_), Some(_), Some(expires)) => {
            in_time(&expires, now).and_then(|()| deed(name, &fields, allowed, epoch))
        }
    };
    Decision { name: name.to_owned(), id, by: by.unwrap_or_else(|| "unknown".to_owned()), deed }
}

fn in_time(expires: &str, now: Wall) -> Result<(), String> {
    let until: Timestamp =
        expires.parse().map_err(|_| format!("'expires' is no RFC 3339 time with an offset: '{expires}'"))?;
    if until.as_millisecond() < now.0 {
        return Err(format!("expired at {expires}"));
    }
    Ok(())
}

fn deed(name: &str, fields: &Map<String, Value>, allowed: &[String], epoch: Epoch) -> Result<Deed, String> {
    if !allowed.iter().any(|allowed| allowed == name) {
        return Err(format!("'{name}' is not allowed here; allowed: {}", allowed.join(", ")));
    }
    match name {
        "ping" => Ok(Deed::Ping),
        "resend" => resend(fields, epoch),
        _ => Err(format!("'{name}' is no command of this version")),
    }
}

fn resend(fields: &Map<String, Value>, epoch: Epoch) -> Result<Deed, String> {
    let number = |field: &str| {
        let number = fields.get(field).and_then(Value::as_u64);
        number.ok_or_else(|| format!("'{field}' is missing: a sequence, from 1"))
    };
    let ours = epoch.0.to_string();
    if let Some(asked) = fields.get("epoch").and_then(Value::as_str)
        && asked != ours
    {
        return Err(format!("the epoch {asked} is over, and its store with it; this one is {ours}"));
    }
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
pub(super) fn reply(id: &str, name: &str, outcome: &Result<Value, String>) -> Value {
    match outcome {
        Ok(result) => json!({ "id": id, "command": name, "ok": true, "result": result }),
        Err(why) => json!({ "id": id, "command": name, "ok": false, "error": why }),
    }
}
