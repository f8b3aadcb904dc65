//! Every function at its edges: the last instant at which it still says one thing and the first at which it says
//! another, the value on its threshold, and what it makes of what nobody knows. A function that is in the index and not
//! here fails the test, as does one that is here without having been seen to be true, false and unknown.

use super::*;

/// What is never unknown, by its own definition.
const NEVER_UNKNOWN: [&str; 4] = ["maybe", "bad", "stale", "age"];

/// The function, a condition with it, and a play as in the index.
const EDGES: &[(&str, &str, &str)] = &[
    (
        "at_least",
        "at_least(2, {GD-101} >= 25, {GD-102} >= 25, {GD-103} >= 25)",
        "0s GD-101=25 GD-102=24.9 GD-103=bad => unknown; 1s GD-102=25 => true; 2s GD-101=24.9 GD-102=24.9 => false",
    ),
    (
        "at_least",
        "at_least(3, {GD-101} >= 25, {GD-102} >= 25, {GD-103} >= 25)",
        "0s GD-101=25 GD-102=25 => unknown; 1s GD-103=24.9 => false; 2s GD-103=25 => true; 3s GD-101=bad => unknown",
    ),
    (
        "maybe",
        "maybe({GD-101} >= 25)",
        "0s => true; 1s GD-101=24.9 => false; 2s GD-101=25 => true; 3s GD-101=bad => true",
    ),
    (
        "held",
        "held({TI-101} > 60, 5m)",
        "0s TI-101=61 => unknown; 299s => unknown; 300s => true; 301s TI-101=60 => false; 302s TI-101=61 => false; \
         601s => false; 602s => true",
    ),
    (
        "held",
        "held({TI-101} > 60, 5m)",
        "0s TI-101=61; 300s => true; 360s TI-101=bad => unknown; 420s TI-101=61 => unknown; 719s => unknown; 720s => true",
    ),
    (
        "recently",
        "recently({ESD-1}, 10m)",
        "0s ESD-1=on => true; 1s ESD-1=off => true; 600s => true; 601s => false; 660s ESD-1=bad => unknown; \
         720s ESD-1=off => unknown; 1319s => unknown; 1320s => false",
    ),
    (
        "count",
        "count({ESD-1}, 1h) >= 1",
        "0s ESD-1=on => unknown; 3599s => unknown; 3600s => false; 3660s ESD-1=off => false; 3720s ESD-1=on => true; \
         7319s => true; 7320s => false",
    ),
    (
        "then",
        "then({ESD-1}, {TI-101} > 60, 30s)",
        "0s ESD-1=off TI-101=50 => unknown; 60s => false; 61s ESD-1=on TI-101=61 => true; 90s => true; 91s => false",
    ),
    (
        "then",
        "then({ESD-1}, {TI-101} > 60, 30s)",
        "0s ESD-1=off TI-101=50; 60s ESD-1=on => false; 91s TI-101=61 => false; 92s TI-101=60 ESD-1=off; \
         93s TI-101=61 => false; 94s ESD-1=on => false",
    ),
    (
        "first_out",
        "first_out({ESD-1}, {ESD-2})",
        "0s ESD-2=off => unknown; 1s ESD-2=on => true; 2s ESD-2=off => unknown; 3s ESD-1=off => false; \
         4s ESD-1=on ESD-2=on => true",
    ),
    ("active", "active('tank-a-leak')", "0s => unknown; 1s rule=on => true; 2s rule=off => false"),
    (
        "avg",
        "avg({TI-101}, 10m) >= 50",
        "0s TI-101=50 => unknown; 599s => unknown; 600s => true; 601s TI-101=49 => true; 607s => false",
    ),
    (
        "avg",
        "avg({TI-101}, 10m) >= 50",
        "0s TI-101=50; 600s TI-101=bad => true; 660s => true; 667s => unknown; 700s TI-101=50 => unknown; \
         1300s => true",
    ),
    (
        "min",
        "min({TI-101}, 1m) > 60",
        "0s TI-101=60 => false; 1s TI-101=61 => false; 60s => false; 61s => true",
    ),
    (
        "min",
        "min({TI-101}, 1m) > 60",
        "0s TI-101=61 => unknown; 59s => unknown; 60s => true; 61s TI-101=60 => false",
    ),
    (
        "max",
        "max({GD-101}, 1m) < 20",
        "0s GD-101=20 => false; 1s GD-101=19.9 => false; 60s => false; 61s => true",
    ),
    (
        "max",
        "max({GD-101}, 1m) < 20",
        "0s GD-101=19.9 => unknown; 59s => unknown; 60s => true; 61s GD-101=20 => false",
    ),
    (
        "delta",
        "delta({TI-101}, 10m) >= 20",
        "0s TI-101=50 => unknown; 599s TI-101=70 => unknown; 600s => true; 1198s => true; 1199s => false",
    ),
    (
        "rate",
        "rate({TI-101}, 5m) >= 2",
        "0s TI-101=50 => unknown; 299s TI-101=60 => unknown; 300s => true; 598s => true; 599s => false",
    ),
    (
        "stddev",
        "stddev({PI-101}, 5m) < 0.01",
        "0s PI-101=7 => unknown; 299s => unknown; 300s => true; 301s PI-101=8; 310s => false; 640s => true; \
         641s PI-101=bad; 700s => unknown",
    ),
    (
        "bad",
        "bad({GD-101})",
        "0s => true; 1s GD-101=0 => false; 2s GD-101=stale => true; 3s GD-101=0 => false",
    ),
    (
        "stale",
        "stale({GD-101})",
        "0s => false; 1s GD-101=stale => true; 2s GD-101=bad => false; 3s GD-101=0 => false",
    ),
    (
        "age",
        "age({GD-101}) > 30s",
        "0s => true; 1s GD-101=3 => false; 31s => false; 32s => true; 33s GD-101=3 => false",
    ),
    (
        "people",
        "people('tank-a') > 9",
        "0s => unknown; 1s people=9 => false; 2s people=10 => true; 3s people=0 => false",
    ),
    ("present", "present('tank-a') < 1", "0s => unknown; 1s people=1 => false; 2s people=0 => true"),
    ("lone", "lone('tank-a')", "0s => unknown; 1s place=off => false; 2s place=on => true"),
    ("still", "still('tank-a', 10s)", "0s => unknown; 1s place=off => false; 2s place=on => true"),
    ("sos", "sos('tank-a')", "0s => unknown; 1s place=off => false; 2s place=on => true"),
    ("sos", "sos()", "0s => unknown; 1s place=off => false; 2s place=on => true"),
    (
        "guarded",
        "guarded('tank-area', 'hot_work')",
        "0s => unknown; 1s place=off => false; 2s place=on => true",
    ),
    (
        "seen",
        "seen('tank-area', 'smoke', window = 5s)",
        "0s => false; 1s camera=on => true; 5s => true; 6s => false; 7s camera=down => unknown",
    ),
    (
        "condition",
        "condition('dcs', 'HighHigh')",
        "0s condition=off => false; 1s condition=on => true; 2s condition=off => false; 3s condition=down => unknown",
    ),
    (
        "permit",
        "permit('tank-area', 'hot_work')",
        "0s permit=off => false; 1s permit=on => true; 3600s => true; 3601s => false; 3602s permit=down => unknown",
    ),
];

#[test]
fn every_function_is_played_to_its_edges() {
    for function in FUNCTIONS {
        let plays = EDGES.iter().filter(|(name, ..)| *name == function.name);
        let said: Vec<Truth> = plays.flat_map(|(_, text, history)| play(text, history)).collect();
        let never = NEVER_UNKNOWN.contains(&function.name);
        for truth in [Truth::True, Truth::False, Truth::Unknown] {
            let wanted = truth != Truth::Unknown || !never;
            assert_eq!(said.contains(&truth), wanted, "{} is played as {truth:?}", function.name);
        }
    }
    let known = |name: &str| FUNCTIONS.iter().any(|function| function.name == name);
    assert!(EDGES.iter().all(|(name, text, _)| known(name) && text.contains(&format!("{name}("))));
}
