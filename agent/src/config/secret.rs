//! Passwords. They stand in files of their own, which `check` does not open: it must run where the
//! gateway's secrets are not. They are read when the agent starts, and their absence is told then, as is
//! that of certificates and keys.
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

/// Which login a password belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Uplink,
    Source(SourceId),
}

/// What the file of a login holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
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

/// A user's or a password's file, as the configuration names it.
#[derive(Debug, Clone)]
pub(super) struct SecretFile {
    pub(super) whose: Whose,
    pub(super) kept: Kept,
    pub(super) path: PathBuf,
}

/// Why a password, a certificate or a key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("reading the {what} file {path} of {of}", path = .path.display())]
    Read {
        what: &'static str,
        of: String,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the {what} file {path} of {of} is empty", path = .path.display())]
    Empty { what: &'static str, of: String, path: PathBuf },
    #[error(
        "{path} of {of}: there is no $CREDENTIALS_DIRECTORY; systemd gives it to a unit with LoadCredential=",
        path = .path.display()
    )]
    NoCredentials { of: String, path: PathBuf },
    #[error("the TLS files of {of}")]
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

/// Reads one name or password; a relative path starts at the configuration folder. The line's end is not
/// part of it.
pub(super) fn load(folder: &Path, file: &SecretFile, of: &str) -> Result<Secret, SecretError> {
    let path = folder.join(credential(&file.path, of)?);
    let (what, of) = (file.kept.word(), of.to_owned());
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
