//! Time and silence, over streams in memory with paused time.

use tokio::io::DuplexStream;

use super::*;

const ROOM: usize = 64 * 1024;

fn connection(version: Version) -> (Connection, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(ROOM);
    (Connection::over(Box::new(ours), version, None), theirs)
}

fn feed() -> Feed {
    Feed {
        source: riskgate_point::SourceId(0),
        host: String::new(),
        port: 0,
        client_id: "gw".to_owned(),
        versions: crate::mqtt::Versions::Both,
        tls: None,
        user: None,
        zone: jiff::tz::TimeZone::UTC,
        status: None,
        subscriptions: Vec::new(),
    }
}

async fn expect(peer: &mut DuplexStream, bytes: &[u8]) {
    let mut came = vec![0; bytes.len()];
    peer.read_exact(&mut came).await.unwrap();
    assert_eq!(came, bytes);
}

#[tokio::test(start_paused = true)]
async fn a_silent_broker_is_asked_for_a_sign_of_life_and_then_given_up() {
    let (mut connection, mut peer) = connection(Version::V3);
    let began = Instant::now();
    let fault = connection.next(None).await.unwrap_err();
    assert!(matches!(fault, Fault::Silent), "{fault}");
    assert_eq!(began.elapsed().as_secs(), 30);
    expect(&mut peer, b"\xC0\0").await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_the_question_keeps_it_and_measures_the_way() {
    let (mut connection, mut peer) = connection(Version::V3);
    let broker = async {
        for _ in 0..3 {
            expect(&mut peer, b"\xC0\0").await;
            tokio::time::sleep(Duration::from_millis(40)).await;
            peer.write_all(b"\xD0\0").await.unwrap();
        }
        peer
    };
    let due = Instant::now() + Duration::from_secs(50);
    let reader = async {
        for _ in 0..3 {
            let event = connection.next(Some(due)).await;
            assert!(matches!(event, Ok(Event::Alive)), "{event:?}");
        }
        connection.next(Some(due)).await
    };
    let (event, _peer) = tokio::join!(reader, broker);
    assert!(matches!(event, Ok(Event::TimeUp)), "{event:?}");
    assert_eq!(connection.take_round_trip(), Some(Duration::from_millis(40)));
    assert_eq!(connection.take_round_trip(), None, "once");
}

#[tokio::test(start_paused = true)]
async fn messages_are_as_good_a_sign_of_life() {
    let (mut connection, mut peer) = connection(Version::V3);
    let broker = async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            peer.write_all(b"\x30\x04\0\x01t1").await.unwrap();
        }
    };
    let reader = async {
        for _ in 0..10 {
            connection.next(None).await.unwrap();
        }
    };
    tokio::join!(broker, reader);
}

#[tokio::test(start_paused = true)]
async fn the_broker_sets_the_rhythm_where_it_wants_a_faster_one() {
    let (mut connection, mut peer) = connection(Version::V5);
    let site = feed();
    let broker = async {
        expect(&mut peer, &wire::connect(Version::V5, "gw", None, 15)).await;
        peer.write_all(b"\x20\x06\0\0\x03\x13\0\x04").await.unwrap();
    };
    let (greeted, ()) = tokio::join!(connection.greet(&site), broker);
    greeted.unwrap();
    let began = Instant::now();
    assert!(matches!(connection.next(None).await, Err(Fault::Silent)));
    assert_eq!(began.elapsed().as_secs(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_takes_nothing_more_is_given_up() {
    let (ours, mut theirs) = tokio::io::duplex(16);
    let mut connection = Connection::over(Box::new(ours), Version::V3, None);
    connection.subscribe(1, ["a topic longer than there is room for"]);
    let fault = connection.next(None).await.unwrap_err();
    assert!(matches!(fault, Fault::Stuck), "{fault}");
    theirs.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_messages_does_not_hold_up_the_signs_of_life() {
    let (mut connection, peer) = connection(Version::V3);
    let (mut heard, mut said) = tokio::io::split(peer);
    let flood = async {
        let one = b"\x30\x04\0\x01t1".repeat(2000);
        loop {
            said.write_all(&one).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let asked = async {
        let mut asked = [0; 2];
        heard.read_exact(&mut asked).await.unwrap();
        asked
    };
    let began = Instant::now();
    tokio::select! {
        () = flood => {}
        _ = async { loop { connection.next(None).await.unwrap(); } } => {}
        asked = asked => assert_eq!(asked, [0xC0, 0]),
    }
    assert!(began.elapsed() < Duration::from_secs(16), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_was_handed_on_is_acknowledged_with_the_next_look() {
    let (mut connection, mut peer) = connection(Version::V3);
    peer.write_all(b"\x32\x06\0\x01t\0\x071\x32\x06\0\x01t\0\x082").await.unwrap();
    for _ in 0..2 {
        assert!(matches!(connection.next(None).await, Ok(Event::Message(_))));
    }
    let mut nothing = [0; 1];
    assert!(futures_util::poll!(std::pin::pin!(peer.read(&mut nothing))).is_pending());
    let due = Instant::now();
    assert!(matches!(connection.next(Some(due)).await, Ok(Event::TimeUp)));
    expect(&mut peer, b"\x40\x02\0\x07\x40\x02\0\x08").await;
}

#[tokio::test]
async fn of_repeats_only_the_last_messages_are_remembered() {
    let mut repeats = Repeats::default();
    let message = |id: u16, again| Incoming {
        topic: b"t".to_vec(),
        payload: id.to_be_bytes().to_vec(),
        delivery: Delivery::AtLeastOnce(id),
        again,
        ..Incoming::default()
    };
    for id in 1..=1000 {
        assert!(!repeats.is_repeat(&message(id, false)));
    }
    assert!(repeats.is_repeat(&message(1000, true)));
    assert!(!repeats.is_repeat(&message(1000, false)), "without the mark it is a new one");
    assert!(!repeats.is_repeat(&message(1, true)));
    assert_eq!(repeats.last.len(), REMEMBERED);
}
