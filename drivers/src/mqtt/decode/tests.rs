use proptest::prelude::*;
use riskgate_point::PointId;
use serde_json::json;

use super::*;
use crate::scaling::{EnumWords, Scaling};

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn origin() -> Origin {
    Origin { source: SourceId(2), received: Now::default(), retained: false }
}

fn point(kind: Kind) -> Point {
    Point {
        point: PointId(5),
        kind,
        value: path("$.v"),
        quality: None,
        time: None,
        scaling: Scaling::IDENTITY,
        words: None,
    }
}

fn decode(what: &What, json: &Json) -> Decoded {
    message(what, json.to_string().as_bytes(), origin())
}

fn sample(point: Point, json: &Json) -> Sample {
    let decoded = decode(&What::Points(vec![point]), json);
    match decoded.reports.as_slice() {
        [Report::Sample(sample)] => sample.clone(),
        other => panic!("{other:?} of {json}"),
    }
}

/// Of a point at `$.v`.
fn check(kind: Kind, json: &Json, value: Option<Value>, quality: Quality) {
    let sample = sample(point(kind), &json!({ "v": json }));
    assert_eq!((sample.value, sample.quality), (value, quality), "{kind:?} of {json}");
}

const NOT_A_NUMBER: Quality = Quality::Bad(BadReason::NotANumber);
const CONFIG_ERROR: Quality = Quality::Bad(BadReason::ConfigError);

#[test]
fn a_number_may_come_as_a_text() {
    for written in [json!(21.5), json!("21.5"), json!(" 21.5 "), json!("2.15e1")] {
        check(Kind::Number, &written, Value::float(21.5), Quality::Good);
    }
    check(Kind::Number, &json!(-3), Value::float(-3.0), Quality::Good);
}

#[test]
fn what_is_no_number_is_bad_and_never_a_value() {
    for written in
        [json!(null), json!("ERR"), json!("----"), json!(""), json!("NaN"), json!("inf"), json!("1,5")]
    {
        check(Kind::Number, &written, None, NOT_A_NUMBER);
    }
    for written in [json!(true), json!([1]), json!({ "v": 1 })] {
        check(Kind::Number, &written, None, CONFIG_ERROR);
    }
}

#[test]
fn a_boolean_may_come_as_a_number_or_a_word() {
    for written in [json!(true), json!(1), json!("1"), json!("true"), json!("ON"), json!(2)] {
        check(Kind::Bool, &written, Some(Value::Bool(true)), Quality::Good);
    }
    for written in [json!(false), json!(0), json!("0"), json!("False"), json!("off")] {
        check(Kind::Bool, &written, Some(Value::Bool(false)), Quality::Good);
    }
    for written in [json!("maybe"), json!("NaN"), json!([])] {
        check(Kind::Bool, &written, None, CONFIG_ERROR);
    }
    check(Kind::Bool, &json!(null), None, NOT_A_NUMBER);
}

#[test]
fn a_text_point_takes_any_text_but_none_without_end() {
    check(Kind::Text, &json!("泵运行"), Some(Value::text("泵运行")), Quality::Good);
    check(Kind::Text, &json!(7), Some(Value::text("7")), Quality::Good);
    check(Kind::Text, &json!("x".repeat(TEXT_BYTES_MAX + 1)), None, CONFIG_ERROR);
}

#[test]
fn a_code_or_the_word_itself_becomes_the_word() {
    let words: EnumWords = Arc::from([(0, Arc::from("停止")), (1, Arc::from("运行"))]);
    for written in [json!(1), json!("1"), json!(true), json!("运行"), json!(1.0)] {
        let point = Point { words: Some(Arc::clone(&words)), ..point(Kind::Number) };
        let sample = sample(point, &json!({ "v": written }));
        assert_eq!((sample.value, sample.quality), (Some(Value::text("运行")), Quality::Good), "{written}");
    }
    for written in [json!(2), json!("检修"), json!(0.5), json!([])] {
        let point = Point { words: Some(Arc::clone(&words)), ..point(Kind::Number) };
        assert_eq!(sample(point, &json!({ "v": written })).quality, CONFIG_ERROR, "{written}");
    }
}

#[test]
fn a_reading_is_scaled_and_clamped_and_keeps_its_own_mark() {
    let scaling = Scaling { scale: 10.0, offset: 1.0, range: Some((0.0, 100.0)), ..Scaling::IDENTITY };
    let point = Point { scaling, quality: Some(path("$.q")), ..point(Kind::Number) };
    let read = |json| {
        let sample = sample(point.clone(), &json);
        (sample.value, sample.quality)
    };
    assert_eq!(read(json!({ "v": 5, "q": true })), (Value::float(51.0), Quality::Good));
    let over = Quality::Uncertain(UncertainReason::OverRange);
    assert_eq!(read(json!({ "v": 50, "q": true })), (Value::float(100.0), over));
    let said = Quality::Uncertain(UncertainReason::Source);
    assert_eq!(read(json!({ "v": 5, "q": "uncertain" })), (Value::float(51.0), said));
}

#[test]
fn the_quality_that_the_feed_gives_is_believed() {
    let point = Point { quality: Some(path("$.q")), ..point(Kind::Number) };
    let read = |quality: &Json| sample(point.clone(), &json!({ "v": 1, "q": quality }));
    for good in
        [json!(true), json!("good"), json!("GOOD"), json!("Good"), json!("ok"), json!(192), json!("192")]
    {
        assert_eq!(read(&good).quality, Quality::Good, "{good}");
    }
    for uncertain in [json!("Uncertain"), json!(64), json!(0x4000_0000_u32)] {
        assert_eq!(read(&uncertain).quality, Quality::Uncertain(UncertainReason::Source), "{uncertain}");
    }
    for bad in [
        json!(false),
        json!("bad"),
        json!(0),
        json!(24),
        json!(500),
        json!(0x8000_0000_u32),
        json!("comm fail"),
        json!(null),
    ] {
        let sample = read(&bad);
        assert_eq!((sample.value, sample.quality), (None, Quality::Bad(BadReason::DeviceFailure)), "{bad}");
    }
}

#[test]
fn a_value_whose_quality_is_missing_is_bad_and_counted() {
    let point = Point { quality: Some(path("$.q")), ..point(Kind::Number) };
    let decoded = decode(&What::Points(vec![point]), &json!({ "v": 1 }));
    assert_eq!(decoded.skipped, [Skip::Missing(Field::Quality)]);
    let expect = Sample::bad(PointId(5), BadReason::ConfigError, Now::default());
    assert_eq!(decoded.reports, [Report::Sample(expect)]);
}

#[test]
fn a_message_without_the_point_says_nothing_of_it() {
    let decoded = decode(&What::Points(vec![point(Kind::Number)]), &json!({ "w": 1 }));
    assert_eq!(decoded, Decoded { reports: Vec::new(), skipped: vec![Skip::Missing(Field::Value)] });
    assert!(!decoded.is_understood());
}

#[test]
fn an_unusable_time_leaves_the_value() {
    let timed = Point { time: Some(path("$.t")), ..point(Kind::Number) };
    let with = sample(timed.clone(), &json!({ "v": 1, "t": "20261101123045" }));
    assert_eq!(with.source_time, Some(Wall(1_793_507_445_000)));
    let decoded = decode(&What::Points(vec![timed]), &json!({ "v": 1, "t": "soon" }));
    assert_eq!(decoded.skipped, [Skip::Unusable(Field::Time)]);
    assert_eq!(decoded.reports.len(), 1);
}

#[test]
fn a_retained_message_is_backfill() {
    let payload = json!({ "v": 1 }).to_string();
    let retained = Origin { retained: true, ..origin() };
    let decoded = message(&What::Points(vec![point(Kind::Number)]), payload.as_bytes(), retained);
    assert!(matches!(decoded.reports.as_slice(), [Report::Sample(sample)] if sample.backfill));
}

#[test]
fn what_is_no_json_yields_nothing_but_a_count() {
    for payload in [&b"{\"v\": 1"[..], b"", b"{\"v\": NaN}", b"\xFF\xFE", b"{\"v\": 1e999}"] {
        let decoded = message(&What::Points(vec![point(Kind::Number)]), payload, origin());
        assert_eq!(decoded, Decoded { reports: Vec::new(), skipped: vec![Skip::NotJson] });
    }
}

fn location() -> FixFields {
    FixFields {
        many: Some(path("$.Location[*]")),
        tag: path("$.tagId"),
        person: Some(path("$.userId")),
        role: None,
        zone: Some(path("$.areaId")),
        sos: Some(path("$.sos")),
        time: Some(path("$.locationTime")),
    }
}

fn fixes(json: &Json) -> (Vec<Fix>, Vec<Skip>) {
    let decoded = decode(&What::Fixes(location()), json);
    let fix = |report: Report| if let Report::Fix(fix) = report { fix } else { panic!("{report:?}") };
    let fixes = decoded.reports.into_iter().map(fix);
    (fixes.collect(), decoded.skipped)
}

#[test]
fn many_fixes_in_one_message_are_told_apart() {
    let time = "2026-11-01 12:30:45";
    let (fixes, skipped) = fixes(&json!({ "Location": [
        { "tagId": 1001, "userId": "U1", "areaId": "tank-a", "sos": 1, "locationTime": time },
        { "tagId": "1002", "userId": null, "areaId": "", "sos": false, "locationTime": time },
        { "tagId": "1003", "userId": "", "areaId": null, "locationTime": time },
    ] }));
    assert_eq!(skipped, []);
    let expect = |tag: &str, person: Option<&str>, zone: Option<&str>, sos| Fix {
        source: SourceId(2),
        tag: Arc::from(tag),
        person: person.map(Arc::from),
        role: None,
        zone: zone.map(Arc::from),
        sos,
        source_time: Some(Wall(1_793_507_445_000)),
        received: Now::default(),
        backfill: false,
    };
    let expected = [
        expect("1001", Some("U1"), Some("tank-a"), true),
        expect("1002", None, None, false),
        expect("1003", None, None, false),
    ];
    assert_eq!(fixes, expected);
}

#[test]
fn a_fix_that_does_not_speak_of_zones_moves_nobody() {
    let (fixes, skipped) = fixes(&json!({ "Location": [
        { "tagId": "1001", "userId": "U1", "locationTime": 1_793_507_445 },
        { "tagId": "1002", "userId": "U2", "areaId": ["a"], "locationTime": 1_793_507_445 },
        { "userId": "U3", "areaId": "tank-a", "locationTime": 1_793_507_445 },
    ] }));
    assert_eq!(fixes, []);
    assert_eq!(skipped, [Skip::Missing(Field::Zone), Skip::Unusable(Field::Zone), Skip::Missing(Field::Tag)]);
}

#[test]
fn an_empty_list_is_understood_and_a_missing_one_is_not() {
    for (many, json, understood) in [
        ("$.Location[*]", json!({ "Location": [] }), true),
        ("$.Location", json!({ "Location": [] }), true),
        ("$.Location[*]", json!({ "location": [] }), false),
        ("$.Location", json!({}), false),
        ("$[*]", json!([]), true),
        ("$[*]", json!(1), false),
    ] {
        let fields = FixFields { many: Some(path(many)), ..location() };
        let decoded = decode(&What::Fixes(fields), &json);
        assert_eq!(decoded.is_understood(), understood, "{many} in {json}");
        assert!(decoded.reports.is_empty());
    }
}

#[test]
fn a_list_is_found_by_its_name_or_by_its_elements() {
    let json = json!({ "Location": [{ "tagId": 1, "areaId": "a" }, { "tagId": 2, "areaId": "a" }] });
    for many in ["$.Location", "$.Location[*]", "$..Location"] {
        let fields = FixFields { many: Some(path(many)), person: None, sos: None, time: None, ..location() };
        let decoded = decode(&What::Fixes(fields), &json);
        assert_eq!((decoded.reports.len(), decoded.skipped), (2, Vec::new()), "{many}");
    }
}

fn camera() -> SightingFields {
    SightingFields {
        many: None,
        camera: path("$.camera"),
        kind: path("$.type"),
        confidence: Some(path("$.score")),
        time: None,
    }
}

fn sighting(json: &Json) -> (Sighting, Vec<Skip>) {
    let decoded = decode(&What::Sightings(camera()), json);
    match decoded.reports.as_slice() {
        [Report::Sighting(sighting)] => (sighting.clone(), decoded.skipped),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_confidence_in_percent_is_a_share() {
    for (score, expect) in [
        (json!(0.87), 0.87),
        (json!(87), 0.87),
        (json!("87"), 0.87),
        (json!(1), 1.0),
        (json!(100), 1.0),
        (json!(0), 0.0),
    ] {
        let (sighting, skipped) = sighting(&json!({ "camera": "C1", "type": "smoke", "score": score }));
        assert!((sighting.confidence - expect).abs() < 1e-12, "{score}");
        assert_eq!((&*sighting.camera, &*sighting.kind), ("C1", "smoke"));
        assert_eq!(skipped, []);
    }
}

#[test]
fn a_sighting_is_not_lost_for_its_confidence() {
    for (score, skip) in [
        (json!({ "camera": "C1", "type": "smoke" }), Skip::Missing(Field::Confidence)),
        (json!({ "camera": "C1", "type": "smoke", "score": 250 }), Skip::Unusable(Field::Confidence)),
        (json!({ "camera": "C1", "type": "smoke", "score": -1 }), Skip::Unusable(Field::Confidence)),
        (json!({ "camera": "C1", "type": "smoke", "score": "NaN" }), Skip::Unusable(Field::Confidence)),
    ] {
        let (sighting, skipped) = sighting(&score);
        assert!((sighting.confidence - 1.0).abs() < f64::EPSILON);
        assert_eq!(skipped, [skip]);
    }
}

#[test]
fn a_sighting_without_camera_or_kind_is_counted() {
    for (json, skip) in [
        (json!({ "type": "smoke" }), Skip::Missing(Field::Camera)),
        (json!({ "camera": "C1", "type": null }), Skip::Missing(Field::Kind)),
        (json!({ "camera": "C1", "type": { "a": 1 } }), Skip::Unusable(Field::Kind)),
    ] {
        let expect = Decoded { reports: Vec::new(), skipped: vec![skip] };
        assert_eq!(decode(&What::Sightings(camera()), &json), expect);
    }
}

#[test]
fn a_heartbeat_may_hold_anything() {
    let decoded = message(&What::Heartbeat, b"\x00 not json", origin());
    assert!(decoded.is_understood() && decoded.reports.is_empty());
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key =
            prop_oneof![Just("v"), Just("q"), Just("Location"), Just("tagId"), Just("areaId"), Just("score")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::hash_map(key.prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_message_makes_it_fall_and_no_value_stands_without_a_quality(json in any_json()) {
        let mut points: Vec<Point> = [Kind::Number, Kind::Bool, Kind::Text].map(point).into();
        points.push(Point { quality: Some(path("$.q")), ..point(Kind::Number) });
        for report in decode(&What::Points(points), &json).reports {
            if let Report::Sample(sample) = report {
                prop_assert_eq!(sample.value.is_none(), sample.quality.is_bad());
            }
        }
        decode(&What::Fixes(location()), &json);
        for report in decode(&What::Sightings(camera()), &json).reports {
            if let Report::Sighting(sighting) = report {
                prop_assert!((0.0..=1.0).contains(&sighting.confidence));
            }
        }
    }

    #[test]
    fn no_bytes_make_it_fall(payload in prop::collection::vec(any::<u8>(), 0..64)) {
        message(&What::Points(vec![point(Kind::Number)]), &payload, origin());
    }
}
