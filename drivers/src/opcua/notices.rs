//! What the server publishes and answers of items, turned into reports on the spot; and the book of what
//! was last told of each.
//!
//! It is called from within the library's event loop, so it waits for nothing: a report goes to the intake,
//! which never makes anyone wait. It decides nothing about sessions and subscriptions. It lasts for a run
//! of the driver, over all sessions: what is in the book is what shows a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opcua::client::{MonitoredItemMap, OnSubscriptionNotificationCore};
use opcua::sync::RwLock;
use opcua::types::{
    ContextOwned, DataChangeNotification, DataValue, EventFieldList, EventNotificationList,
    NotificationMessage,
};
use riskgate_point::{BadReason, Mono, Now, Quality, Report, Sample, UncertainReason, Value, Wall};

use super::alarms::Alarms;
use super::decode::{self, Reading};
use super::link::LinkTold;
use super::pulse::Pulse;
use super::{Deadband, Point, Server, plan};
use crate::Clock;
use crate::intake::Sender;

pub(super) struct Notices {
    server: Arc<Server>,
    out: Sender,
    clock: Clock,
    link: LinkTold,
    /// A point may be good in the engine's eyes: something was told since all were called lost.
    may_be_good: AtomicBool,
    /// Holds how far the server's clock is off; of the present session.
    context: Mutex<Option<Arc<RwLock<ContextOwned>>>>,
    /// When the points were last called fresh, as [`Mono`]; 0 is never.
    refreshed: AtomicU64,
    /// What the server keeps of alarms, where it is listened to for that.
    alarms: Option<Alarms>,
    book: Mutex<Book>,
}

struct Book {
    /// What was last told of each point.
    last: Vec<Last>,
    /// Points whose item the server keeps, and whose node it does not know: such an item stays dead when
    /// the node comes back.
    nodeless: BTreeSet<usize>,
    /// When anything last came from the server.
    heard: Option<Now>,
    /// After a gap: the first that came of each point since, where it has a source time.
    firsts: Option<BTreeMap<usize, Seen>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Last {
    value: Option<Value>,
    /// Of the last that had one: what is bad may have none, or a later one.
    pub(super) source_time: Option<Wall>,
}

/// An end of a gap. Times are of a millisecond, in which a plant may have had two values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) time: Wall,
    pub(super) value: Option<Value>,
}

/// From when what was not seen is missing.
#[derive(Debug, Clone)]
pub(super) struct Missed {
    pub(super) since: Now,
    /// The points, and the last that was seen of each.
    pub(super) points: Vec<(usize, Seen)>,
}

impl Notices {
    pub(super) fn new(server: Arc<Server>, out: Sender, clock: Clock) -> Self {
        let book = Book {
            last: vec![Last::default(); server.points.len()],
            nodeless: BTreeSet::new(),
            heard: None,
            firsts: None,
        };
        let alarms = (!server.notifiers.is_empty()).then(|| Alarms::new(Arc::clone(&server), clock().mono.0));
        Self {
            alarms,
            link: LinkTold::new(server.source, out.clone(), clock),
            server,
            out,
            clock,
            may_be_good: AtomicBool::new(true),
            context: Mutex::default(),
            refreshed: AtomicU64::new(0),
            book: Mutex::new(book),
        }
    }

    pub(super) fn alarms(&self) -> Option<&Alarms> {
        self.alarms.as_ref()
    }

    pub(super) fn link(&self) -> &LinkTold {
        &self.link
    }

    /// The first value after a cut tells that the link is up again: what the server kept for us is not held
    /// back until all of the session is as it was.
    pub(super) fn tell(&self, reports: Vec<Report>) {
        let is_value = |report: &Report| report.sample().is_some_and(|sample| !sample.quality.is_bad());
        if reports.iter().any(is_value) {
            self.link.up();
        }
        if !reports.is_empty() {
            self.out.send(reports);
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session: its clock is the one that holds.
    pub(super) fn watch_clock_offset(&self, context: Arc<RwLock<ContextOwned>>) {
        *self.context.lock().unwrap_or_else(PoisonError::into_inner) = Some(context);
    }

    /// What the library takes off the server's times, in nanoseconds.
    pub(super) fn offset_ns(&self) -> i64 {
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = context.as_ref().map(|context| context.read().options().client_offset);
        offset.and_then(|offset| offset.num_nanoseconds()).unwrap_or(0)
    }

    /// Points to be monitored anew, by their place in the list of points.
    pub(super) fn nodeless(&self) -> BTreeSet<usize> {
        self.book().nodeless.clone()
    }

    /// What their items said of their nodes holds no more; new ones are about to be made.
    pub(super) fn has_no_item(&self, ats: &[usize]) {
        let mut book = self.book();
        for at in ats {
            book.nodeless.remove(at);
        }
    }

    /// What was last told of a point.
    pub(super) fn last(&self, at: usize) -> Option<Last> {
        self.book().last.get(at).cloned()
    }

    /// Of these points nothing was seen since they were last heard of: what comes now ends the gap. `None`
    /// where nothing was ever seen.
    pub(super) fn gap_of(&self, ats: impl Iterator<Item = usize>) -> Option<Missed> {
        let mut book = self.book();
        let since = book.heard?;
        let seen = |at: usize| {
            let last = book.last.get(at)?;
            Some((at, Seen { time: last.source_time?, value: last.value.clone() }))
        };
        let points: Vec<(usize, Seen)> = ats.filter_map(seen).collect();
        book.firsts = Some(BTreeMap::new());
        Some(Missed { since, points })
    }

    /// The first that came of a point after the gap.
    pub(super) fn first_after_gap(&self, at: usize) -> Option<Seen> {
        self.book().firsts.as_ref()?.get(&at).cloned()
    }

    pub(super) fn gap_is_closed(&self) {
        self.book().firsts = None;
    }

    /// Calls all points lost, once for each outage.
    pub(super) fn all_lost(&self) {
        if self.may_be_good.swap(false, Ordering::Relaxed) {
            self.lost(0..self.server.points.len());
        }
    }

    pub(super) fn lost(&self, ats: impl Iterator<Item = usize>) {
        let received = (self.clock)();
        let bad = |point: &Point| Sample::bad(point.point, BadReason::CommFailure, received);
        let reports = ats.filter_map(|at| Some(Report::Sample(bad(self.server.points.get(at)?))));
        self.out.send(reports.collect());
    }

    /// One message of a subscription, published or published again.
    pub(super) fn take(&self, pulse: &Pulse, message: &NotificationMessage) {
        let at = (self.clock)();
        let is_late = pulse.beat(message, at.mono);
        let parts = message.notification_data.as_deref().unwrap_or_default();
        let is_keep_alive = parts.is_empty();
        let changes = parts.iter().filter_map(|part| part.inner_as::<DataChangeNotification>());
        let items: Vec<(u32, &DataValue)> = changes
            .flat_map(|change| change.monitored_items.iter().flatten())
            .map(|item| (item.client_handle, &item.value))
            .collect();
        let lists = parts.iter().filter_map(|part| part.inner_as::<EventNotificationList>());
        let events: Vec<&EventFieldList> = lists.flat_map(|list| list.events.iter().flatten()).collect();
        let n_told = items.len() + events.len();
        let mut reports = self.samples(items.into_iter());
        if let (Some(alarms), true) = (&self.alarms, pulse.is_of_events()) {
            // First of all: the end of a refresh may have come, and a part of it not.
            if pulse.ended().is_some() {
                reports.extend(alarms.are_cut_off(at));
            } else if pulse.is_any_missing() {
                reports.extend(alarms.may_have_missed(at));
            }
            if !events.is_empty() {
                reports.extend(alarms.take(&events, is_late, self.offset_ns(), at, &self.out));
            }
        }
        pulse.told(n_told);
        self.book().heard = Some(at);
        reports.extend(self.refreshed(is_keep_alive, at));
        self.tell(reports);
    }

    /// A busy subscription sends no keep-alives, and its unmoved points are as alive as its moving ones: so
    /// data say it too, at most twice in a keep-alive time. It holds for all points of the source: those of
    /// a subscription that falls silent are called bad by the watch, and are not refreshed then.
    fn refreshed(&self, is_keep_alive: bool, at: Now) -> Option<Report> {
        let last = Mono(self.refreshed.load(Ordering::Relaxed));
        let is_due = is_keep_alive || last == Mono(0) || at.mono.since(last) * 2 >= self.server.keep_alive;
        is_due.then(|| {
            self.refreshed.store(at.mono.0, Ordering::Relaxed);
            Report::Refreshed { source: self.server.source, at }
        })
    }

    /// What the server says of the items with these handles.
    pub(super) fn samples<'v>(&self, items: impl Iterator<Item = (u32, &'v DataValue)>) -> Vec<Report> {
        let (received, offset_ns) = ((self.clock)(), self.offset_ns());
        let mut unfit = Vec::new();
        let mut book = self.book();
        let mut reports = Vec::new();
        for (handle, value) in items {
            let Some((at, point)) = self.known(handle) else { continue };
            let reading = decode::reading(value, point, offset_ns);
            self.note(&reading, point, value, &mut unfit);
            book.note(at, &reading);
            reports.push(Report::Sample(Sample {
                point: point.point,
                value: reading.value,
                quality: reading.quality,
                source_time: reading.source_time,
                received,
                backfill: false,
            }));
        }
        drop(book);
        if !reports.is_empty() {
            self.may_be_good.store(true, Ordering::Relaxed);
        }
        for (point, why, came) in unfit {
            tracing::warn!(
                url = self.server.url,
                tag = &*point.tag,
                node = %point.node,
                came,
                "the server's value is none of this point's: it is {why}"
            );
        }
        reports
    }

    /// A handle that was never given is a fault of the server: told in the log, and no point's value.
    fn known(&self, handle: u32) -> Option<(usize, &Point)> {
        let known = plan::at_of(handle).and_then(|at| Some((at, self.server.points.get(at)?)));
        if known.is_none() {
            let url = &self.server.url;
            if self.out.tally().skipped("items", "never asked for", || handle.to_string()) == 1 {
                tracing::warn!(url, handle, "the server reports an item that we never asked for");
            }
        }
        known
    }

    /// Counts what could not be used or was lost; what is told of it is told once.
    fn note<'s>(
        &self,
        reading: &Reading,
        point: &'s Point,
        value: &DataValue,
        unfit: &mut Vec<(&'s Point, &'static str, String)>,
    ) {
        if let Some(why) = reading.unfit {
            let came = || decode::shape(value.value.as_ref());
            if self.out.tally().skipped(&point.tag, why, came) == 1 {
                unfit.push((point, why, came()));
            }
        }
        if reading.quality == Quality::Uncertain(UncertainReason::Overflow) {
            let example = || format!("{}: {}", point.node, decode::shape(value.value.as_ref()));
            self.out.tally().skipped(&point.tag, "lost in the server's queue", example);
        }
    }

    /// A sample of what was, to be kept and not to be judged. `None`: nothing that could be kept.
    pub(super) fn backfill(&self, at: usize, value: &DataValue) -> Option<(Wall, Sample)> {
        let point = self.server.points.get(at)?;
        let reading = decode::reading(value, point, self.offset_ns());
        let source_time = reading.source_time?;
        let sample = Sample {
            point: point.point,
            value: reading.value,
            quality: reading.quality,
            source_time: Some(source_time),
            received: (self.clock)(),
            backfill: true,
        };
        Some((source_time, sample))
    }

    /// Whether what a read says of a point is other than what was told of it, by more than its deadband
    /// hides, and newer. A node that is gone is always other.
    pub(super) fn is_other(&self, at: usize, value: &DataValue, last: &Last) -> bool {
        let Some(point) = self.server.points.get(at) else { return false };
        let reading = decode::reading(value, point, self.offset_ns());
        if reading.quality == Quality::Bad(BadReason::RefusedAddress) {
            return !self.book().nodeless.contains(&at);
        }
        let is_older =
            matches!((reading.source_time, last.source_time), (Some(read), Some(told)) if read <= told);
        !is_older && !is_near(reading.value.as_ref(), last.value.as_ref(), self.hidden(point))
    }

    /// How far a value may be from the one that was told. A percentage is of a range that only the server
    /// knows.
    fn hidden(&self, point: &Point) -> f64 {
        match self.server.group_of(point).map(|group| group.deadband) {
            Some(Deadband::Absolute(distance)) => distance * point.scaling.scale.abs(),
            Some(Deadband::Percent(_)) => f64::INFINITY,
            Some(Deadband::None) | None => 0.0,
        }
    }
}

impl Book {
    fn note(&mut self, at: usize, reading: &Reading) {
        if reading.quality == Quality::Bad(BadReason::RefusedAddress) {
            self.nodeless.insert(at);
        } else if !self.nodeless.is_empty() {
            self.nodeless.remove(&at);
        }
        if let (Some(firsts), Some(time)) = (&mut self.firsts, reading.source_time) {
            firsts.entry(at).or_insert_with(|| Seen { time, value: reading.value.clone() });
        }
        let Some(last) = self.last.get_mut(at) else { return };
        last.value.clone_from(&reading.value);
        last.source_time = reading.source_time.or(last.source_time);
    }
}

fn is_near(read: Option<&Value>, told: Option<&Value>, hidden: f64) -> bool {
    match (read, told) {
        (Some(Value::Text(read)), Some(Value::Text(told))) => read == told,
        (Some(Value::Bool(read)), Some(Value::Bool(told))) => read == told,
        (Some(read), Some(told)) => match (read.number(), told.number()) {
            (Some(read), Some(told)) => (read - told).abs() <= hidden,
            (Some(_) | None, Some(_) | None) => false,
        },
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The library's way of telling: one for each subscription.
pub(super) struct Callback {
    pub(super) notices: Arc<Notices>,
    pub(super) pulse: Arc<Pulse>,
}

impl OnSubscriptionNotificationCore for Callback {
    fn on_subscription_notification(&mut self, message: NotificationMessage, _: MonitoredItemMap<'_>) {
        self.notices.out.tally().polled(None);
        self.notices.take(&self.pulse, &message);
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::{
        DateTime, ExtensionObject, MonitoredItemNotification, NodeId, ObjectTypeId, StatusChangeNotification,
        StatusCode, Variant,
    };

    use riskgate_point::Link;

    use super::super::{Group, Kind};
    use super::*;
    use crate::intake::{self, Lane, Receiver};

    fn notices(group: Group) -> (Notices, Receiver) {
        let mut server = Server::bare();
        server.groups = vec![group];
        server.points = vec![Point::bare(Kind::Number)];
        let (sender, receiver) = intake::channel(16, |_| Lane::Process);
        (Notices::new(Arc::new(server), sender, Now::default), receiver)
    }

    fn value(number: f64, ms: i64) -> DataValue {
        let time = DateTime::from(DateTime::epoch().checked_ticks() + 116_444_736_000_000_000 + ms * 10_000);
        DataValue { value: Some(Variant::from(number)), source_timestamp: Some(time), ..DataValue::default() }
    }

    fn message(sequence_number: u32, values: &[DataValue]) -> NotificationMessage {
        let item = |value: &DataValue| MonitoredItemNotification { client_handle: 1, value: value.clone() };
        let change = DataChangeNotification {
            monitored_items: Some(values.iter().map(item).collect()),
            diagnostic_infos: None,
        };
        let part = ExtensionObject::from_message(change);
        NotificationMessage { sequence_number, notification_data: Some(vec![part]), ..Default::default() }
    }

    #[test]
    fn what_a_read_says_is_other_only_beyond_the_deadband_and_when_it_is_newer() {
        let (notices, _receiver) = notices(Group { deadband: Deadband::Absolute(0.5), ..Group::bare() });
        notices.take(&Pulse::default(), &message(1, &[value(20.0, 1000)]));
        let last = notices.last(0).expect("a point");
        let is_other = |value: &DataValue| notices.is_other(0, value, &last);
        assert!(!is_other(&value(20.5, 2000)));
        assert!(is_other(&value(20.75, 2000)));
        assert!(!is_other(&value(20.75, 1000)), "as old as what was told");
        let unknown = DataValue { status: Some(StatusCode::BadNodeIdUnknown), ..value(20.0, 1000) };
        assert!(is_other(&unknown), "the node is gone, whatever its time");
        let failed = DataValue { status: Some(StatusCode::BadSensorFailure), ..value(20.0, 2000) };
        assert!(is_other(&failed));
    }

    #[test]
    fn what_ended_a_gap_is_the_first_that_came_after_it() {
        let (notices, _receiver) = notices(Group::bare());
        assert!(notices.gap_of(0..1).is_none(), "nothing was seen yet: nothing is missed");
        notices.take(&Pulse::default(), &message(1, &[value(1.0, 1000), value(2.0, 2000)]));
        let missed = notices.gap_of(0..1).expect("a gap");
        assert_eq!(missed.points, [(0, Seen { time: Wall(2000), value: Value::float(2.0) })]);
        assert_eq!(notices.first_after_gap(0), None);
        notices.take(&Pulse::default(), &message(1, &[value(5.0, 5000), value(6.0, 6000)]));
        let first = Seen { time: Wall(5000), value: Value::float(5.0) };
        assert_eq!(notices.first_after_gap(0), Some(first));
    }

    fn of_events(sequence_number: u32, kinds: &[ObjectTypeId]) -> NotificationMessage {
        let event = |kind: &ObjectTypeId| {
            let mut fields = vec![Variant::Empty; 17];
            fields[1] = Variant::from(NodeId::from(*kind));
            EventFieldList { client_handle: u32::MAX - 1, event_fields: Some(fields) }
        };
        let events = EventNotificationList { events: Some(kinds.iter().map(event).collect()) };
        let part = ExtensionObject::from_message(events);
        NotificationMessage { sequence_number, notification_data: Some(vec![part]), ..Default::default() }
    }

    /// What comes of a message on the subscription to events, after its refresh was told whole.
    async fn after_a_refresh(group: usize, message: &NotificationMessage) -> Vec<Report> {
        let mut server = Server::bare();
        server.notifiers = vec![Point::bare(Kind::Number).node];
        let (sender, mut receiver) = intake::channel(16, |_| Lane::Process);
        let notices = Notices::new(Arc::new(server), sender, Now::default);
        let alarms = notices.alarms().expect("there is a notifier");
        alarms.is_asked_for_tests(u32::MAX - 1);
        let pulse = Pulse::of(group);
        let refresh = [ObjectTypeId::RefreshStartEventType, ObjectTypeId::RefreshEndEventType];
        notices.take(&pulse, &of_events(1, &refresh));
        if group == plan::EVENTS {
            let told = receiver.recv(10).await.expect("open");
            assert!(told.iter().any(|report| matches!(report, Report::ConditionsTold { .. })), "{told:?}");
        }
        notices.take(&pulse, message);
        notices.take(&pulse, message);
        let waits = receiver.depth() > 0;
        let reports = if waits { receiver.recv(10).await.expect("open") } else { Vec::new() };
        let is_lost = |report: &Report| matches!(report, Report::ConditionsLost { .. });
        reports.into_iter().filter(is_lost).collect()
    }

    #[tokio::test]
    async fn conditions_are_lost_once_when_their_subscription_ends_or_a_message_of_it_is_missing() {
        let lost = [Report::ConditionsLost { source: Server::bare().source, at: Now::default() }];
        let change = StatusChangeNotification { status: StatusCode::BadTimeout, ..Default::default() };
        let part = ExtensionObject::from_message(change);
        let ended = NotificationMessage {
            sequence_number: 2,
            notification_data: Some(vec![part]),
            ..NotificationMessage::default()
        };
        assert_eq!(after_a_refresh(plan::EVENTS, &ended).await, lost);
        let keep_alive = |sequence_number| NotificationMessage { sequence_number, ..Default::default() };
        assert_eq!(after_a_refresh(plan::EVENTS, &keep_alive(3)).await, lost, "the second did not come");
        assert_eq!(after_a_refresh(plan::EVENTS, &keep_alive(2)).await, []);
        let required = of_events(2, &[ObjectTypeId::RefreshRequiredEventType]);
        assert_eq!(after_a_refresh(plan::EVENTS, &required).await, lost);
        assert_eq!(after_a_refresh(0, &ended).await, [], "it is of points");
    }

    #[tokio::test]
    async fn values_lost_in_the_servers_queue_are_counted_and_the_next_is_uncertain() {
        let (notices, mut receiver) = notices(Group::bare());
        let lost = DataValue { status: Some(StatusCode::from(0x480)), ..value(20.0, 1000) };
        notices.take(&Pulse::default(), &message(1, &[lost]));
        let reports = receiver.recv(10).await.expect("open");
        assert!(
            matches!(reports[0], Report::Link { link: Link::Up, .. }),
            "a value says that the link is up"
        );
        let Some(Report::Sample(sample)) = reports.get(1) else { panic!("{reports:?}") };
        assert_eq!(sample.quality, Quality::Uncertain(UncertainReason::Overflow));
        let skips = notices.out.tally().counts().skips;
        let counted = skips.get(&("TT-201".to_owned(), "lost in the server's queue"));
        assert_eq!(counted.map(|skipped| skipped.count), Some(1));
    }
}
