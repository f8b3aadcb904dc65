//! `riskgate run`: logs, signals, and how the agent's end becomes an exit code.

use std::future::Future;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use comfy_table::{Table, presets};
use riskgate_point::{BadReason, Quality, UncertainReason, Value};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::{Outcome, Screen};
use crate::app::{self, AppError, Line};
use crate::{clock, config};

/// What a library says of each of its own tries is said better, and once, by the driver above it.
const LOG_FILTER: &str = "info,opcua_client=off,opcua_core=off,opcua_types=off,rumqttc=off,tokio_modbus=off";
/// One for the pump and one for the rest: a gateway has few cores, and the store has a thread of its own.
const WORKERS: usize = 2;
/// For blocking work that is left when the agent has ended.
pub(crate) const RUNTIME_ENDS_WITHIN: Duration = Duration::from_millis(200);

/// Runs the agent until SIGTERM or SIGINT.
pub(super) fn run(folder: &Path, screen: &mut Screen) -> Outcome {
    start_log(LOG_FILTER);
    let folder_name = folder.display().to_string();
    let folder = folder.to_owned();
    let ended = on_runtime(async {
        let stop = CancellationToken::new();
        let mut agent = tokio::task::JoinSet::new();
        agent.spawn(app::run(folder, stop.clone()));
        let mut terminate = signal(SignalKind::terminate()).map_err(anyhow::Error::from)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(anyhow::Error::from)?;
        loop {
            tokio::select! {
                _ = terminate.recv() => stop.cancel(),
                _ = interrupt.recv() => stop.cancel(),
                Some(ended) = agent.join_next() => {
                    return ended.unwrap_or_else(|panic| Err(AppError::Failed(panic.into())));
                }
            }
        }
    });
    match ended {
        Ok(()) => Outcome::Done,
        Err(AppError::Refused { problems, .. }) => {
            screen.problem(&problems.render(screen.colour));
            refused(&folder_name, screen);
            Outcome::Refused
        }
        Err(AppError::Failed(error)) => {
            let is_forbidden = |cause: &(dyn std::error::Error + 'static)| {
                let cause = cause.downcast_ref::<std::io::Error>();
                cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::PermissionDenied)
            };
            let hint = if error.chain().any(is_forbidden) {
                "; 以网关程序的用户或 root 运行，或在 [store] dir 写明可写的文件夹 / run it as the agent's user or as root, or \
                 write a folder of yours as [store] dir"
            } else {
                ""
            };
            screen.problem(&format!("不能启动 / riskgate cannot run: {error:#}{hint}"));
            Outcome::Refused
        }
    }
}

fn refused(folder: &str, screen: &mut Screen) {
    screen.problem(&format!("配置有错误，不能启动 / {folder} is refused"));
}

/// Reads every point once and prints what it read.
pub(super) fn once(folder: &Path, screen: &mut Screen) -> Outcome {
    let mut checked = match config::check(folder) {
        Ok(checked) => checked,
        Err(problems) => {
            screen.problem(&problems.render(screen.colour));
            refused(&folder.display().to_string(), screen);
            return Outcome::Refused;
        }
    };
    if let Err(errors) = checked.load_secrets(folder) {
        screen.problem(&format!("不能启动 / riskgate cannot run: {}", app::secrets_text(&errors)));
        return Outcome::Refused;
    }
    start_log("off");
    let count = checked.plant.points().len();
    screen.problem(&format!("正在读取 {count} 个测点，最多 10 s / reading {count} points, at most 10 s"));
    let lines = on_runtime(async { Ok(app::once(checked, clock::now).await) });
    match lines {
        Ok(lines) => {
            screen.say(&table(&lines, screen.width));
            let bad: Vec<&Line> = lines.iter().filter(|line| !line.is_good()).collect();
            screen.say(&format!("{} 好 good, {} 未读好 not good", lines.len() - bad.len(), bad.len()));
            for why in reasons(&bad).into_iter().chain(advice(&lines)) {
                screen.say(&why);
            }
            if bad.is_empty() { Outcome::Done } else { Outcome::Refused }
        }
        Err(AppError::Refused { problems, .. }) => {
            screen.problem(&problems.render(false));
            Outcome::Refused
        }
        Err(AppError::Failed(error)) => {
            screen.problem(&format!("{error:#}"));
            Outcome::Refused
        }
    }
}

/// Plays the demo; the agent in it is the one that [`run`] runs, without its log.
#[cfg(feature = "demo")]
pub(super) fn demo(args: &super::args::DemoArgs) -> std::process::ExitCode {
    start_log("off");
    let options = crate::demo::Options { play_for: args.play_for, speed: args.speed, keep: args.keep };
    crate::demo::main(options, clock::now, |folder, stop| {
        Box::pin(async move {
            app::run(folder, stop).await.map_err(|error| match error {
                AppError::Refused { problems, .. } => anyhow::anyhow!(problems.render(false)),
                AppError::Failed(error) => error,
            })
        })
    })
}

fn table(lines: &[Line], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED);
    if let Some(width) = width {
        table.set_width(width);
    }
    table.set_header([
        "位号 tag",
        "名称 name",
        "数据源 source",
        "值 value",
        "单位 eu",
        "质量 quality",
        "时龄 age",
    ]);
    for line in lines {
        let value = line.sample.as_ref().and_then(|sample| sample.value.as_ref()).map(value_text);
        let quality =
            line.sample.as_ref().map_or("bad never_read".to_owned(), |sample| sample.quality.to_string());
        let age = line.age.map(|age| format!("{:.1} s", age.as_secs_f64()));
        let cells = [
            line.tag.clone(),
            line.name.clone(),
            line.source.clone(),
            value.unwrap_or_default(),
            line.eu.clone(),
            quality,
            age.unwrap_or_default(),
        ];
        table.add_row(cells);
    }
    table.to_string()
}

/// No instrument reads so near to zero, or so far from it: it is what a float looks like whose words or
/// bytes stand in another order, or that begins at the register beside.
fn is_garbled(value: &Value) -> bool {
    match value {
        Value::Float(number) => {
            let size = number.get().abs();
            size != 0.0 && !(1e-9..=1e12).contains(&size)
        }
        Value::Bool(_) | Value::Int(_) | Value::Text(_) => false,
    }
}

/// Enough digits to recognise a value by, without those that only say that it was a 32-bit float.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::Float(number) if is_garbled(value) => format!("{:.2e}", number.get()),
        Value::Float(number) => {
            let short = format!("{:.4}", number.get());
            short.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Value::Bool(_) | Value::Int(_) | Value::Text(_) => value.to_string(),
    }
}

/// What to look at, for each kind of doubt, with the points that it befell.
fn advice(lines: &[Line]) -> Vec<String> {
    let mut points: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in lines {
        let Some(sample) = &line.sample else { continue };
        let garbled = sample.value.as_ref().is_some_and(is_garbled).then_some(
            "像是字节序或地址不对 looks garbled: check order 字节序, address 地址 (address_base) and type",
        );
        let Some(said) = of_quality(sample.quality).or(garbled) else { continue };
        match points.iter_mut().find(|(known, _)| *known == said) {
            Some((_, tags)) => tags.push(&line.tag),
            None => points.push((said, vec![&line.tag])),
        }
    }
    points.into_iter().map(|(said, tags)| format!("{}: {said}", tags.join(", "))).collect()
}

/// `None`: it is good, or the source's own reason says it.
fn of_quality(quality: Quality) -> Option<&'static str> {
    match quality {
        Quality::Good | Quality::Bad(BadReason::CommFailure | BadReason::NeverRead) => None,
        Quality::Uncertain(UncertainReason::OverRange | UncertainReason::UnderRange) => Some(
            "超出量程，显示的是量程端值 beyond the range, shown is its end: check range 量程, scale 系数, \
             order 字节序 and address 地址",
        ),
        Quality::Uncertain(UncertainReason::Frozen) => Some("数值不动 does not move"),
        Quality::Uncertain(UncertainReason::Overflow) => {
            Some("数据源丢过值 the source lost values: raise queue, or publish more often")
        }
        Quality::Uncertain(UncertainReason::Source) => {
            Some("数据源自报可疑 the source itself says uncertain")
        }
        Quality::Bad(BadReason::RefusedAddress) => Some(
            "设备没有这个地址 the device refuses the address: check the table (holding, input, coil, discrete), \
             the number and address_base; of OPC UA the node id",
        ),
        Quality::Bad(BadReason::DeviceFailure) => Some(
            "设备应答为故障 the device answers with a failure: check device_id 站号, then the instrument itself",
        ),
        Quality::Bad(BadReason::NotANumber) => {
            Some("不是数值 is no number: check type 数据类型 and order 字节序; of MQTT the path 取值路径")
        }
        Quality::Bad(BadReason::Stale) => Some("超时未刷新 was not refreshed in time"),
        Quality::Bad(BadReason::Masked) => Some("在设备上被屏蔽 is masked at the device"),
        Quality::Bad(BadReason::ConfigError) => Some(
            "设备的应答与配置不符 what the device answers cannot be what the configuration says: check type \
             数据类型 and address 地址",
        ),
    }
}

/// Each reason once, with the source that it befell.
fn reasons(bad: &[&Line]) -> Vec<String> {
    let mut reasons = Vec::new();
    for line in bad {
        let reason = line.why.as_ref().map(|why| format!("{}: {why}", line.source));
        reasons.extend(reason.filter(|reason| !reasons.contains(reason)));
    }
    reasons
}

fn on_runtime<T>(work: impl Future<Output = Result<T, AppError>>) -> Result<T, AppError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(RUNTIME_ENDS_WITHIN);
    done
}

/// One line an event, on the standard error: JSON where systemd reads it, text for a person.
/// `RISKGATE_LOG` overrides what is told (`debug`, `info,riskgate_drivers=debug`).
fn start_log(filter: &str) {
    let asked = std::env::var("RISKGATE_LOG").ok();
    // What cannot be read as a filter must not silence the log.
    let chosen = asked.as_deref().and_then(|text| text.parse().ok()).or_else(|| filter.parse().ok());
    let targets: Targets = chosen.unwrap_or_default();
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
    let registry = tracing_subscriber::registry().with(targets);
    let started = if under_systemd {
        registry.with(log.json().flatten_event(true)).try_init()
    } else {
        registry.with(log.with_ansi(std::io::stderr().is_terminal())).try_init()
    };
    // Only a second start in one process can fail, and the first log goes on.
    drop(started);
}

#[cfg(test)]
mod tests {
    use riskgate_point::{Finite, Now, PointId, Sample};

    use super::*;

    fn line(tag: &str, value: Option<f64>, quality: Quality) -> Line {
        let value = value.and_then(Finite::new).map(Value::Float);
        let sample = Sample {
            point: PointId(0),
            value,
            quality,
            source_time: None,
            received: Now::default(),
            backfill: false,
        };
        Line {
            tag: tag.to_owned(),
            name: String::new(),
            source: String::new(),
            eu: String::new(),
            sample: Some(sample),
            age: None,
            why: None,
        }
    }

    #[test]
    fn a_float_in_the_wrong_order_is_not_shown_as_a_quiet_zero() {
        // 50.5 with its words changed round, and 21.37.
        let garbled = [2.377_662_2e-41, -4.93e32];
        for value in garbled {
            let value = Value::Float(Finite::new(value).expect("finite"));
            assert!(is_garbled(&value) && value_text(&value).contains('e'), "{}", value_text(&value));
        }
        for value in [0.0, 50.5, -0.002, 101_325.0] {
            let value = Value::Float(Finite::new(value).expect("finite"));
            assert!(!is_garbled(&value), "{}", value_text(&value));
        }
    }

    #[test]
    fn each_doubt_is_advised_once_with_its_points() {
        let refused = Quality::Bad(BadReason::RefusedAddress);
        let lines = [
            line("LT-1", None, refused),
            line("LT-2", Some(50.0), Quality::Good),
            line("LT-3", None, refused),
            line("LT-4", Some(2.4e-41), Quality::Good),
        ];
        let advice = advice(&lines);
        assert_eq!(advice.len(), 2, "{advice:?}");
        assert!(advice.iter().any(|said| said.starts_with("LT-1, LT-3: ") && said.contains("address_base")));
        assert!(advice.iter().any(|said| said.starts_with("LT-4: ") && said.contains("字节序")));
    }
}
