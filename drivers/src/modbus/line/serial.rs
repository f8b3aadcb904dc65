//! A serial port as a stream of bytes: opened raw, for us alone, and closed without waiting.
//!
//! Through the operating system's own calls, which need no library beside the one that is there. It knows
//! nothing of Modbus.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::termios::{
    ControlModes, OptionalActions, QueueSelector, ioctl_tiocexcl, ioctl_tiocnxcl, isatty, tcflush, tcgetattr,
    tcsetattr,
};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::endpoint::{Parity, Port};

pub(super) struct Serial(AsyncFd<Open>);

/// Flushed before it is closed: closing would wait for what a stuck port still has to send.
struct Open(OwnedFd);

impl Drop for Open {
    fn drop(&mut self) {
        // A port that was unplugged has nothing to flush, and nobody to be let in.
        _ = tcflush(&self.0, QueueSelector::IOFlush);
        _ = ioctl_tiocnxcl(&self.0);
    }
}

impl std::os::fd::AsRawFd for Open {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

impl Serial {
    /// On a thread of its own, because an adapter may take its time.
    pub(super) async fn open(port: &Port) -> io::Result<Self> {
        let port = port.clone();
        let opened = tokio::task::spawn_blocking(move || configured(&port)).await;
        Self::over(opened.map_err(io::Error::other)??)
    }

    /// A descriptor that never blocks.
    pub(super) fn over(fd: OwnedFd) -> io::Result<Self> {
        let open = Open(fd);
        #[expect(
            deprecated,
            reason = "its successor is unsafe; it owns the one descriptor that it registers"
        )]
        let registered = AsyncFd::with_interest(open, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self(registered))
    }
}

fn configured(port: &Port) -> io::Result<OwnedFd> {
    // Without waiting for a carrier, and never as our terminal.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = open(&port.path, flags, Mode::empty())?;
    if !isatty(&fd) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no serial port"));
    }
    flock(&fd, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| io::Error::new(io::ErrorKind::ResourceBusy, "another program has the port open"))?;
    ioctl_tiocexcl(&fd)?;
    let mut modes = tcgetattr(&fd)?;
    modes.make_raw();
    modes.set_speed(port.baud)?;
    modes.control_modes |= ControlModes::CREAD | ControlModes::CLOCAL;
    modes.control_modes.set(ControlModes::CRTSCTS, false);
    modes.control_modes.set(ControlModes::PARENB, port.parity != Parity::None);
    modes.control_modes.set(ControlModes::PARODD, port.parity == Parity::Odd);
    modes.control_modes.set(ControlModes::CSTOPB, port.stop_bits == 2);
    tcsetattr(&fd, OptionalActions::Now, &modes)?;
    // A port that cannot do what it is told says nothing.
    let baud = tcgetattr(&fd)?.output_speed();
    if baud != port.baud {
        let message = format!("the port does {baud} baud where {} is asked for", port.baud);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    tcflush(&fd, QueueSelector::IOFlush)?;
    Ok(fd)
}

impl AsyncRead for Serial {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(context))?;
            let read =
                ready.try_io(|open| Ok(rustix::io::read(&open.get_ref().0, buffer.initialize_unfilled())?));
            if let Ok(read) = read {
                buffer.advance(read?);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Serial {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(context))?;
            let wrote = ready.try_io(|open| Ok(rustix::io::write(&open.get_ref().0, bytes)?));
            if let Ok(wrote) = wrote {
                return Poll::Ready(wrote);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
