//! The whole agent under one virtual clock and one seed.
//!
//! What runs is the agent's own code: pump, engine, store (SQLite, in a folder in memory), telemetry, spool, and the
//! uplink with its session. What is scripted is what is outside: the plant's sources, the persons, the disk's
//! temper, the clocks, and the broker, which takes the place of the MQTT client ([`crate::uplink::scripted`]). All of
//! it runs on one thread under the runtime's paused time, so that hours pass in seconds and a seed replays.
//!
//! `cargo test -p riskgate --lib sim::` runs a fixed set of seeds and some fresh ones, and prints each;
//! `RISKGATE_SIM_SEEDS` says how many fresh ones, `RISKGATE_SIM_HOURS` how long each lives. One that fails prints the
//! command that replays it: `RISKGATE_SEED=n RISKGATE_SIM_HOURS=h cargo test -p riskgate --lib whatever_happens`.
//!
//! Not in it: the drivers, the MQTT library and the sockets under it, the history's thread, the console, and power
//! cuts. Tests with real processes have those.

mod agent;
mod bugs;
mod oracle;
mod outage;
mod script;
mod tests;

use std::cell::RefCell;
use std::time::Duration;

use riskgate_point::{Mono, Now, Wall};
use tokio::time::Instant;

use crate::store::{Batch, Lane, LastSequences};
use crate::uplink::SpoolBounds;

thread_local! {
    static TIME: RefCell<Option<Time>> = const { RefCell::new(None) };
    static DECIDED: RefCell<Vec<Batch>> = const { RefCell::new(Vec::new()) };
    static COMMITTED: RefCell<LastSequences> = RefCell::default();
}

struct Time {
    began: Instant,
    /// The calendar at the beginning, moved by every step of the clock since.
    wall: i64,
    spool: SpoolBounds,
}

/// The agent booted 100 days ago.
const BOOTED: Duration = Duration::from_secs(100 * 24 * 3600);

/// This thread is in a simulation.
pub(crate) fn is_running() -> bool {
    TIME.with_borrow(Option::is_some)
}

/// What the pump decided, before anyone else sees it.
pub(crate) fn decided(batch: &Batch) {
    if is_running() {
        DECIDED.with_borrow_mut(|decided| decided.push(batch.clone()));
    }
}

/// What the store has taken, lane by lane.
pub(crate) fn committed(lanes: &[Lane]) {
    COMMITTED.with_borrow_mut(|committed| {
        for lane in lanes {
            committed.set(*lane, committed.of(*lane) + 1);
        }
    });
}

/// How many messages of each lane were committed so far.
fn all_committed() -> LastSequences {
    COMMITTED.with_borrow(|committed| *committed)
}

fn take_decided() -> Vec<Batch> {
    DECIDED.with_borrow_mut(std::mem::take)
}

/// The agent's [`riskgate_drivers::Clock`].
fn clock() -> Now {
    TIME.with_borrow(|time| {
        let time = time.as_ref().expect("a simulation");
        let elapsed = time.began.elapsed();
        let mono = u64::try_from((BOOTED + elapsed).as_nanos()).expect("not for centuries");
        let millis = i64::try_from(elapsed.as_millis()).expect("not for centuries");
        Now { mono: Mono(mono), wall: Wall(time.wall + millis) }
    })
}

/// What the spool may hold, where this thread is in a simulation.
pub(crate) fn spool_bounds() -> Option<SpoolBounds> {
    TIME.with_borrow(|time| time.as_ref().map(|time| time.spool))
}

fn set_spool_bounds(bounds: SpoolBounds) {
    TIME.with_borrow_mut(|time| time.as_mut().expect("a simulation").spool = bounds);
}

/// Moves the calendar.
fn step_clock(millis: i64) {
    TIME.with_borrow_mut(|time| time.as_mut().expect("a simulation").wall += millis);
}

/// One simulation, from its beginning at `wall`.
fn run<T>(seed: u64, wall: Wall, body: impl Future<Output = T>) -> T {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            TIME.set(None);
            DECIDED.set(Vec::new());
            COMMITTED.set(LastSequences::default());
            crate::uplink::scripted::connect_to(None);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let _end = End;
        fastrand::seed(seed);
        TIME.set(Some(Time { began: Instant::now(), wall: wall.0, spool: SpoolBounds::default() }));
        body.await
    })
}
