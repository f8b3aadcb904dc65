//! The Tennessee Eastman process: what the rules of `config/tennessee-eastman` detect of its faults, how late, and
//! how often they cry wolf on normal running.
//!
//! The rules are made from the training part of the normal data alone, by one recipe for all variables that was
//! fixed before anything was run: the mean of 30 minutes leaves the mean of the training run by five standard
//! deviations of such means. It returns within the same limits: the deadbands of the point table are made for the
//! limits of the process, and some are wider than these bands. Nobody looked at a fault, nor at the normal test run, to set a limit.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::thread;

use flate2::bufread::MultiGzDecoder;
use jiff::tz::TimeZone;
use riskgate::backtest::{Asked, Layout, Report, run};
use riskgate::config::check;

/// Samples in 30 min.
const WINDOW: usize = 10;
const SIGMAS: f64 = 5.0;
const SAMPLE_MS: i64 = 3 * 60_000;
/// 2026-01-01T00:00:00+08:00, where the layout lays the first sample.
const START_MS: i64 = 1_767_196_800_000;
/// The faults begin after this sample.
const ONSET: i64 = 160;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn data(name: &str) -> PathBuf {
    root().join("tests/data/tep").join(format!("{name}.dat.gz"))
}

fn config() -> PathBuf {
    root().join("config/tennessee-eastman")
}

/// The training run: a row a variable.
fn training() -> Vec<Vec<f64>> {
    let file = fs::File::open(data("d00")).expect("the training data");
    let mut text = String::new();
    MultiGzDecoder::new(BufReader::new(file)).read_to_string(&mut text).expect("text");
    let row = |line: &str| line.split_whitespace().map(|cell| cell.parse().expect("a number")).collect();
    text.lines().map(row).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).expect("few"))
}

/// The lowest and the highest mean of a window that passes for normal.
fn limits(run: &[f64]) -> (f64, f64) {
    let means: Vec<f64> = run.windows(WINDOW).map(mean).collect();
    let middle = mean(run);
    let squares: Vec<f64> = means.iter().map(|of| (of - middle).powi(2)).collect();
    let away = SIGMAS * mean(&squares).sqrt();
    (middle - away, middle + away)
}

/// Eight digits that count. The data has five: with as many a limit would be the very mean of some readings, and
/// the rounding of a sum would say whether they passed it.
fn rounded(number: f64) -> f64 {
    format!("{number:.7e}").parse().expect("a number")
}

fn measure_of(tag: &str) -> &'static str {
    match tag {
        "XMEAS-6" | "XMEAS-7" | "XMEAS-8" | "XMEAS-9" | "XMEAS-21" | "XMV-10" => "M-REACTOR",
        "XMEAS-1" | "XMEAS-2" | "XMEAS-3" | "XMEAS-4" | "XMV-1" | "XMV-2" | "XMV-3" | "XMV-4" => "M-FEED",
        _ if (23..=28).any(|at| tag == format!("XMEAS-{at}")) => "M-FEED",
        _ => "M-SEPARATION",
    }
}

/// What `rules.toml` has to say.
fn rules() -> String {
    let mut text = "\
# Made from tests/data/tep/d00.dat.gz, the training part of the normal data, by agent/tests/tennessee.rs: the mean of
# 30 minutes leaves that of the run by 5 standard deviations of such means. By hand nothing is changed here.
"
    .to_owned();
    let points = fs::read_to_string(config().join("points.csv")).expect("the point table");
    for (row, run) in points.lines().skip(1).zip(training()) {
        let mut cells = row.split(',');
        let (tag, name) = (cells.next().expect("a tag"), cells.next().expect("a name"));
        let (low, high) = limits(&run);
        let (low, high) = (rounded(low), rounded(high));
        write!(
            text,
            "
[[rule]]
id        = \"{id}\"
measure   = \"{measure}\"
name      = \"{name}偏离正常\"
name_en   = \"{tag} departs from normal\"
priority  = \"medium\"
when      = \"avg({{{tag}}}, 30m) < {low} or avg({{{tag}}}, 30m) > {high}\"
clear     = \"avg({{{tag}}}, 30m) >= {low} and avg({{{tag}}}, 30m) <= {high}\"
clear_for = \"30m\"
hazard    = {{ confirm = \"person\" }}
",
            id = tag.to_lowercase(),
            measure = measure_of(tag),
        )
        .expect("written");
    }
    text
}

#[test]
fn the_limits_are_those_of_the_training_data() {
    let file = config().join("rules.toml");
    if std::env::var_os("RISKGATE_WRITE_RULES").is_some() {
        fs::write(&file, rules()).expect("written");
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == rules(), "config/tennessee-eastman/rules.toml is another: set RISKGATE_WRITE_RULES=1");
}

#[test]
fn the_configuration_will_run() {
    let checked = check(&config()).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    assert_eq!((checked.plant.points().len(), checked.plant.rules().len()), (52, 52 + 10));
    assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
}

fn backtest(name: &str) -> Report {
    let checked = check(&config()).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let layout = Layout::read(&root().join("tests/data/tep/layout.toml")).expect("a layout");
    let asked = Asked {
        new: checked.plant,
        against: None,
        files: &[data(name)],
        layout: Some(layout),
        timezone: TimeZone::UTC,
    };
    let report = run(asked, &mut |_| {}).expect("it runs");
    assert_eq!(report.samples, 960 * 52);
    assert_eq!((report.findings.unreadable, report.findings.missing.len()), (0, 0));
    assert!(report.new.faults.is_empty(), "{:?}", report.new.faults);
    report
}

/// The sample of each alarm, and its rule, in the order of time.
fn alarms(report: &Report) -> Vec<(i64, &str)> {
    let rules = report.new.rules.iter();
    let mut alarms: Vec<(i64, &str)> = rules
        .flat_map(|of| {
            of.episodes.iter().map(|it| ((it.onset_at.0 - START_MS) / SAMPLE_MS, of.rule.as_str()))
        })
        .collect();
    alarms.sort_unstable();
    alarms
}

/// Of numbers in order; of an even number of them the mean of the two in the middle.
fn median(sorted: &[i64]) -> f64 {
    let at = |place: usize| i32::try_from(*sorted.get(place).expect("some")).expect("few samples");
    f64::from(at(sorted.len().saturating_sub(1) / 2) + at(sorted.len() / 2)) / 2.0
}

/// Delays are counted in samples from the first with the fault in it.
#[test]
fn faults_are_detected_and_normal_running_is_left_alone() {
    let mut table = String::new();
    // Each takes its time in a debug build, and knows nothing of the others.
    let (normal, faults) = thread::scope(|scope| {
        let normal = scope.spawn(|| backtest("d00_te"));
        let one = |fault| scope.spawn(move || backtest(&format!("d{fault:02}_te")));
        let faults: Vec<_> = (1..=10).map(one).collect();
        let faults: Vec<Report> = faults.into_iter().map(|of| of.join().expect("it ran")).collect();
        (normal.join().expect("it ran"), faults)
    });
    let false_alarms = alarms(&normal);
    writeln!(table, "normal test run: {} false alarms in 960 samples {false_alarms:?}", false_alarms.len())
        .expect("written");
    let mut delays = Vec::new();
    for (fault, report) in (1..=10).zip(&faults) {
        let alarms = alarms(report);
        let before = alarms.iter().filter(|(at, _)| *at < ONSET).count();
        let mut after = alarms.iter().filter(|(at, _)| *at >= ONSET).peekable();
        let first = after.peek().map(|(at, rule)| (at - ONSET, *rule));
        delays.extend(first.map(|(delay, _)| delay));
        let said = first
            .map_or("not detected".to_owned(), |(delay, rule)| format!("after {delay} samples by {rule}"));
        writeln!(table, "fault {fault:>2}: {said}; alarms {}, before the fault {before}", after.count())
            .expect("written");
    }
    delays.sort_unstable();
    writeln!(table, "detected {} of 10, median delay {} samples", delays.len(), median(&delays))
        .expect("written");
    insta::assert_snapshot!(table);
}
