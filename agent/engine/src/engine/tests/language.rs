//! What the language asks of the engine: people who are alone, still or calling, and rules that read rules.

use crate::site::{check, check_all, draft, hazard, plant, rule, ruled, secs, told};
use crate::{Confirm, Item, Plant, RuleDraft, Severity};

#[test]
fn one_person_alone_stays_alone_when_their_tag_falls_silent() {
    check(
        ruled(vec![rule("lone", "lone('Z-1')")]),
        "
1s fix t1 Z-1 li
  1s alarm lone unacknowledged #1
5s fix t2 Z-1 wang
  5s alarm lone returned #1
20s fix t1 Z-1 li
  35s alarm lone unacknowledged #2
60s
61s fix t1 out
62s fix t2 out
  62s alarm lone returned #2
",
    );
}

#[test]
fn who_does_not_move_is_still_until_they_move_and_silence_says_nothing() {
    check(
        ruled(vec![rule("still", "still('U-1', 60s)")]),
        "
1s fix t1 Z-1 li x=10
20s fix t1 Z-1 li x=12
45s fix t1 Z-1 li x=11
  61s alarm still unacknowledged #1
61s
200s
201s fix t1 Z-1 li x=30
  201s alarm still returned #1
",
    );
}

#[test]
fn a_call_for_help_lasts_until_the_button_is_released() {
    check(
        ruled(vec![rule("sos", "sos('U-1')")]),
        "
1s fix t1 Z-1 li
2s fix t1 Z-1 li sos
  2s alarm sos unacknowledged #1
60s
61s down rtls
62s up rtls
63s fix t1 Z-2 li sos
64s fix t1 Z-2 li
  64s alarm sos returned #1
",
    );
}

#[test]
fn a_post_is_empty_when_nobody_of_the_role_is_there_with_a_fresh_fix() {
    check(
        ruled(vec![RuleDraft { for_: secs(10), ..rule("off-post", "present('Z-1', 'operator') < 1") }]),
        "
1s fix t1 Z-1 li role=operator
2s fix t2 Z-1 wang role=visitor
20s fix t1 Z-1 li role=operator
  60s alarm off-post unacknowledged #1
60s
70s fix t1 Z-1 li role=operator
  70s alarm off-post returned #1
",
    );
}

#[test]
fn a_guardian_who_leaves_or_falls_silent_is_away() {
    check(
        told(vec![rule("away", "permit('U-1', 'hot_work') and not guarded('U-1', 'hot_work')")]),
        "
10s fix t1 Z-1 li
11s permit DH-1 working Z-1 guardian=li
20s fix t1 Z-1 li
30s fix t1 Z-2 li
  30s alarm away unacknowledged #1
31s fix t1 Z-1 li
  31s alarm away returned #1
  61s alarm away unacknowledged #2
70s permit DH-1 after Z-1 guardian=li
  70s alarm away returned #2
71s permit DH-2 working U-1
80s fix t1 out
",
    );
}

#[test]
fn rules_that_read_rules_are_judged_after_them_in_one_step() {
    let rules = vec![
        rule("third", "active('second') and {TI} > 80"),
        rule("second", "not active('first') and {TI} > 80"),
        RuleDraft { hazard: Some(hazard(Confirm::Auto)), ..rule("first", "{TI} > 90") },
    ];
    check(
        ruled(rules),
        "
1s TI 95
  1s alarm first unacknowledged #1
  1s hazard M-1 first: rectifying
2s TI 85
  2s alarm first returned #1
  2s hazard M-1 first: rectifying returned
  2s alarm second unacknowledged #1
  2s alarm third unacknowledged #1
3s TI 95
  3s alarm first unacknowledged #2
  3s hazard M-1 first: rectifying repeats 1
  3s alarm second returned #1
  3s alarm third returned #1
4s TI bad
5s TI 50
  5s alarm first returned #2
  5s hazard M-1 first: rectifying repeats 1 returned
",
    );
}

#[test]
fn what_falls_due_in_one_instant_is_one_step() {
    let rules = vec![
        RuleDraft { for_: secs(5), ..rule("late", "{TI} > 80 and not active('early')") },
        RuleDraft { for_: secs(5), ..rule("early", "{TI} > 80") },
    ];
    check(ruled(rules), "\n1s TI 90\n  6s alarm early unacknowledged #1\n10s\n");
}

#[test]
fn a_limit_of_the_point_table_is_read_by_its_id_and_counts() {
    let mut site = draft();
    site.rules = vec![rule("often", "count(active('LI/H'), 60s) >= 2")];
    check(
        site,
        "
1s LI 90
  6s alarm LI/H unacknowledged #1
  6s hazard M-1 limit:LI: a candidate by LI/H
10s LI 50
  10s alarm LI/H returned #1
  10s hazard M-1 limit:LI: a candidate by LI/H returned
11s LI 90
  16s alarm LI/H unacknowledged #2
  16s hazard M-1 limit:LI: a candidate by LI/H repeats 1
  16s alarm often unacknowledged #1
20s
",
    );
}

#[test]
fn an_active_rule_is_active_to_its_readers_after_a_restart_and_a_reload() {
    let site = || ruled(vec![rule("first", "{TI} > 90"), rule("second", "active('first')")]);
    check_all(
        vec![site(), site()],
        "
1s TI 95
  1s alarm first unacknowledged #1
  1s alarm second unacknowledged #1
2s restart
3s reload 1
4s up plc
5s TI 50
  5s alarm first returned #1
  5s alarm second returned #1
",
    );
}

#[test]
fn a_circle_is_refused_with_its_path() {
    let rules = vec![
        rule("free", "active('a')"),
        rule("a", "{TI} > 1 or active('b')"),
        rule("b", "active('c')"),
        rule("c", "not active('a')"),
    ];
    let mut faults = Plant::build(ruled(rules)).unwrap_err();
    faults.retain(|fault| fault.severity == Severity::Error);
    let [fault] = faults.as_slice() else { panic!("{faults:#?}") };
    assert_eq!(fault.message, "rules read each other in a circle: a -> b -> c -> a");
    assert_eq!(fault.item, Item::Rule(1));
    let faults = Plant::build(ruled(vec![rule("a", "{TI} > 1 or active('a')")])).unwrap_err();
    assert_eq!(faults[0].message, "rules read each other in a circle: a -> a");
}

#[test]
fn a_rule_takes_the_strictest_class_of_those_that_it_reads() {
    let site = ruled(vec![rule("second", "active('first')"), rule("first", "{GD-1} > 10")]);
    assert_eq!(plant(site).rules()[0].class(), crate::Class::Gas);
}

#[test]
fn the_words_name_which_tripped_first() {
    let mut site = ruled(vec![rule("trip", "first_out({XS-1}, {XS-2})")]);
    for tag in ["XS-1", "XS-2"] {
        let point = crate::site::point(tag, crate::Class::Sis);
        site.points.push(crate::PointDraft { boolean: true, name: format!("联锁{tag}"), ..point });
    }
    let mut at = crate::site::Site::new(vec![plant(site)]);
    ["0s up plc", "0s XS-1 false", "0s XS-2 false", "1s XS-2 true"].iter().for_each(|line| at.line(line));
    let words = at.engine.alarms()[0].words.clone();
    assert_eq!(words.zh, "规则 trip：首出 XS-2 联锁XS-2");
    let operand = at.engine.alarms()[0].evidence.operands[0].clone();
    assert_eq!(operand.detail.as_deref(), Some("{XS-2}"));
}

#[test]
fn a_critical_rule_that_one_feed_keeps_from_firing_is_warned_of() {
    let warned = |when: &str| -> Vec<String> {
        let rules = vec![RuleDraft { priority: crate::Priority::Critical, ..rule("r", when) }];
        let mut site = told(rules);
        site.measures.pop();
        site.points.iter_mut().for_each(|point| point.stale_after = crate::site::secs(15));
        // Its own way into the plant, and one whose silence nobody notices for an hour.
        site.points[0].source = riskgate_point::SourceId(3);
        site.points[2].source = riskgate_point::SourceId(4);
        site.points[2].stale_after = crate::site::secs(3600);
        let (_, faults) = Plant::build(site).unwrap();
        let down =
            |message: &str| Some(message.strip_prefix("while source '")?.split_once('\'')?.0.to_owned());
        faults.iter().filter_map(|fault| down(&fault.message)).collect()
    };
    assert_eq!(warned("{GD-1} > 25 and people('Z-1') > 0"), ["rtls"]);
    assert_eq!(warned("{GD-1} > 25 and maybe(people('Z-1') > 0)"), Vec::<String>::new());
    assert_eq!(warned("at_least(2, {GD-1} > 1, sos('Z-1'))"), ["rtls"]);
    assert_eq!(warned("{GD-1} > 25 or people('Z-1') > 0"), Vec::<String>::new());
    assert_eq!(warned("at_least(2, {GD-1} > 1, sos('Z-1'), seen('U-1', 'smoke'))"), Vec::<String>::new());
    assert_eq!(warned("at_least(2, {GD-1} > 1, {TI} > 1, seen('U-1', 'smoke'))"), Vec::<String>::new());
    assert_eq!(warned("bad({GD-1}) and condition('dcs', 'HH')"), ["dcs"]);
    assert_eq!(warned("held(not {GD-1} > 25, 5s) and not permit('U-1', 'hot_work')"), ["ptw"]);
    assert_eq!(warned("count(sos('U-1'), 1m) >= 2 and {TI} > 1"), ["rtls"]);
    // One feed alone: its fault alarm says it, unless it says it late.
    assert_eq!(warned("{GD-1} > 25 and {TI} > 25"), Vec::<String>::new());
    assert_eq!(warned("{GD-2} > 25"), ["ptw"]);
    // Two sources of points, and one of them would do.
    assert_eq!(warned("{LI} > 25 and {TI} > 25"), ["plc", "dcs"]);
    assert_eq!(warned("at_least(1, {LI} > 25, {TI} > 25)"), Vec::<String>::new());
}
