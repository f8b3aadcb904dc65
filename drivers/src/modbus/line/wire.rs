//! One connection's bytes: sends a request, gathers what comes until it is an answer or can be none.

use std::io;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::super::fault::Fault;
use super::super::frame::ear::{Ear, Silence, overhear};
use super::super::frame::owed::Owed;
use super::super::frame::tcp::{Asked, Frame};
use super::super::frame::{Answer, Misfit, rtu, tcp};

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(super) struct Wire {
    stream: Box<dyn Stream>,
    /// Empty between two exchanges; kept for its room.
    came: Vec<u8>,
    /// Something was answered on it.
    pub(super) has_answered: bool,
}

/// How long an exchange may take, and what is passed over meanwhile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience<'h> {
    /// From the moment when the request has been sent.
    pub(super) timeout: Duration,
    /// What request and reply take on a serial wire.
    pub(super) on_the_wire: Duration,
    pub(super) heartbeats: &'h [Vec<u8>],
    /// The connection cannot be made anew by us, so it is kept after a failure, and what comes late is told
    /// by its transaction.
    pub(super) kept: bool,
}

/// A line that is not silent for so many quiet times is not waited for any longer.
const BABBLE_MAX: u32 = 50;

impl Wire {
    pub(super) fn new(stream: impl Stream + 'static) -> Self {
        let room = tcp::FRAME_BYTES_MAX.max(rtu::FRAME_BYTES_MAX);
        Self { stream: Box::new(stream), came: Vec::with_capacity(room), has_answered: false }
    }

    /// What came while nothing was asked. `None`: nothing. Never waits.
    fn unasked(&mut self) -> Option<io::Result<usize>> {
        self.stream.read_buf(&mut self.came).now_or_never()
    }

    /// `None`: the other side has ended it, or has said something that nobody asked for.
    pub(super) fn if_idle(mut self) -> Option<Self> {
        self.unasked().is_none().then_some(self)
    }

    /// Reads off what nobody asked for. `None`: the other side has ended it.
    pub(super) fn emptied(mut self) -> Option<Self> {
        while let Some(read) = self.unasked() {
            if !matches!(read, Ok(1..)) {
                return None;
            }
            self.came.clear();
        }
        Some(self)
    }

    /// Waits until the line has been silent for `quiet`. Late answers that come meanwhile close their
    /// questions. `last` is when the last bytes went over the line.
    pub(super) async fn silence(
        &mut self,
        last: Option<Instant>,
        quiet: Duration,
        owed: &mut Owed,
    ) -> Result<(), Fault> {
        let mut silent_from = last;
        for _ in 0..BABBLE_MAX {
            if let Some(from) = silent_from {
                sleep_until(from + quiet).await;
            }
            let mut said = false;
            while let Some(read) = self.unasked() {
                said = true;
                match read {
                    Ok(0) => return Err(broken(io::ErrorKind::UnexpectedEof.into())),
                    Ok(_) => {}
                    Err(error) => return Err(broken(error)),
                }
                if let Some(device_id) = overhear(&mut self.came, owed) {
                    tracing::warn!("modbus device {device_id} answers one question twice");
                }
            }
            if !said {
                self.came.clear();
                return Ok(());
            }
            silent_from = Some(Instant::now());
        }
        Err(Fault::Mismatch(Misfit::Babble))
    }

    /// Not to be used again after a failure, nor when it was cancelled; but see [`Patience::kept`].
    pub(super) async fn exchange_tcp(
        &mut self,
        asked: Asked,
        patience: Patience<'_>,
    ) -> Result<Answer, Fault> {
        let deadline = Instant::now() + patience.timeout;
        let exchanged = timeout_at(deadline, async {
            self.stream.write_all(&asked.frame()).await.map_err(broken)?;
            loop {
                self.more().await?;
                if let Some(answer) = self.answer_to(asked, patience)? {
                    return Ok(answer);
                }
            }
        });
        exchanged.await.unwrap_or(Err(match self.came.len() {
            0 => Fault::NoReply(patience.timeout),
            bytes => Fault::Mismatch(Misfit::Unfinished { bytes }),
        }))
    }

    fn answer_to(&mut self, asked: Asked, patience: Patience<'_>) -> Result<Option<Answer>, Fault> {
        loop {
            let first = tcp::frame(&self.came);
            if let Ok(Some(frame)) = first
                && (frame.transaction == asked.transaction || !patience.kept)
            {
                let answer = asked.judge(frame).map_err(Fault::Mismatch)?;
                if frame.bytes != self.came.len() {
                    return Err(Fault::Mismatch(Misfit::Surplus));
                }
                self.came.clear();
                self.has_answered = true;
                return Ok(Some(answer));
            }
            let of_dtu = |heartbeat: &&Vec<u8>| self.came.starts_with(heartbeat);
            if let Some(heartbeat) = patience.heartbeats.iter().find(of_dtu) {
                self.came.drain(..heartbeat.len());
                continue;
            }
            if patience.heartbeats.iter().any(|heartbeat| heartbeat.starts_with(&self.came)) {
                return Ok(None);
            }
            match first.map_err(Fault::Mismatch)? {
                None => return Ok(None),
                // The late answer to an earlier question.
                Some(Frame { bytes, .. }) => drop(self.came.drain(..bytes)),
            }
        }
    }

    /// After a failure of the connection, or when it was cancelled, not to be used again. `Ok(Err(..))`: no
    /// answer came in time; the question stays open in `owed`.
    pub(super) async fn exchange_rtu(
        &mut self,
        mut ear: Ear<'_>,
        owed: &mut Owed,
        patience: Patience<'_>,
    ) -> Result<Result<Heard, Silence>, Fault> {
        let deadline = Instant::now() + patience.timeout + patience.on_the_wire;
        let exchanged = timeout_at(deadline, async {
            self.stream.write_all(ear.sent()).await.map_err(broken)?;
            loop {
                self.more().await?;
                if let Some(answer) = ear.hear(&mut self.came, owed) {
                    return Ok(answer);
                }
            }
        });
        let answer = match exchanged.await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(ear.give_up(&self.came)),
        };
        self.came.clear();
        self.has_answered |= answer.is_ok();
        Ok(answer.map(|answer| Heard { answer, echoed: ear.echoed }))
    }

    async fn more(&mut self) -> Result<(), Fault> {
        match self.stream.read_buf(&mut self.came).await {
            Ok(0) => Err(broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(broken(error)),
        }
    }
}

/// An answer on an RTU line.
pub(super) struct Heard {
    pub(super) answer: Answer,
    /// Our own request came back before it.
    pub(super) echoed: bool,
}

fn broken(source: io::Error) -> Fault {
    Fault::Broken { source: source.into() }
}
