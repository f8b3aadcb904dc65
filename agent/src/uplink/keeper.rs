//! Takes readings that wait too long from memory to the spool, and the rest at the end.
//!
//! It runs beside the connection, whether there is one or not, and reads no clock but the runtime's.

use std::time::Duration;

use riskgate_point::Wall;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::spool::{self, Handle, SpoolError};
use super::telemetry::{Chunk, Dropped, READINGS_MAX, TelemetryReceiver};
use super::wire::Origin;
use super::{gap, second};
use crate::causes::chain;
use crate::store::Store;

/// What waited at one look and still waits at the next goes to the spool: no reading waits longer than two.
const LOOK_TURNS: u64 = 30;

/// A flood is spooled before it fills the memory.
const FLOOD: usize = READINGS_MAX / 2;

/// More than a busy runtime or a clock that is kept right moves it within a second.
const STEP_MS: u64 = 5_000;

/// One that could not be opened is tried again so often.
const OPEN_TURNS: u64 = 5;

/// For the last readings, when the agent ends.
const LAST_WITHIN: Duration = Duration::from_millis(400);

/// What a connection has had in hand for so long goes to the spool too, under way or not: a broker that answers and
/// acknowledges nothing holds no more of it in memory than one that is away.
const HELD_MAX: Duration = Duration::from_secs(20);

/// For the disk: what is held longer than this as well is not in the spool.
const SPOOLED_WITHIN: Duration = Duration::from_secs(5);

const _: () = assert!(
    spool::OLDEST_IN_MEMORY.as_secs() > 2 * LOOK_TURNS + HELD_MAX.as_secs() + SPOOLED_WITHIN.as_secs()
);

/// Tells what the last run or a damaged file cost, as soon as the store takes it: until then the spool knows of it,
/// whatever happens.
pub(super) async fn tell_lost(
    spool: &Handle,
    store: &Store,
    origin: &Origin,
    now: impl Fn() -> Wall,
    stop: &CancellationToken,
) {
    let telling = async {
        let (mut tick, mut told) = (second(), 0);
        loop {
            tick.tick().await;
            let openings = spool.openings();
            if openings == told {
                continue;
            }
            match spool.with(|spool| spool.begin_telling_lost()).await {
                Ok(Some(lost)) => {
                    tracing::warn!(
                        from = lost.from.0,
                        to = lost.to.0,
                        "readings may be missing: a gap is told"
                    );
                    // A kill or a stop between the two tells it once more, under the same id: the outbox has it once.
                    let gap = gap::of_lost(lost, now(), origin);
                    match store.append(vec![gap], Vec::new()).await {
                        Ok(()) => {
                            if let Err(error) = spool.with(|spool| spool.told_lost()).await {
                                spool.failed("note what was told in", &error);
                            }
                        }
                        Err(error) => {
                            tracing::debug!(error = chain(&error), "the gap is not written yet");
                        }
                    }
                }
                Ok(None) => told = openings,
                Err(error) => spool.failed("read", &error),
            }
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = telling => {}
    }
}

/// Opens the spool, and has it checked as a whole: beside the connection, which waits for neither.
async fn open(spool: &Handle, telemetry: &TelemetryReceiver) {
    if spool.is_damaged() {
        telemetry.spool_is_new();
    }
    if let Err(error) = spool.open().await {
        spool.failed("open", &error);
    }
}

/// Works until `stop`.
pub(super) async fn run(
    spool: &Handle,
    telemetry: &TelemetryReceiver,
    now: impl Fn() -> Wall,
    stop: &CancellationToken,
) {
    let checking = async {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = check(spool) => {}
        }
    };
    tokio::join!(keep_all(spool, telemetry, now, stop), checking);
}

/// Once, as soon as it is open: what breaks later shows when it is read.
async fn check(spool: &Handle) {
    let mut tick = second();
    while !spool.is_open() {
        tick.tick().await;
    }
    if let Err(error) = spool.check().await {
        spool.failed("check", &error);
    }
}

async fn keep_all(
    spool: &Handle,
    telemetry: &TelemetryReceiver,
    now: impl Fn() -> Wall,
    stop: &CancellationToken,
) {
    let (mut tick, mut turns) = (second(), 0_u64);
    let (mut calendar, mut looks) = (Calendar::new(now()), Looks { came: 0, at: now() });
    // What is begun with readings in hand is ended: a stop waits for it.
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        if !spool.is_open() && turns.is_multiple_of(OPEN_TURNS) {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = open(spool, telemetry) => {}
            }
        }
        turns += 1;
        calendar.turn(now(), turns, spool.is_open());
        mark_step(spool, &mut calendar).await;
        take_out(spool, telemetry).await;
        keep_held(spool, telemetry).await;
        let (waiting, came) = telemetry.waiting();
        if waiting > FLOOD && spool.is_open() {
            keep(spool, telemetry, telemetry.take_until(came)).await;
        }
        if turns.is_multiple_of(LOOK_TURNS) {
            looks.look(spool, telemetry, Looks { came, at: now() }).await;
        }
    }
}

/// The look before: what waits and came after it is not late.
struct Looks {
    /// The number of the last reading that had come.
    came: u64,
    at: Wall,
}

impl Looks {
    /// What was there at the look before goes to the spool, and the mark says up to when all is told. Work on the disk
    /// may take minutes: `this` is of before it.
    async fn look(&mut self, spool: &Handle, telemetry: &TelemetryReceiver, this: Self) {
        let before = std::mem::replace(self, this);
        // In memory they are safer than on their way to a spool that is not there.
        if !spool.is_open() {
            return;
        }
        let late = telemetry.take_until(before.came);
        let is_kept = late.is_empty() || keep(spool, telemetry, late).await;
        let is_kept = note_dropped(spool, telemetry).await && is_kept;
        // What is lost and not told yet would be lost for good: then the mark stays, and a crash tells from there.
        let owes = telemetry.owes(HELD_MAX + SPOOLED_WITHIN);
        // What came since the look before is in memory alone: of one that came late the mark is of when it was due.
        let at = self.at.min(before.at.after(Duration::from_secs(LOOK_TURNS)));
        if is_kept
            && !owes
            && let Err(error) = spool.with(move |spool| spool.mark(at, false)).await
        {
            spool.failed("mark", &error);
        }
    }
}

/// Each opening has to be told: one that failed before, or another file.
async fn mark_step(spool: &Handle, calendar: &mut Calendar) {
    let step = calendar.step.map(|(low, high, _)| (low, high));
    let told = (spool.openings(), step);
    if !spool.is_open() || calendar.marked == told {
        return;
    }
    match spool.with(move |spool| spool.mark_step(step)).await {
        Ok(()) => calendar.marked = told,
        Err(error) => spool.failed("mark a step of the clock in", &error),
    }
}

/// What upstream will not take of what is spooled.
async fn take_out(spool: &Handle, telemetry: &TelemetryReceiver) {
    while let Some((place, which)) = telemetry.to_refuse() {
        match spool.with(move |spool| spool.refuse(place, which)).await {
            Ok(()) => telemetry.has_refused(place),
            Err(error) => return spool.failed("remove what was refused from", &error),
        }
    }
}

/// What the connection has in hand is spooled beside it; its acknowledgement takes it out of there again.
async fn keep_held(spool: &Handle, telemetry: &TelemetryReceiver) {
    for (ticket, chunk) in telemetry.take_held(HELD_MAX) {
        let held = telemetry.clone();
        // In one go: nobody reads it from there as one of the past meanwhile.
        let kept = spool.with(move |spool| {
            let place = spool.put_one(&chunk)?;
            if held.held_is_spooled(ticket, place) { Ok(()) } else { spool.remove(place) }
        });
        if let Err(error) = kept.await {
            spool.failed("write to", &error);
            telemetry.held_is_not_spooled(ticket);
        }
    }
}

/// Whether the calendar was set while the agent ran: for as long as readings of before may be in memory, what a
/// crash costs has stamps of both sides.
struct Calendar {
    last: (Instant, Wall),
    /// From where to where, and until which turn that matters.
    step: Option<(Wall, Wall, u64)>,
    /// Which opening of the spool knows of which.
    marked: (u64, Option<(Wall, Wall)>),
}

impl Calendar {
    fn new(wall: Wall) -> Self {
        Self { last: (Instant::now(), wall), step: None, marked: (0, None) }
    }

    /// While the spool is not open readings of before a step grow old in memory: it matters for as long.
    fn turn(&mut self, wall: Wall, turns: u64, is_open: bool) {
        let (at, before) = self.last;
        let expected = before.after(at.elapsed());
        self.last = (Instant::now(), wall);
        let until = turns + 2 * spool::OLDEST_IN_MEMORY.as_secs();
        if wall.0.abs_diff(expected.0) > STEP_MS {
            let (low, high) = self.step.map_or((before, before), |(low, high, _)| (low, high));
            self.step = Some((low.min(before).min(wall), high.max(before).max(wall), until));
        } else if is_open {
            self.step.take_if(|(_, _, until)| turns > *until);
        } else if let Some((_, _, matters)) = &mut self.step {
            *matters = until;
        }
    }
}

/// The last readings of this run, which nobody has acknowledged.
pub(super) async fn end(spool: &Handle, telemetry: &TelemetryReceiver, at: Wall) {
    let last = async {
        if !spool.is_open() {
            open(spool, telemetry).await;
        }
        let (waiting, came) = telemetry.waiting();
        // Where nothing takes them they are not taken from where they are.
        let is_kept = if spool.is_open() {
            let rest = telemetry.take_until(came);
            rest.is_empty() || keep(spool, telemetry, rest).await
        } else {
            tracing::warn!(waiting, "the spool is not open: the last readings are not spooled");
            false
        };
        telemetry.end_telling();
        let is_kept = note_dropped(spool, telemetry).await && is_kept;
        if is_kept && let Err(error) = spool.with(move |spool| spool.mark(at, true)).await {
            spool.failed("mark", &error);
        }
    };
    if timeout(LAST_WITHIN, last).await.is_err() {
        tracing::warn!("the last readings were not spooled in time; a gap is told at the next start");
    }
}

/// Counts on disk what was dropped from memory. False where that failed: it is counted in memory.
pub(super) async fn note_dropped(spool: &Handle, telemetry: &TelemetryReceiver) -> bool {
    let counted = telemetry.clone();
    // The work goes on where nobody waits for it any more, and so does what it has in hand.
    let noted = spool.with(move |spool| {
        let Some(dropped) = counted.take_dropped() else { return Ok(()) };
        let mut taken = Taken { telemetry: counted, dropped: Some(dropped) };
        spool.note_dropped(dropped)?;
        taken.dropped = None;
        Ok(())
    });
    let noted = noted.await;
    if let Err(error) = &noted {
        spool.failed("count what was dropped in", error);
    }
    noted.is_ok()
}

/// A count out of memory: unless it is written it goes back, however its writing ends.
struct Taken {
    telemetry: TelemetryReceiver,
    dropped: Option<Dropped>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(dropped) = self.dropped {
            self.telemetry.put_back_dropped(dropped);
        }
    }
}

/// False where they could not be: they wait in memory again, or are counted as lost.
async fn keep(spool: &Handle, telemetry: &TelemetryReceiver, chunks: Vec<Chunk>) -> bool {
    // Of the same readings: whatever comes of them there, they are still here.
    let written = chunks.clone();
    let kept = spool.with(move |spool| spool.put(&written)).await;
    if let Err(error) = &kept {
        spool.failed("write to", error);
    }
    match kept {
        Ok(()) => {}
        // Its thread broke over them, and would again.
        Err(SpoolError::Ended) => {
            let of = |chunk: &Chunk| Dropped::of(&chunk.readings);
            if let Some(all) = chunks.iter().fold(None, |all, chunk| Dropped::merged(all, of(chunk))) {
                telemetry.put_back_dropped(all);
            }
        }
        Err(
            SpoolError::Sql { .. }
            | SpoolError::File { .. }
            | SpoolError::Aside(_)
            | SpoolError::Encode(_)
            | SpoolError::Closed,
        ) => {
            telemetry.put_back(chunks);
            return false;
        }
    }
    for chunk in &chunks {
        telemetry.settled(chunk.ticket);
    }
    kept.is_ok()
}

#[cfg(test)]
mod tests {
    use riskgate_engine::Class;
    use riskgate_point::{Mono, Now, PointId, Sample, Value};
    use tempfile::TempDir;

    use super::super::spool::{Spool, Standing};
    use super::super::telemetry::{TelemetrySender, Told, channel};
    use super::*;

    const MORNING: Wall = Wall(1_748_736_000_000);

    /// One reading of one point, the n-th.
    fn offer(telemetry: &TelemetrySender, n: i32) {
        let told = Told { tag: "GD-1".into(), class: Class::Gas, deadband: 0.0 };
        let received = Now { mono: Mono(1), wall: Wall(MORNING.0 + i64::from(n)) };
        let value = Value::float(f64::from(n)).expect("finite");
        telemetry.offer([(&told, &Sample::good(PointId(0), value, received))]);
    }

    async fn opened(dir: &TempDir) -> Handle {
        let clock = || Now { mono: Mono(1), wall: MORNING };
        let spool = Handle::new(dir.path().to_owned(), clock);
        spool.open().await.expect("opens");
        spool
    }

    async fn spooled(spool: &Handle) -> Vec<i64> {
        let all = |spool: &mut Spool| {
            let (mut found, mut after) = (Vec::new(), 0);
            while let spool::Next::Chunk(chunk) = spool.next(after, |_| Standing::Free)? {
                after = chunk.spooled.expect("it has a place");
                found.extend(chunk.readings.iter().map(|reading| reading.time.0 - MORNING.0));
            }
            Ok(found)
        };
        spool.with(all).await.expect("read")
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_connection_holds_and_nobody_acknowledges_is_in_the_spool_in_time() {
        let dir = TempDir::new().expect("a directory");
        let (spool, (sender, telemetry)) = (opened(&dir).await, channel());
        (1..=3).for_each(|n| offer(&sender, n));
        let held = telemetry.take(1 << 16).expect("some wait");
        keep_held(&spool, &telemetry).await;
        assert_eq!(spooled(&spool).await, [0; 0], "not before its time");
        // The connection ends, and the next one takes them again: the time goes on.
        tokio::time::advance(HELD_MAX - Duration::from_secs(1)).await;
        telemetry.put_back(vec![held]);
        let held = telemetry.take(1 << 16).expect("they wait again");
        assert!(!telemetry.owes(HELD_MAX));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(telemetry.owes(HELD_MAX));
        keep_held(&spool, &telemetry).await;
        keep_held(&spool, &telemetry).await;
        assert_eq!(spooled(&spool).await, [1, 2, 3], "once");
        assert!(!telemetry.owes(HELD_MAX));
        // The connection has them in hand: they do not go beside that as readings of the past.
        let known = telemetry.clone();
        let next = spool.with(move |spool| spool.next(0, |place| known.standing(place))).await;
        assert_eq!(next.expect("read"), spool::Next::Nothing);
        // Lost, they are in the spool alone; acknowledged, they leave it.
        let place = telemetry.settled(held.ticket).expect("it has a place");
        spool.with(move |spool| spool.remove(place)).await.expect("removed");
        assert_eq!(spooled(&spool).await, [0; 0]);
        offer(&sender, 4);
        let held = telemetry.take(1 << 16).expect("one waits");
        tokio::time::advance(HELD_MAX).await;
        keep_held(&spool, &telemetry).await;
        let name = held.name();
        telemetry.put_back(vec![held]);
        assert_eq!((telemetry.waiting().0, spooled(&spool).await), (0, vec![4]));
        let known = telemetry.clone();
        let next = spool.with(move |spool| spool.next(0, |place| known.standing(place))).await;
        assert!(matches!(next.expect("read"), spool::Next::Chunk(again) if again.name() == name));
    }

    #[tokio::test]
    async fn a_count_that_cannot_be_written_is_in_memory_again_whoever_waits_for_it() {
        let dir = TempDir::new().expect("a directory");
        let (spool, (_, telemetry)) = (opened(&dir).await, channel());
        let disk = rusqlite::Connection::open(dir.path().join("spool.db")).expect("opens");
        disk.execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON dropped BEGIN SELECT RAISE(FAIL, 'disk full'); END",
        )
        .expect("made");
        let seven = Dropped::unknown(MORNING, MORNING, 7);
        telemetry.put_back_dropped(seven);
        assert!(!note_dropped(&spool, &telemetry).await);
        assert!(telemetry.owes(HELD_MAX));
        // The connection ends while the disk is at it.
        let (held, holds) = std::sync::mpsc::channel::<()>();
        let busy = spool.clone();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let holding = move |_: &mut Spool| {
                begun.send(()).expect("somebody waits");
                holds.recv().expect("let go");
                Ok(())
            };
            busy.with(holding).await
        });
        begins.await.expect("it holds the spool");
        {
            let mut noting = std::pin::pin!(note_dropped(&spool, &telemetry));
            assert!(futures_util::poll!(&mut noting).is_pending());
        }
        held.send(()).expect("held");
        tasks.join_next().await.expect("one").expect("no panic").expect("held");
        // Whether that work is done by now or not, none of it is lost.
        disk.execute_batch("DROP TRIGGER full").expect("gone");
        let told = async {
            loop {
                note_dropped(&spool, &telemetry).await;
                let told = spool.with(|spool| spool.begin_telling(MORNING)).await.expect("read");
                if let Some((dropped, _)) = told {
                    return dropped;
                }
            }
        };
        assert_eq!(timeout(SPOOLED_WITHIN, told).await.expect("told"), seven);
    }

    #[test]
    fn what_memory_tells_is_told_under_one_id_until_it_is_told() {
        let (_, telemetry) = channel();
        let (seven, one) = (Dropped::unknown(MORNING, MORNING, 7), Dropped::unknown(MORNING, MORNING, 1));
        telemetry.put_back_dropped(seven);
        assert_eq!(telemetry.begin_telling(MORNING), Some((seven, MORNING)));
        telemetry.put_back_dropped(one);
        assert_eq!(telemetry.begin_telling(Wall(MORNING.0 + 1)), Some((seven, MORNING)));
        telemetry.told_dropped();
        assert!(telemetry.owes(HELD_MAX));
        assert_eq!(telemetry.begin_telling(Wall(MORNING.0 + 1)), Some((one, Wall(MORNING.0 + 1))));
        telemetry.end_telling();
        assert_eq!(telemetry.take_dropped(), Some(one));
    }

    async fn set_breaking(spool: &Handle, breaks: bool) {
        let set = spool.with(move |spool| {
            spool.breaks = breaks;
            Ok(())
        });
        set.await.expect("the spool goes on after a panic");
    }

    #[tokio::test]
    async fn a_batch_over_which_the_spool_breaks_is_counted_and_told() {
        let dir = TempDir::new().expect("a directory");
        let (spool, (sender, telemetry)) = (opened(&dir).await, channel());
        (1..=3).for_each(|n| offer(&sender, n));
        set_breaking(&spool, true).await;
        let (_, came) = telemetry.waiting();
        assert!(!keep(&spool, &telemetry, telemetry.take_until(came)).await);
        let dropped = telemetry.take_dropped().expect("counted");
        assert_eq!((dropped.count, dropped.from, dropped.to), (3, Wall(MORNING.0 + 1), Wall(MORNING.0 + 3)));
        offer(&sender, 4);
        set_breaking(&spool, false).await;
        let (_, came) = telemetry.waiting();
        assert!(keep(&spool, &telemetry, telemetry.take_until(came)).await);
        assert_eq!(spooled(&spool).await, [4]);
    }

    fn nowhere(dir: &TempDir) -> Handle {
        Handle::new(dir.path().join("later"), || Now { mono: Mono(1), wall: MORNING })
    }

    #[tokio::test]
    async fn what_a_spool_that_is_not_open_does_not_take_stays_in_memory() {
        let dir = TempDir::new().expect("a directory");
        let (spool, (sender, telemetry)) = (nowhere(&dir), channel());
        (1..=3).for_each(|n| offer(&sender, n));
        let (_, came) = telemetry.waiting();
        assert!(!keep(&spool, &telemetry, telemetry.take_until(came)).await);
        assert_eq!((telemetry.waiting().0, telemetry.take_dropped()), (3, None));
        end(&spool, &telemetry, MORNING).await;
        assert_eq!((telemetry.waiting().0, telemetry.take_dropped()), (3, None), "nor at the end");
    }

    #[tokio::test]
    async fn damage_that_shows_when_readings_are_written_closes_the_file_and_the_readings_go_to_the_next() {
        let dir = TempDir::new().expect("a directory");
        let (spool, (sender, telemetry)) = (opened(&dir).await, channel());
        (1..=3).for_each(|n| offer(&sender, n));
        let disk = rusqlite::Connection::open(dir.path().join("spool.db")).expect("opens");
        disk.execute_batch("DROP TABLE chunk").expect("gone");
        let (_, came) = telemetry.waiting();
        assert!(!keep(&spool, &telemetry, telemetry.take_until(came)).await);
        assert!(spool.is_damaged());
        open(&spool, &telemetry).await;
        let (_, came) = telemetry.waiting();
        assert!(keep(&spool, &telemetry, telemetry.take_until(came)).await);
        assert_eq!(spooled(&spool).await, [1, 2, 3]);
    }

    /// The keeper at work, with a calendar that goes as the runtime's clock does.
    fn at_work(spool: &Handle, telemetry: &TelemetryReceiver) -> tokio::task::JoinSet<()> {
        let (spool, telemetry, begun) = (spool.clone(), telemetry.clone(), Instant::now());
        let now = move || MORNING.after(begun.elapsed());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { keep_all(&spool, &telemetry, now, &CancellationToken::new()).await });
        tasks
    }

    async fn until(condition: impl Fn() -> bool) {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_taken_out_of_memory_until_the_spool_opens() {
        let dir = TempDir::new().expect("a directory");
        let (spool, (sender, telemetry)) = (nowhere(&dir), channel());
        let _work = at_work(&spool, &telemetry);
        (1..=3).for_each(|n| offer(&sender, n));
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!((telemetry.waiting().0, telemetry.take_dropped()), (3, None));
        std::fs::create_dir(dir.path().join("later")).expect("made");
        until(|| telemetry.waiting().0 == 0).await;
        assert_eq!(spooled(&spool).await, [1, 2, 3]);
    }

    /// Of the file, in seconds since the morning.
    fn marked(disk: &rusqlite::Connection) -> i64 {
        let at: i64 = disk.query_row("SELECT at FROM mark", [], |row| row.get(0)).expect("marked");
        (at - MORNING.0) / 1_000
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_blocks_for_minutes_gives_no_mark_over_what_came_meanwhile() {
        let dir = TempDir::new().expect("a directory");
        let (spool, (sender, telemetry)) = (opened(&dir).await, channel());
        let disk = rusqlite::Connection::open(dir.path().join("spool.db")).expect("opens");
        disk.busy_timeout(SPOOLED_WITHIN).expect("set");
        let _work = at_work(&spool, &telemetry);
        offer(&sender, 1);
        until(|| marked(&disk) > 0).await;
        let first = marked(&disk);
        let (held, holds) = std::sync::mpsc::channel::<()>();
        let busy = spool.clone();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let holding = move |_: &mut Spool| {
                begun.send(()).expect("somebody waits");
                holds.recv().expect("let go");
                Ok(())
            };
            busy.with(holding).await
        });
        begins.await.expect("it holds the spool");
        // The next look takes it, and the disk does not.
        while telemetry.waiting().0 > 0 {
            tokio::time::advance(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
        }
        offer(&sender, 2);
        tokio::time::advance(Duration::from_secs(120)).await;
        held.send(()).expect("held");
        tasks.join_next().await.expect("one").expect("no panic").expect("held");
        until(|| marked(&disk) > first).await;
        let look = marked(&disk);
        assert!(look <= first + 31, "{first} s, then {look} s");
        // The one after that comes late: until then what came since waited in memory alone.
        until(|| marked(&disk) > look).await;
        let late = marked(&disk);
        assert!(late <= look + 31, "{look} s, then {late} s");
    }
}
