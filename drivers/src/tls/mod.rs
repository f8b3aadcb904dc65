//! TLS towards a broker: which files it takes, and what a handshake that fails means, in words.
//!
//! The certificate of the broker and the name in it are always checked, and no setting turns that off. The
//! authority stands in a file, since a plant has one of its own; the list of the operating system is a file
//! too. The files are read anew for each connection, off the runtime's threads: a certificate that was
//! renewed on disk is shown at the next connect. Whether one is still valid is judged by the clock that the
//! caller hands in.
//!
//! rustls with ring, TLS 1.2 and 1.3. What travels inside is of no interest here.

mod fault;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use riskgate_point::Now;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub use fault::{Fault, FileFault};

use crate::Clock;

/// How a broker is spoken to under TLS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settings {
    /// The authorities that may have signed the broker's certificate, PEM.
    pub ca_file: PathBuf,
    /// What we show where the broker asks who we are.
    pub own: Option<Own>,
    /// Whom the broker's certificate must be made out to; `None`: the host that is connected to.
    pub server_name: Option<String>,
    /// Of the files' bytes when they were last looked at: it tells a renewed certificate from the old one.
    pub digest: u64,
}

/// A certificate of our own and its key, PEM. The certificates between it and the authority follow it in
/// the same file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Own {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

/// Whether a text can be the name in a certificate.
pub fn is_server_name(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}

impl Settings {
    /// Sees whether the files are there and belong together. Relative paths start at `folder` from here on.
    pub fn look(&mut self, folder: &Path) -> Result<(), FileFault> {
        // Absolute, so that a second look at the same settings does not start at `folder` twice.
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
        let own = self.own.iter_mut().flat_map(|own| [&mut own.certificate_file, &mut own.key_file]);
        for path in own.chain([&mut self.ca_file]) {
            *path = folder.join(&*path);
        }
        let files = Files::read(self)?;
        self.digest = files.digest;
        files.config(self, Arc::new(At(Now::default))).map(drop)
    }

    /// Shakes hands over `stream`. `host` is what it leads to.
    pub async fn connect<S>(&self, host: &str, stream: S, clock: Clock) -> Result<TlsStream<S>, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = self.server_name.as_deref().unwrap_or(host);
        let Ok(server) = ServerName::try_from(name.to_owned()) else {
            return Err(Fault::NoName(name.to_owned()));
        };
        let settings = self.clone();
        // The files may lie on a disk that hangs.
        let reading = move || Files::read(&settings)?.config(&settings, Arc::new(At(clock)));
        let config = match tokio::task::spawn_blocking(reading).await {
            Ok(config) => config?,
            Err(broke) => return Err(Fault::Io(broke.into())),
        };
        TlsConnector::from(Arc::new(config))
            .connect(server, stream)
            .await
            .map_err(|error| self.fault_of(error))
    }

    /// What an error of a stream under TLS means: in TLS 1.3 a broker's refusal of our certificate comes
    /// after the handshake, with the first read.
    pub fn fault_of(&self, error: std::io::Error) -> Fault {
        Fault::of(error, self)
    }
}

/// What the files held.
struct Files {
    roots: RootCertStore,
    own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    digest: u64,
}

impl Files {
    fn read(settings: &Settings) -> Result<Self, FileFault> {
        let mut hasher = DefaultHasher::new();
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(certificates(&settings.ca_file, &mut hasher)?);
        if usable == 0 {
            return Err(FileFault::NoAuthority(settings.ca_file.clone()));
        }
        let own = match &settings.own {
            Some(own) => {
                Some((certificates(&own.certificate_file, &mut hasher)?, key(&own.key_file, &mut hasher)?))
            }
            None => None,
        };
        Ok(Self { roots, own, digest: hasher.finish() })
    }

    fn config(self, settings: &Settings, time: Arc<dyn TimeProvider>) -> Result<ClientConfig, FileFault> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_details(provider, time)
            .with_safe_default_protocol_versions()
            .map_err(|error| FileFault::unusable(settings, error))?
            .with_root_certificates(self.roots);
        match self.own {
            Some((chain, key)) => {
                config.with_client_auth_cert(chain, key).map_err(|error| FileFault::unusable(settings, error))
            }
            None => Ok(config.with_no_client_auth()),
        }
    }
}

fn bytes(path: &Path, hasher: &mut DefaultHasher) -> Result<Vec<u8>, FileFault> {
    let read = std::fs::read(path);
    let bytes = read.map_err(|cause| FileFault::Unreadable { path: path.to_path_buf(), cause })?;
    bytes.hash(hasher);
    Ok(bytes)
}

fn certificates(path: &Path, hasher: &mut DefaultHasher) -> Result<Vec<CertificateDer<'static>>, FileFault> {
    let bytes = bytes(path, hasher)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(FileFault::no_certificate(path, &bytes)),
        Err(why) => Err(FileFault::Damaged { path: path.to_path_buf(), why: why.to_string() }),
    }
}

fn key(path: &Path, hasher: &mut DefaultHasher) -> Result<PrivateKeyDer<'static>, FileFault> {
    use tokio_rustls::rustls::pki_types::pem::Error;
    let bytes = bytes(path, hasher)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|why| {
        if matches!(why, Error::NoItemsFound) {
            FileFault::no_key(path, &bytes)
        } else {
            FileFault::Damaged { path: path.to_path_buf(), why: why.to_string() }
        }
    })
}

/// The caller's clock, for the library.
struct At(Clock);

impl std::fmt::Debug for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("At")
    }
}

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from((self.0)().wall.0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

#[cfg(test)]
pub(crate) mod tests;
