//! Random plants, rules and scripts.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use std::time::Duration;

use riskgate_engine::{Class, Given, Priority, RiskClass};

use crate::language::{Cond, Num, Op, State, Window};
use crate::site::{
    Boost, Hazard, MODE, NUMBERS, Point, Rule, SECOND, SOURCES, SWITCHES, Site, TAGS, WORDS, When,
};
use crate::world::{Act, Fix, Input, Permit, Read, Value};

/// A plant, another to change over to, and what happens: each after so many seconds.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) sites: [Site; 2],
    pub(crate) script: Vec<(u64, Input)>,
}

/// What differs says all of it, up to where it does.
impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} inputs", self.script.len())
    }
}

fn op() -> impl Strategy<Value = Op> {
    select(vec![Op::Less, Op::LessEqual, Op::Greater, Op::GreaterEqual])
}

fn number() -> impl Strategy<Value = usize> {
    select(NUMBERS.to_vec())
}

/// One of so many seconds.
fn lengths(seconds: &[u64]) -> impl Strategy<Value = u64> + use<> {
    select(seconds.iter().map(|length| length * SECOND).collect::<Vec<_>>())
}

fn place() -> impl Strategy<Value = &'static str> {
    select(vec!["Z-1", "Z-2", "U-1"])
}

fn threshold() -> impl Strategy<Value = f64> {
    select(vec![10.0, 20.0, 25.0, 50.0, 75.0, 80.0])
}

fn window() -> BoxedStrategy<(Num, f64)> {
    let short = (select(vec![Window::Min, Window::Max]), number(), lengths(&[10, 20, 30]), threshold())
        .prop_map(|(window, point, d, at)| (Num::Window(window, point, d), at));
    let moves = (select(vec![Window::Delta, Window::Rate]), number(), lengths(&[10, 20, 30]), -3..4_i32)
        .prop_map(|(window, point, d, at)| (Num::Window(window, point, d), f64::from(at) * 20.0 + 0.5));
    let long = (select(vec![Window::Avg, Window::Stddev]), number(), threshold())
        .prop_map(|(window, point, at)| (Num::Window(window, point, 100 * SECOND), at / 2.0 + 0.037));
    prop_oneof![3 => short, 2 => moves, 2 => long].boxed()
}

fn arithmetic() -> BoxedStrategy<Num> {
    let point = || number().prop_map(Num::Point);
    let pair = || (point(), point()).prop_map(|(left, right)| (Box::new(left), Box::new(right)));
    let constant = select(vec![0.5, 2.0, -1.0]).prop_map(Num::Constant);
    prop_oneof![
        pair().prop_map(|(left, right)| Num::Sum(left, right)),
        pair().prop_map(|(left, right)| Num::Difference(left, right)),
        pair().prop_map(|(left, right)| Num::Quotient(left, right)),
        (point(), constant).prop_map(|(left, right)| Num::Product(Box::new(left), Box::new(right))),
        (point(), window()).prop_map(|(left, (right, _))| Num::Difference(Box::new(left), Box::new(right))),
        pair().prop_map(|(left, right)| Num::Negative(Box::new(Num::Sum(left, right)))),
    ]
    .boxed()
}

fn leaf(rule: usize, about: About) -> BoxedStrategy<Cond> {
    let points = prop_oneof![
        6 => (number(), op(), threshold()).prop_map(|(point, op, at)| Cond::Limit(Num::Point(point), op, at)),
        3 => (window(), op()).prop_map(|((num, at), op)| Cond::Limit(num, op, at)),
        2 => (arithmetic(), op(), number()).prop_map(|(left, op, right)| {
            Cond::Numbers(left, op, Num::Point(right))
        }),
        1 => (0..TAGS.len()).prop_map(Cond::Bad),
        1 => (0..TAGS.len()).prop_map(Cond::Stale),
        1 => (0..TAGS.len(), select(vec![Op::Less, Op::GreaterEqual]), lengths(&[5, 10, 15]))
            .prop_map(|(point, op, d)| Cond::Age(point, op, d)),
        2 => select(SWITCHES.to_vec()).prop_map(Cond::On),
        1 => Just(Cond::FirstOut(SWITCHES.to_vec())),
        1 => (any::<bool>(), select(WORDS.to_vec())).prop_map(|(equal, word)| Cond::Word(MODE, equal, word)),
    ];
    let places = prop_oneof![
        3 => (place(), prop::option::weighted(0.3, Just("guard")), any::<bool>(), op(), 0..3_u32)
            .prop_map(|(place, role, present, op, n)| Cond::People { place, role, present, op, n }),
        1 => place().prop_map(Cond::Lone),
        1 => (place(), lengths(&[10, 20])).prop_map(|(place, d)| Cond::Still(place, d)),
        1 => place().prop_map(Cond::Sos),
        1 => select(vec!["hot_work", "lifting"]).prop_map(Cond::Guarded),
        2 => (select(vec!["smoke", "flame"]), select(vec![50, 80]), lengths(&[10, 20]), 1..3_usize)
            .prop_map(|(kind, confidence, window, times)| Cond::Seen { kind, confidence, window, times }),
        2 => (
            select(vec!["HH", "T0/HH"]),
            select(vec![State::Active, State::Unacknowledged, State::Suppressed]),
            select(vec![1, 500]),
        )
            .prop_map(|(name, state, severity)| Cond::Told { name, state, severity }),
        2 => select(vec!["hot_work", "lifting"]).prop_map(Cond::Permit),
    ];
    let before =
        (0..=rule).prop_map(|at| Cond::Active(if at == 0 { "LI/HH".to_owned() } else { format!("r{at}") }));
    if about < About::Places {
        return prop_oneof![12 => points, 2 => before].boxed();
    }
    prop_oneof![12 => points, 6 => places, 2 => before].boxed()
}

/// Without `maybe`.
fn plain(rule: usize, about: About) -> BoxedStrategy<Cond> {
    leaf(rule, about)
        .prop_recursive(3, 8, 3, |inner| {
            let boxed = || inner.clone().prop_map(Box::new);
            let some = || prop::collection::vec(inner.clone(), 2..4);
            prop_oneof![
                3 => some().prop_map(Cond::Any),
                3 => some().prop_map(Cond::All),
                2 => boxed().prop_map(Cond::Not),
                2 => (1..3_usize, some()).prop_map(|(k, parts)| Cond::AtLeast(k, parts)),
                2 => (boxed(), lengths(&[3, 5, 10])).prop_map(|(inner, d)| Cond::Held(inner, d)),
                2 => (boxed(), lengths(&[3, 5, 10])).prop_map(|(inner, d)| Cond::Recently(inner, d)),
                2 => (boxed(), lengths(&[10, 20, 40]), op(), 0..4_u32)
                    .prop_map(|(inner, d, op, n)| Cond::Count(inner, d, op, n)),
                2 => (boxed(), boxed(), lengths(&[3, 5, 10]))
                    .prop_map(|(first, second, d)| Cond::Then(first, second, d)),
                1 => (boxed(), any::<bool>(), boxed())
                    .prop_map(|(left, equal, right)| Cond::Same(left, equal, right)),
            ]
        })
        .boxed()
}

fn top(rule: usize, about: About) -> BoxedStrategy<Cond> {
    let maybe = || plain(rule, about).prop_map(|inner| Cond::Maybe(Box::new(inner)));
    prop_oneof![
        8 => plain(rule, about),
        1 => (maybe(), plain(rule, about)).prop_map(|(maybe, plain)| Cond::All(vec![maybe, plain])),
        1 => (plain(rule, about), maybe()).prop_map(|(plain, maybe)| Cond::Any(vec![plain, maybe])),
    ]
    .boxed()
}

/// What a kind of rule stands for, and how it is configured.
type OfKind = (Cond, (&'static str, Vec<(&'static str, Given)>));

/// A rule that names a kind, and the same written out.
fn kind() -> BoxedStrategy<OfKind> {
    let tag = |at: usize| Given::Text(TAGS[at].to_owned());
    let tags = |of: &[usize]| Given::Texts(of.iter().map(|at| TAGS[*at].to_owned()).collect());
    let length = |of: u64| Given::Duration(Duration::from_secs(of / SECOND));
    let apart = |one: usize, other: usize, more: f64| {
        let less = |left, right| Num::Difference(Box::new(Num::Point(left)), Box::new(Num::Point(right)));
        let limit = |num| Cond::Limit(num, Op::GreaterEqual, more);
        vec![limit(less(one, other)), limit(less(other, one))]
    };
    let above = || prop::option::of(select(vec![0.5, 20.5, 60.5]));
    let rate = (number(), above(), above(), lengths(&[10, 30])).prop_map(move |(point, above, below, d)| {
        // One of both is needed.
        let above = if below.is_none() { above.or(Some(40.5)) } else { above };
        let rate = || Num::Window(Window::Rate, point, d);
        let up = above.map(|at| Cond::Limit(rate(), Op::GreaterEqual, at));
        let down = below.map(|at| Cond::Limit(rate(), Op::LessEqual, -at));
        let given = [
            Some(("point", tag(point))),
            above.map(|at| ("above", Given::Number(at))),
            below.map(|at| ("below", Given::Number(-at))),
            Some(("window", length(d))),
        ];
        let parts: Vec<Cond> = up.into_iter().chain(down).collect();
        (Cond::Any(parts), ("rate", given.into_iter().flatten().collect()))
    });
    let deviation = (number(), number(), select(vec![5.0, 30.0])).prop_filter_map(
        "one point is as itself",
        move |(one, other, more)| {
            let given = vec![("point", tag(one)), ("other", tag(other)), ("more", Given::Number(more))];
            (one != other).then(|| (Cond::Any(apart(one, other, more)), ("deviation", given)))
        },
    );
    let frozen = (number(), lengths(&[10, 30]), select(vec![0.0, 5.0]), prop::option::of(Just(50.0)))
        .prop_map(move |(point, d, band, rest)| {
            let of = |window| Box::new(Num::Window(window, point, d));
            let moved = Num::Difference(of(Window::Max), of(Window::Min));
            let mut parts = vec![Cond::Limit(moved, Op::LessEqual, band)];
            let mut given = vec![("point", tag(point)), ("window", length(d)), ("band", Given::Number(band))];
            if let Some(rest) = rest {
                let away = |op, at| Cond::Limit(Num::Point(point), op, at);
                parts.push(Cond::Any(vec![away(Op::Greater, rest + band), away(Op::Less, rest - band)]));
                given.push(("rest", Given::Number(rest)));
            }
            (Cond::All(parts), ("frozen", given))
        });
    let range = (number(), any::<bool>()).prop_map(move |(point, named)| {
        let (low, high) = if named { (20.0, 80.0) } else { (0.0, 100.0) };
        let out = |op, at| Cond::Limit(Num::Point(point), op, at);
        let mut given = vec![("point", tag(point))];
        if named {
            given.extend([("low", Given::Number(low)), ("high", Given::Number(high))]);
        }
        (Cond::Any(vec![out(Op::LessEqual, low), out(Op::GreaterEqual, high)]), ("range", given))
    });
    let votes = select(vec![5.0, 30.0]).prop_map(move |more| {
        let pairs = [apart(0, 1, more), apart(0, 2, more), apart(1, 2, more)].concat();
        (Cond::Any(pairs), ("discrepancy", vec![("points", tags(&[0, 1, 2])), ("more", Given::Number(more))]))
    });
    let switches = Just(()).prop_map(move |()| {
        let on = || SWITCHES.map(Cond::On).to_vec();
        let differ = Cond::All(vec![Cond::Any(on()), Cond::Not(Box::new(Cond::All(on())))]);
        (differ, ("discrepancy", vec![("points", tags(&SWITCHES))]))
    });
    let trip = Just(()).prop_map(move |()| {
        (Cond::FirstOut(SWITCHES.to_vec()), ("sis_trip", vec![("points", tags(&SWITCHES))]))
    });
    prop_oneof![rate, deviation, frozen, range, votes, switches, trip].boxed()
}

fn rule(at: usize, about: About) -> BoxedStrategy<Rule> {
    let raising = prop_oneof![
        5 => Just(When::AtOnce),
        2 => lengths(&[3, 10, 30]).prop_map(When::After),
        2 => (2..4_usize, lengths(&[10, 40, 120])).prop_map(|(times, within)| When::Repeats(times, within)),
    ];
    let hazard =
        (prop::option::weighted(0.4, Just("hot")), any::<bool>(), prop::bool::weighted(0.2), raising)
            .prop_map(|(cause, auto, major, raising)| {
                // What is raised later shares no cause.
                let cause = cause.filter(|_| raising == When::AtOnce);
                Hazard { cause, auto, major, raising }
            });
    // That of a 包保 task is only added to.
    let boost = prop_oneof![
        2 => (lengths(&[60, 300, 500]), lengths(&[0, 10, 30]))
            .prop_map(|cycle| Boost { task: "T-1", cycle: Ok(cycle) }),
        1 => (select(vec!["T-1", "T-2"]), lengths(&[20, 60]))
            .prop_map(|(task, within)| Boost { task, cycle: Err(within) }),
    ];
    let raise = (select(vec![RiskClass::Orange, RiskClass::Red]), lengths(&[0, 10, 20]));
    let timing = (lengths(&[0, 0, 2, 5]), lengths(&[0, 0, 3, 6]), prop::bool::weighted(0.3));
    let bound_to = (
        select(vec!["M-1", "M-1", "M-3"]),
        select(vec![Priority::Low, Priority::High, Priority::Critical]),
        prop::option::weighted(0.2, select(vec![Class::Process, Class::Gas, Class::Sis])),
        prop::option::weighted(0.3, lengths(&[15, 40])),
    );
    let follows = (
        prop::option::weighted(0.7, hazard),
        prop::option::weighted(0.4, boost),
        prop::option::weighted(0.4, raise),
    );
    let text = prop_oneof![
        8 => top(at, about).prop_map(|when| (when, None)),
        1 => kind().prop_map(|(when, kind)| (when, Some(kind))),
    ];
    (text, prop::option::weighted(0.3, plain(at, about)), timing, bound_to, follows)
        .prop_map(
            move |(
                (when, kind),
                clear,
                timing,
                (measure, priority, class, realarm),
                (hazard, task, raise),
            )| {
                let (for_, clear_for, latch) = timing;
                let id = format!("r{}", at + 1);
                Rule {
                    id,
                    measure,
                    priority,
                    class,
                    kind,
                    when,
                    for_,
                    clear,
                    clear_for,
                    latch,
                    realarm,
                    hazard,
                    task,
                    raise,
                }
            },
        )
        .boxed()
}

fn point(at: usize) -> BoxedStrategy<Point> {
    let (class, limits, measure) = match at {
        0 => (Class::Process, [Some(5.0), Some(10.0), Some(85.0), Some(95.0)], Some("M-1")),
        2 => (Class::Equipment, [None, None, Some(80.0), None], None),
        4 => (Class::Gas, [None, None, Some(25.0), Some(50.0)], Some("M-2")),
        5 => (Class::Gas, [None, Some(20.0), None, Some(50.0)], Some("M-3")),
        7 => (Class::Sis, [None; 4], None),
        _ => (Class::Process, [None; 4], None),
    };
    (select(vec![0.0, 5.0]), lengths(&[0, 2, 5]), lengths(&[12, 25, 10_000, 10_000]), any::<bool>())
        .prop_map(move |(deadband, delay, stale_after, auto)| {
            let deadband = if NUMBERS.contains(&at) { deadband } else { 0.0 };
            Point { class, limits, deadband, delay, stale_after, measure, auto }
        })
        .boxed()
}

fn site(about: About) -> BoxedStrategy<Site> {
    let points = [0, 1, 2, 3, 4, 5, 6, 7].map(point);
    let rules = [0, 1, 2].map(|at| rule(at, about));
    let silence = [0; 3].map(|_| prop::option::weighted(0.4, lengths(&[15, 40])));
    let records = prop::bool::weighted(0.2);
    (points, silence, records, lengths(&[20, 60]), lengths(&[45, 100]), rules, 1..4_usize)
        .prop_map(|(points, silence, records, patience, source_hazard, rules, n)| {
            let rules = rules.into_iter().take(n).collect();
            Site { points, silence, reversed: false, records, patience, source_hazard, rules }
        })
        .boxed()
}

/// The first, and the same with other rules and other limits of LI, in another order.
fn sites(about: About) -> BoxedStrategy<[Site; 2]> {
    let rules = [0, 1, 2].map(|at| rule(at, about));
    (site(about), rules, any::<[bool; 4]>(), point(0), 1..4_usize)
        .prop_map(|(first, others, [reversed, changes @ ..], li, n)| {
            let mut second = Site { reversed, ..first.clone() };
            second.points[0] = Point { stale_after: first.points[0].stale_after, ..li };
            for (at, (other, change)) in others.into_iter().zip(changes).enumerate() {
                match second.rules.get_mut(at) {
                    Some(rule) if change => {
                        let mut other = other;
                        // When it raises stays as it was, and of what is recorded its measure.
                        if let (Some(is), Some(was)) = (&mut other.hazard, &rule.hazard) {
                            is.raising = was.raising;
                            is.cause = was.cause;
                        }
                        if first.records {
                            other.measure = rule.measure;
                        }
                        *rule = other;
                    }
                    Some(_) => {}
                    None => second.rules.push(other),
                }
            }
            second.rules.truncate(n);
            [first, second]
        })
        .boxed()
}

fn read() -> BoxedStrategy<Input> {
    (0..TAGS.len(), 0..=20_u8, prop::bool::weighted(0.15), any::<[bool; 2]>(), 196..230_u64, 0..20_u8)
        .prop_map(|(point, value, bad, [on, told], time, rare)| {
            let value = if bad {
                Value::Bad
            } else if SWITCHES.contains(&point) {
                Value::Switch(on)
            } else if point == MODE {
                Value::Word(WORDS[usize::from(on)])
            } else {
                Value::Number(f64::from(value) * 5.0)
            };
            let told = (told && rare < 8).then_some(time * 5 * SECOND);
            let backfill = rare == 11 || rare == 7;
            Input::Read(Read { point, value, uncertain: rare == 10, told, backfill })
        })
        .boxed()
}

fn alarm() -> BoxedStrategy<String> {
    let ids = [
        "r1",
        "r2",
        "r3",
        "LI/HH",
        "LI/H",
        "LI/LL",
        "GD-1/H",
        "GD-1/HH",
        "fault:LI",
        "fault:GD-1",
        "fault:source:plc",
        "fault:source:skid",
        "fault:source:rtls",
    ];
    select(ids.to_vec()).prop_map(str::to_owned).boxed()
}

fn act() -> BoxedStrategy<Act> {
    let length = || lengths(&[10, 30, 8 * 3600, 8 * 3600 + 1]);
    let what = || prop_oneof![4 => alarm(), 1 => select(vec!["LI", "GD-1", "TI"]).prop_map(str::to_owned)];
    let unit = || select(vec!["U-1", "U-2"]);
    prop_oneof![
        4 => alarm().prop_map(Act::Acknowledge),
        2 => alarm().prop_map(Act::Reset),
        2 => (0..4_usize).prop_map(Act::Confirm),
        2 => (0..4_usize).prop_map(Act::Reject),
        2 => (0..4_usize).prop_map(Act::Rectify),
        2 => (0..4_usize).prop_map(Act::Accept),
        2 => (alarm(), length()).prop_map(|(alarm, length)| Act::Shelve(alarm, length)),
        1 => alarm().prop_map(Act::Unshelve),
        2 => (what(), prop::option::of(lengths(&[10, 30]))).prop_map(|(what, length)| Act::TakeOut(what, length)),
        1 => what().prop_map(Act::PutBack),
        1 => unit().prop_map(Act::Stop),
        1 => unit().prop_map(Act::Start),
    ]
    .boxed()
}

fn fix() -> BoxedStrategy<Input> {
    let tag = select(vec![("t1", None), ("t2", Some("li")), ("t3", Some("li"))]);
    let zone = select(vec![None, Some("Z-1"), Some("Z-1"), Some("Z-2"), Some("Z-9")]);
    (tag, zone, any::<bool>(), prop::bool::weighted(0.1), prop::option::of(0..4_u8), 0..20_u8)
        .prop_map(|((tag, person), zone, guard, sos, spot, rare)| {
            let spot = spot.map(|spot| f64::from(spot) * 2.0);
            let zone = zone.filter(|zone| *zone != "Z-9");
            let (told, backfill) = (None, rare == 0);
            Input::Fix(Fix { tag, person, role: guard.then_some("guard"), zone, sos, spot, told, backfill })
        })
        .boxed()
}

fn permit() -> BoxedStrategy<Input> {
    let place = select(vec![None, Some("U-1"), Some("Z-1"), Some("U-9")]);
    let time = || prop::option::of((1_000..1_200_u64).prop_map(|at| at * SECOND));
    (0..3_u8, select(vec![0, 1, 1, 1, 2]), any::<bool>(), place, time(), time(), prop::option::of(Just("li")))
        .prop_map(|(id, stage, lifting, place, start, end, guardian)| {
            Input::Permit(Permit { id, stage, lifting, place, start, end, guardian })
        })
        .boxed()
}

fn input(about: About) -> BoxedStrategy<Input> {
    let source = || 0..SOURCES.len();
    let link = (source(), any::<bool>()).prop_map(|(source, up)| Input::Link { source, up });
    let sighting = (select(vec!["smoke", "flame"]), select(vec![40, 60, 90]), prop::bool::weighted(0.1))
        .prop_map(|(kind, confidence, backfill)| Input::Sighting { kind, confidence, backfill });
    let condition = (0..2_u8, any::<[bool; 3]>(), select(vec![100, 600])).prop_map(
        |(origin, [active, acknowledged, suppressed], severity)| Input::Condition {
            origin,
            active,
            acknowledged,
            suppressed,
            severity,
        },
    );
    let all = [
        (About::Readings, 24, read()),
        (About::Readings, 2, link.boxed()),
        (About::Readings, 2, source().prop_map(Input::Refreshed).boxed()),
        (About::Acts, 10, act().prop_map(Input::Act).boxed()),
        (About::Places, 4, fix()),
        (About::Places, 2, sighting.boxed()),
        (About::Places, 3, condition.boxed()),
        (About::Places, 1, Just(Input::Told).boxed()),
        (About::Places, 1, Just(Input::Lost).boxed()),
        (About::Places, 3, permit()),
        (About::Restarts, 2, Just(Input::Restart).boxed()),
        (About::Reloads, 2, (0..2_usize).prop_map(Input::Reload).boxed()),
    ];
    let of_this = all.into_iter().filter(|(of, ..)| *of <= about).map(|(_, weight, input)| (weight, input));
    Union::new_weighted(of_this.collect()).boxed()
}

/// Every link up and every point read.
fn warm() -> Vec<(u64, Input)> {
    let links = (0..SOURCES.len()).map(|source| Input::Link { source, up: true });
    let reads = (0..TAGS.len()).map(|point| {
        let value = match point {
            MODE => Value::Word(WORDS[0]),
            point if SWITCHES.contains(&point) => Value::Switch(false),
            4 => Value::Number(0.0),
            _ => Value::Number(50.0),
        };
        Input::Read(Read { point, value, uncertain: false, told: None, backfill: false })
    });
    links.chain([Input::Told]).chain(reads).map(|input| (0, input)).collect()
}

/// What a case is about: each adds to what the one before has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    Readings,
    Acts,
    Places,
    Restarts,
    Reloads,
}

pub(crate) fn case(about: About) -> BoxedStrategy<Case> {
    let pause = prop_oneof![60 => 0..4_u64, 30 => 4..13_u64, 9 => 13..50_u64];
    let script = prop::collection::vec((pause.prop_map(|pause| pause * SECOND), input(about)), 1..36);
    (sites(about), prop::bool::weighted(0.8), script)
        .prop_map(|(sites, is_warm, script)| {
            let before = if is_warm { warm() } else { Vec::new() };
            Case { sites: sites.map(Site::sieved), script: before.into_iter().chain(script).collect() }
        })
        .boxed()
}

/// Readings, while the wall clock is set forward and back by up to a day, and the machine suspended.
pub(crate) fn stepped() -> BoxedStrategy<Case> {
    let step = select(vec![-86_400, -3600, -70, -2, 2, 70, 3600, 86_400]).prop_map(Input::Step);
    let odd = prop_oneof![step, lengths(&[1, 3, 9, 30, 100]).prop_map(Input::Sleep)];
    let odds = prop::collection::vec((any::<prop::sample::Index>(), odd), 1..5);
    (case(About::Readings), odds)
        .prop_map(|(mut case, odds)| {
            // Cycles go by the wall clock.
            case.sites.iter_mut().for_each(|site| site.records = false);
            for (at, odd) in odds {
                let at = at.index(case.script.len() + 1);
                case.script.insert(at, (0, odd));
            }
            case
        })
        .boxed()
}

/// A scenario of all that outlives a restart and all that does not, of a few inputs.
pub(crate) fn short() -> BoxedStrategy<Case> {
    case(About::Places)
        .prop_map(|mut case| {
            case.script.reverse();
            case.script.truncate(18);
            case.script.reverse();
            case
        })
        .boxed()
}
