//! How the sources are, for upstream's `state` and for Prometheus; the board has a line of its own.

use riskgate_engine::{Plant, SourceView, Unjudged};

use crate::metrics;
use crate::uplink::wire::SourceState;

/// For upstream.
pub(super) fn state_of(plant: &Plant, view: &SourceView) -> Option<SourceState> {
    let source = plant.source(view.id)?;
    Some(SourceState {
        id: source.id.clone(),
        name: source.name.clone(),
        link: view.link.clone(),
        since: view.since,
        good: view.good,
        uncertain: view.uncertain,
        bad: view.bad,
    })
}

/// For Prometheus.
pub(super) fn gauge(plant: &Plant, view: &SourceView) {
    let Some(source) = plant.source(view.id) else { return };
    for (quality, count) in [("good", view.good), ("uncertain", view.uncertain), ("bad", view.bad)] {
        metrics::POINTS.with_label_values(&[&source.id, quality]).set(i64::from(count));
    }
}

/// What came and could not be judged: nothing is lost in silence.
pub(super) fn gauge_unjudged(unjudged: &Unjudged) {
    let Unjudged { late, stray, crowded, elsewhere } = *unjudged;
    for (reason, count) in [("late", late), ("stray", stray), ("crowded", crowded), ("elsewhere", elsewhere)]
    {
        metrics::UNJUDGED.with_label_values(&[reason]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
