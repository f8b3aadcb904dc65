//! MQTT 5 where the broker speaks it, and 3.1.1 where it does not.

use super::*;

async fn both() -> Bench {
    let of = |port| Feed { versions: Versions::Both, ..feed(port, vec![points("t", vec![point(0, "$")])]) };
    Bench::of(of, 1000).await
}

async fn only_five() -> Bench {
    let of = |port| Feed {
        versions: Versions::Only(Version::V5),
        ..feed(port, vec![points("t", vec![point(0, "$")])])
    };
    Bench::of(of, 1000).await
}

fn level(connect: &[u8]) -> u8 {
    connect[6]
}

/// Filters of a SUBSCRIBE of version 5 behind packet id and empty properties.
fn asks_for(body: &[u8], filter: &str) {
    let length = u8::try_from(filter.len()).unwrap();
    let mut expect = vec![0, 1, 0, 0, length];
    expect.extend(filter.as_bytes());
    expect.push(1);
    assert_eq!(body, expect);
}

#[tokio::test]
async fn a_broker_that_speaks_5_is_read_in_5() {
    let mut bench = both().await;
    let mut peer = Peer::accept(&bench.listener).await;
    assert_eq!(level(&peer.expect(CONNECT).await), 5);
    // Assigned client id, topic alias maximum, server keep alive of an hour.
    peer.send(b"\x20\x10\0\0\x0D\x12\0\x04auto\x22\0\x0A\x13\x0E\x10").await;
    asks_for(&peer.expect(SUBSCRIBE).await, "t");
    peer.send(b"\x90\x04\0\x01\0\x01").await;
    bench.until_up(1).await;
    // At most once, with a subscription identifier and a user property.
    peer.send(b"\x30\x0D\0\x01t\x08\x0B\x01\x26\0\x01k\0\x001").await;
    bench.until(|heard| samples(heard, 0).len() == 1).await;
    assert_eq!(samples(&bench.heard, 0)[0].value, Value::float(1.0));
    // Another client with our name.
    peer.send(b"\xE0\x01\x8E").await;
    bench.until(|heard| !downs(heard).is_empty()).await;
    let why = downs(&bench.heard)[0];
    assert!(why.contains("another client has come with the same client_id"), "{why}");
    bench.ends().await;
}

#[tokio::test]
async fn a_broker_that_refuses_5_is_read_in_3_1_1_without_a_word() {
    let mut bench = both().await;
    let mut peer = Peer::accept(&bench.listener).await;
    assert_eq!(level(&peer.expect(CONNECT).await), 5);
    peer.send(&[0x20, 2, 0, 1]).await;
    let mut peer = Peer::accept(&bench.listener).await;
    let connect = peer.expect(CONNECT).await;
    assert_eq!(level(&connect), 4);
    peer.send(&[0x20, 2, 0, 0]).await;
    peer.subscribe().await;
    peer.suback(&[1]).await;
    bench.until_up(1).await;
    assert!(downs(&bench.heard).is_empty());
    drop(peer);
    // It is known now.
    let mut peer = Peer::accept(&bench.listener).await;
    assert_eq!(level(&peer.expect(CONNECT).await), 4);
    bench.ends().await;
}

#[tokio::test]
async fn a_broker_that_hangs_up_on_5_is_read_in_3_1_1_and_one_that_hangs_up_on_both_is_down() {
    let mut bench = both().await;
    for expect in [5, 4, 5, 4] {
        let mut peer = Peer::accept(&bench.listener).await;
        assert_eq!(level(&peer.expect(CONNECT).await), expect);
    }
    bench.until(|heard| !downs(heard).is_empty()).await;
    assert!(downs(&bench.heard)[0].contains("instead of answering CONNECT"), "{:?}", bench.heard);
    let mut peer = Peer::accept(&bench.listener).await;
    assert_eq!(level(&peer.expect(CONNECT).await), 5);
    drop(peer);
    let _peer = Peer::welcome(&bench.listener).await;
    bench.until_up(1).await;
    assert_eq!(downs(&bench.heard).len(), 1);
    bench.ends().await;
}

#[tokio::test]
async fn where_the_version_is_written_no_other_is_tried() {
    let mut bench = only_five().await;
    for _ in 0..2 {
        let mut peer = Peer::accept(&bench.listener).await;
        assert_eq!(level(&peer.expect(CONNECT).await), 5);
        peer.send(&[0x20, 2, 0, 1]).await;
    }
    bench.until(|heard| !downs(heard).is_empty()).await;
    assert!(
        downs(&bench.heard)[0].contains("does not speak MQTT 5; leave out 'version'"),
        "{:?}",
        bench.heard
    );
    bench.ends().await;
}

#[tokio::test]
async fn a_refusal_is_told_in_the_brokers_words_too() {
    let mut bench = only_five().await;
    let mut peer = Peer::accept(&bench.listener).await;
    peer.expect(CONNECT).await;
    peer.send(b"\x20\x12\0\x87\x0F\x1F\0\x0Cask the boss").await;
    bench.until(|heard| !downs(heard).is_empty()).await;
    let why = downs(&bench.heard)[0];
    assert!(why.contains("this user is not authorised, it says 'ask the boss'; check user"), "{why}");
    bench.ends().await;
}

#[tokio::test]
async fn a_refused_filter_is_told_with_its_reason() {
    let mut bench = only_five().await;
    let mut peer = Peer::accept(&bench.listener).await;
    peer.expect(CONNECT).await;
    peer.send(b"\x20\x03\0\0\0").await;
    peer.expect(SUBSCRIBE).await;
    peer.send(b"\x90\x04\0\x01\0\xA2").await;
    bench.until(|heard| !downs(heard).is_empty()).await;
    assert!(downs(&bench.heard)[0].contains("filter 't': it takes no wildcards"), "{:?}", bench.heard);
    bench.ends().await;
}

#[tokio::test]
async fn what_is_no_broker_is_told_apart() {
    for (answer, expect) in [
        (&b"\x15\x03\x03\0\x02\x02\x16"[..], "what answers there speaks TLS; write tls"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak MQTT; check port"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak MQTT"),
    ] {
        let mut bench = Bench::start(vec![points("t", vec![point(0, "$")])]).await;
        let mut peer = Peer::accept(&bench.listener).await;
        peer.expect(CONNECT).await;
        peer.send(answer).await;
        drop(peer);
        bench.until(|heard| !downs(heard).is_empty()).await;
        let why = downs(&bench.heard)[0];
        assert!(why.contains(expect), "{why}");
        bench.ends().await;
    }
}
