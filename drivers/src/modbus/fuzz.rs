//! What a fuzzer calls, and the tests that replay what it found: devices and replies of any bytes.
//!
//! The first bytes make the points of a device, the rest its registers and bits. Each read of the plan is
//! then answered truly, too short, too long, and with the other sort of table. Pure; it panics where a
//! reply became what it cannot be.

use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::{Now, PointId, Report, Value};

use super::decode::{Reply, samples};
pub use super::frame::fuzz::frames;
use super::memory::Memory;
use super::plan::{Limits, Plan, Read};
use super::status::{Meaning, State, StatusMap};
use super::{Beside, Bit, Encoding, Framing, Kind, Order, Point, Register, Table};
use crate::scaling::{OutOfRange, Scaling};

const POINTS_MAX: usize = 24;
const TURNS: u64 = 3;

/// Bytes as long as there are any, then zeros.
struct Bytes<'d>(&'d [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn table(&mut self) -> Table {
        match self.byte() % 6 {
            0 => Table::Coil,
            1 => Table::Discrete,
            2 => Table::Input,
            _ => Table::Holding,
        }
    }

    fn order(&mut self) -> Order {
        match self.byte() % 8 {
            0 => Order::Abcd,
            1 => Order::Cdab,
            2 => Order::Badc,
            3 => Order::Dcba,
            4 => Order::Efghabcd,
            5 => Order::Cdabghef,
            6 => Order::Fehgbadc,
            _ => Order::Dcbahgfe,
        }
    }

    fn kind(&mut self) -> Kind {
        match self.byte() % 16 {
            0 => Kind::Bool,
            1 => Bit::new(self.byte() % 16).map_or(Kind::Bool, Kind::Bit),
            2 => Kind::HighByte,
            3 => Kind::LowByte,
            4 => Kind::U16,
            5 => Kind::I16,
            6 => Kind::U32,
            7 => Kind::I32,
            8 => Kind::U64,
            9 => Kind::I64,
            10 => Kind::F32,
            11 => Kind::F64,
            12 => Kind::Bcd16,
            13 => Kind::Bcd32,
            other => {
                let registers = NonZeroU8::new(self.byte()).unwrap_or(NonZeroU8::MIN);
                let encoding = if other == 14 { Encoding::Utf8 } else { Encoding::Gb18030 };
                Kind::Text { registers, encoding }
            }
        }
    }

    fn map(&mut self) -> Arc<StatusMap> {
        let state = |meaning| State { meaning, word: Arc::from("state") };
        let meanings = [Meaning::Normal, Meaning::OverRange, Meaning::Fault, Meaning::Masked];
        Arc::new(if self.flag() {
            StatusMap::Codes((0..).zip(meanings.map(state)).collect())
        } else {
            let bits = (0..).step_by(5).map_while(Bit::new).zip(meanings.map(state)).collect();
            StatusMap::Bits { bits, none: Arc::from("none") }
        })
    }

    fn register(&mut self) -> Register {
        Register {
            table: self.table(),
            address: u16::from(self.byte()),
            bit: Bit::new(self.byte()),
            order: self.order(),
            every: NonZeroU32::MIN,
            good_for: Duration::from_secs(u64::from(self.byte())),
        }
    }

    fn scaling(&mut self) -> Scaling {
        let range = self.flag().then_some((-1000.0, 1000.0));
        let out_of_range = if self.flag() { OutOfRange::Bad } else { OutOfRange::Clamp };
        let scale = if self.flag() { 1.0 } else { f64::from(i16::from_be_bytes([self.byte(), 1])) };
        Scaling { scale, offset: f64::from(self.byte() % 2), range, out_of_range }
    }

    fn point(&mut self, id: u32) -> Point {
        let plain = Point::new(PointId(id), self.table(), u16::from(self.byte()), self.kind());
        let decimals = self.flag().then(|| self.register());
        let status = self.flag().then(|| (self.register(), self.map()));
        let words: Vec<(i64, Arc<str>)> = vec![(0, Arc::from("off")), (1, Arc::from("on"))];
        Point {
            order: self.order(),
            scaling: self.scaling(),
            words: self.byte().is_multiple_of(8).then(|| words.into()),
            state: self.byte().is_multiple_of(8).then(|| self.map()),
            current_loop: self.flag(),
            beside: Some(Box::new(Beside { decimals, status })),
            ..plain
        }
    }
}

/// Panics where a reply of a wrong length became a sample, a bad sample has a value, a good one none, a
/// number is not finite, or a point is told twice or not at all.
pub fn decode(data: &[u8]) {
    let mut bytes = Bytes(data);
    let limits = Limits {
        gap_max: u16::from(bytes.byte()),
        registers_max: u16::from(bytes.byte()),
        bits_max: bytes.word(),
        one_request_per_point: bytes.flag(),
        framing: if bytes.flag() { Framing::Tcp } else { Framing::Rtu },
    };
    let count = usize::from(bytes.byte()) % POINTS_MAX;
    let points: Vec<Point> = (0..).take(count).map(|id| bytes.point(id)).collect();
    let plan = Plan::of_points(&points, limits);
    let mut memory = Memory::default();
    for turn in 0..TURNS {
        let now = Now::default().after(Duration::from_secs(turn * 3));
        let mut told = plan.unreadable.len();
        for read in &plan.reads {
            told += answer(read, &points, &mut bytes, now, &mut memory);
        }
        assert_eq!(told, points.len(), "each point is told once");
    }
}

fn answer(read: &Read, points: &[Point], bytes: &mut Bytes<'_>, now: Now, memory: &mut Memory) -> usize {
    let count = usize::from(read.count);
    let words: Vec<u16> = (0..count + 1).map(|_| bytes.word()).collect();
    let bits: Vec<bool> = (0..count.next_multiple_of(8) + 8).map(|_| bytes.flag()).collect();
    let is_bits = read.table.is_bits();
    let right = if is_bits { count.next_multiple_of(8) } else { count };
    let mut told = 0;
    for length in 0..=words.len().max(bits.len()) {
        for (reply, fits) in [
            (words.get(..length).map(Reply::Registers), !is_bits),
            (bits.get(..length).map(Reply::Bits), is_bits),
        ] {
            let Some(reply) = reply else { continue };
            let read = samples(read, points, reply, now, memory);
            assert_eq!(read.is_ok(), fits && length == right, "{length} of {count}: {reply:?}");
            for report in read.into_iter().flatten() {
                check(&report);
                told += 1;
            }
        }
    }
    assert_eq!(told, read.points.len(), "each point of the read is told once");
    told
}

fn check(report: &Report) {
    let Report::Sample(sample) = report else { panic!("no sample: {report:?}") };
    assert_eq!(sample.value.is_none(), sample.quality.is_bad(), "{sample:?}");
    if let Some(Value::Float(number)) = &sample.value {
        assert!(number.get().is_finite());
    }
}
