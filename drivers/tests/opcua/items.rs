//! What is subscribed: groups, deadbands, elements, the server's limits, and nodes that come and go.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use opcua::types::{Array, DateTime, StatusCode, Variant, VariantScalarTypeId};
use riskgate_drivers::opcua::{Deadband, Element, Group, Kind};
use riskgate_point::{BadReason, Quality, UncertainReason, Value};

use crate::plant::{Driver, Offer, Proxy, TestServer, config, group, ours, within};

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_deadband_holds_back_small_moves_of_its_group_and_never_a_status() {
    let server = TestServer::start(0, Offer::default()).await;
    server.add("Flow", 10.0);
    server.add("Gas", 10.0);
    let nodes = [ours("Flow"), ours("Gas")];
    let mut config = config(server.url(), &[&nodes[0], &nodes[1]]);
    config.groups.push(Group { deadband: Deadband::Absolute(0.5), ..group("slow") });
    config.points[0].group = 1;
    let mut driver = Driver::start(config);
    driver.until_up().await;
    driver.until_number(0, 10.0).await;
    driver.until_number(1, 10.0).await;
    assert_eq!(server.n_subscriptions(), 2);

    for number in [10.2, 10.4] {
        server.put("Flow", number);
        server.put("Gas", number);
    }
    driver.until_number(1, 10.4).await;
    server.put("Flow", 11.0);
    driver.until_number(0, 11.0).await;
    let told: Vec<_> = driver.samples(0).iter().filter_map(|sample| sample.value.clone()).collect();
    assert_eq!(told, [Value::float(10.0).expect("finite"), Value::float(11.0).expect("finite")]);

    server.set("Flow", 11.1, DateTime::now(), StatusCode::BadSensorFailure);
    driver.until_bad(0, BadReason::DeviceFailure).await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_deadband_that_the_server_refuses_is_left_out_and_the_point_lives() {
    let server = TestServer::start(0, Offer::default()).await;
    server.add("Flow", 10.0);
    server.add("Level", 20.0);
    let nodes = [ours("Flow"), ours("Level")];
    let mut config = config(server.url(), &[&nodes[0], &nodes[1]]);
    // Neither is an analog item with an EURange.
    config.groups.push(Group { deadband: Deadband::Percent(2.0), ..group("percent") });
    config.points[0].group = 1;
    let mut driver = Driver::start(config);
    driver.until_up().await;
    driver.until_number(0, 10.0).await;
    server.put("Flow", 10.001);
    driver.until_number(0, 10.001).await;
    driver.until_number(1, 20.0).await;
    driver.stop().await;
}

/// The first: of others the library's server takes the range of the range, and finds nothing.
#[tokio::test(flavor = "multi_thread")]
async fn opcua_an_element_of_an_array_is_a_point() {
    let levels = |numbers: [f64; 4]| {
        Array::new(VariantScalarTypeId::Double, numbers.map(Variant::from).to_vec()).expect("an array")
    };
    let server = TestServer::start(0, Offer::default()).await;
    server.add("Levels", levels([1.0, 2.0, 3.0, 4.0]));
    let node = ours("Levels");
    let mut config = config(server.url(), &[&node, &node, &node]);
    config.points[0].element = Element::parse("0");
    config.points[1].element = Element::parse("9");
    let mut driver = Driver::start(config);
    driver.until_up().await;
    driver.until_number(0, 1.0).await;
    server.put("Levels", levels([7.5, 2.0, 3.0, 4.0]));
    driver.until_number(0, 7.5).await;
    driver.until_bad(1, BadReason::RefusedAddress).await;
    driver.until_bad(2, BadReason::ConfigError).await;
    let why = "an array; write the element to read in the column element 数组下标";
    within("the reason counted", || async { (driver.skipped("P-2", why) > 0).then_some(()) }).await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_value_of_another_kind_is_bad_and_not_guessed() {
    let server = TestServer::start(0, Offer::default()).await;
    server.add("Text", "12");
    server.add("Byte", 1_u8);
    server.add("Huge", u64::MAX);
    server.add("Exact", 9_007_199_254_740_993_i64);
    let nodes = ["Text", "Byte", "Huge", "Exact"].map(ours);
    let mut config = config(server.url(), &nodes.each_ref().map(String::as_str));
    config.points[1].kind = Kind::Bool;
    let mut driver = Driver::start(config);
    driver.until_bad(0, BadReason::ConfigError).await;
    driver.until_bad(2, BadReason::NotANumber).await;
    driver.until_number(1, 1.0).await;
    assert_eq!(driver.last(1).value, Some(Value::Bool(true)));
    driver
        .until_all("the last digit", |seen| {
            seen.iter()
                .filter_map(crate::plant::sample)
                .any(|s| s.value == Some(Value::Int(9_007_199_254_740_993)))
        })
        .await;
    driver.stop().await;
}

/// What others get wrong: one bad node id ends the subscription.
#[tokio::test(flavor = "multi_thread")]
async fn opcua_nodes_that_the_server_refuses_do_not_end_the_subscription() {
    let server = TestServer::start(0, Offer::default()).await;
    server.archive.refuses.store(true, Ordering::Relaxed);
    server.add("Level", 40.0);
    let nodes = [ours("Level"), ours("Later"), "nsu=urn:nowhere;i=1".to_owned(), ours("Never")];
    let mut driver = Driver::start(config(server.url(), &nodes.each_ref().map(String::as_str)));
    driver.until_up().await;
    driver.until_number(0, 40.0).await;
    for refused in [1, 2, 3] {
        driver.until_bad(refused, BadReason::RefusedAddress).await;
    }
    server.add("Later", 7.0);
    driver.until_number(1, 7.0).await;
    server.put("Level", 41.0);
    driver.until_number(0, 41.0).await;
    assert_eq!(driver.last(3).quality, Quality::Bad(BadReason::RefusedAddress));
    assert_eq!(server.n_subscriptions(), 1);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_node_that_is_taken_away_without_a_word_turns_bad_and_is_read_again_when_it_is_back() {
    let server = TestServer::start(0, Offer::default()).await;
    server.add("Level", 40.0);
    server.add("Other", 1.0);
    let nodes = [ours("Level"), ours("Other")];
    let mut driver = Driver::start(config(server.url(), &[&nodes[0], &nodes[1]]));
    driver.until_number(0, 40.0).await;
    server.remove("Level");
    driver.until_bad(0, BadReason::RefusedAddress).await;
    server.add("Level", 50.0);
    driver.until_number(0, 50.0).await;
    server.put("Level", 51.0);
    driver.until_number(0, 51.0).await;
    server.put("Other", 2.0);
    driver.until_number(1, 2.0).await;
    assert!(driver.samples(1).iter().all(|sample| sample.quality == Quality::Good));
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_slow_group_keeps_nobody_from_looking_after_a_fast_one() {
    /// A fast node is looked after every 6 s, and asked for anew 200 ms later; a slow one has 40 s.
    const SOON: Duration = Duration::from_secs(25);
    let server = TestServer::start(0, Offer::default()).await;
    server.add("Fast", 10.0);
    server.add("Slow", 20.0);
    let nodes = [ours("Fast"), ours("Slow")];
    let mut config = config(server.url(), &[&nodes[0], &nodes[1]]);
    let twenty = Duration::from_secs(20);
    config.groups.push(Group { publishing: twenty, keep_alive: twenty, ..group("slow") });
    config.points[1].group = 1;
    let mut driver = Driver::start(config);
    driver.until_up().await;
    driver.until_number(0, 10.0).await;
    driver.until_number(1, 20.0).await;
    server.remove("Slow");
    server.remove("Fast");
    let found = tokio::time::timeout(SOON, driver.until_bad(0, BadReason::RefusedAddress));
    found.await.expect("the fast one is found to be gone");
    server.add("Fast", 11.0);
    tokio::time::timeout(SOON, driver.until_number(0, 11.0)).await.expect("it is back");
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_group_takes_as_many_subscriptions_and_requests_as_the_server_limits_them_to() {
    let offer =
        Offer { items_in_a_subscription: 10, items_in_a_call: 7, nodes_in_a_read: 9, ..Offer::default() };
    let server = TestServer::start(0, offer).await;
    let proxy = Proxy::to(server.port);
    let names: Vec<String> = (0..25).map(|at| format!("Tank.{at}")).collect();
    for (at, name) in names.iter().enumerate() {
        server.add(name, u32::try_from(at).expect("few"));
    }
    let nodes: Vec<String> = names.iter().map(|name| ours(name)).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let mut driver = Driver::start(config(proxy.url(), &nodes));
    driver.until_up().await;
    for at in 0..25_u32 {
        driver.until_number(at, f64::from(at)).await;
    }
    assert_eq!(server.n_subscriptions(), 3);
    let portions = server.archive.portions.lock().expect("no panic").clone();
    assert!(portions.last().is_some_and(|largest| *largest <= 7), "{portions:?}");

    // After a cut each point is read, in portions too.
    driver.forget();
    proxy.cut();
    driver.until_down().await;
    for at in 0..25_u32 {
        driver.until_number(at, f64::from(at)).await;
    }
    server.put("Tank.24", 99_u32);
    driver.until_number(24, 99.0).await;
    assert_eq!(server.n_subscriptions(), 3);
    driver.stop().await;
}

/// 500 items take this server 6 s, longer than a request may; 250 do not.
#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_server_that_is_too_slow_for_a_whole_portion_is_asked_for_less() {
    let server = TestServer::start(0, Offer::default()).await;
    server.archive.slow_ms.store(12, Ordering::Relaxed);
    let names: Vec<String> = (0..500).map(|at| format!("Tank.{at}")).collect();
    for (at, name) in names.iter().enumerate() {
        server.add(name, u32::try_from(at).expect("few"));
    }
    let nodes: Vec<String> = names.iter().map(|name| ours(name)).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let mut driver = Driver::start(config(server.url(), &nodes));
    driver.until_number(499, 499.0).await;
    driver.until_up().await;
    let portions = server.archive.portions.lock().expect("no panic").clone();
    assert_eq!(portions, BTreeSet::from([250, 500]));
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_values_that_the_servers_queue_lost_are_counted_and_mark_the_next() {
    let server = TestServer::start(0, Offer::default()).await;
    server.add("Pulse", 0.0);
    let node = ours("Pulse");
    let mut config = config(server.url(), &[&node]);
    config.groups[0].queue = 3;
    config.groups[0].publishing = Duration::from_millis(400);
    let mut driver = Driver::start(config);
    driver.until_up().await;
    driver.until_number(0, 0.0).await;
    for number in 1..=50 {
        server.put("Pulse", f64::from(number));
    }
    driver.until_number(0, 50.0).await;
    assert_eq!(driver.last(0).quality, Quality::Uncertain(UncertainReason::Overflow));
    assert!(driver.skipped("P-0", "lost in the server's queue") > 0);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_publishings_round_trips_and_connections_are_counted() {
    let server = TestServer::start(0, Offer::default()).await;
    server.add("Level", 40.0);
    let proxy = Proxy::to(server.port);
    proxy.delay(Duration::from_millis(30));
    let node = ours("Level");
    let mut driver = Driver::start(config(proxy.url(), &[&node]));
    driver.until_number(0, 40.0).await;
    let before = driver.tally.counts();
    assert!(before.polls > 0 && before.connects == 1, "{before:?}");
    assert!(before.round_trip >= Duration::from_millis(30), "{before:?}");
    driver.forget();
    proxy.cut();
    driver.until_number(0, 40.0).await;
    let after = driver.tally.counts();
    assert!(after.connects == 2 && after.polls > before.polls, "{after:?}");
    driver.stop().await;
}
