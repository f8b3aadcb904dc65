//! Takes readings that wait too long from memory to the spool, and the rest at the end.
//!
//! It runs beside the connection, whether there is one or not, and reads no clock but the runtime's.

use std::path::PathBuf;
use std::time::Duration;

use riskgate_point::Wall;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::spool::{self, Found, Handle, Spool};
use super::telemetry::{Chunk, READINGS_MAX, TelemetryReceiver};
use super::{Uplink, gap, second};
use crate::causes::chain;
use crate::events::Event;

/// What waited at one look and still waits at the next goes to the spool: no reading waits longer than two.
const LOOK_TURNS: u64 = 30;

/// A flood is spooled before it fills the memory.
const FLOOD: usize = READINGS_MAX / 2;

/// For the last readings, when the agent ends.
const LAST_WITHIN: Duration = Duration::from_millis(400);

const _: () = assert!(spool::OLDEST_IN_MEMORY.as_secs() > 2 * LOOK_TURNS);

/// Opens the spool and tells what the last run may have lost. `None`: there is none, and readings stay in
/// memory, as they do while its disk fails.
pub(super) async fn open(uplink: &Uplink, dir: PathBuf) -> Option<Handle> {
    let now = uplink.now();
    let opened = tokio::task::spawn_blocking(move || Spool::open(&dir, now)).await;
    let (spool, Found { lost_since, kept_aside }) = match opened {
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
    if let Some(from) = lost_since {
        let told = gap::of_crash(from, now, &uplink.origin);
        if let Err(error) = uplink.store.append(vec![told], Vec::new()).await {
            tracing::warn!(error = chain(&error), "the gap of the last run was not written");
        }
    }
    Some(Handle::new(spool))
}

/// Works until `stop`.
pub(super) async fn run(
    spool: &Handle,
    telemetry: &TelemetryReceiver,
    now: impl Fn() -> Wall,
    stop: &CancellationToken,
) {
    let (mut tick, mut turns, mut noted) = (second(), 0_u64, 0);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        turns += 1;
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
