//! Takes readings that wait too long from memory to the spool, and the rest at the end.
//!
//! It runs beside the connection, whether there is one or not, and reads no clock but the runtime's.

use std::path::PathBuf;
use std::time::Duration;

use riskgate_point::Wall;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::spool::{self, Found, Handle, Spool};
use super::telemetry::{Chunk, READINGS_MAX, TelemetryReceiver};
use super::wire::Origin;
use super::{Uplink, gap, second};
use crate::causes::chain;
use crate::events::Event;
use crate::store::Store;

/// What waited at one look and still waits at the next goes to the spool: no reading waits longer than two.
const LOOK_TURNS: u64 = 30;

/// A flood is spooled before it fills the memory.
const FLOOD: usize = READINGS_MAX / 2;

/// More than a busy runtime or a clock that is kept right moves it within a second.
const STEP_MS: u64 = 5_000;

/// For the last readings, when the agent ends.
const LAST_WITHIN: Duration = Duration::from_millis(400);

const _: () = assert!(spool::OLDEST_IN_MEMORY.as_secs() > 2 * LOOK_TURNS);

/// Opens the spool. `None`: there is none, and readings stay in
/// memory, as they do while its disk fails.
pub(super) async fn open(uplink: &Uplink, dir: PathBuf) -> Option<Handle> {
    let now = uplink.now();
    let opened = spool::beside(move || Spool::open(&dir, now)).await;
    let (spool, Found { lost, kept_aside }) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            let why = chain(&error);
            Event::SpoolFailed { why: &why }.emit();
            return None;
        }
        Err(panic) => {
            let why = panic.to_string();
            Event::SpoolFailed { why: &why }.emit();
            return None;
        }
    };
    if let Some(path) = kept_aside {
        Event::StoreKeptAside { path: &path.display().to_string() }.emit();
    }
    if let Some((from, to)) = lost {
        tracing::warn!(from = from.0, to = to.0, "the last run ended without a word: a gap is told");
    }
    Some(Handle::new(spool))
}

/// Tells what the last run cost, as soon as the store takes it: until then the spool knows of it, whatever happens.
pub(super) async fn tell_lost(
    spool: &Handle,
    store: &Store,
    origin: &Origin,
    now: impl Fn() -> Wall,
    stop: &CancellationToken,
) {
    let telling = async {
        let mut tick = second();
        loop {
            tick.tick().await;
            match spool.with(|spool| spool.untold()).await {
                Ok(Some((from, to))) => {
                    let told = gap::of_crash(from, to, now(), origin);
                    // A kill between the two tells it once more, under the same id.
                    match store.append(vec![told], Vec::new()).await {
                        Ok(()) => match spool.with(|spool| spool.told()).await {
                            Ok(()) => return,
                            Err(error) => spool::failed("note what was told in", &error),
                        },
                        Err(error) => {
                            tracing::debug!(
                                error = chain(&error),
                                "the gap of the last run is not written yet"
                            );
                        }
                    }
                }
                Ok(None) => return,
                Err(error) => spool::failed("read", &error),
            }
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = telling => {}
    }
}

/// Works until `stop`.
pub(super) async fn run(
    spool: &Handle,
    telemetry: &TelemetryReceiver,
    now: impl Fn() -> Wall,
    stop: &CancellationToken,
) {
    let (mut tick, mut turns, mut noted) = (second(), 0_u64, 0);
    let mut calendar = Calendar::new(now());
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        turns += 1;
        if let Some(step) = calendar.turn(now(), turns)
            && let Err(error) = spool.with(move |spool| spool.mark_step(step)).await
        {
            spool::failed("mark a step of the clock in", &error);
        }
        let (waiting, came) = telemetry.waiting();
        if waiting > FLOOD {
            keep(spool, telemetry, telemetry.take_until(came)).await;
        }
        if !turns.is_multiple_of(LOOK_TURNS) {
            continue;
        }
        let late = telemetry.take_until(noted);
        noted = came;
        let is_kept = late.is_empty() || keep(spool, telemetry, late).await;
        let at = now();
        if is_kept && let Err(error) = spool.with(move |spool| spool.mark(at, false)).await {
            spool::failed("mark", &error);
        }
    }
}

/// Whether the calendar was set while the agent ran: for as long as readings of before may be in memory, what a
/// crash costs has stamps of both sides.
struct Calendar {
    last: (Instant, Wall),
    /// From where to where, and until which turn that matters.
    step: Option<(Wall, Wall, u64)>,
}

impl Calendar {
    fn new(wall: Wall) -> Self {
        Self { last: (Instant::now(), wall), step: None }
    }

    /// What there is to be marked, if that has changed.
    fn turn(&mut self, wall: Wall, turns: u64) -> Option<Option<(Wall, Wall)>> {
        let (at, before) = self.last;
        let expected = before.after(at.elapsed());
        self.last = (Instant::now(), wall);
        if wall.0.abs_diff(expected.0) > STEP_MS {
            let (low, high) = self.step.map_or((before, before), |(low, high, _)| (low, high));
            let (low, high) = (low.min(before).min(wall), high.max(before).max(wall));
            self.step = Some((low, high, turns + 2 * spool::OLDEST_IN_MEMORY.as_secs()));
            return Some(Some((low, high)));
        }
        self.step.take_if(|(_, _, until)| turns > *until).map(|_| None)
    }
}

/// The last readings of this run, which nobody has acknowledged.
pub(super) async fn end(spool: &Handle, telemetry: &TelemetryReceiver, at: Wall) {
    let last = async {
        let (_, came) = telemetry.waiting();
        let rest = telemetry.take_until(came);
        let is_kept = rest.is_empty() || keep(spool, telemetry, rest).await;
        if is_kept && let Err(error) = spool.with(move |spool| spool.mark(at, true)).await {
            spool::failed("mark", &error);
        }
    };
    if timeout(LAST_WITHIN, last).await.is_err() {
        tracing::warn!("the last readings were not spooled in time; a gap is told at the next start");
    }
}

/// False where they could not be: they wait in memory again.
async fn keep(spool: &Handle, telemetry: &TelemetryReceiver, chunks: Vec<Chunk>) -> bool {
    let kept = spool
        .with(move |spool| match spool.put(&chunks) {
            Ok(dropped) => Ok((Vec::new(), Ok(dropped))),
            Err(error) => Ok((chunks, Err(error))),
        })
        .await;
    match kept {
        Ok((_, Ok(dropped))) => {
            if let Some(dropped) = dropped {
                telemetry.put_back_dropped(dropped);
            }
            true
        }
        Ok((chunks, Err(error))) => {
            spool::failed("write to", &error);
            telemetry.put_back(chunks);
            false
        }
        Err(error) => {
            spool::failed("write to", &error);
            false
        }
    }
}
