//! The start: counts as they were written, and an end for what the last gateway left behind.

use std::collections::BTreeSet;
use std::time::SystemTime;

use rusqlite::{Connection, TransactionBehavior};

use super::rows::{self, StoredReservation};
use crate::budget::bill::{BillRow, Entry, UsageRow, hour_of};
use crate::budget::counts::{Counts, Written};
use crate::types::Money;

/// What a gateway that did not end well left behind, and what it was settled at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// How many calls were running.
    pub calls: u64,
    /// What was held for them.
    pub cost: Money,
}

/// Reads the counts and settles every reservation in the file at what it holds.
pub(super) fn recover(connection: &mut Connection, now: SystemTime) -> rusqlite::Result<(Counts, Recovered)> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut counts = Counts::default();
    for written in rows::counts(&transaction)? {
        counts.restore(written);
    }
    let mut recovered = Recovered::default();
    let mut changed = BTreeSet::new();
    for reservation in rows::reservations(&transaction)? {
        for line in &reservation.lines {
            let spent = counts.spent(&line.counter, line.slice).map_or(0, |spent| spent.amount);
            let (counter, slice, leaves) = (line.counter.clone(), line.slice, line.leaves);
            changed.insert((counter.clone(), slice));
            counts.restore(Written { counter, slice, leaves, amount: spent.saturating_add(line.amount) });
        }
        let made = reservation.made;
        let StoredReservation { principal, group, item, held_cost, .. } = reservation;
        let entry = Entry::crashed(principal, group, item, held_cost);
        let mut row = BillRow::empty(entry.heading());
        row.add(&entry);
        recovered.calls += 1;
        recovered.cost = recovered.cost + entry.cost.unwrap_or_default();
        rows::add_usage(&transaction, &UsageRow { hour: hour_of(made), group: entry.group.clone(), row })?;
        if let Some(call) = entry.reserved_call() {
            rows::list(&transaction, &call, now)?;
        }
    }
    for (counter, slice) in changed {
        if let Some(written) = counts.spent(&counter, slice) {
            rows::put_count(&transaction, &written)?;
        }
    }
    transaction.execute("DELETE FROM reservations", [])?;
    transaction.commit()?;
    Ok((counts, recovered))
}
