//! The start: counts as they were written, and an end for what the last gateway left behind.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::{Connection, TransactionBehavior};

use super::journal::{self, Line};
use super::rows::{self, StoredReservation};
use crate::budget::bill::{BillRow, Entry, UsageRow, hour_of};
use crate::budget::counts::{Counts, Written};
use crate::budget::store::Charge;
use crate::types::Money;

/// What a gateway that did not end well left behind, and what it was settled at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// How many calls were running.
    pub calls: u64,
    /// What was held for them.
    pub cost: Money,
}

/// Why a store cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("{0}")]
    File(#[from] rusqlite::Error),
    #[error("its journals: {0}")]
    Journal(#[from] std::io::Error),
}

/// Reads the counts and settles every reservation in the file at what it holds.
/// What journals hold that the file does not know is among it. The last number is that of the last journal.
pub(super) fn recover(
    connection: &mut Connection,
    store: &Path,
    now: SystemTime,
) -> Result<(Counts, Recovered, u64), Failed> {
    let noted = rows::noted_journal(connection)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut counts = Counts::default();
    for written in rows::counts(&transaction)? {
        counts.restore(written);
    }
    let mut recovered = Recovered::default();
    let mut changed = BTreeSet::new();
    let mut charge = |reservation: &StoredReservation, charge: Charge| {
        for line in &reservation.lines {
            let spent = counts.spent(&line.counter, line.slice).map_or(0, |spent| spent.amount);
            let (counter, slice, leaves) = (line.counter.clone(), line.slice, line.leaves);
            let amount = spent.saturating_add(charge.of(counter.unit, line.amount));
            changed.insert((counter.clone(), slice));
            counts.restore(Written { counter, slice, leaves, amount });
        }
    };
    let last = journal::read(store, noted, |line| {
        match line {
            Line::Reserved(reserved) => reserved.put(&transaction)?,
            Line::Ended(ended) => {
                if let Some(reservation) = ended.reservation(&transaction)? {
                    charge(&reservation, ended.charge());
                    ended.bill(&transaction)?;
                }
            }
        }
        Ok::<(), Failed>(())
    })?;
    rows::note_journal(&transaction, last)?;
    for reservation in rows::reservations(&transaction)? {
        charge(&reservation, Charge::AsHeld);
        let made = reservation.made;
        let StoredReservation { principal, group, item, held_cost, .. } = reservation;
        let entry = Entry::crashed(principal, group, item, held_cost);
        let mut row = BillRow::empty(entry.heading());
        row.add(&entry);
        recovered.calls += 1;
        recovered.cost = recovered.cost + entry.cost.unwrap_or_default();
        rows::add_usage(&transaction, &UsageRow { hour: hour_of(made), group: Arc::clone(&entry.group), row })?;
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
    journal::delete(store, last);
    Ok((counts, recovered, last))
}
