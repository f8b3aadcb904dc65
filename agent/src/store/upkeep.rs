//! What keeps the file within its bounds: how many rows the outbox holds, what goes first when it is full, and when
//! the WAL is written back.
//!
//! When there are too many rows or the file is too large, these go, a bite at a time and the oldest first: rows that
//! upstream has acknowledged, then pending updates of alarms that are cleared, then states of tasks and unit risks
//! that a newer pending one replaces. Of the pending ones a counted gap tells lane, class and range. A hazard is never
//! evicted: at the hard end the disk counts as full, and alarms and hazards go out undurable.

use riskgate_point::Wall;
use rusqlite::{Connection, params};
use serde_json::json;

use super::{Lane, LastSequences, Message, StoreError, int, outbox, sql, uint};
use crate::sqlite::Meter;

/// Three weeks of 10 critical messages a minute and as much of everything else; a start reads them in under 2 s.
const ROWS_MAX: u64 = 1_000_000;

/// Of a gateway's card of 8 GB or more. Beyond it by an eighth, nothing more is written.
const BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Rows that go in one go, and rows that are looked at for it: under 20 ms of the writer's time.
const BITE_ROWS: i64 = 500;
const LOOK_ROWS: i64 = 2_000;

/// A WAL of this length is written back: SQLite's own size.
const CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { rows: ROWS_MAX, bytes: BYTES_MAX }
    }
}

/// How many rows the outbox holds. Counted once at opening and then kept: a million is not counted in passing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rows {
    pending: LastSequences,
    sent: u64,
}

impl Rows {
    pub(super) fn count(connection: &Connection) -> Result<Self, StoreError> {
        let failed = || sql("count the rows of the outbox");
        let mut pending = LastSequences::default();
        for lane in Lane::ALL {
            let query = "SELECT count(*) FROM outbox WHERE lane = ?1 AND sent_at IS NULL";
            let count = connection.query_row(query, [lane.word()], |row| row.get(0)).map_err(failed())?;
            pending.set(lane, uint(count));
        }
        let query = "SELECT count(*) FROM outbox WHERE sent_at IS NOT NULL";
        let sent = connection.query_row(query, [], |row| row.get(0)).map_err(failed())?;
        Ok(Self { pending, sent: uint(sent) })
    }

    pub(super) fn pending(&self, lane: Lane) -> u64 {
        self.pending.of(lane)
    }

    fn all(&self) -> u64 {
        Lane::ALL.into_iter().map(|lane| self.pending(lane)).sum::<u64>() + self.sent
    }

    /// Sequences have no holes: what was given out was appended.
    pub(super) fn appended(&mut self, before: LastSequences, after: LastSequences) {
        for lane in Lane::ALL {
            let more = after.of(lane).saturating_sub(before.of(lane));
            self.pending.set(lane, self.pending(lane) + more);
        }
    }

    pub(super) fn acknowledged(&mut self, lane: Lane, rows: u64) {
        self.pending.set(lane, self.pending(lane).saturating_sub(rows));
        self.sent += rows;
    }

    pub(super) fn forgotten(&mut self, rows: usize) {
        self.sent = self.sent.saturating_sub(u64::try_from(rows).unwrap_or(u64::MAX));
    }

    fn evicted(&mut self, lane: Lane, rows: u64) {
        self.pending.set(lane, self.pending(lane).saturating_sub(rows));
    }
}

/// What may go, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Class {
    #[default]
    Sent,
    ClearedAlarms,
    Replaced,
}

/// What the upkeep remembers.
#[derive(Debug)]
pub(super) struct Upkeep {
    pub(super) bounds: Bounds,
    class: Class,
    /// The last row that was looked at for the class.
    after: i64,
    meter: Meter,
}

/// Bytes since the opening: to the WAL, and from there to the file at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    pub wal_bytes: u64,
    pub file_bytes: u64,
}

/// What one bite took.
struct Bite {
    rows: Vec<(i64, u64)>,
    /// The last row that was looked at, and whether there is more behind it.
    last: i64,
    more: bool,
}

impl Upkeep {
    pub(super) fn of(connection: &Connection) -> Result<Self, StoreError> {
        let meter = Meter::of(connection).map_err(sql("read the size of its pages"))?;
        Ok(Self { bounds: Bounds::default(), class: Class::default(), after: 0, meter })
    }

    pub(super) fn written(&self) -> Written {
        Written { wal_bytes: self.meter.wal_bytes, file_bytes: self.meter.file_bytes }
    }

    /// The end of the file, which no commit passes.
    pub(super) fn set_end(&self, connection: &Connection) -> Result<(), StoreError> {
        let pages = int((self.bounds.bytes + self.bounds.bytes / 8) / self.meter.page_bytes);
        connection
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .map_err(sql("bound the size of the store"))
    }

    pub(super) fn is_over(&self, connection: &Connection, rows: &Rows) -> Result<bool, StoreError> {
        if rows.all() > self.bounds.rows {
            return Ok(true);
        }
        let read = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        let pages = read("page_count").and_then(|all| Ok(uint(all - read("freelist_count")?)));
        Ok(pages.map_err(sql("read the size of the store"))? * self.meter.page_bytes > self.bounds.bytes)
    }

    /// Takes one bite of what may go now, in the caller's transaction; `rows` is told of it. Returns how many rows went.
    pub(super) fn evict(
        &mut self,
        connection: &Connection,
        rows: &mut Rows,
        at: Wall,
    ) -> Result<usize, StoreError> {
        let (class, after) = (self.class, self.after);
        let lane_kinds: &[(Lane, &str)] = match class {
            Class::Sent => {
                let gone = outbox::forget_sent(connection, BITE_ROWS)?;
                rows.forgotten(gone);
                if gone == 0 {
                    self.class = Class::ClearedAlarms;
                }
                return Ok(gone);
            }
            Class::ClearedAlarms => &[(Lane::Critical, "riskgate.alarm.v1")],
            Class::Replaced => &[(Lane::Work, "riskgate.task.v1"), (Lane::Critical, "riskgate.risk.v1")],
        };
        let (mut gone, mut next) = (0, None);
        for (lane, kind) in lane_kinds {
            let bite = look(connection, class, *lane, kind, after)?;
            // The lanes share one place to go on from: the one that is behind decides.
            let behind = bite.more.then_some(bite.last);
            next = next.into_iter().chain(behind).min();
            for (row, _) in &bite.rows {
                connection
                    .prepare_cached("DELETE FROM outbox WHERE row = ?1")
                    .and_then(|mut statement| statement.execute([row]))
                    .map_err(sql("evict outbox rows"))?;
            }
            rows.evicted(*lane, u64::try_from(bite.rows.len()).unwrap_or(u64::MAX));
            gone += bite.rows.len();
            if let Some(gap) = gap(*lane, kind, &bite.rows, at) {
                tracing::warn!(
                    lane = lane.word(),
                    kind,
                    rows = bite.rows.len(),
                    "the outbox is full; a gap is told"
                );
                outbox::append(connection, &gap)?;
            }
        }
        (self.class, self.after) = match (next, class) {
            (Some(next), _) => (class, next),
            (None, Class::ClearedAlarms) => (Class::Replaced, 0),
            (None, Class::Sent | Class::Replaced) => (Class::Sent, 0),
        };
        Ok(gone)
    }

    /// Between two commits: counts what the last one wrote, and writes a long WAL back. It waits for no reader.
    pub(super) fn after_commit(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let pages = self.meter.look(connection).map_err(sql("look at the WAL"))?;
        if pages * self.meter.page_bytes >= CHECKPOINT_BYTES {
            self.meter.write_back(connection).map_err(sql("write the WAL back"))?;
        }
        Ok(())
    }
}

/// The rows of a class behind row `after`.
fn look(
    connection: &Connection,
    class: Class,
    lane: Lane,
    kind: &str,
    after: i64,
) -> Result<Bite, StoreError> {
    let may_go = match (class, lane) {
        (Class::Sent | Class::ClearedAlarms, _) => {
            "SELECT 1 FROM alarm WHERE id = it.object AND json_extract(body, '$.state') = 'normal'"
        }
        // Their newer state is behind them in the same lane.
        (Class::Replaced, Lane::Critical) => {
            "SELECT 1 FROM unit WHERE id = it.object AND revision > it.revision"
        }
        (Class::Replaced, Lane::Work | Lane::Gap) => {
            "SELECT 1 FROM task WHERE id = it.object AND revision > it.revision"
        }
    };
    let query = format!(
        "SELECT it.row, it.sequence, it.kind = ?2 AND EXISTS ({may_go}) FROM outbox AS it
         WHERE it.lane = ?1 AND it.sent_at IS NULL AND it.row > ?3 ORDER BY it.row LIMIT ?4"
    );
    let failed = || sql("look for outbox rows to evict");
    let mut statement = connection.prepare_cached(&query).map_err(failed())?;
    let mut found = statement.query(params![lane.word(), kind, after, LOOK_ROWS]).map_err(failed())?;
    let mut bite = Bite { rows: Vec::new(), last: after, more: false };
    let mut looked = 0;
    while let Some(row) = found.next().map_err(failed())? {
        looked += 1;
        bite.last = row.get(0).map_err(failed())?;
        if row.get(2).map_err(failed())? {
            bite.rows.push((bite.last, uint(row.get(1).map_err(failed())?)));
        }
        if int(u64::try_from(bite.rows.len()).unwrap_or(u64::MAX)) >= BITE_ROWS {
            bite.more = true;
            return Ok(bite);
        }
    }
    bite.more = looked >= LOOK_ROWS;
    Ok(bite)
}

/// What upstream will not have: how many, from where to where, and which exactly.
fn gap(lane: Lane, kind: &str, rows: &[(i64, u64)], at: Wall) -> Option<Message> {
    let (first, last) = (rows.first()?.1, rows.last()?.1);
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for (_, sequence) in rows {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == *sequence => *end = *sequence,
            Some(_) | None => ranges.push((*sequence, *sequence)),
        }
    }
    let id = format!("evicted:{}:{first}:{last}", lane.word());
    Some(Message {
        lane: Lane::Gap,
        topic: "gap".to_owned(),
        retain: false,
        kind: "riskgate.gap.v1".to_owned(),
        object: id.clone(),
        revision: 1,
        time: at,
        data: json!({
            "id": id,
            "revision": 1,
            "lane": lane.word(),
            "kind": kind,
            "count": rows.len(),
            "fromSequence": first,
            "toSequence": last,
            "ranges": ranges,
            "reason": "outbox_full",
        }),
    })
}

#[cfg(test)]
mod tests {
    use riskgate_engine::{AlarmState, Effect, HazardStage};
    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::super::open::{is_full, open};
    use super::super::tests::{alarm, batch, hazard, message, task};
    use super::super::writer::Database;
    use super::*;

    fn opened(bounds: Bounds) -> (TempDir, Database) {
        let dir = TempDir::new().expect("a directory");
        let (mut database, _) = open(dir.path(), Wall(1)).expect("opens");
        database.upkeep.bounds = bounds;
        (dir, database)
    }

    fn cleared(id: &str) -> Effect {
        let Effect::Alarm(mut record) = alarm(id, 2) else { panic!("an alarm") };
        std::sync::Arc::make_mut(&mut record).state = AlarmState::Normal;
        Effect::Alarm(record)
    }

    fn messages(kind: &str, object: &str, n: u64) -> Vec<Message> {
        let of_kind = |revision| Message {
            kind: format!("riskgate.{kind}.v1"),
            ..message(Lane::Critical, object, revision)
        };
        (1..=n).map(of_kind).collect()
    }

    fn evict_all(database: &mut Database) -> usize {
        let mut all = 0;
        // A class that is done gives nothing once: three in a row are all classes.
        let mut nothing = 0;
        while nothing < 3 {
            let gone = database.evict(Wall(9)).expect("evicted");
            nothing = if gone == 0 { nothing + 1 } else { 0 };
            all += gone;
        }
        all
    }

    fn left(database: &Database, condition: &str) -> i64 {
        let query = format!("SELECT count(*) FROM outbox WHERE {condition}");
        database.connection.query_row(&query, [], |row| row.get(0)).expect("read")
    }

    fn counted(connection: &Connection) -> Rows {
        Rows::count(connection).expect("counted")
    }

    #[test]
    fn acknowledged_rows_go_first_then_cleared_alarms_then_replaced_states_and_hazards_never() {
        let (_dir, mut database) = opened(Bounds { rows: 10, bytes: BYTES_MAX });
        let mut all = messages("hazard", "h", 1_200);
        all.extend(messages("alarm", "gone", 1_300));
        all.extend(messages("alarm", "open", 5));
        let old = Message { kind: "riskgate.task.v1".to_owned(), ..message(Lane::Work, "T-1", 0) };
        let new = Message { kind: "riskgate.task.v1".to_owned(), ..message(Lane::Work, "T-1", 1) };
        all.extend([old, new]);
        let effects =
            vec![cleared("gone"), alarm("open", 1), hazard("c", 1, HazardStage::Rectifying, 1), task("T-1")];
        database.write(&[batch(1, effects, all)]).expect("written");
        let sent: Vec<i64> = (1..=600).collect();
        database.acknowledge(&sent, Wall(2), false).expect("written");
        assert_eq!(database.rows, counted(&database.connection));
        // Of 1,300 updates, all but none: what upstream shows of a cleared alarm is the least that it needs.
        assert_eq!(evict_all(&mut database), 600 + 1_300 + 1);
        assert_eq!(
            left(&database, "kind = 'riskgate.hazard.v1'"),
            600,
            "open hazards stay, over every bound"
        );
        assert_eq!(left(&database, "object = 'open'"), 5);
        assert_eq!(left(&database, "object = 'T-1'"), 1);
        assert_eq!(database.rows, counted(&database.connection));
        let gaps = outbox::lease(&database.connection, Lane::Gap, 0, 100).expect("leased");
        let told: u64 = gaps.iter().map(|gap| gap.message.data["count"].as_u64().expect("a count")).sum();
        assert_eq!(told, 1_301, "each pending row that went was told");
        let first = &gaps[0].message.data;
        assert_eq!((&first["lane"], &first["reason"]), (&json!("critical"), &json!("outbox_full")));
        assert_eq!(first["ranges"], json!([[1_201, 1_700]]));
        assert!(gaps.iter().all(|gap| gap.message.data["kind"] != json!("riskgate.hazard.v1")));
    }

    #[test]
    fn a_file_that_is_too_large_is_eased_and_beyond_its_end_nothing_is_written() {
        let bytes = 1024 * 1024;
        let (_dir, mut database) = opened(Bounds { rows: ROWS_MAX, bytes });
        database.upkeep.set_end(&database.connection).expect("set");
        let long = "x".repeat(2_000);
        let big = |kind: &str, object: &str, revision| {
            let data = json!({ "id": object, "text": long });
            let kind = format!("riskgate.{kind}.v1");
            Message { kind, data, ..message(Lane::Critical, object, revision) }
        };
        database.write(&[batch(1, vec![cleared("gone")], Vec::new())]).expect("written");
        for turn in 0..100 {
            let alarms = (0..20).map(|n| big("alarm", "gone", turn * 20 + n)).collect();
            database.write(&[batch(turn + 2, Vec::new(), alarms)]).expect("there is room");
            evict_all(&mut database);
        }
        let mut written = 0;
        let error = loop {
            let hazards = vec![big("hazard", "h", written)];
            match database.write(&[batch(1_000 + written, Vec::new(), hazards)]) {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
            evict_all(&mut database);
        };
        assert!(is_full(&error), "{error:?}");
        assert_eq!(left(&database, "kind = 'riskgate.hazard.v1'"), i64::try_from(written).expect("small"));
        // What is acknowledged makes room again, as it does on a disk that is full.
        let sent: Vec<i64> = outbox::lease(&database.connection, Lane::Critical, 0, 100)
            .expect("leased")
            .iter()
            .map(|row| row.seq)
            .collect();
        database.acknowledge(&sent, Wall(3), false).expect("written");
        evict_all(&mut database);
        database.write(&[batch(9_999, Vec::new(), vec![big("hazard", "h", written)])]).expect("room again");
        assert_eq!(database.rows, counted(&database.connection));
    }

    #[test]
    fn the_wal_is_written_back_between_commits_and_what_is_written_is_counted() {
        let (dir, mut database) = opened(Bounds::default());
        let text = "x".repeat(20_000);
        for seq in 1..=400 {
            let big = Message { data: json!({ "text": text }), ..message(Lane::Critical, "h", seq) };
            database.write(&[batch(seq, Vec::new(), vec![big])]).expect("written");
            database.upkeep.after_commit(&database.connection).expect("kept up");
        }
        let wal = std::fs::metadata(dir.path().join("state.db-wal")).expect("there").len();
        assert!(wal < CHECKPOINT_BYTES + 512 * 1024, "{wal}");
        let Written { wal_bytes, file_bytes } = database.upkeep.written();
        assert!(wal_bytes > 400 * 20_000, "{wal_bytes}");
        assert!((1..wal_bytes).contains(&file_bytes), "{file_bytes}");
    }

    /// What one hazard brings: its alarm and its unit's class with it, each with a message of 3 kB.
    fn whole_hazard(n: u64) -> (Vec<Effect>, Vec<Message>) {
        let (name, text) = (format!("c{n}"), "x".repeat(3_000));
        let effects = vec![alarm(&name, 1), hazard(&name, 1, HazardStage::Rectifying, 1)];
        let told = |kind: &str| {
            let (kind, data) = (format!("riskgate.{kind}.v1"), json!({ "id": name, "text": text }));
            Message { kind, data, ..message(Lane::Critical, &name, 1) }
        };
        (effects, ["alarm", "hazard", "risk"].map(told).to_vec())
    }

    #[test]
    fn what_a_hazard_writes_to_the_wal_is_bounded_alone_and_in_a_burst() {
        let (_dir, mut database) = opened(Bounds::default());
        let mut cost = |batches: &[super::super::Batch]| {
            let before = database.upkeep.written();
            database.write(batches).expect("written");
            database.upkeep.after_commit(&database.connection).expect("kept up");
            // The same pages go to the file later: once for as long as the WAL is not written back.
            database.upkeep.written().wal_bytes - before.wal_bytes
        };
        let batch_of = |n: u64| {
            let (effects, messages) = whole_hazard(n);
            batch(n, effects, messages)
        };
        cost(&[batch_of(1)]);
        let lone = cost(&[batch_of(2)]);
        let burst: Vec<_> = (3..103).map(batch_of).collect();
        let each = cost(&burst) / 100;
        println!("to the WAL: a lone hazard {lone} B, in a burst of 100 {each} B each");
        assert!(lone <= 96 * 1024, "{lone}");
        assert!(each <= 16 * 1024, "{each}");
    }
}
