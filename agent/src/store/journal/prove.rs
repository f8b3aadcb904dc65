//! `riskgate verify`: goes through the whole chain, archives first, and names the first link that does not hold.

use std::path::Path;

use riskgate_point::Wall;

use super::super::StoreError;
use super::read::{Stored, lines};
use super::{Head, Line, NOTHING, Unchained, hash};

/// What was proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub entries: u64,
    /// How many archives hold a part of them.
    pub archives: usize,
    /// Entries of before the chain; the first link holds their hash.
    pub unchained: u64,
    pub first: Wall,
    pub last: Wall,
    pub head: Head,
}

/// The first link that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The entry that is not what it was, or is not there.
    pub n: u64,
    /// Its own time, or that of the last entry before it that holds.
    pub at: Option<Wall>,
    /// `state.db`, or the name of an archive.
    pub place: String,
    pub why: String,
}

/// Goes through the journal in `dir`, whether an agent runs there or not. `kept`: a head that was kept elsewhere;
/// without one, a tail that was cut off does not show. `progress` hears the number of each entry.
///
/// # Errors
/// The store cannot be read: that proves nothing.
pub fn prove(
    dir: &Path,
    kept: Option<&Head>,
    progress: &mut dyn FnMut(u64),
) -> Result<Result<Proof, Broken>, StoreError> {
    let stored = Stored::load(dir)?;
    let mut walk = Walk::new(kept);
    Ok(walk.all(&stored, progress).and_then(|()| walk.proof(&stored)))
}

/// How far the proof is.
struct Walk<'a> {
    kept: Option<&'a Head>,
    head: Head,
    first: Option<Wall>,
    at: Option<Wall>,
    place: String,
}

impl<'a> Walk<'a> {
    fn new(kept: Option<&'a Head>) -> Self {
        let head = Head { n: 0, hash: NOTHING.to_owned() };
        Self { kept, head, first: None, at: None, place: "state.db".to_owned() }
    }

    fn all(&mut self, stored: &Stored, progress: &mut dyn FnMut(u64)) -> Result<(), Broken> {
        for segment in &stored.segments {
            let name = segment.path.file_name().map(|name| name.to_string_lossy().into_owned());
            self.place = name.unwrap_or_default();
            if segment.first != self.head.n + 1 {
                return Err(self.broken(self.head.n + 1, "没有存档 no archive holds it"));
            }
            let lines = lines(&segment.path).map_err(|error| self.unreadable(&error))?;
            for line in lines {
                let line = line.map_err(|error| self.unreadable(&error))?;
                if self.head.n == segment.last.n {
                    return Err(
                        self.broken(segment.last.n + 1, "存档多出记录 the archive goes on behind its end")
                    );
                }
                self.link(&line, &stored.unchained)?;
                progress(self.head.n);
            }
            if self.head.n < segment.last.n {
                let why = format!(
                    "存档缺少记录 the archive ends before it; it was sealed with entries up to {}",
                    segment.last.n
                );
                return Err(self.broken(self.head.n + 1, &why));
            }
            if self.head.hash != segment.last.hash {
                return Err(self
                    .broken(self.head.n, "与封存时不同 it is not what it was when its archive was sealed"));
            }
        }
        self.place = "state.db".to_owned();
        for row in &stored.rows {
            if row.n != self.head.n + 1 {
                return Err(self
                    .broken(self.head.n + 1, &format!("记录缺失 it is not there; entry {} follows", row.n)));
            }
            self.link(&row.line, &stored.unchained)?;
            if self.head.hash != row.hash {
                return Err(self.broken(row.n, "记录被改动 it is not what was written: its hash is another"));
            }
            progress(self.head.n);
        }
        Ok(())
    }

    /// One entry behind those that hold.
    fn link(&mut self, text: &str, unchained: &Unchained) -> Result<(), Broken> {
        let n = self.head.n + 1;
        let line: Line = serde_json::from_str(text)
            .map_err(|error| self.broken(n, &format!("不再是记录 it is no entry any more: {error}")))?;
        if line.n != n {
            return Err(self.broken(n, &format!("被其他记录替换 in its place stands entry {}", line.n)));
        }
        if line.previous != self.head.hash {
            let why =
                "该条或后一条被改动 the entry behind it holds another hash of it: one of the two was changed";
            // The first has none before it.
            return Err(self.broken(self.head.n.max(1), why));
        }
        let at = Wall(line.at);
        if n == 1 {
            let told = line.body.get("unchained").cloned().unwrap_or_default();
            if line.what != "chain"
                || serde_json::from_value::<Unchained>(told).ok().as_ref() != Some(unchained)
            {
                let why = "链开始之前的记录被改动 the entries of before the chain are not those that its first link speaks of";
                return Err(self.broken(1, why));
            }
            self.first = Some(at);
        }
        self.at = Some(at);
        self.head = Head { n, hash: hash(text.as_bytes()) };
        match self.kept {
            Some(kept) if kept.n == n && kept.hash != self.head.hash => {
                Err(self.broken(n, "与另存的头不同 it is not the head that was kept elsewhere"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn proof(self, stored: &Stored) -> Result<Proof, Broken> {
        let (Some(first), Some(last)) = (self.first, self.at) else {
            return Err(self.broken(1, "一条记录也没有 there is no entry at all, not even the first"));
        };
        if let Some(kept) = self.kept
            && kept.n > self.head.n
        {
            let why = format!(
                "日志到此为止，另存的头在其后 the journal ends before it; the head that was kept elsewhere is entry {}",
                kept.n
            );
            return Err(self.broken(self.head.n + 1, &why));
        }
        Ok(Proof {
            entries: self.head.n,
            archives: stored.segments.len(),
            unchained: stored.unchained.entries,
            first,
            last,
            head: self.head,
        })
    }

    fn unreadable(&self, error: &StoreError) -> Broken {
        self.broken(self.head.n + 1, &crate::causes::chain(error))
    }

    fn broken(&self, n: u64, why: &str) -> Broken {
        Broken { n, at: self.at, place: self.place.clone(), why: why.to_owned() }
    }
}
