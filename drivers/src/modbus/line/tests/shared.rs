//! What others get wrong: what a short reply leaves behind, who is silenced by whom, and what a dial holds up.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex};

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::super::super::frame::{Misfit, rtu};
use super::super::*;
use super::{PACE, holding, port, registers};
use crate::modbus::Framing;

/// A line over memory, whose connections the test plays the devices of.
async fn over_memory(endpoint: Endpoint) -> (Line, Arc<Theirs>) {
    let line = Line::new(endpoint);
    let theirs: Arc<Theirs> = Arc::default();
    let connected = Arc::clone(&theirs);
    line.held.lock().await.over_memory(move || {
        let (ours, theirs) = duplex(4096);
        connected.lock().unwrap().push_back(theirs);
        Some(ours)
    });
    (line, theirs)
}

type Theirs = StdMutex<VecDeque<DuplexStream>>;

/// The other end of the next connection that is made.
async fn called(theirs: &Theirs) -> DuplexStream {
    loop {
        let connected = theirs.lock().unwrap().pop_front();
        match connected {
            Some(stream) => return stream,
            None => sleep(Duration::from_millis(1)).await,
        }
    }
}

async fn tcp_request(stream: &mut DuplexStream) -> [u8; 12] {
    let mut frame = [0; 12];
    stream.read_exact(&mut frame).await.unwrap();
    frame
}

async fn rtu_request(stream: &mut DuplexStream) -> [u8; 8] {
    let mut frame = [0; 8];
    stream.read_exact(&mut frame).await.unwrap();
    frame
}

fn rtu_reply(device_id: u8, words: &[u16]) -> Vec<u8> {
    let mut frame = vec![device_id, 3, u8::try_from(words.len() * 2).unwrap()];
    frame.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    frame.extend(rtu::checksum(&frame).to_le_bytes());
    frame
}

/// What comes of one question when the device says `said` with the header of the request.
async fn answered_with(said: &[u8]) -> (Result<Reply, Fault>, bool) {
    let (line, theirs) = over_memory(Endpoint::tcp("memory", 502)).await;
    let tally = Tally::default();
    let device = async {
        let mut stream = called(&theirs).await;
        let request = tcp_request(&mut stream).await;
        let length = u16::try_from(said.len() + 1).unwrap().to_be_bytes();
        let reply = [&request[..4], &length, &request[6..7], said].concat();
        stream.write_all(&reply).await.unwrap();
        stream
    };
    let (asked, mut stream) = tokio::join!(line.ask(1, holding(0, 2), PACE, &tally), device);
    let dropped = stream.read(&mut [0; 12]).now_or_never();
    (asked, matches!(dropped, Some(Ok(0))))
}

#[tokio::test(start_paused = true)]
async fn a_short_reply_leaves_no_zero_as_a_value() {
    for said in [[3, 2, 0x12, 0x34].as_slice(), &[3, 4, 0x12, 0x34], &[3, 0], &[3]] {
        let (asked, dropped) = answered_with(said).await;
        assert!(matches!(asked, Err(Fault::Mismatch(_))), "{said:?}: {asked:?}");
        assert!(dropped, "{said:?}: the connection is not read again");
    }
    let (asked, dropped) = answered_with(&[3, 4, 0x12, 0x34, 0x56, 0x78]).await;
    assert_eq!((asked.unwrap(), dropped), (registers(&[0x1234, 0x5678]), false));
}

#[tokio::test(start_paused = true)]
async fn the_transaction_id_is_checked() {
    let (line, theirs) = over_memory(Endpoint::tcp("memory", 502)).await;
    let tally = Tally::default();
    let ask = line.ask(1, holding(0, 1), PACE, &tally);
    let device = async {
        let mut stream = called(&theirs).await;
        let mut request = tcp_request(&mut stream).await;
        request[1] ^= 1;
        stream.write_all(&[&request[..4], &[0, 5, 1, 3, 2, 9, 9]].concat()).await.unwrap();
        stream
    };
    let (asked, _stream) = tokio::join!(ask, device);
    assert!(matches!(asked, Err(Fault::Mismatch(Misfit::Transaction { .. }))), "{asked:?}");
}

/// Devices on real sockets that answer what they are asked with the number of the connection, or not at all.
struct Device {
    port: u16,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Device {
    async fn start(silent: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut served = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = u8::try_from(count.fetch_add(1, Ordering::SeqCst)).unwrap_or(u8::MAX);
                served.spawn(serve(stream, number, silent));
            }
        });
        Self { port, connections, _tasks: tasks }
    }

    fn line(&self) -> Line {
        Line::new(Endpoint::tcp("127.0.0.1", self.port))
    }
}

async fn serve(mut stream: TcpStream, number: u8, silent: &'static [u8]) {
    let mut frame = [0; 12];
    while stream.read_exact(&mut frame).await.is_ok() {
        if silent.contains(&frame[6]) {
            continue;
        }
        let reply = [&frame[..4], &[0, 5], &frame[6..8], &[2, frame[6], number]].concat();
        if stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn one_connection_serves_all_polls() {
    let device = Device::start(&[]).await;
    let (line, tally) = (device.line(), Tally::default());
    for device_id in (1..=4).cycle().take(200) {
        let reply = line.ask(device_id, holding(0, 1), PACE, &tally).await.unwrap();
        assert_eq!(reply, registers(&[u16::from(device_id) << 8]), "over connection 0");
    }
    assert_eq!(device.connections.load(Ordering::SeqCst), 1);
    assert_eq!((tally.counts().connects, tally.counts().polls), (1, 200));
}

#[tokio::test]
async fn a_dead_unit_1_of_one_device_does_not_silence_unit_1_of_another() {
    let (dead, alive) = (Device::start(&[1]).await, Device::start(&[]).await);
    let (dead_line, alive_line, tally) = (dead.line(), alive.line(), Tally::default());
    let dying = dead_line.ask(1, holding(0, 1), Pace { timeout: Duration::from_secs(5), ..PACE }, &tally);
    let living = async {
        for _ in 0..50 {
            alive_line.ask(1, holding(0, 1), PACE, &tally).await.unwrap();
        }
    };
    tokio::select! {
        dead = dying => panic!("the dead one ended first: {dead:?}"),
        () = living => {}
    }
    // Nor is the next device behind the same connection, once its turn comes.
    assert!(dead_line.ask(1, holding(0, 1), PACE, &tally).await.is_err());
    assert!(dead_line.ask(2, holding(0, 1), PACE, &tally).await.is_ok());
}

/// An address that accepts nothing and refuses nothing: its queue of callers is full.
async fn black_hole() -> (TcpListener, Vec<TcpStream>, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut callers = Vec::new();
    while let Ok(called) = timeout(Duration::from_secs(1), TcpStream::connect(address)).await {
        callers.push(called.unwrap());
    }
    (listener, callers, address.port())
}

#[tokio::test]
async fn a_dial_that_hangs_holds_up_no_other_line_and_its_own_only_once() {
    let (_listener, _callers, hole) = black_hole().await;
    let alive = Device::start(&[]).await;
    let (hanging, alive_line, tally) =
        (Line::new(Endpoint::tcp("127.0.0.1", hole)), alive.line(), Tally::default());
    let pace = Pace { connect_timeout: Duration::from_secs(2), ..PACE };
    let began = Instant::now();
    let dials = (1..=10).map(|device_id| hanging.ask(device_id, holding(0, 1), pace, &tally));
    let dials = futures_util::future::join_all(dials);
    let living = async {
        for _ in 0..50 {
            alive_line.ask(1, holding(0, 1), PACE, &tally).await.unwrap();
        }
        began.elapsed()
    };
    let (dialled, lived) = tokio::join!(dials, living);
    assert!(lived < pace.connect_timeout, "{lived:?}");
    assert!(dialled.iter().all(|asked| matches!(asked, Err(Fault::Unreachable(_)))), "{dialled:?}");
    // Ten devices were told of one try; ten tries would have taken twenty seconds.
    assert!(began.elapsed() < pace.connect_timeout * 3, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_in_the_order_of_asking() {
    let (line, theirs) = over_memory(Endpoint::tcp("memory", 502)).await;
    let (line, tally) = (Arc::new(line), Arc::new(Tally::default()));
    let order = Arc::new(StdMutex::new(Vec::new()));
    let mut asking = JoinSet::new();
    for device_id in 1..=5 {
        let (line, tally, order) = (Arc::clone(&line), Arc::clone(&tally), Arc::clone(&order));
        asking.spawn(async move {
            for _ in 0..3 {
                line.ask(device_id, holding(0, 1), PACE, &tally).await.unwrap();
                order.lock().unwrap().push(device_id);
            }
        });
        tokio::task::yield_now().await;
    }
    let device = async {
        let mut stream = called(&theirs).await;
        for _ in 0..15 {
            let request = tcp_request(&mut stream).await;
            sleep(Duration::from_millis(10)).await;
            stream.write_all(&[&request[..4], &[0, 5, request[6], 3, 2, 0, 0]].concat()).await.unwrap();
        }
    };
    device.await;
    asking.join_all().await;
    assert_eq!(*order.lock().unwrap(), [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_drops_the_connection_and_its_answer_reaches_nobody() {
    let (line, theirs) = over_memory(Endpoint::tcp("memory", 502)).await;
    let tally = Tally::default();
    let given_up = timeout(Duration::from_millis(5), line.ask(1, holding(0, 1), PACE, &tally)).await;
    assert!(given_up.is_err());
    let mut old = theirs.lock().unwrap().pop_front().unwrap();
    let request = tcp_request(&mut old).await;
    let late = [&request[..4], &[0, 5, 1, 3, 2, 9, 9]].concat();
    assert!(old.write_all(&late).await.is_err(), "nobody listens");
    let device = async {
        let mut stream = called(&theirs).await;
        let request = tcp_request(&mut stream).await;
        stream.write_all(&[&request[..4], &[0, 5, 1, 3, 2, 0, 7]].concat()).await.unwrap();
        stream
    };
    let (asked, _stream) = tokio::join!(line.ask(1, holding(0, 1), PACE, &tally), device);
    assert_eq!(asked.unwrap(), registers(&[7]));
}

#[tokio::test(start_paused = true)]
async fn the_line_rests_between_requests_and_after_a_connect_as_told() {
    let (line, theirs) = over_memory(Endpoint::tcp("memory", 502)).await;
    let tally = Tally::default();
    let pace = Pace { pause: Duration::from_millis(70), connect_pause: Duration::from_millis(400), ..PACE };
    let began = Instant::now();
    let asked = async {
        for _ in 0..3 {
            line.ask(1, holding(0, 1), pace, &tally).await.unwrap();
        }
    };
    let device = async {
        let mut stream = called(&theirs).await;
        let mut at = Vec::new();
        for _ in 0..3 {
            let request = tcp_request(&mut stream).await;
            at.push(began.elapsed().as_millis());
            sleep(Duration::from_millis(10)).await;
            stream.write_all(&[&request[..4], &[0, 5, 1, 3, 2, 0, 7]].concat()).await.unwrap();
        }
        (at, stream)
    };
    let ((), (at, _stream)) = tokio::join!(asked, device);
    assert_eq!(at, [400, 480, 560]);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_on_a_serial_line_is_not_taken_for_the_next_of_its_length() {
    let (line, theirs) = over_memory(Endpoint::Serial(port())).await;
    let tally = Tally::default();
    let device = async {
        let mut stream = called(&theirs).await;
        // The first is answered late, when the third is asked already.
        assert_eq!(rtu_request(&mut stream).await[2..6], [0, 0, 0, 2]);
        // So a part of the next goes first, of another length.
        assert_eq!(rtu_request(&mut stream).await[2..6], [0, 100, 0, 1]);
        stream.write_all(&rtu_reply(1, &[11, 12])).await.unwrap();
        stream.write_all(&rtu_reply(1, &[21])).await.unwrap();
        assert_eq!(rtu_request(&mut stream).await[2..6], [0, 100, 0, 2]);
        stream.write_all(&rtu_reply(1, &[21, 22])).await.unwrap();
        stream
    };
    let asking = async {
        let late = line.ask(1, holding(0, 2), PACE, &tally).await;
        assert!(matches!(late, Err(Fault::NoReply(_))), "{late:?}");
        line.ask(1, holding(100, 2), PACE, &tally).await.unwrap()
    };
    let (reply, _stream) = tokio::join!(asking, device);
    assert_eq!(reply, registers(&[21, 22]));
}

#[tokio::test(start_paused = true)]
async fn on_a_serial_line_a_device_that_is_late_is_left_alone_and_the_others_are_asked() {
    let (line, theirs) = over_memory(Endpoint::Serial(port())).await;
    let tally = Tally::default();
    let device = async {
        let mut stream = called(&theirs).await;
        let mut asked = Vec::new();
        for _ in 0..3 {
            let request = rtu_request(&mut stream).await;
            asked.push((request[0], Instant::now()));
            if request[0] == 2 || asked.len() > 1 {
                let words = vec![5; usize::from(request[5])];
                stream.write_all(&rtu_reply(request[0], &words)).await.unwrap();
            }
        }
        (asked, stream)
    };
    let asking = async {
        assert!(line.ask(1, holding(0, 3), PACE, &tally).await.is_err());
        let again = line.ask(1, holding(0, 1), PACE, &tally);
        let other = line.ask(2, holding(0, 1), PACE, &tally);
        let (again, other) = tokio::join!(again, other);
        (again.unwrap(), other.unwrap())
    };
    let (_, (asked, _stream)) = tokio::join!(asking, device);
    let order: Vec<u8> = asked.iter().map(|(device_id, _)| *device_id).collect();
    assert_eq!(order, [1, 2, 1]);
    let rested = asked[2].1 - asked[0].1;
    assert!(rested >= PACE.timeout * 2, "asked again after {rested:?}");
    assert!(asked[1].1 - asked[0].1 < PACE.timeout + Duration::from_millis(60), "the other need not wait");
}

#[tokio::test(start_paused = true)]
async fn a_converter_that_babbles_is_told_and_never_waited_for_without_end() {
    let main = Address { host: "memory".to_owned(), port: 4001 };
    let endpoint = Endpoint::Tcp { main, second: None, framing: Framing::Rtu };
    let (line, theirs) = over_memory(endpoint).await;
    let tally = Tally::default();
    let babble = async {
        loop {
            let streams = std::mem::take(&mut *theirs.lock().unwrap());
            for mut stream in streams {
                while stream.write_all(&[0x55; 3]).await.is_ok() {
                    sleep(Duration::from_millis(1)).await;
                }
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    let asking = async {
        for _ in 0..3 {
            let asked = timeout(Duration::from_secs(5), line.ask(1, holding(0, 1), PACE, &tally)).await;
            assert!(matches!(asked, Ok(Err(_))), "{asked:?}");
        }
    };
    tokio::select! {
        () = babble => {}
        () = asking => {}
    }
}
