//! What happens in the demo plant within one minute, and what must arrive upstream because of it.
//!
//! Pure data and functions of scenario time, which begins when the agent is connected and runs at `speed`
//! times the real one. Nothing here knows a socket or a clock, and nothing reads the configuration: what
//! is expected is written down, so that the demo shows it if the configuration or the agent says otherwise.

use std::time::Duration;

/// A plant's minute: how its values run, what people and cameras do, and the steps that a viewer is told.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) curves: &'static [Curve],
    pub(super) walks: &'static [Walk],
    pub(super) sights: &'static [Sight],
    /// Which detector gives no value any more, and from when on.
    pub(super) failures: &'static [(&'static str, f64)],
    pub(super) steps: &'static [Step],
    /// Seconds.
    pub(super) length: f64,
}

/// One value over time: corners (second, value), straight lines between them, and a small noise.
/// Two corners at one second are a jump.
#[derive(Debug)]
pub(super) struct Curve {
    pub(super) tag: &'static str,
    pub(super) corners: &'static [(f64, f64)],
    /// The largest deviation.
    pub(super) noise: f64,
}

/// A person with a tag, and the zones that they are in from a second on.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) tag: &'static str,
    pub(super) person: &'static str,
    pub(super) role: &'static str,
    pub(super) zones: &'static [(f64, &'static str)],
}

/// One alarm of a camera.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) at: f64,
    pub(super) camera: &'static str,
    pub(super) kind: &'static str,
    pub(super) score: f64,
}

#[derive(Debug)]
pub(super) struct Step {
    /// Seconds.
    pub(super) at: f64,
    pub(super) zh: &'static str,
    pub(super) en: &'static str,
    pub(super) expected: &'static [Expected],
}

/// One thing that must arrive upstream.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) item: Item<&'static str>,
    /// Where the plant changed.
    pub(super) change: Change,
    /// What the configuration lets pass before it raises this, seconds at speed 1.
    pub(super) delay: f64,
    /// What it lets pass at least, seconds at any speed: the floor that `speed` keeps.
    pub(super) floor: f64,
}

impl Expected {
    /// What the configuration lets pass at this speed.
    pub(super) fn configured(&self, speed: u32) -> Duration {
        Duration::from_secs_f64((self.delay / f64::from(speed.max(1))).max(self.floor))
    }
}

/// One thing upstream, as a receiver names it. `T` is `&'static str` in the scenario and `String` in
/// what arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Item<T> {
    /// An alarm, by its id.
    Alarm(T),
    /// A hazard that a person still has to confirm, by its cause.
    Candidate(T),
    /// A hazard, by its cause.
    Hazard(T),
    /// A task whose cycle is shortened, or that is due once more.
    Boost(T),
    /// A unit, and the class that it is raised to: `red`.
    Colour(T, T),
}

impl<T: AsRef<str>> Item<T> {
    pub(super) fn owned(&self) -> Item<String> {
        let own = |text: &T| text.as_ref().to_owned();
        match self {
            Self::Alarm(id) => Item::Alarm(own(id)),
            Self::Candidate(cause) => Item::Candidate(own(cause)),
            Self::Hazard(cause) => Item::Hazard(own(cause)),
            Self::Boost(task) => Item::Boost(own(task)),
            Self::Colour(unit, class) => Item::Colour(own(unit), own(class)),
        }
    }
}

/// The write in the plant that starts it all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Change {
    /// The value goes above.
    Above(&'static str, f64),
    /// The detector fails.
    Failed(&'static str),
    /// The camera reports this with at least that score.
    Seen(&'static str, &'static str, f64),
}

impl Change {
    pub(super) fn is_sight(self, sight: &Sight) -> bool {
        match self {
            Self::Seen(camera, kind, score) => {
                sight.camera == camera && sight.kind == kind && sight.score >= score
            }
            Self::Above(..) | Self::Failed(_) => false,
        }
    }
}

/// How long real things take beyond what is configured, at the very most: a poll, a slow machine.
/// What comes later is missing.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// `[patience] strict` of `config/demo`, seconds, and its floor in `speed`.
const STRICT: f64 = 10.0;
const STRICT_FLOOR: f64 = 2.0;

const fn at_once(item: Item<&'static str>, change: Change) -> Expected {
    Expected { item, change, delay: 0.0, floor: 0.0 }
}

const fn delayed(item: Item<&'static str>, change: Change, delay: f64) -> Expected {
    Expected { item, change, delay, floor: 0.0 }
}

const fn unseen(item: Item<&'static str>, change: Change) -> Expected {
    Expected { item, change, delay: STRICT, floor: STRICT_FLOOR }
}

const LEVEL: Change = Change::Above("LT-101", 85.0);
const GAS: Change = Change::Above("GD-101", 25.0);
const SMOKE: Change = Change::Seen("CAM-TA-1", "smoke", 0.6);
const LOST: Change = Change::Failed("GD-103");
const TRIP: Change = Change::Above("SIS-201", 0.5);

/// The minute that the demo plays with `config/demo`.
pub(super) const DEMO: Scenario = Scenario {
    curves: &[
        Curve {
            tag: "LT-101",
            corners: &[(8.0, 72.0), (16.0, 88.0), (24.0, 88.0), (32.0, 78.0)],
            noise: 0.08,
        },
        Curve { tag: "LT-102", corners: &[(0.0, 46.0)], noise: 0.08 },
        Curve { tag: "TT-101", corners: &[(0.0, 28.5), (60.0, 30.5)], noise: 0.1 },
        Curve { tag: "PT-101", corners: &[(0.0, 1.2)], noise: 0.02 },
        Curve { tag: "GD-101", corners: &[(20.0, 2.0), (30.0, 32.0), (44.0, 32.0), (54.0, 6.0)], noise: 0.2 },
        Curve { tag: "GD-102", corners: &[(22.0, 1.5), (32.0, 14.0), (44.0, 14.0), (54.0, 4.0)], noise: 0.2 },
        Curve { tag: "GD-103", corners: &[(0.0, 1.2)], noise: 0.2 },
        Curve { tag: "GD-301", corners: &[(0.0, 0.8)], noise: 0.2 },
        Curve { tag: "TT-201", corners: &[(0.0, 118.0), (52.0, 118.0), (60.0, 112.0)], noise: 0.3 },
        Curve { tag: "PT-201", corners: &[(0.0, 0.55), (52.0, 0.55), (60.0, 0.48)], noise: 0.004 },
        Curve { tag: "P-201", corners: &[(52.0, 1.0), (52.0, 0.0)], noise: 0.0 },
        Curve { tag: "SIS-201", corners: &[(52.0, 0.0), (52.0, 1.0)], noise: 0.0 },
        Curve { tag: "WS-001", corners: &[(0.0, 3.4)], noise: 0.6 },
    ],
    walks: &[
        Walk {
            tag: "B-0117",
            person: "U1001",
            role: "operator",
            zones: &[(0.0, "Z-LD-1"), (18.0, "Z-TA-1"), (46.0, "Z-LD-1")],
        },
        Walk {
            tag: "B-0242",
            person: "U1002",
            role: "contractor",
            zones: &[(0.0, "Z-LD-1"), (19.0, "Z-TA-1"), (47.0, "Z-LD-1")],
        },
    ],
    sights: &[
        Sight { at: 5.0, camera: "CAM-TA-1", kind: "smoke", score: 0.35 },
        Sight { at: 34.0, camera: "CAM-TA-1", kind: "smoke", score: 0.86 },
        Sight { at: 35.0, camera: "CAM-TA-1", kind: "smoke", score: 0.88 },
        Sight { at: 36.0, camera: "CAM-TA-1", kind: "smoke", score: 0.91 },
    ],
    failures: &[("GD-103", 38.0)],
    steps: STEPS,
    length: 60.0,
};

const STEPS: &[Step] = &[
    Step {
        at: 0.0,
        zh: "一切正常；摄像机报过一次低置信度烟雾，不应触发任何报警",
        en: "all is normal; one faint smoke report of a camera must raise nothing",
        expected: &[],
    },
    Step {
        at: 8.0,
        zh: "T-101储罐液位缓慢上涨，将越过高限85 %",
        en: "the level of tank T-101 drifts up and over its high limit of 85 %",
        expected: &[
            delayed(Item::Alarm("LT-101/H"), LEVEL, 3.0),
            delayed(Item::Candidate("limit:LT-101"), LEVEL, 3.0),
        ],
    },
    Step {
        at: 18.0,
        zh: "一名操作工和一名承包商进入罐区A",
        en: "an operator and a contractor walk into tank farm A",
        expected: &[],
    },
    Step {
        at: 20.0,
        zh: "GD-101可燃气体浓度上升，将越过一级报警25 %LEL，此时罐区A有两人",
        en: "gas detector GD-101 climbs past its first alarm, 25 %LEL, with two people there",
        expected: &[
            at_once(Item::Alarm("GD-101/H"), GAS),
            at_once(Item::Candidate("limit:GD-101"), GAS),
            delayed(Item::Alarm("tank-a-leak"), GAS, 2.0),
            delayed(Item::Hazard("tank-a-leak"), GAS, 2.0),
            delayed(Item::Boost("T-TA-011"), GAS, 2.0),
            delayed(Item::Colour("U-TA", "red"), GAS, 2.0),
        ],
    },
    Step {
        at: 34.0,
        zh: "摄像机CAM-TA-1报烟雾，且有气体佐证",
        en: "camera CAM-TA-1 reports smoke, and there is gas to go with it",
        expected: &[
            at_once(Item::Alarm("tank-a-smoke"), SMOKE),
            at_once(Item::Candidate("tank-a-smoke"), SMOKE),
        ],
    },
    Step {
        at: 38.0,
        zh: "GD-103探测器故障（质量变坏）：罐区A少了一双眼睛，10秒后仍不恢复即报失去监测",
        en: "detector GD-103 fails (bad quality): tank farm A has one eye less, told if it lasts 10 s",
        expected: &[unseen(Item::Alarm("fault:GD-103"), LOST), unseen(Item::Candidate("fault:GD-103"), LOST)],
    },
    Step {
        at: 52.0,
        zh: "反应釜R-201安全联锁（SIS）动作，进料泵停",
        en: "the safety system (SIS) of reactor R-201 trips and stops the feed pump",
        expected: &[
            at_once(Item::Alarm("sis-trip"), TRIP),
            at_once(Item::Hazard("sis-trip"), TRIP),
            at_once(Item::Boost("T-RX-002"), TRIP),
            at_once(Item::Colour("U-RX", "red"), TRIP),
        ],
    },
];

impl Scenario {
    pub(super) fn expected(&self) -> impl Iterator<Item = &'static Expected> {
        self.steps.iter().flat_map(|step| step.expected)
    }

    /// Of a tag at a second of the scenario. The same for the same arguments: the noise is a function of
    /// the tag and the half second.
    pub(super) fn value(&self, tag: &str, at: f64) -> Option<f64> {
        let (order, curve) = (0_u64..).zip(self.curves).find(|(_, curve)| curve.tag == tag)?;
        let value = curve.bare(at) + curve.noise * noise(order, at);
        // As finely as these instruments tell it.
        Some((value * 100.0).round() / 100.0)
    }

    pub(super) fn failed(&self, tag: &str, at: f64) -> bool {
        self.failures.iter().any(|(name, from)| *name == tag && at >= *from)
    }

    /// The second at which a change happens, noise apart; `None` where the scenario has no such change.
    pub(super) fn second_of(&self, change: Change) -> Option<f64> {
        match change {
            Change::Above(tag, limit) => {
                self.curves.iter().find(|curve| curve.tag == tag)?.rises_above(limit)
            }
            Change::Failed(tag) => self.failures.iter().find(|(name, _)| *name == tag).map(|(_, at)| *at),
            Change::Seen(camera, kind, score) => {
                let same =
                    |sight: &&Sight| sight.camera == camera && sight.kind == kind && sight.score >= score;
                self.sights.iter().find(same).map(|sight| sight.at)
            }
        }
    }

    /// When an expected thing arrives where nothing takes any time but what is configured, since the
    /// start, in real time at this speed.
    pub(super) fn due(&self, expected: &Expected, speed: u32) -> Option<Duration> {
        let second = self.second_of(expected.change)?;
        Some(Duration::from_secs_f64(second / f64::from(speed.max(1))) + expected.configured(speed))
    }

    /// In real time at this speed.
    pub(super) fn length(&self, speed: u32) -> Duration {
        Duration::from_secs_f64(self.length / f64::from(speed.max(1)))
    }
}

impl Walk {
    pub(super) fn zone(&self, at: f64) -> Option<&'static str> {
        self.zones.iter().rev().find(|(from, _)| at >= *from).map(|(_, zone)| *zone)
    }
}

impl Curve {
    /// Without noise.
    fn bare(&self, at: f64) -> f64 {
        let mut before: Option<(f64, f64)> = None;
        for &(second, value) in self.corners {
            match before {
                None if at < second => return value,
                Some((from, start)) if at < second => {
                    return start + (value - start) * (at - from) / (second - from);
                }
                None | Some(_) => before = Some((second, value)),
            }
        }
        before.map_or(0.0, |(_, value)| value)
    }

    fn rises_above(&self, limit: f64) -> Option<f64> {
        self.corners.iter().zip(self.corners.iter().skip(1)).find_map(|((from, start), (to, end))| {
            let crosses = *start < limit && *end >= limit;
            crosses.then(|| from + (to - from) * (limit - start) / (end - start))
        })
    }
}

/// Between -1 and 1 (splitmix64 of the curve's place and the half second).
fn noise(order: u64, at: f64) -> f64 {
    let half_second = Duration::try_from_secs_f64(at).unwrap_or_default().as_millis() / 500;
    let mut x =
        u64::try_from(half_second).unwrap_or(0).wrapping_add(order.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^= x >> 31;
    f64::from(u32::try_from(x >> 32).unwrap_or(0)) / f64::from(u32::MAX) * 2.0 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expected_thing_has_its_change_after_its_step_and_before_the_end() {
        for step in DEMO.steps {
            for expected in step.expected {
                let second = DEMO.second_of(expected.change).expect("the scenario holds the change");
                assert!(second >= step.at, "{expected:?} changes before its step");
                let due = DEMO.due(expected, 1).expect("it has a due time");
                assert!(due <= DEMO.length(1), "{expected:?} is due after the end");
            }
        }
    }

    #[test]
    fn nothing_is_expected_twice() {
        let mut items: Vec<Item<&str>> = DEMO.expected().map(|expected| expected.item).collect();
        items.sort_unstable();
        let all = items.len();
        items.dedup();
        assert_eq!(items.len(), all);
    }

    #[test]
    fn speed_divides_what_is_configured_down_to_its_floor() {
        let gas =
            DEMO.expected().find(|expected| expected.item == Item::Alarm("tank-a-leak")).expect("is there");
        let lost =
            DEMO.expected().find(|expected| expected.item == Item::Alarm("fault:GD-103")).expect("is there");
        let seconds = |expected, speed| DEMO.due(expected, speed).map(|due| due.as_secs_f64());
        assert!((seconds(gas, 1).expect("due") - 29.667).abs() < 0.001);
        assert!((seconds(gas, 4).expect("due") - 29.667 / 4.0).abs() < 0.001);
        assert_eq!(seconds(lost, 1), Some(48.0));
        assert_eq!(seconds(lost, 4), Some(12.0));
        assert_eq!(seconds(lost, 20), Some(3.9));
        assert_eq!(DEMO.length(5), Duration::from_secs(12));
    }

    #[test]
    fn values_follow_their_corners_within_the_noise_and_are_the_same_each_time() {
        for curve in DEMO.curves {
            for step in 0..600 {
                let at = f64::from(step) / 10.0;
                let value = DEMO.value(curve.tag, at).expect("it has a curve");
                assert!((value - curve.bare(at)).abs() <= curve.noise + 0.006, "{} at {at}", curve.tag);
                assert_eq!(DEMO.value(curve.tag, at), Some(value));
            }
        }
        assert_eq!(DEMO.value("SIS-201", 51.9), Some(0.0));
        assert_eq!(DEMO.value("SIS-201", 52.0), Some(1.0));
        assert!((DEMO.value("LT-101", 12.0).expect("a level") - 80.0).abs() < 0.1);
    }

    #[test]
    fn before_its_change_no_value_is_beyond_its_limit() {
        for expected in DEMO.expected() {
            let Change::Above(tag, limit) = expected.change else { continue };
            let second = DEMO.second_of(expected.change).expect("a change");
            // Half a second before, noise cannot reach the limit yet: one change, not a chatter.
            for step in 0..600 {
                let at = f64::from(step) / 10.0;
                if at <= second - 0.5 {
                    assert!(DEMO.value(tag, at).expect("a value") < limit, "{tag} at {at}");
                }
            }
        }
    }

    #[test]
    fn people_are_in_the_tank_farm_while_the_gas_climbs() {
        let second = DEMO.second_of(GAS).expect("gas");
        assert!(DEMO.walks.iter().all(|walk| walk.zone(second) == Some("Z-TA-1")));
        assert!(DEMO.walks.iter().all(|walk| walk.zone(0.0) == Some("Z-LD-1")));
    }
}
