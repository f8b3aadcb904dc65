//! What keeps an alarm from being annunciated: a shelf (搁置), suppression by design (设计抑制), out of
//! service (停用); and what brought an alarm into its state.
//!
//! They act on annunciation and never on judging: an alarm goes on through its states beneath them. A shelf
//! leaves hazards, boosts and the risk of the unit alone; suppression and out of service withhold hazards
//! too, until they end. Here is what they are and what may be shelved; who ends when is
//! `engine/annunciate.rs`.

use std::time::Duration;

use riskgate_point::Wall;
use serde::{Deserialize, Serialize};

use crate::plant::Rule;
use crate::{AlarmKind, Class, Priority};

/// The longest shelf: one shift.
pub const SHELF_MAX: Duration = Duration::from_hours(8);

/// Why an alarm is not annunciated. Several may hold at once; the last that ends annunciates it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Withheld {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shelved: Option<Shelf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<Suppression>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_service: Option<OutOfService>,
    /// The episode would have raised a hazard and has not: it is raised when what withholds it ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hazard: bool,
}

/// 搁置: for a while, by a person who says why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shelf {
    pub by: String,
    pub why: String,
    pub since: Wall,
    pub until: Wall,
}

/// 设计抑制: its unit is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    pub unit: String,
    pub since: Wall,
}

/// 停用: a person has taken it out, and what it watched is not watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfService {
    pub by: String,
    pub why: String,
    pub since: Wall,
    /// `None`: until a person puts it back.
    pub until: Option<Wall>,
}

impl Withheld {
    /// Whether anything keeps the alarm from being annunciated.
    pub fn is_some(&self) -> bool {
        self.shelved.is_some() || self.withholds_hazards()
    }

    /// Suppression and out of service: no hazard comes of it meanwhile, and it does not latch.
    pub fn withholds_hazards(&self) -> bool {
        self.suppressed.is_some() || self.out_of_service.is_some()
    }
}

/// What brought an alarm into its state, by whom and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AlarmTurn {
    pub event: AlarmEvent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Everything that happens to an alarm. The first five move its state; see the table of `alarm.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmEvent {
    /// Its condition began to hold.
    Onset,
    /// Its condition is known to hold no more.
    Cleared,
    /// A person has seen it.
    Acknowledged,
    /// A person let go of a latch.
    Reset,
    /// It still holds after its re-alarm time, or its candidate hazard is still unjudged.
    ReAlarmed,
    Shelved,
    Unshelved,
    ShelfEnded,
    UnitStopped,
    UnitStarted,
    TakenOut,
    PutBack,
    OutOfServiceEnded,
    /// What raised it is no longer in the plant.
    Removed,
    /// The record was written by a version that did not say.
    #[default]
    Unsaid,
}

impl AlarmEvent {
    pub fn word(self) -> &'static str {
        match self {
            Self::Onset => "onset",
            Self::Cleared => "cleared",
            Self::Acknowledged => "acknowledged",
            Self::Reset => "reset",
            Self::ReAlarmed => "re_alarmed",
            Self::Shelved => "shelved",
            Self::Unshelved => "unshelved",
            Self::ShelfEnded => "shelf_ended",
            Self::UnitStopped => "unit_stopped",
            Self::UnitStarted => "unit_started",
            Self::TakenOut => "taken_out",
            Self::PutBack => "put_back",
            Self::OutOfServiceEnded => "out_of_service_ended",
            Self::Removed => "removed",
            Self::Unsaid => "unsaid",
        }
    }
}

/// What no person may silence for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protected {
    Sis,
    /// The outer limits of gas, and what is written as urgent as they are.
    GasOuter,
    Sos,
}

impl Protected {
    /// `None`: it may be shelved. Of a lost gas detector the alarm may, its hazard stands.
    pub(crate) fn of(kind: AlarmKind, class: Class, priority: Priority, rule: Option<&Rule>) -> Option<Self> {
        if rule.is_some_and(Rule::calls_for_help) {
            return Some(Self::Sos);
        }
        match (class, kind, priority) {
            (Class::Sis, _, _) => Some(Self::Sis),
            (Class::Gas, AlarmKind::Limit | AlarmKind::Rule, Priority::Critical) => Some(Self::GasOuter),
            (Class::Gas, AlarmKind::Fault, _)
            | (Class::Gas, _, Priority::High | Priority::Medium | Priority::Low)
            | (
                Class::Process
                | Class::Equipment
                | Class::System
                | Class::Video
                | Class::Permit
                | Class::People
                | Class::Fire,
                _,
                _,
            ) => None,
        }
    }

    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Sis => ("安全仪表（SIS）报警", "an alarm of class sis"),
            Self::GasOuter => ("气体二级报警", "a gas alarm of the outer limit"),
            Self::Sos => ("SOS求助", "a call for help (SOS)"),
        }
    }
}

/// Stopping a unit suppresses these alone.
pub(crate) fn is_suppressible(class: Class) -> bool {
    match class {
        Class::Process | Class::Equipment => true,
        Class::System
        | Class::Video
        | Class::Permit
        | Class::People
        | Class::Gas
        | Class::Fire
        | Class::Sis => false,
    }
}
