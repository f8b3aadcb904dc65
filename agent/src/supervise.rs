//! Keeps one driver running: starts it again with back-off and jitter when it stops, panics or hangs.
//!
//! A driver reconnects by itself; this is for when the driver is what failed. While it is not running its
//! points are bad and its link is down, and both are said here, because the driver cannot.
//! What the driver reads is of no interest here.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use riskgate_drivers::Clock;
use riskgate_drivers::backoff::Backoff;
use riskgate_drivers::intake::{Activity, Sender};
use riskgate_point::{BadReason, Link, PointId, Report, Sample, SourceId};
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::events::Event;

/// Long enough for a log to stay readable, short enough that a night shift sees the source come back.
const RESTART_DELAY_MIN: Duration = Duration::from_millis(500);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(30);
/// Enough for a goodbye to a server that answers; a driver that has not ended by then is dropped.
pub(crate) const STOP_GRACE: Duration = Duration::from_millis(700);

/// Whose driver it is, and what to say for it while it is not running.
#[derive(Debug, Clone)]
pub struct Charge {
    pub source: SourceId,
    pub name: String,
    pub points: Vec<PointId>,
    /// With its link up it reports at least this often; `None`: a feed that may be silent for ever.
    pub silent_max: Option<Duration>,
}

/// Why one life of a driver ended.
#[derive(Debug)]
enum End {
    Told,
    Stopped(String),
    Panicked(String),
    Stuck(Duration),
}

/// Runs `start` again and again until `stop`. Every life gets a sender of its own.
pub async fn supervise<S, F, E>(charge: Charge, out: Sender, clock: Clock, stop: CancellationToken, start: S)
where
    S: Fn(Sender, CancellationToken) -> F,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let mut backoff = Backoff::new(RESTART_DELAY_MIN, RESTART_DELAY_MAX, u64::from(charge.source.0));
    while !stop.is_cancelled() {
        let born = tokio::time::Instant::now();
        let life_stop = stop.child_token();
        let end = live(&charge, &out, &life_stop, &start).await;
        let why = match &end {
            End::Told => return,
            End::Stopped(why) => {
                Event::DriverStopped { source: &charge.name, why }.emit();
                why.clone()
            }
            End::Panicked(why) => {
                Event::DriverPanicked { source: &charge.name, why }.emit();
                format!("the driver failed ({why}) and is started again; please report this line")
            }
            End::Stuck(silent) => {
                Event::DriverStuck { source: &charge.name, seconds: silent.as_secs() }.emit();
                format!("the driver was silent for {} s and is started again", silent.as_secs())
            }
        };
        out.send(absence(&charge, why, clock));
        if born.elapsed() > RESTART_DELAY_MAX {
            backoff.reset();
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff.next()) => {}
        }
    }
}

async fn live<S, F, E>(charge: &Charge, out: &Sender, stop: &CancellationToken, start: &S) -> End
where
    S: Fn(Sender, CancellationToken) -> F,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let sender = out.clone();
    let activity = sender.activity();
    let run = start(sender, stop.clone());
    let mut driver = JoinSet::new();
    driver.spawn(async move { run.await.map_err(|error| error.to_string()) });
    let end = tokio::select! {
        ended = driver.join_next() => return end_of(ended, stop),
        silent = stuck(&activity, charge.silent_max) => End::Stuck(silent),
        () = stop.cancelled() => {
            // Its own end is waited for: it closes its connections.
            let _in_time = tokio::time::timeout(STOP_GRACE, driver.join_next()).await;
            End::Told
        }
    };
    stop.cancel();
    driver.abort_all();
    end
}

fn end_of(ended: Option<Result<Result<(), String>, JoinError>>, stop: &CancellationToken) -> End {
    match ended {
        Some(Ok(Err(why))) => End::Stopped(why),
        Some(Ok(Ok(()))) | None if stop.is_cancelled() => End::Told,
        Some(Ok(Ok(()))) | None => End::Stopped("it ended without being told to".to_owned()),
        Some(Err(error)) => End::Panicked(panic_text(error)),
    }
}

fn panic_text(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panic without a text".to_owned()),
        Err(error) => error.to_string(),
    }
}

/// Returns when the link has been up and nothing was sent for `silent_max`.
async fn stuck(activity: &Activity, silent_max: Option<Duration>) -> Duration {
    let Some(silent_max) = silent_max else { return std::future::pending().await };
    let mut look = tokio::time::interval(silent_max);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look.tick().await;
    let mut before = activity.sent();
    loop {
        look.tick().await;
        let sent = activity.sent();
        if activity.is_up() && sent == before {
            return silent_max;
        }
        before = sent;
    }
}

/// What is true of a source whose driver is not running.
pub fn absence(charge: &Charge, why: String, clock: Clock) -> Vec<Report> {
    let at = clock();
    let mut reports = vec![Report::Link { source: charge.source, link: Link::Down { why }, at }];
    let bad = |point: &PointId| Report::Sample(Sample::bad(*point, BadReason::CommFailure, at));
    reports.extend(charge.points.iter().map(bad));
    reports
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use riskgate_drivers::intake::{self, Lane};
    use riskgate_point::{Now, Value};

    use super::*;

    fn clock() -> Now {
        Now::default()
    }

    fn charge(silent_max: Option<Duration>) -> Charge {
        Charge { source: SourceId(0), name: "dcs".to_owned(), points: vec![PointId(3)], silent_max }
    }

    async fn next(receiver: &mut intake::Receiver) -> Vec<Report> {
        receiver.recv(10).await.expect("the queue is open")
    }

    #[tokio::test(start_paused = true)]
    async fn a_driver_that_panics_is_started_again_and_its_points_are_bad_meanwhile() {
        let (out, mut receiver) = intake::channel(100, |_| Lane::Process);
        let stop = CancellationToken::new();
        let lives = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&lives);
        let start = move |out: Sender, stop: CancellationToken| {
            let life = count.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(life > 0, "first life");
                out.send(vec![Report::Sample(Sample::good(PointId(3), Value::Bool(true), clock()))]);
                stop.cancelled().await;
                Ok::<(), String>(())
            }
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(supervise(charge(None), out, clock, stop.clone(), start));
        let absent = next(&mut receiver).await;
        assert!(
            matches!(absent.first(), Some(Report::Link { link: Link::Down { why }, .. }) if why.contains("first life"))
        );
        assert!(matches!(absent.get(1), Some(Report::Sample(sample)) if sample.quality.is_bad()));
        let alive = next(&mut receiver).await;
        assert!(matches!(alive.first(), Some(Report::Sample(sample)) if sample.quality.is_good()));
        stop.cancel();
        tasks.join_next().await.expect("one task").expect("it ends by itself");
        assert_eq!(lives.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_driver_that_hangs_with_its_link_up_is_replaced() {
        let (out, mut receiver) = intake::channel(100, |_| Lane::Process);
        let stop = CancellationToken::new();
        let start = |out: Sender, _stop: CancellationToken| async move {
            out.send(vec![Report::Link { source: SourceId(0), link: Link::Up, at: clock() }]);
            std::future::pending::<Result<(), String>>().await
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(supervise(charge(Some(Duration::from_secs(10))), out, clock, stop.clone(), start));
        assert!(matches!(next(&mut receiver).await.first(), Some(Report::Link { link: Link::Up, .. })));
        let down = next(&mut receiver).await;
        assert!(
            matches!(down.first(), Some(Report::Link { link: Link::Down { why }, .. }) if why.contains("10 s"))
        );
        stop.cancel();
        tasks.join_next().await.expect("one task").expect("it ends by itself");
    }
}
