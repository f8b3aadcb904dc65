//! What persons did to the certificate folder, left there as small files until whoever keeps the journal takes them.
//!
//! Trust is given also while the agent cannot run, and by a program that does not reach its journal.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Pki;
use super::files::{self, FOR_ALL, FileError, failed};

const FOLDER: &str = "acts";

/// What was left, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftAct {
    pub path: PathBuf,
    pub text: String,
}

impl Pki {
    /// Leaves `text` under `name`, which sorts by time.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn leave_act(&self, name: &str, text: &str) -> Result<(), FileError> {
        let folder = self.folder().join(FOLDER);
        files::make_folder(&folder)?;
        files::write(&folder.join(name), text.as_bytes(), FOR_ALL)
    }

    /// What was left, in the order of the names. No folder: nothing was.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn left_acts(&self) -> Result<Vec<LeftAct>, FileError> {
        let folder = self.folder().join(FOLDER);
        let listed = match fs::read_dir(&folder) {
            Ok(listed) => listed,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(failed("listing", &folder)(cause)),
        };
        let mut paths = Vec::new();
        for entry in listed {
            let path = entry.map_err(failed("listing", &folder))?.path();
            // A name with a dot before it is being written.
            if path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')) {
                paths.push(path);
            }
        }
        paths.sort();
        let mut acts = Vec::new();
        for path in paths {
            if let Some(bytes) = files::read(&path)? {
                acts.push(LeftAct { text: String::from_utf8_lossy(&bytes).into_owned(), path });
            }
        }
        Ok(acts)
    }

    /// It was taken.
    ///
    /// # Errors
    /// It cannot be removed: it will be found again.
    pub fn take_act(&self, path: &Path) -> Result<(), FileError> {
        fs::remove_file(path).map_err(failed("removing", path))
    }
}
