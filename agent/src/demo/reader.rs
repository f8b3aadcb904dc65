//! What the platform sees: a subscriber that knows topics and JSON and nothing of the agent's types.
//!
//! It keeps what a good consumer keeps: repeats are dropped by the message's `id`, of each object the
//! highest revision counts, a hole in a lane's sequence is told. [`Consumer`] is pure; [`run`] is its
//! connection. It does not know the scenario.

use std::collections::{BTreeMap, HashMap, HashSet};

use riskgate_drivers::Clock;
use riskgate_point::Now;
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
use serde_json::Value;
use tokio::sync::watch;

use super::broker::PAYLOAD_MAX;
use super::scenario::Item;
use super::screen::{Screen, Tone};

/// After the broker was lost.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_millis(200);

/// All that has come so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Received {
    /// The agent's own word in retained `state`.
    pub(super) online: bool,
    /// When each thing first came.
    pub(super) items: BTreeMap<Item<String>, Now>,
    /// What no sound sender would send: a broken envelope, a hole in a lane.
    pub(super) faults: Vec<String>,
    /// Messages that were taken, repeats apart.
    pub(super) messages: usize,
}

/// One line for the viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) tone: Tone,
    pub(super) zh: String,
    pub(super) en: String,
}

/// The pure half.
#[derive(Debug, Default)]
pub(super) struct Consumer {
    pub(super) received: Received,
    ids: HashSet<String>,
    revisions: HashMap<(String, String), u64>,
    /// By epoch and lane.
    sequences: HashMap<(String, String), u64>,
    /// Names of units, as their own messages say them.
    units: HashMap<String, String>,
}

impl Consumer {
    /// One message, `topic` below the gateway's root. What to tell the viewer, if it is news.
    pub(super) fn take(&mut self, topic: &str, payload: &[u8], at: Now) -> Option<Line> {
        if payload.is_empty() {
            return None;
        }
        let Ok(message) = serde_json::from_slice::<Value>(payload) else {
            self.fault(format!("{topic}: it is not JSON"));
            return None;
        };
        let (channel, below) = topic.split_once('/').unwrap_or((topic, ""));
        match channel {
            "state" => return self.state(&message),
            // Who is there, what was read, where people are and what they may do: no objects of the plant.
            "birth" | "telemetry" | "people" | "permit" => return None,
            _ => {}
        }
        // A task comes twice, by its unit and by its assignee: the second is no news.
        if !self.is_new(topic, &message) {
            return None;
        }
        let data = message.get("data").unwrap_or(&Value::Null);
        self.received.messages += 1;
        let unit = self.unit(below);
        match channel {
            "alarm" => Some(self.alarm(data, &unit, at)),
            "candidate" | "hazard" => Some(self.hazard(channel == "hazard", data, &unit, at)),
            "task" => Some(self.task(data, &unit, at)),
            "risk" => Some(self.risk(below, data, at)),
            "record" | "indicator" | "stop" => None,
            "gap" => {
                self.fault(format!("{topic}: the agent tells a gap: {data}"));
                None
            }
            _ => {
                self.fault(format!("{topic}: nobody said that there is such a topic"));
                None
            }
        }
    }

    fn fault(&mut self, fault: String) {
        self.received.faults.push(fault);
    }

    /// Checks the envelope; a repeat and an older revision are no news.
    fn is_new(&mut self, topic: &str, message: &Value) -> bool {
        let channel = topic.split('/').next().unwrap_or(topic);
        let wrong = wrong_in(message, matches!(channel, "risk" | "indicator"));
        if !wrong.is_empty() {
            self.fault(format!("{topic}: {}", wrong.join("; ")));
        }
        let object = message.pointer("/data/id").and_then(Value::as_str);
        let revision = message.pointer("/data/revision").and_then(Value::as_u64);
        let (Some(object), Some(revision)) = (object, revision) else { return false };
        if !self.ids.insert(text(message, &["id"]).to_owned()) {
            return false;
        }
        if let Some(sequence) = message.get("sequence").and_then(Value::as_u64) {
            self.check_order(text(message, &["epoch"]), text(message, &["lane"]), sequence);
        }
        let newest = self.revisions.entry((channel.to_owned(), object.to_owned())).or_insert(0);
        let is_newer = revision > *newest;
        *newest = revision.max(*newest);
        is_newer
    }

    fn check_order(&mut self, epoch: &str, lane: &str, sequence: u64) {
        let last = self.sequences.insert((epoch.to_owned(), lane.to_owned()), sequence).unwrap_or(0);
        if sequence != last + 1 {
            self.fault(format!("lane {lane}: message {sequence} came after {last}"));
        }
    }

    fn state(&mut self, message: &Value) -> Option<Line> {
        let status = message.pointer("/data/status").or_else(|| message.get("status"))?.as_str()?;
        let online = status == "online";
        if online == self.received.online {
            return None;
        }
        self.received.online = online;
        let word = match status {
            "online" => "在线",
            "stopped" => "已停止",
            _ => "离线",
        };
        Some(Line {
            tone: if online { Tone::Good } else { Tone::Attention },
            zh: format!("网关{word}"),
            en: format!("gateway {status}"),
        })
    }

    fn alarm(&mut self, data: &Value, unit: &str, at: Now) -> Line {
        let id = text(data, &["id"]);
        self.arrived(Item::Alarm(id.to_owned()), at);
        let (tone, zh, en) = match text(data, &["state"]) {
            "unacknowledged" => (Tone::Danger, "报警", "ALARM"),
            "acknowledged" => (Tone::Attention, "报警已确认", "alarm acknowledged"),
            "returned" => (Tone::Good, "报警恢复", "alarm returned to normal"),
            _ => (Tone::Good, "报警解除", "alarm over"),
        };
        let (priority_zh, priority_en) = priority(text(data, &["priority"]));
        self.line(tone, (zh, en), unit, &format!("{id} {priority_zh}"), &format!("{id} {priority_en}"), data)
    }

    fn hazard(&mut self, is_hazard: bool, data: &Value, unit: &str, at: Now) -> Line {
        let cause = text(data, &["cause"]).to_owned();
        let state = data.get("dangerState").and_then(Value::as_u64);
        let (tone, zh, en) = match (is_hazard, state) {
            (false, _) if text(data, &["stage"]) == "rejected" => {
                (Tone::Good, "待确认隐患已判误报", "candidate rejected")
            }
            (false, _) => (Tone::Attention, "待确认隐患", "CANDIDATE hazard, a person has to confirm"),
            (true, Some(1)) => (Tone::Good, "隐患待验收", "hazard awaits acceptance"),
            (true, Some(9)) => (Tone::Good, "隐患已验收", "hazard accepted"),
            (true, _) => (Tone::Danger, "隐患", "HAZARD"),
        };
        let again = data.get("repeats").and_then(Value::as_u64).unwrap_or(0);
        let measure = text(data, &["riskMeasureId"]);
        let mut note_zh = format!("管控措施{measure}失效");
        let mut note_en = format!("measure {measure} has failed");
        if data.get("returnedTime").is_some_and(|time| !time.is_null()) {
            note_zh.push_str("，数值已恢复，隐患仍未关闭");
            note_en.push_str(", the value is back to normal, the hazard stays open");
        }
        if again > 0 {
            note_zh.push_str(&format!("，重复{again}次"));
            note_en.push_str(&format!(", again {again} times"));
        }
        self.arrived(if is_hazard { Item::Hazard(cause) } else { Item::Candidate(cause) }, at);
        self.line(tone, (zh, en), unit, &note_zh, &note_en, data)
    }

    fn task(&mut self, data: &Value, unit: &str, at: Now) -> Line {
        let id = text(data, &["id"]).to_owned();
        let boosts = data.get("boosts").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let content = text(data, &["troubleshootContent"]);
        let assignee = text(data, &["assignee"]);
        if boosts.is_empty() {
            return Line {
                tone: Tone::Good,
                zh: format!("排查任务恢复原周期 · {unit} · {id} {content}"),
                en: format!("inspection back to its own cycle · {id}"),
            };
        }
        self.arrived(Item::Boost(id.clone()), at);
        let once = boosts.iter().any(|boost| boost.get("due").is_some_and(|due| !due.is_null()));
        let (zh, en) = if once {
            ("增加一次排查", "ONE MORE INSPECTION")
        } else {
            ("排查任务加密", "INSPECTION MORE OFTEN")
        };
        Line {
            tone: Tone::Attention,
            zh: format!("{zh} · {unit} · {id} {content}（{assignee}）"),
            en: format!("{en} · {id}, pushed to {assignee}"),
        }
    }

    fn risk(&mut self, unit: &str, data: &Value, at: Now) -> Line {
        let name = text(data, &["riskUnitName"]);
        if !name.is_empty() {
            self.units.insert(unit.to_owned(), name.to_owned());
        }
        let number = data.get("riskClass").and_then(Value::as_u64).unwrap_or(0);
        let (tone, zh, en) = colour(number);
        let raised = data.get("causes").and_then(Value::as_array).is_some_and(|causes| !causes.is_empty());
        if raised {
            self.arrived(Item::Colour(unit.to_owned(), en.to_owned()), at);
        }
        let name = self.unit(unit);
        Line {
            tone, zh: format!("单元风险 · {name} · {zh}"), en: format!("unit risk · {unit} is {en}")
        }
    }

    fn arrived(&mut self, item: Item<String>, at: Now) {
        self.received.items.entry(item).or_insert(at);
    }

    fn unit(&self, id: &str) -> String {
        match self.units.get(id) {
            Some(name) => format!("{name} {id}"),
            None if id == "_site" => "全站".to_owned(),
            None => id.to_owned(),
        }
    }

    fn line(
        &self,
        tone: Tone,
        (zh, en): (&str, &str),
        unit: &str,
        note_zh: &str,
        note_en: &str,
        data: &Value,
    ) -> Line {
        let words = |language: &str| data.pointer(&format!("/words/{language}")).and_then(Value::as_str);
        Line {
            tone,
            zh: format!("{zh} · {unit} · {}（{note_zh}）", words("zh").unwrap_or("?")),
            en: format!("{en} · {} ({note_en})", words("en").unwrap_or("?")),
        }
    }
}

/// What is wrong with an envelope. `loose`: it may stand outside the lanes, as a retained topic does that
/// is told anew on a connect; then it has no sequence.
fn wrong_in(message: &Value, loose: bool) -> Vec<&'static str> {
    let field = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or("");
    let (id, epoch) = (field("id"), field("epoch"));
    let sequence = message.get("sequence").and_then(Value::as_u64);
    let is_named = match sequence {
        Some(sequence) => id == format!("{epoch}/{}/{sequence}", field("lane")),
        None => loose && id.strip_prefix(epoch).is_some_and(|rest| rest.starts_with('/')),
    };
    let checks = [
        (field("specversion") == "1.0", "specversion is not 1.0"),
        (field("source").starts_with("riskgate/"), "source does not name the gateway"),
        (
            field("type").starts_with("riskgate.") && field("type").ends_with(".v1"),
            "type is not riskgate.….v1",
        ),
        (field("time").parse::<jiff::Timestamp>().is_ok(), "time is not RFC 3339"),
        (field("datacontenttype") == "application/json", "datacontenttype is not application/json"),
        (message.get("replayed").is_some_and(Value::is_boolean), "replayed is not told"),
        (!epoch.is_empty() && is_named, "id is not {epoch}/{lane}/{sequence}"),
        (message.pointer("/data/id").is_some_and(Value::is_string), "data has no id"),
        (message.pointer("/data/revision").is_some_and(Value::is_u64), "data has no revision"),
    ];
    checks.into_iter().filter(|(holds, _)| !holds).map(|(_, wrong)| wrong).collect()
}

/// The first of these fields that is a text.
fn text<'d>(data: &'d Value, names: &[&str]) -> &'d str {
    names.iter().find_map(|name| data.get(name).and_then(Value::as_str)).unwrap_or("")
}

fn priority(word: &str) -> (&'static str, &'static str) {
    match word {
        "critical" => ("紧急", "critical"),
        "high" => ("高", "high"),
        "medium" => ("中", "medium"),
        "low" => ("低", "low"),
        _ => ("?", "?"),
    }
}

/// The exchange standard's `riskClass`.
fn colour(number: u64) -> (Tone, &'static str, &'static str) {
    match number {
        1 => (Tone::Red, "红（重大风险）", "red"),
        2 => (Tone::Orange, "橙（较大风险）", "orange"),
        3 => (Tone::Yellow, "黄（一般风险）", "yellow"),
        4 => (Tone::Blue, "蓝（低风险）", "blue"),
        _ => (Tone::Plain, "?", "?"),
    }
}

/// Where to listen, and how to tell.
pub(super) struct Upstream {
    pub(super) port: u16,
    /// `riskgate/v1/{company}/{gateway}`
    pub(super) root: String,
    pub(super) clock: Clock,
    pub(super) screen: Screen,
    /// When the scenario began: lines carry the time since then.
    pub(super) began: watch::Receiver<Option<Now>>,
    pub(super) received: watch::Sender<Received>,
}

/// Listens and tells until it is dropped.
pub(super) async fn run(upstream: Upstream) {
    let mut options = MqttOptions::new("demo-reader", ("127.0.0.1", upstream.port));
    options.set_keep_alive(10).set_max_packet_size(PAYLOAD_MAX, PAYLOAD_MAX);
    let (client, mut events) = AsyncClient::builder(options).capacity(10).build();
    let mut consumer = Consumer::default();
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                // The channel is empty after a connect, and the loop that is polled drains it.
                let _asked = client.try_subscribe(format!("{}/#", upstream.root), QoS::AtLeastOnce);
            }
            Ok(Event::Incoming(Incoming::Publish(message))) => {
                let now = (upstream.clock)();
                let topic = String::from_utf8_lossy(&message.topic);
                let below = topic.strip_prefix(&upstream.root).unwrap_or(&topic).trim_start_matches('/');
                let line = consumer.take(below, &message.payload, now);
                upstream.received.send_replace(consumer.received.clone());
                if let Some(line) = line {
                    let began = *upstream.began.borrow();
                    let since = began.map(|began| now.mono.since(began.mono));
                    upstream.screen.timed(since, line.tone, &line.zh, &line.en);
                }
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(RETRY_AFTER).await,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// An envelope as the agent sends it.
    pub(in crate::demo) fn envelope(lane: &str, sequence: u64, kind: &str, data: &Value) -> Vec<u8> {
        let epoch = "6f9619ff-8b86-d011-b42d-00cf4fc964ff";
        json!({
            "specversion": "1.0",
            "id": format!("{epoch}/{lane}/{sequence}"),
            "source": "riskgate/540170007/54017000701",
            "type": format!("riskgate.{kind}.v1"),
            "time": "2026-11-23T13:50:00.123+08:00",
            "datacontenttype": "application/json",
            "sequence": sequence,
            "lane": lane,
            "epoch": epoch,
            "replayed": false,
            "data": data,
        })
        .to_string()
        .into_bytes()
    }

    fn alarm(revision: u64, state: &str) -> Value {
        json!({
            "id": "LT-101/H", "revision": revision, "state": state, "priority": "high",
            "words": { "zh": "T-101储罐液位高", "en": "T-101 level high" },
        })
    }

    fn take(consumer: &mut Consumer, topic: &str, payload: &[u8]) -> Option<Line> {
        consumer.take(topic, payload, Now::default())
    }

    #[test]
    fn an_alarm_is_told_once_in_both_languages() {
        let mut consumer = Consumer::default();
        let message = envelope("critical", 1, "alarm", &alarm(1, "unacknowledged"));
        let line = take(&mut consumer, "alarm/U-TA", &message).expect("news");
        assert_eq!(line.zh, "报警 · U-TA · T-101储罐液位高（LT-101/H 高）");
        assert_eq!(line.en, "ALARM · T-101 level high (LT-101/H high)");
        assert_eq!(take(&mut consumer, "alarm/U-TA", &message), None, "a repeat is no news");
        assert_eq!(consumer.received.faults, [""; 0]);
        assert_eq!(consumer.received.items.len(), 1);
    }

    #[test]
    fn an_older_revision_is_no_news() {
        let mut consumer = Consumer::default();
        take(&mut consumer, "alarm/U-TA", &envelope("critical", 1, "alarm", &alarm(2, "returned")));
        let late = envelope("critical", 2, "alarm", &alarm(1, "unacknowledged"));
        assert_eq!(take(&mut consumer, "alarm/U-TA", &late), None);
    }

    #[test]
    fn a_hole_in_a_lane_is_a_fault() {
        let mut consumer = Consumer::default();
        take(&mut consumer, "alarm/U-TA", &envelope("critical", 1, "alarm", &alarm(1, "unacknowledged")));
        take(&mut consumer, "alarm/U-TA", &envelope("critical", 3, "alarm", &alarm(2, "returned")));
        assert_eq!(consumer.received.faults, ["lane critical: message 3 came after 1"]);
    }

    #[test]
    fn a_broken_envelope_is_a_fault_that_names_each_field() {
        let mut consumer = Consumer::default();
        let mut broken: Value =
            serde_json::from_slice(&envelope("critical", 1, "alarm", &alarm(1, "normal"))).expect("JSON");
        broken["specversion"] = json!("0.3");
        broken["time"] = json!("yesterday");
        broken["id"] = json!("1");
        take(&mut consumer, "alarm/U-TA", broken.to_string().as_bytes());
        assert_eq!(
            consumer.received.faults,
            ["alarm/U-TA: specversion is not 1.0; time is not RFC 3339; id is not {epoch}/{lane}/{sequence}"]
        );
        take(&mut consumer, "alarm/U-TA", b"{");
        assert_eq!(consumer.received.faults.len(), 2);
    }

    #[test]
    fn a_retained_colour_told_anew_has_no_place_in_a_lane_and_an_alarm_must_have_one() {
        let mut consumer = Consumer::default();
        let mut again: Value = serde_json::from_slice(&envelope(
            "critical",
            1,
            "risk",
            &json!({ "id": "U-TA", "revision": 1, "riskClass": 2, "causes": [] }),
        ))
        .expect("JSON");
        let fields = again.as_object_mut().expect("an object");
        fields.remove("sequence");
        fields.remove("lane");
        let id = format!("{}/risk/U-TA/1", text(&again, &["epoch"]));
        again["id"] = json!(id);
        assert!(take(&mut consumer, "risk/U-TA", again.to_string().as_bytes()).is_some());
        assert_eq!(consumer.received.faults, [""; 0]);
        assert_eq!(take(&mut consumer, "alarm/U-TA", again.to_string().as_bytes()), None);
        assert_eq!(consumer.received.faults, ["alarm/U-TA: id is not {epoch}/{lane}/{sequence}"]);
    }

    #[test]
    fn candidates_and_hazards_of_one_cause_are_two_things() {
        let mut consumer = Consumer::default();
        let data = |revision| {
            json!({
                "id": "5c3c", "revision": revision, "cause": "limit:LT-101", "riskMeasureId": "M-TA-001",
                "words": { "zh": "液位高", "en": "level high" },
            })
        };
        take(&mut consumer, "candidate/U-TA", &envelope("critical", 1, "candidate", &data(1)));
        take(&mut consumer, "hazard/U-TA", &envelope("critical", 2, "hazard", &data(2)));
        let items: Vec<Item<String>> = consumer.received.items.keys().cloned().collect();
        assert_eq!(items, [Item::Candidate("limit:LT-101").owned(), Item::Hazard("limit:LT-101").owned()]);
    }

    #[test]
    fn a_boost_and_a_raised_unit_are_things_and_their_ends_are_not() {
        let mut consumer = Consumer::default();
        let boost = json!({ "id": "T-1", "revision": 1, "boosts": [{ "rule": "r", "cycle": 3600 }] });
        take(&mut consumer, "task/U-TA", &envelope("work", 1, "task", &boost));
        let again = take(&mut consumer, "task/by/zhang", &envelope("work", 2, "task", &boost));
        assert_eq!(again, None, "for the assignee it is the same news");
        let base =
            json!({ "id": "U-RX", "revision": 1, "riskClass": 2, "causes": [], "riskUnitName": "反应区" });
        let line = take(&mut consumer, "risk/U-RX", &envelope("critical", 1, "risk", &base)).expect("news");
        assert_eq!(line.zh, "单元风险 · 反应区 U-RX · 橙（较大风险）");
        let red = json!({ "id": "U-TA", "revision": 2, "riskClass": 1, "causes": [{ "rule": "r" }] });
        take(&mut consumer, "risk/U-TA", &envelope("critical", 2, "risk", &red));
        let items: Vec<Item<String>> = consumer.received.items.keys().cloned().collect();
        assert_eq!(items, [Item::Boost("T-1").owned(), Item::Colour("U-TA", "red").owned()]);
        assert_eq!(consumer.received.faults, [""; 0]);
    }
}
