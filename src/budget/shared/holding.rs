//! What runs here, and the row by which the others know it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::keys::{Keys, Slice};
use crate::budget::bill::Item;
use crate::budget::store::{Booking, CounterId, Enforcement, Line, StoreError, Unit};
use crate::budget::words::{millis, operation, signed, unsigned};
use crate::types::{ModelId, Money};

/// A call that runs here, or that is about to.
#[derive(Clone, Debug)]
pub(super) struct Here {
    pub(super) placed: Vec<Placed>,
    /// What the store knows of it.
    pub(super) sent: Sent,
    /// What it takes of the allowance.
    pub(super) allowed: Option<u64>,
}

/// Whether the store holds a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It was never asked.
    Never,
    /// It was asked, and its answer did not arrive.
    Perhaps,
    /// It has said so.
    Known,
}

/// A line of a call in the slice into which it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) key: String,
    pub(super) unit: Unit,
    pub(super) slice: Slice,
    /// What is held, as the store can count it.
    pub(super) amount: u64,
}

impl Placed {
    pub(super) fn of(line: &Line, keys: &Keys, now: SystemTime) -> Result<Self, StoreError> {
        let beyond = || StoreError("the clock is beyond the calendar".to_owned());
        let span = line.schedule.slot(now).ok_or_else(beyond)?.slice;
        Ok(Self {
            key: keys.count(&line.counter),
            unit: line.counter.unit,
            slice: Slice { span, leaves: line.schedule.leaves(span) },
            amount: match line.enforcement {
                Enforcement::Hard => countable(line.amount),
                // Nothing refuses these: several must not come to more than can be counted.
                Enforcement::Soft => line.amount.min(MOST_SOFT),
            },
        })
    }

    /// How long its count is kept from now on.
    pub(super) fn keep(&self, now: SystemTime) -> Duration {
        self.slice.leaves.duration_since(now).unwrap_or_default() + KEPT_AFTER
    }
}

/// An amount that 64 bits with a sign can hold.
pub(super) fn countable(amount: u64) -> u64 {
    unsigned(signed(amount))
}

/// A call as its row tells it, for whoever settles it when its gateway is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) made: SystemTime,
    pub(super) principal: Arc<str>,
    pub(super) group: Arc<str>,
    pub(super) item: Item,
    pub(super) held_cost: Option<Money>,
    pub(super) placed: Vec<Placed>,
}

/// The row of a call.
pub(super) fn row(booking: &Booking, placed: &[Placed], now: SystemTime) -> String {
    let Booking { principal, group, item, held_cost, .. } = booking;
    let lines = placed.iter().map(|line| json!([line.key, line.slice.text(), line.amount])).collect();
    json!({
        "made_ms": millis(now),
        "request_id": item.request_id,
        "principal": principal,
        "group": group,
        "operation": item.operation.name(),
        "model": item.model.as_ref().map(ModelId::as_str),
        "profile": item.profile,
        "held_nanodollars": held_cost.map(Money::nanos),
        "lines": Value::Array(lines),
    })
    .to_string()
}

impl Row {
    /// What a row tells; `None` where it is none of ours.
    pub(super) fn of_text(text: &str, keys: &Keys) -> Option<Self> {
        let row: Value = serde_json::from_str(text).ok()?;
        let word = |key: &str| row.get(key).and_then(Value::as_str).map(Arc::<str>::from);
        let placed = row.get("lines")?.as_array()?.iter().map(|line| {
            let key = line.get(0)?.as_str()?;
            let CounterId { unit, .. } = keys.counter(key)?;
            let (slice, amount) = (Slice::of_text(line.get(1)?.as_str()?)?, line.get(2)?.as_u64()?);
            Some(Placed { key: key.to_owned(), unit, slice, amount })
        });
        Some(Self {
            made: crate::budget::words::instant(row.get("made_ms")?.as_i64()?),
            principal: word("principal")?,
            group: word("group")?,
            item: Item {
                request_id: word("request_id")?,
                operation: operation(&word("operation")?),
                model: word("model").and_then(|model| model.parse().ok()),
                profile: word("profile"),
            },
            held_cost: row.get("held_nanodollars").and_then(Value::as_i64).map(Money::from_nanos),
            placed: placed.collect::<Option<_>>()?,
        })
    }
}

/// A million dollars, or as many tokens as no model takes.
const MOST_SOFT: u64 = 1_000_000_000_000_000;
/// Counts are kept this long after they have left their window.
const KEPT_AFTER: Duration = Duration::from_hours(24);
