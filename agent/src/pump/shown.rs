//! How the sources are, in the three shapes that others read: the board's line, upstream's `state`, gauges.

use riskgate_engine::{Plant, SourceView};
use riskgate_point::Link;

use crate::console::{SourceLine, SourceState as LineState};
use crate::metrics;
use crate::uplink::wire::SourceState;

/// For the control room.
pub(super) fn line_of(plant: &Plant, view: &SourceView) -> Option<SourceLine> {
    let source = plant.source(view.id)?;
    let (link, why) = match &view.link {
        Link::Connecting => (LineState::Connecting, None),
        Link::Up => (LineState::Up, None),
        Link::Down { why } => (LineState::Down, Some(why.clone())),
    };
    Some(SourceLine {
        id: source.id.clone(),
        name: source.name.clone(),
        link,
        why,
        since: view.since,
        good: view.good,
        uncertain: view.uncertain,
        bad: view.bad,
        source_offset_ms: view.source_offset_ms,
    })
}

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
