//! `people`, `present`, `lone`, `still`, `sos`, `guarded`: the functions of people in places, and how each reads
//! its arguments.

use std::ops::Range;
use std::time::Duration;

use super::ast::{Ast, Node};
use super::functions::LENGTH_MAX;
use super::program::{Number, PeopleTerm, PlaceTerm, TermOf, Test};
use super::types::{Checker, Numeric, Typed};
use super::{AskedPlace, Names, Place};
use crate::presence::STILL_MIN;

impl Checker<'_> {
    pub(super) fn people(
        &mut self,
        place: &Ast,
        role: Option<&Ast>,
        present: bool,
        span: &Range<usize>,
    ) -> Option<Typed> {
        let role = match role {
            None => Some(None),
            Some(role) => self.text_argument(role, "the role, a text: people('tank-a', 'visitor')").map(Some),
        };
        let (id, found) = self.place_of_people(place)?;
        let term = PeopleTerm { place: id, zones: found.zones, role: role?, present };
        let place = self.peoples.iter().position(|known| *known == term).unwrap_or_else(|| {
            self.peoples.push(term);
            self.peoples.len() - 1
        });
        self.term(span, TermOf::People(place));
        Some(Typed::Number(Numeric { number: Number::People(place), eu: None, whole: true, deadband: 0.0 }))
    }

    pub(super) fn people_asked(
        &mut self,
        place: &Ast,
        asked: AskedPlace,
        span: &Range<usize>,
    ) -> Option<Typed> {
        let (id, found) = self.place_of_people(place)?;
        Some(self.asked(PlaceTerm { place: id, zones: found.zones, asked }, span))
    }

    /// A call for help anywhere, also outside of all zones.
    pub(super) fn sos_anywhere(&mut self, span: &Range<usize>) -> Typed {
        let Place { zones } = self.names.everywhere();
        self.zones.extend(zones.iter());
        self.asked(PlaceTerm { place: String::new(), zones, asked: AskedPlace::Sos }, span)
    }

    pub(super) fn still(&mut self, place: &Ast, length: &Ast, span: &Range<usize>) -> Option<Typed> {
        let length = self.rest(length);
        let (id, found) = self.place_of_people(place)?;
        let asked = AskedPlace::Still(length?);
        Some(self.asked(PlaceTerm { place: id, zones: found.zones, asked }, span))
    }

    fn rest(&mut self, length: &Ast) -> Option<Duration> {
        let Node::Duration(rest) = length.node else {
            self.expected(length, "for how long nobody may be motionless is a duration: still('tank-a', 5m)");
            return None;
        };
        if (STILL_MIN..=LENGTH_MAX).contains(&rest) {
            return Some(rest);
        }
        self.error(&length.span, "the length of `still` is out of range", "10s to 31d");
        None
    }

    pub(super) fn guarded(&mut self, unit: &Ast, kind: &Ast, span: &Range<usize>) -> Option<Typed> {
        let (id, place, kind) = self.unit_and_work(unit, kind)?;
        let zones = self.names.place(&id).map(|place| place.zones).unwrap_or_default();
        if zones.is_empty() {
            let message = format!("the unit '{id}' has no zone, so its guardians are never seen in it");
            self.error(&unit.span, message, "give the unit a [[zone]]");
            return None;
        }
        self.zones.extend(zones.iter());
        self.permit_units.insert(place);
        let asked = AskedPlace::Guarded { unit: place, kind };
        Some(self.asked(PlaceTerm { place: id, zones, asked }, span))
    }

    fn asked(&mut self, term: PlaceTerm, span: &Range<usize>) -> Typed {
        let place = self.places.iter().position(|known| *known == term).unwrap_or_else(|| {
            self.places.push(term);
            self.places.len() - 1
        });
        self.term(span, TermOf::Place(place));
        Typed::Bool(Test::Place(place))
    }

    /// A zone, or a unit that has one.
    fn place_of_people(&mut self, place: &Ast) -> Option<(String, Place)> {
        let id = self.text_argument(place, "the id of a zone or a unit, a text: people('tank-a')")?;
        let Some(found) = self.names.place(&id) else {
            let hint = self.nearest(&id, Names::places).map(|near| format!("did you mean '{near}'?"));
            self.fault(&place.span, format!("there is no zone or unit '{id}'"), hint);
            return None;
        };
        if found.zones.is_empty() {
            let message = format!("'{id}' has no zone, so nobody is ever in it");
            self.error(&place.span, message, "give the unit a [[zone]], or name a zone");
            return None;
        }
        self.zones.extend(found.zones.iter());
        Some((id, found))
    }
}
