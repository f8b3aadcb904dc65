//! Timelines: what goes in and, under it, what comes out.

use crate::site::{check, check_all, draft, hazard, rule, ruled, secs};
use crate::*;

/// Points go stale after this long.
fn stale(after: u64) -> Draft {
    let mut draft = draft();
    draft
        .points
        .iter_mut()
        .filter(|point| point.class == Class::Process)
        .for_each(|point| point.stale_after = secs(after));
    draft
}

/// The gas limits, and a rule that wants both detectors.
fn ruled_gas() -> Draft {
    Draft { rules: vec![rule("leak", "at_least(2, {GD-1} >= 25, {GD-2} >= 25)")], ..draft() }
}

/// Fixes count as down after 30 s of silence.
fn silent() -> Draft {
    let mut draft = ruled(vec![rule("crowd", "people('Z-1') > 0")]);
    draft
        .sources
        .iter_mut()
        .filter(|source| source.fixes)
        .for_each(|source| source.stale_after = Some(secs(30)));
    draft
}

fn cycle(secs_: u64, hold: u64) -> Option<TaskEffectDraft> {
    let change = TaskChange::Cycle { cycle: secs(secs_), hold: secs(hold) };
    Some(TaskEffectDraft { task: "T-1".to_owned(), change })
}

fn boosts() -> Draft {
    ruled(vec![
        RuleDraft { task: cycle(3600, 60), ..rule("warm", "{TI} > 60") },
        RuleDraft { task: cycle(600, 30), ..rule("hot", "{TI} > 80") },
    ])
}

/// The same with a base cycle shorter than one of the boosts.
fn based() -> Draft {
    let mut draft = ruled(vec![RuleDraft { task: cycle(1800, 60), ..rule("warm", "{TI} > 60") }]);
    draft.tasks[0].cycle = secs(1800);
    draft
}

fn once() -> Draft {
    let change = TaskChange::OnceWithin(secs(1800));
    let task = Some(TaskEffectDraft { task: "T-2".to_owned(), change });
    ruled(vec![RuleDraft { task, ..rule("hot", "{TI} > 80") }])
}

fn raise(raise_to: RiskClass, hold: u64) -> Option<UnitEffectDraft> {
    Some(UnitEffectDraft { raise_to, hold: secs(hold) })
}

fn raises() -> Draft {
    ruled(vec![
        RuleDraft { unit: raise(RiskClass::Orange, 10), ..rule("hot", "{TI} > 80") },
        RuleDraft { unit: raise(RiskClass::Red, 5), ..rule("gas", "{GD-1} > 25") },
    ])
}

/// One rule that does everything.
fn both() -> Draft {
    ruled(vec![RuleDraft {
        hazard: Some(hazard(Confirm::Auto)),
        task: cycle(3600, 60),
        unit: raise(RiskClass::Red, 10),
        ..rule("hot", "{TI} > 80")
    }])
}

fn hot(when: &str, delay: u64) -> Draft {
    ruled(vec![RuleDraft { for_: secs(delay), ..rule("hot", when) }])
}

/// The same points and zones in the other order.
fn turned() -> Draft {
    let mut draft = draft();
    draft.points.reverse();
    draft.zones.reverse();
    draft
}

fn gone() -> Draft {
    let mut draft = draft();
    draft.points.truncate(1);
    draft.points[0].limits.hh = None;
    draft.sources.truncate(2);
    draft.cameras.clear();
    draft
}

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
fn an_outer_limit_alarms_at_once_and_turns_the_open_candidate_into_a_hazard() {
    check(
        draft(),
        "
1s LI 86
  6s alarm LI/H unacknowledged #1
  6s hazard M-1 limit:LI: a candidate by LI/H
10s LI 96
  10s alarm LI/HH unacknowledged #1
  10s hazard M-1 limit:LI: rectifying by LI/HH
20s LI 90
  20s alarm LI/HH returned #1
30s LI 50
  30s alarm LI/H returned #1
  30s hazard M-1 limit:LI: rectifying by LI/HH returned
",
    );
}

#[test]
fn an_inner_limit_that_joins_an_outer_one_is_the_same_episode() {
    check(
        draft(),
        "
1s LI 99
  1s alarm LI/HH unacknowledged #1
  1s hazard M-1 limit:LI: rectifying by LI/HH
  6s alarm LI/H unacknowledged #1
9s
30s LI 50
  30s alarm LI/H returned #1
  30s alarm LI/HH returned #1
  30s hazard M-1 limit:LI: rectifying by LI/HH returned
40s LI 99
  40s alarm LI/HH unacknowledged #2
  40s hazard M-1 limit:LI: rectifying by LI/HH repeats 1
  45s alarm LI/H unacknowledged #2
50s LI 50
  50s alarm LI/H returned #2
  50s alarm LI/HH returned #2
  50s hazard M-1 limit:LI: rectifying by LI/HH repeats 1 returned
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
fn persons_move_a_hazard_from_candidate_to_accepted() {
    check(
        draft(),
        "
1s GD-1 30
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
2s rectify limit:GD-1
  refused: it is a candidate; this act needs it to be rectifying
3s confirm limit:GD-1 seen
  3s hazard M-2 limit:GD-1: rectifying by GD-1/H
4s reject limit:GD-1 no
  refused: it is rectifying; this act needs it to be a candidate
5s accept limit:GD-1
  refused: it is rectifying; this act needs it to be awaiting acceptance
6s rectify limit:GD-1
  6s hazard M-2 limit:GD-1: awaiting acceptance by GD-1/H
7s GD-1 0
  7s alarm GD-1/H returned #1
  7s hazard M-2 limit:GD-1: awaiting acceptance by GD-1/H returned
8s accept limit:GD-1 done
  8s hazard M-2 limit:GD-1: accepted by GD-1/H returned
9s accept limit:GD-1
  refused: it is accepted; this act needs it to be awaiting acceptance
10s GD-1 30
  10s alarm GD-1/H unacknowledged #2
  10s hazard M-2 limit:GD-1: a candidate by GD-1/H opening 2
",
    );
}

#[test]
fn a_repeat_while_open_is_counted_and_a_return_never_closes() {
    check(
        draft(),
        "
1s GD-1 30
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
2s GD-1 0
  2s alarm GD-1/H returned #1
  2s hazard M-2 limit:GD-1: a candidate by GD-1/H returned
3s GD-1 30
  3s alarm GD-1/H unacknowledged #2
  3s hazard M-2 limit:GD-1: a candidate by GD-1/H repeats 1
4s confirm limit:GD-1
  4s hazard M-2 limit:GD-1: rectifying by GD-1/H repeats 1
5s GD-1 0
  5s alarm GD-1/H returned #2
  5s hazard M-2 limit:GD-1: rectifying by GD-1/H repeats 1 returned
6s GD-1 30
  6s alarm GD-1/H unacknowledged #3
  6s hazard M-2 limit:GD-1: rectifying by GD-1/H repeats 2
",
    );
}

#[test]
fn a_rejected_episode_raises_nothing_more_and_the_next_one_does() {
    check(
        draft(),
        "
1s GD-1 30
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
2s reject limit:GD-1
  refused: a reason is needed: --why TEXT
3s reject limit:GD-1 steam
  3s hazard M-2 limit:GD-1: rejected by GD-1/H
4s GD-1 31
5s GD-1 0
  5s alarm GD-1/H returned #1
6s GD-1 30
  6s alarm GD-1/H unacknowledged #2
  6s hazard M-2 limit:GD-1: a candidate by GD-1/H opening 2
",
    );
}

#[test]
fn what_was_rejected_speaks_up_in_its_episode_only_when_it_grows_graver() {
    check(
        draft(),
        "
1s GD-1 30
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
2s reject limit:GD-1 steam
  2s hazard M-2 limit:GD-1: rejected by GD-1/H
3s GD-1 60
  3s alarm GD-1/HH unacknowledged #1
  3s hazard M-2 limit:GD-1: a candidate by GD-1/HH opening 2
4s reject limit:GD-1 steam
  4s hazard M-2 limit:GD-1: rejected by GD-1/HH opening 2
5s GD-1 30
  5s alarm GD-1/HH returned #1
6s GD-1 60
  6s alarm GD-1/HH unacknowledged #2
  6s hazard M-2 limit:GD-1: a candidate by GD-1/HH opening 3
7s GD-1 0
  7s alarm GD-1/H returned #1
  7s alarm GD-1/HH returned #2
  7s hazard M-2 limit:GD-1: a candidate by GD-1/HH opening 3 returned
",
    );
}

#[test]
fn a_lesser_limit_does_not_reopen_what_was_rejected_in_its_episode() {
    check(
        draft(),
        "
1s LI 99
  1s alarm LI/HH unacknowledged #1
  1s hazard M-1 limit:LI: rectifying by LI/HH
2s rectify limit:LI
  2s hazard M-1 limit:LI: awaiting acceptance by LI/HH
3s accept limit:LI
  3s hazard M-1 limit:LI: accepted by LI/HH
  6s alarm LI/H unacknowledged #1
9s
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
fn history_and_samples_older_than_the_last_are_not_judged() {
    check(
        draft(),
        "
1s LI 96 backfill
2s LI 50 told=2s
3s LI 96 told=1s
4s LI 96 told=4s
  4s alarm LI/HH unacknowledged #1
  4s hazard M-1 limit:LI: rectifying by LI/HH
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
fn people_count_by_fixes_and_are_unknown_while_the_feed_is_down() {
    check(
        ruled(vec![rule("crowd", "people('U-1') > 1")]),
        "
1s fix t1 Z-1 li
2s fix t2 Z-2 li
3s fix t3 Z-1
  3s alarm crowd unacknowledged #1
4s down rtls
5s fix t3 out
6s up rtls
  6s alarm crowd returned #1
30s
",
    );
}

#[test]
fn a_silent_feed_of_fixes_counts_as_down() {
    check(
        silent(),
        "
1s fix t1 Z-1
  1s alarm crowd unacknowledged #1
20s fix t1 Z-1
  60s alarm fault:source:rtls unacknowledged #1 blinds M-1
60s
70s fix t1 Z-1
  70s alarm fault:source:rtls returned #1 blinds M-1
80s fix t1 out
  80s alarm crowd returned #1
",
    );
}

#[test]
fn maybe_takes_unknown_people_for_people() {
    check(
        ruled(vec![rule("leak", "{TI} > 80 and maybe(people('Z-1') > 0)")]),
        "
1s TI 90
2s down rtls
  2s alarm leak unacknowledged #1
3s up rtls
  3s alarm leak returned #1
",
    );
}

#[test]
fn a_sighting_is_true_for_its_window() {
    check(
        ruled(vec![rule("smoke", "seen('U-1', 'smoke', confidence = 0.6, window = 30s)")]),
        "
1s saw C-1 smoke 0.5
2s saw C-1 smoke 0.7
  2s alarm smoke unacknowledged #1
20s saw C-1 smoke 0.9
25s saw C-1 flame 0.9
  50s alarm smoke returned #1
50s
51s saw C-1 smoke 0.9
  51s alarm smoke unacknowledged #2
60s down nvr
  120s alarm fault:source:nvr unacknowledged #1 blinds M-1
200s up nvr
  200s alarm fault:source:nvr returned #1 blinds M-1
  200s alarm smoke returned #2
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
fn a_rule_boosts_the_shortest_cycle_wins_and_the_hold_counts_from_the_return() {
    check(
        boosts(),
        "
1s TI 70
  1s alarm warm unacknowledged #1
  1s task T-1 every 3600s, warm
2s TI 90
  2s alarm hot unacknowledged #1
  2s task T-1 every 600s, warm, hot
3s TI 70
  3s alarm hot returned #1
  3s task T-1 every 600s, warm, hot until 33s
4s TI 90
  4s alarm hot unacknowledged #2
  4s task T-1 every 600s, warm, hot
10s TI 50
  10s alarm warm returned #1
  10s task T-1 every 600s, warm until 70s, hot
  10s alarm hot returned #2
  10s task T-1 every 600s, warm until 70s, hot until 40s
  40s task T-1 every 3600s, warm until 70s
40s
  70s task T-1 every 28800s
80s
",
    );
}

#[test]
fn an_extra_inspection_is_due_once_and_stays_due_after_the_return() {
    check(
        once(),
        "
1s TI 90
  1s alarm hot unacknowledged #1
  1s task T-2 every 28800s, hot until 1801s
2s TI 50
  2s alarm hot returned #1
10s TI 90
  10s alarm hot unacknowledged #2
100s TI 50
  100s alarm hot returned #2
  1801s task T-2 every 28800s
1801s
1802s TI 90
  1802s alarm hot unacknowledged #3
  1802s task T-2 every 28800s, hot until 3602s
",
    );
}

#[test]
fn a_units_class_goes_up_at_once_and_down_after_the_hold() {
    check(
        raises(),
        "
1s TI 90
  1s alarm hot unacknowledged #1
  1s unit U-1 Orange, hot
2s GD-1 30
  2s alarm gas unacknowledged #1
  2s unit U-1 Red, hot, gas
10s TI 50
  10s alarm hot returned #1
  10s unit U-1 Red, hot until 20s, gas
15s TI 90
  15s alarm hot unacknowledged #2
  15s unit U-1 Red, hot, gas
16s TI 50
  16s alarm hot returned #2
  16s unit U-1 Red, hot until 26s, gas
20s GD-1 0
  20s alarm gas returned #1
  20s unit U-1 Red, hot until 26s, gas until 25s
  25s unit U-1 Orange, hot until 26s
  26s unit U-1 Yellow
30s
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
