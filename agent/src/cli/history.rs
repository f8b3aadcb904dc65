//! `riskgate history`: the trend of a point, and the export of many. It reads the file beside a running agent
//! or without one, and changes nothing.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use riskgate_point::{Value, Wall};

use super::args::{StoreDir, duration};
use super::place::{Place, place_of};
use super::tools::progress::Progress;
use super::{Outcome, Screen};
use crate::causes::chain;
use crate::history::export::{self, ExportError, export, time, words};
use crate::history::read::Reader;
use crate::history::{FILE, FLUSH_EVERY, HistoryError, Reading};

/// Samples that a table shows; more are told by their least and greatest.
const ROWS_MAX: usize = 200;
/// Parts of the time of such a table.
const PARTS: usize = 48;

pub(super) const HISTORY_HELP: &str = "例 Examples:
  riskgate history LT-1 --since 1d                   一天的趋势 the trend of one day
  riskgate history LT-1 --since 8h --csv > LT-1.csv  每个采样一行 one row a sample
  riskgate history export --since 30d --out all.csv  全部测点，供回放试算 every point, for a backtest
  riskgate history export LT-1 TI-2 --since 2026-11-20T08:00:00+08:00 --until 2026-11-21T08:00:00+08:00 --out two.csv

直接读历史文件，网关程序可以在运行；最近5分钟内的数据可能还没有写入。安装为服务时用 sudo。
It reads the file while the agent runs; the last 5 min may not be in it yet. With the service, use sudo.
CSV：time,tag,value,quality,reason；时间 RFC 3339；数值一直有效到下一行；bad,stale 表示从此时起未知。
CSV: a value holds until the point's next row; bad,stale: from here on nothing is known.
退出码 Exit codes: 0 完成 done; 1 没有这个测点或读写失败 no such point, or it cannot be read or written
下一步 Next: 网页趋势 the trend as a page: http://127.0.0.1:8080/trend";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct HistoryArgs {
    #[command(subcommand)]
    export: Option<HistoryCommand>,

    /// 测点位号 / the point's tag
    #[arg(value_name = "POINT", required = true)]
    point: Option<String>,

    /// 输出 CSV / print CSV
    #[arg(long)]
    csv: bool,

    #[command(flatten)]
    span: Span,
}

#[derive(Debug, Subcommand)]
enum HistoryCommand {
    /// 导出 CSV，供回放试算 / export as CSV, for a backtest
    #[command(after_help = HISTORY_HELP)]
    Export {
        /// 测点位号，不写为全部 / tags [default: all]
        #[arg(value_name = "POINT")]
        points: Vec<String>,

        /// 写到哪个文件；- 为标准输出 / the file to write; -: standard output
        #[arg(long, value_name = "FILE")]
        out: PathBuf,

        #[command(flatten)]
        span: Span,
    },
}

/// From when to when, and of which store.
#[derive(Debug, Args)]
struct Span {
    /// 从何时起：1d、8h，或 RFC 3339 时间 / how long ago, or a time
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = when)]
    since: When,

    /// 到何时止，默认现在 / until when [default: now]
    #[arg(long, value_name = "TIME", value_parser = when)]
    until: Option<When>,

    #[command(flatten)]
    store: StoreDir,
}

/// A moment, or how long before now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Ago(std::time::Duration),
    At(Wall),
}

fn when(text: &str) -> Result<When, String> {
    if let Ok(ago) = duration(text) {
        return Ok(When::Ago(ago));
    }
    match text.trim().parse::<jiff::Timestamp>() {
        Ok(at) => Ok(When::At(Wall(at.as_millisecond()))),
        Err(_) => Err("写成 write 30m, 8h, 1d（分、时、天）, 2026-11-23T08:00:00+08:00".to_owned()),
    }
}

impl When {
    fn before(self, now: Wall) -> Wall {
        match self {
            Self::Ago(ago) => Wall(now.0.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX))),
            Self::At(at) => at,
        }
    }
}

pub(super) fn obey(args: &HistoryArgs, now: Wall, screen: &mut Screen) -> Outcome {
    let span = match &args.export {
        Some(HistoryCommand::Export { span, .. }) => span,
        None => &args.span,
    };
    let Place { dir: folder, zone: timezone } = match place_of(&span.store, screen) {
        Ok(place) => place,
        Err(outcome) => return outcome,
    };
    let until = span.until.map_or(now, |until| until.before(now));
    let since = span.since.before(now);
    if since >= until {
        screen.problem("--since 须早于 --until / --since has to be before --until");
        return Outcome::Usage;
    }
    let asked = Asked { since, until, timezone };
    let done = Reader::open(&folder.join(FILE)).map_err(ExportError::from).and_then(|reader| {
        match (&args.export, &args.point) {
            (Some(HistoryCommand::Export { points, out, .. }), _) => {
                to_file(&reader, points, out, &asked, screen)
            }
            (None, Some(tag)) => trend(&reader, tag, args.csv, &asked, screen),
            // The command line asks for one of them.
            (None, None) => Ok(()),
        }
    });
    match done {
        Ok(()) => Outcome::Done,
        // A reader that has closed its end (`| head`) is no problem of ours.
        Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Outcome::Done,
        Err(error) => {
            let to = match (&args.export, &error) {
                (Some(HistoryCommand::Export { out, .. }), ExportError::Write(_)) => {
                    out.display().to_string() + ": "
                }
                (_, _) => String::new(),
            };
            screen.problem(&format!("{to}{}", in_words(&error)));
            Outcome::Refused
        }
    }
}

struct Asked {
    since: Wall,
    until: Wall,
    timezone: TimeZone,
}

fn trend(
    reader: &Reader,
    tag: &str,
    csv: bool,
    asked: &Asked,
    screen: &mut Screen,
) -> Result<(), ExportError> {
    let Asked { since, until, timezone } = asked;
    let trend = reader.trend(tag, *since, *until, None)?;
    if csv {
        export::one(tag, &trend, *since, timezone, &mut screen.out)?;
        return Ok(());
    }
    let known_to = reader.known_to()?.map_or_else(|| "?".to_owned(), |known| time(known, timezone));
    let table = if trend.len() <= ROWS_MAX {
        trend.iter().map(|reading| row(reading, timezone)).collect::<Vec<_>>().join("\n")
    } else {
        parts(&trend, *since, *until, timezone)
    };
    screen.say(&format!(
        "{tag}: {} 个采样 samples, {} — {}\n{table}\n写入至 written up to {known_to}（每{}分钟 each {} min）",
        trend.len(),
        time(*since, timezone),
        time(*until, timezone),
        FLUSH_EVERY.as_secs() / 60,
        FLUSH_EVERY.as_secs() / 60,
    ));
    Ok(())
}

fn row(reading: &Reading, timezone: &TimeZone) -> String {
    let (quality, reason) = words(reading.quality);
    let value = reading.value.as_ref().map(Value::to_string).unwrap_or_default();
    let late = if reading.backfill { " 补传 late" } else { "" };
    format!("  {}  {value:>12}  {quality} {reason}{late}", time(reading.at, timezone))
}

/// For each part of the time how many samples came, the least, the greatest and the last.
fn parts(trend: &[Reading], since: Wall, until: Wall, timezone: &TimeZone) -> String {
    let n_parts = i64::try_from(PARTS).unwrap_or(1);
    let wide = (until.0.saturating_sub(since.0) / n_parts).max(1);
    let mut lines = vec![format!(
        "  {:<29} {:>8} {:>12} {:>12} {:>12}",
        "自 from", "采样 samples", "最小 min", "最大 max", "末值 last"
    )];
    for part in 0..n_parts {
        let from = since.0 + part * wide;
        let inside = trend.iter().filter(|reading| {
            let at = reading.at.0.max(since.0);
            from <= at && at < from + wide && !reading.backfill
        });
        let numbers = || inside.clone().filter_map(|reading| reading.value.as_ref()?.number());
        let shown = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
        let last = inside.clone().next_back().map(|reading| match &reading.value {
            Some(value) => value.to_string(),
            None => words(reading.quality).1.to_owned(),
        });
        lines.push(format!(
            "  {} {:>8} {:>12} {:>12} {:>12}",
            time(Wall(from), timezone),
            inside.clone().count(),
            shown(numbers().min_by(f64::total_cmp)),
            shown(numbers().max_by(f64::total_cmp)),
            last.unwrap_or_default(),
        ));
    }
    lines.join("\n")
}

fn to_file(
    reader: &Reader,
    points: &[String],
    out: &Path,
    asked: &Asked,
    screen: &mut Screen,
) -> Result<(), ExportError> {
    let Asked { since, until, timezone } = asked;
    let progress = Progress::of_process();
    let mut show = |done: u64, of: u64| {
        let in_thousands = |count: u64| usize::try_from(count / 1_000).unwrap_or(usize::MAX);
        progress.show(in_thousands(done), Some(in_thousands(of)), "千采样 thousand samples");
    };
    let span = (*since, *until);
    if out == Path::new("-") {
        let done = export(reader, points, span, timezone, &mut screen.out, &mut show);
        progress.clear();
        return told_late(done?, screen);
    }
    // A file that is cut off in the middle does not stand under its name.
    let mut part = out.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut file = BufWriter::new(File::create(&part)?);
    let done = export(reader, points, span, timezone, &mut file, &mut show);
    progress.clear();
    let done = match done.and_then(|done| Ok(file.flush().map(|()| done)?)) {
        Ok(done) => done,
        Err(error) => {
            if let Err(error) = std::fs::remove_file(&part) {
                screen.problem(&format!("{} 未能删除 / is left behind: {error}", part.display()));
            }
            return Err(error);
        }
    };
    std::fs::rename(&part, out)?;
    screen.say(&format!(
        "已导出 exported: {}，{} 行 rows，{} 个测点 points",
        out.display(),
        done.rows,
        done.points
    ));
    told_late(done, screen)
}

fn told_late(done: export::Exported, screen: &mut Screen) -> Result<(), ExportError> {
    if done.late > 0 {
        screen.problem(&format!(
            "{} 个补传采样未导出：从未参与判断 / samples that came late are left out: they were never judged",
            done.late
        ));
    }
    Ok(())
}

fn in_words(error: &ExportError) -> String {
    match error {
        ExportError::History(HistoryError::UnknownPoint { tag, nearest }) => {
            let (zh, en) = nearest.as_ref().map_or_else(Default::default, |near| {
                (format!("，是不是'{near}'？"), format!("; did you mean '{near}'?"))
            });
            format!(
                "历史中没有测点'{tag}'{zh}；网关程序每{minutes}分钟写入一次 / the history has no point '{tag}'{en}; the \
                 agent writes it every {minutes} min",
                minutes = FLUSH_EVERY.as_secs() / 60
            )
        }
        ExportError::History(error @ HistoryError::Missing { .. }) => {
            format!("找不到历史文件 / {}; give --dir or --config", chain(error))
        }
        ExportError::History(error) => format!("未能读取历史 / {}", chain(error)),
        ExportError::Write(error) => format!("未能写入 / cannot write: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_is_how_long_ago_or_a_moment() {
        assert_eq!(when("8h"), Ok(When::Ago(Duration::from_secs(8 * 3_600))));
        assert_eq!(when("1970-01-01T08:00:01+08:00"), Ok(When::At(Wall(1_000))));
        for wrong in ["", "yesterday", "2026-11-23", "8 h"] {
            assert!(when(wrong).is_err(), "{wrong}");
        }
        assert_eq!(When::Ago(Duration::from_secs(1)).before(Wall(5_000)), Wall(4_000));
    }
}
