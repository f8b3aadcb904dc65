//! The only place that makes channels and spawns: what is wired to what, in which order it starts, and in
//! which order it ends.
//!
//! Start: configuration, store, engine, listeners, then the tasks, then the drivers.
//! End: drivers first, then what they reported is judged and committed, then the last word goes upstream.
//! It decides nothing: a room's rules are in that room.

mod once;
mod reload;
mod sources;
mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use riskgate_drivers::Clock;
use riskgate_engine::{Effect, Engine, Plant};
use riskgate_point::Now;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::{self, Checked, Problems, Site};
use crate::console::socket::{self, Reply, Request};
use crate::console::{self, BoardHandle, http};
use crate::events::Event;
use crate::metrics;
use crate::pump::{Answer, Order, Pump};
use crate::store::{Opened, Store};
use crate::uplink::wire::{Origin, SourceState};
use crate::uplink::{self, Uplink, UplinkStatus};

pub use once::{Line, once};
pub use reload::secrets_text;
use sources::Sources;
use status::Status;

/// Acts of persons that wait for the pump: more at once are no persons.
const ORDERS_MAX: usize = 64;
/// Of the 5 s that a stop may take: what the pump has for judging and committing what is left.
const PUMP_ENDS_WITHIN: Duration = Duration::from_millis(2_500);
/// And what the uplink and the listeners have for their last word.
const TASKS_END_WITHIN: Duration = Duration::from_millis(2_000);

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
    let mut checked =
        config::check(&folder).map_err(|problems| AppError::Refused { folder: folder.clone(), problems })?;
    checked.load_secrets(&folder).map_err(|errors| anyhow::anyhow!(reload::secrets_text(&errors)))?;
    let started = Instance::start(folder, checked).await?;
    Ok(started.live(stop).await?)
}

/// Everything that runs.
struct Instance {
    folder: PathBuf,
    site: Site,
    hash: String,
    clock: Clock,
    store: Store,
    sources: Sources,
    /// The pump is joined by itself: it ends before the rest.
    pump: JoinSet<()>,
    tasks: JoinSet<anyhow::Result<()>>,
    tasks_stop: CancellationToken,
    /// Acts that wait for their commit.
    answers: JoinSet<()>,
    orders: mpsc::Sender<Order>,
    requests: mpsc::Receiver<(Request, oneshot::Sender<Reply>)>,
    plant: watch::Sender<Arc<Plant>>,
    board: BoardHandle,
    turns: watch::Receiver<u64>,
    uplink: watch::Receiver<UplinkStatus>,
}

impl Instance {
    async fn start(folder: PathBuf, checked: Checked) -> anyhow::Result<Self> {
        let clock: Clock = clock::now;
        let now = clock();
        let Checked { site, plant, sources, hash, .. } = checked;
        let plant = Arc::new(plant);
        let (store, opened) = open_store(&site, now)?;
        let http_listener = TcpListener::bind(site.console.http)
            .await
            .with_context(|| format!("bind [console] http = \"{}\"", site.console.http))?;
        let socket_listener = socket::bind(&site.console.socket)?;
        let origin = origin_of(&site, &opened);
        let mut first = Vec::new();
        let engine = Engine::new(Arc::clone(&plant), opened.epoch, opened.restored, now, &mut first);
        let board = board_of(&site, &plant, &engine, clock);

        let stop = CancellationToken::new();
        let (plant_sender, plant_receiver) = watch::channel(Arc::clone(&plant));
        let (states, states_receiver) = watch::channel(Vec::<SourceState>::new());
        let (orders, orders_receiver) = mpsc::channel(ORDERS_MAX);
        let (requests_sender, requests) = mpsc::channel(ORDERS_MAX);
        let (turns_sender, turns) = watch::channel(0);
        let (status_sender, uplink_status) = watch::channel(UplinkStatus::default());
        let (telemetry, telemetry_receiver) = uplink::channel();

        let mut tasks = JoinSet::new();
        let uplink = Uplink {
            config: uplink_config(&site),
            origin: origin.clone(),
            plant: plant_receiver,
            sources: states_receiver,
            store: store.clone(),
            telemetry: telemetry_receiver,
            status: status_sender,
            clock,
        };
        let (uplink_stop, http_stop, socket_stop) = (stop.clone(), stop.clone(), stop.clone());
        tasks.spawn(async move {
            uplink::run(uplink, uplink_stop).await;
            Ok(())
        });
        let http_board = board.clone();
        tasks.spawn(async move {
            Ok(http::serve(http_listener, http_board, Arc::new(metrics::text), http_stop).await?)
        });
        let socket_board = board.clone();
        tasks.spawn(async move {
            Ok(socket::serve(socket_listener, socket_board, requests_sender, socket_stop).await?)
        });
        let status = Status {
            store: store.clone(),
            board: board.clone(),
            uplink: uplink_status.clone(),
            broker: format!("{}:{}", site.uplink.host, site.uplink.port),
        };
        let status_stop = stop.clone();
        tasks.spawn(async move {
            status.run(status_stop).await;
            Ok(())
        });

        let rules = plant.rules().len();
        let points = plant.points().len();
        let (sources, intake) = Sources::start(sources, &plant, clock);
        let mut pump = JoinSet::new();
        pump.spawn(
            Pump {
                engine,
                plant,
                origin,
                clock,
                intake,
                orders: orders_receiver,
                store: store.clone(),
                board: board.clone(),
                telemetry,
                states,
                turns: turns_sender,
                first,
            }
            .run(),
        );
        Event::Started { version: env!("CARGO_PKG_VERSION"), points, rules }.emit();
        board.update(|board| board.set_ready(true));
        tell_systemd(&[sd_notify::NotifyState::Ready]);
        Ok(Self {
            folder,
            site,
            hash,
            clock,
            store,
            sources,
            pump,
            tasks,
            tasks_stop: stop,
            answers: JoinSet::new(),
            orders,
            requests,
            plant: plant_sender,
            board,
            turns,
            uplink: uplink_status,
        })
    }

    /// Until `stop`, or until a part that should run for ever ends.
    async fn live(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut hangup = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
        let mut watchdog = status::Watchdog::new(self.turns.clone(), self.uplink.clone());
        let outcome = loop {
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                Some(()) = hangup.recv() => {
                    // The outcome is in the log; nobody waits for an answer.
                    drop(self.reload().await);
                }
                Some((request, answer)) = self.requests.recv() => self.serve(request, answer).await,
                () = watchdog.tick() => {}
                Some(_) = self.answers.join_next() => {}
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(Ok(())) => break Err(anyhow::anyhow!("a part of the agent ended by itself")),
                    Ok(Err(error)) => break Err(error),
                    Err(panic) => break Err(anyhow::anyhow!("a part of the agent panicked: {panic}")),
                },
                Some(ended) = self.pump.join_next() => {
                    let why = ended.err().map_or("it ended by itself".to_owned(), |panic| panic.to_string());
                    break Err(anyhow::anyhow!("the pump: {why}"));
                }
            }
        };
        tell_systemd(&[sd_notify::NotifyState::Stopping]);
        self.end().await;
        outcome
    }

    async fn serve(&mut self, request: Request, answer: oneshot::Sender<Reply>) {
        match request {
            Request::Act { act, uid } => {
                let (done, waiting) = oneshot::channel();
                if self.orders.send(Order::Act { act, uid, answer: done }).await.is_err() {
                    drop(answer.send(Reply::Refused { why: "the agent is stopping".to_owned() }));
                    return;
                }
                // The pump answers after the commit: others are served meanwhile.
                self.answers.spawn(async move {
                    let reply = match waiting.await {
                        Ok(Answer::Done { durable }) => Reply::Done { durable, said: String::new() },
                        Ok(Answer::Refused(refusal)) => Reply::Refused { why: refusal.to_string() },
                        Err(_) => Reply::Refused { why: "the agent is stopping".to_owned() },
                    };
                    drop(answer.send(reply));
                });
            }
            Request::Reload { uid: _ } => {
                let reply = match self.reload().await {
                    Ok(said) => Reply::Done { durable: true, said },
                    Err(why) => Reply::Refused { why },
                };
                drop(answer.send(reply));
            }
        }
    }

    /// Drivers, then the pump, then the rest, then the store.
    async fn end(mut self) {
        self.board.update(|board| board.set_ready(false));
        self.sources.halt().await;
        // The pump ends when the queue has no sender left and is empty.
        drop(self.sources);
        let pump_ended = async { while self.pump.join_next().await.is_some() {} };
        if tokio::time::timeout(PUMP_ENDS_WITHIN, pump_ended).await.is_err() {
            Event::StopTookTooLong { seconds: PUMP_ENDS_WITHIN.as_secs() }.emit();
        }
        self.tasks_stop.cancel();
        let tasks_ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(TASKS_END_WITHIN, tasks_ended).await.is_err() {
            Event::StopTookTooLong { seconds: TASKS_END_WITHIN.as_secs() }.emit();
        }
        let store = self.store;
        match tokio::task::spawn_blocking(move || store.close()).await {
            Ok(Ok(())) => Event::Stopped.emit(),
            Ok(Err(error)) => Event::CommitFailed { why: &error.to_string() }.emit(),
            Err(panic) => Event::CommitFailed { why: &panic.to_string() }.emit(),
        }
    }
}

fn open_store(site: &Site, now: Now) -> anyhow::Result<(Store, Opened)> {
    let (store, opened) = Store::open(&site.store.dir, now.wall)?;
    if let Some(path) = &opened.kept_aside {
        Event::StoreKeptAside { path: &path.display().to_string() }.emit();
    }
    if let Some(reason) = opened.new {
        Event::EpochBegun { epoch: &opened.epoch.0.to_string(), reason }.emit();
    }
    let millis = clock::now().mono.since(now.mono).as_millis();
    Event::StoreOpenedIn { millis: u64::try_from(millis).unwrap_or(u64::MAX) }.emit();
    Ok((store, opened))
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
        for effect in alarms.chain(hazards).chain(tasks).chain(units) {
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
        user: site.uplink.user.clone(),
        password: site.uplink.password.as_ref().map(|secret| secret.reveal().to_owned()),
        client_id: site.uplink.client_id.clone(),
        telemetry: site.uplink.telemetry,
        commands: site.uplink.commands.clone(),
    }
}

/// Without systemd there is nobody to tell, which is fine.
fn tell_systemd(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd was not told");
    }
}
