//! A TCP proxy that reads along: which services a client asks of a server, and which methods it calls. It can
//! read only what is not encrypted.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use opcua::types::{BinaryDecodable, CallRequest, ContextOwned, NodeId, ObjectId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Between the size of a message and the type of its request: channel, token, sequence, request.
const HEADER: usize = 16;

/// That which is not split over several parts.
const MESSAGE: [u8; 4] = *b"MSGF";

pub(crate) struct Wiretap {
    pub(crate) port: u16,
    heard: Arc<Mutex<Heard>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Heard {
    services: BTreeSet<String>,
    calls: Vec<(NodeId, NodeId)>,
}

impl Wiretap {
    pub(crate) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let mut tasks = JoinSet::new();
        let hears = Arc::clone(&heard);
        tasks.spawn(async move {
            let mut links = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                links.spawn(carry(near, target, Arc::clone(&hears)));
            }
        });
        Self { port, heard, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("opc.tcp://127.0.0.1:{}", self.port)
    }

    /// The services that were asked for, by the names of their requests.
    pub(crate) fn services(&self) -> BTreeSet<String> {
        self.heard.lock().expect("no panic").services.clone()
    }

    /// Each object and method that was called.
    pub(crate) fn calls(&self) -> Vec<(NodeId, NodeId)> {
        self.heard.lock().expect("no panic").calls.clone()
    }
}

async fn carry(near: TcpStream, target: u16, heard: Arc<Mutex<Heard>>) {
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else { return };
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let back = async { tokio::io::copy(&mut far_read, &mut near_write).await.map(drop) };
    let forth = async {
        loop {
            let mut kind = [0; 4];
            near_read.read_exact(&mut kind).await?;
            let size = near_read.read_u32_le().await?;
            let mut rest = vec![0; usize::try_from(size - 8).expect("64 bits")];
            near_read.read_exact(&mut rest).await?;
            assert_ne!(kind, *b"MSGC", "a request in several parts");
            if kind == MESSAGE {
                heard.lock().expect("no panic").read(&rest);
            }
            far_write.write_all(&kind).await?;
            far_write.write_u32_le(size).await?;
            far_write.write_all(&rest).await?;
        }
    };
    let ended: Result<(), std::io::Error> = tokio::select! {
        ended = back => ended,
        ended = forth => ended,
    };
    // Either way it is over; the other side sees it.
    drop(ended);
}

impl Heard {
    fn read(&mut self, message: &[u8]) {
        let context = ContextOwned::default();
        let context = context.context();
        let mut body = Cursor::new(message.get(HEADER..).expect("a header"));
        let kind = NodeId::decode(&mut body, &context).expect("the type of a request");
        let kind = kind.as_object_id().expect("a request of the standard");
        self.services.insert(format!("{kind:?}"));
        if kind == ObjectId::CallRequest_Encoding_DefaultBinary {
            let request = CallRequest::decode(&mut body, &context).expect("a request");
            let methods = request.methods_to_call.unwrap_or_default();
            self.calls.extend(methods.into_iter().map(|call| (call.object_id, call.method_id)));
        }
    }
}
