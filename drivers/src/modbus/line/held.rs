//! What only the one who holds the line may touch: its connection, and what is known of it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::super::Framing;
use super::super::fault::{Exception, Fault};
use super::super::frame::ear::{Ear, Silence};
use super::super::frame::owed::Owed;
use super::super::frame::tcp::Asked;
use super::super::frame::{Answer, Reply, Request, rtu};
use super::Pace;
use super::dial_in::Arrivals;
use super::endpoint::{Endpoint, Port};
use super::hosts::Hosts;
use super::serial::Serial;
use super::wire::{Heard, Patience, Wire};
use crate::tally::Tally;

/// Behind a converter the serial line's own quiet time is the converter's to keep; this is for what it may
/// still send when a reply seems whole.
const QUIET_BEHIND_CONVERTER: Duration = Duration::from_millis(5);
/// Later than this no reply comes any more. A device on our own wire has none left after so long...
const OWED_ON_OUR_WIRE: Duration = Duration::from_secs(10);
/// ...and no converter and no network on the way holds one for longer...
const OWED_BEHIND_OTHERS: Duration = Duration::from_secs(60);
/// ...nor is any device later than so many times what it is given.
const OWED_TIMEOUTS: u32 = 4;
/// A connection that is kept after failures is made anew when it has answered nothing for so long: an
/// adapter may hang, and a DTU may be gone without a word.
const UNANSWERED_MAX: Duration = Duration::from_secs(60);

pub(super) struct Held {
    way: Way,
    framing: Framing,
    /// The connection lives on after a failure.
    kept: bool,
    quiet: Duration,
    heartbeats: Vec<Vec<u8>>,
    wire: Option<Wire>,
    /// Counted on over all connections, so that a reply to an old one's request does not fit a new one's.
    transaction: u16,
    /// When the last exchange ended, cleanly or not.
    ended: Option<Instant>,
    /// Of the last exchange.
    round_trip: Duration,
    /// Since when nothing that was asked on this connection has been answered.
    unanswered: Option<Instant>,
    /// The last try to connect that failed. Who had been waiting for the line meanwhile is told the same.
    failed: Option<(Instant, Fault)>,
    born: Instant,
    owed: Owed,
    rests: HashMap<u8, Instant>,
    echo_is_told: bool,
}

/// How a connection comes about.
enum Way {
    Tcp(Hosts),
    Serial(Port),
    DialIn(Arrivals),
    #[cfg(any(test, feature = "sim"))]
    Memory(Box<dyn FnMut() -> Option<tokio::io::DuplexStream> + Send>),
}

/// One question, by one device.
#[derive(Clone, Copy)]
struct Question {
    device_id: u8,
    request: Request,
    pace: Pace,
}

impl Held {
    pub(super) fn new(endpoint: &Endpoint, arrivals: &Arrivals) -> Self {
        let framing = endpoint.framing();
        let (way, kept, quiet, heartbeats) = match endpoint {
            Endpoint::Tcp { main, second, framing } => {
                let hosts = Hosts::new(main.clone(), second.clone(), *framing);
                (Way::Tcp(hosts), false, QUIET_BEHIND_CONVERTER, Vec::new())
            }
            Endpoint::Serial(port) => (Way::Serial(port.clone()), true, port.quiet(), Vec::new()),
            Endpoint::DialIn(dial_in) => {
                let heartbeats = dial_in.heartbeat.iter().cloned().collect();
                (Way::DialIn(arrivals.clone()), true, QUIET_BEHIND_CONVERTER, heartbeats)
            }
        };
        let now = Instant::now();
        Self {
            way,
            framing,
            kept,
            quiet,
            heartbeats,
            wire: None,
            transaction: fastrand::u16(..),
            ended: None,
            round_trip: Duration::ZERO,
            unanswered: None,
            failed: None,
            born: now,
            owed: Owed::default(),
            rests: HashMap::new(),
            echo_is_told: false,
        }
    }

    #[cfg(any(test, feature = "sim"))]
    pub(super) fn over_memory(
        &mut self,
        connect: impl FnMut() -> Option<tokio::io::DuplexStream> + Send + 'static,
    ) {
        self.way = Way::Memory(Box::new(connect));
    }

    /// Of the last exchange, from the request to its answer.
    pub(super) fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Until when the device is to be left alone, if it is.
    pub(super) fn rests(&self, device_id: u8) -> Option<Instant> {
        self.rests.get(&device_id).copied().filter(|until| *until > Instant::now())
    }

    pub(super) async fn ask(
        &mut self,
        device_id: u8,
        request: Request,
        pace: Pace,
        asked_at: Instant,
        tally: &Tally,
    ) -> Result<Reply, Fault> {
        let question = Question { device_id, request, pace };
        let wire = match self.newer(pace.connect_timeout) {
            Some(newer) => Some(self.begun(newer, pace, tally).await),
            None => self.idle_wire(),
        };
        if let Some(wire) = wire {
            let asked = self.exchange_unless_replaced(wire, question).await;
            if !matches!(asked, Err(Fault::Broken { .. })) {
                return asked;
            }
        }
        if let Some((_, fault)) = self.failed.as_ref().filter(|(at, _)| *at > asked_at) {
            return Err(fault.clone());
        }
        let wire = match self.connect(pace.connect_timeout).await {
            Ok(wire) => self.begun(wire, pace, tally).await,
            Err(fault) => {
                self.failed = Some((Instant::now(), fault.clone()));
                return Err(fault);
            }
        };
        let asked = self.exchange_unless_replaced(wire, question).await;
        if matches!(asked, Err(Fault::Broken { .. }))
            && let Some(newer) = self.newer(pace.connect_timeout)
        {
            let wire = self.begun(newer, pace, tally).await;
            return self.exchange_unless_replaced(wire, question).await;
        }
        asked
    }

    /// A connection that is to be used instead of the one that is there. Never waits.
    fn newer(&mut self, limit: Duration) -> Option<Wire> {
        match &mut self.way {
            Way::Tcp(hosts) => hosts.returned(limit).map(Wire::new),
            Way::DialIn(arrivals) => arrivals.take().map(Wire::new),
            Way::Serial(_) => None,
            #[cfg(any(test, feature = "sim"))]
            Way::Memory(_) => None,
        }
    }

    async fn begun(&mut self, wire: Wire, pace: Pace, tally: &Tally) -> Wire {
        tally.connected();
        self.wire = None;
        self.failed = None;
        self.unanswered = None;
        if !pace.connect_pause.is_zero() {
            sleep(pace.connect_pause).await;
        }
        wire
    }

    /// The connection, where it is fit for a request.
    fn idle_wire(&mut self) -> Option<Wire> {
        let wire = self.wire.take()?;
        match (self.framing, self.kept) {
            (Framing::Tcp, false) => wire.if_idle(),
            (Framing::Tcp, true) => wire.emptied(),
            // What came meanwhile is read off before the request.
            (Framing::Rtu, _) => Some(wire),
        }
    }

    async fn connect(&mut self, limit: Duration) -> Result<Wire, Fault> {
        match &mut self.way {
            Way::Tcp(hosts) => hosts.connect(limit).await.map(Wire::new),
            Way::Serial(port) => match timeout(limit, Serial::open(port)).await {
                Ok(opened) => opened.map(Wire::new).map_err(|source| Fault::Port { source: source.into() }),
                Err(_) => Err(Fault::Unreachable(limit)),
            },
            Way::DialIn(arrivals) => arrivals.wait(limit).await.map(Wire::new),
            #[cfg(any(test, feature = "sim"))]
            Way::Memory(connect) => connect().map(Wire::new).ok_or(Fault::Unreachable(limit)),
        }
    }

    /// A device that dials in anew has left its old connection.
    async fn exchange_unless_replaced(&mut self, wire: Wire, question: Question) -> Result<Reply, Fault> {
        let arrivals = match &self.way {
            Way::DialIn(arrivals) => Some(arrivals.clone()),
            Way::Tcp(_) | Way::Serial(_) => None,
            #[cfg(any(test, feature = "sim"))]
            Way::Memory(_) => None,
        };
        let Some(arrivals) = arrivals else { return self.exchange(wire, question).await };
        tokio::select! {
            biased;
            answer = self.exchange(wire, question) => answer,
            () = arrivals.arrived() => {
                let source = std::io::Error::other("the device has dialled in anew");
                Err(Fault::Broken { source: source.into() })
            }
        }
    }

    /// Gives the connection back only where the next reply on it can be none but the next request's.
    async fn exchange(&mut self, mut wire: Wire, question: Question) -> Result<Reply, Fault> {
        let exchanged = match self.framing {
            Framing::Tcp => self.exchange_tcp(&mut wire, question).await,
            Framing::Rtu => self.exchange_rtu(&mut wire, question).await,
        };
        match exchanged {
            Ok(answer) => {
                self.answered();
                self.wire = Some(wire);
                match answer {
                    Answer::Values(reply) => Ok(reply),
                    Answer::Exception(code) => Err(Fault::Exception(Exception(code))),
                }
            }
            Err(fault) => {
                let since = *self.unanswered.get_or_insert_with(Instant::now);
                let is_hopeless = since.elapsed() > UNANSWERED_MAX;
                if self.kept && self.is_in_step_after(&fault) && !is_hopeless {
                    self.wire = Some(wire);
                } else if let Way::Tcp(hosts) = &mut self.way
                    && !wire.has_answered
                {
                    hosts.was_silent();
                }
                Err(fault)
            }
        }
    }

    fn answered(&mut self) {
        self.unanswered = None;
        if let Way::Tcp(hosts) = &mut self.way {
            hosts.answered();
        }
    }

    /// Where the next frame begins is known, or can be found out.
    fn is_in_step_after(&self, fault: &Fault) -> bool {
        match fault {
            Fault::NoReply(_) | Fault::Exception(_) => true,
            Fault::Mismatch(_) | Fault::Length(_) => self.framing == Framing::Rtu,
            Fault::Refused { .. }
            | Fault::Port { .. }
            | Fault::Neither { .. }
            | Fault::Absent { .. }
            | Fault::Unreachable(_)
            | Fault::Broken { .. }
            | Fault::NotAsked => false,
        }
    }

    async fn exchange_tcp(&mut self, wire: &mut Wire, question: Question) -> Result<Answer, Fault> {
        let Question { device_id, request, pace } = question;
        if let Some(ended) = self.ended.filter(|_| !pace.pause.is_zero()) {
            sleep_until(ended + pace.pause).await;
        }
        self.transaction = self.transaction.wrapping_add(1);
        let asked = Asked { transaction: self.transaction, device_id, request };
        let patience = Patience {
            timeout: pace.timeout,
            on_the_wire: Duration::ZERO,
            heartbeats: &self.heartbeats,
            kept: self.kept,
        };
        let began = Instant::now();
        let exchanged = wire.exchange_tcp(asked, patience).await;
        self.ended = Some(Instant::now());
        self.round_trip = began.elapsed();
        exchanged
    }

    /// A device that still owes a reply of the length that is wanted is asked for a part of it first.
    async fn exchange_rtu(&mut self, wire: &mut Wire, question: Question) -> Result<Answer, Fault> {
        let Question { device_id, request, pace } = question;
        let owed_max = match &self.way {
            Way::Serial(_) => OWED_ON_OUR_WIRE,
            Way::Tcp(_) | Way::DialIn(_) => OWED_BEHIND_OTHERS,
            #[cfg(any(test, feature = "sim"))]
            Way::Memory(_) => OWED_BEHIND_OTHERS,
        };
        let owed_max = owed_max.max(pace.timeout * OWED_TIMEOUTS);
        self.owed.forget(self.born.elapsed().saturating_sub(owed_max));
        if self.owed.could_be_mistaken(device_id, request) {
            let marker = self.owed.marker(device_id, request).ok_or(Fault::NoReply(pace.timeout))?;
            let marked = self.ask_rtu(wire, Question { request: marker, ..question }).await?;
            // After an exception that nobody can place, what is wanted is owed no longer, or still is.
            if let Err(silence) = marked
                && self.owed.could_be_mistaken(device_id, request)
            {
                return Err(silent(silence, pace));
            }
        }
        self.ask_rtu(wire, question).await?.map_err(|silence| silent(silence, pace))
    }

    async fn ask_rtu(
        &mut self,
        wire: &mut Wire,
        question: Question,
    ) -> Result<Result<Answer, Silence>, Fault> {
        let Question { device_id, request, pace } = question;
        // The rest that the device wants is one thing, the silence that ends what came is another: what is said
        // on the line within a long rest does not make it begin anew.
        if let Some(ended) = self.ended.filter(|_| !pace.pause.is_zero()) {
            sleep_until(ended + pace.pause).await;
        }
        wire.silence(self.ended, self.quiet, &mut self.owed).await?;
        let reply_bytes = usize::from(request.value_bytes()) + rtu::AROUND_VALUES;
        let on_the_wire = match &self.way {
            Way::Serial(port) => port.time_of(rtu::REQUEST_BYTES + reply_bytes),
            Way::Tcp(_) | Way::DialIn(_) => Duration::ZERO,
            #[cfg(any(test, feature = "sim"))]
            Way::Memory(_) => Duration::ZERO,
        };
        // Said before it is sent: a call that is cancelled leaves the question open.
        self.owed.ask(device_id, request, self.born.elapsed());
        self.rests.insert(device_id, Instant::now() + pace.timeout * 2 + on_the_wire);
        let patience =
            Patience { timeout: pace.timeout, on_the_wire, heartbeats: &self.heartbeats, kept: self.kept };
        let ear = Ear::new(device_id, request, &self.heartbeats);
        let began = Instant::now();
        let exchanged = wire.exchange_rtu(ear, &mut self.owed, patience).await;
        let now = Instant::now();
        self.ended = Some(now);
        self.round_trip = now - began;
        let heard = match exchanged? {
            Ok(heard) => heard,
            Err(silence) => {
                self.rests.insert(device_id, now + pace.timeout);
                return Ok(Err(silence));
            }
        };
        self.rests.remove(&device_id);
        let Heard { answer, echoed } = heard;
        if echoed && !self.echo_is_told {
            self.echo_is_told = true;
            tracing::info!("modbus: the adapter sends our own requests back; they are taken off");
        }
        Ok(Ok(answer))
    }
}

fn silent(silence: Silence, pace: Pace) -> Fault {
    match silence {
        Silence::Nothing => Fault::NoReply(pace.timeout),
        Silence::Misfit(misfit) => Fault::Mismatch(misfit),
        Silence::Doubtful(code) => Fault::Exception(Exception(code)),
    }
}
