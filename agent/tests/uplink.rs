//! The uplink against a real broker: Debian's mosquitto, killed and restarted without persistence.
//!
//! The receiver here works as the reference consumer in `tests/support/consumer.py` does: it drops repeats,
//! sees a lost tail, and asks for it again.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that is not there is null, and fails the assertion"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use riskgate::config::{Commands, Login, ModelInForce};
use riskgate::store::{Batch, JournalEntry, Lane, Message, Opened, Store};
use riskgate::uplink::wire::people::ZoneCount;
use riskgate::uplink::wire::permit::UnitPermits;
use riskgate::uplink::wire::{Origin, SourceState};
use riskgate::uplink::{Config, TelemetrySender, ToldPoint, Undurable, Uplink, UplinkStatus, channel, run};
use riskgate_engine::{
    Class, Draft, Effect, Plant, PointDraft, RiskClass, SourceDraft, UnitDraft, UnitRecord, Watched,
};
use riskgate_point::{Mono, Now, PointId, Sample, SourceId, Value as PointValue, Wall};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use support::{Broker, LONG, Subscriber, alone, free_port};

/// 2025-06-01T08:00:00+08:00, standing still.
fn clock() -> Now {
    Now { mono: Mono(1), wall: Wall(1_748_736_000_000) }
}

fn open(dir: &Path) -> (Store, Opened) {
    let _alone = alone();
    Store::open(dir, clock().wall).expect("opens")
}

/// A link that can be cut while the broker lives on.
struct Link {
    port: u16,
    open: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Link {
    async fn to(broker: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (open, gate) = watch::channel(true);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let mut gate = gate.clone();
                connections.spawn(async move {
                    if !*gate.borrow() {
                        return;
                    }
                    let mut far =
                        tokio::net::TcpStream::connect(("127.0.0.1", broker)).await.expect("a broker");
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = gate.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { port, open, _tasks: tasks }
    }

    fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }
}

/// The agent's half under test: a store and the uplink that drains it.
struct Agent {
    store: Store,
    origin: Origin,
    telemetry: TelemetrySender,
    status: watch::Receiver<UplinkStatus>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    plant: watch::Sender<Arc<Plant>>,
    undurable: Undurable,
    people: watch::Sender<Vec<ZoneCount>>,
    permits: watch::Sender<Option<Vec<UnitPermits>>>,
    _sources: watch::Sender<Vec<SourceState>>,
}

fn plant(units: &[&str]) -> Arc<Plant> {
    plant_of(units, 0)
}

fn plant_of(units: &[&str], points: usize) -> Arc<Plant> {
    let unit = |id: &&str| UnitDraft {
        id: (*id).to_owned(),
        name: "一号罐区".to_owned(),
        hazard_code: "540170007001".to_owned(),
        base: RiskClass::Yellow,
        department: String::new(),
        liable_person: "张三".to_owned(),
    };
    let point = |number| PointDraft {
        tag: format!("GD-{number}"),
        name: "一号罐区东侧可燃气体探测器".to_owned(),
        source: SourceId(0),
        class: Class::Gas,
        eu: "%LEL".to_owned(),
        words: Vec::new(),
        boolean: false,
        text: false,
        range: None,
        deadband: 0.0,
        stale_after: Duration::from_secs(5),
        watch: Watched::default(),
    };
    let name = "DCS".to_owned();
    let source = SourceDraft {
        id: "dcs-1".to_owned(),
        name,
        fixes: false,
        sightings: false,
        permits: false,
        events: None,
        stale_after: None,
    };
    let draft = Draft {
        company: "540170007".to_owned(),
        gateway: "54017000701".to_owned(),
        sources: vec![source],
        points: (0..points).map(point).collect(),
        units: units.iter().map(unit).collect(),
        ..Draft::default()
    };
    Arc::new(Plant::build(draft).expect("a sound plant").0)
}

impl Agent {
    fn start(dir: &Path, port: u16) -> Self {
        let (store, opened) = open(dir);
        let Opened { epoch, epoch_began, epoch_reason, .. } = opened;
        let (plant_sender, plant) = watch::channel(plant(&["U-1", "U-2"]));
        let (sources_sender, sources) = watch::channel(Vec::new());
        let (status_sender, status) = watch::channel(UplinkStatus::default());
        let (telemetry, telemetry_receiver) = channel();
        let origin = Origin {
            company: "540170007".to_owned(),
            gateway: "54017000701".to_owned(),
            name: "罐区网关".to_owned(),
            timezone: TimeZone::get("Asia/Shanghai").expect("a zone"),
            epoch,
            epoch_began,
            epoch_reason,
        };
        let config = Config {
            host: "127.0.0.1".to_owned(),
            port,
            root: "riskgate/v1".to_owned(),
            login: Login::default(),
            tls: None,
            drain: Some(1_000_000),
            heartbeat: Duration::from_secs(600),
            spool: Some(dir.to_owned()),
            client_id: "riskgate-540170007-54017000701".to_owned(),
            telemetry: Some(Duration::from_millis(50)),
            commands: Commands::default(),
        };
        let stop = CancellationToken::new();
        let undurable = Undurable::default();
        let people = watch::Sender::new(Vec::new());
        let permits = watch::Sender::new(None);
        let uplink = Uplink {
            config,
            origin: origin.clone(),
            plant,
            sources,
            store: store.clone(),
            telemetry: telemetry_receiver,
            undurable: undurable.clone(),
            // Nobody carries out acts here: see commands.rs.
            orders: mpsc::channel(1).0,
            models: mpsc::channel(1).0,
            people: people.subscribe(),
            permits: permits.subscribe(),
            model: watch::channel(ModelInForce::default()).1,
            status: status_sender,
            clock,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(run(uplink, stop.clone()));
        let (plant, _sources) = (plant_sender, sources_sender);
        Self { store, origin, telemetry, status, stop, tasks, plant, undurable, people, permits, _sources }
    }

    async fn until(&mut self, holds: impl FnMut(&UplinkStatus) -> bool) {
        timeout(LONG, self.status.wait_for(holds)).await.expect("in time").expect("alive");
    }

    /// Every row is acknowledged.
    async fn drained(&mut self) {
        let drained = async {
            while self.store.outbox().await.expect("read").lanes.iter().any(|lane| lane.pending > 0) {
                self.status.changed().await.expect("alive");
            }
        };
        timeout(LONG, drained).await.expect("in time");
    }

    async fn stop(mut self) {
        self.stop.cancel();
        let joined = timeout(Duration::from_secs(4), self.tasks.join_next()).await;
        joined.expect("within 4 s").expect("one task").expect("no panic");
        self.store.close().expect("closes");
    }

    /// The uplink is cut off in the middle, without a word to the broker.
    async fn cut_off(mut self) {
        self.tasks.shutdown().await;
        self.store.close().expect("closes");
    }
}

async fn commit(store: &Store, seq: u64, effects: Vec<Effect>, messages: Vec<Message>) {
    let batch = Batch { seq, effects, messages, acts: Vec::new(), commands: Vec::new(), at: clock().wall };
    store.try_commit(batch).expect("room");
    let mut committed = store.committed();
    timeout(LONG, committed.wait_for(|committed| committed.seq >= seq))
        .await
        .expect("in time")
        .expect("open");
}

async fn commit_hazard(store: &Store, number: u64) {
    commit(store, number, Vec::new(), vec![hazard(number)]).await;
}

fn hazard(number: u64) -> Message {
    let id = format!("h{number}");
    let time = "2025-06-01T08:00:00.000+08:00";
    let evidence = json!({
        "rule": "tank-a-leak", "version": "1", "condition": "{GD-101} >= 25", "verdict": "true", "time": time,
        "operands": [{ "text": "{GD-101}", "value": 31.5, "quality": "good", "time": time, "sourceTime": null }],
    });
    let data = json!({
        "id": id, "revision": 1, "durable": true, "companyCode": "540170007", "riskMeasureId": "M-1",
        "riskUnitId": "U-1", "dangerName": "可燃气体泄漏", "dangerLevel": 0, "dangerState": 0, "dangerSrc": 9,
        "dangerDesc": "可燃气体浓度超限", "stage": "rectifying", "registTime": time, "registrant": "罐区网关",
        "dangerManageDeadline": time, "previousId": null, "cause": "tank-a-leak", "changed": time,
        "evidence": evidence,
    });
    Message {
        lane: Lane::Critical,
        topic: "hazard/U-1".to_owned(),
        retain: false,
        kind: "riskgate.hazard.v1".to_owned(),
        object: id,
        revision: 1,
        time: clock().wall,
        data,
    }
}

fn task(number: u64) -> Message {
    let id = format!("t{number}");
    let data = json!({
        "id": id, "revision": 1, "companyCode": "540170007", "riskMeasureId": "M-1", "riskUnitId": "U-1",
        "troubleshootContent": "核对液位", "workType": 0, "assignee": "ban-a", "checkCycle": 8.0,
        "checkCycleUnit": "小时", "boosts": [], "changed": "2025-06-01T08:00:00.000+08:00",
    });
    let (topic, kind) = ("task/U-1".to_owned(), "riskgate.task.v1".to_owned());
    Message { lane: Lane::Work, topic, kind, object: id, data, ..hazard(number) }
}

fn risk(id: &str) -> Effect {
    Effect::Unit(Arc::new(UnitRecord {
        unit: id.to_owned(),
        name: "一号罐区".to_owned(),
        base: RiskClass::Yellow,
        current: RiskClass::Red,
        causes: Vec::new(),
        changed: clock().wall,
        revision: 3,
    }))
}

/// The row of the outbox that tells the risk of a unit, retained.
fn risk_row(unit: &str, revision: u64) -> Message {
    Message {
        topic: format!("risk/{unit}"),
        retain: true,
        kind: "riskgate.risk.v1".to_owned(),
        object: unit.to_owned(),
        revision,
        data: json!({
            "id": unit, "revision": revision, "companyCode": "540170007", "riskUnitId": unit, "hazardCode": null,
            "hazardCode1": null, "riskUnitName": "一号罐区", "riskClass": 1, "baseRiskClass": 3, "colour": "red", "causes": [],
            "changed": "2025-06-01T08:00:00.000+08:00",
        }),
        ..hazard(1)
    }
}

fn indicators() -> Effect {
    let at = clock().wall;
    let week = riskgate_engine::WeekIndicators {
        period: riskgate_engine::Period { start: at, end: at.after(Duration::from_hours(168)) },
        covered_s: 60,
        tasks: riskgate_engine::TasksDone::default(),
        hazards: riskgate_engine::HazardsMended::default(),
    };
    Effect::Indicator(Arc::new(riskgate_engine::IndicatorRecord {
        week,
        last: None,
        analysis: riskgate_engine::Analysis::default(),
        quality: riskgate_engine::AlarmQuality::default(),
        early: BTreeMap::new(),
        until: at,
        changed: at,
        revision: 7,
    }))
}

/// The answer to a command.
async fn ask(subscriber: &mut Subscriber, name: &str, fields: &Value) -> Value {
    subscriber.command(name, fields, false).await;
    let topic = format!("reply/{}", fields["id"].as_str().expect("an id"));
    subscriber.find(|at, _| at == topic).await["data"].clone()
}

/// What the reference consumer keeps across its connections.
#[derive(Default)]
struct Platform {
    ids: BTreeSet<String>,
    applied: BTreeMap<(String, u64), u32>,
    got: BTreeSet<u64>,
    resends: u32,
}

impl Platform {
    fn take(&mut self, body: &Value) {
        let Some(sequence) = body["sequence"].as_u64() else { return };
        self.got.insert(sequence);
        if self.ids.insert(body["id"].as_str().expect("an id").to_owned()) {
            let object = body["data"]["id"].as_str().expect("an id").to_owned();
            let revision = body["data"]["revision"].as_u64().expect("a number");
            *self.applied.entry((object, revision)).or_default() += 1;
        }
    }

    /// Reads until everything up to `last` is there; asks once for what is missing.
    async fn read_to(&mut self, subscriber: &mut Subscriber, last: u64) {
        let mut asked = false;
        while self.got.len() < usize::try_from(last).expect("small") {
            let (topic, body) = subscriber.next().await;
            self.take(&body);
            let told = body["last"]["critical"].as_u64();
            if topic == "state" && told.is_some_and(|told| told >= last) && !asked {
                let first = (1..=last).find(|sequence| !self.got.contains(sequence)).unwrap_or(last);
                let fields = json!({
                    "lane": "critical", "from": first, "to": last,
                    "id": "r1", "by": "the test", "expires": "2025-06-01T08:05:00+08:00",
                });
                subscriber.command("resend", &fields, false).await;
                (asked, self.resends) = (true, self.resends + 1);
            }
        }
    }

    fn assert_each_applied_once(&self, last: u64) {
        let expected: BTreeMap<(String, u64), u32> =
            (1..=last).map(|number| ((format!("h{number}"), 1), 1)).collect();
        assert_eq!(self.applied, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_in_mid_stream_without_persistence_costs_nothing() {
    let mut broker = Broker::start();
    let dir = TempDir::new().expect("a directory");
    let mut agent = Agent::start(dir.path(), broker.port);
    let mut platform = Platform::default();
    let mut subscriber = Subscriber::connect(broker.port).await;
    agent.until(|status| status.connected).await;
    for number in 1..=200 {
        commit_hazard(&agent.store, number).await;
    }
    while platform.got.len() < 100 {
        let (_, body) = subscriber.next().await;
        platform.take(&body);
    }
    broker.kill();
    agent.until(|status| !status.connected).await;
    for number in 201..=500 {
        commit_hazard(&agent.store, number).await;
    }
    broker.up();
    for number in 501..=600 {
        commit_hazard(&agent.store, number).await;
    }
    // The subscriber stays away until the broker has taken, and thrown away, every row.
    agent.drained().await;
    drop(subscriber);
    let mut subscriber = Subscriber::connect(broker.port).await;
    platform.read_to(&mut subscriber, 600).await;
    assert_eq!(platform.resends, 1);
    platform.assert_each_applied_once(600);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_cut_off_before_the_acknowledgement_sends_again_under_the_same_ids() {
    let broker = Broker::start();
    let link = Link::to(broker.port).await;
    link.set_open(false);
    let dir = TempDir::new().expect("a directory");
    let agent = Agent::start(dir.path(), link.port);
    for number in 1..=50 {
        commit_hazard(&agent.store, number).await;
    }
    let epoch = agent.origin.epoch;
    agent.cut_off().await;
    link.set_open(true);
    let mut subscriber = Subscriber::connect(broker.port).await;
    let mut agent = Agent::start(dir.path(), link.port);
    assert_eq!(agent.origin.epoch, epoch);
    let mut platform = Platform::default();
    platform.read_to(&mut subscriber, 50).await;
    assert_eq!(platform.resends, 0);
    platform.assert_each_applied_once(50);
    assert!(platform.ids.contains(&format!("{}/critical/50", epoch.0)));
    agent.drained().await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_takes_everything_and_acknowledges_nothing_leaves_every_row_pending() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let dir = TempDir::new().expect("a directory");
    let agent = Agent::start(dir.path(), listener.local_addr().expect("an address").port());
    for number in 1..=50 {
        commit_hazard(&agent.store, number).await;
    }
    let (mut broker, _) = timeout(LONG, listener.accept()).await.expect("in time").expect("connected");
    let mut taken = vec![0; 4096];
    let n = broker.read(&mut taken).await.expect("CONNECT");
    taken.truncate(n);
    broker.write_all(&[0x20, 2, 0, 0]).await.expect("CONNACK");
    while !String::from_utf8_lossy(&taken).contains("critical/50\"") {
        let n = timeout(LONG, broker.read_buf(&mut taken)).await.expect("in time").expect("read");
        assert_ne!(n, 0, "the agent hung up");
    }
    let outbox = agent.store.outbox().await.expect("read");
    let critical = outbox.lanes.iter().find(|lane| lane.lane == Lane::Critical).expect("a lane");
    assert_eq!((critical.pending, critical.sent), (50, 0));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_topics_tell_the_present_and_the_stop() {
    let broker = Broker::start();
    let dir = TempDir::new().expect("a directory");
    let mut subscriber = Subscriber::connect(broker.port).await;
    let agent = Agent::start(dir.path(), broker.port);
    subscriber.find(|topic, body| topic == "state" && body["status"] == "online").await;
    commit(&agent.store, 1, vec![risk("U-1"), risk("U-2"), indicators()], Vec::new()).await;
    agent.stop().await;
    subscriber.find(|topic, body| topic == "state" && body["status"] == "stopped").await;

    let agent = Agent::start(dir.path(), broker.port);
    let birth = subscriber.find(|topic, _| topic == "birth").await;
    assert_eq!(birth["data"]["epochReason"], "created");
    let told = subscriber.find(|topic, _| topic == "indicator").await;
    assert_eq!((&told["data"]["revision"], &told["replayed"]), (&json!(7), &json!(true)));
    for topic in ["risk/U-1", "risk/U-2"] {
        let told = subscriber.find(|at, _| at == topic).await;
        assert_eq!((&told["data"]["riskClass"], &told["data"]["revision"]), (&json!(1), &json!(3)));
    }
    // A new configuration without U-2 clears its topic.
    agent.plant.send_replace(plant(&["U-1"]));
    subscriber.find(|topic, body| topic == "risk/U-2" && body.is_null()).await;
    agent.stop().await;
    subscriber.find(|topic, body| topic == "state" && body["status"] == "stopped").await;

    // A stop is no fault: the will was not published.
    let mut late = Subscriber::connect(broker.port).await;
    let mut retained = BTreeMap::new();
    while retained.len() < 4 {
        let (topic, body) = late.next().await;
        retained.insert(topic, body);
    }
    assert_eq!(retained.keys().collect::<Vec<_>>(), ["birth", "indicator", "risk/U-1", "state"]);
    assert_eq!(retained["state"]["status"], "stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_risk_that_waited_does_not_come_back_as_the_retained_one_of_a_unit_that_is_gone() {
    let broker = Broker::start();
    let link = Link::to(broker.port).await;
    link.set_open(false);
    let dir = TempDir::new().expect("a directory");
    let mut subscriber = Subscriber::connect(broker.port).await;
    let mut agent = Agent::start(dir.path(), link.port);
    let told = |unit: &str| risk_row(unit, 3);
    let effects = vec![risk("U-1"), risk("U-2")];
    commit(&agent.store, 1, effects, vec![told("U-1"), told("U-2")]).await;
    agent.plant.send_replace(plant(&["U-1"]));
    link.set_open(true);
    let is_row = |body: &Value| body["sequence"] == json!(2);
    subscriber.find(|topic, body| topic == "risk/U-2" && is_row(body)).await;
    agent.drained().await;
    // One of it that is decided just now is told, and not retained either.
    commit(&agent.store, 2, Vec::new(), vec![told("U-2")]).await;
    subscriber.find(|topic, body| topic == "risk/U-2" && body["sequence"] == json!(3)).await;
    agent.stop().await;
    subscriber.find(|topic, body| topic == "state" && body["status"] == "stopped").await;

    let mut late = Subscriber::connect(broker.port).await;
    let mut retained = BTreeMap::new();
    while retained.len() < 3 {
        let (topic, body) = late.next().await;
        retained.insert(topic, body);
    }
    assert_eq!(retained.keys().collect::<Vec<_>>(), ["birth", "risk/U-1", "state"]);
    assert_eq!(retained["risk/U-1"]["replayed"], json!(true), "as the store has it");
}

/// No connection waits for the spool: it is open by and by.
async fn spool_is_open(agent: &Agent, spool: &rusqlite::Connection) {
    let open = async {
        let mut status = agent.status.clone();
        while spool.query_row("SELECT at FROM mark", [], |row| row.get::<_, i64>(0)).is_err() {
            status.changed().await.expect("alive");
        }
    };
    timeout(LONG, open).await.expect("in time");
}

/// The revision of the risk of `U-1` that a receiver finds who comes late.
async fn retained_risk(port: u16) -> u64 {
    let mut late = Subscriber::connect(port).await;
    let told = late.find(|topic, _| topic == "risk/U-1").await;
    told["data"]["revision"].as_u64().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_of_a_row_and_the_telling_anew_comes_last_the_newest_state_stays_retained() {
    let broker = Broker::start();
    let dir = TempDir::new().expect("a directory");
    let mut subscriber = Subscriber::connect(broker.port).await;
    let mut agent = Agent::start(dir.path(), broker.port);
    agent.until(|status| status.connected).await;
    subscriber.find(|topic, body| topic == "state" && body["status"] == "online").await;
    // The store has revision 3, and tells it anew with a reload.
    commit(&agent.store, 1, vec![risk("U-1")], Vec::new()).await;
    agent.plant.send_replace(plant(&["U-1"]));
    subscriber.find(|topic, body| topic == "risk/U-1" && body["replayed"] == true).await;
    // A row of before that comes behind it.
    commit(&agent.store, 2, Vec::new(), vec![risk_row("U-1", 2)]).await;
    subscriber.find(|topic, body| topic == "risk/U-1" && body["data"]["revision"] == json!(2)).await;
    agent.drained().await;
    assert_eq!(retained_risk(broker.port).await, 3, "a row of before");
    // A row of after, and behind it a telling anew that was read before it was committed.
    commit(&agent.store, 3, Vec::new(), vec![risk_row("U-1", 4)]).await;
    subscriber.find(|topic, body| topic == "risk/U-1" && body["data"]["revision"] == json!(4)).await;
    agent.plant.send_replace(plant(&["U-1", "U-2"]));
    subscriber.find(|topic, body| topic == "birth" && body["data"]["units"][1]["riskUnitId"] == "U-2").await;
    commit(&agent.store, 4, vec![risk("U-2")], vec![hazard(4)]).await;
    agent.plant.send_replace(plant(&["U-1", "U-2"]));
    subscriber.find(|topic, _| topic == "risk/U-2").await;
    agent.drained().await;
    assert_eq!(retained_risk(broker.port).await, 4, "told anew");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_is_slow_to_open_holds_up_no_alarm_and_is_used_when_it_is_open() {
    let broker = Broker::start();
    let dir = TempDir::new().expect("a directory");
    let held = rusqlite::Connection::open(dir.path().join("spool.db")).expect("opens");
    held.execute_batch("CREATE TABLE other (n); BEGIN EXCLUSIVE").expect("held");
    let mut subscriber = Subscriber::connect(broker.port).await;
    let agent = Agent::start(dir.path(), broker.port);
    commit_hazard(&agent.store, 1).await;
    subscriber.find(|topic, _| topic == "hazard/U-1").await;
    held.execute_batch("ROLLBACK").expect("let go");
    spool_is_open(&agent, &held).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_is_gone_is_told_as_unknown_once() {
    let broker = Broker::start();
    let dir = TempDir::new().expect("a directory");
    let mut subscriber = Subscriber::connect(broker.port).await;
    let agent = Agent::start(dir.path(), broker.port);
    let zone = |id: &str, present| ZoneCount {
        zone: id.to_owned(),
        name: "防火堤内".to_owned(),
        unit: "U-1".to_owned(),
        limit: None,
        count: Some(riskgate_engine::Count { present, lost: 0, roles: Vec::new() }),
        since: clock().wall,
    };
    agent.people.send_replace(vec![zone("dike", 2), zone("pump-room", 1)]);
    subscriber.find(|topic, body| topic == "people/dike" && body["data"]["count"] == 2).await;
    subscriber.find(|topic, body| topic == "people/pump-room" && body["data"]["count"] == 1).await;
    agent.people.send_replace(vec![zone("pump-room", 1)]);
    let gone = subscriber.find(|topic, _| topic.starts_with("people/")).await["data"].clone();
    assert_eq!((&gone["id"], &gone["known"], &gone["count"]), (&json!("dike"), &json!(false), &Value::Null));
    // Once: what is told next is of the other.
    agent.people.send_replace(vec![zone("pump-room", 3)]);
    let next = subscriber.find(|topic, _| topic.starts_with("people/")).await["data"].clone();
    assert_eq!((&next["id"], &next["count"]), (&json!("pump-room"), &json!(3)));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permits_of_a_unit_that_is_gone_are_cleared_also_those_of_an_earlier_connection() {
    let broker = Broker::start();
    let dir = TempDir::new().expect("a directory");
    let mut subscriber = Subscriber::connect(broker.port).await;
    let agent = Agent::start(dir.path(), broker.port);
    commit(&agent.store, 1, vec![risk("U-1"), risk("U-2")], Vec::new()).await;
    let unit = |id: &str, unplaced| UnitPermits {
        unit: id.to_owned(),
        name: "罐区".to_owned(),
        known: true,
        tickets: Vec::new(),
        left_out: 0,
        unplaced,
        changed: clock().wall,
    };
    agent.permits.send_replace(Some(vec![unit("U-1", 0), unit("U-2", 0)]));
    subscriber.find(|topic, body| topic == "permit/U-2" && body["data"]["known"] == true).await;
    agent.permits.send_replace(Some(vec![unit("U-1", 1)]));
    subscriber.find(|topic, body| topic == "permit/U-2" && body.is_null()).await;
    subscriber.find(|topic, body| topic == "permit/U-1" && body["data"]["unplaced"] == 1).await;
    agent.stop().await;
    // The feed is gone while the agent was away; as long as nobody has looked, nothing is cleared.
    let agent = Agent::start(dir.path(), broker.port);
    subscriber.find(|topic, body| topic == "state" && body["status"] == "online").await;
    agent.permits.send_replace(Some(Vec::new()));
    let (topic, body) = loop {
        let (topic, body) = subscriber.next().await;
        if topic.starts_with("permit/") {
            break (topic, body);
        }
    };
    assert_eq!((topic.as_str(), body), ("permit/U-1", Value::Null));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_points_are_listed_upstream_and_a_shorter_list_clears_the_rest() {
    let broker = Broker::start();
    let dir = TempDir::new().expect("a directory");
    let mut subscriber = Subscriber::connect(broker.port).await;
    let agent = Agent::start(dir.path(), broker.port);
    agent.plant.send_replace(plant_of(&["U-1"], 10_000));
    let birth = subscriber.find(|at, body| at == "birth" && body["data"]["points"]["count"] == 10_000).await;
    let told = &birth["data"]["points"];
    let pages = told["pages"].as_u64().expect("a number");
    assert!(pages > 1, "{told}");
    let mut tags = BTreeSet::new();
    for page in 1..=pages {
        let topic = format!("birth/points/{page}");
        let page = subscriber.find(|at, _| at == topic).await;
        assert_eq!(page["data"]["hash"], told["hash"]);
        let list = page["data"]["list"].as_array().expect("a list");
        tags.extend(list.iter().map(|point| point["tag"].to_string()));
    }
    assert_eq!(tags.len(), 10_000);
    agent.plant.send_replace(plant_of(&["U-1"], 3));
    for page in 1..=pages {
        let topic = format!("birth/points/{page}");
        subscriber.find(|at, body| at == topic && body.is_null()).await;
    }
    let mut late = Subscriber::connect(broker.port).await;
    let birth = late.find(|at, _| at == "birth").await;
    assert_eq!(birth["data"]["points"]["list"].as_array().map(Vec::len), Some(3));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_gone_is_told_offline_by_its_will() {
    let broker = Broker::start();
    let dir = TempDir::new().expect("a directory");
    let mut subscriber = Subscriber::connect(broker.port).await;
    let agent = Agent::start(dir.path(), broker.port);
    subscriber.find(|topic, body| topic == "state" && body["status"] == "online").await;
    agent.cut_off().await;
    subscriber.find(|topic, body| topic == "state" && body["status"] == "offline").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_answered_refused_and_journalled() {
    let broker = Broker::start();
    let dir = TempDir::new().expect("a directory");
    let mut agent = Agent::start(dir.path(), broker.port);
    commit_hazard(&agent.store, 1).await;
    agent.drained().await;
    let mut subscriber = Subscriber::connect(broker.port).await;
    let with = |id: &str, more: Value| {
        let mut fields = json!({ "id": id, "by": "平台", "expires": "2025-06-01T08:05:00+08:00" });
        fields.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        fields
    };
    let ping = ask(&mut subscriber, "ping", &with("p", json!({}))).await;
    assert_eq!((&ping["ok"], &ping["result"]["epoch"]), (&json!(true), &json!(agent.origin.epoch.0)));
    let late =
        ask(&mut subscriber, "ping", &with("l", json!({ "expires": "2025-06-01T07:00:00+08:00" }))).await;
    assert!(late["error"].as_str().expect("told").contains("expired"), "{late}");
    let unknown = ask(&mut subscriber, "accept", &with("u", json!({}))).await;
    assert!(unknown["error"].as_str().expect("told").contains("not allowed"), "{unknown}");
    let range = json!({ "lane": "critical", "from": 1, "to": 9 });
    let resent = ask(&mut subscriber, "resend", &with("r", range)).await;
    assert_eq!((&resent["result"]["sent"], &resent["result"]["last"]), (&json!(1), &json!(1)));
    agent.until(|status| status.commands == 4 && status.commands_refused == 2).await;
    agent.stop().await;
    let connection = rusqlite::Connection::open(dir.path().join("state.db")).expect("opens");
    let query = "SELECT count(*) FROM journal WHERE line LIKE '%\"by\":\"平台\",\"what\":\"command\"%'";
    let journalled: i64 = connection.query_row(query, [], |row| row.get(0)).expect("read");
    assert_eq!(journalled, 4);
}

/// Offers one reading for each number.
fn offer(telemetry: &TelemetrySender, numbers: impl Iterator<Item = i32>) {
    let told = ToldPoint { tag: Arc::from("GD-101"), class: Class::Gas, deadband: 0.5 };
    let sample = |number| {
        let received = Now { wall: Wall(clock().wall.0 + i64::from(number)), ..clock() };
        Sample::good(PointId(0), PointValue::float(f64::from(number)).expect("finite"), received)
    };
    let samples: Vec<Sample> = numbers.map(sample).collect();
    telemetry.offer(samples.iter().map(|sample| (&told, sample)));
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_outlives_an_outage_up_to_its_bound_and_the_rest_is_told_as_a_gap() {
    let broker = Broker::start();
    let link = Link::to(broker.port).await;
    let dir = TempDir::new().expect("a directory");
    let mut subscriber = Subscriber::connect(broker.port).await;
    let mut agent = Agent::start(dir.path(), link.port);
    agent.until(|status| status.connected).await;
    offer(&agent.telemetry, 0..=0);
    agent.until(|status| status.readings == 1).await;
    link.set_open(false);
    agent.until(|status| !status.connected).await;
    offer(&agent.telemetry, 1..=100_007);
    link.set_open(true);
    let (mut count, mut gap) = (0, None);
    while count < 100_001 || gap.is_none() {
        let (topic, body) = subscriber.next().await;
        match topic.as_str() {
            "telemetry" => count += body["data"]["count"].as_u64().expect("a number"),
            "gap" => gap = Some(body["data"].clone()),
            _ => {}
        }
    }
    let gap = gap.expect("told");
    let told = (&gap["lane"], &gap["count"], &gap["reason"]);
    assert_eq!(told, (&json!("telemetry"), &json!(7), &json!("queue_full")));
    assert_eq!(gap["classes"], json!({ "gas": 7 }));
    let range = (&gap["from"], &gap["to"]);
    assert_eq!(range, (&json!("2025-06-01T08:00:00.001+08:00"), &json!("2025-06-01T08:00:00.007+08:00")));
    agent.until(|status| status.readings == 100_001 && status.readings_dropped == 7).await;
    agent.drained().await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_dropped_while_the_spool_cannot_be_written_are_told_all_the_same() {
    let broker = Broker::start();
    let link = Link::to(broker.port).await;
    let dir = TempDir::new().expect("a directory");
    let mut subscriber = Subscriber::connect(broker.port).await;
    let mut agent = Agent::start(dir.path(), link.port);
    agent.until(|status| status.connected).await;
    let spool = rusqlite::Connection::open(dir.path().join("spool.db")).expect("opens");
    spool_is_open(&agent, &spool).await;
    for table in ["chunk", "dropped"] {
        let full = format!(
            "CREATE TRIGGER full_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(FAIL, 'full'); END"
        );
        spool.execute_batch(&full).expect("made");
    }
    link.set_open(false);
    agent.until(|status| !status.connected).await;
    offer(&agent.telemetry, 1..=100_007);
    link.set_open(true);
    let gap = subscriber.find(|topic, _| topic == "gap").await["data"].clone();
    let told = (&gap["lane"], &gap["count"], &gap["reason"]);
    assert_eq!(told, (&json!("telemetry"), &json!(7), &json!("queue_full")));
    agent.until(|status| status.readings == 100_000 && status.readings_dropped == 7).await;
    agent.drained().await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn urgent_rows_go_ahead_of_the_backlog_in_their_own_order() {
    let broker = Broker::start();
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(dir.path());
    commit(&store, 1, Vec::new(), (1..=150).map(task).collect()).await;
    commit(&store, 2, Vec::new(), (151..=200).map(hazard).collect()).await;
    store.close().expect("closes");
    let mut subscriber = Subscriber::connect(broker.port).await;
    let mut agent = Agent::start(dir.path(), broker.port);
    let mut order = Vec::new();
    while order.len() < 200 {
        let (_, body) = subscriber.next().await;
        if let (Some(lane), Some(sequence)) = (body["lane"].as_str(), body["sequence"].as_u64()) {
            assert_eq!(body["replayed"], true, "committed before the connection");
            order.push((lane.to_owned(), sequence));
        }
    }
    let critical = (1..=50).map(|sequence| ("critical".to_owned(), sequence));
    let work = (1..=150).map(|sequence| ("work".to_owned(), sequence));
    assert_eq!(order, critical.chain(work).collect::<Vec<_>>());
    agent.drained().await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uplink_without_a_broker_turns_on_and_stops_at_once() {
    let dir = TempDir::new().expect("a directory");
    let mut agent = Agent::start(dir.path(), free_port());
    agent.until(|status| status.why.as_ref().is_some_and(|why| why.contains("refused"))).await;
    agent.until(|status| status.turns >= 2).await;
    let entry = JournalEntry {
        at: clock().wall,
        by: "riskgate".to_owned(),
        what: "stop".to_owned(),
        body: json!({}),
    };
    agent.store.append(Vec::new(), vec![entry]).await.expect("the store does not wait for the link");
    agent.stop().await;
}

#[tokio::test]
async fn while_nothing_commits_hazards_go_out_marked_on_every_connection_and_once_more_when_they_are_durable()
{
    let dir = TempDir::new().expect("a directory");
    let mut broker = Broker::start();
    let mut agent = Agent::start(dir.path(), broker.port);
    agent.until(|status| status.connected).await;
    // Another program holds the file: as a disk that is full or hangs.
    let other = rusqlite::Connection::open(dir.path().join("state.db")).expect("opens");
    other.busy_timeout(LONG).expect("set");
    other.execute_batch("BEGIN IMMEDIATE").expect("held");
    let durable = |yes: bool| {
        let mut message = hazard(1);
        message.data["durable"] = json!(yes);
        message
    };
    let of_hazard = |topic: &str, _: &Value| topic.ends_with("hazard/U-1");
    let mut subscriber = Subscriber::connect(broker.port).await;
    let batch = Batch {
        seq: 1,
        effects: Vec::new(),
        messages: vec![durable(true)],
        acts: Vec::new(),
        commands: Vec::new(),
        at: clock().wall,
    };
    agent.store.try_commit(batch).expect("room");
    assert_eq!(agent.undurable.offer([durable(true)]), 0);
    let first = subscriber.find(of_hazard).await;
    assert_eq!(first["data"]["durable"], json!(false), "{first}");
    assert!(first["sequence"].is_null(), "that is given at commit: {first}");
    broker.kill();
    agent.until(|status| !status.connected).await;
    broker.up();
    let mut subscriber = Subscriber::connect(broker.port).await;
    let again = subscriber.find(of_hazard).await;
    assert_eq!(again["id"], first["id"], "a repeat is known by its id");
    other.execute_batch("ROLLBACK").expect("let go");
    let committed = subscriber.find(of_hazard).await;
    assert_eq!(committed["data"]["durable"], json!(true), "{committed}");
    assert_eq!(committed["sequence"], json!(1));
    assert_ne!(committed["id"], first["id"]);
    assert_eq!(committed["data"]["revision"], first["data"]["revision"]);
    agent.undurable.committed(&[durable(true)]);
    agent.drained().await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_ends_each_connection_is_told_as_a_gap_and_the_others_go() {
    let broker = Broker::with("max_packet_size 20000\n");
    let dir = TempDir::new().expect("a directory");
    let mut subscriber = Subscriber::connect(broker.port).await;
    let mut agent = Agent::start(dir.path(), broker.port);
    let large = |number: u64| {
        let mut message = hazard(number);
        message.data["dangerDesc"] = json!("漏".repeat(10_000));
        message
    };
    let messages = vec![hazard(1), large(2), hazard(3), large(4), hazard(5)];
    commit(&agent.store, 1, Vec::new(), messages).await;
    let mut sequences = BTreeSet::new();
    let mut gaps = Vec::new();
    while gaps.len() < 2 || sequences.len() < 3 {
        let (topic, body) = subscriber.next().await;
        match topic.as_str() {
            "hazard/U-1" => drop(sequences.insert(body["sequence"].as_u64().expect("a number"))),
            // At least once: a repeat has the same id.
            "gap" if !gaps.contains(&body["data"]) => gaps.push(body["data"].clone()),
            _ => {}
        }
    }
    assert_eq!(sequences, BTreeSet::from([1, 3, 5]));
    for (gap, sequence) in gaps.iter().zip([2, 4]) {
        assert_eq!((&gap["reason"], &gap["lane"]), (&json!("refused"), &json!("critical")));
        assert_eq!(
            (&gap["fromSequence"], &gap["object"]),
            (&json!(sequence), &json!(format!("h{sequence}")))
        );
    }
    agent.until(|status| status.refused == 2).await;
    agent.drained().await;
    // A resend does not run into it again.
    let fields = json!({
        "lane": "critical", "from": 1, "to": 5,
        "id": "r1", "by": "the test", "expires": "2025-06-01T08:05:00+08:00",
    });
    let resent = ask(&mut subscriber, "resend", &fields).await;
    assert_eq!(resent["result"]["missing"], json!([[2, 2], [4, 4]]));
    agent.stop().await;
    let connection = rusqlite::Connection::open(dir.path().join("state.db")).expect("opens");
    let query = r#"SELECT count(*) FROM journal WHERE line LIKE '%"message refused"%'"#;
    let journalled: i64 = connection.query_row(query, [], |row| row.get(0)).expect("read");
    assert_eq!(journalled, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_go_in_messages_as_large_as_the_broker_takes() {
    let broker = Broker::with("max_packet_size 50000\n");
    let dir = TempDir::new().expect("a directory");
    let mut subscriber = Subscriber::connect(broker.port).await;
    let mut agent = Agent::start(dir.path(), broker.port);
    agent.until(|status| status.connected).await;
    offer(&agent.telemetry, 1..=3_000);
    let mut values = BTreeSet::new();
    while values.len() < 3_000 {
        let body = subscriber.find(|topic, _| topic == "telemetry").await;
        for reading in body["data"]["values"].as_array().expect("readings") {
            values.insert(reading["value"].to_string());
        }
    }
    agent.until(|status| status.readings == 3_000 && status.readings_dropped == 0).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_outlive_a_restart_and_what_a_crash_may_cost_is_told() {
    let broker = Broker::start();
    let dir = TempDir::new().expect("a directory");
    let mut subscriber = Subscriber::connect(broker.port).await;
    let agent = Agent::start(dir.path(), free_port());
    let spool = rusqlite::Connection::open(dir.path().join("spool.db")).expect("opens");
    spool_is_open(&agent, &spool).await;
    drop(spool);
    offer(&agent.telemetry, 1..=2_000);
    agent.stop().await;

    let mut agent = Agent::start(dir.path(), broker.port);
    let mut count = 0;
    while count < 2_000 {
        let (topic, body) = subscriber.next().await;
        assert_ne!(topic, "gap", "{body}");
        if topic == "telemetry" {
            count += body["data"]["count"].as_u64().expect("a number");
        }
    }
    assert_eq!(count, 2_000, "each once");
    agent.until(|status| status.readings == 2_000).await;
    agent.cut_off().await;

    let agent = Agent::start(dir.path(), broker.port);
    let gap = subscriber.find(|topic, _| topic == "gap").await["data"].clone();
    assert_eq!((&gap["reason"], &gap["count"]), (&json!("crash"), &Value::Null));
    let range = (&gap["from"], &gap["to"]);
    assert_eq!(range, (&json!("2025-06-01T07:58:30.000+08:00"), &json!("2025-06-01T08:00:00.000+08:00")));
    agent.stop().await;

    // A spool that is damaged is told too, from when on nobody knows.
    for ending in ["-wal", "-shm"] {
        drop(std::fs::remove_file(dir.path().join(format!("spool.db{ending}"))));
    }
    std::fs::write(dir.path().join("spool.db"), "no database, and long enough to be looked at")
        .expect("written");
    let agent = Agent::start(dir.path(), broker.port);
    let gap = subscriber.find(|topic, body| topic == "gap" && body["data"]["reason"] == "damaged").await;
    let told = (&gap["data"]["from"], &gap["data"]["to"], &gap["data"]["count"]);
    assert_eq!(told, (&Value::Null, &json!("2025-06-01T08:00:00.000+08:00"), &Value::Null));
    agent.stop().await;
}
