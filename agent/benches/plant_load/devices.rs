//! The devices: all in this process, so that the time of a register's change is known, and with a listener
//! each for the agent and for the bare loop, so that the time at which each of them read it is.

use std::future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio_modbus::prelude::*;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};

use crate::{BEYOND, QUIET, REGISTERS, devices, rules};

type Registers = Arc<Mutex<Vec<u16>>>;

/// When a register beyond its limit was read, by device, in order.
type Reads = Arc<Mutex<Vec<(usize, Instant)>>>;

#[derive(Clone)]
struct Device {
    number: usize,
    registers: Registers,
    reads: Reads,
    first_read: Arc<OnceLock<Instant>>,
}

impl Service for Device {
    type Request = Request<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = future::Ready<Result<Response, ExceptionCode>>;

    #[expect(clippy::disallowed_methods, reason = "a benchmark is what reads clocks")]
    fn call(&self, request: Self::Request) -> Self::Future {
        let Request::ReadHoldingRegisters(address, count) = request else {
            return future::ready(Err(ExceptionCode::IllegalFunction));
        };
        self.first_read.get_or_init(Instant::now);
        let registers = self.registers.lock().unwrap_or_else(PoisonError::into_inner);
        if registers.first() == Some(&BEYOND) {
            self.reads.lock().unwrap_or_else(PoisonError::into_inner).push((self.number, Instant::now()));
        }
        let from = usize::from(address);
        let words = registers.get(from..from + usize::from(count)).map(<[u16]>::to_vec);
        future::ready(words.map(Response::ReadHoldingRegisters).ok_or(ExceptionCode::IllegalDataAddress))
    }
}

/// One of those who read the plant: its ports, and what it has read.
#[derive(Default)]
pub(crate) struct Door {
    pub(crate) ports: Vec<u16>,
    reads: Reads,
    first_read: Arc<OnceLock<Instant>>,
}

impl Door {
    pub(crate) fn reads(&self) -> Vec<(usize, Instant)> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn first_read(&self) -> Option<Instant> {
        self.first_read.get().copied()
    }
}

pub(crate) struct Plant {
    pub(crate) agent: Door,
    pub(crate) bare: Door,
    registers: Vec<Registers>,
    random: Mutex<fastrand::Rng>,
    // The listeners end with the benchmark.
    _servers: tokio::task::JoinSet<()>,
}

/// Register 0 of device `device` went beyond its limit at `at`.
pub(crate) struct Change {
    pub(crate) device: usize,
    pub(crate) at: Instant,
}

pub(crate) async fn serve() -> anyhow::Result<Plant> {
    let mut servers = tokio::task::JoinSet::new();
    let (mut agent, mut bare, mut registers) = (Door::default(), Door::default(), Vec::new());
    for number in 0..devices() {
        let words: Registers = Arc::new(Mutex::new(vec![QUIET; usize::from(REGISTERS)]));
        for door in [&mut agent, &mut bare] {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            door.ports.push(listener.local_addr()?.port());
            let device = Device {
                number,
                registers: Arc::clone(&words),
                reads: Arc::clone(&door.reads),
                first_read: Arc::clone(&door.first_read),
            };
            servers.spawn(async move {
                let service = move |_| Ok(Some(device.clone()));
                let connected = |stream: TcpStream, address| {
                    let service = service.clone();
                    async move {
                        stream.set_nodelay(true)?;
                        accept_tcp_connection(stream, address, service)
                    }
                };
                // A reader that is killed at the end breaks its connection: nothing to tell. It serves until
                // the runtime ends.
                drop(Server::new(listener).serve(&connected, drop).await);
            });
        }
        registers.push(words);
    }
    let random = Mutex::new(fastrand::Rng::with_seed(1));
    Ok(Plant { agent, bare, registers, random, _servers: servers })
}

impl Plant {
    /// Lets the plant live: each 100 ms one per cent of all registers move (a tenth each second), and, where
    /// `cross` is set, the watched register of one device after the other goes beyond its limit and back.
    #[expect(clippy::disallowed_methods, reason = "a benchmark is what reads clocks")]
    pub(crate) async fn run_for(&self, span: Duration, cross: bool) -> Vec<Change> {
        let end = Instant::now() + span;
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let mut changes = Vec::new();
        let mut turn = 0_usize;
        while Instant::now() < end {
            tick.tick().await;
            // A crossing falls at any phase of a poll, not at the tenth parts of a second only.
            let late = self.random.lock().unwrap_or_else(PoisonError::into_inner).u64(0..90);
            tokio::time::sleep(Duration::from_millis(late)).await;
            self.stir();
            if cross {
                // Each watched register stays beyond for half of a round: longer than two polls.
                let device = turn % rules();
                let before = (turn + rules() / 2) % rules();
                changes.push(Change { device, at: Instant::now() });
                self.write(device, BEYOND);
                if turn >= rules() / 2 {
                    self.write(before, QUIET);
                }
                turn += 1;
            }
        }
        changes
    }

    fn stir(&self) {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        for words in &self.registers {
            let register = random.usize(1..usize::from(REGISTERS));
            let value = random.u16(0..800);
            if let Some(word) = words.lock().unwrap_or_else(PoisonError::into_inner).get_mut(register) {
                *word = value;
            }
        }
    }

    fn write(&self, device: usize, value: u16) {
        if let Some(words) = self.registers.get(device)
            && let Some(word) = words.lock().unwrap_or_else(PoisonError::into_inner).first_mut()
        {
            *word = value;
        }
    }
}
