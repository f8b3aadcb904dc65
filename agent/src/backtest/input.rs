//! A file as lines, whether it is compressed or not, with the place of each for messages, and how far it was read.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use super::{BacktestError, shown};

const BUFFER_BYTES: usize = 256 * 1024;
/// No row of process data is longer: 10,000 columns of 24 letters.
const LINE_BYTES_MAX: u64 = 1 << 20;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Lines without their ends.
pub(super) struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
    read: Rc<Cell<u64>>,
    bytes: u64,
}

struct Counted {
    file: File,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read.set(self.read.get() + u64::try_from(count).unwrap_or(0));
        Ok(count)
    }
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, BacktestError> {
        let failed = |source| BacktestError::File { operation: "open", path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let read = Rc::new(Cell::new(0));
        let mut raw = BufReader::with_capacity(BUFFER_BYTES, Counted { file, read: Rc::clone(&read) });
        let is_compressed = raw.fill_buf().map_err(failed)?.starts_with(&GZIP);
        let reader: Box<dyn BufRead> = if is_compressed {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(raw)))
        } else {
            Box::new(raw)
        };
        Ok(Self { path: path.to_owned(), reader, line: Vec::new(), number: 0, read, bytes })
    }

    /// Goes to the next line; `false` at the end.
    pub(super) fn next(&mut self) -> Result<bool, BacktestError> {
        self.line.clear();
        self.join()
    }

    /// The same, where the present line stays before it.
    pub(super) fn join(&mut self) -> Result<bool, BacktestError> {
        if !self.line.is_empty() {
            self.line.push(b'\n');
        }
        if self.more()? == 0 {
            return Ok(false);
        }
        self.number += 1;
        let hint = "save it as UTF-8; a history is named by its folder or as history.db";
        match std::str::from_utf8(&self.line) {
            Ok(_) => Ok(true),
            Err(_) => Err(self.form("it is no text in UTF-8", hint)),
        }
    }

    /// The present line. What is no text was refused by `next`.
    pub(super) fn line(&self) -> &str {
        std::str::from_utf8(&self.line).unwrap_or_default()
    }

    fn more(&mut self) -> Result<usize, BacktestError> {
        let before = self.line.len();
        let mut limited = (&mut self.reader).take(LINE_BYTES_MAX);
        let count = limited.read_until(b'\n', &mut self.line).map_err(|source| BacktestError::File {
            operation: "read",
            path: self.path.clone(),
            source,
        })?;
        if self.line.len() - before >= usize::try_from(LINE_BYTES_MAX).unwrap_or(usize::MAX) {
            return Err(self.form("a line of more than 1 MiB", "is it a text file?"));
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        }
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        if self.number == 0 && self.line.starts_with(b"\xef\xbb\xbf") {
            self.line.drain(..3);
        }
        Ok(count)
    }

    /// `file:line` of the present line.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", shown(&self.path), self.number)
    }

    pub(super) fn file(&self) -> String {
        shown(&self.path)
    }

    pub(super) fn form(&self, what: &str, hint: &str) -> BacktestError {
        BacktestError::Form { place: self.place(), what: what.to_owned(), hint: hint.to_owned() }
    }

    /// Bytes read of the file as it lies there, and all of them.
    pub(super) fn done(&self) -> (u64, u64) {
        (self.read.get().min(self.bytes), self.bytes)
    }
}
