//! Which reads fetch a device's points: few requests, none over the limits of the protocol or the device.
//!
//! Pure. Points of one table that lie close together share a read; a 32-bit point is never split over
//! two reads, because its halves could then come from two different moments. It asks nothing of the
//! device: an address that the device refuses is found out by reading.

use std::time::Duration;

use riskgate_point::SourceId;

use super::{Device, Framing, Kind, Point, Table};

/// The protocol's limit of registers in one reply: 250 bytes.
pub const REGISTERS_MAX: u16 = 125;
/// The protocol's limit of coils or discrete inputs in one reply: the same 250 bytes.
pub const BITS_MAX: u16 = 2000;
/// Addresses of one table: 0 to 65535.
const ADDRESSES: u32 = 65536;
const BITS_PER_BYTE: u32 = 8;
const BYTES_PER_REGISTER: u32 = 2;

/// One request, and the points that its reply holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub table: Table,
    pub address: u16,
    /// Registers, or bits of a coil or discrete-input table; never 0.
    pub count: u16,
    /// Places in [`Device::points`], by address.
    pub points: Vec<usize>,
}

/// All reads of one cycle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub reads: Vec<Read>,
    /// Places in [`Device::points`] of points that no legal read can fetch: a 32-bit point that runs
    /// over the end of its table, or on a device that gives one register at a time.
    pub unreadable: Vec<usize>,
}

impl Framing {
    /// What a request and its reply take on the wire beside the registers or bits.
    fn bytes(self) -> u32 {
        match self {
            // Twice the header of 7; function, address and count; function and length.
            Self::Tcp => 2 * 7 + 5 + 2,
            // Twice a device and a checksum; the same.
            Self::Rtu => 2 * 3 + 5 + 2,
        }
    }
}

impl Table {
    /// Holds bits, not registers.
    pub fn is_bits(self) -> bool {
        match self {
            Self::Coil | Self::Discrete => true,
            Self::Holding | Self::Input => false,
        }
    }

    /// The word of the point table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Holding => "holding",
            Self::Input => "input",
        }
    }
}

impl Point {
    /// Registers (or bits) that the point takes.
    pub fn width(&self) -> u16 {
        match self.kind {
            Kind::Bool | Kind::U16 | Kind::I16 => 1,
            Kind::U32 | Kind::I32 | Kind::F32 => {
                if self.table.is_bits() {
                    1
                } else {
                    2
                }
            }
        }
    }
}

impl Plan {
    /// Every point lies in exactly one read or in `unreadable`.
    pub fn of(device: &Device) -> Self {
        let mut order: Vec<(usize, &Point)> = device.points.iter().enumerate().collect();
        order.sort_by_key(|(place, point)| (point.table, point.address, point.width(), *place));
        let mut plan = Self::default();
        for (place, point) in order {
            let size_max = size_max(device, point.table);
            if end(point.address, point.width()) > ADDRESSES || point.width() > size_max {
                plan.unreadable.push(place);
                continue;
            }
            let merges = |read: &mut Read| read.take(place, point, device, size_max);
            let merged = !device.one_request_per_point && plan.reads.last_mut().is_some_and(merges);
            if !merged {
                plan.reads.push(Read {
                    table: point.table,
                    address: point.address,
                    count: point.width(),
                    points: vec![place],
                });
            }
        }
        plan
    }
}

impl Read {
    /// Grows by the point where the limits allow it. Points come by ascending address.
    fn take(&mut self, place: usize, point: &Point, device: &Device, size_max: u16) -> bool {
        let own_end = end(self.address, self.count);
        let gap = u32::from(point.address).saturating_sub(own_end);
        let new_end = own_end.max(end(point.address, point.width()));
        let Ok(count) = u16::try_from(new_end - u32::from(self.address)) else { return false };
        let apart = self.bytes(self.count) + device.framing.bytes() + self.bytes(point.width());
        let fits = point.table == self.table
            && gap <= u32::from(device.gap_max)
            && count <= size_max
            // A gap is carried in every reply: a wide one costs more than a request of its own.
            && self.bytes(count) <= apart;
        if fits {
            self.count = count;
            self.points.push(place);
        }
        fits
    }

    /// What `count` of its registers or bits take in a reply.
    fn bytes(&self, count: u16) -> u32 {
        let count = u32::from(count);
        if self.table.is_bits() { count.div_ceil(BITS_PER_BYTE) } else { count * BYTES_PER_REGISTER }
    }
}

/// What one request to the device may ask for, in registers or bits.
fn size_max(device: &Device, table: Table) -> u16 {
    if table.is_bits() {
        device.bits_max.clamp(1, BITS_MAX)
    } else {
        device.registers_max.clamp(1, REGISTERS_MAX)
    }
}

fn end(address: u16, count: u16) -> u32 {
    u32::from(address) + u32::from(count)
}

/// Where in `span` a source takes its turn: sources counted up from 0 spread evenly over it.
pub fn phase(source: SourceId, span: Duration) -> Duration {
    // Steps of the golden ratio: however many sources there are, they never bunch.
    let fraction = (u64::from(source.0) * 0x9E37_79B9) & 0xFFFF_FFFF;
    let nanos = (span.as_nanos() * u128::from(fraction)) >> 32;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use riskgate_point::PointId;

    use super::super::{Endpoint, Framing};
    use super::*;

    fn point(table: Table, address: u16, kind: Kind) -> Point {
        Point::new(PointId(0), table, address, kind)
    }

    fn device(gap_max: u16, registers_max: u16, points: Vec<Point>) -> Device {
        Device {
            source: SourceId(0),
            endpoint: Endpoint::tcp("127.0.0.1", 502),
            device_id: 1,
            period: Duration::from_secs(1),
            timeout: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(1),
            gap_max,
            registers_max,
            bits_max: BITS_MAX,
            one_request_per_point: false,
            pause: Duration::ZERO,
            connect_pause: Duration::ZERO,
            framing: Framing::Tcp,
            points,
        }
    }

    fn check(gap_max: u16, registers_max: u16, points: Vec<Point>, expect: &[(Table, u16, u16, &[usize])]) {
        let plan = Plan::of(&device(gap_max, registers_max, points));
        let reads: Vec<(Table, u16, u16, &[usize])> = plan
            .reads
            .iter()
            .map(|read| (read.table, read.address, read.count, read.points.as_slice()))
            .collect();
        assert_eq!(reads, expect);
    }

    #[test]
    fn neighbours_share_a_read_and_a_wide_gap_parts_them() {
        let points = vec![
            point(Table::Holding, 0, Kind::F32),
            point(Table::Holding, 10, Kind::U16),
            point(Table::Holding, 20, Kind::U16),
        ];
        check(8, 125, points, &[(Table::Holding, 0, 11, &[0, 1]), (Table::Holding, 20, 1, &[2])]);
    }

    #[test]
    fn a_32_bit_point_at_the_limit_starts_a_read_of_its_own() {
        let mut points: Vec<Point> = (0..124).map(|at| point(Table::Input, at, Kind::U16)).collect();
        points.push(point(Table::Input, 124, Kind::U32));
        let first: Vec<usize> = (0..124).collect();
        check(0, 125, points, &[(Table::Input, 0, 124, first.as_slice()), (Table::Input, 124, 2, &[124])]);
    }

    #[test]
    fn tables_are_never_mixed() {
        let points = vec![
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
        check(8, 125, points, expect);
    }

    #[test]
    fn two_points_may_read_one_register() {
        let points = vec![point(Table::Holding, 7, Kind::U32), point(Table::Holding, 7, Kind::U16)];
        check(0, 125, points, &[(Table::Holding, 7, 2, &[1, 0])]);
    }

    #[test]
    fn a_32_bit_point_at_the_end_of_the_table_is_unreadable_and_its_neighbour_is_read() {
        let points = vec![point(Table::Holding, 65535, Kind::F32), point(Table::Holding, 65535, Kind::U16)];
        let plan = Plan::of(&device(8, 125, points));
        assert_eq!(plan.unreadable, [0]);
        assert_eq!(plan.reads.len(), 1);
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

    fn any_point() -> impl Strategy<Value = Point> {
        let table =
            prop_oneof![Just(Table::Coil), Just(Table::Discrete), Just(Table::Holding), Just(Table::Input)];
        let kind = prop_oneof![
            Just(Kind::Bool),
            Just(Kind::U16),
            Just(Kind::I16),
            Just(Kind::U32),
            Just(Kind::I32),
            Just(Kind::F32)
        ];
        // Crowded places as well as wide ones, and the ends of the table.
        let address = prop_oneof![0_u16..300, 65_300_u16..=65_535, any::<u16>()];
        (table, address, kind).prop_map(|(table, address, kind)| point(table, address, kind))
    }

    proptest! {
        #[test]
        fn every_point_is_covered_exactly_once_and_no_read_is_over_its_limits(
            points in prop::collection::vec(any_point(), 0..150),
            gap_max in 0_u16..200,
            registers_max in 0_u16..300,
        ) {
            let device = device(gap_max, registers_max, points);
            let plan = Plan::of(&device);
            let mut covered: Vec<usize> = plan.reads.iter().flat_map(|read| read.points.clone()).collect();
            covered.extend(&plan.unreadable);
            covered.sort_unstable();
            prop_assert_eq!(covered, (0..device.points.len()).collect::<Vec<_>>());
            for read in &plan.reads {
                let limit = if read.table.is_bits() { BITS_MAX } else { REGISTERS_MAX };
                prop_assert!(read.count >= 1 && read.count <= limit);
                prop_assert!(read.count <= size_max(&device, read.table));
                prop_assert!(end(read.address, read.count) <= ADDRESSES);
                for place in &read.points {
                    let point = &device.points[*place];
                    prop_assert_eq!(point.table, read.table);
                    prop_assert!(point.address >= read.address);
                    prop_assert!(end(point.address, point.width()) <= end(read.address, read.count));
                }
            }
            for place in &plan.unreadable {
                let point = &device.points[*place];
                prop_assert!(
                    end(point.address, point.width()) > ADDRESSES || point.width() > size_max(&device, point.table)
                );
            }
        }

        #[test]
        fn merging_never_asks_for_more_bytes_on_the_wire_than_reading_each_point_alone(
            points in prop::collection::vec(any_point(), 1..60),
            gap_max in 0_u16..200,
            framing in prop_oneof![Just(Framing::Tcp), Just(Framing::Rtu)],
        ) {
            let bytes = |points: Vec<Point>| -> u32 {
                let plan = Plan::of(&Device { framing, ..device(gap_max, 125, points) });
                plan.reads.iter().map(|read| read.bytes(read.count) + framing.bytes()).sum()
            };
            let apart: u32 = points.iter().map(|point| bytes(vec![point.clone()])).sum();
            prop_assert!(bytes(points) <= apart);
        }
    }
}
