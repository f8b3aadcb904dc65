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

/// The agent, or the bare loop.
pub(crate) struct Side {
    pub(crate) before: Usage,
    pub(crate) after: Usage,
    /// From the change of a register to its message.
    pub(crate) delays: Vec<Duration>,
    /// From the read of the changed register to its message: what is left without the poll interval.
    pub(crate) after_read: Vec<Duration>,
    pub(crate) bytes: usize,
}

/// The first of the same device at or after `at`, and soon enough to be about that.
fn first_after(events: &[(usize, Instant)], device: usize, at: Instant) -> Option<Instant> {
    let first = events.iter().find(|(of, when)| *of == device && *when >= at)?.1;
    (first.duration_since(at) < ARRIVES_WITHIN).then_some(first)
}

/// From each change to the first arrival after it of the same device, in rising order; a change that never
/// arrived has none.
pub(crate) fn delays(changes: &[Change], arrivals: &[(usize, Instant)]) -> Vec<Duration> {
    let delay =
        |change: &Change| Some(first_after(arrivals, change.device, change.at)?.duration_since(change.at));
    let mut delays: Vec<Duration> = changes.iter().filter_map(delay).collect();
    delays.sort_unstable();
    delays
}

/// The same from the first read after each change.
pub(crate) fn after_read(
    changes: &[Change],
    reads: &[(usize, Instant)],
    arrivals: &[(usize, Instant)],
) -> Vec<Duration> {
    let delay = |change: &Change| {
        let read = first_after(reads, change.device, change.at)?;
        Some(first_after(arrivals, change.device, read)?.duration_since(read))
    };
    let mut delays: Vec<Duration> = changes.iter().filter_map(delay).collect();
    delays.sort_unstable();
    delays
}

fn share(before: Usage, after: Usage, span: Duration) -> f64 {
    // The kernel's tick is 10 ms on every Linux that we build for (USER_HZ = 100).
    let seconds = (after.cpu_ticks - before.cpu_ticks) as f64 / 100.0;
    100.0 * seconds / span.as_secs_f64()
}

pub(crate) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(f64::NAN, |delay| millis(*delay))
}

/// One line of the table: of either side the same figure.
type Row = (&'static str, fn(&Side, Duration) -> f64);

pub(crate) fn print(span: Duration, agent: &Side, bare: &Side) {
    let rows: [Row; 8] = [
        ("CPU, % of one core", |side, span| share(side.before, side.after, span)),
        ("peak RSS, MiB", |side, _| side.after.peak_kib as f64 / 1024.0),
        ("register to message p50, ms", |side, _| percentile(&side.delays, 0.5)),
        ("register to message p99, ms", |side, _| percentile(&side.delays, 0.99)),
        ("read to message p50, ms", |side, _| percentile(&side.after_read, 0.5)),
        ("read to message p99, ms", |side, _| percentile(&side.after_read, 0.99)),
        ("MiB published", |side, _| side.bytes as f64 / 1_048_576.0),
        ("crossings that arrived", |side, _| side.delays.len() as f64),
    ];
    println!("{:<30} {:>10} {:>10} {:>8}", "", "agent", "bare loop", "ratio");
    for (what, figure) in rows {
        let (agent, bare) = (figure(agent, span), figure(bare, span));
        println!("{what:<30} {agent:>10.2} {bare:>10.2} {:>8.2}", agent / bare);
    }
}
