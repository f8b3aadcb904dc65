//! One task for one device: reads the plan's blocks over its line on a fixed grid of time.
//!
//! An exception is an answer: it spoils the points of its own block only. Reports go out block by block,
//! so a block that fails takes nothing away from those read before it. What a failure means for the
//! connection is the line's to know.
//!
//! A block that breaks the connection while the device answers others becomes a suspect: suspects are
//! read last, and no more of them after the first that breaks again, so that they cost their neighbours
//! no more than one timeout in a cycle. It asks with function codes 1 to 4 and holds no other.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use riskgate_point::{BadReason, Link, PointId, Report, Sample};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use super::Device;
use super::decode;
use super::fault::{Exception, Fault};
use super::frame::{Reply, Request};
use super::line::{Endpoint, Line, Pace};
use super::plan::{self, Plan, Read};
use crate::Clock;
use crate::backoff::Backoff;
use crate::intake::Sender;

/// The shortest wait before a dead device is tried again, and the longest: at most so much later than
/// the device itself are its samples back. A hundred dead devices at the longest make 20 tries a second.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The first reads of all devices spread over this time, so that the first sample is there soon.
const FIRST_SPREAD: Duration = Duration::from_millis(250);
/// Cycles that suspects are left alone after one broke the connection again, at most.
const REST_CYCLES_MAX: u32 = 8;

/// Why a device cannot be polled at all. What a device or a network does is never an error here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("modbus {endpoint}: a {setting} of zero cannot be kept")]
    ZeroDuration { endpoint: Endpoint, setting: &'static str },
}

/// Polls until told to stop; every failure of the device or the network is reported, then retried.
/// `line` is that of the device's endpoint, shared with the other devices behind it.
pub async fn run(
    config: &Device,
    line: &Line,
    out: &Sender,
    clock: Clock,
    stop: &CancellationToken,
) -> Result<(), Error> {
    for (setting, duration) in
        [("period", config.period), ("timeout", config.timeout), ("connect_timeout", config.connect_timeout)]
    {
        if duration.is_zero() {
            return Err(Error::ZeroDuration { endpoint: config.endpoint.clone(), setting });
        }
    }
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        never = Poller::new(config, line, out, clock).poll_forever() => match never {},
    }
}

struct Poller<'d> {
    device: &'d Device,
    line: &'d Line,
    out: &'d Sender,
    clock: Clock,
    blocks: Vec<Block>,
    /// In which order the blocks are asked.
    order: Vec<usize>,
    /// Points that no legal read fetches.
    unreadable: Vec<PointId>,
    /// Blocks that broke the connection while others were answered; the one to try next stands first.
    suspects: VecDeque<usize>,
    rest: Rest,
    age: Age,
    /// What was last reported of the link.
    up: Option<bool>,
    backoff: Backoff,
}

struct Block {
    read: Read,
    /// What its points were last told, if that was a failure.
    told: Option<BadReason>,
    /// In this cycle, with values or with an exception.
    answered: bool,
}

/// What the device has last done, which says how much a failure means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    /// It answered in the cycle before.
    Old,
    /// It has failed since it last answered.
    Fresh,
    /// It has answered in this cycle.
    Answered,
}

/// What a device that is well can answer.
enum Answer {
    Samples(Vec<Report>),
    Refusal(Exception),
}

/// For how many cycles the suspects are left alone.
#[derive(Default)]
struct Rest {
    left: u32,
    next: u32,
}

/// A block that brought nothing.
struct Unread {
    fault: Fault,
    /// There is no use in asking for the other blocks in this cycle.
    hopeless: bool,
}

impl<'d> Poller<'d> {
    fn new(device: &'d Device, line: &'d Line, out: &'d Sender, clock: Clock) -> Self {
        let plan = Plan::of(device);
        let place = |place: &usize| device.points.get(*place).map(|point| point.point);
        Self {
            device,
            line,
            out,
            clock,
            unreadable: plan.unreadable.iter().filter_map(place).collect(),
            order: (0..plan.reads.len()).collect(),
            blocks: plan.reads.into_iter().map(|read| Block { read, told: None, answered: false }).collect(),
            suspects: VecDeque::new(),
            rest: Rest::default(),
            age: Age::Fresh,
            up: None,
            backoff: Backoff::new(RETRY_MIN, RETRY_MAX, u64::from(device.source.0)),
        }
    }

    async fn poll_forever(mut self) -> Infallible {
        let Device { source, period, .. } = *self.device;
        let first = plan::phase(source, period.min(FIRST_SPREAD));
        let mut grid = interval_at(Instant::now() + plan::phase(source, period), period);
        grid.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.out.send(vec![Report::Link { source, link: Link::Connecting, at: (self.clock)() }]);
        self.tell_unreadable();
        if self.blocks.is_empty() {
            return std::future::pending().await;
        }
        sleep(first).await;
        loop {
            if self.cycle().await {
                self.backoff.reset();
                grid.tick().await;
            } else {
                sleep(self.backoff.next()).await;
            }
        }
    }

    /// Reads every block once. False: nothing answered.
    async fn cycle(&mut self) -> bool {
        if self.age == Age::Answered {
            self.age = Age::Old;
        }
        for block in &mut self.blocks {
            block.answered = false;
        }
        let mut failures: Vec<(usize, Fault)> = Vec::new();
        let healthy: Vec<usize> =
            self.order.iter().copied().filter(|at| !self.suspects.contains(at)).collect();
        for at in healthy {
            if let Err(Unread { fault, hopeless }) = self.fetch(at).await {
                self.tell_bad(at, fault.reason());
                // A device that was well has one more chance: it may be the first block that ails.
                let last_chance = self.up != Some(true) || !failures.is_empty() || !fault.is_of_the_read();
                failures.push((at, fault));
                if hopeless && last_chance {
                    break;
                }
            }
        }
        if self.has_answered() && self.rest.is_over() {
            self.try_suspects().await;
        }
        if self.has_answered() {
            self.end_answered(failures);
            return true;
        }
        if let Some((at, fault)) = failures.pop() {
            self.tell_down(at, &fault);
        }
        // The device is at fault, not one block of it; or it is the block that was asked first. So the
        // next try begins with another.
        self.suspects.clear();
        self.rest = Rest::default();
        self.order.rotate_left(1);
        false
    }

    fn has_answered(&self) -> bool {
        self.blocks.iter().any(|block| block.answered)
    }

    /// Until one breaks again. What was answered is no suspect any more.
    async fn try_suspects(&mut self) {
        while let Some(at) = self.suspects.pop_front() {
            if self.fetch(at).await.is_err() {
                self.suspects.push_back(at);
                self.rest.lengthen();
                return;
            }
            self.rest = Rest::default();
        }
    }

    fn end_answered(&mut self, failures: Vec<(usize, Fault)>) {
        for (at, fault) in failures {
            if fault.is_of_the_read()
                && let Some(block) = self.blocks.get(at)
            {
                tracing::warn!(
                    source = self.device.source.0,
                    "{}; the other points are read on",
                    fault.sentence(&self.device.endpoint, self.device.device_id, request(&block.read))
                );
                self.suspects.push_back(at);
            }
        }
        for at in 0..self.blocks.len() {
            // A suspect at rest keeps the reason that it was told.
            if self.blocks.get(at).is_some_and(|block| !block.answered && block.told.is_none()) {
                self.tell_bad(at, BadReason::CommFailure);
            }
        }
    }

    /// Reads one block and reports what it holds.
    ///
    /// A device that answered in the cycle before is asked once more before anything is said: its connection
    /// may have died unnoticed while it was idle.
    async fn fetch(&mut self, at: usize) -> Result<(), Unread> {
        let Some(block) = self.blocks.get(at) else { return Ok(()) };
        loop {
            match self.ask(&block.read).await {
                Ok(answer) => {
                    self.age = Age::Answered;
                    self.take(at, answer);
                    return Ok(());
                }
                // The gateway is well; what is behind it is not.
                Err(fault @ Fault::Exception(_)) => {
                    return Err(Unread { fault, hopeless: self.age != Age::Answered });
                }
                Err(fault) => match self.age {
                    Age::Old => {
                        self.age = Age::Fresh;
                        tracing::debug!(source = self.device.source.0, "asked again: {fault}");
                    }
                    Age::Answered => {
                        self.age = Age::Fresh;
                        return Err(Unread { fault, hopeless: false });
                    }
                    Age::Fresh => return Err(Unread { fault, hopeless: true }),
                },
            }
        }
    }

    async fn ask(&self, read: &Read) -> Result<Answer, Fault> {
        let Device { device_id, timeout, connect_timeout, pause, connect_pause, .. } = *self.device;
        let pace = Pace { timeout, connect_timeout, pause, connect_pause };
        let reply = match self.line.ask(device_id, request(read), pace).await {
            Err(Fault::Exception(exception)) if !exception.is_of_gateway() => {
                return Ok(Answer::Refusal(exception));
            }
            asked => asked?,
        };
        let received = (self.clock)();
        let held = match &reply {
            Reply::Registers(words) => decode::Reply::Registers(words),
            Reply::Bits(bits) => decode::Reply::Bits(bits),
        };
        let samples = decode::samples(read, &self.device.points, held, received);
        samples.map(Answer::Samples).map_err(Fault::Length)
    }

    fn take(&mut self, at: usize, answer: Answer) {
        self.tell_up();
        if let Some(block) = self.blocks.get_mut(at) {
            block.answered = true;
        }
        match answer {
            Answer::Samples(samples) => self.take_samples(at, samples),
            Answer::Refusal(exception) => self.take_refusal(at, exception),
        }
    }

    fn take_samples(&mut self, at: usize, samples: Vec<Report>) {
        if let Some(block) = self.blocks.get_mut(at)
            && block.told.take().is_some()
        {
            tracing::info!(
                source = self.device.source.0,
                table = block.read.table.word(),
                address = block.read.address,
                "block is read again"
            );
        }
        self.out.send(samples);
    }

    /// The device refuses this block, and is well otherwise.
    fn take_refusal(&mut self, at: usize, exception: Exception) {
        let reason = exception.reason();
        if let Some(block) = self.blocks.get(at)
            && block.told != Some(reason)
        {
            tracing::warn!(
                source = self.device.source.0,
                "{}",
                Fault::Exception(exception).sentence(
                    &self.device.endpoint,
                    self.device.device_id,
                    request(&block.read)
                )
            );
        }
        // Said anew in each cycle: the device has said it anew.
        self.send_bad(at, reason);
    }

    fn tell_up(&mut self) {
        if self.up != Some(true) {
            self.up = Some(true);
            let source = self.device.source;
            // The pump tells it in the log, with the source's name.
            tracing::debug!(source = source.0, endpoint = %self.device.endpoint, "modbus link is up");
            self.out.send(vec![Report::Link { source, link: Link::Up, at: (self.clock)() }]);
            self.tell_unreadable();
        }
    }

    /// Once for each change; the tries that follow are not told.
    fn tell_down(&mut self, at: usize, fault: &Fault) {
        let Some(block) = self.blocks.get(at) else { return };
        let why = fault.sentence(&self.device.endpoint, self.device.device_id, request(&block.read));
        if self.up == Some(false) {
            tracing::debug!(source = self.device.source.0, "still down: {why}");
        } else {
            self.up = Some(false);
            let source = self.device.source;
            tracing::debug!(source = source.0, "modbus link is down: {why}");
            self.out.send(vec![Report::Link { source, link: Link::Down { why }, at: (self.clock)() }]);
        }
        for at in 0..self.blocks.len() {
            self.tell_bad(at, BadReason::CommFailure);
        }
    }

    fn tell_unreadable(&self) {
        let now = (self.clock)();
        let bad = |point: &PointId| Report::Sample(Sample::bad(*point, BadReason::ConfigError, now));
        let reports: Vec<Report> = self.unreadable.iter().map(bad).collect();
        if !reports.is_empty() {
            tracing::warn!(
                source = self.device.source.0,
                points = reports.len(),
                "32-bit points that run over the end of their table, or registers_max of 1"
            );
            self.out.send(reports);
        }
    }

    /// Once for each run of failures.
    fn tell_bad(&mut self, at: usize, reason: BadReason) {
        if self.blocks.get(at).is_some_and(|block| block.told != Some(reason)) {
            self.send_bad(at, reason);
        }
    }

    fn send_bad(&mut self, at: usize, reason: BadReason) {
        let Some(block) = self.blocks.get_mut(at) else { return };
        block.told = Some(reason);
        let now = (self.clock)();
        let points = block.read.points.iter().filter_map(|place| self.device.points.get(*place));
        self.out.send(points.map(|point| Report::Sample(Sample::bad(point.point, reason, now))).collect());
    }
}

impl Rest {
    /// Counts one cycle down.
    fn is_over(&mut self) -> bool {
        let over = self.left == 0;
        self.left = self.left.saturating_sub(1);
        over
    }

    fn lengthen(&mut self) {
        self.left = self.next;
        self.next = (self.next * 2).clamp(1, REST_CYCLES_MAX);
    }
}

fn request(read: &Read) -> Request {
    Request { table: read.table, address: read.address, count: read.count }
}

#[cfg(test)]
mod tests;
