//! Passwords. They stand in files of their own, which `check` does not open: it must run where the
//! gateway's secrets are not. They are read when the agent starts, and their absence is told then, as is
//! that of certificates and keys. Those of the broker upstream are read anew at each connect: a login that
//! was changed needs neither a restart nor a reload.
//!
//! A path that begins with `$CREDENTIALS_DIRECTORY/` is one of the service manager's credentials.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use riskgate_drivers::tls::{FileFault, Settings};
use riskgate_point::SourceId;

/// How a path to a credential of the service manager begins.
const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY";

/// A password. It is not shown by `{:?}`, so that no log holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What the file of a login holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    User,
    Password,
}

impl Kept {
    fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Password => "password",
        }
    }
}

/// The file of a source's password, as the configuration names it.
#[derive(Debug, Clone)]
pub(super) struct SecretFile {
    pub(super) source: SourceId,
    pub(super) path: PathBuf,
}

/// As whom we log in at the broker upstream: where it stands, not what it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Login {
    /// Where it stands in the configuration itself.
    pub(super) user: Option<String>,
    /// Absolute from [`super::Checked::load_secrets`] on.
    pub(super) user_file: Option<PathBuf>,
    pub(super) password_file: Option<PathBuf>,
}

/// A user's name and a password, as they are at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    pub user: Option<String>,
    pub password: Option<Secret>,
}

impl Login {
    /// Finds the files, and sees whether they can be read.
    pub(super) fn look(&mut self, folder: &Path, of: &str) -> Vec<SecretError> {
        let mut errors = Vec::new();
        for (kept, path) in [(Kept::User, &mut self.user_file), (Kept::Password, &mut self.password_file)] {
            let Some(path) = path else { continue };
            match credential(path, of) {
                Ok(found) => *path = folder.join(found),
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            }
            errors.extend(read(path, kept, of).err());
        }
        errors
    }

    /// What the files hold now. Blocks.
    ///
    /// # Errors
    /// One of them cannot be read, or is empty.
    pub fn read(&self, of: &str) -> Result<Credentials, SecretError> {
        let user = match &self.user_file {
            Some(path) => Some(read(path, Kept::User, of)?.0),
            None => self.user.clone(),
        };
        let password = self.password_file.as_ref().map(|path| read(path, Kept::Password, of)).transpose()?;
        Ok(Credentials { user, password })
    }

    /// Whether there is anything to be read.
    pub fn has_files(&self) -> bool {
        self.user_file.is_some() || self.password_file.is_some()
    }
}

/// Why a password, a certificate or a key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("未能读取文件 reading the {what} file {path} of {of}", path = .path.display())]
    Read {
        what: &'static str,
        of: String,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("文件为空 the {what} file {path} of {of} is empty", path = .path.display())]
    Empty { what: &'static str, of: String, path: PathBuf },
    #[error(
        "{path} of {of}: there is no $CREDENTIALS_DIRECTORY; systemd gives it to a unit with LoadCredential=",
        path = .path.display()
    )]
    NoCredentials { of: String, path: PathBuf },
    #[error("TLS 文件有问题 the TLS files of {of}")]
    Tls {
        of: String,
        #[source]
        cause: FileFault,
    },
    #[error("the user of {of}")]
    User {
        of: String,
        #[source]
        cause: riskgate_drivers::opcua::UserError,
    },
}

/// Reads one password; a relative path starts at the configuration folder.
pub(super) fn load(folder: &Path, file: &SecretFile, of: &str) -> Result<Secret, SecretError> {
    read(&folder.join(credential(&file.path, of)?), Kept::Password, of)
}

/// The line's end is not part of it.
fn read(path: &Path, kept: Kept, of: &str) -> Result<Secret, SecretError> {
    let (what, of, path) = (kept.word(), of.to_owned(), path.to_owned());
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim_end_matches(['\r', '\n']).is_empty() => {
            Err(SecretError::Empty { what, of, path })
        }
        Ok(text) => Ok(Secret(text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(cause) => Err(SecretError::Read { what, of, path, cause }),
    }
}

/// Where a path leads to that may name one of the service manager's credentials.
fn credential(path: &Path, of: &str) -> Result<PathBuf, SecretError> {
    let Ok(name) = path.strip_prefix(CREDENTIALS) else { return Ok(path.to_path_buf()) };
    match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(folder) if !folder.is_empty() => Ok(PathBuf::from(folder).join(name)),
        Some(_) | None => Err(SecretError::NoCredentials { of: of.to_owned(), path: path.to_path_buf() }),
    }
}

/// Sees whether the files of a TLS connection can be used; they are absolute from here on.
pub(super) fn look(folder: &Path, tls: &mut Settings, of: &str) -> Result<(), SecretError> {
    let own = tls.own.iter_mut().flat_map(|own| [&mut own.certificate_file, &mut own.key_file]);
    for path in own.chain([&mut tls.ca_file]) {
        *path = credential(path, of)?;
    }
    tls.look(folder).map_err(|cause| SecretError::Tls { of: of.to_owned(), cause })
}
