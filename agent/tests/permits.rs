//! What special work is permitted in each unit, upstream: the real binary, a real broker for the plant and one for the
//! platform.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that is not there is null, and fails the assertion"
)]

mod support;

use std::collections::BTreeMap;

use jiff::{Timestamp, tz};
use serde_json::{Value, json};

use support::gateway::Gateway;
use support::{Broker, Feed, Subscriber};

const GATEWAY: &str = r#"
[gateway]
company = "540170007"
id = "54017000701"
name = "试验网关"
"#;

const FEED: &str = r#"
[[source]]
id = "ptw"
name = "作业票系统"
kind = "mqtt"
host = "127.0.0.1"
port = @broker
stale_after = "10m"
[[source.permits]]
preset = "jt"
topic = "permit/+"
"#;

/// A feed of something else.
const FIXES: &str = r#"
[[source]]
id = "rtls"
name = "人员定位"
kind = "mqtt"
host = "127.0.0.1"
port = @broker
stale_after = "10m"
fixes = [{ topic = "rtls/fix", tag = "$.tag", zone = "$.zone" }]
"#;

const MODEL: &str = r#"
[[unit]]
id = "tank-a"
name = "罐区A"
hazard_code = "540170007001"
base_class = "yellow"
liable_person = "王强"
[[zone]]
id = "dike"
name = "防火堤内"
unit = "tank-a"
"#;

const SECOND: &str = r#"
[[unit]]
id = "tank-b"
name = "罐区B"
hazard_code = "540170007002"
base_class = "yellow"
liable_person = "王强"
"#;

/// The system of permits.
struct Tickets(Feed);

impl Tickets {
    /// Retained, as they stand.
    async fn tell(&self, number: &str, stage: u8, place: Option<&str>, hours: i64) {
        let stamp = |hours: i64| {
            let at = riskgate::clock::now().wall.0 + hours * 3_600_000;
            let at = Timestamp::from_millisecond(at).expect("a time");
            at.to_zoned_datetime(tz::TimeZone::fixed(tz::offset(8))).strftime("%Y%m%d%H%M%S").to_string()
        };
        let ticket = json!({
            "zyzbh": number, "zylx": 1, "dhzyjb": 2, "dqzt": stage, "fssstid": place, "jhr": "zhao",
            "zysskssj": stamp(-4), "zyssjssj": stamp(hours),
        });
        self.0.tell(&format!("permit/{number}"), &ticket, true).await;
    }
}

/// What was told last of each unit; null where it was cleared.
struct Units {
    subscriber: Subscriber,
    newest: BTreeMap<String, Value>,
}

impl Units {
    async fn connect(port: u16) -> Self {
        Self { subscriber: Subscriber::connect(port).await, newest: BTreeMap::new() }
    }

    /// The present of a unit once it is as it should be, whatever is told of others meanwhile.
    async fn told(&mut self, unit: &str, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(of) = self.newest.get(unit)
                && holds(of)
            {
                return of.clone();
            }
            let (topic, body) = self.subscriber.next().await;
            if let Some(unit) = topic.strip_prefix("permit/") {
                self.newest.insert(unit.to_owned(), body["data"].clone());
            }
        }
    }
}

fn status<'a>(of: &'a Value, number: &str) -> &'a Value {
    let tickets = of["permits"].as_array().map(Vec::as_slice).unwrap_or_default();
    tickets
        .iter()
        .find(|ticket| ticket["ticketNum"] == number)
        .map_or(&Value::Null, |ticket| &ticket["status"])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_permits_of_a_unit_are_told_whole_and_retained_until_unit_or_feed_is_gone() {
    let (mut plant, upstream) = (Broker::start(), Broker::start());
    let feed = FEED.replace("@broker", &plant.port.to_string());
    let site = [GATEWAY, MODEL, &feed, SECOND].concat();
    let mut gateway = Gateway::new(upstream.port, &[("site.toml", &site)], "");
    let mut units = Units::connect(upstream.port).await;
    let tickets = Tickets(Feed::connect(plant.port));
    tickets.tell("DH-1", 2, Some("dike"), 4).await;
    tickets.tell("DH-2", 2, Some("tank-b"), -2).await;
    gateway.start();
    let one = units.told("tank-a", |of| of["known"] == true).await;
    assert_eq!((&one["count"], &one["leftOut"], &one["unplaced"]), (&json!(1), &json!(0), &json!(0)));
    let ticket = &one["permits"][0];
    for (name, is) in [
        ("ticketNum", json!("DH-1")),
        ("kind", json!("hot_work")),
        ("ticketLevel", json!(2)),
        ("ticketPosition", json!("dike")),
        ("ticketStatus", json!(2)),
        ("status", json!("working")),
        ("inForce", json!(true)),
        ("guardianNamed", json!(true)),
    ] {
        assert_eq!(ticket[name], is, "{name}");
    }
    assert!(!one.to_string().contains("zhao"), "never who: {one}");
    // Its time is over for so long that it is told no more.
    units.told("tank-b", |of| of["known"] == true && of["count"] == 0).await;
    // Several in one unit, and one that says of no place.
    tickets.tell("DH-3", 1, Some("tank-a"), 4).await;
    tickets.tell("DH-4", 2, None, 4).await;
    tickets.tell("DH-1", 3, Some("dike"), 4).await;
    let as_it_is = |of: &Value| of["unplaced"] == 1 && of["count"] == 2 && status(of, "DH-1") == "closed";
    let three = units.told("tank-a", as_it_is).await;
    assert_eq!(status(&three, "DH-3"), "before");
    assert_eq!(three["permits"][0]["ticketNum"], "DH-3", "what is to come stands before what is over");
    // Who comes late has the whole.
    let mut late = Units::connect(upstream.port).await;
    assert_eq!(late.told("tank-a", |_| true).await, three);
    plant.kill();
    let lost = units.told("tank-a", |of| of["known"] == false).await;
    assert_eq!(status(&lost, "DH-3"), "before", "what was told last stands");
    // A unit that is gone, and then the feed, over a restart.
    std::fs::write(gateway.config().join("site.toml"), [GATEWAY, MODEL, &feed].concat()).expect("written");
    gateway.tell(&["reload"]);
    units.told("tank-b", Value::is_null).await;
    gateway.kill();
    let fixes = FIXES.replace("@broker", &plant.port.to_string());
    std::fs::write(gateway.config().join("site.toml"), [GATEWAY, MODEL, &fixes].concat()).expect("written");
    gateway.start();
    units.told("tank-a", Value::is_null).await;
}
