use std::num::NonZeroU8;
use std::sync::Arc;

use proptest::prelude::*;
use riskgate_point::PointId;

use super::super::status::StatusMap;
use super::super::{Beside, Encoding, Kind, Order};
use super::*;

const LIMITS: Limits = Limits {
    gap_max: 8,
    registers_max: REGISTERS_MAX,
    bits_max: BITS_MAX,
    one_request_per_point: false,
    framing: Framing::Tcp,
};

fn point(table: Table, address: u16, kind: Kind) -> Point {
    Point::new(PointId(0), table, address, kind)
}

fn register(table: Table, address: u16) -> Register {
    let every = NonZeroU32::MIN;
    Register { table, address, bit: None, order: Order::Abcd, every, good_for: Duration::from_secs(5) }
}

fn status(register: Register) -> (Register, Arc<StatusMap>) {
    (register, Arc::new(StatusMap::Codes(Vec::new())))
}

fn beside(point: Point, decimals: Option<Register>, status: Option<(Register, Arc<StatusMap>)>) -> Point {
    Point { beside: Some(Box::new(Beside { decimals, status })), ..point }
}

fn check(limits: Limits, points: &[Point], expect: &[(Table, u16, u16, &[usize])]) {
    let plan = Plan::of_points(points, limits);
    let reads: Vec<(Table, u16, u16, &[usize])> = plan
        .reads
        .iter()
        .map(|read| (read.table, read.address, read.count, read.points.as_slice()))
        .collect();
    assert_eq!(reads, expect);
}

#[test]
fn neighbours_share_a_read_and_a_wide_gap_parts_them() {
    let points = [
        point(Table::Holding, 0, Kind::F32),
        point(Table::Holding, 10, Kind::U16),
        point(Table::Holding, 20, Kind::U16),
    ];
    check(LIMITS, &points, &[(Table::Holding, 0, 11, &[0, 1]), (Table::Holding, 20, 1, &[2])]);
}

#[test]
fn a_gap_that_costs_more_than_a_request_parts_what_the_limit_would_join() {
    let apart = |gap: u16| [point(Table::Holding, 0, Kind::U16), point(Table::Holding, 1 + gap, Kind::U16)];
    let reads = |gap, framing| {
        let limits = Limits { gap_max: 124, framing, ..LIMITS };
        Plan::of_points(&apart(gap), limits).reads.len()
    };
    // 21 bytes for a request over TCP, 13 on a serial line; 2 for each register of the gap.
    assert_eq!((reads(10, Framing::Tcp), reads(11, Framing::Tcp)), (1, 2));
    assert_eq!((reads(6, Framing::Rtu), reads(7, Framing::Rtu)), (1, 2));
}

#[test]
fn a_32_bit_point_at_the_limit_starts_a_read_of_its_own() {
    let mut points: Vec<Point> = (0..124).map(|at| point(Table::Input, at, Kind::U16)).collect();
    points.push(point(Table::Input, 124, Kind::U32));
    let first: Vec<usize> = (0..124).collect();
    check(LIMITS, &points, &[(Table::Input, 0, 124, first.as_slice()), (Table::Input, 124, 2, &[124])]);
}

#[test]
fn the_limits_of_registers_and_of_bits_are_their_own() {
    let limits = Limits { registers_max: 4, bits_max: 10, ..LIMITS };
    let coils: Vec<Point> = (0..11).map(|at| point(Table::Coil, at, Kind::Bool)).collect();
    let tenth: Vec<usize> = (0..10).collect();
    check(limits, &coils, &[(Table::Coil, 0, 10, tenth.as_slice()), (Table::Coil, 10, 1, &[10])]);
    let registers: Vec<Point> = (0..5).map(|at| point(Table::Input, at, Kind::U16)).collect();
    check(limits, &registers, &[(Table::Input, 0, 4, &[0, 1, 2, 3]), (Table::Input, 4, 1, &[4])]);
}

#[test]
fn tables_are_never_mixed() {
    let points = [
        point(Table::Input, 1, Kind::U16),
        point(Table::Coil, 0, Kind::Bool),
        point(Table::Holding, 0, Kind::U16),
        point(Table::Discrete, 1, Kind::Bool),
    ];
    let expect: &[(Table, u16, u16, &[usize])] = &[
        (Table::Coil, 0, 1, &[1]),
        (Table::Discrete, 1, 1, &[3]),
        (Table::Holding, 0, 1, &[2]),
        (Table::Input, 1, 1, &[0]),
    ];
    check(LIMITS, &points, expect);
}

#[test]
fn two_points_may_read_one_register() {
    let points = [point(Table::Holding, 7, Kind::U32), point(Table::Holding, 7, Kind::U16)];
    check(LIMITS, &points, &[(Table::Holding, 7, 2, &[1, 0])]);
}

#[test]
fn one_request_for_each_field_still_joins_the_points_of_one_field() {
    let limits = Limits { one_request_per_point: true, ..LIMITS };
    let bit = |place| Kind::Bit(super::super::Bit::new(place).unwrap());
    let points = [
        point(Table::Holding, 7, bit(0)),
        point(Table::Holding, 8, Kind::U32),
        point(Table::Holding, 7, bit(9)),
        point(Table::Holding, 8, Kind::U16),
    ];
    let expect: &[(Table, u16, u16, &[usize])] =
        &[(Table::Holding, 7, 1, &[0, 2]), (Table::Holding, 8, 1, &[3]), (Table::Holding, 8, 2, &[1])];
    check(limits, &points, expect);
}

#[test]
fn what_is_read_in_other_cycles_is_read_apart() {
    let slow = NonZeroU32::new(180).unwrap();
    let points = [
        point(Table::Holding, 0, Kind::U16),
        Point { every: slow, ..point(Table::Holding, 1, Kind::U16) },
        point(Table::Holding, 2, Kind::U16),
    ];
    check(LIMITS, &points, &[(Table::Holding, 0, 3, &[0, 2]), (Table::Holding, 1, 1, &[1])]);
    let every: Vec<u32> =
        Plan::of_points(&points, LIMITS).reads.iter().map(|read| read.every.get()).collect();
    assert_eq!(every, [1, 180]);
}

#[test]
fn a_register_beside_a_point_shares_its_read() {
    let value = point(Table::Holding, 100, Kind::U16);
    let points =
        [beside(value, Some(register(Table::Holding, 104)), Some(status(register(Table::Holding, 99))))];
    let plan = Plan::of_points(&points, LIMITS);
    let [read] = plan.reads.as_slice() else { panic!("{plan:?}") };
    assert_eq!((read.address, read.count), (99, 6));
    assert_eq!(read.points, [0]);
    assert_eq!(read.beside, [(0, Part::Status), (0, Part::Decimals)]);
}

#[test]
fn a_register_that_lies_far_from_its_point_is_asked_for_first() {
    let value = point(Table::Holding, 0, Kind::U16);
    let points = [beside(value, Some(register(Table::Holding, 17)), Some(status(register(Table::Input, 3))))];
    let expect: &[(Table, u16, u16, &[usize])] =
        &[(Table::Holding, 17, 1, &[]), (Table::Input, 3, 1, &[]), (Table::Holding, 0, 1, &[0])];
    check(LIMITS, &points, expect);
}

#[test]
fn a_value_over_the_end_of_the_table_is_unreadable_and_its_neighbour_is_read() {
    let points = [point(Table::Holding, 65535, Kind::F32), point(Table::Holding, 65535, Kind::U16)];
    let plan = Plan::of_points(&points, LIMITS);
    assert_eq!(plan.unreadable, [0]);
    assert_eq!(plan.reads.len(), 1);
}

#[test]
fn a_value_of_more_registers_than_its_device_gives_is_unreadable() {
    let limits = Limits { registers_max: 3, ..LIMITS };
    let points = [point(Table::Holding, 0, Kind::F64), point(Table::Holding, 4, Kind::F32)];
    let plan = Plan::of_points(&points, limits);
    assert_eq!(plan.unreadable, [0]);
    assert_eq!(plan.reads.len(), 1);
}

#[test]
fn halves_cut_between_fields_and_drop_the_gap() {
    let points = [
        point(Table::Holding, 0, Kind::U32),
        point(Table::Holding, 1, Kind::U16),
        point(Table::Holding, 6, Kind::F64),
        point(Table::Holding, 12, Kind::U16),
    ];
    let [read] = &Plan::of_points(&points, LIMITS).reads[..] else { panic!("one read") };
    let (lower, upper) = read.halves(&points).unwrap();
    assert_eq!((lower.address, lower.count, &lower.points[..]), (0, 2, &[0, 1][..]));
    assert_eq!((upper.address, upper.count, &upper.points[..]), (6, 7, &[2, 3][..]));
    let (lower, upper) = lower.halves(&points).unwrap();
    assert_eq!((lower.address, lower.count, &lower.points[..]), (0, 2, &[0][..]));
    assert_eq!((upper.address, upper.count, &upper.points[..]), (1, 1, &[1][..]));
    assert_eq!(upper.halves(&points), None);
}

#[test]
fn sources_spread_over_the_period() {
    let span = Duration::from_secs(1);
    let mut turns: Vec<Duration> = (0..50).map(|source| phase(SourceId(source), span)).collect();
    turns.sort();
    let widest = turns.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(turns.iter().all(|turn| *turn < span));
    assert!(widest < span / 20, "a gap of {widest:?} among 50 sources");
}

fn any_table() -> impl Strategy<Value = Table> {
    prop_oneof![Just(Table::Coil), Just(Table::Discrete), Just(Table::Holding), Just(Table::Input)]
}

/// Crowded places as well as wide ones, and the ends of the table.
fn any_address() -> impl Strategy<Value = u16> {
    prop_oneof![0_u16..300, 65_300_u16..=65_535, any::<u16>()]
}

fn any_register() -> impl Strategy<Value = Register> {
    (any_table(), any_address(), 1_u32..3).prop_map(|(table, address, every)| Register {
        every: NonZeroU32::new(every).unwrap(),
        ..register(table, address)
    })
}

fn any_point() -> impl Strategy<Value = Point> {
    let kind = prop_oneof![
        Just(Kind::Bool),
        Just(Kind::U16),
        Just(Kind::Bcd16),
        Just(Kind::U32),
        Just(Kind::F32),
        Just(Kind::I64),
        Just(Kind::F64),
        (1_u8..=125).prop_map(|registers| Kind::Text {
            registers: NonZeroU8::new(registers).unwrap(),
            encoding: Encoding::Utf8
        }),
    ];
    let beside = (prop::option::weighted(0.2, any_register()), prop::option::weighted(0.2, any_register()));
    (any_table(), any_address(), kind, 1_u32..3, beside).prop_map(
        |(table, address, kind, every, (decimals, of_status))| Point {
            every: NonZeroU32::new(every).unwrap(),
            ..super::tests::beside(point(table, address, kind), decimals, of_status.map(status))
        },
    )
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let framing = prop_oneof![Just(Framing::Tcp), Just(Framing::Rtu)];
    (0_u16..200, 0_u16..300, 0_u16..3000, prop::bool::weighted(0.2), framing).prop_map(
        |(gap_max, registers_max, bits_max, one_request_per_point, framing)| Limits {
            gap_max,
            registers_max,
            bits_max,
            one_request_per_point,
            framing,
        },
    )
}

/// All that a read fetches, by place and part.
fn fetched(read: &Read) -> Vec<(usize, Option<Part>)> {
    let own = read.points.iter().map(|place| (*place, None));
    own.chain(read.beside.iter().map(|(place, part)| (*place, Some(*part)))).collect()
}

fn bytes(plan: &Plan, framing: Framing) -> u32 {
    plan.reads.iter().map(|read| read.bytes(read.count) + framing.bytes()).sum()
}

/// Within its limits, and holding every field that it is said to fetch as a whole.
fn is_sound(read: &Read, points: &[Point], limits: &Limits) -> Result<(), TestCaseError> {
    let most = if read.table.is_bits() { BITS_MAX } else { REGISTERS_MAX };
    prop_assert!(read.count >= 1 && read.count <= most.min(limits.size_max(read.table)));
    prop_assert!(end(read.address, read.count) <= ADDRESSES);
    for (place, part) in fetched(read) {
        let item = Item::of(place, part, &points[place]).unwrap();
        prop_assert_eq!((item.table, item.every), (read.table, read.every));
        prop_assert!(item.address >= read.address);
        prop_assert!(end(item.address, item.width) <= end(read.address, read.count));
        if limits.one_request_per_point {
            prop_assert_eq!(item.span(), (read.address, read.count));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_point_is_covered_exactly_once_and_no_read_is_over_its_limits(
        points in prop::collection::vec(any_point(), 0..150),
        limits in any_limits(),
    ) {
        let plan = Plan::of_points(&points, limits);
        let mut covered: Vec<(usize, Option<Part>)> = plan.reads.iter().flat_map(fetched).collect();
        for place in &plan.unreadable {
            let point = &points[*place];
            prop_assert!(!Item::all_of(*place, point).all(|item| item.can_be_read(&limits)));
            covered.extend(Item::all_of(*place, point).map(|item| (item.place, item.part)));
        }
        covered.sort_unstable();
        let all: Vec<(usize, Option<Part>)> = points
            .iter()
            .enumerate()
            .flat_map(|(place, point)| Item::all_of(place, point))
            .map(|item| (item.place, item.part))
            .collect();
        prop_assert_eq!(covered, all);
        for read in &plan.reads {
            is_sound(read, &points, &limits)?;
        }
    }

    #[test]
    fn merging_never_asks_for_more_bytes_on_the_wire_than_reading_each_field_alone(
        points in prop::collection::vec(any_point(), 1..60),
        limits in any_limits(),
    ) {
        let unmerged = Plan::of_points(&points, Limits { one_request_per_point: true, ..limits });
        let merged = Plan::of_points(&points, limits);
        prop_assert!(bytes(&merged, limits.framing) <= bytes(&unmerged, limits.framing));
        prop_assert!(merged.reads.len() <= unmerged.reads.len());
    }

    #[test]
    fn halves_fetch_together_what_the_whole_did_until_one_field_stands_alone(
        points in prop::collection::vec(any_point(), 1..60),
        limits in any_limits(),
    ) {
        let mut left = Plan::of_points(&points, limits).reads;
        while let Some(read) = left.pop() {
            let Some((lower, upper)) = read.halves(&points) else {
                let fetched = fetched(&read);
                let own = |(place, part): (usize, Option<Part>)| Item::of(place, part, &points[place]).unwrap();
                prop_assert!(fetched.iter().all(|it| own(*it).span() == (read.address, read.count)));
                continue;
            };
            let mut both = [fetched(&lower), fetched(&upper)].concat();
            both.sort_unstable();
            let mut whole = fetched(&read);
            whole.sort_unstable();
            prop_assert_eq!(both, whole);
            is_sound(&lower, &points, &limits)?;
            is_sound(&upper, &points, &limits)?;
            left.extend([lower, upper]);
        }
    }
}
