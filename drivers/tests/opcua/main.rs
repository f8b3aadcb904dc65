//! The OPC UA driver against a real server over real sockets: what it reports while all is well, and that
//! data flow again after everything that a server or a network does. The library's own reconnect does not
//! pass these.

mod conditions;
mod gaps;
mod items;
mod security;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each test binary uses its own part of it")]
mod support;

use opcua::types::{Array, DateTime, StatusCode, Variant, VariantScalarTypeId};
use plant::{Driver, Offer, PASSWORD, Proxy, TestServer, USER, config, ours, within};
use riskgate_drivers::opcua::{Kind, Password, User};
use riskgate_point::{BadReason, Link, Quality, Report, UncertainReason, Value, Wall};
use support::opcua::{alarms, archive, certs, plant};
use support::ports::free_port;

const LEVEL: u32 = 0;

async fn level_server() -> TestServer {
    let server = TestServer::start(0, Offer::default()).await;
    server.add("Tank.Level", 40.0);
    server
}

fn bad(reason: BadReason) -> Quality {
    Quality::Bad(reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_values_arrive_with_the_sources_time_and_quality() {
    let server = level_server().await;
    let mut driver = Driver::start(config(server.url(), &[&ours("Tank.Level")]));
    driver.until_up().await;
    driver.until_number(LEVEL, 40.0).await;
    let first = driver.seen.first();
    assert!(matches!(first, Some(Report::Link { link: Link::Connecting, .. })), "{first:?}");

    let source_time = DateTime::parse_from_rfc3339("2026-03-01T08:00:00.250Z").expect("a time");
    server.set("Tank.Level", 85.5, source_time, StatusCode::Good);
    driver.until_number(LEVEL, 85.5).await;
    assert_eq!(driver.last(LEVEL).source_time, Some(Wall(1_772_352_000_250)));
    assert_eq!(driver.last(LEVEL).quality, Quality::Good);

    server.set("Tank.Level", 86.0, DateTime::now(), StatusCode::UncertainSensorNotAccurate);
    driver.until_number(LEVEL, 86.0).await;
    assert_eq!(driver.last(LEVEL).quality, Quality::Uncertain(UncertainReason::Source));

    // The value stays, the status alone turns.
    server.set("Tank.Level", 86.0, DateTime::now(), StatusCode::BadSensorFailure);
    driver.until_bad(LEVEL, BadReason::DeviceFailure).await;
    assert_eq!(driver.last(LEVEL).value, None);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_keep_alives_refresh_a_point_that_does_not_move() {
    let server = level_server().await;
    let mut driver = Driver::start(config(server.url(), &[&ours("Tank.Level")]));
    driver.until_number(LEVEL, 40.0).await;
    let is_refreshed = |report: &&Report| matches!(report, Report::Refreshed { .. });
    driver.until_all("keep-alives", |seen| seen.iter().filter(is_refreshed).count() > 3).await;
    assert_eq!(driver.samples(LEVEL).len(), 1, "a keep-alive is no sample");
    driver.stop().await;
}

/// What others get wrong: OPC UA that never returns after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn opcua_data_flow_again_after_the_server_was_killed_and_came_back_with_other_namespaces() {
    let mut server = level_server().await;
    let port = server.port;
    let mut driver = Driver::start(config(server.url(), &[&ours("Tank.Level")]));
    driver.until_number(LEVEL, 40.0).await;
    for round in [1.0, 2.0, 3.0] {
        driver.forget();
        server.kill();
        driver.until_down().await;
        assert_eq!(driver.last(LEVEL).quality, bad(BadReason::CommFailure));
        let before = if round == 2.0 { vec!["urn:another"] } else { Vec::new() };
        server = TestServer::start(port, Offer { before, ..Offer::default() }).await;
        server.add("Tank.Level", 40.0 + round);
        driver.until_number(LEVEL, 40.0 + round).await;
        server.put("Tank.Level", 50.0 + round);
        driver.until_number(LEVEL, 50.0 + round).await;
        let n_lost =
            driver.samples(LEVEL).iter().filter(|s| s.quality == bad(BadReason::CommFailure)).count();
        assert_eq!(n_lost, 1, "an outage is told once");
    }
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_what_happened_while_the_link_was_cut_is_delivered_and_an_unmoved_point_is_good_again() {
    let server = level_server().await;
    server.add("Tank.Valve", true);
    let proxy = Proxy::to(server.port);
    let nodes = [ours("Tank.Level"), ours("Tank.Valve")];
    let mut server_of = config(proxy.url(), &[&nodes[0], &nodes[1]]);
    server_of.points[1].kind = Kind::Bool;
    let mut driver = Driver::start(server_of);
    driver.until_up().await;
    driver.until_number(LEVEL, 40.0).await;
    for round in 1..=5 {
        let base = f64::from(round) * 100.0;
        driver.forget();
        proxy.refuse(true);
        proxy.cut();
        driver.until_down().await;
        for step in [1.0, 2.0, 3.0] {
            server.put("Tank.Level", base + step);
        }
        proxy.refuse(false);
        driver.until_up().await;
        for step in [1.0, 2.0, 3.0] {
            driver.until_number(LEVEL, base + step).await;
        }
        // The link is up with the first value; what has not moved is read behind those that were missed.
        let is_open = |report: &Report| {
            let valve = plant::sample(report).filter(|sample| sample.point.0 == 1);
            valve
                .is_some_and(|valve| valve.quality == Quality::Good && valve.value == Some(Value::Bool(true)))
        };
        driver.until("the valve that did not move", is_open).await;
        assert_eq!(driver.last(1).quality, Quality::Good);
        assert_eq!(server.n_sessions(), 1, "the session came back, no other was made");
    }
    server.put("Tank.Level", 77.0);
    driver.until_number(LEVEL, 77.0).await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_data_flow_again_after_the_link_fell_silent_without_closing() {
    let server = level_server().await;
    let proxy = Proxy::to(server.port);
    let mut driver = Driver::start(config(proxy.url(), &[&ours("Tank.Level")]));
    driver.until_number(LEVEL, 40.0).await;
    for number in [41.0, 42.0, 43.0] {
        driver.forget();
        proxy.silence();
        server.put("Tank.Level", number);
        let why = driver.until_down().await;
        assert!(why.contains("was lost (BadTimeout)"), "{why}");
        driver.until_up().await;
        driver.until_number(LEVEL, number).await;
    }
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_bad_node_id_is_named_and_tried_again_and_the_others_live() {
    let server = level_server().await;
    let nodes = [ours("Tank.Level"), ours("Tank.Later"), "nsu=urn:nowhere;i=1".to_owned()];
    let mut driver = Driver::start(config(server.url(), &[&nodes[0], &nodes[1], &nodes[2]]));
    driver.until_up().await;
    driver.until_number(LEVEL, 40.0).await;
    driver.until_bad(1, BadReason::RefusedAddress).await;
    driver.until_bad(2, BadReason::RefusedAddress).await;

    server.add("Tank.Later", 7.0);
    driver.until_number(1, 7.0).await;
    server.put("Tank.Level", 41.0);
    driver.until_number(LEVEL, 41.0).await;
    assert_eq!(driver.last(2).quality, bad(BadReason::RefusedAddress));
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_huge_array_and_thousands_of_items_do_not_end_the_subscription() {
    let server = TestServer::start(0, Offer::default()).await;
    let elements: Vec<Variant> = (0..5000).map(|element| Variant::from(f64::from(element))).collect();
    server.add("Array", Array::new(VariantScalarTypeId::Double, elements).expect("an array"));
    let names: Vec<String> = (0..3000).map(|at| format!("Tank.{at}")).collect();
    for (at, name) in names.iter().enumerate() {
        server.add(name, u32::try_from(at).expect("few"));
    }
    let nodes: Vec<String> =
        std::iter::once("Array").chain(names.iter().map(String::as_str)).map(ours).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let mut driver = Driver::start(config(server.url(), &nodes));
    driver.until_up().await;
    driver.until_number(3000, 2999.0).await;
    driver.until_number(1, 0.0).await;
    driver.until_bad(0, BadReason::ConfigError).await;
    server.put("Tank.0", 12_u32);
    driver.until_number(1, 12.0).await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_refused_password_is_told_with_who_refused_and_not_tried_again_at_once() {
    let server = TestServer::start(0, Offer { users: vec![USER], ..Offer::default() }).await;
    let mut wrong = config(server.url(), &[&ours("Tank.Level")]);
    wrong.user = User::Password { name: USER.to_owned(), password: Password::new("wrong") };
    let mut driver = Driver::start(wrong);
    let why = driver.until_down().await;
    assert!(why.contains("refuses user 'op'") && why.contains("password_file"), "{why}");
    assert_eq!(driver.last(LEVEL).quality, bad(BadReason::CommFailure));
    driver.stop().await;

    server.add("Tank.Level", 40.0);
    let mut right = config(server.url(), &[&ours("Tank.Level")]);
    right.user = User::Password { name: USER.to_owned(), password: Password::new(PASSWORD) };
    let mut driver = Driver::start(right);
    driver.until_number(LEVEL, 40.0).await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_server_with_secured_endpoints_only_is_told_with_what_it_offers() {
    let server = TestServer::start(0, Offer::secured(&certs::good())).await;
    let mut driver = Driver::start(config(server.url(), &[&ours("Tank.Level")]));
    let why = driver.until_down().await;
    assert!(why.contains("Basic256Sha256 SignAndEncrypt"), "{why}");
    assert!(driver.stop().await < PROMPT);
}

/// How soon a driver has to end.
const PROMPT: std::time::Duration = std::time::Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_stop_ends_it_within_a_second_and_closes_the_session_whatever_the_link_does() {
    let server = level_server().await;
    let mut up = Driver::start(config(server.url(), &[&ours("Tank.Level")]));
    up.until_up().await;
    assert_eq!(server.n_sessions(), 1);
    assert!(up.stop().await < PROMPT);
    within("the session's end", || async { (server.n_sessions() == 0).then_some(()) }).await;

    let proxy = Proxy::to(server.port);
    let mut silent = Driver::start(config(proxy.url(), &[&ours("Tank.Level")]));
    silent.until_up().await;
    proxy.silence();
    assert!(silent.stop().await < PROMPT);

    let nobody = format!("opc.tcp://127.0.0.1:{}", free_port());
    let mut unreachable = Driver::start(config(nobody, &[&ours("Tank.Level")]));
    let why = unreachable.until_down().await;
    assert!(why.contains("check that the OPC UA server runs"), "{why}");
    assert!(unreachable.stop().await < PROMPT);
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_an_address_that_is_none_ends_the_driver_with_a_reason() {
    let (sender, _receiver) =
        riskgate_drivers::intake::channel(16, |_| riskgate_drivers::intake::Lane::Process);
    let server = config("http://plant".to_owned(), &[]);
    let ended = riskgate_drivers::opcua::run(&server, &sender, plant::clock, &Default::default()).await;
    let why = ended.map_err(|error| error.to_string());
    assert_eq!(
        why,
        Err("'http://plant' is no address of an OPC UA server; write opc.tcp://host:port/path".to_owned())
    );
}

#[test]
fn opcua_the_source_names_no_service_that_changes_anything_at_a_server() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/opcua");
    let mut n_files = 0;
    for entry in std::fs::read_dir(folder).expect("our source") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a text");
        n_files += 1;
        for word in [
            ".write(",
            "services::Write",
            "WriteRequest",
            ".call(",
            "services::Call",
            "CallRequest",
            "history_update",
            "HistoryUpdate",
            "add_nodes",
            "delete_nodes",
            "add_references",
            "delete_references",
        ] {
            assert!(!text.contains(word), "{word} in {}", path.display());
        }
        // The one Call that there is.
        let is_refresh = path.file_name().is_some_and(|name| name == "refresh.rs");
        for word in ["call_one", "CallMethod", "MethodId"] {
            let n_found = text.matches(word).count();
            assert!(n_found == 0 || is_refresh, "{word} in {}", path.display());
        }
        if is_refresh {
            assert_eq!(text.matches("call_one(").count(), 1);
            assert_eq!(text.matches("MethodId::").count(), 1);
            assert!(text.contains("MethodId::ConditionType_ConditionRefresh)"));
        }
    }
    assert!(n_files >= 8, "the source is elsewhere: {n_files} files in {folder}");
}
