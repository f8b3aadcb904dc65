//! Commands on this connection: taken in, handed to the pump where they are acts, answered and journalled.
//!
//! The pump is never waited for: what it has in hand is bounded, and more is refused. A connection that ends takes its
//! answers with it; who asks again by the same id hears what became of it.

use serde_json::{Value, json};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use super::{Answer, Link};
use crate::pump::{Order, Refused, Verdict};
use crate::store::JournalEntry;
use crate::uplink::commands::{self, Decision, Deed, Received, Replay};
use crate::uplink::session::LooseKind;
use crate::uplink::wire;

/// Commands that wait for their rows; beyond it a command is refused and may come again.
const REPLAYS_MAX: usize = 16;

/// Acts in the pump's hands at once: a quarter of its room, so that those of people on the spot find theirs.
const COMMANDING_MAX: usize = 16;

/// Answers that wait for the broker. Beyond it a refusal is counted, and not answered.
const REPLIES_MAX: usize = 256;

/// Whom to answer.
#[derive(Debug, Clone)]
pub(super) struct Given {
    id: Option<String>,
    name: String,
    by: String,
}

impl Link<'_> {
    pub(super) fn command(&mut self, topic: &str, payload: &[u8], retained: bool) {
        if payload.is_empty() {
            // A command that was retained is being cleared.
            return;
        }
        let now = self.uplink.now();
        let name = topic.rsplit('/').next().unwrap_or_default();
        let received = Received { name, payload, retained };
        let uplink = &self.uplink;
        let Decision { name, id, by, deed } =
            commands::decide(received, &uplink.config.commands, uplink.origin.epoch, now);
        self.uplink.status.send_modify(|status| status.commands += 1);
        let given = Given { id, name, by };
        match deed {
            Ok(Deed::Ping) => {
                let pong =
                    json!({ "time": self.uplink.origin.time(now), "epoch": self.uplink.origin.epoch.0 });
                self.journal(&given, None);
                self.tell(&given, &Ok(pong), false);
            }
            Ok(Deed::Resend { .. }) if self.session.replays().len() >= REPLAYS_MAX => {
                let words = format!("{REPLAYS_MAX} resends wait already; ask again later");
                self.refuse(&given, Refused::new("busy", words));
            }
            Ok(Deed::Resend { lane, from, to }) => {
                self.journal(&given, None);
                let last = self.committed.borrow().last.of(lane);
                self.session.replays().push_back(Replay::new(
                    given.id.unwrap_or_default(),
                    lane,
                    from,
                    to,
                    last,
                ));
            }
            Ok(Deed::Act(command)) => {
                let orders = self.uplink.orders.clone();
                self.hand_on(given, |answer| {
                    orders.try_send(Order::Command { command, answer }).map_err(full)
                });
            }
            Ok(Deed::Model(offered)) => {
                let models = self.uplink.models.clone();
                self.hand_on(given, |answer| models.try_send((offered, answer)).map_err(full));
            }
            Err(refused) => self.refuse(&given, refused),
        }
    }

    /// To the pump, or with a model to the app; the answer comes when it does.
    fn hand_on(&mut self, given: Given, hand: impl FnOnce(oneshot::Sender<Verdict>) -> Result<(), Refused>) {
        if self.commanding >= COMMANDING_MAX {
            let words = format!("{COMMANDING_MAX} commands are being carried out; ask again by the same id");
            return self.refuse(&given, Refused::new("busy", words));
        }
        let (answer, verdict) = oneshot::channel();
        match hand(answer) {
            Ok(()) => {
                self.commanding += 1;
                self.asked.push(Box::pin(async move { Answer::Commanded(given, verdict.await.ok()) }));
            }
            Err(refused) => self.refuse(&given, refused),
        }
    }

    /// What became of an act; `None`: the pump ended before it could say.
    pub(super) fn commanded(&mut self, given: &Given, verdict: Option<Verdict>) {
        self.commanding -= 1;
        match verdict {
            Some(Verdict::Carried { result, again }) => {
                tracing::info!(command = given.name, id = given.id, by = given.by, again, "carried out");
                // The act itself is in the journal; that it was asked for again is seen here alone.
                if again {
                    self.journal(given, None);
                }
                self.tell(given, &Ok(result), again);
            }
            Some(Verdict::Refused(refused)) => self.refuse(given, refused),
            None => self.refuse(given, stopping()),
        }
    }

    fn refuse(&mut self, given: &Given, refused: Refused) {
        self.uplink.status.send_modify(|status| status.commands_refused += 1);
        self.journal(given, Some(&refused));
        if self.session.replies() < REPLIES_MAX {
            self.tell(given, &Err(refused), false);
        }
    }

    /// In the journal and in the log, one by one up to a bound.
    fn journal(&mut self, given: &Given, refused: Option<&Refused>) {
        if !self.session.ration.take((self.uplink.clock)().mono) {
            return;
        }
        let Given { id, name, by } = given;
        let code = refused.map(|refused| refused.code.as_ref());
        let why = refused.map(|refused| refused.words.as_str());
        tracing::info!(command = name, id, by, code, refused = why, "a command from upstream");
        let body = json!({ "command": name, "id": id, "path": "mqtt", "code": code, "refused": why });
        self.write(by.clone(), body);
    }

    /// So many were not journalled one by one.
    pub(super) fn journal_withheld(&mut self) {
        if let Some(withheld) = self.session.ration.withheld((self.uplink.clock)().mono) {
            tracing::warn!(withheld, "commands from upstream were too many to be journalled one by one");
            self.write("riskgate".to_owned(), json!({ "path": "mqtt", "withheld": withheld }));
        }
    }

    fn write(&mut self, by: String, body: Value) {
        let entry = JournalEntry { at: self.uplink.now(), by, what: "command".to_owned(), body };
        let store = self.uplink.store.clone();
        self.asked.push(Box::pin(async move {
            Answer::Written("journal a command", store.append(Vec::new(), vec![entry]).await)
        }));
    }

    fn tell(&mut self, given: &Given, outcome: &Result<Value, Refused>, again: bool) {
        if let Some(id) = &given.id {
            self.reply(id, &given.name, outcome, again);
        }
    }

    pub(super) fn reply(&mut self, id: &str, name: &str, outcome: &Result<Value, Refused>, again: bool) {
        let now = self.uplink.now();
        let data = commands::reply(id, name, outcome);
        let unique = format!("reply/{id}/{}", now.0);
        let payload = wire::loose_bytes(&unique, "riskgate.reply.v1", now, again, &data, &self.uplink.origin);
        self.push(format!("reply/{}", wire::level(id)), payload, false, LooseKind::Reply);
    }
}

fn full<T>(error: TrySendError<T>) -> Refused {
    match error {
        TrySendError::Full(_) => Refused::new("busy", "too many wait already; ask again by the same id"),
        TrySendError::Closed(_) => stopping(),
    }
}

fn stopping() -> Refused {
    Refused::new("stopping", "the gateway is stopping; ask again by the same id what became of it")
}
