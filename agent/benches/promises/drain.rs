//! The broker is away and comes back.

use std::time::Duration;

use crate::figures::Figures;
use crate::plant::Life;
use crate::watch::Readings;
use crate::world::{World, pass};
use crate::{Asked, commit, now};

/// Without a reading of the past for so long the backlog is gone.
const GONE: Duration = Duration::from_secs(4);
/// The agent's estimate of the live rate needs a few seconds.
const SETTLED: Duration = Duration::from_secs(10);
const DRAIN_MAX: Duration = Duration::from_secs(300);

pub(crate) fn measure(asked: &Asked, figures: &mut Figures) -> anyhow::Result<()> {
    let mut world = World::new()?;
    world.start()?;
    world.until_upstream()?;
    world.plant.live(SETTLED, Life::Tenth, false, || false);
    world.kill_broker();
    world.plant.live(asked.span, Life::All, false, || false);
    world.watcher.forget();
    world.start_broker()?;
    let first = world.plant.crossings();
    let began = world.until("readings again", |world| {
        world.watcher.look(|arrivals| arrivals.readings.first().map(|readings| readings.at))
    })?;
    let ended = || {
        let last = world.watcher.look(|arrivals| last_past(&arrivals.readings));
        now() - last.unwrap_or(began) > GONE
    };
    world.plant.live(DRAIN_MAX, Life::Tenth, true, ended);
    pass(Duration::from_secs(2));
    let readings = world.watcher.look(|arrivals| arrivals.readings.clone());
    let until = last_past(&readings).unwrap_or(began);
    let took = (until - began).as_secs_f64();
    let past: u64 = readings.iter().filter(|of| of.past).map(|of| of.count).sum();
    // Once the agent knows how fast the live ones come, and as long as there is a backlog.
    let from = if took > 2.0 * SETTLED.as_secs_f64() { began + SETTLED } else { began };
    let rate = |past: bool| {
        let counted = readings.iter().filter(|of| of.past == past && of.at > from && of.at <= until);
        counted.map(|of| of.count).sum::<u64>() as f64 / (until - from).as_secs_f64()
    };
    let (live_rate, past_rate) = (rate(false), rate(true));
    figures.tell("readings of the outage", past as f64, "", "", "that came after it");
    figures.tell("gone after", took, "s", "", "from the first reading at the subscriber");
    figures.tell("drain rate", past_rate, "readings/s", "", "of the past, beside the live ones");
    figures.tell("live rate", live_rate, "readings/s", "", "meanwhile");
    figures.tell("drain against live", past_rate / live_rate, "times", "10", "at least ten times live");
    figures.tell("peak memory", world.memory_mib("VmHWM"), "MiB", "", "of the agent, outage and drain");
    commit::Hazards::since(&world, first).tell(figures, "draining");
    commit::Hazards::during(&world, Life::Tenth, asked.span).tell(figures, "not draining");
    Ok(())
}

fn last_past(readings: &[Readings]) -> Option<std::time::Instant> {
    readings.iter().rev().find(|of| of.past).map(|of| of.at)
}
