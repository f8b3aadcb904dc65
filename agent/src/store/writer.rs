//! The writer thread: takes what waits, writes it in one transaction, answers requests.
//!
//! A batch with a piece that can never be written is committed without that piece, see [`super::poison`]. Any other
//! failed commit is rolled back and its batches go back to the head of the queue. After a failure
//! batches are tried one at a time, so that one that can never be written holds up only what is behind it.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use riskgate_engine::Running;
use riskgate_point::Wall;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::watch;

use crate::causes::chain;

use super::age::Age;
use super::full::{self, Unbegun};
use super::journal::{self, Head, Sealer};
use super::mark::{Ballast, Mark};
use super::open::is_full;
use super::outbox::{self, Appended};
use super::poison::{Sifted, is_poison, sift};
use super::queue::{Queue, Request, Work};
use super::upkeep::{Rows, Upkeep};
use super::{
    Batch, Committed, JournalEntry, Lane, LastSequences, Message, Reply, StoreError, commands, records, sql,
};

/// The first pause after a failed commit, doubled with each further one up to the last. A disk that is
/// full or hangs needs a person; a lock held by a reader is gone in milliseconds.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Tries at closing: with a file that another program holds, two fit into the store's second of the stop.
const CLOSING_TRIES: u32 = 2;

/// Bites behind one commit: together they are worth more rows than a commit of a flood has.
const BITES_MAX: usize = 4;

/// Between two looks for rows that are kept long enough, by the store's own time.
const PURGE_EVERY_MS: i64 = 10 * 60 * 1000;

/// The connection and what the writer remembers of it. `lock` is held for as long as the file is open.
pub(super) struct Database {
    pub(super) connection: Connection,
    pub(super) last: LastSequences,
    pub(super) rows: Rows,
    pub(super) head: Head,
    pub(super) sealer: Sealer,
    pub(super) mark: Mark,
    pub(super) ballast: Ballast,
    pub(super) upkeep: Upkeep,
    pub(super) age: Age,
    /// `None`: there is no place to hold yet.
    pub(super) lock: Option<Arc<File>>,
    /// There was no room for the start itself: nothing is written before that is done.
    pub(super) unbegun: Option<Unbegun>,
    /// What was read at the start is not there any more: only a restart can tell that, and begin anew.
    pub(super) is_lost: bool,
}

impl Database {
    pub(super) fn committed(&self) -> Committed {
        let failed = self.unbegun.as_ref().map(|unbegun| unbegun.why.clone());
        Committed { last: self.last, journal: self.head.clone(), failed, ..Committed::default() }
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        let Some(mut unbegun) = self.unbegun.take() else { return Ok(()) };
        let begun = full::begin(self, &mut unbegun);
        if let Err(error) = &begun {
            self.is_lost |= matches!(error, StoreError::Lost { .. });
            self.unbegun = Some(unbegun);
        }
        begun
    }

    /// All of it or nothing: a transaction that is dropped on the way out rolls back.
    fn in_transaction<T>(
        &mut self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.begin()?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sql("begin a transaction"))?;
        let done = body(&transaction)?;
        transaction.commit().map_err(sql("commit"))?;
        Ok(done)
    }

    pub(super) fn write(&mut self, batches: &[Batch]) -> Result<Sifted, StoreError> {
        match self.write_whole(batches) {
            Err(error) if is_poison(&error) => self.write_in_pieces(batches),
            whole => whole.map(|refused| Sifted { refused, unwritable: 0 }),
        }
    }

    fn write_in_pieces(&mut self, batches: &[Batch]) -> Result<Sifted, StoreError> {
        let mut head = self.head.clone();
        let mut transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sql("begin a transaction"))?;
        let sifted = sift(&mut transaction, &mut head, batches)?;
        let last = outbox::last_sequences(&transaction)?;
        transaction.commit().map_err(sql("commit"))?;
        self.wrote(last, head);
        Ok(sifted)
    }

    /// Returns how many messages were refused as too large.
    fn write_whole(&mut self, batches: &[Batch]) -> Result<u64, StoreError> {
        // Before its head is read.
        self.begin()?;
        let mut head = self.head.clone();
        let (refused, last) = self.in_transaction(|transaction| {
            let mut refused = 0;
            for batch in batches {
                // What a person did stands before what followed from it.
                refused += append(transaction, &mut head, &batch.messages, &batch.acts)?;
                for effect in &batch.effects {
                    records::write(transaction, effect)?;
                    if journal::is_decision(effect) {
                        journal::append(transaction, &mut head, &journal::decision(effect, batch.at))?;
                    }
                }
                for carried in &batch.commands {
                    commands::write(transaction, carried)?;
                }
            }
            Ok((refused, outbox::last_sequences(transaction)?))
        })?;
        self.wrote(last, head);
        Ok(refused)
    }

    fn append(&mut self, messages: &[Message], entries: &[JournalEntry]) -> Result<u64, StoreError> {
        self.begin()?;
        let mut head = self.head.clone();
        let (refused, last) = self.in_transaction(|transaction| {
            let refused = append(transaction, &mut head, messages, entries)?;
            Ok((refused, outbox::last_sequences(transaction)?))
        })?;
        self.wrote(last, head);
        Ok(refused)
    }

    pub(super) fn acknowledge(&mut self, rows: &[i64], at: Wall, purge: bool) -> Result<usize, StoreError> {
        let (acknowledged, purged) = self.in_transaction(|transaction| {
            let acknowledged = outbox::acknowledge(transaction, rows, at)?;
            let purged = if purge { outbox::purge(transaction, at)? } else { 0 };
            Ok((acknowledged, purged))
        })?;
        for lane in Lane::ALL {
            self.rows.acknowledged(lane, acknowledged.of(lane));
        }
        self.rows.forgotten(purged);
        if purged > 0 {
            outbox::vacuum(&self.connection)?;
        }
        Ok(purged)
    }

    fn keep(&mut self, running: &Running) -> Result<(), StoreError> {
        self.begin()?;
        records::keep(&self.connection, running)
    }

    fn refuse(
        &mut self,
        row: i64,
        why: &str,
        (gap, entry): (Message, JournalEntry),
        at: Wall,
    ) -> Result<(), StoreError> {
        self.begin()?;
        let mut head = self.head.clone();
        let (lane, last) = self.in_transaction(|transaction| {
            let lane = outbox::refuse(transaction, row, why, at)?;
            if lane.is_some() {
                append(transaction, &mut head, &[gap], &[entry])?;
            }
            Ok((lane, outbox::last_sequences(transaction)?))
        })?;
        if let Some(lane) = lane {
            self.rows.acknowledged(lane, 1);
        }
        self.wrote(last, head);
        Ok(())
    }

    fn wrote(&mut self, last: LastSequences, head: Head) {
        self.mark.set(&head);
        self.rows.appended(self.last, last);
        (self.last, self.head) = (last, head);
    }

    /// A disk that is full gets the room that was kept for it. Whether there was any: then another try may do.
    fn make_room(&self, error: &StoreError) -> bool {
        let gave = is_full(error) && self.ballast.give_back();
        if gave {
            tracing::error!("the disk is full: the room that was kept for this is given back");
        }
        gave
    }

    /// One bite of what has to go, if the outbox or the file is over its bounds. Returns how many rows went.
    pub(super) fn evict(&mut self, at: Wall) -> Result<usize, StoreError> {
        if !self.upkeep.is_over(&self.connection, &self.rows)? {
            return Ok(0);
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sql("begin a transaction"))?;
        let mut rows = self.rows;
        let gone = self.upkeep.evict(&transaction, &mut rows, at)?;
        let last = outbox::last_sequences(&transaction)?;
        transaction.commit().map_err(sql("commit the eviction"))?;
        rows.appended(self.last, last);
        (self.rows, self.last) = (rows, last);
        outbox::vacuum(&self.connection)?;
        Ok(gone)
    }

    /// What follows a commit while nothing waits for it. A disk that refuses tells with the next commit.
    fn keep_up(&mut self, at: Option<Wall>, is_idle: bool) -> usize {
        if self.unbegun.is_some() {
            return 0;
        }
        let evicted = at.map_or(Ok(0), |at| (0..BITES_MAX).try_fold(0, |gone, _| Ok(gone + self.evict(at)?)));
        let kept = evicted.and_then(|gone| self.upkeep.after_commit(&self.connection).map(|()| gone));
        let gone = kept.unwrap_or_else(|error| {
            tracing::debug!(error = chain(&error), "the upkeep of the store failed");
            0
        });
        if let Some(at) = at.filter(|_| is_idle) {
            self.seal_if_due(at);
        }
        gone
    }

    /// A month of the journal that is over becomes a file. Where that fails, its entries stay where they are.
    fn seal_if_due(&mut self, at: Wall) {
        if !self.sealer.is_due(&self.head, at) {
            return;
        }
        if let Err(error) = self.sealer.seal(&mut self.connection, at) {
            let error = chain(&error);
            tracing::warn!(error, "the journal's last month is not archived yet; it stays in state.db");
        }
    }

    fn close(self) {
        if self.unbegun.is_none()
            && let Err(error) = self.connection.execute("UPDATE meta SET clean = 1", [])
        {
            tracing::warn!(error = %error, "the store was not marked as closed; the next start checks it whole");
        }
        // The last connection to close writes the WAL back and removes it.
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(error = %error, "closing the store failed");
        }
        // Told outright: a child that another thread is just starting holds a copy of the handle for a moment.
        if let Some(lock) = self.lock
            && let Err(error) = lock.unlock()
        {
            tracing::warn!(%error, "the store's lock is let go at the end of the process");
        }
    }
}

fn append(
    connection: &Connection,
    head: &mut Head,
    messages: &[Message],
    entries: &[JournalEntry],
) -> Result<u64, StoreError> {
    let mut refused = 0;
    for message in messages {
        if outbox::append(connection, message)? == Appended::Refused {
            tracing::error!(
                topic = message.topic,
                object = message.object,
                revision = message.revision,
                "a message is too large for any receiver; a gap is told instead"
            );
            refused += 1;
        }
    }
    for entry in entries {
        journal::append(connection, head, entry)?;
    }
    Ok(refused)
}

/// However the thread ends, nobody waits for it any longer.
struct Abandon<'a>(&'a Queue);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

pub(super) fn run(database: Database, queue: &Queue, committed: &watch::Sender<Committed>) {
    let _abandon = Abandon(queue);
    let mut writer = Writer::new(database);
    loop {
        let work = queue.take(writer.group);
        match writer.turn(work, queue, committed) {
            Turn::Again => {}
            Turn::Rest(pause) => queue.pause(pause),
            Turn::End => break,
        }
    }
    writer.close();
}

/// What comes after a turn.
pub(super) enum Turn {
    Again,
    /// The disk refuses: not before this has passed, or the store closes.
    Rest(Duration),
    End,
}

/// What the thread does, turn by turn.
pub(super) struct Writer {
    pub(super) database: Database,
    /// Batches to take for the next turn.
    pub(super) group: usize,
    pause: Duration,
    closing_tries: u32,
    next_purge: Option<Wall>,
}

impl Writer {
    pub(super) fn new(database: Database) -> Self {
        Self { database, group: usize::MAX, pause: PAUSE_MIN, closing_tries: 0, next_purge: None }
    }

    pub(super) fn close(self) {
        self.database.close();
    }

    pub(super) fn turn(&mut self, work: Work, queue: &Queue, committed: &watch::Sender<Committed>) -> Turn {
        if work.closed && work.batches.is_empty() && work.requests.is_empty() {
            return Turn::End;
        }
        if !work.batches.is_empty() {
            match self.database.write(&work.batches) {
                Ok(sifted) => self.wrote(&work.batches, &sifted, queue, committed),
                Err(error) => return self.failed(work, &error, queue, committed),
            }
        }
        self.answer_all(work.requests, committed);
        if self.database.is_lost {
            return Turn::End;
        }
        let at = work.batches.last().map(|batch| batch.at);
        let evicted = self.database.keep_up(at, queue.batches() == 0);
        committed.send_if_modified(|committed| {
            committed.evicted += u64::try_from(evicted).unwrap_or(u64::MAX);
            committed.last = self.database.last;
            committed.written = self.database.upkeep.written();
            evicted > 0
        });
        Turn::Again
    }

    fn wrote(
        &mut self,
        batches: &[Batch],
        sifted: &Sifted,
        queue: &Queue,
        committed: &watch::Sender<Committed>,
    ) {
        queue.written(batches);
        for batch in batches {
            self.database.age.on(batch.at);
        }
        let seq = batches.iter().map(|batch| batch.seq).max().unwrap_or(0);
        committed.send_modify(|committed| {
            committed.seq = committed.seq.max(seq);
            committed.last = self.database.last;
            committed.journal.clone_from(&self.database.head);
            committed.refused += sifted.refused;
            committed.unwritable += sifted.unwritable;
            committed.failed = None;
        });
        self.pause = PAUSE_MIN;
        self.group = usize::MAX;
    }

    fn failed(
        &mut self,
        work: Work,
        error: &StoreError,
        queue: &Queue,
        committed: &watch::Sender<Committed>,
    ) -> Turn {
        let why = chain(error);
        // The pump tells it, once for each reason; here each try.
        tracing::debug!(batches = work.batches.len(), error = why, "a commit failed");
        queue.put_back(work.batches);
        if self.database.make_room(error) {
            self.answer_all(work.requests, committed);
            return Turn::Again;
        }
        committed.send_modify(|committed| committed.failed = Some(why));
        self.closing_tries += u32::from(work.closed);
        self.answer_all(work.requests, committed);
        if self.closing_tries >= CLOSING_TRIES || self.database.is_lost {
            return Turn::End;
        }
        // The first failure of a group is tried again at once, one batch at a time.
        let is_alone = self.group == 1 || work.closed;
        self.group = 1;
        if !is_alone {
            return Turn::Again;
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        Turn::Rest(pause)
    }

    fn answer_all(&mut self, requests: Vec<Request>, committed: &watch::Sender<Committed>) {
        let was_unbegun = self.database.unbegun.is_some();
        for request in requests {
            answer(&mut self.database, request, committed, &mut self.next_purge);
        }
        if was_unbegun && self.database.unbegun.is_none() {
            committed.send_modify(|committed| {
                committed.last = self.database.last;
                committed.journal.clone_from(&self.database.head);
                committed.failed = None;
            });
        }
    }
}

fn answer(
    database: &mut Database,
    request: Request,
    committed: &watch::Sender<Committed>,
    next_purge: &mut Option<Wall>,
) {
    match request {
        Request::Append { messages, entries, reply } => {
            let appended = database.append(&messages, &entries).map(|refused| {
                committed.send_modify(|committed| {
                    committed.last = database.last;
                    committed.journal.clone_from(&database.head);
                    committed.refused += refused;
                });
            });
            send(reply, appended);
        }
        Request::Lease { lane, after, n, reply } => {
            send(reply, outbox::lease(&database.connection, lane, after, n));
        }
        Request::Acknowledge { rows, at, reply } => {
            let at = database.age.on(at);
            let due = next_purge.is_none_or(|next| at >= next);
            let acknowledged = database.acknowledge(&rows, at, due).map(|purged| {
                // A bite that removed something is followed by another with the next acknowledgement.
                if due && purged == 0 {
                    *next_purge = Some(Wall(at.0.saturating_add(PURGE_EVERY_MS)));
                }
            });
            send(reply, acknowledged);
        }
        Request::Refuse { row, why, told, at, reply } => {
            let at = database.age.on(at);
            let refused = database.refuse(row, why, *told, at).map(|()| {
                committed.send_modify(|committed| {
                    committed.last = database.last;
                    committed.journal.clone_from(&database.head);
                });
            });
            send(reply, refused);
        }
        Request::Range { lane, from, to, n, reply } => {
            send(reply, outbox::range(&database.connection, lane, from, to, n));
        }
        Request::Outbox { reply } => send(reply, outbox::view(&database.connection, &database.rows)),
        Request::Units { reply } => send(reply, records::units(&database.connection)),
        Request::Indicator { reply } => send(reply, records::indicator(&database.connection)),
        Request::Keep { running, reply } => send(reply, database.keep(&running)),
    }
}

/// A caller that no longer waits has lost interest in the answer, not in the deed.
fn send<T>(reply: Reply<T>, answer: Result<T, StoreError>) {
    drop(reply.send(answer));
}
