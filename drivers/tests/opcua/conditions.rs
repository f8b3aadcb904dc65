//! The alarms that a server keeps: what is told of them, when all is told, and that nothing but a refresh is
//! ever asked for.

use opcua::types::{MethodId, NodeId, ObjectTypeId, StatusCode};
use riskgate_drivers::opcua::{Node, Password, Server, User};
use riskgate_point::{Link, Report};

use crate::alarms::{Alarm, Alarms};
use crate::plant::{Driver, Offer, PASSWORD, Proxy, TestServer, USER, config, ours, within};

/// A server with these alarms and one point.
async fn server(port: u16, alarms: &Alarms) -> TestServer {
    let server = TestServer::start(port, Offer { alarms: Some(alarms.clone()), ..Offer::default() }).await;
    server.add("Tank.Level", 40.0);
    server
}

/// A driver that listens to the Server object.
fn listening(url: String) -> Server {
    let notifiers = vec![Node::parse("i=2253").expect("a node")];
    Server { notifiers, ..config(url, &[&ours("Tank.Level")]) }
}

fn is_told(report: &Report) -> bool {
    matches!(report, Report::ConditionsTold { .. })
}

/// How a condition was last told, short.
fn last(seen: &[Report], name: &str) -> Option<String> {
    let conditions = seen
        .iter()
        .rev()
        .filter_map(|report| if let Report::Condition(condition) = report { Some(condition) } else { None });
    let word = |is: bool, word: &'static str| if is { word } else { "" };
    conditions.into_iter().find(|of| &*of.name == name).map(|of| {
        format!(
            "{} {}{}{}{}",
            of.origin,
            of.severity,
            word(of.active, " active"),
            word(!of.acknowledged, " unacknowledged"),
            word(of.suppressed, " suppressed"),
        )
    })
}

impl Driver {
    async fn until_all_told(&mut self) {
        self.until("that all is told", is_told).await;
    }

    /// What was told is lost, and then all is told: what stands of it is between the two.
    async fn until_lost_then_told(&mut self) {
        let is_lost = |report: &Report| matches!(report, Report::ConditionsLost { .. });
        let lost = |seen: &[Report]| seen.iter().position(is_lost);
        let after = |seen: &[Report]| lost(seen).and_then(|at| seen.get(at..)?.iter().position(is_told));
        self.until_all("that what was told is lost, and all told again", |seen| after(seen).is_some()).await;
        let n_lost = self.seen.iter().filter(|report| is_lost(report)).count();
        assert_eq!(n_lost, 1, "it is said once");
    }

    async fn until_condition(&mut self, name: &str, wanted: &str) {
        let what = format!("{name}: {wanted}");
        self.until_all(&what, |seen| last(seen, name).as_deref() == Some(wanted)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_each_change_of_an_alarm_is_told_and_what_stands_is_told_before_that_it_is_all() {
    let alarms = Alarms::default();
    alarms.put_silently(Alarm::new("LIA-1", "High"));
    let server = server(0, &alarms).await;
    let mut driver = Driver::start(listening(server.url()));
    driver.until_all_told().await;
    let all = driver.seen.iter().position(is_told).expect("it was seen");
    assert_eq!(last(&driver.seen[..all], "High").as_deref(), Some("LIA-1 500 active unacknowledged"));

    let alarm = || Alarm { severity: 900, ..Alarm::new("LIA-1", "HighHigh") };
    alarms.put(alarm());
    driver.until_condition("HighHigh", "LIA-1 900 active unacknowledged").await;
    alarms.put(Alarm { acknowledged: true, ..alarm() });
    driver.until_condition("HighHigh", "LIA-1 900 active").await;
    alarms.put(Alarm { acknowledged: true, shelved: true, ..alarm() });
    driver.until_condition("HighHigh", "LIA-1 900 active suppressed").await;
    alarms.put(Alarm { acknowledged: true, active: false, ..alarm() });
    driver.until_condition("HighHigh", "LIA-1 1").await;
    driver.until_number(0, 40.0).await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_repeated_event_an_earlier_branch_and_an_event_of_something_else_change_nothing() {
    let alarms = Alarms::default();
    let server = server(0, &alarms).await;
    let mut driver = Driver::start(listening(server.url()));
    driver.until_all_told().await;
    let alarm = Alarm::new("LIA-1", "High");
    alarms.put(alarm.clone());
    driver.until_condition("High", "LIA-1 500 active unacknowledged").await;
    driver.forget();
    alarms.repeat(&alarm);
    alarms.put(Alarm { branch: true, active: false, ..alarm.clone() });
    alarms.tell_of_something_else();
    // What comes after all of these comes alone.
    alarms.put(Alarm::new("LIA-2", "Low"));
    driver.until_condition("Low", "LIA-2 500 active unacknowledged").await;
    assert_eq!(last(&driver.seen, "High"), None);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_after_a_restart_of_the_server_an_alarm_that_is_gone_is_told_gone_before_that_it_is_all() {
    let alarms = Alarms::default();
    let mut server = server(0, &alarms).await;
    let port = server.port;
    let mut driver = Driver::start(listening(server.url()));
    driver.until_all_told().await;
    for round in 0..3 {
        let before = Alarm::new("LIA-1", "High");
        alarms.put(before.clone());
        driver.until_condition("High", "LIA-1 500 active unacknowledged").await;
        server.kill();
        driver.until_down().await;
        driver.forget();
        let is_gone = round % 2 == 0;
        alarms.put_silently(Alarm { active: !is_gone, acknowledged: is_gone, ..before });
        server = super::conditions::server(port, &alarms).await;
        driver.until_all_told().await;
        let all = driver.seen.iter().position(is_told).expect("it was seen");
        let wanted = if is_gone { "LIA-1 1" } else { "LIA-1 500 active unacknowledged" };
        assert_eq!(last(&driver.seen[..all], "High").as_deref(), Some(wanted));
        driver.until_number(0, 40.0).await;
        driver.forget();
    }
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_what_changed_while_the_link_was_cut_is_told_and_all_of_it_anew() {
    let alarms = Alarms::default();
    let server = server(0, &alarms).await;
    let proxy = Proxy::to(server.port);
    let mut driver = Driver::start(listening(proxy.url()));
    driver.until_all_told().await;
    let stands = Alarm::new("LIA-2", "Low");
    alarms.put(stands);
    driver.until_condition("Low", "LIA-2 500 active unacknowledged").await;
    for severity in [300, 400, 500] {
        let alarm = Alarm { severity, ..Alarm::new("LIA-1", "High") };
        proxy.refuse(true);
        proxy.cut();
        driver.until_down().await;
        driver.forget();
        alarms.put(alarm.clone());
        proxy.refuse(false);
        driver.until_all_told().await;
        let wanted = format!("LIA-1 {severity} active unacknowledged");
        driver.until_condition("High", &wanted).await;
        // That did not change, and whoever forgot it hears of it again.
        driver.until_condition("Low", "LIA-2 500 active unacknowledged").await;
        assert_eq!(server.n_sessions(), 1, "the session came back, no other was made");
    }
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_subscription_to_events_that_outlives_its_session_is_taken_over() {
    let alarms = Alarms::default();
    let offer =
        Offer { session_ms: 1500, users: vec![USER], alarms: Some(alarms.clone()), ..Offer::default() };
    let server = TestServer::start(0, offer).await;
    server.add("Tank.Level", 40.0);
    let proxy = Proxy::to(server.port);
    let user = User::Password { name: USER.to_owned(), password: Password::new(PASSWORD) };
    let mut driver = Driver::start(Server { user, ..listening(proxy.url()) });
    driver.until_all_told().await;
    proxy.refuse(true);
    proxy.cut();
    driver.until_down().await;
    driver.forget();
    alarms.put(Alarm::new("LIA-1", "High"));
    within("the session's end", || async { (server.n_sessions() == 0).then_some(()) }).await;
    assert_eq!(server.n_subscriptions(), 2, "of the point and of the events");
    proxy.refuse(false);
    driver.until_all_told().await;
    driver.until_condition("High", "LIA-1 500 active unacknowledged").await;
    alarms.put(Alarm { severity: 600, ..Alarm::new("LIA-1", "High") });
    driver.until_condition("High", "LIA-1 600 active unacknowledged").await;
    assert_eq!(server.n_subscriptions(), 2, "no other was made");
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_server_that_asks_for_a_refresh_gets_one_and_what_it_leaves_out_is_over() {
    let alarms = Alarms::default();
    let server = server(0, &alarms).await;
    let mut driver = Driver::start(listening(server.url()));
    driver.until_all_told().await;
    alarms.put(Alarm::new("LIA-1", "High"));
    driver.until_condition("High", "LIA-1 500 active unacknowledged").await;
    driver.forget();
    // It ends without an event.
    alarms.put_silently(Alarm { active: false, acknowledged: true, ..Alarm::new("LIA-1", "High") });
    alarms.require_refresh();
    driver.until_lost_then_told().await;
    driver.until_condition("High", "LIA-1 1").await;
    assert_eq!(alarms.calls().len(), 2);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_when_only_the_events_go_away_their_conditions_are_lost_and_told_again_and_the_points_live() {
    let alarms = Alarms::default();
    let offer = Offer { users: vec![USER], alarms: Some(alarms.clone()), ..Offer::default() };
    let server = TestServer::start(0, offer).await;
    server.add("Tank.Level", 40.0);
    let user = User::Password { name: USER.to_owned(), password: Password::new(PASSWORD) };
    let mut driver = Driver::start(Server { user, ..listening(server.url()) });
    driver.until_all_told().await;
    driver.until_up().await;
    for severity in [300, 400] {
        driver.forget();
        server.take_away(server.newest_subscription()).await;
        // Of this nobody hears.
        alarms.put(Alarm { severity, ..Alarm::new("LIA-1", "High") });
        driver.until_lost_then_told().await;
        assert_eq!(last(&driver.seen, "High"), Some(format!("LIA-1 {severity} active unacknowledged")));
        let is_down = |report: &Report| matches!(report, Report::Link { link: Link::Down { .. }, .. });
        assert!(!driver.seen.iter().any(is_down), "its values were cut off for it");
        assert_eq!(server.n_subscriptions(), 2);
    }
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_events_that_overflow_their_queue_leave_nothing_known_until_all_is_told_again() {
    let alarms = Alarms::default();
    let server = server(0, &alarms).await;
    let mut driver = Driver::start(listening(server.url()));
    driver.until_all_told().await;
    driver.forget();
    // It keeps ten events for an item. What came first is dropped, and is not active any more.
    let alarm = |name| Alarm::new("LIA-1", name);
    alarms.put_at_once(["A"].into_iter().chain(["B"; 11]).map(alarm));
    driver.until_lost_then_told().await;
    assert!(driver.skipped("events", "the server's queue was full") > 0);
    assert_eq!(last(&driver.seen, "A").as_deref(), Some("LIA-1 500 active unacknowledged"));
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_server_that_keeps_1500_alarms_and_tells_them_in_one_burst_is_told_whole() {
    const N_ALARMS: usize = 1500;
    let names: Vec<&'static str> =
        (0..N_ALARMS).map(|n| &*Box::leak(format!("A{n}").into_boxed_str())).collect();
    let alarms = Alarms::default();
    for name in &names {
        alarms.put_silently(Alarm::new("LIA-1", name));
    }
    let offer = Offer { alarms: Some(alarms.clone()), queue: 100_000, ..Offer::default() };
    let server = TestServer::start(0, offer).await;
    server.add("Tank.Level", 40.0);
    let mut driver = Driver::start(listening(server.url()));
    driver.until_all_told().await;
    driver.until_number(0, 40.0).await;
    let n_told = driver.seen.iter().filter(|report| matches!(report, Report::Condition(_))).count();
    assert!(n_told >= N_ALARMS, "{n_told}");
    for name in &names {
        assert_eq!(last(&driver.seen, name).as_deref(), Some("LIA-1 500 active unacknowledged"));
    }
    assert_eq!(alarms.calls().len(), 1, "it was told whole at the first time of asking");
    assert_eq!(driver.skipped("events", "the server's queue was full"), 0);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_server_that_refuses_its_conditions_costs_no_value_and_is_asked_again() {
    let alarms = Alarms::default();
    alarms.refuse(Some(StatusCode::BadUserAccessDenied));
    let server = server(0, &alarms).await;
    let mut driver = Driver::start(listening(server.url()));
    driver.until_up().await;
    driver.until_number(0, 40.0).await;
    alarms.put(Alarm::new("LIA-1", "High"));
    driver.until_condition("High", "LIA-1 500 active unacknowledged").await;
    assert!(!driver.seen.iter().any(is_told));
    alarms.refuse(None);
    driver.until_all_told().await;
    let is_down = |report: &Report| matches!(report, Report::Link { link: Link::Down { .. }, .. });
    assert!(!driver.seen.iter().any(is_down), "its values were cut off for it");
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_refresh_that_does_not_end_is_asked_for_again_and_until_then_not_all_is_told() {
    let alarms = Alarms::default();
    alarms.put_silently(Alarm::new("LIA-1", "High"));
    alarms.never_end(true);
    let server = server(0, &alarms).await;
    let mut driver = Driver::start(listening(server.url()));
    driver.until_condition("High", "LIA-1 500 active unacknowledged").await;
    driver.until_number(0, 40.0).await;
    assert!(!driver.seen.iter().any(is_told));
    alarms.never_end(false);
    driver.until_all_told().await;
    assert!(alarms.calls().len() > 1);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_server_that_drops_events_without_a_word_has_not_told_all() {
    const NAMES: [&str; 12] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"];
    let alarms = Alarms::default();
    for name in NAMES {
        alarms.put_silently(Alarm::new("LIA", name));
    }
    // It keeps ten events for an item, and tells of fourteen at once.
    let server = server(0, &alarms).await;
    let mut driver = Driver::start(listening(server.url()));
    driver.until_condition("L", "LIA 500 active unacknowledged").await;
    driver.until_number(0, 40.0).await;
    driver.until_all("another try", |_| alarms.calls().len() > 1).await;
    assert!(!driver.seen.iter().any(is_told));
    assert!(driver.skipped("events", "the server's queue was full") > 0);
    for name in NAMES.iter().take(8) {
        alarms.put_silently(Alarm { active: false, acknowledged: true, ..Alarm::new("LIA", name) });
    }
    driver.until_all_told().await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_node_that_gives_out_no_events_is_told_and_the_points_live() {
    let alarms = Alarms::default();
    let server = server(0, &alarms).await;
    let no_notifier = Node::parse("i=2258").expect("a node");
    let mut driver = Driver::start(Server { notifiers: vec![no_notifier], ..listening(server.url()) });
    driver.until_up().await;
    driver.until_number(0, 40.0).await;
    server.put("Tank.Level", 41.0);
    driver.until_number(0, 41.0).await;
    assert!(!driver.seen.iter().any(is_told));
    assert!(alarms.calls().is_empty(), "nothing is there to be refreshed");
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_a_server_may_have_alarms_and_no_points() {
    let alarms = Alarms::default();
    let server = server(0, &alarms).await;
    let mut driver = Driver::start(Server { points: Vec::new(), ..listening(server.url()) });
    driver.until_up().await;
    driver.until_all_told().await;
    alarms.put(Alarm::new("LIA-1", "High"));
    driver.until_condition("High", "LIA-1 500 active unacknowledged").await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_on_the_wire_the_only_method_that_is_called_is_condition_refresh() {
    let alarms = Alarms::default();
    alarms.put_silently(Alarm::new("LIA-1", "High"));
    let server = server(0, &alarms).await;
    let proxy = Proxy::to(server.port);
    let nodes = [ours("Tank.Level"), ours("Tank.Missing")];
    let points = config(String::new(), &[&nodes[0], &nodes[1]]).points;
    let mut driver = Driver::start(Server { points, ..listening(proxy.url()) });
    driver.until_all_told().await;
    driver.forget();
    alarms.put(Alarm { active: false, acknowledged: true, ..Alarm::new("LIA-1", "High") });
    alarms.require_refresh();
    driver.until_all_told().await;
    server.add("Tank.Missing", 7.0);
    driver.until_number(1, 7.0).await;
    driver.stop().await;

    proxy.requests.assert_nothing_but_reading();
    assert_eq!(proxy.requests.n_refreshes(), 2);
    let refresh =
        (NodeId::from(ObjectTypeId::ConditionType), NodeId::from(MethodId::ConditionType_ConditionRefresh));
    let answered: Vec<_> =
        alarms.calls().into_iter().map(|(object, method, n)| ((object, method), n)).collect();
    assert_eq!(answered, [(refresh.clone(), 1), (refresh, 1)]);
}
