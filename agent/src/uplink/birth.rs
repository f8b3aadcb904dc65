//! `birth`: who is there, and which points telemetry speaks of. Pure.
//!
//! The list of points stands in `birth` itself while it is short; a long one goes in retained messages of its
//! own, `birth/points/{n}` from 1, since no packet holds 10,000 points. All of them carry the hash of the
//! whole list, by which a receiver knows what belongs together.

use riskgate_engine::{Class, Plant, PointDraft, UnitDraft};
use riskgate_point::Wall;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::wire::{Codes, Origin, level, loose_bytes};

/// Points as JSON in one message. A packet may have 256 KiB; half of it leaves room for the units.
const POINTS_BYTES_MAX: usize = 128 * 1024;

/// Told on each connect and each new configuration; retained.
pub(super) struct Birth {
    pub(super) payload: Vec<u8>,
    /// Those of `birth/points/{n}`, from 1. None where the list stands in `payload`.
    pub(super) points: Vec<Vec<u8>>,
}

/// What one needs to read the telemetry of a point.
#[derive(Serialize)]
struct Point<'a> {
    class: Class,
    #[serde(skip_serializing_if = "str::is_empty")]
    eu: &'a str,
    name: &'a str,
    #[serde(rename = "riskMeasureId", skip_serializing_if = "Option::is_none")]
    measure: Option<&'a str>,
    #[serde(rename = "riskUnitId", skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    tag: &'a str,
}

impl<'a> Point<'a> {
    fn of(point: &'a PointDraft, plant: &'a Plant) -> Self {
        let measure = point.measure.as_deref();
        let unit = measure.and_then(|id| plant.measure(id)).map(|measure| measure.unit.as_str());
        Self { class: point.class, eu: &point.eu, name: &point.name, measure, unit, tag: &point.tag }
    }
}

pub(super) fn birth(plant: &Plant, at: Wall, origin: &Origin) -> Birth {
    let points: Vec<Point<'_>> = plant.points().iter().map(|point| Point::of(point, plant)).collect();
    let (pages, hash) = pages(&points);
    let id = format!("{}/{}", origin.company, origin.gateway);
    let (list, pages) = if pages.len() > 1 { (None, pages) } else { (Some(&points), Vec::new()) };
    let data = json!({
        "id": id,
        "company": origin.company,
        "gateway": origin.gateway,
        "name": origin.name,
        "software": format!("riskgate {}", env!("CARGO_PKG_VERSION")),
        "epoch": origin.epoch.0,
        "epochBegan": origin.time(origin.epoch_began),
        "epochReason": origin.epoch_reason,
        "points": { "count": points.len(), "hash": hash, "pages": pages.len(), "list": list },
        "measures": plant.measures().len(),
        "sources": plant.sources().len(),
        "units": plant.units().iter().map(|of| unit(of, plant)).collect::<Vec<_>>(),
    });
    let page = |(n, list): (usize, &&[Point<'_>])| {
        let data = json!({ "id": format!("{id}/points/{n}"), "hash": hash, "page": n, "pages": pages.len(), "list": list });
        loose_bytes(&format!("birth/points/{n}/{}", at.0), "riskgate.points.v1", at, false, &data, origin)
    };
    let payload = loose_bytes(&format!("birth/{}", at.0), "riskgate.birth.v1", at, false, &data, origin);
    Birth { payload, points: (1..).zip(&pages).map(page).collect() }
}

fn unit(unit: &UnitDraft, plant: &Plant) -> Value {
    let codes = Codes::of(Some(unit), plant);
    json!({
        "riskUnitId": unit.id,
        "riskUnitName": unit.name,
        "hazardCode": codes.major,
        "hazardCode1": codes.other,
        "topic": level(&unit.id),
    })
}

/// The list in pages that each fit a packet, and its hash: a UUIDv5 of the points' JSON, one a line.
fn pages<'a, 'p>(points: &'a [Point<'p>]) -> (Vec<&'a [Point<'p>]>, Uuid) {
    let (mut pages, mut rest, mut all) = (Vec::new(), points, Vec::new());
    let (mut taken, mut bytes) = (0, 0);
    for point in points {
        let size = all.len();
        #[expect(clippy::expect_used, reason = "texts and a class: none of them can fail")]
        serde_json::to_writer(&mut all, point).expect("JSON of texts");
        all.push(b'\n');
        let size = all.len() - size;
        if taken > 0 && bytes + size > POINTS_BYTES_MAX {
            let (page, behind) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
            pages.push(page);
            (rest, taken, bytes) = (behind, 0, 0);
        }
        taken += 1;
        bytes += size;
    }
    pages.push(rest);
    (pages, Uuid::new_v5(&Uuid::NAMESPACE_OID, &all))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use riskgate_engine::{Confirm, Draft, Limits, MeasureDraft, RiskClass, SourceDraft};
    use riskgate_point::SourceId;

    use super::super::client::PAYLOAD_BYTES_MAX;
    use super::super::tests::{MORNING, origin};
    use super::*;

    fn point(number: usize) -> PointDraft {
        PointDraft {
            tag: format!("GD-{number}"),
            name: format!("一号罐区东侧可燃气体探测器{number}"),
            source: SourceId(0),
            class: Class::Gas,
            eu: "%LEL".to_owned(),
            words: Vec::new(),
            boolean: false,
            text: false,
            range: None,
            limits: Limits::default(),
            deadband: 0.0,
            delay: Duration::ZERO,
            stale_after: Duration::from_secs(5),
            measure: Some("M-1".to_owned()),
            confirm: Confirm::Person,
            guidance: String::new(),
        }
    }

    fn plant(points: Vec<PointDraft>) -> Plant {
        let (id, name) = ("U-1".to_owned(), "一号罐区".to_owned());
        let (hazard_code, liable_person) = ("540170007001".to_owned(), "张三".to_owned());
        let draft = Draft {
            company: "540170007".to_owned(),
            gateway: "54017000701".to_owned(),
            sources: vec![SourceDraft {
                id: "dcs-1".to_owned(),
                name: "DCS".to_owned(),
                fixes: false,
                sightings: false,
                permits: false,
                events: None,
                stale_after: None,
            }],
            points,
            units: vec![UnitDraft {
                id,
                name,
                hazard_code,
                base: RiskClass::Yellow,
                department: String::new(),
                liable_person,
            }],
            measures: vec![MeasureDraft {
                id: "M-1".to_owned(),
                unit: "U-1".to_owned(),
                event: "泄漏".to_owned(),
                name: "可燃气体检测".to_owned(),
                classify1: "1".to_owned(),
                classify2: "1-4".to_owned(),
                automatic: true,
                ..MeasureDraft::default()
            }],
            ..Draft::default()
        };
        Plant::build(draft).expect("a sound plant").0
    }

    fn data(bytes: &[u8]) -> Value {
        let message: Value = serde_json::from_slice(bytes).expect("JSON");
        message["data"].clone()
    }

    #[test]
    fn birth_tells_the_epoch_and_why_it_began_and_lists_the_points() {
        let unbound = PointDraft {
            class: Class::Process,
            eu: String::new(),
            measure: None,
            tag: "XV-1".to_owned(),
            name: "切断阀".to_owned(),
            ..point(2)
        };
        let birth = birth(&plant(vec![point(101), unbound]), MORNING, &origin());
        assert!(birth.points.is_empty());
        let message: Value = serde_json::from_slice(&birth.payload).expect("JSON");
        insta::assert_snapshot!(serde_json::to_string_pretty(&message).expect("JSON"));
    }

    #[test]
    fn ten_thousand_points_fit_their_packets_in_order_and_under_one_hash() {
        let birth = birth(&plant((0..10_000).map(point).collect()), MORNING, &origin());
        let told = data(&birth.payload)["points"].clone();
        let expected = json!({
            "count": 10_000, "hash": told["hash"], "pages": birth.points.len(), "list": null,
        });
        assert_eq!(told, expected);
        let mut tags = Vec::new();
        for (n, bytes) in (1..).zip(&birth.points) {
            assert!(bytes.len() <= PAYLOAD_BYTES_MAX, "{} bytes", bytes.len());
            let page = data(bytes);
            assert_eq!((&page["page"], &page["hash"]), (&json!(n), &told["hash"]));
            tags.extend(page["list"].as_array().expect("a list").iter().map(|point| point["tag"].clone()));
        }
        let all: Vec<Value> = (0..10_000).map(|number| json!(format!("GD-{number}"))).collect();
        assert_eq!(tags, all);
    }

    #[test]
    fn the_hash_changes_with_any_word_of_the_list_and_with_nothing_else() {
        let hash = |points, at| data(&birth(&plant(points), at, &origin()).payload)["points"]["hash"].clone();
        let renamed = PointDraft { name: "二号".to_owned(), ..point(1) };
        assert_eq!(hash(vec![point(1)], MORNING), hash(vec![point(1)], Wall(0)));
        assert_ne!(hash(vec![point(1)], MORNING), hash(vec![renamed], MORNING));
        assert_ne!(hash(vec![point(1), point(2)], MORNING), hash(vec![point(2), point(1)], MORNING));
    }
}
