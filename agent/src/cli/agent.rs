//! `run`, `run --once` and `demo`: the runtime, the log and the signals around the agent. What the agent is,
//! `app` knows.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::args::RunArgs;
use super::{Outcome, Screen, tables, with_causes};
use crate::app::{self, AppError};
use crate::{clock, config};

/// All that a stopping agent may take; what it does not do by then it says, and the process ends.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Ours in full, others' warnings. The OPC UA client writes errors for what is daily business (a server that
/// is away); our driver says it in its own words.
const LOG: &str = "warn,riskgate=info,riskgate_drivers=info,riskgate_engine=info,\
                   opcua_client=off,opcua_core=off,opcua_crypto=off";

pub(super) fn run(args: &RunArgs, screen: &mut Screen) -> Outcome {
    start_log(LOG);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return no_runtime(&error, screen),
    };
    if args.once {
        return once(&args.config, &runtime, screen);
    }
    let outcome = match runtime.block_on(until_told(args.config.clone())) {
        Ok(()) => Outcome::Done,
        Err(AppError::Refused { folder, problems }) => {
            screen.problem(&problems.render(screen.colour));
            let path = folder.display();
            screen.problem(&format!("配置有错误，未启动 / {path} is refused: riskgate check {path}"));
            Outcome::Refused
        }
        Err(AppError::Failed(error)) => {
            screen.problem(&format!("未能运行 / the agent does not run: {error:#}"));
            Outcome::Refused
        }
    };
    // What hangs now, on a disk that does not answer, hangs without us.
    runtime.shutdown_background();
    outcome
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

fn no_runtime(error: &io::Error, screen: &mut Screen) -> Outcome {
    screen.problem(&format!("未能运行 / no runtime: {error}"));
    Outcome::Refused
}

/// The agent until SIGTERM or Ctrl-C, and its end.
async fn until_told(folder: PathBuf) -> Result<(), AppError> {
    let listen = |kind| signal(kind).map_err(|error| AppError::Failed(error.into()));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let agent = app::run(folder, stop.clone());
    tokio::pin!(agent);
    tokio::select! {
        ended = &mut agent => return ended,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
    match tokio::time::timeout(STOP_WITHIN, agent).await {
        Ok(ended) => ended,
        Err(_) => {
            let seconds = STOP_WITHIN.as_secs();
            Err(AppError::Failed(anyhow::anyhow!("it had not ended {seconds} s after it was told to")))
        }
    }
}

fn once(folder: &Path, runtime: &Runtime, screen: &mut Screen) -> Outcome {
    let mut checked = match config::check(folder) {
        Ok(checked) => checked,
        Err(problems) => {
            screen.problem(&problems.render(screen.colour));
            return Outcome::Refused;
        }
    };
    if let Err(errors) = checked.load_secrets(folder) {
        for error in errors {
            screen.problem(&with_causes(&error));
        }
        return Outcome::Refused;
    }
    let lines = runtime.block_on(app::once(checked, clock::now));
    let width = screen.width;
    screen.say(&tables::readings(&lines, width));
    if lines.iter().all(app::Line::is_good) { Outcome::Done } else { Outcome::Refused }
}

/// To standard error: JSON for the journal, plain for a person. `RUST_LOG` overrides what is written.
fn start_log(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Set where standard error is the journal.
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        log.json().flatten_event(true).init();
    } else {
        let plain = std::io::IsTerminal::is_terminal(&io::stderr());
        log.with_ansi(plain).init();
    }
}

/// The demo's screen is its own; the agent in it writes a log only where `RUST_LOG` asks for one.
#[cfg(feature = "demo")]
pub(super) fn demo(args: &super::args::DemoArgs) -> std::process::ExitCode {
    start_log("off");
    let options = crate::demo::Options { play_for: args.play_for, speed: args.speed, keep: args.keep };
    crate::demo::main(options, clock::now, |folder, stop| {
        Box::pin(async move { Ok(app::run(folder, stop).await?) })
    })
}
