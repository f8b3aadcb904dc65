//! Bytes that go to the flash: as the agent counts them, and beside that as the kernel does.

use std::time::Duration;

use crate::figures::Figures;
use crate::plant::Life;
use crate::world::{World, pass};
use crate::{Asked, REGISTERS};

/// The history writes each 5 min.
const WRITTEN_WITHIN: Duration = Duration::from_secs(330);
const LONE: usize = 100;
/// Each is alone: its commit and its acknowledgement are over.
const LONE_EVERY: Duration = Duration::from_millis(1_500);
const BURSTS: usize = 10;
const BURST_EVERY: Duration = Duration::from_secs(5);

pub(crate) fn measure(_: &Asked, figures: &mut Figures) -> anyhow::Result<()> {
    let mut world = World::new()?;
    world.start()?;
    world.until_upstream()?;
    pass(BURST_EVERY);
    let (mut before, mut by_kernel) = (of_store(&world), world.written_bytes());
    let mut cost = |figures: &mut Figures, what: &str, hazards: usize, bar: &str| {
        pass(BURST_EVERY);
        let (after, kernel) = (of_store(&world), world.written_bytes());
        let kib = |bytes: f64| bytes / 1024.0 / hazards as f64;
        figures.tell(
            what,
            kib(after - before),
            "KiB",
            bar,
            "WAL and file; alarm, hazard, their acknowledgement upstream",
        );
        figures.tell(&format!("{what}, by the kernel"), kib(kernel - by_kernel), "KiB", "", "/proc/PID/io");
        (before, by_kernel) = (after, kernel);
    };
    for _ in 0..LONE {
        world.plant.cross();
        pass(LONE_EVERY);
    }
    cost(figures, "a lone hazard", LONE, "96");
    for _ in 0..BURSTS {
        // The next hundred are one register of each device, and are read within one period.
        for _ in 0..REGISTERS {
            world.plant.cross();
        }
        pass(BURST_EVERY);
    }
    cost(figures, "a hazard in a burst of 100", BURSTS * usize::from(REGISTERS), "16");
    samples(figures)
}

fn of_store(world: &World) -> f64 {
    let gauge =
        |to: &str| world.gauge(&format!("riskgate_store_written_bytes{{to=\"{to}\"}}")).unwrap_or(f64::NAN);
    gauge("wal") + gauge("file")
}

/// An agent of its own: its history has nothing but these.
fn samples(figures: &mut Figures) -> anyhow::Result<()> {
    let mut world = World::new()?;
    world.start()?;
    world.until_upstream()?;
    let began_with = world.written_bytes();
    let of = |what: &str| world.gauge(&format!("riskgate_history{{what=\"{what}\"}}")).unwrap_or(0.0);
    figures.doing("5 min, until the history writes");
    let is_written = || of("samples") > 0.0 && of("samples_open") < of("samples") / 4.0;
    world.plant.live(WRITTEN_WITHIN, Life::Noise, false, is_written);
    pass(BURST_EVERY);
    let (kept, written) = (of("samples"), of("written_bytes"));
    figures.tell("samples kept", kept, "", "", "each second 10,000 points in the last 3 bits");
    figures.tell("a sample kept", written / kept, "B", "6", "written to the history: WAL and file");
    figures.tell(
        "a sample kept, in its block",
        of("block_bytes") / kept,
        "B",
        "",
        "what is left of it there",
    );
    let kernel = (world.written_bytes() - began_with) / kept;
    figures.tell("a sample kept, by the kernel", kernel, "B", "", "/proc/PID/io, all that the agent wrote");
    Ok(())
}
