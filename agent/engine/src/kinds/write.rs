//! From the keys of a kind to the text of its condition.

use std::time::Duration;

use super::{Draft, Fault, Given, Item, KindDraft, PointDraft, Severity, nearest};

/// One rule on its way from keys to text; what is wrong with a key is told at it.
pub(super) struct Writer<'a> {
    pub(super) draft: &'a Draft,
    /// The unit of the rule's measure.
    pub(super) unit: Option<&'a str>,
    pub(super) of: &'a KindDraft,
    pub(super) item: Item,
    /// The rule's delay, its own or that of the kind.
    pub(super) for_: Duration,
    pub(super) faults: Vec<Fault>,
    /// When its alarm ends, where that is not when its condition holds no more.
    pub(super) clear: Option<String>,
}

/// A share of the lower explosive limit up to which hot work is allowed, by GB 30871: 0.5 % of volume where
/// the limit is at least 4 %, else 0.2 %.
const LEL_HIGH: f64 = 4.0;
const ALLOWED_HIGH: f64 = 0.5;
const ALLOWED_LOW: f64 = 0.2;

/// Gases by name, with their lower explosive limits in % of volume; others are given by `lel`.
const GASES: [(&str, f64); 4] = [("methane", 5.0), ("hydrogen", 4.0), ("acetone", 2.5), ("benzene", 1.2)];

impl<'a> Writer<'a> {
    pub(super) fn error(&mut self, key: &'static str, message: impl Into<String>, hint: Option<String>) {
        let (item, message) = (self.item, message.into());
        self.faults.push(Fault { severity: Severity::Error, item, field: key, span: None, message, hint });
    }

    fn given(&self, key: &str) -> Option<&'a Given> {
        self.of.given.iter().find(|(name, _)| *name == key).map(|(_, given)| given)
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        match self.given(key)? {
            Given::Text(text) => Some(text),
            Given::Texts(_) | Given::Number(_) | Given::Duration(_) => None,
        }
    }

    pub(super) fn texts(&self, key: &str) -> &'a [String] {
        match self.given(key) {
            Some(Given::Texts(texts)) => texts,
            Some(Given::Text(_) | Given::Number(_) | Given::Duration(_)) | None => &[],
        }
    }

    pub(super) fn number(&self, key: &str) -> Option<f64> {
        match self.given(key)? {
            Given::Number(number) => Some(*number),
            Given::Text(_) | Given::Texts(_) | Given::Duration(_) => None,
        }
    }

    pub(super) fn length(&self, key: &str, default: Duration) -> Duration {
        match self.given(key) {
            Some(Given::Duration(duration)) => *duration,
            Some(Given::Text(_) | Given::Texts(_) | Given::Number(_)) | None => default,
        }
    }

    pub(super) fn duration(&self, key: &str, default: Duration) -> String {
        duration_text(self.length(key, default))
    }

    fn missing(&mut self, key: &'static str) {
        let hint = format!("kind = \"{}\" needs it: {}", self.of.kind.name, self.of.kind.example);
        self.error(key, format!("'{key}' is missing"), Some(hint));
    }

    pub(super) fn needed_text(&mut self, key: &'static str) -> Option<&'a str> {
        let text = self.text(key);
        if text.is_none() {
            self.missing(key);
        }
        text
    }

    pub(super) fn needed_number(&mut self, key: &'static str) -> Option<f64> {
        let number = self.number(key);
        if number.is_none() {
            self.missing(key);
        }
        number
    }

    /// A tag that the plant has.
    fn named(&mut self, key: &'static str, tag: &str) -> Option<&'a PointDraft> {
        let found = self.draft.points.iter().find(|point| point.tag == tag);
        if found.is_none() {
            let near = nearest(tag, self.draft.points.iter().map(|point| point.tag.as_str()));
            self.error(
                key,
                format!("there is no point '{tag}'"),
                near.map(|near| format!("did you mean '{near}'?")),
            );
        }
        found
    }

    pub(super) fn point(&mut self, key: &'static str) -> Option<&'a PointDraft> {
        let tag = self.needed_text(key)?;
        self.named(key, tag)
    }

    pub(super) fn points(&mut self, key: &'static str, least: usize) -> Option<Vec<&'a PointDraft>> {
        let tags = self.texts(key);
        if tags.len() < least {
            let hint = format!("write at least {least}: {}", self.of.kind.example);
            self.error(key, format!("'{key}' names {} of at least {least} points", tags.len()), Some(hint));
            return None;
        }
        let found: Vec<_> = tags.iter().map(|tag| self.named(key, tag)).collect();
        found.into_iter().collect()
    }

    /// A point that reads numbers, for a kind that reckons with it.
    pub(super) fn measured(&mut self, key: &'static str) -> Option<&'a PointDraft> {
        let point = self.point(key)?;
        if point.boolean || point.text || !point.words.is_empty() {
            let hint = "this kind takes a point that reads numbers".to_owned();
            self.error(key, format!("'{}' reads no number", point.tag), Some(hint));
            return None;
        }
        Some(point)
    }

    /// The zone or unit of the key `place`, else the unit of the measure.
    pub(super) fn place(&mut self) -> Option<&'a str> {
        let Some(place) = self.text("place") else { return self.unit };
        let zones = self.draft.zones.iter().map(|zone| zone.id.as_str());
        let units = self.draft.units.iter().map(|unit| unit.id.as_str());
        if zones.clone().chain(units.clone()).any(|known| known == place) {
            return Some(place);
        }
        let near = nearest(place, zones.chain(units)).map(|near| format!("did you mean '{near}'?"));
        self.error("place", format!("there is no zone or unit '{place}'"), near);
        None
    }

    /// Units by their ids.
    pub(super) fn units(&mut self, key: &'static str) -> Option<Vec<&'a str>> {
        let known = |id: &str| self.draft.units.iter().find(|unit| unit.id == id);
        let Some(unknown) = self.texts(key).iter().find(|id| known(id).is_none()) else {
            return Some(self.texts(key).iter().map(String::as_str).collect());
        };
        let near = nearest(unknown, self.draft.units.iter().map(|unit| unit.id.as_str()));
        let hint = near.map(|near| format!("did you mean '{near}'?"));
        self.error(key, format!("there is no unit '{unknown}'"), hint);
        None
    }

    /// The unit of the place.
    pub(super) fn unit(&mut self) -> Option<&'a str> {
        let place = self.place()?;
        let zone = self.draft.zones.iter().find(|zone| zone.id == place);
        Some(zone.map_or(place, |zone| zone.unit.as_str()))
    }

    /// Above what a point is beyond the limit that GB 30871 sets for hot work, in the point's own eu.
    pub(super) fn permit_limit(&mut self, point: &PointDraft) -> Option<f64> {
        let lel = self.lel()?;
        let allowed = if lel >= LEL_HIGH { ALLOWED_HIGH } else { ALLOWED_LOW };
        let eu = point.eu.to_lowercase().replace(' ', "");
        match eu.as_str() {
            // Cut, not rounded: a limit may be stricter than the standard and never looser.
            "%lel" => Some((allowed / lel * 10_000.0).floor() / 100.0),
            _ if is_volume(&eu) => Some(allowed),
            _ => {
                let message = format!("'{}' reads {}, not %LEL or %VOL", point.tag, quoted_eu(&point.eu));
                self.error("points", message, Some("give it its eu in the point table".to_owned()));
                None
            }
        }
    }

    fn lel(&mut self) -> Option<f64> {
        if let Some(lel) = self.number("lel") {
            if 0.0 < lel && lel < 100.0 {
                return Some(lel);
            }
            self.error(
                "lel",
                format!("a lower explosive limit of {lel} % of volume"),
                Some("above 0, below 100".to_owned()),
            );
            return None;
        }
        let name = self.needed_text("gas")?;
        let found = GASES.iter().find(|(gas, _)| *gas == name);
        if found.is_none() {
            let known = GASES.map(|(gas, _)| gas).join(", ");
            let hint = format!("there are {known}; of another write lel = 2.5, in % of volume");
            self.error("gas", format!("the gas '{name}' is not known"), Some(hint));
        }
        found.map(|(_, lel)| *lel)
    }
}

/// Whether a point of this eu reads shares of the volume.
pub(super) fn is_volume(eu: &str) -> bool {
    matches!(eu.to_lowercase().replace(' ', "").as_str(), "%vol" | "vol%" | "%v/v")
}

pub(super) fn quoted_eu(eu: &str) -> String {
    if eu.is_empty() { "no eu".to_owned() } else { format!("'{eu}'") }
}

/// `{TAG}`, escaped.
pub(super) fn tag(point: &PointDraft) -> String {
    point.written()
}

/// `'text'`, escaped.
pub(super) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A duration as the language writes it, in the largest unit that it is a whole number of.
pub(super) fn duration_text(length: Duration) -> String {
    let ms = length.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let (unit, name) =
        units.into_iter().find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit)).unwrap_or((1, "ms"));
    format!("{}{name}", ms / unit)
}
