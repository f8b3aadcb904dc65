//! Passwords. They stand in files of their own, which `check` does not open: it must run where the
//! gateway's secrets are not. They are read when the agent starts, and their absence is told then, as is
//! that of certificates and keys.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use riskgate_drivers::tls::FileFault;
use riskgate_point::SourceId;

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

/// A password's file, as the configuration names it.
#[derive(Debug, Clone)]
pub(super) struct SecretFile {
    pub(super) whose: Whose,
    pub(super) path: PathBuf,
}

/// Why a password, a certificate or a key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("reading the password file {path} of {of}", path = .path.display())]
    Read {
        of: String,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the password file {path} of {of} is empty", path = .path.display())]
    Empty { of: String, path: PathBuf },
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

/// Reads one password; a relative path starts at the configuration folder. The line's end is not part of it.
pub(super) fn load(folder: &Path, file: &SecretFile, of: &str) -> Result<Secret, SecretError> {
    let path = folder.join(&file.path);
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim_end_matches(['\r', '\n']).is_empty() => {
            Err(SecretError::Empty { of: of.to_owned(), path })
        }
        Ok(text) => Ok(Secret(text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(cause) => Err(SecretError::Read { of: of.to_owned(), path, cause }),
    }
}
