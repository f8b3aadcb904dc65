//! `condition` and `permit`: the functions of records that others keep and tell, alarms of a control system
//! and tickets of special work, and how each reads its arguments.

use std::ops::Range;

use riskgate_point::PermitKind;

use super::ast::{Ast, Node};
use super::nearest::nearest;
use super::program::{ConditionTerm, PermitTerm, TermOf, Test};
use super::types::{Checker, Typed};
use super::{AskedCondition, Names};

/// What a condition is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConditionState {
    Active,
    /// Nobody has acknowledged it, whether it is still active or not.
    Unacknowledged,
    /// Suppressed or shelved at the source.
    Suppressed,
}

const STATES: [(&str, ConditionState); 3] = [
    ("active", ConditionState::Active),
    ("unacknowledged", ConditionState::Unacknowledged),
    ("suppressed", ConditionState::Suppressed),
];

const SEVERITY_MAX: u16 = 1000;

const PERMITS: [(PermitKind, &str, &str); 8] = [
    (PermitKind::HotWork, "hot_work", "动火"),
    (PermitKind::ConfinedSpace, "confined_space", "受限空间"),
    (PermitKind::BlindPlate, "blind_plate", "盲板抽堵"),
    (PermitKind::Height, "height", "高处"),
    (PermitKind::Lifting, "lifting", "吊装"),
    (PermitKind::TemporaryPower, "temporary_power", "临时用电"),
    (PermitKind::Earthwork, "earthwork", "动土"),
    (PermitKind::RoadClosing, "road_closing", "断路"),
];

/// A kind of special work as it stands in rules, and as it is called on site.
pub(crate) fn permit_words(kind: PermitKind) -> (&'static str, &'static str) {
    let found = PERMITS.iter().find(|(known, ..)| *known == kind);
    found.map_or(("", ""), |(_, word, zh)| (word, zh))
}

impl Checker<'_> {
    pub(super) fn kept_condition(
        &mut self,
        source: &Ast,
        name: &Ast,
        named: &[(String, Range<usize>, Ast)],
        span: &Range<usize>,
    ) -> Option<Typed> {
        let value = |wanted| named.iter().find(|(name, ..)| name == wanted).map(|(.., value)| value);
        let state = match value("state") {
            None => Some(ConditionState::Active),
            Some(given) => self.condition_state(given),
        };
        let severity = match value("severity") {
            None => Some(1),
            Some(given) => self.severity(given),
        };
        let name =
            self.text_argument(name, "the name of the condition, a text: condition('dcs', 'HighHigh')");
        let id = self.text_argument(source, "the id of a source, a text: condition('dcs', 'HighHigh')")?;
        let place = match self.names.source(&id) {
            Some((place, true)) => place,
            Some((_, false)) => {
                let message = format!("the source '{id}' tells of no conditions");
                self.error(&source.span, message, "give it `events = true` (kind opcua)");
                return None;
            }
            None => {
                let near = self.nearest(&id, Names::condition_sources);
                let hint = near.map(|near| format!("did you mean '{near}'?"));
                self.fault(&source.span, format!("there is no source '{id}'"), hint);
                return None;
            }
        };
        let (name, state, severity) = (name?, state?, severity?);
        let term =
            ConditionTerm { source: id, asked: AskedCondition { source: place, name, state, severity } };
        self.condition_sources.insert(place);
        let place = self.conditions.iter().position(|known| *known == term).unwrap_or_else(|| {
            self.conditions.push(term);
            self.conditions.len() - 1
        });
        self.term(span, TermOf::Condition(place));
        Some(Typed::Bool(Test::Condition(place)))
    }

    fn condition_state(&mut self, given: &Ast) -> Option<ConditionState> {
        let word = self.text_argument(given, "a state, a text: state = 'active'")?;
        let found = STATES.iter().find(|(state, _)| *state == word).map(|(_, state)| *state);
        if found.is_none() {
            self.no_such(given, "state of a condition", &word, STATES.iter().map(|(state, _)| *state));
        }
        found
    }

    fn severity(&mut self, given: &Ast) -> Option<u16> {
        if let Node::Number(number) = given.node
            && let Some(severity) = (1..=SEVERITY_MAX).find(|whole| f64::from(*whole) == number)
        {
            return Some(severity);
        }
        self.expected(given, &format!("a severity is a whole number from 1 to {SEVERITY_MAX}"));
        None
    }

    pub(super) fn permit(&mut self, unit: &Ast, kind: &Ast, span: &Range<usize>) -> Option<Typed> {
        let (unit, place, kind) = self.unit_and_work(unit, kind)?;
        let term = PermitTerm { unit, place, kind };
        self.permit_units.insert(place);
        let place = self.permits.iter().position(|known| *known == term).unwrap_or_else(|| {
            self.permits.push(term);
            self.permits.len() - 1
        });
        self.term(span, TermOf::Permit(place));
        Some(Typed::Bool(Test::Permit(place)))
    }

    /// A unit, with its place, and a kind of work.
    pub(super) fn unit_and_work(&mut self, unit: &Ast, kind: &Ast) -> Option<(String, u32, PermitKind)> {
        let kind = self.permit_kind(kind);
        let id = self.text_argument(unit, "the id of a unit, a text: permit('tank-area', 'hot_work')")?;
        let Some(place) = self.names.unit(&id) else {
            let hint = match self.names.unit_of_zone(&id) {
                Some(unit) => Some(format!("'{id}' is a zone: name its unit, '{unit}'")),
                None => self.nearest(&id, Names::units).map(|near| format!("did you mean '{near}'?")),
            };
            self.fault(&unit.span, format!("there is no unit '{id}'"), hint);
            return None;
        };
        Some((id, place, kind?))
    }

    fn permit_kind(&mut self, given: &Ast) -> Option<PermitKind> {
        let word = self.text_argument(given, "a kind of work, a text: permit('tank-area', 'hot_work')")?;
        if let Some((_, english, _)) =
            PERMITS.iter().find(|(.., zh)| *zh == word || word == format!("{zh}作业"))
        {
            self.error(
                &given.span,
                format!("there is no kind of work '{word}'"),
                &format!("write '{english}'"),
            );
            return None;
        }
        let found = PERMITS.iter().find(|(_, english, _)| *english == word).map(|(kind, ..)| *kind);
        if found.is_none() {
            self.no_such(given, "kind of work", &word, PERMITS.iter().map(|(_, english, _)| *english));
        }
        found
    }

    fn no_such(
        &mut self,
        given: &Ast,
        what: &str,
        word: &str,
        words: impl Iterator<Item = &'static str> + Clone,
    ) {
        let all = words.clone().collect::<Vec<_>>().join(", ");
        let hint = match nearest(word, words) {
            Some(near) => format!("did you mean '{near}'? There are {all}"),
            None => format!("there are {all}"),
        };
        self.error(&given.span, format!("there is no {what} '{word}'"), &hint);
    }
}
