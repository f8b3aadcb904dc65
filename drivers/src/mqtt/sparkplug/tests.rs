//! An edge node `plant/edge1` with a pump `P-101`, as a reader sees it.

use jiff::tz::TimeZone;
use proptest::prelude::*;
use prost::Message as _;
use riskgate_point::{Now, PointId, Report, SourceId};

use super::wire::{Metric, Payload, PropertySet, PropertyValue, Value, datatype};
use super::*;
use crate::mqtt::What;
use crate::mqtt::decode::{Decoded, Message, message};
use crate::mqtt::fields::Kind as Reads;
use crate::mqtt::memory::Memory;
use crate::scaling::Scaling;

const DOUBLE: u32 = 10;
const TEMPERATURE: u64 = 11;
const SPEED: u64 = 12;

/// Point 1: the node's `Cabinet/Temperature`. Point 2: the pump's `Speed`. Point 3: the pump's `Trip`.
struct Plant {
    edge: Arc<EdgeNode>,
    memory: Memory,
    retained: bool,
}

fn reading(point: u32, kind: Reads) -> Vec<Reading> {
    vec![Reading { point: PointId(point), kind, scaling: Scaling::IDENTITY, words: None }]
}

impl Plant {
    fn new() -> Self {
        let rows = |rows: Vec<(&str, Vec<Reading>)>| {
            rows.into_iter().map(|(name, of)| (Arc::from(name), of)).collect()
        };
        let metrics = HashMap::from([
            (Arc::from(""), rows(vec![("Cabinet/Temperature", reading(1, Reads::Number))])),
            (
                Arc::from("P-101"),
                rows(vec![("Speed", reading(2, Reads::Number)), ("Trip", reading(3, Reads::Bool))]),
            ),
        ]);
        let edge = Arc::new(EdgeNode { group: "plant".to_owned(), edge: "edge1".to_owned(), metrics });
        Self { edge, memory: Memory::default(), retained: false }
    }

    fn hear_bytes(&mut self, topic: &str, payload: &[u8]) -> Decoded {
        let heard = Message {
            source: SourceId(0),
            place: 0,
            topic,
            payload,
            received: Now::default(),
            retained: self.retained,
            zone: &TimeZone::UTC,
        };
        message(&What::Sparkplug(Arc::clone(&self.edge)), &heard, &mut self.memory)
    }

    /// What each sample says: point, value, quality; then each thing that was left out.
    fn hear(&mut self, topic: &str, payload: &Payload) -> Vec<String> {
        said(&self.hear_bytes(&format!("spBv1.0/plant/{topic}"), &payload.encode_to_vec()))
    }

    /// The node and the pump are born, as numbers 0 and 1.
    fn born() -> Self {
        let mut plant = Self::new();
        assert_eq!(
            plant.hear("NBIRTH/edge1", &node_birth(7)),
            ["1 21.5 good", "2 - bad comm_failure", "3 - bad comm_failure"]
        );
        assert_eq!(plant.hear("DBIRTH/edge1/P-101", &pump_birth(1)), ["2 1480 good", "3 false good"]);
        plant
    }
}

fn said(decoded: &Decoded) -> Vec<String> {
    let one = |report: &Report| {
        let Report::Sample(sample) = report else { panic!("{report:?}") };
        let value = sample.value.as_ref().map_or("-".to_owned(), ToString::to_string);
        let late = if sample.backfill { " late" } else { "" };
        let time = sample.source_time.map_or(String::new(), |time| format!(" at {}", time.0));
        format!("{} {value} {}{time}{late}", sample.point.0, sample.quality)
    };
    let mut said: Vec<String> = decoded.reports.iter().map(one).collect();
    said.sort();
    said.extend(decoded.skipped.iter().map(|skipped| skipped.skip.word().to_owned()));
    said
}

fn payload(seq: u64, metrics: Vec<Metric>) -> Payload {
    Payload { seq: Some(seq), metrics, ..Payload::default() }
}

fn named(name: &str, alias: u64, datatype: u32, value: Value) -> Metric {
    let (name, alias, datatype) = (Some(name.to_owned()), Some(alias), Some(datatype));
    Metric { name, alias, datatype, value: Some(value), ..Metric::default() }
}

fn aliased(alias: u64, value: Value) -> Metric {
    Metric { alias: Some(alias), value: Some(value), ..Metric::default() }
}

fn by_name(name: &str, value: Value) -> Metric {
    Metric { name: Some(name.to_owned()), value: Some(value), ..Metric::default() }
}

fn bd_seq(number: u64) -> Metric {
    let datatype = Some(datatype::INT64);
    Metric { datatype, ..by_name("bdSeq", Value::Long(number)) }
}

fn node_birth(session: u64) -> Payload {
    let temperature = named("Cabinet/Temperature", TEMPERATURE, DOUBLE, Value::Double(21.5));
    let rebirth = by_name("Node Control/Rebirth", Value::Boolean(false));
    payload(
        0,
        vec![bd_seq(session), rebirth, temperature, named("Cabinet/Door", 10, 11, Value::Boolean(false))],
    )
}

fn pump_birth(seq: u64) -> Payload {
    let speed = named("Speed", SPEED, datatype::INT16, Value::Int(1480));
    payload(seq, vec![speed, named("Trip", 13, 11, Value::Boolean(false))])
}

fn death(session: u64) -> Payload {
    Payload { metrics: vec![bd_seq(session)], ..Payload::default() }
}

fn speed(seq: u64, rpm: u32) -> Payload {
    payload(seq, vec![aliased(SPEED, Value::Int(rpm))])
}

const ALL_BAD: [&str; 3] = ["1 - bad comm_failure", "2 - bad comm_failure", "3 - bad comm_failure"];
const NOTHING: [&str; 0] = [];

#[test]
fn births_tell_names_and_values_and_data_what_changes() {
    let mut plant = Plant::born();
    assert_eq!(
        plant.hear("NDATA/edge1", &payload(2, vec![aliased(TEMPERATURE, Value::Double(22.0))])),
        ["1 22 good"]
    );
    assert_eq!(plant.hear("DDATA/edge1/P-101", &speed(3, 0xFFFF)), ["2 -1 good"], "an Int16, as it was born");
    assert_eq!(
        plant.hear("DDATA/edge1/P-101", &payload(4, vec![by_name("Trip", Value::Boolean(true))])),
        ["3 true good"]
    );
}

#[test]
fn numbers_go_round_at_256() {
    let mut plant = Plant::born();
    for seq in (2..=255).chain(0..=1) {
        assert_eq!(plant.hear("DDATA/edge1/P-101", &speed(seq, 7)), ["2 7 good"], "{seq}");
    }
}

#[test]
fn the_death_of_a_node_makes_all_its_points_bad_and_that_of_a_device_its_own() {
    let mut plant = Plant::born();
    assert_eq!(
        plant.hear("DDEATH/edge1/P-101", &payload(2, Vec::new())),
        ["2 - bad comm_failure", "3 - bad comm_failure"]
    );
    assert_eq!(plant.hear("DDATA/edge1/P-101", &speed(3, 7)), ["unknown_alias"]);
    assert_eq!(plant.hear("DBIRTH/edge1/P-101", &pump_birth(4)), ["2 1480 good", "3 false good"]);
    assert_eq!(plant.hear("NDEATH/edge1", &death(7)), ALL_BAD);
    assert_eq!(plant.hear("DDATA/edge1/P-101", &speed(5, 7)), ["unknown_alias"]);
}

#[test]
fn a_death_that_comes_late_is_that_of_the_connection_before() {
    let mut plant = Plant::born();
    assert_eq!(
        plant.hear("NBIRTH/edge1", &node_birth(8)),
        ["1 21.5 good", "2 - bad comm_failure", "3 - bad comm_failure"]
    );
    assert_eq!(plant.hear("NDEATH/edge1", &death(7)), ["old_death"]);
    assert_eq!(plant.hear("DBIRTH/edge1/P-101", &pump_birth(1)).len(), 2);
    assert_eq!(plant.hear("NDEATH/edge1", &death(8)), ALL_BAD);
}

#[test]
fn a_death_before_any_birth_is_believed() {
    assert_eq!(Plant::new().hear("NDEATH/edge1", &death(3)), ALL_BAD);
}

#[test]
fn born_again_on_the_same_connection_its_devices_stay_as_they_are() {
    let mut plant = Plant::born();
    assert_eq!(plant.hear("NBIRTH/edge1", &node_birth(7)), ["1 21.5 good"]);
    assert_eq!(plant.hear("DBIRTH/edge1/P-101", &pump_birth(1)), ["2 1480 good", "3 false good"]);
}

#[test]
fn after_a_missed_message_nothing_is_good_until_it_is_told_by_name_or_born_again() {
    let mut plant = Plant::born();
    let heard = plant.hear("DDATA/edge1/P-101", &speed(3, 900));
    assert_eq!(heard[..3], ALL_BAD);
    assert_eq!(heard[3..], ["sequence_gap", "unknown_alias"]);
    assert_eq!(plant.hear("DDATA/edge1/P-101", &speed(4, 901)), ["unknown_alias"], "told bad once");
    assert_eq!(
        plant.hear("DDATA/edge1/P-101", &payload(5, vec![by_name("Trip", Value::Boolean(true))])),
        ["3 true good"]
    );
    assert_eq!(plant.hear("NBIRTH/edge1", &node_birth(7)).len(), 3, "whether its devices live is not known");
    assert_eq!(plant.hear("DBIRTH/edge1/P-101", &pump_birth(1)), ["2 1480 good", "3 false good"]);
}

#[test]
fn an_alias_that_was_given_to_another_while_we_missed_it_is_never_read_as_the_old_one() {
    let mut plant = Plant::born();
    // The births of a new connection, 0 and 1, are lost: alias 12 is now a pressure.
    let heard = plant.hear("DDATA/edge1/P-101", &payload(2 + 1, vec![aliased(SPEED, Value::Int(3))]));
    assert!(!heard.iter().any(|one| one.starts_with("2 3")), "{heard:?}");
}

#[test]
fn a_message_that_comes_twice_counts_once() {
    let mut plant = Plant::born();
    assert_eq!(plant.hear("DDATA/edge1/P-101", &speed(2, 900)), ["2 900 good"]);
    assert_eq!(plant.hear("DDATA/edge1/P-101", &speed(2, 900)), ["repeated"]);
    assert_eq!(plant.hear("DDATA/edge1/P-101", &speed(3, 901)), ["2 901 good"]);
}

#[test]
fn before_the_first_birth_a_name_speaks_for_itself_and_an_alias_for_nothing() {
    let mut plant = Plant::new();
    assert_eq!(plant.hear("DDATA/edge1/P-101", &speed(9, 900)), ["unknown_alias"]);
    assert_eq!(
        plant.hear("DDATA/edge1/P-101", &payload(10, vec![by_name("Trip", Value::Boolean(true))])),
        ["3 true good"]
    );
    let untyped = plant.hear("DDATA/edge1/P-101", &payload(11, vec![by_name("Speed", Value::Int(0xFFFF))]));
    assert_eq!(untyped, ["2 - bad not_a_number", "unreadable_metric"], "-1 or 65535");
    assert_eq!(plant.hear("DBIRTH/edge1/P-101", &pump_birth(12)), ["2 1480 good", "3 false good"]);
}

#[test]
fn what_the_link_missed_is_forgotten_with_it() {
    let mut plant = Plant::born();
    plant.memory.link_lost();
    assert_eq!(plant.hear("DDATA/edge1/P-101", &speed(2, 900)), ["unknown_alias"]);
}

#[test]
fn a_birth_that_the_broker_keeps_gives_names_and_no_values() {
    let mut plant = Plant::new();
    for (topic, birth) in [("NBIRTH/edge1", node_birth(7)), ("DBIRTH/edge1/P-101", pump_birth(1))] {
        let kept = format!("$sparkplug/certificates/spBv1.0/plant/{topic}");
        assert_eq!(said(&plant.hear_bytes(&kept, &birth.encode_to_vec())), NOTHING);
    }
    assert_eq!(plant.hear("DDATA/edge1/P-101", &speed(77, 900)), ["2 900 good"]);
    assert_eq!(plant.hear("NDEATH/edge1", &death(8)), ALL_BAD, "its number is of a birth that may be old");
}

#[test]
fn what_is_retained_against_the_rules_is_no_news() {
    let mut plant = Plant::new();
    plant.retained = true;
    assert_eq!(plant.hear("NBIRTH/edge1", &node_birth(7)), NOTHING);
    assert_eq!(plant.hear("DDATA/edge1/P-101", &speed(2, 900)), ["kept_by_the_broker"]);
    assert_eq!(plant.hear("NDEATH/edge1", &death(7)), ["kept_by_the_broker"]);
}

#[test]
fn a_row_that_its_device_does_not_have_is_named() {
    let mut plant = Plant::new();
    plant.hear("NBIRTH/edge1", &node_birth(7));
    let birth = payload(1, vec![named("Speed", SPEED, datatype::INT16, Value::Int(3))]);
    let decoded = plant.hear_bytes("spBv1.0/plant/DBIRTH/edge1/P-101", &birth.encode_to_vec());
    assert_eq!(said(&decoded), ["2 3 good", "3 - bad config_error", "metric_not_in_birth"]);
    let example = decoded.skipped[0].example.as_deref();
    assert_eq!(example, Some("'Trip' is none of the 1 metrics that plant/edge1/P-101 has"));
}

#[test]
fn history_is_kept_and_no_value_is_bad() {
    let mut plant = Plant::born();
    let past = Metric {
        is_historical: Some(true),
        timestamp: Some(1_793_507_445_250),
        ..aliased(SPEED, Value::Int(3))
    };
    assert_eq!(plant.hear("DDATA/edge1/P-101", &payload(2, vec![past])), ["2 3 good at 1793507445250 late"]);
    let null = Metric { is_null: Some(true), alias: Some(SPEED), ..Metric::default() };
    assert_eq!(
        plant.hear("DDATA/edge1/P-101", &payload(3, vec![null])),
        ["2 - bad not_a_number", "unusable_value"]
    );
}

#[test]
fn a_metrics_own_quality_is_believed() {
    let mut plant = Plant::born();
    for (seq, code, expect) in [
        (2, 192, "2 3 good"),
        (3, 0, "2 - bad device_failure"),
        (4, 500, "2 - bad stale"),
        (5, 64, "2 3 uncertain source"),
    ] {
        let value = PropertyValue { int_value: Some(code), long_value: None };
        let properties = Some(PropertySet { keys: vec!["Quality".to_owned()], values: vec![value] });
        let metric = Metric { properties, ..aliased(SPEED, Value::Int(3)) };
        assert_eq!(plant.hear("DDATA/edge1/P-101", &payload(seq, vec![metric])), [expect], "{code}");
    }
}

#[test]
fn the_time_of_a_metric_is_its_own_or_that_of_its_message() {
    let mut plant = Plant::born();
    let own = Metric { timestamp: Some(5), ..aliased(SPEED, Value::Int(3)) };
    let message = Payload { timestamp: Some(9), ..payload(2, vec![own, aliased(13, Value::Boolean(true))]) };
    assert_eq!(plant.hear("DDATA/edge1/P-101", &message), ["2 3 good at 5", "3 true good at 9"]);
}

#[test]
fn commands_states_and_what_is_no_sparkplug_change_nothing() {
    let mut plant = Plant::born();
    let command = payload(0, vec![by_name("Node Control/Rebirth", Value::Boolean(true))]);
    for topic in ["NCMD/edge1", "DCMD/edge1/P-101", "XDATA/edge1", "NDATA/edge1/more/levels"] {
        assert_eq!(plant.hear(topic, &command), NOTHING, "{topic}");
    }
    assert_eq!(said(&plant.hear_bytes("spBv1.0/STATE/host", b"{\"online\":true}")), NOTHING);
    assert_eq!(said(&plant.hear_bytes("spBv1.0/plant/NDATA/edge1", b"\xFF\xFF")), ["not_sparkplug"]);
    let compressed = Payload { uuid: Some("SPBV1.0_COMPRESSED".to_owned()), ..payload(2, Vec::new()) };
    assert_eq!(plant.hear("NDATA/edge1", &compressed), ["not_sparkplug"]);
    assert_eq!(plant.hear("DDATA/edge1/P-101", &speed(2, 900)), ["2 900 good"]);
}

#[test]
fn an_address_is_written_short_or_as_tools_show_topics() {
    let address = |group: &str, edge: &str, device: &str, metric: &str| {
        let [group, edge, device, metric] = [group, edge, device, metric].map(str::to_owned);
        Ok(Address { group, edge, device, metric })
    };
    for (text, expect) in [
        ("plant/edge1#Cabinet/Temperature", address("plant", "edge1", "", "Cabinet/Temperature")),
        ("plant/edge1/P-101#Speed", address("plant", "edge1", "P-101", "Speed")),
        ("spBv1.0/plant/DDATA/edge1/P-101#Speed", address("plant", "edge1", "P-101", "Speed")),
        ("spBv1.0/plant/NBIRTH/edge1#a#b", address("plant", "edge1", "", "a#b")),
    ] {
        assert_eq!(Address::parse(text), expect, "{text}");
    }
    for text in
        ["plant/edge1", "plant#x", "a/b/c/d#x", "a/b/#x", "/b#x", "a/b#", "a/+#x", "spBv1.0/plant/edge1#x"]
    {
        assert!(Address::parse(text).is_err(), "{text}");
    }
}

/// Any message of a node, most of them of the shapes that matter.
fn any_payload() -> impl Strategy<Value = Payload> {
    let value = prop_oneof![
        any::<u32>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::Long),
        any::<f64>().prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        "[a-z]{0,3}".prop_map(Value::String),
    ];
    let name =
        prop_oneof![Just("bdSeq"), Just("Cabinet/Temperature"), Just("Speed"), Just("Trip"), Just("other")];
    let metric = (
        prop::option::of(name),
        prop::option::of(10..14_u64),
        prop::option::of(0..14_u32),
        prop::option::of(value),
    )
        .prop_map(|(name, alias, datatype, value)| Metric {
            name: name.map(str::to_owned),
            alias,
            datatype,
            value,
            ..Metric::default()
        });
    (prop::option::of(0..300_u64), prop::collection::vec(metric, 0..4)).prop_map(|(seq, metrics)| Payload {
        seq,
        metrics,
        ..Payload::default()
    })
}

proptest! {
    #[test]
    fn no_order_of_messages_makes_it_fall_and_no_value_stands_without_a_quality(
        messages in prop::collection::vec((0..7_usize, any_payload()), 0..40),
    ) {
        let topics = ["NBIRTH/edge1", "NDEATH/edge1", "NDATA/edge1", "DBIRTH/edge1/P-101", "DDEATH/edge1/P-101", "DDATA/edge1/P-101", "DDATA/edge1/x"];
        let mut plant = Plant::new();
        for (topic, payload) in messages {
            let decoded = plant.hear_bytes(&format!("spBv1.0/plant/{}", topics[topic]), &payload.encode_to_vec());
            for report in decoded.reports {
                if let Report::Sample(sample) = report {
                    prop_assert_eq!(sample.value.is_none(), sample.quality.is_bad());
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_it_fall(payload in prop::collection::vec(any::<u8>(), 0..64), topic in "spBv1.0/plant/[ND](BIRTH|DATA|DEATH)/edge1(/P-101)?") {
        Plant::born().hear_bytes(&topic, &payload);
    }

    /// A node that gives its aliases anew with each birth, over a link that breaks and that loses what is sent
    /// at most once: all but deaths. Its numbers begin anew with each connection. Each value says which metric
    /// it is of.
    #[test]
    fn whatever_is_lost_no_value_is_ever_taken_for_that_of_another_metric(
        steps in prop::collection::vec((0..8_u8, prop::bool::weighted(0.3), 0..3_usize, any::<bool>()), 1..80),
    ) {
        let mut plant = Plant::new();
        let names = ["Cabinet/Temperature", "Speed", "other"];
        let (mut session, mut seq, mut shift, mut is_up) = (0_u64, 0_u64, 0_usize, true);
        let alias = |metric: usize, shift: usize| ((metric + shift) % 3) as u64;
        for (step, lost, metric, forward) in steps {
            let mut sent = Vec::new();
            match step {
                0 | 1 => {
                    if step == 0 {
                        sent.push(("NDEATH/edge1", death(session)));
                        session += 1;
                        seq = 0;
                    }
                    shift += usize::from(forward);
                    let of = |metric: usize| {
                        named(names[metric], alias(metric, shift), DOUBLE, Value::Double((metric * 1000) as f64))
                    };
                    sent.push(("NBIRTH/edge1", payload(0, vec![bd_seq(session), of(0), of(2)])));
                    sent.push(("DBIRTH/edge1/P-101", payload(1, vec![of(1)])));
                }
                2 => sent.push(("NDEATH/edge1", death(session))),
                3 => {
                    is_up = !is_up;
                    plant.memory.link_lost();
                }
                _ => {
                    let value = Value::Double((metric * 1000 + usize::from(step)) as f64);
                    let topic = if metric == 1 { "DDATA/edge1/P-101" } else { "NDATA/edge1" };
                    sent.push((topic, payload(0, vec![aliased(alias(metric, shift), value)])));
                }
            }
            for (topic, mut message) in sent {
                if !topic.starts_with("NDEATH") {
                    message.seq = Some(seq);
                    seq = (seq + 1) % 256;
                    if lost {
                        continue;
                    }
                }
                if !is_up {
                    continue;
                }
                let decoded = plant.hear_bytes(&format!("spBv1.0/plant/{topic}"), &message.encode_to_vec());
                for report in decoded.reports {
                    let Report::Sample(sample) = report else { continue };
                    if let Some(value) = sample.value.and_then(|value| value.number()) {
                        let metric = f64::from(sample.point.0 - 1);
                        prop_assert!((metric * 1000.0..metric * 1000.0 + 1000.0).contains(&value), "{topic}: {value}");
                    }
                }
            }
        }
    }
}
