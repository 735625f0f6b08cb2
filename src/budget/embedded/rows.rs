//! Rows of the file: what stands in them, written and read.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::budget::bill::{BillRow, Item, ReservedCall, UsageRow};
use crate::budget::counts::{Held, HeldLine, Written};
use crate::budget::store::{Booking, CounterId, ReservationId};
use crate::budget::threshold::{Mark, Pending};
use crate::budget::window::Span;
use crate::budget::words::{self, counter, instant, millis, operation, reason, signed, unsigned};
use crate::types::{Money, TokenUsage};

/// What is held in one slice, as a reservation's row tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredLine {
    pub(super) counter: CounterId,
    pub(super) slice: Span,
    pub(super) leaves: SystemTime,
    pub(super) amount: u64,
}

/// A count as it stands now, in place of what stood there.
pub(super) fn put_count(connection: &Connection, written: &Written) -> rusqlite::Result<()> {
    let CounterId { budget, subject, model, unit } = &written.counter;
    connection
        .prepare_cached(
            "INSERT INTO counts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT DO UPDATE SET spent = excluded.spent",
        )?
        .execute(params![
            budget.as_ref(),
            subject.kind(),
            subject.name(),
            model.as_deref().unwrap_or(""),
            unit.as_str(),
            millis(written.slice.start),
            millis(written.slice.end),
            millis(written.leaves),
            signed(written.amount),
        ])?;
    Ok(())
}

pub(super) fn counts(connection: &Connection) -> rusqlite::Result<Vec<Written>> {
    let mut statement = connection.prepare(
        "SELECT budget, subject_kind, subject, model, unit, starts_ms, ends_ms, leaves_ms, spent FROM counts",
    )?;
    let rows = statement.query_map([], |row| {
        let texts = (row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?);
        let counter = counter(&texts.0, &texts.1, &texts.2, &row.get::<_, String>(3)?, &row.get::<_, String>(4)?);
        let slice = Span { start: instant(row.get(5)?), end: instant(row.get(6)?) };
        let (leaves, amount) = (instant(row.get(7)?), unsigned(row.get(8)?));
        Ok(counter.map(|counter| Written { counter, slice, leaves, amount }))
    })?;
    // What a later Tollgate would count in a unit that is not known here is left alone.
    rows.filter_map(Result::transpose).collect()
}

/// A reservation as its row and the journal tell it. The order of the fields, here and below, is that of the journal's records.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reserved<'a> {
    id: u128,
    made_ms: i64,
    request_id: Cow<'a, str>,
    principal: Cow<'a, str>,
    principal_group: Cow<'a, str>,
    operation: Cow<'a, str>,
    model: Option<Cow<'a, str>>,
    profile: Option<Cow<'a, str>>,
    pub(super) held_nanodollars: Option<i64>,
    lines: Vec<ReservedLine<'a>>,
}

/// What is held in one slice.
#[derive(Debug, Serialize, Deserialize)]
struct ReservedLine<'a> {
    budget: Cow<'a, str>,
    subject_kind: Cow<'a, str>,
    subject: Cow<'a, str>,
    model: Cow<'a, str>,
    unit: Cow<'a, str>,
    starts_ms: i64,
    ends_ms: i64,
    leaves_ms: i64,
    amount: i64,
}

impl<'a> Reserved<'a> {
    pub(super) fn of(held: &'a Held, made: SystemTime) -> Self {
        let Booking { id, principal, group, item, held_cost, .. } = &held.booking;
        let line = |line: &'a HeldLine| ReservedLine {
            budget: line.counter.budget.as_ref().into(),
            subject_kind: line.counter.subject.kind().into(),
            subject: line.counter.subject.name().into(),
            model: line.counter.model.as_deref().unwrap_or("").into(),
            unit: line.counter.unit.as_str().into(),
            starts_ms: millis(line.slice.start),
            ends_ms: millis(line.slice.end),
            leaves_ms: millis(line.schedule.leaves(line.slice)),
            amount: signed(line.amount),
        };
        Self {
            id: id.uuid().as_u128(),
            made_ms: millis(made),
            request_id: item.request_id.as_ref().into(),
            principal: principal.as_ref().into(),
            principal_group: group.as_ref().into(),
            operation: item.operation.name().into(),
            model: item.model.as_ref().map(|model| model.as_str().into()),
            profile: item.profile.as_deref().map(Cow::from),
            held_nanodollars: held_cost.map(Money::nanos),
            lines: held.lines.iter().map(line).collect(),
        }
    }

    /// Puts it in the file.
    pub(super) fn put(&self, connection: &Connection) -> rusqlite::Result<()> {
        let lines = serde_json::to_string(&self.lines).unwrap_or_default();
        connection
            .prepare_cached("INSERT OR REPLACE INTO reservations VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?
            .execute(params![
                Uuid::from_u128(self.id).to_string(),
                self.made_ms,
                self.request_id,
                self.principal,
                self.principal_group,
                self.operation,
                self.model,
                self.profile,
                self.held_nanodollars,
                lines,
            ])?;
        Ok(())
    }
}

/// The number of the last journal that is in the file as a whole.
pub(super) fn noted_journal(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT noted FROM journals", [], |row| row.get(0)).map(unsigned)
}

/// Notes that a journal, and those before it, are in the file.
pub(super) fn note_journal(connection: &Connection, number: u64) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE journals SET noted = ?1")?.execute([signed(number)])?;
    Ok(())
}

/// An id as the file writes it.
fn id(id: ReservationId) -> String {
    id.uuid().to_string()
}

pub(super) fn delete_reservation(connection: &Connection, own: ReservationId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM reservations WHERE id = ?1")?.execute([id(own)])?;
    Ok(())
}

/// Takes a reservation from the file, if it is there.
pub(super) fn take_reservation(
    connection: &Connection,
    own: ReservationId,
) -> rusqlite::Result<Option<StoredReservation>> {
    let taken = "DELETE FROM reservations WHERE id = ?1
         RETURNING made_ms, request_id, principal, principal_group, operation, model, profile, held_nanodollars, lines";
    connection.prepare_cached(taken)?.query_row([id(own)], reservation).optional()
}

fn lines(text: &str) -> Vec<StoredLine> {
    let Ok(Value::Array(lines)) = serde_json::from_str(text) else { return Vec::new() };
    let line = |line: &Value| {
        let word = |key: &str| line.get(key).and_then(Value::as_str);
        let number = |key: &str| line.get(key).and_then(Value::as_i64);
        Some(StoredLine {
            counter: counter(word("budget")?, word("subject_kind")?, word("subject")?, word("model")?, word("unit")?)?,
            slice: Span { start: instant(number("starts_ms")?), end: instant(number("ends_ms")?) },
            leaves: instant(number("leaves_ms")?),
            amount: unsigned(number("amount")?),
        })
    };
    lines.iter().filter_map(line).collect()
}

/// A reservation that is in the file.
pub(super) struct StoredReservation {
    pub(super) made: SystemTime,
    pub(super) principal: Arc<str>,
    pub(super) group: Arc<str>,
    pub(super) item: Item,
    pub(super) held_cost: Option<Money>,
    pub(super) lines: Vec<StoredLine>,
}

pub(super) fn reservations(connection: &Connection) -> rusqlite::Result<Vec<StoredReservation>> {
    let mut statement = connection.prepare(
        "SELECT made_ms, request_id, principal, principal_group, operation, model, profile, held_nanodollars, lines
         FROM reservations ORDER BY made_ms, id",
    )?;
    let rows = statement.query_map([], reservation)?;
    rows.collect()
}

fn reservation(row: &Row<'_>) -> rusqlite::Result<StoredReservation> {
    Ok(StoredReservation {
        made: instant(row.get(0)?),
        principal: row.get(2)?,
        group: row.get(3)?,
        item: Item {
            request_id: row.get(1)?,
            operation: operation(&row.get::<_, String>(4)?),
            model: row.get::<_, Option<String>>(5)?.and_then(|model| model.parse().ok()),
            profile: row.get(6)?,
        },
        held_cost: row.get::<_, Option<i64>>(7)?.map(Money::from_nanos),
        lines: lines(&row.get::<_, String>(8)?),
    })
}

/// Adds a row to what stands under the same hour and heading.
pub(super) fn add_usage(connection: &Connection, usage: &UsageRow) -> rusqlite::Result<()> {
    let UsageRow { hour, group, row: BillRow { heading, calls, unpriced, usage, cost } } = usage;
    let [principal, model, profile, operation, basis, outcome] = words::heading(heading);
    connection
        .prepare_cached(
            "INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
             ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, unpriced = unpriced + excluded.unpriced,
                 input = input + excluded.input, output = output + excluded.output,
                 cache_read = cache_read + excluded.cache_read,
                 cache_write_5m = cache_write_5m + excluded.cache_write_5m,
                 cache_write_1h = cache_write_1h + excluded.cache_write_1h,
                 nanodollars = nanodollars + excluded.nanodollars",
        )?
        .execute(params![
            millis(*hour),
            group,
            principal,
            model,
            profile,
            operation,
            basis,
            outcome,
            signed(*calls),
            signed(*unpriced),
            signed(usage.input),
            signed(usage.output),
            signed(usage.cache_read),
            signed(usage.cache_write_5m),
            signed(usage.cache_write_1h),
            cost.nanos(),
        ])?;
    Ok(())
}

pub(super) fn usage(connection: &Connection, since: SystemTime) -> rusqlite::Result<Vec<UsageRow>> {
    let mut statement = connection.prepare(
        "SELECT hour_ms, principal_group, principal, model, profile, operation, settled, outcome, calls, unpriced,
                input, output, cache_read, cache_write_5m, cache_write_1h, nanodollars
         FROM usage WHERE hour_ms >= ?1 ORDER BY hour_ms, principal_group, principal, model, profile, operation",
    )?;
    let rows = statement.query_map([millis(since)], usage_row)?;
    rows.collect()
}

fn usage_row(row: &Row<'_>) -> rusqlite::Result<UsageRow> {
    let number = |place: usize| row.get(place).map(unsigned);
    let heading = words::heading_of([row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?]);
    let usage = TokenUsage {
        input: number(10)?,
        output: number(11)?,
        cache_read: number(12)?,
        cache_write_5m: number(13)?,
        cache_write_1h: number(14)?,
    };
    let cost = Money::from_nanos(row.get(15)?);
    let row_of = BillRow { heading, calls: number(8)?, unpriced: number(9)?, usage, cost };
    Ok(UsageRow { hour: instant(row.get(0)?), group: row.get(1)?, row: row_of })
}

pub(super) fn list(connection: &Connection, call: &ReservedCall, at: SystemTime) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO at_reservation (at_ms, request_id, principal, reason, nanodollars) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            millis(at),
            call.request_id,
            call.principal,
            call.reason.as_str(),
            call.cost.map(Money::nanos)
        ])?;
    Ok(())
}

/// The latest so many calls settled at the reservation, oldest first, and how many there are in all.
pub(super) fn listed(connection: &Connection, most: usize) -> rusqlite::Result<(Vec<ReservedCall>, u64)> {
    let mut statement = connection.prepare(
        "SELECT request_id, principal, reason, nanodollars FROM at_reservation ORDER BY sequence DESC LIMIT ?1",
    )?;
    let rows = statement.query_map([i64::try_from(most).unwrap_or(i64::MAX)], |row| {
        Ok(ReservedCall {
            request_id: row.get(0)?,
            principal: row.get(1)?,
            reason: reason(&row.get::<_, String>(2)?),
            cost: row.get::<_, Option<i64>>(3)?.map(Money::from_nanos),
        })
    })?;
    let mut calls = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    calls.reverse();
    let all = connection.query_row("SELECT count(*) FROM at_reservation", [], |row| row.get(0))?;
    Ok((calls, unsigned(all)))
}

/// Notes a threshold of a window; false where it stands there already.
pub(super) fn claim(connection: &Connection, mark: &Mark, pending: Option<SystemTime>) -> rusqlite::Result<bool> {
    let added = with_mark(
        connection,
        "INSERT OR IGNORE INTO thresholds VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        mark,
        pending,
    )?;
    Ok(added == 1)
}

/// Notes that a webhook has been told of a threshold.
pub(super) fn delivered(connection: &Connection, mark: &Mark) -> rusqlite::Result<()> {
    with_mark(
        connection,
        "UPDATE thresholds SET pending_since_ms = ?8
         WHERE budget = ?1 AND subject_kind = ?2 AND subject = ?3 AND model = ?4 AND unit = ?5 AND starts_ms = ?6 AND percent = ?7",
        mark,
        None,
    )?;
    Ok(())
}

fn with_mark(
    connection: &Connection,
    statement: &str,
    mark: &Mark,
    pending: Option<SystemTime>,
) -> rusqlite::Result<usize> {
    let CounterId { budget, subject, model, unit } = &mark.counter;
    connection.prepare_cached(statement)?.execute(params![
        budget.as_ref(),
        subject.kind(),
        subject.name(),
        model.as_deref().unwrap_or(""),
        unit.as_str(),
        millis(mark.window),
        mark.percent,
        pending.map(millis),
    ])
}

/// The thresholds of which a webhook has still to be told, oldest first.
pub(super) fn pending(connection: &Connection) -> rusqlite::Result<Vec<Pending>> {
    let mut statement = connection.prepare(
        "SELECT budget, subject_kind, subject, model, unit, starts_ms, percent, pending_since_ms FROM thresholds
         WHERE pending_since_ms IS NOT NULL ORDER BY pending_since_ms",
    )?;
    let rows = statement.query_map([], |row| {
        let texts = (row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?);
        let counter = counter(&texts.0, &texts.1, &texts.2, &row.get::<_, String>(3)?, &row.get::<_, String>(4)?);
        let (window, percent, since) = (instant(row.get(5)?), row.get(6)?, instant(row.get(7)?));
        Ok(counter.map(|counter| Pending { mark: Mark { counter, window, percent }, since }))
    })?;
    rows.filter_map(Result::transpose).collect()
}

/// Forgets what is older than the retention, and counts whose time is over.
pub(super) fn forget(connection: &Connection, before: SystemTime, left_before: SystemTime) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM usage WHERE hour_ms < ?1", [millis(before)])?;
    connection.execute("DELETE FROM at_reservation WHERE at_ms < ?1", [millis(before)])?;
    connection.execute(
        "DELETE FROM thresholds WHERE starts_ms > 0 AND starts_ms < ?1 AND pending_since_ms IS NULL",
        [millis(before)],
    )?;
    connection.execute("DELETE FROM counts WHERE leaves_ms < ?1", [millis(left_before)])?;
    Ok(())
}
