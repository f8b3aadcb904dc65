//! What the agent promises, measured on the real binary of the same build: a Modbus plant in this process,
//! Debian's mosquitto, one subscriber. `cargo bench -p riskgate --no-default-features --bench promises -- --help`
//! tells the parts and what each figure means.
//!
//! It judges nothing: it is a measurement, not a test. Its folder is below `target`, on the disk that commits
//! are to be measured on; a bare loop of the same libraries and a bare sync of the same disk run beside the
//! agent, so that figures of two machines can be compared by their ratios.
#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a measurement prints, and rounds for people"
)]

mod backlog;
mod backtest;
mod commit;
mod drain;
mod figures;
mod flash;
mod flood;
mod plant;
mod start;
#[path = "../support/mod.rs"]
mod support;
mod watch;
mod world;

use std::time::{Duration, Instant};

use figures::Figures;

/// As many points as the smaller of the two plants that design.md sets bars for.
pub(crate) const DEVICES: usize = 100;
pub(crate) const REGISTERS: u16 = 100;
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

const HELP: &str = "\
What the agent promises, measured: the real binary of this build, a Modbus plant of 100 devices with 100 registers
(10,000 points each second, each with an HH limit that raises a hazard at once), mosquitto, one subscriber.

  cargo bench -p riskgate --no-default-features --bench promises -- [PART...] [--seconds N] [--rows N]

  start     from the start of the process to the first Modbus request; after kill -9, until the store is open
  commit    from a hazard's decision to its commit, and from a register to the subscriber: with a plant that
            stands still, and with one whose every register moves each second; a bare loop (read, publish) and
            a bare sync of the same disk beside it
  flood     every register beyond its limit at once: hazards each second until the subscriber has the last
  drain     the broker is away for N s while every register moves; then how fast the backlog of readings goes beside
            the live ones, and what a hazard takes from its register meanwhile and after it
  backlog   1,000,000 messages in the outbox (--rows): time to open it, memory with it, messages each second
            when the broker is there
  flash     bytes to the disk for a sample kept (5 min: until the history writes), for a lone hazard and for
            one of 99 that are read at once
  backtest  samples each second through riskgate backtest, over tests/data/tep

Without a part it does all: about a quarter of an hour. --seconds (60) is how long commit and drain measure.
Latencies are fair on a quiet machine only: the load is told with each part. Crashes are counted by
tests/crash --seeds N, judging by --bench judge of riskgate-engine, CPU and memory by --bench plant_load.
";

/// A part's name, and what measures it.
type Part = (&'static str, fn(&Asked, &mut Figures) -> anyhow::Result<()>);

const PARTS: [Part; 7] = [
    ("start", start::measure),
    ("commit", commit::measure),
    ("flood", flood::measure),
    ("drain", drain::measure),
    ("backlog", backlog::measure),
    ("flash", flash::measure),
    ("backtest", backtest::measure),
];

/// What the command line says.
pub(crate) struct Asked {
    parts: Vec<String>,
    pub(crate) span: Duration,
    pub(crate) rows: u64,
}

impl Asked {
    fn read(words: Vec<String>) -> anyhow::Result<Self> {
        let mut asked = Self { parts: Vec::new(), span: Duration::from_secs(60), rows: 1_000_000 };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut number = |of: &str| {
                let said = words.next().and_then(|said| said.parse::<u64>().ok()).filter(|said| *said > 0);
                said.ok_or_else(|| anyhow::anyhow!("{of} wants a number above 0"))
            };
            match word.as_str() {
                // Cargo adds it.
                "--bench" => {}
                "--seconds" => asked.span = Duration::from_secs(number("--seconds")?),
                "--rows" => asked.rows = number("--rows")?,
                part if PARTS.iter().any(|(name, _)| *name == part) => asked.parts.push(word),
                unknown => anyhow::bail!("'{unknown}' is no part and no option: see --help"),
            }
        }
        Ok(asked)
    }
}

/// The time of this machine.
#[expect(clippy::disallowed_methods, reason = "a benchmark is what reads clocks")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "bare") {
        return support::bare::run(&words);
    }
    if words.iter().any(|word| word == "--help" || word == "-h") {
        print!("{HELP}");
        return Ok(());
    }
    let asked = Asked::read(words)?;
    let mut figures = Figures::begin();
    for (name, measure) in PARTS {
        if asked.parts.is_empty() || asked.parts.iter().any(|part| part == name) {
            figures.part(name);
            measure(&asked, &mut figures)?;
        }
    }
    Ok(())
}
