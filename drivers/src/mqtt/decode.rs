//! From one JSON message to samples, fixes and sightings.
//!
//! Pure, and forgiving only where nothing can be misread: a number may come as a text, a time in several
//! ways. What cannot be used is never a value: a point is then bad with a reason, a fix or sighting is
//! left out; each is named in [`Decoded::skipped`], so that the caller can count it.
//! What it must know of earlier messages it is handed as [`Memory`].
//!
//! A message that the broker kept (retained) is marked as backfill: nobody knows how old it is.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::tz::TimeZone;
use riskgate_point::{
    BadReason, Fix, Now, Quality, Report, Sample, Sighting, SourceId, UncertainReason, Value, Wall,
};
use serde_json::Value as Json;

use super::memory::Memory;
use super::{FixFields, Kind, Path, Point, Reading, SightingFields, What, Where, time};
use crate::scaling;

/// Longer texts are no name, word or reading: they would be kept with every alarm.
const TEXT_BYTES_MAX: usize = 1024;

/// What one message held.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded {
    pub reports: Vec<Report>,
    pub skipped: Vec<Skipped>,
}

impl Decoded {
    /// The message was understood, if only in part: whoever sent it is alive and speaks as configured.
    pub fn is_understood(&self) -> bool {
        self.skipped.is_empty() || !self.reports.is_empty()
    }
}

/// One thing in a message that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub skip: Skip,
    /// What to show of it, where the start of the payload would not show it.
    pub example: Option<String>,
}

/// Why something in a message could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skip {
    /// The payload is no JSON: nothing of it was used.
    NotJson,
    /// The configured path leads nowhere in this message.
    Missing(Field),
    /// What the path leads to cannot be read as this.
    Unusable(Field),
}

/// Which of the configured paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    Value,
    Quality,
    Time,
    /// The list of fixes or sightings.
    Many,
    Tag,
    Person,
    Role,
    Zone,
    Sos,
    Camera,
    Kind,
    Confidence,
}

impl Skip {
    /// A label for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::Missing(Field::Value) => "missing_value",
            Self::Missing(Field::Quality) => "missing_quality",
            Self::Missing(Field::Time) => "missing_time",
            Self::Missing(Field::Many) => "missing_many",
            Self::Missing(Field::Tag) => "missing_tag",
            Self::Missing(Field::Person) => "missing_person",
            Self::Missing(Field::Role) => "missing_role",
            Self::Missing(Field::Zone) => "missing_zone",
            Self::Missing(Field::Sos) => "missing_sos",
            Self::Missing(Field::Camera) => "missing_camera",
            Self::Missing(Field::Kind) => "missing_kind",
            Self::Missing(Field::Confidence) => "missing_confidence",
            Self::Unusable(Field::Value) => "unusable_value",
            Self::Unusable(Field::Quality) => "unusable_quality",
            Self::Unusable(Field::Time) => "unusable_time",
            Self::Unusable(Field::Many) => "unusable_many",
            Self::Unusable(Field::Tag) => "unusable_tag",
            Self::Unusable(Field::Person) => "unusable_person",
            Self::Unusable(Field::Role) => "unusable_role",
            Self::Unusable(Field::Zone) => "unusable_zone",
            Self::Unusable(Field::Sos) => "unusable_sos",
            Self::Unusable(Field::Camera) => "unusable_camera",
            Self::Unusable(Field::Kind) => "unusable_kind",
            Self::Unusable(Field::Confidence) => "unusable_confidence",
        }
    }
}

/// One message, and what is known of its way here.
#[derive(Debug, Clone, Copy)]
pub struct Message<'m> {
    pub source: SourceId,
    /// The place of the subscription in its feed.
    pub place: usize,
    pub topic: &'m str,
    pub payload: &'m [u8],
    pub received: Now,
    pub retained: bool,
    /// Of times that do not say theirs.
    pub zone: &'m TimeZone,
}

/// Reads one message as `what` says. A heartbeat holds nothing to read.
pub fn message(what: &What, message: &Message<'_>, _memory: &mut Memory) -> Decoded {
    let mut reader = Reader { message, decoded: Decoded::default() };
    if matches!(what, What::Heartbeat) {
        return reader.decoded;
    }
    let Ok(json) = serde_json::from_slice::<Json>(message.payload) else {
        reader.skip(Skip::NotJson);
        return reader.decoded;
    };
    match what {
        What::Points(points) => points.iter().for_each(|point| reader.point(point, &json)),
        What::Fixes(fields) => {
            for one in reader.each(fields.many.as_ref(), &json) {
                reader.fix(fields, one);
            }
        }
        What::Sightings(fields) => {
            for one in reader.each(fields.many.as_ref(), &json) {
                reader.sighting(fields, one);
            }
        }
        What::Heartbeat => {}
    }
    reader.decoded
}

/// Where a field is looked for: one element, within its message.
#[derive(Clone, Copy)]
struct At<'m> {
    element: &'m Json,
    whole: &'m Json,
    topic: &'m str,
}

impl<'m> At<'m> {
    fn find(self, at: &'m Where) -> Option<Cow<'m, Json>> {
        match at {
            Where::Path(path) => path.first(self.element).map(Cow::Borrowed),
            Where::Message(path) => path.first(self.whole).map(Cow::Borrowed),
            Where::Topic(level) => {
                let level = self.topic.split('/').nth(level.checked_sub(1)?)?;
                Some(Cow::Owned(Json::from(level)))
            }
            Where::Fixed(fixed) => Some(Cow::Borrowed(fixed)),
        }
    }
}

struct Reader<'m> {
    message: &'m Message<'m>,
    decoded: Decoded,
}

impl<'m> Reader<'m> {
    fn skip(&mut self, skip: Skip) {
        self.decoded.skipped.push(Skipped { skip, example: None });
    }

    /// The elements that the other paths start at. One match that is an array stands for its elements.
    fn each<'j>(&mut self, many: Option<&Path>, whole: &'j Json) -> Vec<At<'j>>
    where
        'm: 'j,
    {
        let topic = self.message.topic;
        let at = |element| At { element, whole, topic };
        let Some(many) = many else { return vec![at(whole)] };
        let found = many.all(whole);
        match found.as_slice() {
            [] => {
                if !many.is_empty_list(whole) {
                    self.skip(Skip::Missing(Field::Many));
                }
                Vec::new()
            }
            [Json::Array(elements)] => elements.iter().map(at).collect(),
            _ => found.into_iter().map(at).collect(),
        }
    }

    fn point(&mut self, point: &Point, json: &Json) {
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

    /// Source time is evidence only: without it the reading stands.
    fn time(&mut self, found: Option<&Json>) -> Option<Wall> {
        let Some(found) = found else {
            self.skip(Skip::Missing(Field::Time));
            return None;
        };
        let time = time::parse(found, self.message.zone);
        if time.is_none() {
            self.skip(Skip::Unusable(Field::Time));
        }
        time
    }

    fn time_at(&mut self, field: Option<&'m Where>, at: At<'m>) -> Option<Wall> {
        self.time(at.find(field?).as_deref())
    }

    fn fix(&mut self, fields: &'m FixFields, at: At<'m>) {
        let Some(tag) = self.needed(&fields.tag, Field::Tag, at) else { return };
        // No zone at all is said with null or an empty text. A fix that does not speak of zones moves
        // nobody: taken for "in no zone", it would make people vanish from where they were last seen.
        let zone = match &fields.zone {
            None => None,
            Some(zone) => match at.find(zone).as_deref().map(name) {
                Some(Name::Is(zone)) => Some(zone),
                Some(Name::Nothing) => None,
                Some(Name::Unusable) => return self.skip(Skip::Unusable(Field::Zone)),
                None => return self.skip(Skip::Missing(Field::Zone)),
            },
        };
        let fix = Fix {
            source: self.message.source,
            tag,
            person: self.wanted(fields.person.as_ref(), Field::Person, at),
            role: self.wanted(fields.role.as_ref(), Field::Role, at),
            zone,
            sos: self.sos(fields.sos.as_ref(), at),
            source_time: self.time_at(fields.time.as_ref(), at),
            received: self.message.received,
            backfill: self.message.retained,
        };
        self.decoded.reports.push(Report::Fix(fix));
    }

    fn sighting(&mut self, fields: &'m SightingFields, at: At<'m>) {
        let Some(camera) = self.needed(&fields.camera, Field::Camera, at) else { return };
        let Some(kind) = self.needed(&fields.kind, Field::Kind, at) else { return };
        let sighting = Sighting {
            source: self.message.source,
            camera,
            kind,
            confidence: self.confidence(fields.confidence.as_ref(), at),
            source_time: self.time_at(fields.time.as_ref(), at),
            received: self.message.received,
            backfill: self.message.retained,
        };
        self.decoded.reports.push(Report::Sighting(sighting));
    }

    /// Without it the whole is left out.
    fn needed(&mut self, needed: &'m Where, field: Field, at: At<'m>) -> Option<Arc<str>> {
        match at.find(needed).as_deref().map(name) {
            Some(Name::Is(text)) => return Some(text),
            Some(Name::Nothing) | None => self.skip(Skip::Missing(field)),
            Some(Name::Unusable) => self.skip(Skip::Unusable(field)),
        }
        None
    }

    /// Without it the rest stands. Null and the empty text say that there is none.
    fn wanted(&mut self, wanted: Option<&'m Where>, field: Field, at: At<'m>) -> Option<Arc<str>> {
        match at.find(wanted?).as_deref().map(name) {
            Some(Name::Is(text)) => return Some(text),
            Some(Name::Nothing) => {}
            None => self.skip(Skip::Missing(field)),
            Some(Name::Unusable) => self.skip(Skip::Unusable(field)),
        }
        None
    }

    /// A message without the field is one in which nobody pressed the button.
    fn sos(&mut self, sos: Option<&'m Where>, at: At<'m>) -> bool {
        let Some(found) = sos.and_then(|sos| at.find(sos)) else { return false };
        match truth_of(&found) {
            Some(pressed) => pressed,
            None if found.is_null() => false,
            None => {
                self.skip(Skip::Unusable(Field::Sos));
                false
            }
        }
    }

    /// 0 to 1, or percent where it is above 1. What the camera does not say must not lose a sighting: it
    /// counts as certain.
    fn confidence(&mut self, confidence: Option<&'m Where>, at: At<'m>) -> f64 {
        const PERCENT: f64 = 100.0;
        let Some(confidence) = confidence else { return 1.0 };
        let Some(found) = at.find(confidence) else {
            self.skip(Skip::Missing(Field::Confidence));
            return 1.0;
        };
        match number_of(&found) {
            Some(score) if (0.0..=1.0).contains(&score) => score,
            Some(score) if (1.0..=PERCENT).contains(&score) => score / PERCENT,
            Some(_) | None => {
                self.skip(Skip::Unusable(Field::Confidence));
                1.0
            }
        }
    }
}

/// The reading of a point, as its kind and its words say.
fn value_of(point: &Reading, found: &Json) -> (Option<Value>, Quality) {
    const NOT_A_NUMBER: (Option<Value>, Quality) = (None, Quality::Bad(BadReason::NotANumber));
    const CONFIG_ERROR: (Option<Value>, Quality) = (None, Quality::Bad(BadReason::ConfigError));
    if found.is_null() {
        return NOT_A_NUMBER;
    }
    if let Some(words) = &point.words {
        let spelt = found.as_str().map(str::trim);
        if let Some((_, word)) = words.iter().find(|(_, word)| Some(&**word) == spelt) {
            return (Some(Value::Text(Arc::clone(word))), Quality::Good);
        }
        let code = found.as_bool().map(|on| f64::from(u8::from(on))).or_else(|| number_of(found));
        let known = words.iter().find(|(known, _)| Value::Int(*known).number() == code);
        return known.map_or(CONFIG_ERROR, |(code, _)| scaling::word(words, *code));
    }
    match (point.kind, found) {
        (Kind::Number, Json::Number(_) | Json::String(_)) => {
            number_of(found).map_or(NOT_A_NUMBER, |number| point.scaling.apply(number))
        }
        (Kind::Number, _) => CONFIG_ERROR,
        (Kind::Bool, _) => truth_of(found).map_or(CONFIG_ERROR, |on| (Some(Value::Bool(on)), Quality::Good)),
        (Kind::Text, Json::String(text)) if text.len() <= TEXT_BYTES_MAX => {
            (Some(Value::text(text)), Quality::Good)
        }
        (Kind::Text, Json::Number(_) | Json::Bool(_)) => {
            (Some(Value::text(&found.to_string())), Quality::Good)
        }
        (Kind::Text, _) => CONFIG_ERROR,
    }
}

/// Booleans, the words of OPC, and the numbers of OPC DA (192 good, 64 uncertain, 0 bad) and of OPC UA's
/// severity bits. Zero alone says good in OPC UA and bad in OPC DA: unknown is never taken for good, so
/// it is bad, which shows at once on a feed that means the other.
fn quality_of(found: &Json) -> Quality {
    const FAILED: Quality = Quality::Bad(BadReason::DeviceFailure);
    const UNCERTAIN: Quality = Quality::Uncertain(UncertainReason::Source);
    if let Some(good) = found.as_bool() {
        return if good { Quality::Good } else { FAILED };
    }
    let text = found.as_str().map(|text| text.trim().to_ascii_lowercase());
    match text.as_deref() {
        Some("good" | "ok" | "true" | "正常") => return Quality::Good,
        Some("uncertain") => return UNCERTAIN,
        Some(_) | None => {}
    }
    match number_of(found) {
        Some(code) if (192.0..=255.0).contains(&code) => Quality::Good,
        Some(code) if (64.0..=127.0).contains(&code) => UNCERTAIN,
        // 0x40000000 to 0x7FFFFFFF.
        Some(code) if (1_073_741_824.0..2_147_483_648.0).contains(&code) => UNCERTAIN,
        Some(_) | None => FAILED,
    }
}

/// A number, or a text that spells one. May be infinite or NaN where the text says so.
fn number_of(found: &Json) -> Option<f64> {
    match found {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => text.trim().parse().ok(),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// A boolean, a number (zero is false), or a text that spells one of them.
fn truth_of(found: &Json) -> Option<bool> {
    if let Json::Bool(on) = found {
        return Some(*on);
    }
    match found.as_str().map(|text| text.trim().to_ascii_lowercase()).as_deref() {
        Some("true" | "on" | "yes") => Some(true),
        Some("false" | "off" | "no") => Some(false),
        Some(_) | None => number_of(found).filter(|number| number.is_finite()).map(|number| number != 0.0),
    }
}

enum Name {
    Is(Arc<str>),
    /// Null, or a text without a letter in it.
    Nothing,
    Unusable,
}

/// The name of a thing: a text, or a number as it is written.
fn name(found: &Json) -> Name {
    match found {
        Json::String(text) if text.trim().is_empty() => Name::Nothing,
        Json::String(text) if text.len() <= TEXT_BYTES_MAX => Name::Is(Arc::from(text.trim())),
        Json::Number(number) => Name::Is(Arc::from(number.to_string())),
        Json::Null => Name::Nothing,
        Json::String(_) | Json::Bool(_) | Json::Array(_) | Json::Object(_) => Name::Unusable,
    }
}

#[cfg(test)]
mod tests;
