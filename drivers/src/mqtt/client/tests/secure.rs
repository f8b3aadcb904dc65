//! A feed under TLS, from the files to the message.

use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::tls::tests::{Authority, acceptor, settings};

struct Secured {
    folder: TempDir,
    authority: Authority,
    bench: Bench,
}

impl Secured {
    /// A feed with a certificate of its own, expired where `expired` says so.
    async fn start(expired: bool) -> Self {
        let (folder, authority) = (TempDir::new().unwrap(), Authority::new("plant"));
        let mut tls = settings(folder.path(), &authority);
        let paper = if expired { authority.expired_paper(&["gw1"]) } else { authority.paper(&["gw1"]) };
        tls.own = Some(paper.write(folder.path(), "gw1"));
        let of = |port| Feed { tls: Some(tls), ..feed(port, vec![points("t", vec![point(0, "$")])]) };
        let bench = Bench::of(of, 1000).await;
        Self { folder, authority, bench }
    }

    fn acceptor(&self) -> TlsAcceptor {
        acceptor(&self.authority.paper(&["127.0.0.1"]), Some(&self.authority))
    }

    async fn accept(&self, acceptor: &TlsAcceptor) -> std::io::Result<Peer> {
        let (stream, _) =
            timeout(PATIENCE, self.bench.listener.accept()).await.expect("it connects").unwrap();
        acceptor.accept(stream).await.map(Peer::over)
    }
}

#[tokio::test]
async fn a_feed_under_tls_with_a_client_certificate_is_read() {
    let mut secured = Secured::start(false).await;
    let mut peer = secured.accept(&secured.acceptor()).await.unwrap();
    peer.greet().await;
    secured.bench.until_up(1).await;
    peer.publish("t", "1", false).await;
    secured.bench.until(|heard| samples(heard, 0).len() == 1).await;
    secured.bench.ends().await;
    assert_eq!(peer.expect(DISCONNECT).await, b"");
}

#[tokio::test]
async fn a_certificate_that_was_renewed_on_disk_reconnects() {
    let mut secured = Secured::start(true).await;
    let acceptor = secured.acceptor();
    secured.accept(&acceptor).await.err().expect("it has expired");
    secured.bench.until(|heard| !downs(heard).is_empty()).await;
    let why = downs(&secured.bench.heard)[0];
    assert!(why.contains("the broker refuses our certificate: it has expired"), "{why}");
    secured.authority.paper(&["gw1"]).write(secured.folder.path(), "gw1");
    // A try that had begun before may still show the old one.
    let mut peer = loop {
        if let Ok(peer) = secured.accept(&acceptor).await {
            break peer;
        }
    };
    peer.greet().await;
    secured.bench.until_up(1).await;
    assert_eq!(downs(&secured.bench.heard).len(), 1);
    secured.bench.ends().await;
}

#[tokio::test]
async fn what_keeps_a_feed_down_is_told_anew_when_it_changes() {
    let mut secured = Secured::start(false).await;
    let foreign = acceptor(&Authority::new("other").paper(&["127.0.0.1"]), None);
    secured.accept(&foreign).await.err().expect("we refuse it");
    secured.bench.until(|heard| downs(heard).len() == 1).await;
    assert!(downs(&secured.bench.heard)[0].contains("we refuse the broker's certificate"));
    let wrong_name = acceptor(&secured.authority.paper(&["mq1.plant"]), None);
    secured.accept(&wrong_name).await.err().expect("we refuse it");
    secured.bench.until(|heard| downs(heard).len() == 2).await;
    let why = downs(&secured.bench.heard)[1];
    assert!(why.contains("not made out to '127.0.0.1' but to mq1.plant"), "{why}");
    std::fs::remove_file(secured.folder.path().join("gw1.key")).unwrap();
    secured.bench.until(|heard| downs(heard).len() == 3).await;
    let why = downs(&secured.bench.heard)[2];
    assert!(why.contains("the TLS files cannot be used: reading") && why.contains("gw1.key"), "{why}");
    secured.bench.ends().await;
}

#[tokio::test]
async fn it_ends_at_once_in_the_middle_of_a_handshake() {
    let secured = Secured::start(false).await;
    let _silent = timeout(PATIENCE, secured.bench.listener.accept()).await.unwrap().unwrap();
    secured.bench.ends().await;
}
