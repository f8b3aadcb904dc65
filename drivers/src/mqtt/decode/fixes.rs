//! Fixes of personnel tags out of a message.

use std::sync::Arc;

use riskgate_point::{Fix, Report, Spot};
use serde_json::Value as Json;

use super::values::{Name, name, number_of, truth_of};
use super::{At, Field, Reader, Skip};
use crate::mqtt::fields::{FixFields, Renames, Where};

impl Reader<'_> {
    pub(super) fn fixes(&mut self, fields: &FixFields, whole: &Json) {
        let topic = self.message.topic;
        for element in self.each(fields.many.as_ref(), whole) {
            self.fix(fields, At { element, whole, topic });
        }
    }

    fn fix(&mut self, fields: &FixFields, at: At<'_>) {
        let Some(tag) = self.needed(&fields.tag, Field::Tag, at) else { return };
        // No zone at all is said with null or an empty text. A fix that does not speak of zones moves
        // nobody: taken for "in no zone", it would make people vanish from where they were last seen.
        let zone = match &fields.zone {
            None => None,
            Some(zone) => match at.find(zone).as_deref().map(name) {
                Some(Name::Is(zone)) => Some(renamed(&fields.zones, zone)),
                Some(Name::Nothing) => None,
                Some(Name::Unusable) => return self.skip(Skip::Unusable(Field::Zone)),
                None => return self.skip(Skip::Missing(Field::Zone)),
            },
        };
        let spot = match self.spot(fields, at) {
            Ok(spot) => spot,
            // Where zones are named, a fix without coordinates says where a person is all the same: only
            // whether they moved is then unknown.
            Err(Lacking::Nothing(_)) if fields.zone.is_some() => None,
            Err(Lacking::Unusable(field)) if zone.is_some() => {
                self.skip(Skip::Unusable(field));
                None
            }
            Err(Lacking::Nothing(skip)) => return self.skip(skip),
            Err(Lacking::Unusable(field)) => return self.skip(Skip::Unusable(field)),
        };
        let role = self.wanted(fields.role.as_ref(), Field::Role, at);
        let fix = Fix {
            source: self.message.source,
            tag,
            person: self.wanted(fields.person.as_ref(), Field::Person, at),
            role: role.map(|role| renamed(&fields.roles, role)),
            zone,
            sos: self.sos(fields.sos.as_ref(), at),
            spot,
            source_time: self.time_at(fields.time.as_ref(), at),
            received: self.message.received,
            backfill: self.message.retained,
        };
        self.decoded.reports.push(Report::Fix(Box::new(fix)));
    }

    /// All of it or nothing: half a place is somewhere else.
    fn spot(&self, fields: &FixFields, at: At<'_>) -> Result<Option<Spot>, Lacking> {
        let (Some(x), Some(y)) = (&fields.x, &fields.y) else { return Ok(None) };
        let coordinate = |stands: &Where, field: Field| {
            let found = at.find(stands).ok_or(Lacking::Nothing(Skip::Missing(field)))?;
            if found.is_null() {
                return Err(Lacking::Nothing(Skip::Unusable(field)));
            }
            number_of(&found).filter(|number| number.is_finite()).ok_or(Lacking::Unusable(field))
        };
        let (x, y) = (coordinate(x, Field::X)?, coordinate(y, Field::Y)?);
        let floor = match fields.floor.as_ref().map(|floor| at.find(floor).as_deref().map(name)) {
            None | Some(Some(Name::Nothing)) => None,
            Some(Some(Name::Is(floor))) => Some(floor),
            Some(Some(Name::Unusable)) => return Err(Lacking::Unusable(Field::Floor)),
            Some(None) => return Err(Lacking::Nothing(Skip::Missing(Field::Floor))),
        };
        Ok(Some(Spot { x, y, floor }))
    }

    /// A message without the field is one in which nobody pressed the button.
    fn sos(&mut self, sos: Option<&Where>, at: At<'_>) -> bool {
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
}

/// Why a fix has no spot where its coordinates should be.
enum Lacking {
    /// It tells none.
    Nothing(Skip),
    /// It tells something that is none.
    Unusable(Field),
}

fn renamed(renames: &Renames, name: Arc<str>) -> Arc<str> {
    renames.get(&*name).map_or(name, Arc::clone)
}
