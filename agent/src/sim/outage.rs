//! An outage of 72 hours, and the drain after it: a plant that goes on, ten critical messages a minute, readings to a
//! thousand a minute in all, and a card of 1 GiB for both. A shorter one has bounds that are smaller in proportion.
//!
//! Each reading is known by its point and its time, which nothing sets here: a table of all of them is small, and
//! tells at the end which are missing and of which class they were.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use riskgate_engine::{Act, Plant};
use riskgate_point::{Link, PointId, Report, Sample, SourceId};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::agent::{Agent, Knob, Setting};
use super::oracle::{Oracle, float, millis, reader};
use super::script::{START, deeds, folder, levels};
use super::{clock, run, set_spool_bounds, take_decided};
use crate::config;
use crate::pump::Order;
use crate::store::by_hand::Bounds;
use crate::store::{Batch, Lane};
use crate::uplink::SpoolBounds;
use crate::uplink::scripted::{self, Arrived, Broker, FAIR, Weather};

const SOURCES: u32 = 3;
const PERIOD: u64 = 10;
/// Each is read six times a minute and moves each time: 990 readings a minute.
const POINTS: u32 = 165;
/// Those of them that now and then pass their limit.
const RESTLESS: u32 = 24;
const CRITICAL_A_MINUTE: u64 = 10;
const CLASSES: [&str; 5] = ["process", "equipment", "gas", "fire", "sis"];

/// What is committed is told, once nothing stands in the way.
const TOLD_WITHIN_MS: i64 = 2_000;
/// A live reading waits for its batch, and then for nothing that is of the past.
const LIVE_WITHIN_MS: i64 = 8_000;
/// The longest pause between two tries, and a connection.
const CONNECTED_WITHIN_MS: i64 = 6_000;
/// What came so shortly before may be in memory, and goes as what is of now.
const IN_MEMORY_MS: i64 = 90_000;
const BATCH: Duration = Duration::from_secs(5);

/// A mobile link on a plant: 2 Mbit/s, and 60 ms there.
const MOBILE: Weather = Weather { latency: Duration::from_millis(60), bytes_per_s: 250_000, ..FAIR };

/// How long, and which part of the real bounds there is for it.
struct Size {
    hours: u64,
    part: u64,
}

fn plant() -> Arc<Plant> {
    let mut site = "[gateway]\ncompany = \"540170007\"\nid = \"54017000701\"\nname = \"试验网关\"\n\
        [uplink]\nhost = \"127.0.0.1\"\nport = 1\n[store]\ndir = \"/nowhere\"\n"
        .to_owned();
    for n in 0..SOURCES {
        site += &format!(
            "[[source]]\nid = \"s{n}\"\nname = \"s{n}\"\nkind = \"modbus-tcp\"\nhost = \"127.0.0.{}\"\nport = 1\nperiod = \"{PERIOD}s\"\n\
             [[unit]]\nid = \"U-{n}\"\nname = \"罐区\"\nhazard_code = \"540170007001\"\nbase_class = \"yellow\"\nliable_person = \"王强\"\n",
            n + 1
        );
    }
    for n in 0..POINTS {
        site += &format!(
            "[[measure]]\nid = \"M-{n}\"\nunit = \"U-{}\"\nevent = \"满溢\"\nname = \"液位\"\nclassify1 = \"1\"\nclassify2 = \"1-1\"\n",
            n % SOURCES
        );
    }
    let points = levels(POINTS, SOURCES, class_of);
    let files = vec![
        (PathBuf::from("site.toml"), site.into_bytes()),
        (PathBuf::from("points.csv"), points.into_bytes()),
    ];
    Arc::new(config::check_files(files).expect("it passes").plant)
}

fn class_of(point: u32) -> &'static str {
    let at = usize::try_from(point / SOURCES).expect("few") % CLASSES.len();
    CLASSES[at]
}

/// In which second of the period it is read.
fn turn_of(point: u32) -> u64 {
    (PERIOD - u64::from(point % SOURCES)) % PERIOD
}

/// All readings of the run: by point and by poll.
struct Readings {
    /// 1: the agent was given it. 2: it came.
    table: Vec<Vec<u8>>,
    reconnected: Option<i64>,
    /// Of the past, since the link is back: how many, the first and the last.
    past: u64,
    span: Option<(i64, i64)>,
    /// Of now, since the link is back.
    live: u64,
    slowest_live: i64,
    twice: u64,
}

#[derive(Deserialize)]
struct Told {
    data: Values,
}

#[derive(Deserialize)]
struct Values {
    values: Vec<Reading>,
}

#[derive(Deserialize)]
struct Reading {
    tag: String,
    time: String,
}

impl Readings {
    fn place(at: i64) -> usize {
        let period = i64::try_from(PERIOD * 1_000).expect("small");
        usize::try_from((at - START.0) / period).expect("after the start")
    }

    fn fed(&mut self, point: u32, at: i64) {
        let row = &mut self.table[usize::try_from(point).expect("few")];
        row.resize(Self::place(at) + 1, 0);
        *row.last_mut().expect("just made") = 1;
    }

    fn came(&mut self, payload: &[u8], now: i64) {
        let told: Told = serde_json::from_slice(payload).expect("readings");
        let (mut text, mut at) = (String::new(), 0);
        for reading in told.data.values {
            if reading.time != text {
                at = reading.time.parse::<jiff::Timestamp>().expect("a time").as_millisecond();
                text = reading.time;
            }
            let point: usize = reading.tag.trim_start_matches("LT-").parse().expect("our tag");
            let state = &mut self.table[point][Self::place(at)];
            assert!(*state > 0, "nobody read {} at {text}", reading.tag);
            self.twice += u64::from(*state == 2);
            *state = 2;
            let Some(reconnected) = self.reconnected else { continue };
            if at < reconnected - IN_MEMORY_MS {
                self.past += 1;
                let first = self.span.map_or(now, |(first, _)| first);
                self.span = Some((first, now));
            } else if at > reconnected + CONNECTED_WITHIN_MS {
                self.live += 1;
                self.slowest_live = self.slowest_live.max(now - at);
            }
        }
    }

    /// By class, those that never came: how many, the first and the last.
    fn missing(&self) -> BTreeMap<&'static str, (u64, i64, i64)> {
        let mut missing: BTreeMap<&'static str, (u64, i64, i64)> = BTreeMap::new();
        for (point, row) in (0..).zip(&self.table) {
            for (place, _) in row.iter().enumerate().filter(|(_, state)| **state == 1) {
                let at =
                    START.0 + i64::try_from((place as u64 * PERIOD + turn_of(point)) * 1_000).expect("small");
                let (count, first, last) = missing.entry(class_of(point)).or_insert((0, at, at));
                (*count, *first, *last) = (*count + 1, at.min(*first), at.max(*last));
            }
        }
        missing
    }

    fn all(&self) -> usize {
        self.table.iter().flatten().filter(|state| **state > 0).count()
    }
}

/// What the gaps say of readings.
#[derive(Default)]
struct Gaps {
    classes: BTreeMap<String, u64>,
    span: Option<(i64, i64)>,
    messages: u64,
}

/// What happened to critical messages.
#[derive(Default)]
struct Critical {
    /// When each was decided.
    decided: HashMap<(String, String, u64), i64>,
    count: u64,
    /// The last of the outage arrived then.
    caught_up: Option<i64>,
    /// The slowest of those that were decided later.
    slowest: i64,
    of_the_drain: u64,
}

struct Outage {
    rng: Rng,
    dir: tempfile::TempDir,
    size: Size,
    broker: Broker,
    oracle: Oracle,
    readings: Readings,
    gaps: Gaps,
    critical: Critical,
    high: Vec<bool>,
    next: u32,
    acts: u64,
    most_bytes: u64,
    most_rows: u64,
}

impl Outage {
    fn new(seed: u64, size: Size) -> (Self, Setting) {
        let (dir, broker) = (folder(), Broker::new(seed));
        broker.set_weather(MOBILE);
        scripted::connect_to(Some(broker.clone()));
        let (real, spool) = (Bounds::default(), SpoolBounds::default());
        let part = i64::try_from(size.part).expect("small");
        let bounds = Bounds { rows: real.rows / size.part, bytes: real.bytes / size.part };
        set_spool_bounds(SpoolBounds { readings: spool.readings / part, bytes: spool.bytes / part });
        let setting =
            Setting { dir: dir.path().to_owned(), plant: plant(), knob: Knob::new(), bounds, batch: BATCH };
        let readings = Readings {
            table: vec![Vec::new(); usize::try_from(POINTS).expect("few")],
            reconnected: None,
            past: 0,
            span: None,
            live: 0,
            slowest_live: 0,
            twice: 0,
        };
        let outage = Self {
            rng: Rng::with_seed(seed),
            dir,
            size,
            broker,
            oracle: Oracle::default(),
            readings,
            gaps: Gaps::default(),
            critical: Critical::default(),
            high: vec![false; usize::try_from(POINTS).expect("few")],
            next: 0,
            acts: 0,
            most_bytes: 0,
            most_rows: 0,
        };
        (outage, setting)
    }

    fn now() -> i64 {
        clock().wall.0
    }

    fn seconds() -> u64 {
        u64::try_from((Self::now() - START.0) / 1_000).expect("after the start")
    }

    async fn seconds_pass(&mut self, agent: &mut Agent, seconds: u64) {
        for _ in 0..seconds {
            agent.beside(sleep(Duration::from_secs(1))).await.expect("nothing kills it");
            self.turn(agent);
        }
    }

    fn turn(&mut self, agent: &Agent) {
        self.hear();
        let second = Self::seconds();
        for source in 0..SOURCES {
            if (second + u64::from(source)).is_multiple_of(PERIOD) {
                self.poll(agent, source);
            }
        }
        if second.is_multiple_of(120) {
            self.person(agent);
        }
        if second.is_multiple_of(60) {
            self.look(agent);
        }
    }

    fn poll(&mut self, agent: &Agent, source: u32) {
        let now = clock();
        let owed = (Self::seconds() * CRITICAL_A_MINUTE / 60).saturating_sub(self.critical.count);
        // A point that passes its limit is an alarm and a hazard.
        for _ in 0..owed.div_ceil(2).min(4) {
            let n = (self.next * SOURCES + source) % RESTLESS;
            self.next = (self.next + 1) % (RESTLESS / SOURCES);
            let high = &mut self.high[usize::try_from(n).expect("few")];
            *high = !*high;
        }
        let is_even = (Self::seconds() / PERIOD).is_multiple_of(2);
        let mut reports = Vec::new();
        for n in (source..POINTS).step_by(usize::try_from(SOURCES).expect("few")) {
            let low = if self.high[usize::try_from(n).expect("few")] { 91.0 } else { 20.0 };
            let value = low + if is_even { 5.0 } else { 0.0 } + self.rng.f64();
            self.readings.fed(n, now.wall.0);
            reports.push(Report::Sample(Sample::good(PointId(n), float(value), now)));
        }
        agent.intake.send(reports);
    }

    fn person(&mut self, agent: &Agent) {
        let mut deeds = deeds(&agent.board);
        if deeds.is_empty() {
            return;
        }
        let deed = deeds.swap_remove(self.rng.usize(0..deeds.len()));
        self.acts += 1;
        let (answer, _) = oneshot::channel();
        let act = Act { by: format!("P-{}", self.acts), deed };
        agent.orders.try_send(Order::Act { act, uid: 1000, answer }).expect("one at a time");
    }

    /// The bounds hold all the time.
    fn look(&mut self, agent: &Agent) {
        assert!(agent.status.borrow().in_flight <= 100, "the window is bounded");
        assert!(agent.telemetry.waiting().0 <= 100_000, "readings in memory are bounded");
        let entries = std::fs::read_dir(self.dir.path()).expect("the folder");
        let bytes =
            entries.map(|entry| entry.and_then(|entry| entry.metadata()).expect("a file").len()).sum();
        // A WAL and the room that is kept for a full disk have their size whatever the bounds are.
        let fixed = if self.size.part == 1 { 0 } else { 16 * 1024 * 1024 };
        let most = Bounds::default().bytes / self.size.part + fixed;
        assert!(bytes <= most, "{bytes} bytes of {most} after {} s", Self::seconds());
        self.most_bytes = self.most_bytes.max(bytes);
        if Self::seconds().is_multiple_of(3_600) {
            let rows: i64 = reader(self.dir.path())
                .query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))
                .expect("counted");
            self.most_rows = self.most_rows.max(u64::try_from(rows).expect("a count"));
        }
    }

    fn hear(&mut self) {
        let batches = take_decided();
        for batch in &batches {
            self.count(batch);
        }
        self.oracle.decided(batches);
        for arrived in self.broker.take_arrived() {
            self.arrived(&arrived);
        }
    }

    fn count(&mut self, batch: &Batch) {
        for message in batch.messages.iter().filter(|message| message.lane == Lane::Critical) {
            self.critical.count += 1;
            let key = (message.kind.clone(), message.object.clone(), message.revision);
            self.critical.decided.insert(key, batch.at.0);
        }
    }

    fn arrived(&mut self, arrived: &Arrived) {
        let now = Self::now() - i64::try_from(arrived.at.elapsed().as_millis()).expect("small");
        if arrived.topic.ends_with("/telemetry") {
            self.readings.came(&arrived.payload, now);
            return;
        }
        if arrived.topic.ends_with("/gap") {
            self.gap(&arrived.payload);
        } else {
            self.critical(&arrived.payload, now);
        }
        self.oracle.arrived(arrived, u64::try_from(now - START.0).expect("after the start"));
    }

    fn gap(&mut self, payload: &[u8]) {
        let message: Value = serde_json::from_slice(payload).expect("JSON");
        let data = &message["data"];
        assert_eq!(data["lane"], "telemetry", "of the lanes nothing goes: {data}");
        for (class, count) in data["classes"].as_object().expect("classes") {
            *self.gaps.classes.entry(class.clone()).or_default() += count.as_u64().expect("a count");
        }
        let (from, to) = (millis(data, "from"), millis(data, "to"));
        let (low, high) = self.gaps.span.unwrap_or((from, to));
        self.gaps.span = Some((low.min(from), high.max(to)));
        self.gaps.messages += 1;
    }

    fn critical(&mut self, payload: &[u8], now: i64) {
        let message: Value = serde_json::from_slice(payload).unwrap_or_default();
        let (Some(reconnected), Some("critical")) = (self.readings.reconnected, message["lane"].as_str())
        else {
            return;
        };
        let data = &message["data"];
        let word = |of: &Value| of.as_str().expect("a word").to_owned();
        let key = (word(&message["type"]), word(&data["id"]), data["revision"].as_u64().expect("a revision"));
        let decided = self.critical.decided[&key];
        if decided < reconnected {
            self.critical.caught_up = Some(now);
            assert_eq!(self.readings.past, 0, "readings of the past go behind every critical message");
        } else if self.critical.caught_up.is_some_and(|at| at < decided) {
            self.critical.slowest = self.critical.slowest.max(now - decided);
            self.critical.of_the_drain += u64::from(!self.is_spool_empty());
        }
    }

    fn is_spool_empty(&self) -> bool {
        let (_, last) = self.readings.span.unwrap_or_default();
        Self::now() - last > 10_000
    }

    async fn lasts(&mut self, setting: &Setting) {
        let mut agent = Agent::start(setting);
        for source in 0..SOURCES {
            let source = SourceId(u16::try_from(source).expect("few"));
            agent.intake.send(vec![Report::Link { source, link: Link::Up, at: clock() }]);
        }
        self.seconds_pass(&mut agent, 600).await;
        assert!(self.readings.missing().values().all(|(count, ..)| *count <= 250), "it flows");
        self.broker.set_weather(Weather { reachable: false, ..MOBILE });
        self.seconds_pass(&mut agent, self.size.hours * 3600).await;
        self.broker.set_weather(MOBILE);
        self.readings.reconnected = Some(Self::now());
        let began = Instant::now();
        let connection = reader(self.dir.path());
        while began.elapsed() < Duration::from_secs(600)
            || !self.is_spool_empty()
            || !self.oracle.is_drained(&connection)
        {
            assert!(began.elapsed() < Duration::from_secs(12 * 3600), "it does not drain");
            self.seconds_pass(&mut agent, 1).await;
        }
        drop(connection);
        // What came last is on its way.
        agent.beside(sleep(Duration::from_secs(10))).await.expect("nothing kills it");
        agent.stop().await;
        self.hear();
        self.oracle.finish(self.dir.path());
    }

    fn judge(&self) {
        let missing = self.readings.missing();
        let lost: u64 = missing.values().map(|(count, ..)| count).sum();
        let minutes = Self::seconds() / 60;
        let (first, last) = self.readings.span.expect("a backlog");
        let seconds = u64::try_from(last - first).expect("in order").div_ceil(1_000);
        let (past, live) = (self.readings.past / seconds, u64::from(POINTS) / PERIOD);
        let caught_up = self.critical.caught_up.expect("all of the outage");
        let since = |at: i64| (at - self.readings.reconnected.expect("it is back")) / 1_000;
        println!(
            "an outage of {} h, bounds 1/{}: {} readings and {} critical messages in {minutes} min, {} acts; at most \
             {} rows and {} MiB; {lost} readings evicted, told in {} gaps",
            self.size.hours,
            self.size.part,
            self.readings.all(),
            self.critical.count,
            self.acts,
            self.most_rows,
            self.most_bytes / 1024 / 1024,
            self.gaps.messages,
        );
        println!(
            "the drain: critical caught up after {} s; {} readings of the past in {seconds} s, {past} a second beside {live} \
             of now ({} in all, the slowest {} ms; {} twice); of {} critical messages meanwhile the slowest {} ms",
            since(caught_up),
            self.readings.past,
            self.readings.live,
            self.readings.slowest_live,
            self.readings.twice,
            self.critical.of_the_drain,
            self.critical.slowest,
        );
        assert!((9..=11).contains(&(self.critical.count / minutes)), "about ten critical messages a minute");
        assert_eq!(self.oracle.evicted + self.oracle.refused, 0, "of the lanes nothing goes");
        assert!(lost > 0, "the readings of so long do not fit");
        let told: BTreeMap<&str, u64> =
            self.gaps.classes.iter().map(|(class, n)| (class.as_str(), *n)).collect();
        let of_class = |(class, (count, ..)): (&&'static str, &(u64, i64, i64))| (*class, *count);
        assert_eq!(told, missing.iter().map(of_class).collect(), "each class is told, and no reading more");
        let (from, to) = self.gaps.span.expect("a gap");
        assert!(
            missing.values().all(|(_, first, last)| from <= *first && *last <= to),
            "within what is told"
        );
        assert!(past >= 10 * live, "{past} readings of the past a second, {live} of now");
        assert!(self.readings.slowest_live <= LIVE_WITHIN_MS, "live readings wait for the past");
        assert!(self.critical.of_the_drain >= 10, "there were some");
        assert!(self.critical.slowest <= TOLD_WITHIN_MS, "critical messages wait behind the past");
    }
}

fn outage(seed: u64, size: Size) {
    run(seed, START, async {
        let (mut outage, setting) = Outage::new(seed, size);
        outage.lasts(&setting).await;
        outage.judge();
    });
}

#[test]
fn after_an_outage_what_fits_is_drained_and_what_does_not_is_told_by_range_and_class() {
    outage(1, Size { hours: 3, part: 24 });
}

#[test]
#[ignore = "minutes, and 1 GiB of memory: cargo test -p riskgate --lib 72_hours -- --ignored --nocapture"]
fn the_outage_of_72_hours_at_full_size() {
    outage(1, Size { hours: 72, part: 1 });
}
