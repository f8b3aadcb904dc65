//! The loss of power: what a disk still has of what SQLite wrote.
//!
//! [`vfs`] stands between SQLite and the real file system and tells [`disk`] of each write, sync, truncation and
//! deletion. At an operation that a test has named, `disk` makes an image of what could have survived: all that was
//! synced, and of the rest anything, sector by sector, in any order. The test opens the store on that image.
//!
//! A sync is honest here, and a write harms nothing beside it in its sector: SQLite counts on both. Files that are
//! not SQLite's are taken as they are at that moment, or as they could be; see [`disk::Disk::begin`].

pub mod disk;
pub mod vfs;
