//! Several files as one stream in the order of time.
//!
//! Each file is taken to be in the order of its times; a reading that is not is counted and left out, because the
//! clock of the machine was set back there, and where it belongs nobody can say. Of one time the files stand in the
//! order in which they were named.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use riskgate_engine::Plant;
use riskgate_point::Wall;

use super::csv::{Exported, is_head};
use super::findings::Findings;
use super::input::Lines;
use super::played::Played;
use super::table::{Layout, Tables};
use super::tags::{Tags, Told};
use super::{BacktestError, shown};
use crate::history::FILE;

const SQLITE: &[u8] = b"SQLite format 3\0";

pub(super) enum Stream {
    Exported(Exported),
    Tables(Tables),
    Played(Played),
}

impl Stream {
    fn next(&mut self, tags: &mut Tags, findings: &mut Findings) -> Result<Option<Told>, BacktestError> {
        match self {
            Self::Exported(file) => file.next(tags, findings),
            Self::Tables(files) => files.next(tags, findings),
            Self::Played(history) => history.next(),
        }
    }

    /// The file, and the place in it.
    fn place(&self) -> (String, String) {
        match self {
            Self::Exported(file) => file.place(),
            Self::Tables(files) => files.place(),
            Self::Played(history) => history.place(),
        }
    }

    fn done(&self) -> (u64, u64) {
        match self {
            Self::Exported(file) => file.done(),
            Self::Tables(files) => files.done(),
            Self::Played(history) => history.done(),
        }
    }
}

pub(super) struct Merged {
    streams: Vec<Stream>,
    /// The next reading of each stream.
    heads: Vec<Option<Told>>,
    /// Their times.
    order: BinaryHeap<Reverse<(Wall, usize)>>,
    /// The newest time of each stream.
    newest: Vec<Wall>,
    /// Streams whose next reading is one that tells something.
    telling: usize,
    tags: Tags,
    begun: bool,
}

impl Merged {
    pub(super) fn open(
        paths: &[PathBuf],
        layout: Option<Layout>,
        timezone: &TimeZone,
        new: &Plant,
        against: Option<&Plant>,
    ) -> Result<Self, BacktestError> {
        let mut tags = Tags::of([Some(new), against].into_iter().flatten());
        let mut streams = Vec::new();
        let mut tables = Vec::new();
        for path in paths {
            match form(path)? {
                Form::History(file) => streams.push(Stream::Played(Played::open(&file, &mut tags)?)),
                Form::Exported(lines) => streams.push(Stream::Exported(Exported::new(lines, timezone))),
                Form::Table => tables.push(path.clone()),
            }
        }
        let layout = layout.unwrap_or_default();
        if layout.tells_time() {
            for table in tables {
                let of = Tables::open(vec![table], &layout, timezone, &mut tags)?;
                streams.push(Stream::Tables(of));
            }
        } else if !tables.is_empty() {
            // Without times of their own they follow one another.
            streams.push(Stream::Tables(Tables::open(tables, &layout, timezone, &mut tags)?));
        }
        let heads = streams.iter().map(|_| None).collect();
        let newest = vec![Wall(i64::MIN); streams.len()];
        Ok(Self { streams, heads, order: BinaryHeap::new(), newest, telling: 0, tags, begun: false })
    }

    pub(super) fn tags(&self) -> &Tags {
        &self.tags
    }

    pub(super) fn next(&mut self, findings: &mut Findings) -> Result<Option<Told>, BacktestError> {
        if !std::mem::replace(&mut self.begun, true) {
            for at in 0..self.streams.len() {
                self.refill(at, findings)?;
            }
        }
        // What is left only says that files end.
        if self.telling == 0 {
            return Ok(None);
        }
        let Some(Reverse((_, at))) = self.order.pop() else { return Ok(None) };
        let told = self.heads.get_mut(at).and_then(Option::take);
        self.telling -= usize::from(told.as_ref().is_some_and(|told| !told.closing));
        self.refill(at, findings)?;
        Ok(told)
    }

    fn refill(&mut self, at: usize, findings: &mut Findings) -> Result<(), BacktestError> {
        let (Some(stream), Some(newest)) = (self.streams.get_mut(at), self.newest.get_mut(at)) else {
            return Ok(());
        };
        while let Some(told) = stream.next(&mut self.tags, findings)? {
            if told.at < *newest {
                let (file, place) = stream.place();
                findings.backwards(&file, || place);
                continue;
            }
            *newest = told.at;
            self.order.push(Reverse((told.at, at)));
            self.telling += usize::from(!told.closing);
            if let Some(head) = self.heads.get_mut(at) {
                *head = Some(told);
            }
            return Ok(());
        }
        if let Stream::Played(history) = stream {
            findings.late += history.take_late();
        }
        Ok(())
    }

    /// Of all files: read, and all.
    pub(super) fn done(&self) -> (u64, u64) {
        let parts = self.streams.iter().map(Stream::done);
        parts.fold((0, 0), |(done, all), (read, of)| (done + read, all + of))
    }
}

enum Form {
    History(PathBuf),
    Exported(Lines),
    Table,
}

/// What a file is, by how it begins.
fn form(path: &Path) -> Result<Form, BacktestError> {
    if path.is_dir() {
        let file = path.join(FILE);
        if file.exists() {
            return Ok(Form::History(file));
        }
        let what = format!("there is no {FILE} in this folder");
        let hint = "name the folder of the store, history.db itself, or a CSV".to_owned();
        return Err(BacktestError::Form { place: shown(path), what, hint });
    }
    let failed = |source| BacktestError::File { operation: "open", path: path.to_owned(), source };
    let mut head = Vec::new();
    let most = u64::try_from(SQLITE.len()).unwrap_or(16);
    File::open(path).map_err(failed)?.take(most).read_to_end(&mut head).map_err(failed)?;
    if head == SQLITE {
        return Ok(Form::History(path.to_owned()));
    }
    let mut lines = Lines::open(path)?;
    if !lines.next()? {
        return Err(lines.form("the file is empty", "name a file with readings"));
    }
    Ok(if is_head(lines.line()) { Form::Exported(lines) } else { Form::Table })
}
