//! A plant of raw Modbus TCP devices whose every answer the test decides, and drivers that read it.
//!
//! Registers and bits follow from device and address alone, so a value at the wrong point, or of another
//! device, is seen. Nothing of riskgate's own codec is used: what is recorded is what was on the wire.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use riskgate_drivers::intake::{self, Lane, Receiver};
use riskgate_drivers::modbus::{Device, Endpoint, Kind, Line, Point, Table, run};
use riskgate_drivers::tally::{Counts, Tally};
use riskgate_point::{BadReason, Link, Now, PointId, Quality, Report, Sample, SourceId, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(crate) fn register_at(device_id: u8, address: u16) -> u16 {
    address.wrapping_mul(7).wrapping_add(u16::from(device_id) * 1000)
}

pub(crate) fn bit_at(device_id: u8, address: u16) -> bool {
    address.wrapping_add(u16::from(device_id)).is_multiple_of(3)
}

/// A request as it came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Asked {
    /// From 0, in the order of coming.
    pub(crate) connection: usize,
    /// As its header says: 0, and 6 bytes.
    pub(crate) protocol: u16,
    pub(crate) length: u16,
    pub(crate) device_id: u8,
    pub(crate) function: u8,
    pub(crate) address: u16,
    pub(crate) count: u16,
    /// From 0, over all connections.
    pub(crate) number: usize,
}

impl Asked {
    pub(crate) fn holds(&self, address: u16) -> bool {
        let end = u32::from(self.address) + u32::from(self.count);
        self.address <= address && u32::from(address) < end
    }
}

/// What a device does with one request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Deed {
    Answer,
    Exception(u8),
    Silence,
    Close,
    /// The right answer with so many bytes of values fewer, and its lengths set to fit.
    Short(usize),
    /// The right values under another transaction id.
    OtherTransaction,
}

/// Serves connections until dropped.
pub(crate) struct Plant {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

impl Plant {
    pub(crate) async fn start(script: impl Fn(&Asked) -> Deed + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let script = Arc::new(script);
            let mut connections = JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                connections.spawn(async move {
                    // Ended by either side: the driver's own doing is what the test looks at.
                    let _ended = serve(stream, connection, &*script, &log).await;
                });
            }
        });
        Self { port, asked, _tasks: tasks }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    script: &(impl Fn(&Asked) -> Deed + ?Sized),
    log: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut frame = [0_u8; 12];
    loop {
        stream.read_exact(&mut frame).await?;
        let asked = {
            let mut log = log.lock().unwrap();
            let number = log.len();
            let asked = Asked {
                connection,
                protocol: u16::from_be_bytes([frame[2], frame[3]]),
                length: u16::from_be_bytes([frame[4], frame[5]]),
                device_id: frame[6],
                function: frame[7],
                address: u16::from_be_bytes([frame[8], frame[9]]),
                count: u16::from_be_bytes([frame[10], frame[11]]),
                number,
            };
            log.push(asked);
            asked
        };
        let deed = script(&asked);
        let mut pdu = match deed {
            Deed::Silence => continue,
            Deed::Close => return Ok(()),
            Deed::Exception(code) => vec![asked.function | 0x80, code],
            Deed::Answer | Deed::Short(_) | Deed::OtherTransaction => values(&asked),
        };
        if let Deed::Short(missing) = deed {
            pdu.truncate(pdu.len() - missing);
            pdu[1] = u8::try_from(pdu.len() - 2).unwrap();
        }
        let mut reply = frame[..7].to_vec();
        reply[1] ^= u8::from(deed == Deed::OtherTransaction);
        reply[4..6].copy_from_slice(&u16::try_from(pdu.len() + 1).unwrap().to_be_bytes());
        reply.extend(pdu);
        stream.write_all(&reply).await?;
    }
}

fn values(asked: &Asked) -> Vec<u8> {
    let addresses = || (0..asked.count).map(|at| asked.address.wrapping_add(at));
    let mut bytes = Vec::new();
    if asked.function <= 2 {
        bytes.resize(usize::from(asked.count.div_ceil(8)), 0);
        for (at, address) in addresses().enumerate() {
            bytes[at / 8] |= u8::from(bit_at(asked.device_id, address)) << (at % 8);
        }
    } else {
        bytes.extend(addresses().flat_map(|address| register_at(asked.device_id, address).to_be_bytes()));
    }
    let mut pdu = vec![asked.function, u8::try_from(bytes.len()).unwrap()];
    pdu.extend(bytes);
    pdu
}

/// An address that takes no connection and refuses none: what is sent there is never answered.
pub(crate) struct BlackHole {
    pub(crate) port: u16,
    _held: (tokio::net::TcpListener, Vec<TcpStream>),
}

impl BlackHole {
    pub(crate) async fn open() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut held = Vec::new();
        // Until its queue of connections is full; the kernel then drops what comes.
        while let Ok(connected) = timeout(Duration::from_secs(1), TcpStream::connect(address)).await {
            held.push(connected.unwrap());
        }
        Self { port: address.port(), _held: (listener, held) }
    }
}

pub(crate) fn point(id: u32, table: Table, address: u16) -> Point {
    let kind = if table.is_bits() { Kind::Bool } else { Kind::U16 };
    Point::new(PointId(id), table, address, kind)
}

/// One point for each address, numbered from 0.
pub(crate) fn holding(addresses: impl IntoIterator<Item = u16>) -> Vec<Point> {
    (0..).zip(addresses).map(|(id, address)| point(id, Table::Holding, address)).collect()
}

pub(crate) fn device(port: u16, points: Vec<Point>) -> Device {
    Device {
        source: SourceId(0),
        endpoint: Endpoint::tcp("127.0.0.1", port),
        device_id: 1,
        period: Duration::from_millis(20),
        timeout: Duration::from_millis(300),
        connect_timeout: Duration::from_millis(500),
        gap_max: 0,
        registers_max: 125,
        bits_max: 2000,
        one_request_per_point: false,
        pause: Duration::ZERO,
        connect_pause: Duration::ZERO,
        points,
    }
}

/// A driver of one device, and all that it has said.
pub(crate) struct Driver {
    device: Arc<Device>,
    receiver: Receiver,
    tally: Arc<Tally>,
    stop: CancellationToken,
    task: JoinSet<()>,
    pub(crate) heard: Vec<Report>,
}

impl Driver {
    /// On a line of its own.
    pub(crate) fn start(device: Device) -> Self {
        let line = Arc::new(Line::new(device.endpoint.clone()));
        Self::on(line, device)
    }

    pub(crate) fn on(line: Arc<Line>, device: Device) -> Self {
        let (sender, receiver) = intake::channel(1_000_000, |_| Lane::Process);
        let tally = Arc::new(Tally::default());
        let sender = sender.counting(Arc::clone(&tally));
        let (device, stop) = (Arc::new(device), CancellationToken::new());
        let mut task = JoinSet::new();
        let (own, token) = (Arc::clone(&device), stop.clone());
        task.spawn(async move { run(&own, &line, &sender, Now::default, &token).await.unwrap() });
        Self { device, receiver, tally, stop, task, heard: Vec::new() }
    }

    /// Hears on until it holds.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waited = timeout(PATIENCE, async {
            while !holds(self) {
                // Looked at again though nothing is said: counts move while a dead device is tried.
                if let Ok(reports) = timeout(LOOK_EVERY, self.receiver.recv(10_000)).await {
                    self.heard.extend(reports.expect("the driver runs"));
                }
            }
        });
        assert!(waited.await.is_ok(), "never came: {what}; {:?}", self.links());
    }

    /// Takes what was said until now.
    pub(crate) async fn catch_up(&mut self) {
        while self.receiver.depth() > 0 {
            self.heard.extend(self.receiver.recv(10_000).await.expect("the driver runs"));
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.tally.counts()
    }

    pub(crate) fn links(&self) -> Vec<&Link> {
        self.heard.iter().filter_map(link).collect()
    }

    pub(crate) fn downs(&self) -> Vec<&str> {
        self.heard.iter().filter_map(link).filter_map(why).collect()
    }

    pub(crate) fn of(&self, id: u32) -> Vec<&Sample> {
        let samples = self.heard.iter().filter_map(sample);
        samples.filter(|sample| sample.point == PointId(id)).collect()
    }

    pub(crate) fn good(&self, id: u32) -> usize {
        self.of(id).iter().filter(|sample| sample.quality.is_good()).count()
    }

    /// The reasons that the point was told, in order.
    pub(crate) fn bad(&self, id: u32) -> Vec<BadReason> {
        let reason = |sample: &&Sample| match sample.quality {
            Quality::Bad(reason) => Some(reason),
            Quality::Good | Quality::Uncertain(_) => None,
        };
        self.of(id).iter().filter_map(reason).collect()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        self.device.points.iter().map(|point| point.point.0)
    }

    /// The newest quality of each point.
    pub(crate) fn qualities(&self) -> BTreeMap<u32, Quality> {
        self.ids().filter_map(|id| Some((id, self.of(id).last()?.quality))).collect()
    }

    /// Every value that was ever told is the one that its own register holds, and is told as good.
    pub(crate) fn assert_no_wrong_value(&self) {
        let points: BTreeMap<u32, &Point> =
            self.device.points.iter().map(|point| (point.point.0, point)).collect();
        for report in &self.heard {
            let Report::Sample(sample) = report else { continue };
            let point = points[&sample.point.0];
            let device_id = self.device.device_id;
            let expect = if point.table.is_bits() {
                Value::Bool(bit_at(device_id, point.address))
            } else {
                Value::Int(i64::from(register_at(device_id, point.address)))
            };
            let right = (Some(&expect), Quality::Good);
            let told = (sample.value.as_ref(), sample.quality);
            assert!(
                told == right || (told.0.is_none() && sample.quality.is_bad()),
                "{sample:?} at {point:?}"
            );
        }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let ended = timeout(Duration::from_secs(5), self.task.join_next()).await;
        ended.expect("it ends when told to").expect("one task").expect("without a panic");
    }
}

fn link(report: &Report) -> Option<&Link> {
    if let Report::Link { link, .. } = report { Some(link) } else { None }
}

fn why(link: &Link) -> Option<&str> {
    if let Link::Down { why } = link { Some(why) } else { None }
}

fn sample(report: &Report) -> Option<&Sample> {
    if let Report::Sample(sample) = report { Some(sample) } else { None }
}
