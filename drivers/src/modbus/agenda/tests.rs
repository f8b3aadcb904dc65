//! Against a simulated device: registers that do not exist, and what else refuses or silences a read.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use proptest::prelude::*;
use riskgate_point::PointId;

use super::super::plan::BITS_MAX;
use super::super::{Device, Endpoint, Kind};
use super::*;

/// What a read does at the simulated device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Values,
    Exception(u8),
    Silence,
}

/// Registers that do not exist, and a limit to one request that the device's manual does not tell.
#[derive(Debug, Clone, Default)]
struct Holes {
    missing: BTreeSet<(Table, u16)>,
    silent: BTreeSet<(Table, u16)>,
    count_max: Option<u16>,
}

impl Holes {
    fn deed(&self, read: &Read) -> Deed {
        let registers = || (0..read.count).map(|at| (read.table, read.address + at));
        if registers().any(|register| self.silent.contains(&register)) {
            Deed::Silence
        } else if registers().any(|register| self.missing.contains(&register)) {
            Deed::Exception(2)
        } else if self.count_max.is_some_and(|max| read.count > max) {
            Deed::Exception(3)
        } else {
            Deed::Values
        }
    }

    /// The points that no read can bring.
    fn guilty(&self, points: &[Point]) -> BTreeSet<usize> {
        let alone = |point: &Point| Read {
            table: point.table,
            address: point.address,
            count: point.width(),
            points: Vec::new(),
            beside: Vec::new(),
            every: NonZeroU32::MIN,
        };
        let places = points.iter().enumerate();
        places.filter(|(_, point)| self.deed(&alone(point)) != Deed::Values).map(|(place, _)| place).collect()
    }
}

/// What one cycle came to.
#[derive(Debug, Default)]
struct Cycle {
    good: BTreeSet<usize>,
    refused: BTreeSet<usize>,
    missing: BTreeSet<usize>,
    requests: usize,
    in_vain: usize,
    proven: Vec<usize>,
    dark: Vec<Table>,
}

struct Bench {
    points: Vec<Point>,
    agenda: Agenda,
    now: Duration,
}

const PERIOD: Duration = Duration::from_secs(1);

impl Bench {
    fn new(points: Vec<Point>) -> Self {
        let device = device(points);
        let agenda = Agenda::of(Plan::of(&device), 7);
        Self { points: device.points, agenda, now: Duration::ZERO }
    }

    /// As the driver does it, with time for `budget` requests beyond those of the points that are well.
    fn cycle(&mut self, budget: usize, deed: impl Fn(&Read) -> Deed) -> Cycle {
        let mut cycle = Cycle::default();
        let mut answers = 0;
        self.agenda.begin(self.now);
        while let Some(id) = self.agenda.next_live() {
            answers += usize::from(self.ask(id, &deed, &mut cycle));
        }
        for _ in 0..budget {
            let Some(id) = self.agenda.next_doubtful(self.now) else { break };
            answers += usize::from(self.ask(id, &deed, &mut cycle));
            while let Some(id) = self.agenda.next_live() {
                answers += usize::from(self.ask(id, &deed, &mut cycle));
            }
        }
        if answers > 0
            && let Some(id) = self.agenda.next_silent()
        {
            self.ask(id, &deed, &mut cycle);
        }
        if answers > 0 {
            self.agenda.end_answered();
        } else if cycle.requests > 0 {
            self.agenda.end_dead();
        }
        for (read, refused) in self.agenda.unanswered() {
            let told = if refused { &mut cycle.refused } else { &mut cycle.missing };
            told.extend(read.points.iter().filter(|place| !cycle.good.contains(place)));
        }
        cycle.dark = self.agenda.newly_refused().into_iter().map(|(table, ..)| table).collect();
        self.now += PERIOD;
        cycle
    }

    fn ask(&mut self, id: PieceId, deed: impl Fn(&Read) -> Deed, cycle: &mut Cycle) -> bool {
        let read = self.agenda.read(id).unwrap().clone();
        cycle.requests += 1;
        let deed = deed(&read);
        cycle.in_vain += usize::from(deed != Deed::Values);
        match deed {
            Deed::Values => {
                cycle.good.extend(&read.points);
                self.agenda.answered(id);
            }
            Deed::Exception(code @ 1..=3) => {
                let outcome = self.agenda.refused(id, &self.points, Exception(code), self.now);
                if outcome == Outcome::Proven {
                    cycle.proven.extend(&read.points);
                }
            }
            Deed::Exception(_) => drop(self.agenda.failed(id)),
            Deed::Silence => drop(self.agenda.broke(id, &self.points, self.now)),
        }
        deed != Deed::Silence
    }

    fn all(&self) -> BTreeSet<usize> {
        (0..self.points.len()).collect()
    }
}

fn device(points: Vec<Point>) -> Device {
    Device {
        source: riskgate_point::SourceId(0),
        endpoint: Endpoint::tcp("127.0.0.1", 502),
        device_id: 1,
        period: PERIOD,
        timeout: PERIOD,
        connect_timeout: PERIOD,
        gap_max: 8,
        registers_max: 125,
        bits_max: BITS_MAX,
        one_request_per_point: false,
        pause: Duration::ZERO,
        connect_pause: Duration::ZERO,
        points,
    }
}

fn registers(addresses: impl IntoIterator<Item = u16>) -> Vec<Point> {
    addresses.into_iter().map(|address| Point::new(PointId(0), Table::Holding, address, Kind::U16)).collect()
}

fn missing(addresses: impl IntoIterator<Item = u16>) -> Holes {
    let missing = addresses.into_iter().map(|address| (Table::Holding, address)).collect();
    Holes { missing, ..Holes::default() }
}

fn ceil_log2(n: usize) -> usize {
    usize::try_from(n.next_power_of_two().trailing_zeros()).unwrap()
}

#[test]
fn one_refused_register_is_alone_within_its_cycle_and_its_neighbours_are_read_in_the_same() {
    let holes = missing([37]);
    let mut bench = Bench::new(registers(0..100));
    let first = bench.cycle(100, |read| holes.deed(read));
    assert_eq!(first.refused, BTreeSet::from([37]));
    assert_eq!(first.good.len(), 99);
    assert!(first.requests <= 1 + 2 * ceil_log2(100), "{}", first.requests);
    let second = bench.cycle(100, |read| holes.deed(read));
    assert_eq!(second.proven, [37], "asked once more, and then it is certain");
    for _ in 0..8 {
        bench.cycle(100, |read| holes.deed(read));
    }
    let settled = bench.cycle(100, |read| holes.deed(read));
    assert_eq!((settled.requests, settled.in_vain), (2, 0), "one read on each side of it");
    assert_eq!(settled.good.len(), 99);
}

#[test]
fn the_search_takes_no_more_requests_in_a_cycle_than_there_is_time_for() {
    let holes = missing([3, 11, 12, 40, 41, 42, 77, 80, 91, 92, 93, 99]);
    let mut bench = Bench::new(registers(0..100));
    // A block of other registers, which is well.
    bench.points.extend(registers(1000..1010));
    bench.agenda = Agenda::of(Plan::of(&device(bench.points.clone())), 7);
    for _ in 0..500 {
        let cycle = bench.cycle(1, |read| holes.deed(read));
        assert!((100..110).all(|place| cycle.good.contains(&place)), "its neighbours wait for nobody");
    }
    let settled = bench.cycle(1, |read| holes.deed(read));
    assert_eq!(settled.good.len(), 98);
    assert_eq!(settled.refused, holes.guilty(&bench.points));
}

#[test]
fn a_refused_point_is_asked_again_after_minutes_then_more_seldom_and_is_back_when_it_answers() {
    let holes = missing([37]);
    let mut bench = Bench::new(registers(0..100));
    for _ in 0..20 {
        bench.cycle(100, |read| holes.deed(read));
    }
    let mut tries = Vec::new();
    for second in 20..4 * 3600 {
        if bench.cycle(100, |read| holes.deed(read)).in_vain > 0 {
            tries.push(second);
        }
    }
    let gaps: Vec<i32> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((60..=120).contains(&tries[0]), "{tries:?}");
    assert!((4..=12).contains(&tries.len()), "{tries:?}");
    assert!(gaps.iter().all(|gap| *gap <= 3601), "{gaps:?}");
    // The register is added to the device.
    let back = (0..3601).find(|_| bench.cycle(100, |_| Deed::Values).good.len() == 100);
    assert!(back.is_some());
    for _ in 0..5 {
        bench.cycle(100, |_| Deed::Values);
    }
    assert_eq!(bench.cycle(100, |_| Deed::Values).requests, 1, "one read again");
}

#[test]
fn a_device_that_refuses_everything_while_it_starts_is_read_whole_at_once_when_it_has_started() {
    for outage in [1, 2, 5, 30, 600] {
        let holes = missing([37]);
        let mut points = registers(0..300);
        points.extend((0..40).map(|address| Point::new(PointId(0), Table::Input, address, Kind::U16)));
        let mut bench = Bench::new(points);
        for _ in 0..20 {
            bench.cycle(50, |read| holes.deed(read));
        }
        for second in 0..outage {
            let cycle = bench.cycle(50, |_| Deed::Exception(2));
            assert!(cycle.good.is_empty());
            assert!(second < 40 || cycle.requests <= 3, "one of each table: {}", cycle.requests);
        }
        let mut cycles = 0;
        loop {
            cycles += 1;
            if bench.cycle(50, |read| holes.deed(read)).good.len() == 339 {
                break;
            }
            assert!(cycles < 12, "after {outage} cycles of refusals");
        }
    }
}

#[test]
fn a_device_that_is_busy_for_a_while_is_cut_nowhere() {
    let mut bench = Bench::new(registers(0..300));
    bench.cycle(50, |_| Deed::Values);
    for _ in 0..100 {
        assert_eq!(bench.cycle(50, |_| Deed::Exception(6)).requests, 3);
    }
    let back = bench.cycle(50, |_| Deed::Values);
    assert_eq!((back.good.len(), back.requests), (300, 3));
}

#[test]
fn a_table_that_is_refused_whole_is_told_once_and_then_costs_one_request_in_a_cycle() {
    let mut points = registers(0..1000);
    points.extend((0..10).map(|address| Point::new(PointId(0), Table::Input, address, Kind::U16)));
    let mut bench = Bench::new(points);
    let deed = |read: &Read| if read.table == Table::Holding { Deed::Exception(2) } else { Deed::Values };
    let mut told = 0;
    for _ in 0..100 {
        let cycle = bench.cycle(50, deed);
        assert!((1000..1010).all(|place| cycle.good.contains(&place)));
        assert!(cycle.proven.is_empty(), "nothing is proven of one address");
        told += cycle.dark.len();
    }
    assert_eq!(told, 1);
    assert_eq!(bench.cycle(50, deed).requests, 2);
}

#[test]
fn a_function_that_the_device_does_not_serve_is_not_searched_for_an_address() {
    let mut points = registers(0..1000);
    points.extend((0..10).map(|address| Point::new(PointId(0), Table::Input, address, Kind::U16)));
    let mut bench = Bench::new(points);
    let deed = |read: &Read| if read.table == Table::Holding { Deed::Exception(1) } else { Deed::Values };
    let first = bench.cycle(50, deed);
    assert_eq!((first.requests, first.dark), (9, vec![Table::Holding]));
    assert_eq!(bench.cycle(50, deed).requests, 2);
}

#[test]
fn a_gap_that_does_not_exist_costs_no_point() {
    // 3 and 9 have no point, and are read only because they lie between.
    let holes = missing([3, 9]);
    let mut bench = Bench::new(registers([0, 1, 2, 4, 5, 6, 7, 8, 10, 11]));
    assert_eq!(bench.cycle(50, |read| holes.deed(read)).good.len(), 10);
    for _ in 0..10 {
        assert_eq!(bench.cycle(50, |read| holes.deed(read)).good.len(), 10);
    }
    let settled = bench.cycle(50, |read| holes.deed(read));
    assert_eq!((settled.requests, settled.in_vain), (3, 0));
}

#[test]
fn a_limit_that_nobody_wrote_down_is_found_out() {
    let holes = Holes { count_max: Some(60), ..Holes::default() };
    let mut bench = Bench::new(registers(0..125));
    assert_eq!(bench.cycle(50, |read| holes.deed(read)).good.len(), 125);
    for _ in 0..10 {
        assert_eq!(bench.cycle(50, |read| holes.deed(read)).good.len(), 125);
    }
    let settled = bench.cycle(50, |read| holes.deed(read));
    assert!(settled.requests <= 4 && settled.in_vain == 0, "{settled:?}");
}

#[test]
fn a_register_that_silences_the_device_is_found_and_its_neighbours_are_read() {
    let holes = Holes { silent: BTreeSet::from([(Table::Holding, 37)]), ..Holes::default() };
    let mut bench = Bench::new(registers((0..100).chain(1000..1010)));
    let mut cycles = 0;
    while bench.cycle(50, |read| holes.deed(read)).good.len() < 109 {
        cycles += 1;
        assert!(cycles < 30);
    }
    for _ in 0..20 {
        let cycle = bench.cycle(50, |read| holes.deed(read));
        assert_eq!((cycle.missing, cycle.refused), (BTreeSet::from([37]), BTreeSet::new()));
    }
}

#[test]
fn what_is_due_in_one_of_three_cycles_is_so_after_it_was_cut_as_well() {
    let holes = missing([37]);
    let every = NonZeroU32::new(3).unwrap();
    let points = registers(0..100).into_iter().map(|point| Point { every, ..point }).collect();
    let mut bench = Bench::new(points);
    for _ in 0..40 {
        bench.cycle(1, |read| holes.deed(read));
    }
    let nine: Vec<Cycle> = (0..9).map(|_| bench.cycle(1, |read| holes.deed(read))).collect();
    let asked: usize = nine.iter().map(|cycle| cycle.requests).sum();
    assert_eq!(asked, 6, "two reads, each three times");
    assert!(nine.iter().all(|cycle| cycle.refused == BTreeSet::from([37]) && cycle.missing.is_empty()));
    let mut read: Vec<usize> = nine.iter().flat_map(|cycle| cycle.good.clone()).collect();
    read.sort_unstable();
    read.dedup();
    assert_eq!(read.len(), 99);
}

#[test]
fn a_refused_point_is_proven_though_all_points_of_its_table_are_read_seldom() {
    let holes = missing([3, 37, 60]);
    let every = NonZeroU32::new(3).unwrap();
    // In one cycle, and with time for no more than one request beyond what is well.
    for (budget, cycles) in [(100, 12), (1, 200)] {
        let points = registers(0..100).into_iter().map(|point| Point { every, ..point }).collect();
        let mut bench = Bench::new(points);
        let mut proven: Vec<usize> =
            (0..cycles).flat_map(|_| bench.cycle(budget, |read| holes.deed(read)).proven).collect();
        proven.sort_unstable();
        assert_eq!(proven, [3, 37, 60], "each once, with time for {budget}");
    }
}

#[test]
fn a_read_that_was_cut_and_then_fails_is_what_it_said_last_whether_it_is_asked_or_not() {
    let holes = missing([37]);
    let mut bench = Bench::new(registers(0..100));
    for code in [4, 5, 6] {
        let deed = |read: &Read| {
            let said = holes.deed(read);
            if said != Deed::Values && read.count == 1 { Deed::Exception(code) } else { said }
        };
        bench.cycle(100, deed);
        for cycle in 0..20 {
            // In every other cycle there is no time for it.
            let Cycle { refused, missing, .. } = bench.cycle(cycle % 2, deed);
            assert_eq!((refused, missing), (BTreeSet::new(), BTreeSet::from([37])));
        }
    }
    // And when it is refused after all, it is that.
    let refused = bench.cycle(100, |read| holes.deed(read)).refused;
    assert_eq!(refused, BTreeSet::from([37]));
}

#[test]
fn a_lost_packet_is_no_proof_of_a_refusal() {
    let holes = missing([37]);
    let mut bench = Bench::new(registers(0..100));
    bench.cycle(100, |read| holes.deed(read));
    let silent = |read: &Read| if holes.deed(read) == Deed::Values { Deed::Values } else { Deed::Silence };
    for _ in 0..20 {
        let Cycle { refused, missing, .. } = bench.cycle(100, silent);
        assert_eq!((refused, missing), (BTreeSet::new(), BTreeSet::from([37])));
        let is_proven = |piece: &Piece| matches!(&piece.state, State::Held(held) if held.is_proven());
        assert!(!bench.agenda.pieces.values().any(is_proven));
    }
    assert_eq!(bench.cycle(100, |_| Deed::Values).good.len(), 100, "and it is back at once");
}

#[test]
fn a_lost_packet_of_a_proven_refusal_is_not_asked_for_more_often() {
    let holes = missing([37]);
    let mut bench = Bench::new(registers(0..100));
    for _ in 0..5 {
        bench.cycle(100, |read| holes.deed(read));
    }
    let silent = |read: &Read| if holes.deed(read) == Deed::Values { Deed::Values } else { Deed::Silence };
    let in_vain: usize = (0..3600).map(|_| bench.cycle(100, silent).in_vain).sum();
    assert!((1..=8).contains(&in_vain), "{in_vain} in an hour");
}

fn any_points() -> impl Strategy<Value = Vec<Point>> {
    let table = prop_oneof![Just(Table::Coil), Just(Table::Holding), Just(Table::Input)];
    let kind = prop_oneof![Just(Kind::U16), Just(Kind::U16), Just(Kind::F32)];
    let point = (table, 0_u16..400, kind)
        .prop_map(|(table, address, kind)| Point::new(PointId(0), table, address, kind));
    prop::collection::vec(point, 1..60)
}

fn any_holes() -> impl Strategy<Value = Holes> {
    let table = prop_oneof![Just(Table::Coil), Just(Table::Holding), Just(Table::Input)];
    let missing = prop::collection::btree_set((table, 0_u16..402), 0..20);
    missing.prop_map(|missing| Holes { missing, ..Holes::default() })
}

proptest! {
    /// The number stated: for each block of n points, of which g points or gaps are refused,
    /// 1 + 2·g·⌈log₂ n⌉ requests.
    #[test]
    fn after_the_stated_number_of_requests_every_good_point_is_read_and_every_bad_one_is_held(
        points in any_points(),
        holes in any_holes(),
        budget in 1_usize..40,
    ) {
        let mut bench = Bench::new(points);
        let guilty = holes.guilty(&bench.points);
        let good: BTreeSet<usize> = bench.all().difference(&guilty).copied().collect();
        let bound: usize = Plan::of(&device(bench.points.clone())).reads.iter().map(|read| {
            let missing = holes.missing.iter().filter(|(table, address)| {
                *table == read.table && (read.address..read.address + read.count).contains(address)
            });
            // Points that overlap may each be refused for the same register.
            let refused = read.points.iter().filter(|place| guilty.contains(place)).count();
            1 + 2 * missing.count().max(refused) * ceil_log2(read.points.len())
        }).sum();
        let mut requests = 0;
        let mut settled = false;
        while !settled {
            let cycle = bench.cycle(budget, |read| holes.deed(read));
            requests += cycle.in_vain;
            settled = cycle.good == good && cycle.refused == guilty;
            prop_assert!(cycle.good.is_subset(&good));
            prop_assert!(settled || requests <= bound, "{requests} of {bound}");
        }
        // And it stays so, for each of the hours in which what is held is tried again.
        for _ in 0..40 {
            let cycle = bench.cycle(budget, |read| holes.deed(read));
            prop_assert_eq!(&cycle.good, &good);
            prop_assert_eq!(&cycle.refused, &guilty);
            prop_assert!(cycle.missing.is_empty());
            bench.now += Duration::from_secs(300);
        }
    }

    #[test]
    fn whatever_a_device_does_every_point_stays_on_the_agenda_once_and_no_read_is_over_its_limits(
        points in any_points(),
        deeds in prop::collection::vec(
            prop_oneof![Just(Deed::Values), Just(Deed::Exception(2)), Just(Deed::Exception(6)), Just(Deed::Silence)],
            1..300,
        ),
        budget in 1_usize..40,
    ) {
        let mut bench = Bench::new(points);
        let all = bench.all();
        let at = std::cell::Cell::new(0);
        let next = |_: &Read| {
            at.set(at.get() + 1);
            deeds[at.get() % deeds.len()]
        };
        for _ in 0..15 {
            bench.cycle(budget, next);
            let places: Vec<usize> =
                bench.agenda.pieces.values().flat_map(|piece| piece.read.points.clone()).collect();
            prop_assert_eq!(places.len(), all.len());
            prop_assert_eq!(&places.into_iter().collect::<BTreeSet<_>>(), &all);
            for piece in bench.agenda.pieces.values() {
                let limit = if piece.read.table.is_bits() { BITS_MAX } else { 125 };
                prop_assert!((1..=limit).contains(&piece.read.count));
            }
        }
        // Then it is well again: nothing that was learned from its whims lasts.
        let healed = (0..400).find(|_| {
            bench.now += Duration::from_secs(60);
            bench.cycle(budget, |_| Deed::Values).good == all
        });
        prop_assert!(healed.is_some());
    }
}
