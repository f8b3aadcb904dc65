//! Samples of points out of a message.

use riskgate_point::{BadReason, Quality, Report, Sample};
use serde_json::Value as Json;

use super::values::{quality_of, value_of};
use super::{Field, Reader, Skip};
use crate::mqtt::fields::{Path, Point};

impl Reader<'_> {
    pub(super) fn point(&mut self, point: &Point, json: &Json) {
        let Some(found) = point.value.first(json) else {
            // Messages of one topic need not carry every point each time: silence is told by staleness.
            self.skip(Skip::Missing(Field::Value));
            return;
        };
        let said = self.quality(point.quality.as_ref(), json);
        let (value, quality) = match said {
            Quality::Bad(_) => (None, said),
            Quality::Good | Quality::Uncertain(_) => {
                let (value, own) = value_of(&point.reading, found);
                if own.is_bad() {
                    self.skip(Skip::Unusable(Field::Value));
                }
                (value, if own.is_good() { said } else { own })
            }
        };
        let sample = Sample {
            point: point.reading.point,
            value,
            quality,
            source_time: point.time.as_ref().and_then(|path| self.time(path.first(json))),
            received: self.message.received,
            backfill: self.message.retained,
        };
        self.decoded.reports.push(Report::Sample(sample));
    }

    /// Where a quality is configured and not there, the value has lost what vouches for it.
    fn quality(&mut self, path: Option<&Path>, json: &Json) -> Quality {
        let Some(path) = path else { return Quality::Good };
        match path.first(json) {
            Some(found) => quality_of(found),
            None => {
                self.skip(Skip::Missing(Field::Quality));
                Quality::Bad(BadReason::ConfigError)
            }
        }
    }
}
