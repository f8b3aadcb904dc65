//! Tests: what can befall the files of a store, and what comes of it. Each outcome is told, opens without a person,
//! and takes nothing for empty.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use riskgate_engine::HazardStage;
use rusqlite::Connection;
use tempfile::TempDir;

use super::tests::{alarm, alone, asides, batch, commit, hazard, make_old, message, run, until};
use super::*;

const FILES: [&str; 3] = ["state.db", "state.db-wal", "state.mark"];

fn open(dir: &Path) -> (Store, Opened) {
    Store::open(dir, Wall(5_000)).expect("opens")
}

/// As `kill -9` leaves it: two commits in the WAL, behind a start that was stopped.
async fn killed() -> (TempDir, Epoch) {
    let (dir, copy) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    open(dir.path()).0.close().expect("closes");
    let (store, opened) = open(dir.path());
    for seq in 1..=2 {
        let effects = vec![hazard(&format!("c{seq}"), 1, HazardStage::Rectifying, 1)];
        commit(&store, batch(seq, effects, vec![message(Lane::Critical, "h", seq)])).await;
    }
    for name in FILES {
        fs::copy(dir.path().join(name), copy.path().join(name)).expect("copied");
    }
    (copy, opened.epoch)
}

fn wal(dir: &TempDir) -> PathBuf {
    dir.path().join("state.db-wal")
}

#[tokio::test]
async fn after_a_kill_everything_committed_is_there() {
    let (dir, epoch) = killed().await;
    let (_store, opened) = open(dir.path());
    assert_eq!((opened.new, opened.epoch, opened.restored.hazards.len()), (None, epoch, 2));
}

type Change<'a> = &'a dyn Fn(&Path);

#[tokio::test]
async fn a_wal_that_is_cut_or_gone_or_of_other_bytes_is_not_taken_for_an_older_store() {
    let cut = |path: &Path| {
        let file = OpenOptions::new().write(true).open(path).expect("opens");
        let bytes = file.metadata().expect("read").len();
        file.set_len(bytes - 4_096 - 24).expect("cut");
    };
    let gone = |path: &Path| fs::remove_file(path).expect("removed");
    let empty = |path: &Path| fs::write(path, "").expect("written");
    let noise = |path: &Path| {
        let mut bytes = fs::read(path).expect("read");
        let at = bytes.len() - 2_000;
        bytes[at] ^= 0xFF;
        fs::write(path, bytes).expect("written");
    };
    let changes: [(&str, Change<'_>); 4] =
        [("cut", &cut), ("gone", &gone), ("empty", &empty), ("noise", &noise)];
    for (name, change) in changes {
        let (dir, epoch) = killed().await;
        change(&wal(&dir));
        let (store, opened) = open(dir.path());
        assert_eq!(opened.new, Some("rolled_back"), "{name}");
        assert_ne!(opened.epoch, epoch, "{name}");
        assert!(opened.kept_aside.is_some(), "{name}");
        store.close().expect("closes");
        assert_eq!(open(dir.path()).1.new, None, "{name}: told once");
    }
}

#[tokio::test]
async fn what_was_never_committed_at_the_end_of_a_wal_costs_nothing() {
    let (dir, epoch) = killed().await;
    let mut file = OpenOptions::new().append(true).open(wal(&dir)).expect("opens");
    file.write_all(&[0x5A; 3_000]).expect("written");
    let (_store, opened) = open(dir.path());
    assert_eq!((opened.new, opened.epoch, opened.restored.hazards.len()), (None, epoch, 2));
}

#[tokio::test]
async fn a_file_that_is_gone_is_a_lost_store_and_no_first_start() {
    let dir = TempDir::new().expect("a directory");
    let (store, first) = open(dir.path());
    store.close().expect("closes");
    fs::remove_file(dir.path().join("state.db")).expect("removed");
    let (_store, opened) = open(dir.path());
    assert_eq!((opened.new, opened.epoch_reason.as_str()), (Some("lost_file"), "lost_file"));
    assert_ne!(opened.epoch, first.epoch);
    assert_eq!(opened.kept_aside, None, "nothing was left of it");
}

#[tokio::test]
async fn an_old_copy_that_was_put_back_is_no_store_to_go_on_with() {
    let dir = TempDir::new().expect("a directory");
    let (store, first) = open(dir.path());
    store.close().expect("closes");
    let old = fs::read(dir.path().join("state.db")).expect("read");
    let (store, _) = open(dir.path());
    commit(&store, batch(1, vec![alarm("A", 1)], Vec::new())).await;
    store.close().expect("closes");
    fs::write(dir.path().join("state.db"), old).expect("written");
    let (_store, opened) = open(dir.path());
    assert_eq!(opened.new, Some("rolled_back"));
    assert_ne!(opened.epoch, first.epoch);
}

#[tokio::test]
async fn a_mark_that_is_damaged_or_of_another_store_changes_nothing() {
    for mark in ["", "nonsense", "0c9b4b9e-0000-4000-8000-000000000000 00000000000000009999\n"] {
        let (dir, epoch) = killed().await;
        fs::write(dir.path().join("state.mark"), mark).expect("written");
        let (_store, opened) = open(dir.path());
        assert_eq!((opened.new, opened.epoch), (None, epoch), "{mark}");
    }
}

#[test]
fn of_stores_that_were_kept_aside_the_newest_three_stay() {
    let dir = TempDir::new().expect("a directory");
    for day in 1..=5 {
        fs::write(dir.path().join("state.db"), format!("damage of day {day}, which is long enough"))
            .expect("written");
        let (store, opened) = Store::open(dir.path(), Wall(day * 86_400_000)).expect("opens");
        assert_eq!(opened.new, Some("not_a_store"));
        store.close().expect("closes");
    }
    let days: Vec<String> =
        asides(dir.path()).iter().map(|name| name.chars().skip(17).take(8).collect()).collect();
    assert_eq!(days, ["19700104", "19700105", "19700106"]);
}

#[test]
fn what_was_kept_aside_just_now_stays_also_where_the_clock_is_in_1970() {
    let dir = TempDir::new().expect("a directory");
    let days = [20_000, 20_001, 20_002, 1, 0];
    for day in days {
        let damage = format!("damage of day {day}, which is long enough");
        fs::write(dir.path().join("state.db"), &damage).expect("written");
        let (store, opened) = Store::open(dir.path(), Wall(day * 86_400_000)).expect("opens");
        store.close().expect("closes");
        assert_eq!(fs::read_to_string(opened.kept_aside.expect("kept")).expect("it is there"), damage);
    }
    assert_eq!(asides(dir.path()).len(), 3);
}

/// Where this is set, as `tests/run` does for root, a test that cannot mount its disk fails.
const MUST_MOUNT: &str = "RISKGATE_TESTS_MUST_MOUNT";

/// A small file system of its own. Only root can have one: elsewhere the test says so and ends.
struct Disk(TempDir);

impl Disk {
    fn of(size: &str) -> Option<Self> {
        let dir = TempDir::new().expect("a directory");
        let mut mount = Command::new("mount");
        let mounted =
            run(mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(dir.path()));
        if !mounted.is_ok_and(|mounted| mounted.status.success()) {
            assert!(std::env::var_os(MUST_MOUNT).is_none(), "no file system can be mounted here");
            eprintln!("skipped: no file system can be mounted here");
            return None;
        }
        Some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all room that there is. A process that is just being started holds files that are gone already, and would
    /// give their room back later.
    fn fill(&self) {
        let _alone = alone();
        let mut file =
            OpenOptions::new().append(true).create(true).open(self.path().join("filler")).expect("opens");
        while file.write_all(&[1; 4_096]).is_ok() {}
    }

    /// Takes every file that can still be made, however small; alone as above.
    fn use_up_files(&self) {
        let _alone = alone();
        let made = (0..).take_while(|n| fs::File::create_new(self.path().join(format!("file-{n}"))).is_ok());
        assert!(made.count() > 0, "none could be made");
    }

    fn free_files(&self) {
        let mut n = 0;
        while fs::remove_file(self.path().join(format!("file-{n}"))).is_ok() {
            n += 1;
        }
    }

    fn remount(&self, how: &str) {
        let done = run(Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.path()));
        assert!(done.expect("runs").status.success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(run(Command::new("umount").arg("-l").arg(self.path())));
    }
}

#[tokio::test]
async fn a_disk_that_is_full_at_the_start_gets_the_room_that_was_kept_for_it() {
    let Some(disk) = Disk::of("8m") else { return };
    let (store, first) = open(disk.path());
    commit(&store, batch(1, vec![alarm("A", 1)], Vec::new())).await;
    store.close().expect("closes");
    disk.fill();
    let (store, opened) = open(disk.path());
    assert_eq!((opened.epoch, opened.new, opened.restored.alarms.len()), (first.epoch, None, 1));
    commit(&store, batch(1, vec![alarm("A", 2)], vec![message(Lane::Critical, "A", 2)])).await;
    store.close().expect("closes");
    // The room is used up: what there is is read, nothing is taken for damage, and what is decided waits for room.
    disk.fill();
    let (store, opened) = open(disk.path());
    assert_eq!((opened.epoch, opened.new, opened.restored.alarms[0].revision), (first.epoch, None, 2));
    let failed = store.committed().borrow().failed.clone().expect("nothing is durable, from the start on");
    assert!(failed.contains("the disk is full: no room for"), "{failed}");
    let pending = store.lease(Lane::Critical, 0, 10).await.expect("what was committed can be sent");
    assert_eq!(pending.len(), 1);
    let mut tries = store.committed();
    tries.mark_unchanged();
    store.try_commit(batch(1, vec![alarm("A", 3)], vec![message(Lane::Critical, "A", 3)])).expect("it waits");
    let tried = tokio::time::timeout(std::time::Duration::from_secs(20), tries.changed()).await;
    tried.expect("in time").expect("open");
    assert!(tries.borrow().failed.is_some() && tries.borrow().seq == 0, "the batch was tried in vain");
    let refused = store.append(Vec::new(), Vec::new()).await.expect_err("the disk is full");
    assert!(open::is_full(&refused), "{refused}");
    assert_eq!(asides(disk.path()), Vec::<String>::new());
    fs::remove_file(disk.path().join("filler")).expect("removed");
    until(&store, |committed| committed.seq == 1 && committed.failed.is_none()).await;
    store.close().expect("closes");
    let (store, opened) = open(disk.path());
    assert_eq!((opened.epoch, opened.restored.alarms[0].revision), (first.epoch, 3));
    assert!(!opened.unclean && disk.path().join("state.ballast").exists());
    assert_eq!(store.outbox().await.expect("read").lanes[0].last, 2);
}

#[tokio::test]
async fn a_killed_store_on_a_full_disk_is_read_whole_and_begun_when_there_is_room() {
    let Some(disk) = Disk::of("8m") else { return };
    let (killed, epoch) = killed().await;
    for name in FILES {
        fs::copy(killed.path().join(name), disk.path().join(name)).expect("copied");
    }
    disk.fill();
    let (store, opened) = open(disk.path());
    assert_eq!((opened.epoch, opened.restored.hazards.len(), opened.unclean), (epoch, 2, true));
    // The next start finds the same.
    store.close().expect("nothing waits");
    let (store, opened) = open(disk.path());
    assert_eq!((opened.epoch, opened.restored.hazards.len()), (epoch, 2));
    store.try_commit(batch(1, vec![alarm("A", 1)], Vec::new())).expect("it waits");
    fs::remove_file(disk.path().join("filler")).expect("removed");
    until(&store, |committed| committed.seq == 1).await;
    store.close().expect("closes");
    let (_store, opened) = open(disk.path());
    assert_eq!((opened.epoch, opened.restored.hazards.len(), opened.restored.alarms.len()), (epoch, 2, 1));
}

#[tokio::test]
async fn a_disk_on_which_no_more_files_can_be_made_is_a_full_one() {
    let Some(disk) = Disk::of("8m,nr_inodes=32") else { return };
    let (store, first) = open(disk.path());
    commit(&store, batch(1, vec![alarm("A", 1)], Vec::new())).await;
    store.close().expect("closes");
    disk.use_up_files();
    let (store, opened) = open(disk.path());
    assert_eq!((opened.epoch, opened.new, opened.restored.alarms.len()), (first.epoch, None, 1));
    let failed = store.committed().borrow().failed.clone().expect("nothing is durable, from the start on");
    assert!(failed.contains("the disk is full: no room for"), "{failed}");
    store.try_commit(batch(1, vec![alarm("A", 2)], Vec::new())).expect("it waits");
    disk.free_files();
    until(&store, |committed| committed.seq == 1 && committed.failed.is_none()).await;
    store.close().expect("closes");
    assert_eq!(open(disk.path()).1.restored.alarms[0].revision, 2);
}

#[tokio::test]
async fn a_first_start_where_no_more_files_can_be_made_says_that_the_disk_is_full_and_goes_on_in_memory() {
    let Some(disk) = Disk::of("8m,nr_inodes=32") else { return };
    disk.use_up_files();
    let (store, first) = open(disk.path());
    let said = store.committed().borrow().failed.clone().expect("told");
    assert!(said.contains("the disk is full") && said.contains("state.lock"), "{said}");
    disk.free_files();
    store.try_commit(batch(1, vec![alarm("A", 1)], Vec::new())).expect("it waits");
    until(&store, |committed| committed.seq == 1 && committed.failed.is_none()).await;
    store.close().expect("closes");
    assert_eq!(open(disk.path()).1.epoch, first.epoch);
}

#[tokio::test]
async fn a_first_start_where_nothing_can_be_made_goes_on_in_memory_and_is_begun_when_it_can() {
    let dir = TempDir::new().expect("a directory");
    let (way, store_dir) = (dir.path().join("way"), dir.path().join("way/state"));
    // A file stands where the folder should be: as with a disk that may not be written, nothing can be made below it.
    fs::write(&way, "in the way").expect("written");
    let (store, first) = open(&store_dir);
    assert_eq!(first.new, Some("created"));
    let failed = store.committed().borrow().failed.clone().expect("told");
    assert!(failed.contains("way/state"), "{failed}");
    store.try_commit(batch(1, vec![alarm("A", 1)], vec![message(Lane::Critical, "A", 1)])).expect("it waits");
    fs::remove_file(&way).expect("removed");
    until(&store, |committed| committed.seq == 1 && committed.failed.is_none()).await;
    let refused = crate::causes::chain(&Store::open(&store_dir, Wall(1)).expect_err("refused"));
    assert!(refused.contains("another riskgate"), "it is held: {refused}");
    store.close().expect("closes");
    let (_store, opened) = open(&store_dir);
    assert_eq!((opened.epoch, opened.new, opened.restored.alarms.len()), (first.epoch, None, 1));
}

#[tokio::test]
async fn a_first_start_on_a_disk_that_may_only_be_read_goes_on_in_memory() {
    let Some(disk) = Disk::of("8m") else { return };
    disk.remount("ro");
    let (store, first) = open(disk.path());
    assert_eq!(first.new, Some("created"));
    let failed = store.committed().borrow().failed.clone().expect("told");
    assert!(failed.contains("Read-only"), "{failed}");
    disk.remount("rw");
    store.try_commit(batch(1, vec![alarm("A", 1)], Vec::new())).expect("it waits");
    until(&store, |committed| committed.seq == 1 && committed.failed.is_none()).await;
    store.close().expect("closes");
    assert_eq!(open(disk.path()).1.epoch, first.epoch);
}

#[tokio::test]
async fn a_store_of_an_older_version_on_a_full_disk_can_be_sent_from_and_is_brought_to_the_newest_later() {
    for version in 1..schema::MIGRATIONS.len() {
        let Some(disk) = Disk::of("8m") else { return };
        make_old(disk.path(), version);
        let mark = "0c9b4b9e-0000-4000-8000-000000000000 00000000000000000000\n";
        fs::write(disk.path().join("state.mark"), mark).expect("written");
        disk.fill();
        let (store, opened) = open(disk.path());
        assert_eq!((opened.new, opened.restored.units[0].revision), (None, 4), "version {version}");
        for _ in 0..2 {
            let rows = store.lease(Lane::Critical, 0, 10).await.expect("leased");
            assert_eq!(rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), [7], "version {version}");
            assert_eq!(store.range(Lane::Critical, 1, 9, 9).await.expect("read").len(), 2);
            assert_eq!(store.outbox().await.expect("read").lanes[0].pending, 1);
            assert_eq!(store.units().await.expect("read").len(), 1);
            assert_eq!(store.indicator().await.expect("read"), None);
            // A try that fails reads on as before.
            store.append(Vec::new(), Vec::new()).await.expect_err("the disk is full");
        }
        let marked = fs::read_to_string(disk.path().join("state.mark")).expect("read");
        assert_eq!(marked, mark, "nothing was committed yet");
        fs::remove_file(disk.path().join("filler")).expect("removed");
        commit(&store, batch(1, Vec::new(), vec![message(Lane::Critical, "h", 1)])).await;
        assert_eq!(store.committed().borrow().last.critical, 8, "numbers go on");
        store.close().expect("closes");
        journal::prove(disk.path(), None, &mut |_| {}).expect("read").expect("whole");
    }
}

#[tokio::test]
async fn a_store_that_is_lost_while_it_waits_for_room_ends_the_run_and_the_next_start_tells_it() {
    let gone = |dir: &Path| fs::remove_file(dir.join("state.db-wal")).expect("removed");
    let all_gone = |dir: &Path| {
        for name in ["state.db", "state.db-wal"] {
            fs::remove_file(dir.join(name)).expect("removed");
        }
    };
    let torn = |dir: &Path| fs::write(dir.join("state.db"), "what a card gives back").expect("written");
    let other = |dir: &Path| {
        fs::remove_file(dir.join("state.db-wal")).expect("removed");
        let (another, source) = (TempDir::new().expect("a directory"), "state.db");
        open(another.path()).0.close().expect("closes");
        fs::copy(another.path().join(source), dir.join(source)).expect("copied");
    };
    let changes: [(&str, Change<'_>, Option<&str>); 4] = [
        ("rolled_back", &gone, Some("rolled_back")),
        ("lost_file", &all_gone, Some("lost_file")),
        ("not_a_store", &torn, Some("not_a_store")),
        ("another_epoch", &other, None),
    ];
    for (found, change, told) in changes {
        let Some(disk) = Disk::of("8m") else { return };
        let (killed, epoch) = killed().await;
        for name in FILES {
            fs::copy(killed.path().join(name), disk.path().join(name)).expect("copied");
        }
        disk.fill();
        let (store, opened) = open(disk.path());
        assert_eq!((opened.epoch, opened.new), (epoch, None), "{found}");
        let mut committed = store.committed();
        fs::remove_file(disk.path().join("filler")).expect("removed");
        change(disk.path());
        store.try_commit(batch(1, vec![alarm("A", 1)], Vec::new())).expect("it waits");
        let ended = async { while committed.changed().await.is_ok() {} };
        tokio::time::timeout(std::time::Duration::from_secs(20), ended).await.expect("the writer ends");
        assert_eq!(
            (asides(disk.path()), committed.borrow().seq),
            (Vec::new(), 0),
            "{found}: nothing is touched"
        );
        let why = committed.borrow().failed.clone().expect("told");
        assert!(why.contains(found), "{found}: {why}");
        store.close().expect_err("a batch was not written");
        let (_store, opened) = open(disk.path());
        assert_eq!(opened.new, told, "{found}");
        assert_ne!(opened.epoch, epoch, "{found}");
    }
}

#[tokio::test]
async fn a_first_start_on_a_full_disk_goes_on_under_its_epoch_when_there_is_room() {
    let Some(disk) = Disk::of("4m") else { return };
    disk.fill();
    let (store, first) = open(disk.path());
    assert_eq!((first.new, first.epoch_reason.as_str()), (Some("created"), "created"));
    assert!(store.committed().borrow().failed.is_some());
    store.try_commit(batch(1, vec![alarm("A", 1)], vec![message(Lane::Critical, "A", 1)])).expect("it waits");
    fs::remove_file(disk.path().join("filler")).expect("removed");
    until(&store, |committed| committed.seq == 1).await;
    store.close().expect("closes");
    let (_store, opened) = open(disk.path());
    assert_eq!((opened.epoch, opened.new, opened.restored.alarms.len()), (first.epoch, None, 1));
    assert_eq!(opened.epoch_reason, "created", "each birth tells the same");
}

#[tokio::test]
async fn a_damaged_store_on_a_full_disk_is_told_as_that_before_and_after_there_is_room() {
    for mark in [None, Some("0c9b4b9e-0000-4000-8000-000000000000 00000000000000000009\n")] {
        let Some(disk) = Disk::of("4m") else { return };
        fs::write(disk.path().join("state.db"), "not a database, but somebody's notes").expect("written");
        if let Some(mark) = mark {
            fs::write(disk.path().join("state.mark"), mark).expect("written");
        }
        disk.fill();
        let (store, first) = open(disk.path());
        assert_eq!((first.new, first.epoch_reason.as_str()), (Some("not_a_store"), "not_a_store"));
        assert!(first.kept_aside.is_some_and(|kept| kept.exists()), "told");
        assert!(store.committed().borrow().failed.is_some());
        store.try_commit(batch(1, vec![alarm("A", 1)], Vec::new())).expect("it waits");
        fs::remove_file(disk.path().join("filler")).expect("removed");
        until(&store, |committed| committed.seq == 1).await;
        store.close().expect("closes");
        let (_store, opened) = open(disk.path());
        assert_eq!((opened.epoch, opened.new), (first.epoch, None));
        assert_eq!(opened.epoch_reason, "not_a_store", "each birth tells the same");
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_used_on_a_disk_that_may_only_be_read_is_kept_aside_when_it_may_be_written() {
    let gone = |dir: &Path| fs::remove_file(dir.join("state.db-wal")).expect("removed");
    let torn = |dir: &Path| {
        gone(dir);
        fs::write(dir.join("state.db"), "not a database, but what a card gives back").expect("written");
    };
    let changes: [(&str, Change<'_>); 2] = [("not_a_store", &torn), ("rolled_back", &gone)];
    for (found, change) in changes {
        let Some(disk) = Disk::of("8m") else { return };
        let (killed, epoch) = killed().await;
        for name in FILES {
            fs::copy(killed.path().join(name), disk.path().join(name)).expect("copied");
        }
        change(disk.path());
        disk.remount("ro");
        let (store, first) = open(disk.path());
        assert_eq!(first.new, Some(found));
        assert_ne!(first.epoch, epoch, "{found}");
        store.try_commit(batch(1, vec![alarm("A", 1)], Vec::new())).expect("it waits");
        until(&store, |committed| committed.failed.is_some()).await;
        assert_eq!(asides(disk.path()), Vec::<String>::new(), "{found}");
        disk.remount("rw");
        until(&store, |committed| committed.seq == 1).await;
        assert!(!asides(disk.path()).is_empty(), "{found}");
        store.close().expect("closes");
        let (_store, opened) = open(disk.path());
        assert_eq!((opened.epoch, opened.new, opened.restored.alarms.len()), (first.epoch, None, 1));
        assert_eq!(opened.epoch_reason, found, "each birth tells the same");
    }
}

#[tokio::test]
async fn a_store_that_is_begun_by_a_request_fails_no_longer() {
    let Some(disk) = Disk::of("4m") else { return };
    disk.fill();
    let (store, _) = open(disk.path());
    store.append(Vec::new(), Vec::new()).await.expect_err("the disk is full");
    fs::remove_file(disk.path().join("filler")).expect("removed");
    store.append(vec![message(Lane::Critical, "A", 1)], Vec::new()).await.expect("there is room");
    let committed = until(&store, |committed| committed.failed.is_none()).await;
    assert_eq!((committed.last.critical, committed.journal.n), (1, 1));
}

#[tokio::test]
async fn a_disk_that_fills_up_while_it_runs_fails_commits_until_there_is_room_and_loses_none() {
    let Some(disk) = Disk::of("8m") else { return };
    let (store, _) = open(disk.path());
    disk.fill();
    let mut seq = 0;
    // The room that was kept holds for a while.
    while store.committed().borrow().failed.is_none() {
        seq += 1;
        let messages = (0..50).map(|n| message(Lane::Critical, &"long".repeat(200), n)).collect();
        store.try_commit(batch(seq, vec![alarm("A", seq)], messages)).expect("room in the queue");
        until(&store, |committed| committed.seq >= seq || committed.failed.is_some()).await;
        assert!(seq < 1_000, "the disk never is full");
    }
    assert!(seq > 2, "{seq}");
    assert!(!disk.path().join("state.ballast").exists());
    fs::remove_file(disk.path().join("filler")).expect("removed");
    until(&store, |committed| committed.seq == seq && committed.failed.is_none()).await;
    store.close().expect("closes");
    let (_store, opened) = open(disk.path());
    assert_eq!(opened.restored.alarms[0].revision, seq);
    assert!(disk.path().join("state.ballast").exists(), "kept again");
}

#[tokio::test]
async fn a_store_on_a_disk_that_may_only_be_read_is_read_and_goes_on_when_it_can_be_written() {
    // Closed, and killed with commits in its WAL.
    for is_killed in [false, true] {
        let Some(disk) = Disk::of("8m") else { return };
        let (killed, epoch) = killed().await;
        for name in FILES {
            fs::copy(killed.path().join(name), disk.path().join(name)).expect("copied");
        }
        if is_killed {
            let reader = Connection::open(killed.path().join("state.db")).expect("opens");
            reader.query_row("SELECT count(*) FROM alarm", [], |_| Ok(())).expect("read");
            fs::copy(killed.path().join("state.db-shm"), disk.path().join("state.db-shm")).expect("copied");
        } else {
            open(disk.path()).0.close().expect("closes");
        }
        disk.remount("ro");
        let before = fs::read(disk.path().join("state.db")).expect("read");
        let (store, first) = open(disk.path());
        assert_eq!((first.epoch, first.new), (epoch, None), "killed: {is_killed}");
        assert_eq!(first.restored.hazards.len(), 2, "what is open is known");
        let failed = store.committed().borrow().failed.clone().expect("told");
        assert!(failed.contains("Read-only") && failed.contains("mounted"), "{failed}");
        store.lease(Lane::Critical, 0, 10).await.expect("what waits can be sent");
        store.try_commit(batch(1, vec![alarm("late", 1)], Vec::new())).expect("it waits");
        until(&store, |committed| committed.failed.is_some()).await;
        assert_eq!(fs::read(disk.path().join("state.db")).expect("read"), before);
        let proof = journal::prove(disk.path(), None, &mut |_| {});
        assert!(is_killed || proof.expect("can be read").is_ok(), "an inspector needs no right to write");
        disk.remount("rw");
        until(&store, |committed| committed.seq == 1 && committed.failed.is_none()).await;
        store.close().expect("closes");
        let (_store, opened) = open(disk.path());
        let restored = (opened.restored.hazards.len(), opened.restored.alarms.len());
        assert_eq!((opened.epoch, opened.new, restored), (epoch, None, (2, 1)));
    }
}

#[test]
fn a_store_that_is_there_and_cannot_be_read_is_refused_and_not_taken_for_none() {
    let dir = TempDir::new().expect("a directory");
    open(dir.path()).0.close().expect("closes");
    fs::remove_file(dir.path().join("state.lock")).expect("removed");
    // Nobody can hold it.
    fs::create_dir(dir.path().join("state.lock")).expect("made");
    let said = crate::causes::chain(&Store::open(dir.path(), Wall(1)).expect_err("refused"));
    assert!(said.contains("state.lock") && !said.contains("told all the same"), "{said}");
}

#[test]
fn a_file_of_a_newer_version_with_a_mark_ahead_is_still_the_newer_version() {
    let dir = TempDir::new().expect("a directory");
    open(dir.path()).0.close().expect("closes");
    let connection = Connection::open(dir.path().join("state.db")).expect("opens");
    connection.pragma_update(None, "user_version", 99).expect("set");
    drop(connection);
    assert_eq!(open(dir.path()).1.new, Some("newer_version"));
}
