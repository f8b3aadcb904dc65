//! `riskgate run --once`: reads every point once and says what it read. The first thing an installer runs.
//!
//! The drivers are those of the agent; no rule is judged, nothing is stored and nothing leaves.

use std::collections::BTreeMap;
use std::time::Duration;

use riskgate_drivers::Clock;
use riskgate_engine::Plant;
use riskgate_point::{BadReason, Link, Mono, Now, PointId, Quality, Report, Sample, SourceId};

use super::sources::Sources;
use crate::config::{Checked, Driver};

/// Longer than three tries to connect and read on any sound network; a feed that speaks less often is said
/// to be silent.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// A source that refuses is tried again for this long: a device may be starting. One try more than that tells
/// nothing new, and the installer waits.
const REFUSED_MAX: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const TAKE_MAX: usize = 4_096;

/// What one point read, or why it did not.
pub struct Line {
    pub tag: String,
    pub name: String,
    pub source: String,
    pub eu: String,
    pub sample: Option<Sample>,
    /// How old the value is; by the source's own time where it gives one.
    pub age: Option<Duration>,
    /// Why there is no good value, in words.
    pub why: Option<String>,
}

impl Line {
    pub fn is_good(&self) -> bool {
        self.sample.as_ref().is_some_and(|sample| sample.quality.is_good())
    }
}

/// One line for each point of the plant, in the order of the point tables.
pub async fn once(checked: Checked, clock: Clock) -> Vec<Line> {
    let plant = std::sync::Arc::new(checked.plant);
    let mut configs = checked.sources;
    for config in &mut configs {
        if let Driver::Mqtt(feed) = &mut config.driver {
            // Under the agent's own name the broker would cut off the agent that runs beside this.
            feed.client_id.push_str("-once");
        }
    }
    let (mut sources, mut intake) = Sources::start(configs, &plant, clock);
    let mut read: BTreeMap<PointId, Sample> = BTreeMap::new();
    let mut down: BTreeMap<SourceId, Down> = BTreeMap::new();
    let all = async {
        let mut look = tokio::time::interval(LOOK_EVERY);
        while !settled(&plant, &read, &down, clock()) {
            tokio::select! {
                reports = intake.recv(TAKE_MAX) => {
                    let Some(reports) = reports else { return };
                    reports.into_iter().for_each(|report| note(report, &mut read, &mut down));
                }
                _ = look.tick() => {}
            }
        }
    };
    // What has not come by then is told as missing.
    let in_time = tokio::time::timeout(WAIT_MAX, all).await.is_ok();
    sources.halt().await;
    let ids = (0..).map(PointId);
    ids.zip(plant.points()).map(|(id, _)| line(&plant, id, &read, &down, in_time, clock)).collect()
}

/// Since when a source is down, and why.
struct Down {
    since: Mono,
    why: String,
}

/// Waiting longer would tell nothing new of any point.
fn settled(
    plant: &Plant,
    read: &BTreeMap<PointId, Sample>,
    down: &BTreeMap<SourceId, Down>,
    now: Now,
) -> bool {
    (0..).map(PointId).zip(plant.points()).all(|(id, point)| {
        let refused = down.get(&point.source).is_some_and(|down| now.mono.since(down.since) >= REFUSED_MAX);
        refused || read.get(&id).is_some_and(|sample| is_answer(sample.quality))
    })
}

/// What only its link made bad may yet become good; the rest is what the source has to say.
fn is_answer(quality: Quality) -> bool {
    match quality {
        Quality::Good | Quality::Uncertain(_) => true,
        Quality::Bad(reason) => match reason {
            BadReason::NeverRead | BadReason::CommFailure | BadReason::Stale => false,
            BadReason::DeviceFailure
            | BadReason::NotANumber
            | BadReason::Masked
            | BadReason::RefusedAddress
            | BadReason::ConfigError => true,
        },
    }
}

fn note(report: Report, read: &mut BTreeMap<PointId, Sample>, down: &mut BTreeMap<SourceId, Down>) {
    match report {
        Report::Sample(sample) => {
            // A link that fell after a good reading does not undo the reading.
            let better = |old: &Sample| !old.quality.is_bad() && sample.quality.is_bad();
            if !read.get(&sample.point).is_some_and(better) {
                read.insert(sample.point, sample);
            }
        }
        Report::Link { source, link: Link::Down { why }, at } => {
            let since = down.get(&source).map_or(at.mono, |down| down.since);
            down.insert(source, Down { since, why });
        }
        Report::Link { source, link: Link::Up, .. } => {
            down.remove(&source);
        }
        Report::Link { link: Link::Connecting, .. }
        | Report::Fix(_)
        | Report::Sighting(_)
        | Report::Permit(_)
        | Report::Condition(_)
        | Report::ConditionsTold { .. }
        | Report::ConditionsLost { .. }
        | Report::Refreshed { .. } => {}
    }
}

fn line(
    plant: &Plant,
    id: PointId,
    read: &BTreeMap<PointId, Sample>,
    down: &BTreeMap<SourceId, Down>,
    in_time: bool,
    clock: Clock,
) -> Line {
    let now = clock();
    let sample = read.get(&id).cloned();
    let point = plant.point(id);
    let source = point.and_then(|point| plant.source(point.source));
    let age = sample.as_ref().map(|sample| match sample.source_time {
        Some(at) => Duration::from_millis(u64::try_from(now.wall.0 - at.0).unwrap_or(0)),
        None => now.mono.since(sample.received.mono),
    });
    let bad = sample.as_ref().is_none_or(|sample| sample.quality.is_bad());
    let silent =
        || (!in_time && sample.is_none()).then(|| format!("nothing came in {} s", WAIT_MAX.as_secs()));
    let why = if bad {
        point.and_then(|point| down.get(&point.source).map(|down| down.why.clone())).or_else(silent)
    } else {
        None
    };
    Line {
        tag: point.map(|point| point.tag.clone()).unwrap_or_default(),
        name: point.map(|point| point.name.clone()).unwrap_or_default(),
        source: source.map(|source| source.id.clone()).unwrap_or_default(),
        eu: point.map(|point| point.eu.clone()).unwrap_or_default(),
        sample,
        age,
        why,
    }
}
