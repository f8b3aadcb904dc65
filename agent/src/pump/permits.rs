//! What special work is permitted in each unit, for upstream.

use std::collections::BTreeMap;
use std::time::Duration;

use riskgate_engine::{Engine, PermitView, Truth};
use riskgate_point::{Now, PermitStage, Wall};

use crate::uplink::wire::permit::{Ticket, TicketStatus, UnitPermits};

/// A message holds so many tickets, mostly of 400 B. A large site has 500 in a day; a unit with more than these at
/// once is told of as so many more.
const TICKETS_MAX: usize = 50;

/// And so much of them: 50 whose words are far longer than any on paper. A quarter of what can be published at all.
const TICKETS_BYTES_MAX: usize = 64 * 1024;

/// What is closed or over is told for so long, so that nobody who was away for a while takes it for a ticket that
/// was lost.
const TOLD_AFTER: Duration = Duration::from_hours(1);

/// In the order of the units' ids, as those `before` are. A plant whose sources carry no permits says nothing of them. What has not changed
/// keeps its time.
pub(super) fn units(engine: &Engine, before: &[UnitPermits], now: Now) -> Vec<UnitPermits> {
    let plant = engine.plant();
    if !plant.sources().iter().any(|source| source.permits) {
        return Vec::new();
    }
    let mut of_units: BTreeMap<&str, Vec<PermitView<'_>>> = BTreeMap::new();
    let mut unplaced = 0;
    for view in engine.permits(now.mono) {
        let in_work = view.permit.stage == PermitStage::Working && !view.over.is_true();
        match view.unit {
            Some(unit) if is_told(&view, now) => of_units.entry(unit).or_default().push(view),
            None if view.permit.place.is_none() && in_work => unplaced += 1,
            Some(_) | None => {}
        }
    }
    let known = engine.permits_known(now.mono);
    let mut units: Vec<UnitPermits> = plant
        .units()
        .iter()
        .map(|unit| {
            let place = before.binary_search_by(|old| old.unit.cmp(&unit.id)).ok();
            let old = place.and_then(|at| before.get(at));
            let mut tickets: Vec<Ticket> = of_units
                .remove(unit.id.as_str())
                .unwrap_or_default()
                .iter()
                .map(|view| ticket(engine, view, old, now))
                .collect();
            tickets.sort_by(|a, b| (a.status, &a.number, &a.source).cmp(&(b.status, &b.number, &b.source)));
            let room = with_room(&tickets);
            let left_out = tickets.len().saturating_sub(room);
            tickets.truncate(room);
            let (name, changed) = (unit.name.clone(), now.wall);
            let new =
                UnitPermits { unit: unit.id.clone(), name, known, tickets, left_out, unplaced, changed };
            old.filter(|old| old.is_as(&new)).cloned().unwrap_or(new)
        })
        .collect();
    units.sort_by(|a, b| a.unit.cmp(&b.unit));
    units
}

/// How many of the first a message holds.
fn with_room(tickets: &[Ticket]) -> usize {
    let so_far = tickets.iter().scan(0_usize, |bytes, ticket| {
        *bytes = bytes.saturating_add(ticket.bytes_max());
        Some(*bytes)
    });
    so_far.take(TICKETS_MAX).take_while(|bytes| *bytes <= TICKETS_BYTES_MAX).count()
}

/// What was closed while nobody listened is told late: its own time says so, where it has one.
fn is_told(view: &PermitView<'_>, now: Now) -> bool {
    let permit = view.permit;
    let is_before = |at: Wall| at.after(TOLD_AFTER) <= now.wall;
    let closed_before = permit.stage == PermitStage::After
        && (now.mono.since(permit.received.mono) >= TOLD_AFTER || permit.source_time.is_some_and(is_before));
    let over_before = view.over.is_true() && permit.end.is_some_and(is_before);
    !(closed_before || over_before)
}

fn ticket(engine: &Engine, view: &PermitView<'_>, before: Option<&UnitPermits>, now: Now) -> Ticket {
    let permit = view.permit;
    let source = engine.plant().source(permit.source).map_or_else(String::new, |source| source.id.clone());
    let new = Ticket {
        status: match permit.stage {
            PermitStage::After => TicketStatus::Closed,
            PermitStage::Before | PermitStage::Working if view.over.is_true() => TicketStatus::Expired,
            PermitStage::Working => TicketStatus::Working,
            PermitStage::Before => TicketStatus::Before,
        },
        number: permit.id.clone(),
        source,
        kind: permit.kind,
        level: permit.level,
        stage: permit.stage,
        in_force: match view.in_force {
            Truth::True => Some(true),
            Truth::False => Some(false),
            Truth::Unknown => None,
        },
        place: permit.place.clone(),
        start: permit.start,
        end: permit.end,
        guardian: permit.guardian.is_some(),
        changed: now.wall,
    };
    let old = before.and_then(|before| before.tickets.iter().find(|old| old.is_of(&new)));
    old.filter(|old| old.is_as(&new)).cloned().unwrap_or(new)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use riskgate_engine::{Epoch, Restored};
    use riskgate_point::{Link, Mono, Permit, PermitKind, Report, SourceId};

    use super::*;

    const SITE: &str = r#"
[gateway]
company = "540170007"
id = "54017000701"
name = "试验网关"
[uplink]
host = "127.0.0.1"
[[source]]
id = "ptw"
name = "作业票系统"
kind = "mqtt"
host = "127.0.0.1"
port = 1883
stale_after = "10h"
permits = [{ preset = "jt", topic = "permit/+" }]
[[unit]]
id = "tank-a"
name = "罐区A"
hazard_code = "540170007001"
base_class = "yellow"
liable_person = "王强"
"#;

    const HOUR: i64 = 3_600_000;

    fn at(ms: i64) -> Now {
        Now {
            mono: Mono(u64::try_from(ms).expect("after the boot") * 1_000_000),
            wall: Wall(1_800_000_000_000 + ms),
        }
    }

    fn engine() -> Engine {
        let files = vec![(PathBuf::from("site.toml"), SITE.as_bytes().to_vec())];
        let plant = Arc::new(crate::config::check_files(files).expect("it passes").plant);
        let mut engine =
            Engine::new(plant, Epoch(uuid::Uuid::nil()), Restored::default(), at(0), &mut Vec::new());
        let up = Report::Link { source: SourceId(0), link: Link::Up, at: at(0) };
        engine.handle(up, at(0), &mut Vec::new());
        engine
    }

    fn tell(engine: &mut Engine, id: &str, stage: PermitStage, end: Option<i64>, now: i64) {
        tell_of(engine, Permit { end: end.map(|end| at(end).wall), ..permit(id, stage, now) });
    }

    fn tell_of(engine: &mut Engine, permit: Permit) {
        let now = permit.received;
        engine.handle(Report::Permit(Box::new(permit)), now, &mut Vec::new());
    }

    fn permit(id: &str, stage: PermitStage, now: i64) -> Permit {
        Permit {
            source: SourceId(0),
            id: Arc::from(id),
            kind: PermitKind::HotWork,
            level: None,
            stage,
            place: Some(Arc::from("tank-a")),
            start: None,
            end: None,
            guardian: None,
            source_time: None,
            received: at(now),
            backfill: false,
        }
    }

    fn told(of: &UnitPermits) -> Vec<(&str, TicketStatus)> {
        of.tickets.iter().map(|ticket| (&*ticket.number, ticket.status)).collect()
    }

    #[test]
    fn what_is_over_is_told_for_an_hour_and_what_does_not_change_keeps_its_time() {
        let mut engine = engine();
        tell(&mut engine, "closed", PermitStage::After, Some(8 * HOUR), 0);
        tell(&mut engine, "short", PermitStage::Working, Some(HOUR), 0);
        tell(&mut engine, "long", PermitStage::Working, None, 0);
        let first = units(&engine, &[], at(1_000));
        let [unit] = first.as_slice() else { panic!("one unit: {first:?}") };
        use TicketStatus::{Closed, Expired, Working};
        assert_eq!(told(unit), [("long", Working), ("short", Working), ("closed", Closed)]);
        assert_eq!((unit.known, unit.changed), (false, at(1_000).wall), "its feed may have more to tell");
        let second = units(&engine, &first, at(10_000));
        assert_eq!((second[0].known, second[0].changed), (true, at(10_000).wall));
        assert_eq!(second[0].tickets, first[0].tickets);
        assert_eq!(units(&engine, &second, at(20_000)), second);
        let over = units(&engine, &second, at(HOUR));
        assert_eq!(told(&over[0]), [("long", Working), ("short", Expired)]);
        let [long, short] = over[0].tickets.as_slice() else { panic!("two") };
        assert_eq!((long.changed, short.changed), (at(1_000).wall, at(HOUR).wall));
        assert_eq!((long.in_force, short.in_force), (Some(true), Some(false)));
        let later = units(&engine, &over, at(2 * HOUR));
        assert_eq!(told(&later[0]), [("long", Working)]);
    }

    #[test]
    fn what_was_closed_long_ago_is_not_told_anew_because_its_broker_kept_it() {
        let mut engine = engine();
        let closed = |id, now, closed: Option<i64>| Permit {
            source_time: closed.map(|closed| at(closed).wall),
            backfill: true,
            ..permit(id, PermitStage::After, now)
        };
        let start = 2 * HOUR;
        tell_of(&mut engine, closed("long-ago", start, Some(start - HOUR)));
        tell_of(&mut engine, closed("just-now", start, Some(start - HOUR + 1)));
        tell_of(&mut engine, closed("no-time", start, None));
        use TicketStatus::Closed;
        let first = units(&engine, &[], at(start));
        assert_eq!(told(&first[0]), [("just-now", Closed), ("no-time", Closed)]);
        let end = start + HOUR;
        tell_of(&mut engine, closed("no-time", end - 1, None));
        assert_eq!(told(&units(&engine, &first, at(end - 1))[0]), [("no-time", Closed)]);
        assert_eq!(told(&units(&engine, &first, at(end))[0]), [], "it was closed when that was told first");
    }

    #[test]
    fn tickets_with_long_words_are_left_out_before_their_message_is_too_large() {
        let mut engine = engine();
        for n in 0..50 {
            // As long as a feed can tell them, and each letter is six in a message.
            let long = format!("T-{n:02}{}", "\u{1}".repeat(1_000));
            tell_of(&mut engine, permit(&long, PermitStage::Working, 0));
        }
        let units = units(&engine, &[], at(0));
        let bytes: usize = units[0].tickets.iter().map(Ticket::bytes_max).sum();
        assert_eq!((units[0].tickets.len(), units[0].left_out), (10, 40), "{bytes} bytes");
    }

    #[test]
    fn a_unit_with_more_tickets_than_a_message_holds_says_how_many_more() {
        let mut engine = engine();
        for n in 0..60 {
            let stage = if n < 20 { PermitStage::After } else { PermitStage::Working };
            tell(&mut engine, &format!("T-{n:02}"), stage, None, 0);
        }
        let units = units(&engine, &[], at(0));
        assert_eq!((units[0].tickets.len(), units[0].left_out), (50, 10));
        assert_eq!(units[0].tickets[0].number.as_ref(), "T-20", "what goes on comes first");
    }
}
