//! The agent's own history, read only, also while the agent runs.

use std::path::{Path, PathBuf};

use riskgate_point::Wall;

use super::tags::{Tags, Told};
use super::{BacktestError, shown};
use crate::history::HistoryError;
use crate::history::play::Play;
use crate::history::read::Reader;

pub(super) struct Played {
    path: PathBuf,
    play: Play<Reader>,
    /// The number of each point of the file among the tags.
    numbers: std::collections::BTreeMap<i64, u32>,
}

impl Played {
    pub(super) fn open(path: &Path, tags: &mut Tags) -> Result<Self, BacktestError> {
        let failed = |source: HistoryError| BacktestError::History { path: path.to_owned(), source };
        let reader = Reader::open(path).map_err(failed)?;
        let since = reader.oldest().map_err(failed)?.unwrap_or(Wall(0));
        let play = Play::begin(reader, &[], (since, Wall(i64::MAX))).map_err(failed)?;
        let numbers = play.tags().map(|(id, tag)| (id, tags.number(tag))).collect();
        Ok(Self { path: path.to_owned(), play, numbers })
    }

    pub(super) fn next(&mut self) -> Result<Option<Told>, BacktestError> {
        let next =
            self.play.next().map_err(|source| BacktestError::History { path: self.path.clone(), source })?;
        Ok(next.map(|(id, reading)| Told {
            at: reading.at,
            tag: self.numbers.get(&id).copied().unwrap_or(u32::MAX),
            value: reading.value,
            quality: reading.quality,
            closing: false,
        }))
    }

    pub(super) fn place(&self) -> (String, String) {
        (shown(&self.path), shown(&self.path))
    }

    pub(super) fn take_late(&mut self) -> u64 {
        std::mem::take(&mut self.play.late)
    }

    /// In the measure of bytes: a kept sample takes about six.
    pub(super) fn done(&self) -> (u64, u64) {
        (self.play.read * 6, self.play.all * 6)
    }
}
