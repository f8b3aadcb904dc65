//! How many people are in each zone, upstream: the real binary, a real broker for the plant and one for the platform.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that is not there is null, and fails the assertion"
)]

mod support;

use serde_json::{Value, json};

use support::gateway::Gateway;
use support::{Broker, Feed, Subscriber};

const SITE: &str = r#"
[gateway]
company = "540170007"
id = "54017000701"
name = "试验网关"
[[source]]
id = "rtls"
name = "人员定位"
kind = "mqtt"
host = "127.0.0.1"
port = @broker
stale_after = "10m"
fixes = [{ topic = "rtls/fix", tag = "$.tag", person = "$.person", role = "$.role", zone = "$.zone" }]
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
limit = 3
[[zone]]
id = "pump room/1"
name = "泵房"
unit = "tank-a"
"#;

/// The location system.
struct Tags(Feed);

impl Tags {
    async fn fix(&self, tag: &str, person: &str, role: &str, zone: &str) {
        let fix = json!({ "tag": tag, "person": person, "role": role, "zone": zone });
        self.0.tell("rtls/fix", &fix, false).await;
    }
}

/// What is told of a zone as it is now.
async fn told(subscriber: &mut Subscriber, topic: &str, holds: impl Fn(&Value) -> bool) -> Value {
    subscriber.find(|at, body| at == topic && holds(&body["data"])).await["data"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn headcounts_are_told_on_change_by_role_and_as_unknown_while_the_feed_is_lost() {
    let (mut plant, mut upstream) = (Broker::start(), Broker::start());
    let site = SITE.replace("@broker", &plant.port.to_string());
    let mut gateway = Gateway::new(upstream.port, &[("site.toml", &site)], "");
    let mut subscriber = Subscriber::connect(upstream.port).await;
    gateway.start();
    let empty = told(&mut subscriber, "people/dike", |of| of["known"] == true).await;
    assert_eq!((&empty["count"], &empty["roles"], &empty["limit"]), (&json!(0), &json!([]), &json!(3)));
    let tags = Tags(Feed::connect(plant.port));
    tags.fix("t1", "li", "操作工", "dike").await;
    // A second tag of the same person, and somebody else.
    tags.fix("t2", "li", "操作工", "dike").await;
    tags.fix("t3", "zhang", "班长", "dike").await;
    tags.fix("t4", "wang", "操作工", "pump room/1").await;
    let two = told(&mut subscriber, "people/dike", |of| of["count"] == 2).await;
    let roles = json!([{ "role": "操作工", "count": 1 }, { "role": "班长", "count": 1 }]);
    assert_eq!((&two["roles"], &two["present"], &two["lost"]), (&roles, &json!(2), &json!(0)));
    assert!(!two.to_string().contains("zhang"), "never who: {two}");
    told(&mut subscriber, "people/pump room%2F1", |of| of["count"] == 1).await;
    plant.kill();
    let lost = told(&mut subscriber, "people/dike", |of| of["known"] == false).await;
    assert_eq!((&lost["count"], &lost["roles"]), (&Value::Null, &Value::Null));
    // Nothing of it is retained: on a new connection each zone is told anew.
    upstream.kill();
    upstream.up();
    let mut subscriber = Subscriber::connect(upstream.port).await;
    let again = told(&mut subscriber, "people/dike", |_| true).await;
    assert_eq!(again, lost);
    told(&mut subscriber, "people/pump room%2F1", |of| of["known"] == false).await;
}
