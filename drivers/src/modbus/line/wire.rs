//! One connection's bytes: sends a request, gathers what comes until it is an answer or can be none.

use std::io;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::fault::Fault;
use super::super::frame::{Answer, Request, TCP_REPLY_BYTES_MAX};
use super::Address;

pub(super) struct Wire {
    stream: TcpStream,
    /// Empty between two exchanges; kept for its room.
    came: Vec<u8>,
}

impl Wire {
    pub(super) async fn connect(address: &Address) -> io::Result<Self> {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        // A request is one small segment: held back for the acknowledgement of the last it comes 40 ms late.
        stream.set_nodelay(true)?;
        Ok(Self { stream, came: Vec::with_capacity(TCP_REPLY_BYTES_MAX) })
    }

    /// `None`: the other side has ended it, or has said something that nobody asked for.
    pub(super) fn if_idle(mut self) -> Option<Self> {
        let said = self.stream.read_buf(&mut self.came).now_or_never();
        said.is_none().then_some(self)
    }

    /// Not to be used again after a failure, nor when it was cancelled.
    pub(super) async fn exchange(
        &mut self,
        transaction: u16,
        device_id: u8,
        request: Request,
    ) -> Result<Answer, Fault> {
        let broken = |source| Fault::Broken { source };
        self.stream.write_all(&request.to_tcp(transaction, device_id)).await.map_err(broken)?;
        loop {
            if self.stream.read_buf(&mut self.came).await.map_err(broken)? == 0 {
                return Err(broken(io::ErrorKind::UnexpectedEof.into()));
            }
            let judged = request.answer_in_tcp(transaction, device_id, &self.came);
            if let Some(answer) = judged.map_err(Fault::Mismatch)? {
                self.came.clear();
                return Ok(answer);
            }
        }
    }
}
