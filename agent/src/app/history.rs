//! The history at the start and at the stop: nothing waits for it longer than it is worth.

use std::sync::Arc;
use std::time::Duration;

use riskgate_engine::Plant;
use riskgate_point::{Now, Sample};
use tokio::task::JoinHandle;

use crate::causes::chain;
use crate::config::Site;
use crate::events::Event;
use crate::history::{History, Recorder, refill};

/// A start does not wait longer for what windows look back at; they are unknown until covered then.
const REFILL_WITHIN: Duration = Duration::from_secs(3);

/// Off the runtime's threads: a disk may hang.
pub(super) async fn open(site: &Site, plant: &Arc<Plant>, now: Now) -> anyhow::Result<(History, Recorder)> {
    let (dir, limits, plant) = (site.store.dir.clone(), site.history, Arc::clone(plant));
    Ok(tokio::task::spawn_blocking(move || History::open(&dir, limits, &plant, now)).await??)
}

/// What the windows of the rules look back at.
pub(super) async fn past(history: &History, plant: &Arc<Plant>, now: Now) -> Vec<Sample> {
    let (path, plant) = (history.path().to_owned(), Arc::clone(plant));
    let reading = tokio::task::spawn_blocking(move || refill::samples(&path, &plant, now));
    let why = match tokio::time::timeout(REFILL_WITHIN, reading).await {
        Ok(Ok(Ok((samples, left_out)))) => {
            if !samples.is_empty() || left_out > 0 {
                Event::WindowsRefilled { samples: samples.len(), left_out }.emit();
            }
            return samples;
        }
        Ok(Ok(Err(error))) => chain(&error),
        Ok(Err(panic)) => panic.to_string(),
        Err(_) => format!("the history was not read within {} s", REFILL_WITHIN.as_secs()),
    };
    Event::WindowsEmpty { why: &why }.emit();
    Vec::new()
}

/// It goes with the store's share of the stop: what is not written by then is a gap at the next start.
pub(super) async fn closed(closing: JoinHandle<()>, within: Duration) {
    if tokio::time::timeout(within, closing).await.is_err() {
        Event::StopTookTooLong { part: "the history", within }.emit();
    }
}
