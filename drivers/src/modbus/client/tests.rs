//! Against real sockets: a well-behaved server of the library, and a scripted one that misbehaves.
//! Register and bit values follow from their address alone, so a value at the wrong point is seen.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use riskgate_point::{BadReason, Link, Now, PointId, Quality, Report, Sample, SourceId, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::fault::Exception;
use super::super::{Beside, Kind, Order, Point, Register, Table};
use super::*;
use crate::intake::{self, Lane, Receiver};
use crate::ports::free_port;
use crate::scaling::Scaling;

fn register_at(address: u16) -> u16 {
    address.wrapping_mul(7).wrapping_add(1000)
}

fn bit_at(address: u16) -> bool {
    address.is_multiple_of(3)
}

fn point(id: u32, table: Table, address: u16) -> Point {
    let kind = if table.is_bits() { Kind::Bool } else { Kind::U16 };
    Point::new(PointId(id), table, address, kind)
}

fn device(port: u16, points: Vec<Point>) -> Device {
    Device {
        source: SourceId(0),
        endpoint: Endpoint::tcp("127.0.0.1", port),
        device_id: 1,
        period: Duration::from_millis(20),
        // A machine under load is slow, not silent.
        timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        gap_max: 0,
        registers_max: 125,
        bits_max: 2000,
        one_request_per_point: false,
        pause: Duration::ZERO,
        connect_pause: Duration::ZERO,
        points,
    }
}

/// What the scripted device does with one request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Deed {
    Answer,
    Silence,
    Close,
    /// The answer is held back until the client asks again or goes.
    Late,
    Short,
    Long,
    WrongTransaction,
    WrongUnit,
    WrongFunction,
    WrongProtocol,
    Exception(u8),
    AnswerAndClose,
}

/// A request as it came: connection (from 0), function code, address, count.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Asked {
    connection: usize,
    function: u8,
    address: u16,
    count: u16,
}

/// Serves connections until dropped; `script` is asked what to do with each request.
struct Scripted {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

impl Scripted {
    async fn start(script: impl Fn(Asked, usize) -> Deed + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let log = Arc::clone(&asked);
        tasks.spawn(async move {
            let script = Arc::new(script);
            let mut connections = JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, connection, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { port, asked, _tasks: tasks }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    script: Arc<impl Fn(Asked, usize) -> Deed>,
    log: Arc<Mutex<Vec<Asked>>>,
) {
    let mut held: VecDeque<Vec<u8>> = VecDeque::new();
    let mut frame = [0_u8; 12];
    while stream.read_exact(&mut frame).await.is_ok() {
        let asked = Asked {
            connection,
            function: frame[7],
            address: u16::from_be_bytes([frame[8], frame[9]]),
            count: u16::from_be_bytes([frame[10], frame[11]]),
        };
        let number = {
            let mut log = log.lock().unwrap();
            log.push(asked);
            log.len() - 1
        };
        let deed = script(asked, number);
        if deed == Deed::Close {
            return;
        }
        if let Some(reply) = reply_to(&frame, asked, deed) {
            held.push_back(reply);
        }
        if deed == Deed::Late {
            continue;
        }
        // Once late, always one behind.
        if let Some(reply) = held.pop_front()
            && stream.write_all(&reply).await.is_err()
        {
            return;
        }
        if deed == Deed::AnswerAndClose {
            return;
        }
    }
    for reply in held {
        // The client has gone; what comes late must reach nobody.
        if stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

fn reply_to(frame: &[u8; 12], asked: Asked, deed: Deed) -> Option<Vec<u8>> {
    let count = asked.count + u16::from(deed == Deed::Long) - u16::from(deed == Deed::Short);
    let mut pdu = vec![asked.function];
    if asked.function <= 2 {
        let mut bytes = vec![0_u8; usize::from(count.div_ceil(8))];
        for at in 0..count {
            bytes[usize::from(at / 8)] |= u8::from(bit_at(asked.address + at)) << (at % 8);
        }
        pdu.push(u8::try_from(bytes.len()).unwrap());
        pdu.extend(bytes);
    } else {
        pdu.push(u8::try_from(count * 2).unwrap());
        pdu.extend((0..count).flat_map(|at| register_at(asked.address.wrapping_add(at)).to_be_bytes()));
    }
    let mut header = frame[..7].to_vec();
    match deed {
        Deed::Answer | Deed::Late | Deed::Short | Deed::Long | Deed::AnswerAndClose => {}
        Deed::Silence | Deed::Close => return None,
        // The values are those of other registers: were the reply taken, it would be seen.
        Deed::WrongTransaction => {
            header[1] ^= 1;
            pdu[3] ^= 0xFF;
        }
        Deed::WrongUnit => {
            header[6] ^= 3;
            pdu[3] ^= 0xFF;
        }
        Deed::WrongFunction => {
            pdu[0] ^= 7;
            pdu[3] ^= 0xFF;
        }
        Deed::WrongProtocol => {
            header[3] = 9;
            pdu[3] ^= 0xFF;
        }
        Deed::Exception(code) => pdu = vec![asked.function | 0x80, code],
    }
    header[4..6].copy_from_slice(&u16::try_from(pdu.len() + 1).unwrap().to_be_bytes());
    header.extend(pdu);
    Some(header)
}

/// What came out of the driver, in order.
#[derive(Default)]
struct Heard {
    reports: Vec<Report>,
}

impl Heard {
    fn links(&self) -> Vec<&Link> {
        let links = self.reports.iter();
        links
            .filter_map(|report| if let Report::Link { link, .. } = report { Some(link) } else { None })
            .collect()
    }

    fn of(&self, id: u32) -> Vec<&Sample> {
        let samples = self.reports.iter();
        samples
            .filter_map(|report| if let Report::Sample(sample) = report { Some(sample) } else { None })
            .filter(|sample| sample.point == PointId(id))
            .collect()
    }

    fn good(&self, id: u32) -> usize {
        self.of(id).iter().filter(|sample| sample.quality.is_good()).count()
    }

    fn bad(&self, id: u32) -> Vec<Quality> {
        self.of(id).iter().map(|sample| sample.quality).filter(|quality| quality.is_bad()).collect()
    }

    fn downs(&self) -> Vec<&str> {
        let links = self.links().into_iter();
        links
            .filter_map(|link| if let Link::Down { why } = link { Some(why.as_str()) } else { None })
            .collect()
    }

    fn assert_no_wrong_value(&self, points: &[Point]) {
        for point in points {
            let expect = if point.table.is_bits() {
                Value::Bool(bit_at(point.address))
            } else {
                Value::Int(i64::from(register_at(point.address)))
            };
            for sample in self.of(point.point.0) {
                assert!(
                    sample.quality.is_bad() || sample.value.as_ref() == Some(&expect),
                    "{sample:?} at {point:?}"
                );
            }
        }
    }
}

/// Runs the driver until what was heard satisfies `until`, then stops it.
async fn hear(device: &Device, until: impl Fn(&Heard) -> bool) -> Heard {
    let (sender, mut receiver) = intake::channel(100_000, |_| Lane::Process);
    let stop = CancellationToken::new();
    let line = Line::new(device.endpoint.clone());
    let listen = async {
        let heard = timeout(Duration::from_secs(20), listen(&mut receiver, until)).await;
        stop.cancel();
        heard.expect("what was waited for came")
    };
    let (ended, heard) = tokio::join!(run(device, &line, &sender, Now::default, &stop), listen);
    ended.unwrap();
    heard
}

async fn listen(receiver: &mut Receiver, until: impl Fn(&Heard) -> bool) -> Heard {
    let mut heard = Heard::default();
    while !until(&heard) {
        heard.reports.extend(receiver.recv(1000).await.expect("the driver runs"));
    }
    heard
}

#[tokio::test]
async fn all_four_tables_are_read_and_the_link_is_up_before_the_first_sample() {
    let server = Scripted::start(|_, _| Deed::Answer).await;
    let points = vec![
        point(0, Table::Coil, 0),
        point(1, Table::Coil, 9),
        point(2, Table::Discrete, 5),
        point(3, Table::Holding, 100),
        point(4, Table::Holding, 101),
        point(5, Table::Input, 65535),
    ];
    let device = Device { gap_max: 8, ..device(server.port, points.clone()) };
    let heard = hear(&device, |heard| (0..6).all(|id| heard.good(id) >= 2)).await;
    heard.assert_no_wrong_value(&points);
    assert_eq!(heard.links(), [&Link::Connecting, &Link::Up]);
    let first = heard.reports.iter().position(|report| matches!(report, Report::Sample(_)));
    let up = heard.reports.iter().position(|report| matches!(report, Report::Link { link: Link::Up, .. }));
    assert!(up < first, "up at {up:?}, first sample at {first:?}");
    let asked = server.asked();
    assert!(asked.iter().all(|asked| (1..=4).contains(&asked.function)));
    assert!(asked.iter().all(|asked| asked.connection == 0), "one connection for all polls");
}

#[tokio::test]
async fn a_library_server_is_read() {
    use std::future::{Ready, ready};
    use tokio_modbus::server::Service;
    use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
    use tokio_modbus::{ExceptionCode, Request, Response};

    #[derive(Clone)]
    struct Plant;
    impl Service for Plant {
        type Request = Request<'static>;
        type Response = Response;
        type Exception = ExceptionCode;
        type Future = Ready<Result<Response, ExceptionCode>>;

        fn call(&self, request: Self::Request) -> Self::Future {
            // 123.456 as CDAB, then 300.
            let registers = vec![0xE979, 0x42F6, 300];
            let known = matches!(request, Request::ReadHoldingRegisters(0, 3));
            let reply = Response::ReadHoldingRegisters(registers);
            ready(known.then_some(reply).ok_or(ExceptionCode::IllegalDataAddress))
        }
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let accept =
            |stream, address| async move { accept_tcp_connection(stream, address, |_| Ok(Some(Plant))) };
        Server::new(listener).serve(&accept, |_| {}).await.unwrap();
    });
    let float = Point { kind: Kind::F32, order: Order::Cdab, ..point(0, Table::Holding, 0) };
    let tenth = Scaling { scale: 0.1, ..Scaling::IDENTITY };
    let scaled = Point { scaling: tenth, ..point(1, Table::Holding, 2) };
    let refused = point(2, Table::Input, 7);
    let heard = hear(&device(port, vec![float, scaled, refused]), |heard| !heard.of(2).is_empty()).await;
    assert_eq!(heard.of(0)[0].value, Value::float(f64::from(123.456_f32)));
    assert_eq!(heard.of(1)[0].value, Value::float(30.0));
    assert_eq!(heard.bad(2)[0], Quality::Bad(BadReason::RefusedAddress));
}

#[tokio::test]
async fn a_silent_device_is_told_down_once_and_is_up_again_when_it_speaks() {
    // Four connections are opened in vain before it speaks.
    let server =
        Scripted::start(|asked, _| if asked.connection < 4 { Deed::Silence } else { Deed::Answer }).await;
    let points = vec![point(0, Table::Holding, 0), point(1, Table::Input, 0)];
    let device = Device { timeout: Duration::from_millis(300), ..device(server.port, points.clone()) };
    let heard = hear(&device, |heard| heard.good(0) >= 1 && heard.good(1) >= 1).await;
    heard.assert_no_wrong_value(&points);
    let downs = heard.downs();
    assert_eq!(downs.len(), 1, "{downs:?}");
    assert!(downs[0].contains("no reply within 300ms") && downs[0].contains("check device_id"), "{downs:?}");
    for id in [0, 1] {
        assert_eq!(heard.bad(id), [Quality::Bad(BadReason::CommFailure)], "once, point {id}");
    }
    assert!(matches!(heard.links().as_slice(), [Link::Connecting, Link::Down { .. }, Link::Up]));
}

#[tokio::test]
async fn a_device_that_closes_at_once_is_told_down_and_recovers() {
    let server =
        Scripted::start(|asked, _| if asked.connection < 3 { Deed::Close } else { Deed::Answer }).await;
    let points = vec![point(0, Table::Holding, 0)];
    let heard = hear(&device(server.port, points.clone()), |heard| heard.good(0) >= 1).await;
    heard.assert_no_wrong_value(&points);
    assert_eq!(heard.downs().len(), 1);
    assert!(heard.downs()[0].contains("the connection broke"), "{:?}", heard.downs());
}

#[tokio::test]
async fn a_refused_connection_is_told_with_address_and_hint() {
    let free = free_port();
    let heard = hear(&device(free, vec![point(0, Table::Holding, 0)]), |heard| !heard.of(0).is_empty()).await;
    let expect = format!("modbus 127.0.0.1:{free}: connecting failed: Connection refused");
    assert!(heard.downs()[0].starts_with(&expect), "{:?}", heard.downs());
    assert_eq!(heard.bad(0), [Quality::Bad(BadReason::CommFailure)]);
}

#[tokio::test]
async fn no_reply_that_does_not_fit_its_request_becomes_a_value() {
    for deed in [
        Deed::Late,
        Deed::Short,
        Deed::Long,
        Deed::WrongTransaction,
        Deed::WrongUnit,
        Deed::WrongFunction,
        Deed::WrongProtocol,
        Deed::Silence,
        Deed::Close,
    ] {
        // One request in five; three blocks are read, so the fault falls on each of them in turn.
        let server =
            Scripted::start(move |_, number| if number % 5 == 2 { deed } else { Deed::Answer }).await;
        let mut points: Vec<Point> =
            (0..4).map(|id| point(id, Table::Holding, u16::try_from(id).unwrap())).collect();
        points.extend((4..8).map(|id| point(id, Table::Input, 40 + u16::try_from(id).unwrap())));
        points.extend((8..12).map(|id| point(id, Table::Holding, 500 + u16::try_from(id).unwrap())));
        let device = Device { timeout: Duration::from_millis(40), ..device(server.port, points.clone()) };
        let heard = hear(&device, |heard| (0..12).all(|id| heard.good(id) >= 4)).await;
        heard.assert_no_wrong_value(&points);
        assert!(server.asked().iter().any(|asked| asked.connection > 0), "{deed:?} drops the connection");
    }
}

#[tokio::test]
async fn a_block_that_is_refused_leaves_the_others_and_the_link_alone() {
    let server =
        Scripted::start(|asked, _| if asked.address == 10 { Deed::Exception(2) } else { Deed::Answer }).await;
    let points =
        vec![point(0, Table::Holding, 0), point(1, Table::Holding, 10), point(2, Table::Holding, 20)];
    let heard = hear(&device(server.port, points.clone()), |heard| heard.good(2) >= 5).await;
    heard.assert_no_wrong_value(&points);
    assert!(heard.good(0) >= 5);
    assert!(heard.bad(0).is_empty() && heard.bad(2).is_empty());
    assert!(heard.bad(1).iter().all(|quality| *quality == Quality::Bad(BadReason::RefusedAddress)));
    assert_eq!(heard.good(1), 0);
    assert_eq!(heard.links(), [&Link::Connecting, &Link::Up]);
    assert!(server.asked().iter().all(|asked| asked.connection == 0));
}

#[tokio::test]
async fn a_point_with_a_period_of_its_own_is_read_once_in_so_many_cycles() {
    let server = Scripted::start(|_, _| Deed::Answer).await;
    let slow = Point { every: NonZeroU32::new(5).unwrap(), ..point(1, Table::Holding, 100) };
    let points = vec![point(0, Table::Holding, 0), slow];
    let heard = hear(&device(server.port, points.clone()), |heard| heard.good(1) >= 3).await;
    heard.assert_no_wrong_value(&points);
    assert!(heard.bad(0).is_empty() && heard.bad(1).is_empty());
    let fast_at = |nth: usize| server.asked().iter().take(nth).filter(|asked| asked.address == 0).count();
    let slow: Vec<usize> = server
        .asked()
        .iter()
        .enumerate()
        .filter(|(_, asked)| asked.address == 100)
        .map(|(at, _)| at)
        .collect();
    let between: Vec<usize> = slow.windows(2).map(|pair| fast_at(pair[1]) - fast_at(pair[0])).collect();
    assert!(between.iter().all(|fast| *fast == 5), "{between:?}");
}

#[tokio::test]
async fn a_value_waits_for_its_decimals_and_is_bad_where_they_are_refused() {
    let points = |decimals| {
        let decimals = Register {
            table: Table::Holding,
            address: decimals,
            bit: None,
            order: Order::Abcd,
            every: NonZeroU32::MIN,
            good_for: Duration::from_secs(5),
        };
        let beside = Beside { decimals: Some(decimals), status: None };
        vec![Point { beside: Some(Box::new(beside)), ..point(0, Table::Holding, 0) }]
    };
    // By its address a register reads over 1000; this one reads 2.
    let two = (1..).find(|address| register_at(*address) == 2).unwrap();
    let server =
        Scripted::start(|asked, _| if asked.address == 500 { Deed::Exception(2) } else { Deed::Answer })
            .await;
    let heard = hear(&device(server.port, points(two)), |heard| heard.good(0) >= 3).await;
    assert!(heard.bad(0).is_empty(), "the decimals are asked for first");
    assert!(heard.of(0).iter().all(|sample| sample.value == Value::float(10.0)));
    let heard = hear(&device(server.port, points(500)), |heard| heard.of(0).len() >= 3).await;
    assert!(heard.bad(0).iter().all(|quality| *quality == Quality::Bad(BadReason::RefusedAddress)));
    assert_eq!(heard.good(0), 0);
}

#[tokio::test]
async fn a_block_that_never_answers_silences_no_other_wherever_it_stands() {
    for dead in [0, 10, 20] {
        let server =
            Scripted::start(move |asked, _| if asked.address == dead { Deed::Silence } else { Deed::Answer })
                .await;
        let points =
            vec![point(0, Table::Holding, 0), point(10, Table::Holding, 10), point(20, Table::Holding, 20)];
        let device = Device { timeout: Duration::from_millis(300), ..device(server.port, points.clone()) };
        let alive: Vec<u32> = [0, 10, 20].into_iter().filter(|id| *id != u32::from(dead)).collect();
        let heard = hear(&device, |heard| alive.iter().all(|id| heard.good(*id) >= 12)).await;
        heard.assert_no_wrong_value(&points);
        assert_eq!(heard.bad(u32::from(dead)), [Quality::Bad(BadReason::CommFailure)], "once");
        for id in alive {
            // At the very start nobody knows yet that it is one block: then, and never again.
            assert!(heard.bad(id).len() <= usize::from(dead == 0), "block {id}, dead {dead}");
        }
        assert!(heard.downs().len() <= usize::from(dead == 0));
    }
}

#[tokio::test]
async fn a_block_that_falls_silent_later_spoils_no_sample_of_the_others() {
    for dead in [0, 10, 20] {
        let fails = move |asked: Asked, number| asked.address == dead && number >= 9;
        let server = Scripted::start(
            move |asked, number| if fails(asked, number) { Deed::Silence } else { Deed::Answer },
        )
        .await;
        let points =
            vec![point(0, Table::Holding, 0), point(10, Table::Holding, 10), point(20, Table::Holding, 20)];
        let device = Device { timeout: Duration::from_millis(300), ..device(server.port, points.clone()) };
        let alive: Vec<u32> = [0, 10, 20].into_iter().filter(|id| *id != u32::from(dead)).collect();
        let heard = hear(&device, |heard| alive.iter().all(|id| heard.good(*id) >= 12)).await;
        heard.assert_no_wrong_value(&points);
        assert_eq!(heard.bad(u32::from(dead)), [Quality::Bad(BadReason::CommFailure)], "once");
        assert!(alive.iter().all(|id| heard.bad(*id).is_empty()));
        assert_eq!(heard.links(), [&Link::Connecting, &Link::Up]);
    }
}

#[tokio::test]
async fn a_block_that_comes_back_is_read_again() {
    let server =
        Scripted::start(
            |asked, number| {
                if asked.address == 10 && number < 30 { Deed::Silence } else { Deed::Answer }
            },
        )
        .await;
    let points = vec![point(0, Table::Holding, 0), point(1, Table::Holding, 10)];
    let device = Device { timeout: Duration::from_millis(300), ..device(server.port, points) };
    let heard = hear(&device, |heard| heard.good(1) >= 3).await;
    assert_eq!(heard.bad(1), [Quality::Bad(BadReason::CommFailure)]);
    assert!(heard.bad(0).is_empty());
}

#[tokio::test]
async fn a_device_that_ends_the_connection_after_each_answer_is_read_without_a_fault() {
    let server = Scripted::start(|_, _| Deed::AnswerAndClose).await;
    let points = vec![point(0, Table::Holding, 0), point(1, Table::Holding, 10), point(2, Table::Coil, 3)];
    let heard =
        hear(&device(server.port, points.clone()), |heard| (0..3).all(|id| heard.good(id) >= 5)).await;
    heard.assert_no_wrong_value(&points);
    assert!((0..3).all(|id| heard.bad(id).is_empty()));
    assert_eq!(heard.links(), [&Link::Connecting, &Link::Up]);
}

#[tokio::test]
async fn a_gateway_without_its_device_is_a_link_that_is_down() {
    let server =
        Scripted::start(|_, number| if number < 3 { Deed::Exception(11) } else { Deed::Answer }).await;
    let points = vec![point(0, Table::Holding, 0), point(1, Table::Input, 0)];
    let heard = hear(&device(server.port, points), |heard| heard.good(1) >= 1).await;
    assert_eq!(heard.downs().len(), 1);
    assert!(heard.downs()[0].contains("behind the gateway"), "{:?}", heard.downs());
    assert_eq!(heard.bad(0), [Quality::Bad(BadReason::CommFailure)]);
}

#[tokio::test]
async fn a_point_that_no_read_can_fetch_is_told_and_its_neighbours_live() {
    let server = Scripted::start(|_, _| Deed::Answer).await;
    let beyond = Point { kind: Kind::F32, ..point(0, Table::Holding, 65535) };
    let points = vec![beyond, point(1, Table::Holding, 65535)];
    let heard = hear(&device(server.port, points), |heard| heard.good(1) >= 2).await;
    assert!(!heard.bad(0).is_empty());
    assert!(heard.bad(0).iter().all(|quality| *quality == Quality::Bad(BadReason::ConfigError)));
}

#[tokio::test]
async fn it_ends_at_once_when_told_to_whatever_it_waits_for() {
    // In a request that would take a minute, in a pause of a minute, and between tries.
    let silent = Scripted::start(|_, _| Deed::Silence).await;
    let answering = Scripted::start(|_, _| Deed::Answer).await;
    let free = free_port();
    let minute = Duration::from_secs(60);
    for (port, reached) in [(silent.port, 1), (answering.port, 3), (free, 3)] {
        let points = vec![point(0, Table::Holding, 0)];
        let device = Device { timeout: minute, period: minute, ..device(port, points) };
        let (sender, mut receiver) = intake::channel(100, |_| Lane::Process);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let token = stop.clone();
        let line = Line::new(device.endpoint.clone());
        tasks.spawn(async move { run(&device, &line, &sender, Now::default, &token).await });
        let asked = |server: &Scripted| !server.asked().is_empty();
        let mut heard = Heard::default();
        while heard.reports.len() < reached || (port == silent.port && !asked(&silent)) {
            match timeout(Duration::from_millis(1), receiver.recv(10)).await {
                Ok(reports) => heard.reports.extend(reports.unwrap()),
                Err(_) => tokio::task::yield_now().await,
            }
        }
        stop.cancel();
        let ended = timeout(Duration::from_secs(1), tasks.join_next()).await;
        assert!(matches!(ended, Ok(Some(Ok(Ok(()))))), "{ended:?}");
    }
}

#[tokio::test]
async fn a_period_of_zero_is_refused_and_not_spun_on() {
    let (sender, _receiver) = intake::channel(100, |_| Lane::Process);
    let device = Device { period: Duration::ZERO, ..device(1, Vec::new()) };
    let line = Line::new(device.endpoint.clone());
    let ended = run(&device, &line, &sender, Now::default, &CancellationToken::new()).await;
    assert!(matches!(ended, Err(Error::ZeroDuration { setting: "period", .. })));
}

#[test]
fn each_exception_has_the_reason_that_its_points_are_told() {
    for (code, reason) in [
        (1, BadReason::RefusedAddress),
        (2, BadReason::RefusedAddress),
        (3, BadReason::RefusedAddress),
        (4, BadReason::DeviceFailure),
        (5, BadReason::CommFailure),
        (6, BadReason::CommFailure),
        (8, BadReason::DeviceFailure),
        (10, BadReason::CommFailure),
        (11, BadReason::CommFailure),
        (99, BadReason::CommFailure),
    ] {
        assert_eq!(Exception(code).reason(), reason, "code {code}");
    }
}
