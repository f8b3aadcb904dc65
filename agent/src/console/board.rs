//! What people see now: open alarms, hazards, boosted tasks, classes of the units, how sources, uplink and
//! store are.
//!
//! The pump writes it, after the commit of what it shows (`durable`), or after 2 s without one (not durable,
//! and said so). Every change bumps the version and is told to the live streams as the names of the lines
//! that changed; a stream renders them from the board as it then is, so a late stream shows something newer,
//! never something older.
//!
//! It judges nothing and keeps no history: what has returned to normal and been acknowledged is not here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use riskgate_drivers::Clock;
use riskgate_engine::{
    AlarmQuality, AlarmRecord, Effect, HazardRecord, IndicatorRecord, Plant, ShadowRecord, StopRecord,
    TaskRecord, UnitRecord,
};
use riskgate_point::{Mono, Now, Wall};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use uuid::Uuid;

use super::source::{CountsLine, SourceLine};
use crate::config::ModelInForce;
use crate::store::journal::Head;

/// Changes that a live stream may be behind before it is dropped. A flood makes some ten changes a second,
/// so this is about 25 s of a browser that does not read; it then reloads the whole board at once.
const CHANGES_BEHIND_MAX: usize = 256;

/// The pump turns at least each second. Longer than this without a turn, and nothing shown is live.
pub const PUMP_TURN_AGE_MAX: Duration = Duration::from_secs(5);

/// Whose board this is.
#[derive(Debug, Clone)]
pub struct Site {
    pub company: String,
    pub gateway: String,
    pub name: String,
    /// All stamps shown are in the site's zone.
    pub timezone: jiff::tz::TimeZone,
}

/// A line and whether what it shows is on disk.
#[derive(Debug, Clone)]
pub struct Line<T> {
    pub record: Arc<T>,
    /// `false`: shown before its commit, because the store has not answered in time.
    pub durable: bool,
}

/// One lane of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneLine {
    /// `critical`, `work`, `gap`.
    pub lane: String,
    /// Rows committed and not yet acknowledged upstream.
    pub pending: u64,
    /// The last sequence given out; 0 before the first.
    pub last: u64,
}

/// What was set aside so that it holds up nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsideLine {
    /// `refused`, `unwritable`.
    pub what: String,
    pub count: u64,
    pub oldest: Option<Wall>,
    /// Of the newest.
    pub why: String,
}

/// How the history is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HistoryLine {
    /// Samples on disk since the start.
    pub kept: u64,
    /// Lost since the start: each is a gap in the history.
    pub dropped: u64,
    pub file_bytes: u64,
    /// Since the start, WAL and file.
    pub written_bytes: u64,
    pub oldest: Option<Wall>,
    /// Why the newest write failed.
    pub failed: Option<String>,
}

impl From<&crate::history::Status> for HistoryLine {
    fn from(status: &crate::history::Status) -> Self {
        Self {
            kept: status.kept,
            dropped: status.dropped,
            file_bytes: status.file_bytes,
            written_bytes: status.written_bytes,
            oldest: status.oldest,
            failed: status.failed.clone(),
        }
    }
}

/// How the link upstream is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uplink {
    pub connected: bool,
    /// `host:port`.
    pub broker: String,
    /// Why it is not connected.
    pub why: Option<String>,
    pub since: Wall,
}

#[derive(Debug)]
pub struct Board {
    site: Site,
    plant: Arc<Plant>,
    model: ModelInForce,
    version: u64,
    alarms: BTreeMap<String, Line<AlarmRecord>>,
    hazards: BTreeMap<Uuid, Line<HazardRecord>>,
    tasks: BTreeMap<String, Arc<TaskRecord>>,
    units: BTreeMap<String, Arc<UnitRecord>>,
    /// The newest stop of each unit, ended or not.
    stops: BTreeMap<String, Arc<StopRecord>>,
    /// By rule id.
    shadows: BTreeMap<String, Arc<ShadowRecord>>,
    quality: AlarmQuality,
    indicators: Option<Arc<IndicatorRecord>>,
    /// Measures of which every rule is out of service.
    unwatched: Vec<String>,
    sources: Vec<SourceLine>,
    /// One for each of `sources`.
    counts: Vec<CountsLine>,
    outbox: Vec<LaneLine>,
    set_aside: Vec<AsideLine>,
    journal: Option<Head>,
    history: HistoryLine,
    uplink: Uplink,
    ready: bool,
    store_failure: Option<String>,
    /// What left the board before its leaving was committed, with the revision that took it away: the late
    /// commit of an older revision must not bring it back. Bounded by the store's queue.
    left_alarms: BTreeMap<String, u64>,
    left_hazards: BTreeMap<Uuid, u64>,
    change: Change,
}

/// Which lines an update touched. Empty: none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    pub version: u64,
    pub alarms: BTreeSet<String>,
    pub hazards: BTreeSet<Uuid>,
    pub tasks: bool,
    pub units: bool,
    pub stops: bool,
    pub quality: bool,
    pub sources: bool,
    pub outbox: bool,
    pub uplink: bool,
    pub health: bool,
    /// The plant itself is another: every line may read differently.
    pub whole: bool,
}

impl Board {
    fn new(site: Site, plant: Arc<Plant>) -> Self {
        Self {
            site,
            plant,
            model: ModelInForce::default(),
            version: 0,
            alarms: BTreeMap::new(),
            hazards: BTreeMap::new(),
            tasks: BTreeMap::new(),
            units: BTreeMap::new(),
            stops: BTreeMap::new(),
            shadows: BTreeMap::new(),
            quality: AlarmQuality::default(),
            indicators: None,
            unwatched: Vec::new(),
            sources: Vec::new(),
            counts: Vec::new(),
            outbox: Vec::new(),
            set_aside: Vec::new(),
            journal: None,
            history: HistoryLine::default(),
            uplink: Uplink::default(),
            ready: false,
            store_failure: None,
            left_alarms: BTreeMap::new(),
            left_hazards: BTreeMap::new(),
            change: Change::default(),
        }
    }

    /// Shows what the engine decided. The same effect comes twice where it was shown before its commit:
    /// first with `durable` false, then true. An older revision never replaces a newer one.
    pub fn apply(&mut self, effect: &Effect, durable: bool) {
        match effect {
            Effect::Alarm(record) => self.apply_alarm(record, durable),
            Effect::Hazard(record) => self.apply_hazard(record, durable),
            Effect::Task(record) => {
                if self.tasks.get(&record.task).is_some_and(|held| held.revision > record.revision) {
                    return;
                }
                if record.stands() {
                    self.tasks.insert(record.task.clone(), Arc::clone(record));
                } else {
                    self.tasks.remove(&record.task);
                }
                self.change.tasks = true;
            }
            Effect::Unit(record) => {
                if self.units.get(&record.unit).is_some_and(|held| held.revision > record.revision) {
                    return;
                }
                self.units.insert(record.unit.clone(), Arc::clone(record));
                self.change.units = true;
            }
            // Upstream keeps them; the board shows what is going on.
            Effect::Record(_) => {}
            Effect::Indicator(record) => {
                if self.indicators.as_ref().is_none_or(|held| held.revision <= record.revision) {
                    self.indicators = Some(Arc::clone(record));
                }
            }
            Effect::Stop(record) => {
                if self.stops.get(&record.unit).is_some_and(|held| held.revision > record.revision) {
                    return;
                }
                self.stops.insert(record.unit.clone(), Arc::clone(record));
                self.change.stops = true;
            }
            // Who asks is shown them; a page that is open hears nothing of it.
            Effect::Shadow(record) => {
                if self.shadows.get(&record.rule).is_none_or(|held| held.revision <= record.revision) {
                    self.shadows.insert(record.rule.clone(), Arc::clone(record));
                }
            }
        }
    }

    fn apply_alarm(&mut self, record: &Arc<AlarmRecord>, durable: bool) {
        let (id, leaves) = (&record.id, !record.stands());
        let next = Line { record: Arc::clone(record), durable };
        let changed =
            apply_line(&mut self.alarms, &mut self.left_alarms, id, next, leaves, |record| record.revision);
        if changed {
            self.change.alarms.insert(id.clone());
        }
    }

    fn apply_hazard(&mut self, record: &Arc<HazardRecord>, durable: bool) {
        let (id, leaves) = (record.id, !record.stage.is_open());
        let next = Line { record: Arc::clone(record), durable };
        let changed = apply_line(&mut self.hazards, &mut self.left_hazards, &id, next, leaves, |record| {
            record.revision
        });
        if changed {
            self.change.hazards.insert(id);
        }
    }

    /// Another configuration is in force: names and bases come from it from now on.
    pub fn set_plant(&mut self, plant: Arc<Plant>) {
        self.plant = plant;
        // A unit that the new plant does not have keeps no colour.
        self.units.retain(|unit, _| self.plant.unit(unit).is_some());
        self.change.whole = true;
    }

    /// Another model is in force.
    pub fn set_model(&mut self, model: ModelInForce) {
        if self.model != model {
            self.model = model;
            self.change.whole = true;
        }
    }

    pub fn model(&self) -> &ModelInForce {
        &self.model
    }

    /// Counts move with each poll and are no news: they are shown with the next change, or when asked for.
    pub fn set_sources(&mut self, sources: Vec<SourceLine>, counts: Vec<CountsLine>) {
        self.counts = counts;
        if self.sources != sources {
            self.sources = sources;
            self.change.sources = true;
        }
    }

    /// Rates move with the time and are no news: they are shown with what is.
    pub fn set_quality(&mut self, quality: AlarmQuality, unwatched: Vec<String>) {
        let news = |of: &AlarmQuality| AlarmQuality {
            day: riskgate_engine::QualityWindow { annunciated: of.day.annunciated, ..Default::default() },
            week: riskgate_engine::QualityWindow::default(),
            ..of.clone()
        };
        self.change.quality |= news(&self.quality) != news(&quality) || self.unwatched != unwatched;
        self.quality = quality;
        self.unwatched = unwatched;
    }

    pub fn set_outbox(&mut self, outbox: Vec<LaneLine>) {
        if self.outbox != outbox {
            self.outbox = outbox;
            self.change.outbox = true;
        }
    }

    pub fn set_aside(&mut self, set_aside: Vec<AsideLine>) {
        if self.set_aside != set_aside {
            self.set_aside = set_aside;
            self.change.outbox = true;
        }
    }

    pub fn aside(&self) -> &[AsideLine] {
        &self.set_aside
    }

    pub fn set_journal(&mut self, head: &Head) {
        if self.journal.as_ref() != Some(head) {
            self.journal = Some(head.clone());
            self.change.outbox = true;
        }
    }

    /// Not told to the live streams: the page does not show it.
    pub fn set_history(&mut self, history: HistoryLine) {
        self.history = history;
    }

    pub fn history(&self) -> &HistoryLine {
        &self.history
    }

    pub fn set_uplink(&mut self, uplink: Uplink) {
        if self.uplink != uplink {
            self.uplink = uplink;
            self.change.uplink = true;
            self.change.health = true;
        }
    }

    /// Ready: the configuration is in force, the store is open, the sources are started.
    pub fn set_ready(&mut self, ready: bool) {
        if self.ready != ready {
            self.ready = ready;
            self.change.health = true;
        }
    }

    /// `None`: the store commits. Else why the newest try failed.
    pub fn set_store_failure(&mut self, why: Option<String>) {
        if self.store_failure != why {
            self.store_failure = why;
            self.change.health = true;
        }
    }

    pub fn site(&self) -> &Site {
        &self.site
    }

    pub fn plant(&self) -> &Plant {
        &self.plant
    }

    /// Counts the changes of this process, from 0.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn alarm(&self, id: &str) -> Option<&Line<AlarmRecord>> {
        self.alarms.get(id)
    }

    /// Most urgent first; among those of a priority the ones that nobody has seen, then the newest.
    pub fn alarms(&self) -> Vec<&Line<AlarmRecord>> {
        let mut lines: Vec<_> = self.alarms.values().collect();
        lines.sort_by_key(|line| {
            let record = &line.record;
            let seen = !record.state.is_unseen();
            (std::cmp::Reverse(record.priority), seen, std::cmp::Reverse(record.since))
        });
        lines
    }

    pub fn hazard(&self, id: Uuid) -> Option<&Line<HazardRecord>> {
        self.hazards.get(&id)
    }

    /// Newest first, candidates among them.
    pub fn hazards(&self) -> Vec<&Line<HazardRecord>> {
        let mut lines: Vec<_> = self.hazards.values().collect();
        lines.sort_by_key(|line| (std::cmp::Reverse(line.record.raised), line.record.id));
        lines
    }

    pub fn tasks(&self) -> impl Iterator<Item = &TaskRecord> {
        self.tasks.values().map(AsRef::as_ref)
    }

    pub fn unit(&self, id: &str) -> Option<&UnitRecord> {
        self.units.get(id).map(AsRef::as_ref)
    }

    /// The units that are stopped, by id.
    pub fn stops(&self) -> impl Iterator<Item = &StopRecord> {
        self.stops.values().map(AsRef::as_ref).filter(|stop| stop.ended.is_none())
    }

    pub fn shadow(&self, rule: &str) -> Option<&ShadowRecord> {
        self.shadows.get(rule).map(AsRef::as_ref)
    }

    /// `None`: the calendar has not told the week yet.
    pub fn indicators(&self) -> Option<&IndicatorRecord> {
        self.indicators.as_deref()
    }

    pub fn quality(&self) -> &AlarmQuality {
        &self.quality
    }

    pub fn unwatched(&self) -> &[String] {
        &self.unwatched
    }

    /// Each with what its driver counted.
    pub fn sources(&self) -> impl Iterator<Item = (&SourceLine, &CountsLine)> {
        self.sources.iter().zip(&self.counts)
    }

    pub fn outbox(&self) -> &[LaneLine] {
        &self.outbox
    }

    /// The newest entry of the journal.
    pub fn journal(&self) -> Option<&Head> {
        self.journal.as_ref()
    }

    pub fn uplink(&self) -> &Uplink {
        &self.uplink
    }

    pub fn ready(&self) -> bool {
        self.ready
    }

    pub fn store_failure(&self) -> Option<&str> {
        self.store_failure.as_deref()
    }
}

/// Whether anything that is seen has changed.
fn apply_line<K: Ord + Clone, T: PartialEq>(
    lines: &mut BTreeMap<K, Line<T>>,
    left: &mut BTreeMap<K, u64>,
    key: &K,
    next: Line<T>,
    leaves: bool,
    revision: impl Fn(&T) -> u64,
) -> bool {
    let number = revision(&next.record);
    if let Some(gone_at) = left.get(key).copied() {
        if next.durable && number >= gone_at {
            left.remove(key);
        }
        if number <= gone_at {
            return false;
        }
    }
    if let Some(held) = lines.get_mut(key) {
        let held_number = revision(&held.record);
        if held_number > number {
            return false;
        }
        if held_number == number && held.record == next.record {
            let newly_durable = next.durable && !held.durable;
            held.durable |= next.durable;
            return newly_durable;
        }
    }
    if !leaves {
        lines.insert(key.clone(), next);
        return true;
    }
    if !next.durable {
        left.insert(key.clone(), number);
    }
    lines.remove(key).is_some()
}

impl Change {
    /// This change and a later one as one.
    pub fn merge(&mut self, later: &Self) {
        self.version = self.version.max(later.version);
        self.alarms.extend(later.alarms.iter().cloned());
        self.hazards.extend(later.hazards.iter().copied());
        self.tasks |= later.tasks;
        self.units |= later.units;
        self.stops |= later.stops;
        self.quality |= later.quality;
        self.sources |= later.sources;
        self.outbox |= later.outbox;
        self.uplink |= later.uplink;
        self.health |= later.health;
        self.whole |= later.whole;
    }

    fn is_empty(&self) -> bool {
        *self == Self { version: self.version, ..Self::default() }
    }
}

/// The board as the pump, the page and the socket share it.
#[derive(Debug, Clone)]
pub struct BoardHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    board: RwLock<Board>,
    changes: broadcast::Sender<Arc<Change>>,
    clock: Clock,
    /// [`Mono`] of the pump's last turn; 0: it has not turned yet.
    pump_turned: AtomicU64,
}

impl BoardHandle {
    pub fn new(site: Site, plant: Arc<Plant>, clock: Clock) -> Self {
        let (changes, _) = broadcast::channel(CHANGES_BEHIND_MAX);
        let board = RwLock::new(Board::new(site, plant));
        Self { shared: Arc::new(Shared { board, changes, clock, pump_turned: AtomicU64::new(0) }) }
    }

    /// Changes the board and tells the live streams once, if anything that is seen changed.
    pub fn update(&self, change: impl FnOnce(&mut Board)) {
        // A panic in another update leaves lines that are each whole: showing them beats showing none.
        let mut board = self.shared.board.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut board);
        let mut touched = std::mem::take(&mut board.change);
        if touched.is_empty() {
            return;
        }
        board.version += 1;
        touched.version = board.version;
        // An error says that nobody listens.
        drop(self.shared.changes.send(Arc::new(touched)));
    }

    /// The board as it is now. Hold it briefly and never across an await: the pump waits for it.
    pub fn read(&self) -> RwLockReadGuard<'_, Board> {
        self.shared.board.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes from now on.
    pub fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.shared.changes.subscribe()
    }

    /// Shows what one turn decided; see [`Board::apply`].
    pub fn show_effects(&self, effects: &[Effect], durable: bool) {
        self.update(|board| {
            for effect in effects {
                board.apply(effect, durable);
            }
        });
    }

    /// The pump says that it turns. Cheap, and no change by itself.
    pub fn pump_turned(&self, at: Mono) {
        self.shared.pump_turned.store(at.0, Ordering::Relaxed);
    }

    /// How long ago the pump last turned; `None`: not yet.
    pub fn pump_turn_age(&self) -> Option<Duration> {
        match self.shared.pump_turned.load(Ordering::Relaxed) {
            0 => None,
            turned => Some(self.now().mono.since(Mono(turned))),
        }
    }

    pub fn now(&self) -> Now {
        (self.shared.clock)()
    }
}

#[cfg(test)]
mod tests {
    use riskgate_engine::{AlarmState, Priority};

    use super::*;
    use crate::console::sample;

    fn effect(state: AlarmState, revision: u64) -> Effect {
        let mut record = sample::alarm("GD-101/HH", Priority::Critical, 0);
        record.state = state;
        record.revision = revision;
        Effect::Alarm(Arc::new(record))
    }

    /// Each step is (state, revision, durable); the outcome is the line's (revision, durable), if any.
    fn check(steps: &[(AlarmState, u64, bool)], expect: Option<(u64, bool)>) {
        let board = sample::empty_handle();
        for (state, revision, durable) in steps {
            board.update(|board| board.apply(&effect(*state, *revision), *durable));
        }
        let held = board.read().alarm("GD-101/HH").map(|line| (line.record.revision, line.durable));
        assert_eq!(held, expect, "{steps:?}");
    }

    #[test]
    fn a_line_follows_its_newest_revision_and_its_commit() {
        use AlarmState::{Acknowledged, Normal, Unacknowledged};
        check(&[(Unacknowledged, 1, true)], Some((1, true)));
        check(&[(Unacknowledged, 1, false)], Some((1, false)));
        check(&[(Unacknowledged, 1, false), (Unacknowledged, 1, true)], Some((1, true)));
        check(&[(Unacknowledged, 1, true), (Acknowledged, 2, false)], Some((2, false)));
        // The late commit of the older revision neither replaces nor marks the newer one.
        check(
            &[(Unacknowledged, 1, false), (Acknowledged, 2, false), (Unacknowledged, 1, true)],
            Some((2, false)),
        );
        check(&[(Unacknowledged, 1, true), (Normal, 2, true)], None);
    }

    #[test]
    fn what_left_before_its_commit_is_not_brought_back_by_an_older_commit() {
        use AlarmState::{Normal, Unacknowledged};
        let gone = [(Unacknowledged, 1, false), (Normal, 2, false), (Unacknowledged, 1, true)];
        check(&gone, None);
        let mut again = gone.to_vec();
        again.extend([(Normal, 2, true), (Unacknowledged, 3, true)]);
        check(&again, Some((3, true)));
    }

    #[test]
    fn every_update_that_is_seen_bumps_the_version_and_tells_the_streams_once() {
        let board = sample::empty_handle();
        let mut changes = board.changes();
        board.update(|board| {
            board.apply(&effect(AlarmState::Unacknowledged, 1), true);
            board.set_ready(true);
        });
        let change = changes.try_recv().expect("one change");
        assert_eq!(change.version, 1);
        assert_eq!(change.alarms.iter().collect::<Vec<_>>(), ["GD-101/HH"]);
        assert!(change.health && !change.units);
        board.update(|board| board.set_ready(true));
        assert!(changes.try_recv().is_err(), "nothing seen has changed");
        assert_eq!(board.read().version(), 1);
    }

    #[test]
    fn alarms_are_sorted_by_priority_then_unseen_then_newest() {
        let board = sample::handle();
        let board = board.read();
        let rank = |line: &&Line<AlarmRecord>| {
            let record = &line.record;
            (record.priority, record.state.is_unseen(), record.since)
        };
        let order: Vec<_> = board.alarms().iter().map(rank).collect();
        let mut sorted = order.clone();
        sorted.sort_by(|a, b| b.cmp(a));
        assert!(order.len() > 3 && order.iter().any(|(_, unseen, _)| !unseen));
        assert_eq!(order, sorted);
    }

    #[test]
    fn the_age_of_the_pumps_turn_is_unknown_until_it_turns() {
        let board = sample::empty_handle();
        assert_eq!(board.pump_turn_age(), None);
        board.pump_turned(board.now().mono.before(Duration::from_secs(3)));
        assert_eq!(board.pump_turn_age(), Some(Duration::from_secs(3)));
    }
}
