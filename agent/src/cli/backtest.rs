//! `riskgate backtest`: runs it, shows how far it is, and prints what it found. What it found goes to the standard
//! output and is the same on each run; how fast it went goes to the standard error.

use std::path::PathBuf;

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use riskgate_point::Now;

use super::tools::progress::Progress as Bar;
use super::{Outcome, Screen};
use crate::backtest::{
    Asked, BacktestError, Change, Difference, EpisodeReport, Findings, Layout, Partly, Progress, Report,
    RuleReport, RunReport, run,
};
use crate::causes::chain;
use crate::config::{self, Checked};

/// Episodes listed of a comparison; `--json` has them all.
const LISTED_MAX: usize = 40;
/// A rule that is blind for a part of the time as large as this is listed though it never alarmed.
const BLIND: f64 = 0.05;
/// Names in one line.
const NAMED_MAX: usize = 10;

pub(super) const BACKTEST_HELP: &str = "例 Examples:
  riskgate history export --since 30d --out all.csv
  riskgate backtest --config new --history all.csv                       新规则在过去30天会怎样 the last 30 days under new rules
  riskgate backtest --config new --against /etc/riskgate --history all.csv   与现有规则比较 against those in force
  riskgate backtest --config new --history /var/lib/riskgate             直接读历史 the agent's own history
  riskgate backtest --config config/tennessee-eastman --layout tests/data/tep/layout.toml --history tests/data/tep/d01_te.dat.gz

读取：riskgate history export 的 CSV、三列 time,tag,value（时间,位号,数值）的 CSV、每列一个变量的过程数据（用 --layout 说明）、历史文件夹；可为 .gz。多个文件按时间合并。
Reads: the CSV of riskgate history export, or time,tag,value alone; process data, a column a variable (told by
--layout); the folder of a history. CSV and data may be .gz. Several files are merged by time; data without times
follow one another.
--layout FILE (TOML): columns = [\"TI-1\", \"\", …]; tags = { \"列名\" = \"TI-1\" }; time = \"Time\"; interval = \"3m\"; start = \"2026-01-01T00:00:00+08:00\"
没有人确认或整改，未关闭的隐患再次出现计为重复。Nobody confirms or rectifies here: what comes again is a repeat.
--json：字段只增不改。{from, to, samples, new, against, differences, compared_until, findings}；new.rules 每条规则一项，含每次过程。
退出码 Exit codes: 0 完成 done; 1 配置或文件有错误，或有读不懂的行 configuration or files are at fault, or rows could not be read
下一步 Next: shadow = true 试运行新规则，riskgate show shadow / try the rule beside the others: shadow = true";

#[derive(Debug, Args)]
pub(super) struct BacktestArgs {
    /// 新配置文件夹 / the configuration to try
    #[arg(long, value_name = "NEW")]
    config: PathBuf,

    /// 与此配置比较 / compare with this one
    #[arg(long, value_name = "OLD")]
    against: Option<PathBuf>,

    /// 记录的数据：CSV、过程数据、历史文件夹 / what was recorded
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    history: Vec<PathBuf>,

    /// 过程数据的列和时间 / what the columns of process data are
    #[arg(long, value_name = "FILE")]
    layout: Option<PathBuf>,

    /// 输出 JSON / print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn obey(args: &BacktestArgs, clock: fn() -> Now, screen: &mut Screen) -> Outcome {
    let new = match checked(&args.config, screen) {
        Ok(checked) => checked,
        Err(outcome) => return outcome,
    };
    let against = match args.against.as_ref().map(|folder| checked(folder, screen)).transpose() {
        Ok(checked) => checked,
        Err(outcome) => return outcome,
    };
    let layout = match args.layout.as_ref().map(|path| Layout::read(path)).transpose() {
        Ok(layout) => layout,
        Err(error) => return refused(&error, screen),
    };
    let timezone = new.site.timezone.clone();
    let asked = Asked {
        new: new.plant,
        against: against.map(|checked| checked.plant),
        files: &args.history,
        layout,
        timezone,
    };
    let bar = Bar::of_process();
    let begun = clock();
    let mut speed = String::new();
    let mut show = |of: Progress| {
        let Progress { samples, done, all } = of;
        let took = clock().mono.since(begun.mono);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let rate = samples.saturating_mul(1_000_000) / micros;
        speed = format!("{samples} 个采样 samples, {:.2} s, {rate} 采样/秒 samples/s", took.as_secs_f64());
        let percent = usize::try_from(done.saturating_mul(100) / all.max(1)).unwrap_or(100).min(100);
        bar.show(percent, Some(100), &format!("% {speed}"));
    };
    let report = run(asked, &mut show);
    bar.clear();
    let report = match report {
        Ok(report) => report,
        Err(error) => return refused(&error, screen),
    };
    if args.json {
        match serde_json::to_string_pretty(&report) {
            Ok(json) => screen.say(&json),
            Err(error) => screen.problem(&format!("the report is no JSON: {error}")),
        }
    } else {
        screen.say(&in_words(&report, screen.width));
    }
    tell(&report.findings, screen);
    screen.problem(&speed);
    if report.findings.unreadable > 0 { Outcome::Refused } else { Outcome::Done }
}

fn checked(folder: &std::path::Path, screen: &mut Screen) -> Result<Checked, Outcome> {
    config::check(folder).map_err(|problems| {
        screen.problem(&problems.render(screen.colour));
        let path = folder.display();
        screen.problem(&format!(
            "配置有错误，未回放 / {path} is refused: nothing was run; riskgate check {path}"
        ));
        Outcome::Refused
    })
}

fn refused(error: &BacktestError, screen: &mut Screen) -> Outcome {
    let zh = match error {
        BacktestError::File { .. } => "未能读取文件",
        BacktestError::Form { .. } => "文件的格式不对",
        BacktestError::History { .. } => "未能读取历史",
        BacktestError::Empty(findings) => {
            tell(findings, screen);
            "文件中没有读数"
        }
    };
    screen.problem(&format!("{zh} / {}", chain(error)));
    Outcome::Refused
}

fn in_words(report: &Report, width: Option<u16>) -> String {
    let Report { from, to, samples, new, against, differences, compared_until, findings: _ } = report;
    let mut parts = vec![format!("{from} — {to}, {samples} 个采样 samples")];
    match against {
        None => parts.push(run_in_words(new, width)),
        Some(old) => {
            parts.push(format!("新配置 new\n{}", run_in_words(new, width)));
            parts.push(format!("原配置 old\n{}", run_in_words(old, width)));
        }
    }
    parts.extend(differences.as_ref().map(|all| differences_in_words(all, width)));
    parts.extend(compared_until.iter().take(LISTED_MAX).map(|Partly { rule, until }| {
        format!("{rule}: 过程过多，只比较到 {until} / more episodes than are kept: compared up to {until}")
    }));
    let more = compared_until.len().saturating_sub(LISTED_MAX);
    if more > 0 {
        parts.push(format!("另有 {more} 条规则同样 / and {more} rules more in the same way: --json"));
    }
    parts.join("\n\n")
}

fn table(header: &[&str], width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header.iter().copied());
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table
}

/// Rules that had something to say or were blind; the others are counted.
fn run_in_words(run: &RunReport, width: Option<u16>) -> String {
    let mut table = table(
        &[
            "规则 rule",
            "报警 alarms",
            "隐患 hazards",
            "第一次 first",
            "时长中位数 median",
            "抖动 chatter",
            "未知 unknown",
        ],
        width,
    );
    let says = |of: &&RuleReport| of.alarms > 0 || of.unknown_share >= BLIND;
    let all = || run.rules.iter().chain(&run.faults);
    for of in all().filter(says) {
        let shadow = if of.shadow { "（试运行 shadow）" } else { "" };
        let going_on = if of.going_on { "\n仍在 going on" } else { "" };
        let repeats = if of.repeats > 0 { format!(" +{}", of.repeats) } else { String::new() };
        table.add_row([
            format!("{}{shadow}", of.rule),
            of.alarms.to_string(),
            format!("{}{repeats}", of.hazards),
            of.first.as_deref().map(brief).unwrap_or_default(),
            format!("{}{going_on}", of.median_s.map(length).unwrap_or_default()),
            of.chatter.to_string(),
            percent(of.unknown_share),
        ]);
    }
    let silent = all().count() - all().filter(says).count();
    let (alarms, hazards) = (all().map(|of| of.alarms).sum::<u64>(), all().map(|of| of.hazards).sum::<u64>());
    format!(
        "{table}\n合计 together: {alarms} 次报警 alarms, {hazards} 条隐患 hazards; 另有 {silent} 条规则无报警 other rules: no alarm, known for 95 % of the time"
    )
}

fn differences_in_words(all: &[Difference], width: Option<u16>) -> String {
    if all.is_empty() {
        return "两个配置没有差别 no episode differs".to_owned();
    }
    let count = |change: Change| all.iter().filter(|of| of.change == change).count();
    let mut table = table(&["变化 change", "规则 rule", "新 new", "原 old"], width);
    for of in all.iter().take(LISTED_MAX) {
        let change = match of.change {
            Change::Appears => "新出现 appears",
            Change::Disappears => "不再出现 disappears",
            Change::Moves => "时间变化 moves",
        };
        let side = |of: &Option<EpisodeReport>| of.as_ref().map(span).unwrap_or_default();
        table.add_row([change.to_owned(), of.rule.clone(), side(&of.new), side(&of.old)]);
    }
    let more = all.len().saturating_sub(LISTED_MAX);
    let more = if more > 0 {
        format!("\n另有 {more} 项，见 --json / and {more} more: --json")
    } else {
        String::new()
    };
    format!(
        "变化 changes: {} 新出现 appear, {} 不再出现 disappear, {} 时间变化 move\n{table}{more}",
        count(Change::Appears),
        count(Change::Disappears),
        count(Change::Moves),
    )
}

fn tell(findings: &Findings, screen: &mut Screen) {
    for listed in &findings.listed {
        screen.problem(listed);
    }
    let listed = u64::try_from(findings.listed.len()).unwrap_or(u64::MAX);
    if findings.unreadable > listed {
        let more = findings.unreadable - listed;
        screen.problem(&format!("另有 {more} 处读不懂 / and {more} more that cannot be read"));
    }
    if findings.backwards > 0 {
        let places = findings.first_backwards.values().cloned().collect::<Vec<_>>().join(", ");
        screen.problem(&format!(
            "{} 个采样时间倒退，未参与判断 / readings whose time goes back are left out; first: {places}",
            findings.backwards
        ));
    }
    if findings.late > 0 {
        screen.problem(&format!(
            "{} 个补传采样未参与判断 / samples that came late are left out: they were never judged",
            findings.late
        ));
    }
    for (tag, nearest) in &findings.unknown_tags {
        let (zh, en) = nearest.as_ref().map_or_else(Default::default, |near| {
            (format!("，是不是'{near}'？"), format!("; did you mean '{near}'?"))
        });
        screen.problem(&format!("配置中没有测点'{tag}'{zh} / no point '{tag}'{en}"));
    }
    if !findings.missing.is_empty() {
        let named = findings.missing.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(" ");
        let dots = if findings.missing.len() > NAMED_MAX { " …" } else { "" };
        screen.problem(&format!(
            "{} 个规则用到的测点没有数据 / points that rules read are not in the files: {named}{dots}",
            findings.missing.len()
        ));
    }
}

fn span(of: &EpisodeReport) -> String {
    let end = of.end.as_deref().map_or_else(|| "…".to_owned(), brief);
    format!("{} — {end}", brief(&of.onset))
}

/// Without the day's century and the offset, which the head line has.
fn brief(stamp: &str) -> String {
    stamp.get(..19).unwrap_or(stamp).replace('T', " ")
}

fn length(seconds: f64) -> String {
    match seconds {
        short if short < 120.0 => format!("{short:.1} s"),
        middle if middle < 7200.0 => format!("{:.1} min", middle / 60.0),
        long => format!("{:.1} h", long / 3600.0),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
