//! What a fuzzer calls, and the tests that replay what is kept: points of any kind and values of any bytes, and
//! events of any bytes.
//!
//! Of a value the first bytes make a point, the rest is what a server sends of it. Pure; it panics where the
//! value, or the condition, became what it cannot be.

use std::io::Cursor;
use std::sync::Arc;

use opcua::types::{
    BinaryDecodable, ContextOwned, DataValue, EventNotificationList, ExtensionObject, StatusCode, Variant,
};
use riskgate_point::{Now, PointId, Report, SourceId, Value};

use super::conditions::{Conditions, Taken};
use super::events::{self, Event, Given};
use super::{Element, Kind, Namespace, Node, NodeName, Point, decode};
use crate::scaling::{EnumWords, OutOfRange, Scaling};

/// Bytes that make the point.
const HEAD: usize = 2;
const RANGE: (f64, f64) = (-5.0, 100.0);

/// Panics where a bad reading has a value or a good one none, a bad status became a value, a number is not
/// finite or beyond its range, or a value is of another kind than the row says.
pub fn decode(data: &[u8]) {
    let Some((head, bytes)) = data.split_at_checked(HEAD) else { return };
    let point = point(head);
    let context = ContextOwned::default();
    let Ok(came) = DataValue::decode(&mut Cursor::new(bytes), &context.context()) else { return };
    let read = decode::reading(&came, &point, 1_500_000);
    assert_eq!(read.value.is_none(), read.quality.is_bad(), "{read:?}");
    let status = came.status.unwrap_or(StatusCode::Good);
    assert!(!status.is_bad() || read.quality.is_bad(), "{status}: {read:?}");
    assert!(read.unfit.is_none() || read.quality.is_bad(), "{read:?}");
    assert!(!decode::shape(came.value.as_ref()).is_empty());
    let Some(value) = read.value else { return };
    match (&point.words, point.kind) {
        (Some(_), _) | (None, Kind::Text) => assert!(matches!(value, Value::Text(_)), "{value:?}"),
        (None, Kind::Bool) => assert!(matches!(value, Value::Bool(_)), "{value:?}"),
        (None, Kind::Number) => {
            let number = value.number().filter(|_| !matches!(value, Value::Bool(_)));
            let is_within =
                |number: f64| point.scaling.range.is_none() || (RANGE.0..=RANGE.1).contains(&number);
            assert!(number.is_some_and(|number| number.is_finite() && is_within(number)), "{value:?}");
        }
    }
}

/// Events as a server publishes them. Panics where a condition has no name, a severity that is none, or is
/// active though nothing in its event says so; and where one who listens is not told how it stands.
pub fn events(data: &[u8]) {
    let context = ContextOwned::default();
    let Ok(list) = EventNotificationList::decode(&mut Cursor::new(data), &context.context()) else { return };
    let mut conditions = Conditions::new(SourceId(0));
    let given = Given::by(&ExtensionObject::null());
    conditions.begin_refresh([0]);
    for event in list.events.into_iter().flatten() {
        let fields = event.event_fields.unwrap_or_default();
        match events::read(&fields, &given, 1_500_000) {
            Event::Condition(told) => {
                assert!(!told.name.is_empty() && (1..=1000).contains(&told.severity), "{told:?}");
                let is_said = fields.contains(&Variant::Boolean(true));
                assert!(is_said || !(told.active || told.suppressed), "{told:?}");
                let (active, doubtful) = (told.active, told.doubtful);
                if let Taken::News(Report::Condition(is)) = conditions.take(told, Now::default()) {
                    assert!(is.active || !active || doubtful, "{is:?}");
                }
            }
            Event::RefreshStart => conditions.refresh_has_begun(event.client_handle),
            Event::RefreshEnd => drop(conditions.end_refresh(event.client_handle, Now::default())),
            Event::RefreshRequired => drop(conditions.lose(Now::default())),
            Event::Other | Event::Unusable(_) => {}
        }
    }
}

fn point(head: &[u8]) -> Point {
    let bit = |at: usize, bit: u8| head.get(at).is_some_and(|byte| byte >> bit & 1 == 1);
    let words: EnumWords = Arc::from([(0, Arc::from("off")), (1, Arc::from("on"))]);
    Point {
        point: PointId(0),
        tag: Arc::from("A"),
        group: 0,
        node: Node { namespace: Namespace::Index(1), id: NodeName::Numeric(1) },
        element: if bit(0, 2) { Element::parse("1") } else { None },
        kind: match (bit(0, 0), bit(0, 1)) {
            (false, false | true) => Kind::Number,
            (true, false) => Kind::Bool,
            (true, true) => Kind::Text,
        },
        scaling: Scaling {
            scale: if bit(1, 0) { 0.1 } else { 1.0 },
            offset: if bit(1, 1) { -2.0 } else { 0.0 },
            range: bit(1, 2).then_some(RANGE),
            out_of_range: if bit(1, 3) { OutOfRange::Bad } else { OutOfRange::Clamp },
        },
        words: bit(0, 3).then_some(words),
    }
}
