//! The rules that a plant expects out of the box, each as a timeline.

use super::*;
use crate::site::{boost, check, raise};

/// A limit beyond its delay is a candidate, an outer limit a hazard at once; a measure that changes too fast or
/// that its twin contradicts has failed as well.
#[test]
fn a_measure_fails_by_limit_rate_and_deviation() {
    let mut site = site(vec![
        of("fast", "rate", vec![("point", word("TI")), ("above", number(5.0)), ("window", length(60))]),
        of(
            "twins",
            "deviation",
            vec![("point", word("LI")), ("other", word("LI-2")), ("more", number(10.0))],
        ),
    ]);
    site.points[0] = draft().points[0].clone();
    check(
        site,
        "
1s LI 90
  6s alarm LI/H unacknowledged #1
  6s hazard M-1 limit:LI: a candidate by LI/H
6s
7s LI-2 90
20s LI 96
  20s alarm LI/HH unacknowledged #1
  20s hazard M-1 limit:LI: rectifying by LI/HH
30s LI 50
  30s alarm LI/H returned #1
  30s alarm LI/HH returned #1
  30s hazard M-1 limit:LI: rectifying by LI/HH returned
31s LI-2 50
40s LI-2 70
  55s alarm twins unacknowledged #1
70s LI-2 50
  70s alarm twins returned #1
100s TI 50
130s TI 58
  130s alarm fast unacknowledged #1
  190s alarm fast returned #1
200s TI 58
",
    );
}

/// A reading that does not move or makes no sense is a failure of the instrument, and no process alarm.
#[test]
fn an_instrument_fails_by_standing_still_and_by_what_it_reads() {
    let frozen = vec![("point", word("LI-2")), ("window", length(60)), ("rest", number(0.0))];
    check(
        site(vec![
            RuleDraft { hazard: Some(hazard(Confirm::Person)), ..of("frozen", "frozen", frozen) },
            of("range", "range", vec![("point", word("TI")), ("high", number(90.0))]),
            rule("masked", "bad({GD-1}) and bad({GD-2})"),
        ]),
        "
30s LI-2 51
  90s alarm frozen unacknowledged #1
  90s hazard M-1 frozen: a candidate
95s LI-2 52
  95s alarm frozen returned #1
  95s hazard M-1 frozen: a candidate returned
100s LI-2 0
200s TI 95
  210s alarm range unacknowledged #1
220s TI 60
  220s alarm range returned #1
300s GD-1 bad
301s GD-2 bad
  301s alarm masked unacknowledged #1
302s GD-1 0
  302s alarm masked returned #1
305s GD-2 0
",
    );
}

/// One detector boosts the inspections; two, or one beside a person, are a leak: a hazard, and the unit is red.
#[test]
fn gas_at_one_detector_boosts_and_at_two_or_near_people_is_a_leak() {
    let one = "at_least(1, {GD-1} >= 25, {GD-2} >= 25)";
    let leak = format!("at_least(2, {{GD-1}} >= 25, {{GD-2}} >= 25) or ({one} and maybe(people('Z-1') > 0))");
    check(
        site(vec![
            RuleDraft { task: Some(boost("T-1", 600, 60)), ..rule("smell", one) },
            RuleDraft { hazard: Some(hazard(Confirm::Auto)), unit: Some(raise(60)), ..rule("leak", &leak) },
        ]),
        "
1s GD-1 30
  1s alarm smell unacknowledged #1
  1s task T-1 every 600s, smell
10s GD-2 30
  10s alarm leak unacknowledged #1
  10s hazard M-1 leak: rectifying
  10s unit U-1 Red, leak
20s GD-2 0
  20s alarm leak returned #1
  20s hazard M-1 leak: rectifying returned
  20s unit U-1 Red, leak until 80s
30s GD-1 0
  30s alarm smell returned #1
  30s task T-1 every 600s, smell until 90s
  80s unit U-1 Yellow
  90s task T-1 every 28800s
200s
201s fix t1 Z-1 li
202s GD-1 30
  202s alarm smell unacknowledged #2
  202s task T-1 every 600s, smell
  202s alarm leak unacknowledged #2
  202s hazard M-1 leak: rectifying repeats 1
  202s unit U-1 Red, leak
210s GD-1 0
  210s alarm smell returned #2
  210s task T-1 every 600s, smell until 270s
  210s alarm leak returned #2
  210s hazard M-1 leak: rectifying repeats 1 returned
  210s unit U-1 Red, leak until 270s
211s GD-1 20
  270s task T-1 every 28800s
  270s unit U-1 Yellow
400s
",
    );
}

/// A trip names what was first out; a bypass may last for its time and no longer; signals that vote and do not
/// agree shorten the inspections.
#[test]
fn a_safety_function_trips_is_bypassed_and_disagrees() {
    check(
        site(vec![
            RuleDraft {
                hazard: Some(hazard(Confirm::Auto)),
                ..of("trip", "sis_trip", vec![("points", words(&["XS-1", "XS-2"]))])
            },
            RuleDraft { for_: secs(600), ..of("bypass", "bypass", vec![("point", word("BYP"))]) },
            RuleDraft {
                task: Some(boost("T-1", 3600, 60)),
                ..of("vote", "discrepancy", vec![("points", words(&["XS-1", "XS-2", "XS-3"]))])
            },
        ]),
        "
1s XS-2 true
  1s alarm trip unacknowledged #1
  1s hazard M-1 trip: rectifying
5s XS-1 true
6s XS-3 true
20s XS-1 false
  30s alarm vote unacknowledged #1
  30s task T-1 every 3600s, vote
40s XS-2 false
  40s alarm trip returned #1
  40s hazard M-1 trip: rectifying returned
41s XS-3 false
  41s alarm vote returned #1
  41s task T-1 every 3600s, vote until 101s
100s BYP true
  101s task T-1 every 28800s
300s BYP false
400s BYP true
  1000s alarm bypass unacknowledged #1
1200s BYP false
  1200s alarm bypass returned #1
",
    );
}

/// Too many for longer than the delay is an alarm; a second time within the hour is a hazard.
#[test]
fn a_zone_is_overcrowded_and_again() {
    check(
        site(vec![
            of("crowd", "overcrowding", vec![("place", word("Z-1"))]),
            RuleDraft {
                hazard: Some(hazard(Confirm::Person)),
                ..rule("crowd-again", "count(active('crowd'), 1h) >= 2")
            },
        ]),
        "
1s fix a Z-1 li
2s fix b Z-1 wang
3s fix c Z-1 zhao
8s fix c out
20s fix c Z-1 zhao
  30s alarm crowd unacknowledged #1
40s fix c out
  100s alarm crowd returned #1
120s fix c Z-1 zhao
  130s alarm crowd unacknowledged #2
  130s alarm crowd-again unacknowledged #1
  130s hazard M-1 crowd-again: a candidate
140s fix c out
  200s alarm crowd returned #2
300s
",
    );
}

/// An empty post, a person who does not move, one alone, one where none may be, and a call for help.
#[test]
fn people_leave_their_post_lie_still_are_alone_intrude_and_call_for_help() {
    check(
        site(vec![
            of("post", "off_post", vec![("place", word("Z-2")), ("role", word("operator"))]),
            of("still", "still", vec![("length", length(60))]),
            of("lone", "lone", vec![("place", word("Z-1"))]),
            of("intruder", "intrusion", vec![("place", word("Z-1")), ("roles", words(&["operator"]))]),
            of("sos", "sos", vec![]),
        ]),
        "
1s fix a Z-2 li role=operator x=1
20s fix a Z-2 li role=operator x=9
40s fix a Z-1 li role=operator x=20
60s fix a Z-1 li role=operator x=21
80s fix a Z-1 li role=operator x=20
  100s alarm still unacknowledged #1
  100s alarm lone unacknowledged #1
101s fix a Z-1 li role=operator x=20
110s fix b Z-1 stranger x=70
  110s alarm lone returned #1
  110s alarm intruder unacknowledged #1
111s fix a Z-1 li role=operator x=20 sos
  111s alarm sos unacknowledged #1
115s fix b out
  115s alarm intruder returned #1
130s fix a Z-2 li role=operator x=30
  130s alarm still returned #1
  130s alarm sos returned #1
131s fix a out
  251s alarm post unacknowledged #1
300s
",
    );
}

/// One camera is weak evidence: it takes repeats, or gas beside the smoke.
#[test]
fn cameras_see_it_often_or_beside_a_second_source() {
    check(
        site(vec![
            of("helmet", "sighting", vec![("sees", word("no_helmet")), ("window", length(60))]),
            RuleDraft {
                hazard: Some(hazard(Confirm::Auto)),
                ..of("fire", "sighting", vec![("sees", word("smoke")), ("with", word("{GD-1} >= 10"))])
            },
        ]),
        "
1s saw C-1 no_helmet 0.9
10s saw C-1 no_helmet 0.4
20s saw C-1 no_helmet 0.9
30s saw C-1 no_helmet 0.7
  30s alarm helmet unacknowledged #1
  61s alarm helmet returned #1
100s saw C-1 smoke 0.8
110s GD-1 12
  110s alarm fire unacknowledged #1
  110s hazard M-1 fire: rectifying
111s GD-1 3
  111s alarm fire returned #1
  111s hazard M-1 fire: rectifying returned
200s
",
    );
}

/// Open hot work lowers the limit of gas; its guardian stays; and when a permit is over, nobody is left inside.
#[test]
fn permits_lower_limits_want_their_guardian_and_end_with_nobody_inside() {
    let kind = |work| ("work", word(work));
    check(
        site(vec![
            of("gas", "permit_gas", vec![("points", words(&["GD-1"])), ("gas", word("methane"))]),
            of("guardian", "guardian_away", vec![kind("hot_work")]),
            of(
                "inside",
                "permit_expired",
                vec![("place", word("Z-2")), kind("confined_space"), ("within", length(600))],
            ),
        ]),
        "
1s alive ptw
6s GD-1 12
10s fix g Z-1 li
11s permit DH-1 working Z-1 guardian=li
  11s alarm gas unacknowledged #1
20s GD-1 5
  20s alarm gas returned #1
30s fix g Z-2 li
  40s alarm guardian unacknowledged #1
50s fix g Z-1 li
  50s alarm guardian returned #1
51s permit DH-1 after Z-1
60s fix w Z-2 wang
700s permit SX-1 working U-1 confined_space to=800s
850s fix w Z-2 wang
  860s alarm inside unacknowledged #1
900s fix w out
  900s alarm inside returned #1
2000s
",
    );
}

/// Too little oxygen and too much are both beyond what a person may be in.
#[test]
fn oxygen_fails_on_both_sides() {
    check(
        site(vec![RuleDraft {
            hazard: Some(hazard(Confirm::Auto)),
            unit: Some(raise(60)),
            ..of("air", "oxygen", vec![("points", words(&["OX-1"]))])
        }]),
        "
1s OX-1 19.5
  1s alarm air unacknowledged #1
  1s hazard M-1 air: rectifying
  1s unit U-1 Red, air
10s OX-1 20.9
  10s alarm air returned #1
  10s hazard M-1 air: rectifying returned
  10s unit U-1 Red, air until 70s
20s OX-1 23.6
  20s alarm air unacknowledged #2
  20s hazard M-1 air: rectifying repeats 1
  20s unit U-1 Red, air
21s OX-1 bad
  31s alarm fault:OX-1 unacknowledged #1 blinds M-1
40s OX-1 21
  40s alarm fault:OX-1 returned #1 blinds M-1
  40s alarm air returned #2
  40s hazard M-1 air: rectifying repeats 1 returned
  40s unit U-1 Red, air until 100s
  100s unit U-1 Yellow
101s
",
    );
}

/// Hot work in one unit while a blind plate is set in the next one; hot work twice is no conflict.
#[test]
fn work_that_may_not_go_on_side_by_side_conflicts() {
    let given = vec![("works", words(&["hot_work", "blind_plate"])), ("near", words(&["U-2"]))];
    check(
        site(vec![of("conflict", "conflicting_work", given)]),
        "
1s alive ptw
10s permit DH-1 working U-1
11s permit DH-2 working U-2
20s permit MB-1 working U-2 blind_plate
  20s alarm conflict unacknowledged #1
30s permit DH-1 after U-1
40s permit DH-2 after U-2
  40s alarm conflict returned #1
",
    );
}

/// A gas test may be half an hour old when work begins, also after a break; a short pause wants none.
#[test]
fn work_wants_a_gas_test_that_is_recent_when_it_begins_and_not_too_old_while_it_lasts() {
    let given = vec![("point", word("QT")), ("work", word("hot_work")), ("interval", length(7200))];
    check(
        site(vec![of("test", "gas_test", given)]),
        "
1s alive ptw
1900s QT 0
2000s permit DH-1 working U-1
3000s permit DH-1 before U-1
3600s permit DH-1 working U-1
5000s permit DH-1 before U-1
7000s permit DH-1 working U-1
  7010s alarm test unacknowledged #1
7100s QT 0
  7100s alarm test returned #1
  14310s alarm test unacknowledged #2
14400s QT 0
  14400s alarm test returned #2
14500s permit DH-1 after U-1
30000s permit DH-2 working U-1
  30010s alarm test unacknowledged #3
30010s permit DH-2 after U-1
  31810s alarm test returned #3
32000s
",
    );
}

/// What a test ages while it is judged is not held against it.
#[test]
fn a_gas_test_that_was_recent_enough_when_work_began_stays_so() {
    let given = vec![("point", word("QT")), ("work", word("hot_work"))];
    check(
        site(vec![of("test", "gas_test", given)]),
        "
1s alive ptw
100s QT 0
1880s permit DH-1 working U-1
2000s permit DH-1 after U-1
10000s QT 0
11830s permit DH-2 working U-1
  11870s alarm test unacknowledged #1
11900s QT 0
  11900s alarm test returned #1
",
    );
}

/// Who calls for help outside of all zones is heard as well.
#[test]
fn a_call_for_help_is_heard_wherever_it_comes_from() {
    check(
        site(vec![of("sos", "sos", vec![]), of("dike", "sos", vec![("place", word("Z-1"))])]),
        "
1s fix a out li
10s fix a out li sos
  10s alarm sos unacknowledged #1
100s fix a Z-1 li sos
  100s alarm dike unacknowledged #1
110s fix a out li sos
  110s alarm dike returned #1
120s fix a out li
  120s alarm sos returned #1
130s fix b nowhere sos
  130s alarm sos unacknowledged #2
140s restart
140s up rtls
140s up plc
140s up nvr
",
    );
}

/// A unit that is stopped: its inspections rest and its process limits are silent by design; gas, safety functions
/// and people are not. The stop and its end are records.
#[test]
fn a_stopped_unit_mutes_its_process_limits_and_nothing_that_people_die_of() {
    let mut site = site(vec![
        RuleDraft {
            hazard: Some(hazard(Confirm::Auto)),
            task: Some(boost("T-1", 600, 60)),
            ..rule("leak", "{GD-1} >= 25")
        },
        of("trip", "sis_trip", vec![("points", words(&["XS-1"]))]),
        of("sos", "sos", vec![]),
    ]);
    site.points[0] = draft().points[0].clone();
    check(
        site,
        "
1s stop U-1
  1s stop U-1 #1
  1s task T-1 every 28800s suspended
  1s task T-2 every 28800s suspended
10s LI 96
  10s alarm LI/HH unacknowledged #1 suppressed owing
  15s alarm LI/H unacknowledged #1 suppressed owing
20s GD-1 30
  20s alarm leak unacknowledged #1
  20s hazard M-1 leak: rectifying
  20s task T-1 every 600s suspended, leak
30s XS-1 true
  30s alarm trip unacknowledged #1
40s fix a Z-1 li sos
  40s alarm sos unacknowledged #1
50s start U-1
  50s stop U-1 #1 ended
  50s alarm LI/H unacknowledged #1, unit_started
  50s hazard M-1 limit:LI: a candidate by LI/H
  50s alarm LI/HH unacknowledged #1, unit_started
  50s hazard M-1 limit:LI: rectifying by LI/HH
  50s task T-1 every 600s, leak
  50s task T-2 every 28800s
",
    );
}

/// An alarm that comes and goes chatters; that is counted, and nothing is kept back.
#[test]
fn an_alarm_that_comes_and_goes_chatters() {
    check(
        site(vec![rule("hot", "{TI} > 80"), rule("chatter", "count(active('hot'), 60s) >= 3")]),
        "
1s TI 90
  1s alarm hot unacknowledged #1
2s TI 50
  2s alarm hot returned #1
10s TI 90
  10s alarm hot unacknowledged #2
11s TI 50
  11s alarm hot returned #2
20s TI 90
  20s alarm hot unacknowledged #3
  20s alarm chatter unacknowledged #1
21s TI 50
  21s alarm hot returned #3
  61s alarm chatter returned #1
100s
",
    );
}
