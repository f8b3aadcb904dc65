//! What is counted between two decisions goes on over a restart and a reload. Cycles of an hour end at 2800 s,
//! 6400 s, 10000 s.

use crate::site::{check, check_all, hazard, rule, ruled, secs};
use crate::*;

/// The agent writes the records of T-1, which hangs on TI alone.
fn automatic() -> Draft {
    let mut draft = ruled(vec![rule("hot", "{TI} > 80")]);
    draft.points[3].stale_after = secs(1_000_000);
    draft.sources.truncate(1);
    draft.cameras.clear();
    draft.tasks.truncate(1);
    draft.tasks[0].cycle = secs(3600);
    draft.measures[0].auto_record = true;
    draft
}

fn raising(raising: Raising) -> Draft {
    let hazard = Some(HazardDraft { raising, ..hazard(Confirm::Auto) });
    let mut draft = ruled(vec![RuleDraft { hazard, ..rule("hot", "{TI} > 80") }]);
    draft.sources.truncate(1);
    draft.cameras.clear();
    draft
}

#[test]
fn a_cycle_that_was_seen_before_and_after_a_short_restart_is_recorded_as_seen() {
    check(
        automatic(),
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
5000s keep
5001s off
5060s restart
5061s up plc
5062s TI 50
  6400s record T-1 Normal by 54017000701 of 2800s to 6400s
6401s TI 50
",
    );
}

#[test]
fn what_was_not_seen_before_the_restart_counts_with_what_was_not_seen_in_it() {
    // 100 s and 90 s of 3600 s are more than a twentieth.
    check(
        automatic(),
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
3000s TI bad
  3060s alarm fault:TI unacknowledged #1 blinds M-1
3100s TI 50
  3100s alarm fault:TI returned #1 blinds M-1
5000s keep
5001s off
5090s restart
5090s up plc
5090s TI 50
  6400s record T-1 Unchecked by 54017000701 of 2800s to 6400s: 监测中断
6401s TI 50
",
    );
}

#[test]
fn a_stretch_that_nobody_saw_goes_on_over_the_restart_as_one() {
    // A day: neither 500 s before nor 200 s after are beyond ten minutes, and both are less than a twentieth.
    let mut draft = automatic();
    draft.tasks[0].cycle = secs(24 * 3600);
    check(
        draft,
        "
  64000s record T-1 Unchecked by 54017000701 of -22400s to 64000s: 监测中断
64001s TI 50
80000s TI bad
  80060s alarm fault:TI unacknowledged #1 blinds M-1
80500s keep
80600s restart
80601s up plc
80602s LI 50
80700s TI 50
  80700s alarm fault:TI returned #1 blinds M-1
  150400s record T-1 Unchecked by 54017000701 of 64000s to 150400s: 监测中断
150401s TI 50
",
    );
}

#[test]
fn a_cycle_that_ended_while_the_agent_was_away_gets_its_record_at_the_start() {
    check(
        automatic(),
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
6390s keep
6390s off
6500s restart
  6500s record T-1 Normal by 54017000701 of 2800s to 6400s
6501s up plc
6502s TI 50
  10000s record T-1 Normal by 54017000701 of 6400s to 10000s
10001s TI 50
",
    );
}

#[test]
fn a_count_of_a_clock_that_was_ahead_counts_for_nothing() {
    check(
        automatic(),
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
5000s keep
5001s wall -2000
5002s restart
5003s up plc
5003s TI 50
  8400s record T-1 Unchecked by 54017000701 of 2800s to 6400s: 监测中断
8401s TI 50
",
    );
}

#[test]
fn a_reload_goes_on_with_the_cycle_and_begins_it_anew_where_it_is_another() {
    let mut other = automatic();
    other.rules.push(rule("very-hot", "{TI} > 90"));
    let mut longer = automatic();
    longer.tasks[0].cycle = secs(2 * 3600);
    check_all(
        vec![automatic(), other, longer],
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
4000s reload 1
  6400s record T-1 Normal by 54017000701 of 2800s to 6400s
6401s TI 50
7200s reload 2
  13600s record T-1 Unchecked by 54017000701 of 6400s to 13600s: 监测中断
13601s TI 50
",
    );
}

#[test]
fn repeats_count_on_over_a_restart_and_age_while_it_lasts() {
    check(
        raising(Raising::Repeats { times: 3, within: secs(100) }),
        "
1s TI 90
  1s alarm hot unacknowledged #1
2s TI 50
  2s alarm hot returned #1
51s TI 90
  51s alarm hot unacknowledged #2
52s TI 50
  52s alarm hot returned #2
60s keep
90s restart
90s up plc
91s TI 90
  91s alarm hot unacknowledged #3
  91s hazard M-1 hot: rectifying
",
    );
    check(
        raising(Raising::Repeats { times: 3, within: secs(100) }),
        "
1s TI 90
  1s alarm hot unacknowledged #1
2s TI 50
  2s alarm hot returned #1
51s TI 90
  51s alarm hot unacknowledged #2
52s TI 50
  52s alarm hot returned #2
60s keep
102s restart
102s up plc
102s TI 90
  102s alarm hot unacknowledged #3
103s TI 50
  103s alarm hot returned #3
104s TI 90
  104s alarm hot unacknowledged #4
  104s hazard M-1 hot: rectifying
",
    );
}

#[test]
fn the_wait_of_a_hazard_goes_on_over_a_restart() {
    check(
        raising(Raising::After(secs(600))),
        "
1s TI 90
  1s alarm hot unacknowledged #1
400s restart
401s up plc
402s TI 90
  601s hazard M-1 hot: rectifying
602s TI 90
",
    );
}

#[test]
fn a_wait_that_was_over_before_the_start_is_given_the_time_to_look_first() {
    check(
        raising(Raising::After(secs(600))),
        "
1s TI 90
  1s alarm hot unacknowledged #1
2s off
1000s restart
1001s up plc
1002s TI 50
  1002s alarm hot returned #1
1100s TI 90
  1100s alarm hot unacknowledged #2
1300s restart
1302s up plc
1303s TI 90
  1700s hazard M-1 hot: rectifying
1701s restart
1702s up plc
1703s TI 90
2400s TI 90
",
    );
    check(
        raising(Raising::After(secs(600))),
        "
1s TI 90
  1s alarm hot unacknowledged #1
590s restart
  600s alarm fault:source:plc unacknowledged #1 blinds M-1
  650s hazard M-1 hot: rectifying
651s
",
    );
}

#[test]
fn a_cycle_whose_record_is_written_is_not_recorded_again_after_a_crash() {
    // Before its count was told, and after.
    for (restart, seen) in [(6410, 2920), (6500, 6520)] {
        check(
            automatic(),
            &format!(
                "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
6200s keep
  6400s record T-1 Normal by 54017000701 of 2800s to 6400s
{restart}s restart
{restart}s up plc
{restart}s TI 50
6700s indicators
  week from -195200s seen {seen}s: tasks 1/2, missed T-1 x1, suspended 0, unknown 0; hazards 0/0
  10000s record T-1 Normal by 54017000701 of 6400s to 10000s
10001s TI 50
"
            ),
        );
    }
}

#[test]
fn what_nobody_saw_before_the_clock_was_set_counts() {
    for reload in ["", "\n5750s reload 1"] {
        let mut other = automatic();
        other.rules.push(rule("very-hot", "{TI} > 90"));
        check_all(
            vec![automatic(), other],
            &format!(
                "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
5000s keep
5001s off
5002s wall -1690000000
5010s restart
5011s up plc
  5020s alarm fault:source:plc unacknowledged #1 blinds M-1
5700s TI 50
  5700s alarm fault:source:plc returned #1 blinds M-1{reload}
5800s wall 1690000000
5800s TI 50
  6400s record T-1 Unchecked by 54017000701 of 2800s to 6400s: 监测中断
6401s TI 50
"
            ),
        );
    }
}

#[test]
fn a_stretch_that_ended_before_the_clock_was_set_is_one_with_what_was_before_it() {
    // A day: 350 s before, 10 s away and 300 s after are beyond ten minutes together.
    let mut draft = automatic();
    draft.tasks[0].cycle = secs(24 * 3600);
    check(
        draft,
        "
  64000s record T-1 Unchecked by 54017000701 of -22400s to 64000s: 监测中断
64001s TI 50
80000s TI bad
  80060s alarm fault:TI unacknowledged #1 blinds M-1
80350s keep
80350s off
80351s wall -1690000000
80360s restart
80361s up plc
  80370s alarm fault:source:plc unacknowledged #1 blinds M-1
80660s TI 50
  80660s alarm fault:source:plc returned #1 blinds M-1
  80660s alarm fault:TI returned #1 blinds M-1
80700s wall 1690000000
80700s TI 50
80800s TI bad
80810s TI 50
  150400s record T-1 Unchecked by 54017000701 of 64000s to 150400s: 监测中断
150401s TI 50
",
    );
}
