//! Conditions over time: at their edges, through programs, and against a model that keeps all of the past.

use proptest::prelude::*;

use super::super::past::{EDGES_MAX, Past, PastKind};
use super::*;
use crate::Truth::{False, True, Unknown};

const A: &str = "{GD-101} >= 25";
const B: &str = "{GD-102} >= 25";

/// A line is `MS A B VERDICT`, truths as T, F, U; `-` leaves it as it is.
#[track_caller]
fn check(text: &str, script: &str) {
    let (mut judge, mut world) = (Judge::new(text), Present::default());
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let [at, a, b, expected] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
        let at = ms(at.parse().unwrap());
        for (tag, truth) in [("GD-101", a), ("GD-102", b)] {
            match truth {
                "T" => world.number(tag, 30.0, at),
                "F" => world.number(tag, 20.0, at),
                "U" => world.bad(tag, BadReason::CommFailure, at),
                _ => {}
            }
        }
        let came = match judge.at(at, &world) {
            True => "T",
            False => "F",
            Unknown => "U",
        };
        assert_eq!(came, expected, "{text}: {line}");
    }
}

#[test]
fn recently_is_true_if_ever_true_and_unknown_if_ever_unknown() {
    check(
        &format!("recently({A}, 10s)"),
        "
        0      F - U
        9999   - - U
        10000  - - F
        11000  T - T
        12000  F - T
        21999  - - T
        22000  - - F
        23000  U - U
        24000  F - U
        33999  - - U
        34000  - - F
        35000  T - T
        36000  U - T
        46000  - - U
        ",
    );
}

#[test]
fn a_pulse_within_one_instant_was_recently_and_counts() {
    check(&format!("recently({A}, 10s)"), "0 F - U\n20000 T - T\n20000 F - T\n29999 - - T\n30000 - - F");
    check(&format!("count({A}, 10s) >= 1"), "0 F - U\n20000 T - T\n20000 F - T\n29999 - - T\n30000 - - F");
    check(&format!("held({A}, 10s)"), "0 T - U\n20000 F - F\n20000 T - T");
}

#[test]
fn count_looks_through_unknown_and_the_first_value_is_no_edge() {
    check(
        &format!("count({A}, 100s) >= 2"),
        "
        0       T - U
        1000    F - U
        2000    U - U
        2100    T - U
        3000    F - U
        3500    U - U
        3600    F - U
        4000    T - T
        50000   - - T
        102099  - - T
        102100  - - F
        ",
    );
}

#[test]
fn what_was_counted_is_the_least_where_more_than_a_tenth_was_unseen() {
    let script = "0 F - U\n20000 - - F\n21000 U - F\n22001 - - U\n23000 F - U\n40000 - - F";
    check(&format!("count({A}, 10s) >= 1"), script);
    check(&format!("count({A}, 10s) == 1"), script);
    // Fewer than three is decided as soon as there were three, and not before.
    check(&format!("count({A}, 10s) < 1"), "0 F - U\n1000 T - F\n1500 F - F\n11000 - - T");
}

#[test]
fn more_edges_than_are_kept_are_as_many_as_are_kept() {
    let mut past = Past::new(PastKind::Count, 3_600_000_000_000);
    for n in 0..5_000_u64 {
        past.observe(Truth::from(n % 2 == 1), Unknown, n * 1_000_000);
    }
    assert_eq!(past.count(5_000_000_000).map(|counted| counted.n), u32::try_from(EDGES_MAX).ok());
}

#[test]
fn a_threshold_that_no_count_reaches_is_refused() {
    let faults = compile("count({ESD-1}, 1d) > 1001", &Plant).unwrap_err();
    assert_eq!(
        shown("count({ESD-1}, 1d) > 1001", &faults),
        "21[1001] `count` counts up to 1000 (compare it with less, over a shorter time)"
    );
    assert!(compile("1000 <= count({ESD-1}, 1d) and count({ESD-1}, 1h) == 3", &Plant).is_ok());
}

#[test]
fn then_is_the_second_rising_within_the_duration_after_the_first() {
    let text = format!("then({A}, {B}, 10s)");
    check(&text, "0 F F U\n30000 T F F\n40000 - T T\n49999 - - T\n50000 - - F");
    check(&text, "0 F F U\n30000 T F F\n40001 - T F");
    // The second alone, before the first, and already there.
    check(&text, "0 F F U\n30000 F T F\n31000 T T F");
    check(&text, "0 F T U\n30000 T T F");
}

#[test]
fn of_one_instant_either_may_come_first() {
    let text = format!("then({A}, {B}, 10s)");
    check(&text, "0 F F U\n30000 F T F\n30000 T - T");
    check(&text, "0 F F U\n30000 T T T");
}

#[test]
fn a_pair_that_may_have_been_unseen_is_unknown() {
    let text = format!("then({A}, {B}, 10s)");
    check(&text, "0 F F U\n30000 U F F\n31000 U T U\n41000 F - F");
    check(&text, "0 F F U\n30000 T F F\n35000 - U U\n36000 - F U\n45999 - - U\n46000 - - F");
    check(&text, "0 F F U\n30000 T F F\n41000 - U F");
    // Looked through: it was false before and is true after.
    check(&text, "0 F F U\n30000 T F F\n35000 - U U\n36000 - T T");
}

/// All that was said of one condition.
struct Told(Vec<(u64, Truth)>);

impl Told {
    /// (truth, from, to); the last goes on.
    fn parts(&self) -> impl Iterator<Item = (Truth, u64, Option<u64>)> + '_ {
        let ends = self.0.iter().skip(1).map(|(from, _)| Some(*from)).chain([None]);
        self.0.iter().zip(ends).map(|((from, truth), to)| (*truth, *from, to))
    }

    fn ever(&self, wanted: Truth, instants: bool, length: u64, now: u64) -> bool {
        self.parts().any(|(truth, from, to)| {
            let lasts = instants || to.is_none_or(|to| to > from);
            truth == wanted && lasts && to.is_none_or(|to| to + length > now)
        })
    }

    fn covered(&self, length: u64, now: u64) -> bool {
        self.0.first().is_some_and(|(first, _)| first + length <= now)
    }

    fn rises(&self) -> Vec<u64> {
        let mut known = None;
        let mut rises = Vec::new();
        for (at, truth) in &self.0 {
            if truth.is_true() && known == Some(false) {
                rises.push(*at);
            }
            if *truth != Unknown {
                known = Some(truth.is_true());
            }
        }
        rises
    }

    /// When it rose or may have.
    fn may_rise(&self, now: u64) -> Vec<(u64, u64)> {
        let first = self.0.first().map(|(first, _)| (0, *first));
        let sure = self.rises().into_iter().map(|at| (at, at));
        let unknown = self.parts().filter(|(truth, ..)| *truth == Unknown);
        let unknown = unknown.map(|(_, from, to)| (from, to.unwrap_or(now)));
        first.into_iter().chain(sure).chain(unknown).collect()
    }

    fn unseen(&self, length: u64, now: u64) -> u64 {
        let start = now.saturating_sub(length);
        let unknown = self.parts().filter(|(truth, ..)| *truth == Unknown);
        unknown.map(|(_, from, to)| to.unwrap_or(now).saturating_sub(from.max(start))).sum()
    }
}

fn expected(kind: PastKind, a: &Told, b: &Told, length: u64, now: u64) -> Truth {
    let covered = a.covered(length, now);
    match kind {
        PastKind::Held if a.ever(False, false, length, now) => False,
        PastKind::Held if a.ever(Unknown, false, length, now) || !covered => Unknown,
        PastKind::Held => True,
        PastKind::Recently if a.ever(True, true, length, now) => True,
        PastKind::Recently if a.ever(Unknown, true, length, now) || !covered => Unknown,
        PastKind::Recently => False,
        PastKind::Count => Unknown,
        PastKind::Then => {
            let counts = |at: u64| at + length > now;
            let paired = |b: &u64| a.rises().iter().any(|a| a <= b && a + length >= *b);
            if b.rises().iter().any(|b| counts(*b) && paired(b)) {
                return True;
            }
            let first = (now + 1).saturating_sub(length);
            let possible = b.may_rise(now).iter().any(|(b_from, b_to)| {
                a.may_rise(now)
                    .iter()
                    .any(|(a_from, a_to)| *b_from.max(a_from).max(&first) <= *b_to.min(&(a_to + length)))
            });
            if possible { Unknown } else { False }
        }
    }
}

fn truth() -> impl Strategy<Value = Truth> {
    prop_oneof![3 => Just(True), 3 => Just(False), 1 => Just(Unknown)]
}

proptest! {
    #[test]
    fn conditions_over_time_say_what_the_past_says(
        script in prop::collection::vec((prop_oneof![Just(0), Just(1), Just(10), 0..40_u64], truth(), truth()), 1..60),
        length in prop::sample::select(vec![5_u64, 10, 30]),
    ) {
        // Counts need a length of which a tenth is a whole.
        let length = length * 100;
        for kind in [PastKind::Held, PastKind::Recently, PastKind::Count, PastKind::Then] {
            let mut past = Past::new(kind, length);
            let (mut a, mut b) = (Told(Vec::new()), Told(Vec::new()));
            let mut now = 1_000_000;
            for (place, (_, first, second)) in script.iter().enumerate() {
                for (told, truth) in [(&mut a, *first), (&mut b, *second)] {
                    if told.0.last().is_none_or(|(_, last)| *last != truth) {
                        told.0.push((now, truth));
                    }
                }
                past.observe(*first, *second, now);
                let end = now + script.get(place + 1).map_or(20, |(pause, ..)| *pause) * 100;
                loop {
                    prop_assert_eq!(past.truth(now), expected(kind, &a, &b, length, now), "{:?} at {}", kind, now);
                    if let Some(counted) = past.count(now) {
                        let n = a.rises().iter().filter(|at| *at + length > now).count();
                        prop_assert_eq!(counted.n as usize, n);
                        let complete = a.covered(length, now) && a.unseen(length, now) * 10 <= length;
                        prop_assert_eq!(counted.complete, complete, "at {}", now);
                    }
                    let turns = past.turns(now).into_iter().flatten();
                    let next = turns.filter(|at| *at > now && *at < end).min();
                    // Just before it turns it says what it said.
                    let before = next.unwrap_or(end).saturating_sub(1).max(now);
                    let mut looked = past.clone();
                    looked.observe(*first, *second, before);
                    prop_assert_eq!(looked.truth(before), past.truth(now), "{:?} {} {}", kind, now, before);
                    let Some(next) = next else { break };
                    now = next;
                    past.observe(*first, *second, now);
                }
                now = end;
            }
        }
    }
}
