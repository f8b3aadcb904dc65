//! What a fuzzer calls, and the tests that replay what it found: messages of any bytes, read in every way that
//! a feed can be configured.
//!
//! Whatever comes, a value stands only where its quality is not bad, a confidence is a share, no name is
//! longer than one may be, and the same messages say the same again. Pure; it panics where that does not hold.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use riskgate_point::{Now, PointId, Report, SourceId};

use super::values::TEXT_BYTES_MAX;
use super::{Decoded, Message, message};
use crate::mqtt::memory::Memory;
use crate::mqtt::sparkplug::EdgeNode;
use crate::mqtt::{
    FixFields, Kind, List, ListFields, Path, PermitFields, Point, Reading, Shape, SightingFields, What, Where,
};
use crate::scaling::Scaling;

/// One JSON message, live and retained, on the topics that mean something.
pub fn json(data: &[u8]) {
    let ways = ways();
    let read = || {
        let mut memory = Memory::default();
        let mut said = Vec::new();
        for (place, what) in ways.iter().enumerate() {
            for topic in ["cam/onvif-ej/RuleEngine/FieldDetector/ObjectsInside/&1", "plant/动火/report"] {
                for (turn, retained) in [(0, true), (1, false), (2, false)] {
                    said.push(hear(what, place, topic, data, turn, retained, &mut memory));
                }
            }
        }
        said
    };
    let said = read();
    assert_eq!(read(), said, "the same messages say the same");
    said.iter().for_each(holds);
}

/// A row of messages of one node: for each its kind, the low byte of its length, and its payload.
pub fn sparkplug(data: &[u8]) {
    const TOPICS: [&str; 8] = [
        "spBv1.0/g/NBIRTH/e",
        "spBv1.0/g/NDATA/e",
        "spBv1.0/g/NDEATH/e",
        "spBv1.0/g/DBIRTH/e/d",
        "spBv1.0/g/DDATA/e/d",
        "spBv1.0/g/DDEATH/e/d",
        "$sparkplug/certificates/spBv1.0/g/NBIRTH/e",
        "$sparkplug/certificates/spBv1.0/g/DBIRTH/e/d",
    ];
    let rows = |names: [(&str, Kind); 2], first: u32| {
        let row = |(point, (name, kind))| (Arc::from(name), vec![reading(point, kind)]);
        (first..).zip(names).map(row).collect::<HashMap<_, _>>()
    };
    let node = EdgeNode {
        group: "g".to_owned(),
        edge: "e".to_owned(),
        metrics: HashMap::from([
            (Arc::from(""), rows([("a", Kind::Number), ("b", Kind::Text)], 0)),
            (Arc::from("d"), rows([("a", Kind::Number), ("c", Kind::Bool)], 2)),
        ]),
    };
    let what = What::Sparkplug(Arc::new(node));
    let read = || {
        let mut memory = Memory::default();
        let mut said = Vec::new();
        let mut rest = data;
        while let [kind, length, behind @ ..] = rest {
            let (payload, after) = behind.split_at(usize::from(*length).min(behind.len()));
            let topic = TOPICS.get(usize::from(*kind) % TOPICS.len()).copied().unwrap_or_default();
            said.push(hear(&what, 0, topic, payload, 0, *kind >= 128, &mut memory));
            rest = after;
        }
        said
    };
    let said = read();
    assert_eq!(read(), said, "the same messages say the same");
    said.iter().for_each(holds);
}

fn hear(
    what: &What,
    place: usize,
    topic: &str,
    payload: &[u8],
    turn: u64,
    retained: bool,
    memory: &mut Memory,
) -> Decoded {
    let received = Now::default().after(Duration::from_secs(2 * turn));
    let zone = TimeZone::UTC;
    let heard = Message { source: SourceId(0), place, topic, payload, received, retained, zone: &zone };
    message(what, &heard, memory)
}

fn holds(decoded: &Decoded) {
    let short = |text: &str| assert!(text.len() <= TEXT_BYTES_MAX, "a name of {} bytes", text.len());
    for report in &decoded.reports {
        match report {
            Report::Sample(sample) => {
                assert_eq!(sample.value.is_none(), sample.quality.is_bad(), "{sample:?}");
                if let Some(riskgate_point::Value::Text(text)) = &sample.value {
                    short(text);
                }
            }
            Report::Fix(fix) => {
                short(&fix.tag);
                [&fix.person, &fix.role, &fix.zone].into_iter().flatten().for_each(|text| short(text));
            }
            Report::Sighting(sighting) => {
                assert!((0.0..=1.0).contains(&sighting.confidence), "{sighting:?}");
                short(&sighting.camera);
                short(&sighting.kind);
            }
            Report::Permit(permit) => {
                short(&permit.id);
                [&permit.place, &permit.guardian].into_iter().flatten().for_each(|text| short(text));
            }
            Report::Condition(_)
            | Report::ConditionsTold { .. }
            | Report::ConditionsLost { .. }
            | Report::Link { .. }
            | Report::Refreshed { .. } => panic!("no message says this: {report:?}"),
        }
    }
}

fn reading(point: u32, kind: Kind) -> Reading {
    let scaling = Scaling { scale: 0.1, offset: 1.0, range: Some((0.0, 100.0)), ..Scaling::IDENTITY };
    Reading { point: PointId(point), kind, scaling, words: None }
}

fn path(text: &str) -> Option<Path> {
    Path::parse(text).ok()
}

/// A place that the texts below spell well; the tests would miss its fields if they did not.
fn at(text: &str) -> Where {
    Where::parse(text).unwrap_or(Where::Topic(1))
}

/// Every shape, and every field of each.
fn ways() -> Vec<What> {
    let points = [Kind::Number, Kind::Bool, Kind::Text].into_iter().flat_map(|kind| {
        let value = path("$..['value','pointValue','v','smoke']")?;
        let (quality, time) = (path("$..['quality','pointStatus']"), path("$..['time','collectTime']"));
        Some(Point { reading: reading(0, kind), value, quality, time })
    });
    let list = List {
        fields: Arc::new(ListFields {
            many: path("$.report.datas[*]"),
            quality: Some(at("$.q")),
            time: Some(at("message:$.report.collectTime")),
            connected: Some(at("$.report.isConnectDataSource")),
            replay: path("$[?@.reportType == 'continues']"),
            ..ListFields::of(at("$.quotaId"), at("$.value"))
        }),
        rows: HashMap::from([(Arc::from("540170007002G0001YW001"), vec![reading(0, Kind::Number)])]),
    };
    let fixes = FixFields {
        many: path("$.Location"),
        person: Some(at("$.userId")),
        role: Some(at("$.entityType")),
        zone: Some(at("$.areaId")),
        sos: Some(at("$.sos")),
        time: Some(at("$.locationTime")),
        ..FixFields::of(at("$.tagId"))
    };
    let sightings = SightingFields {
        many: path("$[*]"),
        id: Some(at("$.id")),
        state: Some(at("$.smoke")),
        confidence: Some(at("$.score")),
        time: Some(at("$.time")),
        ..SightingFields::of(at("topic:2"), at("$.kind"))
    };
    let shapes = [Shape::Frigate { zones: Vec::new() }, Shape::Onvif, Shape::Hikvision];
    let mut ways = vec![
        What::Points(points.collect()),
        What::List(list),
        What::Fixes(fixes),
        What::Sightings(sightings),
        What::Permits(PermitFields::jt()),
        What::Permits(PermitFields::national()),
        What::Heartbeat,
    ];
    ways.extend(shapes.map(|shape| What::Sightings(SightingFields::shaped(shape))));
    ways
}
