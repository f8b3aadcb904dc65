//! Opening `state.db`: it opens after any crash without a human. A file that is damaged, foreign or of a
//! newer version is renamed aside with its WAL, and a new store with a new epoch begins; a disk that cannot
//! be read is an error, never a new store. A file that is gone or has gone back in time, which its mark
//! tells, is a lost one and not a first start.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use riskgate_engine::Epoch;
use riskgate_point::Wall;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use uuid::Uuid;

use super::age::Age;
use super::connect::{BUSY_TIMEOUT, configure, connect, connect_to_read};
use super::journal::{self, Head, Sealer};
use super::mark::{Ballast, Mark, Marked};
use super::upkeep::{Rows, Upkeep};
use super::writer::Database;
use super::{Opened, StoreError, full, outbox, records, schema, sql};
use crate::sqlite::{NotAside, is_damage, keep_aside, suffixed};

pub(super) const FILE: &str = "state.db";

/// Made and removed, to see whether a file can be made.
const PROBE: &str = "state.probe";

/// Held by a lock for as long as the store is open; the system lets go of it however the process ends.
const LOCK: &str = "state.lock";

/// The file that SQLite shares with other readers cannot be made.
const IOERR_SHMOPEN: i32 = 4618;

/// The file that SQLite shares with other readers cannot be made larger: SQLite does not say that it was for room.
const IOERR_SHMSIZE: i32 = 4874;

/// How many that were kept aside are kept: each may be as large as the store.
pub(super) const ASIDES_MAX: usize = 3;

/// Why a file that exists is not opened.
#[derive(Debug)]
pub(super) enum Unusable {
    /// It is kept aside; the word tells why and becomes the reason of the new epoch.
    Aside(&'static str),
    /// The disk or the system said no: nothing is touched.
    Error(StoreError),
}

pub(super) fn open(dir: &Path, now: Wall) -> Result<(Database, Opened), StoreError> {
    let mut start = Start::default();
    let lock = match place(dir) {
        Ok(lock) => lock,
        Err(why) if goes_on(dir, &why) => return full::open(dir, now, why, start, None),
        Err(StoreError::NoPlace { source, .. }) => return Err(*source),
        Err(why) => return Err(why),
    };
    match open_locked(dir, now, &mut start, &lock) {
        Err(why) if is_full(&why) || (is_empty(dir) && !matches!(why, StoreError::InUse { .. })) => {
            full::open(dir, now, why, start, Some(lock))
        }
        opened => {
            let (database, opened) = opened?;
            database.ballast.take();
            Ok((database, opened))
        }
    }
}

/// The directory, made and held.
pub(super) fn place(dir: &Path) -> Result<Arc<File>, StoreError> {
    let held = make(dir).and_then(|()| lock(dir));
    held.map(Arc::new).map_err(|error| {
        let error = full_if(dir, error);
        if matches!(error, StoreError::Full { .. } | StoreError::InUse { .. }) {
            return error;
        }
        StoreError::NoPlace { path: dir.to_owned(), source: Box::new(error) }
    })
}

/// There is no store, as far as can be seen: nobody's is taken for none.
fn is_empty(dir: &Path) -> bool {
    let file = dir.join(FILE);
    let is_missing = |path: &Path| match fs::metadata(path) {
        Ok(found) => found.len() == 0,
        Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    };
    is_missing(&file) && is_missing(&suffixed(&file, "-wal")) && Marked::read(dir).is_none()
}

/// Whether people are warned from memory where nothing can be written: on a disk that failed or is not there, at any
/// hour of the night. A folder that is somebody else's is a person's doing, and a start that is refused shows it.
fn goes_on(dir: &Path, why: &StoreError) -> bool {
    let kind = if let StoreError::NoPlace { source, .. } = why
        && let StoreError::File { source, .. } = &**source
    {
        Some(source.kind())
    } else {
        None
    };
    match kind {
        Some(io::ErrorKind::ReadOnlyFilesystem) => true,
        Some(io::ErrorKind::PermissionDenied) => false,
        Some(_) | None => is_empty(dir) && !matches!(why, StoreError::InUse { .. }),
    }
}

/// What a start goes by, from try to try: one that fails for want of room is followed by another, which must not judge
/// by what the one before left.
#[derive(Debug, Clone, Default)]
pub(super) struct Start {
    /// Of the new store, where one begins; of the one that was read, where the agent runs already. `None`: any.
    pub(super) epoch: Option<Epoch>,
    /// Why a new one begins, which is decided already.
    pub(super) new: Option<&'static str>,
    /// What was there instead.
    pub(super) kept_aside: Option<PathBuf>,
    /// The agent runs already, under this epoch. Nobody would be told of a store that is lost now and of a new one in
    /// its place, so nothing is kept aside any more: it is an error.
    pub(super) is_running: bool,
}

pub(super) fn open_locked(
    dir: &Path,
    now: Wall,
    start: &mut Start,
    lock: &Arc<File>,
) -> Result<(Database, Opened), StoreError> {
    let path = dir.join(FILE);
    let ballast = Ballast::of(dir);
    let usable = match open_or_begin(dir, &path, now, start) {
        Err(error) if has_no_room(dir, &error) && ballast.give_back() => {
            tracing::error!("the disk is full: the room that was kept for this is given back");
            open_or_begin(dir, &path, now, start)
        }
        opened => opened,
    }
    .map_err(|error| full_if(dir, error))?;
    let lock = Some(Arc::clone(lock));
    let (mut database, opened) = database(dir, usable, start.kept_aside.clone(), lock)?;
    database.mark = Mark::open(dir, opened.epoch.0.to_string());
    database.mark.set(&database.head);
    Ok((database, opened))
}

/// What the writer needs of a file that was read. No mark is set: what is read on a full disk is never committed, and a
/// mark must not be ahead of the file.
pub(super) fn database(
    dir: &Path,
    usable: Usable,
    kept_aside: Option<PathBuf>,
    lock: Option<Arc<File>>,
) -> Result<(Database, Opened), StoreError> {
    let Usable { connection, meta, new, restored, last, head } = usable;
    let epoch = meta.epoch.0.to_string();
    let sealer = Sealer::new(&connection, dir, &epoch)?;
    let rows = Rows::count(&connection)?;
    let age = Age::read(&connection)?;
    let commands = super::commands::read(&connection)?;
    let models = super::models::read(&connection);
    let upkeep = Upkeep::of(&connection)?;
    upkeep.set_end(&connection)?;
    let mark = Mark::none(epoch);
    let opened = Opened {
        epoch: meta.epoch,
        epoch_began: meta.created,
        epoch_reason: meta.reason,
        new,
        restored,
        commands,
        models,
        kept_aside,
        unclean: !meta.clean,
        config_before: meta.config,
    };
    let ballast = Ballast::of(dir);
    let database = Database {
        connection,
        last,
        rows,
        head,
        sealer,
        mark,
        ballast,
        upkeep,
        age,
        lock,
        unbegun: None,
        is_lost: false,
    };
    Ok((database, opened))
}

/// Makes the directory. Its name must not go with the power, and the whole store with it: the next start would take it
/// for the first.
fn make(dir: &Path) -> Result<(), StoreError> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let missing: Vec<&Path> = dir.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(0o750).create(dir).map_err(|source| StoreError::File {
        operation: "make the directory",
        path: dir.to_owned(),
        source,
    })?;
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
        let synced = File::open(parent.unwrap_or(Path::new("."))).and_then(|parent| parent.sync_all());
        if let Err(error) = synced {
            tracing::warn!(%error, made = %made.display(), "a loss of power now may take the new directory away");
        }
    }
    Ok(())
}

/// The store that is there; or a new one, where there is none or none that can be used.
fn open_or_begin(dir: &Path, path: &Path, now: Wall, start: &mut Start) -> Result<Usable, StoreError> {
    let marked = Marked::read(dir);
    let wal_is_there = || fs::metadata(suffixed(path, "-wal")).is_ok_and(|wal| wal.len() > 0);
    let was_there = || start.is_running || marked.is_some() || wal_is_there();
    let is_there = exists(path)?;
    let is_lost = start.new.is_none() && !is_there && was_there();
    if start.new.is_none() && !is_there && !is_lost {
        start.begin_new("created");
    }
    let usable = if is_lost {
        Err(Unusable::Aside("lost_file"))
    } else {
        try_open(path, now, &Run { start: start.clone(), marked: marked.as_ref(), ..Run::default() })
    };
    let reason = match usable {
        Ok(file) => return Ok(file),
        Err(Unusable::Error(error)) => return Err(error),
        Err(Unusable::Aside(reason)) if start.is_running => {
            return Err(StoreError::Lost { path: path.to_owned(), reason });
        }
        Err(Unusable::Aside(reason)) => reason,
    };
    start.begin_new(reason);
    start.kept_aside = keep_aside(path, now, ASIDES_MAX)
        .map_err(|NotAside { operation, path, source }| StoreError::File { operation, path, source })?;
    tracing::error!(
        reason,
        kept = start.kept_aside.as_ref().map(|aside| aside.display().to_string()),
        "the store is lost or cannot be used; what is left of it is kept aside, a new one begins, and with it a new epoch"
    );
    let run = Run { start: start.clone(), ..Run::default() };
    try_open(path, now, &run).map_err(|unusable| unusable.of_new(path))
}

impl Start {
    /// A new store begins, and in each later try the same one.
    pub(super) fn begin_new(&mut self, reason: &'static str) {
        (self.epoch, self.new) = (Some(Epoch(drawn())), Some(reason));
    }
}

impl Unusable {
    /// A store that we have just begun is not damaged.
    pub(super) fn of_new(self, path: &Path) -> StoreError {
        match self {
            Self::Error(error) => error,
            Self::Aside(_) => StoreError::File {
                operation: "use the new store",
                path: path.to_owned(),
                source: io::Error::from(io::ErrorKind::InvalidData),
            },
        }
    }
}

fn full_if(dir: &Path, error: StoreError) -> StoreError {
    if has_no_room(dir, &error) {
        StoreError::Full { path: dir.join(FILE), source: Box::new(error) }
    } else {
        error
    }
}

/// A file system can have room for bytes and none for another file. SQLite then says only that it cannot open one.
fn has_no_room(dir: &Path, error: &StoreError) -> bool {
    is_full(error) || (is_unopened(error) && has_no_room_for_a_file(dir))
}

fn is_unopened(error: &StoreError) -> bool {
    let (StoreError::Open { source, .. } | StoreError::Sql { source, .. }) = error else { return false };
    source.sqlite_error_code() == Some(ErrorCode::CannotOpen)
        || source.sqlite_error().is_some_and(|error| error.extended_code == IOERR_SHMOPEN)
}

fn has_no_room_for_a_file(dir: &Path) -> bool {
    why_no_file(dir) == Some(io::ErrorKind::StorageFull)
}

/// Why no file can be made there; `None`: it can.
pub(super) fn why_no_file(dir: &Path) -> Option<io::ErrorKind> {
    let probe = dir.join(PROBE);
    match File::create_new(&probe) {
        Ok(_) => {
            drop(fs::remove_file(probe));
            None
        }
        Err(error) => Some(error.kind()),
    }
}

pub(super) fn is_full(error: &StoreError) -> bool {
    match error {
        StoreError::Open { source, .. } | StoreError::Sql { source, .. } => {
            source.sqlite_error_code() == Some(ErrorCode::DiskFull)
                || source.sqlite_error().is_some_and(|error| error.extended_code == IOERR_SHMSIZE)
        }
        StoreError::File { source, .. } => source.kind() == io::ErrorKind::StorageFull,
        StoreError::Full { .. } => true,
        StoreError::NoPlace { .. }
        | StoreError::InUse { .. }
        | StoreError::Lost { .. }
        | StoreError::Record { .. }
        | StoreError::Encode { .. }
        | StoreError::Lane { .. }
        | StoreError::Busy { .. }
        | StoreError::Closed { .. }
        | StoreError::Unwritten { .. } => false,
    }
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
    #[cfg(test)]
    let _alone = super::tests::alone();
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::InUse { path }),
        Err(fs::TryLockError::Error(source)) => Err(StoreError::File { operation: "lock", path, source }),
    }
}

pub(super) struct Usable {
    pub(super) connection: Connection,
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

/// How a file is opened.
#[derive(Default)]
pub(super) struct Run<'a> {
    pub(super) start: Start,
    /// What a mark beside it says.
    pub(super) marked: Option<&'a Marked>,
    /// There is no room to write anything: what would be written stays in memory, in a transaction that is never
    /// committed to the file.
    pub(super) full: bool,
    /// The disk may only be read: what is there is read as it is.
    pub(super) read_only: bool,
}

/// Opens, checks, migrates and reads the file at `path`; makes it where there is none.
pub(super) fn try_open(path: &Path, now: Wall, run: &Run<'_>) -> Result<Usable, Unusable> {
    let judge = |operation: &'static str| move |error| judge(path, operation, error);
    let existed = exists(path).map_err(Unusable::Error)?;
    let connected = if run.read_only { connect_to_read(path) } else { connect(path) };
    let mut connection = connected.map_err(judge("open the file"))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(judge("set it up"))?;
    // A file that is kept aside stays byte for byte as it was found: closing it must not checkpoint.
    let keep_wal = |connection: &Connection, keep| {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(|_| ())
    };
    keep_wal(&connection, true).map_err(judge("set it up"))?;
    if run.full {
        full::keep_in_memory(&connection).map_err(judge("set it up"))?;
    }
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
    if run.start.is_running
        && let Some(reason) =
            is_another(&connection, tables, &run.start).map_err(judge("read whose it is"))?
    {
        return Err(Unusable::Aside(reason));
    }
    let reason = run.start.new.or_else(|| (existed && tables == 0).then_some("empty_file"));
    if run.read_only && user_version < schema::newest() {
        let source = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        let (operation, path) = ("bring to the newest version", path.to_owned());
        return Err(Unusable::Error(StoreError::File { operation, path, source }));
    }
    if !run.read_only {
        configure(&connection, tables == 0).map_err(judge("set it up"))?;
    }
    if tables > 0 && !is_whole(path, &connection)? {
        return Err(Unusable::Aside("damaged"));
    }
    if let Some(marked) = run.marked.filter(|_| user_version >= schema::CHAINED)
        && is_rolled_back(&connection, marked).map_err(judge("compare it with its mark"))?
    {
        return Err(Unusable::Aside("rolled_back"));
    }
    if run.full {
        connection.execute_batch("BEGIN IMMEDIATE").map_err(judge("begin a transaction"))?;
    }
    schema::migrate(&mut connection).map_err(judge("migrate it"))?;
    let (meta, new) = begin_run(&connection, now, reason, run).map_err(judge("begin the run"))?;
    let head = begin_chain(&connection, &meta, now).map_err(|error| judge_store(path, error))?;
    let restored = records::restore(&connection).map_err(|error| judge_store(path, error))?;
    let last = outbox::last_sequences(&connection).map_err(|error| judge_store(path, error))?;
    keep_wal(&connection, run.full).map_err(judge("set it up"))?;
    Ok(Usable { connection, meta, new, restored, last, head })
}

/// Checks a file that was not closed.
fn is_whole(path: &Path, connection: &Connection) -> Result<bool, Unusable> {
    let judge = |operation: &'static str| move |error| judge(path, operation, error);
    let closed_clean: Option<bool> = connection
        .query_row("SELECT clean FROM meta", [], |row| row.get(0))
        .optional()
        .map_err(judge("read whether it was closed"))?;
    if closed_clean == Some(true) {
        return Ok(true);
    }
    let verdict: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(judge("check it"))?;
    let is_whole = verdict == "ok";
    if !is_whole {
        tracing::error!(path = %path.display(), verdict, "the store is damaged");
    }
    Ok(is_whole)
}

/// Why the file is not the one that the agent runs with, where it is not.
fn is_another(connection: &Connection, tables: i64, start: &Start) -> rusqlite::Result<Option<&'static str>> {
    let epoch: Option<String> = if tables > 0 {
        connection.query_row("SELECT epoch FROM meta", [], |row| row.get(0)).optional()?
    } else {
        None
    };
    Ok(match epoch {
        // Of a new one there may be a part, from a try that had too little room.
        None => start.new.is_none().then_some("empty_file"),
        Some(found) => {
            (start.epoch.map(|epoch| epoch.0.to_string()) != Some(found)).then_some("another_epoch")
        }
    })
}

/// Commits that once were in the file are not in it any more. To go on with it would give out numbers again that
/// upstream has seen.
fn is_rolled_back(connection: &Connection, marked: &Marked) -> rusqlite::Result<bool> {
    let query = "SELECT epoch, (SELECT coalesce(max(n), 0) FROM journal) FROM meta";
    let found: Option<(String, i64)> =
        connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(found.is_some_and(|(epoch, last)| marked.is_ahead_of(&epoch, last)))
}

/// Reads whose store it is, or begins a new epoch; marks the file as open.
fn begin_run(
    connection: &Connection,
    now: Wall,
    reason: Option<&'static str>,
    run: &Run<'_>,
) -> rusqlite::Result<(Meta, Option<&'static str>)> {
    let epoch = run.start.epoch;
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
        if !run.read_only {
            connection.execute("UPDATE meta SET clean = 0", [])?;
        }
        // Begun by a try of this start that went no further.
        let begun = reason.filter(|_| epoch == Some(meta.epoch));
        return Ok((meta, begun));
    }
    let reason = reason.unwrap_or("created");
    let meta = Meta {
        epoch: epoch.unwrap_or_else(|| Epoch(drawn())),
        created: now,
        reason: reason.to_owned(),
        clean: true,
        config: String::new(),
    };
    connection.execute(
        "INSERT INTO meta (one, epoch, created, reason, clean) VALUES (1, ?1, ?2, ?3, 0)",
        params![meta.epoch.0.to_string(), now.0, reason],
    )?;
    Ok((meta, Some(reason)))
}

fn drawn() -> Uuid {
    // A seed that replays has the ids that it had.
    #[cfg(test)]
    if crate::sim::is_running() {
        return Uuid::from_u128(fastrand::u128(..));
    }
    Uuid::new_v4()
}

/// The journal's chain has a beginning, whichever version the file was of.
fn begin_chain(connection: &Connection, meta: &Meta, now: Wall) -> Result<Head, StoreError> {
    // One of its own, or within the one that is rolled back.
    connection.execute_batch("SAVEPOINT chain").map_err(sql("begin a transaction"))?;
    journal::begin(connection, meta.epoch, &meta.reason, now)?;
    connection.execute_batch("RELEASE chain").map_err(sql("commit"))?;
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
        | StoreError::Full { .. }
        | StoreError::NoPlace { .. }
        | StoreError::InUse { .. }
        | StoreError::Lost { .. }
        | StoreError::Open { .. }
        | StoreError::Encode { .. }
        | StoreError::Lane { .. }
        | StoreError::Busy { .. }
        | StoreError::Closed { .. }
        | StoreError::Unwritten { .. } => Unusable::Error(error),
    }
}

fn reason_of(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => "not_a_store",
        Some(_) | None => "damaged",
    }
}
