//! Loss of sight: bad and stale points, late samples, lost sources.

use riskgate_point::SourceId;

use super::{ruled_gas, silent, stale};
use crate::site::{check, check_all, draft, plant, point, rule, ruled, secs, source};
use crate::{Class, Draft, Limits, PointDraft, RuleDraft};

#[test]
fn a_gas_detector_that_fails_beyond_its_limit_counts_as_still_beyond_it() {
    check(
        ruled_gas(),
        "
1s GD-1 30
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
2s GD-1 bad
3s GD-2 60
  3s alarm GD-2/H unacknowledged #1
  3s hazard M-2 limit:GD-2: a candidate by GD-2/H
  3s alarm GD-2/HH unacknowledged #1
  3s hazard M-2 limit:GD-2: a candidate by GD-2/HH
  3s alarm leak unacknowledged #1
4s GD-2 bad
  12s alarm fault:GD-1 unacknowledged #1 blinds M-1 M-2
  12s hazard M-2 fault:GD-1: a candidate
13s GD-1 0
  13s alarm fault:GD-1 returned #1 blinds M-1 M-2
  13s hazard M-2 fault:GD-1: a candidate returned
  13s alarm GD-1/H returned #1
  13s hazard M-2 limit:GD-1: a candidate by GD-1/H returned
  13s alarm leak returned #1
",
    );
}

#[test]
fn history_and_samples_older_than_the_last_are_not_judged() {
    check(
        draft(),
        "
1s LI 96 backfill
  1s hazard M-1 limit:LI: a candidate by LI/HH returned late
2s LI 50 told=2s
3s LI 96 told=1s
4s LI 96 told=4s
  4s alarm LI/HH unacknowledged #1
  4s hazard M-1 limit:LI: rectifying by LI/HH repeats 1 late
",
    );
}

#[test]
fn a_point_that_is_not_refreshed_goes_stale_and_blinds_its_measure() {
    check(
        stale(5),
        "
1s LI 50
4s LI 50
30s LI 51
  95s alarm fault:LI unacknowledged #1 blinds M-1
  95s hazard M-1 fault:LI: a candidate
200s
201s LI 50
  201s alarm fault:LI returned #1 blinds M-1
  201s hazard M-1 fault:LI: a candidate returned
",
    );
}

#[test]
fn a_keep_alive_refreshes_points_whose_last_status_was_good() {
    check(
        stale(5),
        "
5s alive plc
9s alive plc
13s LI bad
14s alive plc
  73s alarm fault:LI unacknowledged #1 blinds M-1
  73s hazard M-1 fault:LI: a candidate
80s
",
    );
}

#[test]
fn what_silence_made_stale_reads_again_after_a_keep_alive() {
    check(
        stale(5),
        "
1s LI 96
  1s alarm LI/HH unacknowledged #1
  1s hazard M-1 limit:LI: rectifying by LI/HH
  6s alarm LI/H unacknowledged #1 on unknown
  66s alarm fault:LI unacknowledged #1 blinds M-1
  66s hazard M-1 fault:LI: a candidate
90s alive plc
  90s alarm fault:LI returned #1 blinds M-1
  90s hazard M-1 fault:LI: a candidate returned
91s LI 50
  91s alarm LI/H returned #1 on unknown
  91s alarm LI/HH returned #1
  91s hazard M-1 limit:LI: rectifying by LI/HH returned
",
    );
}

#[test]
fn a_stale_point_believes_a_source_whose_clock_was_set_back() {
    check(
        stale(5),
        "
1s LI 50 told=1000s
2s LI 96 told=10s
5s LI 96 told=13s
6s LI 96 told=14s
  6s alarm LI/HH unacknowledged #1
  6s hazard M-1 limit:LI: rectifying by LI/HH
7s alive plc
",
    );
}

#[test]
fn a_bad_point_alarms_after_its_wait_and_raises_a_candidate_of_its_measure() {
    check(
        draft(),
        "
1s GD-1 bad
5s GD-2 bad
6s GD-2 0
  11s alarm fault:GD-1 unacknowledged #1 blinds M-2
  11s hazard M-2 fault:GD-1: a candidate
11s
20s GD-1 0
  20s alarm fault:GD-1 returned #1 blinds M-2
  20s hazard M-2 fault:GD-1: a candidate returned
21s GD-1 bad
  31s alarm fault:GD-1 unacknowledged #2 blinds M-2
  31s hazard M-2 fault:GD-1: a candidate repeats 1
40s GD-1 0
  40s alarm fault:GD-1 returned #2 blinds M-2
  40s hazard M-2 fault:GD-1: a candidate repeats 1 returned
41s LI bad
  101s alarm fault:LI unacknowledged #1 blinds M-1
  101s hazard M-1 fault:LI: a candidate
101s
",
    );
}

#[test]
fn a_point_that_nothing_judges_alarms_nobody() {
    check(
        draft(),
        "
1s TI bad
1000s
",
    );
}

#[test]
fn a_lost_source_is_one_alarm_and_after_an_hour_a_candidate_for_each_measure() {
    check(
        draft(),
        "
1s down plc
1s LI bad
1s GD-1 bad
1s GD-2 bad
  11s alarm fault:source:plc unacknowledged #1 blinds M-1 M-2
100s up plc
101s down plc
  3601s hazard M-1 fault:plc: a candidate by fault:source:plc
  3601s hazard M-2 fault:plc: a candidate by fault:source:plc
4000s up plc
4001s GD-1 0
  4001s alarm fault:source:plc returned #1 blinds M-1 M-2
  4001s hazard M-1 fault:plc: a candidate by fault:source:plc returned
  4001s hazard M-2 fault:plc: a candidate by fault:source:plc returned
  4011s alarm fault:GD-2 unacknowledged #1 blinds M-2
  4011s hazard M-2 fault:GD-2: a candidate
4020s GD-2 0
  4020s alarm fault:GD-2 returned #1 blinds M-2
  4020s hazard M-2 fault:GD-2: a candidate returned
4021s LI 50
",
    );
}

#[test]
fn a_source_that_flaps_is_still_lost_until_something_good_is_heard() {
    check(
        draft(),
        "
1s down plc
1s GD-1 bad
6s up plc
7s down plc
  11s alarm fault:source:plc unacknowledged #1 blinds M-1 M-2
12s up plc
13s GD-1 0
  13s alarm fault:source:plc returned #1 blinds M-1 M-2
30s
",
    );
}

#[test]
fn a_good_sample_on_its_way_while_the_link_is_down_finds_nothing() {
    check(
        draft(),
        "
1s down plc
2s GD-1 0
  11s alarm fault:source:plc unacknowledged #1 blinds M-1 M-2
20s
",
    );
}

#[test]
fn a_source_that_was_never_there_is_told_once() {
    check(
        draft(),
        "
0s cold
  10s alarm fault:source:plc unacknowledged #1 blinds M-1 M-2
  10s alarm fault:source:rtls unacknowledged #1
  60s alarm fault:source:nvr unacknowledged #1
100s
",
    );
}

#[test]
fn a_keep_alive_does_not_refresh_a_point_whose_samples_are_refused_as_old() {
    check(
        stale(5),
        "
1s LI 50 told=1000s
2s LI 96 told=10s
4s alive plc
7s LI 96 told=15s
  7s alarm LI/HH unacknowledged #1
  7s hazard M-1 limit:LI: rectifying by LI/HH
",
    );
}

#[test]
fn a_delay_of_a_gas_detector_that_fails_beyond_its_limit_runs_out_without_doubt() {
    let mut delayed = draft();
    delayed.points[1].watch.delay = secs(5);
    check(
        delayed,
        "
1s GD-1 30
2s GD-1 bad
  6s alarm GD-1/H unacknowledged #1
  6s hazard M-2 limit:GD-1: a candidate by GD-1/H
7s
",
    );
}

#[test]
fn a_rule_on_the_age_of_a_reading_turns_when_the_same_value_comes_again() {
    check(
        ruled(vec![rule("old", "age({TI}) > 30s")]),
        "
1s TI 51
  31s alarm old unacknowledged #1
40s TI 51
  40s alarm old returned #1
",
    );
}

/// Gas tests by hand: nobody knows when the next one comes, and a rule judges that by its age.
#[test]
fn a_reading_of_which_only_the_age_is_asked_is_seen_by_the_link_of_its_source() {
    let mut draft = ruled(vec![rule("untested", "{TI} > 80 and age({QT}) > 1d")]);
    draft.sources.push(source("lab", false, false));
    let lab = SourceId(3);
    draft.points.push(PointDraft { source: lab, stale_after: secs(3600), ..point("QT", Class::Gas) });
    let built = plant(draft.clone());
    let sight = built.sight(built.measure("M-1").unwrap());
    assert_eq!(sight.points, [built.point_id("TI").unwrap()].into());
    assert_eq!(sight.sources, [lab].into());
    check(
        draft,
        "
0s cold
0s up plc
0s up rtls
0s up nvr
0s up lab
1s TI 50
4000s QT 0
8000s alive plc
9000s down lab
  9010s alarm fault:source:lab unacknowledged #1 blinds M-1
9020s up lab
  9020s alarm fault:source:lab returned #1 blinds M-1
9100s TI 50
",
    );
}

#[test]
fn the_hazards_of_a_lost_source_are_not_counted_again_by_a_restart_or_a_reload() {
    for again in ["restart", "reload 1"] {
        // After a restart the other two sources are not there either.
        let lost = if again == "restart" {
            "
  3710s alarm fault:source:rtls unacknowledged #1
  3760s alarm fault:source:nvr unacknowledged #1"
        } else {
            ""
        };
        let timeline = format!(
            "
1s down plc
  11s alarm fault:source:plc unacknowledged #1 blinds M-1 M-2
  3601s hazard M-1 fault:plc: a candidate by fault:source:plc
  3601s hazard M-2 fault:plc: a candidate by fault:source:plc
3602s reject fault:plc steam
  3602s hazard M-1 fault:plc: rejected by fault:source:plc
  3602s hazard M-2 fault:plc: rejected by fault:source:plc
3700s {again}{lost}
9000s
"
        );
        check_all(vec![draft(), draft()], &timeline);
    }
}

#[test]
fn a_gas_detector_that_fails_beyond_one_limit_does_not_clear_a_rule_above_it() {
    let above = RuleDraft { clear_for: secs(5), ..rule("above", "{GD-1} >= 50") };
    let mut draft = Draft { rules: vec![above], ..draft() };
    draft.points[1].watch.limits = Limits { h: Some(25.0), ..Limits::default() };
    draft.points[1].watch.measure = None;
    check(
        draft,
        "
1s GD-1 60
  1s alarm GD-1/H unacknowledged #1
  1s alarm above unacknowledged #1
2s GD-1 30
3s GD-1 bad
  13s alarm fault:GD-1 unacknowledged #1 blinds M-1
20s GD-1 30
  20s alarm fault:GD-1 returned #1 blinds M-1
  25s alarm above returned #1
30s
",
    );
}

#[test]
fn readings_do_not_speak_for_a_silent_feed_of_fixes_nor_it_for_them() {
    let mut draft = silent();
    draft.points[3].source = SourceId(1);
    draft.rules.push(rule("hot", "{TI} > 80"));
    check(
        draft,
        "
1s fix t1 Z-1
  1s alarm crowd unacknowledged #1
20s TI 51
35s TI 52
  41s alarm fault:source:rtls unacknowledged #1 blinds M-1
42s TI bad
  102s alarm fault:TI unacknowledged #1 blinds M-1
110s fix t1 out
  110s alarm fault:source:rtls returned #1 blinds M-1
  110s alarm crowd returned #1
120s TI 50
  120s alarm fault:TI returned #1 blinds M-1
",
    );
}

#[test]
fn a_lost_feed_of_sightings_is_a_fault_of_its_source_and_keeps_what_was_seen() {
    check(
        ruled(vec![rule("smoke", "seen('U-1', 'smoke', window = 90s)"), rule("crowd", "people('Z-1') > 0")]),
        "
1s saw C-1 smoke 0.9
  1s alarm smoke unacknowledged #1
2s down nvr
3s down rtls
  13s alarm fault:source:rtls unacknowledged #1 blinds M-1
  62s alarm fault:source:nvr unacknowledged #1 blinds M-1
1000s
",
    );
}

#[test]
fn a_point_that_stays_bad_believes_a_source_whose_clock_was_set_back() {
    check(
        stale(5),
        "
1s LI 50 told=1000s
2s LI bad
3s LI 96 told=10s
4s LI bad
6s LI 96 told=13s
  6s alarm LI/HH unacknowledged #1
  6s hazard M-1 limit:LI: rectifying by LI/HH
7s alive plc
",
    );
}

#[test]
fn a_window_or_a_held_that_is_not_covered_is_no_fault() {
    let rules = vec![rule("mean", "avg({GD-1}, 1h) > 20"), rule("long", "held({GD-2} < 20, 1h)")];
    check(
        ruled(rules),
        "
1s GD-1 1
1s GD-2 21
2s GD-2 20
3000s
",
    );
}

#[test]
fn the_word_that_brings_a_feed_back_is_known_when_its_feed_is() {
    // Nobody was ever missing: the first that is told of the feed is that somebody is there.
    check(
        ruled(vec![rule("off-post", "present('Z-1') < 1")]),
        "
0s cold
1s fix t1 Z-1 li
2s
",
    );
}

#[test]
fn points_that_grow_stale_in_one_instant_do_so_in_one_step() {
    let mut draft = ruled(vec![rule("apart", "stale({GD-1}) and not stale({GD-2})")]);
    draft.points.iter_mut().for_each(|point| point.stale_after = secs(20));
    check(
        draft, "
21s
",
    );
}

#[test]
fn from_a_sample_that_is_refused_as_old_on_keep_alives_keep_nothing_fresh() {
    let draft = Draft { rules: vec![rule("silent", "stale({TI})")], ..stale(5) };
    check(
        draft,
        "
1s TI 50 told=1000s
1s LI 50
4s alive plc
7s TI 50 told=900s
  7s alarm silent unacknowledged #1
8s
",
    );
}

#[test]
fn nobody_waits_for_a_point_that_a_reload_leaves_unwatched() {
    check_all(
        vec![ruled(vec![rule("hot", "{TI} > 80")]), ruled(vec![rule("full", "{LI} > 80")])],
        "
1s TI bad
2s reload 1
90s
",
    );
}
