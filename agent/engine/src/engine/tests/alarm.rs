//! Rules and alarms: delays, deadbands, unknown, acknowledging.

use crate::site::{check, draft, hazard, rule, ruled, secs};
use crate::{Confirm, RuleDraft};

#[test]
fn a_limit_alarms_after_its_delay_and_returns_beyond_the_deadband() {
    check(
        draft(),
        "
1s LI 85
4s LI 84.9
5s LI 86
9s LI 90
  10s alarm LI/H unacknowledged #1
  10s hazard M-1 limit:LI: a candidate by LI/H
20s LI 83.5
21s LI 82.9
  21s alarm LI/H returned #1
  21s hazard M-1 limit:LI: a candidate by LI/H returned
",
    );
}

#[test]
fn low_limits_work_the_other_way_round() {
    check(
        draft(),
        "
1s LI 10
  6s alarm LI/L unacknowledged #1
  6s hazard M-1 limit:LI: a candidate by LI/L
7s LI 11.9
8s LI 12
9s LI 12.1
  9s alarm LI/L returned #1
  9s hazard M-1 limit:LI: a candidate by LI/L returned
10s LI 4
  10s alarm LI/LL unacknowledged #1
  10s hazard M-1 limit:LI: rectifying by LI/LL repeats 1
",
    );
}

#[test]
fn an_acknowledged_alarm_returns_to_normal_by_itself_and_another_waits_for_it() {
    check(
        draft(),
        "
1s GD-1 30
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
2s ack GD-1/H
  2s alarm GD-1/H acknowledged #1
3s ack GD-1/H
  refused: it is acknowledged; this act needs it to be unacknowledged, or returned and unacknowledged
4s GD-1 0
  4s alarm GD-1/H normal #1
  4s hazard M-2 limit:GD-1: a candidate by GD-1/H returned
5s GD-1 30
  5s alarm GD-1/H unacknowledged #2
  5s hazard M-2 limit:GD-1: a candidate by GD-1/H repeats 1
6s GD-1 0
  6s alarm GD-1/H returned #2
  6s hazard M-2 limit:GD-1: a candidate by GD-1/H repeats 1 returned
7s GD-1 30
  7s alarm GD-1/H unacknowledged #3
  7s hazard M-2 limit:GD-1: a candidate by GD-1/H repeats 2
8s GD-1 0
  8s alarm GD-1/H returned #3
  8s hazard M-2 limit:GD-1: a candidate by GD-1/H repeats 2 returned
9s ack GD-1/H
  9s alarm GD-1/H normal #3
10s ack GD-1/H
  refused: it is normal; this act needs it to be unacknowledged, or returned and unacknowledged
11s ack GD-3/H
  refused: no alarm 'GD-3/H'
12s ack TI/H
  refused: no alarm 'TI/H'
",
    );
}

#[test]
fn a_pending_delay_runs_on_through_bad_quality_and_marks_what_fires() {
    check(
        ruled(vec![RuleDraft {
            for_: secs(5),
            hazard: Some(hazard(Confirm::Auto)),
            ..rule("hot", "{TI} > 80")
        }]),
        "
1s TI 90
3s TI bad
  6s alarm hot unacknowledged #1 on unknown
  6s hazard M-1 hot: a candidate
10s TI 90
11s TI 50
  11s alarm hot returned #1 on unknown
  11s hazard M-1 hot: a candidate returned
12s TI 90
  17s alarm hot unacknowledged #2
  17s hazard M-1 hot: rectifying repeats 1
20s TI 50
  20s alarm hot returned #2
  20s hazard M-1 hot: rectifying repeats 1 returned
",
    );
}

#[test]
fn bad_quality_neither_begins_an_episode_nor_ends_one() {
    check(
        draft(),
        "
1s TI bad
2s LI bad
3s LI 50
4s LI 96
  4s alarm LI/HH unacknowledged #1
  4s hazard M-1 limit:LI: rectifying by LI/HH
5s LI bad
6s LI 50
  6s alarm LI/HH returned #1
  6s hazard M-1 limit:LI: rectifying by LI/HH returned
",
    );
}

#[test]
fn unknown_stops_an_off_delay_which_begins_again_from_zero() {
    check(
        ruled(vec![RuleDraft { clear_for: secs(10), ..rule("hot", "{TI} > 80") }]),
        "
1s TI 90
  1s alarm hot unacknowledged #1
2s TI 50
8s TI bad
11s TI 50
20s
  21s alarm hot returned #1
21s
",
    );
}

#[test]
fn a_process_point_that_fails_beyond_its_limit_is_unknown() {
    check(
        draft(),
        "
1s LI 96
  1s alarm LI/HH unacknowledged #1
  1s hazard M-1 limit:LI: rectifying by LI/HH
2s LI bad
",
    );
}

#[test]
fn an_uncertain_value_is_compared() {
    check(
        draft(),
        "
1s LI 100 uncertain
  1s alarm LI/HH unacknowledged #1
  1s hazard M-1 limit:LI: rectifying by LI/HH
",
    );
}

#[test]
fn a_window_slides_without_any_sample() {
    check(
        ruled(vec![RuleDraft { clear: Some("max({TI}, 30s) < 70".to_owned()), ..rule("hot", "{TI} > 80") }]),
        "
1s TI 90
  1s alarm hot unacknowledged #1
40s TI 50
69s
  70s alarm hot returned #1
70s
",
    );
}

#[test]
fn a_step_of_the_wall_clock_neither_fires_nor_holds_a_delay() {
    check(
        draft(),
        "
1s LI 86
2s wall +86400
5s wall -172800
  6s alarm LI/H unacknowledged #1
  6s hazard M-1 limit:LI: a candidate by LI/H
6s
",
    );
}
