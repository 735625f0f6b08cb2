//! The file's tables, and how an older file becomes one of today.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{Durability, OpenError};

/// Each step makes the layout of its place of the one before; a layout is the number of steps that have been taken.
pub(super) const STEPS: &[&str] = &[
    "
    CREATE TABLE counts (
        budget TEXT NOT NULL, subject_kind TEXT NOT NULL, subject TEXT NOT NULL, model TEXT NOT NULL,
        unit TEXT NOT NULL, starts_ms INTEGER NOT NULL, ends_ms INTEGER NOT NULL, leaves_ms INTEGER NOT NULL,
        spent INTEGER NOT NULL,
        PRIMARY KEY (budget, subject_kind, subject, model, unit, starts_ms, ends_ms)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE reservations (
        id TEXT NOT NULL PRIMARY KEY, made_ms INTEGER NOT NULL, request_id TEXT NOT NULL, principal TEXT NOT NULL,
        principal_group TEXT NOT NULL, operation TEXT NOT NULL, model TEXT, profile TEXT, held_nanodollars INTEGER,
        lines TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE usage (
        hour_ms INTEGER NOT NULL, principal_group TEXT NOT NULL, principal TEXT NOT NULL, model TEXT NOT NULL,
        profile TEXT NOT NULL, operation TEXT NOT NULL, settled TEXT NOT NULL, outcome TEXT NOT NULL,
        calls INTEGER NOT NULL, unpriced INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
        cache_read INTEGER NOT NULL, cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL,
        nanodollars INTEGER NOT NULL,
        PRIMARY KEY (hour_ms, principal_group, principal, model, profile, operation, settled, outcome)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE at_reservation (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, request_id TEXT NOT NULL,
        principal TEXT NOT NULL, reason TEXT NOT NULL, nanodollars INTEGER
    ) STRICT;
",
    "
    CREATE TABLE adjustments (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, made_ms INTEGER NOT NULL, budget TEXT NOT NULL,
        subject_kind TEXT NOT NULL, subject TEXT NOT NULL, effect TEXT NOT NULL, unit TEXT, amount INTEGER,
        until_ms INTEGER, made_by TEXT NOT NULL, reason TEXT NOT NULL, done_ms INTEGER
    ) STRICT;
",
    "
    CREATE TABLE thresholds (
        budget TEXT NOT NULL, subject_kind TEXT NOT NULL, subject TEXT NOT NULL, model TEXT NOT NULL,
        unit TEXT NOT NULL, starts_ms INTEGER NOT NULL, percent INTEGER NOT NULL,
        PRIMARY KEY (budget, subject_kind, subject, model, unit, starts_ms, percent)
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE thresholds ADD COLUMN pending_since_ms INTEGER;
",
    "
    CREATE TABLE keys (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL, used_s INTEGER
    ) STRICT;
    CREATE TABLE keys_changed (times INTEGER NOT NULL) STRICT;
    INSERT INTO keys_changed VALUES (0);
",
    "
    CREATE TABLE journals (noted INTEGER NOT NULL) STRICT;
    INSERT INTO journals VALUES (0);
",
    "
    -- Journals hold records in place of lines of JSON: who does not know them must not take them for nothing.
    UPDATE journals SET noted = noted;
",
];

/// Opens a file for its owner and brings its layout up to date.
pub(super) fn open(path: &Path, durability: Durability) -> Result<Connection, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::File { path: path.to_owned(), why: error.to_string() };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    prepare(&connection, durability).map_err(failed)?;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(OpenError::TooNew { path: path.to_owned(), found, known });
    }
    let taken = usize::try_from(found).unwrap_or(0);
    migrate(&mut connection, taken, known).map_err(failed)?;
    Ok(connection)
}

fn prepare(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    let synchronous = match durability {
        // In WAL mode this waits for the disk at checkpoints only; the file stays whole even when power is lost.
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn migrate(connection: &mut Connection, taken: usize, known: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for step in STEPS.iter().skip(taken) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()
}

/// Someone else's transaction (a person with the `sqlite3` shell) is waited for this long.
const BUSY: Duration = Duration::from_secs(1);
/// How long a command waits for the gateway's transactions, of which each is short.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
