//! Modbus RTU over a serial line as the operating system has it: a pair of pseudo terminals, of which the test
//! is the device. A name links to the driver's end, as udev's names do.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use riskgate_drivers::modbus::{Endpoint, Parity, Port};
use riskgate_point::Sample;
use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tempfile::TempDir;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::bench::{Books, Driving, Peer, Way};
use super::modbus::{self, Asked};

pub(crate) struct Serial {
    name: PathBuf,
    way: watch::Sender<Way>,
    /// The way that the device has taken last.
    taken: watch::Receiver<Option<Way>>,
    asked: Asked,
    tries: Arc<Mutex<Vec<Instant>>>,
    _device: JoinSet<()>,
    _folder: TempDir,
}

/// The device's end. Without anybody at the other there would be no line for the device either.
struct Terminal {
    device: AsyncFd<OwnedFd>,
    _other: OwnedFd,
}

impl Terminal {
    /// Behind the name from now on.
    fn open(name: &Path) -> Self {
        let device = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&device).unwrap();
        unlockpt(&device).unwrap();
        fcntl_setfl(&device, OFlags::NONBLOCK).unwrap();
        let path = PathBuf::from(ptsname(&device, Vec::new()).unwrap().into_string().unwrap());
        let other = open(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        // Before the driver makes it raw: an echo would be the device's own words.
        let mut modes = tcgetattr(&other).unwrap();
        modes.make_raw();
        tcsetattr(&other, OptionalActions::Now, &modes).unwrap();
        unlink(name);
        symlink(&path, name).unwrap();
        #[expect(
            deprecated,
            reason = "its successor is unsafe; it owns the one descriptor that it registers"
        )]
        let device = AsyncFd::with_interest(device, Interest::READABLE | Interest::WRITABLE).unwrap();
        Self { device, _other: other }
    }

    async fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.device.async_io(Interest::READABLE, |fd| Ok(rustix::io::read(fd, &mut *bytes)?));
        read.await
    }

    async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.device.async_io(Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, bytes)?)).await
    }
}

fn unlink(name: &Path) {
    match fs::remove_file(name) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}"),
    }
}

struct Device {
    name: PathBuf,
    way: watch::Receiver<Way>,
    taken: watch::Sender<Option<Way>>,
    asked: Asked,
    tries: Arc<Mutex<Vec<Instant>>>,
}

impl Device {
    async fn live(mut self) {
        loop {
            let way = *self.way.borrow_and_update();
            match way {
                Way::Gone => {
                    unlink(&self.name);
                    self.taken.send_replace(Some(way));
                    if self.way.changed().await.is_err() {
                        return;
                    }
                }
                Way::Well | Way::Silent => self.serve().await,
                Way::Closes => self.close_each().await,
            }
        }
    }

    /// On one terminal, while it is there.
    async fn serve(&mut self) {
        let terminal = Terminal::open(&self.name);
        let mut came = Vec::new();
        let mut piece = [0; 256];
        loop {
            let way = *self.way.borrow_and_update();
            if !matches!(way, Way::Well | Way::Silent) {
                return;
            }
            self.taken.send_replace(Some(way));
            let n_bytes = tokio::select! {
                changed = self.way.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                read = terminal.read(&mut piece) => read.unwrap(),
            };
            came.extend_from_slice(&piece[..n_bytes]);
            self.tries.lock().unwrap().push(Instant::now());
            while came.len() >= 8 {
                let frame: Vec<u8> = came.drain(..8).collect();
                if way == Way::Well {
                    assert_eq!(frame[6..], checksum(&frame[..6]).to_le_bytes(), "a request is whole");
                    let mut reply = vec![frame[0]];
                    reply.extend(self.asked.answer(&frame[1..6]));
                    reply.extend(checksum(&reply).to_le_bytes());
                    assert_eq!(terminal.write(&reply).await.unwrap(), reply.len());
                }
            }
        }
    }

    /// An adapter that is there, and pulled out at the first byte.
    async fn close_each(&mut self) {
        loop {
            let terminal = Terminal::open(&self.name);
            self.taken.send_replace(Some(Way::Closes));
            let mut piece = [0; 256];
            tokio::select! {
                _ = self.way.changed() => return,
                read = terminal.read(&mut piece) => { read.unwrap(); }
            }
            self.tries.lock().unwrap().push(Instant::now());
        }
    }
}

fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xA001 } else { sum >> 1 })
    })
}

impl Peer for Serial {
    const POINTS: u32 = modbus::POINTS;
    const TELLS_SILENCE_WITHIN: Duration = modbus::TELLS_SILENCE_WITHIN;
    const NOTICES_SILENCE_WITHIN: Duration = modbus::TELLS_SILENCE_WITHIN;
    const PAUSE: (Duration, u32) = modbus::PAUSE;

    async fn start(way: Way) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("usb-adapter-if00");
        let (sender, receiver) = watch::channel(way);
        let (taken, mut is_taken) = watch::channel(None);
        let (asked, tries) = (Asked::default(), Arc::default());
        let device = Device {
            name: name.clone(),
            way: receiver,
            taken,
            asked: asked.clone(),
            tries: Arc::clone(&tries),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(device.live());
        is_taken.wait_for(|taken| *taken == Some(way)).await.unwrap();
        Self { name, way: sender, taken: is_taken, asked, tries, _device: tasks, _folder: folder }
    }

    async fn turn(&mut self, way: Way) {
        self.way.send_replace(way);
        self.taken.wait_for(|taken| *taken == Some(way)).await.unwrap();
    }

    fn driving(&self) -> Driving {
        let port = Port { path: self.name.clone(), baud: 115_200, parity: Parity::None, stop_bits: 1 };
        modbus::driving(Endpoint::Serial(port), |_| std::future::ready(()))
    }

    fn name(&self) -> String {
        self.name.display().to_string()
    }

    fn tries(&self) -> Vec<Instant> {
        self.tries.lock().unwrap().clone()
    }

    fn books(&self) -> Books {
        // A terminal cannot tell who has opened it.
        self.asked.books(None)
    }

    fn is_right(&self, sample: &Sample) -> bool {
        modbus::is_right(sample)
    }
}
