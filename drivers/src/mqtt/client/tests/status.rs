//! Last will ignored, so a dead feed looks alive: here it does not.

use super::*;
use crate::mqtt::Status;

fn availability() -> Status {
    Status {
        topic: "frigate/available".to_owned(),
        value: None,
        online: "online".to_owned(),
        offline: "offline".to_owned(),
    }
}

async fn bench() -> Bench {
    let with_status = |port| Feed {
        status: Some(availability()),
        ..feed(port, vec![points("t", vec![point(0, "$")]), people("rtls")])
    };
    Bench::of(with_status, 100_000).await
}

fn ups(heard: &[Report]) -> usize {
    links(heard).into_iter().filter(|link| **link == Link::Up).count()
}

#[tokio::test]
async fn a_last_will_makes_points_bad_and_the_link_down_and_the_feeds_own_word_brings_it_back() {
    let mut bench = bench().await;
    let mut peer = Peer::accept(&bench.listener).await;
    peer.expect(CONNECT).await;
    peer.send(&[0x20, 2, 0, 0]).await;
    assert_eq!(peer.subscribe().await, ["t", "rtls", "frigate/available"]);
    peer.suback(&[1, 1, 1]).await;
    peer.publish("frigate/available", "online", true).await;
    bench.until_up(1).await;
    peer.publish("t", "1", false).await;
    bench.until(|heard| samples(heard, 0).len() == 1).await;
    peer.publish("frigate/available", "offline", false).await;
    bench.until(|heard| downs(heard).len() == 1).await;
    let why = downs(&bench.heard)[0];
    assert!(why.contains("the feed said that it is gone ('offline' on frigate/available)"), "{why}");
    assert!(why.contains("see whether the program behind the feed runs"), "{why}");
    assert_eq!(samples(&bench.heard, 0)[1].quality, Quality::Bad(BadReason::CommFailure));
    // The same again is not told again; a message of others does not outweigh the feed's own word.
    peer.publish("frigate/available", "offline", false).await;
    peer.publish("t", "2", false).await;
    bench.until(|heard| samples(heard, 0).len() == 3).await;
    assert_eq!(samples(&bench.heard, 0)[2].quality, Quality::Uncertain(UncertainReason::Source));
    assert_eq!((ups(&bench.heard), downs(&bench.heard).len()), (1, 1));
    peer.publish("frigate/available", "online", false).await;
    bench.until_up(2).await;
    peer.publish("t", "3", false).await;
    bench.until(|heard| samples(heard, 0).len() == 4).await;
    assert_eq!(samples(&bench.heard, 0)[3].quality, Quality::Good);
    bench.ends().await;
}

#[tokio::test]
async fn a_feed_whose_last_will_the_broker_keeps_is_never_up() {
    let mut bench = bench().await;
    let mut peer = Peer::welcome(&bench.listener).await;
    peer.publish("frigate/available", "offline", true).await;
    bench.until(|heard| downs(heard).len() == 1).await;
    assert_eq!(ups(&bench.heard), 0, "that the broker answers says nothing of the feed");
    assert!(samples(&bench.heard, 0)[0].quality.is_bad());
    bench.ends().await;
}

#[tokio::test]
async fn a_feed_that_was_gone_is_not_up_for_a_moment_when_the_broker_comes_back() {
    let mut bench = bench().await;
    let mut peer = Peer::welcome(&bench.listener).await;
    peer.publish("frigate/available", "offline", false).await;
    bench.until(|heard| downs(heard).len() == 1).await;
    drop(peer);
    // Its will is not kept by this broker, so nothing is said of it on the new connection.
    let mut peer = Peer::welcome(&bench.listener).await;
    bench.until(|heard| downs(heard).len() == 3).await;
    assert!(downs(&bench.heard)[1].contains("the connection was closed"));
    assert!(downs(&bench.heard)[2].contains("said before the connection was lost"), "{:?}", bench.heard);
    peer.publish("t", "5", true).await;
    bench.until(|heard| samples(heard, 0).iter().any(|one| one.backfill)).await;
    assert_eq!(ups(&bench.heard), 0, "what the broker kept is no sign of life");
    peer.publish("t", "6", false).await;
    bench.until_up(1).await;
    bench.ends().await;
}

#[tokio::test]
async fn a_feed_that_says_nothing_of_itself_is_up_after_a_wait() {
    let mut bench = bench().await;
    let _peer = Peer::welcome(&bench.listener).await;
    bench.until_up(1).await;
    assert!(downs(&bench.heard).is_empty());
    bench.ends().await;
}

#[tokio::test]
async fn a_status_that_says_nothing_is_counted_and_changes_nothing() {
    let mut bench = bench().await;
    let mut peer = Peer::welcome(&bench.listener).await;
    peer.publish("frigate/available", "online", true).await;
    bench.until_up(1).await;
    peer.publish("frigate/available", "restarting", false).await;
    peer.publish("t", "1", false).await;
    bench.until(|heard| samples(heard, 0).len() == 1).await;
    assert_eq!(bench.skipped("frigate/available", "status_unknown"), Some((1, "restarting".to_owned())));
    assert!(downs(&bench.heard).is_empty());
    bench.ends().await;
}

#[tokio::test]
async fn a_heartbeat_does_not_refresh_a_feed_that_says_that_it_is_gone() {
    let with_status = |port| Feed {
        status: Some(availability()),
        ..feed(port, vec![Subscription { filter: "alive".to_owned(), what: What::Heartbeat }, people("rtls")])
    };
    let mut bench = Bench::of(with_status, 1000).await;
    let mut peer = Peer::welcome(&bench.listener).await;
    peer.publish("frigate/available", "offline", true).await;
    peer.publish("alive", "1", false).await;
    // People are told all the same: a life is not left out for a word.
    peer.publish("rtls", r#"{"people": [{"tag": "1", "zone": "a"}]}"#, false).await;
    bench.until(|heard| fixes(heard).len() == 1).await;
    assert_eq!(refreshed(&bench.heard), 0);
    bench.ends().await;
}

#[tokio::test]
async fn a_refused_status_is_not_passed_over() {
    let with_status =
        |port| Feed { status: Some(availability()), ..feed(port, vec![points("t", vec![point(0, "$")])]) };
    let mut bench = Bench::of(with_status, 1000).await;
    let mut peer = Peer::accept(&bench.listener).await;
    peer.expect(CONNECT).await;
    peer.send(&[0x20, 2, 0, 0]).await;
    peer.subscribe().await;
    peer.suback(&[1, 0x80]).await;
    bench.until(|heard| downs(heard).len() == 1).await;
    assert!(downs(&bench.heard)[0].contains("'frigate/available'"), "{:?}", bench.heard);
    bench.ends().await;
}
