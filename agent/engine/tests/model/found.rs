//! Cases that were found once and are kept in words: a seed says nothing any more once cases are drawn otherwise.

use riskgate_engine::{Class, Priority};

use crate::compare::{START, run};
use crate::generate::Case;
use crate::language::{Cond, Num, Op, Window};
use crate::site::{Point, RTLS, Rule, SECOND, Site};
use crate::world::{Act, Fix, Input, Read, Value};

const LI: usize = 0;

/// No limits, and only these rules.
fn site(rules: Vec<Rule>) -> Site {
    let point = |at: usize| Point {
        class: if at == 7 { Class::Sis } else { Class::Process },
        limits: [None; 4],
        deadband: 0.0,
        delay: 0,
        stale_after: 10_000 * SECOND,
        measure: None,
        auto: false,
    };
    Site {
        points: [0, 1, 2, 3, 4, 5, 6, 7].map(point),
        silence: [None; 3],
        patience: 60 * SECOND,
        source_hazard: 100 * SECOND,
        rules,
    }
}

fn rule(when: Cond) -> Rule {
    Rule {
        id: "r1".to_owned(),
        measure: "M-1",
        priority: Priority::High,
        class: None,
        when,
        for_: 5 * SECOND,
        clear: None,
        clear_for: 0,
        latch: false,
        realarm: None,
        hazard: None,
        task: None,
        raise: None,
    }
}

fn read(number: f64) -> Input {
    let value = Value::Number(number);
    Input::Read(Read { point: LI, value, uncertain: false, told: None, backfill: false })
}

/// All that both told, each input so many seconds after the one before.
fn told(site: Site, script: &[(u64, Input)]) -> String {
    let script = script.iter().map(|(pause, input)| (pause * SECOND, input.clone()));
    let case = Case { sites: [site.clone(), site], script: script.collect() };
    run(&case).unwrap_or_else(|why| panic!("{why}"))
}

/// 33 s of the last 100 at 15, the others at 95, are a deviation of 37.6. The model counted the steps from the oldest
/// reading that it looked at, and so it came to 32 s.
#[test]
fn a_deviation_after_a_sleep_goes_in_the_steps_that_it_began_with() {
    let deviation = Num::Window(Window::Stddev, LI, 100 * SECOND);
    let site = site(vec![rule(Cond::Limit(deviation, Op::Greater, 37.537))]);
    let script = [
        (9, Input::Link { source: 0, up: true }),
        (0, read(55.0)),
        (38, read(95.0)),
        (1, Input::Sleep(100 * SECOND)),
        (82, read(15.0)),
        (60, read(15.0)),
    ];
    let told = told(site, &script);
    let turns = START + (9 + 38 + 1 + 100 + 82 + 33 + 5) * SECOND;
    assert!(told.contains(&format!("{turns} \n    alarm r1: Unacknowledged #1 onset")), "{told}");
}

/// However little is known, there were 0 times or more. But nobody has told the rule anything of its zones while all
/// that was told is of a tag that is in none of them and was in none: it is not judged.
#[test]
fn a_tag_that_is_nowhere_tells_a_zone_nothing() {
    let people = |place| Cond::People { place, role: None, present: false, op: Op::Greater, n: 1 };
    let counted = Cond::Count(Box::new(people("Z-1")), 40 * SECOND, Op::GreaterEqual, 0);
    let site = site(vec![rule(counted)]);
    let fix = |zone| {
        let (tag, told, backfill) = ("t1", None, false);
        Input::Fix(Fix { tag, person: None, role: None, zone, sos: false, spot: None, told, backfill })
    };
    let down = Input::Link { source: RTLS, up: false };
    let nowhere = [(1, down.clone()), (1, fix(None)), (1, fix(Some("Z-2"))), (9, fix(None)), (9, fix(None))];
    assert!(!told(site.clone(), &nowhere).contains("alarm r1"));
    let there = [(1, down), (1, fix(None)), (1, fix(Some("Z-1"))), (9, fix(None))];
    let onset = format!("{} \n    alarm r1: Unacknowledged #1 onset", START + 8 * SECOND);
    let told = told(site, &there);
    assert!(told.contains(&onset), "{told}");
}

/// At 15 s three things come together: points grow stale, the feed of people falls silent, and the on-delay of a rule
/// that asks for people ends. What turns known into unknown comes first: the engine judged between the first two.
#[test]
fn a_delay_that_ends_as_a_feed_falls_silent_ends_on_unknown() {
    let people = Cond::People { place: "Z-1", role: None, present: false, op: Op::Greater, n: 0 };
    let mut site = site(vec![Rule { for_: 15 * SECOND, ..rule(people) }]);
    site.silence[0] = Some(15 * SECOND);
    site.points[LI].stale_after = 15 * SECOND;
    let (tag, zone, sos, told_at) = ("t1", Some("Z-1"), false, None);
    let fix = Fix { tag, person: None, role: None, zone, sos, spot: None, told: told_at, backfill: false };
    let script = [
        (0, Input::Link { source: 0, up: true }),
        (0, Input::Link { source: RTLS, up: true }),
        (1, read(50.0)),
        (0, Input::Fix(fix)),
        (20, read(50.0)),
    ];
    let told = told(site, &script);
    let onset = format!("{} \n    alarm r1: Unacknowledged #1 onset unknown true", START + 16 * SECOND);
    assert!(told.contains(&onset), "{told}");
}

/// While a source is lost for the second time a person rejects what its first loss had raised, and the agent is
/// restarted: the second loss is not what was judged. The engine took the one for the other and raised nothing.
#[test]
fn what_is_rejected_during_the_next_loss_of_a_source_is_not_that_loss() {
    let people = Cond::People { place: "Z-1", role: None, present: false, op: Op::Greater, n: 9 };
    let link = |up| Input::Link { source: RTLS, up };
    let script = [
        (0, link(true)),
        (1, link(false)),
        (110, link(true)),
        (10, link(false)),
        (50, Input::Act(Act::Reject(0))),
        (0, Input::Restart),
        (200, link(false)),
    ];
    let told = told(site(vec![rule(people)]), &script);
    assert!(told.contains("hazard M-1 fault:rtls: Rejected by fault:source:rtls opening 1"), "{told}");
    assert!(told.contains("hazard M-1 fault:rtls: Candidate by fault:source:rtls opening 2"), "{told}");
}
