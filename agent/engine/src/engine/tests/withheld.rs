//! Latches, shelves, out of service, stopped units and re-alarms.

use riskgate_point::SourceId;

use crate::site::{check, check_all, draft, hazard, measure, point, rule, ruled, secs, told, unit};
use crate::*;

/// A rule of equipment that latches, re-alarms after 100 s and raises a hazard at once.
fn hot() -> RuleDraft {
    RuleDraft {
        latch: true,
        realarm: Some(secs(100)),
        hazard: Some(hazard(Confirm::Auto)),
        ..rule("hot", "{TI} > 80")
    }
}

#[test]
fn a_latched_alarm_stays_until_a_person_resets_it() {
    check(
        ruled(vec![RuleDraft { latch: true, ..rule("hot", "{TI} > 80") }]),
        "
1s TI 90
  1s alarm hot unacknowledged #1
2s reset hot
  refused: it is unacknowledged; this act needs it to be latched and acknowledged
3s TI 50
  3s alarm hot latched_unacknowledged #1
4s reset hot
  refused: it is latched_unacknowledged; this act needs it to be latched and acknowledged
5s ack hot
  5s alarm hot latched #1
6s reset hot
  6s alarm hot normal #1, reset
7s TI 90
  7s alarm hot unacknowledged #2
8s ack hot
  8s alarm hot acknowledged #2
9s TI 50
  9s alarm hot latched #2
10s TI 90
  10s alarm hot unacknowledged #3
",
    );
}

#[test]
fn a_shelf_withholds_the_alarm_alone_and_what_is_still_true_at_its_end_annunciates() {
    check(
        draft(),
        "
1s GD-1 30
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
2s ack GD-1/H
  2s alarm GD-1/H acknowledged #1
3s shelve GD-1/H 60s
  3s alarm GD-1/H acknowledged #1 shelved
4s GD-1 0
  4s alarm GD-1/H normal #1 shelved
  4s hazard M-2 limit:GD-1: a candidate by GD-1/H returned
5s GD-1 60
  5s alarm GD-1/H unacknowledged #2 shelved
  5s hazard M-2 limit:GD-1: a candidate by GD-1/H repeats 1
  5s alarm GD-1/HH unacknowledged #1
  5s hazard M-2 limit:GD-1: a candidate by GD-1/HH repeats 1
6s ack GD-1/H
  6s alarm GD-1/H acknowledged #2 shelved
62s
  63s alarm GD-1/H unacknowledged #2, shelf_ended
63s
",
    );
}

#[test]
fn what_comes_and_goes_on_the_shelf_leaves_nothing_to_acknowledge() {
    check(
        draft(),
        "
1s shelve LI/H 100s
  1s alarm LI/H normal #0 shelved
2s LI 86
  7s alarm LI/H unacknowledged #1 shelved
  7s hazard M-1 limit:LI: a candidate by LI/H
10s LI 50
  10s alarm LI/H normal #1 shelved
  10s hazard M-1 limit:LI: a candidate by LI/H returned
11s unshelve LI/H
  11s alarm LI/H normal #1, unshelved
12s unshelve LI/H
  refused: it is not shelved
",
    );
}

#[test]
fn a_shelf_leaves_boosts_and_risk_alone_and_a_latch_its_hold() {
    let change = TaskChange::Cycle { cycle: secs(600), hold: secs(30) };
    check(
        ruled(vec![RuleDraft {
            task: Some(TaskEffectDraft { task: "T-1".to_owned(), change }),
            unit: Some(UnitEffectDraft { raise_to: RiskClass::Red, hold: secs(10) }),
            ..hot()
        }]),
        "
1s shelve hot 60s
  1s alarm hot normal #0 shelved
2s TI 90
  2s alarm hot unacknowledged #1 shelved
  2s hazard M-1 hot: rectifying
  2s task T-1 every 600s, hot
  2s unit U-1 Red, hot
3s TI 50
  3s alarm hot latched_unacknowledged #1 shelved
  3s hazard M-1 hot: rectifying returned
  3s task T-1 every 600s, hot until 33s
  3s unit U-1 Red, hot until 13s
  13s unit U-1 Yellow
  33s task T-1 every 28800s
60s
  61s alarm hot latched_unacknowledged #1, shelf_ended
61s
",
    );
}

#[test]
fn sis_gas_at_its_outer_limit_and_calls_for_help_cannot_be_shelved() {
    let mut draft = ruled(vec![rule("trip", "{TI} > 80")]);
    draft.rules[0].class = Some(Class::Sis);
    draft.points[1].watch.limits = Limits { h: Some(25.0), hh: Some(50.0), ..Limits::default() };
    check(
        draft,
        "
1s shelve trip 60s
  refused: 'trip' is an alarm of class sis: it cannot be silenced
2s shelve GD-1/HH 60s
  refused: 'GD-1/HH' is a gas alarm of the outer limit: it cannot be silenced
3s shelve GD-1/H 28800s
  3s alarm GD-1/H normal #0 shelved
4s shelve GD-1/H 60s
  refused: it is shelved already: unshelve it first
5s shelve fault:TI 28801s
  refused: a shelf is longer than nothing and at most 8 h: --for 2h
6s shelve fault:TI 0s
  refused: a shelf is longer than nothing and at most 8 h: --for 2h
7s shelve GD-9/H 60s
  refused: no alarm 'GD-9/H'; did you mean 'GD-1/H'?
",
    );
}

/// Shelved while it did not tell its conditions, which are of the process; then its link goes, and with it a
/// point of the SIS.
#[test]
fn the_loss_of_a_source_that_carries_sis_points_comes_off_the_shelf() {
    let mut draft = told(vec![rule("high", "condition('dcs', 'HH')")]);
    let trip = PointDraft { source: SourceId(3), boolean: true, ..point("XS", Class::Sis) };
    let watch = Watched::from(Watch { measure: Some("M-2".to_owned()), ..Watch::default() });
    draft.points.push(PointDraft { watch, range: None, ..trip });
    check(
        draft,
        "
1s down dcs
2s up dcs
3s XS false
  11s alarm fault:source:dcs unacknowledged #1 blinds M-1
70s shelve fault:source:dcs 3600s
  70s alarm fault:source:dcs unacknowledged #1 blinds M-1 shelved
71s told dcs
  71s alarm fault:source:dcs normal #1 blinds M-1 shelved
80s down dcs
  90s alarm fault:source:dcs unacknowledged #2 blinds M-1 M-2
  3680s hazard M-1 fault:dcs: a candidate by fault:source:dcs
  3680s hazard M-2 fault:dcs: a candidate by fault:source:dcs
5000s
",
    );
}

#[test]
fn out_of_service_withholds_the_hazard_until_it_ends_and_then_raises_it() {
    check(
        draft(),
        "
1s out LI 100s
  1s alarm LI/LL normal #0 out of service
  1s alarm LI/L normal #0 out of service
  1s alarm LI/H normal #0 out of service
  1s alarm LI/HH normal #0 out of service
  1s alarm fault:LI normal #0 out of service
2s out LI
  refused: it is out of service already
3s LI 96
  3s alarm LI/HH unacknowledged #1 out of service owing
  8s alarm LI/H unacknowledged #1 out of service owing
10s in LI/H
  10s alarm LI/H unacknowledged #1, put_back
  10s hazard M-1 limit:LI: a candidate by LI/H
11s in LI/H
  refused: it is in service
  101s alarm LI/HH unacknowledged #1, out_of_service_ended
  101s hazard M-1 limit:LI: rectifying by LI/HH
  101s alarm LI/L normal #0, out_of_service_ended
  101s alarm LI/LL normal #0, out_of_service_ended
  101s alarm fault:LI normal #0, out_of_service_ended
101s
",
    );
}

#[test]
fn a_measure_of_which_every_rule_is_out_of_service_is_not_watched() {
    let mut site = crate::site::Site::new(vec![crate::site::plant(draft())]);
    let mut act = |deed: Deed| {
        let act = Act { by: "王".to_owned(), deed };
        let now = riskgate_point::Now { mono: riskgate_point::Mono(1), wall: riskgate_point::Wall(1) };
        site.engine.act(&act, now, &mut Vec::new()).unwrap();
        site.engine.unwatched()
    };
    let out =
        |what: &str| Deed::OutOfService { what: what.to_owned(), why: "校验".to_owned(), for_s: None };
    assert_eq!(act(out("GD-1")), Vec::<String>::new(), "GD-2 watches the same measure");
    assert_eq!(act(out("GD-2")), ["M-2"]);
    assert_eq!(act(Deed::InService { what: "GD-2/HH".to_owned() }), Vec::<String>::new());
}

#[test]
fn a_stopped_unit_suspends_its_tasks_and_suppresses_process_and_equipment_alone() {
    check(
        draft(),
        "
1s LI 96
  1s alarm LI/HH unacknowledged #1
  1s hazard M-1 limit:LI: rectifying by LI/HH
2s GD-1 30
  2s alarm GD-1/H unacknowledged #1
  2s hazard M-2 limit:GD-1: a candidate by GD-1/H
3s stop U-1
  3s stop U-1 #1
  3s alarm LI/HH unacknowledged #1 suppressed
  3s task T-1 every 28800s suspended
  3s task T-2 every 28800s suspended
4s stop U-1
  refused: the unit is stopped already
5s LI 3
  5s alarm LI/LL unacknowledged #1 suppressed owing
  5s alarm LI/HH normal #1
  5s hazard M-1 limit:LI: rectifying by LI/HH returned
  10s alarm LI/L unacknowledged #1 suppressed owing
11s GD-1 60
  11s alarm GD-1/HH unacknowledged #1
  11s hazard M-2 limit:GD-1: a candidate by GD-1/HH
12s LI bad
  72s alarm fault:LI unacknowledged #1 blinds M-1 suppressed owing
80s LI 8
  80s alarm fault:LI normal #1 blinds M-1
  80s alarm LI/LL normal #1
81s start U-1
  81s stop U-1 #1 ended
  81s alarm LI/L unacknowledged #1, unit_started
  81s hazard M-1 limit:LI: rectifying by LI/HH repeats 1
  81s task T-1 every 28800s
  81s task T-2 every 28800s
82s start U-1
  refused: the unit is not stopped
83s stop U-9
  refused: no unit 'U-9'; did you mean 'U-1'?
",
    );
}

/// Only the measure of the unit that is stopped is withheld, and its hazard is owed.
#[test]
fn a_source_that_is_lost_raises_for_a_stopped_unit_when_it_is_started() {
    let mut draft = draft();
    draft.units.push(unit("U-2"));
    draft.measures.push(measure("M-9", "U-2"));
    draft.points.truncate(1);
    let limits = Limits { h: Some(90.0), ..Limits::default() };
    let watch = Watched::from(Watch { limits, measure: Some("M-9".to_owned()), ..Watch::default() });
    draft.points.push(PointDraft { watch, ..point("PI", Class::Process) });
    check(
        draft,
        "
1s stop U-2
  1s stop U-2 #1
2s down plc
  62s alarm fault:source:plc unacknowledged #1 blinds M-1 M-9
  3602s hazard M-1 fault:plc: a candidate by fault:source:plc
4000s start U-2
  4000s stop U-2 #1 ended
  4000s hazard M-9 fault:plc: a candidate by fault:source:plc
4001s up plc
4001s LI 50
  4001s alarm fault:source:plc returned #1 blinds M-1 M-9
  4001s hazard M-1 fault:plc: a candidate by fault:source:plc returned
  4001s hazard M-9 fault:plc: a candidate by fault:source:plc returned
",
    );
}

#[test]
fn an_alarm_annunciates_anew_after_its_time_acknowledged_or_not() {
    check(
        ruled(vec![hot()]),
        "
1s TI 90
  1s alarm hot unacknowledged #1
  1s hazard M-1 hot: rectifying
  101s alarm hot unacknowledged #1, re_alarmed
101s
150s ack hot
  150s alarm hot acknowledged #1
249s
  250s alarm hot unacknowledged #1, re_alarmed
260s shelve hot 1000s
  260s alarm hot unacknowledged #1 shelved
1259s
  1260s alarm hot unacknowledged #1, shelf_ended
1350s TI 50
  1350s alarm hot latched_unacknowledged #1
  1350s hazard M-1 hot: rectifying returned
2000s
",
    );
}

#[test]
fn the_alarm_of_a_candidate_that_nobody_judges_is_heard_again_every_half_hour() {
    check(
        ruled(vec![RuleDraft { hazard: Some(hazard(Confirm::Person)), ..rule("hot", "{TI} > 80") }]),
        "
1s TI 90
  1s alarm hot unacknowledged #1
  1s hazard M-1 hot: a candidate
2s TI 50
  2s alarm hot returned #1
  2s hazard M-1 hot: a candidate returned
3s ack hot
  3s alarm hot normal #1
1800s
  1801s alarm hot returned #1, re_alarmed
1900s restart
1900s up plc
1900s up rtls
1900s up nvr
1900s TI 50
3600s
  3601s alarm hot returned #1, re_alarmed
3700s reject hot steam
  3700s hazard M-1 hot: rejected returned
9000s
",
    );
}

#[test]
fn a_shelf_ends_by_the_calendar_while_it_is_sure_and_else_by_elapsed_time() {
    let shelved = "
1s shelve LI/H 3600s
  1s alarm LI/H normal #0 shelved
";
    // A day forward: in doubt for a minute, and then its end is past.
    check(
        draft(),
        &format!("{shelved}2s wall +86400\n3s TI 50\n62s\n  63s alarm LI/H normal #0, shelf_ended\n63s\n"),
    );
    // Taken back within the minute, it was nothing.
    check(
        draft(),
        &format!(
            "{shelved}2s wall +86400\n3s TI 50\n4s wall -86400\n5s TI 50\n3600s\n  3601s alarm LI/H normal #0, shelf_ended\n3601s\n"
        ),
    );
    // A day back: it lasts no longer than it was asked for.
    check(
        draft(),
        &format!(
            "{shelved}2s wall -86400\n3s TI 50\n3600s\n  3601s alarm LI/H normal #0, shelf_ended\n3601s\n"
        ),
    );
    // A restart with a clock that lost its time makes it no longer either.
    check(
        ruled(vec![rule("hot", "{TI} > 80")]),
        "
1s shelve hot 30s
  1s alarm hot normal #0 shelved
10s wall -86400
10s restart
  20s alarm fault:source:plc unacknowledged #1 blinds M-1
  20s alarm fault:source:rtls unacknowledged #1
39s
  40s alarm hot normal #0, shelf_ended
40s
",
    );
}

#[test]
fn a_step_of_the_wall_clock_moves_no_re_alarm() {
    check(
        ruled(vec![RuleDraft { hazard: None, ..hot() }]),
        "
1s TI 90
  1s alarm hot unacknowledged #1
2s wall +86400
50s wall -172800
60s TI 91
100s
  101s alarm hot unacknowledged #1, re_alarmed
101s
",
    );
}

#[test]
fn after_the_sleep_of_the_machine_what_fell_due_meanwhile_happens_at_once() {
    // Nothing is asked of the engine for two hours: the first report after it runs the timers first.
    check(
        draft(),
        "
1s shelve LI/H 3600s
  1s alarm LI/H normal #0 shelved
2s LI 86
  7s alarm LI/H unacknowledged #1 shelved
  7s hazard M-1 limit:LI: a candidate by LI/H
8s ack LI/H
  8s alarm LI/H acknowledged #1 shelved
8s sleep 7200s
  7208s alarm LI/H unacknowledged #1, shelf_ended
  7208s alarm LI/H unacknowledged #1, re_alarmed
  7208s alarm LI/H unacknowledged #1, re_alarmed
  7208s alarm LI/H unacknowledged #1, re_alarmed
7209s
",
    );
}

#[test]
fn a_reload_keeps_covers_by_the_rules_id_and_a_removed_rule_ends_its_alarm_and_keeps_its_hazard() {
    let with = |rules: Vec<RuleDraft>| ruled(rules);
    let cold = rule("cold", "{TI} < 10");
    let other = RuleDraft { when: "{TI} > 85".to_owned(), ..hot() };
    let trip = RuleDraft { class: Some(Class::Sis), ..rule("cold", "{TI} < 10") };
    check_all(
        vec![with(vec![cold, hot()]), with(vec![other, trip]), with(vec![rule("mild", "{TI} > 95")])],
        "
1s TI 90
  1s alarm hot unacknowledged #1
  1s hazard M-1 hot: rectifying
2s shelve hot 600s
  2s alarm hot unacknowledged #1 shelved
3s shelve cold 600s
  3s alarm cold normal #0 shelved
4s reload 1
  4s alarm cold normal #0, shelf_ended
5s out hot
  5s alarm hot unacknowledged #1 shelved out of service
6s reload 2
  6s alarm hot normal #1
7s
",
    );
}

#[test]
fn a_unit_that_leaves_the_configuration_is_stopped_no_more() {
    let mut two = draft();
    two.units.push(unit("U-2"));
    two.measures.push(measure("M-9", "U-2"));
    check_all(
        vec![two, draft()],
        "
1s stop U-2
  1s stop U-2 #1
2s stop U-1
  2s stop U-1 #1
  2s task T-1 every 28800s suspended
  2s task T-2 every 28800s suspended
3s restart
3s reload 1
  3s stop U-2 #1 ended
4s start U-1
  4s stop U-1 #1 ended
  4s task T-1 every 28800s
  4s task T-2 every 28800s
",
    );
}

/// A scenario with everything in it: what comes of it is the same with a restart, or with a reload of the
/// same rules over another order of points, behind any of its lines.
#[test]
fn a_restart_or_a_reload_at_any_point_of_a_scenario_loses_and_doubles_nothing() {
    let mut draft = draft();
    draft.rules = vec![hot()];
    let scenario = [
        "1s TI 90",
        "2s GD-1 30",
        "3s shelve GD-1/H 600s",
        "4s ack hot",
        "5s stop U-1",
        "6s LI 96",
        "7s TI 50",
        "8s out GD-2",
        "9s GD-2 60",
        "10s GD-1 60",
        "11s start U-1",
        "12s ack LI/HH",
        "13s reset hot",
        "14s TI 90",
        "15s in GD-2",
        "20s TI 50",
        "30s shelve LI/H 60s",
    ];
    let mut turned = draft.clone();
    turned.points.reverse();
    turned.zones.reverse();
    let end = |again: Option<(usize, &str)>| {
        let plants = [&draft, &turned].map(|draft| crate::site::plant(draft.clone()));
        let mut site = crate::site::Site::new(plants.to_vec());
        site.warm();
        for (at, line) in scenario.iter().enumerate() {
            site.line(line);
            if let Some((_, again)) = again.filter(|(behind, _)| *behind == at) {
                let time = line.split_once(' ').unwrap().0;
                site.line(&format!("{time} {again}"));
                // What the plant reads is read again.
                site.warm_again();
            }
        }
        site.line("700s");
        site.standing()
    };
    let whole = end(None);
    assert!(whole.contains("hazard") && whole.contains("put_back"), "{whole}");
    for (at, line) in scenario.iter().enumerate() {
        for again in ["restart", "reload 1"] {
            assert_eq!(end(Some((at, again))), whole, "{again} behind '{line}'");
        }
    }
}

#[test]
fn a_source_that_was_out_of_service_when_its_measures_failed_raises_their_hazards_when_it_is_back() {
    let mut draft = ruled(vec![rule("hot", "{TI} > 80")]);
    draft.sources.truncate(1);
    draft.cameras.clear();
    // Back by a person, by its end, and by one that falls together with the hour of the loss.
    for (out, back, at) in [
        ("out fault:source:plc", "\n4000s in fault:source:plc", "4000s"),
        ("out fault:source:plc 3900s", "", "4000s"),
        ("out fault:source:plc 3501s", "", "3601s"),
    ] {
        let event = if back.is_empty() { "out_of_service_ended" } else { "put_back" };
        check(
            draft.clone(),
            &format!(
                "
1s down plc
  11s alarm fault:source:plc unacknowledged #1 blinds M-1
100s {out}
  100s alarm fault:source:plc unacknowledged #1 blinds M-1 out of service{back}
  {at} alarm fault:source:plc unacknowledged #1 blinds M-1, {event}
  {at} hazard M-1 fault:plc: a candidate by fault:source:plc
5000s
"
            ),
        );
    }
}
