//! What happened while nobody listened: handed over, read from the history, or told as a gap.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use opcua::types::{DateTime, ObjectId, StatusCode};
use riskgate_drivers::opcua::{Node, Password, Server, User};
use riskgate_point::{Quality, Report, Sample, Value};

use crate::archive::Archive;
use crate::plant::{Driver, Offer, PASSWORD, Proxy, TestServer, USER, config, ours, sample, within};
use crate::support::proxy;

fn with_user(mut server: Server) -> Server {
    server.user = User::Password { name: USER.to_owned(), password: Password::new(PASSWORD) };
    server
}

fn numbers(samples: &[&Sample]) -> Vec<f64> {
    samples.iter().filter_map(|sample| sample.value.as_ref().and_then(Value::number)).collect()
}

/// A session that the server has dropped, with a subscription that it keeps. Without security the standard
/// lets only a named user take one over.
#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_subscription_that_outlives_its_session_is_taken_over_with_what_it_holds() {
    let offer = Offer { session_ms: 1500, users: vec![USER], ..Offer::default() };
    let server = TestServer::start(0, offer).await;
    server.add("Level", 40.0);
    server.add("Still", 5.0);
    let proxy = Proxy::to(server.port);
    let nodes = [ours("Level"), ours("Still")];
    let mut driver = Driver::start(with_user(config(proxy.url(), &[&nodes[0], &nodes[1]])));
    driver.until_number(0, 40.0).await;
    driver.until_number(1, 5.0).await;
    for round in 1..=2 {
        let base = f64::from(round) * 100.0;
        driver.forget();
        proxy.refuse(true);
        proxy.cut();
        driver.until_down().await;
        for step in [1.0, 2.0, 3.0] {
            server.put("Level", base + step);
        }
        within("the session's end", || async { (server.n_sessions() == 0).then_some(()) }).await;
        assert_eq!(server.n_subscriptions(), 1, "the subscription outlives it");
        proxy.refuse(false);
        driver.until_up().await;
        driver.until_number(0, base + 3.0).await;
        driver.until_number(1, 5.0).await;
        let good = |sample: &&&Sample| sample.quality == Quality::Good;
        let level: Vec<&Sample> = driver.samples(0).iter().filter(good).copied().collect();
        assert!(numbers(&level).starts_with(&[base + 1.0, base + 2.0, base + 3.0]), "{level:?}");
        assert!(level.iter().all(|sample| !sample.backfill));
    }
    assert_eq!(server.n_subscriptions(), 1, "no other was made");
    assert!(proxy.requests.names().contains("TransferSubscriptionsRequest"));
    assert_eq!(driver.skipped("gap", "not asked for"), 0, "nothing was missed");
    driver.stop().await;
}

/// Numbers of subscriptions begin anew with the server: asked for by number, another client's would be taken.
#[tokio::test(flavor = "multi_thread")]
async fn opcua_nobody_is_asked_for_the_subscriptions_that_ended_with_the_server() {
    let server = TestServer::start(0, Offer::default()).await;
    server.add("Level", 1.0);
    let (port, proxy) = (server.port, Proxy::to(server.port));
    let mut driver = Driver::start(config(proxy.url(), &[&ours("Level")]));
    driver.until_number(0, 1.0).await;
    server.kill();
    driver.until_down().await;
    driver.forget();
    let server = TestServer::start(port, Offer::default()).await;
    server.add("Level", 2.0);
    driver.until_number(0, 2.0).await;
    assert!(!proxy.requests.names().contains("TransferSubscriptionsRequest"));
    driver.stop().await;
}

/// The server is killed, writes into its archive, and comes back; the driver has its subscription no more.
async fn restarted(archive: &Arc<Archive>, driver: &mut Driver, server: TestServer) -> TestServer {
    let port = server.port;
    server.kill();
    driver.until_down().await;
    driver.forget();
    let offer = Offer { archive: Arc::clone(archive), before: vec!["urn:another"], ..Offer::default() };
    let server = TestServer::start(port, offer).await;
    server.add("Level", 0.0);
    let base = DateTime::now().as_chrono();
    for number in 1..=7_u32 {
        let at = DateTime::from(base + Duration::from_millis(u64::from(number)));
        server.set("Level", f64::from(number), at, StatusCode::Good);
    }
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_what_was_missed_is_read_from_the_history_in_time_order_and_marked_as_past() {
    let archive = Arc::new(Archive::default());
    archive.page.store(3, Ordering::Relaxed);
    let server = TestServer::start(0, Offer { archive: Arc::clone(&archive), ..Offer::default() }).await;
    server.add("Level", 40.0);
    let node = ours("Level");
    let mut config = config(server.url(), &[&node]);
    config.history = Some(Duration::from_secs(3600));
    let mut driver = Driver::start(config);
    server.put("Level", 41.0);
    driver.until_number(0, 41.0).await;
    let server = restarted(&archive, &mut driver, server).await;
    let past = |seen: &[Report]| {
        seen.iter().filter_map(sample).filter(|sample| sample.backfill).cloned().collect::<Vec<_>>()
    };
    driver.until_all("six values of the past", |seen| past(seen).len() >= 6).await;
    driver.until_number(0, 7.0).await;
    let told = past(&driver.seen);
    assert_eq!(numbers(&told.iter().collect::<Vec<_>>()), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert!(told.is_sorted_by_key(|sample| sample.source_time));
    let live: Vec<&Sample> =
        driver.samples(0).into_iter().filter(|s| !s.backfill && s.value.is_some()).collect();
    let first_live = live.first().and_then(|sample| sample.source_time).expect("a live value");
    assert!(told.iter().all(|sample| sample.source_time.is_some_and(|at| at < first_live)));
    assert!(archive.n_reads.load(Ordering::Relaxed) >= 2, "it came in pages");
    assert_eq!(driver.skipped("gap", "not in the server's history"), 0);
    server.put("Level", 8.0);
    driver.until_number(0, 8.0).await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_history_that_is_never_answered_holds_nothing_up() {
    let archive = Arc::new(Archive::default());
    archive.hangs.store(true, Ordering::Relaxed);
    let server = TestServer::start(0, Offer { archive: Arc::clone(&archive), ..Offer::default() }).await;
    server.add("Level", 40.0);
    let node = ours("Level");
    let mut config = config(server.url(), &[&node]);
    config.history = Some(Duration::from_secs(3600));
    let mut driver = Driver::start(config);
    server.put("Level", 41.0);
    driver.until_number(0, 41.0).await;
    let server = restarted(&archive, &mut driver, server).await;
    driver.until_number(0, 7.0).await;
    within("the history asked for", || async { (archive.n_reads.load(Ordering::Relaxed) > 0).then_some(()) })
        .await;
    server.put("Level", 8.0);
    driver.until_number(0, 8.0).await;
    assert!(driver.samples(0).iter().all(|sample| !sample.backfill));
    assert!(driver.stop().await < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_gap_that_nobody_fills_is_counted() {
    let archive = Arc::new(Archive::default());
    let server = TestServer::start(0, Offer { archive: Arc::clone(&archive), ..Offer::default() }).await;
    server.add("Level", 40.0);
    let node = ours("Level");
    let mut driver = Driver::start(config(server.url(), &[&node]));
    driver.until_number(0, 40.0).await;
    assert_eq!(driver.skipped("gap", "not asked for"), 0, "the first start misses nothing");
    let _server = restarted(&archive, &mut driver, server).await;
    driver.until_number(0, 7.0).await;
    within("the gap", || async { (driver.skipped("gap", "not asked for") == 1).then_some(()) }).await;
    assert_eq!(archive.n_reads.load(Ordering::Relaxed), 0);
    driver.stop().await;
}

/// Invariant 2, on the wire: through all that happens to a session nothing but reading is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_subscription_that_was_half_made_when_the_link_was_cut_is_not_left_at_the_server() {
    let server = TestServer::start(0, Offer::default()).await;
    server.add("Level", 40.0);
    let proxy = Proxy::to(server.port);
    // This node gives out no events: the subscription to them is made, found useless, and tried again.
    let notifiers = vec![Node::parse("i=2258").expect("a node")];
    let mut driver = Driver::start(Server { notifiers, ..config(proxy.url(), &[&ours("Level")]) });
    driver.until_up().await;
    for _ in 0..2 {
        driver.forget();
        proxy.cut_at_next(ObjectId::CreateMonitoredItemsRequest_Encoding_DefaultBinary);
        driver.until_down().await;
        driver.until_up().await;
        within("that of the points alone", || async { (server.n_subscriptions() == 1).then_some(()) }).await;
        assert_eq!(server.n_sessions_ever(), 1, "the session came back, no other was made");
    }
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_nothing_but_reading_goes_over_the_wire_whatever_happens() {
    let archive = Arc::new(Archive::default());
    archive.refuses.store(true, Ordering::Relaxed);
    let offer =
        Offer { archive: Arc::clone(&archive), users: vec![USER], session_ms: 1500, ..Offer::default() };
    let server = TestServer::start(0, offer.clone()).await;
    server.add("Level", 40.0);
    let port = server.port;
    let proxy = Proxy::to(port);
    let nodes = [ours("Level"), ours("Later")];
    let mut config = with_user(config(proxy.url(), &[&nodes[0], &nodes[1]]));
    config.history = Some(Duration::from_secs(3600));
    let mut driver = Driver::start(config);
    driver.until_number(0, 40.0).await;
    // A node that comes, and goes without a word: items are made and deleted.
    server.add("Later", 1.0);
    driver.until_number(1, 1.0).await;
    driver.forget();
    server.remove("Later");
    driver.until_bad(1, riskgate_point::BadReason::RefusedAddress).await;
    // A cut, a silence, a session that is gone.
    for trouble in [proxy::Proxy::cut, proxy::Proxy::silence] {
        driver.forget();
        trouble(&proxy);
        driver.until_down().await;
        driver.until_up().await;
    }
    driver.forget();
    proxy.refuse(true);
    proxy.cut();
    within("the session's end", || async { (server.n_sessions() == 0).then_some(()) }).await;
    proxy.refuse(false);
    driver.until_up().await;
    // A restart.
    driver.forget();
    server.kill();
    driver.until_down().await;
    let server = TestServer::start(port, offer).await;
    server.add("Level", 50.0);
    driver.until_number(0, 50.0).await;
    within("the history", || async { (archive.n_reads.load(Ordering::Relaxed) > 0).then_some(()) }).await;
    driver.stop().await;
    let names = proxy.requests.names();
    let seen: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(
        seen,
        [
            "ActivateSessionRequest",
            "CloseSecureChannelRequest",
            "CloseSessionRequest",
            "CreateMonitoredItemsRequest",
            "CreateSessionRequest",
            "CreateSubscriptionRequest",
            "DeleteMonitoredItemsRequest",
            "GetEndpointsRequest",
            "HistoryReadRequest",
            "OpenSecureChannelRequest",
            "PublishRequest",
            "ReadRequest",
            "RepublishRequest",
            "TransferSubscriptionsRequest",
        ]
    );
    proxy.requests.assert_nothing_but_reading();
}
