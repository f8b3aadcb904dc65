//! The past over real files in a folder of their own.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use riskgate_engine::Plant;
use riskgate_point::{Link, Mono, Now, PointId, Report as Told, Sample, SourceId, Value, Wall};
use tempfile::TempDir;

use super::*;
use crate::config;
use crate::history::export::export;
use crate::history::read::Reader;
use crate::history::{FILE, History, Limits};

const SITE: &str = r#"
[gateway]
company = "540170007"
id = "54017000701"
name = "试验网关"
[uplink]
host = "127.0.0.1"
[store]
dir = "/nowhere"
[[source]]
id = "dcs"
name = "DCS"
kind = "modbus-tcp"
host = "127.0.0.1"
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
"#;
const POINTS: &str = "tag,source,address,type,class\nLT-1,dcs,holding:0,f32,process\nLT-2,dcs,holding:2,f32,process\nXS-1,dcs,coil:0,bool,process\n";
const HEAD: &str = "time,tag,value,quality,reason\n";

fn rule(id: &str, when: &str, more: &str) -> String {
    format!(
        "[[rule]]\nid = \"{id}\"\nmeasure = \"M-1\"\nname = \"{id}\"\npriority = \"high\"\nwhen = \"{when}\"\n{more}\n"
    )
}

fn plant(rules: &str) -> Plant {
    let files = vec![
        (PathBuf::from("site.toml"), format!("{SITE}{rules}").into_bytes()),
        (PathBuf::from("points.csv"), POINTS.as_bytes().to_vec()),
    ];
    config::check_files(files).unwrap_or_else(|problems| panic!("{}", problems.render(false))).plant
}

/// LT-1 above 90: after a minute an alarm, with a hazard.
fn high() -> String {
    rule("high", "{LT-1} > 90", "for = \"60s\"\nhazard = { confirm = \"auto\" }")
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    fn packed(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        let mut file = GzEncoder::new(std::fs::File::create(&path).expect("made"), Compression::fast());
        file.write_all(text.as_bytes()).expect("written");
        file.finish().expect("finished");
        path
    }
}

fn shanghai() -> TimeZone {
    TimeZone::get("Asia/Shanghai").expect("embedded")
}

fn tried(
    rules: &str,
    against: Option<&str>,
    files: &[PathBuf],
    layout: Option<Layout>,
) -> Result<Report, BacktestError> {
    let asked = Asked { new: plant(rules), against: against.map(plant), files, layout, timezone: shanghai() };
    run(asked, &mut |_| {})
}

fn ran(rules: &str, files: &[PathBuf]) -> Report {
    tried(rules, None, files, None).unwrap_or_else(|error| panic!("{error}"))
}

/// A row of the export, `minute:second` after eight.
fn row(at: &str, tag: &str, value: &str) -> String {
    format!("2026-11-23T08:{at}.000+08:00,{tag},{value},good,\n")
}

/// Onset and end, as `minute:second`.
fn episodes(of: &RuleReport) -> Vec<(String, Option<String>)> {
    let brief = |stamp: &String| stamp.get(14..19).expect("a stamp").to_owned();
    of.episodes.iter().map(|of| (brief(&of.onset), of.end.as_ref().map(brief))).collect()
}

fn of<'r>(report: &'r RunReport, rule: &str) -> &'r RuleReport {
    report.rules.iter().find(|of| of.rule == rule).expect("a rule")
}

/// Two episodes: the first returns, the second goes on.
fn recorded() -> String {
    let rows = [
        ("00:00", "50"),
        ("01:00", "95"),
        ("05:00", "50"),
        ("06:00", "95"),
        ("06:30", "50"),
        ("07:00", "95"),
    ];
    let rows = rows.map(|(at, value)| row(at, "LT-1", value)).concat();
    format!("{HEAD}{}{rows}{}", row("00:00", "LT-2", "0"), row("20:00", "LT-2", "1"))
}

#[test]
fn a_deadline_between_two_readings_falls_at_its_own_time() {
    let folder = Folder::new();
    let report = ran(&high(), &[folder.file("a.csv", &recorded())]);
    let high = of(&report.new, "high");
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(episodes(high), [("02:00".to_owned(), some("05:00")), ("08:00".to_owned(), None)]);
    assert_eq!((high.alarms, high.hazards, high.repeats, high.going_on), (2, 1, 1, true));
    assert_eq!((high.median_s, high.chatter), (Some(180.0), 0));
    assert_eq!(high.first.as_deref(), Some("2026-11-23T08:02:00.000+08:00"));
    assert!(report.new.faults.is_empty(), "what the files do not hold was not lost");
    assert_eq!(report.findings, Findings::default());
}

#[test]
fn the_same_run_gives_the_same_bytes_packed_or_not_and_in_one_file_or_two() {
    let folder = Folder::new();
    let whole = recorded();
    let (mut one, mut two) = (HEAD.to_owned(), HEAD.to_owned());
    for (at, line) in whole.lines().skip(1).enumerate() {
        writeln!(if at % 2 == 0 { &mut one } else { &mut two }, "{line}").expect("written");
    }
    let (one, two) = (folder.file("one.csv", &one), folder.packed("two.csv.gz", &two));
    let against = rule("high", "{LT-1} > 90", "");
    let json = |files: &[PathBuf]| {
        let report = tried(&high(), Some(&against), files, None).expect("it runs");
        serde_json::to_string_pretty(&report).expect("json")
    };
    let first = json(&[folder.file("whole.csv", &whole)]);
    for files in
        [vec![folder.0.path().join("whole.csv")], vec![folder.packed("w.gz", &whole)], vec![two, one]]
    {
        assert_eq!(json(&files), first);
    }
}

#[test]
fn what_appears_disappears_and_moves_is_told_episode_by_episode() {
    let folder = Folder::new();
    let file = folder.file("a.csv", &recorded());
    let old = format!("{}{}", rule("high", "{LT-1} > 90", ""), rule("gone", "{LT-1} > 94", ""));
    let new = format!("{}{}", high(), rule("come", "{LT-2} > 0", ""));
    let report = tried(&new, Some(&old), &[file], None).expect("it runs");
    let told = report.differences.expect("compared");
    let told: Vec<_> = told.iter().map(|of| (of.rule.as_str(), of.change)).collect();
    use Change::{Appears, Disappears, Moves};
    let expected = [
        ("high", Moves),
        // Half a minute above the limit: it is no alarm any more.
        ("high", Disappears),
        ("high", Moves),
        ("come", Appears),
        ("gone", Disappears),
        ("gone", Disappears),
        ("gone", Disappears),
    ];
    assert_eq!(told, expected);
}

#[test]
fn silence_is_what_the_file_says_and_not_what_the_clock_does() {
    let folder = Folder::new();
    let silent = "2026-11-23T08:10:00.000+08:00,LT-1,,bad,stale\n";
    let text = format!("{HEAD}{}{silent}{}", row("00:00", "LT-1", "50"), row("20:00", "LT-1", "50"));
    let report = ran(&rule("high", "{LT-1} > 90", ""), &[folder.file("a.csv", &text)]);
    assert!((of(&report.new, "high").unknown_share - 0.5).abs() < 1e-9);
    // A point that stays silent is a fault, and the files say so of this one.
    assert_eq!(report.new.faults.iter().map(|of| of.rule.as_str()).collect::<Vec<_>>(), ["fault:LT-1"]);
}

#[test]
fn chatter_is_the_third_onset_within_a_minute() {
    let folder = Folder::new();
    let mut text = HEAD.to_owned();
    for second in 0..10 {
        text.push_str(&row(
            &format!("00:{:02}", second * 4),
            "LT-1",
            if second % 2 == 0 { "95" } else { "50" },
        ));
    }
    let report = ran(&rule("high", "{LT-1} > 90", ""), &[folder.file("a.csv", &text)]);
    assert_eq!((of(&report.new, "high").alarms, of(&report.new, "high").chatter), (5, 3));
}

#[test]
fn a_shadow_rule_is_reported_with_what_it_would_have_told() {
    let folder = Folder::new();
    let shadow = rule("high", "{LT-1} > 90", "for = \"60s\"\nshadow = true\nhazard = { confirm = \"auto\" }");
    let report = ran(&shadow, &[folder.file("a.csv", &recorded())]);
    let high = of(&report.new, "high");
    assert_eq!((high.shadow, high.alarms, high.hazards, high.median_s), (true, 2, 0, Some(180.0)));
}

#[test]
fn what_is_wrong_with_rows_is_told_by_file_and_line_and_the_others_are_judged() {
    let folder = Folder::new();
    let rows = [
        "2026-11-23T08:00:00+08:00,LT-1,50,good,",
        "yesterday,LT-1,50,good,",
        "2026-11-23T08:00:02+08:00,LT-1,5O,good,",
        "2026-11-23T08:00:03+08:00,LT-1,,good,",
        "2026-11-23T08:00:04+08:00,LT-1,50,goood,",
        "2026-11-23T08:00:05+08:00,LT-1",
        "2026-11-23T08:00:06+08:00,LT-l,50,good,",
        "2026-11-23T08:00:06+08:00,LT-l,51,good,",
        "2026-11-23T07:59:59+08:00,LT-1,99,good,",
        "2026-11-23T08:00:08+08:00,XS-1,2,good,",
        "2026-11-23T08:00:09+08:00,\"LT-1\",95,good,",
    ];
    let file = folder.file("a.csv", &format!("\u{feff}{HEAD}{}\r\n", rows.join("\r\n")));
    let report =
        ran(&format!("{}{}", rule("high", "{LT-1} > 90", ""), rule("two", "{LT-2} > 1", "")), &[file]);
    let at = |line: &str| line.split_once("a.csv:").map(|(_, said)| said.to_owned()).expect("a place");
    let listed: Vec<String> = report.findings.listed.iter().map(|line| at(line)).collect();
    let expected = [
        "3: 'yesterday' is no time; write 2026-11-23T08:00:00.004+08:00 or 2026-11-23 08:00:00",
        "4: '5O' is no value of 'LT-1', which reads a finite number; is it the tag that is meant?",
        "5: 'LT-1' is good and has no value; a row without a value is bad",
        "6: 'goood,' is no quality; good, uncertain or bad, and behind it the reason as the export writes it",
        "7: 2 fields, not 5 or 3; a row is time,tag,value,quality,reason or time,tag,value",
        "11: '2' is no value of 'XS-1', which reads true or false; is it the tag that is meant?",
    ];
    assert_eq!(listed, expected);
    let Findings { unreadable, backwards, first_backwards, unknown_tags, missing, .. } = report.findings;
    assert_eq!((unreadable, backwards), (6, 1));
    assert!(first_backwards.values().all(|place| place.ends_with("a.csv:10")), "{first_backwards:?}");
    assert_eq!(unknown_tags.into_iter().collect::<Vec<_>>(), [("LT-l".to_owned(), Some("LT-1".to_owned()))]);
    assert_eq!(missing, ["LT-2"]);
    assert_eq!(of(&report.new, "high").alarms, 1, "the last row was read");
}

#[test]
fn a_file_that_is_nothing_of_ours_is_refused_with_what_to_do() {
    let folder = Folder::new();
    let refused = |file: PathBuf, layout: Option<Layout>| {
        let error = tried(&high(), None, &[file], layout).expect_err("refused").to_string();
        error
            .split_once(&folder.0.path().display().to_string())
            .map_or(error.clone(), |(_, said)| said.to_owned())
    };
    assert_eq!(
        refused(folder.file("e.csv", ""), None),
        "/e.csv:0: the file is empty; name a file with readings"
    );
    assert_eq!(
        refused(folder.file("n.dat", "1 2 3\n"), None),
        "/n.dat:1: no header names the columns; write columns = [...] in a file for --layout"
    );
    let layout =
        Layout { columns: vec!["LT-1".to_owned()], interval: Some("1m".to_owned()), ..Layout::default() };
    assert_eq!(
        refused(folder.file("w.dat", "1 2 3\n"), Some(layout)),
        "/w.dat:1: 3 columns, and the layout names 1; a row is one sample of all variables: is the table turned round?"
    );
    assert_eq!(
        refused(folder.file("t.csv", "LT-1,LT-2\n1,2\n"), None),
        "/t.csv:1: no column is the time of the rows; name it as time = \"...\", or say interval = \"3m\", in a file for --layout"
    );
    assert_eq!(
        refused(folder.file("h.csv", HEAD), None),
        "there is no reading in these files: nothing to judge"
    );
    assert!(refused(folder.0.path().join("not-there.csv"), None).contains("not-there.csv"));
    let layout =
        Layout::read(&folder.file("l.toml", "columns = []\nintervall = \"3m\"\n")).expect_err("refused");
    assert!(layout.to_string().contains("l.toml:2: unknown field `intervall`"), "{layout}");
}

#[test]
fn rows_of_time_tag_and_value_are_readings_in_the_time_of_the_site() {
    let folder = Folder::new();
    let rows = "2026-11-23 08:00:00,LT-1,50\n2026-11-23 08:01:00,LT-1,95\n2026-11-23 08:03:00,LT-1,\n2026-11-23 08:05:00,LT-1,50\n";
    for head in ["time,tag,value", "时间,位号,数值"] {
        let report =
            ran(&rule("high", "{LT-1} > 90", ""), &[folder.file("h.csv", &format!("{head}\n{rows}"))]);
        let high = of(&report.new, "high");
        // What has no value clears nothing.
        assert_eq!(episodes(high), [("01:00".to_owned(), Some("05:00".to_owned()))], "{head}");
        assert_eq!(report.findings, Findings::default());
    }
}

#[test]
fn process_data_with_times_says_its_tags_in_its_header_and_a_hole_is_silence() {
    let folder = Folder::new();
    let text = "Time;Level;Other\n2026-11-23 08:00:00;50;1\n2026-11-23 08:01:00;95;1\n2026-11-23 08:02:00;;1\n2026-11-23 08:03:00;50;1\n2026-11-23 08:13:00;50;1\n";
    let tags = [("Level", "LT-1"), ("Other", "")].map(|(from, to)| (from.to_owned(), to.to_owned()));
    let layout = Layout { tags: tags.into(), ..Layout::default() };
    let report = tried(&rule("high", "{LT-1} > 90", ""), None, &[folder.file("p.csv", text)], Some(layout));
    let report = report.expect("it runs");
    let high = of(&report.new, "high");
    assert_eq!(episodes(high), [("01:00".to_owned(), Some("03:00".to_owned()))]);
    // From three intervals behind 08:03 to 08:13.
    assert!((high.unknown_share - 7.0 / 13.0).abs() < 1e-9, "{}", high.unknown_share);
    assert!(report.findings.unknown_tags.is_empty() && report.findings.unreadable == 0);
}

#[test]
fn process_data_without_times_follows_on_file_by_file() {
    let folder = Folder::new();
    let files = [folder.file("a.dat", "  50 1\n  50 1\n"), folder.packed("b.dat.gz", "  95 1\n  95 1\n")];
    let columns = ["LT-1", ""].map(str::to_owned).to_vec();
    let layout = Layout {
        columns,
        interval: Some("1m".to_owned()),
        start: Some("2026-11-23T08:00:00".to_owned()),
        ..Layout::default()
    };
    let report = tried(&rule("high", "{LT-1} > 90", ""), None, &files, Some(layout)).expect("it runs");
    assert_eq!(episodes(of(&report.new, "high")), [("02:00".to_owned(), None)]);
    assert_eq!(report.to, "2026-11-23T08:03:00.000+08:00");
}

#[test]
fn the_agents_own_history_and_its_export_give_the_same() {
    let folder = Folder::new();
    let rules = high();
    let start = Now { mono: Mono(1_000_000_000_000_000), wall: Wall(1_700_000_000_000) };
    let limits = Limits { keep: Duration::from_secs(86_400), max_bytes: 1 << 30 };
    let (history, mut recorder) =
        History::open(folder.0.path(), limits, &Arc::new(plant(&rules)), start).expect("a thread");
    let source = SourceId(0);
    recorder.offer(&[Told::Link { source, link: Link::Up, at: start }]);
    let mut now = start;
    for (wait, value) in [(0, 50.0), (60, 95.0), (240, 50.0), (60, 95.0), (600, 95.0)] {
        for _ in 0..wait {
            now = now.after(Duration::from_secs(1));
            recorder.offer(&[Told::Refreshed { source, at: now }]);
            recorder.turn(now);
        }
        let value = Value::float(value).expect("finite");
        recorder.offer(&[Told::Sample(Sample::good(PointId(0), value, now))]);
    }
    recorder.turn(now);
    history.close();
    let reader = Reader::open(&folder.0.path().join(FILE)).expect("a history");
    let since = reader.oldest().expect("read").expect("some");
    let mut csv = Vec::new();
    let span = (since, Wall(i64::MAX));
    export(&reader, &[], span, &TimeZone::UTC, &mut csv, &mut |_, _| {}).expect("exported");
    let exported = ran(&rules, &[folder.file("all.csv", &String::from_utf8(csv).expect("text"))]);
    let played = ran(&rules, &[folder.0.path().to_owned()]);
    assert_eq!(played.new, exported.new);
    let high = of(&played.new, "high");
    assert_eq!((high.alarms, high.median_s), (2, Some(180.0)));
}

#[test]
fn how_far_it_is_ends_at_all_of_it() {
    let folder = Folder::new();
    let rows: String =
        (0..5_000).map(|at| format!("2026-11-23T08:00:00.000+08:00,LT-2,{at},good,\n")).collect();
    let files = [folder.file("a.csv", &format!("{HEAD}{rows}"))];
    let asked =
        Asked { new: plant(&high()), against: None, files: &files, layout: None, timezone: TimeZone::UTC };
    let mut told = Vec::new();
    run(asked, &mut |of| told.push(of)).expect("it runs");
    assert_eq!(told.iter().map(|of| of.samples).collect::<Vec<_>>(), [4_096, 5_000]);
    assert!(
        told.iter().all(|of| of.done > 0 && of.done <= of.all) && told[1].done == told[1].all,
        "{told:?}"
    );
}
