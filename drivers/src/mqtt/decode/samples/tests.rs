//! Messages that list many points, as the exchange standards write them.

use std::sync::Arc;

use jiff::tz::TimeZone;
use riskgate_point::{Now, PointId, SourceId, UncertainReason, Value};
use serde_json::json;

use super::*;
use crate::mqtt::What;
use crate::mqtt::decode::{Decoded, Message, message};
use crate::mqtt::fields::{Kind, ListFields, Where};
use crate::mqtt::memory::Memory;
use crate::scaling::Scaling;

const LEVEL: &str = "540170007002G0001YW001";
const TEMPERATURE: &str = "540170007002G0001WD001";

fn at(text: &str) -> Where {
    Where::parse(text).unwrap()
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

/// As the risk-monitoring platforms have taken it since 2019.
fn quota() -> ListFields {
    ListFields {
        many: Some(path("$.report.datas[*]")),
        time: Some(at("message:$.report.collectTime")),
        connected: Some(at("$.report.isConnectDataSource")),
        replay: Some(path("$[?@.reportType == 'continues']")),
        ..ListFields::of(at("$.quotaId"), at("$.value"))
    }
}

fn row(point: u32) -> Reading {
    Reading { point: PointId(point), kind: Kind::Number, scaling: Scaling::IDENTITY, words: None }
}

fn hear(fields: ListFields, rows: &[(&str, u32)], json: &Json) -> Decoded {
    let mut list = List { fields: Arc::new(fields), rows: Default::default() };
    for (tag, point) in rows {
        list.rows.entry(Arc::from(*tag)).or_default().push(row(*point));
    }
    let payload = json.to_string();
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let heard = Message {
        source: SourceId(0),
        place: 0,
        topic: "plant/report",
        payload: payload.as_bytes(),
        received: Now::default(),
        retained: false,
        zone: &zone,
    };
    message(&What::List(list), &heard, &mut Memory::default())
}

/// Each sample as `point value quality time`, by point.
fn said(decoded: &Decoded) -> Vec<String> {
    let one = |report: &Report| {
        let Report::Sample(sample) = report else { panic!("{report:?}") };
        let value = sample.value.as_ref().map_or("-".to_owned(), Value::to_string);
        let time = sample.source_time.map_or("-".to_owned(), |time| time.0.to_string());
        let late = if sample.backfill { " late" } else { "" };
        format!("{} {value} {} {time}{late}", sample.point.0, sample.quality)
    };
    let mut said: Vec<String> = decoded.reports.iter().map(one).collect();
    said.sort();
    said
}

fn why(decoded: &Decoded) -> Vec<(&'static str, Option<&str>)> {
    decoded.skipped.iter().map(|skipped| (skipped.skip.word(), skipped.example.as_deref())).collect()
}

macro_rules! corpus {
    ($name:literal) => {
        serde_json::from_str::<Json>(include_str!(concat!("../../../../tests/corpus/mqtt_json/", $name)))
            .unwrap()
    };
}

#[test]
fn each_tag_of_a_list_finds_its_row_and_an_unknown_one_is_counted_by_name() {
    let decoded = hear(quota(), &[(LEVEL, 1), (TEMPERATURE, 2)], &corpus!("quota_report.json"));
    assert_eq!(said(&decoded), ["1 4.21 good 1793507445000", "2 31.5 good 1793507445000"]);
    let unknown = "'540170007002G0009YL001': no row of a point table has this address";
    assert_eq!(why(&decoded), [("unknown_tag", Some(unknown))]);
}

#[test]
fn two_rows_may_read_one_tag() {
    let decoded = hear(quota(), &[(LEVEL, 1), (LEVEL, 3)], &corpus!("quota_report.json"));
    assert_eq!(said(&decoded).len(), 2);
}

#[test]
fn what_is_sent_late_is_never_told_as_now() {
    let decoded = hear(quota(), &[(LEVEL, 1)], &corpus!("quota_replay.json"));
    assert_eq!(said(&decoded), ["1 9.99 good 1793503845000 late"]);
}

#[test]
fn a_sender_that_lost_its_devices_makes_all_its_points_bad() {
    let decoded = hear(quota(), &[(LEVEL, 1), (TEMPERATURE, 2)], &corpus!("quota_source_lost.json"));
    assert_eq!(said(&decoded), ["1 - bad comm_failure -", "2 - bad comm_failure -"]);
    assert_eq!(why(&decoded), []);
}

#[test]
fn a_message_that_does_not_say_whether_it_is_connected_vouches_for_nothing() {
    let mut report = corpus!("quota_report.json");
    report["report"].as_object_mut().unwrap().remove("isConnectDataSource");
    let decoded = hear(quota(), &[(LEVEL, 1)], &report);
    assert_eq!(said(&decoded), ["1 - bad config_error 1793507445000"]);
    assert!(why(&decoded).contains(&("missing_connected", None)));
}

#[test]
fn the_words_of_a_quality_may_be_the_feeds_own() {
    let rows = |qualities: &[(&str, Quality)]| {
        let fields = ListFields {
            many: Some(path("$.datas[*]")),
            quality: Some(at("$.pointStatus")),
            time: Some(at("$.dataTime")),
            qualities: qualities.iter().map(|(word, means)| ((*word).to_owned(), *means)).collect(),
            ..ListFields::of(at("$.pointCode"), at("$.pointValue"))
        };
        said(&hear(fields, &[("P-001", 1), ("P-002", 2)], &corpus!("point_rows.json")))
    };
    let uncertain = Quality::Uncertain(UncertainReason::Source);
    let named = [("00000000", Quality::Good), ("00000001", uncertain)];
    assert_eq!(rows(&named), ["1 0.12 good 1793507444000", "2 0 uncertain source 1793507444000"]);
    let bad = ["1 - bad device_failure 1793507444000", "2 - bad device_failure 1793507444000"];
    assert_eq!(rows(&[]), bad, "zero alone is not taken for good");
}

#[test]
fn an_element_without_tag_or_value_costs_the_others_nothing() {
    let fields = || ListFields { many: Some(path("$")), ..ListFields::of(at("$.t"), at("$.v")) };
    let json = json!([{ "v": 1 }, { "t": "a" }, { "t": "a", "v": null }, { "t": "b", "v": 2 }]);
    let decoded = hear(fields(), &[("a", 1), ("b", 2)], &json);
    assert_eq!(said(&decoded), ["1 - bad not_a_number -", "2 2 good -"]);
    let words: Vec<_> = why(&decoded).into_iter().map(|(word, _)| word).collect();
    assert_eq!(words, ["missing_tag", "missing_value", "unusable_value"]);
}
