//! The connection to `state.db`, and the settings that its promises stand on.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::sqlite::suffixed;

/// A reader with `sqlite3` may hold the file for a moment; longer than this and the commit counts as
/// failed, is told, and tried again.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_millis(250);

/// After a checkpoint the WAL is cut to this: what 1,000 pages (the automatic checkpoint) take. Without it
/// one long reader leaves a WAL of hundreds of MB on the card for ever.
const WAL_BYTES_MAX: i64 = 4 * 1024 * 1024;

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
}

/// Where nothing may be written. Without a WAL the file is all there is, and nobody changes it.
pub(super) fn connect_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if fs::metadata(suffixed(path, "-wal")).is_ok_and(|wal| wal.len() > 0) {
        return Connection::open_with_flags(path, flags);
    }
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(*byte))
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
}

pub(super) fn configure(connection: &Connection, is_new: bool) -> rusqlite::Result<()> {
    if is_new {
        // Freed pages can be given back a few at a time, so that a long outage does not leave a large file
        // behind. Only takes effect before the first page is written, so it stands before the WAL.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    // Readers do not hold up the writer, and a commit is one append and one sync.
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // A committed hazard survives the loss of power: NORMAL under WAL may roll the last commits back.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_MAX, |_| Ok(()))?;
    // Written back between two commits, and not in one.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    // SQLite's default is off.
    connection.pragma_update(None, "foreign_keys", true)?;
    // Without it each new value of a LIMIT compiles its statement anew: a fifth of what the store costs.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // A page that does not hold together is found when it is read, not when it has been written back.
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(())
}
