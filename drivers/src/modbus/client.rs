//! One task, one connection, one device: reads the plan's blocks on a fixed grid of time.
//!
//! After a timeout, a broken transport or a reply that does not fit, nobody can say which request the
//! next bytes answer. The connection is then dropped, never read again, and made anew. An exception is
//! an answer: it spoils the points of its own block only. Reports go out block by block, so a block
//! that fails takes nothing away from those read before it.
//!
//! A block that breaks the connection while the device answers others becomes a suspect: suspects are
//! read last, and no more of them after the first that breaks again, so that they cost their neighbours
//! no more than one timeout in a cycle. It asks with function codes 1 to 4 and holds no other.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use riskgate_point::{BadReason, Link, PointId, Report, Sample};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_modbus::client::{Client as _, Context, tcp};
use tokio_modbus::{Request, Response, Slave};
use tokio_util::sync::CancellationToken;

use super::decode::{self, Reply};
use super::fault::{Exception, Fault};
use super::memory::Memory;
use super::plan::{self, Plan, Read};
use super::{Device, Table};
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
    #[error("modbus {host}:{port}: a {setting} of zero cannot be kept")]
    ZeroDuration { host: String, port: u16, setting: &'static str },
}

/// Polls until told to stop; every failure of the device or the network is reported, then retried.
pub async fn run(config: &Device, out: &Sender, clock: Clock, stop: &CancellationToken) -> Result<(), Error> {
    for (setting, duration) in
        [("period", config.period), ("timeout", config.timeout), ("connect_timeout", config.connect_timeout)]
    {
        if duration.is_zero() {
            return Err(Error::ZeroDuration { host: config.host.clone(), port: config.port, setting });
        }
    }
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        never = Poller::new(config, out, clock).poll_forever() => match never {},
    }
}

struct Poller<'d> {
    device: &'d Device,
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
    connection: Option<Connection>,
    /// What was last reported of the link.
    up: Option<bool>,
    backoff: Backoff,
    memory: Memory,
}

struct Block {
    read: Read,
    /// What its points were last told, if that was a failure.
    told: Option<BadReason>,
    /// In this cycle, with values or with an exception.
    answered: bool,
    /// Cycles until it is due again.
    wait: u32,
}

struct Connection {
    context: Context,
    age: Age,
}

/// What a connection has been through, which says how much a failure on it means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    /// Left from the cycle before.
    Old,
    /// Made in this cycle, nothing answered yet.
    Fresh,
    /// The device has answered on it in this cycle.
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
    fn new(device: &'d Device, out: &'d Sender, clock: Clock) -> Self {
        let plan = Plan::of(device);
        let place = |place: &usize| device.points.get(*place).map(|point| point.point);
        Self {
            device,
            out,
            clock,
            unreadable: plan.unreadable.iter().filter_map(place).collect(),
            order: (0..plan.reads.len()).collect(),
            blocks: plan
                .reads
                .into_iter()
                .map(|read| Block { read, told: None, answered: false, wait: 0 })
                .collect(),
            suspects: VecDeque::new(),
            rest: Rest::default(),
            connection: None,
            up: None,
            backoff: Backoff::new(RETRY_MIN, RETRY_MAX, u64::from(device.source.0)),
            memory: Memory::default(),
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
        if let Some(connection) = &mut self.connection {
            connection.age = Age::Old;
        }
        for block in &mut self.blocks {
            block.answered = false;
            block.wait = block.wait.saturating_sub(1);
        }
        let mut failures: Vec<(usize, Fault)> = Vec::new();
        let is_due = |at: &usize| self.blocks.get(*at).is_some_and(|block| block.wait == 0);
        let due: Vec<usize> = self.order.iter().copied().filter(is_due).collect();
        if due.is_empty() {
            return true;
        }
        let healthy: Vec<usize> = due.into_iter().filter(|at| !self.suspects.contains(at)).collect();
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
                    fault.sentence(self.device, &block.read)
                );
                self.suspects.push_back(at);
            }
        }
        for at in 0..self.blocks.len() {
            // A suspect at rest keeps the reason that it was told.
            let is_missing = |block: &Block| !block.answered && block.wait == 0 && block.told.is_none();
            if self.blocks.get(at).is_some_and(is_missing) {
                self.tell_bad(at, BadReason::CommFailure);
            }
        }
    }

    /// Reads one block and reports what it holds; connects first where there is no connection.
    ///
    /// A connection left from the cycle before may have been ended while it was idle, and some devices
    /// end it after each answer: then the block is asked once more, on a new one, before anything is said.
    async fn fetch(&mut self, at: usize) -> Result<(), Unread> {
        let Some(block) = self.blocks.get(at) else { return Ok(()) };
        let mut device_answers = false;
        loop {
            // Taken out of its place, so that a read that ends in any but the expected way leaves none.
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => connect(self.device).await.map_err(|fault| Unread { fault, hopeless: true })?,
            };
            match ask(self.device, self.clock, &block.read, &mut connection, &mut self.memory).await {
                Ok(answer) => {
                    connection.age = Age::Answered;
                    self.connection = Some(connection);
                    self.take(at, answer);
                    return Ok(());
                }
                // The gateway is well; what is behind it is not.
                Err(fault @ Fault::Exception(_)) => {
                    let hopeless = connection.age != Age::Answered;
                    self.connection = Some(connection);
                    return Err(Unread { fault, hopeless });
                }
                Err(fault) => match connection.age {
                    Age::Old => tracing::debug!(source = self.device.source.0, "asked again: {fault}"),
                    Age::Answered if matches!(fault, Fault::Broken { .. }) => device_answers = true,
                    Age::Answered => return Err(Unread { fault, hopeless: false }),
                    Age::Fresh => return Err(Unread { fault, hopeless: !device_answers }),
                },
            }
        }
    }

    fn take(&mut self, at: usize, answer: Answer) {
        self.tell_up();
        if let Some(block) = self.blocks.get_mut(at) {
            block.answered = true;
            block.wait = block.read.every.get();
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
                Fault::Exception(exception).sentence(self.device, &block.read)
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
            tracing::debug!(source = source.0, host = %self.device.host, port = self.device.port, "modbus link is up");
            self.out.send(vec![Report::Link { source, link: Link::Up, at: (self.clock)() }]);
            self.tell_unreadable();
        }
    }

    /// Once for each change; the tries that follow are not told.
    fn tell_down(&mut self, at: usize, fault: &Fault) {
        let Some(block) = self.blocks.get(at) else { return };
        let why = fault.sentence(self.device, &block.read);
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
        for block in &mut self.blocks {
            block.wait = 0;
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
                "points that run over the end of their table, or take more than registers_max"
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
        self.memory.failed(&block.read, reason);
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

async fn connect(device: &Device) -> Result<Connection, Fault> {
    let opened = timeout(device.connect_timeout, async {
        let stream = TcpStream::connect((device.host.as_str(), device.port)).await?;
        // A request is one small segment: held back for the acknowledgement of the last it comes 40 ms late.
        stream.set_nodelay(true)?;
        Ok(stream)
    });
    let stream = opened
        .await
        .map_err(|_| Fault::Unreachable(device.connect_timeout))?
        .map_err(|source| Fault::Refused { source })?;
    Ok(Connection { context: tcp::attach_slave(stream, Slave(device.device_id)), age: Age::Fresh })
}

async fn ask(
    device: &Device,
    clock: Clock,
    read: &Read,
    connection: &mut Connection,
    memory: &mut Memory,
) -> Result<Answer, Fault> {
    let limit = device.timeout;
    let asked = timeout(limit, connection.context.call(request(read)));
    match asked.await.map_err(|_| Fault::NoReply(limit))? {
        Err(tokio_modbus::Error::Transport(source)) => Err(Fault::Broken { source }),
        Err(tokio_modbus::Error::Protocol(error)) => Err(Fault::Mismatch(mismatch(&error))),
        Ok(Err(code)) => {
            let exception = Exception(u8::from(code));
            if exception.is_of_gateway() {
                return Err(Fault::Exception(exception));
            }
            Ok(Answer::Refusal(exception))
        }
        Ok(Ok(response)) => {
            let received = clock();
            let samples = decode::samples(read, &device.points, reply(&response), received, memory);
            samples.map(Answer::Samples).map_err(Fault::Length)
        }
    }
}

/// The four questions that riskgate ever puts to a device.
fn request(read: &Read) -> Request<'static> {
    match read.table {
        Table::Coil => Request::ReadCoils(read.address, read.count),
        Table::Discrete => Request::ReadDiscreteInputs(read.address, read.count),
        Table::Holding => Request::ReadHoldingRegisters(read.address, read.count),
        Table::Input => Request::ReadInputRegisters(read.address, read.count),
    }
}

/// Through `call`, not the library's `read_…`: those assert the length of a reply, and panic.
fn reply(response: &Response) -> Reply<'_> {
    if let Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits) = response {
        Reply::Bits(bits)
    } else if let Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) = response {
        Reply::Registers(words)
    } else {
        // Another function's answer holds none of what was asked for.
        Reply::Registers(&[])
    }
}

fn mismatch(error: &tokio_modbus::ProtocolError) -> String {
    match error {
        tokio_modbus::ProtocolError::HeaderMismatch { message, .. } => message.clone(),
        tokio_modbus::ProtocolError::FunctionCodeMismatch { request, .. } => {
            format!("it does not answer function {request}")
        }
    }
}

#[cfg(test)]
mod tests;
