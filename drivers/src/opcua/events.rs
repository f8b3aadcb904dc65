//! What is asked of a server's events, and what one of them says. Pure.
//!
//! Asked for is the state of conditions (OPC UA Part 9), by the paths of the standard's own types, and the
//! events around a refresh. What a server does not have comes as nothing; what is no alarm has no
//! ActiveState, and is active for as long as the server retains it.

use std::sync::Arc;

use opcua::types::{
    AttributeId, ByteString, ContentFilter, ContentFilterBuilder, EventFilter, EventFilterResult,
    ExtensionObject, MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId, ObjectTypeId,
    Operand, QualifiedName, ReadValueId, SimpleAttributeOperand, Variant,
};

use super::conditions::Told;
use super::{decode, plan};

/// Events that the server keeps for us between two publishings. Each is a change of an alarm: more in
/// 250 ms is the trip of a whole plant, and then all is asked anew. No more than come in one message: of a
/// longer queue nobody sees that it was full, and not every server says that it lost some.
const QUEUE: u32 = plan::EVENTS_MAX;

/// Of a name; longer ones are nobody's.
const NAME_CHARACTERS: usize = 256;

const MESSAGE_CHARACTERS: usize = 500;

/// An event id longer than this is not remembered; the standard's example has 16 bytes.
const EVENT_ID_BYTES: usize = 64;

/// The fields in the order in which they are asked for, and come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    EventId,
    EventType,
    SourceNode,
    SourceName,
    Time,
    Message,
    Severity,
    ConditionId,
    ConditionName,
    BranchId,
    Retain,
    Enabled,
    Acknowledged,
    Active,
    Suppressed,
    SuppressedOrShelved,
    Quality,
}

const FIELDS: [(Field, ObjectTypeId, &[&str]); 17] = [
    (Field::EventId, ObjectTypeId::BaseEventType, &["EventId"]),
    (Field::EventType, ObjectTypeId::BaseEventType, &["EventType"]),
    (Field::SourceNode, ObjectTypeId::BaseEventType, &["SourceNode"]),
    (Field::SourceName, ObjectTypeId::BaseEventType, &["SourceName"]),
    (Field::Time, ObjectTypeId::BaseEventType, &["Time"]),
    (Field::Message, ObjectTypeId::BaseEventType, &["Message"]),
    (Field::Severity, ObjectTypeId::BaseEventType, &["Severity"]),
    // The condition itself, by the NodeId attribute.
    (Field::ConditionId, ObjectTypeId::ConditionType, &[]),
    (Field::ConditionName, ObjectTypeId::ConditionType, &["ConditionName"]),
    (Field::BranchId, ObjectTypeId::ConditionType, &["BranchId"]),
    (Field::Retain, ObjectTypeId::ConditionType, &["Retain"]),
    (Field::Enabled, ObjectTypeId::ConditionType, &["EnabledState", "Id"]),
    (Field::Acknowledged, ObjectTypeId::AcknowledgeableConditionType, &["AckedState", "Id"]),
    (Field::Active, ObjectTypeId::AlarmConditionType, &["ActiveState", "Id"]),
    (Field::Suppressed, ObjectTypeId::AlarmConditionType, &["SuppressedState", "Id"]),
    (Field::SuppressedOrShelved, ObjectTypeId::AlarmConditionType, &["SuppressedOrShelved"]),
    (Field::Quality, ObjectTypeId::ConditionType, &["Quality"]),
];

/// What is not a condition and yet about conditions.
const AROUND: [(ObjectTypeId, Event); 4] = [
    (ObjectTypeId::RefreshStartEventType, Event::RefreshStart),
    (ObjectTypeId::RefreshEndEventType, Event::RefreshEnd),
    (ObjectTypeId::RefreshRequiredEventType, Event::RefreshRequired),
    (ObjectTypeId::EventQueueOverflowEventType, Event::RefreshRequired),
];

/// What an event says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    Condition(Told),
    RefreshStart,
    RefreshEnd,
    /// The server lost events, or has so many that it does not tell each: all is to be asked for anew.
    RefreshRequired,
    /// Nothing to us: an event that is no condition, an earlier state of one that waits to be acknowledged.
    Other,
    /// A condition that cannot be used, and why.
    Unusable(&'static str),
}

/// Asks for the events of a notifier. `narrow`: only those about conditions; a server that cannot choose is
/// asked for all.
pub(super) fn request(notifier: NodeId, handle: u32, narrow: bool) -> MonitoredItemCreateRequest {
    let filter = EventFilter {
        select_clauses: Some(FIELDS.iter().map(|(_, of, path)| select(*of, path)).collect()),
        where_clause: if narrow { about_conditions() } else { ContentFilter::default() },
    };
    MonitoredItemCreateRequest {
        item_to_monitor: ReadValueId {
            node_id: notifier,
            attribute_id: AttributeId::EventNotifier as u32,
            ..ReadValueId::default()
        },
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            client_handle: handle,
            sampling_interval: 0.0,
            filter: ExtensionObject::from_message(filter),
            queue_size: QUEUE,
            discard_oldest: true,
        },
    }
}

fn select(of: ObjectTypeId, path: &[&str]) -> SimpleAttributeOperand {
    let attribute = if path.is_empty() { AttributeId::NodeId } else { AttributeId::Value };
    SimpleAttributeOperand {
        type_definition_id: of.into(),
        browse_path: Some(path.iter().map(|name| QualifiedName::new(0, *name)).collect()),
        attribute_id: attribute as u32,
        ..SimpleAttributeOperand::default()
    }
}

/// Any of the types: a chain of `Or`, each of the next element and a type.
fn about_conditions() -> ContentFilter {
    let mut filter = ContentFilterBuilder::new();
    let n_ors = u32::try_from(AROUND.len()).unwrap_or(0);
    for at in 0..n_ors {
        // The types stand behind all of the `Or`, the one that begins the chain last.
        let next = if at + 1 < n_ors { at + 1 } else { 2 * n_ors };
        filter = filter.or(Operand::element(next), Operand::element(n_ors + at));
    }
    for kind in AROUND.map(|(kind, _)| kind).into_iter().chain([ObjectTypeId::ConditionType]) {
        filter = filter.of_type(Operand::literal(NodeId::from(kind)));
    }
    filter.build()
}

/// Which of the fields the server gives out, by its answer to the request. The standard wants a null for each
/// other; some leave it out, and then all that follow stand elsewhere.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Given(Vec<Field>);

impl Given {
    pub(super) fn by(answer: &ExtensionObject) -> Self {
        let results =
            answer.inner_as::<EventFilterResult>().and_then(|of| of.select_clause_results.as_deref());
        let is_given = |at: usize| results.and_then(|of| of.get(at)).is_none_or(|status| !status.is_bad());
        let given = FIELDS.iter().enumerate().filter(|(at, _)| is_given(*at));
        Self(given.map(|(_, (field, ..))| *field).collect())
    }

    fn place(&self, wanted: Field, n_came: usize) -> Option<usize> {
        if n_came == FIELDS.len() {
            FIELDS.iter().position(|(field, ..)| *field == wanted)
        } else {
            self.0.iter().position(|field| *field == wanted)
        }
    }

    fn fits(&self, n_came: usize) -> bool {
        n_came == FIELDS.len() || n_came == self.0.len()
    }
}

/// `offset_ns` as in [`decode::reading`].
pub(super) fn read(fields: &[Variant], given: &Given, offset_ns: i64) -> Event {
    if !given.fits(fields.len()) {
        return Event::Unusable("other_fields_than_asked_for");
    }
    let field = |wanted: Field| fields.get(given.place(wanted, fields.len())?);
    let kind = field(Field::EventType).and_then(node);
    let is_of = |of: &(ObjectTypeId, Event)| kind.as_ref() == Some(&NodeId::from(of.0));
    if let Some((_, event)) = AROUND.into_iter().find(is_of) {
        return event;
    }
    let name = field(Field::ConditionName).and_then(|name| text(name, NAME_CHARACTERS));
    let (retain, active) = (field(Field::Retain).and_then(flag), field(Field::Active).and_then(flag));
    // Whatever is no condition has none of these.
    if name.is_none() && retain.is_none() && active.is_none() {
        return Event::Other;
    }
    if field(Field::BranchId).and_then(node).is_some() {
        return Event::Other;
    }
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Event::Unusable("no_condition_name");
    };
    if retain.is_none() && active.is_none() {
        return Event::Unusable("no_condition_state");
    }
    let origin = field(Field::SourceName).and_then(|name| text(name, NAME_CHARACTERS)).unwrap_or_default();
    let id = match field(Field::ConditionId).and_then(node) {
        Some(id) => id.to_string(),
        None => {
            let source = field(Field::SourceNode).and_then(node).map(|node| node.to_string());
            format!("{} {origin} {name}", source.unwrap_or_default())
        }
    };
    let is_set = |wanted: Field| field(wanted).and_then(flag) == Some(true);
    // One that is disabled at the source is no alarm any more, whatever it was.
    let enabled = field(Field::Enabled).and_then(flag) != Some(false);
    let retain = enabled && retain.unwrap_or(true);
    Event::Condition(Told {
        id: Arc::from(id),
        event_id: field(Field::EventId).map(event_id).unwrap_or_default(),
        origin: Arc::from(origin),
        name: Arc::from(name),
        retain,
        active: enabled && active.unwrap_or(retain),
        acknowledged: !enabled || field(Field::Acknowledged).and_then(flag) != Some(false),
        suppressed: enabled && (is_set(Field::Suppressed) || is_set(Field::SuppressedOrShelved)),
        doubtful: matches!(field(Field::Quality), Some(Variant::StatusCode(status)) if status.is_bad()),
        severity: field(Field::Severity).map_or(1, severity),
        message: Arc::from(
            field(Field::Message).and_then(|it| text(it, MESSAGE_CHARACTERS)).unwrap_or_default(),
        ),
        source_time: field(Field::Time).and_then(|time| decode::time(time, offset_ns)),
    })
}

/// A null node is none.
fn node(variant: &Variant) -> Option<NodeId> {
    if let Variant::NodeId(id) = variant { Some(NodeId::clone(id)).filter(|id| !id.is_null()) } else { None }
}

fn flag(variant: &Variant) -> Option<bool> {
    if let Variant::Boolean(flag) = variant { Some(*flag) } else { None }
}

fn text(variant: &Variant, characters: usize) -> Option<String> {
    let text = if let Variant::String(text) = variant {
        text
    } else if let Variant::LocalizedText(text) = variant {
        &text.text
    } else {
        return None;
    };
    Some(text.as_ref().chars().take(characters).collect())
}

fn event_id(variant: &Variant) -> Arc<[u8]> {
    let Variant::ByteString(ByteString { value: Some(bytes) }) = variant else { return Arc::default() };
    if bytes.len() > EVENT_ID_BYTES { Arc::default() } else { Arc::from(bytes.as_slice()) }
}

/// The standard's 1 to 1000, whatever integer the server makes of it.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library's types, of which the integers are meant")]
fn severity(variant: &Variant) -> u16 {
    let number = match variant {
        Variant::UInt16(number) => i64::from(*number),
        Variant::Int16(number) => i64::from(*number),
        Variant::Int32(number) => i64::from(*number),
        Variant::UInt32(number) => i64::from(*number),
        Variant::Int64(number) => *number,
        Variant::Byte(number) => i64::from(*number),
        _ => 1,
    };
    u16::try_from(number.clamp(1, 1000)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use opcua::types::{DateTime, LocalizedText, StatusCode};

    use super::*;

    /// The fields of an event: what is not given is empty, as a server answers for what it has not.
    fn fields(given: &[(Field, Variant)]) -> Vec<Variant> {
        let of =
            |wanted: Field| given.iter().rfind(|(field, _)| *field == wanted).map(|(_, value)| value.clone());
        FIELDS.iter().map(|(field, ..)| of(*field).unwrap_or(Variant::Empty)).collect()
    }

    fn alarm() -> Vec<(Field, Variant)> {
        let time = DateTime::parse_from_rfc3339("2026-03-01T08:00:00.250Z").expect("a time");
        vec![
            (Field::EventId, Variant::from(ByteString::from(vec![1_u8, 2]))),
            (Field::EventType, Variant::from(NodeId::from(ObjectTypeId::ExclusiveLevelAlarmType))),
            (Field::SourceNode, Variant::from(NodeId::new(2, "LIA-101"))),
            (Field::SourceName, Variant::from("LIA-101")),
            (Field::Time, Variant::from(time)),
            (Field::Message, Variant::from(LocalizedText::new("zh", "液位高高"))),
            (Field::Severity, Variant::from(900_u16)),
            (Field::ConditionId, Variant::from(NodeId::new(2, 77))),
            (Field::ConditionName, Variant::from("HighHigh")),
            (Field::BranchId, Variant::from(NodeId::null())),
            (Field::Retain, Variant::from(true)),
            (Field::Enabled, Variant::from(true)),
            (Field::Acknowledged, Variant::from(false)),
            (Field::Active, Variant::from(true)),
            (Field::Suppressed, Variant::from(false)),
            (Field::SuppressedOrShelved, Variant::from(false)),
            (Field::Quality, Variant::from(StatusCode::Good)),
        ]
    }

    fn with(changes: &[(Field, Variant)]) -> Event {
        read(&fields(&[alarm(), changes.to_vec()].concat()), &Given::default(), 0)
    }

    fn told(event: Event) -> Told {
        if let Event::Condition(told) = event { told } else { panic!("{event:?}") }
    }

    #[test]
    fn an_alarm_is_told_with_all_that_the_server_says_of_it() {
        assert_eq!(
            with(&[]),
            Event::Condition(Told {
                id: Arc::from("ns=2;i=77"),
                event_id: Arc::from([1_u8, 2]),
                origin: Arc::from("LIA-101"),
                name: Arc::from("HighHigh"),
                retain: true,
                active: true,
                acknowledged: false,
                suppressed: false,
                doubtful: false,
                severity: 900,
                message: Arc::from("液位高高"),
                source_time: Some(riskgate_point::Wall(1_772_352_000_250)),
            })
        );
    }

    #[test]
    fn a_server_that_leaves_out_what_it_has_not_is_read_by_what_it_said_it_has() {
        let has_not =
            |at: usize| matches!(FIELDS.get(at), Some((Field::ConditionId | Field::Suppressed, ..)));
        let results = (0..FIELDS.len())
            .map(|at| if has_not(at) { StatusCode::BadNodeIdUnknown } else { StatusCode::Good });
        let answer = EventFilterResult {
            select_clause_results: Some(results.collect()),
            ..EventFilterResult::default()
        };
        let given = Given::by(&ExtensionObject::from_message(answer));
        let all = fields(&alarm());
        let left = all.iter().enumerate().filter(|(at, _)| !has_not(*at)).map(|(_, value)| value.clone());
        let left: Vec<Variant> = left.collect();
        let alarm = told(read(&left, &given, 0));
        assert_eq!(
            (&*alarm.name, alarm.severity, alarm.active, alarm.suppressed),
            ("HighHigh", 900, true, false)
        );
        // And as the standard wants it.
        assert_eq!(told(read(&all, &given, 0)).severity, 900);
        // What fits neither is nothing that can be read.
        let none = Given::by(&ExtensionObject::null());
        assert_eq!(read(&left, &none, 0), Event::Unusable("other_fields_than_asked_for"));
        assert_eq!(read(&[], &given, 0), Event::Unusable("other_fields_than_asked_for"));
    }

    #[test]
    fn shelved_is_suppressed_and_suppressed_is_still_active() {
        for field in [Field::Suppressed, Field::SuppressedOrShelved] {
            let told = told(with(&[(field, Variant::from(true))]));
            assert!(told.suppressed && told.active);
        }
    }

    #[test]
    fn what_has_no_active_state_is_active_for_as_long_as_it_is_retained() {
        let empty = |field| (field, Variant::Empty);
        let plain = [empty(Field::Active), empty(Field::Acknowledged), empty(Field::Suppressed)];
        let retained = told(with(&plain));
        assert!(retained.active && retained.acknowledged && !retained.suppressed);
        let over = told(with(&[&plain[..], &[(Field::Retain, Variant::from(false))]].concat()));
        assert!(!over.active && !over.retain);
    }

    #[test]
    fn a_condition_about_what_the_server_cannot_read_is_doubtful() {
        let of = |status| told(with(&[(Field::Quality, Variant::from(status))])).doubtful;
        assert!(of(StatusCode::BadNoCommunication) && !of(StatusCode::UncertainLastUsableValue));
    }

    #[test]
    fn one_that_is_disabled_at_the_source_is_no_alarm_any_more() {
        let told =
            told(with(&[(Field::Enabled, Variant::from(false)), (Field::Suppressed, Variant::from(true))]));
        assert_eq!(
            (told.retain, told.active, told.acknowledged, told.suppressed),
            (false, false, true, false)
        );
    }

    #[test]
    fn an_earlier_state_that_waits_to_be_acknowledged_is_not_the_present_one() {
        assert_eq!(with(&[(Field::BranchId, Variant::from(NodeId::new(2, 5)))]), Event::Other);
    }

    #[test]
    fn an_event_that_is_no_condition_is_nothing_to_us() {
        let audit = [
            (Field::EventType, Variant::from(NodeId::from(ObjectTypeId::AuditEventType))),
            (Field::Message, Variant::from(LocalizedText::new("", "login"))),
        ];
        assert_eq!(read(&fields(&audit), &Given::default(), 0), Event::Other);
    }

    #[test]
    fn what_cannot_be_named_or_has_no_state_is_not_used() {
        for name in [Variant::Empty, Variant::from("")] {
            assert_eq!(with(&[(Field::ConditionName, name)]), Event::Unusable("no_condition_name"));
        }
        let stateless =
            [(Field::Retain, Variant::Empty), (Field::Active, Variant::from(StatusCode::BadNotFound))];
        assert_eq!(with(&stateless), Event::Unusable("no_condition_state"));
    }

    #[test]
    fn a_server_that_does_not_tell_the_conditions_node_is_told_apart_by_source_and_name() {
        let told = told(with(&[(Field::ConditionId, Variant::Empty)]));
        assert_eq!(&*told.id, "ns=2;s=LIA-101 LIA-101 HighHigh");
    }

    #[test]
    fn events_around_a_refresh_are_known_by_their_type() {
        for (kind, event) in AROUND {
            let kind = [(Field::EventType, Variant::from(NodeId::from(kind)))];
            assert_eq!(read(&fields(&kind), &Given::default(), 0), event);
        }
    }

    #[test]
    fn odd_values_are_held_to_what_they_can_be() {
        for (given, read) in [
            (Variant::from(0_u16), 1),
            (Variant::from(65_535_u16), 1000),
            (Variant::from(-5_i32), 1),
            (Variant::from(600_i64), 600),
            (Variant::from("high"), 1),
        ] {
            assert_eq!(told(with(&[(Field::Severity, given)])).severity, read);
        }
        let long = "长".repeat(10_000);
        let told = told(with(&[
            (Field::SourceName, Variant::from(long.as_str())),
            (Field::Message, Variant::from(LocalizedText::new("", &long))),
            (Field::EventId, Variant::from(ByteString::from(vec![7_u8; 65]))),
        ]));
        assert_eq!((told.origin.chars().count(), told.message.chars().count()), (256, 500));
        assert!(told.event_id.is_empty());
    }

    #[test]
    fn each_type_is_reached_by_the_chain_of_the_filter() {
        let elements = about_conditions().elements.expect("a filter");
        let mut reached = std::collections::BTreeSet::new();
        let mut to_do = vec![0_usize];
        while let Some(at) = to_do.pop() {
            assert!(reached.insert(at), "{at} twice");
            for operand in elements[at].filter_operands.iter().flatten() {
                if let Some(next) = operand.inner_as::<opcua::types::ElementOperand>() {
                    let next = usize::try_from(next.index).expect("few");
                    // The standard forbids loops by this.
                    assert!(next > at);
                    to_do.push(next);
                }
            }
        }
        assert_eq!(reached.len(), elements.len());
        assert_eq!(elements.len(), 2 * AROUND.len() + 1);
    }
}
