//! What is wired together, as the real instance has it: a store in a folder of its own, and nobody at any port.

use std::path::Path;

use super::*;
use crate::config::Synced;
use crate::console::{http, socket};
use crate::pump::{Offered, Verdict};

#[test]
fn the_shares_of_a_stop_add_up_to_less_than_five_seconds() {
    let shares = [
        sources::END_WITHIN,
        PUMP_ENDS_WITHIN,
        STOP_IS_WRITTEN_WITHIN,
        TASKS_END_WITHIN,
        STORE_ENDS_WITHIN,
        crate::cli::RUNTIME_ENDS_WITHIN,
    ];
    assert!(shares.iter().sum::<Duration>() < Duration::from_millis(4_800), "{shares:?}");
    // What is inside a share fits into it.
    assert!(crate::supervise::STOP_GRACE < sources::END_WITHIN);
    assert!(crate::pump::LAST_COMMIT_WAIT < PUMP_ENDS_WITHIN);
    assert!(uplink::STOP_WITHIN + uplink::GOODBYE_WITHIN < TASKS_END_WITHIN);
    assert!(http::DRAIN_MAX < TASKS_END_WITHIN);
    assert!(socket::DRAIN_MAX < TASKS_END_WITHIN);
}

const SITE: &str = r#"
[gateway]
company = "540170007"
id = "54017000701"
name = "试验网关"
[uplink]
host = "127.0.0.1"
port = 1
[[uplink.command]]
name = "model"
persons = ["王敏"]
[console]
http = "127.0.0.1:0"
[model]
source = "upstream"
[[source]]
id = "plant"
name = "罐区采集"
kind = "mqtt"
host = "127.0.0.1"
port = 1
stale_after = "10m"
[[unit]]
id = "tank-a"
name = "罐区A"
hazard_code = "540170007001"
base_class = "yellow"
liable_person = "王强"
[[measure]]
id = "M-1"
unit = "tank-a"
event = "满溢"
name = "液位报警"
classify1 = "1"
classify2 = "1-1"
"#;
const POINTS: &str = "tag,source,address,value,H\nLT-101,plant,plant/level,$.v,90\n";

fn write(config: &Path, store: &Path) {
    let text = format!("{SITE}[store]\ndir = \"{}\"\n", store.display());
    std::fs::create_dir_all(config).expect("made");
    std::fs::write(config.join("site.toml"), text).expect("written");
    std::fs::write(config.join("points.csv"), POINTS).expect("written");
}

/// A running instance that is asked by this test alone.
struct Bench {
    models: mpsc::Sender<ModelOrder>,
    requests: mpsc::Sender<(Request, oneshot::Sender<Reply>)>,
    stop: CancellationToken,
    lives: JoinSet<anyhow::Result<()>>,
    /// When the rest began.
    since: Now,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// It read a model just now, and rests for so long.
    async fn resting(rest: Duration) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("config");
        write(&config, &folder.path().join("store"));
        let hangup = signal(SignalKind::hangup()).expect("heard");
        let mut instance = Instance::start(config, hangup).await.expect("it starts");
        let (models, offered) = mpsc::channel(MODELS_MAX);
        let (requests, asked) = mpsc::channel(ORDERS_MAX);
        (instance.models, instance.requests) = (offered, asked);
        let since = clock::now();
        instance.rest_until = since.mono.after(rest);
        let (stop, mut lives) = (CancellationToken::new(), JoinSet::new());
        lives.spawn(instance.live(stop.clone()));
        Self { models, requests, stop, lives, since, _folder: folder }
    }

    /// It holds for so long from the beginning of the rest. When this returns, it was heard.
    async fn offer(&self, id: &str, holds: Duration) -> oneshot::Receiver<Verdict> {
        let model = json!({
            "units": [{ "id": "tank-a", "riskUnitName": "罐区甲", "hazardCode": "540170007001", "riskClass": 3,
                        "hazardLiablePerson": "王强" }],
            "events": [{ "id": "E-1", "riskUnitId": "tank-a", "riskEventName": "满溢" }],
            "measures": [{ "id": "M-1", "riskEventId": "E-1", "riskMeasureDesc": "液位报警", "dataSrc": 1,
                           "classify1": "1", "classify2": "1-1" }],
            "tasks": [],
        });
        let (id, by, digest) = (id.to_owned(), "王敏".to_owned(), format!("of {id}"));
        let expires = self.since.wall.after(holds);
        let offered = Box::new(Offered { id, by, expires, digest, synced: Synced::new(1, model) });
        let (answer, told) = oneshot::channel();
        self.models.send((offered, answer)).await.expect("it runs");
        while self.models.capacity() < MODELS_MAX {
            tokio::task::yield_now().await;
        }
        told
    }

    async fn reload(&self) -> Reply {
        let (answer, told) = oneshot::channel();
        self.requests.send((Request::Reload { uid: 0 }, answer)).await.expect("it runs");
        told.await.expect("answered")
    }

    async fn end(mut self) {
        self.stop.cancel();
        let ended = self.lives.join_next().await.expect("one").expect("no panic");
        ended.expect("all is on disk");
    }
}

fn code(verdict: Result<Verdict, oneshot::error::RecvError>) -> String {
    match verdict.expect("answered") {
        Verdict::Refused(refused) => refused.code.into_owned(),
        Verdict::Carried { result, .. } => panic!("taken: {result}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_goes_before_a_model_that_waits_for_its_turn_and_one_model_waits() {
    let bench = Bench::resting(Duration::from_hours(1)).await;
    let mut first = bench.offer("m1", Duration::from_mins(5)).await;
    match bench.reload().await {
        Reply::Done { said, .. } => assert!(said.contains("has not changed"), "{said}"),
        Reply::Refused { why } => panic!("{why}"),
    }
    assert_eq!(code(bench.offer("m2", Duration::from_mins(5)).await.await), "busy");
    assert!(first.try_recv().is_err(), "it waits");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_expires_while_it_waits_for_its_turn_is_not_taken() {
    let bench = Bench::resting(Duration::from_millis(1_500)).await;
    let told = bench.offer("m1", Duration::from_secs(1)).await;
    assert_eq!(code(told.await), "expired");
    bench.end().await;
}

#[tokio::test]
async fn the_store_of_another_gateway_is_taken_over_only_where_the_configuration_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, dir) = (folder.path().join("config"), folder.path().join("store"));
    write(&config, &dir);
    let mut site = crate::config::check(&config).expect("it passes").site;
    site.store.is_given = false;
    let now = clock::now();
    let (store, opened, before) = open_store(&site, now).await.expect("a new one");
    assert_eq!(before, None);
    assert!(journal_start(&store, &opened, before, &site, "a hash", now).await.is_empty());
    store.close().expect("closes");
    let (store, _, before) = open_store(&site, now).await.expect("its own");
    assert_eq!(before, None);
    store.close().expect("closes");
    site.gateway = "54017000702".to_owned();
    let marks = || {
        let store = rusqlite::Connection::open(dir.join("state.db")).expect("opened");
        let kept = "SELECT gateway || ' ' || clean FROM meta";
        store.query_row(kept, [], |row| row.get::<_, String>(0)).expect("read")
    };
    let kept = marks();
    let Err(refused) = open_store(&site, now).await else { panic!("it was taken") };
    let refused = refused.to_string();
    assert!(refused.contains("gateway 54017000701") && refused.contains("[store] dir"), "{refused}");
    assert_eq!(marks(), kept, "it was not even opened");
    site.store.is_given = true;
    let (store, _, before) = open_store(&site, now).await.expect("renamed");
    assert_eq!(before.map(|before| before.gateway).as_deref(), Some("54017000701"));
    store.close().expect("closes");
}
