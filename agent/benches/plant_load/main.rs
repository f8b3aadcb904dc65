//! A plant's worth of registers through the agent, beside a bare loop of the same two libraries.
//!
//! `cargo bench -p riskgate --no-default-features --bench plant_load` starts mosquitto, 100 Modbus devices
//! of 100 registers in this process, the agent with 50 rules, and a bare loop (read a device, publish one
//! message), both polling each second. It prints CPU share, peak memory and the time from a register's
//! change, and from its read, to the message, for both, and their ratios. `PLANT_LOAD_SECONDS` (60) sets
//! how long it measures, `PLANT_LOAD_DEVICES` how many devices there are: with 1000 of them, 200 rules, and
//! `ulimit -n 8192` before.
//!
//! The agent spreads its polls over the period, and so does the bare loop: a process that wakes a hundred
//! times a second is compared with one that does too. With `PLANT_LOAD_BUNCHED=1` the bare loop polls all
//! devices at once: most of its cost is waking, and it then needs a sixth of the CPU, so state which it was.
//!
//! It judges nothing: it is a measurement, not a test.
#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    reason = "a measurement prints, rounds for people, and reads JSON that it knows"
)]

mod devices;
mod report;
mod site;
#[path = "../support/mod.rs"]
mod support;
mod watch;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use support::{Owned, bare, free_port, start_mosquitto};

const DEVICES: usize = 100;
pub(crate) const REGISTERS: u16 = 100;
/// At least for how many devices there is a rule, and at most.
const RULES: (usize, usize) = (50, 200);
pub(crate) const PERIOD: Duration = Duration::from_secs(1);
/// What a watched register reads in peace, and beyond the limit of its rule.
pub(crate) const QUIET: u16 = 100;
pub(crate) const BEYOND: u16 = 950;
/// Until both have connected everywhere and their first full second is over.
const WARM_UP: Duration = Duration::from_secs(10);

/// How long the agent has for its first read before the measurement is given up.
const START_MAX: Duration = Duration::from_secs(10);

const _: () =
    assert!(PERIOD.as_millis() * 2 <= 100 * (RULES.0 as u128 / 2), "a crossing must outlast two polls");

/// `PLANT_LOAD_DEVICES`.
pub(crate) fn devices() -> usize {
    let asked = std::env::var("PLANT_LOAD_DEVICES").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(DEVICES).max(RULES.0)
}

/// Each watches one register of a device of its own.
pub(crate) fn rules() -> usize {
    (devices() / 2).clamp(RULES.0, RULES.1)
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "bare") {
        return bare::run(&words);
    }
    let seconds = std::env::var("PLANT_LOAD_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(measure(seconds))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is what reads clocks")]
async fn measure(seconds: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let broker_port = free_port()?;
    let _broker = start_mosquitto(folder.path(), broker_port)?;
    let plant = devices::serve().await?;
    let config = site::write_config(folder.path(), broker_port, &plant.agent.ports)?;
    let mut watcher = watch::Watcher::start(broker_port);
    let log_path = folder.path().join("agent.log");
    let log = std::fs::File::create(&log_path)?;
    let started = Instant::now();
    let mut agent = Owned(
        Owned::command(env!("CARGO_BIN_EXE_riskgate"))
            .args(["run", "--config"])
            .arg(&config)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?,
    );
    let log = || std::fs::read_to_string(&log_path).unwrap_or_default();
    while plant.agent.first_read().is_none() {
        if let Some(status) = agent.0.try_wait()? {
            anyhow::bail!("the agent ended at its start with {status}; its log:\n{}", log());
        }
        anyhow::ensure!(started.elapsed() < START_MAX, "the agent reads nothing; its log:\n{}", log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // It ends when its standard input does.
    let bare = Owned(
        Command::new(std::env::current_exe()?)
            .arg("bare")
            .arg(broker_port.to_string())
            .args(plant.bare.ports.iter().map(u16::to_string))
            .stdin(Stdio::piped())
            .spawn()?,
    );
    println!(
        "{} devices x {REGISTERS} registers each second, {} rules; warming up {} s",
        devices(),
        rules(),
        WARM_UP.as_secs()
    );
    plant.run_for(WARM_UP, false).await;
    let usage = || -> anyhow::Result<_> {
        let agent =
            report::Usage::of(agent.0.id()).with_context(|| format!("the agent's log:\n{}", log()))?;
        Ok((agent, report::Usage::of(bare.0.id()).context("the bare loop")?))
    };
    let before = usage()?;
    let began = Instant::now();
    println!("measuring {seconds} s");
    let changes = plant.run_for(Duration::from_secs(seconds), true).await;
    let span = began.elapsed();
    let after = usage()?;
    // The last changes are still under way for at most a poll and its message.
    plant.run_for(PERIOD * 2, false).await;
    let arrivals = watcher.finish();
    let side = |before, after, door: &devices::Door, arrivals: &[(usize, Instant)], bytes| report::Side {
        before,
        after,
        delays: report::delays(&changes, arrivals),
        after_read: report::after_read(&changes, &door.reads(), arrivals),
        bytes,
    };
    report::print(
        span,
        &side(before.0, after.0, &plant.agent, &arrivals.agent, arrivals.agent_bytes),
        &side(before.1, after.1, &plant.bare, &arrivals.bare, arrivals.bare_bytes),
    );
    let first_read = plant.agent.first_read().map_or(f64::NAN, |at| report::millis(at - started));
    println!("crossings made: {}; agent: start to first read {first_read:.0} ms", changes.len());
    if arrivals.agent.len() < changes.len() {
        let log = log();
        let lines: Vec<&str> = log.lines().filter(|line| !line.contains(" INFO ")).collect();
        println!("not every crossing arrived; the agent's warnings and errors:\n{}", lines.join("\n"));
    }
    Ok(())
}
