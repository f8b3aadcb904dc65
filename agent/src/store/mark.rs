//! Two small files beside `state.db`.
//!
//! `state.mark` says which store was here and how far its journal was. It is written after each commit and never
//! waited for, so that it may lag behind and is never ahead: where it is ahead of the file, commits are lost (a WAL
//! that is gone or cut, an old copy that was put back), and where the file is not there, a whole store is. Without it
//! both would be taken for what they look like.
//!
//! `state.ballast` is room that is given back when the disk is full: SQLite needs some even to remove rows.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::journal::Head;
use super::uint;

const MARK: &str = "state.mark";
const BALLAST: &str = "state.ballast";

/// Room for the hazards of an hour and for the rows of the outbox to go: 16 KiB for each of 100 hazards, and a WAL
/// that is not checkpointed meanwhile.
const BALLAST_BYTES: usize = 2 * 1024 * 1024;

/// What a mark says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Marked {
    epoch: String,
    n: u64,
}

impl Marked {
    /// `None`: there never was a store here, or what the mark says cannot be read.
    pub(super) fn read(dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(dir.join(MARK)).ok()?;
        let parsed = text
            .trim_end()
            .split_once(' ')
            .and_then(|(epoch, n)| Some(Self { epoch: epoch.to_owned(), n: n.parse().ok()? }));
        if parsed.is_none() {
            tracing::warn!("state.mark cannot be read: whether commits are lost is not known this time");
        }
        parsed
    }

    /// The store of this epoch once had entries that are not in it now.
    pub(super) fn is_ahead_of(&self, epoch: &str, last: i64) -> bool {
        self.epoch == epoch && self.n > uint(last)
    }
}

/// The mark of the open store.
#[derive(Debug)]
pub(super) struct Mark {
    /// `None`: it cannot be written, which was told; or it is not to be.
    file: Option<File>,
    epoch: String,
}

impl Mark {
    pub(super) fn open(dir: &Path, epoch: String) -> Self {
        let path = dir.join(MARK);
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o640).open(path);
        let file = opened.map_err(|error| Self::tell(&error)).ok();
        Self { file, epoch }
    }

    /// Nothing is marked.
    pub(super) fn none(epoch: String) -> Self {
        Self { file: None, epoch }
    }

    /// Always as long, so that one mark covers the last.
    pub(super) fn set(&mut self, head: &Head) {
        let Some(file) = &self.file else { return };
        let text = format!("{} {:020}\n", self.epoch, head.n);
        if let Err(error) = file.write_all_at(text.as_bytes(), 0) {
            Self::tell(&error);
            self.file = None;
        }
    }

    fn tell(error: &io::Error) {
        tracing::warn!(%error, "state.mark cannot be written: that commits are lost would not show at the next start");
    }
}

/// The room that is kept for a full disk.
#[derive(Debug)]
pub(super) struct Ballast(PathBuf);

impl Ballast {
    pub(super) fn of(dir: &Path) -> Self {
        Self(dir.join(BALLAST))
    }

    /// Takes the room, if it is not taken yet and there is any.
    pub(super) fn take(&self) {
        if self.try_take().is_err() {
            tracing::warn!("the disk has no room to be kept for when it is full");
        }
    }

    /// # Errors
    /// It is not taken: for want of room, or since nothing can be written there.
    pub(super) fn try_take(&self) -> io::Result<()> {
        if fs::metadata(&self.0).is_ok_and(|found| found.len() > 0) {
            return Ok(());
        }
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .open(&self.0)
            // Not zeros: some file systems keep none of them.
            .and_then(|mut file| file.write_all(&vec![0xA5; BALLAST_BYTES]));
        if let Err(error) = &written {
            tracing::debug!(%error, "the room cannot be kept");
            self.give_back();
        }
        written
    }

    /// Whether there was any.
    pub(super) fn give_back(&self) -> bool {
        fs::remove_file(&self.0).is_ok()
    }
}
