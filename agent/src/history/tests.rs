//! The history with a real file in a directory of its own, and a clock that the test turns.

use std::path::PathBuf;
use std::time::Instant;

use jiff::tz::TimeZone;
use riskgate_engine::{Effect, Engine, Epoch, Restored};
use riskgate_point::{BadReason, Link, Mono, PointId, Sample, SourceId};
use rusqlite::Connection;
use tempfile::TempDir;

use super::export::export;
use super::read::Reader;
use super::*;
use crate::config;

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
[[rule]]
id = "warm"
measure = "M-1"
name = "温升"
priority = "high"
when = "avg({P-0}, 10m) > 60"
"#;
const LIMITS: Limits = Limits { keep: Duration::from_secs(30 * 86_400), max_bytes: 1 << 30 };
const START: Now = Now { mono: Mono(1_000_000_000_000_000), wall: Wall(1_700_000_000_000) };

/// Points `P-0`, `P-1`, … of one source; silent after 5 s.
fn plant(n: usize) -> Arc<Plant> {
    plant_with(n, "")
}

fn plant_with(n: usize, stale_after: &str) -> Arc<Plant> {
    let mut rows = "tag,source,address,type,class,stale_after\n".to_owned();
    for place in 0..n {
        rows.push_str(&format!("P-{place},dcs,holding:{},f32,process,{stale_after}\n", place * 2));
    }
    let files = vec![
        (PathBuf::from("site.toml"), SITE.as_bytes().to_vec()),
        (PathBuf::from("points.csv"), rows.into_bytes()),
    ];
    Arc::new(config::check_files(files).expect("it passes").plant)
}

struct Bench {
    dir: TempDir,
    plant: Arc<Plant>,
    running: Option<(History, Recorder)>,
    limits: Limits,
    now: Now,
}

impl Bench {
    fn start(n: usize) -> Self {
        Self::with(n, LIMITS)
    }

    fn with(n: usize, limits: Limits) -> Self {
        let dir = TempDir::new().expect("a directory");
        let mut bench = Self { dir, plant: plant(n), running: None, limits, now: START };
        bench.open();
        bench
    }

    fn open(&mut self) {
        let opened = History::open(self.dir.path(), self.limits, &self.plant, self.now);
        self.running = Some(opened.expect("a thread"));
    }

    fn history(&self) -> &History {
        &self.running.as_ref().expect("it runs").0
    }

    fn recorder(&mut self) -> &mut Recorder {
        &mut self.running.as_mut().expect("it runs").1
    }

    fn stop(&mut self) {
        self.running.take().expect("it runs").0.close();
    }

    fn good(&self, point: u32, number: f64) -> Report {
        Report::Sample(Sample::good(PointId(point), Value::float(number).expect("finite"), self.now))
    }

    /// Seconds pass; each one these points read what they read, and the pump turns.
    fn pass(&mut self, seconds: u64, mut read: impl FnMut(u64) -> Vec<(u32, f64)>) {
        for second in 0..seconds {
            let reports: Vec<Report> =
                read(second).into_iter().map(|(point, number)| self.good(point, number)).collect();
            let now = self.now;
            self.recorder().offer(&reports);
            self.recorder().turn(now);
            self.now = now.after(Duration::from_secs(1));
        }
    }

    /// Until everything so far is on disk.
    async fn flushed(&mut self) {
        self.now = self.now.after(FLUSH_EVERY);
        let now = self.now;
        self.recorder().turn(now);
        self.until("a write", move |status| status.known_to == Some(now.wall)).await;
    }

    async fn until(&self, what: &str, is: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.history().status();
        let seen = tokio::time::timeout(Duration::from_secs(60), status.wait_for(is)).await;
        seen.unwrap_or_else(|_| panic!("never: {what}")).expect("it runs").clone()
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(FILE)
    }

    /// From the first second on, in the file alone: seconds since the start, value or reason.
    fn trend(&self, tag: &str) -> Vec<(f64, String)> {
        let reader = Reader::open(&self.path()).expect("it opens");
        let trend = reader.trend(tag, START.wall, self.now.wall, None).expect("it reads");
        shown(&trend)
    }

    /// Of the one who is asked, with what is in memory.
    async fn trend_now(&self, tag: &str) -> Vec<(f64, String)> {
        let open = self.history().unwritten(tag).await.expect("it runs");
        let reader = Reader::open(&self.path()).expect("it opens");
        shown(&reader.trend(tag, START.wall, self.now.wall, Some(open)).expect("it reads"))
    }
}

fn shown(trend: &[Reading]) -> Vec<(f64, String)> {
    trend
        .iter()
        .map(|reading| {
            let value = match (&reading.value, reading.quality) {
                (Some(value), Quality::Good) => value.to_string(),
                (value, quality) => {
                    format!(
                        "{}{quality}",
                        value.as_ref().map(|value| format!("{value} ")).unwrap_or_default()
                    )
                }
            };
            let late = if reading.backfill { " late" } else { "" };
            ((reading.at.0 - START.wall.0) as f64 / 1e3, format!("{value}{late}"))
        })
        .collect()
}

fn line(at: f64, value: &str) -> (f64, String) {
    (at, value.to_owned())
}

#[tokio::test]
async fn changes_are_kept_with_quality_and_late_ones_are_marked_and_what_is_in_memory_is_seen() {
    let mut bench = Bench::start(2);
    bench.pass(3, |_| vec![(0, 47.5), (1, 1.0)]);
    let late = Sample {
        backfill: true,
        source_time: Some(Wall(5)),
        ..Sample::good(PointId(0), Value::Int(7), bench.now)
    };
    let bad = Sample::bad(PointId(0), BadReason::CommFailure, bench.now);
    bench.recorder().offer(&[Report::Sample(late), Report::Sample(bad)]);
    bench.pass(1, |_| vec![(1, 1.0)]);
    let all = [line(0.0, "47.5"), line(3.0, "7 late"), line(3.0, "bad comm_failure")];
    assert_eq!(bench.trend_now("P-0").await, all);
    assert_eq!(bench.trend_now("P-1").await, [line(0.0, "1")]);
    bench.flushed().await;
    assert_eq!(bench.trend("P-0"), all);
    assert_eq!(bench.trend_now("P-0").await, all);
    let status = bench.until("counts", |status| status.open == 0).await;
    assert_eq!((status.dropped, status.failed), (0, None));
    assert!(status.kept >= 4 && status.block_bytes > 0 && status.written_bytes > status.block_bytes);
    let reader = Reader::open(&bench.path()).expect("it opens");
    let unknown = reader.trend("P-00", START.wall, bench.now.wall, None).expect_err("no such point");
    assert!(matches!(unknown, HistoryError::UnknownPoint { nearest: Some(near), .. } if near == "P-0"));
    bench.stop();
}

#[tokio::test]
async fn a_point_that_falls_silent_is_bad_from_then_on_and_a_quiet_one_is_not() {
    let mut bench = Bench::start(2);
    // Both read the same all the time; then only one does; then both again.
    bench.pass(100, |_| vec![(0, 1.0), (1, 2.0)]);
    bench.pass(100, |_| vec![(1, 2.0)]);
    bench.pass(2, |_| vec![(0, 1.0), (1, 2.0)]);
    let trend = bench.trend_now("P-0").await;
    assert_eq!(trend, [line(0.0, "1"), line(104.0, "bad stale"), line(200.0, "1")]);
    assert_eq!(bench.trend_now("P-1").await, [line(0.0, "2")]);
    bench.stop();
}

#[tokio::test]
async fn a_keep_alive_of_the_source_makes_its_points_go_on_without_samples() {
    let mut bench = Bench::start(1);
    bench.pass(1, |_| vec![(0, 1.0)]);
    let alive = |bench: &mut Bench, seconds: u32| {
        for _ in 0..seconds {
            let at = bench.now;
            bench.recorder().offer(&[Report::Refreshed { source: SourceId(0), at }]);
            bench.pass(1, |_| vec![]);
        }
    };
    alive(&mut bench, 100);
    assert_eq!(bench.trend_now("P-0").await, [line(0.0, "1")]);
    bench.pass(80, |_| vec![]);
    alive(&mut bench, 61);
    let trend = bench.trend_now("P-0").await;
    let [first, silent, again] = &trend[..] else { panic!("{trend:?}") };
    assert_eq!((first, silent), (&line(0.0, "1"), &line(105.0, "bad stale")));
    assert!(again.1 == "1" && (181.0..243.0).contains(&again.0), "{again:?}");
    bench.stop();
}

#[tokio::test]
async fn what_is_in_force_is_written_again_so_that_no_reader_looks_back_for_long() {
    let mut bench = Bench::start(1);
    bench.pass(4_000, |_| vec![(0, 5.0)]);
    bench.flushed().await;
    let reader = Reader::open(&bench.path()).expect("it opens");
    let since = START.wall.after(Duration::from_secs(3_500));
    let until = START.wall.after(Duration::from_secs(3_590));
    let trend = shown(&reader.trend("P-0", since, until, None).expect("it reads"));
    assert!(matches!(&trend[..], [(at, value)] if *at > 2_400.0 && value == "5"), "{trend:?}");
    bench.stop();
}

#[tokio::test]
async fn a_stop_and_a_start_leave_a_gap_in_which_nothing_is_known() {
    let mut bench = Bench::start(1);
    bench.pass(10, |_| vec![(0, 5.0)]);
    bench.stop();
    bench.now = bench.now.after(Duration::from_secs(60));
    bench.open();
    bench.pass(5, |_| vec![(0, 5.0)]);
    assert_eq!(bench.trend_now("P-0").await, [line(0.0, "5"), line(9.0, "bad stale"), line(70.0, "5")]);
    bench.flushed().await;
    let reader = Reader::open(&bench.path()).expect("it opens");
    let gaps = reader.gaps().expect("they read");
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].why.as_str(), gaps[0].to.0 - gaps[0].from.0), ("not_running", 61_000));
    bench.stop();
}

/// As the disk would be after a loss of power: the file and its WAL at some moment.
fn crashed(bench: &mut Bench) {
    let dir = TempDir::new().expect("a directory");
    for ending in ["", "-wal"] {
        let name = format!("{FILE}{ending}");
        let from = bench.dir.path().join(&name);
        if from.exists() {
            std::fs::copy(from, dir.path().join(name)).expect("copied");
        }
    }
    let old = std::mem::replace(&mut bench.dir, dir);
    bench.running.take().expect("it runs").0.close();
    drop(old);
}

#[tokio::test]
async fn a_crash_costs_what_was_in_memory_and_is_told_as_a_gap() {
    let mut bench = Bench::start(1);
    bench.pass(10, |second| vec![(0, second as f64)]);
    bench.flushed().await;
    bench.pass(10, |second| vec![(0, 100.0 + second as f64)]);
    crashed(&mut bench);
    bench.now = bench.now.after(Duration::from_secs(20));
    bench.open();
    bench.pass(1, |_| vec![(0, 7.0)]);
    let trend = bench.trend_now("P-0").await;
    assert_eq!(trend[8..], [line(8.0, "8"), line(9.0, "9"), line(14.0, "bad stale"), line(340.0, "7")]);
    bench.stop();
}

#[tokio::test]
async fn a_full_queue_drops_counts_and_tells_a_gap_and_then_says_what_is_in_force() {
    let mut bench = Bench::start(1);
    bench.pass(1, |_| vec![(0, 1.0)]);
    // The thread has taken that: else not even the first finds room.
    bench.until("the first sample", |status| status.open == 1).await;
    let (history, recorder) = bench.running.as_mut().expect("it runs");
    // More at once than there is room for, twice: the second finds the first still there.
    let now = bench.now;
    let flood = |from: usize| -> Vec<Report> {
        (from..from + queue::SAMPLES_MAX)
            .map(|n| Report::Sample(Sample::good(PointId(0), Value::Int(i64::try_from(n).unwrap()), now)))
            .collect()
    };
    let (first, second) = (flood(0), flood(500_000));
    let held = history.0.queue.hold();
    recorder.offer(&first);
    recorder.offer(&second);
    drop(held);
    recorder.turn(now);
    let mut status = history.status();
    let dropped =
        tokio::time::timeout(Duration::from_secs(60), status.wait_for(|status| status.dropped > 0)).await;
    assert_eq!(dropped.expect("in time").expect("it runs").dropped, 100_000);
    bench.now = now.after(Duration::from_secs(1));
    bench.pass(2, |_| vec![(0, 599_999.0)]);
    let trend = bench.trend_now("P-0").await;
    assert!(trend.contains(&line(1.0, "bad stale")), "what was lost of one moment is a gap");
    assert_eq!(
        trend.last(),
        Some(&line(2.0, "599999")),
        "what came next is there though it is what was lost"
    );
    bench.stop();
}

#[tokio::test]
async fn damaged_foreign_and_newer_files_are_kept_aside_and_a_new_one_begins() {
    type Spoil = fn(&std::path::Path);
    let spoils: [(&str, Spoil); 3] = [
        ("damaged", |path| std::fs::write(path, vec![7_u8; 9_000]).expect("written")),
        ("foreign", |path| {
            std::fs::remove_file(path).expect("removed");
            let other = Connection::open(path).expect("opened");
            other.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)").expect("made");
        }),
        ("newer", |path| {
            let other = Connection::open(path).expect("opened");
            other.pragma_update(None, "user_version", 99).expect("set");
        }),
    ];
    for (what, spoil) in spoils {
        let mut bench = Bench::start(1);
        bench.pass(3, |_| vec![(0, 5.0)]);
        bench.stop();
        spoil(&bench.path());
        let before = std::fs::read(bench.path()).expect("read");
        bench.open();
        bench.pass(3, |_| vec![(0, 6.0)]);
        bench.flushed().await;
        assert_eq!(bench.trend("P-0").first().map(|(_, value)| value.as_str()), Some("6"), "{what}");
        let aside = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.expect("an entry").path();
            let name = path.to_string_lossy();
            let is_one = name.contains(".damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm");
            is_one.then(|| path.clone())
        };
        let kept: Vec<PathBuf> =
            std::fs::read_dir(bench.dir.path()).expect("a folder").filter_map(aside).collect();
        assert_eq!(kept.len(), 1, "{what}: {kept:?}");
        assert_eq!(std::fs::read(&kept[0]).expect("read"), before, "{what}: byte for byte");
        bench.stop();
    }
}

#[tokio::test]
async fn damage_that_is_found_while_it_runs_is_kept_aside_and_nothing_in_memory_is_lost() {
    let mut bench = Bench::start(1);
    bench.pass(3, |_| vec![(0, 5.0)]);
    bench.flushed().await;
    let other = Connection::open(bench.path()).expect("opened");
    other.execute_batch("DROP TABLE block").expect("dropped");
    drop(other);
    bench.pass(3, |second| vec![(0, second as f64)]);
    bench.now = bench.now.after(FLUSH_EVERY);
    let now = bench.now;
    bench.recorder().turn(now);
    bench.until("the failure", |status| status.failed.is_some()).await;
    bench.flushed().await;
    bench.until("a new file", |status| status.failed.is_none()).await;
    let trend = bench.trend("P-0");
    assert!(trend.iter().any(|(_, value)| value == "2"), "{trend:?}");
    bench.stop();
}

#[tokio::test]
async fn a_file_that_is_held_is_tried_again_and_what_waited_is_written() {
    let mut bench = Bench::start(1);
    bench.pass(3, |_| vec![(0, 5.0)]);
    let other = Connection::open(bench.path()).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("held");
    bench.now = bench.now.after(FLUSH_EVERY);
    let now = bench.now;
    bench.recorder().turn(now);
    bench.until("the failure", |status| status.failed.is_some()).await;
    bench.pass(3, |_| vec![(0, 6.0)]);
    other.execute_batch("ROLLBACK").expect("let go");
    bench.flushed().await;
    let status = bench.until("it works", |status| status.failed.is_none()).await;
    assert_eq!(status.dropped, 0);
    let values: Vec<String> = bench.trend("P-0").into_iter().map(|(_, value)| value).collect();
    assert!(values.contains(&"5".to_owned()) && values.contains(&"6".to_owned()), "{values:?}");
    bench.stop();
}

#[tokio::test]
async fn the_oldest_goes_when_it_is_too_old_or_too_much_and_the_file_does_not_grow_on() {
    let limits = Limits { keep: Duration::from_secs(3_600), max_bytes: 300_000 };
    let mut bench = Bench::with(20, limits);
    let mut noise = 1_u32;
    for _ in 0..30 {
        bench.pass(120, |_| {
            let mut next = || {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                f64::from(noise >> 8)
            };
            (0..20).map(|point| (point, next())).collect()
        });
        bench.flushed().await;
        let status = bench.until("a write", |status| status.open == 0).await;
        assert!(status.file_bytes <= 300_000, "{status:?}");
        let age = bench.now.wall.0 - status.oldest.expect("something is there").0;
        assert!(age <= 3_600_000 + 2 * 420_000, "{age}");
    }
    bench.stop();
    let size = std::fs::metadata(bench.path()).expect("there").len();
    assert!(size < 900_000, "{size}");
}

#[tokio::test]
async fn another_bound_holds_from_the_next_write_on_without_a_restart() {
    let mut bench = Bench::start(20);
    let mut noise = 1_u32;
    for _ in 0..10 {
        bench.pass(120, |_| {
            let mut next = || {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                f64::from(noise >> 8)
            };
            (0..20).map(|point| (point, next())).collect()
        });
        bench.flushed().await;
    }
    let before = bench.until("a write", |status| status.open == 0).await;
    assert_eq!(before.oldest.expect("something is there"), START.wall);
    bench.history().set_limits(Limits { keep: Duration::from_secs(1_000), ..LIMITS });
    bench.flushed().await;
    let oldest = bench.until("a write", |status| status.oldest != before.oldest).await.oldest;
    assert!(oldest.expect("something is there") > START.wall);
    bench.history().set_limits(Limits { keep: LIMITS.keep, max_bytes: 100_000 });
    bench.flushed().await;
    bench.until("a small file", |status| status.file_bytes <= 100_000).await;
    bench.stop();
}

/// The calendar moves; the time that passes does not.
fn set_clock(bench: &mut Bench, by_s: i64) {
    bench.now.wall = Wall(bench.now.wall.0 + by_s * 1_000);
}

const DAY_S: i64 = 86_400;

#[tokio::test]
async fn a_clock_that_is_a_day_ahead_for_a_while_loses_no_sample_and_takes_nothing_away() {
    let limits = Limits { keep: Duration::from_secs(3_600), ..LIMITS };
    let mut bench = Bench::with(1, limits);
    bench.pass(10, |second| vec![(0, second as f64)]);
    bench.flushed().await;
    set_clock(&mut bench, DAY_S);
    bench.pass(10, |second| vec![(0, 100.0 + second as f64)]);
    bench.flushed().await;
    set_clock(&mut bench, -DAY_S);
    bench.pass(10, |second| vec![(0, 200.0 + second as f64)]);
    bench.flushed().await;
    let steps = |bench: &Bench| {
        let reader = Reader::open(&bench.path()).expect("it opens");
        let until = Wall(bench.now.wall.0 + 2 * DAY_S * 1_000);
        let trend = reader.trend("P-0", START.wall, until, None).expect("it reads");
        shown(&trend)
    };
    let told = steps(&bench);
    for value in ["0", "9", "100", "109", "200", "209"] {
        assert!(told.iter().any(|(_, shown)| shown == value), "{value} is missing: {told:?}");
    }
    // In the order of time, whatever the order of writing was.
    assert!(told.is_sorted_by(|a, b| a.0 <= b.0), "{told:?}");
    bench.stop();
}

/// Which values a reader finds, whatever their stamps.
fn values(bench: &Bench) -> Vec<String> {
    let reader = Reader::open(&bench.path()).expect("it opens");
    let until = Wall(bench.now.wall.0 + 4_000 * DAY_S * 1_000);
    let trend = reader.trend("P-0", Wall(0), until, None).expect("it reads");
    shown(&trend).into_iter().map(|(_, value)| value).collect()
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_stamped_holds_nothing_back_and_goes_when_it_is_old_itself() {
    let limits = Limits { keep: Duration::from_secs(48 * 3_600), ..LIMITS };
    let mut bench = Bench::with(1, limits);
    // Ten years ahead, and then right.
    set_clock(&mut bench, 3_650 * DAY_S);
    bench.pass(1, |_| vec![(0, 1.0)]);
    bench.flushed().await;
    set_clock(&mut bench, -3_650 * DAY_S);
    bench.pass(1, |_| vec![(0, 2.0)]);
    bench.flushed().await;
    // A day later the clock is believed, and nothing is too old.
    bench.now = bench.now.after(Duration::from_secs(25 * 3_600));
    bench.pass(1, |_| vec![(0, 3.0)]);
    bench.flushed().await;
    bench.until("the write", |status| status.open == 0).await;
    let kept = |bench: &Bench| -> Vec<String> {
        values(bench).into_iter().filter(|value| value.parse::<f64>().is_ok()).collect()
    };
    assert_eq!(kept(&bench), ["2", "3", "1"], "in the order of their stamps");
    // Another: what was written behind it is too old, and so it is as well.
    bench.now = bench.now.after(Duration::from_secs(25 * 3_600));
    bench.pass(1, |_| vec![(0, 4.0)]);
    bench.flushed().await;
    bench.until("the write", |status| status.open == 0).await;
    assert_eq!(kept(&bench), ["3", "4"]);
    bench.stop();
}

#[tokio::test]
async fn what_a_clock_in_1970_stamped_goes_only_after_what_was_written_before_it() {
    let limits = Limits { keep: Duration::from_secs(48 * 3_600), ..LIMITS };
    let mut bench = Bench::with(1, limits);
    bench.pass(1, |_| vec![(0, 1.0)]);
    bench.flushed().await;
    let since_1970 = START.wall.0 / 1_000 - DAY_S;
    set_clock(&mut bench, -since_1970);
    bench.pass(1, |_| vec![(0, 2.0)]);
    bench.flushed().await;
    set_clock(&mut bench, since_1970);
    let kept = |bench: &Bench| -> Vec<String> {
        values(bench).into_iter().filter(|value| value.parse::<f64>().is_ok()).collect()
    };
    bench.pass(1, |_| vec![(0, 3.0)]);
    bench.flushed().await;
    // A day later the clock is believed.
    bench.now = bench.now.after(Duration::from_secs(25 * 3_600));
    bench.pass(1, |_| vec![(0, 4.0)]);
    bench.flushed().await;
    bench.until("the write", |status| status.open == 0).await;
    assert_eq!(kept(&bench), ["2", "1", "3", "4"], "in the order of their stamps");
    bench.now = bench.now.after(Duration::from_secs(25 * 3_600));
    bench.pass(1, |_| vec![(0, 5.0)]);
    bench.flushed().await;
    bench.until("the write", |status| status.open == 0).await;
    assert_eq!(kept(&bench), ["4", "5"]);
    bench.stop();
}

#[tokio::test]
async fn a_clock_that_is_set_back_a_day_in_the_middle_of_a_block_shows_both_days_in_order() {
    let mut bench = Bench::start(1);
    bench.pass(10, |second| vec![(0, second as f64)]);
    set_clock(&mut bench, -DAY_S);
    bench.pass(10, |second| vec![(0, 200.0 + second as f64)]);
    bench.flushed().await;
    let reader = Reader::open(&bench.path()).expect("it opens");
    let since = Wall(START.wall.0 - 2 * DAY_S * 1_000);
    let told = shown(
        &reader.trend("P-0", since, START.wall.after(Duration::from_secs(60)), None).expect("it reads"),
    );
    for value in ["0", "9", "200", "209"] {
        assert!(told.iter().any(|(_, shown)| shown == value), "{value} is missing: {told:?}");
    }
    assert!(told.is_sorted_by(|a, b| a.0 <= b.0), "{told:?}");
    bench.stop();
}

#[tokio::test]
async fn points_that_go_and_come_with_a_reload_keep_their_samples_under_their_tags() {
    let mut bench = Bench::start(2);
    bench.pass(2, |_| vec![(0, 1.0), (1, 2.0)]);
    let fewer = plant(1);
    let now = bench.now;
    bench.recorder().set_plant(&fewer, now);
    bench.pass(2, |_| vec![(0, 3.0)]);
    bench.flushed().await;
    assert_eq!(bench.trend("P-0"), [line(0.0, "1"), line(2.0, "3"), line(8.0, "bad stale")]);
    assert_eq!(bench.trend("P-1")[0], line(0.0, "2"));
    bench.stop();
}

/// A source that a reload leaves alone says nothing anew.
#[test]
fn a_point_that_stands_still_is_written_again_across_a_reload_and_its_silence_too() {
    let at = |seconds| START.after(Duration::from_secs(seconds));
    let mut keeper = Keeper::new(&plant(2));
    let mut kept = Vec::new();
    keeper.sample(&Sample::good(PointId(1), Value::Int(5), at(0)), &mut kept);
    kept.clear();
    keeper.set_plant(&plant(3), at(1), &mut kept);
    assert!(kept.is_empty());
    keeper.refreshed(SourceId(0), at(958));
    keeper.turn(at(960), &mut kept);
    let [Item::Sample(PointId(1), again)] = kept.as_slice() else { panic!("{}", kept.len()) };
    assert_eq!((again.at, &again.value), (at(960).wall, &Some(Value::Int(5))));
    kept.clear();
    keeper.set_plant(&plant(2), at(961), &mut kept);
    assert!(kept.is_empty());
    keeper.turn(at(1_020), &mut kept);
    let [Item::Sample(PointId(1), silent)] = kept.as_slice() else { panic!("{}", kept.len()) };
    assert_eq!((silent.at, silent.quality), (at(963).wall, Quality::Bad(BadReason::Stale)));
}

/// Points 0 to 3 may be silent for 10 min, then for 5 s. At the swap 0 was heard of right before, 1 long before, 2 was
/// silent before that and nobody has looked, and 3 longer than that.
#[test]
fn a_reload_that_allows_less_silence_makes_no_point_silent_before_it() {
    let at = |seconds| START.after(Duration::from_secs(seconds));
    let stale = |item: &Item| match item {
        Item::Sample(PointId(id), reading) if reading.quality == Quality::Bad(BadReason::Stale) => {
            Some((*id, (reading.at.0 - START.wall.0) / 1_000))
        }
        Item::Sample(..) | Item::Plant(_) => None,
    };
    let mut keeper = Keeper::new(&plant_with(4, "10m"));
    let mut kept = Vec::new();
    for (id, seconds) in [(3, 0), (2, 50), (1, 300), (0, 652)] {
        keeper.sample(&Sample::good(PointId(id), Value::Int(5), at(seconds)), &mut kept);
    }
    kept.clear();
    keeper.turn(at(610), &mut kept);
    assert_eq!(kept.iter().filter_map(stale).collect::<Vec<_>>(), [(3, 600)]);
    kept.clear();
    keeper.set_plant(&plant(4), at(655), &mut kept);
    assert_eq!(kept.iter().filter_map(stale).collect::<Vec<_>>(), [(1, 655), (2, 650)]);
    kept.clear();
    keeper.turn(at(670), &mut kept);
    assert_eq!(kept.iter().filter_map(stale).collect::<Vec<_>>(), [(0, 657)]);
}

#[tokio::test]
async fn an_export_is_in_the_order_of_time_with_what_was_in_force_first() {
    let mut bench = Bench::start(3);
    bench.pass(400, |second| {
        vec![
            (0, f64::from(u32::try_from(second / 100).unwrap())),
            (1, 0.5),
            (2, f64::from(u32::try_from(second / 150).unwrap())),
        ]
    });
    bench.flushed().await;
    let reader = Reader::open(&bench.path()).expect("it opens");
    let since = START.wall.after(Duration::from_secs(50));
    let until = START.wall.after(Duration::from_secs(310));
    let (mut out, mut steps) = (Vec::new(), 0);
    let tags = ["P-0".to_owned(), "P-2".to_owned()];
    let done = export(&reader, &tags, (since, until), &TimeZone::UTC, &mut out, &mut |done, of| {
        assert!(done <= of);
        steps += 1;
    });
    assert_eq!(done.expect("it exports"), export::Exported { rows: 7, points: 2, late: 0 });
    assert!(steps >= 1);
    assert_eq!(
        String::from_utf8(out).expect("text"),
        "time,tag,value,quality,reason
2023-11-14T22:14:10.000+00:00,P-0,0,good,
2023-11-14T22:14:10.000+00:00,P-2,0,good,
2023-11-14T22:15:00.000+00:00,P-0,1,good,
2023-11-14T22:15:50.000+00:00,P-2,1,good,
2023-11-14T22:16:40.000+00:00,P-0,2,good,
2023-11-14T22:18:20.000+00:00,P-0,3,good,
2023-11-14T22:18:20.000+00:00,P-2,2,good,
"
    );
    bench.stop();
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_ten_minute_average_goes_on_with_it() {
    let mut bench = Bench::start(1);
    bench.pass(300, |_| vec![(0, 90.0)]);
    bench.stop();
    bench.now = bench.now.after(Duration::from_secs(10));
    // The machine was started anew: its clock since boot is another.
    bench.now.mono = Mono(777_000_000_000_000);
    bench.open();
    let (samples, left_out) = refill::samples(&bench.path(), &bench.plant, bench.now).expect("it reads");
    assert_eq!(left_out, 0);
    let epoch = Epoch(uuid::Uuid::from_u128(1));
    let mut effects = Vec::new();
    let mut engine =
        Engine::new(Arc::clone(&bench.plant), epoch, Restored::default(), bench.now, &mut effects);
    engine.refill(samples);
    engine.handle(
        Report::Link { source: SourceId(0), link: Link::Up, at: bench.now },
        bench.now,
        &mut effects,
    );
    let mut fired = None;
    for second in 0..700_u64 {
        let report = bench.good(0, 90.0);
        engine.handle(report, bench.now, &mut effects);
        let warm = |effect: &Effect| matches!(effect, Effect::Alarm(alarm) if alarm.id == "warm");
        if fired.is_none() && effects.iter().any(warm) {
            fired = Some(second);
        }
        bench.now = bench.now.after(Duration::from_secs(1));
    }
    // Of ten minutes five are known from before, ten seconds are not.
    assert_eq!(fired, Some(290));
    // Where the calendar stands before the history, nothing of it can be placed.
    let before = Now { wall: Wall(START.wall.0 - 1), ..bench.now };
    assert_eq!(refill::samples(&bench.path(), &bench.plant, before).expect("it reads"), (Vec::new(), 0));
    bench.stop();
}

/// Gas tests that read the same, each of its own time. What the history writes again is none.
#[tokio::test]
async fn a_test_that_repeats_the_value_is_as_old_after_a_restart_as_it_is() {
    let rule = "[[rule]]\nid = \"untested\"\nmeasure = \"M-1\"\nname = \"未分析\"\npriority = \"high\"\n\
                when = \"{P-0} > 5 and age({P-1}) > 2h\"\n";
    let rows = "tag,source,address,type,class,stale_after\nP-0,dcs,holding:0,f32,process,\n\
                P-1,dcs,holding:2,f32,process,1d\n";
    let files = vec![
        (PathBuf::from("site.toml"), format!("{SITE}{rule}").into_bytes()),
        (PathBuf::from("points.csv"), rows.as_bytes().to_vec()),
    ];
    let plant = Arc::new(config::check_files(files).expect("it passes").plant);
    let dir = TempDir::new().expect("a directory");
    let mut bench = Bench { dir, plant, running: None, limits: LIMITS, now: START };
    bench.open();
    let mut last = START;
    for _ in 0..2 {
        last = bench.now;
        let sample = Sample::good(PointId(1), Value::float(0.0).expect("finite"), last);
        let sample = Sample { source_time: Some(last.wall), ..sample };
        bench.recorder().offer(&[Report::Sample(sample)]);
        bench.pass(1_200, |_| vec![(0, 1.0)]);
    }
    bench.stop();
    bench.now = bench.now.after(Duration::from_secs(10));
    let (samples, _) = refill::samples(&bench.path(), &bench.plant, bench.now).expect("it reads");
    assert!(samples.iter().any(|of| of.point == PointId(1) && of.received.wall > last.wall), "{samples:?}");
    let epoch = Epoch(uuid::Uuid::from_u128(1));
    let mut engine =
        Engine::new(Arc::clone(&bench.plant), epoch, Restored::default(), bench.now, &mut Vec::new());
    engine.refill(samples);
    let received = engine.points().find(|(id, _)| *id == PointId(1)).and_then(|(_, view)| view.received);
    assert_eq!(received, Some(last));
}

/// A noisy 12-bit loop on each of 300 points, all of which change each second. `cargo test -p riskgate --lib
/// history::tests::a_sample -- --nocapture` prints what it costs. Each write costs about 27 KiB besides.
#[tokio::test]
async fn a_sample_costs_the_flash_less_than_six_bytes() {
    let mut bench = Bench::start(300);
    let mut noise = 1_u32;
    for _ in 0..3 {
        bench.pass(300, |second| {
            let mut step = || {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 24) % 8
            };
            let base = 2_000 + u32::try_from(second / 10).unwrap();
            (0..300).map(|point| (point, f64::from(base + step()) * 100.0 / 4_095.0)).collect()
        });
        bench.flushed().await;
    }
    let status = bench.until("a write", |status| status.open == 0).await;
    let each = |bytes: u64| bytes as f64 / status.kept as f64;
    println!(
        "{} samples: {:.2} B in blocks, {:.2} B in the file, {:.2} B written to the flash each",
        status.kept,
        each(status.block_bytes),
        each(status.file_bytes),
        each(status.written_bytes),
    );
    assert!(each(status.written_bytes) < 6.0);
    bench.stop();
}

/// `cargo test -p riskgate --lib history::tests::a_day -- --nocapture` prints the time that it took.
#[tokio::test]
async fn a_day_of_one_point_among_others_is_read_at_once() {
    let mut bench = Bench::start(20);
    let mut value = 0_u32;
    for _ in 0..240 {
        bench.pass(60, |_| {
            value = (value + 7) % 4_096;
            (0..20).map(|point| (point, f64::from(value + point) / 10.0)).collect()
        });
        // And five quiet minutes.
        bench.flushed().await;
    }
    bench.flushed().await;
    let reader = Reader::open(&bench.path()).expect("it opens");
    let since = Wall(bench.now.wall.0 - 86_400_000);
    #[expect(clippy::disallowed_methods, reason = "this test measures how long it takes")]
    let begun = Instant::now();
    let trend = reader.trend("P-7", since, bench.now.wall, None).expect("it reads");
    let took = begun.elapsed();
    println!("a day of one point, {} samples: {took:?}", trend.len());
    assert!(trend.len() > 14_000, "{}", trend.len());
    // The bar is 50 ms for a release build on an idle machine.
    assert!(took < Duration::from_secs(2), "{took:?}");
    bench.stop();
}

/// Commits of the store beside a history that writes all the time. `cargo test -p riskgate --lib
/// history::tests::hazards -- --nocapture` prints how long they take with and without.
#[tokio::test]
async fn hazards_commit_beside_a_history_that_writes() {
    use crate::store::{Batch, JournalEntry, Store};

    let mut bench = Bench::start(100);
    let (store, _) = Store::open(bench.dir.path(), START.wall).expect("opened");
    let mut committed = store.committed();
    let mut seq = 0;
    for writing in [false, true] {
        let mut took = Vec::new();
        for second in 0..200_u32 {
            if writing {
                // Each turn is a write: 100 points with 100 samples each.
                let reports: Vec<Report> =
                    (0..10_000_u32).map(|n| bench.good(n % 100, f64::from(n * 7 + second) / 10.0)).collect();
                bench.now = bench.now.after(FLUSH_EVERY);
                let now = bench.now;
                bench.recorder().offer(&reports);
                bench.recorder().turn(now);
            }
            seq += 1;
            let body = serde_json::json!({ "text": "x".repeat(4_000) });
            let entry =
                JournalEntry { at: START.wall, by: "王敏".to_owned(), what: "act".to_owned(), body };
            let batch = Batch {
                seq,
                effects: Vec::new(),
                messages: Vec::new(),
                acts: vec![entry],
                commands: Vec::new(),
                at: START.wall,
            };
            #[expect(clippy::disallowed_methods, reason = "this test measures how long it takes")]
            let begun = Instant::now();
            store.try_commit(batch).expect("room");
            let done = committed.wait_for(|committed| committed.seq >= seq);
            drop(tokio::time::timeout(Duration::from_secs(60), done).await.expect("in time"));
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        println!("history writes: {writing}; a commit of 4 kB p50 {:?}, p99 {:?}", took[100], took[197]);
        // Later than that it would be shown as not durable. A disk that stalls for a moment holds up a few of them.
        assert!(took[180] < Duration::from_secs(2), "{took:?}");
    }
    bench.stop();
    store.close().expect("closed");
}
