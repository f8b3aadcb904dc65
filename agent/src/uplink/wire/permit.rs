//! The special work that is permitted in a unit, as upstream reads it: every ticket that is known there, in one message, so
//! that a retained one is the whole present. No names: of the guardian only whether one is named. Pure.

use std::sync::Arc;

use riskgate_point::{PermitKind, PermitStage, Wall};
use serde_json::{Value, json};

use super::{Origin, level, loose_bytes};

/// What is known of the permits of one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitPermits {
    pub unit: String,
    pub name: String,
    /// A permit that is not here is none. Else a feed is down, has not told all yet or tells more than there is room
    /// for: what is here is what was told last.
    pub known: bool,
    /// As many as a message holds.
    pub tickets: Vec<Ticket>,
    pub left_out: usize,
    /// In work, and they do not say where: they may be of this unit.
    pub unplaced: usize,
    /// Since when it is so.
    pub changed: Wall,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub status: TicketStatus,
    pub number: Arc<str>,
    /// The id of the feed that told it.
    pub source: String,
    pub kind: PermitKind,
    pub level: Option<u8>,
    pub stage: PermitStage,
    /// As rules see it; `None`: unknown.
    pub in_force: Option<bool>,
    pub place: Option<Arc<str>>,
    pub start: Option<Wall>,
    pub end: Option<Wall>,
    /// A guardian (监护人) is named.
    pub guardian: bool,
    /// Since when it is so.
    pub changed: Wall,
}

/// In the order in which they are told: what goes on comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TicketStatus {
    Working,
    /// Its time is over, and nobody has closed it.
    Expired,
    Before,
    Closed,
}

impl UnitPermits {
    /// All but the time.
    pub fn is_as(&self, other: &Self) -> bool {
        let Self { unit, name, known, tickets, left_out, unplaced, changed: _ } = self;
        (unit, name, known, tickets, left_out, unplaced)
            == (&other.unit, &other.name, &other.known, &other.tickets, &other.left_out, &other.unplaced)
    }
}

impl Ticket {
    /// The same ticket, whatever has become of it.
    pub fn is_of(&self, other: &Self) -> bool {
        (&self.number, &self.source) == (&other.number, &other.source)
    }

    /// All but the time.
    pub fn is_as(&self, other: &Self) -> bool {
        Self { changed: other.changed, ..self.clone() } == *other
    }

    /// It is no longer than this in its message.
    pub fn bytes_max(&self) -> usize {
        /// All but the words of others, with a comma behind.
        const BYTES: usize = 400;
        let place = self.place.as_deref().unwrap_or_default();
        [&*self.number, &*self.source, place].into_iter().map(json_bytes).sum::<usize>() + BYTES
    }
}

/// What a text takes without its quotes.
fn json_bytes(text: &str) -> usize {
    let of_byte = |byte| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(of_byte).sum()
}

pub(in crate::uplink) fn permit_topic(unit: &str) -> String {
    format!("permit/{}", level(unit))
}

/// `number`: rises with each message of a connection, which began at `connected`.
pub(in crate::uplink) fn permit_bytes(
    of: &UnitPermits,
    (connected, number): (Wall, u64),
    at: Wall,
    origin: &Origin,
) -> Vec<u8> {
    let tickets: Vec<Value> = of.tickets.iter().map(|ticket| ticket_data(ticket, origin)).collect();
    let data = json!({
        "id": of.unit,
        "companyCode": origin.company,
        "riskUnitId": of.unit,
        "riskUnitName": of.name,
        "known": of.known,
        "count": of.tickets.len() + of.left_out,
        "leftOut": of.left_out,
        "unplaced": of.unplaced,
        "permits": tickets,
        "changed": origin.time(of.changed),
    });
    let name = format!("permit/{}/{}/{number}", of.unit, connected.0);
    loose_bytes(&name, "riskgate.permit.v1", at, false, &data, origin)
}

fn ticket_data(of: &Ticket, origin: &Origin) -> Value {
    let (ticket_type, kind) = kind_words(of.kind);
    json!({
        "ticketNum": of.number,
        "source": of.source,
        "ticketType": ticket_type,
        "kind": kind,
        "ticketLevel": of.level,
        "ticketPosition": of.place,
        "startTime": of.start.map(|at| origin.time(at)),
        "endTime": of.end.map(|at| origin.time(at)),
        "ticketStatus": match of.stage {
            PermitStage::Before => 1,
            PermitStage::Working => 2,
            PermitStage::After => 3,
        },
        "status": match of.status {
            TicketStatus::Working => "working",
            TicketStatus::Expired => "expired",
            TicketStatus::Before => "before",
            TicketStatus::Closed => "closed",
        },
        "inForce": of.in_force,
        "guardianNamed": of.guardian,
        "changed": origin.time(of.changed),
    })
}

/// The code of the kind (zylx), and its word.
fn kind_words(kind: PermitKind) -> (u8, &'static str) {
    match kind {
        PermitKind::HotWork => (1, "hot_work"),
        PermitKind::ConfinedSpace => (2, "confined_space"),
        PermitKind::BlindPlate => (3, "blind_plate"),
        PermitKind::Height => (4, "height"),
        PermitKind::Lifting => (5, "lifting"),
        PermitKind::TemporaryPower => (6, "temporary_power"),
        PermitKind::Earthwork => (7, "earthwork"),
        PermitKind::RoadClosing => (8, "road_closing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_ticket_is_longer_than_is_reckoned_with() {
        let origin = crate::uplink::tests::origin();
        let nasty = |from: u32| -> Arc<str> {
            (from..from + 300)
                .filter_map(char::from_u32)
                .chain(['"', '\\', '\u{7f}', '\u{2028}'])
                .collect::<String>()
                .into()
        };
        for from in [0, 0x20, 0x4e00, 0x1_f600] {
            let at = Some(Wall(4_102_444_800_123));
            let ticket = Ticket {
                status: TicketStatus::Expired,
                number: nasty(from),
                source: nasty(from).to_string(),
                kind: PermitKind::TemporaryPower,
                level: Some(u8::MAX),
                stage: PermitStage::Working,
                in_force: Some(false),
                place: Some(nasty(from)),
                start: at,
                end: at,
                guardian: false,
                changed: Wall(4_102_444_800_123),
            };
            let bytes = ticket_data(&ticket, &origin).to_string().len();
            let most = ticket.bytes_max();
            assert!((bytes..bytes + 200).contains(&most), "{bytes} bytes, {most} reckoned with");
        }
    }
}
