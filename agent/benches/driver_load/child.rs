//! The processes of the measurement: each role is this program again, and ends with its parent.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

/// A role that runs; dropped, it is killed.
pub(crate) struct Child {
    process: std::process::Child,
    /// Held: its end is the child's end.
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Child {
    pub(crate) fn start(words: &[&str]) -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take().context("a pipe")?;
        let output = BufReader::new(process.stdout.take().context("a pipe")?);
        Ok(Self { process, input, output })
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        anyhow::ensure!(!line.is_empty(), "a part of the measurement ended early");
        Ok(line.trim().to_owned())
    }

    pub(crate) fn ask(&mut self, what: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.input, "{what}")?)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What the parent asked, read by a thread that ends the process with the parent.
pub(crate) static ASKED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// The parent holds the other end of the standard input for as long as it lives, however it ends.
pub(crate) fn end_with_the_parent() {
    std::thread::spawn(|| {
        let mut input = std::io::stdin().lock();
        let mut byte = [0];
        while matches!(input.read(&mut byte), Ok(1)) {
            if byte == [b'\n'] {
                ASKED.store(true, std::sync::atomic::Ordering::Release);
            }
        }
        std::process::exit(0);
    });
}

/// What one reader needed.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    values: u64,
    cpu_ms: u64,
    span_ms: u64,
    resident_kib: u64,
}

impl Figures {
    pub(crate) fn parse(line: &str) -> anyhow::Result<Self> {
        let numbers: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [values, cpu_ms, span_ms, resident_kib] = numbers[..] else { anyhow::bail!("not four: {line}") };
        Ok(Self { values, cpu_ms, span_ms, resident_kib })
    }

    pub(crate) fn per_second(self) -> f64 {
        self.values as f64 * 1e3 / self.span_ms as f64
    }

    pub(crate) fn cpu_percent(self) -> f64 {
        self.cpu_ms as f64 * 100.0 / self.span_ms as f64
    }

    pub(crate) fn per_core(self) -> f64 {
        self.values as f64 * 1e3 / self.cpu_ms.max(1) as f64
    }

    pub(crate) fn resident_mib(self) -> f64 {
        self.resident_kib as f64 / 1024.0
    }
}

/// Waits for the warm-up, then measures this process while `count` goes up, prints the figures and ends.
#[expect(clippy::disallowed_methods, reason = "a benchmark is what reads clocks")]
pub(crate) async fn measure(count: impl Fn() -> u64) -> anyhow::Result<()> {
    let seconds = std::env::var("DRIVER_LOAD_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    tokio::time::sleep(crate::WARM_UP).await;
    let (before, cpu_before, began) = (count(), cpu_ms()?, Instant::now());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (values, cpu) = (count() - before, cpu_ms()? - cpu_before);
    println!("{values} {cpu} {} {}", began.elapsed().as_millis(), resident_kib()?);
    Ok(())
}

/// As the scheduler accounts it, in nanoseconds; the ticks of `stat` are too coarse for one device.
fn cpu_ms() -> anyhow::Result<u64> {
    let mut nanos = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let schedstat = std::fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += schedstat.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(nanos / 1_000_000)
}

fn resident_kib() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).context("VmRSS")
}
