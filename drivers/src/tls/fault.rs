//! What is wrong with the files or with the handshake: which side refused, why, and what to look at next.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::Settings;

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    #[error("reading {}", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----){why}", .path.display())]
    NoCertificate { path: PathBuf, why: &'static str },
    #[error("{} holds no private key in PEM form (-----BEGIN PRIVATE KEY-----){why}", .path.display())]
    NoKey { path: PathBuf, why: &'static str },
    #[error("{} is damaged: {why}", .path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("no certificate in {} can be used as an authority", .0.display())]
    NoAuthority(PathBuf),
    #[error("the key in {} does not belong to the certificate in {}", .key.display(), .certificate.display())]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("{} and its key cannot be used: {source}", .certificate.display())]
    Unusable {
        certificate: PathBuf,
        #[source]
        source: Error,
    },
}

impl FileFault {
    pub(super) fn no_certificate(path: &Path, bytes: &[u8]) -> Self {
        // A certificate or a PKCS #12 store without the letters around it begins with an ASN.1 sequence.
        const SEQUENCE: u8 = 0x30;
        let why = match bytes.first() {
            Some(&SEQUENCE) => {
                "; it is binary (.der, .cer, .pfx): openssl x509 -inform der or openssl pkcs12 converts it"
            }
            Some(_) => "",
            None => "; it is empty",
        };
        Self::NoCertificate { path: path.to_path_buf(), why }
    }

    pub(super) fn no_key(path: &Path, bytes: &[u8]) -> Self {
        let is_encrypted = String::from_utf8_lossy(bytes).contains("ENCRYPTED PRIVATE KEY");
        let why = if is_encrypted {
            "; it is encrypted: openssl pkey -in FILE -out FILE takes that off"
        } else {
            ""
        };
        Self::NoKey { path: path.to_path_buf(), why }
    }

    pub(super) fn unusable(settings: &Settings, error: Error) -> Self {
        let own = settings.own.as_ref();
        let certificate = own.map_or(&settings.ca_file, |own| &own.certificate_file).clone();
        match (error, own) {
            (Error::InconsistentKeys(_), Some(own)) => {
                Self::Mismatch { certificate, key: own.key_file.clone() }
            }
            (source, _) => Self::Unusable { certificate, source },
        }
    }
}

/// Why there is no connection under TLS.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("the TLS files cannot be used: {}", with_cause(.0))]
    Files(#[from] FileFault),
    #[error("'{0}' cannot be the name in a certificate")]
    NoName(String),
    #[error("we refuse the broker's certificate: {0}")]
    TheirCertificate(Theirs),
    #[error("the broker refuses {}: {}", if *.shown { "our certificate" } else { "us without a certificate" }, alert_text(*.alert))]
    OurCertificate { alert: AlertDescription, shown: bool },
    #[error("the broker breaks off the TLS handshake: {}", alert_text(*.0))]
    Alert(AlertDescription),
    #[error("what answers there does not speak TLS")]
    NoTls,
    #[error("the broker offers nothing newer than TLS 1.1")]
    TooOld,
    #[error("the connection was closed during the TLS handshake")]
    Closed,
    #[error("the TLS handshake failed: {0}")]
    Handshake(Error),
    #[error("the connection failed during the TLS handshake: {0}")]
    Io(io::Error),
}

/// What we have against a broker's certificate.
#[derive(Debug, thiserror::Error)]
pub enum Theirs {
    #[error("nobody in {} has signed it", .ca_file.display())]
    UnknownIssuer { ca_file: PathBuf },
    #[error("it is not made out to '{wanted}' but to {}", if .names.is_empty() { "nobody (it has no subjectAltName)".to_owned() } else { .names.join(", ") })]
    WrongName { wanted: String, names: Vec<String> },
    #[error("it expired at {0}")]
    Expired(String),
    #[error("it is not valid before {0}")]
    NotYetValid(String),
    #[error("{0}")]
    Unfit(CertificateError),
}

impl Fault {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's errors are non-exhaustive")]
    pub(super) fn of(error: io::Error, settings: &Settings) -> Self {
        let library = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).cloned();
        let shown = settings.own.is_some();
        match library {
            Some(Error::InvalidCertificate(why)) => {
                Self::TheirCertificate(Theirs::of(why, settings.ca_file.clone()))
            }
            Some(Error::AlertReceived(alert)) if is_of_our_certificate(alert, shown) => {
                Self::OurCertificate { alert, shown }
            }
            Some(Error::AlertReceived(AlertDescription::ProtocolVersion)) => Self::TooOld,
            Some(Error::AlertReceived(alert)) => Self::Alert(alert),
            Some(Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge,
            )) => Self::NoTls,
            Some(Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            )) => Self::TooOld,
            Some(other) => Self::Handshake(other),
            None => match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => Self::Closed,
                _ => Self::Io(error),
            },
        }
    }

    /// What to look at next.
    pub fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Files(_) => "the files are read again at the next try".into(),
            Self::NoName(_) => "write tls.server_name, the name that the broker's certificate has".into(),
            Self::TheirCertificate(theirs) => theirs.hint(),
            Self::OurCertificate { shown: false, .. } => {
                "write tls.certificate_file and tls.key_file, from whoever runs the broker".into()
            }
            Self::OurCertificate { alert: AlertDescription::CertificateExpired, .. } => {
                "renew tls.certificate_file; it is used at the next try. If it is still valid, look at the broker's clock".into()
            }
            Self::OurCertificate { .. } => {
                "the broker must know the authority of tls.certificate_file; its log says more".into()
            }
            Self::Alert(_) | Self::Handshake(_) | Self::Io(_) => "see the broker's log".into(),
            Self::NoTls => "check port: 8883 is usual for TLS; a broker without it is read without 'tls'".into(),
            Self::TooOld => "the broker must be set to TLS 1.2 or newer".into(),
            Self::Closed => {
                "check port (8883 is usual for TLS) and whether the broker wants a client certificate; its log says more".into()
            }
        }
    }
}

impl Theirs {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's errors are non-exhaustive")]
    fn of(why: CertificateError, ca_file: PathBuf) -> Self {
        match why {
            CertificateError::UnknownIssuer => Self::UnknownIssuer { ca_file },
            CertificateError::NotValidForNameContext { expected, presented } => Self::WrongName {
                wanted: expected.to_str().into_owned(),
                names: presented.iter().map(|name| bare(name).to_owned()).collect(),
            },
            CertificateError::ExpiredContext { not_after, .. } => Self::Expired(stamp(not_after)),
            CertificateError::NotValidYetContext { not_before, .. } => Self::NotYetValid(stamp(not_before)),
            other => Self::Unfit(other),
        }
    }

    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::UnknownIssuer { .. } => {
                "put the certificate of the authority that signed the broker's into tls.ca_file; if the broker was changed lately, ask who did it".into()
            }
            Self::WrongName { names, .. } if names.is_empty() => {
                "give the broker a certificate with a subjectAltName: the common name alone does not count".into()
            }
            Self::WrongName { names, .. } => {
                let name = names.first().map_or("", String::as_str);
                format!("if it is the right broker, write tls.server_name = \"{name}\"; else check host").into()
            }
            Self::Expired(_) => "renew it at the broker; if it is still valid, set this gateway's clock".into(),
            Self::NotYetValid(_) => "set this gateway's clock; if it is right, look at the certificate".into(),
            Self::Unfit(_) => {
                "give the broker a certificate of its own (not the authority's), version 3 with a subjectAltName, RSA of 2048 bits or EC, SHA-256".into()
            }
        }
    }
}

/// Alerts that speak of the certificate that we showed or did not show.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library's alerts are non-exhaustive")]
fn is_of_our_certificate(alert: AlertDescription, shown: bool) -> bool {
    match alert {
        AlertDescription::CertificateRequired
        | AlertDescription::NoCertificate
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => true,
        // What TLS 1.2 says to a client that shows none.
        AlertDescription::HandshakeFailure => !shown,
        _ => false,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library's alerts are non-exhaustive")]
fn alert_text(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            "it requires one".to_owned()
        }
        AlertDescription::CertificateExpired => "it has expired".to_owned(),
        AlertDescription::CertificateRevoked => "it is revoked".to_owned(),
        AlertDescription::UnknownCA => "it does not know who signed it".to_owned(),
        AlertDescription::HandshakeFailure => {
            "it may require one, or it knows no cipher that we know".to_owned()
        }
        AlertDescription::AccessDenied => "it is not on the broker's list".to_owned(),
        other => format!("alert {other:?}"),
    }
}

/// `DnsName("broker.plant")`, as the library writes the names of a certificate, without what is around.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

fn stamp(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
}

fn with_cause(fault: &FileFault) -> String {
    match std::error::Error::source(fault) {
        Some(cause) if !fault.to_string().ends_with(&cause.to_string()) => format!("{fault}: {cause}"),
        Some(_) | None => fault.to_string(),
    }
}
