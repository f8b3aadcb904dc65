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
        let spot = match (&fields.x, &fields.y) {
            (Some(x), Some(y)) if zone.is_none() => match self.spot(x, y, fields.floor.as_ref(), at) {
                Ok(spot) => Some(spot),
                Err(skip) => return self.skip(skip),
            },
            (_, _) => None,
        };
        let role = self.wanted(fields.role.as_ref(), Field::Role, at);
        let fix = Fix {
            source: self.message.source,
            tag,
            person: self.wanted(fields.person.as_ref(), Field::Person, at),
            role: role.map(|role| renamed(&fields.roles, role)),
            zone,
            spot,
            sos: self.sos(fields.sos.as_ref(), at),
            source_time: self.time_at(fields.time.as_ref(), at),
            received: self.message.received,
            backfill: self.message.retained,
        };
        self.decoded.reports.push(Report::Fix(fix));
    }

    /// All of it or nothing: half a place is somewhere else.
    fn spot(&self, x: &Where, y: &Where, floor: Option<&Where>, at: At<'_>) -> Result<Spot, Skip> {
        let coordinate = |stands: &Where, field: Field| {
            let found = at.find(stands).ok_or(Skip::Missing(field))?;
            number_of(&found).filter(|number| number.is_finite()).ok_or(Skip::Unusable(field))
        };
        let (x, y) = (coordinate(x, Field::X)?, coordinate(y, Field::Y)?);
        let floor = match floor.map(|floor| at.find(floor).as_deref().map(name)) {
            None | Some(Some(Name::Nothing)) => None,
            Some(Some(Name::Is(floor))) => Some(floor),
            Some(Some(Name::Unusable)) => return Err(Skip::Unusable(Field::Floor)),
            Some(None) => return Err(Skip::Missing(Field::Floor)),
        };
        Ok(Spot { x, y, floor })
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

fn renamed(renames: &Renames, name: Arc<str>) -> Arc<str> {
    renames.get(&*name).map_or(name, Arc::clone)
}
