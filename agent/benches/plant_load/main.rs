//! A plant's worth of registers through the agent, beside a bare loop of the same two libraries.
//!
//! `cargo bench -p riskgate --no-default-features --bench plant_load` starts mosquitto, 100 Modbus devices
//! of 100 registers in this process, the agent with 50 rules, and a bare loop (read a device, publish one
//! message), both polling each second. It prints CPU share, peak memory and the time from a register's
//! change to the message, for both, and their ratios. `PLANT_LOAD_SECONDS` (60) sets how long it measures.
//!
//! It judges nothing: it is a measurement, not a test.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    reason = "a measurement prints, rounds for people, and reads JSON that it knows"
)]

mod bare;
mod devices;
mod report;
mod site;
mod watch;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const DEVICES: usize = 100;
pub(crate) const REGISTERS: u16 = 100;
pub(crate) const RULES: usize = 50;
pub(crate) const PERIOD: Duration = Duration::from_secs(1);
/// What a watched register reads in peace, and beyond the limit of its rule.
pub(crate) const QUIET: u16 = 100;
pub(crate) const BEYOND: u16 = 950;
/// Until both have connected everywhere and their first full second is over.
const WARM_UP: Duration = Duration::from_secs(10);

/// A child that ends with the benchmark.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.0.kill());
        drop(self.0.wait());
    }
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
    let broker_port = site::free_port()?;
    let _broker = Owned(site::start_mosquitto(folder.path(), broker_port)?);
    let plant = devices::serve().await?;
    let config = site::write_config(folder.path(), broker_port, &plant.ports)?;
    let log = std::fs::File::create(folder.path().join("agent.log"))?;
    let agent = Owned(
        Command::new(env!("CARGO_BIN_EXE_riskgate"))
            .args(["run", "--config"])
            .arg(&config)
            .stdout(log.try_clone()?)
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()?,
    );
    let ports: Vec<String> = plant.ports.iter().map(u16::to_string).collect();
    let loop_ = Owned(
        Command::new(std::env::current_exe()?)
            .arg("bare")
            .arg(broker_port.to_string())
            .args(&ports)
            .stdin(Stdio::null())
            .spawn()?,
    );
    let mut watcher = watch::Watcher::start(broker_port);
    println!(
        "{DEVICES} devices x {REGISTERS} registers each second, {RULES} rules; warming up {} s",
        WARM_UP.as_secs()
    );
    plant.run_for(WARM_UP, false).await;
    let (agent_before, bare_before) = (report::Usage::of(agent.0.id())?, report::Usage::of(loop_.0.id())?);
    let began = Instant::now();
    println!("measuring {seconds} s");
    let changes = plant.run_for(Duration::from_secs(seconds), true).await;
    let span = began.elapsed();
    let (agent_after, bare_after) = (report::Usage::of(agent.0.id())?, report::Usage::of(loop_.0.id())?);
    // The last changes are still under way for at most a poll and its message.
    plant.run_for(PERIOD * 2, false).await;
    let arrivals = watcher.finish();
    report::print(&report::Run {
        span,
        agent: (agent_before, agent_after),
        bare: (bare_before, bare_after),
        agent_delays: report::delays(&changes, &arrivals.agent),
        bare_delays: report::delays(&changes, &arrivals.bare),
        changes: changes.len(),
        agent_bytes: arrivals.agent_bytes,
        bare_bytes: arrivals.bare_bytes,
    });
    Ok(())
}
