//! The seeds. `RISKGATE_SEED=n` replays one, `RISKGATE_SIM_SEEDS=n` runs so many fresh ones.

#![cfg(test)]

use super::run;
use super::script::{START, World};

/// In an unoptimised build an hour takes about two seconds.
const HOURS: u64 = 3;

/// What a seed did, for people, and its trace.
fn simulate(seed: u64, hours: u64) -> (String, u64) {
    println!("RISKGATE_SEED={seed}");
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
        println!("  {line}");
        (line, oracle.trace.hash())
    })
}

#[test]
fn whatever_happens_what_is_committed_is_delivered_and_every_loss_is_told() {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    if let Some(seed) = number("RISKGATE_SEED") {
        simulate(seed, HOURS);
        return;
    }
    for seed in 1..=6 {
        simulate(seed, HOURS);
    }
    for _ in 0..number("RISKGATE_SIM_SEEDS").unwrap_or(2) {
        simulate(fastrand::Rng::new().u64(..), HOURS);
    }
}

#[test]
fn a_seed_replays() {
    assert_eq!(simulate(7, 1), simulate(7, 1));
}
