//! Files of the certificate folder: written whole or not at all, read only as far as a certificate goes.
//!
//! What root writes here, as by a first `riskgate run --once`, is given to the folder's owner: else the
//! agent could not read its own key later.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A certificate has 2 kB, a chain of them 10: what is longer is neither.
const BYTES_MAX: u64 = 64 * 1024;

pub(super) const FOR_ALL: u32 = 0o644;
pub(super) const FOR_US_ALONE: u32 = 0o600;

/// What was being done to which file when it failed.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {path}", path = .path.display())]
pub struct FileError {
    pub doing: &'static str,
    pub path: PathBuf,
    #[source]
    pub cause: io::Error,
}

pub(super) fn failed<'p>(doing: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> FileError + 'p {
    move |cause| FileError { doing, path: path.to_owned(), cause }
}

/// `None`: there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(failed("reading", path)(cause)),
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed("reading", path))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > BYTES_MAX) {
        let cause =
            io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {BYTES_MAX} bytes"));
        return Err(failed("reading", path)(cause));
    }
    Ok(Some(bytes))
}

/// A crash leaves the old file, or the new one whole.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let beside = beside(path);
    // What a crash left behind; a file that is there already keeps its mode.
    let _may_not_exist = fs::remove_file(&beside);
    let write = || {
        let mut file = OpenOptions::new().append(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        give_to_owner(&beside);
        fs::rename(&beside, path)
    };
    write().map_err(failed("writing", path))?;
    sync_folder_of(path);
    Ok(())
}

/// Of a name of its own for each process, so that two that write the same file harm neither.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{}-{:x}", std::process::id(), fastrand::u32(..)))
}

/// With the folders above it.
pub(super) fn make_folder(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_folder(above)?;
    }
    match fs::create_dir(path) {
        Ok(()) => {
            give_to_owner(path);
            Ok(())
        }
        // Another driver was faster.
        Err(_) if path.is_dir() => Ok(()),
        Err(cause) => Err(failed("making the folder", path)(cause)),
    }
}

pub(super) fn move_to(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(failed("moving", from))?;
    sync_folder_of(to);
    Ok(())
}

/// Only root can give anything away; for all others this changes nothing.
fn give_to_owner(path: &Path) {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(above) = fs::metadata(above) {
        let _only_root_may = std::os::unix::fs::lchown(path, Some(above.uid()), Some(above.gid()));
    }
}

/// So that a power cut does not undo the move.
fn sync_folder_of(path: &Path) {
    if let Some(above) = path.parent() {
        let _if_it_can = File::open(above).and_then(|folder| folder.sync_all());
    }
}
