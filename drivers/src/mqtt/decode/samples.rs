//! Samples of points out of a message: of points with a topic of their own, and of lists of many.

use riskgate_point::{BadReason, Quality, Report, Sample, Wall};
use serde_json::Value as Json;

use super::values::{Name, name, quality_of, truth_of, value_of};
use super::{At, Field, Reader, Skip};
use crate::mqtt::fields::{List, ListFields, Path, Point, Reading};
use crate::mqtt::sparkplug::{EdgeNode, Kind, Out, Payload, Told};

/// What a list says of all its elements.
#[derive(Clone, Copy)]
struct Whole {
    /// What no element can be better than.
    quality: Quality,
    backfill: bool,
}

impl Reader<'_> {
    pub(super) fn point(&mut self, point: &Point, json: &Json) {
        let Some(found) = point.value.first(json) else {
            // Messages of one topic need not carry every point each time: silence is told by staleness.
            self.skip(Skip::Missing(Field::Value));
            return;
        };
        let said = self.quality(point.quality.as_ref(), json);
        let time = point.time.as_ref().and_then(|path| self.time(path.first(json)));
        self.sample(&point.reading, found, said, time, self.message.retained);
    }

    /// The point's topic brought something that is no value: its last one does not stand any more.
    pub(super) fn unreadable(&mut self, point: &Point) {
        let bad = Sample::bad(point.reading.point, BadReason::NotANumber, self.message.received);
        let backfill = self.message.retained;
        self.decoded.reports.push(Report::Sample(Sample { backfill, ..bad }));
    }

    /// A value whose quality was said. Where that is bad, there is no value.
    fn sample(&mut self, reading: &Reading, found: &Json, said: Quality, time: Option<Wall>, backfill: bool) {
        let (value, quality) = match said {
            Quality::Bad(_) => (None, said),
            Quality::Good | Quality::Uncertain(_) => {
                let (value, own) = value_of(reading, found);
                if own.is_bad() {
                    self.skip(Skip::Unusable(Field::Value));
                }
                (value, if own.is_good() { said } else { own })
            }
        };
        let (received, point) = (self.message.received, reading.point);
        let sample = Sample { point, value, quality, source_time: time, received, backfill };
        self.decoded.reports.push(Report::Sample(sample));
    }

    /// Where a quality is configured and not there, the value has lost what vouches for it.
    fn quality(&mut self, path: Option<&Path>, json: &Json) -> Quality {
        let Some(path) = path else { return Quality::Good };
        match path.first(json) {
            Some(found) => quality_of(found),
            None => self.unvouched(Field::Quality),
        }
    }

    fn unvouched(&mut self, field: Field) -> Quality {
        self.skip(Skip::Missing(field));
        Quality::Bad(BadReason::ConfigError)
    }

    pub(super) fn sparkplug(&mut self, edge: &EdgeNode) {
        let Some(mut told) = Told::of_topic(self.message.topic) else { return };
        let payload = match Payload::read(self.message.payload) {
            Ok(payload) => payload,
            Err(why) => return self.skip_with(Skip::NotSparkplug, || why),
        };
        if self.message.retained && told.kind != Kind::Birth {
            return self.skip(Skip::Kept);
        }
        told.kept |= self.message.retained;
        for out in self.memory.node(edge).take(edge, told, &payload, self.message.payload) {
            match out {
                Out::Value { reading, value, quality, time, historical } => {
                    self.sample(reading, &value, quality, time, historical);
                }
                Out::Bad { reading, reason } => {
                    let bad = Sample::bad(reading.point, reason, self.message.received);
                    self.decoded.reports.push(Report::Sample(bad));
                }
                Out::Skipped(skipped) => self.decoded.skipped.push(skipped),
            }
        }
    }

    pub(super) fn list(&mut self, list: &List, whole: &Json) {
        let topic = self.message.topic;
        let fields = &*list.fields;
        let replay = fields.replay.as_ref().and_then(|path| path.first(whole));
        let is_replay = replay.is_some_and(|found| truth_of(found) != Some(false) && !found.is_null());
        // What is told late says how it was, of the link to the devices too.
        let quality = if is_replay {
            Quality::Good
        } else {
            self.connected(fields, At { element: whole, whole, topic })
        };
        let of_all = Whole { quality, backfill: is_replay || self.message.retained };
        if quality == Quality::Bad(BadReason::CommFailure) {
            for reading in list.rows.values().flatten() {
                self.sample(reading, &Json::Null, quality, None, of_all.backfill);
            }
            return;
        }
        for element in self.each(fields.many.as_ref(), whole) {
            self.element(list, At { element, whole, topic }, of_all);
        }
    }

    fn connected(&mut self, fields: &ListFields, at: At<'_>) -> Quality {
        let Some(connected) = &fields.connected else { return Quality::Good };
        match at.find(connected).map(|found| truth_of(&found)) {
            Some(Some(true)) => Quality::Good,
            Some(Some(false)) => Quality::Bad(BadReason::CommFailure),
            Some(None) | None => self.unvouched(Field::Connected),
        }
    }

    fn element(&mut self, list: &List, at: At<'_>, of_all: Whole) {
        let fields = &*list.fields;
        let Some(tag) = self.needed(&fields.tag, Field::Tag, at) else { return };
        let Some(rows) = list.rows.get(&tag) else {
            return self.skip_with(Skip::UnknownTag, || {
                format!("'{tag}': no row of a point table has this address")
            });
        };
        let Some(found) = at.find(&fields.value) else { return self.skip(Skip::Missing(Field::Value)) };
        let said = match of_all.quality {
            Quality::Bad(_) => of_all.quality,
            Quality::Good | Quality::Uncertain(_) => self.quality_of_element(fields, at),
        };
        let time = self.time_at(fields.time.as_ref(), at);
        for reading in rows {
            self.sample(reading, &found, said, time, of_all.backfill);
        }
    }

    fn quality_of_element(&mut self, fields: &ListFields, at: At<'_>) -> Quality {
        let Some(quality) = &fields.quality else { return Quality::Good };
        let Some(found) = at.find(quality) else { return self.unvouched(Field::Quality) };
        let word = match name(&found) {
            Name::Is(word) => fields.qualities.get(&*word),
            Name::Nothing | Name::Unusable => None,
        };
        word.copied().unwrap_or_else(|| quality_of(&found))
    }
}

#[cfg(test)]
mod tests;
