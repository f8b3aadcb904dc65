//! What must be true of everything that the receiver gets, whatever happened on the way.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use jiff::Timestamp;
use riskgate_point::{Value as PointValue, Wall};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::all_committed;
use crate::store::{Batch, Lane};
use crate::uplink::scripted::Arrived;

/// A receiver who drops repeats and keeps the highest revision, and who knows what was decided.
#[derive(Default)]
pub(super) struct Oracle {
    /// What each message of a lane said, by its sequence.
    rows: BTreeMap<String, BTreeMap<u64, u64>>,
    /// Sequences that were passed over when a later one came first: gaps must tell of them.
    passed: BTreeSet<(String, u64)>,
    told: BTreeSet<(String, u64)>,
    /// Kinds and objects whose newest state a gap tells of.
    excused: HashSet<String>,
    excused_objects: HashSet<(String, u64)>,
    /// The newest revision of each object, by the table that has it.
    newest: BTreeMap<(&'static str, String), (u64, Value)>,
    decided: HashMap<(String, String, u64), Vec<u64>>,
    /// Readings that the agent was given and that must come, and when they were received.
    fed: HashMap<(u32, u64), i64>,
    /// Those that came, with those that were never owed.
    had: HashSet<(u32, u64)>,
    gap_ids: HashSet<String>,
    dropped: u64,
    crash_gaps: Vec<(i64, i64)>,
    connection: u64,
    sent_now: BTreeMap<String, u64>,
    pub(super) arrivals: u64,
    pub(super) undurable: u64,
    pub(super) evicted: u64,
    pub(super) refused: u64,
    pub(super) trace: Trace,
}

/// The same seed gives the same.
pub(super) struct Trace(DefaultHasher);

impl Default for Trace {
    fn default() -> Self {
        Self(DefaultHasher::new())
    }
}

impl Trace {
    pub(super) fn note(&mut self, what: impl Hash) {
        what.hash(&mut self.0);
    }

    pub(super) fn hash(&self) -> u64 {
        self.0.finish()
    }
}

fn hash_of(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

fn table_of(kind: &str) -> Option<&'static str> {
    match kind {
        "riskgate.alarm.v1" => Some("alarm"),
        "riskgate.hazard.v1" | "riskgate.candidate.v1" => Some("hazard"),
        "riskgate.task.v1" => Some("task"),
        "riskgate.risk.v1" => Some("unit"),
        _ => None,
    }
}

pub(super) fn millis(data: &Value, field: &str) -> i64 {
    let text = data[field].as_str().expect("a time");
    text.parse::<Timestamp>().map_or_else(|_| text.parse().expect("a number"), Timestamp::as_millisecond)
}

impl Oracle {
    pub(super) fn decided(&mut self, batches: Vec<Batch>) {
        for message in batches.into_iter().flat_map(|batch| batch.messages) {
            let key = (message.kind, message.object, message.revision);
            self.decided.entry(key).or_default().push(hash_of(&message.data));
        }
    }

    pub(super) fn fed(&mut self, point: u32, value: f64, at: Wall) {
        self.fed.insert((point, value.to_bits()), at.0);
    }

    pub(super) fn arrived(&mut self, arrived: &Arrived, now_ms: u64) {
        self.arrivals += 1;
        self.trace.note((now_ms, &arrived.topic, &arrived.payload, arrived.retain));
        if arrived.connection != self.connection {
            self.connection = arrived.connection;
            self.sent_now.clear();
        }
        let below = arrived.topic.strip_prefix("riskgate/v1/540170007/54017000701/").expect("our root");
        if arrived.payload.is_empty() {
            assert!(arrived.retain, "nothing, to clear a topic");
            return;
        }
        let message: Value = serde_json::from_slice(&arrived.payload).expect("JSON");
        if below == "state" {
            self.state(&message);
            return;
        }
        let data = &message["data"];
        let kind = message["type"].as_str().unwrap_or_default();
        if let Some(sequence) = message["sequence"].as_u64() {
            let lane = message["lane"].as_str().expect("a lane").to_owned();
            self.row(&lane, sequence, &message);
            if lane == "gap" {
                self.gap(data);
            } else {
                self.is_decided(kind, data);
                self.keep(kind, data);
            }
        } else if kind == "riskgate.telemetry.v1" {
            self.readings(data);
        } else if data["durable"] == Value::Bool(false) {
            self.undurable += 1;
            let mut durable = data.clone();
            durable["durable"] = Value::Bool(true);
            self.is_decided(kind, &durable);
        }
    }

    fn row(&mut self, lane: &str, sequence: u64, message: &Value) {
        let said = hash_of(&serde_json::json!([message["id"], message["type"], message["data"]]));
        let rows = self.rows.entry(lane.to_owned()).or_default();
        let newest = rows.keys().next_back().copied().unwrap_or(0);
        match rows.insert(sequence, said) {
            Some(before) => assert_eq!(before, said, "{lane} {sequence} says something else: {message}"),
            None => {
                assert!(sequence > newest, "{lane} {sequence} came behind {newest}");
                self.passed.extend((newest + 1..sequence).map(|passed| (lane.to_owned(), passed)));
            }
        }
    }

    fn is_decided(&self, kind: &str, data: &Value) {
        let object = data["id"].as_str().expect("an object").to_owned();
        let revision = data["revision"].as_u64().expect("a revision");
        let decided = self.decided.get(&(kind.to_owned(), object, revision));
        assert!(
            decided.is_some_and(|decided| decided.contains(&hash_of(data))),
            "nobody decided this {kind}: {data}"
        );
    }

    fn keep(&mut self, kind: &str, data: &Value) {
        let Some(table) = table_of(kind) else { return };
        let object = data["id"].as_str().expect("an object").to_owned();
        let revision = data["revision"].as_u64().expect("a revision");
        let newest = self.newest.entry((table, object)).or_insert_with(|| (0, Value::Null));
        if revision >= newest.0 {
            *newest = (revision, data.clone());
        }
    }

    fn gap(&mut self, data: &Value) {
        if !self.gap_ids.insert(data["id"].as_str().expect("an id").to_owned()) {
            return;
        }
        let lane = data["lane"].as_str().expect("a lane").to_owned();
        if lane == "telemetry" {
            match data["count"].as_u64() {
                Some(count) => self.dropped += count,
                None => self.crash_gaps.push((millis(data, "from"), millis(data, "to"))),
            }
            return;
        }
        match data["reason"].as_str().expect("a reason") {
            "refused" => {
                self.refused += 1;
                let object = data["object"].as_str().expect("an object").to_owned();
                self.excused_objects.insert((object, data["objectRevision"].as_u64().expect("a revision")));
                self.told.insert((lane, data["fromSequence"].as_u64().expect("a sequence")));
            }
            "outbox_full" => {
                let kind = data["kind"].as_str().expect("a kind");
                assert!(table_of(kind) != Some("hazard"), "a hazard was evicted: {data}");
                self.excused.insert(kind.to_owned());
                let mut count = 0;
                for range in data["ranges"].as_array().expect("ranges") {
                    let end = |at: usize| range[at].as_u64().expect("a sequence");
                    for sequence in end(0)..=end(1) {
                        count += 1;
                        self.told.insert((lane.clone(), sequence));
                    }
                }
                assert_eq!(data["count"], count, "{data}");
                self.evicted += count;
            }
            other => panic!("a gap of another kind: {other}"),
        }
    }

    /// What a receiver that was there must have by now.
    fn state(&mut self, state: &Value) {
        let Some(last) = state["last"].as_object() else { return };
        for (lane, claimed) in last {
            let newest = self.rows.get(lane).and_then(|rows| rows.keys().next_back().copied()).unwrap_or(0);
            let claimed = claimed.as_u64().expect("a sequence");
            // The last of them may have gone as a gap: it must be told in the end.
            self.passed.extend((newest + 1..=claimed).map(|passed| (lane.clone(), passed)));
        }
    }

    fn readings(&mut self, data: &Value) {
        for reading in data["values"].as_array().expect("values") {
            let Some(value) = reading["value"].as_f64() else { continue };
            let tag = reading["tag"].as_str().expect("a tag");
            let point: u32 = tag.trim_start_matches("LT-").parse().expect("our tag");
            let key = (point, value.to_bits());
            assert!(self.fed.contains_key(&key) || self.had.contains(&key), "nobody read {reading}");
            self.fed.remove(&key);
            self.had.insert(key);
        }
    }

    /// Readings that neither came nor are within what a gap tells.
    pub(super) fn missing(&self) -> Vec<(u32, f64, i64)> {
        let told = |at: i64| self.crash_gaps.iter().any(|(from, to)| (*from..=*to).contains(&at));
        let missing = self.fed.iter().filter(|(_, at)| !told(**at));
        missing.map(|((point, bits), at)| (*point, f64::from_bits(*bits), *at)).collect()
    }

    pub(super) fn crash_gaps(&self) -> &[(i64, i64)] {
        &self.crash_gaps
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn has_row_about(&self, object: &str, revision: u64) -> bool {
        self.newest.iter().any(|((_, id), (newest, _))| id == object && *newest >= revision)
    }

    pub(super) fn newest_sequence(&self, lane: &str) -> u64 {
        self.rows.get(lane).and_then(|rows| rows.keys().next_back().copied()).unwrap_or(0)
    }

    /// Nothing is under way any more.
    pub(super) fn is_drained(&self, connection: &Connection) -> bool {
        let pending: i64 = connection
            .query_row("SELECT count(*) FROM outbox WHERE sent_at IS NULL", [], |row| row.get(0))
            .expect("read");
        let missing = u64::try_from(self.missing().len()).expect("small");
        pending == 0 && missing <= self.dropped
    }

    /// After everything: what is committed was delivered, or is told as a gap.
    pub(super) fn finish(&mut self, dir: &Path) {
        let connection = reader(dir);
        let lanes = rows(&connection, "SELECT lane, last FROM lane");
        let committed = all_committed();
        for (lane, last) in lanes {
            let had = self.rows.remove(&lane).unwrap_or_default();
            let last = u64::try_from(last).expect("a sequence");
            // What the uplink appends are gaps.
            let lane_of = Lane::of_word(&lane).expect("a lane");
            let messages = committed.of(lane_of);
            assert!(
                messages == last || lane_of == Lane::Gap,
                "{messages} in {lane} were committed, {last} rows made"
            );
            assert!(
                had.keys().next_back().is_none_or(|newest| *newest <= last),
                "{lane}: more than was committed"
            );
            for sequence in 1..=last {
                let told = self.told.contains(&(lane.clone(), sequence));
                assert!(had.contains_key(&sequence) || told, "{lane} {sequence} of {last} is lost");
            }
        }
        for passed in &self.passed {
            assert!(self.told.contains(passed), "{passed:?} was passed over and never told");
        }
        for table in ["alarm", "hazard", "task", "unit"] {
            let kind = if table == "unit" { "risk" } else { table };
            let evicted = self.excused.contains(&format!("riskgate.{kind}.v1"));
            for (object, revision) in rows(&connection, &format!("SELECT id, revision FROM {table}")) {
                let revision = u64::try_from(revision).expect("a revision");
                let newest = self.newest.get(&(table, object.clone())).map_or(0, |(newest, _)| *newest);
                let refused = self.excused_objects.contains(&(object.clone(), revision));
                assert!(
                    newest == revision || (newest < revision && (refused || (evicted && table != "hazard"))),
                    "{table} {object} is at {revision}, upstream has {newest}"
                );
            }
        }
        let missing = self.missing();
        assert!(
            u64::try_from(missing.len()).expect("small") <= self.dropped,
            "{} readings are missing and {} were told; gaps {:?}; {:?}",
            missing.len(),
            self.dropped,
            self.crash_gaps,
            missing.iter().take(5).collect::<Vec<_>>()
        );
    }
}

pub(super) fn reader(dir: &Path) -> Connection {
    let path = dir.join("state.db");
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a reader")
}

fn rows(connection: &Connection, query: &str) -> Vec<(String, i64)> {
    let mut statement = connection.prepare(query).expect("a query");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    rows.collect::<Result<_, _>>().expect("read")
}

/// The number in a reading's value.
pub(super) fn float(number: f64) -> PointValue {
    PointValue::float(number).expect("finite")
}
