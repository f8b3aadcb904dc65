//! One task for one device: runs its cycles over its line on a fixed grid of time.
//!
//! While the device does not answer it is tried off the grid, on a back-off; when it answers it is on the
//! grid again at once. What a cycle asks and tells is said in [`super::cycle`]. It asks with function codes
//! 1 to 4 and holds no other.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Device;
use super::cycle::Cycles;
use super::grid::Grid;
use super::line::{Endpoint, Line};
use super::plan;
use crate::Clock;
use crate::backoff::Backoff;
use crate::intake::Sender;

/// The shortest wait before a dead device is tried again, and the longest: at most so much later than
/// the device itself are its samples back. A hundred dead devices at the longest make 20 tries a second.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The first reads of all devices spread over this time, so that the first sample is there soon.
const FIRST_SPREAD: Duration = Duration::from_millis(250);

/// Why a device cannot be polled at all. What a device or a network does is never an error here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("modbus {endpoint}: a {setting} of zero cannot be kept")]
    ZeroDuration { endpoint: Endpoint, setting: &'static str },
}

/// Polls until told to stop; every failure of the device or the network is reported, then retried.
/// `line` is that of the device's endpoint, shared with the other devices behind it.
pub async fn run(
    config: &Device,
    line: &Line,
    out: &Sender,
    clock: Clock,
    stop: &CancellationToken,
) -> Result<(), Error> {
    for (setting, duration) in
        [("period", config.period), ("timeout", config.timeout), ("connect_timeout", config.connect_timeout)]
    {
        if duration.is_zero() {
            return Err(Error::ZeroDuration { endpoint: config.endpoint.clone(), setting });
        }
    }
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        never = poll_forever(config, line, out, clock) => match never {},
    }
}

async fn poll_forever(device: &Device, line: &Line, out: &Sender, clock: Clock) -> Infallible {
    let Device { source, period, .. } = *device;
    let mut cycles = Cycles::new(device, line, out, clock);
    let mut grid = Grid::new(Instant::now() + plan::phase(source, period), period);
    let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX, u64::from(source.0));
    cycles.connecting();
    if cycles.are_empty() {
        return std::future::pending().await;
    }
    sleep(plan::phase(source, period.min(FIRST_SPREAD))).await;
    let mut answered = false;
    loop {
        let answered_before = answered;
        answered = cycles.run().await;
        if !answered {
            sleep(backoff.next()).await;
            continue;
        }
        backoff.reset();
        if !answered_before {
            grid.resume(Instant::now());
        }
        let (begins, late) = grid.following(Instant::now());
        for _ in 0..late {
            out.tally().poll_late();
        }
        sleep_until(begins).await;
    }
}

#[cfg(test)]
mod paced;
#[cfg(test)]
mod tests;
