//! Cycles of tasks and their records. The calendar says 06:13:20 of a Wednesday at zero; cycles of an hour end at
//! 2800 s, 6400 s, 10000 s.

use crate::site::{check, rule, ruled, secs};
use crate::*;

fn hourly() -> Draft {
    let mut draft = ruled(vec![rule("hot", "{TI} > 80")]);
    draft.points[3].stale_after = secs(1_000_000);
    draft.tasks.truncate(1);
    draft.tasks[0].cycle = secs(3600);
    draft
}

fn automatic() -> Draft {
    let mut draft = hourly();
    draft.measures[0].auto_record = true;
    draft
}

#[test]
fn a_cycle_without_a_record_is_overdue_once_and_a_record_makes_it_good() {
    check(
        hourly(),
        "
1s record T-1 normal
  1s record T-1 Normal by 王 of -800s to 2800s
  1s task T-1 every 3600s
2801s TI 50
  6400s task T-1 every 3600s overdue since 6400s
6401s TI 50
10001s TI 50
10002s record T-1 unchecked
  10002s record T-1 Unchecked by 王 of 10000s to 13600s
10003s record T-1 normal
  10003s record T-1 Normal by 王 of 10000s to 13600s
  10003s task T-1 every 3600s
10004s record T-9 normal
  refused: no task 'T-9'; did you mean 'T-1'?
10005s restart
  10015s alarm fault:source:plc unacknowledged #1 blinds M-1
  10015s alarm fault:source:rtls unacknowledged #1
  10065s alarm fault:source:nvr unacknowledged #1
13601s TI 50
  13601s alarm fault:source:plc returned #1 blinds M-1
",
    );
}

#[test]
fn the_agent_writes_what_it_saw_of_each_cycle() {
    check(
        automatic(),
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
3000s TI 90
  3000s alarm hot unacknowledged #1
3001s TI 50
  3001s alarm hot returned #1
  6400s record T-1 Other by 54017000701 of 2800s to 6400s: 报警：hot
6401s TI 50
  10000s record T-1 Normal by 54017000701 of 6400s to 10000s
10001s TI 50
",
    );
}

#[test]
fn what_nobody_could_see_was_not_checked() {
    check(
        automatic(),
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI bad
2802s TI 50
  6400s record T-1 Normal by 54017000701 of 2800s to 6400s
6401s TI 50
7000s TI bad
  7060s alarm fault:TI unacknowledged #1 blinds M-1
7200s TI 50
  7200s alarm fault:TI returned #1 blinds M-1
  10000s record T-1 Unchecked by 54017000701 of 6400s to 10000s: 监测中断
10001s TI 50
10500s restart
10501s TI 50
  10510s alarm fault:source:rtls unacknowledged #1
  10560s alarm fault:source:nvr unacknowledged #1
  13600s record T-1 Unchecked by 54017000701 of 10000s to 13600s: 监测中断
13601s TI 50
  17200s record T-1 Normal by 54017000701 of 13600s to 17200s
17201s TI 50
",
    );
}

#[test]
fn a_clock_that_was_never_set_begins_no_cycle() {
    check(
        automatic(),
        "
0s cold
0s wall -1690000000
0s restart
1s TI 50
  10s alarm fault:source:rtls unacknowledged #1
  60s alarm fault:source:nvr unacknowledged #1
4000s TI 50
4001s wall 1690000000
4001s TI 50
4062s TI 50
  6400s record T-1 Unchecked by 54017000701 of 2800s to 6400s: 监测中断
6401s TI 50
",
    );
}

#[test]
fn nobody_owes_what_falls_due_while_the_unit_is_stopped() {
    check(
        hourly(),
        "
1s record T-1 normal
  1s record T-1 Normal by 王 of -800s to 2800s
  1s task T-1 every 3600s
2801s TI 50
  6400s task T-1 every 3600s overdue since 6400s
6401s TI 50
6402s stop U-1
  6402s stop U-1 #1
  6402s task T-1 every 3600s suspended
10001s TI 50
10002s start U-1
  10002s stop U-1 #1 ended
  10002s task T-1 every 3600s
13601s TI 50
  17200s task T-1 every 3600s overdue since 17200s
17201s TI 50
",
    );
}

#[test]
fn of_a_unit_that_is_stopped_the_agent_writes_no_record_and_says_where_it_was_for_a_time() {
    check(
        automatic(),
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
3000s stop U-1
  3000s stop U-1 #1
  3000s task T-1 every 3600s suspended
3001s TI bad
  3061s alarm fault:TI unacknowledged #1 blinds M-1 suppressed owing
6401s TI 50
  6401s alarm fault:TI normal #1 blinds M-1
6500s start U-1
  6500s stop U-1 #1 ended
  6500s task T-1 every 3600s
  10000s record T-1 Other by 54017000701 of 6400s to 10000s: 期间单元停用
10001s TI 50
  13600s record T-1 Normal by 54017000701 of 10000s to 13600s
13601s TI 50
",
    );
}

#[test]
fn what_was_watched_with_a_rule_out_of_service_says_so() {
    check(
        automatic(),
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
3000s out hot
  3000s alarm hot normal #0 out of service
  6400s record T-1 Unchecked by 54017000701 of 2800s to 6400s: 规则停用
6401s TI 50
6402s in hot
  6402s alarm hot normal #0, put_back
  10000s record T-1 Normal by 54017000701 of 6400s to 10000s
10001s TI 50
10002s out hot 900s
  10002s alarm hot normal #0 out of service
  10902s alarm hot normal #0, out_of_service_ended
10903s TI 50
  13600s record T-1 Unchecked by 54017000701 of 10000s to 13600s: 规则停用
13601s TI 50
",
    );
}

#[test]
fn a_measure_is_not_watched_while_one_of_its_rules_is_out_of_service() {
    let mut draft = automatic();
    draft.rules.push(rule("warm", "{TI} > 70"));
    check(
        draft,
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
3000s out hot
  3000s alarm hot normal #0 out of service
  6400s record T-1 Unchecked by 54017000701 of 2800s to 6400s: 规则停用
6401s TI 50
6401s in hot
  6401s alarm hot normal #0, put_back
6402s out warm 300s
  6402s alarm warm normal #0 out of service
6500s keep
6550s restart
6550s up plc
6550s up rtls
6550s up nvr
6551s TI 50
  6702s alarm warm normal #0, out_of_service_ended
  10000s record T-1 Unchecked by 54017000701 of 6400s to 10000s: 规则停用
10001s TI 50
",
    );
}
