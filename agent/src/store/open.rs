//! Opening `state.db`: it opens after any crash without a human. A file that is damaged, foreign or of a
//! newer version is renamed aside with its WAL, and a new store with a new epoch begins; a disk that cannot
//! be read or written is an error, never a new store.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use riskgate_engine::Epoch;
use riskgate_point::Wall;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use uuid::Uuid;

use super::writer::Database;
use super::journal::{self, Head, Sealer};
use super::{Opened, StoreError, outbox, records, schema, sql};

const FILE: &str = "state.db";

/// Held by a lock for as long as the store is open; the system lets go of it however the process ends.
const LOCK: &str = "state.lock";

/// A reader with `sqlite3` may hold the file for a moment; longer than this and the commit counts as
/// failed, is told, and tried again.
const BUSY_TIMEOUT: Duration = Duration::from_millis(250);

/// After a checkpoint the WAL is cut to this: what 1,000 pages (the automatic checkpoint) take. Without it
/// one long reader leaves a WAL of hundreds of MB on the card for ever.
const WAL_BYTES_MAX: i64 = 4 * 1024 * 1024;

/// Why a file that exists is not opened.
#[derive(Debug)]
enum Unusable {
    /// It is kept aside; the word tells why and becomes the reason of the new epoch.
    Aside(&'static str),
    /// The disk or the system said no: nothing is touched.
    Error(StoreError),
}

pub(super) fn open(dir: &Path, now: Wall) -> Result<(Database, Opened), StoreError> {
    DirBuilder::new().recursive(true).mode(0o750).create(dir).map_err(|source| StoreError::File {
        operation: "make the directory",
        path: dir.to_owned(),
        source,
    })?;
    let lock = lock(dir)?;
    let path = dir.join(FILE);
    let wal_alone = !exists(&path)? && fs::metadata(suffixed(&path, "-wal")).is_ok_and(|wal| wal.len() > 0);
    let usable = if wal_alone { Err(Unusable::Aside("lost_file")) } else { try_open(&path, now, None) };
    let (opened_file, kept_aside) = match usable {
        Ok(file) => (file, None),
        Err(Unusable::Error(error)) => return Err(error),
        Err(Unusable::Aside(reason)) => {
            let aside = keep_aside(dir, &path, now)?;
            tracing::error!(
                reason,
                kept = %aside.display(),
                "the store cannot be used and is kept aside; a new one begins, and with it a new epoch"
            );
            let file = try_open(&path, now, Some(reason)).map_err(|unusable| match unusable {
                Unusable::Error(error) => error,
                Unusable::Aside(_) => StoreError::File {
                    operation: "use the new store",
                    path: path.clone(),
                    source: io::Error::from(io::ErrorKind::InvalidData),
                },
            })?;
            (file, Some(aside))
        }
    };
    let Usable { connection, meta, new, restored, last, head } = opened_file;
    let sealer = Sealer::new(&connection, dir, &meta.epoch.0.to_string())?;
    let opened = Opened {
        epoch: meta.epoch,
        epoch_began: meta.created,
        epoch_reason: meta.reason,
        new,
        restored,
        kept_aside,
        unclean: !meta.clean,
        config_before: meta.config,
    };
    Ok((Database { connection, last, head, sealer, lock }, opened))
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(|source| StoreError::File {
        operation: "look for",
        path: path.to_owned(),
        source,
    })
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o640).open(&path);
    let file =
        opened.map_err(|source| StoreError::File { operation: "write", path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::InUse { path }),
        Err(fs::TryLockError::Error(source)) => Err(StoreError::File { operation: "lock", path, source }),
    }
}

struct Usable {
    connection: Connection,
    meta: Meta,
    new: Option<&'static str>,
    restored: riskgate_engine::Restored,
    last: super::LastSequences,
    head: Head,
}

struct Meta {
    epoch: Epoch,
    created: Wall,
    reason: String,
    clean: bool,
    config: String,
}

/// Opens, checks, migrates and reads the file at `path`; makes it where there is none. `reason` is why the
/// file that was there before is not used.
fn try_open(path: &Path, now: Wall, reason: Option<&'static str>) -> Result<Usable, Unusable> {
    let judge = |operation: &'static str| move |error| judge(path, operation, error);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let existed = exists(path).map_err(Unusable::Error)?;
    let mut connection = Connection::open_with_flags(path, flags).map_err(judge("open the file"))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(judge("set it up"))?;
    // A file that is kept aside stays byte for byte as it was found: closing it must not checkpoint.
    let keep_wal = |connection: &Connection, keep| {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(|_| ())
    };
    keep_wal(&connection, true).map_err(judge("set it up"))?;
    let version = |connection: &Connection, pragma| {
        connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
    };
    let user_version = version(&connection, "user_version").map_err(judge("read its version"))?;
    let application = version(&connection, "application_id").map_err(judge("read its version"))?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(judge("read its schema"))?;
    if tables > 0 && application != i64::from(schema::APPLICATION_ID) {
        return Err(Unusable::Aside("foreign_file"));
    }
    if user_version > schema::newest() {
        return Err(Unusable::Aside("newer_version"));
    }
    let reason = reason.or_else(|| (existed && tables == 0).then_some("empty_file"));
    configure(&connection).map_err(judge("set it up"))?;
    let closed_clean: Option<bool> = if tables > 0 {
        connection
            .query_row("SELECT clean FROM meta", [], |row| row.get(0))
            .optional()
            .map_err(judge("read whether it was closed"))?
    } else {
        Some(true)
    };
    if closed_clean != Some(true) {
        let verdict: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(judge("check it"))?;
        if verdict != "ok" {
            tracing::error!(path = %path.display(), verdict, "the store is damaged");
            return Err(Unusable::Aside("damaged"));
        }
    }
    schema::migrate(&mut connection).map_err(judge("migrate it"))?;
    let (meta, new) = begin_run(&connection, now, reason).map_err(judge("begin the run"))?;
    let head = begin_chain(&connection, &meta, now).map_err(|error| judge_store(path, error))?;
    let restored = records::restore(&connection).map_err(|error| judge_store(path, error))?;
    let last = outbox::last_sequences(&connection).map_err(|error| judge_store(path, error))?;
    keep_wal(&connection, false).map_err(judge("set it up"))?;
    Ok(Usable { connection, meta, new, restored, last, head })
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // Freed pages can be given back a few at a time, so that a long outage does not leave a large file
    // behind. Only takes effect before the first page is written, so it stands before the WAL.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // Readers do not hold up the writer, and a commit is one append and one sync.
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // A committed hazard survives the loss of power: NORMAL under WAL may roll the last commits back.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_MAX, |_| Ok(()))?;
    // SQLite's default is off.
    connection.pragma_update(None, "foreign_keys", true)?;
    // Without it each new value of a LIMIT compiles its statement anew: a fifth of what the store costs.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // A page that does not hold together is found when it is read, not when it has been written back.
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(())
}

/// Reads whose store it is, or begins a new epoch; marks the file as open.
fn begin_run(
    connection: &Connection,
    now: Wall,
    reason: Option<&'static str>,
) -> rusqlite::Result<(Meta, Option<&'static str>)> {
    let query = "SELECT epoch, created, reason, clean, config FROM meta";
    let read = connection
        .query_row(query, [], |row| {
            Ok(Meta {
                epoch: Epoch(parse_uuid(&row.get::<_, String>(0)?)?),
                created: Wall(row.get(1)?),
                reason: row.get(2)?,
                clean: row.get(3)?,
                config: row.get(4)?,
            })
        })
        .optional()?;
    if let Some(meta) = read {
        connection.execute("UPDATE meta SET clean = 0", [])?;
        return Ok((meta, None));
    }
    let reason = reason.unwrap_or("created");
    let meta = Meta { epoch: Epoch(Uuid::new_v4()), created: now, reason: reason.to_owned(), clean: true, config: String::new() };
    connection.execute(
        "INSERT INTO meta (one, epoch, created, reason, clean) VALUES (1, ?1, ?2, ?3, 0)",
        params![meta.epoch.0.to_string(), now.0, reason],
    )?;
    Ok((meta, Some(reason)))
}

/// The journal's chain has a beginning, whichever version the file was of.
fn begin_chain(connection: &Connection, meta: &Meta, now: Wall) -> Result<Head, StoreError> {
    let transaction = connection.unchecked_transaction().map_err(sql("begin a transaction"))?;
    journal::begin(&transaction, meta.epoch, &meta.reason, now)?;
    transaction.commit().map_err(sql("commit"))?;
    journal::head(connection)
}

fn parse_uuid(text: &str) -> rusqlite::Result<Uuid> {
    Uuid::parse_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// Whether an error means that the file is not what it should be, or that the disk or the system failed.
fn judge(path: &Path, operation: &'static str, error: rusqlite::Error) -> Unusable {
    if is_damage(&error) {
        tracing::error!(path = %path.display(), operation, error = %error, "the store is damaged");
        return Unusable::Aside(reason_of(&error));
    }
    Unusable::Error(StoreError::Open { operation, path: path.to_owned(), source: error })
}

fn judge_store(path: &Path, error: StoreError) -> Unusable {
    match error {
        StoreError::Sql { operation, source } => judge(path, operation, source),
        StoreError::Record { table, ref key, ref source } => {
            tracing::error!(path = %path.display(), table, key, error = %source, "the store is damaged");
            Unusable::Aside("unreadable_record")
        }
        StoreError::File { .. }
        | StoreError::InUse { .. }
        | StoreError::Open { .. }
        | StoreError::Encode { .. }
        | StoreError::Lane { .. }
        | StoreError::Busy { .. }
        | StoreError::Closed { .. }
        | StoreError::Unwritten { .. } => Unusable::Error(error),
    }
}

/// Everything but a refusal of the disk or the system: a page that is torn, a table that is missing, a
/// value of the wrong type.
fn is_damage(error: &rusqlite::Error) -> bool {
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

fn reason_of(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => "not_a_store",
        Some(_) | None => "damaged",
    }
}

/// Renames the file and its WAL so that both can still be opened together, and makes the renaming durable.
fn keep_aside(dir: &Path, path: &Path, now: Wall) -> Result<PathBuf, StoreError> {
    let stamp = Timestamp::from_millisecond(now.0)
        .map(|at| at.strftime("%Y%m%dT%H%M%SZ").to_string())
        .unwrap_or_else(|_| now.0.to_string());
    let name = |number: u32| {
        let more = if number == 0 { String::new() } else { format!("-{number}") };
        suffixed(path, &format!(".damaged-{stamp}{more}"))
    };
    // Two damaged files within one second, or a clock that stands still: neither is written over.
    let free = (0..1000).map(name).find(|aside| {
        [aside.clone(), suffixed(aside, "-wal")].iter().all(|path| !path.try_exists().unwrap_or(true))
    });
    let aside = free.unwrap_or_else(|| name(1000));
    for ending in ["", "-wal", "-shm"] {
        let from = suffixed(path, ending);
        match fs::rename(&from, suffixed(&aside, ending)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(StoreError::File { operation: "keep aside", path: from, source });
            }
        }
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|source| StoreError::File {
        operation: "make the renaming durable in",
        path: dir.to_owned(),
        source,
    })?;
    Ok(aside)
}

fn suffixed(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
