//! How the sources are, for upstream's `state` and for Prometheus; the board has a line of its own.

use std::sync::Arc;

use riskgate_drivers::tally::Counts;
use riskgate_engine::{Plant, ShadowRecord, SourceView, Unjudged};
use riskgate_point::Link;

use crate::metrics::{self, gauged};
use crate::uplink::wire::SourceState;

/// For upstream.
pub(super) fn state_of(plant: &Plant, view: &SourceView, counts: &Counts) -> Option<SourceState> {
    let source = plant.source(view.id)?;
    Some(SourceState {
        id: source.id.clone(),
        name: source.name.clone(),
        link: view.link.clone(),
        since: view.since,
        good: view.good,
        uncertain: view.uncertain,
        bad: view.bad,
        counts: counts.clone(),
    })
}

/// For Prometheus.
pub(super) fn gauge(plant: &Plant, view: &SourceView, counts: &Counts) {
    let Some(source) = plant.source(view.id) else { return };
    metrics::SOURCE_UP.with_label_values(&[&source.id]).set(i64::from(view.link == Link::Up));
    for (quality, count) in [("good", view.good), ("uncertain", view.uncertain), ("bad", view.bad)] {
        metrics::POINTS.with_label_values(&[&source.id, quality]).set(i64::from(count));
    }
    let Counts { polls, polls_failed, polls_late, connects, round_trip, .. } = counts;
    for (what, count) in
        [("answered", polls), ("failed", polls_failed), ("late", polls_late), ("connects", connects)]
    {
        metrics::POLLS.with_label_values(&[&source.id, what]).set(gauged(*count));
    }
    let micros = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
    metrics::ROUND_TRIP.with_label_values(&[&source.id]).set(gauged(micros));
    // One series for each reason: places are as many as a feed has topics.
    let mut reasons = std::collections::BTreeMap::<&str, u64>::new();
    for ((_, reason), skipped) in &counts.skips {
        *reasons.entry(reason).or_default() += skipped.count;
    }
    for (reason, count) in reasons {
        metrics::SKIPPED.with_label_values(&[&source.id, reason]).set(gauged(count));
    }
}

/// For Prometheus.
pub(super) fn gauge_coverage(plant: &Plant) {
    let coverage = plant.coverage();
    for (watched, count) in [("yes", coverage.watched), ("no", coverage.unwatched.len())] {
        metrics::MEASURES.with_label_values(&[watched]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// Sources that are gone leave no gauge behind.
pub(super) fn forget() {
    metrics::SOURCE_UP.reset();
    metrics::POINTS.reset();
    metrics::POLLS.reset();
    metrics::ROUND_TRIP.reset();
    metrics::SKIPPED.reset();
}

/// What came and could not be judged: nothing is lost in silence.
pub(super) fn gauge_unjudged(unjudged: &Unjudged) {
    let Unjudged { late, stray, crowded, elsewhere } = *unjudged;
    for (reason, count) in [("late", late), ("stray", stray), ("crowded", crowded), ("elsewhere", elsewhere)]
    {
        metrics::UNJUDGED.with_label_values(&[reason]).set(gauged(count));
    }
}

/// What shadow rules would have told is counted like everything else.
pub(super) fn gauge_shadows(shadows: &[Arc<ShadowRecord>]) {
    for of in shadows {
        metrics::SHADOW_EPISODES.with_label_values(&[&of.rule]).set(gauged(of.episodes));
        metrics::SHADOW_ACTIVE.with_label_values(&[&of.rule]).set(i64::from(of.since.is_some()));
    }
}
