//! Cases that were found once and are kept in words: a seed says nothing any more once cases are drawn otherwise.

use riskgate_engine::{Class, Priority};

use crate::compare::{START, run};
use crate::generate::Case;
use crate::language::{Cond, Num, Op, Window};
use crate::site::{Hazard, PTW, Point, RTLS, Rule, SECOND, Site, When};
use crate::world::{Act, Fix, Input, Permit, Read, Value};

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
        reversed: false,
        records: false,
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
        kind: None,
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

/// At 16 s three things come together: points grow stale, the feed of people falls silent, and the on-delay of a rule
/// that asks for both ends. What turns known into unknown comes first: the engine judged between the first two.
#[test]
fn a_delay_that_ends_as_a_feed_falls_silent_ends_on_unknown() {
    let people = Cond::People { place: "Z-1", role: None, present: false, op: Op::Greater, n: 0 };
    let full = Cond::Maybe(Box::new(Cond::Limit(Num::Point(LI), Op::Greater, 10.0)));
    let mut site = site(vec![Rule { for_: 15 * SECOND, ..rule(Cond::All(vec![people, full])) }]);
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

/// A rule loses its hazard over a reload while it waits to raise it, and its episode ends; in the next one it gets it
/// back. The engine took the old wait for that of the new episode. The whole wait begins with the reload: a reading
/// that says that it is over may take as long as its loss takes to be told, which is longer.
#[test]
fn a_wait_is_over_with_its_episode_also_where_nothing_is_raised() {
    let over = Cond::Limit(Num::Point(LI), Op::Greater, 50.0);
    let raising = When::After(30 * SECOND);
    let hazard = Hazard { cause: None, auto: false, major: false, raising };
    let with = site(vec![Rule { for_: 0, hazard: Some(hazard), ..rule(over.clone()) }]);
    let without = site(vec![Rule { for_: 0, ..rule(over) }]);
    let script = [
        (0, Input::Link { source: 0, up: true }),
        (1, read(60.0)),
        (1, Input::Reload(1)),
        (1, read(40.0)),
        (1, read(60.0)),
        (1, Input::Reload(0)),
        (50, read(60.0)),
    ];
    let script = script.map(|(pause, input)| (pause * SECOND, input)).to_vec();
    let told = run(&Case { sites: [with, without], script }).unwrap_or_else(|why| panic!("{why}"));
    let raised = format!("{} \n    hazard M-1 r1: Candidate by r1 opening 1", START + (5 + 30) * SECOND);
    assert!(told.contains(&raised), "{told}");
}

/// What a cycle of a recorded measure tells: nothing seen before its points are read, then all well, then a limit
/// that is passed, and a hazard that a person confirmed.
#[test]
fn the_records_of_a_measure_tell_what_stood_in_their_cycles() {
    let mut site =
        site(vec![Rule { measure: "M-3", ..rule(Cond::Limit(Num::Point(LI), Op::Greater, 50.0)) }]);
    site.records = true;
    site.rules[0].hazard =
        Some(Hazard { cause: None, auto: false, major: false, raising: When::Repeats(2, 60 * SECOND) });
    let script = [
        (8, Input::Link { source: 0, up: true }),
        (1, read(40.0)),
        (60, read(60.0)),
        (10, read(40.0)),
        (1, read(60.0)),
        (10, Input::Act(Act::Confirm(0))),
        (60, read(60.0)),
    ];
    let told = told(site, &script);
    let statuses = told.split("record T-3: status ").skip(1).filter_map(|of| of.chars().next());
    assert_eq!(statuses.collect::<String>(), "20311", "{told}");
}

/// Before a feed of permits has said anything, its rules are not judged; its first word says that it tells of them,
/// be it of work in another plant and on its way when the link went down. The model did not hear that word.
#[test]
fn the_first_word_of_a_feed_of_permits_is_heard_by_all_its_rules() {
    let maybe = Cond::Maybe(Box::new(Cond::Permit("hot_work")));
    let (place, start, end, guardian) = (Some("U-9"), None, None, None);
    let elsewhere = Permit { id: 1, stage: 1, lifting: false, place, start, end, guardian };
    let down = Input::Link { source: PTW, up: false };
    let script = [(1, down.clone()), (10, Input::Permit(elsewhere)), (20, down)];
    let told = told(site(vec![rule(maybe)]), &script);
    let onset = format!("{} \n    alarm r1: Unacknowledged #1 onset unknown false", START + 16 * SECOND);
    assert!(told.contains(&onset), "{told}");
}

/// While its episode goes on a rule is bound to another measure, and to the first again: the hazard of the first is
/// of this episode already. The model counted a repeat.
#[test]
fn an_episode_that_comes_back_to_a_measure_is_no_repeat() {
    let bound = |measure| {
        let over = Cond::Limit(Num::Point(LI), Op::Greater, 50.0);
        let raising = When::After(3 * SECOND);
        let hazard = Some(Hazard { cause: None, auto: false, major: false, raising });
        site(vec![Rule { measure, for_: 0, hazard, ..rule(over) }])
    };
    let script = [
        (0, Input::Link { source: 0, up: true }),
        (1, read(60.0)),
        (10, Input::Reload(1)),
        (10, Input::Reload(0)),
        (10, read(60.0)),
    ];
    let script = script.map(|(pause, input)| (pause * SECOND, input)).to_vec();
    let case = Case { sites: [bound("M-1"), bound("M-3")], script };
    let told = run(&case).unwrap_or_else(|why| panic!("{why}"));
    let raised: Vec<&str> = told.lines().filter(|line| line.starts_with("    hazard ")).collect();
    let expected = ["M-1", "M-3"].map(|measure| {
        format!("    hazard {measure} r1: Candidate by r1 opening 1 repeats 0 returned false major false")
    });
    assert_eq!(raised, expected, "{told}");
}
