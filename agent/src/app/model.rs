//! The model from upstream: taken by `cmd/model` as a reload takes a configuration, and had back from the store at the
//! start.
//!
//! It is checked against the files that run. Where the folder holds other ones by now the model is refused: an edit
//! that nobody has asked for must not come into force with it. Where the store's newest model cannot be had the one
//! before it holds, or else the files' own chain, by which `riskgate check` has passed; each is told. A reload tries
//! again what was passed over: the files may let it in by now.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use riskgate_engine::{Plant, Severity};
use riskgate_point::Wall;
use serde_json::{Value, json};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use super::Instance;
use super::reload::{Asker, Read, Unread, read};
use crate::causes::chain;
use crate::config::{
    Checked, MODEL_COMMAND, ModelInForce, ModelSource, Problems, RefusedModel, Synced, TakenModel,
};
use crate::events::Event;
use crate::pump::{Offered, Order, Reason, Refused, Taken, Verdict, Weighing};
use crate::store::{Carried, StoreError, StoredModel};
use crate::uplink::ModelOrder;

/// Things that are wrong with a model, of which the answer tells so many: 100 of 1.5 KiB fit into a message.
const REASONS_MAX: usize = 100;
const REASON_CHARS_MAX: usize = 200;

/// To read and to check a model takes one core: after each, it rests for so many times as long as that took, so that a
/// series of versions leaves three quarters of the core to what the gateway is there for.
const RESTS: u32 = 3;
/// And at least so long: a swap is a turn of the pump too.
const REST_MIN: Duration = Duration::from_millis(200);

/// Orphans that are named in an answer and in the journal.
const ORPHANS_MAX: usize = 100;

/// The model that this gateway holds.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) synced: Synced,
    pub(super) known: TakenModel,
}

/// What became of a model that was swapped in, and who waits to hear of it.
pub(super) struct Committed {
    verdict: Verdict,
    answer: oneshot::Sender<Verdict>,
}

/// A stored model that is newer than the one in force and does not go with the files.
#[derive(Debug, Clone)]
pub(super) struct PassedOver {
    held: Held,
    why: String,
}

/// What is read for one who waits.
pub(super) struct Reading {
    pub(super) read: Result<Read, Unread>,
    pub(super) asker: Asker,
    /// How long it took to read a model from upstream.
    pub(super) took: Duration,
    /// Of those that were passed over: what became of them now. `None`: none was tried.
    pub(super) tried: Option<Tried>,
}

/// What became of the models that were passed over.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// The files let it in now.
    pub(super) let_in: Option<Held>,
    /// Newer than that, newest first.
    pub(super) still: Vec<PassedOver>,
}

impl Held {
    fn of(stored: &StoredModel) -> Result<Self, String> {
        let StoredModel { version, at, by, digest, body } = stored;
        let synced = Synced::restored(*version, digest, body).map_err(|error| error.to_string())?;
        Ok(Self { synced, known: TakenModel { version: *version, at: *at, by: by.clone() } })
    }
}

impl PassedOver {
    fn new(held: Held, unread: &Unread) -> Self {
        let why = unread.in_short();
        Event::ModelUnreadable { version: held.synced.version, why: &why }.emit();
        Self { held, why }
    }
}

/// What upstream and people are told of the model.
pub(super) fn in_force(checked: &Checked, held: Option<&Held>, passed_over: &[PassedOver]) -> ModelInForce {
    let source = checked.site.model;
    let is_upstream = source == ModelSource::Upstream;
    let taken = held.filter(|_| is_upstream).map(|held| held.known.clone());
    let newest = passed_over.first().filter(|_| is_upstream);
    let refused = newest.map(|of| RefusedModel { version: of.held.synced.version, why: of.why.clone() });
    ModelInForce { source, taken, refused, orphans: checked.orphans.clone() }
}

/// The folder as a reload takes it: with the newest of the models that were passed over that it lets in by now, else
/// with the one in force. By itself it has to pass too, since a start needs that.
pub(super) async fn read_again(
    folder: &Path,
    passed_over: Vec<PassedOver>,
    held: Option<Synced>,
) -> (Result<Read, Unread>, Option<Tried>) {
    let alone = match read(folder.to_owned(), None).await {
        Ok(alone) => alone,
        Err(unread) => return (Err(unread), None),
    };
    if alone.checked.site.model == ModelSource::Files {
        return (Ok(alone), None);
    }
    let mut tried = Tried::default();
    for PassedOver { held, .. } in passed_over {
        match read(folder.to_owned(), Some(held.synced.clone())).await {
            Ok(read) => {
                tried.let_in = Some(held);
                return (Ok(read), Some(tried));
            }
            Err(unread) => tried.still.push(PassedOver::new(held, &unread)),
        }
    }
    let read = match held {
        Some(synced) => read(folder.to_owned(), Some(synced)).await,
        None => Ok(alone),
    };
    (read, Some(tried))
}

impl Tried {
    /// What who asked for the reload is told of it.
    pub(super) fn in_words(&self) -> String {
        let let_in = self.let_in.as_ref().map(|held| {
            let version = held.synced.version;
            format!("; 管控模型版本 {version} 现已生效 model version {version} from upstream is in force now")
        });
        let still = self.still.first().map(|of| {
            let (version, why) = (of.held.synced.version, &of.why);
            format!(
                "; 管控模型版本 {version} 仍与本地文件不符，未采用 model version {version} from upstream still \
                 does not go with these files and is not taken: {why}"
            )
        });
        let_in.into_iter().chain(still).collect()
    }
}

/// What a start has of the models in the store.
#[derive(Default)]
pub(super) struct Restored {
    pub(super) held: Option<Held>,
    pub(super) passed_over: Vec<PassedOver>,
}

/// The configuration with the newest model that can be had; `files`: as the folder alone says, which holds where there
/// is none.
pub(super) async fn restore(
    folder: &Path,
    files: Read,
    stored: Result<Vec<StoredModel>, StoreError>,
) -> (Read, Restored) {
    let stored = stored.unwrap_or_else(|error| {
        Event::ModelUnreadable { version: 0, why: &chain(&error) }.emit();
        Vec::new()
    });
    let any = !stored.is_empty();
    let mut passed_over = Vec::new();
    for model in stored {
        let version = model.version;
        let held = match Held::of(&model) {
            Ok(held) => held,
            Err(why) => {
                Event::ModelUnreadable { version, why: &why }.emit();
                continue;
            }
        };
        if files.checked.site.model == ModelSource::Files {
            // It is not in force, and known should upstream own the model again.
            return (files, Restored { held: Some(held), passed_over });
        }
        match read(folder.to_owned(), Some(held.synced.clone())).await {
            Ok(read) => return (read, Restored { held: Some(held), passed_over }),
            Err(unread) => passed_over.push(PassedOver::new(held, &unread)),
        }
    }
    if any && files.checked.site.model == ModelSource::Upstream {
        Event::ModelOfFiles.emit();
    }
    (files, Restored { held: None, passed_over })
}

fn refuse(answer: oneshot::Sender<Verdict>, refused: Refused) {
    drop(answer.send(Verdict::Refused(refused)));
}

impl Instance {
    /// A model waits for its turn; meanwhile a reload goes before it. One model, and one configuration, at a time.
    pub(super) fn offer_model(&mut self, (offered, answer): ModelOrder) {
        if !self.reading.is_empty() || self.next_model.is_some() {
            return refuse(
                answer,
                Refused::new("busy", "another configuration is being read; ask again by the same id"),
            );
        }
        self.next_model = Some((offered, answer));
    }

    /// Begins to look at the model that waited; the swap follows when it was read. What stands against it is asked now:
    /// it may have expired.
    pub(super) fn begin_model(&mut self) {
        let Some((offered, answer)) = self.next_model.take() else { return };
        if self.site.model != ModelSource::Upstream {
            return refuse(answer, Refused::new("not_allowed", "the files own the model: [model] source"));
        }
        let Offered { id, expires, digest, .. } = &*offered;
        let asked = Weighing { id: id.clone(), digest: digest.clone(), expires: *expires };
        let (go, may) = oneshot::channel();
        if let Err(error) = self.orders.try_send(Order::Weigh { asked, go, answer }) {
            if let TrySendError::Full(Order::Weigh { answer, .. }) = error {
                refuse(
                    answer,
                    Refused::new("busy", "too many acts wait for the pump; ask again by the same id"),
                );
            }
            return;
        }
        // What was taken is not undone by what is older, also where the files do not let it in.
        let passed_over = self.passed_over.first().map(|of| &of.held);
        let is_in_force = passed_over.is_none();
        let present =
            passed_over.or(self.held.as_ref()).map(|held| (held.synced.clone(), held.known.clone()));
        let (folder, time) = (self.folder.clone(), self.origin.clone());
        let waits = !self.committing.is_empty();
        let clock = self.clock;
        self.reading.spawn(async move {
            // Where nothing comes back it was answered, or the pump has ended.
            let answer = may.await.ok()?;
            if waits {
                // Nobody may be told that it is held, and each that waits is 1 MiB.
                let words = "the disk has yet to take the model that runs; ask again by the same id";
                refuse(answer, Refused::new("busy", words));
                return None;
            }
            let is_it = |held: &Synced| {
                held.version == offered.synced.version && held.digest == offered.synced.digest
            };
            match present {
                Some((held, known)) if is_it(&held) && is_in_force => {
                    let result =
                        json!({ "version": held.version, "time": time.time(known.at), "changed": false });
                    drop(answer.send(Verdict::Carried { result, again: true }));
                    None
                }
                Some((held, _)) if held.version >= offered.synced.version && !is_it(&held) => {
                    refuse(answer, Refused::older_model(held.version, offered.synced.version));
                    None
                }
                // The files may let in by now what they did not.
                Some(_) | None => {
                    let began = clock().mono;
                    let read = read(folder, Some(offered.synced.clone())).await;
                    let took = clock().mono.since(began);
                    Some(Reading { read, asker: Asker::Upstream { offered, answer }, took, tried: None })
                }
            }
        });
    }
}

impl Instance {
    /// The answer of a model that is being swapped in goes this way; it follows the commit, and what upstream and
    /// people are told of the model with it.
    pub(super) fn await_commit(&mut self, answer: oneshot::Sender<Verdict>) -> oneshot::Sender<Verdict> {
        let (done, waiting) = oneshot::channel();
        self.committing.spawn(async move {
            // The pump ends: who asked is told that it does.
            let verdict = waiting.await.ok()?;
            Some(Committed { verdict, answer })
        });
        done
    }

    /// A model is looked at when those before it left time for everything else.
    pub(super) fn pace(&mut self, took: Duration) {
        self.rest_until = (self.clock)().mono.after((took * RESTS).max(REST_MIN));
    }

    pub(super) fn model_committed(&mut self, Committed { verdict, answer }: Committed) {
        self.tell_model();
        drop(answer.send(verdict));
    }

    /// Unless the disk has yet to take it.
    pub(super) fn tell_model(&mut self) {
        if self.committing.is_empty() {
            let in_force = self.in_force.clone();
            self.board.update(|board| board.set_model(in_force.clone()));
            self.model.send_replace(in_force);
        }
    }
}

/// What the swap writes of it, where the model is what was asked for.
pub(super) struct Taking {
    pub(super) held: Held,
    pub(super) taken: Box<Taken>,
    pub(super) journalled: Value,
}

pub(super) fn taking(
    offered: Offered,
    answer: oneshot::Sender<Verdict>,
    checked: (&Plant, &[String]),
    old: Option<&Held>,
    (at, time): (Wall, String),
) -> Taking {
    let (plant, orphans) = checked;
    let Offered { id, by, expires, digest, synced } = offered;
    let version = synced.version;
    let orphans_left_out = orphans.len().saturating_sub(ORPHANS_MAX);
    let orphans: Vec<&String> = orphans.iter().take(ORPHANS_MAX).collect();
    let coverage = plant.coverage();
    let result = json!({
        "version": version,
        "time": time,
        "changed": true,
        "units": plant.units().len(),
        "measures": plant.measures().len(),
        "tasks": plant.tasks().len(),
        "automatic": coverage.automatic,
        "watched": coverage.watched,
        "orphans": orphans,
        "orphansLeftOut": orphans_left_out,
    });
    let journalled = json!({
        "version": version,
        "version_before": old.map(|old| old.synced.version),
        "model": synced.digest,
        "orphans": orphans,
        "orphans_left_out": orphans_left_out,
        "path": "mqtt",
        "command": id,
    });
    let stored =
        StoredModel { version, at, by: by.clone(), digest: synced.digest.clone(), body: synced.body() };
    let (name, result) = (MODEL_COMMAND.to_owned(), result.to_string());
    let carried = Carried { id, name, digest, at, expires, result, model: Some(Arc::new(stored)) };
    let held = Held { synced, known: TakenModel { version, at, by } };
    Taking { held, taken: Box::new(Taken { carried, answer }), journalled }
}

/// Everything that is wrong with it.
pub(super) fn refusal(problems: &Problems) -> Refused {
    let short = |text: &str| -> String { text.chars().take(REASON_CHARS_MAX).collect() };
    let errors = || problems.diagnostics.iter().filter(|one| one.severity == Severity::Error);
    let reason = |one: &crate::config::Diagnostic| Reason {
        at: one.location.heading(),
        error: short(&one.message),
        hint: one.hint.as_deref().map(short),
    };
    let count = errors().count() + problems.left_out;
    let reasons = errors().take(REASONS_MAX).map(reason).collect::<Vec<_>>();
    let first = reasons.first().map(|first| format!("; the first: {}: {}", first.at, first.error));
    let words = format!("nothing was taken, {count} things are wrong{}", first.unwrap_or_default());
    let reasons_left_out = count - reasons.len();
    Refused { reasons, reasons_left_out, ..Refused::new("invalid", words) }
}
