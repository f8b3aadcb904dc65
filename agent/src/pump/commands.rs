//! Commands of persons upstream. They go the way of local acts, through the one engine and one commit; what is
//! different is that nobody stands beside them: each says what it expects and until when it holds, is carried out
//! once however often it comes, and is answered when it is on disk and not before.
//!
//! Who may command what is the uplink's to say, and so are the words on the wire.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use riskgate_engine::{Act, Effect, Refusal};
use riskgate_point::{Now, Wall};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Pump, Tail, unit_of};
use crate::store::{CARRIED_KEPT, CARRIED_MAX, Carried, JournalEntry};

/// 2020-01-01: before it, nobody has set this clock yet.
const CLOCKS_BEGIN: Wall = Wall(1_577_836_800_000);

/// How far ahead an expiry may lie: what was carried out is known for longer than that.
const EXPIRES_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Words of a refusal repeat what was asked, which may be anything, and go into the journal.
const WORDS_CHARS_MAX: usize = 500;

/// One command, as it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commanded {
    pub id: String,
    pub name: String,
    pub act: Act,
    /// Of the object that it is about, as its giver saw it.
    pub revision: u64,
    pub expires: Wall,
    /// Of all that was asked, but for `expires`: who asks again may give it more time.
    pub digest: String,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// On disk. `again`: it had been carried out before, and this is its result of then.
    Carried {
        result: Value,
        again: bool,
    },
    Refused(Refused),
}

/// Why a command was not carried out. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// For programs.
    pub code: Cow<'static, str>,
    /// For people.
    pub words: String,
    /// The object's present one, where another was expected.
    pub revision: Option<u64>,
    /// Each thing that is wrong with a model, and how many more there are.
    pub reasons: Vec<Reason>,
    pub reasons_left_out: usize,
}

/// One thing that is wrong with a model from upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// A JSON pointer into the command; or a file of the gateway, its line and column.
    pub at: String,
    pub error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Refused {
    pub fn new(code: impl Into<Cow<'static, str>>, words: impl AsRef<str>) -> Self {
        let words = words.as_ref().chars().take(WORDS_CHARS_MAX).collect();
        Self { code: code.into(), words, revision: None, reasons: Vec::new(), reasons_left_out: 0 }
    }

    fn stale(present: u64, expected: u64) -> Self {
        let words =
            format!("the object has changed: it is at revision {present}, not {expected}; look again");
        Self { revision: Some(present), ..Self::new("stale", words) }
    }

    /// The engine's refusals have names of their own: they are the codes.
    fn by_engine(refusal: &Refusal) -> Self {
        let named = serde_json::to_value(refusal).ok();
        let code = named.as_ref().and_then(|named| named.get("refusal")).and_then(Value::as_str);
        let code = code.map_or(Cow::Borrowed("refused"), |code| Cow::Owned(code.to_owned()));
        Self::new(code, refusal.to_string())
    }
}

/// What was carried out, and who waits to hear of it.
#[derive(Debug, Default)]
pub(super) struct Commands {
    /// Oldest first, with the batch that carries it out; 0: of a run before this one.
    known: VecDeque<(u64, Carried)>,
    /// As many as wait for the store, which the pump bounds.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    seq: u64,
    verdict: Verdict,
    answer: oneshot::Sender<Verdict>,
}

impl Commands {
    pub(super) fn restored(carried: Vec<Carried>) -> Self {
        Self { known: carried.into_iter().map(|carried| (0, carried)).collect(), waiting: Vec::new() }
    }

    fn find(&self, id: &str) -> Option<&(u64, Carried)> {
        self.known.iter().find(|(_, carried)| carried.id == id)
    }

    /// A clock that is a little behind what was done already is wrong. One that is far behind it was wrong then.
    fn is_before_what_was_done(&self, now: Wall) -> bool {
        let near = now..=now.after(CARRIED_KEPT);
        self.known.iter().any(|(_, carried)| carried.at != now && near.contains(&carried.at))
    }

    /// All that are known may still come again.
    fn is_full(&self, now: Wall) -> bool {
        self.known.len() >= CARRIED_MAX
            && self.known.iter().filter(|(_, carried)| !carried.has_expired(now)).count() >= CARRIED_MAX
    }

    /// By the rule of the table in the store.
    fn keep(&mut self, seq: u64, carried: Carried) {
        let now = carried.at;
        self.known.push_back((seq, carried));
        self.known.retain(|(_, carried)| !carried.is_over(now));
        let mut over = self.known.len().saturating_sub(CARRIED_MAX);
        self.known.retain(|(_, carried)| {
            let goes = over > 0 && carried.has_expired(now);
            over -= usize::from(goes);
            !goes
        });
    }

    /// What was carried out before is answered once more; else the way for the answer comes back.
    pub(super) fn answer_again(
        &mut self,
        id: &str,
        digest: &str,
        answer: oneshot::Sender<Verdict>,
    ) -> Option<oneshot::Sender<Verdict>> {
        let Some((seq, carried)) = self.find(id) else { return Some(answer) };
        if carried.digest == digest {
            let result = serde_json::from_str(&carried.result).unwrap_or_default();
            let seq = *seq;
            self.wait(seq, Verdict::Carried { result, again: true }, answer);
        } else {
            let words = format!("'{id}' was the id of another command, '{}'", carried.name);
            drop(answer.send(Verdict::Refused(Refused::new("replayed", words))));
        }
        None
    }

    /// Answers when the batch is on disk.
    pub(super) fn carried_out(&mut self, seq: u64, carried: Carried, answer: oneshot::Sender<Verdict>) {
        let result = serde_json::from_str(&carried.result).unwrap_or_default();
        self.keep(seq, carried);
        self.wait(seq, Verdict::Carried { result, again: false }, answer);
    }

    fn wait(&mut self, seq: u64, verdict: Verdict, answer: oneshot::Sender<Verdict>) {
        self.waiting.push(Waiting { seq, verdict, answer });
    }

    /// Those whose batch is on disk are answered.
    pub(super) fn release(&mut self, committed: u64) {
        if self.waiting.is_empty() {
            return;
        }
        // One that comes again is not held up by those that the disk has yet to take.
        let (ready, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.seq <= committed);
        self.waiting = waiting;
        let ready: Vec<Waiting> = ready;
        for Waiting { verdict, answer, .. } in ready {
            // The connection on which it came may be over; it comes again.
            drop(answer.send(verdict));
        }
    }
}

impl Pump {
    /// Carries it out, unless it was already or something stands against it.
    pub(super) fn command(&mut self, tail: &mut Tail, command: Commanded, answer: oneshot::Sender<Verdict>) {
        let Some(answer) = tail.commands.answer_again(&command.id, &command.digest, answer) else { return };
        let now = (self.clock)();
        let mut effects = Vec::new();
        if let Err(refused) = self.stands_against(tail, &command, now, &mut effects) {
            self.commit(tail, effects, Vec::new(), None, now);
            drop(answer.send(Verdict::Refused(refused)));
            return;
        }
        let entry = JournalEntry {
            at: now.wall,
            by: command.act.by.clone(),
            what: "act".to_owned(),
            body: json!({
                "deed": command.act.deed, "path": "mqtt", "command": command.id, "unit": unit_of(&effects),
            }),
        };
        let result = json!({
            "time": self.origin.time(now.wall),
            "revision": self.engine.revision_of(&command.act.deed),
            "changes": effects.len(),
        });
        let Commanded { id, name, digest, expires, .. } = command;
        let result = result.to_string();
        let carried = Carried { id, name, digest, at: now.wall, expires, result, model: None };
        let mut batch = self.batch(tail, effects, vec![entry], now);
        batch.commands.push(carried.clone());
        let seq = batch.seq;
        tail.waiting.push(batch, None, now.mono, &self.store);
        tail.commands.carried_out(seq, carried, answer);
    }

    /// Everything that may, and at last the engine, which carries it out.
    fn stands_against(
        &mut self,
        tail: &Tail,
        command: &Commanded,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        self.stands_against_all(tail, command.expires, now, effects)?;
        // Of what there is nothing, the engine says so.
        if let Some(present) = self.engine.revision_of(&command.act.deed)
            && present != command.revision
        {
            return Err(Refused::stale(present, command.revision));
        }
        self.engine.act(&command.act, now, effects).map_err(|refusal| Refused::by_engine(&refusal))
    }

    /// What stands against a command of any kind now.
    pub(super) fn stands_against_all(
        &mut self,
        tail: &Tail,
        expires: Wall,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        if !tail.waiting.has_room_for_an_act() {
            return Err(Refused::new("busy", "the disk takes nothing and too many acts wait for it already"));
        }
        let doubted = self.engine.doubts_the_clock(now, effects);
        if doubted || now.wall < CLOCKS_BEGIN || tail.commands.is_before_what_was_done(now.wall) {
            let words = "the gateway's clock was set or is wrong: nobody can say whether this has expired";
            return Err(Refused::new("clock_suspect", words));
        }
        if expires < now.wall {
            return Err(Refused::new("expired", "it holds no longer"));
        }
        if expires > now.wall.after(EXPIRES_MAX) {
            let words = format!("'expires' is over {} h ahead", EXPIRES_MAX.as_secs() / 3600);
            return Err(Refused::new("malformed", words));
        }
        if tail.commands.is_full(now.wall) {
            let words = format!("{CARRIED_MAX} commands that have not expired were carried out already");
            return Err(Refused::new("busy", words));
        }
        Ok(())
    }
}
