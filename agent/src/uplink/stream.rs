//! The stream to the broker: TCP, and TLS over it where the configuration says so.
//!
//! The files of TLS are read anew for each connection, so a renewed certificate is shown at the next one.
//! What travels inside is of no interest here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use riskgate_drivers::Clock;
use riskgate_drivers::tls::Settings;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::fault::Fault;

/// How the broker is spoken to under TLS: with what, whom it must be made out to, and by which clock.
pub(super) type Secured = (Settings, String, Clock);

/// What the MQTT client writes to.
pub(super) trait Both: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Both for S {}

/// `address` is `host:port`. A [`Fault`] is inside of what fails.
pub(super) async fn open(address: String, secured: Option<Secured>) -> io::Result<Box<dyn Both>> {
    let connected = TcpStream::connect(address.as_str()).await;
    let tcp = connected.map_err(|error| io::Error::other(Fault::Connect(error)))?;
    tcp.set_nodelay(true)?;
    let Some((settings, host, clock)) = secured else { return Ok(Box::new(tcp)) };
    let shaken = settings.connect(&host, tcp, clock).await;
    let stream = shaken.map_err(|fault| io::Error::other(Fault::Tls(fault)))?;
    Ok(Box::new(LastWord(stream)))
}

/// Under TLS 1.3 a broker refuses our certificate after the handshake and hangs up, often before it has
/// read what we write. So where a write fails, what it has said is looked for first.
struct LastWord<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> LastWord<S> {
    fn said(&mut self, context: &mut Context<'_>, failed: io::Error) -> io::Error {
        let mut room = [0; 256];
        match Pin::new(&mut self.0).poll_read(context, &mut ReadBuf::new(&mut room)) {
            Poll::Ready(Err(said)) if said.kind() == io::ErrorKind::InvalidData => said,
            Poll::Ready(_) | Poll::Pending => failed,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for LastWord<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LastWord<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.0).poll_write(context, bytes));
        Poll::Ready(written.map_err(|failed| self.said(context, failed)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.0).poll_flush(context));
        Poll::Ready(flushed.map_err(|failed| self.said(context, failed)))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
