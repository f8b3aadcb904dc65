//! Against a broker that is played by the test itself, byte by byte, over real sockets.

mod secure;
mod status;
mod versions;

use std::sync::Arc;

use jiff::tz::TimeZone;
use riskgate_point::{Fix, Now, Quality, SourceId, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::super::connection::Stream;
use super::super::wire::MESSAGE_BYTES_MAX;
use super::super::{
    EdgeNode, FixFields, Kind, Path, Point, Reading, SightingFields, Subscription, What, Where,
};
use super::*;
use crate::intake::{self, Lane, Receiver};
use crate::scaling::Scaling;
use crate::tally::Tally;

const CONNECT: u8 = 1;
const PUBACK: u8 = 4;
const SUBSCRIBE: u8 = 8;
const PING: u8 = 12;
const DISCONNECT: u8 = 14;
const PATIENCE: Duration = Duration::from_secs(20);

/// The broker's end of one connection.
struct Peer {
    stream: Box<dyn Stream>,
    /// The kinds of all packets that the driver sent.
    kinds: Vec<u8>,
}

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("the driver connects").unwrap();
        Self::over(stream)
    }

    fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), kinds: Vec::new() }
    }

    /// Accepts, takes the CONNECT, and acknowledges all subscriptions of one SUBSCRIBE.
    async fn welcome(listener: &TcpListener) -> Self {
        let mut peer = Self::accept(listener).await;
        peer.greet().await;
        peer
    }

    async fn greet(&mut self) {
        self.expect(CONNECT).await;
        self.send(&[0x20, 2, 0, 0]).await;
        let filters = self.subscribe().await;
        self.suback(&vec![1; filters.len()]).await;
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn packet(&mut self) -> (u8, Vec<u8>) {
        let kind = self.stream.read_u8().await.unwrap() >> 4;
        let mut length = 0_usize;
        for place in 0..4 {
            let byte = self.stream.read_u8().await.unwrap();
            length |= usize::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.unwrap();
        self.kinds.push(kind);
        (kind, body)
    }

    async fn expect(&mut self, kind: u8) -> Vec<u8> {
        let (came, body) = timeout(PATIENCE, self.packet()).await.expect("a packet comes");
        assert_eq!(came, kind);
        body
    }

    async fn subscribe(&mut self) -> Vec<String> {
        let body = self.expect(SUBSCRIBE).await;
        let mut rest = &body[2..];
        let mut filters = Vec::new();
        while rest.len() > 2 {
            let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
            filters.push(String::from_utf8(rest[2..2 + length].to_vec()).unwrap());
            rest = &rest[3 + length..];
        }
        filters
    }

    /// To the first SUBSCRIBE of a connection, which has the packet id 1.
    async fn suback(&mut self, codes: &[u8]) {
        let mut packet = vec![0x90, u8::try_from(codes.len() + 2).unwrap(), 0, 1];
        packet.extend(codes);
        self.send(&packet).await;
    }

    async fn publish(&mut self, topic: &str, payload: &str, retain: bool) {
        let bytes = publish_packet(topic, payload, retain);
        self.send(&bytes).await;
    }
}

/// At most once, so that it carries no packet id.
fn publish_packet(topic: &str, payload: &str, retain: bool) -> Vec<u8> {
    let mut packet = vec![0x30 | u8::from(retain)];
    let mut length = 2 + topic.len() + payload.len();
    while length >= 128 {
        packet.push(u8::try_from(length % 128).unwrap() | 0x80);
        length /= 128;
    }
    packet.push(u8::try_from(length).unwrap());
    packet.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
    packet.extend(topic.as_bytes());
    packet.extend(payload.as_bytes());
    packet
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn at(text: &str) -> Where {
    Where::parse(text).unwrap()
}

fn point(id: u32, value: &str) -> Point {
    let reading = Reading { point: PointId(id), kind: Kind::Number, scaling: Scaling::IDENTITY, words: None };
    Point { reading, value: path(value), quality: None, time: None }
}

fn points(filter: &str, points: Vec<Point>) -> Subscription {
    Subscription { filter: filter.to_owned(), what: What::Points(points) }
}

fn people(filter: &str) -> Subscription {
    let (many, zone) = (Some(path("$.people[*]")), Some(at("$.zone")));
    let what = What::Fixes(FixFields { many, zone, ..FixFields::of(at("$.tag")) });
    Subscription { filter: filter.to_owned(), what }
}

/// A driver at work, its broker's listener, and what it has said so far.
struct Bench {
    listener: TcpListener,
    receiver: Receiver,
    stop: CancellationToken,
    tasks: JoinSet<Result<(), Infallible>>,
    tally: Arc<Tally>,
    heard: Vec<Report>,
}

/// A broker on loopback, spoken to in 3.1.1.
fn feed(port: u16, subscriptions: Vec<Subscription>) -> Feed {
    Feed {
        source: SourceId(3),
        host: "127.0.0.1".to_owned(),
        port,
        client_id: "riskgate-test".to_owned(),
        versions: Versions::Only(Version::V3),
        tls: None,
        user: Some(("reader".to_owned(), "secret".to_owned())),
        zone: TimeZone::UTC,
        status: None,
        subscriptions,
    }
}

impl Bench {
    async fn start(subscriptions: Vec<Subscription>) -> Self {
        Self::start_with(subscriptions, 100_000).await
    }

    async fn start_with(subscriptions: Vec<Subscription>, bound: usize) -> Self {
        Self::of(|port| feed(port, subscriptions), bound).await
    }

    async fn of(feed: impl FnOnce(u16) -> Feed, bound: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let feed = feed(listener.local_addr().unwrap().port());
        let (sender, receiver) = intake::channel(bound, |_| Lane::Process);
        let tally = Arc::new(Tally::default());
        let sender = sender.counting(Arc::clone(&tally));
        let stop = CancellationToken::new();
        let token = stop.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { run(&feed, &sender, clock, &token).await });
        Self { listener, receiver, stop, tasks, tally, heard: Vec::new() }
    }

    async fn until(&mut self, reached: impl Fn(&[Report]) -> bool) {
        while !reached(&self.heard) {
            let more = timeout(PATIENCE, self.receiver.recv(1000)).await;
            self.heard.extend(more.expect("what is waited for comes").expect("the driver runs"));
        }
    }

    async fn until_up(&mut self, times: usize) {
        let ups = |heard: &[Report]| links(heard).into_iter().filter(|link| **link == Link::Up).count();
        self.until(|heard| ups(heard) == times).await;
    }

    /// How often something could not be used for this reason, and the first example.
    fn skipped(&self, filter: &str, reason: &'static str) -> Option<(u64, String)> {
        let skips = self.tally.counts().skips;
        skips.get(&(filter.to_owned(), reason)).map(|one| (one.count, one.example.clone()))
    }

    async fn ends(mut self) {
        self.stop.cancel();
        let ended = timeout(Duration::from_secs(1), self.tasks.join_next()).await;
        assert!(matches!(ended, Ok(Some(Ok(Ok(()))))), "{ended:?}");
    }
}

/// 2026-11-01T00:00:00Z
fn clock() -> Now {
    Now { wall: riskgate_point::Wall(1_793_491_200_000), ..Now::default() }
}

fn links(heard: &[Report]) -> Vec<&Link> {
    heard
        .iter()
        .filter_map(|one| if let Report::Link { link, .. } = one { Some(link) } else { None })
        .collect()
}

fn downs(heard: &[Report]) -> Vec<&str> {
    let links = links(heard).into_iter();
    links.filter_map(|link| if let Link::Down { why } = link { Some(why.as_str()) } else { None }).collect()
}

fn samples(heard: &[Report], id: u32) -> Vec<&Sample> {
    heard
        .iter()
        .filter_map(|one| if let Report::Sample(sample) = one { Some(sample) } else { None })
        .filter(|sample| sample.point == PointId(id))
        .collect()
}

fn fixes(heard: &[Report]) -> Vec<&Fix> {
    heard.iter().filter_map(|one| if let Report::Fix(fix) = one { Some(&**fix) } else { None }).collect()
}

fn refreshed(heard: &[Report]) -> usize {
    heard.iter().filter(|one| matches!(one, Report::Refreshed { .. })).count()
}

#[tokio::test]
async fn it_subscribes_reads_and_sends_nothing_but_what_reading_needs() {
    let sightings = What::Sightings(SightingFields::of(at("$.camera"), at("$.type")));
    let mut bench = Bench::start(vec![
        points("gas/+", vec![point(0, "$.a"), point(1, "$.b")]),
        points("gas/7", vec![point(2, "$.a")]),
        Subscription { filter: "video/alarm".to_owned(), what: sightings },
    ])
    .await;
    let mut peer = Peer::accept(&bench.listener).await;
    let connect = peer.expect(CONNECT).await;
    assert_eq!(&connect[..7], b"\0\x04MQTT\x04");
    assert_eq!(connect[7] & 0b10, 0b10, "a clean session");
    peer.send(&[0x20, 2, 0, 0]).await;
    assert_eq!(peer.subscribe().await, ["gas/+", "video/alarm"], "what covers gas/7 is enough");
    peer.suback(&[1, 1]).await;
    bench.until_up(1).await;
    peer.publish("gas/7", r#"{"a": 1.5, "b": "2"}"#, false).await;
    peer.publish("video/alarm", r#"{"camera": "C1", "type": "smoke"}"#, false).await;
    // At least once, packet id 9.
    peer.send(&[0x32, 16, 0, 5]).await;
    peer.send(b"gas/1\0\x09{\"a\":3}").await;
    bench.until(|heard| samples(heard, 0).len() == 2).await;
    assert_eq!(peer.expect(PUBACK).await, [0, 9]);
    let value = |id: u32, at: usize| samples(&bench.heard, id)[at].value.clone();
    assert_eq!(
        (value(0, 0), value(1, 0), value(2, 0)),
        (Value::float(1.5), Value::float(2.0), Value::float(1.5))
    );
    assert_eq!(value(0, 1), Value::float(3.0));
    assert_eq!(samples(&bench.heard, 2).len(), 1, "gas/1 is not gas/7");
    assert!(bench.heard.iter().any(|one| matches!(one, Report::Sighting(seen) if &*seen.kind == "smoke")));
    assert_eq!(links(&bench.heard), [&Link::Connecting, &Link::Up]);
    assert_eq!(bench.tally.counts().polls, 3, "a message is what is asked for elsewhere");
    bench.ends().await;
    assert_eq!(peer.expect(DISCONNECT).await, b"");
    assert_eq!(peer.kinds, [CONNECT, SUBSCRIBE, PUBACK, DISCONNECT]);
}

#[tokio::test]
async fn a_lost_broker_is_told_once_and_subscribed_to_anew() {
    let mut bench = Bench::start(vec![points("t", vec![point(0, "$")])]).await;
    let mut peer = Peer::welcome(&bench.listener).await;
    bench.until_up(1).await;
    peer.publish("t", "1", false).await;
    bench.until(|heard| samples(heard, 0).len() == 1).await;
    drop(peer);
    // It is thrown out twice more before it may subscribe.
    for _ in 0..2 {
        let mut peer = Peer::accept(&bench.listener).await;
        peer.expect(CONNECT).await;
        peer.send(&[0x20, 2, 0, 0]).await;
        peer.subscribe().await;
    }
    let mut peer = Peer::welcome(&bench.listener).await;
    bench.until_up(2).await;
    peer.publish("t", "2", false).await;
    bench.until(|heard| samples(heard, 0).len() == 3).await;
    let read: Vec<Quality> = samples(&bench.heard, 0).iter().map(|sample| sample.quality).collect();
    assert_eq!(read, [Quality::Good, Quality::Bad(BadReason::CommFailure), Quality::Good]);
    assert_eq!(downs(&bench.heard).len(), 1);
    assert!(downs(&bench.heard)[0].contains("the connection was closed"), "{:?}", downs(&bench.heard));
    bench.ends().await;
}

#[tokio::test]
async fn a_refused_filter_of_points_costs_those_points_and_the_rest_lives() {
    let mut bench =
        Bench::start(vec![points("open", vec![point(0, "$")]), points("secret/1", vec![point(1, "$")])])
            .await;
    let mut peer = Peer::accept(&bench.listener).await;
    peer.expect(CONNECT).await;
    peer.send(&[0x20, 2, 0, 0]).await;
    peer.subscribe().await;
    peer.suback(&[1, 0x80]).await;
    bench.until_up(1).await;
    peer.publish("open", "1", false).await;
    bench.until(|heard| samples(heard, 0).len() == 1).await;
    let refused: Vec<Quality> = samples(&bench.heard, 1).iter().map(|sample| sample.quality).collect();
    assert_eq!(refused, [Quality::Bad(BadReason::RefusedAddress)]);
    assert_eq!(bench.skipped("secret/1", "filter_refused"), Some((1, "it does not say why".to_owned())));
    bench.ends().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_filter_is_asked_for_again_after_a_minute() {
    let feed = feed(0, vec![points("open", vec![point(0, "$")]), points("secret/1", vec![point(1, "$")])]);
    let (sender, mut receiver) = intake::channel(1000, |_| Lane::Process);
    let (ours, theirs) = tokio::io::duplex(1000);
    let mut connection = Connection::over(Box::new(ours), Version::V3, None);
    let mut reader = Reader::new(&feed, &sender, clock);
    let mut peer = Peer::over(theirs);
    let broker = async {
        assert_eq!(peer.subscribe().await, ["open", "secret/1"]);
        peer.suback(&[1, 0x80]).await;
        let refused = Instant::now();
        // Signs of life, until it asks again.
        let mut again = peer.packet().await;
        while again.0 != SUBSCRIBE {
            peer.send(b"\xD0\0").await;
            again = peer.packet().await;
        }
        assert_eq!(refused.elapsed().as_secs(), 60);
        assert!(again.1.ends_with(b"\0\x08secret/1\x01"), "only what was refused");
        peer.suback(&[1]).await;
        peer.publish("secret/1", "1", false).await;
        std::future::pending::<()>().await;
    };
    let mut heard = Vec::new();
    let told = async {
        while samples(&heard, 1).len() < 2 {
            heard.extend(receiver.recv(1000).await.expect("the reader is there"));
        }
    };
    tokio::select! {
        fault = reader.read(&mut connection) => panic!("{fault:?}"),
        () = broker => {}
        () = told => {}
    }
    let read: Vec<Quality> = samples(&heard, 1).iter().map(|sample| sample.quality).collect();
    assert_eq!(read, [Quality::Bad(BadReason::RefusedAddress), Quality::Good]);
}

/// Sparkplug nodes tell only what changes, and the broker tells their deaths; nobody tells those of others.
#[tokio::test(start_paused = true)]
async fn the_brokers_answer_keeps_nodes_alive_that_tell_their_deaths_and_nothing_else() {
    let node = Arc::new(EdgeNode { group: "g".to_owned(), edge: "e".to_owned(), ..EdgeNode::default() });
    let nodes = Subscription { filter: node.filter(), what: What::Sparkplug(node) };
    for (subscriptions, expect) in [
        (vec![nodes.clone()], 3),
        (vec![nodes, points("t", vec![point(0, "$")])], 0),
        (vec![points("t", vec![point(0, "$")])], 0),
    ] {
        let feed = feed(0, subscriptions);
        let (sender, mut receiver) = intake::channel(1000, |_| Lane::Process);
        let (ours, theirs) = tokio::io::duplex(1000);
        let mut connection = Connection::over(Box::new(ours), Version::V3, None);
        let mut reader = Reader::new(&feed, &sender, clock);
        let mut peer = Peer::over(theirs);
        let broker = async {
            let filters = peer.subscribe().await;
            peer.suback(&vec![1; filters.len()]).await;
            for _ in 0..3 {
                assert_eq!(peer.packet().await.0, PING);
                peer.send(b"\xD0\0").await;
            }
            // What was answered has been told when the next question comes.
            assert_eq!(peer.packet().await.0, PING);
        };
        tokio::select! {
            fault = reader.read(&mut connection) => panic!("{fault:?}"),
            () = broker => {}
        }
        let heard = receiver.recv(1000).await.expect("the link was told");
        assert_eq!(refreshed(&heard), expect);
    }
}

#[tokio::test]
async fn a_refused_filter_of_people_is_named_and_the_link_is_not_up() {
    let mut bench = Bench::start(vec![points("open", vec![point(0, "$")]), people("rtls/#")]).await;
    let mut peer = Peer::accept(&bench.listener).await;
    peer.expect(CONNECT).await;
    peer.send(&[0x20, 2, 0, 0]).await;
    peer.subscribe().await;
    // A message before the SUBACK: the point must not be good on a link that is down.
    peer.publish("open", "1", false).await;
    peer.suback(&[1, 0x80]).await;
    bench.until(|heard| samples(heard, 0).len() == 1).await;
    assert!(downs(&bench.heard)[0].contains("refuses the topic filter 'rtls/#'"), "{:?}", bench.heard);
    assert!(!links(&bench.heard).contains(&&Link::Up));
    assert!(samples(&bench.heard, 0)[0].quality.is_bad());
    assert_eq!(bench.skipped("", "before_the_link_was_up"), Some((1, String::new())));
    bench.ends().await;
}

#[tokio::test]
async fn where_every_filter_is_refused_the_link_is_not_up() {
    let mut bench = Bench::start(vec![points("secret/1", vec![point(0, "$")])]).await;
    let mut peer = Peer::accept(&bench.listener).await;
    peer.expect(CONNECT).await;
    peer.send(&[0x20, 2, 0, 0]).await;
    peer.subscribe().await;
    peer.suback(&[0x80]).await;
    bench.until(|heard| !downs(heard).is_empty()).await;
    assert!(downs(&bench.heard)[0].contains("'secret/1'"), "{:?}", bench.heard);
    bench.ends().await;
}

#[tokio::test]
async fn more_filters_than_fit_in_one_packet_are_all_asked_for() {
    let many = (0..120).map(|id| points(&format!("t/{id}"), vec![point(id, "$")])).collect();
    let mut bench = Bench::start(many).await;
    let mut peer = Peer::accept(&bench.listener).await;
    peer.expect(CONNECT).await;
    peer.send(&[0x20, 2, 0, 0]).await;
    let asked = [peer.subscribe().await.len(), peer.subscribe().await.len(), peer.subscribe().await.len()];
    assert_eq!(asked, [50, 50, 20]);
    // In whatever order they are acknowledged; the 101st filter is refused.
    for (id, codes) in [(3, [vec![0x80], vec![1; 19]].concat()), (1, vec![1; 50]), (2, vec![1; 50])] {
        let mut packet = vec![0x90, u8::try_from(codes.len() + 2).unwrap(), 0, id];
        packet.extend(codes);
        peer.send(&packet).await;
    }
    bench.until_up(1).await;
    assert!(bench.skipped("t/100", "filter_refused").is_some());
    assert_eq!(samples(&bench.heard, 100).len(), 1);
    bench.ends().await;
}

#[tokio::test]
async fn readings_of_a_try_that_fails_are_counted_and_the_points_stay_bad() {
    let mut bench = Bench::start(vec![points("t", vec![point(0, "$")])]).await;
    drop(Peer::accept(&bench.listener).await);
    bench.until(|heard| samples(heard, 0).len() == 1).await;
    let mut peer = Peer::accept(&bench.listener).await;
    peer.expect(CONNECT).await;
    peer.send(&[0x20, 2, 0, 0]).await;
    peer.subscribe().await;
    peer.publish("t", "1", false).await;
    drop(peer);
    bench.until(|heard| downs(heard).len() == 2).await;
    let read: Vec<bool> = samples(&bench.heard, 0).iter().map(|sample| sample.quality.is_bad()).collect();
    assert_eq!(read, [true]);
    assert_eq!(bench.skipped("", "before_the_link_was_up"), Some((1, String::new())));
    let [first, second] = downs(&bench.heard)[..] else { panic!("{:?}", bench.heard) };
    assert!(first.contains("instead of answering CONNECT") && second.contains("connection was closed"));
    bench.ends().await;
}

#[tokio::test]
async fn a_wrong_password_is_told_in_words() {
    let mut bench = Bench::start(vec![points("t", vec![point(0, "$")])]).await;
    let mut peer = Peer::accept(&bench.listener).await;
    peer.expect(CONNECT).await;
    peer.send(&[0x20, 2, 0, 4]).await;
    bench.until(|heard| !downs(heard).is_empty()).await;
    let why = downs(&bench.heard)[0];
    assert!(why.contains("user or password is wrong") && why.contains("check user"), "{why}");
    assert!(!why.contains("secret"));
    bench.ends().await;
}

#[tokio::test]
async fn a_message_too_large_is_counted_and_costs_neither_the_connection_nor_the_next_message() {
    let mut bench = Bench::start(vec![points("t", vec![point(0, "$")]), points("pictures/#", vec![])]).await;
    let mut peer = Peer::welcome(&bench.listener).await;
    bench.until_up(1).await;
    peer.publish("pictures/1", &"9".repeat(MESSAGE_BYTES_MAX + 1), true).await;
    peer.publish("t", "2", false).await;
    bench.until(|heard| samples(heard, 0).len() == 1).await;
    assert_eq!(
        bench.skipped("pictures/#", "too_large"),
        Some((1, format!("pictures/1: {} bytes", MESSAGE_BYTES_MAX + 13)))
    );
    assert!(downs(&bench.heard).is_empty());
    bench.ends().await;
}

#[tokio::test]
async fn what_came_before_a_fault_is_as_good_as_ever() {
    let mut bench = Bench::start(vec![points("t", vec![point(0, "$")])]).await;
    let mut peer = Peer::welcome(&bench.listener).await;
    bench.until_up(1).await;
    // In one segment, so that all is read at once.
    let mut bytes = publish_packet("t", "1", false);
    bytes.extend(publish_packet("t", "2", false));
    bytes.extend([0x10, 0]);
    peer.send(&bytes).await;
    bench.until(|heard| !downs(heard).is_empty() && samples(heard, 0).len() == 3).await;
    assert!(downs(&bench.heard)[0].contains("broke the protocol"), "{:?}", downs(&bench.heard));
    let read: Vec<Option<Value>> =
        samples(&bench.heard, 0).iter().map(|sample| sample.value.clone()).collect();
    assert_eq!(read, [Value::float(1.0), Value::float(2.0), None]);
    bench.ends().await;
}

#[tokio::test]
async fn what_the_broker_sends_again_is_no_news() {
    let mut bench = Bench::start(vec![points("t", vec![point(0, "$")])]).await;
    let mut peer = Peer::welcome(&bench.listener).await;
    // Number 9 with "1", the same again, the same number with the mark and another payload: some brokers
    // hand the sender's mark on.
    for bytes in [&b"\x32\x06\0\x01t\0\x091"[..], b"\x3A\x06\0\x01t\0\x091", b"\x3A\x06\0\x01t\0\x092"] {
        peer.send(bytes).await;
        assert_eq!(peer.expect(PUBACK).await, [0, 9]);
    }
    // Exactly once, in two halves, the first of them twice.
    for bytes in [&b"\x34\x06\0\x01t\0\x083"[..], b"\x3C\x06\0\x01t\0\x083"] {
        peer.send(bytes).await;
        assert_eq!(peer.expect(5).await, [0, 8]);
    }
    peer.send(b"\x62\x02\0\x08").await;
    assert_eq!(peer.expect(7).await, [0, 8]);
    bench.until(|heard| samples(heard, 0).len() == 3).await;
    let read: Vec<Option<Value>> =
        samples(&bench.heard, 0).iter().map(|sample| sample.value.clone()).collect();
    assert_eq!(read, [1.0, 2.0, 3.0].map(Value::float));
    assert_eq!(bench.skipped("t", "repeated"), Some((2, "t".to_owned())));
    bench.ends().await;
}

#[tokio::test]
async fn what_nobody_asked_for_is_counted() {
    let mut bench = Bench::start(vec![points("t", vec![point(0, "$")])]).await;
    let mut peer = Peer::welcome(&bench.listener).await;
    peer.publish("other", "1", false).await;
    peer.send(b"\x30\x04\0\x01\xFF1").await;
    peer.publish("t", "1", false).await;
    bench.until(|heard| samples(heard, 0).len() == 1).await;
    assert_eq!(bench.skipped("", "not_asked_for"), Some((1, "other".to_owned())));
    assert!(bench.skipped("", "topic_is_no_text").is_some());
    bench.ends().await;
}

#[tokio::test]
async fn a_large_list_of_people_is_read() {
    let mut bench = Bench::start(vec![people("rtls")]).await;
    let mut peer = Peer::welcome(&bench.listener).await;
    let one = r#"{"tag": "1234567890", "zone": "tank-farm-a"}"#;
    let payload = format!(r#"{{"people": [{}]}}"#, vec![one; 5000].join(","));
    assert!(payload.len() > 200_000);
    peer.publish("rtls", &payload, false).await;
    bench.until(|heard| fixes(heard).len() == 5000).await;
    bench.ends().await;
}

#[tokio::test]
async fn an_unusable_message_costs_neither_the_connection_nor_the_next_message() {
    let mut bench = Bench::start(vec![points("t", vec![point(0, "$.v")])]).await;
    let mut peer = Peer::welcome(&bench.listener).await;
    for payload in ["", "{", "[]", r#"{"v": 1}"#] {
        peer.publish("t", payload, false).await;
    }
    bench.until(|heard| samples(heard, 0).len() == 3).await;
    let values: Vec<_> = samples(&bench.heard, 0).iter().map(|sample| sample.value.clone()).collect();
    assert_eq!(values, [None, None, Value::float(1.0)], "what is no JSON takes the old value away");
    assert!(downs(&bench.heard).is_empty());
    assert_eq!(bench.skipped("t", "not_json"), Some((2, String::new())), "the first is the example");
    assert_eq!(bench.skipped("t", "missing_value"), Some((1, "[]".to_owned())));
    bench.ends().await;
}

#[tokio::test]
async fn a_busy_sensor_does_not_make_a_dead_one_look_alive() {
    let heartbeat = Subscription { filter: "alive".to_owned(), what: What::Heartbeat };
    let mut bench = Bench::start(vec![points("a", vec![point(0, "$")]), heartbeat]).await;
    let mut peer = Peer::welcome(&bench.listener).await;
    peer.publish("a", "1", false).await;
    bench.until(|heard| !samples(heard, 0).is_empty()).await;
    assert_eq!(refreshed(&bench.heard), 0);
    peer.publish("alive", "any", true).await;
    peer.publish("alive", "any", false).await;
    peer.publish("a", "2", false).await;
    bench.until(|heard| samples(heard, 0).len() == 2).await;
    assert_eq!(refreshed(&bench.heard), 1, "what the broker kept is no sign of life");
    bench.ends().await;
}

#[tokio::test]
async fn an_empty_list_of_people_keeps_the_feed_alive_and_a_wrong_message_does_not() {
    let mut bench = Bench::start(vec![people("rtls")]).await;
    let mut peer = Peer::welcome(&bench.listener).await;
    peer.publish("rtls", r#"{"persons": []}"#, false).await;
    peer.publish("rtls", "offline", false).await;
    peer.publish("rtls", r#"{"people": [{"tag": "1"}]}"#, false).await;
    peer.publish("rtls", r#"{"people": []}"#, false).await;
    bench.until(|heard| refreshed(heard) == 1).await;
    peer.publish("rtls", r#"{"people": [{"tag": "1", "zone": "a"}]}"#, true).await;
    bench.until(|heard| fixes(heard).len() == 1).await;
    assert!(fixes(&bench.heard)[0].backfill, "retained");
    assert_eq!(refreshed(&bench.heard), 1);
    bench.ends().await;
}

#[tokio::test]
async fn copies_for_overlapping_filters_count_once_and_repeats_of_a_sensor_count() {
    let mut bench = Bench::start(vec![
        points("a/+", vec![point(0, "$")]),
        points("+/b", vec![point(1, "$")]),
        points("a/b", vec![point(2, "$")]),
    ])
    .await;
    let mut peer = Peer::welcome(&bench.listener).await;
    // Two filters were asked for, so a message comes twice; then one from a broker that sends it once.
    for value in ["1", "1", "2", "3", "3"] {
        peer.publish("a/b", value, false).await;
    }
    for value in ["7", "7"] {
        peer.publish("a/c", value, false).await;
    }
    bench
        .until(|heard| samples(heard, 0).iter().filter(|one| one.value == Value::float(7.0)).count() == 2)
        .await;
    let read: Vec<Option<Value>> =
        samples(&bench.heard, 0).iter().map(|sample| sample.value.clone()).collect();
    assert_eq!(read, [1.0, 2.0, 3.0, 7.0, 7.0].map(Value::float));
    assert_eq!((samples(&bench.heard, 1).len(), samples(&bench.heard, 2).len()), (3, 3));
    assert_eq!(bench.skipped("a/+", "copy"), Some((2, "a/b".to_owned())));
    bench.ends().await;
}

#[tokio::test]
async fn fixes_wait_for_room_and_none_is_lost() {
    let mut bench = Bench::start_with(vec![people("rtls")], 16).await;
    let mut peer = Peer::welcome(&bench.listener).await;
    let zone = |tag: usize| format!(r#"{{"people": [{{"tag": "{tag}", "zone": "a"}}]}}"#);
    for tag in 0..200 {
        peer.publish("rtls", &zone(tag), false).await;
    }
    bench.until(|heard| fixes(heard).len() == 200).await;
    let tags: Vec<&str> = fixes(&bench.heard).iter().map(|fix| &*fix.tag).collect();
    let expect: Vec<String> = (0..200).map(|tag: usize| tag.to_string()).collect();
    assert_eq!(tags, expect);
    bench.ends().await;
}

#[tokio::test]
async fn it_ends_at_once_when_told_to_whatever_it_waits_for() {
    let subscriptions = || vec![people("rtls"), points("t", vec![point(0, "$")])];
    // A broker that accepts and says nothing.
    let bench = Bench::start(subscriptions()).await;
    let _silent = Peer::accept(&bench.listener).await;
    bench.ends().await;
    // One that does not acknowledge the subscription.
    let bench = Bench::start(subscriptions()).await;
    let mut peer = Peer::accept(&bench.listener).await;
    peer.expect(CONNECT).await;
    peer.send(&[0x20, 2, 0, 0]).await;
    peer.subscribe().await;
    bench.ends().await;
    // Between two tries.
    let mut bench = Bench::start(subscriptions()).await;
    drop(Peer::accept(&bench.listener).await);
    bench.until(|heard| !downs(heard).is_empty()).await;
    bench.ends().await;
    // In the middle of its work.
    let mut bench = Bench::start(subscriptions()).await;
    let _peer = Peer::welcome(&bench.listener).await;
    bench.until_up(1).await;
    bench.ends().await;
    // While it waits for room that nobody makes.
    let bench = Bench::start_with(subscriptions(), 16).await;
    let mut peer = Peer::welcome(&bench.listener).await;
    for tag in 0..100 {
        peer.publish("rtls", &format!(r#"{{"people": [{{"tag": {tag}, "zone": "a"}}]}}"#), false).await;
    }
    while bench.receiver.depth() < 16 {
        tokio::task::yield_now().await;
    }
    bench.ends().await;
}

#[test]
fn unusable_messages_are_told_at_powers_of_ten() {
    let told: Vec<u64> = (1..=10_000).filter(|count| is_power_of_ten(*count)).collect();
    assert_eq!(told, [1, 10, 100, 1000, 10_000]);
    assert!(!is_power_of_ten(0));
}
