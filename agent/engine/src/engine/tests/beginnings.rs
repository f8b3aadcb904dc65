//! Restart and reload.

use super::{based, boosts, both, gone, hot, turned};
use crate::site::{check, check_all, draft, rule, ruled};
use crate::{Draft, PointDraft};

#[test]
fn a_restart_keeps_alarms_hazards_boosts_and_raises_and_doubles_nothing() {
    check(
        both(),
        "
1s TI 90
  1s alarm hot unacknowledged #1
  1s hazard M-1 hot: rectifying
  1s task T-1 every 3600s, hot
  1s unit U-1 Red, hot
2s ack hot
  2s alarm hot acknowledged #1
3s restart
3s up plc
4s TI 90
5s TI bad
6s TI 50
  6s alarm hot normal #1
  6s hazard M-1 hot: rectifying returned
  6s task T-1 every 3600s, hot until 66s
  6s unit U-1 Red, hot until 16s
7s TI 90
  7s alarm hot unacknowledged #2
  7s hazard M-1 hot: rectifying repeats 1
  7s task T-1 every 3600s, hot
  7s unit U-1 Red, hot
10s TI 50
  10s alarm hot returned #2
  10s hazard M-1 hot: rectifying repeats 1 returned
  10s task T-1 every 3600s, hot until 70s
  10s unit U-1 Red, hot until 20s
11s restart
11s up plc
12s TI 50
  20s unit U-1 Yellow
  21s alarm fault:source:rtls unacknowledged #1
30s
  70s task T-1 every 28800s
  71s alarm fault:source:nvr unacknowledged #1
80s
",
    );
}

#[test]
fn a_restart_begins_a_pending_delay_again() {
    check(
        draft(),
        "
1s LI 86
5s restart
5s up plc
5s LI 86
9s
  10s alarm LI/H unacknowledged #1
  10s hazard M-1 limit:LI: a candidate by LI/H
10s
",
    );
}

#[test]
fn silence_after_a_restart_clears_nothing() {
    check(
        draft(),
        "
1s GD-1 60
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
  1s alarm GD-1/HH unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/HH
2s restart
  12s alarm fault:source:plc unacknowledged #1 blinds M-1 M-2
  12s alarm fault:source:rtls unacknowledged #1
  62s alarm fault:source:nvr unacknowledged #1
200s up plc
210s GD-2 0
  210s alarm fault:source:plc returned #1 blinds M-1 M-2
  220s alarm fault:GD-1 unacknowledged #1 blinds M-2
  220s hazard M-2 fault:GD-1: a candidate
230s GD-1 0
  230s alarm fault:GD-1 returned #1 blinds M-2
  230s hazard M-2 fault:GD-1: a candidate returned
  230s alarm GD-1/H returned #1
  230s alarm GD-1/HH returned #1
  230s hazard M-2 limit:GD-1: a candidate by GD-1/HH returned
",
    );
}

#[test]
fn a_fault_that_was_active_before_a_restart_returns_when_seen_good() {
    check(
        draft(),
        "
1s GD-1 bad
  11s alarm fault:GD-1 unacknowledged #1 blinds M-2
  11s hazard M-2 fault:GD-1: a candidate
12s restart
12s up plc
13s GD-2 0
14s LI 50
15s GD-1 0
  15s alarm fault:GD-1 returned #1 blinds M-2
  15s hazard M-2 fault:GD-1: a candidate returned
",
    );
}

#[test]
fn episodes_and_openings_count_on_over_a_restart() {
    check(
        draft(),
        "
1s GD-1 30
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
2s reject limit:GD-1 steam
  2s hazard M-2 limit:GD-1: rejected by GD-1/H
3s GD-1 0
  3s alarm GD-1/H returned #1
4s ack GD-1/H
  4s alarm GD-1/H normal #1
5s restart
5s up plc
6s GD-1 30
  6s alarm GD-1/H unacknowledged #2
  6s hazard M-2 limit:GD-1: a candidate by GD-1/H opening 2
",
    );
}

#[test]
fn a_changed_text_keeps_the_active_alarm_until_the_new_clear_holds() {
    check_all(
        vec![hot("{TI} > 80", 0), hot("{TI} > 60", 0)],
        "
1s TI 90
  1s alarm hot unacknowledged #1
2s reload 1
3s TI 70
4s TI 60
  4s alarm hot returned #1
5s TI 70
  5s alarm hot unacknowledged #2
6s reload 0
  6s alarm hot returned #2
",
    );
}

#[test]
fn a_changed_text_resets_what_is_pending_and_an_unchanged_one_goes_on() {
    check_all(
        vec![hot("{TI} > 80", 5), hot("{TI} > 81", 5), hot("{TI} > 80", 5)],
        "
1s TI 90
4s reload 1
6s
  9s alarm hot unacknowledged #1
9s
10s TI 50
  10s alarm hot returned #1
11s TI 90
12s reload 1
  16s alarm hot unacknowledged #2
16s
",
    );
}

#[test]
fn a_removed_rule_ends_its_alarm_and_its_hazard_stays_open() {
    check_all(
        vec![both(), ruled(Vec::new())],
        "
1s TI 90
  1s alarm hot unacknowledged #1
  1s hazard M-1 hot: rectifying
  1s task T-1 every 3600s, hot
  1s unit U-1 Red, hot
2s reload 1
  2s alarm hot normal #1
  2s task T-1 every 3600s, hot until 62s
  2s unit U-1 Red, hot until 12s
  12s unit U-1 Yellow
  62s task T-1 every 28800s
100s
",
    );
}

#[test]
fn a_new_rule_is_judged_by_what_is_known_at_once() {
    check_all(
        vec![ruled(Vec::new()), hot("{TI} > 80", 0)],
        "
1s TI 90
2s reload 1
  2s alarm hot unacknowledged #1
",
    );
}

#[test]
fn points_and_faults_keep_their_state_under_new_numbers() {
    check_all(
        vec![draft(), turned()],
        "
1s GD-1 bad
2s fix t1 Z-1
5s reload 1
  11s alarm fault:GD-1 unacknowledged #1 blinds M-2
  11s hazard M-2 fault:GD-1: a candidate
11s
12s GD-1 0
  12s alarm fault:GD-1 returned #1 blinds M-2
  12s hazard M-2 fault:GD-1: a candidate returned
13s LI 96
  13s alarm LI/HH unacknowledged #1
  13s hazard M-1 limit:LI: rectifying by LI/HH
",
    );
}

#[test]
fn alarms_of_points_and_sources_that_are_gone_are_over() {
    check_all(
        vec![draft(), gone()],
        "
1s GD-1 bad
1s down nvr
2s LI 96
  2s alarm LI/HH unacknowledged #1
  2s hazard M-1 limit:LI: rectifying by LI/HH
  7s alarm LI/H unacknowledged #1
  11s alarm fault:GD-1 unacknowledged #1 blinds M-2
  11s hazard M-2 fault:GD-1: a candidate
  61s alarm fault:source:nvr unacknowledged #1
70s reload 1
  70s alarm LI/HH normal #1
  70s alarm fault:GD-1 normal #1 blinds M-2
  70s alarm fault:source:nvr normal #1
",
    );
}

#[test]
fn a_boost_keeps_its_end_with_the_shorter_of_its_cycle_and_the_new_base() {
    check_all(
        vec![boosts(), based()],
        "
1s TI 70
  1s alarm warm unacknowledged #1
  1s task T-1 every 3600s, warm
2s TI 50
  2s alarm warm returned #1
  2s task T-1 every 3600s, warm until 62s
3s reload 1
  3s task T-1 every 1800s, warm until 62s
40s
  62s task T-1 every 1800s
80s
",
    );
}

#[test]
fn the_hazards_of_a_lost_source_return_after_a_restart_when_it_is_found() {
    check(
        draft(),
        "
1s down plc
  11s alarm fault:source:plc unacknowledged #1 blinds M-1 M-2
  3601s hazard M-1 fault:plc: a candidate by fault:source:plc
  3601s hazard M-2 fault:plc: a candidate by fault:source:plc
3700s restart
3701s up plc
3702s GD-1 0
  3702s alarm fault:source:plc returned #1 blinds M-1 M-2
  3702s hazard M-1 fault:plc: a candidate by fault:source:plc returned
  3702s hazard M-2 fault:plc: a candidate by fault:source:plc returned
",
    );
}

#[test]
fn an_alarm_about_people_outlasts_a_restart_until_everyone_had_time_to_be_seen() {
    check(
        ruled(vec![rule("crowd", "people('Z-1') > 1")]),
        "
1s fix t1 Z-1
2s fix t2 Z-1
  2s alarm crowd unacknowledged #1
3s restart
3s up plc
3s TI 50
3s up nvr
4s up rtls
5s fix t1 Z-1
20s fix t2 Z-1
40s fix t2 out
  40s alarm crowd returned #1
",
    );
}

#[test]
fn an_alarm_about_people_who_are_not_seen_again_after_a_restart_returns() {
    check(
        ruled(vec![rule("crowd", "people('Z-1') > 1"), rule("smoke", "seen('U-1', 'smoke')")]),
        "
1s fix t1 Z-1
2s fix t2 Z-1
  2s alarm crowd unacknowledged #1
2s saw C-1 smoke 0.9
  2s alarm smoke unacknowledged #1
3s restart
3s up plc
4s up rtls
4s up nvr
4s TI 50
  34s alarm crowd returned #1
  34s alarm smoke returned #1
40s
",
    );
}

/// What waited for people to be seen waits for nobody once its rule reads none.
#[test]
fn an_alarm_about_people_from_before_a_restart_whose_rule_reads_a_point_now_returns_with_it() {
    check_all(
        vec![ruled(vec![rule("crowd", "people('Z-1') > 1")]), ruled(vec![rule("crowd", "{TI} > 80")])],
        "
1s fix t1 Z-1
2s fix t2 Z-1
  2s alarm crowd unacknowledged #1
3s restart
4s reload 1
5s TI 90
6s TI 70
  6s alarm crowd returned #1
",
    );
}

#[test]
fn the_alarm_of_a_rule_that_is_gone_cannot_be_silenced() {
    check_all(
        vec![ruled(vec![rule("hot", "{TI} > 80")]), ruled(Vec::new())],
        "
1s TI 90
  1s alarm hot unacknowledged #1
2s reload 1
  2s alarm hot normal #1
3s shelve hot 60s
  refused: no alarm 'hot'
4s out hot
  refused: no alarm 'hot'
",
    );
}

/// TI is read through a window, and stands at another place than before.
fn windowed(when: &str, points: impl FnOnce(&mut Vec<PointDraft>)) -> Draft {
    let mut draft = ruled(vec![rule("hot", when)]);
    points(&mut draft.points);
    draft
}

#[test]
fn a_window_that_is_carried_over_a_reload_goes_on_with_its_own_point() {
    // The second is more than a list of steps.
    for when in ["max({TI}, 60s) > 80", "max({TI}, 60s) > 80 or people('Z-1') > 9"] {
        check_all(
            vec![windowed(when, |_| {}), windowed(when, |points| points.reverse())],
            "
1s reload 1
2s LI 90
3s TI 51
4s LI 50
5s TI 90
  5s alarm hot unacknowledged #1
6s TI 50
7s reload 0
8s LI 10
  66s alarm hot returned #1
70s TI 90
  70s alarm hot unacknowledged #2
",
        );
    }
}

#[test]
fn a_window_is_not_lost_when_the_rows_above_its_point_go() {
    const WHEN: &str = "max({TI}, 60s) > 80";
    check_all(
        vec![windowed(WHEN, |_| {}), windowed(WHEN, |points| drop(points.drain(..3)))],
        "
1s reload 1
2s TI 90
  2s alarm hot unacknowledged #1
",
    );
}

#[test]
fn a_changed_deadband_reaches_a_return_that_is_held() {
    let wide = || {
        let mut draft = ruled(vec![rule("hot", "held({TI} > 80, 10s)")]);
        draft.points[3].deadband = 5.0;
        draft
    };
    check_all(
        vec![ruled(vec![rule("hot", "held({TI} > 80, 10s)")]), wide()],
        "
1s TI 90
  11s alarm hot unacknowledged #1
12s reload 1
20s TI 78
30s TI 70
  30s alarm hot returned #1
",
    );
}
