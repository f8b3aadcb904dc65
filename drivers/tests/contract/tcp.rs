//! Modbus TCP, as another library serves it, behind a proxy.

use std::future::ready;
use std::net::SocketAddr;
use std::time::Duration;

use riskgate_drivers::modbus::Endpoint;
use riskgate_point::Sample;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
use tokio_modbus::{ExceptionCode, Request, Response};

use super::bench::{Books, Driving, Peer, Way};
use super::modbus::{self, Asked};
use super::support::proxy::Proxy;

pub(crate) struct ModbusTcp {
    proxy: Proxy,
    asked: Asked,
    _server: JoinSet<()>,
}

#[derive(Clone)]
struct Answers(Asked);

impl Service for Answers {
    type Request = Request<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = std::future::Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        let read = if let Request::ReadHoldingRegisters(address, count) = request {
            self.0.read(3, address, count)
        } else {
            self.0.read(request.function_code().value(), 0, 0)
        };
        ready(read.map(Response::ReadHoldingRegisters).ok_or(ExceptionCode::IllegalFunction))
    }
}

/// A proxy does what a peer shall do.
pub(crate) async fn turn(proxy: &Proxy, way: Way) {
    proxy.refuse(way == Way::Closes);
    proxy.hold(way == Way::Silent);
    proxy.leave(way == Way::Gone).await;
    match way {
        Way::Well => {}
        Way::Gone | Way::Closes => proxy.cut(),
        Way::Silent => proxy.silence(),
    }
}

impl Peer for ModbusTcp {
    const POINTS: u32 = modbus::POINTS;
    const TELLS_SILENCE_WITHIN: Duration = modbus::TELLS_SILENCE_WITHIN;
    const NOTICES_SILENCE_WITHIN: Duration = modbus::TELLS_SILENCE_WITHIN;
    const PAUSE: (Duration, u32) = modbus::PAUSE;

    async fn start(way: Way) -> Self {
        let asked = Asked::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().port();
        let answers = Answers(asked.clone());
        let mut server = JoinSet::new();
        server.spawn(async move {
            let service = |_: SocketAddr| Ok(Some(answers.clone()));
            let on_connected = |stream, address| ready(accept_tcp_connection(stream, address, service));
            // A client that hangs up in the middle of a request is what these tests are about.
            Server::new(listener).serve(&on_connected, |_| {}).await.unwrap();
        });
        let proxy = Proxy::to(target, || Box::new(|_: &[u8]| {}));
        turn(&proxy, way).await;
        Self { proxy, asked, _server: server }
    }

    async fn turn(&mut self, way: Way) {
        turn(&self.proxy, way).await;
    }

    fn driving(&self) -> Driving {
        modbus::driving(Endpoint::tcp("127.0.0.1", self.proxy.port), |_| ready(()))
    }

    fn name(&self) -> String {
        format!("127.0.0.1:{}", self.proxy.port)
    }

    fn tries(&self) -> Vec<Instant> {
        self.proxy.arrivals()
    }

    fn books(&self) -> Books {
        self.asked.books(Some(self.proxy.passed()))
    }

    fn is_right(&self, sample: &Sample) -> bool {
        modbus::is_right(sample)
    }
}
