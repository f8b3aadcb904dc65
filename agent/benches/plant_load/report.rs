//! What the processes cost and how long a change took, and the ratios.

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::devices::Change;
use crate::watch::ARRIVES_WITHIN;

/// As the kernel accounts a process.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    cpu_ticks: u64,
    peak_kib: u64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let stat =
            std::fs::read_to_string(format!("/proc/{pid}/stat")).context("a process has ended early")?;
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        Ok(Self { cpu_ticks: ticks(11) + ticks(12), peak_kib: peak.unwrap_or(0) })
    }
}

pub(crate) struct Run {
    pub(crate) span: Duration,
    pub(crate) agent: (Usage, Usage),
    pub(crate) bare: (Usage, Usage),
    pub(crate) agent_delays: Vec<Duration>,
    pub(crate) bare_delays: Vec<Duration>,
    pub(crate) changes: usize,
    pub(crate) agent_bytes: usize,
    pub(crate) bare_bytes: usize,
}

/// For each change the first arrival after it of the same device, in milliseconds order; a change that
/// never arrived has none.
pub(crate) fn delays(changes: &[Change], arrivals: &[(usize, Instant)]) -> Vec<Duration> {
    let first = |change: &Change| {
        let delay = |(device, at): &(usize, Instant)| {
            (*device == change.device && *at >= change.at).then(|| at.duration_since(change.at))
        };
        arrivals.iter().find_map(delay).filter(|delay| *delay < ARRIVES_WITHIN)
    };
    let mut delays: Vec<Duration> = changes.iter().filter_map(first).collect();
    delays.sort_unstable();
    delays
}

fn share(before: Usage, after: Usage, span: Duration) -> f64 {
    // The kernel's tick is 10 ms on every Linux that we build for (USER_HZ = 100).
    let seconds = (after.cpu_ticks - before.cpu_ticks) as f64 / 100.0;
    100.0 * seconds / span.as_secs_f64()
}

fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(f64::NAN, |delay| delay.as_secs_f64() * 1_000.0)
}

pub(crate) fn print(run: &Run) {
    let rows = [
        (
            "CPU, % of one core",
            share(run.agent.0, run.agent.1, run.span),
            share(run.bare.0, run.bare.1, run.span),
        ),
        ("peak RSS, MiB", run.agent.1.peak_kib as f64 / 1024.0, run.bare.1.peak_kib as f64 / 1024.0),
        (
            "register to message p50, ms",
            percentile(&run.agent_delays, 0.5),
            percentile(&run.bare_delays, 0.5),
        ),
        (
            "register to message p99, ms",
            percentile(&run.agent_delays, 0.99),
            percentile(&run.bare_delays, 0.99),
        ),
        ("MiB published", run.agent_bytes as f64 / 1_048_576.0, run.bare_bytes as f64 / 1_048_576.0),
        ("crossings that arrived", run.agent_delays.len() as f64, run.bare_delays.len() as f64),
    ];
    println!("{:<30} {:>10} {:>10} {:>8}", "", "agent", "bare loop", "ratio");
    for (what, agent, bare) in rows {
        println!("{what:<30} {agent:>10.2} {bare:>10.2} {:>8.2}", agent / bare);
    }
    println!("crossings made: {}", run.changes);
}
