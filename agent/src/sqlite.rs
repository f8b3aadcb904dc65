//! What each SQLite file of ours has to do alike: be brought to the newest version, and be told from one that is
//! damaged. Which tables, which settings, and what becomes of a damaged file is each store's own affair.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

/// Brings a file of any older version to the newest, each step in a transaction of its own. `user_version` is the
/// number of the last one applied.
pub(crate) fn migrate(
    connection: &mut Connection,
    application_id: i32,
    migrations: &[&str],
) -> rusqlite::Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (number, migration) in (1_i64..).zip(migrations).filter(|(number, _)| *number > version) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", application_id)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Everything but a refusal of the disk or the system: a page that is torn, a table that is missing, a value of
/// another type.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    let refusals = [
        ErrorCode::CannotOpen,
        ErrorCode::PermissionDenied,
        ErrorCode::ReadOnly,
        ErrorCode::SystemIoFailure,
        ErrorCode::DiskFull,
        ErrorCode::DatabaseBusy,
        ErrorCode::DatabaseLocked,
        ErrorCode::OutOfMemory,
        ErrorCode::NoLargeFileSupport,
        ErrorCode::FileLockingProtocolFailed,
        ErrorCode::OperationInterrupted,
    ];
    error.sqlite_error_code().is_none_or(|code| !refusals.contains(&code))
}

/// The file beside `path` whose name goes on with `ending`: `-wal`, `-shm`.
pub(crate) fn suffixed(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
