//! Every fault as a person reads it: where it begins, the bytes that it marks, what is wrong and what to
//! write instead.

use super::*;

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let faults = match compile(text, &Plant) {
        Ok((_, warnings)) => warnings,
        Err(faults) => faults,
    };
    let shown = shown(text, &faults);
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected, "of {text}");
}

#[test]
fn names_that_do_not_exist_get_the_nearest_that_does() {
    check("{GD-110} > 25", &["0[{GD-110}] there is no point {GD-110} (did you mean {GD-101}?)"]);
    check("{gd-101} > 25", &["0[{gd-101}] there is no point {gd-101} (did you mean {GD-101}?)"]);
    check("{PUMP} > 25", &["0[{PUMP}] there is no point {PUMP}"]);
    check(
        "{a}b} > 1",
        &[
            r"3[b}] `b}` is neither a tag nor a function (a tag stands in braces: {b\}}; a text in quotes: 'b}')",
            "4[}] `}` has no place here (a tag stands in braces: {TAG})",
        ],
    );
    check(
        "people('tank-b') > 0",
        &["7['tank-b'] there is no zone or unit 'tank-b' (did you mean 'tank-a'?)"],
    );
    check("people('nowhere') > 0", &["7['nowhere'] there is no zone or unit 'nowhere'"]);
    check(
        "people('office') > 0",
        &[
            "7['office'] 'office' has no zone, so nobody is ever in it (give the unit a [[zone]], or name a zone)",
        ],
    );
    check(
        "seen('tank-aria', 'smoke')",
        &["5['tank-aria'] there is no unit 'tank-aria' (did you mean 'tank-area'?)"],
    );
    check(
        "seen('office', 'smoke')",
        &[
            "5['office'] the unit 'office' has no camera, so nothing is ever seen there (give the unit a [[camera]], or leave `seen` out)",
        ],
    );
    check(
        "seen('tank-area', 'smok')",
        &["18['smok'] warning: 'smok' is not one of the usual sightings (did you mean 'smoke'?)"],
    );
    check(
        "averag({TI-101}, 1m) > 3",
        &[
            "0[averag] there is no function `averag` (the functions are at_least, maybe, held, recently, count, then, first_out, active, avg, min, max, delta, rate, stddev, bad, stale, age, people, present, lone, still, sos, guarded, seen, condition, permit)",
        ],
    );
    check(
        "tally({ESD-1}, 1m) > 3",
        &[
            "0[tally] there is no function `tally` (the functions are at_least, maybe, held, recently, count, then, first_out, active, avg, min, max, delta, rate, stddev, bad, stale, age, people, present, lone, still, sos, guarded, seen, condition, permit)",
        ],
    );
    check(
        "formerly({ESD-1}, 1m)",
        &[
            "0[formerly] there is no function `formerly` (the functions are at_least, maybe, held, recently, count, then, first_out, active, avg, min, max, delta, rate, stddev, bad, stale, age, people, present, lone, still, sos, guarded, seen, condition, permit)",
        ],
    );
}

#[test]
fn conditions_name_a_source_that_tells_them_a_state_and_a_severity() {
    check("condition('dsc', 'HighHigh')", &["10['dsc'] there is no source 'dsc' (did you mean 'dcs'?)"]);
    check("condition('nowhere', 'x')", &["10['nowhere'] there is no source 'nowhere'"]);
    check(
        "condition('rtls', 'HighHigh')",
        &["10['rtls'] the source 'rtls' tells of no conditions (give it `events = true` (kind opcua))"],
    );
    check(
        "condition('dcs', 'HighHigh', state = 'acked', severity = 1001)",
        &[
            "37['acked'] there is no state of a condition 'acked' (there are active, unacknowledged, suppressed)",
            "57[1001] a severity is a whole number from 1 to 1000 (this is 1001)",
        ],
    );
    check(
        "condition('dcs', 'HighHigh', state = 'activ')",
        &[
            "37['activ'] there is no state of a condition 'activ' (did you mean 'active'? There are active, unacknowledged, suppressed)",
        ],
    );
    check(
        "condition('dcs', {TI-101})",
        &[
            "17[{TI-101}] this argument is the name of the condition, a text: condition('dcs', 'HighHigh') (this is a measured number)",
        ],
    );
    check(
        "condition('dcs', 'H', confidence = 1)",
        &[
            "22[confidence] `condition` has no argument `confidence` (condition('source', 'name' [, state = 'active'] [, severity = 1]))",
        ],
    );
}

#[test]
fn permits_name_a_unit_and_a_kind_of_work() {
    check(
        "permit('tank-aria', 'hot_work')",
        &["7['tank-aria'] there is no unit 'tank-aria' (did you mean 'tank-area'?)"],
    );
    check(
        "permit('tank-a', 'hot_work')",
        &["7['tank-a'] there is no unit 'tank-a' ('tank-a' is a zone: name its unit, 'tank-area')"],
    );
    let all =
        "hot_work, confined_space, blind_plate, height, lifting, temporary_power, earthwork, road_closing";
    check(
        "permit('tank-area', 'hot-work')",
        &[&format!(
            "20['hot-work'] there is no kind of work 'hot-work' (did you mean 'hot_work'? There are {all})"
        )],
    );
    check(
        "permit('tank-area', '动火作业')",
        &["20['动火作业'] there is no kind of work '动火作业' (write 'hot_work')"],
    );
    check(
        "permit('tank-area')",
        &["0[permit('tank-area')] 1 argument is not what `permit` takes (permit('unit', 'kind'))"],
    );
}

#[test]
fn comparisons_fit_their_sides() {
    check(
        "mx({TI-101}, 1m) > 3",
        &[
            "0[mx] there is no function `mx` (did you mean `max`? The functions are at_least, maybe, held, recently, count, then, first_out, active, avg, min, max, delta, rate, stddev, bad, stale, age, people, present, lone, still, sos, guarded, seen, condition, permit)",
        ],
    );
    check("20 < {TI-101} < 30", &["14[<] comparisons do not chain (write 20 < {TI-101} and {TI-101} < 30)"]);
    check(
        "{TI-101} == 20",
        &[
            "9[==] `==` between measured numbers holds by accident only (write a range: {TI-101} >= … and {TI-101} <= …)",
        ],
    );
    check(
        "{TI-101} != {PI-101}",
        &[
            "0[{TI-101} != {PI-101}] warning: different eu: ℃ and kPa (convert one of them: multiply it by a factor)",
            "9[!=] `!=` between measured numbers holds by accident only (write a range: {TI-101} >= … and {TI-101} <= …)",
        ],
    );
    check(
        "people('tank-a') == 1.5",
        &[
            "17[==] `==` between measured numbers holds by accident only (write a range: people('tank-a') >= … and people('tank-a') <= …)",
        ],
    );
    check(
        "{P-101} == 'runing'",
        &[
            "11['runing'] the point never reads 'runing' (did you mean 'running'? it reads one of 'stopped', 'running')",
        ],
    );
    check(
        "{P-101} == 'open'",
        &["11['open'] the point never reads 'open' (it reads one of 'stopped', 'running')"],
    );
    check(
        "'open' != {P-101}",
        &["0['open'] the point never reads 'open' (it reads one of 'stopped', 'running')"],
    );
    check(
        "{P-101} == 1",
        &["0[{P-101} == 1] an enumeration is compared with a number (it reads one of 'stopped', 'running')"],
    );
    check("{P-101} > 'running'", &["8[>] texts have no order, so `>` says nothing (compare with == or !=)"]);
    check(
        "{ESD-1} == 1",
        &[
            "0[{ESD-1} == 1] a bool is compared with a number (a bool stands for itself: {ESD-1}, or not {ESD-1})",
        ],
    );
    check(
        "0 == {ESD-1}",
        &[
            "0[0 == {ESD-1}] a number is compared with a bool (a bool stands for itself: {ESD-1}, or not {ESD-1})",
        ],
    );
    check("{ESD-1} > {ESD-2}", &["8[>] bools have no order, so `>` says nothing (compare with == or !=)"]);
    check(
        "{BATCH} > 3",
        &["0[{BATCH} > 3] a text is compared with a number ({BATCH} reads texts: compare it with '…')"],
    );
    check(
        "{TI-101} == 'running'",
        &[
            "0[{TI-101} == 'running'] a number is compared with a text (a number is compared with a number, a text with a text)",
        ],
    );
}

#[test]
fn functions_say_what_they_take() {
    check(
        "'a' == 'a'",
        &["0['a' == 'a'] warning: this never changes: both sides are constants (put a point on one side)"],
    );
    check(
        "avg({TI-101}, 60) > 3",
        &["14[60] the length of a window is a duration: 500ms 30s 1m 2h 1d (this is 60)"],
    );
    check(
        "avg({P-101}, 1m) > 3",
        &[
            "4[{P-101}] a window is over numbers, and {P-101} reads none (for conditions over time use held(condition, duration))",
        ],
    );
    check("avg(25, 1m) > 3", &["4[25] this argument is a point: {TAG} (this is 25)"]);
    check(
        "avg({TI-101} + 1, 1m) > 3",
        &["4[{TI-101} + 1] this argument is a point: {TAG} (this is a measured number)"],
    );
    check(
        "avg({TI-101}) > 3",
        &["0[avg({TI-101})] 1 argument is not what `avg` takes (avg({TAG}, duration))"],
    );
    check(
        "avg({TI-101}, 1m, 2m) > 3",
        &["0[avg({TI-101}, 1m, 2m)] 3 arguments are not what `avg` takes (avg({TAG}, duration))"],
    );
    check("avg({TI-101}, 10ms) > 3", &["14[10ms] the length of a window is out of range (100ms to 31d)"]);
    check("max({TI-101}, 90d) > 3", &["14[90d] the length of a window is out of range (100ms to 31d)"]);
    check("held({ESD-1}, 0s)", &["14[0s] the length of held is out of range (1ms to 31d)"]);
    check(
        "held({TI-101}, 5s)",
        &["5[{TI-101}] a condition is expected, and this is a number (compare it: {TI-101} > …)"],
    );
    check("held({ESD-1}, 5)", &["14[5] the length of held is a duration: 500ms 30s 1m 2h 1d (this is 5)"]);
    check("held()", &["0[held()] 0 arguments are not what `held` takes (held(condition, duration))"]);
    check("age({TI-101}) > 30", &["0[age({TI-101}) > 30] a duration is compared with a number (write 30s)"]);
    check(
        "{TI-101} > 30s",
        &["0[{TI-101} > 30s] a number is compared with a duration (a duration is compared with age({TAG}))"],
    );
    check(
        "{TI-101} + 30s > 3",
        &[
            "11[30s] a number is expected, and this is a duration (durations stand in windows, and beside age({TAG}))",
        ],
    );
    check(
        "age({TI-101}) == 30s",
        &["14[==] `==` between durations holds for an instant only (compare with < <= > >=)"],
    );
    check(
        "age({TI-101}) + 5s > 30s",
        &[
            "0[age({TI-101})] a number is expected, and this is a duration (durations stand in windows, and beside age({TAG}))",
            "16[5s] a number is expected, and this is a duration (durations stand in windows, and beside age({TAG}))",
        ],
    );
    check(
        "30s > 10s",
        &["0[30s > 10s] warning: this never changes: both sides are constants (put a point on one side)"],
    );
    check(
        "age({TI-101})",
        &["0[age({TI-101})] a condition is expected, and this is a duration (compare it: age({TAG}) > 30s)"],
    );
    check(
        "at_least(4, {ESD-1}, {ESD-2})",
        &["9[4] at least 4 of 2 conditions (write a whole number from 1 to 2)"],
    );
    check("at_least(0, {ESD-1})", &["9[0] at least 0 of 1 conditions (write a whole number from 1 to 1)"]);
    check(
        "at_least(1.5, {ESD-1})",
        &["9[1.5] at least 1.5 of 1 conditions (write a whole number from 1 to 1)"],
    );
    check(
        "at_least({ESD-1}, {ESD-2})",
        &[
            "9[{ESD-1}] the first argument of `at_least` is how many must be true, a whole number (this is a bool)",
        ],
    );
    check(
        "at_least(2)",
        &["0[at_least(2)] 1 argument is not what `at_least` takes (at_least(k, condition, …))"],
    );
    check(
        "at_least(1, {TI-101})",
        &["12[{TI-101}] a condition is expected, and this is a number (compare it: {TI-101} > …)"],
    );
    check(
        "at_least({TI-101}, {ESD-2})",
        &[
            "9[{TI-101}] the first argument of `at_least` is how many must be true, a whole number (this is a measured number)",
        ],
    );
    check(
        "people(tank-a) > 0",
        &[
            "7[tank-a] `tank-a` is neither a tag nor a function (a tag stands in braces: {tank-a}; a text in quotes: 'tank-a')",
        ],
    );
    check(
        "people({TI-101}) > 0",
        &[
            "7[{TI-101}] this argument is the id of a zone or a unit, a text: people('tank-a') (this is a measured number)",
        ],
    );
    check(
        "people('') > 0",
        &["7[''] the text is empty (this argument is the id of a zone or a unit, a text: people('tank-a'))"],
    );
    check(
        "people('tank-a', '') > 0",
        &["17[''] the text is empty (this argument is the role, a text: people('tank-a', 'visitor'))"],
    );
    check(
        "people('tank-a', role = 'visitor') > 0",
        &["17[role] `people` has no argument `role` (people('zone or unit' [, 'role']))"],
    );
    check(
        "people('tank-a')",
        &[
            "0[people('tank-a')] a condition is expected, and this is a number (compare it: people('tank-a') > …)",
        ],
    );
    check(
        "seen('tank-area', 'smoke', confidence = 2)",
        &["40[2] a confidence is a number from 0 to 1 (this is 2)"],
    );
    check(
        "seen('tank-area', 'smoke', confidence = 30s)",
        &["40[30s] a confidence is a number from 0 to 1 (this is a duration)"],
    );
    check(
        "seen('tank-area', 'smoke', window = 30)",
        &["36[30] the length of the window of `seen` is a duration: 500ms 30s 1m 2h 1d (this is 30)"],
    );
    check(
        "seen('tank-area', 'smoke', windw = 30s)",
        &[
            "27[windw] `seen` has no argument `windw` (seen('unit', 'kind' [, confidence = 0.6] [, window = 30s] [, times = 1]))",
        ],
    );
    check(
        "seen('tank-area', 'smoke', window = 30s, window = 1m)",
        &["41[window] `window` is given twice (remove one of them)"],
    );
}

#[test]
fn a_condition_is_a_bool_and_arithmetic_is_of_numbers() {
    check(
        "seen('tank-area', window = 30s, 'smoke')",
        &[
            "32['smoke'] a name is missing before this argument (arguments without a name stand before those with one)",
        ],
    );
    check(
        "seen('tank-area')",
        &[
            "0[seen('tank-area')] 1 argument is not what `seen` takes (seen('unit', 'kind' [, confidence = 0.6] [, window = 30s] [, times = 1]))",
        ],
    );
    check(
        "{TI-101}",
        &["0[{TI-101}] a condition is expected, and this is a number (compare it: {TI-101} > …)"],
    );
    check(
        "{BATCH}",
        &["0[{BATCH}] a condition is expected, and this is a text (compare it: {BATCH} == '…')"],
    );
    check("25", &["0[25] a condition is expected, and this is a number (compare it: 25 > …)"]);
    check("'x'", &["0['x'] a condition is expected, and this is a text (compare it: 'x' == '…')"]);
    check(
        "not {TI-101}",
        &["4[{TI-101}] a condition is expected, and this is a number (compare it: {TI-101} > …)"],
    );
    check(
        "{ESD-1} + 1 > 2",
        &["0[{ESD-1}] a number is expected, and this is a bool (conditions are joined with and, or, not)"],
    );
    check(
        "{P-101} * 2 > 1",
        &["0[{P-101}] a number is expected, and this is a text (texts are compared with == and != only)"],
    );
    check(
        "-{ESD-1} > 1",
        &["1[{ESD-1}] a number is expected, and this is a bool (conditions are joined with and, or, not)"],
    );
    check(
        "{TI-101} > {PI-101}",
        &[
            "0[{TI-101} > {PI-101}] warning: different eu: ℃ and kPa (convert one of them: multiply it by a factor)",
        ],
    );
    check(
        "{TI-101} + {PI-101} > 3",
        &[
            "0[{TI-101} + {PI-101}] warning: different eu: ℃ and kPa (convert one of them: multiply it by a factor)",
        ],
    );
    check("{TI-101} * 2 > {PI-101}", &[]);
    check(
        "rate({TI-101}, 1m) > {TI-101}",
        &[
            "0[rate({TI-101}, 1m) > {TI-101}] warning: different eu: ℃/min and ℃ (convert one of them: multiply it by a factor)",
        ],
    );
    check(
        "1 < 2",
        &["0[1 < 2] warning: this never changes: both sides are constants (put a point on one side)"],
    );
    check("{TI-101} / 0 > 1", &["11[0] division by zero is always unknown (divide by another number)"]);
}

#[test]
fn slips_of_another_language_or_keyboard_are_one_fault_each() {
    check(
        "{TI-101} > 1e308 * 10",
        &["11[1e308 * 10] this is too large for a number (numbers reach up to about 1.8e308)"],
    );
    check("{TI-101} > 1e999", &["11[1e999] the number is too large (numbers reach up to about 1.8e308)"]);
    check(
        "GD-101 > 25",
        &[
            "0[GD-101] `GD-101` is neither a tag nor a function (a tag stands in braces: {GD-101}; a text in quotes: 'GD-101')",
        ],
    );
    check(
        "tank > 25",
        &[
            "0[tank] `tank` is neither a tag nor a function (a tag stands in braces: {tank}; a text in quotes: 'tank')",
        ],
    );
    check(
        "true",
        &[
            "0[true] `true` is not a word of the language (a bool point stands for itself: {TAG}, or not {TAG})",
        ],
    );
    check("{TI-101} > 1 AND {ESD-1}", &["13[AND] `AND` is not a word of the language (write and)"]);
    check(
        "{TI-101} ≥ 1 && ！{ESD-1} 或 {ESD-2}",
        &[
            "9[≥] `≥` is not a sign of the language (write >=)",
            "15[&&] `&&` is not a sign of the language (write and)",
            "18[！] `！` is not a sign of the language (write not)",
            "29[或] `或` is not a word of the language (write or)",
        ],
    );
    check(
        "max（{TI-101}，1m） > 3",
        &[
            "3[（] `（` is not a sign of the language (write ()",
            "14[，] `，` is not a sign of the language (write ,)",
            "19[）] `）` is not a sign of the language (write ))",
        ],
    );
    check(r#"{P-101} == "running""#, &[r#"11["running"] texts stand in single quotes (write 'running')"#]);
    check("{P-101} == “running”", &["11[“running”] texts stand in single quotes (write 'running')"]);
    check("{TI-101} = 20", &["9[=] `=` compares nothing (write <=, >=, == or !=)"]);
}

#[test]
fn what_the_lexer_cannot_read() {
    check(
        "{TI-101} <> 20",
        &[
            "9[<>] `<>` is not a sign of the language (write !=)",
            "9[<>] `!=` between measured numbers holds by accident only (write a range: {TI-101} >= … and {TI-101} <= …)",
        ],
    );
    check("{TI-101} => 20", &["9[=>] `=>` is not a sign of the language (write >=)"]);
    check("{TI-101 > 25", &[r"0[{TI-101 > 25] the tag is not closed (write {TAG}; a } inside a tag is \})"]);
    check("{} > 1", &["0[{}] an empty tag (write the tag of a point between the braces: {TAG})"]);
    check("{BATCH} == 'abc", &["11['abc] the text is not closed (write 'text'; a ' inside a text is '')"]);
    check(
        "{TI-101} > 25kPa",
        &[
            "11[25kPa] `25kPa` is neither a number nor a duration (numbers are in the point's own eu and carry none; durations are 500ms 30s 1m 2h 1d)",
        ],
    );
    check(
        "held({ESD-1}, 1.5m)",
        &["14[1.5m] `1.5m` is not a duration (durations are whole: write 90s for 1.5m, 1500ms for 1.5s)"],
    );
    check(
        "held({ESD-1}, 1m30s)",
        &[
            "14[1m30s] `1m30s` is neither a number nor a duration (numbers are in the point's own eu and carry none; durations are 500ms 30s 1m 2h 1d)",
        ],
    );
    check(
        "held({ESD-1}, 99999999999d)",
        &["14[99999999999d] the duration is too long (durations reach up to 3650d)"],
    );
}

#[test]
fn what_the_parser_cannot_read() {
    check(
        "{TI-101} > 20 % 3",
        &[
            "14[%] `%` is not a sign of the language (the signs are ( ) , + - * / < <= > >= == != and the words or, and, not)",
        ],
    );
    check("{TI-101} > 25]", &["13[]] `]` has no place here (a tag stands in braces: {TAG})"]);
    check("", &["0[] the condition is empty (write a condition: {TAG} >= 25)"]);
    check("   ", &["0[   ] the condition is empty (write a condition: {TAG} >= 25)"]);
    check(
        "{TI-101} >",
        &[
            "10[] a value is missing at the end (a value is {TAG}, a number, 'text', a duration, a function or a part in brackets)",
        ],
    );
    check(
        "> 3",
        &[
            "0[>] a value is missing here (a value is {TAG}, a number, 'text', a duration, a function or a part in brackets)",
        ],
    );
    check(
        "{TI-101} > 3 and",
        &[
            "16[] a value is missing at the end (a value is {TAG}, a number, 'text', a duration, a function or a part in brackets)",
        ],
    );
    check(
        "and {ESD-1}",
        &[
            "0[and] a value is missing here (a value is {TAG}, a number, 'text', a duration, a function or a part in brackets)",
        ],
    );
    check("({ESD-1}", &["0[(] the bracket is not closed (add ))"]);
    check("{ESD-1})", &["7[)] this `)` closes nothing (remove it, or add ( before)"]);
    check(
        "{ESD-1} {ESD-2}",
        &[
            "8[{ESD-2}] an operator is missing before this (join conditions with and, or; numbers with + - * /)",
        ],
    );
    check(
        "({ESD-1} {ESD-2}) or {XX}",
        &["9[{ESD-2}] a `)`, a `,` or an operator is missing before this", "21[{XX}] there is no point {XX}"],
    );
    check("max({TI-101}, 1m > 3", &["3[(] the bracket is not closed (add ))"]);
    check("max({TI-101} 1m) > 3", &["13[1m] a `)`, a `,` or an operator is missing before this"]);
    check("{ESD-1}, {ESD-2}", &["7[,] a `,` outside of a function's brackets (write and, or)"]);
    check(
        "({TI-101} > ) and ({PI-101} < {NO})",
        &[
            "12[)] a value is missing here (a value is {TAG}, a number, 'text', a duration, a function or a part in brackets)",
            "30[{NO}] there is no point {NO}",
        ],
    );
    check(
        "{TI-101} + not {ESD-1} > 3",
        &[
            "11[not] `not` has no place here (put the part with `not` in brackets)",
            "15[{ESD-1} > 3] a bool is compared with a number (a bool stands for itself: {ESD-1}, or not {ESD-1})",
        ],
    );
    check(
        "()",
        &[
            "1[)] a value is missing here (a value is {TAG}, a number, 'text', a duration, a function or a part in brackets)",
        ],
    );
    check(
        "max(,) > 3",
        &[
            "4[,] a value is missing here (a value is {TAG}, a number, 'text', a duration, a function or a part in brackets)",
            "5[)] a value is missing here (a value is {TAG}, a number, 'text', a duration, a function or a part in brackets)",
        ],
    );
    check(")", &["0[)] this `)` closes nothing (remove it, or add ( before)"]);
    check(
        "{ESD-1} or or {ESD-2}",
        &[
            "11[or] a value is missing here (a value is {TAG}, a number, 'text', a duration, a function or a part in brackets)",
        ],
    );
    check(
        "{GD-110} > 25 and avg({TI-101}, 60) > people('tank-b') or {P-101} == 'runing' and 1 < {TI-101} < 3",
        &[
            "0[{GD-110}] there is no point {GD-110} (did you mean {GD-101}?)",
            "32[60] the length of a window is a duration: 500ms 30s 1m 2h 1d (this is 60)",
            "45['tank-b'] there is no zone or unit 'tank-b' (did you mean 'tank-a'?)",
            "69['runing'] the point never reads 'runing' (did you mean 'running'? it reads one of 'stopped', 'running')",
            "95[<] comparisons do not chain (write 1 < {TI-101} and {TI-101} < 3)",
        ],
    );
}

#[test]
fn spans_count_bytes_and_warnings_come_beside_errors_and_with_programs() {
    check(
        "{TI-101} > {PI-101} and {P-101} == '运行'",
        &[
            "0[{TI-101} > {PI-101}] warning: different eu: ℃ and kPa (convert one of them: multiply it by a factor)",
            "35['运行'] the point never reads '运行' (it reads one of 'stopped', 'running')",
        ],
    );
    let (_, warnings) = compile("{TI-101} > {PI-101}", &Plant).unwrap();
    assert!(warnings.iter().all(|fault| fault.severity == Severity::Warning));
    assert_eq!(warnings.len(), 1);
}

#[test]
fn depth_length_and_faults_are_bounded() {
    for deep in [
        "(".repeat(5_000),
        "not ".repeat(4_000),
        "-".repeat(16_000),
        "held(".repeat(3_000),
        "at_least(1,".repeat(1_400),
    ] {
        let faults = compile(&deep, &Plant).unwrap_err();
        assert!(faults.iter().any(|fault| fault.message.contains("nested more than 50 deep")), "{faults:?}");
        assert!(faults.len() <= 3, "{}", shown(&deep, &faults));
    }
    let allowed = format!("{}{{ESD-1}}{}", "(".repeat(50), ")".repeat(50));
    assert!(compile(&allowed, &Plant).is_ok());
    // A long chain is not a deep one.
    let chain = format!("{{TI-101}}{} > 3", " + 1".repeat(4_000));
    assert!(compile(&chain, &Plant).is_ok());
    let chain = format!("{{ESD-1}}{}", " or {ESD-1}".repeat(1_400));
    assert!(compile(&chain, &Plant).is_ok());
    let long = format!("{{ESD-1}}{}", " ".repeat(16_384));
    assert_eq!(compile(&long, &Plant).unwrap_err().len(), 1);
    assert_eq!(compile(&"{XX} and ".repeat(1_000), &Plant).unwrap_err().len(), 50);
}
