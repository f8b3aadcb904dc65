use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use riskgate_engine::{
    AlarmKind, AlarmRecord, AlarmState, AlarmTurn, CheckRecord, CheckStatus, Class, Evidence, HazardRecord,
    HazardStage, Level, Period, Priority, RiskClass, Stood, StopRecord, TaskRecord, Truth, UnitRecord,
    WatchedCycle, Withheld, Words,
};
use rusqlite::{Connection, TransactionBehavior};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;

/// A process holds all files of its parent, and their locks, from its fork until its own program runs. So nobody starts
/// one while a store is opened, which would find the lock of its last opening still held.
pub(super) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a process wrote and how it ended.
pub(super) fn run(command: &mut Command) -> std::io::Result<Output> {
    let _alone = alone();
    command.output()
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn evidence() -> Evidence {
    Evidence {
        rule: "r".to_owned(),
        version: "0123456789ab".to_owned(),
        condition: "{GD-101} >= 25".to_owned(),
        verdict: Truth::True,
        at: Wall(1),
        operands: Vec::new(),
        reason: None,
    }
}

pub(super) fn alarm(id: &str, revision: u64) -> Effect {
    Effect::Alarm(Arc::new(AlarmRecord {
        id: id.to_owned(),
        kind: AlarmKind::Limit,
        state: AlarmState::Unacknowledged,
        class: Class::Gas,
        priority: Priority::High,
        unit: Some("U-1".to_owned()),
        measure: Some("M-1".to_owned()),
        words: Words { zh: "高".to_owned(), en: "high".to_owned() },
        guidance: Words::default(),
        tags: vec!["GD-101".to_owned()],
        blinds: Vec::new(),
        episode: 1,
        since: Wall(1),
        changed: Wall(1),
        acknowledged_by: None,
        on_unknown: false,
        evidence: evidence(),
        turn: AlarmTurn::default(),
        withheld: Withheld::default(),
        revision,
    }))
}

pub(super) fn hazard(cause: &str, opening: u64, stage: HazardStage, revision: u64) -> Effect {
    let id = Uuid::new_v5(&Uuid::nil(), format!("{cause}/{opening}").as_bytes());
    Effect::Hazard(Arc::new(HazardRecord {
        id,
        opening,
        measure: "M-1".to_owned(),
        unit: "U-1".to_owned(),
        cause: cause.to_owned(),
        rule: "r".to_owned(),
        level: Level::General,
        stage,
        words: Words::default(),
        raised: Wall(1),
        changed: Wall(1),
        deadline: Wall(DAY_MS),
        liable_person: "张三".to_owned(),
        confirmed: None,
        rectify_within: std::time::Duration::from_hours(24),
        overdue: None,
        late: false,
        group: None,
        recurrences: 0,
        repeats: 0,
        returned: None,
        previous: None,
        acts: Vec::new(),
        evidence: evidence(),
        revision,
    }))
}

fn unit(id: &str, revision: u64) -> Effect {
    Effect::Unit(Arc::new(UnitRecord {
        unit: id.to_owned(),
        name: "罐区".to_owned(),
        base: RiskClass::Yellow,
        current: RiskClass::Red,
        causes: Vec::new(),
        changed: Wall(1),
        revision,
    }))
}

pub(super) fn task(id: &str) -> Effect {
    Effect::Task(Arc::new(TaskRecord {
        task: id.to_owned(),
        measure: "M-1".to_owned(),
        unit: "U-1".to_owned(),
        content: "看".to_owned(),
        assignee: "a".to_owned(),
        work_type: 0,
        base_cycle: Duration::from_secs(8 * 3600),
        cycle: Duration::from_secs(3600),
        boosts: Vec::new(),
        done: None,
        overdue: None,
        suspended: None,
        changed: Wall(1),
        revision: 1,
    }))
}

pub(super) fn message(lane: Lane, object: &str, revision: u64) -> Message {
    Message {
        lane,
        topic: "hazard/U-1".to_owned(),
        retain: false,
        kind: "riskgate.hazard.v1".to_owned(),
        object: object.to_owned(),
        revision,
        time: Wall(1),
        data: json!({ "id": object, "revision": revision }),
    }
}

pub(super) fn batch(seq: u64, effects: Vec<Effect>, messages: Vec<Message>) -> Batch {
    Batch { seq, effects, messages, acts: Vec::new(), commands: Vec::new(), at: Wall(1) }
}

fn open(dir: &TempDir) -> (Store, Opened) {
    Store::open(dir.path(), Wall(1_000)).expect("opens")
}

pub(super) async fn until(store: &Store, holds: impl FnMut(&Committed) -> bool) -> Committed {
    let mut committed = store.committed();
    let seen = tokio::time::timeout(Duration::from_secs(20), committed.wait_for(holds)).await;
    seen.expect("in time").expect("open").clone()
}

pub(super) async fn commit(store: &Store, batch: Batch) {
    let seq = batch.seq;
    store.try_commit(batch).expect("room");
    until(store, |committed| committed.seq >= seq).await;
}

/// As `kill -9` leaves it: the files as they are while the store is open.
fn copied_while_open(dir: &TempDir) -> TempDir {
    let copy = TempDir::new().expect("a directory");
    for name in ["state.db", "state.db-wal"] {
        fs::copy(dir.path().join(name), copy.path().join(name)).expect("copied");
    }
    copy
}

pub(super) fn asides(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).expect("listed").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| name.contains(".damaged-"));
    names.sort();
    names
}

#[test]
fn a_new_store_begins_an_epoch_and_keeps_it() {
    let dir = TempDir::new().expect("a directory");
    let (store, first) = open(&dir);
    assert_eq!(first.new, Some("created"));
    store.close().expect("closes");
    assert!(!dir.path().join("state.db-wal").exists(), "all of it is in the one file");
    let (store, second) = open(&dir);
    assert_eq!((second.new, second.unclean), (None, false));
    assert_eq!((second.epoch, second.epoch_began), (first.epoch, Wall(1_000)));
    store.close().expect("closes");
}

#[tokio::test]
async fn what_is_committed_is_restored_after_closing_and_after_a_kill() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let effects = vec![
        alarm("GD-101/H", 3),
        hazard("limit:GD-101", 1, HazardStage::Accepted, 4),
        hazard("limit:GD-101", 2, HazardStage::Rectifying, 1),
        hazard("limit:GD-102", 1, HazardStage::Rejected, 2),
        task("T-1"),
        unit("U-1", 2),
    ];
    commit(&store, batch(1, effects.clone(), vec![message(Lane::Critical, "h", 1)])).await;

    let killed = copied_while_open(&dir);
    let (after_kill, opened) = open(&killed);
    assert!(opened.unclean, "the copy was never closed");
    assert_eq!(opened.new, None);
    let pending = after_kill.lease(Lane::Critical, 0, 10).await.expect("leased");
    assert_eq!(pending.iter().map(|row| row.message.object.as_str()).collect::<Vec<_>>(), ["h"]);

    store.close().expect("closes");
    let (_store, closed) = open(&dir);
    for restored in [&opened.restored, &closed.restored] {
        let mut back: Vec<Effect> =
            restored.alarms.iter().cloned().map(|record| Effect::Alarm(Arc::new(record))).collect();
        back.extend(restored.hazards.iter().cloned().map(|record| Effect::Hazard(Arc::new(record))));
        back.extend(restored.tasks.iter().cloned().map(|record| Effect::Task(Arc::new(record))));
        back.extend(restored.units.iter().cloned().map(|record| Effect::Unit(Arc::new(record))));
        // Of the accepted opening 1 only its number matters, and opening 2 carries that.
        let expected: Vec<Effect> =
            effects.iter().enumerate().filter(|(at, _)| *at != 1).map(|(_, e)| e.clone()).collect();
        assert_eq!(back, expected);
    }
}

#[tokio::test]
async fn a_second_open_hazard_is_set_aside_and_told_and_everything_else_goes_on() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    commit(&store, batch(1, vec![hazard("c", 1, HazardStage::Rectifying, 1)], Vec::new())).await;
    let second = hazard("c", 2, HazardStage::Candidate, 1);
    let Effect::Hazard(record) = &second else { panic!("a hazard") };
    let (id, mut told) = (record.id.to_string(), message(Lane::Critical, &record.id.to_string(), 1));
    told.data["durable"] = json!(true);
    let doubled = batch(2, vec![alarm("A", 1), second.clone(), unit("U-1", 1)], vec![told]);
    // Both wait at once: a piece of one holds up neither.
    store.try_commit(doubled).expect("room");
    commit(&store, batch(3, vec![alarm("B", 1)], vec![message(Lane::Critical, "after", 1)])).await;
    let committed = store.committed().borrow().clone();
    assert_eq!((committed.unwritable, committed.failed), (1, None));
    let rows = store.lease(Lane::Critical, 0, 10).await.expect("leased");
    let told: Vec<_> =
        rows.iter().map(|row| (row.message.object.as_str(), &row.message.data["durable"])).collect();
    assert_eq!(told, [(id.as_str(), &json!(false)), ("after", &json!(null))]);
    let gaps = store.lease(Lane::Gap, 0, 10).await.expect("leased");
    let gap = &gaps[0].message.data;
    assert_eq!(
        (&gap["reason"], &gap["object"], &gap["kind"]),
        (&json!("unwritable"), &json!(id), &json!("hazard"))
    );
    assert!(gap["why"].as_str().expect("why").contains("hazard.measure, hazard.cause"), "{gap}");
    store.close().expect("nothing waits");
    let connection = Connection::open(dir.path().join("state.db")).expect("opens");
    let aside: String =
        connection.query_row("SELECT object FROM unwritable", [], |row| row.get(0)).expect("set aside");
    assert_eq!(aside, id);
    journal::prove(dir.path(), None, &mut |_| {}).expect("read").expect("whole");
    let (_store, opened) = open(&dir);
    assert_eq!((opened.restored.alarms.len(), opened.restored.units.len()), (2, 1));
    assert_eq!(opened.restored.hazards.len(), 1);
}

#[tokio::test]
async fn a_message_that_can_never_be_written_leaves_its_state_and_its_neighbours() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let connection = Connection::open(dir.path().join("state.db")).expect("opens");
    let poison = "CREATE TRIGGER poison BEFORE INSERT ON outbox WHEN new.object = 'bad'
                  BEGIN SELECT RAISE(ABORT, 'never'); END";
    connection.execute_batch(poison).expect("made");
    let messages = ["a", "bad", "c"].map(|object| message(Lane::Critical, object, 1)).to_vec();
    commit(&store, batch(1, vec![alarm("A", 1)], messages)).await;
    let rows = store.lease(Lane::Critical, 0, 10).await.expect("leased");
    let told: Vec<_> = rows.iter().map(|row| (row.message.object.as_str(), row.sequence)).collect();
    assert_eq!(told, [("a", 1), ("c", 2)], "no hole that a receiver would ask for");
    assert_eq!(store.lease(Lane::Gap, 0, 10).await.expect("leased").len(), 1);
    assert_eq!(store.committed().borrow().unwritable, 1);
}

#[tokio::test]
async fn a_failed_batch_is_retried_as_it_is_and_what_follows_keeps_its_order() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let mut other = Connection::open(dir.path().join("state.db")).expect("opens");
    let held = other.transaction_with_behavior(TransactionBehavior::Immediate).expect("locked");
    for seq in 1..=3 {
        let object = format!("h{seq}");
        store.try_commit(batch(seq, Vec::new(), vec![message(Lane::Critical, &object, 1)])).expect("room");
    }
    let failed = until(&store, |committed| committed.failed.is_some()).await;
    assert_eq!(failed.seq, 0);
    drop(held);
    let healed = until(&store, |committed| committed.seq == 3).await;
    assert_eq!(healed.failed, None);
    assert_eq!(healed.last.critical, 3);
    let rows = store.lease(Lane::Critical, 0, 10).await.expect("leased");
    let told: Vec<(u64, &str)> = rows.iter().map(|row| (row.sequence, row.message.object.as_str())).collect();
    assert_eq!(told, [(1, "h1"), (2, "h2"), (3, "h3")]);
}

#[tokio::test]
async fn a_full_queue_gives_the_batch_back_and_takes_it_later() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let mut other = Connection::open(dir.path().join("state.db")).expect("opens");
    let held = other.transaction_with_behavior(TransactionBehavior::Immediate).expect("locked");
    let full: Vec<Effect> =
        (0..u64::try_from(queue::EFFECTS_MAX).expect("fits")).map(|n| alarm("A", n)).collect();
    store.try_commit(batch(1, full, Vec::new())).expect("room");
    let refused = store.try_commit(batch(2, vec![alarm("B", 1)], Vec::new())).expect_err("full");
    assert_eq!(refused.seq, 2);
    drop(held);
    until(&store, |committed| committed.seq == 1).await;
    commit(&store, refused).await;
}

#[tokio::test]
async fn each_lane_counts_for_itself_across_a_restart() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let messages =
        vec![message(Lane::Critical, "a", 1), message(Lane::Work, "t", 1), message(Lane::Critical, "a", 2)];
    commit(&store, batch(1, Vec::new(), messages)).await;
    store.close().expect("closes");
    let (store, _) = open(&dir);
    assert_eq!(store.committed().borrow().last, LastSequences { critical: 2, work: 1, gap: 0 });
    store
        .append(vec![message(Lane::Work, "t", 2), message(Lane::Gap, "g", 1)], Vec::new())
        .await
        .expect("written");
    assert_eq!(store.committed().borrow().last, LastSequences { critical: 2, work: 2, gap: 1 });
}

/// A stop between the gap and the note that it was told brings it again with the next start.
#[tokio::test]
async fn a_gap_that_is_told_again_is_in_the_outbox_once_pending_or_sent() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let told = || vec![message(Lane::Gap, "crash:1:2", 1)];
    store.append(told(), Vec::new()).await.expect("written");
    store.append(told(), Vec::new()).await.expect("written");
    store.close().expect("closes");
    let (store, _) = open(&dir);
    let rows = store.lease(Lane::Gap, 0, 10).await.expect("leased");
    assert_eq!(rows.len(), 1);
    store.acknowledge(vec![rows[0].seq], Wall(2)).await.expect("written");
    let (newer, other) = (message(Lane::Gap, "crash:1:2", 2), message(Lane::Gap, "crash:3:4", 1));
    store.append([told(), vec![newer, other]].concat(), Vec::new()).await.expect("written");
    let rows = store.lease(Lane::Gap, 0, 10).await.expect("leased");
    let sequences: Vec<_> = rows.iter().map(|row| (row.sequence, row.message.object.as_str())).collect();
    assert_eq!(sequences, [(2, "crash:1:2"), (3, "crash:3:4")], "and no hole is left");
}

#[tokio::test]
async fn a_row_is_pending_until_it_is_acknowledged_and_can_be_asked_for_after() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let messages = (1..=5).map(|revision| message(Lane::Critical, "h", revision)).collect();
    commit(&store, batch(1, Vec::new(), messages)).await;
    let first = store.lease(Lane::Critical, 0, 2).await.expect("leased");
    let again = store.lease(Lane::Critical, 0, 2).await.expect("leased");
    assert_eq!(first, again);
    let behind = store.lease(Lane::Critical, first[1].seq, 10).await.expect("leased");
    assert_eq!(behind.iter().map(|row| row.sequence).collect::<Vec<_>>(), [3, 4, 5]);
    store.acknowledge(vec![first[0].seq, behind[0].seq], Wall(2)).await.expect("written");
    let left = store.lease(Lane::Critical, 0, 10).await.expect("leased");
    assert_eq!(left.iter().map(|row| row.sequence).collect::<Vec<_>>(), [2, 4, 5]);
    let asked = store.range(Lane::Critical, 1, 3, 10).await.expect("read");
    assert_eq!(asked.iter().map(|row| row.message.revision).collect::<Vec<_>>(), [1, 2, 3]);
    let view = store.outbox().await.expect("read");
    let critical = LaneView { lane: Lane::Critical, pending: 3, last: 5, sent: 1, oldest: Some(Wall(1)) };
    assert!(view.lanes.contains(&critical), "{view:?}");
    let work = LaneView { lane: Lane::Work, pending: 0, last: 0, sent: 0, oldest: None };
    assert!(view.lanes.contains(&work), "{view:?}");
}

#[tokio::test]
async fn acknowledged_rows_are_purged_after_thirty_days_in_bites_and_pending_ones_never() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let messages = (1..=701).map(|revision| message(Lane::Critical, "h", revision)).collect();
    commit(&store, batch(1, Vec::new(), messages)).await;
    let rows = store.lease(Lane::Critical, 0, 1000).await.expect("leased");
    let sent: Vec<i64> = rows.iter().take(700).map(|row| row.seq).collect();
    store.acknowledge(sent, Wall(0)).await.expect("written");
    let left = |wall| {
        let store = store.clone();
        async move {
            store.acknowledge(Vec::new(), wall).await.expect("written");
            store.range(Lane::Critical, 1, 1000, 1000).await.expect("read").len()
        }
    };
    // A clock that jumps a year ahead, and back to before it was set, takes nothing away.
    assert_eq!(left(Wall(365 * DAY_MS)).await, 701);
    assert_eq!(left(Wall(0)).await, 701);
    // An hour of the 30 days is gone with the jump.
    for hour in 1..30 * 24 {
        assert_eq!(left(Wall(hour * DAY_MS / 24)).await, 701, "{hour} h");
    }
    assert_eq!(left(Wall(30 * DAY_MS)).await, 201);
    assert_eq!(left(Wall(30 * DAY_MS)).await, 1);
    let pending = store.lease(Lane::Critical, 0, 10).await.expect("leased");
    assert_eq!(pending.iter().map(|row| row.sequence).collect::<Vec<_>>(), [701]);
}

#[tokio::test]
async fn a_message_too_large_for_a_packet_becomes_a_gap_that_names_it() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let mut huge = message(Lane::Critical, "huge", 7);
    huge.data = json!({ "id": "huge", "text": "x".repeat(DATA_BYTES_MAX) });
    commit(&store, batch(1, Vec::new(), vec![huge, message(Lane::Critical, "h", 1)])).await;
    assert_eq!(store.committed().borrow().refused, 1);
    let critical = store.lease(Lane::Critical, 0, 10).await.expect("leased");
    assert_eq!(critical.iter().map(|row| row.sequence).collect::<Vec<_>>(), [1]);
    let gaps = store.lease(Lane::Gap, 0, 10).await.expect("leased");
    assert_eq!(gaps[0].message.data["reason"], "too_large");
    assert_eq!(gaps[0].message.data["object"], "huge");
}

#[tokio::test]
async fn the_journal_refuses_every_change_of_what_is_written() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let entry =
        JournalEntry { at: Wall(1), by: "张三".to_owned(), what: "confirm".to_owned(), body: json!({}) };
    store.append(Vec::new(), vec![entry]).await.expect("written");
    store.close().expect("closes");
    let connection = Connection::open(dir.path().join("state.db")).expect("opens");
    for change in ["UPDATE journal SET line = 'x'", "DELETE FROM journal"] {
        let refused = connection.execute(change, []).expect_err("refused").to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
}

#[tokio::test]
async fn an_older_revision_never_replaces_a_newer_one() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    commit(&store, batch(1, vec![unit("U-1", 5)], Vec::new())).await;
    commit(&store, batch(2, vec![unit("U-1", 4)], Vec::new())).await;
    assert_eq!(store.units().await.expect("read")[0].revision, 5);
}

/// A store of the first version with something in each part that matters.
const V1_ROWS: &str = r#"
INSERT INTO meta (one, epoch, created, reason, clean)
VALUES (1, '0c9b4b9e-0000-4000-8000-000000000000', 1, 'created', 0);
INSERT INTO unit (id, revision, body) VALUES ('U-1', 4,
    '{"unit":"U-1","name":"罐区","base":"yellow","current":"red","causes":[],"changed":1,"revision":4}');
INSERT INTO outbox (lane, sequence, topic, retain, kind, object, revision, time, body, sent_at)
VALUES ('critical', 6, 'risk/U-1', 1, 'riskgate.risk.v1', 'U-1', 3, 1, '{}', 9999999999999),
       ('critical', 7, 'risk/U-1', 1, 'riskgate.risk.v1', 'U-1', 4, 1, '{}', NULL);
UPDATE lane SET last = 7 WHERE lane = 'critical';
INSERT INTO journal (at, by, what, body) VALUES (1, '张三', 'act', '{}');
"#;

/// A store as that version of the program closed it.
pub(super) fn make_old(dir: &Path, version: usize) {
    let old = Connection::open(dir.join("state.db")).expect("opens");
    old.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).expect("set");
    for (number, migration) in (1_i64..).zip(&schema::MIGRATIONS[..version]) {
        old.execute_batch(migration).expect("applied");
        old.pragma_update(None, "application_id", schema::APPLICATION_ID).expect("set");
        old.pragma_update(None, "user_version", number).expect("set");
        if number == 1 {
            old.execute_batch(V1_ROWS).expect("filled");
        }
    }
}

#[tokio::test]
async fn every_older_version_is_brought_to_the_newest_with_all_that_it_holds() {
    let schema_of = |path: &Path| -> Vec<String> {
        let connection = Connection::open(path).expect("opens");
        let mut statement = connection
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
            .expect("SQL");
        statement.query_map([], |row| row.get(0)).expect("read").map(|sql| sql.expect("text")).collect()
    };
    let newest = TempDir::new().expect("a directory");
    open(&newest).0.close().expect("closes");
    let expected = schema_of(&newest.path().join("state.db"));
    for version in 0..schema::MIGRATIONS.len() {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().join("state.db");
        make_old(dir.path(), version);
        let (store, opened) = open(&dir);
        assert_eq!(opened.kept_aside, None, "version {version}");
        if version >= 1 {
            assert_eq!(opened.epoch.0.to_string(), "0c9b4b9e-0000-4000-8000-000000000000");
            assert_eq!((opened.new, opened.config_before.as_str()), (None, ""));
            assert_eq!(opened.restored.units[0].revision, 4);
            let rows = store.lease(Lane::Critical, 0, 10).await.expect("leased");
            assert_eq!(rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), [7]);
            assert_eq!(store.range(Lane::Critical, 1, 9, 9).await.expect("read").len(), 2);
            commit(&store, batch(1, vec![unit("U-1", 5)], vec![message(Lane::Critical, "h", 1)])).await;
            assert_eq!(store.committed().borrow().last.critical, 8, "numbers go on");
        }
        store.close().expect("closes");
        journal::prove(dir.path(), None, &mut |_| {}).expect("read").expect("whole");
        assert_eq!(schema_of(&path), expected, "version {version}");
    }
}

#[test]
fn what_was_counted_when_the_agent_stopped_is_there_at_the_next_start() {
    let dir = TempDir::new().expect("a directory");
    let (store, opened) = open(&dir);
    assert_eq!(opened.restored.running, None);
    let period = Period { start: Wall(1_000), end: Wall(9_000) };
    let (unseen, longest, stretch) =
        (Duration::from_millis(70), Duration::from_millis(50), Some(Duration::ZERO));
    let stood = Stood { passed: Some("hot".to_owned()), hazard: Some("漏".to_owned()) };
    let (version, out_of_service) = ("0".to_owned(), true);
    let cycle = WatchedCycle { period, version, unseen, longest, stretch, out_of_service, stood };
    let of = |at| Running {
        at: Wall(at),
        watched: BTreeMap::from([("T-1".to_owned(), cycle.clone())]),
        onsets: BTreeMap::from([("hot".to_owned(), vec![Duration::from_secs(3)])]),
    };
    store.keep(of(2_000)).expect("queued");
    // The last that is asked of a store that closes is still written.
    store.keep(of(3_000)).expect("queued");
    store.close().expect("closes");
    let (_store, opened) = open(&dir);
    assert_eq!(opened.restored.running, Some(of(3_000)));
}

fn record(task: &str, at: i64, automatic: bool) -> Arc<CheckRecord> {
    Arc::new(CheckRecord {
        id: Uuid::from_u128(u128::try_from(at).expect("after 1970")),
        task: task.to_owned(),
        measure: "M-1".to_owned(),
        unit: "U-1".to_owned(),
        work_type: 0,
        status: CheckStatus::Normal,
        why: String::new(),
        period: Some(Period { start: Wall(1_000), end: Wall(at) }),
        at: Wall(at),
        by: "gateway".to_owned(),
        automatic,
        revision: 1,
    })
}

/// After a crash: what was kept may be from before the end of a cycle whose record is written.
#[tokio::test]
async fn the_records_of_the_agent_since_its_counts_were_kept_are_restored_with_them() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let (watched, onsets) = (BTreeMap::new(), BTreeMap::new());
    store.keep(Running { at: Wall(5_000), watched, onsets }).expect("queued");
    let all = [("T-1", 4_000, true), ("T-1", 6_000, true), ("T-2", 6_001, false), ("T-3", 5_000, true)];
    let effects = all.map(|(task, at, automatic)| Effect::Record(record(task, at, automatic)));
    commit(&store, batch(1, effects.to_vec(), Vec::new())).await;
    // Requests are answered in their order, and beside the batches: what stands behind it says that it is kept.
    store.append(Vec::new(), Vec::new()).await.expect("behind what is kept");
    let (_after_kill, opened) = open(&copied_while_open(&dir));
    let of = |task, at| CheckRecord::clone(&record(task, at, true));
    assert_eq!(opened.restored.records, [of("T-3", 5_000), of("T-1", 6_000)]);
}

/// What a store before shelves and stops wrote is read as an alarm that nothing lies over.
#[test]
fn records_of_an_older_version_are_read() {
    let Effect::Alarm(alarm) = alarm("GD-101/HH", 1) else { panic!("an alarm") };
    let mut old = serde_json::to_value(alarm.as_ref()).expect("JSON");
    let fields = old.as_object_mut().expect("an object");
    assert!(fields.remove("turn").is_some() && fields.remove("withheld").is_some());
    let read: AlarmRecord = serde_json::from_value(old).expect("read");
    assert_eq!(read, *alarm);
    let Effect::Task(task) = task("T-1") else { panic!("a task") };
    let mut old = serde_json::to_value(task.as_ref()).expect("JSON");
    assert!(old.as_object_mut().expect("an object").remove("suspended").is_some());
    assert_eq!(serde_json::from_value::<TaskRecord>(old).expect("read"), *task);
}

#[tokio::test]
async fn covers_and_stops_survive_a_restart() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let Effect::Alarm(mut shelved) = alarm("LI/H", 3) else { panic!("an alarm") };
    Arc::make_mut(&mut shelved).withheld.shelved = Some(riskgate_engine::Shelf {
        by: "王敏".to_owned(),
        why: "校验".to_owned(),
        since: Wall(1),
        until: Wall(7_200_001),
    });
    let stop = Arc::new(StopRecord {
        unit: "U-1".to_owned(),
        stop: 1,
        by: "王敏".to_owned(),
        why: "检修".to_owned(),
        since: Wall(1),
        ended: None,
        ended_by: None,
        revision: 1,
    });
    let effects = vec![Effect::Alarm(Arc::clone(&shelved)), Effect::Stop(Arc::clone(&stop))];
    commit(&store, batch(1, effects, Vec::new())).await;
    store.close().expect("closes");
    let (store, opened) = open(&dir);
    assert_eq!(opened.restored.alarms, [AlarmRecord::clone(&shelved)]);
    assert_eq!(opened.restored.stops, [StopRecord::clone(&stop)]);
    store.close().expect("closes");
}

#[tokio::test]
async fn what_a_shadow_rule_counted_survives_a_restart_and_is_no_decision_of_the_journal() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let shadow = |episodes: u64| riskgate_engine::ShadowRecord {
        rule: "hot".to_owned(),
        version: "v".to_owned(),
        episodes,
        since: Some(Wall(2)),
        last_onset: Some(Wall(2)),
        lasted_ms: 7,
        words: riskgate_engine::Words::default(),
        evidence: None,
        changed: Wall(2),
        revision: episodes,
    };
    let effect = |episodes| Effect::Shadow(Arc::new(shadow(episodes)));
    commit(&store, batch(1, vec![unit("U-1", 1), effect(1), effect(2)], Vec::new())).await;
    store.close().expect("closes");
    let (store, opened) = open(&dir);
    assert_eq!(opened.restored.shadows, [shadow(2)]);
    store.close().expect("closes");
    assert_eq!(super::lookup::shadow(dir.path(), "hot").expect("read"), Some(shadow(2)));
    assert_eq!(super::lookup::shadow(dir.path(), "cold").expect("read"), None);
    let mut told = Vec::new();
    super::journal::read(dir.path(), &super::journal::Filter::default(), |entry| {
        told.push(entry.what);
        true
    })
    .expect("read");
    assert!(told.iter().any(|what| what == "unit") && !told.iter().any(|what| what == "shadow"), "{told:?}");
}

#[tokio::test]
async fn every_pragma_that_a_promise_stands_on_is_in_force() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    commit(&store, batch(1, vec![unit("U-1", 1)], Vec::new())).await;
    store.close().expect("closes");
    let (database, _) = super::open::open(dir.path(), Wall(2)).expect("opens");
    let read = |name| -> String {
        let value =
            database.connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
        format!("{:?}", value.expect("read"))
    };
    assert_eq!(read("journal_mode"), r#"Text("wal")"#);
    assert_eq!(read("synchronous"), "Integer(2)");
    assert_eq!(read("foreign_keys"), "Integer(1)");
    assert_eq!(read("auto_vacuum"), "Integer(2)");
    assert_eq!(read("journal_size_limit"), "Integer(4194304)");
}

#[test]
fn a_new_number_in_a_limit_compiles_no_statement_anew() {
    let dir = TempDir::new().expect("a directory");
    let (database, _) = super::open::open(dir.path(), Wall(1)).expect("opens");
    let query = "SELECT row FROM outbox WHERE lane = ?1 ORDER BY row LIMIT ?2";
    let mut statement = database.connection.prepare(query).expect("compiles");
    for limit in [1, 2, 3] {
        let mut rows = statement.query(rusqlite::params!["critical", limit]).expect("runs");
        assert!(rows.next().expect("read").is_none());
    }
    assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0);
}

#[test]
fn a_file_that_is_no_store_is_kept_aside_byte_for_byte() {
    let dir = TempDir::new().expect("a directory");
    fs::write(dir.path().join("state.db"), "not a database, but somebody's notes").expect("written");
    let (store, opened) = open(&dir);
    assert_eq!(opened.new, Some("not_a_store"));
    assert_eq!(opened.epoch_reason, "not_a_store");
    let kept = opened.kept_aside.expect("kept");
    assert_eq!(fs::read(&kept).expect("read"), b"not a database, but somebody's notes");
    assert_eq!(kept.file_name().expect("a name"), "state.db.damaged-19700101T000001Z");
    store.close().expect("closes");
    assert_eq!(open(&dir).1.new, None);
}

#[test]
fn another_programs_database_is_kept_aside_and_not_written_to() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("state.db");
    Connection::open(&path).expect("opens").execute_batch("CREATE TABLE theirs (a)").expect("made");
    let before = fs::read(&path).expect("read");
    let (_store, opened) = open(&dir);
    assert_eq!(opened.new, Some("foreign_file"));
    assert_eq!(fs::read(opened.kept_aside.expect("kept")).expect("read"), before);
}

#[test]
fn a_file_of_a_newer_version_is_kept_aside() {
    let dir = TempDir::new().expect("a directory");
    let (store, first) = open(&dir);
    store.close().expect("closes");
    let connection = Connection::open(dir.path().join("state.db")).expect("opens");
    connection.pragma_update(None, "user_version", schema::newest() + 1).expect("set");
    drop(connection);
    let (_store, opened) = open(&dir);
    assert_eq!(opened.new, Some("newer_version"));
    assert_ne!(opened.epoch, first.epoch);
    assert!(asides(dir.path()).contains(&"state.db.damaged-19700101T000001Z".to_owned()));
}

#[tokio::test]
async fn a_torn_page_is_found_after_a_crash_and_the_file_kept_aside_with_its_wal() {
    let dir = TempDir::new().expect("a directory");
    let (store, first) = open(&dir);
    let messages = (0..2000).map(|revision| message(Lane::Critical, "h", revision)).collect();
    commit(&store, batch(1, Vec::new(), messages)).await;
    store.close().expect("closes");
    // Opened again and not closed: the WAL holds a commit, and the file lies torn beside it.
    let (store, _) = open(&dir);
    commit(&store, batch(2, vec![unit("U-1", 1)], Vec::new())).await;
    let killed = copied_while_open(&dir);
    drop(store);
    let path = killed.path().join("state.db");
    let mut bytes = fs::read(&path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xA5);
    fs::write(&path, bytes).expect("written");
    let (_store, opened) = open(&killed);
    assert_eq!(opened.new, Some("damaged"));
    assert_ne!(opened.epoch, first.epoch);
    let kept = asides(killed.path());
    assert_eq!(kept.iter().filter(|name| name.ends_with("-wal")).count(), 1, "{kept:?}");
    assert!(opened.restored.units.is_empty());
}

#[test]
fn a_store_whose_file_is_gone_but_whose_wal_is_there_is_not_taken_for_a_first_start() {
    let dir = TempDir::new().expect("a directory");
    fs::write(dir.path().join("state.db-wal"), "a WAL without its file").expect("written");
    let (_store, opened) = open(&dir);
    assert_eq!(opened.new, Some("lost_file"));
    assert_eq!(asides(dir.path()), ["state.db.damaged-19700101T000001Z-wal"]);
}

#[test]
fn one_store_has_one_agent() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    assert!(matches!(Store::open(dir.path(), Wall(1)), Err(StoreError::InUse { .. })));
    store.close().expect("closes");
    drop(open(&dir));
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let other = store.clone();
    store.close().expect("closes");
    assert!(matches!(other.outbox().await, Err(StoreError::Closed { .. })));
    assert!(other.try_commit(batch(1, Vec::new(), Vec::new())).is_err());
}

#[tokio::test]
async fn a_record_is_kept_once_and_for_more_than_a_year() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let record = |name: &str, day: i64| {
        Effect::Record(Arc::new(riskgate_engine::CheckRecord {
            id: Uuid::new_v5(&Uuid::nil(), name.as_bytes()),
            task: "T-1".to_owned(),
            measure: "M-1".to_owned(),
            unit: "U-1".to_owned(),
            work_type: 0,
            status: riskgate_engine::CheckStatus::Normal,
            why: String::new(),
            period: None,
            at: Wall(day * DAY_MS),
            by: "王".to_owned(),
            automatic: false,
            revision: 1,
        }))
    };
    let kept = || -> Vec<i64> {
        let connection = Connection::open(dir.path().join("state.db")).expect("opens");
        let mut statement = connection.prepare("SELECT at FROM record ORDER BY at").expect("prepared");
        let rows = statement.query_map([], |row| row.get::<_, i64>(0)).expect("queried");
        rows.map(|at| at.expect("a row") / DAY_MS).collect()
    };
    let effects = vec![record("a", 1), record("b", 300), record("b", 300), record("c", 400)];
    commit(&store, batch(1, effects, Vec::new())).await;
    assert_eq!(kept(), [1, 300, 400]);
    commit(&store, batch(2, vec![record("d", 402)], Vec::new())).await;
    assert_eq!(kept(), [300, 400, 402]);
    store.close().expect("closes");
}

/// How long a gateway is blind behind a start with all the rows that an outbox may hold.
#[tokio::test]
#[ignore = "a minute and 1 GB of disk: cargo test -p riskgate --lib a_million_rows -- --ignored --nocapture"]
async fn a_million_rows_are_opened() {
    let dir = TempDir::new().expect("a directory");
    open(&dir).0.close().expect("closes");
    let connection = Connection::open(dir.path().join("state.db")).expect("opens");
    let fill = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000000)
        INSERT INTO outbox (lane, sequence, topic, retain, kind, object, revision, time, body)
        SELECT 'critical', n, 'hazard/U-1', 0, 'riskgate.hazard.v1', 'h' || n, 1, n,
               json_object('id', 'h' || n, 'text', hex(randomblob(250))) FROM n;
        UPDATE lane SET last = 1000000 WHERE lane = 'critical';";
    connection.execute_batch(fill).expect("filled");
    let time = |what: &str, unclean: bool| {
        if unclean {
            connection.execute("UPDATE meta SET clean = 0", []).expect("marked");
        }
        let began = crate::clock::now().mono;
        let (store, opened) = open(&dir);
        let took = crate::clock::now().mono.since(began);
        println!("{what}: {} ms", took.as_millis());
        assert_eq!((opened.new, opened.unclean), (None, unclean));
        store
    };
    time("closed before", false).close().expect("closes");
    let store = time("not closed before: checked whole", true);
    let view = store.outbox().await.expect("read");
    assert_eq!(view.lanes[0].pending, 1_000_000);
    let began = crate::clock::now().mono;
    commit(&store, batch(1, vec![alarm("A", 1)], vec![message(Lane::Critical, "h", 1)])).await;
    println!("a commit beside them: {} us", crate::clock::now().mono.since(began).as_micros());
    store.close().expect("closes");
}

#[tokio::test]
async fn a_row_that_the_receiver_refused_stays_known_as_that_across_a_restart_and_is_told_once() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = open(&dir);
    let rows = vec![message(Lane::Critical, "a", 1), message(Lane::Critical, "b", 2)];
    commit(&store, batch(1, Vec::new(), rows)).await;
    let first = store.lease(Lane::Critical, 0, 10).await.expect("leased").remove(0);
    let told = || {
        let entry = JournalEntry {
            at: Wall(9),
            by: "riskgate".to_owned(),
            what: "message refused".to_owned(),
            body: json!({}),
        };
        (message(Lane::Gap, "refused:critical:1", 1), entry)
    };
    for _ in 0..2 {
        store.refuse(first.seq, "too salty", told(), Wall(9)).await.expect("written");
    }
    store.close().expect("closes");
    let (store, _) = open(&dir);
    let view = store.outbox().await.expect("read");
    let pending: Vec<u64> = view.lanes.iter().map(|lane| lane.pending).collect();
    assert_eq!(pending.iter().sum::<u64>(), 2, "its neighbour and one gap: {view:?}");
    let refused = SetAside {
        what: "refused".to_owned(),
        count: 1,
        oldest: Some(Wall(1)),
        why: Some("too salty".to_owned()),
    };
    assert_eq!(view.set_aside.first(), Some(&refused));
    let again = store.range(Lane::Critical, 1, 2, 10).await.expect("read");
    assert_eq!(again.iter().map(|row| row.refused).collect::<Vec<_>>(), [true, false]);
}
