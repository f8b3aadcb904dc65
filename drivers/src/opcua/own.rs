//! Our own application certificate: made at the first start, kept, and renewed without an outage.
//!
//! It lies in `own/` of the certificate folder: `cert.der` (or `cert.pem`) and `key.pem`. A person may put
//! another pair there; that is used and never touched. Ours is valid for ten years.
//!
//! A server trusts one certificate, by a person's act there. A renewed one is another certificate, so that
//! renewing alone would end the session and everything that hangs on it. Therefore, 90 days before the old
//! one ends, a new one is made beside it, in `next/`. From then on each server is offered the new one first
//! and the old one where it refuses, and the log says what is to be done at the server. Only when the old
//! one has ended does the new one take its place.
//!
//! The clock of a gateway may stand in 1970 until the network tells it the time. So the beginning of a
//! certificate is never before [`CLOCK_FLOOR`], and nothing is renewed by a clock that stands before it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use opcua::crypto::X509;
use riskgate_point::Wall;
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;

use super::certificate::{self, Certificate, CertificateError, Wish, date};
use super::files::{self, FOR_ALL, FOR_US_ALONE, FileError};

const DAY_MS: i64 = 86_400_000;

/// Ten years: each renewal costs a person an act at each server.
const VALID_MS: i64 = 3652 * DAY_MS;

/// Three months: long enough for the next planned stop of any unit.
const RENEW_BEFORE_MS: i64 = 90 * DAY_MS;

/// For servers whose clock lags behind ours.
const BACKDATED_MS: i64 = DAY_MS;

/// This program is younger than any clock that stands before this: 2026-01-01.
const CLOCK_FLOOR: Wall = Wall(1_767_225_600_000);

const OWN: &str = "own";
const NEXT: &str = "next";
const OLD: &str = "old";
const CERTIFICATE_FILES: [&str; 2] = ["cert.der", "cert.pem"];
const KEY_FILE: &str = "key.pem";

/// Ours are told by these from those that a person put there.
const COMMON_NAME: &str = "riskgate ";
const URI: &str = "urn:riskgate:";

/// Why there is no certificate of our own.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("证书与密钥不全 / {folder} holds {there} and no {lacking}", folder = .folder.display())]
    Half { folder: PathBuf, there: &'static str, lacking: &'static str },
    #[error("证书不能用 / {path} cannot be used: {cause}", path = .path.display())]
    Certificate { path: PathBuf, cause: CertificateError },
    #[error("密钥不能用 / {path} is no RSA key in PEM, PKCS #8 or PKCS #1, without a password", path = .path.display())]
    Key { path: PathBuf },
    #[error("密钥与证书不符 / the key in {folder} is not that of the certificate beside it", folder = .folder.display())]
    Pair { folder: PathBuf },
    #[error("未能生成证书 / making a certificate: {why}")]
    Make { why: String },
}

/// Whether a certificate's times can be judged at all.
pub(super) fn is_plausible(now: Wall) -> bool {
    now >= CLOCK_FLOOR
}

/// Whether it is time to think of the next one.
pub(super) fn is_due(certificate: &Certificate, now: Wall) -> bool {
    is_plausible(now) && now.0 > certificate.validity().1.0 - RENEW_BEFORE_MS
}

/// For whom a certificate is made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applicant {
    pub company: String,
    pub gateway: String,
}

impl Applicant {
    /// As the certificate names us, and as we name ourselves to servers.
    pub fn uri(&self) -> String {
        format!("{URI}{}:{}", ascii(&self.company), ascii(&self.gateway))
    }
}

/// A URI holds nothing else.
fn ascii(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A certificate of ours with its files.
#[derive(Debug, Clone, PartialEq)]
pub struct Own {
    pub certificate: Certificate,
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

impl Own {
    /// It was made here, not put here.
    pub fn is_made_here(&self) -> bool {
        let certificate = &self.certificate;
        let common_name = format!("CN={COMMON_NAME}");
        certificate.is_self_issued()
            && certificate.subject().split(',').any(|part| part.starts_with(&common_name))
            && certificate.application_uri().is_some_and(|uri| uri.starts_with(URI))
    }

    fn is_over(&self, now: Wall) -> bool {
        is_plausible(now) && now > self.certificate.validity().1
    }
}

/// What there is to show to servers.
#[derive(Debug, Clone, PartialEq)]
pub struct Identities {
    pub current: Own,
    /// What takes its place, and is offered first.
    pub next: Option<Own>,
}

/// What is there, without making anything.
pub(super) fn look(pki: &Path) -> Result<Option<Identities>, OwnError> {
    let Some(current) = load(&pki.join(OWN))? else { return Ok(None) };
    // The next one can only be ours; one that is broken is made anew.
    let next = load(&pki.join(NEXT)).ok().flatten();
    Ok(Some(Identities { current, next }))
}

/// What is there; made, renewed or put in its place where that is due. Blocks, for seconds where a key is
/// made.
pub(super) fn ensure(pki: &Path, applicant: &Applicant, now: Wall) -> Result<Identities, OwnError> {
    // Sources start together: the first makes it, the others find it.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _held = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    files::make_folder(pki)?;
    finish_swap(pki)?;
    let mut identities = match look(pki)? {
        Some(identities) => identities,
        None => {
            let current = make(pki, OWN, applicant, now)?;
            tracing::info!(
                thumbprint = %current.certificate.thumbprint(),
                file = %current.certificate_file.display(),
                "riskgate's own OPC UA certificate is made; servers with security must be told to trust it"
            );
            Identities { current, next: None }
        }
    };
    let Identities { current, next } = &identities;
    if current.is_over(now) && next.as_ref().is_some_and(|next| !next.is_over(now)) {
        swap(pki)?;
        identities = look(pki)?.unwrap_or(identities);
    } else if is_due(&current.certificate, now)
        && current.is_made_here()
        && next.as_ref().is_none_or(|next| is_due(&next.certificate, now))
    {
        let _broken_or_over = std::fs::remove_dir_all(pki.join(NEXT));
        let made = make(pki, NEXT, applicant, now)?;
        tracing::warn!(
            thumbprint = %made.certificate.thumbprint(),
            file = %made.certificate_file.display(),
            until = date(current.certificate.validity().1),
            "riskgate's own OPC UA certificate ends soon and a new one is made: let each server trust it before then"
        );
        identities.next = Some(made);
    }
    Ok(identities)
}

/// `None`: the folder holds neither certificate nor key.
fn load(folder: &Path) -> Result<Option<Own>, OwnError> {
    let key_file = folder.join(KEY_FILE);
    let key = files::read(&key_file)?;
    let mut certificate = None;
    for name in CERTIFICATE_FILES {
        let path = folder.join(name);
        if let Some(bytes) = files::read(&path)? {
            certificate = Some((path, bytes));
            break;
        }
    }
    let half = |there, lacking| OwnError::Half { folder: folder.to_owned(), there, lacking };
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(half("a certificate", "key.pem")),
        (None, Some(_)) => Err(half("key.pem", "certificate (cert.der or cert.pem)")),
        (Some((path, bytes)), Some(key)) => {
            let fault = |cause| OwnError::Certificate { path: path.clone(), cause };
            let certificate = Certificate::parse(&bytes).map_err(fault)?;
            if path.extension().is_some_and(|extension| extension == "pem") && X509::from_pem(&bytes).is_err()
            {
                return Err(fault(CertificateError::Chain));
            }
            let key = read_key(&key).ok_or_else(|| OwnError::Key { path: key_file.clone() })?;
            if !certificate.is_of(&key) {
                return Err(OwnError::Pair { folder: folder.to_owned() });
            }
            Ok(Some(Own { certificate, certificate_file: path, key_file }))
        }
    }
}

/// As the library reads it.
pub(super) fn read_key(bytes: &[u8]) -> Option<RsaPrivateKey> {
    let text = std::str::from_utf8(bytes).ok()?;
    RsaPrivateKey::from_pkcs8_pem(text).or_else(|_| RsaPrivateKey::from_pkcs1_pem(text)).ok()
}

/// In a folder of its own that gets its name when it is whole.
fn make(pki: &Path, name: &'static str, applicant: &Applicant, now: Wall) -> Result<Own, OwnError> {
    let failed = |why: String| OwnError::Make { why };
    let begin = Wall(now.0.max(CLOCK_FLOOR.0) - BACKDATED_MS);
    let host = opcua::crypto::hostname().ok().filter(|host| !host.is_empty() && host.is_ascii());
    let wish = Wish {
        common_name: format!("{COMMON_NAME}{}", applicant.gateway),
        organization: applicant.company.clone(),
        uri: applicant.uri(),
        hosts: vec![host.unwrap_or_else(|| "localhost".to_owned())],
        begin,
        end: Wall(begin.0 + VALID_MS),
    };
    let made = certificate::make(&wish).map_err(|error| failed(error.to_string()))?;
    let unfinished = pki.join(format!(".{name}.{}-{:x}", std::process::id(), fastrand::u32(..)));
    files::make_folder(&unfinished)?;
    files::write(&unfinished.join(KEY_FILE), made.key.as_bytes(), FOR_US_ALONE)?;
    files::write(&unfinished.join("cert.der"), &made.certificate, FOR_ALL)?;
    let moved = files::move_to(&unfinished, &pki.join(name));
    if moved.is_err() {
        let _left_behind = std::fs::remove_dir_all(&unfinished);
    }
    // Where another process was faster, its certificate is as good as ours.
    match (load(&pki.join(name))?, moved) {
        (Some(own), _) => Ok(own),
        (None, Err(error)) => Err(error.into()),
        (None, Ok(())) => Err(failed(format!("{} was not kept", pki.join(name).display()))),
    }
}

/// The next one takes its place; the old one is kept beside it, for whoever wonders.
fn swap(pki: &Path) -> Result<(), OwnError> {
    let _may_not_exist = std::fs::remove_dir_all(pki.join(OLD));
    files::move_to(&pki.join(OWN), &pki.join(OLD))?;
    files::move_to(&pki.join(NEXT), &pki.join(OWN))?;
    tracing::warn!(
        "riskgate's own OPC UA certificate has ended; the one made to follow it is used from now on"
    );
    Ok(())
}

/// A crash between the two moves of a swap left none in its place.
fn finish_swap(pki: &Path) -> Result<(), OwnError> {
    if !pki.join(OWN).exists() && pki.join(NEXT).exists() {
        files::move_to(&pki.join(NEXT), &pki.join(OWN))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOVEMBER: Wall = Wall(1_795_000_000_000);

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("riskgate-own-{}-{name}", std::process::id()));
            let _left_from_before = std::fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = std::fs::remove_dir_all(&self.0);
        }
    }

    fn applicant() -> Applicant {
        Applicant { company: "540170007".to_owned(), gateway: "54017000701".to_owned() }
    }

    fn later(from: Wall, days: i64) -> Wall {
        Wall(from.0 + days * DAY_MS)
    }

    #[test]
    fn it_is_made_once_says_who_we_are_and_keeps_its_key_to_itself() {
        let folder = Folder::new("made");
        let first = ensure(&folder.0, &applicant(), NOVEMBER).unwrap();
        let own = &first.current;
        assert_eq!(own.certificate.application_uri().as_deref(), Some("urn:riskgate:540170007:54017000701"));
        assert_eq!(own.certificate.subject(), "CN=riskgate 54017000701,O=540170007");
        assert_eq!(own.certificate.key_bits(), 2048);
        assert_eq!(own.certificate.hosts(), [opcua::crypto::hostname().unwrap()]);
        let (begin, end) = own.certificate.validity();
        assert_eq!((begin, end.0 - begin.0), (later(NOVEMBER, -1), VALID_MS));
        let mode = std::fs::metadata(&own.key_file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(own.is_made_here() && first.next.is_none());
        assert_eq!(ensure(&folder.0, &applicant(), later(NOVEMBER, 1000)).unwrap(), first, "it is kept");
        let x509 = X509::from_der(own.certificate.der()).unwrap();
        assert!(x509.is_application_uri_valid("urn:riskgate:540170007:54017000701").is_ok());
        assert!(x509.is_hostname_valid(&opcua::crypto::hostname().unwrap()).is_ok());
    }

    #[test]
    fn a_clock_in_1970_neither_dates_it_back_nor_renews_it() {
        let folder = Folder::new("1970");
        let made = ensure(&folder.0, &applicant(), Wall(0)).unwrap();
        let (begin, end) = made.current.certificate.validity();
        assert_eq!((date(begin), date(end)), ("2025-12-31".to_owned(), "2035-12-31".to_owned()));
        assert_eq!(
            ensure(&folder.0, &applicant(), NOVEMBER).unwrap(),
            made,
            "it is valid when the clock is right"
        );
        assert_eq!(ensure(&folder.0, &applicant(), Wall(1)).unwrap(), made);
    }

    #[test]
    fn a_new_one_is_made_beside_it_three_months_before_it_ends_and_takes_its_place_when_it_has() {
        let folder = Folder::new("renewed");
        let first = ensure(&folder.0, &applicant(), NOVEMBER).unwrap();
        let end = first.current.certificate.validity().1;
        assert_eq!(ensure(&folder.0, &applicant(), later(end, -91)).unwrap(), first);

        let both = ensure(&folder.0, &applicant(), later(end, -89)).unwrap();
        assert_eq!(both.current, first.current, "the old one stays in use");
        let next = both.next.clone().unwrap();
        assert_ne!(next.certificate.thumbprint(), first.current.certificate.thumbprint());
        assert_eq!(next.certificate.application_uri(), first.current.certificate.application_uri());
        assert_eq!(ensure(&folder.0, &applicant(), later(end, -1)).unwrap(), both, "it is made once");

        let after = ensure(&folder.0, &applicant(), later(end, 1)).unwrap();
        assert_eq!(after.current.certificate, next.certificate);
        assert_eq!(after.next, None);
        assert!(folder.0.join("old/cert.der").exists());
    }

    #[test]
    fn a_crash_amid_the_swap_loses_nothing() {
        let folder = Folder::new("crash");
        let first = ensure(&folder.0, &applicant(), NOVEMBER).unwrap();
        let end = first.current.certificate.validity().1;
        let next = ensure(&folder.0, &applicant(), later(end, -1)).unwrap().next.unwrap();
        std::fs::rename(folder.0.join(OWN), folder.0.join(OLD)).unwrap();
        let after = ensure(&folder.0, &applicant(), later(end, 1)).unwrap();
        assert_eq!(after.current.certificate, next.certificate);
    }

    #[test]
    fn what_a_person_put_there_is_used_and_never_renewed() {
        let folder = Folder::new("put");
        let wish = Wish {
            common_name: "gateway of the plant".to_owned(),
            organization: "plant".to_owned(),
            uri: "urn:plant:gateway".to_owned(),
            hosts: Vec::new(),
            begin: NOVEMBER,
            end: later(NOVEMBER, 10),
        };
        let made = certificate::make(&wish).unwrap();
        files::make_folder(&folder.0.join(OWN)).unwrap();
        files::write(&folder.0.join("own/cert.der"), &made.certificate, FOR_ALL).unwrap();
        let lacking = ensure(&folder.0, &applicant(), NOVEMBER).unwrap_err().to_string();
        assert!(lacking.ends_with("own holds a certificate and no key.pem"), "{lacking}");
        files::write(&folder.0.join("own/key.pem"), b"secret", FOR_US_ALONE).unwrap();
        let no_key = ensure(&folder.0, &applicant(), NOVEMBER).unwrap_err().to_string();
        assert!(no_key.contains("key.pem is no RSA key in PEM") && !no_key.contains("secret"), "{no_key}");
        files::write(&folder.0.join("own/key.pem"), made.key.as_bytes(), FOR_US_ALONE).unwrap();
        for now in [NOVEMBER, later(NOVEMBER, 9), later(NOVEMBER, 30)] {
            let used = ensure(&folder.0, &applicant(), now).unwrap();
            assert!(!used.current.is_made_here());
            assert_eq!((used.current.certificate.der(), used.next), (made.certificate.as_slice(), None));
        }
        let other = certificate::make(&wish).unwrap();
        files::write(&folder.0.join("own/cert.der"), &other.certificate, FOR_ALL).unwrap();
        let mixed = ensure(&folder.0, &applicant(), NOVEMBER).unwrap_err().to_string();
        assert!(mixed.contains("is not that of the certificate beside it"), "{mixed}");
    }

    #[test]
    fn a_uri_is_ascii_whatever_the_gateway_is_called() {
        let applicant = Applicant { company: "540170007".to_owned(), gateway: "罐区 1".to_owned() };
        assert_eq!(applicant.uri(), "urn:riskgate:540170007:%E7%BD%90%E5%8C%BA%201");
    }
}
