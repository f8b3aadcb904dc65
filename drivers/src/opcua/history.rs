//! What was missed in a gap, asked for from the server's history: samples that are kept and never judged.
//!
//! It runs beside everything else and ends on its own: an alarm does not wait for the past. It is bounded
//! by how far back it may reach, by the number of samples and by its time; what lies beyond is told as
//! missing. Where the source asks for no history, or its server keeps none, the gap alone is told.

use std::collections::BTreeMap;
use std::time::Duration;

use opcua::client::HistoryReadAction;
use opcua::types::{
    DateTime, HistoryData, HistoryReadResult, HistoryReadValueId, NodeId, ReadRawModifiedDetails,
    ReadValueId, StatusCode, TimestampsToReturn, VariableId, Variant,
};
use riskgate_point::{Report, Sample, Wall};

use super::notices::{Missed, Seen};
use super::subscribe::{Filling, Limits};
use super::{decode, plan};

/// Values of one point in one answer; more come in further ones.
const VALUES_IN_AN_ANSWER: u32 = 1000;

/// Points in one request: with [`VALUES_IN_AN_ANSWER`] of each, 50,000 values are a few megabytes.
const POINTS_IN_A_REQUEST: usize = 50;

/// For one gap. At 100 bytes a sample, 10 MB that wait at the most.
const SAMPLES_MAX: usize = 100_000;

/// For one gap: a server that is asked for its archive by everyone at once is slow for all.
const WITHIN: Duration = Duration::from_secs(60);

/// What came of asking.
#[derive(Debug, Default)]
struct Found {
    n_samples: usize,
    /// Points whose gap was read whole.
    n_whole: usize,
    /// Why others were not.
    n_not: BTreeMap<String, usize>,
}

impl Filling {
    /// Tells of the gap, and asks for what was in it where the source says so.
    /// After `settled` each point has told its present value.
    pub(super) async fn past(self, missed: Missed, limits: Limits, settled: Duration) {
        let now = (self.clock)();
        let gap = now.mono.since(missed.since.mono);
        let url = &self.server.url;
        let Some(reach) = self.server.history else {
            self.tell_missing("not asked for", &missed);
            tracing::info!(url, ?gap, n_points = missed.points.len(), "values of this time were not seen");
            self.notices.gap_is_closed();
            return;
        };
        // The first values after the gap say where it ends: they are in the first publishing.
        tokio::time::sleep(settled).await;
        let mut found = Found::default();
        if self.run.skips_history() {
            found.lack("the last try ended with the connection", missed.points.len());
        } else {
            let asked = self.ask(&missed, reach, &limits, &mut found);
            if tokio::time::timeout(WITHIN, asked).await.is_err() {
                let why = format!("no answer within {} s", WITHIN.as_secs());
                found.lack(&why, found.n_left_of(missed.points.len()));
            }
        }
        self.notices.gap_is_closed();
        if !found.n_not.is_empty() {
            self.tell_missing("not in the server's history", &missed);
        }
        let not = found.n_not.iter().map(|(why, n_points)| format!("{n_points} points: {why}"));
        tracing::info!(
            url,
            ?gap,
            n_samples = found.n_samples,
            n_points = found.n_whole,
            missing = not.collect::<Vec<_>>().join(", "),
            "values of this time were read from the server's history"
        );
    }

    fn tell_missing(&self, reason: &'static str, missed: &Missed) {
        let example = || format!("since {} ms", missed.since.wall.0);
        self.out.tally().skipped("gap", reason, example);
    }

    async fn ask(&self, missed: &Missed, reach: Duration, limits: &Limits, found: &mut Found) {
        // Those that were seen last at about the same time are asked for together.
        let mut points = missed.points.clone();
        points.sort_by_key(|(_, last)| last.time);
        let Some(newest) = points.last().map(|(_, last)| last.time) else { return };
        // By the sources' clocks, which may be ahead of the server's.
        let gap = (self.clock)().mono.since(missed.since.mono);
        let end = self.server_time().await.unwrap_or_default().max(later(newest, gap));
        let earliest = earlier(end, reach);
        for portion in points.chunks(limits.nodes_in_a_history.min(POINTS_IN_A_REQUEST)) {
            let Some((_, oldest)) = portion.first() else { continue };
            let details = ReadRawModifiedDetails {
                is_read_modified: false,
                start_time: date_time(oldest.time.max(earliest)),
                end_time: date_time(end),
                num_values_per_node: VALUES_IN_AN_ANSWER,
                return_bounds: false,
            };
            let mut open: Vec<Open> = portion
                .iter()
                .filter_map(|(at, last)| {
                    let node = plan::value_of(self.server.points.get(*at)?, &limits.namespaces)?;
                    Some(Open {
                        at: *at,
                        last: last.clone(),
                        node: HistoryReadValueId {
                            node_id: node.node_id,
                            index_range: node.index_range,
                            ..HistoryReadValueId::default()
                        },
                    })
                })
                .collect();
            while !open.is_empty() {
                open = match self.page(&details, open, found).await {
                    Ok(open) => open,
                    // It refuses the service, or does not answer: the rest would fare no better.
                    Err(status) => {
                        found.lack(&status.to_string(), found.n_left_of(points.len()));
                        return;
                    }
                };
            }
        }
    }

    async fn server_time(&self) -> Option<Wall> {
        let node = ReadValueId::from(NodeId::from(VariableId::Server_ServerStatus_CurrentTime));
        let what = "reading the server's time";
        let values = self.read(what, &[node], TimestampsToReturn::Neither, 0.0).await.ok()?;
        let value = values.into_iter().next()?.value?;
        let Variant::DateTime(time) = value else { return None };
        decode::wall(&time, self.notices.offset_ns())
    }

    /// One request. Gives back the points of which there is more.
    async fn page(
        &self,
        details: &ReadRawModifiedDetails,
        open: Vec<Open>,
        found: &mut Found,
    ) -> Result<Vec<Open>, StatusCode> {
        let nodes: Vec<HistoryReadValueId> = open.iter().map(|open| open.node.clone()).collect();
        let action = HistoryReadAction::ReadRawModifiedDetails(details.clone());
        let n_open = open.len();
        let answer = self
            .session
            .history_read(action, TimestampsToReturn::Source, false, &nodes)
            .await
            .map_err(|error| decode::code(error.status()))?;
        if answer.len() != n_open {
            return Err(StatusCode::BadUnknownResponse);
        }
        let mut more = Vec::new();
        for (mut open, result) in open.into_iter().zip(answer) {
            if result.status_code.is_bad() {
                found.lack(&decode::code(result.status_code).to_string(), 1);
                continue;
            }
            let samples = self.samples(&open, &result);
            found.n_samples += samples.len();
            self.out.send_when_room(samples.into_iter().map(Report::Sample).collect()).await;
            open.node.continuation_point = result.continuation_point;
            if open.node.continuation_point.is_null_or_empty() {
                found.n_whole += 1;
            } else {
                more.push(open);
            }
        }
        if found.n_samples > SAMPLES_MAX && !more.is_empty() {
            self.let_go(details, &more).await;
            found.lack(&format!("more than {SAMPLES_MAX} values"), more.len());
            more.clear();
        }
        Ok(more)
    }

    /// What lies between the last that was seen and the first that came since, in time order.
    fn samples(&self, open: &Open, result: &HistoryReadResult) -> Vec<Sample> {
        let first = self.notices.first_after_gap(open.at);
        let is_after = |time: Wall, sample: &Sample| {
            time > open.last.time || (time == open.last.time && sample.value != open.last.value)
        };
        let is_before = |time: Wall, sample: &Sample| {
            first
                .as_ref()
                .is_none_or(|first| time < first.time || (time == first.time && sample.value != first.value))
        };
        let data = result.history_data.inner_as::<HistoryData>();
        let values = data.and_then(|data| data.data_values.as_deref()).unwrap_or_default();
        let read = values.iter().filter_map(|value| self.notices.backfill(open.at, value));
        let mut samples: Vec<(Wall, Sample)> =
            read.filter(|(time, sample)| is_after(*time, sample) && is_before(*time, sample)).collect();
        samples.sort_by_key(|(time, _)| *time);
        samples.into_iter().map(|(_, sample)| sample).collect()
    }

    /// The server keeps a place in its archive for each; it is told that they are done with.
    async fn let_go(&self, details: &ReadRawModifiedDetails, open: &[Open]) {
        let nodes: Vec<HistoryReadValueId> = open.iter().map(|open| open.node.clone()).collect();
        let action = HistoryReadAction::ReadRawModifiedDetails(details.clone());
        let _they_time_out =
            self.session.history_read(action, TimestampsToReturn::Source, true, &nodes).await;
    }
}

/// A point whose gap is being read.
struct Open {
    at: usize,
    last: Seen,
    node: HistoryReadValueId,
}

impl Found {
    fn lack(&mut self, why: &str, n_points: usize) {
        *self.n_not.entry(why.to_owned()).or_default() += n_points;
    }

    /// Of so many, those that were neither read nor refused.
    fn n_left_of(&self, n_points: usize) -> usize {
        n_points.saturating_sub(self.n_whole + self.n_not.values().sum::<usize>())
    }
}

fn later(time: Wall, by: Duration) -> Wall {
    Wall(time.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
}

fn earlier(time: Wall, by: Duration) -> Wall {
    Wall(time.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
}

/// As the server's clock says it: only what comes from it is put right by the library.
fn date_time(time: Wall) -> DateTime {
    /// Between the standard's epoch, 1601, and ours, in its unit of 100 ns.
    const TICKS_TO_1970: i64 = 116_444_736_000_000_000;
    DateTime::from(time.0.saturating_mul(10_000).saturating_add(TICKS_TO_1970))
}
