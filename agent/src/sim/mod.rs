//! The whole agent under one virtual clock and one seed.
//!
//! What runs is the agent's own code: pump, engine, store (SQLite, in a folder in memory), telemetry, spool, and the
//! uplink with its session. What is scripted is what is outside: the plant's sources, the persons, the disk's
//! temper, the clocks, and the broker, which takes the place of the MQTT client ([`crate::uplink::scripted`]). All of
//! it runs on one thread under the runtime's paused time, so that hours pass in seconds and a seed replays.
//!
//! Not in it: the drivers, the MQTT library and the sockets under it, the history's thread, the console, and power
//! cuts. Tests with real processes have those.

mod agent;
mod oracle;
mod script;
mod tests;

use std::cell::RefCell;
use std::time::Duration;

use riskgate_point::{Mono, Now, Wall};
use tokio::time::Instant;

use crate::store::Batch;

thread_local! {
    static TIME: RefCell<Option<Time>> = const { RefCell::new(None) };
    static DECIDED: RefCell<Vec<Batch>> = const { RefCell::new(Vec::new()) };
}

struct Time {
    began: Instant,
    /// The calendar at the beginning, moved by every step of the clock since.
    wall: i64,
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
            crate::uplink::scripted::connect_to(None);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let _end = End;
        fastrand::seed(seed);
        TIME.set(Some(Time { began: Instant::now(), wall: wall.0 }));
        body.await
    })
}
