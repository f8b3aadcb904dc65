//! What the configuration says of security: which policy, which mode, which user, whom to trust.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use opcua::client::{IdentityToken, Password as LibraryPassword};
use opcua::crypto::{PrivateKey, X509};

use super::certificate::{Certificate, CertificateError};
use super::files::{self, FileError};
use super::own::{Applicant, read_key};

/// How a source speaks to its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    pub channel: Channel,
    /// Trust the first certificate that the server ever shows.
    pub trust_first: bool,
    /// Where certificates lie; see [`super::Pki`].
    pub pki: PathBuf,
    pub applicant: Applicant,
    /// The source's id in the configuration, for notes beside what was refused.
    pub source: String,
}

impl Security {
    /// Without any: what a configuration says by `policy = "None"`.
    pub fn open() -> Self {
        Self {
            channel: Channel::Open,
            trust_first: false,
            pki: PathBuf::new(),
            applicant: Applicant::default(),
            source: String::new(),
        }
    }

    pub(super) fn is_secured(&self) -> bool {
        matches!(self.channel, Channel::Secured { .. })
    }
}

/// How the channel is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Not at all: only where the configuration says so outright.
    Open,
    /// By the policy named, else by the strongest that the server offers. Never less.
    Secured { policy: Option<Policy>, mode: Mode },
}

impl Default for Channel {
    fn default() -> Self {
        Self::Secured { policy: None, mode: Mode::SignAndEncrypt }
    }
}

/// The policies of today. Basic128Rsa15 and Basic256 are broken and not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Basic256Sha256,
    Aes128Sha256RsaOaep,
    Aes256Sha256RsaPss,
}

impl Policy {
    /// The strongest first.
    pub(super) const ALL: [Self; 3] =
        [Self::Aes256Sha256RsaPss, Self::Basic256Sha256, Self::Aes128Sha256RsaOaep];

    pub fn name(self) -> &'static str {
        match self {
            Self::Basic256Sha256 => "Basic256Sha256",
            Self::Aes128Sha256RsaOaep => "Aes128Sha256RsaOaep",
            Self::Aes256Sha256RsaPss => "Aes256Sha256RsaPss",
        }
    }

    /// What stands behind `http://opcfoundation.org/UA/SecurityPolicy#`.
    pub(super) fn on_the_wire(self) -> &'static str {
        match self {
            Self::Basic256Sha256 => "Basic256Sha256",
            Self::Aes128Sha256RsaOaep => "Aes128_Sha256_RsaOaep",
            Self::Aes256Sha256RsaPss => "Aes256_Sha256_RsaPss",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Sign,
    SignAndEncrypt,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sign => "Sign",
            Self::SignAndEncrypt => "SignAndEncrypt",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("policy None"),
            Self::Secured { policy: Some(policy), mode } => write!(f, "{} {}", policy.name(), mode.name()),
            Self::Secured { policy: None, mode } => write!(f, "security and mode {}", mode.name()),
        }
    }
}

/// As whom a source logs in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub enum User {
    #[default]
    Anonymous,
    Password {
        name: String,
        password: Password,
    },
    Certificate(UserCertificate),
}

impl User {
    pub(super) fn token(&self) -> IdentityToken {
        match self {
            Self::Password { name, password } => {
                IdentityToken::UserName(name.clone(), LibraryPassword::new(password.0.as_str()))
            }
            Self::Certificate(UserCertificate { read: Some(read), .. }) => {
                IdentityToken::new_x509(read.x509.clone(), read.key.clone())
            }
            // A certificate that was not read is no user: the endpoint that was picked for one takes no
            // anonymous.
            Self::Anonymous | Self::Certificate(UserCertificate { read: None, .. }) => {
                IdentityToken::Anonymous
            }
        }
    }

    /// As a sentence names it.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Anonymous => "anonymous sessions".to_owned(),
            Self::Password { name, .. } => format!("user '{name}'"),
            Self::Certificate(user) => match &user.read {
                Some(read) => format!("the user's certificate {}", read.certificate.in_words()),
                None => format!("the user's certificate {}", user.certificate_file.display()),
            },
        }
    }
}

/// Told to the server, and shown by no `{:?}`.
#[derive(Clone, PartialEq, Eq, Default, Hash)]
pub struct Password(String);

impl Password {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A user's certificate and its key, in files that are read before the driver runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserCertificate {
    certificate_file: PathBuf,
    key_file: PathBuf,
    read: Option<Box<Read>>,
}

#[derive(Clone)]
struct Read {
    certificate: Certificate,
    x509: X509,
    key: PrivateKey,
}

/// Why files are no user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("there is no file {path}", path = .path.display())]
    Missing { path: PathBuf },
    #[error("{path} cannot be used: {cause}", path = .path.display())]
    Certificate { path: PathBuf, cause: CertificateError },
    #[error("{path} is no RSA key in PEM, PKCS #8 or PKCS #1, without a password", path = .path.display())]
    Key { path: PathBuf },
    #[error("{key} is not the key of the certificate {certificate}", key = .key.display(), certificate = .certificate.display())]
    Pair { certificate: PathBuf, key: PathBuf },
}

impl UserCertificate {
    pub fn new(certificate_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        Self { certificate_file: certificate_file.into(), key_file: key_file.into(), read: None }
    }

    /// Relative paths start at `folder`.
    pub fn read(&mut self, folder: &Path) -> Result<(), UserError> {
        let [certificate, key] = [&self.certificate_file, &self.key_file].map(|file| folder.join(file));
        let bytes =
            |path: &PathBuf| files::read(path)?.ok_or_else(|| UserError::Missing { path: path.clone() });
        let of_certificate = |cause| UserError::Certificate { path: certificate.clone(), cause };
        let no_key = || UserError::Key { path: key.clone() };
        let parsed = Certificate::parse(&bytes(&certificate)?).map_err(of_certificate)?;
        let x509 = X509::from_der(parsed.der())
            .map_err(|error| of_certificate(CertificateError::Undecodable(error.to_string())))?;
        let pem = bytes(&key)?;
        if !parsed.is_of(&read_key(&pem).ok_or_else(no_key)?) {
            return Err(UserError::Pair { certificate, key });
        }
        let key = PrivateKey::from_pem(&pem).map_err(|_| no_key())?;
        self.read = Some(Box::new(Read { certificate: parsed, x509, key }));
        Ok(())
    }
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.certificate.fmt(f)
    }
}

/// The key is that of the certificate.
impl PartialEq for Read {
    fn eq(&self, other: &Self) -> bool {
        self.certificate == other.certificate
    }
}

impl Eq for Read {}

impl Hash for Read {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.certificate.der().hash(state);
    }
}
