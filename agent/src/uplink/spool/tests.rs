use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;
use tokio::time::timeout;

use super::super::telemetry::{TelemetryReceiver, channel};
use super::super::tests::{MORNING, readings};
use super::handle::QUIET_AFTER;
use super::open::{FILE, Found, lost_around, move_away};
use super::*;
use riskgate_point::{Mono, Now};

fn chunk(n: usize) -> Chunk {
    let (readings, name) = (Arc::new(readings(n)), Name::new(format!("chunk-{n}")));
    Chunk { readings, from: MORNING, to: MORNING, name, ticket: None, spooled: None }
}

fn found(dir: &TempDir, now: Wall) -> (Spool, Found) {
    Spool::open(dir.path(), false, now, now).expect("opens")
}

fn opened(dir: &TempDir, now: Wall) -> Spool {
    found(dir, now).0
}

/// Of which time readings may be missing.
fn lost(spool: &Spool) -> Option<(Wall, Wall)> {
    spool.untold().expect("read").map(|lost| (lost.from, lost.to))
}

/// What is told, once.
fn tell(spool: &mut Spool) -> Option<Lost> {
    let told = spool.begin_telling_lost().expect("read");
    assert_eq!(spool.begin_telling_lost().expect("read"), told, "the same until it is told");
    spool.told_lost().expect("noted");
    told
}

fn free(_: i64) -> Standing {
    Standing::Free
}

fn clock() -> Now {
    Now { mono: Mono(1), wall: MORNING }
}

/// The spool behind a handle, open.
async fn handle(dir: &TempDir) -> Handle {
    let handle = Handle::new(dir.path().to_owned(), clock);
    handle.open().await.expect("opens");
    handle
}

fn next(spool: &mut Spool, after: i64) -> Chunk {
    match spool.next(after, free).expect("read") {
        Next::Chunk(chunk) => chunk,
        other @ (Next::Damaged | Next::Nothing) => panic!("{other:?}"),
    }
}

#[test]
fn readings_come_back_in_order_after_a_restart_until_they_are_removed() {
    let dir = TempDir::new().expect("a directory");
    let mut spool = opened(&dir, MORNING);
    spool.put(&[chunk(2), chunk(3)]).expect("kept");
    drop(spool);
    let mut spool = opened(&dir, MORNING);
    assert_eq!((spool.readings, next(&mut spool, 0).readings), (5, Arc::new(readings(2))));
    let second = next(&mut spool, 1);
    assert_eq!((second.readings.len(), second.spooled), (3, Some(2)));
    spool.remove(1).expect("removed");
    assert_eq!(next(&mut spool, 0), second);
    spool.remove(2).expect("removed");
    assert_eq!((spool.next(0, free).expect("read"), spool.readings, spool.bytes), (Next::Nothing, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cause_of_failure_is_news_once_until_it_was_quiet() {
    let dir = TempDir::new().expect("a directory");
    let spool = Handle::new(dir.path().to_owned(), clock);
    assert_eq!(["full", "full", "broken"].map(|why| spool.is_news(why)), [true, false, true]);
    tokio::time::advance(QUIET_AFTER / 2).await;
    assert!(!spool.is_news("full"), "it goes on");
    tokio::time::advance(QUIET_AFTER / 2).await;
    assert_eq!(["full", "broken"].map(|why| spool.is_news(why)), [false, true]);
}

#[test]
fn what_is_put_and_removed_leaves_no_byte_counted_whatever_its_script() {
    let dir = TempDir::new().expect("a directory");
    let mut spool = opened(&dir, MORNING);
    let mut kept = readings(3);
    kept.iter_mut().for_each(|reading| reading.tag = "一号罐区可燃气体".into());
    let kept = Chunk { readings: Arc::new(kept), ..chunk(0) };
    spool.put(&[kept]).expect("kept");
    let counted = spool.bytes;
    drop(spool);
    let mut spool = opened(&dir, MORNING);
    assert_eq!((spool.readings, spool.bytes), (3, counted), "counted as it was written");
    spool.remove(1).expect("removed");
    assert_eq!((spool.readings, spool.bytes), (0, 0));
}

#[test]
fn a_run_that_did_not_end_by_itself_is_known_and_a_clean_one_too() {
    let dir = TempDir::new().expect("a directory");
    let later = MORNING.after(Duration::from_secs(3_600));
    let spool = opened(&dir, MORNING);
    assert_eq!(lost(&spool), None, "the first run");
    spool.mark(later, false).expect("marked");
    drop(spool);
    let spool = opened(&dir, later);
    let (from, to) = lost(&spool).expect("told");
    assert_eq!((from.after(OLDEST_IN_MEMORY), to), (later, later));
    spool.mark(later, true).expect("marked");
    drop(spool);
    let mut spool = opened(&dir, later);
    assert_eq!(lost(&spool), Some((from, to)), "it was killed before it could tell");
    assert_eq!(tell(&mut spool), Some(Lost { from, to, damaged: false }));
    spool.mark(later, true).expect("marked");
    drop(spool);
    assert_eq!(lost(&opened(&dir, later)), None);
}

#[test]
fn what_a_gap_is_being_made_of_stays_the_same_over_a_kill_and_what_that_costs_is_told_by_another() {
    let dir = TempDir::new().expect("a directory");
    let hour = |n: u32| MORNING.after(n * Duration::from_secs(3_600));
    drop(opened(&dir, hour(0)));
    let mut spool = opened(&dir, hour(1));
    let first = spool.begin_telling_lost().expect("read").expect("it was killed");
    // Killed before it is known whether the gap is on disk.
    drop(spool);
    let mut spool = opened(&dir, hour(2));
    assert_eq!(tell(&mut spool), Some(first));
    let second = tell(&mut spool).expect("it was killed once more");
    assert_eq!((second.from.after(OLDEST_IN_MEMORY), second.to), (hour(1), hour(2)));
    assert_eq!(tell(&mut spool), None);
}

#[test]
fn what_a_crash_cost_is_told_by_its_stamps_wherever_the_clock_was_set_to() {
    let (day, hour, soon) = (86_400_000, 3_600_000, 90_000);
    let at = MORNING.0;
    assert_eq!(lost_around(at, None, Wall(at + hour)), (Wall(at - soon), Wall(at + hour)));
    // Set back a day while it was down, or to before 2020: the range is none that ends before it begins.
    assert_eq!(lost_around(at, None, Wall(at - day)), (Wall(at - soon), Wall(at + soon)));
    assert_eq!(lost_around(at, None, Wall(0)), (Wall(at - soon), Wall(at + soon)));
    // Set in the run: readings of both days were in memory.
    let step = Some((at - day, at));
    assert_eq!(lost_around(at, step, Wall(at + hour)), (Wall(at - day - soon), Wall(at + hour)));
    assert_eq!(lost_around(at - day, step, Wall(at - day)), (Wall(at - day - soon), Wall(at + soon)));

    let dir = TempDir::new().expect("a directory");
    let spool = opened(&dir, MORNING);
    spool.mark_step(Some((MORNING, Wall(at - day)))).expect("marked");
    drop(spool);
    let mut spool = opened(&dir, Wall(at - day));
    assert_eq!(lost(&spool), Some((Wall(at - day - soon), Wall(at + soon))));
    spool.mark_step(None).expect("marked");
    tell(&mut spool);
    drop(spool);
    assert_eq!(lost(&opened(&dir, Wall(at - day))), Some((Wall(at - day - soon), Wall(at - day))));
}

#[test]
fn the_oldest_go_first_when_it_is_full_and_are_counted() {
    let dir = TempDir::new().expect("a directory");
    let mut spool = opened(&dir, MORNING);
    spool.put(&[chunk(7), chunk(2)]).expect("kept");
    spool.readings += READINGS_MAX - 9;
    spool.put(&[chunk(1)]).expect("kept");
    assert_eq!(next(&mut spool, 0).readings.len(), 2);
    drop(spool);
    // Told when there is somebody to be told, however many runs later.
    let mut spool = opened(&dir, MORNING);
    let (dropped, at) = spool.begin_telling(MORNING).expect("read").expect("full");
    assert_eq!((dropped.count, dropped.classes.iter().sum::<u64>(), at), (7, 7, MORNING));
    spool.note_dropped(Dropped::unknown(MORNING, MORNING, 5)).expect("noted");
    drop(spool);
    let mut spool = opened(&dir, MORNING);
    let later = MORNING.after(Duration::from_secs(1));
    assert_eq!(spool.begin_telling(later).expect("read"), Some((dropped, at)), "under the same id");
    spool.told_dropped().expect("noted");
    let (rest, at) = spool.begin_telling(later).expect("read").expect("what came since");
    assert_eq!((rest.count, at), (5, later));
    spool.told_dropped().expect("noted");
    assert_eq!(spool.begin_telling(later).expect("read"), None);
}

#[test]
fn a_damaged_file_is_kept_aside_and_a_damaged_chunk_is_counted() {
    let dir = TempDir::new().expect("a directory");
    let mut spool = opened(&dir, MORNING);
    let hour = Duration::from_secs(3_600);
    spool.put(&[chunk(4)]).expect("kept");
    spool.connection.execute("UPDATE chunk SET body = '[{'", []).expect("damaged");
    assert_eq!(spool.next(0, free).expect("read"), Next::Damaged);
    let told = spool.begin_telling(MORNING).expect("read");
    assert_eq!(told.map(|(dropped, _)| dropped.count), Some(4));
    assert_eq!(spool.next(0, free).expect("read"), Next::Nothing);
    drop(spool);
    std::fs::write(dir.path().join("spool.db"), b"not a database, and long enough to be looked at")
        .expect("written");
    let (mut spool, found) = found(&dir, MORNING);
    assert!(found.kept_aside.is_some_and(|aside| aside.exists()));
    assert_eq!(spool.next(0, free).expect("read"), Next::Nothing);
    // Nothing in it can be read: readings of any time before may have been there.
    let told = Lost { from: UNKNOWN, to: MORNING, damaged: true };
    assert_eq!(spool.untold().expect("read"), Some(told));
    drop(spool);
    let mut spool = opened(&dir, MORNING.after(hour));
    assert_eq!(tell(&mut spool), Some(Lost { to: MORNING.after(hour), ..told }), "until it is told");
    assert_eq!(spool.untold().expect("read"), None);
}

#[test]
fn a_damaged_file_tells_what_can_still_be_read_of_it() {
    let dir = TempDir::new().expect("a directory");
    let mut spool = opened(&dir, MORNING);
    let hour = Duration::from_secs(3_600);
    spool.put(&[chunk(4)]).expect("kept");
    let seven = Dropped::unknown(MORNING, MORNING, 7);
    spool.note_dropped(seven).expect("noted");
    let told = spool.begin_telling(MORNING).expect("read");
    spool.mark(MORNING.after(hour), true).expect("marked");
    // Another shape, where nothing needs to be read of it.
    spool.connection.execute_batch("ALTER TABLE chunk RENAME COLUMN readings TO n").expect("changed");
    drop(spool);
    let (mut spool, found) = found(&dir, MORNING.after(2 * hour));
    assert!(found.kept_aside.is_some());
    assert_eq!(lost(&spool), Some((MORNING, MORNING.after(2 * hour))), "from the oldest that waited in it");
    assert_eq!(spool.begin_telling(MORNING.after(hour)).expect("read"), told, "under the same id");
    assert_eq!(spool.put_one(&chunk(1)).expect("kept"), 2, "no place is given out again");
}

#[test]
fn a_file_whose_tables_are_of_another_shape_is_damaged_too() {
    let dir = TempDir::new().expect("a directory");
    drop(opened(&dir, MORNING));
    let other = Connection::open(dir.path().join(FILE)).expect("opens");
    other.execute_batch("ALTER TABLE mark RENAME COLUMN at TO moment").expect("changed");
    drop(other);
    let (spool, found) = found(&dir, MORNING);
    assert!(found.kept_aside.is_some_and(|aside| aside.exists()));
    spool.mark(MORNING, true).expect("marked");
}

#[test]
fn a_file_of_before_the_names_is_used_as_it_is() {
    let dir = TempDir::new().expect("a directory");
    let mut spool = opened(&dir, MORNING);
    spool.put(&[chunk(2)]).expect("kept");
    spool.connection.execute_batch("ALTER TABLE chunk DROP COLUMN name").expect("changed");
    drop(spool);
    let (mut spool, found) = found(&dir, MORNING);
    assert!(found.kept_aside.is_none());
    let first = next(&mut spool, 0);
    assert_eq!((first.readings.len(), first.name()), (2, format!("{}-1", MORNING.0)));
    spool.put(&[chunk(3)]).expect("kept");
    assert_eq!(next(&mut spool, 1).name(), "chunk-3", "as it went before");
}

#[test]
fn a_kill_at_any_moment_of_keeping_a_damaged_file_aside_forgets_nothing_of_it() {
    let later = MORNING.after(Duration::from_secs(3_600));
    let told = |dir: &TempDir| {
        let mut spool = opened(dir, later);
        let told = tell(&mut spool).expect("told");
        assert_eq!(tell(&mut spool), None, "once");
        assert!(!dir.path().join("spool.lost").exists() && !dir.path().join("spool.lost.part").exists());
        (told.damaged, told.from)
    };
    let damaged = || {
        let dir = TempDir::new().expect("a directory");
        opened(&dir, MORNING).put(&[chunk(4)]).expect("kept");
        dir
    };
    let path = |dir: &TempDir, name: &str| dir.path().join(name);
    // All of it is renamed, the note too.
    let dir = damaged();
    move_away(&path(&dir, FILE), later).expect("renamed").expect("it was there");
    assert_eq!(told(&dir), (true, Wall(MORNING.0 - 90_000)));
    // The note is not renamed yet, and of the files only the first.
    let dir = damaged();
    move_away(&path(&dir, FILE), later).expect("renamed").expect("it was there");
    std::fs::rename(path(&dir, "spool.lost"), path(&dir, "spool.lost.part")).expect("renamed");
    std::fs::write(path(&dir, "spool.db-wal"), "what is left of it").expect("written");
    assert_eq!(told(&dir), (true, Wall(MORNING.0 - 90_000)));
    // Nothing is renamed yet: it is seen anew what the file is.
    let dir = damaged();
    std::fs::write(path(&dir, "spool.lost.part"), "[half of").expect("written");
    assert_eq!(told(&dir), (false, Wall(MORNING.0 - 90_000)));
    // A new file has begun and does not have the note.
    let dir = damaged();
    move_away(&path(&dir, FILE), later).expect("renamed").expect("it was there");
    let note = std::fs::read(path(&dir, "spool.lost")).expect("read");
    std::fs::remove_file(path(&dir, "spool.lost")).expect("removed");
    drop(opened(&dir, later));
    std::fs::write(path(&dir, "spool.lost"), note).expect("written");
    assert!(told(&dir).0);
}

#[tokio::test]
async fn a_file_that_is_found_damaged_while_it_is_used_is_kept_aside_and_told_and_a_new_one_goes_on() {
    let dir = TempDir::new().expect("a directory");
    let spool = handle(&dir).await;
    spool.with(|spool| spool.put(&[chunk(4)])).await.expect("kept");
    let disk = Connection::open(dir.path().join(FILE)).expect("opens");
    disk.execute_batch("DROP TABLE telling").expect("gone");
    spool.with(|spool| spool.told_lost()).await.expect_err("it is damaged");
    assert!(spool.is_damaged() && !spool.is_open());
    spool.open().await.expect("a new one");
    assert!(spool.is_open() && !spool.is_damaged() && spool.openings() == 2);
    let lost = spool.with(|spool| spool.begin_telling_lost()).await.expect("read").expect("told");
    assert_eq!((lost.from, lost.damaged), (Wall(MORNING.0 - 90_000), true));
    assert_eq!(spool.with(|spool| spool.put_one(&chunk(2))).await.expect("kept"), 2, "a place of its own");
    // What fails for another reason is tried again, in the same file.
    let disk = Connection::open(dir.path().join(FILE)).expect("opens");
    disk.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON chunk BEGIN SELECT RAISE(FAIL, 'disk full'); END",
    )
    .expect("made");
    spool.with(|spool| spool.put(&[chunk(1)])).await.expect_err("it is full");
    assert!(spool.is_open());
}

#[tokio::test]
async fn a_check_finds_what_nobody_has_read_and_does_not_stand_in_the_way() {
    let dir = TempDir::new().expect("a directory");
    let mut spool = opened(&dir, MORNING);
    (1..200).for_each(|n| spool.put(&[chunk(n)]).expect("kept"));
    spool.connection.pragma_query(None, "wal_checkpoint", |_| Ok(())).expect("written back");
    drop(spool);
    let spool = handle(&dir).await;
    spool.check().await.expect("checked");
    assert!(spool.is_open(), "it is whole");
    drop(spool);
    // A page in the middle.
    let path = dir.path().join(FILE);
    let mut bytes = std::fs::read(&path).expect("read");
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xA5);
    std::fs::write(&path, bytes).expect("written");
    let spool = handle(&dir).await;
    spool.check().await.expect("checked");
    assert!(spool.is_damaged());
    spool.open().await.expect("a new one");
    let lost = spool.with(|spool| spool.begin_telling_lost()).await.expect("read").expect("told");
    assert!(lost.damaged);
}

#[test]
fn a_reading_that_is_refused_leaves_its_chunk_with_its_count_and_the_others_stay() {
    let dir = TempDir::new().expect("a directory");
    let mut spool = opened(&dir, MORNING);
    spool.put(&[chunk(3), chunk(1)]).expect("kept");
    spool.refuse(1, 1).expect("taken out");
    spool.refuse(2, 0).expect("taken out");
    spool.refuse(2, 0).expect("gone already");
    let rest = next(&mut spool, 0);
    assert_eq!((rest.readings.len(), rest.spooled, rest.name().as_str()), (2, Some(1), "chunk-3-1"));
    assert_eq!(spool.next(1, free).expect("read"), Next::Nothing);
    let dropped = spool.begin_telling(MORNING).expect("read").expect("counted").0;
    assert_eq!((dropped.count, dropped.refused), (2, 2));
    spool.remove(1).expect("removed");
    assert_eq!((spool.readings, spool.bytes), (0, 0));
}

/// What a handle reads next while `telemetry` has some of it in hand.
async fn read(spool: &Handle, telemetry: &TelemetryReceiver) -> Next {
    let telemetry = telemetry.clone();
    let next = spool.with(move |spool| spool.next(0, |place| telemetry.standing(place)));
    timeout(Duration::from_secs(60), next).await.expect("in time").expect("read")
}

#[tokio::test]
async fn behind_what_is_to_be_taken_out_first_nothing_is_read() {
    let dir = TempDir::new().expect("a directory");
    let (spool, (_, telemetry)) = (handle(&dir).await, channel());
    spool.with(|spool| spool.put(&[chunk(3), chunk(2)])).await.expect("kept");
    let Next::Chunk(first) = read(&spool, &telemetry).await else { panic!("it waits") };
    // The broker will not take its third reading, which went alone.
    let third = first.pieces(1).remove(2);
    assert_eq!(third.name(), "chunk-3.2+1");
    telemetry.refused(&third);
    assert_eq!(read(&spool, &telemetry).await, Next::Nothing);
    let (place, which) = telemetry.to_refuse().expect("known");
    assert_eq!((place, which), (1, 2));
    spool.with(move |spool| spool.refuse(place, which)).await.expect("taken out");
    telemetry.has_refused(place);
    assert!(matches!(read(&spool, &telemetry).await, Next::Chunk(rest) if rest.readings.len() == 2));
}

#[test]
fn a_step_of_the_clock_in_a_run_before_widens_no_gap_of_this_one() {
    let dir = TempDir::new().expect("a directory");
    let hour = |n: u32| MORNING.after(n * Duration::from_secs(3_600));
    let spool = opened(&dir, hour(0));
    spool.mark_step(Some((Wall(0), hour(0)))).expect("marked");
    spool.mark(hour(1), true).expect("marked");
    drop(spool);
    drop(opened(&dir, hour(2)));
    // That one was killed.
    let spool = opened(&dir, hour(3));
    assert_eq!(lost(&spool), Some((Wall(hour(2).0 - 90_000), hour(3))));
}

#[tokio::test]
async fn the_mark_of_a_spool_that_opens_late_is_of_when_the_run_began_and_after_damage_of_the_closing() {
    static HOUR: AtomicU32 = AtomicU32::new(0);
    let hour = |n: u32| MORNING.after(n * Duration::from_secs(3_600));
    let clock = || {
        let since = HOUR.load(Ordering::SeqCst) * Duration::from_secs(3_600);
        Now { mono: Mono(1), wall: MORNING.after(since) }
    };
    let dir = TempDir::new().expect("a directory");
    let marked = || {
        let disk = Connection::open(dir.path().join(FILE)).expect("opens");
        Wall(disk.query_row("SELECT at FROM mark", [], |row| row.get(0)).expect("marked"))
    };
    let spool = Handle::new(dir.path().to_owned(), clock);
    HOUR.store(1, Ordering::SeqCst);
    spool.open().await.expect("opens");
    assert_eq!(marked(), hour(0));
    HOUR.store(2, Ordering::SeqCst);
    let disk = Connection::open(dir.path().join(FILE)).expect("opens");
    disk.execute_batch("DROP TABLE telling").expect("gone");
    spool.with(|spool| spool.told_lost()).await.expect_err("it is damaged");
    HOUR.store(3, Ordering::SeqCst);
    spool.open().await.expect("a new one");
    assert_eq!(marked(), hour(2));
}
