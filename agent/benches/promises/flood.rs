//! Every register beyond its limit at once.

use std::time::Duration;

use crate::figures::{Figures, millis};
use crate::plant::Life;
use crate::world::World;
use crate::{Asked, DEVICES, REGISTERS};

pub(crate) fn measure(_: &Asked, figures: &mut Figures) -> anyhow::Result<()> {
    let all = DEVICES * usize::from(REGISTERS);
    let mut world = World::new()?;
    world.start()?;
    world.until_upstream()?;
    world.plant.live(Duration::from_secs(5), Life::Still, false, || false);
    for _ in 0..all {
        world.plant.cross();
    }
    world.until("every hazard", |world| {
        world.watcher.look(|arrivals| (arrivals.hazards.len() == all).then_some(()))
    })?;
    let reads = world.plant.agent.beyond();
    let (first, last_read) = (reads.values().min(), reads.values().max());
    let (last, undurable) =
        world.watcher.look(|arrivals| (arrivals.hazards.values().max().copied(), arrivals.undurable));
    let (Some(first), Some(last_read), Some(last)) = (first, last_read, last) else { return Ok(()) };
    let took = last - *first;
    figures.tell(
        "hazards each second",
        all as f64 / took.as_secs_f64(),
        "1/s",
        "",
        "10,000 at once; first read to last at the subscriber, committed",
    );
    figures.tell("the last hazard after its read", millis(last - *last_read), "ms", "", "of those 10,000");
    figures.tell("told before their commit", undurable as f64, "hazards", "", "where a commit took over 2 s");
    figures.tell("peak memory", world.memory_mib("VmHWM"), "MiB", "", "of the agent, in the flood");
    Ok(())
}
