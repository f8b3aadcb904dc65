//! What Prometheus reads at `/metrics`. What befalls the agent is counted only through [`crate::events`], so
//! that it is never counted without being logged or logged without being counted; the counters of the daily
//! work ([`REPORTS`], [`EFFECTS`]) move by themselves. Gauges say how things are at the moment and are set
//! by the loop that knows.

use std::sync::LazyLock;

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

/// A count as a gauge takes it.
pub(crate) fn gauged(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Every event that matters, by its name and the object that it befell.
pub static EVENTS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counters("riskgate_events_total", "Events by name and object", &["event", "object"]));

/// Reports taken from the drivers, by kind.
pub static REPORTS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counters("riskgate_reports_total", "Reports taken from the drivers", &["kind"]));

/// What the engine decided, by kind.
pub static EFFECTS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counters("riskgate_effects_total", "Effects of the engine", &["kind"]));

/// Samples that were merged away because the queue to the pump was full.
pub static MERGED: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("riskgate_intake_merged", "Samples merged in a full intake since the start"));

pub static INTAKE_DEPTH: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("riskgate_intake_depth", "Reports that wait for the pump"));

pub static OUTBOX: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauges("riskgate_outbox_pending", "Committed rows not yet acknowledged", &["lane"]));

pub static SET_ASIDE: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges(
        "riskgate_outbox_set_aside",
        "Rows that the receiver, or the database, will not take; each is told as a gap",
        &["what"],
    )
});

pub static UPLINK_UP: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("riskgate_uplink_up", "1 while the broker upstream is connected"));

pub static ACKNOWLEDGED: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("riskgate_outbox_acknowledged", "Rows acknowledged upstream since the start"));

pub static READINGS_DROPPED: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge("riskgate_readings_dropped", "Readings dropped since the start and told upstream as a gap")
});

/// What the store wrote since the start: to its WAL, and from there to its file at most.
pub static STORE_WRITTEN: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges("riskgate_store_written_bytes", "Bytes that the store wrote since the start", &["to"])
});

pub static EVICTED: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "riskgate_outbox_evicted",
        "Rows that left the full outbox since the start; a gap tells the pending ones",
    )
});

pub static COMMITTED: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("riskgate_committed_batch", "The newest batch that is on disk"));

/// From a decision of the engine until it is known to be on disk. A card that wears out shows here first.
pub static COMMIT: LazyLock<Histogram> = LazyLock::new(|| {
    // Each half as long again: a percentile read from it is that near to the truth. The last is the time after
    // which alarms and hazards go out undurable.
    let buckets = [
        0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15,
        0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0,
    ];
    histogram("riskgate_commit_seconds", "From a decision to its commit", &buckets)
});

/// Of the measures that are said to be watched automatically.
pub static MEASURES: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges(
        "riskgate_automatic_measures",
        "Automatic measures, by whether anything watches them",
        &["watched"],
    )
});

/// 1 while the source's link is up.
pub static SOURCE_UP: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauges("riskgate_source_up", "1 while the link of the source is up", &["source"]));

pub static POINTS: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauges("riskgate_points", "Points by source and quality", &["source", "quality"]));

/// What each driver counted of its work since the start: answered, failed, late, connects.
pub static POLLS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges("riskgate_source_polls", "Polls of the source since the start, by outcome", &["source", "outcome"])
});

pub static ROUND_TRIP: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges("riskgate_source_round_trip_us", "From the newest request to its answer, in us", &["source"])
});

/// Parts of messages and the like that came and could not be used, by reason.
pub static SKIPPED: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges(
        "riskgate_source_skipped",
        "What came and could not be used since the start",
        &["source", "reason"],
    )
});

/// What the history counts of itself: samples, bytes.
pub static HISTORY: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges(
        "riskgate_history",
        "Of the history since the start: samples kept, open, dropped; bytes of blocks, written, in the file",
        &["what"],
    )
});

/// What the engine took and could not judge, by reason.
pub static UNJUDGED: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges("riskgate_unjudged", "Reports not judged since the start, by reason", &["reason"])
});

/// Episodes of rules that tell nobody, since their text was changed last.
pub static SHADOW_EPISODES: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges("riskgate_shadow_episodes", "Episodes of a shadow rule under its present text", &["rule"])
});

pub static SHADOW_ACTIVE: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges("riskgate_shadow_active", "1 while a shadow rule would have an alarm active", &["rule"])
});

/// The exposition text of all of them.
pub fn text() -> String {
    let mut page = Vec::new();
    match TextEncoder::new().encode(&REGISTRY.gather(), &mut page) {
        Ok(()) => String::from_utf8_lossy(&page).into_owned(),
        Err(error) => format!("# metrics cannot be encoded: {error}\n"),
    }
}

// A metric whose name is taken or wrong is a mistake in this file, which the test below finds.
#[expect(clippy::expect_used, reason = "names are constants of this file and a test makes every one")]
fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let metric = IntCounterVec::new(Opts::new(name, help), labels).expect("a metric name");
    REGISTRY.register(Box::new(metric.clone())).expect("a free metric name");
    metric
}

#[expect(clippy::expect_used, reason = "names are constants of this file and a test makes every one")]
fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let metric = IntGaugeVec::new(Opts::new(name, help), labels).expect("a metric name");
    REGISTRY.register(Box::new(metric.clone())).expect("a free metric name");
    metric
}

#[expect(clippy::expect_used, reason = "names are constants of this file and a test makes every one")]
fn gauge(name: &str, help: &str) -> IntGauge {
    let metric = IntGauge::new(name, help).expect("a metric name");
    REGISTRY.register(Box::new(metric.clone())).expect("a free metric name");
    metric
}

#[expect(clippy::expect_used, reason = "names are constants of this file and a test makes every one")]
fn histogram(name: &str, help: &str, buckets: &[f64]) -> Histogram {
    let metric = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
        .expect("a metric name");
    REGISTRY.register(Box::new(metric.clone())).expect("a free metric name");
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_name_of_its_own() {
        EVENTS.with_label_values(&["x", "y"]).inc();
        REPORTS.with_label_values(&["sample"]).inc();
        EFFECTS.with_label_values(&["alarm"]).inc();
        MERGED.set(1);
        UPLINK_UP.set(1);
        ACKNOWLEDGED.set(1);
        READINGS_DROPPED.set(1);
        COMMITTED.set(1);
        COMMIT.observe(0.004);
        EVICTED.set(1);
        STORE_WRITTEN.with_label_values(&["wal"]).set(1);
        INTAKE_DEPTH.set(1);
        OUTBOX.with_label_values(&["critical"]).set(1);
        SET_ASIDE.with_label_values(&["refused"]).set(1);
        SOURCE_UP.with_label_values(&["s"]).set(1);
        POINTS.with_label_values(&["s", "good"]).set(1);
        POLLS.with_label_values(&["s", "late"]).set(1);
        ROUND_TRIP.with_label_values(&["s"]).set(1);
        SKIPPED.with_label_values(&["s", "not_json"]).set(1);
        SHADOW_EPISODES.with_label_values(&["r"]).set(1);
        SHADOW_ACTIVE.with_label_values(&["r"]).set(1);
        let page = text();
        for name in [
            "riskgate_commit_seconds_bucket",
            "riskgate_events_total",
            "riskgate_intake_merged",
            "riskgate_outbox_pending",
            "riskgate_points",
        ] {
            assert!(page.contains(name), "{name} is missing from\n{page}");
        }
    }
}
