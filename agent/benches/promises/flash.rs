//! Bytes that go to the flash: as the agent counts them, and beside that as the kernel does.

use std::time::Duration;

use crate::Asked;
use crate::figures::Figures;
use crate::plant::Life;
use crate::world::{World, pass};

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
    let mut before = Written::of(&world);
    let mut cost = |figures: &mut Figures, what: &str, hazards: usize, bar: &str| {
        pass(BURST_EVERY);
        let after = Written::of(&world);
        let each = |bytes: f64| bytes / 1024.0 / hazards as f64;
        let meaning = "to the disk: its alarm, itself, and that upstream has them";
        figures.tell(what, each(after.by_kernel - before.by_kernel), "KiB", bar, meaning);
        figures.tell(
            &format!("{what}, WAL"),
            each(after.wal - before.wal),
            "KiB",
            "",
            "of it, as the agent counts",
        );
        let meaning = "at most: a page that changed twice counts twice";
        figures.tell(&format!("{what}, file"), each(after.file - before.file), "KiB", "", meaning);
        before = after;
    };
    for _ in 0..LONE {
        world.plant.cross();
        pass(LONE_EVERY);
    }
    cost(figures, "a lone hazard", LONE, "96");
    let mut hazards = 0;
    for device in 0..BURSTS {
        hazards += world.plant.burst(device);
        pass(BURST_EVERY);
    }
    cost(figures, "a hazard of 99 in one read", hazards, "16");
    samples(figures)
}

/// Bytes since the start of the agent.
struct Written {
    by_kernel: f64,
    wal: f64,
    file: f64,
}

impl Written {
    fn of(world: &World) -> Self {
        let of = |to: &str| {
            world.gauge(&format!("riskgate_store_written_bytes{{to=\"{to}\"}}")).unwrap_or(f64::NAN)
        };
        Self { by_kernel: world.written_bytes(), wal: of("wal"), file: of("file") }
    }
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
