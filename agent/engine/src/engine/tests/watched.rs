//! What the records of automatic measures say of a whole cycle, and not of its last moment. Cycles of an hour end
//! at 2800 s, 6400 s, 10000 s; a loss of more than 180 s is over a twentieth of one.

use crate::site::{check, check_all, hazard, rule, ruled, secs};
use crate::*;

/// The agent writes the records of T-1, which hangs on TI alone.
fn automatic(rules: Vec<RuleDraft>) -> Draft {
    let mut draft = ruled(rules);
    draft.points[3].stale_after = secs(1_000_000);
    draft.sources.truncate(1);
    draft.cameras.clear();
    draft.tasks.truncate(1);
    draft.tasks[0].cycle = secs(3600);
    draft.measures[0].auto_record = true;
    draft
}

fn hot() -> Draft {
    automatic(vec![rule("hot", "{TI} > 80")])
}

#[test]
fn a_limit_that_was_passed_when_the_cycle_began_is_told_with_it() {
    check(
        hot(),
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
6000s TI 90
  6000s alarm hot unacknowledged #1
  6400s record T-1 Other by 54017000701 of 2800s to 6400s: 报警：hot
6500s TI 50
  6500s alarm hot returned #1
  10000s record T-1 Other by 54017000701 of 6400s to 10000s: 报警：hot
10001s TI 50
  13600s record T-1 Normal by 54017000701 of 10000s to 13600s
13601s TI 50
",
    );
}

#[test]
fn a_limit_that_was_passed_is_told_though_its_rule_has_left_the_plant() {
    check_all(
        vec![hot(), automatic(vec![rule("very-hot", "{TI} > 95")])],
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
3000s TI 90
  3000s alarm hot unacknowledged #1
3001s TI 50
  3001s alarm hot returned #1
4000s reload 1
  4000s alarm hot normal #1
  6400s record T-1 Other by 54017000701 of 2800s to 6400s: 报警：hot
6401s TI 50
  10000s record T-1 Normal by 54017000701 of 6400s to 10000s
10001s TI 50
",
    );
}

#[test]
fn a_limit_that_was_passed_is_told_over_a_restart() {
    check(
        hot(),
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
6000s TI 90
  6000s alarm hot unacknowledged #1
  6400s record T-1 Other by 54017000701 of 2800s to 6400s: 报警：hot
6500s TI 50
  6500s alarm hot returned #1
7000s keep
7001s off
7020s restart
7020s up plc
7020s TI 50
  10000s record T-1 Other by 54017000701 of 6400s to 10000s: 报警：hot
10001s TI 50
",
    );
}

#[test]
fn a_limit_that_was_passed_before_the_clock_was_set_is_told() {
    check(
        hot(),
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
5000s keep
5001s off
5002s wall -1690000000
5003s restart
5004s up plc
5005s TI 50
5006s TI 90
  5006s alarm hot unacknowledged #1
5007s TI 50
  5007s alarm hot returned #1
5010s wall 1690000000
5010s TI 50
  6400s record T-1 Other by 54017000701 of 2800s to 6400s: 报警：hot
6401s TI 50
  10000s record T-1 Normal by 54017000701 of 6400s to 10000s
10001s TI 50
",
    );
}

#[test]
fn a_hazard_that_was_open_is_told_though_it_is_accepted_and_another_waits_for_a_person() {
    let of_temperature = |id: &str, when: &str, confirm| RuleDraft {
        hazard: Some(HazardDraft { cause: Some("temperature".to_owned()), ..hazard(confirm) }),
        ..rule(id, when)
    };
    check(
        automatic(vec![
            of_temperature("hot", "{TI} > 80", Confirm::Auto),
            of_temperature("cold", "{TI} < 20", Confirm::Person),
        ]),
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
6000s TI 90
  6000s alarm hot unacknowledged #1
  6000s hazard M-1 temperature: rectifying by hot
6001s TI 50
  6001s alarm hot returned #1
  6001s hazard M-1 temperature: rectifying by hot returned
  6400s record T-1 Hazard by 54017000701 of 2800s to 6400s: 规则 hot：TI = 90
6500s rectify temperature
  6500s hazard M-1 temperature: awaiting acceptance by hot returned
6501s accept temperature
  6501s hazard M-1 temperature: accepted by hot returned
9900s TI 10
  9900s alarm cold unacknowledged #1
  9900s hazard M-1 temperature: a candidate by cold opening 2 recurrence 1
  10000s record T-1 Hazard by 54017000701 of 6400s to 10000s: 规则 hot：TI = 90
10001s TI 50
  10001s alarm cold returned #1
  10001s hazard M-1 temperature: a candidate by cold opening 2 returned recurrence 1
10002s reject temperature 误报
  10002s hazard M-1 temperature: rejected by cold opening 2 returned recurrence 1
  13600s record T-1 Other by 54017000701 of 10000s to 13600s: 报警：cold
13601s TI 50
",
    );
}

#[test]
fn what_was_out_of_service_was_not_watched() {
    check(
        hot(),
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
3000s out hot
  3000s alarm hot normal #0 out of service
3200s in hot
  3200s alarm hot normal #0, put_back
  6400s record T-1 Unchecked by 54017000701 of 2800s to 6400s: 规则停用
6500s out hot 200s
  6500s alarm hot normal #0 out of service
  6700s alarm hot normal #0, out_of_service_ended
  10000s record T-1 Unchecked by 54017000701 of 6400s to 10000s: 规则停用
10100s out hot
  10100s alarm hot normal #0 out of service
13500s keep
13501s off
13510s restart
13510s up plc
13510s TI 50
  13600s record T-1 Unchecked by 54017000701 of 10000s to 13600s: 规则停用
13601s in hot
  13601s alarm hot normal #0, put_back
  17200s record T-1 Normal by 54017000701 of 13600s to 17200s
17201s TI 50
",
    );
}

#[test]
fn what_is_laid_over_an_alarm_for_a_short_time_is_no_limit_that_was_passed() {
    check(
        hot(),
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
3000s out hot 60s
  3000s alarm hot normal #0 out of service
  3060s alarm hot normal #0, out_of_service_ended
3100s shelve hot 1000s
  3100s alarm hot normal #0 shelved
  4100s alarm hot normal #0, shelf_ended
  6400s record T-1 Normal by 54017000701 of 2800s to 6400s
6401s TI 50
",
    );
}

#[test]
fn a_rule_that_comes_with_the_end_of_the_cycle_has_not_watched_it() {
    let shadow = RuleDraft { shadow: true, ..rule("hot", "{TI} > 80") };
    check_all(
        vec![hot(), automatic(vec![shadow])],
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
2900s reload 1
6300s reload 0
  6400s record T-1 Unchecked by 54017000701 of 2800s to 6400s: 监测中断
6401s TI 50
  10000s record T-1 Normal by 54017000701 of 6400s to 10000s
10001s TI 50
",
    );
}

#[test]
fn a_restart_under_another_configuration_begins_a_cycle_that_is_another_anew() {
    let mut longer = hot();
    longer.tasks[0].cycle = secs(2 * 3600);
    let mut other = hot();
    other.tasks[0].measure = "M-2".to_owned();
    other.measures[1].auto_record = true;
    other.rules.push(RuleDraft { measure: "M-2".to_owned(), ..rule("warm", "{TI} > 70") });
    check_all(
        vec![hot(), other, longer],
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
6000s keep
6000s off
6001s restart 1
6001s up plc
6001s TI 50
  6400s record T-1 Unchecked by 54017000701 of 2800s to 6400s: 监测中断
6401s TI 50
  10000s record T-1 Normal by 54017000701 of 6400s to 10000s
10001s keep
10001s off
10002s restart 0
10002s up plc
10002s TI 50
  13600s record T-1 Normal by 54017000701 of 10000s to 13600s
17199s keep
17199s off
17200s restart 2
17200s up plc
17200s TI 50
  20800s record T-1 Unchecked by 54017000701 of 13600s to 20800s: 监测中断
20801s TI 50
",
    );
}

#[test]
fn a_task_that_comes_back_later_than_the_start_does_not_go_on_with_its_old_cycle() {
    let mut none = hot();
    none.measures[0].auto_record = false;
    none.tasks.clear();
    check_all(
        vec![hot(), none],
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
5000s keep
5001s off
5010s restart 1
5011s up plc
5011s TI 50
5800s reload 0
  6400s record T-1 Unchecked by 54017000701 of 2800s to 6400s: 监测中断
6401s TI 50
",
    );
}

#[test]
fn a_short_stop_of_the_unit_hides_no_loss_and_what_is_lost_in_it_counts_for_nothing() {
    check(
        hot(),
        "
  2800s record T-1 Unchecked by 54017000701 of -800s to 2800s: 监测中断
2801s TI 50
3000s TI bad
  3060s alarm fault:TI unacknowledged #1 blinds M-1
4000s TI 50
  4000s alarm fault:TI returned #1 blinds M-1
5000s stop U-1
  5000s stop U-1 #1
  5000s alarm fault:TI returned #1 blinds M-1 suppressed
  5000s task T-1 every 3600s suspended
5060s start U-1
  5060s stop U-1 #1 ended
  5060s alarm fault:TI returned #1 blinds M-1, unit_started
  5060s task T-1 every 3600s
  6400s record T-1 Unchecked by 54017000701 of 2800s to 6400s: 监测中断
6500s TI bad
  6560s alarm fault:TI unacknowledged #2 blinds M-1
6600s stop U-1
  6600s stop U-1 #2
  6600s alarm fault:TI unacknowledged #2 blinds M-1 suppressed
  6600s task T-1 every 3600s suspended
8000s TI 50
  8000s alarm fault:TI normal #2 blinds M-1
8500s keep
8501s off
9000s restart
9000s up plc
9000s TI 50
9001s start U-1
  9001s stop U-1 #2 ended
  9001s task T-1 every 3600s
  10000s record T-1 Other by 54017000701 of 6400s to 10000s: 期间单元停用
10001s TI 50
",
    );
}
