//! `riskgate reload` and SIGHUP: reads and checks the configuration beside everything else, and swaps it in
//! between two inputs.
//!
//! A configuration with a problem is refused whole and the running one stays. What the process is bound to
//! (identity, broker, ports, folders) needs a restart and says so; how long the history is kept does not. Alarms, hazards and boosts keep their
//! identity: that is the engine's work. Drivers of sources that are what they were go on.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use riskgate_drivers::mqtt;
use riskgate_engine::Plant;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::model::{Reading, Tried};
use super::sources::Swapped;
use super::{AppError, Instance, ORDERS_MAX, model};
use crate::causes::chain;
use crate::config::{self, Checked, Driver, Problems, SecretError, Site, Synced};
use crate::console::socket::Reply;
use crate::events::Event;
use crate::pump::{Answer, Offered, Order, Refused, Verdict};
use crate::store::JournalEntry;

/// Who asks for a reload.
pub(super) enum Asker {
    /// SIGHUP: nobody waits for an answer, it is in the log.
    Signal,
    Client {
        uid: u32,
        answer: oneshot::Sender<Reply>,
    },
    /// A model from upstream is to be taken.
    Upstream {
        offered: Box<Offered>,
        answer: oneshot::Sender<Verdict>,
    },
}

/// A configuration with its passwords.
pub(super) struct Read {
    pub(super) checked: Checked,
    /// Of the sources' passwords and certificates: their files are not part of the configuration's own hash.
    pub(super) passwords: u64,
}

/// What nobody has asked for must not come into force with a model, and its faults are not the model's.
const EDITED: &str = "the gateway's files, or the passwords and certificates that they name, were changed and not \
                      read anew: `riskgate reload` there first";

/// Why it could not be had.
pub(super) enum Unread {
    Refused(Problems),
    Passwords(Vec<SecretError>),
    Panicked(String),
}

/// Reads and checks off the runtime's threads: the folder may lie on a disk that hangs.
/// `synced`: the model from upstream, if there is one.
pub(super) async fn read(folder: PathBuf, synced: Option<Synced>) -> Result<Read, Unread> {
    let blocking = move || {
        let mut checked = config::check_with(&folder, synced.as_ref()).map_err(Unread::Refused)?;
        checked.load_secrets(&folder).map_err(Unread::Passwords)?;
        let passwords = passwords_of(&checked);
        Ok(Read { checked, passwords })
    };
    match tokio::task::spawn_blocking(blocking).await {
        Ok(read) => read,
        Err(panic) => Err(Unread::Panicked(panic.to_string())),
    }
}

impl Unread {
    pub(super) fn into_app_error(self, folder: PathBuf) -> AppError {
        match self {
            Self::Refused(problems) => AppError::Refused { folder, problems },
            Self::Passwords(errors) => AppError::Failed(anyhow!(secrets_text(&errors))),
            Self::Panicked(why) => {
                AppError::Failed(anyhow!("the check of {} broke: {why}", folder.display()))
            }
        }
    }

    /// In one line: the first error.
    pub(super) fn in_short(&self) -> String {
        match self {
            Self::Refused(problems) => model::refusal(problems).words,
            Self::Passwords(_) | Self::Panicked(_) => self.text().replace('\n', "; "),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Refused(problems) => problems.render(false),
            Self::Passwords(errors) => secrets_text(errors),
            Self::Panicked(why) => format!("the check broke: {why}"),
        }
    }
}

impl Asker {
    fn uid(&self) -> Option<u32> {
        match self {
            Self::Signal | Self::Upstream { .. } => None,
            Self::Client { uid, .. } => Some(*uid),
        }
    }

    /// One who has gone away does not wait for the answer.
    fn tell(self, reply: Reply) {
        match self {
            Self::Signal | Self::Upstream { .. } => {}
            Self::Client { answer, .. } => drop(answer.send(reply)),
        }
    }

    /// In the log in one line, to the client whole.
    fn refuse(self, why: String) {
        let mut lines = why.lines();
        let first = lines.next().unwrap_or_default();
        let more = if lines.next().is_some() {
            "（全部问题见 riskgate check / `riskgate check` tells all)"
        } else {
            ""
        };
        Event::ReloadRefused { why: &format!("{first}{more}") }.emit();
        match self {
            Self::Upstream { answer, .. } => {
                drop(answer.send(Verdict::Refused(Refused::new("not_now", why))));
            }
            asker @ (Self::Signal | Self::Client { .. }) => asker.tell(Reply::Refused { why }),
        }
    }

    /// `files`: those that run.
    fn refuse_unread(self, unread: &Unread, files: &str) {
        match (self, unread) {
            (asker @ Self::Upstream { .. }, Unread::Refused(Problems { files: Some(read), .. }))
                if read != files =>
            {
                asker.refuse(EDITED.to_owned());
            }
            // The files are those that run: what is wrong is the model's, or comes of it.
            (Self::Upstream { answer, .. }, Unread::Refused(problems)) if problems.files.is_some() => {
                drop(answer.send(Verdict::Refused(model::refusal(problems))));
            }
            (asker, unread) => asker.refuse(unread.text()),
        }
    }
}

impl Instance {
    /// Begins to read; [`Instance::swap`] follows when that is done. One at a time.
    pub(super) fn begin_reload(&mut self, asker: Asker) {
        if !self.reading.is_empty() {
            match asker {
                // What changed since that one read the folder is read after it.
                Asker::Signal => self.hung_up_again = true,
                client @ (Asker::Client { .. } | Asker::Upstream { .. }) => {
                    client.refuse(
                        "正在重新读取，请稍后再试 / another reload is running; ask again when it is done"
                            .to_owned(),
                    );
                }
            }
            return;
        }
        Event::Reloading.emit();
        let folder = self.folder.clone();
        let synced = self.held.as_ref().map(|held| held.synced.clone());
        let passed_over = self.passed_over.clone();
        self.reading.spawn(async move {
            let (read, tried) = model::read_again(&folder, passed_over, synced).await;
            Some(Reading { read, asker, took: Duration::ZERO, tried })
        });
    }

    /// Swaps in what was read, or says why not. Waits for the drivers' end and for nothing else; the answer
    /// follows the commit.
    pub(super) async fn swap(&mut self, Reading { read, asker, tried, .. }: Reading) {
        let Read { checked, passwords } = match read {
            Ok(read) => read,
            Err(unread) => return asker.refuse_unread(&unread, &self.files),
        };
        let is_as_it_runs = checked.files == self.files && passwords == self.passwords;
        if let (Asker::Upstream { .. }, false) = (&asker, is_as_it_runs) {
            return asker.refuse(EDITED.to_owned());
        }
        let of_models = tried.as_ref().map(Tried::in_words).unwrap_or_default();
        let version_before = self.held.as_ref().map(|held| held.synced.version);
        let (let_in, still) = tried.map_or((None, None), |Tried { let_in, still }| (let_in, Some(still)));
        let passed_over = still.unwrap_or_else(|| self.passed_over.clone());
        let mut in_force = model::in_force(&checked, let_in.as_ref().or(self.held.as_ref()), &passed_over);
        let Checked { site, plant, sources, hash, files, orphans, .. } = checked;
        if hash == self.hash && passwords == self.passwords {
            Event::Unchanged.emit();
            // Why a model is not taken may have changed.
            self.passed_over = passed_over;
            self.in_force = in_force;
            self.tell_model();
            let said = format!("配置没有变化 the configuration has not changed{of_models}");
            return asker.tell(Reply::Done { durable: true, said });
        }
        if let Some(what) = needs_restart(&self.site, &site) {
            return asker
                .refuse(format!(
                "{what} 有变化，须重启才能生效 / {what} has changed: that needs a restart (systemctl restart riskgate)"
            ));
        }
        // Reserved before anything is touched: behind this nothing can fail.
        let orders = self.orders.clone();
        let Ok(place) = orders.try_reserve() else {
            return asker.refuse(format!(
                "操作过多，请稍后再试 / {ORDERS_MAX} acts wait for the pump already; ask again later"
            ));
        };
        self.passed_over = passed_over;
        let plant = Arc::new(plant);
        let now = (self.clock)().wall;
        let (uid, mut entry) = (
            asker.uid(),
            JournalEntry {
                at: now,
                by: "riskgate".to_owned(),
                what: "reload".to_owned(),
                body: json!({ "old": self.hash, "new": hash }),
            },
        );
        let (asker, taken) = match asker {
            Asker::Upstream { offered, answer } => {
                let time = (now, self.origin.time(now));
                let answer = self.await_commit(answer);
                let taking = model::taking(*offered, answer, (&plant, &orphans), self.held.as_ref(), time);
                entry.by.clone_from(&taking.held.known.by);
                entry.what = "model".to_owned();
                put(&mut entry.body, taking.journalled);
                in_force.taken = Some(taking.held.known.clone());
                in_force.refused = None;
                self.held = Some(taking.held);
                self.passed_over.clear();
                (None, Some(taking.taken))
            }
            asker @ (Asker::Signal | Asker::Client { .. }) => {
                put(&mut entry.body, json!({ "uid": uid }));
                if let Some(held) = let_in {
                    let version = held.synced.version;
                    put(&mut entry.body, json!({ "version": version, "version_before": version_before }));
                    self.held = Some(held);
                }
                (Some(asker), None)
            }
        };
        let Swapped { go, begun, kept } = self.sources.swap(sources, &plant).await;
        let tallies = self.sources.tallies();
        let old = std::mem::replace(&mut self.hash, hash.clone());
        let (answer, swapped) = oneshot::channel();
        place.send(Order::Swap { plant: Arc::clone(&plant), go, tallies, entry, taken, answer });
        let said = format!("{}{of_models}", describe(&plant, begun, kept));
        self.plant.send_replace(plant);
        self.in_force = in_force;
        self.tell_model();
        self.history.set_limits(site.history);
        self.site = site;
        self.files = files;
        self.passwords = passwords;
        self.answers.spawn(async move {
            let swapped = swapped.await;
            if let Ok(Answer::Done { .. }) = swapped {
                Event::Reloaded { old: &old, new: &hash }.emit();
            }
            // Upstream hears from the pump, when it is on disk.
            let Some(asker) = asker else { return };
            match swapped {
                Ok(Answer::Done { durable }) => asker.tell(Reply::Done { durable, said }),
                Ok(Answer::Refused(refusal)) => asker.refuse(refusal.to_string()),
                Ok(Answer::Full) => asker.refuse("存储已满 / the store has no room".to_owned()),
                // The agent ends: the socket says so.
                Err(_) => {}
            }
        });
    }
}

/// Adds the fields of one object to another.
pub(super) fn put(body: &mut Value, more: Value) {
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
}

/// One line for each password that could not be had.
pub fn secrets_text(errors: &[SecretError]) -> String {
    errors.iter().map(|error| chain(error)).collect::<Vec<_>>().join("\n")
}

/// Tells one set of passwords and certificates of the sources from another without keeping a copy. Those of the
/// uplink are read at each connect.
fn passwords_of(checked: &Checked) -> u64 {
    let mut hasher = DefaultHasher::new();
    for source in &checked.sources {
        match &source.driver {
            Driver::Opcua(server) => server.user.hash(&mut hasher),
            Driver::Mqtt(mqtt::Feed { user, tls, .. }) => {
                (user, tls.as_ref().map(|tls| tls.digest)).hash(&mut hasher);
            }
            Driver::Modbus(_) => {}
        }
    }
    hasher.finish()
}

fn describe(plant: &Plant, begun: usize, kept: usize) -> String {
    format!(
        "现在运行 {sources} 个数据源、{points} 个测点、{rules} 条规则 {sources} sources, {points} points, {rules} rules now run; 重新连接 started anew {begun}, 未受影响 untouched {kept}",
        sources = plant.sources().len(),
        points = plant.points().len(),
        rules = plant.rules().len()
    )
}

/// The part of the configuration that a running process cannot change, if it differs.
fn needs_restart(old: &Site, new: &Site) -> Option<&'static str> {
    let same = [
        (old.company == new.company && old.gateway == new.gateway && old.name == new.name, "[gateway]"),
        (old.timezone == new.timezone, "[gateway] timezone"),
        (old.uplink == new.uplink, "[uplink]"),
        (old.console == new.console, "[console]"),
        (old.store.dir == new.store.dir, "[store]"),
    ];
    same.into_iter().find(|(same, _)| !same).map(|(_, what)| what)
}
