//! The store without its thread, for simulation: the same queue and the same turns of the same writer, one at a
//! time, on the caller's word. A disk that hangs is one whose turn does not come; one that refuses or is full is
//! made so by SQLite itself.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use riskgate_point::Wall;
use tokio::sync::watch;

use super::queue::{EFFECTS_MAX, Queue};
pub(crate) use super::upkeep::Bounds;
use super::writer::{Turn, Writer};
use super::{Batch, Committed, Handle, Lane, Opened, Store, StoreError, open};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    Fine,
    Hangs,
    Refuses,
    Full,
}

pub(crate) struct ByHand {
    writer: Writer,
    queue: Arc<Queue>,
    committed: watch::Sender<Committed>,
}

pub(crate) enum Beat {
    /// Nothing waits.
    Idle,
    Again,
    Rest(Duration),
    End,
}

impl ByHand {
    pub(crate) fn open(dir: &Path, now: Wall, bounds: Bounds) -> Result<(Store, Opened, Self), StoreError> {
        let (mut database, opened) = open::open(dir, now)?;
        database.upkeep.bounds = bounds;
        let queue = Arc::new(Queue::default());
        let (sender, committed) = watch::channel(database.committed());
        let handle = Handle { queue: Arc::clone(&queue), committed, writer: Mutex::new(None) };
        let by_hand = Self { writer: Writer::new(database), queue, committed: sender };
        Ok((Store(Arc::new(handle)), opened, by_hand))
    }

    /// Something came to wait since the last call.
    pub(crate) async fn rung(&self) {
        self.queue.rung.notified().await;
    }

    /// `spoil`: what becomes of batches on their way to the disk.
    pub(crate) fn turn(&mut self, disk: Disk, spoil: impl FnOnce(&mut [Batch])) -> Beat {
        // What the writer has in hand weighs too; a batch heavier than the bound goes in alone.
        let (effects, requests) = self.queue.load();
        assert!(effects <= 2 * EFFECTS_MAX && requests <= 100, "{effects} effects, {requests} requests");
        let Some(mut work) = self.queue.try_take(self.writer.group) else { return Beat::Idle };
        let seq = work.batches.last().map(|batch| batch.seq);
        let lanes: Vec<Lane> = work.batches.iter().flat_map(|it| &it.messages).map(|it| it.lane).collect();
        spoil(&mut work.batches);
        let connection = &self.writer.database.connection;
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).expect("read");
        match disk {
            Disk::Fine | Disk::Hangs => self.writer.database.upkeep.set_end(connection).expect("set"),
            Disk::Refuses => {}
            Disk::Full => {
                connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).expect("set");
            }
        }
        connection.pragma_update(None, "query_only", disk == Disk::Refuses).expect("set");
        let turn = self.writer.turn(work, &self.queue, &self.committed);
        if seq.is_some_and(|seq| self.committed.borrow().seq >= seq) {
            crate::sim::committed(&lanes);
        }
        match turn {
            Turn::Again => Beat::Again,
            Turn::Rest(pause) => Beat::Rest(pause),
            Turn::End => Beat::End,
        }
    }

    /// What [`Store::close`] waits for. Dropped instead, it is a process that was killed.
    pub(crate) fn close(self) {
        self.writer.close();
        self.queue.abandon();
    }
}
