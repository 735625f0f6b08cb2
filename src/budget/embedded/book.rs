//! What the store knows: the counts, what of them the file does not know yet, and the journal. All under one lock, which is held for
//! moments: by whoever reserves or settles, and by the owner while it takes what is to be written.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use super::journal::Journal;
use crate::budget::bill::{BillRow, Entry, Heading, LISTED_CALLS, ReservedCall, hour_of};
use crate::budget::counts::{Counts, Held, Written};
use crate::budget::store::{
    Booking, Charge, CounterId, CounterState, ReservationId, ReserveError, Settlement, StoreError,
};
use crate::budget::window::Span;
use crate::types::{QuickMap, QuickSet};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) counts: Counts,
    pub(super) unwritten: Unwritten,
    /// Where what is granted is written down at once; without one, a grant waits for its transaction.
    pub(super) journal: Option<Journal>,
    /// Whether the file could not be written the last time: then every grant waits for a transaction, and is refused with it.
    pub(super) failing: bool,
    /// How many settlements are being written.
    pub(super) writing: u64,
    /// Whether the owner knows that there is something to write.
    pub(super) told: bool,
}

/// What has changed since the last transaction.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    pub(super) made: QuickMap<ReservationId, SystemTime>,
    pub(super) ended: Vec<ReservationId>,
    pub(super) changed: QuickSet<(CounterId, Span)>,
    pub(super) usage: BTreeMap<(SystemTime, Arc<str>, Heading), BillRow>,
    pub(super) listed: Vec<(SystemTime, ReservedCall)>,
    pub(super) done: QuickSet<u64>,
    /// How many settlements are among it.
    pub(super) settled: u64,
}

/// What is to be written, as it stood when the owner took it.
pub(super) struct Taken {
    pub(super) unwritten: Unwritten,
    pub(super) held: Vec<(Held, SystemTime)>,
    pub(super) spent: Vec<Written>,
    /// The journals up to this number hold nothing that is not among it.
    pub(super) journals: Option<u64>,
}

/// Why a call was not let go at once.
pub(super) enum NotYet {
    /// It does not fit.
    Refused(ReserveError),
    /// The owner has to write it down.
    Unwritten(Box<Booking>),
}

impl Book {
    /// Holds what a booking asks for and writes it into the journal.
    pub(super) fn grant(&mut self, booking: Booking, now: SystemTime) -> Result<Vec<CounterState>, NotYet> {
        if self.journal.is_none() || self.failing {
            return Err(NotYet::Unwritten(Box::new(booking)));
        }
        let (id, costs, hard) = (booking.id, booking.can_cost(), booking.is_under_a_hard_limit());
        let known = self.counts.held(id).is_some();
        let states = self.counts.reserve(booking, now).map_err(NotYet::Refused)?;
        if known || !costs {
            return Ok(states);
        }
        if let (Some(journal), Some(held)) = (&mut self.journal, self.counts.held(id))
            && let Err(error) = journal.put(held, now)
            && hard
        {
            self.counts.settle(id, Charge::Nothing);
            // The next one asks the owner, whose transaction tells operators what is wrong, or that it is over.
            self.failing = true;
            let error = StoreError(format!("its journal cannot be written: {error}"));
            return Err(NotYet::Refused(ReserveError::Store(error)));
        }
        self.unwritten.made.insert(id, now);
        Ok(states)
    }

    /// Settles what is held under an id; false where nothing is.
    pub(super) fn settle(&mut self, settlement: Settlement, now: SystemTime) -> bool {
        let Some(held) = self.counts.settle(settlement.id, settlement.charge) else { return false };
        if let Some(journal) = &mut self.journal {
            journal.end(&settlement, now);
        }
        let Settlement { charge, entry, .. } = settlement;
        self.unwritten.settled += 1;
        self.unwritten.end(&held, charge);
        if let Some(entry) = entry {
            self.unwritten.bill(&entry, now);
        }
        true
    }

    /// Takes what is to be written. Without a next journal nothing is taken: what stands in this one would count again.
    pub(super) fn take(&mut self) -> io::Result<Taken> {
        let journals = self.journal.as_mut().map(Journal::turn).transpose()?;
        let unwritten = std::mem::take(&mut self.unwritten);
        self.told = false;
        self.writing = unwritten.settled;
        let held = unwritten.made.iter().filter_map(|(id, made)| Some((self.counts.held(*id)?.clone(), *made)));
        let spent = unwritten.changed.iter().filter_map(|(counter, slice)| self.counts.spent(counter, *slice));
        let (held, spent) = (held.collect(), spent.collect());
        Ok(Taken { unwritten, held, spent, journals })
    }

    /// Puts back what could not be written.
    pub(super) fn put_back(&mut self, unwritten: Unwritten) {
        let newer = std::mem::replace(&mut self.unwritten, unwritten);
        self.unwritten.add(newer);
    }
}

impl Unwritten {
    pub(super) fn is_empty(&self) -> bool {
        self.made.is_empty()
            && self.ended.is_empty()
            && self.changed.is_empty()
            && self.usage.is_empty()
            && self.listed.is_empty()
            && self.done.is_empty()
            // A call that is given back leaves nothing but its end, which a journal has still to be told of.
            && self.settled == 0
    }

    /// A reservation is no more. What was charged changes its counts.
    pub(super) fn end(&mut self, held: &Held, charge: Charge) {
        if self.made.remove(&held.booking.id).is_none() {
            self.ended.push(held.booking.id);
        }
        if charge != Charge::Nothing {
            self.changed.extend(held.lines.iter().map(|line| (line.counter.clone(), line.slice)));
        }
    }

    fn bill(&mut self, entry: &Entry, now: SystemTime) {
        if let Some(call) = entry.reserved_call() {
            self.list(now, call);
        }
        let key = (hour_of(now), Arc::clone(&entry.group), entry.heading());
        self.usage.entry(key).or_insert_with_key(|(_, _, heading)| BillRow::empty(heading.clone())).add(entry);
    }

    fn list(&mut self, now: SystemTime, call: ReservedCall) {
        // While the file cannot be written, memory holds as many as a list shows.
        if self.listed.len() == LISTED_CALLS {
            self.listed.remove(0);
        }
        self.listed.push((now, call));
    }

    fn add(&mut self, newer: Self) {
        let Self { made, ended, changed, usage, listed, done, settled } = newer;
        self.made.extend(made);
        self.ended.extend(ended);
        self.changed.extend(changed);
        for (key, row) in usage {
            self.usage.entry(key).and_modify(|own| own.merge(&row)).or_insert(row);
        }
        for (at, call) in listed {
            self.list(at, call);
        }
        self.done.extend(done);
        self.settled += settled;
    }
}
