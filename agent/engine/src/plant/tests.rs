//! What `Plant::build` refuses, and what it makes.

use crate::site::{draft, hazard, measure, point, rule, ruled, secs, task, told, unit};
use crate::*;

/// The faults of the test plant after a change, one line each.
fn faults(change: impl FnOnce(&mut Draft)) -> String {
    let mut draft = draft();
    change(&mut draft);
    let faults = match Plant::build(draft) {
        Ok((_, warnings)) => {
            assert!(warnings.iter().all(|fault| fault.severity == Severity::Warning));
            warnings
        }
        Err(faults) => {
            assert!(faults.iter().any(|fault| fault.severity == Severity::Error));
            faults
        }
    };
    let line = |fault: &Fault| {
        let severity = match fault.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        let hint = fault.hint.as_ref().map_or(String::new(), |hint| format!(" [{hint}]"));
        format!("{severity}{:?} {}: {}{hint}\n", fault.item, fault.field, fault.message)
    };
    faults.iter().map(line).collect()
}

/// The one fault that a change makes.
#[track_caller]
fn check(expected: &str, change: impl FnOnce(&mut Draft)) {
    assert_eq!(faults(change).trim_end(), expected);
}

#[test]
fn a_sound_draft_has_no_faults() {
    check("", |_| {});
}

#[test]
fn the_company_code_has_nine_characters() {
    check(
        "Gateway company: the company code '12345' has 5 characters [企业编码 is 9 letters or digits, as the \
         chemicals registry gave it]",
        |draft| draft.company = "12345".to_owned(),
    );
}

#[test]
fn ids_are_there_once_and_without_blanks() {
    check("Unit(1) id: the id is empty", |draft| {
        draft.units.push(UnitDraft { id: String::new(), ..unit("") })
    });
    check(
        "Point(4) tag: 'LI' is there twice: it is also number 1 of this list [each needs a name of its own]",
        |draft| draft.points.push(point("LI", Class::Process)),
    );
    check("Unit(1) id: \" U-2\" has blanks around it or control characters in it [write 'U-2']", |draft| {
        draft.units.push(unit(" U-2"))
    });
    check("Unit(1) id: 'U/2' holds '/', which an address upstream cannot [write 'U-2']", |draft| {
        draft.units.push(unit("U/2"))
    });
}

#[test]
fn a_name_that_is_not_there_gets_the_nearest_that_is() {
    check("Point(0) measure: there is no measure 'm-1' [did you mean 'M-1'?]", |draft| {
        draft.points[0].watch.measure = Some("m-1".to_owned());
        draft.rules.push(rule("r", "{LI} > 60"));
    });
    check("Point(0) measure: there is no measure 'xyzzy'", |draft| {
        draft.points[0].watch.measure = Some("xyzzy".to_owned());
        draft.rules.push(rule("r", "{LI} > 60"));
    });
    check("Measure(1) unit: there is no unit 'U1' [did you mean 'U-1'?]", |draft| {
        draft.measures[1].unit = "U1".to_owned()
    });
    check("Rule(0) task: there is no task 'T-11' [did you mean 'T-1'?]", |draft| {
        let change = TaskChange::OnceWithin(secs(60));
        let task = Some(TaskEffectDraft { task: "T-11".to_owned(), change });
        draft.rules.push(RuleDraft { task, ..rule("r", "{LI} > 60") });
    });
    check(
        "Zone(0) unit: there is no unit 'U-2' [did you mean 'U-1'?]\n\
         Camera(0) unit: there is no unit 'U-3' [did you mean 'U-1'?]",
        |draft| {
            draft.zones[0].unit = "U-2".to_owned();
            draft.cameras[0].unit = "U-3".to_owned();
        },
    );
}

#[test]
fn limits_stand_in_order_and_within_the_range() {
    check(
        "Point(0) hh: the limits are out of order: H = 85 is not below HH = 80 [LL < L < H < HH]",
        |draft| draft.points[0].watch.limits.hh = Some(80.0),
    );
    check(
        "Point(0) hh: the limit 101 is outside the range [allowed: 0 to 100; beyond it no reading would ever \
         cross it]",
        |draft| draft.points[0].watch.limits.hh = Some(101.0),
    );
    check("Point(0) hh: the limit NaN is no number", |draft| {
        draft.points[0].watch.limits.hh = Some(f64::NAN)
    });
    check("Point(0) range_high: the range 100 to 0 is empty [range_low < range_high]", |draft| {
        draft.points[0].range = Some((100.0, 0.0));
        draft.points[0].watch.limits = Limits::default();
        draft.rules.push(rule("r", "{LI} > 60"));
    });
    check("", |draft| draft.points[0].watch.limits.hh = Some(100.0));
}

#[test]
fn a_deadband_is_a_width_that_leaves_room_between_the_limits() {
    check("Point(0) deadband: the deadband -1 is no width [0 or more, in the point's eu]", |draft| {
        draft.points[0].deadband = -1.0
    });
    check(
        "Point(0) deadband: with a deadband of 40 no reading between 10 and 85 is normal [a deadband below \
         37.5]",
        |draft| draft.points[0].deadband = 40.0,
    );
}

#[test]
fn what_reads_no_number_has_no_limits() {
    check(
        "Point(0) ll: 'LI' reads no number and cannot have limits [write a rule with `when` for it]",
        |draft| draft.points[0].boolean = true,
    );
}

#[test]
fn free_text_is_compared_with_text_alone() {
    let batch = |draft: &mut Draft, when: &str| {
        draft.points.push(PointDraft { text: true, ..point("BATCH", Class::Process) });
        draft.rules.push(rule("r", when));
    };
    assert_eq!(faults(|draft| batch(draft, "{BATCH} == 'B-17'")), "");
    check(
        "Rule(0) when: a text is compared with a number [{BATCH} reads texts: compare it with '…']",
        |draft| {
            batch(draft, "{BATCH} > 17");
        },
    );
    check(
        "Point(4) h: 'BATCH' reads no number and cannot have limits [write a rule with `when` for it]",
        |draft| {
            batch(draft, "{BATCH} != ''");
            draft.points[4].watch.limits.h = Some(1.0);
        },
    );
}

#[test]
fn a_point_must_go_stale_some_time() {
    check(
        "Point(0) stale_after: stale_after is zero [say after how long without a reading it counts as lost, \
         as 30s]",
        |draft| draft.points[0].stale_after = secs(0),
    );
}

#[test]
fn a_unit_has_a_liable_person() {
    check(
        "Unit(0) liable_person: unit 'U-1' has no liable person [责任人: a hazard of this unit cannot be sent \
         without one]",
        |draft| draft.units[0].liable_person = String::new(),
    );
}

#[test]
fn a_measure_has_codes_of_the_exchange_standard() {
    let classes = |first: &str, second: &str| {
        let (first, second) = (first.to_owned(), second.to_owned());
        move |draft: &mut Draft| {
            draft.measures[0].classify1 = first;
            draft.measures[0].classify2 = second;
        }
    };
    check(
        "Measure(0) classify1: '5' is no classify1 [1 工程技术, 2 维护保养, 3 人员操作, 4 应急措施]\n\
         Measure(0) classify2: classify2 '1-1' does not belong to classify1 '5' [classify1 = \"1\"]",
        classes("5", "1-1"),
    );
    check("Measure(0) classify2: '2-9' is no classify2 [one of 2-1, 2-2, 2-3]", classes("2", "2-9"));
    check("", classes("4", "4-5"));
}

#[test]
fn an_automatic_measure_that_nothing_watches_is_a_warning_each() {
    check(
        "warning: Measure(2) automatic: measure 'M-3' is said to be watched automatically, and nothing watches \
         it [name it in a point with limits or in a rule, or say `automatic = false`]",
        |draft| {
            draft.measures.push(measure("M-3", "U-1"));
            draft.measures.push(MeasureDraft { automatic: false, ..measure("M-4", "U-1") });
        },
    );
}

#[test]
fn a_boost_only_ever_shortens_and_leaves_tasks_of_persons_in_charge_alone() {
    let boost = |task: &str, cycle: u64| {
        let change = TaskChange::Cycle { cycle: secs(cycle), hold: secs(0) };
        let task = Some(TaskEffectDraft { task: task.to_owned(), change });
        move |draft: &mut Draft| draft.rules.push(RuleDraft { task, ..rule("r", "{LI} > 60") })
    };
    check(
        "Rule(0) task: the boost (28801s) is longer than the base cycle (28800s) [a boost only ever shortens]",
        boost("T-1", 28801),
    );
    check("Rule(0) task: the cycle of the boost is zero", boost("T-1", 0));
    check(
        "warning: Rule(0) task: the boost is as long as the base cycle: it changes nothing",
        boost("T-1", 28800),
    );
    check(
        "Rule(0) task: task 'T-2' is 包保 (work_type 1): its cycle is left alone [it can only be added to: task \
         = { id = \"...\", once_within = \"30m\" }]",
        boost("T-2", 60),
    );
    check(
        "Task(2) work_type: 4 is no work_type [0 日常, 1 主要负责人, 2 技术负责人, 3 操作负责人]",
        |draft| {
            draft.tasks.push(task("T-3", 4));
        },
    );
}

#[test]
fn a_raise_to_no_more_than_the_base_is_a_warning() {
    check(
        "warning: Rule(0) unit: it never raises: the base class of unit 'U-1' is as high already",
        |draft| {
            let unit = Some(UnitEffectDraft { raise_to: RiskClass::Yellow, hold: secs(0) });
            draft.rules.push(RuleDraft { unit, ..rule("r", "{LI} > 60") });
        },
    );
}

#[test]
fn a_rule_cannot_be_called_as_an_alarm_of_the_engine() {
    check(
        "Rule(0) id: the limit of the point table already makes a rule 'LI/HH' [choose another id]\n\
         Rule(1) id: the id of a rule cannot begin with 'fault:' [the alarms of lost points and sources have \
         such names]",
        |draft| draft.rules.extend([rule("LI/HH", "{LI} > 60"), rule("fault:x", "{LI} > 60")]),
    );
}

#[test]
fn a_text_at_fault_is_told_at_its_bytes() {
    let mut draft = draft();
    draft.rules.push(RuleDraft { clear: Some("{LI} <".to_owned()), ..rule("r", "{L1} > 1") });
    let faults = Plant::build(draft).unwrap_err();
    let places: Vec<_> = faults.iter().map(|fault| (fault.item, fault.field, fault.span.clone())).collect();
    assert_eq!(places[0], (Item::Rule(0), "when", Some(0..4)));
    assert_eq!((places[1].0, places[1].1), (Item::Rule(0), "clear"));
    assert!(faults[0].hint.as_ref().is_some_and(|hint| hint.contains("LI")), "{faults:?}");
}

#[test]
fn no_maybe_makes_unknown_safe() {
    check(
        "Rule(0) when: `not maybe(…)` takes what nobody can see for safe [write maybe(not …)]\n\
         Rule(1) clear: `maybe` in a clear takes what nobody can see for safe [leave it out: what is unknown \
         keeps the alarm]\n\
         Rule(2) when: `not maybe(…)` takes what nobody can see for safe [write maybe(not …)]",
        |draft| {
            draft.rules.extend([
                rule("a", "{LI} > 1 and not (held(maybe({TI} > 1), 1m) or {TI} > 5)"),
                RuleDraft { clear: Some("maybe({LI} < 1)".to_owned()), ..rule("b", "maybe({LI} > 1)") },
                rule("c", "maybe({LI} > 1) == ({TI} > 1)"),
                RuleDraft {
                    clear: Some("not maybe({LI} > 1)".to_owned()),
                    ..rule("d", "not not maybe({LI} > 1)")
                },
            ]);
        },
    );
}

#[test]
fn a_rule_that_would_fire_at_each_start_is_a_warning() {
    check(
        "warning: Rule(1) when: at each start, before its first reading, a point is bad and of endless age: \
         this may fire [for = \"10s\", or longer than the first reading takes]",
        |draft| {
            draft.rules.extend([
                rule("one", "bad({LI})"),
                rule("two", "bad({LI}) or age({TI}) > 30s"),
                RuleDraft { for_: secs(10), ..rule("three", "bad({LI}) or bad({TI})") },
                rule("held", "held(bad({LI}) or bad({TI}), 10s)"),
            ]);
        },
    );
}

#[test]
fn people_without_any_feed_of_fixes_are_a_fault() {
    check(
        "Rule(0) when: no source carries fixes: how many people are there is unknown for ever [give a source \
         `fixes = [...]`]",
        |draft| {
            draft.sources[1].fixes = false;
            draft.rules.push(rule("r", "people('Z-1') > 1"));
        },
    );
}

#[test]
fn a_call_for_help_that_no_rule_would_hear_is_a_warning() {
    check(
        "warning: Rule(1) when: who calls for help outside of the places that rules name alarms nobody [sos() \
         hears it anywhere, and so does kind = \"sos\" without a place]",
        |draft| draft.rules.extend([rule("a", "{TI} > 1"), rule("b", "sos('Z-1')"), rule("c", "sos('Z-2')")]),
    );
    check("", |draft| draft.rules.extend([rule("b", "sos('Z-1')"), rule("c", "sos()")]));
}

#[test]
fn permits_without_any_feed_of_them_are_a_fault() {
    check(
        "Rule(0) when: no source carries permits: what work is permitted is unknown for ever [give a source \
         `permits = [...]`]",
        |draft| draft.rules.push(rule("r", "permit('U-1', 'lifting')")),
    );
}

#[test]
fn conditions_are_of_a_source_that_tells_them() {
    let of = |when| {
        move |draft: &mut Draft| {
            *draft = told(vec![rule("r", when)]);
            draft.measures.truncate(1);
        }
    };
    check("", of("condition('dcs', 'HH')"));
    check("Rule(0) when: there is no source 'dsc' [did you mean 'dcs'?]", of("condition('dsc', 'HH')"));
    check(
        "Rule(0) when: the source 'plc' tells of no conditions [give it `events = true` (kind opcua)]",
        of("condition('plc', 'HH')"),
    );
    check(
        "Rule(0) when: there is no unit 'Z-1' ['Z-1' is a zone: name its unit, 'U-1']",
        of("permit('Z-1', 'hot_work')"),
    );
}

#[test]
fn limits_make_rules_by_themselves() {
    let (plant, _) = Plant::build(draft()).unwrap();
    let rules: Vec<_> = plant.rules().iter().map(|rule| (rule.id(), rule.text(), rule.priority())).collect();
    assert_eq!(
        rules,
        [
            ("LI/LL", "{LI} <= 5", Priority::High),
            ("LI/L", "{LI} <= 10", Priority::Medium),
            ("LI/H", "{LI} >= 85", Priority::Medium),
            ("LI/HH", "{LI} >= 95", Priority::High),
            ("GD-1/H", "{GD-1} >= 25", Priority::High),
            ("GD-1/HH", "{GD-1} >= 50", Priority::Critical),
            ("GD-2/H", "{GD-2} >= 25", Priority::High),
            ("GD-2/HH", "{GD-2} >= 50", Priority::Critical),
        ]
    );
}

#[test]
fn a_rule_takes_the_strictest_class_that_it_reads_unless_it_says_another() {
    let classes = |draft: Draft| {
        let (plant, _) = Plant::build(draft).unwrap();
        plant.rules().iter().map(Rule::class).collect::<Vec<_>>()
    };
    let read = classes(told(vec![
        rule("a", "{TI} > 1"),
        rule("b", "{TI} > 1 and {GD-1} > 1"),
        rule("c", "people('Z-1') > 1"),
        rule("d", "seen('U-1', 'smoke')"),
        RuleDraft { class: Some(Class::Fire), ..rule("e", "{TI} > 1") },
        rule("f", "{TI} > 1 and permit('U-1', 'hot_work')"),
        rule("g", "condition('dcs', 'HH')"),
    ]));
    let expected = [Class::Process, Class::Gas, Class::People, Class::Video, Class::Fire, Class::Permit];
    assert_eq!(read, [&expected[..], &[Class::Process]].concat());
    let mut trips = told(vec![rule("g", "condition('dcs', 'HH')")]);
    trips.sources[3].events = Some(Class::Sis);
    assert_eq!(classes(trips), [Class::Sis]);
}

#[test]
fn the_version_changes_with_the_text_and_the_delays_and_with_nothing_else() {
    let version = |rule: RuleDraft| {
        let (plant, _) = Plant::build(ruled(vec![rule])).unwrap();
        plant.rules()[0].version().to_owned()
    };
    let base = version(rule("r", "{TI} > 1"));
    assert_eq!(base.len(), 12);
    assert_ne!(base, version(rule("r", "{TI} > 2")));
    assert_ne!(base, version(RuleDraft { for_: secs(1), ..rule("r", "{TI} > 1") }));
    assert_ne!(base, version(RuleDraft { clear: Some("{TI} < 1".to_owned()), ..rule("r", "{TI} > 1") }));
    assert_eq!(base, version(RuleDraft { hazard: Some(hazard(Confirm::Auto)), ..rule("r", "{TI} > 1") }));
}

#[test]
fn all_faults_come_at_once() {
    let lines = faults(|draft| {
        draft.company.clear();
        draft.units[0].liable_person.clear();
        draft.points[1].deadband = f64::NAN;
        draft.rules.push(rule("r", "{nothing}"));
    });
    assert_eq!(lines.lines().count(), 4, "{lines}");
}

#[test]
fn the_chain_names_only_what_is_there() {
    check("Unit(0) hazard_code: there is no object '540170007001' [did you mean '540170007002'?]", |draft| {
        let id = "540170007002".to_owned();
        draft.objects.push(ObjectDraft { id, ..ObjectDraft::default() });
    });
    let event = |id: &str, unit: &str| {
        let (id, unit, name) = (id.to_owned(), unit.to_owned(), "泄漏".to_owned());
        EventDraft { id, unit, name }
    };
    check(
        "Event(1) unit: there is no unit 'U-9' [did you mean 'U-1'?]\n\
         Measure(1) event: there is no event 'f'",
        |draft| {
            draft.events.extend([event("e", "U-1"), event("x", "U-9")]);
            draft.measures.truncate(2);
            draft.measures[1].event = "f".to_owned();
        },
    );
    check("Measure(0) event: event 'e' is of unit 'U-2', the measure of 'U-1'", |draft| {
        draft.units.push(unit("U-2"));
        draft.events.extend([event("e", "U-2"), event("n", "U-1")]);
        draft.measures.truncate(2);
        draft.measures[1].event = "泄漏".to_owned();
    });
    check(
        "Measure(0) points: there is no point 'LJ' [did you mean 'LI'?]\n\
         Measure(0) permits: there is no unit 'U-9' [did you mean 'U-1'?]\n\
         Measure(0) permits: no source carries permits: nobody can see these",
        |draft| {
            draft.measures[0].bound.points.push("LJ".to_owned());
            draft.measures[0].bound.permits.push("U-9".to_owned());
        },
    );
}

#[test]
fn tasks_and_records_are_those_of_the_standard() {
    check(
        "Measure(0) auto_record: measure 'M-1' is not watched automatically and has no record [a person's \
         inspection is a person's record: leave auto_record out]",
        |draft| {
            draft.measures[0].automatic = false;
            draft.measures[0].auto_record = true;
        },
    );
    check(
        "Task(0) task_num: task_num is the number of a 包保 item, and this task is none [write its work_type, \
         1 to 3]\n\
         Task(1) task_num: there is no 包保 item 10 of work_type 1 [allowed: 1 to 9]",
        |draft| draft.tasks.iter_mut().for_each(|task| task.task_num = Some(10)),
    );
    check(
        "Task(0) work_end: the working hours end before they begin [hours within one day; a night is two tasks, \
         or none]\n\
         warning: Task(0) work_days: without a calendar every Monday to Friday counts as 法定工作日 [lay a table \
         with the columns date 日期 and workday 工作日 beside it]",
        |draft| {
            draft.tasks[0].hours = Some((20 * 3600, 8 * 3600));
            draft.tasks[0].days = WorkDays::Working;
        },
    );
    check("Person(1) tags: tag 'T1' is carried by 'li' already [a tag is one person's]", |draft| {
        let person = |id: &str| PersonDraft {
            id: id.to_owned(),
            tags: vec!["T1".to_owned()],
            ..PersonDraft::default()
        };
        draft.persons.extend([person("li"), person("wang")]);
    });
}

#[test]
fn an_area_has_three_corners_and_no_side_that_crosses_another() {
    check("Zone(0) polygon: a polygon of 2 corners encloses nothing [3 corners or more]", |draft| {
        draft.zones[0].polygon = vec![(0.0, 0.0), (1.0, 0.0)];
    });
    check(
        "Zone(0) polygon: sides 1 and 3 of this polygon cross or touch [corners in the order of the fence; the \
         first is not said again at the end]",
        |draft| draft.zones[0].polygon = vec![(0.0, 0.0), (9.0, 9.0), (9.0, 0.0), (0.0, 9.0)],
    );
}

#[test]
fn a_return_that_no_reading_can_bring_is_refused() {
    let hint = "[thresholds within the ranges of the points, that hold together]";
    let clear = |clear: &str| {
        let clear = Some(clear.to_owned());
        move |draft: &mut Draft| draft.rules.push(RuleDraft { clear, ..rule("r", "{LI} > 80") })
    };
    for never in [
        "{LI} < 0",
        "{LI} < 20 and {LI} > 30",
        "max({LI}, 1m) < 20 and (max({LI}, 1m) > 20 or {LI} > 100)",
        "not ({LI} >= 0 or {GD-1} > 5)",
    ] {
        let message = "this can never hold: its alarm would stay for ever";
        check(&format!("Rule(0) clear: {message} {hint}"), clear(never));
    }
    for may in [
        "{LI} <= 0",
        "{LI} < 20 or {LI} > 30",
        "max({LI}, 1m) < 20 and min({LI}, 1m) < 10",
        "not ({LI} >= 0 and {GD-1} > 5)",
        "delta({LI}, 1m) < -100",
    ] {
        check("", clear(may));
    }
    check(
        "Point(0) deadband: the alarm of LL 5 ends beyond 95: no reading in the range 0 to 90 is [a \
         smaller deadband, or a limit further inside]",
        |draft| {
            draft.points[0].range = Some((0.0, 90.0));
            draft.points[0].watch.limits = Limits { ll: Some(5.0), l: None, h: None, hh: None };
            draft.points[0].deadband = 90.0;
        },
    );
}

#[test]
fn the_coverage_counts_automatic_measures_and_names_those_that_nothing_watches() {
    let mut draft = draft();
    draft.measures.push(measure("M-9", "U-1"));
    draft.measures.push(MeasureDraft { automatic: false, ..measure("M-10", "U-1") });
    let (plant, _) = Plant::build(draft).unwrap();
    let coverage = plant.coverage();
    assert_eq!(coverage.to_string(), "2 of 3 automatic measures are watched");
    assert_eq!(coverage.unwatched, ["M-9"]);
}

#[test]
fn a_spot_is_in_every_zone_that_holds_it_on_its_floor() {
    let mut draft = draft();
    let square = |size: f64| vec![(0.0, 0.0), (size, 0.0), (size, size), (0.0, size)];
    draft.zones[0].polygon = square(10.0);
    draft.zones[1].polygon = square(20.0);
    draft.zones[1].floor = "2".to_owned();
    let (plant, _) = Plant::build(draft).unwrap();
    let zones = |x, floor: Option<&str>| {
        plant.zones_around(&riskgate_point::Spot { x, y: 5.0, floor: floor.map(Into::into) })
    };
    assert_eq!(zones(10.0, Some("2")), [0, 1]);
    assert_eq!(zones(10.0, None), [0]);
    assert_eq!(zones(15.0, Some("2")), [1]);
    assert_eq!(zones(15.0, Some("1")), Vec::<u32>::new());
}
