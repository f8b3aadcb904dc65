//! A scripted device in memory: there is no simulated driver, so the driver itself runs on a simulated line.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use riskgate_drivers::modbus::Endpoint;
use riskgate_point::Sample;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::bench::{Books, Driving, Peer, Way};
use super::modbus::{self, Asked};

const HOST: &str = "in-memory";

pub(crate) struct Memory(Arc<Mutex<Device>>);

struct Device {
    way: Way,
    asked: Asked,
    tries: Vec<Instant>,
    connects: u64,
    silence: CancellationToken,
    links: JoinSet<()>,
}

impl Device {
    fn connect(&mut self) -> Option<DuplexStream> {
        self.tries.push(Instant::now());
        let (ours, theirs) = duplex(1024);
        match self.way {
            Way::Gone => return None,
            Way::Closes => {}
            Way::Silent => {
                self.links.spawn(async move {
                    std::future::pending::<()>().await;
                    drop(theirs);
                });
            }
            Way::Well => {
                self.connects += 1;
                let (asked, silence) = (self.asked.clone(), self.silence.clone());
                self.links.spawn(serve(theirs, asked, silence));
            }
        }
        Some(ours)
    }
}

/// Frames of Modbus TCP, until the driver hangs up.
async fn serve(mut stream: DuplexStream, asked: Asked, silence: CancellationToken) {
    let mut frame = [0; 12];
    while stream.read_exact(&mut frame).await.is_ok() {
        if silence.is_cancelled() {
            return std::future::pending().await;
        }
        let pdu = asked.answer(&frame[7..]);
        let length = u16::try_from(pdu.len() + 1).unwrap().to_be_bytes();
        let reply = [&frame[..4], &length, &frame[6..7], &pdu].concat();
        if stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

impl Peer for Memory {
    const POINTS: u32 = modbus::POINTS;
    const TELLS_SILENCE_WITHIN: Duration = modbus::TELLS_SILENCE_WITHIN;
    const NOTICES_SILENCE_WITHIN: Duration = modbus::TELLS_SILENCE_WITHIN;
    const PAUSE: (Duration, u32) = modbus::PAUSE;

    async fn start(way: Way) -> Self {
        std::future::ready(()).await;
        Self(Arc::new(Mutex::new(Device {
            way,
            asked: Asked::default(),
            tries: Vec::new(),
            connects: 0,
            silence: CancellationToken::new(),
            links: JoinSet::new(),
        })))
    }

    async fn turn(&mut self, way: Way) {
        std::future::ready(()).await;
        let mut device = self.0.lock().unwrap();
        device.way = way;
        match way {
            Way::Well => {}
            Way::Gone | Way::Closes => device.links.abort_all(),
            Way::Silent => std::mem::take(&mut device.silence).cancel(),
        }
    }

    fn driving(&self) -> Driving {
        let device = Arc::clone(&self.0);
        modbus::driving(Endpoint::tcp(HOST, 1), |line| async move {
            line.over_memory(move || device.lock().unwrap().connect()).await;
        })
    }

    fn name(&self) -> String {
        HOST.to_owned()
    }

    fn tries(&self) -> Vec<Instant> {
        self.0.lock().unwrap().tries.clone()
    }

    fn books(&self) -> Books {
        let device = self.0.lock().unwrap();
        device.asked.books(Some(device.connects))
    }

    fn is_right(&self, sample: &Sample) -> bool {
        modbus::is_right(sample)
    }
}
