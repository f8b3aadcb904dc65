//! Where in a message each field of a point, a fix, a sighting or a permit stands, and what its words mean,
//! as the configuration says it. Descriptions only: `decode` reads by them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use riskgate_point::{PermitKind, PermitStage, PointId, Quality};
use serde_json::Value as Json;
use serde_json_path::JsonPath;

use crate::scaling::{EnumWords, Scaling};

/// A point with a topic of its own: the paths of its parts in each message.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub reading: Reading,
    pub value: Path,
    pub quality: Option<Path>,
    pub time: Option<Path>,
}

/// The points of one topic whose messages list many, each under a tag.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    pub fields: Arc<ListFields>,
    /// By the tag as the messages write it.
    pub rows: HashMap<Arc<str>, Vec<Reading>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ListFields {
    /// The elements; the places below start at each. `None`: a message is one of them.
    pub many: Option<Path>,
    pub tag: Where,
    pub value: Where,
    pub quality: Option<Where>,
    pub time: Option<Where>,
    /// What the feed's words for a quality mean, where they are not the usual ones.
    pub qualities: Qualities,
    /// Whether the sender itself still reads its devices, in the whole message.
    pub connected: Option<Where>,
    /// Finds something, and no `false`, in a message that was kept and is sent late.
    pub replay: Option<Path>,
}

impl ListFields {
    pub fn of(tag: Where, value: Where) -> Self {
        Self {
            many: None,
            tag,
            value,
            quality: None,
            time: None,
            qualities: Qualities::default(),
            connected: None,
            replay: None,
        }
    }
}

/// Words for a quality.
pub type Qualities = BTreeMap<String, Quality>;

/// How what was found for a point becomes its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub point: PointId,
    pub kind: Kind,
    pub scaling: Scaling,
    pub words: Option<EnumWords>,
}

/// What a point reads. The message itself cannot say: a text may be a number, a word or an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// A number, or a text that spells one. Any other text is bad.
    #[default]
    Number,
    Bool,
    /// Any text. Where the point has words, they hold instead.
    Text,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FixFields {
    /// An array of fixes in one message; `None`: the message is one fix. The other paths start at each element.
    pub many: Option<Path>,
    pub tag: Where,
    pub person: Option<Where>,
    pub role: Option<Where>,
    pub zone: Option<Where>,
    /// Metres; both or neither. Where no zone is named, the plant's polygons say which it is.
    pub x: Option<Where>,
    pub y: Option<Where>,
    pub floor: Option<Where>,
    pub sos: Option<Where>,
    pub time: Option<Where>,
    pub roles: Renames,
    pub zones: Renames,
}

impl FixFields {
    /// The tag alone.
    pub fn of(tag: Where) -> Self {
        Self {
            many: None,
            tag,
            person: None,
            role: None,
            zone: None,
            x: None,
            y: None,
            floor: None,
            sos: None,
            time: None,
            roles: Renames::default(),
            zones: Renames::default(),
        }
    }
}

/// What is `None` here is where the shape has it.
#[derive(Debug, Clone, PartialEq)]
pub struct SightingFields {
    pub shape: Shape,
    /// As of fixes. Of [`Shape::Paths`] only.
    pub many: Option<Path>,
    pub camera: Option<Where>,
    pub kind: Option<Where>,
    /// What tells one event from another: a repeat of it is not a new one.
    pub id: Option<Where>,
    /// Whether it is so; a message that says no is none.
    pub state: Option<Where>,
    pub confidence: Option<Where>,
    /// How full confidence is written: 1, 100, 255.
    pub confidence_max: f64,
    pub time: Option<Where>,
    pub cameras: Renames,
    /// A kind that is renamed to nothing is left out.
    pub kinds: Renames,
}

/// How the messages of a video system are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// As the configuration says, field by field.
    Paths,
    /// Frigate's `events`. With zones, only what is in one of them counts.
    Frigate { zones: Vec<String> },
    /// ONVIF's event JSON.
    Onvif,
    /// Hikvision's ISAPI alerts and iSecure events.
    Hikvision,
}

impl SightingFields {
    pub fn shaped(shape: Shape) -> Self {
        Self {
            shape,
            many: None,
            camera: None,
            kind: None,
            id: None,
            state: None,
            confidence: None,
            confidence_max: 1.0,
            time: None,
            cameras: Renames::default(),
            kinds: Renames::default(),
        }
    }

    /// What must be told of each.
    pub fn of(camera: Where, kind: Where) -> Self {
        Self { camera: Some(camera), kind: Some(kind), ..Self::shaped(Shape::Paths) }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct PermitFields {
    /// As of fixes.
    pub many: Option<Path>,
    pub id: Where,
    pub kind: Where,
    pub level: Option<Where>,
    pub stage: Where,
    /// A ticket of which this is true is over, whatever its stage says.
    pub cancelled: Option<Where>,
    pub place: Option<Where>,
    pub start: Option<Where>,
    pub end: Option<Where>,
    pub guardian: Option<Where>,
    pub time: Option<Where>,
    /// Numbers that the configuration leaves out mean what the exchange standard says. False: each platform
    /// has its own, and one that is not listed means nothing. A guess could take open work for none.
    pub standard_numbers: bool,
    pub kinds: BTreeMap<String, PermitKind>,
    pub levels: BTreeMap<String, u8>,
    pub stages: BTreeMap<String, PermitStage>,
    pub places: Renames,
}

impl PermitFields {
    /// What must be told of each.
    pub fn of(id: Where, kind: Where, stage: Where) -> Self {
        Self {
            many: None,
            id,
            kind,
            level: None,
            stage,
            cancelled: None,
            place: None,
            start: None,
            end: None,
            guardian: None,
            time: None,
            standard_numbers: true,
            kinds: BTreeMap::new(),
            levels: BTreeMap::new(),
            stages: BTreeMap::new(),
            places: Renames::default(),
        }
    }

    /// By the field names of the exchange standard's receivers, as the tables or the messages write them.
    pub fn jt() -> Self {
        let at = |name: &str| Where::named(&[name, &name.to_uppercase()]);
        Self {
            level: Some(at("dhzyjb")),
            place: Some(at("fssstid")),
            start: Some(at("zysskssj")),
            end: Some(at("zyssjssj")),
            guardian: Some(at("jhr")),
            ..Self::of(at("zyzbh"), at("zylx"), at("dqzt"))
        }
    }

    /// By the field names of the national ticket. Its codes differ from platform to platform.
    pub fn national() -> Self {
        let at = |name: &str| Where::named(&[name]);
        Self {
            standard_numbers: false,
            cancelled: Some(at("isCancelled")),
            place: Some(at("ticketPosition")),
            start: Some(at("startTime")),
            end: Some(at("endTime")),
            guardian: Some(at("supervisorName")),
            ..Self::of(at("ticketNum"), at("ticketType"), at("ticketStatus"))
        }
    }
}

/// What a feed calls something, and what the plant calls it. What is not listed keeps its name.
pub type Renames = Arc<BTreeMap<String, Arc<str>>>;

/// Where one field stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Where {
    /// `$.camera`: in the JSON, from each element where a message holds many.
    Path(Path),
    /// The first of these keys that the element has.
    Names(Arc<[String]>),
    /// `message:$.time`: in the JSON, from the whole message.
    Message(Path),
    /// `topic:2`: a level of the topic, counted from 1.
    Topic(usize),
    /// `=CAM-07`: nowhere. It is always this.
    Fixed(Json),
}

const FROM_MESSAGE: &str = "message:";
const FROM_TOPIC: &str = "topic:";
const FIXED: &str = "=";
/// A topic has at most 65,535 bytes, and nobody counts so many levels.
const TOPIC_LEVELS_MAX: usize = 64;

impl Where {
    /// The first of these names that the element has.
    fn named(names: &[&str]) -> Self {
        Self::Names(names.iter().map(|name| (*name).to_owned()).collect())
    }

    pub fn parse(text: &str) -> Result<Self, PathError> {
        let wrong = |why: &str| PathError { text: text.to_owned(), why: why.to_owned() };
        let text = text.trim();
        if let Some(rest) = text.strip_prefix(FROM_MESSAGE) {
            return Path::parse(rest.trim()).map(Self::Message);
        }
        if let Some(rest) = text.strip_prefix(FROM_TOPIC) {
            let level = rest.trim().parse().ok().filter(|level| (1..=TOPIC_LEVELS_MAX).contains(level));
            return level.map(Self::Topic).ok_or_else(|| wrong("levels of a topic are counted from 1"));
        }
        match text.strip_prefix(FIXED).map(str::trim) {
            Some("") => Err(wrong("there is nothing after '='")),
            Some(fixed) => Ok(Self::Fixed(Json::from(fixed))),
            None => Path::parse(text).map(Self::Path),
        }
    }
}

/// A place in a JSON message (RFC 9535), of which the first match counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    path: Arc<JsonPath>,
    /// The list whose elements the path names, where it ends in `[*]`.
    list: Option<Arc<JsonPath>>,
}

/// What is wrong with the text of a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no JSON path: {why}; write $.value or $.data[0].value")]
pub struct PathError {
    pub text: String,
    pub why: String,
}

impl Path {
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if !text.starts_with('$') {
            return Err(PathError { text: text.to_owned(), why: "it begins with $".to_owned() });
        }
        let parse = |part: &str| {
            JsonPath::parse(part)
                .map(Arc::new)
                .map_err(|error| PathError { text: text.to_owned(), why: error.to_string() })
        };
        let list = text.trim_end().strip_suffix("[*]").map(parse).transpose()?;
        Ok(Self { path: parse(text)?, list })
    }

    pub fn first<'m>(&self, message: &'m Json) -> Option<&'m Json> {
        self.path.query(message).first()
    }

    pub fn all<'m>(&self, message: &'m Json) -> Vec<&'m Json> {
        self.path.query(message).all()
    }

    /// The list is there and has no element, which is not the same as no list.
    pub fn is_empty_list(&self, message: &Json) -> bool {
        let list = self.list.as_ref().unwrap_or(&self.path).query(message).first();
        list.and_then(Json::as_array).is_some_and(Vec::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_stands_in_the_element_the_message_the_topic_or_nowhere() {
        assert!(matches!(Where::parse(" $.camera "), Ok(Where::Path(_))));
        assert!(matches!(Where::parse("message:$.time"), Ok(Where::Message(_))));
        assert!(matches!(Where::parse("topic:2"), Ok(Where::Topic(2))));
        assert!(matches!(Where::parse("=CAM-07"), Ok(Where::Fixed(fixed)) if fixed == "CAM-07"));
    }

    #[test]
    fn what_stands_nowhere_is_told_why() {
        for (text, why) in [
            ("camera", "begins with $"),
            ("topic:0", "counted from 1"),
            ("topic:x", "counted from 1"),
            ("topic:65", "counted from 1"),
            ("= ", "nothing after '='"),
            ("message:", "begins with $"),
        ] {
            let error = Where::parse(text).expect_err(text);
            assert!(error.why.contains(why), "{text}: {}", error.why);
        }
    }
}
