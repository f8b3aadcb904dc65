//! Which reads a device is asked for in each cycle, as it turns out what it refuses and what silences it.
//!
//! Pure: it is told what came of each read, and says what to ask next. It begins with the reads of the
//! plan. One that the device refuses is cut in halves, and these again, until what is refused stands
//! alone; that is then held ([`super::quarantine`]), and its neighbours are joined again, each two of them
//! on trial. A block of n points of which g are refused is found out with at most 1 + 2·g·⌈log₂ n⌉
//! requests, which are asked after those of the points that are well. One that breaks the connection,
//! while the device answers others, is asked last ([`super::rest`]), and after some tries cut as well.
//!
//! Nothing that is learned here holds for ever: what is held, cut or silent is tried again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::fault::Exception;
use super::plan::{Plan, Read};
use super::quarantine::{Held, TableState};
use super::{Point, Table};

/// Two reads that are refused as one stay apart for so long: the gap between them does not exist, or one
/// request may not be so large. Costs one request in vain an hour.
const APART: Duration = Duration::from_secs(60 * 60);
/// A read of several points that broke the connection so often is cut: one of them does it.
const SILENT_TRIES: u32 = 3;

/// Names a piece while it is neither cut nor joined. In the order of the plan, then of the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PieceId {
    /// The read of the plan that it came of: the limits hold for joined pieces of one.
    origin: usize,
    address: u16,
    number: u32,
}

pub(super) struct Agenda {
    pieces: BTreeMap<PieceId, Piece>,
    tables: BTreeMap<Table, TableState>,
    /// What is well and still to be asked in this cycle.
    queue: VecDeque<PieceId>,
    /// Counts from 1.
    cycle: u64,
    /// How far the order of the cycle is turned.
    turn: usize,
    /// Pieces made so far.
    made: u32,
    seed: u64,
}

struct Piece {
    read: Read,
    state: State,
    /// The last cycle in which it was asked, was answered, broke the connection; 0: none.
    asked: u64,
    answered: u64,
    broke: u64,
    /// What came of it last says nothing of its address, whatever was suspected of that before: the device
    /// failed, or the read broke the connection. Its points keep that reason until it says something else.
    ails: bool,
    /// While it is well it is not asked before this cycle.
    due: u64,
    /// Is not joined with the next before.
    apart_until: Duration,
    /// Joined of these, on trial.
    parts: Option<Box<(Read, Read)>>,
}

enum State {
    /// Asked in each cycle.
    Live,
    /// Cut off a read that was refused, not asked by itself yet.
    Doubtful,
    Held(Held),
    /// Broke the connection while others were answered.
    Silent {
        tries: u32,
    },
}

/// What a refusal led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The parts that were joined on trial are asked again, each by itself.
    Parted,
    /// Its halves are asked, in this cycle if there is time.
    Cut,
    Held,
    /// What was only suspected is proven now.
    Proven,
}

impl Agenda {
    pub(super) fn of(plan: Plan, seed: u64) -> Self {
        let mut agenda = Self {
            pieces: BTreeMap::new(),
            tables: BTreeMap::new(),
            queue: VecDeque::new(),
            cycle: 0,
            turn: 0,
            made: 0,
            seed,
        };
        for (origin, read) in plan.reads.into_iter().enumerate() {
            agenda.tables.entry(read.table).or_default();
            agenda.put(origin, read, State::Live);
        }
        agenda
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn read(&self, id: PieceId) -> Option<&Read> {
        self.pieces.get(&id).map(|piece| &piece.read)
    }

    /// A new cycle.
    pub(super) fn begin(&mut self, now: Duration) {
        self.join_neighbours(now);
        self.cycle += 1;
        let live = |(id, piece): (&PieceId, &Piece)| {
            (matches!(piece.state, State::Live) && piece.due <= self.cycle).then_some(*id)
        };
        self.queue = self.pieces.iter().filter_map(live).collect();
        if !self.queue.is_empty() {
            self.queue.rotate_left(self.turn % self.queue.len());
        }
    }

    /// The next read that is well, as far as is known. Each once in a cycle.
    pub(super) fn next_live(&mut self) -> Option<PieceId> {
        let id = self.queue.pop_front()?;
        self.ask(id)
    }

    /// The next read of those that were refused, of which the most is to be learned. Each once in a cycle.
    pub(super) fn next_doubtful(&mut self, now: Duration) -> Option<PieceId> {
        let doubtful = self
            .pieces
            .iter()
            .filter(|(_, piece)| matches!(piece.state, State::Doubtful) && piece.asked < self.cycle);
        // Of the largest ones the first.
        let largest = doubtful.rev().max_by_key(|(_, piece)| piece.read.fields()).map(|(id, _)| *id);
        let next = largest.or_else(|| self.next_held(now));
        next.and_then(|id| self.ask(id))
    }

    fn next_held(&self, now: Duration) -> Option<PieceId> {
        let due =
            self.pieces.iter().find(|(_, piece)| match (&piece.state, self.tables.get(&piece.read.table)) {
                (State::Held(held), Some(table)) => piece.asked < self.cycle && held.is_due(table, now),
                (State::Held(_) | State::Live | State::Doubtful | State::Silent { .. }, _) => false,
            });
        due.map(|(id, _)| *id).or_else(|| self.tables.keys().find_map(|table| self.next_of_dark(*table)))
    }

    /// One of a table that is refused whole: the one that has waited longest.
    fn next_of_dark(&self, table: Table) -> Option<PieceId> {
        if !self.is_dark(table) || self.of_table(table).any(|(_, piece)| piece.asked == self.cycle) {
            return None;
        }
        let suspected = self.of_table(table).filter(|(_, piece)| match &piece.state {
            State::Held(held) => !held.is_proven(),
            State::Live | State::Doubtful | State::Silent { .. } => false,
        });
        suspected.min_by_key(|(_, piece)| piece.asked).map(|(id, _)| *id)
    }

    fn is_dark(&self, table: Table) -> bool {
        self.of_table(table).all(|(_, piece)| match piece.state {
            State::Held(_) | State::Silent { .. } => true,
            State::Live | State::Doubtful => false,
        })
    }

    fn of_table(&self, table: Table) -> impl Iterator<Item = (&PieceId, &Piece)> {
        self.pieces.iter().filter(move |(_, piece)| piece.read.table == table)
    }

    /// The next of those that broke the connection: the one that has waited longest. Each once in a cycle.
    pub(super) fn next_silent(&mut self) -> Option<PieceId> {
        let silent = self
            .pieces
            .iter()
            .filter(|(_, piece)| matches!(piece.state, State::Silent { .. }) && piece.asked < self.cycle);
        let next = silent.min_by_key(|(_, piece)| piece.asked).map(|(id, _)| *id);
        next.and_then(|id| self.ask(id))
    }

    fn ask(&mut self, id: PieceId) -> Option<PieceId> {
        let piece = self.pieces.get_mut(&id)?;
        piece.asked = self.cycle;
        Some(id)
    }

    /// Values came.
    pub(super) fn answered(&mut self, id: PieceId) {
        let Some(piece) = self.pieces.get_mut(&id) else { return };
        piece.state = State::Live;
        piece.answered = self.cycle;
        piece.ails = false;
        piece.due = self.cycle.saturating_add(u64::from(piece.read.every.get()));
        piece.parts = None;
        let table = piece.read.table;
        if self.tables.get_mut(&table).is_some_and(|state| state.answer(self.cycle)) {
            self.release(table);
        }
    }

    /// An answer without values that says nothing of the address: the device is busy, or fails.
    /// False: the parts that were joined on trial are asked again, each by itself.
    pub(super) fn failed(&mut self, id: PieceId) -> bool {
        if self.part(id, Duration::ZERO) {
            return false;
        }
        if let Some(piece) = self.pieces.get_mut(&id) {
            piece.ails = true;
        }
        true
    }

    /// An answer that says that the address does not exist.
    pub(super) fn refused(
        &mut self,
        id: PieceId,
        points: &[Point],
        exception: Exception,
        now: Duration,
    ) -> Outcome {
        if self.part(id, now.saturating_add(APART)) {
            return Outcome::Parted;
        }
        let Some(piece) = self.pieces.get_mut(&id) else { return Outcome::Held };
        let Some(table) = self.tables.get_mut(&piece.read.table) else { return Outcome::Held };
        table.refuse(exception);
        if matches!(piece.state, State::Live) {
            table.miss(self.cycle);
        }
        piece.ails = false;
        // A function that the device has never served is not served for any address.
        let whole = exception.is_of_function() && !table.has_answered();
        if !whole && let Some(halves) = piece.read.halves(points) {
            self.cut(id, halves, || State::Doubtful);
            return Outcome::Cut;
        }
        match &mut piece.state {
            State::Held(held) => {
                if held.refuse(table, now) {
                    Outcome::Proven
                } else {
                    Outcome::Held
                }
            }
            State::Live | State::Doubtful | State::Silent { .. } => {
                piece.state = State::Held(Held::new(self.cycle, now, self.seed ^ u64::from(id.number)));
                Outcome::Held
            }
        }
    }

    /// No answer, or none that fits: the connection was dropped.
    /// False: the parts that were joined on trial are asked again, each by itself.
    pub(super) fn broke(&mut self, id: PieceId, points: &[Point], now: Duration) -> bool {
        if self.part(id, now.saturating_add(APART)) {
            return false;
        }
        let Some(piece) = self.pieces.get_mut(&id) else { return true };
        piece.broke = self.cycle;
        piece.ails = true;
        match &mut piece.state {
            State::Silent { tries } => {
                *tries = tries.saturating_add(1);
                if *tries >= SILENT_TRIES
                    && let Some(halves) = piece.read.halves(points)
                {
                    self.cut(id, halves, || State::Silent { tries: SILENT_TRIES - 1 });
                }
            }
            State::Held(held) if held.is_proven() => held.miss(now),
            State::Held(_) | State::Live | State::Doubtful => {}
        }
        true
    }

    /// The cycle is over, and the device answered: what broke the connection did so by itself.
    pub(super) fn end_answered(&mut self) {
        for piece in self.pieces.values_mut().filter(|piece| piece.broke == self.cycle) {
            let is_open = match &piece.state {
                State::Live | State::Doubtful => true,
                // A lost packet is no refusal, and neither is it reason to break the connection in each cycle.
                State::Held(held) => !held.is_proven(),
                State::Silent { .. } => false,
            };
            if is_open {
                piece.state = State::Silent { tries: 1 };
            }
        }
    }

    /// The cycle is over, and nothing answered. The device is at fault, not one read of it; or it is the
    /// read that was asked first, so the next cycle begins with another.
    pub(super) fn end_dead(&mut self) {
        for piece in self.pieces.values_mut() {
            piece.due = 0;
            match &mut piece.state {
                State::Silent { .. } => piece.state = State::Live,
                State::Held(held) => held.hasten(),
                State::Live | State::Doubtful => {}
            }
        }
        for table in self.tables.values_mut() {
            table.miss(self.cycle);
        }
        self.turn = self.turn.wrapping_add(1);
    }

    /// Tables of which every read is refused, each told once until it answers: the last refusal, and the
    /// points of the table.
    pub(super) fn newly_refused(&mut self) -> Vec<(Table, Exception, usize)> {
        let tables: Vec<Table> = self.tables.keys().copied().collect();
        let news = |table: Table| {
            let dark = self.is_dark(table);
            let exception = self.tables.get_mut(&table)?.tell_refused(dark)?;
            Some((table, exception, self.of_table(table).map(|(_, piece)| piece.read.points.len()).sum()))
        };
        tables.into_iter().filter_map(news).collect()
    }

    /// Of what was due and not answered in this cycle: whether it was refused, or what it is part of was.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = (&Read, bool)> {
        let missing = |piece: &&Piece| piece.answered < self.cycle && piece.due <= self.cycle;
        let refused = |piece: &Piece| !piece.ails && matches!(piece.state, State::Doubtful | State::Held(_));
        self.pieces.values().filter(missing).map(move |piece| (&piece.read, refused(piece)))
    }

    pub(super) fn reads(&self) -> impl Iterator<Item = &Read> {
        self.pieces.values().map(|piece| &piece.read)
    }

    /// Back to what it was joined of, if it was. These are asked in this cycle as well.
    fn part(&mut self, id: PieceId, apart_until: Duration) -> bool {
        let Some((left, right)) =
            self.pieces.get_mut(&id).and_then(|piece| piece.parts.take()).map(|parts| *parts)
        else {
            return false;
        };
        self.pieces.remove(&id);
        let right = self.put(id.origin, right, State::Live);
        let left = self.put(id.origin, left, State::Live);
        if let Some(piece) = self.pieces.get_mut(&left) {
            piece.apart_until = apart_until;
        }
        self.queue.push_front(right);
        self.queue.push_front(left);
        true
    }

    fn cut(&mut self, id: PieceId, (left, right): (Read, Read), state: impl Fn() -> State) {
        self.pieces.remove(&id);
        self.put(id.origin, left, state());
        self.put(id.origin, right, state());
    }

    fn put(&mut self, origin: usize, read: Read, state: State) -> PieceId {
        self.made = self.made.wrapping_add(1);
        let id = PieceId { origin, address: read.address, number: self.made };
        let piece = Piece {
            read,
            state,
            asked: 0,
            answered: 0,
            broke: 0,
            ails: false,
            due: 0,
            apart_until: Duration::ZERO,
            parts: None,
        };
        self.pieces.insert(id, piece);
        id
    }

    /// Neighbours that were both answered when they were last due become one read, on trial.
    fn join_neighbours(&mut self, now: Duration) {
        let mut pairs = Vec::new();
        let mut before: Option<(PieceId, &Piece)> = None;
        for (id, piece) in &self.pieces {
            before = match before.take() {
                Some((left_id, left)) if left.joins(left_id, piece, *id, self.cycle, now) => {
                    pairs.push((left_id, *id));
                    None
                }
                Some(_) | None => Some((*id, piece)),
            };
        }
        for (left, right) in pairs {
            if let (Some(left_piece), Some(right_piece)) =
                (self.pieces.remove(&left), self.pieces.remove(&right))
            {
                let joined = left_piece.read.joined(&right_piece.read);
                let id = self.put(left.origin, joined, State::Live);
                if let Some(piece) = self.pieces.get_mut(&id) {
                    piece.apart_until = right_piece.apart_until;
                    piece.parts = Some(Box::new((left_piece.read, right_piece.read)));
                }
            }
        }
    }

    /// The table answers again: what was only suspected is asked for anew, in pieces as large as may be.
    fn release(&mut self, table: Table) {
        let mut runs: Vec<(PieceId, Read)> = Vec::new();
        let mut last: Option<PieceId> = None;
        let mut freed = Vec::new();
        for (id, piece) in self.of_table(table) {
            let free = match &piece.state {
                State::Held(held) => held.is_released_in(self.cycle),
                State::Live | State::Doubtful | State::Silent { .. } => false,
            };
            if free {
                match runs.last_mut() {
                    Some((first, run)) if last.is_some() && first.origin == id.origin => {
                        *run = run.joined(&piece.read)
                    }
                    Some(_) | None => runs.push((*id, piece.read.clone())),
                }
                freed.push(*id);
            }
            last = free.then_some(*id);
        }
        for id in freed {
            self.pieces.remove(&id);
        }
        for (id, run) in runs {
            self.put(id.origin, run, State::Doubtful);
        }
    }
}

impl Piece {
    fn joins(&self, id: PieceId, next: &Self, next_id: PieceId, cycle: u64, now: Duration) -> bool {
        let settled =
            |piece: &Self| matches!(piece.state, State::Live) && piece.answered > 0 && piece.due > cycle;
        id.origin == next_id.origin && settled(self) && settled(next) && now >= self.apart_until
    }
}

#[cfg(test)]
mod tests;
