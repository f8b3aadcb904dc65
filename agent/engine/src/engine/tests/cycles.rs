//! The record of a cycle says what happened in that cycle, and what a rule remembers is of what it reads.

use riskgate_point::{Mono, Now, Wall};

use crate::site::{EPOCH, check, check_all, plant, rule, ruled, secs, told};
use crate::*;

/// From 07:00 to 08:00 of each day, which is from 2800 s to 6400 s, and a day later again.
fn one_hour_a_day() -> Draft {
    let mut draft = ruled(vec![rule("hot", "{TI} > 80")]);
    for point in &mut draft.points {
        point.stale_after = secs(1_000_000);
    }
    draft.tasks.truncate(1);
    draft.tasks[0].cycle = secs(3600);
    draft.tasks[0].hours = Some((7 * 3600, 8 * 3600));
    draft.measures[0].auto_record = true;
    draft
}

#[test]
fn what_was_lost_between_two_cycles_is_of_neither() {
    check(
        one_hour_a_day(),
        "
2000s TI bad
  2060s alarm fault:TI unacknowledged #1 blinds M-1
2801s TI 50
  2801s alarm fault:TI returned #1 blinds M-1
  6400s record T-1 Normal by 54017000701 of 2800s to 6400s
7000s TI bad
  7060s alarm fault:TI unacknowledged #2 blinds M-1
60000s TI 50
  60000s alarm fault:TI returned #2 blinds M-1
89000s TI bad
  89060s alarm fault:TI unacknowledged #3 blinds M-1
89260s TI 50
  89260s alarm fault:TI returned #3 blinds M-1
  92800s record T-1 Normal by 54017000701 of 89200s to 92800s
175500s TI bad
  175560s alarm fault:TI unacknowledged #4 blinds M-1
175900s TI 50
  175900s alarm fault:TI returned #4 blinds M-1
  179200s record T-1 Unchecked by 54017000701 of 175600s to 179200s: 监测中断
179201s TI 50
",
    );
}

#[test]
fn what_was_passed_while_the_clock_was_in_doubt_between_two_cycles_is_of_neither() {
    check(
        one_hour_a_day(),
        "
2801s TI 50
  6400s record T-1 Normal by 54017000701 of 2800s to 6400s
7000s wall 7200
7000s TI 90
  7000s alarm hot unacknowledged #1
7001s TI 50
  7001s alarm hot returned #1
7100s TI 50
  85600s record T-1 Normal by 54017000701 of 89200s to 92800s
85601s TI 50
86000s wall 7200
86000s TI 90
  86000s alarm hot unacknowledged #2
86001s TI 50
  86001s alarm hot returned #2
86002s wall -7200
86002s TI 50
  172000s record T-1 Normal by 54017000701 of 175600s to 179200s
172001s TI 50
",
    );
}

/// A device that answers late: what was over when the agent began, and what it could not see then, are one stretch of
/// 14 min, though neither is more than 10 min. A stretch of its own later, with sight between, is another.
#[test]
fn what_nobody_saw_at_the_beginning_of_a_cycle_is_one_stretch() {
    let mut draft = one_hour_a_day();
    (draft.tasks[0].cycle, draft.tasks[0].hours) = (secs(8 * 3600), None);
    draft.sources.truncate(1);
    draft.cameras.clear();
    check(
        draft,
        "
  6400s record T-1 Unchecked by 54017000701 of -22400s to 6400s: 监测中断
6401s up plc
6401s TI 50
35140s keep
35141s off
35740s restart
  35740s record T-1 Normal by 54017000701 of 6400s to 35200s
  35750s alarm fault:source:plc unacknowledged #1 blinds M-1
36040s up plc
36040s TI 50
  36040s alarm fault:source:plc returned #1 blinds M-1
  64000s record T-1 Unchecked by 54017000701 of 35200s to 64000s: 监测中断
64001s TI 50
92740s keep
92741s off
93340s restart
  93340s record T-1 Normal by 54017000701 of 64000s to 92800s
93340s up plc
93340s TI 50
95000s TI bad
  95060s alarm fault:TI unacknowledged #1 blinds M-1
95300s TI 50
  95300s alarm fault:TI returned #1 blinds M-1
  121600s record T-1 Normal by 54017000701 of 92800s to 121600s
121601s TI 50
",
    );
}

/// A reload gives every point another number, and the measure hangs on the conditions of a source no more: that the
/// source is there is seen before the cycles go on under the new numbers.
#[test]
fn a_stretch_that_nobody_sees_is_one_over_a_reload() {
    let mut before = told(vec![rule("hot", "{TI} > 80"), rule("high", "condition('dcs', 'High')")]);
    for point in &mut before.points {
        point.stale_after = secs(1_000_000);
    }
    before.tasks.truncate(1);
    before.measures[0].auto_record = true;
    let mut after = before.clone();
    after.rules.truncate(1);
    after.sources[3].events = None;
    after.points.rotate_right(1);
    check_all(
        vec![before, after],
        "
  6400s record T-1 Unchecked by 54017000701 of -22400s to 6400s: 监测中断
6401s TI 50
6402s told dcs
7000s lost dcs
7010s TI bad
  7060s alarm fault:source:dcs unacknowledged #1 blinds M-1
  7070s alarm fault:TI unacknowledged #1 blinds M-1
7400s reload 1
  7400s alarm fault:source:dcs returned #1 blinds M-1
7800s TI 50
  7800s alarm fault:TI returned #1 blinds M-1
  35200s record T-1 Unchecked by 54017000701 of 6400s to 35200s: 监测中断
35201s TI 50
",
    );
}

#[test]
fn two_records_of_one_person_in_one_millisecond_are_two() {
    let now = Now { mono: Mono(1_000_000_000), wall: Wall(1_700_000_000_000) };
    let plant = plant(ruled(vec![rule("hot", "{TI} > 80")]));
    let mut engine = Engine::new(plant, EPOCH, Restored::default(), now, &mut Vec::new());
    let mut ids = std::collections::BTreeSet::new();
    for (task, wall) in [("T-1", 0), ("T-1", 0), ("T-2", 0), ("T-1", 0), ("T-1", 1), ("T-1", 0)] {
        let deed = Deed::Record { task: task.to_owned(), status: CheckStatus::Normal, why: None };
        let (act, now) = (Act { by: "王".to_owned(), deed }, Now { wall: now.wall.after(secs(wall)), ..now });
        let mut effects = Vec::new();
        engine.act(&act, now, &mut effects).unwrap();
        let id = effects.iter().find_map(|effect| match effect {
            Effect::Record(record) => Some(record.id),
            Effect::Alarm(_)
            | Effect::Hazard(_)
            | Effect::Task(_)
            | Effect::Unit(_)
            | Effect::Stop(_)
            | Effect::Indicator(_)
            | Effect::Shadow(_) => None,
        });
        assert!(ids.insert(id.unwrap()), "{task} {wall}");
    }
}

/// As many zones as before, and another one.
#[test]
fn what_a_rule_remembers_of_other_zones_is_not_what_it_reads_now() {
    let drafts = ["Z-2", "Z-3"].map(|second| {
        let mut draft = ruled(vec![rule("often", "count(people('U-1') > 0, 10m) >= 2")]);
        draft.zones[1].id = second.to_owned();
        draft
    });
    check_all(
        drafts.to_vec(),
        "
1s fix a out
700s fix a Z-2
701s fix a out
702s reload 1
703s fix a Z-3
",
    );
}
