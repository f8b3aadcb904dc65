//! The tables of `state.db`, as numbered migrations: `user_version` is the number of the last one applied.
//! A migration that has been released is never edited; a change is a new one at the end.

use rusqlite::Connection;

use crate::sqlite;

/// `RGST`: tells our file from another program's SQLite file.
pub(super) const APPLICATION_ID: i32 = 0x5247_5354;

pub(super) const MIGRATIONS: &[&str] = &[V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11];

/// The version from which on the journal is a chain.
pub(super) const CHAINED: i64 = 2;

/// The newest version, which this program writes.
pub(super) fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

const V1: &str = "
-- One row: whose store this is, and whether the last run closed it.
CREATE TABLE meta (
    one     INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    epoch   TEXT NOT NULL,
    created INTEGER NOT NULL,
    reason  TEXT NOT NULL,
    clean   INTEGER NOT NULL CHECK (clean IN (0, 1))
) STRICT;

-- The newest revision of each object; body is the engine's own record as JSON.
CREATE TABLE alarm (
    id       TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    body     TEXT NOT NULL
) STRICT;

CREATE TABLE hazard (
    id       TEXT NOT NULL PRIMARY KEY,
    measure  TEXT NOT NULL,
    cause    TEXT NOT NULL,
    opening  INTEGER NOT NULL,
    stage    TEXT NOT NULL CHECK
             (stage IN ('candidate', 'rectifying', 'awaiting_acceptance', 'accepted', 'rejected')),
    revision INTEGER NOT NULL,
    body     TEXT NOT NULL,
    UNIQUE (measure, cause, opening)
) STRICT;

-- At most one open hazard for each (measure, cause), whatever the engine says.
CREATE UNIQUE INDEX hazard_open ON hazard (measure, cause)
    WHERE stage IN ('candidate', 'rectifying', 'awaiting_acceptance');

CREATE TABLE task (
    id       TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    body     TEXT NOT NULL
) STRICT;

CREATE TABLE unit (
    id       TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    body     TEXT NOT NULL
) STRICT;

-- The last sequence given out in each lane.
CREATE TABLE lane (
    lane TEXT NOT NULL PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;

INSERT INTO lane (lane, last) VALUES ('critical', 0), ('gap', 0), ('work', 0);

-- AUTOINCREMENT: a number that was given out is never given out again, also after a purge.
CREATE TABLE outbox (
    row      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    lane     TEXT NOT NULL REFERENCES lane (lane),
    sequence INTEGER NOT NULL,
    topic    TEXT NOT NULL,
    retain   INTEGER NOT NULL CHECK (retain IN (0, 1)),
    kind     TEXT NOT NULL,
    object   TEXT NOT NULL,
    revision INTEGER NOT NULL,
    time     INTEGER NOT NULL,
    body     TEXT NOT NULL,
    sent_at  INTEGER,
    UNIQUE (lane, sequence)
) STRICT;

CREATE INDEX outbox_pending ON outbox (lane, row) WHERE sent_at IS NULL;
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;

CREATE TABLE journal (
    entry INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at    INTEGER NOT NULL,
    by    TEXT NOT NULL,
    what  TEXT NOT NULL,
    body  TEXT NOT NULL
) STRICT;

CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
";

const V2: &str = "
-- The configuration that held last, by its hash: the next start tells whether it was changed meanwhile.
ALTER TABLE meta ADD COLUMN config TEXT NOT NULL DEFAULT '';

-- Entries of before the chain stay as they are; the chain's first entry holds their number and their hash.
DROP TRIGGER journal_no_update;
DROP TRIGGER journal_no_delete;
ALTER TABLE journal RENAME TO journal_unchained;
CREATE TRIGGER journal_unchained_no_update BEFORE UPDATE ON journal_unchained
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_unchained_no_delete BEFORE DELETE ON journal_unchained
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

-- line is what is hashed, byte for byte; hash is the SHA-256 of it, which the next line repeats.
CREATE TABLE journal (
    n    INTEGER NOT NULL PRIMARY KEY,
    line TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;

-- Entries that lie in a file of their own: numbers, the hash of the last, the latest time.
CREATE TABLE segment (
    first  INTEGER NOT NULL PRIMARY KEY,
    last   INTEGER NOT NULL,
    hash   TEXT NOT NULL,
    until  INTEGER NOT NULL,
    file   TEXT NOT NULL,
    sealed INTEGER NOT NULL
) STRICT;

CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
-- What a file holds may go.
CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal
WHEN old.n > (SELECT coalesce(max(last), 0) FROM segment)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER segment_no_update BEFORE UPDATE ON segment
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER segment_no_delete BEFORE DELETE ON segment
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

-- What can never be written to its own table: set aside, so that it holds up nothing else.
CREATE TABLE unwritable (
    n        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    object   TEXT NOT NULL,
    revision INTEGER NOT NULL,
    why      TEXT NOT NULL,
    body     TEXT NOT NULL
) STRICT;
";

const V3: &str = "
-- The newest stop of each unit, ended or not.
CREATE TABLE stop (
    id       TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    body     TEXT NOT NULL
) STRICT;
";

const V4: &str = "
-- Commands from upstream that were carried out: one that comes again is answered again and done once.
CREATE TABLE command (
    n       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id      TEXT NOT NULL UNIQUE,
    name    TEXT NOT NULL,
    digest  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    result  TEXT NOT NULL
) STRICT;

CREATE INDEX command_expires ON command (expires);
";

const V5: &str = "
-- Records of inspections (排查记录), the agent's own and those that persons told.
CREATE TABLE record (
    id   TEXT NOT NULL PRIMARY KEY,
    task TEXT NOT NULL,
    at   INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE INDEX record_at ON record (at);
";

const V6: &str = "
-- Indicators as they were told last: one row.
CREATE TABLE indicator (
    id       TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    body     TEXT NOT NULL
) STRICT;
";

const V7: &str = "
-- What the engine counts between two decisions, as it was kept last: one row.
CREATE TABLE running (
    one  INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    body TEXT NOT NULL
) STRICT;
";

const V8: &str = "
-- What each shadow rule would have told: counts, the last onset.
CREATE TABLE shadow (
    id       TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    body     TEXT NOT NULL
) STRICT;
";

const V9: &str = "
-- Why the receiver would not take a row that was set aside: it is not sent again, also not on demand.
ALTER TABLE outbox ADD COLUMN refused TEXT;

CREATE INDEX outbox_refused ON outbox (row) WHERE refused IS NOT NULL;
";

const V10: &str = "
-- Models from upstream: the newest and the one before it. digest is the SHA-256 of body.
CREATE TABLE model (
    n       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    by      TEXT NOT NULL,
    digest  TEXT NOT NULL,
    body    TEXT NOT NULL
) STRICT;
";

const V11: &str = "
-- Whose store it is: of the agent that started on it last.
ALTER TABLE meta ADD COLUMN company TEXT NOT NULL DEFAULT '';
ALTER TABLE meta ADD COLUMN gateway TEXT NOT NULL DEFAULT '';
";

/// Brings a file of any older version to the newest, each step in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    sqlite::migrate(connection, APPLICATION_ID, MIGRATIONS)
}
