//! When hazards begin, how long they may last, and which of them are one matter.

use crate::site::{check, draft, hazard, rule, ruled, secs};
use crate::*;

fn raising(raising: Raising) -> Draft {
    let hazard = HazardDraft { raising, ..hazard(Confirm::Auto) };
    ruled(vec![RuleDraft { hazard: Some(hazard), ..rule("hot", "{TI} > 80") }])
}

#[test]
fn a_hazard_may_wait_until_its_alarm_has_lasted() {
    check(
        raising(Raising::After(secs(60))),
        "
1s TI 90
  1s alarm hot unacknowledged #1
31s TI 50
  31s alarm hot returned #1
40s TI 90
  40s alarm hot unacknowledged #2
50s restart
  60s alarm fault:source:plc unacknowledged #1 blinds M-1
  60s alarm fault:source:rtls unacknowledged #1
99s TI 90
  99s alarm fault:source:plc returned #1 blinds M-1
  110s alarm fault:source:nvr unacknowledged #1
  110s hazard M-1 hot: rectifying
120s
130s restart
  140s alarm fault:source:plc unacknowledged #2 blinds M-1
200s TI 90
  200s alarm fault:source:plc returned #2 blinds M-1
210s TI 50
  210s alarm hot returned #2
  210s hazard M-1 hot: rectifying returned
",
    );
}

#[test]
fn a_hazard_may_wait_for_repeats_and_counts_each_while_it_is_open() {
    check(
        raising(Raising::Repeats { times: 3, within: secs(60) }),
        "
1s TI 90
  1s alarm hot unacknowledged #1
2s TI 50
  2s alarm hot returned #1
70s TI 90
  70s alarm hot unacknowledged #2
71s TI 50
  71s alarm hot returned #2
80s TI 90
  80s alarm hot unacknowledged #3
81s TI 50
  81s alarm hot returned #3
90s TI 90
  90s alarm hot unacknowledged #4
  90s hazard M-1 hot: rectifying
91s TI 50
  91s alarm hot returned #4
  91s hazard M-1 hot: rectifying returned
500s TI 90
  500s alarm hot unacknowledged #5
  500s hazard M-1 hot: rectifying repeats 1
",
    );
}

#[test]
fn the_time_for_rectification_runs_from_the_confirmation_and_its_end_is_told() {
    check(
        draft(),
        "
1s GD-1 30
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
1000s confirm limit:GD-1
  1000s hazard M-2 limit:GD-1: rectifying by GD-1/H
87399s
  87400s hazard M-2 limit:GD-1: rectifying by GD-1/H overdue since 87400s
87401s
87402s restart
  87412s alarm fault:source:plc unacknowledged #1 blinds M-1 M-2
  87412s alarm fault:source:rtls unacknowledged #1
  87462s alarm fault:source:nvr unacknowledged #1
90000s rectify limit:GD-1
  90000s hazard M-2 limit:GD-1: awaiting acceptance by GD-1/H overdue since 87400s
",
    );
}

#[test]
fn what_was_rectified_in_time_is_not_overdue_however_long_its_acceptance_takes() {
    check(
        draft(),
        "
1s LI 99
  1s alarm LI/HH unacknowledged #1
  1s hazard M-1 limit:LI: rectifying by LI/HH
  6s alarm LI/H unacknowledged #1
10s rectify limit:LI
  10s hazard M-1 limit:LI: awaiting acceptance by LI/HH
99000s accept limit:LI
  99000s hazard M-1 limit:LI: accepted by LI/HH
",
    );
}

#[test]
fn a_deadline_waits_while_the_clock_is_in_doubt() {
    check(
        draft(),
        "
1s LI 99
  1s alarm LI/HH unacknowledged #1
  1s hazard M-1 limit:LI: rectifying by LI/HH
  6s alarm LI/H unacknowledged #1
100s wall 86400
100s LI 99
159s
  160s hazard M-1 limit:LI: rectifying by LI/HH overdue since 86401s
161s
",
    );
}

#[test]
fn a_return_soon_after_the_acceptance_is_a_recurrence() {
    check(
        draft(),
        "
1s GD-1 30
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
2s confirm limit:GD-1
  2s hazard M-2 limit:GD-1: rectifying by GD-1/H
3s rectify limit:GD-1
  3s hazard M-2 limit:GD-1: awaiting acceptance by GD-1/H
4s GD-1 0
  4s alarm GD-1/H returned #1
  4s hazard M-2 limit:GD-1: awaiting acceptance by GD-1/H returned
5s accept limit:GD-1
  5s hazard M-2 limit:GD-1: accepted by GD-1/H returned
86404s GD-1 30
  86404s alarm GD-1/H unacknowledged #2
  86404s hazard M-2 limit:GD-1: a candidate by GD-1/H opening 2 recurrence 1
86405s reject limit:GD-1 calibration
  86405s hazard M-2 limit:GD-1: rejected by GD-1/H opening 2 recurrence 1
86406s GD-1 0
  86406s alarm GD-1/H returned #2
86407s GD-1 30
  86407s alarm GD-1/H unacknowledged #3
  86407s hazard M-2 limit:GD-1: a candidate by GD-1/H opening 3
",
    );
}

#[test]
fn one_act_settles_all_that_one_lost_source_raised() {
    check(
        Draft { patience: Patience { source_hazard: secs(100), ..Patience::default() }, ..draft() },
        "
1s down plc
  11s alarm fault:source:plc unacknowledged #1 blinds M-1 M-2
  101s hazard M-1 fault:plc: a candidate by fault:source:plc
  101s hazard M-2 fault:plc: a candidate by fault:source:plc
102s
103s reject fault:plc works
  103s hazard M-1 fault:plc: rejected by fault:source:plc
  103s hazard M-2 fault:plc: rejected by fault:source:plc
",
    );
}

#[test]
fn history_gives_one_late_candidate_of_a_cause_and_no_alarm() {
    check(
        draft(),
        "
50s LI 90 backfill told=10s
  50s hazard M-1 limit:LI: a candidate by LI/H returned late
51s LI 99 backfill told=11s
52s GD-1 60 backfill
  52s hazard M-2 limit:GD-1: a candidate by GD-1/HH returned late
60s reject limit:LI known
  60s hazard M-1 limit:LI: rejected by LI/H returned late
61s LI 99 backfill told=12s
80s LI 99 backfill told=70s
  80s hazard M-1 limit:LI: a candidate by LI/HH opening 2 returned late
81s reject limit:GD-1 known
  81s hazard M-2 limit:GD-1: rejected by GD-1/HH returned late
82s GD-1 60 backfill
90s LI 99
  90s alarm LI/HH unacknowledged #1
  90s hazard M-1 limit:LI: rectifying by LI/HH opening 2 repeats 1 late
  95s alarm LI/H unacknowledged #1
96s
",
    );
}

#[test]
fn a_bound_point_that_is_lost_is_the_measures_loss() {
    let mut draft = draft();
    draft.measures[1].bound.points.push("TI".to_owned());
    check(
        draft,
        "
1s TI bad
  61s alarm fault:TI unacknowledged #1 blinds M-2
  61s hazard M-2 fault:TI: a candidate
70s restart
71s TI 50
  71s alarm fault:TI returned #1 blinds M-2
  71s hazard M-2 fault:TI: a candidate returned
",
    );
}

#[test]
fn a_fix_of_coordinates_counts_in_each_zone_around_it() {
    let mut draft = ruled(vec![rule("both", "people('Z-1') > 0 and people('Z-2') > 0")]);
    draft.zones[0].polygon = vec![(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)];
    draft.zones[1].polygon = vec![(5.0, 0.0), (20.0, 0.0), (20.0, 10.0), (5.0, 10.0)];
    check(
        draft,
        "
1s spot T1 4 5
2s spot T1 5 5
  2s alarm both unacknowledged #1
3s spot T1 11 5
  3s alarm both returned #1
",
    );
}

#[test]
fn what_falls_due_while_its_alarm_is_out_of_service_is_raised_when_it_is_put_back() {
    check(
        raising(Raising::After(secs(60))),
        "
1s TI 90
  1s alarm hot unacknowledged #1
31s out hot
  31s alarm hot unacknowledged #1 out of service
  61s alarm hot unacknowledged #1 out of service owing
62s
70s in hot
  70s alarm hot unacknowledged #1, put_back
  70s hazard M-1 hot: rectifying
80s TI 50
  80s alarm hot returned #1
  80s hazard M-1 hot: rectifying returned
90s out hot
  90s alarm hot returned #1 out of service
100s TI 90
  100s alarm hot unacknowledged #2 out of service owing
120s in hot
  120s alarm hot unacknowledged #2, put_back
159s
  160s hazard M-1 hot: rectifying repeats 1
161s
",
    );
}

#[test]
fn an_episode_counts_as_a_repeat_once_nothing_withholds_it() {
    check(
        raising(Raising::Repeats { times: 2, within: secs(60) }),
        "
1s out hot
  1s alarm hot normal #0 out of service
2s TI 90
  2s alarm hot unacknowledged #1 out of service owing
3s TI 50
  3s alarm hot normal #1 out of service
4s TI 90
  4s alarm hot unacknowledged #2 out of service owing
5s TI 50
  5s alarm hot normal #2 out of service
6s in hot
  6s alarm hot normal #2, put_back
7s TI 90
  7s alarm hot unacknowledged #3
8s TI 50
  8s alarm hot returned #3
9s out hot
  9s alarm hot returned #3 out of service
10s TI 90
  10s alarm hot unacknowledged #4 out of service owing
11s in hot
  11s alarm hot unacknowledged #4, put_back
  11s hazard M-1 hot: rectifying
",
    );
}

/// However short its patience: that it returned is told, and a restart does not count it twice.
#[test]
fn the_hazards_of_a_lost_source_are_not_before_its_alarm() {
    let impatient =
        || Draft { patience: Patience { source_hazard: secs(5), ..Patience::default() }, ..draft() };
    check(
        impatient(),
        "
1s down plc
8s up plc
9s LI 50
10s down plc
17s restart
  27s alarm fault:source:plc unacknowledged #1 blinds M-1 M-2
  27s alarm fault:source:rtls unacknowledged #1
  27s hazard M-1 fault:plc: a candidate by fault:source:plc
  27s hazard M-2 fault:plc: a candidate by fault:source:plc
28s restart
60s
",
    );
}

#[test]
fn history_of_a_time_out_of_service_raises_nothing() {
    check(
        draft(),
        "
10s out LI/HH
  10s alarm LI/HH normal #0 out of service
11s out LI/H
  11s alarm LI/H normal #0 out of service
12s LI 99 backfill told=11s
13s LI 99 backfill told=5s
  13s hazard M-1 limit:LI: a candidate by LI/HH returned late
",
    );
}
