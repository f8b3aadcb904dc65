//! What judging costs: `cargo bench -p riskgate-engine [-- PART...]`, with the parts
//!
//! - `samples`: nanoseconds for a sample at 10,000 points with 1,000, 10,000 and 100,000 rules of a realistic
//!   mix, and at 100,000 points with 100,000, where every value changes and where one in ten does, and for each
//!   rule that reads the point;
//! - `memory`: resident bytes for a rule, and for each kind of window with a minute of changes in it;
//! - `plan`: building a plant of 10,000 rules, and changing a running engine over to it.
//!
//! A number among the words picks that many rules alone: to compare two builds, run them in turns.
//!
//! Without a part it does all. Of each ten rules four are limits of the point table, three compare points, one
//! votes, one reads a window and one a condition over time. Each second brings one sample of each point, so
//! that a round is what a gateway does in a second. Memory is that of processes of their own, and time is time
//! on the CPU, both by the kernel.
#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement prints, and rounds for people"
)]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use riskgate_engine::{
    Class, Draft, Engine, Epoch, Limits, MeasureDraft, Patience, Plant, PointDraft, Priority, Restored,
    RiskClass, RuleDraft, SourceDraft, UnitDraft, Watch, Watched,
};
use riskgate_point::{Link, Mono, Now, PointId, Report, Sample, SourceId, Value, Wall};
use rustix::time::{ClockId, clock_gettime};

const POINTS: usize = 10_000;
/// (points, rules). The last has as many rules for each point as the second, and more of both than a cache holds.
const PLANTS: [(usize, usize); 4] =
    [(POINTS, 1_000), (POINTS, 10_000), (POINTS, 100_000), (100_000, 100_000)];
/// Windows are a minute long: they are full and sliding after this.
const WARM_ROUNDS: u64 = 70;
const ROUNDS: u64 = 30;

fn main() {
    // Cargo adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [role, what, n] = words.as_slice()
        && role == "resident"
    {
        println!("{}", resident_of(what, n.parse().unwrap_or(0)));
        return;
    }
    let wanted = |part: &str| words.is_empty() || words.iter().any(|word| word == part);
    println!("{:<44} {:>10}  unit", "what", "figure");
    if wanted("samples") {
        samples(&words);
    }
    if wanted("memory") {
        memory();
    }
    if wanted("plan") {
        plan();
    }
}

/// A line of the table.
fn line(what: &str, figure: f64, unit: &str) {
    println!("{what:<44} {figure:>10.1}  {unit}");
}

fn samples(words: &[String]) {
    let picked: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    for (points, rules) in PLANTS.into_iter().filter(|(_, n)| picked.is_empty() || picked.contains(n)) {
        let plant = plant(draft(points, mix(points, rules), rules));
        let readers = plant.rules().iter().map(|rule| rule.points().len()).sum::<usize>() as f64;
        let readers = readers / points as f64;
        let mut running = Running::of(plant);
        (0..WARM_ROUNDS).for_each(|_| running.round(1));
        let all = running.measured(1);
        let few = running.measured(10);
        line(&format!("{points} points, {rules} rules, all change"), all, "ns/sample");
        line(&format!("  each of {readers:.2} rules that read the point"), all / readers, "ns/rule");
        line("  one value in ten changes", few, "ns/sample");
        // Work that was left out would show here.
        line("  effects of the run", running.n_effects as f64, "effects");
    }
}

fn memory() {
    let resident = |what: &str, n: usize| -> f64 {
        let exe = std::env::current_exe().unwrap_or_default();
        let run = Command::new(exe).args(["resident", what, &n.to_string()]).output();
        let text = run.map(|run| String::from_utf8_lossy(&run.stdout).trim().to_owned()).unwrap_or_default();
        text.parse().unwrap_or(f64::NAN)
    };
    let (few, many) = (10_000, 100_000);
    let each = (resident("mix", many) - resident("mix", few)) / (many - few) as f64;
    line("a rule of the mix", each, "bytes");
    // Against the same rules without a window. Where the deadband moves a threshold within a condition over time,
    // `clear` remembers on its own beside `when`.
    let none = resident("none", POINTS);
    for what in ["avg", "stddev", "min", "max", "delta", "rate", "held", "recently", "count"] {
        let each = (resident(what, POINTS) - none) / POINTS as f64;
        line(&format!("{what} over 1m, a change each second"), each, "bytes a rule");
    }
}

fn plan() {
    let began = on_cpu();
    let first = plant(draft(POINTS, mix(POINTS, 10_000), 10_000));
    let built = on_cpu() - began;
    let mut running = Running::of(first);
    (0..5).for_each(|_| running.round(1));
    let second = plant(draft(POINTS, mix(POINTS, 10_000), 10_000));
    let began = on_cpu();
    running.engine.reload(second, running.now, &mut Vec::new());
    let changed = on_cpu() - began;
    line("10000 rules read, typed and built", built as f64 / 1e6, "ms");
    line("10000 rules, a running engine changed over", changed as f64 / 1e6, "ms");
}

/// Kilobytes of this process with an engine that has run for a while, in bytes.
fn resident_of(what: &str, n: usize) -> usize {
    let rules: Vec<String> = match what {
        "mix" => mix(POINTS, n),
        "none" => (0..n).map(|at| format!("{{P{at}}} > 1000")).collect(),
        "held" => (0..n).map(|at| format!("held({{P{at}}} > 1000, 1m)")).collect(),
        "recently" => (0..n).map(|at| format!("recently({{P{at}}} > 1000, 1m)")).collect(),
        "count" => (0..n).map(|at| format!("count({{P{at}}} > 50, 1m) > 900")).collect(),
        window => (0..n).map(|at| format!("{window}({{P{at}}}, 1m) > 1000")).collect(),
    };
    let limits = if what == "mix" { n } else { 0 };
    let mut running = Running::new(draft(POINTS, rules, limits));
    (0..WARM_ROUNDS).for_each(|_| running.round(1));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// The written six of each ten rules; the other four are limits.
fn mix(points: usize, rules: usize) -> Vec<String> {
    let p = |at: usize| format!("{{P{}}}", at % points);
    let one = |at: usize| {
        let (a, b, c) = (p(at * 7), p(at * 7 + 1), p(at * 7 + 2));
        match at % 6 {
            0 => format!("{a} >= 990"),
            1 => format!("{a} >= 900 and {b} <= 10"),
            2 => format!("{a} - {b} >= 500 or {b} - {a} >= 500"),
            3 => format!("at_least(2, {a} >= 960, {b} >= 960, {c} >= 960)"),
            4 => match at / 6 % 3 {
                0 => format!("avg({a}, 1m) > 990"),
                1 => format!("max({a}, 1m) - min({a}, 1m) <= 0"),
                _ => format!("rate({a}, 1m) >= 500"),
            },
            _ => match at / 6 % 3 {
                0 => format!("held({a} >= 900, 10s)"),
                1 => format!("recently({a} >= 990, 1m)"),
                _ => format!("count({a} >= 900, 1m) >= 10"),
            },
        }
    };
    (0..rules * 6 / 10).map(one).collect()
}

/// Of `rules` rules, four in ten are limits, spread over the points.
fn draft(points: usize, texts: Vec<String>, rules: usize) -> Draft {
    let limits = rules * 4 / 10;
    let point = |at: usize| {
        // The nth round over the points gives each its nth limit.
        let has = |nth: usize| at + nth * points < limits;
        PointDraft {
            tag: format!("P{at}"),
            name: String::new(),
            source: SourceId(0),
            class: Class::Process,
            eu: String::new(),
            words: Vec::new(),
            boolean: false,
            text: false,
            range: None,
            deadband: 1.0,
            stale_after: Duration::from_secs(1_000_000),
            watch: Watched::from(Watch {
                limits: Limits {
                    h: has(0).then_some(2000.0),
                    hh: has(1).then_some(3000.0),
                    l: has(2).then_some(-1000.0),
                    ll: has(3).then_some(-2000.0),
                },
                measure: Some("M".to_owned()),
                ..Watch::default()
            }),
        }
    };
    let rule = |(at, when): (usize, String)| RuleDraft {
        id: format!("R{at}"),
        measure: "M".to_owned(),
        name: format!("规则{at}"),
        name_en: String::new(),
        priority: Priority::Medium,
        class: None,
        kind: None,
        when,
        for_: Duration::from_secs(5),
        clear: None,
        clear_for: Duration::ZERO,
        shadow: false,
        latch: false,
        realarm: None,
        guidance: String::new(),
        guidance_en: String::new(),
        hazard: None,
        task: None,
        unit: None,
    };
    Draft {
        company: "540170007".to_owned(),
        gateway: "54017000701".to_owned(),
        patience: Patience::default(),
        sources: vec![SourceDraft {
            id: "plc".to_owned(),
            name: String::new(),
            fixes: false,
            sightings: false,
            permits: false,
            events: None,
            stale_after: None,
        }],
        points: (0..points).map(point).collect(),
        units: vec![UnitDraft {
            id: "U".to_owned(),
            name: "U".to_owned(),
            hazard_code: "540170007001".to_owned(),
            base: RiskClass::Yellow,
            department: String::new(),
            liable_person: "李".to_owned(),
        }],
        measures: vec![MeasureDraft {
            id: "M".to_owned(),
            unit: "U".to_owned(),
            event: "e".to_owned(),
            name: "M".to_owned(),
            classify1: "1".to_owned(),
            classify2: "1-1".to_owned(),
            automatic: true,
            ..MeasureDraft::default()
        }],
        rules: texts.into_iter().enumerate().map(rule).collect(),
        ..Draft::default()
    }
}

fn plant(draft: Draft) -> Arc<Plant> {
    match Plant::build(draft) {
        Ok((plant, _)) => Arc::new(plant),
        Err(faults) => panic!("{:#?}", faults.first()),
    }
}

struct Running {
    engine: Engine,
    now: Now,
    noise: u64,
    values: BTreeMap<u32, f64>,
    n_effects: usize,
}

impl Running {
    fn new(draft: Draft) -> Self {
        Self::of(plant(draft))
    }

    fn of(plant: Arc<Plant>) -> Self {
        let now = Now { mono: Mono(1_000_000_000), wall: Wall(1_700_000_000_000) };
        let mut effects = Vec::new();
        let epoch = Epoch(uuid::Uuid::from_u128(7));
        let mut engine = Engine::new(Arc::clone(&plant), epoch, Restored::default(), now, &mut effects);
        engine.handle(Report::Link { source: SourceId(0), link: Link::Up, at: now }, now, &mut effects);
        let values = (0u32..).zip(plant.points()).map(|(at, _)| (at, 500.0)).collect();
        Self { engine, now, noise: 0x9e37_79b9_7f4a_7c15, values, n_effects: 0 }
    }

    /// Samples of one second, prepared; one value in `every` changes.
    fn samples(&mut self, every: u32) -> Vec<Report> {
        self.now = self.now.after(Duration::from_secs(1));
        let mut reports = Vec::with_capacity(self.values.len());
        for (at, value) in &mut self.values {
            self.noise ^= self.noise << 13;
            self.noise ^= self.noise >> 7;
            self.noise ^= self.noise << 17;
            if (u64::from(*at) + self.noise).is_multiple_of(u64::from(every)) {
                // A walk within 0 to 1000: it is at an end about as often as anywhere.
                let step = (self.noise % 101) as f64 - 50.0;
                *value = (*value + step).clamp(0.0, 1000.0);
            }
            let value = Value::float(*value).unwrap_or(Value::Int(0));
            reports.push(Report::Sample(Sample::good(PointId(*at), value, self.now)));
        }
        reports
    }

    fn round(&mut self, every: u32) {
        let reports = self.samples(every);
        self.judge(reports);
    }

    fn judge(&mut self, reports: Vec<Report>) {
        let mut effects = Vec::new();
        for report in reports {
            self.engine.handle(report, self.now, &mut effects);
        }
        self.n_effects += effects.len();
    }

    /// Nanoseconds for a sample.
    fn measured(&mut self, every: u32) -> f64 {
        let (mut spent, mut n_samples) = (0, 0);
        for _ in 0..ROUNDS {
            let reports = self.samples(every);
            n_samples += reports.len();
            let began = on_cpu();
            self.judge(reports);
            spent += on_cpu() - began;
        }
        spent as f64 / n_samples as f64
    }
}

/// Nanoseconds that this process was on a CPU: what else runs on the machine costs caches, and no time.
fn on_cpu() -> u64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(spent.tv_sec * 1_000_000_000 + spent.tv_nsec).unwrap_or(0)
}
