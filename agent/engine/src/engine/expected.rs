//! What an act from afar is held against before it is carried out: the revision that its giver saw, and whether
//! anybody can say what time it is. Who stands in the plant sees both for himself.

use riskgate_point::Now;

use super::Engine;
use crate::{Deed, Effect};

impl Engine {
    /// The revision of the object that an act is about, as it is now: of a point by its tag, those of its alarms
    /// added up; 0 where nothing of it was ever told. `None`: there is no such object, as the act itself will say.
    pub fn revision_of(&self, deed: &Deed) -> Option<u64> {
        match deed {
            Deed::Acknowledge { alarm }
            | Deed::Reset { alarm }
            | Deed::Shelve { alarm, .. }
            | Deed::Unshelve { alarm } => {
                self.alarm_revision(alarm).or_else(|| self.alarms_of(alarm).ok().map(|_| 0))
            }
            Deed::OutOfService { what, .. } | Deed::InService { what } => {
                let alarms = self.alarms_of(what).ok()?;
                Some(alarms.iter().filter_map(|alarm| self.alarm_revision(alarm)).sum())
            }
            Deed::Confirm { hazard, .. }
            | Deed::Reject { hazard, .. }
            | Deed::Rectify { hazard, .. }
            | Deed::Accept { hazard, .. } => {
                self.hazards.newest().find(|record| record.id == *hazard).map(|record| record.revision)
            }
            Deed::StopUnit { unit, .. } | Deed::StartUnit { unit } => {
                let newest = self.stops.newest(unit).map(|record| record.revision);
                newest.or_else(|| self.plant.unit(unit).map(|_| 0))
            }
            Deed::Record { task, .. } => {
                self.tasks.revision(task).or_else(|| self.plant.task(task).map(|_| 0))
            }
        }
    }

    fn alarm_revision(&self, alarm: &str) -> Option<u64> {
        self.alarms.get(alarm).map(|record| record.revision)
    }

    /// Whether the wall clock was just set, so that two times are possible. A look may show it, and what follows from
    /// that is among `effects`.
    pub fn doubts_the_clock(&mut self, now: Now, effects: &mut Vec<Effect>) -> bool {
        let at = Now { mono: now.mono.max(self.latest), wall: now.wall };
        self.run_timers(at, effects);
        let before = effects.len();
        self.look_at_calendar(now, at, effects);
        self.note(before, at.mono, effects);
        self.present.calendar.instant_of(at.wall).is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use riskgate_point::{Mono, Sample, Value, Wall};
    use uuid::Uuid;

    use super::*;
    use crate::plant::Plant;
    use crate::site::{draft, hazard, rule, ruled};
    use crate::{Act, Confirm, Epoch, Restored, RuleDraft};

    fn at(seconds: u64) -> Now {
        let wall = Wall(1_700_000_000_000 + i64::try_from(seconds).expect("small") * 1_000);
        Now { mono: Mono(1_000_000_000_000 + seconds * 1_000_000_000), wall }
    }

    fn engine() -> Engine {
        let hot = RuleDraft { hazard: Some(hazard(Confirm::Person)), ..rule("hot", "{TI} > 80") };
        let plant = Arc::new(Plant::build(ruled(vec![hot])).expect("a sound plant").0);
        Engine::new(plant, Epoch(Uuid::nil()), Restored::default(), at(0), &mut Vec::new())
    }

    fn read(engine: &mut Engine, tag: &str, number: f64, now: Now) {
        let point = engine.plant.point_id(tag).expect("a point");
        let sample = Sample::good(point, Value::float(number).expect("finite"), now);
        engine.handle(riskgate_point::Report::Sample(sample), now, &mut Vec::new());
    }

    #[test]
    fn each_act_changes_the_revision_of_what_it_is_about() {
        let mut engine = engine();
        read(&mut engine, "TI", 90.0, at(1));
        let id = engine.hazards().first().expect("a candidate").id;
        let alarm = || "hot".to_owned();
        let unit = draft().units.first().expect("a unit").id.clone();
        let why = || "试验".to_owned();
        let deeds = [
            Deed::Acknowledge { alarm: alarm() },
            Deed::Shelve { alarm: alarm(), for_s: 60, why: why() },
            Deed::Unshelve { alarm: alarm() },
            Deed::OutOfService { what: "TI".to_owned(), why: why(), for_s: None },
            Deed::InService { what: "TI".to_owned() },
            Deed::Confirm { hazard: id, why: None },
            Deed::Rectify { hazard: id, why: None },
            Deed::Accept { hazard: id, why: None },
            Deed::StopUnit { unit: unit.clone(), why: why() },
            Deed::StartUnit { unit },
        ];
        for deed in deeds {
            let before = engine.revision_of(&deed).expect("there is one");
            let act = Act { by: "王敏".to_owned(), deed };
            engine.act(&act, at(2), &mut Vec::new()).unwrap_or_else(|why| panic!("{act:?}: {why}"));
            assert!(engine.revision_of(&act.deed) > Some(before), "{act:?}");
        }
    }

    #[test]
    fn what_was_never_told_is_at_nothing_and_what_is_not_there_has_no_revision() {
        let engine = engine();
        let of = |deed| engine.revision_of(&deed);
        assert_eq!(of(Deed::Reset { alarm: "hot".to_owned() }), Some(0));
        assert_eq!(of(Deed::Reset { alarm: "cold".to_owned() }), None);
        assert_eq!(of(Deed::InService { what: "TI".to_owned() }), Some(0));
        assert_eq!(of(Deed::StartUnit { unit: "U-9".to_owned() }), None);
        assert_eq!(of(Deed::Accept { hazard: Uuid::nil(), why: None }), None);
    }

    #[test]
    fn a_clock_that_was_set_is_doubted_for_a_minute_also_while_nothing_is_read() {
        let mut engine = engine();
        let mut doubts = |seconds, set_s: i64| {
            let now = Now { wall: Wall(at(seconds).wall.0 + set_s * 1_000), ..at(seconds) };
            engine.doubts_the_clock(now, &mut Vec::new())
        };
        assert!(!doubts(1, 0));
        assert!(doubts(2, 3_600));
        assert!(doubts(60, 3_600));
        assert!(!doubts(63, 3_600), "this is the time now");
        assert!(doubts(70, 0));
    }
}
