//! Starts: of an agent with an empty store, one that was stopped, one that was killed.

use std::time::Duration;

use crate::Asked;
use crate::figures::{Figures, Spans};
use crate::plant::Life;
use crate::world::{Start, World};

const TIMES: usize = 10;
/// Hazards that the store holds when the agent is killed.
const LIVES: Duration = Duration::from_secs(4);

pub(crate) fn measure(_: &Asked, figures: &mut Figures) -> anyhow::Result<()> {
    let mut world = World::new()?;
    let first = world.start()?;
    figures.tell(
        "start with no store yet",
        crate::figures::millis(first.first_read),
        "ms",
        "500",
        "process to first Modbus request, 10,000 points and rules",
    );
    let mut again = |figures: &mut Figures, what: &str, kill: bool| -> anyhow::Result<()> {
        let mut starts = Vec::new();
        for _ in 0..TIMES {
            world.plant.live(LIVES, Life::All, true, || false);
            if kill {
                world.kill();
            } else {
                world.stop()?;
            }
            starts.push(world.start()?);
        }
        tell(figures, what, &starts);
        Ok(())
    };
    again(figures, "start after a stop", false)?;
    again(figures, "start after kill -9", true)
}

fn tell(figures: &mut Figures, what: &str, starts: &[Start]) {
    let first_reads = Spans::of(starts.iter().map(|start| start.first_read).collect());
    let opened = Spans::of(starts.iter().map(|start| start.opened).collect());
    let of = format!("process to first Modbus request, of {}", first_reads.len());
    figures.tell(&format!("{what} p50"), first_reads.percentile(0.5), "ms", "500", &of);
    figures.tell(&format!("{what} longest"), first_reads.longest(), "ms", "500", &of);
    figures.tell(&format!("{what}, store opened in"), opened.longest(), "ms", "2000", "the longest of them");
}
