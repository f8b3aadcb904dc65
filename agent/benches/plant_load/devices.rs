//! The devices: one listener each, all in this process, so that the time of a register's change is known.

use std::future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio_modbus::prelude::*;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};

use crate::{BEYOND, DEVICES, PERIOD, QUIET, REGISTERS, RULES};

type Registers = Arc<Mutex<Vec<u16>>>;

struct Device(Registers);

impl Service for Device {
    type Request = Request<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = future::Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        let Request::ReadHoldingRegisters(address, count) = request else {
            return future::ready(Err(ExceptionCode::IllegalFunction));
        };
        let registers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = usize::from(address);
        let words = registers.get(from..from + usize::from(count)).map(<[u16]>::to_vec);
        future::ready(words.map(Response::ReadHoldingRegisters).ok_or(ExceptionCode::IllegalDataAddress))
    }
}

pub(crate) struct Plant {
    pub(crate) ports: Vec<u16>,
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
    let (mut ports, mut registers) = (Vec::new(), Vec::new());
    for _ in 0..DEVICES {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        ports.push(listener.local_addr()?.port());
        let words: Registers = Arc::new(Mutex::new(vec![QUIET; usize::from(REGISTERS)]));
        registers.push(Arc::clone(&words));
        servers.spawn(async move {
            let service = move |_| Ok(Some(Device(Arc::clone(&words))));
            let connected = |stream, address| {
                let service = service.clone();
                async move { accept_tcp_connection(stream, address, service) }
            };
            // It serves until the runtime ends.
            drop(Server::new(listener).serve(&connected, |error| eprintln!("device: {error}")).await);
        });
    }
    Ok(Plant { ports, registers, random: Mutex::new(fastrand::Rng::with_seed(1)), _servers: servers })
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
            self.stir();
            if cross {
                // Each watched register stays beyond for half of a round: longer than two polls.
                let device = turn % RULES;
                let before = (turn + RULES / 2) % RULES;
                self.write(device, BEYOND);
                changes.push(Change { device, at: Instant::now() });
                if turn >= RULES / 2 {
                    self.write(before, QUIET);
                }
                turn += 1;
            }
        }
        assert!(PERIOD.as_millis() * 2 <= 100 * (RULES as u128 / 2), "a crossing must outlast two polls");
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
