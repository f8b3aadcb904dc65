//! A driver at work against its peer, and all that it has said. It knows no protocol.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use riskgate_drivers::intake::{self, Lane, Receiver, Sender};
use riskgate_drivers::tally::{Counts, Tally};
use riskgate_point::{BadReason, Link, Now, PointId, Quality, Report, Sample, SourceId};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) const SOURCE: SourceId = SourceId(3);

/// Far beyond what anything here takes; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// Looked at again so often though nothing is said: counts move while a dead peer is tried.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How soon a driver has to end.
pub(crate) const PROMPT: Duration = Duration::from_secs(1);

/// What a peer does to who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Well,
    /// There is nobody at its address; what was open is closed.
    Gone,
    /// What is open stays open and new connections are taken: nothing is answered.
    Silent,
    /// What was open is closed, and so is each new connection at once.
    Closes,
}

/// Runs one driver until it is told to stop.
pub(crate) type Driving = Box<dyn FnOnce(Sender, CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// What a peer has seen of its driver. `None`: it cannot tell.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// Connections, as the driver's tally means them.
    pub(crate) connects: Option<u64>,
    /// What it has answered or sent, and how many of these the driver may not have taken yet.
    pub(crate) answered: Option<(u64, u64)>,
    /// The driver's requests time out one by one, and are counted so.
    pub(crate) counts_failures: bool,
    /// Whatever else than reading it was asked for.
    pub(crate) writes: Vec<String>,
}

/// The other end of a driver, whose points are numbered from 0.
pub(crate) trait Peer: Sized {
    const POINTS: u32;
    /// A peer that answers nothing from the start is told so within this time.
    const TELLS_SILENCE_WITHIN: Duration;
    /// The same where it falls silent while the link is up.
    const NOTICES_SILENCE_WITHIN: Duration;
    /// The longest first pause between two tries, and how many tries may follow each other without one.
    const PAUSE: (Duration, u32);

    async fn start(way: Way) -> Self;
    async fn turn(&mut self, way: Way);
    fn driving(&self) -> Driving;
    /// As a person knows it.
    fn name(&self) -> String;
    /// When it was tried, whatever came of it.
    fn tries(&self) -> Vec<Instant>;
    fn books(&self) -> Books;
    fn is_right(&self, sample: &Sample) -> bool;
    /// Something is to be told, if it is not told anyway.
    async fn churn(&mut self) {
        tokio::task::yield_now().await;
    }
}

pub(crate) struct Bench {
    pub(crate) receiver: Receiver,
    tally: Arc<Tally>,
    stop: CancellationToken,
    task: JoinSet<()>,
    pub(crate) heard: Vec<Report>,
}

impl Bench {
    pub(crate) fn start(peer: &impl Peer) -> Self {
        Self::with_room(peer, 100_000)
    }

    pub(crate) fn with_room(peer: &impl Peer, bound: usize) -> Self {
        let (sender, receiver) = intake::channel(bound, |_| Lane::Process);
        let tally = Arc::new(Tally::default());
        let counting = sender.counting(Arc::clone(&tally));
        drop(sender);
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(peer.driving()(counting, stop.clone()));
        Self { receiver, tally, stop, task, heard: Vec::new() }
    }

    /// Hears on until it holds; says how long that took.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Duration {
        let began = Instant::now();
        let waited = timeout(PATIENCE, async {
            while !holds(self) {
                if let Ok(reports) = timeout(LOOK_EVERY, self.receiver.recv(10_000)).await {
                    self.heard.extend(reports.expect("the driver runs"));
                }
            }
        });
        assert!(waited.await.is_ok(), "never came: {what}; {:?}", self.links());
        began.elapsed()
    }

    pub(crate) async fn until_up(&mut self) {
        self.until("the link is up", |bench| bench.links().last() == Some(&&Link::Up)).await;
    }

    pub(crate) async fn until_down(&mut self) -> Duration {
        let is_down = |bench: &Self| matches!(bench.links().last(), Some(Link::Down { .. }));
        self.until("the link is down", is_down).await
    }

    /// Of each point a good sample, among what was heard since the place.
    pub(crate) async fn until_read<P: Peer>(&mut self, since: usize) {
        let read = |bench: &Self, id| bench.of(id, since).iter().any(|sample| sample.quality.is_good());
        self.until("a good sample of each point", |bench| (0..P::POINTS).all(|id| read(bench, id))).await;
    }

    pub(crate) fn links(&self) -> Vec<&Link> {
        self.heard.iter().filter_map(link).collect()
    }

    pub(crate) fn of(&self, id: u32, since: usize) -> Vec<&Sample> {
        let samples = self.heard[since..].iter().filter_map(Report::sample);
        samples.filter(|sample| sample.point == PointId(id)).collect()
    }

    /// How often the point was told that it is lost.
    pub(crate) fn lost(&self, id: u32) -> usize {
        let is_lost = |sample: &&&Sample| sample.quality == Quality::Bad(BadReason::CommFailure);
        self.of(id, 0).iter().filter(is_lost).count()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// What has to hold whatever was done to a driver: it ends at once; what it says of its end is nothing;
    /// nobody is left who could say more; and its peer was asked for nothing but reading.
    pub(crate) async fn ends(mut self, peer: &impl Peer) -> Counts {
        while self.receiver.depth() > 0 {
            self.heard.extend(self.receiver.recv(10_000).await.expect("the driver runs"));
        }
        self.ends_undrained(peer).await
    }

    /// The same, with all that waits in the intake.
    pub(crate) async fn ends_undrained(mut self, peer: &impl Peer) -> Counts {
        let way = self.links().last().map(|link| (*link).clone());
        let began = Instant::now();
        self.stop.cancel();
        let ended = timeout(PATIENCE, self.task.join_next()).await;
        ended.expect("it ends when told to").expect("one task").expect("without a panic");
        let took = began.elapsed();
        assert!(took <= PROMPT, "it took {took:?} to end, being {way:?}");
        let mut last = Vec::new();
        while let Some(reports) =
            timeout(PROMPT, self.receiver.recv(10_000)).await.expect("nobody is left who could tell more")
        {
            last.extend(reports);
        }
        if way == Some(Link::Up) {
            let is_loss = |report: &&Report| {
                matches!(link(report), Some(Link::Down { .. }))
                    || report.sample().is_some_and(|sample| sample.quality.is_bad())
            };
            assert_eq!(last.iter().find(is_loss), None, "a stop is no loss");
        }
        assert_eq!(peer.books().writes, Vec::<String>::new(), "it only reads");
        self.tally.counts()
    }
}

pub(crate) fn link(report: &Report) -> Option<&Link> {
    if let Report::Link { link, .. } = report { Some(link) } else { None }
}

pub(crate) fn clock() -> Now {
    static BEGUN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    // 2026-03-01T08:00:00Z
    let start = Now { mono: riskgate_point::Mono(1), wall: riskgate_point::Wall(1_772_352_000_000) };
    start.after(BEGUN.get_or_init(Instant::now).elapsed())
}
