//! The only place that makes channels and spawns: what is wired to what, in which order it starts, and in
//! which order it ends.
//!
//! Start: configuration, store, engine, listeners, then the tasks, then the drivers.
//! End: drivers first, then what they reported is judged and committed, then the last word goes upstream.
//! It decides nothing: a room's rules are in that room.

mod before;
mod doors;
mod history;
mod model;
mod once;
mod parts;
mod reload;
mod sources;
mod status;
mod trusted;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use riskgate_drivers::Clock;
use riskgate_drivers::opcua::Pki;
use riskgate_engine::{Effect, Engine, Plant};
use riskgate_point::{Mono, Now};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::causes::chain;
use crate::clock;
use crate::config::{Checked, ModelInForce, Problems, Site};
use crate::console::socket::{Reply, Request};
use crate::console::{self, BoardHandle};
use crate::events::Event;
use crate::history::History;
use crate::pump::{Answer, Left, Order, Pump};
use crate::store::{JournalEntry, Opened, Store, Whose};
use crate::uplink::wire::{Origin, SourceState};
use crate::uplink::{self, ModelOrder, Undurable, Uplink, UplinkStatus};

use doors::Doors;
use model::{Committed, Held, PassedOver, Reading};
pub use once::{Line, once};
use parts::Parts;
pub use reload::secrets_text;
use reload::{Asker, Read};
use sources::Sources;
use status::Status;
pub(crate) use trusted::TrustAct;

/// Acts of persons that wait for the pump: more at once are no persons.
const ORDERS_MAX: usize = 64;
/// Models from upstream that wait to be looked at, each up to 1 MiB. One is looked at at a time and the next refused.
const MODELS_MAX: usize = 2;
/// A stop takes at most 5 s, whatever hangs: each part has a share, and the shares add up to less. The
/// drivers have theirs in [`sources::END_WITHIN`]; then the pump judges and commits what is left.
const PUMP_ENDS_WITHIN: Duration = Duration::from_millis(1_300);
/// The last words of uplink and listeners.
const TASKS_END_WITHIN: Duration = Duration::from_millis(1_200);
/// A commit on a healthy card takes milliseconds.
const START_IS_WRITTEN_WITHIN: Duration = Duration::from_secs(2);
const STOP_IS_WRITTEN_WITHIN: Duration = Duration::from_millis(200);
/// The store's last tries.
const STORE_ENDS_WITHIN: Duration = Duration::from_millis(1_000);

/// Why the agent did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("the configuration {} is refused", folder.display())]
    Refused { folder: PathBuf, problems: Problems },
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// The agent, from its configuration to its end: runs until `stop`.
pub async fn run(folder: PathBuf, stop: CancellationToken) -> Result<(), AppError> {
    // Before anything takes time: unheard, it would end the process.
    let hangup = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    let started = tokio::select! {
        started = Instance::start(folder, hangup) => started?,
        // The disk may hang: a start that is not wanted any more is not waited for.
        () = stop.cancelled() => return Ok(()),
    };
    Ok(started.live(stop).await?)
}

/// Everything that runs.
struct Instance {
    folder: PathBuf,
    site: Site,
    hash: String,
    /// Of the files alone.
    files: String,
    /// The newest model from upstream that goes with the files, in force or not.
    held: Option<Held>,
    /// Newer ones in the store, which do not, newest first: at most as many as it keeps.
    passed_over: Vec<PassedOver>,
    passwords: u64,
    clock: Clock,
    origin: Origin,
    store: Store,
    history: History,
    sources: Sources,
    parts: Parts,
    hangup: Signal,
    /// Another SIGHUP came while the configuration was being read.
    hung_up_again: bool,
    /// No model from upstream is looked at before then.
    rest_until: Mono,
    /// The one that waits for that, of up to 1 MiB; nothing else waits for it.
    next_model: Option<ModelOrder>,
    /// A reload that reads the configuration: at most one.
    reading: JoinSet<Option<Reading>>,
    /// Acts and reloads that wait for their commit.
    answers: JoinSet<()>,
    /// A model that runs and is not on disk: at most one, and no further is looked at while it waits.
    committing: JoinSet<Option<Committed>>,
    /// What holds now; upstream and people are told of it when it is on disk.
    in_force: ModelInForce,
    orders: mpsc::Sender<Order>,
    requests: mpsc::Receiver<(Request, oneshot::Sender<Reply>)>,
    models: mpsc::Receiver<ModelOrder>,
    plant: watch::Sender<Arc<Plant>>,
    model: watch::Sender<ModelInForce>,
    board: BoardHandle,
    turns: watch::Receiver<u64>,
    uplink: watch::Receiver<UplinkStatus>,
}

impl Instance {
    /// One straight line of wiring, longer than a function should be: in pieces it would be harder to follow.
    async fn start(folder: PathBuf, hangup: Signal) -> Result<Self, AppError> {
        let read = reload::read(folder.clone(), None).await;
        let files = read.map_err(|unread| unread.into_app_error(folder.clone()))?;
        let clock: Clock = clock::now;
        let now = clock();
        let (store, mut opened, before) = open_store(&files.checked.site, now).await?;
        let stored = std::mem::replace(&mut opened.models, Ok(Vec::new()));
        let (Read { checked, passwords }, restored) = model::restore(&folder, files, stored).await;
        let model::Restored { held, passed_over } = restored;
        let in_force = model::in_force(&checked, held.as_ref(), &passed_over);
        let Checked { site, plant, sources, hash, files, .. } = checked;
        let plant = Arc::new(plant);
        let doors = Doors::bind(&site).await?;
        let first_acts = journal_start(&store, &opened, before, &site, &hash, now).await;
        let origin = origin_of(&site, &opened);
        let mut first = Vec::new();
        let mut engine = Engine::new(Arc::clone(&plant), opened.epoch, opened.restored, now, &mut first);
        let (history, recorder) = history::open(&site, &plant, now).await?;
        engine.refill(history::past(&history, &plant, now).await);
        let board = board_of(&site, &plant, &engine, clock);
        board.update(|board| board.set_model(in_force.clone()));

        let (plant_sender, plant_receiver) = watch::channel(Arc::clone(&plant));
        let (states, states_receiver) = watch::channel(Vec::<SourceState>::new());
        let (people, people_receiver) = watch::channel(Vec::new());
        let (permits, permits_receiver) = watch::channel(None);
        let (orders, orders_receiver) = mpsc::channel(ORDERS_MAX);
        let (models_sender, models) = mpsc::channel(MODELS_MAX);
        let (model, model_receiver) = watch::channel(in_force.clone());
        let (requests_sender, requests) = mpsc::channel(ORDERS_MAX);
        let (turns_sender, turns) = watch::channel(0);
        let (status_sender, uplink_status) = watch::channel(UplinkStatus::default());
        let (telemetry, telemetry_receiver) = uplink::channel();
        let undurable = Undurable::default();

        let mut parts = Parts::new(store.committed());
        let stop = parts.tasks_stop.clone();
        let uplink = Uplink {
            config: uplink_config(&site),
            origin: origin.clone(),
            plant: plant_receiver,
            sources: states_receiver,
            store: store.clone(),
            telemetry: telemetry_receiver,
            undurable: undurable.clone(),
            orders: orders.clone(),
            models: models_sender,
            people: people_receiver,
            permits: permits_receiver,
            model: model_receiver,
            status: status_sender,
            clock,
        };
        let uplink_stop = stop.clone();
        parts.spawn("the uplink", async move {
            uplink::run(uplink, uplink_stop).await;
            Ok(())
        });
        doors.open(&mut parts, &board, &history, requests_sender);
        let status = Status {
            store: store.clone(),
            history: history.status(),
            board: board.clone(),
            uplink: uplink_status.clone(),
            broker: format!("{}:{}", site.uplink.host, site.uplink.port),
        };
        parts.spawn("the board's status", async move {
            status.run(stop).await;
            Ok(())
        });

        let (pki, journal, taking_stop) =
            (Pki::new(site.store.pki()), store.clone(), parts.tasks_stop.clone());
        parts.spawn("the acts of trust", async move {
            trusted::run(pki, journal, taking_stop).await;
            Ok(())
        });
        let rules = plant.rules().len();
        let points = plant.points().len();
        let (sources, intake) = Sources::start(sources, &plant, clock);
        let pump = Pump {
            engine,
            plant,
            origin: origin.clone(),
            clock,
            intake,
            tallies: sources.tallies(),
            orders: orders_receiver,
            store: store.clone(),
            history: recorder,
            board: board.clone(),
            telemetry,
            undurable,
            states,
            people,
            permits,
            turns: turns_sender,
            first,
            first_acts,
            carried: opened.commands,
            stop: parts.pump_stop.clone(),
        };
        parts.spawn_pump(pump.run());
        Event::Started { version: env!("CARGO_PKG_VERSION"), points, rules }.emit();
        board.update(|board| board.set_ready(true));
        tell_systemd(&[sd_notify::NotifyState::Ready]);
        Ok(Self {
            folder,
            site,
            hash,
            files,
            held,
            passed_over,
            passwords,
            clock,
            origin,
            store,
            history,
            sources,
            parts,
            hangup,
            hung_up_again: false,
            rest_until: Mono::default(),
            next_model: None,
            reading: JoinSet::new(),
            answers: JoinSet::new(),
            committing: JoinSet::new(),
            in_force,
            orders,
            requests,
            models,
            plant: plant_sender,
            model,
            board,
            turns,
            uplink: uplink_status,
        })
    }

    /// Until `stop`, or until a part that should run for ever ends.
    async fn live(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut watchdog = status::Watchdog::new(self.turns.clone(), self.uplink.clone());
        // Nothing here waits for the pump, the store or the broker: the stop and the watchdog are always heard.
        let outcome = loop {
            let rest = self.rest_until.since((self.clock)().mono);
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                why = self.parts.ended() => break Err(why),
                Some(panic) = self.sources.broke() => {
                    break Err(parts::broken("the supervisor of a source", panic));
                }
                Some(()) = self.hangup.recv() => self.begin_reload(Asker::Signal),
                Some((request, answer)) = self.requests.recv() => self.serve(request, answer),
                Some(offered) = self.models.recv() => self.offer_model(offered),
                () = tokio::time::sleep(rest), if self.next_model.is_some() && self.reading.is_empty() => {
                    self.begin_model();
                }
                Some(read) = self.reading.join_next() => self.after_reading(read).await,
                () = watchdog.tick() => {}
                Some(_) = self.answers.join_next() => {}
                Some(Ok(Some(committed))) = self.committing.join_next() => self.model_committed(committed),
            }
        };
        tell_systemd(&[sd_notify::NotifyState::Stopping]);
        let ended = self.end().await;
        outcome.and(ended)
    }

    async fn after_reading(&mut self, read: Result<Option<Reading>, JoinError>) {
        match read {
            Ok(Some(reading)) => {
                let took = reading.took;
                self.swap(reading).await;
                if !took.is_zero() {
                    self.pace(took);
                }
            }
            // A model that was answered without being read.
            Ok(None) => {}
            Err(error) => Event::ReloadRefused { why: &error.to_string() }.emit(),
        }
        if std::mem::take(&mut self.hung_up_again) {
            self.begin_reload(Asker::Signal);
        }
    }

    fn serve(&mut self, request: Request, answer: oneshot::Sender<Reply>) {
        match request {
            Request::Act { act, uid } => {
                let (done, waiting) = oneshot::channel();
                if let Err(error) = self.orders.try_send(Order::Act { act, uid, answer: done }) {
                    let why = match error {
                        TrySendError::Full(_) => {
                            format!(
                                "操作过多，请稍后再试 / {ORDERS_MAX} acts wait for the pump already; look at /healthz"
                            )
                        }
                        TrySendError::Closed(_) => "网关程序正在停止 / the agent is stopping".to_owned(),
                    };
                    drop(answer.send(Reply::Refused { why }));
                    return;
                }
                // The pump answers after the commit: others are served meanwhile.
                self.answers.spawn(async move {
                    let reply = match waiting.await {
                        Ok(Answer::Done { durable }) => Reply::Done { durable, said: String::new() },
                        Ok(Answer::Refused(refusal)) => Reply::Refused { why: refusal.to_string() },
                        Ok(Answer::Full) => Reply::Refused {
                            why: "磁盘写不进去，等待的操作过多 / the disk takes nothing and too many acts wait for it already; look \
                                  at /healthz"
                                .to_owned(),
                        },
                        // Nobody knows what became of it: the socket says so.
                        Err(_) => return,
                    };
                    drop(answer.send(reply));
                });
            }
            Request::Reload { uid } => self.begin_reload(Asker::Client { uid, answer }),
        }
    }

    /// The journal's last entry of this run, in the time that the tasks have for their end.
    async fn journal_stop(&self) {
        // What could not be written before cannot be now, and the time of the stop is short.
        if self.store.committed().borrow().failed.is_some() {
            return;
        }
        let entry = JournalEntry {
            at: (self.clock)().wall,
            by: "riskgate".to_owned(),
            what: "stop".to_owned(),
            body: json!({}),
        };
        let written =
            tokio::time::timeout(STOP_IS_WRITTEN_WITHIN, self.store.append(Vec::new(), vec![entry])).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!("the stop was not journalled: the disk takes nothing");
        }
    }

    /// Drivers, then the pump, then the rest, then the store, each within its share of the 5 s.
    ///
    /// # Errors
    /// Something that was decided is not on disk.
    async fn end(mut self) -> anyhow::Result<()> {
        self.board.update(|board| board.set_ready(false));
        // Who asks now is told at once.
        self.requests.close();
        while self.requests.try_recv().is_ok() {}
        self.reading.abort_all();
        self.sources.halt().await;
        let left = self.parts.end_pump(PUMP_ENDS_WITHIN).await;
        // Before the last state goes upstream, which tells the head of the journal.
        self.journal_stop().await;
        self.parts.end_tasks(TASKS_END_WITHIN).await;
        let (store, history) = (self.store.clone(), self.history.clone());
        let closing_history = tokio::task::spawn_blocking(move || history.close());
        let closing = tokio::task::spawn_blocking(move || store.close());
        let closing = tokio::time::timeout(STORE_ENDS_WITHIN, closing);
        let closing_history = history::closed(closing_history, STORE_ENDS_WITHIN);
        let (closed, ()) = tokio::join!(closing, closing_history);
        let why = match closed {
            Ok(Ok(Ok(()))) => match left {
                Some(Left { over: 0 }) => {
                    Event::Stopped.emit();
                    return Ok(());
                }
                Some(Left { over }) => format!("the store never had room for {over} effects and acts"),
                None => "the pump did not end in time".to_owned(),
            },
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(panic)) => panic.to_string(),
            Err(_) => {
                format!("the store did not close within {} ms: the disk hangs", millis(STORE_ENDS_WITHIN))
            }
        };
        Event::Unwritten { why: &why }.emit();
        Err(anyhow::anyhow!("not all that was decided is on disk: {why}"))
    }
}

/// Each start, and whether the configuration is another than it was. A disk that takes nothing holds up no start:
/// the entry is in the queue behind which everything else is written, or is given back to be written with the first
/// that the pump decides.
async fn journal_start(
    store: &Store,
    opened: &Opened,
    before: Option<Whose>,
    site: &Site,
    config: &str,
    now: Now,
) -> Vec<JournalEntry> {
    let mut body = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "company": site.company,
        "gateway": site.gateway,
        "old": opened.config_before,
        "new": config,
        "epoch": opened.epoch.0,
        "unclean": opened.unclean,
        "kept_aside": opened.kept_aside,
    });
    if let Some(Whose { company, gateway }) = before {
        reload::put(&mut body, json!({ "company_before": company, "gateway_before": gateway }));
    }
    let entry = JournalEntry { at: now.wall, by: "riskgate".to_owned(), what: "start".to_owned(), body };
    let written =
        tokio::time::timeout(START_IS_WRITTEN_WITHIN, store.append(Vec::new(), vec![entry.clone()])).await;
    match written {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!(error = chain(&error), "the start is not journalled yet");
            return vec![entry];
        }
        // It is in the store's queue.
        Err(_) => tracing::error!("the start is not journalled yet: the disk does not answer"),
    }
    Vec::new()
}

/// Off the runtime's threads: a store that was not closed is checked whole, and a disk may hang.
/// With it, whose it was where that was another gateway.
async fn open_store(site: &Site, now: Now) -> anyhow::Result<(Store, Opened, Option<Whose>)> {
    Event::StoreOpening { path: &site.store.dir.display().to_string() }.emit();
    let of = site.clone();
    let (store, opened, before) = tokio::task::spawn_blocking(move || {
        let before = before::another(&of)?;
        let (store, opened) = Store::open(&of.store.dir, now.wall)?;
        anyhow::Ok((store, opened, before))
    })
    .await??;
    if let Some(Whose { company, gateway }) = &before {
        let path = site.store.dir.display().to_string();
        Event::StoreOfAnother { path: &path, company, gateway }.emit();
    }
    if let Some(path) = &opened.kept_aside {
        Event::StoreKeptAside { path: &path.display().to_string() }.emit();
    }
    if let Some(reason) = opened.new {
        Event::EpochBegun { epoch: &opened.epoch.0.to_string(), reason }.emit();
    }
    Event::StoreOpenedIn { millis: millis(clock::now().mono.since(now.mono)) }.emit();
    Ok((store, opened, before))
}

/// The board as the last run left it: what was open is shown as open before the first sample comes.
fn board_of(site: &Site, plant: &Arc<Plant>, engine: &Engine, clock: Clock) -> BoardHandle {
    let shown = console::Site {
        company: site.company.clone(),
        gateway: site.gateway.clone(),
        name: site.name.clone(),
        timezone: site.timezone.clone(),
    };
    let board = BoardHandle::new(shown, Arc::clone(plant), clock);
    board.update(|board| {
        let alarms = engine.alarms().into_iter().map(Effect::Alarm);
        let hazards = engine.hazards().into_iter().map(Effect::Hazard);
        let tasks = engine.tasks().into_iter().map(Effect::Task);
        let units = engine.units().into_iter().map(Effect::Unit);
        let stops = engine.stops().into_iter().map(Effect::Stop);
        let indicators = engine.indicators().cloned().map(|of| Effect::Indicator(Arc::new(of)));
        let shadows = engine.shadows().into_iter().map(Effect::Shadow);
        let open = alarms.chain(hazards).chain(tasks).chain(units).chain(stops);
        for effect in open.chain(indicators).chain(shadows) {
            board.apply(&effect, true);
        }
    });
    board
}

fn origin_of(site: &Site, opened: &Opened) -> Origin {
    Origin {
        company: site.company.clone(),
        gateway: site.gateway.clone(),
        name: site.name.clone(),
        timezone: site.timezone.clone(),
        epoch: opened.epoch,
        epoch_began: opened.epoch_began,
        epoch_reason: opened.epoch_reason.clone(),
    }
}

fn uplink_config(site: &Site) -> uplink::Config {
    uplink::Config {
        host: site.uplink.host.clone(),
        port: site.uplink.port,
        root: site.uplink.root.clone(),
        login: site.uplink.login.clone(),
        tls: site.uplink.tls.clone(),
        client_id: site.uplink.client_id.clone(),
        telemetry: site.uplink.telemetry,
        drain: site.uplink.drain,
        heartbeat: site.uplink.heartbeat,
        spool: Some(site.store.dir.clone()),
        commands: site.uplink.commands.clone(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Without systemd there is nobody to tell, which is fine.
fn tell_systemd(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd was not told");
    }
}

#[cfg(test)]
mod tests;
