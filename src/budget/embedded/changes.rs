//! The changes that operators made, in the file: written by a command, taken up by the owner.

use std::path::Path;
use std::time::SystemTime;

use rusqlite::{Connection, OpenFlags, params};

use super::schema;
use crate::budget::adjustment::{Adjustment, Change};
use crate::budget::store::{StoreError, Unit};
use crate::budget::words::{effect, instant, millis, signed, unsigned};
use crate::types::Subject;

/// Writes a change into a file, also while a gateway has it open: it takes the change up by itself.
pub(super) fn add(path: &Path, change: &Change, now: SystemTime) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let written = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(schema::PATIENCE)?;
        put(&connection, change, now)
    });
    written.map_err(|error| StoreError(format!("{}: {error}", path.display())))
}

fn put(connection: &Connection, change: &Change, now: SystemTime) -> rusqlite::Result<()> {
    let (unit, amount) = change.effect.amount().map_or((None, None), |(unit, amount)| (Some(unit), Some(amount)));
    connection.execute(
        "INSERT INTO adjustments (made_ms, budget, subject_kind, subject, effect, unit, amount, until_ms, made_by, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            millis(now),
            change.budget.as_ref(),
            change.subject.kind(),
            change.subject.name(),
            change.effect.word(),
            unit.map(Unit::as_str),
            amount.map(signed),
            change.effect.until().map(millis),
            change.by,
            change.reason,
        ],
    )?;
    Ok(())
}

/// Every change, oldest first, and whether the owner has still to carry it out.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<(Adjustment, bool)>> {
    let mut statement = connection.prepare(
        "SELECT sequence, made_ms, budget, subject_kind, subject, effect, unit, amount, until_ms, made_by, reason,
                done_ms IS NULL
         FROM adjustments ORDER BY sequence",
    )?;
    let rows = statement.query_map([], |row| {
        let subject = Subject::of(&row.get::<_, String>(3)?, &row.get::<_, String>(4)?);
        let unit = row.get::<_, Option<String>>(6)?.and_then(|unit| Unit::from_word(&unit));
        let effect = effect(
            &row.get::<_, String>(5)?,
            unit,
            row.get::<_, Option<i64>>(7)?.map(unsigned),
            row.get::<_, Option<i64>>(8)?.map(instant),
        );
        let (Some(subject), Some(effect)) = (subject, effect) else { return Ok(None) };
        let change =
            Change { budget: row.get::<_, String>(2)?.into(), subject, effect, by: row.get(9)?, reason: row.get(10)? };
        let adjustment = Adjustment { sequence: unsigned(row.get(0)?), made: instant(row.get(1)?), change };
        Ok(Some((adjustment, row.get(11)?)))
    })?;
    // What a later Tollgate would understand is left to it.
    rows.filter_map(Result::transpose).collect()
}

/// Notes that a change has been carried out.
pub(super) fn done(connection: &Connection, sequence: u64, now: SystemTime) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE adjustments SET done_ms = ?2 WHERE sequence = ?1")?
        .execute(params![signed(sequence), millis(now)])?;
    Ok(())
}
