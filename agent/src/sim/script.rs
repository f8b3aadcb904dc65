//! What happens to the agent: a plant that moves, persons who act, and faults, all drawn from the seed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use riskgate_engine::{Act, AlarmState, Deed, HazardStage, Plant};
use riskgate_point::{BadReason, Link, Now, PointId, Report, Sample, SourceId, Wall};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::agent::{Agent, Knob, Setting};
use super::bugs::Bug;
use super::oracle::{Oracle, float, reader};
use super::{clock, set_spool_bounds, step_clock, take_decided};
use crate::config;
use crate::console::BoardHandle;
use crate::pump::{Answer, Order};
use crate::store::by_hand::{Bounds, Disk};
use crate::store::journal;
use crate::uplink::SpoolBounds;
use crate::uplink::scripted::{self, Broker, FAIR, Weather};

const SOURCES: u16 = 3;
const POINTS: u32 = 12;
/// Between two polls of a source, in seconds.
const PERIOD: u64 = 10;
/// Rows of the outbox in most seeds: an outage of an hour is enough to fill it.
const ROWS: u64 = 400;
/// As readings: an outage of minutes is enough to fill it.
const SPOOL_OF_MINUTES: SpoolBounds = SpoolBounds { readings: 500, bytes: 1_000_000 };
/// What is decided is shown, whatever the disk does.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
/// What is committed is told, once nothing stands in the way.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// After the faults everything drains.
const DRAINED_WITHIN: Duration = Duration::from_secs(2 * 3600);

const DAY_MS: i64 = 24 * 3600 * 1000;

pub(super) fn plant() -> Arc<Plant> {
    let mut site = r#"
[gateway]
company = "540170007"
id = "54017000701"
name = "试验网关"
[uplink]
host = "127.0.0.1"
port = 1
[store]
dir = "/nowhere"
"#
    .to_owned();
    for n in 0..SOURCES {
        site += &format!(
            "[[source]]\nid = \"s{n}\"\nname = \"s{n}\"\nkind = \"modbus-tcp\"\nhost = \"127.0.0.{}\"\nport = 1\nperiod = \"{PERIOD}s\"\n",
            n + 1
        );
        site += &format!(
            "[[unit]]\nid = \"U-{n}\"\nname = \"罐区\"\nhazard_code = \"540170007001\"\nbase_class = \"yellow\"\nliable_person = \"王强\"\n"
        );
    }
    for n in 0..POINTS {
        let unit = n % u32::from(SOURCES);
        site += &format!(
            "[[measure]]\nid = \"M-{n}\"\nunit = \"U-{unit}\"\nevent = \"满溢\"\nname = \"液位\"\nclassify1 = \"1\"\nclassify2 = \"1-1\"\n"
        );
    }
    site += r#"
[[task]]
id = "T-0"
measure = "M-0"
content = "检查"
cycle = "8h"
assignee = "ban-a"
[[rule]]
id = "two"
measure = "M-0"
name = "两罐高"
priority = "high"
when = "{LT-0} >= 85 and {LT-1} >= 85"
hazard = { confirm = "person" }
task = { id = "T-0", cycle = "1h", hold = "30m" }
unit = { raise_to = "red", hold = "10m" }
"#;
    let points = levels(POINTS, SOURCES.into(), |n| if n < 9 { "process" } else { "gas" });
    let files = vec![
        (PathBuf::from("site.toml"), site.into_bytes()),
        (PathBuf::from("points.csv"), points.into_bytes()),
    ];
    Arc::new(config::check_files(files).expect("it passes").plant)
}

/// A table of levels, spread over the sources, with a limit and a measure each.
pub(super) fn levels(points: u32, sources: u32, class_of: impl Fn(u32) -> &'static str) -> String {
    let mut table = "tag,source,address,type,range_low,range_high,HH,class,measure,confirm\n".to_owned();
    for n in 0..points {
        let (source, class) = (n % sources, class_of(n));
        let confirm = if n % 2 == 0 { "auto" } else { "person" };
        table += &format!("LT-{n},s{source},holding:{},f32,0,100,90,{class},M-{n},{confirm}\n", n * 2);
    }
    table
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Outage,
    Silence,
    Slow,
    Disorder,
    DiskHangs,
    DiskRefuses,
    DiskFull,
    SourceDown(u16),
    PointBad(u32),
}

/// How a life ends.
enum End {
    Time,
    Killed,
    Stop,
}

#[derive(Clone, Copy, Default)]
struct Point {
    value: f64,
    high: bool,
    /// The last good value that the agent was given, and when.
    fed: Option<(f64, u64)>,
    /// The board has shown its alarm as active and durable, since its last good low value.
    confirmed: bool,
    bad: bool,
}

pub(super) struct World {
    seed: u64,
    rng: Rng,
    dir: TempDir,
    setting: Setting,
    broker: Broker,
    knob: Rc<Knob>,
    pub(super) oracle: Oracle,
    began: Instant,
    life: u64,
    life_began: Instant,
    points: Vec<Point>,
    source_down: Vec<bool>,
    faults: Vec<(Instant, Fault)>,
    acts: u64,
    asked: Vec<(String, oneshot::Receiver<Answer>)>,
    durable_acts: Vec<String>,
    pub(super) kills: u64,
    pub(super) stops: u64,
    pub(super) steps: u64,
}

/// A folder in memory where there is one: a commit is synced.
pub(super) fn folder() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a folder")
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let dir = folder();
        let broker = Broker::new(seed);
        scripted::connect_to(Some(broker.clone()));
        let knob = Knob::new();
        let plant = plant();
        assert!(plant.points().iter().all(|point| point.deadband <= 2.0), "each reading is news");
        let mut rng = Rng::with_seed(seed);
        let mut bounds = Bounds::default();
        if rng.u8(0..4) > 0 {
            bounds.rows = ROWS;
        }
        if rng.u8(0..3) == 0 {
            set_spool_bounds(SPOOL_OF_MINUTES);
        }
        let setting = Setting {
            dir: dir.path().to_owned(),
            plant,
            knob: Rc::clone(&knob),
            bounds,
            batch: Duration::from_secs(5),
        };
        Self {
            seed,
            rng,
            dir,
            setting,
            broker,
            knob,
            oracle: Oracle::default(),
            began: Instant::now(),
            life: 0,
            life_began: Instant::now(),
            points: vec![Point::default(); usize::try_from(POINTS).expect("few")],
            source_down: vec![false; usize::from(SOURCES)],
            faults: Vec::new(),
            acts: 0,
            asked: Vec::new(),
            durable_acts: Vec::new(),
            kills: 0,
            stops: 0,
            steps: 0,
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).expect("small")
    }

    fn start(&mut self) -> Agent {
        self.life += 1;
        self.life_began = Instant::now();
        Agent::start(&self.setting)
    }

    /// A bug that is there as soon as it can be, and an outage that helps it.
    pub(super) fn put_in(&mut self, bug: Bug) {
        self.knob.bug.set(Some(bug));
        self.faults.push((Instant::now() + Duration::from_secs(2_400), Fault::Outage));
        self.broker.set_weather(Weather { reachable: false, ..FAIR });
        if bug == Bug::LossNotCounted {
            set_spool_bounds(SPOOL_OF_MINUTES);
        }
    }

    pub(super) fn is_bug_in(&self) -> bool {
        self.knob.bug.get().is_none()
    }

    /// Faults for so long; then none, and what was promised.
    pub(super) async fn live(&mut self, hours: u64) {
        let until = Instant::now() + Duration::from_secs(hours * 3600);
        let mut agent = loop {
            let mut agent = self.start();
            match self.life(&mut agent, until).await {
                End::Time => break agent,
                End::Killed => {
                    self.kills += 1;
                    drop(agent);
                }
                End::Stop => {
                    self.stops += 1;
                    agent.stop().await;
                }
            }
            self.hear();
            self.asked.clear();
            let down = Duration::from_millis(self.rng.u64(200..120_000));
            sleep(down).await;
            if self.rng.u8(0..8) == 0 {
                self.step();
            }
        };
        self.quiet();
        if !self.drain(&mut agent).await {
            // A kill that was still due.
            agent = self.start();
            assert!(self.drain(&mut agent).await, "nothing kills it any more");
        }
        self.prompt(&mut agent).await;
        agent.stop().await;
        self.hear();
        self.oracle.finish(self.dir.path());
        self.journal();
    }

    async fn life(&mut self, agent: &mut Agent, until: Instant) -> End {
        for source in 0..SOURCES {
            self.tell_link(agent, source);
        }
        loop {
            if Instant::now() >= until {
                return End::Time;
            }
            if agent.beside(sleep(Duration::from_secs(1))).await.is_none() {
                return End::Killed;
            }
            self.turn(agent);
            if let Some(end) = self.misfortune(agent) {
                return end;
            }
        }
    }

    /// A second of the plant and its people.
    fn turn(&mut self, agent: &Agent) {
        self.hear();
        let second = self.now_ms() / 1000;
        for source in 0..SOURCES {
            if (second + u64::from(source)).is_multiple_of(PERIOD) && !self.source_down[usize::from(source)] {
                self.poll(agent, source, second);
            }
        }
        if self.rng.u16(0..120) == 0 {
            self.person(agent);
        }
        self.check(agent);
        if let Some(bug) = self.knob.bug.get().filter(|_| second > 900 && !self.broker.is_connected())
            && bug.put_into_files(self.dir.path())
        {
            self.knob.bug.set(None);
        }
    }

    fn hear(&mut self) {
        self.oracle.decided(take_decided());
        let now = self.now_ms();
        for arrived in self.broker.take_arrived() {
            self.oracle.arrived(&arrived, now);
        }
        let mut waiting = Vec::new();
        for (name, mut answer) in std::mem::take(&mut self.asked) {
            match answer.try_recv() {
                Ok(Answer::Done { durable: true }) => self.durable_acts.push(name),
                Ok(Answer::Done { durable: false } | Answer::Refused(_) | Answer::Full) => {}
                Err(oneshot::error::TryRecvError::Empty) => waiting.push((name, answer)),
                Err(oneshot::error::TryRecvError::Closed) => {}
            }
        }
        self.asked = waiting;
    }

    fn tell_link(&self, agent: &Agent, source: u16) {
        let link = if self.source_down[usize::from(source)] {
            Link::Down { why: "no answer".to_owned() }
        } else {
            Link::Up
        };
        agent.intake.send(vec![Report::Link { source: SourceId(source), link, at: clock() }]);
    }

    fn poll(&mut self, agent: &Agent, source: u16, second: u64) {
        let now = clock();
        let mut reports = Vec::new();
        for n in (u32::from(source)..POINTS).step_by(usize::from(SOURCES)) {
            let at = usize::try_from(n).expect("few");
            if self.points[at].bad {
                reports.push(Report::Sample(Sample::bad(PointId(n), BadReason::CommFailure, now)));
                continue;
            }
            let change = if self.points[at].high { 12 } else { 60 };
            if self.rng.u16(0..change) == 0 {
                self.points[at].high = !self.points[at].high;
            }
            reports.push(self.reading(n, second, now));
        }
        agent.intake.send(reports);
    }

    /// A good value that is news, and is no other's.
    fn reading(&mut self, n: u32, second: u64, now: Now) -> Report {
        let point = &mut self.points[usize::try_from(n).expect("few")];
        let value = loop {
            let value = if point.high { 91.0 + self.rng.f64() * 8.0 } else { 10.0 + self.rng.f64() * 70.0 };
            if (value - point.value).abs() > 2.0 {
                break value;
            }
        };
        point.value = value;
        point.fed = Some((value, second));
        if !point.high {
            point.confirmed = false;
        }
        self.oracle.fed(n, value, now.wall);
        Report::Sample(Sample::good(PointId(n), float(value), now))
    }

    /// What waits for its turn is bounded, and whoever looks at the board sees what is.
    fn check(&mut self, agent: &Agent) {
        assert!(agent.status.borrow().in_flight <= 100, "the window is bounded");
        assert!(agent.telemetry.waiting().0 <= 100_000, "readings in memory are bounded");
        let life = self.life_began.elapsed();
        let second = self.now_ms() / 1000;
        let board = agent.board.read();
        for (n, point) in self.points.iter_mut().enumerate() {
            let Some((value, fed)) = point.fed else { continue };
            if value < 90.0 {
                continue;
            }
            let line = board.alarm(&format!("LT-{n}/HH"));
            let state = line.map(|line| line.record.state);
            let active = matches!(state, Some(AlarmState::Unacknowledged | AlarmState::Acknowledged));
            let ago = Duration::from_secs(second.saturating_sub(fed));
            // What was told to a life that is over is known where it was committed.
            let judged = ago >= SHOWN_WITHIN && ago + SHOWN_WITHIN <= life;
            let kept = point.confirmed && life >= SHOWN_WITHIN;
            assert!(
                active || !(judged || kept),
                "LT-{n} read {value} {ago:?} ago and nothing good since; the board shows {state:?}"
            );
            point.confirmed |= active && line.is_some_and(|line| line.durable);
        }
        let shown: HashMap<(&str, &str), usize> = board
            .hazards()
            .iter()
            .filter(|line| line.record.stage.is_open())
            .fold(HashMap::new(), |mut shown, line| {
                let key = (line.record.measure.as_str(), line.record.cause.as_str());
                *shown.entry(key).or_default() += 1;
                shown
            });
        assert!(
            shown.values().all(|open| *open == 1),
            "one open hazard for each measure and cause: {shown:?}"
        );
    }

    fn person(&mut self, agent: &Agent) {
        let mut deeds = deeds(&agent.board);
        if deeds.is_empty() {
            return;
        }
        let deed = deeds.swap_remove(self.rng.usize(0..deeds.len()));
        self.acts += 1;
        let by = format!("P-{}-", self.acts);
        let (answer, told) = oneshot::channel();
        let act = Act { by: by.clone(), deed };
        if agent.orders.try_send(Order::Act { act, uid: 1000, answer }).is_ok() {
            self.asked.push((by, told));
        }
    }

    fn misfortune(&mut self, agent: &Agent) -> Option<End> {
        let now = Instant::now();
        let over: Vec<Fault> =
            self.faults.extract_if(.., |(until, _)| *until <= now).map(|(_, it)| it).collect();
        for fault in over {
            self.end(fault, agent);
        }
        if self.rng.u16(0..240) != 0 {
            return None;
        }
        match self.rng.u8(0..20) {
            0 | 1 => self.broker.cut(self.rng.bool()),
            2 | 3 => self.begin(Fault::Outage, 7_200, agent),
            4 => self.begin(Fault::Silence, 300, agent),
            5 => self.begin(Fault::Slow, 1_800, agent),
            6 => self.begin(Fault::Disorder, 1_800, agent),
            7 => self.begin(Fault::DiskHangs, 120, agent),
            8 => self.begin(Fault::DiskRefuses, 600, agent),
            9 => self.begin(Fault::DiskFull, 1_200, agent),
            10 => {
                let source = self.rng.u16(0..SOURCES);
                self.begin(Fault::SourceDown(source), 5_400, agent);
            }
            11 => {
                let point = self.rng.u32(0..POINTS);
                self.begin(Fault::PointBad(point), 1_800, agent);
            }
            12 | 13 => self.burst(agent),
            14 => self.step(),
            15 => self.poison(),
            16 => self.resend(),
            17 => {
                let commits = self.rng.u64(0..30);
                self.knob.kill_after(commits);
            }
            18 => return Some(End::Killed),
            _ => return Some(End::Stop),
        }
        None
    }

    fn begin(&mut self, fault: Fault, most_s: u64, agent: &Agent) {
        let until = Instant::now() + Duration::from_millis(self.rng.u64(1_000..most_s * 1_000));
        // One of a kind at a time: the end of one would be the end of both.
        if self.faults.iter().any(|(_, other)| other.kind() == fault.kind()) {
            return;
        }
        self.faults.push((until, fault));
        let mut weather = FAIR;
        match fault {
            Fault::Outage => weather.reachable = false,
            Fault::Silence => weather.silent = true,
            Fault::Slow => weather.bytes_per_s = self.rng.u64(1_500..30_000),
            Fault::Disorder => {
                weather.disorder = true;
                weather.latency = Duration::from_millis(self.rng.u64(5..1_500));
            }
            Fault::DiskHangs => self.knob.set(Disk::Hangs),
            Fault::DiskRefuses => self.knob.set(Disk::Refuses),
            Fault::DiskFull => self.knob.set(Disk::Full),
            Fault::SourceDown(source) => {
                self.source_down[usize::from(source)] = true;
                self.tell_link(agent, source);
            }
            Fault::PointBad(point) => self.points[usize::try_from(point).expect("few")].bad = true,
        }
        if fault.kind() == 0 {
            self.broker.set_weather(weather);
            // Some links end with a word, some without.
            if !weather.reachable && self.rng.bool() {
                self.broker.cut(self.rng.bool());
            }
        }
    }

    fn end(&mut self, fault: Fault, agent: &Agent) {
        match fault {
            Fault::Outage | Fault::Silence | Fault::Slow | Fault::Disorder => self.broker.set_weather(FAIR),
            Fault::DiskHangs | Fault::DiskRefuses | Fault::DiskFull => self.knob.set(Disk::Fine),
            Fault::SourceDown(source) => {
                self.source_down[usize::from(source)] = false;
                self.tell_link(agent, source);
            }
            Fault::PointBad(point) => self.points[usize::try_from(point).expect("few")].bad = false,
        }
    }

    /// A point that cannot make up its mind: hundreds of episodes in a moment.
    fn burst(&mut self, agent: &Agent) {
        let n = self.rng.u32(0..POINTS);
        let at = usize::try_from(n).expect("few");
        if self.points[at].bad || self.source_down[at % usize::from(SOURCES)] {
            return;
        }
        let (second, now) = (self.now_ms() / 1000, clock());
        let mut reports = Vec::new();
        for _ in 0..self.rng.usize(10..400) {
            self.points[at].high = !self.points[at].high;
            reports.push(self.reading(n, second, now));
        }
        agent.intake.send(reports);
    }

    fn step(&mut self) {
        self.steps += 1;
        let wall = clock().wall.0;
        let millis = match self.rng.u8(0..7) {
            0 => DAY_MS,
            1 => -DAY_MS,
            2 => self.rng.i64(-120_000..120_000),
            // Before 2020: a battery that is empty.
            3 => Wall(self.rng.i64(0..DAY_MS)).0 - wall,
            // 2028-02-29T23:58 in Shanghai, and the end of a year.
            4 => 1_835_452_680_000 - wall,
            5 => 1_830_268_740_000 - wall,
            // Back to what it should be.
            _ => START.0 + i64::try_from(self.now_ms()).expect("small") - wall,
        };
        step_clock(millis);
    }

    /// The broker hangs up on a message that is still to come.
    fn poison(&mut self) {
        let sequence = self.oracle.newest_sequence("critical") + self.rng.u64(1..20);
        self.broker.poison(format!("/critical/{sequence}\""));
    }

    fn resend(&mut self) {
        let to = self.oracle.newest_sequence("critical");
        if to == 0 {
            return;
        }
        let from = self.rng.u64(1..=to);
        let expires = jiff::Timestamp::from_millisecond(clock().wall.0 + 60_000).expect("a time").to_string();
        let asked = json!({
            "id": format!("c{}", self.now_ms()), "by": "平台", "expires": expires,
            "lane": "critical", "from": from, "to": to,
        });
        if self.broker.is_connected() {
            self.broker.command(
                "riskgate/v1/540170007/54017000701/cmd/resend".to_owned(),
                asked.to_string().into_bytes(),
            );
        }
    }

    /// The faults stop.
    fn quiet(&mut self) {
        self.faults.clear();
        self.broker.set_weather(FAIR);
        self.knob.set(Disk::Fine);
        self.source_down.fill(false);
        self.points.iter_mut().for_each(|point| point.bad = false);
    }

    /// False where it was killed meanwhile.
    async fn drain(&mut self, agent: &mut Agent) -> bool {
        for source in 0..SOURCES {
            self.tell_link(agent, source);
        }
        let began = Instant::now();
        let connection = reader(self.dir.path());
        // The plant goes on; what came in the last seconds may be under way.
        while began.elapsed() < Duration::from_secs(180) || !self.oracle.is_drained(&connection) {
            assert!(
                began.elapsed() < DRAINED_WITHIN,
                "seed {}: it does not drain: {} dropped readings were told, gaps {:?}, and these are missing: {:?}",
                self.seed,
                self.oracle.dropped(),
                self.oracle.crash_gaps(),
                self.oracle.missing().iter().take(40).collect::<Vec<_>>()
            );
            if agent.beside(sleep(Duration::from_secs(1))).await.is_none() {
                return false;
            }
            let still = began.elapsed() >= Duration::from_secs(120);
            if still {
                self.hear();
            } else {
                self.turn(agent);
            }
        }
        true
    }

    /// A new hazard flows at once.
    async fn prompt(&mut self, agent: &mut Agent) {
        let second = self.now_ms() / 1000;
        let quiet = (0..POINTS).find(|n| !self.points[usize::try_from(*n).expect("few")].high);
        let Some(n) = quiet else { return };
        let before = agent.board.read().alarm(&format!("LT-{n}/HH")).map_or(0, |line| line.record.revision);
        self.points[usize::try_from(n).expect("few")].high = true;
        let report = self.reading(n, second, clock());
        agent.intake.send(vec![report]);
        agent.beside(sleep(TOLD_WITHIN)).await.expect("nothing kills it any more");
        self.hear();
        assert!(
            self.oracle.has_row_about(&format!("LT-{n}/HH"), before + 1),
            "LT-{n}/HH was not told in time"
        );
        agent.beside(sleep(Duration::from_secs(60))).await.expect("nothing kills it any more");
    }

    /// What a person was told to be on disk is on disk, and the chain holds.
    fn journal(&self) {
        let proof = journal::prove(self.dir.path(), None, &mut |_| {}).expect("it can be read");
        assert!(proof.is_ok(), "the journal is broken");
        let entries = reader(self.dir.path());
        let mut statement = entries.prepare("SELECT line FROM journal").expect("a query");
        let lines = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
        let mut text: String = lines.map(|line| line.expect("a line")).collect();
        if let Ok(folder) = std::fs::read_dir(self.dir.path().join("journal")) {
            for file in folder {
                text += &std::fs::read_to_string(file.expect("a file").path()).expect("read");
            }
        }
        for name in &self.durable_acts {
            assert!(text.contains(&format!("\"by\":\"{name}\"")), "the act of {name} is gone");
        }
    }

    pub(super) fn lives(&self) -> u64 {
        self.life
    }

    pub(super) fn acts(&self) -> usize {
        self.durable_acts.len()
    }
}

impl Fault {
    /// Faults of one kind exclude each other.
    fn kind(self) -> u32 {
        match self {
            Self::Outage | Self::Silence | Self::Slow | Self::Disorder => 0,
            Self::DiskHangs | Self::DiskRefuses | Self::DiskFull => 1,
            Self::SourceDown(source) => 2 + u32::from(source),
            Self::PointBad(point) => 100 + point,
        }
    }
}

/// What a person could do now.
pub(super) fn deeds(board: &BoardHandle) -> Vec<Deed> {
    let board = board.read();
    let waits = |state| {
        matches!(state, AlarmState::Unacknowledged | AlarmState::Returned | AlarmState::LatchedUnacknowledged)
    };
    let mut deeds: Vec<Deed> = board
        .alarms()
        .iter()
        .filter(|line| waits(line.record.state))
        .map(|line| Deed::Acknowledge { alarm: line.record.id.clone() })
        .collect();
    deeds.extend(board.hazards().iter().filter_map(|line| {
        let (hazard, why) = (line.record.id, Some("看过现场".to_owned()));
        match line.record.stage {
            HazardStage::Candidate if line.record.opening % 2 == 0 => {
                Some(Deed::Reject { hazard, why: "误报".to_owned() })
            }
            HazardStage::Candidate => Some(Deed::Confirm { hazard, why }),
            HazardStage::Rectifying => Some(Deed::Rectify { hazard, why }),
            HazardStage::AwaitingAcceptance => Some(Deed::Accept { hazard, why }),
            HazardStage::Accepted | HazardStage::Rejected => None,
        }
    }));
    deeds
}

/// 2026-11-01T08:00:00+08:00.
pub(super) const START: Wall = Wall(1_793_491_200_000);
