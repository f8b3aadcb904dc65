//! Bugs that are put in on purpose, one row or one chunk each: a simulation that does not fail with one of them sees
//! nothing.

use std::path::Path;

use rusqlite::Connection;

use crate::store::{Batch, Lane};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// A message is dropped before its commit.
    RowNotWritten,
    /// A row leaves the outbox without its acknowledgement.
    RowLeaves,
    /// Readings leave the spool without theirs.
    ReadingsLeave,
    /// Readings that had to go are not counted.
    LossNotCounted,
}

impl Bug {
    /// In what is about to be committed. True once it is there.
    pub(super) fn put_into_batches(self, batches: &mut [Batch]) -> bool {
        if self != Self::RowNotWritten {
            return false;
        }
        let is_critical = |batch: &&mut Batch| batch.messages.iter().any(|it| it.lane == Lane::Critical);
        let Some(batch) = batches.iter_mut().find(is_critical) else { return false };
        let place = batch.messages.iter().position(|message| message.lane == Lane::Critical);
        batch.messages.remove(place.expect("just seen"));
        true
    }

    /// In what is on disk, while nobody is connected. True once it is there.
    pub(super) fn put_into_files(self, dir: &Path) -> bool {
        let (file, statement) = match self {
            Self::RowNotWritten => return false,
            Self::RowLeaves => (
                "state.db",
                "UPDATE outbox SET sent_at = 1 WHERE row =
                 (SELECT max(row) FROM outbox WHERE sent_at IS NULL AND lane = 'critical')",
            ),
            Self::ReadingsLeave => ("spool.db", "DELETE FROM chunk WHERE id = (SELECT min(id) FROM chunk)"),
            Self::LossNotCounted => ("spool.db", "DELETE FROM dropped"),
        };
        let connection = Connection::open(dir.join(file)).expect("opens");
        connection.execute(statement, []).expect("carried out") > 0
    }
}
