//! From one JSON message to samples, fixes and sightings.
//!
//! Pure, and forgiving only where nothing can be misread: a number may come as a text, a time in several
//! ways. What cannot be used is never a value: a point is then bad with a reason, a fix or sighting is
//! left out; each is named in [`Decoded::skipped`], so that the caller can count it.
//!
//! A message that the broker kept (retained) is marked as backfill: nobody knows how old it is.

use std::sync::Arc;

use riskgate_point::{
    BadReason, Fix, Now, Quality, Report, Sample, Sighting, SourceId, UncertainReason, Value, Wall,
};
use serde_json::Value as Json;

use super::{FixFields, Kind, Path, Point, SightingFields, What, time};
use crate::scaling;

/// Longer texts are no name, word or reading: they would be kept with every alarm.
const TEXT_BYTES_MAX: usize = 1024;

/// What one message held.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded {
    pub reports: Vec<Report>,
    pub skipped: Vec<Skip>,
}

impl Decoded {
    /// The message was understood, if only in part: whoever sent it is alive and speaks as configured.
    pub fn is_understood(&self) -> bool {
        self.skipped.is_empty() || !self.reports.is_empty()
    }
}

/// Something in a message that could not be used.
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

/// Where a message came from and when.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    pub source: SourceId,
    pub received: Now,
    pub retained: bool,
}

/// Reads one message as `what` says. A heartbeat holds nothing to read.
pub fn message(what: &What, payload: &[u8], origin: Origin) -> Decoded {
    let mut reading = Reading { origin, decoded: Decoded::default() };
    if matches!(what, What::Heartbeat) {
        return reading.decoded;
    }
    let Ok(json) = serde_json::from_slice::<Json>(payload) else {
        reading.skip(Skip::NotJson);
        return reading.decoded;
    };
    match what {
        What::Points(points) => points.iter().for_each(|point| reading.point(point, &json)),
        What::Fixes(fields) => {
            for one in reading.each(fields.many.as_ref(), &json) {
                reading.fix(fields, one);
            }
        }
        What::Sightings(fields) => {
            for one in reading.each(fields.many.as_ref(), &json) {
                reading.sighting(fields, one);
            }
        }
        What::Heartbeat => {}
    }
    reading.decoded
}

struct Reading {
    origin: Origin,
    decoded: Decoded,
}

impl Reading {
    fn skip(&mut self, skip: Skip) {
        self.decoded.skipped.push(skip);
    }

    /// The elements that the other paths start at. One match that is an array stands for its elements.
    fn each<'m>(&mut self, many: Option<&Path>, json: &'m Json) -> Vec<&'m Json> {
        let Some(many) = many else { return vec![json] };
        let found = many.all(json);
        match found.as_slice() {
            [] => {
                if !many.is_empty_list(json) {
                    self.skip(Skip::Missing(Field::Many));
                }
                Vec::new()
            }
            [Json::Array(elements)] => elements.iter().collect(),
            _ => found,
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
                let (value, own) = value_of(point, found);
                if own.is_bad() {
                    self.skip(Skip::Unusable(Field::Value));
                }
                (value, if own.is_good() { said } else { own })
            }
        };
        let sample = Sample {
            point: point.point,
            value,
            quality,
            source_time: self.time(point.time.as_ref(), json),
            received: self.origin.received,
            backfill: self.origin.retained,
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
    fn time(&mut self, path: Option<&Path>, json: &Json) -> Option<Wall> {
        let Some(found) = path?.first(json) else {
            self.skip(Skip::Missing(Field::Time));
            return None;
        };
        let time = time::parse(found);
        if time.is_none() {
            self.skip(Skip::Unusable(Field::Time));
        }
        time
    }

    fn fix(&mut self, fields: &FixFields, json: &Json) {
        let Some(tag) = self.needed(&fields.tag, Field::Tag, json) else { return };
        // No zone at all is said with null or an empty text. A fix that does not speak of zones moves
        // nobody: taken for "in no zone", it would make people vanish from where they were last seen.
        let zone = match &fields.zone {
            None => None,
            Some(path) => match path.first(json).map(name) {
                Some(Name::Is(zone)) => Some(zone),
                Some(Name::Nothing) => None,
                Some(Name::Unusable) => return self.skip(Skip::Unusable(Field::Zone)),
                None => return self.skip(Skip::Missing(Field::Zone)),
            },
        };
        let fix = Fix {
            source: self.origin.source,
            tag,
            person: self.wanted(fields.person.as_ref(), Field::Person, json),
            role: self.wanted(fields.role.as_ref(), Field::Role, json),
            zone,
            sos: self.sos(fields.sos.as_ref(), json),
            source_time: self.time(fields.time.as_ref(), json),
            received: self.origin.received,
            backfill: self.origin.retained,
        };
        self.decoded.reports.push(Report::Fix(fix));
    }

    fn sighting(&mut self, fields: &SightingFields, json: &Json) {
        let Some(camera) = self.needed(&fields.camera, Field::Camera, json) else { return };
        let Some(kind) = self.needed(&fields.kind, Field::Kind, json) else { return };
        let sighting = Sighting {
            source: self.origin.source,
            camera,
            kind,
            confidence: self.confidence(fields.confidence.as_ref(), json),
            source_time: self.time(fields.time.as_ref(), json),
            received: self.origin.received,
            backfill: self.origin.retained,
        };
        self.decoded.reports.push(Report::Sighting(sighting));
    }

    /// Without it the whole is left out.
    fn needed(&mut self, path: &Path, field: Field, json: &Json) -> Option<Arc<str>> {
        match path.first(json).map(name) {
            Some(Name::Is(text)) => return Some(text),
            Some(Name::Nothing) | None => self.skip(Skip::Missing(field)),
            Some(Name::Unusable) => self.skip(Skip::Unusable(field)),
        }
        None
    }

    /// Without it the rest stands. Null and the empty text say that there is none.
    fn wanted(&mut self, path: Option<&Path>, field: Field, json: &Json) -> Option<Arc<str>> {
        match path?.first(json).map(name) {
            Some(Name::Is(text)) => return Some(text),
            Some(Name::Nothing) => {}
            None => self.skip(Skip::Missing(field)),
            Some(Name::Unusable) => self.skip(Skip::Unusable(field)),
        }
        None
    }

    /// A message without the field is one in which nobody pressed the button.
    fn sos(&mut self, path: Option<&Path>, json: &Json) -> bool {
        let Some(found) = path.and_then(|path| path.first(json)) else { return false };
        match truth_of(found) {
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
    fn confidence(&mut self, path: Option<&Path>, json: &Json) -> f64 {
        const PERCENT: f64 = 100.0;
        let Some(path) = path else { return 1.0 };
        let Some(found) = path.first(json) else {
            self.skip(Skip::Missing(Field::Confidence));
            return 1.0;
        };
        match number_of(found) {
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
fn value_of(point: &Point, found: &Json) -> (Option<Value>, Quality) {
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
