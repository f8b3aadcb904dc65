//! The one edge from the drivers to the pump: a bounded queue that never makes a driver of samples wait.
//!
//! When it is full, the samples that wait are merged for each point: of a run of numbers the first, the
//! smallest, the largest and the last stay, of booleans and words the first, one of each other value and
//! the last, so that a peak or a pulse is not lost, and the worst quality stays too. What was merged away
//! is counted. Points of class gas, fire and sis wait in a lane of their own, which is merged last.
//! Fixes and sightings are people's lives and are never merged: their driver waits for room. Of a condition
//! the first, the last and one that is otherwise active stay, between two tellings of all; that they are told
//! or lost is never merged.
//!
//! It judges nothing and orders nothing across points: within a point, time order holds.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use riskgate_point::{Condition, Link, PointId, Report, Sample, SourceId, Value};
use tokio::sync::Notify;

use crate::tally::Tally;

/// Which lane a point's samples wait in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Gas, fire, sis: merged last.
    Safety,
    Process,
}

/// At least this many reports fit in each lane, whatever bound is asked for.
const BOUND_MIN: usize = 16;

/// In which lane a point's samples wait.
type Lanes = Box<dyn Fn(PointId) -> Lane + Send>;

struct Queues {
    lane_of: Lanes,
    safety: VecDeque<Report>,
    process: VecDeque<Report>,
    merged: u64,
    senders: usize,
    closed: bool,
}

struct Shared {
    queues: Mutex<Queues>,
    bound: usize,
    filled: Notify,
    emptied: Notify,
}

impl Shared {
    // A poisoned lock means that a sender panicked between two complete pushes: the queues are whole.
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The drivers' end. A clone counts its own sends, and goes on with the tally of its source.
pub struct Sender {
    shared: Arc<Shared>,
    activity: Arc<Activity>,
    tally: Arc<Tally>,
    gate: Gate,
}

/// Shuts out a driver that was ended and may not know it yet: the numbers of its points may mean other points by now.
#[derive(Debug, Clone)]
pub struct Gate(Arc<AtomicBool>);

/// What went through one sender: how its driver is told from a dead one.
#[derive(Debug, Default)]
pub struct Activity {
    sent: AtomicU64,
    up: AtomicBool,
}

impl Activity {
    /// Batches sent. A driver whose link is up and whose count stands still is stuck.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The last link report was up.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    fn note(&self, reports: &[Report]) {
        for report in reports {
            if let Report::Link { link, .. } = report {
                self.up.store(*link == Link::Up, Ordering::Relaxed);
            }
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
    }
}

/// The pump's end.
pub struct Receiver(Arc<Shared>);

/// A queue of `bound` reports in each of its two lanes. At one sample of 100 bytes a report, a bound of
/// 100,000 is 20 MB at the very worst, and one second of the largest plant that we promise to read.
pub fn channel(bound: usize, lane_of: impl Fn(PointId) -> Lane + Send + 'static) -> (Sender, Receiver) {
    let queues = Queues {
        lane_of: Box::new(lane_of),
        safety: VecDeque::new(),
        process: VecDeque::new(),
        merged: 0,
        senders: 1,
        closed: false,
    };
    let shared = Arc::new(Shared {
        queues: Mutex::new(queues),
        bound: bound.max(BOUND_MIN),
        filled: Notify::new(),
        emptied: Notify::new(),
    });
    (
        Sender {
            shared: Arc::clone(&shared),
            activity: Arc::default(),
            tally: Arc::default(),
            gate: Gate::open(),
        },
        Receiver(shared),
    )
}

impl Gate {
    fn open() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Sender {
    /// The same queue behind a gate of its own.
    #[must_use]
    pub fn gated(&self) -> (Self, Gate) {
        let gate = Gate::open();
        let mut own = self.clone();
        own.gate = gate.clone();
        (own, gate)
    }

    /// When this returns, nothing more comes of those behind the gate.
    pub fn shut(&self, gate: &Gate) {
        let _nobody_is_in_between = self.shared.lock();
        gate.0.store(false, Ordering::Relaxed);
    }

    /// Other points, other lanes. What waits stays where it is.
    pub fn set_lanes(&self, lane_of: impl Fn(PointId) -> Lane + Send + 'static) {
        self.shared.lock().lane_of = Box::new(lane_of);
    }

    /// For the driver of another source, which counts into `tally`.
    #[must_use]
    pub fn counting(&self, tally: Arc<Tally>) -> Self {
        let mut own = self.clone();
        own.tally = tally;
        own
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    pub fn activity(&self) -> Arc<Activity> {
        Arc::clone(&self.activity)
    }

    /// Never waits. Where the lane is over its bound, samples in it are merged for each point.
    pub fn send(&self, reports: Vec<Report>) {
        self.activity.note(&reports);
        let mut guard = self.shared.lock();
        if !self.gate.is_open() {
            return;
        }
        let queues = &mut *guard;
        for report in reports {
            queues.lane(&report).push_back(report);
        }
        let bound = self.shared.bound;
        let mut merged = 0;
        for lane in [&mut queues.process, &mut queues.safety] {
            if lane.len() > bound {
                merged += merge(lane);
            }
        }
        queues.merged += merged;
        drop(guard);
        self.shared.filled.notify_one();
    }

    /// For fixes and sightings: waits until the lanes are under their bound, then sends.
    /// Cancelled before that, nothing was sent.
    pub async fn send_when_room(&self, reports: Vec<Report>) {
        loop {
            let emptied = self.shared.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.shared.lock().process.len() < self.shared.bound || self.shared.lock().closed {
                break;
            }
            emptied.await;
        }
        self.send(reports);
    }
}

impl Queues {
    fn lane(&mut self, report: &Report) -> &mut VecDeque<Report> {
        match report {
            Report::Sample(sample) => match (self.lane_of)(sample.point) {
                Lane::Safety => &mut self.safety,
                Lane::Process => &mut self.process,
            },
            Report::Fix(_)
            | Report::Sighting(_)
            | Report::Permit(_)
            | Report::Condition(_)
            | Report::ConditionsTold { .. }
            | Report::ConditionsLost { .. }
            | Report::Link { .. }
            | Report::Refreshed { .. } => &mut self.process,
        }
    }
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        self.shared.lock().senders += 1;
        let (shared, tally) = (Arc::clone(&self.shared), Arc::clone(&self.tally));
        Self { shared, activity: Arc::default(), tally, gate: self.gate.clone() }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.shared.lock().senders -= 1;
        self.shared.filled.notify_one();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.emptied.notify_waiters();
    }
}

impl Receiver {
    /// Up to `max` reports, the safety lane first; waits for the first. `None` when every sender is gone
    /// and nothing is left. Cancel-safe: a cancelled call has taken nothing.
    pub async fn recv(&mut self, max: usize) -> Option<Vec<Report>> {
        loop {
            {
                let mut queues = self.0.lock();
                let from_safety = queues.safety.len().min(max);
                let from_process = queues.process.len().min(max - from_safety);
                if from_safety + from_process > 0 {
                    let mut taken: Vec<Report> = queues.safety.drain(..from_safety).collect();
                    taken.extend(queues.process.drain(..from_process));
                    drop(queues);
                    self.0.emptied.notify_waiters();
                    return Some(taken);
                }
                if queues.senders == 0 {
                    return None;
                }
            }
            self.0.filled.notified().await;
        }
    }

    /// Samples merged away since the start.
    pub fn merged(&self) -> u64 {
        self.0.lock().merged
    }

    /// Reports that wait.
    pub fn depth(&self) -> usize {
        let queues = self.0.lock();
        queues.safety.len() + queues.process.len()
    }
}

/// Merges the live samples of each point, and the states of each condition, in place; everything else stays
/// where it is. Returns how many were merged away.
fn merge(lane: &mut VecDeque<Report>) -> u64 {
    let mut runs: HashMap<PointId, Vec<usize>> = HashMap::new();
    for (at, report) in lane.iter().enumerate() {
        if let Report::Sample(sample) = report
            && !sample.backfill
        {
            runs.entry(sample.point).or_default().push(at);
        }
    }
    let mut drop_at = HashSet::new();
    for run in runs.values() {
        let samples: Vec<(usize, &Sample)> =
            run.iter().filter_map(|at| Some((*at, sample_at(lane, *at)?))).collect();
        let keep = kept(&samples);
        drop_at.extend(run.iter().copied().filter(|at| !keep.contains(at)));
    }
    drop_at.extend(conditions_over(lane));
    let before = lane.len();
    let mut at = 0;
    lane.retain(|_| {
        at += 1;
        !drop_at.contains(&(at - 1))
    });
    u64::try_from(before - lane.len()).unwrap_or(u64::MAX)
}

/// Where the states of conditions are that nobody misses. What was told before a link or what was told was
/// lost, or before all was told, is not what was told after it.
fn conditions_over(lane: &VecDeque<Report>) -> Vec<usize> {
    let mut tellings: HashMap<SourceId, u32> = HashMap::new();
    let mut runs: HashMap<_, Vec<(usize, bool)>> = HashMap::new();
    for (at, report) in lane.iter().enumerate() {
        match report {
            Report::Condition(condition) => {
                let Condition { source, origin, name, active, .. } = &**condition;
                let telling = tellings.get(source).copied().unwrap_or(0);
                runs.entry((*source, telling, &**origin, &**name)).or_default().push((at, *active));
            }
            Report::ConditionsTold { source, .. }
            | Report::ConditionsLost { source, .. }
            | Report::Link { source, .. } => {
                *tellings.entry(*source).or_default() += 1;
            }
            Report::Sample(_)
            | Report::Fix(_)
            | Report::Sighting(_)
            | Report::Permit(_)
            | Report::Refreshed { .. } => {}
        }
    }
    let over = |run: Vec<(usize, bool)>| {
        let (first, last) = (run.first().copied(), run.last().map(|(at, _)| *at));
        let other = run.iter().find(|(_, active)| Some(*active) != first.map(|(_, first)| first));
        let keep = [first.map(|(at, _)| at), other.map(|(at, _)| *at), last];
        run.into_iter().map(|(at, _)| at).filter(move |at| !keep.contains(&Some(*at)))
    };
    runs.into_values().flat_map(over).collect()
}

fn sample_at(lane: &VecDeque<Report>, at: usize) -> Option<&Sample> {
    lane.get(at)?.sample()
}

/// Which of one point's samples stay: first, last, smallest, largest, the first of each word or boolean,
/// and the first of the worst quality.
fn kept(samples: &[(usize, &Sample)]) -> HashSet<usize> {
    let mut keep: HashSet<usize> = HashSet::new();
    keep.extend(samples.first().map(|(at, _)| *at));
    keep.extend(samples.last().map(|(at, _)| *at));
    let worst = samples.iter().rev().max_by_key(|(_, sample)| sample.quality);
    keep.extend(worst.map(|(at, _)| *at));
    let mut words: Vec<&Value> = Vec::new();
    let mut numbers: Vec<(usize, f64)> = Vec::new();
    for (at, sample) in samples {
        match &sample.value {
            Some(value @ (Value::Bool(_) | Value::Text(_))) if words.contains(&value) => {}
            Some(value @ (Value::Bool(_) | Value::Text(_))) => {
                words.push(value);
                keep.insert(*at);
            }
            Some(value @ (Value::Int(_) | Value::Float(_))) => {
                numbers.extend(value.number().map(|number| (*at, number)));
            }
            None => {}
        }
    }
    keep.extend(numbers.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| *at));
    keep.extend(numbers.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| *at));
    keep
}

#[cfg(test)]
mod tests {
    use riskgate_point::{BadReason, Fix, Now, SourceId};

    use super::*;

    fn reading(point: u32, number: f64) -> Report {
        let value = Value::float(number).expect("finite");
        Report::Sample(Sample::good(PointId(point), value, Now::default()))
    }

    fn all_process(_: PointId) -> Lane {
        Lane::Process
    }

    fn numbers(reports: &[Report]) -> Vec<f64> {
        let value = |report: &Report| report.sample()?.value.as_ref().and_then(Value::number);
        reports.iter().filter_map(value).collect()
    }

    #[tokio::test]
    async fn a_full_queue_keeps_first_smallest_largest_and_last_in_time_order() {
        let (sender, mut receiver) = channel(16, all_process);
        let mut wave: Vec<f64> = (0..17).map(f64::from).collect();
        wave[5] = -3.0;
        wave[9] = 99.0;
        sender.send(wave.iter().map(|number| reading(1, *number)).collect());
        let left = receiver.recv(100).await.expect("open");
        assert_eq!(numbers(&left), [0.0, -3.0, 99.0, 16.0]);
        assert_eq!(receiver.merged(), 13);
    }

    #[tokio::test]
    async fn who_is_behind_a_gate_that_was_shut_sends_nothing_more_and_the_others_do() {
        let (sender, mut receiver) = channel(16, all_process);
        let (ended, gate) = sender.gated();
        let its_own = ended.clone();
        ended.send(vec![reading(1, 1.0)]);
        sender.shut(&gate);
        its_own.send(vec![reading(1, 2.0)]);
        sender.send(vec![reading(1, 3.0)]);
        assert_eq!(numbers(&receiver.recv(10).await.expect("open")), [1.0, 3.0]);
    }

    #[tokio::test]
    async fn a_moment_of_bad_quality_survives_the_merge() {
        let (sender, mut receiver) = channel(16, all_process);
        let mut reports: Vec<Report> = (0..20).map(|_| reading(1, 5.0)).collect();
        reports[7] = Report::Sample(Sample::bad(PointId(1), BadReason::CommFailure, Now::default()));
        sender.send(reports);
        let left = receiver.recv(100).await.expect("open");
        let bad = |report: &&Report| matches!(report, Report::Sample(sample) if sample.quality.is_bad());
        assert_eq!(left.iter().filter(bad).count(), 1);
    }

    #[tokio::test]
    async fn gas_points_are_not_merged_for_a_flood_of_process_points() {
        let (sender, mut receiver) =
            channel(16, |point| if point == PointId(7) { Lane::Safety } else { Lane::Process });
        sender.send((0..10).map(|number| reading(7, f64::from(number))).collect());
        sender.send((0..100).map(|number| reading(1, f64::from(number))).collect());
        let gas = receiver.recv(10).await.expect("open");
        assert_eq!(numbers(&gas).len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn fixes_wait_for_room_and_are_never_merged() {
        let (sender, mut receiver) = channel(16, all_process);
        sender.send((0..16).map(|point| reading(point, 1.0)).collect());
        let fix = Report::Fix(Box::new(Fix {
            source: SourceId(0),
            tag: Arc::from("T1"),
            person: None,
            role: None,
            zone: None,
            sos: true,
            spot: None,
            source_time: None,
            received: Now::default(),
            backfill: false,
        }));
        let waiting = sender.send_when_room(vec![fix]);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        let first = receiver.recv(100).await.expect("open");
        assert_eq!(first.len(), 16);
        waiting.await;
        assert_eq!(receiver.recv(100).await.expect("open").len(), 1);
    }

    #[tokio::test]
    async fn a_flood_of_conditions_keeps_of_each_its_first_its_last_and_that_it_was_otherwise() {
        let (sender, mut receiver) = channel(16, all_process);
        let condition = |name: &str, severity: u16, active: bool| {
            Report::Condition(Box::new(Condition {
                source: SourceId(1),
                origin: Arc::from("T"),
                name: Arc::from(name),
                active,
                acknowledged: true,
                suppressed: false,
                severity,
                message: Arc::from(""),
                source_time: None,
                received: Now::default(),
            }))
        };
        let all_told = || Report::ConditionsTold { source: SourceId(1), at: Now::default() };
        let lost = || Report::ConditionsLost { source: SourceId(1), at: Now::default() };
        let mut flood: Vec<Report> = (1..=10_000).map(|n| condition("H", n, n == 500)).collect();
        flood.extend([condition("L", 1, true), all_told(), condition("H", 7, true), condition("L", 2, true)]);
        flood.extend([lost(), condition("H", 8, true), all_told()]);
        sender.send(flood);
        let left = receiver.recv(100).await.expect("open");
        let (h, l) = (|n, active| condition("H", n, active), |n| condition("L", n, true));
        let kept = [h(1, false), h(500, true), h(10_000, false), l(1), all_told(), h(7, true), l(2)];
        let kept: Vec<Report> = kept.into_iter().chain([lost(), h(8, true), all_told()]).collect();
        assert_eq!(left, kept);
        assert_eq!(receiver.merged(), 9_997);
    }

    #[tokio::test]
    async fn ends_when_every_sender_is_gone_and_all_is_taken() {
        let (sender, mut receiver) = channel(16, all_process);
        sender.send(vec![reading(1, 1.0)]);
        drop(sender);
        assert!(receiver.recv(10).await.is_some());
        assert!(receiver.recv(10).await.is_none());
    }
}
