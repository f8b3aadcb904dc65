//! What a program says of the last while, and when it will say something else.

use super::*;
use crate::Truth::{False, True, Unknown};

/// Sets the point at each time and judges; then the verdicts.
fn play(judge: &mut Judge, world: &mut Present, script: &[(u64, Option<f64>)]) -> Vec<Truth> {
    let mut verdicts = Vec::new();
    for (at, value) in script {
        match value {
            Some(value) => world.number("GD-101", *value, ms(*at)),
            None => world.bad("GD-101", BadReason::CommFailure, ms(*at)),
        }
        verdicts.push(judge.at(ms(*at), world));
    }
    verdicts
}

#[test]
fn a_window_is_unknown_until_it_is_covered() {
    for text in [
        "avg({GD-101}, 10s) < 25",
        "delta({GD-101}, 10s) < 1",
        "rate({GD-101}, 10s) < 1",
        "stddev({GD-101}, 10s) < 1",
        "max({GD-101}, 10s) < 25",
        "min({GD-101}, 10s) < 25 and max({GD-101}, 10s) < 25",
        "max({GD-101}, 10s) + 0 < 25",
    ] {
        let (mut judge, mut world) = (Judge::new(text), Present::default());
        play(&mut judge, &mut world, &[(0, Some(20.0))]);
        assert_eq!(judge.at(ms(9_999), &world), Unknown, "{text}");
        assert_eq!(judge.next(ms(9_999)), Some(ms(10_000)), "{text}");
        assert_eq!(judge.at(ms(10_000), &world), True, "{text}");
    }
}

#[test]
fn an_extreme_that_decides_its_comparison_does_not_wait() {
    for (text, verdict) in [
        ("max({GD-101}, 10s) >= 20", True),
        ("max({GD-101}, 10s) > 20", Unknown),
        ("max({GD-101}, 10s) < 20", False),
        ("max({GD-101}, 10s) <= 20", Unknown),
        ("20 <= max({GD-101}, 10s)", True),
        ("20 > max({GD-101}, 10s)", False),
        ("min({GD-101}, 10s) <= 20", True),
        ("min({GD-101}, 10s) < 20", Unknown),
        ("min({GD-101}, 10s) > 20", False),
        ("min({GD-101}, 10s) >= 20", Unknown),
        ("min({GD-101}, 10s) > 2 * 10", False),
        ("not max({GD-101}, 10s) >= 20", False),
    ] {
        let (mut judge, mut world) = (Judge::new(text), Present::default());
        assert_eq!(play(&mut judge, &mut world, &[(0, Some(20.0))]), [verdict], "{text}");
        // Also where the window was covered and then lost sight.
        play(&mut judge, &mut world, &[(10_000, Some(20.0)), (10_001, None)]);
        assert_eq!(judge.at(ms(12_000), &world), verdict, "{text}");
    }
}

#[test]
fn the_value_in_force_at_the_start_belongs_to_the_window() {
    let (mut judge, mut world) = (Judge::new("max({GD-101}, 10s) > 25"), Present::default());
    play(&mut judge, &mut world, &[(0, Some(30.0)), (20_000, Some(10.0))]);
    // 30 was in force until 20 s, so it leaves at 30 s.
    assert_eq!(judge.next(ms(20_000)), Some(ms(30_000)));
    assert_eq!(judge.at(Mono(ms(30_000).0 - 1), &world), True);
    assert_eq!(judge.at(ms(30_000), &world), False);
    assert_eq!(judge.next(ms(30_000)), None);
}

#[test]
fn a_peak_among_samples_of_one_instant_counts() {
    let (mut judge, mut world) = (Judge::new("max({GD-101}, 10s) > 25"), Present::default());
    let verdicts = play(&mut judge, &mut world, &[(0, Some(1.0)), (5, Some(30.0)), (5, Some(1.0))]);
    assert_eq!(verdicts, [Unknown, True, True]);
    assert_eq!(judge.at(ms(10_004), &world), True);
    assert_eq!(judge.at(ms(10_005), &world), False);
}

#[test]
fn a_tenth_of_unknown_time_is_allowed_and_a_nanosecond_more_is_not() {
    let text = "avg({GD-101}, 10s) < 25";
    let (mut judge, mut world) = (Judge::new(text), Present::default());
    play(&mut judge, &mut world, &[(0, Some(20.0)), (20_000, None)]);
    assert_eq!(judge.at(ms(21_000), &world), True);
    let blind = Mono(ms(21_000).0 + 1);
    assert_eq!(judge.next(ms(21_000)), Some(blind));
    assert_eq!(judge.at(blind, &world), Unknown);
    // Unknown from 20 s to 23 s: a tenth of it is left when the window begins at 22 s.
    play(&mut judge, &mut world, &[(23_000, Some(20.0))]);
    let clear = ms(32_000);
    assert_eq!(judge.at(Mono(clear.0 - 1), &world), Unknown);
    assert_eq!(judge.next(Mono(clear.0 - 1)), Some(clear));
    assert_eq!(judge.at(clear, &world), True);
}

#[test]
fn an_average_is_weighted_by_time_and_moves_in_hundredths() {
    let (mut judge, mut world) = (Judge::new("avg({GD-101}, 10s) > 14.95"), Present::default());
    // 10 for the first 10 s, then 20: the mean passes 14.95 after 4.95 s, in the step that ends at 15 s.
    play(&mut judge, &mut world, &[(0, Some(10.0)), (10_000, Some(20.0))]);
    let mut at = ms(10_000);
    let mut steps = Vec::new();
    while judge.at(at, &world) != True {
        let next = judge.next(at).unwrap();
        steps.push(next.0 - at.0);
        at = next;
    }
    assert_eq!(at, ms(15_000));
    assert!(steps.iter().all(|step| *step == 100_000_000), "{steps:?}");
    // Steady again: nothing will change by itself.
    assert_eq!(judge.at(ms(20_000), &world), True);
    assert_eq!(judge.next(ms(20_000)), None);
}

#[test]
fn delta_rate_and_deviation() {
    let script = [(0, Some(10.0)), (5_000, Some(40.0)), (15_000, Some(10.0)), (16_000, Some(13.0))];
    for (text, above, at) in [
        // At 20 s the window begins at 10 s, where 40 was in force: 13 - 40.
        ("delta({GD-101}, 10s) + 27 <= 0", 20_000, True),
        ("delta({GD-101}, 10s) + 27 >= 0", 20_000, True),
        ("rate({GD-101}, 10s) + 27 * 6 <= 0", 20_000, True),
        ("rate({GD-101}, 10s) + 27 * 6 >= 0", 20_000, True),
        // Until 25 s the window begins with 40.
        ("delta({GD-101}, 10s) < 0", 24_999, True),
        ("delta({GD-101}, 10s) < 0", 25_000, False),
        ("delta({GD-101}, 10s) > 2.9", 25_999, True),
        ("delta({GD-101}, 10s) > 2.9", 26_000, False),
        // Half 40, half 10: 5 s of each at 15 s - 10 s.
        ("stddev({GD-101}, 10s) < 0.001", 26_100, True),
    ] {
        let (mut judge, mut world) = (Judge::new(text), Present::default());
        play(&mut judge, &mut world, &script);
        assert_eq!(judge.at(ms(above), &world), at, "{text} at {above}");
    }
    let (mut judge, mut world) = (Judge::new("stddev({GD-101}, 10s) >= 15"), Present::default());
    play(&mut judge, &mut world, &[(0, Some(10.0)), (5_000, Some(40.0))]);
    assert_eq!(judge.at(ms(10_000), &world), True);
    let (mut judge, mut world) = (Judge::new("stddev({GD-101}, 10s) > 15"), Present::default());
    play(&mut judge, &mut world, &[(0, Some(10.0)), (5_000, Some(40.0))]);
    assert_eq!(judge.at(ms(10_000), &world), False);
}

#[test]
fn held_is_true_for_the_whole_of_it_and_false_if_ever_false() {
    let (mut judge, mut world) = (Judge::new("held({GD-101} > 25, 10s)"), Present::default());
    let verdicts = play(&mut judge, &mut world, &[(0, Some(20.0)), (1_000, Some(30.0)), (5_000, Some(31.0))]);
    assert_eq!(verdicts, [False, False, False]);
    assert_eq!(judge.next(ms(5_000)), Some(ms(10_000)), "covered");
    assert_eq!(judge.at(ms(10_000), &world), False);
    assert_eq!(judge.next(ms(10_000)), Some(ms(11_000)));
    assert_eq!(judge.at(Mono(ms(11_000).0 - 1), &world), False);
    assert_eq!(judge.at(ms(11_000), &world), True);
    assert_eq!(judge.next(ms(11_000)), None);
    assert_eq!(play(&mut judge, &mut world, &[(12_000, Some(25.0)), (12_001, Some(26.0))]), [False, False]);
    assert_eq!(judge.next(ms(12_001)), Some(ms(22_001)));
}

#[test]
fn held_is_unknown_if_never_false_but_sometimes_unknown() {
    let (mut judge, mut world) = (Judge::new("held({GD-101} > 25, 10s)"), Present::default());
    assert_eq!(play(&mut judge, &mut world, &[(0, Some(30.0))]), [Unknown], "not yet covered");
    assert_eq!(play(&mut judge, &mut world, &[(20_000, Some(30.0))]), [True]);
    assert_eq!(play(&mut judge, &mut world, &[(21_000, None), (22_000, Some(30.0))]), [Unknown, Unknown]);
    assert_eq!(judge.at(ms(31_999), &world), Unknown);
    assert_eq!(judge.next(ms(31_999)), Some(ms(32_000)));
    assert_eq!(judge.at(ms(32_000), &world), True);
    // False outweighs unknown.
    assert_eq!(
        play(&mut judge, &mut world, &[(33_000, None), (34_000, Some(1.0)), (35_000, None)])[2],
        False
    );
}

#[test]
fn readings_of_one_instant_do_not_break_held_by_their_order() {
    let mut judge = Judge::new("held({GD-101} > {GD-102}, 10s)");
    let mut world = Present::default();
    world.number("GD-101", 20.0, sec(0));
    world.number("GD-102", 10.0, sec(0));
    judge.at(sec(0), &world);
    assert_eq!(judge.at(sec(10), &world), True);
    world.number("GD-102", 30.0, sec(11));
    assert_eq!(judge.at(sec(11), &world), False);
    world.number("GD-101", 40.0, sec(11));
    assert_eq!(judge.at(sec(11), &world), True);
}

#[test]
fn held_of_a_window_follows_the_window() {
    let (mut judge, mut world) = (Judge::new("held(max({GD-101}, 10s) < 25, 5s)"), Present::default());
    play(&mut judge, &mut world, &[(0, Some(30.0)), (20_000, Some(10.0))]);
    let mut changes = Vec::new();
    let mut at = ms(20_000);
    while let Some(next) = judge.next(at) {
        changes.push((next.0 - ms(0).0) / 1_000_000);
        at = next;
        judge.at(at, &world);
    }
    // The peak leaves at 30 s, so the condition has held since then at 35 s.
    assert_eq!(judge.at(ms(34_999).max(at), &world), True);
    assert_eq!(changes, [30_000, 35_000]);
}

#[test]
fn sightings_and_ages_offer_their_ends() {
    let mut world = Present { sighted: Some(sec(1)), ..Present::default() };
    let mut judge = Judge::new("seen('tank-area', 'smoke', window = 30s)");
    assert_eq!(judge.at(sec(2), &world), True);
    assert_eq!(judge.next(sec(2)), Some(sec(31)));
    assert_eq!(judge.at(sec(31), &world), False);
    assert_eq!(judge.next(sec(31)), None);

    world.number("GD-101", 1.0, sec(1));
    let mut judge = Judge::new("age({GD-101}) > 30s");
    assert_eq!(judge.at(sec(2), &world), False);
    assert_eq!(judge.next(sec(2)), Some(sec(31)));
    assert_eq!(judge.at(sec(31), &world), False);
    assert_eq!(judge.next(sec(31)), Some(Mono(sec(31).0 + 1)));
    assert_eq!(judge.at(Mono(sec(31).0 + 1), &world), True);
    assert_eq!(judge.next(sec(32)), None);
}

#[test]
fn the_same_window_written_twice_is_one() {
    let program = program("max({GD-101}, 1m) > 20 or max({GD-101}, 60s) > 20 + 5 or max({GD-101}, 2m) > 9");
    assert_eq!(program.windows.len(), 2);
}

#[test]
fn the_default_clear_moves_thresholds_to_the_safe_side() {
    for (when, clear) in [
        ("{GD-101} >= 25", "not ({GD-101} >= 24)"),
        ("25 <= {GD-101}", "not (24 <= {GD-101})"),
        ("{GD-101} < 5", "not ({GD-101} < 6)"),
        ("not {GD-101} >= 25", "not (not {GD-101} >= 26)"),
        ("not not {GD-101} >= 25", "not (not not {GD-101} >= 24)"),
        ("{TI-101} > (20)+10 or {TI-101} < -1", "not ({TI-101} > 29.5 or {TI-101} < -0.5)"),
        (
            "max({GD-101}, 1m) > 25 and held({GD-102} > (25), 5s)",
            "not (max({GD-101}, 1m) > 24 and held({GD-102} > (24), 5s))",
        ),
        (
            "recently({GD-101} >= 25, 10s) or count({GD-101} >= 25, 1m) >= 3",
            "not (recently({GD-101} >= 24, 10s) or count({GD-101} >= 25, 1m) >= 3)",
        ),
        (
            "then({GD-101} >= 25, {GD-102} >= 25, 10s) or not recently(not min({TI-101}, 1m) < 5, 10s)",
            "not (then({GD-101} >= 25, {GD-102} >= 25, 10s) or not recently(not min({TI-101}, 1m) < 5.5, 10s))",
        ),
        (
            "at_least(1, avg({GD-101}, 1m) > 5, maybe({GD-101} > 6))",
            "not (at_least(1, avg({GD-101}, 1m) > 4, maybe({GD-101} > 5)))",
        ),
        // Not a threshold of the point itself, or none at all.
        ("rate({GD-101}, 1m) > 5", "not (rate({GD-101}, 1m) > 5)"),
        ("stddev({GD-101}, 1m) > 0.1", "not (stddev({GD-101}, 1m) > 0.1)"),
        ("{GD-101} > {GD-102}", "not ({GD-101} > {GD-102})"),
        ("{GD-101} * 2 > 3", "not ({GD-101} * 2 > 3)"),
        ("{PI-101} > 3", "not ({PI-101} > 3)"),
        ("people('tank-a') > 3", "not (people('tank-a') > 3)"),
    ] {
        assert_eq!(program(when).default_clear().text, clear);
        // The text says what the program does.
        assert_eq!(program(clear).reads(), program(when).default_clear().reads());
    }
}

#[test]
fn between_threshold_and_deadband_neither_fires_nor_clears() {
    let when = program("{GD-101} >= 25 and held({GD-102} < 5, 1s)");
    let (mut clear, mut when) = (Judge::of(when.default_clear()), Judge::of(when));
    let mut world = Present::default();
    world.number("GD-102", 5.5, sec(0));
    for (value, fires, clears) in [(25.0, False, False), (24.0, False, False), (23.9, False, True)] {
        world.number("GD-101", value, sec(0));
        for judge in [&mut when, &mut clear] {
            judge.memory = judge.program.memory();
            judge.at(sec(0), &world);
        }
        assert_eq!(when.at(sec(1), &world), fires, "{value}");
        assert_eq!(clear.at(sec(1), &world), clears, "{value}");
    }
    world.bad("GD-101", BadReason::CommFailure, sec(2));
    assert_eq!(clear.at(sec(2), &world), Unknown, "what cannot be seen is not cleared");
}
