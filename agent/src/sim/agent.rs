//! One life of the agent, from its start to its stop or its kill, wired as `app` wires it.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use riskgate_drivers::intake::{self, Lane};
use riskgate_drivers::tally::Tallies;
use riskgate_engine::{Engine, Plant};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::bugs::Bug;
use super::clock;
use crate::config::{Commands, Login};
use crate::console::{BoardHandle, Site};
use crate::history::Recorder;
use crate::pump::{Order, Pump};
use crate::store::by_hand::{Beat, Bounds, ByHand, Disk};
use crate::store::{Batch, JournalEntry, Store};
use crate::uplink::wire::Origin;
use crate::uplink::{self, TelemetryReceiver, Undurable, Uplink, UplinkStatus};

/// What a commit takes on a fair card.
const COMMIT: Duration = Duration::from_millis(3);

/// How the disk is, and when the process is killed behind a commit.
pub(super) struct Knob {
    disk: Cell<Disk>,
    kill_after: Cell<Option<u64>>,
    changed: Notify,
    pub(super) bug: Cell<Option<Bug>>,
}

impl Knob {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            disk: Cell::new(Disk::Fine),
            kill_after: Cell::new(None),
            changed: Notify::new(),
            bug: Cell::new(None),
        })
    }

    pub(super) fn set(&self, disk: Disk) {
        self.disk.set(disk);
        self.changed.notify_one();
    }

    pub(super) fn kill_after(&self, commits: u64) {
        self.kill_after.set(Some(commits));
    }

    fn spoil(&self, batches: &mut [Batch]) {
        if let Some(bug) = self.bug.get().filter(|_| self.disk.get() == Disk::Fine)
            && bug.put_into_batches(batches)
        {
            self.bug.set(None);
        }
    }

    fn kills(&self) -> bool {
        match self.kill_after.get() {
            Some(0) => {
                self.kill_after.set(None);
                true
            }
            Some(left) => {
                self.kill_after.set(Some(left - 1));
                false
            }
            None => false,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Pump,
    Uplink,
    Store,
    /// Between two commits, with everything that was in memory.
    Killed,
}

pub(super) struct Setting {
    pub(super) dir: PathBuf,
    pub(super) plant: Arc<Plant>,
    pub(super) knob: Rc<Knob>,
    pub(super) bounds: Bounds,
    pub(super) batch: Duration,
}

/// It is killed where it is dropped.
pub(super) struct Agent {
    work: FuturesUnordered<Pin<Box<dyn Future<Output = Ended>>>>,
    pub(super) store: Store,
    pub(super) board: BoardHandle,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) intake: intake::Sender,
    pub(super) status: watch::Receiver<UplinkStatus>,
    pub(super) telemetry: TelemetryReceiver,
    stop_pump: CancellationToken,
    stop_uplink: CancellationToken,
}

async fn write(mut store: ByHand, knob: Rc<Knob>) -> Ended {
    loop {
        while knob.disk.get() == Disk::Hangs {
            knob.changed.notified().await;
        }
        match store.turn(knob.disk.get(), |batches| knob.spoil(batches)) {
            Beat::Idle => store.rung().await,
            Beat::Again if knob.kills() => return Ended::Killed,
            Beat::Again => sleep(COMMIT).await,
            Beat::Rest(pause) => sleep(pause).await,
            Beat::End => {
                store.close();
                return Ended::Store;
            }
        }
    }
}

impl Agent {
    pub(super) fn start(setting: &Setting) -> Self {
        let now = clock();
        let (store, opened, by_hand) =
            ByHand::open(&setting.dir, now.wall, setting.bounds).expect("the store opens");
        assert_eq!(opened.kept_aside, None, "a store that was killed is whole");
        let plant = Arc::clone(&setting.plant);
        let timezone = jiff::tz::TimeZone::get("Asia/Shanghai").expect("a zone");
        let origin = Origin {
            company: "540170007".to_owned(),
            gateway: "54017000701".to_owned(),
            name: "试验网关".to_owned(),
            timezone: timezone.clone(),
            epoch: opened.epoch,
            epoch_began: opened.epoch_began,
            epoch_reason: opened.epoch_reason.clone(),
        };
        let site = Site {
            company: origin.company.clone(),
            gateway: origin.gateway.clone(),
            name: origin.name.clone(),
            timezone,
        };
        let board = BoardHandle::new(site, Arc::clone(&plant), clock);
        let mut first = Vec::new();
        let engine = Engine::new(Arc::clone(&plant), opened.epoch, opened.restored, now, &mut first);
        board.update(|board| {
            for alarm in engine.alarms() {
                board.apply(&riskgate_engine::Effect::Alarm(alarm), true);
            }
            for hazard in engine.hazards() {
                board.apply(&riskgate_engine::Effect::Hazard(hazard), true);
            }
        });
        let (intake, received) = intake::channel(5_000, |_| Lane::Process);
        let (orders, orders_receiver) = mpsc::channel(64);
        let (telemetry, telemetry_receiver) = uplink::channel();
        let (states, states_receiver) = watch::channel(Vec::new());
        let (_, plant_receiver) = watch::channel(Arc::clone(&plant));
        let (status_sender, status) = watch::channel(UplinkStatus::default());
        let undurable = Undurable::default();
        let (stop_pump, stop_uplink) = (CancellationToken::new(), CancellationToken::new());
        let pump = Pump {
            engine,
            clock,
            intake: received,
            tallies: Tallies::default(),
            orders: orders_receiver,
            store: store.clone(),
            history: Recorder::unheard(&plant),
            board: board.clone(),
            telemetry,
            undurable: undurable.clone(),
            origin: origin.clone(),
            states,
            people: watch::Sender::new(Vec::new()),
            permits: watch::Sender::new(None),
            turns: watch::Sender::new(0),
            first,
            first_acts: Vec::new(),
            carried: opened.commands,
            stop: stop_pump.clone(),
            plant,
        };
        let uplink = Uplink {
            config: config(&setting.dir, setting.batch),
            origin,
            plant: plant_receiver,
            sources: states_receiver,
            store: store.clone(),
            telemetry: telemetry_receiver.clone(),
            undurable,
            orders: orders.clone(),
            // Neither models nor headcounts nor permits are part of its scenarios.
            models: mpsc::channel(1).0,
            people: watch::channel(Vec::new()).1,
            permits: watch::channel(None).1,
            model: watch::channel(crate::config::ModelInForce::default()).1,
            status: status_sender,
            clock,
        };
        let work: FuturesUnordered<Pin<Box<dyn Future<Output = Ended>>>> = FuturesUnordered::new();
        work.push(Box::pin(write(by_hand, Rc::clone(&setting.knob))));
        work.push(Box::pin(async {
            let _left = pump.run().await;
            Ended::Pump
        }));
        let stop = stop_uplink.clone();
        work.push(Box::pin(async {
            uplink::run(uplink, stop).await;
            Ended::Uplink
        }));
        let start = store.clone();
        work.push(Box::pin(async move {
            let entry = JournalEntry {
                at: now.wall,
                by: "riskgate".to_owned(),
                what: "start".to_owned(),
                body: serde_json::json!({ "new": "hash" }),
            };
            drop(start.append(Vec::new(), vec![entry]).await);
            std::future::pending().await
        }));
        let telemetry = telemetry_receiver;
        Self { work, store, board, orders, intake, status, telemetry, stop_pump, stop_uplink }
    }

    /// Works until something of it ends.
    pub(super) async fn work(&mut self) -> Ended {
        self.work.next().await.expect("the start never ends")
    }

    /// Works while `other` goes on. `None`: it was killed meanwhile.
    pub(super) async fn beside<T>(&mut self, other: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            ended = self.work() => {
                assert_eq!(ended, Ended::Killed, "nothing else ends by itself");
                None
            }
            done = other => Some(done),
        }
    }

    /// As `app` stops it; what takes too long is killed.
    pub(super) async fn stop(mut self) {
        self.stop_pump.cancel();
        if !self.ends(&Ended::Pump, 2_000).await {
            return;
        }
        self.stop_uplink.cancel();
        if !self.ends(&Ended::Uplink, 3_000).await {
            return;
        }
        drop(self.store.clone().close());
        self.ends(&Ended::Store, 1_500).await;
    }

    async fn ends(&mut self, what: &Ended, within_ms: u64) -> bool {
        timeout(Duration::from_millis(within_ms), self.work()).await.is_ok_and(|ended| ended == *what)
    }
}

fn config(dir: &Path, batch: Duration) -> uplink::Config {
    uplink::Config {
        host: "broker".to_owned(),
        port: 1883,
        root: "riskgate/v1".to_owned(),
        login: Login::default(),
        tls: None,
        client_id: "54017000701".to_owned(),
        telemetry: Some(batch),
        heartbeat: Duration::from_secs(600),
        spool: Some(dir.to_owned()),
        drain: None,
        commands: Commands::default(),
    }
}
