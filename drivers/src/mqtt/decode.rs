//! From one JSON message to samples, fixes, sightings and permits.
//!
//! Pure, and forgiving only where nothing can be misread: a number may come as a text, a time in several
//! ways. What cannot be used is never a value: a point is then bad with a reason, a fix or sighting is
//! left out; each is named in [`Decoded::skipped`], so that the caller can count it.
//! What it must know of earlier messages it is handed as [`Memory`].
//!
//! A message that the broker kept (retained) is marked as backfill: nobody knows how old it is.

mod fixes;
pub mod fuzz;
pub(super) mod permits;
mod samples;
pub(super) mod sightings;
pub(super) mod values;

use std::borrow::Cow;
use std::sync::Arc;

use jiff::tz::TimeZone;
use riskgate_point::{Now, Report, SourceId, Wall};
use serde_json::Value as Json;

use super::memory::Memory;
use super::{Path, What, Where, time};
use values::{Name, name};

/// Systems of Windows write it before their texts.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

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
    /// More than full confidence, or less than none: it is written on another scale than configured.
    ConfidenceOutOfRange,
    /// The payload is no Sparkplug payload: nothing of it was used.
    NotSparkplug,
    /// The broker kept a message that is no birth: it says nothing of now.
    Kept,
    /// An alias that no birth has given a name: its value was not used.
    UnknownAlias,
    /// The metric of a row is not among those that its device was born with.
    NotInBirth,
    /// The value of a metric is not of its type, or its type is not known yet.
    UnreadableMetric,
    /// A message of the node was missed.
    SequenceGap,
    /// The same message again.
    Repeated,
    /// The death of a connection that was over before the present one.
    OldDeath,
    /// No row of a point table reads this tag of a list.
    UnknownTag,
    /// The plant has no camera of this name, and the feed's map does not say which is meant.
    UnknownCamera,
    /// The kinds of this feed are listed, and this one is not. It is told as it came.
    UnknownKind,
}

macro_rules! fields {
    ($($(#[$of:meta])* $field:ident $word:literal,)*) => {
        /// Which of the configured places.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Field {
            $($(#[$of])* $field,)*
        }

        impl Skip {
            /// A label for logs and metrics.
            pub fn word(self) -> &'static str {
                match self {
                    Self::NotJson => "not_json",
                    Self::ConfidenceOutOfRange => "confidence_out_of_range",
                    Self::NotSparkplug => "not_sparkplug",
                    Self::Kept => "kept_by_the_broker",
                    Self::UnknownAlias => "unknown_alias",
                    Self::NotInBirth => "metric_not_in_birth",
                    Self::UnreadableMetric => "unreadable_metric",
                    Self::SequenceGap => "sequence_gap",
                    Self::Repeated => "repeated",
                    Self::OldDeath => "old_death",
                    Self::UnknownTag => "unknown_tag",
                    Self::UnknownCamera => "unknown_camera",
                    Self::UnknownKind => "unknown_kind",
                    $(
                        Self::Missing(Field::$field) => concat!("missing_", $word),
                        Self::Unusable(Field::$field) => concat!("unusable_", $word),
                    )*
                }
            }
        }
    };
}

fields! {
    Value "value",
    Quality "quality",
    Time "time",
    /// Whether the sender reads its devices.
    Connected "connected",
    /// The list of elements.
    Many "many",
    Tag "tag",
    Person "person",
    Role "role",
    Zone "zone",
    X "x",
    Y "y",
    Floor "floor",
    Sos "sos",
    /// What a preset expects its messages to hold.
    Event "event",
    Camera "camera",
    Kind "kind",
    Id "id",
    State "state",
    Confidence "confidence",
    /// Of a permit, as all below.
    Stage "stage",
    Level "level",
    Cancelled "cancelled",
    Place "place",
    Start "start",
    End "end",
    Guardian "guardian",
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
pub fn message(what: &What, message: &Message<'_>, memory: &mut Memory) -> Decoded {
    let mut reader = Reader { message, memory, decoded: Decoded::default() };
    match what {
        What::Heartbeat => return reader.decoded,
        What::Sparkplug(node) | What::Births(node) => {
            reader.sparkplug(node);
            return reader.decoded;
        }
        What::Points(_) | What::List(_) | What::Fixes(_) | What::Sightings(_) | What::Permits(_) => {}
    }
    let text = message.payload.strip_prefix(BYTE_ORDER_MARK).unwrap_or(message.payload);
    let Ok(json) = serde_json::from_slice::<Json>(text) else {
        reader.skip(Skip::NotJson);
        if let What::Points(points) = what {
            points.iter().for_each(|point| reader.unreadable(point));
        }
        return reader.decoded;
    };
    match what {
        What::Points(points) => points.iter().for_each(|point| reader.point(point, &json)),
        What::List(list) => reader.list(list, &json),
        What::Fixes(fields) => reader.fixes(fields, &json),
        What::Sightings(fields) => reader.sightings(fields, &json),
        What::Permits(fields) => reader.permits(fields, &json),
        What::Heartbeat | What::Sparkplug(_) | What::Births(_) => {}
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
            Where::Names(names) => names.iter().find_map(|name| self.element.get(name)).map(Cow::Borrowed),
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
    memory: &'m mut Memory,
    decoded: Decoded,
}

impl Reader<'_> {
    fn skip(&mut self, skip: Skip) {
        self.decoded.skipped.push(Skipped { skip, example: None });
    }

    fn skip_with(&mut self, skip: Skip, example: impl FnOnce() -> String) {
        self.decoded.skipped.push(Skipped { skip, example: Some(example()) });
    }

    /// The elements that the other paths start at. One match that is an array stands for its elements.
    fn each<'j>(&mut self, many: Option<&Path>, whole: &'j Json) -> Vec<&'j Json> {
        let Some(many) = many else { return vec![whole] };
        let found = many.all(whole);
        match found.as_slice() {
            [] => {
                if !many.is_empty_list(whole) {
                    self.skip(Skip::Missing(Field::Many));
                }
                Vec::new()
            }
            [Json::Array(elements)] => elements.iter().collect(),
            _ => found,
        }
    }

    /// Source time is evidence only: without it the rest stands.
    fn time(&mut self, found: Option<&Json>) -> Option<Wall> {
        self.instant(found, Field::Time)
    }

    fn time_at(&mut self, field: Option<&Where>, at: At<'_>) -> Option<Wall> {
        self.time(at.find(field?).as_deref())
    }

    fn instant(&mut self, found: Option<&Json>, field: Field) -> Option<Wall> {
        let Some(found) = found else {
            self.skip(Skip::Missing(field));
            return None;
        };
        let time = time::parse(found, self.message.zone);
        if time.is_none() {
            self.skip(Skip::Unusable(field));
        }
        time
    }

    /// Without it the whole is left out.
    fn needed(&mut self, needed: &Where, field: Field, at: At<'_>) -> Option<Arc<str>> {
        match at.find(needed).as_deref().map(name) {
            Some(Name::Is(text)) => return Some(text),
            Some(Name::Nothing) | None => self.skip(Skip::Missing(field)),
            Some(Name::Unusable) => self.skip(Skip::Unusable(field)),
        }
        None
    }

    /// Without it the rest stands. Null and the empty text say that there is none.
    fn wanted(&mut self, wanted: Option<&Where>, field: Field, at: At<'_>) -> Option<Arc<str>> {
        match at.find(wanted?).as_deref().map(name) {
            Some(Name::Is(text)) => return Some(text),
            Some(Name::Nothing) => {}
            None => self.skip(Skip::Missing(field)),
            Some(Name::Unusable) => self.skip(Skip::Unusable(field)),
        }
        None
    }
}

#[cfg(test)]
mod tests;
