//! The store under losses of power: whatever it told as committed is there afterwards, nothing is there by half, and
//! it opens by itself, in the same epoch.
//!
//! A seed is one store through several lives. Each ends with a cut at a random operation of the disk, in the middle
//! of opening, committing, checkpointing or closing, and the next begins with what the disk still had.
//! `RISKGATE_POWER_SEEDS` says how many seeds, `RISKGATE_POWER_SEED` which is the first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use riskgate::store::{Batch, Committed, JournalEntry, Lane, Message, Opened, Row, Store, journal};
use riskgate_engine::{
    AlarmKind, AlarmRecord, AlarmState, AlarmTurn, Class, Effect, Epoch, Evidence, HazardRecord, HazardStage,
    Level, Priority, Truth, Withheld, Words,
};
use riskgate_point::Wall;
use riskgate_power::disk::{Disk, Image};
use riskgate_power::vfs;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

const LIVES: u64 = 6;
const LONG: Duration = Duration::from_secs(60);
/// 2025-06-28: the journal's month ends during most runs, and its archive is written.
const EVENING: i64 = 1_751_068_800_000;
const HOUR_MS: i64 = 60 * 60 * 1000;
const ALL: usize = 1_000_000;

/// One transaction that was handed over: a batch, or an append.
#[derive(Debug, Clone)]
struct Handed {
    /// The names of its messages, by lane; at least one.
    messages: Vec<(Lane, String)>,
    hazards: Vec<(String, HazardStage)>,
    /// The revision of the one alarm.
    alarm: Option<u64>,
    /// Who did what it journals.
    by: Option<String>,
}

/// What the store has told so far.
#[derive(Debug, Default)]
struct Known {
    committed: Option<watch::Receiver<Committed>>,
    /// Transactions that were handed over when an append was answered: all of them are on disk.
    appended: usize,
    acknowledged: BTreeSet<i64>,
    cut: Option<Cut>,
}

/// At the moment when the power went.
#[derive(Debug)]
struct Cut {
    /// The last batch of this life that was told as committed.
    seq: u64,
    appended: usize,
    acknowledged: BTreeSet<i64>,
    mark: Option<Vec<u8>>,
    /// Archives of the journal: the store syncs them itself, before it relies on them.
    archives: Vec<(String, Vec<u8>)>,
}

/// One store, over all its lives.
struct Chain {
    seed: u64,
    rng: Rng,
    life: u64,
    at: i64,
    /// Every transaction that is or may be on disk, in order, and how many of them must be.
    handed: Vec<Handed>,
    told: usize,
    acknowledged: BTreeSet<i64>,
    epoch: Option<Epoch>,
    stages: BTreeMap<String, HazardStage>,
    alarm: u64,
    /// Of each batch of this life: its place in `handed`.
    places: Vec<usize>,
    /// What the mark said when this life began.
    mark: Option<Vec<u8>>,
    checkpoints: u64,
    /// For people: each cut.
    how: Vec<String>,
}

fn temp() -> TempDir {
    // Nothing here needs a real disk.
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a folder")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_committed_is_there_after_any_loss_of_power() {
    vfs::install();
    let number =
        |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().expect(name));
    let (first, count) = (number("RISKGATE_POWER_SEED", 1), number("RISKGATE_POWER_SEEDS", 200));
    let (mut transactions, mut checkpoints) = (0, 0);
    for seed in first..first + count {
        let chain = Chain::run(seed).await;
        transactions += chain.handed.len();
        checkpoints += chain.checkpoints;
    }
    println!(
        "seeds {first} to {}: {transactions} transactions kept, {checkpoints} lives with a checkpoint",
        first + count - 1
    );
}

impl Chain {
    async fn run(seed: u64) -> Self {
        let mut chain = Self {
            seed,
            rng: Rng::with_seed(seed),
            life: 0,
            at: EVENING,
            handed: Vec::new(),
            told: 0,
            acknowledged: BTreeSet::new(),
            epoch: None,
            stages: BTreeMap::new(),
            alarm: 0,
            places: Vec::new(),
            mark: None,
            checkpoints: 0,
            how: Vec::new(),
        };
        let mut dir = temp();
        for life in 1..=LIVES {
            chain.life = life;
            dir = chain.live(&dir).await;
        }
        let (store, opened) = chain.open(dir.path());
        chain.check(&store, &opened, dir.path()).await;
        store.close().expect("closes");
        chain
    }

    /// Opens what the last cut left, looks, works, and is cut off. Returns what is left.
    async fn live(&mut self, dir: &TempDir) -> TempDir {
        self.mark = fs::read(dir.path().join("state.mark")).ok();
        let known = Arc::new(Mutex::new(Known::default()));
        // Some lives end while the store is being opened, others behind thousands of writes.
        let until = 1 << self.rng.u32(2..13);
        let cut_at = self.rng.u64(1..=until);
        let noting = (Arc::clone(&known), dir.path().to_owned());
        Disk::begin(dir.path(), cut_at, self.rng.u64(..), move || note(&noting.0, &noting.1));
        let (store, opened) = self.open(dir.path());
        lock(&known).committed = Some(store.committed());
        let lived = !Disk::is_cut(dir.path());
        self.places.clear();
        if lived {
            self.epoch = Some(opened.epoch);
            self.check(&store, &opened, dir.path()).await;
            self.work(&store, dir.path(), &known).await;
            self.checkpoints += u64::from(store.committed().borrow().written.file_bytes > 0);
        }
        // In the middle of closing, or without it.
        let image = if self.rng.bool() {
            store.close().expect("closes");
            Disk::end(dir.path())
        } else {
            let image = Disk::end(dir.path());
            store.close().expect("closes");
            image
        };
        let cut = lock(&known).cut.take().expect("noted at the cut");
        // Batches are numbered from 1.
        let batches = usize::try_from(cut.seq).expect("a few");
        let committed = batches.checked_sub(1).map_or(0, |last| self.places[last] + 1);
        self.told = self.told.max(committed).max(cut.appended);
        self.acknowledged.extend(&cut.acknowledged);
        self.how.push(format!("life {}, {lived}: {}", self.life, image.how));
        self.develop(&image, &cut)
    }

    fn open(&mut self, dir: &Path) -> (Store, Opened) {
        self.at += self.rng.i64(0..12 * HOUR_MS);
        let (store, opened) = match Store::open(dir, Wall(self.at)) {
            Ok(both) => both,
            Err(error) => panic!("{self}: it does not open: {error:?}"),
        };
        assert_eq!(opened.kept_aside, None, "{self}: taken for damaged: {opened:?}");
        match self.epoch {
            Some(epoch) => assert_eq!((opened.epoch, opened.new), (epoch, None), "{self}: taken for another"),
            // The power went before anyone was told that there is a store.
            None => {
                assert!(matches!(opened.new, None | Some("created" | "empty_file")), "{self}: {opened:?}")
            }
        }
        (store, opened)
    }

    /// Exactly the first so many transactions are there, and not fewer than were told.
    async fn check(&mut self, store: &Store, opened: &Opened, dir: &Path) {
        let mut found: BTreeMap<Lane, Vec<Row>> = BTreeMap::new();
        for lane in Lane::ALL {
            let rows = store.range(lane, 1, 1 << 40, ALL).await.expect("read");
            let sequences: Vec<u64> = rows.iter().map(|row| row.sequence).collect();
            assert!(sequences.iter().copied().eq(1..=sequences.len() as u64), "{self}: holes in {lane:?}");
            found.insert(lane, rows);
        }
        let total: usize = found.values().map(Vec::len).sum();
        let (mut count, mut rows) = (0, 0);
        while rows < total && count < self.handed.len() {
            rows += self.handed[count].messages.len();
            count += 1;
        }
        assert!(
            count >= self.told,
            "{self}: {} transactions were told as committed, {count} are there",
            self.told
        );
        self.handed.truncate(count);
        for (lane, rows) in &found {
            let names: Vec<&String> = rows.iter().map(|row| &row.message.object).collect();
            let messages = self.handed.iter().flat_map(|handed| &handed.messages);
            let expected: Vec<&String> =
                messages.filter(|(of, _)| of == lane).map(|(_, name)| name).collect();
            assert_eq!(names, expected, "{self}: half a transaction in {lane:?}");
        }
        self.stages = self.handed.iter().flat_map(|handed| handed.hazards.iter().cloned()).collect();
        let hazards = opened.restored.hazards.iter().map(|hazard| (hazard.cause.clone(), hazard.stage));
        assert_eq!(hazards.collect::<BTreeMap<_, _>>(), self.stages, "{self}: hazards");
        let alarms: Vec<u64> = opened.restored.alarms.iter().map(|alarm| alarm.revision).collect();
        let alarm = self.handed.iter().rev().find_map(|handed| handed.alarm);
        assert_eq!(alarms, Vec::from_iter(alarm), "{self}: the alarm");
        for lane in Lane::ALL {
            let pending = store.lease(lane, 0, ALL).await.expect("read");
            let again = pending.iter().find(|row| self.acknowledged.contains(&row.seq));
            assert!(again.is_none(), "{self}: acknowledged, and pending again: {again:?}");
        }
        self.check_journal(dir);
        self.told = count;
    }

    fn check_journal(&self, dir: &Path) {
        let proof = journal::prove(dir, None, &mut |_| {}).expect("can be read");
        assert!(proof.is_ok(), "{self}: the journal is broken: {proof:?}");
        let mut persons = Vec::new();
        let take = |entry: journal::Entry| {
            persons.extend((entry.by != "riskgate").then_some(entry.by));
            true
        };
        journal::read(dir, &journal::Filter::default(), take).expect("can be read");
        let expected: Vec<String> = self.handed.iter().filter_map(|handed| handed.by.clone()).collect();
        assert_eq!(persons, expected, "{self}: acts");
    }

    /// Hands over transactions until the power is gone or the life is over.
    async fn work(&mut self, store: &Store, dir: &Path, known: &Mutex<Known>) {
        let mut seq = 0;
        // A third writes so much that the WAL goes back into the file.
        let most = if self.rng.u8(..3) == 0 { 60 * 1024 } else { 300 };
        for _ in 0..self.rng.u32(0..40) {
            if Disk::is_cut(dir) {
                return;
            }
            match self.rng.u8(..10) {
                0 => {
                    // So that it stands behind them.
                    caught_up(store, seq).await;
                    self.append(store, known).await;
                }
                1 | 2 => self.acknowledge(store, known).await,
                3 => caught_up(store, seq).await,
                _ => {
                    seq += 1;
                    let batch = self.batch(seq, most);
                    store.try_commit(batch).expect("room");
                }
            }
        }
        caught_up(store, seq).await;
    }

    /// A name that no other transaction has.
    fn name(&self, what: &str) -> String {
        format!("{what} {}/{}", self.life, self.handed.len())
    }

    fn batch(&mut self, seq: u64, most: usize) -> Batch {
        self.at += self.rng.i64(0..HOUR_MS);
        self.alarm += 1;
        let mut hazards = Vec::new();
        for n in 0..self.rng.usize(0..3) {
            let last = self.stages.iter().next_back().filter(|_| self.rng.bool());
            let (cause, stage) = match last {
                Some((cause, HazardStage::Rectifying)) => (cause.clone(), HazardStage::AwaitingAcceptance),
                Some(_) | None => {
                    (format!("{:05}/{n}/{}", self.handed.len(), self.life), HazardStage::Rectifying)
                }
            };
            self.stages.insert(cause.clone(), stage);
            hazards.push((cause, stage));
        }
        let mut messages = Vec::new();
        let mut names = Vec::new();
        for n in 0..self.rng.usize(1..6) {
            let lane = self.rng.choice(Lane::ALL).expect("one");
            let name = self.name(&format!("message {n}"));
            messages.push(message(lane, &name, self.at, &"x".repeat(self.rng.usize(0..=most))));
            names.push((lane, name));
        }
        let effects = hazards.iter().map(|(cause, stage)| hazard(cause, *stage, self.at));
        let effects = effects.chain([alarm(self.alarm)]).collect();
        let by = self.rng.bool().then(|| self.name("person"));
        let acts = by.iter().map(|by| act(by, self.at)).collect();
        self.places.push(self.handed.len());
        self.handed.push(Handed { messages: names, hazards, alarm: Some(self.alarm), by });
        Batch { seq, effects, messages, acts, commands: Vec::new(), at: Wall(self.at) }
    }

    async fn append(&mut self, store: &Store, known: &Mutex<Known>) {
        let (name, by) = (self.name("gap"), self.name("append"));
        let messages = vec![message(Lane::Gap, &name, self.at, "")];
        let entries = vec![act(&by, self.at)];
        let messages_of = vec![(Lane::Gap, name)];
        self.handed.push(Handed { messages: messages_of, hazards: Vec::new(), alarm: None, by: Some(by) });
        store.append(messages, entries).await.expect("written");
        lock(known).appended = self.handed.len();
    }

    async fn acknowledge(&mut self, store: &Store, known: &Mutex<Known>) {
        let lane = self.rng.choice(Lane::ALL).expect("one");
        let rows = store.lease(lane, 0, self.rng.usize(1..8)).await.expect("read");
        let rows: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        store.acknowledge(rows.clone(), Wall(self.at)).await.expect("written");
        lock(known).acknowledged.extend(rows);
    }

    /// A folder with what the disk still had.
    fn develop(&mut self, image: &Image, cut: &Cut) -> TempDir {
        let dir = temp();
        let put = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).expect("written");
        for (name, bytes) in &image.files {
            if name.starts_with("state.db") && !name.ends_with("-shm") {
                put(name, bytes);
            }
        }
        if self.rng.u8(..4) == 0 {
            // Nobody syncs it, and SQLite makes nothing of it.
            put(
                "state.db-shm",
                &std::iter::repeat_with(|| self.rng.u8(..)).take(32 * 1024).collect::<Vec<_>>(),
            );
        }
        // The mark is not synced either: it may be as it was at any time, or zeros, or not be there.
        match (self.rng.u8(..6), &self.mark, &cut.mark) {
            (0, _, _) => {}
            (1, _, Some(mark)) => put("state.mark", &vec![0; mark.len()]),
            (2, Some(before), _) => put("state.mark", before),
            (_, _, Some(mark)) => put("state.mark", mark),
            (_, _, None) => {}
        }
        for (name, bytes) in &cut.archives {
            fs::create_dir_all(dir.path().join("journal")).expect("made");
            put(&format!("journal/{name}"), bytes);
        }
        dir
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, life {} ({})", self.seed, self.life, self.how.join("; "))
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().expect("sound")
}

/// The power goes: what had the store told by now?
fn note(known: &Mutex<Known>, dir: &Path) {
    let mut known = lock(known);
    let archives = fs::read_dir(dir.join("journal")).into_iter().flatten().map(|entry| {
        let entry = entry.expect("an entry");
        (entry.file_name().into_string().expect("a name of ours"), fs::read(entry.path()).expect("its bytes"))
    });
    known.cut = Some(Cut {
        seq: known.committed.as_ref().map_or(0, |committed| committed.borrow().seq),
        appended: known.appended,
        acknowledged: known.acknowledged.clone(),
        mark: fs::read(dir.join("state.mark")).ok(),
        archives: archives.collect(),
    });
}

async fn caught_up(store: &Store, seq: u64) {
    let mut committed = store.committed();
    let caught_up = committed.wait_for(|committed| committed.seq >= seq);
    drop(tokio::time::timeout(LONG, caught_up).await.expect("in time").expect("open"));
}

fn act(by: &str, at: i64) -> JournalEntry {
    JournalEntry { at: Wall(at), by: by.to_owned(), what: "act".to_owned(), body: json!({}) }
}

fn message(lane: Lane, object: &str, at: i64, filler: &str) -> Message {
    Message {
        lane,
        topic: "hazard/U-1".to_owned(),
        retain: false,
        kind: "riskgate.hazard.v1".to_owned(),
        object: object.to_owned(),
        revision: 1,
        time: Wall(at),
        data: json!({ "id": object, "revision": 1, "filler": filler }),
    }
}

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

fn alarm(revision: u64) -> Effect {
    Effect::Alarm(Arc::new(AlarmRecord {
        id: "GD-101/H".to_owned(),
        kind: AlarmKind::Limit,
        state: AlarmState::Unacknowledged,
        class: Class::Gas,
        priority: Priority::High,
        unit: Some("U-1".to_owned()),
        measure: Some("M-1".to_owned()),
        words: Words::default(),
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

fn hazard(cause: &str, stage: HazardStage, at: i64) -> Effect {
    Effect::Hazard(Arc::new(HazardRecord {
        id: Uuid::new_v5(&Uuid::nil(), cause.as_bytes()),
        opening: 1,
        measure: "M-1".to_owned(),
        unit: "U-1".to_owned(),
        cause: cause.to_owned(),
        rule: "r".to_owned(),
        level: Level::General,
        stage,
        words: Words::default(),
        raised: Wall(at),
        changed: Wall(at),
        deadline: Wall(at + HOUR_MS),
        liable_person: "张三".to_owned(),
        confirmed: None,
        rectify_within: Duration::from_hours(24),
        overdue: None,
        late: false,
        group: None,
        recurrences: 0,
        repeats: 0,
        returned: None,
        previous: None,
        acts: Vec::new(),
        evidence: evidence(),
        revision: if stage == HazardStage::Rectifying { 1 } else { 2 },
    }))
}

/// What is left of twenty commits that were told, each with one row, behind a cut at the end.
fn left_of_twenty(synchronous: &str, seed: u64) -> i64 {
    let dir = temp();
    let count = |dir: &Path| {
        let connection = Connection::open(dir.join("state.db")).expect("opens");
        connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap_or(0)
    };
    let connection = Connection::open(dir.path().join("state.db")).expect("opens");
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).expect("set");
    connection.pragma_update(None, "synchronous", synchronous).expect("set");
    connection.execute_batch("CREATE TABLE t (n INTEGER)").expect("made");
    connection.close().expect("closes");
    Disk::begin(dir.path(), u64::MAX, seed, || {});
    let connection = Connection::open(dir.path().join("state.db")).expect("opens");
    connection.pragma_update(None, "synchronous", synchronous).expect("set");
    for n in 0..20 {
        connection.execute("INSERT INTO t (n) VALUES (?1)", [n]).expect("committed");
    }
    let image = Disk::end(dir.path());
    assert_eq!(count(dir.path()), 20, "without the cut all are there");
    let after = temp();
    for (name, bytes) in image.files.iter().filter(|(name, _)| !name.ends_with("-shm")) {
        fs::write(after.path().join(name), bytes).expect("written");
    }
    count(after.path())
}

#[test]
fn this_disk_forgets_what_was_not_synced_and_nothing_else() {
    vfs::install();
    let left = |synchronous| -> Vec<i64> { (1..=40).map(|seed| left_of_twenty(synchronous, seed)).collect() };
    assert!(left("FULL").iter().all(|left| *left == 20));
    let normal = left("NORMAL");
    assert!(normal.iter().filter(|left| **left < 20).count() > 10, "{normal:?}");
    assert!(normal.iter().any(|left| (1..20).contains(left)), "also some of it: {normal:?}");
}
