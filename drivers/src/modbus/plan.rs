//! Which reads fetch a device's points: few requests, none over the limits of the protocol or the device.
//!
//! Pure. Points of one table that lie close together share a read, and so do the registers beside them;
//! a value of several registers is never split over two reads, because its parts could then come from
//! different moments. Reads are merged only where that takes fewer bytes on the wire. It asks nothing of
//! the device: an address that the device refuses is found out by reading, and by [`Read::halves`].

use std::num::NonZeroU32;
use std::time::Duration;

use riskgate_point::SourceId;

use super::{Device, Framing, Point, Register, Table};

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
    /// What it fetches beside points, by the place of the point and by address. The point's own registers
    /// may lie in another read.
    pub beside: Vec<(usize, Part)>,
    /// It is due in one of so many cycles.
    pub every: NonZeroU32,
}

/// What the device, and the way to it, allow in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// As those of [`Device`].
    pub gap_max: u16,
    pub registers_max: u16,
    pub bits_max: u16,
    pub one_request_per_point: bool,
    pub framing: Framing,
}

/// What a register beside a point is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Decimals,
    Status,
}

/// All reads of one cycle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub reads: Vec<Read>,
    /// Places in [`Device::points`] of points that no legal read can fetch: one that runs over the end of
    /// its table, or takes more registers than its device gives at a time.
    pub unreadable: Vec<usize>,
}

impl Limits {
    /// What one request may ask for, in registers or bits.
    fn size_max(&self, table: Table) -> u16 {
        if table.is_bits() {
            self.bits_max.clamp(1, BITS_MAX)
        } else {
            self.registers_max.clamp(1, REGISTERS_MAX)
        }
    }
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
        if self.table.is_bits() { 1 } else { self.kind.registers() }
    }
}

impl Part {
    /// Where it lies. `None`: the point has none.
    pub(super) fn of(self, point: &Point) -> Option<&Register> {
        let beside = point.beside.as_ref()?;
        match self {
            Self::Decimals => beside.decimals.as_ref(),
            Self::Status => beside.status.as_ref().map(|(register, _)| register),
        }
    }
}

/// One thing to fetch: a point's own registers, or one beside it.
#[derive(Debug, Clone, Copy)]
struct Item {
    table: Table,
    address: u16,
    width: u16,
    every: NonZeroU32,
    place: usize,
    part: Option<Part>,
}

impl Item {
    fn all_of(place: usize, point: &Point) -> impl Iterator<Item = Self> {
        [None, Some(Part::Decimals), Some(Part::Status)]
            .into_iter()
            .filter_map(move |part| Self::of(place, part, point))
    }

    /// `None`: the point has no such register beside it.
    fn of(place: usize, part: Option<Part>, point: &Point) -> Option<Self> {
        Some(match part {
            None => {
                let (table, address, width) = (point.table, point.address, point.width());
                Self { table, address, width, every: point.every, place, part }
            }
            Some(beside) => {
                let Register { table, address, every, .. } = *beside.of(point)?;
                Self { table, address, width: 1, every, place, part }
            }
        })
    }

    fn can_be_read(&self, limits: &Limits) -> bool {
        end(self.address, self.width) <= ADDRESSES && self.width <= limits.size_max(self.table)
    }

    fn span(&self) -> (u16, u16) {
        (self.address, self.width)
    }
}

impl Plan {
    /// Every point, and every register beside one, lies in exactly one read; or the point is unreadable.
    pub fn of(device: &Device) -> Self {
        let Device { gap_max, registers_max, bits_max, one_request_per_point, .. } = *device;
        let framing = device.endpoint.framing();
        let limits = Limits { gap_max, registers_max, bits_max, one_request_per_point, framing };
        Self::of_points(&device.points, limits)
    }

    pub fn of_points(points: &[Point], limits: Limits) -> Self {
        let mut plan = Self::default();
        let mut items: Vec<Item> = Vec::with_capacity(points.len());
        for (place, point) in points.iter().enumerate() {
            if Item::all_of(place, point).all(|item| item.can_be_read(&limits)) {
                items.extend(Item::all_of(place, point));
            } else {
                plan.unreadable.push(place);
            }
        }
        items.sort_by_key(|item| (item.every, item.table, item.span(), item.place, item.part));
        for item in items {
            let merged = plan.reads.last_mut().is_some_and(|read| read.merge(&item, &limits));
            if !merged {
                plan.reads.push(Read::new(&item));
            }
        }
        // A value is worth what is beside it: that is asked for first.
        plan.reads.sort_by_key(|read| !read.is_of_other_points());
        plan
    }
}

impl Read {
    fn new(item: &Item) -> Self {
        let Item { table, address, width, every, .. } = *item;
        let mut read = Self { table, address, count: width, points: Vec::new(), beside: Vec::new(), every };
        read.add(item);
        read
    }

    fn add(&mut self, item: &Item) {
        match item.part {
            None => self.points.push(item.place),
            Some(part) => self.beside.push((item.place, part)),
        }
    }

    /// Grows by the item where the limits allow it. Items come by ascending address.
    fn merge(&mut self, item: &Item, limits: &Limits) -> bool {
        if item.table != self.table || item.every != self.every {
            return false;
        }
        let Some(count) = self.count_with(item) else { return false };
        let gap = u32::from(item.address).saturating_sub(end(self.address, self.count));
        let apart = self.bytes(self.count) + limits.framing.bytes() + self.bytes(item.width);
        let fits = gap <= u32::from(limits.gap_max)
            && count <= limits.size_max(self.table)
            // A gap is carried in every reply: a wide one costs more than a request of its own.
            && self.bytes(count) <= apart
            // Several points of one field are still one field: the bits of a register.
            && (!limits.one_request_per_point || item.span() == (self.address, self.count));
        if fits {
            self.count = count;
            self.add(item);
        }
        fits
    }

    fn count_with(&self, item: &Item) -> Option<u16> {
        let new_end = end(self.address, self.count).max(end(item.address, item.width));
        u16::try_from(new_end.checked_sub(u32::from(self.address))?).ok()
    }

    /// Two reads that together fetch what this one does, each without the unused registers between them;
    /// to find which address a device refuses. Values of several registers stay whole. `None`: all that
    /// it fetches is one field.
    pub fn halves(&self, points: &[Point]) -> Option<(Self, Self)> {
        let own = self.points.iter().map(|place| (*place, None));
        let beside = self.beside.iter().map(|(place, part)| (*place, Some(*part)));
        let item = |(place, part): (usize, Option<Part>)| Item::of(place, part, points.get(place)?);
        let mut items: Vec<Item> = own.chain(beside).filter_map(item).collect();
        items.sort_by_key(|item| (item.span(), item.place, item.part));
        let mut spans: Vec<(u16, u16)> = items.iter().map(Item::span).collect();
        spans.dedup();
        let cut = *spans.get(spans.len().div_ceil(2))?;
        let (lower, upper): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| item.span() < cut);
        Some((Self::whole(&lower)?, Self::whole(&upper)?))
    }

    /// One read of what both fetch, and of what lies between. They are halves of one read, or parts of such.
    pub(super) fn joined(&self, next: &Self) -> Self {
        let address = self.address.min(next.address);
        let end = end(self.address, self.count).max(end(next.address, next.count));
        let count = u16::try_from(end.saturating_sub(u32::from(address))).unwrap_or(u16::MAX);
        let points = [self.points.as_slice(), &next.points].concat();
        let beside = [self.beside.as_slice(), &next.beside].concat();
        Self { table: self.table, address, count, points, beside, every: self.every }
    }

    /// How many things it fetches.
    pub(super) fn fields(&self) -> usize {
        self.points.len().saturating_add(self.beside.len())
    }

    /// One read of all items, which come by ascending address.
    fn whole(items: &[Item]) -> Option<Self> {
        let (first, rest) = items.split_first()?;
        let mut read = Self::new(first);
        for item in rest {
            read.count = read.count_with(item)?;
            read.add(item);
        }
        Some(read)
    }

    /// What `count` of its registers or bits take in a reply.
    fn bytes(&self, count: u16) -> u32 {
        let count = u32::from(count);
        if self.table.is_bits() { count.div_ceil(BITS_PER_BYTE) } else { count * BYTES_PER_REGISTER }
    }

    /// It fetches a register beside a point that another read fetches.
    fn is_of_other_points(&self) -> bool {
        self.beside.iter().any(|(place, _)| !self.points.contains(place))
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
mod tests;
