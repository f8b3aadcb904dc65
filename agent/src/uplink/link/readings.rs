//! The readings of one connection: those of now from memory, those of the past from the spool, and the gap
//! that tells of those that were dropped.

use riskgate_point::Wall;

use super::{Answer, Link};
use crate::store::{Message, Store, StoreError};
use crate::uplink::spool::{self, Next, SpoolError};
use crate::uplink::telemetry::{Chunk, Dropped, TelemetryReceiver};
use crate::uplink::wire::Origin;
use crate::uplink::{gap, keeper, wire};

fn gap_of(dropped: &Dropped, at: Wall, origin: &Origin) -> Message {
    tracing::warn!(
        count = dropped.count,
        too_large = dropped.too_large,
        "telemetry was dropped; a gap is told"
    );
    gap::of_telemetry(dropped, at, origin)
}

/// One write of what was dropped.
struct Telling {
    spool: Option<spool::Handle>,
    telemetry: TelemetryReceiver,
    store: Store,
    origin: Origin,
    now: Wall,
}

impl Telling {
    async fn tell(self) -> Answer {
        if let Some(spool) = &self.spool {
            keeper::note_dropped(spool, &self.telemetry).await;
        }
        let mut count = 0;
        let told = match self.tell_memory(&mut count).await {
            Ok(()) => self.tell_spool(&mut count).await,
            failed @ Err(_) => failed,
        };
        Answer::GapTold(count, told)
    }

    /// What no spool counts: there is none, or it cannot be written. Cut short it is told again, under the same id.
    async fn tell_memory(&self, count: &mut u64) -> Result<(), StoreError> {
        let Some((dropped, at)) = self.telemetry.begin_telling(self.now) else { return Ok(()) };
        self.append(&dropped, at).await?;
        self.telemetry.told_dropped();
        *count += dropped.count;
        Ok(())
    }

    /// What the spool has counted is told, and forgotten there once the gap is on disk. Cut short by the end of the
    /// connection or of the agent it is told again, under the same id.
    async fn tell_spool(&self, count: &mut u64) -> Result<(), StoreError> {
        let (Some(spool), now) = (&self.spool, self.now) else { return Ok(()) };
        let (dropped, at) = match spool.with(move |spool| spool.begin_telling(now)).await {
            Ok(Some(telling)) => telling,
            Ok(None) => return Ok(()),
            Err(error) => {
                spool.failed("read", &error);
                return Ok(());
            }
        };
        self.append(&dropped, at).await?;
        *count += dropped.count;
        if let Err(error) = spool.with(|spool| spool.told_dropped()).await {
            spool.failed("note what was told in", &error);
        }
        Ok(())
    }

    async fn append(&self, dropped: &Dropped, at: Wall) -> Result<(), StoreError> {
        self.store.append(vec![gap_of(dropped, at, &self.origin)], Vec::new()).await
    }
}

impl Link<'_> {
    /// As many readings as the link can take now; a batch each interval, and what is left of a backlog with
    /// each acknowledgement.
    pub(super) fn batch_telemetry(&mut self) {
        if self.connected.is_none() {
            return;
        }
        while let Some(bytes_max) = self.session.wants_live() {
            let Some(chunk) = self.uplink.telemetry.take(bytes_max) else {
                self.draining = false;
                return;
            };
            self.session.push_live(chunk, self.age());
        }
        self.draining = true;
    }

    /// Readings that nobody will have: one gap for all of them.
    pub(super) fn tell_dropped(&mut self) {
        if std::mem::replace(&mut self.telling_dropped, true) {
            return;
        }
        let telling = Telling {
            spool: self.spool.clone(),
            telemetry: self.uplink.telemetry.clone(),
            store: self.uplink.store.clone(),
            origin: self.uplink.origin.clone(),
            now: self.uplink.now(),
        };
        self.asked.push(Box::pin(telling.tell()));
    }

    pub(super) fn told_dropped(&mut self, count: u64, rest: Result<(), StoreError>) {
        self.telling_dropped = false;
        self.uplink.status.send_modify(|status| status.readings_dropped += count);
        // Told in the log; it is told again with the next turn for it.
        let _told = self.heard("gap", rest);
    }

    /// What it failed to do is in the log.
    pub(super) fn spool_did(&self, what: &'static str, done: Result<(), SpoolError>) {
        if let (Err(error), Some(spool)) = (done, &self.spool) {
            spool.failed(what, &error);
        }
    }

    /// Readings of the past, as long as there are some.
    pub(super) fn ask_spool(&mut self) {
        let (Some(spool), false) = (&self.spool, self.spool_read) else { return };
        let Some(after) = self.session.wants_past() else { return };
        self.spool_read = true;
        let (spool, telemetry) = (spool.clone(), self.uplink.telemetry.clone());
        self.asked.push(Box::pin(async move {
            let next = spool.with(move |spool| spool.next(after, |place| telemetry.standing(place)));
            Answer::Spooled(next.await)
        }));
    }

    pub(super) fn unspool(&mut self, place: Option<i64>) {
        if let (Some(place), Some(spool)) = (place, &self.spool) {
            let spool = spool.clone();
            self.asked.push(Box::pin(async move {
                Answer::Unspooled(spool.with(move |spool| spool.remove(place)).await)
            }));
        }
    }

    pub(super) fn spooled(&mut self, next: Result<Next, SpoolError>) {
        match next {
            Ok(Next::Chunk(chunk)) => {
                self.spool_read = false;
                self.session.push_past(chunk);
            }
            Ok(Next::Damaged) => self.spool_read = false,
            // It is asked again with the next second.
            Ok(Next::Nothing) => self.spool_empty = true,
            Err(error) => {
                self.spool_empty = true;
                self.spool_did("read", Err(error));
            }
        }
    }

    pub(super) fn telemetry_bytes(&self, chunk: &Chunk) -> Vec<u8> {
        let now = self.uplink.now();
        let connected = self.connected.unwrap_or(now);
        let name = format!("telemetry/{}", chunk.name());
        let origin = &self.uplink.origin;
        wire::telemetry_bytes(&name, chunk, now, chunk.from < connected, origin)
    }
}
