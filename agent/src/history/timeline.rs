//! One point's samples as a line of time: where nothing is known, it says so. Pure.

use std::time::Duration;

use riskgate_point::{BadReason, Quality, Wall};

use super::Reading;
use super::file::Gap;
use super::keep::APART_MAX;

/// What has been told so far of one point.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    /// Of the last sample that was not told late.
    last: Option<Wall>,
    /// Something is in force.
    known: bool,
}

impl Line {
    /// The next sample, and before it, where that was before, when the one in force was no longer known.
    pub(super) fn push(&mut self, reading: Reading, gaps: &[Gap], told: &mut Vec<Reading>) {
        if reading.backfill {
            told.push(reading);
            return;
        }
        // What was written of a time before a crash is not the whole of it.
        if gaps.iter().any(|gap| gap.from < reading.at && reading.at < gap.to) {
            return;
        }
        match self.last {
            // The clock was set back: how long the last one held, nobody can say.
            Some(last) if reading.at < last => self.end(last, told),
            Some(_) | None => self.pass(reading.at, gaps, told),
        }
        self.last = Some(reading.at);
        self.known = !reading.quality.is_bad();
        told.push(reading);
    }

    /// Nothing came up to `until`, which is known.
    pub(super) fn pass(&mut self, until: Wall, gaps: &[Gap], told: &mut Vec<Reading>) {
        let Some(last) = self.last.filter(|_| self.known) else { return };
        let gap = gaps
            .iter()
            .filter(|gap| gap.from >= last && gap.from < until && gap.to > gap.from)
            .map(|gap| gap.from)
            .min();
        let apart = last.after(APART_MAX);
        let silent = (apart < until).then_some(apart);
        if let Some(at) = gap.into_iter().chain(silent).min() {
            self.end(at, told);
        }
    }

    /// From here on nothing is known.
    pub(super) fn end(&mut self, at: Wall, told: &mut Vec<Reading>) {
        if std::mem::take(&mut self.known) {
            told.push(unknown(at));
        }
    }
}

pub(super) fn unknown(at: Wall) -> Reading {
    let quality = Quality::Bad(BadReason::Stale);
    Reading { at, source_time: None, value: None, quality, backfill: false }
}

/// How far before a time a reader begins, to know what was in force then.
pub(super) const LOOK_BACK: Duration = APART_MAX;
