//! A restart in the middle of windows: what a history kept covers them again.

use crate::RuleDraft;
use crate::site::{check, rule, ruled, secs, told};

#[test]
fn an_average_of_ten_minutes_goes_on_over_a_restart_with_what_the_history_kept() {
    check(
        ruled(vec![rule("hot", "avg({TI}, 10m) > 60")]),
        "
60s TI 90
300s stop
310s restart
310s refill
311s up plc
311s up rtls
311s up nvr
312s TI 90
  600s alarm hot unacknowledged #1
600s alive plc
",
    );
}

#[test]
fn without_a_history_an_average_waits_until_it_is_covered() {
    check(
        ruled(vec![rule("hot", "avg({TI}, 10m) > 60")]),
        "
60s TI 90
310s restart
311s up plc
311s up rtls
311s up nvr
312s TI 90
911s alive plc
  912s alarm hot unacknowledged #1
912s alive plc
",
    );
}

#[test]
fn an_outage_of_more_than_a_tenth_keeps_an_average_unknown_until_it_has_left_the_window() {
    // Unknown from 300 s to 400 s: 60 s of it are left in a window that ends at 940 s.
    check(
        ruled(vec![rule("hot", "avg({TI}, 10m) > 60")]),
        "
60s TI 90
300s stop
398s restart
398s refill
399s up plc
399s up rtls
399s up nvr
400s TI 90
939s alive plc
  940s alarm hot unacknowledged #1
945s alive plc
",
    );
}

#[test]
fn what_the_history_holds_raises_nothing_by_itself_and_counts_with_the_next_reading() {
    check(
        ruled(vec![rule("peak", "max({TI}, 10m) > 80 and {LI} > 60")]),
        "
60s TI 90
61s TI 50
100s stop
110s restart
110s refill
111s up plc
111s up rtls
111s up nvr
112s TI 50
150s LI 70
  150s alarm peak unacknowledged #1
",
    );
}

#[test]
fn held_is_not_held_over_the_outage() {
    check(
        ruled(vec![rule("long", "held({TI} > 80, 2m)")]),
        "
10s TI 90
100s stop
110s restart
110s refill
111s up plc
111s up rtls
111s up nvr
112s TI 90
231s alive plc
  232s alarm long unacknowledged #1
232s alive plc
",
    );
}

/// A gas test of an hour ago, while work goes on: only what the history knows of it says how old it is.
#[test]
fn a_reading_is_as_old_after_a_restart_as_it_was_before() {
    let test = RuleDraft { for_: secs(10), ..rule("test", "permit('U-1', 'hot_work') and age({TI}) > 2h") };
    check(
        told(vec![test]),
        "
1s alive ptw
100s TI 51
200s permit DH-1 working U-1
300s stop
310s restart
310s refill
311s up plc
311s up rtls
311s up nvr
311s up dcs
311s told dcs
311s up ptw
312s LI 50
312s permit DH-1 working U-1
  7310s alarm test unacknowledged #1
7400s TI 51
  7400s alarm test returned #1
",
    );
}
