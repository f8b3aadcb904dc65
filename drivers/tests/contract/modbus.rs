//! What the Modbus peers have in common: one device of three registers, and how its frames are answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use riskgate_drivers::modbus::{Device, Endpoint, Kind, Line, Point, Table, run};
use riskgate_point::{PointId, Sample, Value};

use super::bench::{Books, Driving, SOURCE, clock};

pub(crate) const POINTS: u32 = 3;
/// Far enough from each other that they are not one read.
const ADDRESSES: [u16; 3] = [0, 100, 200];
const TIMEOUT: Duration = Duration::from_millis(300);
/// Two timeouts and the first pause, on a machine that has other things to do as well.
pub(crate) const TELLS_SILENCE_WITHIN: Duration = Duration::from_secs(4);
/// Of the driver's back-off; a try that fails may be made again at once.
pub(crate) const PAUSE: (Duration, u32) = (Duration::from_millis(250), 2);

pub(crate) fn register_at(address: u16) -> u16 {
    address.wrapping_mul(7).wrapping_add(1000)
}

pub(crate) fn is_right(sample: &Sample) -> bool {
    let address = ADDRESSES.get(usize::try_from(sample.point.0).unwrap());
    let value = address.map(|address| Value::Int(i64::from(register_at(*address))));
    sample.value == value
}

fn device(endpoint: Endpoint) -> Device {
    let point = |(id, address)| Point::new(PointId(id), Table::Holding, address, Kind::U16);
    Device {
        source: SOURCE,
        endpoint,
        device_id: 1,
        period: Duration::from_millis(50),
        timeout: TIMEOUT,
        connect_timeout: TIMEOUT,
        gap_max: 0,
        registers_max: 125,
        bits_max: 2000,
        one_request_per_point: false,
        pause: Duration::ZERO,
        connect_pause: Duration::ZERO,
        points: (0..).zip(ADDRESSES).map(point).collect(),
    }
}

/// `prepare` is given the line before it is asked for anything.
pub(crate) fn driving<F: Future<Output = ()> + Send>(
    endpoint: Endpoint,
    prepare: impl FnOnce(Arc<Line>) -> F + Send + 'static,
) -> Driving {
    Box::new(move |out, stop| {
        Box::pin(async move {
            let line = Arc::new(Line::new(endpoint.clone()));
            prepare(Arc::clone(&line)).await;
            run(&device(endpoint), &line, &out, clock, &stop).await.unwrap();
        })
    })
}

/// What a device was asked for.
#[derive(Clone, Default)]
pub(crate) struct Asked {
    answered: Arc<AtomicU64>,
    others: Arc<Mutex<Vec<String>>>,
}

impl Asked {
    /// The registers of a read, which is counted; of anything else `None`.
    pub(crate) fn read(&self, function: u8, address: u16, count: u16) -> Option<Vec<u16>> {
        if function == 3 && (1..=125).contains(&count) {
            self.answered.fetch_add(1, Ordering::SeqCst);
            Some((0..count).map(|at| register_at(address + at)).collect())
        } else {
            self.others.lock().unwrap().push(format!("function {function}, {count} from {address}"));
            None
        }
    }

    /// The answer to a request, both without what wraps them.
    pub(crate) fn answer(&self, pdu: &[u8]) -> Vec<u8> {
        let number = |at: usize| u16::from_be_bytes([pdu[at], pdu[at + 1]]);
        match self.read(pdu[0], number(1), number(3)) {
            Some(registers) => {
                let bytes: Vec<u8> = registers.into_iter().flat_map(u16::to_be_bytes).collect();
                [vec![pdu[0], u8::try_from(bytes.len()).unwrap()], bytes].concat()
            }
            None => vec![pdu[0] | 0x80, 1],
        }
    }

    pub(crate) fn books(&self, connects: Option<u64>) -> Books {
        Books {
            connects,
            // At the cut and at the end one answer each may not have been taken any more.
            answered: Some((self.answered.load(Ordering::SeqCst), 2)),
            counts_failures: true,
            writes: self.others.lock().unwrap().clone(),
        }
    }
}
