//! Commands from upstream: the real binary, a real broker, and each example of the README.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that is not there is null, and fails the assertion"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rumqttc::PublishOptions;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use support::gateway::Gateway;
use support::{Broker, ROOT, Subscriber};

/// Between the agent and the broker: what the agent says can be kept from it, while it goes on hearing.
struct Link {
    port: u16,
    /// How often it was muted. A connection is mute from the first time after its beginning, for good: what lay
    /// in its buffers is never told.
    mute: watch::Sender<u32>,
    _tasks: JoinSet<()>,
}

impl Link {
    async fn to(broker: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (mute, muted) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let far = tokio::net::TcpStream::connect(("127.0.0.1", broker)).await.expect("a broker");
                connections.spawn(carry(near, far, muted.clone()));
            }
        });
        Self { port, mute, _tasks: tasks }
    }

    /// Nothing more is told of what is said on the connections that there are.
    fn mute(&self) {
        self.mute.send_modify(|times| *times += 1);
    }
}

async fn carry(near: tokio::net::TcpStream, far: tokio::net::TcpStream, muted: watch::Receiver<u32>) {
    let since = *muted.borrow();
    let ((mut hear, mut tell), (mut from_far, mut to_far)) = (near.into_split(), far.into_split());
    let up = async {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = hear.read(&mut bytes).await {
            if *muted.borrow() > since || to_far.write_all(&bytes[..n]).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let down = tokio::io::copy(&mut from_far, &mut tell);
    tokio::select! { () = up => {}, _ = down => {} }
}

const SITE: &str = r#"
[gateway]
company = "540170007"
id = "54017000701"
name = "试验网关"
[model]
source = "upstream"
[[source]]
id = "plant"
name = "罐区采集"
kind = "mqtt"
host = "127.0.0.1"
stale_after = "10m"
port = @broker
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
[[task]]
id = "T-1"
measure = "M-1"
content = "核对液位"
cycle = "8h"
assignee = "ban-a"
[[rule]]
id = "tank-a-full"
measure = "M-1"
name = "储罐满"
priority = "high"
latch = true
when = "{LT-101} > 90"
hazard = { level = "general", confirm = "person", deadline = "24h" }
"#;

fn gateway(plant: u16, upstream: u16) -> Gateway {
    let examples = examples();
    let acts = examples.keys().map(String::as_str).chain(["model"]);
    let commands: String =
        acts.map(|name| format!("[[uplink.command]]\nname = \"{name}\"\npersons = [\"王敏\"]\n")).collect();
    let site = SITE.replace("@broker", &plant.to_string());
    let points = "tag,source,address,value\nLT-101,plant,plant/level,$.v\n";
    Gateway::new(upstream, &[("site.toml", &site), ("points.csv", points)], &commands)
}

/// The platform, which also plays the plant.
struct Platform {
    subscriber: Subscriber,
    /// The newest `data` of each object, by topic and id.
    objects: BTreeMap<(String, String), Value>,
    /// Answers, by command id, in the order of their coming: the whole message.
    replies: BTreeMap<String, Vec<Value>>,
    /// When it said last that it is online and hears the plant; `None`: it does not.
    ready: Option<Timestamp>,
    /// As `state` told it last.
    model: Value,
}

impl Platform {
    async fn connect(port: u16) -> Self {
        let subscriber = Subscriber::connect(port).await;
        Self {
            subscriber,
            objects: BTreeMap::new(),
            replies: BTreeMap::new(),
            ready: None,
            model: Value::Null,
        }
    }

    async fn hear(&mut self) {
        let (topic, body) = self.subscriber.next().await;
        let first = topic.split('/').next().unwrap_or_default().to_owned();
        match first.as_str() {
            "reply" => {
                let id = body["data"]["id"].as_str().expect("an id").to_owned();
                self.replies.entry(id).or_default().push(body);
            }
            "state" => {
                let time = body["time"].as_str().map(|time| time.parse().expect("a time"));
                let hears = body["status"] == "online" && body["sources"][0]["link"] == "up";
                self.ready = time.filter(|_| hears);
                self.model = body["model"].clone();
            }
            "alarm" | "candidate" | "hazard" | "stop" | "task" | "record" => {
                let id = body["data"]["id"].as_str().expect("an id").to_owned();
                self.objects.insert((first, id), body["data"].clone());
            }
            _ => {}
        }
    }

    async fn until<T>(&mut self, seen: impl Fn(&Self) -> Option<T>) -> T {
        loop {
            if let Some(found) = seen(self) {
                return found;
            }
            self.hear().await;
        }
    }

    async fn level(&self, number: f64) {
        let reading = json!({ "v": number }).to_string();
        self.subscriber
            .client
            .publish("plant/level", reading, PublishOptions::at_least_once())
            .await
            .expect("queued");
    }

    /// The same again, while a configuration is being swapped and nobody may listen to the plant.
    async fn level_until(&mut self, number: f64, state: &str) {
        loop {
            self.level(number).await;
            if timeout(Duration::from_secs(2), self.alarm(state)).await.is_ok() {
                return;
            }
        }
    }

    /// Until the alarm is in this state.
    async fn alarm(&mut self, state: &str) {
        let key = ("alarm".to_owned(), "tank-a-full".to_owned());
        self.until(|it| it.objects.get(&key).filter(|alarm| alarm["state"] == state).map(|_| ())).await;
    }

    /// The id of the newest object on this topic at this stage.
    async fn at_stage(&mut self, topic: &str, stage: &str) -> String {
        self.until(|it| {
            let mut of = it.objects.iter().filter(|((on, _), data)| on == topic && data["stage"] == stage);
            of.next().map(|((_, id), _)| id.clone())
        })
        .await
    }

    /// The whole answer; the next one, where there were some before.
    async fn ask(&mut self, name: &str, fields: &Value) -> Value {
        let id = fields["id"].as_str().expect("an id").to_owned();
        let before = self.replies.get(&id).map_or(0, Vec::len);
        self.subscriber.command(name, fields, false).await;
        self.until(|it| it.replies.get(&id).and_then(|all| all.get(before)).cloned()).await
    }
}

fn readme() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    std::fs::read_to_string(path).expect("the README")
}

/// Of each act the fields that the README shows: rows of the table under `cmd/{name}`, the example last.
fn examples() -> BTreeMap<String, Value> {
    let text = readme();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.split('|').map(str::trim).filter(|cell| !cell.is_empty());
        let name = cells.next()?.strip_prefix("`cmd/")?.strip_suffix('`')?.to_owned();
        let example = cells.next_back()?.strip_prefix('`')?.strip_suffix('`')?;
        let example = serde_json::from_str(example).unwrap_or_else(|error| panic!("{name}: {error}"));
        Some((name, example))
    });
    rows.filter(|(name, _)| !matches!(name.as_str(), "ping" | "resend")).collect()
}

/// The document of the README, as it is sent.
fn model(id: &str, version: u64) -> Value {
    let text = readme();
    let block = text.split("```json\n").find(|block| block.contains("\"measures\"")).expect("a document");
    let mut fields: Value = serde_json::from_str(block.split("```").next().expect("its end")).expect("JSON");
    fields["expires"] = json!(in_five_minutes());
    fields["id"] = json!(id);
    fields["version"] = json!(version);
    fields
}

/// As the gateway's clock has it.
fn now() -> Timestamp {
    Timestamp::from_millisecond(riskgate::clock::now().wall.0).expect("a time")
}

fn in_five_minutes() -> String {
    (now() + SignedDuration::from_mins(5)).to_string()
}

/// An example as it is sent.
fn command(name: &str, id: &str, more: Value) -> Value {
    let mut fields = json!({ "id": id, "by": "王敏", "expires": in_five_minutes() });
    let of = fields.as_object_mut().expect("an object");
    of.extend(examples()[name].as_object().expect("an object").clone());
    of.extend(more.as_object().expect("an object").clone());
    fields
}

/// Sends it as its giver would who saw an older state, then as it should be, then both again.
async fn carry_out(platform: &mut Platform, sent: &mut BTreeSet<String>, name: &str, more: Value) {
    let id = format!("{name}-{}", sent.len());
    let mut fields = command(name, &id, more);
    fields["revision"] = json!(999_999);
    let stale = platform.ask(name, &fields).await["data"].clone();
    assert_eq!((&stale["ok"], &stale["code"]), (&json!(false), &json!("stale")), "{name}: {stale}");
    fields["revision"] = stale["revision"].clone();
    let done = platform.ask(name, &fields).await;
    assert_eq!(done["data"]["ok"], json!(true), "{name}: {done}");
    assert!(done["data"]["result"]["revision"].as_u64() > stale["revision"].as_u64(), "{name}: {done}");
    assert_eq!(done["replayed"], json!(false));
    let again = platform.ask(name, &fields).await;
    assert_eq!((&again["data"], &again["replayed"]), (&done["data"], &json!(true)), "{name}");
    fields["revision"] = json!(999_998);
    let replayed = platform.ask(name, &fields).await["data"].clone();
    assert_eq!(replayed["code"], json!("replayed"), "{name}: {replayed}");
    sent.insert(name.to_owned());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_of_the_readme_is_carried_out_once_and_answered_as_often_as_it_comes() {
    let broker = Broker::start();
    let mut gateway = gateway(broker.port, broker.port);
    let mut platform = Platform::connect(broker.port).await;
    gateway.start();
    platform.until(|it| it.ready).await;
    platform.level(95.0).await;
    platform.alarm("unacknowledged").await;
    let (p, sent) = (&mut platform, &mut BTreeSet::new());
    carry_out(p, sent, "acknowledge", json!({})).await;
    p.level(10.0).await;
    p.alarm("latched").await;
    carry_out(p, sent, "reset", json!({})).await;
    for name in ["shelve", "unshelve", "out-of-service", "in-service"] {
        carry_out(p, sent, name, json!({})).await;
    }
    let hazard = p.at_stage("candidate", "candidate").await;
    for (name, stage) in
        [("confirm", "rectifying"), ("rectify", "awaiting_acceptance"), ("accept", "accepted")]
    {
        carry_out(p, sent, name, json!({ "hazard": hazard })).await;
        assert_eq!(p.at_stage("hazard", stage).await, hazard);
    }
    p.objects.remove(&("candidate".to_owned(), hazard));
    p.level(95.0).await;
    let second = p.at_stage("candidate", "candidate").await;
    carry_out(p, sent, "reject", json!({ "hazard": second })).await;
    carry_out(p, sent, "stop-unit", json!({})).await;
    carry_out(p, sent, "start-unit", json!({})).await;
    carry_out(p, sent, "record", json!({})).await;
    let record =
        p.until(|it| it.objects.iter().find(|((on, _), _)| on == "record").map(|(_, data)| data.clone()));
    let record = record.await;
    let told = ["checkTaskId", "checkStatus", "createBy", "automatic"].map(|field| &record[field]);
    assert_eq!(told, [&json!("T-1"), &json!(0), &json!("王敏"), &json!(false)], "{record}");
    assert_eq!(*sent, examples().into_keys().collect(), "each act of the README was sent");
    let acts =
        gateway.count("SELECT count(*) FROM journal WHERE line LIKE '%\"what\":\"act\"%\"path\":\"mqtt\"%'");
    assert_eq!((acts, gateway.count("SELECT count(*) FROM command")), (13, 13));
    // Each act, and of each: stale, again and replayed.
    let beside = "SELECT count(*) FROM journal WHERE line LIKE '%\"by\":\"王敏\",\"what\":\"command\"%'";
    gateway.counts(beside, 39).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_that_was_committed_and_not_answered_before_a_crash_is_answered_after_it_and_done_once() {
    let broker = Broker::start();
    let link = Link::to(broker.port).await;
    let mut gateway = gateway(broker.port, link.port);
    let mut platform = Platform::connect(broker.port).await;
    gateway.start();
    platform.until(|it| it.ready).await;
    platform.level(95.0).await;
    let hazard = platform.at_stage("candidate", "candidate").await;
    let revision = platform.objects[&("candidate".to_owned(), hazard.clone())]["revision"].clone();
    let fields = command("confirm", "c1", json!({ "hazard": hazard, "revision": revision }));
    link.mute();
    platform.subscriber.command("confirm", &fields, false).await;
    gateway.counts("SELECT count(*) FROM command WHERE id = 'c1'", 1).await;
    restart(&mut gateway, &mut platform).await;
    assert!(!platform.replies.contains_key("c1"), "nobody was told before the crash");
    let answer = platform.ask("confirm", &fields).await;
    assert_eq!((&answer["data"]["ok"], &answer["replayed"]), (&json!(true), &json!(true)), "{answer}");
    assert_eq!(platform.at_stage("hazard", "rectifying").await, hazard);
    let told = platform.objects[&("hazard".to_owned(), hazard)].clone();
    assert_eq!(told["revision"], answer["data"]["result"]["revision"], "as it was answered");
    assert_eq!(told["acts"].as_array().expect("a list").len(), 1, "{told}");
    let acts = "SELECT count(*) FROM journal WHERE line LIKE '%\"command\":\"c1\"%\"deed\":\"confirm\"%'";
    assert_eq!(gateway.count(acts), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_carried_out_is_refused_with_a_code_and_journalled() {
    let broker = Broker::start();
    let mut gateway = gateway(broker.port, broker.port);
    let mut platform = Platform::connect(broker.port).await;
    // It was there before the agent, and would come with each of its connections.
    let kept = command("acknowledge", "kept", json!({ "revision": 1 }));
    platform.subscriber.command("acknowledge", &kept, true).await;
    gateway.start();
    let kept = platform.until(|it| it.replies.get("kept").and_then(|all| all.first()).cloned()).await;
    assert_eq!(kept["data"]["code"], json!("retained"));
    platform.until(|it| it.ready).await;
    // Cleared: no command, and no refusal.
    let clear = PublishOptions::at_least_once().retain(true);
    platform.subscriber.client.publish(format!("{ROOT}/cmd/acknowledge"), "", clear).await.expect("queued");
    platform.level(95.0).await;
    platform.alarm("unacknowledged").await;
    let nowhere = "3f9c21d4-0000-5000-8000-000000000001";
    let long = "长".repeat(8_000);
    let cases = [
        ("acknowledge", json!({ "by": "李雷" }), "not_allowed"),
        ("acknowledge", json!({ "expires": "2025-06-01T08:00:00+08:00" }), "expired"),
        ("acknowledge", json!({ "expires": "2099-06-01T08:00:00+08:00" }), "malformed"),
        ("acknowledge", json!({ "epoch": nowhere }), "stale"),
        ("acknowledge", json!({ "alarm": "tank-b-full" }), "unknown_alarm"),
        ("acknowledge", json!({ "reason": "x" }), "malformed"),
        ("confirm", json!({ "hazard": nowhere }), "unknown_hazard"),
        ("confirm", json!({ "why": long }), "too_large"),
        ("shelve", json!({ "alarm": "tank-a-full", "revision": 1, "forSeconds": 100_000 }), "shelf_length"),
        ("start-unit", json!({ "revision": 0 }), "already_so"),
        ("stop-unit", json!({ "unit": "tank-b" }), "unknown_unit"),
        ("record", json!({ "task": "T-9" }), "unknown_task"),
        ("record", json!({ "checkStatus": 7 }), "malformed"),
        ("record", json!({ "revision": 9 }), "stale"),
    ];
    for (n, (name, more, code)) in cases.iter().enumerate() {
        let refused =
            platform.ask(name, &command(name, &format!("r{n}"), more.clone())).await["data"].clone();
        assert_eq!((&refused["ok"], &refused["code"]), (&json!(false), &json!(code)), "{refused}");
        assert!(refused["error"].as_str().is_some_and(|words| !words.is_empty()), "{refused}");
    }
    let unknown = json!({ "id": "u", "by": "王敏", "expires": "2099-06-01T08:00:00+08:00" });
    assert_eq!(platform.ask("open-valve", &unknown).await["data"]["code"], json!("unknown_command"));
    assert_eq!(gateway.count("SELECT count(*) FROM command"), 0);
    assert_eq!(gateway.count("SELECT count(*) FROM journal WHERE line LIKE '%\"what\":\"act\"%'"), 0);
    let refused = "SELECT count(*) FROM journal WHERE line LIKE '%\"what\":\"command\"%\"path\":\"mqtt\"%'";
    gateway.counts(refused, 16).await;
}

/// The agent is online and tells this version of the model; `null`: none.
async fn model_is(platform: &mut Platform, version: Value) {
    platform.until(|it| it.ready.filter(|_| it.model["version"] == version)).await;
}

/// It starts anew after it was killed. What it had said before may still be on its way: a command on the word of that
/// would come before it listens.
async fn restart(gateway: &mut Gateway, platform: &mut Platform) {
    gateway.kill();
    let killed = now();
    gateway.start();
    platform.until(|it| it.ready.filter(|said| *said > killed)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_of_the_readme_is_taken_whole_told_and_kept_and_what_is_open_stays_open() {
    let broker = Broker::start();
    let mut gateway = gateway(broker.port, broker.port);
    let mut platform = Platform::connect(broker.port).await;
    gateway.start();
    model_is(&mut platform, Value::Null).await;
    assert_eq!(platform.model["source"], "upstream");
    platform.level(95.0).await;
    let candidate = platform.at_stage("candidate", "candidate").await;
    assert_eq!(platform.objects[&("candidate".to_owned(), candidate.clone())]["orphan"], json!(false));
    let seven = model("model-7", 7);
    let taken = platform.ask("model", &seven).await;
    let result = &taken["data"]["result"];
    assert_eq!(taken["data"]["ok"], json!(true), "{taken}");
    let told = ["version", "changed", "measures", "orphans"].map(|field| &result[field]);
    assert_eq!(told, [&json!(7), &json!(true), &json!(2), &json!([])]);
    model_is(&mut platform, json!(7)).await;
    assert_eq!((&platform.model["by"], &platform.model["since"]), (&json!("王敏"), &result["time"]));
    assert!(gateway.tell(&["show"]).contains("版本 version 7"));
    // The alarm and the candidate are those of before; the new task is there.
    let revision = platform.objects[&("candidate".to_owned(), candidate.clone())]["revision"].clone();
    let confirm = command("confirm", "c1", json!({ "hazard": candidate, "revision": revision }));
    let confirmed = platform.ask("confirm", &confirm).await;
    assert_eq!(confirmed["data"]["ok"], json!(true), "{confirmed}");
    assert_eq!(platform.at_stage("hazard", "rectifying").await, candidate);
    let record = command("record", "r1", json!({ "task": "T-2", "checkStatus": 0, "revision": 0 }));
    assert_eq!(platform.ask("record", &record).await["data"]["ok"], json!(true));
    // Once more, as often as it comes; and what is no news, older or another's is not taken.
    let again = platform.ask("model", &seven).await;
    assert_eq!((&again["data"], &again["replayed"]), (&taken["data"], &json!(true)));
    let mut renamed = model("model-7b", 7);
    let same = platform.ask("model", &renamed).await["data"].clone();
    assert_eq!((&same["ok"], &same["result"]["changed"]), (&json!(true), &json!(false)), "{same}");
    renamed["model"]["units"][0]["riskUnitName"] = json!("罐区甲");
    let refusals = [("model-7c", 7, "stale"), ("model-6", 6, "stale"), ("model-7", 8, "replayed")];
    for (id, version, code) in refusals {
        renamed["id"] = json!(id);
        renamed["version"] = json!(version);
        let refused = platform.ask("model", &renamed).await["data"].clone();
        assert_eq!((&refused["ok"], &refused["code"]), (&json!(false), &json!(code)), "{refused}");
        assert_eq!(refused["revision"].as_u64(), (code == "stale").then_some(7));
    }
    // A model without what the gateway's own rule is bound to: the rule goes on.
    let mut eight = model("model-8", 8);
    eight["model"]["measures"].as_array_mut().expect("a list").remove(0);
    eight["model"]["tasks"].as_array_mut().expect("a list").remove(0);
    let taken = platform.ask("model", &eight).await["data"].clone();
    assert_eq!(taken["result"]["orphans"], json!(["M-1"]), "{taken}");
    assert_eq!(taken["result"]["orphansLeftOut"], json!(0));
    model_is(&mut platform, json!(8)).await;
    assert_eq!(platform.model["orphans"], json!(1));
    let alarm = platform.objects[&("alarm".to_owned(), "tank-a-full".to_owned())]["revision"].clone();
    let seen = platform.ask("acknowledge", &command("acknowledge", "a1", json!({ "revision": alarm }))).await;
    assert_eq!(seen["data"]["ok"], json!(true), "{seen}");
    platform.level_until(10.0, "latched").await;
    assert_eq!(platform.objects[&("alarm".to_owned(), "tank-a-full".to_owned())]["orphan"], json!(true));
    // It holds after a restart, and so does a reload of the files.
    restart(&mut gateway, &mut platform).await;
    assert_eq!(platform.model["version"], json!(8));
    gateway.tell(&["reload"]);
    assert_eq!(gateway.count("SELECT count(*) FROM model"), 2);
    let by = "SELECT count(*) FROM journal WHERE line LIKE '%\"by\":\"王敏\",\"what\":\"model\"%'";
    assert_eq!(gateway.count(by), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_with_faults_is_refused_whole_with_each_at_its_place() {
    let broker = Broker::start();
    let mut gateway = gateway(broker.port, broker.port);
    let mut platform = Platform::connect(broker.port).await;
    let site = gateway.config().join("site.toml");
    let text = std::fs::read_to_string(&site).expect("read");
    let login = "kind = \"mqtt\"\nuser = \"gateway\"\npassword_file = \"password\"";
    std::fs::write(&site, text.replace("kind = \"mqtt\"", login)).expect("written");
    std::fs::write(gateway.config().join("password"), "of then").expect("written");
    gateway.start();
    model_is(&mut platform, Value::Null).await;
    let mut bad = model("bad", 1);
    let of = &mut bad["model"];
    of["rules"] = json!([]);
    of["units"][0]["riskClass"] = json!(9);
    of["units"][0]["companyCode"] = json!("540170008");
    of["events"][0]["riskUnitId"] = json!("tank-b");
    of["measures"][0]["classify2"] = json!("2-1");
    of["measures"][0]["points"] = json!(["LT-101"]);
    of["measures"][1]["riskEventId"] = json!("E-2");
    of["measures"][1].as_object_mut().expect("a row").remove("dataSrc");
    of["tasks"][0]["checkCycle"] = json!("often");
    of["tasks"][1]["riskMeasureId"] = json!("M-3");
    of["tasks"][1]["deleteMark"] = json!(1);
    let refused = platform.ask("model", &bad).await["data"].clone();
    assert_eq!((&refused["ok"], &refused["code"]), (&json!(false), &json!("invalid")), "{refused}");
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!("reasons", format!("{:#}", refused["reasons"]));
    });
    let nothing = json!({ "units": [], "events": [], "measures": [], "tasks": [] });
    let cases = [
        (json!({ "model": nothing }), "invalid"),
        (json!({ "model": {} }), "invalid"),
        (json!({ "model": [] }), "malformed"),
        (json!({ "version": 0 }), "malformed"),
        (json!({ "versoin": 1 }), "malformed"),
        (json!({ "by": "李雷" }), "not_allowed"),
        (json!({ "expires": "2025-06-01T08:00:00+08:00" }), "expired"),
        (json!({ "model": { "units": "长".repeat(350_000) } }), "too_large"),
    ];
    for (n, (more, code)) in cases.iter().enumerate() {
        let mut fields = model(&format!("r{n}"), 1);
        fields.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        let refused = platform.ask("model", &fields).await["data"].clone();
        assert_eq!((&refused["ok"], &refused["code"]), (&json!(false), &json!(code)), "{refused}");
    }
    // What was edited at the gateway and not reloaded does not come into force with a model.
    let site = gateway.config().join("site.toml");
    let text = std::fs::read_to_string(&site).expect("read");
    // Torn, and whole: neither is a fault of the model.
    for (n, edited) in ["[[unit", "# edited\n"].into_iter().enumerate() {
        std::fs::write(&site, text.clone() + edited).expect("written");
        let refused = platform.ask("model", &model(&format!("edited-{n}"), 1)).await["data"].clone();
        assert_eq!(refused["code"], json!("not_now"), "{refused}");
    }
    let password = gateway.config().join("password");
    std::fs::write(&password, "changed").expect("written");
    gateway.tell(&["reload"]);
    std::fs::write(&password, "once more").expect("written");
    let refused = platform.ask("model", &model("password", 1)).await["data"].clone();
    assert_eq!(refused["code"], json!("not_now"), "{refused}");
    gateway.tell(&["reload"]);
    assert_eq!(gateway.count("SELECT count(*) FROM model"), 0);
    let taken = platform.ask("model", &model("reloaded", 1)).await["data"].clone();
    assert_eq!(taken["ok"], json!(true), "{taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_was_stored_and_not_answered_before_a_crash_holds_and_one_that_is_torn_is_told() {
    let broker = Broker::start();
    let link = Link::to(broker.port).await;
    let mut gateway = gateway(broker.port, link.port);
    let mut platform = Platform::connect(broker.port).await;
    gateway.start();
    model_is(&mut platform, Value::Null).await;
    assert_eq!(platform.ask("model", &model("m1", 1)).await["data"]["ok"], json!(true));
    let two = {
        let mut two = model("m2", 2);
        two["model"]["units"][0]["riskUnitName"] = json!("罐区甲");
        two
    };
    link.mute();
    platform.subscriber.command("model", &two, false).await;
    gateway.counts("SELECT count(*) FROM model WHERE version = 2", 1).await;
    restart(&mut gateway, &mut platform).await;
    assert_eq!(platform.model["version"], json!(2));
    assert!(!platform.replies.contains_key("m2"), "nobody was told before the crash");
    let again = platform.ask("model", &two).await;
    assert_eq!((&again["data"]["ok"], &again["replayed"]), (&json!(true), &json!(true)), "{again}");
    // The newest is torn: the one before it. Then both: the files.
    for (version, left) in [(2, json!(1)), (1, Value::Null)] {
        let store = Connection::open(gateway.store()).expect("opened");
        let torn = store.execute(
            "UPDATE model SET body = substr(body, 1, length(body) / 2) WHERE version = ?1",
            [version],
        );
        assert_eq!(torn.expect("written"), 1);
        drop(store);
        restart(&mut gateway, &mut platform).await;
        assert_eq!(platform.model["version"], left);
    }
    let log = gateway.log();
    assert!(log.contains("model_unreadable") && log.contains("model_of_files"), "{log}");
    // The files' own chain judges.
    platform.level_until(95.0, "unacknowledged").await;
    assert_eq!(platform.ask("model", &model("m3", 1)).await["data"]["ok"], json!(true));
}

/// The rule boosts the task to this cycle from here on.
fn boost(gateway: &Gateway, cycle: &str) {
    let task = format!("task = {{ id = \"T-1\", cycle = \"{cycle}\", hold = \"4h\" }}\n");
    let site = gateway.config().join("site.toml");
    let text = std::fs::read_to_string(&site).expect("read");
    let lines = text.lines().filter(|line| !line.starts_with("task = ")).map(|line| format!("{line}\n"));
    std::fs::write(&site, lines.collect::<String>() + &task).expect("written");
}

/// What `riskgate check` says, and whether it passes.
fn checked(gateway: &Gateway) -> (bool, String) {
    let told = std::process::Command::new(env!("CARGO_BIN_EXE_riskgate"))
        .arg("check")
        .arg(gateway.config())
        .output()
        .expect("it runs");
    let said = String::from_utf8([told.stdout, told.stderr].concat()).expect("a text");
    (told.status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_the_files_let_in_no_more_is_told_by_check_and_tried_again_by_a_reload() {
    let broker = Broker::start();
    let mut gateway = gateway(broker.port, broker.port);
    let mut platform = Platform::connect(broker.port).await;
    let (passes, said) = checked(&gateway);
    assert!(passes && said.contains("no store"), "{said}");
    gateway.start();
    model_is(&mut platform, Value::Null).await;
    let hourly = {
        let mut hourly = model("m2", 2);
        hourly["model"]["tasks"][0]["checkCycle"] = json!(1);
        hourly
    };
    for (version, fields) in [(1, model("m1", 1)), (2, hourly.clone())] {
        let taken = platform.ask("model", &fields).await["data"].clone();
        assert_eq!(taken["ok"], json!(true), "{taken}");
        model_is(&mut platform, json!(version)).await;
    }
    // A model changes nothing of what is read: the source was connected once.
    let sources: Value = serde_json::from_str(&gateway.tell(&["show", "sources", "--json"])).expect("JSON");
    assert_eq!(sources[0]["connects"], json!(1), "{sources}");
    // Longer than the hour that the platform asks for, and shorter than what the files and the first model say.
    boost(&gateway, "2h");
    let (passes, said) = checked(&gateway);
    assert!(!passes && said.contains("version 2") && said.contains("longer than the base"), "{said}");
    restart(&mut gateway, &mut platform).await;
    model_is(&mut platform, json!(1)).await;
    assert_eq!(platform.model["refused"]["version"], json!(2));
    let why = platform.model["refused"]["error"].as_str().expect("why");
    assert!(why.contains("longer than the base"), "{why}");
    assert!(gateway.tell(&["show"]).contains("版本 2 "));
    // What was acknowledged under its number is not undone by another, nor by what is older; itself it is read again.
    let other = {
        let mut other = model("other", 2);
        other["model"]["units"][0]["riskUnitName"] = json!("罐区甲");
        other
    };
    for fields in [other, model("older", 1)] {
        let refused = platform.ask("model", &fields).await["data"].clone();
        assert_eq!((&refused["code"], &refused["revision"]), (&json!("stale"), &json!(2)), "{refused}");
    }
    let itself = {
        let mut itself = hourly;
        itself["id"] = json!("itself");
        itself
    };
    let refused = platform.ask("model", &itself).await["data"].clone();
    assert_eq!(refused["code"], json!("invalid"), "{refused}");
    let (passes, said) = checked(&gateway);
    assert!(!passes && said.contains("while version 2 is in force"), "{said}");
    assert!(said.contains("taken with version 1 where"), "{said}");
    let same = gateway.tell(&["reload"]);
    assert!(same.contains("not changed") && same.contains("version 2 from upstream still"), "{same}");
    boost(&gateway, "30m");
    let (passes, said) = checked(&gateway);
    assert!(passes && said.contains("version 2"), "{said}");
    let reloaded = gateway.tell(&["reload"]);
    assert!(reloaded.contains("version 2 from upstream is in force now"), "{reloaded}");
    assert!(reloaded.contains("started anew 0, ") && reloaded.contains("untouched 1"), "{reloaded}");
    model_is(&mut platform, json!(2)).await;
    assert_eq!(platform.model["refused"], Value::Null);
    restart(&mut gateway, &mut platform).await;
    model_is(&mut platform, json!(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_the_disk_has_yet_to_take_is_told_to_nobody_and_no_other_is_taken() {
    let broker = Broker::start();
    let mut gateway = gateway(broker.port, broker.port);
    let mut platform = Platform::connect(broker.port).await;
    gateway.start();
    model_is(&mut platform, Value::Null).await;
    // Another program holds the file: nothing commits.
    let other = Connection::open(gateway.store()).expect("opened");
    other.busy_timeout(Duration::from_secs(60)).expect("set");
    other.execute_batch("BEGIN IMMEDIATE").expect("held");
    platform.subscriber.command("model", &model("m1", 1), false).await;
    let mut n = 0;
    let said = loop {
        n += 1;
        let said = platform.ask("model", &model(&format!("same-{n}"), 1)).await["data"].clone();
        if !said["error"].as_str().is_some_and(|why| why.contains("is being read")) {
            break said;
        }
    };
    assert_eq!((&said["ok"], &said["code"]), (&json!(false), &json!("busy")), "{said}");
    assert!(!platform.replies.contains_key("m1"));
    assert_eq!(platform.model["version"], Value::Null);
    drop(other);
    platform.until(|it| it.replies.get("m1").cloned()).await;
    assert_eq!(platform.replies["m1"][0]["data"]["ok"], json!(true));
    model_is(&mut platform, json!(1)).await;
    let same = platform.ask("model", &model("same", 1)).await["data"].clone();
    assert_eq!(same["result"]["changed"], json!(false), "{same}");
}
