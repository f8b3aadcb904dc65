//! Who stands at both ends of a secured channel: the server's certificate, judged, and one of our own.
//!
//! Both are looked at before each connection, and every few seconds while a session lasts, so that what a
//! person changes in the folder holds soon and without a restart. All work on files, and the making of a
//! key, is done off the threads that others wait for.
//!
//! The library trusts by a folder of its own, by file names of its own. It is given one that holds only what
//! was judged good here; it looks at nothing else.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use opcua::crypto::{CertificateStore, SecurityPolicy, X509, X509Data};
use opcua::sync::RwLock;
use opcua::types::EndpointDescription;
use riskgate_point::Mono;

use super::Server;
use super::certificate::{Certificate, date};
use super::fault::Fault;
use super::files::{self, FOR_ALL};
use super::own::{self, Identities, Own};
use super::trust::{Pki, Refusal, Shown};
use crate::Clock;

/// How soon a session ends whose server was distrusted.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How soon a session is tried whose server was trusted: a person is looking at it.
const LOOK_SOON: Duration = Duration::from_secs(1);

/// How often a server that trusts only our old certificate is offered the new one, while a session lasts or
/// when one is begun: each offer is a line in its log.
pub(super) const OFFER_EVERY: Duration = Duration::from_secs(86_400);

/// The library's own folder of trusted certificates.
const LIBRARY: &str = ".library";

type Stamp = Vec<Option<SystemTime>>;

/// What a driver knows of certificates between its sessions.
pub(super) struct Guard {
    server: Arc<Server>,
    clock: Clock,
    pki: Pki,
    /// Of the folder, when it was last read.
    read: Mutex<Stamp>,
    /// When the server last refused the certificate that is to follow ours.
    next_refused: Mutex<Option<Mono>>,
    /// How the channel was last said to be protected.
    told: Mutex<String>,
}

/// What one secured session rests on.
#[derive(Clone)]
pub(super) struct Papers {
    pub(super) own: Own,
    /// The server's.
    certificate: Certificate,
    application_uri: String,
    pki: Pki,
    server: Arc<Server>,
    clock: Clock,
}

impl Guard {
    pub(super) fn new(server: Arc<Server>, clock: Clock) -> Self {
        let pki = &server.security.pki;
        // The library would look for a relative path in its own folder.
        let pki = Pki::new(std::path::absolute(pki).unwrap_or_else(|_| pki.clone()));
        Self {
            server,
            clock,
            pki,
            read: Mutex::default(),
            next_refused: Mutex::default(),
            told: Mutex::default(),
        }
    }

    pub(super) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Our own certificates: made where there are none.
    pub(super) async fn identities(&self) -> Result<Identities, Fault> {
        let (pki, applicant) = (self.pki.clone(), self.server.security.applicant.clone());
        let now = (self.clock)().wall;
        let (identities, stamp) = blocking(move || {
            let identities = own::ensure(pki.folder(), &applicant, now);
            (identities, pki.stamp())
        })
        .await?;
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
        identities.map_err(|error| Fault::Own { folder: self.pki.folder().to_owned(), why: chain(&error) })
    }

    /// Judges the server's certificate.
    pub(super) async fn papers(&self, endpoint: &EndpointDescription, own: Own) -> Result<Papers, Fault> {
        let url = self.server.url.clone();
        let bytes = endpoint.server_certificate.as_ref();
        let certificate = Certificate::parse(bytes)
            .map_err(|cause| Fault::UnreadableCertificate { url: url.clone(), cause })?;
        let policy = SecurityPolicy::from_uri(endpoint.security_policy_uri.as_ref());
        if !policy.is_valid_keylength(certificate.key_bits()) {
            let bits = certificate.key_bits();
            return Err(Fault::WeakKey { url, bits, policy: policy.to_string() });
        }
        let papers = Papers {
            own,
            certificate,
            application_uri: endpoint.server.application_uri.as_ref().to_owned(),
            pki: self.pki.clone(),
            server: Arc::clone(&self.server),
            clock: self.clock,
        };
        let judged = papers.clone();
        let first = self.server.security.trust_first;
        blocking(move || {
            judged.judge(first)?.map_err(Fault::ServerCertificate)?;
            judged.show_to_library()
        })
        .await??;
        self.warn_of_ends(&papers);
        Ok(papers)
    }

    /// Each end costs a person an act, here or at the server: it should not come as a surprise.
    fn warn_of_ends(&self, papers: &Papers) {
        let (now, url) = ((self.clock)().wall, &self.server.url);
        if own::is_due(&papers.certificate, now) {
            let until = date(papers.certificate.validity().1);
            tracing::warn!(
                url,
                until,
                "the certificate of the OPC UA server ends soon; its next one has to be trusted here"
            );
        }
        if own::is_due(&papers.own.certificate, now) && !papers.own.is_made_here() {
            let (until, file) =
                (date(papers.own.certificate.validity().1), papers.own.certificate_file.display());
            tracing::warn!(until, %file, "the OPC UA certificate that was put here for riskgate ends soon; put another there");
        }
    }

    /// Tells in the log how the channel is protected, where that is another way than before.
    pub(super) fn tell(&self, endpoint: &EndpointDescription) {
        let policy = SecurityPolicy::from_uri(endpoint.security_policy_uri.as_ref());
        let channel = format!("{policy} {}", endpoint.security_mode);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != channel {
            tracing::info!(url = self.server.url, channel, "the OPC UA channel is protected");
            *told = channel;
        }
    }

    /// Whether it is time to offer the server the certificate that is to follow ours.
    pub(super) fn may_offer(&self) -> bool {
        let refused = *self.next_refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.is_none_or(|at| (self.clock)().mono.since(at) >= OFFER_EVERY)
    }

    pub(super) fn next_was_refused(&self) {
        *self.next_refused.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.clock)().mono);
    }

    /// Waits until a person has changed what is trusted, or a certificate of ours, since it was last read.
    pub(super) async fn changed(&self) {
        if !self.server.security.is_secured() {
            return std::future::pending().await;
        }
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut look = tokio::time::interval(LOOK_SOON);
        loop {
            look.tick().await;
            let pki = self.pki.clone();
            if blocking(move || pki.stamp()).await.is_ok_and(|stamp| stamp != read) {
                return;
            }
        }
    }
}

impl Papers {
    /// The same, but shown by another certificate of ours.
    pub(super) fn by(self, own: Own) -> Self {
        Self { own, ..self }
    }

    /// Whether they are what they were when the session was begun. A disk that cannot be read says nothing
    /// against them.
    pub(super) async fn hold(&self) -> bool {
        self.verdict().await.is_ok()
    }

    async fn verdict(&self) -> Result<(), Fault> {
        let papers = self.clone();
        blocking(move || {
            if let Ok(Err(refusal)) = papers.judge(false) {
                return Err(Fault::ServerCertificate(refusal));
            }
            match own::look(papers.pki.folder()) {
                Ok(Some(Identities { current, next })) => {
                    let is_there = current == papers.own || next.is_some_and(|next| next == papers.own);
                    if is_there { Ok(()) } else { Err(Fault::Renewed { url: papers.server.url.clone() }) }
                }
                Ok(None) | Err(_) => Ok(()),
            }
        })
        .await?
    }

    /// Waits until the session must not go on: the server was distrusted, or our own certificate replaced.
    pub(super) async fn fail(&self) -> Fault {
        let stamp = || {
            let pki = self.pki.clone();
            blocking(move || pki.stamp())
        };
        let mut read = None;
        loop {
            let now = stamp().await.ok();
            if now != read {
                if let Err(fault) = self.verdict().await {
                    return fault;
                }
                read = now;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn judge(&self, first: bool) -> Result<Result<(), Refusal>, Fault> {
        let shown = Shown {
            certificate: &self.certificate,
            source: &self.server.security.source,
            url: &self.server.url,
            application_uri: &self.application_uri,
            first,
        };
        let judged = self.pki.judge(&shown, (self.clock)().wall);
        judged.map_err(|error| Fault::Own { folder: self.pki.folder().to_owned(), why: chain(&error) })
    }

    fn library_folder(&self) -> PathBuf {
        self.pki.folder().join(LIBRARY)
    }

    fn show_to_library(&self) -> Result<(), Fault> {
        let failed = |why: String| Fault::Own { folder: self.pki.folder().to_owned(), why };
        let x509 = X509::from_der(self.certificate.der()).map_err(|error| failed(error.to_string()))?;
        let trusted = self.library_folder().join("trusted");
        let file = trusted.join(CertificateStore::cert_file_name(&x509));
        if file.exists() {
            return Ok(());
        }
        files::make_folder(&trusted)
            .and_then(|()| files::write(&file, self.certificate.der(), FOR_ALL))
            .map_err(|error| failed(chain(&error)))
    }

    /// As the library wants it: our certificate and key, and whom to trust. It reads the files at each
    /// connection.
    pub(super) fn store(&self) -> Arc<RwLock<CertificateStore>> {
        let (mut store, _certificate, _key) = CertificateStore::new_with_x509_data(
            &self.library_folder(),
            false,
            Some(&self.own.certificate_file),
            Some(&self.own.key_file),
            None::<X509Data>,
        );
        // What it would verify is verified here, and by the thumbprint.
        store.set_skip_verify_certs(true);
        Arc::new(RwLock::new(store))
    }
}

/// Dropped before its end, it ends by itself: nothing here waits for anyone.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Fault::Broken { why: error.to_string() })
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}
