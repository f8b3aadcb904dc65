//! The seeds: a fixed set, and fresh ones.

#![cfg(test)]

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::bugs::Bug;
use super::run;
use super::script::{START, World};

/// In an unoptimised build an hour takes about two seconds.
const HOURS: u64 = 3;

/// Of the fresh seeds, where nobody says how many.
const FRESH: u64 = 2;

/// Printed past the harness, which keeps to itself what a test that passes has printed.
fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).expect("printed");
}

/// However a seed ends, it can be run again.
struct Replay {
    seed: u64,
    hours: u64,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(&format!(
                "this seed fails; again: RISKGATE_SEED={} RISKGATE_SIM_HOURS={} cargo test -p riskgate --lib whatever_happens",
                self.seed, self.hours
            ));
        }
    }
}

/// What a seed did, for people, and its trace.
fn simulate(seed: u64, hours: u64) -> (String, u64) {
    let _replay = Replay { seed, hours };
    run(seed, START, async {
        let mut world = World::new(seed);
        world.live(hours).await;
        let oracle = &world.oracle;
        let line = format!(
            "{} lives ({} killed, {} stopped), {} clock steps, {} acts, {} arrivals, {} undurable, {} evicted, {} refused, {} readings dropped, {} crash gaps",
            world.lives(),
            world.kills,
            world.stops,
            world.steps,
            world.acts(),
            oracle.arrivals,
            oracle.undurable,
            oracle.evicted,
            oracle.refused,
            oracle.dropped(),
            oracle.crash_gaps().len(),
        );
        say(&format!("simulated RISKGATE_SEED={seed}, {hours} h: {line}"));
        (line, oracle.trace.hash())
    })
}

#[test]
fn whatever_happens_what_is_committed_is_delivered_and_every_loss_is_told() {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let hours = number("RISKGATE_SIM_HOURS").unwrap_or(HOURS);
    if let Some(seed) = number("RISKGATE_SEED") {
        simulate(seed, hours);
        return;
    }
    for seed in 1..=6 {
        simulate(seed, hours);
    }
    for _ in 0..number("RISKGATE_SIM_SEEDS").unwrap_or(FRESH) {
        simulate(fastrand::Rng::new().u64(..), hours);
    }
}

#[test]
fn a_seed_replays() {
    assert_eq!(simulate(7, 1), simulate(7, 1));
}

#[test]
fn a_bug_that_is_put_in_makes_it_fail() {
    let cases = [
        (Bug::RowNotWritten, "rows made"),
        (Bug::RowLeaves, "is lost"),
        (Bug::ReadingsLeave, "readings were told, gaps"),
        (Bug::LossNotCounted, "readings were told, gaps"),
    ];
    for (bug, found) in cases {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            run(8, START, async {
                let mut world = World::new(8);
                world.put_in(bug);
                world.live(1).await;
                assert!(world.is_bug_in(), "{bug:?} was never put in");
            });
        }));
        let why = ended.expect_err("it passes with a bug");
        let why = why.downcast_ref::<String>().map_or("", String::as_str);
        assert!(why.contains(found), "{bug:?} was found by something else: {why}");
    }
}
