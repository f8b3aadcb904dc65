use std::fs;
use std::process::Command;

use rusqlite::{Connection, params};
use serde_json::json;
use tempfile::TempDir;

use super::super::tests::{alarm, batch, commit, hazard, run};
use super::super::{Batch, JournalEntry, Lane, Store};
use super::*;
use riskgate_engine::HazardStage;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// 2026-11-01T00:00:00Z.
const NOVEMBER: i64 = 1_793_491_200_000;

fn act(at: i64, by: &str) -> JournalEntry {
    let body = json!({ "deed": { "deed": "acknowledge", "alarm": "GD-101/HH" }, "uid": 0, "unit": "U-1" });
    JournalEntry { at: Wall(at), by: by.to_owned(), what: "act".to_owned(), body }
}

/// Commits, and waits until the writer has done what it does while nothing more waits: it answers behind that.
async fn commit_and_rest(store: &Store, batch: Batch) {
    commit(store, batch).await;
    store.lease(Lane::Gap, 0, 1).await.expect("answered");
}

/// Acts of three months: September's and October's are sealed, November's are in `state.db`.
async fn three_months() -> TempDir {
    let dir = TempDir::new().expect("a directory");
    let began = NOVEMBER - 60 * DAY_MS;
    let (store, _) = Store::open(dir.path(), Wall(began)).expect("opens");
    for day in 0..80_i64 {
        let at = Wall(began + day * DAY_MS);
        let by = if day % 2 == 0 { "王敏" } else { "李雷" };
        let seq = u64::try_from(day).expect("positive") + 1;
        let acts = vec![act(at.0, by)];
        commit_and_rest(
            &store,
            Batch { seq, effects: Vec::new(), messages: Vec::new(), acts, commands: Vec::new(), at },
        )
        .await;
    }
    store.close().expect("closes");
    dir
}

fn verdict(dir: &TempDir) -> Result<Proof, Broken> {
    prove(dir.path(), None, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"))
}

/// Changes `state.db` as somebody with a file editor would.
fn tamper(dir: &TempDir, change: impl FnOnce(&Connection)) {
    let connection = Connection::open(dir.path().join("state.db")).expect("opens");
    for trigger in ["journal_no_update", "journal_no_delete", "segment_no_update", "segment_no_delete"] {
        connection.execute_batch(&format!("DROP TRIGGER {trigger}")).expect("dropped");
    }
    change(&connection);
}

fn archives(dir: &TempDir) -> Vec<std::path::PathBuf> {
    let mut archives: Vec<_> = fs::read_dir(dir.path().join("journal"))
        .expect("listed")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    archives.sort();
    archives
}

#[tokio::test]
async fn months_become_archives_and_the_chain_goes_on_through_them() {
    let dir = three_months().await;
    let names: Vec<String> = archives(&dir)
        .iter()
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0].starts_with("journal-2026-09-") && names[0].ends_with("-0000000001.jsonl"), "{names:?}");
    assert!(names[1].starts_with("journal-2026-10-") && names[1].ends_with("-0000000031.jsonl"), "{names:?}");
    let proof = verdict(&dir).expect("whole");
    // The first link, and eighty acts.
    assert_eq!((proof.entries, proof.archives, proof.unchained), (81, 2, 0));
    assert_eq!(proof.last, Wall(NOVEMBER + 19 * DAY_MS));
}

#[tokio::test]
async fn the_chain_goes_on_behind_a_restart_and_is_proven_beside_a_running_store() {
    let dir = three_months().await;
    let before = verdict(&dir).expect("whole").head;
    let (store, _) = Store::open(dir.path(), Wall(NOVEMBER)).expect("opens");
    assert_eq!(store.committed().borrow().journal, before);
    commit(&store, batch(1, vec![alarm("A", 1), hazard("c", 1, HazardStage::Candidate, 1)], Vec::new()))
        .await;
    let proof = verdict(&dir).expect("whole");
    assert_eq!(proof.entries, before.n + 2, "what the engine decided is journalled");
    assert_eq!(proof.head, store.committed().borrow().journal);
    store.close().expect("closes");
}

#[tokio::test]
async fn a_byte_of_any_part_of_an_entry_that_is_changed_is_found_at_that_entry() {
    for part in ["\"n\":70", "\"at\":1", "王敏", "act", "GD-101", "\"previous\":\"", "uid", ",", "}"] {
        let dir = three_months().await;
        tamper(&dir, |connection| {
            let line: String = connection
                .query_row("SELECT line FROM journal WHERE n = 70", [], |row| row.get(0))
                .expect("an entry");
            let at = line.find(part).expect("there") + part.len() - 1;
            let mut bytes = line.into_bytes();
            bytes[at] ^= 1;
            let line = String::from_utf8_lossy(&bytes).into_owned();
            connection.execute("UPDATE journal SET line = ?1 WHERE n = 70", [line]).expect("changed");
        });
        let broken = verdict(&dir).expect_err(part);
        // Where `previous` itself was changed it is one of two.
        assert!(broken.n == 70 || (part.contains("previous") && broken.n == 69), "{part}: {broken:?}");
        assert_eq!(broken.place, "state.db");
        assert!(broken.at.is_some());
    }
}

#[tokio::test]
async fn a_byte_changed_in_an_archive_is_found_also_in_its_last_line() {
    for line in [1_usize, 12, 30] {
        let dir = three_months().await;
        let path = &archives(&dir)[0];
        let text = fs::read_to_string(path).expect("read");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 30);
        lines[line - 1] =
            lines[line - 1].replacen("riskgate", "riskgats", 1).replacen("\"uid\":0", "\"uid\":7", 1);
        fs::remove_file(path).expect("removed");
        fs::write(path, lines.join("\n") + "\n").expect("written");
        let broken = verdict(&dir).expect_err("found");
        assert_eq!(broken.n, u64::try_from(line).expect("small"), "{broken:?}");
        assert!(broken.place.starts_with("journal-2026-09-"), "{broken:?}");
    }
}

#[tokio::test]
async fn an_entry_that_is_gone_two_that_changed_places_and_another_hash_are_found() {
    let dir = three_months().await;
    tamper(&dir, |connection| {
        connection.execute("DELETE FROM journal WHERE n = 70", []).expect("deleted");
    });
    let broken = verdict(&dir).expect_err("found");
    assert_eq!((broken.n, broken.why.as_str()), (70, "记录缺失 it is not there; entry 71 follows"));

    let dir = three_months().await;
    tamper(&dir, |connection| {
        connection
            .execute_batch(
                "CREATE TEMP TABLE kept AS SELECT * FROM journal WHERE n IN (70, 71);
                 UPDATE journal SET (line, hash) = (SELECT line, hash FROM kept WHERE kept.n = 141 - journal.n)
                 WHERE n IN (70, 71)",
            )
            .expect("swapped");
    });
    let broken = verdict(&dir).expect_err("found");
    assert_eq!((broken.n, broken.why.as_str()), (70, "被其他记录替换 in its place stands entry 71"));

    let dir = three_months().await;
    tamper(&dir, |connection| {
        connection.execute("UPDATE journal SET hash = ?1 WHERE n = 81", [NOTHING]).expect("changed");
    });
    assert_eq!(verdict(&dir).expect_err("found").n, 81);
}

#[tokio::test]
async fn a_tail_that_was_cut_off_shows_against_a_head_that_was_kept_elsewhere() {
    let dir = three_months().await;
    let kept = verdict(&dir).expect("whole").head;
    tamper(&dir, |connection| {
        connection.execute("DELETE FROM journal WHERE n > 75", []).expect("deleted");
    });
    assert_eq!(verdict(&dir).expect("whole by itself").entries, 75);
    let broken = prove(dir.path(), Some(&kept), &mut |_| {}).expect("read").expect_err("found");
    assert_eq!(broken.n, 76, "{broken:?}");
    let dir = three_months().await;
    let other = Head { n: 40, hash: kept.hash };
    let broken = prove(dir.path(), Some(&other), &mut |_| {}).expect("read").expect_err("found");
    assert_eq!(broken.n, 40, "{broken:?}");
}

#[tokio::test]
async fn an_archive_that_is_cut_short_lengthened_or_gone_is_found() {
    let change = |path: &std::path::Path, lines: &[&str]| {
        fs::remove_file(path).expect("removed");
        fs::write(path, lines.join("\n") + "\n").expect("written");
    };
    let dir = three_months().await;
    let path = &archives(&dir)[1];
    let text = fs::read_to_string(path).expect("read");
    let lines: Vec<&str> = text.lines().collect();
    change(path, &lines[..lines.len() - 3]);
    assert_eq!(verdict(&dir).expect_err("found").n, 59);
    change(path, &[lines.as_slice(), &lines[lines.len() - 1..]].concat());
    assert_eq!(verdict(&dir).expect_err("found").n, 62);
    let half = fs::read(path).expect("read");
    fs::remove_file(path).expect("removed");
    fs::write(path, &half[..half.len() / 2]).expect("written");
    let broken = verdict(&dir).expect_err("found");
    assert!((31..=61).contains(&broken.n), "{broken:?}");
    fs::remove_file(path).expect("removed");
    let broken = verdict(&dir).expect_err("found");
    assert_eq!(broken.n, 31);
    assert!(broken.why.contains("cannot open the archive"), "{broken:?}");
}

#[tokio::test]
async fn entries_of_before_the_chain_are_held_by_its_first_link() {
    let dir = TempDir::new().expect("a directory");
    let connection = Connection::open(dir.path().join("state.db")).expect("opens");
    connection.execute_batch(super::super::schema::MIGRATIONS[0]).expect("applied");
    connection.pragma_update(None, "application_id", super::super::schema::APPLICATION_ID).expect("set");
    connection.pragma_update(None, "user_version", 1).expect("set");
    for at in 1..=3 {
        let insert = "INSERT INTO journal (at, by, what, body) VALUES (?1, '张三', 'act', '{\"a\":1}')";
        connection.execute(insert, [at]).expect("inserted");
    }
    drop(connection);
    Store::open(dir.path(), Wall(NOVEMBER)).expect("opens").0.close().expect("closes");
    let proof = verdict(&dir).expect("whole");
    assert_eq!((proof.entries, proof.unchained), (1, 3));
    let mut told = Vec::new();
    read(dir.path(), &Filter::default(), |entry| {
        told.push(entry);
        true
    })
    .expect("read");
    assert_eq!(told[0].body["reason"], "unchained_entries");
    let connection = Connection::open(dir.path().join("state.db")).expect("opens");
    connection
        .execute_batch(
            "DROP TRIGGER journal_unchained_no_update; UPDATE journal_unchained SET at = 9 WHERE at = 2",
        )
        .expect("changed");
    assert_eq!(verdict(&dir).expect_err("found").n, 1);
}

#[tokio::test]
async fn a_sealing_that_crashed_between_file_and_rows_is_done_again_over_the_same_file() {
    let dir = three_months().await;
    let path = archives(&dir)[1].clone();
    let before = fs::read(&path).expect("read");
    // As a crash leaves it: the file is there and the rows are too.
    tamper(&dir, |connection| {
        let lines: Vec<String> = String::from_utf8_lossy(&before).lines().map(str::to_owned).collect();
        for (n, line) in (31_i64..).zip(&lines) {
            let insert = "INSERT INTO journal (n, line, hash) VALUES (?1, ?2, ?3)";
            connection.execute(insert, params![n, line, hash(line.as_bytes())]).expect("inserted");
        }
        connection.execute("DELETE FROM segment WHERE first = 31", []).expect("deleted");
    });
    assert_eq!(verdict(&dir).expect("whole").archives, 1);
    let (store, _) = Store::open(dir.path(), Wall(NOVEMBER + 20 * DAY_MS)).expect("opens");
    let at = Wall(NOVEMBER + 20 * DAY_MS);
    let acts = vec![act(at.0, "王敏")];
    commit(
        &store,
        Batch { seq: 1, effects: Vec::new(), messages: Vec::new(), acts, commands: Vec::new(), at },
    )
    .await;
    store.close().expect("closes");
    let proof = verdict(&dir).expect("whole");
    assert_eq!((proof.entries, proof.archives), (82, 2));
    assert_eq!(fs::read(&path).expect("read"), before);
}

#[tokio::test]
async fn it_is_read_by_time_by_name_and_by_unit() {
    let dir = three_months().await;
    let count = |filter: Filter| {
        let mut count = 0;
        read(dir.path(), &filter, |_| {
            count += 1;
            true
        })
        .expect("read");
        count
    };
    assert_eq!(count(Filter::default()), 81);
    assert_eq!(count(Filter { since: Some(Wall(NOVEMBER)), ..Filter::default() }), 20);
    assert_eq!(count(Filter { by: Some("王敏".to_owned()), ..Filter::default() }), 40);
    assert_eq!(count(Filter { unit: Some("U-1".to_owned()), ..Filter::default() }), 80);
    assert_eq!(count(Filter { unit: Some("U-2".to_owned()), ..Filter::default() }), 0);
}

/// The README's own words, as an inspector takes them.
fn inspector() -> String {
    let readme = include_str!("../../../../README.md");
    let (_, behind) = readme.split_once("\"\"\"The inspector's proof").expect("the README shows it");
    let (script, _) = behind.split_once("```").expect("it ends");
    format!("\"\"\"The inspector's proof{script}")
}

#[tokio::test]
async fn an_inspector_proves_it_with_the_lines_of_the_readme() {
    let dir = three_months().await;
    let head = verdict(&dir).expect("whole").head;
    let run = || {
        let mut python = Command::new("python3");
        run(python.args(["-c", &inspector(), &dir.path().display().to_string()])).expect("python3 runs")
    };
    let whole = run();
    let said = String::from_utf8_lossy(&whole.stdout);
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    assert_eq!(said.trim(), format!("whole: {}:{}", head.n, head.hash));
    tamper(&dir, |connection| {
        let change = "UPDATE journal SET line = replace(line, '王敏', '李雷') WHERE n = 70";
        assert_eq!(connection.execute(change, []).expect("changed"), 1);
    });
    let broken = run();
    assert!(!broken.status.success());
    assert!(String::from_utf8_lossy(&broken.stderr).contains("entry 70"), "{broken:?}");
}

#[tokio::test]
async fn a_clock_that_is_stepped_to_and_fro_seals_every_entry_once_and_the_chain_holds() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = Store::open(dir.path(), Wall(NOVEMBER)).expect("opens");
    // Before 1970, the last moment of a month, a leap day, ten years ahead, and back, again and again.
    let leap_day = 1_835_395_200_000;
    let clocks = [
        NOVEMBER,
        NOVEMBER - 1,
        -DAY_MS,
        NOVEMBER,
        NOVEMBER + 3_650 * DAY_MS,
        leap_day,
        NOVEMBER + 1,
        i64::MIN,
    ];
    let mut at = Vec::new();
    for n in 0..40_u64 {
        let now = clocks[usize::try_from(n * 7 % 8).expect("small")];
        at.push(now);
        let acts = vec![act(now, &format!("第{n}人"))];
        let (effects, messages, commands) = (Vec::new(), Vec::new(), Vec::new());
        commit_and_rest(&store, Batch { seq: n + 1, effects, messages, acts, commands, at: Wall(now) }).await;
    }
    store.close().expect("closes");
    let proof = verdict(&dir).expect("whole");
    assert_eq!((proof.entries, proof.archives, proof.unchained), (41, archives(&dir).len(), 0));
    assert!(proof.archives > 10, "{}", proof.archives);
    for (n, at) in at.iter().enumerate() {
        let mut found = Vec::new();
        let filter = Filter { since: Some(Wall(*at)), ..Filter::default() };
        let take = |entry: Entry| {
            found.push(entry.by);
            true
        };
        read(dir.path(), &filter, take).expect("read");
        assert!(found.contains(&format!("第{n}人")), "entry {n} of {at}");
    }
}
