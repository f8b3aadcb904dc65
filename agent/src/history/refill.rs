//! What the windows of the rules look back at, for an engine that begins.
//!
//! Received times are calendar times in the file, and are laid onto the clock that judging runs on by how long
//! ago they are. Where the calendar clock was set back in between, what was before it cannot be placed and is
//! left out, and so is everything where it now stands before the newest sample: unknown until covered.

use std::path::Path;
use std::time::Duration;

use riskgate_engine::Plant;
use riskgate_point::{Mono, Now, Sample, Wall};

use super::HistoryError;
use super::read::{Reader, millis};

/// A window that is longer is unknown until it is covered anew.
pub const LOOK_BACK_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Samples of all points: 72 bytes each while the engine begins, 36 MB, and about a second.
const SAMPLES_MAX: usize = 500_000;

/// What an engine that begins at `now` is given, and how many points had no room.
///
/// # Errors
/// The history could not be read.
pub fn samples(path: &Path, plant: &Plant, now: Now) -> Result<(Vec<Sample>, usize), HistoryError> {
    let reader = Reader::open(path)?;
    let known = reader.points()?;
    let (mut samples, mut left_out) = (Vec::new(), 0);
    let mut remembered = plant.remembered();
    // Many short windows before a long one.
    remembered.sort_by_key(|(_, length)| *length);
    for (id, length) in remembered {
        let Some(tag) = plant.point(id).map(|point| &point.tag).filter(|tag| known.contains_key(*tag)) else {
            continue;
        };
        let since = Wall(now.wall.0.saturating_sub(millis(length.min(LOOK_BACK_MAX))));
        let readings = reader.as_received(tag, since, Wall(i64::MAX), None)?;
        if samples.len() + readings.len() > SAMPLES_MAX {
            left_out += 1;
            continue;
        }
        let start = samples.len();
        let mut last = Wall(i64::MIN);
        for reading in readings.into_iter().filter(|reading| !reading.backfill) {
            if reading.at < last || reading.at > now.wall {
                samples.truncate(start);
            }
            last = reading.at;
            if reading.at > now.wall {
                break;
            }
            let Some(mono) = placed(reading.at, now) else { continue };
            samples.push(Sample {
                point: id,
                value: reading.value,
                quality: reading.quality,
                source_time: reading.source_time,
                received: Now { mono, wall: reading.at },
                backfill: false,
            });
        }
        // What was in force when the window began, and what came since.
        let of_point = samples.get(start..).unwrap_or_default();
        let before = of_point.iter().rposition(|sample| sample.received.wall <= since).unwrap_or(0);
        samples.drain(start..start + before);
    }
    Ok((samples, left_out))
}

/// As long ago on the one clock as on the other.
fn placed(at: Wall, now: Now) -> Option<Mono> {
    let ago = u64::try_from(now.wall.0.checked_sub(at.0)?).ok()?;
    now.mono.0.checked_sub(ago.checked_mul(1_000_000)?).map(Mono)
}
