//! A TCP proxy whose connections can be cut, silenced without being closed, refused, or held; and which may
//! leave its port as a machine does that is switched off.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Is shown what one client sends.
pub(crate) type Tap = Box<dyn FnMut(&[u8]) + Send>;

pub(crate) struct Proxy {
    pub(crate) port: u16,
    ways: Arc<Ways>,
    /// Bound and not listening: nobody else gets the port while we are away from it.
    _reserved: TcpSocket,
    _tasks: JoinSet<()>,
}

struct Ways {
    silence: Mutex<CancellationToken>,
    cut: Mutex<CancellationToken>,
    closed: AtomicBool,
    held: AtomicBool,
    /// Each piece of an answer takes so long.
    delay_ms: AtomicU64,
    away: watch::Sender<bool>,
    listening: watch::Sender<bool>,
    arrivals: Mutex<Vec<Instant>>,
    passed: AtomicU64,
}

impl Proxy {
    pub(crate) fn to(target: u16, tap: impl Fn() -> Tap + Send + 'static) -> Self {
        let reserved = socket(0);
        let port = reserved.local_addr().expect("a bound socket").port();
        let ways = Arc::new(Ways {
            silence: Mutex::default(),
            cut: Mutex::default(),
            closed: AtomicBool::new(false),
            held: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            away: watch::Sender::new(false),
            listening: watch::Sender::new(true),
            arrivals: Mutex::default(),
            passed: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        let listener = listener(port);
        tasks.spawn(serve(listener, port, target, Arc::clone(&ways), tap));
        Self { port, ways, _reserved: reserved, _tasks: tasks }
    }

    /// Closes what is open; new connections pass.
    pub(crate) fn cut(&self) {
        self.take_cut().cancel();
    }

    /// Closes what is open now, whenever it is cancelled.
    pub(crate) fn take_cut(&self) -> CancellationToken {
        std::mem::take(&mut *self.ways.cut.lock().expect("no panic"))
    }

    /// What is open stays open, and nothing passes any more, either way; new connections pass.
    pub(crate) fn silence(&self) {
        std::mem::take(&mut *self.ways.silence.lock().expect("no panic")).cancel();
    }

    /// Every piece of an answer is so late.
    pub(crate) fn delay(&self, delay: Duration) {
        let delay_ms = u64::try_from(delay.as_millis()).expect("short");
        self.ways.delay_ms.store(delay_ms, Ordering::Relaxed);
    }

    /// Whether new connections are closed at once.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.ways.closed.store(refuse, Ordering::Relaxed);
    }

    /// Whether new connections are taken, and nothing passes on them.
    pub(crate) fn hold(&self, hold: bool) {
        self.ways.held.store(hold, Ordering::Relaxed);
    }

    /// Whether nobody listens there. What is open stays open.
    pub(crate) async fn leave(&self, away: bool) {
        self.ways.away.send_replace(away);
        let mut listening = self.ways.listening.subscribe();
        listening.wait_for(|listening| *listening != away).await.expect("the proxy runs");
    }

    /// When each connection came, whatever became of it.
    pub(crate) fn arrivals(&self) -> Vec<Instant> {
        self.ways.arrivals.lock().expect("no panic").clone()
    }

    /// Connections that were let through.
    pub(crate) fn passed(&self) -> u64 {
        self.ways.passed.load(Ordering::Relaxed)
    }
}

fn socket(port: u16) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).expect("a port of our own");
    socket
}

fn listener(port: u16) -> TcpListener {
    socket(port).listen(1024).expect("a port of our own")
}

async fn serve(
    listener_at_first: TcpListener,
    port: u16,
    target: u16,
    ways: Arc<Ways>,
    tap: impl Fn() -> Tap + Send + 'static,
) {
    let mut listening = Some(listener_at_first);
    let mut away = ways.away.subscribe();
    let mut links = JoinSet::new();
    loop {
        if *away.borrow_and_update() {
            listening = None;
        } else if listening.is_none() {
            listening = Some(listener(port));
        }
        ways.listening.send_replace(listening.is_some());
        let accepted = async {
            match &listening {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        let near = tokio::select! {
            biased;
            _ = away.changed() => continue,
            accepted = accepted => match accepted {
                Ok((near, _)) => near,
                Err(_) => return,
            },
        };
        ways.arrivals.lock().expect("no panic").push(Instant::now());
        let cut = ways.cut.lock().expect("no panic").clone();
        if ways.closed.load(Ordering::Relaxed) {
            continue;
        }
        if ways.held.load(Ordering::Relaxed) {
            links.spawn(async move {
                cut.cancelled().await;
                drop(near);
            });
            continue;
        }
        ways.passed.fetch_add(1, Ordering::Relaxed);
        let silence = ways.silence.lock().expect("no panic").clone();
        let carried = carry(near, target, silence, Arc::clone(&ways), tap());
        links.spawn(async move {
            cut.run_until_cancelled(carried).await;
        });
    }
}

async fn carry(near: TcpStream, target: u16, silence: CancellationToken, ways: Arc<Ways>, mut tap: Tap) {
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else { return };
    let (mut from_near, mut to_near) = near.into_split();
    let (mut from_far, mut to_far) = far.into_split();
    let there = async {
        let mut piece = vec![0; 65536];
        while let Ok(n_bytes @ 1..) = from_near.read(&mut piece).await {
            let came = piece.get(..n_bytes).expect("no more than fits");
            tap(came);
            if to_far.write_all(came).await.is_err() {
                break;
            }
        }
    };
    let back = async {
        let mut piece = vec![0; 65536];
        while let Ok(n_bytes @ 1..) = from_far.read(&mut piece).await {
            tokio::time::sleep(Duration::from_millis(ways.delay_ms.load(Ordering::Relaxed))).await;
            let came = piece.get(..n_bytes).expect("no more than fits");
            if to_near.write_all(came).await.is_err() {
                break;
            }
        }
    };
    // One end that closes closes both.
    let carried = async {
        tokio::select! { () = there => {}, () = back => {} }
    };
    if silence.run_until_cancelled(carried).await.is_none() {
        std::future::pending::<()>().await;
    }
}
