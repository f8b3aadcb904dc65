//! The readings of one message: what they are known by, how they are cut, and as JSON.

use std::sync::Arc;

use riskgate_point::{Quality, Value, Wall};
use serde::ser::{Serialize, SerializeSeq, Serializer};

use super::Reading;
use crate::uplink::wire::Origin;

/// The readings of one message. A packet may have 256 KiB; half of it leaves room for any envelope, and a
/// lost packet costs little.
pub(in crate::uplink) const CHUNK_BYTES_MAX: usize = 120 * 1024;

/// What the readings of a message are known by, however often they are sent: the whole of them, or a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::uplink) struct Name {
    of: Arc<str>,
    /// Where in the whole they begin.
    first: usize,
    /// How many the whole had; `None`: these are the whole.
    all: Option<usize>,
}

impl Name {
    pub(in crate::uplink) fn new(of: String) -> Self {
        Self { of: of.into(), first: 0, all: None }
    }

    /// Of a whole of `n`, or a part of it, the part that begins so far behind its beginning.
    pub(super) fn part(&self, n: usize, behind: usize) -> Self {
        Self { of: Arc::clone(&self.of), first: self.first + behind, all: Some(self.all.unwrap_or(n)) }
    }
}

/// The readings of one message. They become JSON when it is sent: until then they are a tenth as large.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::uplink) struct Chunk {
    pub(in crate::uplink) readings: Arc<Vec<Reading>>,
    pub(in crate::uplink) from: Wall,
    pub(in crate::uplink) to: Wall,
    pub(in crate::uplink) name: Name,
    /// Under which the buffer knows it, where it was taken from there.
    pub(in crate::uplink) ticket: Option<u64>,
    /// Its place in the spool, if it is there.
    pub(in crate::uplink) spooled: Option<i64>,
}

impl Chunk {
    pub(in crate::uplink) fn count(&self) -> u64 {
        u64::try_from(self.readings.len()).unwrap_or(u64::MAX)
    }

    /// At most what its readings take as JSON.
    pub(in crate::uplink) fn bytes(&self) -> usize {
        self.readings.iter().map(size).sum()
    }

    /// The same readings in chunks of at most so many bytes, and at least one reading each. Each has the place of all
    /// of them in the spool.
    pub(in crate::uplink) fn pieces(self, bytes_max: usize) -> Vec<Self> {
        let Self { readings, from, to, name, spooled, .. } = self;
        let n = readings.len();
        // Bounds that are a little wide tell nothing wrong.
        let piece = |readings: Vec<Reading>, behind| {
            let name = if readings.len() == n { name.clone() } else { name.part(n, behind) };
            Self { readings: Arc::new(readings), from, to, name, ticket: None, spooled }
        };
        let (mut pieces, mut in_piece, mut bytes, mut behind) = (Vec::new(), Vec::new(), 0, 0);
        for reading in Arc::try_unwrap(readings).unwrap_or_else(|shared| shared.to_vec()) {
            let more = size(&reading);
            if bytes > 0 && bytes + more > bytes_max {
                let full = std::mem::take(&mut in_piece);
                let next = behind + full.len();
                pieces.push(piece(full, behind));
                (bytes, behind) = (0, next);
            }
            bytes += more;
            in_piece.push(reading);
        }
        pieces.push(piece(in_piece, behind));
        pieces
    }

    /// The place of its first reading in the whole that it is a part of.
    pub(super) fn behind(&self) -> usize {
        self.name.first
    }

    /// What a receiver knows it by: the same readings have the same, as long as they are not cut anew.
    pub(in crate::uplink) fn name(&self) -> String {
        let Name { of, first, all } = &self.name;
        let n = self.readings.len();
        match all {
            Some(all) if (*first, n) != (0, *all) => format!("{of}.{first}+{n}"),
            Some(_) | None => of.to_string(),
        }
    }

    /// As the message has them.
    pub(in crate::uplink) fn values<'a>(&'a self, origin: &'a Origin) -> Values<'a> {
        Values { readings: &self.readings, origin }
    }
}

/// Readings as a JSON array.
pub(in crate::uplink) struct Values<'a> {
    readings: &'a [Reading],
    origin: &'a Origin,
}

#[derive(serde::Serialize)]
struct Encoded<'a> {
    quality: InWords,
    tag: &'a str,
    time: &'a str,
    value: &'a Option<Value>,
}

struct InWords(Quality);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut values = serializer.serialize_seq(Some(self.readings.len()))?;
        // One poll's readings share a stamp: the last one written is kept.
        let (mut at, mut time) = (None, String::new());
        for reading in self.readings {
            if at != Some(reading.time) {
                time = self.origin.time(reading.time);
                at = Some(reading.time);
            }
            let Reading { tag, value, quality, .. } = reading;
            values.serialize_element(&Encoded { quality: InWords(*quality), tag, time: &time, value })?;
        }
        values.end()
    }
}

impl Serialize for InWords {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// At most what the reading takes as JSON: keys, stamp and quality 128 bytes, the tag and a text with every
/// character escaped.
pub(super) fn size(reading: &Reading) -> usize {
    let text = match &reading.value {
        Some(Value::Text(text)) => text.len() * 6,
        Some(Value::Bool(_) | Value::Int(_) | Value::Float(_)) | None => 24,
    };
    128 + reading.tag.len() * 2 + text
}
