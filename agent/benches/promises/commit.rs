//! A hazard, from its register to the subscriber, and of that the commit.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use crate::figures::{Figures, Spans};
use crate::plant::{Firsts, Life};
use crate::world::{World, pass};
use crate::{Asked, now};

const WARM_UP: Duration = Duration::from_secs(10);
/// The last register is still under way for at most a poll and its message.
const LAST: Duration = Duration::from_secs(3);
/// About what the commit of one hazard appends to the WAL.
const SYNCED_BYTES: usize = 16 * 1024;
const SYNCS: usize = 300;

pub(crate) fn measure(asked: &Asked, figures: &mut Figures) -> anyhow::Result<()> {
    let mut world = World::new()?;
    world.start()?;
    world.until_upstream()?;
    let syncs = bare_syncs(&world)?;
    figures.spans("bare sync of 16 KiB", &syncs, "", "write and fdatasync on the same disk, nothing else");
    let _bare = world.bare_loop()?;
    for (what, life) in [("quiet", Life::Still), ("loaded", Life::All)] {
        world.plant.live(WARM_UP, life, false, || false);
        let before = world.buckets("riskgate_commit_seconds");
        let hazards = Hazards::during(&world, life, asked.span);
        let commits = between(&before, &world.buckets("riskgate_commit_seconds"));
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            figures.tell(
                &format!("{what}: commit {name}"),
                percentile(&commits, share) * 1_000.0,
                "ms",
                "",
                "decision to known on disk, from riskgate_commit_seconds",
            );
        }
        hazards.tell(figures, what);
        let bare = hazards.bare(&world);
        figures.spans(
            &format!("{what}: bare loop, read to message"),
            &bare,
            "",
            "the same registers, no commit",
        );
        let ratio = hazards.after_read.percentile(0.99) / bare.percentile(0.99);
        figures.tell(&format!("{what}: ratio of p99"), ratio, "", "", "read to message, agent to bare loop");
    }
    Ok(())
}

/// What hazards took in one span of the plant's life.
pub(crate) struct Hazards {
    first: usize,
    made: usize,
    from_register: Spans,
    pub(crate) after_read: Spans,
}

impl Hazards {
    pub(crate) fn during(world: &World, life: Life, span: Duration) -> Self {
        let first = world.plant.crossings();
        world.plant.live(span, life, true, || false);
        pass(LAST);
        Self::since(world, first)
    }

    /// Of the registers that went beyond their limits since there were `first` of them.
    pub(crate) fn since(world: &World, first: usize) -> Self {
        let crossed = world.plant.crossed(first);
        let reads = world.plant.agent.beyond();
        let (from_register, after_read) = world.watcher.look(|arrivals| {
            let from_register =
                crossed.iter().filter_map(|(place, at)| Some(*arrivals.hazards.get(place)? - *at));
            let after_read = crossed.iter().filter_map(|(place, _)| took(&reads, &arrivals.hazards, *place));
            (Spans::of(from_register.collect()), Spans::of(after_read.collect()))
        });
        Self { first, made: crossed.len(), from_register, after_read }
    }

    fn bare(&self, world: &World) -> Spans {
        let crossed = world.plant.crossed(self.first);
        let reads = world.plant.bare.beyond();
        let took = world.watcher.look(|arrivals| {
            let took = crossed.iter().filter_map(|(place, _)| took(&reads, &arrivals.bare, *place));
            took.collect()
        });
        Spans::of(took)
    }

    pub(crate) fn tell(&self, figures: &mut Figures, what: &str) {
        figures.spans(
            &format!("{what}: register to subscriber"),
            &self.from_register,
            "1020",
            "hazard; the poll of 1 s included",
        );
        figures.spans(
            &format!("{what}: read to subscriber"),
            &self.after_read,
            "20",
            "hazard; without the poll",
        );
        if self.from_register.len() < self.made {
            let missing = self.made - self.from_register.len();
            figures.tell(&format!("{what}: not come"), missing as f64, "hazards", "0", "look into the log");
        }
    }
}

fn took(reads: &Firsts, arrivals: &Firsts, place: crate::plant::Place) -> Option<Duration> {
    Some(arrivals.get(&place)?.saturating_duration_since(*reads.get(&place)?))
}

fn bare_syncs(world: &World) -> anyhow::Result<Spans> {
    let path = world.folder().join("bare");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let bytes = vec![7; SYNCED_BYTES];
    let mut spans = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        spans.push(began.elapsed());
    }
    std::fs::remove_file(path)?;
    Ok(Spans::of(spans))
}

/// What came into each bucket between two looks.
fn between(before: &[(f64, f64)], after: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let earlier = |limit: f64| before.iter().find(|(of, _)| *of == limit).map_or(0.0, |(_, count)| *count);
    after.iter().map(|(limit, count)| (*limit, count - earlier(*limit))).collect()
}

/// Seconds; within a bucket as if evenly spread.
fn percentile(buckets: &[(f64, f64)], share: f64) -> f64 {
    let wanted = buckets.last().map_or(0.0, |(_, all)| all * share);
    let (mut low, mut below) = (0.0, 0.0);
    for (limit, count) in buckets {
        if *count >= wanted && *count > below {
            return low + (limit - low) * (wanted - below) / (count - below);
        }
        (low, below) = (*limit, *count);
    }
    f64::NAN
}
