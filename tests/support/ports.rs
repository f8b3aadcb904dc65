//! Ports for servers that cannot bind port 0, that go and come back, or that nobody is to serve. For the tests of
//! every crate; `free_port` in `peers.py` does the same.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// One that nobody else is given as long as this process lives.
///
/// It stays bound by a socket that does not listen: the system gives it to no other, whoever connects is refused, and
/// a server that is meant for it may listen there all the same, because both say `SO_REUSEADDR` as servers do.
pub(crate) fn free_port() -> u16 {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
    let port = socket.local_addr().expect("a bound socket").port();
    // Never closed: until the process ends the port is its own.
    std::mem::forget(socket);
    port
}
