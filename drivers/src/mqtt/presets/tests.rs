//! What each system's messages become, as it sends them.

use jiff::tz::TimeZone;
use riskgate_point::{Mono, Now, Report, Sighting, SourceId, Wall};
use serde_json::{Value as Json, json};

use crate::mqtt::decode::{Decoded, Message, Skipped, message};
use crate::mqtt::memory::Memory;
use crate::mqtt::{Renames, Shape, SightingFields, What, Where};

/// Messages from `tests/corpus/mqtt_json`.
macro_rules! corpus {
    ($name:literal) => {
        serde_json::from_str::<Json>(include_str!(concat!("../../../tests/corpus/mqtt_json/", $name)))
            .expect("the corpus is JSON")
    };
}

/// A feed of one subscription, which remembers.
struct Feed {
    what: What,
    topic: &'static str,
    memory: Memory,
}

impl Feed {
    fn of(fields: SightingFields, topic: &'static str) -> Self {
        Self { what: What::Sightings(fields), topic, memory: Memory::default() }
    }

    fn hear_all(&mut self, second: u32, json: &Json, retained: bool) -> Decoded {
        let payload = json.to_string();
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let heard = Message {
            source: SourceId(1),
            place: 0,
            topic: self.topic,
            payload: payload.as_bytes(),
            received: Now { mono: Mono(u64::from(second) * 1_000_000_000), wall: Wall(0) },
            retained,
            zone: &zone,
        };
        message(&self.what, &heard, &mut self.memory)
    }

    /// What is told at this second: camera, kind and confidence.
    fn hear(&mut self, second: u32, json: &Json) -> Vec<String> {
        let decoded = self.hear_all(second, json, false);
        assert!(decoded.is_understood(), "{decoded:?}");
        sightings(&decoded)
            .iter()
            .map(|one| format!("{} {} {}", one.camera, one.kind, one.confidence))
            .collect()
    }

    fn skips(&mut self, json: &Json) -> Vec<&'static str> {
        self.hear_all(0, json, false).skipped.iter().map(|skipped| skipped.skip.word()).collect()
    }
}

fn sightings(decoded: &Decoded) -> Vec<Sighting> {
    let one = |report: &Report| {
        let Report::Sighting(sighting) = report else { panic!("{report:?}") };
        (**sighting).clone()
    };
    decoded.reports.iter().map(one).collect()
}

fn renames(pairs: &[(&str, &str)]) -> Renames {
    Renames::new(pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).into())).collect())
}

const NOTHING: [&str; 0] = [];

mod frigate {
    use super::*;

    fn feed(zones: &[&str]) -> Feed {
        let zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
        let cameras = renames(&[("tank_east", "CAM-07")]);
        Feed::of(
            SightingFields { cameras, ..SightingFields::shaped(Shape::Frigate { zones }) },
            "frigate/events",
        )
    }

    fn with(event: &Json, key: &str, value: &Json) -> Json {
        let mut changed = event.clone();
        changed["after"][key] = value.clone();
        changed
    }

    #[test]
    fn a_new_object_is_a_sighting_of_the_plants_camera_and_kind() {
        let decoded = feed(&[]).hear_all(0, &corpus!("frigate_new.json"), false);
        let [one] = sightings(&decoded).try_into().expect("one sighting");
        assert_eq!((&*one.camera, &*one.kind, one.confidence), ("CAM-07", "flame", 0.78125));
        assert_eq!(one.source_time, Some(Wall(1_793_507_445_250)));
        assert!(!one.backfill);
    }

    #[test]
    fn an_update_much_later_is_not_a_new_one_and_its_end_is_none() {
        let mut feed = feed(&[]);
        assert_eq!(feed.hear(0, &corpus!("frigate_new.json")), ["CAM-07 flame 0.78125"]);
        assert_eq!(feed.hear(100, &corpus!("frigate_update.json")), NOTHING);
        assert_eq!(feed.hear(101, &corpus!("frigate_update.json")), NOTHING);
        assert_eq!(feed.hear(130, &corpus!("frigate_end.json")), NOTHING);
    }

    #[test]
    fn an_object_that_is_still_there_is_seen_for_as_long_as_it_is_spoken_of() {
        let mut feed = feed(&[]);
        assert_eq!(feed.hear(0, &corpus!("frigate_new.json")).len(), 1);
        for second in [6, 12, 18, 78, 138] {
            assert_eq!(feed.hear(second, &corpus!("frigate_update.json")).len(), 1, "at {second} s");
        }
    }

    #[test]
    fn updates_that_follow_one_another_keep_it_seen() {
        let mut feed = feed(&[]);
        assert_eq!(feed.hear(0, &corpus!("frigate_new.json")).len(), 1);
        for second in [4, 8, 12] {
            assert_eq!(feed.hear(second, &corpus!("frigate_update.json")).len(), 1, "{second}");
        }
    }

    #[test]
    fn an_update_that_is_surer_is_told_or_a_rule_that_asks_for_more_would_miss_it() {
        let mut feed = feed(&[]);
        assert_eq!(feed.hear(0, &corpus!("frigate_new.json")).len(), 1);
        let surer = with(&corpus!("frigate_update.json"), "top_score", &json!(0.92));
        assert_eq!(feed.hear(20, &surer), ["CAM-07 flame 0.92"]);
    }

    #[test]
    fn an_object_that_becomes_another_is_told_as_that() {
        let mut feed = feed(&[]);
        assert_eq!(feed.hear(0, &with(&corpus!("frigate_new.json"), "label", &json!("person"))).len(), 1);
        assert_eq!(feed.hear(20, &corpus!("frigate_update.json")), ["CAM-07 flame 0.78125"]);
    }

    #[test]
    fn an_update_of_an_object_whose_beginning_was_not_heard_is_told() {
        assert_eq!(feed(&[]).hear(0, &corpus!("frigate_update.json")).len(), 1);
        assert_eq!(feed(&[]).hear(0, &corpus!("frigate_end.json")), NOTHING);
    }

    #[test]
    fn a_false_positive_is_none() {
        assert_eq!(feed(&[]).hear(0, &corpus!("frigate_false_positive.json")), NOTHING);
    }

    #[test]
    fn with_zones_an_object_counts_once_it_is_in_one() {
        let mut feed = feed(&["dike", "pump_row"]);
        let outside = with(&corpus!("frigate_new.json"), "current_zones", &json!(["road"]));
        assert_eq!(feed.hear(0, &outside), NOTHING);
        assert_eq!(feed.hear(60, &corpus!("frigate_update.json")).len(), 1);
    }

    #[test]
    fn what_is_no_event_of_frigate_is_counted() {
        assert_eq!(feed(&[]).skips(&json!({ "type": "new" })), ["missing_event"]);
        assert_eq!(feed(&[]).skips(&json!({ "type": "gone", "after": {} })), ["unusable_event"]);
        assert_eq!(feed(&[]).skips(&json!({ "type": "new", "after": {} })), ["missing_camera"]);
    }

    #[test]
    fn a_retained_event_is_backfill_and_does_not_hide_the_live_one() {
        let mut feed = feed(&[]);
        let kept = sightings(&feed.hear_all(0, &corpus!("frigate_new.json"), true));
        assert!(kept[0].backfill);
        assert_eq!(feed.hear(1, &corpus!("frigate_update.json")).len(), 1);
    }
}

mod onvif {
    use super::*;

    const INSIDE: &str = "acc8e00001/onvif-ej/RuleEngine/FieldDetector/ObjectsInside/&1/MyFieldDetector";

    fn feed(topic: &'static str, kinds: &[(&str, &str)]) -> Feed {
        let cameras = renames(&[("acc8e00001", "CAM-07")]);
        let kinds = renames(kinds);
        Feed::of(SightingFields { cameras, kinds, ..SightingFields::shaped(Shape::Onvif) }, topic)
    }

    fn with(event: &Json, key: &str, value: &Json) -> Json {
        let mut changed = event.clone();
        changed[key] = value.clone();
        changed
    }

    #[test]
    fn a_property_that_becomes_true_is_a_sighting_until_it_becomes_false() {
        let event = corpus!("onvif_changed.json");
        let mut feed = feed(INSIDE, &[]);
        assert_eq!(feed.hear(0, &event), ["CAM-07 intrusion 1"]);
        assert_eq!(feed.hear(0, &event), NOTHING, "a repeat within the second");
        assert_eq!(feed.hear(0, &with(&event, "Data", &json!({ "IsInside": false }))), NOTHING);
        assert_eq!(feed.hear(0, &event), ["CAM-07 intrusion 1"]);
        assert_eq!(feed.hear(0, &with(&event, "PropertyOperation", &json!("Deleted"))), NOTHING);
        assert_eq!(feed.hear(0, &event), ["CAM-07 intrusion 1"]);
    }

    #[test]
    fn a_property_as_it_stands_is_no_news() {
        let topic = "acc8e00001/onvif-ej/RuleEngine/CellMotionDetector/Motion";
        assert_eq!(feed(topic, &[]).hear(0, &corpus!("onvif_initialized.json")), NOTHING);
    }

    #[test]
    fn an_event_that_is_no_property_is_a_sighting() {
        let topic = "acc8e00001/onvif-ej/RuleEngine/LineDetector/Crossed/&1/Fence";
        let decoded = feed(topic, &[]).hear_all(0, &corpus!("onvif_crossed.json"), false);
        let [one] = sightings(&decoded).try_into().expect("one sighting");
        assert_eq!((&*one.kind, one.source_time), ("intrusion", Some(Wall(1_793_507_445_000))));
    }

    #[test]
    fn a_rule_that_the_operator_named_may_have_a_kind_of_its_own() {
        let topic = "acc8e00001/onvif-ej/tns1:RuleEngine/tns1:FieldDetector/tns1:ObjectsInside/&1";
        let event = corpus!("onvif_simple_items.json");
        assert_eq!(feed(topic, &[]).hear(0, &event), ["CAM-07 intrusion 1"], "as the standard names it");
        assert_eq!(feed(topic, &[("NoHelmet", "no_helmet")]).hear(0, &event), ["CAM-07 no_helmet 1"]);
        let by_event = [("RuleEngine/FieldDetector/ObjectsInside", "crowd")];
        assert_eq!(feed(topic, &by_event).hear(0, &event), ["CAM-07 crowd 1"]);
        assert_eq!(feed(topic, &[("NoHelmet", "")]).hear(0, &event), NOTHING, "not wanted");
    }

    #[test]
    fn two_rules_of_a_camera_are_two_events() {
        let event = corpus!("onvif_changed.json");
        let mut feed = feed(INSIDE, &[]);
        assert_eq!(feed.hear(0, &event).len(), 1);
        let other = with(&event, "Source", &json!({ "Rule": "Other" }));
        assert_eq!(feed.hear(0, &other).len(), 1);
    }

    #[test]
    fn what_is_no_event_of_onvif_is_counted() {
        assert_eq!(feed(INSIDE, &[]).skips(&json!({ "temperature": 3 })), ["missing_event"]);
        assert_eq!(feed("acc8e00001/other", &[]).skips(&corpus!("onvif_changed.json")), ["missing_event"]);
    }
}

mod hikvision {
    use super::*;

    fn feed(kinds: &[(&str, &str)]) -> Feed {
        let cameras = renames(&[("10.0.0.21/1", "CAM-07"), ("a1f2c3", "CAM-07")]);
        let kinds = renames(kinds);
        Feed::of(SightingFields { cameras, kinds, ..SightingFields::shaped(Shape::Hikvision) }, "hik/alert")
    }

    fn in_state(state: &str) -> Json {
        let mut alert = corpus!("hikvision_alert.json");
        alert["EventNotificationAlert"]["eventState"] = json!(state);
        alert
    }

    #[test]
    fn an_alert_names_its_recorder_and_channel() {
        let decoded = feed(&[]).hear_all(0, &corpus!("hikvision_alert.json"), false);
        let [one] = sightings(&decoded).try_into().expect("one sighting");
        assert_eq!((&*one.camera, &*one.kind), ("CAM-07", "intrusion"));
        assert_eq!(one.source_time, Some(Wall(1_793_507_445_000)));
    }

    #[test]
    fn an_alert_that_is_repeated_each_second_keeps_one_event_going() {
        let mut feed = feed(&[]);
        let handed = (0..10).filter(|second| feed.hear(*second, &in_state("active")).len() == 1).count();
        assert_eq!(handed, 10, "each keeps it seen");
        assert_eq!(feed.hear(9, &in_state("active")), NOTHING, "more of them in a second are not needed");
        assert_eq!(feed.hear(10, &in_state("inactive")), NOTHING);
        assert_eq!(feed.hear(10, &in_state("active")).len(), 1, "it was over");
    }

    #[test]
    fn a_heartbeat_is_no_sighting_and_shows_that_the_camera_lives() {
        let decoded = feed(&[]).hear_all(0, &corpus!("hikvision_heartbeat.json"), false);
        assert!(decoded.is_understood() && decoded.reports.is_empty());
    }

    #[test]
    fn the_platform_names_each_event_and_tells_it_once() {
        let mut feed = feed(&[("131330", "video_loss")]);
        let event = corpus!("hikvision_isecure.json");
        assert_eq!(feed.hear(0, &event), ["CAM-07 intrusion 1", "a1f2c4 video_loss 1"]);
        assert_eq!(feed.hear(60, &event), NOTHING, "pushed again until somebody settles it");
    }

    #[test]
    fn an_event_of_the_platform_stops_and_what_comes_after_it_is_not_told() {
        for (status, told) in [(0, 1), (1, 1), (3, 1), (2, 0), (4, 0), (5, 0)] {
            let mut event = corpus!("hikvision_isecure.json");
            event["params"]["events"][0]["status"] = json!(status);
            event["params"]["events"][1]["status"] = json!(2);
            assert_eq!(feed(&[]).hear(0, &event).len(), told, "status {status}");
        }
    }

    #[test]
    fn a_code_that_nobody_has_named_is_told_as_it_came_and_counted_where_others_are_named() {
        let decoded = feed(&[("131588", "intrusion")]).hear_all(0, &corpus!("hikvision_isecure.json"), false);
        assert_eq!(&*sightings(&decoded)[1].kind, "131330");
        let said = |skipped: &Skipped| (skipped.skip.word(), skipped.example.clone().unwrap_or_default());
        let said: Vec<_> = decoded.skipped.iter().map(said).collect();
        let camera = "'a1f2c4' is no camera of the plant and not in cameras: nothing asks for it";
        let kind = "'131330' is not in kinds; it is told as it came";
        assert_eq!(said, [("unknown_kind", kind.to_owned()), ("unknown_camera", camera.to_owned())]);
        assert_eq!(feed(&[]).skips(&corpus!("hikvision_isecure.json")), ["unknown_camera"]);
    }

    #[test]
    fn what_is_no_event_of_hikvision_is_counted() {
        assert_eq!(feed(&[]).skips(&json!({ "params": {} })), ["missing_event"]);
        assert_eq!(feed(&[]).skips(&json!({ "eventState": "active" })), ["missing_event"]);
        assert_eq!(feed(&[]).skips(&json!({ "eventType": "VMD" })), ["missing_camera"]);
    }
}

#[test]
fn a_zigbee_detector_is_a_camera_of_one_kind_named_by_its_topic() {
    let state = Some(Where::parse("$.smoke").unwrap());
    let fields = SightingFields {
        state,
        ..SightingFields::of(Where::parse("topic:2").unwrap(), Where::parse("=smoke").unwrap())
    };
    let mut feed = Feed::of(fields, "zigbee2mqtt/store-room");
    assert_eq!(feed.hear(0, &corpus!("zigbee_smoke.json")), ["store-room smoke 1"]);
    assert_eq!(feed.hear(1, &json!({ "smoke": false })), NOTHING);
    assert_eq!(feed.skips(&json!({ "battery": 3 })), ["missing_state"]);
}
