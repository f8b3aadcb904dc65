//! Lines against peers that misbehave: over memory with paused time, over real sockets, and over a pair of
//! pseudo terminals.

mod adversary;
mod dialled_in;
mod hosts;
mod shared;
mod terminals;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::serial::Serial;
use super::{Pace, Parity, Port};
use crate::modbus::{Reply, Request, Table};

/// The two ends of what is a serial line to the one at `path`.
struct Terminals {
    device: Serial,
    path: PathBuf,
    /// Without anybody at the other end there would be no line for the device either.
    _held: OwnedFd,
}

impl Terminals {
    fn open() -> Self {
        let device = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&device).unwrap();
        unlockpt(&device).unwrap();
        fcntl_setfl(&device, OFlags::NONBLOCK).unwrap();
        let path = PathBuf::from(ptsname(&device, Vec::new()).unwrap().into_string().unwrap());
        let _held = open(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        Self { device: Serial::over(device).unwrap(), path, _held }
    }
}

fn port() -> Port {
    Port { path: "/dev/nothing".into(), baud: 115_200, parity: Parity::None, stop_bits: 1 }
}

const PACE: Pace = Pace {
    timeout: Duration::from_millis(500),
    connect_timeout: Duration::from_secs(1),
    pause: Duration::ZERO,
    connect_pause: Duration::ZERO,
};

fn holding(address: u16, count: u16) -> Request {
    Request { table: Table::Holding, address, count }
}

fn registers(words: &[u16]) -> Reply {
    Reply::Registers(words.to_vec())
}
