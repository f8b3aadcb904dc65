//! What is on the disk for good, and what only seems to be. Knows nothing of SQLite's interface.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fastrand::Rng;

/// All that run, by their folder.
static DISKS: Mutex<BTreeMap<PathBuf, Disk>> = Mutex::new(BTreeMap::new());

/// What was done since the last sync of a file.
#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { size: usize },
}

/// A file, whatever its name.
#[derive(Debug, Clone, Default)]
struct Inode {
    synced: Vec<u8>,
    /// With the number of the operation.
    pending: Vec<(u64, Change)>,
}

/// A folder that is watched, until its cut.
pub struct Disk {
    inodes: Vec<Inode>,
    /// Names as they are, and as they were when the folder was synced last.
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    operations: u64,
    cut_at: u64,
    rng: Rng,
    /// Called at the moment of the cut.
    at_cut: Box<dyn FnMut() + Send>,
    image: Option<Image>,
}

/// What the disk has after the cut.
#[derive(Debug, Clone)]
pub struct Image {
    pub files: BTreeMap<String, Vec<u8>>,
    /// For people: how it came about.
    pub how: String,
}

/// How much of what was not synced is there.
#[derive(Debug, Clone, Copy)]
enum Kept {
    Nothing,
    All,
    /// Everything before this operation, and of it some sectors.
    Before(u64),
    /// Each sector by itself, with this many chances in a hundred.
    Some(u8),
}

impl Disk {
    /// Watches a folder. What lies in it is on the disk for good. The cut is at the `cut_at`th operation from now.
    pub fn begin(folder: &Path, cut_at: u64, seed: u64, at_cut: impl FnMut() + Send + 'static) {
        let mut disk = Self {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            operations: 0,
            cut_at,
            rng: Rng::with_seed(seed),
            at_cut: Box::new(at_cut),
            image: None,
        };
        for entry in fs::read_dir(folder).expect("the folder of the store") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("its type").is_file() {
                let inode = disk.add(fs::read(entry.path()).expect("its bytes"));
                let name = entry.file_name().into_string().expect("a name of ours");
                disk.names.insert(name.clone(), inode);
                disk.synced_names.insert(name, inode);
            }
        }
        all().insert(folder.to_owned(), disk);
    }

    /// Ends it; where the cut has not come yet, it is now.
    pub fn end(folder: &Path) -> Image {
        let mut disk = all().remove(folder).expect("it was begun");
        disk.cut();
        disk.image.expect("made by the cut")
    }

    /// Whether the cut has come.
    pub fn is_cut(folder: &Path) -> bool {
        all().get(folder).is_some_and(|disk| disk.image.is_some())
    }

    fn add(&mut self, synced: Vec<u8>) -> usize {
        self.inodes.push(Inode { synced, pending: Vec::new() });
        self.inodes.len() - 1
    }

    fn step(&mut self) {
        self.operations += 1;
        if self.operations == self.cut_at {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.image.is_some() {
            return;
        }
        (self.at_cut)();
        let sector = if self.rng.bool() { 512 } else { 4096 };
        let noise = self.rng.u8(..100) < 20;
        let oldest = self.inodes.iter().filter_map(|inode| inode.pending.first()).map(|(n, _)| *n).min();
        let kept = match self.rng.u8(..8) {
            0 => Kept::Nothing,
            1 => Kept::All,
            2 | 3 => Kept::Before(self.rng.u64(oldest.unwrap_or(0)..=self.operations)),
            _ => Kept::Some(self.rng.u8(5..=95)),
        };
        let mut names: Vec<&String> = self.names.keys().chain(self.synced_names.keys()).collect();
        names.sort();
        names.dedup();
        let mut files = BTreeMap::new();
        for name in names {
            let maybe = [self.names.get(name), self.synced_names.get(name)];
            // A name that was not synced is there or not, as one that was deleted may be there again.
            let Some(inode) = maybe[usize::from(self.rng.bool())] else { continue };
            let bytes = survivor(&self.inodes[*inode], kept, sector, noise, &mut self.rng);
            files.insert(name.clone(), bytes);
        }
        let pending: usize = self.inodes.iter().map(|inode| inode.pending.len()).sum();
        let how = format!(
            "operation {}: {pending} changes not synced, {kept:?} of them kept by sectors of {sector}",
            self.operations
        );
        self.image = Some(Image { files, how });
    }
}

/// What is left of a file.
fn survivor(inode: &Inode, kept: Kept, sector: usize, noise: bool, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = inode.synced.clone();
    for (number, change) in &inode.pending {
        let is_kept = |rng: &mut Rng| match kept {
            Kept::Nothing => false,
            Kept::All => true,
            Kept::Before(end) => number < &end || (number == &end && rng.bool()),
            Kept::Some(percent) => rng.u8(..100) < percent,
        };
        match change {
            Change::Truncate { size } => {
                if is_kept(rng) {
                    bytes.truncate(*size);
                }
            }
            Change::Write { offset, bytes: written } => {
                let mut at = 0;
                while at < written.len() {
                    // Up to the end of its sector.
                    let end = (at + sector - (offset + at) % sector).min(written.len());
                    if is_kept(rng) {
                        put(&mut bytes, offset + at, &written[at..end], noise, rng);
                    }
                    at = end;
                }
            }
        }
    }
    bytes
}

/// What was never written between the old end and here is zeros, or what the disk had there before.
fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8], noise: bool, rng: &mut Rng) {
    while bytes.len() < offset {
        bytes.push(if noise { rng.u8(..) } else { 0 });
    }
    let overlap = written.len().min(bytes.len() - offset);
    bytes[offset..offset + overlap].copy_from_slice(&written[..overlap]);
    bytes.extend_from_slice(&written[overlap..]);
}

fn all() -> MutexGuard<'static, BTreeMap<PathBuf, Disk>> {
    DISKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does it to the disk of the file's folder, if that is watched.
fn with<T>(path: &Path, what: impl FnOnce(&mut Disk, String) -> T) -> Option<T> {
    let name = path.file_name()?.to_str()?.to_owned();
    let mut disks = all();
    let disk = disks.get_mut(path.parent()?).filter(|disk| disk.image.is_none())?;
    Some(what(disk, name))
}

/// A file was opened, and is new where nobody knew it.
pub(crate) fn opened(path: &Path) -> Option<usize> {
    with(path, |disk, name| {
        if let Some(inode) = disk.names.get(&name) {
            return *inode;
        }
        let inode = disk.add(Vec::new());
        disk.names.insert(name, inode);
        disk.step();
        inode
    })
}

pub(crate) fn wrote(path: &Path, inode: usize, offset: usize, bytes: &[u8]) {
    with(path, |disk, _| {
        let change = Change::Write { offset, bytes: bytes.to_vec() };
        disk.inodes[inode].pending.push((disk.operations + 1, change));
        disk.step();
    });
}

pub(crate) fn truncated(path: &Path, inode: usize, size: usize) {
    with(path, |disk, _| {
        disk.inodes[inode].pending.push((disk.operations + 1, Change::Truncate { size }));
        disk.step();
    });
}

/// `folder`: the names in it too.
pub(crate) fn synced(path: &Path, inode: usize, folder: bool) {
    with(path, |disk, _| {
        // The cut comes before the sync has done its work.
        disk.step();
        if disk.image.is_some() {
            return;
        }
        let inode = &mut disk.inodes[inode];
        inode.synced = survivor(inode, Kept::All, 4096, false, &mut Rng::with_seed(0));
        inode.pending.clear();
        if folder {
            disk.synced_names = disk.names.clone();
        }
    });
}

pub(crate) fn deleted(path: &Path, folder: bool) {
    with(path, |disk, name| {
        disk.names.remove(&name);
        disk.step();
        if folder && disk.image.is_none() {
            disk.synced_names = disk.names.clone();
        }
    });
}
