//! The devices: all in this process, so that the time at which a register passed its limit is known, and with a
//! listener each for the agent and for the bare loop, so that the time at which each of them read it is.

use std::collections::HashMap;
use std::future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_modbus::prelude::*;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};

use crate::{DEVICES, REGISTERS, now};

/// What a register reads in peace is below this.
const QUIET: u16 = 800;
/// The HH limit of every point.
pub(crate) const LIMIT: u16 = 900;
/// What a register reads beyond it.
pub(crate) const BEYOND: u16 = 950;
/// A step of the plant's life; each tenth of the registers moves in each, in turn.
const STEP: Duration = Duration::from_millis(100);
/// A register stays beyond its limit for so many steps: longer than two polls.
const BEYOND_STEPS: u32 = 25;

/// Device and register.
pub(crate) type Place = (usize, u16);

/// When something befell a place for the first time.
pub(crate) type Firsts = HashMap<Place, Instant>;

/// How much of the plant moves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Still,
    /// Each second a tenth of all registers.
    Tenth,
    /// Each second every register.
    All,
    /// Likewise, in small steps: the last bits of a 12-bit converter on a loop.
    Noise,
}

#[derive(Clone)]
struct Device {
    number: usize,
    registers: Arc<Mutex<Vec<u16>>>,
    door: Arc<Seen>,
}

/// What one of those who read the plant has read.
#[derive(Default)]
struct Seen {
    beyond: Mutex<Firsts>,
    first_read: Mutex<Option<Instant>>,
}

impl Service for Device {
    type Request = Request<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = future::Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        let Request::ReadHoldingRegisters(address, count) = request else {
            return future::ready(Err(ExceptionCode::IllegalFunction));
        };
        let at = now();
        held(&self.door.first_read).get_or_insert(at);
        let from = usize::from(address);
        let words = held(&self.registers).get(from..from + usize::from(count)).map(<[u16]>::to_vec);
        let Some(words) = words else { return future::ready(Err(ExceptionCode::IllegalDataAddress)) };
        for (register, _) in (address..).zip(&words).filter(|(_, word)| **word == BEYOND) {
            held(&self.door.beyond).entry((self.number, register)).or_insert(at);
        }
        future::ready(Ok(Response::ReadHoldingRegisters(words)))
    }
}

pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of those who read the plant: its ports, and what it has read.
#[derive(Default)]
pub(crate) struct Door {
    pub(crate) ports: Vec<u16>,
    seen: Arc<Seen>,
}

impl Door {
    /// When each place that went beyond its limit was read so for the first time.
    pub(crate) fn beyond(&self) -> Firsts {
        held(&self.seen.beyond).clone()
    }

    /// The first read since this was asked for last.
    pub(crate) fn take_first_read(&self) -> Option<Instant> {
        held(&self.seen.first_read).take()
    }
}

pub(crate) struct Plant {
    pub(crate) agent: Door,
    pub(crate) bare: Door,
    registers: Vec<Arc<Mutex<Vec<u16>>>>,
    /// Places that went beyond their limit, in order: none does so twice.
    crossed: Mutex<Vec<(Place, Instant)>>,
    random: Mutex<fastrand::Rng>,
    // They serve until the runtime ends, with the plant.
    _servers: JoinSet<()>,
    _runtime: tokio::runtime::Runtime,
}

pub(crate) fn serve() -> anyhow::Result<Plant> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut servers = JoinSet::new();
    let (mut agent, mut bare, mut registers) = (Door::default(), Door::default(), Vec::new());
    for number in 0..DEVICES {
        let words = Arc::new(Mutex::new(vec![QUIET / 2; usize::from(REGISTERS)]));
        for door in [&mut agent, &mut bare] {
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
            door.ports.push(listener.local_addr()?.port());
            let device = Device { number, registers: Arc::clone(&words), door: Arc::clone(&door.seen) };
            servers.spawn_on(serve_one(listener, device), runtime.handle());
        }
        registers.push(words);
    }
    let random = Mutex::new(fastrand::Rng::with_seed(1));
    Ok(Plant {
        agent,
        bare,
        registers,
        crossed: Mutex::default(),
        random,
        _servers: servers,
        _runtime: runtime,
    })
}

async fn serve_one(listener: TcpListener, device: Device) {
    let service = move |_| Ok(Some(device.clone()));
    let connected = |stream: TcpStream, address| {
        let service = service.clone();
        async move {
            stream.set_nodelay(true)?;
            accept_tcp_connection(stream, address, service)
        }
    };
    // A reader that is killed breaks its connection: nothing to tell.
    drop(Server::new(listener).serve(&connected, drop).await);
}

impl Plant {
    /// Lets the plant live. Each step, where `cross` is set, one register more goes beyond its limit, at any
    /// moment of the step, and the one of 2.5 s before comes back. Ends early where `until` says so.
    pub(crate) fn live(&self, span: Duration, life: Life, cross: bool, until: impl Fn() -> bool) {
        let began = now();
        let first = held(&self.crossed).len();
        for step in 0_u32.. {
            if began.elapsed() >= span || until() {
                break;
            }
            let late = held(&self.random).u32(0..90);
            sleep_until(began + STEP * step + Duration::from_millis(late.into()));
            self.stir(life, usize::try_from(step).unwrap_or(0));
            if cross {
                self.cross();
                self.come_back(first, BEYOND_STEPS as usize);
            }
            sleep_until(began + STEP * (step + 1));
        }
        if cross {
            // The last of them are to be read as well.
            std::thread::sleep(STEP * BEYOND_STEPS);
        }
        self.come_back(first, 0);
    }

    fn stir(&self, life: Life, step: usize) {
        let mut random = held(&self.random);
        for (device, words) in self.registers.iter().enumerate() {
            let mut words = held(words);
            let moving = match life {
                Life::Still => continue,
                // Of each tenth that is due another one in each second.
                Life::Tenth if !(device + step / 10).is_multiple_of(10) => continue,
                Life::Tenth | Life::All | Life::Noise => words.iter_mut().skip(step % 10).step_by(10),
            };
            for word in moving.filter(|word| **word != BEYOND) {
                *word = match life {
                    Life::Noise => QUIET / 2 + random.u16(0..8),
                    Life::Still | Life::Tenth | Life::All => random.u16(0..QUIET),
                };
            }
        }
    }

    /// The next place that was never beyond its limit goes there.
    pub(crate) fn cross(&self) {
        let mut crossed = held(&self.crossed);
        let turn = crossed.len();
        let place = (turn % DEVICES, u16::try_from(turn / DEVICES).unwrap_or(u16::MAX));
        crossed.push((place, now()));
        drop(crossed);
        self.write(place, BEYOND);
    }

    /// All registers of a device but the first go beyond their limits, and are read at once. Gives how many.
    pub(crate) fn burst(&self, device: usize) -> usize {
        (1..REGISTERS).map(|register| self.write((device, register), BEYOND)).count()
    }

    /// All that are beyond their limit come back, but for the newest of them.
    fn come_back(&self, first: usize, newest: usize) {
        let crossed = held(&self.crossed);
        let old = crossed.len().saturating_sub(newest).max(first);
        for (place, _) in crossed.get(first..old).unwrap_or_default() {
            self.write(*place, QUIET / 2);
        }
    }

    /// The places that went beyond their limit since there were `from` of them, and when.
    pub(crate) fn crossed(&self, from: usize) -> Vec<(Place, Instant)> {
        held(&self.crossed).get(from..).unwrap_or_default().to_vec()
    }

    pub(crate) fn crossings(&self) -> usize {
        held(&self.crossed).len()
    }

    fn write(&self, (device, register): Place, value: u16) {
        if let Some(words) = self.registers.get(device)
            && let Some(word) = held(words).get_mut(usize::from(register))
        {
            *word = value;
        }
    }
}

fn sleep_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(now()));
}
