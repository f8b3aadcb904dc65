//! Devices that dial in: a 4G DTU has no address of its own, so it calls us and says who it is.
//!
//! One [`Listener`] for each port, and any number of lines behind it, told apart by the first bytes that a
//! device sends (注册包). Whoever says something else is refused and counted. A device that calls again has
//! lost its old connection, so the new one replaces it.
//!
//! It proves nobody's identity: a registration is a name, not a password. All that a stranger can reach is
//! to be asked for registers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::super::fault::Fault;
use super::Line;
use super::endpoint::{Endpoint, shown};
use crate::backoff::Backoff;
use crate::tally::Tally;

/// For a caller to say who it is: a DTU says so at once, over a slow network.
const REGISTER_WITHIN: Duration = Duration::from_secs(15);
/// Callers that have not yet said who they are. More at once are no devices of one site.
const CALLERS_MAX: usize = 256;
/// No registration is longer.
const REGISTRATION_BYTES_MAX: usize = 512;
/// The port may be taken for a moment by an agent that is just ending.
const BIND_RETRY_MIN: Duration = Duration::from_millis(100);
const BIND_RETRY_MAX: Duration = Duration::from_secs(5);

/// Where the connections of one device arrive. Clones are one place.
#[derive(Clone, Default)]
pub(super) struct Arrivals(Arc<Shared>);

#[derive(Default)]
struct Shared {
    news: Mutex<News>,
    arrived: Notify,
}

#[derive(Default)]
struct News {
    arrived: Option<TcpStream>,
    /// Why nobody can arrive.
    closed: Option<String>,
    /// Who was refused at the same port: how many, and the last.
    refused: u64,
    last_refused: String,
}

impl Arrivals {
    fn news<T>(&self, look: impl FnOnce(&mut News) -> T) -> T {
        look(&mut self.0.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn take(&self) -> Option<TcpStream> {
        self.news(|news| news.arrived.take())
    }

    /// Until there is one to take. Cancel-safe.
    pub(super) async fn arrived(&self) {
        loop {
            let arrived = self.0.arrived.notified();
            if self.news(|news| news.arrived.is_some()) {
                return;
            }
            arrived.await;
        }
    }

    pub(super) async fn wait(&self, limit: Duration) -> Result<TcpStream, Fault> {
        let in_time = timeout(limit, self.arrived()).await.is_ok();
        self.take().filter(|_| in_time).ok_or_else(|| {
            let besides = self.news(|news| match (&news.closed, news.refused) {
                (Some(why), _) => format!("; the port cannot be opened: {why}"),
                (None, 0) => String::new(),
                (None, refused) => {
                    format!("; {refused} other callers were refused, the last {}", news.last_refused)
                }
            });
            Fault::Absent { limit, besides: besides.into() }
        })
    }
}

/// One port where devices dial in.
pub struct Listener {
    listen: SocketAddr,
    lines: Vec<(Vec<u8>, Arrivals)>,
}

/// Who was refused. The reasons are those of the tally.
struct Stranger {
    why: &'static str,
    who: String,
}

const UNKNOWN: &str = "unknown_registration";
const SILENT: &str = "silent_caller";
const TOO_MANY: &str = "too_many_callers";

impl Listener {
    /// For those of the lines whose devices dial in, one listener for each port.
    pub fn of<'l>(lines: impl IntoIterator<Item = &'l Line>) -> Vec<Self> {
        let mut listeners: Vec<Self> = Vec::new();
        for line in lines {
            let Endpoint::DialIn(dial_in) = &line.endpoint else { continue };
            let behind = (dial_in.registration.clone(), line.arrivals.clone());
            match listeners.iter_mut().find(|listener| listener.listen == dial_in.listen) {
                Some(listener) => listener.lines.push(behind),
                None => listeners.push(Self { listen: dial_in.listen, lines: vec![behind] }),
            }
        }
        listeners
    }

    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Until told to stop. Who is refused is counted in the tallies of all sources behind the port.
    pub async fn run(self, tallies: &[Arc<Tally>], stop: &CancellationToken) {
        let listener = Arc::new(self);
        let mut backoff = Backoff::new(BIND_RETRY_MIN, BIND_RETRY_MAX, u64::from(listener.listen.port()));
        let forever = async {
            loop {
                match TcpListener::bind(listener.listen).await {
                    Ok(socket) => {
                        listener.tell(|news| news.closed = None);
                        backoff.reset();
                        Arc::clone(&listener).serve(&socket, tallies).await;
                    }
                    Err(error) => {
                        listener.tell(|news| news.closed = Some(error.to_string()));
                        sleep(backoff.next()).await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = forever => {}
        }
    }

    fn tell(&self, mut tell: impl FnMut(&mut News)) {
        for (_, arrivals) in &self.lines {
            arrivals.news(&mut tell);
        }
    }

    /// Until the port fails.
    async fn serve(self: Arc<Self>, socket: &TcpListener, tallies: &[Arc<Tally>]) {
        let mut callers = JoinSet::new();
        loop {
            tokio::select! {
                accepted = socket.accept() => match accepted {
                    Ok((stream, from)) if callers.len() < CALLERS_MAX => {
                        let listener = Arc::clone(&self);
                        callers.spawn(async move { listener.register(stream, from).await });
                    }
                    Ok((_, from)) => self.refuse(tallies, TOO_MANY, &from.to_string()),
                    Err(error) => {
                        tracing::warn!("modbus: no device can dial in at {}: {error}", self.listen);
                        sleep(BIND_RETRY_MAX).await;
                        return;
                    }
                },
                Some(registered) = callers.join_next() => {
                    if let Ok(Err(Stranger { why, who })) = registered {
                        self.refuse(tallies, why, &who);
                    }
                }
            }
        }
    }

    fn refuse(&self, tallies: &[Arc<Tally>], why: &'static str, who: &str) {
        let place = format!("dial-in {}", self.listen);
        let mut is_first = false;
        for tally in tallies {
            is_first |= tally.skipped(&place, why, || who.to_owned()) == 1;
        }
        if is_first {
            tracing::warn!("modbus: {who} is refused at {}: {why}", self.listen);
        }
        self.tell(|news| {
            news.refused += 1;
            who.clone_into(&mut news.last_refused);
        });
    }

    /// Hands the connection to the line that it is for, or says who it was.
    async fn register(&self, mut stream: TcpStream, from: SocketAddr) -> Result<(), Stranger> {
        let mut said = Vec::new();
        let found = timeout(REGISTER_WITHIN, self.hear_name(&mut stream, &mut said)).await;
        match found {
            Ok(Some(arrivals)) => {
                tracing::debug!("modbus: {} has dialled in from {from}", shown(&said));
                // A request is one small segment: held back for the acknowledgement of the last it comes late.
                if stream.set_nodelay(true).is_ok() {
                    arrivals.news(|news| news.arrived = Some(stream));
                    arrivals.0.arrived.notify_waiters();
                }
                Ok(())
            }
            Ok(None) | Err(_) if said.is_empty() => Err(Stranger { why: SILENT, who: from.to_string() }),
            Ok(None) | Err(_) => Err(Stranger { why: UNKNOWN, who: format!("{} from {from}", shown(&said)) }),
        }
    }

    /// `None`: no line of this name.
    async fn hear_name(&self, stream: &mut TcpStream, said: &mut Vec<u8>) -> Option<&Arrivals> {
        loop {
            let read = stream.read_buf(said).await;
            if let Some((_, arrivals)) = self.lines.iter().find(|(name, _)| said.starts_with(name)) {
                return Some(arrivals);
            }
            let may_become = self.lines.iter().any(|(name, _)| name.starts_with(said));
            if !matches!(read, Ok(1..)) || !may_become || said.len() > REGISTRATION_BYTES_MAX {
                return None;
            }
        }
    }
}
