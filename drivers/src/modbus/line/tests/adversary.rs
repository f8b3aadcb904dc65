//! Three devices behind one line do everything that a device, a converter or a network ever did: they answer
//! late, short, long, twice, for another, with another transaction, function or length, broken, in single
//! bytes, with noise around, or not at all; and who asks goes away in the middle.
//!
//! What a register holds follows from its device, its table, its address and the moment at which it is read,
//! so a value from anywhere else or from another time is seen. `RISKGATE_ADVERSARY_READS` asks for more
//! reads than the default.
//!
//! What they do not do cannot be told from the truth by anybody. On a serial line a device answers in the
//! order in which it was asked, one that answers twice does so at once, and one that answers with another
//! function, length or name is not late as well: its frame would be that of another question. Over TCP,
//! which has no checksum of its own, a reply that breaks off is the last of its connection: what is missing
//! could else be filled by the beginning of the next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::super::{Framing, Table};
use super::super::*;
use super::{Terminals, port};
use crate::modbus::frame::rtu;

const READS_DEFAULT: u64 = 20_000;
/// Over a pair of terminals the time is real.
const READS_OVER_TERMINALS: u64 = 300;
const SEED: u64 = 0x5EED;
const DEVICES: [u8; 3] = [1, 2, 7];
/// As long as the shortest silence that a line keeps between two frames.
const AT_ONCE: Duration = Duration::from_micros(1_700);

/// What the register or the eight bits from `address` on hold at a moment.
fn truth(device_id: u8, table: Table, address: u16, moment: u64) -> u16 {
    let key = u64::from(device_id) << 56 ^ (table as u64) << 48 ^ u64::from(address) << 24 ^ moment;
    fastrand::Rng::with_seed(key).u16(..)
}

fn bit_truth(device_id: u8, table: Table, address: u16, moment: u64) -> bool {
    truth(device_id, table, address, moment) & 1 == 1
}

fn holds(reply: &Reply, device_id: u8, request: Request, moment: u64) -> bool {
    let addresses = (0..request.count).map(|at| request.address + at);
    match reply {
        Reply::Registers(words) => {
            words.len() == usize::from(request.count)
                && addresses
                    .zip(words)
                    .all(|(address, word)| truth(device_id, request.table, address, moment) == *word)
        }
        Reply::Bits(bits) => {
            bits.len() == usize::from(request.count.div_ceil(8)) * 8
                && addresses
                    .zip(bits)
                    .all(|(address, bit)| bit_truth(device_id, request.table, address, moment) == *bit)
        }
    }
}

/// How a device treats one request.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Answer,
    Late,
    Short,
    Long,
    Truncated,
    Twice,
    WrongTransaction,
    WrongDevice,
    WrongFunction,
    WrongByteCount,
    WrongProtocol,
    Damaged,
    NoiseBefore,
    NoiseAfter,
    Echo,
    EchoOnly,
    Bytewise,
    Silence,
    Exception,
    LateException,
    AnswerAndClose,
    Close,
    HalfAndClose,
    Unasked,
}

const DEEDS: [Deed; 23] = [
    Deed::Late,
    Deed::Short,
    Deed::Long,
    Deed::Truncated,
    Deed::Twice,
    Deed::WrongTransaction,
    Deed::WrongDevice,
    Deed::WrongFunction,
    Deed::WrongByteCount,
    Deed::WrongProtocol,
    Deed::Damaged,
    Deed::NoiseBefore,
    Deed::NoiseAfter,
    Deed::Echo,
    Deed::EchoOnly,
    Deed::Bytewise,
    Deed::Silence,
    Deed::Exception,
    Deed::LateException,
    Deed::AnswerAndClose,
    Deed::Close,
    Deed::HalfAndClose,
    Deed::Unasked,
];

type Writer = Arc<Mutex<Option<Box<dyn AsyncWrite + Send + Unpin>>>>;

/// What a device writes: after a while, these pieces, each after another while.
struct Answer {
    thinks: Duration,
    pieces: Vec<(Duration, Vec<u8>)>,
    /// Nothing comes after it on this connection.
    is_last: bool,
    to: Writer,
}

/// The devices and the way to them.
struct Plant {
    framing: Framing,
    /// One wire: what comes late comes to whoever is connected then.
    is_serial: bool,
    can_close: bool,
    timeout: Duration,
    /// Requests that came, all in all.
    moment: AtomicU64,
    rng: StdMutex<fastrand::Rng>,
    /// On one wire a device answers one question after the other.
    answers: StdMutex<BTreeMap<u8, mpsc::UnboundedSender<Answer>>>,
    /// Answers that each still has to give.
    behind: StdMutex<BTreeMap<u8, u32>>,
    current: StdMutex<Writer>,
    tasks: StdMutex<JoinSet<()>>,
    /// Bytes that are no reading request; there should be none.
    forbidden: StdMutex<Vec<Vec<u8>>>,
}

async fn say(to: &mut Option<Box<dyn AsyncWrite + Send + Unpin>>, piece: &[u8]) {
    if let Some(open) = to
        && open.write_all(piece).await.is_err()
    {
        *to = None;
    }
}

impl Plant {
    fn new(framing: Framing, is_serial: bool, timeout: Duration) -> Self {
        Self {
            framing,
            is_serial,
            can_close: true,
            timeout,
            moment: AtomicU64::new(0),
            rng: StdMutex::new(fastrand::Rng::with_seed(SEED)),
            answers: StdMutex::default(),
            behind: StdMutex::default(),
            current: StdMutex::default(),
            tasks: StdMutex::new(JoinSet::new()),
            forbidden: StdMutex::default(),
        }
    }

    fn random<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.rng.lock().unwrap())
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    fn connect(self: &Arc<Self>) -> DuplexStream {
        let (ours, theirs) = duplex(4096);
        self.attach(theirs);
        ours
    }

    fn attach(self: &Arc<Self>, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let (reader, writer) = split(stream);
        let writer: Writer = Arc::new(Mutex::new(Some(Box::new(writer))));
        *self.current.lock().unwrap() = Arc::clone(&writer);
        self.spawn(Arc::clone(self).serve(reader, writer));
    }

    async fn serve(self: Arc<Self>, mut reader: impl AsyncRead + Unpin, to: Writer) {
        let mut frame = vec![0; if self.framing == Framing::Tcp { 12 } else { 8 }];
        while reader.read_exact(&mut frame).await.is_ok() {
            self.moment.fetch_add(1, Ordering::SeqCst);
            let Some((device_id, request)) = self.parse(&frame) else {
                self.forbidden.lock().unwrap().push(frame.clone());
                return;
            };
            let deed = self.deed(device_id);
            let closes =
                self.can_close && matches!(deed, Deed::AnswerAndClose | Deed::Close | Deed::HalfAndClose);
            let answer = Answer {
                thinks: self.thinks(deed),
                pieces: self.reply(&frame, device_id, request, deed),
                is_last: closes || (!self.is_serial && matches!(deed, Deed::Truncated)),
                to: Arc::clone(&to),
            };
            if self.is_serial {
                *self.behind.lock().unwrap().entry(device_id).or_default() += 1;
                self.queue_of(device_id).send(answer).unwrap();
            } else {
                // Over TCP even in another order.
                let plant = Arc::clone(&self);
                self.spawn(async move { plant.write(answer).await });
            }
            if closes {
                return;
            }
        }
    }

    fn deed(&self, device_id: u8) -> Deed {
        let deed =
            self.random(|rng| if rng.u8(..) < 170 { Deed::Answer } else { rng.choice(DEEDS).unwrap() });
        let lies = matches!(
            deed,
            Deed::Short | Deed::Long | Deed::WrongByteCount | Deed::WrongFunction | Deed::WrongDevice
        );
        let is_behind = self.behind.lock().unwrap().get(&device_id).is_some_and(|answers| *answers > 0);
        if lies && is_behind { Deed::Answer } else { deed }
    }

    fn queue_of(self: &Arc<Self>, device_id: u8) -> mpsc::UnboundedSender<Answer> {
        let mut answers = self.answers.lock().unwrap();
        let queue = answers.entry(device_id).or_insert_with(|| {
            let (queue, mut answers) = mpsc::unbounded_channel();
            let plant = Arc::downgrade(self);
            self.spawn(async move {
                while let Some(answer) = answers.recv().await
                    && let Some(plant) = plant.upgrade()
                {
                    plant.write(answer).await;
                    *plant.behind.lock().unwrap().entry(device_id).or_default() -= 1;
                }
            });
            queue
        });
        queue.clone()
    }

    async fn write(&self, answer: Answer) {
        sleep(answer.thinks).await;
        if !self.is_serial {
            // What goes into TCP whole comes out whole.
            let mut to = answer.to.lock().await;
            for (after, piece) in answer.pieces {
                sleep(after).await;
                say(&mut to, &piece).await;
            }
            if answer.is_last {
                *to = None;
            }
            return;
        }
        for (after, piece) in answer.pieces {
            sleep(after).await;
            // Where two speak at once, both are garbled.
            let to = Arc::clone(&self.current.lock().unwrap());
            say(&mut *to.lock().await, &piece).await;
        }
        if answer.is_last {
            *answer.to.lock().await = None;
        }
    }

    fn thinks(&self, deed: Deed) -> Duration {
        let timeout = self.timeout;
        self.random(|rng| {
            let most = if matches!(deed, Deed::Late | Deed::LateException) {
                if rng.bool() { 1.5 } else { 12.0 }
            } else {
                0.1
            };
            timeout.mul_f64(rng.f64() * most)
        })
    }

    fn parse(&self, frame: &[u8]) -> Option<(u8, Request)> {
        let body = match self.framing {
            Framing::Tcp => {
                assert_eq!(&frame[2..6], &[0, 0, 0, 6]);
                &frame[6..]
            }
            Framing::Rtu => {
                if rtu::checksum(frame) != 0 {
                    return None;
                }
                &frame[..6]
            }
        };
        let table = match body[1] {
            1 => Table::Coil,
            2 => Table::Discrete,
            3 => Table::Holding,
            4 => Table::Input,
            _ => return None,
        };
        let address = u16::from_be_bytes([body[2], body[3]]);
        let count = u16::from_be_bytes([body[4], body[5]]);
        let request = Request { table, address, count };
        (request.is_legal() && DEVICES.contains(&body[0])).then_some((body[0], request))
    }

    fn values(&self, device_id: u8, request: Request) -> Vec<u8> {
        let moment = self.moment.load(Ordering::SeqCst);
        let Request { table, address, count } = request;
        if !table.is_bits() {
            let words = (0..count).map(|at| truth(device_id, table, address.wrapping_add(at), moment));
            return words.flat_map(u16::to_be_bytes).collect();
        }
        let mut bytes = vec![0; usize::from(count.div_ceil(8))];
        for at in 0..count {
            let bit = bit_truth(device_id, table, address.wrapping_add(at), moment);
            bytes[usize::from(at / 8)] |= u8::from(bit) << (at % 8);
        }
        bytes
    }

    fn seal(&self, asked: &[u8], device_id: u8, pdu: &[u8], deed: Deed) -> Vec<u8> {
        match self.framing {
            Framing::Rtu => {
                let mut frame = [&[device_id], pdu].concat();
                frame.extend(rtu::checksum(&frame).to_le_bytes());
                if matches!(deed, Deed::Damaged) {
                    let at = self.random(|rng| rng.usize(0..frame.len()));
                    frame[at] ^= self.random(|rng| 1 << rng.u8(0..8));
                }
                frame
            }
            Framing::Tcp => {
                let mut frame = asked[..4].to_vec();
                frame.extend(u16::try_from(pdu.len() + 1).unwrap().to_be_bytes());
                frame.push(device_id);
                if matches!(deed, Deed::WrongTransaction) {
                    frame[self.random(|rng| rng.usize(0..2))] ^= 1;
                } else if matches!(deed, Deed::WrongProtocol) {
                    frame[2] ^= 1;
                } else if matches!(deed, Deed::Damaged) {
                    // Only the header: TCP itself carries no damaged values.
                    frame[self.random(|rng| rng.usize(0..7))] ^= self.random(|rng| 1 << rng.u8(0..8));
                }
                [frame, pdu.to_vec()].concat()
            }
        }
    }

    /// What is written, each after a wait.
    fn reply(&self, asked: &[u8], device_id: u8, request: Request, deed: Deed) -> Vec<(Duration, Vec<u8>)> {
        let function = if self.framing == Framing::Tcp { asked[7] } else { asked[1] };
        let noise = |plant: &Self| plant.random(|rng| (0..rng.usize(1..30)).map(|_| rng.u8(..)).collect());
        // On a serial line each device hears what it is asked; a stranger may be there.
        let other = match self.is_serial {
            true => 99,
            false => DEVICES[self.random(|rng| rng.usize(0..DEVICES.len()))],
        };
        // By whole bytes: fewer bits in as many bytes look like what was asked for.
        let fewer = if request.table.is_bits() { (request.count - 1) / 8 * 8 } else { request.count - 1 };
        let fewer = self.random(|rng| rng.u16(0..=fewer)) / 8 * 8;
        let (mut device_id, mut function, mut held) = (device_id, function, request);
        // Other values: were they taken, it would be seen.
        if matches!(deed, Deed::WrongDevice) && other != device_id {
            (device_id, held.address) = (other, request.address ^ 1);
        } else if matches!(deed, Deed::WrongFunction) {
            (function, held.address) = (function % 4 + 1, request.address ^ 1);
        } else if matches!(deed, Deed::Short) {
            held.count = fewer;
        } else if matches!(deed, Deed::Long) {
            held.count = request.count + 8 + fewer % 16;
        }
        let mut values = self.values(device_id, held);
        // The length is one byte.
        values.truncate(254);
        let mut said = u8::try_from(values.len()).unwrap();
        if matches!(deed, Deed::WrongByteCount) {
            said ^= 2;
        }
        let mut pdu = [&[function, said], values.as_slice()].concat();
        if matches!(deed, Deed::Exception | Deed::LateException) {
            pdu = vec![function | 0x80, self.random(|rng| rng.u8(1..12))];
        }
        if self.framing == Framing::Tcp && matches!(deed, Deed::WrongTransaction | Deed::WrongProtocol) {
            pdu.iter_mut().skip(2).for_each(|byte| *byte ^= 0xFF);
        }
        let frame = self.seal(asked, device_id, &pdu, deed);
        let (now, timeout) = (Duration::ZERO, self.timeout);
        match deed {
            Deed::Silence | Deed::Close => Vec::new(),
            Deed::Truncated | Deed::HalfAndClose => {
                let end = self.random(|rng| rng.usize(1..frame.len()));
                vec![(now, frame[..end].to_vec())]
            }
            Deed::Twice => {
                let apart = match self.is_serial {
                    // In real time nobody can say how far apart they come out.
                    true if !self.can_close => now,
                    true => self.random(|rng| AT_ONCE.mul_f64(rng.f64())),
                    false => self.random(|rng| timeout.mul_f64(3.0 * rng.f64())),
                };
                vec![(now, frame.clone()), (apart, frame)]
            }
            Deed::NoiseBefore => vec![(now, noise(self)), (now, frame)],
            Deed::NoiseAfter => vec![(now, frame), (now, noise(self))],
            Deed::Echo => vec![(now, asked.to_vec()), (now, frame)],
            Deed::EchoOnly => vec![(now, asked.to_vec())],
            Deed::Bytewise => {
                let apart = Duration::from_micros(self.random(|rng| rng.u64(0..600)));
                // In real time no wait is so short.
                let at_once = if self.can_close { 1 } else { 16 };
                frame.chunks(at_once).map(|bytes| (apart, bytes.to_vec())).collect()
            }
            Deed::Unasked => {
                let unasked = self.seal(asked, other, &[function, 2, 0xAA, 0xAA], deed);
                vec![(now, frame), (timeout * 3, if self.is_serial { noise(self) } else { unasked })]
            }
            Deed::Answer
            | Deed::Late
            | Deed::Short
            | Deed::Long
            | Deed::WrongTransaction
            | Deed::WrongDevice
            | Deed::WrongFunction
            | Deed::WrongByteCount
            | Deed::WrongProtocol
            | Deed::Damaged
            | Deed::Exception
            | Deed::LateException
            | Deed::AnswerAndClose => vec![(now, frame)],
        }
    }
}

fn any_request(rng: &mut fastrand::Rng) -> Request {
    let table = rng.choice([Table::Coil, Table::Discrete, Table::Holding, Table::Input]).unwrap();
    // Few shapes, so that a late answer often has that of the next question.
    let count = match (table.is_bits(), rng.u8(0..8)) {
        (false, 0) => rng.u16(1..=125),
        (false, 1) => 1,
        (false, _) => rng.choice([2, 10]).unwrap(),
        (true, 0) => rng.u16(1..=2000),
        (true, _) => rng.choice([16, 24, 64]).unwrap(),
    };
    Request { table, address: rng.u16(0..2000), count }
}

/// One device's questions: how many answers were right, and those that were not.
async fn ask_on(line: &Line, plant: &Plant, device_id: u8, reads: u64) -> (u64, Vec<String>) {
    let mut rng = fastrand::Rng::with_seed(SEED ^ u64::from(device_id) << 32);
    let pace = Pace {
        timeout: plant.timeout,
        connect_timeout: plant.timeout,
        pause: Duration::ZERO,
        connect_pause: Duration::ZERO,
    };
    let tally = Tally::default();
    let mut right = 0;
    let mut wrong = Vec::new();
    for _ in 0..reads {
        let request = any_request(&mut rng);
        let before = plant.moment.load(Ordering::SeqCst);
        let asked = line.ask(device_id, request, pace, &tally);
        let patience = if rng.u8(..) < 8 { plant.timeout.mul_f64(2.0 * rng.f64()) } else { Duration::MAX };
        let reply = match timeout(patience, asked).await {
            Ok(Ok(reply)) => reply,
            // Refused, or given up by us in the middle.
            Ok(Err(_)) | Err(_) => {
                if rng.bool() {
                    sleep(plant.timeout.mul_f64(rng.f64())).await;
                }
                continue;
            }
        };
        let after = plant.moment.load(Ordering::SeqCst);
        if (before + 1..=after).any(|moment| holds(&reply, device_id, request, moment)) {
            right += 1;
        } else {
            wrong.push(format!("{request:?} of device {device_id} after moment {before}: {reply:?}"));
        }
    }
    (right, wrong)
}

fn reads() -> u64 {
    std::env::var("RISKGATE_ADVERSARY_READS").map_or(READS_DEFAULT, |reads| reads.parse().unwrap())
}

/// Asks the devices at once over one line and returns the share of questions that were answered.
async fn check(endpoint: Endpoint, is_serial: bool, devices: &[u8]) -> f64 {
    let plant = Arc::new(Plant::new(endpoint.framing(), is_serial, Duration::from_millis(200)));
    let line = Line::new(endpoint);
    let dialled = Arc::clone(&plant);
    line.held.lock().await.over_memory(move || {
        let lets_in = dialled.random(|rng| rng.u8(..) < 240);
        lets_in.then(|| dialled.connect())
    });
    ask_all(&line, &plant, devices, reads()).await
}

async fn ask_all(line: &Line, plant: &Plant, devices: &[u8], reads: u64) -> f64 {
    let reads = reads / devices.len() as u64;
    let asked = devices.iter().map(|device_id| ask_on(line, plant, *device_id, reads));
    let asked = futures_util::future::join_all(asked).await;
    let forbidden = plant.forbidden.lock().unwrap();
    assert!(forbidden.is_empty(), "no reading requests: {forbidden:?}");
    let wrong: Vec<&String> = asked.iter().flat_map(|(_, wrong)| wrong).collect();
    assert!(wrong.is_empty(), "{} wrong values, the first: {}", wrong.len(), wrong[0]);
    let right: u64 = asked.iter().map(|(right, _)| right).sum();
    right as f64 / (reads * devices.len() as u64) as f64
}

fn behind_converter() -> Endpoint {
    let main = Address { host: "memory".to_owned(), port: 4001 };
    Endpoint::Tcp { main, second: None, framing: Framing::Rtu }
}

fn dial_in(framing: Framing) -> Endpoint {
    let listen = "127.0.0.1:5020".parse().unwrap();
    Endpoint::DialIn(DialIn { listen, registration: b"1".to_vec(), heartbeat: None, framing })
}

fn serial() -> Endpoint {
    Endpoint::Serial(port())
}

#[tokio::test(start_paused = true)]
async fn no_value_is_ever_wrong_over_tcp() {
    let answered = check(Endpoint::tcp("memory", 502), false, &DEVICES).await;
    assert!(answered > 0.6, "only {answered} of the questions were answered");
}

#[tokio::test(start_paused = true)]
async fn no_value_is_ever_wrong_over_a_serial_line() {
    let answered = check(serial(), true, &DEVICES).await;
    assert!(answered > 0.6, "only {answered} of the questions were answered");
}

#[tokio::test(start_paused = true)]
async fn no_value_is_ever_wrong_over_a_serial_line_with_one_device() {
    let answered = check(serial(), true, &[1]).await;
    assert!(answered > 0.6, "only {answered} of the questions were answered");
}

#[tokio::test(start_paused = true)]
async fn no_value_is_ever_wrong_over_a_serial_line_behind_a_converter() {
    let answered = check(behind_converter(), true, &DEVICES).await;
    assert!(answered > 0.6, "only {answered} of the questions were answered");
}

#[tokio::test(start_paused = true)]
async fn no_value_is_ever_wrong_over_a_connection_that_we_cannot_make_anew() {
    for (framing, is_serial) in [(Framing::Tcp, false), (Framing::Rtu, true)] {
        let answered = check(dial_in(framing), is_serial, &DEVICES).await;
        assert!(answered > 0.6, "only {answered} of the questions were answered");
    }
}

#[tokio::test]
async fn no_value_is_ever_wrong_over_a_pair_of_terminals() {
    let terminals = Terminals::open();
    let mut plant = Plant::new(Framing::Rtu, true, Duration::from_millis(60));
    plant.can_close = false;
    let plant = Arc::new(plant);
    plant.attach(terminals.device);
    let line = Line::new(Endpoint::Serial(Port { path: terminals.path, ..port() }));
    let answered = ask_all(&line, &plant, &DEVICES, READS_OVER_TERMINALS).await;
    assert!(answered > 0.2, "only {answered} of the questions were answered");
}
