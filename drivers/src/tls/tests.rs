//! Authorities, certificates and a broker's side of TLS, all made here; and every way to be refused.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use riskgate_point::Wall;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion};

use super::*;

/// 2026-11-01T00:00:00Z
pub(crate) fn clock() -> Now {
    Now { wall: Wall(1_793_491_200_000), ..Now::default() }
}

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key, PEM.
pub(crate) struct Paper {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Years of validity around the tests' clock.
const VALID: (i32, i32) = (2026, 2027);
const OVER: (i32, i32) = (2024, 2025);
const NOT_YET: (i32, i32) = (2027, 2028);

fn params(names: &[&str], years: (i32, i32)) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    params
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(&[], VALID);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn paper(&self, names: &[&str]) -> Paper {
        self.paper_of(names, VALID)
    }

    pub(crate) fn expired_paper(&self, names: &[&str]) -> Paper {
        self.paper_of(names, OVER)
    }

    fn paper_of(&self, names: &[&str], years: (i32, i32)) -> Paper {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names, years).signed_by(&key, &self.issuer).unwrap().pem();
        Paper { certificate, key: key.serialize_pem() }
    }
}

impl Paper {
    pub(crate) fn write(&self, folder: &Path, name: &str) -> Own {
        let own = Own {
            certificate_file: folder.join(format!("{name}.crt")),
            key_file: folder.join(format!("{name}.key")),
        };
        fs::write(&own.certificate_file, &self.certificate).unwrap();
        fs::write(&own.key_file, &self.key).unwrap();
        own
    }
}

/// A broker's side; with `clients`, it wants a certificate that they have signed.
pub(crate) fn acceptor(paper: &Paper, clients: Option<&Authority>) -> TlsAcceptor {
    acceptor_of(paper, clients, &[&TLS12, &TLS13])
}

fn acceptor_of(
    paper: &Paper,
    clients: Option<&Authority>,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::new(At(clock)))
        .with_protocol_versions(versions)
        .unwrap();
    let config = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => config.with_no_client_auth(),
    };
    let chain = CertificateDer::pem_slice_iter(paper.certificate.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(paper.key.as_bytes()).unwrap();
    TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()))
}

pub(crate) fn settings(folder: &Path, authority: &Authority) -> Settings {
    let ca_file = folder.join("ca.pem");
    fs::write(&ca_file, &authority.pem).unwrap();
    Settings { ca_file, own: None, server_name: None, digest: 0 }
}

/// Shakes hands and reads what the broker says first; what went wrong, with its hint.
async fn shake(settings: &Settings, acceptor: TlsAcceptor) -> Result<(), String> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let broker = async {
        if let Ok(mut stream) = acceptor.accept(theirs).await {
            stream.write_all(b"hello").await.ok();
            stream.shutdown().await.ok();
        }
    };
    let client = async {
        let mut stream = settings.connect("broker.plant", ours, clock).await?;
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.map_err(|error| settings.fault_of(error))?;
        assert_eq!(said, b"hello");
        Ok(())
    };
    let (result, ()) = tokio::join!(client, broker);
    result.map_err(|fault: Fault| format!("{fault}; {}", fault.hint()))
}

fn contains(said: Result<(), String>, expect: &[&str]) {
    let said = said.expect_err("it is refused");
    for expect in expect {
        assert!(said.contains(expect), "{said}");
    }
}

#[tokio::test]
async fn a_broker_that_the_authority_signed_is_connected_to_in_both_versions() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("plant"));
    let settings = settings(folder.path(), &authority);
    let paper = authority.paper(&["broker.plant"]);
    for version in [&TLS12, &TLS13] {
        shake(&settings, acceptor_of(&paper, None, &[version])).await.unwrap();
    }
}

#[tokio::test]
async fn a_broker_that_asks_is_shown_our_certificate() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("plant"));
    let mut settings = settings(folder.path(), &authority);
    settings.own = Some(authority.paper(&["gw1"]).write(folder.path(), "gw1"));
    let paper = authority.paper(&["broker.plant"]);
    for version in [&TLS12, &TLS13] {
        shake(&settings, acceptor_of(&paper, Some(&authority), &[version])).await.unwrap();
    }
}

#[tokio::test]
async fn a_broker_that_wants_a_certificate_and_gets_none_is_told() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("plant"));
    let settings = settings(folder.path(), &authority);
    let paper = authority.paper(&["broker.plant"]);
    for version in [&TLS12, &TLS13] {
        let said = shake(&settings, acceptor_of(&paper, Some(&authority), &[version])).await;
        contains(
            said,
            &["the broker refuses us without a certificate", "require", "write tls.certificate_file"],
        );
    }
}

#[tokio::test]
async fn a_certificate_of_ours_that_the_broker_refuses_is_told_with_why() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("plant"));
    let mut settings = settings(folder.path(), &authority);
    let paper = authority.paper(&["broker.plant"]);
    settings.own = Some(Authority::new("other").paper(&["gw1"]).write(folder.path(), "gw1"));
    let said = shake(&settings, acceptor(&paper, Some(&authority))).await;
    contains(
        said,
        &["the broker refuses our certificate: it does not know who signed it", "must know the authority"],
    );
    settings.own = Some(authority.expired_paper(&["gw1"]).write(folder.path(), "gw1"));
    let said = shake(&settings, acceptor(&paper, Some(&authority))).await;
    contains(said, &["the broker refuses our certificate: it has expired", "renew tls.certificate_file"]);
}

#[tokio::test]
async fn a_certificate_of_the_broker_that_we_refuse_is_told_with_why() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("plant"));
    let settings = settings(folder.path(), &authority);
    let refused = async |paper: &Paper| shake(&settings, acceptor(paper, None)).await;
    let foreign = Authority::new("other").paper(&["broker.plant"]);
    contains(
        refused(&foreign).await,
        &["we refuse the broker's certificate: nobody in", "ca.pem has signed it"],
    );
    contains(
        refused(&authority.expired_paper(&["broker.plant"])).await,
        &["it expired at 2025-01-01T00:00:00Z", "set this gateway's clock"],
    );
    contains(
        refused(&authority.paper_of(&["broker.plant"], NOT_YET)).await,
        &["it is not valid before 2027-01-01T00:00:00Z"],
    );
    contains(
        refused(&authority.paper(&["mq1.plant", "10.0.0.8"])).await,
        &[
            "not made out to 'broker.plant' but to mq1.plant, 10.0.0.8",
            "write tls.server_name = \"mq1.plant\"",
        ],
    );
    contains(refused(&authority.paper(&[])).await, &["nobody (it has no subjectAltName)", "subjectAltName"]);
    let own = Authority::new("self-made");
    let paper = Paper { certificate: own.pem.clone(), key: own.issuer.key().serialize_pem() };
    fs::write(folder.path().join("ca.pem"), &own.pem).unwrap();
    contains(refused(&paper).await, &["CaUsedAsEndEntity", "a certificate of its own"]);
}

#[tokio::test]
async fn another_name_may_be_expected_and_an_address_is_one() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("plant"));
    let mut settings = settings(folder.path(), &authority);
    let paper = authority.paper(&["mq1.plant", "10.0.0.8"]);
    for name in ["mq1.plant", "10.0.0.8"] {
        settings.server_name = Some(name.to_owned());
        shake(&settings, acceptor(&paper, None)).await.unwrap();
    }
    settings.server_name = Some("mq 1".to_owned());
    contains(shake(&settings, acceptor(&paper, None)).await, &["'mq 1' cannot be the name"]);
    assert!(is_server_name("10.0.0.8") && is_server_name("plc_1.plant") && !is_server_name("a b"));
}

#[tokio::test]
async fn a_certificate_that_is_renewed_on_disk_is_used_at_the_next_connect() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("plant"));
    let mut settings = settings(folder.path(), &authority);
    let paper = authority.paper(&["broker.plant"]);
    settings.own = Some(authority.expired_paper(&["gw1"]).write(folder.path(), "gw1"));
    settings.look(folder.path()).unwrap();
    let before = settings.digest;
    shake(&settings, acceptor(&paper, Some(&authority))).await.unwrap_err();
    authority.paper(&["gw1"]).write(folder.path(), "gw1");
    shake(&settings, acceptor(&paper, Some(&authority))).await.unwrap();
    settings.look(folder.path()).unwrap();
    assert_ne!(settings.digest, before);
}

#[tokio::test]
async fn a_peer_without_tls_is_told_apart() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("plant"));
    let settings = settings(folder.path(), &authority);
    for (answer, expect) in [(&b"\x20\x02\0\x05\0"[..], "does not speak TLS"), (b"", "closed during the TLS")]
    {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(answer).await.unwrap();
        let broker = async {
            theirs.shutdown().await.unwrap();
            let mut rest = Vec::new();
            theirs.read_to_end(&mut rest).await.ok();
        };
        let (result, ()) = tokio::join!(async { settings.connect("b", ours, clock).await.map(drop) }, broker);
        let fault = result.unwrap_err();
        assert!(fault.to_string().contains(expect), "{fault}");
        assert!(fault.hint().contains("8883"));
    }
}

#[test]
fn files_that_cannot_be_used_are_told_with_why() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("plant"));
    let mut settings = settings(folder.path(), &authority);
    let own = authority.paper(&["gw1"]).write(folder.path(), "gw1");
    let other = authority.paper(&["gw2"]).write(folder.path(), "gw2");
    let look = |settings: &mut Settings| settings.look(folder.path()).unwrap_err().to_string();
    settings.own = Some(Own { key_file: other.key_file.clone(), ..own.clone() });
    assert!(look(&mut settings).contains("gw2.key does not belong to the certificate in"));
    settings.own = Some(Own { key_file: own.certificate_file.clone(), ..own.clone() });
    assert!(look(&mut settings).contains("gw1.crt holds no private key"));
    settings.own = Some(Own { key_file: PathBuf::from("none.key"), ..own.clone() });
    assert!(look(&mut settings).contains("none.key"));
    settings.own = None;
    for (bytes, expect) in [
        (&b"\x30\x82\x01\x0A"[..], "it is binary"),
        (b"", "it is empty"),
        (b"hello", "holds no certificate in PEM form"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA", "is damaged"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "can be used as an authority"),
    ] {
        fs::write(&settings.ca_file, bytes).unwrap();
        let said = look(&mut settings);
        assert!(said.contains(expect), "{said}");
    }
    fs::write(&settings.ca_file, &authority.pem).unwrap();
    fs::write(
        &own.key_file,
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    )
    .unwrap();
    settings.own = Some(own);
    assert!(look(&mut settings).contains("it is encrypted"));
}

#[test]
fn a_relative_path_starts_at_the_folder_however_often_it_is_looked_at() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("plant"));
    let mut settings = settings(folder.path(), &authority);
    settings.ca_file = PathBuf::from("ca.pem");
    settings.look(folder.path()).unwrap();
    let first = settings.clone();
    settings.look(folder.path()).unwrap();
    assert_eq!(settings, first);
}
