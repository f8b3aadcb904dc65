//! Ends of boosts and raises over a restart of a machine whose clock has lost its battery.

use crate::site::{check, rule, ruled, secs};
use crate::*;

/// What takes the clock of these timelines back before 1971, and forward again.
fn boosted() -> Draft {
    let change = TaskChange::Cycle { cycle: secs(3600), hold: secs(1000) };
    ruled(vec![RuleDraft {
        task: Some(TaskEffectDraft { task: "T-1".to_owned(), change }),
        unit: Some(UnitEffectDraft { raise_to: RiskClass::Red, hold: secs(600) }),
        ..rule("hot", "{TI} > 80")
    }])
}

#[test]
fn under_a_clock_that_was_never_set_an_end_is_as_far_off_as_when_it_was_written() {
    check(
        boosted(),
        "
1s TI 90
  1s alarm hot unacknowledged #1
  1s task T-1 every 3600s, hot
  1s unit U-1 Red, hot
2s TI 50
  2s alarm hot returned #1
  2s task T-1 every 3600s, hot until 1002s
  2s unit U-1 Red, hot until 602s
3s TI 50
3s wall -1690000000
3s restart
4s TI 50
  13s alarm fault:source:rtls unacknowledged #1
  63s alarm fault:source:nvr unacknowledged #1
  603s unit U-1 Yellow
  1003s task T-1 every 28800s
3000s TI 50
",
    );
}

#[test]
fn when_the_clock_is_set_an_end_comes_as_its_stamp_says() {
    check(
        boosted(),
        "
1s TI 90
  1s alarm hot unacknowledged #1
  1s task T-1 every 3600s, hot
  1s unit U-1 Red, hot
2s TI 50
  2s alarm hot returned #1
  2s task T-1 every 3600s, hot until 1002s
  2s unit U-1 Red, hot until 602s
3s wall -1690000000
3s restart
4s TI 50
  13s alarm fault:source:rtls unacknowledged #1
  63s alarm fault:source:nvr unacknowledged #1
300s wall 1690000500
300s TI 50
  360s unit U-1 Yellow
  502s task T-1 every 28800s
3000s TI 50
",
    );
}

#[test]
fn an_end_that_a_wrong_clock_stamped_does_not_come_at_once_under_a_right_one() {
    check(
        boosted(),
        "
0s cold
0s wall -1690000000
0s restart
1s TI 90
  1s alarm hot unacknowledged #1
  1s task T-1 every 3600s, hot
  1s unit U-1 Red, hot
2s TI 50
  2s alarm hot returned #1
  2s task T-1 every 3600s, hot until -1689998998s
  2s unit U-1 Red, hot until -1689999398s
3s wall 1690000000
3s restart
4s TI 50
  13s alarm fault:source:rtls unacknowledged #1
  63s alarm fault:source:nvr unacknowledged #1
  603s unit U-1 Yellow
  1003s task T-1 every 28800s
3000s TI 50
",
    );
}
