//! Devices that dial in, on real sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::super::frame::rtu;
use super::super::*;
use super::{PACE, holding, registers};
use crate::modbus::Framing;
use crate::ports::free_port;

/// Two lines behind one port, and what listens there.
struct Site {
    listen: SocketAddr,
    one: Arc<Line>,
    two: Arc<Line>,
    tallies: Vec<Arc<Tally>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

const PATIENT: Pace = Pace { connect_timeout: Duration::from_secs(10), ..PACE };

impl Site {
    fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], free_port())))
    }

    fn start_at(listen: SocketAddr) -> Self {
        let line = |registration: &[u8], framing| {
            let (registration, heartbeat) = (registration.to_vec(), Some(b"ping".to_vec()));
            Arc::new(Line::new(Endpoint::DialIn(DialIn { listen, registration, heartbeat, framing })))
        };
        let (one, two) = (line(b"DTU-01", Framing::Rtu), line(&[0xAA, 0x02], Framing::Tcp));
        let listeners = Listener::of([one.as_ref(), two.as_ref()]);
        let tallies = vec![Arc::new(Tally::default()), Arc::new(Tally::default())];
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for listener in listeners {
            let (tallies, stop) = (tallies.clone(), stop.clone());
            tasks.spawn(async move { listener.run(&tallies, &stop).await });
        }
        assert_eq!(tasks.len(), 1, "one port, one listener");
        Self { listen, one, two, tallies, stop, tasks }
    }

    /// The port is opened a moment after the start.
    async fn dial(&self, registration: &[u8]) -> TcpStream {
        loop {
            if let Ok(mut stream) = TcpStream::connect(self.listen).await {
                stream.write_all(registration).await.unwrap();
                return stream;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// A device behind a DTU that passes bytes on: answers everything with `word`, after what the DTU says.
async fn answer_rtu(mut stream: TcpStream, word: u8, says_before: &'static [u8]) {
    let mut frame = [0; 8];
    while stream.read_exact(&mut frame).await.is_ok() {
        let mut reply = vec![frame[0], frame[1], 2, 0, word];
        reply.extend(rtu::checksum(&reply).to_le_bytes());
        if stream.write_all(&[says_before, &reply].concat()).await.is_err() {
            return;
        }
    }
}

async fn answer_tcp(mut stream: TcpStream, word: u8, says_before: &'static [u8]) {
    let mut frame = [0; 12];
    while stream.read_exact(&mut frame).await.is_ok() {
        let reply = [&frame[..4], &[0, 5], &frame[6..8], &[2, 0, word]].concat();
        if stream.write_all(&[says_before, &reply].concat()).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn devices_that_dial_in_at_one_port_are_told_apart_and_heartbeats_are_passed_over() {
    let site = Site::start();
    let mut devices = JoinSet::new();
    devices.spawn(answer_rtu(site.dial(b"DTU-01ping").await, 11, b"ping"));
    devices.spawn(answer_tcp(site.dial(&[0xAA, 0x02]).await, 22, b"pingping"));
    let tally = Tally::default();
    for _ in 0..20 {
        assert_eq!(site.one.ask(1, holding(0, 1), PATIENT, &tally).await.unwrap(), registers(&[11]));
        assert_eq!(site.two.ask(1, holding(0, 1), PATIENT, &tally).await.unwrap(), registers(&[22]));
    }
    assert_eq!(tally.counts().connects, 2);
}

#[tokio::test]
async fn a_registration_may_come_in_pieces() {
    let site = Site::start();
    let mut stream = site.dial(b"D").await;
    stream.set_nodelay(true).unwrap();
    for byte in b"TU-01" {
        tokio::task::yield_now().await;
        stream.write_all(&[*byte]).await.unwrap();
    }
    let mut devices = JoinSet::new();
    devices.spawn(answer_rtu(stream, 11, b""));
    let asked = site.one.ask(1, holding(0, 1), PATIENT, &Tally::default()).await;
    assert_eq!(asked.unwrap(), registers(&[11]));
}

#[tokio::test]
async fn a_device_that_dials_in_again_replaces_its_old_connection_even_in_the_middle_of_a_question() {
    let site = Site::start();
    let tally = Tally::default();
    // It takes the question and is gone without a word, as one that lost its network.
    let mut lost = site.dial(b"DTU-01").await;
    let pace = Pace { timeout: Duration::from_secs(60), ..PATIENT };
    let asking = site.one.ask(1, holding(0, 1), pace, &tally);
    let dialling = async {
        lost.read_exact(&mut [0; 8]).await.unwrap();
        // What it owes could be mistaken for the answer that is wanted: a marker is asked for first.
        let mut again = site.dial(b"DTU-01").await;
        let mut frame = [0; 8];
        again.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame[5], 2);
        let mut reply = vec![1, 3, 4, 0, 8, 0, 9];
        reply.extend(rtu::checksum(&reply).to_le_bytes());
        again.write_all(&reply).await.unwrap();
        answer_rtu(again, 12, b"").await;
    };
    tokio::select! {
        asked = asking => assert_eq!(asked.unwrap(), registers(&[12])),
        () = dialling => panic!("the new connection was dropped"),
    }
    assert_eq!(lost.read(&mut [0; 8]).await.unwrap_or(0), 0, "the old one is closed");
}

#[tokio::test]
async fn who_is_not_known_is_refused_counted_and_told_to_who_waits() {
    let site = Site::start();
    for registration in [b"DTU-99".as_slice(), b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stranger = site.dial(registration).await;
        assert_eq!(stranger.read(&mut [0; 8]).await.unwrap_or(0), 0, "it is refused");
    }
    drop(site.dial(b"").await);
    let strangers = |tally: &Tally| {
        let skips = tally.counts().skips;
        skips.into_iter().map(|((_, why), skipped)| (why, skipped.count)).collect::<Vec<_>>()
    };
    let counted = async {
        while strangers(&site.tallies[1]) != [("silent_caller", 1), ("unknown_registration", 2)] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), counted).await.unwrap();
    assert_eq!(strangers(&site.tallies[0]), strangers(&site.tallies[1]));
    let pace = Pace { connect_timeout: Duration::from_millis(50), ..PACE };
    let absent = site.one.ask(1, holding(0, 1), pace, &Tally::default()).await.unwrap_err();
    let said = absent.sentence(site.one.endpoint(), 1, holding(0, 1));
    assert!(said.contains("'DTU-01' on 127.0.0.1") && said.contains("has not dialled in"), "{said}");
    assert!(said.contains("3 other callers were refused"), "{said}");
    let skips = site.tallies[0].counts().skips;
    let skipped = skips.values().last().unwrap();
    assert!(skipped.example.starts_with("'DTU-99' from 127.0.0.1"), "{skipped:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_opened_when_it_is_free() {
    let taken = TcpListener::bind(("127.0.0.1", free_port())).await.unwrap();
    let site = Site::start_at(taken.local_addr().unwrap());
    let tally = Tally::default();
    let pace = Pace { connect_timeout: Duration::from_millis(50), ..PACE };
    let absent = site.one.ask(1, holding(0, 1), pace, &tally).await.unwrap_err();
    assert!(absent.to_string().contains("the port cannot be opened: Address already in use"), "{absent}");
    drop(taken);
    let mut devices = JoinSet::new();
    devices.spawn(answer_rtu(site.dial(b"DTU-01").await, 11, b""));
    assert_eq!(site.one.ask(1, holding(0, 1), PATIENT, &tally).await.unwrap(), registers(&[11]));
}

#[tokio::test]
async fn it_ends_when_told_to_and_leaves_the_port() {
    let mut site = Site::start();
    let _caller = site.dial(b"DT").await;
    site.stop.cancel();
    while site.tasks.join_next().await.is_some() {}
    TcpListener::bind(site.listen).await.unwrap();
}

#[tokio::test]
async fn a_dead_device_behind_a_dtu_does_not_cost_the_others_their_connection() {
    let site = Site::start();
    let tally = Tally::default();
    let mut stream = site.dial(b"DTU-01").await;
    let mut devices = JoinSet::new();
    devices.spawn(async move {
        let mut frame = [0; 8];
        while stream.read_exact(&mut frame).await.is_ok() {
            if frame[0] == 1 {
                continue;
            }
            let mut reply = vec![frame[0], 3, 2, 0, frame[0]];
            reply.extend(rtu::checksum(&reply).to_le_bytes());
            stream.write_all(&reply).await.unwrap();
        }
    });
    let pace = Pace { timeout: Duration::from_millis(50), ..PATIENT };
    for _ in 0..3 {
        assert!(matches!(site.one.ask(1, holding(0, 1), pace, &tally).await, Err(Fault::NoReply(_))));
        assert_eq!(site.one.ask(2, holding(0, 1), PATIENT, &tally).await.unwrap(), registers(&[2]));
    }
    assert_eq!(tally.counts().connects, 1);
}
