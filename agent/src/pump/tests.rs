//! The pump with the real engine and a real store in a directory of its own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use riskgate_drivers::intake::{Lane, Sender, channel};
use riskgate_drivers::tally::Tallies;
use riskgate_engine::{AlarmState, Deed};
use riskgate_point::{PointId, SourceId, Value, Wall};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::console::Site;
use crate::history::History;
use crate::{config, uplink};

const SITE: &str = r#"
[gateway]
company = "540170007"
id = "54017000701"
name = "试验网关"
[uplink]
host = "127.0.0.1"
port = 1
[store]
dir = "/nowhere"
[[source]]
id = "dcs"
name = "DCS"
kind = "modbus-tcp"
host = "127.0.0.1"
port = 1
device_id = 1
[[unit]]
id = "U-1"
name = "罐区"
hazard_code = "540170007001"
base_class = "yellow"
liable_person = "王强"
[[measure]]
id = "M-1"
unit = "U-1"
event = "满溢"
name = "液位高高报"
classify1 = "1"
classify2 = "1-1"
auto_record = true
[[task]]
id = "T-1"
measure = "M-1"
content = "查液位"
cycle = "8h"
assignee = "ban-a"
"#;
const POINTS: &str = "tag,source,address,type,range_low,range_high,HH,class,measure,confirm\n";
const LEVEL: &str = "LT-1,dcs,holding:0,f32,0,100,90,process,M-1,auto\n";

fn plant_of(rows: &str) -> Arc<Plant> {
    plant_at(SITE, rows)
}

fn plant_at(site: &str, rows: &str) -> Arc<Plant> {
    let files = vec![
        (PathBuf::from("site.toml"), site.as_bytes().to_vec()),
        (PathBuf::from("points.csv"), format!("{POINTS}{rows}").into_bytes()),
    ];
    Arc::new(config::check_files(files).expect("it passes").plant)
}

/// A running pump and everything around it.
struct Bench {
    dir: TempDir,
    store: Store,
    board: BoardHandle,
    orders: mpsc::Sender<Order>,
    out: Sender,
    stop: CancellationToken,
    turns: watch::Receiver<u64>,
    clock: Clock,
    undurable: Undurable,
    pump: JoinSet<Left>,
}

impl Bench {
    fn start(clock: Clock) -> Self {
        let dir = TempDir::new().expect("a directory");
        let now = clock();
        let plant = plant_of(LEVEL);
        let (store, opened) = Store::open(dir.path(), now.wall).expect("opened");
        let timezone = jiff::tz::TimeZone::UTC;
        let origin = Origin {
            company: "540170007".to_owned(),
            gateway: "54017000701".to_owned(),
            name: "试验网关".to_owned(),
            timezone: timezone.clone(),
            epoch: opened.epoch,
            epoch_began: opened.epoch_began,
            epoch_reason: opened.epoch_reason,
        };
        let shown = Site {
            company: "540170007".to_owned(),
            gateway: "54017000701".to_owned(),
            name: "试验网关".to_owned(),
            timezone,
        };
        let board = BoardHandle::new(shown, Arc::clone(&plant), clock);
        let mut first = Vec::new();
        let engine = Engine::new(Arc::clone(&plant), opened.epoch, opened.restored, now, &mut first);
        let limits = crate::history::Limits { keep: Duration::from_hours(1), max_bytes: 1 << 24 };
        let (_, history) = History::open(dir.path(), limits, &plant, now).expect("a thread");
        let (out, intake) = channel(1_000, |_| Lane::Process);
        let (orders, orders_receiver) = mpsc::channel(64);
        let (turns_sender, turns) = watch::channel(0);
        let (telemetry, _telemetry) = uplink::channel();
        let undurable = Undurable::default();
        let (states, _) = watch::channel(Vec::new());
        let (people, _) = watch::channel(Vec::new());
        let (permits, _) = watch::channel(None);
        let stop = CancellationToken::new();
        let mut pump = JoinSet::new();
        pump.spawn(
            Pump {
                engine,
                plant,
                clock,
                intake,
                tallies: Tallies::default(),
                orders: orders_receiver,
                store: store.clone(),
                history,
                board: board.clone(),
                telemetry,
                undurable: undurable.clone(),
                origin,
                states,
                people,
                permits,
                turns: turns_sender,
                first,
                first_acts: Vec::new(),
                carried: opened.commands,
                stop: stop.clone(),
            }
            .run(),
        );
        Self { dir, store, board, orders, out, stop, turns, clock, undurable, pump }
    }

    fn level(&self, number: f64) {
        let now = (self.clock)();
        let up = Report::Link { source: SourceId(0), link: Link::Up, at: now };
        let value = Value::float(number).expect("finite");
        self.out.send(vec![up, Report::Sample(Sample::good(PointId(0), value, now))]);
    }

    /// Until the board shows what is asked for; it changes only with a turn of the pump.
    async fn until<T>(&mut self, what: &str, seen: impl Fn(&BoardHandle) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = seen(&self.board) {
                    return found;
                }
                self.turns.changed().await.expect("the pump runs");
            }
        };
        tokio::time::timeout(Duration::from_secs(30), found).await.unwrap_or_else(|_| panic!("never: {what}"))
    }

    async fn act(&self, deed: Deed) -> oneshot::Receiver<Answer> {
        let (answer, told) = oneshot::channel();
        let act = Act { by: "王敏".to_owned(), deed };
        self.orders.send(Order::Act { act, uid: 1000, answer }).await.expect("the pump runs");
        told
    }

    fn acknowledge() -> Deed {
        Deed::Acknowledge { alarm: "LT-1/HH".to_owned() }
    }

    /// Another program holds the file: nothing commits.
    fn hold_file(&self) -> Connection {
        let other = Connection::open(self.dir.path().join("state.db")).expect("opened");
        other.busy_timeout(Duration::from_secs(60)).expect("set");
        other.execute_batch("BEGIN IMMEDIATE").expect("held");
        other
    }

    fn count(&self, query: &str) -> i64 {
        let reader = Connection::open(self.dir.path().join("state.db")).expect("opened");
        reader.query_row(query, [], |row| row.get(0)).expect("read")
    }

    async fn end(&mut self) -> Left {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), self.pump.join_next()).await;
        ended.expect("it ends in time").expect("one pump").expect("no panic")
    }
}

/// A clock by which no commit is late, however long a disk takes.
fn standing() -> Now {
    static BEGUN: OnceLock<Now> = OnceLock::new();
    *BEGUN.get_or_init(crate::clock::now)
}

/// The state and the durable mark of the one alarm.
fn alarm(board: &BoardHandle) -> Option<(AlarmState, bool)> {
    board.read().alarm("LT-1/HH").map(|line| (line.record.state, line.durable))
}

#[tokio::test]
async fn what_was_counted_of_the_present_cycle_is_kept_when_the_pump_stops() {
    let mut bench = Bench::start(crate::clock::now);
    bench.level(50.0);
    assert_eq!(bench.end().await, Left { over: 0 });
    // It is asked after the last that was to be kept.
    bench.store.units().await.expect("read");
    let kept =
        "SELECT json_extract(body, '$.watched.T-1.period.end') > json_extract(body, '$.at') FROM running";
    assert_eq!(bench.count(kept), 1);
}

const ONSET: &str = r#"
[[rule]]
id = "hot"
measure = "M-1"
name = "液位反复偏高"
priority = "high"
when = "{LT-1} > 80"
hazard = { level = "general", confirm = "auto", deadline = "24h", repeats = 3, within = "1h" }
"#;

fn at(seconds: u64, stepped: i64) -> Now {
    let wall = 1_700_000_000_000 + i64::try_from(seconds * 1_000).expect("soon") + stepped;
    Now { mono: riskgate_point::Mono(seconds * 1_000_000_000), wall: Wall(wall) }
}

fn kept_in(dir: &TempDir, store: Store) -> riskgate_engine::Running {
    store.close().expect("closes");
    let (store, opened) = Store::open(dir.path(), at(0, 0).wall).expect("opened");
    store.close().expect("closes");
    opened.restored.running.expect("kept")
}

#[tokio::test]
async fn what_could_not_be_kept_while_the_clock_was_in_doubt_is_kept_right_after() {
    const STEP_MS: i64 = 10 * 60 * 1000;
    let dir = TempDir::new().expect("a directory");
    let (store, opened) = Store::open(dir.path(), at(1, 0).wall).expect("opened");
    let plant = plant_at(&format!("{SITE}{ONSET}"), LEVEL);
    let mut effects = Vec::new();
    let mut engine = Engine::new(plant, opened.epoch, opened.restored, at(1, 0), &mut effects);
    let mut keeping = keep::Keeping::default();
    keeping.turn(&engine, &store, at(1, 0));
    let up = Report::Link { source: SourceId(0), link: Link::Up, at: at(2, STEP_MS) };
    engine.handle(up, at(2, STEP_MS), &mut effects);
    let high = Sample::good(PointId(0), Value::float(85.0).expect("finite"), at(3, STEP_MS));
    engine.handle(Report::Sample(high), at(3, STEP_MS), &mut effects);
    keeping.turn(&engine, &store, at(3, STEP_MS));
    assert_eq!(engine.running(at(3, STEP_MS)), None, "which time is right is not known yet");
    engine.handle_timeout(at(90, STEP_MS), &mut effects);
    keeping.turn(&engine, &store, at(90, STEP_MS));
    let kept = kept_in(&dir, store);
    assert_eq!(kept.onsets.get("hot"), Some(&vec![Duration::from_secs(87)]));
}

#[tokio::test]
async fn where_nothing_is_counted_any_more_that_is_kept_too() {
    let dir = TempDir::new().expect("a directory");
    let (store, opened) = Store::open(dir.path(), at(1, 0).wall).expect("opened");
    let mut effects = Vec::new();
    let engine = Engine::new(plant_of(LEVEL), opened.epoch, opened.restored, at(1, 0), &mut effects);
    keep::Keeping::default().turn(&engine, &store, at(1, 0));
    let kept = kept_in(&dir, store);
    assert!(kept.watched.contains_key("T-1"));
    let (store, opened) = Store::open(dir.path(), at(2, 0).wall).expect("opened");
    let plant = plant_at(&SITE.replace("auto_record = true", ""), LEVEL);
    let engine = Engine::new(plant, opened.epoch, opened.restored, at(2, 0), &mut effects);
    keep::Keeping::default().turn(&engine, &store, at(2, 0));
    assert_eq!(kept_in(&dir, store).watched.len(), 0);
}

#[tokio::test]
async fn what_is_decided_is_shown_when_it_is_on_disk_and_an_act_is_answered_then() {
    let mut bench = Bench::start(standing);
    bench.level(95.0);
    let shown = bench.until("the alarm", alarm).await;
    assert_eq!(shown, (AlarmState::Unacknowledged, true));
    assert_eq!(bench.count("SELECT count(*) FROM alarm"), 1);
    assert_eq!(bench.count("SELECT count(*) FROM hazard WHERE stage = 'rectifying'"), 1);
    let told = bench.act(Bench::acknowledge()).await;
    assert_eq!(told.await, Ok(Answer::Done { durable: true }));
    assert_eq!(
        bench.count(
            "SELECT count(*) FROM journal WHERE line LIKE '%\"by\":\"王敏\",%\"uid\":1000,\"unit\":%'"
        ),
        1
    );
    let refused = bench.act(Deed::Acknowledge { alarm: "LT-2/HH".to_owned() }).await;
    assert!(matches!(refused.await, Ok(Answer::Refused(Refusal::UnknownAlarm { .. }))));
    assert_eq!(bench.end().await, Left { over: 0 });
}

#[tokio::test]
async fn a_commit_that_fails_is_told_as_not_durable_turns_health_red_and_is_durable_in_the_end() {
    let mut bench = Bench::start(crate::clock::now);
    let other = bench.hold_file();
    bench.level(95.0);
    bench.until("the failure", |board| board.read().store_failure().map(str::to_owned)).await;
    let shown = bench.until("the alarm", alarm).await;
    assert_eq!(shown, (AlarmState::Unacknowledged, false));
    assert!(!bench.undurable.is_empty(), "upstream is told too");
    let told = bench.act(Bench::acknowledge()).await;
    assert_eq!(told.await, Ok(Answer::Done { durable: false }));
    other.execute_batch("ROLLBACK").expect("let go");
    bench.until("durable", |board| alarm(board).filter(|(_, durable)| *durable)).await;
    let undurable = bench.undurable.clone();
    bench.until("the outbox tells it now", |_| undurable.is_empty().then_some(())).await;
    bench.until("health", |board| board.read().store_failure().is_none().then_some(())).await;
    assert_eq!(bench.count("SELECT count(*) FROM hazard"), 1, "under the same id, once");
    assert_eq!(bench.end().await, Left { over: 0 });
}

#[tokio::test]
async fn a_stop_judges_what_waits_and_commits_it_whoever_still_holds_the_intake() {
    let mut bench = Bench::start(standing);
    // A driver that hangs keeps its sender.
    let _hung = bench.out.clone();
    bench.level(95.0);
    assert_eq!(bench.end().await, Left { over: 0 });
    assert_eq!(bench.count("SELECT count(*) FROM hazard WHERE stage = 'rectifying'"), 1);
    assert_eq!(alarm(&bench.board), Some((AlarmState::Unacknowledged, true)));
}

#[tokio::test]
async fn a_stop_with_a_full_store_says_what_it_leaves() {
    let mut bench = Bench::start(crate::clock::now);
    let _other = bench.hold_file();
    let entry = JournalEntry {
        at: Wall(1),
        by: "riskgate".to_owned(),
        what: "fill".to_owned(),
        body: serde_json::Value::Null,
    };
    let fill = Batch {
        seq: 0,
        effects: Vec::new(),
        messages: Vec::new(),
        acts: vec![entry; 10_000],
        commands: Vec::new(),
        at: Wall(1),
    };
    bench.store.try_commit(fill).expect("room");
    bench.level(95.0);
    let left = bench.end().await;
    assert!(left.over > 0, "{left:?}");
}

#[tokio::test]
async fn a_swap_is_answered_after_the_commit_of_its_journal_and_keeps_the_alarm() {
    let mut bench = Bench::start(standing);
    bench.level(95.0);
    bench.until("the alarm", alarm).await;
    let entry = JournalEntry {
        at: Wall(1),
        by: "riskgate".to_owned(),
        what: "reload".to_owned(),
        body: serde_json::Value::Null,
    };
    let (answer, told) = oneshot::channel();
    let more = format!("{LEVEL}LT-2,dcs,holding:2,f32,0,100,90,process,M-1,auto\n");
    let plant = plant_of(&more);
    let (go, tallies) = (CancellationToken::new(), Tallies::default());
    let swap = Order::Swap { plant, go: go.clone(), tallies, entry, taken: None, answer };
    bench.orders.send(swap).await.expect("the pump runs");
    assert_eq!(told.await, Ok(Answer::Done { durable: true }));
    assert!(go.is_cancelled(), "the new drivers may begin");
    assert_eq!(bench.count("SELECT count(*) FROM journal WHERE json_extract(line, '$.what') = 'reload'"), 1);
    assert_eq!(bench.board.read().plant().points().len(), 2);
    bench.level(96.0);
    assert_eq!(alarm(&bench.board), Some((AlarmState::Unacknowledged, true)));
    assert_eq!(bench.end().await, Left { over: 0 });
}

/// 1970-01-01: nobody has set this clock.
fn unset() -> Now {
    Now { wall: Wall(1_000_000), ..crate::clock::now() }
}

impl Bench {
    fn commanded(&self, id: &str, revision: u64) -> Commanded {
        let act = Act { by: "王敏".to_owned(), deed: Self::acknowledge() };
        let (id, name, digest) = (id.to_owned(), "acknowledge".to_owned(), format!("of {revision}"));
        let expires = (self.clock)().wall.after(Duration::from_secs(60));
        Commanded { id, name, act, revision, expires, digest }
    }

    async fn command(&self, command: Commanded) -> oneshot::Receiver<Verdict> {
        let (answer, told) = oneshot::channel();
        let command = Box::new(command);
        self.orders.send(Order::Command { command, answer }).await.expect("the pump runs");
        told
    }

    async fn refused(&self, command: Commanded) -> Refused {
        match self.command(command).await.await.expect("answered") {
            Verdict::Refused(refused) => refused,
            carried @ Verdict::Carried { .. } => panic!("{carried:?}"),
        }
    }

    /// The alarm, and its revision.
    async fn alarmed(&mut self) -> u64 {
        self.level(95.0);
        let durable = |board: &BoardHandle| {
            board.read().alarm("LT-1/HH").filter(|line| line.durable).map(|line| line.record.revision)
        };
        self.until("the alarm", durable).await
    }
}

#[tokio::test]
async fn a_command_is_answered_when_it_is_on_disk_however_late_and_so_is_its_repeat() {
    let mut bench = Bench::start(crate::clock::now);
    let revision = bench.alarmed().await;
    let other = bench.hold_file();
    let mut first = bench.command(bench.commanded("c1", revision)).await;
    let mut again = bench.command(bench.commanded("c1", revision)).await;
    let acknowledged = |board: &BoardHandle| {
        alarm(board).filter(|shown| *shown == (AlarmState::Acknowledged, false)).map(drop)
    };
    bench.until("people are shown it before", acknowledged).await;
    assert!(first.try_recv().is_err() && again.try_recv().is_err(), "upstream is not told");
    other.execute_batch("ROLLBACK").expect("let go");
    let Ok(Verdict::Carried { result, again: false }) = first.await else { panic!("not carried out") };
    assert_eq!((&result["changes"], result["revision"].as_u64()), (&1.into(), Some(revision + 1)));
    assert_eq!(again.await, Ok(Verdict::Carried { result, again: true }));
    let acts = "SELECT count(*) FROM journal WHERE line LIKE '%\"command\":\"c1\"%\"path\":\"mqtt\"%'";
    assert_eq!((bench.count(acts), bench.count("SELECT count(*) FROM command")), (1, 1));
    let replayed = Commanded { digest: "of another".to_owned(), ..bench.commanded("c1", revision) };
    assert_eq!(bench.refused(replayed).await.code, "replayed");
    assert_eq!(bench.end().await, Left { over: 0 });
}

#[tokio::test]
async fn a_command_that_comes_too_late_or_sees_another_revision_changes_nothing() {
    let mut bench = Bench::start(standing);
    let revision = bench.alarmed().await;
    let stale = bench.refused(bench.commanded("c1", revision + 1)).await;
    assert_eq!((stale.code.as_ref(), stale.revision), ("stale", Some(revision)));
    let now = (bench.clock)().wall;
    let expired = Commanded { expires: Wall(now.0 - 1), ..bench.commanded("c1", revision) };
    assert_eq!(bench.refused(expired).await.code, "expired");
    let in_two_days = now.after(Duration::from_secs(48 * 3600));
    let for_ever = Commanded { expires: in_two_days, ..bench.commanded("c1", revision) };
    assert_eq!(bench.refused(for_ever).await.code, "malformed");
    let deed = Deed::Acknowledge { alarm: "LT-2/HH".to_owned() };
    let act = Act { by: "王敏".to_owned(), deed };
    let nothing = Commanded { act, ..bench.commanded("c1", 7) };
    assert_eq!(bench.refused(nothing).await.code, "unknown_alarm");
    assert_eq!(bench.count("SELECT count(*) FROM command"), 0);
    assert_eq!(alarm(&bench.board), Some((AlarmState::Unacknowledged, true)));
}

#[tokio::test]
async fn a_clock_that_nobody_has_set_judges_no_expiry() {
    let bench = Bench::start(unset);
    assert_eq!(bench.refused(bench.commanded("c1", 0)).await.code, "clock_suspect");
}

/// While it is some, a source that a swap leaves alone sends whenever the pump looks at its clock, until `go`.
static FLOOD: Mutex<Option<(Sender, CancellationToken)>> = Mutex::new(None);
static FLOODED: AtomicUsize = AtomicUsize::new(0);
const FLOOD_MAX: usize = 1_000;

fn flooding() -> Now {
    let now = crate::clock::now();
    if let Some((out, go)) = &*FLOOD.lock().expect("whole")
        && !go.is_cancelled()
        && FLOODED.fetch_add(1, Ordering::Relaxed) < FLOOD_MAX
    {
        let value = Value::float(50.0).expect("finite");
        out.send(vec![Report::Sample(Sample::good(PointId(0), value, now))]);
    }
    now
}

#[tokio::test]
async fn a_swap_waits_for_what_was_there_before_it_and_not_for_a_source_that_goes_on_sending() {
    let mut bench = Bench::start(flooding);
    bench.level(95.0);
    bench.until("the alarm", alarm).await;
    bench.level(96.0);
    let entry = JournalEntry {
        at: Wall(1),
        by: "riskgate".to_owned(),
        what: "reload".to_owned(),
        body: serde_json::Value::Null,
    };
    let (answer, told) = oneshot::channel();
    let (go, tallies) = (CancellationToken::new(), Tallies::default());
    *FLOOD.lock().expect("whole") = Some((bench.out.clone(), go.clone()));
    let plant = plant_of(LEVEL);
    let swap = Order::Swap { plant, go: go.clone(), tallies, entry, taken: None, answer };
    bench.orders.send(swap).await.expect("the pump runs");
    let told = told.await;
    let flooded = FLOODED.load(Ordering::Relaxed);
    drop(FLOOD.lock().expect("whole").take());
    assert_eq!(told, Ok(Answer::Done { durable: true }));
    assert!(flooded > 0 && flooded < FLOOD_MAX, "the swap waited for the end of the flood: {flooded}");
    assert_eq!(bench.end().await, Left { over: 0 });
}
