//! What rules do besides: people and cameras read, tasks boosted, units raised.

use super::{boosts, once, raises, silent};
use crate::site::{check, rule, ruled};

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
