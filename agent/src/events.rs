//! Things that happen to the agent, each of which is logged and counted by one call.
//!
//! A loss, a refusal, a restart is an event of this list or it did not happen: nothing is dropped
//! through a bare log line. What the engine decides is not here: those are effects, and are stored.

use std::time::Duration;

use crate::metrics;

/// One event. `object` in the log and in the counter is the source, lane or file that it befell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    Started {
        version: &'a str,
        points: usize,
        rules: usize,
    },
    Stopped,
    /// A part did not end within its share of the stop.
    StopTookTooLong {
        part: &'a str,
        within: Duration,
    },
    /// Before the store is opened: what follows may wait for a disk.
    StoreOpening {
        path: &'a str,
    },
    /// A new epoch was drawn: why the old store could not be gone on with.
    EpochBegun {
        epoch: &'a str,
        reason: &'a str,
    },
    StoreKeptAside {
        path: &'a str,
    },
    /// The gateway was given another id, or the store is not its own.
    StoreOfAnother {
        path: &'a str,
        company: &'a str,
        gateway: &'a str,
    },
    StoreOpenedIn {
        millis: u64,
    },
    /// A commit failed and is tried again as it is. Once for each reason.
    CommitFailed {
        why: &'a str,
    },
    /// Pieces that can never be written were set aside, and told as gaps.
    Unwritable {
        count: u64,
    },
    /// What had failed is committed.
    CommitWorks,
    /// A commit has not returned in time: alarms are shown as not durable.
    CommitLate {
        batch: u64,
    },
    /// Alarms and hazards went upstream before their commit; for so many there was no room.
    ToldUndurable {
        over: u64,
    },
    /// Nothing waits too long any more; so many batches were shown before their commit.
    CommitInTime {
        batches: u64,
    },
    /// At the end something was not on disk.
    Unwritten {
        why: &'a str,
    },
    /// The queue to the store was full: newer states of the same objects took the place of older ones.
    EffectsSuperseded {
        count: u64,
    },
    /// The queue from the drivers was full: of each point's samples the telling ones were kept.
    SamplesMerged {
        count: u64,
    },
    SourceUp {
        source: &'a str,
    },
    SourceDown {
        source: &'a str,
        why: &'a str,
    },
    DriverStopped {
        source: &'a str,
        why: &'a str,
    },
    DriverPanicked {
        source: &'a str,
        why: &'a str,
    },
    DriverStuck {
        source: &'a str,
        seconds: u64,
    },
    Reloaded {
        old: &'a str,
        new: &'a str,
    },
    Reloading,
    Unchanged,
    ReloadRefused {
        why: &'a str,
    },
    /// A stored model from upstream is not as it was written, or goes with the files no longer; an older one is tried.
    ModelUnreadable {
        version: u64,
        why: &'a str,
    },
    /// None of them can be had: the files' own chain holds until upstream sends one.
    ModelOfFiles,
    UplinkUp {
        /// `host:port`.
        broker: &'a str,
        /// Tries that failed since it was lost.
        tries: u64,
    },
    /// Once for each reason; the tries that follow are counted.
    UplinkLost {
        broker: &'a str,
        why: &'a str,
    },
    /// Readings that are not acknowledged in time stay in memory alone.
    SpoolFailed {
        why: &'a str,
    },
    /// The broker hangs up on this message: it was set aside, and is told as a gap.
    MessageRefused {
        message: &'a str,
    },
    WatchdogHeld {
        why: &'a str,
    },
    /// Samples that the history had no room for; told in it as a gap.
    HistoryDropped {
        count: u64,
        why: &'a str,
    },
    HistoryKeptAside {
        path: &'a str,
        reason: &'a str,
    },
    /// A write failed and is tried again. Once for each reason.
    HistoryFails {
        why: &'a str,
    },
    HistoryWorks,
    /// Windows begin with what the history kept.
    WindowsRefilled {
        samples: usize,
        /// Points whose past had no room.
        left_out: usize,
    },
    /// They do not, and are unknown until they are covered.
    WindowsEmpty {
        why: &'a str,
    },
}

impl Event<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Stopped => "stopped",
            Self::StopTookTooLong { .. } => "stop_took_too_long",
            Self::EpochBegun { .. } => "epoch_begun",
            Self::StoreOpening { .. } => "store_opening",
            Self::StoreKeptAside { .. } => "store_kept_aside",
            Self::StoreOfAnother { .. } => "store_of_another",
            Self::StoreOpenedIn { .. } => "store_opened_in",
            Self::CommitFailed { .. } => "commit_failed",
            Self::Unwritable { .. } => "unwritable",
            Self::CommitWorks => "commit_works",
            Self::CommitLate { .. } => "commit_late",
            Self::ToldUndurable { .. } => "told_undurable",
            Self::CommitInTime { .. } => "commit_in_time",
            Self::Unwritten { .. } => "unwritten",
            Self::EffectsSuperseded { .. } => "effects_superseded",
            Self::SamplesMerged { .. } => "samples_merged",
            Self::SourceUp { .. } => "source_up",
            Self::SourceDown { .. } => "source_down",
            Self::DriverStopped { .. } => "driver_stopped",
            Self::DriverPanicked { .. } => "driver_panicked",
            Self::DriverStuck { .. } => "driver_stuck",
            Self::Reloaded { .. } => "reloaded",
            Self::Reloading => "reloading",
            Self::Unchanged => "unchanged",
            Self::ReloadRefused { .. } => "reload_refused",
            Self::ModelUnreadable { .. } => "model_unreadable",
            Self::ModelOfFiles => "model_of_files",
            Self::UplinkUp { .. } => "uplink_up",
            Self::UplinkLost { .. } => "uplink_lost",
            Self::SpoolFailed { .. } => "spool_failed",
            Self::MessageRefused { .. } => "message_refused",
            Self::WatchdogHeld { .. } => "watchdog_held",
            Self::HistoryDropped { .. } => "history_dropped",
            Self::HistoryKeptAside { .. } => "history_kept_aside",
            Self::HistoryFails { .. } => "history_fails",
            Self::HistoryWorks => "history_works",
            Self::WindowsRefilled { .. } => "windows_refilled",
            Self::WindowsEmpty { .. } => "windows_empty",
        }
    }

    /// Logs and counts.
    pub fn emit(&self) {
        let event = self.name();
        let (object, count) = match self {
            Self::Started { version, points, rules } => {
                tracing::info!(event, version, points, rules, "running");
                ("agent", 1)
            }
            Self::Stopped => {
                tracing::info!(event, "stopped: what was decided is committed");
                ("agent", 1)
            }
            Self::StopTookTooLong { part, within } => {
                let millis = within.as_millis();
                tracing::error!(event, part, millis, "did not end in time; what is committed is safe");
                ("agent", 1)
            }
            Self::StoreOpening { path } => {
                tracing::info!(event, path, "opening the store");
                ("store", 1)
            }
            Self::EpochBegun { epoch, reason } => {
                tracing::warn!(event, epoch, reason, "a new epoch begins");
                ("store", 1)
            }
            Self::StoreKeptAside { path } => {
                tracing::error!(event, path, "the store was damaged and is kept aside; a new one begins");
                ("store", 1)
            }
            Self::StoreOfAnother { path, company, gateway } => {
                tracing::error!(
                    event,
                    path,
                    company,
                    gateway,
                    "the store was another gateway's and is this one's from now on; what waits in it goes upstream as ours"
                );
                ("store", 1)
            }
            Self::StoreOpenedIn { millis } => {
                tracing::info!(event, millis, "store open");
                ("store", 1)
            }
            Self::CommitFailed { why } => {
                tracing::error!(event, why, "commit failed; the same batch is tried again");
                ("store", 1)
            }
            Self::Unwritable { count } => {
                tracing::error!(event, count, "set aside what can never be written; the journal names it");
                ("store", *count)
            }
            Self::ModelUnreadable { version, why } => {
                tracing::error!(event, version, why, "the stored model from upstream cannot be used");
                ("model", 1)
            }
            Self::ModelOfFiles => {
                tracing::error!(
                    event,
                    "no stored model can be used: the chain of the files holds until upstream sends one"
                );
                ("model", 1)
            }
            Self::CommitWorks => {
                tracing::info!(event, "the store commits again");
                ("store", 1)
            }
            Self::Unwritten { why } => {
                tracing::error!(event, why, "stopped, and something that was decided is not on disk");
                ("store", 1)
            }
            Self::CommitInTime { batches } => {
                tracing::info!(event, batches, "what was shown as not durable is committed");
                ("store", 1)
            }
            Self::ToldUndurable { over: 0 } => {
                tracing::debug!(event, "told upstream before the commit, marked as not durable");
                ("store", 1)
            }
            Self::ToldUndurable { over } => {
                tracing::error!(event, over, "not told upstream before the commit: too many wait for it");
                ("store", *over)
            }
            Self::CommitLate { batch } => {
                tracing::warn!(event, batch, "commit not back in time; alarms are shown as not durable");
                ("store", 1)
            }
            Self::EffectsSuperseded { count } => {
                tracing::warn!(event, count, "queue to the store full; newer states replaced older ones");
                ("store", *count)
            }
            Self::SamplesMerged { count } => {
                tracing::warn!(event, count, "queue from the drivers full; samples were merged");
                ("intake", *count)
            }
            Self::SourceUp { source } => {
                tracing::info!(event, source, "source up");
                (*source, 1)
            }
            Self::SourceDown { source, why } => {
                tracing::warn!(event, source, why, "source down");
                (*source, 1)
            }
            Self::DriverStopped { source, why } => {
                tracing::error!(event, source, why, "driver stopped; it is started again");
                (*source, 1)
            }
            Self::DriverPanicked { source, why } => {
                tracing::error!(event, source, why, "driver panicked; it is started again");
                (*source, 1)
            }
            Self::DriverStuck { source, seconds } => {
                tracing::error!(
                    event,
                    source,
                    seconds,
                    "driver silent though its link is up; it is replaced"
                );
                (*source, 1)
            }
            Self::Reloaded { old, new } => {
                tracing::info!(event, old, new, "configuration swapped");
                ("configuration", 1)
            }
            Self::Reloading => {
                tracing::info!(event, "reading the configuration anew");
                ("configuration", 1)
            }
            Self::Unchanged => {
                tracing::info!(event, "the configuration has not changed");
                ("configuration", 1)
            }
            Self::UplinkUp { broker, tries } => {
                tracing::info!(event, broker, tries, "uplink connected");
                ("uplink", 1)
            }
            Self::UplinkLost { broker, why } => {
                tracing::warn!(event, broker, why, "uplink lost; work goes on locally");
                ("uplink", 1)
            }
            Self::SpoolFailed { why } => {
                tracing::error!(event, why, "no spool: readings of a long outage are kept in memory alone");
                ("uplink", 1)
            }
            Self::MessageRefused { message } => {
                tracing::error!(event, message, "the broker does not take this message; it is set aside");
                ("uplink", 1)
            }
            Self::ReloadRefused { why } => {
                tracing::error!(event, why, "configuration refused; the running one stays");
                ("configuration", 1)
            }
            Self::WatchdogHeld { why } => {
                tracing::error!(event, why, "no progress; the watchdog is not fed");
                ("agent", 1)
            }
            Self::HistoryDropped { count, why } => {
                tracing::warn!(event, count, why, "samples are missing in the history; it has a gap there");
                ("history", *count)
            }
            Self::HistoryKeptAside { path, reason } => {
                tracing::error!(event, path, reason, "the history is kept aside; a new one begins");
                ("history", 1)
            }
            Self::HistoryFails { why } => {
                tracing::error!(event, why, "the history cannot be written; judging goes on");
                ("history", 1)
            }
            Self::HistoryWorks => {
                tracing::info!(event, "the history is written again");
                ("history", 1)
            }
            Self::WindowsRefilled { samples, left_out } => {
                tracing::info!(event, samples, left_out, "windows go on with what the history kept");
                ("history", 1)
            }
            Self::WindowsEmpty { why } => {
                tracing::warn!(event, why, "windows are unknown until they are covered");
                ("history", 1)
            }
        };
        metrics::EVENTS.with_label_values(&[event, object]).inc_by(count);
    }
}
