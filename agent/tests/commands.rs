//! Commands from upstream: the real binary, a real broker, and each example of the README.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that is not there is null, and fails the assertion"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use rumqttc::PublishOptions;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use support::{Broker, LONG, ROOT, Subscriber, free_port};

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

/// The configuration, the store, and the agent while it runs.
struct Gateway {
    dir: TempDir,
    child: Option<Child>,
}

const SITE: &str = r#"
[gateway]
company = "540170007"
id = "54017000701"
name = "试验网关"
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

impl Gateway {
    fn new(plant: u16, upstream: u16) -> Self {
        let dir = TempDir::new().expect("a directory");
        let config = dir.path().join("config");
        std::fs::create_dir(&config).expect("made");
        let site = SITE.replace("@broker", &plant.to_string());
        std::fs::write(config.join("site.toml"), site).expect("written");
        let (state, socket, http) = (dir.path().join("state"), dir.path().join("s.sock"), free_port());
        let commands: String = examples()
            .keys()
            .map(|name| format!("[[uplink.command]]\nname = \"{name}\"\npersons = [\"王敏\"]\n"))
            .collect();
        let local = format!(
            "[uplink]\nhost = \"127.0.0.1\"\nport = {upstream}\n{commands}\
             [console]\nhttp = \"127.0.0.1:{http}\"\nsocket = \"{}\"\n[store]\ndir = \"{}\"\n",
            socket.display(),
            state.display()
        );
        std::fs::write(config.join("local.toml"), local).expect("written");
        let points = "tag,source,address,value\nLT-101,plant,plant/level,$.v\n";
        std::fs::write(config.join("points.csv"), points).expect("written");
        Self { dir, child: None }
    }

    fn start(&mut self) {
        let log = std::fs::File::create(self.dir.path().join("log")).expect("made");
        let child = Command::new(env!("CARGO_BIN_EXE_riskgate"))
            .args(["run", "--config"])
            .arg(self.dir.path().join("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("it starts");
        self.child = Some(child);
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }

    /// Waits for a committed count.
    async fn counts(&self, query: &str, expected: i64) {
        let counted = async {
            while self.count(query) < expected {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, counted).await.unwrap_or_else(|_| panic!("{} and not {expected}", self.count(query)));
        assert_eq!(self.count(query), expected);
    }

    fn count(&self, query: &str) -> i64 {
        let path = self.dir.path().join("state").join("state.db");
        let reader = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("opened");
        reader.query_row(query, [], |row| row.get(0)).expect("read")
    }
}

impl Drop for Gateway {
    #[expect(clippy::print_stderr, reason = "of a test that failed, its log")]
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            eprintln!("{log}");
        }
    }
}

/// The platform, which also plays the plant.
struct Platform {
    subscriber: Subscriber,
    /// The newest `data` of each object, by topic and id.
    objects: BTreeMap<(String, String), Value>,
    /// Answers, by command id, in the order of their coming: the whole message.
    replies: BTreeMap<String, Vec<Value>>,
    /// It says that it is online and that it hears the plant.
    ready: bool,
}

impl Platform {
    async fn connect(port: u16) -> Self {
        let subscriber = Subscriber::connect(port).await;
        Self { subscriber, objects: BTreeMap::new(), replies: BTreeMap::new(), ready: false }
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
                self.ready = body["status"] == "online" && body["sources"][0]["link"] == "up";
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

/// An example as it is sent.
fn command(name: &str, id: &str, more: Value) -> Value {
    let now = Timestamp::from_millisecond(riskgate::clock::now().wall.0).expect("a time");
    let expires = now + SignedDuration::from_mins(5);
    let mut fields = json!({ "id": id, "by": "王敏", "expires": expires.to_string() });
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
    let mut gateway = Gateway::new(broker.port, broker.port);
    let mut platform = Platform::connect(broker.port).await;
    gateway.start();
    platform.until(|it| it.ready.then_some(())).await;
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
    let mut gateway = Gateway::new(broker.port, link.port);
    let mut platform = Platform::connect(broker.port).await;
    gateway.start();
    platform.until(|it| it.ready.then_some(())).await;
    platform.level(95.0).await;
    let hazard = platform.at_stage("candidate", "candidate").await;
    let revision = platform.objects[&("candidate".to_owned(), hazard.clone())]["revision"].clone();
    let fields = command("confirm", "c1", json!({ "hazard": hazard, "revision": revision }));
    link.mute();
    platform.subscriber.command("confirm", &fields, false).await;
    gateway.counts("SELECT count(*) FROM command WHERE id = 'c1'", 1).await;
    gateway.kill();
    gateway.start();
    // What the first agent said last may still be on its way: it is over where the broker tells its last will.
    platform.until(|it| (!it.ready).then_some(())).await;
    platform.until(|it| it.ready.then_some(())).await;
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
    let mut gateway = Gateway::new(broker.port, broker.port);
    let mut platform = Platform::connect(broker.port).await;
    // It was there before the agent, and would come with each of its connections.
    let kept = command("acknowledge", "kept", json!({ "revision": 1 }));
    platform.subscriber.command("acknowledge", &kept, true).await;
    gateway.start();
    let kept = platform.until(|it| it.replies.get("kept").and_then(|all| all.first()).cloned()).await;
    assert_eq!(kept["data"]["code"], json!("retained"));
    platform.until(|it| it.ready.then_some(())).await;
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
