use proptest::prelude::*;
use riskgate_point::{BadReason, Fix, PointId, Quality, Sample, Sighting, Spot, UncertainReason, Value};
use serde_json::json;

use super::values::TEXT_BYTES_MAX;
use super::*;
use crate::mqtt::{FixFields, Kind, Point, Reading, Renames, SightingFields};
use crate::scaling::{EnumWords, Scaling};

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn at(text: &str) -> Where {
    Where::parse(text).unwrap()
}

fn beijing() -> TimeZone {
    TimeZone::get("Asia/Shanghai").unwrap()
}

fn point(kind: Kind) -> Point {
    let reading = Reading { point: PointId(5), kind, scaling: Scaling::IDENTITY, words: None };
    Point { reading, value: path("$.v"), quality: None, time: None }
}

fn decode_bytes(what: &What, payload: &[u8], retained: bool) -> Decoded {
    let message = Message {
        source: SourceId(2),
        place: 0,
        topic: "plant/CAM-7/alarm",
        payload,
        received: Now::default(),
        retained,
        zone: &beijing(),
    };
    super::message(what, &message, &mut Memory::default())
}

fn decode(what: &What, json: &Json) -> Decoded {
    decode_bytes(what, json.to_string().as_bytes(), false)
}

fn why(decoded: &Decoded) -> Vec<Skip> {
    decoded.skipped.iter().map(|skipped| skipped.skip).collect()
}

fn nothing_but(skip: Skip) -> Decoded {
    Decoded { reports: Vec::new(), skipped: vec![Skipped { skip, example: None }] }
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
        let mut point = point(Kind::Number);
        point.reading.words = Some(Arc::clone(&words));
        let sample = sample(point, &json!({ "v": written }));
        assert_eq!((sample.value, sample.quality), (Some(Value::text("运行")), Quality::Good), "{written}");
    }
    for written in [json!(2), json!("检修"), json!(0.5), json!([])] {
        let mut point = point(Kind::Number);
        point.reading.words = Some(Arc::clone(&words));
        assert_eq!(sample(point, &json!({ "v": written })).quality, CONFIG_ERROR, "{written}");
    }
}

#[test]
fn a_reading_is_scaled_and_clamped_and_keeps_its_own_mark() {
    let scaling = Scaling { scale: 10.0, offset: 1.0, range: Some((0.0, 100.0)), ..Scaling::IDENTITY };
    let mut point = Point { quality: Some(path("$.q")), ..point(Kind::Number) };
    point.reading.scaling = scaling;
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
    assert_eq!(why(&decoded), [Skip::Missing(Field::Quality)]);
    let expect = Sample::bad(PointId(5), BadReason::ConfigError, Now::default());
    assert_eq!(decoded.reports, [Report::Sample(expect)]);
}

#[test]
fn a_message_without_the_point_says_nothing_of_it() {
    let decoded = decode(&What::Points(vec![point(Kind::Number)]), &json!({ "w": 1 }));
    assert_eq!(decoded, nothing_but(Skip::Missing(Field::Value)));
    assert!(!decoded.is_understood());
}

#[test]
fn an_unusable_time_leaves_the_value() {
    let timed = Point { time: Some(path("$.t")), ..point(Kind::Number) };
    let with = sample(timed.clone(), &json!({ "v": 1, "t": "20261101123045" }));
    assert_eq!(with.source_time, Some(Wall(1_793_507_445_000)));
    let decoded = decode(&What::Points(vec![timed]), &json!({ "v": 1, "t": "soon" }));
    assert_eq!(why(&decoded), [Skip::Unusable(Field::Time)]);
    assert_eq!(decoded.reports.len(), 1);
}

#[test]
fn a_retained_message_is_backfill() {
    let payload = json!({ "v": 1 }).to_string();
    let decoded = decode_bytes(&What::Points(vec![point(Kind::Number)]), payload.as_bytes(), true);
    assert!(matches!(decoded.reports.as_slice(), [Report::Sample(sample)] if sample.backfill));
}

#[test]
fn what_is_no_json_is_counted_and_takes_the_last_value_away() {
    for payload in [&b"{\"v\": 1"[..], b"", b"{\"v\": NaN}", b"\xFF\xFE", b"{\"v\": 1e999}"] {
        let mut decoded = decode_bytes(&What::Points(vec![point(Kind::Number)]), payload, false);
        let reports = std::mem::take(&mut decoded.reports);
        let bad = Quality::Bad(BadReason::NotANumber);
        assert!(matches!(reports.as_slice(), [Report::Sample(sample)] if sample.quality == bad));
        assert_eq!(decoded, nothing_but(Skip::NotJson));
    }
}

fn location() -> FixFields {
    FixFields {
        many: Some(path("$.Location[*]")),
        person: Some(at("$.userId")),
        zone: Some(at("$.areaId")),
        sos: Some(at("$.sos")),
        x: Some(at("$.x")),
        y: Some(at("$.y")),
        time: Some(at("$.locationTime")),
        ..FixFields::of(at("$.tagId"))
    }
}

fn fixes(json: &Json) -> (Vec<Fix>, Vec<Skip>) {
    let decoded = decode(&What::Fixes(location()), json);
    let skipped = why(&decoded);
    let fix = |report: Report| if let Report::Fix(fix) = report { *fix } else { panic!("{report:?}") };
    (decoded.reports.into_iter().map(fix).collect(), skipped)
}

#[test]
fn a_fix_has_a_spot_where_both_coordinates_are_numbers() {
    let (fixes, skipped) = fixes(&json!({ "Location": [
        { "tagId": "1", "userId": "", "areaId": "a", "x": "12.5", "y": -3, "locationTime": null },
        { "tagId": "2", "userId": "", "areaId": "a", "x": 12.5, "y": null, "locationTime": null },
        { "tagId": "3", "userId": "", "areaId": "a", "x": 12.5, "y": "east", "locationTime": null },
    ] }));
    let spots: Vec<_> = fixes.into_iter().map(|fix| fix.spot).collect();
    assert_eq!(spots, [Some(Spot { x: 12.5, y: -3.0, floor: None }), None, None]);
    assert!(skipped.contains(&Skip::Unusable(Field::Y)), "{skipped:?}");
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
        spot: None,
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
fn a_fix_of_coordinates_tells_its_spot_and_without_all_of_it_moves_nobody() {
    let fields = FixFields {
        many: Some(path("$[*]")),
        x: Some(at("$.x")),
        y: Some(at("$.y")),
        floor: Some(at("$.layer")),
        ..FixFields::of(at("$.tagId"))
    };
    let decoded = decode(
        &What::Fixes(fields),
        &json!([
            { "tagId": "1", "x": "12.5", "y": -3, "layer": 2 },
            { "tagId": "2", "x": 12.5, "layer": 2 },
            { "tagId": "3", "x": "NaN", "y": 1, "layer": 2 },
            { "tagId": "4", "x": null, "y": null, "layer": 2 },
            { "tagId": "5", "x": 1, "y": 1 },
        ]),
    );
    let skipped = why(&decoded);
    let [Report::Fix(fix)] = decoded.reports.as_slice() else { panic!("{decoded:?}") };
    assert_eq!(fix.spot, Some(Spot { x: 12.5, y: -3.0, floor: Some(Arc::from("2")) }));
    assert_eq!(fix.zone, None);
    let expected = [
        Skip::Missing(Field::Y),
        Skip::Unusable(Field::X),
        Skip::Unusable(Field::X),
        Skip::Missing(Field::Floor),
    ];
    assert_eq!(skipped, expected);
}

#[test]
fn a_field_may_stand_in_the_topic_in_the_whole_message_or_nowhere() {
    let fields = SightingFields {
        many: Some(path("$.alarms[*]")),
        time: Some(at("message:$.sent")),
        ..SightingFields::of(at("topic:2"), at("=smoke"))
    };
    let decoded = decode(&What::Sightings(fields), &json!({ "sent": 1_793_507_445, "alarms": [{}] }));
    let [Report::Sighting(sighting)] = decoded.reports.as_slice() else { panic!("{decoded:?}") };
    assert_eq!((&*sighting.camera, &*sighting.kind), ("CAM-7", "smoke"));
    assert_eq!(sighting.source_time, Some(Wall(1_793_507_445_000)));
    let beyond = What::Sightings(SightingFields::of(at("topic:4"), at("=smoke")));
    assert_eq!(decode(&beyond, &json!({})), nothing_but(Skip::Missing(Field::Camera)));
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
    SightingFields { confidence: Some(at("$.score")), ..SightingFields::of(at("$.camera"), at("$.type")) }
}

fn sighting(json: &Json) -> (Sighting, Vec<Skip>) {
    let decoded = decode(&What::Sightings(camera()), json);
    match decoded.reports.as_slice() {
        [Report::Sighting(sighting)] => ((**sighting).clone(), why(&decoded)),
        other => panic!("{other:?}"),
    }
}

/// The confidence of a sighting whose score is written so, where `max` is certain.
fn confidence(max: f64, score: &Json) -> Result<f64, Skip> {
    let fields = SightingFields { confidence_max: max, ..camera() };
    let decoded =
        decode(&What::Sightings(fields), &json!({ "camera": "C1", "type": "smoke", "score": score }));
    match (decoded.reports.as_slice(), decoded.skipped.as_slice()) {
        ([Report::Sighting(sighting)], []) => Ok(sighting.confidence),
        ([], [skipped]) => Err(skipped.skip),
        _ => panic!("{decoded:?}"),
    }
}

#[test]
fn a_confidence_is_a_share_of_what_is_certain() {
    for (max, score, expect) in [
        (1.0, json!(0.87), 0.87),
        (1.0, json!("0.87"), 0.87),
        (1.0, json!(1), 1.0),
        (100.0, json!(87), 0.87),
        (100.0, json!("60"), 0.6),
        (100.0, json!(1), 0.01),
        (255.0, json!(51), 0.2),
        (1.0, json!(0), 0.0),
    ] {
        let read = confidence(max, &score).expect("a sighting");
        assert!((read - expect).abs() < 1e-12, "{score} of {max}: {read}");
    }
}

#[test]
fn a_confidence_on_another_scale_is_no_sighting_and_says_so() {
    for (max, score) in [(1.0, json!(60)), (1.0, json!(1.01)), (100.0, json!(101)), (1.0, json!(-0.1))] {
        assert_eq!(confidence(max, &score), Err(Skip::ConfidenceOutOfRange), "{score} of {max}");
    }
    assert_eq!(confidence(1.0, &json!("inf")), Err(Skip::ConfidenceOutOfRange));
}

#[test]
fn a_camera_that_does_not_say_how_sure_it_is_loses_no_sighting() {
    for (score, skip) in [
        (json!({ "camera": "C1", "type": "smoke" }), Skip::Missing(Field::Confidence)),
        (json!({ "camera": "C1", "type": "smoke", "score": null }), Skip::Unusable(Field::Confidence)),
        (json!({ "camera": "C1", "type": "smoke", "score": "NaN" }), Skip::Unusable(Field::Confidence)),
    ] {
        let (sighting, skipped) = sighting(&score);
        assert!((sighting.confidence - 1.0).abs() < f64::EPSILON);
        assert_eq!(skipped, [skip]);
    }
}

#[test]
fn names_of_the_feed_become_names_of_the_plant_and_others_stay() {
    let renames = |from: &str, to: &str| Renames::new([(from.to_owned(), Arc::from(to))].into());
    let fields = FixFields {
        role: Some(at("$.entityType")),
        roles: renames("visitor", "访客"),
        zones: renames("A01", "tank-a-dike"),
        ..location()
    };
    let json = json!({ "Location": [
        { "tagId": 1, "userId": "u", "areaId": "A01", "entityType": "visitor", "locationTime": 1_793_507_445 },
        { "tagId": 2, "userId": "u", "areaId": "A02", "entityType": "staff", "locationTime": 1_793_507_445 },
    ] });
    let read = decode(&What::Fixes(fields), &json).reports;
    let said = |report: &Report| {
        let Report::Fix(fix) = report else { panic!("{report:?}") };
        (fix.zone.clone().unwrap(), fix.role.clone().unwrap())
    };
    let said: Vec<_> = read.iter().map(said).collect();
    assert_eq!(said, [("tank-a-dike".into(), "访客".into()), ("A02".into(), "staff".into())]);
}

#[test]
fn an_event_that_names_itself_is_told_once() {
    let fields = SightingFields { id: Some(at("$.id")), ..camera() };
    let what = What::Sightings(fields);
    let mut memory = Memory::default();
    let mut hear = |second: u64, json: Json| {
        let payload = json.to_string();
        let now = Now::default().after(std::time::Duration::from_secs(second));
        let zone = beijing();
        let heard = Message {
            source: SourceId(2),
            place: 0,
            topic: "t",
            payload: payload.as_bytes(),
            received: now,
            retained: false,
            zone: &zone,
        };
        super::message(&what, &heard, &mut memory).reports.len()
    };
    let event = |id: u32| json!({ "camera": "C1", "type": "smoke", "score": 0.9, "id": id });
    assert_eq!((hear(0, event(1)), hear(60, event(1)), hear(60, event(2))), (1, 0, 1));
}

#[test]
fn the_mark_that_systems_of_windows_write_first_is_no_fault() {
    let decoded = decode_bytes(&What::Points(vec![point(Kind::Number)]), b"\xEF\xBB\xBF{\"v\":1}", false);
    assert_eq!((decoded.reports.len(), decoded.skipped.len()), (1, 0));
}

#[test]
fn a_sighting_without_camera_or_kind_is_counted() {
    for (json, skip) in [
        (json!({ "type": "smoke" }), Skip::Missing(Field::Camera)),
        (json!({ "camera": "C1", "type": null }), Skip::Missing(Field::Kind)),
        (json!({ "camera": "C1", "type": { "a": 1 } }), Skip::Unusable(Field::Kind)),
    ] {
        assert_eq!(decode(&What::Sightings(camera()), &json), nothing_but(skip));
    }
}

#[test]
fn a_heartbeat_may_hold_anything() {
    let decoded = decode_bytes(&What::Heartbeat, b"\x00 not json", false);
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
        decode_bytes(&What::Points(vec![point(Kind::Number)]), &payload, false);
    }
}
