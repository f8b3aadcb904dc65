//! One cycle of one device: every read that is due, once, and what came of it.
//!
//! An exception is an answer: it spoils the points of its own read only. Reports go out read by read, so
//! one that fails takes nothing away from those before it. First what is well is asked, then, in what is
//! left of the period, what was refused, and last what broke the connection; which that is, the agenda
//! knows. What a failure means for the connection is the line's to know.

use std::time::Duration;

use riskgate_point::{BadReason, Report};
use tokio::time::Instant;

use super::Device;
use super::agenda::{Agenda, Outcome, PieceId};
use super::decode;
use super::fault::{self, Exception, Fault};
use super::frame::{Reply, Request};
use super::line::{Line, Pace};
use super::memory::Memory;
use super::plan::{Plan, Read};
use super::rest::Rest;
use super::tell::Teller;
use crate::Clock;
use crate::intake::Sender;

/// Of the period, what the search for refused addresses may use up together with the reads that are well:
/// one over so many. At least one request of it is made in each cycle.
const SEARCH_SHARE: u32 = 2;

/// In the tally: under which reason a refused address is counted.
const REFUSED: &str = "refused_address";

pub(super) struct Cycles<'d> {
    device: &'d Device,
    line: &'d Line,
    out: &'d Sender,
    clock: Clock,
    started: Instant,
    agenda: Agenda,
    teller: Teller<'d>,
    memory: Memory,
    rest: Rest,
    age: Age,
    /// Refused by themselves for certain, and not told yet.
    proven: Vec<(Request, Exception)>,
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

/// A read that brought nothing.
struct Unread {
    fault: Fault,
    /// There is no use in asking for the other reads in this cycle.
    hopeless: bool,
}

/// What has come of the cycle so far.
#[derive(Default)]
struct So {
    answered: bool,
    /// Reads that the device did not answer, as they were asked.
    failures: Vec<(Request, Fault)>,
    /// There is no use in going on.
    over: bool,
}

impl<'d> Cycles<'d> {
    pub(super) fn new(device: &'d Device, line: &'d Line, out: &'d Sender, clock: Clock) -> Self {
        let plan = Plan::of(device);
        let teller = Teller::new(device, plan.unreadable.clone(), out, clock);
        Self {
            device,
            line,
            out,
            clock,
            started: Instant::now(),
            agenda: Agenda::of(plan, u64::from(device.source.0)),
            teller,
            memory: Memory::default(),
            rest: Rest::default(),
            age: Age::Fresh,
            proven: Vec::new(),
        }
    }

    /// Before the first one.
    pub(super) fn connecting(&mut self) {
        self.teller.connecting();
    }

    /// There is nothing that a read could fetch.
    pub(super) fn are_empty(&self) -> bool {
        self.agenda.is_empty()
    }

    /// Reads once what is due. False: nothing of it was answered.
    pub(super) async fn run(&mut self) -> bool {
        let search_until = Instant::now() + self.device.period / SEARCH_SHARE;
        if self.age == Age::Answered {
            self.age = Age::Old;
        }
        self.agenda.begin(self.now());
        self.teller.begin();
        let mut so = So::default();
        self.ask_live(&mut so).await;
        self.search(&mut so, search_until).await;
        if so.answered && self.rest.is_over() {
            self.try_silent(&mut so).await;
        }
        // Where nothing was due the device had no chance to fail.
        let well = so.answered || so.failures.is_empty();
        if so.answered {
            self.end_answered(so.failures);
        } else if !well {
            self.end_dead(so.failures);
        }
        self.teller.end();
        well
    }

    async fn ask_live(&mut self, so: &mut So) {
        while !so.over
            && let Some(id) = self.agenda.next_live()
        {
            self.fetch(id, so).await;
        }
    }

    /// In the time that is left looks for what exactly the device refuses, and whether it still does. What it
    /// found is told as one: at the end of the search, or, where that has no end because a table is asked for
    /// one point in each cycle, as soon as a cycle has found no more.
    async fn search(&mut self, so: &mut So, until: Instant) {
        let known = self.proven.len();
        while !so.over {
            let Some(id) = self.agenda.next_doubtful(self.now()) else {
                self.tell_proven();
                return;
            };
            self.fetch(id, so).await;
            self.ask_live(so).await;
            if Instant::now() >= until {
                break;
            }
        }
        if self.proven.len() == known {
            self.tell_proven();
        }
    }

    /// Until one breaks the connection again: then all of them rest.
    async fn try_silent(&mut self, so: &mut So) {
        while let Some(id) = self.agenda.next_silent() {
            let failures = so.failures.len();
            self.fetch(id, so).await;
            if so.failures.len() > failures {
                // It was told when it began.
                so.failures.truncate(failures);
                self.rest.lengthen();
                return;
            }
            self.rest = Rest::default();
            self.ask_live(so).await;
        }
    }

    /// Asks for one read, tells what came, and notes what follows from it.
    async fn fetch(&mut self, id: PieceId, so: &mut So) {
        let Some(read) = self.agenda.read(id).cloned() else { return };
        match self.ask_again(&read).await {
            Ok(Answer::Samples(samples)) => {
                so.answered = true;
                self.teller.up();
                self.teller.samples(&read, samples);
                self.agenda.answered(id);
            }
            Ok(Answer::Refusal(exception)) => {
                so.answered = true;
                self.teller.up();
                self.take_refusal(id, &read, exception);
            }
            Err(Unread { fault, hopeless }) => {
                // A device that was well has one more chance: it may be the first read that ails.
                let last_chance = !self.teller.is_up() || !so.failures.is_empty() || !fault.is_of_the_read();
                so.over = hopeless && last_chance;
                if self.agenda.broke(id, &self.device.points, self.now()) {
                    self.memory.failed(&read, fault.reason());
                    self.teller.bad(&read, fault.reason());
                }
                so.failures.push((request(&read), fault));
            }
        }
    }

    /// A device that answered in the cycle before is asked once more before anything is said: its connection
    /// may have died unnoticed while it was idle.
    async fn ask_again(&mut self, read: &Read) -> Result<Answer, Unread> {
        loop {
            match self.ask(read).await {
                Ok(answer) => {
                    self.age = Age::Answered;
                    return Ok(answer);
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

    async fn ask(&mut self, read: &Read) -> Result<Answer, Fault> {
        let Device { device_id, timeout, connect_timeout, pause, connect_pause, .. } = *self.device;
        let pace = Pace { timeout, connect_timeout, pause, connect_pause };
        let tally = self.out.tally();
        let asked = if self.teller.is_down() {
            self.line.probe(device_id, request(read), pace, tally).await
        } else {
            self.line.ask(device_id, request(read), pace, tally).await
        };
        let reply = match asked {
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
        let samples = decode::samples(read, &self.device.points, held, received, &mut self.memory);
        samples.map(Answer::Samples).map_err(Fault::Length)
    }

    /// The device refuses this read, and is well otherwise.
    fn take_refusal(&mut self, id: PieceId, read: &Read, exception: Exception) {
        if !exception.is_of_address() {
            if self.agenda.failed(id) {
                self.take_failure(read, exception);
            }
            return;
        }
        let outcome = self.agenda.refused(id, &self.device.points, exception, self.now());
        let (table, address, count) = (read.table.word(), read.address, read.count);
        tracing::debug!(source = self.device.source.0, table, address, count, "{exception}: {outcome:?}");
        match outcome {
            // Who of them it is, is found out first.
            Outcome::Parted | Outcome::Cut => return,
            Outcome::Held => {}
            Outcome::Proven => self.proven.push((request(read), exception)),
        }
        self.memory.failed(read, BadReason::RefusedAddress);
        self.teller.bad_said(read, BadReason::RefusedAddress);
    }

    /// The device answers, and has no values now. Said anew in each cycle: the device has said it anew.
    fn take_failure(&mut self, read: &Read, exception: Exception) {
        let reason = exception.reason();
        self.memory.failed(read, reason);
        if self.teller.bad_said(read, reason) {
            let why = self.sentence(request(read), &Fault::Exception(exception));
            tracing::warn!(source = self.device.source.0, "{why}");
        }
    }

    fn end_answered(&mut self, failures: Vec<(Request, Fault)>) {
        for (request, fault) in failures {
            let why = self.sentence(request, &fault);
            tracing::warn!(source = self.device.source.0, "{why}; the other points are read on");
        }
        self.agenda.end_answered();
        for (read, refused) in self.agenda.unanswered() {
            if refused {
                self.memory.failed(read, BadReason::RefusedAddress);
                self.teller.bad(read, BadReason::RefusedAddress);
            } else {
                self.memory.failed(read, BadReason::CommFailure);
                self.teller.bad_unless_told(read, BadReason::CommFailure);
            }
        }
        for (table, exception, n_points) in self.agenda.newly_refused() {
            let Device { endpoint, device_id, source, .. } = self.device;
            let why = fault::refused_table(endpoint, *device_id, exception, table, n_points);
            tracing::warn!(source = source.0, "{why}");
            self.out.tally().skipped(table.word(), REFUSED, || why);
        }
    }

    fn end_dead(&mut self, mut failures: Vec<(Request, Fault)>) {
        if let Some((request, fault)) = failures.pop() {
            self.teller.down(self.sentence(request, &fault));
        }
        for read in self.agenda.reads() {
            self.memory.failed(read, BadReason::CommFailure);
        }
        self.rest = Rest::default();
        self.agenda.end_dead();
    }

    /// In one sentence.
    fn tell_proven(&mut self) {
        let proven = std::mem::take(&mut self.proven);
        let Some((_, exception)) = proven.first() else { return };
        let Device { endpoint, device_id, source, .. } = self.device;
        let requests: Vec<Request> = proven.iter().map(|(request, _)| *request).collect();
        let why = fault::refused_points(endpoint, *device_id, *exception, &requests);
        tracing::warn!(source = source.0, points = proven.len(), "{why}");
        for (request, exception) in &proven {
            let place = format!("{} {}", request.table.word(), request.address);
            let example =
                || fault::refused_points(endpoint, *device_id, *exception, std::slice::from_ref(request));
            self.out.tally().skipped(&place, REFUSED, example);
        }
    }

    fn sentence(&self, request: Request, fault: &Fault) -> String {
        fault.sentence(&self.device.endpoint, self.device.device_id, request)
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

fn request(read: &Read) -> Request {
    Request { table: read.table, address: read.address, count: read.count }
}
