//! Whatever is configured and whatever the device does: what goes out on the wire are the four reads, each
//! within the limits of the protocol, of the device and of its tables.

use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;
use riskgate_drivers::modbus::plan::{BITS_MAX, Plan, REGISTERS_MAX};
use riskgate_drivers::modbus::{Beside, Device, Kind, Order, Point, Register, Table};
use riskgate_point::PointId;

use super::plant::{Asked, Deed, Driver, Plant, device};

/// Enough for every read of the plan, its halves, and what is tried again...
const REQUESTS: usize = 300;
/// ...and a device that fails too often to be asked so much has shown by then what it is asked.
const LONG_ENOUGH: Duration = Duration::from_millis(400);

fn any_table() -> impl Strategy<Value = Table> {
    prop_oneof![Just(Table::Coil), Just(Table::Discrete), Just(Table::Holding), Just(Table::Input)]
}

fn any_address() -> impl Strategy<Value = u16> {
    prop_oneof![0_u16..300, 65_300_u16..=65_535, any::<u16>()]
}

fn any_register() -> impl Strategy<Value = Register> {
    (any_table(), any_address(), 1_u32..4).prop_map(|(table, address, every)| Register {
        table,
        address,
        bit: None,
        order: Order::Abcd,
        every: NonZeroU32::new(every).unwrap(),
        good_for: Duration::from_secs(1),
    })
}

fn any_point() -> impl Strategy<Value = Point> {
    let kind = prop_oneof![
        Just(Kind::Bool),
        Just(Kind::U16),
        Just(Kind::I32),
        Just(Kind::F32),
        Just(Kind::F64),
        Just(Kind::Bcd32),
    ];
    let beside = prop::option::weighted(0.2, any_register());
    (any_table(), any_address(), kind, 1_u32..4, beside).prop_map(
        |(table, address, kind, every, decimals)| Point {
            every: NonZeroU32::new(every).unwrap(),
            beside: decimals.map(|decimals| Box::new(Beside { decimals: Some(decimals), status: None })),
            ..Point::new(PointId(0), table, address, kind)
        },
    )
}

fn any_device() -> impl Strategy<Value = Device> {
    let limits = (any::<u8>(), 0_u16..200, any::<u16>(), any::<u16>(), prop::bool::weighted(0.2));
    (prop::collection::vec(any_point(), 1..120), limits).prop_map(|(points, limits)| {
        let (device_id, gap_max, registers_max, bits_max, one_request_per_point) = limits;
        Device {
            device_id,
            gap_max,
            registers_max: if registers_max % 3 == 0 { registers_max % 130 } else { registers_max },
            bits_max: if bits_max % 3 == 0 { bits_max % 130 } else { bits_max },
            one_request_per_point,
            period: Duration::from_millis(2),
            timeout: Duration::from_millis(20),
            ..device(0, points)
        }
    })
}

/// What the device does with its requests, in turn.
fn any_deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        20 => Just(Deed::Answer),
        4 => prop::sample::select(vec![1_u8, 2, 3, 4, 6, 10, 11, 99]).prop_map(Deed::Exception),
        1 => Just(Deed::Short(1)),
        1 => Just(Deed::Close),
        1 => Just(Deed::OtherTransaction),
        1 => Just(Deed::Silence),
    ];
    prop::collection::vec(deed, 1..60)
}

fn is_legal(asked: &Asked, device: &Device) -> bool {
    let limit = match asked.function {
        1 | 2 => device.bits_max.clamp(1, BITS_MAX),
        3 | 4 => device.registers_max.clamp(1, REGISTERS_MAX),
        _ => return false,
    };
    let end = u32::from(asked.address) + u32::from(asked.count);
    (1..=limit).contains(&asked.count)
        && end <= 65_536
        && (asked.protocol, asked.length, asked.device_id) == (0, 6, device.device_id)
}

async fn polled(device: Device, deeds: Vec<Deed>) -> Vec<Asked> {
    let plant = Plant::start(move |asked| deeds[asked.number % deeds.len()].clone()).await;
    let endpoint = super::plant::device(plant.port, Vec::new()).endpoint;
    let mut driver = Driver::start(Device { endpoint, ..device });
    driver.until("a request", |_| !plant.asked().is_empty()).await;
    let enough = driver.until("enough requests", |_| plant.asked().len() >= REQUESTS);
    let _in_time = tokio::time::timeout(LONG_ENOUGH, enough).await;
    driver.stop().await;
    plant.asked()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn every_request_is_one_of_the_four_reads_and_within_its_limits(device in any_device(), deeds in any_deeds()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        prop_assume!(!Plan::of(&device).reads.is_empty());
        for asked in runtime.block_on(polled(device.clone(), deeds)) {
            prop_assert!(is_legal(&asked, &device), "{asked:?}");
        }
    }
}
