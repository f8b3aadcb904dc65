//! What others keep and tell: conditions of control systems, permits, and the calendar that these end by.

use crate::site::{check, check_all, rule, secs, told};
use crate::{Draft, RuleDraft, SourceDraft};

fn high() -> Draft {
    told(vec![rule("high", "condition('dcs', 'HH')")])
}

fn hot() -> Draft {
    told(vec![rule("hot", "permit('U-1', 'hot_work')")])
}

/// Gas beside hot work, and people inside without a permit.
fn cold() -> Draft {
    told(vec![rule("no-permit", "not permit('U-1', 'hot_work')")])
}

#[test]
fn a_condition_that_is_active_at_its_source_begins_and_its_return_ends_an_episode() {
    check(
        high(),
        "
1s condition LIA-1/HH active unacknowledged
  1s alarm high unacknowledged #1
2s condition LIA-1/HH active
3s condition LIA-1/HH unacknowledged
  3s alarm high returned #1
4s condition LIA-1/H active
5s condition LIA-2/HH active suppressed
  5s alarm high unacknowledged #2
6s condition LIA-1/HH active
7s condition LIA-2/HH
8s condition LIA-1/HH
  8s alarm high returned #2
",
    );
}

#[test]
fn severity_and_state_are_asked_for() {
    check(
        told(vec![
            rule("grave", "condition('dcs', 'HH', severity = 700)"),
            rule("unseen", "condition('dcs', 'LIA-1/HH', state = 'unacknowledged')"),
            rule("masked", "condition('dcs', 'HH', state = 'suppressed')"),
        ]),
        "
1s condition LIA-1/HH active unacknowledged severity=600
  1s alarm unseen unacknowledged #1
2s condition LIA-2/HH suppressed severity=900
  2s alarm masked unacknowledged #1
3s condition LIA-1/HH active severity=700
  3s alarm grave unacknowledged #1
  3s alarm unseen returned #1
4s condition LIA-2/HH active severity=900
  4s alarm masked returned #1
",
    );
}

#[test]
fn a_lost_link_leaves_conditions_unknown_until_the_source_has_told_all_again() {
    check(
        high(),
        "
1s condition LIA-1/HH active
  1s alarm high unacknowledged #1
2s down dcs
3s condition LIA-1/HH
30s up dcs
31s condition LIA-1/HH active
32s told dcs
33s down dcs
40s up dcs
41s told dcs
  41s alarm high returned #1
",
    );
}

#[test]
fn what_is_told_before_the_link_counts_as_up_is_of_the_new_connection() {
    check(
        high(),
        "
1s condition LIA-1/HH active
  1s alarm high unacknowledged #1
2s down dcs
3s told dcs
4s up dcs
  4s alarm high returned #1
",
    );
}

#[test]
fn what_is_unknown_fires_nothing_and_a_source_that_does_not_tell_is_a_fault() {
    check(
        told(vec![rule("none", "not condition('dcs', 'HH')")]),
        "
0s cold
1s up plc
1s LI 50
1s up rtls
1s up nvr
1s up ptw
5s up dcs
6s condition LIA-1/HH active
  60s alarm fault:source:dcs unacknowledged #1 blinds M-1
70s told dcs
  70s alarm fault:source:dcs returned #1 blinds M-1
71s condition LIA-1/HH
  71s alarm none unacknowledged #1
",
    );
}

#[test]
fn what_was_told_and_is_lost_beside_a_living_link_is_unknown_until_all_is_told_again() {
    check(
        told(vec![rule("high", "condition('dcs', 'HH')"), rule("none", "not condition('dcs', 'H')")]),
        "
1s condition LIA-1/HH active
  1s alarm high unacknowledged #1
2s condition LIA-1/H active
  2s alarm none returned #1
3s lost dcs
4s condition LIA-1/HH
5s condition LIA-1/H
6s alive dcs
7s condition LIA-1/HH active
8s told dcs
  8s alarm none unacknowledged #2
9s lost dcs
10s told dcs
  10s alarm high returned #1
",
    );
}

#[test]
fn what_stays_lost_too_long_is_one_fault_and_its_wait_is_not_begun_anew() {
    check(
        high(),
        "
10s lost dcs
40s lost dcs
50s condition LIA-1/HH active
  70s alarm fault:source:dcs unacknowledged #1 blinds M-1
80s lost dcs
85s condition LIA-1/HH active
90s told dcs
  90s alarm fault:source:dcs returned #1 blinds M-1
  90s alarm high unacknowledged #1
100s lost dcs
159s told dcs
  159s alarm high returned #1
170s lost dcs
200s down dcs
  230s alarm fault:source:dcs unacknowledged #2 blinds M-1
240s up dcs
250s told dcs
  250s alarm fault:source:dcs returned #2 blinds M-1
251s
",
    );
}

/// As many inputs as there is room for, `each` with a number in it, at the first second.
fn ten_thousand(each: &str) -> String {
    (0..10_000).map(|n| format!("1s {}\n", each.replace('#', &n.to_string()))).collect()
}

#[test]
fn more_conditions_than_there_is_room_for_are_one_fault_until_all_are_told_and_have_room() {
    let flood = ten_thousand("condition T/N# active");
    let draft =
        told(vec![rule("high", "condition('dcs', 'N5')"), rule("none", "not condition('dcs', 'LIA-1/HH')")]);
    check(
        draft,
        &format!(
            "
{}2s condition LIA-1/HH active
3s condition LIA-2/HH active
4s condition T/N7
5s told dcs
  62s alarm fault:source:dcs unacknowledged #1 blinds M-1
70s condition T/N8
75s lost dcs
76s condition T/N5 active
80s told dcs
  80s alarm fault:source:dcs returned #1 blinds M-1
",
            flood.replacen(
                "1s condition T/N5 active\n",
                "1s condition T/N5 active\n  1s alarm high unacknowledged #1\n",
                1
            ),
        ),
    );
}

#[test]
fn more_permits_than_there_is_room_for_are_one_fault_until_those_beyond_are_known() {
    let mut draft = cold();
    draft.units.push(crate::site::unit("U-2"));
    check(
        draft,
        &format!(
            "
{}2s permit A working U-1
3s permit P-1 after U-2
  62s alarm fault:source:ptw unacknowledged #1 blinds M-1
70s permit A working U-1
  70s alarm fault:source:ptw returned #1 blinds M-1
80s permit B working U-1 to=100s
90s permit C working U-1 to=100s
110s permit P-2 working U-2
200s
",
            ten_thousand("permit P-# working U-2")
        ),
    );
}

/// What a source tells first, it tells whole: no rule sees it there with its conditions still untold.
#[test]
fn a_source_that_tells_all_at_its_first_word_was_never_unknown() {
    check(
        told(vec![rule("any", "maybe(condition('dcs', 'HH'))")]),
        "
0s cold
2s told dcs
3s condition LIA-1/HH active
  3s alarm any unacknowledged #1
",
    );
}

#[test]
fn a_source_that_is_to_tell_no_conditions_any_more_is_at_no_fault_for_them() {
    let mut deaf = high();
    deaf.rules.clear();
    deaf.sources[3].events = None;
    check_all(
        vec![high(), deaf],
        "
1s lost dcs
  61s alarm fault:source:dcs unacknowledged #1 blinds M-1
70s reload 1
  70s alarm fault:source:dcs returned #1 blinds M-1
200s
",
    );
}

#[test]
fn a_source_that_keeps_no_conditions_has_none_to_lose() {
    check(
        high(),
        "
1s lost plc
2s lost nvr
200s
",
    );
}

#[test]
fn the_class_of_the_conditions_says_how_soon_their_loss_is_told() {
    let mut draft = high();
    draft.sources[3] = SourceDraft { events: Some(crate::Class::Sis), ..draft.sources[3].clone() };
    check(
        draft,
        "
1s down dcs
  11s alarm fault:source:dcs unacknowledged #1 blinds M-1
12s
",
    );
}

#[test]
fn a_restart_ends_no_episode_of_a_condition_before_its_source_has_told_all() {
    check(
        high(),
        "
1s condition LIA-1/HH active
  1s alarm high unacknowledged #1
2s restart
3s up dcs
4s condition LIA-1/HH active
5s told dcs
6s condition LIA-1/HH
  6s alarm high returned #1
",
    );
}

#[test]
fn a_reload_keeps_what_was_told_by_the_ids_of_sources_and_units() {
    let mut turned = high();
    turned.sources.swap(3, 4);
    turned.rules[0].when = "condition('dcs', 'HH') or permit('U-1', 'hot_work')".to_owned();
    let mut third = turned.clone();
    third.units.insert(0, crate::site::unit("U-0"));
    third.rules[0].when = "permit('U-1', 'hot_work')".to_owned();
    check_all(
        vec![high(), turned, third],
        "
1s condition LIA-1/HH active
  1s alarm high unacknowledged #1
2s permit DH-1 working Z-1 to=100s
3s reload 1
4s condition LIA-1/HH
5s reload 2
  5s unit U-0 Yellow
  100s alarm high returned #1
100s
",
    );
}

#[test]
fn a_source_that_tells_no_conditions_and_a_feed_without_permits_are_not_listened_to() {
    let mut draft = high();
    draft.sources[4].permits = false;
    draft.sources.push(SourceDraft { permits: true, ..crate::site::source("other", false, false) });
    draft.rules.push(rule("hot", "permit('U-1', 'hot_work')"));
    check(
        draft,
        "
1s permit DH-1 working U-1
2s told nvr
",
    );
}

#[test]
fn a_permit_holds_from_its_start_to_its_end_while_it_is_in_work() {
    check(
        hot(),
        "
1s permit DH-1 before U-1 from=10s to=60s
2s permit DH-1 working U-1 from=10s to=60s
  10s alarm hot unacknowledged #1
  60s alarm hot returned #1
61s permit DH-1 working U-1 from=10s to=80s
  61s alarm hot unacknowledged #2
70s permit DH-1 after U-1 from=10s to=80s
  70s alarm hot returned #2
90s
",
    );
}

#[test]
fn a_permit_counts_in_its_unit_by_the_units_name_or_a_zones() {
    let mut draft = hot();
    draft.units.push(crate::site::unit("U-2"));
    check(
        draft,
        "
1s permit DH-1 working U-2
2s permit DH-2 working Z-9
3s permit DH-3 working U-1 lifting
10s permit DH-4 working Z-2
  10s alarm hot unacknowledged #1
11s permit DH-5 working U-1
12s permit DH-4 after Z-2
13s permit DH-5 working U-2
  13s alarm hot returned #1
",
    );
}

#[test]
fn no_permit_is_known_only_of_a_feed_that_was_heard_and_is_there() {
    check(
        cold(),
        "
1s
100s alive ptw
  100s alarm no-permit unacknowledged #1
101s permit DH-1 working U-1
  101s alarm no-permit returned #1
102s down ptw
103s permit DH-1 after U-1
110s up ptw
  115s alarm no-permit unacknowledged #2
120s
",
    );
}

#[test]
fn a_feed_that_tells_of_permits_only_since_a_reload_was_not_heard_before() {
    let mut before = told(Vec::new());
    before.sources[4].permits = false;
    check_all(
        vec![before, cold()],
        "
1s alive ptw
20s reload 1
100s alive ptw
  100s alarm no-permit unacknowledged #1
",
    );
}

#[test]
fn what_a_broker_retained_of_a_permit_is_how_it_stands() {
    check(
        told(vec![
            rule("no-permit", "not permit('U-1', 'hot_work')"),
            rule("hot", "permit('U-1', 'hot_work')"),
        ]),
        "
0s cold
1s up ptw
2s permit DH-1 working U-1 backfill
  2s alarm hot unacknowledged #1
  10s alarm fault:source:plc unacknowledged #1
  10s alarm fault:source:rtls unacknowledged #1
10s
",
    );
}

#[test]
fn a_permit_of_no_place_may_be_anywhere() {
    check(
        told(vec![
            rule("no-permit", "not permit('U-1', 'hot_work')"),
            rule("hot", "permit('U-1', 'hot_work')"),
        ]),
        "
1s permit DH-1 working -
20s permit DH-1 after -
  20s alarm no-permit unacknowledged #1
",
    );
}

#[test]
fn a_message_of_a_permit_that_was_overtaken_opens_it_not_again() {
    check(
        hot(),
        "
1s permit DH-1 after U-1 told=9s
2s permit DH-1 working U-1 told=8s
",
    );
}

#[test]
fn a_silent_feed_of_permits_is_a_fault_and_leaves_them_unknown() {
    let mut draft = hot();
    draft.sources[4].stale_after = Some(secs(30));
    check(
        draft,
        "
1s permit DH-1 working U-1 to=50s
  1s alarm hot unacknowledged #1
  91s alarm fault:source:ptw unacknowledged #1 blinds M-1
100s alive ptw
  100s alarm fault:source:ptw returned #1 blinds M-1
  100s alarm hot returned #1
",
    );
}

#[test]
fn after_a_restart_the_end_of_a_permits_episode_waits_for_what_the_feed_has_to_tell() {
    check(
        told(vec![RuleDraft { clear_for: secs(0), ..rule("hot", "permit('U-1', 'hot_work')") }]),
        "
1s permit DH-1 working U-1
  1s alarm hot unacknowledged #1
2s restart
3s up ptw
4s alive ptw
  12s alarm fault:source:plc unacknowledged #1
  12s alarm fault:source:rtls unacknowledged #1
  33s alarm hot returned #1
40s
",
    );
}

#[test]
fn a_step_of_the_wall_clock_neither_ends_nor_begins_a_permit_before_it_has_held() {
    // An hour forward, past the end.
    check(
        hot(),
        "
1s permit DH-1 working U-1 to=600s
  1s alarm hot unacknowledged #1
10s wall 3600
20s LI 51
  80s alarm hot returned #1
100s
",
    );
    // And back within the minute.
    check(
        hot(),
        "
1s permit DH-1 working U-1 to=600s
  1s alarm hot unacknowledged #1
10s wall 3600
20s LI 51
30s wall -3600
31s LI 52
  600s alarm hot returned #1
700s
",
    );
}

#[test]
fn while_the_clock_is_in_doubt_an_end_is_not_believed() {
    // Ten minutes back: by the old time it ends at 30 s, by the new one at 630 s.
    check(
        told(vec![
            rule("hot", "permit('U-1', 'hot_work')"),
            rule("no-permit", "not permit('U-1', 'hot_work')"),
        ]),
        "
1s permit DH-1 working U-1 to=30s
  1s alarm hot unacknowledged #1
10s wall -600
20s LI 51
70s LI 52
  630s alarm hot returned #1
  630s alarm no-permit unacknowledged #1
700s
",
    );
}
