//! What a poller has told of its device: how the link is, and what each point was last told.
//!
//! A failure is told once for each run of failures, to the points and, in one sentence, to the log. A value
//! is told once, when it was read: nothing here keeps one.

use riskgate_point::{BadReason, Link, Report, Sample};

use super::plan::Read;
use super::{Device, Point};
use crate::Clock;
use crate::intake::Sender;

pub(super) struct Teller<'d> {
    device: &'d Device,
    out: &'d Sender,
    clock: Clock,
    /// What was last reported of the link.
    up: Option<bool>,
    /// Of each point by its place: what it was last told, if that was a failure.
    told: Vec<Option<BadReason>>,
    /// Places of points that no legal read fetches.
    unreadable: Vec<usize>,
    /// Something was sent in this cycle.
    sent: bool,
}

impl<'d> Teller<'d> {
    pub(super) fn new(device: &'d Device, unreadable: Vec<usize>, out: &'d Sender, clock: Clock) -> Self {
        Self { device, out, clock, up: None, told: vec![None; device.points.len()], unreadable, sent: false }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up == Some(true)
    }

    /// It was told to be down, and has not answered since.
    pub(super) fn is_down(&self) -> bool {
        self.up == Some(false)
    }

    pub(super) fn connecting(&mut self) {
        self.link(Link::Connecting);
        self.unreadable();
    }

    /// A new cycle.
    pub(super) fn begin(&mut self) {
        self.sent = false;
    }

    /// The cycle is over. A device all of whose points are held says nothing; its driver still lives.
    pub(super) fn end(&mut self) {
        if !self.sent {
            self.send(Vec::new());
        }
    }

    pub(super) fn up(&mut self) {
        if !self.is_up() {
            self.up = Some(true);
            // The pump tells it in the log, with the source's name.
            tracing::debug!(source = self.device.source.0, endpoint = %self.device.endpoint, "modbus link is up");
            self.link(Link::Up);
            self.unreadable();
        }
    }

    /// Once for each change; the tries that follow are not told.
    pub(super) fn down(&mut self, why: String) {
        if self.is_down() {
            tracing::debug!(source = self.device.source.0, "still down: {why}");
        } else {
            self.up = Some(false);
            tracing::debug!(source = self.device.source.0, "modbus link is down: {why}");
            self.link(Link::Down { why });
        }
        let readable: Vec<usize> =
            (0..self.told.len()).filter(|place| !self.unreadable.contains(place)).collect();
        self.bad_where(readable.into_iter(), |told| {
            (told != Some(BadReason::CommFailure)).then_some(BadReason::CommFailure)
        });
    }

    /// What a read brought.
    pub(super) fn samples(&mut self, read: &Read, samples: Vec<Report>) {
        let mut again = false;
        for place in &read.points {
            if let Some(told) = self.told.get_mut(*place) {
                again |= told.take().is_some();
            }
        }
        if again {
            let (table, address, count) = (read.table.word(), read.address, read.count);
            tracing::info!(source = self.device.source.0, table, address, count, "read again");
        }
        self.send(samples);
    }

    /// The device has said so, each time anew. True: it is news to one of the points.
    pub(super) fn bad_said(&mut self, read: &Read, reason: BadReason) -> bool {
        let told = |place: &usize| self.told.get(*place).is_some_and(|told| *told != Some(reason));
        let news = read.points.iter().any(told);
        self.bad_where(read.points.iter().copied(), |_| Some(reason));
        news
    }

    /// Those of the read that were not told so.
    pub(super) fn bad(&mut self, read: &Read, reason: BadReason) {
        self.bad_where(read.points.iter().copied(), |told| (told != Some(reason)).then_some(reason));
    }

    /// Those of the read that were told no failure yet.
    pub(super) fn bad_unless_told(&mut self, read: &Read, reason: BadReason) {
        self.bad_where(read.points.iter().copied(), |told| told.is_none().then_some(reason));
    }

    fn bad_where(
        &mut self,
        places: impl Iterator<Item = usize>,
        reason: impl Fn(Option<BadReason>) -> Option<BadReason>,
    ) {
        let now = (self.clock)();
        let mut reports = Vec::new();
        for place in places {
            let (Some(told), Some(point)) = (self.told.get_mut(place), self.device.points.get(place)) else {
                continue;
            };
            if let Some(reason) = reason(*told) {
                *told = Some(reason);
                reports.push(Report::Sample(Sample::bad(point.point, reason, now)));
            }
        }
        if !reports.is_empty() {
            self.send(reports);
        }
    }

    fn unreadable(&mut self) {
        let now = (self.clock)();
        let points = self.unreadable.iter().filter_map(|place| self.device.points.get(*place));
        let bad = |point: &Point| Report::Sample(Sample::bad(point.point, BadReason::ConfigError, now));
        let reports: Vec<Report> = points.map(bad).collect();
        if !reports.is_empty() {
            tracing::warn!(
                source = self.device.source.0,
                points = reports.len(),
                "points that run over the end of their table, or take more than registers_max"
            );
            self.send(reports);
        }
    }

    fn link(&mut self, link: Link) {
        self.send(vec![Report::Link { source: self.device.source, link, at: (self.clock)() }]);
    }

    fn send(&mut self, reports: Vec<Report>) {
        self.sent = true;
        self.out.send(reports);
    }
}
